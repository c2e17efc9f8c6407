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
//! A ceremony that somebody recorded in another form is read by [`Recording`], and [`Structure`] has the fields of what is binary, with
//! their places.
//!
//! `CHECKS.md` lists the checks. What is supported: the attestation statement formats none, packed, tpm,
//! android-key, apple, fido-u2f and compound; the algorithms ES256, ES384, ES512, EdDSA (Ed25519), RS256, PS256, PS384, PS512, ML-DSA-44,
//! ML-DSA-65 and ML-DSA-87.

mod attestation;
mod authentication;
mod authenticator_data;
mod cbor;
mod check;
mod client_data;
mod credential;
mod expectations;
mod extensions;
mod origin;
mod public_key;
mod recording;
mod registration;
mod report;
mod shown;
mod strictness;
mod structure;
#[cfg(feature = "webauthn-rs")]
mod webauthn_rs;

pub use self::attestation::metadata::{TrustedMetadata, UntrustedMetadata};
pub use self::attestation::trust::{InvalidTrustAnchor, TrustAnchors};
pub use self::authentication::{Authentication, verify_authentication};
pub use self::check::Check;
pub use self::credential::{AuthenticationResponse, CredentialError, MAX_CREDENTIAL_ID_BYTES, RegistrationResponse};
pub use self::expectations::{
    AttestationPolicy, AuthenticationExpectations, BackupPolicy, CredentialRecord, ExtensionPolicy, FlagPolicy,
    Framing, RecordUpdate, RegistrationExpectations, User,
};
pub use self::origin::{InvalidOrigin, OriginMismatch, OriginRule, judge_origin};
pub use self::public_key::{GivenPublicKey, InvalidPublicKey, SUPPORTED_ALGORITHMS};
pub use self::recording::{
    InvalidRecording, MAX_HAR_BYTES, MAX_RECORDING_BYTES, RecordedCreation, RecordedRequest, Recording, Scrap,
};
pub use self::registration::{Registration, verify_registration};
pub use self::report::{Ceremony, Decision, Finding, Outcome, Report, Text, Verdict};
pub use self::strictness::{ClientDataDecoding, Deviation, Strictness};
pub use self::structure::{Broken, Field, Structure};
#[cfg(feature = "webauthn-rs")]
pub use self::webauthn_rs::{StoredRegistration, UserVerification, WebauthnRs};
