//! A server with a hole, which no relying party here has: a second factor that its settings cannot serve is not asked for, as with Proxmox
//! VE before proxmox-tfa 6.0.5. What its settings serve webauthn-rs says, as it does there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use keyrig_verifier::{UserVerification, WebauthnRs};
use serde_json::{Value, json};

/// The server, and its one user.
pub(super) struct Dropping {
    pub(super) rp_id: String,
    /// As it is written in the settings.
    pub(super) origin: String,
    pub(super) user: String,
    pub(super) password: String,
    /// The credential that the user enrolled, if one was.
    pub(super) credential: Option<String>,
}

impl Dropping {
    /// What a page asks of it.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/api/login", post(log_in))
            .route("/api/session/confirm", post(async || Json(json!({}))))
            .with_state(Arc::new(self))
    }

    /// What is asked of the key; `None` if the settings are none that webauthn-rs takes.
    fn challenge(&self, credential: &str) -> Option<Value> {
        let server = WebauthnRs { rp_id: &self.rp_id, origins: &[], user_verification: UserVerification::Discouraged };
        server.judge_settings(&self.origin).accepts.then(|| {
            json!({
                "challenge": "AAAAAAAAAAAAAAAAAAAAAA",
                "rpId": self.rp_id,
                "allowCredentials": [{ "type": "public-key", "id": credential }],
            })
        })
    }
}

async fn log_in(State(server): State<Arc<Dropping>>, Json(request): Json<Value>) -> (StatusCode, Json<Value>) {
    if request != json!({ "user": server.user, "password": server.password }) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "code": "wrong_password" })));
    }
    // The hole: that there is no challenge is taken for that there is no factor.
    let challenge = server.credential.as_deref().and_then(|credential| server.challenge(credential));
    let answer = match challenge {
        Some(options) => json!({ "state": "second_factor", "factors": { "webauthn": options } }),
        None => json!({ "state": "logged_in" }),
    };
    (StatusCode::OK, Json(answer))
}

#[cfg(test)]
mod tests {
    use super::super::site::Site;
    use super::*;

    async fn state(rp_id: &str, password: &str) -> Result<Value, String> {
        let server = Dropping {
            rp_id: rp_id.to_owned(),
            origin: "https://login.example.com".to_owned(),
            user: "alice@pve".to_owned(),
            password: "right".to_owned(),
            credential: Some("AAAA".to_owned()),
        };
        let mut site = Site::new(server.router(), "login.example.com");
        let answer = site.log_in("alice@pve", password).await.unwrap();
        answer.map(|mut answer| answer["state"].take()).map_err(|refused| refused.code)
    }

    /// It is no server without second factors: only settings that do not work open it.
    #[tokio::test]
    async fn it_asks_for_the_key_while_its_settings_are_sound() {
        assert_eq!(state("login.example.com", "right").await, Ok(json!("second_factor")));
        for rp_id in ["https://login.example.com", "login.example.com:8006", "example.org", "192.0.2.1"] {
            assert_eq!(state(rp_id, "right").await, Ok(json!("logged_in")), "{rp_id}");
            assert_eq!(state(rp_id, "wrong").await, Err("wrong_password".to_owned()), "{rp_id}");
        }
    }
}
