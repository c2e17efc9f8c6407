//! CTAP messages as a client sends them, and what matters of the answers.

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::{Request, get_assertion, make_credential, parse_response};

/// The relying party of all of them.
pub(crate) const SITE: &str = "login.example";

/// makeCredential for a user of [`SITE`].
pub(crate) fn make_credential(user: &str, discoverable: bool) -> Vec<u8> {
    Request::MakeCredential(make_credential::Request {
        client_data_hash: [0xCD; 32],
        relying_party: RelyingParty { id: SITE.to_owned(), name: None },
        user: User { id: user.as_bytes().to_vec(), name: Some(user.to_owned()), display_name: None },
        parameters: vec![CredentialParameters::public_key(-7)],
        exclude_list: vec![],
        extensions: None,
        options: Options { rk: Some(discoverable), up: None, uv: None },
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    })
    .encode()
}

/// getAssertion for [`SITE`] with these credentials allowed; with none, for the discoverable ones.
pub(crate) fn get_assertion(allowed: &[&[u8]]) -> Vec<u8> {
    get_assertion_with(allowed, None)
}

/// getAssertion without a touch.
pub(crate) fn silent_assertion(allowed: &[&[u8]]) -> Vec<u8> {
    get_assertion_with(allowed, Some(false))
}

fn get_assertion_with(allowed: &[&[u8]], up: Option<bool>) -> Vec<u8> {
    Request::GetAssertion(get_assertion::Request {
        relying_party_id: SITE.to_owned(),
        client_data_hash: [0xCD; 32],
        allow_list: allowed.iter().map(|id| CredentialDescriptor::public_key(id.to_vec())).collect(),
        extensions: None,
        options: Options { rk: None, up, uv: None },
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

/// Credential id and counter of a makeCredential that succeeded.
#[track_caller]
pub(crate) fn made(answer: &[u8]) -> (Vec<u8>, u32) {
    let response = make_credential::Response::decode(parse_response(answer).unwrap()).unwrap();
    let data = AuthenticatorData::decode(&response.authenticator_data).unwrap();
    (data.attested_credential_data.unwrap().credential_id, data.counter)
}

/// Credential id and counter of a getAssertion that succeeded.
#[track_caller]
pub(crate) fn asserted(answer: &[u8]) -> (Vec<u8>, u32) {
    let response = get_assertion::Response::decode(parse_response(answer).unwrap()).unwrap();
    (response.credential.unwrap().id, AuthenticatorData::decode(&response.authenticator_data).unwrap().counter)
}
