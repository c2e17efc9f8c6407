//! Keys for one tree of processes: a program and all that it starts see `/dev/hidraw0…` as if the keys were on USB, and nobody
//! else does. It takes no privileges and no kernel module.
//!
//! By seccomp user notification (`seccomp_unotify(2)`): a filter reports the few system calls that may concern a key, and this
//! process answers them. What the tree opens as a node is a socket of ours (`node`); reading, writing and polling it
//! is the kernel's work. What there is to see, sysfs and udev's database (`tree`), is shown by a mount namespace
//! (`namespace`), or where that cannot be had by answering calls by path too (`paths`).
//!
//! It confines nothing: the tree's user is this process's.

mod answers;
mod call;
mod directory;
mod filter;
mod given;
mod hidraw;
mod limits;
mod monitor;
mod namespace;
mod node;
mod notice;
mod paths;
mod processes;
mod status;
mod supervisor;
#[expect(
    unsafe_code,
    reason = "seccomp notification, other processes' memory and what runs between fork and exec have no safe interface"
)]
mod sys;
mod tree;
mod uevent;
mod view;

use core::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use keyrig_rack::{KeyHandle, KeyName};
use keyrig_usb::Exports;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub use directory::PrivateDirectory;
pub use namespace::Step;
pub use notice::Notice;
pub use processes::{LeftBehind, Signals};
pub use view::View;

use self::filter::WINDOW;
use self::namespace::Plan;
use self::node::Node;
use self::processes::Listening;
use self::supervisor::Supervisor;
use self::tree::Tree;

/// An attempt at a view, and what it was refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The view.
    pub view: View,
    /// The step that was refused.
    pub step: Step,
    /// What the kernel answered.
    pub error: Errno,
}

impl Refused {
    /// What would mend it.
    #[must_use]
    pub fn what_to_do(&self) -> &'static str {
        match (self.step, self.error) {
            (Step::Filter, Errno::BUSY) => "use the outer 'keyrig exec', or leave the sandbox",
            (Step::Filter, _) => {
                "use Linux 5.14 or later, and allow the system call seccomp in the container's profile"
            }
            (Step::Fork, _) => "raise the limit of processes (ulimit -u)",
            (Step::Namespaces, _) => {
                "nothing has to be done, as calls by path are answered instead; sudo sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 allows namespaces outside of containers"
            }
            (Step::Mapping | Step::Mounts, _) => {
                "nothing has to be done, as calls by path are answered instead; sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 gives namespaces their rights"
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view, step, error } = self;
        let what = match (step, *error) {
            (Step::Filter, Errno::BUSY) => {
                return f.write_str(
                    "another program answers this one's system calls already: a 'keyrig exec' around it, or a sandbox that works \
                     the same way",
                );
            }
            (Step::Filter, Errno::INVAL | Errno::NOSYS) => {
                "this kernel has no seccomp notification (Linux 5.9, with CONFIG_SECCOMP_FILTER)"
            }
            (Step::Filter, _) => "seccomp notification is forbidden",
            (Step::Fork, _) => "no process could be started",
            (Step::Namespaces, Errno::NOSPC) => "user namespaces are switched off (sysctl user.max_user_namespaces)",
            (Step::Namespaces, _) => {
                "namespaces are forbidden (by a container's profile, or sysctl kernel.unprivileged_userns_clone)"
            }
            (Step::Mapping | Step::Mounts, _) => {
                "a user namespace has no rights here (AppArmor: sysctl kernel.apparmor_restrict_unprivileged_userns)"
            }
        };
        match step {
            // It is the same in any view.
            Step::Fork | Step::Filter => write!(f, "{what}: {error}"),
            Step::Namespaces | Step::Mapping | Step::Mounts => write!(f, "{view}: {what}: {error}"),
        }
    }
}

/// Why a program was not started with keys.
#[derive(Debug, Error)]
pub enum ExecError {
    /// No view can be had.
    #[error("keys cannot be plugged into a program here: {}", told(.0))]
    NoView(Vec<Refused>),
    /// A directory or files for the keys could not be made.
    #[error("files for the keys cannot be made in {}: {error}. TMPDIR names another place", path.display())]
    Files {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// There is no such program.
    #[error("{0} was not found: is it installed, and in PATH?")]
    NotFound(String),
    /// The program cannot be executed.
    #[error("{program} cannot be executed: {error}")]
    NotExecutable {
        /// The program.
        program: String,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// The operating system refused something else.
    #[error("{action}: {error}")]
    System {
        /// What was done.
        action: &'static str,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
}

/// All reasons, each once.
fn told(refused: &[Refused]) -> String {
    let mut reasons: Vec<_> = refused.iter().map(ToString::to_string).collect();
    reasons.dedup();
    reasons.join("; ")
}

impl ExecError {
    fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { action, error }
    }
}

/// A key to plug in.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: KeyName,
    /// Its port, as the rack's exports know it.
    pub busid: String,
    /// The way to it.
    pub handle: KeyHandle,
}

/// What happens while the program runs.
#[derive(Debug)]
pub enum Event {
    /// A key is plugged in at this node.
    Node {
        /// The key.
        key: KeyName,
        /// The node.
        path: PathBuf,
    },
    /// A key was pulled out.
    Unplugged {
        /// The key.
        key: KeyName,
    },
    /// Something to tell the user.
    Notice(Notice),
    /// The program has ended.
    Ended(ExitStatus),
}

/// A view that can be had here.
struct Chosen {
    view: View,
    tree: Tree,
    plan: Option<Plan>,
}

/// Tries which views can be had here, in the order in which they are preferred.
///
/// # Errors
/// [`ExecError::NoView`] or [`ExecError::Files`].
fn choose(directory: &Path, wanted: Option<View>) -> Result<(Chosen, Vec<Refused>), ExecError> {
    let is_root = rustix::process::geteuid().is_root();
    // Root needs no user namespace, unless it is a container's that may not mount.
    let attempts = [(View::Namespace, Some(false)), (View::Namespace, Some(true)), (View::Paths, None)];
    let mut refused = Vec::new();
    for (view, user) in attempts {
        if wanted.is_some_and(|wanted| wanted != view) || (user == Some(false) && !is_root) {
            continue;
        }
        let root = directory.join("view");
        let files = |error| ExecError::Files { path: root.clone(), error };
        let tree = Tree::create(root.clone()).map_err(files)?;
        let plan = user.map(|user| Plan::new(&root, user)).transpose().map_err(files)?;
        match sys::attempt(plan.as_ref(), &filter::build(view)) {
            Ok(()) => return Ok((Chosen { view, tree, plan }, refused)),
            Err((step, error)) => refused.push(Refused { view, step, error }),
        }
    }
    Err(ExecError::NoView(refused))
}

/// Which views can be had here.
///
/// # Errors
/// [`ExecError::Files`] if that could not be tried.
pub fn views() -> Result<Vec<(View, Option<Refused>)>, ExecError> {
    let directory = PrivateDirectory::create()?;
    let mut views = Vec::new();
    for view in [View::Namespace, View::Paths] {
        views.push(match choose(directory.path(), Some(view)) {
            Ok(_) => (view, None),
            Err(ExecError::NoView(refused)) => (view, refused.last().copied()),
            Err(error) => return Err(error),
        });
    }
    Ok(views)
}

/// A program that runs with keys. Dropping it kills the program; what it started is ended by [`end`](Self::end).
#[derive(Debug)]
pub struct Running {
    view: Option<View>,
    refused: Vec<Refused>,
    child: Pid,
    signals: Listening,
    nodes: JoinSet<()>,
    supervisor: Option<thread::JoinHandle<()>>,
    notices: mpsc::UnboundedReceiver<Notice>,
    plugged: mpsc::UnboundedReceiver<Event>,
    ended: bool,
}

/// How a program is started.
pub struct Start<'a> {
    /// The program, with its arguments and environment.
    pub command: Command,
    /// What waits for signals and for the end of processes: made before any other thread is started.
    pub signals: Signals,
    /// Where files for the keys are made.
    pub directory: &'a PrivateDirectory,
    /// The ports of the rack.
    pub exports: &'a Exports,
    /// The keys; none are plugged in without any.
    pub keys: Vec<Key>,
    /// The view, if it is not to be chosen.
    pub view: Option<View>,
}

impl Running {
    /// Plugs the keys in and starts the program. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ExecError`]: nothing runs, and no file is left.
    pub async fn start(start: Start<'_>) -> Result<Self, ExecError> {
        let Start { mut command, signals, directory, exports, keys, view } = start;
        // Every opening of a key takes a descriptor here; the tree keeps the limit that it would have.
        let open_files = getrlimit(Resource::Nofile);
        let _ = setrlimit(
            Resource::Nofile,
            rustix::process::Rlimit { current: open_files.maximum, maximum: open_files.maximum },
        );
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| ExecError::system("orphans of the program cannot be looked after")(error.into()))?;
        let (signals, before) = signals.listen().map_err(ExecError::system("signals cannot be waited for"))?;
        let (tell, notices) = mpsc::unbounded_channel();
        let (events, plugged) = mpsc::unbounded_channel();
        let mut running = Self {
            view: None,
            refused: Vec::new(),
            child: rustix::process::getpid(),
            signals,
            nodes: JoinSet::new(),
            supervisor: None,
            notices,
            plugged,
            ended: false,
        };
        let mut preparation = sys::Preparation {
            parent: rustix::process::getpid(),
            signals: before,
            open_files,
            namespace: None,
            filter: None,
        };
        if !keys.is_empty() {
            let (Chosen { view, tree, plan }, refused) = choose(directory.path(), view)?;
            if let Some(limit) = open_files.current.filter(|limit| *limit <= WINDOW.end().unsigned_abs().into()) {
                let _ = tell.send(Notice::FewFiles { limit });
            }
            (running.view, running.refused) = (Some(view), refused);
            let (opens, openings): (Vec<_>, Vec<_>) = keys.iter().map(|_| mpsc::unbounded_channel()).unzip();
            let files = |error| ExecError::Files { path: directory.path().to_owned(), error };
            let supervisor = Supervisor::new(view, tree, opens, tell).map_err(files)?;
            let (ours, theirs) =
                std::os::unix::net::UnixStream::pair().map_err(ExecError::system("a socket pair cannot be made"))?;
            let (handle, thread) =
                supervisor.start(ours.into()).map_err(ExecError::system("a thread cannot be started"))?;
            running.supervisor = Some(thread);
            for ((index, key), opens) in keys.into_iter().enumerate().zip(openings) {
                let (ready, is_ready) = oneshot::channel();
                let (supervisor, exports, events) = (handle.clone(), exports.clone(), events.clone());
                running.nodes.spawn(Node { index, key, exports, opens, supervisor, events }.keep(ready));
                // The program is to find it from the start.
                is_ready.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(files)?;
            }
            preparation.namespace = plan;
            preparation.filter = Some((filter::build(view), theirs.into()));
        }
        sys::prepare(&mut command, preparation);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ExecError::NotFound(program),
            _ => ExecError::NotExecutable { program, error },
        })?;
        running.child = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap_or(running.child);
        Ok(running)
    }

    /// The view, if keys are plugged in.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        self.view
    }

    /// The views that were tried before, and why they cannot be had.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Waits for what happens next, and passes signals on to the program meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// What the operating system says of the signals.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            tokio::select! {
                // What was there to tell comes before the end.
                biased;
                Some(event) = self.plugged.recv() => return Ok(event),
                Some(notice) = self.notices.recv() => return Ok(Event::Notice(notice)),
                arrived = self.signals.next() => {
                    let arrived = arrived?;
                    if arrived.signal != libc::SIGCHLD {
                        processes::pass_on(arrived, self.child);
                    } else if let Some(status) = processes::reap(self.child)?.status {
                        self.ended = true;
                        return Ok(Event::Ended(status));
                    }
                }
            }
        }
    }

    /// Ends what the program has left running, and waits for it.
    ///
    /// # Errors
    /// What the operating system says of the signals.
    pub async fn end(mut self) -> io::Result<Vec<LeftBehind>> {
        let (left, all_ended) = processes::end_all(&self.signals).await?;
        self.nodes.shutdown().await;
        // With the last program under the filter the thread ends.
        if let Some(thread) = self.supervisor.take().filter(|_| all_ended)
            && thread.join().is_err()
        {
            tracing::error!("the thread that answered calls failed: a fault of keyrig");
        }
        Ok(left)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended && self.child != rustix::process::getpid() {
            // It may have ended in this moment.
            let _ = rustix::process::kill_process(self.child, rustix::process::Signal::KILL);
        }
    }
}

/// The exit status that tells of another program's: its own, or 128 and the number of the signal that ended it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
