//! authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.3 §6.2.2, §6.3).

use core::time::Duration;

use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData, Flags};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::{CredentialDescriptor, User};
use keyrig_ctap::extensions::{CredentialProtection, GetAssertionInputs, GetAssertionOutputs};
use keyrig_ctap::get_assertion::{Request, Response};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::authorization::User as Known;
use crate::ceremony::{after_built_in_uv, check_list, check_uv_option, touch_probe};
use crate::channel::Channel;
use crate::credential::{OpenedCredential, Properties, StoredCredential, rp_id_hash};
use crate::environment::Sealed;
use crate::memory::{RememberedAssertion, Scope, Timed, UntilNextCommand};
use crate::presence::Reason;
use crate::private_key::PrivateKey;
use crate::progress::{Progress, Refusals};
use crate::sealing::seal;

/// A credential that can answer.
struct Candidate {
    id: Vec<u8>,
    private_key: PrivateKey,
    user: Option<User>,
    properties: Properties,
    has_large_blob_key: bool,
    cred_blob: Vec<u8>,
    is_stored: bool,
}

/// The credentials that answer.
struct Located {
    candidate: Candidate,
    /// How many there are.
    count: u64,
    /// The creation count of the candidate, if others are still to come.
    before: Option<u64>,
}

impl From<&StoredCredential> for Candidate {
    fn from(credential: &StoredCredential) -> Self {
        Self {
            id: credential.id.clone(),
            private_key: credential.private_key.clone(),
            user: credential.discoverable.as_ref().map(|discoverable| discoverable.user.clone()),
            properties: credential.properties,
            has_large_blob_key: credential.has_large_blob_key,
            cred_blob: credential.cred_blob.clone(),
            is_stored: true,
        }
    }
}

pub(crate) fn start(authenticator: &mut Authenticator, channel: Channel, request: Request, now: Duration) -> Progress {
    if let Some(probe) = touch_probe(authenticator, &request.pin_uv_auth, Reason::GetAssertion) {
        return probe;
    }
    prepare(authenticator, channel, request, now).unwrap_or_else(Progress::from)
}

/// Steps 2 to 6.
fn prepare(
    authenticator: &mut Authenticator,
    channel: Channel,
    request: Request,
    now: Duration,
) -> Result<Progress, Status> {
    let built_in_uv = check(authenticator, &request)?;
    let known = authenticator.known_extensions(request.extensions.as_ref());
    let inputs = known.as_ref().map(GetAssertionInputs::decode).transpose()?.unwrap_or_default();
    // Step 6.
    if built_in_uv {
        return Ok(after_built_in_uv(authenticator, Reason::GetAssertion, move |authenticator| {
            go_on(authenticator, channel, &request, inputs, Known::KNOWN)
        }));
    }
    let (rp_id, hash) = (&request.relying_party_id, &request.client_data_hash);
    let user = authenticator.verify_user(&request.pin_uv_auth, hash, Permissions::GA, rp_id, now)?;
    // Nobody's presence is told who was not asked for it.
    let user = Known { is_present: user.is_present && request.options.up != Some(false), ..user };
    go_on(authenticator, channel, &request, inputs, user)
}

/// Step 7, and of the extensions what can be refused: nobody is asked to touch a key that will refuse.
fn go_on(
    authenticator: &mut Authenticator,
    channel: Channel,
    request: &Request,
    inputs: GetAssertionInputs,
    user: Known,
) -> Result<Progress, Status> {
    let user_verified = user.is_verified;
    let rp_id_hash = rp_id_hash(&request.relying_party_id);
    let asks = request.options.up != Some(false) && !user.is_present;
    let user_present = asks || user.is_present;
    let Some(located) = locate(authenticator, &rp_id_hash, &request.allow_list, user_verified) else {
        if user.is_present {
            authenticator.consume_token();
        }
        return Ok(no_credentials(authenticator, asks, !request.allow_list.is_empty()));
    };
    let names_credential = request.allow_list.len() != 1 || !authenticator.profile.behaviour.omits_the_only_descriptor;
    if inputs.large_blob_key == Some(false) {
        return Err(Status::InvalidOption);
    }
    // §12.7: secrets are for a user who is there.
    if inputs.hmac_secret.is_some() && !user_present {
        return Err(Status::UnsupportedOption);
    }
    let salts = inputs.hmac_secret.as_ref().map(|input| authenticator.open_salts(input)).transpose()?;
    let client_data_hash = request.client_data_hash;
    let scope =
        Scope { channel, rp_id_hash, client_data_hash, user_present, user_verified, inputs, salts, names_credential };
    if asks {
        let refusals = Refusals::of_a_ceremony(authenticator);
        Ok(Progress::gesture(Reason::GetAssertion, refusals, move |authenticator, _| {
            // Step 9.
            authenticator.consume_token();
            assert(authenticator, scope, located, true).unwrap_or_else(Progress::from)
        }))
    } else {
        if user_present {
            authenticator.consume_token();
        }
        assert(authenticator, scope, located, true)
    }
}

/// That nothing was located, as the key says it.
fn no_credentials(authenticator: &Authenticator, asks: bool, listed: bool) -> Progress {
    let behaviour = &authenticator.profile.behaviour;
    let status = behaviour.unknown_credential_status;
    if !asks || !behaviour.no_credentials.asks(listed) {
        return status.into();
    }
    Progress::gesture(Reason::GetAssertion, Refusals::of_a_ceremony(authenticator), move |authenticator, _| {
        // A touch is a touch, whatever it leads to.
        authenticator.consume_token();
        status.into()
    })
}

/// Steps 2 to 5: whether built-in user verification is performed.
fn check(authenticator: &Authenticator, request: &Request) -> Result<bool, Status> {
    authenticator.check_pin_uv_auth_protocol(&request.pin_uv_auth)?;
    // Step 4.
    let behaviour = &authenticator.profile.behaviour;
    let mut built_in_uv = check_uv_option(authenticator, &request.options, &request.pin_uv_auth)?;
    if request.options.rk.is_some_and(|rk| rk || !behaviour.get_assertion_takes_rk_false) {
        return Err(behaviour.get_assertion_rk_status);
    }
    let silent = request.options.up == Some(false);
    if let Some(status) = behaviour.silent_status.filter(|_| silent) {
        return Err(status);
    }
    // Step 5: a pre-flight stays possible.
    if !silent || behaviour.always_uv_covers_silent {
        let without_token = |status| if status == Status::PuatRequired { behaviour.always_uv_status } else { status };
        built_in_uv |= authenticator.check_always_uv(&request.pin_uv_auth).map_err(without_token)?;
    }
    check_list(authenticator, &request.allow_list)?;
    Ok(built_in_uv)
}

/// The credentials that answer: the newest first, or the first of the allow list that lives here. What `credProtect` hides is
/// not there (§12.1).
fn locate(
    authenticator: &Authenticator,
    rp_id_hash: &[u8; 32],
    allow_list: &[CredentialDescriptor],
    user_verified: bool,
) -> Option<Located> {
    if allow_list.is_empty() {
        return discover(authenticator.store().discoverable(rp_id_hash), user_verified);
    }
    let shown = |candidate: &Candidate| {
        user_verified || candidate.properties.protection != CredentialProtection::UserVerificationRequired
    };
    let found = allow_list.iter().filter_map(|descriptor| find(authenticator, rp_id_hash, descriptor)).find(shown);
    found.map(|candidate| Located { candidate, count: 1, before: None })
}

/// Of discoverable credentials those that are shown.
fn discover<'a>(credentials: impl Iterator<Item = &'a StoredCredential>, user_verified: bool) -> Option<Located> {
    let mut shown = credentials.filter(|credential| {
        user_verified || credential.properties.protection == CredentialProtection::UserVerificationOptional
    });
    let first = shown.next()?;
    let others = u64::try_from(shown.count()).unwrap_or(u64::MAX);
    let before = first.discoverable.as_ref().map(|discoverable| discoverable.creation).filter(|_| others > 0);
    Some(Located { candidate: Candidate::from(first), count: others.saturating_add(1), before })
}

fn find(authenticator: &Authenticator, rp_id_hash: &[u8; 32], descriptor: &CredentialDescriptor) -> Option<Candidate> {
    if !descriptor.is_public_key() {
        return None;
    }
    let stored = authenticator.store().find(rp_id_hash, &descriptor.id).map(Candidate::from);
    stored.or_else(|| {
        let OpenedCredential { private_key, properties } =
            authenticator.store().secret().open(rp_id_hash, &descriptor.id)?;
        let id = descriptor.id.clone();
        Some(Candidate {
            id,
            private_key,
            user: None,
            properties,
            has_large_blob_key: false,
            cred_blob: Vec::new(),
            is_stored: false,
        })
    })
}

/// Spends a count, signs, and remembers what getNextAssertion needs.
fn assert(
    authenticator: &Authenticator,
    scope: Scope,
    Located { mut candidate, count, before }: Located,
    first: bool,
) -> Result<Progress, Status> {
    // It may have been deleted while the user was waited for.
    if candidate.is_stored && authenticator.store().find(&scope.rp_id_hash, &candidate.id).is_none() {
        return Err(Status::NoCredentials);
    }
    let (counter, changes) = authenticator.count(&scope.rp_id_hash, &candidate.id)?;
    Ok(Progress::commit(changes, move |authenticator, now| {
        let number_of_credentials = (first && count > 1).then_some(count);
        let behaviour = &authenticator.profile.behaviour;
        let names = behaviour.names_without_uv || scope.user_verified && (!first || count > 1);
        let user = candidate.user.take().and_then(|user| told(user, names, behaviour.tells_empty_user_id));
        let response = sign(authenticator, &scope, candidate, counter).map(|response| {
            let mut response = Response { user, number_of_credentials, ..response };
            authenticator.environment.after_sealing(Sealed::GetAssertion(&mut response));
            response
        });
        if response.is_ok()
            && let Some(before) = before
        {
            let channel = scope.channel;
            let assertion = Some(Timed::new(RememberedAssertion { scope, before }, now));
            authenticator.memory.begun.keep(channel, UntilNextCommand { assertion, ..Default::default() }, now);
        }
        Progress::Done(response.map(|response| Answer::GetAssertion(Box::new(response))))
    }))
}

/// What is told of the account: names only to a verified user who has a choice to make (§6.2, member 0x04), and nothing of one
/// without a handle, which platforms fail on.
fn told(user: User, names: bool, without_handle: bool) -> Option<User> {
    let user = if names { user } else { User { name: None, display_name: None, ..user } };
    Some(user).filter(|user| without_handle || !user.id.is_empty())
}

fn sign(
    authenticator: &mut Authenticator,
    scope: &Scope,
    candidate: Candidate,
    counter: u32,
) -> Result<Response, Status> {
    let extensions = outputs(authenticator, scope, &candidate).encode();
    let extensions = authenticator.profile.behaviour.with_extra(extensions);
    let attested_credential_data = attested(authenticator, &candidate)?;
    let own = authenticator.own(&scope.rp_id_hash, &candidate.id).map(|(_, own)| own);
    let data = AuthenticatorData {
        rp_id_hash: scope.rp_id_hash,
        flags: Flags::default()
            .with_if(Flags::UP, scope.user_present)
            .with_if(Flags::UV, scope.user_verified)
            .with_if(Flags::BE, own.is_some_and(|own| own.backup_eligible))
            .with_if(Flags::BS, own.is_some_and(|own| own.backup_state))
            .with_if(Flags::AT, attested_credential_data.is_some())
            .with_if(Flags::ED, extensions.is_some()),
        counter,
        attested_credential_data,
        extensions,
    };
    let key = Some(&candidate.private_key);
    let sealed = seal(authenticator.environment.as_mut(), data, &scope.client_data_hash, key)?;
    let mut signature = sealed.signature.ok_or(Status::OtherError)?;
    if authenticator.profile.behaviour.wrong_signature_with_hmac_secret
        && scope.salts.is_some()
        && let Some(last) = signature.last_mut()
    {
        *last ^= 1;
    }
    let wants_large_blob_key = scope.inputs.large_blob_key == Some(true) && candidate.has_large_blob_key;
    let large_blob_key = wants_large_blob_key.then(|| authenticator.store().large_blob_key(&candidate.id).to_vec());
    Ok(Response {
        credential: scope.names_credential.then(|| CredentialDescriptor::public_key(candidate.id)),
        authenticator_data: sealed.authenticator_data,
        signature,
        user: None,
        number_of_credentials: None,
        user_selected: None,
        large_blob_key,
    })
}

/// Attested credential data, which authenticator data of an assertion has not (WebAuthn Level 3 §6.1), but on keys that err.
fn attested(authenticator: &Authenticator, candidate: &Candidate) -> Result<Option<AttestedCredentialData>, Status> {
    if !authenticator.profile.behaviour.attested_data_in_assertion {
        return Ok(None);
    }
    let crypto = authenticator.environment.crypto();
    let public_key = crypto.public_key(&candidate.private_key).map_err(|_| Status::OtherError)?;
    Ok(Some(AttestedCredentialData {
        aaguid: authenticator.profile.aaguid,
        credential_id: candidate.id.clone(),
        public_key: public_key.to_cose(),
    }))
}

fn outputs(authenticator: &mut Authenticator, scope: &Scope, candidate: &Candidate) -> GetAssertionOutputs {
    let wanted = |input: Option<bool>| input == Some(true);
    GetAssertionOutputs {
        cred_blob: wanted(scope.inputs.cred_blob).then(|| candidate.cred_blob.clone()),
        hmac_secret: scope
            .salts
            .as_ref()
            .map(|salts| authenticator.hmac_secret(salts, &candidate.id, scope.user_verified)),
        third_party_payment: wanted(scope.inputs.third_party_payment)
            .then_some(candidate.properties.third_party_payment),
    }
}

/// authenticatorGetNextAssertion, with what its channel has begun.
pub(crate) fn next(authenticator: &Authenticator, begun: UntilNextCommand, now: Duration) -> Progress {
    let Some(RememberedAssertion { scope, before }) = begun.assertion.and_then(|assertion| assertion.alive(now)) else {
        return Status::NotAllowed.into();
    };
    let older = authenticator.store().discoverable_before(&scope.rp_id_hash, before);
    match discover(older, scope.user_verified) {
        Some(located) => assert(authenticator, scope, located, false).unwrap_or_else(Progress::from),
        None => Status::NotAllowed.into(),
    }
}
