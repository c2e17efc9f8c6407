//! Keys that people have in their hands: inserted, touched and taken out by them, or by a lab's commands.

mod attention;
mod guard;
mod hearing;
mod way;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use keyrig_attach::usbmon::Bus;
use keyrig_client::channel::Cancel;
use keyrig_client::randomness::Randomness;
use keyrig_client::{Key, OptionId, Pin};
use keyrig_faults::transcript::{Event, KeyInTrace, Secrets, Tap, What};
use keyrig_ways::{Arrivals, HidKey};
use tokio::time::timeout;

pub(super) use self::attention::Finger;
pub(super) use self::way::HidWay;

use self::attention::Attention;
use super::error::RunError;
use crate::hardware::bench::{Bench, Known};
use crate::hardware::identity::{CannotIdentify, Identity};
use crate::hardware::lab::NotTheKey;
use crate::hardware::person::Ask;
use crate::hardware::power;
use crate::hardware::usbmon::CannotListen;
use crate::language::KeyPlan;
use crate::results::KeyResult;

/// How long a person may take to insert a key, or to take it out.
const PERSON: Duration = Duration::from_secs(300);

/// How long a key may take to come or go once its port was switched.
const SWITCHED: Duration = Duration::from_secs(10);

/// The keys of a run that are in somebody's hands. Clones are one.
#[derive(Clone)]
pub(super) struct Hid(Arc<Shared>);

struct Shared {
    bench: Bench,
    arrivals: Arrivals,
    tap: Tap,
    attention: Arc<Attention>,
    /// What each key is to be, where the scenario says it.
    wanted: BTreeMap<String, String>,
    /// The scenario's keys.
    names: Vec<String>,
    /// Those that were told of as nobody's.
    strangers: Mutex<BTreeSet<HidKey>>,
}

impl Hid {
    pub(super) fn start(bench: &Bench, plans: &[KeyPlan]) -> Result<Self, RunError> {
        let wanted = plans.iter().filter(|plan| plan.specification.profile.name != "keyrig");
        let wanted = wanted.map(|plan| (plan.specification.name.to_string(), plan.specification.profile.name.clone()));
        Ok(Self(Arc::new(Shared {
            bench: bench.clone(),
            arrivals: Arrivals::listen().map_err(RunError::System)?,
            tap: Tap::new(Secrets::Masked),
            attention: Arc::new(Attention::new(bench.clone())),
            wanted: wanted.collect(),
            names: plans.iter().map(|plan| plan.specification.name.to_string()).collect(),
            strangers: Mutex::default(),
        })))
    }

    /// Has a key be as it is at the start: in or out, and its PIN known.
    pub(super) async fn make_ready(&self, plan: &KeyPlan) -> Result<Option<String>, RunError> {
        let name = plan.specification.name.as_str();
        if !plan.plugged {
            self.take_out(name).await?;
            return Ok(None);
        }
        self.insert(name).await?;
        self.pin(name, plan.pin.as_deref()).await
    }

    /// The PIN of a key that is there. One without a PIN is given the scenario's, if that is allowed.
    async fn pin(&self, name: &str, wanted: Option<&str>) -> Result<Option<String>, RunError> {
        let Some(known) = self.0.bench.known(name) else { return Ok(None) };
        let has_one = known.identity.info.as_ref().and_then(|info| info.option(OptionId::ClientPin)) == Some(true);
        let pin = match (has_one, wanted) {
            (true, _) if known.pin.is_some() => known.pin.clone(),
            (true, _) => match self.0.bench.of_lab(name).and_then(|key| key.pin_file.as_ref()) {
                Some(file) => {
                    let file = self.0.bench.beside_lab(file);
                    let read = std::fs::read_to_string(&file);
                    let read = read.map_err(|error| RunError::Cannot(format!("{}: {error}", file.display())))?;
                    Some(read.lines().next().unwrap_or_default().to_owned())
                }
                None => self.0.bench.person.pin(name).map_err(RunError::Cannot)?,
            },
            (false, Some(wanted)) if self.0.bench.may_destroy(name) => {
                let pipe = known.key.open().await.map_err(RunError::System)?;
                let mut key = Key::new(name, keyrig_client::ctap_hid::CtapHidChannel::new(pipe));
                let set = key.set_pin(&Pin::new(wanted), &Cancel::never()).await;
                set.map_err(|cause| RunError::Cannot(format!("key {name} was not given its PIN: {cause}")))?;
                let key = known.key.clone();
                let identity = identify(&key).await?;
                self.0.bench.remember(name, Known { key, identity, pin: None });
                Some(wanted.to_owned())
            }
            (false, Some(_)) => {
                let why = format!("key {name} has no PIN, and is to have one: that was not allowed for it");
                return Err(RunError::NotAllowed(why, name.to_owned()));
            }
            (false, None) => None,
        };
        if let Some(known) = self.0.bench.known(name) {
            self.0.bench.remember(name, Known { pin: pin.clone(), ..known });
        }
        Ok(pin)
    }

    /// The key, if it is plugged in.
    pub(super) fn there(&self, name: &str) -> Result<Option<HidKey>, RunError> {
        let Some(known) = self.0.bench.known(name) else { return Ok(None) };
        let all = HidKey::all()?;
        Ok(all.into_iter().find(|found| *found == known.key))
    }

    /// Has a key inserted, unless it is there.
    pub(super) async fn insert(&self, name: &str) -> Result<(), RunError> {
        if self.there(name)?.is_some() {
            return Ok(());
        }
        let bench = &self.0.bench;
        let found = match bench.of_lab(name) {
            None => self.inserted(name).await?,
            Some(known) => {
                let at_its_port = |found: &HidKey| found.topology.as_ref() == Some(&known.topology);
                let all = HidKey::all()?;
                match all.iter().find(|found| at_its_port(found)) {
                    Some(found) => found.clone(),
                    None => {
                        self.has_not_strayed(name, &all).await?;
                        if known.power.is_some() {
                            power::switch(name, known, true)
                                .await
                                .map_err(|error| RunError::Cannot(error.to_string()))?;
                            self.came(at_its_port, SWITCHED).await.ok_or_else(|| {
                                RunError::Cannot(format!(
                                    "key {name} did not come when the power of {} was switched on",
                                    known.topology
                                ))
                            })??
                        } else {
                            self.inserted(name).await?
                        }
                    }
                }
            }
        };
        self.accept(name, found).await
    }

    /// The key, if it is at another port, is refused.
    async fn has_not_strayed(&self, name: &str, all: &[HidKey]) -> Result<(), RunError> {
        let Some((_, lab)) = &self.0.bench.lab else { return Ok(()) };
        for found in all {
            let strayed = lab.strayed(found, &identify(found).await?);
            if let Some(strayed) = strayed.filter(|strayed| strayed.name() == name) {
                return Err(strayed.into());
            }
        }
        Ok(())
    }

    /// Waits until a person has inserted a key: one that was not there before.
    async fn inserted(&self, name: &str) -> Result<HidKey, RunError> {
        let before: BTreeSet<_> = HidKey::all()?.into_iter().collect();
        self.tell_of_strangers(&before);
        let port = self.0.bench.of_lab(name).map(|known| format!("at port {}", known.topology));
        let what: Vec<_> = self.0.wanted.get(name).cloned().into_iter().chain(port).collect();
        let what = (!what.is_empty()).then(|| what.join(", "));
        self.0.bench.person.ask(&Ask::Insert { key: name.to_owned(), what });
        let came = self.came(|found| !before.contains(found), PERSON).await;
        self.0.bench.person.done();
        came.ok_or_else(|| RunError::Cannot(format!("key {name} was not inserted within {} s", PERSON.as_secs())))?
    }

    /// Says once of each key that is there and that nobody knows that it has to come again: they are told apart by that.
    fn tell_of_strangers(&self, there: &BTreeSet<HidKey>) {
        let known: BTreeSet<_> = self.0.names.iter().filter_map(|name| Some(self.0.bench.known(name)?.key)).collect();
        let mut told = self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        for stranger in there.difference(&known).filter(|key| told.insert((*key).clone())) {
            self.tell(&format!(
                "{} at {} is plugged in already, and which key that is nobody can tell: if it is to be used, take it out, and insert it when \
                 it is asked for",
                stranger.title(),
                stranger.place()
            ));
        }
    }

    /// The first key for which something is so; none in time.
    async fn came(&self, is_it: impl Fn(&HidKey) -> bool, patience: Duration) -> Option<Result<HidKey, RunError>> {
        let waiting = async {
            loop {
                let mut new = HidKey::all()?.into_iter().filter(|found| is_it(found));
                match (new.next(), new.next()) {
                    (Some(found), None) => match found.open().await {
                        Ok(_) => return Ok(found),
                        // udev is about to give it to its user, and says so.
                        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                        // It went meanwhile.
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                        Err(error) => return Err(RunError::System(error)),
                    },
                    (Some(_), Some(_)) => {
                        let why = "two keys were inserted, and which is which nobody can tell: insert one at a time";
                        return Err(RunError::Cannot(why.to_owned()));
                    }
                    (None, _) => {}
                }
                self.0.arrivals.changed().await.map_err(RunError::System)?;
            }
        };
        timeout(patience, waiting).await.ok()
    }

    /// Takes what was inserted for the key that was wanted, if it is.
    async fn accept(&self, name: &str, found: HidKey) -> Result<(), RunError> {
        let bench = &self.0.bench;
        let identity = identify(&found).await?;
        let known = bench.known(name);
        if let Some(in_lab) = bench.of_lab(name) {
            in_lab.check(name, &found, &identity)?;
        } else if let Some(known) = &known
            && (known.identity.aaguid(), known.identity.serial(&known.key))
                != (identity.aaguid(), identity.serial(&found))
        {
            let why = format!(
                "that is another key than the one that was inserted as {name} before: {} is",
                known.key.title()
            );
            return Err(RunError::Cannot(why));
        }
        self.0.tap.became(name, What::Plugged);
        bench.remember(name, Known { key: found, identity, pin: known.and_then(|known| known.pin) });
        Ok(())
    }

    /// Has a key taken out, if it is there.
    pub(super) async fn take_out(&self, name: &str) -> Result<(), RunError> {
        let Some(there) = self.there(name)? else { return Ok(()) };
        let person = &self.0.bench.person;
        let by_power = self.0.bench.of_lab(name).filter(|known| known.power.is_some());
        let patience = match by_power {
            Some(known) => {
                power::switch(name, known, false).await.map_err(|error| RunError::Cannot(error.to_string()))?;
                SWITCHED
            }
            None => {
                person.ask(&Ask::TakeOut { key: name.to_owned() });
                PERSON
            }
        };
        let went = timeout(patience, self.went(&there)).await;
        if by_power.is_none() {
            person.done();
        }
        let late = || RunError::Cannot(format!("key {name} was still there after {} s", patience.as_secs()));
        went.map_err(|_| late())??;
        self.0.tap.became(name, What::Unplugged);
        Ok(())
    }

    async fn went(&self, key: &HidKey) -> Result<(), RunError> {
        while HidKey::all()?.contains(key) {
            self.0.arrivals.changed().await.map_err(RunError::System)?;
        }
        Ok(())
    }

    /// The way to a key that is there.
    pub(super) async fn connect(&self, name: &str, random: Arc<dyn Randomness>) -> Result<HidWay, RunError> {
        let gone = || RunError::Cannot(format!("key {name} is not plugged in"));
        let pipe = self.there(name)?.ok_or_else(gone)?.open().await.map_err(RunError::System)?;
        let Shared { tap, attention, bench, .. } = &*self.0;
        Ok(HidWay::new(pipe, name, tap.clone(), attention.clone(), bench.may_destroy(name), random))
    }

    pub(super) fn put_finger(&self, finger: Finger) {
        self.0.attention.put_finger(finger);
    }

    pub(super) fn touch(&self, name: &str) {
        self.0.attention.touch(name);
    }

    pub(super) fn touch_as_somebody_else(&self, name: &str) {
        self.0.attention.touch_as_somebody_else(name);
    }

    /// Waits until a key waits for a touch.
    pub(super) async fn wait_for(&self, name: &str) {
        self.0.attention.wait_for(name).await;
    }

    /// What was not sent to a key since this was last asked, to save what is on it: the key, and why.
    pub(super) fn take_withheld(&self) -> Option<(String, String)> {
        self.0.attention.take_withheld()
    }

    /// A discoverable credential was stored on a key by another program.
    pub(super) fn stored(&self, name: &str) {
        self.0.attention.stored(name);
    }

    /// How many discoverable credentials stay on which keys.
    pub(super) fn left(&self) -> BTreeMap<String, usize> {
        self.0.attention.left()
    }

    /// Has a person do something in a browser, and hears these keys meanwhile, as far as they are there.
    pub(super) async fn in_browser(&self, ask: &Ask, names: &[String]) -> Result<(), RunError> {
        let mut keys = BTreeMap::new();
        for name in names {
            keys.extend(self.there(name)?.map(|key| (name.clone(), key)));
        }
        let until_over = self.0.bench.person.until_over(ask);
        hearing::hear(&keys, &self.0.tap, Bus::open, HidKey::all, until_over).await?.map_err(RunError::Cannot)
    }

    /// Tells the person something.
    pub(super) fn tell(&self, text: &str) {
        self.0.bench.person.tell(text);
    }

    /// What passed at the keys since this was last asked.
    pub(super) fn take_events(&self) -> Vec<Event> {
        self.0.tap.take()
    }

    /// A transcript's first line.
    pub(super) fn header(&self, names: &[String]) -> Event {
        let key = |name: &String| {
            let profile = self.title(name).unwrap_or_else(|| "a key that was not inserted".to_owned());
            KeyInTrace {
                name: name.clone(),
                profile,
                quirks: Vec::new(),
                enterprise_rps: Vec::new(),
                usb: None,
                start: None,
            }
        };
        self.0.tap.header(names.iter().map(key).collect())
    }

    /// What the keys are, as far as they were inserted.
    pub(super) fn results(&self, names: &[String]) -> Vec<KeyResult> {
        let key = |name: &String| {
            let profile = self.title(name).unwrap_or_else(|| "not inserted".to_owned());
            KeyResult { name: name.clone(), profile }
        };
        names.iter().map(key).collect()
    }

    fn title(&self, name: &str) -> Option<String> {
        let known = self.0.bench.known(name)?;
        Some(format!("{} {} at {}", known.key.title(), known.identity.version(), known.key.place()))
    }
}

async fn identify(key: &HidKey) -> Result<Identity, RunError> {
    Identity::of(key).await.map_err(RunError::from)
}

impl From<CannotIdentify> for RunError {
    fn from(error: CannotIdentify) -> Self {
        Self::Cannot(error.to_string())
    }
}

impl From<NotTheKey> for RunError {
    fn from(error: NotTheKey) -> Self {
        Self::Cannot(error.to_string())
    }
}

impl From<CannotListen> for RunError {
    fn from(error: CannotListen) -> Self {
        Self::Cannot(error.to_string())
    }
}

impl From<keyrig_ways::CannotFind> for RunError {
    fn from(error: keyrig_ways::CannotFind) -> Self {
        Self::Cannot(error.to_string())
    }
}
