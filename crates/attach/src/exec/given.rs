//! What the tree was given in answer to its calls: sockets that stand for nodes, for udev's announcements, and files that
//! stand for links.
//!
//! A socket is known by its inode, which stays when a descriptor is duplicated, inherited or passed on.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

/// How many sockets of unplugged keys are remembered: those that programs still hold may ask after them.
const REMEMBERED: usize = 4096;

/// An opening of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// The node's number.
    pub(super) node: u32,
    /// Which plugging of a key it belongs to: when that is over, so is the opening.
    pub(super) plugging: u64,
    /// The process that opened it, and the descriptor that it got.
    pub(super) holder: Option<(i32, i32)>,
}

/// A socket that hears udev's announcements.
#[derive(Debug)]
pub(super) struct Monitor {
    /// A copy of the program's descriptor.
    pub(super) socket: OwnedFd,
    /// The process that opened it.
    pub(super) process: i32,
    /// It was opened with `SOCK_NONBLOCK`, or is used so.
    pub(super) bound: bool,
}

/// All that was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    opens: BTreeMap<u64, Open>,
    /// Those whose key is unplugged, oldest first.
    over: VecDeque<u64>,
    /// By inode.
    pub(super) monitors: BTreeMap<u64, Monitor>,
}

impl Given {
    pub(super) fn opened(&mut self, inode: u64, open: Open) {
        self.opens.insert(inode, open);
    }

    pub(super) fn open(&self, inode: u64) -> Option<Open> {
        self.opens.get(&inode).copied()
    }

    /// The program has closed its socket.
    pub(super) fn closed(&mut self, inode: u64) {
        self.opens.remove(&inode);
    }

    /// A program has got the descriptor of an opening.
    pub(super) fn holds(&mut self, inode: u64, process: i32, descriptor: i32) {
        if let Some(open) = self.opens.get_mut(&inode) {
            open.holder = Some((process, descriptor));
        }
    }

    /// What is open of a plugging.
    pub(super) fn of(&self, plugging: u64) -> impl Iterator<Item = (u64, Open)> {
        self.opens.iter().filter(move |(_, open)| open.plugging == plugging).map(|(inode, open)| (*inode, *open))
    }

    /// A plugging is over. What is open of it stays known, for a while.
    pub(super) fn unplugged(&mut self, plugging: u64) {
        let over: Vec<_> = self.of(plugging).map(|(inode, _)| inode).collect();
        self.over.extend(over);
        while self.over.len() > REMEMBERED {
            if let Some(oldest) = self.over.pop_front() {
                self.opens.remove(&oldest);
            }
        }
    }
}
