//! The relying party as a page sees it: over HTTP, in JSON.

use std::net::SocketAddr;

use keyrig_client::json::{CreationOptions, InvalidJson, RequestOptions};
use serde_json::{Value, json};
use thiserror::Error;

use crate::report::{Party, Refused};

/// A relying party at an address.
#[derive(Clone, Debug)]
pub struct Site {
    http: reqwest::Client,
    origin: String,
}

/// What came back was no answer of a relying party.
#[derive(Debug, Error)]
pub enum SiteError {
    /// HTTP failed.
    #[error("the relying party could not be asked: {0}")]
    Http(#[from] reqwest::Error),
    /// The answer lacks something.
    #[error("the relying party's answer to {path} has no {member}")]
    Incomplete {
        /// The path that was asked.
        path: String,
        /// What is missing.
        member: &'static str,
    },
    /// The options are not WebAuthn's.
    #[error("the relying party's options are not WebAuthn's: {0}")]
    Options(#[from] InvalidJson),
}

/// What a relying party answers: a value, or its refusal.
pub type Answer<T> = Result<Result<T, Refused>, SiteError>;

/// A ceremony that has begun.
#[derive(Clone, Debug)]
pub struct Begun<Options> {
    ceremony: String,
    /// What the page hands to `navigator.credentials`.
    pub options: Options,
}

impl Site {
    /// The relying party that listens on `address` and is known to browsers by `origin`: the host's name is not looked up.
    ///
    /// # Errors
    /// [`SiteError::Http`] if there can be no HTTP client.
    pub fn new(origin: &str, host: &str, address: SocketAddr) -> Result<Self, SiteError> {
        let http = reqwest::Client::builder().no_proxy().resolve(host, address).build()?;
        Ok(Self { http, origin: origin.to_owned() })
    }

    /// Begins a registration.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_registration(&self, user: &str) -> Answer<Begun<CreationOptions>> {
        self.begin("/api/register/begin", user, CreationOptions::from_json).await
    }

    /// Begins a login.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_login(&self, user: &str) -> Answer<Begun<RequestOptions>> {
        self.begin("/api/login/begin", user, RequestOptions::from_json).await
    }

    async fn begin<Options>(
        &self,
        path: &str,
        user: &str,
        parse: fn(&str) -> Result<Options, InvalidJson>,
    ) -> Answer<Begun<Options>> {
        let answer = match self.post(path, &json!({ "user": user })).await? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        let missing = |member| SiteError::Incomplete { path: path.to_owned(), member };
        let ceremony = answer.get("ceremony").and_then(Value::as_str).ok_or_else(|| missing("ceremony"))?;
        let options = answer.pointer("/options/publicKey").ok_or_else(|| missing("options.publicKey"))?;
        Ok(Ok(Begun { ceremony: ceremony.to_owned(), options: parse(&options.to_string())? }))
    }

    /// Ends a registration with a credential in WebAuthn's JSON; `name` is what the user calls the key.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_registration<O>(&self, begun: &Begun<O>, name: &str, credential: &Value) -> Answer<Value> {
        let body = json!({ "ceremony": begun.ceremony, "name": name, "credential": credential });
        self.post("/api/register/finish", &body).await
    }

    /// Ends a login with a credential in WebAuthn's JSON.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_login<O>(&self, begun: &Begun<O>, credential: &Value) -> Answer<Value> {
        let body = json!({ "ceremony": begun.ceremony, "credential": credential });
        self.post("/api/login/finish", &body).await
    }

    /// The names of the keys that a user has registered.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn registered_keys(&self, user: &str) -> Answer<Vec<String>> {
        let path = format!("/api/users/{user}/credentials");
        let response = self.http.get(format!("{}{path}", self.origin)).send().await?;
        let answer = match read(&path, response).await? {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        let credentials = answer.get("credentials").and_then(Value::as_array);
        let credentials =
            credentials.ok_or_else(|| SiteError::Incomplete { path: path.clone(), member: "credentials" })?;
        let name = |credential: &Value| credential.get("name").and_then(Value::as_str).map(str::to_owned);
        Ok(Ok(credentials.iter().filter_map(name).collect()))
    }

    async fn post(&self, path: &str, body: &Value) -> Answer<Value> {
        let response = self.http.post(format!("{}{path}", self.origin)).json(body).send().await?;
        read(path, response).await
    }
}

async fn read(path: &str, response: reqwest::Response) -> Answer<Value> {
    let accepted = response.status().is_success();
    let answer: Value = response.json().await?;
    if accepted {
        return Ok(Ok(answer));
    }
    let missing = |member| SiteError::Incomplete { path: path.to_owned(), member };
    let reason = answer.get("reason").and_then(Value::as_str).ok_or_else(|| missing("reason"))?;
    Ok(Err(Refused { by: Party::RelyingParty, reason: reason.to_owned() }))
}
