//! The virtual authenticators of one session: a key of its rack each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyrig_authenticator::profile::VirtualProtocol;
use keyrig_client::large_blobs;
use keyrig_control::request::{
    Base64Url, Create, Credential, DeleteCredential, ExportCredentials, ImportCredential, MAX_TIMEOUT_MS,
    ReadLargeBlobs, Remove, Reset, SetBackup, SetUvPolicy, Touch, WriteLargeBlobs,
};
use keyrig_rack::KeyName;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::verification::UvPolicy;
use serde_json::{Map, Value};
use tokio::task::{AbortHandle, JoinHandle};

use crate::configuration::Configuration;
use crate::credential::{self, NewCredential, Properties};
use crate::error::{Code, WebDriverError};
use crate::keys::{Keys, Refused};
use crate::mode::Mode;

/// How many one session has at once.
const MOST: usize = 32;

/// The database of a session's virtual authenticators.
#[derive(Debug)]
pub struct Authenticators {
    keys: Keys,
    mode: Mode,
    all: Mutex<BTreeMap<String, Virtual>>,
}

#[derive(Debug)]
struct Virtual {
    key: KeyName,
    configuration: Configuration,
    /// Touches the key whenever it waits for it.
    _user: Option<User>,
}

/// Ends with the authenticator.
#[derive(Debug)]
struct User(AbortHandle);

impl Drop for User {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Authenticators {
    /// Of a session without any.
    #[must_use]
    pub fn new(keys: Keys, mode: Mode) -> Self {
        Self { keys, mode, all: Mutex::default() }
    }

    /// Add Virtual Authenticator (WebAuthn Level 3 §11.3): its id.
    ///
    /// # Errors
    /// [`WebDriverError`]: there is none more.
    pub async fn add(&self, parameters: &Map<String, Value>) -> Result<String, WebDriverError> {
        let configuration = Configuration::read(parameters, self.mode)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| WebDriverError::new(Code::UnknownError, format!("no random bytes: {error}")))?;
        let id = hex::encode(random);
        let key: KeyName = id.parse().map_err(|_| WebDriverError::new(Code::UnknownError, "no name for a key"))?;
        if self.all().len() >= MOST {
            return Err(WebDriverError::new(
                Code::UnsupportedOperation,
                format!("a session has {MOST} virtual authenticators at most: remove one"),
            ));
        }
        let create = Create {
            name: key.clone(),
            profile: None,
            virtual_authenticator: Some(configuration.authenticator.clone()),
            quirks: Vec::new(),
            enterprise_rps: Vec::new(),
            snapshot: None,
            pin: None,
            uv: configuration.authenticator.user_verification.then(|| policy(configuration.is_user_verified)),
            plugged: true,
        };
        // One that is not added leaves nothing behind, nor does whoever asked and has gone.
        let mut created = Created { keys: self.keys.clone(), key: Some(key.clone()) };
        let rack = self.keys.ask(create).await.map_err(failed)?;
        if !configuration.is_user_consenting && rack.touch != TouchPolicy::Manual {
            return Err(WebDriverError::new(
                Code::UnsupportedOperation,
                format!(
                    "isUserConsenting: the finger of this rack touches keys by itself (--touch {}): use manual",
                    rack.touch
                ),
            ));
        }
        created.key = None;
        let user = configuration.is_user_consenting.then(|| User(touch(self.keys.clone(), key.clone()).abort_handle()));
        self.all().insert(id.clone(), Virtual { key, configuration, _user: user });
        Ok(id)
    }

    /// Remove Virtual Authenticator.
    ///
    /// # Errors
    /// *invalid argument* if there is none.
    pub async fn remove(&self, id: &str) -> Result<(), WebDriverError> {
        let removed = self.all().remove(id).ok_or_else(|| unknown(id))?;
        self.keys.ask(Remove { key: removed.key }).await.map(drop).map_err(failed)
    }

    /// Removes all there are, as the session is over. What goes wrong is of a rack that has gone, too.
    pub(crate) async fn remove_all(&self) {
        let all = core::mem::take(&mut *self.all());
        for removed in all.into_values() {
            if let Err(error) = self.keys.ask(Remove { key: removed.key.clone() }).await {
                tracing::debug!(key = %removed.key, %error, "a virtual authenticator was not removed");
            }
        }
    }

    /// Add Credential.
    ///
    /// # Errors
    /// *invalid argument*: it was not added.
    pub async fn add_credential(&self, id: &str, parameters: &Map<String, Value>) -> Result<(), WebDriverError> {
        let NewCredential { mut credential, backup_eligibility, backup_state, large_blob } =
            NewCredential::read(parameters)?;
        let (key, configuration) = self.find(id)?;
        let authenticator = configuration.authenticator;
        if credential.user_id.is_some() && !authenticator.resident_keys {
            return Err(WebDriverError::argument(
                "isResidentCredential: the authenticator was added without hasResidentKey",
            ));
        }
        credential.backup_eligible = backup_eligibility.unwrap_or(authenticator.backup_eligible);
        credential.backup_state = backup_state.unwrap_or(authenticator.backup_state);
        // One that the authenticator cannot have is ignored, as the specification says.
        let has_large_blobs = authenticator.extensions.iter().any(|name| name == "largeBlob");
        let large_blob = large_blob.filter(|_| has_large_blobs);
        let stored = match large_blob {
            Some(blob) => {
                let mut random = [0; 32 + large_blobs::NONCE];
                getrandom::fill(&mut random)
                    .map_err(|error| WebDriverError::new(Code::UnknownError, format!("no random bytes: {error}")))?;
                let (blob_key, nonce) = random.split_at(32);
                credential.large_blob_key = Some(Base64Url(blob_key.to_vec()));
                let read = self.keys.ask(ReadLargeBlobs { key: key.clone() }).await.map_err(failed)?;
                let (Ok(blob_key), Ok(nonce)) = (blob_key.try_into(), nonce.try_into()) else {
                    return Err(WebDriverError::new(Code::UnknownError, "the lengths of keys and nonces differ"));
                };
                Some(large_blobs::with_blob(&read.array.0, blob_key, &blob, nonce))
            }
            None => None,
        };
        self.keys.ask(ImportCredential { key: key.clone(), credential }).await.map_err(refused)?;
        if let Some(array) = stored {
            self.keys.ask(WriteLargeBlobs { key, array: Base64Url(array) }).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Get Credentials.
    ///
    /// # Errors
    /// *invalid argument* if there is no such authenticator.
    pub async fn credentials(&self, id: &str) -> Result<Value, WebDriverError> {
        let (key, configuration) = self.find(id)?;
        let exported = self.export(&key, None).await?;
        let has_large_blobs = configuration.authenticator.extensions.iter().any(|name| name == "largeBlob");
        let array = match has_large_blobs {
            true => self.keys.ask(ReadLargeBlobs { key }).await.map_err(failed)?.array.0,
            false => Vec::new(),
        };
        let told = exported.iter().map(|one| {
            let blob_key = one.large_blob_key.as_ref().and_then(|key| key.0.as_slice().try_into().ok());
            let blob = blob_key.and_then(|key| large_blobs::blob(&array, key));
            credential::parameters(one, blob.as_deref())
        });
        Ok(told.collect())
    }

    /// Remove Credential.
    ///
    /// # Errors
    /// *invalid argument* if there is none.
    pub async fn remove_credential(&self, id: &str, credential: &str) -> Result<(), WebDriverError> {
        let (key, _) = self.find(id)?;
        let credential_id = credential::credential_id(credential)?;
        self.keys.ask(DeleteCredential { key, credential_id }).await.map(drop).map_err(refused)
    }

    /// Remove All Credentials.
    ///
    /// # Errors
    /// *invalid argument* if there is no such authenticator.
    pub async fn remove_all_credentials(&self, id: &str) -> Result<(), WebDriverError> {
        let (key, configuration) = self.find(id)?;
        if configuration.authenticator.protocol == VirtualProtocol::U2f {
            // Those that live in their key handles end with the secret of the key.
            return self.keys.ask(Reset { key }).await.map(drop).map_err(failed);
        }
        for one in self.export(&key, None).await? {
            let delete = DeleteCredential { key: key.clone(), credential_id: one.credential_id };
            self.keys.ask(delete).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Set User Verified.
    ///
    /// # Errors
    /// *invalid argument*.
    pub async fn set_user_verified(&self, id: &str, parameters: &Map<String, Value>) -> Result<(), WebDriverError> {
        let (key, configuration) = self.find(id)?;
        let is_user_verified = credential::is_user_verified(parameters)?;
        if configuration.authenticator.user_verification {
            self.verify_as(&key, is_user_verified).await?;
        }
        if let Some(known) = self.all().get_mut(id) {
            known.configuration.is_user_verified = is_user_verified;
        }
        Ok(())
    }

    /// Set Credential Properties.
    ///
    /// # Errors
    /// *invalid argument* if there is no such credential.
    pub async fn set_credential_properties(
        &self,
        id: &str,
        credential: &str,
        parameters: &Map<String, Value>,
    ) -> Result<(), WebDriverError> {
        let Properties { backup_eligibility, backup_state } = Properties::read(parameters)?;
        let (key, _) = self.find(id)?;
        let credential_id = credential::credential_id(credential)?;
        let before = self.export(&key, Some(credential_id.clone())).await?.pop();
        let before = before.ok_or_else(|| WebDriverError::argument("there is no such credential"))?;
        let backup_eligible = backup_eligibility.unwrap_or(before.backup_eligible);
        let backup_state = backup_state.unwrap_or(before.backup_state);
        if backup_state && !backup_eligible {
            return Err(WebDriverError::argument(
                "backupState without backupEligibility: what is backed up is eligible for it",
            ));
        }
        let set = SetBackup { key, credential_id, backup_eligible, backup_state };
        self.keys.ask(set).await.map(drop).map_err(refused)
    }

    async fn export(&self, key: &KeyName, credential_id: Option<Base64Url>) -> Result<Vec<Credential>, WebDriverError> {
        let export = ExportCredentials { key: key.clone(), credential_id, rp_id: None };
        self.keys.ask(export).await.map(|exported| exported.credentials).map_err(refused)
    }

    async fn verify_as(&self, key: &KeyName, is_user_verified: bool) -> Result<(), WebDriverError> {
        self.keys
            .ask(SetUvPolicy { key: key.clone(), policy: policy(is_user_verified) })
            .await
            .map(drop)
            .map_err(failed)
    }

    fn find(&self, id: &str) -> Result<(KeyName, Configuration), WebDriverError> {
        let all = self.all();
        let found = all.get(id).ok_or_else(|| unknown(id))?;
        Ok((found.key.clone(), found.configuration.clone()))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Virtual>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that is removed again unless it is kept.
struct Created {
    keys: Keys,
    key: Option<KeyName>,
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let keys = self.keys.clone();
            // It may not have come to be.
            tokio::spawn(async move { keys.ask(Remove { key }).await.map(drop).unwrap_or_default() });
        }
    }
}

/// Touches a key each time it waits for it, until it is gone.
fn touch(keys: Keys, key: KeyName) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let touch = Touch { key: key.clone(), wait: true, timeout_ms: MAX_TIMEOUT_MS };
            match keys.ask(touch).await {
                Ok(_) => {}
                Err(Refused { code, .. }) if code == "timed-out" => {}
                Err(refused) => {
                    tracing::debug!(%key, %refused, "nobody touches the key any more");
                    return;
                }
            }
        }
    })
}

/// Whom a key finds.
fn policy(is_user_verified: bool) -> UvPolicy {
    if is_user_verified { UvPolicy::Always } else { UvPolicy::Never }
}

fn unknown(id: &str) -> WebDriverError {
    let id: String = id.chars().take(64).collect();
    WebDriverError::argument(format!("this session has no virtual authenticator {id:?}"))
}

/// What the caller gave is wrong.
fn refused(refused: Refused) -> WebDriverError {
    match refused.code.as_str() {
        "no-such-credential"
        | "bad-credential"
        | "credential-exists"
        | "credential-refused"
        | "key-full"
        | "large-blobs-too-long" => WebDriverError::argument(refused.message),
        _ => failed(refused),
    }
}

/// Something is wrong here.
fn failed(refused: Refused) -> WebDriverError {
    WebDriverError::new(Code::UnknownError, format!("the rack of this session: {}", refused.message))
}
