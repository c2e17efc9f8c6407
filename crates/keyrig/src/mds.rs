//! FIDO metadata that the user gives: `--mds FILE`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use keyrig_metadata::{Blob, Document, MAX_SIZE};

use crate::failure::Failure;

/// Where certified keys are looked up.
#[derive(Args)]
pub(crate) struct MdsArguments {
    /// FIDO metadata for keys of the profile mds:AAGUID: the BLOB as it is downloaded, its payload as JSON, or one metadata
    /// statement. Its signature is not looked at
    #[arg(long, value_name = "FILE")]
    mds: Option<PathBuf>,

    #[arg(skip)]
    read: OnceLock<Arc<Blob>>,
}

impl MdsArguments {
    pub(crate) fn is_given(&self) -> bool {
        self.mds.is_some()
    }

    /// The metadata, if it was given: read once.
    pub(crate) fn metadata(&self) -> Result<Option<Arc<Blob>>, Failure> {
        let Some(path) = &self.mds else { return Ok(None) };
        if let Some(read) = self.read.get() {
            return Ok(Some(Arc::clone(read)));
        }
        let blob = Arc::new(read(path)?.blob);
        Ok(Some(Arc::clone(self.read.get_or_init(|| blob))))
    }
}

/// Reads a document of metadata, but no further than one may be long.
pub(crate) fn read(path: &Path) -> Result<Document, Failure> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX) + 1;
    let limited = File::open(path).and_then(|file| file.take(longest).read_to_end(&mut bytes));
    limited.map_err(|error| Failure::Read(path.to_owned(), error))?;
    Document::read(&bytes).map_err(|error| Failure::NotMetadata(path.to_owned(), Box::new(error)))
}
