//! What is answered when something is refused: a stable code for programs and a sentence for people.
//!
//! Whatever a login is refused for, the answer is the same: an outsider learns neither who exists nor what was wrong. The
//! cause is in the [report](crate::Store::report) whose identifier is answered, for administrators; on a rehearsal site
//! ([`Options::explain`](crate::Options)) it is in the answer too.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::CredentialError;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use utoipa::ToSchema;

use crate::challenges::ChallengeGone;
use crate::factors::FactorError;
use crate::groups::GroupError;
use crate::needed::Needed;
use crate::password::{InvalidPassword, MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES};
use crate::realms::{RealmError, Requirement};
use crate::roles::RoleError;
use crate::settings::SettingsError;
use crate::store::StoreError;
use crate::totp::{CodeRefused, TotpRefused};
use crate::turns::Busy;
use crate::user_name::InvalidUserName;
use crate::users::UserError;

/// What a transaction leads to: an error undoes it, a refusal is committed with it.
pub(crate) type Committed<T, E = StoreError> = Result<Result<T, Refusal>, E>;

/// A refusal: its text is the `reason` that is sent, [`Refusal::code`] the `code`.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The body is not the JSON that the route takes.
    #[error("the request cannot be read: {reason}")]
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
    /// The body did not arrive in time.
    #[error("the request body did not arrive within {} s", .limit.as_secs())]
    BodyTooSlow {
        /// The time that it may take.
        limit: Duration,
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
    #[error(transparent)]
    BadUserName(#[from] InvalidUserName),
    /// A login is refused, for whatever cause.
    #[error("{}", .report.reason("authentication failure"))]
    AuthenticationFailed {
        /// What an administrator can look up.
        report: ReportForUser,
    },
    /// A login is blocked because an enrolled factor or the password cannot be checked at present: nothing weaker will do.
    #[error("{}", .report.reason("this login cannot be checked at present; ask an administrator and name the report"))]
    LoginBlocked {
        /// What an administrator can look up.
        report: ReportForUser,
    },
    /// The user has security keys, and all of them are for another RP ID than the site's.
    #[error("{sentence}; ask an administrator and name the report")]
    KeysUnusable {
        /// Which keys are for what.
        sentence: String,
        /// What an administrator can look up.
        report: ReportForUser,
    },
    /// The realm requires a factor that the user does not have, and does not let users enrol at this point.
    #[error("the realm requires a second factor ({requirement}), and this account has none; ask an administrator")]
    FactorRequired {
        /// What it requires.
        requirement: Requirement,
    },
    /// A factor is not added.
    #[error("{}", .report.reason("the enrolment was refused"))]
    EnrolmentRefused {
        /// What an administrator can look up.
        report: ReportForUser,
    },
    /// The code that was to confirm a new TOTP factor is not right.
    #[error("the code is not right: {0}")]
    ConfirmationCodeWrong(#[source] CodeRefused),
    /// The login that was begun is not known, or no longer.
    #[error("this login is unknown or has expired; begin again with the password")]
    UnknownLogin,
    /// There is no session, or no longer.
    #[error("you are not logged in, or your session is over; log in")]
    NotLoggedIn,
    /// The session is for enrolment only.
    #[error("this session can only add the factor that the realm requires")]
    EnrolmentOnly,
    /// The token against cross-site requests is missing or another session's.
    #[error("the X-CSRF-Token header is not that of this session")]
    BadCsrfToken,
    /// The user's privileges do not allow it.
    #[error("this needs {needed}")]
    Forbidden {
        /// What is lacking.
        needed: Needed,
    },
    /// The password has to be given again first.
    #[error("confirm your password first: what you ask for needs that, and it is good for {} s", crate::CONFIRMATION_LIFETIME.as_secs())]
    ConfirmationRequired,
    /// The password that was given again is wrong.
    #[error("the password is wrong{}", if *.session_ended { "; the session was ended" } else { "" })]
    ConfirmationFailed {
        /// Whether that was once too often.
        session_ended: bool,
    },
    /// A password that cannot be set.
    #[error("a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")]
    BadPassword,
    /// The realm's passwords are kept elsewhere.
    #[error("passwords of the realm {realm} are kept in a directory elsewhere; they are set there")]
    PasswordElsewhere {
        /// The realm.
        realm: String,
    },
    /// What was begun is not known, answered already, or too old.
    #[error("{0}; begin again")]
    ChallengeGone(#[source] ChallengeGone),
    /// Logging in by a passkey alone is not enabled here.
    #[error("logging in with a passkey alone is not enabled here")]
    PasskeyLoginDisabled,
    /// WebAuthn cannot be used because of its settings.
    #[error("WebAuthn is unusable at present: its settings are wrong; ask an administrator")]
    WebauthnUnavailable {
        /// What is wrong with them: for the log.
        reason: String,
    },
    /// What was sent as a credential is none.
    #[error(transparent)]
    BadCredential(#[from] CredentialError),
    /// TOTP cannot be as asked for.
    #[error(transparent)]
    BadTotp(#[from] TotpRefused),
    /// A user cannot be added, found or changed.
    #[error(transparent)]
    User(UserError),
    /// Of a group.
    #[error(transparent)]
    Group(GroupError),
    /// Of a role.
    #[error(transparent)]
    Role(RoleError),
    /// A factor cannot be added, found, changed or deleted.
    #[error(transparent)]
    Factor(FactorError),
    /// A realm cannot be found or changed.
    #[error(transparent)]
    Realm(RealmError),
    /// There is no report of that identifier.
    #[error("there is no report {id:?}")]
    UnknownReport {
        /// The identifier.
        id: String,
    },
    /// More passwords or logins are under way than can be dealt with.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// The realm's directory gave no answer: nothing was done.
    #[error("the directory of this realm gives no answer; nothing was done")]
    DirectoryUnavailable {
        /// What it said: for the log.
        reason: String,
    },
    /// The store failed: nothing was done.
    #[error("the relying party cannot reach its database; nothing was done")]
    Unavailable {
        /// What failed: for the log.
        reason: String,
    },
}

/// What a user is told of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportForUser {
    /// The identifier that an administrator can look up.
    pub id: String,
    /// The report itself, on a rehearsal site.
    pub explanation: Option<Value>,
}

impl ReportForUser {
    /// The sentence that is the same for every cause, or on a rehearsal site the cause.
    fn reason<'a>(&'a self, same_for_all: &'a str) -> &'a str {
        let explained = self.explanation.as_ref().and_then(|report| report.get("explanation")).and_then(Value::as_str);
        explained.unwrap_or(same_for_all)
    }
}

impl Refusal {
    /// The stable name of the cause, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code_and_status().0
    }

    /// The HTTP status it is sent with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code_and_status().1
    }

    fn code_and_status(&self) -> (&'static str, StatusCode) {
        match self {
            Self::BadRequest { .. } => ("bad_request", StatusCode::BAD_REQUEST),
            Self::BadContentType => ("bad_content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::BodyTooLarge { .. } => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::BodyTooSlow { .. } => ("body_too_slow", StatusCode::REQUEST_TIMEOUT),
            Self::NotFound { .. } => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed { .. } => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::BadUserName(_) => ("bad_user_name", StatusCode::BAD_REQUEST),
            Self::AuthenticationFailed { .. } => ("authentication_failed", StatusCode::UNAUTHORIZED),
            Self::LoginBlocked { .. } => ("login_blocked", StatusCode::SERVICE_UNAVAILABLE),
            Self::KeysUnusable { .. } => ("keys_unusable", StatusCode::SERVICE_UNAVAILABLE),
            Self::FactorRequired { .. } => ("factor_required", StatusCode::UNAUTHORIZED),
            Self::EnrolmentRefused { .. } => ("enrolment_refused", StatusCode::FORBIDDEN),
            Self::ConfirmationCodeWrong(_) => ("confirmation_code_wrong", StatusCode::FORBIDDEN),
            Self::UnknownLogin => ("unknown_login", StatusCode::UNAUTHORIZED),
            Self::NotLoggedIn => ("not_logged_in", StatusCode::UNAUTHORIZED),
            Self::EnrolmentOnly => ("enrolment_only", StatusCode::FORBIDDEN),
            Self::BadCsrfToken => ("bad_csrf_token", StatusCode::FORBIDDEN),
            Self::Forbidden { .. } => ("forbidden", StatusCode::FORBIDDEN),
            Self::ConfirmationRequired => ("confirmation_required", StatusCode::FORBIDDEN),
            Self::ConfirmationFailed { .. } => ("confirmation_failed", StatusCode::FORBIDDEN),
            Self::BadPassword => ("bad_password", StatusCode::BAD_REQUEST),
            Self::PasswordElsewhere { .. } => ("password_elsewhere", StatusCode::CONFLICT),
            Self::ChallengeGone(_) => ("challenge_gone", StatusCode::GONE),
            Self::PasskeyLoginDisabled => ("passkey_login_disabled", StatusCode::FORBIDDEN),
            Self::WebauthnUnavailable { .. } => ("webauthn_unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::BadCredential(_) => ("bad_credential", StatusCode::BAD_REQUEST),
            Self::BadTotp(_) => ("bad_totp", StatusCode::BAD_REQUEST),
            Self::User(error) => match error {
                UserError::Unknown(_) => ("unknown_user", StatusCode::NOT_FOUND),
                UserError::Exists(_) => ("user_exists", StatusCode::CONFLICT),
                UserError::UnknownRealm(_) => ("unknown_realm", StatusCode::NOT_FOUND),
                UserError::PasswordElsewhere(_) => ("password_elsewhere", StatusCode::CONFLICT),
                UserError::Comment => ("bad_comment", StatusCode::BAD_REQUEST),
                UserError::PersonalName => ("bad_name", StatusCode::BAD_REQUEST),
                UserError::Email => ("bad_email", StatusCode::BAD_REQUEST),
                UserError::Group(error) => of_group(error),
                UserError::TokenName => ("bad_token_name", StatusCode::BAD_REQUEST),
                UserError::TokenExists { .. } => ("token_exists", StatusCode::CONFLICT),
                UserError::UnknownToken { .. } => ("unknown_token", StatusCode::NOT_FOUND),
                UserError::UnknownSession { .. } => ("unknown_session", StatusCode::NOT_FOUND),
                UserError::TooManyTokens(_) => ("too_many_tokens", StatusCode::CONFLICT),
                UserError::LastAdministrator(_) => ("last_administrator", StatusCode::CONFLICT),
                UserError::Store(_) => UNAVAILABLE,
            },
            Self::Group(error) => of_group(error),
            Self::Role(error) => match error {
                RoleError::Unknown(_) => ("unknown_role", StatusCode::NOT_FOUND),
                RoleError::Exists(_) => ("role_exists", StatusCode::CONFLICT),
                RoleError::Name(_) | RoleError::Reserved => ("bad_role_name", StatusCode::BAD_REQUEST),
                RoleError::BuiltIn(_) => ("role_is_built_in", StatusCode::CONFLICT),
                RoleError::InUse(_) => ("role_is_in_use", StatusCode::CONFLICT),
                RoleError::Privilege(_) => ("bad_privileges", StatusCode::BAD_REQUEST),
                RoleError::TooMany => ("too_many_roles", StatusCode::CONFLICT),
                RoleError::NoAdministrator => ("last_administrator", StatusCode::CONFLICT),
                RoleError::User(_) => ("unknown_user", StatusCode::NOT_FOUND),
                RoleError::Group(error) => of_group(error),
                RoleError::Store(_) => UNAVAILABLE,
            },
            Self::Factor(error) => match error {
                FactorError::UnknownUser(_) => ("unknown_user", StatusCode::NOT_FOUND),
                FactorError::Unknown { .. } => ("unknown_factor", StatusCode::NOT_FOUND),
                FactorError::Description => ("bad_description", StatusCode::BAD_REQUEST),
                FactorError::TooMany(_) => ("too_many_factors", StatusCode::CONFLICT),
                FactorError::RecoveryKeysExist(_) => ("recovery_keys_exist", StatusCode::CONFLICT),
                FactorError::CredentialExists { .. } => ("credential_exists", StatusCode::CONFLICT),
                FactorError::NoPasskeyOf { .. } => ("no_passkey_of_factor", StatusCode::CONFLICT),
                FactorError::Required { .. } => ("factor_is_required", StatusCode::CONFLICT),
                FactorError::Store(_) => UNAVAILABLE,
            },
            Self::Realm(error) => match error {
                RealmError::Unknown(_) => ("unknown_realm", StatusCode::NOT_FOUND),
                RealmError::Exists(_) => ("realm_exists", StatusCode::CONFLICT),
                RealmError::Name(_) | RealmError::Comment => ("bad_realm", StatusCode::BAD_REQUEST),
                RealmError::NothingToChange => ("bad_request", StatusCode::BAD_REQUEST),
                RealmError::NotBuilt { .. } | RealmError::BuiltInType { .. } => {
                    ("bad_realm_type", StatusCode::CONFLICT)
                }
                RealmError::BuiltIn(_) => ("realm_is_built_in", StatusCode::CONFLICT),
                RealmError::InUse { .. } => ("realm_is_in_use", StatusCode::CONFLICT),
                RealmError::Oath { .. } => ("bad_oath", StatusCode::BAD_REQUEST),
                RealmError::NotOfPolicy { .. } => ("not_of_policy", StatusCode::CONFLICT),
                RealmError::Option(_)
                | RealmError::OfDirectories { .. }
                | RealmError::NoOption { .. }
                | RealmError::SetAndDeleted(_)
                | RealmError::BindPasswordMissing
                | RealmError::BindDnMissing
                | RealmError::BindPasswordLength => ("bad_directory_option", StatusCode::BAD_REQUEST),
                RealmError::ChangedMeanwhile => ("realm_changed_meanwhile", StatusCode::CONFLICT),
                RealmError::NotADirectory(_) => ("not_a_directory", StatusCode::CONFLICT),
                RealmError::ScopeMissing => ("scope_missing", StatusCode::BAD_REQUEST),
                RealmError::PasswordAgain => ("bind_password_required", StatusCode::CONFLICT),
                RealmError::BindPassword { .. } => UNAVAILABLE,
                RealmError::Unavailable { .. } => ("directory_unavailable", StatusCode::SERVICE_UNAVAILABLE),
                RealmError::NobodyFound { .. } => ("directory_has_nobody", StatusCode::CONFLICT),
                RealmError::LastAdministrator(_) => ("last_administrator", StatusCode::CONFLICT),
                RealmError::Store(_) => UNAVAILABLE,
            },
            Self::UnknownReport { .. } => ("unknown_report", StatusCode::NOT_FOUND),
            Self::DirectoryUnavailable { .. } => ("directory_unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Busy => ("busy", StatusCode::TOO_MANY_REQUESTS),
            Self::Unavailable { .. } => UNAVAILABLE,
        }
    }

    fn report(&self) -> Option<&ReportForUser> {
        match self {
            Self::AuthenticationFailed { report }
            | Self::LoginBlocked { report }
            | Self::KeysUnusable { report, .. }
            | Self::EnrolmentRefused { report } => Some(report),
            _ => None,
        }
    }
}

const UNAVAILABLE: (&str, StatusCode) = ("unavailable", StatusCode::SERVICE_UNAVAILABLE);

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Unavailable { reason: error.to_string() }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Store(error) => error.into(),
            other => Self::User(other),
        }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Store(error) => error.into(),
            other => Self::Group(other),
        }
    }
}

impl From<RoleError> for Refusal {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::Store(error) => error.into(),
            RoleError::User(error) => error.into(),
            RoleError::Group(error) => error.into(),
            other => Self::Role(other),
        }
    }
}

impl From<FactorError> for Refusal {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Store(error) => error.into(),
            other => Self::Factor(other),
        }
    }
}

impl From<RealmError> for Refusal {
    fn from(error: RealmError) -> Self {
        match error {
            RealmError::Store(error) => error.into(),
            other => Self::Realm(other),
        }
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        Self::WebauthnUnavailable { reason: error.to_string() }
    }
}

impl From<Busy> for Refusal {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl From<InvalidPassword> for Refusal {
    fn from(InvalidPassword: InvalidPassword) -> Self {
        Self::BadPassword
    }
}

/// The body of every answer that is not a success.
#[derive(Serialize, ToSchema)]
#[schema(as = Refusal)]
pub(crate) struct RefusalBody<'a> {
    /// Who refuses: `relying_party`.
    refused_by: &'static str,
    /// A word for programs, which stays the same where texts are bettered.
    code: &'a str,
    /// For people.
    reason: String,
    /// What an administrator can look up the cause by.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_id: Option<&'a str>,
    /// The report itself, on a site that explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<&'a Value>,
}

fn of_group(error: &GroupError) -> (&'static str, StatusCode) {
    match error {
        GroupError::Unknown(_) => ("unknown_group", StatusCode::NOT_FOUND),
        GroupError::Exists(_) => ("group_exists", StatusCode::CONFLICT),
        GroupError::Name(_) => ("bad_group_name", StatusCode::BAD_REQUEST),
        GroupError::Comment => ("bad_comment", StatusCode::BAD_REQUEST),
        GroupError::TooMany => ("too_many_groups", StatusCode::CONFLICT),
        GroupError::NoAdministrator => ("last_administrator", StatusCode::CONFLICT),
        GroupError::Store(_) => UNAVAILABLE,
    }
}

/// The body of an answer to what is no request.
pub(crate) fn of_what_is_no_request(status: StatusCode) -> String {
    let (code, reason) = match status {
        StatusCode::URI_TOO_LONG => ("uri_too_long", "the address is too long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("head_too_large", "the request's head is too large"),
        StatusCode::UPGRADE_REQUIRED => ("tls_required", "this site speaks TLS: write https:// in place of http://"),
        _ => ("bad_request", "this is no HTTP request"),
    };
    let body =
        RefusalBody { refused_by: "relying_party", code, reason: reason.to_owned(), report_id: None, report: None };
    serde_json::to_string(&body).unwrap_or_default()
}

impl Refusal {
    /// Its body, in JSON; the log has heard of it.
    pub(crate) fn body(&self) -> impl Serialize + '_ {
        let (code, _) = self.code_and_status();
        match self {
            Self::DirectoryUnavailable { reason } => tracing::error!(code, reason, "a directory gives no answer"),
            Self::Unavailable { reason } => tracing::error!(code, reason, "the store failed"),
            Self::WebauthnUnavailable { reason } => tracing::error!(code, reason, "the settings of WebAuthn are wrong"),
            other => tracing::debug!(code, reason = %other, "refused"),
        }
        let report = self.report();
        RefusalBody {
            refused_by: "relying_party",
            code,
            reason: self.to_string(),
            report_id: report.map(|report| report.id.as_str()),
            report: report.and_then(|report| report.explanation.as_ref()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
    }
}
