//! Replay: what hosts and users did in a recorded session, done again to fresh keys, and the first thing that these do otherwise.
//!
//! Replayable is what was recorded with a seed, by which keys have the portable cryptography: the header of its transcript says the
//! seed, and of each key the profile and from where it starts. Time is as recorded. What keys say and do has to be the same, byte for
//! byte; of keepalives the order of statuses has, and not how many there are, as that is a matter of the machine.
//!
//! Faults are switched as they were, with the same seed, and go wrong at the same times; what they do is compared, and not when it is
//! told that they did. Those that are late or lose packets are not done again: when and how often these happen is a matter of the
//! machine.
//!
//! What cannot be done again, as it is not written down, ends it: what an owner changed while it was recorded, keys that came
//! meanwhile, events that were missed.

mod difference;
mod key;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyrig_authenticator::Profile;
use keyrig_authenticator::attestation::CertificateFailed;
use keyrig_authenticator::profile::{EnterpriseRefused, Quirk, QuirkRefused, UnknownQuirk};
use keyrig_metadata::Blob;
use keyrig_rack::certified::{self, NoProfile};
use keyrig_rack::key::{LoneKey, StartingPoint};
use keyrig_rack::seams::Seams;
use keyrig_rack::snapshot::{InvalidSnapshot, Snapshot};
use keyrig_rack::{KeyName, KeySpecification, MAX_KEYS};
use thiserror::Error;

pub use self::difference::Difference;
pub use self::key::Problem;

use self::difference::seconds;
use self::key::Key;
use crate::scope::Absent;
use crate::switch::Faults;
use crate::transcript::{Direction, Event, Header, KeyInTrace, NotATranscript, Recorder, Secrets, What};

/// What came of a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// How many keys there were.
    pub keys: usize,
    /// How many requests they were given.
    pub exchanges: u64,
    /// How many reports they sent, keepalives included.
    pub reports: u64,
    /// What was otherwise, and where it ended; nothing if all was as recorded.
    pub difference: Option<Difference>,
    /// All was as recorded, but the transcript [has no end](What::End): whoever wrote it was stopped, or it lost its last lines.
    pub cut_short: bool,
}

/// Why a transcript cannot be replayed, or not further.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotReplayable {
    /// It is no transcript, or not to its end.
    #[error(transparent)]
    Transcript(#[from] NotATranscript),
    /// It does not begin with a header, or has a second one.
    #[error("a transcript has one header, which is its first line: this has {0}")]
    Header(&'static str),
    /// It is a capture.
    #[error(
        "it is a capture, which has reports and not from where keys start: what was written to .jsonl, with a seed, can be replayed"
    )]
    Capture,
    /// It was recorded without a seed.
    #[error("it was recorded without a seed, so what was random in it cannot be had again")]
    NoSeed,
    /// It is of more keys than a rack has.
    #[error("it is of {0} keys: a rack has {MAX_KEYS} at most")]
    TooManyKeys(usize),
    /// A key of its header cannot be made.
    #[error("key {key:?} of its header cannot be made: {problem}")]
    Key {
        /// The key.
        key: String,
        /// Why.
        problem: KeyProblem,
    },
    /// It comes to something that is not written down, or is no event of such a key.
    #[error("at {} s{}: {problem}", seconds(*.at_us), key.as_ref().map(|key| format!(", key {key:?}")).unwrap_or_default())]
    At {
        /// When, microseconds since the start.
        at_us: u64,
        /// The key.
        key: Option<String>,
        /// What it comes to.
        problem: Problem,
    },
}

/// Why a key cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// No key can have this name.
    #[error("that is no name for a key")]
    Name,
    /// There are two of this name.
    #[error("there are two of them")]
    Twice,
    /// There is no such profile.
    #[error("no profile is called {0:?}")]
    Profile(String),
    /// There is no such profile of a certified key.
    #[error(transparent)]
    NoProfile(#[from] NoProfile),
    /// There is no such known bug.
    #[error(transparent)]
    Quirk(#[from] UnknownQuirk),
    /// The known bug is one that such a key cannot have.
    #[error(transparent)]
    QuirkRefused(#[from] QuirkRefused),
    /// It cannot list an RP ID for enterprise attestations.
    #[error(transparent)]
    Enterprise(#[from] EnterpriseRefused),
    /// From where it starts is not written down.
    #[error("from where it starts is not written down")]
    NoStart,
    /// What it starts from is damaged.
    #[error(transparent)]
    Snapshot(#[from] InvalidSnapshot),
    /// What it starts from is of a key of another profile.
    #[error("the snapshot is of a {0}")]
    OtherProfile(String),
    /// It has no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateFailed),
}

/// Does what is recorded in these events again. Profiles named `mds:AAGUID` are looked up in `metadata`.
///
/// # Errors
/// [`NotReplayable`]: it is no such transcript, or cannot be done again from some event on.
pub fn replay(
    events: impl IntoIterator<Item = Result<Event, NotATranscript>>,
    metadata: Option<&Blob>,
) -> Result<Replayed, NotReplayable> {
    let mut events = events.into_iter();
    let first = events.next().transpose()?.map(|event| event.what);
    let Some(What::Trace(header)) = first else { return Err(NotReplayable::Header("none")) };
    let (mut keys, recorder) = make(&header, metadata)?;
    let mut replayed = Replayed { keys: keys.len(), exchanges: 0, reports: 0, difference: None, cut_short: false };
    let mut has_end = false;
    let mut last_us = BTreeMap::<String, u64>::new();
    for event in events {
        let event = event?;
        let problem = |problem| NotReplayable::At { at_us: event.at_us, key: event.key.clone(), problem };
        match &event.what {
            What::Trace(_) => return Err(NotReplayable::Header("two")),
            What::End => {
                has_end = true;
                continue;
            }
            What::Gap { missed } => return Err(problem(Problem::Gap(*missed))),
            // By the machine's clock, and nothing to a key: it answers for itself.
            What::Control { .. } => continue,
            // By the machine's clock too.
            what @ (What::FaultOn { .. } | What::FaultOff { .. }) => {
                let key = event.key.as_ref().and_then(|name| keys.get_mut(name));
                key.ok_or_else(|| problem(Problem::UnknownKey))?.switch(what).map_err(problem)?;
                continue;
            }
            What::Request { .. } => replayed.exchanges += 1,
            What::Report { direction: Direction::In, .. } => replayed.reports += 1,
            _ => {}
        }
        let Some(name) = &event.key else { continue };
        let last = last_us.entry(name.clone()).or_default();
        if event.at_us < *last {
            return Err(problem(Problem::Back));
        }
        *last = event.at_us;
        let key = keys.get_mut(name).ok_or_else(|| problem(Problem::UnknownKey))?;
        key.tell(&event).map_err(problem)?;
        hear(&recorder, &mut keys);
        let Some(key) = keys.get_mut(name) else { continue };
        if key.is_behind() {
            key.catch_up(event.at_us);
            hear(&recorder, &mut keys);
        }
        replayed.difference = keys.get_mut(name).and_then(|key| key.compare(&event));
        if replayed.difference.is_some() {
            return Ok(replayed);
        }
    }
    replayed.difference = keys.iter_mut().find_map(|(_, key)| key.left());
    replayed.cut_short = replayed.difference.is_none() && !has_end;
    Ok(replayed)
}

/// The keys of a header, by name, and what listens at them.
fn make(header: &Header, metadata: Option<&Blob>) -> Result<(BTreeMap<String, Key>, Recorder), NotReplayable> {
    let seed = header.seed.ok_or(NotReplayable::NoSeed)?;
    if header.keys.len() > MAX_KEYS {
        return Err(NotReplayable::TooManyKeys(header.keys.len()));
    }
    let wrong = |key: &KeyInTrace| {
        let key = key.name.clone();
        move |problem| NotReplayable::Key { key, problem }
    };
    let mut specifications = Vec::new();
    let mut starts = Vec::new();
    for key in &header.keys {
        let (specification, start) = starting_point(key, metadata).map_err(wrong(key))?;
        specifications.push(specification);
        starts.push(start);
    }
    let recorder = Recorder::new(&specifications, if header.masked { Secrets::Masked } else { Secrets::Shown });
    // As messages were kept whole.
    recorder.starts_from(seed, &[]);
    let faults = Faults::new(Some(seed), Absent::nothing());
    let mut keys = BTreeMap::new();
    for ((key, KeySpecification { name, profile }), start) in header.keys.iter().zip(specifications).zip(starts) {
        let seams: Vec<Arc<dyn Seams>> = vec![Arc::new(faults.clone()), Arc::new(recorder.clone())];
        let made = LoneKey::new(seed, &name, profile, start, seams).map_err(KeyProblem::from).map_err(wrong(key))?;
        if keys.insert(name.to_string(), Key::new(name.clone(), made, faults.clone())).is_some() {
            return Err(wrong(key)(KeyProblem::Twice));
        }
    }
    Ok((keys, recorder))
}

fn starting_point(key: &KeyInTrace, metadata: Option<&Blob>) -> Result<(KeySpecification, StartingPoint), KeyProblem> {
    let name: KeyName = key.name.parse().map_err(|_| KeyProblem::Name)?;
    let mut profile = if key.profile.starts_with(certified::PREFIX) {
        certified::profile(&key.profile, metadata)?
    } else {
        Profile::built_in(&key.profile).ok_or_else(|| KeyProblem::Profile(key.profile.clone()))?
    };
    for quirk in &key.quirks {
        profile.add(Quirk::named(quirk)?)?;
    }
    for rp_id in &key.enterprise_rps {
        profile.list_for_enterprise(rp_id)?;
    }
    let start = key.start.as_ref().ok_or(KeyProblem::NoStart)?;
    let snapshot = Snapshot::from_bytes(&start.snapshot)?;
    if snapshot.profile != profile.name {
        return Err(KeyProblem::OtherProfile(snapshot.profile));
    }
    Ok((KeySpecification { name, profile }, StartingPoint { snapshot, position: start.position }))
}

/// Gives what was heard to the keys that it is of.
fn hear(recorder: &Recorder, keys: &mut BTreeMap<String, Key>) {
    for event in recorder.heard() {
        if let Some(key) = event.key.as_ref().and_then(|key| keys.get_mut(key)) {
            key.heard(event);
        }
    }
}
