//! The keys of a rack as they come and go, for who gives each of them a place: an endpoint, a port of a kernel, a node.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::key::KeyHandle;
use crate::key_name::KeyName;

/// A key that is in a rack.
#[derive(Clone, Debug)]
pub struct RackKey {
    /// Its name.
    pub name: KeyName,
    /// Its port, as the rack's exports know it.
    pub busid: String,
    /// The way to it.
    pub handle: KeyHandle,
    /// Whether it is a device: one that is on no USB is for clients that send it messages.
    pub(super) on_usb: bool,
    /// The how manieth of its rack it is, those that are gone included: a key that comes later has a higher one.
    pub(super) serial: u64,
}

/// What became of a key.
#[derive(Debug)]
pub enum Change {
    /// It has come to the rack, plugged in or not.
    Came(RackKey),
    /// It has left the rack.
    Went(RackKey),
}

/// Follows the keys of a rack, but for those that are on no USB. A command that creates or removes a key is answered when all who follow have asked for what comes next:
/// so that a key is where programs look for it. Keys last as long as who follows them.
#[derive(Debug)]
pub struct Following {
    roll: watch::Receiver<Roll>,
    known: Vec<RackKey>,
    /// The latest that was known.
    last: u64,
    seen: watch::Sender<u64>,
}

impl Following {
    /// The keys, as far as they were told of.
    #[must_use]
    pub fn keys(&self) -> &[RackKey] {
        &self.known
    }

    /// Waits for the next change; `None` when the rack has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.change() {
                Ok(change) => return Some(change),
                Err(version) => drop(self.seen.send_replace(version)),
            }
            self.roll.changed().await.ok()?;
        }
    }

    /// The next change, or up to which version there is none.
    fn change(&mut self) -> Result<Change, u64> {
        let roll = self.roll.borrow_and_update();
        let is_in = |key: &RackKey| roll.keys.binary_search_by_key(&key.serial, |other| other.serial).is_ok();
        if let Some(gone) = self.known.iter().position(|key| !is_in(key)) {
            return Ok(Change::Went(self.known.remove(gone)));
        }
        let begin = roll.keys.partition_point(|key| key.serial <= self.last);
        let mut later = roll.keys.iter().skip(begin);
        let new = later.find(|key| key.on_usb).ok_or(roll.version)?;
        self.last = new.serial;
        self.known.push(new.clone());
        Ok(Change::Came(new.clone()))
    }
}

#[derive(Debug, Default)]
struct Roll {
    version: u64,
    /// By their serial numbers.
    keys: Vec<RackKey>,
}

/// The keys, and who follows them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    roll: watch::Sender<Roll>,
    followers: Mutex<Vec<watch::Receiver<u64>>>,
}

impl Keys {
    pub(super) fn add(&self, key: RackKey) {
        self.roll.send_modify(|roll| {
            roll.version += 1;
            roll.keys.push(RackKey { serial: roll.version, ..key });
        });
    }

    pub(super) fn remove(&self, name: &KeyName) {
        self.change(|keys| keys.retain(|key| key.name != *name));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<RackKey>)) {
        self.roll.send_modify(|roll| {
            roll.version += 1;
            change(&mut roll.keys);
        });
    }

    pub(super) fn key(&self, name: &KeyName) -> Option<KeyHandle> {
        self.roll.borrow().keys.iter().find(|key| key.name == *name).map(|key| key.handle.clone())
    }

    pub(super) fn busid(&self, name: &KeyName) -> Option<String> {
        self.roll.borrow().keys.iter().find(|key| key.name == *name).map(|key| key.busid.clone())
    }

    pub(super) fn names(&self) -> Vec<KeyName> {
        self.roll.borrow().keys.iter().map(|key| key.name.clone()).collect()
    }

    pub(super) fn follow(&self) -> Following {
        let mut roll = self.roll.subscribe();
        let (version, known): (_, Vec<RackKey>) = {
            let roll = roll.borrow_and_update();
            (roll.version, roll.keys.iter().filter(|key| key.on_usb).cloned().collect())
        };
        let last = known.last().map_or(0, |key| key.serial);
        let seen = watch::Sender::new(version);
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).push(seen.subscribe());
        Following { roll, known, last, seen }
    }

    /// Waits until all who follow have seen to what there is now.
    pub(super) async fn seen(&self) {
        let version = self.roll.borrow().version;
        let followers = {
            let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
            followers.retain(|follower| follower.has_changed().is_ok());
            followers.clone()
        };
        for mut follower in followers {
            // One that has gone meanwhile sees nothing any more.
            let _ = follower.wait_for(|seen| *seen >= version).await;
        }
    }
}

impl Drop for Keys {
    /// They do not last because somebody follows them.
    fn drop(&mut self) {
        self.change(Vec::clear);
    }
}
