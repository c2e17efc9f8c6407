//! The keys of a run: plugged in, touched, pulled out, and reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use keyrig_authenticator::credential::{CredentialSource, Properties};

use keyrig_authenticator::private_key::PrivateKey;
use keyrig_client::Key;
use keyrig_client::channel::Cancel;
use keyrig_client::randomness::DangerSeeded;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_faults::transcript::{Event, Recorder, Secrets};
use keyrig_faults::{Absent, Faults};
use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::finger::Finger;
use keyrig_rack::seams::Seams;
use keyrig_rack::{KeyName, Options, Rack};

use super::carrier::{Carrier, Way};
use super::error::RunError;
use super::hands::{Hands, named};
#[cfg(target_os = "linux")]
use super::hid::Hid;
use super::seed;
use super::settings::Settings;
use super::time::RunTime;
#[cfg(target_os = "linux")]
use crate::hardware::person::Ask;
use crate::language::{KeyPlan, On};
use crate::results::KeyResult;

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

impl Keys {
    pub(super) async fn start(
        plans: &[KeyPlan],
        seed: u64,
        time: &RunTime,
        settings: &Settings,
    ) -> Result<Self, RunError> {
        let on = settings.on;
        let absent = match on {
            On::InProcess => Absent::usb_and_ctaphid(),
            On::Ctaphid => Absent::usb(),
            On::Usbip | On::Kernel | On::Hid => Absent::nothing(),
        };
        // Real keys are in no rack: what is there gives the site its root alone.
        let in_rack = if on == On::Hid { &[] } else { plans };
        let specifications: Vec<_> = in_rack.iter().map(|plan| plan.specification.clone()).collect();
        let faults = Faults::new(Some(seed), absent);
        let recorder = Recorder::new(&specifications, Secrets::Masked);
        recorder.listen_to(&faults);
        for plan in in_rack {
            for fault in &plan.faults {
                let name = &plan.specification.name;
                faults.switch_on(name, fault.clone()).map_err(|error| error.at(name))?;
            }
        }
        let mut all: Vec<Arc<dyn Seams>> = vec![Arc::new(time.clone()), Arc::new(faults.clone())];
        all.extend(settings.seams.iter().cloned());
        all.push(Arc::new(recorder.clone()));
        let options = Options { finger: Finger::default(), seed: Some(seed), seams: all, ..Options::default() };
        let rack = Rack::start(options, specifications).await?;
        let mut keys = Self {
            carrier: match carrier_in_hand(plans, settings)? {
                Some(carrier) => carrier,
                None => Carrier::start(on, &rack).await?,
            },
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
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            self.pins.remember(name.as_str(), hid.make_ready(plan).await?);
            return Ok(());
        }
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
        let plugged = self.plugged().await?;
        self.there.retain(|key| plugged.iter().any(|name| name.as_str() == key.name()));
        for (place, name) in plugged.iter().enumerate() {
            if self.there.get(place).is_some_and(|key| key.name() == name.as_str()) {
                continue;
            }
            let way = self.carrier.connect(&self.rack, name, self.seed).await?;
            let random = Arc::new(DangerSeeded::new(seed::of(self.seed, &format!("client of {name}"))));
            self.there.insert(place, Key::new(name.as_str(), way).with_randomness(random));
        }
        Ok(())
    }

    /// Those that are plugged in, in the order of the file.
    async fn plugged(&self) -> Result<Vec<KeyName>, RunError> {
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            let there = |name: &KeyName| hid.there(name.as_str()).map(|there| there.map(|_| name.clone()));
            return self.names.iter().filter_map(|name| there(name).transpose()).collect();
        }
        let listed = self.rack.command(Command::List).await?;
        let plugged = |name: &KeyName| listed.keys.iter().any(|key| key.name == *name && key.plugged);
        Ok(self.names.iter().filter(|name| plugged(name)).cloned().collect())
    }

    /// The keys that are in somebody's hands, if they are.
    #[cfg(target_os = "linux")]
    pub(super) fn hid(&self) -> Option<&Hid> {
        self.carrier.hid()
    }

    /// Whether they are real ones, in somebody's hands.
    pub(super) fn in_hand(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.hid().is_some();
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// What they are, where that is another thing than the scenario says.
    pub(super) fn results(&self) -> Option<Vec<KeyResult>> {
        #[cfg(target_os = "linux")]
        return self.hid().map(|hid| hid.results(&self.names.iter().map(ToString::to_string).collect::<Vec<_>>()));
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Who touches, plugs in and pulls out.
    pub(super) fn hands(&self) -> Hands {
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            return Hands::Person(hid.clone());
        }
        Hands::Rack(self.rack.clone())
    }

    /// How many wrong PINs a key takes until it is blocked.
    pub(super) async fn pin_retries(&mut self, name: &str) -> Result<Option<u8>, RunError> {
        #[cfg(target_os = "linux")]
        if self.hid().is_some() {
            let retries = self.one(name)?.pin_retries(&Cancel::never()).await;
            return Ok(retries.ok().and_then(|retries| u8::try_from(retries.left).ok()));
        }
        let state = self.rack.known(&named(name)?)?.pin_state().await;
        Ok(state.ok().map(|state| state.retries))
    }

    /// Forgets how a key was reached, as it was pulled out.
    pub(super) async fn forget(&mut self, name: &str) -> Result<(), RunError> {
        self.there.retain(|key| key.name() != name);
        let name = named(name)?;
        self.carrier.gone(&name).await
    }

    /// Has a person do something in a browser with real keys, and hears them meanwhile.
    #[cfg(target_os = "linux")]
    pub(super) async fn in_browser(&mut self, ask: &Ask) -> Result<(), RunError> {
        let Some(hid) = self.hid().cloned() else { return Ok(()) };
        // Who has a node open gets the answers to others too: they would be heard twice, and in the way of one's own.
        self.there.clear();
        let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let done = hid.in_browser(ask, &names).await;
        self.look().await?;
        done
    }

    pub(super) async fn plug(&mut self, name: &str) -> Result<Option<String>, RunError> {
        let key = named(name)?;
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            hid.insert(name).await?;
            self.look().await?;
            return Ok(None);
        }
        self.rack.command(Command::Plug { key: key.clone() }).await?;
        let seen = self.carrier.seen(&self.rack, &key).await;
        self.look().await?;
        Ok(seen)
    }

    pub(super) async fn unplug(&mut self, name: &str) -> Result<(), RunError> {
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            hid.take_out(name).await?;
            return self.forget(name).await;
        }
        self.rack.command(Command::Unplug { key: named(name)? }).await?;
        self.forget(name).await
    }

    pub(super) async fn power_cycle(&mut self, name: &str) -> Result<(), RunError> {
        self.unplug(name).await?;
        self.plug(name).await.map(drop)
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
        #[cfg(target_os = "linux")]
        if let Some(hid) = self.hid() {
            let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
            let begins = (self.taken == 0).then(|| hid.header(&names));
            let events: Vec<_> = begins.into_iter().chain(hid.take_events()).collect();
            self.taken += events.len();
            return events;
        }
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

/// What there is for keys in somebody's hands.
fn carrier_in_hand(plans: &[KeyPlan], settings: &Settings) -> Result<Option<Carrier>, RunError> {
    #[cfg(target_os = "linux")]
    if settings.on == On::Hid
        && let Some(bench) = &settings.bench
    {
        return Ok(Some(Carrier::Hid(Hid::start(bench, plans)?)));
    }
    let _ = (plans, settings);
    Ok(None)
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
