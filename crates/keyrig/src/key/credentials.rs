//! `keyrig key credentials`: what is stored on a key in a running rack.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;
use keyrig_client::channel::Cancel;
use keyrig_client::credential_management::{RelyingPartyCredentials, StoredCredential};
use keyrig_client::error::Unsuitable;
use keyrig_client::json::Base64Url;
use keyrig_client::{OptionId, Permissions, PinUvAuthToken};
use keyrig_rack::KeyName;
use keyrig_relying_party::printable;
use serde::Serialize;

use super::pin::{OpenKey, PinArgument, PinFile, failed, open};
use super::stored;
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Subcommand)]
pub(super) enum Action {
    /// List the discoverable credentials
    List {
        /// The key's name
        name: KeyName,
        #[command(flatten)]
        pin: PinArgument,
    },
    /// Print credentials as JSON that 'import' takes, private keys included: all that are stored, or one. No PIN is needed
    Export {
        /// The key's name
        name: KeyName,
        /// The credential's id; behind -- if it begins with -
        #[arg(value_name = "ID")]
        id: Option<IdArgument>,
        /// Its RP ID or AppID: without it, a credential that lives in its id is not found
        #[arg(long, value_name = "RP_ID", requires = "id")]
        rp_id: Option<String>,
    },
    /// Import credentials from JSON as 'export' prints it
    Import {
        /// The key's name
        name: KeyName,
        /// The file
        #[arg(value_name = "FILE|-", default_value = "-")]
        file: PinFile,
    },
    /// Delete discoverable credentials
    Delete {
        /// The key's name
        name: KeyName,
        /// Credential ids as 'list' shows them, or unique beginnings of them; behind -- where one begins with -
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        pin: PinArgument,
    },
}

/// A credential id in base64url.
#[derive(Clone)]
pub(super) struct IdArgument(keyrig_control::request::Base64Url);

impl FromStr for IdArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = Base64Url::decode(text).ok_or("a credential id is written in base64url, without padding")?;
        Ok(Self(keyrig_control::request::Base64Url(id.0)))
    }
}

/// What programs read.
#[derive(Serialize)]
struct Listed {
    key: KeyName,
    existing: u64,
    remaining: u64,
    credentials: Vec<Credential>,
}

#[derive(Serialize)]
struct Deleted {
    key: KeyName,
    deleted: Vec<Base64Url>,
}

#[derive(Serialize)]
struct Credential {
    rp_id: String,
    rp_name: Option<String>,
    credential_id: Base64Url,
    user_id: Base64Url,
    user_name: Option<String>,
    user_display_name: Option<String>,
    /// A level of `credProtect`.
    protection: Option<u64>,
    large_blob: bool,
}

pub(super) async fn run(action: Action, path: PathBuf, json: bool) -> Result<ExitCode, Failure> {
    match action {
        Action::List { name, pin } => {
            let mut key = open(&path, &name).await?;
            list(&mut key, name, &pin, json).await?;
        }
        Action::Export { name, id, rp_id } => stored::export(name, id.map(|id| id.0), rp_id, &path).await?,
        Action::Import { name, file } => stored::import(name, &file, &path, json).await?,
        Action::Delete { name, ids, pin } => {
            let mut key = open(&path, &name).await?;
            delete(&mut key, name, &ids, &pin, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A token for what follows. A key that cannot do it is told apart before a PIN is asked for.
async fn token(open: &mut OpenKey, name: &KeyName, pin: &PinArgument) -> Result<PinUvAuthToken, Failure> {
    let info = open.describe().await?;
    if info.option(OptionId::CredMgmt) != Some(true) && info.option(OptionId::CredentialMgmtPreview) != Some(true) {
        return Err(failed(name, Unsuitable::CredentialManagement));
    }
    open.token(Permissions::CM, pin.file()).await
}

async fn list(open: &mut OpenKey, name: KeyName, pin: &PinArgument, json: bool) -> Result<(), Failure> {
    let token = token(open, &name, pin).await?;
    let never = Cancel::never();
    let counts = open.key.credential_counts(&token, &never).await.map_err(|cause| failed(&name, cause))?;
    let list = open.key.credentials(&token, &never).await.map_err(|cause| failed(&name, cause))?;
    let credentials: Vec<_> = list.into_iter().flat_map(flat).collect();
    if json {
        return print_json(&Listed { key: name, existing: counts.existing, remaining: counts.remaining, credentials });
    }
    let plural = if counts.existing == 1 { "" } else { "s" };
    print(format!("{name}: {} discoverable credential{plural}, room for {}", counts.existing, counts.remaining))?;
    let width = credentials.iter().map(|credential| shown(credential).chars().count()).max().unwrap_or_default();
    let mut site = None;
    for credential in &credentials {
        if site != Some(&credential.rp_id) {
            print(format!("\n{}", printable(&credential.rp_id)))?;
            site = Some(&credential.rp_id);
        }
        let protection = match credential.protection {
            Some(2) => "  user verification or its id",
            Some(3) => "  user verification",
            _ => "",
        };
        let blob = if credential.large_blob { "  large blob" } else { "" };
        print(format!("  {:<width$}  {}{protection}{blob}", shown(credential), credential.credential_id))?;
    }
    Ok(())
}

/// The account: its name, and the person's if that says more.
fn shown(credential: &Credential) -> String {
    let name = credential.user_name.clone().unwrap_or_else(|| format!("user {}", credential.user_id));
    let shown = match &credential.user_display_name {
        Some(person) if *person != name && !person.is_empty() => format!("{name} ({person})"),
        _ => name,
    };
    printable(&shown).into_owned()
}

fn flat(listed: RelyingPartyCredentials) -> impl Iterator<Item = Credential> {
    let RelyingPartyCredentials { relying_party, credentials, .. } = listed;
    credentials.into_iter().map(move |stored| {
        let StoredCredential { credential_id, user, protection, large_blob_key, .. } = stored;
        Credential {
            rp_id: relying_party.id.clone(),
            rp_name: relying_party.name.clone(),
            credential_id: Base64Url(credential_id),
            user_id: Base64Url(user.id),
            user_name: user.name,
            user_display_name: user.display_name,
            protection: protection.map(u64::from),
            large_blob: large_blob_key.is_some(),
        }
    })
}

async fn delete(
    open: &mut OpenKey,
    name: KeyName,
    ids: &[String],
    pin: &PinArgument,
    json: bool,
) -> Result<(), Failure> {
    let token = token(open, &name, pin).await?;
    let never = Cancel::never();
    let list = open.key.credentials(&token, &never).await.map_err(|cause| failed(&name, cause))?;
    let known: Vec<_> = list.into_iter().flat_map(flat).collect();
    // All are found before the first is deleted.
    let found = ids.iter().map(|id| find(&name, &known, id)).collect::<Result<Vec<_>, _>>()?;
    let mut deleted = Vec::new();
    for credential in found {
        let id = &credential.credential_id;
        open.key.delete_credential(&id.0, &token, &never).await.map_err(|cause| failed(&name, cause))?;
        if !json {
            print(format!("{name}: deleted {} of {}", shown(credential), printable(&credential.rp_id)))?;
        }
        deleted.push(id.clone());
    }
    if json { print_json(&Deleted { key: name, deleted }) } else { Ok(()) }
}

fn find<'a>(name: &KeyName, known: &'a [Credential], id: &str) -> Result<&'a Credential, Failure> {
    let mut matching = known.iter().filter(|credential| credential.credential_id.to_string().starts_with(id));
    let reason = match (matching.next(), matching.next()) {
        (Some(only), None) if !id.is_empty() => return Ok(only),
        (None, _) => format!("no credential id begins with {id:?}: 'keyrig key credentials list {name}' shows them"),
        _ => format!("several credential ids begin with {id:?}: give more of it"),
    };
    Err(Failure::AtKey { key: name.to_string(), reason })
}
