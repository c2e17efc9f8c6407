//! A user's own factors over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::RegistrationResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Body, InPath, secret};
use super::login::explained;
use super::session::{SessionCookie, SessionView};
use crate::factors::{Factor, FactorChange};
use crate::relying_party::{Added, Ceremony, ChangeOwn, Claim, Enrol, Present, RegistrationWish, TotpOffer, TotpWish};
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishWebauthn {
    challenge: String,
    description: String,
    credential: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishTotp {
    challenge: String,
    description: String,
    #[serde(deserialize_with = "secret")]
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
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
    Ok(answer(&cookie, &added, json!({})))
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
    Ok(answer(&cookie, &added, json!({})))
}

pub(super) async fn add_recovery_keys(
    State(relying_party): Shared,
    claim: Claim<ChangeOwn>,
    cookie: SessionCookie,
    Body(Described { description }): Body<Described>,
) -> Result<Response, Refusal> {
    let (added, set) = relying_party.add_recovery_keys(claim, None, description).await?;
    let keys: Vec<String> = set.keys.iter().map(ToString::to_string).collect();
    Ok(answer(&cookie, &added, json!({ "recovery_keys": keys })))
}

/// The factor that was added, with the new session if there is one.
fn answer(cookie: &SessionCookie, added: &Added, mut body: Value) -> Response {
    if let Some(members) = body.as_object_mut() {
        members.insert("factor".to_owned(), json!(added.factor));
        members.insert("notices".to_owned(), json!(added.notices));
        let view = added.session.as_ref().map(|new| SessionView::new(&added.user, new, added.notices.clone()));
        if let Some(view) = view {
            members.insert("session".to_owned(), json!(view));
        }
    }
    explained(&mut body, added.report.as_ref());
    match &added.session {
        Some(new) => (cookie.set(new), Json(body)).into_response(),
        None => Json(body).into_response(),
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
