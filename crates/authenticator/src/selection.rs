//! authenticatorSelection (CTAP 2.3 §6.9): the user touches the authenticator that is to be used.

use keyrig_ctap::Response;

use crate::presence::Reason;
use crate::progress::{Progress, Refusals};

pub(crate) fn start() -> Progress {
    Progress::gesture(Reason::Selection, Refusals::OF_A_CHOICE, |_, _| Progress::Done(Ok(Response::Done)))
}
