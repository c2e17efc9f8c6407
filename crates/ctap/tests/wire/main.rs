//! The message types against bytes: the examples of the CTAP specification, answers of a real key, and bytes put together
//! by hand from the specification's tables.

#![cfg(test)]

mod attestation;
mod authenticator_data;
mod bio_enrollment;
mod client_pin;
mod commands;
mod config;
mod cose;
mod credential_management;
mod extensions;
mod get_assertion;
mod get_info;
mod large_blobs;
mod make_credential;
mod nonsense;

/// Reads hex with blanks and line ends in it.
fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

/// A text string shorter than 24 bytes as CBOR, in hex (RFC 8949 §3.1).
fn text(value: &str) -> String {
    let length = u8::try_from(value.len()).unwrap();
    assert!(length < 24);
    format!("{:02x}{}", 0x60 + length, hex::encode(value))
}
