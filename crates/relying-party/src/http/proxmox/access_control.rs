//! Groups, roles and who has which, in the shapes of Proxmox VE's `/access`. There is one path, `/`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::administration::user_name;
use super::answer::{Answer, Data, Failure};
use super::caller::Caller;
use super::params::{InPath, NoParams, Params};
use crate::api_tokens::InvalidTokenId;
use crate::groups::{self, Group, GroupError};
use crate::relying_party::{ChangeAcl, ChangeGroups, ChangeRoles, Own, SeeGroups};
use crate::roles::{self, AclEntry, NamedRole, RoleError, Subject};
use crate::users::UserError;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

pub(super) async fn groups(State(relying_party): Shared, Caller(claim): Caller<Own>, _: NoParams) -> Answer {
    let entry = |group: &Group| {
        let members: Vec<String> = group.members.iter().map(ToString::to_string).collect();
        json!({ "groupid": group.name, "comment": group.comment, "users": members.join(",") })
    };
    Ok(Data(relying_party.groups(claim).await?.iter().map(entry).collect()))
}

pub(super) async fn group(
    State(relying_party): Shared,
    Caller(claim): Caller<SeeGroups>,
    InPath(name): InPath<String>,
    _: NoParams,
) -> Answer {
    let found = relying_party.groups(claim.for_right()).await?.into_iter().find(|group| group.name == name);
    let Group { comment, members, .. } = found.ok_or(Refusal::Group(GroupError::Unknown(name)))?;
    Ok(Data(json!({ "comment": comment, "members": members })))
}

fn comment(params: &mut Params) -> String {
    params.optional("comment").map_or_else(String::new, |text| text.to_string())
}

pub(super) async fn add_group(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeGroups>,
    mut params: Params,
) -> Answer {
    let (name, comment) = (params.required("groupid").to_string(), comment(&mut params));
    params.finish()?;
    relying_party
        .change_groups(claim, move |connection, by| groups::add(connection, &name, &comment, by))
        .await
        .map_err(Failure::of_change("create group failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn change_group(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeGroups>,
    InPath(name): InPath<String>,
    mut params: Params,
) -> Answer {
    let comment = comment(&mut params);
    params.finish()?;
    relying_party
        .change_groups(claim, move |connection, by| groups::change(connection, &name, &comment, by))
        .await
        .map_err(Failure::of_change("update group failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn delete_group(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeGroups>,
    InPath(name): InPath<String>,
    params: Params,
) -> Answer {
    params.finish()?;
    relying_party
        .change_groups(claim, move |connection, by| groups::delete(connection, &name, by))
        .await
        .map_err(Failure::of_change("delete group failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn roles(State(relying_party): Shared, Caller(claim): Caller<Own>, _: NoParams) -> Answer {
    let entry = |role: &NamedRole| json!({ "roleid": role.name, "privs": role.privileges.join(","), "special": u8::from(role.special) });
    Ok(Data(relying_party.roles(claim).await?.iter().map(entry).collect()))
}

pub(super) async fn role(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(name): InPath<String>,
    _: NoParams,
) -> Answer {
    let found = relying_party.roles(claim).await?.into_iter().find(|role| role.name == name);
    let role = found.ok_or(Refusal::Role(RoleError::Unknown(name)))?;
    let privileges: Map<String, Value> = role.privileges.into_iter().map(|name| (name, 1.into())).collect();
    Ok(Data(Value::Object(privileges)))
}

fn privileges(params: &mut Params) -> Vec<String> {
    params.list("privs").unwrap_or_default()
}

pub(super) async fn add_role(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRoles>,
    mut params: Params,
) -> Answer {
    let (name, privileges) = (params.required("roleid").to_string(), privileges(&mut params));
    params.finish()?;
    let add = move |connection: &crate::store::Transaction<'_>, by: &crate::By| {
        roles::add(connection, &name, &privileges, by).map(drop)
    };
    relying_party.change_roles(claim, add).await.map_err(Failure::of_change("create role failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn change_role(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRoles>,
    InPath(name): InPath<String>,
    mut params: Params,
) -> Answer {
    let privileges = privileges(&mut params);
    let append = params.boolean("append").unwrap_or(false);
    params.finish()?;
    let change = move |connection: &crate::store::Transaction<'_>, by: &crate::By| {
        roles::change(connection, &name, &privileges, append, by).map(drop)
    };
    relying_party
        .change_roles(claim, change)
        .await
        .map_err(|refusal| of_role(refusal, "modified", "update role failed"))?;
    Ok(Data(Value::Null))
}

/// One that is built in is not looked for in `user.cfg`.
fn of_role(refusal: Refusal, done: &str, failed: &'static str) -> Failure {
    match refusal {
        Refusal::Role(RoleError::BuiltIn(role)) => {
            Failure::died(format!("auto-generated role '{role}' cannot be {done}"))
        }
        other => Failure::of_change(failed)(other),
    }
}

pub(super) async fn delete_role(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRoles>,
    InPath(name): InPath<String>,
    params: Params,
) -> Answer {
    params.finish()?;
    let deleted = relying_party.change_roles(claim, move |connection, by| roles::delete(connection, &name, by)).await;
    deleted.map_err(|refusal| of_role(refusal, "deleted", "delete role failed"))?;
    Ok(Data(Value::Null))
}

pub(super) async fn acl(State(relying_party): Shared, Caller(claim): Caller<Own>, _: NoParams) -> Answer {
    let entry = |AclEntry { path, subject, role }: &AclEntry| {
        let (kind, name) = match subject {
            Subject::User(name) => ("user", name.to_string()),
            Subject::Group(name) => ("group", name.clone()),
            Subject::Token(id) => ("token", id.to_string()),
        };
        json!({ "path": path, "type": kind, "ugid": name, "roleid": role, "propagate": 1 })
    };
    Ok(Data(relying_party.acl(claim).await?.iter().map(entry).collect()))
}

/// Gives users, groups and tokens roles, or with `delete` takes them.
pub(super) async fn change_acl(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeAcl>,
    mut params: Params,
) -> Answer {
    let path = params.required("path");
    let roles = params.required_list("roles");
    let users = params.list("users").unwrap_or_default();
    let groups = params.list("groups").unwrap_or_default();
    let tokens = params.list("tokens").unwrap_or_default();
    let delete = params.boolean("delete").unwrap_or(false);
    if params.boolean("propagate") == Some(false) {
        params.refuse("propagate", "a role at / is one below it too here");
    }
    if *path != "/" {
        params.refuse("path", "there is the path / alone");
    }
    if users.is_empty() && groups.is_empty() && tokens.is_empty() {
        for name in ["users", "groups", "tokens"] {
            params.refuse(name, "either 'users', 'groups' or 'tokens' is required.");
        }
    }
    let parsed: Vec<Result<Subject, InvalidTokenId>> = tokens.iter().map(|id| id.parse().map(Subject::Token)).collect();
    if let Some(Err(error)) = parsed.iter().find(|parsed| parsed.is_err()) {
        params.refuse("tokens", error);
    }
    params.finish()?;
    let users: Vec<Subject> =
        users.iter().map(|name| user_name(name).map(Subject::User)).collect::<Result<_, Failure>>()?;
    let named = users.clone();
    let subjects: Vec<Subject> =
        users.into_iter().chain(groups.into_iter().map(Subject::Group)).chain(parsed.into_iter().flatten()).collect();
    let change = move |connection: &crate::store::Transaction<'_>, by: &crate::By| {
        let change = if delete { roles::revoke } else { roles::grant };
        change(connection, &roles, &subjects, by)
    };
    relying_party.change_acl(claim, change).await.map_err(|refusal| match refusal {
        // Of a user by name it has other words than elsewhere, and than of a token's.
        Refusal::User(UserError::Unknown(user)) if named.contains(&Subject::User(user.clone())) => {
            Failure::died(format!("ACL update failed: user '{user}' does not exist"))
        }
        other => Failure::of_change("ACL update failed")(other),
    })?;
    Ok(Data(Value::Null))
}
