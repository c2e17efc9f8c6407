//! Files by what they are, and not by their paths: what is written goes over nothing that is read.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device and number of a file; of what is none, as a terminal or `/dev/null`, nothing.
pub(crate) fn of(metadata: &Metadata) -> Option<(u64, u64)> {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

/// The same of what is at a path, if something is.
pub(crate) fn at(path: &Path) -> Option<(u64, u64)> {
    of(&fs::metadata(path).ok()?)
}

/// Whether two paths lead to one file.
pub(crate) fn are_one(one: &Path, other: &Path) -> bool {
    at(one).is_some_and(|one| at(other) == Some(one))
}
