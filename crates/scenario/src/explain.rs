//! A ceremony that somebody recorded, explained: what a browser and a relying party say of it, check by check; what a browser's
//! exception can mean; what a code stands for.

mod codes;
mod exceptions;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::{Browser, Client, Origin};
use keyrig_ctap::Aaguid;
use keyrig_relying_party::{DecidedBy, Policy};
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, Check, CredentialRecord, GivenPublicKey, InvalidRecording,
    OriginRule, Recording, RegistrationExpectations, RegistrationResponse, Report, Scrap, StoredRegistration,
    Structure, User, UserVerification, WebauthnRs, verify_authentication, verify_registration,
};
use serde::Serialize;
use serde_json::Value;

#[cfg(target_os = "linux")]
pub(crate) use self::codes::of_status;
pub use self::codes::{Code, Seen, code, codes, nearest, status_in};
pub use self::exceptions::{Exception, Meaning, exception};

/// What is known of the relying party beside the recording.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The origins that it expects. Without any, that of the page is taken for right.
    pub origins: Vec<OriginRule>,
    /// The RP ID. Without it, that of the options counts, and then the page's domain.
    pub rp_id: Option<String>,
    /// The public key of logins whose registration is not in the recording.
    pub public_key: Option<GivenPublicKey>,
    /// How it behaves where relying parties differ. Without it, the specification's letter counts and what the options say.
    pub policy: Option<Policy>,
}

/// A recording, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// What is written otherwise than WebAuthn's JSON has it.
    pub notes: Vec<String>,
    /// Each response that was found.
    pub ceremonies: Vec<Explanation>,
    /// Why further responses cannot be read, by a server neither.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// Structures without a ceremony.
    pub structures: Vec<Named>,
    /// How many options have no response.
    pub unanswered: usize,
    /// What the text says beside options that have no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
}

/// A response with what is said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The RP ID that it was held to.
    pub rp_id: String,
    /// Where the page was, by the client data.
    pub origin: Option<String>,
    /// What the recording does not say, and what was taken for it.
    pub assumed: Vec<String>,
    /// Why a browser would not let a page from there use that RP ID, if it would not.
    pub browser: Option<String>,
    /// Every check.
    pub report: Report,
    /// The binary structures in it.
    pub structures: Vec<Named>,
}

/// A structure and its bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Its name, as a member of the response.
    pub name: &'static str,
    /// Its bytes in hexadecimal.
    pub hex: String,
    /// What is in it.
    #[serde(flatten)]
    pub structure: Structure,
}

impl Named {
    fn client_data_json(bytes: &[u8]) -> Self {
        Self::new("clientDataJSON", bytes, Structure::of_client_data_json(bytes))
    }

    fn attestation_object(bytes: &[u8]) -> Self {
        Self::new("attestationObject", bytes, Structure::of_attestation_object(bytes))
    }

    fn authenticator_data(bytes: &[u8]) -> Self {
        Self::new("authenticatorData", bytes, Structure::of_authenticator_data(bytes))
    }

    fn new(name: &'static str, bytes: &[u8], structure: Structure) -> Self {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name, hex, structure }
    }
}

/// Explains what was recorded; `now` is when certificates have to be valid.
///
/// # Errors
/// [`InvalidRecording`], if there is nothing to explain.
pub fn explain(recorded: &[u8], known: &Known, now: SystemTime) -> Result<Explained, InvalidRecording> {
    let recording = Recording::read(recorded)?;
    let mut explaining = Explaining { known, recording: &recording, records: Vec::new(), now };
    let mut ceremonies = Vec::new();
    for response in &recording.registrations {
        ceremonies.push(explaining.registration(response));
    }
    for response in &recording.authentications {
        ceremonies.push(explaining.authentication(response));
    }
    let structures = recording.scraps.iter().map(|scrap| match scrap {
        Scrap::ClientDataJson(bytes) => Named::client_data_json(bytes),
        Scrap::AttestationObject(bytes) => Named::attestation_object(bytes),
        Scrap::AuthenticatorData(bytes) => Named::authenticator_data(bytes),
    });
    let options = recording.creations.len() + recording.requests.len();
    let unreadable: Vec<_> = recording.unreadable.iter().map(ToString::to_string).collect();
    let answers = ceremonies.len() + unreadable.len();
    let is_unanswered = options > 0 && answers == 0;
    Ok(Explained {
        exception: if is_unanswered { exception(&String::from_utf8_lossy(recorded)) } else { None },
        structures: structures.collect(),
        unanswered: options.saturating_sub(answers),
        ceremonies,
        unreadable,
        notes: recording.notes.clone(),
    })
}

struct Explaining<'a> {
    known: &'a Known,
    recording: &'a Recording,
    /// What the registrations would leave behind, and where it comes from.
    records: Vec<(CredentialRecord, &'a RegistrationResponse)>,
    now: SystemTime,
}

/// What client data says, read for nothing but to find what belongs to it.
struct Said {
    challenge: Vec<u8>,
    origin: Option<String>,
}

impl Said {
    fn of(client_data_json: &[u8]) -> Self {
        let members: Value = serde_json::from_slice(client_data_json).unwrap_or_default();
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let challenge = text("challenge").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
        Self { challenge, origin: text("origin").map(str::to_owned) }
    }
}

/// The options that a response answers: those with its challenge, else the last.
fn answered<'a, T>(options: &'a [T], challenge: impl Fn(&T) -> &[u8], said: &Said) -> Option<&'a T> {
    options.iter().find(|it| challenge(it) == said.challenge).or(options.last())
}

impl<'a> Explaining<'a> {
    fn registration(&mut self, response: &'a RegistrationResponse) -> Explanation {
        let said = Said::of(&response.client_data_json);
        let mut assumed = Vec::new();
        let options = answered(&self.recording.creations, |it| &it.challenge, &said).cloned();
        let options = options.unwrap_or_else(|| {
            assumed.push("the options are not there: the challenge is taken for right".to_owned());
            keyrig_verifier::RecordedCreation { challenge: said.challenge.clone(), ..Default::default() }
        });
        let rp_id = self.rp_id(options.rp_id.as_deref(), &said, &mut assumed);
        let origins = self.origins(&said, &mut assumed);
        let mut expected = RegistrationExpectations {
            user_verification: options.user_verification,
            ..RegistrationExpectations::new(&options.challenge, &rp_id, &origins, &options.user_id, self.now)
        };
        if let Some(policy) = &self.known.policy {
            policy.hold_registration(&mut expected);
        }
        // What was asked for counts, whoever would ask for something else.
        if !options.algorithms.is_empty() {
            expected.algorithms = &options.algorithms;
        }
        let mut registration = verify_registration(response, &expected);
        if let Some(judge) = self.webauthn_rs(&rp_id, &origins, options.user_verification) {
            registration = registration.decided_by(judge.judge_registration(response, &options.challenge));
        }
        self.records.extend(registration.readable_record().cloned().map(|record| (record, response)));
        let structures = vec![
            Named::client_data_json(&response.client_data_json),
            Named::attestation_object(&response.attestation_object),
        ];
        Explanation {
            browser: browser(&said, &rp_id),
            rp_id,
            origin: said.origin,
            assumed,
            report: registration.report,
            structures,
        }
    }

    fn authentication(&mut self, response: &AuthenticationResponse) -> Explanation {
        let said = Said::of(&response.client_data_json);
        let mut assumed = Vec::new();
        let options = answered(&self.recording.requests, |it| &it.challenge, &said).cloned();
        let options = options.unwrap_or_else(|| {
            assumed.push("the options are not there: the challenge is taken for right".to_owned());
            keyrig_verifier::RecordedRequest { challenge: said.challenge.clone(), ..Default::default() }
        });
        let rp_id = self.rp_id(options.rp_id.as_deref(), &said, &mut assumed);
        let origins = self.origins(&said, &mut assumed);
        let registered = self.records.iter().find(|(record, _)| record.id == response.raw_id);
        let given = self.known.public_key.as_ref().filter(|_| registered.is_none());
        let given = given.map(|key| record_of(key, response, &mut assumed));
        let record = registered.map(|(record, _)| record).or(given.as_ref());
        if record.is_none() {
            assumed.push(
                "the credential's registration is not there: without its public key the signature says nothing"
                    .to_owned(),
            );
        }
        let mut expected = AuthenticationExpectations {
            user_verification: options.user_verification,
            user: User::Identified,
            ..AuthenticationExpectations::new(&options.challenge, &rp_id, &origins, &options.allow_credentials, record)
        };
        if let Some(policy) = &self.known.policy {
            policy.hold_authentication(&mut expected);
        }
        let mut authentication = verify_authentication(response, &expected);
        match (self.webauthn_rs(&rp_id, &origins, options.user_verification), registered) {
            (Some(judge), Some((record, of))) => {
                let registration = StoredRegistration {
                    client_data_json: &of.client_data_json,
                    attestation_object: &of.attestation_object,
                };
                let decision = judge.judge_authentication(response, &options.challenge, record, registration);
                authentication = authentication.decided_by(decision);
            }
            (Some(_), None) => assumed.push(
                "webauthn-rs, which decides in this policy, judges a login by its registration, which is not there: keyrig's \
                 checks are told instead"
                    .to_owned(),
            ),
            (None, _) => {}
        }
        let mut report = authentication.report;
        if record.is_none()
            && let Some(finding) = report.findings.iter_mut().find(|finding| finding.check == Check::CredentialRecord)
        {
            // That is of the recording, and refuses nothing.
            finding.enforced = false;
            finding.found = "none in the recording".into();
        }
        let structures = vec![
            Named::client_data_json(&response.client_data_json),
            Named::authenticator_data(&response.authenticator_data),
        ];
        Explanation { browser: browser(&said, &rp_id), rp_id, origin: said.origin, assumed, report, structures }
    }

    /// webauthn-rs, in the policy in which it decides.
    fn webauthn_rs<'e>(&self, rp_id: &'e str, origins: &'e [OriginRule], required: bool) -> Option<WebauthnRs<'e>> {
        let policy = self.known.policy.as_ref().filter(|policy| policy.decided_by == DecidedBy::WebauthnRs)?;
        let user_verification = if required { UserVerification::Required } else { policy.for_webauthn_rs() };
        Some(WebauthnRs { rp_id, origins, user_verification })
    }

    fn rp_id(&self, of_options: Option<&str>, said: &Said, assumed: &mut Vec<String>) -> String {
        let given = self.known.rp_id.as_deref().or(of_options).map(str::to_owned);
        given.unwrap_or_else(|| {
            let page = said.origin.as_deref().and_then(|origin| origin.parse::<Origin>().ok()?.host());
            let rp_id = page.unwrap_or_default();
            assumed.push(format!("no RP ID is there: {rp_id}, the page's own domain, is taken for it"));
            rp_id
        })
    }

    fn origins(&self, said: &Said, assumed: &mut Vec<String>) -> Vec<OriginRule> {
        if !self.known.origins.is_empty() {
            return self.known.origins.clone();
        }
        let rule = said.origin.as_ref().and_then(|origin| OriginRule::exact(origin.clone()).ok());
        if let Some(rule) = &rule {
            assumed.push(format!(
                "no recording says which origin the site expects: {rule}, the page's own, is taken for right"
            ));
        }
        rule.into_iter().collect()
    }
}

/// What a relying party would have of a credential of which nothing but the public key is known.
fn record_of(key: &GivenPublicKey, response: &AuthenticationResponse, assumed: &mut Vec<String>) -> CredentialRecord {
    assumed.push(format!(
        "the public key ({}) was given; what else its registration said, counter and backup eligibility, is taken for right",
        key.form
    ));
    assumed.extend(key.assumed.map(str::to_owned));
    // The flags of authenticator data follow the hash of the RP ID (WebAuthn Level 3, §6.1).
    let flags = response.authenticator_data.get(32).copied().unwrap_or_default();
    CredentialRecord {
        id: response.raw_id.clone(),
        public_key: key.cose.clone(),
        sign_count: 0,
        uv_initialized: true,
        transports: Vec::new(),
        backup_eligible: flags & 0x08 != 0,
        backup_state: false,
        aaguid: Aaguid::default(),
        user_handle: response.user_handle.clone().unwrap_or_default(),
    }
}

fn browser(said: &Said, rp_id: &str) -> Option<String> {
    let origin: Origin = said.origin.as_deref()?.parse().ok()?;
    let page = Client::new(origin).in_browser(Browser::Chromium);
    page.check_page(Some(rp_id)).err().map(|error| error.to_string())
}
