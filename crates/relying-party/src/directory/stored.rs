//! What a realm's directory is asked with.

use std::path::PathBuf;

use super::settings::DirectorySettings;

/// What a realm's directory is asked with.
#[derive(Clone, Debug)]
pub(crate) struct StoredDirectory {
    pub(crate) realm: String,
    pub(crate) settings: DirectorySettings,
    /// `None` if the store is in memory.
    pub(crate) bind_password_file: Option<PathBuf>,
}
