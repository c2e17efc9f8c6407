//! Users and their tokens, in the shapes of Proxmox VE's `/access`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Data, Failure};
use super::caller::Caller;
use super::params::{InPath, NoParams, Params};
use crate::api_tokens::{ApiToken, TokenChange, TokenWish};
use crate::groups::Group;
use crate::relying_party::{AddUsers, ChangeUsers, Claim, HelpUsers, Own, OwnInPerson, ReplaceUsers, SeeUsers};
use crate::store::seconds;
use crate::user_name::UserName;
use crate::users::{Role, User, UserChange, UserError};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most users that are listed in one part.
const PART: u32 = 200;

pub(super) fn user_name(text: &str) -> Result<UserName, Failure> {
    Ok(text.parse().map_err(Refusal::from)?)
}

fn entry(user: &User) -> Value {
    let mut entry = json!({
        "userid": user.name,
        "realm-type": user.name.realm(),
        "enable": u8::from(user.enabled),
        "expire": user.expires.map_or(0, seconds),
    });
    if let Some(members) = entry.as_object_mut() {
        if !user.comment.is_empty() {
            members.insert("comment".to_owned(), user.comment.as_str().into());
        }
        for (name, text) in [("email", &user.email), ("firstname", &user.firstname), ("lastname", &user.lastname)] {
            if !text.is_empty() {
                members.insert(name.to_owned(), text.as_str().into());
            }
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

/// The names of the groups that a user is in.
fn groups_of<'a>(groups: &'a [Group], user: &UserName) -> Vec<&'a str> {
    groups.iter().filter(|group| group.members.contains(user)).map(|group| group.name.as_str()).collect()
}

/// All users for who may see them, otherwise oneself.
async fn visible(relying_party: &Arc<RelyingParty>, claim: &Claim<Own>) -> Result<Vec<User>, Failure> {
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|user: &User| user.name.clone());
        match relying_party.users(claim.for_right::<SeeUsers>(), after, PART).await {
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
    let groups = if full { relying_party.groups(claim.for_right()).await? } else { Vec::new() };
    let mut listed = Vec::new();
    for user in visible(&relying_party, &claim).await? {
        if enabled.is_some_and(|enabled| user.enabled != enabled) {
            continue;
        }
        let mut entry = entry(&user);
        if full && let Some(members) = entry.as_object_mut() {
            let tokens = relying_party.api_tokens(claim.for_right(), user.name.clone()).await?;
            members.insert("groups".to_owned(), groups_of(&groups, &user.name).join(",").into());
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
    let Some(found) = found else {
        // Who may not see others is not told whether there is one.
        relying_party.foresee(claim.for_right::<SeeUsers>()).await?;
        return Err(Refusal::User(UserError::Unknown(name)).into());
    };
    let mut entry = entry(&found);
    if let Some(members) = entry.as_object_mut() {
        members.remove("userid");
        members.remove("realm-type");
        let groups = relying_party.groups(claim.for_right()).await?;
        members.insert("groups".to_owned(), json!(groups_of(&groups, &found.name)));
        let tokens = relying_party.api_tokens(claim, found.name).await?;
        let tokens: Map<String, Value> =
            tokens.iter().map(|token| (token.name.clone(), token_details(token))).collect();
        members.insert("tokens".to_owned(), Value::Object(tokens));
    }
    Ok(Data(entry))
}

/// What is taken of a user, and nothing else: what is not kept here is refused rather than forgotten.
fn change_of(params: &mut Params) -> UserChange {
    let mut text = |name: &str| params.optional(name).map(|text| text.to_string());
    let (comment, email) = (text("comment"), text("email"));
    let (firstname, lastname) = (text("firstname"), text("lastname"));
    let groups = params.list("groups");
    let enabled = params.boolean("enable");
    let append = params.boolean("append").unwrap_or(false);
    if params.non_empty("keys").is_some() {
        params.refuse("keys", "factors are not a text of the user here: they are added at /access/tfa");
    }
    let expire = params.non_empty("expire").and_then(|text| {
        let seconds = text.parse::<u32>().ok();
        if seconds.is_none() {
            params.refuse("expire", "type check ('integer') failed: it is in seconds since 1970, 0 for never");
        }
        seconds
    });
    UserChange { role: None, enabled, comment, email, firstname, lastname, expire, groups, append }
}

pub(super) async fn add_user(State(relying_party): Shared, Caller(claim): Caller<Own>, mut params: Params) -> Answer {
    let user = params.required("userid");
    let password = params.required("password");
    let change = change_of(&mut params);
    params.finish()?;
    let name = user_name(&user)?;
    // What is lacking depends on who is to be added, and to which groups; it is looked at before the password is hashed.
    let foreseen = relying_party.foresee(claim.for_right::<AddUsers>()).await;
    let claim = foreseen.map_err(|refusal| Failure::from(refusal).in_groups(change.groups.as_deref(), name.realm()))?;
    let added = relying_party.add_user(claim, name, Role::User, password, change).await;
    added.map_err(Failure::of_change("create user failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn change_user(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(user): InPath<String>,
    mut params: Params,
) -> Answer {
    let change = change_of(&mut params);
    // What is lacking depends on the groups, and counts before what is wrong otherwise.
    let foreseen = relying_party.foresee(claim.for_right::<ChangeUsers>()).await;
    foreseen.map_err(|refusal| Failure::from(refusal).in_groups(change.groups.as_deref(), ""))?;
    params.finish()?;
    let changed = relying_party.change_user(claim.for_right(), user_name(&user)?, change).await;
    changed.map_err(Failure::of_change("update user failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn delete_user(
    State(relying_party): Shared,
    Caller(claim): Caller<ReplaceUsers>,
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
    Caller(claim): Caller<HelpUsers>,
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
    let tokens = relying_party.tokens_alone(claim, user_name(&user)?).await?;
    Ok(Data(tokens.iter().map(token_entry).collect()))
}

pub(super) async fn token(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath((user, name)): InPath<(String, String)>,
    _: NoParams,
) -> Answer {
    let user = user_name(&user)?;
    let tokens = relying_party.tokens_alone(claim, user.clone()).await?;
    let token = tokens.iter().find(|token| token.name == name);
    Ok(Data(token_details(token.ok_or(Refusal::User(UserError::UnknownToken { user, name }))?)))
}

/// From when on a token is good no more, if that is said; `None` within is never.
fn expires(params: &mut Params) -> Option<Option<SystemTime>> {
    let text = params.non_empty("expire")?;
    let expire = text.parse();
    if expire.is_err() {
        params.refuse("expire", "type check ('integer') failed: it is in seconds since 1970, 0 for never");
    }
    expire.ok().map(TokenWish::expiry)
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
    let expires = expires(&mut params).flatten();
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

/// Changes a token, and answers what it is then.
pub(super) async fn change_token(
    State(relying_party): Shared,
    Caller(claim): Caller<OwnInPerson>,
    InPath((user, name)): InPath<(String, String)>,
    mut params: Params,
) -> Answer {
    let comment = params.optional("comment").map(|text| text.to_string());
    let privilege_separated = params.boolean("privsep");
    let expires = expires(&mut params);
    params.finish()?;
    let change = TokenChange { comment, privilege_separated, expires, regenerate: false };
    let changed = relying_party.change_api_token(claim, user_name(&user)?, name, change).await?;
    Ok(Data(token_details(&changed)))
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
