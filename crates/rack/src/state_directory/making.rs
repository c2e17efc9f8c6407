//! Keys that a process makes in a state directory: several at once, while no other process makes one.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key_name::KeyName;

/// What is being made. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Making(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Those that are being made.
    names: BTreeSet<KeyName>,
    /// The directory's, held while any is made.
    lock: Option<File>,
    /// Whether there were keys before the first that was made.
    had_others: Option<bool>,
}

/// A key that is being made: its name is kept, and other processes are kept out, until it is dropped.
pub(super) struct Made {
    making: Making,
    name: KeyName,
    /// Whether there were keys before the first that was made.
    pub(super) had_others: bool,
}

impl Making {
    /// Begins to make a key; `None` if it is being made already. `lock` keeps other processes out, and `others` says whether there are keys.
    pub(super) fn begin<E>(
        &self,
        name: &KeyName,
        lock: impl FnOnce() -> Result<File, E>,
        others: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Option<Made>, E> {
        let mut state = self.state();
        if state.lock.is_none() {
            state.lock = Some(lock()?);
        }
        // From here on the lock is let go with the last that is made.
        let kept = state.names.insert(name.clone());
        let known = state.had_others;
        drop(state);
        if !kept {
            return Ok(None);
        }
        let mut made = Made { making: self.clone(), name: name.clone(), had_others: false };
        let had_others = match known {
            Some(known) => known,
            None => others()?,
        };
        // One that was made meanwhile is none of the others.
        made.had_others = *self.state().had_others.get_or_insert(had_others);
        Ok(Some(made))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let mut state = self.making.state();
        state.names.remove(&self.name);
        if state.names.is_empty() {
            state.lock = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_while_any_key_is_made_and_a_name_is_made_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lock = || {
            let file = File::open(file.path())?;
            file.try_lock().map(|()| file).map_err(std::io::Error::other)
        };
        let is_held = || lock().is_err();
        let name = |name: &str| name.parse::<KeyName>().unwrap();
        let making = Making::default();
        let begin = |of: &str, others| making.begin(&name(of), lock, || Ok::<_, std::io::Error>(others)).unwrap();
        assert!(!is_held());
        let first = begin("a", false).unwrap();
        assert!(is_held() && begin("a", false).is_none());
        let second = begin("b", true).unwrap();
        assert!(!second.had_others, "the first of them is none of the others");
        drop(first);
        assert!(is_held(), "the second is still made");
        drop(second);
        assert!(!is_held());
    }
}
