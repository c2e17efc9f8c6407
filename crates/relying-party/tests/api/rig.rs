//! A relying party with a clock that stands still until it is told, a client with a software authenticator, and ways to
//! tamper with what the client answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_relying_party::{Clock, RelyingParty, Settings, router};
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

/// A relying party, reached through its router.
pub(crate) struct Rig {
    pub(crate) router: Router,
    pub(crate) clock: Arc<TestClock>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_settings(Settings::new(RP_ID, ORIGIN))
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(SystemTime::UNIX_EPOCH + START)));
        let relying_party = RelyingParty::new(settings, clock.clone()).unwrap();
        Self { router: router(Arc::new(relying_party)), clock }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Posts what has to succeed.
    pub(crate) async fn accepted(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// Posts what has to be refused, and returns the code and the reason.
    pub(crate) async fn refused(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.post(path, &body).await;
        assert!(status.is_client_error(), "{status} {answer}");
        assert_eq!(answer["refused_by"], "relying_party");
        (text(&answer["code"]), text(&answer["reason"]))
    }

    pub(crate) async fn begin_registration(&self, user: &str) -> Value {
        self.accepted("/api/register/begin", json!({ "user": user })).await
    }

    pub(crate) async fn begin_login(&self, user: &str) -> Value {
        self.accepted("/api/login/begin", json!({ "user": user })).await
    }

    /// A whole registration; returns the record.
    pub(crate) async fn register(&self, user: &str, key: &mut Key) -> Value {
        let begun = self.begin_registration(user).await;
        let credential = key.create(&begun).await.unwrap();
        self.accepted("/api/register/finish", finish(&begun, &credential)).await["credential"].clone()
    }

    /// A whole login; returns the record.
    pub(crate) async fn log_in(&self, user: &str, key: &mut Key) -> Value {
        let begun = self.begin_login(user).await;
        let credential = key.get(&begun).await.unwrap();
        let answer = self.accepted("/api/login/finish", finish(&begun, &credential)).await;
        assert_eq!(answer["user"], user);
        answer["credential"].clone()
    }

    /// What is stored of a user: nothing at all, or the records.
    pub(crate) async fn stored(&self, user: &str) -> Vec<Value> {
        match self.get(&format!("/api/users/{user}/credentials")).await {
            (StatusCode::OK, answer) => answer["credentials"].as_array().unwrap().clone(),
            (StatusCode::NOT_FOUND, answer) if answer["code"] == "unknown_user" => Vec::new(),
            (status, answer) => panic!("{status} {answer}"),
        }
    }
}

pub(crate) fn finish(begun: &Value, credential: &Value) -> Value {
    json!({ "ceremony": begun["ceremony"], "credential": credential })
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

/// A client with a software authenticator that is always touched and never verifies its user.
///
/// Cloning it is what an attacker does: the same credentials at the same counters.
#[derive(Clone, Default)]
pub(crate) struct Key {
    store: MemoryStore,
    without_counter: bool,
}

struct Touch;

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
        Box::pin(async move {
            match hint {
                // passkey leaves it to its user interface to end the operation here.
                UiHint::InformExcludedCredentialFound(_) => Err(Ctap2Error::CredentialExcluded),
                _ => Ok(UserCheck { presence, verification: false }),
            }
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        None
    }
}

impl Key {
    pub(crate) fn without_counter() -> Self {
        Self { without_counter: true, ..Self::default() }
    }

    fn authenticator(&self) -> Authenticator<MemoryStore, Touch, RustCryptoBackend> {
        let mut authenticator = Authenticator::new(Aaguid::new_empty(), self.store.clone(), Touch, RustCryptoBackend);
        authenticator.set_make_credentials_with_signature_counter(!self.without_counter);
        authenticator
    }

    /// `navigator.credentials.create()`: the RegistrationResponseJSON.
    pub(crate) async fn create(&mut self, begun: &Value) -> Result<Value, WebauthnError> {
        let options = serde_json::from_value(begun["options"].clone()).unwrap();
        let mut client = Client::new(self.authenticator());
        let created = client.register(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await?;
        self.store.clone_from(client.authenticator().store());
        Ok(serde_json::to_value(created).unwrap())
    }

    /// `navigator.credentials.get()`: the AuthenticationResponseJSON.
    pub(crate) async fn get(&mut self, begun: &Value) -> Result<Value, WebauthnError> {
        let options = serde_json::from_value(begun["options"].clone()).unwrap();
        let mut client = Client::new(self.authenticator());
        let got = client.authenticate(&Url::parse(ORIGIN).unwrap(), options, DefaultClientData).await?;
        self.store.clone_from(client.authenticator().store());
        Ok(serde_json::to_value(got).unwrap())
    }

    /// The same, answered in a frame of another origin's page: passkey's client never says so, but it signs what it is
    /// given.
    pub(crate) async fn get_in_frame_of(&mut self, begun: &Value, top_origin: &str) -> Value {
        let credential = self.get(begun).await.unwrap();
        let credential = with_client_data_member(&credential, "crossOrigin", json!(true));
        let credential = with_client_data_member(&credential, "topOrigin", json!(top_origin));
        let hash = Sha256::digest(decode(&credential["response"]["clientDataJSON"])).to_vec();
        let options = serde_json::from_value(begun["options"].clone()).unwrap();
        let mut client = Client::new(self.authenticator());
        let signed =
            client.authenticate(&Url::parse(ORIGIN).unwrap(), options, DefaultClientDataWithCustomHash(hash)).await;
        let mut signed = serde_json::to_value(signed.unwrap()).unwrap();
        signed["response"]["clientDataJSON"] = credential["response"]["clientDataJSON"].clone();
        signed
    }
}
