//! What keys store, for their owner: `keyrig key credentials export|import` and `keyrig key large-blobs`.

use std::path::Path;

use clap::Subcommand;
use keyrig_control::request::{
    Base64Url, Credential, ExportCredentials, ImportCredentials, LargeBlobs, ReadLargeBlobs, WriteLargeBlobs,
};
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use serde_json::Value;

use super::owner::{parse, unreadable};
use super::pin::{PinFile, read_bytes};
use super::state::print_state;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// The most that is read of a file of credentials, bytes.
const MAX_FILE: usize = 24 * 1024 * 1024;

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

pub(super) async fn export(
    key: KeyName,
    credential_id: Option<Base64Url>,
    rp_id: Option<String>,
    path: &Path,
) -> Result<(), Failure> {
    print_json(&send(path, ExportCredentials { key, credential_id, rp_id }).await?)
}

pub(super) async fn import(key: KeyName, file: &PinFile, path: &Path, json: bool) -> Result<(), Failure> {
    let credentials = imported(file, parse(file, &read_bytes(file, MAX_FILE)?)?)?;
    if credentials.is_empty() {
        return Err(Failure::Usage("there is no credential in it".to_owned()));
    }
    let state = send(path, ImportCredentials { key, credentials }).await?;
    if json { print_json(&state) } else { print_state(&state) }
}

/// What an import takes: what an export prints, one credential of it, or a list.
fn imported(file: &PinFile, value: Value) -> Result<Vec<Credential>, Failure> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut exported) if exported.contains_key("credentials") => {
            let Some(Value::Array(list)) = exported.remove("credentials") else {
                return Err(unreadable(file, "its credentials are no list"));
            };
            if let Some(unknown) = exported.keys().next() {
                return Err(unreadable(file, format!("beside its credentials is {unknown:?}, which is unknown")));
            }
            list
        }
        one => return Ok(vec![read(one).map_err(|error| unreadable(file, error))?]),
    };
    let of = list.len();
    let entry = |(before, value)| {
        read(value).map_err(|error| unreadable(file, format!("credential {} of {of}: {error}", before + 1)))
    };
    list.into_iter().enumerate().map(entry).collect()
}

fn read(value: Value) -> Result<Credential, serde_json::Error> {
    serde_json::from_value(value)
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
                parse::<LargeBlobs>(&file, &bytes).map(|read| read.array)
            } else {
                let text = String::from_utf8_lossy(&bytes);
                // As JSON has it.
                parse::<Base64Url>(&file, serde_json::json!(text.trim()).to_string().as_bytes())
            }
            .map_err(|_| unreadable(&file, "it is neither base64url nor the JSON of 'large-blobs read --json'"))?;
            let state = send(path, WriteLargeBlobs { key, array }).await?;
            if json { print_json(&state) } else { print_state(&state) }
        }
    }
}
