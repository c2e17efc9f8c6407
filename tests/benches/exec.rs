//! What `keyrig exec` costs a program, in both views, beside the same program bare: until it has a node, and after its end; an opening
//! of a file, a PING to a key (beside one over USB/IP), a compile, and `git status` of 20,000 files.
//!
//! Run it with `cargo bench -p keyrig-tests --bench exec`. The ways are run in turns, and the median of each is taken, so that what
//! else goes on meets all of them; a ratio is the median of the turns' own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keyrig_tests::exec_case::Bench;
use keyrig_tests::program;
use rustix::time::{ClockId, clock_gettime};

/// How often each is run.
const TURNS: usize = 7;

const FILES: usize = 20_000;

const SOURCE: &str = "#include <algorithm>\n#include <iostream>\n#include <map>\n#include <regex>\n#include <string>\n\
    int main(int, char **arguments) { std::map<std::string, std::regex> all; all[arguments[0]] = std::regex(\"a+\");\n\
    std::cout << all.size(); }\n";

/// What is measured of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measured {
    /// From its start to the time that it prints, ms.
    Start,
    /// From the time that it prints to the end, ms.
    End,
    /// All of it within, ms.
    Inside,
    /// What it prints itself.
    Printed,
}

fn main() {
    use Measured::{End, Inside, Printed, Start};
    // Tests of all targets run benches too, without this: there is nothing to measure then.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bench = Bench::new();
    let path = bench.path();
    let timed = bench.compile("bench", &["-O2"]).display().to_string();
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
    let (mut serving, port) = serve();

    println!("| medians of {TURNS} | bare | namespace | paths |\n|---|---|---|---|");
    let (bare, first) = (format!("exec {timed} first /dev/null"), format!("exec {timed} first /dev/hidraw0"));
    row("from the start to the first node, ms", Start, path, &bare, &first);
    row("from the program's end to keyrig's, ms", End, path, &bare, &first);
    let opens = format!("{timed} opens {}/source.cpp 20000", path.display());
    row("an opening of a file, µs", Printed, path, &opens, &opens);
    let ctaphid = format!("{} ping 20000", env!("CARGO_BIN_EXE_ctaphid"));
    let (usbip, node) = (format!("{ctaphid} 127.0.0.1:{port} 1-1"), format!("{ctaphid} /dev/hidraw0"));
    row("a PING of one packet, µs; bare is USB/IP", Printed, path, &usbip, &node);
    serving.kill().and_then(|()| serving.wait()).expect("it ends");
    let compile = "for i in 1 2 3 4; do g++ -O1 -c -o $i.o source.cpp; done";
    row("4 × g++ -O1 -c, ms", Inside, path, compile, compile);
    row("git status of 20,000 files, ms", Inside, &files, "git status -s", "git status -s");
}

/// A key over USB/IP, and its port.
fn serve() -> (Child, String) {
    let mut serving = Command::new(program::keyrig())
        .args([
            "serve",
            "--name",
            "bench",
            "--usbip",
            "127.0.0.1:0",
            "--key",
            "a=keyrig",
            "--json",
            "--exit-with-parent",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut line = String::new();
    BufReader::new(serving.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says where");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let address = said.get("usbip").and_then(serde_json::Value::as_str).expect("an address");
    let port = address.rsplit(':').next().expect("a port").to_owned();
    (serving, port)
}

fn shell(directory: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory);
    command
}

/// Runs a script bare, and another in both views.
fn row(name: &str, measured: Measured, directory: &Path, bare: &str, script: &str) {
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push([None, Some("namespace"), Some("paths")].map(|way| {
            let mut command = match way {
                None => shell(directory, &inside(measured, bare)),
                Some(view) => {
                    let mut command = Command::new(program::keyrig());
                    command.args(["exec", "-q", "--view", view, "--", "sh", "-ec", &inside(measured, script)]);
                    command.current_dir(directory);
                    command
                }
            };
            let began = milliseconds();
            let printed = run(&mut command);
            match measured {
                Measured::Start => printed / 1e6 - began,
                Measured::End => milliseconds() - printed / 1e6,
                Measured::Inside | Measured::Printed => printed,
            }
        }));
    }
    let bare = median(turns.iter().map(|[bare, ..]| *bare));
    let shown = |figures: Vec<f64>| {
        let figure = median(figures.iter().copied());
        match measured {
            Measured::Start | Measured::End => format!("{figure:.1}"),
            Measured::Inside | Measured::Printed => {
                let ratios = figures.iter().zip(&turns).map(|(figure, [bare, ..])| figure / bare);
                format!("{figure:.1} ({:.2} ×)", median(ratios))
            }
        }
    };
    let namespace = shown(turns.iter().map(|[_, namespace, _]| *namespace).collect());
    let paths = shown(turns.iter().map(|[.., paths]| *paths).collect());
    println!("| {name} | {bare:.1} | {namespace} | {paths} |");
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// A script that prints how long another took, in milliseconds, if that is wanted.
fn inside(measured: Measured, script: &str) -> String {
    if measured != Measured::Inside {
        return script.to_owned();
    }
    format!(
        "began=$(date +%s%N); {{ {script}; }} >/dev/null; echo $(( ($(date +%s%N) - began) / 1000 )) | sed 's/...$/.&/'"
    )
}

/// The system's monotonic clock, which programs read too.
fn milliseconds() -> f64 {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("it is after the start").as_secs_f64() * 1e3
}

/// Runs a command, and returns the number that it prints; 0 if it prints nothing.
fn run(command: &mut Command) -> f64 {
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().unwrap_or_default()
}
