//! Every known bug of a real key, and who notices it: the rows of `crates/authenticator/quirks.toml`, one after another. Each client that
//! is named there does what stands there with a key that has the bug, and has to say what stands there, which it must not say of the
//! same key without.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use keyrig_authenticator::profile::{Noticed, Quirk};
use keyrig_rack::KeySpecification;
use keyrig_tests::clients::{program, run_with_key};
use keyrig_tests::exec_case::{Bench, Place};
use keyrig_tests::judge;
use keyrig_tests::serving::Serving;
use serde_json::{Value, json};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// The clients in Rust that speak CTAPHID by themselves, and their programs in `tests/clients`.
const CLIENTS: [(&str, &str); 2] =
    [("Mozilla's authenticator", "keyrig-client-mozilla"), ("libwebauthn", "keyrig-client-libwebauthn")];

/// A row of the table, and its quirk.
struct Row {
    quirk: &'static str,
    noticed: &'static Noticed,
}

/// The rows of some clients.
fn rows(by: &[&str]) -> Vec<Row> {
    let of = |quirk: &'static Quirk| quirk.noticed.iter().map(|noticed| Row { quirk: &quirk.name, noticed });
    let rows: Vec<_> = Quirk::all().iter().flat_map(of).filter(|row| by.contains(&row.noticed.by.as_str())).collect();
    assert!(!rows.is_empty(), "{by:?}");
    rows
}

/// Compares what was said of keys with the bugs, and without, with the rows: all of them, so that one run shows what is wrong.
fn judge(rows: &[Row], said: &[[String; 2]]) {
    let mut wrong = String::new();
    for (Row { quirk, noticed: Noticed { by, doing, says, .. } }, [with, without]) in rows.iter().zip(said) {
        if !with.contains(says) {
            let _ = writeln!(wrong, "{by}, {doing}, with {quirk}: says {with:?}, not {says:?}");
        }
        if without.contains(says) {
            let _ = writeln!(wrong, "{by}, {doing}, without {quirk}: says {without:?} too");
        }
    }
    assert_eq!(rows.len(), said.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn whoever_is_named_in_the_table_is_a_test_here() {
    for quirk in Quirk::all() {
        for noticed in &quirk.noticed {
            let here = ["python-fido2", "a raw host", "libfido2", "ctap-hid-fido2"].contains(&noticed.by.as_str());
            assert!(here || CLIENTS.iter().any(|(by, _)| *by == noticed.by), "{}", noticed.by);
        }
    }
}

/// A raw host is python-fido2's lowest layer, told to do what no layer above it does.
#[tokio::test]
async fn python_fido2_and_a_raw_host_notice() {
    let cache = judge::tree(".cache/device-suite");
    if !cache.join("installed").exists() {
        judge::skip("python-fido2 is not installed: tests/device_suite/install does it");
        return;
    }
    let rows = rows(&["python-fido2", "a raw host"]);
    let line = |Row { quirk, noticed: Noticed { doing, profile, .. } }: &Row| {
        format!("{}\n", json!({"quirk": quirk, "doing": doing, "profile": profile}))
    };
    let input: String = rows.iter().map(line).collect();
    let serving = Serving::start("keyrig", "every").await;
    let mut command = Command::new(cache.join("venv/bin/python"));
    command
        .arg(judge::tree("tests/faults/quirks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEYRIG_KEYS", serving.directory())
        .env("KEYRIG_SOCKET", serving.directory().join("control"));
    let output = judge::run(&mut command, input.as_bytes(), LIMIT).await;
    assert!(output.success, "{output}");
    let told = |line: &str| {
        let told: Value = serde_json::from_str(line).expect("JSON");
        ["with", "without"].map(|key| told[key].as_str().expect("text").to_owned())
    };
    judge(&rows, &output.stdout.lines().map(told).collect::<Vec<_>>());
}

/// What is done in front of `$node`, in shell.
fn script(doing: &str) -> &'static str {
    match doing {
        "fido2-token -L" => "fido2-token -L",
        // It ends at a key that answers, and never at one that does not.
        "fido2-token -I" => {
            "timeout -k 1 3 fido2-token -I $node | grep 'pin retries: undefined' || echo no retries are told"
        }
        "fido2-cred -M" => "request; fido2-cred -M -i request -o credential $node",
        "fido2-cred -M -b" => "request; fido2-cred -M -b -i request -o credential $node",
        // The key's clock jumps ahead when it is asked: it has waited long enough for the touch. Without a terminal the tool asks for a
        // PIN where it can be read here.
        "fido2-cred -M that nobody touches for" => {
            "request; $keyrig key touch-policy manual >/dev/null
             $keyrig key fault on key clock-jump,command=authenticatorMakeCredential >/dev/null
             setsid -w fido2-cred -M -i request -o credential $node </dev/null"
        }
        "fido2-assert -G with an unknown credential" => {
            "challenge \"$(head -c 48 /dev/zero | base64 -w 0)\"; fido2-assert -G -i challenge -o assertion $node"
        }
        "fido2-assert -G -t up=false" => "made; fido2-assert -G -t up=false -i challenge -o assertion $node",
        "fido2-assert -V -h" => {
            "made -h; head -c 32 /dev/zero | base64 >> challenge; fido2-assert -G -h -i challenge -o assertion $node
             fido2-assert -V -h -p -i assertion key"
        }
        other => panic!("nobody knows how to do {other:?}"),
    }
}

const TOOLS: &str = "cd $bench/tmp; node=/dev/hidraw0
    request() { head -c 32 /dev/zero | base64 > request; printf 'example.com\\nalice\\nAQ==\\n' >> request; }
    challenge() { { head -n 1 request; echo example.com; echo \"$1\"; } > challenge; }
    made() {
        fido2-cred -M \"$@\" -i request -o credential $node
        fido2-cred -V \"$@\" -i credential -o verified
        tail -n +2 verified > key
        challenge \"$(head -n 1 verified)\"
    }
    exec 2>&1; request";

#[tokio::test]
async fn libfido2_notices() {
    if !Path::new("/usr/bin/fido2-token").exists() {
        judge::skip("libfido2's tools are not installed: scripts/test installs them");
        return;
    }
    let rows = rows(&["libfido2"]);
    let here = Place { nobody: false, rules: None, view: "auto" };
    let bench = Bench::new();
    let mut said = Vec::new();
    for Row { quirk, noticed } in &rows {
        let script = format!("{TOOLS}\n{}", script(&noticed.doing));
        let (key, quirk) = (format!("key={}", noticed.profile), format!("key={quirk}"));
        let with = bench.run(here, &["--key", &key, "--quirk", &quirk], &script).await;
        let without = bench.run(here, &["--key", &key], &script).await;
        said.push([with.stdout, without.stdout]);
    }
    judge(&rows, &said);
}

/// What a client says that does all that its program does, with a new key of a profile.
async fn told(client: &str, profile: &str, quirk: Option<&str>) -> String {
    let mut program = program(client).expect("it was there before");
    let mut specification = KeySpecification::built_in(profile, "key").unwrap();
    if let Some(quirk) = quirk {
        specification.profile.add(Quirk::named(quirk).unwrap()).unwrap();
    }
    run_with_key(&mut program, specification, &["extensions", "management"], LIMIT).await.to_string()
}

#[tokio::test]
async fn clients_in_rust_notice() {
    for (by, client) in CLIENTS {
        if program(client).is_none() {
            continue;
        }
        let rows = rows(&[by]);
        let mut said = Vec::new();
        for Row { quirk, noticed } in &rows {
            said.push([told(client, &noticed.profile, Some(quirk)).await, told(client, &noticed.profile, None).await]);
        }
        judge(&rows, &said);
    }
}

/// It finds keys by hidapi, so it is given a tree of processes that has one.
#[tokio::test]
async fn ctap_hid_fido2_notices() {
    let Some(client) = program("keyrig-client-ctap-hid-fido2") else { return };
    let client = client.as_std().get_program().to_str().unwrap().to_owned();
    let rows = rows(&["ctap-hid-fido2"]);
    let here = Place { nobody: false, rules: None, view: "auto" };
    let bench = Bench::new();
    let mut said = Vec::new();
    for Row { quirk, noticed } in &rows {
        let (key, quirk) = (format!("key={}", noticed.profile), format!("key={quirk}"));
        let with = bench.run(here, &["--key", &key, "--quirk", &quirk], &client).await;
        let without = bench.run(here, &["--key", &key], &client).await;
        said.push([with.stdout, without.stdout]);
    }
    judge(&rows, &said);
}
