//! Login over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::AuthenticationResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::body::{Body, secret};
use super::session::{SessionCookie, SessionView};
use crate::audit_log::refused_logins;
use crate::relying_party::{Answer, LoggedIn, Step};
use crate::sessions::SessionKind;
use crate::turns::Asker;
use crate::user_name::UserName;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    user: String,
    #[serde(deserialize_with = "secret")]
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginOnly {
    login: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    login: String,
    #[serde(deserialize_with = "secret")]
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoveryKey {
    login: String,
    #[serde(deserialize_with = "secret")]
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    login: String,
    challenge: String,
    credential: Value,
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
            let body = json!({
                "state": "second_factor",
                "login": offer.login,
                "factors": {
                    "webauthn": offer.webauthn,
                    "totp": offer.totp,
                    "totp_locked": offer.totp_locked,
                    "recovery": offer.recovery,
                    "unusable_keys": offer.unusable_keys,
                },
            });
            Json(body).into_response()
        }
    })
}

/// A session with its cookie.
fn session(cookie: &SessionCookie, logged_in: &LoggedIn) -> Response {
    let view = SessionView::of(logged_in);
    let mut body = match logged_in.session.kind {
        SessionKind::Full => json!({ "state": "logged_in", "session": view }),
        SessionKind::Enrolment => json!({
            "state": "enrolment_required",
            "requirement": logged_in.requirement,
            "session": view,
        }),
    };
    explained(&mut body, logged_in.report.as_ref());
    (cookie.set(&logged_in.session), Json(body)).into_response()
}

/// Puts the report of a verification into an answer, where there is one.
pub(super) fn explained(body: &mut Value, report: Option<&Value>) {
    if let (Some(members), Some(report)) = (body.as_object_mut(), report) {
        members.insert("report".to_owned(), report.clone());
    }
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
) -> Result<Response, Refusal> {
    let attempt = relying_party.begin_login_ceremony(&asker, login).await;
    Ok(Json(counted(&relying_party, &asker, attempt)?).into_response())
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn begin_passkey(
    State(relying_party): Shared,
    asker: Asker,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Response, Refusal> {
    // Counted until it succeeds: most never do.
    let begun = relying_party.begin_passkey_login(&asker).await;
    relying_party.failures.add(&asker);
    let (login, ceremony) = begun?;
    let body = json!({ "login": login, "challenge": ceremony.challenge, "options": ceremony.options });
    Ok(Json(body).into_response())
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
