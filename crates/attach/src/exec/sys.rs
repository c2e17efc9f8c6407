//! What has no safe interface: seccomp notification, the memory of other processes, and code between fork and exec.
//!
//! Each function here is safe to call. What the kernel is told is made here or has a type that says what it is.

use core::mem::size_of;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::thread::UnshareFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::filter::Instruction;
use super::namespace::{Plan, Step};

/// Answers a program's call without a wake-up of another CPU (Linux 6.6).
const FD_SYNC_WAKE_UP: u64 = 1;

/// A system call of a program in the tree, which waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    /// Identifies the waiting call.
    pub(super) id: u64,
    /// The thread, as this process's namespace numbers it.
    pub(super) thread: i32,
    /// The call's number.
    pub(super) call: i64,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

impl Notification {
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.arguments.get(index).copied().unwrap_or_default()
    }

    /// An argument that is an `int`: the kernel ignores the upper half.
    pub(super) fn int(&self, index: usize) -> i32 {
        let [a, b, c, d, ..] = self.argument(index).to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    }

    /// An argument that is an `unsigned int`.
    pub(super) fn unsigned(&self, index: usize) -> u32 {
        self.int(index).cast_unsigned()
    }
}

/// What a waiting call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// This value.
    Value(i64),
    /// This error.
    Error(Errno),
    /// The kernel carries out the call as if nobody had been asked.
    Continue,
}

/// Hears of the calls that the filter reports.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The next call. `ENOENT` if its program was killed meanwhile.
    pub(super) fn receive(&self) -> io::Result<Notification> {
        let mut notification = libc::seccomp_notif {
            id: 0,
            pid: 0,
            flags: 0,
            data: libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] },
        };
        // SAFETY: the kernel fills a struct of this type, which outlives the call.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) })?;
        let libc::seccomp_notif { id, pid, data, .. } = notification;
        let thread = i32::try_from(pid).map_err(io::Error::other)?;
        Ok(Notification { id, thread, call: i64::from(data.nr), arguments: data.args })
    }

    /// Answers a call. `ENOENT` if its program was killed, or left the call for a signal.
    pub(super) fn reply(&self, id: u64, reply: Reply) -> io::Result<()> {
        let (val, error, flags) = match reply {
            Reply::Value(value) => (value, 0, 0),
            Reply::Error(error) => (0, -error.raw_os_error(), 0),
            Reply::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        };
        let flags = u32::try_from(flags).map_err(io::Error::other)?;
        let mut response = libc::seccomp_notif_resp { id, val, error, flags };
        // SAFETY: the kernel reads a struct of this type, which outlives the call.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) }).map(drop)
    }

    /// Whether a call still waits: if so, its thread's number has not become another's.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the kernel reads a u64, which outlives the call.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) }).is_ok()
    }

    /// Gives a program a descriptor, at `number` or where there is room, as the answer to its call. Returns where it is.
    pub(super) fn reply_descriptor(
        &self,
        id: u64,
        descriptor: BorrowedFd<'_>,
        number: Option<RawFd>,
        close_on_exec: bool,
    ) -> io::Result<RawFd> {
        let set = if number.is_some() { libc::SECCOMP_ADDFD_FLAG_SETFD } else { 0 };
        let flag = |flag| u32::try_from(flag).map_err(io::Error::other);
        let mut add = libc::seccomp_notif_addfd {
            id,
            flags: flag(libc::SECCOMP_ADDFD_FLAG_SEND | set)?,
            srcfd: descriptor.as_raw_fd().cast_unsigned(),
            newfd: number.unwrap_or_default().cast_unsigned(),
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: the kernel reads a struct of this type, which outlives the call, and makes a descriptor of its own.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut add) })
    }

    /// Has programs and their supervisor take turns on one CPU, which halves what a call costs. Kernels before 6.6 cannot.
    pub(super) fn wake_synchronously(&self) -> io::Result<()> {
        let argument = libc::c_ulong::try_from(FD_SYNC_WAKE_UP).map_err(io::Error::other)?;
        // SAFETY: the argument is a number.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, argument) }).map(drop)
    }
}

/// Puts this thread and all that it starts under a filter, and returns the listener that its reports go to. Allocates nothing.
fn install(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    let length = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut().cast() };
    let base = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let seccomp = |flags: libc::c_ulong| {
        // SAFETY: the kernel copies the program, whose length is its own: `Instruction` is laid out as `sock_filter`.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
                flags,
                &raw const program,
            )
        };
        if answer < 0 { Err(last_error()) } else { RawFd::try_from(answer).map_err(|_| Errno::BADF) }
    };
    // Without the flag (before Linux 5.19) a signal makes a program ask twice.
    let with_fallback = || match seccomp(base | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(Errno::INVAL) => seccomp(base),
        answer => answer,
    };
    let descriptor = match with_fallback() {
        // Whoever has CAP_SYS_ADMIN, be it in a namespace of its own, needs no promise to gain no privileges.
        Err(Errno::ACCESS) => {
            rustix::thread::set_no_new_privs(true)?;
            with_fallback()?
        }
        answer => answer?,
    };
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// What a child does between fork and exec, in this order. Everything was allocated before the fork.
pub(super) struct Preparation {
    /// The child must not outlive this process, whose id it is.
    pub(super) parent: rustix::process::Pid,
    /// What signals it is to block.
    pub(super) signals: SignalMask,
    /// What its limit of open files is to be.
    pub(super) open_files: rustix::process::Rlimit,
    /// Namespaces to make, and mounts to make in them.
    pub(super) namespace: Option<Plan>,
    /// The filter, and where its listener goes.
    pub(super) filter: Option<(Vec<Instruction>, OwnedFd)>,
}

impl Preparation {
    fn carry_out(&self) -> Result<(), (Option<Step>, Errno)> {
        use rustix::process::{Resource, Signal, getppid, set_parent_process_death_signal, setrlimit};
        let other = |error| (None, error);
        let at = |step| move |error| (Some(step), error);
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(other)?;
        if getppid() != Some(self.parent) {
            return Err(other(Errno::SRCH));
        }
        setrlimit(Resource::Nofile, self.open_files).map_err(other)?;
        // SAFETY: the kernel reads the set.
        let failed =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.signals.0, core::ptr::null_mut()) };
        if failed != 0 {
            return Err(other(Errno::from_raw_os_error(failed)));
        }
        if let Some(plan) = &self.namespace {
            plan.enter().map_err(|(step, error)| (Some(step), error))?;
        }
        if let Some((filter, socket)) = &self.filter {
            let listener = install(filter).map_err(at(Step::Filter))?;
            send(socket, listener.as_fd()).map_err(other)?;
        }
        Ok(())
    }
}

/// Why a program was not started.
pub(super) enum NotStarted {
    /// A step of the preparation was refused.
    Refused(Step, Errno),
    /// The program cannot be executed, or something else failed.
    Failed(io::Error),
}

/// Starts a program after a preparation.
pub(super) fn spawn(program: &Command, preparation: Preparation) -> Result<Child, NotStarted> {
    let (told, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| NotStarted::Failed(error.into()))?;
    // Preparations stay with a command.
    let mut command = Command::new(program.get_program());
    command.args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let steps = move || {
        preparation.carry_out().map_err(|(step, error)| {
            if let Some(step) = step {
                // If it cannot be written, the error is that of the program.
                let _ = rustix::io::write(&tell, &refusal(step, error));
            }
            io::Error::from(error)
        })
    };
    // SAFETY: the closure makes system calls only, and neither allocates nor locks.
    unsafe { command.pre_exec(steps) };
    let spawned = command.spawn();
    // With it goes this end of the pipe.
    drop(command);
    spawned.map_err(|error| match read_said(&told).map(|said| said.map(refused)) {
        Ok(Some((step, error))) => NotStarted::Refused(step, error),
        _ => NotStarted::Failed(error),
    })
}

/// A step that was refused, as a child says it.
fn refusal(step: Step, error: Errno) -> [u8; 5] {
    let [a, b, c, d] = error.raw_os_error().to_le_bytes();
    [step.number(), a, b, c, d]
}

/// That all steps were done, where a child has to say so: no error has this number.
const DONE: [u8; 5] = [0; 5];

/// What a child said that has ended.
fn read_said(pipe: &OwnedFd) -> Result<Option<[u8; 5]>, Errno> {
    let mut said = DONE;
    let read = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut said))?;
    Ok((read == said.len()).then_some(said))
}

fn refused([step, error @ ..]: [u8; 5]) -> (Step, Errno) {
    (Step::of(step), Errno::from_raw_os_error(i32::from_le_bytes(error)))
}

/// Sends a descriptor over a socket. Allocates nothing.
fn send(socket: &OwnedFd, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [core::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[io::IoSlice::new(&[0])], &mut ancillary, SendFlags::empty()).map(drop)
}

/// Makes namespaces for this process alone. It has to have one thread.
pub(super) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only namespaces are asked for here: descriptors and memory stay shared as they were.
    unsafe { rustix::thread::unshare_unsafe(flags & (UnshareFlags::NEWUSER | UnshareFlags::NEWNS)) }
}

/// Tries in a child, which ends at once, whether namespaces and a filter can be had.
pub(super) fn attempt(plan: Option<&Plan>, filter: &[Instruction]) -> Result<(), (Step, Errno)> {
    let failed = |error| (Step::Fork, error);
    let (from_child, to_parent) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    // SAFETY: the child makes system calls only, neither allocates nor locks, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(failed(last_error()));
    }
    if child == 0 {
        let entered = plan.map_or(Ok(()), Plan::enter);
        let tried = entered.and_then(|()| install(filter).map(drop).map_err(|error| (Step::Filter, error)));
        let said = tried.map_or_else(|(step, error)| refusal(step, error), |()| DONE);
        // If it cannot be written, nothing is read: that is a failure too.
        let _ = rustix::io::write(&to_parent, &said);
        // SAFETY: it ends the child.
        unsafe { libc::_exit(0) }
    }
    drop(to_parent);
    let said = read_said(&from_child).map_err(failed)?;
    let child = rustix::process::Pid::from_raw(child);
    rustix::io::retry_on_intr(|| rustix::process::waitpid(child, rustix::process::WaitOptions::empty()))
        .map_err(failed)?;
    match said {
        Some(DONE) => Ok(()),
        Some(said) => Err(refused(said)),
        None => Err(failed(Errno::CHILD)),
    }
}

/// Reads a program's memory, and returns how much could be read.
pub(super) fn read_memory(thread: i32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = remote(address, buffer.len())?;
    // SAFETY: the kernel writes to `buffer` and no further; the other address is the other process's.
    let read = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_| last_error())
}

/// Writes to a program's memory, all or nothing that counts.
pub(super) fn write_memory(thread: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = remote(address, bytes.len())?;
    // SAFETY: the kernel reads `bytes` and no further; the other address is the other process's.
    let written = unsafe { libc::process_vm_writev(thread, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(written) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(_) => Err(last_error()),
    }
}

fn remote(address: u64, length: usize) -> Result<libc::iovec, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    Ok(libc::iovec { iov_base: core::ptr::without_provenance_mut(address), iov_len: length })
}

/// A signal that came, and whether a process sent it; otherwise the kernel did, as a terminal's does at Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    pub(super) from_a_process: bool,
}

/// The signals that a thread blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignalMask(libc::sigset_t);

/// Blocks signals for this thread and those that it will start. Returns a descriptor from which they are read, and what was
/// blocked before.
pub(super) fn block_signals(signals: &[i32]) -> io::Result<(OwnedFd, SignalMask)> {
    let mut set = core::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = core::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, and all other calls get it then; `pthread_sigmask` initialises the other.
    let (descriptor, before) = unsafe {
        check(libc::sigemptyset(set.as_mut_ptr()))?;
        for signal in signals {
            check(libc::sigaddset(set.as_mut_ptr(), *signal))?;
        }
        let failed = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let descriptor = check(libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        (descriptor, SignalMask(before.assume_init()))
    };
    // SAFETY: the kernel has just made it for us.
    Ok((unsafe { OwnedFd::from_raw_fd(descriptor) }, before))
}

/// Has the runtime wait for a descriptor.
pub(super) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor names the same file as long as it lives, and closes it when it is dropped, not before.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Reads a signal, if there is one.
pub(super) fn read_signal(descriptor: &OwnedFd) -> io::Result<Option<Arrived>> {
    // Its layout: ssi_signo, ssi_errno and ssi_code first, 32 bits each (signalfd(2)).
    let mut information = [0; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut information) {
        Err(Errno::AGAIN) => return Ok(None),
        read => read?,
    };
    let number = |bytes: Option<&[u8; 4]>| bytes.copied().map(i32::from_ne_bytes).unwrap_or_default();
    let signal = number(information.first_chunk());
    let code = number(information.get(8..12).and_then(|bytes| bytes.first_chunk()));
    Ok(Some(Arrived { signal, from_a_process: code <= 0 }))
}

/// Splits this process, and returns the child's id in the parent. Refused if there is more than one thread: the others, and what
/// they have locked, would be missing in the child.
pub(super) fn fork() -> io::Result<Option<rustix::process::Pid>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("there is another thread already"));
    }
    // SAFETY: with one thread the child is as the parent.
    let child = check(unsafe { libc::fork() })?;
    Ok(rustix::process::Pid::from_raw(child))
}

/// Ends this process by a signal, if that does so by default.
pub(super) fn end_by(signal: i32) {
    // SAFETY: the set is initialised before it is used; the signal's own action is the default one.
    unsafe {
        let mut set = core::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), core::ptr::null_mut());
        libc::raise(signal);
    }
}

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn last_error() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
