//! authenticatorReset (CTAP 2.3 §6.6): everything is forgotten, by a touch soon after power-up.

use core::time::Duration;

use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Response, Status};

use crate::authenticator::Authenticator;
use crate::memory::UntilPowerUp;
use crate::presence::Reason;
use crate::progress::{Progress, Refusals};
use crate::store::{Change, Configuration, Store};

pub(crate) fn start(authenticator: &Authenticator, now: Duration) -> Progress {
    if now.saturating_sub(authenticator.powered_up_at) > authenticator.profile.reset_window() {
        return Status::NotAllowed.into();
    }
    let long = authenticator.store().configuration().long_touch_for_reset;
    let reason = if long { Reason::ResetByLongTouch } else { Reason::Reset };
    Progress::gesture(reason, Refusals::of_a_choice(authenticator), |authenticator, _| {
        let counter = authenticator.store().counter();
        let mut changes = Store::blank(authenticator.environment.as_mut(), counter);
        // §6.6: it disables enterprise attestation, also where that was enabled from the factory on.
        if authenticator.profile.option(OptionId::Ep) == Some(true) {
            let disabled = Configuration { enterprise_attestation: Some(false), ..Configuration::default() };
            changes.push(Change::Configuration(disabled));
        }
        Progress::commit(changes, |authenticator, _| {
            authenticator.memory = UntilPowerUp::default();
            Progress::Done(Ok(Response::Done))
        })
    })
}
