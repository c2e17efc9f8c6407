//! Groups and what they may do, roles, and tokens for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administration::{Changed, Deleted};
use super::body::{Body, InPath};
use crate::api_tokens::{ApiToken, TokenWish};
use crate::groups::{self, Group};
use crate::relying_party::{ChangeGroups, Claim, Own, OwnInPerson};
use crate::roles::{NamedRole, Subject};
use crate::user_name::UserName;
use crate::{Refusal, RelyingParty, whole};

type Shared = State<Arc<RelyingParty>>;

/// A group, and what its members may do.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupWithRoles {
    #[serde(flatten)]
    group: Group,
    /// What its members may, by the names of roles.
    roles: Vec<String>,
}

pub(super) async fn groups(
    State(relying_party): Shared,
    claim: Claim<Own>,
) -> Result<Json<Vec<GroupWithRoles>>, Refusal> {
    let acl = relying_party.acl(claim.for_right()).await?;
    let with_roles = |group: Group| {
        let is_of_it = |subject: &Subject| matches!(subject, Subject::Group(name) if *name == group.name);
        let roles = acl.iter().filter(|entry| is_of_it(&entry.subject)).map(|entry| entry.role.clone()).collect();
        GroupWithRoles { group, roles }
    };
    Ok(Json(relying_party.groups(claim).await?.into_iter().map(with_roles).collect()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    #[serde(default)]
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    comment: String,
}

/// A group was added.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedGroup {
    added: String,
}

pub(super) async fn add_group(
    State(relying_party): Shared,
    claim: Claim<ChangeGroups>,
    Body(NewGroup { name, comment }): Body<NewGroup>,
) -> Result<Json<AddedGroup>, Refusal> {
    let added = AddedGroup { added: name.clone() };
    relying_party.change_groups(claim, move |connection, by| groups::add(connection, &name, &comment, by)).await?;
    Ok(Json(added))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupChange {
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    comment: Option<String>,
    /// Those that it has then, and no others.
    roles: Option<Vec<String>>,
}

pub(super) async fn change_group(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(name): InPath<String>,
    Body(GroupChange { comment, roles }): Body<GroupChange>,
) -> Result<Json<Changed>, Refusal> {
    let changed = Changed { changed: name.clone() };
    relying_party.change_group_and_roles(claim, name, comment, roles).await?;
    Ok(Json(changed))
}

pub(super) async fn delete_group(
    State(relying_party): Shared,
    claim: Claim<ChangeGroups>,
    InPath(name): InPath<String>,
) -> Result<Json<Deleted>, Refusal> {
    let deleted = Deleted { deleted: name.clone() };
    relying_party.change_groups(claim, move |connection, by| groups::delete(connection, &name, by)).await?;
    Ok(Json(deleted))
}

pub(super) async fn roles(State(relying_party): Shared, claim: Claim<Own>) -> Result<Json<Vec<NamedRole>>, Refusal> {
    relying_party.roles(claim).await.map(Json)
}

pub(super) async fn tokens(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(user): InPath<String>,
) -> Result<Json<Vec<ApiToken>>, Refusal> {
    relying_party.api_tokens(claim, user.parse()?).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    #[serde(default)]
    #[schema(max_length = 256, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    comment: String,
    /// Whether it may do only what roles of its own allow too, beside what any user may.
    #[serde(default = "separated")]
    privilege_separated: bool,
    /// From when on it is good no more, in seconds since 1970; 0 for never.
    #[serde(default, deserialize_with = "whole::deserialize")]
    #[schema(maximum = 4_294_967_295_u32)]
    expire: u32,
}

fn separated() -> bool {
    true
}

/// A token was made.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedToken {
    /// The user, and behind a `!` the token's name.
    id: String,
    /// Told here and never again.
    secret: String,
}

pub(super) async fn add_token(
    State(relying_party): Shared,
    claim: Claim<OwnInPerson>,
    InPath(user): InPath<String>,
    Body(NewToken { name, comment, privilege_separated, expire }): Body<NewToken>,
) -> Result<Json<AddedToken>, Refusal> {
    let user: UserName = user.parse()?;
    let id = format!("{user}!{name}");
    let wish = TokenWish { name, comment, privilege_separated, expires: TokenWish::expiry(expire) };
    let secret = relying_party.add_api_token(claim, user, wish).await?;
    Ok(Json(AddedToken { id, secret }))
}

pub(super) async fn delete_token(
    State(relying_party): Shared,
    claim: Claim<OwnInPerson>,
    InPath((user, name)): InPath<(String, String)>,
) -> Result<Json<Deleted>, Refusal> {
    let deleted = Deleted { deleted: name.clone() };
    relying_party.delete_api_token(claim, user.parse()?, name).await?;
    Ok(Json(deleted))
}
