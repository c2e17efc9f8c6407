//! Who calls: a ticket in the cookie `PVEAuthCookie`, with the header `CSRFPreventionToken` where something is changed, or an API
//! token in `Authorization`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use subtle::ConstantTimeEq;

use super::answer::Failure;
use super::ticket::{TICKET_KEY_BYTES, Ticket};
use crate::api_tokens::PresentedToken;
use crate::http::session::cookie;
use crate::http::source;
use crate::relying_party::{Claim, Credential, Right, SessionTicket};
use crate::{Refusal, RelyingParty};

const COOKIE_NAME: &str = "PVEAuthCookie";
pub(crate) const CSRF_HEADER: &str = "csrfpreventiontoken";

/// What somebody who calls claims.
pub(super) struct Caller<R>(pub(super) Claim<R>);

impl<R: Right> FromRequestParts<Arc<RelyingParty>> for Caller<R> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Failure> {
        let is_to_see = matches!(parts.method, Method::GET | Method::HEAD);
        let address = source::address(parts, state);
        let token = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        if let Some(token) = token.and_then(|value| value.strip_prefix(b"PVEAPIToken=")) {
            let credential = Credential::ApiToken(api_token(token).ok_or_else(Failure::invalid_token)?);
            let claim = if is_to_see { Claim::to_see(credential) } else { Claim::to_change_here(credential) };
            return match state.foresee(claim.coming_from(address)).await {
                Err(Refusal::NotLoggedIn) => Err(Failure::invalid_token()),
                foreseen => Ok(Self(foreseen?)),
            };
        }
        let text = cookie(&parts.headers, COOKIE_NAME).ok_or_else(Failure::no_ticket)?;
        let key = state.ticket_key().await?;
        let Some(Ticket::Full { user, token, issued }) = Ticket::read(&key, &unescaped(text), None) else {
            return Err(Failure::invalid_ticket());
        };
        let csrf = csrf_token(&key, &user, &token, issued);
        let user = user.parse().map_err(|_| Failure::invalid_ticket())?;
        let credential = Credential::Ticket(SessionTicket { user, token, issued: moment(issued) });
        let claim = if is_to_see {
            Claim::to_see(credential)
        } else if is_token(&parts.headers, &csrf) {
            Claim::to_change_here(credential)
        } else {
            return Err(Refusal::BadCsrfToken.into());
        };
        // There are calls that need nothing else of whoever calls.
        Ok(Self(state.foresee(claim.coming_from(address)).await?))
    }
}

/// What somebody who calls by a ticket claims: what has `allowtoken => 0` there takes no API token, whatever that may.
pub(super) struct InPerson<R>(pub(super) Claim<R>);

impl<R: Right> FromRequestParts<Arc<RelyingParty>> for InPerson<R> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Failure> {
        let Caller(claim) = Caller::from_request_parts(parts, state).await?;
        if claim.api_token().is_some() { Err(Failure::of_token(parts.uri.path())) } else { Ok(Self(claim)) }
    }
}

/// When a ticket was made.
pub(super) fn moment(issued: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(issued.into())
}

/// The token against cross-site requests that belongs to a ticket, in Proxmox VE's form.
pub(super) fn csrf_token(key: &[u8; TICKET_KEY_BYTES], user: &str, token: &str, issued: u32) -> String {
    let mut mac = super::ticket::keyed(key);
    // A ticket's own MAC never begins so: its first part has a length of eight bytes before it.
    mac.update(format!("CSRF:{issued:08X}:{user}:{token}").as_bytes());
    format!("{issued:08X}:{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn is_token(headers: &HeaderMap, token: &str) -> bool {
    headers.get(CSRF_HEADER).is_some_and(|found| found.as_bytes().ct_eq(token.as_bytes()).into())
}

/// `USER@REALM!NAME=SECRET`.
fn api_token(value: &[u8]) -> Option<PresentedToken> {
    let (id, secret) = str::from_utf8(value).ok()?.split_once('=')?;
    let (user, name) = id.rsplit_once('!')?;
    Some(PresentedToken { user: user.parse().ok()?, name: name.to_owned(), secret: secret.to_owned() })
}

/// A cookie as it was before some clients wrote `%3A` for a colon. A `+` stays what it is.
fn unescaped(text: &str) -> String {
    let (first, rest) = text.split_once('%').map_or((text, None), |(first, rest)| (first, Some(rest)));
    let mut unescaped = first.as_bytes().to_vec();
    for part in rest.into_iter().flat_map(|rest| rest.split('%')) {
        match part.split_at_checked(2).and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 16).ok()?, rest))) {
            Some((byte, rest)) => {
                unescaped.push(byte);
                unescaped.extend(rest.as_bytes());
            }
            None => {
                unescaped.push(b'%');
                unescaped.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&unescaped).into_owned()
}
