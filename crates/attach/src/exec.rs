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
mod calls;
mod directory;
mod filter;
mod given;
mod guard;
mod hidraw;
mod limits;
mod monitor;
mod namespace;
mod node;
mod notice;
mod path_text;
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
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use keyrig_rack::{Change, Following, KeyHandle, KeyName, RackKey};
use keyrig_usb::Exports;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

pub use directory::PrivateDirectory;
pub use namespace::Step;
pub use notice::Notice;
pub use processes::{LeftBehind, Signals, exit_code};
pub use view::View;

use self::filter::{Instruction, WINDOW};
use self::namespace::Plan;
use self::node::Node;
use self::processes::Listening;
use self::supervisor::Supervisor;
use self::sys::NotStarted;
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
            (Step::Filter, Errno::BUSY) => {
                "leave out the inner 'keyrig exec', as what runs under the outer one finds its keys, to which 'keyrig key create' adds; or \
                 leave the sandbox"
            }
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
                    "another program answers this one's system calls already, and Linux allows one alone: a 'keyrig exec' around it, \
                     or a sandbox that works the same way",
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
        if step.is_the_same_in_any_view() { write!(f, "{what}: {error}") } else { write!(f, "{view}: {what}: {error}") }
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
    /// The process around this one was killed: everything is to end.
    Alone,
}

/// The filter for a view here. Reads are asked about where [`Supervisor::break_off`] cannot do its work.
fn filter_for(view: View) -> Vec<Instruction> {
    filter::build(view, !call::descriptors_can_be_copied())
}

/// A way to show keys, and how a child goes it.
struct Attempt {
    view: View,
    tree: Tree,
    plan: Option<Plan>,
}

impl Attempt {
    /// Those for a view, or for any in the order in which they are preferred: whether a user namespace is needed too.
    fn all(wanted: Option<View>) -> impl Iterator<Item = (View, Option<bool>)> {
        // Root needs no user namespace, unless it is a container's that may not mount.
        let is_root = rustix::process::geteuid().is_root();
        [(View::Namespace, Some(false)), (View::Namespace, Some(true)), (View::Paths, None)].into_iter().filter(
            move |(view, user)| wanted.is_none_or(|wanted| wanted == *view) && (*user != Some(false) || is_root),
        )
    }

    /// Makes what it needs in a directory.
    fn prepare(directory: &Path, (view, user): (View, Option<bool>)) -> Result<Self, ExecError> {
        let root = directory.join("view");
        let files = |error| ExecError::Files { path: root.clone(), error };
        let tree = Tree::create(root.clone()).map_err(files)?;
        let plan = user.map(|user| Plan::new(&tree, user)).transpose().map_err(files)?;
        Ok(Self { view, tree, plan })
    }
}

/// Which views can be had here: tried in a child, with no program.
///
/// # Errors
/// [`ExecError::Files`] if that could not be tried.
pub fn views() -> Result<Vec<(View, Option<Refused>)>, ExecError> {
    let directory = PrivateDirectory::create()?;
    let mut views = Vec::new();
    for wanted in [View::Namespace, View::Paths] {
        let mut found = None;
        for attempt in Attempt::all(Some(wanted)) {
            let Attempt { view, plan, .. } = &Attempt::prepare(directory.path(), attempt)?;
            let tried = sys::attempt(plan.as_ref(), &filter_for(*view));
            found = tried.err().map(|(step, error)| Refused { view: *view, step, error });
            if found.is_none() {
                break;
            }
        }
        views.push((wanted, found));
    }
    Ok(views)
}

/// Whether a program may make user namespaces, as browsers do for their sandboxes: tried in a child, with no program.
///
/// # Errors
/// [`ExecError::Files`] if that could not be tried.
pub fn user_namespaces() -> Result<Option<Refused>, ExecError> {
    let directory = PrivateDirectory::create()?;
    let (view, user) = (View::Namespace, Some(true));
    let attempt = Attempt::prepare(directory.path(), (view, user))?;
    let refused = sys::attempt(attempt.plan.as_ref(), &filter_for(view)).err();
    // The filter comes after the namespaces.
    Ok(refused.filter(|(step, _)| *step != Step::Filter).map(|(step, error)| Refused { view, step, error }))
}

/// What it takes to plug keys into a view.
#[derive(Clone)]
struct Plugs {
    exports: Exports,
    supervisor: supervisor::Handle,
    events: mpsc::UnboundedSender<Event>,
}

impl fmt::Debug for Plugs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plugs")
    }
}

/// A program that runs with keys. Dropping it kills the program; what it started is ended by [`end`](Self::end).
#[derive(Debug)]
pub struct Running {
    view: Option<View>,
    refused: Vec<Refused>,
    child: Pid,
    signals: Listening,
    /// The keys as they come and go, and what it takes to plug in those that come.
    keys: Option<(Following, Plugs)>,
    nodes: JoinSet<()>,
    /// Each completes when its key has no node any more.
    unplugged: Vec<(KeyHandle, oneshot::Receiver<()>)>,
    supervisor: Option<thread::JoinHandle<Tree>>,
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
    /// The keys, with those that come while it runs; without them, none are plugged in.
    pub keys: Option<Following>,
    /// The view, if it is not to be chosen.
    pub view: Option<View>,
}

impl Running {
    /// Plugs the keys in and starts the program. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ExecError`]: nothing runs, and no file is left.
    pub async fn start(start: Start<'_>) -> Result<Self, ExecError> {
        let Start { command, signals, directory, exports, keys, view } = start;
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
            keys: None,
            nodes: JoinSet::new(),
            unplugged: Vec::new(),
            supervisor: None,
            notices,
            plugged,
            ended: false,
        };
        let preparation = |namespace, filter| sys::Preparation {
            parent: rustix::process::getpid(),
            signals: before,
            open_files,
            namespace,
            filter,
        };
        let Some(keys) = keys else {
            // Nothing is done that could be refused.
            running.spawn(&command, preparation(None, None))?;
            return Ok(running);
        };
        if let Some(limit) = open_files.current.filter(|limit| *limit <= WINDOW.end().unsigned_abs().into()) {
            let _ = tell.send(Notice::FewFiles { limit });
        }
        // The start itself shows what can be had here: trying it before would take as long again.
        for attempt in Attempt::all(view) {
            let Attempt { view, tree, plan } = Attempt::prepare(directory.path(), attempt)?;
            let files = |error| ExecError::Files { path: directory.path().to_owned(), error };
            let supervisor = Supervisor::new(view, tree, tell.clone()).map_err(files)?;
            let (ours, socket) = UnixStream::pair().map_err(ExecError::system("a socket pair cannot be made"))?;
            let (supervisor, thread) =
                supervisor.start(ours.into()).map_err(ExecError::system("a thread cannot be started"))?;
            running.supervisor = Some(thread);
            let plugs = Plugs { exports: exports.clone(), supervisor, events: events.clone() };
            for key in keys.keys() {
                // The program is to find it from the start.
                running.plug_in(key, &plugs).await.map_err(files)?;
            }
            let socket = socket.into();
            let refused = running.spawn(&command, preparation(plan, Some((filter_for(view), socket))))?;
            let Some((step, error)) = refused else {
                running.view = Some(view);
                running.keys = Some((keys, plugs));
                return Ok(running);
            };
            running.refused.push(Refused { view, step, error });
            running.nodes.shutdown().await;
            running.unplugged.clear();
            // Nobody is under its filter: it ends, and removes its files.
            running.join_supervisor();
            // What was plugged into this view.
            while running.plugged.try_recv().is_ok() {}
            if step.is_the_same_in_any_view() {
                break;
            }
        }
        Err(ExecError::NoView(running.refused.clone()))
    }

    /// Keeps a key plugged in from now on. One that is plugged into the rack has its node when this returns.
    async fn plug_in(&mut self, key: &RackKey, plugs: &Plugs) -> io::Result<()> {
        let Plugs { exports, supervisor, events } = plugs.clone();
        let follower = exports.follow(&key.busid);
        let (opened, opens) = mpsc::unbounded_channel();
        let index = supervisor.add(opened).await?;
        let (ready, is_ready) = oneshot::channel();
        let (unplugged, is_unplugged) = oneshot::channel();
        self.nodes.spawn(Node { index, key: key.clone(), follower, opens, supervisor, events }.keep(ready, unplugged));
        self.unplugged.push((key.handle.clone(), is_unplugged));
        is_ready.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Sees to a key that has come or gone.
    async fn follow(&mut self, change: Change) {
        match (change, &self.keys) {
            (Change::Came(key), Some((_, plugs))) => {
                let plugs = plugs.clone();
                if let Err(error) = self.plug_in(&key, &plugs).await {
                    tracing::warn!(key = %key.name, %error, "a key cannot be plugged in");
                }
            }
            (Change::Went(key), _) => {
                if let Some(place) = self.unplugged.iter().position(|(handle, _)| handle.is(&key.handle)) {
                    let (_, unplugged) = self.unplugged.swap_remove(place);
                    // It is told, or its task has ended.
                    let _ = unplugged.await;
                }
            }
            (Change::Came(_), None) => {}
        }
    }

    /// Starts the program, or says which step was refused.
    fn spawn(&mut self, command: &Command, preparation: sys::Preparation) -> Result<Option<(Step, Errno)>, ExecError> {
        match sys::spawn(command, preparation) {
            Ok(child) => {
                self.child = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap_or(self.child);
                Ok(None)
            }
            Err(NotStarted::Refused(step, error)) => Ok(Some((step, error))),
            Err(NotStarted::Failed(error)) => {
                let program = command.get_program().to_string_lossy();
                // Nothing is not seen in a text.
                let program = if program.is_empty() { "''".to_owned() } else { program.into_owned() };
                Err(match error.kind() {
                    io::ErrorKind::NotFound => ExecError::NotFound(program),
                    _ => ExecError::NotExecutable { program, error },
                })
            }
        }
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
                alone = self.signals.alone() => return alone.map(|()| Event::Alone),
                Some(change) = next_change(&mut self.keys) => self.follow(change).await,
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
        if all_ended {
            self.join_supervisor();
        }
        Ok(left)
    }

    /// Waits for the supervisor, and removes the files of its view.
    fn join_supervisor(&mut self) {
        match self.supervisor.take().map(thread::JoinHandle::join) {
            Some(Err(_)) => tracing::error!("the thread that answered calls failed: a fault of keyrig"),
            Some(Ok(tree)) => drop(tree),
            None => {}
        }
    }
}

async fn next_change(keys: &mut Option<(Following, Plugs)>) -> Option<Change> {
    match keys {
        Some((following, _)) => following.next().await,
        None => None,
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
