//! Which call is answered how.

use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;

use rustix::io::Errno;

use super::call::Call;
use super::filter::WINDOW;
use super::given::Open;
use super::notice::Notice;
use super::supervisor::{Outcome, Place, Supervisor};
use super::sys::Reply;
use super::view::View;
use super::{hidraw, limits, paths, status};

/// What was decided: an outcome, or nothing, so that the kernel carries the call out.
pub(super) type Answer = Result<ControlFlow<Outcome>, Errno>;

impl Supervisor {
    /// Answers a call. An error means that its program could not be looked at.
    pub(super) fn answer(&mut self, call: &Call<'_>) -> Answer {
        #[cfg(target_arch = "x86_64")]
        match call.call {
            libc::SYS_open => return self.open(call, None, 0, call.int(1)),
            libc::SYS_stat => return self.status(call, None, 0, call.argument(1), status::Layout::Stat, true),
            libc::SYS_lstat => return self.status(call, None, 0, call.argument(1), status::Layout::Stat, false),
            libc::SYS_readlink => return self.read_link(call, None, 0, call.argument(1), call.argument(2)),
            libc::SYS_access => return self.access(call, None, 0, call.int(1)),
            _ => {}
        }
        let at = Some(call.int(0));
        match call.call {
            libc::SYS_openat => self.open(call, at, 1, call.int(2)),
            libc::SYS_openat2 => {
                // struct open_how: flags, mode, resolve.
                let flags = u64::from_ne_bytes(call.read(call.argument(2))?);
                let [a, b, c, d, ..] = flags.to_le_bytes();
                self.open(call, at, 1, i32::from_le_bytes([a, b, c, d]))
            }
            libc::SYS_ioctl => self.request(call),
            libc::SYS_fstat => self.own_status(call, call.argument(1), status::Layout::Stat),
            libc::SYS_newfstatat if call.int(3) & libc::AT_EMPTY_PATH != 0 => {
                self.own_status(call, call.argument(2), status::Layout::Stat)
            }
            libc::SYS_newfstatat => {
                let follow = call.int(3) & libc::AT_SYMLINK_NOFOLLOW == 0;
                self.status(call, at, 1, call.argument(2), status::Layout::Stat, follow)
            }
            libc::SYS_statx if call.int(2) & libc::AT_EMPTY_PATH != 0 => {
                self.own_status(call, call.argument(4), status::Layout::Statx)
            }
            libc::SYS_statx => {
                let follow = call.int(2) & libc::AT_SYMLINK_NOFOLLOW == 0;
                self.status(call, at, 1, call.argument(4), status::Layout::Statx, follow)
            }
            libc::SYS_readlinkat => self.read_link(call, at, 1, call.argument(2), call.argument(3)),
            libc::SYS_faccessat | libc::SYS_faccessat2 => self.access(call, at, 1, call.int(2)),
            libc::SYS_statfs => self.file_system(call, &call.text(call.argument(0))?),
            libc::SYS_fstatfs => self.file_system(call, &call.link(call.int(0))?),
            libc::SYS_chdir => self.change_directory(call),
            libc::SYS_inotify_add_watch => self.watch(call),
            libc::SYS_getxattr | libc::SYS_lgetxattr | libc::SYS_listxattr | libc::SYS_llistxattr => {
                self.attributes(call)
            }
            libc::SYS_socket => self.monitor(call),
            libc::SYS_bind => self.bind_monitor(call),
            libc::SYS_recvmsg => self.receive(call),
            libc::SYS_read | libc::SYS_readv => self.read(call),
            libc::SYS_dup => self.duplicate(call, false, 0),
            libc::SYS_fcntl => self.duplicate(call, call.int(1) == libc::F_DUPFD_CLOEXEC, call.int(2)),
            libc::SYS_execve => self.look_at_program(call, None, 0),
            libc::SYS_execveat => self.look_at_program(call, at, 1),
            libc::SYS_io_uring_setup => {
                let program = call.program();
                self.tell(Notice::IoUring { program });
                Ok(Continue(()))
            }
            _ => Ok(Continue(())),
        }
    }

    fn open(&mut self, call: &Call<'_>, directory: Option<i32>, path: usize, flags: i32) -> Answer {
        let path = self.path(call, path)?;
        if self.view == View::Paths {
            return self.open_path(call, directory, &path, flags);
        }
        // A terminal is made in the /dev/pts beside the file, and our copy of /dev has none: the system's own makes it.
        if path.ends_with(b"/ptmx") && paths::absolute(call, directory, &path)?.as_deref() == Some(b"/dev/ptmx") {
            return Ok(Break(paths::open_file(Path::new("/dev/ptmx"), flags)));
        }
        Ok(match paths::node_at(call, directory, &path)? {
            Some(node) if flags & (libc::O_PATH | libc::O_DIRECTORY) == 0 => Break(self.open_node(node, flags)),
            _ => Continue(()),
        })
    }

    /// Reads a path. A program that forbids it is told of.
    pub(super) fn path(&mut self, call: &Call<'_>, argument: usize) -> Result<Vec<u8>, Errno> {
        let text = call.text(call.argument(argument));
        if text == Err(Errno::PERM) {
            let program = call.program();
            self.tell(Notice::Unreadable { program });
        }
        text
    }

    fn request(&mut self, call: &Call<'_>) -> Answer {
        let Some(open) = call.socket(call.int(0))?.and_then(|inode| self.given.open(inode)) else {
            return Ok(Continue(()));
        };
        let plugged = self.tree.node(open.node).filter(|plugged| plugged.plugging == open.plugging);
        let reply = match plugged {
            None => Reply::Error(Errno::NODEV),
            Some(plugged) => hidraw::request(call, plugged)?,
        };
        Ok(Break(reply.into()))
    }

    /// A read of a key that was pulled out, asked about only where its socket cannot be made to end so.
    fn read(&mut self, call: &Call<'_>) -> Answer {
        let open = call.socket(call.int(0))?.and_then(|inode| self.given.open(inode));
        let is_over = |open: Open| self.tree.node(open.node).is_none_or(|plugged| plugged.plugging != open.plugging);
        Ok(if open.is_some_and(is_over) { Break(Reply::Error(Errno::IO).into()) } else { Continue(()) })
    }

    /// The status of a descriptor in the window: of a node, or of a link that a file stands for.
    fn own_status(&mut self, call: &Call<'_>, buffer: u64, layout: status::Layout) -> Answer {
        let descriptor = call.int(0);
        if let Some(link) = self.paths.stood_for(call, descriptor) {
            let status = status::Status::of(&link, false)?;
            return self.write_status(call, buffer, layout, &status);
        }
        let Some((inode, open)) = call.socket(descriptor)?.and_then(|inode| Some((inode, self.given.open(inode)?)))
        else {
            return Ok(Continue(()));
        };
        let status = status::Status::of_node(self.tree.device(open.node), inode);
        self.write_status(call, buffer, layout, &status)
    }

    pub(super) fn write_status(
        &self,
        call: &Call<'_>,
        buffer: u64,
        layout: status::Layout,
        status: &status::Status,
    ) -> Answer {
        let written = call.write(buffer, &status.bytes(layout));
        Ok(Break(written.map_or_else(Reply::Error, |()| Reply::Value(0)).into()))
    }

    /// A duplicate stays in the window, so that calls on it are still seen.
    fn duplicate(&mut self, call: &Call<'_>, close_on_exec: bool, from: i32) -> Answer {
        let is_ours = call.socket(call.int(0))?.is_some_and(|inode| self.given.open(inode).is_some());
        if !is_ours || from > *WINDOW.end() {
            return Ok(Continue(()));
        }
        let descriptor = call.descriptor(call.int(0))?;
        Ok(Break(Outcome::Descriptor { descriptor, close_on_exec, place: Place::Window(from) }))
    }

    /// libudev believes what it reads in `/sys` only if that is sysfs.
    fn file_system(&mut self, call: &Call<'_>, path: &[u8]) -> Answer {
        let view_path = self.paths.in_view(&self.tree, path);
        if !paths::is_of_sysfs(&view_path) || !self.tree.at(&String::from_utf8_lossy(&view_path)).exists() {
            return Ok(Continue(()));
        }
        let written = call.write(call.argument(1), &status::sysfs());
        Ok(Break(written.map_or_else(Reply::Error, |()| Reply::Value(0)).into()))
    }

    fn look_at_program(&mut self, call: &Call<'_>, directory: Option<i32>, path: usize) -> Answer {
        let path = call.text(call.argument(path))?;
        if let Some(path) = paths::absolute(call, directory, &path)?
            && let Some(notice) = limits::of_program(&path)
        {
            self.tell(notice);
        }
        Ok(Continue(()))
    }
}
