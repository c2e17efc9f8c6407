//! authenticatorGetInfo (CTAP 2.3 §6.4).

use aes::Aes128;
use aes::cipher::{Block, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use keyrig_ctap::Response;
use keyrig_ctap::get_info::OptionId;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::authenticator::Authenticator;
use crate::pin_uv_auth_token::PersistentPinUvAuthToken;
use crate::progress::Progress;
use crate::store::Change;

const BLOCK: usize = 16;

pub(crate) fn start(authenticator: &mut Authenticator) -> Progress {
    let missing = missing(authenticator);
    if missing.is_empty() {
        return answer(authenticator);
    }
    Progress::commit(missing, |authenticator, _| answer(authenticator))
}

/// What encIdentifier and encCredStoreState need, and a store of an earlier version has not: it is made as it is first asked for.
fn missing(authenticator: &mut Authenticator) -> Vec<Change> {
    let mut missing = Vec::new();
    if authenticator.profile.option(OptionId::PerCredMgmtRo) == Some(true) {
        let (token, state) = (
            authenticator.store().persistent_token().is_some(),
            authenticator.store().credential_store_state().is_some(),
        );
        let environment = authenticator.environment.as_mut();
        if !token {
            missing.push(Change::PersistentPinUvAuthToken(PersistentPinUvAuthToken::generate(environment)));
        }
        if !state {
            missing.push(Change::new_credential_store_state(environment));
        }
    }
    missing
}

fn answer(authenticator: &mut Authenticator) -> Progress {
    let mut info = authenticator.profile.info();
    let configuration = authenticator.store().configuration();
    // What the profile says is that of a new key.
    for (name, value) in &mut info.options {
        match OptionId::from_name(name) {
            Some(OptionId::AlwaysUv) => *value = authenticator.always_uv(),
            Some(OptionId::Ep) => *value = authenticator.enterprise_attestation(),
            Some(OptionId::Uv) => *value = authenticator.built_in_uv() == Some(true),
            Some(OptionId::BioEnroll | OptionId::UserVerificationMgmtPreview) => {
                *value = authenticator.store().fingerprints().len() > 0;
            }
            Some(OptionId::ClientPin) => *value = authenticator.store().pin().is_some(),
            Some(OptionId::MakeCredUvNotRqd) => *value = authenticator.make_cred_uv_not_rqd(),
            _ => {}
        }
    }
    // U2F cannot verify a user (CTAP 2.3 §7.2.4).
    if authenticator.always_uv() {
        info.versions.retain(|version| version != keyrig_ctap::u2f::VERSION);
    }
    info.remaining_discoverable_credentials =
        info.remaining_discoverable_credentials.map(|_| authenticator.remaining_discoverable_credentials());
    info.long_touch_for_reset = info.long_touch_for_reset.map(|_| configuration.long_touch_for_reset);
    info.pin_complexity_policy = info.pin_complexity_policy.map(|_| authenticator.pin_policy().complexity);
    info.force_pin_change = info.force_pin_change.map(|_| configuration.force_pin_change);
    let attempts = authenticator.store().uv_attempts();
    info.uv_count_since_last_pin_entry = info.uv_count_since_last_pin_entry.map(|_| attempts.since_pin_entry.into());
    info.min_pin_length = info.min_pin_length.map(|_| authenticator.min_pin_length().into());
    if authenticator.profile.option(OptionId::PerCredMgmtRo) == Some(true)
        && let Some(token) = authenticator.store().persistent_token().cloned()
        && let Some(state) = authenticator.store().credential_store_state()
    {
        let identifier = authenticator.store().secret().device_identifier();
        info.enc_identifier = Some(encrypt(authenticator, &token, b"encIdentifier", identifier));
        info.enc_cred_store_state = Some(encrypt(authenticator, &token, b"encCredStoreState", state));
    }
    Progress::Done(Ok(Response::GetInfo(Box::new(info))))
}

/// Encrypts a member for holders of the persistentPinUvAuthToken: an initialization vector, and a block under AES-128-CBC with a
/// key that HKDF derives from the token (§6.4, encIdentifier and encCredStoreState).
fn encrypt(
    authenticator: &mut Authenticator,
    token: &PersistentPinUvAuthToken,
    member: &[u8],
    plaintext: [u8; BLOCK],
) -> Vec<u8> {
    let mut key = Zeroizing::new([0; 16]);
    let hkdf = Hkdf::<Sha256>::new(Some(&[0; 32]), &token.0);
    hkdf.expand(member, key.as_mut_slice()).expect("HKDF yields 16 bytes");
    let mut iv = [0; BLOCK];
    authenticator.environment.random(&mut iv);
    let mut block = Block::<Aes128>::from(plaintext);
    cbc::Encryptor::<Aes128>::new(&(*key).into(), &iv.into()).encrypt_block(&mut block);
    [iv, block.into()].concat()
}
