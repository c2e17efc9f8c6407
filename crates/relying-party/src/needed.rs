//! What somebody who may not lacks.

use std::fmt;

use crate::privileges::{Privilege, Privileges};

/// One thing that an operation takes: any of these privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// One of these is enough.
    pub any_of: &'static [Privilege],
    /// Where Proxmox VE says that it is lacking.
    pub at: AccessPath,
}

/// Which path Proxmox VE names with a privilege that is lacking. Here there is `/` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPath {
    /// None, and no privilege either: it does so where there is a choice of what may be granted.
    Unnamed,
    /// Always the same.
    Fixed(&'static str),
    /// `/access/realm/REALM`, of the user's or the realm that it is about.
    OfRealm,
    /// `/nodes/NODE`.
    OfNode,
}

/// Where groups are, and users in them.
pub(crate) const GROUPS: AccessPath = AccessPath::Fixed("/access/groups");

/// What somebody who may not lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Privileges: each of these.
    Privileges(Vec<Need>),
    /// A session, which an API token is not.
    InPerson,
    /// To be `root@pam`.
    Root,
}

impl AccessPath {
    /// What is named, of this realm or node.
    pub(crate) fn named(self, realm: Option<&str>, node: Option<&str>) -> Option<String> {
        match self {
            Self::Unnamed => None,
            Self::Fixed(path) => Some(path.to_owned()),
            Self::OfRealm => realm.map(|realm| format!("/access/realm/{realm}")),
            Self::OfNode => node.map(|node| format!("/nodes/{node}")),
        }
    }
}

impl Need {
    pub(crate) const fn new(any_of: &'static [Privilege], at: AccessPath) -> Self {
        Self { any_of, at }
    }

    pub(crate) fn is_met_by(&self, privileges: Privileges) -> bool {
        self.any_of.iter().any(|privilege| privileges.has(*privilege))
    }

    /// The names with something between.
    pub(crate) fn names(&self, between: &str) -> String {
        self.any_of.iter().map(|privilege| privilege.name()).collect::<Vec<_>>().join(between)
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileges(lacking) => {
                let names: Vec<String> = lacking.iter().map(|need| need.names(" or ")).collect();
                let noun = if names.len() > 1 { "privileges" } else { "privilege" };
                write!(f, "the {noun} {}", names.join(" and "))
            }
            Self::InPerson => f.write_str("a session of its user: an API token will not do"),
            Self::Root => f.write_str("to be root@pam"),
        }
    }
}
