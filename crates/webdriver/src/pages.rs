//! Pages that get a script in the place of `navigator.credentials`, as no key reaches their browser.
//!
//! A browser that can is told once to run it in each document before the document's own scripts. Into the documents of others it is put
//! when a command has led there, or is about to do something in it: behind their own scripts, as WebDriver alone knows no way before them.
//! The script fetches from a service of this session, and what its origin is the browser says.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{Method, Uri, header};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{Options, Rack};
use keyrig_service::{PAGE_SCRIPT, Server, Service, Token};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::bidi;
use crate::error::{Code, WebDriverError};
use crate::forward::{Address, forward, read_answer};
use crate::keys::Keys;

/// For how long a page may ask: longer than any test.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What tells a document that has the script.
const MARK: &str = "Symbol.for('keyrig')";

/// Where drivers of Chromium and of Edge take commands of DevTools, and the capability by which one is known.
const DEVTOOLS: [(&str, &str); 2] = [("goog:chromeOptions", "goog/cdp/execute"), ("ms:edgeOptions", "ms/cdp/execute")];

/// The service of one session, and how its documents get the script.
#[derive(Debug)]
pub(crate) struct Pages {
    server: Server,
    token: Token,
    /// The windows whose documents get it before their own scripts, where each has to be told.
    windows: Mutex<HashSet<String>>,
    told_by: Mutex<Told>,
}

/// Who has been told to run the script before those of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The browser, for all documents.
    Bidi,
    /// Its windows, by the command of a driver at this path.
    DevTools(&'static str),
    /// None.
    Nobody,
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
        let token = service.token_for_any_page(LIFE).map_err(|error| failed(&error))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
        let server = keyrig_service::serve(listener, service).map_err(|error| failed(&error))?;
        let (windows, told_by) = (Mutex::default(), Mutex::new(Told::Nobody));
        Ok((Keys::Here(rack), Self { server, token, windows, told_by }))
    }

    /// Tells the browser of a new session to run the script before a document's own, if it can be told. Whether it was.
    pub(crate) async fn begin(&self, address: &Address, id: &str, capabilities: &Map<String, Value>) -> bool {
        let devtools = DEVTOOLS.into_iter().find(|(name, _)| capabilities.contains_key(*name)).map(|(_, path)| path);
        let told = if let Some(url) = capabilities.get("webSocketUrl").and_then(Value::as_str)
            && let Some((authority, path)) = near(url, address)
        {
            let script = json!({"functionDeclaration": format!("() => {{\n{}\n}}", self.script())});
            let told = bidi::command(&authority, &path, "script.addPreloadScript", &script).await;
            told.map(|_| Told::Bidi).map_err(|error| WebDriverError::new(Code::UnknownError, error.to_string()))
        } else if let Some(path) = devtools {
            self.tell_window(address, id, path).await.map(|()| Told::DevTools(path))
        } else {
            Ok(Told::Nobody)
        };
        let told = told.unwrap_or_else(|error| {
            tracing::warn!(%error, "documents get the script behind their own");
            Told::Nobody
        });
        *self.told_by.lock().unwrap_or_else(PoisonError::into_inner) = told;
        told != Told::Nobody
    }

    /// Tells the present window, if it was not told before.
    async fn tell_window(&self, address: &Address, id: &str, path: &str) -> Result<(), WebDriverError> {
        let window = ask(address, Method::GET, &format!("/session/{id}/window"), None).await?;
        let window = window.as_str().unwrap_or_default().to_owned();
        if self.windows.lock().unwrap_or_else(PoisonError::into_inner).contains(&window) {
            return Ok(());
        }
        let told =
            json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": self.script()}}).to_string();
        ask(address, Method::POST, &format!("/session/{id}/{path}"), Some(told)).await?;
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).insert(window);
        Ok(())
    }

    /// What is run in each document, once.
    fn script(&self) -> String {
        let service = json!({"url": self.url(), "token": self.token.expose()});
        format!(
            "if (globalThis.isSecureContext === true && self.origin !== 'null' && globalThis[{MARK}] !== true) {{\n\
             ({PAGE_SCRIPT})({{ service: {service} }});\n\
             Object.defineProperty(globalThis, {MARK}, {{ value: true }});\n}}"
        )
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.local_addr())
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
    pub(crate) async fn prepare(&self, address: &Address, id: &str, command: &str) {
        let told_by = *self.told_by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Told::DevTools(path) = told_by
            && command == "window"
            && let Err(error) = self.tell_window(address, id, path).await
        {
            tracing::debug!(%error, "a window was not told of the script");
        }
        if let Err(error) = self.put(address, id).await {
            tracing::debug!(%error, "a document did not get the script");
        }
    }

    async fn put(&self, address: &Address, id: &str) -> Result<(), WebDriverError> {
        let body = json!({"script": self.script(), "args": []}).to_string();
        ask(address, Method::POST, &format!("/session/{id}/execute/sync"), Some(body)).await.map(drop)
    }
}

/// Of `ws://AUTHORITY/PATH` both, if it is the driver's machine that a driver names.
fn near(url: &str, driver: &Address) -> Option<(String, String)> {
    let url: Uri = url.parse().ok().filter(|url: &Uri| url.scheme_str() == Some("ws"))?;
    let (host, path) = (url.host()?, url.path());
    let is_loopback = |host: &str| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or(host == "localhost", |address| address.is_loopback())
    };
    let of_driver = driver.authority.parse::<Authority>().ok()?;
    let is_near = host == of_driver.host() || is_loopback(host) && is_loopback(of_driver.host());
    let authority = format!("{host}:{}", url.port_u16().unwrap_or(80));
    is_near.then(|| (authority, path.to_owned()))
}

/// Asks a driver for something, and reads what it says.
async fn ask(address: &Address, method: Method, path: &str, body: Option<String>) -> Result<Value, WebDriverError> {
    let unknown = |error: &dyn core::fmt::Display| WebDriverError::new(Code::UnknownError, error.to_string());
    let mut request = Request::builder().method(method).uri("/");
    if let Some(body) = &body {
        request = request
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::CONTENT_LENGTH, body.len());
    }
    let request = request.body(body.map_or_else(Body::empty, Body::from)).map_err(|error| unknown(&error))?;
    let answer = forward(address, path, request).await.map_err(|error| unknown(&error))?;
    let answer = read_answer(answer).await?;
    answer.value().ok_or_else(|| unknown(&format!("the driver refused {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_names_no_other_machine_than_its_own() {
        let named =
            |url: &str, authority: &str| near(url, &Address { authority: authority.to_owned(), base: String::new() });
        let found = |authority: &str| Some((authority.to_owned(), "/session/x".to_owned()));
        assert_eq!(named("ws://127.0.0.1:9222/session/x", "127.0.0.1:4444"), found("127.0.0.1:9222"));
        assert_eq!(named("ws://localhost:9222/session/x", "127.0.0.1:4444"), found("localhost:9222"));
        assert_eq!(named("ws://[::1]:9222/session/x", "localhost:4444"), found("[::1]:9222"));
        assert_eq!(named("ws://grid.example:9222/session/x", "grid.example:4444"), found("grid.example:9222"));
        for other in ["ws://192.168.0.1:22/session/x", "wss://127.0.0.1:1/", "http://127.0.0.1:1/", "ws:", "x", ""] {
            assert_eq!(named(other, "127.0.0.1:4444"), None, "{other}");
        }
        assert_eq!(named("ws://127.0.0.1:22/", "grid.example:4444"), None);
    }
}
