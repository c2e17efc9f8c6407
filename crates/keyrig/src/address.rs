//! Where something is to listen, as the command line says it.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// `PORT`, on loopback, or `ADDRESS:PORT`.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self((Ipv4Addr::LOCALHOST, port).into()));
        }
        let address = text.parse().map(Self);
        address.map_err(|_| "write PORT or ADDRESS:PORT, such as 8100 or 127.0.0.1:8100".to_owned())
    }
}

/// The same, or `none`.
#[derive(Clone, Copy)]
pub(crate) struct AddressOrNone(pub(crate) Option<SocketAddr>);

impl FromStr for AddressOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address = text.parse().map(|Address(address)| Self(Some(address)));
        address.map_err(|error: String| format!("{error}, or none"))
    }
}
