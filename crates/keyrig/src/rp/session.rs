//! `keyrig rp session`: who is logged in, from where and by what, and the end of it.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{By, SessionEntry, UserName};
use serde::Serialize;

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
    /// List the sessions of a user, or of everybody
    List {
        /// NAME@REALM
        user: Option<UserName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// End a session of a user, or all of them and logins under way
    #[command(after_help = "\
Under the policy proxmox-9 a ticket of /api2/json is good until its two hours
are over, as at Proxmox VE: there only 'keyrig rp user modify USER --enable 0'
stops a user at once.")]
    End {
        /// NAME@REALM
        user: UserName,
        /// The session. Without it, every session of the user is ended
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Serialize)]
struct OfUser {
    user: UserName,
    sessions: Vec<SessionEntry>,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let now = SystemTime::now();
    match arguments.action {
        Action::List { user, json, state } => {
            let store = state.open_to_read()?;
            let users = match user {
                Some(user) => vec![user],
                None => store.users()?.into_iter().map(|user| user.name).collect(),
            };
            let mut listed = Vec::new();
            for user in users {
                listed.push(OfUser { sessions: store.sessions(&user, now)?, user });
            }
            if json {
                print_json(&listed)?;
            } else {
                listed.iter().try_for_each(text)?;
            }
        }
        Action::End { user, id, state } => {
            let (store, by) = (state.open()?, By::command_line(now));
            match id {
                Some(id) => {
                    store.end_session(&user, &id, &by)?;
                    print(format!("ended session {id} of {user}"))?;
                }
                None => {
                    let ended = store.end_sessions(&user, &by)?;
                    print(format!("ended {ended} session{} of {user}", if ended == 1 { "" } else { "s" }))?;
                    super::token::warn(&store, &state, &user)?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(OfUser { user, sessions }: &OfUser) -> Result<(), Failure> {
    print(user.to_string())?;
    if sessions.is_empty() {
        return print("  no session");
    }
    sessions.iter().try_for_each(|session| print(format!("  {}", session.text())))
}
