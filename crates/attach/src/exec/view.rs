//! The ways to show a tree of processes what there is to see.

use core::fmt;

/// How the tree is shown what there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// By a mount namespace, which an ordinary user makes within a user namespace.
    Namespace,
    /// By answering system calls by path: where namespaces are forbidden, as in containers and on hosted runners.
    Paths,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "a mount namespace",
            Self::Paths => "answers to calls by path",
        })
    }
}
