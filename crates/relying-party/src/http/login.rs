//! Login over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::AuthenticationResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{Body, secret};
use super::schemas;
use super::session::{SessionCookie, SessionView};
use crate::audit_log::refused_logins;
use crate::realms::Requirement;
use crate::relying_party::{Answer, Ceremony, LoggedIn, Step};
use crate::sessions::SessionKind;
use crate::turns::Asker;
use crate::user_name::UserName;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    #[schema(value_type = UserName)]
    user: String,
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: Zeroizing<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginUnderWay)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginOnly {
    /// The secret identifier of the login under way.
    login: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginByCode)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    /// The secret identifier of the login under way.
    login: String,
    #[serde(deserialize_with = "secret")]
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginByRecoveryKey)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoveryKey {
    /// The secret identifier of the login under way.
    login: String,
    #[serde(deserialize_with = "secret")]
    key: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginByCredential)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    /// The secret identifier of the login under way.
    login: String,
    /// That of the ceremony.
    challenge: String,
    #[schema(schema_with = schemas::authentication_response)]
    credential: Value,
}

/// What a login has come to.
#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum LoginAnswer {
    /// A session began.
    LoggedIn {
        session: SessionView,
        /// On a site that explains, every check of what the key answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        report: Option<Value>,
    },
    /// A session began that is for adding the factor that the realm requires, and for nothing else.
    EnrolmentRequired {
        requirement: Requirement,
        session: SessionView,
        /// On a site that explains, every check of what the key answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        report: Option<Value>,
    },
    /// One of these factors is needed as well.
    SecondFactor {
        /// The secret identifier of the login under way.
        login: String,
        factors: OfferedFactors,
    },
}

/// The factors that a user can choose from.
#[derive(Serialize, ToSchema)]
pub(super) struct OfferedFactors {
    /// The ceremony that a security key can end.
    webauthn: Option<Ceremony>,
    /// Whether a code of an app will do.
    totp: bool,
    /// Whether there is an app, but locked.
    totp_locked: bool,
    /// How many recovery keys are left.
    recovery: Option<usize>,
    /// Which keys are for another RP ID than this site's, in a sentence.
    unusable_keys: Option<String>,
}

/// A login by a passkey alone that has begun.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyCeremony {
    /// The secret identifier of the login under way.
    login: String,
    #[serde(flatten)]
    ceremony: Ceremony,
}

/// What came of an attempt of somebody who is not known yet. A failure counts against the client that made it.
pub(super) fn counted<T>(
    relying_party: &RelyingParty,
    asker: &Asker,
    attempt: Result<T, Refusal>,
) -> Result<T, Refusal> {
    if let Err(
        Refusal::AuthenticationFailed { .. }
        | Refusal::LoginBlocked { .. }
        | Refusal::KeysUnusable { .. }
        | Refusal::FactorRequired { .. }
        | Refusal::UnknownLogin,
    ) = &attempt
    {
        relying_party.failures.add(asker);
    }
    if let Err(Refusal::UnknownLogin) = &attempt {
        // Nobody knows whose it was: there is no account to write it down with.
        refused_logins::log(
            asker.address,
            asker.account.as_deref().unwrap_or_default(),
            "the login is unknown or over",
        );
    }
    attempt
}

pub(super) async fn password(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    Body(Password { user, password }): Body<Password>,
) -> Result<Response, Refusal> {
    let name: UserName = user.parse()?;
    let asker = Asker { account: Some(name.to_string()), ..asker };
    let attempt = relying_party.log_in(&asker, name, password).await;
    Ok(match counted(&relying_party, &asker, attempt)? {
        Step::Session(logged_in) => session(&cookie, &logged_in),
        Step::SecondFactor(offer) => {
            let factors = OfferedFactors {
                webauthn: offer.webauthn,
                totp: offer.totp,
                totp_locked: offer.totp_locked,
                recovery: offer.recovery,
                unusable_keys: offer.unusable_keys,
            };
            Json(LoginAnswer::SecondFactor { login: offer.login, factors }).into_response()
        }
    })
}

/// A session with its cookie.
fn session(cookie: &SessionCookie, logged_in: &LoggedIn) -> Response {
    let session = SessionView::of(logged_in);
    let report = logged_in.report.clone();
    let body = match logged_in.session.kind {
        SessionKind::Full => LoginAnswer::LoggedIn { session, report },
        SessionKind::Enrolment => {
            LoginAnswer::EnrolmentRequired { requirement: logged_in.requirement, session, report }
        }
    };
    (cookie.set(&logged_in.session), Json(body)).into_response()
}

async fn finish(
    relying_party: Arc<RelyingParty>,
    asker: Asker,
    cookie: SessionCookie,
    login: String,
    answer: Answer,
) -> Result<Response, Refusal> {
    let attempt = relying_party.finish_login(&asker, login, answer).await;
    Ok(session(&cookie, &counted(&relying_party, &asker, attempt)?))
}

pub(super) async fn totp(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    Body(Code { login, code }): Body<Code>,
) -> Result<Response, Refusal> {
    finish(relying_party, asker, cookie, login, Answer::Totp(code)).await
}

pub(super) async fn recovery(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    Body(RecoveryKey { login, key }): Body<RecoveryKey>,
) -> Result<Response, Refusal> {
    finish(relying_party, asker, cookie, login, Answer::Recovery(key)).await
}

pub(super) async fn begin_webauthn(
    State(relying_party): Shared,
    asker: Asker,
    Body(LoginOnly { login }): Body<LoginOnly>,
) -> Result<Json<Ceremony>, Refusal> {
    let attempt = relying_party.begin_login_ceremony(&asker, login).await;
    counted(&relying_party, &asker, attempt).map(Json)
}

pub(super) async fn webauthn(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    page: Page,
    Body(Credential { login, challenge, credential }): Body<Credential>,
) -> Result<Response, Refusal> {
    let credential = Box::new(AuthenticationResponse::from_value_by(&credential, relying_party.strictness())?);
    finish(relying_party, asker, cookie, login, Answer::Webauthn { challenge, credential, page }).await
}

/// Nothing is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn begin_passkey(
    State(relying_party): Shared,
    asker: Asker,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<PasskeyCeremony>, Refusal> {
    // Counted until it succeeds: most never do.
    let begun = relying_party.begin_passkey_login(&asker).await;
    relying_party.failures.add(&asker);
    let (login, ceremony) = begun?;
    Ok(Json(PasskeyCeremony { login, ceremony }))
}

pub(super) async fn passkey(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    page: Page,
    Body(Credential { login, challenge, credential }): Body<Credential>,
) -> Result<Response, Refusal> {
    let response = AuthenticationResponse::from_value_by(&credential, relying_party.strictness())?;
    let attempt = relying_party.finish_passkey_login(&asker, login, challenge, response, page).await;
    let logged_in = counted(&relying_party, &asker, attempt)?;
    relying_party.failures.forgive(&asker);
    Ok(session(&cookie, &logged_in))
}
