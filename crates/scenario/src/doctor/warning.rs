//! What works today, and bites later.

use core::time::Duration;

use keyrig_client::{Browser, Origin};
use keyrig_faults::transcript::Program;
use keyrig_relying_party::{FramedLogin, SignatureCounter};
use keyrig_verifier::Recording;
use serde::Serialize;

use super::address::Address;
use super::site::{Kind, Site};

/// Something that works, and may not be what somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A word that stays the same.
    pub code: &'static str,
    /// The row of the catalogue of misconfigurations, if it is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u8>,
    /// What it is, for people.
    pub text: String,
}

pub(super) fn of(site: &Site, working: &[&Address]) -> Vec<Warning> {
    let settings = &site.settings;
    let mut warnings: Vec<_> =
        settings.warnings().into_iter().map(|text| Warning { code: "settings", row: None, text }).collect();
    let mut warn = |code, row, text| warnings.push(Warning { code, row, text });
    let rp_id = &settings.rp_id;
    let is_one_machine = working.iter().any(|address| address.origin.domain() == Some(rp_id.as_str()));
    if site.kind == Kind::ProxmoxVe && is_one_machine && psl::domain_str(rp_id).is_some_and(|domain| domain != rp_id) {
        warn(
            "rp-id-narrow",
            Some(18),
            format!(
                "the RP ID {rp_id} is the name of one machine: a node that joins the cluster under another name has no \
                 WebAuthn, and an RP ID that is changed later makes every enrolled key useless"
            ),
        );
    }
    if let Some(program) = Program::of_rp_id(rp_id).filter(|program| *program != Program::Other) {
        warn(
            "rp-id-of-a-program",
            None,
            format!(
                "{program} asks keys for RP IDs such as {rp_id}, and no page in a browser can: what is said here is of a site; \
                 'keyrig exec --explain' tells what a program was refused"
            ),
        );
    }
    for address in working {
        if let Origin::Tuple { scheme, .. } = &address.origin
            && scheme == "http"
            && address.origin.is_secure_context()
        {
            warn("http", Some(10), format!("{} works for browsers on that machine alone", address.origin));
        }
    }
    let policy = &settings.policy;
    let timeout = Duration::from_millis(policy.timeout_ms.into());
    let waiting: Vec<_> = [Browser::Chromium, Browser::Firefox]
        .into_iter()
        .map(|browser| (browser, browser.waits(Some(timeout))))
        .filter(|(_, waits)| policy.challenge_lifetime < *waits)
        .map(|(browser, waits)| format!("{} waits {} s", browser.title(), waits.as_secs()))
        .collect();
    if !waiting.is_empty() {
        warn(
            "challenge-lifetime",
            Some(41),
            format!(
                "a challenge lives {} s here, and {}: whoever is slower than the challenge is refused, and not told why",
                policy.challenge_lifetime.as_secs(),
                waiting.join(", ")
            ),
        );
    }
    if policy.signature_counter == SignatureCounter::Unsaved {
        warn(
            "counter-unsaved",
            Some(52),
            format!("the policy {} saves no signature counter: a cloned key is hardly ever noticed", policy.name),
        );
    }
    if policy.framed_login == FramedLogin::Accepted {
        warn(
            "framed-login",
            Some(27),
            format!(
                "the policy {} takes logins from frames in any other site's page, whatever topOrigin is",
                policy.name
            ),
        );
    }
    warnings
}

/// The fewest bytes that a challenge should have (WebAuthn Level 3, §13.4.3).
const MIN_CHALLENGE_BYTES: usize = 16;

/// The most bytes that a user handle has (WebAuthn Level 3, §5.4.3).
const MAX_USER_HANDLE_BYTES: usize = 64;

/// The same of the options that a site sends.
#[must_use]
pub fn of_options(options: &Recording) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, row, text| warnings.push(Warning { code, row, text });
    for note in &options.notes {
        warn("encoding", Some(39), note.clone());
    }
    let challenges =
        options.creations.iter().map(|it| &it.challenge).chain(options.requests.iter().map(|it| &it.challenge));
    for challenge in challenges.filter(|challenge| challenge.len() < MIN_CHALLENGE_BYTES) {
        let length = challenge.len();
        warn("challenge-short", None, format!("the challenge has {length} bytes: one of fewer than 16 can be guessed"));
    }
    for length in options.creations.iter().map(|it| it.user_id.len()) {
        if length == 0 || length > MAX_USER_HANDLE_BYTES {
            warn(
                "user-handle",
                None,
                format!("user.id has {length} bytes: it has to have 1 to 64, and should be random"),
            );
        }
    }
    warnings
}
