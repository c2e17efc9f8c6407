//! A FIDO HID device on USB, and USB/IP: codec, server and userland client.
//!
//! This crate moves 64-byte HID reports between a security key and a host. What the reports say
//! is not its business: it knows USB, HID and USB/IP, and nothing of CTAPHID or credentials.
//!
//! - [`Identity`] is what a device says it is; [`descriptors`] turns it into USB descriptors and
//!   [`ControlEndpoint`] answers the requests on endpoint 0, both without any input or output.
//! - [`wire`] is the USB/IP 1.1.1 codec, over byte slices.
//! - [`Exports`] is the set of plugged devices; [`serve`] offers it to hosts over TCP and
//!   [`serve_imported`] gives one device to a stream that the caller has attached already.
//! - [`client`] imports a device without a kernel.
//! - [`listening`] is how a listener goes on when it runs out of something.
//!
//! **The contract between a key and its hosts:** plug, then wait for [`Plugged::attached`]; serve
//! the [`Attachment`] until one of its channels closes, then wait again. Each attachment is a
//! power-up. Dropping [`Plugged`] is an unplug.

pub mod client;
mod connection;
mod control;
pub mod descriptors;
mod endings;
mod exports;
mod fate;
mod identity;
pub mod listening;
pub mod report_descriptor;
mod server;
mod stream;
mod tcp;
mod urbs;
pub mod wire;

pub use control::{ControlEar, ControlEndpoint, ControlReply, ControlRequest, Endpoint, Setup};
pub use exports::{Attachment, Exports, Follower, ImportError, PlugError, Plugged, Presence, Standing};
pub use fate::{Failure, Fate, Host, Transfer};
pub use identity::{Identity, IdentityError};
pub use server::{Detached, Limits, ServeError, serve, serve_connection, serve_imported};

/// The size of a CTAPHID report in both directions, in bytes (CTAP 2.3 §11.2.4, full speed).
pub const REPORT_SIZE: usize = 64;

/// One HID report as it travels over an interrupt endpoint. FIDO devices use no report ids.
pub type Report = [u8; REPORT_SIZE];
