//! What the owner of a key does with it beside CTAP: no touch and no PIN is asked for. A rig puts keys into a state so.
//!
//! # The driving contract
//!
//! **act → commit → committed.** What is to be done comes as an [`Act`]. Make its [changes](Act::changes) durable, all or none, and then
//! tell it so with [`Act::committed`]; an act that cannot be made durable is dropped, and nothing has happened. Begin one while no commit
//! of a command is under way, and let no command go on before its end. A command that waits for a gesture may wait through it, unless the
//! act [replaces](Act::replaces_all) everything: then deny the gesture before.

mod bounds;
mod fingerprints;
mod refused;
mod signals;

use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::HMAC_SECRET;
use keyrig_ctap::get_info::OptionId;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

pub use self::bounds::check_store;
pub use self::refused::{
    BackupRefused, FingerprintRefused, ImportRefused, LargeBlobsRefused, MAX_CREDENTIAL_ID, PinRefused, RestoreRefused,
};
pub use self::signals::Signal;

use self::bounds::{check_large_blobs, check_new};
use crate::authenticator::Authenticator;
use crate::credential::{CredentialSource, Discoverable, Own, StoredCredential, rp_id_hash};
use crate::memory::UntilPowerUp;
use crate::pin::{MAX_PIN_RETRIES, Pin};
use crate::profile::Behaviour;
use crate::store::{Change, Configuration, Store};

/// An act of the owner, to be made durable.
#[must_use = "an act that is dropped has not happened"]
pub struct Act<T> {
    changes: Vec<Change>,
    replaces_all: bool,
    then: Box<dyn FnOnce(&mut Authenticator) -> T + Send>,
}

impl<T> core::fmt::Debug for Act<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Act").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl<T> Act<T> {
    fn new(changes: Vec<Change>, then: impl FnOnce(&mut Authenticator) -> T + Send + 'static) -> Self {
        Self { changes, replaces_all: false, then: Box::new(then) }
    }

    /// An act that changes nothing, and what comes of it.
    pub fn of(result: T) -> Self
    where
        T: Send + 'static,
    {
        Self::new(Vec::new(), |_| result)
    }

    /// The same act, and what comes of it in other words.
    pub fn map<U>(self, then: impl FnOnce(T) -> U + Send + 'static) -> Act<U>
    where
        T: 'static,
    {
        let Self { changes, replaces_all, then: before } = self;
        Act { changes, replaces_all, then: Box::new(move |authenticator| then(before(authenticator))) }
    }

    /// The changes, to be made durable all or none. There may be none.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether the key is another one afterwards: what is pending belongs to the one before.
    #[must_use]
    pub fn replaces_all(&self) -> bool {
        self.replaces_all
    }

    /// The changes are durable: memory follows.
    pub fn committed(self, authenticator: &mut Authenticator) -> T {
        authenticator.apply(&self.changes);
        if self.replaces_all {
            authenticator.generation += 1;
            authenticator.memory = UntilPowerUp::default();
        }
        (self.then)(authenticator)
    }
}

/// A key's PIN, as far as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinState {
    /// Whether one is set.
    pub set: bool,
    /// How many wrong ones there may still be.
    pub retries: u8,
    /// Whether the key takes none before it was power-cycled.
    pub power_cycle_needed: bool,
}

impl Authenticator {
    /// Forgets everything, as authenticatorReset does: but at any time, and without a touch.
    pub fn erase(&mut self) -> Act<()> {
        let counter = self.store().counter();
        let changes = Store::blank(self.environment.as_mut(), counter);
        Act { replaces_all: true, ..Act::new(changes, |_| ()) }
    }

    /// Becomes a key that keeps this instead. The counter may go back by it: relying parties shall take it for a clone.
    ///
    /// # Errors
    /// [`RestoreRefused`] names what no key of this profile would come to keep.
    pub fn restore(&mut self, store: &Store) -> Result<Act<()>, RestoreRefused> {
        check_store(&self.profile, store)?;
        Ok(Act { replaces_all: true, ..Act::new(store.changes(), |_| ()) })
    }

    /// Takes credentials that were made elsewhere, all or none.
    ///
    /// # Errors
    /// The place in the list of the one that is refused, from 0, and why.
    pub fn import(&mut self, sources: Vec<CredentialSource>) -> Result<Act<()>, (usize, ImportRefused)> {
        // Each has to fit beside those before it.
        let mut after = self.store().clone();
        let mut changes = Vec::new();
        for (place, source) in sources.into_iter().enumerate() {
            let credential = stored(&self.profile.behaviour, source, after.next_creation());
            check_new(&self.profile, &after, &credential).map_err(|refused| (place, refused))?;
            let change = Change::Put(credential);
            after.apply(core::slice::from_ref(&change));
            changes.push(change);
        }
        if after.discoverable_count() != self.store().discoverable_count() {
            changes.push(Change::new_credential_store_state(self.environment.as_mut()));
        }
        Ok(Act::new(changes, |_| ()))
    }

    /// The stored credentials as an import takes them: discoverable ones and imported ones, in the order of their ids. Of those that were
    /// made here the counter is the key's.
    #[must_use]
    pub fn export_all(&self) -> Vec<CredentialSource> {
        self.store().credentials().map(|credential| self.source(credential)).collect()
    }

    /// The credential with this id: a stored one, or, if an RP ID or AppID is given, one of its that lives in its id.
    #[must_use]
    pub fn export(&self, id: &[u8], relying_party_id: Option<&str>) -> Option<CredentialSource> {
        if let Some(stored) = self.store().credential(id) {
            return Some(self.source(stored)).filter(|source| {
                relying_party_id.is_none_or(|relying_party_id| source.relying_party_id == relying_party_id)
            });
        }
        let relying_party_id = relying_party_id?;
        let opened = self.store().open(&rp_id_hash(relying_party_id), id)?;
        Some(CredentialSource {
            id: id.to_vec(),
            relying_party_id: relying_party_id.to_owned(),
            private_key: opened.private_key,
            user: None,
            properties: opened.properties,
            cred_blob: Vec::new(),
            counter: Some(self.store().counter()),
            backup_eligible: false,
            backup_state: false,
            cred_random: self.profile.has_extension(HMAC_SECRET).then(|| self.store().cred_randoms(id)),
            large_blob_key: None,
        })
    }

    fn source(&self, credential: &StoredCredential) -> CredentialSource {
        let (store, id) = (self.store(), &credential.id);
        let own = credential.own.as_ref();
        CredentialSource {
            id: id.clone(),
            relying_party_id: credential.relying_party_id.clone(),
            private_key: credential.private_key.clone(),
            user: credential.discoverable.as_ref().map(|discoverable| discoverable.user.clone()),
            properties: credential.properties,
            cred_blob: credential.cred_blob.clone(),
            counter: own.map_or(Some(store.counter()), |own| own.counter),
            backup_eligible: own.is_some_and(|own| own.backup_eligible),
            backup_state: own.is_some_and(|own| own.backup_state),
            cred_random: self.profile.has_extension(HMAC_SECRET).then(|| store.cred_randoms(id)),
            large_blob_key: credential.has_large_blob_key.then(|| store.large_blob_key(id)),
        }
    }

    /// Has the stored credential with this id say from now on that it is eligible for backup, and backed up, or not (BE and BS; WebAuthn
    /// Level 3 §6.1.3). One that had the key's signature counter goes on from there with its own.
    ///
    /// # Errors
    /// [`BackupRefused`].
    pub fn set_backup(&self, id: &[u8], eligible: bool, backed_up: bool) -> Result<Act<()>, BackupRefused> {
        let credential = self.store().credential(id).ok_or(BackupRefused::NoCredential)?;
        if backed_up && !eligible {
            return Err(BackupRefused::State);
        }
        if eligible && !self.profile.has_backup_flags() {
            return Err(BackupRefused::Flags(self.profile.name.clone()));
        }
        let own = credential.own.clone().unwrap_or_else(|| Own::counting_from(self.store().counter()));
        let own = Own { backup_eligible: eligible, backup_state: backed_up, ..own };
        // Nothing of it changes that enumerations tell.
        Ok(Act::new(vec![Change::Counted(StoredCredential { own: Some(own), ..credential.clone() })], |_| ()))
    }

    /// Deletes the stored credential with this id, if there is one. One that lives in its id is stored nowhere.
    pub fn delete(&mut self, id: &[u8]) -> Option<Act<()>> {
        let is_discoverable = self.store().credential(id)?.discoverable.is_some();
        let mut changes = vec![Change::Remove(id.to_vec())];
        if is_discoverable {
            changes.push(Change::new_credential_store_state(self.environment.as_mut()));
        }
        Some(Act::new(changes, |_| ()))
    }

    /// What is told of the PIN; nothing if the key has no PINs.
    #[must_use]
    pub fn pin_state(&self) -> Option<PinState> {
        self.profile.option(OptionId::ClientPin)?;
        Some(PinState {
            set: self.store().pin().is_some(),
            retries: self.store().pin_retries(),
            power_cycle_needed: self.needs_power_cycle(),
        })
    }

    /// Sets the first PIN. If the same is set already, that is no error and no change.
    ///
    /// # Errors
    /// [`PinRefused`].
    pub fn set_pin(&self, pin: &str) -> Result<Act<()>, PinRefused> {
        self.pin_state().ok_or(PinRefused::NotSupported)?;
        match self.store().pin() {
            Some(set) if set.matches(&Pin::hash(&typed(pin))) => Ok(Act::new(Vec::new(), |_| ())),
            Some(_) => Err(PinRefused::AlreadySet),
            None => {
                let changes = vec![Change::Pin(self.new_pin(pin)?), Change::PinRetries(MAX_PIN_RETRIES)];
                Ok(Act::new(changes, |_| ()))
            }
        }
    }

    /// Changes the PIN, as changePIN does (CTAP 2.3 §6.5.5.6): a wrong one costs a try.
    ///
    /// # Errors
    /// [`PinRefused`]; the act's own is the one for a wrong PIN.
    pub fn change_pin(&mut self, current: &str, new: &str) -> Result<Act<Result<(), PinRefused>>, PinRefused> {
        let state = self.pin_state().ok_or(PinRefused::NotSupported)?;
        let set = self.store().pin().ok_or(PinRefused::NotSet)?;
        if state.retries == 0 {
            return Err(PinRefused::Blocked);
        }
        if state.power_cycle_needed {
            return Err(PinRefused::PowerCycleNeeded);
        }
        if !set.matches(&Pin::hash(&typed(current))) {
            let left = state.retries.saturating_sub(1);
            return Ok(Act::new(vec![Change::PinRetries(left)], move |authenticator| {
                let mismatches = &mut authenticator.memory.consecutive_mismatches;
                *mismatches = mismatches.saturating_add(1);
                Err(PinRefused::Wrong { left })
            }));
        }
        let new = self.new_pin(new)?;
        let force_pin_change = self.store().configuration().force_pin_change;
        if force_pin_change && set.matches(&new.hash) {
            return Err(self.against_policy());
        }
        let configuration = Configuration { force_pin_change: false, ..self.store().configuration().clone() };
        let mut changes = self.full_retries();
        changes.extend([
            Change::Pin(new),
            Change::Configuration(configuration),
            Change::new_persistent_token(self.environment.as_mut()),
        ]);
        Ok(Act::new(changes, |authenticator| {
            authenticator.memory.consecutive_mismatches = 0;
            authenticator.memory.token = None;
            Ok(())
        }))
    }

    fn new_pin(&self, pin: &str) -> Result<Pin, PinRefused> {
        Pin::new(&typed(pin), self.pin_policy()).map_err(|_| self.against_policy())
    }

    fn against_policy(&self) -> PinRefused {
        let policy = self.pin_policy();
        PinRefused::Policy { minimum: policy.min_length, complexity: policy.complexity }
    }

    /// Writes the serialized large-blob array (CTAP 2.3 §6.10.1), whole.
    ///
    /// # Errors
    /// [`LargeBlobsRefused`].
    pub fn write_large_blobs(&self, array: Vec<u8>) -> Result<Act<()>, LargeBlobsRefused> {
        self.large_blobs()?;
        check_large_blobs(&self.profile, &array)?;
        Ok(Act::new(vec![Change::LargeBlobs(array)], |authenticator| authenticator.memory.pending_array = None))
    }

    /// The serialized large-blob array.
    ///
    /// # Errors
    /// [`LargeBlobsRefused::NotSupported`].
    pub fn large_blobs(&self) -> Result<&[u8], LargeBlobsRefused> {
        match self.profile.option(OptionId::LargeBlobs) {
            Some(true) => Ok(self.store().large_blobs()),
            _ => Err(LargeBlobsRefused::NotSupported),
        }
    }
}

/// A credential that was made elsewhere, as it is stored.
fn stored(behaviour: &Behaviour, source: CredentialSource, creation: u64) -> StoredCredential {
    let kept = |name| behaviour.kept(name);
    let discoverable = source.user.map(|User { id, name, display_name }| Discoverable {
        user: User { id, name: name.map(kept), display_name: display_name.map(kept) },
        creation,
    });
    StoredCredential {
        id: source.id,
        relying_party_id: source.relying_party_id,
        private_key: source.private_key,
        discoverable,
        properties: source.properties,
        has_large_blob_key: source.large_blob_key.is_some(),
        cred_blob: source.cred_blob,
        own: Some(Own {
            counter: source.counter,
            backup_eligible: source.backup_eligible,
            backup_state: source.backup_state,
            cred_random: source.cred_random,
            large_blob_key: source.large_blob_key,
        }),
    }
}

/// A PIN as platforms send what was typed, in Normalization Form C (CTAP 2.3 §6.5.1): the owner's comes by no platform.
fn typed(pin: &str) -> Zeroizing<String> {
    Zeroizing::new(pin.nfc().collect())
}
