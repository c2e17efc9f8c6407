//! `keyrig rp realm`: realms and the second factor that they require, as `pveum realm` has them.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{By, Realm, Requirement};

use super::state::State;
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
    /// Add a realm, whose users have passwords here
    Add(Add),
    /// Change which second factor a realm requires, or its comment
    Modify(Modify),
    /// Delete a realm that was added and has no users
    Delete {
        /// The realm
        realm: String,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Args)]
struct Add {
    /// The realm: 1 to 32 of A-Z a-z 0-9 . _ -, the first a letter
    realm: String,
    /// What kind of realm: pam or pve. Both keep passwords here; under the policy proxmox-9 neither can be added
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// A comment on the realm
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    /// The second factor that the realm requires
    #[arg(long, value_name = "OPTION")]
    tfa: Option<Requirement>,
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
    #[arg(long, value_name = "OPTION", conflicts_with = "delete")]
    tfa: Option<Requirement>,
    /// A comment on the realm
    #[arg(long)]
    comment: Option<String>,
    /// The option to remove: tfa
    #[arg(long, value_name = "OPTION", value_parser = ["tfa"])]
    delete: Option<String>,
    #[command(flatten)]
    state: State,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::List { json, state } => {
            let realms = state.open_to_read()?.realms()?;
            if json {
                print_json(&realms)?;
            } else {
                realms.iter().try_for_each(|realm| print(text(realm)))?;
            }
        }
        Action::Add(Add { realm, kind, comment, tfa, state }) => {
            let (store, by) = (state.open()?, By::command_line(SystemTime::now()));
            let mut added = store.add_realm(&realm, &kind, &comment, &by)?;
            if let Some(requirement) = tfa {
                added = store.set_requirement(&realm, requirement, &by)?;
            }
            print(text(&added))?;
        }
        Action::Delete { realm, state } => {
            state.open()?.delete_realm(&realm, &By::command_line(SystemTime::now()))?;
            print(format!("deleted {realm}"))?;
        }
        Action::Modify(modify) => {
            if modify.tfa.is_none() && modify.comment.is_none() && modify.delete.is_none() {
                let words = "nothing to change: give --tfa <OPTION>, --comment <COMMENT> or --delete tfa";
                return Err(Failure::Usage(words.to_owned()));
            }
            let (store, by) = (modify.state.open()?, By::command_line(SystemTime::now()));
            let mut realm = store.realm(&modify.realm)?;
            if let Some(comment) = &modify.comment {
                realm = store.set_realm_comment(&modify.realm, comment, &by)?;
            }
            let deleted = modify.delete.map(|_| Requirement::None);
            if let Some(requirement) = modify.tfa.or(deleted) {
                realm = store.set_requirement(&modify.realm, requirement, &by)?;
            }
            print(text(&realm))?;
            let lacking = store.audit(SystemTime::now())?.lacking(&realm.name);
            if !lacking.is_empty() {
                print(format!("these lack it: {}", lacking.join(", ")))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(realm: &Realm) -> String {
    match realm.requirement.tfa_option() {
        Some(option) => format!("{}  {option}", realm.name),
        None => format!("{}  no second factor required", realm.name),
    }
}
