//! `keyrig exec`: a program that finds keys as if they were plugged in.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command as Program, ExitCode, Stdio};
use std::time::Instant;

use clap::{Args, ValueEnum};
use keyrig_attach::ctaphid_endpoint::EndpointAddress;
use keyrig_attach::ctaphid_endpoints::{self, Endpoints};
use keyrig_attach::exec::{self, Event, ExecError, LeftBehind, PrivateDirectory, Running, Signals, Start, View};
use keyrig_control::socket::ControlSocket;
use keyrig_faults::Absent;
use keyrig_rack::KeyName;
use keyrig_rack::command::{Command, KeyState};
use keyrig_rack::events::{Reader, What};
use keyrig_scenario::reports::{ProgramResult, junit_of_program};
use keyrig_scenario::runner::quoted;
use tokio::task::JoinSet;

use crate::address::AddressOrNone;
use crate::failure::Failure;
use crate::http::{Http, TOKEN_VARIABLE, URL_VARIABLE};
use crate::identity;
use crate::interruption;
use crate::key::ControlArgument;
use crate::output::{Lines, YELLOW, say_failure};
use crate::rack::{RackArguments, control_socket};
use crate::starter::Starter;
use crate::terminal;
use crate::trace::Tracing;

/// The exit status if `exec` itself failed or was called wrongly, the program cannot be executed, or was not found: those of env, timeout and docker.
pub(crate) const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How many events are read at a time.
const EVENTS_AT_A_TIME: usize = 64;

#[derive(Args)]
#[command(after_help = "\
Browsers, ssh, PAM and all other programs find the keys at /dev/hidraw0 and on,
as if they were on USB; programs outside do not. It takes neither root nor a
kernel module.

Examples:
  keyrig exec --key a=keyrig --key b=yubikey-5.7 -- npx playwright test
  keyrig exec -- fido2-token -L
  keyrig exec --touch manual -- sh -c \\
    'ssh-keygen -t ed25519-sk -f id & sleep 1; keyrig key touch keyrig'

The program has in its environment:
  KEYRIG_CONTROL          where 'keyrig key' finds these keys
  KEYRIG_URL              where these keys are over HTTP, with KEYRIG_TOKEN
  KEYRIG_TOKEN            what such a request carries:
                          Authorization: Bearer TOKEN
  KEYRIG_CTAPHID_<NAME>   the socket of each key, for programs that speak
                          CTAPHID without USB (its name in upper case, with _
                          for what is neither letter nor digit)

Keys that are created while it runs get a node too, and none of these.
It confines nothing: the program runs as you, with all your rights. What it
leaves running when it ends is ended.
Exit status: the program's, or 128 and the signal that ended it; 125 if exec
itself failed or was called wrongly, 126 if the program cannot be executed, 127
if it was not found.")]
pub(crate) struct Arguments {
    /// How the program gets the keys: as nodes /dev/hidraw*, or only by the sockets KEYRIG_CTAPHID_NAME
    #[arg(long, value_name = "HOW", default_value = "hidraw")]
    plug: Plug,

    /// How the program is shown its nodes: by a mount namespace, by answers to its calls by path, or by the first that works
    /// here
    #[arg(long, value_name = "HOW", default_value = "auto")]
    view: WantedView,

    /// Where to serve the keys over HTTP, a free port of this machine unless told otherwise; none does not
    #[arg(long, value_name = "[ADDRESS:]PORT|none", default_value = "0")]
    http: AddressOrNone,

    /// Allow an address for --http that others can reach, with the token that KEYRIG_TOKEN is set to
    #[arg(long)]
    open_to_network: bool,

    /// A socket of your choice for KEYRIG_CONTROL, by which 'keyrig key' controls these keys from outside, too
    #[arg(long, value_name = "unix:PATH", value_parser = control_socket)]
    control: Option<ControlArgument>,

    /// End the program when standard input ends, which it does not get
    #[arg(long)]
    exit_on_stdin_end: bool,

    /// Write what came of it as JUnit's XML: one test, and in it who refused ceremonies, and why
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Say only what went wrong
    #[arg(long, short)]
    quiet: bool,

    /// Say what is done, and what happens, and where the panel is
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    program: Vec<OsString>,

    #[command(flatten)]
    rack: RackArguments,

    #[arg(skip)]
    signals: Option<Signals>,
}

impl Arguments {
    /// Has signals wait for the program: before there is another thread that would get them.
    pub(crate) fn block_signals(&mut self) -> Result<(), Failure> {
        self.signals = Some(Signals::take().map_err(Failure::Runtime)?);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Plug {
    Hidraw,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WantedView {
    Auto,
    Namespace,
    Paths,
}

impl WantedView {
    fn view(self) -> Option<View> {
        match self {
            Self::Auto => None,
            Self::Namespace => Some(View::Namespace),
            Self::Paths => Some(View::Paths),
        }
    }
}

pub(crate) async fn run(mut arguments: Arguments) -> Result<ExitCode, Failure> {
    let lines = Lines::start(anstream::stderr(), |count| format!("{count} lines were lost: nobody read them"))
        .map_err(Failure::Runtime)?;
    let mut tracing = Tracing::default();
    let mut report = match Report::of(&mut arguments) {
        Ok(report) => report,
        Err(failure) => {
            say_failure(&failure, false);
            return Ok(ExitCode::from(FAILED));
        }
    };
    let ended = run_program(arguments, lines.clone(), &mut tracing, report.as_mut()).await;
    lines.finish();
    let code = match &ended {
        Ok(0) => None,
        Ok(code) => Some(*code),
        Err(Failure::Exec(ExecError::NotFound(_))) => Some(NOT_FOUND),
        Err(Failure::Exec(ExecError::NotExecutable { .. })) => Some(NOT_EXECUTABLE),
        Err(_) => Some(FAILED),
    };
    // A program that failed has failed, whatever became of its transcript and its report.
    let ended = tracing.finish_after(ended);
    let reported = report.map_or(Ok(()), |report| report.write(&ended, &tracing));
    match ended.and_then(|code| reported.map(|()| code)) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(failure) => {
            say_failure(&failure, false);
            Ok(ExitCode::from(code.unwrap_or(FAILED)))
        }
    }
}

/// The report that is to be written.
struct Report {
    file: PathBuf,
    begun: Instant,
    program: String,
    seed: Option<u64>,
    /// Its keys and their profiles, once the rack has started.
    keys: Vec<(String, String)>,
    transcript: Option<PathBuf>,
}

impl Report {
    /// Looks whether it can be written, before anything runs, if one was asked for.
    fn of(arguments: &mut Arguments) -> Result<Option<Self>, Failure> {
        let Some(file) = arguments.junit.take() else { return Ok(None) };
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        opened.map_err(|error| Failure::Write(file.clone(), error))?;
        // A name without a slash is looked for elsewhere.
        let program = arguments.program.first().map(Path::new).filter(|program| program.components().count() > 1);
        if program.into_iter().chain(arguments.rack.trace.file()).any(|other| identity::are_one(&file, other)) {
            let why = "is the program, or the transcript: a report goes to a file of its own";
            return Err(Failure::Usage(format!("{} {why}", file.display())));
        }
        arguments.rack.trace.keeps_explanations = true;
        Ok(Some(Self {
            file,
            begun: Instant::now(),
            program: command_line(arguments.program.iter().cloned()),
            seed: arguments.rack.seed,
            keys: Vec::new(),
            transcript: arguments.rack.trace.file().map(Path::to_owned),
        }))
    }

    fn write(self, ended: &Result<u8, Failure>, tracing: &Tracing) -> Result<(), Failure> {
        let file = self.file;
        let result = ProgramResult {
            program: self.program,
            repeat: command_line(env::args_os()),
            status: ended.as_ref().copied().map_err(ToString::to_string),
            took: self.begun.elapsed(),
            seed: self.seed,
            keys: self.keys,
            explained: tracing.explanations(),
            transcript: self.transcript,
        };
        let written = junit_of_program(&result).map_err(io::Error::other).and_then(|xml| fs::write(&file, xml));
        written.map_err(|error| Failure::Write(file, error))
    }
}

/// A command line as a shell takes it.
fn command_line(words: impl Iterator<Item = OsString>) -> String {
    let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

async fn run_program(
    mut arguments: Arguments,
    lines: Lines,
    tracing: &mut Tracing,
    report: Option<&mut Report>,
) -> Result<u8, Failure> {
    let signals = arguments.signals.take().map_or_else(Signals::take, Ok).map_err(Failure::Runtime)?;
    interruption::survive_file_size_limits()?;
    let is_followed = arguments.verbose || arguments.http.0.is_some();
    let (rack, started) = arguments.rack.start(Absent::usb(), is_followed).await?;
    *tracing = started;
    let keys = rack.command(Command::List).await.map(|answer| answer.keys).unwrap_or_default();
    if let Some(report) = report {
        report.keys = keys.iter().map(|key| (key.name.to_string(), key.profile.clone())).collect();
    }
    let variables = variables(&keys)?;
    let directory = PrivateDirectory::create()?;
    let control = match &arguments.control {
        Some(_) => ControlArgument::path_or_default(arguments.control.as_ref())?,
        None => directory.path().join("control"),
    };
    let control = ControlSocket::bind(&control).await?;
    let starter = if arguments.exit_on_stdin_end { Starter::of_input()? } else { Starter::nobody() };
    let mut serving = JoinSet::new();
    let mut program = Program::new(arguments.program.first().cloned().unwrap_or_default());
    program.args(arguments.program.iter().skip(1));
    if arguments.exit_on_stdin_end {
        program.stdin(Stdio::null());
    }
    program.env("KEYRIG_CONTROL", format!("unix:{}", control.path().display()));
    let http = match arguments.http {
        AddressOrNone(Some(address)) => Some(Http::for_program(address, arguments.open_to_network, &rack).await?),
        AddressOrNone(None) => None,
    };
    if let Some(http) = &http {
        program.env(URL_VARIABLE, http.url()).env(TOKEN_VARIABLE, http.token());
    }
    for (variable, name) in variables {
        let address = EndpointAddress::Unix(ctaphid_endpoints::socket(directory.path(), &name));
        program.env(variable, address.to_string());
    }
    let endpoints = Endpoints::bind(rack.follow(), Vec::new(), vec![directory.path().to_owned()]).await?;
    serving.spawn(async move { match endpoints.serve(tell_of_endpoint).await {} });
    serving.spawn({
        let rack = rack.clone();
        async move { match control.serve(rack).await {} }
    });
    let start = Start {
        command: program,
        signals,
        directory: &directory,
        exports: rack.exports(),
        keys: (arguments.plug == Plug::Hidraw).then(|| rack.follow()),
        view: arguments.view.view(),
    };
    let running = Running::start(start).await?;
    let say = Say { quiet: arguments.quiet, verbose: arguments.verbose, keys, lines };
    say.started(&running);
    if let (Some(http), true) = (&http, say.verbose) {
        say.line(&format!("the panel is at {}", http.panel()?));
    }
    if say.verbose {
        let (rack, lines) = (rack.clone(), say.lines.clone());
        serving.spawn(async move { told(terminal::tell(&rack, &lines, "keyrig exec:").await, &lines) });
    } else if !say.quiet && io::stderr().is_terminal() {
        serving.spawn(tell_who_blinks(rack.events().clone(), say.lines.clone()));
    }
    let (code, left) = follow(running, starter, &say).await.map_err(Failure::Runtime)?;
    say.left_behind(&left);
    serving.shutdown().await;
    Ok(code)
}

/// Follows the program to its end, and ends what it has left.
async fn follow(mut running: Running, starter: Starter, say: &Say) -> io::Result<(u8, Vec<LeftBehind>)> {
    let mut gone = pin!(starter.gone());
    let code = loop {
        let event = tokio::select! {
            biased;
            event = running.next() => event?,
            // Nobody waits for the program any more: it is left running.
            () = &mut gone => break FAILED,
        };
        match event {
            Event::Ended(status) => break exec::exit_code(status),
            Event::Alone => break FAILED,
            event => say.event(&event),
        }
    };
    Ok((code, running.end().await?))
}

/// Nobody tells any more what happens: why.
fn told(ended: Result<(), Failure>, lines: &Lines) {
    if let Err(failure) = ended {
        lines.print_marked(YELLOW, "keyrig exec:", format!(" what happens is not told: {failure}"));
    }
}

/// Says of each key that waits for a touch that it does, as its light would.
async fn tell_who_blinks(events: Reader, lines: Lines) {
    let mut after = events.last();
    loop {
        let happened = events.behind(after, EVENTS_AT_A_TIME).await;
        let Some(last) = happened.last() else { return };
        after = last.id;
        for event in happened {
            if let What::Waiting { key, command, .. } = event.what {
                lines.print_marked(YELLOW, "keyrig exec:", format!(" key {key} blinks ({command})"));
            }
        }
    }
}

fn tell_of_endpoint(event: ctaphid_endpoints::Event) {
    match event {
        ctaphid_endpoints::Event::Bound { .. } => {}
        ctaphid_endpoints::Event::Failed { key, error } => tracing::warn!(%key, %error, "a key has no endpoint"),
    }
}

/// The variable of each key.
fn variables(keys: &[KeyState]) -> Result<BTreeMap<String, KeyName>, Failure> {
    let mut variables = BTreeMap::new();
    // A key that is on no USB has no endpoint.
    for KeyState { name, .. } in keys.iter().filter(|key| key.busid.is_some()) {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let variable = format!("KEYRIG_CTAPHID_{}", name.as_str().chars().map(plain).collect::<String>());
        if let Some(other) = variables.insert(variable.clone(), name.clone()) {
            return Err(Failure::Usage(format!(
                "the keys {other} and {name} would share the variable {variable}: give one another name"
            )));
        }
    }
    Ok(variables)
}

/// What is said on standard error.
struct Say {
    quiet: bool,
    verbose: bool,
    keys: Vec<KeyState>,
    lines: Lines,
}

impl Say {
    fn started(&self, running: &Running) {
        if !self.verbose {
            return;
        }
        match running.view() {
            Some(view) => self.line(&format!("the keys are shown by {view}")),
            None => self.line("no keys are plugged in"),
        }
        for refused in running.refused() {
            self.line(&format!("not by {refused}"));
        }
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Notice(notice) => self.warn(&notice.to_string()),
            Event::Node { key, path } if self.verbose => {
                let profile =
                    self.keys.iter().find(|state| state.name == *key).map(|state| format!(", a {},", state.profile));
                self.line(&format!("key {key}{} is {}", profile.unwrap_or_default(), path.display()));
            }
            Event::Unplugged { key } if self.verbose => self.line(&format!("key {key} is unplugged")),
            Event::Node { .. } | Event::Unplugged { .. } | Event::Ended(_) | Event::Alone => {}
        }
    }

    fn left_behind(&self, left: &[LeftBehind]) {
        if !left.is_empty() {
            let named: Vec<_> = left.iter().map(|left| format!("{} ({})", left.name, left.process)).collect();
            self.warn(&format!("ended what the program had left running: {}", named.join(", ")));
        }
    }

    fn warn(&self, text: &str) {
        if !self.quiet {
            self.lines.print_marked(YELLOW, "keyrig exec:", format!(" {text}"));
        }
    }

    fn line(&self, text: &str) {
        self.lines.print(format!("keyrig exec: {text}"));
    }
}
