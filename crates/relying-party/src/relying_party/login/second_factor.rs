//! The second step of a login: a code, a recovery key, or the answer of a security key.

use std::sync::Arc;
use std::time::SystemTime;

use keyrig_verifier::{AuthenticationResponse, Check, Outcome};
use rusqlite::Connection;
use serde_json::Value;

use super::{Account, Cause, Ceremony, LoggedIn, LoginChallenge, Proof};
use crate::RelyingParty;
use crate::audit_log::{self, By, EventKind, Occasion};
use crate::challenges::{self, Login, Purpose};
use crate::factors::{self, Stored, StoredFactor, recovery, totp, webauthn as credentials};
use crate::locks;
use crate::policy::SignatureCounter;
use crate::refusal::{Committed, Refusal};
use crate::sessions::SessionKind;
use crate::store::{StoreError, Transaction};
use crate::totp::CodeRefused;
use crate::turns::Asker;
use crate::user_name::UserId;
use crate::webauthn::{self, Page};

/// What a user answers with.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A code of TOTP.
    Totp(String),
    /// A recovery key.
    Recovery(String),
    /// The identifier of the ceremony, and `AuthenticationResponseJSON`.
    Webauthn { challenge: String, credential: Box<AuthenticationResponse>, page: Page },
    /// Something else, and what is wrong with it.
    Unreadable { reason: String },
}

/// The answer of a key, with what it answers.
pub(super) struct Assertion<'a> {
    pub(super) begun: &'a LoginChallenge,
    pub(super) response: &'a AuthenticationResponse,
    pub(super) login: webauthn::Login,
    pub(super) page: &'a Page,
}

/// A factor that was right, and of a key what its verification came to, on a site that explains.
pub(super) struct Proven<'a> {
    factor: &'a StoredFactor,
    report: Option<Value>,
}

impl<'a> From<&'a StoredFactor> for Proven<'a> {
    fn from(factor: &'a StoredFactor) -> Self {
        Self { factor, report: None }
    }
}

impl RelyingParty {
    /// A new ceremony for a login under way, such as after one that failed.
    pub(crate) async fn begin_login_ceremony(
        self: &Arc<Self>,
        asker: &Asker,
        login: String,
    ) -> Result<Ceremony, Refusal> {
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            let now = at.now;
            this.store.write(|transaction| -> Committed<Ceremony> {
                let Some((login, account)) = find(transaction, &login, now)? else {
                    return Ok(Err(Refusal::UnknownLogin));
                };
                if let Some(cause) = this.obstacle(&account, now) {
                    return Ok(Err(this.refuse(transaction, &account.user.name.to_string(), &cause, at)?));
                }
                let cause = match &this.webauthn {
                    Ok(webauthn) if !account.credentials_here(webauthn).is_empty() => {
                        return Ok(Ok(this.begin_ceremony(transaction, webauthn, &account, &login, false, now)?));
                    }
                    Ok(webauthn) => account
                        .credentials_elsewhere(webauthn)
                        .map_or(Cause::NoWebauthn, |sentence| Cause::KeysUnusable { sentence }),
                    Err(_) => Cause::NoWebauthn,
                };
                Ok(Err(this.refuse(transaction, &account.user.name.to_string(), &cause, at)?))
            })?
        })
        .await
    }

    /// Ends a login by a second factor.
    pub(crate) async fn finish_login(
        self: &Arc<Self>,
        asker: &Asker,
        login: String,
        answer: Answer,
    ) -> Result<LoggedIn, Refusal> {
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| -> Committed<LoggedIn> {
                let Some((login, account)) = find(transaction, &login, at.now)? else {
                    return Ok(Err(Refusal::UnknownLogin));
                };
                this.check_answer(transaction, &account, &login, &answer, at)
            })?
        })
        .await
    }

    fn check_answer(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        login: &Login,
        answer: &Answer,
        at: Occasion,
    ) -> Committed<LoggedIn> {
        let name = account.user.name.to_string();
        // Used up whatever follows.
        let challenge = match answer {
            Answer::Webauthn { challenge, .. } => {
                let user = Some(account.user.id);
                Some(challenges::take::<LoginChallenge>(
                    connection,
                    challenge,
                    Purpose::Login,
                    user,
                    &login.id,
                    at.now,
                )?)
            }
            _ => None,
        };
        if let Some(cause) = self.obstacle(account, at.now) {
            return Ok(Err(self.refuse(connection, &name, &cause, at)?));
        }
        let checked = match (answer, challenge) {
            (Answer::Totp(code), _) => self.check_code(connection, account, code, at.now)?,
            (Answer::Recovery(key), _) => self.check_recovery_key(connection, account, key, at)?,
            (Answer::Webauthn { credential, page, .. }, Some(Ok(challenge))) => {
                let login = challenge.login();
                let assertion = Assertion { begun: &challenge, response: credential, login, page };
                self.verify_credential(connection, account, &assertion, at)?
            }
            (Answer::Webauthn { .. }, Some(Err(gone))) => Err(Cause::ChallengeGone(gone)),
            (Answer::Webauthn { .. }, None) => Err(Cause::NoWebauthn),
            (Answer::Unreadable { reason }, _) => Err(Cause::UnreadableAnswer { reason: reason.clone() }),
        };
        let proven = match checked {
            Ok(proven) => proven,
            Err(cause) => {
                if cause.counts_as_failure() {
                    locks::count_failure(connection, &account.user, cause.is_of_totp(), at)?;
                }
                return Ok(Err(self.refuse(connection, &name, &cause, at)?));
            }
        };
        self.accept(connection, account, login, proven, at)
    }

    /// A factor was right: is it what the realm wants?
    pub(super) fn accept(
        &self,
        connection: &Transaction<'_>,
        account: &Account,
        login: &Login,
        Proven { factor, report }: Proven<'_>,
        at: Occasion,
    ) -> Committed<LoggedIn> {
        let requirement = account.requirement;
        let name = account.user.name.to_string();
        let is_recovery = matches!(factor.secret, Stored::Recovery(_));
        let is_shut_out = self.policy.oath_realm_excludes_webauthn
            && matches!(requirement, crate::realms::Requirement::Oath { .. })
            && matches!(factor.secret, Stored::Webauthn(_));
        let is_met = requirement.is_met_by(&factor.secret) && !is_shut_out;
        let is_satisfied = requirement.is_satisfied_by(&account.factors);
        let kind = if is_met || (is_recovery && (is_satisfied || !self.policy.enrol_at_login)) {
            SessionKind::Full
        } else if !is_satisfied && self.policy.enrol_at_login {
            SessionKind::Enrolment
        } else {
            return Ok(Err(self.refuse(connection, &name, &Cause::NotAccepted { requirement }, at)?));
        };
        // It leads to one session, however many send the right answer at the same time.
        if !challenges::end_login(connection, login)? {
            return Ok(Err(Refusal::UnknownLogin));
        }
        factors::mark_used(connection, account.user.id, &factor.id, at.now)?;
        let resets_totp = is_recovery || matches!(factor.secret, Stored::Totp(_));
        locks::count_success(connection, &account.user, resets_totp)?;
        let logged_in = self.begin_session(connection, account, kind, Proof::Factor(factor), at)?;
        Ok(Ok(LoggedIn { report, ..logged_in }))
    }

    fn check_code<'a>(
        &self,
        connection: &Connection,
        account: &'a Account,
        code: &str,
        now: SystemTime,
    ) -> Result<Result<Proven<'a>, Cause>, StoreError> {
        if account.user.totp_locked {
            return Ok(Err(Cause::TotpLocked));
        }
        let mut refused = None;
        for factor in account.enabled() {
            let Stored::Totp(totp) = &factor.secret else { continue };
            match totp.check(code, now) {
                Ok(accepted) => {
                    totp::accept(connection, &factor.id, accepted)?;
                    return Ok(Ok(factor.into()));
                }
                // Of several, the one whose code it was says more.
                Err(CodeRefused::Reused) => refused = Some(CodeRefused::Reused),
                Err(other) => refused = refused.or(Some(other)),
            }
        }
        Ok(Err(refused.map_or(Cause::NoTotp, Cause::WrongCode)))
    }

    fn check_recovery_key<'a>(
        &self,
        connection: &Connection,
        account: &'a Account,
        key: &str,
        at: Occasion,
    ) -> Result<Result<Proven<'a>, Cause>, StoreError> {
        for factor in account.enabled() {
            let Stored::Recovery(keys) = &factor.secret else { continue };
            let Some(number) = keys.find(key) else {
                return Ok(Err(Cause::WrongRecoveryKey));
            };
            if !recovery::use_up(connection, &factor.id, number, at.now)? {
                return Ok(Err(Cause::WrongRecoveryKey));
            }
            let (name, left) = (account.user.name.clone(), keys.remaining() - 1);
            let detail = format!("number {number}; {left} are left");
            let by = By::user(&name, at);
            audit_log::record(connection, &by, EventKind::RecoveryKeyUsed, &name.to_string(), &detail)?;
            return Ok(Ok(factor.into()));
        }
        Ok(Err(Cause::NoRecoveryKeys))
    }

    /// Verifies an answer under the record as it is now, and updates that.
    pub(super) fn verify_credential<'a>(
        &self,
        connection: &Connection,
        account: &'a Account,
        assertion: &Assertion<'_>,
        at: Occasion,
    ) -> Result<Result<Proven<'a>, Cause>, StoreError> {
        let Assertion { begun, response, login, page } = *assertion;
        // `obstacle` has seen to it that it is there if the user has credentials.
        let Ok(webauthn) = &self.webauthn else {
            return Ok(Err(Cause::NoWebauthn));
        };
        let found = account.enabled().find_map(|factor| match &factor.secret {
            Stored::Webauthn(credential) if credential.record.id == response.raw_id => Some((factor, &**credential)),
            _ => None,
        });
        let stored = found.map(|(_, credential)| credential);
        let verified = webauthn.verify_authentication(response, &begun.challenge, &begun.allowed, stored, login, page);
        let counter = verified.report.finding(Check::SignatureCounter);
        if let Some(counter) = counter.filter(|finding| finding.outcome == Outcome::Fail) {
            let detail = format!("signature counter: found {}, expected {}", counter.found, counter.expected);
            let name = account.user.name.to_string();
            audit_log::record(connection, &By::nobody(at), EventKind::CloneSuspected, &name, &detail)?;
        }
        let (Some(mut update), Some((factor, credential))) = (verified.update, found) else {
            return Ok(Err(Cause::Verification(Box::new(verified.report))));
        };
        if self.policy.signature_counter == SignatureCounter::Unsaved {
            update.sign_count = credential.record.sign_count;
        }
        credentials::update(connection, &factor.id, update)?;
        Ok(Ok(Proven { factor, report: self.accepted(&verified.report) }))
    }
}

impl Cause {
    /// Whether somebody tried a factor that was wrong. What cannot have been a guess does not count.
    fn counts_as_failure(&self) -> bool {
        matches!(
            self,
            Self::WrongCode(_)
                | Self::TotpLocked
                | Self::WrongRecoveryKey
                | Self::Verification(_)
                | Self::UnknownCredential
        )
    }

    /// Reused codes count too: one look over a shoulder yields one.
    fn is_of_totp(&self) -> bool {
        matches!(self, Self::WrongCode(_))
    }
}

/// A login under way that a password began, with the account as it is now.
fn find(connection: &Connection, token: &str, now: SystemTime) -> Result<Option<(Login, Account)>, StoreError> {
    let Some(login) = challenges::find_login(connection, token, now)? else {
        return Ok(None);
    };
    let account = login.user.map(|user: UserId| Account::load(connection, user)).transpose()?.flatten();
    Ok(account.map(|account| (login, account)))
}
