//! The locks of an account, by counters that belong to the account and not to an address.
//!
//! As in Proxmox VE: [`TOTP_FAILURES`] wrong codes lock TOTP until a recovery key is used or an administrator unlocks;
//! [`FAILURES`] failures of any second factor in a row lock the account, recovery included, for [`LOCK_TIME`]. Only who
//! knows the password gets that far, so nobody else can lock somebody out.

use std::time::Duration;

use rusqlite::{Connection, params};

use crate::audit_log::{self, By, EventKind, Occasion};
use crate::store::{Store, StoreError, milliseconds};
use crate::user_name::UserName;
use crate::users::{self, User, UserError};

/// How many wrong codes lock TOTP.
pub const TOTP_FAILURES: u32 = 8;

/// How many failures in a row, of any second factor, lock an account.
pub const FAILURES: u32 = 100;

/// How long.
pub const LOCK_TIME: Duration = Duration::from_secs(3600);

impl Store {
    /// Releases the locks of an account and forgets its failures. Whether anything was locked.
    ///
    /// # Errors
    /// [`UserError::Unknown`] if there is no such user.
    pub fn unlock(&self, user: &UserName, by: &By) -> Result<bool, UserError> {
        self.write(|transaction| unlock(transaction, user, by))
    }
}

pub(crate) fn unlock(connection: &Connection, user: &UserName, by: &By) -> Result<bool, UserError> {
    let found = users::known(connection, user)?;
    connection
        .prepare_cached(
            "UPDATE users SET failures = 0, locked_until = NULL, totp_failures = 0, totp_locked = 0 WHERE id = ?",
        )?
        .execute([found.id])?;
    let detail = match (found.is_locked(by.now), found.totp_locked) {
        (true, true) => "the account and TOTP",
        (true, false) => "the account",
        (false, true) => "TOTP",
        (false, false) => "nothing was locked",
    };
    audit_log::record(connection, by, EventKind::Unlocked, &user.to_string(), detail)?;
    Ok(found.is_locked(by.now) || found.totp_locked)
}

/// Counts a failure of a second factor, and locks what has had too many.
pub(crate) fn count_failure(
    connection: &Connection,
    user: &User,
    was_totp: bool,
    at: Occasion,
) -> Result<(), StoreError> {
    let (name, by) = (user.name.to_string(), By::nobody(at));
    let (failures, totp_failures): (u32, u32) = connection
        .prepare_cached(
            "UPDATE users SET failures = failures + 1, totp_failures = totp_failures + ? WHERE id = ?
             RETURNING failures, totp_failures",
        )?
        .query_row(params![was_totp, user.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if totp_failures >= TOTP_FAILURES && !user.totp_locked {
        connection.prepare_cached("UPDATE users SET totp_locked = 1 WHERE id = ?")?.execute([user.id])?;
        let detail = format!("after {totp_failures} wrong codes, until a recovery key or an administrator");
        audit_log::record(connection, &by, EventKind::TotpLocked, &name, &detail)?;
    }
    if failures >= FAILURES {
        connection
            .prepare_cached("UPDATE users SET failures = 0, locked_until = ? WHERE id = ?")?
            .execute(params![milliseconds(at.now + LOCK_TIME), user.id])?;
        let detail = format!("after {failures} failures in a row, for {} s", LOCK_TIME.as_secs());
        audit_log::record(connection, &by, EventKind::AccountLocked, &name, &detail)?;
    }
    Ok(())
}

/// Forgets the failures in a row; those of TOTP too, with its lock, where TOTP or a recovery key succeeded.
pub(crate) fn count_success(connection: &Connection, user: &User, resets_totp: bool) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE users SET failures = 0, locked_until = NULL,
             totp_failures = iif(?1, 0, totp_failures), totp_locked = iif(?1, 0, totp_locked) WHERE id = ?2",
        )?
        .execute(params![resets_totp, user.id])?;
    Ok(())
}
