//! Realms: where users' passwords come from, and which second factor a login needs.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit_log::{self, By, EventKind};
use crate::site;
use crate::store::{Store, StoreError, unreadable};

/// A realm: the part of a user's name after the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// Where the passwords of a realm come from. Both kinds keep them here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RealmKind {
    /// As Proxmox VE's accounts of the machine.
    Pam,
    /// As Proxmox VE's own accounts.
    Pve,
}

/// The second factor that a realm requires. A user with any enabled factor is asked for one in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Requirement {
    /// None: a password is enough for who has no factor.
    None,
    /// TOTP with codes of so many digits and steps of so many seconds, as Proxmox VE's realm option `oath`.
    Oath {
        /// 6 to 8.
        digits: u8,
        /// Seconds, 10 or more.
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
        }
    }
}

impl FromStr for RealmKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Pam, Self::Pve].into_iter().find(|kind| kind.name() == name).ok_or(())
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
    #[error("there is no realm {0:?}; realms are pam and pve")]
    Unknown(String),
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

pub(crate) fn set_requirement(
    connection: &Connection,
    name: &str,
    requirement: Requirement,
    by: &By,
) -> Result<Realm, RealmError> {
    let (kind, digits, step) = match requirement {
        Requirement::None => ("none", None, None),
        Requirement::Oath { digits, step } if (6..=8).contains(&digits) && (10..=3600).contains(&step) => {
            ("oath", Some(digits), Some(step))
        }
        Requirement::Oath { digits, step } => return Err(RealmError::Oath { digits, step }),
        Requirement::Any => ("any", None, None),
        Requirement::Webauthn => ("webauthn", None, None),
    };
    if let Some(site) = site::find(connection)?
        && !site.realm_types.is_empty()
        && requirement != Requirement::None
        && !site.realm_types.iter().any(|of| of == kind)
    {
        return Err(RealmError::NotOfPolicy { kind, policy: site.policy, types: site.realm_types });
    }
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
