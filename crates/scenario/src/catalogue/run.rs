//! Carries a row out: a relying party with its settings, a key of a rack, a client in a browser.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::channel::Cancel;
use keyrig_client::related_origins::Fetched;
use keyrig_client::{Browser, Client, ClientError, Key, Origin, PagePermissions, Pin, RefusedBy, Rules};
use keyrig_faults::{Absent, Fault, Faults};
use keyrig_rack::snapshot::Snapshot;
use keyrig_rack::{KeyName, KeySpecification, Options as RackOptions, Rack};
use keyrig_relying_party::{
    By, Clock, Options, PasswordCost, PasswordHash, RelyingParty, Requirement, Role, Settings, Store, SystemRandomness,
    Totp, Transport, router,
};
use keyrig_verifier::{
    AuthenticationExpectations, AuthenticationResponse, CredentialRecord, RegistrationExpectations,
    RegistrationResponse, verify_authentication, verify_registration,
};
use keyrig_ways::InProcess;
use serde_json::{Value, json};
use toml::Table;

use super::dropping::Dropping;
use super::reading::{
    CHALLENGE, accepted, creation, id_of, merge, parsed, public_key, registration_options, request, rule, second_factor,
};
use super::row::{Act, Before, Ceremony, Detector, Outcome, RealmOf, Row};
use super::site::{Broken, Refused, Site};
use crate::doctor;

mod webauthn_rs;

pub use self::webauthn_rs::in_the_words_of_webauthn_rs;

const USER: &str = "alice@pve";
const PASSWORD: &str = "correct horse battery staple";
const KEY: &str = "key";

/// 22 November 2026.
const START: Duration = Duration::from_secs(1_795_305_600);

/// What came of a row in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// What the ceremony came to.
    pub outcome: Outcome,
    /// Why the relying party refuses the settings, if it does.
    pub settings: Option<String>,
    /// The row that the doctor names for whom is met first.
    pub doctor: Option<u8>,
    /// What the doctor warns of.
    pub warned: Vec<&'static str>,
}

/// Carries out a row in a browser. Its time is the runtime's: a key of U2F is asked again every 200 ms, as browsers do, and on a clock
/// that is paused nobody waits for that.
///
/// # Errors
/// [`Broken`], if it comes to nothing that could be compared.
pub async fn execute(row: &Row, browser: Browser) -> Result<Executed, Broken> {
    let (settings, problem) = settings(&row.site)?;
    let address = doctor::Address {
        origin: origin(&row.visit.address)?,
        node: None,
        passed: doctor::Passed { host: row.proxy.host.clone(), over_tls: row.proxy.over_tls },
    };
    let site =
        doctor::Site { settings, kind: doctor::Kind::Other, related_origins: doctor::RelatedOrigins::OfSettings };
    let diagnosis = doctor::examine(&site, &[address]);
    let first = diagnosis.addresses.first().and_then(|verdict| verdict.refusals.first());
    Ok(Executed {
        outcome: Stage::new(row, browser, &row.site, &row.options).await?.carry_out().await?,
        settings: problem,
        doctor: first.and_then(|refusal| refusal.row),
        warned: diagnosis.warnings.iter().map(|warning| warning.code).collect(),
    })
}

/// Carries out a row that nobody has to notice, as who notices it has it; `None` if somebody has to.
///
/// # Errors
/// [`Broken`].
pub async fn execute_caught(row: &Row) -> Result<Option<Outcome>, Broken> {
    let Some(caught) = &row.caught else { return Ok(None) };
    let site = merged(&row.site, &caught.site);
    let options = caught.options.as_ref().unwrap_or(&row.options);
    let mut stage = Stage::new(row, Browser::Chromium, &site, options).await?;
    stage.caught = true;
    stage.carry_out().await.map(Some)
}

fn merged(site: &Table, over: &Table) -> Table {
    let mut merged = site.clone();
    merged.extend(over.clone());
    merged
}

/// The settings that a table has, and why they are refused, if they are.
fn settings(site: &Table) -> Result<(Settings, Option<String>), Broken> {
    let text = toml::to_string(site).map_err(|error| Broken::new(error.to_string()))?;
    let written = Settings::read_toml("site", &text).map_err(|error| Broken::new(error.to_string()))?;
    Ok((written.settings, written.problems.first().map(|problem| problem.problem.to_string())))
}

fn origin(address: &str) -> Result<Origin, Broken> {
    address.parse().map_err(|error| Broken::new(format!("{error}")))
}

struct TestClock(Mutex<SystemTime>);

impl TestClock {
    fn advance(&self, seconds: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += Duration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was enrolled before.
struct Enrolled {
    id: String,
    credential: Value,
    /// What is kept of it where no relying party keeps it.
    record: Option<CredentialRecord>,
    /// The session in which it was.
    session: Option<Site>,
    /// The key as somebody copied it then.
    copy: Option<Snapshot>,
}

struct Stage<'a> {
    row: &'a Row,
    browser: Browser,
    table: Table,
    settings: Settings,
    is_sound: bool,
    options: Value,
    faults: Faults,
    rack: Rack,
    keys: Vec<Key<InProcess>>,
    clock: Arc<TestClock>,
    store: Arc<Store>,
    caught: bool,
    /// What another verifier said that decides.
    decided: Option<String>,
}

impl<'a> Stage<'a> {
    async fn new(row: &'a Row, browser: Browser, site: &Table, options: &Table) -> Result<Self, Broken> {
        let (settings, problem) = settings(site)?;
        let faults = Faults::new(Some(1), Absent::usb_and_ctaphid());
        let kept = RackOptions { seams: vec![Arc::new(faults.clone())], ..RackOptions::default() };
        let specification = KeySpecification::built_in(&row.key.profile, KEY)
            .map_err(|error| Broken::new(format!("{}: {error}", row.key.profile)))?;
        let name = specification.name.clone();
        let rack = Rack::start(kept, vec![specification]).await.map_err(|error| Broken::new(error.to_string()))?;
        let handle = rack.key(&name).ok_or_else(|| Broken::new("there is no key"))?;
        if let Some(pin) = &row.key.pin {
            handle.set_pin(pin.clone()).await.map_err(|error| Broken::new(format!("{error:?}")))?;
        }
        let clock = Arc::new(TestClock(Mutex::new(SystemTime::UNIX_EPOCH + START)));
        let store = Arc::new(new_store(&clock)?);
        let options = serde_json::to_value(options).map_err(|error| Broken::new(error.to_string()))?;
        Ok(Self {
            row,
            browser,
            table: site.clone(),
            settings,
            is_sound: problem.is_none(),
            options,
            faults,
            keys: vec![Key::new(KEY, InProcess(handle))],
            rack,
            clock,
            store,
            caught: false,
            decided: None,
        })
    }

    async fn carry_out(&mut self) -> Result<Outcome, Broken> {
        let enrolled = match &self.row.before {
            Some(before) => Some(self.enrol(before).await?),
            None => None,
        };
        if let Some(RealmOf::Oath) = self.row.realm {
            let by = By::command_line(self.clock.now());
            let required = self.store.set_requirement("pve", Requirement::Oath { digits: 6, step: 30 }, &by);
            required.map_err(|error| Broken::new(error.to_string()))?;
        }
        let name = name()?;
        if let Some(copy) = enrolled.as_ref().and_then(|enrolled| enrolled.copy.clone()) {
            self.rack.restore(&name, copy).await.map_err(|error| Broken::new(error.to_string()))?;
        }
        for fault in &self.row.key.faults {
            let fault: Fault = fault.parse().map_err(|error| Broken::new(format!("{error}")))?;
            self.faults.switch_on(&name, fault).map_err(|error| Broken::new(format!("{error}")))?;
        }
        let session = enrolled.as_ref().and_then(|enrolled| enrolled.session.clone());
        let is_alone = !self.is_sound || enrolled.as_ref().is_some_and(|enrolled| enrolled.record.is_some());
        let mut site = self.site(session.as_ref())?;
        match self.row.ceremony {
            Ceremony::Password => self.log_in_by_password(&mut site.without_session(), enrolled.as_ref()).await,
            Ceremony::Totp => self.log_in_by_code(&mut site).await,
            Ceremony::Register if is_alone => self.register_alone(&site).await,
            Ceremony::Register => self.register(&mut site).await,
            _ if is_alone => self.log_in_alone(&site, enrolled.as_ref()).await,
            Ceremony::LogIn => self.log_in(&mut site.without_session(), enrolled.as_ref()).await,
            Ceremony::Passkey => self.log_in_by_passkey(&mut site.without_session(), enrolled.as_ref()).await,
        }
    }

    fn host(&self, address: &str) -> String {
        let host = address.split_once("://").map_or(address, |(_, host)| host);
        self.row.proxy.host.clone().unwrap_or_else(|| host.to_owned())
    }

    fn serve(&self, settings: Settings, store: &Arc<Store>, over_tls: bool) -> Router {
        let transport = if over_tls { Transport::BehindTls } else { Transport::Plain };
        let options = Options {
            password_cost: PasswordCost::DangerNone,
            explain: true,
            transport,
            ..Options::new(store.clone())
        };
        router(Arc::new(RelyingParty::new(Ok(settings), options, self.clock.clone())))
    }

    /// The relying party as the page of the row meets it.
    fn site(&self, session: Option<&Site>) -> Result<Site, Broken> {
        let over_tls = self.row.proxy.over_tls.unwrap_or_else(|| self.row.visit.address.starts_with("https"));
        let (router, host) =
            (self.serve(self.settings.clone(), &self.store, over_tls), self.host(&self.row.visit.address));
        Ok(session.map_or_else(|| Site::new(router.clone(), &host), |session| session.at(router.clone(), &host)))
    }

    /// The page of the row.
    async fn client(&self, site: &Site) -> Result<Client, Broken> {
        let visit = &self.row.visit;
        let around = visit.frame_of.iter().map(|address| origin(address)).collect::<Result<Vec<_>, _>>()?;
        let mut client = self.at(&visit.address)?.in_frames_of(around);
        if !visit.permitted {
            client = client.permitted(PagePermissions::NONE);
        }
        if visit.bad_certificate {
            client = client.with_certificate_error();
        }
        let file = match &self.row.well_known {
            Some(file) => Fetched::Answer {
                status: 200,
                content_type: Some("application/json".to_owned()),
                body: file.clone().into_bytes(),
            },
            None if visit.fetches => site.related_origins().await?,
            None => return Ok(client),
        };
        Ok(client.fetching(move |_| file.clone()))
    }

    fn at(&self, address: &str) -> Result<Client, Broken> {
        let client = Client::new(origin(address)?).in_browser(self.browser);
        Ok(match &self.row.key.pin {
            Some(pin) => client.with_pin(Pin::new(pin)),
            None => client,
        })
    }

    /// Has the user enrol the key, at another time and place.
    async fn enrol(&mut self, before: &Before) -> Result<Enrolled, Broken> {
        if let Some(app_id) = &before.app_id {
            return self.enrol_by_u2f(before, app_id).await;
        }
        let (settings, problem) = settings(&merged(&self.table, &before.site))?;
        if let Some(problem) = problem {
            return Err(Broken::new(format!("the settings from before are refused: {problem}")));
        }
        let router = self.serve(settings, &self.store, true);
        let mut site = Site::new(router, &self.host(&before.address));
        accepted("login", site.log_in(USER, PASSWORD).await?)?;
        let client = self.at(&before.address)?;
        let begun = site.post("/api/factors/webauthn/begin", json!({ "passkey": before.passkey })).await?;
        let begun = accepted("registration", begun)?;
        let options = creation(public_key(&begun)?, self.browser).map_err(|error| Broken::new(error.to_string()))?;
        let made = client.create(&options, &mut self.keys, Cancel::never()).await;
        let made = parsed(&made.map_err(|error| Broken::new(format!("enrolment: {error}")))?.to_json())?;
        let finish = json!({ "challenge": begun.get("challenge"), "description": "key", "credential": &made });
        accepted("registration", site.post("/api/factors/webauthn", finish).await?)?;
        let copy = match before.cloned {
            true => Some(self.rack.snapshot(&name()?).await.map_err(|error| Broken::new(error.to_string()))?),
            false => None,
        };
        for _ in 0..before.logins {
            let mut another = site.without_session();
            let begun = accepted("login", another.log_in(USER, PASSWORD).await?)?;
            let (login, ceremony) = second_factor(&begun)?;
            let options =
                request(public_key(ceremony)?, self.browser).map_err(|error| Broken::new(error.to_string()))?;
            let signed = client.get(&options, &mut self.keys, Cancel::never()).await;
            let signed = parsed(&signed.map_err(|error| Broken::new(format!("login: {error}")))?.to_json())?;
            let finish = json!({ "login": login, "challenge": ceremony.get("challenge"), "credential": signed });
            accepted("login", another.post("/api/login/webauthn", finish).await?)?;
        }
        Ok(Enrolled { id: id_of(&made)?, credential: made, record: None, session: Some(site), copy })
    }

    /// As U2F did: under the hash of an AppID in place of an RP ID's.
    async fn enrol_by_u2f(&mut self, before: &Before, app_id: &str) -> Result<Enrolled, Broken> {
        let client = self.at(&before.address)?.with_rules(Rules::ForcedPast);
        let made = client.create(&registration_options(app_id)?, &mut self.keys, Cancel::never()).await;
        let made = parsed(&made.map_err(|error| Broken::new(format!("enrolment: {error}")))?.to_json())?;
        let response = RegistrationResponse::from_value(&made).map_err(|error| Broken::new(error.to_string()))?;
        let origins = [rule(&before.address)?];
        let expected = RegistrationExpectations::new(&CHALLENGE, app_id, &origins, &[1], self.clock.now());
        let registration = verify_registration(&response, &expected);
        let record = registration.record.ok_or_else(|| Broken::new("what U2F made does not verify"))?;
        Ok(Enrolled { id: id_of(&made)?, credential: made, record: Some(record), session: None, copy: None })
    }

    /// The options as the page gets them.
    fn patched(&self, options: &Value, enrolled: Option<&Enrolled>) -> Value {
        let mut options = options.clone();
        merge(&mut options, &self.options);
        let descriptor = |id: String| json!({ "type": "public-key", "id": id });
        let mut allowed = options.get("allowCredentials").and_then(Value::as_array).cloned().unwrap_or_default();
        if self.row.allow_enrolled {
            allowed.extend(enrolled.map(|enrolled| descriptor(enrolled.id.clone())));
        }
        allowed.extend((0..self.row.allow_more).map(|number| descriptor(URL_SAFE_NO_PAD.encode([number; 16]))));
        if let (false, Some(members)) = (allowed.is_empty(), options.as_object_mut()) {
            members.insert("allowCredentials".to_owned(), Value::Array(allowed));
        }
        options
    }

    async fn register(&mut self, site: &mut Site) -> Result<Outcome, Broken> {
        if self.row.before.is_none() {
            accepted("login", site.log_in(USER, PASSWORD).await?)?;
        }
        let begun = match site.post("/api/factors/webauthn/begin", json!({})).await? {
            Ok(begun) => begun,
            Err(refused) => return Ok(self.refused(refused)),
        };
        let options = match creation(&self.patched(public_key(&begun)?, None), self.browser) {
            Ok(options) => options,
            Err(error) => return Ok(self.by_client(&error)),
        };
        let client = self.client(site).await?;
        let made = match client.create(&options, &mut self.keys, Cancel::never()).await {
            Ok(made) => parsed(&made.to_json())?,
            Err(error) => return Ok(self.by_client(&error)),
        };
        self.clock.advance(self.row.wait_s);
        let mut finishing = site.clone();
        if self.row.act == Some(Act::FinishElsewhere) {
            // Another node, which knows the user and shares nothing else.
            let store = Arc::new(new_store(&self.clock)?);
            finishing = Site::new(self.serve(self.settings.clone(), &store, true), &self.host(&self.row.visit.address));
            accepted("login", finishing.log_in(USER, PASSWORD).await?)?;
        }
        let finish = json!({ "challenge": begun.get("challenge"), "description": "again", "credential": made });
        let answer = finishing.post("/api/factors/webauthn", finish).await?;
        Ok(self.answered(answer))
    }

    /// At a site that does not look at its settings.
    async fn register_alone(&mut self, site: &Site) -> Result<Outcome, Broken> {
        let options = registration_options(&self.settings.rp_id)?;
        let client = self.client(site).await?;
        Ok(match client.create(&options, &mut self.keys, Cancel::never()).await {
            Ok(_) => nobody(),
            Err(error) => self.by_client(&error),
        })
    }

    async fn log_in(&mut self, site: &mut Site, enrolled: Option<&Enrolled>) -> Result<Outcome, Broken> {
        let begun = match site.log_in(USER, PASSWORD).await? {
            Ok(begun) => begun,
            Err(refused) => return Ok(self.refused(refused)),
        };
        let (login, ceremony) = second_factor(&begun)?;
        let options = match request(&self.patched(public_key(ceremony)?, enrolled), self.browser) {
            Ok(options) => options,
            Err(error) => return Ok(self.by_client(&error)),
        };
        let client = self.client(site).await?;
        let signed = match client.get(&options, &mut self.keys, Cancel::never()).await {
            Ok(signed) => parsed(&signed.to_json())?,
            Err(error) => return Ok(self.by_client(&error)),
        };
        if let (Some(Act::FinishTwice), Some(enrolled), false) = (self.row.act, enrolled, self.caught) {
            return self.judge_twice(&signed, &options, enrolled);
        }
        self.clock.advance(self.row.wait_s);
        let finish = json!({ "login": login, "challenge": ceremony.get("challenge"), "credential": signed });
        let mut answer = site.post("/api/login/webauthn", finish.clone()).await?;
        if self.row.act == Some(Act::FinishTwice) {
            accepted("login", answer)?;
            answer = site.without_session().post("/api/login/webauthn", finish).await?;
        }
        Ok(self.answered(answer))
    }

    async fn log_in_by_passkey(&mut self, site: &mut Site, enrolled: Option<&Enrolled>) -> Result<Outcome, Broken> {
        let begun = match site.post("/api/login/passkey/begin", json!({})).await? {
            Ok(begun) => begun,
            Err(refused) => return Ok(self.refused(refused)),
        };
        let options = match request(&self.patched(public_key(&begun)?, enrolled), self.browser) {
            Ok(options) => options,
            Err(error) => return Ok(self.by_client(&error)),
        };
        let client = self.client(site).await?;
        let signed = match client.get(&options, &mut self.keys, Cancel::never()).await {
            Ok(signed) => parsed(&signed.to_json())?,
            Err(error) => return Ok(self.by_client(&error)),
        };
        let (login, challenge) = (begun.get("login"), begun.get("challenge"));
        let finish = json!({ "login": login, "challenge": challenge, "credential": signed });
        let answer = site.post("/api/login/passkey", finish).await?;
        Ok(self.answered(answer))
    }

    /// With what U2F made, at a server that verifies as WebAuthn says and knows no AppID.
    async fn log_in_alone(&mut self, site: &Site, enrolled: Option<&Enrolled>) -> Result<Outcome, Broken> {
        let enrolled = enrolled.ok_or_else(|| Broken::new("nothing is enrolled to log in with"))?;
        let rp_id = self.settings.rp_id.clone();
        let options = json!({
            "challenge": URL_SAFE_NO_PAD.encode(CHALLENGE),
            "rpId": rp_id,
            "userVerification": "discouraged",
            "allowCredentials": [{ "type": "public-key", "id": enrolled.id }],
        });
        let options = request(&self.patched(&options, Some(enrolled)), self.browser)
            .map_err(|error| Broken::new(error.to_string()))?;
        let client = self.client(site).await?;
        let signed = match client.get(&options, &mut self.keys, Cancel::never()).await {
            Ok(signed) => parsed(&signed.to_json())?,
            Err(error) => return Ok(self.by_client(&error)),
        };
        let response = AuthenticationResponse::from_value(&signed).map_err(|error| Broken::new(error.to_string()))?;
        let origins = [rule(&self.row.visit.address)?];
        let allowed: Vec<_> = options.allow_credentials.iter().map(|entry| entry.id.clone()).collect();
        let record = enrolled.record.as_ref();
        let expected = AuthenticationExpectations::new(&CHALLENGE, &rp_id, &origins, &allowed, record);
        let report = verify_authentication(&response, &expected).report;
        let failed = report.failed().find(|finding| finding.refuses()).map(|finding| finding.check.id().to_owned());
        Ok(match failed {
            None => nobody(),
            code => Outcome { by: Detector::Site, code, name: None, message: None },
        })
    }

    async fn log_in_by_password(&mut self, site: &mut Site, enrolled: Option<&Enrolled>) -> Result<Outcome, Broken> {
        if let (Some(Act::DropUnservable), false) = (self.row.act, self.caught) {
            let server = Dropping {
                rp_id: self.settings.rp_id.clone(),
                origin: self.written_origin()?.to_owned(),
                user: USER.to_owned(),
                password: PASSWORD.to_owned(),
                credential: enrolled.map(|enrolled| enrolled.id.clone()),
            };
            *site = site.at(server.router(), &self.host(&self.row.visit.address));
        }
        let answer = site.log_in(USER, PASSWORD).await?;
        match answer.as_ref().ok().and_then(|answer| answer.get("state")?.as_str()) {
            Some("logged_in") | None => Ok(self.answered(answer)),
            Some(state) => Err(Broken::new(format!("the password alone does not decide: {state}"))),
        }
    }

    /// The first origin of the settings, as somebody wrote it.
    fn written_origin(&self) -> Result<&str, Broken> {
        let first = self.table.get("origins").and_then(toml::Value::as_array).and_then(|origins| origins.first());
        first.and_then(toml::Value::as_str).ok_or_else(|| Broken::new("the settings have no origin"))
    }

    async fn log_in_by_code(&mut self, site: &mut Site) -> Result<Outcome, Broken> {
        accepted("login", site.log_in(USER, PASSWORD).await?)?;
        let begun = accepted("TOTP", site.post("/api/factors/totp/begin", json!({})).await?)?;
        let uri = begun.get("uri").and_then(Value::as_str).unwrap_or_default();
        let totp = Totp::from_uri(uri).map_err(|error| Broken::new(error.to_string()))?;
        let users_clock = self.clock.now();
        let (challenge, code) = (begun.get("challenge"), totp.code(users_clock));
        let finish = json!({ "challenge": challenge, "description": "app", "code": code });
        accepted("TOTP", site.post("/api/factors/totp", finish).await?)?;
        self.clock.advance(self.row.wait_s);
        let mut another = site.without_session();
        let begun = accepted("login", another.log_in(USER, PASSWORD).await?)?;
        let finish = json!({ "login": begun.get("login"), "code": totp.code(users_clock) });
        let answer = another.post("/api/login/totp", finish).await?;
        Ok(self.answered(answer))
    }

    fn answered(&mut self, answer: Result<Value, Refused>) -> Outcome {
        match answer {
            Ok(_) => nobody(),
            Err(refused) => self.refused(refused),
        }
    }

    fn refused(&mut self, Refused { code, decided }: Refused) -> Outcome {
        self.decided = decided;
        Outcome { by: Detector::Site, code: Some(code), name: None, message: None }
    }

    fn by_client(&self, error: &ClientError) -> Outcome {
        Outcome {
            by: match error.refused_by() {
                RefusedBy::Client => Detector::Browser,
                RefusedBy::Authenticator => Detector::Key,
            },
            code: Some(error.code()),
            name: Some(error.name.to_string()),
            message: error.observed_message(self.browser).map(Cow::into_owned),
        }
    }
}

fn name() -> Result<KeyName, Broken> {
    KEY.parse().map_err(|_| Broken::new("the key has no name"))
}

fn nobody() -> Outcome {
    Outcome { by: Detector::Nobody, code: None, name: None, message: None }
}

fn new_store(clock: &TestClock) -> Result<Store, Broken> {
    let store = Store::in_memory().map_err(|error| Broken::new(error.to_string()))?;
    let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness);
    let hash = hash.map_err(|error| Broken::new(error.to_string()))?;
    let user = USER.parse().map_err(|error| Broken::new(format!("{error}")))?;
    let added = store.add_user(&user, Role::User, &hash, &By::command_line(clock.now()));
    added.map_err(|error| Broken::new(error.to_string()))?;
    Ok(store)
}
