//! The command line of keyrig.
//!
//! Exit status: 0 done, 1 what was tested or asked for failed, 2 the command line is wrong, 130 interrupted.

mod address;
#[cfg(target_os = "linux")]
mod attach;
mod browser;
mod client;
mod completions;
mod demo;
mod doctor;
#[cfg(target_os = "linux")]
mod env;
mod error_code;
#[cfg(target_os = "linux")]
mod exec;
mod explain;
mod failure;
mod fault;
mod faults;
#[cfg(target_os = "linux")]
mod hid;
mod http;
mod identity;
mod interruption;
mod key;
mod log;
mod man;
mod mds;
mod output;
#[cfg(target_os = "linux")]
mod person;
mod profiles;
mod quirk;
mod rack;
mod replay;
mod rp;
mod run;
mod scenario;
mod serve;
mod starter;
mod terminal;
mod timeline;
mod trace;
#[cfg(target_os = "linux")]
mod webdriver;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;
#[cfg(target_os = "linux")]
use crate::webdriver::wrapper::Wrapped;

/// A test rig for security-key login: keys made of software, the programs they are plugged into, a relying party, and who
/// refused a login and why.
#[derive(Parser)]
#[command(version, long_version = env!("KEYRIG_LONG_VERSION"), propagate_version = true, max_term_width = 80, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start with:
  keyrig demo                   see two keys register and log in, and refusals
  keyrig exec -- CMD            run a program that finds software keys
  keyrig serve                  give software keys to USB/IP clients
  sudo keyrig attach            plug software keys into this kernel
  keyrig key list               see what the keys of a running rack do
  keyrig trace FILE             see what keys were asked: what --trace wrote
  keyrig client create --help   options JSON in, credential JSON out
  keyrig run DIR                run scenarios: what keys, pages and a site do
  keyrig hid list               real keys, to run scenarios on
  keyrig rp serve               a site to log in to, at http://localhost:8006
  keyrig doctor --help          which setting of a site is wrong, and for whom
  keyrig explain ./FILE         who refused a recorded ceremony, and why

KEYRIG_LOG=debug shows what happens inside (on standard error).
Exit status: 0 done, 1 what was tested or asked for failed, 2 the command line
is wrong, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Show two keys register and log in at a relying party; nothing to install
    Demo(demo::Arguments),
    /// Give software keys to USB/IP clients until interrupted
    Serve(serve::Arguments),
    /// Plug software keys into this machine's kernel until interrupted
    #[cfg(target_os = "linux")]
    Attach(attach::Arguments),
    /// Run a program that finds software keys as if they were plugged in
    #[cfg(target_os = "linux")]
    Exec(exec::Arguments),
    /// Show what this machine can do for keys, and what would let it do more
    #[cfg(target_os = "linux")]
    Env(env::Arguments),
    /// Put keys in front of a browser's driver, in the place of its virtual authenticators
    #[cfg(target_os = "linux")]
    Webdriver(webdriver::Arguments),
    /// Control the keys of a running rack
    Key(key::Arguments),
    /// Act as a page in a browser: options JSON in, credential JSON out, or who refused and why
    Client(client::Arguments),
    /// Say where a site's keys will work, who would refuse and why, and the smallest change that mends it
    Doctor(doctor::Arguments),
    /// Explain a recorded ceremony check by check, an exception of a browser, or a code of keyrig
    Explain(explain::Arguments),
    /// Serve and administer a relying party to rehearse on
    Rp(rp::Arguments),
    /// Run scenarios: keys, pages and a site, and what must come of what they do
    Run(run::Arguments),
    /// Find, name and record security keys that are plugged into this machine
    #[cfg(target_os = "linux")]
    Hid(hid::Arguments),
    /// Begin a scenario, or print the schema of the language
    Scenario(scenario::Arguments),
    /// Show what keys were asked and answered: what --trace wrote, or a capture of real ones
    Trace(trace::Arguments),
    /// Do again what hosts and users did in a transcript, and show what keys do otherwise
    Replay(replay::Arguments),
    /// List what can go wrong with keys on purpose, or explain one of it
    Faults(faults::Arguments),
    /// List the profiles, or show one
    Profiles(profiles::Arguments),
    /// Write FIDO metadata of the keys, under their TEST root: as it should be, or not
    Mds(mds::Arguments),
    /// Print what a shell completes command lines with
    Completions(completions::Arguments),
    /// Print the man page, or write those of all commands
    Man(man::Arguments),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(wrapped) = std::env::args_os().next().and_then(|name| Wrapped::by_name(&name)) {
        return stand_for(wrapped);
    }
    let mut command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return not_run(&error),
    };
    let json = match command {
        // The program's arguments are its own.
        #[cfg(target_os = "linux")]
        Command::Exec(_) => false,
        _ => asks_for_json(),
    };
    let failed = |failure: &Failure| failed(failure, json);
    if let Err(failure) = take_signals(&mut command) {
        return failed(&failure);
    }
    let log = match log::start(level(&command)) {
        Ok(log) => log,
        Err(failure) => return failed(&failure),
    };
    let ended = run(command);
    log.finish();
    ended.unwrap_or_else(|failure| failed(&failure))
}

/// As a driver, by the name under which this was called.
#[cfg(target_os = "linux")]
fn stand_for(wrapped: Wrapped) -> ExitCode {
    let ended = interruption::listen().and_then(|()| {
        raise_descriptor_limit();
        let log = log::start(LevelFilter::WARN)?;
        let ended = on_one_thread(webdriver::wrapper::run(wrapped, std::env::args_os().skip(1).collect()));
        log.finish();
        ended
    });
    ended.unwrap_or_else(|failure| failed(&failure, false))
}

/// Has signals end this process, or be a program's: before there is another thread that would get them.
fn take_signals(command: &mut Command) -> Result<(), Failure> {
    match command {
        #[cfg(target_os = "linux")]
        Command::Exec(arguments) => arguments.block_signals()?,
        _ => {
            interruption::listen()?;
            raise_descriptor_limit();
        }
    }
    Ok(())
}

/// What is logged unless KEYRIG_LOG says otherwise.
fn level(command: &Command) -> LevelFilter {
    match command {
        // Programs read what it says on standard error.
        Command::Client(_) => LevelFilter::ERROR,
        // What goes wrong is what scenarios are about, and is in what is said of them.
        Command::Run(_) => LevelFilter::OFF,
        _ => LevelFilter::WARN,
    }
}

/// Whether errors are to be for programs too. Known before the command line is: what is wrong with it is such an error.
fn asks_for_json() -> bool {
    // There it names a file.
    let is_of_a_run = std::env::args_os().nth(1).is_some_and(|command| command == "run");
    !is_of_a_run && std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// Says how the command line is wrong, or what it asked to be told of itself.
fn not_run(error: &clap::Error) -> ExitCode {
    let json = asks_for_json();
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(option) =
            with_one_dash(std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok()))
    {
        return failed(&Failure::Usage(format!("an option has two dashes here: --{option}")), json);
    }
    if json && error.use_stderr() {
        // The first paragraph: how it is used is in the others, for people.
        let text = error.to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        output::say_error(error_code::USAGE, message.strip_prefix("error: ").unwrap_or(message).to_owned(), None);
    } else if !output::say_usage(error)
        && let Err(unprinted) = error.print()
        && !error.use_stderr()
    {
        return failed(&Failure::Print(unprinted), json);
    }
    // What a program under exec ends with is told from what is wrong with exec.
    #[cfg(target_os = "linux")]
    if error.use_stderr() && std::env::args_os().nth(1).is_some_and(|command| command == "exec") {
        return ExitCode::from(exec::FAILED);
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// An option of `keyrig rp` as guides write those of `pveum`, which takes them with one dash.
fn with_one_dash(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    if arguments.next().as_deref() != Some("rp") {
        return None;
    }
    let option = |argument: String| {
        let name = argument.strip_prefix('-')?.split('=').next()?.to_owned();
        (name.len() > 1 && name.starts_with(|character: char| character.is_ascii_alphabetic())).then_some(name)
    };
    arguments.take_while(|argument| argument != "--").find_map(option)
}

fn failed(failure: &Failure, json: bool) -> ExitCode {
    if !failure.is_of_the_reader() {
        output::say_failure(failure, json);
    }
    failure.exit_code()
}

/// Takes as many descriptors as we may have: a program at each key is one.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit to open files stays");
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    on_one_thread(async {
        match command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            #[cfg(target_os = "linux")]
            Command::Attach(arguments) => attach::run(arguments).await,
            #[cfg(target_os = "linux")]
            Command::Exec(arguments) => exec::run(arguments).await,
            #[cfg(target_os = "linux")]
            Command::Env(arguments) => env::run(&arguments),
            #[cfg(target_os = "linux")]
            Command::Webdriver(arguments) => webdriver::run(arguments).await,
            Command::Key(arguments) => key::run(arguments).await,
            Command::Client(arguments) => client::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(&arguments).await,
            Command::Explain(arguments) => explain::run(&arguments),
            Command::Rp(arguments) => rp::run(arguments).await,
            Command::Run(arguments) => run::run(arguments).await,
            #[cfg(target_os = "linux")]
            Command::Hid(arguments) => hid::run(arguments).await,
            Command::Scenario(arguments) => scenario::run(&arguments),
            Command::Trace(arguments) => trace::run(&arguments),
            Command::Replay(arguments) => replay::run(&arguments),
            Command::Faults(arguments) => faults::run(&arguments),
            Command::Profiles(arguments) => profiles::run(&arguments),
            Command::Mds(arguments) => mds::run(&arguments),
            Command::Completions(arguments) => completions::run(&arguments, &mut Cli::command()),
            Command::Man(arguments) => man::run(&arguments, Cli::command()),
        }
    })
}

/// Keys, hosts and the relying party hand reports to each other, which is cheapest where they are.
fn on_one_thread(running: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(running)
}
