//! Sessions: bearer tokens in a cookie, with a token against cross-site requests, an end, and a note of when the password
//! was last given.

use std::time::{Duration, SystemTime};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::audit_log::Occasion;
use crate::random;
use crate::store::{StoreError, Transaction, milliseconds, moment, unix_time};
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
pub enum SessionKind {
    /// Everything that its user may do.
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

impl FromSql for SessionKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let found = [Self::Full, Self::Enrolment].into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| FromSqlError::Other(format!("sessions.kind is {name:?}").into()))
    }
}

impl Serialize for SessionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How many bytes of its identifier in the store a session is called by: of what a browser has, they tell nothing.
const SHOWN: usize = 8;

/// A session as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionEntry {
    /// What it is called: 16 hexadecimal digits.
    pub id: String,
    /// What it is good for.
    pub kind: SessionKind,
    /// When it began.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub began: SystemTime,
    /// When it is over.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub expires: SystemTime,
    /// The address that it was begun from; `None` where that is not known.
    pub address: Option<String>,
    /// What the user calls the factor that it was begun by; `None` if it was by none, or that is gone.
    pub factor: Option<String>,
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
    /// The factor that it was begun by.
    pub(crate) factor: Option<String>,
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

/// Ends what is over, and the oldest sessions of a user who has as many as there can be.
fn make_room(connection: &Connection, user: UserId, now: SystemTime) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE expires <= ?")?.execute([milliseconds(now)])?;
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE user = ? ORDER BY created DESC LIMIT -1 OFFSET ?)",
        )?
        .execute(params![user, MAX_SESSIONS_PER_USER - 1])?;
    Ok(())
}

/// Begins a session, by a factor if it was by one. `confirmed` if the password was given just now and factors may be changed without
/// giving it again.
pub(crate) fn begin(
    connection: &Transaction<'_>,
    user: UserId,
    kind: SessionKind,
    confirmed: bool,
    factor: Option<&str>,
    Occasion { now, address }: Occasion,
) -> Result<NewSession, StoreError> {
    make_room(connection, user, now)?;
    let (token, csrf_token) = (random::token(connection.random), random::token(connection.random));
    let lifetime = match kind {
        SessionKind::Full => SESSION_LIFETIME,
        SessionKind::Enrolment => ENROLMENT_LIFETIME,
    };
    let expires = now + lifetime;
    connection
        .prepare_cached(
            "INSERT INTO sessions (id, user, kind, csrf_token, created, expires, confirmed, factor, address)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            random::stored(&token),
            user,
            kind.name(),
            csrf_token,
            milliseconds(now),
            milliseconds(expires),
            confirmed.then(|| milliseconds(now)),
            factor,
            address.map(|address| address.to_string()),
        ])?;
    Ok(NewSession { token, csrf_token, kind, began: now, expires })
}

/// The session of a token, unless it is over.
pub(crate) fn find(connection: &Connection, token: &str, now: SystemTime) -> Result<Option<StoredSession>, StoreError> {
    let id = random::stored(token);
    let mut statement = connection.prepare_cached(
        "SELECT user, kind, csrf_token, expires, confirmed, factor FROM sessions WHERE id = ? AND expires > ?",
    )?;
    let found = statement.query_row(params![id, milliseconds(now)], |row| {
        let confirmed: Option<i64> = row.get(4)?;
        Ok(StoredSession {
            id,
            user: row.get(0)?,
            kind: row.get(1)?,
            csrf_token: row.get(2)?,
            expires: moment(row.get(3)?),
            factor: row.get(5)?,
            confirmed: confirmed.map(moment),
        })
    });
    Ok(found.optional()?)
}

/// The sessions of a user that are not over, the latest first.
pub(crate) fn of_user(connection: &Connection, user: UserId, now: SystemTime) -> Result<Vec<SessionEntry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT hex(substr(sessions.id, 1, ?3)), sessions.kind, sessions.created, expires, address, description
         FROM sessions LEFT JOIN factors ON factors.id = factor
         WHERE sessions.user = ?1 AND expires > ?2 ORDER BY sessions.created DESC, sessions.id",
    )?;
    let entries = statement.query_map(params![user, milliseconds(now), SHOWN], |row| {
        let id: String = row.get(0)?;
        Ok(SessionEntry {
            id: id.to_ascii_lowercase(),
            kind: row.get(1)?,
            began: moment(row.get(2)?),
            expires: moment(row.get(3)?),
            address: row.get(4)?,
            factor: row.get(5)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// What a session is called.
pub(crate) fn shown(id: &[u8; 32]) -> String {
    id.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

/// Ends one session of a user, by what it is called. Whether there was one.
pub(crate) fn end_of_user(connection: &Connection, user: UserId, shown: &str) -> Result<bool, StoreError> {
    let ended: Option<[u8; 32]> = connection
        .prepare_cached("DELETE FROM sessions WHERE user = ? AND hex(substr(id, 1, ?)) = upper(?) RETURNING id")?
        .query_row(params![user, SHOWN, shown], |row| row.get(0))
        .optional()?;
    match ended {
        Some(id) => end(connection, &id).map(|()| true),
        None => Ok(false),
    }
}

/// Ends the sessions that were begun by a factor, but for one. How many there were.
pub(crate) fn end_those_by(connection: &Connection, factor: &str, but: Option<&[u8; 32]>) -> Result<usize, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM sessions WHERE factor = ?1 AND (?2 IS NULL OR id != ?2)")?;
    let found: Vec<[u8; 32]> =
        statement.query_map(params![factor, but], |row| row.get(0))?.collect::<Result<_, _>>()?;
    found.iter().try_for_each(|id| end(connection, id))?;
    Ok(found.len())
}

/// Has the sessions that were begun by a factor be of another, which takes its place.
pub(crate) fn hand_over(connection: &Connection, factor: &str, to: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE sessions SET factor = ? WHERE factor = ?")?.execute([to, factor])?;
    Ok(())
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

/// Notes that the password was given again. A session that the store has no more, and whose ticket is still good, is there again.
pub(crate) fn confirm(
    connection: &Transaction<'_>,
    id: &[u8; 32],
    user: UserId,
    expires: SystemTime,
    now: SystemTime,
) -> Result<(), StoreError> {
    let changed = connection
        .prepare_cached("UPDATE sessions SET confirmed = ?, confirmation_failures = 0 WHERE id = ?")?
        .execute(params![milliseconds(now), id])?;
    if changed > 0 {
        return Ok(());
    }
    make_room(connection, user, now)?;
    connection
        .prepare_cached(
            "INSERT INTO sessions (id, user, kind, csrf_token, created, expires, confirmed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            id,
            user,
            SessionKind::Full.name(),
            random::token(connection.random),
            milliseconds(now),
            milliseconds(expires),
            milliseconds(now)
        ])?;
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
