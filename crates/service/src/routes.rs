//! Which command is where.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Json, Router};
use keyrig_control::request::{
    Ask, ChangePin, Clone as CloneKey, Create, DeleteCredential, DeleteFingerprint, Deny, EnrollFingerprint, Events,
    ExportCredentials, Finger, ImportCredential, ImportCredentials, List, ListCredentials, ListFaults,
    ListFingerprints, PinRetries, Plug, PowerCycle, ReadLargeBlobs, Remove, RenameFingerprint, Reset, Restore,
    RunTimeline, Sample, SetBackup, SetPin, SetTouchPolicy, SetUvPolicy, SwitchFaultOn, SwitchFaultsOff, TakeSnapshot,
    Touch, Transact, TransactU2f, Unplug, Verify, Wait, WriteLargeBlobs,
};
use keyrig_http::openapi::{Interface, Operation, document, operation_id};
use keyrig_rack::command::Command;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::ToSchema;

use crate::commands::{LongestBody, carry_out};
use crate::error::{ErrorBody, Refused};
use crate::events;
use crate::service::{MAX_BODY, MAX_CEREMONY, Service};
use crate::{access, catalogue, client, metadata, observe, pages, panel, scripts, signals, trace};

/// One path, what is asked there by which method, and its description.
struct Route {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<Arc<Service>>,
    operation: fn(&Self) -> Operation,
}

impl Route {
    /// A command of the vocabulary.
    fn command<C>(method: &'static str, path: &'static str) -> Self
    where
        C: Ask<Answer: ToSchema> + DeserializeOwned + ToSchema + Send + 'static,
    {
        Self {
            method,
            path,
            handler: on(filter(method), carry_out::<C>),
            operation: |route| Operation::asking::<C, C::Answer>(&route.id(), route.path, route.method == "GET"),
        }
    }

    /// The same with bodies up to this length.
    fn taking(mut self, longest: usize) -> Self {
        self.handler = self.handler.layer(Extension(LongestBody(longest)));
        self
    }

    fn id(&self) -> String {
        operation_id(self.method, self.path)
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

/// All that there is.
fn routes() -> Vec<Route> {
    let get = |path, handler, operation| Route { method: "GET", path, handler, operation };
    let ceremony =
        |path, handler| Route { method: "POST", path, handler, operation: |route| client::operation(&route.id()) };
    vec![
        get("/v1/openapi.json", on(MethodFilter::GET, openapi), |route| {
            let summary = "This description, for anybody on this machine.";
            Operation::answering::<Ready>(&route.id(), summary).for_anybody().with_success(json!({
                "description": "An OpenAPI document.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }))
        }),
        get("/v1/ready", on(MethodFilter::GET, ready), |route| {
            Operation::answering::<Ready>(&route.id(), "Whether there is a rack that answers.").for_anybody()
        }),
        get("/v1/version", on(MethodFilter::GET, version), |route| {
            Operation::answering::<Version>(&route.id(), "The version of keyrig.")
        }),
        Route::command::<List>("GET", "/v1/keys"),
        Route::command::<Create>("POST", "/v1/keys").taking(MAX_BODY),
        Route::command::<Remove>("DELETE", "/v1/keys/{key}"),
        Route::command::<Touch>("POST", "/v1/keys/{key}/touch"),
        Route::command::<Verify>("POST", "/v1/keys/{key}/verify"),
        Route::command::<Sample>("POST", "/v1/keys/{key}/sample"),
        Route::command::<Deny>("POST", "/v1/keys/{key}/deny"),
        Route::command::<Wait>("POST", "/v1/keys/{key}/wait"),
        Route::command::<Plug>("POST", "/v1/keys/{key}/plug"),
        Route::command::<Unplug>("POST", "/v1/keys/{key}/unplug"),
        Route::command::<PowerCycle>("POST", "/v1/keys/{key}/power-cycle"),
        Route::command::<Reset>("POST", "/v1/keys/{key}/reset"),
        Route::command::<CloneKey>("POST", "/v1/keys/{key}/clone"),
        Route::command::<TakeSnapshot>("GET", "/v1/keys/{key}/snapshot"),
        Route::command::<Restore>("PUT", "/v1/keys/{key}/snapshot").taking(MAX_BODY),
        Route::command::<PinRetries>("GET", "/v1/keys/{key}/pin"),
        Route::command::<SetPin>("POST", "/v1/keys/{key}/pin"),
        Route::command::<ChangePin>("PUT", "/v1/keys/{key}/pin"),
        Route::command::<ListCredentials>("GET", "/v1/keys/{key}/credentials"),
        Route::command::<ImportCredential>("POST", "/v1/keys/{key}/credentials"),
        Route::command::<ImportCredentials>("POST", "/v1/keys/{key}/credentials/import").taking(MAX_BODY),
        Route::command::<ExportCredentials>("GET", "/v1/keys/{key}/credentials/export"),
        Route::command::<DeleteCredential>("DELETE", "/v1/keys/{key}/credentials/{credential_id}"),
        Route::command::<SetBackup>("PUT", "/v1/keys/{key}/credentials/{credential_id}/backup"),
        Route::command::<ListFingerprints>("GET", "/v1/keys/{key}/fingerprints"),
        Route::command::<EnrollFingerprint>("POST", "/v1/keys/{key}/fingerprints"),
        Route::command::<RenameFingerprint>("PUT", "/v1/keys/{key}/fingerprints/{template_id}"),
        Route::command::<DeleteFingerprint>("DELETE", "/v1/keys/{key}/fingerprints/{template_id}"),
        Route::command::<ReadLargeBlobs>("GET", "/v1/keys/{key}/large-blobs"),
        Route::command::<WriteLargeBlobs>("PUT", "/v1/keys/{key}/large-blobs").taking(MAX_BODY),
        Route::command::<ListFaults>("GET", "/v1/keys/{key}/faults"),
        Route::command::<SwitchFaultOn>("POST", "/v1/keys/{key}/faults"),
        Route::command::<SwitchFaultsOff>("DELETE", "/v1/keys/{key}/faults"),
        Route::command::<SetUvPolicy>("PUT", "/v1/keys/{key}/uv-policy"),
        Route::command::<Transact>("POST", "/v1/keys/{key}/transact"),
        Route::command::<TransactU2f>("POST", "/v1/keys/{key}/transact-u2f"),
        Route::command::<Finger>("PUT", "/v1/finger"),
        Route::command::<SetTouchPolicy>("PUT", "/v1/touch-policy"),
        Route::command::<RunTimeline>("POST", "/v1/timeline"),
        Route::command::<Events>("GET", "/v1/events"),
        get("/v1/events/stream", on(MethodFilter::GET, events::listen), |route| {
            events::operation(&route.id(), route.path)
        }),
        get("/v1/trace/stream", on(MethodFilter::GET, trace::follow), |route| {
            trace::operation(&route.id(), route.path)
        }),
        get("/v1/catalogue", on(MethodFilter::GET, catalogue::list), |route| catalogue::operation(&route.id())),
        get("/v1/panel/stream", on(MethodFilter::GET, panel::stream), |route| {
            panel::stream_operation(&route.id(), route.path)
        }),
        Route {
            method: "POST",
            path: "/v1/panel/codes",
            handler: on(MethodFilter::POST, panel::make_code),
            operation: |route| panel::make_code_operation(&route.id(), route.path),
        },
        Route {
            method: "POST",
            path: panel::TOKENS,
            handler: on(MethodFilter::POST, panel::exchange),
            operation: |route| panel::exchange_operation(&route.id(), route.path),
        },
        get("/v1/observe.js", on(MethodFilter::GET, scripts::observe), |route| scripts::observe_operation(&route.id())),
        get(metadata::PATH, on(MethodFilter::GET, metadata::file), |route| metadata::operation(&route.id())),
        get("/v1/page.js", on(MethodFilter::GET, scripts::page), |route| scripts::page_operation(&route.id())),
        Route {
            method: "POST",
            path: "/v1/page-tokens",
            handler: on(MethodFilter::POST, pages::make),
            operation: |route| pages::make_operation(&route.id(), route.path),
        },
        Route {
            method: "DELETE",
            path: "/v1/page-tokens",
            handler: on(MethodFilter::DELETE, pages::revoke),
            operation: |route| pages::revoke_operation(&route.id(), route.path),
        },
        Route {
            method: "POST",
            path: "/v1/client/capabilities",
            handler: on(MethodFilter::POST, client::capabilities),
            operation: |route| client::capabilities_operation(&route.id()),
        },
        Route {
            method: "POST",
            path: "/v1/client/signal",
            handler: on(MethodFilter::POST, signals::signal),
            operation: |route| signals::operation(&route.id()),
        }
        .taking(MAX_CEREMONY),
        Route {
            method: "POST",
            path: "/v1/notes",
            handler: on(MethodFilter::POST, observe::note),
            operation: |route| observe::note_operation(&route.id(), route.path),
        },
        ceremony("/v1/client/create", on(MethodFilter::POST, client::create)).taking(MAX_CEREMONY),
        ceremony("/v1/client/get", on(MethodFilter::POST, client::get)).taking(MAX_CEREMONY),
    ]
}

/// The description of all that there is, in JSON: made when somebody asks for it.
static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| {
    let described = routes().into_iter().map(|route| (route.method, route.path, (route.operation)(&route)));
    let interface = Interface {
        title: "keyrig",
        description: "A rack of software security keys, and a browser's client over them.",
        version: env!("CARGO_PKG_VERSION"),
        security_schemes: json!({"token": {"type": "http", "scheme": "bearer"}}),
        security: &["token"],
        refusals: &[],
    };
    document::<ErrorBody>(&interface, described).to_string().into()
});

/// The service, to be served or called directly.
pub fn router(service: Arc<Service>) -> Router {
    let all = routes().into_iter().map(|route| (route.path, route.handler)).chain(panel::files());
    all.fold(Router::new(), |router, (path, handler)| router.route(path, handler))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
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

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION.clone())
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
