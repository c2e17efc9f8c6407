//! Login: WebAuthn Level 3, §7.2, with webauthn-rs for the verification.

use webauthn_rs::prelude::{PublicKeyCredential, RequestChallengeResponse, SecurityKey, WebauthnError};

use crate::RelyingParty;
use crate::ceremony::{Ceremony, CeremonyState};
use crate::client_data::{self, ClientData};
use crate::refusal::{Purpose, Refusal};
use crate::registered::{self as users, CredentialView};

impl RelyingParty {
    /// Begins a login: the ceremony's identifier and the options for `navigator.credentials.get()`.
    pub(crate) fn begin_login(&self, user: &str) -> Result<(String, RequestChallengeResponse), Refusal> {
        users::check_user_name(user)?;
        let mut state = self.state();
        let known = state.users.get(user).ok_or_else(|| Refusal::NoCredentials { user: user.to_owned() })?;
        let keys: Vec<SecurityKey> = known.credentials.iter().map(|record| record.key.clone()).collect();
        let (options, login) = self
            .webauthn
            .start_securitykey_authentication(&keys)
            .map_err(|error| Refusal::Internal { reason: error.to_string() })?;
        let ceremony = Ceremony {
            user: user.to_owned(),
            challenge: options.public_key.challenge.to_vec(),
            state: CeremonyState::Login { state: Box::new(login) },
        };
        let id = state.ceremonies.begin(ceremony, self.clock.now(), self.settings.policy.challenge_lifetime)?;
        Ok((id, options))
    }

    /// Finishes a login: the user's name and the credential that was used. The ceremony is used up, whatever the
    /// outcome.
    pub(crate) fn finish_login(
        &self,
        ceremony: &str,
        credential: &PublicKeyCredential,
    ) -> Result<(String, CredentialView), Refusal> {
        let now = self.clock.now();
        let Ceremony { user, challenge, state } =
            self.state().ceremonies.take(ceremony, now, self.settings.policy.challenge_lifetime)?;
        let CeremonyState::Login { state } = state else {
            return Err(Refusal::WrongCeremony { expected: Purpose::Login, found: state.purpose() });
        };
        client_data::check_credential_id(&credential.id, &credential.raw_id)?;
        let result = self
            .webauthn
            .finish_securitykey_authentication(credential, &state)
            .map_err(|error| self.explain_login(&error, &user, &challenge, credential))?;
        // webauthn-rs looks at crossOrigin in registrations only, and at the userHandle of discoverable credentials
        // only.
        ClientData::parse(credential.response.client_data_json.as_ref())?.check_not_framed()?;
        let mut state = self.state();
        let user_id = state.users.get(&user).map(|known| known.id);
        if let Some(handle) = credential.get_user_unique_id()
            && user_id.is_none_or(|id| id.as_bytes() != handle)
        {
            return Err(Refusal::UserHandleMismatch);
        }
        let view = state.users.log_in(&user, &result, now)?;
        tracing::info!(user, credential = view.id, "logged in");
        Ok((user, view))
    }

    fn explain_login(
        &self,
        error: &WebauthnError,
        user: &str,
        challenge: &[u8],
        credential: &PublicKeyCredential,
    ) -> Refusal {
        let state = self.state();
        let id = credential.get_credential_id();
        match error {
            WebauthnError::CredentialNotFound => Refusal::UnknownCredential {
                registered_to_another_user: state.users.owner(id).is_some_and(|owner| owner != user),
            },
            WebauthnError::CredentialPossibleCompromise => {
                match (state.users.record(user, id), found_counter(credential)) {
                    (Some(record), Some(found)) => {
                        Refusal::CounterRegression { stored: record.credential().counter, found }
                    }
                    _ => Refusal::from_verifier(error),
                }
            }
            _ => {
                let client_data = credential.response.client_data_json.as_ref();
                client_data::explain(error, Purpose::Login, client_data, challenge, &self.settings)
                    .unwrap_or_else(|| Refusal::from_verifier(error))
            }
        }
    }
}

/// `signCount`: four bytes, big-endian, after the rpIdHash and the flags (WebAuthn Level 3, §6.1).
fn found_counter(credential: &PublicKeyCredential) -> Option<u32> {
    let data: &[u8] = credential.response.authenticator_data.as_ref();
    data.get(33..)?.first_chunk().copied().map(u32::from_be_bytes)
}
