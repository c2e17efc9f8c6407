//! Ceremonies under way: each has one challenge, for one purpose and one user, that can be answered once and not for
//! ever.
//!
//! webauthn-rs leaves all of this to its caller: it accepts the same state twice and never looks at its age.
//!
//! The number kept is bounded. A user who begins too many loses the oldest, which is the one least likely to be
//! answered (a page loaded again, a client that gave up). When all users together begin too many, new ones are refused
//! instead: nobody can push out what others have begun.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use webauthn_rs::prelude::{SecurityKeyAuthentication, SecurityKeyRegistration, Uuid};

use crate::refusal::{Purpose, Refusal};

/// How many ceremonies of one user are kept; beginning another drops the oldest.
pub const MAX_CEREMONIES_PER_USER: usize = 32;

/// How many ceremonies are kept in all; beginning another is refused until one is finished or expires.
pub const MAX_CEREMONIES: usize = 2048;

#[derive(Default)]
pub(crate) struct Ceremonies {
    pending: HashMap<Uuid, Entry>,
    begun: u64,
}

struct Entry {
    number: u64,
    began: SystemTime,
    ceremony: Ceremony,
}

/// A ceremony between its begin and its finish.
pub(crate) struct Ceremony {
    pub(crate) user: String,
    pub(crate) challenge: Vec<u8>,
    pub(crate) state: CeremonyState,
}

pub(crate) enum CeremonyState {
    /// `user_id` is WebAuthn's user handle, fixed here for a user who does not exist before the registration succeeds.
    Registration {
        state: Box<SecurityKeyRegistration>,
        user_id: Uuid,
    },
    Login {
        state: Box<SecurityKeyAuthentication>,
    },
}

impl CeremonyState {
    pub(crate) fn purpose(&self) -> Purpose {
        match self {
            Self::Registration { .. } => Purpose::Registration,
            Self::Login { .. } => Purpose::Login,
        }
    }
}

impl Ceremonies {
    /// Keeps a ceremony and returns its identifier.
    pub(crate) fn begin(&mut self, ceremony: Ceremony, now: SystemTime, lifetime: Duration) -> Result<String, Refusal> {
        let of_user = self.pending.iter().filter(|(_, entry)| entry.ceremony.user == ceremony.user);
        if of_user.clone().count() >= MAX_CEREMONIES_PER_USER {
            let oldest = of_user.min_by_key(|(_, entry)| entry.number).map(|(id, _)| *id);
            oldest.and_then(|id| self.pending.remove(&id));
        }
        // What has expired is kept while there is room, so that a late answer hears why it is refused.
        if self.pending.len() >= MAX_CEREMONIES {
            self.pending.retain(|_, entry| !is_expired(entry, now, lifetime));
        }
        if self.pending.len() >= MAX_CEREMONIES {
            return Err(Refusal::TooManyCeremonies);
        }
        let id = Uuid::new_v4();
        self.begun += 1;
        self.pending.insert(id, Entry { number: self.begun, began: now, ceremony });
        Ok(id.simple().to_string())
    }

    /// Takes a ceremony out for its one and only finish.
    pub(crate) fn take(&mut self, id: &str, now: SystemTime, lifetime: Duration) -> Result<Ceremony, Refusal> {
        let entry = id.parse().ok().and_then(|id: Uuid| self.pending.remove(&id)).ok_or(Refusal::UnknownCeremony)?;
        if is_expired(&entry, now, lifetime) {
            return Err(Refusal::ExpiredChallenge { lifetime });
        }
        Ok(entry.ceremony)
    }

    /// The user handle that a registration under way has promised to a user who does not exist yet: a second one has to
    /// promise the same, for either may succeed.
    pub(crate) fn promised_user_id(&self, user: &str) -> Option<Uuid> {
        self.pending.values().find_map(|entry| match entry.ceremony.state {
            CeremonyState::Registration { user_id, .. } if entry.ceremony.user == user => Some(user_id),
            _ => None,
        })
    }
}

fn is_expired(entry: &Entry, now: SystemTime, lifetime: Duration) -> bool {
    now.duration_since(entry.began).is_ok_and(|age| age >= lifetime)
}
