//! authenticatorSelection (CTAP 2.3 §6.9): the user touches the authenticator that is to be used.

use keyrig_ctap::Response;

use crate::authenticator::Authenticator;
use crate::presence::Reason;
use crate::progress::{Progress, Refusals};

pub(crate) fn start(authenticator: &Authenticator) -> Progress {
    let refusals = Refusals::of_a_choice(authenticator);
    Progress::gesture(Reason::Selection, refusals, |_, _| Progress::Done(Ok(Response::Done)))
}
