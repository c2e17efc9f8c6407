//! A rack that is served, and who asks it.

use std::time::Duration;

use keyrig_rack::command::{Command, KeyState};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_service::{Server, Service, Token, serve};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "a-token-of-this-test";

/// An answer: status, head, and the body in JSON.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) head: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of an answer that has to be an error, of the one shape.
    pub(crate) fn code(&self) -> &str {
        assert!(self.status.is_client_error() || self.status.is_server_error(), "{}: {}", self.status, self.body);
        let error = self.body["error"].as_object().expect("an error");
        let known = ["code", "name", "message", "refused_by", "reason", "what_to_do"];
        assert!(error.keys().all(|member| known.contains(&member.as_str())), "{error:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        error["code"].as_str().expect("a code")
    }

    /// The names in a header of the answer.
    pub(crate) fn names(&self, header: &str) -> Vec<&str> {
        let value = self.head.get(header).expect("the header").to_str().expect("text");
        value.split(", ").filter(|name| !name.is_empty()).collect()
    }
}

pub(crate) struct Rig {
    pub(crate) rack: Rack,
    pub(crate) server: Server,
    http: Client,
}

impl Rig {
    /// Keys `NAME=PROFILE`, and what the finger does.
    pub(crate) async fn start(keys: &[&str], policy: TouchPolicy) -> Self {
        Self::start_with(keys, Options { finger: Finger { policy, over: None }, ..Options::default() }).await
    }

    /// The same with all that a rack may have.
    pub(crate) async fn start_with(keys: &[&str], options: Options) -> Self {
        let key = |key: &&str| {
            let (name, profile) = key.split_once('=').expect("NAME=PROFILE");
            KeySpecification::built_in(profile, name).expect("built in")
        };
        let rack = Rack::start(options, keys.iter().map(key).collect()).await.expect("a rack");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let service = Service::new(rack.clone(), TOKEN.parse::<Token>().expect("a token"));
        Self { rack, server: serve(listener, service).expect("served"), http: Client::new() }
    }

    /// Two keys, of which the first is touched.
    pub(crate) async fn two() -> Self {
        Self::start(&["a=keyrig", "b=yubikey-5.7"], TouchPolicy::Auto).await
    }

    /// A request of nobody.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.server.local_addr()))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        sent(self.request(Method::GET, path).bearer_auth(TOKEN)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        sent(self.request(Method::POST, path).bearer_auth(TOKEN).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        sent(self.request(Method::PUT, path).bearer_auth(TOKEN).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        sent(self.request(Method::DELETE, path).bearer_auth(TOKEN)).await
    }

    pub(crate) async fn keys(&self) -> Vec<KeyState> {
        self.rack.command(Command::List).await.expect("a rack").keys
    }

    /// Waits until these keys wait for a touch, and no others.
    pub(crate) async fn until_waiting(&self, names: &[&str]) {
        let waiting = async {
            loop {
                let keys = self.keys().await;
                let waiting: Vec<_> =
                    keys.iter().filter(|key| key.waiting_for.is_some()).map(|key| key.name.as_str()).collect();
                if waiting == names {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("they come to wait");
    }
}

pub(crate) async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, head) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("text");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {status} {text:?}"));
    Answer { status, head, body }
}

pub(crate) const ORIGIN: &str = "https://login.example.com";

pub(crate) fn creation() -> Value {
    json!({
        "rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
        "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    })
}

pub(crate) fn login(id: &Value) -> Value {
    json!({"rpId": "example.com", "challenge": "AAAA", "allowCredentials": [{"type": "public-key", "id": id}]})
}

pub(crate) fn on_page(options: Value) -> Value {
    json!({"origin": ORIGIN, "options": options})
}
