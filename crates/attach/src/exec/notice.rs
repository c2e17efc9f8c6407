//! What the user is told of programs that the keys do not reach.

use core::fmt;
use std::path::PathBuf;

use super::filter::WINDOW;

/// Something in the tree that the keys do not reach, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A program takes another user's or group's rights by its file.
    SetUserId {
        /// Its file.
        path: PathBuf,
    },
    /// A program's architecture has other system calls.
    ThirtyTwoBits {
        /// Its file.
        path: PathBuf,
    },
    /// A program starts others with a `/dev` of their own.
    Sandbox {
        /// Its file.
        path: PathBuf,
        /// Whose it is.
        by: &'static str,
    },
    /// A program makes calls by io_uring, which no filter sees.
    IoUring {
        /// Its name.
        program: String,
    },
    /// A program forbids others to read its memory.
    Unreadable {
        /// Its name.
        program: String,
    },
    /// A program goes to a directory that is not there but in the view.
    Directory {
        /// Its name.
        program: String,
        /// The directory.
        path: PathBuf,
    },
    /// Programs may open fewer files than it takes for all calls on a key to be seen.
    FewFiles {
        /// The limit.
        limit: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetUserId { path } => write!(
                f,
                "{} gets no other user's rights in here, as its set-user-id bit has no effect: run 'keyrig exec' by it, not it by \
                 'keyrig exec'",
                path.display()
            ),
            Self::ThirtyTwoBits { path } => {
                write!(f, "{} is a 32-bit program, which does not see the keys: use a 64-bit one", path.display())
            }
            Self::Sandbox { path, by } => write!(
                f,
                "{} starts programs in a sandbox of {by}, which may hide the keys: use a package of the distribution, or 'sudo keyrig \
                 attach'",
                path.display()
            ),
            Self::IoUring { program } => write!(
                f,
                "{program} uses io_uring: what it opens that way is not seen, and the keys are not there. Most programs have a switch \
                 for it"
            ),
            Self::Unreadable { program } => write!(
                f,
                "{program} forbids others to read its memory, and without a namespace does not see the keys: run 'keyrig exec' as root, \
                 or where namespaces are allowed ('keyrig env' tells)"
            ),
            Self::Directory { program, path } => write!(
                f,
                "{program} went to {}, which without a namespace is not there to go to: name it in paths instead",
                path.display()
            ),
            Self::FewFiles { limit } => write!(
                f,
                "programs may open {limit} files: some will not take a key for a device. Run: ulimit -n {}",
                WINDOW.end() + 1
            ),
        }
    }
}
