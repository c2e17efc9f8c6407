//! Realms: where users' passwords come from, and which second factor a login needs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::directory::{DIRECTORY_OPTIONS, DirectoryOptionError};
use crate::password::MAX_PASSWORD_BYTES;
use crate::site;
use crate::store::{Store, StoreError, unreadable};
use crate::whole;

const MAX_NAME_BYTES: usize = 32;
const MAX_COMMENT_BYTES: usize = 256;

/// A realm: the part of a user's name after the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Realm {
    /// Its name.
    pub name: String,
    /// Where passwords come from.
    pub kind: RealmKind,
    /// For people.
    pub comment: String,
    /// The second factor that a login needs.
    pub requirement: Requirement,
}

/// Where the passwords of a realm come from. Those of Proxmox VE's kinds are kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RealmKind {
    /// As Proxmox VE's accounts of the machine.
    Pam,
    /// As Proxmox VE's own accounts.
    Pve,
    /// From a directory, by LDAP.
    Ldap,
    /// From Active Directory.
    Ad,
    /// Nowhere: users of FIDO's conformance tools, who are made as they are named.
    Fido,
}

/// The second factor that a realm requires. A user with any enabled factor is asked for one in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Requirement {
    /// None: a password is enough for who has no factor.
    None,
    /// TOTP with codes of so many digits and steps of so many seconds, as Proxmox VE's realm option `oath`.
    Oath {
        /// 6 to 8.
        #[serde(deserialize_with = "whole::deserialize")]
        #[schema(minimum = 6, maximum = 8)]
        digits: u8,
        /// Seconds, 10 to 3600.
        #[serde(deserialize_with = "whole::deserialize")]
        #[schema(minimum = 10, maximum = 3600)]
        step: u32,
    },
    /// TOTP or WebAuthn. Recovery keys alone do not satisfy it: they are used up.
    Any,
    /// WebAuthn.
    Webauthn,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Oath { digits, step } => write!(f, "oath, {digits} digits every {step} s"),
            Self::Any => f.write_str("any factor"),
            Self::Webauthn => f.write_str("WebAuthn"),
        }
    }
}

impl RealmKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pam => "pam",
            Self::Pve => "pve",
            Self::Ldap => "ldap",
            Self::Ad => "ad",
            Self::Fido => "fido",
        }
    }

    /// Whether its passwords are in a directory.
    #[must_use]
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Ldap | Self::Ad)
    }
}

impl FromStr for RealmKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Pam, Self::Pve, Self::Ldap, Self::Ad, Self::Fido].into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

impl ToSql for RealmKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for RealmKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        name.parse().map_err(|()| FromSqlError::Other(format!("the kind of a realm is {name:?}").into()))
    }
}

/// Why a realm could not be changed.
#[derive(Debug, Error)]
pub enum RealmError {
    /// There is no such realm.
    #[error("there is no realm {0:?}; realms are pam and pve, and those that were added")]
    Unknown(String),
    /// There is one already.
    #[error("there is a realm {0:?} already")]
    Exists(String),
    /// A text is not a realm's name.
    #[error("{0:?} is no realm's name: that is 1 to 32 of A-Z a-z 0-9 . _ -, and begins with a letter")]
    Name(String),
    /// The comment is too long or has control characters.
    #[error("a comment is at most 256 bytes without control characters")]
    Comment,
    /// There is no such type.
    #[error("a realm of the type {kind} is not to be had here. There are pam and pve, and ldap and ad of directories")]
    NotBuilt {
        /// The type asked for.
        kind: String,
    },
    /// An option of a directory cannot be so.
    #[error(transparent)]
    Option(#[from] DirectoryOptionError),
    /// The realm's users are kept here.
    #[error("the users of the realm {0} are kept here, and in no directory")]
    NotADirectory(String),
    /// An option of a directory, for a realm whose type has none.
    #[error("realms of the type {kind} have no directory, and so no {option}")]
    OfDirectories {
        /// Which option.
        option: String,
        /// The realm's type.
        kind: String,
    },
    /// Nothing is said to be changed.
    #[error("nothing to change: no option is set, and none deleted")]
    NothingToChange,
    /// What is to be deleted is no option.
    #[error("there is no option {found:?}; those to delete are tfa, comment, password, {}", DIRECTORY_OPTIONS.join(", "))]
    NoOption {
        /// What was given.
        found: String,
    },
    /// An option is to be both.
    #[error("{0} is both set and deleted: do one of the two")]
    SetAndDeleted(String),
    /// It is not as whoever asks for a change has seen it.
    #[error("realms were changed meanwhile: look at them again, and try again")]
    ChangedMeanwhile,
    /// Nothing says what is to be synced.
    #[error("neither the request nor the realm says what is synced: users, groups or both")]
    ScopeMissing,
    /// Somebody is to search the directory, and there is no password to bind by.
    #[error("bind_dn needs its password")]
    BindPasswordMissing,
    /// There is a password, and nobody whose it is.
    #[error("the password is that of bind_dn, which is missing")]
    BindDnMissing,
    /// Empty, it would be no bind (RFC 4513, section 5.1.2).
    #[error("a bind password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    BindPasswordLength,
    /// A bind password would go to somebody else than it was given for.
    #[error(
        "the bind password was given for another server or bind_dn, or for TLS that verifies: give it again, --password FILE"
    )]
    PasswordAgain,
    /// The file of the bind password cannot be written or removed.
    #[error("{}, for the bind password, cannot be written: {error}", .file.display())]
    BindPassword {
        /// The file.
        file: PathBuf,
        /// The operating system's words.
        error: std::io::Error,
    },
    /// The directory gave no whole answer: nothing was done.
    #[error("nothing was done: the directory of the realm {realm} gives no whole answer: {reason}")]
    Unavailable {
        /// The realm.
        realm: String,
        /// What is wrong.
        reason: String,
    },
    /// The directory has nobody: a mistake, or a right that is missing.
    #[error(
        "nothing was done: the directory has nobody for the realm {realm}, which has {users} users here: look at base_dn, user_attr, \
         filter and user_classes, and at what bind_dn may read"
    )]
    NobodyFound {
        /// The realm.
        realm: String,
        /// How many users there are here.
        users: usize,
    },
    /// Nobody could administer what is left.
    #[error("the only administrators who are enabled are of the realm {0}; make another one first")]
    LastAdministrator(String),
    /// There is one of that type, and no other, at the server that the policy is named after.
    #[error(
        "under the policy {policy} no realm of the type {kind} is added, as at Proxmox VE: it has the one of that name"
    )]
    BuiltInType {
        /// The type asked for.
        kind: &'static str,
        /// The policy that the site was last served with.
        policy: String,
    },
    /// It is always there.
    #[error("the realm {0} is always there, and is not deleted")]
    BuiltIn(String),
    /// It has users.
    #[error("the realm {name} has {users} users: delete them first")]
    InUse {
        /// The realm.
        name: String,
        /// How many.
        users: u32,
    },
    /// Digits or step out of bounds.
    #[error(
        "a realm's oath has 6 to 8 digits and a step of 10 to 3600 seconds, not {digits} digits and {step} seconds"
    )]
    Oath {
        /// The digits asked for.
        digits: u8,
        /// The step asked for.
        step: u32,
    },
    /// The site's policy has no realm ask for that.
    #[error(
        "under the policy {policy} no realm asks for {kind}, as there is no such type at the server that it is named after; \
         its types are {}. To have it, serve the site with another policy",
        .types.join(", ")
    )]
    NotOfPolicy {
        /// The type asked for.
        kind: &'static str,
        /// The policy that the site was last served with.
        policy: String,
        /// The types that it has.
        types: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// All realms, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn realms(&self) -> Result<Vec<Realm>, StoreError> {
        self.read(|connection| all(connection))
    }

    /// One realm.
    ///
    /// # Errors
    /// [`RealmError::Unknown`] if there is none of that name.
    pub fn realm(&self, name: &str) -> Result<Realm, RealmError> {
        self.read(|connection| find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned())))
    }

    /// Makes a realm require a second factor, or none, from the next login on. Sessions that there are go on.
    ///
    /// # Errors
    /// [`RealmError`] if there is no such realm or the requirement is out of bounds.
    pub fn set_requirement(&self, name: &str, requirement: Requirement, by: &By) -> Result<Realm, RealmError> {
        self.write(|transaction| set_requirement(transaction, name, requirement, by))
    }
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<Realm>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
    Ok(statement.query_map([], read_realm)?.collect::<Result<_, _>>()?)
}

/// That a realm can require it here. What the store calls it.
pub(crate) fn check_requirement(connection: &Connection, requirement: Requirement) -> Result<&'static str, RealmError> {
    let kind = match requirement {
        Requirement::None => return Ok("none"),
        Requirement::Oath { digits, step } if (6..=8).contains(&digits) && (10..=3600).contains(&step) => "oath",
        Requirement::Oath { digits, step } => return Err(RealmError::Oath { digits, step }),
        Requirement::Any => "any",
        Requirement::Webauthn => "webauthn",
    };
    if let Some(site) = site::find(connection)?
        && !site.realm_types.is_empty()
        && !site.realm_types.iter().any(|of| of == kind)
    {
        return Err(RealmError::NotOfPolicy { kind, policy: site.policy, types: site.realm_types });
    }
    Ok(kind)
}

pub(crate) fn set_requirement(
    connection: &Connection,
    name: &str,
    requirement: Requirement,
    by: &By,
) -> Result<Realm, RealmError> {
    let kind = check_requirement(connection, requirement)?;
    let (digits, step) = match requirement {
        Requirement::Oath { digits, step } => (Some(digits), Some(step)),
        Requirement::None | Requirement::Any | Requirement::Webauthn => (None, None),
    };
    let changed = connection
        .prepare_cached("UPDATE realms SET requirement = ?, oath_digits = ?, oath_step = ? WHERE name = ?")
        .and_then(|mut statement| statement.execute(params![kind, digits, step, name]))
        .map_err(StoreError::from)?;
    if changed == 0 {
        return Err(RealmError::Unknown(name.to_owned()));
    }
    let detail = format!("realm {name} requires {requirement}");
    audit_log::record(connection, by, EventKind::RealmChanged, "", &detail)?;
    find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))
}

pub(crate) fn add(
    connection: &Connection,
    name: &str,
    kind: &str,
    comment: &str,
    by: &By,
) -> Result<Realm, RealmError> {
    let kind = match kind.parse() {
        Ok(kind @ (RealmKind::Pam | RealmKind::Pve)) => kind,
        // Those of directories need what they are asked by, and are added with it; the one of tools comes with them.
        _ => return Err(RealmError::NotBuilt { kind: kind.to_owned() }),
    };
    check_new(connection, name)?;
    check_comment(comment)?;
    if let Some(site) = site::find(connection)?
        && site.has_types_of_proxmox_alone()
    {
        return Err(RealmError::BuiltInType { kind: kind.name(), policy: site.policy });
    }
    connection
        .prepare_cached("INSERT INTO realms VALUES (?, ?, ?, 'none', NULL, NULL)")
        .and_then(|mut statement| statement.execute(params![name, kind, comment]))
        .map_err(StoreError::from)?;
    let detail = format!("realm {name} added, of the type {}", kind.name());
    audit_log::record(connection, by, EventKind::RealmChanged, "", &detail)?;
    find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))
}

pub(crate) fn set_comment(connection: &Connection, name: &str, comment: &str, by: &By) -> Result<Realm, RealmError> {
    check_comment(comment)?;
    connection
        .prepare_cached("UPDATE realms SET comment = ? WHERE name = ?")
        .and_then(|mut statement| statement.execute([comment, name]))
        .map_err(StoreError::from)?;
    let realm = find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))?;
    audit_log::record(connection, by, EventKind::RealmChanged, "", &format!("realm {name}: comment"))?;
    Ok(realm)
}

pub(crate) fn delete(connection: &Connection, name: &str, by: &By) -> Result<(), RealmError> {
    if find(connection, name)?.is_none() {
        return Err(RealmError::Unknown(name.to_owned()));
    }
    if ["pam", "pve"].contains(&name) {
        return Err(RealmError::BuiltIn(name.to_owned()));
    }
    let users: u32 = connection
        .prepare_cached("SELECT count(*) FROM users WHERE realm = ?")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)))
        .map_err(StoreError::from)?;
    if users > 0 {
        return Err(RealmError::InUse { name: name.to_owned(), users });
    }
    connection
        .prepare_cached("DELETE FROM realms WHERE name = ?")
        .and_then(|mut statement| statement.execute([name]))
        .map_err(StoreError::from)?;
    audit_log::record(connection, by, EventKind::RealmChanged, "", &format!("realm {name} deleted"))?;
    Ok(())
}

/// That a realm can be called so, and none is.
pub(crate) fn check_new(connection: &Connection, name: &str) -> Result<(), RealmError> {
    let is_in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if !begins || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_in_a_name) {
        return Err(RealmError::Name(name.to_owned()));
    }
    if find(connection, name)?.is_some() { Err(RealmError::Exists(name.to_owned())) } else { Ok(()) }
}

pub(crate) fn check_comment(comment: &str) -> Result<(), RealmError> {
    let is_comment = comment.len() <= MAX_COMMENT_BYTES && !comment.contains(char::is_control);
    if is_comment { Ok(()) } else { Err(RealmError::Comment) }
}

/// Has there be the realm of FIDO's conformance tools.
pub(crate) fn have_conformance(connection: &Connection) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO realms VALUES ('fido', 'fido', 'Users of conformance tools', 'none', NULL, NULL)";
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

const SELECT: &str = "SELECT name, kind, comment, requirement, oath_digits, oath_step FROM realms";

pub(crate) fn find(connection: &Connection, name: &str) -> Result<Option<Realm>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE name = ?"))?;
    Ok(statement.query_row([name], read_realm).optional()?)
}

fn read_realm(row: &Row<'_>) -> rusqlite::Result<Realm> {
    let requirement: String = row.get(3)?;
    let requirement = match requirement.as_str() {
        "none" => Requirement::None,
        "oath" => Requirement::Oath { digits: row.get(4)?, step: row.get(5)? },
        "any" => Requirement::Any,
        "webauthn" => Requirement::Webauthn,
        // Nothing weaker may be assumed.
        other => return Err(unreadable("realms.requirement", other)),
    };
    Ok(Realm { name: row.get(0)?, kind: row.get(1)?, comment: row.get(2)?, requirement })
}
