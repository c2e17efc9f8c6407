//! Pages that get a script in the place of `navigator.credentials`, as no key reaches their browser.
//!
//! The script is put into a document when a command has led there, or is about to do something in it: behind the document's own
//! scripts, as WebDriver knows no way before them. It fetches from a service of this session, with a token for the origin that the driver told.

use core::time::Duration;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{Options, Rack};
use keyrig_service::{PAGE_SCRIPT, Server, Service, Token};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::error::{Code, WebDriverError};
use crate::forward::{Address, forward, read_answer};
use crate::keys::Keys;

/// For how long a page may ask: longer than any test.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What tells a document that has the script.
const MARK: &str = "Symbol.for('keyrig')";

/// The service of one session, and its pages' tokens.
#[derive(Debug)]
pub(crate) struct Pages {
    service: Arc<Service>,
    server: Server,
    tokens: Mutex<HashMap<String, String>>,
}

impl Pages {
    /// Starts a rack without keys, and what pages fetch from.
    pub(crate) async fn start() -> Result<(Keys, Self), WebDriverError> {
        let failed = |error: &dyn core::fmt::Display| {
            WebDriverError::new(Code::SessionNotCreated, format!("there is no rack for this session: {error}"))
        };
        let finger = Finger { policy: TouchPolicy::Manual, over: None };
        let rack =
            Rack::start(Options { finger, ..Options::default() }, Vec::new()).await.map_err(|error| failed(&error))?;
        let token = Token::random().map_err(|error| failed(&error))?;
        let service = Service::new(rack.clone(), token);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
        let server = keyrig_service::serve(listener, service.clone()).map_err(|error| failed(&error))?;
        Ok((Keys::Here(rack), Self { service, server, tokens: Mutex::default() }))
    }

    /// Whether a command does something in a document.
    pub(crate) fn is_before(method: &Method, command: &str) -> bool {
        let does = ["execute/sync", "execute/async", "actions"].contains(&command)
            || command.starts_with("element/") && (command.ends_with("/click") || command.ends_with("/value"));
        does && *method == Method::POST
    }

    /// Whether a command leads to a document.
    pub(crate) fn is_behind(method: &Method, command: &str) -> bool {
        *method == Method::POST
            && ["url", "refresh", "back", "forward", "frame", "frame/parent", "window"].contains(&command)
    }

    /// Puts the script into the present document, if it is not there. What is in the way, such as an open prompt, is for the
    /// command itself to tell.
    pub(crate) async fn prepare(&self, address: &Address, id: &str) {
        if let Err(error) = self.put(address, id).await {
            tracing::debug!(%error, "a document did not get the script");
        }
    }

    async fn put(&self, address: &Address, id: &str) -> Result<(), WebDriverError> {
        let asked =
            format!("return [globalThis.isSecureContext === true && globalThis[{MARK}] !== true, self.origin];");
        let told = execute(address, id, &asked, &json!([])).await?;
        let (Some(true), Some(origin)) = (
            told.get(0).and_then(Value::as_bool),
            told.get(1).and_then(Value::as_str).filter(|origin| *origin != "null"),
        ) else {
            return Ok(());
        };
        let url = format!("http://{}", self.server.local_addr());
        let token = self.token(origin)?;
        let script = format!(
            "({PAGE_SCRIPT})({{ service: {{ url: arguments[0], token: arguments[1] }} }});\n\
             Object.defineProperty(globalThis, {MARK}, {{ value: true }});"
        );
        execute(address, id, &script, &json!([url, token])).await.map(drop)
    }

    fn token(&self, origin: &str) -> Result<String, WebDriverError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(origin) {
            return Ok(token.clone());
        }
        let token = self.service.token_for_pages(origin, LIFE);
        let token = token.map_err(|reason| WebDriverError::new(Code::UnknownError, reason))?.expose().to_owned();
        tokens.insert(origin.to_owned(), token.clone());
        Ok(token)
    }
}

/// Runs a script in the present document.
async fn execute(address: &Address, id: &str, script: &str, arguments: &Value) -> Result<Value, WebDriverError> {
    let body = json!({"script": script, "args": arguments}).to_string();
    let unknown = |error: &dyn core::fmt::Display| WebDriverError::new(Code::UnknownError, error.to_string());
    let request = Request::builder()
        .method(Method::POST)
        .uri("/")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::CONTENT_LENGTH, body.len())
        .body(Body::from(body))
        .map_err(|error| unknown(&error))?;
    let path = format!("/session/{id}/execute/sync");
    let answer = forward(address, &path, request).await.map_err(|error| unknown(&error))?;
    let answer = read_answer(answer).await?;
    answer.value().ok_or_else(|| unknown(&"the driver refused to run a script"))
}
