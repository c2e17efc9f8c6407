//! Accounts: who signs in, if the site leaves that open.

use core::fmt;

use keyrig_ctap::entities::User;

use crate::base64url::Base64Url;

/// One of several accounts for the same site on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The credential id.
    pub credential_id: Vec<u8>,
    /// The user, as far as the key tells: without user verification, or if there is but one account, only the id.
    pub user: Option<User>,
}

/// Whom the user of a browser chooses among the accounts for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChoice {
    /// By `user.id`, the user handle.
    Id(Vec<u8>),
    /// By `user.name`.
    Name(String),
}

impl fmt::Display for UserChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) if id.is_empty() => f.write_str("empty user handle"),
            Self::Id(id) => write!(f, "user handle {}", Base64Url(id.clone())),
            Self::Name(name) => write!(f, "user name {name:?}"),
        }
    }
}

/// The name, if it is told, and the user handle in any case.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(user) = &self.user else { return f.write_str("an account of nobody") };
        let id = Base64Url(user.id.clone());
        match &user.name {
            Some(name) => write!(f, "{name:?} ({id})"),
            None => write!(f, "{id}"),
        }
    }
}
