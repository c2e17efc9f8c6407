//! Sessions: bearer tokens in a cookie, with a token against cross-site requests, an end, and a note of when the password
//! was last given.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};

use crate::random;
use crate::store::{StoreError, Transaction, milliseconds, moment, unreadable};
use crate::user_name::UserId;

/// How long a session lasts, as a ticket of Proxmox VE does.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// How long a session that is for enrolment only lasts.
pub const ENROLMENT_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// For how long factors can be changed after the password was given again.
pub const CONFIRMATION_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How many wrong passwords end a session that asks for it again.
pub const CONFIRMATION_FAILURES: u32 = 5;

/// How many sessions a user has; beginning another ends the oldest.
pub const MAX_SESSIONS_PER_USER: usize = 1024;

/// What a session is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    Full,
    /// For adding the factor that the realm requires, and for nothing else.
    Enrolment,
}

impl SessionKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Enrolment => "enrolment",
        }
    }
}

/// A session that is there and not over.
#[derive(Clone, Debug)]
pub(crate) struct StoredSession {
    /// What the store calls it.
    pub(crate) id: [u8; 32],
    pub(crate) user: UserId,
    pub(crate) kind: SessionKind,
    pub(crate) csrf_token: String,
    pub(crate) expires: SystemTime,
    /// When the password was last given again.
    pub(crate) confirmed: Option<SystemTime>,
}

/// A session that has just begun: what its browser is told.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) token: String,
    pub(crate) csrf_token: String,
    pub(crate) kind: SessionKind,
    pub(crate) began: SystemTime,
    pub(crate) expires: SystemTime,
}

/// Begins a session. `confirmed` if the password was given just now and factors may be changed without giving it again.
pub(crate) fn begin(
    connection: &Transaction<'_>,
    user: UserId,
    kind: SessionKind,
    confirmed: bool,
    now: SystemTime,
) -> Result<NewSession, StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE expires <= ?")?.execute([milliseconds(now)])?;
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE user = ? ORDER BY created DESC LIMIT -1 OFFSET ?)",
        )?
        .execute(params![user, MAX_SESSIONS_PER_USER - 1])?;
    let (token, csrf_token) = (random::token(connection.random), random::token(connection.random));
    let lifetime = match kind {
        SessionKind::Full => SESSION_LIFETIME,
        SessionKind::Enrolment => ENROLMENT_LIFETIME,
    };
    let expires = now + lifetime;
    connection
        .prepare_cached(
            "INSERT INTO sessions (id, user, kind, csrf_token, created, expires, confirmed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            random::stored(&token),
            user,
            kind.name(),
            csrf_token,
            milliseconds(now),
            milliseconds(expires),
            confirmed.then(|| milliseconds(now)),
        ])?;
    Ok(NewSession { token, csrf_token, kind, began: now, expires })
}

/// The session of a token, unless it is over.
pub(crate) fn find(connection: &Connection, token: &str, now: SystemTime) -> Result<Option<StoredSession>, StoreError> {
    let id = random::stored(token);
    let mut statement = connection.prepare_cached(
        "SELECT user, kind, csrf_token, expires, confirmed FROM sessions WHERE id = ? AND expires > ?",
    )?;
    let found = statement.query_row(params![id, milliseconds(now)], |row| {
        let kind: String = row.get(1)?;
        let kind = match kind.as_str() {
            "full" => SessionKind::Full,
            "enrolment" => SessionKind::Enrolment,
            other => return Err(unreadable("sessions.kind", other)),
        };
        let confirmed: Option<i64> = row.get(4)?;
        Ok((row.get(0)?, kind, row.get(2)?, moment(row.get(3)?), confirmed.map(moment)))
    });
    Ok(found.optional()?.map(|(user, kind, csrf_token, expires, confirmed)| StoredSession {
        id,
        user,
        kind,
        csrf_token,
        expires,
        confirmed,
    }))
}

/// Ends one session.
pub(crate) fn end(connection: &Connection, id: &[u8; 32]) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE id = ?")?.execute([id])?;
    connection.prepare_cached("DELETE FROM challenges WHERE session = ?")?.execute([id])?;
    Ok(())
}

/// Ends all sessions of a user and what was begun in them, and logins under way. How many sessions there were.
pub(crate) fn end_all(connection: &Connection, user: UserId) -> Result<usize, StoreError> {
    connection.prepare_cached("DELETE FROM challenges WHERE user = ?")?.execute([user])?;
    connection.prepare_cached("DELETE FROM logins WHERE user = ?")?.execute([user])?;
    Ok(connection.prepare_cached("DELETE FROM sessions WHERE user = ?")?.execute([user])?)
}

/// Notes that the password was given again.
pub(crate) fn confirm(connection: &Connection, id: &[u8; 32], now: SystemTime) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE sessions SET confirmed = ?, confirmation_failures = 0 WHERE id = ?")?
        .execute(params![milliseconds(now), id])?;
    Ok(())
}

/// Notes that a wrong password was given, and ends the session at the last of [`CONFIRMATION_FAILURES`]. Whether it did.
pub(crate) fn confirmation_failed(connection: &Connection, id: &[u8; 32]) -> Result<bool, StoreError> {
    let failures: Option<u32> = connection
        .prepare_cached(
            "UPDATE sessions SET confirmation_failures = confirmation_failures + 1 WHERE id = ?
             RETURNING confirmation_failures",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?;
    // What is no session of the store, such as a token for programs, cannot be confirmed and is not ended by this.
    let is_over = failures.is_some_and(|failures| failures >= CONFIRMATION_FAILURES);
    if is_over {
        end(connection, id)?;
    }
    Ok(is_over)
}
