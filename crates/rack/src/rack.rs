//! The rack: keys by name, and the task that moves the finger over them.

mod entry;
mod task;

use core::pin::pin;
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_authenticator::attestation::{CertificateFailed, Root};
use keyrig_authenticator::environment::{Environment, Seeded};
use keyrig_authenticator::store::Store;
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_usb::Exports;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::entry::{Entry, Waits};
use self::task::{Request, Task, unknown};
use crate::clock::{Clock, SystemClock};
use crate::command::{Command, RackState, Refusal};
use crate::crypto::System;
use crate::events::{Log, Reader, What};
use crate::finger::Finger;
use crate::key::{KeyHandle, Progress, Start};
use crate::key_name::KeyName;
use crate::seams::Seams;
use crate::state_directory::{StateDirectory, StateError};
use crate::storage::{Memory, Storage};

/// The most keys in a rack: each has a port of one bus.
pub const MAX_KEYS: usize = 127;

/// What a rack is made with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the finger does, and over which key.
    pub finger: Finger,
    /// The seed from which everything random follows. Without one, randomness is the operating system's.
    pub seed: Option<u64>,
    /// Where keys are kept. Without it they live as long as the rack.
    pub state: Option<PathBuf>,
    /// What stands between the keys and what they stand on: faults, timelines, transcripts. Without it, nothing.
    pub seams: Option<Arc<dyn Seams>>,
}

/// A key that a rack is to hold.
#[derive(Clone, Debug)]
pub struct KeySpecification {
    /// Its name.
    pub name: KeyName,
    /// Which key it is.
    pub profile: Profile,
}

/// Where the secret of the TEST attestation root came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootOrigin {
    /// It follows from the seed.
    Seed,
    /// It is kept in the state directory.
    State,
    /// It was made for this rack and goes with it.
    Process,
}

/// Why a rack could not be set up.
#[derive(Debug, Error)]
pub enum RackError {
    /// There are no keys in it.
    #[error("the rack has no keys")]
    NoKeys,
    /// There are too many keys in it.
    #[error("{0} keys are too many: a rack holds {MAX_KEYS}")]
    TooManyKeys(usize),
    /// Two keys have the same name.
    #[error("two keys are called {0}")]
    SameName(KeyName),
    /// The finger is to be over a key that there is none of.
    #[error("the finger cannot be over {0}: no key has that name")]
    NoSuchFinger(KeyName),
    /// A seed and a state directory contradict each other.
    #[error(
        "a seed promises the same bytes from the same start, and a state directory starts differently each time: use one of the two"
    )]
    SeedAndState,
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// An attestation certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateFailed),
    /// A key could not be plugged in.
    #[error(transparent)]
    Plug(Refusal),
}

/// What a key answered to a message without CTAPHID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub message: Vec<u8>,
    /// Whether it asked for a touch before.
    pub asked_for_touch: bool,
}

/// A running rack. Its keys go when the last clone is dropped.
#[derive(Clone)]
pub struct Rack {
    requests: mpsc::UnboundedSender<Request>,
    exports: Exports,
    keys: Vec<(KeyName, KeyHandle)>,
    events: Reader,
    root_certificate: Vec<u8>,
    root_origin: RootOrigin,
    crypto: &'static str,
    /// Every key's task listens, and says nothing: it has ended when it listens no more.
    tasks: Arc<watch::Sender<()>>,
}

impl core::fmt::Debug for Rack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rack").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Rack {
    /// Sets up a rack with all its keys plugged in. Must be called within a tokio runtime with time enabled.
    ///
    /// # Errors
    /// [`RackError`]: no key is left behind, nor a lock in the state directory.
    pub async fn start(options: Options, specifications: Vec<KeySpecification>) -> Result<Self, RackError> {
        check(&options, &specifications)?;
        let tasks = Arc::new(watch::Sender::new(()));
        let started = Self::start_keys(options, specifications, &tasks).await;
        if started.is_err() {
            tasks.closed().await;
        }
        started
    }

    async fn start_keys(
        options: Options,
        specifications: Vec<KeySpecification>,
        tasks: &Arc<watch::Sender<()>>,
    ) -> Result<Self, RackError> {
        let epoch = Instant::now();
        let state = options.state.as_deref().map(StateDirectory::open).transpose()?;
        let (secret, root_origin) = root_secret(&options, state.as_ref())?;
        let root = Root::new(*secret)?;
        let exports = Exports::new();
        let (notices, noticed) = mpsc::unbounded_channel();
        let mut entries = Vec::new();
        let mut crypto = "";
        for (index, KeySpecification { name, profile }) in specifications.into_iter().enumerate() {
            let mut environment = environment(options.seed, &name);
            crypto = environment.crypto().name();
            let (mut storage, store): (Box<dyn Storage>, _) = match &state {
                Some(state) => {
                    let (database, store) = state.open_key(&name, &profile, environment.as_mut())?;
                    (Box::new(database), store)
                }
                None => {
                    let (store, changes) = Store::create(environment.as_mut());
                    (Box::new(Memory::holding(&changes)), store)
                }
            };
            let mut clock: Box<dyn Clock> = Box::new(SystemClock::new(epoch));
            let mut edge = None;
            if let Some(seams) = &options.seams {
                storage = seams.storage(&name, storage);
                clock = seams.clock(&name, clock);
                edge = seams.edge(&name);
            }
            let busid = format!("1-{}", index + 1);
            let attestation = root.issue(&profile)?;
            let mut entry = Entry {
                name: name.clone(),
                profile: profile.name.clone(),
                busid: busid.clone(),
                plugged: false,
                attached: false,
                programs: 0,
                programs_over_udp: 0,
                waiting: None,
                discoverable_credentials: store.discoverable_count(),
                waits: Waits::default(),
                handle: crate::key::spawn(Start {
                    name,
                    busid,
                    authenticator: Authenticator::new(profile, attestation, environment, store, clock.now()),
                    storage,
                    clock,
                    edge,
                    exports: exports.clone(),
                    notices: notices.clone(),
                    running: tasks.subscribe(),
                }),
            };
            entry.plug().await.map_err(RackError::Plug)?;
            entries.push(entry);
        }
        let keys: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.handle.clone())).collect();
        let (requests, asked) = mpsc::unbounded_channel();
        let log = Log::default();
        for (key, _) in &keys {
            log.write(What::Plugged { key: key.clone() });
        }
        let events = log.reader();
        let task = Task { entries, finger: options.finger, asked, noticed, epoch, log };
        tokio::spawn(task.run());
        Ok(Self {
            requests,
            exports,
            keys,
            events,
            root_certificate: root.certificate().to_vec(),
            root_origin,
            crypto,
            tasks: Arc::clone(tasks),
        })
    }

    /// Carries out a command. One that waits for a key waits as long as it is waited for here: dropped, it has gone.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done.
    pub async fn command(&self, command: Command) -> Result<RackState, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { command, answer }).map_err(|_| Refusal::Stopped)?;
        answered.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// Sends a CTAP message to a key and awaits its answer, without CTAPHID and USB. A key that carries out a command for a host
    /// answers `CTAP1_ERR_CHANNEL_BUSY`. If `cancelled` completes while the key still has the message, it is told to cancel as
    /// CTAPHID_CANCEL would, and its answer is awaited all the same.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or the key was pulled out meanwhile.
    pub async fn transact(
        &self,
        key: &KeyName,
        message: Vec<u8>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Answered, Refusal> {
        let handle = self.asked(key, &message)?;
        // Not in the rack's task: it has to be free to move the finger.
        let mut transaction = handle.transact(message);
        let mut asked_for_touch = false;
        let mut cancelled = pin!(cancelled);
        let (mut is_cancelled, mut watching) = (false, true);
        loop {
            let (answer, progress) = transaction.parts();
            tokio::select! {
                biased;
                changed = progress.recv(), if watching => {
                    asked_for_touch |= changed == Some(Progress::UpNeeded);
                    // The command is over: only its answer is to come.
                    watching = changed.is_some();
                }
                answer = answer => {
                    let message = answer.map_err(|_| Refusal::Unplugged(key.clone()))?;
                    return Ok(Answered { message, asked_for_touch });
                }
                () = &mut cancelled, if !is_cancelled => {
                    is_cancelled = true;
                    transaction.cancel();
                }
            }
        }
    }

    /// Sends a CTAP1/U2F message (an APDU) to a key and awaits its answer, which comes at once, without CTAPHID and USB. A key that
    /// carries out a command answers as one that was not touched: ask again.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or the key was pulled out meanwhile.
    pub async fn transact_u2f(&self, key: &KeyName, message: Vec<u8>) -> Result<Answered, Refusal> {
        let handle = self.asked(key, &message)?;
        let answer = handle.transact_u2f(message).answer().await;
        let message = answer.map_err(|_| Refusal::Unplugged(key.clone()))?;
        Ok(Answered { message, asked_for_touch: false })
    }

    fn asked(&self, key: &KeyName, message: &[u8]) -> Result<&KeyHandle, Refusal> {
        if message.len() > MAX_MESSAGE_SIZE {
            return Err(Refusal::MessageTooLong(message.len()));
        }
        self.key(key).ok_or_else(|| unknown(key, self.keys.iter().map(|(name, _)| name)))
    }

    /// Resolves when all keys have ended: what they were writing is on the disk, and others may have their state directory. That
    /// is some time after the last clone of the rack and of its [`KeyHandle`]s is dropped.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let tasks = Arc::clone(&self.tasks);
        async move { tasks.closed().await }
    }

    /// The key with this name, to speak to without CTAPHID and USB.
    #[must_use]
    pub fn key(&self, name: &KeyName) -> Option<&KeyHandle> {
        self.keys.iter().find(|(key, _)| key == name).map(|(_, handle)| handle)
    }

    /// What happens in it.
    #[must_use]
    pub fn events(&self) -> &Reader {
        &self.events
    }

    /// The keys as USB devices, for whatever gives them to a host.
    #[must_use]
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// The certificate of the TEST attestation root, DER.
    #[must_use]
    pub fn root_certificate(&self) -> &[u8] {
        &self.root_certificate
    }

    /// Where the root came from.
    #[must_use]
    pub fn root_origin(&self) -> RootOrigin {
        self.root_origin
    }

    /// The library that computes with private keys.
    #[must_use]
    pub fn crypto(&self) -> &'static str {
        self.crypto
    }
}

fn check(options: &Options, specifications: &[KeySpecification]) -> Result<(), RackError> {
    if specifications.is_empty() {
        return Err(RackError::NoKeys);
    }
    if specifications.len() > MAX_KEYS {
        return Err(RackError::TooManyKeys(specifications.len()));
    }
    for (index, specification) in specifications.iter().enumerate() {
        if specifications.iter().take(index).any(|earlier| earlier.name == specification.name) {
            return Err(RackError::SameName(specification.name.clone()));
        }
    }
    if let Some(over) = &options.finger.over
        && !specifications.iter().any(|specification| specification.name == *over)
    {
        return Err(RackError::NoSuchFinger(over.clone()));
    }
    if options.seed.is_some() && options.state.is_some() {
        return Err(RackError::SeedAndState);
    }
    Ok(())
}

fn root_secret(
    options: &Options,
    state: Option<&StateDirectory>,
) -> Result<(Zeroizing<[u8; 32]>, RootOrigin), RackError> {
    Ok(match (options.seed, state) {
        (Some(seed), _) => (Zeroizing::new(derive(seed, "attestation root")), RootOrigin::Seed),
        (None, Some(state)) => (state.attestation_root(&mut System::new())?, RootOrigin::State),
        (None, None) => {
            let mut secret = Zeroizing::new([0; 32]);
            System::new().random(secret.as_mut());
            (secret, RootOrigin::Process)
        }
    })
}

fn environment(seed: Option<u64>, name: &KeyName) -> Box<dyn Environment> {
    match seed {
        Some(seed) => Box::new(Seeded::new(derive(seed, &format!("key {name}")))),
        None => Box::new(System::new()),
    }
}

fn derive(seed: u64, purpose: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"keyrig seed").chain_update(seed.to_be_bytes()).chain_update(purpose).finalize().into()
}
