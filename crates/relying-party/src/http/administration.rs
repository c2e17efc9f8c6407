//! What is done to others over HTTP, and seen of them, by whose privileges allow it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{Body, InPath, InQuery, secret};
use super::session::Ended;
use crate::api_tokens::ApiToken;
use crate::audit_log::{Event, EventFilter, EventKind, InvalidEventKind};
use crate::audit_report::{AuditedUser, Finding};
use crate::factors::{Factor, FactorChange};
use crate::realm_change;
use crate::realms::{Realm, Requirement};
use crate::relying_party::{
    AddUsers, Audit, ChangeOthersFactors, ChangeRealms, Claim, HelpUsers, Own, ReplaceUsers, SeeReports, SeeUsers,
    SetPasswords,
};
use crate::sessions::SessionEntry;
use crate::user_name::UserName;
use crate::users::{Role, User, UserChange};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most events of one answer.
const MAX_EVENTS: u32 = 1000;

/// The most users of one answer, each with all factors.
const MAX_USERS: u32 = 200;

/// Part of a list, and where the next part is.
type Page<T> = (Option<[(HeaderName, String); 1]>, Json<Vec<T>>);

/// The first `limit` of what was found; the next part, if there is more, is what `cursor` says of the last of these.
fn page<T>(
    path: &str,
    mut found: Vec<T>,
    limit: u32,
    cursor: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(cursor(last)).finish();
        [(header::LINK, format!("<{path}?{query}>; rel=\"next\""))]
    });
    (next, Json(found))
}

/// A user with all factors.
#[derive(Serialize, ToSchema)]
pub(super) struct UserWithFactors {
    #[serde(flatten)]
    user: User,
    factors: Vec<Factor>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserQuery {
    /// The last user of the page before.
    #[schema(value_type = Option<UserName>)]
    after: Option<String>,
    /// How many at most; 200 are the most that are answered.
    #[schema(maximum = 4_294_967_295_u32)]
    limit: Option<u32>,
}

pub(super) async fn users(
    State(relying_party): Shared,
    claim: Claim<SeeUsers>,
    InQuery(UserQuery { after, limit }): InQuery<UserQuery>,
) -> Result<Page<UserWithFactors>, Refusal> {
    let after = after.map(|after| after.parse::<UserName>()).transpose()?;
    let limit = limit.unwrap_or(MAX_USERS).clamp(1, MAX_USERS);
    let users = relying_party.users(claim, after, limit + 1).await?.into_iter();
    let users = users.map(|(user, factors)| UserWithFactors { user, factors }).collect();
    Ok(page("/api/users", users, limit, |last| {
        vec![("after", last.user.name.to_string()), ("limit", limit.to_string())]
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    #[schema(value_type = UserName)]
    user: String,
    role: Role,
    /// 8 to 512 bytes.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    password: Zeroizing<String>,
}

pub(super) async fn add_user(
    State(relying_party): Shared,
    claim: Claim<AddUsers>,
    Body(NewUser { user, role, password }): Body<NewUser>,
) -> Result<Json<User>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.add_user(claim, name, role, password, UserChange::default()).await.map(Json)
}

pub(super) async fn change_user(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(user): InPath<String>,
    Body(change): Body<UserChange>,
) -> Result<Json<User>, Refusal> {
    relying_party.change_user(claim, user.parse()?, change).await.map(Json)
}

/// A user, a group or a token was deleted.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// What it was called.
    pub(super) deleted: String,
}

pub(super) async fn delete_user(
    State(relying_party): Shared,
    claim: Claim<ReplaceUsers>,
    InPath(user): InPath<String>,
) -> Result<Json<Deleted>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.delete_user(claim, name.clone()).await?;
    Ok(Json(Deleted { deleted: name.to_string() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// 8 to 512 bytes.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    password: Zeroizing<String>,
}

/// A user's password was set, or a group changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// What it is called.
    pub(super) changed: String,
}

pub(super) async fn set_password(
    State(relying_party): Shared,
    claim: Claim<SetPasswords>,
    InPath(user): InPath<String>,
    Body(NewPassword { password }): Body<NewPassword>,
) -> Result<Json<Changed>, Refusal> {
    let name: UserName = user.parse()?;
    relying_party.set_password(claim, name.clone(), password).await?;
    Ok(Json(Changed { changed: name.to_string() }))
}

/// A user's locks were released.
#[derive(Serialize, ToSchema)]
pub(super) struct Unlocked {
    /// Whether there were any.
    was_locked: bool,
}

pub(super) async fn unlock(
    State(relying_party): Shared,
    claim: Claim<HelpUsers>,
    InPath(user): InPath<String>,
) -> Result<Json<Unlocked>, Refusal> {
    let was_locked = relying_party.unlock(claim, user.parse()?).await?;
    Ok(Json(Unlocked { was_locked }))
}

pub(super) async fn sessions(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(user): InPath<String>,
) -> Result<Json<Vec<SessionEntry>>, Refusal> {
    let (_, sessions) = relying_party.sessions(claim, Some(user.parse()?)).await?;
    Ok(Json(sessions))
}

pub(super) async fn end_session(
    State(relying_party): Shared,
    claim: Claim<HelpUsers>,
    InPath((user, id)): InPath<(String, String)>,
) -> Result<Json<Ended>, Refusal> {
    relying_party.end_session(claim, user.parse()?, id.clone()).await?;
    Ok(Json(Ended { ended: id }))
}

/// Sessions were ended.
#[derive(Serialize, ToSchema)]
pub(super) struct EndedSessions {
    /// How many.
    sessions: usize,
}

pub(super) async fn end_sessions(
    State(relying_party): Shared,
    claim: Claim<HelpUsers>,
    InPath(user): InPath<String>,
) -> Result<Json<EndedSessions>, Refusal> {
    let ended = relying_party.end_sessions(claim, user.parse()?).await?;
    Ok(Json(EndedSessions { sessions: ended }))
}

pub(super) async fn factors(
    State(relying_party): Shared,
    claim: Claim<Own>,
    InPath(user): InPath<String>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.factors(claim, user.parse()?).await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Forced {
    /// Whether it is done although the user then lacks what the realm requires.
    #[serde(default)]
    force: bool,
}

pub(super) async fn change_factor(
    State(relying_party): Shared,
    claim: Claim<ChangeOthersFactors>,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
    Body(change): Body<FactorChange>,
) -> Result<Json<Factor>, Refusal> {
    relying_party.change_factor(claim, user.parse()?, id, change, force).await.map(Json)
}

pub(super) async fn delete_factor(
    State(relying_party): Shared,
    claim: Claim<ChangeOthersFactors>,
    InPath((user, id)): InPath<(String, String)>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.delete_factors(claim, user.parse()?, Some(id), force).await.map(Json)
}

pub(super) async fn delete_factors(
    State(relying_party): Shared,
    claim: Claim<ChangeOthersFactors>,
    InPath(user): InPath<String>,
    InQuery(Forced { force }): InQuery<Forced>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.delete_factors(claim, user.parse()?, None, force).await.map(Json)
}

pub(super) async fn realms(State(relying_party): Shared) -> Result<Json<Vec<Realm>>, Refusal> {
    relying_party.realms().await.map(Json)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RealmChange {
    requirement: Requirement,
}

pub(super) async fn change_realm(
    State(relying_party): Shared,
    claim: Claim<ChangeRealms>,
    InPath(realm): InPath<String>,
    Body(RealmChange { requirement }): Body<RealmChange>,
) -> Result<Json<Realm>, Refusal> {
    let change = realm_change::RealmChange { requirement: Some(requirement), ..realm_change::RealmChange::default() };
    relying_party.change_realm(claim, realm, change).await.map(Json)
}

/// A user with all factors and tokens for programs, and what there is to say of them.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditedUser)]
pub(super) struct AuditedView {
    #[serde(flatten)]
    user: User,
    requirement: Requirement,
    factors: Vec<Factor>,
    tokens: Vec<ApiToken>,
    findings: Vec<FindingView>,
}

/// What there is to say of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = FindingInWords)]
struct FindingView {
    code: Finding,
    /// For people.
    text: &'static str,
}

pub(super) async fn audit(
    State(relying_party): Shared,
    claim: Claim<Audit>,
    InQuery(UserQuery { after, limit }): InQuery<UserQuery>,
) -> Result<Page<AuditedView>, Refusal> {
    let after = after.map(|after| after.parse::<UserName>()).transpose()?;
    let limit = limit.unwrap_or(MAX_USERS).clamp(1, MAX_USERS);
    let audited = relying_party.audit(claim, after, limit + 1).await?.into_iter();
    let audited = audited.map(|AuditedUser { user, requirement, factors, tokens, findings }| AuditedView {
        user,
        requirement,
        factors,
        tokens,
        findings: findings.into_iter().map(|code| FindingView { code, text: code.words() }).collect(),
    });
    Ok(page("/api/audit", audited.collect(), limit, |last| {
        vec![("after", last.user.name.to_string()), ("limit", limit.to_string())]
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    /// Only those that concern this user.
    user: Option<String>,
    /// Only those of this kind.
    #[schema(value_type = Option<EventKind>)]
    kind: Option<String>,
    /// Only those at this moment or later, in seconds since 1970.
    #[schema(maximum = 4_294_967_295_u32)]
    since: Option<u32>,
    /// Only those before this moment.
    #[schema(maximum = 4_294_967_295_u32)]
    until: Option<u32>,
    /// Only those before the one of this number.
    before: Option<i64>,
    /// How many at most; 1000 are the most that are answered.
    #[schema(maximum = 4_294_967_295_u32)]
    limit: Option<u32>,
}

pub(super) async fn events(
    State(relying_party): Shared,
    claim: Claim<Audit>,
    InQuery(EventQuery { user, kind, since, until, before, limit }): InQuery<EventQuery>,
) -> Result<Page<Event>, Refusal> {
    let limit = limit.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS);
    let kind: Option<EventKind> = kind
        .map(|kind| kind.parse())
        .transpose()
        .map_err(|error: InvalidEventKind| Refusal::BadRequest { reason: error.to_string() })?;
    let moment = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
    let filter = EventFilter {
        user: user.clone(),
        kind,
        since: since.map(moment),
        until: until.map(moment),
        before,
        limit: Some(limit + 1),
    };
    let events = relying_party.events(claim, filter).await?;
    Ok(page("/api/events", events, limit, |last| {
        let asked = [
            user.map(|user| ("user", user)),
            kind.map(|kind| ("kind", kind.name().to_owned())),
            since.map(|since| ("since", since.to_string())),
            until.map(|until| ("until", until.to_string())),
        ];
        let asked = asked.into_iter().flatten();
        asked.chain([("before", last.id.to_string()), ("limit", limit.to_string())]).collect()
    }))
}

/// Why something was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    event: Event,
    /// Each check, with what was expected and found, and an explanation.
    #[schema(value_type = Object)]
    report: Value,
}

pub(super) async fn report(
    State(relying_party): Shared,
    claim: Claim<SeeReports>,
    InPath(id): InPath<String>,
) -> Result<Json<Report>, Refusal> {
    let (event, report) = relying_party.report(claim, id).await?;
    Ok(Json(Report { event, report }))
}
