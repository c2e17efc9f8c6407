//! What is not a success, in one shape.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyrig_client::{Browser, ClientError, RefusedBy};
use keyrig_control::error_code;
use keyrig_rack::command::Refusal;
use keyrig_rack::key::administration::{ActRefused, FingerprintRefused};
use serde::Serialize;
use utoipa::ToSchema;

use crate::page_token::NotForPage;
use crate::service::{BODY_LIMIT, MAX_CEREMONIES, MAX_WAITS};

/// The body of every answer that is not a success, and the line on standard error of a ceremony that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Error,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Error {
    /// A word for programs, which stays the same where texts are bettered.
    pub code: String,
    /// Of a ceremony: the name of the exception that a page's script catches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened; of a ceremony in the words of the browser, where these are known.
    pub message: String,
    /// Of a ceremony: `client` or `authenticator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<&'static str>,
    /// Of a ceremony: why, which a browser keeps to itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What helps, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<String>,
}

impl Error {
    /// A ceremony's refusal, as a page in this browser sees it.
    #[must_use]
    pub fn of_ceremony(error: &ClientError, browser: Browser) -> Self {
        let reason = error.reason.to_string();
        Self {
            code: error.code(),
            name: Some(error.name.to_string()),
            message: error.observed_message(browser).map_or_else(|| reason.clone(), Cow::into_owned),
            refused_by: Some(match error.refused_by() {
                RefusedBy::Client => "client",
                RefusedBy::Authenticator => "authenticator",
            }),
            reason: Some(reason),
            what_to_do: Some(error.what_to_do().to_owned()),
        }
    }

    fn plain(code: &str, message: String, what_to_do: Option<String>) -> Self {
        Self { code: code.to_owned(), name: None, message, refused_by: None, reason: None, what_to_do }
    }
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody said who asks.
    TokenMissing,
    /// It is another token.
    TokenWrong,
    /// It is a token for pages, and they may not ask this.
    NotForPages,
    /// It is a token for pages of another origin.
    OtherOrigin,
    /// The operating system has no random bytes.
    NoRandomness(String),
    NotFound {
        path: String,
    },
    MethodNotAllowed {
        method: String,
        path: String,
    },
    /// The request is not what the path takes.
    BadRequest(String),
    /// There is no such page, or nobody could be meant.
    BadCeremony(String),
    ContentType,
    BodyTooLarge {
        /// Of that path, bytes.
        longest: usize,
    },
    BodyTooSlow,
    /// As many long bodies are being read as there may be, and none was done in time.
    TooManyLongBodies,
    TooManyCeremonies,
    TooManyWaits,
    /// Nobody writes down what pages note.
    NotObserved,
    /// The transcript cannot be followed.
    NotFollowed(String),
    /// A code for the panel is not good, or not any more.
    CodeNotGood,
    /// A text is no note.
    BadNote(String),
    /// Metadata could not be made.
    Metadata(String),
    Rack(Refusal),
    Ceremony(Box<(ClientError, Browser)>),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Rack(refusal)
    }
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::TokenWrong => StatusCode::UNAUTHORIZED,
            Self::NotForPages | Self::OtherOrigin | Self::CodeNotGood => StatusCode::FORBIDDEN,
            Self::NoRandomness(_) | Self::NotFollowed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound { .. }
            | Self::Rack(Refusal::UnknownKey { .. } | Refusal::Act { refused: ActRefused::NoCredential, .. })
            | Self::Rack(Refusal::Act { refused: ActRefused::Fingerprint(FingerprintRefused::NotKnown), .. }) => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_)
            | Self::Rack(
                Refusal::MessageTooLong(_)
                | Refusal::UnknownProfile(_)
                | Refusal::NoProfile(_)
                | Refusal::UnknownQuirk(_),
            ) => StatusCode::BAD_REQUEST,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyCeremonies | Self::TooManyWaits | Self::Rack(Refusal::TooManyWaits(_)) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Metadata(_) | Self::Rack(Refusal::Act { refused: ActRefused::NotDurable(_), .. }) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::TooManyLongBodies | Self::Rack(Refusal::Stopped) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotObserved => StatusCode::CONFLICT,
            // What is said is what may be said, and means nothing.
            Self::Ceremony(_)
            | Self::BadCeremony(_)
            | Self::BadNote(_)
            | Self::Rack(
                Refusal::Snapshot(_)
                | Refusal::BadCredential { .. }
                | Refusal::Quirk { .. }
                | Refusal::Enterprise { .. },
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Rack(_) => StatusCode::CONFLICT,
        }
    }

    fn error(&self) -> Error {
        let (code, message, what_to_do) = match self {
            Self::TokenMissing => (
                "token-missing",
                "this is for those who have the token".to_owned(),
                Some(
                    "send the header 'Authorization: Bearer TOKEN': it is in the file that keyrig names, or in KEYRIG_TOKEN",
                ),
            ),
            Self::TokenWrong => (
                "token-wrong",
                "the token is not the one of this keyrig".to_owned(),
                Some("read the token again: it is another one each time keyrig starts, unless KEYRIG_TOKEN is set"),
            ),
            Self::NotForPages => (
                "not-for-pages",
                "this token is for pages: it is good for ceremonies alone".to_owned(),
                Some("send POST to /v1/client/create, get or capabilities"),
            ),
            Self::OtherOrigin => (
                "other-origin",
                "this token is for pages of another origin".to_owned(),
                Some("make one for this origin: POST /v1/page-tokens"),
            ),
            Self::NoRandomness(reason) => ("no-randomness", format!("no random bytes: {reason}"), None),
            Self::NotFound { path } => {
                ("not-found", format!("nothing is at {path:?}"), Some("GET /v1/openapi.json says what there is"))
            }
            Self::MethodNotAllowed { method, path } => (
                "method-not-allowed",
                format!("{path} does not take {method}"),
                Some("GET /v1/openapi.json says what it takes"),
            ),
            Self::BadRequest(reason) => (error_code::BAD_REQUEST, reason.clone(), None),
            Self::BadCeremony(reason) => ("bad-ceremony", reason.clone(), None),
            Self::BadNote(reason) => ("bad-note", format!("note: {reason}"), None),
            Self::Metadata(reason) => ("metadata-failed", format!("metadata: {reason}"), None),
            Self::ContentType => (
                "content-type",
                "the body is not said to be JSON".to_owned(),
                Some("send the header 'Content-Type: application/json', which 'curl --json' does"),
            ),
            Self::BodyTooLarge { longest } => {
                ("body-too-large", format!("the body has more than {longest} bytes"), None)
            }
            Self::BodyTooSlow => {
                let seconds = BODY_LIMIT.as_secs();
                (
                    "body-too-slow",
                    format!("the body did not arrive within {seconds} s of the first of it that was read"),
                    None,
                )
            }
            Self::TooManyLongBodies => (
                "too-many-long-bodies",
                "other long bodies are being read, and this one's turn did not come in time".to_owned(),
                Some("try again"),
            ),
            Self::TooManyCeremonies => (
                "too-many-ceremonies",
                format!("{MAX_CEREMONIES} ceremonies are under way already"),
                Some("end one: a ceremony ends with its connection"),
            ),
            Self::TooManyWaits => (
                "no-place-to-wait",
                format!("{MAX_WAITS} commands wait already"),
                Some("end one: a wait ends with its connection"),
            ),
            Self::NotObserved => (
                "not-observed",
                "nothing is written down of this rack's keys, and of no page either".to_owned(),
                Some("start keyrig with --explain, or with --trace FILE"),
            ),
            Self::NotFollowed(reason) => ("not-followed", format!("the transcript cannot be followed: {reason}"), None),
            Self::CodeNotGood => (
                "code-not-good",
                "this code opens the panel no more: it was used, or it is older than a quarter of an hour".to_owned(),
                Some("make another: POST /v1/panel/codes with the token, or press o in the terminal of 'keyrig serve'"),
            ),
            Self::Rack(refusal) => (error_code::of_refusal(refusal), refusal.to_string(), None),
            Self::Ceremony(refused) => return Error::of_ceremony(&refused.0, refused.1),
        };
        Error::plain(code, message, what_to_do.map(str::to_owned))
    }
}

impl From<NotForPage> for Refused {
    fn from(why: NotForPage) -> Self {
        match why {
            NotForPage::OtherOrigin => Self::OtherOrigin,
            NotForPage::Member(name) => {
                Self::BadCeremony(format!("{name}: that is not for a page to say, but for whoever made its token"))
            }
        }
    }
}

/// The body of an answer to what is no request.
pub(crate) fn of_what_is_no_request(status: StatusCode) -> String {
    let (code, message) = match status {
        StatusCode::URI_TOO_LONG => ("uri-too-long", "the path and what is after the ? are too long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("head-too-large", "the head of the request is too large"),
        _ => (error_code::BAD_REQUEST, "this is no HTTP request that can be read"),
    };
    let body = ErrorBody { error: Error::plain(code, message.to_owned(), None) };
    serde_json::to_string(&body).unwrap_or_default()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(ErrorBody { error: self.error() })).into_response();
        let challenge = match self {
            Self::TokenMissing => "Bearer",
            Self::TokenWrong => "Bearer error=\"invalid_token\"",
            _ => return response,
        };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}
