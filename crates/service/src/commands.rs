//! A command from a request: its members are in the path, in the query and in the body.

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, RawPathParams, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyrig_control::request::{self, Ask, Deny, Events, Touch, Wait};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::error::Refused;
use crate::service::{MAX_BODY, MAX_CEREMONY, MAX_SHORT, Service};

/// How long a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// For how long a command may wait: an hour.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// Carries out a command of the vocabulary.
pub(crate) async fn carry_out<Command>(
    State(service): State<Arc<Service>>,
    Members(command): Members<Command>,
) -> Result<Response, Refused>
where
    Command: Ask + DeserializeOwned,
{
    let command = command.into();
    let timeout_ms = match &command {
        request::Request::Touch(Touch { timeout_ms, .. })
        | request::Request::Deny(Deny { timeout_ms, .. })
        | request::Request::Wait(Wait { timeout_ms, .. })
        | request::Request::Events(Events { timeout_ms, .. }) => *timeout_ms,
        _ => 0,
    };
    if timeout_ms > MAX_TIMEOUT_MS {
        return Err(Refused::BadRequest(format!("timeout_ms is at most {MAX_TIMEOUT_MS}, an hour")));
    }
    // A request that is dropped takes along what is under way for it.
    let answer = command.carry_out(&service.rack, core::future::pending()).await?;
    Ok(Json(answer).into_response())
}

/// A value whose members are parts of the path, members of the body, and of a GET, parts of the query; a request without a body has none
/// there.
pub(crate) struct Members<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Members<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &Arc<Service>) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let bad = |error: &dyn core::fmt::Display| Refused::BadRequest(error.to_string());
        let path =
            RawPathParams::from_request_parts(&mut parts, state).await.map_err(|error| bad(&error.body_text()))?;
        let Query(query) = Query::<Vec<(String, String)>>::from_request_parts(&mut parts, state)
            .await
            .map_err(|error| bad(&error.body_text()))?;
        if parts.method != Method::GET && !query.is_empty() {
            // An address is what gets into logs and histories.
            return Err(Refused::BadRequest("what is after the ? belongs into the body".to_owned()));
        }
        let longest = longest(parts.uri.path());
        let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes()));
        // Before any of it has come.
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > longest) {
            return Err(Refused::BodyTooLarge { longest });
        }
        let is_short = longest <= MAX_SHORT
            || length.map_or(!parts.headers.contains_key(header::TRANSFER_ENCODING), |length| length <= MAX_SHORT);
        let mut request = Request::from_parts(parts, body);
        DefaultBodyLimit::max(longest).apply(&mut request);
        let read = async {
            // Never closed.
            let turn = if is_short { None } else { state.long_bodies.acquire().await.ok() };
            (Bytes::from_request(request, state).await, turn)
        };
        let (body, _turn) = timeout(BODY_LIMIT, read).await.map_err(|_| Refused::BodyTooSlow)?;
        let body = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refused::BodyTooLarge { longest },
            _ => bad(&error.body_text()),
        })?;
        let mut members: Map<String, Value> = match body.as_ref() {
            [] => Map::new(),
            _ if !is_json => return Err(Refused::ContentType),
            text => serde_json::from_slice(text).map_err(|error| bad(&format_args!("the body: {error}")))?,
        };
        for (name, value) in &path {
            if members.insert(name.to_owned(), value.into()).is_some() {
                return Err(Refused::BadRequest(format!("{name} is in the path: leave it out of the body")));
            }
        }
        if query.is_empty() {
            return serde_json::from_value(Value::Object(members)).map(Self).map_err(|error| bad(&error));
        }
        // Of a number in a query its digits are there, and of a text too: what is wanted decides.
        let with_query = |value: fn(String) -> Value| {
            let mut members = members.clone();
            for (name, text) in query.iter().cloned() {
                if members.insert(name.clone(), value(text)).is_some() {
                    return Err(Refused::BadRequest(format!("{name} is there twice")));
                }
            }
            serde_json::from_value(Value::Object(members)).map(Self).map_err(|error| bad(&error))
        };
        with_query(Value::String)
            .or_else(|_| with_query(|text| text.parse::<u64>().map_or(Value::String(text), Value::from)))
    }
}

/// The longest body there, bytes.
fn longest(path: &str) -> usize {
    match path {
        "/v1/client/create" | "/v1/client/get" => MAX_CEREMONY,
        // Snapshots, and what large blobs keep.
        "/v1/keys" => MAX_BODY,
        path if path.ends_with("/snapshot") || path.ends_with("/large-blobs") => MAX_BODY,
        _ => MAX_SHORT,
    }
}

/// `application/json`, with whatever parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
