//! Who may ask: those who have the token, or one of a panel, and anybody whether there is a service, for metadata of its keys, and for
//! the files of the panel.

use core::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Refused;
use crate::metadata;
use crate::page_token::ForPage;
use crate::panel;
use crate::service::Service;

/// Answered to anybody, so that whoever starts the service can wait for it.
const READY: &str = "/v1/ready";

/// Answered to those whose Host is a loopback one: nothing in it is a secret, and a page that was led here by another name gets
/// nothing.
const ASSETS: [&str; 3] = ["/v1/openapi.json", "/v1/observe.js", "/v1/page.js"];

/// What pages that have a token may ask.
const FOR_PAGES: [&str; 4] = ["/v1/client/create", "/v1/client/get", "/v1/client/capabilities", "/v1/client/signal"];

/// Says of an answer to a page that the pages around it are known from its own word alone.
const ANCESTORS: HeaderName = HeaderName::from_static("keyrig-ancestors");

/// Passes on what may be asked.
pub(crate) async fn check(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    match offered(request.headers()) {
        Some(token) if service.token.is(token) || service.panel.knows(token) => next.run(request).await,
        Some(token) => match service.pages.page_of(token) {
            Some(page) => of_page(page, request, next).await,
            None => Refused::TokenWrong.into_response(),
        },
        None if is_public(&request) => next.run(request).await,
        None => preflight(&service, &request).unwrap_or_else(|| Refused::TokenMissing.into_response()),
    }
}

/// A page asks, with a token for its origin; its browser says which that is.
async fn of_page(page: ForPage, mut request: Request, next: Next) -> Response {
    if *request.method() != Method::POST || !FOR_PAGES.contains(&request.uri().path()) {
        return Refused::NotForPages.into_response();
    }
    let asking = origin(request.headers()).and_then(|origin| Some((origin.clone(), page.of(origin.to_str().ok()?)?)));
    let Some((origin, page)) = asking else { return Refused::OtherOrigin.into_response() };
    request.extensions_mut().insert(page);
    let mut response = next.run(request).await;
    allow(response.headers_mut(), origin);
    response.headers_mut().insert(ANCESTORS, HeaderValue::from_static("claimed"));
    response
}

/// Whether a page may ask, before it does: without its token.
fn preflight(service: &Service, request: &Request) -> Option<Response> {
    let asks = *request.method() == Method::OPTIONS && FOR_PAGES.contains(&request.uri().path());
    let origin = origin(request.headers()).filter(|_| asks)?;
    if !origin.to_str().is_ok_and(|origin| service.pages.know(origin)) {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    allow(headers, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    Some(response)
}

/// What browsers ask of a machine that is not on the public network, for a page that is (Private Network Access).
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// One Origin, and no more.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

/// What is offered as a token (RFC 6750 §2.1). Whatever else is said of who asks is an empty one, which is nobody's.
fn offered(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    match value.split_at_checked(b"Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Some(token.trim_ascii()),
        _ => Some(b""),
    }
}

fn is_public(request: &Request) -> bool {
    let path = request.uri().path();
    if panel::is_for_anybody(request.method(), path) {
        return true;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads
        && (path == READY
            || path.starts_with(metadata::PREFIX)
            || (ASSETS.contains(&path) && is_loopback(request.headers())))
}

fn is_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let host = host.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // A name below localhost is never asked of the network (RFC 6761 §6.3).
        Err(_) => {
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_loopback_one_or_not() {
        let is_loopback = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
            }
            is_loopback(&headers)
        };
        for host in
            ["localhost", "LOCALHOST:8100", "a.localhost", "localhost.:1", "127.0.0.1:8100", "127.9.9.9", "[::1]:8100"]
        {
            assert!(is_loopback(&[host]), "{host}");
        }
        for host in [
            "",
            "keyrig:8100",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "notlocalhost",
            "0.0.0.0",
            "[::2]",
            "192.168.0.1",
            "localhost@example.com",
            "local host",
        ] {
            assert!(!is_loopback(&[host]), "{host}");
        }
        assert!(!is_loopback(&[]));
        assert!(!is_loopback(&["localhost", "example.com"]));
    }

    #[test]
    fn a_token_is_offered_as_a_bearer_token() {
        let offered = |value: &str| {
            let headers = [(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())].into_iter().collect();
            offered(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(offered("Bearer abc").unwrap(), b"abc");
        assert_eq!(offered("bearer  abc ").unwrap(), b"abc");
        for other in ["abc", "Basic abc", "Bearer", "Bearerabc"] {
            assert_eq!(offered(other).unwrap(), b"", "no token, and not nothing");
        }
    }
}
