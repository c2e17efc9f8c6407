//! What users are called: `name@realm` by people, a row's number by the database.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use thiserror::Error;

/// As Proxmox VE takes it.
const MAX_NAME_CHARACTERS: usize = 64;
const MAX_REALM_BYTES: usize = 32;

/// A user's name and realm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName {
    name: String,
    realm: String,
}

/// A text is not a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a user is NAME@REALM, such as root@pam: a name of 1 to 64 characters without spaces, colons, slashes and what cannot be seen, and a realm of 1 to 32 of A-Z a-z 0-9 . _ -"
)]
pub struct InvalidUserName;

impl UserName {
    /// As the database has it.
    pub(crate) fn from_store(name: String, realm: String) -> Self {
        Self { name, realm }
    }

    /// The part before the last `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after it.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let (name, realm) = text.rsplit_once('@').ok_or(InvalidUserName)?;
        let in_a_name =
            |character: char| !character.is_whitespace() && !matches!(character, ':' | '/') && !is_invisible(character);
        let in_a_realm = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=MAX_NAME_CHARACTERS).contains(&name.chars().count())
            && name.chars().all(in_a_name)
            && (1..=MAX_REALM_BYTES).contains(&realm.len())
            && realm.bytes().all(in_a_realm)
        {
            Ok(Self { name: name.to_owned(), realm: realm.to_owned() })
        } else {
            Err(InvalidUserName)
        }
    }
}

/// Control characters, and those by which one name can be shown as another: what turns the direction of a text, and what has
/// no width.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Proxmox VE takes anything but spaces, colons and slashes; what cannot be seen is not taken here.
    #[test]
    fn a_name_is_what_proxmox_takes_and_what_can_be_seen() {
        let longest = format!("{}@pve", "ü".repeat(64));
        for name in ["root@pam", "o'brien@pve", "ünï@pve", "a@b@pve", "王@pve", "%s;--@pve", &longest] {
            assert_eq!(name.parse::<UserName>().map(|parsed| parsed.to_string()).as_deref(), Ok(name));
        }
        let too_long = format!("{}@pve", "ü".repeat(65));
        let refused = [
            "root",
            "@pve",
            "root@",
            "a b@pve",
            "a:b@pve",
            "a/b@pve",
            "a\u{a0}b@pve",
            "a\0@pve",
            "a\u{85}b@pve",
            "a\u{202e}b@pve",
            "a\u{200b}b@pve",
            "a\u{feff}@pve",
            "root@pvé",
            "root@p ve",
            &too_long,
        ];
        for name in refused {
            assert_eq!(name.parse::<UserName>(), Err(InvalidUserName), "{name:?}");
        }
    }
}
