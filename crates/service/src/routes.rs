//! Which command is where.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use keyrig_control::request::{
    Deny, Finger, List, Plug, PowerCycle, SetTouchPolicy, Touch, Transact, TransactU2f, Unplug, Wait,
};
use keyrig_rack::command::Command;
use serde_json::{Value, json};

use crate::commands::carry_out;
use crate::error::Refused;
use crate::service::{MAX_BODY, Service};
use crate::{access, client};

/// The service, to be served or called directly.
pub fn router(service: Arc<Service>) -> Router {
    routes()
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(service.clone(), access::check))
        .layer(map_response(guarded))
        .with_state(service)
}

fn routes() -> Router<Arc<Service>> {
    use MethodFilter as M;
    Router::new()
        .route("/v1/ready", on(M::GET, ready))
        .route("/v1/version", on(M::GET, version))
        .route("/v1/keys", on(M::GET, carry_out::<List>))
        .route("/v1/keys/{key}/touch", on(M::POST, carry_out::<Touch>))
        .route("/v1/keys/{key}/deny", on(M::POST, carry_out::<Deny>))
        .route("/v1/keys/{key}/wait", on(M::POST, carry_out::<Wait>))
        .route("/v1/keys/{key}/plug", on(M::POST, carry_out::<Plug>))
        .route("/v1/keys/{key}/unplug", on(M::POST, carry_out::<Unplug>))
        .route("/v1/keys/{key}/power-cycle", on(M::POST, carry_out::<PowerCycle>))
        .route("/v1/keys/{key}/transact", on(M::POST, carry_out::<Transact>))
        .route("/v1/keys/{key}/transact-u2f", on(M::POST, carry_out::<TransactU2f>))
        .route("/v1/finger", on(M::PUT, carry_out::<Finger>))
        .route("/v1/touch-policy", on(M::PUT, carry_out::<SetTouchPolicy>))
        .route("/v1/client/create", on(M::POST, client::create))
        .route("/v1/client/get", on(M::POST, client::get))
}

/// Nothing here is for caches, or to be taken for anything but what it says it is.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether there is a rack that answers.
async fn ready(State(service): State<Arc<Service>>) -> Result<Json<Value>, Refused> {
    service.rack.command(Command::List).await?;
    Ok(Json(json!({"ready": true})))
}

async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn not_found(uri: Uri) -> Refused {
    Refused::NotFound { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refused {
    Refused::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}
