//! What a relying party signals of its credentials, once that has come to the authenticator that holds them (WebAuthn Level 3 §5.1.10).

use super::Act;
use crate::authenticator::Authenticator;
use crate::credential::{Discoverable, StoredCredential};
use crate::store::Change;

/// A signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The relying party knows no credential with this id.
    UnknownCredential(Vec<u8>),
    /// Of a user's credentials it accepts these, and no others.
    AllAcceptedCredentials {
        /// The user handle.
        user_id: Vec<u8>,
        /// The ids of the credentials.
        accepted: Vec<Vec<u8>>,
    },
    /// What a user is called now.
    CurrentUserDetails {
        /// The user handle.
        user_id: Vec<u8>,
        /// `user.name`.
        name: String,
        /// `user.displayName`.
        display_name: String,
    },
}

impl Signal {
    /// Whether the relying party is done with a credential of its own. What a user has are discoverable ones: others name nobody.
    fn ends(&self, credential: &StoredCredential) -> bool {
        match self {
            Self::UnknownCredential(id) => credential.id == *id,
            Self::AllAcceptedCredentials { user_id, accepted } => {
                is_of(credential, user_id) && !accepted.contains(&credential.id)
            }
            Self::CurrentUserDetails { .. } => false,
        }
    }
}

fn is_of(credential: &StoredCredential, user_id: &[u8]) -> bool {
    credential.discoverable.as_ref().is_some_and(|discoverable| discoverable.user.id == user_id)
}

impl Authenticator {
    /// Deletes the credentials with which a relying party is done, or changes the names of their user, as far as there are any.
    pub fn signal(&mut self, relying_party_id: &str, signal: &Signal) -> Act<()> {
        let own: Vec<_> = self
            .store()
            .credentials()
            .filter(|credential| credential.relying_party_id == relying_party_id)
            .cloned()
            .collect();
        let mut changes = Vec::new();
        let mut is_told = false;
        for mut credential in own {
            if signal.ends(&credential) {
                is_told |= credential.discoverable.is_some();
                changes.push(Change::Remove(credential.id));
            } else if let Signal::CurrentUserDetails { user_id, name, display_name } = signal
                && is_of(&credential, user_id)
                && let Some(Discoverable { user, .. }) = &mut credential.discoverable
            {
                let kept = |name: &String| self.profile.behaviour.kept(name.clone());
                (user.name, user.display_name) = (Some(kept(name)), Some(kept(display_name)));
                is_told = true;
                changes.push(Change::Put(credential));
            }
        }
        if is_told {
            changes.push(Change::new_credential_store_state(self.environment.as_mut()));
        }
        Act::new(changes, |_| ())
    }
}
