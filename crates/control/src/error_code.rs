//! The codes of what a rack refuses: words that programs may rely on. A code is never given another meaning.

use keyrig_authenticator::administration::{
    BackupRefused, FingerprintRefused, ImportRefused, LargeBlobsRefused, PinRefused,
};
use keyrig_rack::command::Refusal;
use keyrig_rack::key::administration::ActRefused;

/// The code of a request that is no command.
pub const BAD_REQUEST: &str = "bad-request";

/// The code of a refusal because the key is not plugged in.
pub const NOT_PLUGGED_IN: &str = "not-plugged-in";

/// There is no such key, or no more.
pub const UNKNOWN_KEY: &str = "unknown-key";

/// The code of what is no snapshot of a key.
const BAD_SNAPSHOT: &str = "bad-snapshot";

/// The code of a refusal.
#[must_use]
pub fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownKey { .. } => UNKNOWN_KEY,
        Refusal::NoVerification(_) => "no-built-in-uv",
        Refusal::NotOnUsb(_) => "not-on-usb",
        Refusal::NotWaiting(_) => "not-waiting",
        Refusal::NoSensor(_) => "fingerprints-not-supported",
        Refusal::NotSampling(_) => "not-sampling",
        Refusal::TimedOut { .. } => "timed-out",
        Refusal::GivenUp(_) => "given-up",
        Refusal::TooManyWaits(_) => "too-many-waits",
        Refusal::KeyExists(_) => "key-exists",
        Refusal::KeyKept(_) => "key-kept",
        Refusal::TooManyKeys => "too-many-keys",
        Refusal::CannotCreate { .. } => "cannot-create",
        Refusal::UnknownProfile(_) | Refusal::NoProfile(_) => "unknown-profile",
        Refusal::UnknownQuirk(_) => "unknown-quirk",
        Refusal::Quirk { .. } => "quirk-refused",
        Refusal::Enterprise { .. } => "enterprise-rp-refused",
        Refusal::OtherProfile { .. } => "other-profile",
        Refusal::Snapshot(_) => BAD_SNAPSHOT,
        Refusal::BadCredential { .. } => "bad-credential",
        Refusal::Act { refused, .. } => of_act(refused),
        Refusal::Plugged(_) => "plugged-in-already",
        Refusal::Unplugged(_) => NOT_PLUGGED_IN,
        Refusal::CannotPlug { .. } => "cannot-plug",
        Refusal::MessageTooLong(_) => "message-too-long",
        Refusal::AtSeam { .. } => "fault-refused",
        Refusal::Stopped => "rack-stopped",
    }
}

fn of_act(refused: &ActRefused) -> &'static str {
    match refused {
        ActRefused::Import { refused, .. } => match refused {
            ImportRefused::Exists | ImportRefused::SameUser(_) => "credential-exists",
            ImportRefused::Full => "key-full",
            _ => "credential-refused",
        },
        ActRefused::Restore(_) => BAD_SNAPSHOT,
        ActRefused::NoCredential | ActRefused::Backup(BackupRefused::NoCredential) => "no-such-credential",
        ActRefused::Backup(_) => "backup-refused",
        ActRefused::Pin(refused) => match refused {
            PinRefused::NotSupported => "pin-not-supported",
            PinRefused::AlreadySet => "pin-already-set",
            PinRefused::NotSet => "pin-not-set",
            PinRefused::Policy { .. } => "pin-policy",
            PinRefused::Wrong { .. } => "pin-wrong",
            PinRefused::PowerCycleNeeded => "pin-power-cycle-needed",
            PinRefused::Blocked => "pin-blocked",
        },
        ActRefused::Fingerprint(refused) => match refused {
            FingerprintRefused::NotSupported => "fingerprints-not-supported",
            FingerprintRefused::Full(_) => "fingerprints-full",
            FingerprintRefused::NotKnown => "no-such-fingerprint",
            FingerprintRefused::Name { .. } => "fingerprint-name-too-long",
        },
        ActRefused::LargeBlobs(refused) => match refused {
            LargeBlobsRefused::NotSupported => "large-blobs-not-supported",
            LargeBlobsRefused::TooLong { .. } => "large-blobs-too-long",
            LargeBlobsRefused::Hash => "large-blobs-damaged",
        },
        ActRefused::NotDurable(_) => "not-durable",
        ActRefused::Gone => "key-gone",
    }
}
