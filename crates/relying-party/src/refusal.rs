//! Why a request is refused: one variant and one stable code per cause, in words that say what was expected and what
//! was found.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use webauthn_rs::prelude::WebauthnError;

/// What a ceremony is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To give a user another credential.
    Registration,
    /// To prove possession of a credential.
    Login,
}

impl Purpose {
    /// The `type` of its client data (WebAuthn Level 3, §5.8.1).
    pub(crate) fn client_data_type(self) -> &'static str {
        match self {
            Self::Registration => "webauthn.create",
            Self::Login => "webauthn.get",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Registration => "registration",
            Self::Login => "login",
        })
    }
}

/// A refusal: its text is the `reason` that is sent, [`Refusal::code`] the `code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is not the JSON that the route takes.
    #[error("the request body cannot be read: {reason}")]
    BadRequest {
        /// What is wrong, and at which place.
        reason: String,
    },
    /// The body is not declared to be JSON.
    #[error("the request has no JSON body; send it with Content-Type: application/json")]
    BadContentType,
    /// The body is longer than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    #[error("the request body is longer than {limit} bytes")]
    BodyTooLarge {
        /// The most that is read.
        limit: usize,
    },
    /// There is no such route.
    #[error("there is nothing at {path}")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// The route exists, for another method.
    #[error("{path} does not take {method}; the Allow header says what it takes")]
    MethodNotAllowed {
        /// The method used.
        method: String,
        /// The path asked for.
        path: String,
    },
    /// A user name that cannot be one.
    #[error("a user name is 1 to 64 of the characters A-Z a-z 0-9 . _ - @ +")]
    BadUserName,
    /// A credential's name that cannot be one.
    #[error("a credential's name is 1 to 64 bytes without control characters")]
    BadCredentialName,
    /// Nobody has that name.
    #[error("there is no user {user}; a user comes into being with the first registration")]
    UnknownUser {
        /// The name asked for.
        user: String,
    },
    /// A login of a user who has nothing to log in with.
    #[error("the user {user} has no credential; register one first")]
    NoCredentials {
        /// The name asked for.
        user: String,
    },
    /// No ceremony has that identifier: never begun, finished already, or dropped because its user began too many.
    #[error(
        "there is no such ceremony: it was never begun, is finished already (a challenge is good for one answer), or its user has begun too many since; begin again"
    )]
    UnknownCeremony,
    /// A ceremony was sent to the finish of the other kind. It is used up by that.
    #[error("this ceremony is a {found}, sent to the end of a {expected}; begin again and finish it where it belongs")]
    WrongCeremony {
        /// What the route finishes.
        expected: Purpose,
        /// What the ceremony was begun as.
        found: Purpose,
    },
    /// The answer came too late.
    #[error("the challenge has expired: it had to be answered within {} s; begin again", .lifetime.as_secs())]
    ExpiredChallenge {
        /// How long the challenge could be answered.
        lifetime: Duration,
    },
    /// [`MAX_CEREMONIES`](crate::MAX_CEREMONIES) are under way.
    #[error("too many ceremonies are under way; try again when some have finished or expired")]
    TooManyCeremonies,
    /// There are [`MAX_USERS`](crate::MAX_USERS) already.
    #[error("there are as many users as this relying party keeps ({})", crate::MAX_USERS)]
    TooManyUsers,
    /// The user has [`MAX_CREDENTIALS_PER_USER`](crate::MAX_CREDENTIALS_PER_USER) already.
    #[error("the user {user} has as many credentials as a user can have ({})", crate::MAX_CREDENTIALS_PER_USER)]
    TooManyCredentials {
        /// The user.
        user: String,
    },
    /// The credential belongs to this user or another.
    #[error("this credential is registered already, to {}; use another security key", if *.to_same_user { "this user" } else { "another user" })]
    AlreadyRegistered {
        /// Whether it belongs to the user who registers it again.
        to_same_user: bool,
    },
    /// `id` is not base64url of `rawId`, or `rawId` is not the credential's ID.
    #[error("the credential's id, rawId and the ID that the authenticator made do not agree: {reason}")]
    CredentialIdMismatch {
        /// Which of them disagree.
        reason: &'static str,
    },
    /// The client data is not JSON, or lacks a member.
    #[error("clientDataJSON cannot be read: {reason}")]
    BadClientData {
        /// What is wrong, and at which place.
        reason: String,
    },
    /// The client data is that of another operation.
    #[error("clientDataJSON has the type {found:?}, expected {expected:?}")]
    WrongType {
        /// The type this ceremony has.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// The client data answers another challenge.
    #[error("clientDataJSON answers the challenge {found:?}, expected {expected:?}")]
    ChallengeMismatch {
        /// This ceremony's challenge, base64url.
        expected: String,
        /// The challenge found.
        found: String,
    },
    /// The client data comes from an origin that is not allowed.
    #[error("the page's origin is {found:?}, expected {}", one_of(.expected))]
    OriginMismatch {
        /// The origins allowed.
        expected: Vec<String>,
        /// The origin found.
        found: String,
    },
    /// The operation ran in a frame of another site's page.
    #[error("the page ran in a cross-origin frame{}, expected a page of its own", .top_origin.as_ref().map_or(String::new(), |origin| format!(" of {origin:?}")))]
    CrossOrigin {
        /// The origin of the page around the frame, if the client said so.
        top_origin: Option<String>,
    },
    /// The authenticator data is for another RP ID.
    #[error("the authenticator answered for another RP ID: its rpIdHash is not the SHA-256 of {rp_id:?}")]
    RpIdHashMismatch {
        /// The RP ID expected.
        rp_id: String,
    },
    /// The UP flag is 0.
    #[error("the authenticator did not test user presence: the UP flag is 0, expected 1")]
    UserNotPresent,
    /// The UV flag is 0 where the credential's registration makes it necessary.
    #[error("the authenticator did not verify the user: the UV flag is 0, expected 1")]
    UserNotVerified,
    /// The assertion's userHandle is another user's.
    #[error("the userHandle is not that of the user who logs in")]
    UserHandleMismatch,
    /// The assertion is by a credential that this login does not allow.
    #[error("the credential is not one that this login allows: it is registered to {}", if *.registered_to_another_user { "another user" } else { "nobody, or was registered after this login began" })]
    UnknownCredential {
        /// Whether somebody else has it.
        registered_to_another_user: bool,
    },
    /// The signature does not verify under the credential's public key.
    #[error("the signature does not verify under the credential's public key")]
    BadSignature,
    /// The signature counter did not grow: perhaps a clone.
    #[error("the signature counter is {found}, expected more than {stored}: the key may have been cloned")]
    CounterRegression {
        /// The counter of the credential record.
        stored: u32,
        /// The counter found.
        found: u32,
    },
    /// The BE and BS flags contradict each other or the credential record.
    #[error("the backup flags (BE, BS) are not those of a credential that stays on its security key: {reason}")]
    BackupState {
        /// The verifier's words.
        reason: String,
    },
    /// The public key is of an algorithm that was not asked for.
    #[error("the credential's algorithm is none of those offered in pubKeyCredParams")]
    AlgorithmNotOffered,
    /// The authenticator data or the attestation object around it is malformed.
    #[error("the authenticator's answer cannot be read: {reason}")]
    BadAuthenticatorData {
        /// The verifier's words.
        reason: String,
    },
    /// The public key is malformed.
    #[error("the credential's public key cannot be used: {reason}")]
    BadPublicKey {
        /// The verifier's words.
        reason: String,
    },
    /// The attestation statement does not verify.
    #[error("the attestation does not verify: {reason}")]
    BadAttestation {
        /// The verifier's words.
        reason: String,
    },
    /// The verifier refused for a cause that has no code of its own: its words and its name for it.
    #[error("verification failed: {reason}")]
    VerificationFailed {
        /// The verifier's words.
        reason: String,
    },
    /// This relying party could not do its part: our bug.
    #[error("the relying party failed: {reason}; this is a bug in keyrig, please report it")]
    Internal {
        /// What failed.
        reason: String,
    },
}

impl Refusal {
    /// The stable name of the cause, for programs.
    pub fn code(&self) -> &'static str {
        self.code_and_status().0
    }

    /// The HTTP status it is sent with.
    pub fn status(&self) -> StatusCode {
        self.code_and_status().1
    }

    fn code_and_status(&self) -> (&'static str, StatusCode) {
        match self {
            Self::BadRequest { .. } => ("bad_request", StatusCode::BAD_REQUEST),
            Self::BadContentType => ("bad_content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::BodyTooLarge { .. } => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::NotFound { .. } => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed { .. } => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::BadUserName => ("bad_user_name", StatusCode::BAD_REQUEST),
            Self::BadCredentialName => ("bad_credential_name", StatusCode::BAD_REQUEST),
            Self::UnknownUser { .. } => ("unknown_user", StatusCode::NOT_FOUND),
            Self::NoCredentials { .. } => ("no_credentials", StatusCode::NOT_FOUND),
            Self::UnknownCeremony => ("unknown_ceremony", StatusCode::NOT_FOUND),
            Self::WrongCeremony { .. } => ("wrong_ceremony", StatusCode::CONFLICT),
            Self::ExpiredChallenge { .. } => ("expired_challenge", StatusCode::GONE),
            Self::TooManyCeremonies => ("too_many_ceremonies", StatusCode::TOO_MANY_REQUESTS),
            Self::TooManyUsers => ("too_many_users", StatusCode::CONFLICT),
            Self::TooManyCredentials { .. } => ("too_many_credentials", StatusCode::CONFLICT),
            Self::AlreadyRegistered { .. } => ("already_registered", StatusCode::CONFLICT),
            Self::CredentialIdMismatch { .. } => ("credential_id_mismatch", StatusCode::FORBIDDEN),
            Self::BadClientData { .. } => ("bad_client_data", StatusCode::FORBIDDEN),
            Self::WrongType { .. } => ("wrong_type", StatusCode::FORBIDDEN),
            Self::ChallengeMismatch { .. } => ("challenge_mismatch", StatusCode::FORBIDDEN),
            Self::OriginMismatch { .. } => ("origin_mismatch", StatusCode::FORBIDDEN),
            Self::CrossOrigin { .. } => ("cross_origin", StatusCode::FORBIDDEN),
            Self::RpIdHashMismatch { .. } => ("rp_id_hash_mismatch", StatusCode::FORBIDDEN),
            Self::UserNotPresent => ("user_not_present", StatusCode::FORBIDDEN),
            Self::UserNotVerified => ("user_not_verified", StatusCode::FORBIDDEN),
            Self::UserHandleMismatch => ("user_handle_mismatch", StatusCode::FORBIDDEN),
            Self::UnknownCredential { .. } => ("unknown_credential", StatusCode::FORBIDDEN),
            Self::BadSignature => ("bad_signature", StatusCode::FORBIDDEN),
            Self::CounterRegression { .. } => ("counter_regression", StatusCode::FORBIDDEN),
            Self::BackupState { .. } => ("backup_state", StatusCode::FORBIDDEN),
            Self::AlgorithmNotOffered => ("algorithm_not_offered", StatusCode::FORBIDDEN),
            Self::BadAuthenticatorData { .. } => ("bad_authenticator_data", StatusCode::FORBIDDEN),
            Self::BadPublicKey { .. } => ("bad_public_key", StatusCode::FORBIDDEN),
            Self::BadAttestation { .. } => ("bad_attestation", StatusCode::FORBIDDEN),
            Self::VerificationFailed { .. } => ("verification_failed", StatusCode::FORBIDDEN),
            Self::Internal { .. } => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// What webauthn-rs's error says when nothing more is known. Causes of which more is known (what was expected, what
    /// was found) are told where it is known: in the ceremonies.
    pub(crate) fn from_verifier(error: &WebauthnError) -> Self {
        let reason = error.to_string();
        match error {
            WebauthnError::UserNotPresent => Self::UserNotPresent,
            WebauthnError::UserNotVerified => Self::UserNotVerified,
            WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => Self::BadSignature,
            // It knows no EdDSA, so it never offers any.
            WebauthnError::CredentialAlteredAlgFromRequest
            | WebauthnError::COSEKeyEDUnsupported
            | WebauthnError::SshPublicKeyEDUnsupported => Self::AlgorithmNotOffered,
            WebauthnError::CredentialMayNotBeHardwareBound | WebauthnError::CredentialBackupEligibilityInconsistent => {
                Self::BackupState { reason }
            }
            WebauthnError::ParseCBORFailure(_)
            | WebauthnError::ParseNOMFailure
            | WebauthnError::ParseInsufficientBytesAvailable
            | WebauthnError::MissingAttestationCredentialData
            | WebauthnError::InvalidExtensions
            | WebauthnError::AuthenticatorDataMissingExtension => Self::BadAuthenticatorData { reason },
            WebauthnError::COSEKeyInvalidCBORValue
            | WebauthnError::COSEKeyInvalidType
            | WebauthnError::COSEKeyECDSAXYInvalid
            | WebauthnError::COSEKeyRSANEInvalid
            | WebauthnError::COSEKeyECDSAInvalidCurve
            | WebauthnError::COSEKeyEDDSAXInvalid
            | WebauthnError::COSEKeyEDDSAInvalidCurve
            | WebauthnError::COSEKeyInvalidAlgorithm
            | WebauthnError::CredentialInsecureCryptography
            | WebauthnError::EcdsaPointInvalid
            | WebauthnError::RsaParametersInvalid => Self::BadPublicKey { reason },
            WebauthnError::AttestationNotSupported
            | WebauthnError::AttestationStatementMapInvalid
            | WebauthnError::AttestationStatementResponseMissing
            | WebauthnError::AttestationStatementResponseInvalid
            | WebauthnError::AttestationStatementSigMissing
            | WebauthnError::AttestationStatementSigInvalid
            | WebauthnError::AttestationStatementX5CMissing
            | WebauthnError::AttestationStatementX5CInvalid
            | WebauthnError::AttestationStatementAlgMissing
            | WebauthnError::AttestationStatementAlgMismatch
            | WebauthnError::AttestationStatementAlgInvalid
            | WebauthnError::AttestationCertificateAAGUIDMismatch
            | WebauthnError::AttestationCertificateRequirementsNotMet
            | WebauthnError::AttestationNotVerifiable
            | WebauthnError::AttestationChainNotTrusted(_)
            | WebauthnError::CertificatePublicKeyInvalid => Self::BadAttestation { reason },
            _ => Self::VerificationFailed { reason: format!("{reason} ({error:?})") },
        }
    }
}

fn one_of(origins: &[String]) -> String {
    let quoted: Vec<_> = origins.iter().map(|origin| format!("{origin:?}")).collect();
    quoted.join(" or ")
}

#[derive(Serialize)]
struct Body<'a> {
    refused_by: &'static str,
    code: &'a str,
    reason: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (code, status) = self.code_and_status();
        let reason = self.to_string();
        tracing::info!(code, reason, "refused");
        (status, Json(Body { refused_by: "relying_party", code, reason })).into_response()
    }
}
