//! The log of security events: who did what to whom, and when. Events are only ever added, and deleted when there are too
//! many; the database refuses anything else.

pub(crate) mod refused_logins;
mod retention;

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use utoipa::ToSchema;

use crate::store::{Store, StoreError, milliseconds, moment, unix_time};
use crate::user_name::UserName;

pub use self::refused_logins::REFUSED_LOGINS;
pub(crate) use self::retention::Sweep;

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Its stable name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

event_kinds! {
    /// A session began.
    LoggedIn = "logged_in",
    /// A login was refused; the report says why.
    LoginRefused = "login_refused",
    /// A login was blocked because an enrolled factor, or the password, cannot be checked at present.
    LoginBlocked = "login_blocked",
    /// A user ended a session.
    LoggedOut = "logged_out",
    /// A session of a user was ended.
    SessionEnded = "session_ended",
    /// All sessions of a user were ended.
    SessionsEnded = "sessions_ended",
    /// A factor was added.
    FactorAdded = "factor_added",
    /// A factor was not added; the report says why.
    EnrolmentRefused = "enrolment_refused",
    /// A factor was renamed, enabled or disabled.
    FactorChanged = "factor_changed",
    /// A factor was deleted.
    FactorDeleted = "factor_deleted",
    /// A recovery key was used up.
    RecoveryKeyUsed = "recovery_key_used",
    /// TOTP was locked after too many wrong codes.
    TotpLocked = "totp_locked",
    /// An account was locked after too many failures in a row.
    AccountLocked = "account_locked",
    /// The locks of an account were released.
    Unlocked = "unlocked",
    /// A signature counter went back: perhaps a clone.
    CloneSuspected = "clone_suspected",
    /// The password was not given again correctly.
    ConfirmationFailed = "confirmation_failed",
    /// A user was added.
    UserAdded = "user_added",
    /// A user was changed.
    UserChanged = "user_changed",
    /// A user was deleted.
    UserDeleted = "user_deleted",
    /// A password was set.
    PasswordChanged = "password_changed",
    /// A token for programs was added.
    TokenAdded = "token_added",
    /// A token for programs was changed.
    TokenChanged = "token_changed",
    /// A token for programs was deleted.
    TokenDeleted = "token_deleted",
    /// A realm was added.
    RealmAdded = "realm_added",
    /// A realm was changed.
    RealmChanged = "realm_changed",
    /// A group, a role, or who has which was changed.
    AccessChanged = "access_changed",
    /// Users and groups of a realm were compared with its directory.
    RealmSynced = "realm_synced",
    /// A realm was deleted, with its users.
    RealmDeleted = "realm_deleted",
}

/// A text is not the kind of an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not a kind of event; the kinds are {}", EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "))]
pub struct InvalidEventKind {
    /// The text.
    pub found: String,
}

impl FromStr for EventKind {
    type Err = InvalidEventKind;

    fn from_str(name: &str) -> Result<Self, InvalidEventKind> {
        let found = Self::ALL.iter().find(|kind| kind.name() == name);
        found.copied().ok_or_else(|| InvalidEventKind { found: name.to_owned() })
    }
}

impl Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl ToSql for EventKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for EventKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        name.parse().map_err(|_| FromSqlError::Other(format!("the kind of an event is {name:?}").into()))
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody over HTTP who has proved nothing yet.
    Nobody,
    /// A user of this relying party.
    User(UserName),
    /// Everybody who may write the database: the command line.
    CommandLine,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::User(user) => user.fmt(f),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// When something is asked for, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occasion {
    pub(crate) now: SystemTime,
    /// `None` where it is not known.
    pub(crate) address: Option<IpAddr>,
}

/// Who changes something, when, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// When: the log says so, and lifetimes begin then.
    pub now: SystemTime,
    /// From where, over HTTP; `None` where that is not known.
    pub address: Option<IpAddr>,
}

impl By {
    /// Everybody who may write the database: the command line.
    #[must_use]
    pub fn command_line(now: SystemTime) -> Self {
        Self { actor: Actor::CommandLine, now, address: None }
    }

    pub(crate) fn nobody(Occasion { now, address }: Occasion) -> Self {
        Self { actor: Actor::Nobody, now, address }
    }

    pub(crate) fn user(user: &UserName, Occasion { now, address }: Occasion) -> Self {
        Self { actor: Actor::User(user.clone()), now, address }
    }

    pub(crate) fn occasion(&self) -> Occasion {
        Occasion { now: self.now, address: self.address }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its number: higher is later.
    pub id: i64,
    /// When it happened.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub time: SystemTime,
    /// What happened.
    pub kind: EventKind,
    /// Whom it concerns: a user's name as it was then, or as somebody gave it.
    pub user: Option<String>,
    /// Who did it: a user's name, `command line` or `nobody`.
    pub actor: String,
    /// The address that the request came from; `None` where that is not known, and of commands.
    pub address: Option<String>,
    /// What there is to say about it.
    pub detail: String,
    /// What the user was told in place of the cause; [`Store::report`] has the report.
    pub report_id: Option<String>,
}

/// Which events are read.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those that concern this user.
    pub user: Option<String>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// Only those that happened at this moment or later.
    pub since: Option<SystemTime>,
    /// Only those that happened before this moment.
    pub until: Option<SystemTime>,
    /// Only those before this number.
    pub before: Option<i64>,
    /// At most so many, the latest; `None` is all.
    pub limit: Option<u32>,
}

impl Store {
    /// Events, the latest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        self.read(|connection| events(connection, filter))
    }

    /// The event and the report that a refused user was given this identifier of.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn report(&self, report_id: &str) -> Result<Option<(Event, Value)>, StoreError> {
        self.read(|connection| report(connection, report_id))
    }
}

pub(crate) fn events(connection: &Connection, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, time, kind, user, actor, detail, report_id, address FROM events
         WHERE (?1 IS NULL OR user = ?1) AND (?4 IS NULL OR kind = ?4) AND (?5 IS NULL OR time >= ?5)
         AND (?6 IS NULL OR time < ?6) AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let limit = filter.limit.map_or(-1, i64::from);
    let events = statement
        .query_map(
            params![
                filter.user,
                filter.before.unwrap_or(i64::MAX),
                limit,
                filter.kind,
                filter.since.map(milliseconds),
                filter.until.map(milliseconds)
            ],
            read_event,
        )?
        .collect::<Result<_, _>>()?;
    Ok(events)
}

pub(crate) fn report(connection: &Connection, report_id: &str) -> Result<Option<(Event, Value)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, time, kind, user, actor, detail, report_id, address, report FROM events WHERE report_id = ?1",
    )?;
    let found = statement.query_row([report_id], |row| Ok((read_event(row)?, row.get::<_, String>(8)?)));
    let Some((event, report)) = found.optional()? else {
        return Ok(None);
    };
    let report = serde_json::from_str(&report)
        .map_err(|error| StoreError::Damaged { what: format!("report {report_id}: {error}") })?;
    Ok(Some((event, report)))
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get(0)?,
        time: moment(row.get(1)?),
        kind: row.get(2)?,
        user: row.get(3)?,
        actor: row.get(4)?,
        detail: row.get(5)?,
        report_id: row.get(6)?,
        address: row.get(7)?,
    })
}

/// The longest text in an event or a report, in bytes: much of it is what somebody sent.
const MAX_TEXT_BYTES: usize = 4096;

fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text.into();
    }
    let kept = text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or_default();
    format!("{kept}… ({} bytes)", text.len()).into()
}

fn shortened(report: &Value) -> Value {
    match report {
        Value::String(text) => short(text).into(),
        Value::Array(list) => list.iter().map(shortened).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
        other => other.clone(),
    }
}

/// Adds an event, in the transaction of what it says.
pub(crate) fn record(
    connection: &Connection,
    by: &By,
    kind: EventKind,
    user: &str,
    detail: &str,
) -> Result<(), StoreError> {
    record_with_report(connection, by, kind, user, detail, None)
}

/// The same, with the report that a user was given the identifier of.
pub(crate) fn record_with_report(
    connection: &Connection,
    by: &By,
    kind: EventKind,
    user: &str,
    detail: &str,
    report: Option<(&str, &Value)>,
) -> Result<(), StoreError> {
    let By { actor, now, address } = by;
    let (report_id, report) = report.map(|(id, report)| (id, shortened(report).to_string())).unzip();
    let detail = &*short(detail);
    connection
        .prepare_cached(
            "INSERT INTO events (time, kind, user, actor, detail, report_id, report, address)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            milliseconds(*now),
            kind,
            user,
            actor.to_string(),
            detail,
            report_id,
            report,
            address.map(|address| address.to_string())
        ])?;
    tracing::info!(kind = kind.name(), user, %actor, detail, report_id, "event");
    if matches!(kind, EventKind::LoginRefused | EventKind::LoginBlocked) {
        refused_logins::log(*address, user, detail);
    }
    Ok(())
}
