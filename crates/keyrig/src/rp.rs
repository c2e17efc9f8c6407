//! `keyrig rp`: the relying party, and the administrator's command line on its database.

mod acl;
mod audit;
mod group;
mod listen;
mod password;
mod policies;
mod realm;
mod role;
mod serve;
mod session;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod token;
mod totp;
mod user;
mod values;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Failure;

#[derive(Args)]
#[command(after_help = "\
Everything is kept in --state, which is $XDG_STATE_HOME/keyrig/relying-party or
~/.local/state/keyrig/relying-party unless you name another directory. The
commands work while a server runs on the same directory.

Examples:
  keyrig rp serve                             a site at http://localhost:8006,
                                              with the administrator root@pam
  keyrig rp user tfa list                     everybody's factors
  keyrig rp user tfa delete alice@pve --id ID without --id: all of them
  keyrig rp realm modify pve --tfa type=oath,digits=6,step=30
  keyrig rp realm sync corp --scope both      users and groups of a directory
  keyrig rp audit                             who has which factors, and who
                                              needs looking after")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Serve the relying party and its page until interrupted
    Serve(serve::Arguments),
    /// List, add, change and delete users, their factors and API tokens
    User(user::Arguments),
    /// Set a user's password
    Passwd(user::Password),
    /// List and end users' sessions
    Session(session::Arguments),
    /// List, add, change and delete groups of users
    Group(group::Arguments),
    /// List, add, change and delete roles
    Role(role::Arguments),
    /// List, give and take roles of users, groups and API tokens
    Acl(acl::Arguments),
    /// List, add, change and delete realms, and sync those of directories
    Realm(realm::Arguments),
    /// Trust the test CA of 'serve --tls self', or forget it
    #[cfg(feature = "tls")]
    Tls(tls::Arguments),
    /// Show who has which factors, when last used, and who needs looking after
    Audit(audit::AuditArguments),
    /// Show the log of security events
    Events(audit::EventsArguments),
    /// Show the report whose identifier a refused user was given
    Report(audit::ReportArguments),
    /// Show the code that an authenticator app would show, or its address as a QR code
    Totp(totp::Arguments),
    /// List the built-in policies, and how each differs from the default
    Policies(policies::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.action {
        Action::Serve(arguments) => serve::run(arguments).await,
        Action::User(arguments) => user::run(arguments),
        Action::Passwd(arguments) => user::set_password(&arguments),
        Action::Session(arguments) => session::run(arguments),
        Action::Group(arguments) => group::run(arguments),
        Action::Role(arguments) => role::run(arguments),
        Action::Acl(arguments) => acl::run(arguments),
        Action::Realm(arguments) => realm::run(arguments).await,
        #[cfg(feature = "tls")]
        Action::Tls(arguments) => tls::run(arguments),
        Action::Audit(arguments) => audit::audit(&arguments),
        Action::Events(arguments) => audit::events(&arguments),
        Action::Report(arguments) => audit::report(&arguments),
        Action::Totp(arguments) => totp::run(&arguments),
        Action::Policies(arguments) => policies::run(&arguments),
    }
}
