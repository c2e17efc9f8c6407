//! The clients in Rust that nobody here wrote: programs of `tests/clients`, a workspace of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use keyrig_attach::ctaphid_endpoint::{Endpoint, EndpointAddress};
use keyrig_rack::{KeySpecification, Options, Rack};

use crate::judge::{self, Output};

/// The program of a client, built if it is not yet; what it needs of the system is in `scripts/packages/judges.txt`. None where that is
/// not there: the test is skipped then.
///
/// # Panics
///
/// If it cannot be built.
#[must_use]
pub fn program(name: &str) -> Option<tokio::process::Command> {
    for library in ["libudev", "dbus-1"] {
        let found = Command::new("pkg-config").args(["--exists", library]).status();
        if !found.is_ok_and(|status| status.success()) {
            judge::skip(&format!("the clients are built with {library}, which pkg-config does not find"));
            return None;
        }
    }
    let workspace = judge::tree("tests/clients");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", name])
        .current_dir(&workspace)
        // What cargo tells this test is of this workspace.
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{name} was not built: {}", String::from_utf8_lossy(&built.stderr));
    Some(tokio::process::Command::new(workspace.join("target/debug").join(name)))
}

/// Runs a client with the datagram endpoint of a new key, whose address comes before what it is `told`.
///
/// # Panics
///
/// If there can be no key, the client cannot be run, or it takes longer than `limit`.
pub async fn run_with_key(
    client: &mut tokio::process::Command,
    key: KeySpecification,
    told: &[&str],
    limit: Duration,
) -> Output {
    let name = key.name.clone();
    let rack = Rack::start(Options::default(), vec![key]).await.expect("a rack");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = Endpoint::bind(EndpointAddress::Udp(any)).await.expect("an endpoint");
    let EndpointAddress::Udp(address) = *endpoint.address() else { panic!("it is bound elsewhere") };
    let key = rack.key(&name).expect("it is in the rack");
    tokio::select! {
        output = judge::run(client.arg(address.to_string()).args(told), b"", limit) => output,
        never = endpoint.serve(key) => match never {},
    }
}
