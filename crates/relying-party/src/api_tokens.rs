//! Tokens for programs, as Proxmox VE has them: `USER@REALM!NAME` and a secret, instead of a session. A token cannot give a
//! password again, so it changes no factors.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use subtle::ConstantTimeEq;
use thiserror::Error;
use utoipa::ToSchema;

use crate::audit_log::{self, By, EventKind};
use crate::privileges::{Privilege, Privileges};
use crate::random;
use crate::store::{Store, StoreError, Transaction, milliseconds, moment, unix_time};
use crate::user_name::{UserId, UserName};
use crate::users::{self, MAX_TOKENS_PER_USER, User, UserError};

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
    pub(crate) name: String,
    /// What the store knows of its secret.
    pub(crate) secret: [u8; 32],
    pub(crate) privilege_separated: bool,
    /// What roles of its own allow.
    pub(crate) own: Privileges,
    pub(crate) expires: Option<SystemTime>,
}

impl FoundToken {
    /// What it may of what its user may.
    pub(crate) fn privileges(&self, of_user: Privileges) -> Privileges {
        allowed(of_user, self.own, self.privilege_separated)
    }
}

/// What a token may of what its user may: if it is separated, what roles of its own allow too. So does
/// `PVE::RPCEnvironment::permissions`.
fn allowed(of_user: Privileges, own: Privileges, privilege_separated: bool) -> Privileges {
    if privilege_separated { of_user.common_with(own) } else { of_user }
}

/// A token by its whole name, `USER@REALM!NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenId {
    /// Whose it is.
    pub user: UserName,
    /// The part after the `!`.
    pub name: String,
}

/// A text is no token's whole name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a token is USER@REALM!NAME, such as root@pam!ci")]
pub struct InvalidTokenId;

impl FromStr for TokenId {
    type Err = InvalidTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidTokenId> {
        let (user, name) = text.rsplit_once('!').filter(|(_, name)| is_name(name)).ok_or(InvalidTokenId)?;
        Ok(Self { user: user.parse().map_err(|_| InvalidTokenId)?, name: name.to_owned() })
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.user, self.name)
    }
}

impl Serialize for TokenId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A token as its user sees it: the secret was told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiToken {
    /// The part after the `!`.
    pub name: String,
    /// For people.
    pub comment: String,
    /// Whether it may do only what roles of its own allow too, beside what any user may.
    pub privilege_separated: bool,
    /// What it may of what its user may.
    #[schema(value_type = Vec<Privilege>)]
    pub privileges: Privileges,
    /// From when on it is good no more.
    #[serde(serialize_with = "unix_time::option::serialize")]
    #[schema(value_type = Option<u64>)]
    pub expires: Option<SystemTime>,
    /// When it was added.
    #[serde(serialize_with = "unix_time::serialize")]
    #[schema(value_type = u64)]
    pub created: SystemTime,
}

impl ApiToken {
    /// Whether the moment has come from which on it is good no more.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct TokenWish {
    /// The part after the `!`: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// For people, at most 256 bytes.
    pub comment: String,
    /// Whether it may do only what roles of its own allow too, beside what any user may.
    pub privilege_separated: bool,
    /// From when on it is good no more.
    pub expires: Option<SystemTime>,
}

impl TokenWish {
    /// From when on a token is good no more that has this `expire`, as Proxmox VE has it: seconds since 1970, and 0 for never.
    #[must_use]
    pub fn expiry(expire: u32) -> Option<SystemTime> {
        (expire != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(expire.into()))
    }
}

/// What to change of a token; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenChange {
    /// For people, at most 256 bytes.
    pub comment: Option<String>,
    /// Whether it may do only what roles of its own allow too, beside what any user may.
    pub privilege_separated: Option<bool>,
    /// From when on it is good no more; within, `None` for never.
    pub expires: Option<Option<SystemTime>>,
    /// Whether it gets another secret.
    pub regenerate: bool,
}

impl Store {
    /// A user's tokens for programs, by name.
    ///
    /// # Errors
    /// [`UserError`] if there is no such user.
    pub fn api_tokens(&self, user: &UserName) -> Result<Vec<ApiToken>, UserError> {
        self.read(|connection| all(connection, user))
    }

    /// Adds a token, and returns its secret, which is told once.
    ///
    /// # Errors
    /// [`UserError`] if there is no such user, the user has a token of that name or as many as there can be, or a text cannot be.
    pub fn add_api_token(&self, user: &UserName, wish: &TokenWish, by: &By) -> Result<String, UserError> {
        self.write(|transaction| add(transaction, user, wish, by))
    }

    /// Changes a token, and returns it, and its new secret if it has got one.
    ///
    /// # Errors
    /// [`UserError`] if there is no such user or token, or the comment cannot be.
    pub fn change_api_token(
        &self,
        user: &UserName,
        name: &str,
        change: &TokenChange,
        by: &By,
    ) -> Result<(ApiToken, Option<String>), UserError> {
        self.write(|transaction| self::change(transaction, user, name, change, by))
    }

    /// Deletes a token: it is good for nothing from then on.
    ///
    /// # Errors
    /// [`UserError`] if there is no such user or token.
    pub fn delete_api_token(&self, user: &UserName, name: &str, by: &By) -> Result<(), UserError> {
        self.write(|transaction| delete(transaction, user, name, by))
    }
}

/// The token that is presented, if it is there, not over, and the secret is right.
pub(crate) fn find(
    connection: &Connection,
    token: &PresentedToken,
    now: SystemTime,
) -> Result<Option<FoundToken>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user, secret, privilege_separated, expires, name, coalesce((SELECT grants FROM granted_to_token
         WHERE granted_to_token.user = api_tokens.user AND token = api_tokens.name), 0) FROM api_tokens
         WHERE name = ? AND user = (SELECT id FROM users WHERE realm = ? AND name = ?)",
    )?;
    let found = statement
        .query_row(params![token.name, token.user.realm(), token.user.name()], |row| {
            Ok(FoundToken {
                user: row.get(0)?,
                secret: row.get(1)?,
                privilege_separated: row.get(2)?,
                expires: row.get::<_, Option<i64>>(3)?.map(moment),
                name: row.get(4)?,
                own: Privileges::from_store(row.get(5)?),
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
    if !is_name(&wish.name) {
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

fn is_name(name: &str) -> bool {
    let is_in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_in_a_name)
}

/// A user's tokens, by name.
pub(crate) fn all(connection: &Connection, user: &UserName) -> Result<Vec<ApiToken>, UserError> {
    Ok(of(connection, &users::known(connection, user)?)?)
}

/// A token that is there, and the row of its user.
pub(crate) fn known(connection: &Connection, id: &TokenId) -> Result<(UserId, ApiToken), UserError> {
    let user = users::known(connection, &id.user)?;
    let found = of(connection, &user)?.into_iter().find(|token| token.name == id.name);
    let unknown = || UserError::UnknownToken { user: id.user.clone(), name: id.name.clone() };
    Ok((user.id, found.ok_or_else(unknown)?))
}

/// The tokens of a user who is there, by name.
pub(crate) fn of(connection: &Connection, user: &User) -> Result<Vec<ApiToken>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, comment, privilege_separated, expires, created, coalesce((SELECT grants FROM granted_to_token
         WHERE granted_to_token.user = api_tokens.user AND token = api_tokens.name), 0)
         FROM api_tokens WHERE user = ? ORDER BY name",
    )?;
    let tokens = statement.query_map([user.id], |row| read(row, user.privileges))?.collect::<Result<_, _>>()?;
    Ok(tokens)
}

fn read(row: &Row<'_>, of_user: Privileges) -> rusqlite::Result<ApiToken> {
    let privilege_separated = row.get(2)?;
    Ok(ApiToken {
        name: row.get(0)?,
        comment: row.get(1)?,
        privilege_separated,
        privileges: allowed(of_user, Privileges::from_store(row.get(5)?), privilege_separated),
        expires: row.get::<_, Option<i64>>(3)?.map(moment),
        created: moment(row.get(4)?),
    })
}

/// Changes a token, and returns it, and its new secret if it has got one.
pub(crate) fn change(
    connection: &Transaction<'_>,
    user: &UserName,
    name: &str,
    change: &TokenChange,
    by: &By,
) -> Result<(ApiToken, Option<String>), UserError> {
    let (id, mut token) = known(connection, &TokenId { user: user.clone(), name: name.to_owned() })?;
    if let Some(comment) = &change.comment {
        users::check_comment(comment)?;
        token.comment.clone_from(comment);
    }
    token.privilege_separated = change.privilege_separated.unwrap_or(token.privilege_separated);
    token.expires = change.expires.unwrap_or(token.expires);
    connection
        .prepare_cached(
            "UPDATE api_tokens SET comment = ?, privilege_separated = ?, expires = ? WHERE user = ? AND name = ?",
        )?
        .execute(params![token.comment, token.privilege_separated, token.expires.map(milliseconds), id, name])?;
    let secret = change.regenerate.then(|| random::uuid(connection.random));
    if let Some(secret) = &secret {
        connection.prepare_cached("UPDATE api_tokens SET secret = ? WHERE user = ? AND name = ?")?.execute(params![
            random::stored(secret),
            id,
            name
        ])?;
    }
    let detail = if secret.is_some() { format!("{name}, a new secret") } else { name.to_owned() };
    audit_log::record(connection, by, EventKind::TokenChanged, &user.to_string(), &detail)?;
    let (_, token) = known(connection, &TokenId { user: user.clone(), name: name.to_owned() })?;
    Ok((token, secret))
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
