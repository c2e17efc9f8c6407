//! create(): a new credential (WebAuthn Level 3 §5.1.3, CTAP 2.3 §6.1.1).

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::entities::{
    CredentialDescriptor, CredentialParameters, Options, PUBLIC_KEY, PinUvAuth, RelyingParty, User,
};
use keyrig_ctap::extensions::MakeCredentialInputs;
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Aaguid, Command, Request, Status, get_info, make_credential};

use serde_json::{Map, Value};

use crate::browser::{AtKeys, Browser};
use crate::ceremony::{self, DEFAULT_TRANSPORT, Turn, Verdict, race, settle};
use crate::channel::{Cancel, Channel};
use crate::client::{Client, Rules};
use crate::client_data::{self, ClientData};
use crate::credential_list;
use crate::error::{Cause, ClientError, DomException, InvalidResponse, Refusal, Unsuitable};
use crate::extensions;
use crate::json::{
    Attachment, Attestation, AttestationResponse, Base64Url, CreationOptions, Mediation, RegistrationCredential,
    Requirement,
};
use crate::key::Key;
use crate::pin_uv_auth_protocol::SharedSecret;
use crate::pin_uv_auth_token::Purpose;
use crate::public_key;
use crate::response;
use crate::u2f;
use crate::user_verification::{self, Circumstances, Method, Verification};
use crate::weight::Ceremony;

/// Most bytes in a user handle (WebAuthn Level 3 §5.4.3).
const MAX_USER_HANDLE: usize = 64;

/// ES256 and RS256, for a page that names none (WebAuthn Level 3 §5.1.3 step 9).
const DEFAULT_ALGORITHMS: [i64; 2] = [-7, -257];

/// What all keys are asked, before it is known what each can do.
struct Wanted<'a> {
    client: &'a Client,
    options: &'a CreationOptions,
    rp_id: String,
    client_data_hash: [u8; 32],
    parameters: Vec<CredentialParameters>,
    /// The application parameter of `appidExclude`.
    app_id_exclude: Option<[u8; 32]>,
}

/// A key's answer, checked.
struct Made {
    info: get_info::Response,
    response: make_credential::Response,
    attested: AttestedCredentialData,
    algorithm: i64,
    extension_results: Map<String, Value>,
}

impl Client {
    /// `navigator.credentials.create()`: makes a credential on the key that is touched first. `abort` is the page's
    /// `AbortSignal`. The keys can be used again afterwards, whatever came of it.
    ///
    /// As Chromium and Firefox, it accepts an empty `user.id`, which the specification does not. The AAGUID is kept when no attestation
    /// is wanted, as Level 3 and Firefox have it; Chromium still overwrites that of a security key with zeros.
    ///
    /// With [`Mediation::Conditional`] Chromium makes no credential on a key: it does so without a touch, which no key does. Firefox knows
    /// no mediation here and asks for the touch.
    ///
    /// # Errors
    /// [`ClientError`]: what the page sees, and why.
    pub async fn create<C: Channel>(
        &self,
        options: &CreationOptions,
        keys: &mut [Key<C>],
        abort: Cancel,
    ) -> Result<RegistrationCredential, ClientError> {
        self.check_secure_context(Some("create"))?;
        self.check_permission(Ceremony::Create)?;
        self.check_user_handle(options.user.id.len())?;
        self.check_length("excludeCredentials", options.exclude_credentials.len())?;
        let rp_id = self.rp_id(options.rp.id.as_deref())?;
        let parameters = parameters(self.browser, options)?;
        let client_data_json = self.client_data_json(ClientData::CREATE, &options.challenge);
        let client_data_hash = client_data::hash(&client_data_json);
        extensions::check_creation(self.browser, &options.extensions)?;
        let app_id_exclude = options.extensions.app_id_exclude.as_deref();
        let app_id_exclude = match self.browser {
            Browser::Chromium => self.app_id(app_id_exclude)?,
            // It does not mind one that is not the page's.
            Browser::Firefox => self.app_id(app_id_exclude).unwrap_or_default(),
            // WebKit does not know this extension.
            Browser::Safari => None,
        };
        self.check_creation_is_modal()?;
        let wanted = Wanted { client: self, app_id_exclude, options, rp_id, client_data_hash, parameters };
        let wanted = &wanted;
        let made = race((self.browser, Ceremony::Create), keys, self.timeout(options.timeout), abort, |key, turn| {
            Box::pin(async move {
                match wanted.make(key, &turn).await {
                    Ok(made) => Verdict::Answered(made),
                    Err(cause) => settle(key, cause, &turn).await,
                }
            })
        })
        .await?;
        Ok(credential(made, options.attestation, client_data_json))
    }
}

impl Client {
    fn check_user_handle(&self, length: usize) -> Result<(), ClientError> {
        let refusal = match (length, self.browser) {
            (0, Browser::Safari) => Refusal::UserHandleEmpty,
            (0..=MAX_USER_HANDLE, _) => return Ok(()),
            _ => Refusal::UserHandleTooLong { length },
        };
        Err(refusal.named(DomException::TypeError))
    }

    /// What is made without a touch, by a passkey provider, is made on no key (WebAuthn Level 3 §5.1.3 steps 1 and 22).
    fn check_creation_is_modal(&self) -> Result<(), ClientError> {
        match (self.mediation, self.browser.at_keys()) {
            (Mediation::Silent, _) => Err(Refusal::SilentMediation.named(DomException::NotSupportedError)),
            (Mediation::Conditional, AtKeys::Chromium) => {
                Err(Refusal::ConditionalCreation.named(DomException::NotAllowedError))
            }
            (Mediation::Conditional, AtKeys::Firefox) | (Mediation::Modal, _) => Ok(()),
        }
    }
}

fn parameters(browser: Browser, options: &CreationOptions) -> Result<Vec<CredentialParameters>, ClientError> {
    if options.parameters.is_empty() {
        return Ok(DEFAULT_ALGORITHMS.map(CredentialParameters::public_key).to_vec());
    }
    let known: Vec<_> = options.parameters.iter().filter(|parameters| parameters.kind == PUBLIC_KEY).cloned().collect();
    let unknown = options.parameters.iter().find(|parameters| parameters.kind != PUBLIC_KEY);
    if let (Browser::Safari, Some(unknown)) = (browser, unknown) {
        return Err(Refusal::UnknownParameters(unknown.kind.clone()).named(DomException::NotSupportedError));
    }
    if known.is_empty() {
        return Err(Refusal::NoPublicKeyParameters.named(DomException::NotSupportedError));
    }
    Ok(known)
}

impl Wanted<'_> {
    async fn make<C: Channel>(&self, key: &mut Key<C>, turn: &Turn) -> Result<Made, Cause> {
        let cancel = turn.cancel();
        let info = key.get_info(cancel).await?;
        self.check_attachment(&info)?;
        turn.begin(key).await?;
        let mut request = self.request(&info)?;
        let discoverable = request.options.rk == Some(true);
        let method = self.user_verification(&info, discoverable)?;
        if u2f::is_all_that(&info) || (method == Method::Nothing && self.pin_is_gone_around(&info, discoverable)) {
            return self.make_by_u2f(key, info, turn).await;
        }
        self.check_algorithms(&info)?;
        let mut inputs = extensions::creation_inputs(self.client.browser, self.options, &info, discoverable)?;
        if u2f::is_spoken_by(&info)
            && let Some(application) = self.app_id_exclude
            && key.find_u2f(&self.options.exclude_credentials, &[application], cancel).await?.is_some()
        {
            ceremony::await_touch(key, cancel).await?;
            return Err(Unsuitable::Excluded.into());
        }
        request.pin_uv_auth = method.placeholder();
        let parts = self.exclude_list(&info, &request);
        // Asking silently what is on the key takes the permission to get assertions.
        let permissions = Permissions::MC | Permissions::GA;
        let purpose = Purpose { permissions, rp_id: Some(&self.rp_id) };
        let verification = method.verify(key, self.client.ask_for_pin.as_deref(), purpose, turn).await?;
        request.options.uv = verification.uv_option();
        request.pin_uv_auth = verification.authenticate(&self.client_data_hash);
        request.exclude_list = self.what_to_exclude(key, parts, &verification, cancel).await?;
        let mut secret = None;
        if let Some(values) = extensions::creation_salts(&self.options.extensions, &info) {
            let (key_agreement, shared) = key.shared_secret(&info, cancel).await?;
            inputs.hmac_secret_mc = Some(extensions::hmac_secret_input(values, key_agreement, &shared)?);
            secret = Some(shared);
        }
        request.extensions = inputs.encode();
        let response = match key.make_credential(request.clone(), cancel).await {
            Err(Cause::Status { status: Status::KeyStoreFull, .. })
                if discoverable
                    && self.client.browser.at_keys() == AtKeys::Chromium
                    && self.only_prefers_discoverable() =>
            {
                request.options.rk = None;
                key.make_credential(request.clone(), cancel).await?
            }
            answer => answer?,
        };
        self.made(info, &request, &inputs, response, secret.as_ref())
    }

    fn only_prefers_discoverable(&self) -> bool {
        self.options.authenticator_selection.discoverable() == Requirement::Preferred
    }

    /// What of the exclude list is sent. If it has to be cut, at most the one entry that is on the key: it will refuse, once it
    /// is touched.
    async fn what_to_exclude<C: Channel>(
        &self,
        key: &mut Key<C>,
        parts: Vec<Vec<CredentialDescriptor>>,
        verification: &Verification,
        cancel: &Cancel,
    ) -> Result<Vec<CredentialDescriptor>, Cause> {
        let token = verification.token();
        let parts = match (self.client.browser.at_keys(), <[_; 1]>::try_from(parts)) {
            (AtKeys::Chromium, Ok([whole])) => return Ok(whole),
            (AtKeys::Chromium, Err(parts)) => parts,
            (AtKeys::Firefox, parts) => {
                let parts = parts.map_or_else(|parts| parts, Vec::from);
                return Ok(credential_list::find(key, &self.rp_id, parts, token, |_| true, cancel)
                    .await?
                    .unwrap_or_default());
            }
        };
        match credential_list::find(key, &self.rp_id, parts, token, credential_list::is_unrecognised, cancel).await {
            Ok(found) => Ok(found.unwrap_or_default()),
            // It is out, but not before it was touched.
            Err(cause) => {
                ceremony::await_dummy(key, cancel).await?;
                Err(cause)
            }
        }
    }

    fn made(
        &self,
        info: get_info::Response,
        request: &make_credential::Request,
        inputs: &MakeCredentialInputs,
        response: make_credential::Response,
        secret: Option<&SharedSecret>,
    ) -> Result<Made, Cause> {
        let invalid = |error| Cause::InvalidResponse { command: Command::MakeCredential, error };
        let mut data = AuthenticatorData::decode(&response.authenticator_data)
            .map_err(|error| invalid(InvalidResponse::AuthenticatorData(error)))?;
        let attested = data.attested_credential_data.take();
        let attested = attested.ok_or_else(|| invalid(InvalidResponse::NoAttestedCredentialData))?;
        let algorithm =
            public_key::algorithm(&attested.public_key).ok_or_else(|| invalid(InvalidResponse::Algorithm))?;
        if self.client.rules == Rules::Enforced {
            if data.rp_id_hash != client_data::hash(self.rp_id.as_bytes()) {
                return Err(invalid(InvalidResponse::RpIdHash));
            }
            if self.client.browser.at_keys() == AtKeys::Chromium {
                response::check_creation(request, inputs, &response, &data).map_err(invalid)?;
            }
        }
        let discoverable = request.options.rk == Some(true);
        let (extensions, blob_key) = (&self.options.extensions, response.large_blob_key.as_deref());
        let extension_results = extensions::creation_results(extensions, &data, discoverable, blob_key, secret)
            .map_err(|status| invalid(InvalidResponse::Undecodable(status)))?;
        Ok(Made { info, response, attested, algorithm, extension_results })
    }

    /// A key of CTAP 2.0 with a PIN makes no credential without it. Where the page can do without, Chromium goes around it by
    /// U2F.
    fn pin_is_gone_around(&self, info: &get_info::Response, discoverable: bool) -> bool {
        let wants_pin =
            info.option(OptionId::ClientPin) == Some(true) && info.option(OptionId::MakeCredUvNotRqd) != Some(true);
        wants_pin && self.client.browser.at_keys() == AtKeys::Chromium && self.u2f_possible(info, discoverable)
    }

    /// Whether U2F can make what the page wants.
    fn u2f_possible(&self, info: &get_info::Response, discoverable: bool) -> bool {
        let extensions = &self.options.extensions;
        let takes_ctap2 = extensions.prf.is_some()
            || extensions.hmac_create_secret
            || extensions.credential_protection_policy.is_some()
            || extensions.large_blob.is_some()
            || extensions.cred_blob.is_some()
            || extensions.min_pin_length;
        u2f::is_spoken_by(info) && !discoverable && !takes_ctap2 && self.wants_es256()
    }

    fn wants_es256(&self) -> bool {
        self.parameters.iter().any(|parameters| parameters.algorithm == u2f::ALGORITHM)
    }

    async fn make_by_u2f<C: Channel>(
        &self,
        key: &mut Key<C>,
        info: get_info::Response,
        turn: &Turn,
    ) -> Result<Made, Cause> {
        if !self.wants_es256() {
            return Err(Unsuitable::Algorithm.into());
        }
        // What the page cannot do without.
        let inputs = extensions::creation_inputs(self.client.browser, self.options, &info, false)?;
        let cancel = turn.cancel();
        let application = client_data::hash(self.rp_id.as_bytes());
        let applications: Vec<_> = [Some(application), self.app_id_exclude].into_iter().flatten().collect();
        if key.find_u2f(&self.options.exclude_credentials, &applications, cancel).await?.is_some() {
            key.u2f_touch(cancel).await?;
            return Err(Unsuitable::Excluded.into());
        }
        let response = key.u2f_register(application, self.client_data_hash, cancel).await?;
        let request = make_credential::Request { options: Options::default(), ..self.request(&info)? };
        self.made(info, &request, &inputs, response, None)
    }

    fn check_attachment(&self, info: &get_info::Response) -> Result<(), Unsuitable> {
        let wanted = self.options.authenticator_selection.attachment;
        if wanted.is_some_and(|wanted| wanted != attachment(info)) { Err(Unsuitable::Attachment) } else { Ok(()) }
    }

    /// Against what the key lists, if it does. Firefox lets the key say.
    fn check_algorithms(&self, info: &get_info::Response) -> Result<(), Unsuitable> {
        let listed = &info.algorithms;
        let common = self.parameters.iter().any(|wanted| listed.iter().any(|own| own.algorithm == wanted.algorithm));
        match self.client.browser.at_keys() {
            AtKeys::Chromium if !listed.is_empty() && !common => Err(Unsuitable::Algorithms),
            _ => Ok(()),
        }
    }

    /// Whether the page would rather have a discoverable credential than not, and the browser thinks that this key can.
    fn would_be_discoverable(&self, info: &get_info::Response) -> bool {
        let full = info.remaining_discoverable_credentials == Some(0);
        let verifies = self.client.ask_for_pin.is_some() || info.option(OptionId::Uv) == Some(true);
        info.option(OptionId::Rk) == Some(true)
            && match self.client.browser.at_keys() {
                AtKeys::Chromium => !full && verifies,
                AtKeys::Firefox => true,
            }
    }

    fn request(&self, info: &get_info::Response) -> Result<make_credential::Request, Unsuitable> {
        let rk = match self.options.authenticator_selection.discoverable() {
            Requirement::Required if info.option(OptionId::Rk) != Some(true) => return Err(Unsuitable::ResidentKey),
            Requirement::Required => Some(true),
            Requirement::Preferred => self.would_be_discoverable(info).then_some(true),
            Requirement::Discouraged => None,
        };
        let user = &self.options.user;
        let wants_attestation = self.options.attestation != Attestation::None;
        let enterprise = self.options.attestation == Attestation::Enterprise
            && info.option(OptionId::Ep) == Some(true)
            && self.client.browser.at_keys() == AtKeys::Chromium;
        let formats =
            if wants_attestation { self.options.attestation_formats.clone() } else { vec!["none".to_owned()] };
        Ok(make_credential::Request {
            client_data_hash: self.client_data_hash,
            relying_party: RelyingParty { id: self.rp_id.clone(), name: Some(self.options.rp.name.clone()) },
            user: User {
                id: user.id.clone(),
                name: Some(user.name.clone()),
                display_name: Some(user.display_name.clone()),
            },
            parameters: self.parameters.clone(),
            exclude_list: Vec::new(),
            extensions: None,
            options: Options { rk, up: None, uv: None },
            pin_uv_auth: PinUvAuth::default(),
            // Vendor-facilitated: the key knows which RP IDs may have it (CTAP 2.3 §7.1.1).
            enterprise_attestation: enterprise.then_some(1),
            // Keys that list no formats are older than this member.
            attestation_formats_preference: (!info.attestation_formats.is_empty() && !formats.is_empty())
                .then_some(formats),
        })
    }

    fn user_verification(&self, info: &get_info::Response, discoverable: bool) -> Result<Method, Unsuitable> {
        let circumstances = Circumstances {
            browser: self.client.browser,
            wanted: self.options.authenticator_selection.user_verification,
            discoverable,
            secret: extensions::wants_secret(&self.options.extensions, info),
            can_ask: self.client.ask_for_pin.is_some(),
        };
        let method = user_verification::for_make_credential(info, circumstances, self.u2f_possible(info, discoverable));
        self.client.unless_forced(method, Method::Nothing)
    }

    fn exclude_list(
        &self,
        info: &get_info::Response,
        request: &make_credential::Request,
    ) -> Vec<Vec<CredentialDescriptor>> {
        let size = |part: &[CredentialDescriptor]| {
            let request = make_credential::Request { exclude_list: part.to_vec(), ..request.clone() };
            Request::MakeCredential(request).encode().len()
        };
        credential_list::parts(&self.options.exclude_credentials, info, size)
    }
}

pub(crate) fn attachment(info: &get_info::Response) -> Attachment {
    if info.option(OptionId::Plat) == Some(true) { Attachment::Platform } else { Attachment::CrossPlatform }
}

/// What the key reports, sorted and each once (WebAuthn Level 3 §5.2.1.1).
pub(crate) fn transports(info: &get_info::Response) -> Vec<String> {
    let mut transports = info.transports.clone();
    if transports.is_empty() {
        transports.push(DEFAULT_TRANSPORT.to_owned());
    }
    transports.sort();
    transports.dedup();
    transports
}

/// Level 3 §5.1.3, "If any authenticator indicates success": without attestation wanted, the statement goes, unless it is
/// a self attestation that says nothing of the model.
fn conveyed(statement: Statement, aaguid: Aaguid, wanted: Attestation) -> Statement {
    match statement {
        statement if wanted != Attestation::None => statement,
        Statement::Packed { ref certificates, .. } if certificates.is_empty() && aaguid == Aaguid::default() => {
            statement
        }
        _ => Statement::None,
    }
}

fn credential(made: Made, attestation: Attestation, client_data_json: Vec<u8>) -> RegistrationCredential {
    let Made { info, response, attested, algorithm, extension_results } = made;
    let statement = conveyed(response.statement, attested.aaguid, attestation);
    RegistrationCredential {
        id: Base64Url(attested.credential_id.clone()),
        raw_id: Base64Url(attested.credential_id),
        response: AttestationResponse {
            client_data_json: Base64Url(client_data_json),
            attestation_object: Base64Url(statement.attestation_object(&response.authenticator_data)),
            authenticator_data: Base64Url(response.authenticator_data),
            transports: transports(&info),
            public_key: public_key::subject_public_key_info(&attested.public_key).map(Base64Url),
            public_key_algorithm: algorithm,
        },
        authenticator_attachment: Some(attachment(&info).name().to_owned()),
        client_extension_results: extension_results,
        kind: PUBLIC_KEY.to_owned(),
    }
}

#[cfg(test)]
mod tests;
