//! Single keys of the keyboard, as they are pressed: of the terminal that standard input is, while we are in its foreground.

use std::io;
use std::sync::mpsc as threads;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::interruption::RestoredBySignals;

/// How many keys may be pressed before the first of them is taken: then whoever reads them waits.
const PENDING: usize = 64;

/// The keyboard. Dropping it gives the terminal back what it was like.
pub(crate) struct Keyboard {
    keys: mpsc::Receiver<u8>,
    before: Termios,
    /// We go on after a stop: whoever had the terminal meanwhile has set it in their way.
    went_on: unix::Signal,
    /// What tells that to the thread that reads.
    in_foreground_again: threads::SyncSender<()>,
    _restored_by_signals: RestoredBySignals,
}

impl Keyboard {
    /// That of standard input, if it is a terminal and we are in its foreground: what runs in the background must not touch it.
    pub(crate) fn take() -> Result<Option<Self>, Failure> {
        if !isatty(io::stdin()) || !is_in_foreground() {
            return Ok(None);
        }
        let taken = || -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let restored_by_signals = RestoredBySignals::begin();
            listen(&before)?;
            let (sender, keys) = mpsc::channel(PENDING);
            let (in_foreground_again, again) = threads::sync_channel(1);
            let reading = move || {
                // Nobody types any more where this fails, or nobody takes it.
                let _ = read(&sender, &again);
            };
            thread::Builder::new().name("keyboard".to_owned()).spawn(reading)?;
            let went_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
            Ok(Self { keys, before, went_on, in_foreground_again, _restored_by_signals: restored_by_signals })
        };
        taken().map(Some).map_err(Failure::Runtime)
    }

    /// The next key; none if there will be no more. Of one that sends several bytes, none is told.
    pub(crate) async fn pressed(&mut self) -> Option<u8> {
        loop {
            tokio::select! {
                key = self.keys.recv() => return key,
                went_on = self.went_on.recv() => {
                    went_on?;
                    if is_in_foreground() {
                        listen(&self.before).ok()?;
                        // If it is told already, once is enough.
                        let _ = self.in_foreground_again.try_send(());
                    }
                }
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if is_in_foreground() {
            // If it is gone, nobody types there.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Has each key told at once and not shown, and a read return what there is. Ctrl-C stays what it is.
fn listen(before: &Termios) -> io::Result<()> {
    let mut listening = before.clone();
    listening.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    for index in [SpecialCodeIndex::VMIN, SpecialCodeIndex::VTIME] {
        listening.special_codes[index] = 0;
    }
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &listening)?)
}

/// Reads what is typed, on a thread of its own. A read in the background would stop us (SIGTTIN), and looking would never end.
fn read(keys: &mpsc::Sender<u8>, again: &threads::Receiver<()>) -> Option<()> {
    let input = io::stdin();
    loop {
        let mut polled = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            looked => looked.ok()?,
        };
        if !is_in_foreground() {
            again.recv().ok()?;
            continue;
        }
        let has_gone = polled.iter().any(|polled| polled.revents().contains(PollFlags::HUP));
        let mut bytes = [0; 64];
        let read = rustix::io::read(&input, &mut bytes).ok()?;
        match bytes.get(..read)? {
            [] if has_gone => return None,
            // Somebody else was faster.
            [] => {}
            typed => single(typed).into_iter().try_for_each(|key| keys.blocking_send(key).ok())?,
        }
    }
}

/// The keys of which each is one byte: arrows and the like send a control sequence (ECMA-48, 5.4; SS3 in keypads), which is left out.
fn single(mut typed: &[u8]) -> Vec<u8> {
    const ESCAPE: u8 = 0x1B;
    let mut keys = Vec::new();
    while let Some((&first, rest)) = typed.split_first() {
        typed = match (first, rest) {
            (ESCAPE, [b'[', sequence @ ..]) => {
                let end = sequence.iter().position(|byte| (0x40..=0x7E).contains(byte));
                end.and_then(|end| sequence.get(end + 1..)).unwrap_or_default()
            }
            (ESCAPE, [b'O', _, behind @ ..]) | (ESCAPE, [_, behind @ ..]) => behind,
            (ESCAPE, []) => &[],
            (key, behind) => {
                keys.push(key);
                behind
            }
        };
    }
    keys
}

fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What xterm sends for the keys that are named.
    #[test]
    fn keys_that_send_several_bytes_take_none_of_those_behind_them() {
        for (typed, keys) in [
            (&b"1d?"[..], &b"1d?"[..]),
            (b"\x1B[A9", b"9"),      // up
            (b"\x1B[1;5C\r", b"\r"), // control and right
            (b"\x1BOP2", b"2"),      // F1
            (b"\x1Bd3", b"3"),       // alt and d
            (b"\x1B", b""),          // escape
            (b"\x1B[", b""),
            (b"\x1B[20;", b""),
            (b"a\x1B[15~b", b"ab"), // F5
        ] {
            assert_eq!(single(typed), keys, "{typed:?}");
        }
    }
}
