//! Where `keyrig rp serve` listens: on localhost, on an address, or as the nodes of a cluster on one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpListener;

use crate::failure::Failure;

#[derive(Clone, Copy, Debug)]
pub(super) enum Listen {
    Localhost(u16),
    Address(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("localhost:").map(str::parse) {
            Some(Ok(port)) => Ok(Self::Localhost(port)),
            Some(Err(_)) => Err("a port is a number up to 65535".to_owned()),
            None => text
                .parse()
                .map(Self::Address)
                .map_err(|_| "write ADDRESS:PORT, such as localhost:8006 or 127.0.0.1:8006".to_owned()),
        }
    }
}

/// A node of a cluster: its name in browsers, and where it listens.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write NAME=ADDRESS:PORT, such as pve1.localhost=127.0.0.1:8006";
        let (name, address) = text.split_once('=').ok_or(form)?;
        let address = address.parse().map_err(|_| form)?;
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(format!("{name:?} is no name of a host: a-z, 0-9 and - between dots"));
        }
        Ok(Self { name: name.to_owned(), address })
    }
}

impl Node {
    /// Whether every browser takes the name for this machine.
    pub(super) fn is_local(&self) -> bool {
        self.name == "localhost" || self.name.ends_with(".localhost")
    }
}

/// Whether it is what browsers take `localhost` for.
pub(super) fn is_localhost(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// The listeners, with what each is called; and why `::1` is not among them, if it should be.
pub(super) type Bound = (Vec<(String, TcpListener)>, Option<String>);

pub(super) async fn bind(listen: Listen, nodes: &[Node]) -> Result<Bound, Failure> {
    if !nodes.is_empty() {
        let mut bound = Vec::new();
        for node in nodes {
            bound.push((node.name.clone(), bind_to(node.address, "--node").await?));
        }
        return Ok((bound, None));
    }
    match listen {
        Listen::Address(address) => {
            let host = match address.ip() {
                // Where browsers have WebAuthn; the address is said beside it.
                ip if is_localhost(ip) => "localhost".to_owned(),
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            Ok((vec![(host, bind_to(address, "--listen").await?)], None))
        }
        Listen::Localhost(port) => {
            let named = |listener| ("localhost".to_owned(), listener);
            let first = bind_to((Ipv4Addr::LOCALHOST, port).into(), "--listen").await?;
            let port = first.local_addr().map_err(Failure::Runtime)?.port();
            // A machine may have no IPv6.
            match bind_to((Ipv6Addr::LOCALHOST, port).into(), "--listen").await {
                Ok(second) => Ok((vec![named(first), named(second)], None)),
                Err(error @ Failure::PortInUse { .. }) => Err(error),
                Err(error) => Ok((vec![named(first)], Some(error.to_string()))),
            }
        }
    }
}

async fn bind_to(address: SocketAddr, option: &'static str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::PortInUse { address, option },
        _ => Failure::Listen(address, error),
    })
}
