//! What carries messages between clients and keys.

use core::fmt;
use core::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What carries messages between clients and keys: a scenario is the same over each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Messages of CTAP, straight into the keys. Keys' time stands still but for what a step lets pass.
    #[default]
    InProcess,
    /// Reports in datagrams, through a socket of each key.
    Ctaphid,
    /// Reports over USB/IP, on loopback.
    Usbip,
    /// Reports through the hidraw node that this machine's kernel has for each key: needs root and vhci_hcd.
    Kernel,
    /// Reports to real keys that people have in their hands, or a lab switches and touches.
    Hid,
}

impl On {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::InProcess, Self::Ctaphid, Self::Usbip, Self::Kernel, Self::Hid];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Ctaphid => "ctaphid",
            Self::Usbip => "usbip",
            Self::Kernel => "kernel",
            Self::Hid => "hid",
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text names none of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is nothing that scenarios run on: choose in-process, ctaphid, usbip, kernel or hid")]
pub struct UnknownOn(String);

impl FromStr for On {
    type Err = UnknownOn;

    fn from_str(text: &str) -> Result<Self, UnknownOn> {
        let found = Self::ALL.into_iter().find(|on| on.name() == text);
        found.ok_or_else(|| UnknownOn(text.chars().take(64).collect()))
    }
}
