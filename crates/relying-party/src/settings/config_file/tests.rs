use std::path::PathBuf;

use super::*;
use crate::limits::{EventRetention, Limits};
use crate::settings::{OriginProblem, RpIdProblem};

/// A certificate's shape, for nobody: the tests of the verifier prove chains.
const ROOT: &str = include_str!("root.pem");

struct Directory(tempfile::TempDir);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, name: &str) -> Result<Settings, ConfigError> {
        Settings::load(&self.path(name))
    }
}

fn toml(text: &str) -> Result<Settings, ConfigError> {
    Directory::with(&[("settings.toml", text), ("root.pem", ROOT), ("none.pem", "nothing\n")]).load("settings.toml")
}

#[test]
fn every_field_is_read() {
    let settings = toml(
        r#"
        name = "Example"
        rp_id = "example.com"
        origins = ["https://pve1.example.com:8006", "https://pve2.example.com:8006"]
        app_origins = ["android:apk-key-hash:kw5b3MqhXtyZIrwLl0kIT2hPzvjS2rRKJ4rGoVvvu2c"]
        related_origins = ["https://example.net"]
        top_origins = ["https://portal.example.net"]
        allow_subdomains = true
        passkey_login = true
        policy = "proxmox-9"
        challenge_lifetime_s = 60
        user_verification = "required"
        resident_key = "required"
        signature_counter = "report"

        [attestation]
        accept = "aaguid"
        aaguids = ["d7a423ad-3e19-4492-9200-78137dccc136"]
        roots = ["root.pem"]

        [limits]
        header_s = 1
        body_s = 2
        idle_s = 3
        answer_s = 4
        connections = 5
        waiting = 6
        waiting_per_client = 7
        waiting_per_account = 8
        ceremonies = 9
        ceremonies_per_client = 10

        [events]
        keep_days = 11
        keep = 12
        keep_of_account = 13
        "#,
    )
    .unwrap();
    let limits = Limits {
        header: Duration::from_secs(1),
        body: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        answer: Duration::from_secs(4),
        connections: 5,
        waiting: 6,
        waiting_per_client: 7,
        waiting_per_account: 8,
        ceremonies: 9,
        ceremonies_per_client: 10,
        events: EventRetention { age: Duration::from_secs(11 * 86_400), count: 12, of_account: 13 },
    };
    assert_eq!(settings.limits, limits);
    assert_eq!((settings.name.as_str(), settings.rp_id.as_str()), ("Example", "example.com"));
    assert_eq!(settings.origins, ["https://pve1.example.com:8006", "https://pve2.example.com:8006"]);
    assert_eq!(settings.app_origins.len(), 1);
    assert!(settings.allow_subdomains && settings.passkey_login);
    let policy = settings.policy;
    assert_eq!((policy.name.as_str(), policy.challenge_lifetime), ("proxmox-9", Duration::from_secs(60)));
    assert_eq!((policy.user_verification, policy.resident_key), (Preference::Required, Preference::Required));
    assert_eq!(policy.signature_counter, SignatureCounter::Report);
    let Attestation::Aaguid { aaguids, roots } = settings.attestation else { panic!("{:?}", settings.attestation) };
    assert_eq!(aaguids, ["d7a423ad-3e19-4492-9200-78137dccc136".parse().unwrap()]);
    assert_eq!(roots.len(), 1);
    assert!(roots[0].starts_with(&[0x30, 0x82]), "DER");
}

#[test]
fn an_rp_id_is_enough() {
    let settings = toml("rp_id = \"example.com\"\n").unwrap();
    let expected = Settings { origins: Vec::new(), ..Settings::new("example.com", "") };
    assert_eq!(settings, expected);
    for (accept, expected) in [("none", Attestation::None), ("any", Attestation::Any)] {
        let text = format!("rp_id = \"example.com\"\n[attestation]\naccept = \"{accept}\"\n");
        assert_eq!(toml(&text).unwrap().attestation, expected);
    }
}

#[test]
fn enterprise_attestation_is_asked_for_beside_another() {
    let text =
        |accept: &str| format!("rp_id = \"example.com\"\n[attestation]\naccept = \"{accept}\"\nenterprise = true\n");
    let settings = toml(&text("any")).unwrap();
    assert!(settings.enterprise_attestation && settings.attestation == Attestation::Any);
    let error = toml(&text("none")).unwrap_err().to_string();
    assert!(error.contains("write another accept"), "{error}");
}

/// What is signed, and by whom, is for whoever has keys: here, what is missing or no metadata.
#[test]
fn metadata_is_named_beside_its_roots_and_nowhere_else() {
    let pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let attestation = |text: &str| format!("rp_id = \"example.com\"\n[attestation]\n{text}\n");
    for (text, says) in [
        ("accept = \"metadata\"\nmetadata = \"b\"", "roots is missing"),
        ("accept = \"metadata\"\nroots = [\"r.pem\"]", "metadata is missing"),
        ("accept = \"any\"\nmetadata = \"b\"", "accept does not use metadata"),
        ("accept = \"root\"\nroots = [\"r.pem\"]\nrevocations = [\"c\"]", "accept does not use revocations"),
    ] {
        let directory = Directory::with(&[("site.toml", &attestation(text)), ("r.pem", pem)]);
        let error = directory.load("site.toml").unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_datacenter_cfg_is_read_by_itself_and_from_a_file_of_ours() {
    let directory = Directory::with(&[
        ("datacenter.cfg", "keyboard: de\nwebauthn: rp=Example,id=example.com,origin=https://pve.example.com\n"),
        ("as-it-is.toml", "datacenter_cfg = \"datacenter.cfg\"\npolicy = \"proxmox-9\"\n"),
        (
            "changed.toml",
            "datacenter_cfg = \"datacenter.cfg\"\nname = \"Other\"\norigins = []\nallow_subdomains = false\n",
        ),
        ("torn.toml", "datacenter_cfg = \"datacenter.cfg\"\nrp_id = \"example.org\"\n"),
        ("itself.toml", "datacenter_cfg = \"itself.toml\"\n"),
    ]);
    let plain = directory.load("datacenter.cfg").unwrap();
    assert_eq!(plain.policy, Policy::built_in("proxmox-9").unwrap());
    let as_it_is = directory.load("as-it-is.toml").unwrap();
    assert_eq!(as_it_is, plain);
    let changed = directory.load("changed.toml").unwrap();
    // A file of ours has our policy unless it names another one.
    let policy = Policy::strict();
    let expected = Settings { name: "Other".to_owned(), origins: Vec::new(), allow_subdomains: false, policy, ..plain };
    assert_eq!(changed, expected);
    let torn = directory.load("torn.toml").unwrap_err().to_string();
    assert!(torn.contains("torn.toml:2:9: the origin \"https://pve.example.com\" cannot work"), "{torn}");
    assert_eq!(directory.load("itself.toml").unwrap_err().problem, ConfigProblem::NoWebauthnLine);
}

#[test]
fn what_limits_leave_out_is_as_usual_and_none_is_nothing() {
    let settings = toml("rp_id = \"example.com\"\n[limits]\nwaiting = 7\n").unwrap();
    assert_eq!(settings.limits, Limits { waiting: 7, ..Limits::default() });
    for (text, place) in
        [("[limits]\nwaiting = 0", (3, 11)), ("[events]\nkeep = -1", (3, 8)), ("[limits]\nwait = 1", (3, 1))]
    {
        let error = toml(&format!("rp_id = \"example.com\"\n{text}\n")).unwrap_err();
        let found = error.place.as_ref().map(|place| (place.line, place.column));
        assert_eq!(found, Some(place), "{error}");
    }
}

#[test]
fn a_policy_of_ones_own_is_read_from_its_file() {
    let mine = include_str!("../../../policies/strict-l3.toml").replace("_s = 300", "_s = 42");
    let directory = Directory::with(&[
        ("settings.toml", "rp_id = \"example.com\"\npolicy = \"mine.toml\"\n"),
        ("mine.toml", &mine),
        ("broken.toml", "rp_id = \"example.com\"\npolicy = \"settings.toml\"\n"),
    ]);
    let policy = directory.load("settings.toml").unwrap().policy;
    assert_eq!((policy.name.as_str(), policy.challenge_lifetime), ("mine.toml", Duration::from_secs(42)));
    let error = directory.load("broken.toml").unwrap_err();
    assert!(matches!(error.problem, ConfigProblem::InvalidPolicy(_)), "{error}");
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let cases = [
        ("rp_id = \"example.com:8006\"", (1, 21), ConfigProblem::RpId(RpIdProblem::Port)),
        ("rp_id = 'pve.Example.com'", (1, 14), ConfigProblem::RpId(RpIdProblem::UpperCase)),
        (
            "rp_id = \"example.com\"\norigins = [\n  \"https://example.com\",\n  \"pve.example.com\",\n]",
            (4, 4),
            ConfigProblem::Origin(OriginProblem::NoScheme),
        ),
        (
            "rp_id = \"example.com\"\napp_origins = [\"ios:x\"]",
            (2, 17),
            ConfigProblem::Origin(OriginProblem::NotAnAppOrigin),
        ),
        ("rp_id = \"example.com\"\nname = \"\"", (2, 8), ConfigProblem::Name),
        ("rp_id = \"example.com\"\nchallenge_lifetime_s = 0", (2, 24), ConfigProblem::ChallengeLifetime { found: 0 }),
        ("rp_id = \"example.com\"\nchallenge_lifetime_s = -1", (2, 24), ConfigProblem::ChallengeLifetime { found: -1 }),
        (
            "rp_id = \"example.com\"\n[attestation]\naccept = \"aaguid\"\naaguids = [\"x\"]\nroots = [\"root.pem\"]",
            (4, 12),
            ConfigProblem::Aaguid,
        ),
    ];
    for (text, place, problem) in cases {
        let error = toml(text).unwrap_err();
        let found = error.place.as_ref().map(|place| (place.line, place.column));
        assert_eq!((found, &error.problem), (Some(place), &problem), "{text}");
    }
    for (text, place, words) in [
        ("", (1, 1), "rp_id is missing"),
        ("rpid = \"x\"", (1, 1), "unknown field `rpid`"),
        ("rp_id = \"example.com", (1, 21), "string"),
        ("rp_id = \"example.com\"\npolicy = \"proxmox-8\"", (2, 10), "the policies are strict-l3, proxmox-9"),
        ("rp_id = \"example.com\"\nuser_verification = \"always\"", (2, 21), "unknown variant `always`"),
        ("rp_id = \"example.com\"\n[attestation]\naccept = \"root\"", (2, 1), "roots is missing"),
        (
            "rp_id = \"example.com\"\n[attestation]\naccept = \"aaguid\"\nroots = [\"root.pem\"]",
            (2, 1),
            "aaguids is missing",
        ),
        (
            "rp_id = \"example.com\"\n[attestation]\naccept = \"any\"\nroots = [\"root.pem\"]",
            (4, 10),
            "accept does not use roots",
        ),
        (
            "rp_id = \"example.com\"\n[attestation]\naccept = \"root\"\nroots = [\"none.pem\"]",
            (4, 10),
            "BEGIN CERTIFICATE",
        ),
    ] {
        let error = toml(text).unwrap_err();
        let found = error.place.as_ref().map(|place| (place.line, place.column));
        assert_eq!(found, Some(place), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn the_error_shows_file_line_and_character() {
    let directory = Directory::with(&[("datacenter.cfg", "webauthn: rp=x,id=example.com:8006\n")]);
    let file = directory.path("datacenter.cfg");
    assert_eq!(
        directory.load("datacenter.cfg").unwrap_err().to_string(),
        format!(
            "{}:1:30: the RP ID cannot work: it has a port; an RP ID never has one: write the port in the origin only\n\
             1 | webauthn: rp=x,id=example.com:8006\n  |                              ^^^^^",
            file.display()
        )
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = Directory::with(&[("settings.toml", "rp_id = \"x\"\ndatacenter_cfg = \"gone.cfg\"\n")]);
    let error = directory.load("settings.toml").unwrap_err();
    assert_eq!((error.file, error.place), (directory.path("gone.cfg"), None));
    assert!(matches!(error.problem, ConfigProblem::Unreadable { .. }));
    fs::write(directory.path("binary.cfg"), [0xff, 0xfe]).unwrap();
    assert!(matches!(directory.load("binary.cfg").unwrap_err().problem, ConfigProblem::Unreadable { .. }));
    fs::write(directory.path("huge.cfg"), "#".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(directory.load("huge.cfg").unwrap_err().problem, ConfigProblem::TooLong { longest: MAX_CONFIG_BYTES });
    assert!(Settings::load(Path::new("/dev/zero")).is_err(), "what never ends");
}
