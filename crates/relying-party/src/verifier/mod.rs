//! Verification that explains: every check of WebAuthn Level 3, §7.1 and §7.2, is evaluated, and says what it expected
//! and what it found. It never stops at the first failure, so that somebody who has two mistakes sees both.
//!
//! [`verify_registration`] and [`verify_authentication`] take what a browser sent, read by [`RegistrationResponse`] and
//! [`AuthenticationResponse`], and what is expected of it. They return a [`Report`], and what to store if its verdict is
//! to accept. They keep nothing, and look at no clock: that a challenge is answered once, and in time, is the caller's.
//!
//! A check that has nothing to look at is *not applicable*; one that cannot look because something could not be read is
//! *not evaluated*, and names the check that failed before. So each mistake fails exactly the checks that are about it.
//!
//! `CHECKS.md` lists the checks. What is supported: the attestation statement formats none, packed and fido-u2f; the
//! algorithms ES256, ES384, EdDSA (Ed25519) and RS256.

mod attestation;
mod authentication;
mod authenticator_data;
mod check;
mod client_data;
mod credential;
mod expectations;
mod extensions;
mod origin;
mod public_key;
mod registration;
mod report;
mod webauthn_rs;

pub use self::attestation::{InvalidTrustAnchor, TrustAnchors};
pub use self::authentication::{Authentication, verify_authentication};
pub use self::check::Check;
pub use self::credential::{AuthenticationResponse, CredentialError, RegistrationResponse};
pub use self::expectations::{
    AttestationPolicy, AuthenticationExpectations, BackupPolicy, CounterPolicy, CredentialRecord, ExtensionPolicy,
    FlagPolicy, Framing, RecordUpdate, RegistrationExpectations, User,
};
pub use self::origin::{InvalidOrigin, OriginRule};
pub use self::public_key::SUPPORTED_ALGORITHMS;
pub use self::registration::{Registration, verify_registration};
pub use self::report::{Ceremony, Decision, Finding, Outcome, Report, Text, Verdict};
pub use self::webauthn_rs::{StoredRegistration, WebauthnRs};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::client_data::shown;
use self::report::Findings;

/// The longest credential id (WebAuthn Level 3, §7.1 and §6.5.1).
pub const MAX_CREDENTIAL_ID_BYTES: usize = 1023;

/// [`Check::CredentialType`] and [`Check::CredentialIdEncoding`].
fn check_credential(findings: &mut Findings, credential_type: &str, id: &str, raw_id: &[u8]) {
    findings.decide(Check::CredentialType, credential_type == "public-key", "public-key", shown(credential_type));
    let expected = URL_SAFE_NO_PAD.encode(raw_id);
    let pass = id == expected;
    let finding = findings.decide(Check::CredentialIdEncoding, pass, expected, shown(id));
    if !pass {
        finding.explanation = Some("the page has to send both as the browser gave them, encoded once".into());
    }
}

/// Bytes as a report shows them.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const MAX_SHOWN: usize = 64;
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    let mut text = String::with_capacity(2 * bytes.len().min(MAX_SHOWN) + 16);
    for byte in bytes.iter().take(MAX_SHOWN) {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0x0f));
    }
    if bytes.len() > MAX_SHOWN {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}
