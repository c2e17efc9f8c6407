//! Realms of a directory in the store.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::answer::DirectoryUnavailable;
use super::ask::check;
use super::bind_password;
use super::fetch::{Fetched, fetch};
use super::settings::{DirectoryKind, DirectorySettings, Mode};
use super::stored::StoredDirectory;
use crate::audit_log::{self, By, EventKind};
use crate::groups::administered;
use crate::realms::{self, Realm, RealmError, RealmKind};
use crate::store::{Store, StoreError};
use crate::user_name::UserName;
use crate::users::{self, User};

/// Where bind passwords are, in the state directory.
const BIND_PASSWORDS: &str = "realm";

/// The directory of a realm, if it has one.
pub(crate) fn find(connection: &Connection, realm: &str) -> Result<Option<DirectorySettings>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT settings FROM directories WHERE realm = ?")?;
    let found: Option<String> = statement.query_row([realm], |row| row.get(0)).optional()?;
    let read = |text: String| {
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Damaged { what: format!("the directory of the realm {realm}: {error}") })
    };
    found.map(read).transpose()
}

/// The directory of a realm, which has to be there.
pub(crate) fn to_sync(connection: &Connection, realm: &str) -> Result<DirectorySettings, RealmError> {
    realms::find(connection, realm)?.ok_or_else(|| RealmError::Unknown(realm.to_owned()))?;
    find(connection, realm)?.ok_or_else(|| RealmError::NotADirectory(realm.to_owned()))
}

/// The user of a name, by the realm's way of telling names apart.
pub(crate) fn find_user(
    connection: &Connection,
    directory: Option<&DirectorySettings>,
    name: &UserName,
) -> Result<Option<User>, StoreError> {
    let found = users::find(connection, name)?;
    if found.is_some() || directory.is_none_or(|directory| directory.case_sensitive) {
        return Ok(found);
    }
    let mut alike = users::alike(connection, name)?;
    // Which of several it would be nobody can say.
    Ok(alike.pop().filter(|_| alike.is_empty()))
}

/// A password was given for one server and one name: another one does not get it by a change of these, nor does whoever is in between by
/// less security.
pub(crate) fn check_kept_password(before: &DirectorySettings, now: &DirectorySettings) -> Result<(), RealmError> {
    let to_whom =
        |settings: &DirectorySettings| (settings.server1.clone(), settings.server2.clone(), settings.bind_dn.clone());
    let is_weaker = (before.mode != Mode::Ldap && now.mode == Mode::Ldap) || (before.verify && !now.verify);
    if is_weaker || to_whom(before) != to_whom(now) { Err(RealmError::PasswordAgain) } else { Ok(()) }
}

/// Adds a realm of a directory. Its bind password is kept by [`Store::keep_bind_password`], after all that could be refused.
pub(crate) fn add(
    connection: &Connection,
    name: &str,
    settings: &DirectorySettings,
    comment: &str,
    by: &By,
) -> Result<Realm, RealmError> {
    realms::check_new(connection, name)?;
    realms::check_comment(comment)?;
    settings.check()?;
    let kind = match settings.kind {
        DirectoryKind::Ldap => RealmKind::Ldap,
        DirectoryKind::Ad => RealmKind::Ad,
    };
    let store = |error: rusqlite::Error| RealmError::from(StoreError::from(error));
    connection
        .execute("INSERT INTO realms VALUES (?, ?, ?, 'none', NULL, NULL)", params![name, kind, comment])
        .map_err(store)?;
    connection.execute("INSERT INTO directories VALUES (?, ?)", params![name, text_of(settings)?]).map_err(store)?;
    let detail = format!("realm {name} added: {} at {}", kind.name(), settings.server1);
    audit_log::record(connection, by, EventKind::RealmAdded, "", &detail)?;
    realms::find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))
}

/// Changes what a realm's directory is asked by, from the next login on.
pub(crate) fn change(
    connection: &Connection,
    name: &str,
    settings: &DirectorySettings,
    by: &By,
) -> Result<(), RealmError> {
    connection
        .execute("UPDATE directories SET settings = ? WHERE realm = ?", params![text_of(settings)?, name])
        .map_err(StoreError::from)?;
    audit_log::record(connection, by, EventKind::RealmChanged, "", &format!("realm {name}: its directory"))?;
    Ok(())
}

/// Deletes a realm of a directory with its users, their factors and sessions, and its groups. How many users there were.
pub(crate) fn delete(store: &Store, connection: &Connection, name: &str, by: &By) -> Result<usize, RealmError> {
    let had = administered(connection, by.now)?;
    let execute = |sql: &str| connection.execute(sql, [name]).map_err(StoreError::from);
    let users = execute("DELETE FROM users WHERE realm = ?")?;
    execute("DELETE FROM realms WHERE name = ?")?;
    if administered(connection, by.now)? < had {
        return Err(RealmError::LastAdministrator(name.to_owned()));
    }
    let detail = format!("realm {name} deleted, with {users} users");
    audit_log::record(connection, by, EventKind::RealmDeleted, "", &detail)?;
    store.keep_bind_password(name, None, true)?;
    Ok(users)
}

/// A directory as a realm is to have it, and the password by which it will be searched.
pub(crate) struct Trial {
    realm: String,
    settings: DirectorySettings,
    bind_password: Option<Zeroizing<String>>,
}

impl Trial {
    /// Connects to it, and binds as whom it is searched. What it was asked by.
    pub(crate) async fn run(self) -> Result<DirectorySettings, RealmError> {
        let Self { realm, settings, bind_password } = self;
        match check(settings.clone(), bind_password).await {
            Ok(()) => Ok(settings),
            Err(DirectoryUnavailable { reason }) => Err(RealmError::Unavailable { realm, reason }),
        }
    }
}

impl Store {
    /// What a realm's directory is asked by; `None` if its users are kept here.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn directory_settings(&self, realm: &str) -> Result<Option<DirectorySettings>, StoreError> {
        self.read(|connection| find(connection, realm))
    }

    /// The same of a realm that has to be there, and of a directory.
    ///
    /// # Errors
    /// [`RealmError::Unknown`], [`RealmError::NotADirectory`].
    pub fn directory_of(&self, realm: &str) -> Result<DirectorySettings, RealmError> {
        self.read(|connection| to_sync(connection, realm))
    }

    /// What a directory is to be tried with before a realm has it. Without a password that was given it is the one that is kept.
    pub(crate) fn trial(
        &self,
        realm: &str,
        settings: DirectorySettings,
        bind_password: Option<&Zeroizing<String>>,
    ) -> Result<Trial, RealmError> {
        let bind_password = match (bind_password, &settings.bind_dn, self.bind_password_file(realm)) {
            (Some(password), _, _) => Some(password.clone()),
            (None, Some(_), Some(file)) => {
                let read = bind_password::read(&file);
                Some(read.map_err(|DirectoryUnavailable { reason }| RealmError::Unavailable {
                    realm: realm.to_owned(),
                    reason,
                })?)
            }
            _ => None,
        };
        Ok(Trial { realm: realm.to_owned(), settings, bind_password })
    }

    /// Fetches the users and groups of a realm's directory. Nothing is changed.
    ///
    /// # Errors
    /// [`RealmError`] if there is no such realm, or its directory gives no whole answer.
    pub async fn fetch_directory(&self, realm: &str) -> Result<Fetched, RealmError> {
        fetch(self.stored(realm, self.directory_of(realm)?)).await
    }

    pub(crate) fn stored(&self, realm: &str, settings: DirectorySettings) -> StoredDirectory {
        StoredDirectory { realm: realm.to_owned(), settings, bind_password_file: self.bind_password_file(realm) }
    }

    fn bind_password_file(&self, realm: &str) -> Option<PathBuf> {
        let state = self.directory()?;
        Some(state.join(BIND_PASSWORDS).join(format!("{realm}.pw")))
    }

    /// Writes a password in place of the one that is kept, or removes that one. It is the last of a transaction: it is not undone.
    pub(crate) fn keep_bind_password(
        &self,
        realm: &str,
        password: Option<&str>,
        is_over: bool,
    ) -> Result<(), RealmError> {
        let kept = match (self.bind_password_file(realm), password) {
            (Some(file), Some(password)) => bind_password::write(&file, password).map_err(|error| (file, error)),
            (Some(file), None) if is_over => bind_password::remove(&file).map_err(|error| (file, error)),
            _ => Ok(()),
        };
        kept.map_err(|(file, error)| RealmError::BindPassword { file, error })
    }
}

fn text_of(settings: &DirectorySettings) -> Result<String, RealmError> {
    serde_json::to_string(settings)
        .map_err(|error| RealmError::Store(StoreError::Damaged { what: format!("settings of a directory: {error}") }))
}
