//! webauthn-rs's verdict on a ceremony that was begun here, for policies that let it decide.
//!
//! webauthn-rs picks its challenges itself and has its caller keep a state. Here a ceremony of its own is begun, its state
//! gets the challenge that the client answered, and is finished at once. A credential is what the stored registration makes
//! of it, with the counter and the backup state that the record has by now.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    Credential, Passkey, PublicKeyCredential, RegisterPublicKeyCredential, SecurityKey, Url, Uuid, Webauthn,
    WebauthnBuilder, WebauthnError,
};

use crate::credential::{AuthenticationResponse, RegistrationResponse};
use crate::expectations::CredentialRecord;
use crate::origin::OriginRule;
use crate::report::Decision;

/// A relying party as webauthn-rs sees it.
#[derive(Clone, Copy, Debug)]
pub struct WebauthnRs<'a> {
    /// The RP ID.
    pub rp_id: &'a str,
    /// The origins that are allowed. Subdomains and ports are allowed for all of them or for none.
    pub origins: &'a [OriginRule],
    /// What is asked of user verification.
    pub user_verification: UserVerification,
}

/// What is asked of user verification, and as what webauthn-rs judges a credential then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserVerification {
    /// It has to be: a `Passkey`.
    Required,
    /// If it can be: a `SecurityKey`. One that was registered with it logs in with it only.
    Preferred,
    /// Rather not: a `SecurityKey` by user presence alone, as Proxmox VE has it.
    Discouraged,
}

/// A registration as it was stored: what webauthn-rs makes a credential of.
#[derive(Clone, Copy, Debug)]
pub struct StoredRegistration<'a> {
    /// clientDataJSON, as bytes.
    pub client_data_json: &'a [u8],
    /// The attestation object.
    pub attestation_object: &'a [u8],
}

impl WebauthnRs<'_> {
    /// Whether webauthn-rs accepts a registration. What it could not be asked about is refused.
    #[must_use]
    pub fn judge_registration(&self, response: &RegistrationResponse, challenge: &[u8]) -> Decision {
        decision(self.webauthn().and_then(|webauthn| self.try_registration(&webauthn, response, challenge)))
    }

    /// The same at a server whose one origin is this text, as somebody wrote it into its settings; [`origins`](Self::origins) do not count.
    #[must_use]
    pub fn judge_registration_at(&self, origin: &str, response: &RegistrationResponse, challenge: &[u8]) -> Decision {
        let webauthn = self.webauthn_at(origin);
        decision(webauthn.and_then(|webauthn| self.try_registration(&webauthn, response, challenge)))
    }

    /// Whether webauthn-rs takes settings at all: its RP ID, with this text for an origin.
    #[must_use]
    pub fn judge_settings(&self, origin: &str) -> Decision {
        decision(self.webauthn_at(origin).map(|_| ()))
    }

    fn try_registration(
        &self,
        webauthn: &Webauthn,
        response: &RegistrationResponse,
        challenge: &[u8],
    ) -> Result<(), String> {
        let credential = json!({
            "id": response.id,
            "rawId": URL_SAFE_NO_PAD.encode(&response.raw_id),
            "type": response.credential_type,
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&response.client_data_json),
                "attestationObject": URL_SAFE_NO_PAD.encode(&response.attestation_object),
                "transports": response.transports,
            },
            "clientExtensionResults": response.client_extension_results,
        });
        self.register(webauthn, credential, challenge).map(|_| ())
    }

    /// Whether webauthn-rs accepts an authentication with a credential of which this is the record. One whose registration
    /// it does not take, as with EdDSA, is refused.
    #[must_use]
    pub fn judge_authentication(
        &self,
        response: &AuthenticationResponse,
        challenge: &[u8],
        record: &CredentialRecord,
        registration: StoredRegistration<'_>,
    ) -> Decision {
        decision(self.try_authentication(response, challenge, record, registration))
    }

    fn try_authentication(
        &self,
        response: &AuthenticationResponse,
        challenge: &[u8],
        record: &CredentialRecord,
        registration: StoredRegistration<'_>,
    ) -> Result<(), String> {
        let credential = self
            .credential(record, registration)
            .map_err(|error| format!("webauthn-rs does not take the registration of this credential: {error}"))?;
        let response = json!({
            "id": response.id,
            "rawId": URL_SAFE_NO_PAD.encode(&response.raw_id),
            "type": response.credential_type,
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&response.client_data_json),
                "authenticatorData": URL_SAFE_NO_PAD.encode(&response.authenticator_data),
                "signature": URL_SAFE_NO_PAD.encode(&response.signature),
                "userHandle": response.user_handle.as_ref().map(|handle| URL_SAFE_NO_PAD.encode(handle)),
            },
            "clientExtensionResults": response.client_extension_results,
        });
        let response: PublicKeyCredential = read(response)?;
        let webauthn = self.webauthn()?;
        if self.user_verification == UserVerification::Required {
            let (options, state) =
                webauthn.start_passkey_authentication(&[Passkey::from(credential)]).map_err(words)?;
            let state = with_challenge(&state, options.public_key.challenge.as_ref(), challenge)?;
            webauthn.finish_passkey_authentication(&response, &state).map_err(words)?;
        } else {
            let (options, state) =
                webauthn.start_securitykey_authentication(&[SecurityKey::from(credential)]).map_err(words)?;
            let state = with_challenge(&state, options.public_key.challenge.as_ref(), challenge)?;
            webauthn.finish_securitykey_authentication(&response, &state).map_err(words)?;
        }
        Ok(())
    }

    fn webauthn(&self) -> Result<Webauthn, String> {
        self.with_origins(self.origins.iter().map(OriginRule::origin))
    }

    /// With the rules' subdomains and ports off, which no rule is there for.
    fn webauthn_at(&self, origin: &str) -> Result<Webauthn, String> {
        WebauthnRs { origins: &[], ..*self }.with_origins([origin])
    }

    fn with_origins<'a>(&self, origins: impl IntoIterator<Item = &'a str>) -> Result<Webauthn, String> {
        let origins = origins.into_iter().map(|origin| Url::parse(origin).map_err(|error| format!("{error:?}")));
        let origins: Vec<_> = origins.collect::<Result<_, _>>()?;
        let (first, others) = origins.split_first().ok_or("no origin is allowed")?;
        let builder = WebauthnBuilder::new(self.rp_id, first)
            .map_err(words)?
            .danger_set_user_presence_only_security_keys(self.user_verification == UserVerification::Discouraged)
            .allow_subdomains(self.origins.iter().any(OriginRule::allows_subdomains))
            .allow_any_port(self.origins.iter().any(OriginRule::allows_any_port));
        others.iter().fold(builder, WebauthnBuilder::append_allowed_origin).build().map_err(words)
    }

    fn register(&self, webauthn: &Webauthn, credential: Value, challenge: &[u8]) -> Result<Credential, String> {
        // Who the user is has no part in the verification.
        let (user, name) = (Uuid::nil(), "user");
        let credential: RegisterPublicKeyCredential = read(credential)?;
        if self.user_verification == UserVerification::Required {
            let (options, state) = webauthn.start_passkey_registration(user, name, name, None).map_err(words)?;
            let state = with_challenge(&state, options.public_key.challenge.as_ref(), challenge)?;
            webauthn.finish_passkey_registration(&credential, &state).map(Credential::from).map_err(words)
        } else {
            let (options, state) =
                webauthn.start_securitykey_registration(user, name, name, None, None, None).map_err(words)?;
            let state = with_challenge(&state, options.public_key.challenge.as_ref(), challenge)?;
            webauthn.finish_securitykey_registration(&credential, &state).map(Credential::from).map_err(words)
        }
    }

    /// What webauthn-rs makes of the registration, wherever it came from, brought up to date.
    fn credential(&self, record: &CredentialRecord, stored: StoredRegistration<'_>) -> Result<Credential, String> {
        let client_data: Value = serde_json::from_slice(stored.client_data_json).map_err(|error| error.to_string())?;
        let member = |name: &str| client_data.get(name).and_then(Value::as_str).ok_or(format!("no {name}"));
        let challenge = URL_SAFE_NO_PAD.decode(member("challenge")?).map_err(|error| error.to_string())?;
        let origins = [OriginRule::exact(member("origin")?).map_err(|error| error.to_string())?];
        let then = WebauthnRs { origins: &origins, ..*self };
        let id = URL_SAFE_NO_PAD.encode(&record.id);
        let response = json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(stored.client_data_json),
                "attestationObject": URL_SAFE_NO_PAD.encode(stored.attestation_object),
            },
            "clientExtensionResults": {},
        });
        let mut credential = then.register(&then.webauthn()?, response, &challenge)?;
        credential.counter = record.sign_count;
        credential.backup_state = record.backup_state;
        Ok(credential)
    }
}

fn decision(verdict: Result<(), String>) -> Decision {
    Decision { verifier: "webauthn-rs", accepts: verdict.is_ok(), refusal: verdict.err() }
}

/// A state that expects another challenge than the one that webauthn-rs picked.
fn with_challenge<S: Serialize + DeserializeOwned>(state: &S, picked: &[u8], challenge: &[u8]) -> Result<S, String> {
    let mut state = serde_json::to_value(state).map_err(|error| error.to_string())?;
    if replace(&mut state, &forms(picked), &forms(challenge)) == 0 {
        return Err("webauthn-rs keeps its challenge in a form that is not known here".to_owned());
    }
    read(state)
}

/// Bytes in the forms that they have in JSON.
fn forms(bytes: &[u8]) -> [Value; 2] {
    [json!(URL_SAFE_NO_PAD.encode(bytes)), json!(bytes)]
}

/// Replaces every value that is one of the first by its counterpart, and says how often.
fn replace(value: &mut Value, from: &[Value; 2], to: &[Value; 2]) -> usize {
    if let Some((_, to)) = from.iter().zip(to).find(|(from, _)| *from == value) {
        value.clone_from(to);
        return 1;
    }
    match value {
        Value::Object(members) => members.values_mut().map(|member| replace(member, from, to)).sum(),
        Value::Array(elements) => elements.iter_mut().map(|element| replace(element, from, to)).sum(),
        _ => 0,
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn words(error: WebauthnError) -> String {
    format!("{error:?}")
}
