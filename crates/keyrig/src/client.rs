//! `keyrig client`: a page in a browser, for programs in any language: options JSON in, credential JSON out.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyrig_client::channel::{Cancel, Channel};
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::pin::{Pin, PinReason, PinRequest};
use keyrig_client::{Browser, Client, ClientError, Key, Origin, RefusedBy};
use keyrig_control::request::List;
use keyrig_control::socket::send;
use keyrig_rack::{KeyName, Options, Rack};
use keyrig_ways::{ControlChannel, InProcess};
use serde::Serialize;

use crate::failure::Failure;
use crate::key::{ControlArgument, PinFile, from_file};
use crate::output::{print, say};
use crate::rack::KeyArgument;

/// More than this is no options, bytes.
const MAX_OPTIONS: u64 = 1024 * 1024;

#[derive(Args)]
#[command(after_help = "\
Options are read from standard input, as the site sends them: PublicKeyCredentialCreationOptionsJSON or \
PublicKeyCredentialRequestOptionsJSON, with or without {\"publicKey\": …} around them. The credential is printed as \
PublicKeyCredential.toJSON() has it. A refusal is one line of JSON on standard error, with nothing on standard output:

  {\"error\":{\"code\",\"name\",\"message\",\"refused_by\",\"reason\"}}

name and message are what a script sees in the browser; refused_by is client or authenticator.

Examples:
  keyrig client create --origin https://example.com --with keyrig --state keys < options.json
  keyrig client get --origin https://example.com --on backup < options.json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    ceremony: Ceremony,
}

#[derive(Subcommand)]
enum Ceremony {
    /// Make a credential: navigator.credentials.create()
    Create(Page),
    /// Sign in with a credential: navigator.credentials.get()
    Get(Page),
}

/// Where the page is, and which keys its browser has.
#[derive(Args)]
struct Page {
    /// The address of the page
    #[arg(long, value_name = "URL")]
    origin: Origin,

    /// The address of the page at the top of the window, if this one is a frame in it
    #[arg(long, value_name = "URL")]
    top_origin: Option<Origin>,

    /// The browser that it is in: chromium or firefox
    #[arg(long, value_name = "BROWSER", default_value_t)]
    browser: Browser,

    /// A key of the running rack; again for more keys. Without it, all that are plugged in
    #[arg(long, value_name = "NAME")]
    on: Vec<KeyName>,

    /// The control socket of the running rack
    #[arg(long, value_name = "unix:PATH")]
    control: Option<ControlArgument>,

    /// Use a key of its own, for this once or with --state; again for more keys, of which the first is touched
    #[arg(long, value_name = "[NAME=]PROFILE", conflicts_with_all = ["on", "control"])]
    with: Vec<KeyArgument>,

    /// Keep the keys of --with in this directory
    #[arg(long, value_name = "DIR", requires = "with")]
    state: Option<PathBuf>,

    /// Type the PIN that is the first line of this file when one is asked for
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PinFile>,
}

#[derive(Serialize)]
struct Refused<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: String,
    name: String,
    message: String,
    refused_by: &'a str,
    reason: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (page, creates) = match &arguments.ceremony {
        Ceremony::Create(page) => (page, true),
        Ceremony::Get(page) => (page, false),
    };
    let client = page.client()?;
    let options = read_options()?;
    let outcome = if page.with.is_empty() {
        let path = ControlArgument::path_or_default(page.control.as_ref())?;
        let mut keys = page.running_keys(&path).await?;
        carry_out(&client, &options, creates, &mut keys).await
    } else {
        let specifications = page.with.iter().map(KeyArgument::specification).collect();
        let rack = Rack::start(Options { state: page.state.clone(), ..Options::default() }, specifications).await?;
        let key = |argument: &KeyArgument| {
            let name = argument.specification().name;
            Some(Key::new(name.to_string(), InProcess(rack.key(&name)?.clone())))
        };
        let mut keys: Vec<_> = page.with.iter().filter_map(key).collect();
        carry_out(&client, &options, creates, &mut keys).await
    };
    match outcome {
        Ok(credential) => print(credential).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            say(told(&error, page.browser)?);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A ceremony in text.
async fn carry_out<C: Channel>(
    client: &Client,
    options: &str,
    creates: bool,
    keys: &mut [Key<C>],
) -> Result<String, ClientError> {
    if creates {
        let options = CreationOptions::from_json(options)?;
        Ok(client.create(&options, keys, Cancel::never()).await?.to_json())
    } else {
        let options = RequestOptions::from_json(options)?;
        Ok(client.get(&options, keys, Cancel::never()).await?.to_json())
    }
}

fn told(error: &ClientError, browser: Browser) -> Result<String, Failure> {
    let reason = error.reason.to_string();
    let told = Told {
        code: error.code(),
        name: error.name.to_string(),
        message: error.observed_message(browser).map_or_else(|| reason.clone(), str::to_owned),
        refused_by: match error.refused_by() {
            RefusedBy::Client => "client",
            RefusedBy::Authenticator => "authenticator",
        },
        reason,
    };
    serde_json::to_string(&Refused { error: told }).map_err(|error| Failure::Print(error.into()))
}

fn read_options() -> Result<String, Failure> {
    let unreadable = |error| Failure::Read("standard input".into(), error);
    let mut options = String::new();
    let read = io::stdin().lock().take(MAX_OPTIONS + 1).read_to_string(&mut options).map_err(unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_OPTIONS) {
        Ok(options)
    } else {
        Err(Failure::Usage(format!("standard input has more than {MAX_OPTIONS} bytes: that is no options of a site")))
    }
}

impl Page {
    fn client(&self) -> Result<Client, Failure> {
        let pin = match &self.pin_file {
            None => None,
            Some(PinFile::StandardInput) => {
                return Err(Failure::Usage("standard input has the options: name a file with --pin-file".to_owned()));
            }
            Some(file) => Some(from_file(file)?),
        };
        // Once: the file would make the same mistake until the key is blocked.
        let type_pin = move |asked: &PinRequest| -> Option<Pin> {
            let fits = asked.mistake.is_none() && asked.reason != PinReason::Change;
            pin.clone().filter(|_| fits)
        };
        let client = Client::new(self.origin.clone()).in_browser(self.browser).asking_for_pin(type_pin);
        Ok(match &self.top_origin {
            Some(top_origin) => client.in_a_frame_of(top_origin.clone()),
            None => client,
        })
    }

    /// The keys of the running rack that are chosen, or all that are plugged in.
    async fn running_keys(&self, path: &Path) -> Result<Vec<Key<ControlChannel>>, Failure> {
        let listed = send(path, List {}).await?.keys;
        if let Some(unknown) = self.on.iter().find(|name| !listed.iter().any(|key| key.name == **name)) {
            let known: Vec<_> = listed.iter().map(|key| key.name.as_str()).collect();
            return Err(Failure::Usage(format!("no key is called {unknown}: the keys are {}", known.join(", "))));
        }
        let chosen = |name: &KeyName| self.on.is_empty() || self.on.contains(name);
        let key = |name: KeyName| Key::new(name.to_string(), ControlChannel { path: path.to_owned(), key: name });
        Ok(listed.into_iter().filter(|key| key.plugged && chosen(&key.name)).map(|state| key(state.name)).collect())
    }
}
