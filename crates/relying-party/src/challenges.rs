//! Challenges: each is for one purpose, one user and one session (or login under way), and can be answered once and not
//! for ever. They are in the store, so that what began in one process can end in another.
//!
//! The number kept is bounded. A session that begins too many loses the oldest, which is the one least likely to be
//! answered (a page loaded again, a client that gave up). Logins of nobody yet are begun by anybody: a client that begins too many
//! loses the oldest of them, and when there are too many of all, the client address that has most loses its oldest.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::limits::Limits;
use crate::random;
use crate::store::{StoreError, Transaction, milliseconds};
use crate::turns::Client;
use crate::user_name::UserId;

/// How many challenges one session or login keeps; beginning another drops the oldest.
pub const MAX_CHALLENGES_PER_SESSION: usize = 32;

/// How many challenges one user keeps, over all sessions and logins; beginning another drops the oldest. Each has the ids of
/// all of the user's credentials in it.
pub const MAX_CHALLENGES_PER_USER: usize = 512;

/// How many logins of one user are kept between password and second factor; beginning another drops the oldest.
pub const MAX_LOGINS_PER_USER: usize = 256;

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To prove possession of a credential after the password.
    Login,
    /// To log in with a discoverable credential alone.
    Passkey,
    /// To register a credential.
    Registration,
    /// To show that an app has the secret.
    TotpEnrolment,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Passkey => "passkey",
            Self::Registration => "registration",
            Self::TotpEnrolment => "totp",
        }
    }
}

/// Why a challenge cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChallengeGone {
    /// Never begun, answered already, pushed out by later ones, or begun for something or somebody else.
    #[error(
        "this challenge is unknown: it was answered already (each is good for one answer), or belongs to something else"
    )]
    Unknown,
    /// It came too late.
    #[error("the challenge has expired")]
    Expired,
}

/// Keeps a challenge and returns its identifier. `state` is what its end needs to know.
pub(crate) fn begin(
    connection: &Transaction<'_>,
    purpose: Purpose,
    user: Option<UserId>,
    session: &[u8; 32],
    state: &impl Serialize,
    now: SystemTime,
    lifetime: Duration,
) -> Result<String, StoreError> {
    // What has expired is kept for as long again, so that a late answer hears why it is refused.
    let stale = milliseconds(now.checked_sub(lifetime).unwrap_or(SystemTime::UNIX_EPOCH));
    connection.prepare_cached("DELETE FROM challenges WHERE expires <= ?")?.execute([stale])?;
    connection
        .prepare_cached(
            "DELETE FROM challenges WHERE id IN
             (SELECT id FROM challenges WHERE session = ? ORDER BY expires DESC LIMIT -1 OFFSET ?)",
        )?
        .execute(params![session, MAX_CHALLENGES_PER_SESSION - 1])?;
    if user.is_some() {
        connection
            .prepare_cached(
                "DELETE FROM challenges WHERE id IN
                 (SELECT id FROM challenges WHERE user = ? ORDER BY expires DESC LIMIT -1 OFFSET ?)",
            )?
            .execute(params![user, MAX_CHALLENGES_PER_USER - 1])?;
    }
    let id = random::token(connection.random);
    let state = serde_json::to_string(state)
        .map_err(|error| StoreError::Damaged { what: format!("a challenge cannot be written: {error}") })?;
    connection.prepare_cached("INSERT INTO challenges VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
        random::stored(&id),
        purpose.name(),
        user,
        session,
        milliseconds(now + lifetime),
        state,
    ])?;
    Ok(id)
}

/// Takes a challenge out for its one and only answer. One that was begun for something or somebody else stays.
pub(crate) fn take<T: DeserializeOwned>(
    connection: &Connection,
    id: &str,
    purpose: Purpose,
    user: Option<UserId>,
    session: &[u8; 32],
    now: SystemTime,
) -> Result<Result<T, ChallengeGone>, StoreError> {
    let taken: Option<(i64, String)> = connection
        .prepare_cached(
            "DELETE FROM challenges WHERE id = ? AND purpose = ? AND user IS ? AND session = ? RETURNING expires, state",
        )?
        .query_row(params![random::stored(id), purpose.name(), user, session], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((expires, state)) = taken else {
        return Ok(Err(ChallengeGone::Unknown));
    };
    if expires <= milliseconds(now) {
        return Ok(Err(ChallengeGone::Expired));
    }
    let state = serde_json::from_str(&state)
        .map_err(|error| StoreError::Damaged { what: format!("challenges.state: {error}") })?;
    Ok(Ok(state))
}

/// A login whose first step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// What the store calls it.
    pub(crate) id: [u8; 32],
    /// Whose password was given; nobody's if a passkey will say who it is.
    pub(crate) user: Option<UserId>,
}

/// Begins the login of a user who has given the password, and returns its secret identifier.
pub(crate) fn begin_login(
    connection: &Transaction<'_>,
    user: UserId,
    now: SystemTime,
    lifetime: Duration,
) -> Result<(String, Login), StoreError> {
    connection.prepare_cached("DELETE FROM logins WHERE expires <= ?")?.execute([milliseconds(now)])?;
    connection
        .prepare_cached(
            "DELETE FROM logins WHERE id IN
             (SELECT id FROM logins WHERE user = ? ORDER BY expires DESC LIMIT -1 OFFSET ?)",
        )?
        .execute(params![user, MAX_LOGINS_PER_USER - 1])?;
    keep_login(connection, Some(user), None, now + lifetime)
}

/// Begins a login whose user is not known yet.
pub(crate) fn begin_login_of_nobody(
    connection: &Transaction<'_>,
    client: Option<Client>,
    limits: &Limits,
    now: SystemTime,
    lifetime: Duration,
) -> Result<(String, Login), StoreError> {
    connection.prepare_cached("DELETE FROM logins WHERE expires <= ?")?.execute([milliseconds(now)])?;
    // Where clients cannot be told apart, there is one.
    let per_client = if client.is_some() { limits.ceremonies_per_client } else { limits.ceremonies };
    let client = client.map_or(String::new(), |client| client.to_string());
    let excess = |of_client: &str, kept: usize| -> Result<usize, StoreError> {
        connection
            .prepare_cached(
                "DELETE FROM challenges WHERE session IN
                 (SELECT id FROM logins WHERE client = ? ORDER BY expires DESC LIMIT -1 OFFSET ?)",
            )?
            .execute(params![of_client, kept])?;
        let mut statement = connection.prepare_cached(
            "DELETE FROM logins WHERE id IN
             (SELECT id FROM logins WHERE client = ? ORDER BY expires DESC LIMIT -1 OFFSET ?)",
        )?;
        Ok(statement.execute(params![of_client, kept])?)
    };
    excess(&client, per_client.max(1) - 1)?;
    let all: usize = connection
        .prepare_cached("SELECT count(*) FROM logins WHERE client IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    if all >= limits.ceremonies.max(1) {
        let (most, has): (String, usize) = connection
            .prepare_cached(
                "SELECT client, count(*) AS has FROM logins WHERE client IS NOT NULL
                 GROUP BY client ORDER BY has DESC, min(expires) LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        excess(&most, has.saturating_sub(1))?;
    }
    keep_login(connection, None, Some(&client), now + lifetime)
}

fn keep_login(
    connection: &Transaction<'_>,
    user: Option<UserId>,
    client: Option<&str>,
    expires: SystemTime,
) -> Result<(String, Login), StoreError> {
    let token = random::token(connection.random);
    let login = Login { id: random::stored(&token), user };
    connection
        .prepare_cached("INSERT INTO logins (id, user, client, expires) VALUES (?, ?, ?, ?)")?
        .execute(params![login.id, user, client, milliseconds(expires)])?;
    Ok((token, login))
}

/// The login under way with this identifier.
pub(crate) fn find_login(connection: &Connection, token: &str, now: SystemTime) -> Result<Option<Login>, StoreError> {
    let id = random::stored(token);
    let mut statement = connection.prepare_cached("SELECT user FROM logins WHERE id = ? AND expires > ?")?;
    let user = statement.query_row(params![id, milliseconds(now)], |row| row.get(0)).optional()?;
    Ok(user.map(|user| Login { id, user }))
}

/// Ends a login that succeeded: it leads to one session. Whether it was still there.
pub(crate) fn end_login(connection: &Connection, login: &Login) -> Result<bool, StoreError> {
    connection.prepare_cached("DELETE FROM challenges WHERE session = ?")?.execute([login.id])?;
    Ok(connection.prepare_cached("DELETE FROM logins WHERE id = ?")?.execute([login.id])? == 1)
}
