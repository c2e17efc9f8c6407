//! Ctrl-C and SIGTERM: they end the process whatever it does, and in order where it can.
//!
//! A thread of its own listens, so that nothing that the other one waits for is in the way. As process 1 of a container we would
//! otherwise not end at all: the kernel's default does nothing there.

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// How long an end in order may take: longer than the kernel may take to let keys go.
const ORDERLY: Duration = Duration::from_secs(10);

/// Who ends in order.
static LISTENER: Mutex<Option<oneshot::Sender<()>>> = Mutex::new(None);

/// The terminal that shows nothing of what is typed, and what it was like before.
static HIDDEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Starts to listen.
pub(crate) fn listen() -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(Failure::Runtime)?;
    let signals = {
        let _entered = runtime.enter();
        let listen = |kind| signal(kind).map_err(Failure::Runtime);
        survive_file_size_limits()?;
        Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? }
    };
    let listening = move || runtime.block_on(end_with(signals));
    thread::Builder::new().name("signals".to_owned()).spawn(listening).map_err(Failure::Runtime)?;
    Ok(())
}

/// Where a file may grow no further a write fails, as on a full disk, and a key says so: the signal that the kernel sends too would end
/// the whole rack (setrlimit(2), `RLIMIT_FSIZE`). Programs that are started get it as ever: a handler ends with exec. To be called
/// within a runtime.
pub(crate) fn survive_file_size_limits() -> Result<(), Failure> {
    // Once heard of, a signal's default is gone for good.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop).map_err(Failure::Runtime)
}

/// From here on the first signal is ours to hear of. While what is returned lives we end by ourselves, in the time that there is
/// for it, and at once with a second signal.
pub(crate) fn in_order() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    *LISTENER.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    receiver
}

struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Its number (signal(7)).
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

async fn end_with(mut signals: Signals) {
    let mut number = signals.next().await;
    let listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if listener.is_some_and(|listener| listener.send(()).is_ok()) {
        tokio::select! {
            () = tokio::time::sleep(ORDERLY) => {}
            second = signals.next() => number = second,
        }
    }
    show_typing();
    std::process::exit(128 + number);
}

/// While it lives, the terminal is given back what it was like when a signal ends us.
pub(crate) struct RestoredBySignals;

impl RestoredBySignals {
    /// To be called before the terminal is told anything.
    pub(crate) fn begin() -> Self {
        let terminal = File::open("/dev/tty").ok();
        let before = terminal.and_then(|terminal| tcgetattr(&terminal).ok().map(|before| (terminal, before)));
        *HIDDEN.lock().unwrap_or_else(PoisonError::into_inner) = before;
        Self
    }
}

impl Drop for RestoredBySignals {
    fn drop(&mut self) {
        *HIDDEN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// While it lives, the terminal shows nothing of what is typed.
pub(crate) struct HiddenTyping {
    _restored_by_signals: RestoredBySignals,
}

impl HiddenTyping {
    /// To be called before the question is shown: an answer can be faster than what hides it after the question.
    pub(crate) fn begin() -> Self {
        let restored_by_signals = RestoredBySignals::begin();
        if let Some((terminal, before)) = &*HIDDEN.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut hiding = before.clone();
            hiding.local_modes.remove(LocalModes::ECHO);
            // Whoever asks on a terminal that is gone is told so.
            let _ = tcsetattr(terminal, OptionalActions::Now, &hiding);
        }
        Self { _restored_by_signals: restored_by_signals }
    }
}

impl Drop for HiddenTyping {
    fn drop(&mut self) {
        show_typing();
    }
}

fn show_typing() {
    if let Some((terminal, before)) = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // If it is gone, nobody types there.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
    }
}
