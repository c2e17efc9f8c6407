//! One authenticator, driven by its contract, judged against CTAP 2.3 by a codec that is not keyrig's.

#![cfg(test)]

mod administration;
mod bio_enrollment;
mod case_table;
mod client_pin;
mod commits;
mod config;
mod credential_management;
mod determinism;
mod enterprise_attestation;
mod exclude_list;
mod extensions;
mod gestures;
mod get_assertion;
mod get_info;
mod get_next_assertion;
mod hmac_secret;
mod kill_points;
mod large_blobs;
mod make_credential;
mod passkeys;
mod quirks;
mod reset;
mod robustness;
mod sealing;
mod security_key_5_1;
mod signals;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod u2f;
mod user_verification;
mod uv_profiles;
