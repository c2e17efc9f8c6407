//! The keys of a session: those of a rack in this process, or of one that listens on a control socket.

use core::future::pending;
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_control::error_code;
use keyrig_control::request::{Ask, Request};
use keyrig_control::socket::{self, ControlError};
use keyrig_rack::Rack;
use thiserror::Error;

/// A rack that is asked by commands of the one vocabulary.
#[derive(Clone, Debug)]
pub enum Keys {
    /// In this process.
    Here(Rack),
    /// Behind a control socket.
    At(Arc<PathBuf>),
}

/// A rack did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refused {
    /// The word for it, of `keyrig_control::error_code`, or empty if no rack answered.
    pub code: String,
    /// Why.
    pub message: String,
}

impl Keys {
    /// Asks for something.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn ask<C: Ask>(&self, command: C) -> Result<C::Answer, Refused> {
        match self {
            Self::Here(rack) => {
                let request: Request = command.into();
                let answer = request.carry_out(rack, pending()).await.map_err(|refusal| Refused {
                    code: error_code::of_refusal(&refusal).to_owned(),
                    message: refusal.to_string(),
                })?;
                let answer = serde_json::to_value(answer).and_then(serde_json::from_value);
                answer.map_err(|error| Refused { code: String::new(), message: error.to_string() })
            }
            Self::At(path) => socket::send(path, command).await.map_err(|error| match error {
                ControlError::Refused { code, message } => Refused { code, message },
                error => Refused { code: String::new(), message: error.to_string() },
            }),
        }
    }
}
