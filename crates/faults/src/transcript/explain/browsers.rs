//! What browsers make of the answers of keys.

use super::ceremony::{Heard, Part, Role};
use super::verdict::Verdict;
use crate::transcript::event::Touch;
use crate::transcript::explanation::RefusedBy;
use crate::transcript::note::Ceremony;

/// Who said no, and what browsers do then.
pub(super) fn verdict(heard: &Heard) -> Verdict {
    let counts = |part: &&Part| match part.role {
        Role::Info => false,
        Role::Probe => decides(heard, part),
        _ => true,
    };
    let failed = || heard.parts.iter().filter(counts).filter(|part| !part.is_open && !part.exchange.is_ok());
    // The first answer that ends a ceremony in a browser is the one that counts; without such a one, the last that is none of success.
    let decisive = failed().find_map(|part| of_answer(part, true));
    let last = || failed().rfind(|part| !part.is_cancelled()).and_then(|part| of_answer(part, false));
    if let Some(verdict) = decisive.or_else(last) {
        return verdict;
    }
    if heard.waited_for_pin {
        return Verdict::new(
            RefusedBy::Unknown,
            "So it is where a browser waits in a window of its own for its user to type the PIN. A headless browser has no such window, \
             and waits in vain: give it a key that verifies its user by a touch, as keyrig-uv does, or, unless the page requires user \
             verification, a key without a PIN.",
        );
    }
    let has_gone = failed().any(|part| part.has_gone);
    let cancelled = || failed().filter(|part| part.is_cancelled());
    let is_chosen = heard.parts.iter().any(|part| part.role == Role::Selection && part.exchange.is_ok());
    if cancelled().next().is_none() && has_gone {
        return Verdict::new(
            RefusedBy::User,
            "Browsers go on with what is still plugged in, and wait for another key.",
        );
    }
    if is_chosen && !heard.parts.iter().any(|part| matches!(part.role, Role::Real(..))) {
        return Verdict::new(
            RefusedBy::Unknown,
            "Chromium does so where it asks for a PIN, or for a first one: for a discoverable credential always, and for what has \
             userVerification \"required\"; then the user closed its window, or the page gave up.",
        );
    }
    let program = if heard.rp_id.is_none() { ", or it was a program that is no browser, and ended" } else { "" };
    Verdict::new(
        RefusedBy::Unknown,
        format!(
            "Whoever asked wanted it no more: the time of the ceremony was over, its user closed the browser's window, or the page \
             aborted it{program}. Which of these, a key does not hear."
        ),
    )
}

/// Whether it matters that a key has none of the credentials. A registration goes on then; a login does at another key that has one, unless
/// somebody touches this one.
fn decides(heard: &Heard, probe: &Part) -> bool {
    let is_touched = |part: &Part| {
        part.role == Role::Dummy && (part.exchange.touch == Some(Touch::Touched) || part.exchange.is_ok())
    };
    heard.ceremony() != Some(Ceremony::Create)
        && (heard.of(&probe.exchange.key).any(is_touched)
            || !heard.parts.iter().any(|part| matches!(part.role, Role::Real(..))))
}

/// What an answer means to browsers: Chromium's `device/fido`, Mozilla's authenticator-rs, and what was observed of Chromium 156 and
/// Firefox 153. `ends`: of those alone that end a ceremony at all keys.
fn of_answer(part: &Part, ends: bool) -> Option<Verdict> {
    let in_time = match part.exchange.touch {
        Some(Touch::TimedOut) => RefusedBy::User,
        _ => RefusedBy::Key,
    };
    let denied = matches!(part.exchange.touch, Some(Touch::Denied | Touch::TimedOut));
    let said = match (&part.role, part.status()) {
        (Role::Real(Ceremony::Get, _), "CTAP2_ERR_NO_CREDENTIALS") => Verdict::new(
            RefusedBy::Key,
            "With that Chromium ends the ceremony at all keys, though another may have the credential: it offers to try \
             another key, and once that window is closed the page gets NotAllowedError. Firefox, where the user has chosen the key, \
             ends it with NotAllowedError.",
        ),
        (Role::Probe, "CTAP2_ERR_NO_CREDENTIALS" | "CTAP2_ERR_INVALID_CREDENTIAL" | "SW_WRONG_DATA")
        | (Role::Real(Ceremony::Get, _), "CTAP2_ERR_INVALID_CREDENTIAL" | "SW_WRONG_DATA") => Verdict::new(
            RefusedBy::Key,
            "A browser has such a key blink all the same, so that only who touches it learns that it is not registered; then it ends \
             the ceremony, in Chromium behind a window that offers to try another key, and the page gets NotAllowedError.",
        ),
        (Role::Real(Ceremony::Create, _), "CTAP2_ERR_CREDENTIAL_EXCLUDED") => Verdict::new(
            RefusedBy::Key,
            "With that browsers end the ceremony at all keys, in Chromium behind a window that says so, and the page gets \
             InvalidStateError: this key is registered already.",
        ),
        (Role::Real(..), "CTAP2_ERR_OPERATION_DENIED") => Verdict::new(
            if denied { RefusedBy::User } else { in_time },
            "With that browsers end the ceremony at all keys, in Chromium behind a window that says that something went wrong, and the \
             page gets NotAllowedError.",
        ),
        (Role::Real(..), "CTAP2_ERR_PIN_AUTH_INVALID") => Verdict::new(
            RefusedBy::Key,
            "With that Chromium ends the ceremony at all keys, and Firefox at the key that was chosen.",
        ),
        (Role::Real(Ceremony::Create, _), "CTAP2_ERR_KEY_STORE_FULL") => Verdict::new(
            RefusedBy::Key,
            "With that browsers end the ceremony; where residentKey is only \"preferred\", Chromium makes one that is not \
             discoverable instead.",
        ),
        (Role::Real(Ceremony::Get, _), "CTAP2_ERR_PUAT_REQUIRED") => Verdict::new(
            RefusedBy::Key,
            "With that Chromium ends the ceremony at all keys; Firefox asks for the PIN, and goes on when it has it.",
        ),
        (Role::Real(Ceremony::Create, _), "CTAP2_ERR_UNSUPPORTED_ALGORITHM") if !ends => Verdict::new(
            RefusedBy::Key,
            "Chromium has such a key blink, and ends the ceremony when it is touched; Firefox ends it.",
        ),
        (Role::Selection, "CTAP2_ERR_OPERATION_DENIED" | "CTAP2_ERR_USER_ACTION_TIMEOUT") if !ends => Verdict::new(
            RefusedBy::User,
            "In Firefox a key that is refused while it waits to be chosen is out, and the others go on; with none left it waits until \
             the time of the ceremony is over.",
        ),
        (Role::Pin, "CTAP2_ERR_PIN_INVALID" | "CTAP2_ERR_PIN_AUTH_BLOCKED" | "CTAP2_ERR_PIN_BLOCKED") if !ends => {
            Verdict::new(
                RefusedBy::User,
                "Browsers ask for the PIN again while there are retries, and the user gave up.",
            )
        }
        // It takes no answer to be told that nobody came.
        (Role::Dummy, _) => return None,
        (_, "") => return None,
        _ if ends => return None,
        (_, status) if part.is_cancelled() && !status.is_empty() => return None,
        _ => Verdict::new(
            in_time,
            "With that a key is out in Chromium, which goes on with the others and waits for another one; Firefox ends the ceremony, \
             if this key was chosen.",
        ),
    };
    Some(said)
}
