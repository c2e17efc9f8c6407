//! A user's own factors over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyrig_verifier::RegistrationResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Body, InPath};
use super::session::{Confirmed, Enrolling, SessionView};
use crate::audit_log::Actor;
use crate::enrolment::{Added, TotpOffer, TotpWish};
use crate::factors::{Factor, FactorChange, Which};
use crate::login::Ceremony;
use crate::sessions::{Session, SessionKind};
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginWebauthn {
    /// Whether the credential is to log in alone: discoverable, with user verification.
    #[serde(default)]
    passkey: bool,
}

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
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    description: String,
}

pub(super) async fn list(
    State(relying_party): Shared,
    Enrolling(session): Enrolling,
) -> Result<Json<Vec<Factor>>, Refusal> {
    relying_party.work(move |this| Ok(Json(this.store.factors(&session.user.name)?))).await
}

pub(super) async fn begin_webauthn(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    Body(BeginWebauthn { passkey }): Body<BeginWebauthn>,
) -> Result<Json<Ceremony>, Refusal> {
    relying_party.begin_registration(session, passkey).await.map(Json)
}

pub(super) async fn finish_webauthn(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    page: Page,
    Body(FinishWebauthn { challenge, description, credential }): Body<FinishWebauthn>,
) -> Result<Response, Refusal> {
    let response = RegistrationResponse::from_value(&credential)?;
    let added = relying_party.finish_registration(session.clone(), challenge, description, response, page).await?;
    Ok(answer(&relying_party, &session, added, json!({})))
}

pub(super) async fn begin_totp(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    Body(wish): Body<TotpWish>,
) -> Result<Json<TotpOffer>, Refusal> {
    relying_party.begin_totp(session, wish).await.map(Json)
}

pub(super) async fn finish_totp(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    Body(FinishTotp { challenge, description, code }): Body<FinishTotp>,
) -> Result<Response, Refusal> {
    let added = relying_party.finish_totp(session.clone(), challenge, description, code).await?;
    Ok(answer(&relying_party, &session, added, json!({})))
}

pub(super) async fn add_recovery_keys(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    Body(Described { description }): Body<Described>,
) -> Result<Response, Refusal> {
    // They satisfy no requirement.
    if session.kind == SessionKind::Enrolment {
        return Err(Refusal::EnrolmentOnly);
    }
    let (added, set) = relying_party.add_recovery_keys(session.clone(), description).await?;
    let keys: Vec<String> = set.keys.iter().map(ToString::to_string).collect();
    Ok(answer(&relying_party, &session, added, json!({ "recovery_keys": keys })))
}

/// The factor that was added, with the new session if there is one.
fn answer(relying_party: &RelyingParty, session: &Session, added: Added, mut body: Value) -> Response {
    if let Some(members) = body.as_object_mut() {
        members.insert("factor".to_owned(), json!(added.factor));
        members.insert("notices".to_owned(), json!(added.notices));
        let view = added.session.as_ref().map(|new| SessionView::new(&session.user, new, added.notices.clone()));
        if let Some(view) = view {
            members.insert("session".to_owned(), json!(view));
        }
    }
    match &added.session {
        Some(new) => (relying_party.set_cookie(new), Json(body)).into_response(),
        None => Json(body).into_response(),
    }
}

pub(super) async fn change(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    InPath(id): InPath<String>,
    Body(change): Body<FactorChange>,
) -> Result<Json<Factor>, Refusal> {
    not_enrolling(&session)?;
    relying_party
        .work(move |this| {
            let user = &session.user.name;
            let actor = Actor::User(user.clone());
            Ok(Json(this.store.change_factor(user, &id, &change, false, &actor, this.clock.now())?))
        })
        .await
}

pub(super) async fn delete(
    State(relying_party): Shared,
    Confirmed(session): Confirmed,
    InPath(id): InPath<String>,
) -> Result<Json<Vec<Factor>>, Refusal> {
    not_enrolling(&session)?;
    relying_party
        .work(move |this| {
            let user = &session.user.name;
            let actor = Actor::User(user.clone());
            Ok(Json(this.store.delete_factors(user, Which::One(&id), false, &actor, this.clock.now())?))
        })
        .await
}

fn not_enrolling(session: &Session) -> Result<(), Refusal> {
    match session.kind {
        SessionKind::Full => Ok(()),
        SessionKind::Enrolment => Err(Refusal::EnrolmentOnly),
    }
}
