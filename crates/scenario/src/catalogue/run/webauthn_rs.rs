//! What webauthn-rs says of a row: of answers, where it decides in place of the relying party, and of settings that the relying party refuses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::Browser;
use keyrig_client::channel::Cancel;
use keyrig_client::json::RequestOptions;
use keyrig_relying_party::Clock;
use keyrig_verifier::{
    AuthenticationResponse, RegistrationExpectations, RegistrationResponse, StoredRegistration, UserVerification,
    WebauthnRs, verify_registration,
};
use serde_json::Value;
use toml::Table;

use super::{Enrolled, Stage, merged, nobody};
use crate::catalogue::reading::{CHALLENGE, parsed, registration_options, rule};
use crate::catalogue::row::{Act, Detector, Outcome, Row};
use crate::catalogue::site::Broken;

/// What webauthn-rs says; `None` where it accepts an answer that somebody else refuses, or is not asked.
///
/// # Errors
/// [`Broken`].
pub async fn in_the_words_of_webauthn_rs(row: &Row) -> Result<Option<String>, Broken> {
    let policy = Table::from_iter([("policy".to_owned(), toml::Value::String("webauthn-rs".to_owned()))]);
    let site = merged(&row.site, &policy);
    let mut stage = Stage::new(row, Browser::Chromium, &site, &row.options).await?;
    if !stage.is_sound {
        return stage.judged_by_settings().await.map(Some);
    }
    let outcome = stage.carry_out().await?;
    let refused = stage.decided.map(|words| format!("webauthn-rs: {words}"));
    let is_accepted_twice = row.act == Some(Act::FinishTwice) && outcome.by == Detector::Nobody;
    Ok(refused.or_else(|| is_accepted_twice.then(|| "webauthn-rs accepts it twice".to_owned())))
}

impl Stage<'_> {
    /// At a server of webauthn-rs's with the settings as they are written: whether it takes them, and then what a page's client makes.
    async fn judged_by_settings(&mut self) -> Result<String, Broken> {
        let origin = self.written_origin()?.to_owned();
        let rp_id = self.settings.rp_id.clone();
        let server = WebauthnRs { rp_id: &rp_id, origins: &[], user_verification: UserVerification::Discouraged };
        if let Some(refusal) = server.judge_settings(&origin).refusal {
            return Ok(format!("webauthn-rs: {refusal}"));
        }
        let options = registration_options(&rp_id)?;
        let client = self.at(&self.row.visit.address)?;
        let made = client.create(&options, &mut self.keys, Cancel::never()).await;
        let made = parsed(&made.map_err(|error| Broken::new(format!("registration: {error}")))?.to_json())?;
        let response = RegistrationResponse::from_value(&made).map_err(|error| Broken::new(error.to_string()))?;
        let decision = server.judge_registration_at(&origin, &response, &CHALLENGE);
        let refused = decision.refusal.map(|refusal| format!("webauthn-rs: {refusal}"));
        Ok(refused.unwrap_or_else(|| "webauthn-rs accepts it".to_owned()))
    }

    /// webauthn-rs alone, whose caller keeps the state.
    pub(super) fn judge_twice(
        &self,
        signed: &Value,
        options: &RequestOptions,
        enrolled: &Enrolled,
    ) -> Result<Outcome, Broken> {
        let registered = RegistrationResponse::from_value(&enrolled.credential);
        let registered = registered.map_err(|error| Broken::new(error.to_string()))?;
        let origins = [rule(&self.row.visit.address)?];
        let (rp_id, now) = (&self.settings.rp_id, self.clock.now());
        // Its challenge was another one; what is kept of it is right all the same.
        let expected = RegistrationExpectations::new(&[], rp_id, &origins, &[1], now);
        let client_data: Value = parsed(&String::from_utf8_lossy(&registered.client_data_json))?;
        let challenge = client_data.get("challenge").and_then(Value::as_str).unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.decode(challenge).map_err(|error| Broken::new(error.to_string()))?;
        let expected = RegistrationExpectations { challenge: &challenge, ..expected };
        let record = verify_registration(&registered, &expected).record;
        let record = record.ok_or_else(|| Broken::new("the registration does not verify"))?;
        let judge = WebauthnRs { rp_id, origins: &origins, user_verification: UserVerification::Discouraged };
        let response = AuthenticationResponse::from_value(signed).map_err(|error| Broken::new(error.to_string()))?;
        for _ in 0..2 {
            let stored = StoredRegistration {
                client_data_json: &registered.client_data_json,
                attestation_object: &registered.attestation_object,
            };
            let decision = judge.judge_authentication(&response, &options.challenge, &record, stored);
            if let Some(refusal) = decision.refusal {
                return Ok(Outcome { by: Detector::Site, code: Some(refusal), name: None, message: None });
            }
        }
        Ok(nobody())
    }
}
