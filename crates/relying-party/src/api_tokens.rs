//! Tokens for programs, as Proxmox VE has them: `USER@REALM!NAME` and a secret, instead of a session. A token cannot give a
//! password again, so it changes no factors.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::random;
use crate::store::{StoreError, Transaction, milliseconds, moment, unix_time};
use crate::user_name::{UserId, UserName};
use crate::users::{self, MAX_TOKENS_PER_USER, UserError};

/// A token as a request presents it.
#[derive(Clone)]
pub(crate) struct PresentedToken {
    pub(crate) user: UserName,
    pub(crate) name: String,
    pub(crate) secret: String,
}

/// A token that is good.
pub(crate) struct FoundToken {
    pub(crate) user: UserId,
    /// What the store knows of its secret.
    pub(crate) secret: [u8; 32],
    pub(crate) privilege_separated: bool,
    pub(crate) expires: Option<SystemTime>,
}

/// A token as its user sees it: the secret was told once.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ApiToken {
    /// The part after the `!`.
    pub(crate) name: String,
    pub(crate) comment: String,
    /// Whether it may do only what any user may, whatever its user may do.
    pub(crate) privilege_separated: bool,
    #[serde(serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub(crate) expires: Option<SystemTime>,
}

/// What a token is to be.
pub(crate) struct TokenWish {
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) privilege_separated: bool,
    /// In seconds since 1970.
    pub(crate) expires: Option<SystemTime>,
}

/// The token that is presented, if it is there, not over, and the secret is right.
pub(crate) fn find(
    connection: &Connection,
    token: &PresentedToken,
    now: SystemTime,
) -> Result<Option<FoundToken>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user, secret, privilege_separated, expires FROM api_tokens
         WHERE name = ? AND user = (SELECT id FROM users WHERE realm = ? AND name = ?)",
    )?;
    let found = statement
        .query_row(params![token.name, token.user.realm(), token.user.name()], |row| {
            Ok(FoundToken {
                user: row.get(0)?,
                secret: row.get(1)?,
                privilege_separated: row.get(2)?,
                expires: row.get::<_, Option<i64>>(3)?.map(moment),
            })
        })
        .optional()?;
    let is_good = |found: &FoundToken| {
        bool::from(found.secret.ct_eq(&random::stored(&token.secret))) && found.expires.is_none_or(|end| now < end)
    };
    Ok(found.filter(is_good))
}

/// Adds a token, and returns its secret, a UUID: it is told once.
pub(crate) fn add(
    connection: &Transaction<'_>,
    user: &UserName,
    wish: &TokenWish,
    by: &By,
) -> Result<String, UserError> {
    let id = users::known(connection, user)?.id;
    if all(connection, user)?.len() >= MAX_TOKENS_PER_USER {
        return Err(UserError::TooManyTokens(user.clone()));
    }
    if wish.name.is_empty()
        || wish.name.len() > 64
        || !wish.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        return Err(UserError::TokenName);
    }
    users::check_comment(&wish.comment)?;
    let secret = random::uuid(connection.random);
    let added = connection.prepare_cached("INSERT OR IGNORE INTO api_tokens VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(
        params![
            id,
            wish.name,
            random::stored(&secret),
            wish.comment,
            wish.privilege_separated,
            wish.expires.map(milliseconds),
            milliseconds(by.now)
        ],
    )?;
    if added == 0 {
        return Err(UserError::TokenExists { user: user.clone(), name: wish.name.clone() });
    }
    audit_log::record(connection, by, EventKind::TokenAdded, &user.to_string(), &wish.name)?;
    Ok(secret)
}

/// A user's tokens, by name.
pub(crate) fn all(connection: &Connection, user: &UserName) -> Result<Vec<ApiToken>, UserError> {
    let id = users::known(connection, user)?.id;
    let mut statement = connection.prepare_cached(
        "SELECT name, comment, privilege_separated, expires FROM api_tokens WHERE user = ? ORDER BY name",
    )?;
    let tokens = statement.query_map([id], read)?.collect::<Result<_, _>>()?;
    Ok(tokens)
}

fn read(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        name: row.get(0)?,
        comment: row.get(1)?,
        privilege_separated: row.get(2)?,
        expires: row.get::<_, Option<i64>>(3)?.map(moment),
    })
}

/// Deletes a token.
pub(crate) fn delete(connection: &Connection, user: &UserName, name: &str, by: &By) -> Result<(), UserError> {
    let id = users::known(connection, user)?.id;
    let deleted =
        connection.prepare_cached("DELETE FROM api_tokens WHERE user = ? AND name = ?")?.execute(params![id, name])?;
    if deleted == 0 {
        return Err(UserError::UnknownToken { user: user.clone(), name: name.to_owned() });
    }
    Ok(audit_log::record(connection, by, EventKind::TokenDeleted, &user.to_string(), name)?)
}
