//! `keyrig rp acl`: who has which role, as `pveum acl` has it.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{AclEntry, By, Subject, TokenId, UserName};

use super::state::State;
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Args)]
#[command(after_help = "\
Examples:
  keyrig rp acl modify / --users alice@pve --roles PVEAuditor
  keyrig rp acl modify / --groups admins --roles Administrator
  keyrig rp acl modify / --tokens alice@pve!ci --roles PVEAuditor
  keyrig rp acl delete / --groups admins --roles Administrator")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List who has which role
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Give roles to users, groups and API tokens
    Modify(Change),
    /// Take roles from users, groups and API tokens
    Delete(Change),
}

#[derive(Args)]
struct Change {
    /// Always /: there is no other
    #[arg(value_parser = root)]
    path: String,
    /// The roles, with commas between
    #[arg(long, alias = "role", value_name = "ROLE,…", value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// Users, with commas between
    #[arg(long, alias = "user", value_name = "USER,…", value_delimiter = ',')]
    users: Vec<UserName>,
    /// Groups, with commas between
    #[arg(long, alias = "group", value_name = "GROUP,…", value_delimiter = ',')]
    groups: Vec<String>,
    /// Whether it holds below the path too: 1, as everything does here
    #[arg(long, value_name = "1", value_parser = super::values::one_or_zero)]
    propagate: Option<bool>,
    /// API tokens, with commas between: what these may, their user has to be allowed too
    #[arg(long, alias = "token", value_name = "USER!TOKEN,…", value_delimiter = ',')]
    tokens: Vec<TokenId>,
    #[command(flatten)]
    state: State,
}

fn root(path: &str) -> Result<String, String> {
    if path == "/" { Ok(path.to_owned()) } else { Err("there is the path / alone".to_owned()) }
}

impl Change {
    fn subjects(&self) -> Result<Vec<Subject>, Failure> {
        if self.propagate == Some(false) {
            return Err(Failure::Usage("a role at / is one below it too here: leave out --propagate".to_owned()));
        }
        if self.users.is_empty() && self.groups.is_empty() && self.tokens.is_empty() {
            let whom = "say whom it is about: --users USER, --groups GROUP or --tokens USER!TOKEN";
            return Err(Failure::Usage(whom.to_owned()));
        }
        let users = self.users.iter().cloned().map(Subject::User);
        let groups = self.groups.iter().cloned().map(Subject::Group);
        Ok(users.chain(groups).chain(self.tokens.iter().cloned().map(Subject::Token)).collect())
    }
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let by = By::command_line(SystemTime::now());
    match arguments.action {
        Action::List { json, state } => {
            let entries = state.open_to_read()?.acl()?;
            if json { print_json(&entries)? } else { entries.iter().try_for_each(|entry| print(text(entry)))? }
        }
        Action::Modify(change) => {
            let (subjects, store) = (change.subjects()?, change.state.open()?);
            store.grant(&change.roles, &subjects, &by)?;
            store
                .acl()?
                .iter()
                .filter(|entry| subjects.contains(&entry.subject))
                .try_for_each(|entry| print(text(entry)))?;
        }
        Action::Delete(change) => {
            let (subjects, store) = (change.subjects()?, change.state.open()?);
            store.revoke(&change.roles, &subjects, &by)?;
            print(format!("{} {} taken", change.roles.join(", "), if change.roles.len() == 1 { "is" } else { "are" }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(AclEntry { path, subject, role }: &AclEntry) -> String {
    match subject {
        Subject::User(name) => format!("{path}  {name}  {role}"),
        Subject::Group(name) => format!("{path}  @{name}  {role}"),
        Subject::Token(id) => format!("{path}  {id}  {role}"),
    }
}
