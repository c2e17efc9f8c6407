//! What a page has to know of the settings before anybody is in, to say what keeps a browser from its ceremonies.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::InQuery;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteQuery {
    /// The origin of a page.
    origin: Option<String>,
}

/// Nothing here is a secret: browsers are told it in the options of ceremonies, or refuse for it.
#[derive(Serialize, ToSchema)]
pub(super) struct SiteView {
    rp_id: String,
    name: String,
    /// The origins that are taken; if there are none, that of the request's Host.
    origins: Vec<String>,
    allow_subdomains: bool,
    passkey_login: bool,
    policy: String,
    realm_types: Vec<String>,
    oath_realm_excludes_webauthn: bool,
    /// What an answer from a page of the origin that was asked about would be refused for.
    origin_refusal: Option<OriginRefusalView>,
}

#[derive(Serialize, ToSchema)]
struct OriginRefusalView {
    expected: String,
    explanation: String,
}

pub(super) async fn show(
    State(relying_party): State<Arc<RelyingParty>>,
    page: Page,
    InQuery(SiteQuery { origin }): InQuery<SiteQuery>,
) -> Result<Json<SiteView>, Refusal> {
    let webauthn = relying_party.usable_webauthn()?;
    let settings = &webauthn.settings;
    let refusal = origin.and_then(|origin| webauthn.judge_origin(&origin, &page).err());
    Ok(Json(SiteView {
        rp_id: settings.rp_id.clone(),
        name: settings.name.clone(),
        origins: settings.origins.clone(),
        allow_subdomains: settings.allow_subdomains,
        passkey_login: settings.passkey_login,
        policy: settings.policy.name.clone(),
        realm_types: settings.policy.realm_types.clone(),
        oath_realm_excludes_webauthn: settings.policy.oath_realm_excludes_webauthn,
        origin_refusal: refusal
            .map(|refusal| OriginRefusalView { expected: refusal.expected, explanation: refusal.explanation }),
    }))
}
