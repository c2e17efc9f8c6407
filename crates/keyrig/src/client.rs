//! `keyrig client`: a page in a browser, for programs in any language: options JSON in, credential JSON out.

use std::convert::Infallible;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keyrig_client::channel::Cancel;
use keyrig_client::json::{Base64Url, Mediation};
use keyrig_client::{Browser, ClientError, Key, Origin, UserChoice};
use keyrig_control::request::List;
use keyrig_control::socket::send;
use keyrig_faults::{Absent, Faults};
use keyrig_rack::command::Refusal;
use keyrig_rack::{KeyName, Options, Rack};
use keyrig_service::client::{Asked, Ceremony, Outcome, Page};
use keyrig_service::{Error, ErrorBody};
use keyrig_ways::{ControlChannel, InProcess};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::fault::FaultArguments;
use crate::key::{ControlArgument, PinFile, from_file};
use crate::mds::MdsArguments;
use crate::output::{print_as_it_is, print_json, say};
use crate::quirk::QuirkArguments;
use crate::rack::KeyArgument;
use crate::trace::TraceArguments;

/// More than this is no options, bytes.
const MAX_OPTIONS: u64 = 1024 * 1024;

#[derive(Args)]
#[command(after_help = "\
Options are read from standard input, as the site sends them, with or without
{\"publicKey\": …} around them: PublicKeyCredentialCreationOptionsJSON or
PublicKeyCredentialRequestOptionsJSON. The credential is printed as
PublicKeyCredential.toJSON() has it. A refusal is one line of JSON on standard
error, with nothing on standard output:

  {\"error\":{\"code\",\"name\",\"message\",\"refused_by\",\"reason\",\"what_to_do\"?}}

name and message are what a script sees in the browser; refused_by is client
or authenticator.

Examples:
  keyrig client create --origin https://example.com --with keyrig \\
    --state keys < options.json
  keyrig client get --origin https://example.com --on backup < options.json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    ceremony: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a credential: navigator.credentials.create()
    Create(PageArguments),
    /// Sign in with a credential: navigator.credentials.get()
    Get(PageArguments),
}

/// Where the page is, and which keys its browser has.
#[derive(Args)]
struct PageArguments {
    /// The address of the page
    #[arg(long, value_name = "URL")]
    origin: Origin,

    /// The address of the page at the top of the window, if this page is a frame in it
    #[arg(long, value_name = "URL")]
    top_origin: Option<Origin>,

    /// A page between this one, which is a frame, and the one at the top; again for more, the nearest first
    #[arg(long = "ancestor", value_name = "URL")]
    ancestors: Vec<Origin>,

    /// How the user is asked: optional and required ask at once, conditional waits for a touch until it is
    /// interrupted. Without this option, what stands beside publicKey decides
    #[arg(long, value_name = "MEDIATION")]
    mediation: Option<Mediation>,

    /// The browser to behave as: chromium, firefox or safari
    #[arg(long, value_name = "BROWSER", default_value_t)]
    browser: Browser,

    /// A key of the running rack; repeat for more. Without it, all keys that are plugged in
    #[arg(long, value_name = "NAME")]
    on: Vec<KeyName>,

    /// The control socket of the running rack
    #[arg(long, value_name = "unix:PATH")]
    control: Option<ControlArgument>,

    /// Use a key of its own, kept only with --state; repeat for more, of which the first is touched
    #[arg(long, value_name = "[NAME=]PROFILE", conflicts_with_all = ["on", "control"])]
    with: Vec<KeyArgument>,

    #[command(flatten)]
    mds: MdsArguments,

    /// Keep the keys of --with in this directory
    #[arg(long, value_name = "DIR", requires = "with")]
    state: Option<PathBuf>,

    /// Sign in as the user of this handle (user.id, in base64url), where the site leaves open who it is. Without
    /// it, as the first whom the key names
    #[arg(long, value_name = "BASE64URL", value_parser = user_id)]
    user_id: Option<UserChoice>,

    /// The same by user name. A key with several accounts tells their names if its PIN is given; of a single account it
    /// tells none, which is refused
    #[arg(long, value_name = "NAME", value_parser = user_name, conflicts_with = "user_id")]
    user_name: Option<UserChoice>,

    /// Print an object with the credential, and the names of the keys that blinked and of the one that was touched
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    quirks: QuirkArguments,

    #[command(flatten)]
    faults: FaultArguments,

    #[command(flatten)]
    trace: TraceArguments,

    /// Answer a request for the PIN with the first line of this file
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PinFile>,
}

fn user_id(text: &str) -> Result<UserChoice, String> {
    let bytes = Base64Url::decode(text).ok_or("write it in base64url without padding, as options have user.id")?;
    Ok(UserChoice::Id(bytes.0))
}

fn user_name(text: &str) -> Result<UserChoice, Infallible> {
    Ok(UserChoice::Name(text.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (arguments, ceremony) = match &arguments.ceremony {
        Action::Create(page) => (page, Ceremony::Create),
        Action::Get(page) => (page, Ceremony::Get),
    };
    let page = arguments.page()?;
    let asked = match Asked::from_json(ceremony, &read_options()?, page.browser) {
        Ok(asked) => asked,
        Err(error) => {
            return arguments.tell(Outcome { credential: Err(error), blinked: Vec::new(), touched: Vec::new() });
        }
    };
    if arguments.with.is_empty() {
        if arguments.trace.is_wanted() {
            return Err(Failure::Usage(
                "--trace and --explain listen to the keys of --with: those of a running rack are traced where they run, by keyrig serve --trace FILE".to_owned(),
            ));
        }
        if arguments.quirks.are_wanted() {
            return Err(Failure::Usage(
                "--quirk and --enterprise-rp are of the keys of --with: a running rack gets such a key by 'keyrig key create' with --quirk or --enterprise-rp".to_owned(),
            ));
        }
        if arguments.mds.is_given() {
            return Err(Failure::Usage(
                "--mds is for the keys of --with: a running rack is given it where it runs".to_owned(),
            ));
        }
        if arguments.faults.are_wanted() {
            return Err(Failure::Usage(
                "--fault is of the keys of --with: at those of a running rack 'keyrig key fault on' switches it on"
                    .to_owned(),
            ));
        }
        let path = ControlArgument::path_or_default(arguments.control.as_ref())?;
        let mut keys = arguments.running_keys(&path).await?;
        arguments.tell(page.carry_out(&asked, &mut keys, Cancel::never()).await)
    } else {
        let metadata = arguments.mds.metadata()?;
        let specified = arguments.with.iter().map(|key| key.specification(metadata.as_deref()));
        let mut specifications = specified.collect::<Result<Vec<_>, _>>()?;
        arguments.quirks.give(&mut specifications)?;
        // A page's client gives keys of its own their messages as they are.
        let absent = Absent::usb_and_ctaphid();
        arguments.faults.check(&specifications, &absent)?;
        let mut tracing = arguments.trace.start(&specifications)?;
        tracing.begin()?;
        let faults = Faults::new(None, absent);
        let seams = tracing.seams(&faults);
        arguments.faults.switch_on(&faults)?;
        let kept = Options { state: arguments.state.clone(), seams, metadata, ..Options::default() };
        let rack = Rack::start(kept, specifications).await?;
        let key = |argument: &KeyArgument| {
            let name = argument.name();
            Some(Key::new(name.to_string(), InProcess(rack.key(name)?)))
        };
        let mut keys: Vec<_> = arguments.with.iter().filter_map(key).collect();
        let outcome = page.carry_out(&asked, &mut keys, Cancel::never()).await;
        tracing.finish_after(arguments.tell(outcome))
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    credential: Value,
    blinked: &'a [String],
    touched: &'a [String],
}

fn told(error: &ClientError, browser: Browser) -> Result<String, Failure> {
    let mut error = Error::of_ceremony(error, browser);
    if error.code == "pin-not-given" {
        error.what_to_do = error.what_to_do.map(|advice| format!("{advice} (--pin-file FILE)"));
    }
    let body = ErrorBody { error };
    serde_json::to_string(&body).map_err(|error| Failure::Print(error.into()))
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

impl PageArguments {
    /// Prints what came of the ceremony.
    fn tell(&self, outcome: Outcome) -> Result<ExitCode, Failure> {
        match outcome.credential {
            Ok(credential) if self.json => {
                let credential = serde_json::from_str(&credential).map_err(|error| Failure::Print(error.into()))?;
                let done = Done { credential, blinked: &outcome.blinked, touched: &outcome.touched };
                print_json(&done).map(|()| ExitCode::SUCCESS)
            }
            Ok(credential) => print_as_it_is(credential).map(|()| ExitCode::SUCCESS),
            Err(error) => {
                say(told(&error, self.browser)?);
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn page(&self) -> Result<Page, Failure> {
        let pin = match &self.pin_file {
            None => None,
            Some(PinFile::StandardInput) => {
                return Err(Failure::Usage("standard input has the options: name a file with --pin-file".to_owned()));
            }
            Some(file) => Some(from_file(file)?),
        };
        let ancestors = Page::ancestors(self.ancestors.clone(), self.top_origin.clone());
        let user = self.user_id.clone().or(self.user_name.clone());
        Ok(Page { origin: self.origin.clone(), ancestors, browser: self.browser, mediation: self.mediation, pin, user })
    }

    /// The keys of the running rack that are chosen, or all that are plugged in.
    async fn running_keys(&self, path: &Path) -> Result<Vec<Key<ControlChannel>>, Failure> {
        let listed = send(path, List {}).await?.keys;
        if let Some(unknown) = self.on.iter().find(|name| !listed.iter().any(|key| key.name == **name)) {
            let unknown = Refusal::unknown(unknown, listed.iter().map(|key| &key.name));
            return Err(Failure::Usage(unknown.to_string()));
        }
        let chosen = |name: &KeyName| self.on.is_empty() || self.on.contains(name);
        let key = |name: KeyName| Key::new(name.to_string(), ControlChannel { path: path.to_owned(), key: name });
        Ok(listed.into_iter().filter(|key| key.plugged && chosen(&key.name)).map(|state| key(state.name)).collect())
    }
}
