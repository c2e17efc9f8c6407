//! Realms that are added, changed and deleted: what is decided of that, whoever asks and whatever the realm's users come from.
//!
//! A directory is tried outside of any transaction ([`Trial`]); whatever changes of a realm does so in one, all of it or nothing.

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::audit_log::By;
use crate::directory::{self, DIRECTORY_OPTIONS, DirectoryKind, DirectorySettings, Trial};
use crate::password::MAX_PASSWORD_BYTES;
use crate::realms::{self, Realm, RealmError, RealmKind, Requirement};
use crate::store::{Store, StoreError};

/// What is set back beside a directory's options.
const TFA: &str = "tfa";
const COMMENT: &str = "comment";
const PASSWORD: &str = "password";

/// What a realm is to be like, or what to change of it; `None` leaves a thing as it is.
#[derive(Default)]
pub struct RealmChange {
    /// For people, at most 256 bytes.
    pub comment: Option<String>,
    /// The second factor that a login needs.
    pub requirement: Option<Requirement>,
    /// What its directory is asked by: options by their names of [`DIRECTORY_OPTIONS`], and their values.
    pub options: Vec<(&'static str, String)>,
    /// The password of `bind_dn`, which goes to a file of its own, for its owner alone.
    pub bind_password: Option<Zeroizing<String>>,
    /// Whether the directory has to be there, and take that password, before anything is written.
    pub check_connection: Option<bool>,
    /// What is to be as if nothing were said: `tfa`, `comment`, `password`, and options of its directory.
    pub delete: Vec<String>,
    /// What the digest of all realms was when whoever asks looked at them: if it is another one now, nothing is changed.
    pub digest: Option<String>,
}

impl RealmChange {
    fn deletes(&self, option: &str) -> bool {
        self.delete.iter().any(|deleted| deleted == option)
    }

    /// What is deleted of a directory.
    fn deleted_options(&self) -> impl Iterator<Item = &str> {
        let of_any = [TFA, COMMENT, PASSWORD];
        self.delete.iter().map(String::as_str).filter(move |option| !of_any.contains(option))
    }

    /// Something that is said of a directory, if anything is.
    fn of_directory(&self) -> Option<&str> {
        let password = (self.bind_password.is_some() || self.deletes(PASSWORD)).then_some(PASSWORD);
        let set = self.options.first().map(|(option, _)| *option);
        set.or(password).or_else(|| self.deleted_options().next())
    }

    /// What a directory is asked by after the change, and that its password can be what it is then.
    fn changed(&self, before: &DirectorySettings) -> Result<DirectorySettings, RealmError> {
        let mut now = before.clone();
        self.deleted_options().try_for_each(|option| now.unset(option))?;
        self.options.iter().try_for_each(|(option, value)| now.set(option, value))?;
        now.check()?;
        match (&now.bind_dn, &self.bind_password) {
            (None, Some(_)) => Err(RealmError::BindDnMissing),
            (Some(_), Some(password)) if !(1..=MAX_PASSWORD_BYTES).contains(&password.len()) => {
                Err(RealmError::BindPasswordLength)
            }
            (Some(_), None) if before.bind_dn.is_none() || self.deletes(PASSWORD) => {
                Err(RealmError::BindPasswordMissing)
            }
            (Some(_), None) => directory::check_kept_password(before, &now).map(|()| now),
            (None, None) | (Some(_), Some(_)) => Ok(now),
        }
    }

    /// What the directory of a new realm is asked by, if its type has one.
    fn directory_of_new(&self, kind: &str) -> Result<Option<DirectorySettings>, RealmError> {
        match kind.parse() {
            Ok(RealmKind::Ldap) => self.changed(&DirectorySettings::new(DirectoryKind::Ldap)).map(Some),
            Ok(RealmKind::Ad) => self.changed(&DirectorySettings::new(DirectoryKind::Ad)).map(Some),
            Ok(RealmKind::Pam | RealmKind::Pve) => self.check_has_nothing_of_directories(kind).map(|()| None),
            // Those are not to be had at all.
            Ok(RealmKind::Fido) | Err(()) => Ok(None),
        }
    }

    /// The realm that is to change, and what its directory is asked by then, if it has one.
    fn look(&self, connection: &Connection, name: &str) -> Result<(Realm, Option<DirectorySettings>), RealmError> {
        let realm = realms::find(connection, name)?.ok_or_else(|| RealmError::Unknown(name.to_owned()))?;
        if self.digest.is_some() && self.digest != Some(digest(connection)?) {
            return Err(RealmError::ChangedMeanwhile);
        }
        if self.comment.is_none()
            && self.requirement.is_none()
            && self.options.is_empty()
            && self.bind_password.is_none()
            && self.delete.is_empty()
        {
            return Err(RealmError::NothingToChange);
        }
        for option in &self.delete {
            let is_set = match option.as_str() {
                TFA => self.requirement.is_some(),
                COMMENT => self.comment.is_some(),
                PASSWORD => self.bind_password.is_some(),
                option if DIRECTORY_OPTIONS.contains(&option) => self.options.iter().any(|(set, _)| *set == option),
                _ => return Err(RealmError::NoOption { found: option.clone() }),
            };
            if is_set {
                return Err(RealmError::SetAndDeleted(option.clone()));
            }
        }
        self.check_rest(connection)?;
        let now = match directory::find(connection, name)? {
            Some(before) => Some(self.changed(&before)?),
            None => self.check_has_nothing_of_directories(realm.kind.name()).map(|()| None)?,
        };
        Ok((realm, now))
    }

    /// That a realm can have what is said beside what its directory is asked by.
    fn check_rest(&self, connection: &Connection) -> Result<(), RealmError> {
        self.comment.as_deref().map_or(Ok(()), realms::check_comment)?;
        self.requirement.map_or(Ok(()), |requirement| realms::check_requirement(connection, requirement).map(drop))
    }

    fn check_has_nothing_of_directories(&self, kind: &str) -> Result<(), RealmError> {
        let option = self.of_directory().or(self.check_connection.map(|_| "check-connection"));
        option.map_or(Ok(()), |option| {
            Err(RealmError::OfDirectories { option: option.to_owned(), kind: kind.to_owned() })
        })
    }
}

/// What is to be tried before a realm is added, if that is asked for and nothing else is in the way.
pub(crate) fn trial_of_new(
    store: &Store,
    connection: &Connection,
    name: &str,
    kind: &str,
    change: &RealmChange,
) -> Result<Option<Trial>, RealmError> {
    let settings = change.directory_of_new(kind)?.filter(|_| change.check_connection == Some(true));
    if settings.is_some() {
        realms::check_new(connection, name)?;
        change.check_rest(connection)?;
    }
    settings.map(|settings| store.trial(name, settings, change.bind_password.as_ref())).transpose()
}

/// Adds a realm. `kind` is as Proxmox VE calls it.
pub(crate) fn add(
    store: &Store,
    connection: &Connection,
    name: &str,
    kind: &str,
    change: &RealmChange,
    by: &By,
) -> Result<Realm, RealmError> {
    let comment = change.comment.as_deref().unwrap_or_default();
    let directory = change.directory_of_new(kind)?;
    let mut realm = match &directory {
        Some(settings) => directory::add(connection, name, settings, comment, by)?,
        None => realms::add(connection, name, kind, comment, by)?,
    };
    if let Some(requirement) = change.requirement {
        realm = realms::set_requirement(connection, name, requirement, by)?;
    }
    if directory.is_some() {
        // A file that is left of another realm of this name is not this one's.
        let password = change.bind_password.as_deref().map(String::as_str);
        store.keep_bind_password(name, password, password.is_none())?;
    }
    Ok(realm)
}

/// What is to be tried before a realm is changed, if that is asked for and nothing else is in the way.
pub(crate) fn trial_of_change(
    store: &Store,
    connection: &Connection,
    name: &str,
    change: &RealmChange,
) -> Result<Option<Trial>, RealmError> {
    let (_, directory) = change.look(connection, name)?;
    let tried = directory.filter(|_| change.check_connection == Some(true));
    tried.map(|settings| store.trial(name, settings, change.bind_password.as_ref())).transpose()
}

/// Changes a realm: its requirement from the next login on, and what its directory is asked by. If a directory was `tried`, it is asked as
/// it was then.
pub(crate) fn change(
    store: &Store,
    connection: &Connection,
    name: &str,
    change: &RealmChange,
    tried: Option<&DirectorySettings>,
    by: &By,
) -> Result<Realm, RealmError> {
    let (mut realm, directory) = change.look(connection, name)?;
    if tried.is_some() && tried != directory.as_ref() {
        return Err(RealmError::ChangedMeanwhile);
    }
    let comment = change.comment.as_deref().or(change.deletes(COMMENT).then_some(""));
    if let Some(comment) = comment {
        realm = realms::set_comment(connection, name, comment, by)?;
    }
    let requirement = change.requirement.or(change.deletes(TFA).then_some(Requirement::None));
    if let Some(requirement) = requirement {
        realm = realms::set_requirement(connection, name, requirement, by)?;
    }
    if let Some(settings) = directory.filter(|_| change.of_directory().is_some()) {
        directory::change(connection, name, &settings, by)?;
        let password = change.bind_password.as_deref().map(String::as_str);
        store.keep_bind_password(name, password, settings.bind_dn.is_none())?;
    }
    Ok(realm)
}

/// Deletes a realm that was added: one of a directory with its users, any other only if it has none. How many users there were.
pub(crate) fn delete(store: &Store, connection: &Connection, name: &str, by: &By) -> Result<usize, RealmError> {
    match directory::find(connection, name)? {
        Some(_) => directory::delete(store, connection, name, by),
        None => realms::delete(connection, name, by).map(|()| 0),
    }
}

/// Hexadecimal digits that are others as soon as anything of any realm is, but for bind passwords.
pub(crate) fn digest(connection: &Connection) -> Result<String, StoreError> {
    let mut all = Vec::new();
    for realm in realms::all(connection)? {
        let directory = directory::find(connection, &realm.name)?;
        all.push((realm, directory));
    }
    let text = serde_json::to_vec(&all).map_err(|error| StoreError::Damaged { what: format!("realms: {error}") })?;
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Store {
    /// Adds a realm. `kind` is as Proxmox VE calls it.
    ///
    /// # Errors
    /// [`RealmError`] if there is one of that name, that is none, such a type is not to be had, or it cannot be as it is asked for.
    pub async fn add_realm(&self, name: &str, kind: &str, change: &RealmChange, by: &By) -> Result<Realm, RealmError> {
        if let Some(trial) = self.read(|connection| trial_of_new(self, connection, name, kind, change))? {
            trial.run().await?;
        }
        self.write(|transaction| add(self, transaction, name, kind, change, by))
    }

    /// Changes a realm, from the next login on. Sessions that there are go on.
    ///
    /// # Errors
    /// [`RealmError`] if there is none of that name, nothing is asked for, or it cannot be as it is asked for.
    pub async fn change_realm(&self, name: &str, change: &RealmChange, by: &By) -> Result<Realm, RealmError> {
        let tried = match self.read(|connection| trial_of_change(self, connection, name, change))? {
            Some(trial) => Some(trial.run().await?),
            None => None,
        };
        self.write(|transaction| self::change(self, transaction, name, change, tried.as_ref(), by))
    }

    /// Deletes a realm that was added: one of a directory with its users, their factors and sessions, and its groups; any other only if it
    /// has no users. How many users there were.
    ///
    /// # Errors
    /// [`RealmError`] if there is none of that name, it is always there, it has users that are kept here, or no administrator would be
    /// left.
    pub fn delete_realm(&self, name: &str, by: &By) -> Result<usize, RealmError> {
        self.write(|transaction| delete(self, transaction, name, by))
    }
}
