//! What is printed, so that nothing that is printed to can hold up or end more than it should.
//!
//! A command that ends by itself prints with [`print()`], and waits as any program does. What runs a rack or a site prints through
//! [`Lines`], because its one thread may wait for nobody who does not read.

mod text;

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use tokio::sync::watch;

use self::text::{columns, for_people};
use crate::error_code;
use crate::failure::Failure;

pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();

/// How much may wait to be written, bytes. What comes while there is no room is lost, and counted.
const MAX_PENDING: usize = 256 * 1024;

/// How long the end of a process waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Prints text for people. What others wrote may be part of it: what is not seen is said, and the lines fit the terminal.
pub(crate) fn print(text: impl AsRef<str>) -> Result<(), Failure> {
    print_marked(Style::new(), "", text)
}

/// The same behind a mark in a style.
pub(crate) fn print_marked(style: Style, mark: &str, text: impl AsRef<str>) -> Result<(), Failure> {
    print_as_it_is(for_people(style, mark, text.as_ref(), columns(io::stdout())))
}

/// Prints what is not for people to read as text: JSON, tables, drawings.
pub(crate) fn print_as_it_is(text: impl AsRef<str>) -> Result<(), Failure> {
    prompt(format!("{}\n", text.as_ref()))
}

/// Prints text that does not end a line.
pub(crate) fn prompt(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush()).map_err(Failure::Print)
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_as_it_is(json(value)?)
}

/// Prints a value as JSON over several lines.
pub(crate) fn print_json_for_people(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Print(error.into()))?;
    print_as_it_is(text::json(&text))
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Print(error.into()))?;
    Ok(text::json(&text))
}

/// Says a line on standard error. If nobody can be told there, nobody is.
pub(crate) fn say(line: impl AsRef<str>) {
    let _ = writeln!(anstream::stderr().lock(), "{}", line.as_ref());
}

/// Text as one line of a terminal, with what is not seen escaped.
pub(crate) fn one_line(text: &str) -> String {
    for_people(Style::new(), "", &text.replace('\n', " "), None)
}

/// What `--json` prints of an error, on standard error.
#[derive(Serialize)]
struct ErrorLine<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    what_to_do: Option<String>,
}

/// Says why a command failed: for people, or for programs.
pub(crate) fn say_failure(failure: &Failure, json: bool) {
    let (message, what_to_do) = (failure.to_string(), failure.what_to_do());
    if json {
        return say_error(error_code::of(failure), message, what_to_do);
    }
    let advice = what_to_do.map(|advice| format!(": {advice}")).unwrap_or_default();
    say(for_people(RED, "error:", &format!(" {message}{advice}"), columns(io::stderr())));
}

/// Says what is wrong with a command line if it has something in it that is not seen, with that said. Whether it has.
pub(crate) fn say_usage(error: &clap::Error) -> bool {
    let text = error.render().to_string();
    let shown = for_people(Style::new(), "", text.trim_end(), None);
    let is_hidden = shown != text.trim_end();
    if is_hidden {
        say(shown);
    }
    is_hidden
}

/// Says an error for programs.
pub(crate) fn say_error(code: &str, message: String, what_to_do: Option<String>) {
    let line = ErrorLine { error: ErrorObject { code, message, what_to_do } };
    say(text::json(&serde_json::to_string(&line).unwrap_or_default()));
}

/// Lines that a thread of its own writes: whoever has a line never waits.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>, Option<usize>);

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or what there was is written.
    changed: Condvar,
    failed: watch::Sender<Option<i32>>,
}

#[derive(Default)]
struct Queue {
    pending: Vec<u8>,
    lost: u64,
    writing: bool,
}

impl Lines {
    /// Lines for standard output. `lost` says how many could not be kept.
    pub(crate) fn to_stdout(lost: fn(u64) -> String) -> Result<Self, Failure> {
        let lines = Self::start(anstream::stdout(), lost).map_err(Failure::Runtime)?;
        Ok(Self(lines.0, columns(io::stdout())))
    }

    /// Lines for standard error, likewise.
    pub(crate) fn to_stderr(lost: fn(u64) -> String) -> Result<Self, Failure> {
        let lines = Self::start(anstream::stderr(), lost).map_err(Failure::Runtime)?;
        Ok(Self(lines.0, columns(io::stderr())))
    }

    /// Starts the thread that writes to `out`. It ends with the process.
    pub(crate) fn start(out: impl Write + Send + 'static, lost: fn(u64) -> String) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), changed: Condvar::new(), failed: watch::Sender::new(None) };
        let lines = Self(Arc::new(shared), None);
        let shared = Arc::clone(&lines.0);
        thread::Builder::new().name("output".to_owned()).spawn(move || shared.write_to(out, lost))?;
        Ok(lines)
    }

    /// Has text for people written as soon as it can be, as [`print()`] does.
    pub(crate) fn print(&self, text: impl AsRef<str>) {
        self.print_marked(Style::new(), "", text);
    }

    /// The same behind a mark in a style.
    pub(crate) fn print_marked(&self, style: Style, mark: &str, text: impl AsRef<str>) {
        self.push(&for_people(style, mark, text.as_ref(), self.1));
    }

    /// Something that whoever started this should know.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.print_marked(YELLOW, "note", format!("     {}", text.as_ref()));
    }

    /// Has a value written as one line of JSON.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.push(&json(value)?);
        Ok(())
    }

    fn push(&self, line: &str) {
        self.0.push(format!("{line}\n").as_bytes());
    }

    /// Waits until nothing more can be written, and says why.
    pub(crate) async fn failed(&self) -> Failure {
        let mut failed = self.0.failed.subscribe();
        // The sender is ours, so that there is an answer.
        let code = failed.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        Failure::Print(code.map_or_else(|| io::ErrorKind::WriteZero.into(), io::Error::from_raw_os_error))
    }

    /// Waits until what is pending is written, but no longer than the end of a process may take.
    pub(crate) fn finish(&self) {
        let queue = self.0.lock();
        let unwritten = |queue: &mut Queue| !queue.pending.is_empty() || queue.lost > 0 || queue.writing;
        // What is not written by now is not going to be read.
        let _ = self.0.changed.wait_timeout_while(queue, LAST_WORDS, unwritten);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.pending.len() + line.len() > MAX_PENDING {
            queue.lost += 1;
        } else {
            queue.pending.extend_from_slice(line);
        }
        self.changed.notify_all();
    }

    fn write_to(&self, mut out: impl Write, lost: fn(u64) -> String) {
        loop {
            let (mut text, count) = {
                let mut queue = self.lock();
                queue.writing = false;
                self.changed.notify_all();
                while queue.pending.is_empty() && queue.lost == 0 {
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                queue.writing = true;
                (core::mem::take(&mut queue.pending), core::mem::take(&mut queue.lost))
            };
            if count > 0 {
                text.extend_from_slice(format!("{}\n", lost(count)).as_bytes());
            }
            if let Err(error) = out.write_all(&text).and_then(|()| out.flush()) {
                self.failed.send_replace(Some(error.raw_os_error().unwrap_or_default()));
            }
        }
    }
}

/// What the log is written to: a whole line each time.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes what is written only when the test does: a pipe that nobody reads.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from_raw_os_error(32))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_is_lost_is_counted() {
        let (sender, reader) = mpsc::sync_channel(0);
        let lines = Lines::start(Pipe(sender), |count| format!("{count} lost")).unwrap();
        let line = "x".repeat(1023);
        lines.print("first");
        let first = reader.recv().unwrap();
        assert_eq!(first, b"first\n");
        // The thread may have taken a part of these by the time the rest comes: it hands that over only when it is read.
        for _ in 0..2 * MAX_PENDING / 1024 + 100 {
            lines.print(&line);
        }
        let mut text = String::new();
        while !text.contains("lost") {
            text.push_str(&String::from_utf8(reader.recv().unwrap()).unwrap());
        }
        let kept = text.lines().filter(|kept| *kept == line).count();
        let lost: usize = text.lines().find_map(|line| line.strip_suffix(" lost")).unwrap().parse().unwrap();
        assert!(lost >= 100, "{lost}");
        assert_eq!(kept + lost, 2 * MAX_PENDING / 1024 + 100);
        lines.print("and on");
        assert_eq!(reader.recv().unwrap(), b"and on\n");
    }

    #[test]
    fn the_end_of_a_process_waits_for_what_is_being_read() {
        let (sender, reader) = mpsc::sync_channel(16);
        let lines = Lines::start(Pipe(sender), |count| format!("{count} lost")).unwrap();
        lines.print("last words");
        lines.finish();
        assert_eq!(reader.try_recv().unwrap(), b"last words\n");
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_noticed() {
        let (sender, reader) = mpsc::sync_channel(0);
        drop(reader);
        let lines = Lines::start(Pipe(sender), |count| format!("{count} lost")).unwrap();
        lines.print("to nobody");
        assert!(matches!(lines.failed().await, Failure::Print(error) if error.kind() == io::ErrorKind::BrokenPipe));
    }
}
