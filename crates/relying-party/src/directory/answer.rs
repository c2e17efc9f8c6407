//! Passwords that are kept elsewhere than in the database.

use std::fmt;

use thiserror::Error;

use crate::user_name::UserName;

/// Who knows the passwords of a realm's users, such as a directory of a company. It knows nothing else of them: who they are,
/// what they may do and which factors they have is kept here. A realm without one has its passwords in the database.
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// Whether a password is a user's. It may block, for as long as somebody at a login can be made to wait; no transaction
    /// is open meanwhile. Users whom nobody knows here are asked for too, so that an answer's time does not tell who exists.
    ///
    /// # Errors
    /// If the directory gives no answer: nobody is let in then, and nothing counts as a wrong password.
    fn is_password(&self, user: &UserName, password: &str) -> Result<bool, DirectoryUnavailable>;
}

/// A directory gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the directory of the realm gives no answer: {reason}")]
pub struct DirectoryUnavailable {
    /// Why, for administrators.
    pub reason: String,
}

/// What a directory says of a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryAnswer {
    Right,
    Wrong,
    /// It has nobody of that name whom the realm's filter lets in.
    Unknown,
    /// It has several of that name: nobody knows whose password it would be.
    Ambiguous,
    /// It has the account disabled.
    Disabled,
}

impl From<bool> for DirectoryAnswer {
    fn from(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}
