//! Transcripts, judged by who reads them: Wireshark's dissectors, and a person who asks why a login failed.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use keyrig_tests::exec_case::{Bench, Place};
use keyrig_tests::{judge, program};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

const HERE: Place = Place { nobody: false, rules: None, view: "auto" };

fn installed(path: &str) -> bool {
    let installed = Path::new(path).exists();
    if !installed {
        judge::skip(&format!("{path} is not installed: scripts/test installs it"));
    }
    installed
}

/// What a site does that was moved to another name: it asks for the credential under an RP ID that it was not made for.
const MOVED_SITE: &str = r"
    set -e
    hash=$(head -c 32 /dev/zero | base64)
    printf '%s\nexample.com\nroot\nAQ==\n' $hash > $bench/tmp/request
    fido2-cred -M -i $bench/tmp/request -o $bench/tmp/credential /dev/hidraw0
    printf '%s\nlogin.example.com\n%s\n' $hash $(sed -n 5p $bench/tmp/credential) > $bench/tmp/challenge
    fido2-assert -G -i $bench/tmp/challenge /dev/hidraw0";

/// docs/src/how-to/trace.md.
#[tokio::test]
async fn the_text_alone_says_why_an_assertion_of_libfido2_failed() {
    if !installed("/usr/bin/fido2-assert") {
        return;
    }
    let bench = Bench::new();
    let path = bench.path().join("tmp/login.txt");
    let output = bench.run(HERE, &["--trace", path.to_str().expect("text")], MOVED_SITE).await;
    assert!(output.stderr.contains("FIDO_ERR_NO_CREDENTIALS"), "{output}");
    let text = fs::read_to_string(&path).expect("a transcript");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("authenticatorGetAssertion")).collect();
    let [line] = lines.as_slice() else { panic!("{text}") };
    let words: Vec<_> = line.split_whitespace().collect();
    let expected = ["keyrig", "authenticatorGetAssertion", "login.example.com", "CTAP2_ERR_NO_CREDENTIALS", "touched"];
    assert_eq!(words[1..6], expected, "{line}");
    let why =
        "the credential in allowList is not on this key for this RP ID, unless it wants a PIN first (credProtect)";
    assert!(line.ends_with(why), "{line}");
    // The name that it was made for is a line above.
    assert!(text.lines().any(|line| line.contains("authenticatorMakeCredential  ") && line.contains("example.com ")));
}

async fn tshark(path: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(path).args(arguments);
    let output = judge::run(&mut command, b"", LIMIT).await;
    assert!(output.success, "{output}");
    output.stdout
}

#[tokio::test]
async fn wireshark_takes_a_transcript_apart_as_usb_and_hid() {
    if !installed("/usr/bin/tshark") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("demo.pcapng");
    let lines = directory.path().join("demo.jsonl");
    let mut demo = Command::new(program::keyrig());
    demo.args(["demo", "--json", "--trace"]).arg(&lines).env_remove("KEYRIG_LOG");
    let output = judge::run(&mut demo, b"", LIMIT).await;
    assert!(output.success, "{output}");
    let mut convert = Command::new(program::keyrig());
    convert.arg("trace").arg(&lines).arg("-o").arg(&path);
    let output = judge::run(&mut convert, b"", LIMIT).await;
    assert!(output.success, "{output}");

    assert_eq!(tshark(&path, &["-Y", "_ws.malformed || _ws.expert.severity == error"]).await, "");
    // Each key is found by its descriptors, and each report is data of a HID device, which these describe.
    let products =
        tshark(&path, &["-Y", "usb.idProduct", "-T", "fields", "-e", "usb.idVendor", "-e", "usb.idProduct"]).await;
    for product in ["0x1209\t0x0001", "0x1050\t0x0402"] {
        assert!(products.contains(product), "{products}");
    }
    let data = tshark(&path, &["-Y", "usbhid.data", "-T", "fields", "-e", "usbhid.data"]).await;
    let written = fs::read_to_string(&lines).expect("a transcript");
    let reports = written.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let reports: Vec<_> = reports
        .filter(|event| event["event"] == "report")
        .map(|event| event["bytes"].as_str().expect("text").to_owned())
        .collect();
    assert!(!reports.is_empty());
    assert_eq!(data.lines().collect::<Vec<_>>(), reports);
}
