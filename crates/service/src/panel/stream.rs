//! All that a panel shows, as one stream: a browser has few connections to one place, and commands need some of them.
//!
//! It begins with the rack as it is. Behind each event of the rack comes the state of its key; what moves the finger, or takes a key away,
//! is followed by the whole rack. Nothing has to be worked out by who reads it, and who reads slowly is brought up to date.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use keyrig_faults::transcript::{Followed, Follower, Recorder};
use keyrig_http::openapi::Operation;
use keyrig_rack::command::{Command, KeyState};
use keyrig_rack::events::{Event, Reader, What};
use keyrig_rack::{KeyName, Rack};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::commands::Members;
use crate::error::{ErrorBody, Refused};
use crate::service::Service;
use crate::trace::{event_id, line, not_followed};

/// How many events are taken at once: so much each reader holds.
const AT_ONCE: usize = 64;

/// Tell all that the panel shows, as it happens, in server-sent events: `rack`, the state of all keys, at the beginning and whenever more
/// than one has changed; `key`, an event of the rack and its key's state after it; `trace`, an event of the transcript, with its number as `id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowPanel {
    /// The number of the transcript's event to begin behind: 0 is before the first.
    #[serde(default)]
    #[schema(schema_with = event_id)]
    trace_after: u64,
}

/// Describes [`panel`].
pub(crate) fn operation(id: &str, path: &str) -> Operation {
    let events = json!({
        "description": "Server-sent events, until the reader or the rack ends.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    });
    Operation::asking::<FollowPanel, ErrorBody>(id, path, true).with_success(events)
}

pub(crate) async fn panel(
    State(service): State<Arc<Service>>,
    Members(FollowPanel { trace_after }): Members<FollowPanel>,
) -> Result<Response, Refused> {
    let recorder = service.rack.at_seams::<Recorder>();
    let trace = recorder.map(Recorder::follow).transpose().map_err(not_followed)?;
    let following = Following {
        rack: service.rack.clone(),
        events: service.rack.events().clone(),
        // Before the state is asked for, so that nothing is missing between them.
        after: service.rack.events().last(),
        trace,
        trace_after,
        lines: VecDeque::new(),
    };
    let following = following.begun().await;
    let lines = futures_util::stream::unfold(following, Following::next);
    Ok(Sse::new(lines).keep_alive(KeepAlive::default()).into_response())
}

/// An event, and its key after it.
#[derive(Serialize)]
struct KeyEvent {
    #[serde(flatten)]
    event: Event,
    /// None if it is not in the rack any more.
    state: Option<KeyState>,
}

struct Following {
    rack: Rack,
    events: Reader,
    after: u64,
    trace: Option<Follower>,
    trace_after: u64,
    /// What is still to be sent.
    lines: VecDeque<Line>,
}

impl Following {
    async fn begun(mut self) -> Self {
        self.tell_rack().await;
        self
    }

    async fn next(mut self) -> Option<(Result<Line, Infallible>, Self)> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some((Ok(line), self));
            }
            tokio::select! {
                events = self.events.behind(self.after, AT_ONCE) => {
                    // There is always one, unless the rack has ended.
                    self.after = events.last()?.id;
                    self.tell(events).await;
                }
                traced = behind(self.trace.as_ref(), self.trace_after) => {
                    self.trace_after = traced.last().map_or(self.trace_after, |last| last.id);
                    self.lines.extend(traced.iter().map(|followed| line(followed).event("trace")));
                }
            }
        }
    }

    async fn tell(&mut self, events: Vec<Event>) {
        let mut is_more = false;
        for event in events {
            let state = match key_of(&event.what) {
                Some(key) => self.state(key).await,
                None => None,
            };
            is_more |= changes_others(&event.what);
            self.lines.push_back(named("key", &KeyEvent { event, state }));
        }
        if is_more {
            self.tell_rack().await;
        }
    }

    async fn state(&self, key: &KeyName) -> Option<KeyState> {
        self.rack.command(Command::Show { key: key.clone() }).await.ok()?.keys.into_iter().next()
    }

    /// If the rack has ended, the next event says so.
    async fn tell_rack(&mut self) {
        if let Ok(state) = self.rack.command(Command::List).await {
            self.lines.push_back(named("rack", &state));
        }
    }
}

/// What of a transcript is behind a number; never, if there is none.
async fn behind(trace: Option<&Follower>, after: u64) -> Vec<Followed> {
    if let Some(trace) = trace {
        let followed = trace.behind(after, AT_ONCE).await;
        if !followed.is_empty() {
            return followed;
        }
    }
    core::future::pending().await
}

fn named(name: &str, value: &impl Serialize) -> Line {
    // States and events have no form that JSON lacks.
    Line::default().event(name).data(serde_json::to_string(value).unwrap_or_default())
}

/// Whether the finger may be elsewhere by it, or there are other keys.
fn changes_others(what: &What) -> bool {
    matches!(
        what,
        What::Finger { .. }
            | What::TouchPolicy { .. }
            | What::Created { .. }
            | What::Removed { .. }
            | What::Plugged { .. }
            | What::Unplugged { .. }
            | What::Gap { .. }
    )
}

fn key_of(what: &What) -> Option<&KeyName> {
    match what {
        What::Waiting { key, .. }
        | What::Touched { key }
        | What::Verified { key }
        | What::Missed { key }
        | What::Sampled { key, .. }
        | What::Denied { key }
        | What::Cancelled { key }
        | What::TimedOut { key }
        | What::Created { key }
        | What::Removed { key }
        | What::Reset { key }
        | What::Restored { key }
        | What::Plugged { key }
        | What::Unplugged { key }
        | What::Attached { key }
        | What::Detached { key }
        | What::Programs { key, .. }
        | What::Stored { key, .. }
        | What::Winked { key }
        | What::UvPolicy { key, .. } => Some(key),
        What::Finger { key } => key.as_ref(),
        _ => None,
    }
}
