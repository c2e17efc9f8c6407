//! `keyrig rp group`: groups of users, as `pveum group` has them.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{By, Group};

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
    /// List the groups and who is in each
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Add a group; 'keyrig rp user modify USER --groups GROUP' puts users into it
    Add(Change),
    /// Change the comment on a group
    Modify(Change),
    /// Delete a group and what it may do. Its users stay
    Delete {
        /// The group
        group: String,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Args)]
struct Change {
    /// The group: 1 to 64 of A-Z a-z 0-9 . _ -
    group: String,
    /// A comment on the group
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    #[command(flatten)]
    state: State,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let by = By::command_line(SystemTime::now());
    match arguments.action {
        Action::List { json, state } => {
            let groups = state.open_to_read()?.groups()?;
            if json {
                print_json(&groups)?;
            } else {
                groups.iter().try_for_each(|group| print(text(group)))?;
            }
        }
        Action::Add(Change { group, comment, state }) => {
            state.open()?.add_group(&group, &comment, &by)?;
            print(format!("added {group}"))?;
        }
        Action::Modify(Change { group, comment, state }) => {
            state.open()?.change_group(&group, &comment, &by)?;
            print(format!("changed {group}"))?;
        }
        Action::Delete { group, state } => {
            state.open()?.delete_group(&group, &by)?;
            print(format!("deleted {group}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(Group { name, comment, members, realm: _ }: &Group) -> String {
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    format!("{name}{comment}  {}", if members.is_empty() { "nobody".to_owned() } else { members.join(", ") })
}
