//! What one may ask of a running rack, and the faces by which it is asked.
//!
//! - [`request`] is the vocabulary: each command is a type, and its answer is one. Every face of a rack speaks it.
//! - [`socket`] carries it over a Unix socket, one JSON object a line: the server, and a client.
//! - `starting` waits for a rack that does not listen there yet (Linux).
//! - [`error_code`] has a word for each refusal, the same on every face.
//! - [`read_object`] reads JSON on each of them, and [`plainly`] says what is wrong with it.
//! - [`pico_controller`] is a face that a test suite of others asks for.

mod carry_out;
mod credential;
pub mod error_code;
mod fault;
mod fingerprint;
mod gesture;
mod once;
pub mod pico_controller;
pub mod request;
#[cfg(feature = "openapi")]
mod schema;
pub mod socket;
#[cfg(target_os = "linux")]
pub mod starting;
mod timeout;

pub use keyrig_faults::plainly;
pub use once::read_object;
