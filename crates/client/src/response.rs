//! What Chromium makes sure of in an answer before a page gets to see it. It does not look at the UV flag, nor at whether the
//! algorithm was offered: that is for the relying party.

use keyrig_ctap::authenticator_data::{AuthenticatorData, Flags};
use keyrig_ctap::cbor::Item;
use keyrig_ctap::entities::Extensions;
use keyrig_ctap::extensions::{CRED_PROTECT, MakeCredentialInputs, MakeCredentialOutputs};
use keyrig_ctap::{Status, get_assertion, make_credential};

use crate::error::InvalidResponse;

/// A new credential. `data` is the authenticator data of the response.
pub(crate) fn check_creation(
    request: &make_credential::Request,
    inputs: &MakeCredentialInputs,
    response: &make_credential::Response,
    data: &AuthenticatorData,
) -> Result<(), InvalidResponse> {
    if let Some(outputs) = &data.extensions {
        // A key may protect more than it was asked to.
        check_solicited(outputs, request.extensions.as_ref(), &[CRED_PROTECT])?;
        let protection = MakeCredentialOutputs::decode(outputs).map_err(InvalidResponse::Undecodable)?.cred_protect;
        if protection.is_some_and(|given| inputs.cred_protect.is_some_and(|asked| given < asked)) {
            return Err(InvalidResponse::CredentialProtection);
        }
    }
    if response.enterprise_attestation == Some(true) && request.enterprise_attestation.is_none() {
        return Err(InvalidResponse::EnterpriseAttestation);
    }
    if inputs.large_blob_key == Some(true) && response.large_blob_key.is_none() {
        return Err(InvalidResponse::NoLargeBlobKey);
    }
    Ok(())
}

/// An assertion; `discovered` if no credential was asked for by its id.
pub(crate) fn check_assertion(
    inputs: Option<&Extensions>,
    discovered: bool,
    response: &get_assertion::Response,
    data: &AuthenticatorData,
) -> Result<(), InvalidResponse> {
    let named = response.user.as_ref().is_some_and(|user| user.name.is_some() || user.display_name.is_some());
    if named && !data.flags.contains(Flags::UV) {
        return Err(InvalidResponse::UserNames);
    }
    if response.user.is_none() && (discovered || response.number_of_credentials.is_some_and(|number| number > 1)) {
        return Err(InvalidResponse::NoUser);
    }
    if data.attested_credential_data.is_some() {
        return Err(InvalidResponse::UnexpectedAttestedCredentialData);
    }
    match &data.extensions {
        Some(outputs) => check_solicited(outputs, inputs, &[]),
        None => Ok(()),
    }
}

/// That each output answers an input, or is one that comes unasked.
fn check_solicited(outputs: &[u8], inputs: Option<&Extensions>, unasked: &[&str]) -> Result<(), InvalidResponse> {
    let asked = inputs.map_or_else(|| Ok(Vec::new()), |inputs| identifiers(inputs.encoded()))?;
    match identifiers(outputs)?.into_iter().find(|output| !asked.contains(output) && !unasked.contains(output)) {
        Some(output) => Err(InvalidResponse::UnsolicitedExtension(output.to_owned())),
        None => Ok(()),
    }
}

fn identifiers(extensions: &[u8]) -> Result<Vec<&str>, InvalidResponse> {
    let undecodable = |_| InvalidResponse::Undecodable(Status::InvalidCbor);
    let entries = Item::parse(extensions).map_err(|_| InvalidResponse::Undecodable(Status::InvalidCbor))?;
    entries.map().map_err(undecodable)?.map(|(key, _)| key.text().map_err(undecodable)).collect()
}

#[cfg(test)]
mod tests;
