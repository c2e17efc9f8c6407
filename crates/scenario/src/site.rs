//! The relying party as a page sees it: over HTTP, in JSON, with a session in a cookie.

use std::net::SocketAddr;

use keyrig_client::json::{CreationOptions, InvalidJson, RequestOptions};
use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use thiserror::Error;

use crate::report::{Party, Refused};

/// The header that carries the session's token against cross-site requests.
const CSRF_HEADER: &str = "x-csrf-token";

/// A browser at a relying party: it has a session, or none.
#[derive(Clone, Debug)]
pub struct Site {
    http: reqwest::Client,
    origin: String,
    /// `name=value`.
    cookie: Option<String>,
    csrf_token: Option<String>,
}

/// What came back was not an answer of a relying party.
#[derive(Debug, Error)]
pub enum SiteError {
    /// HTTP failed.
    #[error("cannot reach the relying party: {0}")]
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

/// A relying party's refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteRefusal {
    /// The HTTP status.
    pub status: u16,
    /// The cause's stable name.
    pub code: String,
    /// The cause in words.
    pub reason: String,
    /// What an administrator can look up.
    pub report_id: Option<String>,
    /// The report, if the site explains.
    pub report: Option<Value>,
}

impl From<SiteRefusal> for Refused {
    fn from(refusal: SiteRefusal) -> Self {
        Self { by: Party::RelyingParty, reason: refusal.reason }
    }
}

/// What a relying party answers: a value, or its refusal.
pub type Answer<T> = Result<Result<T, SiteRefusal>, SiteError>;

/// A ceremony that has begun.
#[derive(Clone, Debug)]
pub struct Begun<Options> {
    /// Its secret identifier.
    pub challenge: String,
    /// What the page hands to `navigator.credentials`.
    pub options: Options,
}

/// What a password led to.
#[derive(Clone, Debug)]
pub enum PasswordStep {
    /// A session.
    LoggedIn,
    /// A session for enrolling what the realm requires, and for nothing else.
    EnrolmentRequired,
    /// A second factor is needed.
    SecondFactor(Box<SecondFactor>),
}

/// The second factors that a user can choose from.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// The secret identifier of the login under way.
    pub login: String,
    /// Whether a code of TOTP will do.
    pub totp: bool,
    /// Whether there is TOTP, but locked.
    pub totp_locked: bool,
    /// How many recovery keys are left.
    pub recovery: Option<u64>,
    /// The ceremony that a security key can end.
    pub webauthn: Option<Begun<RequestOptions>>,
}

impl Site {
    /// The relying party that listens on `address` and is known to browsers by `origin`: the host's name is not looked up.
    ///
    /// # Errors
    /// [`SiteError::Http`] if there can be no HTTP client.
    pub fn new(origin: &str, host: &str, address: SocketAddr) -> Result<Self, SiteError> {
        let http = reqwest::Client::builder().no_proxy().resolve(host, address).build()?;
        Ok(Self { http, origin: origin.to_owned(), cookie: None, csrf_token: None })
    }

    /// The same relying party in another browser: without a session.
    #[must_use]
    pub fn another_browser(&self) -> Self {
        Self { cookie: None, csrf_token: None, ..self.clone() }
    }

    /// Gives a password.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn log_in(&mut self, user: &str, password: &str) -> Answer<PasswordStep> {
        let path = "/api/login";
        let body = json!({ "user": user, "password": password });
        let answer = match self.request(Method::POST, path, Some(&body)).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let missing = |member| SiteError::Incomplete { path: path.to_owned(), member };
        Ok(Ok(match answer.get("state").and_then(Value::as_str) {
            Some("logged_in") => PasswordStep::LoggedIn,
            Some("enrolment_required") => PasswordStep::EnrolmentRequired,
            Some("second_factor") => {
                let login = answer.get("login").and_then(Value::as_str).ok_or_else(|| missing("login"))?.to_owned();
                let factors = answer.get("factors").ok_or_else(|| missing("factors"))?;
                let is = |name| factors.get(name).and_then(Value::as_bool).unwrap_or_default();
                let ceremony = factors.get("webauthn").filter(|ceremony| !ceremony.is_null());
                PasswordStep::SecondFactor(Box::new(SecondFactor {
                    login,
                    totp: is("totp"),
                    totp_locked: is("totp_locked"),
                    recovery: factors.get("recovery").and_then(Value::as_u64),
                    webauthn: ceremony.map(|begun| read_begun(path, begun, RequestOptions::from_json)).transpose()?,
                }))
            }
            _ => return Err(missing("state")),
        }))
    }

    /// Gives a code of TOTP.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_login_by_totp(&mut self, login: &str, code: &str) -> Answer<Value> {
        self.request(Method::POST, "/api/login/totp", Some(&json!({ "login": login, "code": code }))).await
    }

    /// Gives a recovery key.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_login_by_recovery_key(&mut self, login: &str, key: &str) -> Answer<Value> {
        self.request(Method::POST, "/api/login/recovery", Some(&json!({ "login": login, "key": key }))).await
    }

    /// Gives an assertion in WebAuthn's JSON.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_login_by_key(&mut self, login: &str, challenge: &str, credential: &Value) -> Answer<Value> {
        let body = json!({ "login": login, "challenge": challenge, "credential": credential });
        self.request(Method::POST, "/api/login/webauthn", Some(&body)).await
    }

    /// Begins another ceremony of a login under way.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_login_ceremony(&mut self, login: &str) -> Answer<Begun<RequestOptions>> {
        let path = "/api/login/webauthn/begin";
        let answer = match self.request(Method::POST, path, Some(&json!({ "login": login }))).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(read_begun(path, &answer, RequestOptions::from_json)?))
    }

    /// Begins a login by a passkey alone: the login's secret identifier, and the ceremony.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_passkey_login(&mut self) -> Answer<(String, Begun<RequestOptions>)> {
        let path = "/api/login/passkey/begin";
        let answer = match self.request(Method::POST, path, Some(&json!({}))).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let login = answer.get("login").and_then(Value::as_str);
        let login = login.ok_or_else(|| SiteError::Incomplete { path: path.to_owned(), member: "login" })?;
        Ok(Ok((login.to_owned(), read_begun(path, &answer, RequestOptions::from_json)?)))
    }

    /// Ends it with an assertion in WebAuthn's JSON.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_passkey_login(&mut self, login: &str, challenge: &str, credential: &Value) -> Answer<Value> {
        let body = json!({ "login": login, "challenge": challenge, "credential": credential });
        self.request(Method::POST, "/api/login/passkey", Some(&body)).await
    }

    /// Gives the password again, as is asked for before factors change.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn confirm(&mut self, password: &str) -> Answer<Value> {
        self.request(Method::POST, "/api/session/confirm", Some(&json!({ "password": password }))).await
    }

    /// Begins to register a credential; as a passkey, it will be able to log in alone.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_registration(&mut self, passkey: bool) -> Answer<Begun<CreationOptions>> {
        let path = "/api/factors/webauthn/begin";
        let answer = match self.request(Method::POST, path, Some(&json!({ "passkey": passkey }))).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(read_begun(path, &answer, CreationOptions::from_json)?))
    }

    /// Ends it with an attestation in WebAuthn's JSON; `description` is what the user calls the key.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn finish_registration(
        &mut self,
        challenge: &str,
        description: &str,
        credential: &Value,
    ) -> Answer<Value> {
        let body = json!({ "challenge": challenge, "description": description, "credential": credential });
        self.request(Method::POST, "/api/factors/webauthn", Some(&body)).await
    }

    /// The user's factors.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn factors(&mut self) -> Answer<Vec<Value>> {
        let answer = self.request(Method::GET, "/api/factors", None).await?;
        Ok(answer.map(|factors| factors.as_array().cloned().unwrap_or_default()))
    }

    /// Any other request, as the session that this browser has. A session that begins or ends is this browser's from then
    /// on.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn request(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.origin));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(csrf_token) = &self.csrf_token {
            request = request.header(CSRF_HEADER, csrf_token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let set_cookie = response.headers().get(SET_COOKIE).and_then(|header| header.to_str().ok());
        let cookie = set_cookie.and_then(|text| text.split(';').next()).map(str::to_owned);
        let answer: Value = response.json().await?;
        if let Some(cookie) = cookie {
            self.cookie = (!cookie.ends_with('=')).then_some(cookie);
            let csrf_token = answer.pointer("/session/csrf_token").and_then(Value::as_str);
            self.csrf_token = csrf_token.map(str::to_owned);
        }
        if status.is_success() {
            return Ok(Ok(answer));
        }
        let text = |member: &'static str| {
            let missing = SiteError::Incomplete { path: path.to_owned(), member };
            answer.get(member).and_then(Value::as_str).map(str::to_owned).ok_or(missing)
        };
        Ok(Err(SiteRefusal {
            status: status.as_u16(),
            code: text("code")?,
            reason: text("reason")?,
            report_id: text("report_id").ok(),
            report: answer.get("report").cloned(),
        }))
    }
}

fn read_begun<Options>(
    path: &str,
    answer: &Value,
    parse: fn(&str) -> Result<Options, InvalidJson>,
) -> Result<Begun<Options>, SiteError> {
    let missing = |member| SiteError::Incomplete { path: path.to_owned(), member };
    let challenge = answer.get("challenge").and_then(Value::as_str).ok_or_else(|| missing("challenge"))?;
    let options = answer.pointer("/options/publicKey").ok_or_else(|| missing("options.publicKey"))?;
    Ok(Begun { challenge: challenge.to_owned(), options: parse(&options.to_string())? })
}
