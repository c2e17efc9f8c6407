//! `keyrig rp user token`: users' tokens for programs, as `pveum user token` has them.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;
use keyrig_relying_party::{ApiToken, By, Privileges, Store, TokenChange, TokenWish, UserError, UserName};
use serde::Serialize;

use super::state::State;
use crate::failure::Failure;
use crate::output::{print, print_json};

#[derive(Subcommand)]
pub(super) enum Action {
    /// List the API tokens of a user, or of everybody
    List {
        /// NAME@REALM
        user: Option<UserName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Add an API token, and print its secret
    Add {
        /// NAME@REALM
        user: UserName,
        /// What it is to be called: 1 to 64 of A-Z a-z 0-9 . _ -
        token: String,
        /// A comment on it
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
        /// From when on it is good no more, in seconds since 1970; 0 for never
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        expire: u32,
        /// Whether it may do only what roles of its own allow too ("acl modify --tokens"): 1 or 0
        #[arg(long, value_name = "1|0", default_value = "1", action = clap::ArgAction::Set, value_parser = super::values::one_or_zero)]
        privsep: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Change an API token
    Modify {
        /// NAME@REALM
        user: UserName,
        /// The token
        token: String,
        /// A comment on it
        #[arg(long)]
        comment: Option<String>,
        /// From when on it is good no more, in seconds since 1970; 0 for never
        #[arg(long, value_name = "SECONDS")]
        expire: Option<u32>,
        /// Whether it may do only what roles of its own allow too ("acl modify --tokens"): 1 or 0
        #[arg(long, value_name = "1|0", value_parser = super::values::one_or_zero)]
        privsep: Option<bool>,
        /// Give it another secret and print that: the one that it had is good no more
        #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = super::values::one_or_zero)]
        regenerate: Option<bool>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// Delete an API token: it is good for nothing from then on
    #[command(visible_alias = "remove")]
    Delete {
        /// NAME@REALM
        user: UserName,
        /// The token
        token: String,
        #[command(flatten)]
        state: State,
    },
    /// Show what an API token may do, by Proxmox VE's names of privileges
    Permissions {
        /// NAME@REALM
        user: UserName,
        /// The token
        token: String,
        /// Only what is at this path: there is /
        #[arg(long)]
        path: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
}

#[derive(Serialize)]
struct OfUser {
    user: UserName,
    tokens: Vec<ApiToken>,
}

/// A token by its whole name, and its secret where it has got one.
#[derive(Serialize)]
struct WithSecret {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What a token may do at a path.
#[derive(Serialize)]
struct Permissions {
    token: String,
    path: String,
    privileges: Privileges,
}

pub(super) fn run(action: Action, now: SystemTime) -> Result<ExitCode, Failure> {
    let by = By::command_line(now);
    match action {
        Action::List { user, json, state } => list(user, json, &state)?,
        Action::Add { user, token, comment, expire, privsep, json, state } => {
            let id = full_id(&user, &token);
            let wish =
                TokenWish { name: token, comment, privilege_separated: privsep, expires: TokenWish::expiry(expire) };
            let secret = state.open()?.add_api_token(&user, &wish, &by)?;
            tell(&format!("added {id}"), WithSecret { id, secret: Some(secret) }, json)?;
        }
        Action::Modify { user, token, comment, expire, privsep, regenerate, json, state } => {
            let change = TokenChange {
                comment,
                privilege_separated: privsep,
                expires: expire.map(TokenWish::expiry),
                regenerate: regenerate.unwrap_or(false),
            };
            if change == TokenChange::default() {
                return Err(Failure::Usage(
                    "nothing to change: give --comment, --expire, --privsep or --regenerate".to_owned(),
                ));
            }
            let id = full_id(&user, &token);
            let (changed, secret) = state.open()?.change_api_token(&user, &token, &change, &by)?;
            tell(&format!("{user}: {}", changed.text()), WithSecret { id, secret }, json)?;
        }
        Action::Delete { user, token, state } => {
            state.open()?.delete_api_token(&user, &token, &by)?;
            print(format!("deleted {}", full_id(&user, &token)))?;
        }
        Action::Permissions { user, token, path, json, state } => {
            permissions(&user, token, path.as_deref(), json, &state)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(user: Option<UserName>, json: bool, state: &State) -> Result<(), Failure> {
    let store = state.open_to_read()?;
    let users = match user {
        Some(user) => vec![user],
        None => store.users()?.into_iter().map(|user| user.name).collect(),
    };
    let mut listed = Vec::new();
    for user in users {
        listed.push(OfUser { tokens: store.api_tokens(&user)?, user });
    }
    if json {
        return print_json(&listed);
    }
    for OfUser { user, tokens } in &listed {
        print(user.to_string())?;
        if tokens.is_empty() {
            print("  no API token")?;
        }
        tokens.iter().try_for_each(|token| print(format!("  {}", token.text())))?;
    }
    Ok(())
}

fn permissions(user: &UserName, name: String, path: Option<&str>, json: bool, state: &State) -> Result<(), Failure> {
    let store = state.open_to_read()?;
    let Some(token) = store.api_tokens(user)?.into_iter().find(|token| token.name == name) else {
        return Err(UserError::UnknownToken { user: user.clone(), name }.into());
    };
    let token =
        Permissions { token: full_id(user, &name), path: path.unwrap_or("/").to_owned(), privileges: token.privileges };
    if json {
        return print_json(&[token]);
    }
    print(format!("{}  {}  {}", token.token, token.path, token.privileges.text()))
}

fn tell(done: &str, token: WithSecret, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&token);
    }
    print(done)?;
    token.secret.map_or(Ok(()), |secret| {
        print(format!("secret: {secret}"))?;
        print(format!("  Authorization: PVEAPIToken={}={secret}", token.id))
    })
}

fn full_id(user: &UserName, token: &str) -> String {
    format!("{user}!{token}")
}

/// The names of the tokens that are good yet, whatever becomes of the password and the factors.
pub(super) fn alive(store: &Store, user: &UserName) -> Result<Vec<String>, Failure> {
    let now = SystemTime::now();
    let tokens = store.api_tokens(user)?;
    Ok(tokens.into_iter().filter(|token| !token.is_over(now)).map(|token| token.name).collect())
}

/// Says that tokens live on, to whoever may think that nobody comes in by what the user had.
pub(super) fn warn(store: &Store, state: &State, user: &UserName) -> Result<(), Failure> {
    let alive = alive(store, user)?;
    let (tokens, lives) = match alive.len() {
        0 => return Ok(()),
        1 => ("1 API token".to_owned(), "lives"),
        number => (format!("{number} API tokens"), "live"),
    };
    print(format!(
        "note: {tokens} of {user} {lives} on, good without password and second factor: {}\n\
         keyrig rp user token delete{} {user} TOKEN deletes one",
        alive.join(", "),
        state.option()
    ))
}
