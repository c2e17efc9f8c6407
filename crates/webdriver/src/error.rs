//! What is not a success: WebDriver's errors (WebDriver §6.6).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

/// The error codes that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body or a member of it is not what it has to be.
    InvalidArgument,
    /// There is no such session, or not any more.
    InvalidSessionId,
    /// There is no session that has what was asked for.
    SessionNotCreated,
    /// There is nothing at this path.
    UnknownCommand,
    /// The driver has gone, or the rack failed.
    UnknownError,
    /// Not by this method.
    UnknownMethod,
    /// It is a command, and cannot be carried out here.
    UnsupportedOperation,
}

impl Code {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid argument",
            Self::InvalidSessionId => "invalid session id",
            Self::SessionNotCreated => "session not created",
            Self::UnknownCommand => "unknown command",
            Self::UnknownError => "unknown error",
            Self::UnknownMethod => "unknown method",
            Self::UnsupportedOperation => "unsupported operation",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::InvalidSessionId | Self::UnknownCommand => StatusCode::NOT_FOUND,
            Self::UnknownMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::SessionNotCreated | Self::UnknownError | Self::UnsupportedOperation => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

/// An error of WebDriver.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {message}", code.name())]
pub struct WebDriverError {
    /// Which.
    pub code: Code,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// The status, if it is not the code's.
    status: Option<StatusCode>,
}

impl WebDriverError {
    /// An error with its code's status.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None }
    }

    /// The body or a member of it is wrong.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// Nobody who may not ask learns more. WebDriver has no code for it.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: Some(StatusCode::FORBIDDEN), ..Self::new(Code::UnknownError, message) }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.code.status())
    }

    fn body(&self) -> serde_json::Value {
        json!({"value": {"error": self.code.name(), "message": self.message, "stacktrace": ""}})
    }
}

impl IntoResponse for WebDriverError {
    fn into_response(self) -> Response {
        answer(self.status(), &self.body())
    }
}

/// A success with data (WebDriver §6.3).
pub(crate) fn success(value: &serde_json::Value) -> Response {
    answer(StatusCode::OK, &json!({"value": value}))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The body for a head that is no request.
pub(crate) fn of_what_is_no_request(status: StatusCode) -> String {
    let message = match status {
        StatusCode::URI_TOO_LONG => "the path is too long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the head of the request is too large",
        _ => "this is no HTTP request that can be read",
    };
    WebDriverError::argument(message).body().to_string()
}
