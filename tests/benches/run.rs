//! How long `keyrig run` takes from its start to its end: of a scenario with one key, and of a list of what would run, beside `true`. It has to
//! stay under 50 ms.
//!
//! Run it with `cargo bench -p keyrig-tests --bench run`. They are run in turns, and the median of each is taken.

use std::env;
use std::process::{Command, Stdio};
use std::time::Instant;

use keyrig_tests::program;

/// How often each is run.
const TURNS: usize = 41;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/scenarios/first-key.toml");

fn main() {
    // Tests of all targets run benches too, without this: there is nothing to measure then.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let keyrig = program::keyrig();
    let all: [(&str, &[&str]); 3] =
        [("true", &["true"]), ("a list", &[keyrig, "run", SCENARIO, "--list"]), ("a run", &[keyrig, "run", SCENARIO])];
    let mut times = all.map(|_| Vec::new());
    for _ in 0..TURNS {
        for ((_, words), times) in all.iter().zip(&mut times) {
            times.push(run(words));
        }
    }
    println!("medians of {TURNS}, ms");
    for ((name, _), times) in all.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{name:<8} {:>6.1}", times.get(TURNS / 2).copied().unwrap_or_default());
    }
}

/// Milliseconds until a program has ended.
fn run(words: &[&str]) -> f64 {
    let [program, arguments @ ..] = words else { return 0.0 };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).env_remove("KEYRIG_LOG");
    let begun = Instant::now();
    let status = command.status().expect("it can be started");
    let took = begun.elapsed().as_secs_f64() * 1e3;
    assert!(status.success(), "{words:?}");
    took
}
