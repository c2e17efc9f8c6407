//! `keyrig webdriver`: a driver whose virtual authenticators are keys.

pub(crate) mod wrapper;

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use keyrig_attach::exec::PrivateDirectory;
use keyrig_webdriver::{Drivers, Keys, Mode, Options, Program, Say, Under};
use tokio::net::TcpListener;

use crate::address::Address;
use crate::failure::Failure;
use crate::interruption;
use crate::key::ControlArgument;
use crate::output::Lines;
use crate::rack::RackArguments;

/// Where chromedriver and geckodriver listen unless told otherwise.
const CHROMEDRIVER_PORT: u16 = 9515;
const GECKODRIVER_PORT: u16 = 4444;

/// The options of this command that take a value and are not about a rack.
const OWN_OPTIONS: [&str; 4] = ["--listen", "--webauthn", "--driver", "--control"];

#[derive(Args)]
#[command(after_help = "\
Give a test this address in the place of the driver's. Selenium's virtual
authenticators are keys then, which the browser finds as if they were on USB,
in Firefox too. Each session gets a driver and a rack of its own, and its
capabilities say how: \"keyrig:webauthn\".

  hid     keys where those on USB are (if a driver is started here, or with
          --driver while 'keyrig attach' runs)
  page    a script in the place of navigator.credentials, where no key reaches
          the browser: behind --driver, and in WebKit. What the browser's rules
          would be is ours then. Chromium and Firefox run it before a document's
          own scripts, WebKit behind them: \"script\" in \"keyrig:webauthn\" says so
  driver  the driver's own virtual authenticators

Where a test wants the path of a driver, give it keyrig-chromedriver or
keyrig-geckodriver. They take the arguments of the driver that they start:
the first one in PATH, or KEYRIG_CHROMEDRIVER or KEYRIG_GECKODRIVER; and of
KEYRIG_WEBDRIVER_OPTIONS, with blanks between them, the options of this command:
\"--key a=yubikey-5.7 --touch auto\".

Keys that you name with --key are in each session beside the virtual
authenticators.

Examples:
  keyrig webdriver -- chromedriver
  keyrig webdriver --listen 4444 -- geckodriver --log debug
  keyrig webdriver --key a=yubikey-5.7 -- chromedriver
  keyrig webdriver --webauthn page -- WebKitWebDriver
  keyrig webdriver --driver http://127.0.0.1:9515")]
pub(crate) struct Arguments {
    /// Where to listen, on this machine alone: 9515, or 4444 for geckodriver, unless told otherwise; port 0 takes a free one
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    listen: Option<Address>,

    /// How pages get their keys
    #[arg(long, value_name = "hid|page|driver")]
    webauthn: Option<Mode>,

    /// A driver that runs already, in the place of one that is started
    #[arg(long, value_name = "URL", conflicts_with = "program")]
    driver: Option<DriverUrl>,

    /// The rack of 'keyrig attach' whose keys the browser behind --driver finds: its name or its control socket
    #[arg(long, value_name = "RACK|unix:PATH", requires = "driver")]
    control: Option<ControlArgument>,

    /// The driver and its arguments
    #[arg(required_unless_present = "driver", trailing_var_arg = true, value_name = "DRIVER")]
    program: Vec<OsString>,

    #[command(flatten)]
    rack: RackArguments,
}

/// `http://HOST:PORT/BASE`.
#[derive(Clone)]
struct DriverUrl {
    authority: String,
    base: String,
}

impl std::str::FromStr for DriverUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("write http://HOST:PORT; for https put a tunnel before it")?;
        let (authority, base) = rest.split_once('/').map_or((rest, ""), |(authority, base)| (authority, base));
        let has_port =
            authority.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
        if !has_port || !is_plain(authority) || !is_plain(base) {
            return Err("write http://HOST:PORT, such as http://127.0.0.1:9515".to_owned());
        }
        let base = base.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        Ok(Self { authority: authority.to_owned(), base })
    }
}

/// How it is served, and how that is said.
struct Plan {
    listen: SocketAddr,
    mode: Mode,
    driver: Wanted,
    base: String,
    /// The line that says where it listens, for the port.
    announce: fn(SocketAddr) -> String,
}

enum Wanted {
    Start { path: PathBuf, arguments: Vec<OsString>, rack: Vec<OsString> },
    At { url: DriverUrl, control: Option<ControlArgument> },
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let plan = arguments.plan(std::env::args_os())?;
    serve(plan).await
}

impl Arguments {
    fn plan(self, given: impl Iterator<Item = OsString>) -> Result<Plan, Failure> {
        // The rack is set up by another process, for each session: here it is seen that it can be.
        self.rack.check()?;
        let is_gecko = self.program.first().is_some_and(|path| path.to_string_lossy().contains("geckodriver"));
        let port = if is_gecko { GECKODRIVER_PORT } else { CHROMEDRIVER_PORT };
        let listen =
            self.listen.map_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)), |Address(address)| address);
        let announce = |address| format!("keyrig webdriver listens on http://{address}");
        let mut program = self.program.into_iter();
        let driver = match (self.driver, program.next()) {
            (Some(url), _) => Wanted::At { url, control: self.control },
            (None, Some(path)) => {
                let arguments: Vec<_> = program.collect();
                if let Some(port) = arguments.iter().find(|argument| argument.to_string_lossy().starts_with("--port")) {
                    return Err(Failure::Usage(format!(
                        "{}: each session's driver gets a port of its own; say where keyrig listens with --listen",
                        port.to_string_lossy()
                    )));
                }
                Wanted::Start { path: path.into(), arguments, rack: rack_arguments(given) }
            }
            (None, None) => return Err(Failure::Usage("name a driver behind --".to_owned())),
        };
        let mode = match (self.webauthn, &driver) {
            (Some(mode), _) => mode,
            (None, Wanted::Start { .. } | Wanted::At { control: Some(_), .. }) => Mode::Hid,
            (None, Wanted::At { control: None, .. }) => Mode::Page,
        };
        Ok(Plan { listen, mode, driver, base: String::new(), announce })
    }
}

/// Of the command line what is about the rack, for `keyrig exec`.
fn rack_arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut given = given.skip_while(|argument| argument != "webdriver").skip(1);
    let mut rack = Vec::new();
    while let Some(argument) = given.next() {
        if argument == "--" {
            break;
        }
        let text = argument.to_string_lossy();
        if OWN_OPTIONS.contains(&text.as_ref()) {
            given.next();
        } else if !OWN_OPTIONS.iter().any(|option| text.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')))
        {
            rack.push(argument);
        }
    }
    rack
}

async fn serve(plan: Plan) -> Result<ExitCode, Failure> {
    let Plan { listen, mode, driver, base, announce } = plan;
    if !listen.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "others can reach {listen}, and whoever reaches a driver does what you can do: listen on 127.0.0.1"
        )));
    }
    let interrupted = interruption::in_order();
    let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::PortInUse { address: listen, option: "--listen" },
        _ => Failure::Listen(listen, error),
    })?;
    let lines = Lines::start(anstream::stderr(), |count| format!("{count} lines were lost: nobody read them"))
        .map_err(Failure::Runtime)?;
    let out = Lines::to_stdout(|count| format!("{count} lines were lost: nobody read them"))?;
    let directory = PrivateDirectory::create()?;
    let driver = match driver {
        Wanted::Start { path, arguments, rack } => {
            let said = lines.clone();
            Drivers::Started {
                program: Program {
                    path,
                    arguments,
                    under: Some(Under { program: this_program()?, arguments: under(rack, mode) }),
                    say: Say(Arc::new(move |line| said.print(line))),
                },
                directory: directory.path().to_owned(),
            }
        }
        Wanted::At { url, control } => {
            let keys = match mode {
                Mode::Hid => Some(Keys::At(Arc::new(ControlArgument::path_or_default(control.as_ref())?))),
                Mode::Page | Mode::Driver => None,
            };
            Drivers::At { authority: url.authority, base: url.base, keys }
        }
    };
    let serving = keyrig_webdriver::serve(listener, Options { driver, mode, base }).map_err(Failure::Runtime)?;
    out.print(announce(SocketAddr::new(listen.ip(), serving.port())));
    let ended = tokio::select! {
        _ = interrupted => Ok(()),
        () = serving.asked_to_end() => Ok(()),
        failure = out.failed() => Err(failure),
    };
    serving.shutdown().await.map_err(Failure::Runtime)?;
    out.finish();
    lines.finish();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Itself, as it is now: it may have been replaced by another version.
fn this_program() -> Result<PathBuf, Failure> {
    let path = PathBuf::from("/proc/self/exe");
    // By its name it can be told from others in a list of processes.
    std::env::current_exe().or(Ok(path)).map_err(Failure::Runtime)
}

/// The command line around a driver.
fn under(rack: Vec<OsString>, mode: Mode) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["exec", "--quiet", "--http", "none"].map(OsString::from).into();
    if mode == Mode::Hid {
        let says = |option: &str| {
            let begins = |argument: &OsString| starts_with(argument, option);
            rack.iter().any(begins)
        };
        if !says("--key") {
            arguments.extend(["--key", "none"].map(OsString::from));
            if !says("--touch") {
                arguments.extend(["--touch", "manual"].map(OsString::from));
            }
        }
        arguments.extend(rack);
    } else {
        arguments.extend(["--plug", "none", "--key", "none"].map(OsString::from));
    }
    arguments
}

fn starts_with(argument: &OsStr, option: &str) -> bool {
    argument.to_str().is_some_and(|text| text == option || text.starts_with(&format!("{option}=")))
}
