//! What a code of ours stands for.

use std::sync::LazyLock;

use keyrig_verifier::Check;
use serde::{Deserialize, Serialize};

use crate::language::nearest_name;

const CODES: [&str; 2] = [include_str!("codes.toml"), include_str!("other_codes.toml")];

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

impl From<&Check> for Code {
    fn from(check: &Check) -> Self {
        Self {
            code: check.id().to_owned(),
            by: "relying_party".to_owned(),
            text: check.requirement().to_owned(),
            attempt: None,
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

/// What a code stands for: a check of the relying party, a refusal, or an error. A status of CTAP may be spelled as there
/// (`CTAP2_ERR_NO_CREDENTIALS`). `None` if it is no code.
#[must_use]
pub fn code(wanted: &str) -> Option<Code> {
    let wanted = &of_status(wanted).unwrap_or_else(|| wanted.to_owned());
    let check = Check::REGISTRATION.iter().chain(Check::AUTHENTICATION).find(|check| check.id() == wanted);
    let entry = || ENTRIES.iter().find(|entry| entry.code == *wanted);
    check.map(Code::from).or_else(|| entry().map(Code::from))
}

/// The code that is most like a word that is none, if any is like it.
#[must_use]
pub fn nearest(word: &str) -> Option<String> {
    let all = codes();
    let all: Vec<_> = all.iter().map(|code| code.code.as_str()).collect();
    nearest_name(word, &all).map(str::to_owned)
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
