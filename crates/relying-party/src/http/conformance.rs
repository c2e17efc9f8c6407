//! The shapes of FIDO's "Conformance testing server API": two requests for each ceremony, whose options and credentials are WebAuthn's own.
//! Nothing is decided here. Using the shapes claims no conformance.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use keyrig_verifier::{AuthenticationResponse, RegistrationResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::login::counted;
use super::session::{SessionCookie, cookie};
use crate::policy::Preference;
use crate::relying_party::{Answer, CONFORMANCE_REALM, Ceremony, LOGIN_LIFETIME, NamedRegistration};
use crate::turns::Asker;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

macro_rules! routes {
    ($($path:literal => $handler:path,)+) => {
        /// The routes of FIDO's server conformance API; all are POST.
        pub const ROUTES: &[&str] = &[$($path,)+];

        pub(super) fn routes() -> Router<Arc<RelyingParty>> {
            Router::new()$(.route($path, on(MethodFilter::POST, $handler)))+
        }
    };
}

routes! {
    "/attestation/options" => attestation_options,
    "/attestation/result" => attestation_result,
    "/assertion/options" => assertion_options,
    "/assertion/result" => assertion_result,
}

type Shared = State<Arc<RelyingParty>>;

/// `ServerResponse` of what was refused.
struct Failed(Refusal);

impl<T: Into<Refusal>> From<T> for Failed {
    fn from(refusal: T) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut body = json!(self.0.body());
        if let Some(members) = body.as_object_mut() {
            members.insert("status".to_owned(), "failed".into());
            members.insert("errorMessage".to_owned(), self.0.to_string().into());
        }
        (self.0.status(), Json(body)).into_response()
    }
}

type Answered = Result<Response, Failed>;

/// A body in JSON.
struct Sent<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<Arc<RelyingParty>> for Sent<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &Arc<RelyingParty>) -> Result<Self, Failed> {
        let Body(sent) = Body::from_request(request, state).await?;
        Ok(Self(sent))
    }
}

/// The ceremony that a result ends, by the cookie that came with its options.
struct Begun {
    login: String,
    challenge: String,
}

impl FromRequestParts<Arc<RelyingParty>> for Begun {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RelyingParty>) -> Result<Self, Failed> {
        let Ok(own) = SessionCookie::from_request_parts(parts, state).await;
        let found = cookie(&parts.headers, own.of_ceremony().name()).and_then(|value| value.split_once('.'));
        let (login, challenge) = found.ok_or(Refusal::UnknownLogin)?;
        Ok(Self { login: login.to_owned(), challenge: challenge.to_owned() })
    }
}

/// `AuthenticatorSelectionCriteria` (WebAuthn Level 3, §5.4.4).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator_attachment: Option<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_key: Option<Preference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    require_resident_key: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_verification: Option<Preference>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attachment {
    Platform,
    CrossPlatform,
}

/// `AttestationConveyancePreference` (WebAuthn Level 3, §5.4.7).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Attestation {
    None,
    Indirect,
    Direct,
    Enterprise,
}

/// `ServerPublicKeyCredentialCreationOptionsRequest`. As in every dictionary, what is not known is ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationRequest {
    username: String,
    display_name: String,
    authenticator_selection: Option<Selection>,
    attestation: Option<Attestation>,
    extensions: Option<Map<String, Value>>,
}

/// `ServerPublicKeyCredentialGetOptionsRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetRequest {
    username: String,
    user_verification: Option<Preference>,
    extensions: Option<Map<String, Value>>,
}

async fn attestation_options(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    Sent(wanted): Sent<CreationRequest>,
) -> Answered {
    let verification = wanted.authenticator_selection.as_ref().and_then(|selection| selection.user_verification);
    let is_required = verification == Some(Preference::Required);
    let (name, asker) = of_account(wanted.username, asker);
    // Who can make users can make many: counted until a key is there.
    let begun = relying_party.begin_named_registration(&asker, name.clone(), is_required).await;
    relying_party.failures.add(&asker);
    let (login, ceremony) = begun?;
    let mut options = flat(&ceremony);
    let user = options.get_mut("user").and_then(Value::as_object_mut);
    if let Some(user) = user {
        user.insert("name".to_owned(), name.into());
        user.insert("displayName".to_owned(), wanted.display_name.into());
    }
    if let Some(selection) = wanted.authenticator_selection {
        // What the policy insists on stays.
        let ours = options.get("authenticatorSelection").and_then(|ours| ours.get("userVerification"));
        let insists = ours.is_some_and(|ours| ours == Preference::Required.as_str());
        let user_verification = if insists { Some(Preference::Required) } else { selection.user_verification };
        options.insert("authenticatorSelection".to_owned(), json!(Selection { user_verification, ..selection }));
    }
    if let Some(attestation) = wanted.attestation {
        options.insert("attestation".to_owned(), json!(attestation));
    }
    if let Some(extensions) = wanted.extensions {
        options.insert("extensions".to_owned(), extensions.into());
    }
    Ok(begun_with(&cookie, &login, &ceremony, options))
}

async fn attestation_result(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    page: Page,
    Begun { login, challenge }: Begun,
    Sent(credential): Sent<Value>,
) -> Answered {
    let response = RegistrationResponse::from_value_by(&as_level_3(credential), relying_party.strictness())?;
    let ended = NamedRegistration { login, challenge, response, page };
    let added = counted(&relying_party, &asker, relying_party.finish_named_registration(&asker, ended).await)?;
    relying_party.failures.forgive(&Asker { account: Some(added.user.name.to_string()), ..asker });
    Ok((cookie.of_ceremony().with("", 0), Json(ok(Map::new()))).into_response())
}

async fn assertion_options(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    Sent(wanted): Sent<GetRequest>,
) -> Answered {
    let is_required = wanted.user_verification == Some(Preference::Required);
    let (name, asker) = of_account(wanted.username, asker);
    let begun = relying_party.begin_named_login(&asker, name, is_required).await;
    let (login, ceremony) = counted(&relying_party, &asker, begun)?;
    let mut options = flat(&ceremony);
    // The dictionary's default is none of ours: what the policy insists on stays.
    let insists = options.get("userVerification").is_some_and(|ours| ours == Preference::Required.as_str());
    if let Some(wanted) = wanted.user_verification.filter(|_| !insists) {
        options.insert("userVerification".to_owned(), wanted.as_str().into());
    }
    if let Some(extensions) = wanted.extensions {
        options.insert("extensions".to_owned(), extensions.into());
    }
    Ok(begun_with(&cookie, &login, &ceremony, options))
}

async fn assertion_result(
    State(relying_party): Shared,
    asker: Asker,
    cookie: SessionCookie,
    page: Page,
    Begun { login, challenge }: Begun,
    Sent(credential): Sent<Value>,
) -> Answered {
    let credential = AuthenticationResponse::from_value_by(&as_level_3(credential), relying_party.strictness())?;
    let answer = Answer::Webauthn { challenge, credential: Box::new(credential), page };
    let attempt = relying_party.finish_login(&asker, login, answer).await;
    let logged_in = counted(&relying_party, &asker, attempt)?;
    let cookies = (cookie.of_ceremony().with("", 0), cookie.set(&logged_in.session));
    Ok((cookies, Json(ok(Map::new()))).into_response())
}

/// What a user is called by the tool, and who asks.
fn of_account(name: String, asker: Asker) -> (String, Asker) {
    let account = Some(format!("{name}@{CONFORMANCE_REALM}"));
    (name, Asker { account, ..asker })
}

/// The members of `publicKey`, which stand at the top here.
fn flat(ceremony: &Ceremony) -> Map<String, Value> {
    ceremony.options.get("publicKey").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The same as `ServerResponse` of what went well.
fn ok(mut members: Map<String, Value>) -> Map<String, Value> {
    members.insert("status".to_owned(), "ok".into());
    members.insert("errorMessage".to_owned(), "".into());
    members
}

fn begun_with(cookie: &SessionCookie, login: &str, ceremony: &Ceremony, options: Map<String, Value>) -> Response {
    let value = format!("{login}.{}", ceremony.challenge);
    (cookie.of_ceremony().with(&value, LOGIN_LIFETIME.as_secs()), Json(ok(options))).into_response()
}

/// `ServerPublicKeyCredential` as WebAuthn's own JSON: extension results have another name there, and `rawId` need not be there.
fn as_level_3(mut credential: Value) -> Value {
    if let Some(members) = credential.as_object_mut() {
        let results = members.remove("getClientExtensionResults").unwrap_or_else(|| json!({}));
        members.entry("clientExtensionResults").or_insert(results);
        if let Some(id) = members.get("id").cloned() {
            members.entry("rawId").or_insert(id);
        }
    }
    credential
}
