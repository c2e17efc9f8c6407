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
    #[serde(rename = "try")]
    pub attempt: String,
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
    attempt: String,
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

/// What to try where a check of the relying party refuses: the likeliest thing.
fn attempt_of(check: Check) -> &'static str {
    match check {
        Check::CredentialType => "send the credential as the browser made it: toJSON() writes its type",
        Check::CredentialIdEncoding => "take id and rawId as toJSON() has them: base64url without padding",
        Check::AllowCredentials => {
            "use a key of the account, or send the ids of all of them: one was used that the options do not have"
        }
        Check::CredentialRecord => {
            "enrol the key, or look whether the account's credentials were lost or are another's"
        }
        Check::UserHandle => "keep user.id of an account as it was when the key was enrolled",
        Check::ClientDataJson => "pass on clientDataJSON byte by byte, in base64url, and encode it once",
        Check::ClientDataType => "check a registration as one, and a login as one: the two were mixed up",
        Check::Challenge => "keep the challenge of the options until their answer is there, for each session its own",
        Check::Origin => {
            "add the origin that was found, with scheme and port, to those that the site expects, if the page is yours"
        }
        Check::CrossOrigin => "allow frames of other origins in the settings, if the page is meant to be in one",
        Check::TopOrigin => "list the page around the frame in the settings, if it may have yours in one",
        Check::AttestationObject => "pass on attestationObject byte by byte, in base64url, and encode it once",
        Check::AuthenticatorData => "pass on the bytes as the key made them: --hex names the one that is wrong",
        Check::RpIdHash => "use the RP ID of the options in the check; a changed RP ID needs every key enrolled again",
        Check::UserPresent => "touch the key; an answer without a touch is good for nothing but a preflight",
        Check::UserVerified => "set a PIN or a finger on the key, or ask for \"preferred\"",
        Check::BackupStateConsistent => "use another key: this one says what none may, or something changed its answer",
        Check::BackupEligibilityUnchanged => {
            "enrol the credential again: it is another one than before, or something changed the key's answer"
        }
        Check::BackupEligibility => "enrol a key that the policy takes, or have the policy take synchronised passkeys",
        Check::BackupState => "back the passkey up, or have the policy take those that are not",
        Check::AttestedCredentialData => {
            "check a registration as one, and a login as one: attested credential data belongs to the first alone"
        }
        Check::CredentialIdMatch => "send rawId and attestationObject of one credential: these are of two",
        Check::CredentialIdLength => "use a key with shorter credential ids: no site has to take longer ones",
        Check::PublicKey => {
            "offer an algorithm in pubKeyCredParams that the site can verify: --hex has the key's bytes"
        }
        Check::Algorithm => "offer the algorithm in pubKeyCredParams: -7, -8 and -257 are what keys have",
        Check::AttestationFormat => "ask for attestation \"none\", if nothing depends on it",
        Check::AttestationStatement | Check::AttestationSignature => {
            "ask for attestation \"none\", if nothing depends on it; otherwise look at what changed the key's answer"
        }
        Check::AttestationCertificate | Check::AttestationCertificateAaguid => {
            "ask the maker of the key, whose certificate is not as it has to be; or ask for attestation \"none\""
        }
        Check::AttestationType => {
            "ask for attestation \"direct\" and have the user permit it, or accept what comes without"
        }
        Check::AttestationMetadata => "fetch FIDO's metadata anew, and look at what it reports of the model",
        Check::AttestationTrust => "add the root of the key's maker to those that the site trusts, if it is one",
        Check::AttestationAaguid => "enrol a key of a model that the policy lists, or add the AAGUID to it",
        Check::CredentialIdUnregistered => {
            "send excludeCredentials, so that browsers say so before: the key is registered already"
        }
        Check::Signature => {
            "verify by the public key of this credential, over the bytes as they were sent: keyrig explain --public-key"
        }
        Check::SignatureCounter => {
            "look whether the key was restored or copied, or two logins were answered at once; then report it only"
        }
        Check::ClientExtensions => "ask for the extensions whose outputs the site wants, and no others",
        Check::AuthenticatorExtensions => "ask for the extensions whose outputs the site wants, of a key that has them",
    }
}

impl From<&Check> for Code {
    fn from(check: &Check) -> Self {
        Self {
            code: check.id().to_owned(),
            by: "relying_party".to_owned(),
            text: check.requirement().to_owned(),
            attempt: attempt_of(*check).to_owned(),
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
