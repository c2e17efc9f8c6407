//! What `keyrig exec` costs a program, in both views, beside the same program bare: how long it takes to start, an opening of a file, a
//! PING to a key, a compile, and `git status` of 20,000 files.
//!
//! Run it with `cargo bench -p keyrig-tests --bench exec` on a machine that does nothing else. The ways are run in turns, and the
//! median of each is taken, so that what else goes on meets all of them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keyrig_tests::exec_case::Bench;
use keyrig_tests::program;

/// How often each is run.
const TURNS: usize = 7;

const FILES: usize = 20_000;

const SOURCE: &str = "#include <algorithm>\n#include <iostream>\n#include <map>\n#include <regex>\n#include <string>\n\
    int main(int, char **arguments) { std::map<std::string, std::regex> all; all[arguments[0]] = std::regex(\"a+\");\n\
    std::cout << all.size(); }\n";

fn main() {
    // Tests of all targets run benches too, without this: there is nothing to measure then.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bench = Bench::new();
    let path = bench.path();
    let timed = bench.compile("bench", &["-O2"]);
    fs::write(path.join("source.cpp"), SOURCE).expect("a file");
    let files = path.join("files");
    for number in 0..FILES {
        let directory = files.join(format!("{}", number % 100));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(format!("{number}")), format!("{number}")).expect("a file");
    }
    let git =
        "git init -q && git add . && git -c user.name=a -c user.email=a@example.com commit -qm all && git status -s";
    run(&mut shell(&files, git));

    let timed = timed.display();
    println!("| medians of {TURNS} | bare | namespace | paths |\n|---|---|---|---|");
    row("from the start to the first node, ms", "start", path, "test -c /dev/null", "test -c /dev/hidraw0");
    let opens = format!("{timed} opens {}/source.cpp 20000", path.display());
    row("an opening of a file, µs", "printed", path, &opens, &opens);
    row("a PING of one packet, µs", "printed", path, "echo 0", &format!("{timed} ping /dev/hidraw0 20000"));
    let compile = "for i in 1 2 3 4 5 6 7 8; do g++ -O1 -c -o $i.o source.cpp; done";
    row("8 × g++ -O1 -c, ms", "inside", path, compile, compile);
    row("git status of 20,000 files, ms", "inside", &files, "git status -s", "git status -s");
}

fn shell(directory: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory);
    command
}

/// Runs a script bare, and another in both views. What counts is all of the time, that of the script within, or what it prints.
fn row(name: &str, what: &str, directory: &Path, bare: &str, script: &str) {
    let ways = [None, Some("namespace"), Some("paths")];
    let mut figures = ways.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (way, figures) in ways.iter().zip(&mut figures) {
            let mut command = match way {
                None => shell(directory, &inside(what, bare)),
                Some(view) => {
                    let mut command = Command::new(program::keyrig());
                    command.args(["exec", "-q", "--view", view, "--", "sh", "-ec", &inside(what, script)]);
                    command.current_dir(directory);
                    command
                }
            };
            let began = Instant::now();
            let printed = run(&mut command);
            figures.push(if what == "start" { milliseconds(began.elapsed()) } else { printed });
        }
    }
    let medians = figures.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    });
    let [bare, namespace, paths] = medians;
    let ratio =
        |figure: f64| if bare > 0.0 && what != "start" { format!(" ({:.2} ×)", figure / bare) } else { String::new() };
    let known = if bare > 0.0 { format!("{bare:.1}") } else { String::new() };
    println!("| {name} | {known} | {namespace:.1}{} | {paths:.1}{} |", ratio(namespace), ratio(paths));
}

/// A script that prints how long another took, in milliseconds, if that is wanted.
fn inside(what: &str, script: &str) -> String {
    if what != "inside" {
        return script.to_owned();
    }
    format!(
        "began=$(date +%s%N); {{ {script}; }} >/dev/null; echo $(( ($(date +%s%N) - began) / 1000 )) | sed 's/...$/.&/'"
    )
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Runs a command, and returns the number that it prints; 0 if it prints nothing.
fn run(command: &mut Command) -> f64 {
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().unwrap_or_default()
}
