//! Where something can stand between a key and what it stands on, or listen there.
//!
//! A rack asks its [`Seams`] for each key. Without any, a key has its database or its memory, the runtime's time, and nothing at its
//! edge. What a wrapper is given it may use, replace or ignore.

use core::fmt;
use core::time::Duration;

use keyrig_authenticator::{Channel, Reason};
use keyrig_ctap::hid::{ChannelId, Peer, Report, RequestKind};
use keyrig_usb::ControlEar;

use crate::clock::Clock;
use crate::key_name::KeyName;
use crate::storage::Storage;

/// Stands between the keys of a rack and what they stand on: faults, timelines, transcripts.
pub trait Seams: fmt::Debug + Send + Sync {
    /// What makes the key's commits durable, around `storage`, which would without it.
    fn storage(&self, key: &KeyName, storage: Box<dyn Storage>) -> Box<dyn Storage> {
        let _ = key;
        storage
    }

    /// The key's clock, around `clock`, which would be it.
    fn clock(&self, key: &KeyName, clock: Box<dyn Clock>) -> Box<dyn Clock> {
        let _ = key;
        clock
    }

    /// What stands at the edge of the key; nothing, unless this says so.
    fn edge(&self, key: &KeyName) -> Option<Box<dyn Edge>> {
        let _ = key;
        None
    }

    /// What hears the control requests of the key's USB hosts; nothing, unless this says so.
    fn control_ear(&self, key: &KeyName) -> Option<ControlEar> {
        let _ = key;
        None
    }
}

/// The peer that is the USB host. Programs that speak CTAPHID without USB are counted on from here.
pub const USB_HOST: Peer = Peer(0);

/// What comes without CTAPHID, from a [`KeyHandle`](crate::KeyHandle) or the control socket, comes on a channel of its own, which
/// CTAPHID never opens.
pub const WITHOUT_CTAPHID: Channel = Channel { peer: USB_HOST, id: ChannelId::BROADCAST };

/// Stands at the edge of a key, where CTAPHID reports and CTAP messages pass. Each method is given what passes, and returns what goes
/// on in its place; `None` is lost. `now` is the key's time.
///
/// A seam: its users are faults, which change and lose, and transcripts, which write down.
pub trait Edge: fmt::Debug + Send {
    /// A report from a peer, before CTAPHID.
    fn report_in(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        let _ = (peer, now);
        Some(report)
    }

    /// A report to a peer. It has left CTAPHID by then: one that is lost counts as sent.
    fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        let _ = (peer, now);
        Some(report)
    }

    /// A message for the authenticator, whole, however it came. One that is lost is never answered, and the host hears keepalives for
    /// as long as it likes.
    fn request(&mut self, channel: Channel, kind: RequestKind, message: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        let _ = (channel, kind, now);
        Some(message)
    }

    /// The answer to a message, which the authenticator or, if that is busy, the key gives. One that is lost leaves the host as a lost
    /// message does.
    fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        let _ = (channel, kind, now);
        Some(answer)
    }

    /// What becomes of the key, among what passes.
    fn happens(&mut self, happening: Happening, now: Duration) {
        let _ = (happening, now);
    }
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// It is plugged in.
    Plugged,
    /// It is pulled out.
    Unplugged,
    /// A USB host has taken it, and powers it up anew.
    Attached,
    /// A USB host has let it go.
    Detached,
    /// It waits for a gesture.
    Waiting(Reason),
    /// It waits no more.
    WaitEnded(Ended),
    /// A host had it wink.
    Winked,
    /// So many discoverable credentials are on it now.
    Stored(usize),
    /// So many programs use it now without USB.
    Programs(usize),
    /// A program that speaks CTAPHID without USB has come: what it says is from this peer.
    Connected(Peer),
    /// It has gone.
    Disconnected(Peer),
    /// Whoever sent the message without CTAPHID that is under way cancels it.
    CancelAsked,
    /// Whoever sent the message without CTAPHID that is under way has gone.
    Abandoned,
    /// Its owner has changed what it keeps, beside all hosts.
    Administered,
}

/// How a key's wait for a gesture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user touched it.
    Touched,
    /// The user refused.
    Denied,
    /// Whoever asked wants it no more, or the power was lost.
    Cancelled,
    /// No gesture came in time.
    TimedOut,
}
