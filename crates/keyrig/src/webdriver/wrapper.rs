//! `keyrig-chromedriver` and `keyrig-geckodriver`: the same as `keyrig webdriver`, by the arguments of the driver that they stand for.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use super::{Arguments, CHROMEDRIVER_PORT, GECKODRIVER_PORT, Plan, serve};
use crate::failure::Failure;

/// What is said beside the arguments of a driver: options of `keyrig webdriver`, with blanks between them.
const OPTIONS: &str = "KEYRIG_WEBDRIVER_OPTIONS";

/// The driver that a name of this program stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapped {
    Chromedriver,
    Geckodriver,
}

impl Wrapped {
    /// By the name under which this program was called.
    pub(crate) fn by_name(called: &OsStr) -> Option<Self> {
        match Path::new(called).file_name()?.to_str()? {
            "keyrig-chromedriver" => Some(Self::Chromedriver),
            "keyrig-geckodriver" => Some(Self::Geckodriver),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Chromedriver => "chromedriver",
            Self::Geckodriver => "geckodriver",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Chromedriver => "KEYRIG_CHROMEDRIVER",
            Self::Geckodriver => "KEYRIG_GECKODRIVER",
        }
    }

    /// The driver itself.
    fn find(self) -> Result<PathBuf, Failure> {
        if let Some(path) = std::env::var_os(self.variable()).filter(|path| !path.is_empty()) {
            return Ok(path.into());
        }
        let all = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&all).map(|folder| folder.join(self.name())).find(|path| path.is_file());
        found.ok_or_else(|| {
            Failure::Usage(format!("no {} is in PATH: say where it is with {}", self.name(), self.variable()))
        })
    }
}

pub(crate) async fn run(wrapped: Wrapped, arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let path = wrapped.find()?;
    let asks = |argument: &OsString| {
        matches!(argument.to_str(), Some("--version" | "--help" | "-h" | "-V"))
            || (wrapped == Wrapped::Chromedriver && argument == "-v")
    };
    if arguments.iter().any(asks) {
        let error = Command::new(&path).args(arguments).exec();
        return Err(Failure::Read(path, error));
    }
    let Read { port, host, base, rest } = read(wrapped, arguments)?;
    let options = std::env::var_os(OPTIONS).unwrap_or_default();
    let options = options.into_string().map_err(|_| Failure::Usage(format!("{OPTIONS} is not UTF-8")))?;
    let plan = with_options(&options, path, rest)?;
    let announce = match wrapped {
        Wrapped::Chromedriver => {
            |address: SocketAddr| format!("keyrig-chromedriver was started successfully on port {}.", address.port())
        }
        Wrapped::Geckodriver => |address: SocketAddr| format!("keyrig-geckodriver\tINFO\tListening on {address}"),
    };
    serve(Plan { listen: SocketAddr::new(host, port), base, announce, ..plan }).await
}

/// What `keyrig webdriver` would take, of [`OPTIONS`], beside what the arguments of a driver say already.
#[derive(Parser)]
#[command(name = OPTIONS, no_binary_name = true, disable_help_flag = true)]
struct Options {
    #[command(flatten)]
    arguments: Arguments,
}

fn with_options(options: &str, path: PathBuf, rest: Vec<OsString>) -> Result<Plan, Failure> {
    let words: Vec<OsString> = options.split_whitespace().map(OsString::from).collect();
    let elsewhere = |word: &&OsString| {
        let name = word.to_str().map(|word| word.split('=').next().unwrap_or_default());
        matches!(name, Some("--" | "--listen" | "--driver" | "--control"))
    };
    if let Some(word) = words.iter().find(elsewhere) {
        let word = word.to_string_lossy();
        return Err(Failure::Usage(format!(
            "{OPTIONS}: {word} is not for it: it takes --webauthn, and what a rack has"
        )));
    }
    let expected = rest.len() + 1;
    let given = [OsString::from("webdriver")].into_iter().chain(words.clone());
    let line = words.into_iter().chain([OsString::from("--"), path.into_os_string()]).chain(rest);
    let parsed = Options::try_parse_from(line);
    let arguments = parsed.map_err(|error| Failure::Usage(format!("{OPTIONS}: {error}")))?.arguments;
    if arguments.program.len() != expected {
        return Err(Failure::Usage(format!("{OPTIONS}: it takes options, and no driver")));
    }
    arguments.plan(given)
}

/// Of a driver's arguments what concerns where it listens, and the rest.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    port: u16,
    host: IpAddr,
    base: String,
    rest: Vec<OsString>,
}

fn read(wrapped: Wrapped, arguments: Vec<OsString>) -> Result<Read, Failure> {
    let default = if wrapped == Wrapped::Chromedriver { CHROMEDRIVER_PORT } else { GECKODRIVER_PORT };
    let mut read = Read { port: default, host: Ipv4Addr::LOCALHOST.into(), base: String::new(), rest: Vec::new() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str().map(ToOwned::to_owned) else {
            read.rest.push(argument);
            continue;
        };
        let mut value = |option: &str| -> Result<Option<String>, Failure> {
            if let Some(value) = text.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
                return Ok(Some(value.to_owned()));
            }
            if text != option || wrapped == Wrapped::Chromedriver {
                return Ok(None);
            }
            let value = arguments.next().and_then(|value| value.into_string().ok());
            value.map(Some).ok_or_else(|| Failure::Usage(format!("{option} has no value")))
        };
        let is_gecko = wrapped == Wrapped::Geckodriver;
        let port = match value("--port")? {
            None if is_gecko => value("-p")?,
            port => port,
        };
        if let Some(port) = port {
            read.port = port.parse().map_err(|_| Failure::Usage(format!("--port={port} is no port: 0 to 65535")))?;
        } else if is_gecko && let Some(host) = value("--host")? {
            let is_localhost = host == "localhost";
            let address = if is_localhost { Ok(read.host) } else { host.parse() };
            read.host =
                address.map_err(|_| Failure::Usage(format!("--host {host} is no address: 127.0.0.1 or ::1")))?;
        } else if !is_gecko && let Some(base) = value("--url-base")? {
            let base = base.trim_matches('/');
            read.base = if base.is_empty() { String::new() } else { format!("/{base}") };
        } else {
            read.rest.push(argument);
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use keyrig_webdriver::Mode;

    use super::super::Wanted;
    use super::*;

    fn read(wrapped: Wrapped, arguments: &[&str]) -> Result<Read, Failure> {
        super::read(wrapped, arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_name_stands_for_a_driver() {
        let by_name = |name: &str| Wrapped::by_name(OsStr::new(name));
        assert_eq!(by_name("/usr/bin/keyrig-chromedriver"), Some(Wrapped::Chromedriver));
        assert_eq!(by_name("keyrig-geckodriver"), Some(Wrapped::Geckodriver));
        assert_eq!(by_name("keyrig"), None);
        assert_eq!(by_name("/opt/keyrig-chromedriver/keyrig"), None);
    }

    #[test]
    fn what_says_where_it_listens_is_ours_and_the_rest_the_drivers() {
        let expected = |port, host: &str, base: &str, rest: &[&str]| Read {
            port,
            host: host.parse().unwrap(),
            base: base.to_owned(),
            rest: rest.iter().map(OsString::from).collect(),
        };
        let chrome = Wrapped::Chromedriver;
        assert_eq!(read(chrome, &[]).unwrap(), expected(9515, "127.0.0.1", "", &[]));
        let given = ["--port=41234", "--verbose", "--url-base=/wd/hub", "--log-path=x"];
        assert_eq!(
            read(chrome, &given).unwrap(),
            expected(41234, "127.0.0.1", "/wd/hub", &["--verbose", "--log-path=x"])
        );
        let gecko = Wrapped::Geckodriver;
        assert_eq!(read(gecko, &[]).unwrap(), expected(4444, "127.0.0.1", "", &[]));
        for given in [["--port", "7", "-v"], ["-p", "7", "-v"]] {
            assert_eq!(read(gecko, &given).unwrap(), expected(7, "127.0.0.1", "", &["-v"]));
        }
        let given = ["--host=::1", "--port=0", "--websocket-port", "9222"];
        assert_eq!(read(gecko, &given).unwrap(), expected(0, "::1", "", &["--websocket-port", "9222"]));
        assert_eq!(read(gecko, &["--host", "localhost"]).unwrap(), expected(4444, "127.0.0.1", "", &[]));
    }

    #[test]
    fn what_a_rack_has_is_said_by_a_variable() {
        let plan = |options: &str| with_options(options, "/usr/bin/chromedriver".into(), vec!["--verbose".into()]);
        let Plan { mode, driver, .. } = plan("").unwrap();
        let Wanted::Start { path, arguments, rack } = driver else { panic!("it starts one") };
        assert_eq!(
            (mode, path.to_str(), arguments, rack),
            (Mode::Hid, Some("/usr/bin/chromedriver"), vec!["--verbose".into()], Vec::new())
        );
        let Plan { mode, driver, .. } = plan(" --webauthn page  --key a=yubikey-5.7 --touch=auto\n").unwrap();
        let Wanted::Start { rack, .. } = driver else { panic!("it starts one") };
        assert_eq!((mode, rack), (Mode::Page, ["--key", "a=yubikey-5.7", "--touch=auto"].map(OsString::from).into()));
        for (options, told) in [
            ("--listen 7", "--listen is not for it"),
            ("--driver=http://x:1", "is not for it"),
            ("-- chromedriver", "-- is not for it"),
            ("--key a=nothing", "KEYRIG_WEBDRIVER_OPTIONS: "),
            ("--webauthn elsewhere", "choose hid, page or driver"),
            ("geckodriver", "KEYRIG_WEBDRIVER_OPTIONS: "),
        ] {
            let failure = plan(options).err().unwrap().to_string();
            assert!(failure.contains(told), "{options}: {failure}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (wrapped, arguments, told) in [
            (Wrapped::Chromedriver, &["--port=x"][..], "--port=x is no port"),
            (Wrapped::Chromedriver, &["--port=70000"], "is no port"),
            (Wrapped::Geckodriver, &["--port"], "--port has no value"),
            (Wrapped::Geckodriver, &["--host", "example.com"], "is no address"),
        ] {
            let failure = read(wrapped, arguments).unwrap_err().to_string();
            assert!(failure.contains(told), "{failure}");
        }
    }
}
