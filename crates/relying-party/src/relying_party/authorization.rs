//! What a session may do, found out where it is done: **nobody gets at the store for a session but through a [`Claim`], and
//! it is looked at within the transaction that acts on it.**
//!
//! A request's head comes long before the rest of it, and much can happen in between: the session is ended, its user is
//! disabled or has another role, the confirmation expires. So a face carries nothing but the claim away from the head.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::Connection;
use subtle::ConstantTimeEq;

use super::state::RelyingParty;
use crate::audit_log::By;
use crate::factors;
use crate::realms;
use crate::refusal::{Committed, Refusal};
use crate::sessions::{self, CONFIRMATION_LIFETIME, SessionKind, StoredSession};
use crate::store::{StoreError, Transaction};
use crate::user_name::UserName;
use crate::users::{self, Role, User};

/// A session that was presented, is there and not over, of a user who may log in.
#[derive(Debug)]
pub(crate) struct Session {
    /// What the store calls it.
    pub(crate) id: [u8; 32],
    pub(crate) user: User,
    pub(crate) kind: SessionKind,
    pub(crate) csrf_token: String,
    pub(crate) expires: SystemTime,
    confirmed: Option<SystemTime>,
}

/// What a session has to be good for.
pub(crate) trait Right: Send + 'static {
    /// # Errors
    /// What the session lacks.
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal>;
}

/// Being anybody's session, one for enrolment too.
#[derive(Debug)]
pub(crate) struct Present;

/// Adding the factor that the realm requires, or another one: the password was given again lately.
#[derive(Debug)]
pub(crate) struct Enrol;

/// What concerns the user alone.
#[derive(Debug)]
pub(crate) struct Own;

/// Changing what concerns the user alone: the password was given again lately.
#[derive(Debug)]
pub(crate) struct ChangeOwn;

/// Seeing what concerns others.
#[derive(Debug)]
pub(crate) struct Audit;

/// Seeing and doing what is for administrators and changes neither users, nor factors, nor realms.
#[derive(Debug)]
pub(crate) struct Administer;

/// Changing users, factors and realms: the password was given again lately.
#[derive(Debug)]
pub(crate) struct ChangeOthers;

impl Right for Present {
    fn check(_: &Session, _: SystemTime) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Right for Enrol {
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal> {
        if session.is_confirmed(now) { Ok(()) } else { Err(Refusal::ConfirmationRequired) }
    }
}

impl Right for Own {
    fn check(session: &Session, _: SystemTime) -> Result<(), Refusal> {
        match session.kind {
            SessionKind::Full => Ok(()),
            SessionKind::Enrolment => Err(Refusal::EnrolmentOnly),
        }
    }
}

impl Right for ChangeOwn {
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal> {
        Own::check(session, now)?;
        Enrol::check(session, now)
    }
}

impl Right for Audit {
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal> {
        Own::check(session, now)?;
        match session.user.role {
            Role::Administrator | Role::Auditor => Ok(()),
            Role::User => Err(Refusal::Forbidden { needed: "administrator or auditor" }),
        }
    }
}

impl Right for Administer {
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal> {
        Own::check(session, now)?;
        match session.user.role {
            Role::Administrator => Ok(()),
            Role::Auditor | Role::User => Err(Refusal::Forbidden { needed: "administrator" }),
        }
    }
}

impl Right for ChangeOthers {
    fn check(session: &Session, now: SystemTime) -> Result<(), Refusal> {
        Administer::check(session, now)?;
        Enrol::check(session, now)
    }
}

/// What somebody says to be allowed to do: a session's token, for one right. Nothing is proved by having one.
pub(crate) struct Claim<R> {
    token: String,
    /// The token against cross-site requests, as it came with a request that changes something.
    csrf_token: Option<Vec<u8>>,
    right: PhantomData<fn() -> R>,
}

impl<R: Right> Claim<R> {
    /// For seeing something.
    pub(crate) fn to_see(token: String) -> Self {
        Self { token, csrf_token: None, right: PhantomData }
    }

    /// For changing something, with the token that cross-site requests cannot have.
    pub(crate) fn to_change(token: String, csrf_token: Vec<u8>) -> Self {
        Self { token, csrf_token: Some(csrf_token), right: PhantomData }
    }

    /// The session, as it is in this transaction.
    fn prove(&self, connection: &Connection, now: SystemTime) -> Result<Session, Refusal> {
        let found = sessions::find(connection, &self.token, now)?.ok_or(Refusal::NotLoggedIn)?;
        let StoredSession { id, user, kind, csrf_token, expires, confirmed } = found;
        let user = users::by_id(connection, user)?.filter(|user| user.enabled).ok_or(Refusal::NotLoggedIn)?;
        let session = Session { id, user, kind, csrf_token, expires, confirmed };
        let is_foreign = |token: &Vec<u8>| !bool::from(token.ct_eq(session.csrf_token.as_bytes()));
        if self.csrf_token.as_ref().is_some_and(is_foreign) {
            return Err(Refusal::BadCsrfToken);
        }
        if session.kind == SessionKind::Enrolment && !lacks_a_factor(connection, &session)? {
            return Err(Refusal::NotLoggedIn);
        }
        R::check(&session, now)?;
        Ok(session)
    }
}

/// Whether there still is something to enrol. A session for enrolment may have begun with the password alone: once its user
/// has what the realm requires, it would be a way around that.
fn lacks_a_factor(connection: &Connection, session: &Session) -> Result<bool, StoreError> {
    let requirement = realms::find(connection, session.user.name.realm())?.map(|realm| realm.requirement);
    let factors = factors::load(connection, session.user.id)?;
    Ok(requirement.is_some_and(|requirement| !requirement.is_satisfied_by(&factors)))
}

impl Session {
    /// Whether the password was given again lately enough to change factors.
    fn is_confirmed(&self, now: SystemTime) -> bool {
        self.confirmed.is_some_and(|at| now < at + CONFIRMATION_LIFETIME)
    }

    /// # Errors
    /// If `user` is another one than the session's, and the session may not see what concerns others.
    pub(crate) fn may_see(&self, user: &UserName, now: SystemTime) -> Result<(), Refusal> {
        if self.user.name == *user { Ok(()) } else { Audit::check(self, now) }
    }
}

/// A transaction, and the session that was found in it to have the right to it.
pub(crate) struct Authorized<'a> {
    pub(crate) connection: &'a Transaction<'a>,
    pub(crate) session: Session,
    /// The session's user, now.
    pub(crate) by: By,
}

impl RelyingParty {
    /// Reads for a session, all of it as of one moment.
    pub(super) async fn read_as<R: Right, T: Send + 'static>(
        self: &Arc<Self>,
        claim: Claim<R>,
        read: impl FnOnce(&Self, Authorized<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.read_for_later(claim, read).await.map(|(_, found)| found)
    }

    /// The same, for something that the claim will be looked at again for.
    pub(super) async fn read_for_later<R: Right, T: Send + 'static>(
        self: &Arc<Self>,
        claim: Claim<R>,
        read: impl FnOnce(&Self, Authorized<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<(Claim<R>, T), Refusal> {
        self.work(move |this| {
            let found = this.store.read(|connection| read(this, this.authorized(&claim, connection)?))?;
            Ok((claim, found))
        })
        .await
    }

    /// Changes something for a session: all of it or, if it is refused, nothing.
    pub(super) async fn write_as<R: Right, T: Send + 'static>(
        self: &Arc<Self>,
        claim: Claim<R>,
        change: impl FnOnce(&Self, Authorized<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.commit_as(claim, |this, authorized| change(this, authorized).map(Ok)).await
    }

    /// The same, where a refusal leaves something too: an event, a failure that counts, a challenge that is used up.
    pub(super) async fn commit_as<R: Right, T: Send + 'static>(
        self: &Arc<Self>,
        claim: Claim<R>,
        change: impl FnOnce(&Self, Authorized<'_>) -> Committed<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if claim.csrf_token.is_none() {
            return Err(Refusal::BadCsrfToken);
        }
        self.work(move |this| this.store.write(|transaction| change(this, this.authorized(&claim, transaction)?))?)
            .await
    }

    /// Looks whether a claim holds at this moment, before more is spent on it: reading a body, hashing a password. Whether it
    /// holds is decided again where something is done.
    pub(crate) async fn foresee<R: Right>(self: &Arc<Self>, claim: Claim<R>) -> Result<Claim<R>, Refusal> {
        self.read_for_later(claim, |_, _| Ok(())).await.map(|(claim, ())| claim)
    }

    fn authorized<'a, R: Right>(
        &self,
        claim: &Claim<R>,
        connection: &'a Transaction<'a>,
    ) -> Result<Authorized<'a>, Refusal> {
        // Read here, as it took a while to come to this transaction.
        let now = self.clock.now();
        let session = claim.prove(connection, now)?;
        let by = By::user(&session.user.name, now);
        Ok(Authorized { connection, session, by })
    }
}
