//! Sessions over HTTP: the cookie that carries one, the token against cross-site requests, and what may be done with which.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{COOKIE, HOST, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{Body, InPath, secret};
use super::source;
use crate::notices::Notice;
use crate::privileges::{Privilege, Privileges};
use crate::relying_party::{Claim, Credential, LoggedIn, Own, Present, Right};
use crate::sessions::{self, NewSession, SessionEntry, SessionKind};
use crate::store::seconds;
use crate::user_name::UserName;
use crate::users::{Role, User};
use crate::{Refusal, RelyingParty};

/// The request header that has to carry the session's token on every request that changes something.
pub const CSRF_HEADER: &str = "x-csrf-token";

const COOKIE_NAME: &str = "keyrig_session";
const CEREMONY_COOKIE_NAME: &str = "keyrig_ceremony";

/// Browsers take a cookie of this prefix only from the host itself, over TLS.
const SECURE_COOKIE_NAME: &str = "__Host-keyrig_session";

/// The one header of an answer that gives a browser its session, or takes it.
type SetCookie = AppendHeaders<[(HeaderName, String); 1]>;

/// The cookie of a session, as it is called at the port that a request asked for: browsers keep cookies by host, whatever
/// the port, and two relying parties on one host must not take each other's.
pub(super) struct SessionCookie {
    name: String,
    secure: bool,
}

impl FromRequestParts<Arc<RelyingParty>> for SessionCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, state.over_tls))
    }
}

impl SessionCookie {
    fn of(headers: &HeaderMap, secure: bool) -> Self {
        let name = if secure { SECURE_COOKIE_NAME } else { COOKIE_NAME };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let port = host.and_then(|host| host.rsplit_once(':')).and_then(|(_, port)| port.parse::<u16>().ok());
        Self { name: port.map_or_else(|| name.to_owned(), |port| format!("{name}_{port}")), secure }
    }

    /// The header that gives a browser its session.
    pub(super) fn set(&self, session: &NewSession) -> SetCookie {
        let lifetime = match session.kind {
            SessionKind::Full => sessions::SESSION_LIFETIME,
            SessionKind::Enrolment => sessions::ENROLMENT_LIFETIME,
        };
        self.with(&session.token, lifetime.as_secs())
    }

    /// The cookie of a ceremony of somebody without a session, which is called alike.
    pub(super) fn of_ceremony(&self) -> Self {
        Self { name: self.name.replace(COOKIE_NAME, CEREMONY_COOKIE_NAME), secure: self.secure }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn clear(&self) -> SetCookie {
        self.with("", 0)
    }

    pub(super) fn with(&self, value: &str, max_age: u64) -> SetCookie {
        let (name, secure) = (&self.name, if self.secure { "; Secure" } else { "" });
        let cookie = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        AppendHeaders([(SET_COOKIE, cookie)])
    }
}

/// The value of a cookie. Of several with the name the first counts: browsers send the most specific first.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok()).flat_map(|text| text.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

impl<R: Right> FromRequestParts<Arc<RelyingParty>> for Claim<R> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Refusal> {
        let name = SessionCookie::of(&parts.headers, state.over_tls).name;
        let token = cookie(&parts.headers, &name).ok_or(Refusal::NotLoggedIn)?.to_owned();
        let address = source::address(parts, state);
        match parts.method {
            Method::GET | Method::HEAD => Ok(Self::to_see(Credential::Session(token)).coming_from(address)),
            _ => {
                let csrf_token = parts.headers.get(CSRF_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
                state.foresee(Self::to_change(token, csrf_token.to_vec()).coming_from(address)).await
            }
        }
    }
}

/// A session as its browser sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    user: UserName,
    role: Role,
    /// What the user may do beside what concerns the user alone.
    #[schema(value_type = Vec<Privilege>)]
    privileges: Privileges,
    kind: SessionKind,
    /// What every request that changes something carries in a header.
    csrf_token: String,
    expires: u64,
    /// What there is to tell the user.
    notices: Vec<Notice>,
}

impl SessionView {
    pub(super) fn new(user: &User, session: &NewSession, notices: Vec<Notice>) -> Self {
        Self {
            user: user.name.clone(),
            role: user.role,
            privileges: user.privileges,
            kind: session.kind,
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
    claim: Claim<Present>,
) -> Result<Json<SessionView>, Refusal> {
    let (session, notices) = relying_party.session(claim).await?;
    Ok(Json(SessionView {
        user: session.user.name,
        role: session.user.role,
        privileges: session.user.privileges,
        kind: session.kind,
        csrf_token: session.csrf_token,
        expires: seconds(session.expires),
        notices,
    }))
}

pub(super) async fn end(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Present>,
    cookie: SessionCookie,
) -> Result<impl IntoResponse, Refusal> {
    relying_party.log_out(claim).await?;
    Ok((cookie.clear(), Json(LoggedOut { state: Over::LoggedOut, sessions: None })))
}

/// The session that asked is over.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedOut {
    state: Over,
    /// How many ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Over {
    LoggedOut,
}

/// A session was ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Ended {
    /// What it was called.
    pub(super) ended: String,
}

/// The password was given again.
#[derive(Serialize, ToSchema)]
pub(super) struct Confirmed {
    /// For how long factors can be changed, seconds.
    confirmed_for: u64,
}

/// A session in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedSession {
    #[serde(flatten)]
    session: SessionEntry,
    /// Whether it is the one that asks.
    current: bool,
}

pub(super) async fn list(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Own>,
) -> Result<Json<Vec<ListedSession>>, Refusal> {
    let (current, sessions) = relying_party.sessions(claim, None).await?;
    let sessions = sessions.into_iter().map(|session| ListedSession { current: session.id == current, session });
    Ok(Json(sessions.collect()))
}

pub(super) async fn end_one(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Own>,
    InPath(id): InPath<String>,
) -> Result<Json<Ended>, Refusal> {
    relying_party.end_own_session(claim, id.clone()).await?;
    Ok(Json(Ended { ended: id }))
}

pub(super) async fn end_all(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Own>,
    cookie: SessionCookie,
) -> Result<impl IntoResponse, Refusal> {
    let ended = relying_party.log_out_everywhere(claim).await?;
    Ok((cookie.clear(), Json(LoggedOut { state: Over::LoggedOut, sessions: Some(ended) })))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordAgain)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: Zeroizing<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: Zeroizing<String>,
    /// 8 to 512 bytes.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    new_password: Zeroizing<String>,
}

pub(super) async fn confirm(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Present>,
    Body(Password { password }): Body<Password>,
) -> Result<Json<Confirmed>, Refusal> {
    relying_party.confirm(claim, password).await?;
    Ok(Json(Confirmed { confirmed_for: sessions::CONFIRMATION_LIFETIME.as_secs() }))
}

pub(super) async fn change_password(
    State(relying_party): State<Arc<RelyingParty>>,
    claim: Claim<Own>,
    cookie: SessionCookie,
    Body(PasswordChange { password, new_password }): Body<PasswordChange>,
) -> Result<impl IntoResponse, Refusal> {
    relying_party.change_password(claim, password, new_password).await?;
    Ok((cookie.clear(), Json(LoggedOut { state: Over::LoggedOut, sessions: None })))
}
