//! Switches for touch and power over HTTP, by the paths that python-fido2's device suite asks of the Raspberry Pi Pico that
//! works its keys: a face of the control commands.
//!
//! `GET /` says what there is; `GET /usbN/touch/on` puts the finger on the key at port N until `off` takes it away, and
//! `GET /usbN/power/off` pulls the key out until `on` puts it back. The key at port N is the one on bus id 1-N; a rack that
//! holds one key has it at every port, as the suite's own default is port 6.

use core::convert::Infallible;
use core::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use keyrig_rack::command::{Command, KeyState, Refusal};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{KeyName, Rack};
use keyrig_usb::listening::{Waiting, wait_out};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATHS: &str = "The paths are /, /usbN/touch/on, /usbN/touch/off, /usbN/power/on and /usbN/power/off.\n";

/// How many connections there may be. For one more, the oldest is closed.
const MAX_CONNECTIONS: usize = 32;

/// How long a connection may take, which is for one request.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// Serves the switches of a rack.
///
/// Who may connect is decided by the address that the listener is bound to: it should be a loopback address.
pub async fn serve(listener: TcpListener, rack: Rack) -> Infallible {
    let router = Router::new()
        .route("/", get(list))
        .route("/{port}/{switch}/{position}", get(turn))
        .fallback(|| async { not_found("there is nothing here") })
        .layer(middleware::from_fn(refuse_web_pages))
        .with_state(rack);
    let service = TowerToHyperService::new(router);
    let waiting = Waiting::default();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    wait_out(error, &waiting, &mut connections).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (mut place, service) = (waiting.enter_among(MAX_CONNECTIONS), service.clone());
        connections.spawn(async move {
            let mut http = http1::Builder::new();
            let served = http.keep_alive(false).serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = timeout(CONNECTION_LIMIT, served) => tracing::debug!(?ended, "a connection to the switches ended"),
                () = place.evicted() => {}
            }
        });
    }
}

/// A GET that changes something can be sent by any page in a browser on this machine. Browsers say so.
async fn refuse_web_pages(headers: HeaderMap, request: Request, next: Next) -> Response {
    if headers.contains_key("origin") || headers.contains_key("sec-fetch-site") {
        return (StatusCode::FORBIDDEN, "this is for programs: web pages are refused\n").into_response();
    }
    next.run(request).await
}

async fn list(State(rack): State<Rack>) -> Response {
    match rack.command(Command::List).await {
        Ok(answer) => {
            let line = |key: &KeyState| {
                let state = if key.plugged { "plugged in" } else { "unplugged" };
                Some(format!("{}: key {}, a {}, {state}\n", port_of(key)?, key.name, key.profile))
            };
            (answer.keys.iter().filter_map(line).collect::<String>() + PATHS).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

/// A switch that a path names.
enum Switch {
    Touch,
    Power,
}

async fn turn(State(rack): State<Rack>, Path((port, switch, position)): Path<(String, String, String)>) -> Response {
    let switch = match switch.as_str() {
        "touch" => Switch::Touch,
        "power" => Switch::Power,
        _ => return not_found("there is no such switch"),
    };
    let on = match position.as_str() {
        "on" => true,
        "off" => false,
        _ => return not_found("a switch is on or off"),
    };
    let keys = match rack.command(Command::List).await {
        Ok(answer) => answer.keys,
        Err(refusal) => return refused(&refusal),
    };
    let Some(key) = key_at(&port, &keys) else { return not_found("there is no key at this port") };
    let turned = match switch {
        Switch::Touch => touch(&rack, key, on).await,
        Switch::Power => power(&rack, key, on).await,
    };
    match turned {
        Ok(()) => "ok\n".into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn key_at(port: &str, keys: &[KeyState]) -> Option<KeyName> {
    port.strip_prefix("usb")?.parse::<u16>().ok()?;
    match keys {
        [only] => Some(only.name.clone()),
        keys => keys.iter().find(|key| port_of(key).as_deref() == Some(port)).map(|key| key.name.clone()),
    }
}

/// Keys that are on no USB have none.
fn port_of(key: &KeyState) -> Option<String> {
    let (_, port) = key.busid.as_deref()?.rsplit_once('-')?;
    Some(format!("usb{port}"))
}

async fn touch(rack: &Rack, key: KeyName, on: bool) -> Result<(), Refusal> {
    if on {
        rack.command(Command::Finger { key: Some(key) }).await?;
    }
    let policy = if on { TouchPolicy::Auto } else { TouchPolicy::Manual };
    rack.command(Command::TouchPolicy { policy }).await.map(drop)
}

async fn power(rack: &Rack, key: KeyName, on: bool) -> Result<(), Refusal> {
    let command = if on { Command::Plug { key } } else { Command::Unplug { key } };
    match rack.command(command).await {
        Ok(_) | Err(Refusal::Plugged(_) | Refusal::Unplugged(_)) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

fn not_found(reason: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("{reason}. {PATHS}")).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    (StatusCode::CONFLICT, format!("{refusal}\n")).into_response()
}
