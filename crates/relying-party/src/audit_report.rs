//! Who has which factors, when they were last used, and who needs looking after: as text, CSV and JSON.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;
use x509_cert::der::DateTime;

use crate::api_tokens::{self, ApiToken};
use crate::audit_log::Event;
use crate::factors::{self, Factor, FactorDetail};
use crate::printable::printable;
use crate::realms::{self, Requirement};
use crate::recovery_keys::FEW_RECOVERY_KEYS;
use crate::sessions::{SessionEntry, SessionKind};
use crate::site;
use crate::store::{Store, StoreError, unix_time};
use crate::users::{self, User};

/// Everybody, and what there is to say about each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditReport {
    /// As of when.
    #[serde(serialize_with = "unix_time::serialize")]
    pub time: SystemTime,
    /// The users, by realm and name.
    pub users: Vec<AuditedUser>,
}

/// A user, the factors, and what there is to say about them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditedUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// What the realm requires.
    pub requirement: Requirement,
    /// The factors, the oldest first.
    pub factors: Vec<Factor>,
    /// The tokens for programs, by name: good without password and factor, whatever becomes of these.
    pub tokens: Vec<ApiToken>,
    /// What there is to say, the gravest first.
    pub findings: Vec<Finding>,
}

/// Something that an administrator should know of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The database has a factor that cannot be read: it blocks the login.
    FactorUnreadable,
    /// Too many failures in a row: nobody is let in for a while.
    Locked,
    /// Too many wrong codes: a recovery key or an administrator lifts it.
    TotpLocked,
    /// Security keys for another RP ID than the site's: no browser uses them here.
    KeysUnusable,
    /// Security keys and nothing else, where the realm requires codes and the policy lets no key pass.
    KeysNotAccepted,
    /// No factor beside the password.
    NoFactor,
    /// Factors, and none of the kind that the realm requires.
    LacksRequiredFactor,
    /// One factor and nothing to fall back on.
    OnlyOneFactor,
    /// An administrator with one security key: somebody who may change others, their rights, or realms.
    OnlyOneSecurityKey,
    /// Factors, and no recovery keys that are left.
    NoRecoveryKeys,
    /// Three recovery keys or fewer are left.
    FewRecoveryKeys,
    /// A factor is there and disabled.
    FactorDisabled,
    /// The user cannot log in.
    UserDisabled,
}

impl Finding {
    /// Its words, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::FactorUnreadable => "has a factor that cannot be read, and cannot log in",
            Self::Locked => "is locked",
            Self::TotpLocked => "is locked out of TOTP",
            Self::KeysUnusable => "has security keys for another RP ID, which no browser uses here",
            Self::KeysNotAccepted => "has security keys alone, which the realm does not accept: cannot log in",
            Self::NoFactor => "has no second factor",
            Self::LacksRequiredFactor => "lacks the factor that the realm requires",
            Self::OnlyOneFactor => "has only one factor",
            Self::OnlyOneSecurityKey => "is an administrator with only one security key",
            Self::NoRecoveryKeys => "has no recovery keys",
            Self::FewRecoveryKeys => "has few recovery keys left",
            Self::FactorDisabled => "has a factor that is disabled",
            Self::UserDisabled => "is disabled",
        }
    }

    /// Its stable name, as in JSON and CSV.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FactorUnreadable => "factor_unreadable",
            Self::Locked => "locked",
            Self::TotpLocked => "totp_locked",
            Self::KeysUnusable => "keys_unusable",
            Self::KeysNotAccepted => "keys_not_accepted",
            Self::NoFactor => "no_factor",
            Self::LacksRequiredFactor => "lacks_required_factor",
            Self::OnlyOneFactor => "only_one_factor",
            Self::OnlyOneSecurityKey => "only_one_security_key",
            Self::NoRecoveryKeys => "no_recovery_keys",
            Self::FewRecoveryKeys => "few_recovery_keys",
            Self::FactorDisabled => "factor_disabled",
            Self::UserDisabled => "user_disabled",
        }
    }
}

impl Store {
    /// The report on everybody.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn audit(&self, now: SystemTime) -> Result<AuditReport, StoreError> {
        self.read(|connection| {
            let users = audited(connection, users::all(connection)?, now)?;
            Ok(AuditReport { time: now, users })
        })
    }
}

/// What there is to say about these users.
pub(crate) fn audited(
    connection: &Connection,
    users: Vec<User>,
    now: SystemTime,
) -> Result<Vec<AuditedUser>, StoreError> {
    let realms = realms::all(connection)?;
    let excludes_keys = site::find(connection)?.is_some_and(|site| site.oath_realm_excludes_webauthn);
    let audited = |(user, factors): (User, Vec<Factor>)| {
        let realm = realms.iter().find(|realm| realm.name == user.name.realm());
        let requirement = realm.map_or(Requirement::None, |realm| realm.requirement);
        let keys_count = !(excludes_keys && matches!(requirement, Requirement::Oath { .. }));
        let findings = findings(&user, requirement, keys_count, &factors, now);
        let tokens = api_tokens::of(connection, &user)?;
        Ok(AuditedUser { user, requirement, factors, tokens, findings })
    };
    factors::of_users(connection, users)?.into_iter().map(audited).collect()
}

/// `keys_count` is whether a security key is what the realm requires.
fn findings(
    user: &User,
    requirement: Requirement,
    keys_count: bool,
    factors: &[Factor],
    now: SystemTime,
) -> Vec<Finding> {
    let is_elsewhere = |factor: &Factor| matches!(factor.detail, FactorDetail::Webauthn { usable: false, .. });
    let keys_elsewhere = factors.iter().any(|factor| factor.enabled && is_elsewhere(factor));
    let enabled = || factors.iter().filter(|factor| factor.enabled && !is_elsewhere(factor));
    let security_keys = enabled().filter(|factor| matches!(factor.detail, FactorDetail::Webauthn { .. })).count();
    let recovery_keys: usize = enabled()
        .map(|factor| match factor.detail {
            FactorDetail::Recovery { remaining, .. } => remaining,
            _ => 0,
        })
        .sum();
    // Recovery keys are what one falls back on.
    let proper = enabled().filter(|factor| !matches!(factor.detail, FactorDetail::Recovery { .. })).count();
    let unreadable = enabled().any(|factor| matches!(factor.detail, FactorDetail::Unreadable { .. }));
    let meets = |factor: &Factor| match (&factor.detail, requirement) {
        (_, Requirement::None) => true,
        (FactorDetail::Webauthn { .. }, _) => keys_count,
        (FactorDetail::Totp { .. }, Requirement::Any) => true,
        (FactorDetail::Totp { digits, step, .. }, Requirement::Oath { digits: wanted, step: every }) => {
            (*digits, *step) == (wanted, u64::from(every))
        }
        _ => false,
    };
    let has_any = proper > 0 || keys_elsewhere;
    let lacks = has_any && requirement != Requirement::None && !enabled().any(meets);
    let only_keys = security_keys > 0 && security_keys == proper && recovery_keys == 0;
    let found = [
        (Finding::FactorUnreadable, unreadable),
        (Finding::Locked, user.is_locked(now)),
        (Finding::TotpLocked, user.totp_locked),
        (Finding::KeysUnusable, keys_elsewhere),
        (Finding::KeysNotAccepted, only_keys && !keys_count),
        (Finding::NoFactor, !has_any),
        (Finding::LacksRequiredFactor, lacks),
        (Finding::OnlyOneFactor, proper == 1 && recovery_keys == 0),
        (Finding::OnlyOneSecurityKey, user.privileges.may_change_others() && security_keys == 1),
        (Finding::NoRecoveryKeys, has_any && recovery_keys == 0),
        (Finding::FewRecoveryKeys, (1..=FEW_RECOVERY_KEYS).contains(&recovery_keys)),
        (Finding::FactorDisabled, factors.iter().any(|factor| !factor.enabled)),
        (Finding::UserDisabled, !user.enabled),
    ];
    found.into_iter().filter(|(_, is_so)| *is_so).map(|(finding, _)| finding).collect()
}

impl AuditReport {
    /// The users of a realm who can log in and lack what it requires.
    #[must_use]
    pub fn lacking(&self, realm: &str) -> Vec<String> {
        let lacks = |audited: &&AuditedUser| {
            let lack = |finding: &Finding| matches!(finding, Finding::NoFactor | Finding::LacksRequiredFactor);
            audited.user.name.realm() == realm
                && audited.user.enabled
                && audited.requirement != Requirement::None
                && audited.findings.iter().any(lack)
        };
        self.users.iter().filter(lacks).map(|audited| audited.user.name.to_string()).collect()
    }

    /// For people: a user a paragraph, and at the end what needs looking after.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for audited in &self.users {
            let AuditedUser { user, requirement, factors, tokens, findings } = audited;
            let login = user.last_login.map_or("never logged in".to_owned(), |at| format!("last login {}", date(at)));
            line(&mut text, format_args!("{}  {}, {login}", user.name, user.privileges.words()));
            if *requirement != Requirement::None {
                line(&mut text, format_args!("    realm {} requires {requirement}", user.name.realm()));
            }
            for factor in factors {
                line(&mut text, format_args!("    {}", factor_text(factor)));
            }
            for token in tokens {
                line(&mut text, format_args!("    {}", token.text()));
            }
            if let Some(until) = user.locked_until.filter(|_| user.is_locked(self.time)) {
                line(&mut text, format_args!("  ! is locked until {}", date(until)));
            }
            for finding in findings.iter().filter(|finding| **finding != Finding::Locked) {
                line(&mut text, format_args!("  ! {}", finding.words()));
            }
        }
        let with = |finding: Finding| self.users.iter().filter(|user| user.findings.contains(&finding)).count();
        text.push('\n');
        line(
            &mut text,
            format_args!(
                "{} user{}: {} without a second factor, {} with only one, {} locked, {} locked out of TOTP, {} with API tokens",
                self.users.len(),
                if self.users.len() == 1 { "" } else { "s" },
                with(Finding::NoFactor),
                with(Finding::OnlyOneFactor),
                with(Finding::Locked),
                with(Finding::TotpLocked),
                self.users.iter().filter(|user| !user.tokens.is_empty()).count()
            ),
        );
        text
    }

    /// For spreadsheets (RFC 4180): a line per factor and token, and one for a user who has none. What a spreadsheet would take
    /// for a formula has a `'` before it.
    pub fn csv(&self) -> String {
        let mut text = "user,role,user_enabled,last_login,locked_until,totp_locked,realm_requires,findings,factor,id,description,created,last_used,enabled,detail\r\n".to_owned();
        for AuditedUser { user, requirement, factors, tokens, findings } in &self.users {
            let findings: Vec<_> = findings.iter().map(|finding| finding.name()).collect();
            let of_user = [
                user.name.to_string(),
                user.role.name().to_owned(),
                user.enabled.to_string(),
                user.last_login.map(date).unwrap_or_default(),
                user.locked_until.filter(|_| user.is_locked(self.time)).map(date).unwrap_or_default(),
                user.totp_locked.to_string(),
                requirement.tfa_option().unwrap_or_default(),
                findings.join(" "),
            ];
            let of_factor = |factor: &Factor| {
                [
                    factor.kind().to_owned(),
                    factor.id.clone(),
                    factor.description.clone(),
                    date(factor.created),
                    factor.last_used.map(date).unwrap_or_default(),
                    factor.enabled.to_string(),
                    detail(&factor.detail),
                ]
            };
            for factor in factors {
                record(&mut text, of_user.iter().chain(&of_factor(factor)));
            }
            for token in tokens {
                let of_token = [
                    "api_token".to_owned(),
                    token.name.clone(),
                    token.comment.clone(),
                    date(token.created),
                    String::new(),
                    (!token.is_over(self.time)).to_string(),
                    token_detail(token),
                ];
                record(&mut text, of_user.iter().chain(&of_token));
            }
            if factors.is_empty() && tokens.is_empty() {
                record(&mut text, of_user.iter().chain(&<[String; 7]>::default()));
            }
        }
        text
    }
}

/// A factor on a line, for people.
pub(crate) fn factor_text(factor: &Factor) -> String {
    let used = factor.last_used.map_or("never used".to_owned(), |at| format!("last used {}", date(at)));
    let disabled = if factor.enabled { "" } else { ", disabled" };
    let detail = detail(&factor.detail);
    let text = format!(
        "{:<9} {}  {:?}  added {}, {used}{disabled}; {detail}",
        factor.kind(),
        factor.id,
        factor.description,
        date(factor.created),
    );
    printable(&text).into_owned()
}

impl Factor {
    /// A line about it, for people: kind, identifier, description, dates.
    #[must_use]
    pub fn text(&self) -> String {
        factor_text(self)
    }
}

impl ApiToken {
    /// A line about it, for people: name, comment, since when, until when, what it may do.
    #[must_use]
    pub fn text(&self) -> String {
        let comment = if self.comment.is_empty() { String::new() } else { format!("  {:?}", self.comment) };
        let (created, detail) = (date(self.created), token_detail(self));
        printable(&format!("api token {}{comment}  added {created}; {detail}", self.name)).into_owned()
    }
}

fn token_detail(token: &ApiToken) -> String {
    let own = token.privileges.names();
    let may = match (token.privilege_separated, own.as_slice()) {
        (false, _) => "what its user may".to_owned(),
        (true, []) => "what any user may".to_owned(),
        (true, own) => format!("what any user may, and {}", own.join(", ")),
    };
    let end = token.expires.map_or("never expires".to_owned(), |at| format!("expires {}", date(at)));
    format!("may do {may}, {end}")
}

impl SessionEntry {
    /// A line about it, for people: what it is called, since when, until when, from where and by what.
    #[must_use]
    pub fn text(&self) -> String {
        let from = self.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
        let by = self.factor.as_ref().map(|factor| format!(" by {factor:?}")).unwrap_or_default();
        let kind = if self.kind == SessionKind::Enrolment { ", for enrolment only" } else { "" };
        let (began, expires) = (date(self.began), date(self.expires));
        printable(&format!("{}  {began} to {expires}{from}{by}{kind}", self.id)).into_owned()
    }
}

impl Event {
    /// A line about it, for people: when, what, whom it concerns, by whom.
    #[must_use]
    pub fn text(&self) -> String {
        let user = self.user.as_deref().filter(|user| !user.is_empty()).unwrap_or("-");
        let report = self.report_id.as_ref().map(|id| format!(" (report {id})")).unwrap_or_default();
        let detail = if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let from = self.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
        let text = format!("{} {} {user} by {}{from}{detail}{report}", date(self.time), self.kind.name(), self.actor);
        printable(&text).into_owned()
    }
}

fn detail(detail: &FactorDetail) -> String {
    match detail {
        FactorDetail::Webauthn { passkey, rp_id, usable, counter, backup_eligible, .. } => {
            let passkey = if *passkey { "a passkey " } else { "" };
            let synced = if *backup_eligible { ", may be synchronised" } else { "" };
            let unusable = if *usable { "" } else { ", where no browser uses it: this site has another RP ID" };
            format!("{passkey}for {rp_id}{unusable}, counter {counter}{synced}")
        }
        FactorDetail::Totp { algorithm, digits, step, drift } => {
            let drift = drift.filter(|drift| *drift != 0).map(|drift| format!(", clock off by {drift:+} steps"));
            format!("{algorithm}, {digits} digits every {step} s{}", drift.unwrap_or_default())
        }
        FactorDetail::Recovery { remaining, of } => format!("{remaining} of {of} left"),
        FactorDetail::Unreadable { reason, .. } => format!("cannot be read: {reason}"),
    }
}

/// A moment as RFC 3339 has it, to the second, UTC.
pub(crate) fn date(time: SystemTime) -> String {
    DateTime::from_system_time(time).map_or_else(|_| "an impossible time".to_owned(), |time| time.to_string())
}

/// A text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "write a time as events have it (2026-11-29T15:00:00Z), a day (2026-11-29), or how long ago it was (90s, 30m, 2h, 7d)"
)]
pub struct InvalidMoment;

/// Reads a moment: a time as RFC 3339 has it to the second in UTC, the beginning of a day, or how long ago it was.
///
/// # Errors
/// [`InvalidMoment`] if it is none of these.
pub fn read_moment(text: &str, now: SystemTime) -> Result<SystemTime, InvalidMoment> {
    let ago = ["s", "m", "h", "d"].into_iter().zip([1, 60, 3600, 86_400]).find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?.parse::<u32>().ok()?;
        now.checked_sub(Duration::from_secs(u64::from(number) * seconds))
    });
    let dated = || {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        text.parse::<DateTime>().ok().map(|time| time.to_system_time())
    };
    ago.or_else(dated).ok_or(InvalidMoment)
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", printable(&arguments.to_string()));
}

fn record<'a>(text: &mut String, cells: impl Iterator<Item = &'a String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(',');
        }
        let cell = printable(cell);
        let formula = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        if cell.contains([',', '"', '\r', '\n']) {
            let _ = write!(text, "\"{formula}{}\"", cell.replace('"', "\"\""));
        } else {
            let _ = write!(text, "{formula}{cell}");
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests;
