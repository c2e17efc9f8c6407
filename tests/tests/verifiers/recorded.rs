//! Ceremonies that another project recorded from real authenticators (TPMs of Windows Hello, Android's key store, Apple's passkeys, security
//! keys, ML-DSA), which its own tests keep: what it says of each is what is said here, but for the differences that are listed. Nothing of
//! them is in this repository: the tests are run as PyPI has them, and asked for what they hand over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyrig_scenario::verifier::{
    AttestationPolicy, AuthenticationExpectations, CredentialRecord, OriginRule, Recording, RegistrationExpectations,
    Report, SUPPORTED_ALGORITHMS, Structure, TrustAnchors, UserVerification, Verdict, WebauthnRs,
    verify_authentication, verify_registration,
};
use keyrig_tests::judge;
use serde_json::{Value, json};

use super::{LIMIT, program, verdicts};

/// A ceremony, and what was said of it by the project that has it.
struct Recorded {
    line: Value,
    name: String,
    refused: Option<String>,
}

impl Recorded {
    fn text(&self, member: &str) -> &str {
        self.line[member].as_str().unwrap_or_else(|| panic!("{member} in {}", self.line))
    }

    fn challenge(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(self.text("challenge")).expect("base64url")
    }

    fn origins(&self) -> Vec<OriginRule> {
        let origins = self.line["origins"].as_array().expect("a list").iter();
        origins.map(|origin| OriginRule::exact(origin.as_str().expect("text")).expect("an origin")).collect()
    }

    /// When certificates have to be valid: now, unless the test says when.
    fn time(&self) -> SystemTime {
        let set = self.line["time"].as_u64().map(|time| SystemTime::UNIX_EPOCH + Duration::from_secs(time));
        set.unwrap_or_else(SystemTime::now)
    }

    fn roots(&self) -> Option<TrustAnchors> {
        let roots = self.line["roots"].as_array().expect("a list");
        let der = |pem: &Value| {
            let body: String = pem.as_str().expect("PEM").lines().filter(|line| !line.starts_with("-----")).collect();
            STANDARD.decode(body).expect("base64")
        };
        let der: Vec<Vec<u8>> = roots.iter().map(der).collect();
        (!der.is_empty()).then(|| TrustAnchors::from_der(der.iter().map(Vec::as_slice)).expect("certificates"))
    }

    /// `fmt` of its attestation object; `None` of a login, or what cannot be read.
    fn format(&self) -> Option<String> {
        let recording = Recording::read(self.line["credential"].to_string().as_bytes()).ok()?;
        let object = Structure::of_attestation_object(&recording.registrations.first()?.attestation_object);
        let format = object.fields.into_iter().find(|field| field.name == "fmt")?;
        Some(format.value.trim_matches('"').to_owned())
    }

    /// A registration as the programs of `tests/verifiers` read one.
    fn for_others(&self) -> Option<Value> {
        let mut credential = self.line["credential"].clone();
        if self.line.get("publicKey").is_some() {
            return None;
        }
        for member in ["clientDataJSON", "attestationObject"] {
            // Some were recorded in base64, which others do not read.
            let written = credential["response"][member].as_str()?;
            let written = written.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
            credential["response"][member] = written.into();
        }
        let algorithms = match &self.line["algorithms"] {
            Value::Null => json!(SUPPORTED_ALGORITHMS),
            algorithms => algorithms.clone(),
        };
        let format = self.format();
        let attestation = if format.as_deref() == Some("none") { "none" } else { "direct" };
        // Windows Hello's certificates ran out in 2025: they are judged when they were good.
        let time = if format.as_deref() == Some("tpm") { json!(1_654_041_600) } else { self.line["time"].clone() };
        Some(json!({
            "name": self.name, "credential": credential, "challenge": self.line["challenge"], "origin": null,
            "origins": self.line["origins"], "rpId": self.line["rpId"], "userVerification": self.line["userVerification"],
            "algorithms": algorithms, "attestation": attestation, "root": self.line["roots"].get(0), "time": time,
        }))
    }

    /// Every check here; `None` if it cannot be read at all.
    fn judged(&self) -> Option<Report> {
        let recording = Recording::read(self.line["credential"].to_string().as_bytes()).ok()?;
        let (challenge, origins, rp_id) = (self.challenge(), self.origins(), self.text("rpId"));
        let user_verification = self.line["userVerification"].as_bool().expect("a flag");
        if let Some(response) = recording.authentications.first() {
            let flags = response.authenticator_data.get(32).copied().unwrap_or_default();
            let record = CredentialRecord {
                id: response.raw_id.clone(),
                public_key: STANDARD.decode(self.text("publicKey")).expect("base64"),
                sign_count: u32::try_from(self.line["signCount"].as_u64().expect("a number")).expect("a counter"),
                uv_initialized: true,
                transports: Vec::new(),
                backup_eligible: flags & 0x08 != 0,
                backup_state: false,
                aaguid: keyrig_ctap::Aaguid::default(),
                user_handle: response.user_handle.clone().unwrap_or_default(),
            };
            let expected = AuthenticationExpectations {
                user_verification,
                ..AuthenticationExpectations::new(&challenge, rp_id, &origins, &[], Some(&record))
            };
            return Some(verify_authentication(response, &expected).report);
        }
        let response = recording.registrations.first()?;
        let roots = self.roots();
        let algorithms: Option<Vec<i64>> = self.line["algorithms"]
            .as_array()
            .map(|algorithms| algorithms.iter().map(|algorithm| algorithm.as_i64().expect("a number")).collect());
        let mut expected = RegistrationExpectations {
            user_verification,
            attestation: AttestationPolicy { trust_anchors: roots.as_ref(), ..AttestationPolicy::none() },
            ..RegistrationExpectations::new(&challenge, rp_id, &origins, &[], self.time())
        };
        if let Some(algorithms) = &algorithms {
            expected.algorithms = algorithms;
        }
        Some(verify_registration(response, &expected).report)
    }
}

async fn recorded() -> Option<Vec<Recorded>> {
    let mut command = program("venv/bin/python", "recorded.py")?;
    command.arg(judge::tree(".cache/verifiers/pypi-webauthn"));
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let name = line["name"].as_str().expect("a name").to_owned();
        let refused = line["refused"].as_str().map(str::to_owned);
        Recorded { line, name, refused }
    };
    Some(output.stdout.lines().map(of).collect())
}

/// Where a verdict here is another than somebody's: who, which ceremony, and why.
const DIFFERENCES: [(&str, &str, &str); 18] = [
    (
        "pypi_webauthn",
        "test_verify_attestation_with_unsupported_token_binding_status",
        "it refuses a tokenBinding whose status is none of Level 2's; Level 3 (§5.8.1) has no such member any more, and what is \
         not known there is passed over (§7.1)",
    ),
    (
        "npm_simplewebauthn",
        "test_verify_attestation_with_unsupported_token_binding 33",
        "the same, of the status unused",
    ),
    ("npm_simplewebauthn", "test_verify_pqc_ml_dsa_44_packed_response", "it has no ML-DSA under this version of Node"),
    ("npm_simplewebauthn", "test_verify_pqc_ml_dsa_65_packed_response", "it has no ML-DSA under this version of Node"),
    ("npm_simplewebauthn", "test_verify_pqc_ml_dsa_87_packed_response", "it has no ML-DSA under this version of Node"),
    ("python_fido2", "test_verify_attestation_android_key_hardware_authority", "it does not know android-key (§8.4)"),
    ("python_fido2", "test_verify_attestation_android_key_root_5", "it does not know android-key (§8.4)"),
    (
        "webauthn_rs",
        "test_raises_when_root_cert_invalid_for_response",
        "it is asked for a passkey, for which it looks at no chain of certificates",
    ),
    (
        "webauthn_rs",
        "test_supports_multiple_expected_origins",
        "it takes no settings with an origin that is not below the RP ID, which another origin of the same settings is",
    ),
    ("webauthn_rs", "test_verify_attestation_with_unsupported_token_binding 33", "as npm_simplewebauthn"),
    (
        "webauthn_rs",
        "test_verify_attestation_with_okp_public_key",
        "it does not take Ed25519 (§5.8.5: it may be asked for)",
    ),
    ("webauthn_rs", "test_verify_pqc_ml_dsa_44_packed_response", "it has no ML-DSA"),
    ("webauthn_rs", "test_verify_pqc_ml_dsa_65_packed_response", "it has no ML-DSA"),
    ("webauthn_rs", "test_verify_pqc_ml_dsa_87_packed_response", "it has no ML-DSA"),
    (
        "webauthn_rs",
        "test_verify_attestation_dell_xps_13",
        "it takes no signature by SHA-1, and TPMs of Windows Hello know no other; §8.3 has the signature verified by the \
         algorithm that the statement names",
    ),
    ("webauthn_rs", "test_verify_attestation_lenovo_carbon_x1", "the same"),
    ("webauthn_rs", "test_verify_attestation_surface_pro_4", "the same"),
    ("webauthn_rs", "test_verify_tpm_with_ecc_public_area_type", "the same"),
];

/// Compares what somebody says of ceremonies with what is said here.
fn compare(who: &str, all: &[Recorded], theirs: impl Fn(&Recorded) -> Option<Option<String>>) {
    let (mut wrong, mut met) = (Vec::new(), BTreeSet::new());
    for it in all {
        let Some(refused) = theirs(it) else { continue };
        let report = it.judged();
        let accepted = report.as_ref().is_some_and(|report| report.verdict() == Verdict::Accepted);
        if accepted == refused.is_none() {
            continue;
        }
        let failed = report.iter().flat_map(Report::failed);
        let failed: Vec<_> = failed.map(|it| format!("{}: {}", it.check.id(), it.found)).collect();
        match DIFFERENCES.iter().find(|(whose, name, _)| *whose == who && it.name.starts_with(name)) {
            Some((_, name, _)) => drop(met.insert(*name)),
            None => wrong.push(format!("{}: {who} says {refused:?}, and here {failed:?}", it.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    let listed: BTreeSet<_> =
        DIFFERENCES.iter().filter(|(whose, ..)| *whose == who).map(|(_, name, _)| *name).collect();
    assert_eq!(met, listed, "a difference that is listed is none any more");
}

#[tokio::test]
async fn ceremonies_that_pypi_webauthn_recorded_are_judged_as_it_judges_them() {
    let Some(all) = recorded().await else { return };
    compare("pypi_webauthn", &all, |it| Some(it.refused.clone()));
    let accepted = all.iter().filter(|it| it.refused.is_none()).map(Recorded::format);
    let formats: BTreeSet<_> = accepted.flatten().collect();
    assert_eq!(Vec::from_iter(formats), ["android-key", "apple", "fido-u2f", "none", "packed", "tpm"]);
    assert!(all.len() >= 40, "{}", all.len());
}

#[tokio::test]
async fn recorded_registrations_are_judged_as_webauthn_rs_judges_them() {
    let Some(all) = recorded().await else { return };
    compare("webauthn_rs", &all, |it| {
        let recording = Recording::read(it.line["credential"].to_string().as_bytes()).ok()?;
        let response = recording.registrations.first()?;
        let (origins, rp_id) = (it.origins(), it.text("rpId"));
        let judge = WebauthnRs { rp_id, origins: &origins, user_verification: UserVerification::Discouraged };
        Some(judge.judge_registration(response, &it.challenge()).refusal)
    });
}

/// What a program of `tests/verifiers` says of the registrations.
async fn asked(all: &[Recorded], interpreter: &str, script: &str) -> Option<BTreeMap<String, Option<String>>> {
    let mut command = program(interpreter, script)?;
    let lines = all.iter().filter_map(Recorded::for_others).map(|line| format!("{line}\n"));
    let input: String = lines.collect();
    Some(verdicts(&judge::run(&mut command, input.as_bytes(), LIMIT).await))
}

#[tokio::test]
async fn recorded_registrations_are_judged_as_python_fido2_judges_them() {
    let Some(all) = recorded().await else { return };
    let Some(verdicts) = asked(&all, "venv/bin/python", "python_fido2.py").await else { return };
    compare("python_fido2", &all, |it| verdicts.get(&it.name).cloned());
}

#[tokio::test]
async fn recorded_registrations_are_judged_as_npm_simplewebauthn_judges_them() {
    let Some(all) = recorded().await else { return };
    let Some(verdicts) = asked(&all, "node", "simplewebauthn.cjs").await else { return };
    compare("npm_simplewebauthn", &all, |it| verdicts.get(&it.name).cloned());
}
