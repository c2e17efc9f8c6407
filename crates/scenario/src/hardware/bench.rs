//! What it takes to run scenarios on keys that people have: who has them in hand, what they are called, what may be done to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyrig_ways::HidKey;

use super::identity::Identity;
use super::lab::{Lab, LabKey};
use super::person::Person;

/// What it takes. Clones are one: a key that was told apart in one scenario is known in the next.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Who is asked for what no command does.
    pub person: Arc<dyn Person>,
    /// The lab's keys, and the file that has them.
    pub lab: Option<(PathBuf, Lab)>,
    /// The keys on which what is there may be destroyed: reset, changed PINs, credentials that are stored or deleted.
    pub destructible: Vec<String>,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

/// A key that was told apart.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it was found when it was plugged in last.
    pub key: HidKey,
    /// What it says of itself.
    pub identity: Identity,
    /// Its PIN, as far as it was told.
    pub pin: Option<String>,
}

impl Bench {
    /// With nothing known yet.
    #[must_use]
    pub fn new(person: Arc<dyn Person>, lab: Option<(PathBuf, Lab)>, destructible: Vec<String>) -> Self {
        Self { person, lab, destructible, known: Arc::default() }
    }

    /// What the lab has of a key.
    #[must_use]
    pub fn of_lab(&self, name: &str) -> Option<&LabKey> {
        self.lab.as_ref().and_then(|(_, lab)| lab.key.get(name))
    }

    /// A file that the lab names, which is beside the lab's own unless its path is whole.
    #[must_use]
    pub fn beside_lab(&self, file: &Path) -> PathBuf {
        let folder = self.lab.as_ref().and_then(|(lab, _)| lab.parent());
        folder.map_or_else(|| file.to_owned(), |folder| folder.join(file))
    }

    /// Whether what is on a key may be destroyed.
    #[must_use]
    pub fn may_destroy(&self, name: &str) -> bool {
        self.destructible.iter().any(|allowed| allowed == name)
    }

    /// What is known of a key.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Known> {
        self.all().get(name).cloned()
    }

    /// Remembers a key.
    pub fn remember(&self, name: &str, known: Known) {
        self.all().insert(name.to_owned(), known);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
