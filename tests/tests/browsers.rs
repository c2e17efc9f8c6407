//! Real browsers with keys under `keyrig exec`, by WebDriver.

#![cfg(test)]

use std::path::Path;

use keyrig_tests::exec_case::{Bench, Place, places};
use keyrig_tests::judge;

/// With their sandboxes an ordinary user's; without them where a container's rules forbid it, and for root, who may not have one.
fn switch(place: Place) -> &'static str {
    if place.rules == Some("docker") || !place.nobody && rustix::process::geteuid().is_root() {
        "--no-sandbox"
    } else {
        ""
    }
}

#[tokio::test]
async fn chromium_registers_and_logs_in_with_two_keys_that_come_and_go() {
    let needs = ["/usr/bin/chromium", "/usr/bin/chromedriver", "/usr/bin/python3"];
    if let Some(missing) = needs.iter().find(|path| !Path::new(path).exists()) {
        return judge::skip(&format!("{missing} is not installed: scripts/test installs it"));
    }
    let bench = Bench::new();
    std::fs::copy(judge::tree("tests/browsers/chromium.py"), bench.path().join("chromium.py")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    for place in places().into_iter().filter(|place| place.nobody == is_root && place.rules != Some("apparmor")) {
        let options = ["--key", "a=keyrig", "--key", "b=yubikey-5.7"];
        let script = format!("exec python3 $bench/chromium.py $keyrig {}", switch(place));
        let output = bench.run(place, &options, &script).await;
        assert!(output.success, "{place:?}: {output}");
        let told = "register with a: done\n\
                    register with b: done\n\
                    two credentials: True\n\
                    log in with a: a\n\
                    log in with b: b\n\
                    log in without a: b\n\
                    log in where only a is known: a\n\
                    log in while they are plugged in: True\n";
        assert_eq!(output.stdout, told, "{place:?}: {output}");
    }
}
