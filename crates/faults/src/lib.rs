//! What stands at the seams of a rack of security keys.
//!
//! - [`transcript`] listens at the edge of each key and says what it was asked, what it answered and what its user did: on disk, as
//!   text, or for a test to assert on.
//!
//! A rack knows none of it: it is given what stands at its [seams](keyrig_rack::seams).

pub mod transcript;
