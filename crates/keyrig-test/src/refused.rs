//! What a ceremony that came to nothing is told by.

use keyrig_client::{ClientError, RefusedBy};
use thiserror::Error;

/// A ceremony that came to nothing: what the page sees, who said no, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: {reason}")]
pub struct Refused {
    /// The name of the exception that a page's script catches, such as `NotAllowedError`.
    pub name: String,
    /// Which side said no, which the name does not tell.
    pub refused_by: RefusedBy,
    /// Why, in words: the cause that a browser keeps to itself, and what to do about it.
    pub reason: String,
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        let (name, refused_by) = (error.name.to_string(), error.refused_by());
        Self { name, refused_by, reason: error.reason.to_string() }
    }
}
