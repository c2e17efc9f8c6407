//! What administrators do over HTTP, and what auditors see.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::body::{Body, InPath, InQuery};
use crate::audit_log::{Event, EventFilter};
use crate::factors::{Factor, FactorChange};
use crate::realms::{Realm, Requirement};
use crate::relying_party::{Administer, Audit, ChangeOthers, Claim, Own};
use crate::users::{Role, User, UserChange, UserName};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most events of one answer.
const MAX_EVENTS: u32 = 1000;

#[derive(Serialize)]
pub(super) struct UserWithFactors {
    #[serde(flatten)]
    user: User,
    factors: Vec<Factor>,
}

pub(super) async fn users(
    State(relying_party): Shared,
    claim: Claim<Audit>,
) -> Result<Json<Vec<UserWithFactors>>, Refusal> {
    let users = relying_party.users(claim).await?.into_iter();
    Ok(Json(users.map(|(user, factors)| UserWithFactors { user, factors }).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    user: String,
    role: Role,
    password: Zeroizing<String>,
}

pub(super) async fn add_user(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    Body(NewUser { user, role, password }): Body<NewUser>,
) -> Result<Json<User>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.add_user(claim, name, role, password).await.map(Json)
}

pub(super) async fn change_user(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath(user): InPath<String>,
    Body(change): Body<UserChange>,
) -> Result<Json<User>, Refusal> {
    relying_party.change_user(claim, user.parse()?, change).await.map(Json)
}

pub(super) async fn delete_user(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.delete_user(claim, name.clone()).await?;
    Ok(Json(json!({ "deleted": name })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: Zeroizing<String>,
}

pub(super) async fn set_password(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath(user): InPath<String>,
    Body(NewPassword { password }): Body<NewPassword>,
) -> Result<Json<Value>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.set_password(claim, name.clone(), password).await?;
    Ok(Json(json!({ "changed": name })))
}

pub(super) async fn unlock(
    State(relying_party): Shared,
    claim: Claim<Administer>,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let was_locked = relying_party.unlock(claim, user.parse()?).await?;
    Ok(Json(json!({ "was_locked": was_locked })))
}

pub(super) async fn end_sessions(
    State(relying_party): Shared,
    claim: Claim<Administer>,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let ended = relying_party.end_sessions(claim, user.parse()?).await?;
    Ok(Json(json!({ "sessions": ended })))
}

pub(super) async fn factors(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(user): InPath<String>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.factors(claim, user.parse()?).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forced {
    #[serde(default)]
    force: bool,
}

pub(super) async fn change_factor(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
    Body(change): Body<FactorChange>,
) -> Result<Json<Factor>, Refusal> {
    relying_party.change_factor(claim, user.parse()?, id, change, force).await.map(Json)
}

pub(super) async fn delete_factor(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.delete_factors(claim, user.parse()?, Some(id), force).await.map(Json)
}

pub(super) async fn delete_factors(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath(user): InPath<String>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.delete_factors(claim, user.parse()?, None, force).await.map(Json)
}

pub(super) async fn realms(State(relying_party): Shared) -> Result<Json<Vec<Realm>>, Refusal> {
    relying_party.realms().await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RealmChange {
    requirement: Requirement,
}

pub(super) async fn change_realm(
    State(relying_party): Shared,
    claim: Claim<ChangeOthers>,
    InPath(realm): InPath<String>,
    Body(RealmChange { requirement }): Body<RealmChange>,
) -> Result<Json<Realm>, Refusal> {
    relying_party.change_realm(claim, realm, requirement).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    user: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn events(
    State(relying_party): Shared,
    claim: Claim<Audit>,
    InQuery(EventQuery { user, before, limit }): InQuery<EventQuery>,
) -> Result<Json<Vec<Event>>, Refusal> {
    let limit = Some(limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS));
    relying_party.events(claim, EventFilter { user, before, limit }).await.map(Json)
}

pub(super) async fn report(
    State(relying_party): Shared,
    claim: Claim<Administer>,
    InPath(id): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let (event, report) = relying_party.report(claim, id).await?;
    Ok(Json(json!({ "event": event, "report": report })))
}
