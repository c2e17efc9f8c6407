//! What stands at the seams of a rack of security keys.
//!
//! - [`Faults`] make things go wrong on purpose, at the keys and the times that are asked for: each [`Fault`] wraps a seam, and what
//!   it breaks knows nothing of it. [`catalogue`] says of each what happens and who notices.
//! - [`transcript`] listens at the edge of each key and says what it was asked, what it answered and what its user did: on disk, as
//!   text, or for a test to assert on. Faults are in it, when they happen.
//! - [`replay`](mod@replay) does again what hosts and users did in a transcript, and says what keys do otherwise.
//! - [`timeline`] does things to keys, at times and upon conditions.
//!
//! A rack knows none of it: it is given what stands at its [seams](keyrig_rack::seams).

mod answers;
pub mod catalogue;
mod edge;
mod fault;
mod kind;
mod lies;
#[cfg(feature = "openapi")]
mod openapi;
mod plainly;
pub mod replay;
mod reports;
mod scope;
mod sealing;
mod seams;
mod switch;
pub mod timeline;
pub mod transcript;

pub use fault::{COMMANDS, Fault, InvalidFault, Which};
pub use kind::{Kind, Layer, Parameter, Unit};
pub use plainly::plainly;
pub use scope::{Absent, Nowhere};
pub use switch::{CannotSwitchOn, Faults, MAX_FAULTS, On};
