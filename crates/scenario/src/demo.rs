//! The main job, end to end: two keys over USB/IP, a browser's rules, a relying party.
//!
//! Nothing is arranged behind the scenes: the keys are reached through TCP on loopback, by the server that `keyrig serve` starts,
//! and the relying party over HTTP. Each step says what it expects, so that the demo fails if a refusal does not come.

use std::net::SocketAddr;
use std::sync::Arc;

use keyrig_client::channel::{Cancel, ChannelError};
use keyrig_client::ctap_hid::CtapHidChannel;
use keyrig_client::origin::InvalidUrl;
use keyrig_client::{Browser, Client, ClientError, Exchange, Key, RefusedBy, Rules};
use keyrig_ctap::Status;
use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::seams::Seams;
use keyrig_rack::{KeyName, KeySpecification, Options, Rack, RackError};
use keyrig_relying_party::{
    By, Clock, Options as SiteOptions, PasswordCost, PasswordHash, RelyingParty, Role, Settings, Store, StoreError,
    SystemClock, SystemRandomness, UserError,
};
use keyrig_usb::Limits;
use keyrig_usb::client::{ClientError as UsbError, list};
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::report::{Party, Refused, Report, Step, milliseconds};
use crate::site::{PasswordStep, Site, SiteError};
use keyrig_ways::{UsbIp, usb_ip};

const USER: &str = "root@pam";
/// Good for as long as the demo runs, on an address of this machine that only this user knows.
const PASSWORD: &str = "demonstration";
const PRIMARY: &str = "primary";
const BACKUP: &str = "backup";

/// Where somebody might put a page that looks like the relying party's.
const OTHER_ORIGIN: &str = "https://localhost.example";

type UsbKey = Key<CtapHidChannel<UsbIp>>;

/// The demo could not be run: something under it failed, not a step of it.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The keys.
    #[error(transparent)]
    Rack(#[from] RackError),
    /// A command to the rack.
    #[error(transparent)]
    Control(#[from] Refusal),
    /// The way to the keys.
    #[error("cannot reach a key over USB/IP: {0}")]
    Usb(#[from] UsbError),
    /// The relying party's database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relying party's one user.
    #[error(transparent)]
    User(#[from] UserError),
    /// The way to the relying party.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The relying party's origin.
    #[error(transparent)]
    Origin(#[from] InvalidUrl),
    /// The operating system.
    #[error("cannot get a port on 127.0.0.1: {0}")]
    Listen(#[from] std::io::Error),
    /// Something that comes with keyrig is not there.
    #[error("{0} does not come with this keyrig")]
    Missing(&'static str),
}

/// What is said before the first step.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The origin of the relying party's pages.
    pub origin: String,
    /// Where the keys are exported.
    pub usbip: SocketAddr,
    /// The library that computes with private keys.
    pub crypto: &'static str,
}

/// The keys of the demo.
///
/// # Errors
/// [`DemoError::Missing`].
pub fn keys() -> Result<Vec<KeySpecification>, DemoError> {
    Ok(vec![key("keyrig", PRIMARY)?, key("yubikey-5.7", BACKUP)?])
}

/// Runs the demo with pages in a browser, and with `seams` at the `keys`: those of [`keys()`], whatever quirks they have. `on_start` is called once everything stands, `on_step` after each step.
///
/// # Errors
/// [`DemoError`] if it could not be run. A step that did not go as expected is in the report.
pub async fn run(
    browser: Browser,
    keys: Vec<KeySpecification>,
    seams: Vec<Arc<dyn Seams>>,
    on_start: impl FnOnce(&Introduction),
    on_step: impl FnMut(&Step),
) -> Result<Report, DemoError> {
    let begun = Instant::now();
    let rack = Rack::start(Options { seams, ..Options::default() }, keys).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let usbip = listener.local_addr()?;
    let exporting = tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let origin = format!("http://localhost:{}", address.port());
    let relying_party = relying_party(Settings::new("localhost", &origin))?;
    let server = keyrig_relying_party::serve(listener, Arc::new(relying_party))?;
    on_start(&Introduction { origin: origin.clone(), usbip, crypto: rack.crypto() });

    let mut demo = Demo {
        client: Client::new(origin.parse()?).in_browser(browser),
        browser,
        site: Site::new(&origin, "localhost", address)?,
        keys: Vec::new(),
        rack,
        usbip,
        steps: Vec::new(),
        on_step,
        begun,
    };
    demo.steps().await?;
    let steps = demo.steps;
    drop(demo.keys);
    server.shutdown().await?;
    exporting.abort();
    Ok(Report::new(steps))
}

/// A relying party that tells why it refuses, with one user.
fn relying_party(settings: Settings) -> Result<RelyingParty, DemoError> {
    let (store, clock) = (Store::in_memory()?, Arc::new(SystemClock));
    let password =
        PasswordHash::new(PASSWORD, PasswordCost::Full, &SystemRandomness).map_err(|_| DemoError::Missing(PASSWORD))?;
    let name = USER.parse().map_err(|_| DemoError::Missing(USER))?;
    store.add_user(&name, Role::Administrator, &password, &By::command_line(clock.now()))?;
    Ok(RelyingParty::new(Ok(settings), SiteOptions { explain: true, ..SiteOptions::new(store) }, clock))
}

fn key(profile: &'static str, name: &'static str) -> Result<KeySpecification, DemoError> {
    KeySpecification::built_in(profile, name).map_err(|_| DemoError::Missing(profile))
}

fn name_of(name: &'static str) -> Result<KeyName, DemoError> {
    name.parse().map_err(|_| DemoError::Missing(name))
}

/// What a step came to: what there is to say, or who refused.
type Outcome = Result<Option<String>, Refused>;

/// What a key says that is registered already: the primary one, and no other.
const EXCLUDED: [&str; 2] = ["key \"primary\"", "CTAP2_ERR_CREDENTIAL_EXCLUDED"];

/// What a step is expected to come to.
enum Expected {
    Success,
    /// By whom, and what its reason says: another one would be refused for something else.
    RefusedBy(Party, &'static [&'static str]),
}

struct Demo<S> {
    client: Client,
    browser: Browser,
    site: Site,
    keys: Vec<UsbKey>,
    rack: Rack,
    usbip: SocketAddr,
    steps: Vec<Step>,
    on_step: S,
    begun: Instant,
}

impl<S: FnMut(&Step)> Demo<S> {
    async fn steps(&mut self) -> Result<(), DemoError> {
        use Expected::{RefusedBy, Success};

        let outcome = self.import_keys().await?;
        self.step("plug in two keys over USB/IP", Success, outcome);

        let outcome = self.log_in_with_the_password_alone().await?;
        self.step("log in with the password, and confirm it", Success, outcome);

        for name in [PRIMARY, BACKUP] {
            self.put_finger_over(name).await?;
            let outcome = self.register(name, None).await?;
            self.step(&format!("register the {name} key"), Success, outcome);
        }
        for name in [PRIMARY, BACKUP] {
            self.put_finger_over(name).await?;
            let outcome = self.log_in(name).await?;
            self.step(&format!("log in with the password and the {name} key"), Success, outcome);
        }

        self.put_finger_over(PRIMARY).await?;
        let outcome = self.register(PRIMARY, None).await?;
        self.step("register the primary key a second time", RefusedBy(Party::Authenticator, &EXCLUDED), outcome);

        self.rack.command(Command::Finger { key: None }).await?;
        self.rack.command(Command::Unplug { key: name_of(PRIMARY)? }).await?;
        let outcome = self.log_in(BACKUP).await?;
        self.step("unplug the primary key, log in with the backup", Success, outcome);

        let page = Client::new(OTHER_ORIGIN.parse()?).in_browser(self.browser);
        let outcome = self.register("phished", Some(&page)).await?;
        self.step(
            "register from a page on another origin",
            RefusedBy(Party::Client, &["the RP ID \"localhost\""]),
            outcome,
        );

        let page = Client::new(OTHER_ORIGIN.parse()?).in_browser(self.browser).with_rules(Rules::ForcedPast);
        let outcome = self.register("phished", Some(&page)).await?;
        self.step("the same, forced past the client", RefusedBy(Party::RelyingParty, &["origin: "]), outcome);

        let outcome = self.registered().await?;
        self.step("the relying party knows the two keys, and no other", Success, outcome);
        Ok(())
    }

    fn step(&mut self, name: &str, expected: Expected, outcome: Outcome) {
        let ok = match (&expected, &outcome) {
            (Expected::Success, Ok(_)) => true,
            (Expected::RefusedBy(party, words), Err(refused)) => {
                refused.by == *party && words.iter().all(|word| refused.reason.contains(word))
            }
            _ => false,
        };
        let (refused_by, reason, detail) = match outcome {
            Ok(detail) => (None, None, detail),
            Err(refused) => (Some(refused.by), Some(refused.reason), None),
        };
        let ms = milliseconds(self.begun.elapsed());
        let step = Step { name: name.to_owned(), ok, refused_by, reason, detail, ms };
        (self.on_step)(&step);
        self.steps.push(step);
        self.begun = Instant::now();
    }

    async fn put_finger_over(&self, name: &'static str) -> Result<(), DemoError> {
        self.rack.command(Command::Finger { key: Some(name_of(name)?) }).await?;
        Ok(())
    }

    /// Imports what the server lists, as a host does that knows nothing else.
    async fn import_keys(&mut self) -> Result<Outcome, DemoError> {
        let mut seen = Vec::new();
        for (device, name) in list(self.usbip).await?.iter().zip([PRIMARY, BACKUP]) {
            let record = &device.device;
            let busid = record.busid.as_str();
            self.keys.push(Key::new(name, usb_ip(self.usbip, busid).await?));
            seen.push(format!("{name} {:04x}:{:04x} on bus {busid}", record.vendor_id, record.product_id));
        }
        Ok(if self.keys.len() == 2 {
            Ok(Some(seen.join(", ")))
        } else {
            Err(Refused { by: Party::Authenticator, reason: format!("{} keys are listed, not 2", self.keys.len()) })
        })
    }

    /// There is no second factor yet.
    async fn log_in_with_the_password_alone(&mut self) -> Result<Outcome, DemoError> {
        let step = match self.site.log_in(USER, PASSWORD).await? {
            Ok(step) => step,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        if !matches!(step, PasswordStep::LoggedIn) {
            return Ok(Err(unexpected(&step)));
        }
        Ok(self.site.confirm(PASSWORD).await?.map(|_| None).map_err(Refused::from))
    }

    /// Registers a key from the relying party's own page, or from `other_page`.
    async fn register(&mut self, name: &str, other_page: Option<&Client>) -> Result<Outcome, DemoError> {
        let mut begun = match self.site.begin_registration(false).await? {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        if other_page.is_some() {
            // Such a page passes on what it likes. With the exclude list the key would refuse before it came to the origin.
            begun.options.exclude_credentials.clear();
        }
        let page = other_page.unwrap_or(&self.client);
        let credential = match page.create(&begun.options, &mut self.keys, Cancel::never()).await {
            Ok(made) => value(&made.to_json()),
            Err(error) => return Ok(Err(refused(&error))),
        };
        let answer = self.site.finish_registration(&begun.challenge, name, &credential).await?;
        Ok(answer.map(|_| self.what_keys_saw()).map_err(Refused::from))
    }

    /// Logs in as somebody else's browser would: with the password, then with the key that is touched.
    async fn log_in(&mut self, name: &str) -> Result<Outcome, DemoError> {
        let mut browser = self.site.another_browser();
        let step = match browser.log_in(USER, PASSWORD).await? {
            Ok(step) => step,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let PasswordStep::SecondFactor(offered) = step else {
            return Ok(Err(unexpected(&step)));
        };
        let Some(begun) = offered.webauthn else {
            return Ok(Err(Refused { by: Party::RelyingParty, reason: "it offers no security key".to_owned() }));
        };
        let credential = match self.client.get(&begun.options, &mut self.keys, Cancel::never()).await {
            Ok(signed) => value(&signed.to_json()),
            Err(error) => return Ok(Err(refused(&error))),
        };
        if let Err(refusal) = browser.finish_login_by_key(&offered.login, &begun.challenge, &credential).await? {
            return Ok(Err(refusal.into()));
        }
        let id = credential.get("id").cloned().unwrap_or_default();
        let factors = match browser.factors().await? {
            Ok(factors) => factors,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let used = factors.iter().find(|factor| factor.get("credential_id") == Some(&id));
        let used = used.and_then(|factor| factor.get("description")).and_then(Value::as_str).unwrap_or_default();
        Ok(if used == name {
            Ok(self.what_keys_saw())
        } else {
            Err(Refused { by: Party::RelyingParty, reason: format!("it logged in {used:?}, not {name:?}") })
        })
    }

    async fn registered(&mut self) -> Result<Outcome, DemoError> {
        let factors = match self.site.factors().await? {
            Ok(factors) => factors,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let description = |factor: &Value| factor.get("description").and_then(Value::as_str).map(str::to_owned);
        let keys: Vec<String> = factors.iter().filter_map(description).collect();
        Ok(if keys == [PRIMARY, BACKUP] {
            Ok(Some(format!("{USER} has {}", keys.join(" and "))))
        } else {
            Err(Refused { by: Party::RelyingParty, reason: format!("{USER} has {keys:?}") })
        })
    }
}

impl<S> Demo<S> {
    /// What became of the ceremony on each key.
    fn what_keys_saw(&self) -> Option<String> {
        let saw = self.keys.iter().map(|key| {
            let touches = key.exchanges().iter().map(Exchange::touch_prompts).sum();
            let last = key.exchanges().last();
            let what = match (last.and_then(Exchange::status), touches) {
                (Some(Status::Ok), 1) => "touched once".to_owned(),
                (Some(Status::Ok), 2) => "touched twice".to_owned(),
                (Some(Status::KeepaliveCancel), 1) => "blinked and was cancelled".to_owned(),
                (Some(status), prompts) => format!("{status} after {prompts} requests for a touch"),
                (None, _) => match last.and_then(|exchange| exchange.response.as_ref()) {
                    Some(Err(ChannelError::Unplugged)) => "unplugged".to_owned(),
                    _ => "was too late to be asked".to_owned(),
                },
            };
            format!("{} {what}", key.name())
        });
        Some(saw.collect::<Vec<_>>().join(", "))
    }
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

fn unexpected(step: &PasswordStep) -> Refused {
    Refused { by: Party::RelyingParty, reason: format!("the password led to {step:?}") }
}

fn refused(error: &ClientError) -> Refused {
    let by = match error.refused_by() {
        RefusedBy::Client => Party::Client,
        RefusedBy::Authenticator => Party::Authenticator,
    };
    Refused { by, reason: error.to_string() }
}
