//! What a kernel adds: from opening a key to the answer to getInfo, through hidraw, beside the same over USB/IP in user space;
//! and getInfo alone on a channel that is open. Both run in the guest, with the same key.
//!
//! Run it with `cargo bench -p keyrig-tests`. Where the guest is emulated, compare its lines with each other only.

use std::env;
use std::time::Duration;

use keyrig_tests::{guest, program};

const SCRIPT: &str = r#"set -eu
cd "$(mktemp -d)"
mkfifo lines
"$keyrig" attach --control unix:$PWD/a >lines &
exec 5<lines
while read -r line; do case $line in *' is /dev/'*) break ;; esac; done <&5
echo "hidraw, vhci by socket pair: $("$ctaphid" time 200 "/dev/${line##*/}")"
kill $! && wait $!
"$keyrig" serve --control unix:$PWD/b --usbip 127.0.0.1:3240 >lines &
exec 5<lines
while read -r line; do case $line in *Ctrl-C*) break ;; esac; done <&5
echo "USB/IP in user space:        $("$ctaphid" time 200 127.0.0.1:3240 1-1)"
kill $! && wait $!
"#;

fn main() {
    // Tests of all targets run benches too, without this: there is nothing to measure then.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let keyrig = program::keyrig();
    let Some(mut guest) = guest::required_or_skip() else {
        return;
    };
    let script = format!("keyrig='{keyrig}' ctaphid='{}'\n{SCRIPT}", env!("CARGO_BIN_EXE_ctaphid"));
    let output = guest.run(&script, Duration::from_secs(120)).expect("the script ends");
    assert_eq!(output.status, 0, "{output:?}");
    println!("in a guest by {}, medians in µs\n{}", guest.accelerator(), output.text().trim_end());
}
