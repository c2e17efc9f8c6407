//! What keys store, for their owner: `keyrig key credentials export|import` and `keyrig key large-blobs`.

use std::path::Path;

use clap::Subcommand;
use keyrig_control::request::{
    Base64Url, Credential, ExportCredentials, ExportedCredentials, ImportCredential, LargeBlobs, ReadLargeBlobs,
    WriteLargeBlobs,
};
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use serde::Deserialize;

use super::owner::parse;
use super::pin::{PinFile, read_bytes};
use super::state::print_state;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// The most that is read of a file of credentials, bytes.
const MAX_FILE: usize = 16 * 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum LargeBlobsAction {
    /// Print the serialized large-blob array, in base64url
    Read {
        /// The key's name
        name: KeyName,
    },
    /// Write the serialized large-blob array, from base64url or as read --json prints it
    Write {
        /// The key's name
        name: KeyName,
        /// The file, or - for standard input
        #[arg(value_name = "FILE|-")]
        file: PinFile,
    },
}

/// What an import takes: what an export prints, one credential of it, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Imported {
    Exported(ExportedCredentials),
    One(Box<Credential>),
    List(Vec<Credential>),
}

pub(super) async fn export(
    key: KeyName,
    credential_id: Option<Base64Url>,
    rp_id: Option<String>,
    path: &Path,
) -> Result<(), Failure> {
    print_json(&send(path, ExportCredentials { key, credential_id, rp_id }).await?)
}

pub(super) async fn import(key: KeyName, file: &PinFile, path: &Path, json: bool) -> Result<(), Failure> {
    let credentials = match parse(file, &read_bytes(file, MAX_FILE)?)? {
        Imported::Exported(exported) => exported.credentials,
        Imported::One(credential) => vec![*credential],
        Imported::List(credentials) => credentials,
    };
    let mut state = None;
    for credential in credentials {
        state = Some(send(path, ImportCredential { key: key.clone(), credential }).await?);
    }
    match state {
        None => Err(Failure::Usage("there is no credential in it".to_owned())),
        Some(state) if json => print_json(&state),
        Some(state) => print_state(&state),
    }
}

pub(super) async fn large_blobs(action: LargeBlobsAction, path: &Path, json: bool) -> Result<(), Failure> {
    match action {
        LargeBlobsAction::Read { name: key } => {
            let read = send(path, ReadLargeBlobs { key }).await?;
            if json { print_json(&read) } else { print(read.array.to_string()) }
        }
        LargeBlobsAction::Write { name: key, file } => {
            let bytes = read_bytes(&file, MAX_FILE)?;
            let array = if bytes.starts_with(b"{") {
                parse::<LargeBlobs>(&file, &bytes)?.array
            } else {
                let text = String::from_utf8_lossy(&bytes);
                // As JSON has it.
                parse::<Base64Url>(&file, serde_json::json!(text.trim()).to_string().as_bytes())?
            };
            let state = send(path, WriteLargeBlobs { key, array }).await?;
            if json { print_json(&state) } else { print_state(&state) }
        }
    }
}
