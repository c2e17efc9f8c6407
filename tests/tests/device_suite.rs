//! python-fido2's device suite, which Yubico runs against its keys: tests of a client, PINs, configuration, credential management,
//! extensions and large blobs. None may fail, and what is skipped is listed with its reason in `device_suite/skips.toml`.

#![cfg(test)]

use std::fs;
use std::time::Duration;

use keyrig_authenticator::Profile;
use keyrig_tests::judge;
use keyrig_tests::serving::Serving;
use serde::Deserialize;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Some ten power cycles and a hundred touches, at the suite's own pace.
const LIMIT: Duration = Duration::from_secs(900);

/// How the suite reaches the key: a plugin in `device_suite`.
#[derive(Clone, Copy)]
enum Way {
    Datagrams,
    UsbIp,
}

/// What became of a test, as the plugin `verdicts.py` writes it.
#[derive(Debug, Deserialize)]
struct Verdict {
    test: String,
    outcome: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skips {
    skip: Vec<Skip>,
    not_run: Vec<NotRun>,
}

/// Tests that would fail at a key, and rightly so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotRun {
    profiles: Vec<String>,
    /// How their names begin, below `tests/device/`.
    tests: String,
    /// Why that is right.
    #[serde(rename = "because")]
    _because: String,
}

fn skips() -> Skips {
    let skips = fs::read_to_string(judge::tree("tests/device_suite/skips.toml")).expect("the list");
    toml::from_str(&skips).expect("TOML")
}

/// The whole suite.
const WHOLE: [&str; 1] = ["tests/device"];

/// What every key of CTAP2 can be asked.
const OWN_PART: [&str; 4] = [
    "tests/device/test_client.py",
    "tests/device/test_clientpin.py",
    "tests/device/test_hid.py",
    "tests/device/test_info.py",
];

/// How many of the keys are tested at a time: they wait for touches and for power most of the time.
const AT_A_TIME: usize = 4;

/// Tests that may be skipped.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    profiles: Vec<String>,
    /// How their names begin, below `tests/device/`.
    tests: String,
    /// What the suite says.
    says: String,
    /// Why that is right.
    #[serde(rename = "because")]
    _because: String,
}

async fn suite(profile: &str, way: Way) {
    part(profile, way, &WHOLE).await;
}

async fn part(profile: &str, way: Way, files: &[&str]) {
    part_with("manual", profile, way, files).await;
}

async fn part_with(touch: &str, profile: &str, way: Way, files: &[&str]) {
    part_asked(touch, profile, way, files, &[]).await;
}

async fn part_asked(touch: &str, profile: &str, way: Way, files: &[&str], options: &[&str]) {
    let cache = judge::tree(".cache/device-suite");
    if !cache.join("installed").exists() {
        judge::skip("the suite is not installed: tests/device_suite/install does it");
        return;
    }
    let plugin = match way {
        Way::Datagrams => "over_datagrams",
        Way::UsbIp => "over_usbip",
    };
    let serving = Serving::start(profile, touch).await;
    let verdicts = serving.directory().join("verdicts");
    // Its own path, so that what the suite says of files does not depend on where this tree is.
    let mut command = Command::new(cache.join("venv/bin/python"));
    command
        .args(["-m", "pytest", "--quiet", "--tb=short", "-p", "no:cacheprovider", "-p", plugin, "-p", "verdicts"])
        .args(files)
        .args(options)
        .args(["--controller", &serving.pico_controller()])
        .args(deselected(profile))
        .current_dir(cache.join("fido2-2.2.1"))
        .env("PYTHONPATH", judge::tree("tests/device_suite"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEYRIG_CTAPHID", serving.ctaphid())
        .env("KEYRIG_USBIP", serving.usbip())
        .env("KEYRIG_VERDICTS", &verdicts);
    let output = judge::run(&mut command, b"", LIMIT).await;
    let verdicts: Vec<Verdict> = fs::read_to_string(&verdicts)
        .expect("the suite has run")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a verdict"))
        .collect();
    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome == "failed").collect();
    assert!(failed.is_empty() && output.success, "{failed:#?}\n{output}");
    judge_skips(profile, &verdicts);
    let passed = verdicts.iter().filter(|verdict| verdict.outcome == "passed").count();
    assert!(passed > 0, "{output}");
}

/// What is not asked of a key.
fn deselected(profile: &str) -> impl Iterator<Item = String> {
    let not_run =
        skips().not_run.into_iter().filter(move |not_run| not_run.profiles.iter().any(|name| name == profile));
    not_run.map(|NotRun { tests, .. }| format!("--deselect=tests/device/{tests}")).collect::<Vec<_>>().into_iter()
}

fn judge_skips(profile: &str, verdicts: &[Verdict]) {
    let skips = skips();
    let skips: Vec<_> = skips.skip.iter().filter(|skip| skip.profiles.iter().any(|name| name == profile)).collect();
    let covers = |skip: &Skip, verdict: &Verdict| {
        let name = verdict.test.trim_start_matches("tests/device/");
        verdict.outcome == "skipped" && name.starts_with(&skip.tests) && verdict.reason == skip.says
    };
    let unexpected: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.outcome == "skipped" && !skips.iter().any(|skip| covers(skip, verdict)))
        .collect();
    assert!(unexpected.is_empty(), "skipped, and not in skips.toml for {profile}: {unexpected:#?}");
    let stale: Vec<_> = skips.iter().filter(|skip| !verdicts.iter().any(|verdict| covers(skip, verdict))).collect();
    assert!(stale.is_empty(), "in skips.toml for {profile}, and not skipped: {stale:#?}");
}

#[tokio::test]
async fn keyrig_over_datagrams() {
    suite("keyrig", Way::Datagrams).await;
}

#[tokio::test]
async fn keyrig_over_usbip() {
    suite("keyrig", Way::UsbIp).await;
}

#[tokio::test]
async fn yubikey_5_7_over_datagrams() {
    suite("yubikey-5.7", Way::Datagrams).await;
}

#[tokio::test]
async fn yubikey_5_8_over_datagrams() {
    suite("yubikey-5.8", Way::Datagrams).await;
}

#[tokio::test]
async fn ctap_2_1_over_datagrams() {
    suite("ctap-2.1", Way::Datagrams).await;
}

#[tokio::test]
async fn yubikey_5_4_over_datagrams() {
    suite("yubikey-5.4", Way::Datagrams).await;
}

/// Credentials of ML-DSA, beside what every key is asked.
#[tokio::test]
async fn post_quantum_credentials_over_datagrams() {
    let files = [&OWN_PART[..], &["tests/device/test_credentials.py", "tests/device/test_credman.py"]].concat();
    part("keyrig-ml-dsa", Way::Datagrams, &files).await;
}

/// Enterprise attestation of both kinds: of the RP ID that the profile lists, and of one that the platform asks for.
#[tokio::test]
async fn enterprise_attestation_over_datagrams() {
    let files = [&OWN_PART[..], &["tests/device/test_config.py"]].concat();
    let options = ["--ep-rp-id", "enterprise.example.com"];
    part_asked("manual", "yubikey-enterprise", Way::Datagrams, &files, &options).await;
}

/// Its fingerprints, whose samples the suite leaves to a user: the rack's finger gives them.
#[tokio::test]
async fn the_fingerprints_of_a_bio() {
    part_with("auto", "yubikey-bio-5.7", Way::Datagrams, &["tests/device/test_bioenroll.py"]).await;
}

/// Each profile of CTAP2 that is on USB and not tested whole, but for one that verifies its user from the factory on: that the suite takes
/// for a key which somebody has set up, and asks nothing of it.
#[tokio::test]
async fn the_own_part_of_every_other_key() {
    const WHOLE: [&str; 7] =
        ["keyrig", "keyrig-ml-dsa", "yubikey-enterprise", "yubikey-5.8", "yubikey-5.7", "yubikey-5.4", "ctap-2.1"];
    let others = Profile::built_in_names().filter(|name| !WHOLE.contains(name) && *name != "keyrig-uv");
    let of_ctap2 = others
        .filter(|name| Profile::built_in(name).is_some_and(|profile| profile.has_ctap2() && profile.usb.is_some()));
    let mut waiting: Vec<_> = of_ctap2.collect();
    assert!(waiting.len() > 10, "{waiting:?}");
    let mut running = JoinSet::new();
    while !waiting.is_empty() || !running.is_empty() {
        while let Some(profile) = waiting.pop_if(|_| running.len() < AT_A_TIME) {
            running.spawn(part(profile, Way::Datagrams, &OWN_PART));
        }
        running.join_next().await.expect("one runs").expect("it has found nothing");
    }
}
