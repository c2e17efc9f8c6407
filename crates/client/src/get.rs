//! get(): an assertion by a credential that exists (WebAuthn Level 3 §5.1.4, CTAP 2.3 §6.2.1).

use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::{CredentialDescriptor, Extensions, Options, PUBLIC_KEY};
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Command, get_assertion, get_info};

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::account::Account;
use crate::browser::{AtKeys, Browser};
use crate::ceremony::{Turn, Verdict, race, settle};
use crate::channel::{Cancel, Channel};
use crate::client::{Client, Rules};
use crate::client_data::{self, ClientData};
use crate::conditional;
use crate::create::{attachment, transports};
use crate::credential_list;
use crate::error::{Cause, ClientError, DomException, InvalidResponse, Refusal, Unsuitable};
use crate::extensions::{self, LargeBlobOutcome};
use crate::json::{AssertionResponse, AuthenticationCredential, Base64Url, Mediation, RequestOptions, Requirement};
use crate::key::Key;
use crate::large_blobs::LargeBlobKey;
use crate::page::ALLOW;
use crate::pin_uv_auth_token::Purpose;
use crate::response;
use crate::u2f;
use crate::user_verification::{self, Circumstances, Method, Verification};
use crate::weight::Ceremony;

/// Most accounts for one site that a key is asked for. No key made has room for as many.
const MAX_ACCOUNTS: u64 = 1024;

/// What all keys are asked.
struct Wanted<'a> {
    client: &'a Client,
    options: &'a RequestOptions,
    /// Of a conditional ceremony: the credentials that may be chosen, any if there are none.
    only: &'a [CredentialDescriptor],
    rp_id: String,
    client_data_hash: [u8; 32],
    /// The application parameter of `appid`.
    app_id: Option<[u8; 32]>,
}

/// A key's answer, checked: one assertion per account, at least one.
struct Signed {
    info: get_info::Response,
    assertions: Vec<Assertion>,
}

struct Assertion {
    credential_id: Vec<u8>,
    response: get_assertion::Response,
    extension_results: Map<String, Value>,
}

/// What one key was asked for.
struct Asked<'a> {
    allow_list: &'a [CredentialDescriptor],
    extensions: Option<Extensions>,
}

impl Client {
    /// `navigator.credentials.get()`: has the key sign that is touched first. `abort` is the page's `AbortSignal`. The keys
    /// can be used again afterwards, whatever came of it.
    ///
    /// With [`Mediation::Conditional`] it has no timeout, and waits for a touch at a key that has a discoverable credential for the
    /// site, of `allowCredentials` if there are any; nothing else but `abort` ends it. A key that is pulled out is not waited for: whoever
    /// knows that it is back aborts the ceremony and begins it again, without those that [dropped out](Key::dropped_out).
    ///
    /// # Errors
    /// [`ClientError`]: what the page sees, and why.
    pub async fn get<C: Channel>(
        &self,
        options: &RequestOptions,
        keys: &mut [Key<C>],
        abort: Cancel,
    ) -> Result<AuthenticationCredential, ClientError> {
        self.check_secure_context(Some("get"))?;
        self.check_permission(Ceremony::Get)?;
        self.check_length(ALLOW, options.allow_credentials.len())?;
        // WebKit takes an empty one for none.
        let claimed = options.rp_id.as_deref().filter(|rp_id| !(rp_id.is_empty() && self.browser == Browser::Safari));
        let rp_id = self.rp_id(claimed)?;
        let client_data_json = self.client_data_json(ClientData::GET, &options.challenge);
        let client_data_hash = client_data::hash(&client_data_json);
        extensions::check_request(self.browser, options)?;
        let app_id = self.app_id(options.extensions.app_id.as_deref())?;
        let only = &options.allow_credentials[..];
        let Signed { info, mut assertions } = match self.mediation {
            Mediation::Modal => {
                let wanted = &Wanted { client: self, app_id, options, only: &[], rp_id, client_data_hash };
                let patience = self.timeout(options.timeout);
                race((self.browser, Ceremony::Get), keys, patience, abort, |key, turn| {
                    Box::pin(async move {
                        match wanted.sign(key, &turn).await {
                            Ok(signed) => Verdict::Answered(signed),
                            Err(cause) => settle(key, cause, &turn).await,
                        }
                    })
                })
                .await?
            }
            Mediation::Conditional if keys.is_empty() => return Err(conditional::until_aborted(abort).await),
            Mediation::Conditional => {
                // So that no other than a discoverable one is chosen (step 6).
                let options = &RequestOptions { allow_credentials: Vec::new(), ..options.clone() };
                let wanted = &Wanted { client: self, app_id, options, only, rp_id, client_data_hash };
                race((self.browser, Ceremony::Get), keys, conditional::FOR_EVER, abort, |key, turn| {
                    Box::pin(async move { wanted.sign_conditionally(key, &turn).await })
                })
                .await?
            }
            Mediation::Silent => return Err(Refusal::SilentMediation.named(DomException::NotSupportedError)),
        };
        let discovered = options.allow_credentials.is_empty() || self.mediation == Mediation::Conditional;
        let chosen = self.choose(&accounts(&assertions), discovered);
        let chosen = chosen.map_err(|refusal| refusal.named(DomException::NotAllowedError))?;
        Ok(credential(&info, assertions.swap_remove(chosen), client_data_json))
    }
}

fn accounts(assertions: &[Assertion]) -> Vec<Account> {
    let account = |Assertion { credential_id, response, .. }: &Assertion| Account {
        credential_id: credential_id.clone(),
        user: response.user.clone(),
    };
    assertions.iter().map(account).collect()
}

impl Wanted<'_> {
    /// One key's part in a conditional ceremony: its answer, or none until it is told to cancel.
    async fn sign_conditionally<C: Channel>(&self, key: &mut Key<C>, turn: &Turn) -> Verdict<Signed> {
        while conditional::is_offered_by(key, &self.rp_id, self.client_data_hash, turn.cancel()).await {
            let asked = Instant::now();
            match self.sign(key, turn).await {
                Ok(signed) => match self.among_those_wanted(signed) {
                    Some(signed) => return Verdict::Answered(signed),
                    None => {
                        key.drop_out();
                        break;
                    }
                },
                Err(cause) if conditional::nobody_came(&cause, asked) => {}
                Err(cause) => {
                    tracing::debug!(key = key.name(), %cause, "no more part in a conditional ceremony");
                    if conditional::is_refusal(&cause) {
                        key.drop_out();
                    }
                    break;
                }
            }
        }
        Verdict::DroppedOut(conditional::until_cancelled(key.name(), turn.cancel()).await)
    }

    /// What of an answer a conditional ceremony may choose from, if there is any.
    fn among_those_wanted(&self, mut signed: Signed) -> Option<Signed> {
        let wanted = |assertion: &Assertion| self.only.iter().any(|entry| entry.id == assertion.credential_id);
        if !self.only.is_empty() {
            signed.assertions.retain(wanted);
        }
        (!signed.assertions.is_empty()).then_some(signed)
    }

    async fn sign<C: Channel>(&self, key: &mut Key<C>, turn: &Turn) -> Result<Signed, Cause> {
        let cancel = turn.cancel();
        let info = key.get_info(cancel).await?;
        if !self.may_reach(&info) {
            return Err(Unsuitable::Transport.into());
        }
        turn.begin(key).await?;
        if let Some(signed) = self.sign_by_u2f(key, &info, cancel).await? {
            return Ok(signed);
        }
        let circumstances = Circumstances {
            browser: self.client.browser,
            wanted: self.user_verification(&info),
            discoverable: self.options.allow_credentials.is_empty(),
            secret: extensions::evaluates_secret(&self.options.extensions, &info),
            can_ask: self.client.ask_for_pin.is_some(),
        };
        let method = user_verification::for_get_assertion(&info, circumstances);
        let method = self.client.unless_forced(method, Method::Nothing)?;
        let writes = if self.blob_to_write().is_some() { Permissions::LBW } else { Permissions::default() };
        let purpose = Purpose { permissions: Permissions::GA | writes, rp_id: Some(&self.rp_id) };
        let verification = method.verify(key, self.client.ask_for_pin.as_deref(), purpose, turn).await?;
        let allow_list = self.allow_list(key, &info, &verification, cancel).await?;
        let extensions = &self.options.extensions;
        let mut inputs = extensions::request_inputs(extensions, &info);
        let mut secret = None;
        let only = match &allow_list[..] {
            [only] => Some(&only.id[..]),
            _ => None,
        };
        if let Some(values) = extensions.prf.as_ref().and_then(|prf| extensions::request_salts(prf, &info, only)) {
            let (key_agreement, shared) = key.shared_secret(&info, cancel).await?;
            inputs.hmac_secret = Some(extensions::hmac_secret_input(values, key_agreement, &shared)?);
            secret = Some(shared);
        }
        let request = get_assertion::Request {
            relying_party_id: self.rp_id.clone(),
            client_data_hash: self.client_data_hash,
            allow_list: allow_list.clone(),
            extensions: inputs.encode(),
            options: Options { rk: None, up: None, uv: verification.uv_option() },
            pin_uv_auth: verification.authenticate(&self.client_data_hash),
        };
        let asked = Asked { allow_list: &allow_list, extensions: request.extensions.clone() };
        let first = key.get_assertion(request, cancel).await?;
        let more = match first.number_of_credentials {
            // The user chose already.
            Some(_) if first.user_selected == Some(true) => 0,
            Some(number) if number > MAX_ACCOUNTS => {
                return Err(invalid(Command::GetAssertion, InvalidResponse::TooManyCredentials(number)));
            }
            number => number.unwrap_or(1).saturating_sub(1),
        };
        let mut checked = vec![self.check(Command::GetAssertion, &asked, first)?];
        for _ in 0..more {
            let next = key.get_next_assertion(cancel).await?;
            checked.push(self.check(Command::GetNextAssertion, &asked, next)?);
        }
        let mut assertions = Vec::new();
        for (data, credential_id, response) in checked {
            let large_blob = self.large_blob(key, &response, &verification, cancel).await?;
            let mut extension_results = extensions::request_results(extensions, &data, large_blob, secret.as_ref())
                .map_err(|status| invalid(Command::GetAssertion, InvalidResponse::Undecodable(status)))?;
            if self.app_id.is_some() {
                extension_results.insert("appid".to_owned(), Value::Bool(false));
            }
            assertions.push(Assertion { credential_id, response, extension_results });
        }
        Ok(Signed { info, assertions })
    }

    /// By U2F: all that some keys speak, and the way to credentials that were registered for an AppID.
    async fn sign_by_u2f<C: Channel>(
        &self,
        key: &mut Key<C>,
        info: &get_info::Response,
        cancel: &Cancel,
    ) -> Result<Option<Signed>, Cause> {
        let nothing_else = u2f::is_all_that(info);
        let required = self.options.user_verification == Requirement::Required;
        if required && self.client.rules == Rules::Enforced {
            // U2F verifies nobody.
            return if nothing_else { Err(Unsuitable::UserVerification.into()) } else { Ok(None) };
        }
        let own = nothing_else.then(|| client_data::hash(self.rp_id.as_bytes()));
        let by_app_id = self.app_id.filter(|_| nothing_else || u2f::is_spoken_by(info));
        let applications: Vec<_> = [own, by_app_id].into_iter().flatten().collect();
        if applications.is_empty() {
            return Ok(None);
        }
        let found = key.find_u2f(&self.options.allow_credentials, &applications, cancel).await?;
        let Some((key_handle, application)) = found else {
            return if nothing_else { Err(Unsuitable::Credential.into()) } else { Ok(None) };
        };
        let response = key.u2f_authenticate(key_handle, application, self.client_data_hash, cancel).await?;
        let data = AuthenticatorData::decode(&response.authenticator_data)
            .map_err(|error| invalid(Command::GetAssertion, InvalidResponse::AuthenticatorData(error)))?;
        let extensions = &self.options.extensions;
        let large_blob = self.large_blob_over_u2f();
        let mut extension_results = extensions::request_results(extensions, &data, large_blob, None)
            .map_err(|status| invalid(Command::GetAssertion, InvalidResponse::Undecodable(status)))?;
        if self.app_id.is_some() {
            extension_results.insert("appid".to_owned(), Value::Bool(Some(application) == self.app_id));
        }
        let assertion = Assertion { credential_id: key_handle.to_vec(), response, extension_results };
        Ok(Some(Signed { info: info.clone(), assertions: vec![assertion] }))
    }

    /// U2F has no blobs.
    fn large_blob_over_u2f(&self) -> Option<LargeBlobOutcome> {
        let wanted = self.options.extensions.large_blob.as_ref()?;
        match (&wanted.write, wanted.read) {
            (Some(_), _) => Some(LargeBlobOutcome::Written(false)),
            (None, Some(true)) => Some(LargeBlobOutcome::Read(None)),
            (None, _) => None,
        }
    }

    fn blob_to_write(&self) -> Option<&[u8]> {
        self.options.extensions.large_blob.as_ref()?.write.as_deref()
    }

    /// What the page wants; with a blob to write, a key that has a PIN takes it from nobody who is not verified.
    fn user_verification(&self, info: &get_info::Response) -> Requirement {
        match self.options.user_verification {
            Requirement::Discouraged
                if self.blob_to_write().is_some() && info.option(OptionId::ClientPin) == Some(true) =>
            {
                Requirement::Preferred
            }
            wanted => wanted,
        }
    }

    /// Reads or writes the blob of the credential that signed. That it cannot be is an answer (WebAuthn Level 3 §10.1.5).
    async fn large_blob<C: Channel>(
        &self,
        key: &mut Key<C>,
        response: &get_assertion::Response,
        verification: &Verification,
        cancel: &Cancel,
    ) -> Result<Option<LargeBlobOutcome>, Cause> {
        let Some(wanted) = &self.options.extensions.large_blob else { return Ok(None) };
        let blob_key = response.large_blob_key.as_deref().and_then(|key| LargeBlobKey::try_from(key).ok());
        if let Some(blob) = &wanted.write {
            let written = match &blob_key {
                Some(blob_key) => key.write_large_blob(blob_key, blob, verification.token(), cancel).await,
                None => Err(Unsuitable::LargeBlob.into()),
            };
            return match written {
                Ok(()) => Ok(Some(LargeBlobOutcome::Written(true))),
                Err(Cause::Channel(error)) => Err(error.into()),
                Err(cause) => {
                    tracing::debug!(%cause, "the large blob was not written");
                    Ok(Some(LargeBlobOutcome::Written(false)))
                }
            };
        }
        if wanted.read != Some(true) {
            return Ok(None);
        }
        let Some(blob_key) = &blob_key else { return Ok(Some(LargeBlobOutcome::Read(None))) };
        match key.large_blob(blob_key, cancel).await {
            Ok(blob) => Ok(Some(LargeBlobOutcome::Read(blob))),
            Err(Cause::Channel(error)) => Err(error.into()),
            Err(cause) => {
                tracing::debug!(%cause, "the large blob was not read");
                Ok(Some(LargeBlobOutcome::Read(None)))
            }
        }
    }

    /// As Chromium: a key is asked if any entry may be on it; an entry that says nothing may be anywhere.
    fn may_reach(&self, info: &get_info::Response) -> bool {
        let transports = transports(info);
        let reachable = |entry: &CredentialDescriptor| match entry.transports.as_deref() {
            None | Some([]) => true,
            Some(listed) => listed.iter().any(|transport| transports.contains(transport)),
        };
        self.options.allow_credentials.is_empty() || self.options.allow_credentials.iter().any(reachable)
    }

    /// What to send of the allow list. A list of which nothing is left must never be sent empty: that would ask for any
    /// credential.
    async fn allow_list<C: Channel>(
        &self,
        key: &mut Key<C>,
        info: &get_info::Response,
        verification: &Verification,
        cancel: &Cancel,
    ) -> Result<Vec<CredentialDescriptor>, Cause> {
        if self.options.allow_credentials.is_empty() {
            return Ok(Vec::new());
        }
        let token = verification.token();
        let size = |part: &[CredentialDescriptor]| credential_list::silent_size(&self.rp_id, part, token);
        let parts = credential_list::parts(&self.options.allow_credentials, info, size);
        let prf = self.options.extensions.prf.as_ref();
        let found = match (self.client.browser.at_keys(), &parts[..]) {
            (AtKeys::Chromium, [all]) if !extensions::needs_to_know_the_credential(prf, all) => Some(all.clone()),
            _ => credential_list::find(key, &self.rp_id, parts, token, |_| true, cancel).await?,
        };
        found.ok_or_else(|| Unsuitable::Credential.into())
    }

    fn check(
        &self,
        command: Command,
        asked: &Asked<'_>,
        response: get_assertion::Response,
    ) -> Result<(AuthenticatorData, Vec<u8>, get_assertion::Response), Cause> {
        let credential_id = match (&response.credential, asked.allow_list) {
            (Some(credential), list)
                if list.is_empty()
                    || self.client.rules == Rules::ForcedPast
                    || list.iter().any(|entry| entry.id == credential.id) =>
            {
                credential.id.clone()
            }
            (None, [only]) => only.id.clone(),
            _ => return Err(invalid(command, InvalidResponse::Credential)),
        };
        let data = AuthenticatorData::decode(&response.authenticator_data)
            .map_err(|error| invalid(command, InvalidResponse::AuthenticatorData(error)))?;
        if self.client.rules == Rules::Enforced {
            if data.rp_id_hash != client_data::hash(self.rp_id.as_bytes()) {
                return Err(invalid(command, InvalidResponse::RpIdHash));
            }
            if self.client.browser.at_keys() == AtKeys::Chromium {
                let (extensions, discovered) = (asked.extensions.as_ref(), asked.allow_list.is_empty());
                response::check_assertion(extensions, discovered, &response, &data)
                    .map_err(|error| invalid(command, error))?;
            }
        }
        Ok((data, credential_id, response))
    }
}

fn invalid(command: Command, error: InvalidResponse) -> Cause {
    Cause::InvalidResponse { command, error }
}

fn credential(info: &get_info::Response, assertion: Assertion, client_data_json: Vec<u8>) -> AuthenticationCredential {
    let Assertion { credential_id, response, extension_results } = assertion;
    AuthenticationCredential {
        id: Base64Url(credential_id.clone()),
        raw_id: Base64Url(credential_id),
        response: AssertionResponse {
            client_data_json: Base64Url(client_data_json),
            authenticator_data: Base64Url(response.authenticator_data),
            signature: Base64Url(response.signature),
            user_handle: response.user.map(|user| Base64Url(user.id)),
        },
        authenticator_attachment: Some(attachment(info).name().to_owned()),
        client_extension_results: extension_results,
        kind: PUBLIC_KEY.to_owned(),
    }
}

#[cfg(test)]
mod tests;
