//! What an authenticator remembers and does not store: until the next command of a channel, or until its power is gone.

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_ctap::extensions::GetAssertionInputs;
use keyrig_ctap::hid::Peer;

use crate::channel::Channel;
use crate::hmac_secret::Salts;
use crate::pin_uv_auth_protocol::KeyAgreementKeys;
use crate::pin_uv_auth_token::PinUvAuthToken;
use crate::presence::Presence;
use crate::store::{Change, Store};

/// How long a stateful command may be called after the last answer (CTAP 2.3 §6, §6.3).
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many channels may be in the middle of something.
const MAX_CHANNELS: usize = 64;

/// What is remembered until the power is gone, or everything is erased.
#[derive(Default)]
pub(crate) struct UntilPowerUp {
    pub(crate) begun: Begun,
    /// A large-blob array of which not all fragments have come. There is one array, so there is one of these; each fragment is
    /// authorized by itself, and what two platforms have mixed does not end with its hash.
    pub(crate) pending_array: Option<PendingArray>,
    pub(crate) key_agreement_keys: KeyAgreementKeys,
    /// The pinUvAuthToken in use.
    pub(crate) token: Option<PinUvAuthToken>,
    /// The fingerprint that is being enrolled: there is one sensor.
    pub(crate) enrollment: Option<Enrollment>,
    /// Wrong PINs since the last right one.
    pub(crate) consecutive_mismatches: u8,
    pub(crate) u2f_presence: Presence,
    /// When the key was touched without being asked, if it keeps that in mind.
    pub(crate) latched_touch: Option<Duration>,
    /// It has asked for a touch, or done without one.
    pub(crate) was_asked: bool,
}

/// What a channel may go on with until its next command.
#[derive(Default)]
pub(crate) struct UntilNextCommand {
    /// What getNextAssertion goes on with.
    pub(crate) assertion: Option<Timed<RememberedAssertion>>,
    /// What enumerateRPsGetNextRP goes on with.
    pub(crate) relying_parties: Option<Timed<RelyingPartiesCursor>>,
    /// What enumerateCredentialsGetNextCredential goes on with.
    pub(crate) credentials: Option<Timed<CredentialsCursor>>,
}

/// What getNextAssertion goes on with.
pub(crate) struct RememberedAssertion {
    pub(crate) scope: Scope,
    /// The creation count of the credential that has answered last: those that are older are still to come.
    pub(crate) before: u64,
}

/// What all assertions of one request have in common.
pub(crate) struct Scope {
    pub(crate) channel: Channel,
    pub(crate) rp_id_hash: [u8; 32],
    pub(crate) client_data_hash: [u8; 32],
    pub(crate) user_present: bool,
    pub(crate) user_verified: bool,
    pub(crate) inputs: GetAssertionInputs,
    pub(crate) salts: Option<Salts>,
    /// Whether the answer says which credential signed.
    pub(crate) names_credential: bool,
}

/// What enumerateRPsGetNextRP goes on with.
pub(crate) struct RelyingPartiesCursor {
    /// The hash of the RP ID that was told last.
    pub(crate) after: [u8; 32],
}

/// What enumerateCredentialsGetNextCredential goes on with.
pub(crate) struct CredentialsCursor {
    pub(crate) rp_id_hash: [u8; 32],
    /// The creation count of the credential that was told last: those that are older are still to come.
    pub(crate) before: u64,
}

/// An array of which the first fragments have come: `expectedLength`, and the bytes, as many as `expectedNextOffset`.
pub(crate) struct PendingArray {
    pub(crate) expected_length: usize,
    pub(crate) bytes: Vec<u8>,
}

/// A fingerprint of which not all samples have come.
pub(crate) struct Enrollment {
    pub(crate) template_id: Vec<u8>,
    /// How many samples are still to come.
    pub(crate) remaining: u8,
}

/// What may be gone on with for a while.
pub(crate) struct Timed<T> {
    next: T,
    last_answer: Duration,
}

impl<T> Timed<T> {
    pub(crate) fn new(next: T, now: Duration) -> Self {
        Self { next, last_answer: now }
    }

    fn is_alive(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_answer) <= TIMEOUT
    }

    pub(crate) fn alive(self, now: Duration) -> Option<T> {
        self.is_alive(now).then_some(self.next)
    }
}

impl UntilNextCommand {
    fn retain_alive(&mut self, now: Duration) {
        self.assertion.take_if(|assertion| !assertion.is_alive(now));
        self.relying_parties.take_if(|cursor| !cursor.is_alive(now));
        self.credentials.take_if(|cursor| !cursor.is_alive(now));
    }

    fn is_empty(&self) -> bool {
        self.assertion.is_none() && self.relying_parties.is_none() && self.credentials.is_none()
    }
}

/// What channels have begun, the latest last.
#[derive(Default)]
pub(crate) struct Begun(Vec<(Channel, UntilNextCommand)>);

impl Begun {
    /// Takes what the channel has begun: if nobody keeps it, it has ended.
    pub(crate) fn take(&mut self, channel: Channel) -> UntilNextCommand {
        let position = self.0.iter().position(|(other, _)| *other == channel);
        position.map(|position| self.0.remove(position).1).unwrap_or_default()
    }

    /// Keeps what the channel may go on with.
    pub(crate) fn keep(&mut self, channel: Channel, state: UntilNextCommand, now: Duration) {
        if state.is_empty() {
            return;
        }
        self.retain(|state| state.retain_alive(now));
        if self.0.len() >= MAX_CHANNELS {
            self.make_room();
        }
        self.0.push((channel, state));
    }

    /// Ends what a host has begun.
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.0.retain(|(channel, _)| channel.peer != peer);
    }

    /// The oldest of the peer that has the most: a peer's excess costs that peer.
    fn make_room(&mut self) {
        let mut counts = BTreeMap::<Peer, usize>::new();
        for (channel, _) in &self.0 {
            *counts.entry(channel.peer).or_default() += 1;
        }
        let most = counts.values().max().copied();
        if let Some(oldest) = self.0.iter().position(|(channel, _)| counts.get(&channel.peer).copied() == most) {
            self.0.remove(oldest);
        }
    }

    fn retain(&mut self, forget: impl Fn(&mut UntilNextCommand)) {
        self.0.retain_mut(|(_, state)| {
            forget(state);
            !state.is_empty()
        });
    }

    /// Changes the store, and ends what goes through that which has changed.
    pub(crate) fn apply(&mut self, store: &mut Store, changes: &[Change]) {
        if changes.contains(&Change::Clear) {
            *self = Self::default();
            store.apply(changes);
            return;
        }
        let touched: BTreeMap<[u8; 32], bool> = changes
            .iter()
            .filter_map(|change| store.relying_party_of(change))
            .map(|hash| (hash, store.has_discoverable(&hash)))
            .collect();
        store.apply(changes);
        if touched.is_empty() {
            return;
        }
        let others = touched.iter().any(|(hash, had)| store.has_discoverable(hash) != *had);
        self.retain(|state| {
            state.assertion.take_if(|assertion| touched.contains_key(&assertion.next.scope.rp_id_hash));
            state.credentials.take_if(|cursor| touched.contains_key(&cursor.next.rp_id_hash));
            state.relying_parties.take_if(|_| others);
        });
    }
}
