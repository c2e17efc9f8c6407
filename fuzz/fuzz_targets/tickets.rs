//! Calls of Proxmox VE's shapes: at each of them a ticket, as a cookie or as a parameter, and a body, a form or JSON.
//!
//! What must hold: no panic; an answer of their one form; nothing is done, and nothing seen but what everybody may, without the ticket that was
//! given out.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use keyrig_relying_party::{
    By, Clock, DangerSeeded, Options, PROXMOX_ROUTES, PasswordCost, PasswordHash, Policy, RelyingParty, Role, Settings,
    Store, router,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery staple";

/// What everybody may.
const OPEN: [&str; 2] = ["/access/domains", "/access/ticket"];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

/// A moment that stays.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
    }
}

struct Site {
    store: Arc<Store>,
    router: Router,
}

impl Site {
    fn new() -> Self {
        let random = Arc::new(DangerSeeded::new([1; 32]));
        let store = Arc::new(Store::in_memory().unwrap().with_randomness(random.clone()));
        for (name, role) in [("root@pam", Role::Administrator), ("alice@pve", Role::User)] {
            let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &*random).unwrap();
            store.add_user(&name.parse().unwrap(), role, &hash, &By::command_line(Standing.now())).unwrap();
        }
        let policy = Policy::built_in("proxmox-9").unwrap();
        let settings = Settings { policy, ..Settings::new("pve.example.com", "https://pve.example.com:8006") };
        let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store.clone()) };
        let relying_party = RelyingParty::new(Ok(settings), options, Arc::new(Standing));
        Self { store, router: router(Arc::new(relying_party)) }
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (status, media_type) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
        assert_eq!(media_type, Some(HeaderValue::from_static("application/json;charset=UTF-8")), "{status}");
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(body.get("data").is_some(), "{body}");
        (status, body)
    }

    /// A ticket, and the token beside it.
    async fn log_in(&self) -> (String, String) {
        let request = Request::post("/api2/json/access/ticket").header(header::CONTENT_TYPE, "application/json");
        let body = format!("{{\"username\":\"root@pam\",\"password\":\"{PASSWORD}\"}}");
        let (_, answer) = self.call(request.body(Body::from(body)).unwrap()).await;
        let text = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        (text("ticket"), text("CSRFPreventionToken"))
    }

    fn users(&self) -> String {
        format!("{:?}", self.store.users_with_factors().unwrap())
    }
}

/// A ticket with one character changed, or cut, as two bytes say.
fn changed(ticket: &str, at: u8, to: u8) -> String {
    let mut bytes = ticket.as_bytes().to_vec();
    let at = usize::from(at) % bytes.len();
    if to == b'\n' {
        bytes.truncate(at);
    } else {
        bytes[at] = if bytes[at] == to & 0x7f { bytes[at] ^ 1 } else { to & 0x7f };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fuzz_target!(|data: &[u8]| {
    let [which, how, at, to, rest @ ..] = data else { return };
    let (method, path) = PROXMOX_ROUTES[usize::from(*which) % PROXMOX_ROUTES.len()];
    let (text, body) = rest.iter().position(|byte| *byte == b'\n').map_or((rest, &[][..]), |line| {
        let (text, body) = rest.split_at(line);
        (text, &body[1..])
    });
    RUNTIME.block_on(async {
        let site = Site::new();
        let (ticket, csrf) = site.log_in().await;
        let is_given_out = how % 4 == 1;
        if is_given_out && (method, path) == ("POST", "/access/domains") {
            // A directory would be asked, wherever that is.
            return;
        }
        let cookie = match how % 4 {
            0 => String::from_utf8_lossy(text).into_owned(),
            1 => ticket.clone(),
            2 => changed(&ticket, *at, *to),
            _ => format!("PVE:!tfa!{}", String::from_utf8_lossy(text)),
        };
        let path_of = path.replace("{userid}", "root@pam").replace("{id}", "AAAA").replace("{tokenid}", "ci");
        let face = if how & 0x40 == 0 { "json" } else { "extjs" };
        let mut request = Request::builder().method(method).uri(format!("/api2/{face}{path_of}"));
        let Ok(cookie) = HeaderValue::from_str(&format!("PVEAuthCookie={cookie}")) else { return };
        request = request.header(header::COOKIE, cookie).header("csrfpreventiontoken", csrf);
        match how >> 2 & 3 {
            0 => request = request.header(header::CONTENT_TYPE, "application/json"),
            1 => request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            2 => request = request.header(header::CONTENT_TYPE, "application/json; charset=utf-8"),
            _ => {}
        }
        // The ticket as a parameter, too.
        let body = match how >> 4 & 3 {
            0 => body.to_vec(),
            1 => [b"username=root%40pam&password=".as_slice(), text].concat(),
            2 => [b"username=root%40pam&password=totp%3A123456&tfa-challenge=".as_slice(), text].concat(),
            _ => [br#"{"username":"root@pam","password":"x","#.as_slice(), body, b"}"].concat(),
        };
        let before = site.users();
        let (status, answer) = site.call(request.body(Body::from(body)).unwrap()).await;
        if is_given_out {
            return;
        }
        assert_eq!(site.users(), before, "{method} {path}");
        if !OPEN.contains(&path) {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}: {answer}");
        }
        if path == "/access/ticket" {
            assert!(answer["data"].get("ticket").is_none(), "{answer}");
        }
    });
});
