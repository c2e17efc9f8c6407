//! Which faults are on, at which keys, and whether one of them happens now.

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use keyrig_rack::command::Refusal;
use keyrig_rack::{KeyName, Rack};

use crate::fault::{COMMANDS, Fault, Which};
use crate::kind::{Kind, Layer};
use crate::scope::{Absent, Nowhere};

/// The most faults that are on at one key.
pub const MAX_FAULTS: usize = 64;

/// What happened of faults and nobody has heard: a key that nobody asks anything hears of nothing.
const MAX_UNHEARD: usize = 1024;

/// A fault cannot be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSwitchOn {
    /// As many faults are on at the key as may be.
    #[error("{MAX_FAULTS} faults are on there: switch some off")]
    TooMany,
    /// It could never happen.
    #[error(transparent)]
    Nowhere(#[from] Nowhere),
}

impl CannotSwitchOn {
    /// As what a rack says of it, at this key.
    #[must_use]
    pub fn at(self, key: &KeyName) -> Refusal {
        Refusal::AtSeam { key: key.clone(), reason: self.to_string() }
    }
}

/// A fault that is on, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    /// The fault.
    pub fault: Fault,
    /// How many times it has happened.
    pub happened: u64,
}

/// What was switched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switched<'a> {
    On(&'a Fault),
    /// Those that [`Fault::names`], or all that are on.
    Off(Option<&'a Fault>),
}

/// Hears of switching.
type Told = Box<dyn Fn(&KeyName, Switched<'_>) + Send + Sync>;

/// The switches of one key. Everything that stands at its seams has them.
#[derive(Debug)]
pub(crate) struct Switches {
    /// A bit for each layer at which something is on: what is asked of every report.
    layers: AtomicU8,
    state: Mutex<State>,
    /// What was asked last by CTAPHID, as a place in [`COMMANDS`] and one more.
    by_host: AtomicU8,
    /// The same of what came without it.
    direct: AtomicU8,
    /// By how much the key's clock is ahead, milliseconds.
    ahead_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    on: Vec<Active>,
    seed: u64,
    /// How many have been switched on.
    switched: u64,
    unheard: VecDeque<String>,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    /// How many times it could have happened.
    seen: u64,
    happened: u64,
    random: SplitMix,
}

impl Switches {
    fn new(seed: u64) -> Self {
        Self {
            layers: AtomicU8::new(0),
            state: Mutex::new(State { seed, ..State::default() }),
            by_host: AtomicU8::new(0),
            direct: AtomicU8::new(0),
            ahead_ms: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is on at a layer. If not, that is all that a fault costs there.
    pub(crate) fn any(&self, layer: Layer) -> bool {
        self.layers.load(Ordering::Relaxed) & bit(layer) != 0
    }

    /// Notes what the key is asked, and by which way.
    pub(crate) fn asked(&self, way: Way, command: Option<&str>) {
        let place = COMMANDS.iter().position(|known| Some(*known) == command);
        let number = place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0);
        self.asked_by(way).store(number, Ordering::Relaxed);
    }

    /// What the key was asked last that way.
    pub(crate) fn command(&self, way: Way) -> Option<&'static str> {
        let number = self.asked_by(way).load(Ordering::Relaxed);
        COMMANDS.get(usize::from(number).checked_sub(1)?).copied()
    }

    fn asked_by(&self, way: Way) -> &AtomicU8 {
        match way {
            Way::Host => &self.by_host,
            Way::Direct => &self.direct,
        }
    }

    /// Puts the key's clock forward.
    pub(crate) fn turn(&self, ms: u64) {
        let turned = |ahead: u64| Some(ahead.saturating_add(ms).min(MAX_AHEAD_MS));
        // It always gives a value.
        let _ = self.ahead_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, turned);
    }

    /// By how much the key's clock is ahead.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Those that happen now to something of `command`: of the faults of a layer those for which `could` holds, at most so many.
    pub(crate) fn happen(
        &self,
        layer: Layer,
        command: Option<&str>,
        limit: usize,
        could: impl Fn(&Fault) -> bool,
    ) -> Vec<Fault> {
        if !self.any(layer) {
            return Vec::new();
        }
        let State { on, unheard, .. } = &mut *self.state();
        let mut happening = Vec::new();
        for active in on.iter_mut() {
            if happening.len() == limit {
                break;
            }
            let is_of = active.fault.command().is_none_or(|of| command == Some(of));
            if active.fault.kind().layer() == layer && is_of && could(&active.fault) && active.happens() {
                if unheard.len() < MAX_UNHEARD {
                    unheard.push_back(active.fault.to_string());
                }
                self.layers.fetch_or(UNHEARD, Ordering::Relaxed);
                happening.push(active.fault.clone());
            }
        }
        happening
    }

    /// The next of what has happened.
    pub(crate) fn heard(&self) -> Option<String> {
        if self.layers.load(Ordering::Relaxed) & UNHEARD == 0 {
            return None;
        }
        let mut state = self.state();
        let heard = state.unheard.pop_front();
        if heard.is_none() {
            self.show(&state);
        }
        heard
    }

    /// `told` hears of it before anything can go wrong.
    fn switch_on(&self, fault: Fault, told: impl FnOnce(Switched<'_>)) -> Result<(), CannotSwitchOn> {
        let mut state = self.state();
        if state.on.len() >= MAX_FAULTS {
            return Err(CannotSwitchOn::TooMany);
        }
        told(Switched::On(&fault));
        state.switched += 1;
        let random = SplitMix(hashed(state.seed, &state.switched.to_be_bytes()));
        state.on.push(Active { fault, seen: 0, happened: 0, random });
        self.show(&state);
        Ok(())
    }

    fn switch_off(&self, which: Option<&Fault>, told: impl FnOnce(Switched<'_>)) -> Vec<On> {
        let mut state = self.state();
        told(Switched::Off(which));
        let is_meant = |active: &mut Active| which.is_none_or(|which| which.names(&active.fault));
        let off = state.on.extract_if(.., is_meant).map(On::from).collect();
        self.show(&state);
        off
    }

    fn show(&self, state: &State) {
        let unheard = if state.unheard.is_empty() { 0 } else { UNHEARD };
        let layers = state.on.iter().fold(unheard, |layers, active| layers | bit(active.fault.kind().layer()));
        self.layers.store(layers, Ordering::Relaxed);
    }
}

impl Active {
    fn happens(&mut self) -> bool {
        self.seen += 1;
        let is_due = match self.fault.which() {
            Which::Every => true,
            Which::Nth(nth) => self.seen == u64::from(nth),
            Which::First(times) => self.happened < u64::from(times),
        };
        let happens = is_due && self.random.below_a_million() < self.fault.probability();
        self.happened += u64::from(happens);
        happens
    }
}

impl From<Active> for On {
    fn from(Active { fault, happened, .. }: Active) -> Self {
        Self { fault, happened }
    }
}

/// How a request comes to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By CTAPHID.
    Host,
    /// Without it.
    Direct,
}

/// The bit that says that something happened which nobody has heard.
const UNHEARD: u8 = 128;

/// A hundred years.
const MAX_AHEAD_MS: u64 = 100 * 366 * 86_400_000;

const fn bit(layer: Layer) -> u8 {
    match layer {
        Layer::Usb => 1,
        Layer::Ctaphid => 2,
        Layer::Ctap => 4,
        Layer::Sealing => 8,
        Layer::Storage => 16,
        Layer::Clock => 32,
    }
}

/// Faults at the keys of a rack: one of its [`Options::seams`](keyrig_rack::Options::seams), and the switch. Clones are one.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

struct Shared {
    seed: u64,
    absent: Absent,
    keys: Mutex<BTreeMap<KeyName, Arc<Switches>>>,
    told: OnceLock<Told>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, keys, .. } = self;
        f.debug_struct("Shared").field("seed", seed).field("keys", keys).finish_non_exhaustive()
    }
}

impl Faults {
    /// None yet. What is probable follows from the seed, or without one is of chance. At keys whose hosts do without something, what would
    /// happen there is refused.
    #[must_use]
    pub fn new(seed: Option<u64>, absent: Absent) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("keyrig faults"));
        Self(Arc::new(Shared { seed, absent, keys: Mutex::default(), told: OnceLock::new() }))
    }

    /// Has somebody hear of switching; who came first stays.
    pub(crate) fn tell(&self, told: Told) {
        let _ = self.0.told.set(told);
    }

    fn told(&self, key: &KeyName, switched: Switched<'_>) {
        if let Some(told) = self.0.told.get() {
            told(key, switched);
        }
    }

    /// Those at the seams of a rack that has this key.
    ///
    /// # Errors
    /// [`Refusal`]: it has no such key, or was started without faults.
    pub fn at<'r>(rack: &'r Rack, key: &KeyName) -> Result<&'r Self, Refusal> {
        rack.known(key)?;
        let none = || Refusal::AtSeam { key: key.clone(), reason: "this rack was started without faults".to_owned() };
        rack.at_seams().ok_or_else(none)
    }

    /// The switches of a key, whether there is such a key or not yet.
    pub(crate) fn of(&self, key: &KeyName) -> Arc<Switches> {
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(switches) = keys.get(key) {
            return Arc::clone(switches);
        }
        let switches = Arc::new(Switches::new(hashed(self.0.seed, key.as_str().as_bytes())));
        keys.insert(key.clone(), Arc::clone(&switches));
        switches
    }

    /// Switches a fault on at a key, beside those that are on.
    ///
    /// # Errors
    /// [`CannotSwitchOn`].
    pub fn switch_on(&self, key: &KeyName, fault: Fault) -> Result<(), CannotSwitchOn> {
        self.check(fault.kind())?;
        self.of(key).switch_on(fault, |switched| self.told(key, switched))
    }

    /// Whether something could happen to keys whose hosts come as these do.
    ///
    /// # Errors
    /// [`Nowhere`]: it never could.
    pub fn check(&self, kind: Kind) -> Result<(), Nowhere> {
        self.0.absent.check(kind)
    }

    /// Forgets a key that there is no more: another one may come to have its name, and begins without faults.
    pub(crate) fn forget(&self, key: &KeyName) {
        if !self.on(key).is_empty() {
            self.switch_off(key, None);
        }
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Switches off what is on at a key, what [`Fault::names`] or all, and returns that.
    pub fn switch_off(&self, key: &KeyName, which: Option<&Fault>) -> Vec<On> {
        self.of(key).switch_off(which, |switched| self.told(key, switched))
    }

    /// What is on at a key, in the order in which it was switched on.
    #[must_use]
    pub fn on(&self, key: &KeyName) -> Vec<On> {
        let switches = self.of(key);
        let state = switches.state();
        state.on.iter().map(|active| On { fault: active.fault.clone(), happened: active.happened }).collect()
    }
}

/// FNV-1a (RFC 9923 §2), which is the same everywhere.
fn hashed(seed: u64, bytes: &[u8]) -> u64 {
    let seed = seed.to_be_bytes();
    seed.iter()
        .chain(bytes)
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// The generator of Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (2014): nothing secret comes from it.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn below_a_million(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        u32::try_from(mixed % 1_000_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> KeyName {
        name.parse().unwrap()
    }

    /// The times of a hundred at which a fault happens.
    fn times(faults: &Faults, name: &str, fault: &str) -> Vec<usize> {
        faults.switch_on(&key(name), fault.parse().unwrap()).unwrap();
        let switches = faults.of(&key(name));
        let happens = |_: &usize| !switches.happen(Layer::Ctap, Some("authenticatorReset"), 9, |_| true).is_empty();
        let times = (1..=100).filter(happens).collect();
        faults.switch_off(&key(name), None);
        times
    }

    #[test]
    fn which_times_it_happens_is_as_it_says() {
        let faults = Faults::new(Some(1), Absent::nothing());
        assert_eq!(times(&faults, "a", "ctap-empty").len(), 100);
        assert_eq!(times(&faults, "a", "ctap-empty,nth=3"), [3]);
        assert_eq!(times(&faults, "a", "ctap-empty,times=2"), [1, 2]);
        assert_eq!(times(&faults, "a", "ctap-empty,command=reset,nth=2"), [2]);
        assert_eq!(times(&faults, "a", "ctap-empty,command=selection"), [0; 0]);
        assert_eq!(times(&faults, "a", "bad-signature"), [0; 0], "of another layer");
    }

    #[test]
    fn what_is_probable_follows_from_the_seed_and_is_each_keys_own() {
        let times = |seed, name| times(&Faults::new(Some(seed), Absent::nothing()), name, "ctap-empty,probability=0.5");
        let first = times(1, "a");
        assert_eq!(first, times(1, "a"));
        assert_ne!(first, times(2, "a"));
        assert_ne!(first, times(1, "b"));
        // A fair coin is that far off once in ten thousand seeds, and this seed is fixed.
        assert!((30..=70).contains(&first.len()), "{first:?}");
    }

    #[test]
    fn faults_are_switched_off_by_kind_or_all_and_are_bounded() {
        let faults = Faults::new(None, Absent::nothing());
        let a = key("a");
        for fault in ["ctap-slow", "bad-signature", "ctap-slow,nth=2"] {
            faults.switch_on(&a, fault.parse().unwrap()).unwrap();
        }
        assert!(faults.of(&a).any(Layer::Ctap));
        let off = faults.switch_off(&a, Some(&"ctap-slow,nth=3".parse().unwrap()));
        assert!(off.is_empty(), "none is written like this");
        let off = faults.switch_off(&a, Some(&Kind::CtapSlow.into()));
        assert_eq!(off.iter().map(|on| on.fault.to_string()).collect::<Vec<_>>(), ["ctap-slow", "ctap-slow,nth=2"]);
        assert!(!faults.of(&a).any(Layer::Ctap));
        assert_eq!(faults.on(&a).len(), 1);
        for _ in 1..MAX_FAULTS {
            faults.switch_on(&a, Kind::CtapSlow.into()).unwrap();
        }
        assert_eq!(faults.switch_on(&a, Kind::CtapSlow.into()), Err(CannotSwitchOn::TooMany));
        assert_eq!(faults.switch_off(&a, None).len(), MAX_FAULTS);
        assert!(faults.on(&a).is_empty());
    }

    #[test]
    fn what_could_never_happen_is_refused() {
        let refused = |absent: Absent, fault: &str| {
            let switched = Faults::new(None, absent).switch_on(&key("a"), fault.parse().unwrap());
            switched.map_err(|refused| matches!(refused, CannotSwitchOn::Nowhere(_)))
        };
        for (fault, by_usb, by_ctaphid, by_ctap) in [
            ("usb-stall-in", Ok(()), Err(true), Err(true)),
            ("ctaphid-slow", Ok(()), Ok(()), Err(true)),
            ("ctap-slow", Ok(()), Ok(()), Ok(())),
            ("bad-signature", Ok(()), Ok(()), Ok(())),
        ] {
            assert_eq!(refused(Absent::nothing(), fault), by_usb, "{fault}");
            assert_eq!(refused(Absent::usb(), fault), by_ctaphid, "{fault}");
            assert_eq!(refused(Absent::usb_and_ctaphid(), fault), by_ctap, "{fault}");
        }
    }
}
