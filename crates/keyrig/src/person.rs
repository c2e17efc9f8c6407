//! Who sits at the terminal: what is asked of a person on standard error, with a clock that shows how long it has been.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, IsTerminal, Write, stderr};
use std::os::unix::fs::OpenOptionsExt;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keyrig_scenario::hardware::person::{Ask, Person};
use rustix::fs::OFlags;
use rustix::termios::{QueueSelector, tcflush};
use tokio::net::unix::pipe;

use crate::failure::Failure;
use crate::interruption::HiddenTyping;
use crate::output::{one_line, say};

/// How often the clock goes on.
const SECOND: Duration = Duration::from_secs(1);

/// What a clock is told.
enum Told {
    Asked(String),
    Done,
}

/// Whoever sits at the terminal.
#[derive(Debug)]
pub(crate) struct AtTerminal(Mutex<Sender<Told>>);

impl AtTerminal {
    pub(crate) fn start() -> Result<Self, Failure> {
        let (sender, told) = channel();
        thread::Builder::new().name("clock".to_owned()).spawn(move || show(&told)).map_err(Failure::Runtime)?;
        Ok(Self(Mutex::new(sender)))
    }

    fn show(&self, told: Told) {
        // The clock ends with the process.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(told);
    }
}

/// Shows what is asked: on a terminal in a line that is written over, with a clock; elsewhere as a line of its own.
fn show(told: &Receiver<Told>) {
    let is_seen = stderr().is_terminal();
    let mut asked: Option<(String, Instant)> = None;
    loop {
        let heard = match &asked {
            Some(_) if is_seen => told.recv_timeout(SECOND),
            _ => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Ok(Told::Asked(text)) => {
                if is_seen {
                    clear();
                }
                say_it(&text, is_seen);
                asked = Some((text, Instant::now()));
            }
            Ok(Told::Done) => {
                if asked.take().is_some() && is_seen {
                    clear();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some((text, since)) = &asked {
                    let seconds = since.elapsed().as_secs();
                    clear();
                    say_it(&format!("{text}  {}:{:02}", seconds / 60, seconds % 60), is_seen);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// If nobody can be told, nobody is.
fn say_it(text: &str, is_seen: bool) {
    let text = one_line(text);
    let _ = if is_seen { write!(stderr(), "→ {text}") } else { writeln!(stderr(), "→ {text}") };
    let _ = stderr().flush();
}

/// A clock that goes on until it is dropped.
struct Clock<'t>(&'t AtTerminal);

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        self.0.show(Told::Done);
    }
}

/// Asks, and waits until Enter is pressed at the terminal after that.
async fn enter(ask: impl FnOnce()) -> io::Result<()> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let terminal = OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty")?;
    // What was typed before is no answer.
    tcflush(&terminal, QueueSelector::IFlush)?;
    // Tokio has no type for terminals; its type for pipes waits for them.
    let terminal = pipe::Receiver::from_owned_fd_unchecked(terminal.into())?;
    ask();
    let mut typed = [0; 256];
    loop {
        terminal.readable().await?;
        // A line at a time, as the terminal is.
        match terminal.try_read(&mut typed) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

fn clear() {
    let _ = write!(stderr(), "\r\x1b[K");
}

impl Person for AtTerminal {
    fn ask(&self, ask: &Ask) {
        self.show(Told::Asked(ask.to_string()));
    }

    fn done(&self) {
        self.show(Told::Done);
    }

    fn until_over<'p>(&'p self, ask: &Ask) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'p>> {
        let text = ask.to_string();
        Box::pin(async move {
            let ask = || {
                // It may be longer than a line, which could not be written over.
                self.tell(&text);
                self.show(Told::Asked("press Enter here once it is over".to_owned()));
            };
            let _clock = Clock(self);
            enter(ask).await.map_err(|error| format!("nobody can say at a terminal that it is over: {error}"))
        })
    }

    fn tell(&self, text: &str) {
        self.show(Told::Done);
        say(one_line(text));
    }

    fn pin(&self, key: &str) -> Result<Option<String>, String> {
        self.show(Told::Done);
        let _hidden = HiddenTyping::begin();
        let prompt = format!("PIN of key \"{key}\", or nothing: ");
        match rpassword::prompt_password(one_line(&prompt)) {
            Ok(pin) => Ok(Some(pin).filter(|pin| !pin.is_empty())),
            Err(error) => {
                Err(format!("the PIN of key {key} cannot be asked for: {error}; a lab file has it with pin-file"))
            }
        }
    }
}
