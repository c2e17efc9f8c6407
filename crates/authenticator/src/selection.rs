//! authenticatorSelection (CTAP 2.3 §6.9): the user touches the authenticator that is to be used.

use keyrig_ctap::Response;

use crate::step::{Progress, Reason};

pub(crate) fn start() -> Progress {
    Progress::gesture(Reason::Selection, |_, _| Progress::Done(Ok(Response::Done)))
}
