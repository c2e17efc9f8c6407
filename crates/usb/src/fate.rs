//! How transfers end: a seam, at which something may make them end badly.

use core::time::Duration;
use std::sync::Arc;

use crate::wire::transfers::status;

/// A transfer on an interrupt endpoint, or the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// An IN URB is about to get a report.
    In,
    /// An OUT URB has brought a report, which the key is about to get.
    Out,
    /// A host wants a URB back (USBIP_CMD_UNLINK).
    Unlink,
}

/// How a transfer is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it would.
    Good,
    /// As it would, so much later; what comes behind it on its way waits. Not of [`Transfer::Out`], which ends when the key has it.
    Late(Duration),
    /// With the first so many bytes of the report. Of [`Transfer::In`] alone.
    Short(u32),
    /// With an error, and the report is lost. Not of [`Transfer::Unlink`].
    Failed(Failure),
    /// Not at all: the host's connection ends.
    Disconnected,
}

/// How a transfer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The endpoint stalls (-EPIPE), and is halted until the host clears that by CLEAR_FEATURE (USB 2.0 §9.4.5).
    Stall,
    /// The device did not answer in time or not by the protocol (-EPROTO).
    Protocol,
    /// The device sent more than there was room for (-EOVERFLOW).
    Babble,
}

impl Failure {
    /// The status of the URB.
    pub(crate) const fn status(self) -> i32 {
        match self {
            Self::Stall => status::STALL,
            Self::Protocol => status::PROTOCOL,
            Self::Babble => status::BABBLE,
        }
    }
}

/// Decides how each transfer between a device and its host ends. Its users are USB itself, where all end well, and faults. It is called
/// between a host's message and its answer, so it may not wait for anything.
pub type Host = Arc<dyn Fn(Transfer) -> Fate + Send + Sync>;
