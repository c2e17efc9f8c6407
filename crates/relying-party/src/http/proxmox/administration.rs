//! Users, their tokens and rights, in the shapes of Proxmox VE's `/access`. A role is a right to `/`, the only path that there is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::access::privileges;
use super::answer::{Answer, Data, Failure};
use super::caller::Caller;
use super::params::{NoParams, Params};
use crate::api_tokens::{ApiToken, TokenWish};
use crate::http::body::InPath;
use crate::relying_party::{Administer, Audit, ChangeOthers, Claim, Own, OwnInPerson};
use crate::store::seconds;
use crate::user_name::UserName;
use crate::users::{Role, User, UserChange, UserError};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most users that are listed in one part.
const PART: u32 = 200;

fn user_name(text: &str) -> Result<UserName, Failure> {
    Ok(text.parse().map_err(Refusal::from)?)
}

fn entry(user: &User) -> Value {
    let mut entry = json!({
        "userid": user.name,
        "realm-type": user.name.realm(),
        "enable": u8::from(user.enabled),
        "expire": 0,
    });
    if let Some(members) = entry.as_object_mut() {
        if !user.comment.is_empty() {
            members.insert("comment".to_owned(), user.comment.as_str().into());
        }
        if user.totp_locked {
            members.insert("totp-locked".to_owned(), json!(true));
        }
        if let Some(until) = user.locked_until {
            members.insert("tfa-locked-until".to_owned(), json!(seconds(until)));
        }
    }
    entry
}

/// All users for who may see them, otherwise oneself.
async fn visible(relying_party: &Arc<RelyingParty>, claim: &Claim<Own>) -> Result<Vec<User>, Failure> {
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|user: &User| user.name.clone());
        match relying_party.users(claim.for_right::<Audit>(), after, PART).await {
            Err(Refusal::Forbidden { .. }) => {
                let (session, _) = relying_party.session(claim.for_right()).await?;
                return Ok(vec![session.user]);
            }
            part => {
                let part = part?;
                if part.is_empty() {
                    return Ok(found);
                }
                found.extend(part.into_iter().map(|(user, _)| user));
            }
        }
    }
}

pub(super) async fn users(State(relying_party): Shared, Caller(claim): Caller<Own>, mut params: Params) -> Answer {
    let enabled = params.boolean("enabled");
    let full = params.boolean("full").unwrap_or(false);
    params.finish()?;
    let mut listed = Vec::new();
    for user in visible(&relying_party, &claim).await? {
        if enabled.is_some_and(|enabled| user.enabled != enabled) {
            continue;
        }
        let mut entry = entry(&user);
        if full && let Some(members) = entry.as_object_mut() {
            let tokens = relying_party.api_tokens(claim.for_right(), user.name.clone()).await?;
            members.insert("groups".to_owned(), "".into());
            members.insert("tokens".to_owned(), tokens.iter().map(token_entry).collect());
        }
        listed.push(entry);
    }
    Ok(Data(Value::Array(listed)))
}

pub(super) async fn user(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(user): InPath<String>,
    _: NoParams,
) -> Answer {
    let name = user_name(&user)?;
    let found = visible(&relying_party, &claim).await?.into_iter().find(|user| user.name == name);
    let found = found.ok_or_else(|| Refusal::User(UserError::Unknown(name)))?;
    let mut entry = entry(&found);
    if let Some(members) = entry.as_object_mut() {
        members.remove("userid");
        members.remove("realm-type");
        members.insert("groups".to_owned(), json!([]));
        let tokens = relying_party.api_tokens(claim, found.name).await?;
        let tokens: Map<String, Value> =
            tokens.iter().map(|token| (token.name.clone(), token_details(token))).collect();
        members.insert("tokens".to_owned(), Value::Object(tokens));
    }
    Ok(Data(entry))
}

/// What is taken of a user, and nothing else: what is not kept here is refused rather than forgotten.
fn change_of(params: &mut Params) -> UserChange {
    let comment = params.optional("comment").map(|text| text.to_string());
    let enabled = params.boolean("enable");
    for name in ["email", "firstname", "lastname", "keys", "groups", "append"] {
        if params.non_empty(name).is_some() {
            params.refuse(name, "it is not kept here");
        }
    }
    if params.non_empty("expire").is_some_and(|expire| *expire != "0") {
        params.refuse("expire", "users do not expire here");
    }
    UserChange { role: None, enabled, comment }
}

pub(super) async fn add_user(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeOthers>,
    mut params: Params,
) -> Answer {
    let user = params.required("userid");
    let password = params.required("password");
    let change = change_of(&mut params);
    params.finish()?;
    let name = user_name(&user)?;
    relying_party.add_user(claim.for_right(), name.clone(), Role::User, password).await?;
    if change != UserChange::default() {
        relying_party.change_user(claim, name, change).await?;
    }
    Ok(Data(Value::Null))
}

pub(super) async fn change_user(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeOthers>,
    InPath(user): InPath<String>,
    mut params: Params,
) -> Answer {
    let change = change_of(&mut params);
    params.finish()?;
    relying_party.change_user(claim, user_name(&user)?, change).await?;
    Ok(Data(Value::Null))
}

pub(super) async fn delete_user(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeOthers>,
    InPath(user): InPath<String>,
    params: Params,
) -> Answer {
    params.finish()?;
    relying_party.delete_user(claim, user_name(&user)?).await?;
    Ok(Data(Value::Null))
}

/// Whether anything was locked.
pub(super) async fn unlock(
    State(relying_party): Shared,
    Caller(claim): Caller<Administer>,
    InPath(user): InPath<String>,
    params: Params,
) -> Answer {
    params.finish()?;
    Ok(Data(relying_party.unlock(claim, user_name(&user)?).await?.into()))
}

fn token_details(token: &ApiToken) -> Value {
    let mut details = json!({
        "privsep": u8::from(token.privilege_separated),
        "expire": token.expires.map_or(0, seconds),
    });
    if let Some(members) = details.as_object_mut().filter(|_| !token.comment.is_empty()) {
        members.insert("comment".to_owned(), token.comment.as_str().into());
    }
    details
}

fn token_entry(token: &ApiToken) -> Value {
    let mut entry = token_details(token);
    if let Some(members) = entry.as_object_mut() {
        members.insert("tokenid".to_owned(), token.name.as_str().into());
    }
    entry
}

pub(super) async fn tokens(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(user): InPath<String>,
    _: NoParams,
) -> Answer {
    let tokens = relying_party.api_tokens(claim, user_name(&user)?).await?;
    Ok(Data(tokens.iter().map(token_entry).collect()))
}

pub(super) async fn token(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath((user, name)): InPath<(String, String)>,
    _: NoParams,
) -> Answer {
    let user = user_name(&user)?;
    let tokens = relying_party.api_tokens(claim, user.clone()).await?;
    let token = tokens.iter().find(|token| token.name == name);
    Ok(Data(token_details(token.ok_or(Refusal::User(UserError::UnknownToken { user, name }))?)))
}

/// Makes a token; its secret is told here and never again.
pub(super) async fn add_token(
    State(relying_party): Shared,
    Caller(claim): Caller<OwnInPerson>,
    InPath((user, name)): InPath<(String, String)>,
    mut params: Params,
) -> Answer {
    let comment = params.optional("comment").map_or_else(String::new, |text| text.to_string());
    let privilege_separated = params.boolean("privsep").unwrap_or(true);
    let expires = params.non_empty("expire").and_then(|text| match text.parse::<u32>() {
        Ok(0) => None,
        Ok(seconds) => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into())),
        Err(_) => {
            params.refuse("expire", "type check ('integer') failed: it is in seconds since 1970, 0 for never");
            None
        }
    });
    params.finish()?;
    let user = user_name(&user)?;
    let full_id = format!("{user}!{name}");
    let wish = TokenWish { name, comment: comment.clone(), privilege_separated, expires };
    let info = json!({
        "privsep": u8::from(privilege_separated), "expire": expires.map_or(0, seconds), "comment": comment,
    });
    let secret = relying_party.add_api_token(claim, user, wish).await?;
    Ok(Data(json!({ "full-tokenid": full_id, "value": secret, "info": info })))
}

pub(super) async fn delete_token(
    State(relying_party): Shared,
    Caller(claim): Caller<OwnInPerson>,
    InPath((user, name)): InPath<(String, String)>,
    params: Params,
) -> Answer {
    params.finish()?;
    relying_party.delete_api_token(claim, user_name(&user)?, name).await?;
    Ok(Data(Value::Null))
}

/// There are none.
pub(super) async fn groups(_: Caller<Own>, _: NoParams) -> Answer {
    Ok(Data(json!([])))
}

/// What Proxmox VE calls the roles.
const ROLES: [(&str, Role); 3] =
    [("Administrator", Role::Administrator), ("NoAccess", Role::User), ("PVEAuditor", Role::Auditor)];

fn role_id(role: Role) -> &'static str {
    ROLES.iter().find(|(_, of)| *of == role).map_or("NoAccess", |(id, _)| id)
}

pub(super) async fn roles(_: Caller<Own>, _: NoParams) -> Answer {
    let roles =
        ROLES.iter().map(|(id, role)| json!({ "roleid": id, "privs": privileges(*role).join(","), "special": 1 }));
    Ok(Data(roles.collect()))
}

pub(super) async fn acl(State(relying_party): Shared, Caller(claim): Caller<Own>, _: NoParams) -> Answer {
    let users = visible(&relying_party, &claim).await?;
    let entries = users.iter().filter(|user| user.role != Role::User).map(
        |user| json!({ "path": "/", "type": "user", "ugid": user.name, "roleid": role_id(user.role), "propagate": 1 }),
    );
    Ok(Data(entries.collect()))
}

/// Gives users a role, or with `delete` takes it.
pub(super) async fn change_acl(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeOthers>,
    mut params: Params,
) -> Answer {
    let path = params.required("path");
    let roles = params.required("roles");
    let users = params.required("users");
    let delete = params.boolean("delete").unwrap_or(false);
    let _ = params.boolean("propagate");
    for name in ["groups", "tokens"] {
        if params.non_empty(name).is_some() {
            params.refuse(name, "roles are given to users here");
        }
    }
    if *path != "/" {
        params.refuse("path", "there is the path / alone");
    }
    let role = ROLES.iter().find(|(id, _)| *id == roles.as_str()).map(|(_, role)| *role);
    if role.is_none() {
        params.refuse("roles", "the roles are Administrator, PVEAuditor and NoAccess");
    }
    params.finish()?;
    let role = role.filter(|_| !delete).unwrap_or(Role::User);
    for user in users.split([',', ';', ' ']).filter(|user| !user.is_empty()) {
        let change = UserChange { role: Some(role), ..UserChange::default() };
        relying_party.change_user(claim.for_right(), user_name(user)?, change).await?;
    }
    Ok(Data(Value::Null))
}
