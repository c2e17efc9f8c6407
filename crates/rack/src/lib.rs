//! A rack of security keys: what makes several authenticators devices that are plugged in, touched, unplugged and kept.
//!
//! - [`Rack`] holds keys by [`KeyName`]. Each is owned by one task ([`key`]), which drives the authenticator, its CTAPHID
//!   device and its [`storage`] by its own [`clock`]; everyone else sends messages. The rack itself is a task too: it owns the
//!   [`finger`].
//! - [`verification`] says whom a key finds that verifies its user itself.
//! - [`seams`] is where something can stand between a key and what it stands on: faults, timelines, transcripts.
//! - [`state_directory`] makes keys last: a directory for each, with a lock and a format version.
//! - [`snapshot`] puts a key aside, in one piece.
//! - [`certified`] makes profiles of the metadata statements of certified keys, [`published`] writes those of the keys here.
//! - [`command`] is what a running rack is told, [`events`] what happened in it; [`unix_socket`] is for those who listen at a path.
//! - [`crypto`] chooses the library that computes with private keys.

pub mod certified;
pub mod clock;
pub mod command;
pub mod crypto;
mod database;
pub mod events;
mod feedback;
pub mod finger;
pub mod key;
mod key_name;
mod key_specification;
pub mod latest;
#[cfg(feature = "openapi")]
mod openapi;
pub mod published;
mod rack;
pub mod seams;
mod seed;
pub mod snapshot;
pub mod state_directory;
pub mod storage;
mod timer;
pub mod unix_socket;
pub mod verification;

pub use database::Database;
pub use feedback::{Feedback, InvalidFeedback};
pub use key::{Connection, KeyGone, KeyHandle};
pub use key_name::{InvalidKeyName, KeyName};
pub use key_specification::InvalidKeySpecification;
pub use rack::{
    Answered, Change, Following, KeySpecification, MAX_KEYS, NewKey, Options, Rack, RackError, RackKey, RootOrigin,
    attestation_root,
};
pub use storage::NotDurable;
