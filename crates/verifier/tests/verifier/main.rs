//! The verifier against ceremonies that nobody here made, and against what goes wrong with them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]

mod attestations;
mod authentications;
mod bound;
mod ceremonies;
mod differential;
mod documentation;
mod misconfigurations;
mod origins;
mod public_keys;
mod recordings;
mod registrations;
mod robustness;
mod strictness;
mod vectors;
