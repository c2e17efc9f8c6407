//! Where a request comes from: the peer of its connection or, where that is a proxy that is trusted, whom the proxy says it is from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use crate::RelyingParty;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that a request came from; `None` where that is not known.
pub(super) fn address(parts: &Parts, relying_party: &RelyingParty) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let (peer, trusted) = (peer.ip().to_canonical(), &relying_party.trusted_proxies);
    if trusted.contains(&peer) {
        return said_by(&parts.headers, peer, trusted);
    }
    // Behind a proxy all come from the proxy, and what it says of them anybody can say.
    (!relying_party.behind_proxy || !trusted.is_empty()).then_some(peer)
}

/// Each proxy adds whom it was asked by. What stands before the first that is not trusted, that one can have made up.
fn said_by(headers: &HeaderMap, proxy: IpAddr, trusted: &[IpAddr]) -> Option<IpAddr> {
    let said: Vec<&[u8]> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes)
        .flat_map(|text| text.split(|c| *c == b','))
        .collect();
    if said.is_empty() {
        return Some(proxy);
    }
    let mut source = None;
    for text in said.into_iter().rev() {
        source = Some(address_in(text)?);
        if source.is_some_and(|address| !trusted.contains(&address)) {
            return source;
        }
    }
    source
}

/// An address, with a port beside it or not.
fn address_in(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_s_is_the_source() {
        let trusted = [ip("192.0.2.1"), ip("2001:db8::1")];
        let cases: [(&[&str], Option<&str>); 12] = [
            (&[], Some("192.0.2.1")),
            (&["198.51.100.7"], Some("198.51.100.7")),
            // Somebody says to be asked by another: the proxy adds who it is.
            (&["203.0.113.9, 198.51.100.7"], Some("198.51.100.7")),
            (&["203.0.113.9", "198.51.100.7"], Some("198.51.100.7")),
            (&["198.51.100.7, 2001:db8::1"], Some("198.51.100.7")),
            (&["192.0.2.1"], Some("192.0.2.1")),
            (&["198.51.100.7:4711"], Some("198.51.100.7")),
            (&["[2001:db8::7]:4711"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["::ffff:198.51.100.7"], Some("198.51.100.7")),
            (&["198.51.100.7, unknown"], None),
            (&[""], None),
        ];
        for (said, expected) in cases {
            let mut headers = HeaderMap::new();
            for text in said {
                headers.append(FORWARDED_FOR, text.parse().unwrap());
            }
            assert_eq!(said_by(&headers, trusted[0], &trusted), expected.map(ip), "{said:?}");
        }
    }
}
