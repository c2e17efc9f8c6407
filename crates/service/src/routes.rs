//! Which command is where.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use keyrig_control::request::{
    Ask, ChangePin, Clone as CloneKey, Create, DeleteCredential, Deny, Events, ExportCredentials, Finger,
    ImportCredential, List, ListCredentials, PinRetries, Plug, PowerCycle, ReadLargeBlobs, Remove, Reset, Restore,
    SetPin, SetTouchPolicy, TakeSnapshot, Touch, Transact, TransactU2f, Unplug, Wait, WriteLargeBlobs,
};
use keyrig_rack::command::Command;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::commands::carry_out;
use crate::error::Refused;
use crate::events::{self, Listen};
use crate::openapi::{Operation, document};
use crate::service::{MAX_BODY, Service};
use crate::{access, client};

/// One path, what is asked there by which method, and its description.
struct Route {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<Arc<Service>>,
    operation: Operation,
}

impl Route {
    /// A command of the vocabulary.
    fn command<C>(method: &'static str, path: &'static str) -> Self
    where
        C: Ask<Answer: ToSchema> + DeserializeOwned + ToSchema + Send + 'static,
    {
        let operation = Operation::asking::<C, C::Answer>(&id(method, path), path, method == "GET");
        Self { method, path, handler: on(filter(method), carry_out::<C>), operation }
    }
}

fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::POST,
    }
}

/// `post_keys_touch`, of POST /v1/keys/{key}/touch.
fn id(method: &str, path: &str) -> String {
    let words = path.split('/').filter(|part| !part.is_empty() && *part != "v1" && !part.starts_with('{'));
    let words: Vec<_> = words.map(|part| part.replace('-', "_")).collect();
    format!("{}_{}", method.to_ascii_lowercase(), words.join("_"))
}

/// All that there is but the description.
fn routes() -> Vec<Route> {
    let ready = Operation::answering::<Ready>("get_ready", "Whether there is a rack that answers.").for_anybody();
    let version = Operation::answering::<Version>("get_version", "The version of keyrig.");
    vec![
        Route { method: "GET", path: "/v1/ready", handler: on(MethodFilter::GET, self::ready), operation: ready },
        Route { method: "GET", path: "/v1/version", handler: on(MethodFilter::GET, self::version), operation: version },
        Route::command::<List>("GET", "/v1/keys"),
        Route::command::<Create>("POST", "/v1/keys"),
        Route::command::<Remove>("DELETE", "/v1/keys/{key}"),
        Route::command::<Touch>("POST", "/v1/keys/{key}/touch"),
        Route::command::<Deny>("POST", "/v1/keys/{key}/deny"),
        Route::command::<Wait>("POST", "/v1/keys/{key}/wait"),
        Route::command::<Plug>("POST", "/v1/keys/{key}/plug"),
        Route::command::<Unplug>("POST", "/v1/keys/{key}/unplug"),
        Route::command::<PowerCycle>("POST", "/v1/keys/{key}/power-cycle"),
        Route::command::<Reset>("POST", "/v1/keys/{key}/reset"),
        Route::command::<CloneKey>("POST", "/v1/keys/{key}/clone"),
        Route::command::<TakeSnapshot>("GET", "/v1/keys/{key}/snapshot"),
        Route::command::<Restore>("PUT", "/v1/keys/{key}/snapshot"),
        Route::command::<PinRetries>("GET", "/v1/keys/{key}/pin"),
        Route::command::<SetPin>("POST", "/v1/keys/{key}/pin"),
        Route::command::<ChangePin>("PUT", "/v1/keys/{key}/pin"),
        Route::command::<ListCredentials>("GET", "/v1/keys/{key}/credentials"),
        Route::command::<ImportCredential>("POST", "/v1/keys/{key}/credentials"),
        Route::command::<ExportCredentials>("GET", "/v1/keys/{key}/credentials/export"),
        Route::command::<DeleteCredential>("DELETE", "/v1/keys/{key}/credentials/{credential_id}"),
        Route::command::<ReadLargeBlobs>("GET", "/v1/keys/{key}/large-blobs"),
        Route::command::<WriteLargeBlobs>("PUT", "/v1/keys/{key}/large-blobs"),
        Route::command::<Transact>("POST", "/v1/keys/{key}/transact"),
        Route::command::<TransactU2f>("POST", "/v1/keys/{key}/transact-u2f"),
        Route::command::<Finger>("PUT", "/v1/finger"),
        Route::command::<SetTouchPolicy>("PUT", "/v1/touch-policy"),
        Route::command::<Events>("GET", "/v1/events"),
        Route {
            method: "GET",
            path: "/v1/events/stream",
            handler: on(MethodFilter::GET, events::listen),
            operation: events::operation::<Listen>(),
        },
        Route {
            method: "POST",
            path: "/v1/client/create",
            handler: on(MethodFilter::POST, client::create),
            operation: client::operation("post_client_create"),
        },
        Route {
            method: "POST",
            path: "/v1/client/get",
            handler: on(MethodFilter::POST, client::get),
            operation: client::operation("post_client_get"),
        },
    ]
}

/// The service, to be served or called directly.
pub fn router(service: Arc<Service>) -> Router {
    let description = Operation::answering::<Ready>("get_openapi", "This description, for anybody on this machine.")
        .for_anybody()
        .with_success(json!({
            "description": "An OpenAPI document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }));
    let mut router = Router::new();
    let mut described = vec![("GET", "/v1/openapi.json", description)];
    for Route { method, path, handler, operation } in routes() {
        router = router.route(path, handler);
        described.push((method, path, operation));
    }
    let document = Arc::new(document(described.into_iter()));
    let openapi = move || async move { Json(Value::clone(&document)) };
    router
        .route("/v1/openapi.json", on(MethodFilter::GET, openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(service.clone(), access::check))
        .layer(map_response(guarded))
        .with_state(service)
}

/// There is a rack.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// Always true: otherwise it is an error.
    ready: bool,
}

/// What answers.
#[derive(Serialize, ToSchema)]
struct Version {
    /// The version of keyrig.
    version: String,
}

/// Nothing here is for caches, or to be taken for anything but what it says it is.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn ready(State(service): State<Arc<Service>>) -> Result<Json<Ready>, Refused> {
    service.rack.command(Command::List).await?;
    Ok(Json(Ready { ready: true }))
}

async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

async fn not_found(uri: Uri) -> Refused {
    Refused::NotFound { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refused {
    Refused::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}
