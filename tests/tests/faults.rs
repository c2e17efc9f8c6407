//! Every fault, and who notices it: the rows of `crates/faults/src/catalogue.toml`, one after another. Each client that is named there meets
//! the fault while it does what is named there, and has to say what is written there. keyrig's own verifier has to fail these checks,
//! and no others.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrig_attach::ctaphid_endpoint::{Endpoint, EndpointAddress};
use keyrig_authenticator::credential::CredentialSource;
use keyrig_authenticator::environment::Crypto;
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::pin::Pin;
use keyrig_client::{Client, Key};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{self, CredentialDescriptor, CredentialParameters, PinUvAuth, RelyingParty};
use keyrig_ctap::{Aaguid, Request, get_assertion, make_credential, parse_response};
use keyrig_faults::catalogue::{self, Noticed};
use keyrig_faults::{Absent, Fault, Faults, Kind};
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use keyrig_tests::exec_case::{Bench, Place};
use keyrig_tests::serving::Serving;
use keyrig_tests::{clients, judge};
use keyrig_verifier::{
    AttestationPolicy, AuthenticationExpectations, AuthenticationResponse, BackupPolicy, CredentialRecord,
    ExtensionPolicy, FlagPolicy, OriginRule, RegistrationExpectations, RegistrationResponse, Report, TrustAnchors,
    User, verify_authentication, verify_registration,
};
use keyrig_ways::InProcess;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// A row of the catalogue, and its fault.
struct Row {
    noticed: &'static Noticed,
    fault: Fault,
}

/// The rows of some clients.
fn rows(by: &[&str]) -> Vec<Row> {
    let of = |kind: Kind| catalogue::of(kind).expect("it is there").noticed.iter().map(move |noticed| (kind, noticed));
    let row = |(kind, noticed): (Kind, &'static Noticed)| {
        let fault = noticed.fault.as_deref().unwrap_or(kind.name()).parse().expect("a fault");
        Row { noticed, fault }
    };
    let rows: Vec<_> =
        Kind::ALL.iter().copied().flat_map(of).map(row).filter(|row| by.contains(&row.noticed.by.as_str())).collect();
    assert!(!rows.is_empty(), "{by:?}");
    rows
}

/// Compares what was said with the rows, all of them, so that one run shows what is wrong.
fn judge(rows: &[Row], said: &[String], fits: impl Fn(&str, &str) -> bool) {
    let mut wrong = String::new();
    for (row, said) in rows.iter().zip(said) {
        let Noticed { by, doing, says, .. } = row.noticed;
        if !fits(said, says) {
            let _ = writeln!(wrong, "{by}, {doing}, with {}: says {said:?}, not {says:?}", row.fault);
        }
    }
    assert_eq!(rows.len(), said.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn whoever_is_named_in_the_catalogue_is_a_test_here() {
    let known = [
        "verifier",
        "keyrig client",
        "python-fido2",
        "PyPI's usbip",
        "a raw host",
        "libfido2",
        "Mozilla's client",
        "libwebauthn",
    ];
    for kind in Kind::ALL {
        for noticed in &catalogue::of(*kind).expect("it is there").noticed {
            assert!(known.contains(&noticed.by.as_str()), "{kind}: {}", noticed.by);
        }
    }
}

const ORIGIN: &str = "https://example.org";
const RP_ID: &str = "example.org";
const USER_ID: &[u8] = b"user";
const CHALLENGE: &[u8] = &[7; 32];
const PIN: &str = "1234";

/// A relying party whose policy looks for all that can be wrong, and a key.
struct Site {
    rack: Rack,
    faults: Faults,
    key: KeyName,
    client: Client,
    origins: Vec<OriginRule>,
    anchors: TrustAnchors,
    backup: FlagPolicy,
    user_verification: bool,
    passkey: bool,
}

impl Site {
    async fn new() -> Self {
        let faults = Faults::new(None, Absent::nothing());
        let options = Options { seams: vec![Arc::new(faults.clone())], ..Options::default() };
        let key = KeySpecification::built_in("keyrig", "a").expect("built in");
        let name = key.name.clone();
        let rack = Rack::start(options, vec![key]).await.expect("a rack");
        let client = Client::new(ORIGIN.parse().expect("an origin")).asking_for_pin(|_| Some(Pin::new(PIN)));
        Self {
            anchors: TrustAnchors::from_der([rack.root_certificate()]).expect("a certificate"),
            origins: vec![OriginRule::exact(ORIGIN).expect("an origin")],
            key: name,
            rack,
            faults,
            client,
            backup: FlagPolicy::Refused,
            user_verification: false,
            passkey: false,
        }
    }

    /// As a ceremony needs it that a row of the catalogue names.
    async fn prepare(&mut self, doing: &str) {
        self.passkey = doing == "login with a passkey";
        self.user_verification = doing == "login with a PIN";
        if self.passkey || self.user_verification {
            self.rack.key(&self.key).expect("a key").set_pin(PIN.to_owned()).await.expect("set");
        }
        if doing == "login with an imported credential" {
            self.backup = FlagPolicy::Required;
        }
    }

    fn on(&self, fault: &Fault) {
        self.faults.switch_on(&self.key, fault.clone()).expect("there is room");
    }

    /// Switches it off; it has to have happened.
    fn off(&self) {
        let off = self.faults.switch_off(&self.key, None);
        assert!(off.iter().all(|on| on.happened > 0), "{off:?}");
    }

    fn keys(&self) -> Vec<Key<InProcess>> {
        vec![Key::new("a", InProcess(self.rack.key(&self.key).expect("a key")))]
    }

    fn verification(&self) -> &'static str {
        if self.user_verification { "required" } else { "discouraged" }
    }

    fn extensions(&self) -> ExtensionPolicy<'static> {
        ExtensionPolicy { client: &["prf"], authenticator: &["hmac-secret", "credProtect"], refuse_unsolicited: true }
    }

    /// What the page gets, or what the client says.
    async fn create(&self, extensions: Value) -> Result<Value, String> {
        let resident = if self.passkey { "required" } else { "discouraged" };
        let options = json!({
            "rp": {"id": RP_ID, "name": "Example"},
            "user": {"id": "dXNlcg", "name": "user", "displayName": "User"},
            "challenge": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "attestation": "direct",
            "authenticatorSelection": {"userVerification": self.verification(), "residentKey": resident},
            "extensions": extensions,
        });
        let options = CreationOptions::from_json(&options.to_string()).expect("options");
        let made = self.client.create(&options, &mut self.keys(), Cancel::never()).await;
        let made = made.map_err(|error| format!("client: {error}"))?;
        Ok(serde_json::from_str(&made.to_json()).expect("JSON"))
    }

    fn registered(&self, made: &Value) -> (Report, Option<CredentialRecord>) {
        let response = RegistrationResponse::from_value(made).expect("a registration");
        let expected = RegistrationExpectations {
            user_verification: self.user_verification,
            backup: BackupPolicy { eligibility: self.backup, state: self.backup },
            algorithms: &[-7],
            attestation: AttestationPolicy::by_aaguid(&[AAGUID], &self.anchors),
            extensions: self.extensions(),
            ..RegistrationExpectations::new(CHALLENGE, RP_ID, &self.origins, USER_ID, now())
        };
        let registration = verify_registration(&response, &expected);
        (registration.report, registration.record)
    }

    async fn register(&self) -> CredentialRecord {
        let made = self.create(json!({})).await.expect("made");
        let (report, record) = self.registered(&made);
        record.unwrap_or_else(|| panic!("{}", failed(&report)))
    }

    async fn log_in(&self, record: &CredentialRecord) -> Result<(Report, u32), String> {
        let id = base64(&record.id);
        let allowed = if self.passkey { json!([]) } else { json!([{"type": "public-key", "id": id}]) };
        let options = json!({
            "rpId": RP_ID,
            "challenge": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
            "userVerification": self.verification(),
            "allowCredentials": allowed,
        });
        let options = RequestOptions::from_json(&options.to_string()).expect("options");
        let signed = self.client.get(&options, &mut self.keys(), Cancel::never()).await;
        let signed = signed.map_err(|error| format!("client: {error}"))?;
        let signed: Value = serde_json::from_str(&signed.to_json()).expect("JSON");
        Ok(self.authenticated(record, &signed))
    }

    fn authenticated(&self, record: &CredentialRecord, signed: &Value) -> (Report, u32) {
        let response = AuthenticationResponse::from_value(signed).expect("an authentication");
        let allowed = if self.passkey { Vec::new() } else { vec![record.id.clone()] };
        // A relying party looks for the record by the id that it is sent.
        let record = Some(record).filter(|record| record.id == response.raw_id);
        let expected = AuthenticationExpectations {
            user_verification: self.user_verification,
            backup: BackupPolicy { eligibility: self.backup, state: self.backup },
            user: if self.passkey { User::ByUserHandle } else { User::Identified },
            extensions: self.extensions(),
            ..AuthenticationExpectations::new(CHALLENGE, RP_ID, &self.origins, &allowed, record)
        };
        let authentication = verify_authentication(&response, &expected);
        let counter = response.authenticator_data.get(33..37).expect("a counter");
        let counter = u32::from_be_bytes(counter.try_into().expect("four bytes"));
        (authentication.report, counter)
    }

    /// A passkey that was made elsewhere, and is backed up.
    async fn import(&self) -> CredentialRecord {
        let private_key = PrivateKey::from_bytes(Algorithm::Es256, &[9; 32]).expect("a scalar");
        let public_key = Portable.public_key(&private_key).expect("a point").to_cose();
        let source = CredentialSource {
            id: vec![5; 32],
            relying_party_id: RP_ID.to_owned(),
            private_key,
            user: None,
            properties: Default::default(),
            cred_blob: Vec::new(),
            counter: None,
            backup_eligible: true,
            backup_state: true,
            cred_random: None,
            large_blob_key: None,
        };
        self.rack.key(&self.key).expect("a key").import(vec![source]).await.expect("imported");
        CredentialRecord {
            id: vec![5; 32],
            public_key,
            sign_count: 0,
            uv_initialized: false,
            transports: Vec::new(),
            backup_eligible: true,
            backup_state: true,
            aaguid: AAGUID,
            user_handle: USER_ID.to_vec(),
        }
    }

    /// What there is to say of a login with a fault.
    async fn faulty_login(&self, fault: &Fault, record: &CredentialRecord) -> String {
        let (before, counter) = self.log_in(record).await.expect("without a fault it is good");
        assert_eq!(failed(&before), "", "without a fault");
        let record = CredentialRecord { sign_count: counter, ..record.clone() };
        self.on(fault);
        let said = match self.log_in(&record).await {
            Ok((report, _)) => failed(&report),
            Err(said) => said,
        };
        self.off();
        said
    }
}

/// That of `keyrig`, as `crates/authenticator/profiles/keyrig.toml` has it.
const AAGUID: Aaguid = Aaguid(*b"keyrig\x40\0\x80\0\0\0\0\0\0\x01");

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn failed(report: &Report) -> String {
    report.failed().map(|finding| finding.check.id()).collect::<Vec<_>>().join(", ")
}

/// The client data of a ceremony that no client had a word in.
fn client_data(kind: &str) -> Vec<u8> {
    json!({"type": kind, "challenge": base64(CHALLENGE), "origin": ORIGIN, "crossOrigin": false})
        .to_string()
        .into_bytes()
}

/// What a page would send of a ceremony that no client had a word in.
fn credential(id: &[u8], response: Value) -> Value {
    let id = base64(id);
    json!({"id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {}, "response": response})
}

impl Site {
    async fn transact(&self, request: Request) -> Vec<u8> {
        let key = self.rack.key(&self.key).expect("a key");
        let answer = key.transact(request.encode()).answer().await.expect("it is plugged in");
        parse_response(&answer).expect("CTAP2_OK").to_vec()
    }

    /// A registration that the key's answer alone makes.
    async fn create_past_the_client(&self) -> Value {
        let client_data = client_data("webauthn.create");
        let request = make_credential::Request {
            client_data_hash: Sha256::digest(&client_data).into(),
            relying_party: RelyingParty { id: RP_ID.to_owned(), name: None },
            user: entities::User { id: USER_ID.to_vec(), name: None, display_name: None },
            parameters: vec![CredentialParameters::public_key(-7)],
            exclude_list: Vec::new(),
            extensions: None,
            options: entities::Options::default(),
            pin_uv_auth: PinUvAuth::default(),
            enterprise_attestation: None,
            attestation_formats_preference: None,
        };
        let answer = self.transact(Request::MakeCredential(request)).await;
        let made = make_credential::Response::decode(&answer).expect("a credential");
        // Behind RP ID hash, flags, counter and AAGUID its length, and it (WebAuthn Level 3 §6.1, §6.5.1).
        let data = &made.authenticator_data;
        let length = usize::from(u16::from_be_bytes([data[53], data[54]]));
        let object = made.statement.attestation_object(data);
        let response = json!({"clientDataJSON": base64(&client_data), "attestationObject": base64(&object)});
        credential(&data[55..55 + length], response)
    }

    /// A login that the key's answer alone makes.
    async fn get_past_the_client(&self, record: &CredentialRecord) -> Value {
        let client_data = client_data("webauthn.get");
        let request = get_assertion::Request {
            relying_party_id: RP_ID.to_owned(),
            client_data_hash: Sha256::digest(&client_data).into(),
            allow_list: vec![CredentialDescriptor::public_key(record.id.clone())],
            extensions: None,
            options: entities::Options::default(),
            pin_uv_auth: PinUvAuth::default(),
        };
        let answer = self.transact(Request::GetAssertion(request)).await;
        let signed = get_assertion::Response::decode(&answer).expect("an assertion");
        let response = json!({
            "clientDataJSON": base64(&client_data),
            "authenticatorData": base64(&signed.authenticator_data),
            "signature": base64(&signed.signature),
        });
        credential(&signed.credential.expect("which").id, response)
    }
}

async fn verifier_says(Row { noticed, fault }: &Row) -> String {
    let mut site = Site::new().await;
    match noticed.doing.as_str() {
        "registration" => {
            site.register().await;
            site.on(fault);
            let said = match site.create(json!({})).await {
                Ok(made) => failed(&site.registered(&made).0),
                Err(said) => said,
            };
            site.off();
            said
        }
        "registration past the client" => {
            assert_eq!(failed(&site.registered(&site.create_past_the_client().await).0), "", "without a fault");
            site.on(fault);
            let made = site.create_past_the_client().await;
            site.off();
            failed(&site.registered(&made).0)
        }
        "login past the client" => {
            let record = site.register().await;
            site.on(fault);
            let signed = site.get_past_the_client(&record).await;
            site.off();
            failed(&site.authenticated(&record, &signed).0)
        }
        "registration with prf" => {
            site.on(fault);
            let made = site.create(json!({"prf": {}})).await;
            site.off();
            let made = match made {
                Ok(made) => made,
                Err(said) => return said,
            };
            assert_eq!(failed(&site.registered(&made).0), "");
            made["clientExtensionResults"].to_string()
        }
        "registration and login" => {
            site.on(fault);
            let record = site.register().await;
            site.off();
            match site.log_in(&record).await {
                Ok((report, _)) => failed(&report),
                Err(said) => said,
            }
        }
        doing @ ("login" | "login with a passkey" | "login with a PIN") => {
            site.prepare(doing).await;
            let record = site.register().await;
            site.faulty_login(fault, &record).await
        }
        doing @ "login with an imported credential" => {
            site.prepare(doing).await;
            let record = site.import().await;
            site.faulty_login(fault, &record).await
        }
        "login before another" => {
            let record = site.register().await;
            site.on(fault);
            let (report, counter) = site.log_in(&record).await.expect("signed");
            site.off();
            assert_eq!(failed(&report), "");
            let record = CredentialRecord { sign_count: counter, ..record };
            failed(&site.log_in(&record).await.expect("signed").0)
        }
        other => panic!("nobody knows how to do {other:?}"),
    }
}

#[tokio::test]
async fn a_policy_that_looks_for_it_fails_the_check_of_each_fault_and_no_other() {
    let rows = rows(&["verifier"]);
    let mut said = Vec::new();
    for row in &rows {
        said.push(verifier_says(row).await);
    }
    judge(&rows, &said, |said, says| said == says);
}

/// What is said first of a site whose key has had the fault from the start: of its registration, or of its logins.
async fn says_from_the_start(Row { noticed, fault }: &Row) -> String {
    let mut site = Site::new().await;
    let doing = noticed.doing.as_str();
    site.prepare(doing).await;
    site.on(fault);
    let record = if doing == "login with an imported credential" {
        site.import().await
    } else {
        let extensions = if doing.ends_with("with prf") { json!({"prf": {}}) } else { json!({}) };
        let made = match doing.ends_with("past the client") {
            true => site.create_past_the_client().await,
            false => match site.create(extensions).await {
                Ok(made) => made,
                Err(said) => return said,
            },
        };
        let (report, record) = site.registered(&made);
        let said = failed(&report);
        if !said.is_empty() {
            return said;
        }
        if doing == "registration with prf" {
            return made["clientExtensionResults"].to_string();
        }
        record.expect("nothing failed")
    };
    let mut record = record;
    for _ in 0..2 {
        let logged_in = match doing.ends_with("past the client") {
            true => Ok(site.authenticated(&record, &site.get_past_the_client(&record).await)),
            false => site.log_in(&record).await,
        };
        let (said, counter) = match logged_in {
            Ok((report, counter)) => (failed(&report), counter),
            Err(said) => return said,
        };
        if !said.is_empty() {
            return said;
        }
        record.sign_count = counter;
    }
    String::new()
}

/// As when somebody starts a rack with `--fault`, and goes through all that a relying party asks of a key.
#[tokio::test]
async fn a_fault_that_is_on_from_the_start_is_noticed_as_the_catalogue_says() {
    // A key that has registered under another id is asked for that, and does not know it: past the client there is nothing to see.
    let is_answered =
        |row: &Row| row.fault.kind() != Kind::OtherCredentialId || row.noticed.doing == "registration and login";
    let rows: Vec<_> = rows(&["verifier", "keyrig client"]).into_iter().filter(is_answered).collect();
    let mut wrong = String::new();
    for row in &rows {
        let said = says_from_the_start(row).await;
        // In a registration already, if it is in there too.
        let of_kind = catalogue::of(row.fault.kind()).expect("it is there").noticed.iter();
        let fits = |noticed: &Noticed| match noticed.by.as_str() {
            "verifier" => said == noticed.says,
            "keyrig client" => said.starts_with("client: ") && said.contains(&noticed.says),
            _ => false,
        };
        if !of_kind.clone().any(fits) {
            let says: Vec<_> = of_kind.map(|noticed| &noticed.says).collect();
            let _ = writeln!(wrong, "{}, {}: says {said:?}, and none of {says:?}", row.fault, row.noticed.doing);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn the_client_refuses_what_browsers_do() {
    let rows = rows(&["keyrig client"]);
    let mut said = Vec::new();
    for row in &rows {
        said.push(verifier_says(row).await);
    }
    judge(&rows, &said, |said, says| said.starts_with("client: ") && said.contains(says));
}

/// The programs of both register and log in, step by step, and end where something is not as it should be.
#[tokio::test]
async fn mozilla_s_client_and_libwebauthn_notice() {
    for (by, client) in [("Mozilla's client", "keyrig-client-mozilla"), ("libwebauthn", "keyrig-client-libwebauthn")] {
        let rows = rows(&[by]);
        let mut said = Vec::new();
        for row in &rows {
            let Some(mut program) = clients::program(client) else { return };
            let faults = Faults::new(None, Absent::nothing());
            let options = Options { seams: vec![Arc::new(faults.clone())], ..Options::default() };
            let key = KeySpecification::built_in("keyrig", "a").expect("built in");
            let name = key.name.clone();
            let rack = Rack::start(options, vec![key]).await.expect("a rack");
            faults.switch_on(&name, row.fault.clone()).expect("there is room");
            let any = EndpointAddress::Udp(([127, 0, 0, 1], 0).into());
            let endpoint = Endpoint::bind(any).await.expect("a port");
            let EndpointAddress::Udp(address) = *endpoint.address() else { panic!("it is bound elsewhere") };
            let key = rack.key(&name).expect("a key");
            let output = tokio::select! {
                output = judge::run(program.arg(address.to_string()), b"", LIMIT) => output,
                never = endpoint.serve(key) => match never {},
            };
            said.push(output.stderr);
        }
        judge(&rows, &said, |said, says| said.contains(says));
    }
}

#[tokio::test]
async fn python_fido2_and_a_usbip_client_in_python_notice() {
    let cache = judge::tree(".cache/device-suite");
    if !cache.join("installed").exists() {
        judge::skip("python-fido2 is not installed: tests/device_suite/install does it");
        return;
    }
    // Last over USB: when its host has gone, a key loses power, and with it who is connected otherwise.
    let rows: Vec<_> = [rows(&["python-fido2"]), rows(&["PyPI's usbip", "a raw host"])].into_iter().flatten().collect();
    let serving = Serving::start("keyrig", "auto").await;
    let line = |row: &Row| {
        let Noticed { by, doing, .. } = row.noticed;
        format!("{}\n", json!({"by": by, "doing": doing, "fault": row.fault}))
    };
    let input: String = rows.iter().map(line).collect();
    let mut command = Command::new(cache.join("venv/bin/python"));
    command
        .arg(judge::tree("tests/faults/notice.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEYRIG_CTAPHID", serving.ctaphid())
        .env("KEYRIG_USBIP", serving.usbip())
        .env("KEYRIG_SOCKET", serving.directory().join("control"));
    let output = judge::run(&mut command, input.as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    let told: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for told in &told {
        assert!(told["happened"].as_u64() > Some(0), "it did not happen: {told}");
    }
    let said: Vec<_> = told.iter().map(|told| told["said"].as_str().expect("text").to_owned()).collect();
    judge(&rows, &said, |said, says| said.contains(says));
}

/// What is done in front of `/dev/hidraw0`, in shell, with the fault between `on` and `off`.
fn script(doing: &str) -> &'static str {
    match doing {
        "fido2-token -I" => "on; fido2-token -I $node; off",
        "fido2-cred -M" => "request; on; fido2-cred -M -i request -o credential $node; off",
        "fido2-cred -V" => {
            "request; on; fido2-cred -M -i request -o credential $node; off; fido2-cred -V -i credential"
        }
        "fido2-assert -V" => {
            "request; fido2-cred -M -i request -o credential $node; fido2-cred -V -i credential -o verified
             tail -n +2 verified > key
             { head -n 1 request; echo example.com; head -n 1 verified; } > challenge
             on; fido2-assert -G -i challenge -o assertion $node; off; fido2-assert -V -p -i assertion key"
        }
        other => panic!("nobody knows how to do {other:?}"),
    }
}

#[tokio::test]
async fn libfido2_notices() {
    if !Path::new("/usr/bin/fido2-token").exists() {
        judge::skip("libfido2's tools are not installed: scripts/test installs them");
        return;
    }
    let rows = rows(&["libfido2"]);
    let mut all = "cd $bench/tmp; node=/dev/hidraw0
        request() { head -c 32 /dev/zero | base64 > request; printf 'example.com\\nalice\\nAQ==\\n' >> request; }
        on() { $keyrig key fault on keyrig $fault > /dev/null; }
        off() { $keyrig key fault off keyrig > /dev/null; }
        exec 2>&1\n"
        .to_owned();
    for row in &rows {
        let _ = writeln!(all, "fault='{}'; echo '== row'\n{}", row.fault, script(&row.noticed.doing));
    }
    let here = Place { nobody: false, rules: None, view: "auto" };
    let output = Bench::new().run(here, &[], &all).await;
    let said: Vec<_> = output.stdout.split("== row\n").skip(1).map(str::to_owned).collect();
    judge(&rows, &said, |said, says| said.contains(says));
}
