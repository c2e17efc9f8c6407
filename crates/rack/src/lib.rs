//! A rack of security keys: what makes several authenticators devices that are plugged in, touched, unplugged and kept.
//!
//! - [`Rack`] holds keys by [`KeyName`]. Each is owned by one task ([`key`]), which drives the authenticator, its CTAPHID
//!   device and its [`storage`] by its own [`clock`]; everyone else sends messages. The rack itself is a task too: it owns the
//!   [`finger`].
//! - [`seams`] is where something can stand between a key and what it stands on: faults, timelines, transcripts.
//! - [`state_directory`] makes keys last: a directory for each, with a lock and a format version.
//! - [`ctaphid_endpoint`] gives a key to programs that speak CTAPHID over a datagram socket, without USB.
//! - [`control`] is what one may ask of a running rack; [`control_socket`] and [`pico_controller`] are faces of it.
//! - [`crypto`] chooses the library that computes with private keys.

pub mod clock;
pub mod control;
pub mod control_socket;
pub mod crypto;
pub mod ctaphid_endpoint;
mod database;
pub mod finger;
pub mod key;
mod key_name;
mod key_specification;
pub mod pico_controller;
mod rack;
pub mod seams;
pub mod state_directory;
pub mod storage;
mod timer;
mod unix_socket;
pub mod vhci;

pub use database::Database;
pub use key::{Connection, KeyGone, KeyHandle};
pub use key_name::{InvalidKeyName, KeyName};
pub use key_specification::InvalidKeySpecification;
pub use rack::{KeySpecification, MAX_KEYS, Options, Rack, RackError, RootOrigin};
pub use storage::NotDurable;
pub use unix_socket::PathTooLong;
