//! What a code of ours stands for.

use std::sync::LazyLock;

use keyrig_verifier::Check;
use serde::{Deserialize, Serialize};

const CODES: &str = include_str!("codes.toml");

/// A code, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// The code.
    pub code: String,
    /// Who says it: `client`, `authenticator` or `relying_party`.
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
    let file: File = toml::from_str(CODES).expect("a test reads the file that comes with keyrig");
    file.code
});

/// What a code stands for: a check of the relying party, or a client's or a key's refusal; `None` if it is none of these.
#[must_use]
pub fn code(wanted: &str) -> Option<Code> {
    let check = Check::REGISTRATION.iter().chain(Check::AUTHENTICATION).find(|check| check.id() == wanted);
    if let Some(check) = check {
        return Some(Code {
            code: wanted.to_owned(),
            by: "relying_party".to_owned(),
            text: check.requirement().to_owned(),
            attempt: None,
            specification: Some(check.link()),
        });
    }
    let entry = ENTRIES.iter().find(|entry| entry.code == wanted)?;
    Some(Code {
        code: wanted.to_owned(),
        by: entry.by.clone(),
        text: entry.text.clone(),
        attempt: entry.attempt.clone(),
        specification: None,
    })
}
