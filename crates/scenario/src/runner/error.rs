//! A scenario that could not be run: something under it failed, not a step of it.

use std::io;

use keyrig_attach::ctaphid_endpoint::EndpointError;
#[cfg(target_os = "linux")]
use keyrig_attach::kernel::AttachError;
use keyrig_faults::Nowhere;
use keyrig_rack::command::Refusal;
use keyrig_rack::{KeyName, RackError};
use keyrig_relying_party::{FactorError, InvalidPassword, RealmError, StoreError, UserError};
use keyrig_usb::client::ClientError as UsbError;
use thiserror::Error;

use crate::language::On;
use crate::site::SiteError;

/// A scenario could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The keys could not be made.
    #[error(transparent)]
    Rack(#[from] RackError),
    /// The keys do not do what they are told.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A fault could never happen there.
    #[error(transparent)]
    Nowhere(#[from] Nowhere),
    /// A key cannot be reached over USB/IP.
    #[error("cannot reach a key over USB/IP: {0}")]
    Usb(#[from] UsbError),
    /// There can be no sockets for the keys.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The kernel does not take the keys.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The kernel gave a key no node.
    #[error("the kernel gave key {0} no node in time")]
    NoNode(KeyName),
    /// This system has no such thing.
    #[error("nothing runs on {0} here")]
    NotHere(On),
    /// The site's database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A user of it.
    #[error(transparent)]
    User(#[from] UserError),
    /// A realm of it.
    #[error(transparent)]
    Realm(#[from] RealmError),
    /// A factor of a user.
    #[error(transparent)]
    Factor(#[from] FactorError),
    /// A password.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// The way to the site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The operating system.
    #[error("the operating system refuses: {0}")]
    System(#[source] io::Error),
    /// It would destroy what is on a real key, on which nothing may be: why, and the key.
    #[error("{0}")]
    NotAllowed(String, String),
    /// What the scenario asks for cannot be done at this point.
    #[error("{0}")]
    Cannot(String),
}
