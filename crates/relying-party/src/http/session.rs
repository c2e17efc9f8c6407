//! Sessions over HTTP: the cookie that carries one, the token against cross-site requests, and what may be done with which.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::body::Body;
use crate::audit_log::{self, Actor, EventKind};
use crate::login::LoggedIn;
use crate::notices::{self, Notice};
use crate::password::{PasswordHash, Verified};
use crate::sessions::{self, NewSession, Session, SessionKind};
use crate::store::{StoreError, seconds};
use crate::users::{Role, User, UserName};
use crate::{Refusal, RelyingParty, factors, users};

/// The request header that has to carry the session's token on every request that changes something.
pub const CSRF_HEADER: &str = "x-csrf-token";

const COOKIE_NAME: &str = "keyrig_session";

/// Browsers take a cookie of this prefix only from the host itself, over TLS.
const SECURE_COOKIE_NAME: &str = "__Host-keyrig_session";

/// The one header of an answer that gives a browser its session, or takes it.
type SetCookie = AppendHeaders<[(HeaderName, String); 1]>;

impl RelyingParty {
    fn cookie_name(&self) -> &'static str {
        if self.over_tls { SECURE_COOKIE_NAME } else { COOKIE_NAME }
    }

    /// The header that gives a browser its session.
    pub(super) fn set_cookie(&self, session: &NewSession) -> SetCookie {
        let lifetime = match session.kind {
            SessionKind::Full => sessions::SESSION_LIFETIME,
            SessionKind::Enrolment => sessions::ENROLMENT_LIFETIME,
        };
        self.cookie(&session.token, lifetime.as_secs())
    }

    fn clear_cookie(&self) -> SetCookie {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, max_age: u64) -> SetCookie {
        let (name, secure) = (self.cookie_name(), if self.over_tls { "; Secure" } else { "" });
        let cookie = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        AppendHeaders([(SET_COOKIE, cookie)])
    }
}

/// The value of a cookie. Of several with the name the first counts: browsers send the most specific first.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok()).flat_map(|text| text.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Any session, for enrolment too.
pub(super) struct Enrolling(pub(super) Session);

/// A session that is good for everything its user may do.
pub(super) struct LoggedInAs(pub(super) Session);

/// A session that may change factors: the password was given again lately.
pub(super) struct Confirmed(pub(super) Session);

impl FromRequestParts<Arc<RelyingParty>> for Enrolling {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let token = cookie(&parts.headers, state.cookie_name()).ok_or(Refusal::NotLoggedIn)?.to_owned();
        let session = state
            .work(move |this| Ok(this.store.read(|connection| sessions::find(connection, &token, this.clock.now()))?))
            .await?
            .ok_or(Refusal::NotLoggedIn)?;
        let changes = !matches!(parts.method, Method::GET | Method::HEAD);
        let csrf_token = parts.headers.get(CSRF_HEADER).map_or(&b""[..], |token| token.as_bytes());
        if changes && !bool::from(csrf_token.ct_eq(session.csrf_token.as_bytes())) {
            return Err(Refusal::BadCsrfToken);
        }
        Ok(Self(session))
    }
}

impl FromRequestParts<Arc<RelyingParty>> for LoggedInAs {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let Enrolling(session) = Enrolling::from_request_parts(parts, state).await?;
        match session.kind {
            SessionKind::Full => Ok(Self(session)),
            SessionKind::Enrolment => Err(Refusal::EnrolmentOnly),
        }
    }
}

impl FromRequestParts<Arc<RelyingParty>> for Confirmed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let Enrolling(session) = Enrolling::from_request_parts(parts, state).await?;
        if session.is_confirmed(state.clock.now()) { Ok(Self(session)) } else { Err(Refusal::ConfirmationRequired) }
    }
}

impl LoggedInAs {
    /// The session, if its user is an administrator.
    pub(super) fn administrator(self) -> Result<Session, Refusal> {
        match self.0.user.role {
            Role::Administrator => Ok(self.0),
            _ => Err(Refusal::Forbidden { needed: "administrator" }),
        }
    }

    /// The session, if its user may see what concerns others.
    pub(super) fn auditor(self) -> Result<Session, Refusal> {
        match self.0.user.role {
            Role::Administrator | Role::Auditor => Ok(self.0),
            Role::User => Err(Refusal::Forbidden { needed: "administrator or auditor" }),
        }
    }

    /// The session, if `user` is its own or it may see what concerns others.
    pub(super) fn self_or_auditor(self, user: &UserName) -> Result<Session, Refusal> {
        if self.0.user.name == *user { Ok(self.0) } else { self.auditor() }
    }
}

/// A session as its browser sees it.
#[derive(Serialize)]
pub(super) struct SessionView {
    user: UserName,
    role: Role,
    /// `full` or `enrolment`.
    kind: &'static str,
    csrf_token: String,
    expires: u64,
    notices: Vec<Notice>,
}

impl SessionView {
    pub(super) fn new(user: &User, session: &NewSession, notices: Vec<Notice>) -> Self {
        Self {
            user: user.name.clone(),
            role: user.role,
            kind: session.kind.name(),
            csrf_token: session.csrf_token.clone(),
            expires: seconds(session.expires),
            notices,
        }
    }

    pub(super) fn of(logged_in: &LoggedIn) -> Self {
        Self::new(&logged_in.user, &logged_in.session, logged_in.notices.clone())
    }
}

pub(super) async fn show(
    State(relying_party): State<Arc<RelyingParty>>,
    Enrolling(session): Enrolling,
) -> Result<Json<SessionView>, Refusal> {
    relying_party
        .work(move |this| {
            let factors = this.store.read(|connection| factors::load(connection, session.user.id))?;
            Ok(Json(SessionView {
                user: session.user.name.clone(),
                role: session.user.role,
                kind: session.kind.name(),
                csrf_token: session.csrf_token,
                expires: seconds(session.expires),
                notices: notices::of(&session.user, &factors),
            }))
        })
        .await
}

pub(super) async fn end(
    State(relying_party): State<Arc<RelyingParty>>,
    Enrolling(session): Enrolling,
) -> Result<impl IntoResponse, Refusal> {
    let cleared = relying_party.clear_cookie();
    relying_party
        .work(move |this| {
            this.store.write(|transaction| -> Result<_, StoreError> {
                sessions::end(transaction, &session.id)?;
                let (name, actor) = (session.user.name.to_string(), Actor::User(session.user.name.clone()));
                audit_log::record(transaction, this.clock.now(), EventKind::LoggedOut, &name, &actor, "")
            })?;
            Ok(())
        })
        .await?;
    Ok((cleared, Json(json!({ "state": "logged_out" }))))
}

pub(super) async fn end_all(
    State(relying_party): State<Arc<RelyingParty>>,
    LoggedInAs(session): LoggedInAs,
) -> Result<impl IntoResponse, Refusal> {
    let cleared = relying_party.clear_cookie();
    let ended = relying_party
        .work(move |this| {
            let name = &session.user.name;
            Ok(this.store.end_sessions(name, &Actor::User(name.clone()), this.clock.now())?)
        })
        .await?;
    Ok((cleared, Json(json!({ "state": "logged_out", "sessions": ended }))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    password: Zeroizing<String>,
    new_password: Zeroizing<String>,
}

pub(super) async fn confirm(
    State(relying_party): State<Arc<RelyingParty>>,
    Enrolling(session): Enrolling,
    Body(Password { password }): Body<Password>,
) -> Result<Json<Value>, Refusal> {
    check_password(&relying_party, &session, password).await?;
    let confirmed = relying_party
        .work(move |this| {
            let now = this.clock.now();
            Ok(this.store.write(|transaction| sessions::confirm(transaction, &session.id, now))?)
        })
        .await?;
    if !confirmed {
        return Err(Refusal::NotLoggedIn);
    }
    Ok(Json(json!({ "confirmed_for": sessions::CONFIRMATION_LIFETIME.as_secs() })))
}

/// Setting a password ends all sessions, this one too.
pub(super) async fn change_password(
    State(relying_party): State<Arc<RelyingParty>>,
    LoggedInAs(session): LoggedInAs,
    Body(PasswordChange { password, new_password }): Body<PasswordChange>,
) -> Result<impl IntoResponse, Refusal> {
    check_password(&relying_party, &session, password).await?;
    let hash = relying_party.hash(new_password).await?;
    let cleared = relying_party.clear_cookie();
    relying_party
        .work(move |this| {
            let name = &session.user.name;
            Ok(this.store.set_password(name, &hash, &Actor::User(name.clone()), this.clock.now())?)
        })
        .await?;
    Ok((cleared, Json(json!({ "state": "logged_out" }))))
}

/// The password of who is logged in, given again. Too many wrong ones end the session: it may be stolen.
async fn check_password(
    relying_party: &Arc<RelyingParty>,
    session: &Session,
    password: Zeroizing<String>,
) -> Result<(), Refusal> {
    let user = session.user.id;
    let hash = relying_party
        .work(move |this| Ok(this.store.read(|connection| users::local_password(connection, user))?))
        .await?;
    if relying_party.passwords.verify(password, hash).await? == Verified::Right {
        return Ok(());
    }
    let session = session.clone();
    let session_ended = relying_party
        .work(move |this| {
            let now = this.clock.now();
            Ok(this.store.write(|transaction| sessions::confirmation_failed(transaction, &session, now))?)
        })
        .await?;
    Err(Refusal::ConfirmationFailed { session_ended })
}

impl RelyingParty {
    /// The hash of a password that is being set.
    pub(super) async fn hash(self: &Arc<Self>, password: Zeroizing<String>) -> Result<PasswordHash, Refusal> {
        Ok(self.passwords.hash(password, self.password_cost).await??)
    }
}
