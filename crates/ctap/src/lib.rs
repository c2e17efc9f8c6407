//! The vocabulary of CTAP, which both sides speak: canonical CBOR, CTAP2 requests and responses, status codes,
//! authenticator data, COSE keys, attestation statements, CTAP1/U2F messages, and CTAPHID.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no private keys. Wire formats have two views: a strict one
//! that parses or names what is wrong, and one that can build nonsense, because a test rig must send it.
//!
//! "CTAP 2.3" is the Client to Authenticator Protocol, Proposed Standard of 2026-02-26.

pub mod aaguid;
pub mod attestation;
pub mod authenticator_data;
pub mod bio_enrollment;
pub mod cbor;
pub mod client_pin;
pub mod command;
pub mod config;
pub mod cose;
pub mod credential_management;
pub mod entities;
pub mod extensions;
pub mod get_assertion;
pub mod get_info;
pub mod hid;
pub mod large_blobs;
pub mod make_credential;
pub mod status;
pub mod u2f;

pub use aaguid::Aaguid;
pub use command::{Command, Request, Response, parse_response};
pub use status::Status;
