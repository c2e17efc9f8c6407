//! Groups of users, as Proxmox VE has them: what a group may do, all its members may.

use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::store::{Store, StoreError, milliseconds};
use crate::user_name::{UserId, UserName};

/// How many groups there can be.
const MAX_GROUPS: u32 = 10_000;
const MAX_NAME_BYTES: usize = 64;
const MAX_TEXT_BYTES: usize = 256;

/// A group and who is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// For people.
    pub comment: String,
    /// The realm whose directory it comes from; `None` if it was made by hand.
    pub realm: Option<String>,
    /// Who is in it, by realm and name.
    pub members: Vec<UserName>,
}

/// Why a group could not be added, found or changed.
#[derive(Debug, Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("there is no group {0:?}")]
    Unknown(String),
    /// There is one already.
    #[error("there is a group {0:?} already")]
    Exists(String),
    /// A text is not a group's name.
    #[error("{0:?} is no group's name: that is 1 to 64 of A-Z a-z 0-9 . _ -")]
    Name(String),
    /// The comment is too long or has control characters.
    #[error("a comment is at most 256 bytes without control characters")]
    Comment,
    /// There are as many as there can be.
    #[error("there are as many groups as there can be ({MAX_GROUPS})")]
    TooMany,
    /// Nobody could administer what is left.
    #[error("nobody who stays enabled would be an administrator then; make somebody one first")]
    NoAdministrator,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for GroupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// All groups, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn groups(&self) -> Result<Vec<Group>, StoreError> {
        self.read(|connection| all(connection))
    }

    /// Adds a group that nobody is in.
    ///
    /// # Errors
    /// [`GroupError`] if there is one of that name, or that is none.
    pub fn add_group(&self, name: &str, comment: &str, by: &By) -> Result<(), GroupError> {
        self.write(|transaction| add(transaction, name, comment, by))
    }

    /// Changes what is said of a group.
    ///
    /// # Errors
    /// [`GroupError`] if there is none of that name.
    pub fn change_group(&self, name: &str, comment: &str, by: &By) -> Result<(), GroupError> {
        self.write(|transaction| change(transaction, name, comment, by))
    }

    /// Deletes a group, and what it may do; its members stay.
    ///
    /// # Errors
    /// [`GroupError`] if there is none of that name, or no administrator would be left.
    pub fn delete_group(&self, name: &str, by: &By) -> Result<(), GroupError> {
        self.write(|transaction| delete(transaction, name, by))
    }
}

/// Whether a text can be the name of a group or a role.
pub(crate) fn is_name(name: &str) -> bool {
    let is_in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_in_a_name)
}

/// What people write, and read on one line.
pub(crate) fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control)
}

fn check_text(comment: &str) -> Result<(), GroupError> {
    if is_text(comment) { Ok(()) } else { Err(GroupError::Comment) }
}

/// Whether anybody who may log in is an administrator, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Administered {
    ByNobody,
    /// By those alone who expire.
    ForATime,
    Lastingly,
}

/// Whether anybody who may log in is an administrator, as such or by a group or another role: has `Permissions.Modify`, the bit 2, and by it
/// comes to everything.
pub(crate) fn administered(connection: &Connection, now: SystemTime) -> Result<Administered, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT max(expires IS NULL) FROM users WHERE enabled = 1 AND standing IS NULL AND (expires IS NULL OR expires > ?)
         AND (role = 'administrator' OR id IN (SELECT user FROM granted WHERE grants & 2))",
    )?;
    Ok(match statement.query_row([milliseconds(now)], |row| row.get::<_, Option<bool>>(0))? {
        None => Administered::ByNobody,
        Some(false) => Administered::ForATime,
        Some(true) => Administered::Lastingly,
    })
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<Group>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, comment, realm FROM user_groups ORDER BY name")?;
    let found: Vec<(String, String, Option<String>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let members = |name: &str| -> Result<Vec<UserName>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT users.name, users.realm FROM group_members JOIN users ON users.id = group_members.user
             WHERE group_name = ? ORDER BY users.realm, users.name",
        )?;
        let names = statement.query_map([name], |row| Ok(UserName::from_store(row.get(0)?, row.get(1)?)))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    let group = |(name, comment, realm): (String, String, Option<String>)| {
        Ok(Group { members: members(&name)?, name, comment, realm })
    };
    found.into_iter().map(group).collect()
}

pub(crate) fn known(connection: &Connection, name: &str) -> Result<(), GroupError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM user_groups WHERE name = ?")?;
    statement.query_row([name], |_| Ok(())).optional()?.ok_or_else(|| GroupError::Unknown(name.to_owned()))
}

pub(crate) fn add(connection: &Connection, name: &str, comment: &str, by: &By) -> Result<(), GroupError> {
    if !is_name(name) {
        return Err(GroupError::Name(name.to_owned()));
    }
    check_text(comment)?;
    let count: u32 = connection.prepare_cached("SELECT count(*) FROM user_groups")?.query_row([], |row| row.get(0))?;
    if count >= MAX_GROUPS {
        return Err(GroupError::TooMany);
    }
    match connection.prepare_cached("INSERT INTO user_groups (name, comment) VALUES (?, ?)")?.execute([name, comment]) {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(GroupError::Exists(name.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    audit_log::record(connection, by, EventKind::AccessChanged, "", &format!("group {name} added"))?;
    Ok(())
}

pub(crate) fn change(connection: &Connection, name: &str, comment: &str, by: &By) -> Result<(), GroupError> {
    check_text(comment)?;
    known(connection, name)?;
    connection.prepare_cached("UPDATE user_groups SET comment = ? WHERE name = ?")?.execute([comment, name])?;
    audit_log::record(connection, by, EventKind::AccessChanged, "", &format!("group {name}: comment"))?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, name: &str, by: &By) -> Result<(), GroupError> {
    known(connection, name)?;
    let had = administered(connection, by.now)?;
    connection.prepare_cached("DELETE FROM user_groups WHERE name = ?")?.execute([name])?;
    if administered(connection, by.now)? < had {
        return Err(GroupError::NoAdministrator);
    }
    audit_log::record(connection, by, EventKind::AccessChanged, "", &format!("group {name} deleted"))?;
    Ok(())
}

/// The groups of a user, by name.
pub(crate) fn of_user(connection: &Connection, user: UserId) -> Result<Vec<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT group_name FROM group_members WHERE user = ? ORDER BY group_name")?;
    Ok(statement.query_map([user], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Has a user be in these groups, and in no others unless they are added.
pub(crate) fn put(connection: &Connection, user: UserId, groups: &[String], append: bool) -> Result<(), GroupError> {
    if !append {
        connection.prepare_cached("DELETE FROM group_members WHERE user = ?")?.execute([user])?;
    }
    for name in groups {
        known(connection, name)?;
        connection.prepare_cached("INSERT OR IGNORE INTO group_members VALUES (?, ?)")?.execute(params![user, name])?;
    }
    Ok(())
}
