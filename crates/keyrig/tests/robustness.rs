//! What may not end or stop the program: full disks and pipes, readers that go, signals at any moment, too few descriptors.

#![cfg(test)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

fn keyrig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrig"));
    command.args(arguments).env_remove("KEYRIG_CONTROL").env_remove("KEYRIG_LOG").stdin(Stdio::null());
    command
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(pid(child), signal).unwrap();
}

/// A child that is killed if the test ends before it.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

/// A rack of one key in a directory of its own, which has said where it is.
struct Rack {
    started: Started,
    out: BufReader<ChildStdout>,
    listening: Value,
    directory: TempDir,
}

impl Rack {
    fn start(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(TempDir::new().unwrap(), arguments, prepare)
    }

    fn start_in(directory: TempDir, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let control = format!("unix:{}", directory.path().join("control").display());
        let mut command =
            keyrig(&["serve", "--json", "--usbip", "127.0.0.1:0", "--key", "keyrig=a", "--control", &control]);
        command.args(arguments).stdout(Stdio::piped());
        prepare(&mut command);
        let mut started = Started::new(&mut command);
        let mut out = BufReader::new(started.0.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        Self { started, out, listening: serde_json::from_str(&line).unwrap(), directory }
    }

    fn control(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    fn command(&self, request: &str) -> Value {
        let mut stream = UnixStream::connect(self.control()).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Sends the key a CTAP message, and returns the answer's status.
    fn status(&self, message: &str) -> u8 {
        let answer = self.command(&format!(r#"{{"command":"transact","key":"a","message":"{message}"}}"#));
        u8::from_str_radix(&answer["message"].as_str().unwrap()[..2], 16).unwrap()
    }

    fn stored(&self) -> u64 {
        self.command(r#"{"command":"list"}"#)["keys"][0]["discoverable_credentials"].as_u64().unwrap()
    }

    fn address(&self, member: &str) -> String {
        self.listening[member].as_str().unwrap().to_owned()
    }
}

/// authenticatorMakeCredential of a discoverable credential for "a.example", in CBOR by hand; `user` is its user's id.
fn make_credential(user: u8) -> String {
    let hash = "00".repeat(32);
    let rp = "a162696469612e6578616d706c65";
    let user = format!("a262696441{user:02x}646e616d656161");
    format!("01a5015820{hash}02{rp}03{user}0481a263616c672664747970656a7075626c69632d6b657907a162726bf5")
}

#[test]
fn a_full_disk_is_an_error_with_words() {
    let printing: [&[&str]; 6] = [
        &["demo"],
        &["demo", "--json"],
        &["profiles"],
        &["profiles", "--json"],
        &["--help"],
        &["serve", "--usbip", "127.0.0.1:0"],
    ];
    for arguments in printing {
        let directory = TempDir::new().unwrap();
        let control = directory.path().join("control");
        let output = keyrig(arguments).env("KEYRIG_CONTROL", &control).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
        let why = "cannot print: No space left on device (os error 28)";
        let said = if arguments.contains(&"--json") {
            format!("{{\"error\":{{\"code\":\"cannot-print\",\"message\":\"{why}\"}}}}\n")
        } else {
            format!("error: {why}\n")
        };
        assert_eq!(text(&output.stderr), said);
    }
    let output = keyrig(&["profiles", "nobody's"]).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "nobody can be told");
    let output = keyrig(&["profile"]).stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_reader_that_has_read_enough_ends_it_quietly() {
    for arguments in [&["profiles"][..], &["profiles", "--json"], &["demo"], &["--help"]] {
        let mut child = keyrig(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
    }
}

/// Fills a pipe that nobody reads, and returns both ends.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b' '; 4096]).is_ok() {}
    while writer.write(b" ").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn a_standard_error_that_nobody_reads_stops_no_key_and_no_end() {
    for level in ["warn", "trace"] {
        let (mut reader, writer) = full_pipe();
        let mut rack = Rack::start(&[], |command| {
            command.env("KEYRIG_LOG", level).stderr(writer);
        });
        for _ in 0..449 {
            no_usbip(&rack);
        }
        assert_eq!(rack.status("0b"), 0, "a key is touched");
        signal(&rack.started.0, Signal::TERM);
        assert_eq!(rack.started.code(), Some(0));
        assert!(!rack.control().exists(), "it ended in order");
        let mut left = Vec::new();
        reader.read_to_end(&mut left).unwrap();
        assert!(left.iter().all(|byte| *byte == b' '), "nothing more got in");
    }
}

/// What a browser would send to the USB/IP server, which warns of it.
fn no_usbip(rack: &Rack) {
    let mut stream = TcpStream::connect(rack.address("usbip")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // It is closed once it is understood.
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_standard_output_that_nobody_reads_stops_no_end() {
    let (_reader, writer) = full_pipe();
    let directory = TempDir::new().unwrap();
    let control = directory.path().join("control");
    let mut command = keyrig(&["serve", "--usbip", "127.0.0.1:0"]);
    let mut rack = Started::new(command.env("KEYRIG_CONTROL", &control).stdout(writer));
    let listed = || keyrig(&["key", "list"]).env("KEYRIG_CONTROL", &control).output().unwrap().status.success();
    while !listed() {}
    signal(&rack.0, Signal::INT);
    assert_eq!(rack.code(), Some(0));
    assert!(!control.exists());
    // What ends by itself waits for its reader, as any program does, and for no longer than it is let.
    let (_reader, writer) = full_pipe();
    let mut waiting = Started::new(keyrig(&["profiles"]).stdout(writer));
    until_in(&waiting.0, WRITE, "1");
    signal(&waiting.0, Signal::INT);
    assert_eq!(waiting.code(), Some(130));
}

#[test]
fn of_one_warning_a_second_one_is_said() {
    let mut rack = Rack::start(&[], |command| {
        command.stderr(Stdio::piped());
    });
    for _ in 0..449 {
        no_usbip(&rack);
    }
    signal(&rack.started.0, Signal::TERM);
    let mut log = String::new();
    rack.started.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(rack.started.code(), Some(0));
    let warnings = log.lines().filter(|line| line.contains("WARN")).count();
    assert!((1..100).contains(&warnings), "{log}");
}

#[test]
fn signals_end_what_waits_for_input() {
    let state = TempDir::new().unwrap();
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = keyrig(&["rp", "serve", "--listen", "127.0.0.1:0", "--initial-password", "-", "--state"]);
        let mut waiting = Started::new(command.arg(state.path()).stdin(Stdio::piped()));
        // Waiting for a child closes what it reads.
        let input = waiting.0.stdin.take();
        until_in(&waiting.0, READ, "0");
        signal(&waiting.0, number);
        assert_eq!(waiting.code(), Some(code));
        drop(input);
    }
}

#[test]
fn signals_end_what_waits_for_a_lock() {
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let lock = File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let control = directory.path().join("control");
    let mut command = keyrig(&["serve", "--usbip", "127.0.0.1:0", "--state"]);
    command.arg(&state).env("KEYRIG_CONTROL", control).stderr(Stdio::piped());
    let mut waiting = Started::new(&mut command);
    let mut said = String::new();
    BufReader::new(waiting.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("another keyrig makes something here: waiting for it"), "{said}");
    signal(&waiting.0, Signal::TERM);
    assert_eq!(waiting.code(), Some(143));
}

#[test]
fn keys_that_are_new_together_are_no_surprise_and_one_beside_them_later_is() {
    let directory = TempDir::new().unwrap();
    let log_of = |keys: &[&str]| {
        let mut command = keyrig(&["serve", "--usbip", "none", "--exit-on-stdin-end", "--state"]);
        command.arg(directory.path().join("state")).args(keys.iter().flat_map(|key| ["--key", key]));
        let output =
            command.env("KEYRIG_CONTROL", directory.path().join("control")).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr).to_owned()
    };
    let log = log_of(&["a=keyrig", "b=keyrig", "c=keyrig"]);
    assert!(!log.contains("WARN"), "{log}");
    let log = log_of(&["a=keyrig", "d=keyrig"]);
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("there was no such key where others are"), "{log}");
}

/// The numbers of read(2) and write(2).
const READ: &str = if cfg!(target_arch = "x86_64") { "0" } else { "63" };
const WRITE: &str = if cfg!(target_arch = "x86_64") { "1" } else { "64" };

/// Waits until a process sleeps in a system call on a descriptor: by what the kernel says of it, as nothing else tells.
fn until_in(child: &Child, number: &str, descriptor: &str) {
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let inside = tasks.filter_map(Result::ok).any(|task| {
            let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            call.starts_with(&format!("{number} 0x{descriptor} "))
        });
        if inside {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    for name in ["lock", "format", "attestation-root", "keys/a/lock", "keys/a/store", "keys/a/profile"] {
        let directory = TempDir::new().unwrap();
        let state = directory.path().join("state");
        let state_text = state.to_str().unwrap().to_owned();
        drop(Rack::start(&["--state", &state_text], |_| {}));
        let path = state.join(name);
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let output = serve_on(&state, &directory);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let expected = format!("{} is damaged: it is not a file", path.display());
        assert!(text(&output.stderr).contains(&expected), "{name}: {}", text(&output.stderr));
        // Nor is what a link leads to taken.
        std::fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
        let output = serve_on(&state, &directory);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let expected = format!("{} is damaged: it is a link", path.display());
        assert!(text(&output.stderr).contains(&expected), "{name}: {}", text(&output.stderr));
    }
}

fn serve_on(state: &Path, directory: &TempDir) -> Output {
    let mut command = keyrig(&["serve", "--usbip", "127.0.0.1:0", "--key", "keyrig=a", "--state"]);
    command.arg(state).env("KEYRIG_CONTROL", directory.path().join("control")).output().unwrap()
}

#[test]
fn when_there_is_room_again_a_kept_key_goes_on_and_nothing_acknowledged_is_lost() {
    let state = TempDir::new().unwrap();
    let kept = state.path().join("state").to_str().unwrap().to_owned();
    // Where a file may grow no further, the kernel also sends a signal, whose default is to end us (setrlimit(2)).
    let rack = Rack::start(&["--state", &kept], |_| {});
    assert_eq!(rack.status(&make_credential(1)), 0);
    let limit = |current| {
        let limit = Rlimit { current, maximum: None };
        prlimit(Some(pid(&rack.started.0)), Resource::Fsize, limit).unwrap();
    };
    limit(Some(0));
    for user in [2, 3] {
        assert_eq!(rack.status(&make_credential(user)), 0x7f, "CTAP1_ERR_OTHER");
    }
    assert_eq!(rack.stored(), 1);
    let made = rack.command(r#"{"command":"create","name":"b"}"#);
    assert_eq!(made["error"]["code"], "cannot-create", "{made}");
    let left: Vec<_> = std::fs::read_dir(Path::new(&kept).join("keys")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing of it is left: {left:?}");
    limit(None);
    assert_eq!(rack.status(&make_credential(4)), 0, "it goes on");
    assert_eq!(rack.stored(), 2);
    drop(rack);
    assert_eq!(Rack::start(&["--state", &kept], |_| {}).stored(), 2, "and what it said is there");
}

#[test]
fn a_rack_that_had_no_descriptors_left_goes_on() {
    let directory = TempDir::new().unwrap();
    let endpoint = directory.path().join("endpoint");
    let arguments = ["--pico-controller", "127.0.0.1:0", "--ctaphid", &format!("unix:{}", endpoint.display())];
    let mut rack = Rack::start(&arguments, |command| {
        command.stderr(Stdio::null());
    });
    let limits = prlimit_of(&rack.started.0);
    assert_eq!(limits.current, limits.maximum, "the limit is raised at the start");
    let open = std::fs::read_dir(format!("/proc/{}/fd", rack.started.0.id())).unwrap().count();
    let few = Rlimit { current: u64::try_from(open + 8).ok(), maximum: limits.maximum };
    prlimit(Some(pid(&rack.started.0)), Resource::Nofile, few).unwrap();
    let (usbip, pico) = (rack.address("usbip"), rack.address("pico_controller"));
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push((
            TcpStream::connect(&usbip).unwrap(),
            TcpStream::connect(&pico).unwrap(),
            UnixStream::connect(rack.control()).unwrap(),
        ));
    }
    drop(idle);
    assert_eq!(rack.status("04"), 0);
    let mut stream = TcpStream::connect(&pico).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // OP_REQ_DEVLIST (Documentation/usb/usbip_protocol.rst).
    let mut stream = TcpStream::connect(&usbip).unwrap();
    stream.write_all(&[1, 0x11, 0x80, 5, 0, 0, 0, 0]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[..4], [1, 0x11, 0, 5]);
    signal(&rack.started.0, Signal::TERM);
    assert_eq!(rack.started.code(), Some(0));
}

fn prlimit_of(child: &Child) -> Rlimit {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    Rlimit { current: numbers.next().unwrap(), maximum: numbers.next().unwrap() }
}

#[test]
fn an_interrupted_prompt_gives_the_terminal_its_echo_back() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};
    let rack = Rack::start(&[], |_| {});
    for (how, code) in [("\u{3}", 130), ("kill", 143)] {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        // 'setsid -c' makes the pseudoterminal the one of a session of its own: what /dev/tty is there.
        let inside = OpenOptions::new().read(true).write(true).open(&name).unwrap();
        let mut command = Command::new("setsid");
        command.args(["-c", "-w", env!("CARGO_BIN_EXE_keyrig"), "key", "--control"]);
        command.arg(format!("unix:{}", rack.control().display())).args(["pin", "set", "a"]);
        command.stdin(inside.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = Started::new(&mut command);
        let mut outside = File::from(terminal);
        let mut prompt = String::new();
        while !prompt.ends_with(": ") {
            let mut byte = [0];
            outside.read_exact(&mut byte).unwrap();
            prompt.push(char::from(byte[0]));
        }
        let echoes = || tcgetattr(&inside).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(!echoes(), "an answer that comes at once is shown");
        if how == "kill" {
            signal(&child.0, Signal::TERM);
        } else {
            outside.write_all(how.as_bytes()).unwrap();
        }
        assert_eq!(child.0.wait().unwrap().code().or_else(|| child.0.wait().unwrap().signal()), Some(code), "{how}");
        assert!(echoes(), "{how}");
    }
}

#[test]
fn datagrams_of_nobody_end_no_endpoint() {
    let rack = Rack::start(&["--ctaphid", "udp:127.0.0.1:0"], |_| {});
    let address = rack.listening["ctaphid"][0]["address"].as_str().unwrap().strip_prefix("udp:").unwrap().to_owned();
    for _ in 0..100 {
        // CTAPHID_INIT on the broadcast channel, and gone before the answer.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut report = [0; 64];
        report[..15].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x86, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        socket.send_to(&report, &address).unwrap();
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut report = [0; 64];
    report[..15].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x86, 0, 8, 8, 7, 6, 5, 4, 3, 2, 1]);
    socket.send_to(&report, &address).unwrap();
    socket.recv(&mut report).unwrap();
    assert_eq!(report[4], 0x86);
    drop(rack.out);
}

#[test]
fn nothing_is_printed_by_what_panics_where_it_cannot() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))];
    let mut sources = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["tests", "benches", "examples", "fixtures"].contains(&name) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                sources += 1;
                let source = std::fs::read_to_string(&path).unwrap();
                let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
                for macro_name in ["print!(", "println!("] {
                    assert!(!product.contains(macro_name), "{}: {macro_name}", path.display());
                }
            }
        }
    }
    assert!(sources > 100, "they are elsewhere");
}
