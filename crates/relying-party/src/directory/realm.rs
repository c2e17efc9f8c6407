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
use crate::groups::has_administrator;
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
fn check_kept_password(before: &DirectorySettings, now: &DirectorySettings) -> Result<(), RealmError> {
    let to_whom =
        |settings: &DirectorySettings| (settings.server1.clone(), settings.server2.clone(), settings.bind_dn.clone());
    let is_weaker = (before.mode != Mode::Ldap && now.mode == Mode::Ldap) || (before.verify && !now.verify);
    let is_kept = now.bind_dn.is_some() && before.bind_dn.is_some();
    if is_kept && (is_weaker || to_whom(before) != to_whom(now)) { Err(RealmError::PasswordAgain) } else { Ok(()) }
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

    /// Adds a realm of a directory. `bind_password` goes to a file of its own, for its owner alone.
    ///
    /// # Errors
    /// [`RealmError`] if there is one of that name, or it cannot be as it is asked for.
    pub fn add_directory_realm(
        &self,
        name: &str,
        settings: &DirectorySettings,
        comment: &str,
        bind_password: Option<&str>,
        by: &By,
    ) -> Result<Realm, RealmError> {
        realms::check_name(name)?;
        realms::check_comment(comment)?;
        settings.check()?;
        let kind = match settings.kind {
            DirectoryKind::Ldap => RealmKind::Ldap,
            DirectoryKind::Ad => RealmKind::Ad,
        };
        self.write(|transaction| {
            if realms::find(transaction, name)?.is_some() {
                return Err(RealmError::Exists(name.to_owned()));
            }
            let store = |error: rusqlite::Error| RealmError::from(StoreError::from(error));
            transaction
                .execute("INSERT INTO realms VALUES (?, ?, ?, 'none', NULL, NULL)", params![name, kind, comment])
                .map_err(store)?;
            transaction
                .execute("INSERT INTO directories VALUES (?, ?)", params![name, text_of(settings)?])
                .map_err(store)?;
            // A file that is left of another realm of this name is not this one's.
            self.keep_bind_password(name, bind_password, bind_password.is_none())?;
            let detail = format!("realm {name} added: {} at {}", kind.name(), settings.server1);
            audit_log::record(transaction, by, EventKind::RealmAdded, "", &detail)?;
            realms::find(transaction, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))
        })
    }

    /// Changes what a realm's directory is asked by, from the next login on.
    ///
    /// # Errors
    /// [`RealmError`] if there is no such realm, or it cannot be as it is asked for.
    pub fn change_directory_realm(
        &self,
        name: &str,
        settings: &DirectorySettings,
        comment: Option<&str>,
        bind_password: Option<&str>,
        by: &By,
    ) -> Result<Realm, RealmError> {
        realms::check_comment(comment.unwrap_or_default())?;
        settings.check()?;
        self.write(|transaction| {
            let found = realms::find(transaction, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))?;
            let before = find(transaction, name)?.ok_or_else(|| RealmError::NotADirectory(name.to_owned()))?;
            let store = |error: rusqlite::Error| RealmError::from(StoreError::from(error));
            transaction
                .execute("UPDATE directories SET settings = ? WHERE realm = ?", params![text_of(settings)?, name])
                .map_err(store)?;
            transaction
                .execute(
                    "UPDATE realms SET comment = ? WHERE name = ?",
                    params![comment.unwrap_or(&found.comment), name],
                )
                .map_err(store)?;
            if bind_password.is_none() {
                check_kept_password(&before, settings)?;
            }
            self.keep_bind_password(name, bind_password, settings.bind_dn.is_none())?;
            audit_log::record(transaction, by, EventKind::RealmChanged, "", &format!("realm {name}: its directory"))?;
            realms::find(transaction, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))
        })
    }

    /// Whether a directory can be asked with these settings, before a realm has them: it is connected to, and the password by which it will
    /// be searched is tried. Without a new one it is the one that the realm has.
    ///
    /// # Errors
    /// [`RealmError`] if it cannot.
    pub async fn check_directory(
        &self,
        realm: &str,
        settings: &DirectorySettings,
        bind_password: Option<&str>,
    ) -> Result<(), RealmError> {
        settings.check()?;
        let unavailable = |DirectoryUnavailable { reason }| RealmError::Unavailable { realm: realm.to_owned(), reason };
        let password = match (bind_password, &settings.bind_dn, self.bind_password_file(realm)) {
            (Some(password), _, _) => Some(Zeroizing::new(password.to_owned())),
            (None, Some(_), Some(file)) => {
                if let Some(before) = self.directory_settings(realm)? {
                    check_kept_password(&before, settings)?;
                }
                Some(bind_password::read(&file).map_err(unavailable)?)
            }
            _ => None,
        };
        check(settings.clone(), password).await.map_err(unavailable)
    }

    /// Deletes a realm of a directory with its users, their factors and sessions, and its groups. How many users there were.
    ///
    /// # Errors
    /// [`RealmError`] if there is no such realm, its users are kept here, or no administrator would be left.
    pub fn delete_directory_realm(&self, name: &str, by: &By) -> Result<usize, RealmError> {
        self.write(|transaction| {
            realms::find(transaction, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))?;
            find(transaction, name)?.ok_or_else(|| RealmError::NotADirectory(name.to_owned()))?;
            let store = |error: rusqlite::Error| RealmError::from(StoreError::from(error));
            let had_administrator = has_administrator(transaction, by.now)?;
            let users = transaction.execute("DELETE FROM users WHERE realm = ?", [name]).map_err(store)?;
            transaction.execute("DELETE FROM realms WHERE name = ?", [name]).map_err(store)?;
            if had_administrator && !has_administrator(transaction, by.now)? {
                return Err(RealmError::LastAdministrator(name.to_owned()));
            }
            self.keep_bind_password(name, None, true)?;
            let detail = format!("realm {name} deleted, with {users} users");
            audit_log::record(transaction, by, EventKind::RealmDeleted, "", &detail)?;
            Ok(users)
        })
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

    fn keep_bind_password(&self, realm: &str, password: Option<&str>, is_over: bool) -> Result<(), RealmError> {
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
