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
use crate::interruption::HiddenTyping;

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
    _restored_by_signals: HiddenTyping,
}

impl Keyboard {
    /// That of standard input, if it is a terminal and we are in its foreground: what runs in the background must not touch it.
    pub(crate) fn take() -> Result<Option<Self>, Failure> {
        if !isatty(io::stdin()) || !is_in_foreground() {
            return Ok(None);
        }
        let taken = || -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let restored_by_signals = HiddenTyping::begin();
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
            // Arrows and the like begin with ESC.
            [0x1B, ..] => {}
            typed => typed.iter().try_for_each(|key| keys.blocking_send(*key).ok())?,
        }
    }
}

fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}
