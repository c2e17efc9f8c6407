//! The discoverable credentials of a key: listing, deleting, renaming (CTAP 2.3 §6.8).

use keyrig_ctap::credential_management::{Parameters, Request, Response, Subcommand};
use keyrig_ctap::entities::{CredentialDescriptor, RelyingParty, User};
use keyrig_ctap::extensions::CredentialProtection;
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Command, Request as Message, Status};

use crate::channel::{Cancel, Channel};
use crate::error::{Cause, InvalidResponse, Unsuitable};
use crate::key::{Key, undecodable};
use crate::pin_uv_auth_token::PinUvAuthToken;

/// How much room a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialCounts {
    /// Discoverable credentials on the key.
    pub existing: u64,
    /// How many more fit, at most.
    pub remaining: u64,
}

/// The discoverable credentials for one RP ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingPartyCredentials {
    /// The relying party. Keys cut long RP IDs: then this is what they kept (CTAP 2.3 §6.8.7).
    pub relying_party: RelyingParty,
    /// SHA-256 of the RP ID.
    pub rp_id_hash: [u8; 32],
    /// The credentials, in the key's order.
    pub credentials: Vec<StoredCredential>,
}

/// A discoverable credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// The credential id.
    pub credential_id: Vec<u8>,
    /// Whose it is.
    pub user: User,
    /// The credential public key, a COSE_Key, if the key gives it.
    pub public_key: Option<Vec<u8>>,
    /// What it wants before it answers, if the key says.
    pub protection: Option<CredentialProtection>,
    /// The key to its large blob, if it has one.
    pub large_blob_key: Option<Vec<u8>>,
    /// Whether it may be used for payments from third parties, if the key says.
    pub third_party_payment: Option<bool>,
}

impl<C: Channel> Key<C> {
    /// How many discoverable credentials there are, and how many fit. The token needs the permission `cm`, as for
    /// everything here.
    ///
    /// # Errors
    /// [`Cause`]: why the key does not say.
    pub async fn credential_counts(
        &mut self,
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<CredentialCounts, Cause> {
        let response = self.manage(Subcommand::GetCredsMetadata, Parameters::default(), Some(token), cancel).await?;
        Ok(CredentialCounts {
            existing: member("existingResidentCredentialsCount", response.existing_resident_credentials_count)?,
            remaining: member(
                "maxPossibleRemainingResidentCredentialsCount",
                response.max_possible_remaining_resident_credentials_count,
            )?,
        })
    }

    /// All discoverable credentials, by relying party. A token that is bound to an RP ID lists nothing but that one's.
    ///
    /// # Errors
    /// [`Cause`]: why there is no list, or only a part of it.
    pub async fn credentials(
        &mut self,
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<Vec<RelyingPartyCredentials>, Cause> {
        let mut list = Vec::new();
        for (relying_party, rp_id_hash) in self.relying_parties(token, cancel).await? {
            // Not between the relying parties: one enumeration ends the other (CTAP 2.3 §6.8.3).
            let credentials = self.credentials_of(rp_id_hash, token, cancel).await?;
            list.push(RelyingPartyCredentials { relying_party, rp_id_hash, credentials });
        }
        Ok(list)
    }

    /// Deletes a discoverable credential. Its large blob stays where it is: [`delete_large_blob`](Self::delete_large_blob)
    /// before.
    ///
    /// # Errors
    /// [`Cause`]: nothing was deleted. `CTAP2_ERR_NO_CREDENTIALS` says that there is none with this id.
    pub async fn delete_credential(
        &mut self,
        credential_id: &[u8],
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let credential_id = Some(CredentialDescriptor::public_key(credential_id.to_vec()));
        let parameters = Parameters { credential_id, ..Parameters::default() };
        self.manage(Subcommand::DeleteCredential, parameters, Some(token), cancel).await?;
        // There is more room than it said.
        self.forget_info();
        Ok(())
    }

    /// Gives the user of a discoverable credential another name and display name; the id has to be the same.
    ///
    /// # Errors
    /// [`Cause`]: nothing was changed.
    pub async fn update_user(
        &mut self,
        credential_id: &[u8],
        user: User,
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<(), Cause> {
        let credential_id = Some(CredentialDescriptor::public_key(credential_id.to_vec()));
        let parameters = Parameters { credential_id, user: Some(user), ..Parameters::default() };
        self.manage(Subcommand::UpdateUserInformation, parameters, Some(token), cancel).await.map(|_| ())
    }

    async fn relying_parties(
        &mut self,
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<Vec<(RelyingParty, [u8; 32])>, Cause> {
        let begun = self.manage(Subcommand::EnumerateRpsBegin, Parameters::default(), Some(token), cancel).await;
        let Some(mut response) = unless_none(begun)? else { return Ok(Vec::new()) };
        // Keys of which nothing is listed may say so by a count as well.
        let total = member("totalRPs", response.total_rps)?;
        let mut list = Vec::new();
        for number in 0..total {
            if number > 0 {
                response = self.manage(Subcommand::EnumerateRpsGetNextRp, Parameters::default(), None, cancel).await?;
            }
            list.push((member("rp", response.relying_party.take())?, member("rpIDHash", response.rp_id_hash.take())?));
        }
        Ok(list)
    }

    async fn credentials_of(
        &mut self,
        rp_id_hash: [u8; 32],
        token: &PinUvAuthToken,
        cancel: &Cancel,
    ) -> Result<Vec<StoredCredential>, Cause> {
        let parameters = Parameters { rp_id_hash: Some(rp_id_hash), ..Parameters::default() };
        let begun = self.manage(Subcommand::EnumerateCredentialsBegin, parameters, Some(token), cancel).await;
        let Some(mut response) = unless_none(begun)? else { return Ok(Vec::new()) };
        let total = member("totalCredentials", response.total_credentials)?;
        let mut list = Vec::new();
        for number in 0..total {
            if number > 0 {
                let next = Subcommand::EnumerateCredentialsGetNextCredential;
                response = self.manage(next, Parameters::default(), None, cancel).await?;
            }
            list.push(StoredCredential {
                credential_id: member("credentialID", response.credential_id.take())?.id,
                user: member("user", response.user.take())?,
                public_key: response.public_key.take(),
                protection: response.credential_protection,
                large_blob_key: response.large_blob_key.take(),
                third_party_payment: response.third_party_payment,
            });
        }
        Ok(list)
    }

    /// By authenticatorCredentialManagement, or by its prototype in keys that have only that.
    async fn manage(
        &mut self,
        subcommand: Subcommand,
        parameters: Parameters,
        token: Option<&PinUvAuthToken>,
        cancel: &Cancel,
    ) -> Result<Response, Cause> {
        let info = self.get_info(cancel).await?;
        let mut request = Request::new(subcommand, parameters);
        request.pin_uv_auth =
            token.map(|token| token.authenticate(&request.authenticated_message())).unwrap_or_default();
        let message = if info.option(OptionId::CredMgmt) == Some(true) {
            Message::CredentialManagement(request)
        } else if info.option(OptionId::CredentialMgmtPreview) == Some(true) {
            Message::CredentialManagementPreview(request)
        } else {
            return Err(Unsuitable::CredentialManagement.into());
        };
        let response = self.transact(&message, cancel).await?;
        if response.is_empty() {
            return Ok(Response::default());
        }
        Response::decode(&response).map_err(undecodable(message.command()))
    }
}

/// "No credentials" is an answer.
fn unless_none(response: Result<Response, Cause>) -> Result<Option<Response>, Cause> {
    match response {
        Ok(response) => Ok(Some(response)),
        Err(Cause::Status { status: Status::NoCredentials, .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn member<T>(name: &'static str, value: Option<T>) -> Result<T, Cause> {
    let command = Command::CredentialManagement;
    value.ok_or(Cause::InvalidResponse { command, error: InvalidResponse::Missing(name) })
}

#[cfg(test)]
mod tests;
