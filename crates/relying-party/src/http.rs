//! The HTTP API: JSON in, JSON out, a [`Refusal`] for everything else.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

use crate::registered::{self as users, CredentialView};
use crate::{Refusal, RelyingParty};

/// The longest request body that is read. An answer with a chain of attestation certificates is below 8 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

type Shared = State<Arc<RelyingParty>>;

/// The API of a relying party, to be served or called directly.
pub fn router(relying_party: Arc<RelyingParty>) -> Router {
    Router::new()
        .route("/api/register/begin", post(begin_registration))
        .route("/api/register/finish", post(finish_registration))
        .route("/api/login/begin", post(begin_login))
        .route("/api/login/finish", post(finish_login))
        .route("/api/users/{user}/credentials", get(credentials))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(relying_party)
}

#[derive(Deserialize)]
struct Begin {
    user: String,
}

#[derive(Serialize)]
struct Begun<Options> {
    ceremony: String,
    options: Options,
}

#[derive(Deserialize)]
struct FinishRegistration {
    ceremony: String,
    name: Option<String>,
    credential: RegisterPublicKeyCredential,
}

#[derive(Deserialize)]
struct FinishLogin {
    ceremony: String,
    credential: PublicKeyCredential,
}

#[derive(Serialize)]
struct Finished {
    user: String,
    credential: CredentialView,
}

#[derive(Serialize)]
struct Credentials {
    user: String,
    credentials: Vec<CredentialView>,
}

async fn begin_registration(
    State(relying_party): Shared,
    Body(Begin { user }): Body<Begin>,
) -> Result<Json<impl Serialize>, Refusal> {
    let (ceremony, options) = relying_party.begin_registration(&user)?;
    Ok(Json(Begun { ceremony, options }))
}

async fn finish_registration(
    State(relying_party): Shared,
    Body(FinishRegistration { ceremony, name, credential }): Body<FinishRegistration>,
) -> Result<Json<Finished>, Refusal> {
    let (user, credential) = relying_party.finish_registration(&ceremony, name, &credential)?;
    Ok(Json(Finished { user, credential }))
}

async fn begin_login(
    State(relying_party): Shared,
    Body(Begin { user }): Body<Begin>,
) -> Result<Json<impl Serialize>, Refusal> {
    let (ceremony, options) = relying_party.begin_login(&user)?;
    Ok(Json(Begun { ceremony, options }))
}

async fn finish_login(
    State(relying_party): Shared,
    Body(FinishLogin { ceremony, credential }): Body<FinishLogin>,
) -> Result<Json<Finished>, Refusal> {
    let (user, credential) = relying_party.finish_login(&ceremony, &credential)?;
    Ok(Json(Finished { user, credential }))
}

async fn credentials(
    State(relying_party): Shared,
    user: Result<Path<String>, PathRejection>,
) -> Result<Json<Credentials>, Refusal> {
    let Path(user) = user.map_err(|error| Refusal::BadRequest { reason: error.body_text() })?;
    users::check_user_name(&user)?;
    let state = relying_party.state();
    let known = state.users.get(&user).ok_or_else(|| Refusal::UnknownUser { user: user.clone() })?;
    let credentials = known.credentials.iter().map(users::Record::view).collect();
    Ok(Json(Credentials { user, credentials }))
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::NotFound { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}

/// A JSON body, or the refusal that says what is wrong with it.
struct Body<T>(T);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Refusal::BadContentType),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal::BodyTooLarge { limit: MAX_BODY_BYTES })
            }
            Err(error) => Err(Refusal::BadRequest { reason: error.body_text() }),
        }
    }
}
