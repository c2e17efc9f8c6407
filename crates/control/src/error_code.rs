//! The codes of what a rack refuses: words that programs may rely on. A code is never given another meaning.

use keyrig_rack::command::Refusal;

/// The code of a request that is no command.
pub const BAD_REQUEST: &str = "bad-request";

/// The code of a refusal because the key is not plugged in.
pub const NOT_PLUGGED_IN: &str = "not-plugged-in";

/// The code of a refusal.
#[must_use]
pub fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownKey { .. } => "unknown-key",
        Refusal::NotWaiting(_) => "not-waiting",
        Refusal::TimedOut { .. } => "timed-out",
        Refusal::GivenUp(_) => "given-up",
        Refusal::TooManyWaits(_) => "too-many-waits",
        Refusal::Plugged(_) => "plugged-in-already",
        Refusal::Unplugged(_) => NOT_PLUGGED_IN,
        Refusal::CannotPlug { .. } => "cannot-plug",
        Refusal::MessageTooLong(_) => "message-too-long",
        Refusal::Stopped => "rack-stopped",
    }
}
