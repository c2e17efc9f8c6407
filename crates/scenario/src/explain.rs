//! A ceremony that somebody recorded, explained: what a browser and a relying party say of it, check by check; what a browser's
//! exception can mean; what a code stands for.

mod codes;
mod exceptions;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::{Browser, Client, Origin};
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, Check, CredentialRecord, InvalidRecording, OriginRule,
    Recording, RegistrationExpectations, RegistrationResponse, Report, SUPPORTED_ALGORITHMS, Scrap, Structure, User,
    verify_authentication, verify_registration,
};
use serde::Serialize;
use serde_json::Value;

pub use self::codes::{Code, code, codes};
pub use self::exceptions::{Exception, Meaning, exception};

/// What is known of the relying party beside the recording.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The origins that it expects. Without any, that of the page is taken for right.
    pub origins: Vec<OriginRule>,
    /// The RP ID. Without it, that of the options counts, and then the page's domain.
    pub rp_id: Option<String>,
}

/// A recording, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// What is written otherwise than WebAuthn's JSON has it.
    pub notes: Vec<String>,
    /// Each response that was found.
    pub ceremonies: Vec<Explanation>,
    /// Structures without a ceremony.
    pub structures: Vec<Named>,
    /// How many options have no response.
    pub unanswered: usize,
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
    Ok(Explained {
        structures: structures.collect(),
        unanswered: options.saturating_sub(ceremonies.len()),
        ceremonies,
        notes: recording.notes.clone(),
    })
}

struct Explaining<'a> {
    known: &'a Known,
    recording: &'a Recording,
    /// What the registrations would leave behind.
    records: Vec<CredentialRecord>,
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

impl Explaining<'_> {
    fn registration(&mut self, response: &RegistrationResponse) -> Explanation {
        let said = Said::of(&response.client_data_json);
        let mut assumed = Vec::new();
        let options = answered(&self.recording.creations, |it| &it.challenge, &said).cloned();
        let options = options.unwrap_or_else(|| {
            assumed.push("the options are not there: the challenge is taken for right".to_owned());
            keyrig_verifier::RecordedCreation { challenge: said.challenge.clone(), ..Default::default() }
        });
        let rp_id = self.rp_id(options.rp_id.as_deref(), &said, &mut assumed);
        let origins = self.origins(&said, &mut assumed);
        let algorithms =
            if options.algorithms.is_empty() { &SUPPORTED_ALGORITHMS[..] } else { &options.algorithms[..] };
        let expected = RegistrationExpectations {
            algorithms,
            user_verification: options.user_verification,
            ..RegistrationExpectations::new(&options.challenge, &rp_id, &origins, &options.user_id, self.now)
        };
        let registration = verify_registration(response, &expected);
        self.records.extend(registration.readable_record().cloned());
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
        let record = self.records.iter().find(|record| record.id == response.raw_id);
        if record.is_none() {
            assumed.push(
                "the credential's registration is not there: without its public key the signature says nothing"
                    .to_owned(),
            );
        }
        let expected = AuthenticationExpectations {
            user_verification: options.user_verification,
            user: User::Identified,
            ..AuthenticationExpectations::new(&options.challenge, &rp_id, &origins, &options.allow_credentials, record)
        };
        let mut report = verify_authentication(response, &expected).report;
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

fn browser(said: &Said, rp_id: &str) -> Option<String> {
    let origin: Origin = said.origin.as_deref()?.parse().ok()?;
    let page = Client::new(origin).in_browser(Browser::Chromium);
    page.check_page(Some(rp_id)).err().map(|error| error.to_string())
}
