//! What keyrig says of itself: its version, its man pages, and what shells complete command lines with.

use std::path::Path;
use std::process::{Command, Output};

fn keyrig(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyrig")).args(arguments).output().expect("keyrig runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn the_version_is_short_for_programs_and_says_more_when_it_is_spelled_out() {
    let short = format!("keyrig {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&keyrig(&["-V"])).trim_end(), short);
    let long = stdout(&keyrig(&["--version"]));
    let said = long.trim_end().strip_prefix(&format!("{short} (")).and_then(|rest| rest.strip_suffix(')'));
    let (commit, features) = said.and_then(|said| said.split_once("; ")).unwrap_or_else(|| panic!("{long}"));
    assert!(commit.starts_with("commit ") || commit == "built for development", "{long}");
    assert_eq!(features.contains("tls"), cfg!(feature = "tls"), "{long}");
}

/// The subcommands of a command, as its help lists them.
fn subcommands(command: &[&str]) -> Vec<String> {
    let help = stdout(&keyrig(&[command, &["--help"]].concat()));
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let list = list.lines().take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn every_page_is_there(directory: &Path, command: &[&str], count: &mut usize) {
    let name = [&["keyrig"], command].concat().join("-");
    let page =
        std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page.contains(".SH SYNOPSIS") && page.contains(&format!(".TH {name} 1")), "{name}: {page}");
    *count += 1;
    for subcommand in subcommands(command) {
        every_page_is_there(directory, &[command, &[subcommand.as_str()]].concat(), count);
    }
}

#[test]
fn every_command_has_a_man_page_and_the_first_is_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("share/man1");
    stdout(&keyrig(&["man", pages.to_str().expect("text")]));
    let mut count = 0;
    every_page_is_there(&pages, &[], &mut count);
    assert!(count > 60, "{count} pages");
    let printed = stdout(&keyrig(&["man"]));
    assert!(printed.contains("keyrig\\-exec(1)") && printed.contains(".SH SYNOPSIS"), "{printed}");
}

#[test]
fn every_shell_gets_its_script_and_bash_completes_by_it() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&keyrig(&["completions", shell])).contains("profiles"), "{shell}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("keyrig");
    std::fs::write(&script, stdout(&keyrig(&["completions", "bash"]))).expect("written");
    let line =
        "set -eu; . \"$0\"; COMP_WORDS=(keyrig key un); COMP_CWORD=2; _keyrig keyrig un key; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", line]).arg(&script).output().expect("bash runs");
    assert_eq!(stdout(&output).trim(), "unplug", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn man_pages_that_cannot_be_written_are_an_error_that_names_the_path() {
    let output = keyrig(&["man", "/dev/null/pages"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("cannot write /dev/null/pages"), "{said}");
}
