//! `keyrig key fingerprints`: which fingers a key knows.

use std::path::Path;

use clap::Subcommand;
use keyrig_control::request::{
    Base64Url, DeleteFingerprint, EnrollFingerprint, FingerprintList, ListFingerprints, RenameFingerprint,
};
use keyrig_control::socket::send;
use keyrig_rack::KeyName;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Subcommand)]
pub(super) enum Action {
    /// List the fingers that a key knows
    List {
        /// The key's name
        name: KeyName,
    },
    /// Have a key know another finger, without a PIN and without samples
    Enroll {
        /// The key's name
        name: KeyName,

        /// What the finger is called
        #[arg(long, value_name = "NAME")]
        finger: Option<String>,
    },
    /// Give a finger another name
    Rename {
        /// The key's name
        name: KeyName,

        /// The template id that 'list' shows
        #[arg(value_parser = template_id)]
        id: Base64Url,

        /// What the finger is to be called
        finger: String,
    },
    /// Have a key forget a finger
    Delete {
        /// The key's name
        name: KeyName,

        /// The template id that 'list' shows
        #[arg(value_parser = template_id)]
        id: Base64Url,
    },
}

fn template_id(text: &str) -> Result<Base64Url, Error> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    Base64Url::deserialize(text)
}

pub(super) async fn run(action: Action, path: &Path, json: bool) -> Result<(), Failure> {
    let list = match action {
        Action::List { name: key } => send(path, ListFingerprints { key }).await?,
        Action::Enroll { name: key, finger: name } => {
            send(path, EnrollFingerprint { key, name: name.unwrap_or_default() }).await?
        }
        Action::Rename { name: key, id: template_id, finger: name } => {
            send(path, RenameFingerprint { key, template_id, name }).await?
        }
        Action::Delete { name: key, id: template_id } => send(path, DeleteFingerprint { key, template_id }).await?,
    };
    if json { print_json(&list) } else { print_list(&list) }
}

fn print_list(FingerprintList { key, fingerprints }: &FingerprintList) -> Result<(), Failure> {
    if fingerprints.is_empty() {
        return print(format!("{key} knows no finger"));
    }
    for known in fingerprints {
        print(format!("{}  {}", known.template_id, known.name))?;
    }
    Ok(())
}
