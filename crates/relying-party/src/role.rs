//! What a user is in a word: as such, and by what all roles come to.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// What a user is in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, also to others' factors: as such, or because they may give themselves rights.
    Administrator,
    /// What concerns the user alone, and what single privileges give.
    User,
    /// Like a user, and sees who has which factors, and the events.
    Auditor,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::User => "user",
            Self::Auditor => "auditor",
        }
    }
}

/// A text is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a role is administrator, user or auditor")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(name: &str) -> Result<Self, InvalidRole> {
        let found = [Self::Administrator, Self::User, Self::Auditor].into_iter().find(|role| role.name() == name);
        found.ok_or(InvalidRole)
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        name.parse().map_err(|InvalidRole| FromSqlError::Other(format!("the role of a user is {name:?}").into()))
    }
}
