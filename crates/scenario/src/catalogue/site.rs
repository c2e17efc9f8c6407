//! The relying party as a page sees it, called in process: any host can be opened, and nothing listens.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{Method, Request};
use keyrig_client::related_origins::Fetched;
use keyrig_relying_party::CSRF_HEADER;
use serde_json::{Value, json};
use thiserror::Error;
use tower::ServiceExt;

/// A row cannot be carried out, whatever would come of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the row cannot be carried out: {what}")]
pub struct Broken {
    /// What does not work.
    pub what: String,
}

impl Broken {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// More than any answer has, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A refusal of the relying party.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// The check that failed, else the cause in the report, else the code of the answer.
    pub(super) code: String,
    /// What another verifier said that decides.
    pub(super) decided: Option<String>,
}

/// A browser with a session at a relying party, or none yet.
#[derive(Clone)]
pub(super) struct Site {
    router: Router,
    host: String,
    cookie: Option<String>,
    csrf_token: Option<String>,
}

pub(super) type Answer = Result<Result<Value, Refused>, Broken>;

impl Site {
    pub(super) fn new(router: Router, host: &str) -> Self {
        Self { router, host: host.to_owned(), cookie: None, csrf_token: None }
    }

    /// The same session at another server of the site.
    pub(super) fn at(&self, router: Router, host: &str) -> Self {
        Self { router, host: host.to_owned(), ..self.clone() }
    }

    pub(super) fn without_session(&self) -> Self {
        Self { cookie: None, csrf_token: None, ..self.clone() }
    }

    pub(super) async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(token) = &self.csrf_token {
            request = request.header(CSRF_HEADER, token);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| Broken::new(format!("{path}: {error}")))?;
        let answer = self.router.clone().oneshot(request).await;
        let answer = answer.map_err(|never| match never {})?;
        let is_accepted = answer.status().is_success();
        let cookie = answer.headers().get(SET_COOKIE).and_then(|header| header.to_str().ok());
        let cookie = cookie.and_then(|text| text.split(';').next()).map(str::to_owned);
        let bytes = to_bytes(answer.into_body(), MAX_ANSWER).await;
        let bytes = bytes.map_err(|error| Broken::new(format!("{path}: {error}")))?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| Broken::new(format!("{path} answers no JSON: {error}")))?;
        if let Some(cookie) = cookie {
            self.cookie = (!cookie.ends_with('=')).then_some(cookie);
            self.csrf_token = value.pointer("/session/csrf_token").and_then(Value::as_str).map(str::to_owned);
        }
        if is_accepted {
            return Ok(Ok(value));
        }
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let code =
            text("/report/verification/refused_by/0").or_else(|| text("/report/cause")).or_else(|| text("/code"));
        let code = code.ok_or_else(|| Broken::new(format!("{path} refuses without a code: {value}")))?;
        let decided = text("/report/verification/decided_by/refusal");
        Ok(Err(Refused { code, decided }))
    }

    pub(super) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Gives the password, and gives it again for what changes factors.
    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Answer {
        let answer = self.post("/api/login", json!({ "user": user, "password": password })).await?;
        if answer.as_ref().is_ok_and(|answer| answer.get("state").is_some_and(|state| state == "logged_in")) {
            let confirmed = self.post("/api/session/confirm", json!({ "password": password })).await?;
            if let Err(refused) = confirmed {
                return Err(Broken::new(format!("the password is not taken again: {}", refused.code)));
            }
        }
        Ok(answer)
    }

    /// What a browser finds that looks for related origins here.
    pub(super) async fn related_origins(&self) -> Result<Fetched, Broken> {
        let path = "/.well-known/webauthn";
        let request = Request::get(path).header(HOST, &self.host).body(Body::empty());
        let request = request.map_err(|error| Broken::new(format!("{path}: {error}")))?;
        let answer = self.router.clone().oneshot(request).await.map_err(|never| match never {})?;
        let status = answer.status().as_u16();
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|header| header.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let body = to_bytes(answer.into_body(), MAX_ANSWER).await;
        let body = body.map_err(|error| Broken::new(format!("{path}: {error}")))?.to_vec();
        Ok(Fetched::Answer { status, content_type, body })
    }
}
