//! The authenticator's state: what it is, what it keeps and what it remembers; and what follows from that.

use core::time::Duration;

use keyrig_ctap::Status;
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::hid::Peer;

use crate::attestation::Attestation;
use crate::credential::{Own, StoredCredential};
use crate::environment::Environment;
use crate::memory::UntilPowerUp;
use crate::pin::PinPolicy;
use crate::profile::Profile;
use crate::store::{Change, Store};

/// One security key. See the crate's documentation for the driving contract.
pub struct Authenticator {
    pub(crate) profile: Profile,
    pub(crate) attestation: Attestation,
    pub(crate) environment: Box<dyn Environment>,
    store: Store,
    /// Counts commands and power cycles: a step of an earlier one is stale.
    pub(crate) generation: u64,
    pub(crate) powered_up_at: Duration,
    pub(crate) memory: UntilPowerUp,
}

impl core::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Authenticator").field("profile", &self.profile.name).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator that gets power at `now`.
    #[must_use]
    pub fn new(
        profile: Profile,
        attestation: Attestation,
        environment: Box<dyn Environment>,
        store: Store,
        now: Duration,
    ) -> Self {
        Self {
            profile,
            attestation,
            environment,
            store,
            generation: 0,
            powered_up_at: now,
            memory: UntilPowerUp::default(),
        }
    }

    /// The power was interrupted and is back: pending commands and tokens are forgotten, the reset window opens, and PINs may be
    /// entered again.
    pub fn power_up(&mut self, now: Duration) {
        self.generation += 1;
        self.powered_up_at = now;
        self.memory = UntilPowerUp::default();
    }

    /// A host has gone: what it has begun ends, and it waits for no touch by CTAP1/U2F. Its command under way is the driver's to
    /// drop.
    pub fn forget(&mut self, peer: Peer) {
        self.memory.begun.forget(peer);
        self.memory.u2f_presence.forget(peer);
    }

    /// Fills `bytes` with randomness of the authenticator's environment: for what surrounds it and has to follow from the
    /// same seed, such as CTAPHID's channel ids.
    pub fn fill_random(&mut self, bytes: &mut [u8]) {
        self.environment.random(bytes);
    }

    /// How far its environment has come in what follows from its seed, if it has one.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.environment.position()
    }

    /// What it keeps.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Which key it is.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Makes changes in memory that are durable.
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        self.memory.begun.apply(&mut self.store, changes);
    }

    /// Whether the key is protected by some form of user verification: a PIN, or one that is built in.
    pub(crate) fn is_protected(&self) -> bool {
        self.store().pin().is_some() || self.built_in_uv() == Some(true)
    }

    /// `alwaysUv`: whether every ceremony wants user verification.
    pub(crate) fn always_uv(&self) -> bool {
        self.profile
            .option(OptionId::AlwaysUv)
            .is_some_and(|default| self.store().configuration().always_uv.unwrap_or(default))
    }

    /// `makeCredUvNotRqd`: whether non-discoverable credentials are made without user verification, though a PIN is set.
    pub(crate) fn make_cred_uv_not_rqd(&self) -> bool {
        self.profile.option(OptionId::MakeCredUvNotRqd) == Some(true) && !self.always_uv()
    }

    /// `ep`: whether the key is capable of enterprise attestation, and that is enabled (CTAP 2.3 §7.1).
    pub(crate) fn enterprise_attestation(&self) -> bool {
        self.profile
            .option(OptionId::Ep)
            .is_some_and(|default| self.store().configuration().enterprise_attestation.unwrap_or(default))
    }

    /// What a new PIN has to be.
    pub(crate) fn pin_policy(&self) -> PinPolicy {
        PinPolicy {
            min_length: self.min_pin_length(),
            max_bytes: self.profile.behaviour.longest_pin,
            complexity: self.store().configuration().pin_complexity_policy || self.profile.enforces_pin_complexity(),
        }
    }

    /// `minPINLength`, code points.
    pub(crate) fn min_pin_length(&self) -> u8 {
        self.store().configuration().min_pin_length.unwrap_or(self.profile.min_pin_length())
    }

    /// How many discoverable credentials still fit.
    pub(crate) fn remaining_discoverable_credentials(&self) -> u64 {
        let stored = u64::try_from(self.store.discoverable_count()).unwrap_or(u64::MAX);
        u64::from(self.profile.discoverable_credentials).saturating_sub(stored)
    }

    /// The counter that the next signature by a credential carries, and the changes that make it durable: none if it counts nothing.
    pub(crate) fn count(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Result<(u32, Vec<Change>), Status> {
        let Some((credential, own)) = self.own(rp_id_hash, id) else {
            return self.next_counter().map(|(counter, change)| (counter, vec![change]));
        };
        let Some(counter) = own.counter else { return Ok((0, Vec::new())) };
        let counter = counter.checked_add(1).ok_or(Status::OtherError)?;
        let own = Own { counter: Some(counter), ..own.clone() };
        Ok((counter, vec![Change::Counted(StoredCredential { own: Some(own), ..credential.clone() })]))
    }

    /// The credential with this id, if it belongs to this relying party and has something of its own.
    pub(crate) fn own(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Option<(&StoredCredential, &Own)> {
        let credential = self.store.find(rp_id_hash, id)?;
        Some((credential, credential.own.as_ref()?))
    }

    /// The counter of the key that the next signature carries, and the change that makes it durable.
    pub(crate) fn next_counter(&self) -> Result<(u32, Change), Status> {
        // A counter at its end would repeat: the key is worn out, after more than four thousand million signatures.
        let step = self.profile.behaviour.counter_step.into();
        let counter = self.store.counter().checked_add(step).ok_or(Status::OtherError)?;
        Ok((counter, Change::Counter(counter)))
    }
}
