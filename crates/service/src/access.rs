//! Who may ask: those who have the token, and anybody whether there is a service, and for metadata of its keys.

use core::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Refused;
use crate::metadata;
use crate::service::Service;

/// Answered to anybody, so that whoever starts the service can wait for it.
const READY: &str = "/v1/ready";

/// Answered to those whose Host is a loopback one: nothing in it is a secret, and a page that was led here by another name gets
/// nothing.
const ASSETS: [&str; 2] = ["/v1/openapi.json", "/v1/observe.js"];

/// Passes on what may be asked.
pub(crate) async fn check(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    match offered(request.headers()) {
        Some(token) if service.token.is(token) => next.run(request).await,
        Some(_) => Refused::TokenWrong.into_response(),
        None if is_public(&request) => next.run(request).await,
        None => Refused::TokenMissing.into_response(),
    }
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
    use axum::http::HeaderValue;

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
