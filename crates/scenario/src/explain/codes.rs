//! What a code of ours stands for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyrig_client::Browser;
use keyrig_ctap::Status;
use keyrig_verifier::Check;
use serde::{Deserialize, Serialize};

use crate::catalogue::{self, Row};
use crate::nearest;

const CODES: [&str; 3] =
    [include_str!("codes.toml"), include_str!("other_codes.toml"), include_str!("reported_codes.toml")];

/// A code, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// The code.
    pub code: String,
    /// Who says it: `client`, `authenticator`, `relying_party`, `rack`, `service` (HTTP) or `command` (the command line).
    pub by: String,
    /// What it is about.
    pub text: String,
    /// What to try.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Where the specification has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specification: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    code: String,
    by: String,
    text: String,
    #[serde(rename = "try")]
    attempt: Option<String>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let read = |text| toml::from_str::<File>(text).expect("a test reads the files that come with keyrig").code;
    CODES.into_iter().flat_map(read).collect()
});

/// Where a code comes up in the catalogue of misconfigurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The rows in which a browser, a key or the relying party refuses with it: number and what is wrong.
    pub rows: BTreeMap<u8, String>,
    /// What pages see then, by browser: each exception's name and message.
    pub words: BTreeMap<String, Vec<String>>,
}

impl Seen {
    /// Where a code comes up.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let mut seen = Self::default();
        for row in catalogue::rows() {
            for it in [&row].into_iter().chain(&row.variants) {
                seen.look_at(it, &row, code);
            }
        }
        seen
    }

    fn look_at(&mut self, it: &Row, row: &Row, code: &str) {
        let mut is_there = it.caught.as_ref().is_some_and(|caught| caught.code == code);
        for browser in Browser::ALL {
            let outcome = it.expected.in_browser(browser);
            if outcome.code.as_deref() != Some(code) {
                continue;
            }
            is_there = true;
            if let (Some(name), Some(message)) = (&outcome.name, &outcome.message) {
                let (told, words) = (format!("{name}: {message}"), self.words.entry(browser.to_string()).or_default());
                if !words.contains(&told) {
                    words.push(told);
                }
            }
        }
        if is_there {
            self.rows.insert(row.number, row.title.clone());
        }
    }
}

/// What to try where a check of the relying party refuses, where one thing is the likeliest.
fn attempt_of(check: Check) -> Option<&'static str> {
    Some(match check {
        Check::Origin => {
            "add the origin that was found, with scheme and port, to those that the site expects, if the page is yours"
        }
        Check::RpIdHash => "use the RP ID of the options in the check; a changed RP ID needs every key enrolled again",
        Check::Challenge => "keep the challenge of the options until their answer is there, for each session its own",
        Check::ClientDataType => "check a registration as one, and a login as one: the two were mixed up",
        Check::CrossOrigin => "allow frames of other origins in the settings, if the page is meant to be in one",
        Check::CredentialIdEncoding => "take id and rawId as toJSON() has them: base64url without padding",
        Check::UserVerified => "set a PIN or a finger on the key, or ask for \"preferred\"",
        Check::Algorithm => "offer the algorithm in pubKeyCredParams: -7, -8 and -257 are what keys have",
        Check::CredentialRecord => {
            "enrol the key, or look whether the account's credentials were lost or are another's"
        }
        Check::UserHandle => "keep user.id of an account as it was when the key was enrolled",
        Check::SignatureCounter => {
            "look whether the key was restored or copied, or two logins were answered at once; then report it only"
        }
        _ => return None,
    })
}

impl From<&Check> for Code {
    fn from(check: &Check) -> Self {
        Self {
            code: check.id().to_owned(),
            by: "relying_party".to_owned(),
            text: check.requirement().to_owned(),
            attempt: attempt_of(*check).map(str::to_owned),
            specification: Some(check.link()),
        }
    }
}

impl From<&Entry> for Code {
    fn from(Entry { code, by, text, attempt }: &Entry) -> Self {
        Self { code: code.clone(), by: by.clone(), text: text.clone(), attempt: attempt.clone(), specification: None }
    }
}

/// The code of a status of CTAP, as the specification spells it. `None` if it is none.
pub(crate) fn of_status(spelled: &str) -> Option<String> {
    let status = spelled.strip_prefix("CTAP1_ERR_").or_else(|| spelled.strip_prefix("CTAP2_ERR_"))?;
    Some(status.to_lowercase().replace('_', "-"))
}

/// What others call statuses: libfido2, and CTAP 2.0 what CTAP 2.1 has another word for.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("pin-required", "puat-required"),
    ("largeblob-storage-full", "large-blob-storage-full"),
    ("unauthorized-perm", "unauthorized-permission"),
    ("err-other", "other"),
];

/// What a code stands for: a check of the relying party, a refusal, or an error. A status of CTAP may be spelled as there
/// (`CTAP2_ERR_NO_CREDENTIALS`), or by libfido2 (`FIDO_ERR_NO_CREDENTIALS`). `None` if it is no code.
#[must_use]
pub fn code(wanted: &str) -> Option<Code> {
    let of_libfido2 = |status: &str| status.strip_prefix("FIDO_ERR_").map(|it| format!("CTAP2_ERR_{it}"));
    let status = of_status(&of_libfido2(wanted).unwrap_or_else(|| wanted.to_owned())).map(|status| {
        let other = OTHER_NAMES.into_iter().find(|(other, _)| *other == status);
        other.map_or(status, |(_, known)| known.to_owned())
    });
    let wanted = &status.unwrap_or_else(|| wanted.to_owned());
    let check = Check::REGISTRATION.iter().chain(Check::AUTHENTICATION).find(|check| check.id() == wanted);
    let entry = || ENTRIES.iter().find(|entry| entry.code == *wanted);
    check.map(Code::from).or_else(|| entry().map(Code::from))
}

/// The status of CTAP that a text speaks of, by its name or as python-fido2 writes it (`CTAP error: 0x2E`).
#[must_use]
pub fn status_in(text: &str) -> Option<Code> {
    let by_number = || {
        let (_, behind) = text.split_once("CTAP error: 0x")?;
        let number = u8::from_str_radix(behind.get(..2)?, 16).ok()?;
        code(&Status::from(number).to_string())
    };
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words.filter(|word| word.contains("_ERR_")).find_map(code).or_else(by_number)
}

/// The code that is most like a word that is none, if any is like it.
#[must_use]
pub fn nearest(word: &str) -> Option<String> {
    let all = codes();
    let all: Vec<_> = all.iter().map(|code| code.code.as_str()).collect();
    nearest::nearest(word, &all).map(str::to_owned)
}

/// All codes, those of one who says them together.
#[must_use]
pub fn codes() -> Vec<Code> {
    let mut all: Vec<Code> = ENTRIES.iter().map(Code::from).collect();
    for check in Check::REGISTRATION.iter().chain(Check::AUTHENTICATION) {
        if all.iter().all(|known| known.code != check.id()) {
            all.push(Code::from(check));
        }
    }
    all.sort_by(|one, other| (&one.by, &one.code).cmp(&(&other.by, &other.code)));
    all
}
