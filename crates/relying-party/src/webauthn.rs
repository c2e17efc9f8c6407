//! WebAuthn by the settings: the options that browsers get, and what is expected of the answers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_verifier::{
    AttestationPolicy, Authentication, AuthenticationExpectations, AuthenticationResponse, Check, Finding, Framing,
    OriginRule, Outcome, Registration, RegistrationExpectations, RegistrationResponse, Report, StoredRegistration,
    Text, TrustAnchors, User as KnownBy, UserVerification, WebauthnRs, judge_origin, verify_authentication,
    verify_registration,
};
use serde_json::{Value, json};

use crate::factors::webauthn::StoredCredential;
use crate::policy::{DecidedBy, Preference, UserHandle};
use crate::random::{self, Randomness};
use crate::settings::{Attestation, OriginProblem, Settings, SettingsError};
use crate::users::User;

/// Settings that were found sound.
pub(crate) struct Webauthn {
    pub(crate) settings: Settings,
    /// What the settings allow; the request's own host is allowed if they name no page.
    origins: Vec<OriginRule>,
    /// The pages in whose frames ceremonies may run, if the settings name any.
    top_origins: Vec<OriginRule>,
    trust_anchors: TrustAnchors,
}

/// The page that a request says it came from.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The `Host` header.
    pub(crate) host: String,
    pub(crate) over_tls: bool,
}

/// Why an answer from a page is refused for its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRefusal {
    /// What the origin may be, for people.
    pub expected: String,
    /// How it differs from that, for people.
    pub explanation: String,
}

/// What the request's host has to do with an origin that is not allowed.
struct OfHost {
    /// What the origin should be, if that host allows none.
    expected: Option<Text>,
    explanation: Text,
}

impl Settings {
    /// What a relying party with these settings says to an answer from a page of this origin, if nothing else is wrong with
    /// it. `host` and `over_tls` are of the request that brings the answer: they decide if the settings name no origin.
    ///
    /// # Errors
    /// [`OriginRefusal`], if it refuses; [`SettingsError`] around that, if the settings cannot work at all.
    pub fn judge_origin(
        &self,
        origin: &str,
        host: &str,
        over_tls: bool,
    ) -> Result<Result<(), OriginRefusal>, SettingsError> {
        let webauthn = Webauthn::new(self.clone())?;
        Ok(webauthn.judge_origin(origin, &Page { host: host.to_owned(), over_tls }))
    }
}

/// What a login with a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// The second factor of a user whose password was right.
    SecondFactor,
    /// The same, where the key has to verify the user whatever the policy says.
    VerifiedSecondFactor,
    /// The only factor: the credential says who it is, and verifies the user.
    Passkey,
}

impl Webauthn {
    pub(crate) fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let rule = |origin: &String| {
            OriginRule::exact(origin.clone()).map_err(|error| SettingsError::Verifier { reason: error.to_string() })
        };
        let mut origins = Vec::new();
        for origin in &settings.origins {
            let rule = rule(origin)?;
            origins.push(if settings.allow_subdomains {
                rule.with_subdomains().map_err(|error| SettingsError::Verifier { reason: error.to_string() })?
            } else {
                rule
            });
        }
        for origin in settings.app_origins.iter().chain(&settings.related_origins) {
            origins.push(rule(origin)?);
        }
        let top_origins = settings.top_origins.iter().map(rule).collect::<Result<_, _>>()?;
        let roots: &[Vec<u8>] = match &settings.attestation {
            Attestation::None | Attestation::Any | Attestation::Metadata { .. } => &[],
            Attestation::Root { roots } | Attestation::Aaguid { roots, .. } => roots,
        };
        let trust_anchors = TrustAnchors::from_der(roots.iter().map(Vec::as_slice))
            .map_err(|error| SettingsError::Verifier { reason: error.to_string() })?;
        Ok(Self { settings, origins, top_origins, trust_anchors })
    }

    pub(crate) fn pages_are_https(&self) -> bool {
        let origins = &self.settings.origins;
        !origins.is_empty() && origins.iter().all(|origin| origin.starts_with("https://"))
    }

    /// What the origin of an answer may be. A host that cannot use the RP ID adds nothing, so that the report of the
    /// verification says what was found in place of what.
    fn origins(&self, page: &Page) -> Vec<OriginRule> {
        let mut origins = self.origins.clone();
        if self.settings.origins.is_empty()
            && let Ok(origin) = self.settings.origin_of_host(&page.host, page.over_tls)
            && let Ok(rule) = OriginRule::exact(origin)
        {
            origins.push(rule);
        }
        origins
    }

    /// What an answer from a page of this origin would meet: [`Settings::judge_origin`].
    pub(crate) fn judge_origin(&self, origin: &str, page: &Page) -> Result<(), OriginRefusal> {
        let Err(mismatch) = judge_origin(origin, &self.origins(page)) else { return Ok(()) };
        let (mut expected, mut explanation) = (mismatch.expected, mismatch.explanation);
        if let Some(explained) = self.explained_host(origin, page) {
            expected = explained.expected.unwrap_or(expected);
            explanation = explained.explanation;
        }
        Err(OriginRefusal { expected: expected.into_owned(), explanation: explanation.into_owned() })
    }

    /// The options for `navigator.credentials.create()` (WebAuthn Level 3, §5.4), in JSON.
    pub(crate) fn creation_options(
        &self,
        user: &User,
        user_handle: &[u8],
        challenge: &[u8],
        exclude: &[&StoredCredential],
        passkey: bool,
    ) -> Value {
        let policy = &self.settings.policy;
        let (resident_key, user_verification) = if passkey {
            (Preference::Required, Preference::Required)
        } else {
            (policy.resident_key, policy.user_verification)
        };
        let parameters = policy.algorithms.iter().map(|alg| json!({ "type": "public-key", "alg": alg }));
        let attestation = match self.settings.attestation {
            Attestation::None => "none",
            _ if self.settings.enterprise_attestation => "enterprise",
            _ => "direct",
        };
        let mut extensions = json!({ "credProps": true });
        if let (Some(members), Some(app_id)) = (extensions.as_object_mut(), &self.settings.app_id) {
            members.insert("appidExclude".to_owned(), json!(app_id));
        }
        json!({ "publicKey": {
            "rp": { "id": self.settings.rp_id, "name": self.settings.name },
            "user": {
                "id": URL_SAFE_NO_PAD.encode(user_handle),
                "name": user.name,
                "displayName": user.name,
            },
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "pubKeyCredParams": parameters.collect::<Vec<_>>(),
            "timeout": policy.timeout_ms,
            "excludeCredentials": exclude.iter().map(|record| descriptor(record)).collect::<Vec<_>>(),
            "authenticatorSelection": {
                "residentKey": resident_key.as_str(),
                "requireResidentKey": resident_key == Preference::Required,
                "userVerification": user_verification.as_str(),
            },
            "hints": policy.hints,
            "attestation": attestation,
            "extensions": extensions,
        }})
    }

    /// The options for `navigator.credentials.get()` (WebAuthn Level 3, §5.5), in JSON.
    pub(crate) fn request_options(&self, challenge: &[u8], allow: &[&StoredCredential], login: Login) -> Value {
        let policy = &self.settings.policy;
        let user_verification = match login {
            Login::SecondFactor => policy.user_verification,
            Login::VerifiedSecondFactor | Login::Passkey => Preference::Required,
        };
        let mut options = json!({
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "timeout": policy.timeout_ms,
            "rpId": self.settings.rp_id,
            "userVerification": user_verification.as_str(),
            "hints": policy.hints,
        });
        // An empty list means the same as none; some clients look for a credential that is in it.
        if !allow.is_empty()
            && let Some(members) = options.as_object_mut()
        {
            let allowed = allow.iter().map(|credential| descriptor(credential));
            members.insert("allowCredentials".to_owned(), allowed.collect());
            if let Some(app_id) = &self.settings.app_id {
                members.insert("extensions".to_owned(), json!({ "appid": app_id }));
            }
        }
        json!({ "publicKey": options })
    }

    /// The verifier of the policy in which webauthn-rs decides.
    fn webauthn_rs<'a>(&'a self, origins: &'a [OriginRule], verify_user: bool) -> WebauthnRs<'a> {
        let policy = &self.settings.policy;
        let user_verification = if verify_user { UserVerification::Required } else { policy.for_webauthn_rs() };
        WebauthnRs { rp_id: &self.settings.rp_id, origins, user_verification }
    }

    /// The handle that a registration names.
    pub(crate) fn user_handle(&self, user: &User, random: &dyn Randomness) -> Vec<u8> {
        match self.settings.policy.user_handle {
            UserHandle::PerUser => user.handle.clone(),
            UserHandle::PerRegistration => random::bytes::<16>(random).to_vec(),
        }
    }

    /// Where the settings name no origin the request's host decides: a report on the origin says what that was.
    fn explain_host(&self, report: &mut Report, page: &Page) {
        let is_origin = |finding: &&mut Finding| finding.check == Check::Origin && finding.outcome == Outcome::Fail;
        let Some(finding) = report.findings.iter_mut().find(is_origin) else { return };
        let Some(explained) = self.explained_host(&finding.found, page) else { return };
        if let Some(expected) = explained.expected {
            finding.expected = expected;
        }
        finding.explanation = Some(explained.explanation);
    }

    /// What the request's host has to do with an origin that is not allowed; `None` if the settings name origins.
    fn explained_host(&self, origin: &str, page: &Page) -> Option<OfHost> {
        if !self.settings.origins.is_empty() {
            return None;
        }
        let (host, rp_id) = (&page.host, &self.settings.rp_id);
        let (cause, remedy) = match self.settings.origin_of_host(host, page.over_tls) {
            Err(SettingsError::Origin { problem: OriginProblem::InsecureScheme, .. }) => (
                format!("the request for {host} came in plain http"),
                "if a proxy ends TLS in front, start with --behind-tls",
            ),
            Err(_) if origin.split_once("://").is_some_and(|(_, of_page)| of_page == host) => (
                format!("the page and the request are at {host}, which is not {rp_id} or below it"),
                "open the site by a name that is",
            ),
            Err(_) => (
                format!("the request's Host was {host}, which is not {rp_id} or below it"),
                "have the proxy pass on the Host that browsers send, or write origin= into the settings",
            ),
            Ok(_) => (
                format!("the settings name no origin, and the request's Host was {host}"),
                "if a proxy changes it, have it pass on the Host that browsers send, or write origin= into the settings",
            ),
        };
        let nothing_added = self.origins(page).len() == self.origins.len();
        let expected = nothing_added.then(|| format!("the origin of the request's Host, {rp_id} or below it").into());
        Some(OfHost { expected, explanation: format!("{cause}; {remedy}").into() })
    }

    /// Verifies the end of a registration that was begun with this challenge and handle.
    pub(crate) fn verify_registration(
        &self,
        response: &RegistrationResponse,
        begun: (&[u8], &[u8]),
        verify_user: bool,
        already_registered: bool,
        page: &Page,
        now: std::time::SystemTime,
    ) -> Registration {
        let (challenge, user_handle) = begun;
        let policy = &self.settings.policy;
        let origins = self.origins(page);
        let attestation = match &self.settings.attestation {
            Attestation::None => AttestationPolicy::none(),
            Attestation::Any => AttestationPolicy::any(),
            Attestation::Root { .. } => AttestationPolicy::by_root(&self.trust_anchors),
            Attestation::Aaguid { aaguids, .. } => AttestationPolicy::by_aaguid(aaguids, &self.trust_anchors),
            Attestation::Metadata { metadata } => AttestationPolicy::by_metadata(metadata),
        };
        let attestation = AttestationPolicy { enterprise: Some(self.settings.enterprise_attestation), ..attestation };
        let mut expected = RegistrationExpectations {
            framing: if self.top_origins.is_empty() { Framing::Refused } else { Framing::AllowedIn(&self.top_origins) },
            user_verification: verify_user,
            attestation,
            already_registered,
            ..RegistrationExpectations::new(challenge, &self.settings.rp_id, &origins, user_handle, now)
        };
        policy.hold_registration(&mut expected);
        let mut registration = verify_registration(response, &expected);
        self.explain_host(&mut registration.report, page);
        match policy.decided_by {
            DecidedBy::Keyrig => registration,
            DecidedBy::WebauthnRs => {
                let judge = self.webauthn_rs(&origins, verify_user);
                registration.decided_by(judge.judge_registration(response, challenge))
            }
        }
    }

    /// Verifies the end of a login that was begun with this challenge.
    pub(crate) fn verify_authentication(
        &self,
        response: &AuthenticationResponse,
        challenge: &[u8],
        allow: &[Vec<u8>],
        record: Option<&StoredCredential>,
        login: Login,
        page: &Page,
    ) -> Authentication {
        let policy = &self.settings.policy;
        let origins = self.origins(page);
        let mut expected = AuthenticationExpectations {
            // A key that was found by its passkey alone was never asked for another's hash.
            app_id: self.settings.app_id.as_deref().filter(|_| !allow.is_empty()),
            user_verification: login != Login::SecondFactor,
            user: match login {
                Login::SecondFactor | Login::VerifiedSecondFactor => KnownBy::Identified,
                Login::Passkey => KnownBy::ByUserHandle,
            },
            ..AuthenticationExpectations::new(
                challenge,
                &self.settings.rp_id,
                &origins,
                allow,
                record.map(|stored| &stored.record),
            )
        };
        policy.hold_authentication(&mut expected);
        if !self.top_origins.is_empty() {
            expected.framing = Framing::AllowedIn(&self.top_origins);
        }
        let mut authentication = verify_authentication(response, &expected);
        self.explain_host(&mut authentication.report, page);
        match (policy.decided_by, record) {
            // Without a record there is nothing that webauthn-rs could judge; our report refuses.
            (DecidedBy::Keyrig, _) | (DecidedBy::WebauthnRs, None) => authentication,
            (DecidedBy::WebauthnRs, Some(stored)) => {
                let judge = self.webauthn_rs(&origins, login != Login::SecondFactor);
                let registration = StoredRegistration {
                    client_data_json: &stored.client_data,
                    attestation_object: &stored.attestation_object,
                };
                authentication.decided_by(judge.judge_authentication(response, challenge, &stored.record, registration))
            }
        }
    }
}

fn descriptor(StoredCredential { record, .. }: &StoredCredential) -> Value {
    let mut descriptor = json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&record.id) });
    if !record.transports.is_empty()
        && let Some(descriptor) = descriptor.as_object_mut()
    {
        descriptor.insert("transports".to_owned(), json!(record.transports));
    }
    descriptor
}
