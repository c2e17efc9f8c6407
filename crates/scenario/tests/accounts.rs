//! What people do with accounts and keys, over HTTP and with keys of the rack: enrol two, lose one, recover, be locked out.

#![cfg(test)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use keyrig_authenticator::Profile;
use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Client, DomException, Key, Pin, Rules};
use keyrig_rack::command::Command;
use keyrig_rack::published::{Publication, Variant, built_in, pem};
use keyrig_rack::{KeyName, KeySpecification, Options as RackOptions, Rack};
use keyrig_relying_party::{
    Attestation, By, Clock, EventKind, FAILURES, LOCK_TIME, Options, PasswordCost, PasswordHash, Policy, Preference,
    RelyingParty, Requirement, Role, Server, Settings, Store, SystemRandomness, TOTP_FAILURES, Totp, serve,
};
use keyrig_scenario::site::{Answer, PasswordStep, SecondFactor, Site, SiteRefusal};
use keyrig_ways::InProcess;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const USER: &str = "root@pam";
const PASSWORD: &str = "correct horse battery staple";
const PRIMARY: &str = "primary";
const BACKUP: &str = "backup";
const PIN: &str = "1234";

/// 22 November 2026.
const START: Duration = Duration::from_secs(1_795_305_600);

struct TestClock(Mutex<SystemTime>);

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// A relying party with one administrator, two keys, and a browser that sees both.
struct Rig {
    rack: Rack,
    keys: Vec<Key<InProcess>>,
    store: Arc<Store>,
    clock: Arc<TestClock>,
    origin: String,
    client: Client,
    site: Site,
    _server: Server,
}

async fn two_keys() -> Rack {
    let specification = |key| KeySpecification::built_in("keyrig", key).unwrap();
    Rack::start(RackOptions::default(), [PRIMARY, BACKUP].map(specification).to_vec()).await.unwrap()
}

fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

/// The value of an answer that has to be no refusal.
fn accepted<T>(answer: Answer<T>) -> T {
    answer.unwrap().unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> SiteRefusal {
    answer.unwrap().unwrap_err()
}

/// The one check by which a report says that a ceremony was refused.
fn failed(refusal: &SiteRefusal) -> Vec<&str> {
    let refused_by = refusal.report.as_ref().and_then(|report| report.pointer("/verification/refused_by"));
    refused_by.and_then(Value::as_array).unwrap().iter().filter_map(Value::as_str).collect()
}

fn cause(refusal: &SiteRefusal) -> &str {
    assert_eq!((refusal.status, refusal.code.as_str()), (401, "authentication_failed"), "{refusal:?}");
    refusal.report.as_ref().and_then(|report| report.get("cause")).and_then(Value::as_str).unwrap()
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_rack(|settings, _| change(settings)).await
    }

    async fn with_rack(change: impl FnOnce(&mut Settings, &Rack)) -> Self {
        let rack = two_keys().await;
        let keys = [PRIMARY, BACKUP].map(|key| Key::new(key, InProcess(rack.key(&name(key)).unwrap()))).into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = format!("http://localhost:{}", address.port());
        let mut settings = Settings::new("localhost", &origin);
        change(&mut settings, &rack);
        let clock = Arc::new(TestClock(Mutex::new(SystemTime::UNIX_EPOCH + START)));
        let options = Options {
            explain: true,
            password_cost: PasswordCost::DangerNone,
            ..Options::new(Store::in_memory().unwrap())
        };
        let store = options.store.clone();
        let relying_party = Arc::new(RelyingParty::new(Ok(settings), options, clock.clone()));
        let rig = Self {
            client: Client::new(origin.parse().unwrap()),
            site: Site::new(&origin, "localhost", address).unwrap(),
            _server: serve(listener, relying_party).unwrap(),
            rack,
            keys,
            store,
            clock,
            origin,
        };
        rig.add_user(USER, Role::Administrator);
        rig
    }

    fn add_user(&self, user: &str, role: Role) {
        let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
        self.store.add_user(&user.parse().unwrap(), role, &hash, &By::command_line(self.clock.now())).unwrap();
    }

    fn require(&self, requirement: Requirement) {
        self.store.set_requirement("pam", requirement, &By::command_line(self.clock.now())).unwrap();
    }

    fn unlock(&self) -> bool {
        self.store.unlock(&USER.parse().unwrap(), &By::command_line(self.clock.now())).unwrap()
    }

    fn events(&self, kind: EventKind) -> usize {
        let events = self.store.events(&Default::default()).unwrap();
        events.iter().filter(|event| event.kind == kind).count()
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
    }

    async fn finger(&self, key: &str) {
        self.rack.command(Command::Finger { key: Some(name(key)) }).await.unwrap();
    }

    async fn unplug(&self, key: &str) {
        self.rack.command(Command::Unplug { key: name(key) }).await.unwrap();
    }

    async fn create(&mut self, options: &CreationOptions) -> Value {
        let made = self.client.create(options, &mut self.keys, Cancel::never()).await.unwrap();
        serde_json::from_str(&made.to_json()).unwrap()
    }

    async fn get(&mut self, options: &RequestOptions) -> Value {
        let signed = self.client.get(options, &mut self.keys, Cancel::never()).await.unwrap();
        serde_json::from_str(&signed.to_json()).unwrap()
    }

    /// Logs in where the password is enough, and gives it again.
    async fn enter(&mut self) {
        let mut browser = self.site.another_browser();
        assert!(matches!(accepted(browser.log_in(USER, PASSWORD).await), PasswordStep::LoggedIn));
        accepted(browser.confirm(PASSWORD).await);
        self.site = browser;
    }

    async fn register(&mut self, key: &str) {
        self.finger(key).await;
        let begun = accepted(self.site.begin_registration(false).await);
        let credential = self.create(&begun.options).await;
        accepted(self.site.finish_registration(&begun.challenge, key, &credential).await);
    }

    async fn enrol_totp(&mut self) -> Totp {
        let begun = accepted(self.site.request(Method::POST, "/api/factors/totp/begin", Some(&json!({}))).await);
        let totp = Totp::from_uri(begun["uri"].as_str().unwrap()).unwrap();
        let code = totp.code(self.clock.now());
        let body = json!({ "challenge": begun["challenge"], "description": "app", "code": code });
        accepted(self.site.request(Method::POST, "/api/factors/totp", Some(&body)).await);
        self.pass(Duration::from_secs(30));
        totp
    }

    async fn add_recovery_keys(&mut self) -> Vec<String> {
        let body = json!({ "description": "paper" });
        let answer = accepted(self.site.request(Method::POST, "/api/factors/recovery", Some(&body)).await);
        serde_json::from_value(answer["recovery_keys"].clone()).unwrap()
    }

    async fn give_password(&self) -> (Site, SecondFactor) {
        let mut browser = self.site.another_browser();
        match accepted(browser.log_in(USER, PASSWORD).await) {
            PasswordStep::SecondFactor(offered) => (browser, *offered),
            other => panic!("{other:?}"),
        }
    }

    /// Password, then whichever key is touched.
    async fn log_in_with_key(&mut self) -> Answer<Value> {
        let (mut browser, offered) = self.give_password().await;
        let begun = offered.webauthn.unwrap();
        let credential = self.get(&begun.options).await;
        browser.finish_login_by_key(&offered.login, &begun.challenge, &credential).await
    }

    async fn log_in_with_code(&self, code: &str) -> Answer<Value> {
        let (mut browser, offered) = self.give_password().await;
        browser.finish_login_by_totp(&offered.login, code).await
    }
}

/// The procedure of the guides: a primary and a backup, recovery keys made at once; the primary is lost, then both.
#[tokio::test]
async fn two_keys_of_which_one_is_lost_and_then_the_other() {
    let mut rig = Rig::new().await;
    rig.enter().await;
    rig.register(PRIMARY).await;
    rig.register(BACKUP).await;
    let paper = rig.add_recovery_keys().await;
    for key in [PRIMARY, BACKUP] {
        rig.finger(key).await;
        accepted(rig.log_in_with_key().await);
    }
    rig.rack.command(Command::Finger { key: None }).await.unwrap();
    rig.unplug(PRIMARY).await;
    accepted(rig.log_in_with_key().await);

    // Both are lost: by paper, once.
    let (mut browser, offered) = rig.give_password().await;
    assert_eq!(offered.recovery, Some(10));
    accepted(browser.finish_login_by_recovery_key(&offered.login, &paper[0]).await);
    let (mut other, offered) = rig.give_password().await;
    assert_eq!(offered.recovery, Some(9));
    assert_eq!(
        cause(&refused(other.finish_login_by_recovery_key(&offered.login, &paper[0]).await)),
        "wrong_recovery_key"
    );

    // What is lost is deleted, and the new key enrolled.
    accepted(browser.confirm(PASSWORD).await);
    for factor in accepted(browser.factors().await).iter().filter(|factor| factor["type"] == "webauthn") {
        let path = format!("/api/factors/{}", factor["id"].as_str().unwrap());
        accepted(browser.request(Method::DELETE, &path, None).await);
    }
    rig.site = browser;
    rig.register(BACKUP).await;
    accepted(rig.log_in_with_key().await);
    assert_eq!(rig.events(EventKind::RecoveryKeyUsed), 1);
}

#[tokio::test]
async fn a_code_is_used_up_by_its_login_and_may_be_one_step_off() {
    let mut rig = Rig::new().await;
    rig.enter().await;
    let totp = rig.enrol_totp().await;
    let now = rig.clock.now();
    let code = totp.code(now);
    accepted(rig.log_in_with_code(&code).await);
    assert_eq!(cause(&refused(rig.log_in_with_code(&code).await)), "code_reused");
    assert_eq!(cause(&refused(rig.log_in_with_code(&totp.code(now - Duration::from_secs(30))).await)), "code_reused");
    let ahead = accepted(rig.log_in_with_code(&totp.code(now + Duration::from_secs(30))).await);
    let notices = ahead.pointer("/session/notices").and_then(Value::as_array).unwrap();
    assert!(notices.iter().any(|notice| notice["code"] == "totp_drift"), "{notices:?}");
    rig.pass(Duration::from_secs(300));
    let now = rig.clock.now();
    for off in [now - Duration::from_secs(60), now + Duration::from_secs(60)] {
        assert_eq!(cause(&refused(rig.log_in_with_code(&totp.code(off)).await)), "wrong_code");
    }
}

#[tokio::test]
async fn both_locks_and_their_release() {
    let mut rig = Rig::new().await;
    rig.enter().await;
    let totp = rig.enrol_totp().await;
    let paper = rig.add_recovery_keys().await;
    rig.register(PRIMARY).await;
    // TOTP: until a recovery key, or an administrator.
    for released_by_recovery_key in [true, false] {
        for _ in 0..TOTP_FAILURES {
            refused(rig.log_in_with_code("wrong").await);
        }
        let (mut browser, offered) = rig.give_password().await;
        assert!(offered.totp_locked && !offered.totp);
        accepted(rig.log_in_with_key().await);
        if released_by_recovery_key {
            accepted(browser.finish_login_by_recovery_key(&offered.login, &paper[0]).await);
        } else {
            assert!(rig.unlock());
        }
        accepted(rig.log_in_with_code(&totp.code(rig.clock.now())).await);
        rig.pass(Duration::from_secs(30));
    }
    // The account: for an hour, or until an administrator.
    for released_by_time in [true, false] {
        let (mut browser, offered) = rig.give_password().await;
        for _ in 0..FAILURES {
            refused(browser.finish_login_by_recovery_key(&offered.login, "wrong").await);
        }
        let refusal = refused(rig.site.another_browser().log_in(USER, PASSWORD).await);
        assert_eq!(cause(&refusal), "account_locked");
        let refusal = refused(browser.finish_login_by_recovery_key(&offered.login, &paper[1]).await);
        assert_eq!(cause(&refusal), "account_locked");
        if released_by_time {
            rig.pass(LOCK_TIME);
        } else {
            assert!(rig.unlock());
        }
        accepted(rig.log_in_with_key().await);
    }
    assert_eq!((rig.events(EventKind::TotpLocked), rig.events(EventKind::AccountLocked)), (2, 2));
}

#[tokio::test]
async fn each_enforcement_lets_in_who_has_what_it_asks_for() {
    let mut rig = Rig::new().await;
    rig.require(Requirement::Webauthn);
    // The user is led through enrolment, and in.
    let mut browser = rig.site.another_browser();
    assert!(matches!(accepted(browser.log_in(USER, PASSWORD).await), PasswordStep::EnrolmentRequired));
    let refusal = refused(browser.request(Method::GET, "/api/users", None).await);
    assert_eq!(refusal.code, "enrolment_only");
    rig.site = browser;
    rig.register(PRIMARY).await;
    accepted(rig.site.request(Method::GET, "/api/users", None).await);
    let totp = rig.enrol_totp().await;
    accepted(rig.log_in_with_key().await);
    assert_eq!(cause(&refused(rig.log_in_with_code(&totp.code(rig.clock.now())).await)), "factor_not_accepted");
    rig.pass(Duration::from_secs(30));
    for requirement in [Requirement::None, Requirement::Any, Requirement::Oath { digits: 6, step: 30 }] {
        rig.require(requirement);
        accepted(rig.log_in_with_key().await);
        accepted(rig.log_in_with_code(&totp.code(rig.clock.now())).await);
        rig.pass(Duration::from_secs(30));
    }
    // Codes of eight digits are asked for, and the user's have six.
    rig.require(Requirement::Oath { digits: 8, step: 30 });
    accepted(rig.log_in_with_key().await);
}

/// As in Proxmox VE: the realm asks for `oath`, the page offers the key, the user touches it, and is refused.
#[tokio::test]
async fn oath_shuts_out_keys_by_proxmox_policy() {
    let mut rig = Rig::with(|settings| settings.policy = Policy::built_in("proxmox-9").unwrap()).await;
    rig.enter().await;
    rig.register(PRIMARY).await;
    rig.require(Requirement::Oath { digits: 6, step: 30 });
    assert_eq!(cause(&refused(rig.log_in_with_key().await)), "factor_not_accepted");
}

#[tokio::test]
async fn a_passkey_logs_in_without_a_name() {
    let mut rig = Rig::with(|settings| settings.passkey_login = true).await;
    rig.keys[0].set_pin(&Pin::new(PIN), &Cancel::never()).await.unwrap();
    rig.client = Client::new(rig.origin.parse().unwrap()).with_pin(Pin::new(PIN));
    rig.unplug(BACKUP).await;
    rig.enter().await;
    let begun = accepted(rig.site.begin_registration(true).await);
    let credential = rig.create(&begun.options).await;
    accepted(rig.site.finish_registration(&begun.challenge, "passkey", &credential).await);
    let mut browser = rig.site.another_browser();
    let (login, begun) = accepted(browser.begin_passkey_login().await);
    let credential = rig.get(&begun.options).await;
    let answer = accepted(browser.finish_passkey_login(&login, &begun.challenge, &credential).await);
    assert_eq!(answer.pointer("/session/user"), Some(&json!(USER)));
    assert_eq!(accepted(browser.request(Method::GET, "/api/session", None).await)["user"], USER);
    let refusal = refused(browser.finish_passkey_login(&login, &begun.challenge, &credential).await);
    assert_eq!(refusal.code, "unknown_login");
}

#[tokio::test]
async fn a_key_that_is_a_second_factor_becomes_a_passkey_in_its_own_place() {
    let mut rig = Rig::with(|settings| settings.passkey_login = true).await;
    rig.keys[0].set_pin(&Pin::new(PIN), &Cancel::never()).await.unwrap();
    rig.client = Client::new(rig.origin.parse().unwrap()).with_pin(Pin::new(PIN));
    rig.unplug(BACKUP).await;
    rig.enter().await;
    rig.register(PRIMARY).await;
    let factor = accepted(rig.site.factors().await).remove(0);
    assert_eq!(factor["passkey"], false);

    // A passkey beside it: the key says that it is registered already.
    let begun = accepted(rig.site.begin_registration(true).await);
    let error = rig.client.create(&begun.options, &mut rig.keys, Cancel::never()).await.unwrap_err();
    assert_eq!(error.name, DomException::InvalidStateError);

    // In its place.
    let wish = json!({ "passkey": true, "replaces": factor["id"] });
    let begun = accepted(rig.site.request(Method::POST, "/api/factors/webauthn/begin", Some(&wish)).await);
    let options = CreationOptions::from_json(&begun["options"]["publicKey"].to_string()).unwrap();
    let credential = rig.create(&options).await;
    let challenge = begun["challenge"].as_str().unwrap();
    accepted(rig.site.finish_registration(challenge, "passkey", &credential).await);
    let factors = accepted(rig.site.factors().await);
    assert_eq!((factors.len(), &factors[0]["passkey"]), (1, &json!(true)));
    let mut browser = rig.site.another_browser();
    let (login, begun) = accepted(browser.begin_passkey_login().await);
    let credential = rig.get(&begun.options).await;
    accepted(browser.finish_passkey_login(&login, &begun.challenge, &credential).await);
    accepted(rig.log_in_with_key().await);
}

#[tokio::test]
async fn a_policy_on_attestation_takes_the_racks_keys_by_their_root() {
    // The root of this rack, and one that is another's.
    let elsewhere = two_keys().await.root_certificate().to_vec();
    let aaguid = |profile| Profile::built_in(profile).unwrap().aaguid;
    type Wanted = Box<dyn Fn(&Rack) -> Attestation>;
    let cases: [(Wanted, &[&str]); 5] = [
        (Box::new(|_| Attestation::Any), &[]),
        (Box::new(|rack| Attestation::Root { roots: vec![rack.root_certificate().to_vec()] }), &[]),
        (Box::new(move |_| Attestation::Root { roots: vec![elsewhere.clone()] }), &["attestation-trust"]),
        (
            Box::new(move |rack| Attestation::Aaguid {
                aaguids: vec![aaguid("keyrig")],
                roots: vec![rack.root_certificate().to_vec()],
            }),
            &[],
        ),
        (
            Box::new(move |rack| Attestation::Aaguid {
                aaguids: vec![aaguid("yubikey-5.7")],
                roots: vec![rack.root_certificate().to_vec()],
            }),
            &["attestation-aaguid"],
        ),
    ];
    for (number, (wanted, expected)) in cases.iter().enumerate() {
        let mut rig = Rig::with_rack(|settings, rack| settings.attestation = wanted(rack)).await;
        // The certificates of a rack are valid from its start on, by the machine's clock.
        *rig.clock.0.lock().unwrap() = SystemTime::now();
        rig.enter().await;
        let begun = accepted(rig.site.begin_registration(false).await);
        let credential = rig.create(&begun.options).await;
        match rig.site.finish_registration(&begun.challenge, "key", &credential).await.unwrap() {
            Ok(_) => assert!(expected.is_empty(), "case {number}"),
            Err(refusal) => assert_eq!(failed(&refusal), *expected, "case {number}"),
        }
    }
}

/// What settings in files come to that trust this metadata of the rack's keys, and the rack's root.
fn by_metadata(rack: &Rack, variant: Variant) -> Result<Attestation, String> {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let profiles = built_in();
    let publication = Publication { root: rack.root(), profiles: &profiles, now, crl: None };
    let settings = r#"
        rp_id = "localhost"
        [attestation]
        accept = "metadata"
        metadata = "blob.jwt"
        roots = ["root.pem"]
        revocations = ["root.crl"]
    "#;
    for (name, bytes) in [
        ("blob.jwt", publication.jwt(variant).unwrap().into_bytes()),
        ("root.pem", pem(rack.root_certificate()).into_bytes()),
        ("root.crl", publication.crl().unwrap()),
        ("site.toml", settings.as_bytes().to_vec()),
    ] {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let loaded = Settings::load(&directory.path().join("site.toml"));
    loaded.map(|settings| settings.attestation).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_policy_on_attestation_takes_keys_by_metadata_and_refuses_each_kind_that_is_wrong() {
    for (variant, expected) in [
        (Variant::BadSignature, "its signature is not valid"),
        (Variant::WrongChain, "not vouched for by a trusted root"),
        (Variant::RevokedCertificate, "signer that is revoked,O=keyrig,C=XX is revoked"),
    ] {
        let refused = by_metadata(&two_keys().await, variant).unwrap_err();
        assert!(refused.contains("metadata = \"blob.jwt\"") && refused.contains(expected), "{variant}: {refused}");
    }
    for (variant, expected) in [
        (Variant::Good, &[][..]),
        (Variant::UpdateAvailable, &[]),
        (Variant::Expired, &["attestation-metadata"]),
        (Variant::Revoked, &["attestation-metadata"]),
        (Variant::Compromised, &["attestation-metadata"]),
        (Variant::WrongAaguid, &["attestation-metadata"]),
        (Variant::MissingEntry, &["attestation-metadata"]),
    ] {
        let mut rig = Rig::with_rack(|settings, rack| settings.attestation = by_metadata(rack, variant).unwrap()).await;
        *rig.clock.0.lock().unwrap() = SystemTime::now();
        rig.enter().await;
        let begun = accepted(rig.site.begin_registration(false).await);
        let credential = rig.create(&begun.options).await;
        match rig.site.finish_registration(&begun.challenge, "key", &credential).await.unwrap() {
            Ok(_) => assert!(expected.is_empty(), "{variant}"),
            Err(refusal) => assert_eq!(failed(&refusal), expected, "{variant}"),
        }
    }
}

#[tokio::test]
async fn user_verification_is_required_by_policy() {
    let policy = Policy { user_verification: Preference::Required, ..Policy::strict() };
    let mut rig = Rig::with(|settings| settings.policy = policy).await;
    rig.keys[0].set_pin(&Pin::new(PIN), &Cancel::never()).await.unwrap();
    rig.unplug(BACKUP).await;
    rig.client = Client::new(rig.origin.parse().unwrap()).with_pin(Pin::new(PIN));
    rig.enter().await;
    rig.register(PRIMARY).await;
    accepted(rig.log_in_with_key().await);
}

/// Ten pages that are not the relying party's. The client is forced past its own rules, so that the key signs.
#[tokio::test]
async fn a_wrong_origin_is_named_and_nothing_else_is() {
    let mut rig = Rig::new().await;
    rig.enter().await;
    rig.register(PRIMARY).await;
    rig.unplug(BACKUP).await;
    let port = rig.origin.rsplit_once(':').unwrap().1.to_owned();
    let other_port = if port == "8006" { "8007" } else { "8006" };
    let pages = [
        format!("https://localhost:{port}"),
        "http://localhost".to_owned(),
        format!("http://localhost:{other_port}"),
        "https://localhost".to_owned(),
        format!("http://app.localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        format!("https://localhost.example:{port}"),
        format!("https://evillocalhost:{port}"),
        "https://elsewhere.example".to_owned(),
    ];
    for page in &pages {
        rig.client = Client::new(page.parse().unwrap()).with_rules(Rules::ForcedPast);
        let refusal = refused(rig.log_in_with_key().await);
        assert_eq!((cause(&refusal), failed(&refusal)), ("verification", vec!["origin"]), "{page}");
        assert!(refusal.reason.contains(page.as_str()) && refusal.reason.contains(&rig.origin), "{}", refusal.reason);
        // And at a registration.
        let mut begun = accepted(rig.site.begin_registration(false).await);
        begun.options.exclude_credentials.clear();
        let credential = rig.create(&begun.options).await;
        let refusal = refused(rig.site.finish_registration(&begun.challenge, "phished", &credential).await);
        assert_eq!((refusal.code.as_str(), failed(&refusal)), ("enrolment_refused", vec!["origin"]), "{page}");
    }
    rig.client = Client::new(rig.origin.parse().unwrap());
    accepted(rig.log_in_with_key().await);
    let factors = accepted(rig.site.factors().await);
    assert_eq!(factors.len(), 1, "nothing was enrolled: {factors:?}");
}

/// The origin of a site that names none is the host that was asked for.
#[tokio::test]
async fn the_host_is_the_origin_where_none_is_set() {
    let mut rig = Rig::with(|settings| settings.origins.clear()).await;
    rig.enter().await;
    rig.register(PRIMARY).await;
    accepted(rig.log_in_with_key().await);
    rig.client = Client::new("http://localhost:1".parse().unwrap());
    assert_eq!(failed(&refused(rig.log_in_with_key().await)), ["origin"]);
}
