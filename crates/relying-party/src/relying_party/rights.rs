//! What each operation on what is others' takes: privileges, as pve-access-control asks for them (the `permissions` of `PVE::API2::User`,
//! `Group`, `Role`, `ACL`, `Domains`, `TFA`, `AccessControl`), and whether the password has to be given again. Both faces have these decisions.

use std::time::SystemTime;

use super::authorization::{Enrol, Own, Right, Session};
use crate::needed::{AccessPath, GROUPS, Need, Needed};
use crate::policy::{Confirmation, Policy};
use crate::privileges::Privilege;
use crate::refusal::Refusal;
use crate::user_name::UserName;

/// When the password has to have been given again lately.
#[derive(Clone, Copy)]
enum Again {
    Never,
    /// Unless the policy asks for that with what one logs in by alone.
    Changes,
    /// Unless it asks for that with factors alone.
    Passwords,
    Factors,
}

impl Again {
    fn check(self, session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal> {
        use Confirmation::{EveryChange, FactorsAndPasswordsExceptByRoot, FactorsExceptByRoot};
        match (self, policy.confirmation) {
            (Self::Never, _)
            | (Self::Changes, FactorsExceptByRoot | FactorsAndPasswordsExceptByRoot)
            | (Self::Passwords, FactorsExceptByRoot) => Ok(()),
            (Self::Factors, _)
            | (Self::Passwords, FactorsAndPasswordsExceptByRoot)
            | (Self::Changes | Self::Passwords, EveryChange) => Enrol::check(session, now, policy),
        }
    }
}

const REALMS: AccessPath = AccessPath::Fixed("/access/realm");

const TO_CHANGE_USERS: Need = Need::new(&[Privilege::UserModify], AccessPath::Unnamed);
const TO_CHANGE_USERS_OF_GROUPS: Need = Need::new(&[Privilege::UserModify], GROUPS);
const TO_ALLOCATE_USERS: Need = Need::new(&[Privilege::RealmAllocateUser], AccessPath::OfRealm);
const TO_SEE_USERS: Need = Need::new(&[Privilege::UserModify, Privilege::SysAudit], AccessPath::Unnamed);
const TO_CHANGE_REALMS: Need = Need::new(&[Privilege::RealmAllocate], REALMS);
const TO_SEE_TASKS: Need = Need::new(&[Privilege::SysAudit], AccessPath::OfNode);

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident: $needs:expr, $again:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Right for $name {
            const NEEDS: &'static [Need] = &$needs;

            fn check(session: &Session, now: SystemTime, policy: &Policy) -> Result<(), Refusal> {
                Own::check(session, now, policy)?;
                session.need(Self::NEEDS)?;
                Again::$again.check(session, now, policy)
            }
        }
    )+};
}

rights! {
    /// Seeing others, their factors and their sessions.
    SeeUsers: [TO_SEE_USERS], Never;
    /// Seeing what there is to say of everybody, and what happened.
    Audit: [Need::new(&[Privilege::SysAudit], AccessPath::Fixed("/access"))], Never;
    /// Seeing why a login was refused: what Proxmox VE has in the log of a node.
    SeeReports: [Need::new(&[Privilege::SysSyslog], AccessPath::OfNode)], Never;
    /// Seeing how a realm's directory is asked.
    SeeRealms: [Need::new(&[Privilege::RealmAllocate, Privilege::SysAudit], REALMS)], Never;
    /// Seeing who is in a group.
    SeeGroups: [Need::new(&[Privilege::SysAudit, Privilege::GroupAllocate], GROUPS)], Never;
    /// Adding users.
    AddUsers: [TO_ALLOCATE_USERS, TO_CHANGE_USERS_OF_GROUPS], Changes;
    /// Changing users, and which groups they are in.
    ChangeUsers: [TO_CHANGE_USERS_OF_GROUPS], Changes;
    /// Deleting users.
    ReplaceUsers: [TO_ALLOCATE_USERS, TO_CHANGE_USERS], Changes;
    /// Setting others' passwords.
    SetPasswords: [TO_ALLOCATE_USERS, TO_CHANGE_USERS], Passwords;
    /// Releasing users' locks, and ending their sessions.
    HelpUsers: [TO_CHANGE_USERS], Never;
    /// Changing others' factors.
    ChangeOthersFactors: [TO_CHANGE_USERS], Factors;
    /// Listing others' tokens for programs by themselves.
    SeeOthersTokens: [TO_CHANGE_USERS], Never;
    /// Changing others' tokens for programs.
    ChangeOthersTokens: [TO_CHANGE_USERS], Changes;
    /// Adding, changing and deleting groups.
    ChangeGroups: [Need::new(&[Privilege::GroupAllocate], GROUPS)], Changes;
    /// Adding, changing and deleting roles.
    ChangeRoles: [Need::new(&[Privilege::SysModify], AccessPath::Fixed("/access"))], Changes;
    /// Giving roles, and taking them.
    ChangeAcl: [Need::new(&[Privilege::PermissionsModify], AccessPath::Fixed("/"))], Changes;
    /// Adding, changing and deleting realms.
    ChangeRealms: [TO_CHANGE_REALMS], Changes;
    /// Having the users of a realm be as its directory has them.
    SyncRealms: [TO_ALLOCATE_USERS, TO_CHANGE_USERS_OF_GROUPS], Changes;
    /// The same, when the directory has answered: it may take longer than the password is good for.
    EndSync: [TO_ALLOCATE_USERS, TO_CHANGE_USERS_OF_GROUPS], Never;
}

impl Session {
    /// # Errors
    /// What the session's user lacks of what is needed.
    fn need(&self, needs: &[Need]) -> Result<(), Refusal> {
        let lacking: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met_by(self.user.privileges)).collect();
        if lacking.is_empty() { Ok(()) } else { Err(Refusal::Forbidden { needed: Needed::Privileges(lacking) }) }
    }

    fn may(&self, any_of: &'static [Privilege]) -> bool {
        Need::new(any_of, AccessPath::Unnamed).is_met_by(self.user.privileges)
    }

    /// # Errors
    /// If `user` is another one than the session's, and the session may not see others.
    pub(crate) fn may_see(&self, user: &UserName) -> Result<(), Refusal> {
        if self.user.name == *user { Ok(()) } else { self.need(&[TO_SEE_USERS]) }
    }

    /// Whether the session may see who is in which group.
    pub(crate) fn may_see_members(&self) -> bool {
        self.may(&[Privilege::UserModify, Privilege::SysAudit, Privilege::GroupAllocate])
    }

    /// Whether the session may see who has which role.
    pub(crate) fn may_see_acl(&self) -> bool {
        self.may(&[Privilege::SysAudit, Privilege::PermissionsModify])
    }

    /// # Errors
    /// If the session may not see tasks of others.
    pub(crate) fn may_see_tasks(&self) -> Result<(), Refusal> {
        self.need(&[TO_SEE_TASKS])
    }

    /// `root@pam`'s factors are changed by root@pam alone, `PVE::RPCEnvironment::reauth_user_for_user_modification`.
    ///
    /// # Errors
    /// If they are another's to change.
    pub(crate) fn may_change_factors_of(&self, user: &UserName) -> Result<(), Refusal> {
        let is_root = (user.name(), user.realm()) == ("root", "pam");
        if is_root && !self.is_of_root() { Err(Refusal::Forbidden { needed: Needed::Root }) } else { Ok(()) }
    }

    /// Passwords of the realm `pam` are those of the machine, and set by root@pam alone, `PVE::API2::AccessControl`.
    ///
    /// # Errors
    /// If it is another's to set.
    pub(crate) fn may_set_password_of(&self, user: &UserName) -> Result<(), Refusal> {
        let is_of_machine = user.realm() == "pam";
        if is_of_machine && !self.is_of_root() { Err(Refusal::Forbidden { needed: Needed::Root }) } else { Ok(()) }
    }
}
