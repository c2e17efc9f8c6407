//! One question to a key: what it answers, when, and whether it asks for a touch before.

use core::time::Duration;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_ctap::u2f;
use tokio::time::{Instant, sleep};

use crate::hardware::person::{Ask, Person};
use crate::report::milliseconds;

/// How often a key of U2F is asked again, as platforms do: that is how it waits for a touch.
const AGAIN: Duration = Duration::from_millis(250);

/// How long it is asked.
const U2F_PATIENCE: Duration = Duration::from_secs(60);

/// The name by which a person is asked to touch the one key that there is.
pub(super) const KEY: &str = "this one";

/// Who asks, and whom.
pub(super) struct Asking<'p, P> {
    pub(super) channel: CtapHidChannel<P>,
    pub(super) person: &'p dyn Person,
}

/// What came of it.
pub(super) struct Answered {
    /// The whole message.
    pub(super) response: Vec<u8>,
    /// Milliseconds until the key asked for a touch.
    pub(super) asked_for_touch_ms: Option<f64>,
    pub(super) ms: f64,
}

impl<P: ReportPipe> Asking<'_, P> {
    /// Sends a message of CTAP2; `touch` is what a person is to do once the key asks.
    pub(super) async fn transact(&mut self, message: &[u8], touch: Option<&Ask>) -> Result<Answered, ChannelError> {
        let begun = Instant::now();
        let mut asked_for_touch_ms = None;
        let person = self.person;
        let mut heard = |status| {
            if status == KeepaliveStatus::UpNeeded && asked_for_touch_ms.is_none() {
                asked_for_touch_ms = Some(milliseconds(begun.elapsed()));
                if let Some(ask) = touch {
                    person.ask(ask);
                }
            }
        };
        let response = self.channel.transact(message, Cancel::never(), &mut heard).await;
        let ms = milliseconds(begun.elapsed());
        if asked_for_touch_ms.is_some() {
            person.done();
        }
        Ok(Answered { response: response?, asked_for_touch_ms, ms })
    }

    /// Sends an APDU until it is touched for, or refused.
    pub(super) async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Answered, ChannelError> {
        let begun = Instant::now();
        let mut asked_for_touch_ms = None;
        let response = loop {
            let response = self.channel.transact_u2f(apdu).await?;
            let waits = u2f::parse_response(&response) == Err(u2f::StatusWord::ConditionsNotSatisfied);
            if !waits || begun.elapsed() > U2F_PATIENCE {
                break response;
            }
            if asked_for_touch_ms.is_none() {
                asked_for_touch_ms = Some(milliseconds(begun.elapsed()));
                self.person.ask(&Ask::Touch { key: KEY.to_owned() });
            }
            sleep(AGAIN).await;
        };
        if asked_for_touch_ms.is_some() {
            self.person.done();
        }
        Ok(Answered { response, asked_for_touch_ms, ms: milliseconds(begun.elapsed()) })
    }
}
