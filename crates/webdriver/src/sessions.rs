//! The sessions there are, and how those ended that were there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::authenticators::Authenticators;
use crate::driver::Driver;
use crate::error::{Code, WebDriverError};
use crate::forward::Address;
use crate::pages::Pages;

/// Of how many that are over it is known how they ended.
const REMEMBERED: usize = 64;

/// A session of a driver.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where its driver listens.
    pub(crate) address: Address,
    /// The driver, if it was started for this session.
    pub(crate) driver: Option<Driver>,
    /// Its virtual authenticators, unless they are the driver's own.
    pub(crate) authenticators: Option<Authenticators>,
    /// What its pages get, if no key reaches its browser.
    pub(crate) pages: Option<Pages>,
}

impl Session {
    /// Removes the keys that were added, as it is to end.
    pub(crate) async fn remove_keys(&self) {
        if let Some(authenticators) = &self.authenticators {
            authenticators.remove_all().await;
        }
    }

    /// Ends what there is for it.
    pub(crate) async fn stop(&self) {
        self.remove_keys().await;
        if let Some(driver) = &self.driver {
            driver.stop().await;
        }
    }
}

/// All of them, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<String, Arc<Session>>,
    over: VecDeque<(String, String)>,
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.known().sessions.len()
    }

    /// The session, or how it ended.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Session>, WebDriverError> {
        let known = self.known();
        if let Some(session) = known.sessions.get(id) {
            return Ok(session.clone());
        }
        let over = known.over.iter().find(|(over, _)| over == id).map(|(_, how)| how.clone());
        let id: String = id.chars().take(64).collect();
        let message = match over {
            Some(how) => format!("the session {id} is over: {how}"),
            None => format!("there is no session {id:?} here"),
        };
        Err(WebDriverError::new(Code::InvalidSessionId, message))
    }

    /// Adds one. Of two of a name, the one that was there goes on.
    pub(crate) fn add(&self, id: String, session: Arc<Session>) -> Result<(), WebDriverError> {
        match self.known().sessions.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => Err(WebDriverError::new(
                Code::SessionNotCreated,
                format!("the driver gave the id {} to two sessions", entry.key()),
            )),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(session);
                Ok(())
            }
        }
    }

    /// Takes one out, and remembers how it ended.
    pub(crate) fn take(&self, id: &str, how: &str) -> Option<Arc<Session>> {
        let mut known = self.known();
        let taken = known.sessions.remove(id)?;
        if known.over.len() == REMEMBERED {
            known.over.pop_front();
        }
        known.over.push_back((id.to_owned(), how.to_owned()));
        Some(taken)
    }

    pub(crate) fn take_all(&self) -> Vec<Arc<Session>> {
        self.known().sessions.drain().map(|(_, session)| session).collect()
    }
}
