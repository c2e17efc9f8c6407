//! Recovery keys as they are stored: hashes, and which of them are used up.

use std::time::SystemTime;

use rusqlite::OptionalExtension;
use rusqlite::{Connection, ErrorCode, params};

use super::{Factor, FactorDetail, FactorError, FactorKind};
use crate::audit_log::By;
use crate::recovery_keys::{RecoveryHash, RecoveryKey, RecoveryKeySet};
use crate::store::{Store, StoreError, Transaction, milliseconds};
use crate::user_name::UserName;
use crate::users::User;

pub(crate) struct StoredRecoveryKeys {
    secret: Vec<u8>,
    /// Number and hash of those that are not used up.
    unused: Vec<(u32, RecoveryHash)>,
    of: usize,
}

impl StoredRecoveryKeys {
    pub(super) fn view(&self) -> FactorDetail {
        FactorDetail::Recovery { remaining: self.unused.len(), of: self.of }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.unused.len()
    }

    /// Which are not used up, counted from 0.
    pub(crate) fn unused(&self) -> Vec<u32> {
        self.unused.iter().map(|(number, _)| number.saturating_sub(1)).collect()
    }

    /// The number of the unused key that this text is.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let key: RecoveryKey = text.parse().ok()?;
        let index = key.find(&self.secret, self.unused.iter().map(|(_, hash)| hash))?;
        self.unused.get(index).map(|(number, _)| *number)
    }
}

impl Store {
    /// Makes a user's set of recovery keys; they can be seen here and never again.
    ///
    /// # Errors
    /// [`FactorError::RecoveryKeysExist`] if the user has a set.
    pub fn add_recovery_keys(
        &self,
        user: &UserName,
        description: &str,
        by: &By,
    ) -> Result<(Factor, RecoveryKeySet), FactorError> {
        self.write(|transaction| {
            let user = super::known_user(transaction, user)?;
            add_set(transaction, &user, description, by)
        })
    }
}

/// Makes a set within a transaction.
pub(crate) fn add_set(
    connection: &Transaction<'_>,
    user: &User,
    description: &str,
    by: &By,
) -> Result<(Factor, RecoveryKeySet), FactorError> {
    let id = super::add(connection, user, FactorKind::Recovery, description, by).map_err(|error| {
        let is_second = matches!(&error, FactorError::Store(StoreError::Sqlite(error))
            if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation));
        if is_second { FactorError::RecoveryKeysExist(user.name.clone()) } else { error }
    })?;
    let set = RecoveryKeySet::generate(connection.random);
    connection.prepare_cached("INSERT INTO recovery_sets VALUES (?, ?)")?.execute(params![id, set.secret])?;
    let mut statement = connection.prepare_cached("INSERT INTO recovery_keys VALUES (?, ?, ?, NULL)")?;
    for (number, hash) in (1_u32..).zip(&set.hashes) {
        statement.execute(params![id, number, hash])?;
    }
    Ok((super::added(connection, user, &id)?, set))
}

pub(super) fn load(connection: &Connection, factor: &str) -> Result<Option<StoredRecoveryKeys>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT secret FROM recovery_sets WHERE factor = ?")?;
    let Some(secret) = statement.query_row([factor], |row| row.get(0)).optional()? else {
        return Ok(None);
    };
    let mut statement =
        connection.prepare_cached("SELECT number, hash, used FROM recovery_keys WHERE factor = ? ORDER BY number")?;
    let keys: Vec<(u32, RecoveryHash, Option<i64>)> =
        statement.query_map([factor], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let of = keys.len();
    let unused = keys.into_iter().filter(|(.., used)| used.is_none()).map(|(number, hash, _)| (number, hash)).collect();
    Ok(Some(StoredRecoveryKeys { secret, unused, of }))
}

/// Uses up a key, if it is not used up already.
pub(crate) fn use_up(connection: &Connection, factor: &str, number: u32, now: SystemTime) -> Result<bool, StoreError> {
    let changed = connection
        .prepare_cached("UPDATE recovery_keys SET used = ? WHERE factor = ? AND number = ? AND used IS NULL")?
        .execute(params![milliseconds(now), factor, number])?;
    Ok(changed == 1)
}
