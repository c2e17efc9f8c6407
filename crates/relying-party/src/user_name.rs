//! What users are called: `name@realm` by people, a row's number by the database.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;

const MAX_NAME_BYTES: usize = 64;
const MAX_REALM_BYTES: usize = 32;

/// A user's name and realm.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName {
    name: String,
    realm: String,
}

/// A text is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user is NAME@REALM, such as root@pam: a name of 1 to 64 of the characters A-Z a-z 0-9 . _ - + @, and a realm of 1 to 32 of A-Z a-z 0-9 . _ -"
)]
pub struct InvalidUserName;

impl UserName {
    /// As the database has it.
    pub(crate) fn from_store(name: String, realm: String) -> Self {
        Self { name, realm }
    }

    /// The part before the last `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after it.
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let (name, realm) = text.rsplit_once('@').ok_or(InvalidUserName)?;
        let of =
            |text: &str, more: &[u8]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
        let fits = |text: &str, most| (1..=most).contains(&text.len());
        if fits(name, MAX_NAME_BYTES) && of(name, b"._-+@") && fits(realm, MAX_REALM_BYTES) && of(realm, b"._-") {
            Ok(Self { name: name.to_owned(), realm: realm.to_owned() })
        } else {
            Err(InvalidUserName)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.realm)
    }
}

impl Serialize for UserName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A user's row in the database. A name that is given again later is another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId(pub(crate) i64);

impl ToSql for UserId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for UserId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}
