//! What commands print on a terminal of 80 columns, as files in `crates/keyrig/tests/printed`: a line `$ keyrig …`, what it
//! prints, and a line with its exit status; several in one file. `KEYRIG_PRINTED=write` writes them anew, to be read then.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Runs each command of a file, and compares what it prints.
pub(crate) fn prints_what_is_written(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/printed");
    let file = directory.join(format!("{name}.txt"));
    let written = std::fs::read_to_string(&file).expect("it is there");
    let mut found = String::new();
    for line in written.lines().filter(|line| line.starts_with("$ keyrig ")) {
        let arguments = words(line.trim_start_matches("$ keyrig "));
        let (printed, status) = on_terminal(&arguments, &directory);
        for line in printed.lines() {
            assert!(line.chars().count() <= 80 || !line.trim().contains(' '), "{line:?} is wider than a terminal");
        }
        found.push_str(&format!("{line}\n{printed}exit status {status}\n\n"));
    }
    assert!(!found.is_empty(), "{name} has no command");
    if std::env::var_os("KEYRIG_PRINTED").is_some_and(|what| what == "write") {
        std::fs::write(&file, &found).expect("it is written");
    }
    assert_eq!(found, written, "{}", file.display());
}

/// Words as a shell takes them, with nothing but single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("one").push(other),
        }
    }
    words
}

fn on_terminal(arguments: &[String], directory: &PathBuf) -> (String, i32) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&controller).expect("it is ours");
    unlockpt(&controller).expect("it is ours");
    let name = ptsname(&controller, Vec::new()).expect("a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = File::from(rustix::fs::open(&name, flags, Mode::empty()).expect("it opens"));
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrig"));
    command.args(arguments).env("NO_COLOR", "1").current_dir(directory).stdin(Stdio::null());
    command.stdout(terminal.try_clone().expect("a copy")).stderr(terminal);
    let mut child = command.spawn().expect("keyrig runs");
    // The copies that are open here would keep the terminal from ending.
    drop(command);
    let mut printed = Vec::new();
    let mut buffer = [0; 4096];
    let mut controller = File::from(controller);
    // EIO: nobody has the terminal open any more (pty(7)).
    while let Ok(read @ 1..) = controller.read(&mut buffer) {
        printed.extend(buffer.iter().take(read));
    }
    let status = child.wait().expect("it ends").code().expect("it exits");
    (String::from_utf8(printed).expect("text").replace("\r\n", "\n"), status)
}
