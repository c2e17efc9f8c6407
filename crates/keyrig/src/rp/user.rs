//! `keyrig rp user`: users, their factors and tokens, as `pveum user` has them.

use std::io::{BufRead, IsTerminal, stdin};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use keyrig_relying_party::{
    By, Factor, FactorError, Finding, Privileges, Role, Standing, User, UserChange, UserName, Which,
};
use serde::Serialize;

use super::password::{PasswordSource, password};
use super::state::State;
use super::token;
use crate::failure::Failure;
use crate::output::{print, print_json, prompt};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the users
    List(Listing),
    /// Add a user
    Add(Add),
    /// Change a user: role, whether they may log in and until when, groups, and what is kept about them
    Modify(Modify),
    /// Delete a user, and all that belongs to the user
    Delete(Delete),
    /// Show what a user, or everybody, may do, by Proxmox VE's names of privileges
    Permissions {
        /// NAME@REALM
        user: Option<UserName>,
        /// The path, such as /access: what is given at / holds at each
        #[arg(long)]
        path: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: State,
    },
    /// List, delete and unlock users' second factors
    Tfa {
        #[command(subcommand)]
        action: Tfa,
    },
    /// List, add, change and delete users' API tokens
    Token {
        #[command(subcommand)]
        action: token::Action,
    },
}

#[derive(Args)]
struct Listing {
    #[command(flatten)]
    state: State,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Add {
    /// NAME@REALM; the realms are pam and pve, and those that were added
    user: UserName,
    /// What the user may do: administrator, auditor, user
    #[arg(long, default_value = "user")]
    role: Role,
    #[command(flatten)]
    attributes: Attributes,
    /// The password: the first line of a file, or - for standard input. Without it, one is made up and printed
    #[arg(long, value_name = "FILE|-")]
    password: Option<PasswordSource>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: State,
}

/// What is kept of a user, as `pveum user` has it.
#[derive(Args)]
struct Attributes {
    /// Whether the user can log in: 1 or 0. 0 ends all sessions
    #[arg(long, value_name = "1|0", value_parser = super::values::one_or_zero)]
    enable: Option<bool>,
    /// A comment on the user
    #[arg(long)]
    comment: Option<String>,
    /// An address of mail
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The first name
    #[arg(long, value_name = "NAME")]
    firstname: Option<String>,
    /// The last name
    #[arg(long, value_name = "NAME")]
    lastname: Option<String>,
    /// From when on the user cannot log in, in seconds since 1970; 0 for never
    #[arg(long, value_name = "SECONDS")]
    expire: Option<u32>,
    /// The groups that the user is in, with commas between
    #[arg(long, value_name = "GROUP,…")]
    groups: Option<String>,
    // Where Proxmox VE once kept factors: to be told what is right.
    #[arg(long, hide = true)]
    keys: Option<String>,
}

impl Attributes {
    fn change(self, role: Option<Role>, append: bool) -> Result<UserChange, Failure> {
        let Self { enable, comment, email, firstname, lastname, expire, groups, keys } = self;
        if keys.is_some() {
            return Err(Failure::Usage(
                "a factor is no text of the user: its user adds it, on the page. 'keyrig rp user tfa list' shows factors"
                    .to_owned(),
            ));
        }
        let groups = groups.map(|groups| super::values::list(&groups));
        Ok(UserChange { role, enabled: enable, comment, email, firstname, lastname, expire, groups, append })
    }
}

#[derive(Args)]
struct Modify {
    /// NAME@REALM
    user: UserName,
    /// What the user may do: administrator, auditor, user
    #[arg(long)]
    role: Option<Role>,
    #[command(flatten)]
    attributes: Attributes,
    /// Add the groups to those that the user is in
    #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = super::values::one_or_zero)]
    append: Option<bool>,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
struct Delete {
    /// NAME@REALM
    user: UserName,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    state: State,
}

#[derive(Args)]
pub(crate) struct Password {
    /// NAME@REALM
    user: UserName,
    /// The password: the first line of a file, or - for standard input. Without it, one is made up and printed
    #[arg(long, value_name = "FILE|-")]
    password: Option<PasswordSource>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: State,
}

#[derive(Subcommand)]
enum Tfa {
    /// List the factors of a user, or of everybody
    List {
        /// NAME@REALM
        user: Option<UserName>,
        #[command(flatten)]
        list: Listing,
    },
    /// Delete a factor of a user, or all of them
    Delete {
        /// NAME@REALM
        user: UserName,
        /// The factor. Without it, every factor of the user is deleted
        #[arg(long)]
        id: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Delete it even if the user then lacks what the realm requires
        #[arg(long)]
        force: bool,
        // As guides have it: to be told what is right.
        #[arg(hide = true)]
        positional_id: Option<String>,
        #[command(flatten)]
        state: State,
    },
    /// Release a user's locks: of TOTP after 8 wrong codes, and of the account after 100 failures in a row
    Unlock {
        /// NAME@REALM
        user: UserName,
        #[command(flatten)]
        state: State,
    },
    // As guides have it: to be told what is right.
    #[command(hide = true)]
    Add {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        anything: Vec<String>,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let now = SystemTime::now();
    match arguments.action {
        Action::List(list) => list_users(&list)?,
        Action::Add(add) => {
            let store = add.state.open_or_make()?;
            let change = add.attributes.change(None, false)?;
            let (user, made_up) = if store.directory_settings(add.user.realm())?.is_some() {
                if add.password.is_some() {
                    let realm = add.user.realm();
                    return Err(Failure::Usage(format!(
                        "the passwords of {realm} are in its directory: leave --password out"
                    )));
                }
                (store.add_user_of_directory(&add.user, add.role, &change, &By::command_line(now))?, None)
            } else {
                let (hash, made_up) = password(add.password.as_ref())?;
                (store.add_user_with(&add.user, add.role, &hash, &change, &By::command_line(now))?, made_up)
            };
            if add.json {
                print_json(&WithPassword { user, password: made_up })?;
            } else {
                print(format!("added {}, {}", add.user, add.role.name()))?;
                show_password(made_up)?;
            }
        }
        Action::Modify(Modify { user, role, attributes, append, state }) => {
            let append = append.unwrap_or(false);
            let change = attributes.change(role, append)?;
            if change == (UserChange { append, ..UserChange::default() }) {
                return Err(Failure::Usage(
                    "nothing to change: give --role, --enable, --comment or another".to_owned(),
                ));
            }
            let store = state.open()?;
            let changed = store.change_user(&user, &change, &By::command_line(now))?;
            let enabled = if changed.enabled { "enabled" } else { "disabled" };
            print(format!("{user} is {}, {enabled}", changed.privileges.words()))?;
            if change.enabled == Some(true) {
                token::warn(&store, &state, &user)?;
            }
        }
        Action::Delete(Delete { user, yes, state }) => {
            let store = state.open()?;
            let factors = store.factors(&user)?;
            let tokens = store.api_tokens(&user)?;
            print(format!("{user}, {} and {}", all_of(&factors), counted(tokens.len(), "API token")))?;
            if !yes && !confirm("Delete the user?")? {
                return Err(Failure::NotConfirmed);
            }
            store.delete_user(&user, &By::command_line(now))?;
            print(format!("deleted {user}"))?;
        }
        Action::Permissions { user, path, json, state } => permissions(user.as_ref(), path.as_deref(), json, &state)?,
        Action::Tfa { action } => tfa(action, now)?,
        Action::Token { action } => return token::run(action, now),
    }
    Ok(ExitCode::SUCCESS)
}

fn list_users(list: &Listing) -> Result<(), Failure> {
    let store = list.state.open_to_read()?;
    let users = store.users()?;
    if list.json {
        return print_json(&users);
    }
    for user in users {
        let enabled = match user.standing {
            Some(Standing::Vanished) => ", not in the directory",
            Some(Standing::Disabled) => ", disabled in the directory",
            None if user.enabled => "",
            None => ", disabled",
        };
        let over = if user.is_over(SystemTime::now()) { ", expired" } else { "" };
        let locked = if user.is_locked(SystemTime::now()) { ", locked" } else { "" };
        let totp = if user.totp_locked { ", locked out of TOTP" } else { "" };
        print(format!("{}  {}{enabled}{over}{locked}{totp}", user.name, user.privileges.words()))?;
    }
    Ok(())
}

/// What a user may do at a path.
#[derive(Serialize)]
struct Permissions<'p> {
    user: UserName,
    path: &'p str,
    privileges: Privileges,
}

/// What is given at `/` holds at every path.
fn permissions(user: Option<&UserName>, path: Option<&str>, json: bool, state: &State) -> Result<(), Failure> {
    let store = state.open_to_read()?;
    let users = match user {
        Some(name) => vec![store.user(name)?],
        None => store.users()?,
    };
    let path = path.unwrap_or("/");
    let found: Vec<Permissions<'_>> = users
        .into_iter()
        .map(|user| Permissions { privileges: user.privileges, user: user.name, path })
        .filter(|found| user.is_some() || found.privileges != Privileges::default())
        .collect();
    if json {
        return print_json(&found);
    }
    found.iter().try_for_each(|found| print(format!("{}  {}  {}", found.user, found.path, found.privileges.text())))
}

fn tfa(action: Tfa, now: SystemTime) -> Result<(), Failure> {
    match action {
        Tfa::List { user, list } => list_factors(user.as_ref(), &list),
        Tfa::Delete { user, positional_id: Some(id), .. } => Err(Failure::Usage(format!(
            "name the factor by an option: keyrig rp user tfa delete {user} --id {id}\n(without --id every factor of {user} would be deleted)"
        ))),
        Tfa::Delete { user, id, yes, force, positional_id: None, state } => {
            let store = state.open()?;
            let factors = store.factors(&user)?;
            let shown: Vec<String> = factors.iter().map(|factor| factor.id.clone()).collect();
            let which = match &id {
                Some(id) => Which::One(id),
                // Nothing that has come since it was shown.
                None => Which::These(&shown),
            };
            if id.is_none() {
                if factors.is_empty() {
                    print(format!("{user} has no factor"))?;
                    return token::warn(&store, &state, &user);
                }
                print(format!("without --id every factor of {user} is deleted: {}", all_of(&factors)))?;
                for factor in &factors {
                    print(format!("  {}", factor.text()))?;
                }
                if !yes && !confirm("Delete them?")? {
                    return Err(Failure::NotConfirmed);
                }
            }
            let deleted = store.delete_factors(&user, which, force, &By::command_line(now)).map_err(|error| match error {
                FactorError::Required { .. } => Failure::NeedsForce(error),
                error => error.into(),
            })?;
            for factor in &deleted {
                print(format!("deleted {} {} {:?} of {user}", factor.kind(), factor.id, factor.description))?;
            }
            let left = store.factors(&user)?;
            print(if left.is_empty() { format!("{user} has no factor left") } else { format!("left: {}", all_of(&left)) })?;
            token::warn(&store, &state, &user)
        }
        Tfa::Unlock { user, state } => {
            let was_locked = state.open()?.unlock(&user, &By::command_line(now))?;
            print(if was_locked { format!("unlocked {user}") } else { format!("{user} was not locked") })
        }
        Tfa::Add { .. } => Err(Failure::Usage(
            "a factor is added by the user, on the page: nobody else has the key, the app or the paper. For the command \
             line there are keyrig rp user tfa list, delete and unlock"
                .to_owned(),
        )),
    }
}

fn list_factors(user: Option<&UserName>, list: &Listing) -> Result<(), Failure> {
    let store = list.state.open_to_read()?;
    let report = store.audit(SystemTime::now())?;
    let users: Vec<_> =
        report.users.into_iter().filter(|found| user.is_none_or(|user| found.user.name == *user)).collect();
    if let (Some(user), true) = (user, users.is_empty()) {
        return Err(FactorError::UnknownUser(user.clone()).into());
    }
    if list.json {
        return print_json(&users);
    }
    for found in users {
        let totp = if found.user.totp_locked { " (locked out of TOTP)" } else { "" };
        let locked = if found.user.is_locked(report.time) { " (locked)" } else { "" };
        let keys = if found.findings.contains(&Finding::KeysNotAccepted) {
            " (has keys alone, which the realm does not accept: cannot log in)"
        } else {
            ""
        };
        print(format!("{}{locked}{totp}{keys}", found.user.name))?;
        if found.factors.is_empty() {
            print("  no factor")?;
        }
        for factor in &found.factors {
            print(format!("  {}", factor.text()))?;
        }
    }
    Ok(())
}

fn all_of(factors: &[Factor]) -> String {
    counted(factors.len(), "factor")
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

pub(super) fn set_password(arguments: &Password) -> Result<ExitCode, Failure> {
    let store = arguments.state.open()?;
    store.user(&arguments.user)?;
    let (hash, made_up) = password(arguments.password.as_ref())?;
    store.set_password(&arguments.user, &hash, &By::command_line(SystemTime::now()))?;
    if arguments.json {
        let tokens = token::alive(&store, &arguments.user)?;
        print_json(&PasswordSet { user: &arguments.user, password: made_up, tokens })?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format!("{} has a new password; all sessions are over", arguments.user))?;
    print(format!(
        "A ticket of /api2/json goes on, for two hours at most, under Proxmox VE's policies: 'keyrig rp user modify{} {} --enable 0' ends it",
        arguments.state.option(),
        arguments.user
    ))?;
    show_password(made_up)?;
    token::warn(&store, &arguments.state, &arguments.user)?;
    Ok(ExitCode::SUCCESS)
}

/// A user, and a password that was made up.
#[derive(Serialize)]
struct WithPassword {
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Who has a new password, one that was made up, and the names of the API tokens that live on.
#[derive(Serialize)]
struct PasswordSet<'a> {
    user: &'a UserName,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    tokens: Vec<String>,
}

/// Asks on the terminal. Where nobody can answer it is a mistake not to have said `--yes`.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::Usage("there is no terminal to ask on: add --yes to go on".to_owned()));
    }
    prompt(format!("{question} [y/N] "))?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(Failure::Print)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn show_password(made_up: Option<String>) -> Result<(), Failure> {
    made_up.map_or(Ok(()), |password| print(format!("password: {password}")))
}
