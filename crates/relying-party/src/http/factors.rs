//! A user's own factors over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::RegistrationResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Body, InPath, secret};
use super::schemas;
use super::session::{SessionCookie, SessionView};
use crate::factors::{Factor, FactorChange};
use crate::notices::Notice;
use crate::relying_party::{Added, Ceremony, ChangeOwn, Claim, Enrol, Present, RegistrationWish, TotpOffer, TotpWish};
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

#[derive(Deserialize, ToSchema)]
#[schema(as = EndRegistration)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishWebauthn {
    /// The secret identifier of the ceremony.
    challenge: String,
    /// What its user calls it, 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    description: String,
    #[schema(schema_with = schemas::registration_response)]
    credential: Value,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ConfirmTotp)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishTotp {
    /// The secret identifier of the enrolment.
    challenge: String,
    /// What its user calls it, 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    description: String,
    /// What the app shows.
    #[serde(deserialize_with = "secret")]
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewRecoveryKeys)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    /// What their user calls them, 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    description: String,
}

pub(super) async fn list(State(relying_party): Shared, claim: Claim<Present>) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.own_factors(claim).await.map(Json)
}

pub(super) async fn begin_webauthn(
    State(relying_party): Shared,
    claim: Claim<Enrol>,
    Body(wish): Body<RegistrationWish>,
) -> Result<Json<Ceremony>, Refusal> {
    relying_party.begin_registration(claim, None, wish).await.map(Json)
}

pub(super) async fn finish_webauthn(
    State(relying_party): Shared,
    claim: Claim<Enrol>,
    cookie: SessionCookie,
    page: Page,
    Body(FinishWebauthn { challenge, description, credential }): Body<FinishWebauthn>,
) -> Result<Response, Refusal> {
    let response = RegistrationResponse::from_value_by(&credential, relying_party.strictness())?;
    let added = relying_party.finish_registration(claim, None, challenge, description, response, page).await?;
    Ok(answer(&cookie, added, None))
}

pub(super) async fn begin_totp(
    State(relying_party): Shared,
    claim: Claim<Enrol>,
    Body(wish): Body<TotpWish>,
) -> Result<Json<TotpOffer>, Refusal> {
    relying_party.begin_totp(claim, wish).await.map(Json)
}

pub(super) async fn finish_totp(
    State(relying_party): Shared,
    claim: Claim<Enrol>,
    cookie: SessionCookie,
    Body(FinishTotp { challenge, description, code }): Body<FinishTotp>,
) -> Result<Response, Refusal> {
    let added = relying_party.finish_totp(claim, challenge, description, code).await?;
    Ok(answer(&cookie, added, None))
}

pub(super) async fn add_recovery_keys(
    State(relying_party): Shared,
    claim: Claim<ChangeOwn>,
    cookie: SessionCookie,
    Body(Described { description }): Body<Described>,
) -> Result<Response, Refusal> {
    let (added, set) = relying_party.add_recovery_keys(claim, None, description).await?;
    let keys = set.keys.iter().map(ToString::to_string).collect();
    Ok(answer(&cookie, added, Some(keys)))
}

/// A factor was added.
#[derive(Serialize, ToSchema)]
#[schema(as = Added)]
pub(super) struct AddedView {
    factor: Factor,
    notices: Vec<Notice>,
    /// The session that takes the place of the one that was for enrolment.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_keys: Option<Vec<String>>,
    /// On a site that explains, every check of what the key answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<Value>,
}

fn answer(cookie: &SessionCookie, added: Added, recovery_keys: Option<Vec<String>>) -> Response {
    let Added { factor, user, notices, session: new, report } = added;
    let session = new.as_ref().map(|new| SessionView::new(&user, new, notices.clone()));
    let body = Json(AddedView { factor, notices, session, recovery_keys, report });
    match new {
        Some(new) => (cookie.set(&new), body).into_response(),
        None => body.into_response(),
    }
}

pub(super) async fn change(
    State(relying_party): Shared,
    claim: Claim<ChangeOwn>,
    InPath(id): InPath<String>,
    Body(change): Body<FactorChange>,
) -> Result<Json<Factor>, Refusal> {
    relying_party.change_own_factor(claim, id, change).await.map(Json)
}

pub(super) async fn delete(
    State(relying_party): Shared,
    claim: Claim<ChangeOwn>,
    InPath(id): InPath<String>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.delete_own_factor(claim, id).await.map(Json)
}
