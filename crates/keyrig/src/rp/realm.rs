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
    /// Change which second factor a realm requires
    Modify(Modify),
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
    /// pam or pve
    realm: String,
    /// The second factor that the realm requires
    #[arg(long, value_name = "OPTION", required_unless_present = "delete", conflicts_with = "delete")]
    tfa: Option<Requirement>,
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
        Action::Modify(modify) => {
            let requirement = modify.tfa.unwrap_or(Requirement::None);
            let store = modify.state.open()?;
            let realm = store.set_requirement(&modify.realm, requirement, &By::command_line(SystemTime::now()))?;
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
