//! Login: password, then one of the factors that the user has, then a session.
//!
//! **Nothing is dropped.** A user with an enabled factor is asked for one, whatever the realm requires. If any of the
//! enabled factors cannot be checked (it cannot be read, or the settings of WebAuthn are wrong), the login is blocked; and
//! a store that fails ends the request before anything is decided.
//!
//! A step is one transaction, so that whatever it uses up (a challenge, a code, a recovery key) and what that leads to (a
//! session, or a failure that counts) are on the disk together or not at all.

mod cause;
mod passkey;
mod second_factor;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrig_verifier::Report;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub(crate) use self::cause::Cause;
pub(crate) use self::second_factor::Answer;

use crate::audit_log::{self, By, EventKind, Occasion};
use crate::challenges::{self, Login, Purpose};
use crate::directory;
use crate::factors;
use crate::factors::webauthn::StoredCredential;
use crate::factors::{FactorKind, Stored, StoredFactor};
use crate::notices::{self, Notice};
use crate::password::{Compared, Verified};
use crate::realms::{self, Realm, Requirement};
use crate::refusal::{Committed, Refusal, ReportForUser};
use crate::relying_party::state::Kept;
use crate::sessions::{self, NewSession, SessionKind};
use crate::site;
use crate::store::{StoreError, Transaction, milliseconds};
use crate::turns::Asker;
use crate::user_name::{UserId, UserName};
use crate::users::{self, User};
use crate::webauthn::{self, Webauthn};
use crate::{RelyingParty, random};

/// How long a user has between the password and the second factor; each challenge has a lifetime of its own.
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What a step of a login led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A session began; one that is for enrolment only, if the realm requires what the user does not have.
    Session(Box<LoggedIn>),
    /// A second factor is needed.
    SecondFactor(Box<Offer>),
}

/// A session that began.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) session: NewSession,
    pub(crate) user: User,
    pub(crate) notices: Vec<Notice>,
    pub(crate) requirement: Requirement,
    /// What the verification of a key's answer came to, on a site that explains.
    pub(crate) report: Option<Value>,
}

/// The factors that a user can choose from.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Offer {
    /// The secret identifier of the login under way.
    pub(crate) login: String,
    /// Whether a code of TOTP will do.
    pub(crate) totp: bool,
    /// Whether there is TOTP, but locked.
    pub(crate) totp_locked: bool,
    /// How many recovery keys are left.
    pub(crate) recovery: Option<usize>,
    /// The numbers of those.
    pub(crate) recovery_unused: Vec<u32>,
    /// The ceremony that a security key can end.
    pub(crate) webauthn: Option<Ceremony>,
    /// Which keys are for another RP ID than this site's, in a sentence: they are not offered, as no browser would use them.
    pub(crate) unusable_keys: Option<String>,
}

/// A ceremony that has begun.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Ceremony {
    /// Its secret identifier.
    pub(crate) challenge: String,
    /// What the page hands to `navigator.credentials`: `{"publicKey": ..}`.
    #[schema(value_type = Object)]
    pub(crate) options: Value,
}

/// What the end of a login ceremony needs to know.
#[derive(Serialize, Deserialize)]
struct LoginChallenge {
    challenge: Vec<u8>,
    allowed: Vec<Vec<u8>>,
    /// Whether the key has to verify the user, beside what the policy says. Logins that an earlier version began do not say.
    #[serde(default)]
    verify_user: bool,
}

impl LoginChallenge {
    /// What a key answers after a password.
    fn login(&self) -> webauthn::Login {
        if self.verify_user { webauthn::Login::VerifiedSecondFactor } else { webauthn::Login::SecondFactor }
    }
}

/// A password that somebody gave for a name.
struct GivenPassword {
    name: UserName,
    /// Whose it was compared with.
    user: Option<UserId>,
    compared: Compared,
}

/// What a session begins with.
#[derive(Clone, Copy)]
pub(super) enum Proof<'f> {
    /// The password, and no factor.
    Password,
    /// Nothing: a policy has the hole of CVE-2023-54391.
    Nothing,
    /// A second factor, behind the password or as a passkey.
    Factor(&'f StoredFactor),
}

/// A user who is logging in, as of one transaction.
pub(super) struct Account {
    pub(super) user: User,
    requirement: Requirement,
    /// Whether a directory has to say who somebody is.
    is_of_directory: bool,
    factors: Vec<StoredFactor>,
}

impl Account {
    pub(super) fn load(connection: &Connection, user: UserId) -> Result<Option<Self>, StoreError> {
        let Some(user) = users::by_id(connection, user)? else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged { what: format!("the realm {} of a user is missing", user.name.realm()) };
        let Realm { requirement, kind, .. } = realms::find(connection, user.name.realm())?.ok_or_else(damaged)?;
        let factors = factors::load(connection, user.id)?;
        Ok(Some(Self { user, requirement, is_of_directory: kind.is_directory(), factors }))
    }

    fn enabled(&self) -> impl Iterator<Item = &StoredFactor> {
        self.factors.iter().filter(|factor| factor.enabled)
    }

    fn has_factors(&self) -> bool {
        self.enabled().next().is_some()
    }

    fn credentials(&self) -> impl Iterator<Item = &StoredCredential> {
        self.enabled().filter_map(StoredFactor::credential)
    }

    /// Those that browsers use on this site.
    pub(super) fn credentials_here(&self, webauthn: &Webauthn) -> Vec<&StoredCredential> {
        self.credentials().filter(|credential| credential.rp_id == webauthn.settings.rp_id).collect()
    }

    /// Which are for another RP ID, in a sentence.
    fn credentials_elsewhere(&self, webauthn: &Webauthn) -> Option<String> {
        let keys = self.credentials().map(|credential| credential.rp_id.as_str());
        site::keys_elsewhere(&webauthn.settings.rp_id, keys)
    }
}

impl RelyingParty {
    /// The first step: a password.
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        asker: &Asker,
        name: UserName,
        password: Zeroizing<String>,
    ) -> Result<Step, Refusal> {
        let given = self.compare_password(asker, name, password).await?;
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| this.settle_password(transaction, &given, at))?
        })
        .await
    }

    /// Compares a password. What follows from it is decided within a transaction, by [`Self::settle_password`].
    async fn compare_password(
        self: &Arc<Self>,
        asker: &Asker,
        name: UserName,
        password: Zeroizing<String>,
    ) -> Result<GivenPassword, Refusal> {
        let wanted = name.clone();
        let (user, kept) = self
            .work_for(asker, move |this| {
                this.store.read(|connection| -> Result<_, Refusal> {
                    let directory = directory::find(connection, wanted.realm())?;
                    let user = directory::find_user(connection, directory.as_ref(), &wanted)?;
                    let hash = user.as_ref().map(|user| users::local_password(connection, user.id)).transpose()?;
                    Ok((user, Kept { hash: hash.flatten(), directory }))
                })
            })
            .await?;
        // In every case, so that the time of the answer does not tell who exists.
        let whose = user.as_ref().map_or(&name, |user| &user.name).clone();
        let compared = self.compare(asker, &whose, password, kept).await?;
        Ok(GivenPassword { name, user: user.map(|user| user.id), compared })
    }

    /// What a password leads to, as everything is now.
    fn settle_password(&self, connection: &Transaction<'_>, given: &GivenPassword, at: Occasion) -> Committed<Step> {
        let account = given.user.map(|user| Account::load(connection, user)).transpose()?.flatten();
        let cause = match &account {
            None => Some(Cause::UnknownUser),
            Some(_) if !given.compared.had_password() => Some(Cause::NoPassword),
            Some(account) if account.user.standing.is_some() => Some(Cause::KeptOutByDirectory),
            Some(account) if !account.user.enabled => Some(Cause::UserDisabled),
            Some(account) if account.user.is_over(at.now) => Some(Cause::UserExpired),
            Some(account) if let Some(unavailable) = given.compared.unavailable() => {
                let realm = account.user.name.realm().to_owned();
                Some(Cause::DirectoryUnavailable { realm, reason: unavailable.reason.clone() })
            }
            Some(account) => match given.compared.verified() {
                Verified::Wrong if let Some(cause) = given.compared.of_directory().and_then(Cause::of_directory) => {
                    Some(cause)
                }
                Verified::Wrong => Some(Cause::WrongPassword),
                Verified::Unreadable => Some(Cause::PasswordUnreadable),
                Verified::Right => {
                    let stored = users::local_password(connection, account.user.id)?;
                    (!given.compared.still_holds(stored.as_ref())).then_some(Cause::PasswordChanged)
                }
            },
        };
        match (account, cause) {
            (Some(account), None) => self.after_password(connection, &account, Proof::Password, at),
            (_, cause) => {
                let cause = cause.unwrap_or(Cause::UnknownUser);
                Ok(Err(self.refuse(connection, &given.name.to_string(), &cause, at)?))
            }
        }
    }

    /// What follows a password, without one.
    pub(super) fn danger_skip_password(
        &self,
        connection: &Transaction<'_>,
        name: &UserName,
        at: Occasion,
    ) -> Committed<Step> {
        let user = users::find(connection, name)?;
        match user.map(|user| Account::load(connection, user.id)).transpose()?.flatten() {
            Some(account) => self.after_password(connection, &account, Proof::Nothing, at),
            None => Ok(Err(self.refuse(connection, &name.to_string(), &Cause::UnknownUser, at)?)),
        }
    }

    /// The password was right, or not asked for.
    fn after_password(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        proof: Proof<'_>,
        at: Occasion,
    ) -> Committed<Step> {
        let name = account.user.name.to_string();
        if let Some(cause) = self.obstacle(account, at.now) {
            return Ok(Err(self.refuse(connection, &name, &cause, at)?));
        }
        if !account.has_factors() {
            return self.without_factor(connection, account, proof, at);
        }
        let (token, login) = challenges::begin_login(connection, account.user.id, at.now, LOGIN_LIFETIME)?;
        let offer = self.offer(connection, account, &login, token, at.now)?;
        if !offer.totp && offer.recovery.is_none() && offer.webauthn.is_none() {
            // Keys for another RP ID; only TOTP, and that is locked; or recovery keys that are used up.
            let cause = match offer.unusable_keys {
                Some(sentence) => Cause::KeysUnusable { sentence },
                None if offer.totp_locked => Cause::TotpLocked,
                None => Cause::NoRecoveryKeys,
            };
            return Ok(Err(self.refuse(connection, &name, &cause, at)?));
        }
        Ok(Ok(Step::SecondFactor(Box::new(offer))))
    }

    /// The password was right, and there is no factor to ask for.
    fn without_factor(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        proof: Proof<'_>,
        at: Occasion,
    ) -> Committed<Step> {
        let kind = match account.requirement {
            Requirement::None => SessionKind::Full,
            _ if self.policy.enrol_at_login => SessionKind::Enrolment,
            requirement => {
                let (name, detail) = (account.user.name.to_string(), format!("lacks what is required: {requirement}"));
                audit_log::record(connection, &By::nobody(at), EventKind::LoginRefused, &name, &detail)?;
                return Ok(Err(Refusal::FactorRequired { requirement }));
            }
        };
        let logged_in = self.begin_session(connection, account, kind, proof, at)?;
        Ok(Ok(Step::Session(Box::new(logged_in))))
    }

    /// What keeps a user from logging in who knows the password.
    pub(super) fn obstacle(&self, account: &Account, now: SystemTime) -> Option<Cause> {
        if account.user.standing.is_some() {
            return Some(Cause::KeptOutByDirectory);
        }
        if !account.user.enabled {
            return Some(Cause::UserDisabled);
        }
        if account.user.is_over(now) {
            return Some(Cause::UserExpired);
        }
        if let Some(until) = account.user.locked_until
            && account.user.is_locked(now)
        {
            return Some(Cause::AccountLocked { until });
        }
        account.enabled().find_map(|factor| {
            let reason = match (&factor.secret, &self.webauthn) {
                (Stored::Unreadable { reason, .. }, _) => reason,
                (Stored::Webauthn(_), Err(problem)) => problem,
                _ => return None,
            };
            Some(Cause::Unservable { factor: factor.describe(), reason: reason.clone() })
        })
    }

    /// The factors that this user can choose from.
    fn offer(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        login: &Login,
        token: String,
        now: SystemTime,
    ) -> Result<Offer, StoreError> {
        let mut offer = Offer { login: token, ..Offer::default() };
        // Where the user has what the realm requires, that is asked for. The policy that shuts security keys out of `oath`
        // offers them all the same, as Proxmox VE does.
        let is_satisfied = account.requirement.is_satisfied_by(&account.factors);
        for factor in account.enabled() {
            let is_met = account.requirement.is_met_by(&factor.secret);
            match &factor.secret {
                Stored::Totp(_) if is_met || !is_satisfied => {
                    offer.totp_locked = account.user.totp_locked;
                    offer.totp = !account.user.totp_locked;
                }
                Stored::Recovery(keys) if keys.remaining() > 0 => {
                    offer.recovery = Some(keys.remaining());
                    offer.recovery_unused = keys.unused();
                }
                _ => {}
            }
        }
        if let Ok(webauthn) = &self.webauthn {
            offer.unusable_keys = account.credentials_elsewhere(webauthn);
            if !account.credentials_here(webauthn).is_empty() {
                offer.webauthn = Some(self.begin_ceremony(connection, webauthn, account, login, false, now)?);
            }
        }
        Ok(offer)
    }

    pub(super) fn begin_ceremony(
        &self,
        connection: &Transaction<'_>,
        webauthn: &Webauthn,
        account: &Account,
        login: &Login,
        verify_user: bool,
        now: SystemTime,
    ) -> Result<Ceremony, StoreError> {
        let allowed = account.credentials_here(webauthn);
        let challenge = random::bytes::<32>(connection.random);
        let state = LoginChallenge {
            challenge: challenge.to_vec(),
            allowed: allowed.iter().map(|credential| credential.record.id.clone()).collect(),
            verify_user,
        };
        let options = webauthn.request_options(&challenge, &allowed, state.login());
        let lifetime = self.policy.challenge_lifetime;
        let challenge =
            challenges::begin(connection, Purpose::Login, Some(account.user.id), &login.id, &state, now, lifetime)?;
        Ok(Ceremony { challenge, options })
    }

    /// Everything was right: a session begins, or enrolment if the realm requires what the user does not have.
    fn begin_session(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        kind: SessionKind,
        proof: Proof<'_>,
        at: Occasion,
    ) -> Result<LoggedIn, StoreError> {
        let user = &account.user;
        let (factor, by) = match proof {
            Proof::Password => (None, "by password".to_owned()),
            Proof::Nothing => (None, "without a password, by the hole of CVE-2023-54391".to_owned()),
            Proof::Factor(factor) => (Some(factor), format!("by {} {:?}", kind_of(&factor.secret), factor.description)),
        };
        // Who has only just given the password need not give it again for the enrolment that it leads to.
        let begun_by = factor.map(|factor| factor.id.as_str());
        let session = sessions::begin(connection, user.id, kind, kind == SessionKind::Enrolment, begun_by, at)?;
        connection
            .prepare_cached("UPDATE users SET last_login = ? WHERE id = ?")?
            .execute(params![milliseconds(at.now), user.id])?;
        let detail = match kind {
            SessionKind::Full => by,
            SessionKind::Enrolment => format!("{by}, for enrolment only: {} is required", account.requirement),
        };
        let by = By::user(&user.name, at);
        audit_log::record(connection, &by, EventKind::LoggedIn, &user.name.to_string(), &detail)?;
        let factors = factors::load(connection, user.id)?;
        Ok(LoggedIn {
            session,
            notices: notices::of(user, &factors, self.rp_id()),
            user: user.clone(),
            requirement: account.requirement,
            report: None,
        })
    }

    /// Writes down why a login is refused, and makes the answer that is the same for every cause.
    pub(super) fn refuse(
        &self,
        connection: &Transaction<'_>,
        user: &str,
        cause: &Cause,
        at: Occasion,
    ) -> Result<Refusal, StoreError> {
        let is_blocked = matches!(
            cause,
            Cause::Unservable { .. }
                | Cause::DirectoryUnavailable { .. }
                | Cause::KeysUnusable { .. }
                | Cause::TicketTooLong
        );
        let kind = if is_blocked { EventKind::LoginBlocked } else { EventKind::LoginRefused };
        let report = self.write_report(connection, kind, user, cause, &By::nobody(at))?;
        Ok(match cause {
            // The password was right: its user may know what is wrong with the keys.
            Cause::KeysUnusable { sentence } => Refusal::KeysUnusable { sentence: sentence.clone(), report },
            _ if is_blocked => Refusal::LoginBlocked { report },
            _ => Refusal::AuthenticationFailed { report },
        })
    }

    /// What the user is told of a verification that refuses nothing: as of one that does, without a cause.
    pub(super) fn accepted(&self, verification: &Report) -> Option<Value> {
        self.explain.then(|| json!({ "verification": verification }))
    }

    /// Writes a report, and says what the user is told of it.
    pub(super) fn write_report(
        &self,
        connection: &Transaction<'_>,
        kind: EventKind,
        user: &str,
        cause: &Cause,
        by: &By,
    ) -> Result<ReportForUser, StoreError> {
        let (id, report) = (random::name(connection.random), cause.report());
        let detail = cause.explanation();
        audit_log::record_with_report(connection, by, kind, user, &detail, Some((&id, &report)))?;
        Ok(ReportForUser { id, explanation: self.explain.then_some(report) })
    }
}

/// What a factor is called in events.
fn kind_of(secret: &Stored) -> &'static str {
    match secret {
        Stored::Webauthn(_) => FactorKind::Webauthn.name(),
        Stored::Totp(_) => FactorKind::Totp.name(),
        Stored::Recovery(_) => FactorKind::Recovery.name(),
        Stored::Unreadable { .. } => "unreadable",
    }
}

#[cfg(test)]
mod tests;
