//! The view by a mount namespace: directories of ours in the place of `/sys`, `/dev` and `/run/udev`, for the tree alone.
//!
//! Such a directory binds every child of the one that it hides, except what belongs to HID devices.

use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change};
use rustix::thread::UnshareFlags;

use super::sys;
use super::tree::Tree;

/// A step of setting up a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A child process could not be made.
    Fork,
    /// User and mount namespaces were refused.
    Namespaces,
    /// The user could not be mapped into the namespace.
    Mapping,
    /// Mounts were refused within the namespace.
    Mounts,
    /// The filter with its listener was refused.
    Filter,
}

impl Step {
    /// Whether another view would be refused by the same step.
    pub(super) fn is_the_same_in_any_view(self) -> bool {
        match self {
            Self::Fork | Self::Filter => true,
            Self::Namespaces | Self::Mapping | Self::Mounts => false,
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Fork => 1,
            Self::Namespaces => 2,
            Self::Mapping => 3,
            Self::Mounts => 4,
            Self::Filter => 5,
        }
    }

    pub(super) fn of(number: u8) -> Self {
        [Self::Namespaces, Self::Mapping, Self::Mounts, Self::Filter]
            .into_iter()
            .find(|step| step.number() == number)
            .unwrap_or(Self::Fork)
    }
}

/// What a child does to see the view. Everything is allocated, so that it can be done after a fork.
#[derive(Debug)]
pub(super) struct Plan {
    /// A user namespace is needed too: this process may not mount.
    user: bool,
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
    root: CString,
    /// From where to where: children of what is hidden first, then our directories over the true ones.
    binds: Vec<(CString, CString)>,
}

impl Plan {
    /// Plans the view of a directory tree, and makes in it what mounts need to be mounted on.
    pub(super) fn new(tree: &Tree, user: bool) -> io::Result<Self> {
        let root = tree.root();
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut plan = Self {
            user,
            // To itself: browsers complain of root.
            uid_map: format!("{uid} {uid} 1").into_bytes(),
            gid_map: format!("{gid} {gid} 1").into_bytes(),
            root: c_path(root)?,
            binds: Vec::new(),
        };
        // Nodes of the system's own, and of a 'keyrig exec' around this one.
        let (major, _) = tree.device(0);
        let (number, entry) = (format!("{major}:"), format!("c{major}:"));
        // The first: if the tree is in memory, it is below /dev, and what is mounted in it by then is bound once more.
        plan.mirror(root, "/dev", |name| name.starts_with(b"hidraw"))?;
        plan.mirror(root, "/sys/class", |name| name == b"hidraw")?;
        plan.mirror(root, "/sys/bus", |name| name == b"hid")?;
        plan.mirror(root, "/sys/dev/char", |name| name.starts_with(number.as_bytes()))?;
        plan.mirror(root, "/sys/dev", |_| false)?;
        plan.mirror(root, "/sys/devices", |_| false)?;
        plan.mirror(root, "/sys", |_| false)?;
        let mut over = vec!["/sys", "/dev"];
        if Path::new("/run/udev").is_dir() {
            for directory in ["/run/udev/data", "/run/udev/tags", "/run/udev"] {
                plan.mirror(root, directory, |name| name.starts_with(entry.as_bytes()))?;
            }
            over.push("/run/udev");
        } else if Path::new("/run").is_dir() {
            plan.mirror(root, "/run", |_| false)?;
            over.push("/run");
        }
        for directory in over {
            let ours = root.join(directory.trim_start_matches('/'));
            plan.binds.push((c_path(&ours)?, c_path(Path::new(directory))?));
        }
        Ok(plan)
    }

    /// Gives our directory every child of the true one that it has not, except those that are left out.
    fn mirror(&mut self, root: &Path, directory: &str, left_out: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let ours = root.join(directory.trim_start_matches('/'));
        DirBuilder::new().recursive(true).mode(0o755).create(&ours)?;
        // What is not there, or not for us to see, the tree does not see either.
        let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
        for entry in entries.flatten() {
            if left_out(entry.file_name().as_bytes()) {
                continue;
            }
            let target = ours.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if target.symlink_metadata().is_ok() {
                continue;
            }
            if kind.is_symlink() {
                symlink(fs::read_link(entry.path())?, &target)?;
                continue;
            }
            Tree::make_alike(&target, kind)?;
            self.binds.push((c_path(&entry.path())?, c_path(&target)?));
        }
        Ok(())
    }

    /// Enters the namespaces and makes the mounts. Allocates nothing.
    pub(super) fn enter(&self) -> Result<(), (Step, Errno)> {
        if self.user {
            sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(|error| (Step::Namespaces, error))?;
            for (file, text) in [
                (c"/proc/self/setgroups", &b"deny"[..]),
                (c"/proc/self/uid_map", &self.uid_map),
                (c"/proc/self/gid_map", &self.gid_map),
            ] {
                write(file, text).map_err(|error| (Step::Mapping, error))?;
            }
        } else {
            sys::unshare(UnshareFlags::NEWNS).map_err(|error| (Step::Namespaces, error))?;
        }
        self.mount().map_err(|error| (Step::Mounts, error))
    }

    fn mount(&self) -> Result<(), Errno> {
        // First of all: no mount of ours may reach the namespace that we come from.
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        mount_bind(self.root.as_c_str(), self.root.as_c_str())?;
        for (from, to) in &self.binds {
            match mount_bind_recursive(from.as_c_str(), to.as_c_str()) {
                // It went in the meantime.
                Err(Errno::NOENT) => {}
                answer => answer?,
            }
        }
        Ok(())
    }
}

fn write(file: &CStr, text: &[u8]) -> Result<(), Errno> {
    let file = openat(CWD, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}
