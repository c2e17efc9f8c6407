//! Keys that are plugged in, touched and pulled out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use keyrig_client::channel::Cancel;
use keyrig_client::error::KeyFailure;
use keyrig_client::origin::InvalidUrl;
use keyrig_client::pin::Pin;
use keyrig_client::{Key, Origin};
use keyrig_faults::timeline::{InvalidTimeline, Outcome, Timeline};
use keyrig_metadata::Blob;
use keyrig_rack::command::{Command, KeyState, Refusal};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{InvalidKeyName, InvalidKeySpecification, KeyName, KeySpecification, Options, Rack, RackError};
use keyrig_ways::InProcess;
use thiserror::Error;

use crate::client::Client;

/// Software security keys, in this process. They go when the last of the rig and its clients is dropped.
///
/// One finger touches: a key is touched as soon as it waits, if the finger is over it. It is over the first key that is plugged
/// in, until [`touch_next`](Self::touch_next) puts it elsewhere.
#[derive(Clone, Debug)]
pub struct Rig {
    rack: Rack,
    pins: Pins,
}

/// The PINs that the user of the rig knows, by the key's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins(Arc<Mutex<BTreeMap<String, Pin>>>);

impl Pins {
    pub(crate) fn of(&self, key: &str) -> Option<Pin> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember(&self, key: &KeyName, pin: Pin) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_string(), pin);
    }
}

/// The rig was told to do what it cannot.
#[derive(Debug, Error)]
pub enum RigError {
    /// A text specifies no key.
    #[error("{0:?} is not a key: write NAME=PROFILE, such as \"a=keyrig\"")]
    NotAKey(String),
    /// There is no such profile, or no key can have such a name.
    #[error(transparent)]
    Key(#[from] InvalidKeySpecification),
    /// No key can have such a name.
    #[error(transparent)]
    Name(#[from] InvalidKeyName),
    /// The keys could not be made.
    #[error(transparent)]
    Rack(#[from] RackError),
    /// Nothing can be done with the key as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A page can have no such address.
    #[error(transparent)]
    Origin(#[from] InvalidUrl),
    /// A text is no timeline.
    #[error("the timeline, {0}")]
    Timeline(#[from] InvalidTimeline),
    /// The PIN was not set.
    #[error("the PIN was not set: {0}")]
    Pin(#[from] KeyFailure),
}

impl Rig {
    /// Plugs in keys, each written `NAME=PROFILE`: `Rig::start(["a=keyrig", "b=yubikey-5.7"])`. To be called inside of a tokio
    /// runtime with time enabled.
    ///
    /// # Errors
    /// [`RigError`]: which key cannot be, and which profiles there are.
    pub async fn start<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Result<Self, RigError> {
        Self::start_with(Options::default(), keys).await
    }

    /// The same with options: a seed for the keys' randomness, a directory that keeps them, what the finger does.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with<K: AsRef<str>>(
        options: Options,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, RigError> {
        let metadata = options.metadata.as_deref();
        let specified = keys.into_iter().map(|key| specification(key.as_ref(), metadata));
        let specifications = specified.collect::<Result<_, _>>()?;
        Ok(Self { rack: Rack::start(options, specifications).await?, pins: Pins::default() })
    }

    /// A page at an address, such as `https://login.example.com/account`, in a browser that has all keys which are plugged in.
    ///
    /// # Errors
    /// [`RigError::Origin`]: a page can have no such address.
    pub fn client(&self, address: &str) -> Result<Client, RigError> {
        Ok(Client::new(self.clone(), address.parse::<Origin>()?))
    }

    /// Puts the finger over a key: that one is touched next, and from then on.
    ///
    /// # Errors
    /// [`RigError`]: there is no such key.
    pub async fn touch_next(&self, key: &str) -> Result<(), RigError> {
        self.command(Command::Finger { key: Some(key.parse()?) }).await
    }

    /// Changes what the finger does: touch at once (which it does at first), refuse, wait for a while, or nothing.
    ///
    /// # Errors
    /// [`RigError::Refused`]: the rig has stopped.
    pub async fn touch_policy(&self, policy: TouchPolicy) -> Result<(), RigError> {
        self.command(Command::TouchPolicy { policy }).await
    }

    /// Pulls a key out. If the finger was put over it, it goes back to the first that is plugged in.
    ///
    /// # Errors
    /// [`RigError`]: there is no such key, or it is not plugged in.
    pub async fn unplug(&self, key: &str) -> Result<(), RigError> {
        let key: KeyName = key.parse()?;
        let listed = self.rack.command(Command::List).await?;
        self.command(Command::Unplug { key: key.clone() }).await?;
        if listed.keys.iter().any(|state| state.name == key && state.under_finger) {
            self.command(Command::Finger { key: None }).await?;
        }
        Ok(())
    }

    /// Puts a key back in.
    ///
    /// # Errors
    /// [`RigError`]: there is no such key, or it is plugged in.
    pub async fn plug(&self, key: &str) -> Result<(), RigError> {
        self.command(Command::Plug { key: key.parse()? }).await
    }

    /// Gives a key its PIN, or another one than it has. Clients know it then, and type it when they are asked.
    ///
    /// # Errors
    /// [`RigError`]: there is no such key, it is not plugged in, or refuses the PIN.
    pub async fn pin(&self, key: &str, pin: &str) -> Result<(), RigError> {
        let (name, pin): (KeyName, _) = (key.parse()?, Pin::new(pin));
        let mut key = self.key(&name).await?;
        let never = Cancel::never();
        let set = match self.pins.of(name.as_str()) {
            Some(current) if current == pin => Ok(()),
            Some(current) => key.change_pin(&current, &pin, &never).await,
            None => key.set_pin(&pin, &never).await,
        };
        set.map_err(|cause| KeyFailure { key: name.to_string(), cause })?;
        self.pins.remember(&name, pin);
        Ok(())
    }

    /// Does things to keys at times and upon conditions, as a [timeline](keyrig_faults::timeline) in TOML says, until all is done: beside
    /// a ceremony, with `tokio::join!`. Its touches are the only ones if [`touch_policy`](Self::touch_policy) is `Manual`.
    ///
    /// # Errors
    /// [`RigError`]: the text is no timeline, with line and column, or the rig has stopped.
    pub async fn timeline(&self, text: &str) -> Result<Outcome, RigError> {
        let timeline = Timeline::from_toml_for(text, |key| self.rack.known(key).map(drop))?;
        Ok(timeline.run(&self.rack, core::future::pending(), |_| {}).await?)
    }

    /// The certificate of the TEST root under which the keys are attested, DER: for a relying party to trust in a test, and
    /// nowhere else.
    #[must_use]
    pub fn root_certificate(&self) -> &[u8] {
        self.rack.root_certificate()
    }

    async fn command(&self, command: Command) -> Result<(), RigError> {
        self.rack.command(command).await?;
        Ok(())
    }

    /// What a client knows of a PIN.
    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// The keys that are plugged in, as nobody has asked them anything.
    pub(crate) async fn plugged(&self) -> Result<Vec<Key<InProcess>>, Refusal> {
        let listed = self.rack.command(Command::List).await?;
        let plugged = listed.keys.iter().filter(|key| key.plugged);
        let key = |state: &KeyState| Some(Key::new(state.name.as_str(), InProcess(self.rack.key(&state.name)?)));
        Ok(plugged.filter_map(key).collect())
    }

    async fn key(&self, name: &KeyName) -> Result<Key<InProcess>, Refusal> {
        let listed = self.rack.command(Command::List).await?;
        if !listed.keys.iter().any(|state| state.name == *name) {
            let known: Vec<_> = listed.keys.iter().map(|state| state.name.as_str()).collect();
            return Err(Refusal::UnknownKey { key: name.clone(), known: known.join(", ") });
        }
        let found = self.plugged().await?.into_iter().find(|key| key.name() == name.as_str());
        found.ok_or_else(|| Refusal::Unplugged(name.clone()))
    }
}

fn specification(key: &str, metadata: Option<&Blob>) -> Result<KeySpecification, RigError> {
    let (name, profile) = key.split_once('=').ok_or_else(|| RigError::NotAKey(key.chars().take(64).collect()))?;
    Ok(KeySpecification::named(profile, name, metadata)?)
}
