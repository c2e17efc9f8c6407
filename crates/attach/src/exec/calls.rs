//! The calls of the tree as they come, taken by several threads: the supervisor, and helpers that wake up when more calls wait than
//! it answers by itself. Most calls concern no key, which the text of their path tells; helpers answer these, and pass others on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::{self, Scope, Thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::call::Call;
use super::path_text::concerns_no_key;
use super::sys::{Listener, Notification, Reply};
use super::view::View;

/// The most helpers: more would wait for each other.
const MAX_HELPERS: usize = 3;

/// What there is to take.
pub(super) enum Next {
    Call(Notification),
    /// Nothing now.
    Nothing,
    /// Nobody is left who calls.
    Ended,
}

pub(super) struct Calls {
    listener: Listener,
    view: View,
    /// A program has our copy of a directory of the system, and may open what is in it by names alone.
    listed: Arc<AtomicBool>,
    /// To look whether a call waits, and to take it, is one step: who takes one that another has taken would wait.
    turn: Mutex<()>,
    /// Calls that helpers have passed on to the supervisor, and what wakes it.
    passed_on: mpsc::Sender<Notification>,
    wake: Arc<OwnedFd>,
    helpers: OnceLock<Vec<Thread>>,
    ended: AtomicBool,
}

impl Calls {
    pub(super) fn new(
        listener: Listener,
        view: View,
        listed: Arc<AtomicBool>,
        wake: Arc<OwnedFd>,
    ) -> (Self, mpsc::Receiver<Notification>) {
        let (passed_on, received) = mpsc::channel();
        let (helpers, turn, ended) = (OnceLock::new(), Mutex::new(()), AtomicBool::new(false));
        (Self { listener, view, listed, turn, passed_on, wake, helpers, ended }, received)
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Starts helpers, one for each processor but this thread's. They end with [`end`](Self::end).
    pub(super) fn start_helpers<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let processors = thread::available_parallelism().map_or(1, core::num::NonZero::get);
        let started = (1..processors).take(MAX_HELPERS).map_while(|index| {
            let help = move || self.help(index);
            // Without them it goes on, only slower.
            thread::Builder::new().name("exec-helper".to_owned()).spawn_scoped(scope, help).ok()
        });
        let helpers = started.map(|helper| helper.thread().clone()).collect();
        // Nobody else sets it.
        let _ = self.helpers.set(helpers);
    }

    /// Ends the helpers.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        for helper in self.helpers.get().into_iter().flatten() {
            helper.unpark();
        }
    }

    /// Takes a call, without waiting for one. `taker` is how many helpers are awake already: if another call waits, the next one
    /// wakes up.
    pub(super) fn next(&self, taker: usize) -> io::Result<Next> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let events = self.events()?;
        if !events.contains(PollFlags::IN) {
            return Ok(if events.is_empty() { Next::Nothing } else { Next::Ended });
        }
        let call = match self.listener.receive() {
            Ok(notification) => Next::Call(notification),
            // Its program was killed, or a signal came to us.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Next::Nothing,
            Err(error) => return Err(error),
        };
        let more = self.events()?.contains(PollFlags::IN);
        drop(turn);
        if more && let Some(helper) = self.helpers.get().and_then(|helpers| helpers.get(taker)) {
            helper.unpark();
        }
        Ok(call)
    }

    fn events(&self) -> io::Result<PollFlags> {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))?;
        let [polled] = polled;
        Ok(polled.revents())
    }

    /// Whether a call concerns no key, as the text of its path tells: then the kernel carries it out. Nothing that was read of the
    /// program stays, so that the answer itself is the proof that the call still waited.
    pub(super) fn concerns_no_key(&self, notification: Notification) -> bool {
        let call = Call::new(&self.listener, notification);
        let Some(path) = call.path_argument().and_then(|argument| call.glance(call.argument(argument)).ok()) else {
            return false;
        };
        concerns_no_key(self.view, self.listed.load(Ordering::Acquire), &path)
    }

    /// Takes calls whenever there are more than others take, until the end.
    fn help(&self, index: usize) {
        while !self.ended.load(Ordering::Acquire) {
            match self.next(index) {
                Ok(Next::Call(notification)) if self.concerns_no_key(notification) => {
                    // Its program may have been killed.
                    let _ = self.listener.reply(notification.id, Reply::Continue);
                }
                Ok(Next::Call(notification)) => {
                    if self.passed_on.send(notification).is_ok() {
                        let _ = rustix::io::write(self.wake.as_fd(), &1_u64.to_ne_bytes());
                    }
                }
                Ok(Next::Nothing) => thread::park(),
                // The supervisor sees the same.
                Ok(Next::Ended) | Err(_) => return,
            }
        }
    }
}
