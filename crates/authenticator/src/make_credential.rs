//! authenticatorMakeCredential (CTAP 2.3 §6.1.2).

use core::time::Duration;

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData, Flags};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{CredentialDescriptor, User};
use keyrig_ctap::extensions::{CredentialProtection, MakeCredentialInputs, MakeCredentialOutputs};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::make_credential::{Request, Response};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::authorization::User as Known;
use crate::ceremony::{after_built_in_uv, check_list, check_uv_option, touch_probe};
use crate::credential::{Discoverable, MAX_USER_ID, Properties, StoredCredential, rp_id_hash};
use crate::environment::Sealed;
use crate::hmac_secret::Salts;
use crate::presence::Reason;
use crate::private_key::PrivateKey;
use crate::profile::{Behaviour, StoredIdLength};
use crate::progress::{Progress, Refusals};
use crate::sealing::seal;
use crate::store::Change;

/// A request that was found good, and what was found in it.
struct Checked {
    request: Request,
    rp_id_hash: [u8; 32],
    algorithm: Algorithm,
    user_verified: bool,
    inputs: MakeCredentialInputs,
    salts: Option<Salts>,
}

/// A credential that was made, and what is still to be said of it.
struct Made {
    id: Vec<u8>,
    private_key: PrivateKey,
    outputs: MakeCredentialOutputs,
    large_blob_key: Option<Vec<u8>>,
}

pub(crate) fn start(authenticator: &mut Authenticator, request: Request, now: Duration) -> Progress {
    if let Some(probe) = touch_probe(authenticator, &request.pin_uv_auth, Reason::MakeCredential) {
        return probe;
    }
    prepare(authenticator, request, now).unwrap_or_else(Progress::from)
}

/// Steps 2 to 11.
fn prepare(authenticator: &mut Authenticator, request: Request, now: Duration) -> Result<Progress, Status> {
    let (algorithm, built_in_uv) = check(authenticator, &request)?;
    let known = authenticator.known_extensions(request.extensions.as_ref());
    let inputs = known.as_ref().map(MakeCredentialInputs::decode).transpose()?.unwrap_or_default();
    // Step 11.
    if built_in_uv {
        return Ok(after_built_in_uv(authenticator, Reason::MakeCredential, move |authenticator| {
            go_on(authenticator, request, algorithm, inputs, Known::KNOWN)
        }));
    }
    let (rp_id, hash) = (&request.relying_party.id, &request.client_data_hash);
    let user = authenticator.verify_user(&request.pin_uv_auth, hash, Permissions::MC, rp_id, now)?;
    go_on(authenticator, request, algorithm, inputs, user)
}

/// Step 12, and of the extensions what can be refused: nobody is asked to touch a key that will refuse.
fn go_on(
    authenticator: &mut Authenticator,
    request: Request,
    algorithm: Algorithm,
    inputs: MakeCredentialInputs,
    user: Known,
) -> Result<Progress, Status> {
    let user_verified = user.is_verified;
    let rp_id_hash = rp_id_hash(&request.relying_party.id);
    if request.exclude_list.iter().any(|descriptor| excludes(authenticator, &rp_id_hash, descriptor, user_verified)) {
        if user.is_present {
            authenticator.consume_token();
            return Err(Status::CredentialExcluded);
        }
        // Only after a gesture: an answer without one would tell any website which keys are plugged in.
        return Ok(Progress::gesture(Reason::MakeCredential, Refusals::OF_AN_EXCLUDED, |_, _| {
            Status::CredentialExcluded.into()
        }));
    }
    // §12.3: the key belongs to a discoverable credential.
    if inputs.large_blob_key.is_some_and(|wanted| !wanted || request.options.rk != Some(true)) {
        return Err(Status::InvalidOption);
    }
    // §12.8: there is no hmac-secret-mc without hmac-secret.
    let salts = inputs.hmac_secret_mc.as_ref().filter(|_| inputs.hmac_secret == Some(true));
    let salts = salts.map(|input| authenticator.open_salts(input)).transpose()?;
    if authenticator.profile.behaviour.full_at_once && request.options.rk == Some(true) {
        room(authenticator, &rp_id_hash, &request.user)?;
    }
    let checked = Checked { request, rp_id_hash, algorithm, user_verified, inputs, salts };
    // Step 14.
    let touched = move |authenticator: &mut Authenticator| {
        authenticator.consume_token();
        create(authenticator, checked).unwrap_or_else(Progress::from)
    };
    if user.is_present {
        return Ok(touched(authenticator));
    }
    let refusals = Refusals::of_a_ceremony(authenticator);
    Ok(Progress::gesture(Reason::MakeCredential, refusals, |authenticator, _| touched(authenticator)))
}

/// Steps 2 to 9: the algorithm of the credential, and whether built-in user verification is performed.
fn check(authenticator: &Authenticator, request: &Request) -> Result<(Algorithm, bool), Status> {
    authenticator.check_pin_uv_auth_protocol(&request.pin_uv_auth)?;
    let behaviour = &authenticator.profile.behaviour;
    if let Some(status) = behaviour.protocol_without_param_status
        && authenticator.is_protected()
        && request.pin_uv_auth.param.is_none()
        && request.pin_uv_auth.protocol.is_some()
    {
        return Err(status);
    }
    // Step 3.
    if let Some(status) = behaviour.unknown_algorithm_status
        && request.parameters.iter().any(|parameters| !authenticator.profile.knows(parameters))
    {
        return Err(status);
    }
    let algorithm = request
        .parameters
        .iter()
        .filter(|parameters| authenticator.profile.knows(parameters))
        .find_map(|parameters| Algorithm::from_identifier(parameters.algorithm))
        .ok_or(Status::UnsupportedAlgorithm)?;
    // Step 5.
    let uv = check_uv_option(authenticator, &request.options, &request.pin_uv_auth)?;
    if request.options.up == Some(false) {
        return Err(Status::InvalidOption);
    }
    let discoverable = request.options.rk == Some(true);
    if discoverable && authenticator.profile.option(OptionId::Rk) != Some(true) {
        return Err(Status::UnsupportedOption);
    }
    // Step 6.
    let built_in_uv = authenticator.check_always_uv(&request.pin_uv_auth)? || uv;
    // Steps 7 and 8.
    let touch_is_enough = !authenticator.is_protected() || !discoverable && authenticator.make_cred_uv_not_rqd();
    if request.pin_uv_auth.param.is_none() && !built_in_uv && !touch_is_enough {
        return Err(authenticator.uv_required());
    }
    // Step 9.
    match request.enterprise_attestation {
        Some(_) if !authenticator.enterprise_attestation() => return Err(Status::InvalidParameter),
        None | Some(1 | 2) => {}
        Some(_) => return Err(Status::InvalidOption),
    }
    if request.user.id.len() > MAX_USER_ID {
        return Err(Status::InvalidLength);
    }
    check_user(behaviour, &request.user)?;
    check_list(authenticator, &request.exclude_list)?;
    Ok((algorithm, built_in_uv))
}

/// What some keys do not take of an account.
fn check_user(behaviour: &Behaviour, user: &User) -> Result<(), Status> {
    let found = [
        (user.id.is_empty(), behaviour.empty_user_id_status),
        (user.display_name.as_deref() == Some(""), behaviour.empty_display_name_status),
        (user.display_name.is_none(), behaviour.absent_display_name_status),
    ];
    found.into_iter().filter(|(is_so, _)| *is_so).find_map(|(_, status)| status).map_or(Ok(()), Err)
}

/// Whether a credential of the exclude list lives here, and may be known to: one that wants user verification is not there
/// without it (step 12).
fn excludes(
    authenticator: &Authenticator,
    rp_id_hash: &[u8; 32],
    descriptor: &CredentialDescriptor,
    user_verified: bool,
) -> bool {
    let of_another = || {
        authenticator.profile.behaviour.excludes_of_any_rp && authenticator.store().credential(&descriptor.id).is_some()
    };
    if !descriptor.is_public_key() {
        return false;
    }
    of_another()
        || authenticator.store().open(rp_id_hash, &descriptor.id).is_some_and(|credential| {
            user_verified || credential.properties.protection != CredentialProtection::UserVerificationRequired
        })
}

/// Steps 16 to 18.
fn create(authenticator: &mut Authenticator, checked: Checked) -> Result<Progress, Status> {
    let behaviour = &authenticator.profile.behaviour;
    let (counter, mut changes) = if behaviour.counts_each_credential {
        // From its first use on.
        (1, Vec::new())
    } else if behaviour.counts_signatures {
        authenticator.next_counter().map(|(counter, change)| (counter, vec![change]))?
    } else {
        (0, Vec::new())
    };
    let (id, private_key) = if checked.request.options.rk == Some(true) {
        let (replaced, credential) = discoverable(authenticator, &checked, counter)?;
        changes.extend(replaced.map(Change::Remove));
        let made = (credential.id.clone(), credential.private_key.clone());
        changes.push(Change::Put(credential));
        changes.push(Change::new_credential_store_state(authenticator.environment.as_mut()));
        made
    } else if authenticator.profile.behaviour.stores_what_is_not_discoverable() {
        if !authenticator.store().has_room_for_others() {
            return Err(Status::KeyStoreFull);
        }
        let credential = new_credential(authenticator, &checked, None, counter);
        let made = (credential.id.clone(), credential.private_key.clone());
        changes.push(Change::Put(credential));
        made
    } else {
        let id_length = authenticator.profile.behaviour.credential_id_length.bytes();
        let secret = authenticator.store().secret().clone();
        let environment = authenticator.environment.as_mut();
        secret.make(environment, &checked.rp_id_hash, checked.algorithm, properties(&checked.inputs), id_length)
    };
    let large_blob_key =
        checked.inputs.large_blob_key.map(|_| authenticator.store().secret().large_blob_key(&id).to_vec());
    let outputs = outputs(authenticator, &checked, &id);
    let made = Made { id, private_key, outputs, large_blob_key };
    Ok(Progress::commit(changes, move |authenticator, _| {
        let response = attest(authenticator, &checked, made, counter);
        Progress::Done(response.map(|response| Answer::MakeCredential(Box::new(response))))
    }))
}

fn properties(inputs: &MakeCredentialInputs) -> Properties {
    Properties {
        protection: inputs.cred_protect.unwrap_or_default(),
        third_party_payment: inputs.third_party_payment == Some(true),
    }
}

/// What of `credBlob` is stored: all or nothing, and only with a discoverable credential (§12.2).
fn stored_blob<'a>(authenticator: &Authenticator, checked: &'a Checked) -> Option<&'a Vec<u8>> {
    let max = authenticator.profile.max_cred_blob_length();
    checked.inputs.cred_blob.as_ref().filter(|blob| checked.request.options.rk == Some(true) && blob.len() <= max)
}

/// A new discoverable credential, and the id of the one that it replaces: a relying party has at most one per user (step 17).
fn discoverable(
    authenticator: &mut Authenticator,
    checked: &Checked,
    counter: u32,
) -> Result<(Option<Vec<u8>>, StoredCredential), Status> {
    let user = &checked.request.user;
    let replaced = room(authenticator, &checked.rp_id_hash, user)?;
    let creation = authenticator.store().next_creation();
    let behaviour = &authenticator.profile.behaviour;
    let user = User {
        id: user.id.clone(),
        name: user.name.clone().map(|name| behaviour.kept(name)),
        display_name: user.display_name.clone().map(|name| behaviour.kept(name)),
    };
    let credential = new_credential(authenticator, checked, Some(Discoverable { user, creation }), counter);
    Ok((replaced, credential))
}

/// A new credential that is stored.
fn new_credential(
    authenticator: &mut Authenticator,
    checked: &Checked,
    discoverable: Option<Discoverable>,
    counter: u32,
) -> StoredCredential {
    let behaviour = &authenticator.profile.behaviour;
    let id_length = behaviour.discoverable_id_length.filter(|_| discoverable.is_some());
    let id_length = id_length.map_or(behaviour.credential_id_length.bytes(), StoredIdLength::bytes);
    let own = behaviour.own(counter);
    let cred_blob = stored_blob(authenticator, checked).cloned().unwrap_or_default();
    let environment = authenticator.environment.as_mut();
    let mut id = vec![0; id_length];
    environment.random(&mut id);
    let private_key = PrivateKey::from_candidates(checked.algorithm, |bytes| environment.random(bytes));
    StoredCredential {
        id,
        relying_party_id: checked.request.relying_party.id.clone(),
        private_key,
        discoverable,
        properties: properties(&checked.inputs),
        has_large_blob_key: checked.inputs.large_blob_key == Some(true),
        cred_blob,
        own,
    }
}

/// That there is room for a discoverable credential of an account, and the id of the one that it would replace.
fn room(authenticator: &Authenticator, rp_id_hash: &[u8; 32], user: &User) -> Result<Option<Vec<u8>>, Status> {
    let store = authenticator.store();
    let same_user = |credential: &&StoredCredential| {
        credential.discoverable.as_ref().is_some_and(|discoverable| discoverable.user.id == user.id)
    };
    let replaced = store.discoverable(rp_id_hash).find(same_user).map(|credential| credential.id.clone());
    let capacity = usize::try_from(authenticator.profile.discoverable_credentials).unwrap_or(usize::MAX);
    if replaced.is_none() && store.discoverable_count() >= capacity {
        return Err(Status::KeyStoreFull);
    }
    Ok(replaced)
}

fn outputs(authenticator: &mut Authenticator, checked: &Checked, id: &[u8]) -> MakeCredentialOutputs {
    let inputs = &checked.inputs;
    let configuration = authenticator.store().configuration();
    // §12.5, §12.6: these are told to relying parties that authenticatorConfig named.
    let is_named = configuration.min_pin_length_rp_ids.contains(&checked.request.relying_party.id);
    let told = |input: Option<bool>| input == Some(true) && is_named;
    MakeCredentialOutputs {
        cred_protect: inputs.cred_protect,
        cred_blob: inputs.cred_blob.as_ref().map(|_| stored_blob(authenticator, checked).is_some()),
        min_pin_length: told(inputs.min_pin_length).then(|| authenticator.min_pin_length().into()),
        pin_complexity_policy: told(inputs.pin_complexity_policy).then(|| authenticator.pin_policy().complexity),
        hmac_secret: inputs.hmac_secret.filter(|wanted| *wanted),
        hmac_secret_mc: checked.salts.as_ref().map(|salts| authenticator.hmac_secret(salts, id, checked.user_verified)),
        third_party_payment: None,
    }
}

/// Step 19.
fn attest(authenticator: &mut Authenticator, checked: &Checked, made: Made, counter: u32) -> Result<Response, Status> {
    let public_key =
        authenticator.environment.crypto().public_key(&made.private_key).map_err(|_| Status::OtherError)?;
    let behaviour = &authenticator.profile.behaviour;
    let extensions = behaviour.with_extra(made.outputs.encode());
    let data = AuthenticatorData {
        rp_id_hash: checked.rp_id_hash,
        flags: Flags::UP
            .with_if(Flags::UV, checked.user_verified)
            .with_if(Flags::BE, behaviour.backup_eligible)
            .with_if(Flags::BS, behaviour.backup_eligible && behaviour.backup_state)
            .with_if(Flags::AT, true)
            .with_if(Flags::ED, extensions.is_some()),
        counter,
        attested_credential_data: Some(AttestedCredentialData {
            aaguid: authenticator.profile.aaguid,
            credential_id: made.id,
            public_key: public_key.to_cose(),
        }),
        extensions,
    };
    let attested = !wants_none(authenticator, &checked.request);
    let attestation = &authenticator.attestation;
    let enterprise = attestation.enterprise().filter(|_| attested && is_enterprise(authenticator, &checked.request));
    let is_enterprise = enterprise.is_some();
    let (private_key, certificates) = enterprise.unwrap_or_else(|| (attestation.private_key(), attestation.chain()));
    let key = attested.then_some(private_key);
    let sealed = seal(authenticator.environment.as_mut(), data, &checked.request.client_data_hash, key)?;
    let statement = sealed.signature.map_or(Statement::None, |signature| Statement::Packed {
        algorithm: private_key.algorithm().identifier(),
        signature,
        certificates,
    });
    let authenticator_data = sealed.authenticator_data;
    let mut response = Response {
        authenticator_data,
        statement,
        enterprise_attestation: is_enterprise.then_some(true),
        large_blob_key: made.large_blob_key,
    };
    authenticator.environment.after_sealing(Sealed::MakeCredential(&mut response));
    Ok(response)
}

/// Whether the relying party is one that the enterprise attestation which it asks for is given to: others get the attestation of the model
/// (§7.1.2).
fn is_enterprise(authenticator: &Authenticator, request: &Request) -> bool {
    let Some(requested) = request.enterprise_attestation.filter(|_| authenticator.enterprise_attestation()) else {
        return false;
    };
    authenticator.profile.enterprise_attestation.is_for(&request.relying_party.id, requested)
}

/// Whether, of what `attestationFormatsPreference` names and the key can do, the first is `none`, or the key can do nothing else.
fn wants_none(authenticator: &Authenticator, request: &Request) -> bool {
    let formats: Vec<&str> = authenticator.profile.attestation_formats().collect();
    let mut preference = request.attestation_formats_preference.iter().flatten();
    formats == ["none"]
        || !formats.is_empty()
            && preference
                .find(|format| *format == "none" || formats.contains(&format.as_str()))
                .is_some_and(|format| format == "none")
}
