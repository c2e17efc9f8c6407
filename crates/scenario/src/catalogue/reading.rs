//! What a page reads of answers, and the options of a site that does not look at its settings.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Browser, ClientError};
use keyrig_verifier::OriginRule;
use serde_json::{Value, json};

use super::site::{Broken, Refused};

/// A challenge of a page without a relying party.
pub(super) const CHALLENGE: [u8; 32] = [0x5c; 32];

/// RFC 7396: what is in `patch` replaces what is in `target`; null takes away.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(into) = target else { return };
    for (name, value) in members {
        if value.is_null() {
            into.remove(name);
        } else {
            merge(into.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

pub(super) fn accepted(what: &str, answer: Result<Value, Refused>) -> Result<Value, Broken> {
    answer.map_err(|refused| Broken::new(format!("{what}: the site refuses ({})", refused.code)))
}

pub(super) fn parsed(text: &str) -> Result<Value, Broken> {
    serde_json::from_str(text).map_err(|error| Broken::new(error.to_string()))
}

pub(super) fn public_key(begun: &Value) -> Result<&Value, Broken> {
    begun.pointer("/options/publicKey").ok_or_else(|| Broken::new(format!("there are no options: {begun}")))
}

/// A login's secret, and the ceremony that ends it.
pub(super) fn second_factor(begun: &Value) -> Result<(&Value, &Value), Broken> {
    let missing = || Broken::new(format!("no security key is asked for: {begun}"));
    let login = begun.get("login").ok_or_else(missing)?;
    let ceremony = begun.pointer("/factors/webauthn").filter(|ceremony| ceremony.is_object()).ok_or_else(missing)?;
    Ok((login, ceremony))
}

pub(super) fn id_of(credential: &Value) -> Result<String, Broken> {
    let id = credential.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| Broken::new("the credential has no id"))
}

pub(super) fn rule(address: &str) -> Result<OriginRule, Broken> {
    OriginRule::exact(address).map_err(|error| Broken::new(error.to_string()))
}

pub(super) fn creation(options: &Value, browser: Browser) -> Result<CreationOptions, ClientError> {
    Ok(CreationOptions::from_value_in(options, browser)?)
}

pub(super) fn request(options: &Value, browser: Browser) -> Result<RequestOptions, ClientError> {
    Ok(RequestOptions::from_value_in(options, browser)?)
}

/// Of a site that does not look at its settings.
pub(super) fn registration_options(rp_id: &str) -> Result<CreationOptions, Broken> {
    let options = json!({
        "rp": { "id": rp_id, "name": "site" },
        "user": { "id": "AQ", "name": "alice", "displayName": "Alice" },
        "challenge": URL_SAFE_NO_PAD.encode(CHALLENGE),
        "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }],
        "authenticatorSelection": { "userVerification": "discouraged" },
    });
    creation(&options, Browser::default()).map_err(|error| Broken::new(error.to_string()))
}
