//! Who said no, of ceremonies that real browsers perform: pages are observed, and what is told of each refusal is compared with what
//! was done there.

#![cfg(test)]

use std::fs;
use std::path::Path;

use keyrig_tests::exec_case::{Bench, Place, places};
use keyrig_tests::judge;
use serde_json::{Value, json};

const PROGRAMS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromedriver", "/usr/bin/firefox-esr"];

/// A place of an ordinary user, where browsers have their sandboxes.
fn place() -> Place {
    let is_root = rustix::process::geteuid().is_root();
    let place = places().into_iter().find(|place| place.nobody == is_root && place.rules.is_none());
    place.expect("there is one")
}

/// Has ceremonies refused in a browser: what its pages were told, and what was explained, in that order.
async fn refusals(browser: &str) -> Option<(Value, Vec<Value>, String)> {
    let site_packages = judge::tree(".cache/browsers");
    let installed = site_packages.join("installed");
    let needs = PROGRAMS.iter().map(Path::new).chain([installed.as_path()]);
    if let Some(missing) = needs.into_iter().find(|path| !path.exists()) {
        judge::skip(&format!("{} is not installed: scripts/test installs it", missing.display()));
        return None;
    }
    let bench = Bench::new();
    let copied = std::process::Command::new("cp")
        .args(["-r", "--no-preserve=mode"])
        .args([judge::tree("tests/browsers"), site_packages.join("packages")])
        .arg(bench.path())
        .status();
    assert!(copied.unwrap().success());
    let trace = bench.path().join("tmp/refusals.jsonl");
    let options = ["--key", "a=keyrig", "--key", "b=yubikey-5.7", "--explain", "--trace", trace.to_str().unwrap()];
    let script = format!(
        "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$bench/packages exec /usr/bin/python3 $bench/browsers/refusals.py {browser} $keyrig"
    );
    let output = bench.run(place(), &options, &script).await;
    assert!(output.success, "{browser}: {output}");
    let found = serde_json::from_str(&output.stdout).unwrap();
    let events = fs::read_to_string(trace).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let explained: Vec<_> = events.filter(|event| event["event"] == "explained").collect();
    Some((found, explained, output.stderr))
}

/// What differs between browsers: what pages are told where a key has refused and nobody closes Chromium's window.
struct Differs {
    no_credential: &'static str,
    excluded: &'static str,
    nobody_came: (&'static str, &'static str),
}

async fn who_said_no(browser: &str, differs: Differs) {
    let Some((found, explained, told)) = refusals(browser).await else { return };
    // As in a page that nobody observes.
    let native = |name: &str, length: u64, enumerable: bool| {
        json!([name, length, format!("function {name}() {{ [native code] }}"), false, true, enumerable, true])
    };
    let seen = json!({
        "get": native("get", 0, true), "toString": native("toString", 0, false), "fetch": native("fetch", 1, true),
        "promise": "TypeError", "added": [],
    });
    assert_eq!(found["seen"], seen);

    let keys = |explanation: &Value| {
        let keys = explanation["keys"].as_array().unwrap().iter();
        let mut keys: Vec<_> = keys.map(|key| key["key"].as_str().unwrap().to_owned()).collect();
        keys.sort_unstable();
        keys.concat()
    };
    let summary: Vec<_> = explained
        .iter()
        .map(|explanation| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let got = &explanation["page"]["exception"]["name"];
            (text(&explanation["rp_id"]), text(&explanation["refused_by"]), text(got), keys(explanation))
        })
        .collect();
    let row = |rp_id: &str, refused_by: &str, got: &str, keys: &str| {
        (rp_id.to_owned(), refused_by.to_owned(), got.to_owned(), keys.to_owned())
    };
    let hostile = found["told"]["hostile page"].as_str().unwrap();
    let expected = vec![
        row("localhost", "browser", "TypeError", ""),
        row("example.com", "browser", "SecurityError", ""),
        row("localhost", "key", differs.no_credential, "ab"),
        row("localhost", "key", differs.excluded, "ab"),
        row("localhost", differs.nobody_came.0, differs.nobody_came.1, "ab"),
        row("example.net", "browser", hostile, ""),
        row("localhost", "site", "", "ab"),
    ];
    assert_eq!(summary, expected, "{told}");
    for (at, says) in [
        (1, "The RP ID example.com is neither localhost nor a domain above it."),
        (2, "CTAP2_ERR_NO_CREDENTIALS"),
        (3, "CTAP2_ERR_CREDENTIAL_EXCLUDED"),
        (6, "expected http://localhost:8443 (the port is "),
    ] {
        assert!(explained[at]["text"].as_str().unwrap().contains(says), "{says}: {told}");
    }
    assert_eq!(explained[6]["page"]["joined_by"], "client-data-hash");
    assert_eq!(told.matches("keyrig: ").count(), explained.len(), "each is told once: {told}");
}

#[tokio::test]
async fn chromium() {
    let differs = Differs { no_credential: "AbortError", excluded: "AbortError", nobody_came: ("page", "AbortError") };
    who_said_no("chromium", differs).await;
}

/// Its pages wait 15 s at least, however little they ask for.
#[tokio::test]
async fn firefox() {
    let differs = Differs {
        no_credential: "NotAllowedError",
        excluded: "InvalidStateError",
        nobody_came: ("user", "NotAllowedError"),
    };
    who_said_no("firefox", differs).await;
}
