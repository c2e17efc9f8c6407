//! The requests that are measured.

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::{Request, get_assertion, make_credential};

/// A registration with ES256.
pub(crate) fn register() -> Vec<u8> {
    Request::MakeCredential(make_credential::Request {
        client_data_hash: [1; 32],
        relying_party: RelyingParty { id: "example.com".into(), name: Some("Example".into()) },
        user: User { id: vec![1; 16], name: Some("root@pam".into()), display_name: Some("root".into()) },
        parameters: vec![CredentialParameters::public_key(-7), CredentialParameters::public_key(-257)],
        exclude_list: Vec::new(),
        extensions: None,
        options: Options::default(),
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    })
    .encode()
}

/// A login with the credential, with a touch or without.
pub(crate) fn login(credential_id: Vec<u8>, up: bool) -> Vec<u8> {
    Request::GetAssertion(get_assertion::Request {
        relying_party_id: "example.com".into(),
        client_data_hash: [2; 32],
        allow_list: vec![CredentialDescriptor::public_key(credential_id)],
        extensions: None,
        options: Options { up: (!up).then_some(false), ..Options::default() },
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

/// The id of the credential that a registration answered with.
pub(crate) fn credential_id(response: &[u8]) -> Vec<u8> {
    let response = make_credential::Response::decode(response.get(1..).expect("a status")).expect("a credential");
    let data = AuthenticatorData::decode(&response.authenticator_data);
    data.expect("authenticator data").attested_credential_data.expect("a credential").credential_id
}
