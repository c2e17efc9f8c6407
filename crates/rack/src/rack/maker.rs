//! Makes keys: those that a rack starts with, and those that come while it runs.

use std::sync::Arc;

use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::environment::{Environment, Seeded};
use keyrig_authenticator::profile::Touch;
use keyrig_authenticator::store::Store;
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_usb::{Exports, Standing};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::entry::{Entry, Waits};
use super::error::RackError;
use crate::clock::{Clock, SystemClock};
use crate::command::{Refusal, busid};
use crate::crypto::System;
use crate::key::administration::ActRefused;
use crate::key::{Notice, Start, serial_number};
use crate::key_name::KeyName;
use crate::seams::Row;
use crate::seed;
use crate::state_directory::StateDirectory;
use crate::storage::{Memory, Storage};
use crate::verification::UvPolicy;

/// What keys are made with.
pub(super) struct Maker {
    pub(super) seed: Option<u64>,
    pub(super) state: Option<StateDirectory>,
    pub(super) seams: Row,
    pub(super) root: Root,
    pub(super) exports: Exports,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    /// Every key's task listens, and says nothing: it has ended when it listens no more.
    pub(super) tasks: Arc<watch::Sender<()>>,
    pub(super) epoch: Instant,
}

/// A key that is made and does not run yet.
pub(super) struct Made {
    start: Start,
    profile: String,
    quirks: Vec<String>,
    enterprise_rps: Vec<String>,
    has_latch: bool,
    has_uv: bool,
    has_sensor: bool,
    on_usb: bool,
    discoverable_credentials: usize,
}

/// What a key is to keep from the start, beside what a new one does.
#[derive(Default)]
pub(super) struct Contents {
    /// This and nothing else.
    pub(super) store: Option<Store>,
    /// A PIN, in it or not.
    pub(super) pin: Option<String>,
}

impl Maker {
    /// Makes a key, or opens the one that is kept under this name. Blocks while it is written to the disk, at once with all that it is to
    /// keep: it is there whole, or not at all.
    pub(super) fn make(
        &self,
        name: KeyName,
        profile: Profile,
        number: usize,
        contents: Contents,
    ) -> Result<Made, RackError> {
        let Contents { store: wanted, pin } = contents;
        let is_kept = self.state.as_ref().is_some_and(|state| state.has_key(&name));
        if is_kept && wanted.is_some() {
            return Err(RackError::Refused(Refusal::KeyKept(name)));
        }
        let refused = |refused: ActRefused| RackError::Refused(Refusal::of(&name)(refused));
        let attestation = self.root.issue(&profile, serial_number(&name))?;
        let mut environment = self.environment(&name);
        let is_blank = wanted.is_none() && pin.is_none();
        let (kept, store, mut changes) = match &self.state {
            Some(state) if is_kept || is_blank => {
                let (database, store) = state.open_key(&name, &profile, environment.as_mut())?;
                (Some(database), store, Vec::new())
            }
            _ => {
                let (store, changes) = Store::create(environment.as_mut());
                (None, store, changes)
            }
        };
        let environment = self.seams.environment(&name, &self.root, &attestation, environment);
        let clock: Box<dyn Clock> = self.seams.clock(&name, Box::new(SystemClock::new(self.epoch)));
        let mut authenticator = Authenticator::new(profile, attestation, environment, store, clock.now());
        if let Some(wanted) = wanted {
            let act = authenticator.restore(&wanted).map_err(|error| refused(error.into()))?;
            changes = act.changes().to_vec();
            act.committed(&mut authenticator);
        }
        if let Some(pin) = pin {
            let act = authenticator.set_pin(&pin).map_err(|error| refused(error.into()))?;
            changes.extend_from_slice(act.changes());
            act.committed(&mut authenticator);
        }
        let storage: Box<dyn Storage> = match (kept, &self.state) {
            (Some(mut database), _) => {
                if !changes.is_empty() {
                    let committed = database.commit(&changes);
                    committed.map_err(|error| refused(ActRefused::NotDurable(error.to_string())))?;
                }
                Box::new(database)
            }
            (None, Some(state)) => Box::new(state.create_key(&name, authenticator.profile(), &changes)?),
            (None, None) => Box::new(Memory::holding(&changes)),
        };
        Ok(Made {
            profile: authenticator.profile().name.clone(),
            quirks: authenticator.profile().quirks.clone(),
            enterprise_rps: authenticator.profile().enterprise_attestation.rp_ids.clone(),
            has_latch: authenticator.profile().behaviour.touch == Touch::Latched,
            has_uv: authenticator.profile().has_built_in_uv(),
            has_sensor: authenticator.profile().fingerprints().is_some(),
            on_usb: authenticator.profile().usb.is_some(),
            discoverable_credentials: authenticator.store().discoverable_count(),
            start: Start {
                busid: busid(number),
                storage: self.seams.storage(&name, storage),
                edges: self.seams.edges(&name),
                standing: Standing { ear: self.seams.control_ear(&name), host: self.seams.host(&name) },
                name,
                authenticator,
                clock,
                exports: self.exports.clone(),
                notices: self.notices.clone(),
                running: self.tasks.subscribe(),
            },
        })
    }

    /// What a key takes from outside.
    pub(super) fn environment(&self, name: &KeyName) -> Box<dyn Environment> {
        match self.seed {
            Some(seed) => Box::new(Seeded::new(seed::of_key(seed, name))),
            None => Box::new(System::new()),
        }
    }
}

impl Made {
    /// Starts its task, unplugged.
    pub(super) fn run(self) -> Entry {
        let Self {
            start,
            profile,
            quirks,
            enterprise_rps,
            has_latch,
            has_uv,
            has_sensor,
            on_usb,
            discoverable_credentials,
        } = self;
        Entry {
            name: start.name.clone(),
            profile,
            quirks,
            enterprise_rps,
            has_latch,
            uv: has_uv.then(UvPolicy::default),
            has_sensor,
            busid: start.busid.clone(),
            on_usb,
            plugged: false,
            attached: false,
            programs: 0,
            programs_over_udp: 0,
            waiting: None,
            discoverable_credentials,
            waits: Waits::default(),
            handle: crate::key::spawn(start),
        }
    }
}
