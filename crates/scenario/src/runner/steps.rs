//! What each verb does.

use core::time::Duration;

use keyrig_client::channel::{Cancel, ChannelError};
use keyrig_client::pin::PinRequest;
use keyrig_client::{Key, Permissions, Pin, PinRules};
use keyrig_faults::Fault;
use keyrig_rack::command::Command;
use keyrig_relying_party::{FAILURES, Totp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Run;
use super::carrier::Way;
use super::error::RunError;
use super::hands::named;
use super::outcome::Outcome;
use crate::language::{FactorAct, StepPlan, Verb};
use crate::report::Party;
use crate::results::Refused;
use crate::site::{PasswordStep, SiteError};

/// PINs of which a key has at most one.
const WRONG_PINS: [&str; 2] = ["92837465", "56473829"];

/// The longest that is waited for real keys: more than any counts after power-up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Who types the PIN that a key has, and nothing after it was wrong.
fn typed_once(pin: Option<String>) -> impl Fn(&PinRequest) -> Option<Pin> {
    move |asked| pin.as_deref().filter(|_| asked.mistake.is_none()).map(Pin::new)
}

impl Run<'_> {
    /// Does what a step says, once.
    pub(super) async fn perform(&mut self, step: &StepPlan) -> Result<Outcome, RunError> {
        #[cfg(target_os = "linux")]
        if let Some(key) = step.verb.key().filter(|_| self.is_in_browser(step)) {
            return self.in_browser(step, &key.value).await;
        }
        match &step.verb {
            Verb::Register(key) => self.register(step, &key.value).await,
            Verb::Login(key) => self.login(step, &key.value).await,
            Verb::Passkey(key) => self.passkey(step, &key.value).await,
            Verb::PasswordLogin(user) => self.password_login(step, &user.value).await,
            Verb::Plug(keys) => {
                let mut seen = Vec::new();
                for key in keys {
                    seen.extend(self.keys.plug(&key.value).await?);
                }
                let detail = (!seen.is_empty()).then(|| seen.join(", "));
                Ok(Outcome { detail, ..Outcome::default() })
            }
            Verb::Unplug(keys) => {
                for key in keys {
                    self.keys.unplug(&key.value).await?;
                }
                Ok(Outcome::default())
            }
            Verb::PowerCycle(key) => self.keys.power_cycle(&key.value).await.map(|()| Outcome::default()),
            Verb::Touch(key) => self.gesture(Command::Touch { key: named(&key.value)?, wait: false }).await,
            Verb::Deny(key) => self.gesture(Command::Deny { key: named(&key.value)?, wait: false }).await,
            Verb::WrongPin(key) => self.wrong_pin(&key.value).await,
            Verb::ChangePin(key) => self.change_pin(step, &key.value).await,
            Verb::ForcePinChange(key) => self.force_pin_change(&key.value).await,
            Verb::EnableEnterpriseAttestation(key) => self.enable_enterprise_attestation(&key.value).await,
            Verb::Reset(key) => self.reset(step, &key.value).await,
            Verb::Clone(key) => {
                let called = step.with.called.as_ref().map(|name| name.value.clone()).unwrap_or_default();
                self.keys.clone_key(&key.value, &called).await?;
                if let Some(description) = self.descriptions.get(&key.value).cloned() {
                    self.descriptions.insert(called, description);
                }
                Ok(Outcome::default())
            }
            Verb::Fault(key) => self.fault(step, &key.value),
            Verb::Lock(user) => self.lock(&user.value).await,
            Verb::Unlock(user) => {
                let was_locked = self.site.unlock(&user.value)?;
                Ok(Outcome::told(if was_locked { "it was locked" } else { "nothing was locked" }))
            }
            Verb::RecoveryKey(FactorAct::Enrol) => self.make_recovery_keys(step).await,
            Verb::RecoveryKey(FactorAct::Login) => self.log_in_by_recovery_key(step).await,
            Verb::Totp(FactorAct::Enrol) => self.enrol_totp(step).await,
            Verb::Totp(FactorAct::Login) => self.log_in_by_code(step).await,
            Verb::Set(_) => {
                if let Some(site) = &step.site {
                    self.site.serve(site).await?;
                }
                Ok(Outcome::default())
            }
            Verb::Advance(delay) => {
                self.time.advance((*delay).into());
                #[cfg(target_os = "linux")]
                self.let_real_time_pass((*delay).into()).await;
                Ok(Outcome::default())
            }
            Verb::Admin(_) => {
                let Some(command) = &step.admin else { return Ok(Outcome::default()) };
                Ok(match self.site.administer(command).await? {
                    Ok(told) => Outcome::told(told),
                    Err(reason) => Outcome::refused(by_the_site("administration_refused", reason)),
                })
            }
            Verb::Call(call) => self.call(step, &call.value).await,
            Verb::Assert(assert) => self.assert(step, assert),
        }
    }

    /// Real keys look at their own clocks. What they count is how long ago they were powered up, by which they take a reset or not: for that
    /// alone it is waited.
    #[cfg(target_os = "linux")]
    async fn let_real_time_pass(&self, delay: Duration) {
        let resets = self.scenario.steps.iter().any(|step| matches!(step.verb, Verb::Reset(_)));
        if let Some(hid) = self.keys.hid().filter(|_| resets) {
            let delay = delay.min(LONGEST_WAIT);
            hid.tell(&format!("waiting {} s: keys have clocks of their own", delay.as_secs()));
            sleep(delay).await;
        }
    }

    async fn gesture(&mut self, command: Command) -> Result<Outcome, RunError> {
        Ok(match self.keys.rack.command(command).await {
            Ok(_) => Outcome::default(),
            Err(refusal) => Outcome::problem(refusal.to_string()),
        })
    }

    async fn password_login(&mut self, step: &StepPlan, user: &str) -> Result<Outcome, RunError> {
        let mut site = self.site.browser();
        let password = step.with.password.as_ref().map_or_else(|| self.site.password(user), |text| text.value.clone());
        let answer = site.log_in(user, &password).await?;
        self.hear_site();
        let confirms = match answer {
            Ok(PasswordStep::LoggedIn) => true,
            Ok(PasswordStep::EnrolmentRequired) => false,
            Ok(PasswordStep::SecondFactor(offered)) => {
                let mut factors = Vec::new();
                factors.extend(offered.webauthn.is_some().then_some("a security key"));
                factors.extend(offered.totp.then_some("a code"));
                factors.extend(offered.recovery.is_some().then_some("a recovery key"));
                let reason = format!("the password is not enough: it wants {}", factors.join(" or "));
                return Ok(Outcome::refused(by_the_site("second_factor_required", reason)));
            }
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        if confirms && let Err(refusal) = site.confirm(&password).await? {
            return Ok(Outcome::refused(refusal));
        }
        self.site.sessions.insert(user.to_owned(), site);
        Ok(Outcome::default())
    }

    async fn wrong_pin(&mut self, name: &str) -> Result<Outcome, RunError> {
        let known = self.keys.pins.of(name);
        let wrong = WRONG_PINS.into_iter().find(|pin| known.as_deref() != Some(*pin)).unwrap_or_default();
        let wrong = Pin::new(wrong);
        let done = self.keys.one(name)?.change_pin(&wrong, &wrong, &Cancel::never()).await;
        self.hear_keys();
        Ok(Outcome::of_key(name, done))
    }

    async fn change_pin(&mut self, step: &StepPlan, name: &str) -> Result<Outcome, RunError> {
        let text = |written: &Option<crate::language::At<String>>| written.as_ref().map(|pin| pin.value.clone());
        let to = text(&step.with.to).unwrap_or_default();
        let current = text(&step.with.from).or_else(|| self.keys.pins.of(name));
        let key = self.keys.one(name)?;
        let never = Cancel::never();
        let done = match current {
            Some(current) => key.change_pin(&Pin::new(&current), &Pin::new(&to), &never).await,
            None => key.set_pin(&Pin::new(&to), &never).await,
        };
        self.hear_keys();
        if done.is_ok() {
            self.keys.pins.remember(name, Some(to));
        }
        Ok(Outcome::of_key(name, done))
    }

    async fn force_pin_change(&mut self, name: &str) -> Result<Outcome, RunError> {
        let ask = typed_once(self.keys.pins.of(name));
        let key = self.keys.one(name)?;
        let never = Cancel::never();
        let done = async {
            let permissions = Permissions::ACFG;
            let token = key.pin_uv_auth_token(permissions, None, &ask, &never).await?;
            let rules = PinRules { force_change: true, ..PinRules::default() };
            key.set_pin_rules(&rules, Some(&token), &never).await
        };
        let done = done.await;
        self.hear_keys();
        Ok(Outcome::of_key(name, done))
    }

    async fn enable_enterprise_attestation(&mut self, name: &str) -> Result<Outcome, RunError> {
        let pin = self.keys.pins.of(name);
        let has_pin = pin.is_some();
        let ask = typed_once(pin);
        let key = self.keys.one(name)?;
        let never = Cancel::never();
        let done = async {
            // Without a PIN anybody may (CTAP 2.3 §6.11).
            let token = match has_pin {
                true => Some(key.pin_uv_auth_token(Permissions::ACFG, None, &ask, &never).await?),
                false => None,
            };
            key.enable_enterprise_attestation(token.as_ref(), &never).await
        };
        let done = done.await;
        self.hear_keys();
        Ok(Outcome::of_key(name, done))
    }

    async fn reset(&mut self, step: &StepPlan, name: &str) -> Result<Outcome, RunError> {
        self.keys.one(name)?;
        let done = self
            .with_gestures(step, name, async |keys: &mut [Key<Way>]| {
                let key = keys.iter_mut().find(|key| key.name() == name).ok_or(ChannelError::Unplugged)?;
                key.reset(&Cancel::never()).await
            })
            .await?;
        self.hear_keys();
        Ok(match done {
            Ok(done) => {
                if done.is_ok() {
                    self.keys.pins.remember(name, None);
                    self.descriptions.remove(name);
                }
                Outcome::of_key(name, done)
            }
            Err(problem) => Outcome::problem(problem),
        })
    }

    fn fault(&mut self, step: &StepPlan, name: &str) -> Result<Outcome, RunError> {
        let key = named(name)?;
        let read = |text: &str| text.parse::<Fault>().map_err(|error| RunError::Cannot(error.to_string()));
        if let Some(on) = &step.with.on {
            self.keys.faults.switch_on(&key, read(&on.value)?).map_err(|error| error.at(&key))?;
        }
        if let Some(off) = &step.with.off {
            let which = if off.value == "all" { None } else { Some(read(&off.value)?) };
            let off = self.keys.faults.switch_off(&key, which.as_ref());
            let happened: Vec<_> =
                off.iter().map(|on| format!("{} happened {} times", on.fault, on.happened)).collect();
            return Ok(Outcome::told(happened.join(", ")));
        }
        Ok(Outcome::default())
    }

    async fn lock(&mut self, user: &str) -> Result<Outcome, RunError> {
        let mut browser = self.site.browser();
        let login = match browser.log_in(user, &self.site.password(user)).await? {
            Ok(PasswordStep::SecondFactor(offered)) => offered.login,
            Ok(_) => return Ok(Outcome::problem(format!("{user} has no second factor to be wrong with"))),
            Err(refusal) => return Ok(Outcome::refused(refusal)),
        };
        for _ in 0..FAILURES {
            // Each is refused: that is what it is for.
            drop(browser.finish_login_by_recovery_key(&login, "wrong").await?);
        }
        let user = self.site.user(user)?;
        Ok(if self.site.is_locked(&user) {
            Outcome::told(format!("after {FAILURES} wrong recovery keys"))
        } else {
            Outcome::problem(format!("{} is not locked after {FAILURES} failures", user.name))
        })
    }

    async fn make_recovery_keys(&mut self, step: &StepPlan) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let answer = match self.as_user(&user, "/api/factors/recovery", &json!({ "description": "paper" })).await? {
            Ok(answer) => answer,
            Err(outcome) => return Ok(outcome),
        };
        self.site.keep_paper(&user, &answer);
        Ok(Outcome::default().with_answer(&answer))
    }

    async fn log_in_by_recovery_key(&mut self, step: &StepPlan) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let (mut browser, offered) = match self.give_password(step, &user).await? {
            Ok(offered) => offered,
            Err(outcome) => return Ok(outcome),
        };
        let possessions = self.site.possessions(&user);
        let again = step.with.again.as_ref().is_some_and(|again| again.value);
        let number = match &step.with.number {
            Some(number) => number.value,
            None if again => possessions.given,
            None => possessions.given + 1,
        };
        let Some(key) = number.checked_sub(1).and_then(|index| possessions.paper.get(index)).cloned() else {
            return Ok(Outcome::problem(format!("{user} has no recovery key number {number}")));
        };
        possessions.given = possessions.given.max(number);
        let answer = browser.finish_login_by_recovery_key(&offered.login, &key).await?;
        self.hear_site();
        Ok(self.come_in(user, browser, answer))
    }

    async fn enrol_totp(&mut self, step: &StepPlan) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let begun = match self.as_user(&user, "/api/factors/totp/begin", &json!({})).await? {
            Ok(begun) => begun,
            Err(outcome) => return Ok(outcome),
        };
        let missing = |member| SiteError::Incomplete { path: "/api/factors/totp/begin".to_owned(), member };
        let uri = begun.get("uri").and_then(Value::as_str).ok_or_else(|| missing("uri"))?;
        let totp = Totp::from_uri(uri).map_err(|error| RunError::Cannot(error.to_string()))?;
        self.site.possessions(&user).totp = Some(totp);
        let code = match &step.with.code {
            Some(code) => code.value.clone(),
            None => self.site.totp_code(&user, step.with.drift.as_ref().map_or(0, |drift| drift.value))?,
        };
        let body = json!({ "challenge": begun.get("challenge"), "description": "app", "code": code });
        Ok(match self.as_user(&user, "/api/factors/totp", &body).await? {
            Ok(answer) => Outcome::default().with_answer(&answer),
            Err(outcome) => outcome,
        })
    }

    async fn log_in_by_code(&mut self, step: &StepPlan) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let (mut browser, offered) = match self.give_password(step, &user).await? {
            Ok(offered) => offered,
            Err(outcome) => return Ok(outcome),
        };
        let again = step.with.again.as_ref().is_some_and(|again| again.value);
        let code = match (&step.with.code, self.site.possessions(&user).last_code.clone()) {
            (Some(code), _) => code.value.clone(),
            (None, Some(last)) if again => last,
            (None, _) => self.site.totp_code(&user, step.with.drift.as_ref().map_or(0, |drift| drift.value))?,
        };
        self.site.possessions(&user).last_code = Some(code.clone());
        let answer = browser.finish_login_by_totp(&offered.login, &code).await?;
        self.hear_site();
        Ok(self.come_in(user, browser, answer))
    }

    fn come_in(
        &mut self,
        user: String,
        browser: crate::site::Site,
        answer: Result<Value, crate::site::SiteRefusal>,
    ) -> Outcome {
        match answer {
            Ok(answer) => {
                self.site.sessions.insert(user, browser);
                Outcome::default().with_answer(&answer)
            }
            Err(refusal) => Outcome::refused(refusal),
        }
    }

    /// Posts something as a user, who gives the password again if that is asked for.
    async fn as_user(&mut self, user: &str, path: &str, body: &Value) -> Result<Result<Value, Outcome>, RunError> {
        let mut site = match self.session(user).await? {
            Ok(site) => site,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let mut answer = site.request(Method::POST, path, Some(body)).await?;
        if answer.as_ref().is_err_and(|refusal| refusal.code == "confirmation_required") {
            if let Err(refusal) = site.confirm(&self.site.password(user)).await? {
                return Ok(Err(Outcome::refused(refusal)));
            }
            answer = site.request(Method::POST, path, Some(body)).await?;
        }
        self.hear_site();
        self.site.sessions.insert(user.to_owned(), site);
        Ok(answer.map_err(Outcome::refused))
    }

    async fn call(&mut self, step: &StepPlan, call: &str) -> Result<Outcome, RunError> {
        let body = step.with.body.as_ref().map(|body| serde_json::to_value(&body.value).unwrap_or_default());
        if self.elsewhere.is_some() {
            return self.call_elsewhere(step, call, body).await;
        }
        let (method, path) = call.split_once(' ').unwrap_or(("GET", call));
        let method = method.parse::<Method>().map_err(|error| RunError::Cannot(error.to_string()))?;
        let mut site = match &step.with.user {
            None => self.site.browser(),
            Some(user) => match self.session(&user.value).await? {
                Ok(site) => site,
                Err(outcome) => return Ok(outcome),
            },
        };
        let (status, answer) = site.call(method, path, body.as_ref()).await?;
        self.hear_site();
        if let Some(user) = &step.with.user {
            self.site.sessions.insert(user.value.clone(), site);
        }
        let refused = (status >= 400).then(|| {
            let text = |member: &str| answer.get(member).and_then(Value::as_str).map(str::to_owned);
            let reason = text("reason").or_else(|| text("message")).unwrap_or_else(|| format!("HTTP status {status}"));
            let code = text("code").unwrap_or_else(|| "refused".to_owned());
            Refused { report: answer.get("report").cloned(), ..by_the_site(&code, reason) }
        });
        Ok(Outcome { refused, answer: Some((status, answer)), ..Outcome::default() })
    }
}

impl Run<'_> {
    async fn call_elsewhere(&mut self, step: &StepPlan, call: &str, body: Option<Value>) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let Some(site) = &mut self.elsewhere else { return Ok(Outcome::default()) };
        let (status, answer) = site.call(&user, call, body).await?;
        for (name, pointer) in step.with.keep.iter().flat_map(|keep| &keep.value) {
            site.keep(&user, name, pointer, &answer)?;
        }
        let refused = site.refused(status, &answer, false);
        self.hear_site();
        Ok(Outcome { refused, answer: Some((status, answer)), ..Outcome::default() })
    }
}

pub(super) fn by_the_site(code: &str, reason: String) -> Refused {
    let (cause, checks, report) = (None, Vec::new(), None);
    Refused { by: Party::RelyingParty, code: code.to_owned(), cause, checks, reason, report }
}
