//! Client extension processing: what a page's extensions become for a key, and what the page gets to see of the outputs
//! (WebAuthn Level 3 §10.1, CTAP 2.3 §12).
//!
//! An extension goes to keys that list it. Where one is only wished for, a key without it is as good as one with it.

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::CredentialDescriptor;
use keyrig_ctap::extensions::{
    CRED_BLOB, CRED_PROTECT, CredentialProtection, GetAssertionInputs, GetAssertionOutputs, HMAC_SECRET,
    HMAC_SECRET_MC, HmacSecretInput, LARGE_BLOB_KEY, MIN_PIN_LENGTH, MakeCredentialInputs, MakeCredentialOutputs,
};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Status, get_info};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::browser::{AtKeys, Browser};
use crate::channel::ChannelError;
use crate::error::{ClientError, ExtensionMisuse, Unsuitable};
use crate::json::{
    Base64Url, CreationExtensions, CreationOptions, LargeBlobSupport, PrfInputs, PrfValues, RequestExtensions,
    RequestOptions, Requirement,
};
use crate::pin_uv_auth_protocol::{PinUvAuthProtocol, SharedSecret};

/// What separates the salts of pages from all others (WebAuthn Level 3 §10.1.4).
const PRF_CONTEXT: &[u8] = b"WebAuthn PRF\0";

/// Before any key is asked: create().
pub(crate) fn check_creation(browser: Browser, extensions: &CreationExtensions) -> Result<(), ClientError> {
    // WebKit leaves it out.
    if extensions.app_id && browser != Browser::Safari {
        return Err(ExtensionMisuse::AppIdAtCreation.refusal(browser));
    }
    if extensions.prf.as_ref().is_some_and(|prf| prf.eval_by_credential.is_some()) {
        return Err(ExtensionMisuse::EvalByCredentialAtCreation.refusal(browser));
    }
    if extensions.large_blob.as_ref().is_some_and(|blob| blob.read.is_some() || blob.write.is_some()) {
        return Err(ExtensionMisuse::LargeBlobAtCreation.refusal(browser));
    }
    Ok(())
}

/// Before any key is asked: get().
pub(crate) fn check_request(browser: Browser, options: &RequestOptions) -> Result<(), ClientError> {
    let (extensions, allowed) = (&options.extensions, &options.allow_credentials);
    if let Some(by_credential) = extensions.prf.as_ref().and_then(|prf| prf.eval_by_credential.as_ref()) {
        if allowed.is_empty() && !by_credential.is_empty() {
            return Err(ExtensionMisuse::EvalByCredentialWithoutAllowList.refusal(browser));
        }
        for key in by_credential.keys() {
            let id = Base64Url::decode(key).filter(|id| !id.0.is_empty());
            if !id.is_some_and(|id| allowed.iter().any(|entry| entry.id == id.0)) {
                return Err(ExtensionMisuse::EvalByUnknownCredential(key.clone()).refusal(browser));
            }
        }
    }
    if let Some(blob) = &extensions.large_blob {
        if blob.support.is_some() {
            return Err(ExtensionMisuse::LargeBlobSupportAtRequest.refusal(browser));
        }
        if blob.read == Some(true) && blob.write.is_some() {
            return Err(ExtensionMisuse::LargeBlobReadAndWrite.refusal(browser));
        }
        if blob.write.is_some() && allowed.len() != 1 {
            return Err(ExtensionMisuse::LargeBlobWriteNeedsOneCredential.refusal(browser));
        }
    }
    Ok(())
}

fn knows(info: &get_info::Response, extension: &str) -> bool {
    info.extensions.iter().any(|listed| listed == extension)
}

fn stores_large_blobs(info: &get_info::Response) -> bool {
    knows(info, LARGE_BLOB_KEY) && info.option(OptionId::LargeBlobs) == Some(true)
}

/// Whether the page wants the new credential's secret, and the key has secrets.
pub(crate) fn wants_secret(extensions: &CreationExtensions, info: &get_info::Response) -> bool {
    (extensions.prf.is_some() || extensions.hmac_create_secret) && knows(info, HMAC_SECRET)
}

/// Whether the page wants something of the secret of a credential, and the key has secrets.
pub(crate) fn evaluates_secret(extensions: &RequestExtensions, info: &get_info::Response) -> bool {
    extensions.prf.is_some() && knows(info, HMAC_SECRET)
}

/// What a key is asked for, but for what takes a shared secret.
pub(crate) fn creation_inputs(
    browser: Browser,
    options: &CreationOptions,
    info: &get_info::Response,
    discoverable: bool,
) -> Result<MakeCredentialInputs, Unsuitable> {
    let extensions = &options.extensions;
    // A credential that is not discoverable has no large blob (CTAP 2.3 §12.3).
    let large_blob = stores_large_blobs(info) && discoverable;
    match extensions.large_blob.as_ref().and_then(|blob| blob.support) {
        Some(LargeBlobSupport::Required) if !large_blob => return Err(Unsuitable::LargeBlob),
        _ => {}
    }
    let room = info.max_cred_blob_length.unwrap_or(0);
    let fits = |blob: &Vec<u8>| u64::try_from(blob.len()).is_ok_and(|length| length <= room);
    Ok(MakeCredentialInputs {
        cred_protect: protection(browser, options, info)?,
        cred_blob: extensions.cred_blob.clone().filter(|blob| knows(info, CRED_BLOB) && fits(blob)),
        large_blob_key: (large_blob && extensions.large_blob.is_some()).then_some(true),
        min_pin_length: (extensions.min_pin_length && knows(info, MIN_PIN_LENGTH)).then_some(true),
        hmac_secret: wants_secret(extensions, info).then_some(true),
        ..MakeCredentialInputs::default()
    })
}

/// `credProtect`. Where the page asks for none, Chromium asks for the second level for what is to be discoverable, be it only
/// preferred: user names are not for everybody who finds the key; and for the third if `residentKey` is required and
/// `userVerification` only preferred, as a finder of the key could do without the latter.
fn protection(
    browser: Browser,
    options: &CreationOptions,
    info: &get_info::Response,
) -> Result<Option<CredentialProtection>, Unsuitable> {
    let selection = &options.authenticator_selection;
    let wanted = options.extensions.credential_protection_policy;
    if !knows(info, CRED_PROTECT) {
        let needed = options.extensions.enforce_credential_protection_policy
            && wanted.is_some_and(|level| level > CredentialProtection::UserVerificationOptional);
        return if needed { Err(Unsuitable::CredentialProtection) } else { Ok(None) };
    }
    let by_default = match (browser.at_keys(), selection.discoverable(), selection.user_verification) {
        (AtKeys::Firefox, ..) | (_, Requirement::Discouraged, _) => None,
        (_, Requirement::Required, Requirement::Preferred) => Some(CredentialProtection::UserVerificationRequired),
        _ => Some(CredentialProtection::UserVerificationOptionalWithCredentialIdList),
    };
    Ok(wanted.or(by_default))
}

/// The salts that a new credential is to be tried with at once, in keys that can (`hmac-secret-mc`).
pub(crate) fn creation_salts<'a>(
    extensions: &'a CreationExtensions,
    info: &get_info::Response,
) -> Option<&'a PrfValues> {
    let values = extensions.prf.as_ref()?.eval.as_ref()?;
    (knows(info, HMAC_SECRET) && knows(info, HMAC_SECRET_MC)).then_some(values)
}

/// The salts for the credential that will be used; `None` for the credential if the allow list does not say which it is.
pub(crate) fn request_salts<'a>(
    prf: &'a PrfInputs,
    info: &get_info::Response,
    credential_id: Option<&[u8]>,
) -> Option<&'a PrfValues> {
    if !knows(info, HMAC_SECRET) {
        return None;
    }
    let by_credential = prf.eval_by_credential.as_ref();
    let own = credential_id.and_then(|id| by_credential?.get(&Base64Url(id.to_vec()).to_string()));
    own.or(prf.eval.as_ref())
}

/// What a key is asked for, but for what takes a shared secret.
pub(crate) fn request_inputs(extensions: &RequestExtensions, info: &get_info::Response) -> GetAssertionInputs {
    let blob = extensions.large_blob.as_ref();
    let wants_blob = blob.is_some_and(|blob| blob.read == Some(true) || blob.write.is_some());
    GetAssertionInputs {
        cred_blob: (extensions.get_cred_blob && knows(info, CRED_BLOB)).then_some(true),
        large_blob_key: (wants_blob && stores_large_blobs(info)).then_some(true),
        ..GetAssertionInputs::default()
    }
}

/// The input of `hmac-secret` for a page's values.
pub(crate) fn hmac_secret_input(
    values: &PrfValues,
    key_agreement: KeyAgreementKey,
    secret: &SharedSecret,
) -> Result<HmacSecretInput, ChannelError> {
    let mut salts = Zeroizing::new(Vec::with_capacity(64));
    for value in [Some(&values.first), values.second.as_ref()].into_iter().flatten() {
        salts.extend(Sha256::new().chain_update(PRF_CONTEXT).chain_update(value).finalize());
    }
    let salt_enc = secret.encrypt(&salts)?;
    Ok(HmacSecretInput {
        key_agreement,
        salt_auth: secret.authenticate(&salt_enc),
        salt_enc,
        // Keys of CTAP 2.0 do not know the member, and speak protocol one.
        pin_uv_auth_protocol: (secret.protocol() != PinUvAuthProtocol::One).then(|| secret.protocol().number()),
    })
}

/// `AuthenticationExtensionsPRFValues` out of an encrypted output: 32 bytes for each salt.
fn prf_results(encrypted: &[u8], secret: &SharedSecret) -> Option<Value> {
    let outputs = secret.decrypt(encrypted)?;
    let (first, rest) = outputs.split_first_chunk::<32>()?;
    match rest.len() {
        0 => Some(json!({"first": Base64Url(first.to_vec())})),
        32 => Some(json!({"first": Base64Url(first.to_vec()), "second": Base64Url(rest.to_vec())})),
        _ => None,
    }
}

/// `clientExtensionResults` of create().
pub(crate) fn creation_results(
    extensions: &CreationExtensions,
    data: &AuthenticatorData,
    discoverable: bool,
    large_blob_key: Option<&[u8]>,
    secret: Option<&SharedSecret>,
) -> Result<Map<String, Value>, Status> {
    let outputs = data.extensions.as_deref().map(MakeCredentialOutputs::decode).transpose()?.unwrap_or_default();
    let mut results = Map::new();
    let mut put = |name: &str, value| results.insert(name.to_owned(), value);
    let has_secret = outputs.hmac_secret == Some(true);
    if extensions.app_id_exclude.is_some() {
        put("appidExclude", json!(true));
    }
    if extensions.cred_props {
        put("credProps", json!({"rk": discoverable}));
    }
    if extensions.prf.is_some() {
        let evaluated = outputs.hmac_secret_mc.as_deref().zip(secret);
        let values = evaluated.and_then(|(encrypted, secret)| prf_results(encrypted, secret));
        put(
            "prf",
            match values {
                Some(values) => json!({"enabled": has_secret, "results": values}),
                None => json!({"enabled": has_secret}),
            },
        );
    }
    if extensions.large_blob.is_some() {
        put("largeBlob", json!({"supported": large_blob_key.is_some()}));
    }
    if extensions.cred_blob.is_some() {
        put("credBlob", json!(outputs.cred_blob == Some(true)));
    }
    if extensions.hmac_create_secret {
        put("hmacCreateSecret", json!(has_secret));
    }
    Ok(results)
}

/// What became of `largeBlob` at authentication.
pub(crate) enum LargeBlobOutcome {
    /// What was read, if there was anything.
    Read(Option<Vec<u8>>),
    /// Whether it was written.
    Written(bool),
}

/// `clientExtensionResults` of get().
pub(crate) fn request_results(
    extensions: &RequestExtensions,
    data: &AuthenticatorData,
    large_blob: Option<LargeBlobOutcome>,
    secret: Option<&SharedSecret>,
) -> Result<Map<String, Value>, Status> {
    let outputs = data.extensions.as_deref().map(GetAssertionOutputs::decode).transpose()?.unwrap_or_default();
    let mut results = Map::new();
    let mut put = |name: &str, value| results.insert(name.to_owned(), value);
    if extensions.prf.is_some() {
        let evaluated = outputs.hmac_secret.as_deref().zip(secret);
        let values = evaluated.and_then(|(encrypted, secret)| prf_results(encrypted, secret));
        put("prf", values.map_or_else(|| json!({}), |values| json!({"results": values})));
    }
    match large_blob {
        Some(LargeBlobOutcome::Read(Some(blob))) => drop(put("largeBlob", json!({"blob": Base64Url(blob)}))),
        Some(LargeBlobOutcome::Read(None)) => drop(put("largeBlob", json!({}))),
        Some(LargeBlobOutcome::Written(written)) => drop(put("largeBlob", json!({"written": written}))),
        None => {}
    }
    if extensions.get_cred_blob {
        put("getCredBlob", json!(Base64Url(outputs.cred_blob.unwrap_or_default())));
    }
    Ok(results)
}

/// Whether every credential of an allow list has salts of its own to look for.
pub(crate) fn needs_to_know_the_credential(prf: Option<&PrfInputs>, allowed: &[CredentialDescriptor]) -> bool {
    let by_credential = prf.and_then(|prf| prf.eval_by_credential.as_ref());
    allowed.len() > 1 && by_credential.is_some_and(|values| !values.is_empty())
}

#[cfg(test)]
mod tests;
