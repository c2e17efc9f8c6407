//! The ear at the edge of each key.

#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keyrig_authenticator::{Asks, Channel};
use keyrig_ctap::hid::{Peer, Report, RequestKind};
use keyrig_rack::key::{StartingPoint, identity};
use keyrig_rack::seams::{Edge, Ended, Happening, Onward, Seams, WITHOUT_CTAPHID};
use keyrig_rack::{KeyName, KeySpecification};
use keyrig_usb::ControlEar;
use thiserror::Error;

use super::assembly::{Assembly, DIRECT, Heard, Sound, peer_name};
use super::decode::Secrets;
use super::event::{Direction, Event, Header, KeyInTrace, Start, Touch, What};
use super::exchange::Transcript;
use super::explain::{Explainer, SILENCE_US};
use super::explanation::Explanation;
use super::followed::{Follower, Log};
use super::note::Note;
use super::output::Output;
use super::queue::{Entry, Next, Queue};
use crate::switch::{Faults, Switched};

/// How much is written at a time, bytes.
const ENOUGH: usize = 64 * 1024;

/// What the first line of a transcript with a seed says.
const SEED_WARNING: &str = "with this seed all PINs and private keys in here can be computed";

/// How long the end waits for a write.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Listens at every key of a rack: [`Options::seams`](keyrig_rack::Options::seams). Clones are one recorder.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    queue: Arc<Queue>,
    secrets: Secrets,
    header: Mutex<Header>,
    started: Instant,
    /// What was heard by who asks for it without a file.
    kept: Mutex<Kept>,
    failed: Arc<Mutex<Option<io::Error>>>,
    /// What those are told who follow it.
    followed: Arc<Log>,
    hears_reports: bool,
    /// Whether there is a thread that takes what is heard.
    is_attended: Mutex<bool>,
}

struct Kept {
    assembly: Assembly,
    events: Vec<Event>,
}

/// A transcript is not whole on the disk, or wherever it was to be.
#[derive(Debug, Error)]
pub enum Unwritten {
    /// Writing failed.
    #[error("the transcript was not written: {0}")]
    Failed(#[source] io::Error),
    /// Nobody took it in time.
    #[error("the end of the transcript was not written: nobody took it for {} s", LAST_WORDS.as_secs())]
    Unread,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("header", &self.header()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// For a rack that is to hold these keys.
    #[must_use]
    pub fn new(keys: &[KeySpecification], secrets: Secrets) -> Self {
        Self::over(Queue::default(), keys, secrets, true)
    }

    /// The same for who may come to [follow](Self::follow) it, and for nobody else. Until then it costs next to nothing: the latest of what is
    /// heard is kept as it is, without reports.
    #[must_use]
    pub fn for_followers(keys: &[KeySpecification]) -> Self {
        Self::over(Queue::of_the_latest(), keys, Secrets::Masked, false)
    }

    fn over(queue: Queue, keys: &[KeySpecification], secrets: Secrets, hears_reports: bool) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            format: 1,
            recorded_by: concat!("keyrig ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_unix_us: super::assembly::microseconds(started),
            masked: secrets == Secrets::Masked,
            seed: None,
            warning: None,
            keys: keys.iter().map(introduced).collect(),
        };
        Self(Arc::new(Shared {
            queue: Arc::new(queue),
            secrets,
            header: Mutex::new(header),
            started: Instant::now(),
            kept: Mutex::new(Kept { assembly: Assembly::new(secrets), events: Vec::new() }),
            failed: Arc::default(),
            followed: Arc::default(),
            hears_reports,
            is_attended: Mutex::default(),
        }))
    }

    /// Writes down what it takes to [replay](crate::replay) what keys do from here on: the rack's seed, and from where each of its
    /// keys starts. To be called when the rack has started and nobody has asked its keys anything, and before
    /// [`write_to`](Self::write_to).
    pub fn starts_from(&self, seed: u64, keys: &[(KeyName, StartingPoint)]) {
        let mut header = self.0.header.lock().unwrap_or_else(PoisonError::into_inner);
        header.seed = Some(seed);
        header.warning = Some(SEED_WARNING.to_owned());
        for key in &mut header.keys {
            let start = keys.iter().find(|(name, _)| name.as_str() == key.name).map(|(_, start)| start);
            key.start = start.map(|start| Start { snapshot: start.snapshot.to_bytes(), position: start.position });
        }
        drop(header);
        // What was done before is in the snapshots.
        self.0.queue.forget(|heard| matches!(&heard.sound, Sound::Became(what) if **what == What::Administered));
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).assembly.keep_messages();
    }

    /// Writes down what is switched on and off of these faults, which stand at the same keys. To be called before any is, and for one
    /// recorder: it takes that to replay what keys with faults did.
    pub fn listen_to(&self, faults: &Faults) {
        let (queue, started) = (Arc::clone(&self.0.queue), self.0.started);
        faults.tell(Box::new(move |key, switched| {
            let what = match switched {
                Switched::On(fault) => What::FaultOn { fault: fault.to_string() },
                Switched::Off(which) => What::FaultOff { fault: which.map(ToString::to_string) },
            };
            let key = Arc::from(key.as_str());
            queue.push(Heard { at: started.elapsed(), key, sound: Sound::Became(Box::new(what)) });
        }));
    }

    /// Writes down what a page noted.
    pub fn observe(&self, note: Note) {
        self.0.queue.push(Heard {
            at: self.0.started.elapsed(),
            key: Arc::from(""),
            sound: Sound::Noted(Box::new(note)),
        });
    }

    fn header(&self) -> Header {
        self.0.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the thread that writes what is heard.
    ///
    /// # Errors
    /// There can be no thread, or there is one already.
    pub fn write_to(&self, output: Output, out: impl Write + Send + 'static) -> io::Result<()> {
        self.start(Some((output, Box::new(out))), None)
    }

    /// Starts a thread that has ceremonies explained that fail, and writes what is heard and these explanations, if it is given
    /// where.
    ///
    /// # Errors
    /// There can be no thread, or there is one already.
    pub fn explain_to(
        &self,
        tell: impl FnMut(&Explanation) + Send + 'static,
        written: Option<(Output, Box<dyn Write + Send>)>,
    ) -> io::Result<()> {
        self.start(written, Some(Box::new(tell)))
    }

    /// Follows what is heard from here on, and the latest of before if this is [for followers](Self::for_followers), with ceremonies
    /// explained that fail. If nothing is written of it, this starts the thread that decodes it. Secrets are masked as in what is written;
    /// beside a capture they are masked unless they are to be shown.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn follow(&self) -> io::Result<Follower> {
        self.0.followed.begin();
        let mut is_attended = self.0.is_attended.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_attended {
            self.attend(None, None)?;
            *is_attended = true;
        }
        Ok(self.0.followed.follower())
    }

    fn start(&self, written: Option<(Output, Box<dyn Write + Send>)>, tell: Option<Tell>) -> io::Result<()> {
        let mut is_attended = self.0.is_attended.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_attended {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is heard is written, or followed, already"));
        }
        self.attend(written, tell)?;
        *is_attended = true;
        Ok(())
    }

    fn attend(&self, written: Option<(Output, Box<dyn Write + Send>)>, tell: Option<Tell>) -> io::Result<()> {
        let Shared { queue, secrets, failed, followed, .. } = &*self.0;
        let header = self.header();
        // A capture is of what passed.
        let is_raw = written.as_ref().is_some_and(|(output, _)| output.is_raw());
        let masked = (is_raw && *secrets == Secrets::Masked).then(|| Assembly::new(Secrets::Masked));
        let mut assembly = Assembly::new(if is_raw { Secrets::Shown } else { *secrets });
        if header.seed.is_some() {
            assembly.keep_messages();
        }
        let writing = written.map(|(output, out)| Writing {
            output,
            out,
            bytes: Vec::new(),
            has_failed: false,
            failed: Arc::clone(failed),
        });
        let explainer = tell.as_ref().map(|_| Explainer::default());
        let header = Event { at_us: 0, key: None, what: What::Trace(header) };
        let (queue, followed) = (Arc::clone(queue), Arc::clone(followed));
        let thread = Thread { queue, assembly, masked, writing, explainer, tell, followed, latest_us: 0 };
        self.0.queue.attend();
        thread::Builder::new().name("transcript".to_owned()).spawn(move || thread.run(&header)).map(drop)
    }

    /// Hears no more, and waits until what was heard is written.
    ///
    /// # Errors
    /// [`Unwritten`], if something is not.
    pub fn finish(&self) -> Result<(), Unwritten> {
        self.finish_within(LAST_WORDS)
    }

    fn finish_within(&self, patience: Duration) -> Result<(), Unwritten> {
        let written = self.0.queue.close(patience);
        if let Some(error) = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Unwritten::Failed(error));
        }
        if written { Ok(()) } else { Err(Unwritten::Unread) }
    }

    /// What was heard so far, if nothing writes it elsewhere.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { assembly, events } = &mut *kept;
        for entry in self.0.queue.drain() {
            take(assembly, entry, &mut |event| events.push(event));
        }
        let header = Event { at_us: 0, key: None, what: What::Trace(self.header()) };
        Transcript::new(core::iter::once(header).chain(events.iter().cloned()).collect())
    }

    /// What was heard since this was last asked, if nothing else is.
    pub(crate) fn heard(&self) -> Vec<Event> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        for entry in self.0.queue.drain() {
            take(&mut kept.assembly, entry, &mut |event| events.push(event));
        }
        events
    }
}

type Tell = Box<dyn FnMut(&Explanation) + Send>;

/// What is written, and where.
struct Writing {
    output: Output,
    out: Box<dyn Write + Send>,
    bytes: Vec<u8>,
    has_failed: bool,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Writing {
    /// After a failure what comes is taken all the same, so that it does not pile up. The lock is not held while it is written: who
    /// finishes looks at it, though nobody may ever read.
    fn flush(&mut self) {
        if !self.has_failed
            && let Err(error) = self.out.write_all(&self.bytes).and_then(|()| self.out.flush())
        {
            self.has_failed = true;
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        self.bytes.clear();
    }
}

/// What the thread does with what is heard.
struct Thread {
    queue: Arc<Queue>,
    assembly: Assembly,
    /// What makes events for who follows, if they are not to see what is written.
    masked: Option<Assembly>,
    writing: Option<Writing>,
    /// Who says why ceremonies fail.
    explainer: Option<Explainer>,
    /// Who is told that, beside those who follow.
    tell: Option<Tell>,
    followed: Arc<Log>,
    /// The latest time of an event.
    latest_us: u64,
}

impl Thread {
    fn run(mut self, header: &Event) {
        self.take(header);
        loop {
            self.flush();
            let silence = self.explainer.as_ref().filter(|explainer| explainer.waits_for_silence());
            match self.queue.next(silence.map(|_| Duration::from_micros(SILENCE_US))) {
                Next::Closed => break,
                Next::Silence => self.explain(Explainer::fall_silent),
                Next::Entries(entries) => {
                    for entry in entries {
                        self.mask(&entry);
                        let mut events = Vec::new();
                        take(&mut self.assembly, entry, &mut |event| events.push(event));
                        for event in events {
                            self.take(&event);
                        }
                        if self.writing.as_ref().is_some_and(|writing| writing.bytes.len() > ENOUGH) {
                            self.flush();
                        }
                    }
                }
            }
        }
        self.explain(|explainer| core::mem::take(explainer).end_of_transcript());
        if let Some(Writing { output, bytes, .. }) = &mut self.writing {
            output.write(&Event { at_us: self.latest_us, key: None, what: What::End }, bytes);
            output.end(bytes);
        }
        self.flush();
        self.queue.written();
    }

    fn take(&mut self, event: &Event) {
        self.latest_us = self.latest_us.max(event.at_us);
        if let Some(Writing { output, bytes, .. }) = &mut self.writing {
            output.write(event, bytes);
        }
        if self.masked.is_none() && self.followed.is_followed() {
            self.followed.write(event);
        }
        self.explain(|explainer| explainer.take(event));
    }

    /// Tells those who follow what is not to be shown as it is written.
    fn mask(&mut self, entry: &Entry) {
        let Self { masked: Some(masked), followed, .. } = self else { return };
        take(masked, entry.clone(), &mut |event| {
            if followed.is_followed() {
                followed.write(&event);
            }
        });
    }

    fn explain(&mut self, explain: impl FnOnce(&mut Explainer) -> Vec<Event>) {
        let Self { writing, explainer, tell, followed, .. } = self;
        let is_followed = followed.is_followed();
        if explainer.is_none() && is_followed {
            *explainer = Some(Explainer::default());
        }
        let Some(explainer) = explainer else { return };
        for event in explain(explainer) {
            if is_followed {
                followed.write(&event);
            }
            let Some(tell) = tell else { continue };
            if let What::Explained(explanation) = &event.what {
                tell(explanation);
            }
            if let Some(Writing { output, bytes, .. }) = writing {
                output.write(&event, bytes);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(writing) = &mut self.writing {
            writing.flush();
        }
        self.queue.goes_on();
    }
}

fn take(assembly: &mut Assembly, entry: Entry, events: &mut impl FnMut(Event)) {
    match entry {
        Entry::Heard(heard) => assembly.take(heard, events),
        Entry::Missed { at, count } => {
            assembly.gap();
            events(Event { at_us: super::assembly::microseconds(at), key: None, what: What::Gap { missed: count } });
        }
    }
}

fn introduced(specification: &KeySpecification) -> KeyInTrace {
    KeyInTrace {
        name: specification.name.to_string(),
        profile: specification.profile.name.clone(),
        quirks: specification.profile.quirks.clone(),
        enterprise_rps: specification.profile.enterprise_attestation.rp_ids.clone(),
        usb: identity(&specification.profile, &specification.name),
        start: None,
    }
}

impl Seams for Recorder {
    fn control_ear(&self, key: &KeyName) -> Option<ControlEar> {
        if !self.0.hears_reports {
            return None;
        }
        let (key, queue, started) = (Arc::<str>::from(key.as_str()), Arc::clone(&self.0.queue), self.0.started);
        Some(Arc::new(move |request| {
            // A USB host and its key have no clock in common.
            let what = What::control(request.setup.encode(), request.status, request.data.to_vec());
            queue.push(Heard { at: started.elapsed(), key: Arc::clone(&key), sound: Sound::Became(Box::new(what)) });
        }))
    }

    fn edge(&self, key: &KeyName) -> Option<Box<dyn Edge>> {
        let (key, queue) = (Arc::from(key.as_str()), Arc::clone(&self.0.queue));
        Some(Box::new(Ear { key, queue, hears_reports: self.0.hears_reports }))
    }
}

/// Listens at one key.
struct Ear {
    key: Arc<str>,
    queue: Arc<Queue>,
    hears_reports: bool,
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Ear {
    fn hear(&self, at: Duration, sound: Sound) {
        self.queue.push(Heard { at, key: Arc::clone(&self.key), sound });
    }
}

/// Who that is, and on which channel.
fn way(channel: Channel) -> (u64, u32) {
    (if channel == WITHOUT_CTAPHID { DIRECT } else { channel.peer.0 }, channel.id.0)
}

impl Edge for Ear {
    fn report_in(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        if self.hears_reports {
            self.hear(now, Sound::Report { direction: Direction::Out, peer: peer.0, report: Box::new(report) });
        }
        Some(report)
    }

    fn report_out(&mut self, peer: Peer, report: Report, now: Duration) -> Option<Report> {
        if self.hears_reports {
            self.hear(now, Sound::Report { direction: Direction::In, peer: peer.0, report: Box::new(report) });
        }
        Some(report)
    }

    fn request(&mut self, channel: Channel, kind: RequestKind, message: Vec<u8>, now: Duration) -> Option<Vec<u8>> {
        let (peer, channel) = way(channel);
        self.hear(now, Sound::Request { peer, channel, kind, message: message.clone() });
        Some(message)
    }

    fn response(&mut self, channel: Channel, kind: RequestKind, answer: Vec<u8>, now: Duration) -> Onward {
        let (peer, channel) = way(channel);
        self.hear(now, Sound::Response { peer, channel, kind, message: answer.clone() });
        Onward::Now(answer)
    }

    fn happens(&mut self, happening: &Happening, now: Duration) {
        let what = match *happening {
            Happening::Plugged => What::Plugged,
            Happening::Unplugged => What::Unplugged,
            Happening::Attached => What::Attached,
            Happening::Detached => What::Detached,
            Happening::Waiting(reason, asks) => {
                What::Waiting { command: reason.command(), for_verification: asks == Asks::Verification }
            }
            Happening::WaitEnded(ended) => What::WaitEnded {
                touch: match ended {
                    Ended::Touched => Touch::Touched,
                    Ended::Verified => Touch::Verified,
                    Ended::Missed => Touch::Missed,
                    Ended::Sampled(feedback) => Touch::Sampled(feedback),
                    Ended::Denied => Touch::Denied,
                    Ended::Cancelled => Touch::Cancelled,
                    Ended::TimedOut => Touch::TimedOut,
                },
            },
            Happening::Winked => What::Winked,
            Happening::TouchedUnasked => What::TouchedUnasked,
            Happening::Fault(ref fault) => What::Fault { fault: fault.clone() },
            Happening::Stored(discoverable_credentials) => What::Stored { discoverable_credentials },
            Happening::Programs(programs) => What::Programs { programs },
            Happening::Connected(peer) => What::Connected { peer: peer_name(peer.0) },
            Happening::Disconnected(peer) => What::Disconnected { peer: peer_name(peer.0) },
            Happening::CancelAsked => What::CancelAsked,
            Happening::Abandoned => What::Abandoned,
            Happening::Administered => What::Administered,
            // The rack may come to tell more than is written down.
            _ => return,
        };
        self.hear(now, Sound::Became(Box::new(what)));
    }
}
