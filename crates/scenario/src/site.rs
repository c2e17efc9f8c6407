//! The relying party as a page sees it: over HTTP, in JSON, with a session in a cookie.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use keyrig_client::json::{CreationOptions, InvalidJson, RequestOptions};
use keyrig_client::related_origins::Fetched;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use serde_json::{Value, json};
use thiserror::Error;
use tower::ServiceExt;

use crate::report::{Party, Refused};

/// The header that carries the session's token against cross-site requests.
const CSRF_HEADER: &str = "x-csrf-token";

/// The longest answer that is read of a relying party in this process, bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Where a site has its file of related origins.
const RELATED_ORIGINS: &str = "/.well-known/webauthn";

/// How much is shown of an answer that is no JSON, characters.
const SHOWN: usize = 80;

/// A browser at a relying party: it has a session, or none.
#[derive(Clone, Debug)]
pub struct Site {
    reach: Reach,
    origin: String,
    heard: Heard,
    /// `name=value`.
    cookie: Option<String>,
    csrf_token: Option<String>,
}

/// How requests get there.
#[derive(Clone, Debug)]
enum Reach {
    /// Over TCP.
    Http(reqwest::Client),
    /// It is in this process, and called.
    Direct(Router),
}

/// A request that was made, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The code of a refusal.
    pub code: Option<String>,
}

/// The requests of all browsers that came of one.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<Call>>>);

/// What came back was not an answer of a relying party.
#[derive(Debug, Error)]
pub enum SiteError {
    /// HTTP failed.
    #[error("cannot reach the relying party: {}", with_cause(.0))]
    Http(#[from] reqwest::Error),
    /// A request cannot be made of what was written.
    #[error("there can be no such request: {0}")]
    Request(#[from] axum::http::Error),
    /// The answer did not come whole.
    #[error("the relying party's answer did not come whole: {0}")]
    Broken(#[from] axum::Error),
    /// The answer is not JSON.
    #[error("the relying party answered {path} with what is not JSON (HTTP {status}): {start:?}")]
    NotJson {
        /// The path that was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// How the answer begins.
        start: String,
    },
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

/// What HTTP failed by: what the error says, and what lies under it, which it keeps to itself.
fn with_cause(error: &reqwest::Error) -> String {
    let mut cause = core::error::Error::source(error);
    while let Some(below) = cause.and_then(core::error::Error::source) {
        cause = Some(below);
    }
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
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
    /// The same in JSON, as it came.
    pub json: Value,
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
        Ok(Self::reached(Reach::Http(http), origin))
    }

    /// A relying party in this process, as browsers see it that know it by `origin`: no socket is between.
    #[must_use]
    pub fn direct(origin: &str, router: Router) -> Self {
        Self::reached(Reach::Direct(router), origin)
    }

    fn reached(reach: Reach, origin: &str) -> Self {
        Self { reach, origin: origin.to_owned(), heard: Heard::default(), cookie: None, csrf_token: None }
    }

    /// The same, whose requests are told together with another's.
    #[must_use]
    pub(crate) fn heard_with(self, other: &Self) -> Self {
        Self { heard: other.heard.clone(), ..self }
    }

    /// The same browser, where the relying party is now.
    #[must_use]
    pub(crate) fn at(&self, other: &Self) -> Self {
        Self { cookie: self.cookie.clone(), csrf_token: self.csrf_token.clone(), ..other.clone() }
    }

    /// The requests that this browser and those made of it have made since this was last asked.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        core::mem::take(&mut *self.heard.0.lock().unwrap_or_else(PoisonError::into_inner))
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
        self.begin_registration_in_place(passkey, None).await
    }

    /// The same for a credential that takes the place of a factor, if one is given by its identifier.
    ///
    /// # Errors
    /// [`SiteError`]; a refusal is an answer.
    pub async fn begin_registration_in_place(
        &mut self,
        passkey: bool,
        replaces: Option<&str>,
    ) -> Answer<Begun<CreationOptions>> {
        let path = "/api/factors/webauthn/begin";
        let mut wish = json!({ "passkey": passkey });
        if let (Some(members), Some(replaces)) = (wish.as_object_mut(), replaces) {
            members.insert("replaces".to_owned(), replaces.into());
        }
        let answer = match self.request(Method::POST, path, Some(&wish)).await? {
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
        let (status, answer) = self.call(method, path, body).await?;
        if (200..300).contains(&status) {
            return match answer {
                Value::String(start) => Err(SiteError::NotJson { path: path.to_owned(), status, start }),
                answer => Ok(Ok(answer)),
            };
        }
        if let Value::String(start) = answer {
            return Err(SiteError::NotJson { path: path.to_owned(), status, start });
        }
        let text = |member: &'static str| {
            let missing = SiteError::Incomplete { path: path.to_owned(), member };
            answer.get(member).and_then(Value::as_str).map(str::to_owned).ok_or(missing)
        };
        Ok(Err(SiteRefusal {
            status,
            code: text("code")?,
            reason: text("reason")?,
            report_id: text("report_id").ok(),
            report: answer.get("report").cloned(),
        }))
    }

    /// What a browser finds here that looks for related origins (WebAuthn Level 3, §5.11).
    ///
    /// # Errors
    /// [`SiteError`]: no answer came.
    pub async fn related_origins(&self) -> Result<Fetched, SiteError> {
        let (status, headers, body) = self.exchange(&Method::GET, RELATED_ORIGINS, None).await?;
        self.hear(&Method::GET, RELATED_ORIGINS, status, (!status.is_success()).then(|| "refused".to_owned()));
        let content_type = headers.get(CONTENT_TYPE).and_then(|header| header.to_str().ok()).map(str::to_owned);
        Ok(Fetched::Answer { status: status.as_u16(), content_type, body: body.to_vec() })
    }

    fn hear(&self, method: &Method, path: &str, status: StatusCode, code: Option<String>) {
        let call = Call { method: method.to_string(), path: path.to_owned(), status: status.as_u16(), code };
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), SiteError> {
        Ok(match &self.reach {
            Reach::Http(http) => {
                let mut request = http.request(method.clone(), format!("{}{path}", self.origin));
                for (name, value) in self.headers() {
                    request = request.header(name, value);
                }
                if let Some(body) = body {
                    request = request.json(body);
                }
                let response = request.send().await?;
                (response.status(), response.headers().clone(), response.bytes().await?)
            }
            Reach::Direct(router) => {
                let host = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, host)| host);
                let mut request = Request::builder().method(method.clone()).uri(path).header(HOST, host);
                for (name, value) in self.headers() {
                    request = request.header(name, value);
                }
                let body = match body {
                    Some(body) => {
                        request = request.header(CONTENT_TYPE, "application/json");
                        Body::from(body.to_string())
                    }
                    None => Body::empty(),
                };
                let request = request.body(body)?;
                let response = match router.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let (parts, body) = response.into_parts();
                (parts.status, parts.headers, axum::body::to_bytes(body, MAX_ANSWER_BYTES).await?)
            }
        })
    }

    /// The same, whatever the answer is: its HTTP status, and what is in it: JSON, or else how the text begins.
    ///
    /// # Errors
    /// [`SiteError`]: none came.
    pub async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), SiteError> {
        let (status, headers, bytes) = self.exchange(&method, path, body).await?;
        let text = || Value::String(String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect());
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        let code = answer.get("code").and_then(Value::as_str).map(str::to_owned);
        let code = (!status.is_success()).then(|| code.unwrap_or_else(|| "refused".to_owned()));
        self.hear(&method, path, status, code);
        self.keep_session(&headers, &answer);
        Ok((status.as_u16(), answer))
    }

    /// What a browser sends of its session.
    fn headers(&self) -> Vec<(&'static str, &str)> {
        let cookie = self.cookie.as_deref().map(|cookie| (COOKIE.as_str(), cookie));
        let csrf_token = self.csrf_token.as_deref().map(|token| (CSRF_HEADER, token));
        cookie.into_iter().chain(csrf_token).collect()
    }

    fn keep_session(&mut self, headers: &HeaderMap, answer: &Value) {
        let set_cookie = headers.get(SET_COOKIE).and_then(|header| header.to_str().ok());
        let Some(cookie) = set_cookie.and_then(|text| text.split(';').next()) else { return };
        self.cookie = (!cookie.ends_with('=')).then(|| cookie.to_owned());
        let csrf_token = answer.pointer("/session/csrf_token").and_then(Value::as_str);
        self.csrf_token = csrf_token.map(str::to_owned);
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
    let json = options.clone();
    Ok(Begun { challenge: challenge.to_owned(), options: parse(&json.to_string())?, json })
}
