//! A program that was written for Proxmox VE: it has a ticket, the token beside it, or an API token.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use hyper::ext::ReasonPhrase;
use keyrig_relying_party::{Role, Totp};
use serde_json::Value;
use tower::ServiceExt;
use url::form_urlencoded::Serializer;

use crate::rig::{HOST, PASSWORD, Rig};

/// A program with a ticket or an API token.
#[derive(Clone, Default)]
pub(crate) struct Program {
    pub(crate) ticket: Option<String>,
    pub(crate) csrf: Option<String>,
    pub(crate) token: Option<String>,
}

/// An answer: status, reason phrase, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
    pub(crate) body: Value,
}

impl Answer {
    /// What was asked for.
    #[track_caller]
    pub(crate) fn data(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.body["data"].clone()
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason.as_str()), (status, reason), "{}", self.body);
        assert_eq!(self.body["data"], Value::Null);
    }
}

impl Program {
    pub(crate) async fn raw(
        &self,
        rig: &Rig,
        method: &str,
        path: &str,
        media_type: Option<&str>,
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if let Some(ticket) = &self.ticket {
            request = request.header(header::COOKIE, format!("PVEAuthCookie={ticket}"));
        }
        if let Some(csrf) = &self.csrf {
            request = request.header("CSRFPreventionToken", csrf);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("PVEAPIToken={token}"));
        }
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let response = rig.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json;charset=UTF-8", "{path}");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let status = response.status();
        let phrase = response.extensions().get::<ReasonPhrase>();
        let reason = phrase.map_or(String::new(), |phrase| String::from_utf8(phrase.as_bytes().to_vec()).unwrap());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, reason, body: serde_json::from_slice(&body).unwrap() }
    }

    pub(crate) async fn call(&self, rig: &Rig, method: &str, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let form = Serializer::new(String::new()).extend_pairs(parameters).finish();
        let path = format!("/api2/json{path}");
        if ["GET", "DELETE"].contains(&method) && !form.is_empty() {
            return self.raw(rig, method, &format!("{path}?{form}"), None, String::new()).await;
        }
        let media_type = (!form.is_empty()).then_some("application/x-www-form-urlencoded");
        self.raw(rig, method, &path, media_type, form).await
    }

    pub(crate) async fn get(&self, rig: &Rig, path: &str) -> Value {
        self.call(rig, "GET", path, &[]).await.data()
    }

    pub(crate) fn of(data: &Value) -> Self {
        let text = |name: &str| Some(data[name].as_str().unwrap().to_owned());
        Self { ticket: text("ticket"), csrf: text("CSRFPreventionToken"), token: None }
    }
}

pub(crate) async fn log_in(rig: &Rig, parameters: &[(&str, &str)]) -> Answer {
    Program::default().call(rig, "POST", "/access/ticket", parameters).await
}

pub(crate) async fn ticket(rig: &Rig, user: &str) -> Program {
    Program::of(&log_in(rig, &[("username", user), ("password", PASSWORD)]).await.data())
}

/// A site as Proxmox VE 9 would be, with `root@pam`, `auditor@pve` and `alice@pve`.
pub(crate) fn site() -> Rig {
    let rig = Rig::with_policy("proxmox-9");
    rig.add_user("root@pam", Role::Administrator);
    rig.add_user("auditor@pve", Role::Auditor);
    rig.add_user("alice@pve", Role::User);
    rig
}

/// An otpauth URI and what an app then has.
pub(crate) fn app() -> (String, Totp) {
    let uri =
        "otpauth://totp/cluster:alice%40pve?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=cluster&digits=6&period=30";
    (uri.to_owned(), Totp::from_uri(uri).unwrap())
}

pub(crate) async fn enrol_totp(rig: &Rig, program: &Program, user: &str) -> Totp {
    let (uri, totp) = app();
    let code = totp.code(rig.now());
    let parameters =
        [("type", "totp"), ("description", "app"), ("totp", uri.as_str()), ("value", &code), ("password", PASSWORD)];
    let added = program.call(rig, "POST", &format!("/access/tfa/{user}"), &parameters).await.data();
    assert!(added["id"].is_string(), "{added}");
    rig.clock.advance(Duration::from_secs(30));
    totp
}
