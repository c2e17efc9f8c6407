//! The transcript as it is made, as a stream: what keys are asked and answer, and why ceremonies fail.
//!
//! The format is that of [`events`](crate::events); each event is one of `crates/keyrig/schemas/trace.json`.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Line, Sse};
use axum::response::{IntoResponse, Response};
use keyrig_faults::transcript::{Followed, Follower, Recorder};
use keyrig_http::openapi::Operation;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::commands::Members;
use crate::error::{ErrorBody, Refused};
pub(crate) use crate::events::event_id;
use crate::events::first;
use crate::service::Service;

/// How many events are taken at once: so much each reader holds.
const AT_ONCE: usize = 16;

/// Tell what keys are asked and answer, with members by name and secrets masked, what becomes of them, and why ceremonies fail. The
/// answer is a stream of server-sent events, each with its number as `id` and the event as `data`. It begins with the latest of what has
/// happened before; `after` or the header `Last-Event-ID` has it begin behind an event. Of CTAPHID and reports a file of --trace tells.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowTrace {
    /// The number of the event to begin behind: 0 is before the first.
    #[serde(default)]
    #[schema(schema_with = event_id)]
    after: Option<u64>,
}

/// Describes [`follow`].
pub(crate) fn operation(id: &str, path: &str) -> Operation {
    let events = json!({
        "description": "Server-sent events, until the reader or the rack ends.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    });
    Operation::asking::<FollowTrace, ErrorBody>(id, path, true).with_success(events)
}

pub(crate) async fn follow(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Members(FollowTrace { after }): Members<FollowTrace>,
) -> Result<Response, Refused> {
    let after = first(after, &headers)?;
    let recorder = service.rack.at_seams::<Recorder>().ok_or(Refused::NotObserved)?;
    let follower = recorder.follow().map_err(not_followed)?;
    let reading = Reading { follower, after, read: VecDeque::new() };
    Ok(Sse::new(futures_util::stream::unfold(reading, Reading::next)).into_response())
}

pub(crate) fn not_followed(error: io::Error) -> Refused {
    Refused::NotFollowed(error.to_string())
}

/// An event of a transcript.
pub(crate) fn line(followed: &Followed) -> Line {
    Line::default().id(followed.id.to_string()).data(&followed.json)
}

/// How far a reader has come.
struct Reading {
    follower: Follower,
    after: u64,
    read: VecDeque<Followed>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Line, Infallible>, Self)> {
        if self.read.is_empty() {
            self.read = self.follower.behind(self.after, AT_ONCE).await.into();
        }
        let followed = self.read.pop_front()?;
        self.after = followed.id;
        Some((Ok(line(&followed)), self))
    }
}
