//! authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.3 §6.2.2, §6.3).

use core::time::Duration;
use std::collections::VecDeque;

use keyrig_ctap::authenticator_data::{AuthenticatorData, Flags};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::{CredentialDescriptor, User};
use keyrig_ctap::get_assertion::{Request, Response};
use keyrig_ctap::{Response as Answer, Status};

use crate::authenticator::Authenticator;
use crate::credential::{StoredCredential, rp_id_hash};
use crate::make_credential::check_list;
use crate::private_key::PrivateKey;
use crate::sealing::seal;
use crate::step::{Progress, Reason, Refusals};
use crate::user_verification::{check_uv_option, touch_probe};

/// How long getNextAssertion may be called after the last answer (CTAP 2.3 §6.3).
const NEXT_ASSERTION_TIMEOUT: Duration = Duration::from_secs(30);

/// What getNextAssertion goes on with.
#[derive(Clone)]
pub(crate) struct RememberedAssertion {
    scope: Scope,
    /// Ids of the credentials still to come.
    remaining: VecDeque<Vec<u8>>,
    last_answer: Duration,
}

/// What all assertions of one request have in common.
#[derive(Clone)]
struct Scope {
    rp_id_hash: [u8; 32],
    client_data_hash: [u8; 32],
    user_present: bool,
    user_verified: bool,
}

/// A credential that can answer.
struct Candidate {
    id: Vec<u8>,
    private_key: PrivateKey,
    user: Option<User>,
}

impl From<&StoredCredential> for Candidate {
    fn from(credential: &StoredCredential) -> Self {
        Self {
            id: credential.id.clone(),
            private_key: credential.private_key.clone(),
            user: credential.discoverable.as_ref().map(|discoverable| discoverable.user.clone()),
        }
    }
}

pub(crate) fn start(authenticator: &mut Authenticator, request: Request) -> Progress {
    if let Some(probe) = touch_probe(authenticator, &request.pin_uv_auth, Reason::GetAssertion) {
        return probe;
    }
    let user_verified = match check(authenticator, &request) {
        Ok(user_verified) => user_verified,
        Err(status) => return status.into(),
    };
    let rp_id_hash = rp_id_hash(&request.relying_party_id);
    let (candidate, remaining) = if request.allow_list.is_empty() {
        let mut credentials = authenticator.store().discoverable(&rp_id_hash);
        let first = credentials.next().map(Candidate::from);
        (first, credentials.map(|credential| credential.id.clone()).collect())
    } else {
        let found = request.allow_list.iter().find_map(|descriptor| find(authenticator, &rp_id_hash, descriptor));
        (found, VecDeque::new())
    };
    let Some(candidate) = candidate else { return Status::NoCredentials.into() };
    let user_present = request.options.up != Some(false);
    let scope = Scope { rp_id_hash, client_data_hash: request.client_data_hash, user_present, user_verified };
    if user_present {
        Progress::gesture(Reason::GetAssertion, Refusals::OF_A_CEREMONY, move |authenticator, _| {
            authenticator.consume_token();
            assert(authenticator, scope, candidate, remaining, true).unwrap_or_else(Progress::from)
        })
    } else {
        assert(authenticator, scope, candidate, remaining, true).unwrap_or_else(Progress::from)
    }
}

/// Whether the user is verified.
fn check(authenticator: &mut Authenticator, request: &Request) -> Result<bool, Status> {
    authenticator.check_pin_uv_auth_protocol(&request.pin_uv_auth)?;
    // Step 4.
    check_uv_option(&request.options, &request.pin_uv_auth)?;
    if request.options.rk.is_some() {
        return Err(Status::UnsupportedOption);
    }
    // Step 5: a pre-flight stays possible.
    if authenticator.always_uv() && request.options.up != Some(false) && request.pin_uv_auth.param.is_none() {
        return Err(Status::PuatRequired);
    }
    check_list(authenticator, &request.allow_list)?;
    // Step 6.
    authenticator.verify_user(
        &request.pin_uv_auth,
        &request.client_data_hash,
        Permissions::GA,
        &request.relying_party_id,
    )
}

fn find(authenticator: &Authenticator, rp_id_hash: &[u8; 32], descriptor: &CredentialDescriptor) -> Option<Candidate> {
    if !descriptor.is_public_key() {
        return None;
    }
    let stored = authenticator.store().find(rp_id_hash, &descriptor.id).map(Candidate::from);
    stored.or_else(|| {
        let private_key = authenticator.store().secret().open(rp_id_hash, &descriptor.id)?;
        Some(Candidate { id: descriptor.id.clone(), private_key, user: None })
    })
}

/// Spends a count, signs, and remembers what getNextAssertion needs.
fn assert(
    authenticator: &Authenticator,
    scope: Scope,
    candidate: Candidate,
    remaining: VecDeque<Vec<u8>>,
    first: bool,
) -> Result<Progress, Status> {
    let (counter, counter_change) = authenticator.next_counter()?;
    Ok(Progress::commit(vec![counter_change], move |authenticator, now| {
        let number_of_credentials = (first && !remaining.is_empty())
            .then(|| u64::try_from(remaining.len()).map_or(u64::MAX, |others| others.saturating_add(1)));
        let response = sign(authenticator, &scope, candidate, counter, number_of_credentials);
        if response.is_ok() && !remaining.is_empty() {
            authenticator.remembered = Some(RememberedAssertion { scope, remaining, last_answer: now });
        }
        Progress::Done(response.map(|response| Answer::GetAssertion(Box::new(response))))
    }))
}

fn sign(
    authenticator: &Authenticator,
    scope: &Scope,
    candidate: Candidate,
    counter: u32,
    number_of_credentials: Option<u64>,
) -> Result<Response, Status> {
    let data = AuthenticatorData {
        rp_id_hash: scope.rp_id_hash,
        flags: Flags::default().with_if(Flags::UP, scope.user_present).with_if(Flags::UV, scope.user_verified),
        counter,
        attested_credential_data: None,
        extensions: None,
    };
    let sealed = seal(authenticator, &data, &scope.client_data_hash, &candidate.private_key)?;
    Ok(Response {
        credential: Some(CredentialDescriptor::public_key(candidate.id)),
        authenticator_data: sealed.authenticator_data,
        signature: sealed.signature,
        // Without user verification nothing that identifies the user but the handle (§6.2.2).
        user: candidate
            .user
            .map(|user| if scope.user_verified { user } else { User { name: None, display_name: None, ..user } }),
        number_of_credentials,
        user_selected: None,
        large_blob_key: None,
    })
}

/// authenticatorGetNextAssertion. `remembered` was taken out of the authenticator: whatever goes wrong, it is gone.
pub(crate) fn next(authenticator: &Authenticator, remembered: Option<RememberedAssertion>, now: Duration) -> Progress {
    let Some(RememberedAssertion { scope, mut remaining, last_answer }) = remembered else {
        return Status::NotAllowed.into();
    };
    if now.saturating_sub(last_answer) > NEXT_ASSERTION_TIMEOUT {
        return Status::NotAllowed.into();
    }
    let credential = remaining.pop_front().and_then(|id| authenticator.store().find(&scope.rp_id_hash, &id));
    let Some(candidate) = credential.map(Candidate::from) else { return Status::NotAllowed.into() };
    assert(authenticator, scope, candidate, remaining, false).unwrap_or_else(Progress::from)
}
