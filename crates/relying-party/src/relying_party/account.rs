//! What concerns a user alone: the session, the password, the factors that are there.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::authorization::{Authorized, ChangeOwn, Claim, Own, Present, Right, Session};
use super::state::{Kept, RelyingParty};
use crate::audit_log::{self, EventKind};
use crate::directory;
use crate::factors::{self, Factor, FactorChange, Which};
use crate::notices::{self, Notice};
use crate::password::{Compared, Verified};
use crate::refusal::Refusal;
use crate::sessions::{self, SessionEntry};
use crate::store::StoreError;
use crate::turns::Asker;
use crate::user_name::UserName;
use crate::users;

impl RelyingParty {
    /// The session, with what its user is told.
    pub(crate) async fn session(self: &Arc<Self>, claim: Claim<Present>) -> Result<(Session, Vec<Notice>), Refusal> {
        self.read_as(claim, |this, Authorized { connection, session, .. }| {
            let notices = notices::of(&session.user, &factors::load(connection, session.user.id)?, this.rp_id());
            Ok((session, notices))
        })
        .await
    }

    /// Ends the session.
    pub(crate) async fn log_out(self: &Arc<Self>, claim: Claim<Present>) -> Result<(), Refusal> {
        self.write_as(claim, |_, Authorized { connection, session, by }| {
            sessions::end(connection, &session.id)?;
            Ok(audit_log::record(connection, &by, EventKind::LoggedOut, &session.user.name.to_string(), "")?)
        })
        .await
    }

    /// What the session is called, and the sessions of its user, or of another one whom it may see.
    pub(crate) async fn sessions(
        self: &Arc<Self>,
        claim: Claim<Own>,
        user: Option<UserName>,
    ) -> Result<(String, Vec<SessionEntry>), Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, by }| {
            let name = user.as_ref().unwrap_or(&session.user.name);
            session.may_see(name)?;
            let user = users::known(connection, name)?;
            Ok((sessions::shown(&session.id), sessions::of_user(connection, user.id, by.now)?))
        })
        .await
    }

    /// Ends one of the user's sessions, by what it is called.
    pub(crate) async fn end_own_session(self: &Arc<Self>, claim: Claim<Own>, id: String) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            Ok(users::end_session(connection, &session.user.name, &id, &by)?)
        })
        .await
    }

    /// Ends all sessions of the user. How many there were.
    pub(crate) async fn log_out_everywhere(self: &Arc<Self>, claim: Claim<Own>) -> Result<usize, Refusal> {
        self.write_as(claim, |_, Authorized { connection, session, by }| {
            Ok(users::end_sessions(connection, &session.user.name, &by)?)
        })
        .await
    }

    /// Notes that the password was given again. Too many wrong ones end the session: it may be stolen.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        claim: Claim<Present>,
        password: Zeroizing<String>,
    ) -> Result<(), Refusal> {
        let (claim, _, compared) = self.compare_own_password(claim, password).await?;
        self.commit_as(claim, move |_, authorized| {
            if let Some(refusal) = not_the_password(&authorized, &compared)? {
                return Ok(Err(refusal));
            }
            let Authorized { connection, session, by } = authorized;
            Ok(Ok(sessions::confirm(connection, &session.id, session.user.id, session.expires, by.now)?))
        })
        .await
    }

    /// Sets another password, which ends all sessions, this one too.
    pub(crate) async fn change_password(
        self: &Arc<Self>,
        claim: Claim<Own>,
        password: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> Result<(), Refusal> {
        let (claim, user, compared) = self.compare_own_password(claim, password).await?;
        let hash = match compared.verified() {
            Verified::Right => Some(self.hash(&user, new).await?),
            Verified::Wrong | Verified::Unreadable => None,
        };
        self.commit_as(claim, move |_, authorized| {
            if let Some(refusal) = not_the_password(&authorized, &compared)? {
                return Ok(Err(refusal));
            }
            let Authorized { connection, session, by } = authorized;
            if let Some(hash) = hash {
                users::set_password(connection, &session.user.name, &hash, &by)?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Compares a password with that of the session's user, outside of any transaction. What follows from it is decided
    /// within one, by [`not_the_password`].
    async fn compare_own_password<R: Right>(
        self: &Arc<Self>,
        claim: Claim<R>,
        password: Zeroizing<String>,
    ) -> Result<(Claim<R>, UserName, Compared), Refusal> {
        let (claim, (user, kept)) = self
            .read_for_later(claim, |_, Authorized { connection, session, .. }| {
                session.in_person()?;
                let hash = users::local_password(connection, session.user.id)?;
                let directory = directory::find(connection, session.user.name.realm())?;
                Ok((session.user.name, Kept { hash, directory }))
            })
            .await?;
        let compared = self.compare(&Asker::default(), &user, password, kept).await?;
        Ok((claim, user, compared))
    }

    /// The user's factors.
    pub(crate) async fn own_factors(self: &Arc<Self>, claim: Claim<Present>) -> Result<Vec<Factor>, Refusal> {
        self.read_as(claim, |_, Authorized { connection, session, .. }| {
            Ok(factors::of_user(connection, &session.user.name)?)
        })
        .await
    }

    /// The factors of the user, or of another one whom the session may see.
    pub(crate) async fn factors(self: &Arc<Self>, claim: Claim<Own>, user: UserName) -> Result<Vec<Factor>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, .. }| {
            session.may_see(&user)?;
            Ok(factors::of_user(connection, &user)?)
        })
        .await
    }

    /// Changes one of the user's factors.
    pub(crate) async fn change_own_factor(
        self: &Arc<Self>,
        claim: Claim<ChangeOwn>,
        id: String,
        change: FactorChange,
    ) -> Result<Factor, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            Ok(factors::change(connection, &session.user.name, &id, &change, false, &by)?)
        })
        .await
    }

    /// Deletes one of the user's factors.
    pub(crate) async fn delete_own_factor(
        self: &Arc<Self>,
        claim: Claim<ChangeOwn>,
        id: String,
    ) -> Result<Vec<Factor>, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            Ok(factors::delete(connection, &session.user.name, Which::One(&id), false, Some(&session.id), &by)?)
        })
        .await
    }
}

/// The refusal of a password that was not the one of the session's user, and is counted as such.
fn not_the_password(authorized: &Authorized<'_>, compared: &Compared) -> Result<Option<Refusal>, StoreError> {
    if let Some(unavailable) = compared.unavailable() {
        return Ok(Some(Refusal::DirectoryUnavailable { reason: unavailable.reason.clone() }));
    }
    let Authorized { connection, session, by } = authorized;
    if compared.verified() == Verified::Right
        && compared.still_holds(users::local_password(connection, session.user.id)?.as_ref())
    {
        return Ok(None);
    }
    let session_ended = sessions::confirmation_failed(connection, &session.id)?;
    let detail = if session_ended { "the session was ended" } else { "" };
    audit_log::record(connection, by, EventKind::ConfirmationFailed, &session.user.name.to_string(), detail)?;
    Ok(Some(Refusal::ConfirmationFailed { session_ended }))
}
