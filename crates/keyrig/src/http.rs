//! `--http`: the rack over HTTP, and who may ask there.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use keyrig_rack::Rack;
use keyrig_service::{Server, Service, Token, TokenFile};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::address::Address;
use crate::browser::{self, Opened};
use crate::failure::Failure;
use crate::output::Lines;

/// Where the token of a service comes from, and goes to for a program under 'exec'.
pub(crate) const TOKEN_VARIABLE: &str = "KEYRIG_TOKEN";

/// Where a service is, for a program under 'exec'.
pub(crate) const URL_VARIABLE: &str = "KEYRIG_URL";

/// Where a rack without a name is, unless told otherwise.
const PORT: u16 = 8100;

/// What 'serve' and 'attach' take.
#[derive(Args)]
pub(crate) struct HttpArguments {
    /// Serve the rack over HTTP, for programs in any language: at 127.0.0.1:8100, or at a free port for a rack with a name, or
    /// elsewhere; port 0 takes a free one
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    http: Option<Option<Address>>,

    /// Take the token of --http from the first line of this file. Without it and without KEYRIG_TOKEN, a new token is put into a
    /// file beside the control socket
    #[arg(long, value_name = "FILE", requires = "http")]
    token_file: Option<PathBuf>,

    /// Open the panel of --http in a browser: the one that BROWSER names, or xdg-open's
    #[arg(long, requires = "http", conflicts_with = "json")]
    open: bool,

    /// Allow addresses that others can reach. Of all that is served only --http has a password, which is a token that you give:
    /// anyone who reaches the rest can use the keys
    #[arg(long)]
    pub(crate) open_to_network: bool,
}

/// How long the line of a token that we made is, bytes.
const TOKEN_LINE: u64 = 65;

/// A service that runs. It ends when this is dropped.
pub(crate) struct Http {
    server: Server,
    service: Arc<Service>,
    token: Token,
    token_file: Option<TokenFile>,
}

/// Where it is, for programs.
#[derive(Serialize)]
pub(crate) struct Listening {
    pub(crate) url: String,
    /// Whose first line is the token, unless it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
}

impl HttpArguments {
    /// Whether it is asked for.
    pub(crate) fn is_wanted(&self) -> bool {
        self.http.is_some()
    }

    /// Opens the panel, if that is asked for. `control` is where the control socket is.
    pub(crate) fn open(&self, http: Option<&Http>, control: &Path, out: &Lines) -> Result<Option<Opened>, Failure> {
        match http.filter(|_| self.open) {
            Some(http) => Ok(browser::open(&http.panel()?, &beside(control, ".panel.html"), out)),
            None => Ok(None),
        }
    }

    /// Serves, if that is asked for. `control` is where the control socket is: beside it is the file of a token that nobody gave.
    pub(crate) async fn start(&self, rack: &Rack, control: &Path, has_name: bool) -> Result<Option<Http>, Failure> {
        let Some(wanted) = self.http else { return Ok(None) };
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, if has_name { 0 } else { PORT }));
        let address = wanted.map_or(default, |Address(address)| address);
        let given = match &self.token_file {
            Some(path) => Some(Token::from_file(path)?),
            None => token_from_environment()?,
        };
        check_reach(address, self.open_to_network, given.is_some())?;
        let listener = listen(address).await?;
        let (token, token_file) = match given {
            Some(token) => (token, None),
            None => {
                let token = random_token()?;
                let path = beside(control, ".token");
                check_is_token(&path)?;
                let file = TokenFile::create(&path, &token)?;
                (token, Some(file))
            }
        };
        Http::start(listener, rack, token, token_file).map(Some)
    }
}

impl Http {
    /// Serves a program that is given the token.
    pub(crate) async fn for_program(address: SocketAddr, open_to_network: bool, rack: &Rack) -> Result<Self, Failure> {
        let given = token_from_environment()?;
        check_reach(address, open_to_network, given.is_some())?;
        let listener = listen(address).await?;
        Self::start(listener, rack, given.map_or_else(random_token, Ok)?, None)
    }

    fn start(listener: TcpListener, rack: &Rack, token: Token, file: Option<TokenFile>) -> Result<Self, Failure> {
        let service = Service::new(rack.clone(), token.clone());
        let server = keyrig_service::serve(listener, service.clone()).map_err(Failure::Runtime)?;
        Ok(Self { server, service, token, token_file: file })
    }

    pub(crate) fn url(&self) -> String {
        let address = self.server.local_addr();
        // What listens everywhere is reached here by a loopback address.
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, address.port()))
    }

    pub(crate) fn token(&self) -> &str {
        self.token.expose()
    }

    pub(crate) fn listening(&self) -> Listening {
        Listening { url: self.url(), token_file: self.token_file.as_ref().map(|file| file.path().to_owned()) }
    }

    /// Where the panel is, with a code that opens it once.
    pub(crate) fn panel(&self) -> Result<String, Failure> {
        let path = self.service.panel_path().map_err(|error| Failure::Runtime(io::Error::other(error)))?;
        Ok(format!("{}{path}", self.url()))
    }

    /// The line about it. What others can reach is opened by a code that is on a terminal alone: others read what is printed elsewhere, such
    /// as the log of a build.
    pub(crate) fn panel_line(&self) -> Result<String, Failure> {
        if self.server.local_addr().ip().is_loopback() || io::stdout().is_terminal() {
            return Ok(format!("panel    {} (good once, and for 15 minutes)", self.panel()?));
        }
        Ok(format!("panel    {}/ for those who have the token", self.url()))
    }

    /// The line for people.
    pub(crate) fn line(&self) -> String {
        let token = match &self.token_file {
            Some(file) => format!("the token in {}", file.path().display()),
            None => "the token that you gave".to_owned(),
        };
        format!("HTTP     {} for those who have {token}", self.url())
    }
}

/// A file beside the control socket. The whole name of the socket is in its name, so that no two have one.
fn beside(control: &Path, ending: &str) -> PathBuf {
    let mut path = control.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Whether a file may be replaced: there is none, or one as we leave behind if we are killed.
fn check_is_token(path: &Path) -> Result<(), Failure> {
    let unreadable = |error| Failure::Read(path.to_owned(), error);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(unreadable)?,
    };
    let mut text = Vec::new();
    if metadata.is_file() && metadata.mode() & 0o777 == 0o600 && metadata.len() <= TOKEN_LINE {
        File::open(path).and_then(|file| file.take(TOKEN_LINE).read_to_end(&mut text)).map_err(unreadable)?;
        let whole = text.strip_suffix(b"\n").filter(|line| line.len() == 64 && line.iter().all(u8::is_ascii_hexdigit));
        // An empty one is of who was killed before the token was in it.
        if whole.is_some() || text.is_empty() {
            return Ok(());
        }
    }
    Err(Failure::NotAToken(path.to_owned()))
}

fn token_from_environment() -> Result<Option<Token>, Failure> {
    let wrong = |reason: &dyn std::fmt::Display| Failure::Usage(format!("{TOKEN_VARIABLE}: {reason}"));
    match std::env::var(TOKEN_VARIABLE) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|error| wrong(&error)),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(wrong(&error)),
    }
}

fn random_token() -> Result<Token, Failure> {
    Token::random().map_err(|error| Failure::Runtime(io::Error::other(error)))
}

/// Others reach it only if that is meant, and their token was told to them.
fn check_reach(address: SocketAddr, open_to_network: bool, token_given: bool) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !open_to_network {
        return Err(Failure::Usage(format!("others can reach {address}: add --open-to-network to allow that")));
    }
    if !token_given {
        return Err(Failure::Usage(format!(
            "others can reach {address}, and need a token: set {TOKEN_VARIABLE} to one that nobody can guess"
        )));
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::PortInUse { address, option: "--http" },
        _ => Failure::Listen(address, error),
    })
}
