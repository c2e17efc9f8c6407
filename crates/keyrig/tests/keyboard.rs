//! `keyrig serve` on a terminal: it tells what happens, and is typed to.

#![cfg(test)]
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

const OPTIONS: &str = r#"{"rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "u", "displayName": "u"},
    "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}]}"#;

/// `keyrig serve` with keys a and b on a terminal of its own. Ended by its process id.
struct OnTerminal {
    serve: Child,
    /// The terminal, where it runs, and where somebody sits.
    inside: File,
    outside: File,
    /// What it has printed, as far as it was not looked at.
    printed: String,
}

impl OnTerminal {
    fn start(control: &Path) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let inside = OpenOptions::new().read(true).write(true).open(&name).unwrap();
        // 'setsid -c' makes the pseudoterminal the one of a session of its own, and what it runs its foreground.
        let mut command = Command::new("setsid");
        command.args(["-c", "-w", env!("CARGO_BIN_EXE_keyrig"), "serve", "--usbip", "none", "--touch", "manual"]);
        command.args(["--key", "a=keyrig", "--key", "b=yubikey-5.7", "--control"]);
        command.arg(format!("unix:{}", control.display())).env("NO_COLOR", "1");
        command.stdin(inside.try_clone().unwrap()).stdout(inside.try_clone().unwrap()).stderr(Stdio::null());
        let serve = command.spawn().expect("setsid and keyrig run");
        let mut started = Self { serve, inside, outside: File::from(terminal), printed: String::new() };
        started.until("Ctrl-C ends it.");
        started
    }

    /// Reads until this is printed, and past it.
    fn until(&mut self, text: &str) {
        while !self.printed.contains(text) {
            let mut bytes = [0; 4096];
            let read = self.outside.read(&mut bytes).expect("it goes on");
            self.printed.push_str(core::str::from_utf8(&bytes[..read]).expect("nothing here is beyond ASCII"));
        }
        let (_, behind) = self.printed.split_once(text).expect("it is there");
        self.printed = behind.to_owned();
    }

    fn press(&mut self, keys: &str) {
        self.outside.write_all(keys.as_bytes()).expect("it is typed");
    }

    fn has(&self, modes: LocalModes) -> bool {
        tcgetattr(&self.inside).unwrap().local_modes.contains(modes)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        self.serve.wait().expect("it is ours");
    }
}

fn create(control: &Path, key: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrig"));
    command.args(["client", "create", "--origin", "https://login.example.com", "--on", key, "--control"]);
    command.arg(format!("unix:{}", control.display()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(OPTIONS.as_bytes()).unwrap();
    child
}

#[test]
fn keys_of_the_keyboard_touch_and_deny_and_the_terminal_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control");
    let mut terminal = OnTerminal::start(&control);
    assert!(!terminal.has(LocalModes::ICANON) && !terminal.has(LocalModes::ECHO), "keys are told as they are pressed");
    assert!(terminal.has(LocalModes::ISIG), "Ctrl-C is what it was");
    for (key, pressed, is_touched) in [("a", "\r", true), ("b", "2", true), ("b", "d", false)] {
        let mut client = create(&control, key);
        terminal.until(&format!("{key} blinks: it waits for a touch (authenticatorMakeCredential for example.com)"));
        terminal.press(pressed);
        assert_eq!(client.wait().unwrap().success(), is_touched, "{pressed:?}");
        terminal.until(&format!("{key} was {}", if is_touched { "touched" } else { "denied" }));
    }
    terminal.press("\r");
    terminal.until("no key waits");
    // An arrow key is none of these, and 9 is no key.
    terminal.press("\u{1b}[A");
    terminal.press("9");
    terminal.until("there is no key 9");
    terminal.press("?");
    terminal.until("2      b, a yubikey-5.7: waits for nothing");
    terminal.press("\u{3}");
    assert!(terminal.serve.wait().unwrap().success());
    assert!(terminal.has(LocalModes::ICANON | LocalModes::ECHO));
}
