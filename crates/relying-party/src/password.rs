//! Passwords: Argon2id, off the threads that serve, never more at once than the machine has cores, and in memory that is
//! used again.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use argon2::password_hash::{Output, ParamsString, PasswordHash as Phc, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::directory::{DirectoryAnswer, DirectoryUnavailable};
use crate::random::{self, Randomness};
use crate::turns::{Asker, Busy, Failures, Places, Turns};

/// The shortest password that can be set, bytes: NIST SP 800-63B-4, section 3.1.1.2, for one that is used with a second
/// factor.
pub const MIN_PASSWORD_BYTES: usize = 8;

/// The longest password, bytes.
pub const MAX_PASSWORD_BYTES: usize = 512;

/// What a hash may cost to compute: as many blocks of 1 KiB, and blocks times passes. Hashes that are made here are at the
/// bound, as are the other choices of OWASP's Password Storage Cheat Sheet.
const MAX_BLOCKS: u32 = 19 * 1024;
const MAX_BLOCKS_AND_PASSES: u64 = 2 * 19 * 1024;

/// How much it costs to compute a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCost {
    /// 19 MiB, two passes: the first choice of OWASP's Password Storage Cheat Sheet for Argon2id.
    Full,
    /// Next to nothing. For tests and for measuring everything else: hashes made so are as good as none.
    DangerNone,
}

/// A password's hash as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes")]
pub struct InvalidPassword;

impl PasswordHash {
    /// The hash of a password that is being set. Takes its time: not for threads that serve.
    ///
    /// # Errors
    /// [`InvalidPassword`] if it is too short or too long.
    pub fn new(password: &str, cost: PasswordCost, random: &dyn Randomness) -> Result<Self, InvalidPassword> {
        Self::computed_in(&mut Vec::new(), password, cost, random)
    }

    fn computed_in(
        memory: &mut Vec<Block>,
        password: &str,
        cost: PasswordCost,
        random: &dyn Randomness,
    ) -> Result<Self, InvalidPassword> {
        if !(MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            return Err(InvalidPassword);
        }
        hash(memory, password, cost, random).ok_or(InvalidPassword)
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

fn hash(memory: &mut Vec<Block>, password: &str, cost: PasswordCost, random: &dyn Randomness) -> Option<PasswordHash> {
    let parameters = match cost {
        PasswordCost::Full => Params::new(MAX_BLOCKS, 2, 1, None),
        PasswordCost::DangerNone => Params::new(Params::MIN_M_COST, 1, 1, None),
    };
    let parameters = parameters.ok()?;
    let salt_bytes = random::bytes::<16>(random);
    let salt = SaltString::encode_b64(&salt_bytes).ok()?;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    compute(memory, password.as_bytes(), &salt_bytes, parameters.clone(), Version::V0x13, &mut output)?;
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&parameters).ok()?,
        salt: Some(salt.as_salt()),
        hash: Output::new(&output).ok(),
    };
    Some(PasswordHash(phc.to_string()))
}

/// Fills `output`; `None` if the library does not take the lengths.
fn compute(
    memory: &mut Vec<Block>,
    password: &[u8],
    salt: &[u8],
    parameters: Params,
    version: Version,
    output: &mut [u8],
) -> Option<()> {
    let blocks = parameters.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, version, parameters);
    argon2.hash_password_into_with_memory(password, salt, output, memory.get_mut(..blocks)?).ok()
}

/// Whether a password is the one of a hash; `None` if the hash cannot be read, or costs more than any that is made here.
fn is_right(memory: &mut Vec<Block>, password: &str, hash: &PasswordHash) -> Option<bool> {
    let phc = Phc::new(hash.as_str()).ok()?;
    if Algorithm::try_from(phc.algorithm).ok()? != Algorithm::Argon2id {
        return None;
    }
    let version = phc.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let parameters = Params::try_from(&phc).ok()?;
    if parameters.m_cost() > MAX_BLOCKS
        || u64::from(parameters.m_cost()) * u64::from(parameters.t_cost()) > MAX_BLOCKS_AND_PASSES
    {
        return None;
    }
    let mut salt = [0; 64];
    let salt = phc.salt?.decode_b64(&mut salt).ok()?;
    let expected = phc.hash?;
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..expected.len())?;
    // No password that can be set is longer: what is longer is wrong, at the price of a shorter one.
    let password = password.as_bytes();
    let password = password.get(..MAX_PASSWORD_BYTES + 1).unwrap_or(password);
    compute(memory, password, salt, parameters, version, output)?;
    Some(output.ct_eq(expected.as_bytes()).into())
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    Right,
    Wrong,
    /// The stored hash cannot be read: nobody can have this password, and somebody should know.
    Unreadable,
}

/// The outcome, and what was compared with: that may have been replaced while it took its time.
pub(crate) enum Compared {
    WithHash { verified: Verified, with: Option<PasswordHash> },
    ByDirectory(Result<DirectoryAnswer, DirectoryUnavailable>),
}

impl Compared {
    pub(crate) fn verified(&self) -> Verified {
        match self {
            Self::WithHash { verified, .. } => *verified,
            Self::ByDirectory(Ok(DirectoryAnswer::Right)) => Verified::Right,
            Self::ByDirectory(Ok(_)) => Verified::Wrong,
            Self::ByDirectory(Err(_)) => Verified::Unreadable,
        }
    }

    /// What a directory said.
    pub(crate) fn of_directory(&self) -> Option<DirectoryAnswer> {
        match self {
            Self::ByDirectory(Ok(answer)) => Some(*answer),
            _ => None,
        }
    }

    /// Why there is no outcome, if a directory gave no answer.
    pub(crate) fn unavailable(&self) -> Option<&DirectoryUnavailable> {
        match self {
            Self::ByDirectory(Err(unavailable)) => Some(unavailable),
            _ => None,
        }
    }

    /// Whether there was a password to compare with.
    pub(crate) fn had_password(&self) -> bool {
        !matches!(self, Self::WithHash { with: None, .. })
    }

    /// Whether what is stored now is still what was compared with. A directory keeps its passwords to itself.
    pub(crate) fn still_holds(&self, stored: Option<&PasswordHash>) -> bool {
        match self {
            Self::WithHash { with, .. } => stored == with.as_ref(),
            Self::ByDirectory(answer) => answer.is_ok(),
        }
    }
}

/// What Argon2 computes in. An allocator that gets blocks of this size back, from several threads, keeps them: so they are
/// never given back, and there are as many as were ever used at once.
#[derive(Default)]
struct Memory {
    idle: Mutex<Vec<Vec<Block>>>,
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = idle().pop().unwrap_or_default();
        let done = work(&mut memory);
        idle().push(memory);
        done
    }
}

/// Where passwords are compared.
pub(crate) struct Passwords {
    turns: Arc<Turns>,
    memory: Arc<Memory>,
    /// Compared with where there is no hash, so that an answer takes as long as one with.
    dummy: PasswordHash,
    random: Arc<dyn Randomness>,
}

impl Passwords {
    pub(crate) fn new(
        cost: PasswordCost,
        places: Places,
        failures: Arc<Failures>,
        random: Arc<dyn Randomness>,
    ) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let memory = Memory::default();
        // The parameters are constants that the library takes, and so is the salt's length.
        let dummy = memory.with(|memory| hash(memory, &random::token(&*random), cost, &*random));
        let dummy = dummy.unwrap_or_else(|| PasswordHash(String::new()));
        Self { turns: Turns::new(cores, places, failures), memory: Arc::new(memory), dummy, random }
    }

    /// The hash of a password that is being set.
    pub(crate) async fn hash(
        &self,
        password: Zeroizing<String>,
        cost: PasswordCost,
    ) -> Result<Result<PasswordHash, InvalidPassword>, Busy> {
        let turn = self.turns.take(&Asker::default()).await?;
        let (memory, random) = (self.memory.clone(), self.random.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            memory.with(|memory| PasswordHash::computed_in(memory, &password, cost, &*random))
        });
        hashed.await.map_err(|_| Busy)
    }

    /// Whether a password is the one of a stored hash. Without a hash the answer is no, after the same time.
    pub(crate) async fn compare(
        &self,
        asker: &Asker,
        password: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<Compared, Busy> {
        let verified = self.verify(asker, password, hash.clone()).await?;
        Ok(Compared::WithHash { verified, with: hash })
    }

    async fn verify(
        &self,
        asker: &Asker,
        password: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<Verified, Busy> {
        let turn = self.turns.take(asker).await?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let memory = self.memory.clone();
        let compared = tokio::task::spawn_blocking(move || {
            // Until the computation ends, even if nobody waits for it any more.
            let _turn = turn;
            match memory.with(|memory| is_right(memory, &password, &hash)) {
                Some(true) if known => Verified::Right,
                Some(_) => Verified::Wrong,
                None => Verified::Unreadable,
            }
        });
        // It ends otherwise only with the runtime.
        Ok(compared.await.unwrap_or(Verified::Unreadable))
    }
}

#[cfg(test)]
mod tests;
