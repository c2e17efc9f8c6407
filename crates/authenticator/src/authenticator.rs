//! The authenticator: dispatching commands and carrying them from step to step.

use core::time::Duration;

use keyrig_ctap::entities::Extensions;
use keyrig_ctap::hid::Peer;
use keyrig_ctap::u2f::StatusWord;
use keyrig_ctap::{Command, Request, Status};

use crate::attestation::Attestation;
use crate::credential_management::{self, Version};
use crate::environment::Environment;
use crate::memory::{Channel, UntilPowerUp};
use crate::profile::Profile;
use crate::step::{Commit, GESTURE_TIMEOUT, Gesture, Progress, Protocol, Step, Suspended};
use crate::store::{Change, Store};
use crate::{client_pin, config, get_assertion, get_info, large_blobs, make_credential, reset, selection, u2f};

/// One security key. See the crate's documentation for the driving contract.
pub struct Authenticator {
    pub(crate) profile: Profile,
    pub(crate) attestation: Attestation,
    pub(crate) environment: Box<dyn Environment>,
    store: Store,
    /// Counts commands and power cycles: a step of an earlier one is stale.
    generation: u64,
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

    /// Starts the command in a CTAP2 message: command byte and parameters. A command still pending is abandoned.
    ///
    /// What another command has begun on the same channel ends with it, unless it goes on with that.
    pub fn start(&mut self, channel: Channel, message: &[u8], now: Duration) -> Step {
        self.generation += 1;
        self.end_token_by_timer(now);
        let begun = self.memory.begun.take(channel);
        let progress = if message.len() > usize::from(self.profile.max_msg_size) {
            Status::RequestTooLarge.into()
        } else if message.first().is_some_and(|command| !self.has_command((*command).into())) {
            Status::InvalidCommand.into()
        } else {
            match Request::decode(message) {
                Ok(Request::MakeCredential(request)) => make_credential::start(self, request),
                Ok(Request::GetAssertion(request)) => get_assertion::start(self, channel, request),
                Ok(Request::GetNextAssertion) => get_assertion::next(self, begun, now),
                Ok(Request::GetInfo) => get_info::start(self),
                Ok(Request::ClientPin(request)) => client_pin::start(self, request),
                Ok(Request::CredentialManagement(request)) => {
                    credential_management::start(self, channel, request, Version::Final, begun, now)
                }
                Ok(Request::CredentialManagementPreview(request)) => {
                    credential_management::start(self, channel, request, Version::Prototype, begun, now)
                }
                Ok(Request::LargeBlobs(request)) => large_blobs::start(self, request),
                Ok(Request::Config(request)) => config::start(self, request),
                Ok(Request::Selection) => selection::start(),
                Ok(Request::Reset) => reset::start(self, now),
                Ok(_) => Status::InvalidCommand.into(),
                Err(status) => status.into(),
            }
        };
        self.step(progress, Protocol::Ctap2, now)
    }

    /// Starts the request in a CTAP1/U2F message: an APDU. A command still pending is abandoned.
    ///
    /// It asks for no gesture: see the driving contract.
    pub fn start_u2f(&mut self, channel: Channel, message: &[u8], now: Duration) -> Step {
        self.generation += 1;
        drop(self.memory.begun.take(channel));
        let progress = u2f::start(self, channel, message, now);
        self.step(progress, Protocol::U2f, now)
    }

    /// Whether the key has a command, by its options: one that it has not is refused whatever follows its byte.
    fn has_command(&self, command: Command) -> bool {
        if !self.profile.has_ctap2() {
            return false;
        }
        let option = match command {
            Command::Selection => return self.profile.knows_ctap_2_1(),
            Command::ClientPin => "clientPin",
            Command::CredentialManagement => "credMgmt",
            Command::CredentialManagementPreview => "credentialMgmtPreview",
            Command::LargeBlobs => "largeBlobs",
            Command::Config => "authnrCfg",
            _ => return true,
        };
        self.profile.option(option).is_some()
    }

    pub(crate) fn resume(
        &mut self,
        suspended: Suspended,
        now: Duration,
        then: impl FnOnce(&mut Self, crate::step::Continuation) -> Progress,
    ) -> Step {
        let protocol = suspended.protocol;
        if suspended.generation != self.generation {
            return Step::Respond(protocol.refusal(Status::OtherError));
        }
        let progress = then(self, suspended.then);
        self.step(progress, protocol, now)
    }

    pub(crate) fn step(&mut self, progress: Progress, protocol: Protocol, now: Duration) -> Step {
        let generation = self.generation;
        match progress {
            Progress::Commit(changes, then) => {
                Step::Commit(Commit { changes, suspended: Suspended { then, generation, protocol } })
            }
            Progress::Gesture(reason, refusals, then) => {
                // From now on a touch is meant for this.
                self.memory.u2f_presence = u2f::Presence::default();
                Step::Gesture(Gesture {
                    reason,
                    refusals,
                    deadline: now.saturating_add(GESTURE_TIMEOUT),
                    suspended: Suspended { then, generation, protocol },
                })
            }
            Progress::Done(result) => {
                Step::Respond(result.map_or_else(|status| protocol.refusal(status), |response| response.encode()))
            }
            Progress::DoneU2f(result) => {
                Step::Respond(result.map_or_else(StatusWord::response, keyrig_ctap::u2f::success))
            }
        }
    }

    /// Of a ceremony's extensions those that this key has; whatever is said of others is ignored.
    pub(crate) fn known_extensions(&self, extensions: Option<&Extensions>) -> Option<Extensions> {
        Some(extensions?.filtered(|identifier| self.profile.has_extension(identifier)))
    }

    /// The counter that the next signature carries, and the change that makes it durable.
    pub(crate) fn next_counter(&self) -> Result<(u32, Change), Status> {
        // A counter at its end would repeat: the key is worn out, after more than four thousand million signatures.
        let counter = self.store.counter().checked_add(1).ok_or(Status::OtherError)?;
        Ok((counter, Change::Counter(counter)))
    }
}
