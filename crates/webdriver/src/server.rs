//! What is served: the commands of WebDriver, forwarded to drivers but for those about virtual authenticators.

use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use keyrig_http::{Connections, Limits, Server};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::access;
use crate::authenticators::Authenticators;
use crate::capabilities::{self, BIDI, Script};
use crate::driver::{Driver, Program};
use crate::error::{Code, WebDriverError, of_what_is_no_request, success};
use crate::forward::{Address, Answer, LONGEST_BODY, forward, read_answer};
use crate::keys::Keys;
use crate::mode::Mode;
use crate::pages::Pages;
use crate::route::{Call, Route};
use crate::sessions::{Session, Sessions};

/// The longest of a command about virtual authenticators, bytes.
const LONGEST_PARAMETERS: usize = 1024 * 1024;

/// How long such a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(60);

/// How long a driver that hangs up may take to end, with all that it has started.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How long a driver of ours may take to delete its session: chromedriver does behind the script that it still waits for.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

/// How many sessions there are at once: each is a driver and a browser.
const MOST_SESSIONS: usize = 64;

/// How many of them begin at once, each with a body in memory.
const BEGINNING: usize = 4;

/// Which driver, and how its pages get their keys.
#[derive(Debug)]
pub struct Options {
    /// The driver.
    pub driver: Drivers,
    /// How pages get their keys.
    pub mode: Mode,
    /// What is before the path of each command, as chromedriver's `--url-base` has it; empty, or it begins with a slash.
    pub base: String,
}

/// Where sessions get their driver.
#[derive(Debug)]
pub enum Drivers {
    /// One is started for each session.
    Started {
        /// How.
        program: Program,
        /// A directory that is ours alone, for the control sockets of their racks.
        directory: PathBuf,
    },
    /// One that runs already, at `http://AUTHORITY/BASE`.
    At {
        /// Host and port.
        authority: String,
        /// What is before the path of each command; empty, or it begins with a slash.
        base: String,
        /// The rack whose keys its browser finds, in hid mode.
        keys: Option<Keys>,
    },
}

/// What is served.
#[derive(Debug)]
struct WebDriver {
    options: Options,
    port: u16,
    sessions: Sessions,
    beginning: Semaphore,
    numbers: AtomicU64,
    shutdown: Arc<Notify>,
}

/// WebDriver that is being served. Dropping it begins its end.
#[derive(Debug)]
pub struct Serving {
    server: Server,
    web_driver: Arc<WebDriver>,
}

/// Serves on a listener, in a task of the present tokio runtime.
///
/// # Errors
/// When the listener's address cannot be read, or others can reach it: whoever reaches a driver does what it can do.
pub fn serve(listener: TcpListener, options: Options) -> io::Result<Serving> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("others can reach {address}: a driver is for programs of this machine"),
        ));
    }
    let web_driver = Arc::new(WebDriver {
        options,
        port: address.port(),
        sessions: Sessions::default(),
        beginning: Semaphore::new(BEGINNING),
        numbers: AtomicU64::new(0),
        shutdown: Arc::default(),
    });
    let router = Router::new().fallback(handle).with_state(web_driver.clone());
    // A driver's answer may be a picture of a long page, for a slow reader.
    let connections = Connections::new(Limits::default());
    let server = keyrig_http::serve(listener, router, of_what_is_no_request, connections)?;
    Ok(Serving { server, web_driver })
}

impl Serving {
    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.web_driver.port
    }

    /// Completes when a client asked for the end of everything.
    pub async fn asked_to_end(&self) {
        self.web_driver.shutdown.notified().await;
    }

    /// Ends all sessions, their drivers and browsers, and serves no more.
    ///
    /// # Errors
    /// When serving had failed before.
    pub async fn shutdown(self) -> io::Result<()> {
        self.web_driver.end_all().await;
        self.server.shutdown().await
    }
}

async fn handle(State(web_driver): State<Arc<WebDriver>>, request: Request) -> Response {
    web_driver.answer(request).await.unwrap_or_else(IntoResponse::into_response)
}

impl WebDriver {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, WebDriverError> {
        access::check(request.headers(), self.port)?;
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix(self.options.base.as_str()).unwrap_or(&path);
        match Route::read(request.method(), path)? {
            Route::Status => Ok(self.status()),
            Route::NewSession => self.new_session(request).await,
            Route::Shutdown => {
                self.shutdown.notify_one();
                Ok(success(&Value::Null))
            }
            Route::WebAuthn(id, call) => {
                let session = self.sessions.find(id)?;
                match &session.authenticators {
                    Some(authenticators) => carry_out(authenticators, call, request).await,
                    None => self.forward(id, &session, path, request).await,
                }
            }
            Route::DeleteSession(id) => {
                let session = self.sessions.find(id)?;
                // A key that blinks does so no more, whatever the driver has to wait for.
                session.remove_keys().await;
                let asked = self.forward(id, &session, path, request);
                let answer = match session.driver {
                    Some(_) => timeout(QUIT_LIMIT, asked).await.ok(),
                    None => Some(asked.await),
                };
                self.end(id, "it was deleted").await;
                // It was ended with all that it had started.
                answer.unwrap_or_else(|| Ok(success(&Value::Null)))
            }
            Route::CloseWindow(id) => {
                let session = self.sessions.find(id)?;
                let answer = read_answer(self.forward(id, &session, path, request).await?).await?;
                if answer.value().and_then(|value| value.as_array().map(Vec::is_empty)) == Some(true) {
                    self.end(id, "its last window was closed").await;
                }
                Ok(answer.into_response())
            }
            Route::InSession(id) => {
                let session = self.sessions.find(id)?;
                let Some(pages) = &session.pages else { return self.forward(id, &session, path, request).await };
                let command = path.strip_prefix("/session/").and_then(|rest| rest.strip_prefix(id)).unwrap_or_default();
                let command = command.trim_start_matches('/');
                let is_behind = Pages::is_behind(request.method(), command);
                if Pages::is_before(request.method(), command) {
                    pages.prepare(&session.address, id, command).await;
                }
                let answer = self.forward(id, &session, path, request).await?;
                if is_behind && answer.status().is_success() {
                    pages.prepare(&session.address, id, command).await;
                }
                Ok(answer)
            }
        }
    }

    fn status(&self) -> Response {
        let ready = self.sessions.count() < self.most_sessions();
        let message =
            if ready { "keyrig is ready for new sessions" } else { "there are as many sessions as there may be" };
        success(&json!({
            "ready": ready, "message": message,
            "build": {"version": env!("CARGO_PKG_VERSION")}, "os": {"name": std::env::consts::OS, "arch": std::env::consts::ARCH},
        }))
    }

    fn most_sessions(&self) -> usize {
        match &self.options.driver {
            // Whatever has these keys before it has those of another session, too.
            Drivers::At { keys: Some(_), .. } => 1,
            _ => MOST_SESSIONS,
        }
    }

    async fn new_session(self: &Arc<Self>, request: Request) -> Result<Response, WebDriverError> {
        let most = self.most_sessions();
        if self.sessions.count() >= most {
            return Err(WebDriverError::new(
                Code::SessionNotCreated,
                format!("there are {most} sessions already, and no more at once: delete one"),
            ));
        }
        let Ok(_beginning) = self.beginning.acquire().await else {
            return Err(WebDriverError::new(Code::SessionNotCreated, "keyrig is ending"));
        };
        let (parts, body) = request.into_parts();
        let mut wanted = read_json(body, LONGEST_BODY).await?;
        if self.options.mode != Mode::Driver {
            capabilities::take(&mut wanted)?;
        }
        let asks_for_us = self.options.mode == Mode::Page && capabilities::want_bidi(&mut wanted);
        let session = self.start().await?;
        let mut request = Request::from_parts(parts, Body::from(wanted.to_string()));
        request.headers_mut().remove(header::CONTENT_LENGTH);
        let answer = match forward(&session.address, "/session", request).await {
            Ok(answer) => read_answer(answer).await?,
            Err(error) => return Err(self.gone(&session, &error, Code::SessionNotCreated).await),
        };
        let Some((id, mut told)) = begun(&answer) else {
            session.stop().await;
            return Ok(answer.into_response());
        };
        if let Some(capabilities) = told.get_mut("capabilities").and_then(Value::as_object_mut) {
            let script = match &session.pages {
                Some(pages) if pages.begin(&session.address, &id, capabilities).await => Some(Script::Before),
                Some(_) => Some(Script::Behind),
                None => None,
            };
            if asks_for_us {
                capabilities.remove(BIDI);
            }
            capabilities::tell(capabilities, self.options.mode, script);
        }
        let session = Arc::new(session);
        if let Err(error) = self.sessions.add(id.clone(), session.clone()) {
            session.stop().await;
            return Err(error);
        }
        if session.driver.is_some() {
            let web_driver = Arc::downgrade(self);
            tokio::spawn(async move {
                let Some(driver) = &session.driver else { return };
                let how = driver.ended().await;
                if let Some(web_driver) = web_driver.upgrade() {
                    drop(web_driver.sessions.take(&id, &format!("its driver has gone: {how}")));
                }
            });
        }
        Ok(success(&told))
    }

    async fn start(&self) -> Result<Session, WebDriverError> {
        let with_keys = self.options.mode == Mode::Hid;
        match &self.options.driver {
            Drivers::Started { program, directory } => {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                let control = directory.join(format!("{number}.sock"));
                let driver = Driver::start(program, with_keys.then_some(&control)).await?;
                let address = Address { authority: format!("127.0.0.1:{}", driver.port()), base: String::new() };
                let keys = Keys::At(Arc::new(control));
                let authenticators = with_keys.then(|| Authenticators::new(keys, Mode::Hid));
                let (authenticators, pages) = self.or_pages(authenticators).await?;
                Ok(Session { address, driver: Some(driver), authenticators, pages })
            }
            Drivers::At { authority, base, keys } => {
                let address = Address { authority: authority.clone(), base: base.clone() };
                let authenticators = keys.clone().map(|keys| Authenticators::new(keys, Mode::Hid));
                let (authenticators, pages) = self.or_pages(authenticators).await?;
                Ok(Session { address, driver: None, authenticators, pages })
            }
        }
    }

    /// The same, or in page mode those whose keys pages ask by a script.
    async fn or_pages(
        &self,
        authenticators: Option<Authenticators>,
    ) -> Result<(Option<Authenticators>, Option<Pages>), WebDriverError> {
        if self.options.mode != Mode::Page {
            return Ok((authenticators, None));
        }
        let (keys, pages) = Pages::start().await?;
        Ok((Some(Authenticators::new(keys, Mode::Page)), Some(pages)))
    }

    async fn forward(
        &self,
        id: &str,
        session: &Session,
        path: &str,
        request: Request,
    ) -> Result<Response, WebDriverError> {
        match forward(&session.address, path, request).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let told = self.gone(session, &error, Code::UnknownError).await;
                if session.driver.as_ref().is_some_and(|driver| driver.end().is_some()) {
                    drop(self.sessions.take(id, &told.message));
                }
                Err(told)
            }
        }
    }

    /// Why a driver does not answer.
    async fn gone(&self, session: &Session, error: &io::Error, code: Code) -> WebDriverError {
        if let Some(driver) = &session.driver
            // It hangs up before its end is known: what it has started ends first.
            && let Ok(how) = timeout(END_LIMIT, driver.ended()).await
        {
            return WebDriverError::new(code, format!("the driver has gone: {how}"));
        }
        WebDriverError::new(code, format!("the driver at {} does not answer: {error}", session.address.authority))
    }

    async fn end(&self, id: &str, how: &str) {
        if let Some(session) = self.sessions.take(id, how) {
            session.stop().await;
        }
    }

    async fn end_all(&self) {
        for session in self.sessions.take_all() {
            session.stop().await;
        }
    }
}

/// Of an answer that is a new session its id, and all that it says.
fn begun(answer: &Answer) -> Option<(String, Value)> {
    let value = answer.value()?;
    let id = value.get("sessionId")?.as_str()?.to_owned();
    value.get("capabilities")?.as_object()?;
    Some((id, value))
}

/// Carries out a command about virtual authenticators.
async fn carry_out(
    authenticators: &Authenticators,
    call: Call<'_>,
    request: Request,
) -> Result<Response, WebDriverError> {
    let body = request.into_body();
    match call {
        Call::AddAuthenticator => authenticators.add(&parameters(body).await?).await.map(Value::from),
        Call::RemoveAuthenticator(id) => authenticators.remove(id).await.map(Value::from),
        Call::AddCredential(id) => authenticators.add_credential(id, &parameters(body).await?).await.map(Value::from),
        Call::GetCredentials(id) => authenticators.credentials(id).await,
        Call::RemoveCredential(id, credential) => {
            authenticators.remove_credential(id, credential).await.map(Value::from)
        }
        Call::RemoveAllCredentials(id) => authenticators.remove_all_credentials(id).await.map(Value::from),
        Call::SetUserVerified(id) => {
            authenticators.set_user_verified(id, &parameters(body).await?).await.map(Value::from)
        }
        Call::SetCredentialProperties(id, credential) => {
            let parameters = parameters(body).await?;
            authenticators.set_credential_properties(id, credential, &parameters).await.map(Value::from)
        }
    }
    .map(|value| success(&value))
}

async fn parameters(body: Body) -> Result<Map<String, Value>, WebDriverError> {
    match read_json(body, LONGEST_PARAMETERS).await? {
        Value::Object(parameters) => Ok(parameters),
        _ => Err(WebDriverError::argument("the body is not a JSON object")),
    }
}

async fn read_json(body: Body, longest: usize) -> Result<Value, WebDriverError> {
    let bytes = timeout(BODY_LIMIT, to_bytes(body, longest)).await;
    let bytes = bytes
        .map_err(|_| WebDriverError::argument(format!("the body did not arrive within {} s", BODY_LIMIT.as_secs())))?;
    let bytes =
        bytes.map_err(|_| WebDriverError::argument(format!("the body is no whole one of up to {longest} bytes")))?;
    serde_json::from_slice(&bytes).map_err(|error| WebDriverError::argument(format!("the body is not JSON: {error}")))
}
