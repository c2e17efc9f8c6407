//! Passwords: Argon2id, off the threads that serve, and never more at once than the machine has cores.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::{PasswordHash as Phc, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rusqlite::Connection;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::random;
use crate::store::StoreError;
use crate::users::{self, UserId};

/// The shortest password that can be set, bytes: NIST SP 800-63B-4, section 3.1.1.2, for one that is used with a second
/// factor.
pub const MIN_PASSWORD_BYTES: usize = 8;

/// The longest password, bytes.
pub const MAX_PASSWORD_BYTES: usize = 512;

/// How many passwords wait for their turn before others are turned away.
const MAX_WAITING: usize = 512;

/// How much it costs to compute a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCost {
    /// 19 MiB, two passes: the first choice of OWASP's Password Storage Cheat Sheet for Argon2id.
    Full,
    /// Next to nothing. For tests and for measuring everything else: hashes made so are as good as none.
    DangerNone,
}

/// A password's hash as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password that can't be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")]
pub struct InvalidPassword;

/// More passwords are waiting to be checked than this machine can do in reasonable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked; try again in a moment")]
pub(crate) struct Busy;

impl PasswordHash {
    /// The hash of a password that is being set. Takes its time: not for threads that serve.
    ///
    /// # Errors
    /// [`InvalidPassword`] if it is too short or too long.
    pub fn new(password: &str, cost: PasswordCost) -> Result<Self, InvalidPassword> {
        if !(MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            return Err(InvalidPassword);
        }
        hash(password, cost).ok_or(InvalidPassword)
    }

    pub(crate) fn from_store(phc: String) -> Self {
        Self(phc)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

fn hash(password: &str, cost: PasswordCost) -> Option<PasswordHash> {
    let parameters = match cost {
        PasswordCost::Full => Params::new(19 * 1024, 2, 1, None),
        PasswordCost::DangerNone => Params::new(Params::MIN_M_COST, 1, 1, None),
    };
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.ok()?);
    let salt = SaltString::encode_b64(&random::bytes::<16>()).ok()?;
    let phc = argon2.hash_password(password.as_bytes(), &salt).ok()?;
    Some(PasswordHash(phc.to_string()))
}

/// The outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    Right,
    Wrong,
    /// The stored hash can't be read: nobody can have this password, and somebody should know.
    Unreadable,
}

/// The outcome, and what was compared with: that may have been replaced while it took its time.
pub(crate) struct Compared {
    verified: Verified,
    with: Option<PasswordHash>,
}

impl Compared {
    pub(crate) fn verified(&self) -> Verified {
        self.verified
    }

    /// Whether there was a password to compare with.
    pub(crate) fn had_password(&self) -> bool {
        self.with.is_some()
    }

    /// Whether the user's password is still the one that was compared with.
    pub(crate) fn still_holds(&self, connection: &Connection, user: UserId) -> Result<bool, StoreError> {
        Ok(users::local_password(connection, user)? == self.with)
    }
}

/// Where passwords are compared.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Compared with where there is no hash, so that an answer takes as long as one with.
    dummy: PasswordHash,
}

impl Passwords {
    pub(crate) fn new(cost: PasswordCost) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        // The parameters are constants that the library takes, and so is the salt's length.
        let dummy = hash(&random::token(), cost).unwrap_or_else(|| PasswordHash(String::new()));
        Self { turns: Arc::new(Semaphore::new(cores)), waiting: Arc::new(Semaphore::new(cores + MAX_WAITING)), dummy }
    }

    /// The hash of a password that is being set.
    pub(crate) async fn hash(
        &self,
        password: Zeroizing<String>,
        cost: PasswordCost,
    ) -> Result<Result<PasswordHash, InvalidPassword>, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Busy)?;
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            PasswordHash::new(&password, cost)
        });
        hashed.await.map_err(|_| Busy)
    }

    /// Whether a password is the one of a stored hash. Without a hash the answer is no, after the same time.
    pub(crate) async fn compare(
        &self,
        password: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<Compared, Busy> {
        let verified = self.verify(password, hash.clone()).await?;
        Ok(Compared { verified, with: hash })
    }

    async fn verify(&self, password: Zeroizing<String>, hash: Option<PasswordHash>) -> Result<Verified, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        // It is never closed.
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Busy)?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let compared = tokio::task::spawn_blocking(move || {
            // Until the computation ends, even if nobody waits for it any more.
            let _turn = turn;
            let Ok(phc) = Phc::new(hash.as_str()) else {
                return Verified::Unreadable;
            };
            // No password that can be set is longer: what is longer is wrong, at the price of a shorter one.
            let password = password.as_bytes();
            let password = password.get(..MAX_PASSWORD_BYTES + 1).unwrap_or(password);
            match Argon2::default().verify_password(password, &phc) {
                Ok(()) if known => Verified::Right,
                Ok(()) | Err(argon2::password_hash::Error::Password) => Verified::Wrong,
                Err(_) => Verified::Unreadable,
            }
        });
        // It ends otherwise only with the runtime.
        Ok(compared.await.unwrap_or(Verified::Unreadable))
    }
}

#[cfg(test)]
mod tests;
