//! Users and their credentials, in memory and within bounds.
//!
//! A user comes into being with the first credential: before that there is nothing to remember.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use webauthn_rs::prelude::{AuthenticationResult, Credential, CredentialID, SecurityKey, Uuid};

use crate::refusal::Refusal;

/// How many users there can be.
pub const MAX_USERS: usize = 4096;

/// How many credentials a user can have. Firefox stops at 20 in one login: there is room to see that happen.
pub const MAX_CREDENTIALS_PER_USER: usize = 32;

const MAX_USER_NAME_BYTES: usize = 64;
const MAX_CREDENTIAL_NAME_BYTES: usize = 64;

/// A credential as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialView {
    /// The credential ID in base64url without padding.
    pub id: String,
    /// The name its user gave it, or `key 1`, `key 2` and so on.
    pub name: String,
    /// When it was registered, in seconds since 1970.
    pub created: u64,
    /// When it last logged in, in seconds since 1970.
    pub last_used: Option<u64>,
    /// The signature counter as of its registration or last login.
    pub counter: u32,
}

#[derive(Default)]
pub(crate) struct Users {
    by_name: HashMap<String, User>,
    owners: HashMap<CredentialID, String>,
}

pub(crate) struct User {
    /// WebAuthn's user handle: random, the same for all of the user's credentials (Level 3, §14.6.1).
    pub(crate) id: Uuid,
    pub(crate) credentials: Vec<Record>,
}

/// The credential record (WebAuthn Level 3, §4) and what the user sees of it.
pub(crate) struct Record {
    pub(crate) key: SecurityKey,
    name: String,
    created: SystemTime,
    last_used: Option<SystemTime>,
}

impl Record {
    pub(crate) fn credential(&self) -> Credential {
        self.key.clone().into()
    }

    pub(crate) fn view(&self) -> CredentialView {
        CredentialView {
            id: URL_SAFE_NO_PAD.encode(self.key.cred_id()),
            name: self.name.clone(),
            created: unix_seconds(self.created),
            last_used: self.last_used.map(unix_seconds),
            counter: self.credential().counter,
        }
    }
}

impl Users {
    pub(crate) fn get(&self, user: &str) -> Option<&User> {
        self.by_name.get(user)
    }

    /// The name of the user a credential is registered to.
    pub(crate) fn owner(&self, credential: &[u8]) -> Option<&str> {
        self.owners.get(credential).map(String::as_str)
    }

    pub(crate) fn record(&self, user: &str, credential: &[u8]) -> Option<&Record> {
        self.get(user)?.credentials.iter().find(|record| record.key.cred_id() == credential)
    }

    /// Whether the user can be given one more credential.
    pub(crate) fn check_room(&self, user: &str) -> Result<(), Refusal> {
        match self.get(user) {
            None if self.by_name.len() >= MAX_USERS => Err(Refusal::TooManyUsers),
            Some(found) if found.credentials.len() >= MAX_CREDENTIALS_PER_USER => {
                Err(Refusal::TooManyCredentials { user: user.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Gives the user a credential that nobody has, and makes the user if need be.
    pub(crate) fn register(
        &mut self,
        user: &str,
        user_id: Uuid,
        key: SecurityKey,
        name: Option<String>,
        now: SystemTime,
    ) -> Result<CredentialView, Refusal> {
        if let Some(owner) = self.owner(key.cred_id()) {
            return Err(Refusal::AlreadyRegistered { to_same_user: owner == user });
        }
        self.check_room(user)?;
        let credentials = self.get(user).map_or(0, |user| user.credentials.len());
        let name = name.unwrap_or_else(|| format!("key {}", credentials + 1));
        let record = Record { key, name, created: now, last_used: None };
        let view = record.view();
        self.owners.insert(record.key.cred_id().clone(), user.to_owned());
        let user = self.by_name.entry(user.to_owned());
        user.or_insert_with(|| User { id: user_id, credentials: Vec::new() }).credentials.push(record);
        Ok(view)
    }

    /// Updates the credential record after a login that was verified.
    ///
    /// The counter is compared with the record as it is now: another login may have finished since this one began, and
    /// webauthn-rs knows the record only as it was then.
    pub(crate) fn log_in(
        &mut self,
        user: &str,
        result: &AuthenticationResult,
        now: SystemTime,
    ) -> Result<CredentialView, Refusal> {
        let record = self
            .by_name
            .get_mut(user)
            .and_then(|user| user.credentials.iter_mut().find(|record| record.key.cred_id() == result.cred_id()));
        let record = record.ok_or(Refusal::UnknownCredential { registered_to_another_user: false })?;
        let (stored, found) = (record.credential().counter, result.counter());
        if found <= stored && (found, stored) != (0, 0) {
            return Err(Refusal::CounterRegression { stored, found });
        }
        record.key.update_credential(result);
        record.last_used = Some(now);
        Ok(record.view())
    }
}

/// User names are 1 to 64 of the characters that account names and mail addresses use.
pub(crate) fn check_user_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'+');
    if (1..=MAX_USER_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(Refusal::BadUserName)
    }
}

/// Names of credentials are 1 to 64 bytes of any text without control characters.
pub(crate) fn check_credential_name(name: &str) -> Result<(), Refusal> {
    if (1..=MAX_CREDENTIAL_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Refusal::BadCredentialName)
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}
