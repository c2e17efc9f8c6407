//! Where something can stand between a key and what it stands on, or listen there.
//!
//! A rack asks its [`Seams`] for each key. Without any, a key has its database or its memory, the runtime's time, and nothing at its
//! edge. What a wrapper is given it may use, replace or ignore.
//!
//! Several stand there in a row, from the key outwards: what a later one is given, an earlier one has let pass.

use core::any::Any;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use keyrig_authenticator::attestation::{Attestation, Root};
use keyrig_authenticator::environment::Environment;
use keyrig_authenticator::{Asks, Channel, Reason};
use keyrig_ctap::hid::{ChannelId, Peer, Report, RequestKind};
use keyrig_usb::{ControlEar, Fate, Host};

use crate::clock::Clock;
use crate::feedback::Feedback;
use crate::key_name::KeyName;
use crate::storage::Storage;

/// Stands between the keys of a rack and what they stand on: faults, timelines, transcripts.
///
/// [`Rack::at_seams`](crate::Rack::at_seams) finds one again by its type.
pub trait Seams: Any + fmt::Debug + Send + Sync {
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

    /// The key's randomness and cryptography, around `environment`, which would be it: through it passes what the key says of
    /// credentials. `attestation` is what it vouches with, and `root` has issued that.
    fn environment(
        &self,
        key: &KeyName,
        root: &Root,
        attestation: &Attestation,
        environment: Box<dyn Environment>,
    ) -> Box<dyn Environment> {
        let _ = (key, root, attestation);
        environment
    }

    /// What decides how transfers between the key and its USB host end; nothing, unless this says so.
    fn host(&self, key: &KeyName) -> Option<Host> {
        let _ = key;
        None
    }

    /// What hears the control requests of the key's USB hosts; nothing, unless this says so.
    fn control_ear(&self, key: &KeyName) -> Option<ControlEar> {
        let _ = key;
        None
    }

    /// The key was taken out of the rack. Another one may come that has its name.
    fn removed(&self, key: &KeyName) {
        let _ = key;
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

    /// The answer to a message, which the authenticator or, if that is busy, the key gives.
    fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        let _ = (channel, kind, now);
        Onward::Now(answer)
    }

    /// What becomes of the key, among what passes.
    fn happens(&mut self, happening: &Happening, now: Duration) {
        let _ = (happening, now);
    }

    /// A report to a peer that was held back or made up, and is due. Asked for after each thing that passes, until there is none.
    fn poll_report_out(&mut self, now: Duration) -> Option<(Peer, Report)> {
        let _ = now;
        None
    }

    /// An answer that was held back and is due. Of several on one channel it is the one that was held first.
    fn poll_response(&mut self, now: Duration) -> Option<(Channel, RequestKind, Vec<u8>)> {
        let _ = now;
        None
    }

    /// Something that others at this edge, farther from the key, are to hear of.
    fn poll_happening(&mut self) -> Option<Happening> {
        None
    }

    /// When something will be due.
    fn poll_timeout(&self) -> Option<Duration> {
        None
    }
}

/// What becomes of an answer at the edge of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onward {
    /// This goes on in its place.
    Now(Vec<u8>),
    /// Something is to go on later: [`Edge::poll_response`] gives it. Meanwhile the host hears keepalives.
    Later,
    /// It is lost, and the host hears keepalives for as long as it likes.
    Never,
}

/// What stands at the seams of one rack, in a row from its keys outwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row(pub(crate) Vec<Arc<dyn Seams>>);

impl Row {
    pub(crate) fn storage(&self, key: &KeyName, storage: Box<dyn Storage>) -> Box<dyn Storage> {
        self.0.iter().fold(storage, |storage, seams| seams.storage(key, storage))
    }

    pub(crate) fn clock(&self, key: &KeyName, clock: Box<dyn Clock>) -> Box<dyn Clock> {
        self.0.iter().fold(clock, |clock, seams| seams.clock(key, clock))
    }

    pub(crate) fn environment(
        &self,
        key: &KeyName,
        root: &Root,
        attestation: &Attestation,
        environment: Box<dyn Environment>,
    ) -> Box<dyn Environment> {
        self.0.iter().fold(environment, |inner, seams| seams.environment(key, root, attestation, inner))
    }

    pub(crate) fn edges(&self, key: &KeyName) -> Vec<Box<dyn Edge>> {
        self.0.iter().filter_map(|seams| seams.edge(key)).collect()
    }

    /// The first that is not content with how a transfer ends decides.
    pub(crate) fn host(&self, key: &KeyName) -> Option<Host> {
        let mut all: Vec<_> = self.0.iter().filter_map(|seams| seams.host(key)).collect();
        match all.len() {
            0 | 1 => all.pop(),
            _ => Some(Arc::new(move |transfer| {
                let fates = all.iter().map(|host| host(transfer));
                fates.into_iter().find(|fate| *fate != Fate::Good).unwrap_or(Fate::Good)
            })),
        }
    }

    pub(crate) fn removed(&self, key: &KeyName) {
        self.0.iter().for_each(|seams| seams.removed(key));
    }

    pub(crate) fn control_ear(&self, key: &KeyName) -> Option<ControlEar> {
        let mut all: Vec<_> = self.0.iter().filter_map(|seams| seams.control_ear(key)).collect();
        match all.len() {
            0 | 1 => all.pop(),
            _ => Some(Arc::new(move |request| all.iter().for_each(|ear| ear(request)))),
        }
    }
}

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    Waiting(Reason, Asks),
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
    /// It was touched though it waits for nothing, and has a latch for that.
    TouchedUnasked,
    /// Something went wrong with it on purpose: the fault, as whoever stands at the seam names it.
    Fault(String),
}

/// How a key's wait for a gesture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user touched it.
    Touched,
    /// It asked for a verification of its user, and was touched by that.
    Verified,
    /// The same, by somebody else.
    Missed,
    /// The user refused.
    Denied,
    /// Whoever asked wants it no more, or the power was lost.
    Cancelled,
    /// No gesture came in time.
    TimedOut,
    /// It asked for a sample of a fingerprint, and made this of it: nothing good, or it was [touched](Self::Touched).
    Sampled(Feedback),
}
