//! A ceremony that failed, in a paragraph: what each key was asked and did, what browsers do then, and what cannot be known.

use super::ceremony::{Heard, Part, Role};
use crate::transcript::event::Touch;
use crate::transcript::explanation::{Ceremony, Explanation, KeyInCeremony, RefusedBy};
use crate::transcript::text::why;

pub(super) fn explain(heard: &Heard) -> Explanation {
    let keys: Vec<_> = heard.keys_asked().into_iter().map(|key| of_key(heard, key)).collect();
    let said: Vec<_> = keys.iter().map(|key| format!("key {} {}", key.key.escape_debug(), key.text)).collect();
    let verdict = verdict(heard);
    let mut sentences = vec![format!("{}: {}.", head(heard), said.join("; "))];
    sentences.extend(verdict.browsers);
    sentences.push("What the page was told, keys do not hear.".to_owned());
    Explanation {
        ceremony: heard.ceremony(),
        rp_id: heard.rp_id.clone(),
        client_data_hash: heard.hash.clone(),
        began_at_us: heard.began_at_us,
        refused_by: verdict.refused_by,
        keys,
        text: sentences.join(" "),
    }
}

fn head(heard: &Heard) -> String {
    let ceremony = heard.ceremony().map_or_else(|| "A ceremony".to_owned(), |ceremony| ceremony.to_string());
    let is_u2f = heard.parts.iter().any(|part| part.exchange.command.starts_with("U2F_"));
    match &heard.rp_id {
        Some(rp_id) => format!("{ceremony} for {} failed", rp_id.escape_debug()),
        None if is_u2f => format!("{ceremony} failed, for an RP ID of which CTAP1/U2F tells the hash alone"),
        None => format!("{ceremony} failed before a key was told its RP ID"),
    }
}

fn of_key(heard: &Heard, key: &str) -> KeyInCeremony {
    let asked: Vec<_> = heard.of(key).collect();
    let told: Vec<_> = asked.iter().enumerate().filter_map(|(at, part)| clause(part, at + 1 == asked.len())).collect();
    let last = asked.iter().rfind(|part| part.role != Role::Info).or_else(|| asked.last());
    KeyInCeremony {
        key: key.to_owned(),
        command: last.map(|part| part.exchange.command.clone()).unwrap_or_default(),
        status: last.and_then(|part| part.exchange.status.clone()),
        text: match told.as_slice() {
            [] => "was asked what it is, and nothing more".to_owned(),
            [told @ .., last] if !told.is_empty() => format!("{}, and {last}", told.join(", ")),
            [only, ..] => only.clone(),
        },
    }
}

/// What a key was asked and did, if it is worth telling.
fn clause(part: &Part, is_last: bool) -> Option<String> {
    let exchange = &part.exchange;
    let command = exchange.subcommand.as_deref().unwrap_or(&exchange.command);
    let was_pulled_out =
        if part.has_gone { "it was pulled out, or lost its power" } else { "nothing more was heard of it" };
    let ended = |what: &str| match (exchange.touch, part.exchange.status.is_some()) {
        (Some(Touch::Cancelled), true) => format!("blinked {what} and was cancelled after {}", took(part)),
        (Some(Touch::Denied), _) => format!("blinked {what}, and its user refused"),
        (Some(Touch::TimedOut), _) => format!("blinked {what}, and nobody touched it within {}", took(part)),
        (_, true) => format!("answered {command} with {}{}", part.status(), reason(part)),
        (_, false) => format!("blinked {what} until {was_pulled_out}"),
    };
    match &part.role {
        Role::Info => None,
        Role::Selection if exchange.is_ok() || exchange.touch == Some(Touch::Touched) => {
            Some("was chosen by a touch".to_owned())
        }
        Role::Selection => Some(ended("to be chosen")),
        Role::Dummy if exchange.touch == Some(Touch::Touched) => {
            Some("was touched once more, which is all that was wanted then".to_owned())
        }
        Role::Dummy => Some(match part.status() {
            "SW_CONDITIONS_NOT_SATISFIED" => "blinked for a touch and got none".to_owned(),
            _ => ended("for a touch, which is all that was wanted then,"),
        }),
        Role::Probe if exchange.is_ok() || part.status() == "SW_CONDITIONS_NOT_SATISFIED" => {
            Some("has a credential that it was asked for".to_owned())
        }
        Role::Probe if exchange.status.is_none() => Some(format!("did not answer {command}: {was_pulled_out}")),
        Role::Probe => Some(format!("answered {command} with {} without a touch{}", part.status(), reason(part))),
        Role::Pin if exchange.is_ok() && !is_last => None,
        Role::Pin if exchange.is_ok() => Some(format!("answered {command}, and was asked nothing more")),
        Role::Pin | Role::Real(..) => Some(match (exchange.touch, exchange.status.is_some()) {
            (Some(Touch::Touched), true) => {
                format!("answered {command} with {} after a touch{}", part.status(), reason(part))
            }
            (None, true) if part.status() == "SW_CONDITIONS_NOT_SATISFIED" => {
                format!("was asked {command} again and again, and nobody touched it for that")
            }
            (None, true) => format!("answered {command} with {} without a touch{}", part.status(), reason(part)),
            (None, false) if !exchange.touch_asked => format!("did not answer {command}: {was_pulled_out}"),
            _ => ended(&format!("for {command}")),
        }),
    }
}

fn reason(part: &Part) -> String {
    why(&part.exchange).map_or_else(String::new, |why| format!(" ({why})"))
}

/// How long it took, as people say it.
fn took(part: &Part) -> String {
    let milliseconds = part.exchange.took_us.unwrap_or_default() / 1_000;
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        _ => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
    }
}

/// Who said no, and what browsers do then.
struct Verdict {
    refused_by: RefusedBy,
    browsers: Option<String>,
}

impl Verdict {
    fn new(refused_by: RefusedBy, browsers: &str) -> Self {
        Self { refused_by, browsers: Some(browsers.to_owned()) }
    }
}

fn verdict(heard: &Heard) -> Verdict {
    // The first answer that ends a ceremony in a browser is the one that counts; without such a one, the last that is none of success.
    let said = |part: &&Part| !part.is_open && !part.exchange.is_ok() && part.role != Role::Info;
    let failed = || heard.parts.iter().filter(said);
    let decisive = failed().find_map(|part| of_answer(part, true));
    if let Some(verdict) =
        decisive.or_else(|| failed().rfind(|part| !is_cancelled(part)).and_then(|part| of_answer(part, false)))
    {
        return verdict;
    }
    let has_gone = failed().any(|part| part.has_gone);
    let cancelled = || failed().filter(|part| is_cancelled(part));
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
    Verdict::new(
        RefusedBy::Unknown,
        "Whoever asked wanted it no more: the time of the ceremony was over, its user closed the browser's window, or the page \
         aborted it. Which of these, a key does not hear.",
    )
}

fn is_cancelled(part: &Part) -> bool {
    part.status() == "CTAP2_ERR_KEEPALIVE_CANCEL" || part.status() == "SW_CONDITIONS_NOT_SATISFIED"
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
        (_, status) if is_cancelled(part) && !status.is_empty() => return None,
        _ => Verdict::new(
            in_time,
            "With that a key is out in Chromium, which goes on with the others and waits for another one; Firefox ends the ceremony, \
             if this key was chosen.",
        ),
    };
    Some(said)
}
