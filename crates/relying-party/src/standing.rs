//! What a realm's directory said last of a user.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use utoipa::ToSchema;

/// What a realm's directory said last of a user, where that keeps the user out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The account is disabled there.
    Disabled,
    /// It has the user no more.
    Vanished,
}

impl ToSql for Standing {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Disabled => "disabled".into(),
            Self::Vanished => "vanished".into(),
        })
    }
}

impl FromSql for Standing {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "disabled" => Ok(Self::Disabled),
            "vanished" => Ok(Self::Vanished),
            // Nothing weaker may be assumed.
            other => Err(FromSqlError::Other(format!("users.standing is {other:?}").into())),
        }
    }
}
