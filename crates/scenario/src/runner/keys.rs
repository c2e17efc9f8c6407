//! The keys of a run: plugged in, touched, pulled out, and reached.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use keyrig_authenticator::credential::{CredentialSource, Properties};

use keyrig_authenticator::private_key::PrivateKey;
use keyrig_client::Key;
use keyrig_client::randomness::DangerSeeded;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_faults::transcript::{Event, Recorder, Secrets};
use keyrig_faults::{Absent, Faults};
use keyrig_rack::command::{Command, Refusal, WaitFor};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::seams::Seams;
use keyrig_rack::{KeyName, Options, Rack};
use tokio::time::timeout;

use super::carrier::{Carrier, Way};
use super::error::RunError;
use super::seed;
use super::time::RunTime;
use crate::language::{KeyPlan, On};

/// The PINs that are known, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(Arc<Mutex<BTreeMap<String, String>>>);

impl Pins {
    pub(super) fn of(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn remember(&self, key: &str, pin: Option<String>) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pin {
            Some(pin) => drop(pins.insert(key.to_owned(), pin)),
            None => drop(pins.remove(key)),
        }
    }
}

/// The keys of a run.
pub(super) struct Keys {
    pub(super) rack: Rack,
    pub(super) faults: Faults,
    pub(super) pins: Pins,
    recorder: Recorder,
    /// How many events were taken.
    taken: usize,
    carrier: Carrier,
    seed: u64,
    /// All of them, in the order of the file.
    names: Vec<KeyName>,
    /// Those that clients see, in the same order.
    pub(super) there: Vec<Key<Way>>,
}

/// How long the finger waits for keys that are to blink.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a rack without keys of a scenario has: a rack wants one.
const NOBODYS: &str = "nobodys";

impl Keys {
    pub(super) async fn start(
        plans: &[KeyPlan],
        on: On,
        seed: u64,
        time: &RunTime,
        seams: &[Arc<dyn Seams>],
    ) -> Result<Self, RunError> {
        let absent = match on {
            On::InProcess => Absent::usb_and_ctaphid(),
            On::Ctaphid => Absent::usb(),
            On::Usbip | On::Kernel => Absent::nothing(),
        };
        let mut specifications: Vec<_> = plans.iter().map(|plan| plan.specification.clone()).collect();
        if specifications.is_empty() {
            specifications.extend(keyrig_rack::KeySpecification::built_in("keyrig", NOBODYS).ok());
        }
        let faults = Faults::new(Some(seed), absent);
        let recorder = Recorder::new(&specifications, Secrets::Masked);
        recorder.listen_to(&faults);
        for plan in plans {
            for fault in &plan.faults {
                let name = &plan.specification.name;
                faults.switch_on(name, fault.clone()).map_err(|error| error.at(name))?;
            }
        }
        let mut all: Vec<Arc<dyn Seams>> = vec![Arc::new(time.clone()), Arc::new(faults.clone())];
        all.extend(seams.iter().cloned());
        all.push(Arc::new(recorder.clone()));
        let options = Options { finger: Finger::default(), seed: Some(seed), seams: all, ..Options::default() };
        let rack = Rack::start(options, specifications).await?;
        let mut keys = Self {
            carrier: Carrier::start(on, &rack).await?,
            rack,
            faults,
            pins: Pins::default(),
            recorder,
            taken: 0,
            seed,
            names: plans.iter().map(|plan| plan.specification.name.clone()).collect(),
            there: Vec::new(),
        };
        for plan in plans {
            keys.make_ready(plan).await?;
        }
        keys.look().await?;
        Ok(keys)
    }

    /// What its owner has done with a key before the scenario begins.
    async fn make_ready(&self, plan: &KeyPlan) -> Result<(), RunError> {
        let name = &plan.specification.name;
        let handle = self.rack.known(name)?;
        if let Some(pin) = &plan.pin {
            handle.set_pin(pin.clone()).await.map_err(Refusal::of(name))?;
            self.pins.remember(name.as_str(), Some(pin.clone()));
        }
        if plan.stored > 0 {
            let sources = (0..plan.stored).map(|number| of_others(self.seed, name, number)).collect();
            handle.import(sources).await.map_err(Refusal::of(name))?;
        }
        if let Some(policy) = &plan.uv {
            self.rack.command(Command::UvPolicy { key: name.clone(), policy: policy.clone() }).await?;
        }
        if !plan.plugged {
            self.rack.command(Command::Unplug { key: name.clone() }).await?;
        }
        Ok(())
    }

    /// Sees which keys are there now, and reaches those that have come.
    pub(super) async fn look(&mut self) -> Result<(), RunError> {
        let listed = self.rack.command(Command::List).await?;
        let plugged = |name: &str| listed.keys.iter().any(|key| key.name.as_str() == name && key.plugged);
        self.there.retain(|key| plugged(key.name()));
        for (place, name) in self.names.iter().filter(|name| plugged(name.as_str())).enumerate() {
            if self.there.get(place).is_some_and(|key| key.name() == name.as_str()) {
                continue;
            }
            let way = self.carrier.connect(&self.rack, name, self.seed).await?;
            let random = Arc::new(DangerSeeded::new(seed::of(self.seed, &format!("client of {name}"))));
            self.there.insert(place, Key::new(name.as_str(), way).with_randomness(random));
        }
        Ok(())
    }

    /// Forgets how a key was reached, as it was pulled out.
    pub(super) async fn forget(&mut self, name: &str) -> Result<(), RunError> {
        self.there.retain(|key| key.name() != name);
        let name = named(name)?;
        self.carrier.gone(&name).await
    }

    pub(super) async fn plug(&mut self, name: &str) -> Result<Option<String>, RunError> {
        let key = named(name)?;
        self.rack.command(Command::Plug { key: key.clone() }).await?;
        let seen = self.carrier.seen(&self.rack, &key).await;
        self.look().await?;
        Ok(seen)
    }

    pub(super) async fn unplug(&mut self, name: &str) -> Result<(), RunError> {
        self.rack.command(Command::Unplug { key: named(name)? }).await?;
        self.forget(name).await
    }

    pub(super) async fn power_cycle(&mut self, name: &str) -> Result<(), RunError> {
        self.unplug(name).await?;
        self.plug(name).await.map(drop)
    }

    /// Puts the finger over a key, which it touches at once or not yet; over none of those that wait if it is `None`.
    pub(super) async fn put_finger(&self, over: Option<&str>, at_once: bool) -> Result<(), RunError> {
        let policy = if over.is_some() && at_once { TouchPolicy::Auto } else { TouchPolicy::Manual };
        self.rack.command(Command::TouchPolicy { policy }).await?;
        if let Some(name) = over {
            self.rack.command(Command::Finger { key: Some(named(name)?) }).await?;
        }
        Ok(())
    }

    /// Touches nothing until all of these keys wait, and then the one that the finger is over: where several blink, which of them was asked
    /// first is a matter of what carries the messages.
    pub(super) async fn touch_once_all_wait(rack: &Rack, keys: &[KeyName]) -> Result<(), RunError> {
        let all = async {
            for key in keys {
                rack.command(Command::Wait { key: key.clone(), what: WaitFor::Touch }).await?;
            }
            Ok::<_, Refusal>(())
        };
        // One that never waits holds up nobody for long: it is told by what blinked.
        if let Ok(waited) = timeout(PATIENCE, all).await {
            waited?;
        }
        rack.command(Command::TouchPolicy { policy: TouchPolicy::Auto }).await?;
        Ok(())
    }

    /// Makes another key of one.
    pub(super) async fn clone_key(&mut self, of: &str, called: &str) -> Result<(), RunError> {
        let name = named(called)?;
        self.rack.clone_key(&named(of)?, name.clone()).await?;
        self.names.push(name);
        self.pins.remember(called, self.pins.of(of));
        self.look().await
    }

    /// Those that are pulled out.
    pub(super) fn away(&self) -> Vec<String> {
        let is_there = |name: &KeyName| self.there.iter().any(|key| key.name() == name.as_str());
        self.names.iter().filter(|name| !is_there(name)).map(ToString::to_string).collect()
    }

    /// Where they are exported over USB/IP.
    pub(super) fn usbip(&self) -> Option<SocketAddr> {
        self.carrier.usbip()
    }

    /// One that is there.
    pub(super) fn one(&mut self, name: &str) -> Result<&mut Key<Way>, RunError> {
        let found = self.there.iter_mut().find(|key| key.name() == name);
        found.ok_or_else(|| RunError::Cannot(format!("key {name} is not plugged in")))
    }

    /// What passed at the keys since this was last asked.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let transcript = self.recorder.transcript();
        let events = transcript.events().get(self.taken..).unwrap_or_default().to_vec();
        self.taken = transcript.events().len();
        events
    }

    /// Lets all of them go.
    pub(super) async fn close(&mut self) {
        self.there.clear();
        self.carrier.close().await;
    }
}

/// A credential of another site, which takes room.
fn of_others(run: u64, key: &KeyName, number: usize) -> CredentialSource {
    let secret = |purpose: &str| seed::of(run, &format!("{purpose} {number} on {key}"));
    let mut candidates = 0;
    let private_key = PrivateKey::from_candidates(Algorithm::Es256, |bytes| {
        let candidate = secret(&format!("private key, candidate {candidates}"));
        candidates += 1;
        for (byte, of_candidate) in bytes.iter_mut().zip(candidate) {
            *byte = of_candidate;
        }
    });
    let id = secret("credential id").to_vec();
    let user = User { id: id.get(..16).unwrap_or(&id).to_vec(), name: Some("somebody".to_owned()), display_name: None };
    CredentialSource {
        id,
        relying_party_id: format!("site-{number}.example"),
        private_key,
        user: Some(user),
        properties: Properties::default(),
        cred_blob: Vec::new(),
        counter: None,
        backup_eligible: false,
        backup_state: false,
        cred_random: None,
        large_blob_key: None,
    }
}

/// The name of a key, which was looked at when the file was read.
pub(super) fn named(name: &str) -> Result<KeyName, RunError> {
    name.parse::<KeyName>().map_err(|error| RunError::Cannot(error.to_string()))
}
