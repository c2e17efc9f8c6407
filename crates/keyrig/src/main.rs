//! The command line of keyrig.
//!
//! Exit status: 0 done, 1 what was tested or asked for failed, 2 the command line is wrong.

mod attach;
mod demo;
mod failure;
mod key;
mod profiles;
mod rack;
mod rp;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// A test rig for security-key login: keys made of software, the programs they are plugged into, a relying party, and who
/// refused a login and why.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start with:
  keyrig demo                       see two keys register and log in, and who refuses what
  keyrig serve                      give software keys to USB/IP clients
  sudo keyrig attach                plug software keys into this kernel: browsers and ssh find them
  keyrig key list                   what the keys of a running 'keyrig serve' do
  keyrig rp serve                   a site to log in to, at http://localhost:8006

KEYRIG_LOG=debug shows what happens inside (on standard error).
Exit status: 0 done, 1 what was tested or asked for failed, 2 the command line is wrong.";

#[derive(Subcommand)]
enum Command {
    /// Run the main job: two keys, a browser's rules and a relying party, with nothing installed
    Demo(demo::Arguments),
    /// Give software keys to USB/IP clients until interrupted
    Serve(serve::Arguments),
    /// Plug software keys into this machine's kernel until interrupted
    Attach(attach::Arguments),
    /// Speak to the keys of a running rack
    Key(key::Arguments),
    /// Serve a relying party to rehearse on, and administer it
    Rp(rp::Arguments),
    /// List the keys that can be imitated, or show one
    Profiles(profiles::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("KEYRIG_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            anstream::eprintln!("{}error:{} {failure}", failure::RED, failure::PLAIN);
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    // One thread: keys, hosts and the relying party hand reports to each other, which is cheapest where they are.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Attach(arguments) => attach::run(arguments).await,
            Command::Key(arguments) => key::run(arguments).await,
            Command::Rp(arguments) => rp::run(arguments).await,
            Command::Profiles(arguments) => profiles::run(&arguments),
        }
    })
}
