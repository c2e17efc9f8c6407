//! Clients in Rust that nobody here wrote, against keys of a rack over the datagram endpoint: Mozilla's, which Firefox has, and
//! libwebauthn; and under `keyrig exec` Mozilla's by itself, and ctap-hid-fido2. Their programs are in `tests/clients`, a workspace
//! of its own.

#![cfg(test)]

use std::time::Duration;

use keyrig_rack::KeySpecification;
use keyrig_tests::clients::{program, run_with_key};
use keyrig_tests::exec_case::{Bench, Place, places};

/// A client asks for a touch a dozen times, and is answered at once each time.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a client with a new key of a profile, and compares the steps that it reports.
async fn run(client: &str, groups: &[&str], profile: &str, steps: &[&str]) {
    let Some(mut program) = program(client) else { return };
    let specification = KeySpecification::built_in(profile, "key").unwrap();
    let output = run_with_key(&mut program, specification, groups, LIMIT).await;
    assert!(output.success, "{output}");
    let told: Vec<_> = output.stdout.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    assert_eq!(told, steps, "{output}");
}

#[tokio::test]
async fn mozilla() {
    for profile in ["keyrig", "yubikey-5.7", "yubikey-5.4", "security-key-5.1", "ctap-2.1", "ctap-2.0"] {
        let steps = [
            "register",
            "sign",
            "exclude list",
            "long allow list",
            "two accounts",
            "set a PIN",
            "register with the PIN, after a wrong one",
            "sign with the PIN",
        ];
        run("keyrig-client-mozilla", &[], profile, &steps).await;
    }
}

#[tokio::test]
async fn libwebauthn() {
    for profile in ["keyrig", "yubikey-5.7"] {
        let steps = [
            "register",
            "sign",
            "exclude list",
            "long allow list",
            "two accounts",
            "U2F: register, sign, exclude list",
            "set a PIN",
            "register with the PIN, after a wrong one",
            "sign with the PIN by both protocols",
            "prf and credProtect",
            "credential management",
            "authenticator configuration",
        ];
        run("keyrig-client-libwebauthn", &["u2f", "extensions", "management"], profile, &steps).await;
    }
    // What CTAP 2.0 has.
    let steps = [
        "register",
        "sign",
        "exclude list",
        "long allow list",
        "two accounts",
        "U2F: register, sign, exclude list",
        "set a PIN",
        "register with the PIN, after a wrong one",
        "sign with the PIN by both protocols",
        "prf and credProtect",
    ];
    run("keyrig-client-libwebauthn", &["u2f", "extensions"], "yubikey-5.4", &steps).await;
}

/// Both views; the clients lie where another user may not read.
fn both_views() -> impl Iterator<Item = Place> {
    places().into_iter().filter(|place| !place.nobody && place.rules.is_none())
}

/// The path of a client's program.
fn path(client: &tokio::process::Command) -> String {
    client.as_std().get_program().to_str().unwrap().to_owned()
}

/// As in Firefox: it hears of keys from udev, and has the user choose where there are several. Each that is there asks so.
#[tokio::test]
async fn mozilla_finds_keys_that_come_and_go() {
    let Some(client) = program("keyrig-client-mozilla") else { return };
    let client = path(&client);
    let bench = Bench::new();
    for place in both_views() {
        let keys = ["--key", "a=keyrig", "--key", "b=yubikey-5.7"];
        // The last time both blink, and the one is pulled out before the other is touched.
        let script = format!(
            "set -e
            {client} nodes
            $keyrig key unplug a >/dev/null
            {client} nodes
            $keyrig key plug a >/dev/null
            $keyrig key touch-policy manual >/dev/null
            {client} register &
            for key in a b; do $keyrig key wait $key >/dev/null; done
            $keyrig key unplug a >/dev/null
            $keyrig key finger b >/dev/null
            $keyrig key touch-policy auto >/dev/null
            wait $!"
        );
        let output = bench.run(place, &keys, &script).await;
        let steps = "ok sign\nok exclude list\nok set a PIN\nok sign with the PIN, after a wrong one\n";
        let [a, b] = ["6b657972-6967-4000-8000-000000000001", "a25342c0-3cdc-4414-8e46-f4807fca511c"];
        let expected = format!(
            "ok register with AAGuid({a}), 2 to choose from\n{steps}ok register with AAGuid({b}), 0 to choose from\n{steps}\
             ok register with AAGuid({b}), 2 to choose from\n"
        );
        assert_eq!(output.stdout, expected, "{place:?}: {output}");
        assert!(output.success, "{place:?}: {output}");
    }
}

/// It finds keys by hidapi, which needs nodes.
#[tokio::test]
async fn ctap_hid_fido2() {
    let Some(client) = program("keyrig-client-ctap-hid-fido2") else { return };
    let client = path(&client);
    let bench = Bench::new();
    for place in both_views() {
        let keys = ["--key", "a=keyrig", "--key", "b=yubikey-5.7"];
        let script = format!("{client}; $keyrig key unplug a >/dev/null; {client}");
        let output = bench.run(place, &keys, &script).await;
        let steps = "ok register\nok sign\nok set a PIN\nok register\nok sign\n";
        let expected = format!("found 1209:0001\nfound 1050:0402\n{steps}found 1050:0402\n{steps}");
        assert_eq!(output.stdout, expected, "{place:?}: {output}");
        assert!(output.success, "{place:?}: {output}");
    }
}
