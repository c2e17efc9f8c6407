//! Runs a program on a terminal of its own and types what it asks for: libfido2's tools and OpenSSH read PINs from the terminal
//! and from nothing else.
//!
//! `terminal [--each PROMPT COMMAND]... [PROMPT ANSWER]... -- PROGRAM [ARGUMENT]...` types each answer once its prompt has been printed after the one
//! before, and has a shell run each command whenever its prompt is printed, whatever comes of that, with the line so far in `LINE`; not again for a
//! line that is only written over with a clock behind it (`  0:07`). What the program prints goes to standard output, and its exit status is this program's. A prompt with an
//! answer that did not come is an error.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::iter::once;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((dialogue, program)) =
        arguments.iter().position(|argument| argument == "--").and_then(|at| arguments.split_at_checked(at))
    else {
        eprintln!("usage: terminal [--each PROMPT COMMAND]... [PROMPT ANSWER]... -- PROGRAM [ARGUMENT]...");
        return ExitCode::from(2);
    };
    let (mut dialogue, mut each) = (dialogue, Vec::new());
    while let [option, prompt, command, rest @ ..] = dialogue
        && option == "--each"
    {
        each.push([prompt.as_str(), command.as_str()]);
        dialogue = rest;
    }
    let dialogue = dialogue.chunks_exact(2).filter_map(<[String]>::first_chunk).collect();
    match run(&each, dialogue, program.get(1..).unwrap_or_default()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("terminal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(each: &[[&str; 2]], dialogue: Vec<&[String; 2]>, program: &[String]) -> io::Result<ExitCode> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    // Opened without O_NOCTTY it would become this program's own terminal, if it had none.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = File::from(rustix::fs::open(&name, flags, Mode::empty())?);
    // A new session, whose controlling terminal is the program's standard input.
    let mut child = Command::new("setsid")
        .args(["--ctty", "--wait"])
        .args(program)
        .stdin(terminal.try_clone()?)
        .stdout(terminal.try_clone()?)
        .stderr(terminal)
        .spawn()?;
    let unanswered = converse(File::from(controller), each, dialogue)?;
    let status = child.wait()?;
    if let Some([prompt, _]) = unanswered {
        return Err(io::Error::other(format!("the program ended ({status}) without asking {prompt:?}")));
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
}

/// Answers until the program has ended; the first prompt that did not come is returned.
fn converse<'d>(
    mut terminal: File,
    each: &[[&str; 2]],
    dialogue: Vec<&'d [String; 2]>,
) -> io::Result<Option<&'d [String; 2]>> {
    let mut dialogue = dialogue.into_iter().peekable();
    let mut unread = Vec::new();
    let printed = read_along(terminal.try_clone()?);
    loop {
        let Ok(first) = printed.recv() else { return Ok(dialogue.next()) };
        // Whatever else is there: a line may be cut in two.
        for more in once(first).chain(printed.try_iter()) {
            unread.extend(more?);
        }
        loop {
            let end_of = |prompt: &str| {
                let at = unread.windows(prompt.len()).position(|window| window == prompt.as_bytes())?;
                Some(at + prompt.len())
            };
            let answer = dialogue.peek().and_then(|[prompt, _]| end_of(prompt));
            let command = each.iter().filter_map(|[prompt, command]| Some((end_of(prompt)?, command))).min();
            match (answer, command) {
                (None, None) => break,
                (Some(end), command) if command.is_none_or(|(other, _)| end <= other) => {
                    unread.drain(..end);
                    let answer = dialogue.next().map_or("", |[_, answer]| answer.as_str());
                    terminal.write_all(format!("{answer}\n").as_bytes())?;
                }
                (_, Some((end, command))) => {
                    let printed: Vec<_> = unread.drain(..end).collect();
                    if is_written_over(&unread) {
                        continue;
                    }
                    let line = printed.rsplit(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
                    let line = String::from_utf8_lossy(line).into_owned();
                    Command::new("sh")
                        .arg("-c")
                        .arg(command)
                        .env("LINE", line)
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .status()?;
                }
                (Some(_), None) => break,
            }
        }
    }
}

/// Reads what is printed, also while a command runs: who prints would wait otherwise, in the middle of a line.
fn read_along(mut terminal: File) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, printed) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        loop {
            let read = match terminal.read(&mut buffer) {
                // Nobody has the terminal open any more (pty(7)).
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return,
                Ok(0) => return,
                read => read.map(|length| buffer.get(..length).unwrap_or_default().to_vec()),
            };
            let read = read.and_then(|bytes| {
                io::stdout().write_all(&bytes)?;
                io::stdout().flush()?;
                Ok(bytes)
            });
            let is_over = read.is_err();
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    });
    printed
}

/// Whether the rest of a line ends with a clock.
fn is_written_over(rest: &[u8]) -> bool {
    let line = rest.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    matches!(line, [before @ .., b':', tens, ones]
        if is_digit(tens) && is_digit(ones) && before.iter().rev().find(|byte| !is_digit(byte)) == Some(&b' '))
}
