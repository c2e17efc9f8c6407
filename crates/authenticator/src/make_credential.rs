//! authenticatorMakeCredential (CTAP 2.3 §6.1.2).

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData, Flags};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialDescriptor, PUBLIC_KEY, User};
use keyrig_ctap::make_credential::{Request, Response};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::credential::{Discoverable, StoredCredential, rp_id_hash};
use crate::private_key::PrivateKey;
use crate::sealing::seal;
use crate::step::{Progress, Reason, Refusals};
use crate::store::Change;
use crate::user_verification::{check_uv_option, touch_probe};

/// The longest user handle, bytes (WebAuthn Level 3 §5.4.3).
const MAX_USER_ID: usize = 64;

/// How much of a name is kept, bytes (CTAP 2.3 §6.1.2; WebAuthn Level 3 §6.4.1).
const MAX_NAME: usize = 64;

/// What the checks of a request found.
struct Checked {
    algorithm: Algorithm,
    user_verified: bool,
}

pub(crate) fn start(authenticator: &mut Authenticator, request: Request) -> Progress {
    if let Some(probe) = touch_probe(authenticator, &request.pin_uv_auth, Reason::MakeCredential) {
        return probe;
    }
    let Checked { algorithm, user_verified } = match check(authenticator, &request) {
        Ok(checked) => checked,
        Err(status) => return status.into(),
    };
    let rp_id_hash = rp_id_hash(&request.relying_party.id);
    if request.exclude_list.iter().any(|descriptor| holds(authenticator, &rp_id_hash, descriptor)) {
        // Only after a gesture: an answer without one would tell any website which keys are plugged in.
        return Progress::gesture(Reason::MakeCredential, Refusals::OF_AN_EXCLUDED, |_, _| {
            Status::CredentialExcluded.into()
        });
    }
    Progress::gesture(Reason::MakeCredential, Refusals::OF_A_CEREMONY, move |authenticator, _| {
        authenticator.consume_token();
        create(authenticator, request, rp_id_hash, algorithm, user_verified).unwrap_or_else(Progress::from)
    })
}

fn check(authenticator: &mut Authenticator, request: &Request) -> Result<Checked, Status> {
    authenticator.check_pin_uv_auth_protocol(&request.pin_uv_auth)?;
    // Step 3.
    let algorithm = request
        .parameters
        .iter()
        .filter(|parameters| parameters.kind == PUBLIC_KEY)
        .filter_map(|parameters| Algorithm::from_identifier(parameters.algorithm))
        .find(|algorithm| authenticator.profile.supports(*algorithm))
        .ok_or(Status::UnsupportedAlgorithm)?;
    // Step 5.
    check_uv_option(&request.options, &request.pin_uv_auth)?;
    if request.options.up == Some(false) {
        return Err(Status::InvalidOption);
    }
    let discoverable = request.options.rk == Some(true);
    if discoverable && authenticator.profile.option("rk") != Some(true) {
        return Err(Status::UnsupportedOption);
    }
    // Steps 6 to 8: who wants more than a touch. A new key with alwaysUv wants a PIN to be set first.
    let unverified_is_enough = if authenticator.always_uv() {
        false
    } else if authenticator.make_cred_uv_not_rqd() {
        !(discoverable && authenticator.is_protected())
    } else {
        !authenticator.is_protected()
    };
    if request.pin_uv_auth.param.is_none() && !unverified_is_enough {
        return Err(Status::PuatRequired);
    }
    // Step 9: no key here has the ep option.
    if request.enterprise_attestation.is_some() {
        return Err(Status::InvalidParameter);
    }
    if request.user.id.len() > MAX_USER_ID {
        return Err(Status::InvalidLength);
    }
    check_list(authenticator, &request.exclude_list)?;
    // Step 11.
    let user_verified = authenticator.verify_user(
        &request.pin_uv_auth,
        &request.client_data_hash,
        Permissions::MC,
        &request.relying_party.id,
    )?;
    Ok(Checked { algorithm, user_verified })
}

/// A list longer than what getInfo promises is not searched in part.
pub(crate) fn check_list(authenticator: &Authenticator, list: &[CredentialDescriptor]) -> Result<(), Status> {
    match authenticator.profile.max_credential_count_in_list {
        Some(max) if list.len() > usize::from(max) => Err(Status::LimitExceeded),
        _ => Ok(()),
    }
}

fn holds(authenticator: &Authenticator, rp_id_hash: &[u8; 32], descriptor: &CredentialDescriptor) -> bool {
    descriptor.is_public_key()
        && (authenticator.store().find(rp_id_hash, &descriptor.id).is_some()
            || authenticator.store().secret().open(rp_id_hash, &descriptor.id).is_some())
}

fn create(
    authenticator: &mut Authenticator,
    request: Request,
    rp_id_hash: [u8; 32],
    algorithm: Algorithm,
    user_verified: bool,
) -> Result<Progress, Status> {
    let (counter, counter_change) = authenticator.next_counter()?;
    let id_length = usize::from(authenticator.profile.credential_id_length);
    let mut changes = vec![counter_change];
    let (id, private_key) = if request.options.rk == Some(true) {
        let credential = discoverable(authenticator, request.relying_party.id, &rp_id_hash, request.user, algorithm)?;
        let (replaced, credential) = credential;
        changes.extend(replaced.map(Change::Remove));
        let made = (credential.id.clone(), credential.private_key.clone());
        changes.push(Change::Put(credential));
        made
    } else {
        let secret = authenticator.store().secret().clone();
        secret.make(authenticator.environment.as_mut(), &rp_id_hash, algorithm, id_length)
    };
    let client_data_hash = request.client_data_hash;
    Ok(Progress::commit(changes, move |authenticator, _| {
        let flags = Flags::UP.with_if(Flags::UV, user_verified).with_if(Flags::AT, true);
        let response = attest(authenticator, rp_id_hash, flags, counter, id, &private_key, &client_data_hash);
        Progress::Done(response.map(|response| Answer::MakeCredential(Box::new(response))))
    }))
}

/// A new discoverable credential, and the id of the one that it replaces: a relying party has at most one per user.
fn discoverable(
    authenticator: &mut Authenticator,
    relying_party_id: String,
    rp_id_hash: &[u8; 32],
    user: User,
    algorithm: Algorithm,
) -> Result<(Option<Vec<u8>>, StoredCredential), Status> {
    let store = authenticator.store();
    let same_user = |credential: &&StoredCredential| {
        credential.discoverable.as_ref().is_some_and(|discoverable| discoverable.user.id == user.id)
    };
    let replaced = store.discoverable(rp_id_hash).find(same_user).map(|credential| credential.id.clone());
    let capacity = usize::try_from(authenticator.profile.discoverable_credentials).unwrap_or(usize::MAX);
    if replaced.is_none() && store.discoverable_count() >= capacity {
        return Err(Status::KeyStoreFull);
    }
    let creation = store.next_creation();
    let environment = authenticator.environment.as_mut();
    let mut id = vec![0; usize::from(authenticator.profile.credential_id_length)];
    environment.random(&mut id);
    let private_key = PrivateKey::from_candidates(algorithm, |bytes| environment.random(bytes));
    let user = User { id: user.id, name: user.name.map(truncated), display_name: user.display_name.map(truncated) };
    let discoverable = Some(Discoverable { user, creation });
    Ok((replaced, StoredCredential { id, relying_party_id, private_key, discoverable }))
}

/// A name as far as it is kept: cut on a code point's boundary.
fn truncated(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name
}

fn attest(
    authenticator: &Authenticator,
    rp_id_hash: [u8; 32],
    flags: Flags,
    counter: u32,
    credential_id: Vec<u8>,
    private_key: &PrivateKey,
    client_data_hash: &[u8; 32],
) -> Result<Response, Status> {
    let public_key = authenticator.environment.crypto().public_key(private_key).map_err(|_| Status::OtherError)?;
    let data = AuthenticatorData {
        rp_id_hash,
        flags,
        counter,
        attested_credential_data: Some(AttestedCredentialData {
            aaguid: authenticator.profile.aaguid,
            credential_id,
            public_key: public_key.to_cose(),
        }),
        extensions: None,
    };
    let sealed = seal(authenticator, &data, client_data_hash, authenticator.attestation.private_key())?;
    Ok(Response {
        authenticator_data: sealed.authenticator_data,
        statement: Statement::Packed {
            algorithm: authenticator.attestation.private_key().algorithm().identifier(),
            signature: sealed.signature,
            certificates: vec![authenticator.attestation.certificate().to_vec()],
        },
        enterprise_attestation: None,
        large_blob_key: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_64_bytes_on_a_code_points_boundary() {
        assert_eq!(truncated("a".repeat(64)).len(), 64);
        assert_eq!(truncated("a".repeat(65)).len(), 64);
        // U+20AC is three bytes: 21 of them are 63 bytes, and the 22nd does not fit.
        assert_eq!(truncated("€".repeat(30)), "€".repeat(21));
        assert_eq!(truncated(String::new()), "");
    }
}
