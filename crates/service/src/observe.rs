//! What pages note of their ceremonies: where notes are posted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use keyrig_faults::transcript::{Note, Recorder};
use keyrig_http::openapi::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::commands::Members;
use crate::error::Refused;
use crate::service::Service;

/// Write down what a page noted of its ceremony, in the transcript, and have it explained there. The page has no part in this: the
/// script gives its notes to whoever drives the browser.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeNote {
    /// The note, a line of JSON, as the script of /v1/observe.js made it.
    note: String,
}

/// It is written down.
#[derive(Serialize, ToSchema)]
pub(crate) struct Noted {
    /// The ceremony that the note is about.
    ceremony: String,
}

/// Describes [`note`].
pub(crate) fn note_operation(id: &str, path: &str) -> Operation {
    Operation::asking::<TakeNote, Noted>(id, path, false)
}

pub(crate) async fn note(
    State(service): State<Arc<Service>>,
    Members(TakeNote { note }): Members<TakeNote>,
) -> Result<Json<Noted>, Refused> {
    let recorder = service.rack.at_seams::<Recorder>().ok_or(Refused::NotObserved)?;
    let note: Note = serde_json::from_str(&note).map_err(|error| Refused::BadNote(error.to_string()))?;
    let ceremony = note.id().to_owned();
    recorder.observe(note);
    Ok(Json(Noted { ceremony }))
}
