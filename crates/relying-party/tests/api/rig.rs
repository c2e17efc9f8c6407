//! A relying party with a clock that stands still until it is told, a client with a software authenticator, and ways to
//! tamper with what the client answers.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_relying_party::{
    By, CSRF_HEADER, Clock, Event, EventFilter, EventKind, Options, PasswordCost, PasswordHash, Policy, RelyingParty,
    Requirement, Role, Settings, Store, SystemRandomness, Totp, router,
};
use passkey::authenticator::{Authenticator, MemoryStore, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData, DefaultClientDataWithCustomHash, WebauthnError};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use url::Url;

pub(crate) const RP_ID: &str = "pve.example.com";
pub(crate) const ORIGIN: &str = "https://pve.example.com:8006";
pub(crate) const HOST: &str = "pve.example.com:8006";

/// 22 November 2026.
const START: Duration = Duration::from_secs(1_795_305_600);

#[derive(Debug)]
pub(crate) struct TestClock(Mutex<SystemTime>);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A relying party, reached through its router.
pub(crate) struct Rig {
    pub(crate) relying_party: Arc<RelyingParty>,
    store: Arc<Store>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<TestClock>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_settings(Settings::new(RP_ID, ORIGIN))
    }

    pub(crate) fn with_policy(policy: &str) -> Self {
        let settings = Settings::new(RP_ID, ORIGIN);
        Self::with_settings(Settings { policy: Policy::built_in(policy).unwrap(), ..settings })
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self::on(Store::in_memory().unwrap(), Ok(settings), true)
    }

    pub(crate) fn on(store: Store, settings: Result<Settings, String>, explain: bool) -> Self {
        let password_cost = PasswordCost::DangerNone;
        Self::with_options(settings, Options { password_cost, explain, ..Options::new(store) })
    }

    pub(crate) fn with_options(settings: Result<Settings, String>, options: Options) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(SystemTime::UNIX_EPOCH + START)));
        let store = options.store.clone();
        let relying_party = Arc::new(RelyingParty::new(settings, options, clock.clone()));
        Self { router: router(relying_party.clone()), relying_party, store, clock }
    }

    /// The same site, served with other settings.
    pub(crate) fn served_with(&self, settings: Settings) -> Self {
        let password_cost = PasswordCost::DangerNone;
        Self::with_options(Ok(settings), Options { password_cost, explain: true, ..Options::new(self.store.clone()) })
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// A user with [`PASSWORD`].
    pub(crate) fn add_user(&self, name: &str, role: Role) {
        let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
        self.store().add_user(&name.parse().unwrap(), role, &hash, &By::command_line(self.clock.now())).unwrap();
    }

    pub(crate) fn require(&self, realm: &str, requirement: Requirement) {
        self.store().set_requirement(realm, requirement, &By::command_line(self.clock.now())).unwrap();
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), peer: None, cookie: None, csrf_token: None }
    }

    /// A browser at an address of its own.
    pub(crate) fn browser_at(&self, address: &str) -> Browser {
        Browser { peer: Some((address.parse::<IpAddr>().unwrap(), 50_000).into()), ..self.browser() }
    }

    /// A browser in which a new user is logged in, and has given the password again.
    pub(crate) async fn new_user(&self, name: &str) -> Browser {
        self.add_user(name, Role::User);
        let mut browser = self.browser();
        assert_eq!(browser.log_in(name).await["state"], "logged_in");
        browser.confirm().await;
        browser
    }

    /// The events of one kind, the latest first.
    pub(crate) fn events(&self, kind: EventKind) -> Vec<Event> {
        let events = self.store().events(&EventFilter::default()).unwrap();
        events.into_iter().filter(|event| event.kind == kind).collect()
    }
}

/// A browser: a cookie jar for one site, and the page's token against cross-site requests.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    peer: Option<SocketAddr>,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf_token: Option<String>,
}

impl Browser {
    /// The same browser, with its session, at another server of the site.
    pub(crate) fn at(&self, rig: &Rig) -> Self {
        Self { router: rig.router.clone(), ..self.clone() }
    }

    pub(crate) async fn raw(&mut self, mut request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(token) = &self.csrf_token {
            request = request.header(CSRF_HEADER, token);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let (status, headers, answer) = self.raw(request.body(body).unwrap()).await;
        if let Some(cookie) = headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            self.cookie = (!cookie.ends_with('=')).then_some(cookie);
            self.csrf_token = answer["session"]["csrf_token"].as_str().map(str::to_owned);
        }
        (status, answer)
    }

    /// What has to succeed.
    pub(crate) async fn accepted(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method, path, body.as_ref()).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Value {
        self.accepted("POST", path, Some(body)).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.accepted("GET", path, None).await
    }

    /// What has to be refused; returns the whole answer.
    pub(crate) async fn refused(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method, path, body.as_ref()).await;
        assert!(status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{status} {answer}");
        assert_eq!(answer["refused_by"], "relying_party");
        answer
    }

    /// The code of what has to be refused.
    pub(crate) async fn refused_code(&mut self, method: &str, path: &str, body: Option<Value>) -> String {
        text(&self.refused(method, path, body).await["code"])
    }

    /// Gives the right password.
    pub(crate) async fn log_in(&mut self, user: &str) -> Value {
        self.post("/api/login", json!({ "user": user, "password": PASSWORD })).await
    }

    pub(crate) async fn confirm(&mut self) {
        self.post("/api/session/confirm", json!({ "password": PASSWORD })).await;
    }

    pub(crate) async fn begin_registration(&mut self) -> Value {
        self.post("/api/factors/webauthn/begin", json!({})).await
    }

    /// A whole registration; returns the factor.
    pub(crate) async fn register(&mut self, key: &mut Key, description: &str) -> Value {
        let begun = self.begin_registration().await;
        let credential = key.create(&begun).await.unwrap();
        let body = registration(&begun, description, &credential);
        self.post("/api/factors/webauthn", body).await["factor"].clone()
    }

    /// A whole enrolment of TOTP; returns what an app then has.
    pub(crate) async fn enrol_totp(&mut self, rig: &Rig) -> Totp {
        let begun = self.post("/api/factors/totp/begin", json!({})).await;
        let totp = Totp::from_uri(begun["uri"].as_str().unwrap()).unwrap();
        let code = totp.code(rig.clock.now());
        let body = json!({ "challenge": begun["challenge"], "description": "app", "code": code });
        self.post("/api/factors/totp", body).await;
        // That code is used up.
        rig.clock.advance(Duration::from_secs(30));
        totp
    }

    pub(crate) async fn add_recovery_keys(&mut self) -> Vec<String> {
        let answer = self.post("/api/factors/recovery", json!({ "description": "paper" })).await;
        answer["recovery_keys"].as_array().unwrap().iter().map(text).collect()
    }

    /// Password, then the answer of a key.
    pub(crate) async fn log_in_with(&mut self, user: &str, key: &mut Key) -> Value {
        let offered = self.log_in(user).await;
        let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
        self.post("/api/login/webauthn", login(&offered, &credential)).await
    }

    pub(crate) async fn factors(&mut self) -> Vec<Value> {
        self.get("/api/factors").await.as_array().unwrap().clone()
    }
}

pub(crate) fn registration(begun: &Value, description: &str, credential: &Value) -> Value {
    json!({ "challenge": begun["challenge"], "description": description, "credential": credential })
}

/// The end of a login whose first answer was `offered`.
pub(crate) fn login(offered: &Value, credential: &Value) -> Value {
    let challenge = &offered["factors"]["webauthn"]["challenge"];
    json!({ "login": offered["login"], "challenge": challenge, "credential": credential })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(crate) fn decode(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn encode(bytes: &[u8]) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// Changes the raw clientDataJSON of a credential.
pub(crate) fn with_client_data(credential: &Value, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Value {
    let mut credential = credential.clone();
    let client_data = &mut credential["response"]["clientDataJSON"];
    *client_data = encode(&change(decode(client_data)));
    credential
}

/// Sets a member of a credential's client data.
pub(crate) fn with_client_data_member(credential: &Value, member: &str, value: Value) -> Value {
    with_client_data(credential, |raw| {
        let mut client_data: Value = serde_json::from_slice(&raw).unwrap();
        client_data[member] = value;
        client_data.to_string().into_bytes()
    })
}

/// A client with a software authenticator that is always touched, and verifies its user if it is told to.
///
/// Cloning it is what an attacker does: the same credentials at the same counters.
#[derive(Clone, Default)]
pub(crate) struct Key {
    store: MemoryStore,
    without_counter: bool,
    verifies_user: bool,
}

struct Touch {
    verifies_user: bool,
}

impl UserValidationMethod for Touch {
    type PasskeyItem = Passkey;

    fn check_user<'a, 'life0, 'async_trait>(
        &'life0 self,
        hint: UiHint<'a, Passkey>,
        presence: bool,
        _verification: bool,
    ) -> Pin<Box<dyn Future<Output = Result<UserCheck, Ctap2Error>> + Send + 'async_trait>>
    where
        Self: 'async_trait,
        'a: 'async_trait,
        'life0: 'async_trait,
    {
        let verifies_user = self.verifies_user;
        Box::pin(async move {
            match hint {
                // passkey leaves it to its user interface to end the operation here.
                UiHint::InformExcludedCredentialFound(_) => Err(Ctap2Error::CredentialExcluded),
                _ => Ok(UserCheck { presence, verification: verifies_user }),
            }
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        self.verifies_user.then_some(true)
    }
}

impl Key {
    pub(crate) fn without_counter() -> Self {
        Self { without_counter: true, ..Self::default() }
    }

    pub(crate) fn verifying_user() -> Self {
        Self { verifies_user: true, ..Self::default() }
    }

    fn authenticator(&self) -> Authenticator<MemoryStore, Touch, RustCryptoBackend> {
        let touch = Touch { verifies_user: self.verifies_user };
        let mut authenticator = Authenticator::new(Aaguid::new_empty(), self.store.clone(), touch, RustCryptoBackend);
        authenticator.set_make_credentials_with_signature_counter(!self.without_counter);
        authenticator
    }

    /// passkey's client asks for verification where that is preferred, even of an authenticator that cannot; browsers do not.
    fn options(&self, begun: &Value) -> Value {
        let mut options = begun["options"].clone();
        for place in ["/publicKey/userVerification", "/publicKey/authenticatorSelection/userVerification"] {
            let wish = options.pointer_mut(place).filter(|wish| **wish == "preferred" && !self.verifies_user);
            if let Some(wish) = wish {
                *wish = json!("discouraged");
            }
        }
        // Its store finds credentials by their id only; a key looks for what it has under the RP ID.
        let request = &mut options["publicKey"];
        if request["rpId"].is_string() && request["allowCredentials"].is_null() {
            let all = self.store.keys().map(|id| json!({ "type": "public-key", "id": encode(id) }));
            request["allowCredentials"] = all.collect();
        }
        options
    }

    /// `navigator.credentials.create()`: the RegistrationResponseJSON.
    pub(crate) async fn create(&mut self, begun: &Value) -> Result<Value, WebauthnError> {
        let options = serde_json::from_value(self.options(begun)).unwrap();
        let mut client = Client::new(self.authenticator());
        let created = client.register(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await?;
        self.store.clone_from(client.authenticator().store());
        Ok(serde_json::to_value(created).unwrap())
    }

    /// `navigator.credentials.get()`: the AuthenticationResponseJSON.
    pub(crate) async fn get(&mut self, begun: &Value) -> Result<Value, WebauthnError> {
        let options = serde_json::from_value(self.options(begun)).unwrap();
        let mut client = Client::new(self.authenticator());
        let got = client.authenticate(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await?;
        self.store.clone_from(client.authenticator().store());
        Ok(serde_json::to_value(got).unwrap())
    }

    /// The same over client data with other members than the client would write: it signs what it is given.
    pub(crate) async fn get_with_members(&mut self, begun: &Value, members: &[(&str, Value)]) -> Value {
        let mut credential = self.get(begun).await.unwrap();
        for (name, value) in members {
            credential = with_client_data_member(&credential, name, value.clone());
        }
        let hash = Sha256::digest(decode(&credential["response"]["clientDataJSON"])).to_vec();
        let options = serde_json::from_value(self.options(begun)).unwrap();
        let mut client = Client::new(self.authenticator());
        let signed =
            client.authenticate(&Url::parse(ORIGIN).unwrap(), options, DefaultClientDataWithCustomHash(hash)).await;
        self.store.clone_from(client.authenticator().store());
        let mut signed = serde_json::to_value(signed.unwrap()).unwrap();
        signed["response"]["clientDataJSON"] = credential["response"]["clientDataJSON"].clone();
        signed
    }

    pub(crate) fn stop_verifying(&mut self) {
        self.verifies_user = false;
    }
}
