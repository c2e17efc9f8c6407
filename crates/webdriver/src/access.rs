//! Who may ask: programs of this machine, and no page. A driver defends itself by Host and Origin, and who forwards to it stands in
//! front of that.

use core::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use crate::error::WebDriverError;

/// Refuses what a browser could have been led to send: what has an Origin, and what is addressed to another Host than a loopback one with
/// this port.
pub(crate) fn check(headers: &HeaderMap, port: u16) -> Result<(), WebDriverError> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let origin: String = origin.chars().take(100).collect();
        return Err(WebDriverError::forbidden(format!(
            "the request is of a page, with Origin {origin:?}: pages may not drive browsers"
        )));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    if is_here(host, port) {
        return Ok(());
    }
    let host: String = host.chars().take(100).collect();
    Err(WebDriverError::forbidden(format!(
        "Host {host:?} is not this one: ask localhost:{port} or 127.0.0.1:{port}, as a page could be led here by other names"
    )))
}

fn is_here(host: &str, port: u16) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') || authority.port_u16().unwrap_or(80) != port {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn checked(headers: &[(HeaderName, &str)]) -> Result<(), WebDriverError> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        check(&map, 9515)
    }

    #[test]
    fn programs_of_this_machine_may_ask() {
        for host in ["localhost:9515", "LOCALHOST:9515", "127.0.0.1:9515", "127.8.8.8:9515", "[::1]:9515"] {
            checked(&[(header::HOST, host)]).unwrap();
        }
    }

    #[test]
    fn whatever_a_page_could_send_is_refused() {
        for host in [
            "",
            "localhost",
            "localhost:9516",
            "localhost.:9515",
            "rebound.example:9515",
            "localhost.example:9515",
            "127.0.0.1.example:9515",
            "user@localhost:9515",
            "192.168.0.1:9515",
            "0.0.0.0:9515",
        ] {
            assert_eq!(checked(&[(header::HOST, host)]).unwrap_err().status(), StatusCode::FORBIDDEN, "{host}");
        }
        let twice = [(header::HOST, "localhost:9515"), (header::HOST, "rebound.example:9515")];
        assert_eq!(checked(&twice).unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(checked(&[]).unwrap_err().status(), StatusCode::FORBIDDEN);
        for origin in ["null", "http://localhost:9515", "https://example.com", ""] {
            let refused = checked(&[(header::HOST, "localhost:9515"), (header::ORIGIN, origin)]).unwrap_err();
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
        }
    }
}
