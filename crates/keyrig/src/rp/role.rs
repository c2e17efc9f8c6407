//! `keyrig rp role`: roles by names of one's own, as `pveum role` has them.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{By, NamedRole};

use super::state::State;
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Args)]
#[command(after_help = "\
Privileges that give something here:
  Group.Allocate      adding, changing and deleting groups
  Permissions.Modify  giving roles, and so everything
  Realm.Allocate      adding, changing and deleting realms
  Realm.AllocateUser  with User.Modify: adding and deleting users, their
                      passwords, syncing a realm
  Sys.Audit           seeing users, rights, realms, events and tasks
  Sys.Modify          changing roles
  Sys.Syslog          seeing why a login was refused
  User.Modify         users, their groups, second factors, locks and tokens
Other privileges of Proxmox VE's are kept, and give nothing here. Proxmox VE's
own roles are built in.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the roles and what each may do
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Add a role
    Add(Add),
    /// Change what a role may do
    Modify {
        #[command(flatten)]
        add: Add,
        /// Add the privileges to those that it has
        #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = super::values::one_or_zero)]
        append: Option<bool>,
    },
    /// Delete a role that nobody has
    Delete {
        /// The role
        role: String,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Args)]
struct Add {
    /// The role: 1 to 64 of A-Z a-z 0-9 . _ -
    role: String,
    /// Proxmox VE's privileges, with commas or spaces between
    #[arg(long, value_name = "PRIVILEGE,…", default_value = "", hide_default_value = true)]
    privs: String,
    #[command(flatten)]
    state: State,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let by = By::command_line(SystemTime::now());
    match arguments.action {
        Action::List { json, state } => {
            let roles = state.open_to_read()?.roles()?;
            if json {
                print_json(&roles)?;
            } else {
                roles.iter().try_for_each(|role| print(text(role)))?;
            }
        }
        Action::Add(Add { role, privs, state }) => {
            print(text(&state.open()?.add_role(&role, &super::values::list(&privs), &by)?))?;
        }
        Action::Modify { add: Add { role, privs, state }, append } => {
            let append = append.unwrap_or(false);
            print(text(&state.open()?.change_role(&role, &super::values::list(&privs), append, &by)?))?;
        }
        Action::Delete { role, state } => {
            state.open()?.delete_role(&role, &by)?;
            print(format!("deleted {role}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(NamedRole { name, privileges, grants, .. }: &NamedRole) -> String {
    let grants = grants.names();
    let given = if grants.is_empty() { "nothing here".to_owned() } else { grants.join(", ") };
    let others: Vec<&str> = privileges.iter().map(String::as_str).filter(|name| !grants.contains(name)).collect();
    let others = if others.is_empty() { String::new() } else { format!("; without effect: {}", others.join(", ")) };
    format!("{name}  {given}{others}")
}
