//! Ceremonies: a page, its browser, all keys that are there, and what is done to them meanwhile.

use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_client::channel::{Cancel, ChannelError};
use keyrig_client::json::{CreationOptions, InvalidJson, RequestOptions};
use keyrig_client::pin::{PinReason, PinRequest};
use keyrig_client::related_origins::{self, Fetched};
use keyrig_client::{Client, ClientError, Key, Origin, Pin};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Run;
use super::carrier::Way;
use super::error::RunError;
use super::hands::Hands;
use super::outcome::Outcome;
use super::steps::by_the_site;
use super::time::RunTime;
use crate::language::{Act, CeremonyTable, ClientPlan, CredentialKind, Scenario, StepPlan};
use crate::site::{Begun, PasswordStep, Site};

/// What a page got: a credential in JSON, or who refused.
type Credential = Result<Value, Box<Outcome>>;

impl Run<'_> {
    pub(super) fn user<'s>(&self, step: &'s StepPlan) -> String {
        let first = || self.scenario.users.first().map(|user| user.name.clone()).unwrap_or_default();
        step.with.user.as_ref().map_or_else(first, |user: &'s crate::language::At<String>| user.value.clone())
    }

    /// The page of a step.
    async fn page(&mut self, step: &StepPlan) -> Result<Client, RunError> {
        let plan = client(self.scenario, step)?;
        let ClientPlan { browser, origin, ancestors, rules, types_pins, .. } = plan;
        let origin = match origin {
            Some(origin) => origin.clone(),
            None => self.origin().parse::<Origin>().map_err(|error| RunError::Cannot(error.to_string()))?,
        };
        let related = self.related_origins(&origin).await?;
        let client = Client::new(origin).in_browser(*browser).with_rules(*rules).in_frames_of(ancestors.clone());
        let client = match related {
            Some((address, found)) => client.fetching(move |asked| match asked == address {
                true => found.clone(),
                false => Fetched::Unreachable("there is no such site in this scenario".to_owned()),
            }),
            None => client,
        };
        if !types_pins {
            return Ok(client);
        }
        let text = |written: &Option<crate::language::At<String>>| written.as_ref().map(|pin| pin.value.clone());
        let (pins, typed, new) = (self.keys.pins.clone(), text(&step.with.pin), text(&step.with.to));
        Ok(client.asking_for_pin(move |asked: &PinRequest| {
            // Once: whoever types the same again spends all retries.
            let pin = match (&asked.mistake, asked.reason) {
                (Some(_), _) => None,
                (None, PinReason::Verify) => typed.clone().or_else(|| pins.of(&asked.key)),
                (None, PinReason::Set | PinReason::Change) => new.clone(),
            };
            pin.map(|pin| Pin::new(&pin))
        }))
    }

    /// What a browser finds that looks whether a page elsewhere is related to the site, and at which address; if the site has any such pages.
    async fn related_origins(&mut self, origin: &Origin) -> Result<Option<(String, Fetched)>, RunError> {
        let plan = self.site.plan();
        let rp_id = plan.rp_id.as_str();
        let is_within =
            |host: &str| host.strip_suffix(rp_id).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if self.elsewhere.is_some() || plan.related_origins.is_empty() || origin.domain().is_some_and(is_within) {
            return Ok(None);
        }
        let address = related_origins::address(rp_id);
        let found = self.site.browser().related_origins().await?;
        self.hear_site();
        Ok(Some((address, found)))
    }

    /// The key that the finger is over in a step, if it is over any.
    pub(super) fn finger<'s>(step: &'s StepPlan, key: &'s str) -> Option<&'s str> {
        match step.with.finger.as_ref().map(|finger| finger.value.as_str()) {
            _ if !step.meanwhile.is_empty() => None,
            Some("nobody") => None,
            Some(other) => Some(other),
            None => Some(key),
        }
    }

    /// Does something with keys that may wait for a touch, and what is to be done meanwhile.
    pub(super) async fn with_gestures<T, E: fmt::Display>(
        &mut self,
        step: &StepPlan,
        key: &str,
        work: impl AsyncFnOnce(&mut [Key<Way>]) -> Result<T, E>,
    ) -> Result<Result<Result<T, E>, String>, RunError> {
        let over = Self::finger(step, key);
        let comes_later = |key: &str| step.meanwhile.iter().any(|act| matches!(act, Act::Plug(later) if later == key));
        let blinking = step.expected.blinked.iter().flatten().map(|key| key.value.as_str());
        let blinking: Vec<_> = blinking.filter(|key| !comes_later(key)).collect();
        let several = blinking.len() > 1;
        let gives_up = step.meanwhile.iter().all(|act| matches!(act, Act::Advance(_)));
        let (hands, time) = (self.keys.hands(), self.time.clone());
        hands.put_finger(over, !several, gives_up).await?;
        let done = Cell::new(0);
        let acting = async {
            if several {
                hands.wait_for_all(&blinking).await?;
                if over.is_some() {
                    hands.put_finger(over, true, gives_up).await?;
                }
            }
            meanwhile(&hands, &time, &step.meanwhile, key, &done).await
        };
        let worked = tokio::select! {
            biased;
            worked = work(&mut self.keys.there) => Ok(worked),
            Err(refusal) = acting => Err(format!("meanwhile: {refusal}")),
        };
        for act in step.meanwhile.iter().take(done.get()) {
            if let Act::Unplug(name) | Act::PowerCycle(name) = act {
                self.keys.forget(name).await?;
            }
        }
        self.keys.look().await?;
        let left = step.meanwhile.get(done.get());
        Ok(match (worked, left) {
            (Ok(Ok(_)), Some(left)) => Err(format!("it was over before this was done meanwhile: {left}")),
            (Ok(Err(refusal)), Some(left)) => {
                Err(format!("it was over before this was done meanwhile: {left}; it ended with: {refusal}"))
            }
            (worked, _) => worked,
        })
    }

    /// `navigator.credentials.create()` of a step's page.
    async fn create(
        &mut self,
        step: &StepPlan,
        key: &str,
        begun: &Begun<CreationOptions>,
    ) -> Result<Credential, RunError> {
        let (page, browser) = (self.page(step).await?, client(self.scenario, step)?.browser);
        let options = match changed(begun, step, |text| CreationOptions::from_json_in(text, browser)) {
            Ok(options) => options,
            Err(error) => return Ok(Err(Box::new(Outcome::refused(&ClientError::from(error))))),
        };
        let made = self
            .with_gestures(step, key, async |keys: &mut [Key<Way>]| {
                page.create(&options, keys, Cancel::never()).await.map(|made| made.to_json())
            })
            .await?;
        Ok(self.credential(step, key, made))
    }

    /// `navigator.credentials.get()` likewise.
    async fn get(&mut self, step: &StepPlan, key: &str, begun: &Begun<RequestOptions>) -> Result<Credential, RunError> {
        let (page, browser) = (self.page(step).await?, client(self.scenario, step)?.browser);
        let options = match changed(begun, step, |text| RequestOptions::from_json_in(text, browser)) {
            Ok(options) => options,
            Err(error) => return Ok(Err(Box::new(Outcome::refused(&ClientError::from(error))))),
        };
        let signed = self
            .with_gestures(step, key, async |keys: &mut [Key<Way>]| {
                page.get(&options, keys, Cancel::never()).await.map(|signed| signed.to_json())
            })
            .await?;
        Ok(self.credential(step, key, signed))
    }

    fn credential(
        &mut self,
        step: &StepPlan,
        key: &str,
        got: Result<Result<String, ClientError>, String>,
    ) -> Credential {
        self.hear_keys();
        match got {
            Ok(Ok(json)) => {
                if let Some(pin) = &step.with.to {
                    self.keys.pins.remember(key, Some(pin.value.clone()));
                }
                Ok(serde_json::from_str(&json).unwrap_or_default())
            }
            Ok(Err(error)) => Err(Box::new(Outcome::refused(&error))),
            Err(problem) => Err(Box::new(Outcome::problem(problem))),
        }
    }

    /// The session of a user: with the password alone, if there is none yet.
    pub(super) async fn session(&mut self, user: &str) -> Result<Result<Site, Outcome>, RunError> {
        if let Some(site) = self.site.sessions.get(user) {
            return Ok(Ok(site.clone()));
        }
        let mut site = self.site.browser();
        Ok(match site.log_in(user, &self.site.password(user)).await? {
            Ok(PasswordStep::LoggedIn | PasswordStep::EnrolmentRequired) => {
                self.site.sessions.insert(user.to_owned(), site.clone());
                Ok(site)
            }
            Ok(PasswordStep::SecondFactor(_)) => Err(Outcome::problem(format!(
                "{user} is not logged in, and the password is not enough: put a step before by which {user} logs in"
            ))),
            Err(refusal) => Err(Outcome::refused(refusal)),
        })
    }

    pub(super) async fn register(&mut self, step: &StepPlan, key: &str) -> Result<Outcome, RunError> {
        let user = self.user(step);
        if let Some(ceremony) = self.elsewhere.as_ref().map(|elsewhere| elsewhere.plan.register.clone()) {
            let ask = async |run: &mut Self, begun: &Begun<CreationOptions>| run.create(step, key, begun).await;
            let browser = client(self.scenario, step)?.browser;
            return self.elsewhere(&user, &ceremony, |text| CreationOptions::from_json_in(text, browser), ask).await;
        }
        let kind = step.with.kind.as_ref().map_or(CredentialKind::SecondFactor, |kind| kind.value);
        if kind == CredentialKind::U2f {
            return self.register_by_u2f(step, key, &user).await;
        }
        let mut site = match self.session(&user).await? {
            Ok(site) => site,
            Err(outcome) => return Ok(outcome),
        };
        let is_passkey = kind == CredentialKind::Passkey;
        let replaces = match &step.with.replaces {
            None => None,
            Some(description) => {
                let factors = self.site.factors(&user)?;
                let found = factors.into_iter().find(|(_, known, _)| *known == description.value);
                let Some((id, ..)) = found else {
                    return Ok(Outcome::problem(format!("{user} has no factor {:?}", description.value)));
                };
                Some(id)
            }
        };
        let replaces = replaces.as_deref();
        let mut begun = site.begin_registration_in_place(is_passkey, replaces).await?;
        if begun.as_ref().is_err_and(|refusal| refusal.code == "confirmation_required") {
            if let Err(refusal) = site.confirm(&self.site.password(&user)).await? {
                return Ok(Outcome::refused(refusal));
            }
            begun = site.begin_registration_in_place(is_passkey, replaces).await?;
        }
        self.hear_site();
        let begun = match begun {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        let credential = match self.create(step, key, &begun).await? {
            Ok(credential) => credential,
            Err(outcome) => return Ok(*outcome),
        };
        let description = step.with.description.as_ref().map_or(key, |text| &text.value);
        let answer = site.finish_registration(&begun.challenge, description, &credential).await?;
        self.hear_site();
        Ok(match answer {
            Ok(answer) => {
                self.descriptions.insert(touched(step, key), description.to_owned());
                self.site.sessions.insert(user, site);
                Outcome { counter: counter(&credential), ..Outcome::default() }.with_answer(&answer)
            }
            Err(refusal) => Outcome::refused(refusal),
        })
    }

    /// Registers a key as a site did before it had WebAuthn, by U2F and under its AppID, and moves what that has verified.
    async fn register_by_u2f(&mut self, step: &StepPlan, key: &str, user: &str) -> Result<Outcome, RunError> {
        let app_id = self.site.plan().app_id.clone().unwrap_or_default();
        // Of the client data the key gets a hash (FIDO U2F Raw Message Formats 1.2 §4.1), and it is checked by whoever registered it then.
        let client_data = json!({ "typ": "navigator.id.finishEnrollment", "challenge": "", "origin": self.origin() });
        let [application, challenge] = [app_id, client_data.to_string()].map(|text| Sha256::digest(text).into());
        let touched_key = touched(step, key);
        let made = self
            .with_gestures(step, key, async |keys: &mut [Key<Way>]| {
                let key = keys.iter_mut().find(|key| key.name() == touched_key).ok_or(ChannelError::Unplugged)?;
                key.register_by_u2f(application, challenge, &Cancel::never()).await
            })
            .await?;
        self.hear_keys();
        let registration = match made {
            Ok(Ok(registration)) => registration,
            Ok(Err(cause)) => return Ok(Outcome::of_key(&touched_key, Err(cause))),
            Err(problem) => return Ok(Outcome::problem(problem)),
        };
        let Some(public_key) = registration.cose_key() else {
            return Ok(Outcome::problem(format!("key {touched_key} made no point on P-256")));
        };
        let description = step.with.description.as_ref().map_or(key, |text| &text.value);
        let moved = self.site.move_here(user, description, (&registration.key_handle, &public_key))?;
        if let Err(reason) = moved {
            return Ok(Outcome::refused(by_the_site("administration_refused", reason)));
        }
        self.descriptions.insert(touched_key, description.to_owned());
        Ok(Outcome::default())
    }

    pub(super) async fn login(&mut self, step: &StepPlan, key: &str) -> Result<Outcome, RunError> {
        let user = self.user(step);
        if let Some(ceremony) = self.elsewhere.as_ref().map(|elsewhere| elsewhere.plan.login.clone()) {
            return self.login_elsewhere(step, key, &user, &ceremony).await;
        }
        let (mut browser, offered) = match self.give_password(step, &user).await? {
            Ok(offered) => offered,
            Err(outcome) => return Ok(outcome),
        };
        let Some(begun) = offered.webauthn else {
            let reason = "it offers no security key".to_owned();
            return Ok(Outcome::refused(by_the_site("no_security_key_offered", reason)));
        };
        let credential = match self.get(step, key, &begun).await? {
            Ok(credential) => credential,
            Err(outcome) => return Ok(*outcome),
        };
        let answer = browser.finish_login_by_key(&offered.login, &begun.challenge, &credential).await?;
        self.hear_site();
        match answer {
            Ok(answer) => self.logged_in(user, browser, &credential, &answer),
            Err(refusal) => Ok(Outcome::refused(refusal)),
        }
    }

    pub(super) async fn passkey(&mut self, step: &StepPlan, key: &str) -> Result<Outcome, RunError> {
        let user = self.user(step);
        if let Some(ceremony) = self.elsewhere.as_ref().map(|elsewhere| elsewhere.plan.passkey.clone()) {
            return self.login_elsewhere(step, key, &user, &ceremony).await;
        }
        let mut browser = self.site.browser();
        let begun = browser.begin_passkey_login().await?;
        self.hear_site();
        let (login, begun) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        let credential = match self.get(step, key, &begun).await? {
            Ok(credential) => credential,
            Err(outcome) => return Ok(*outcome),
        };
        let answer = browser.finish_passkey_login(&login, &begun.challenge, &credential).await?;
        self.hear_site();
        match answer {
            Ok(answer) => {
                let who = answer.pointer("/session/user").and_then(Value::as_str).unwrap_or_default().to_owned();
                if who != user {
                    return Ok(Outcome::problem(format!("it logged in {who}, not {user}")));
                }
                self.logged_in(user, browser, &credential, &answer)
            }
            Err(refusal) => Ok(Outcome::refused(refusal)),
        }
    }

    /// A ceremony at a site of others, of whichever kind: its options are read, and a page asks keys.
    async fn elsewhere<O>(
        &mut self,
        user: &str,
        ceremony: &CeremonyTable,
        parse: impl FnOnce(&str) -> Result<O, InvalidJson>,
        ask: impl AsyncFnOnce(&mut Self, &Begun<O>) -> Result<Credential, RunError>,
    ) -> Result<Outcome, RunError> {
        let Some(site) = &mut self.elsewhere else { return Ok(Outcome::default()) };
        let begun = site.begin(user, ceremony, parse).await?;
        self.hear_site();
        let (begun, answer) = match begun {
            Ok(begun) => begun,
            Err(outcome) => return Ok(*outcome),
        };
        let credential = match ask(self, &begun).await? {
            Ok(credential) => credential,
            Err(outcome) => return Ok(*outcome),
        };
        let Some(site) = &mut self.elsewhere else { return Ok(Outcome::default()) };
        let refused = site.finish(user, ceremony, &answer, &credential).await?;
        self.hear_site();
        Ok(Outcome { refused, counter: counter(&credential), ..Outcome::default() })
    }

    async fn login_elsewhere(
        &mut self,
        step: &StepPlan,
        key: &str,
        user: &str,
        ceremony: &CeremonyTable,
    ) -> Result<Outcome, RunError> {
        let ask = async |run: &mut Self, begun: &Begun<RequestOptions>| run.get(step, key, begun).await;
        let browser = client(self.scenario, step)?.browser;
        self.elsewhere(user, ceremony, |text| RequestOptions::from_json_in(text, browser), ask).await
    }

    /// Gives a password, where a second factor is asked for behind it.
    pub(super) async fn give_password(
        &mut self,
        step: &StepPlan,
        user: &str,
    ) -> Result<Result<(Site, crate::site::SecondFactor), Outcome>, RunError> {
        let mut browser = self.site.browser();
        let password = step.with.password.as_ref().map_or_else(|| self.site.password(user), |text| text.value.clone());
        let answer = browser.log_in(user, &password).await?;
        self.hear_site();
        Ok(match answer {
            Ok(PasswordStep::SecondFactor(offered)) => Ok((browser, *offered)),
            Ok(PasswordStep::LoggedIn) => {
                Err(Outcome::problem(format!("the password alone logged in: {user} has no second factor")))
            }
            Ok(PasswordStep::EnrolmentRequired) => {
                Err(Outcome::problem(format!("{user} has no second factor, and was to enrol one")))
            }
            Err(refusal) => Err(Outcome::refused(refusal)),
        })
    }

    fn logged_in(
        &mut self,
        user: String,
        browser: Site,
        credential: &Value,
        answer: &Value,
    ) -> Result<Outcome, RunError> {
        let id = credential.get("id");
        let factors = self.site.factors(&user)?;
        let used = factors.into_iter().find(|(_, _, credential)| credential.is_some() && credential.as_ref() == id);
        self.site.sessions.insert(user, browser);
        let key = used.map(|(_, description, _)| description);
        Ok(Outcome { key, counter: counter(credential), ..Outcome::default() }.with_answer(answer))
    }
}

/// The key that is touched in a step.
fn touched(step: &StepPlan, key: &str) -> String {
    step.with.finger.as_ref().map_or_else(|| key.to_owned(), |finger| finger.value.clone())
}

/// Does one act after another, each once its key waits; never ends if there is nothing more to do.
async fn meanwhile(
    hands: &Hands,
    time: &RunTime,
    acts: &[Act],
    of_step: &str,
    done: &Cell<usize>,
) -> Result<Infallible, RunError> {
    for act in acts {
        hands.wait_for(act.waits_for().unwrap_or(of_step)).await?;
        // Before: what it leads to may be over before we hear of it.
        done.set(done.get() + 1);
        hands.perform(time, act).await?;
    }
    core::future::pending().await
}

/// The options as a page hands them on that changes them.
fn changed<O: Clone>(
    begun: &Begun<O>,
    step: &StepPlan,
    parse: impl FnOnce(&str) -> Result<O, InvalidJson>,
) -> Result<O, InvalidJson> {
    let Some(patch) = &step.with.options else { return Ok(begun.options.clone()) };
    let mut json = begun.json.clone();
    merge(&mut json, &serde_json::to_value(&patch.value).unwrap_or_default());
    parse(&json.to_string())
}

/// The client of a step.
fn client<'s>(scenario: &'s Scenario, step: &StepPlan) -> Result<&'s ClientPlan, RunError> {
    let clients = &scenario.clients;
    let named = step.with.client.as_ref().and_then(|name| clients.iter().find(|client| client.name == name.value));
    named.or(clients.first()).ok_or_else(|| RunError::Cannot("there is no client".to_owned()))
}

/// JSON Merge Patch (RFC 7396, section 2), but that TOML has no null: what is to go is an empty list.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// The signature counter in a credential's authenticator data (WebAuthn Level 3, §6.1).
fn counter(credential: &Value) -> Option<u32> {
    let data = credential.pointer("/response/authenticatorData").and_then(Value::as_str)?;
    let bytes = URL_SAFE_NO_PAD.decode(data).ok()?;
    bytes.get(33..37)?.try_into().ok().map(u32::from_be_bytes)
}
