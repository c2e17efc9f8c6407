//! The privileges of Proxmox VE's that something here takes. All others are about what is not here: guests, storage, networks.
//!
//! Source: the `permissions` of each call in pve-access-control (`PVE::API2::User`, `Group`, `Role`, `ACL`, `Domains`, `TFA`,
//! `AccessControl`), and for the log of a node in pve-manager (`PVE::API2::Nodes`).

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::role::Role;

/// A privilege that something here takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum Privilege {
    /// Adding, changing and deleting groups.
    #[serde(rename = "Group.Allocate")]
    GroupAllocate,
    /// Giving roles and taking them. Whoever has it can have all others.
    #[serde(rename = "Permissions.Modify")]
    PermissionsModify,
    /// Adding, changing and deleting realms.
    #[serde(rename = "Realm.Allocate")]
    RealmAllocate,
    /// With `User.Modify`: adding and deleting users, setting their passwords, syncing a realm.
    #[serde(rename = "Realm.AllocateUser")]
    RealmAllocateUser,
    /// Seeing users, rights, realms, events and tasks.
    #[serde(rename = "Sys.Audit")]
    SysAudit,
    /// Changing what roles there are.
    #[serde(rename = "Sys.Modify")]
    SysModify,
    /// Seeing why a login was refused.
    #[serde(rename = "Sys.Syslog")]
    SysSyslog,
    /// Seeing and changing users, their groups, second factors and tokens.
    #[serde(rename = "User.Modify")]
    UserModify,
}

impl Privilege {
    /// All of them, by name. The place of each is its bit in the database.
    pub const ALL: [Self; 8] = [
        Self::GroupAllocate,
        Self::PermissionsModify,
        Self::RealmAllocate,
        Self::RealmAllocateUser,
        Self::SysAudit,
        Self::SysModify,
        Self::SysSyslog,
        Self::UserModify,
    ];

    /// Proxmox VE's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupAllocate => "Group.Allocate",
            Self::PermissionsModify => "Permissions.Modify",
            Self::RealmAllocate => "Realm.Allocate",
            Self::RealmAllocateUser => "Realm.AllocateUser",
            Self::SysAudit => "Sys.Audit",
            Self::SysModify => "Sys.Modify",
            Self::SysSyslog => "Sys.Syslog",
            Self::UserModify => "User.Modify",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::GroupAllocate => 1,
            Self::PermissionsModify => 2,
            Self::RealmAllocate => 4,
            Self::RealmAllocateUser => 8,
            Self::SysAudit => 16,
            Self::SysModify => 32,
            Self::SysSyslog => 64,
            Self::UserModify => 128,
        }
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges(u8);

impl Privileges {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    pub(crate) fn from_store(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// Those of these names; other names are about what is not here.
    pub(crate) fn named(names: &[String]) -> Self {
        Privilege::ALL.into_iter().filter(|privilege| names.iter().any(|name| name == privilege.name())).collect()
    }

    /// What a user has by a role as such.
    #[must_use]
    pub fn of(role: Role) -> Self {
        match role {
            Role::Administrator => Self::ALL,
            Role::Auditor => Self(Privilege::SysAudit.bit()),
            Role::User => Self::default(),
        }
    }

    /// What they come to in a word: who has `Permissions.Modify` can have all others.
    #[must_use]
    pub fn role(self) -> Role {
        if self.has(Privilege::PermissionsModify) {
            Role::Administrator
        } else if self.has(Privilege::SysAudit) {
            Role::Auditor
        } else {
            Role::User
        }
    }

    /// What they come to in words: an administrator needs no more to be said.
    #[must_use]
    pub fn words(self) -> String {
        let role = self.role();
        let more = Self(self.0 & !Self::of(role).0).names();
        if more.is_empty() { role.name().to_owned() } else { format!("{} with {}", role.name(), more.join(", ")) }
    }

    /// Whether one is among them.
    #[must_use]
    pub fn has(self, privilege: Privilege) -> bool {
        self.0 & privilege.bit() != 0
    }

    /// Whether there is anything by which one can come to have all: others' accounts, what roles give, or a directory of one's own.
    #[must_use]
    pub fn may_change_others(self) -> bool {
        use Privilege::{PermissionsModify, RealmAllocate, SysModify, UserModify};
        [PermissionsModify, RealmAllocate, SysModify, UserModify].into_iter().any(|privilege| self.has(privilege))
    }

    /// Those that are here or there.
    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn each(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |privilege| self.has(*privilege))
    }

    /// Those that are here and there.
    pub(crate) fn common_with(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.each().map(Privilege::name).collect()
    }

    /// Their names with commas between, or that there is none.
    #[must_use]
    pub fn text(self) -> String {
        if self == Self::default() { "nothing".to_owned() } else { self.names().join(", ") }
    }
}

impl FromIterator<Privilege> for Privileges {
    fn from_iter<T: IntoIterator<Item = Privilege>>(privileges: T) -> Self {
        Self(privileges.into_iter().fold(0, |bits, privilege| bits | privilege.bit()))
    }
}

impl Serialize for Privileges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.each())
    }
}
