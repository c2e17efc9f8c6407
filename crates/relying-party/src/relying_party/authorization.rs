//! What a session may do, found out where it is done: **nobody gets at the store for a session but through a [`Claim`], and
//! it is looked at within the transaction that acts on it.**
//!
//! A request's head comes long before the rest of it, and much can happen in between: the session is ended, its user is
//! disabled or has another role, the confirmation expires. So a face carries nothing but the claim away from the head.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::Connection;
use subtle::ConstantTimeEq;

use super::state::RelyingParty;
use crate::api_tokens::{self, PresentedToken};
use crate::audit_log::{By, Occasion};
use crate::factors;
use crate::needed::{Need, Needed};
use crate::policy::Policy;
use crate::random;
use crate::realms;
use crate::refusal::{Committed, Refusal};
use crate::sessions::{self, CONFIRMATION_LIFETIME, SESSION_LIFETIME, SessionKind, StoredSession};
use crate::store::{StoreError, Transaction};
use crate::user_name::UserName;
use crate::users::{self, User};

/// A session that was presented, is there and not over, of a user who may log in.
#[derive(Debug)]
pub(crate) struct Session {
    /// What the store calls it.
    pub(crate) id: [u8; 32],
    pub(crate) user: User,
    pub(crate) kind: SessionKind,
    pub(crate) csrf_token: String,
    pub(crate) expires: SystemTime,
    /// The factor that it was begun by.
    pub(crate) factor: Option<String>,
    confirmed: Option<SystemTime>,
    /// The name of the token for programs, if it is one and no session.
    api_token: Option<String>,
}

/// What a session has to be good for.
pub(crate) trait Right: Send + 'static {
    /// The privileges that it takes: each of these.
    const NEEDS: &'static [Need] = &[];

    /// # Errors
    /// What the session lacks.
    fn check(session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal>;
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

/// What concerns the user alone and takes a session: a token for programs makes no other tokens, which could do more than it may.
#[derive(Debug)]
pub(crate) struct OwnInPerson;

/// Changing what concerns the user alone: the password was given again lately.
#[derive(Debug)]
pub(crate) struct ChangeOwn;

impl Right for Present {
    fn check(_: &Session, _: SystemTime, _: &Policy) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Right for Enrol {
    fn check(session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal> {
        let is_exempt = policy.confirmation.is_not_of_root() && session.is_of_root();
        if is_exempt || session.is_confirmed(now) { Ok(()) } else { Err(Refusal::ConfirmationRequired) }
    }
}

impl Right for Own {
    fn check(session: &Session, _: SystemTime, _: &Policy) -> Result<(), Refusal> {
        match session.kind {
            SessionKind::Full => Ok(()),
            SessionKind::Enrolment => Err(Refusal::EnrolmentOnly),
        }
    }
}

impl Right for OwnInPerson {
    fn check(session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal> {
        Own::check(session, now, policy)?;
        session.in_person()
    }
}

impl Right for ChangeOwn {
    fn check(session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal> {
        Own::check(session, now, policy)?;
        Enrol::check(session, now, policy)
    }
}

/// What somebody says to be allowed to do: a session's token or another credential, for one right. Nothing is proved by having
/// one.
pub(crate) struct Claim<R> {
    credential: Credential,
    csrf: Csrf,
    /// Where the request came from, if that is known.
    address: Option<IpAddr>,
    right: PhantomData<fn() -> R>,
}

/// What a request came with.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A session's token.
    Session(String),
    /// A ticket that was made here for a session, and not changed since.
    Ticket(SessionTicket),
    /// A token of a user for programs: it is no session.
    ApiToken(PresentedToken),
}

/// What a ticket says.
#[derive(Clone)]
pub(crate) struct SessionTicket {
    pub(crate) user: UserName,
    /// The session's token.
    pub(crate) token: String,
    pub(crate) issued: SystemTime,
}

/// How it is known that a request is not another site's.
#[derive(Clone)]
enum Csrf {
    /// Not at all: it can change nothing.
    Unknown,
    /// By the session's token, as it came with the request.
    Token(Vec<u8>),
    /// By something else that other sites cannot have, which was checked.
    Checked,
}

impl<R: Right> Claim<R> {
    /// For seeing something.
    pub(crate) fn to_see(credential: Credential) -> Self {
        Self { credential, csrf: Csrf::Unknown, address: None, right: PhantomData }
    }

    /// For changing something, with the token that cross-site requests cannot have.
    pub(crate) fn to_change(token: String, csrf_token: Vec<u8>) -> Self {
        Self {
            credential: Credential::Session(token),
            csrf: Csrf::Token(csrf_token),
            address: None,
            right: PhantomData,
        }
    }

    /// For changing something, in a request that is not another site's.
    pub(crate) fn to_change_here(credential: Credential) -> Self {
        Self { credential, csrf: Csrf::Checked, address: None, right: PhantomData }
    }

    /// The name of the token for programs that it is made by.
    pub(crate) fn api_token(&self) -> Option<&str> {
        match &self.credential {
            Credential::ApiToken(token) => Some(&token.name),
            Credential::Session(_) | Credential::Ticket(_) => None,
        }
    }

    /// The same claim, from an address.
    pub(crate) fn coming_from(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// What the same request claims to be allowed to do as well.
    pub(crate) fn for_right<Other: Right>(&self) -> Claim<Other> {
        Claim {
            credential: self.credential.clone(),
            csrf: self.csrf.clone(),
            address: self.address,
            right: PhantomData,
        }
    }

    /// The session, as it is in this transaction.
    fn prove(&self, connection: &Connection, now: SystemTime, policy: &Policy) -> Result<Session, Refusal> {
        let session = match &self.credential {
            Credential::Session(token) => Session::of_token(connection, token, now)?,
            Credential::Ticket(ticket) => match Session::of_token(connection, &ticket.token, now)? {
                None if policy.ticket_outlives_session => Session::of_ticket(connection, ticket, now)?,
                found => found,
            },
            Credential::ApiToken(token) => Session::of_api_token(connection, token, now)?,
        };
        let session = session.ok_or(Refusal::NotLoggedIn)?;
        let is_foreign = |token: &Vec<u8>| !bool::from(token.ct_eq(session.csrf_token.as_bytes()));
        if matches!(&self.csrf, Csrf::Token(token) if is_foreign(token)) {
            return Err(Refusal::BadCsrfToken);
        }
        if session.kind == SessionKind::Enrolment && !lacks_a_factor(connection, &session)? {
            return Err(Refusal::NotLoggedIn);
        }
        R::check(&session, now, policy)?;
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
    /// What a login under way stands for where whoever names a user may add a key: a session that lasts no longer than this transaction.
    pub(crate) fn of_login(id: [u8; 32], user: User, now: SystemTime) -> Self {
        let (kind, confirmed) = (SessionKind::Full, Some(now));
        let csrf_token = String::new();
        Self { id, user, kind, csrf_token, expires: now, factor: None, confirmed, api_token: None }
    }

    /// The session of a token, of a user who may log in.
    fn of_token(connection: &Connection, token: &str, now: SystemTime) -> Result<Option<Self>, StoreError> {
        let Some(found) = sessions::find(connection, token, now)? else { return Ok(None) };
        let StoredSession { id, user, kind, csrf_token, expires, factor, confirmed } = found;
        let user = users::by_id(connection, user)?.filter(|user| user.may_log_in(now));
        Ok(user.map(|user| Self { id, user, kind, csrf_token, expires, factor, confirmed, api_token: None }))
    }

    /// What a ticket is good for by itself, when the store has its session no more.
    fn of_ticket(connection: &Connection, ticket: &SessionTicket, now: SystemTime) -> Result<Option<Self>, StoreError> {
        let expires = ticket.issued + SESSION_LIFETIME;
        if expires <= now {
            return Ok(None);
        }
        let user = users::find(connection, &ticket.user)?.filter(|user| user.may_log_in(now));
        let id = random::stored(&ticket.token);
        let kind = SessionKind::Full;
        Ok(user.map(|user| Self {
            id,
            user,
            kind,
            csrf_token: String::new(),
            expires,
            factor: None,
            confirmed: None,
            api_token: None,
        }))
    }

    /// What a token for programs is good for: what its user may do, or of that only what roles of its own allow too.
    fn of_api_token(
        connection: &Connection,
        token: &PresentedToken,
        now: SystemTime,
    ) -> Result<Option<Self>, StoreError> {
        let Some(found) = api_tokens::find(connection, token, now)? else { return Ok(None) };
        let user = users::by_id(connection, found.user)?.filter(|user| user.may_log_in(now));
        Ok(user.map(|user| {
            let privileges = found.privileges(user.privileges);
            Self {
                id: found.secret,
                user: User { privileges, role: privileges.role(), ..user },
                kind: SessionKind::Full,
                csrf_token: String::new(),
                expires: found.expires.unwrap_or(now + SESSION_LIFETIME),
                factor: None,
                confirmed: None,
                api_token: Some(found.name),
            }
        }))
    }

    /// What Proxmox VE calls who asks: a user, or a token by its whole name.
    pub(super) fn is_of(&self, id: &str) -> bool {
        let user = self.user.name.to_string();
        self.api_token.as_ref().map_or(id == user, |name| id == format!("{user}!{name}"))
    }

    /// # Errors
    /// If it is a token for programs: none gives a password, or sets one, whichever face it comes by.
    pub(super) fn in_person(&self) -> Result<(), Refusal> {
        if self.api_token.is_some() { Err(Refusal::Forbidden { needed: Needed::InPerson }) } else { Ok(()) }
    }

    /// Whether the machine's superuser began it.
    pub(crate) fn is_of_root(&self) -> bool {
        self.api_token.is_none() && (self.user.name.name(), self.user.name.realm()) == ("root", "pam")
    }

    /// Whether the password was given again lately enough to change factors.
    fn is_confirmed(&self, now: SystemTime) -> bool {
        self.confirmed.is_some_and(|at| now < at + CONFIRMATION_LIFETIME)
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
        if matches!(claim.csrf, Csrf::Unknown) {
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
        let session = claim.prove(connection, now, &self.policy)?;
        let by = By::user(&session.user.name, Occasion { now, address: claim.address });
        Ok(Authorized { connection, session, by })
    }
}
