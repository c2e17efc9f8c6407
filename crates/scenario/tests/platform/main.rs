//! The platform's side against the rack's keys, over every way to one: PINs, user verification, extensions, what is stored on a
//! key and how it is set up. Each flow runs straight into the rack, through CTAPHID and USB/IP, and by the control socket where
//! that is a way for it.

#![cfg(test)]

#[macro_use]
mod ways;

mod control_socket;
mod extensions;
mod fingerprints;
mod limits;
mod pin;
mod quirks;
mod reset;
mod stored;
mod u2f;

use keyrig_client::channel::Cancel;
use keyrig_client::error::{Cause, KeyFailure, Refusal};
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Client, Status};
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use serde_json::{Value, json};

const ORIGIN: &str = "https://pve.example.com:8006";

pub(crate) fn name(name: &str) -> KeyName {
    name.parse().expect("a name")
}

pub(crate) async fn rack_of(profile: &str, names: &[&str]) -> Rack {
    let specification = |key: &&str| KeySpecification::built_in(profile, key).expect("built in");
    Rack::start(Options::default(), names.iter().map(specification).collect()).await.expect("a rack")
}

pub(crate) fn page() -> Client {
    Client::new(ORIGIN.parse().expect("an origin"))
}

pub(crate) fn creation(selection: Value, extensions: Value) -> CreationOptions {
    let options = json!({
        "rp": {"id": "pve.example.com", "name": "Proxmox"},
        "user": {"id": "AAECAw", "name": "root@pam", "displayName": "root"},
        "challenge": "qqqqqqqqqqqqqqqqqqqqqg",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": selection,
        "extensions": extensions,
    });
    CreationOptions::from_json(&options.to_string()).expect("WebAuthn's JSON")
}

pub(crate) fn request(allow: &[&str], user_verification: &str, extensions: Value) -> RequestOptions {
    let allow: Vec<Value> = allow.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let options = json!({
        "challenge": "u7u7u7u7u7u7u7u7u7u7uw",
        "rpId": "pve.example.com",
        "allowCredentials": allow,
        "userVerification": user_verification,
        "extensions": extensions,
    });
    RequestOptions::from_json(&options.to_string()).expect("WebAuthn's JSON")
}

/// Whether the flag UV is set in authenticator data (WebAuthn Level 3 §6.1).
pub(crate) fn verified(authenticator_data: &[u8]) -> bool {
    authenticator_data.get(32).expect("a flags byte") & 0x04 != 0
}

pub(crate) fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

pub(crate) fn never() -> Cancel {
    Cancel::never()
}

pub(crate) fn status(key: &str, command: keyrig_ctap::Command, status: Status) -> Refusal {
    Refusal::Key(KeyFailure { key: key.to_owned(), cause: Cause::Status { command, status } })
}
