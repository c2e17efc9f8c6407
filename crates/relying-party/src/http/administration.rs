//! What administrators do over HTTP, and what auditors see.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::body::{Body, InPath, InQuery};
use super::session::{Confirmed, LoggedInAs};
use crate::audit_log::{Actor, Event, EventFilter};
use crate::factors::{Factor, FactorChange, Which};
use crate::realms::{Realm, Requirement};
use crate::sessions::Session;
use crate::users::{Role, User, UserChange, UserName};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most events of one answer.
const MAX_EVENTS: u32 = 1000;

fn actor(session: &Session) -> Actor {
    Actor::User(session.user.name.clone())
}

/// Changes take a confirmed session, as changes of one's own factors do.
fn confirmed_administrator(Confirmed(session): Confirmed) -> Result<Session, Refusal> {
    if session.kind == crate::sessions::SessionKind::Enrolment {
        return Err(Refusal::EnrolmentOnly);
    }
    LoggedInAs(session).administrator()
}

#[derive(Serialize)]
pub(super) struct UserWithFactors {
    #[serde(flatten)]
    user: User,
    factors: Vec<Factor>,
}

pub(super) async fn users(
    State(relying_party): Shared,
    session: LoggedInAs,
) -> Result<Json<Vec<UserWithFactors>>, Refusal> {
    session.auditor()?;
    relying_party
        .work(|this| {
            let users = this.store.users_with_factors()?.into_iter();
            Ok(Json(users.map(|(user, factors)| UserWithFactors { user, factors }).collect()))
        })
        .await
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
    session: Confirmed,
    Body(NewUser { user, role, password }): Body<NewUser>,
) -> Result<Json<User>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    let hash = relying_party.hash(password).await?;
    relying_party
        .work(move |this| Ok(Json(this.store.add_user(&name, role, &hash, &actor(&session), this.clock.now())?)))
        .await
}

pub(super) async fn change_user(
    State(relying_party): Shared,
    session: Confirmed,
    InPath(user): InPath<String>,
    Body(change): Body<UserChange>,
) -> Result<Json<User>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| Ok(Json(this.store.change_user(&name, &change, &actor(&session), this.clock.now())?)))
        .await
}

pub(super) async fn delete_user(
    State(relying_party): Shared,
    session: Confirmed,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| {
            this.store.delete_user(&name, &actor(&session), this.clock.now())?;
            Ok(Json(json!({ "deleted": name })))
        })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: Zeroizing<String>,
}

pub(super) async fn set_password(
    State(relying_party): Shared,
    session: Confirmed,
    InPath(user): InPath<String>,
    Body(NewPassword { password }): Body<NewPassword>,
) -> Result<Json<Value>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    let hash = relying_party.hash(password).await?;
    relying_party
        .work(move |this| {
            this.store.set_password(&name, &hash, &actor(&session), this.clock.now())?;
            Ok(Json(json!({ "changed": name })))
        })
        .await
}

pub(super) async fn unlock(
    State(relying_party): Shared,
    session: LoggedInAs,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let session = session.administrator()?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| {
            let was_locked = this.store.unlock(&name, &actor(&session), this.clock.now())?;
            Ok(Json(json!({ "was_locked": was_locked })))
        })
        .await
}

pub(super) async fn end_sessions(
    State(relying_party): Shared,
    session: LoggedInAs,
    InPath(user): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    let session = session.administrator()?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| {
            let ended = this.store.end_sessions(&name, &actor(&session), this.clock.now())?;
            Ok(Json(json!({ "sessions": ended })))
        })
        .await
}

pub(super) async fn factors(
    State(relying_party): Shared,
    session: LoggedInAs,
    InPath(user): InPath<String>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    let name: UserName = user.parse()?;
    session.self_or_auditor(&name)?;
    relying_party.work(move |this| Ok(Json(this.store.factors(&name)?))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forced {
    #[serde(default)]
    force: bool,
}

pub(super) async fn change_factor(
    State(relying_party): Shared,
    session: Confirmed,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
    Body(change): Body<FactorChange>,
) -> Result<Json<Factor>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| {
            let now = this.clock.now();
            Ok(Json(this.store.change_factor(&name, &id, &change, force, &actor(&session), now)?))
        })
        .await
}

pub(super) async fn delete_factor(
    State(relying_party): Shared,
    session: Confirmed,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    delete(relying_party, session, &user, Some(id), force).await
}

pub(super) async fn delete_factors(
    State(relying_party): Shared,
    session: Confirmed,
    InPath(user): InPath<String>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    delete(relying_party, session, &user, None, force).await
}

async fn delete(
    relying_party: Arc<RelyingParty>,
    session: Confirmed,
    user: &str,
    id: Option<String>,
    force: bool,
) -> Result<Json<Vec<Factor>>, Refusal> {
    let session = confirmed_administrator(session)?;
    let name: UserName = user.parse()?;
    relying_party
        .work(move |this| {
            let which = id.as_deref().map_or(Which::All, Which::One);
            Ok(Json(this.store.delete_factors(&name, which, force, &actor(&session), this.clock.now())?))
        })
        .await
}

/// Everybody may see what a login will ask for.
pub(super) async fn realms(State(relying_party): Shared) -> Result<Json<Vec<Realm>>, Refusal> {
    relying_party.work(|this| Ok(Json(this.store.realms()?))).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RealmChange {
    requirement: Requirement,
}

pub(super) async fn change_realm(
    State(relying_party): Shared,
    session: Confirmed,
    InPath(realm): InPath<String>,
    Body(RealmChange { requirement }): Body<RealmChange>,
) -> Result<Json<Realm>, Refusal> {
    let session = confirmed_administrator(session)?;
    relying_party
        .work(move |this| {
            Ok(Json(this.store.set_requirement(&realm, requirement, &actor(&session), this.clock.now())?))
        })
        .await
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
    session: LoggedInAs,
    InQuery(EventQuery { user, before, limit }): InQuery<EventQuery>,
) -> Result<Json<Vec<Event>>, Refusal> {
    session.auditor()?;
    let limit = Some(limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS));
    relying_party.work(move |this| Ok(Json(this.store.events(&EventFilter { user, before, limit })?))).await
}

pub(super) async fn report(
    State(relying_party): Shared,
    session: LoggedInAs,
    InPath(id): InPath<String>,
) -> Result<Json<Value>, Refusal> {
    session.administrator()?;
    relying_party
        .work(move |this| match this.store.report(&id)? {
            Some((event, report)) => Ok(Json(json!({ "event": event, "report": report }))),
            None => Err(Refusal::UnknownReport { id }),
        })
        .await
}
