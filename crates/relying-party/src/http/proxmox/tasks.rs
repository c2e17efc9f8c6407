//! What goes on after a call is answered: the sync of a realm, and how it stands with it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::header::HOST;
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::answer::{Answer, Data, Failure, Total};
use super::caller::Caller;
use super::params::{InPath, NoParams, Params};
use crate::directory::{RemoveVanished, SyncWish};
use crate::realms::RealmError;
use crate::relying_party::{Claim, Own, SyncRealms};
use crate::tasks::{Task, Upid, is_node};
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most lines of a log that are given unless more are asked for.
const LINES: usize = 50;

/// The node that is asked: the first part of the name that it is asked by.
pub(super) struct Node(String);

impl<S: Sync> FromRequestParts<S> for Node {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.split(['.', ':']).next().unwrap_or_default();
        // An address is no name.
        let is_name = is_node(name) && !name.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Self(if is_name { name } else { "localhost" }.to_owned()))
    }
}

/// Begins to sync a realm: what the task is called.
pub(super) async fn sync(
    State(relying_party): Shared,
    Caller(claim): Caller<SyncRealms>,
    InPath(realm): InPath<String>,
    Node(node): Node,
    mut params: Params,
) -> Answer {
    let scope = params.parsed("scope");
    let remove_vanished: Option<RemoveVanished> = params.parsed("remove-vanished");
    // As it was said before there was remove-vanished, which counts where both are there.
    let (full, purge) = (params.boolean("full").unwrap_or(false), params.boolean("purge").unwrap_or(false));
    let as_before = RemoveVanished { acl: purge, entry: full, properties: full };
    let remove_vanished = remove_vanished.or((full || purge).then_some(as_before));
    let enable_new = params.boolean("enable-new");
    let dry_run = params.boolean("dry-run").unwrap_or(false);
    params.finish()?;
    let wish = SyncWish { scope, remove_vanished, enable_new, dry_run };
    match relying_party.begin_sync(claim, realm, wish, node).await {
        Ok(upid) => Ok(Data(upid.to_string().into())),
        Err(Refusal::Realm(RealmError::Unknown(_))) => Err(Failure::of_parameter("realm", "Realm does not exist.")),
        Err(Refusal::Realm(RealmError::ScopeMissing)) => Err(Failure::of_parameter(
            "scope",
            "Not passed as parameter and not defined in realm default sync options.",
        )),
        Err(other) => Err(other.into()),
    }
}

/// The task of that name, at this node.
async fn found(
    relying_party: &Arc<RelyingParty>,
    claim: Claim<Own>,
    node: &str,
    upid: &str,
) -> Result<(Upid, Task), Failure> {
    let upid: Upid = upid.parse().map_err(|_| Failure::of_parameter("upid", "unable to parse worker upid"))?;
    let task = relying_party.task(claim, upid.clone()).await?.filter(|_| upid.node == node);
    Ok((upid, task.ok_or_else(|| Failure::of_parameter("upid", "no such task"))?))
}

pub(super) async fn status(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath((node, upid)): InPath<(String, String)>,
    _: NoParams,
) -> Answer {
    let (upid, task) = found(&relying_party, claim, &node, &upid).await?;
    let (user, token) = upid.owner();
    let mut status = json!({
        "upid": upid.to_string(), "node": upid.node, "pid": upid.process, "pstart": upid.number, "starttime": upid.begun,
        "type": upid.kind, "id": upid.about, "user": user,
        "status": if task.outcome.is_some() { "stopped" } else { "running" },
    });
    if let Some(members) = status.as_object_mut() {
        members.extend(token.map(|token| ("tokenid".to_owned(), token.into())));
        members.extend(task.outcome.map(|outcome| ("exitstatus".to_owned(), outcome.into())));
    }
    Ok(Data(status))
}

/// Some lines of a task's log, and how many there are: the first 50 unless others are asked for, all with a limit of 0.
pub(super) async fn log(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath((node, upid)): InPath<(String, String)>,
    mut params: Params,
) -> Result<(Extension<Total>, Data), Failure> {
    let start = params.whole("start").unwrap_or(0);
    let limit = match params.whole("limit") {
        None => LINES,
        Some(0) => usize::MAX,
        Some(limit) => limit,
    };
    params.finish()?;
    let (_, task) = found(&relying_party, claim, &node, &upid).await?;
    let lines = task.log.iter().zip(1_u64..).skip(start).take(limit);
    let lines: Vec<Value> = lines.map(|(line, number)| json!({ "n": number, "t": line })).collect();
    Ok((Extension(Total(task.log.len())), Data(lines.into())))
}
