//! The rack: keys by name, and the task that moves the finger over them.

mod entry;
mod error;
mod following;
mod maker;
mod owner;
mod shared;
mod task;

use core::any::Any;
use core::pin::pin;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use keyrig_authenticator::Profile;
use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::environment::Environment;
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_metadata::Blob;
use keyrig_usb::Exports;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub use self::error::RackError;
pub use self::following::{Change, Following, RackKey};
pub use self::owner::NewKey;

use self::following::Keys;
use self::maker::{Contents, Made, Maker};
use self::shared::Shared;
use self::task::{Request, Task};
pub use crate::command::MAX_KEYS;
use crate::command::{Command, RackState, Refusal};
use crate::crypto::System;
use crate::events::{Log, Reader, What};
use crate::finger::Finger;
use crate::key::{KeyHandle, Progress};
use crate::key_name::KeyName;
use crate::seams::{Row, Seams};
use crate::seed;
use crate::state_directory::StateDirectory;

/// How many keys are made at once where they are kept: most of that is waiting for the disk, which writes for several in one go.
const WAITING_FOR_DISK: usize = 16;

/// What a rack is made with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the finger does, and over which key.
    pub finger: Finger,
    /// The seed from which everything random follows. Without one, randomness is the operating system's.
    pub seed: Option<u64>,
    /// Where keys are kept. Without it they live as long as the rack.
    pub state: Option<PathBuf>,
    /// What stands between the keys and what they stand on, from the keys outwards: faults, timelines, and last transcripts, which
    /// hear what became of all. Without any, nothing.
    pub seams: Vec<Arc<dyn Seams>>,
    /// Where profiles named `mds:AAGUID` are looked up.
    pub metadata: Option<Arc<Blob>>,
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
    shared: Arc<Shared>,
    events: Reader,
    root_origin: RootOrigin,
    crypto: &'static str,
}

impl core::fmt::Debug for Rack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rack").field("keys", &self.shared.keys.names()).finish_non_exhaustive()
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
        let state = options.state.as_deref().map(StateDirectory::open).transpose()?;
        let (secret, root_origin) = root_secret(&options, state.as_ref())?;
        let (notices, noticed) = mpsc::unbounded_channel();
        let maker = Maker {
            seed: options.seed,
            state,
            seams: Row(options.seams),
            root: Root::new(*secret)?,
            exports: Exports::new(),
            notices,
            tasks: Arc::clone(tasks),
            epoch: Instant::now(),
        };
        let crypto = specifications.first().map_or("", |key| maker.environment(&key.name).crypto().name());
        let shared = Arc::new(Shared { maker, keys: Keys::default(), metadata: options.metadata });
        let log = Log::default();
        let mut entries = Vec::new();
        for made in make_all(&shared, specifications).await {
            let mut entry = made?.run();
            entry.plug().await.map_err(RackError::Refused)?;
            log.write(What::Plugged { key: entry.name.clone() });
            shared.keys.add(entry.rack_key());
            entries.push(entry);
        }
        let (requests, asked) = mpsc::unbounded_channel();
        let events = log.reader();
        let epoch = shared.maker.epoch;
        let known = Arc::downgrade(&shared);
        let task =
            Task { entries, reserved: Vec::new(), finger: options.finger, asked, noticed, epoch, log, shared: known };
        tokio::spawn(task.run());
        Ok(Self { requests, shared, events, root_origin, crypto })
    }

    /// Carries out a command. One that waits for a key waits as long as it is waited for here: dropped, it has gone.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done.
    pub async fn command(&self, command: Command) -> Result<RackState, Refusal> {
        let moved = match &command {
            Command::Plug { key } | Command::Unplug { key } | Command::PowerCycle { key } => Some(key.clone()),
            _ => None,
        };
        let state = self.request(|answer| Request::Command { command, answer }).await?;
        let Some(key) = moved else { return Ok(state) };
        let Some(busid) = self.shared.keys.busid(&key) else { return Ok(state) };
        self.shared.maker.exports.settled(&busid).await;
        // As it is once its host has seen to it, if it still is.
        let now = self.request(|answer| Request::Command { command: Command::Show { key }, answer }).await;
        Ok(now.unwrap_or(state))
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

    fn asked(&self, key: &KeyName, message: &[u8]) -> Result<KeyHandle, Refusal> {
        if message.len() > MAX_MESSAGE_SIZE {
            return Err(Refusal::MessageTooLong(message.len()));
        }
        self.known(key)
    }

    /// Resolves when all keys have ended: what they were writing is on the disk, and others may have their state directory. That
    /// is some time after the last clone of the rack and of its [`KeyHandle`]s is dropped.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let tasks = Arc::clone(&self.shared.maker.tasks);
        async move { tasks.closed().await }
    }

    /// The key with this name, to speak to without CTAPHID and USB.
    #[must_use]
    pub fn key(&self, name: &KeyName) -> Option<KeyHandle> {
        self.shared.keys.key(name)
    }

    /// The same, or why not.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`].
    pub fn known(&self, name: &KeyName) -> Result<KeyHandle, Refusal> {
        self.key(name).ok_or_else(|| Refusal::unknown(name, self.shared.keys.names().iter()))
    }

    /// Follows the keys from now on, for who gives each a place.
    #[must_use]
    pub fn follow(&self) -> Following {
        self.shared.keys.follow()
    }

    /// What stands at the seams of its keys, by its type: the first of several.
    #[must_use]
    pub fn at_seams<T: Seams>(&self) -> Option<&T> {
        self.shared.maker.seams.0.iter().find_map(|seams| {
            let seams: &dyn Any = seams.as_ref();
            seams.downcast_ref()
        })
    }

    /// What happens in it.
    #[must_use]
    pub fn events(&self) -> &Reader {
        &self.events
    }

    /// The keys as USB devices, for whatever gives them to a host.
    #[must_use]
    pub fn exports(&self) -> &Exports {
        &self.shared.maker.exports
    }

    /// The certificate of the TEST attestation root, DER.
    #[must_use]
    pub fn root_certificate(&self) -> &[u8] {
        self.shared.maker.root.certificate()
    }

    /// The TEST attestation root, for what it is to sign beside certificates of keys.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.shared.maker.root
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

/// Makes keys side by side, on threads that end with it. To the last, so that none takes a lock after an error was told.
async fn make_all(shared: &Arc<Shared>, specifications: Vec<KeySpecification>) -> Vec<Result<Made, RackError>> {
    let count = specifications.len();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let wanted = if shared.maker.state.is_some() { WAITING_FOR_DISK } else { processors };
    let threads = wanted.max(processors).min(count);
    let waiting = Arc::new(Mutex::new(specifications.into_iter().zip(1..)));
    let (done, mut made) = mpsc::unbounded_channel();
    let next = move || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let shared = Arc::clone(shared);
    let work = move || {
        while let Some((KeySpecification { name, profile }, number)) = next() {
            // Who asked may have gone.
            let _ = done.send((number, shared.maker.make(name, profile, number, Contents::default())));
        }
    };
    for _ in 0..threads {
        if thread::Builder::new().name("make keys".to_owned()).spawn(work.clone()).is_err() {
            // There is none to be had: then here.
            work();
        }
    }
    drop(work);
    let mut all: Vec<_> = (0..count).map(|_| Err(RackError::Refused(Refusal::Stopped))).collect();
    while let Some((number, key)) = made.recv().await {
        if let Some(place) = all.get_mut(number - 1) {
            *place = key;
        }
    }
    all
}

fn check(options: &Options, specifications: &[KeySpecification]) -> Result<(), RackError> {
    if specifications.len() > MAX_KEYS {
        return Err(RackError::TooManyKeys(specifications.len()));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = specifications.iter().find(|specification| !names.insert(&specification.name)) {
        return Err(RackError::SameName(twice.name.clone()));
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

/// The TEST attestation root of a rack with these options: that of the seed or of the state directory, which is made if it is not there, or
/// a new one.
///
/// # Errors
/// [`RackError`]: the state directory cannot be used.
pub fn attestation_root(options: &Options) -> Result<Root, RackError> {
    let state = options.state.as_deref().map(StateDirectory::open).transpose()?;
    let (secret, _) = root_secret(options, state.as_ref())?;
    Ok(Root::new(*secret)?)
}

fn root_secret(
    options: &Options,
    state: Option<&StateDirectory>,
) -> Result<(Zeroizing<[u8; 32]>, RootOrigin), RackError> {
    Ok(match (options.seed, state) {
        (Some(seed), _) => (Zeroizing::new(seed::of_attestation_root(seed)), RootOrigin::Seed),
        (None, Some(state)) => (state.attestation_root(&mut System::new())?, RootOrigin::State),
        (None, None) => {
            let mut secret = Zeroizing::new([0; 32]);
            System::new().random(secret.as_mut());
            (secret, RootOrigin::Process)
        }
    })
}
