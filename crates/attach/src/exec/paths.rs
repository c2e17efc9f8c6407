//! Paths of the tree's calls: which of them lead into the view, and what is answered where no namespace shows it.
//!
//! Without a namespace a path is resolved by its text alone. What lies in the view is given from the directory tree; a directory
//! of the system that has to list what is ours too is given as a copy that links to the rest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use core::ops::ControlFlow::{Break, Continue};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, inotify, openat};
use rustix::io::Errno;

use super::answers::Answer;
use super::call::{Call, errno};
use super::filter::WINDOW;
use super::notice::Notice;
use super::path_text::{concerns_no_key, goes_up, node_number};
use super::status::{Layout, Status};
use super::supervisor::{Outcome, Place, Supervisor};
use super::sys::Reply;
use super::tree::{DEVICES, Tree};
use super::view::View;

/// What is ours alone: the system's own are hidden by it.
const OURS: [&str; 3] = ["/sys/class/hidraw", "/sys/bus/hid", DEVICES];

/// Directories that lead to ours.
const WAYS: [&str; 8] =
    ["/sys", "/sys/class", "/sys/bus", "/sys/devices", "/sys/dev", "/sys/dev/char", "/run/udev", "/run"];

/// Where stand-ins for links are, below the tree.
const STAND_INS: &str = "/.stand-ins";

/// The most links that are stood for.
const MAX_STAND_INS: usize = 4096;

/// The most links that a path leads through, as in the kernel (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// What a path means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A key's node, there or not.
    Node(u32),
    /// Something of ours, there or not.
    Ours,
    /// A directory of the system that lists ours too.
    Listing,
    /// Nothing.
    Nothing,
}

/// What is known of paths without a namespace.
#[derive(Debug, Default)]
pub(super) struct Paths {
    root: Vec<u8>,
    /// Directories on the way that the system does not have.
    missing: Vec<&'static str>,
    /// Directories of the system that lack what is ours.
    listings: Vec<&'static str>,
    /// Links in the tree, by their stand-ins' numbers.
    stand_ins: Vec<PathBuf>,
    numbers: BTreeMap<PathBuf, usize>,
    /// A program has our copy of a directory of the system, and may open what is in it by names alone.
    pub(super) listed: Arc<AtomicBool>,
}

impl Paths {
    pub(super) fn new(view: View, tree: &Tree) -> io::Result<Self> {
        let mut paths = Self { root: tree.root().as_os_str().as_bytes().to_vec(), ..Self::default() };
        if view == View::Namespace {
            return Ok(paths);
        }
        paths.missing = WAYS.into_iter().filter(|way| !Path::new(way).exists()).collect();
        paths.listings = vec!["/dev"];
        for (directory, child) in
            [("/sys/class", "hidraw"), ("/sys/bus", "hid"), ("/run", "udev"), ("/sys/devices", "keyrig")]
        {
            if !Path::new(directory).join(child).exists() && Path::new(directory).is_dir() {
                paths.listings.push(directory);
            }
        }
        // Links of ours lead to buses of the system.
        for directory in ["/sys/class", "/sys/bus"] {
            link_children(tree, directory)?;
        }
        DirBuilder::new().mode(0o700).create(tree.at(STAND_INS))?;
        Ok(paths)
    }

    fn meaning(&self, tree: &Tree, path: &[u8]) -> Meaning {
        if let Some(name) = path.strip_prefix(b"/dev/") {
            return node_number(name).map_or(Meaning::Nothing, Meaning::Node);
        }
        let Ok(text) = core::str::from_utf8(path) else { return Meaning::Nothing };
        if OURS.into_iter().any(|ours| is_below(text, ours)) || self.missing.contains(&text) {
            return Meaning::Ours;
        }
        // Where the system has a database of its own, it tells of other devices.
        let is_shared = is_below(text, "/run/udev") || text.starts_with("/sys/dev/char/");
        if is_shared
            && (tree.at(text).symlink_metadata().is_ok())
            && (text != "/run/udev" || self.missing.contains(&"/run/udev"))
        {
            return Meaning::Ours;
        }
        if self.listings.contains(&text) { Meaning::Listing } else { Meaning::Nothing }
    }

    /// A path of the tree as the view has it.
    pub(super) fn in_view(&self, tree: &Tree, path: &[u8]) -> Vec<u8> {
        match path.strip_prefix(tree.root().as_os_str().as_bytes()) {
            Some([]) => b"/".to_vec(),
            Some(below @ [b'/', ..]) => below.to_vec(),
            _ => path.to_vec(),
        }
    }

    /// Joins paths of the view. `..` behind a link of ours leads to where that leads, as the kernel takes it.
    fn walked(&self, tree: &Tree, base: &[u8], path: &[u8]) -> Vec<u8> {
        if !goes_up(path) {
            return joined(base, path);
        }
        let components = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        // The next one last.
        let mut left: Vec<_> = components(base).into_iter().chain(components(path)).rev().collect();
        let mut walked = Vec::new();
        let mut links = 0;
        while let Some(component) = left.pop() {
            let absolute = joined(&walked, &component);
            let is_way = !left.is_empty() && component != b".." && self.meaning(tree, &absolute) == Meaning::Ours;
            let file = tree.at(&String::from_utf8_lossy(&absolute));
            match fs::read_link(file) {
                Ok(link) if is_way && links < MAX_LINKS => {
                    links += 1;
                    left.extend(components(link.as_os_str().as_bytes()).into_iter().rev());
                }
                _ => walked = absolute,
            }
        }
        joined(&walked, b"")
    }

    /// The link that a descriptor stands for.
    pub(super) fn stood_for(&self, call: &Call<'_>, descriptor: i32) -> Option<PathBuf> {
        if self.stand_ins.is_empty() {
            return None;
        }
        let link = call.link(descriptor).ok()?;
        let number = link.strip_prefix(self.root.as_slice())?.strip_prefix(STAND_INS.as_bytes())?.strip_prefix(b"/")?;
        self.stand_ins.get(core::str::from_utf8(number).ok()?.parse::<usize>().ok()?).cloned()
    }

    /// A file that stands for a link: a descriptor of the link itself cannot be given away.
    fn stand_in(&mut self, tree: &Tree, link: &Path) -> Result<OwnedFd, Errno> {
        let number = match self.numbers.get(link) {
            Some(number) => *number,
            None if self.stand_ins.len() >= MAX_STAND_INS => return Err(Errno::NFILE),
            None => {
                self.numbers.insert(link.to_owned(), self.stand_ins.len());
                self.stand_ins.push(link.to_owned());
                self.stand_ins.len() - 1
            }
        };
        let path = tree.at(&format!("{STAND_INS}/{number}"));
        let file = File::options().read(true).append(true).create(true).open(path).map_err(|error| errno(&error))?;
        Ok(file.into())
    }
}

/// Fills our copy of a directory with links to what the system has there.
fn link_children(tree: &Tree, directory: &str) -> io::Result<()> {
    let ours = tree.at(directory);
    // What is not there, or not for us to see, the tree does not see either.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let link = ours.join(entry.file_name());
        if link.symlink_metadata().is_err() {
            symlink(entry.path(), link)?;
        }
    }
    Ok(())
}

/// Fills our copy of a directory with files of the kinds that the system has there, to be listed: what is opened in it is the
/// system's.
fn copy_listing(tree: &Tree, directory: &str) -> io::Result<()> {
    let ours = tree.at(directory);
    let is_dev = directory == "/dev";
    let copied = |name: &OsStr| !is_dev || !name.as_bytes().starts_with(b"hidraw");
    for entry in fs::read_dir(&ours)?.flatten().filter(|_| is_dev) {
        let name = entry.file_name();
        if copied(&name) && Path::new(directory).join(name).symlink_metadata().is_err() {
            // The system has it no more.
            fs::remove_file(entry.path()).or_else(|_| fs::remove_dir(entry.path()))?;
        }
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (name, copy) = (entry.file_name(), ours.join(entry.file_name()));
        let Ok(kind) = entry.file_type() else { continue };
        if !copied(&name) || copy.symlink_metadata().is_ok() {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &copy)?;
        } else {
            Tree::make_alike(&copy, kind)?;
        }
    }
    Ok(())
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Whether a path of the view is one that libudev looks for sysfs at.
pub(super) fn is_of_sysfs(path: &[u8]) -> bool {
    core::str::from_utf8(path).is_ok_and(|path| is_below(path, "/sys"))
}

/// The node that a path leads to, by its last component first: that is quickest to see.
pub(super) fn node_at(call: &Call<'_>, directory: Option<i32>, path: &[u8]) -> Result<Option<u32>, Errno> {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if node_number(last).is_none() {
        return Ok(None);
    }
    let absolute = absolute(call, directory, path)?;
    Ok(absolute.as_deref().and_then(|path| path.strip_prefix(b"/dev/")).and_then(node_number))
}

/// The absolute path, by the text alone. `None` if what it is relative to is no path.
pub(super) fn absolute(call: &Call<'_>, directory: Option<i32>, path: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    Ok(base(call, directory, path)?.map(|base| joined(&base, path)))
}

/// What a path is relative to: `None` if that is no path.
fn base(call: &Call<'_>, directory: Option<i32>, path: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    if path.starts_with(b"/") {
        return Ok(Some(b"/".to_vec()));
    }
    let base = match directory {
        None | Some(libc::AT_FDCWD) => call.directory()?,
        Some(descriptor) => call.link(descriptor)?,
    };
    Ok(Some(base).filter(|base| base.starts_with(b"/")))
}

/// Joins paths and takes `.` and `..` by their names.
fn joined(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in base.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            component => components.push(component),
        }
    }
    let mut absolute = Vec::with_capacity(base.len() + path.len() + 1);
    for component in components {
        absolute.push(b'/');
        absolute.extend(component);
    }
    if absolute.is_empty() { b"/".to_vec() } else { absolute }
}

/// Opens a file for a program.
pub(super) fn open_file(file: &Path, flags: i32) -> Outcome {
    let close_on_exec = flags & libc::O_CLOEXEC != 0;
    // A descriptor of a path alone cannot be given away: one to read serves as well.
    let left_out = OFlags::PATH | OFlags::CREATE | OFlags::TRUNC;
    // What becomes a program's terminal is not to be ours.
    let flags = OFlags::from_bits_retain(flags.cast_unsigned()).difference(left_out) | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(CWD, file, flags, Mode::empty()) {
        Ok(descriptor) => Outcome::Descriptor { descriptor, close_on_exec, place: Place::Anywhere },
        Err(error) => Reply::Error(error).into(),
    }
}

/// Where a call's path leads.
struct Target {
    meaning: Meaning,
    /// The path in the view.
    view: Vec<u8>,
    /// Where it is: in the tree, or in the system for a call that went out of the tree.
    file: PathBuf,
}

impl Supervisor {
    /// Where a path leads, if that is not where the kernel would find it.
    fn target(&mut self, call: &Call<'_>, directory: Option<i32>, path: &[u8]) -> Result<Option<Target>, Errno> {
        if concerns_no_key(View::Paths, self.paths.listed.load(Ordering::Acquire), path) {
            return Ok(None);
        }
        let Some(base) = base(call, directory, path)? else { return Ok(None) };
        let is_relative_to_tree = base.starts_with(self.paths.root.as_slice());
        let view = self.paths.walked(&self.tree, &self.paths.in_view(&self.tree, &base), path);
        let meaning = self.paths.meaning(&self.tree, &view);
        let text = PathBuf::from(std::ffi::OsString::from_vec(view.clone()));
        Ok(match meaning {
            Meaning::Nothing if is_relative_to_tree => Some(Target { meaning, file: text, view }),
            Meaning::Nothing => None,
            _ => {
                let below = text.strip_prefix("/").unwrap_or(&text);
                Some(Target { meaning, file: self.tree.root().join(below), view })
            }
        })
    }

    /// Opens a path without a namespace.
    pub(super) fn open_path(&mut self, call: &Call<'_>, directory: Option<i32>, path: &[u8], flags: i32) -> Answer {
        let Some(target) = self.target(call, directory, path)? else { return Ok(Continue(())) };
        let by_path_only = flags & libc::O_PATH != 0;
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        match target.meaning {
            Meaning::Node(node) if self.tree.node(node).is_none() => {
                return Ok(Break(Reply::Error(Errno::NOENT).into()));
            }
            Meaning::Node(_) if flags & libc::O_DIRECTORY != 0 => return Ok(Break(Reply::Error(Errno::NOTDIR).into())),
            Meaning::Node(node) if !by_path_only => return Ok(Break(self.open_node(node, flags))),
            // A directory that is only walked through is the system's own.
            Meaning::Listing if by_path_only => return Ok(Continue(())),
            Meaning::Listing => {
                let directory = core::str::from_utf8(&target.view).unwrap_or_default();
                copy_listing(&self.tree, directory).map_err(|error| errno(&error))?;
                self.paths.listed.store(true, Ordering::Release);
            }
            _ => {}
        }
        let is_link = target.file.is_symlink();
        let is_node = matches!(target.meaning, Meaning::Node(_));
        if by_path_only && (is_node || is_link && flags & libc::O_NOFOLLOW != 0) {
            let descriptor = self.paths.stand_in(&self.tree, &target.file)?;
            return Ok(Break(Outcome::Descriptor { descriptor, close_on_exec, place: Place::Window(*WINDOW.start()) }));
        }
        Ok(Break(open_file(&target.file, flags)))
    }

    /// A status by path.
    pub(super) fn status(
        &mut self,
        call: &Call<'_>,
        directory: Option<i32>,
        path: usize,
        buffer: u64,
        layout: Layout,
        follow: bool,
    ) -> Answer {
        let path = self.path(call, path)?;
        if path.is_empty() {
            return Ok(Continue(()));
        }
        let Some(target) = self.target(call, directory, &path)?.filter(|target| target.meaning != Meaning::Listing)
        else {
            return Ok(Continue(()));
        };
        let status = match (target.meaning, Status::of(&target.file, follow)) {
            (_, Err(error)) => return Ok(Break(Reply::Error(error).into())),
            (Meaning::Node(node), Ok(status)) => {
                let (major, minor) = self.tree.device(node);
                status.with_device(rustix::fs::makedev(major, minor))
            }
            (_, Ok(status)) => status,
        };
        self.write_status(call, buffer, layout, &status)
    }

    pub(super) fn read_link(
        &mut self,
        call: &Call<'_>,
        directory: Option<i32>,
        path: usize,
        buffer: u64,
        size: u64,
    ) -> Answer {
        let path = self.path(call, path)?;
        let link = if path.is_empty() {
            match directory.and_then(|descriptor| self.paths.stood_for(call, descriptor)) {
                Some(link) => link,
                None => return Ok(Continue(())),
            }
        } else {
            match self.target(call, directory, &path)? {
                Some(target) if target.meaning != Meaning::Listing => target.file,
                _ => return Ok(Continue(())),
            }
        };
        let mut content = match fs::read_link(&link) {
            Ok(content) => content.into_os_string().into_vec(),
            Err(error) => return Ok(Break(Reply::Error(errno(&error)).into())),
        };
        if size == 0 {
            return Ok(Break(Reply::Error(Errno::INVAL).into()));
        }
        content.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        call.write(buffer, &content)?;
        Ok(Break(Reply::Value(i64::try_from(content.len()).unwrap_or_default()).into()))
    }

    pub(super) fn access(&mut self, call: &Call<'_>, directory: Option<i32>, path: usize, mode: i32) -> Answer {
        let path = self.path(call, path)?;
        let Some(target) = self.target(call, directory, &path)?.filter(|target| target.meaning != Meaning::Listing)
        else {
            return Ok(Continue(()));
        };
        let wanted = if let Meaning::Node(_) = target.meaning {
            // Whatever the file in the tree is, the node may be read and written.
            if mode & libc::X_OK != 0 {
                return Ok(Break(Reply::Error(Errno::ACCESS).into()));
            }
            Access::EXISTS
        } else {
            Access::from_bits_retain(mode.cast_unsigned())
        };
        let answer = accessat(CWD, &target.file, wanted, AtFlags::empty());
        Ok(Break(answer.map_or_else(Reply::Error, |()| Reply::Value(0)).into()))
    }

    /// Neither sysfs nor a node of ours has extended attributes.
    pub(super) fn attributes(&mut self, call: &Call<'_>) -> Answer {
        let path = self.path(call, 0)?;
        let target = self.target(call, None, &path)?;
        let is_ours = target.is_some_and(|target| matches!(target.meaning, Meaning::Node(_) | Meaning::Ours));
        Ok(if is_ours { Break(Reply::Error(Errno::OPNOTSUPP).into()) } else { Continue(()) })
    }

    /// Nobody but a program itself can change its directory.
    pub(super) fn change_directory(&mut self, call: &Call<'_>) -> Answer {
        let path = self.path(call, 0)?;
        let target = self.target(call, None, &path)?;
        if target.is_some_and(|target| {
            target.meaning == Meaning::Ours && !Path::new(OsStr::from_bytes(&target.view)).is_dir()
        }) {
            let program = call.program();
            self.tell(Notice::Directory { program, path: PathBuf::from(OsStr::from_bytes(&path)) });
        }
        Ok(Continue(()))
    }

    /// A watch on `/dev` watches what is plugged in too.
    pub(super) fn watch(&mut self, call: &Call<'_>) -> Answer {
        let path = self.path(call, 1)?;
        let Some(target) = self.target(call, None, &path)? else { return Ok(Continue(())) };
        let watcher = call.descriptor(call.int(0))?;
        let flags = inotify::WatchFlags::from_bits_retain(call.unsigned(2));
        let watch = inotify::add_watch(&watcher, &target.file, flags);
        Ok(Break(watch.map_or_else(Reply::Error, |watch| Reply::Value(i64::from(watch))).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_by_their_text() {
        for (base, path, absolute) in [
            ("", "/dev/hidraw0", "/dev/hidraw0"),
            ("/dev", "hidraw0", "/dev/hidraw0"),
            ("/sys/class/net", "../hidraw/./hidraw0//device/", "/sys/class/hidraw/hidraw0/device"),
            ("/", "../../..", "/"),
            ("/a", "", "/a"),
        ] {
            assert_eq!(joined(base.as_bytes(), path.as_bytes()), absolute.as_bytes(), "{base} {path}");
        }
    }
}
