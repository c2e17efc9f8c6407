//! Roles by Proxmox VE's names, and who has which: its access control list, for the one path that there is, `/`.
//!
//! What somebody may do is all that their roles give. A role is a set of Proxmox VE's privileges, of which some are taken by something here
//! ([`Privileges`]); the others are about what is not here, and are kept without effect.

use rusqlite::{Connection, ErrorCode, params};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::api_tokens::{self, TokenId};
use crate::audit_log::{self, By, EventKind};
use crate::groups::{self, GroupError};
use crate::privileges::{Privilege, Privileges};
use crate::proxmox_roles;
use crate::store::{Store, StoreError, Transaction};
use crate::user_name::UserName;
use crate::users::{self, Role, UserChange, UserError};

/// How many roles there can be.
const MAX_ROLES: u32 = 1000;

/// Those that a user can have as such.
const AS_SUCH: [(&str, Role); 3] =
    [("Administrator", Role::Administrator), ("NoAccess", Role::User), ("PVEAuditor", Role::Auditor)];

/// A role by a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NamedRole {
    /// Its name.
    pub name: String,
    /// Proxmox VE's privileges in it, in order.
    pub privileges: Vec<String>,
    /// Those of them that something here takes.
    #[schema(value_type = Vec<Privilege>)]
    pub grants: Privileges,
    /// Whether it is one of those that are always there.
    pub special: bool,
}

/// Who is given a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// A user.
    User(UserName),
    /// All of a group.
    Group(String),
    /// A token for programs, which is no more than its user.
    Token(TokenId),
}

/// A line of the access control list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AclEntry {
    /// Always `/`.
    pub path: &'static str,
    /// Who.
    #[serde(flatten)]
    pub subject: Subject,
    /// The role's name.
    pub role: String,
}

/// Why a role could not be added, found, changed or given.
#[derive(Debug, Error)]
pub enum RoleError {
    /// There is no such role.
    #[error("there is no role {0:?}")]
    Unknown(String),
    /// There is one already.
    #[error("there is a role {0:?} already")]
    Exists(String),
    /// A text is not a role's name.
    #[error("{0:?} is no role's name: that is 1 to 64 of A-Z a-z 0-9 . _ -")]
    Name(String),
    /// Names that begin so are those of built-in roles.
    #[error("cannot use role ID starting with the (case-insensitive) 'PVE' namespace")]
    Reserved,
    /// It is always there.
    #[error("the role {0} is built in: it is neither changed nor deleted")]
    BuiltIn(String),
    /// Somebody has it.
    #[error("somebody has the role {0}: take it from them first ('acl delete')")]
    InUse(String),
    /// Proxmox VE has no such privilege.
    #[error("invalid privilege '{0}'")]
    Privilege(String),
    /// There are as many as there can be.
    #[error("there are as many roles as there can be ({MAX_ROLES})")]
    TooMany,
    /// Nobody could administer what is left.
    #[error("nobody who stays enabled would be an administrator then; make somebody one first")]
    NoAdministrator,
    /// Of a user.
    #[error(transparent)]
    User(#[from] UserError),
    /// Of a group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RoleError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// All roles, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn roles(&self) -> Result<Vec<NamedRole>, StoreError> {
        self.read(|connection| all(connection))
    }

    /// Adds a role of these privileges.
    ///
    /// # Errors
    /// [`RoleError`] if there is one of that name, that is none, or one is no privilege.
    pub fn add_role(&self, name: &str, privileges: &[String], by: &By) -> Result<NamedRole, RoleError> {
        self.write(|transaction| add(transaction, name, privileges, by))
    }

    /// Changes the privileges of a role, or with `append` adds some.
    ///
    /// # Errors
    /// [`RoleError`] if there is none of that name, it is built in, or one is no privilege.
    pub fn change_role(
        &self,
        name: &str,
        privileges: &[String],
        append: bool,
        by: &By,
    ) -> Result<NamedRole, RoleError> {
        self.write(|transaction| change(transaction, name, privileges, append, by))
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    /// [`RoleError`] if there is none of that name, or it is built in or in use.
    pub fn delete_role(&self, name: &str, by: &By) -> Result<(), RoleError> {
        self.write(|transaction| delete(transaction, name, by))
    }

    /// Who has which role, users before groups, and these before tokens. What a user has as such is there by the name of a built-in role.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn acl(&self) -> Result<Vec<AclEntry>, StoreError> {
        self.read(|connection| acl(connection))
    }

    /// Gives roles to users, groups and tokens.
    ///
    /// # Errors
    /// [`RoleError`] if there is no such role, user, group or token, or no administrator would be left.
    pub fn grant(&self, roles: &[String], subjects: &[Subject], by: &By) -> Result<(), RoleError> {
        self.write(|transaction| grant(transaction, roles, subjects, by))
    }

    /// Takes them.
    ///
    /// # Errors
    /// As [`Self::grant`].
    pub fn revoke(&self, roles: &[String], subjects: &[Subject], by: &By) -> Result<(), RoleError> {
        self.write(|transaction| revoke(transaction, roles, subjects, by))
    }
}

/// The one that a user has as such is one of these by name.
fn built_in(name: &str) -> Option<Role> {
    AS_SUCH.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<NamedRole>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, privileges, grants FROM roles ORDER BY name")?;
    let found: Vec<(String, String, Privileges)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, Privileges::from_store(row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    let roles = found.into_iter().map(|(name, text, grants)| {
        let built_in = proxmox_roles::of_role(&name);
        let special = built_in.is_some();
        let own = || text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let privileges = built_in.unwrap_or_else(own);
        NamedRole { name, privileges, grants, special }
    });
    Ok(roles.collect())
}

fn known(connection: &Connection, name: &str) -> Result<NamedRole, RoleError> {
    let found = all(connection)?.into_iter().find(|role| role.name == name);
    found.ok_or_else(|| RoleError::Unknown(name.to_owned()))
}

pub(crate) fn add(connection: &Connection, name: &str, privileges: &[String], by: &By) -> Result<NamedRole, RoleError> {
    if !groups::is_name(name) {
        return Err(RoleError::Name(name.to_owned()));
    }
    if name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("PVE")) {
        return Err(RoleError::Reserved);
    }
    let count: u32 = connection.prepare_cached("SELECT count(*) FROM roles")?.query_row([], |row| row.get(0))?;
    if count >= MAX_ROLES {
        return Err(RoleError::TooMany);
    }
    let (text, grants) = written(privileges)?;
    match connection.prepare_cached("INSERT INTO roles VALUES (?, ?, ?)")?.execute(params![name, text, grants.bits()]) {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(RoleError::Exists(name.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    record(connection, by, &format!("role {name} added: {}", said(grants)))?;
    known(connection, name)
}

/// As the database has it: all names, and those that something here takes.
fn written(privileges: &[String]) -> Result<(String, Privileges), RoleError> {
    if let Some(unknown) = privileges.iter().find(|name| !proxmox_roles::is_known(name)) {
        return Err(RoleError::Privilege(unknown.clone()));
    }
    let mut names = privileges.to_vec();
    names.sort();
    names.dedup();
    Ok((names.join(","), Privileges::named(&names)))
}

fn said(privileges: Privileges) -> String {
    let names = privileges.names();
    if names.is_empty() { "no privilege that something here takes".to_owned() } else { names.join(", ") }
}

pub(crate) fn change(
    connection: &Connection,
    name: &str,
    privileges: &[String],
    append: bool,
    by: &By,
) -> Result<NamedRole, RoleError> {
    let before = changeable(connection, name)?;
    let mut privileges = privileges.to_vec();
    if append {
        privileges.extend(before.privileges);
    }
    let (text, grants) = written(&privileges)?;
    keeping_an_administrator(connection, by, || {
        connection.prepare_cached("UPDATE roles SET privileges = ?, grants = ? WHERE name = ?")?.execute(params![
            text,
            grants.bits(),
            name
        ])?;
        Ok(())
    })?;
    record(connection, by, &format!("role {name} changed: {}", said(grants)))?;
    known(connection, name)
}

pub(crate) fn delete(connection: &Connection, name: &str, by: &By) -> Result<(), RoleError> {
    changeable(connection, name)?;
    match connection.prepare_cached("DELETE FROM roles WHERE name = ?")?.execute([name]) {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(RoleError::InUse(name.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    record(connection, by, &format!("role {name} deleted"))
}

fn changeable(connection: &Connection, name: &str) -> Result<NamedRole, RoleError> {
    let role = known(connection, name)?;
    if role.special { Err(RoleError::BuiltIn(name.to_owned())) } else { Ok(role) }
}

pub(crate) fn acl(connection: &Connection) -> Result<Vec<AclEntry>, StoreError> {
    let as_such = users::all(connection)?.into_iter().filter_map(|user| {
        let role = AS_SUCH.iter().find(|(_, role)| *role == user.own_role && *role != Role::User)?;
        Some(AclEntry { path: "/", subject: Subject::User(user.name), role: role.0.to_owned() })
    });
    let mut entries: Vec<AclEntry> = as_such.collect();
    let mut statement = connection.prepare_cached(
        "SELECT acl.role, users.name, users.realm, acl.group_name FROM acl LEFT JOIN users ON users.id = acl.user
         ORDER BY acl.group_name, users.realm, users.name, acl.role",
    )?;
    let found = statement.query_map([], |row| {
        let subject = match row.get(3)? {
            Some(group) => Subject::Group(group),
            None => Subject::User(UserName::from_store(row.get(1)?, row.get(2)?)),
        };
        Ok(AclEntry { path: "/", subject, role: row.get(0)? })
    })?;
    entries.extend(found.collect::<Result<Vec<_>, _>>()?);
    let mut statement = connection.prepare_cached(
        "SELECT token_roles.role, users.name, users.realm, token FROM token_roles JOIN users ON users.id = token_roles.user
         ORDER BY users.realm, users.name, token, token_roles.role",
    )?;
    let of_tokens = statement.query_map([], |row| {
        let user = UserName::from_store(row.get(1)?, row.get(2)?);
        Ok(AclEntry { path: "/", subject: Subject::Token(TokenId { user, name: row.get(3)? }), role: row.get(0)? })
    })?;
    entries.extend(of_tokens.collect::<Result<Vec<_>, _>>()?);
    Ok(entries)
}

pub(crate) fn grant(
    connection: &Transaction<'_>,
    roles: &[String],
    subjects: &[Subject],
    by: &By,
) -> Result<(), RoleError> {
    for (role, subject) in pairs(roles, subjects) {
        known(connection, role)?;
        let given = match (subject, built_in(role)) {
            (Subject::User(name), built_in) => {
                let user = users::known(connection, name)?;
                match built_in.filter(|role| *role != Role::User) {
                    Some(role) if role == user.own_role => 0,
                    // What a user has as such is one of the built-in roles.
                    Some(role) if user.own_role == Role::User => {
                        let change = UserChange { role: Some(role), ..UserChange::default() };
                        users::change(connection, name, &change, by)?;
                        continue;
                    }
                    // And others are beside it.
                    _ => {
                        let mut statement =
                            connection.prepare_cached("INSERT OR IGNORE INTO acl VALUES (?, ?, NULL)")?;
                        statement.execute(params![role, user.id])?
                    }
                }
            }
            (Subject::Group(group), _) => {
                groups::known(connection, group)?;
                let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO acl VALUES (?, NULL, ?)")?;
                statement.execute([role, group])?
            }
            (Subject::Token(id), _) => {
                let (user, _) = api_tokens::known(connection, id)?;
                let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO token_roles VALUES (?, ?, ?)")?;
                statement.execute(params![role, user, id.name])?
            }
        };
        if given > 0 {
            record(connection, by, &format!("{} has the role {role}", subject.text()))?;
        }
    }
    Ok(())
}

pub(crate) fn revoke(
    connection: &Transaction<'_>,
    roles: &[String],
    subjects: &[Subject],
    by: &By,
) -> Result<(), RoleError> {
    keeping_an_administrator(connection, by, || {
        for (role, subject) in pairs(roles, subjects) {
            known(connection, role)?;
            let taken = match subject {
                Subject::User(name) => {
                    let user = users::known(connection, name)?;
                    if built_in(role).is_some_and(|role| role != Role::User && role == user.own_role) {
                        let change = UserChange { role: Some(Role::User), ..UserChange::default() };
                        users::change(connection, name, &change, by)?;
                    }
                    let mut statement = connection.prepare_cached("DELETE FROM acl WHERE role = ? AND user = ?")?;
                    statement.execute(params![role, user.id])?
                }
                Subject::Group(group) => {
                    groups::known(connection, group)?;
                    let sql = "DELETE FROM acl WHERE role = ? AND group_name = ?";
                    connection.prepare_cached(sql)?.execute([role, group])?
                }
                Subject::Token(id) => {
                    let (user, _) = api_tokens::known(connection, id)?;
                    let sql = "DELETE FROM token_roles WHERE role = ? AND user = ? AND token = ?";
                    connection.prepare_cached(sql)?.execute(params![role, user, id.name])?
                }
            };
            if taken > 0 {
                record(connection, by, &format!("{} has the role {role} no more", subject.text()))?;
            }
        }
        Ok(())
    })
}

/// Has somebody have these roles and no others.
pub(crate) fn put(connection: &Transaction<'_>, roles: &[String], subject: &Subject, by: &By) -> Result<(), RoleError> {
    let had = acl(connection)?.into_iter().filter(|entry| entry.subject == *subject).map(|entry| entry.role);
    let gone: Vec<String> = had.filter(|role| !roles.contains(role)).collect();
    let subject = core::slice::from_ref(subject);
    grant(connection, roles, subject, by)?;
    revoke(connection, &gone, subject, by)
}

fn pairs<'a>(roles: &'a [String], subjects: &'a [Subject]) -> impl Iterator<Item = (&'a String, &'a Subject)> {
    roles.iter().flat_map(move |role| subjects.iter().map(move |subject| (role, subject)))
}

fn keeping_an_administrator(
    connection: &Connection,
    by: &By,
    change: impl FnOnce() -> Result<(), RoleError>,
) -> Result<(), RoleError> {
    let had = groups::administered(connection, by.now)?;
    change()?;
    if groups::administered(connection, by.now)? < had { Err(RoleError::NoAdministrator) } else { Ok(()) }
}

fn record(connection: &Connection, by: &By, detail: &str) -> Result<(), RoleError> {
    audit_log::record(connection, by, EventKind::AccessChanged, "", detail)?;
    Ok(())
}

impl Subject {
    fn text(&self) -> String {
        match self {
            Self::User(name) => format!("the user {name}"),
            Self::Group(name) => format!("the group {name}"),
            Self::Token(id) => format!("the token {id}"),
        }
    }
}
