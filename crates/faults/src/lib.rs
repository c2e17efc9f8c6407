//! What stands at the seams of a rack of security keys.
//!
//! - [`transcript`] listens at the edge of each key and says what it was asked, what it answered and what its user did: on disk, as
//!   text, or for a test to assert on.
//! - [`replay`](mod@replay) does again what hosts and users did in a transcript, and says what keys do otherwise.
//! - [`timeline`] does things to keys, at times and upon conditions.
//!
//! A rack knows none of it: it is given what stands at its [seams](keyrig_rack::seams).

#[cfg(feature = "openapi")]
mod openapi;
pub mod replay;
pub mod timeline;
pub mod transcript;
