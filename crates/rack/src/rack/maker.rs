//! Makes keys: those that a rack starts with, and those that come while it runs.

use std::sync::Arc;

use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::environment::{Environment, Seeded};
use keyrig_authenticator::profile::Touch;
use keyrig_authenticator::store::Store;
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_usb::Exports;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::entry::{Entry, Waits};
use super::error::RackError;
use crate::clock::{Clock, SystemClock};
use crate::crypto::System;
use crate::key::{Notice, Start};
use crate::key_name::KeyName;
use crate::seams::Seams;
use crate::seed;
use crate::state_directory::StateDirectory;
use crate::storage::{Memory, Storage};

/// What keys are made with.
pub(super) struct Maker {
    pub(super) seed: Option<u64>,
    pub(super) state: Option<StateDirectory>,
    pub(super) seams: Option<Arc<dyn Seams>>,
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
    has_latch: bool,
    discoverable_credentials: usize,
}

impl Maker {
    /// Makes a key, or opens the one that is kept under this name. Blocks while it is written to the disk.
    pub(super) fn make(&self, name: KeyName, profile: Profile, port: usize) -> Result<Made, RackError> {
        let mut environment = self.environment(&name);
        let (mut storage, store): (Box<dyn Storage>, _) = match &self.state {
            Some(state) => {
                let (database, store) = state.open_key(&name, &profile, environment.as_mut())?;
                (Box::new(database), store)
            }
            None => {
                let (store, changes) = Store::create(environment.as_mut());
                (Box::new(Memory::holding(&changes)), store)
            }
        };
        let mut clock: Box<dyn Clock> = Box::new(SystemClock::new(self.epoch));
        let (mut edge, mut control_ear) = (None, None);
        if let Some(seams) = &self.seams {
            storage = seams.storage(&name, storage);
            clock = seams.clock(&name, clock);
            edge = seams.edge(&name);
            control_ear = seams.control_ear(&name);
        }
        let attestation = self.root.issue(&profile)?;
        Ok(Made {
            profile: profile.name.clone(),
            has_latch: profile.behaviour.touch == Touch::Latched,
            discoverable_credentials: store.discoverable_count(),
            start: Start {
                name,
                busid: format!("1-{port}"),
                authenticator: Authenticator::new(profile, attestation, environment, store, clock.now()),
                storage,
                clock,
                edge,
                control_ear,
                exports: self.exports.clone(),
                notices: self.notices.clone(),
                running: self.tasks.subscribe(),
            },
        })
    }

    /// Whether a key of this name is kept.
    pub(super) fn keeps(&self, name: &KeyName) -> bool {
        self.state.as_ref().is_some_and(|state| state.has_key(name))
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
        let Self { start, profile, has_latch, discoverable_credentials } = self;
        Entry {
            name: start.name.clone(),
            profile,
            has_latch,
            busid: start.busid.clone(),
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
