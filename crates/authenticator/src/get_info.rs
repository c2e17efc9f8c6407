//! authenticatorGetInfo (CTAP 2.3 §6.4).

use keyrig_ctap::Response;

use crate::authenticator::Authenticator;
use crate::step::Progress;

pub(crate) fn start(authenticator: &Authenticator) -> Progress {
    Progress::Done(Ok(Response::GetInfo(Box::new(authenticator.profile.info()))))
}
