//! A command from a request: its members are in the path, in the query and in the body.

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyrig_control::request::Ask;
use keyrig_control::{plainly, read_object};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::error::Refused;
use crate::service::{BODY_LIMIT, MAX_SHORT, Service};

/// How long a long body may wait for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(45);

/// Carries out a command of the vocabulary.
pub(crate) async fn carry_out<Command>(
    State(service): State<Arc<Service>>,
    Members(command): Members<Command>,
) -> Result<Response, Refused>
where
    Command: Ask + DeserializeOwned,
{
    let command = command.into();
    let _waiting = match command.waits() {
        Duration::ZERO => None,
        _ => Some(service.waits.try_acquire().map_err(|_| Refused::TooManyWaits)?),
    };
    // A request that is dropped takes along what is under way for it.
    let answer = command.carry_out(&service.rack, core::future::pending()).await?;
    Ok(Json(answer).into_response())
}

/// The longest body of a path, if it is another than of most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongestBody(pub(crate) usize);

/// A value whose members are parts of the path, members of the body, and of a GET, parts of the query; a request without a body has none
/// there. What is wrong with path and query is said before any of the body is read.
pub(crate) struct Members<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Members<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &Arc<Service>) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let path = in_path(&mut parts, state).await?;
        let Query(query) = Query::<Vec<(String, String)>>::from_request_parts(&mut parts, state)
            .await
            .map_err(|error| Refused::BadRequest(error.body_text()))?;
        if !matches!(parts.method, Method::GET | Method::HEAD) && !query.is_empty() {
            // An address is what gets into logs and histories.
            return Err(Refused::BadRequest("what is after the ? belongs into the body".to_owned()));
        }
        let mut members = body_members(Request::from_parts(parts, body), state).await?;
        for (name, value) in path {
            if members.contains_key(&name) {
                return Err(Refused::BadRequest(format!("{name} is in the path: leave it out of the body")));
            }
            members.insert(name, value.into());
        }
        if query.is_empty() {
            return read(members).map(Self);
        }
        // Of a number in a query its digits are there, and of a text too: what is wanted decides.
        let with_query = |value: fn(String) -> Value| {
            let mut members = members.clone();
            for (name, text) in query.iter().cloned() {
                if members.insert(name.clone(), value(text)).is_some() {
                    return Err(Refused::BadRequest(format!("{name} is there twice")));
                }
            }
            read(members).map(Self)
        };
        with_query(Value::String)
            .or_else(|_| with_query(|text| text.parse::<u64>().map_or(Value::String(text), Value::from)))
    }
}

fn read<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, Refused> {
    // It says which member is meant, where that is not said already.
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| {
        let at = error.path().to_string();
        let reason = plainly(&error.into_inner().to_string());
        Refused::BadRequest(if at == "." { reason } else { format!("{at}: {reason}") })
    })
}

/// The parts of the path; a key that is named there is one of the rack.
async fn in_path(parts: &mut Parts, service: &Arc<Service>) -> Result<Vec<(String, String)>, Refused> {
    let path = RawPathParams::from_request_parts(parts, service).await;
    let path = path.map_err(|error| Refused::BadRequest(error.body_text()))?;
    let path: Vec<_> = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some((name, value)) = path.iter().find(|(name, _)| name == "key") {
        let key = value.parse().map_err(|error| Refused::BadRequest(format!("{name}: {error}")))?;
        service.rack.known(&key)?;
    }
    Ok(path)
}

/// The members of the body, none if there is no body.
async fn body_members(mut request: Request, service: &Service) -> Result<Map<String, Value>, Refused> {
    let longest = request.extensions().get().map_or(MAX_SHORT, |LongestBody(longest)| *longest);
    let headers = request.headers();
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes()));
    // Before any of it has come.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > longest) {
        return Err(Refused::BodyTooLarge { longest });
    }
    let is_short = longest <= MAX_SHORT
        || length.map_or(!headers.contains_key(header::TRANSFER_ENCODING), |length| length <= MAX_SHORT);
    DefaultBodyLimit::max(longest).apply(&mut request);
    let _turn = match is_short {
        true => None,
        false => match timeout(TURN_LIMIT, service.long_bodies.acquire()).await {
            Ok(turn) => turn.ok(),
            Err(_) => return Err(Refused::TooManyLongBodies),
        },
    };
    let body = timeout(BODY_LIMIT, Bytes::from_request(request, &())).await.map_err(|_| Refused::BodyTooSlow)?;
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::BodyTooLarge { longest },
        _ => Refused::BadRequest(error.body_text()),
    })?;
    match body.as_ref() {
        [] => Ok(Map::new()),
        _ if !is_json => Err(Refused::ContentType),
        text => {
            let members = read_object(text);
            let mut members = members.map_err(|error| Refused::BadRequest(format!("the body: {error}")))?;
            members.values_mut().for_each(write_integers);
            Ok(members)
        }
    }
}

/// To JSON Schema 3.0 is an integer (draft 2020-12, core §4.2.3), and to languages that have one kind of number.
fn write_integers(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(write_integers),
        Value::Object(members) => members.values_mut().for_each(write_integers),
        // It is written as an integer with .0 behind, or is no such.
        Value::Number(number) if number.is_f64() => {
            let text = number.to_string();
            if let Some(integer) = text.strip_suffix(".0").and_then(|text| text.parse::<i64>().ok()) {
                *number = integer.into();
            }
        }
        _ => {}
    }
}

/// `application/json`, with whatever parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
