//! The second factors of users: WebAuthn credentials, TOTP and recovery keys, and what holds for all of them.
//!
//! A factor that is enabled counts even if it cannot be read: it is [unreadable](FactorDetail::Unreadable) then, and blocks
//! the login rather than being overlooked.

pub(crate) mod recovery;
pub(crate) mod totp;
pub(crate) mod webauthn;

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::random;
use crate::realms::{self, Realm, Requirement};
use crate::sessions;
use crate::site::{self, Site};
use crate::store::{Store, StoreError, Transaction, milliseconds, moment, unix_time};
use crate::user_name::{UserId, UserName};
use crate::users::{self, User};

use self::recovery::StoredRecoveryKeys;
use self::totp::StoredTotp;
use self::webauthn::StoredCredential;

/// How many factors a user can have. Firefox stops at 20 credentials in one login: there is room to see that happen.
pub const MAX_FACTORS_PER_USER: usize = 64;

const MAX_DESCRIPTION_BYTES: usize = 64;

/// The kinds of factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// A credential of a security key or a passkey.
    Webauthn,
    /// Codes by the clock.
    Totp,
    /// Keys on paper.
    Recovery,
}

impl FactorKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webauthn => "webauthn",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
        }
    }
}

/// A factor as its user and administrators see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Factor {
    /// Its identifier.
    pub id: String,
    /// What its user calls it.
    pub description: String,
    /// When it was added.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub created: SystemTime,
    /// When a login last used it.
    #[serde(serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub last_used: Option<SystemTime>,
    /// Whether logins may use it.
    pub enabled: bool,
    /// What it is.
    #[serde(flatten)]
    pub detail: FactorDetail,
}

/// What a factor is, without anything that is secret.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FactorDetail {
    /// A credential of a security key or a passkey.
    Webauthn {
        /// The credential ID, base64url.
        credential_id: String,
        /// Whether it was registered as a passkey, to log in alone: discoverable, with user verification. Otherwise it is a
        /// second factor.
        passkey: bool,
        /// The RP ID that it is bound to.
        rp_id: String,
        /// Whether browsers use it on this site: whether that is the RP ID that the site was last served with.
        usable: bool,
        /// The authenticator's model, as it says; zeros where it does not say.
        aaguid: String,
        /// The attestation statement format of the registration.
        attestation_format: String,
        /// The signature counter as stored.
        counter: u32,
        /// Whether it may be copied to other devices (BE).
        backup_eligible: bool,
        /// Whether it is (BS).
        backup_state: bool,
        /// Whether a registration or login with user verification has happened.
        uv_initialized: bool,
        /// How the authenticator can be reached.
        transports: Vec<String>,
    },
    /// Codes by the clock.
    Totp {
        /// `SHA1`, `SHA256` or `SHA512`.
        algorithm: &'static str,
        /// How many digits a code has.
        digits: u8,
        /// How long a code lasts, seconds.
        step: u64,
        /// By how many steps the latest accepted code was away from the clock here.
        drift: Option<i8>,
    },
    /// Keys on paper.
    Recovery {
        /// How many are not used up.
        remaining: usize,
        /// How many there were.
        of: usize,
    },
    /// The database does not have what belongs to the factor, or not in a form that can be read.
    Unreadable {
        /// The kind of the factor as the database has it.
        kind: String,
        /// What cannot be read.
        reason: String,
    },
}

impl Factor {
    /// The kind's name: `webauthn`, `totp`, `recovery`, or what else the database says.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.detail {
            FactorDetail::Webauthn { .. } => FactorKind::Webauthn.name(),
            FactorDetail::Totp { .. } => FactorKind::Totp.name(),
            FactorDetail::Recovery { .. } => FactorKind::Recovery.name(),
            FactorDetail::Unreadable { kind, .. } => kind,
        }
    }
}

/// Why a factor could not be added, found, changed or deleted.
#[derive(Debug, Error)]
pub enum FactorError {
    /// There is no such user.
    #[error("there is no user {0}")]
    UnknownUser(UserName),
    /// The user has no such factor.
    #[error("{user} has no factor {id:?}")]
    Unknown {
        /// The user.
        user: UserName,
        /// The identifier asked for.
        id: String,
    },
    /// The description is empty, too long, or has control characters.
    #[error("a description is 1 to 64 bytes without control characters")]
    Description,
    /// The user has [`MAX_FACTORS_PER_USER`] already.
    #[error("{0} has as many factors as a user can have ({MAX_FACTORS_PER_USER})")]
    TooMany(UserName),
    /// There is one set at a time.
    #[error("{0} has recovery keys already; delete them first")]
    RecoveryKeysExist(UserName),
    /// The credential is registered already.
    #[error("this credential is registered already, to {}; use another security key", if *.to_same_user { "this user" } else { "another user" })]
    CredentialExists {
        /// Whether it belongs to the user who registers it again.
        to_same_user: bool,
    },
    /// The factor's key cannot be registered again as a passkey that takes the factor's place.
    #[error("the factor {id} cannot become a passkey: {reason}")]
    NoPasskeyOf {
        /// The identifier of the factor.
        id: String,
        /// Why not.
        reason: &'static str,
    },
    /// The realm requires what would be gone.
    #[error(
        "without it, {user} would lack what the realm {realm} requires ({requirement}); add another factor first, or force it"
    )]
    Required {
        /// The user.
        user: UserName,
        /// The realm.
        realm: String,
        /// What it requires.
        requirement: Requirement,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for FactorError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What to change of a factor; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorChange {
    /// What its user calls it, 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub description: Option<String>,
    /// Whether logins may use it.
    pub enabled: Option<bool>,
}

/// Which factors to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// The one with this identifier.
    One(&'a str),
    /// Those with these identifiers, and no others that have come meanwhile.
    These(&'a [String]),
    /// All of a user's.
    All,
}

impl Store {
    /// A user's factors, the oldest first.
    ///
    /// # Errors
    /// [`FactorError::UnknownUser`] if there is no such user.
    pub fn factors(&self, user: &UserName) -> Result<Vec<Factor>, FactorError> {
        self.read(|connection| of_user(connection, user))
    }

    /// Every user, by realm and name, with the user's factors: what an audit starts from.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn users_with_factors(&self) -> Result<Vec<(User, Vec<Factor>)>, StoreError> {
        self.read(|connection| of_users(connection, users::all(connection)?))
    }

    /// Renames a factor, enables or disables it.
    ///
    /// # Errors
    /// [`FactorError::Required`] if the realm requires what would be disabled, unless `force`.
    pub fn change_factor(
        &self,
        user: &UserName,
        id: &str,
        change: &FactorChange,
        force: bool,
        by: &By,
    ) -> Result<Factor, FactorError> {
        self.write(|transaction| self::change(transaction, user, id, change, force, by))
    }

    /// Deletes one factor or all of a user's, ends the sessions that were begun by them, and returns what is deleted.
    ///
    /// # Errors
    /// [`FactorError::Required`] if the realm requires what would be gone, unless `force`.
    pub fn delete_factors(
        &self,
        user: &UserName,
        which: Which<'_>,
        force: bool,
        by: &By,
    ) -> Result<Vec<Factor>, FactorError> {
        self.write(|transaction| delete(transaction, user, which, force, None, by))
    }
}

pub(crate) fn of_user(connection: &Connection, user: &UserName) -> Result<Vec<Factor>, FactorError> {
    let (user, site) = (known_user(connection, user)?, site::find(connection)?);
    Ok(load(connection, user.id)?.iter().map(|factor| factor.view(site.as_ref())).collect())
}

pub(crate) fn of_users(connection: &Connection, users: Vec<User>) -> Result<Vec<(User, Vec<Factor>)>, StoreError> {
    let site = site::find(connection)?;
    let with_factors = |user: User| {
        let factors = load(connection, user.id)?.iter().map(|factor| factor.view(site.as_ref())).collect();
        Ok((user, factors))
    };
    users.into_iter().map(with_factors).collect()
}

pub(crate) fn change(
    connection: &Connection,
    user: &UserName,
    id: &str,
    change: &FactorChange,
    force: bool,
    by: &By,
) -> Result<Factor, FactorError> {
    change.description.as_deref().map_or(Ok(()), check_description)?;
    let user = known_user(connection, user)?;
    let before = load(connection, user.id)?;
    let factor = one(&before, &user.name, id)?;
    connection
        .prepare_cached(
            "UPDATE factors SET description = coalesce(?, description), enabled = coalesce(?, enabled) WHERE id = ?",
        )?
        .execute(params![change.description, change.enabled, id])?;
    let after = load(connection, user.id)?;
    if !force {
        check_still_satisfied(connection, &user, &before, &after)?;
    }
    let mut detail = factor.describe();
    if let Some(description) = &change.description {
        detail.push_str(&format!(", now called {description:?}"));
    }
    if let Some(enabled) = change.enabled {
        detail.push_str(if enabled { ", enabled" } else { ", disabled" });
    }
    audit_log::record(connection, by, EventKind::FactorChanged, &user.name.to_string(), &detail)?;
    Ok(one(&after, &user.name, id)?.view(site::find(connection)?.as_ref()))
}

/// The same, in a transaction. The session in which it is done goes on, if there is one: its user has just given the password.
pub(crate) fn delete(
    connection: &Connection,
    user: &UserName,
    which: Which<'_>,
    force: bool,
    session: Option<&[u8; 32]>,
    by: &By,
) -> Result<Vec<Factor>, FactorError> {
    let user = known_user(connection, user)?;
    let before = load(connection, user.id)?;
    let deleted: Vec<&StoredFactor> = match which {
        Which::One(id) => vec![one(&before, &user.name, id)?],
        Which::These(ids) => before.iter().filter(|factor| ids.contains(&factor.id)).collect(),
        Which::All => before.iter().collect(),
    };
    for factor in &deleted {
        connection.prepare_cached("DELETE FROM factors WHERE id = ?")?.execute([&factor.id])?;
        let (user, mut detail) = (user.name.to_string(), factor.describe());
        match sessions::end_those_by(connection, &factor.id, session)? {
            0 => {}
            1 => detail.push_str("; a session that was begun by it was ended"),
            ended => detail.push_str(&format!("; {ended} sessions that were begun by it were ended")),
        }
        audit_log::record(connection, by, EventKind::FactorDeleted, &user, &detail)?;
    }
    if !force {
        check_still_satisfied(connection, &user, &before, &load(connection, user.id)?)?;
    }
    let site = site::find(connection)?;
    Ok(deleted.into_iter().map(|factor| factor.view(site.as_ref())).collect())
}

fn known_user(connection: &Connection, name: &UserName) -> Result<User, FactorError> {
    users::find(connection, name)?.ok_or_else(|| FactorError::UnknownUser(name.clone()))
}

pub(crate) fn one<'a>(factors: &'a [StoredFactor], user: &UserName, id: &str) -> Result<&'a StoredFactor, FactorError> {
    let unknown = || FactorError::Unknown { user: user.clone(), id: id.to_owned() };
    factors.iter().find(|factor| factor.id == id).ok_or_else(unknown)
}

/// Who did not satisfy the realm before may do as is liked.
fn check_still_satisfied(
    connection: &Connection,
    user: &User,
    before: &[StoredFactor],
    after: &[StoredFactor],
) -> Result<(), FactorError> {
    let Some(Realm { name: realm, requirement, .. }) = realms::find(connection, user.name.realm())? else {
        return Ok(());
    };
    if requirement.is_satisfied_by(before) && !requirement.is_satisfied_by(after) {
        return Err(FactorError::Required { user: user.name.clone(), realm, requirement });
    }
    Ok(())
}

impl Requirement {
    /// Whether these factors are what a realm requires.
    pub(crate) fn is_satisfied_by(self, factors: &[StoredFactor]) -> bool {
        self == Self::None || factors.iter().any(|factor| factor.enabled && self.is_met_by(&factor.secret))
    }

    /// Whether this factor alone is what a realm requires. WebAuthn is more than TOTP, so `oath` is content with it; a
    /// policy may differ.
    pub(crate) fn is_met_by(self, factor: &Stored) -> bool {
        match (self, factor) {
            (_, Stored::Webauthn(_)) | (Self::None, _) => true,
            (Self::Oath { digits, step }, Stored::Totp(totp)) => {
                (totp.totp.digits(), totp.totp.step()) == (digits, u64::from(step))
            }
            (Self::Any, Stored::Totp(_)) => true,
            _ => false,
        }
    }
}

/// Descriptions are 1 to 64 bytes of any text without control characters.
pub(crate) fn check_description(description: &str) -> Result<(), FactorError> {
    if (1..=MAX_DESCRIPTION_BYTES).contains(&description.len()) && !description.contains(char::is_control) {
        Ok(())
    } else {
        Err(FactorError::Description)
    }
}

/// A factor with what it takes to check it.
pub(crate) struct StoredFactor {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) created: SystemTime,
    pub(crate) last_used: Option<SystemTime>,
    pub(crate) enabled: bool,
    pub(crate) secret: Stored,
}

pub(crate) enum Stored {
    Webauthn(Box<StoredCredential>),
    Totp(Box<StoredTotp>),
    Recovery(StoredRecoveryKeys),
    Unreadable { kind: String, reason: String },
}

impl StoredFactor {
    pub(crate) fn view(&self, site: Option<&Site>) -> Factor {
        let detail = match &self.secret {
            Stored::Webauthn(record) => record.view(site),
            Stored::Totp(totp) => totp.view(),
            Stored::Recovery(keys) => keys.view(),
            Stored::Unreadable { kind, reason } => {
                FactorDetail::Unreadable { kind: kind.clone(), reason: reason.clone() }
            }
        };
        Factor {
            id: self.id.clone(),
            description: self.description.clone(),
            created: self.created,
            last_used: self.last_used,
            enabled: self.enabled,
            detail,
        }
    }

    /// The credential, if it is one.
    pub(crate) fn credential(&self) -> Option<&StoredCredential> {
        match &self.secret {
            Stored::Webauthn(credential) => Some(credential),
            _ => None,
        }
    }

    /// As events name it.
    pub(crate) fn describe(&self) -> String {
        format!("{} {} {:?}", self.view(None).kind(), self.id, self.description)
    }
}

/// A user's factors, the oldest first.
pub(crate) fn load(connection: &Connection, user: UserId) -> Result<Vec<StoredFactor>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, description, created, last_used, enabled FROM factors WHERE user = ? ORDER BY created, rowid",
    )?;
    let rows: Vec<(StoredFactor, String)> = statement
        .query_map([user], |row: &Row<'_>| {
            let factor = StoredFactor {
                id: row.get(0)?,
                description: row.get(2)?,
                created: moment(row.get(3)?),
                last_used: row.get::<_, Option<i64>>(4)?.map(moment),
                enabled: row.get(5)?,
                secret: Stored::Unreadable { kind: String::new(), reason: String::new() },
            };
            Ok((factor, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(factor, kind)| Ok(StoredFactor { secret: load_secret(connection, &factor.id, kind)?, ..factor }))
        .collect()
}

/// What cannot be read is told apart from a database that fails.
fn load_secret(connection: &Connection, id: &str, kind: String) -> Result<Stored, StoreError> {
    let loaded = match kind.as_str() {
        "webauthn" => {
            webauthn::load(connection, id).map(|found| found.map(|record| Stored::Webauthn(Box::new(record))))
        }
        "totp" => totp::load(connection, id).map(|found| found.map(|totp| Stored::Totp(Box::new(totp)))),
        "recovery" => recovery::load(connection, id).map(|found| found.map(Stored::Recovery)),
        _ => Err(StoreError::Damaged { what: "this keyrig does not know that kind of factor".to_owned() }),
    };
    match loaded {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Ok(Stored::Unreadable { kind, reason: "what belongs to it is missing".to_owned() }),
        Err(StoreError::Damaged { what }) => Ok(Stored::Unreadable { kind, reason: what }),
        Err(error) => Err(error),
    }
}

/// Adds the row that all kinds have; the kind's own row follows in the same transaction.
pub(crate) fn add(
    connection: &Transaction<'_>,
    user: &User,
    kind: FactorKind,
    description: &str,
    by: &By,
) -> Result<String, FactorError> {
    check_description(description)?;
    let count: usize = connection
        .prepare_cached("SELECT count(*) FROM factors WHERE user = ?")?
        .query_row([user.id], |row| row.get(0))?;
    if count >= MAX_FACTORS_PER_USER {
        return Err(FactorError::TooMany(user.name.clone()));
    }
    let id = random::name(connection.random);
    connection
        .prepare_cached(
            "INSERT INTO factors (id, user, kind, description, created, enabled) VALUES (?, ?, ?, ?, ?, 1)",
        )?
        .execute(params![id, user.id, kind.name(), description, milliseconds(by.now)])?;
    let detail = format!("{} {id} {description:?}", kind.name());
    audit_log::record(connection, by, EventKind::FactorAdded, &user.name.to_string(), &detail)?;
    Ok(id)
}

/// The factor as it is after it was added.
pub(crate) fn added(connection: &Connection, user: &User, id: &str) -> Result<Factor, FactorError> {
    let site = site::find(connection)?;
    one(&load(connection, user.id)?, &user.name, id).map(|factor| factor.view(site.as_ref()))
}

/// Notes that a login used a factor that still is the user's and enabled. Whether it is.
pub(crate) fn mark_used(connection: &Connection, user: UserId, id: &str, now: SystemTime) -> Result<bool, StoreError> {
    let changed = connection
        .prepare_cached("UPDATE factors SET last_used = ? WHERE id = ? AND user = ? AND enabled = 1")?
        .execute(params![milliseconds(now), id, user])?;
    Ok(changed == 1)
}

/// The owner of a credential, over all users.
pub(crate) fn owner_of_credential(connection: &Connection, credential_id: &[u8]) -> Result<Option<UserId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT user FROM factors JOIN webauthn_credentials ON factor = id WHERE credential_id = ?")?;
    Ok(statement.query_row([credential_id], |row| row.get(0)).optional()?)
}
