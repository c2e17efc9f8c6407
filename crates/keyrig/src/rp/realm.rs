//! `keyrig rp realm`: realms and the second factor that they require, as `pveum realm` has them.

mod directory;
mod sync;

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{By, Realm, RealmChange, RealmError, Requirement};

use self::directory::DirectoryOptions;
use super::state::State;
use super::user::confirm;
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the realms and what each requires
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Add a realm, whose users have passwords here or are in a directory
    Add(Box<Add>),
    /// Change which second factor a realm requires, its comment, or what its directory is asked by
    Modify(Box<Modify>),
    /// Delete a realm that was added: one of a directory with its users, any other only if it has none
    Delete {
        /// The realm
        realm: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        state: State,
    },
    /// Have users and groups of a realm be as its directory has them
    Sync(sync::Sync),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp realm add corp --type ldap --server1 ldap.example.com \\
    --mode ldap+starttls --capath /etc/ssl/corp-ca.pem \\
    --base_dn ou=people,dc=example,dc=com --user_attr uid
  keyrig rp realm add ad --type ad --server1 dc1.corp.example.com --mode ldaps \\
    --domain corp.example.com --bind_dn reader@corp.example.com --password FILE")]
struct Add {
    /// The realm: 1 to 32 of A-Z a-z 0-9 . _ -, the first a letter
    realm: String,
    /// What kind of realm: ldap or ad for a directory; pam or pve, which keep passwords here, and cannot be added under the policy proxmox-9
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// A comment on the realm
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    /// The second factor that the realm requires
    #[arg(long, value_name = "OPTION")]
    tfa: Option<Requirement>,
    #[command(flatten)]
    directory: DirectoryOptions,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp realm modify pve --tfa type=oath,digits=6,step=30    codes by the
                                       clock, as Proxmox VE has it
  keyrig rp realm modify pam --delete tfa           none
  keyrig rp realm modify pam --tfa type=webauthn    a security key
  keyrig rp realm modify pam --tfa type=any         any factor of the user's
The last two are keyrig's own: Proxmox VE has no such types, and under the
policy proxmox-9 they are refused.")]
struct Modify {
    /// pam, pve, or one that was added
    realm: String,
    /// The second factor that the realm requires
    #[arg(long, value_name = "OPTION")]
    tfa: Option<Requirement>,
    /// A comment on the realm
    #[arg(long)]
    comment: Option<String>,
    /// The options to remove: tfa, comment, or those of a directory, with commas between them
    #[arg(long, value_name = "OPTIONS", value_delimiter = ',')]
    delete: Vec<String>,
    #[command(flatten)]
    directory: DirectoryOptions,
    #[command(flatten)]
    state: State,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::List { json, state } => {
            let realms = state.open_to_read()?.realms()?;
            if json {
                print_json(&realms)?;
            } else {
                realms.iter().try_for_each(|realm| print(text(realm)))?;
            }
        }
        Action::Add(add) => {
            let Add { realm, kind, comment, tfa, directory, state } = *add;
            let (store, by) = (state.open_or_make()?, By::command_line(SystemTime::now()));
            let change = RealmChange { comment: Some(comment), requirement: tfa, ..directory.change()? };
            let added = store.add_realm(&realm, &kind, &change, &by).await.map_err(failure)?;
            print(text(&added))?;
            if added.kind.is_directory() && directory.is_in_clear() {
                print("passwords go to the directory in clear text: --mode ldap+starttls or ldaps does not do so")?;
            }
        }
        Action::Delete { realm, yes, state } => {
            let (store, by) = (state.open()?, By::command_line(SystemTime::now()));
            let is_of_directory = store.directory_settings(&realm)?.is_some();
            if is_of_directory {
                print(format!("{realm} with its groups, and its users with all their factors"))?;
                if !yes && !confirm("Delete the realm?")? {
                    return Err(Failure::NotConfirmed);
                }
            }
            let users = store.delete_realm(&realm, &by)?;
            print(if is_of_directory {
                format!("deleted {realm} and {users} users")
            } else {
                format!("deleted {realm}")
            })?;
        }
        Action::Sync(sync) => sync::run(sync).await?,
        Action::Modify(modify) => {
            let Modify { realm, tfa, comment, delete, directory, state } = *modify;
            let (store, by) = (state.open()?, By::command_line(SystemTime::now()));
            let change = RealmChange { comment, requirement: tfa, delete, ..directory.change()? };
            let realm = store.change_realm(&realm, &change, &by).await.map_err(failure)?;
            print(text(&realm))?;
            let lacking = store.audit(SystemTime::now())?.lacking(&realm.name);
            if !lacking.is_empty() {
                print(format!("these lack it: {}", lacking.join(", ")))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What no realm can be given, in the words of the command line.
fn failure(error: RealmError) -> Failure {
    Failure::Usage(match error {
        RealmError::NothingToChange => {
            "nothing to change: give --tfa <OPTION>, --comment <COMMENT>, --delete <OPTIONS> or an option of its directory"
                .to_owned()
        }
        RealmError::SetAndDeleted(option) => format!("--{option} and --delete {option} are one too many"),
        RealmError::BindPasswordMissing => "--bind_dn needs its --password FILE".to_owned(),
        RealmError::BindDnMissing => "--password is that of --bind_dn, which is missing".to_owned(),
        RealmError::OfDirectories { .. } | RealmError::BindPasswordLength => error.to_string(),
        other => return other.into(),
    })
}

fn text(realm: &Realm) -> String {
    match realm.requirement.tfa_option() {
        Some(option) => format!("{}  {option}", realm.name),
        None => format!("{}  no second factor required", realm.name),
    }
}
