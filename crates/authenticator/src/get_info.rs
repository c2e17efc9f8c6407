//! authenticatorGetInfo (CTAP 2.3 §6.4).

use keyrig_ctap::Response;

use crate::authenticator::Authenticator;
use crate::step::Progress;

pub(crate) fn start(authenticator: &Authenticator) -> Progress {
    let mut info = authenticator.profile.info();
    let configuration = authenticator.store().configuration();
    // What the profile says is that of a new key.
    for (option, value) in &mut info.options {
        match option.as_str() {
            "alwaysUv" => *value = authenticator.always_uv(),
            "clientPin" => *value = authenticator.is_protected(),
            "makeCredUvNotRqd" => *value = authenticator.make_cred_uv_not_rqd(),
            _ => {}
        }
    }
    // U2F cannot verify a user (CTAP 2.3 §7.2.4).
    if authenticator.always_uv() {
        info.versions.retain(|version| version != keyrig_ctap::u2f::VERSION);
    }
    info.remaining_discoverable_credentials =
        info.remaining_discoverable_credentials.map(|_| authenticator.remaining_discoverable_credentials());
    info.long_touch_for_reset = info.long_touch_for_reset.map(|_| configuration.long_touch_for_reset);
    info.pin_complexity_policy = info.pin_complexity_policy.map(|_| authenticator.pin_policy().complexity);
    info.force_pin_change = info.force_pin_change.map(|_| configuration.force_pin_change);
    info.min_pin_length = info.min_pin_length.map(|_| authenticator.min_pin_length().into());
    Progress::Done(Ok(Response::GetInfo(Box::new(info))))
}
