//! Ceremonies that no page asked for: which program did, and what it makes of the answers of keys.

use super::ceremony::{Heard, Part, Role, is_of_libfido2};
use super::verdict::Verdict;
use crate::transcript::event::Touch;
use crate::transcript::explanation::{Program, RefusedBy};
use crate::transcript::note::Ceremony;
use crate::transcript::value::Value;

/// SHA-256 of `ssh:`, which CTAP1/U2F hears in place of the RP ID of most of OpenSSH's keys.
const SSH_APPLICATION: [u8; 32] = [
    0xE3, 0x06, 0x10, 0xE8, 0xA1, 0x62, 0x11, 0x59, 0x60, 0xFE, 0x1E, 0xC2, 0x23, 0xE6, 0x52, 0x9C, 0x9F, 0x4B, 0x6E,
    0x80, 0x20, 0x0D, 0xCB, 0x5E, 0x5C, 0x32, 0x1C, 0x8A, 0xF1, 0xE2, 0xB1, 0xBF,
];

/// The program that asked, by what it asked for.
pub(super) fn who(heard: &Heard) -> Option<Program> {
    // A page is a browser's.
    if heard.page.is_some() {
        return None;
    }
    match heard.rp_id.as_deref() {
        Some(rp_id) => Program::of_rp_id(rp_id),
        None if heard.parts.iter().any(is_ssh) => Some(Program::OpenSsh),
        None => heard.parts.iter().any(|part| is_of_libfido2(&part.exchange.request)).then_some(Program::Other),
    }
}

fn is_ssh(part: &Part) -> bool {
    // As JSON has it, bytes are text.
    let application = part.exchange.request.get("application").map(ToString::to_string);
    application.is_some_and(|application| application == Value::bytes(&SSH_APPLICATION).to_string())
}

/// Who said no, and what the program does then.
pub(super) fn verdict(program: Program, heard: &Heard) -> Verdict {
    // Whether there is a credential is asked before, and counts where nothing else was.
    let is_asked =
        heard.parts.iter().any(|part| !matches!(part.role, Role::Info | Role::Probe) && !part.exchange.is_ok());
    let counts = |part: &&Part| part.role != Role::Info && !(is_asked && part.role == Role::Probe);
    let failed = || heard.parts.iter().filter(counts).filter(|part| !part.is_open && !part.exchange.is_ok());
    // Keys are asked one after the other, and so the last answer decides.
    if let Some(part) = failed().rfind(|part| !part.is_cancelled() && !part.status().is_empty()) {
        return of_answer(program, heard, part);
    }
    if failed().any(|part| part.has_gone) && !failed().any(|part| part.is_cancelled()) {
        return Verdict::new(RefusedBy::User, format!("{program} does not wait for another key then."));
    }
    Verdict::new(
        RefusedBy::Unknown,
        format!(
            "{program} wanted it no more: its time was over, or somebody ended it. Which of these, a key does not hear."
        ),
    )
}

fn of_answer(program: Program, heard: &Heard, part: &Part) -> Verdict {
    let is_registration = heard.ceremony() == Some(Ceremony::Create);
    let was_touched_in_time = !matches!(part.exchange.touch, Some(Touch::Denied | Touch::TimedOut));
    let by = if was_touched_in_time { RefusedBy::Key } else { RefusedBy::User };
    match (&part.role, part.status()) {
        (
            Role::Probe | Role::Real(Ceremony::Get, _),
            "CTAP2_ERR_NO_CREDENTIALS" | "CTAP2_ERR_INVALID_CREDENTIAL" | "SW_WRONG_DATA",
        ) => Verdict::new(RefusedBy::Key, of_no_credential(program)),
        (_, "CTAP2_ERR_OPERATION_DENIED" | "CTAP2_ERR_USER_ACTION_TIMEOUT" | "CTAP2_ERR_ACTION_TIMEOUT") => {
            Verdict::new(RefusedBy::User, of_no_touch(program, is_registration, part))
        }
        (_, "CTAP2_ERR_PIN_INVALID") => Verdict::new(RefusedBy::User, of_wrong_pin(program)),
        (_, "CTAP2_ERR_PUAT_REQUIRED") => Verdict::new(RefusedBy::Key, of_wanted_pin(program)),
        (_, "CTAP2_ERR_PIN_NOT_SET") => Verdict::new(
            RefusedBy::Key,
            format!("{program} asked for a PIN that there is not. Set one: fido2-token -S NODE."),
        ),
        (_, "CTAP2_ERR_UNSUPPORTED_ALGORITHM") => Verdict::new(RefusedBy::Key, of_no_algorithm(program)),
        (_, "CTAP2_ERR_UNSUPPORTED_OPTION") if program == Program::OpenSsh => Verdict::new(
            by,
            "OpenSSH says \"requested feature not supported\": -O resident needs a key that stores credentials.",
        ),
        (_, "CTAP2_ERR_KEY_STORE_FULL") => Verdict::new(
            RefusedBy::Key,
            "Delete a credential from the key (fido2-token -D -i ID NODE), or ask for one that it does not store.",
        ),
        _ => Verdict::new(by, of_anything_else(program, is_registration)),
    }
}

fn of_no_credential(program: Program) -> &'static str {
    match program {
        Program::OpenSsh => {
            "OpenSSH passes over a key that does not have the credential of its file, and with none left it says \"device not \
             found\", or \"invalid format\". Plug in the key with which that file was made, or make another pair with ssh-keygen \
             and have its public half where the old one is."
        }
        Program::PamU2f => {
            "pam_u2f passes over a key that has none of the credentials in its authfile, and with none left PAM says no more than \
             that authentication failed. Plug in the key that was enrolled, or enrol this one: pamu2fcfg -o with the RP ID above. \
             That is the module's origin=, or pam://HOSTNAME without one: a machine that has another name since has another RP ID."
        }
        Program::Systemd => {
            "systemd passes over a key that does not have the credential that was enrolled. Plug in that one, or enrol this one \
             with systemd-cryptenroll or homectl."
        }
        Program::Other => "Plug in the key that was enrolled under this RP ID, or enrol this one.",
    }
}

fn of_no_touch(program: Program, is_registration: bool, part: &Part) -> &'static str {
    match program {
        Program::OpenSsh if part.status() == "CTAP2_ERR_OPERATION_DENIED" && part.role != Role::Selection => {
            "OpenSSH takes that for a wrong PIN: it says \"incorrect passphrase supplied to decrypt private key\", or asks for a \
             PIN, whether or not there is one. Try again, and touch the key while it blinks."
        }
        Program::PamU2f if !is_registration => {
            "pam_u2f goes on with the next credential in its authfile, and with none left PAM says no more than that \
             authentication failed. Try again, and touch the key while it blinks; the module's option cue says when."
        }
        _ => "Try again, and touch the key while it blinks.",
    }
}

fn of_wrong_pin(program: Program) -> &'static str {
    match program {
        Program::OpenSsh => "OpenSSH asks three times at most, and each wrong one spends a retry of the key's.",
        _ => "Each wrong one spends a retry of the key's.",
    }
}

fn of_wanted_pin(program: Program) -> &'static str {
    match program {
        Program::OpenSsh => {
            "OpenSSH asks for the PIN then, at its terminal or by SSH_ASKPASS; an agent that has neither says \"agent refused \
             operation\"."
        }
        Program::PamU2f => "pam_u2f asks for a PIN where the authfile says +pin, or the module pinverification=1.",
        _ => "Give the key's PIN.",
    }
}

fn of_no_algorithm(program: Program) -> &'static str {
    match program {
        Program::OpenSsh => {
            "OpenSSH says \"requested feature not supported\". Make the pair with -t ecdsa-sk, which every key can."
        }
        Program::PamU2f => "Enrol with pamu2fcfg -t es256, which every key can.",
        _ => "Ask for ES256, which every key can.",
    }
}

fn of_anything_else(program: Program, is_registration: bool) -> &'static str {
    match (program, is_registration) {
        (Program::OpenSsh, _) => {
            "OpenSSH ends with that; it says \"invalid format\" for most of what a key can answer."
        }
        (Program::PamU2f, true) => "pamu2fcfg ends with that, and says it by libfido2's name (FIDO_ERR_…).",
        (Program::PamU2f, false) => {
            "pam_u2f goes on with the next credential in its authfile, and with none left PAM says no more than that \
             authentication failed; its option debug says more."
        }
        (Program::Systemd, _) => "systemd goes on with another way to unlock, such as a password.",
        (Program::Other, _) => "What the program makes of that, keys do not hear.",
    }
}
