//! Users: `name@realm`, a role, and a password where the realm keeps passwords here.

use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::groups::{self, Administered, GroupError};
use crate::password::PasswordHash;
use crate::privileges::{Privilege, Privileges};
use crate::random;
use crate::realms;
use crate::sessions::{self, SessionEntry};
use crate::store::{Store, StoreError, Transaction, milliseconds, moment, unix_time};
use crate::user_name::{UserId, UserName};
use crate::whole;

pub use crate::role::{InvalidRole, Role};
pub use crate::standing::Standing;

/// RFC 5321, section 4.5.3.1.3, without the brackets.
const MAX_EMAIL_BYTES: usize = 254;

/// How many tokens for programs a user can have.
pub(crate) const MAX_TOKENS_PER_USER: usize = 64;

/// A user, and the state of the account's locks.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct User {
    /// The row.
    #[serde(skip)]
    pub id: UserId,
    /// `name@realm`.
    pub name: UserName,
    /// WebAuthn's user handle: random, never anything personal (Level 3, §14.6.1).
    #[serde(skip)]
    pub handle: Vec<u8>,
    /// What the user is in a word: as such, by a group, or by another role.
    pub role: Role,
    /// What the user may do: all that these roles give.
    #[schema(value_type = Vec<Privilege>)]
    pub privileges: Privileges,
    /// What the user may do as such.
    #[serde(skip)]
    pub own_role: Role,
    /// Whether the user may log in.
    pub enabled: bool,
    /// What keeps the user out in the realm's directory, if it has one and something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// For people.
    pub comment: String,
    /// An address; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// A name; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firstname: String,
    /// A name; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lastname: String,
    /// From when on the user cannot log in.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub expires: Option<SystemTime>,
    /// When the user was added.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub created: SystemTime,
    /// When a session last began.
    #[serde(serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub last_login: Option<SystemTime>,
    /// Failures of second factors in a row.
    pub failures: u32,
    /// Until when the account is locked; it may be over.
    #[serde(serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub locked_until: Option<SystemTime>,
    /// Wrong codes of TOTP since the last right one.
    pub totp_failures: u32,
    /// Whether TOTP is locked.
    pub totp_locked: bool,
}

impl User {
    /// Whether the user may log in at this moment, or go on: is enabled, and not over.
    #[must_use]
    pub fn may_log_in(&self, now: SystemTime) -> bool {
        self.enabled && !self.is_over(now)
    }

    /// Whether the moment has come from which on the user cannot log in.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether the account is locked at this moment: for an hour after too many failures in a row.
    #[must_use]
    pub fn is_locked(&self, now: SystemTime) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }
}

/// What to change of a user; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What the user may do.
    pub role: Option<Role>,
    /// Whether the user may log in. Disabling ends the user's sessions.
    pub enabled: Option<bool>,
    /// For people, at most 256 bytes.
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub comment: Option<String>,
    /// An address of mail, or an empty text.
    #[schema(max_length = 254, pattern = "^([^\\s\\x00-\\x1f\\x7f-\\x9f]+@[^\\s@\\x00-\\x1f\\x7f-\\x9f]+)?$")]
    pub email: Option<String>,
    /// At most 256 bytes.
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub firstname: Option<String>,
    /// At most 256 bytes.
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub lastname: Option<String>,
    /// From when on the user cannot log in, in seconds since 1970; 0 for never.
    #[serde(default, deserialize_with = "whole::option")]
    #[schema(maximum = 4_294_967_295_u32)]
    pub expire: Option<u32>,
    /// The groups that the user is in.
    pub groups: Option<Vec<String>>,
    /// Whether the user stays in other groups too.
    #[serde(default)]
    pub append: bool,
}

/// Why a user could not be added, found or changed.
#[derive(Debug, Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user {0}")]
    Unknown(UserName),
    /// There is one already.
    #[error("there is a user {0} already")]
    Exists(UserName),
    /// There is no such realm.
    #[error("there is no realm {0:?}; realms are pam and pve, and those that were added")]
    UnknownRealm(String),
    /// The realm's passwords are in a directory.
    #[error("passwords of the realm {0} are kept in a directory elsewhere; they are set there")]
    PasswordElsewhere(String),
    /// The comment is too long or has control characters.
    #[error("a comment is at most 256 bytes without control characters")]
    Comment,
    /// A first or last name is too long or has control characters.
    #[error("a name is at most 256 bytes without control characters")]
    PersonalName,
    /// An address is none.
    #[error("an address of mail is NAME@HOST, at most 254 bytes without spaces and control characters")]
    Email,
    /// Of a group that the user is to be in.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A token's name is not one.
    #[error("a token's name is 1 to 64 of A-Z a-z 0-9 . _ -")]
    TokenName,
    /// The user has a token of that name.
    #[error("{user} has a token {name:?} already")]
    TokenExists {
        /// The user.
        user: UserName,
        /// The name.
        name: String,
    },
    /// The user has no token of that name.
    #[error("{user} has no token {name:?}")]
    UnknownToken {
        /// The user.
        user: UserName,
        /// The name asked for.
        name: String,
    },
    /// The user has no session of that identifier.
    #[error("{user} has no session {id:?}, or it is over")]
    UnknownSession {
        /// The user.
        user: UserName,
        /// The identifier asked for.
        id: String,
    },
    /// The user has as many tokens as a user can have.
    #[error("{0} has as many tokens as a user can have ({MAX_TOKENS_PER_USER})")]
    TooManyTokens(UserName),
    /// Nobody could administer what is left.
    #[error("{0} is the only administrator who stays enabled; make another one first")]
    LastAdministrator(UserName),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for UserError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Adds a user with a password.
    ///
    /// # Errors
    /// [`UserError`] if there is one of that name, or no such realm.
    pub fn add_user(&self, name: &UserName, role: Role, password: &PasswordHash, by: &By) -> Result<User, UserError> {
        self.write(|transaction| add(transaction, name, role, Some(password), by))
    }

    /// The same, with what else there is to say of the user: all of it or nothing.
    ///
    /// # Errors
    /// [`UserError`] as [`Self::add_user`] and [`Self::change_user`].
    pub fn add_user_with(
        &self,
        name: &UserName,
        role: Role,
        password: &PasswordHash,
        change: &UserChange,
        by: &By,
    ) -> Result<User, UserError> {
        self.write(|transaction| add_with(transaction, name, role, password, change, by))
    }

    /// Adds a user of a realm whose passwords are in a directory.
    ///
    /// # Errors
    /// [`UserError`] as [`Self::add_user_with`].
    pub fn add_user_of_directory(
        &self,
        name: &UserName,
        role: Role,
        change: &UserChange,
        by: &By,
    ) -> Result<User, UserError> {
        self.write(|transaction| {
            let added = add(transaction, name, role, None, by)?;
            if *change == UserChange::default() { Ok(added) } else { self::change(transaction, name, change, by) }
        })
    }

    /// All users, by realm and name.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|connection| all(connection))
    }

    /// One user.
    ///
    /// # Errors
    /// [`UserError::Unknown`] if there is none of that name.
    pub fn user(&self, name: &UserName) -> Result<User, UserError> {
        self.read(|connection| known(connection, name))
    }

    /// Changes a user.
    ///
    /// # Errors
    /// [`UserError`] if there is none of that name, or no administrator would be left.
    pub fn change_user(&self, name: &UserName, change: &UserChange, by: &By) -> Result<User, UserError> {
        self.write(|transaction| self::change(transaction, name, change, by))
    }

    /// Deletes a user with everything that is the user's; the events stay.
    ///
    /// # Errors
    /// [`UserError`] if there is none of that name, or no administrator would be left.
    pub fn delete_user(&self, name: &UserName, by: &By) -> Result<(), UserError> {
        self.write(|transaction| delete(transaction, name, by))
    }

    /// The sessions of a user, the latest first.
    ///
    /// # Errors
    /// [`UserError::Unknown`] if there is no such user.
    pub fn sessions(&self, name: &UserName, now: SystemTime) -> Result<Vec<SessionEntry>, UserError> {
        self.read(|connection| Ok(sessions::of_user(connection, known(connection, name)?.id, now)?))
    }

    /// Ends one session of a user, by its [`id`](SessionEntry::id).
    ///
    /// # Errors
    /// [`UserError`] if there is no such user, or none of that identifier.
    pub fn end_session(&self, name: &UserName, id: &str, by: &By) -> Result<(), UserError> {
        self.write(|transaction| end_session(transaction, name, id, by))
    }

    /// Ends all sessions of a user, and logins under way. How many sessions there were.
    ///
    /// # Errors
    /// [`UserError::Unknown`] if there is no such user.
    pub fn end_sessions(&self, name: &UserName, by: &By) -> Result<usize, UserError> {
        self.write(|transaction| end_sessions(transaction, name, by))
    }

    /// Sets a password, and ends the user's sessions: they may belong to somebody who knew the old one.
    ///
    /// # Errors
    /// [`UserError::Unknown`] if there is no such user.
    pub fn set_password(&self, name: &UserName, password: &PasswordHash, by: &By) -> Result<(), UserError> {
        self.write(|transaction| set_password(transaction, name, password, by))
    }
}

/// Adds a user with a password, and what else there is to say.
pub(crate) fn add_with(
    connection: &Transaction<'_>,
    name: &UserName,
    role: Role,
    password: &PasswordHash,
    change: &UserChange,
    by: &By,
) -> Result<User, UserError> {
    let added = add(connection, name, role, Some(password), by)?;
    if *change == UserChange::default() { Ok(added) } else { self::change(connection, name, change, by) }
}

/// Adds a user; without a password nobody can log in by one.
pub(crate) fn add(
    connection: &Transaction<'_>,
    name: &UserName,
    role: Role,
    password: Option<&PasswordHash>,
    by: &By,
) -> Result<User, UserError> {
    let realm = realms::find(connection, name.realm())?;
    let realm = realm.ok_or_else(|| UserError::UnknownRealm(name.realm().to_owned()))?;
    if realm.kind.is_directory() && password.is_some() {
        return Err(UserError::PasswordElsewhere(realm.name));
    }
    let added = connection
        .prepare_cached(
            "INSERT INTO users (name, realm, handle, role, enabled, comment, created) VALUES (?, ?, ?, ?, 1, '', ?)",
        )?
        .execute(params![
            name.name(),
            name.realm(),
            random::bytes::<16>(connection.random),
            role,
            milliseconds(by.now)
        ]);
    match added {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(UserError::Exists(name.clone()));
        }
        Err(error) => return Err(error.into()),
    }
    let id = UserId(connection.last_insert_rowid());
    password.map_or(Ok(()), |password| write_password(connection, id, password, by.now))?;
    audit_log::record(connection, by, EventKind::UserAdded, &name.to_string(), role.name())?;
    known(connection, name)
}

pub(crate) fn change(
    connection: &Connection,
    name: &UserName,
    change: &UserChange,
    by: &By,
) -> Result<User, UserError> {
    check_texts(change)?;
    let user = known(connection, name)?;
    let had = groups::administered(connection, by.now)?;
    let expires = change.expire.filter(|seconds| *seconds != 0).map(|seconds| i64::from(seconds) * 1000);
    connection
        .prepare_cached(
            "UPDATE users SET role = coalesce(?, role), enabled = coalesce(?, enabled), comment = coalesce(?, comment),
             email = coalesce(?, email), firstname = coalesce(?, firstname), lastname = coalesce(?, lastname),
             expires = CASE WHEN ? THEN ? ELSE expires END WHERE id = ?",
        )?
        .execute(params![
            change.role,
            change.enabled,
            change.comment,
            change.email,
            change.firstname,
            change.lastname,
            change.expire.is_some(),
            expires,
            user.id
        ])?;
    if let Some(groups) = &change.groups {
        groups::put(connection, user.id, groups, change.append)?;
    }
    if change.enabled == Some(false) {
        sessions::end_all(connection, user.id)?;
    }
    check_an_administrator_is_left(connection, had, &user, by)?;
    let detail = [
        change.role.map(|role| format!("role {}", role.name())),
        change.enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned()),
        change.comment.as_ref().map(|_| "comment".to_owned()),
        change.email.as_ref().map(|_| "email".to_owned()),
        change.firstname.as_ref().map(|_| "firstname".to_owned()),
        change.lastname.as_ref().map(|_| "lastname".to_owned()),
        change.expire.map(|seconds| format!("expire {seconds}")),
        change
            .groups
            .as_ref()
            .map(|groups| format!("{} {}", if change.append { "also in" } else { "groups" }, groups.join(" "))),
    ];
    let detail: Vec<_> = detail.into_iter().flatten().collect();
    audit_log::record(connection, by, EventKind::UserChanged, &name.to_string(), &detail.join(", "))?;
    known(connection, name)
}

pub(crate) fn check_comment(comment: &str) -> Result<(), UserError> {
    if groups::is_text(comment) { Ok(()) } else { Err(UserError::Comment) }
}

fn check_texts(change: &UserChange) -> Result<(), UserError> {
    change.comment.as_deref().map_or(Ok(()), check_comment)?;
    if [&change.firstname, &change.lastname].into_iter().flatten().any(|name| !groups::is_text(name)) {
        return Err(UserError::PersonalName);
    }
    let is_seen = |character: char| !character.is_whitespace() && !character.is_control();
    let is_address = |text: &str| {
        text.len() <= MAX_EMAIL_BYTES
            && text.chars().all(is_seen)
            && text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
    };
    match &change.email {
        Some(email) if !email.is_empty() && !is_address(email) => Err(UserError::Email),
        _ => Ok(()),
    }
}

/// Whether there are users of a realm.
pub(crate) fn are_in_realm(connection: &Connection, realm: &str) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE realm = ?)")?;
    Ok(statement.query_row([realm], |row| row.get(0))?)
}

pub(crate) fn delete(connection: &Connection, name: &UserName, by: &By) -> Result<(), UserError> {
    let user = known(connection, name)?;
    let had = groups::administered(connection, by.now)?;
    connection.prepare_cached("DELETE FROM users WHERE id = ?")?.execute([user.id])?;
    check_an_administrator_is_left(connection, had, &user, by)?;
    audit_log::record(connection, by, EventKind::UserDeleted, &name.to_string(), "")?;
    Ok(())
}

pub(crate) fn set_password(
    connection: &Connection,
    name: &UserName,
    password: &PasswordHash,
    by: &By,
) -> Result<(), UserError> {
    let user = known(connection, name)?;
    if realms::find(connection, name.realm())?.is_some_and(|realm| realm.kind.is_directory()) {
        return Err(UserError::PasswordElsewhere(name.realm().to_owned()));
    }
    write_password(connection, user.id, password, by.now)?;
    sessions::end_all(connection, user.id)?;
    audit_log::record(connection, by, EventKind::PasswordChanged, &name.to_string(), "")?;
    Ok(())
}

pub(crate) fn end_session(connection: &Connection, name: &UserName, id: &str, by: &By) -> Result<(), UserError> {
    if !sessions::end_of_user(connection, known(connection, name)?.id, id)? {
        return Err(UserError::UnknownSession { user: name.clone(), id: id.to_owned() });
    }
    audit_log::record(connection, by, EventKind::SessionEnded, &name.to_string(), &format!("session {id}"))?;
    Ok(())
}

pub(crate) fn end_sessions(connection: &Connection, name: &UserName, by: &By) -> Result<usize, UserError> {
    let ended = sessions::end_all(connection, known(connection, name)?.id)?;
    let detail = format!("{ended} sessions");
    audit_log::record(connection, by, EventKind::SessionsEnded, &name.to_string(), &detail)?;
    Ok(ended)
}

/// There was none before the first: only who takes one away has to leave another.
fn check_an_administrator_is_left(
    connection: &Connection,
    had: Administered,
    changed: &User,
    by: &By,
) -> Result<(), UserError> {
    if groups::administered(connection, by.now)? < had {
        Err(UserError::LastAdministrator(changed.name.clone()))
    } else {
        Ok(())
    }
}

fn write_password(
    connection: &Connection,
    user: UserId,
    password: &PasswordHash,
    now: SystemTime,
) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR REPLACE INTO local_passwords VALUES (?, ?, ?)")?.execute(params![
        user,
        password.as_str(),
        milliseconds(now)
    ])?;
    Ok(())
}

const SELECT: &str =
    "SELECT id, name, realm, handle, role, enabled AND standing IS NULL, comment, created, last_login, failures,
    locked_until, totp_failures, totp_locked, email, firstname, lastname, expires,
    coalesce((SELECT max(grants & 1) | max(grants & 2) | max(grants & 4) | max(grants & 8) | max(grants & 16) | max(grants & 32)
    | max(grants & 64) | max(grants & 128) FROM granted WHERE granted.user = users.id), 0), standing FROM users";

pub(crate) fn known(connection: &Connection, name: &UserName) -> Result<User, UserError> {
    find(connection, name)?.ok_or_else(|| UserError::Unknown(name.clone()))
}

pub(crate) fn find(connection: &Connection, name: &UserName) -> Result<Option<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE realm = ? AND name = ?"))?;
    Ok(statement.query_row([name.realm(), name.name()], read_user).optional()?)
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY realm, name"))?;
    Ok(statement.query_map([], read_user)?.collect::<Result<_, _>>()?)
}

/// The first so many that come after one, in the same order.
pub(crate) fn some(connection: &Connection, after: Option<&UserName>, limit: u32) -> Result<Vec<User>, StoreError> {
    let (realm, name) = after.map_or(("", ""), |after| (after.realm(), after.name()));
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE (realm, name) > (?, ?) ORDER BY realm, name LIMIT ?"))?;
    Ok(statement.query_map(params![realm, name, limit], read_user)?.collect::<Result<_, _>>()?)
}

/// How many users a realm has.
pub(crate) fn count(connection: &Connection, realm: &str) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM users WHERE realm = ?")?;
    Ok(statement.query_row([realm], |row| row.get(0))?)
}

/// Those of a realm.
pub(crate) fn of_realm(connection: &Connection, realm: &str) -> Result<Vec<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE realm = ? ORDER BY name"))?;
    Ok(statement.query_map([realm], read_user)?.collect::<Result<_, _>>()?)
}

/// Those whose names differ from this one in upper and lower case of A to Z at most.
pub(crate) fn alike(connection: &Connection, name: &UserName) -> Result<Vec<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE realm = ? AND name = ? COLLATE NOCASE"))?;
    Ok(statement.query_map([name.realm(), name.name()], read_user)?.collect::<Result<_, _>>()?)
}

pub(crate) fn by_id(connection: &Connection, id: UserId) -> Result<Option<User>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    Ok(statement.query_row([id], read_user).optional()?)
}

/// The password of a user whose realm keeps passwords here.
pub(crate) fn local_password(connection: &Connection, user: UserId) -> Result<Option<PasswordHash>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT hash FROM local_passwords WHERE user = ?")?;
    let found: Option<String> = statement.query_row([user], |row| row.get(0)).optional()?;
    Ok(found.map(PasswordHash::from_store))
}

fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    let own_role: Role = row.get(4)?;
    let privileges = Privileges::of(own_role).and(Privileges::from_store(row.get(17)?));
    Ok(User {
        id: row.get(0)?,
        name: UserName::from_store(row.get(1)?, row.get(2)?),
        handle: row.get(3)?,
        role: privileges.role(),
        privileges,
        own_role,
        enabled: row.get(5)?,
        standing: row.get(18)?,
        comment: row.get(6)?,
        created: moment(row.get(7)?),
        last_login: row.get::<_, Option<i64>>(8)?.map(moment),
        failures: row.get(9)?,
        locked_until: row.get::<_, Option<i64>>(10)?.map(moment),
        totp_failures: row.get(11)?,
        totp_locked: row.get(12)?,
        email: row.get(13)?,
        firstname: row.get(14)?,
        lastname: row.get(15)?,
        expires: row.get::<_, Option<i64>>(16)?.map(moment),
    })
}
