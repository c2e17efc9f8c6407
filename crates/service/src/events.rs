//! What happens in the rack, as a stream that goes on as long as somebody reads it.
//!
//! The format is that of server-sent events (HTML §9.2), so that any reader of these reads it: `id` is the number of the event, `data` the
//! event in JSON. A reader that was interrupted goes on behind the last that it has read, by `Last-Event-ID` or `after`. What is sent is
//! read from the rack's log as the reader takes it: one that does not read costs its place in that log.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Line, Sse};
use axum::response::{IntoResponse, Response};
use keyrig_control::request::EventList;
use keyrig_http::openapi::Operation;
use keyrig_rack::events::{Event, Reader};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::commands::Members;
use crate::error::Refused;
use crate::service::Service;

/// How many events are taken from the log at once: so much each reader holds.
const AT_ONCE: usize = 16;

/// Tell what happens, as it happens. The answer is a stream of server-sent events, each with its number as `id` and the event as `data`.
/// It begins with what has happened before, as far as that is kept; `after` or the header `Last-Event-ID` has it begin behind an event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// The number of the event to begin behind: 0 is before the first.
    #[serde(default)]
    #[schema(schema_with = event_id)]
    after: Option<u64>,
}

pub(crate) fn event_id() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_usize)).maximum(Some(usize::MAX));
    number.description(Some("The number of the event to begin behind: 0 is before the first."))
}

pub(crate) async fn listen(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Members(Listen { after }): Members<Listen>,
) -> Result<Response, Refused> {
    let after = first(after, &headers)?;
    let reading = Reading { reader: service.rack.events().clone(), after, read: VecDeque::new() };
    Ok(Sse::new(futures_util::stream::unfold(reading, Reading::next)).into_response())
}

/// The number to begin behind, as it is said.
pub(crate) fn first(after: Option<u64>, headers: &HeaderMap) -> Result<u64, Refused> {
    let last = headers.get("last-event-id").map(|last| last.to_str().unwrap_or_default().parse());
    match (after, last.transpose()) {
        (Some(after), _) => Ok(after),
        (None, Ok(last)) => Ok(last.unwrap_or_default()),
        (None, Err(_)) => Err(Refused::BadRequest("Last-Event-ID is not the number of an event".to_owned())),
    }
}

/// Its description: the answer is no single value.
pub(crate) fn operation(id: &str, path: &str) -> Operation {
    let events = json!({
        "description": "Server-sent events, until the reader or the rack ends.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    });
    Operation::asking::<Listen, EventList>(id, path, true).with_success(events)
}

/// How far a reader has come.
struct Reading {
    reader: Reader,
    after: u64,
    /// What was taken from the log and is still to be sent.
    read: VecDeque<Event>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Line, Infallible>, Self)> {
        if self.read.is_empty() {
            self.read = self.reader.behind(self.after, AT_ONCE).await.into();
        }
        let event = self.read.pop_front()?;
        self.after = event.id;
        let text = serde_json::to_string(&event).unwrap_or_default();
        Some((Ok(Line::default().id(event.id.to_string()).data(text)), self))
    }
}
