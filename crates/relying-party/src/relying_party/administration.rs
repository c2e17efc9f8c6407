//! What is done to others, and seen of them, by whose privileges allow it.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value;
use zeroize::Zeroizing;

use super::authorization::{Authorized, Claim, Own, Right};
use super::rights::{
    AddUsers, Audit, ChangeAcl, ChangeGroups, ChangeOthersFactors, ChangeRoles, ChangeUsers, HelpUsers, ReplaceUsers,
    SeeReports, SeeUsers, SetPasswords,
};
use super::state::RelyingParty;
use crate::audit_log::{self, By, Event, EventFilter};
use crate::audit_report::{self, AuditedUser};
use crate::factors::{self, Factor, FactorChange, Which};
use crate::groups::{self, Group, GroupError};
use crate::locks;
use crate::refusal::Refusal;
use crate::roles::{self, AclEntry, NamedRole, RoleError, Subject};
use crate::store::Transaction;
use crate::user_name::UserName;
use crate::users::{self, Role, User, UserChange};

impl RelyingParty {
    pub(crate) async fn users(
        self: &Arc<Self>,
        claim: Claim<SeeUsers>,
        after: Option<UserName>,
        limit: u32,
    ) -> Result<Vec<(User, Vec<Factor>)>, Refusal> {
        self.read_as(claim, move |_, authorized| {
            let users = users::some(authorized.connection, after.as_ref(), limit)?;
            Ok(factors::of_users(authorized.connection, users)?)
        })
        .await
    }

    /// Some users, and what there is to say about each.
    pub(crate) async fn audit(
        self: &Arc<Self>,
        claim: Claim<Audit>,
        after: Option<UserName>,
        limit: u32,
    ) -> Result<Vec<AuditedUser>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, by, .. }| {
            let users = users::some(connection, after.as_ref(), limit)?;
            Ok(audit_report::audited(connection, users, by.now)?)
        })
        .await
    }

    pub(crate) async fn add_user(
        self: &Arc<Self>,
        claim: Claim<AddUsers>,
        name: UserName,
        role: Role,
        password: Zeroizing<String>,
        change: UserChange,
    ) -> Result<User, Refusal> {
        let hash = self.hash(&name, password).await?;
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            if role != Role::User {
                ChangeAcl::check(&session, by.now, &this.policy)?;
            }
            Ok(users::add_with(connection, &name, role, &hash, &change, &by)?)
        })
        .await
    }

    /// Changes a user. What the user is in a word is a matter of roles, all else of users.
    pub(crate) async fn change_user(
        self: &Arc<Self>,
        claim: Claim<Own>,
        name: UserName,
        change: UserChange,
    ) -> Result<User, Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            if change.role.is_some() {
                ChangeAcl::check(&session, by.now, &this.policy)?;
            }
            if change.role.is_none() || change != (UserChange { role: change.role, ..UserChange::default() }) {
                ChangeUsers::check(&session, by.now, &this.policy)?;
            }
            Ok(users::change(connection, &name, &change, &by)?)
        })
        .await
    }

    pub(crate) async fn delete_user(
        self: &Arc<Self>,
        claim: Claim<ReplaceUsers>,
        name: UserName,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| Ok(users::delete(connection, &name, &by)?))
            .await
    }

    pub(crate) async fn set_password(
        self: &Arc<Self>,
        claim: Claim<SetPasswords>,
        name: UserName,
        password: Zeroizing<String>,
    ) -> Result<(), Refusal> {
        let hash = self.hash(&name, password).await?;
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            session.in_person()?;
            session.may_set_password_of(&name)?;
            Ok(users::set_password(connection, &name, &hash, &by)?)
        })
        .await
    }

    /// The groups; their members for who may see them, otherwise the caller alone.
    pub(crate) async fn groups(self: &Arc<Self>, claim: Claim<Own>) -> Result<Vec<Group>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, .. }| {
            let sees = |name: &UserName| session.user.name == *name || session.may_see_members();
            let mut found = groups::all(connection)?;
            found.iter_mut().for_each(|group| group.members.retain(sees));
            Ok(found)
        })
        .await
    }

    /// Adds, changes or deletes a group.
    pub(crate) async fn change_groups(
        self: &Arc<Self>,
        claim: Claim<ChangeGroups>,
        change: impl FnOnce(&Connection, &By) -> Result<(), GroupError> + Send + 'static,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| Ok(change(connection, &by)?)).await
    }

    pub(crate) async fn roles(self: &Arc<Self>, claim: Claim<Own>) -> Result<Vec<NamedRole>, Refusal> {
        self.read_as(claim, |_, authorized| Ok(roles::all(authorized.connection)?)).await
    }

    /// Who has which role; for who may not see others, what is the caller's own.
    pub(crate) async fn acl(self: &Arc<Self>, claim: Claim<Own>) -> Result<Vec<AclEntry>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, .. }| {
            let own = groups::of_user(connection, session.user.id)?;
            let sees = |entry: &AclEntry| match &entry.subject {
                Subject::User(name) => *name == session.user.name,
                Subject::Group(name) => own.contains(name),
                Subject::Token(id) => id.user == session.user.name,
            };
            let all = session.may_see_acl();
            Ok(roles::acl(connection)?.into_iter().filter(|entry| all || sees(entry)).collect())
        })
        .await
    }

    /// Adds, changes or deletes a role.
    pub(crate) async fn change_roles(
        self: &Arc<Self>,
        claim: Claim<ChangeRoles>,
        change: impl FnOnce(&Transaction<'_>, &By) -> Result<(), RoleError> + Send + 'static,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| Ok(change(connection, &by)?)).await
    }

    /// Gives roles, or takes them.
    pub(crate) async fn change_acl(
        self: &Arc<Self>,
        claim: Claim<ChangeAcl>,
        change: impl FnOnce(&Transaction<'_>, &By) -> Result<(), RoleError> + Send + 'static,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| Ok(change(connection, &by)?)).await
    }

    /// Changes what is said of a group, and which roles it has: each is a matter of its own.
    pub(crate) async fn change_group_and_roles(
        self: &Arc<Self>,
        claim: Claim<Own>,
        name: String,
        comment: Option<String>,
        roles: Option<Vec<String>>,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            if roles.is_some() {
                ChangeAcl::check(&session, by.now, &this.policy)?;
            }
            if comment.is_some() || roles.is_none() {
                ChangeGroups::check(&session, by.now, &this.policy)?;
            }
            groups::known(connection, &name)?;
            if let Some(comment) = comment {
                groups::change(connection, &name, &comment, &by)?;
            }
            roles.map_or(Ok(()), |roles| Ok(roles::put(connection, &roles, &Subject::Group(name), &by)?))
        })
        .await
    }

    /// Whether anything was locked.
    pub(crate) async fn unlock(self: &Arc<Self>, claim: Claim<HelpUsers>, name: UserName) -> Result<bool, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| Ok(locks::unlock(connection, &name, &by)?))
            .await
    }

    /// Ends one session of a user, by what it is called.
    pub(crate) async fn end_session(
        self: &Arc<Self>,
        claim: Claim<HelpUsers>,
        name: UserName,
        id: String,
    ) -> Result<(), Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| {
            Ok(users::end_session(connection, &name, &id, &by)?)
        })
        .await
    }

    /// How many sessions there were.
    pub(crate) async fn end_sessions(
        self: &Arc<Self>,
        claim: Claim<HelpUsers>,
        name: UserName,
    ) -> Result<usize, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, by, .. }| {
            Ok(users::end_sessions(connection, &name, &by)?)
        })
        .await
    }

    pub(crate) async fn change_factor(
        self: &Arc<Self>,
        claim: Claim<ChangeOthersFactors>,
        user: UserName,
        id: String,
        change: FactorChange,
        force: bool,
    ) -> Result<Factor, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            session.may_change_factors_of(&user)?;
            Ok(factors::change(connection, &user, &id, &change, force, &by)?)
        })
        .await
    }

    /// Deletes one factor of a user, or all of them without an `id`.
    pub(crate) async fn delete_factors(
        self: &Arc<Self>,
        claim: Claim<ChangeOthersFactors>,
        user: UserName,
        id: Option<String>,
        force: bool,
    ) -> Result<Vec<Factor>, Refusal> {
        self.write_as(claim, move |_, Authorized { connection, session, by }| {
            session.may_change_factors_of(&user)?;
            let which = id.as_deref().map_or(Which::All, Which::One);
            Ok(factors::delete(connection, &user, which, force, Some(&session.id), &by)?)
        })
        .await
    }

    pub(crate) async fn events(
        self: &Arc<Self>,
        claim: Claim<Audit>,
        filter: EventFilter,
    ) -> Result<Vec<Event>, Refusal> {
        self.read_as(claim, move |_, authorized| Ok(audit_log::events(authorized.connection, &filter)?)).await
    }

    pub(crate) async fn report(
        self: &Arc<Self>,
        claim: Claim<SeeReports>,
        id: String,
    ) -> Result<(Event, Value), Refusal> {
        self.read_as(claim, move |_, authorized| {
            audit_log::report(authorized.connection, &id)?.ok_or(Refusal::UnknownReport { id })
        })
        .await
    }
}
