//! Registration: WebAuthn Level 3, §7.1, with webauthn-rs for the verification.

use webauthn_rs::prelude::{CreationChallengeResponse, RegisterPublicKeyCredential, Uuid, WebauthnError};
use webauthn_rs_proto::PublicKeyCredentialDescriptor;

use crate::ceremony::{Ceremony, CeremonyState};
use crate::client_data::{self, ClientData};
use crate::refusal::{Purpose, Refusal};
use crate::registered::{self as users, CredentialView, Record};
use crate::{RelyingParty, State};

impl RelyingParty {
    /// Begins to register a credential for a user, who need not exist yet: the ceremony's identifier and the options
    /// for `navigator.credentials.create()`.
    pub(crate) fn begin_registration(&self, user: &str) -> Result<(String, CreationChallengeResponse), Refusal> {
        users::check_user_name(user)?;
        let mut guard = self.state();
        let State { users, ceremonies } = &mut *guard;
        users.check_room(user)?;
        let known = users.get(user);
        let user_id = known.map(|known| known.id).or_else(|| ceremonies.promised_user_id(user));
        let user_id = user_id.unwrap_or_else(Uuid::new_v4);
        // The exclusion list is for the client alone: given to webauthn-rs it makes a registered credential fail as one
        // of a wrong algorithm. Whether anybody has the credential is checked at the end, for all users.
        let (mut options, state) = self
            .webauthn
            .start_securitykey_registration(user_id, user, user, None, None, None)
            .map_err(|error| Refusal::Internal { reason: error.to_string() })?;
        options.public_key.exclude_credentials = known.map(|known| known.credentials.iter().map(descriptor).collect());
        let ceremony = Ceremony {
            user: user.to_owned(),
            challenge: options.public_key.challenge.to_vec(),
            state: CeremonyState::Registration { state: Box::new(state), user_id },
        };
        let id = ceremonies.begin(ceremony, self.clock.now(), self.settings.policy.challenge_lifetime)?;
        Ok((id, options))
    }

    /// Finishes a registration: the user's name and the new credential. The ceremony is used up, whatever the outcome.
    pub(crate) fn finish_registration(
        &self,
        ceremony: &str,
        name: Option<String>,
        credential: &RegisterPublicKeyCredential,
    ) -> Result<(String, CredentialView), Refusal> {
        let now = self.clock.now();
        // Held to the end: between the ceremony's removal and the user's appearance, another beginning would not know of
        // the user handle that is about to be the user's.
        let mut guard = self.state();
        let Ceremony { user, challenge, state } =
            guard.ceremonies.take(ceremony, now, self.settings.policy.challenge_lifetime)?;
        let CeremonyState::Registration { state, user_id } = state else {
            return Err(Refusal::WrongCeremony { expected: Purpose::Registration, found: state.purpose() });
        };
        name.as_deref().map_or(Ok(()), users::check_credential_name)?;
        client_data::check_credential_id(&credential.id, &credential.raw_id)?;
        let key = self
            .webauthn
            .finish_securitykey_registration(credential, &state)
            .map_err(|error| self.explain_registration(&error, &challenge, credential))?;
        ClientData::parse(credential.response.client_data_json.as_ref())?.check_not_framed()?;
        if key.cred_id().as_slice() != credential.raw_id.as_slice() {
            return Err(Refusal::CredentialIdMismatch { reason: "rawId is not the ID in the attestation object" });
        }
        let view = guard.users.register(&user, user_id, key, name, now)?;
        tracing::info!(user, credential = view.id, "registered");
        Ok((user, view))
    }

    fn explain_registration(
        &self,
        error: &WebauthnError,
        challenge: &[u8],
        credential: &RegisterPublicKeyCredential,
    ) -> Refusal {
        let client_data = credential.response.client_data_json.as_ref();
        client_data::explain(error, Purpose::Registration, client_data, challenge, &self.settings)
            .unwrap_or_else(|| Refusal::from_verifier(error))
    }
}

fn descriptor(record: &Record) -> PublicKeyCredentialDescriptor {
    let credential = record.credential();
    PublicKeyCredentialDescriptor {
        type_: "public-key".to_owned(),
        id: credential.cred_id,
        transports: credential.transports,
    }
}
