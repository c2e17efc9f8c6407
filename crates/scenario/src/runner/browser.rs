//! Ceremonies that a person does in a real browser: judged by what the kernel heard of the keys, and by the log of our site.

use keyrig_faults::transcript::{Exchange, Transcript, Value};
use keyrig_relying_party::{Event, EventKind};

use super::Run;
use super::error::RunError;
use super::outcome::Outcome;
use crate::hardware::person::Ask;
use crate::language::{CredentialKind, StepPlan, Verb};
use crate::report::Party;
use crate::results::Refused;
use crate::site::SiteRefusal;

/// The code of a browser that asked no key.
const NO_KEY_ASKED: &str = "no-key-asked";

impl Run<'_> {
    /// Whether a person does a step in a browser.
    pub(super) fn is_in_browser(&self, step: &StepPlan) -> bool {
        step.with.by.is_some() && self.keys.in_hand()
    }

    /// Has a person do it.
    pub(super) async fn in_browser(&mut self, step: &StepPlan, key: &str) -> Result<Outcome, RunError> {
        let user = self.user(step);
        let touched = Self::finger(step, key);
        let ask = Ask::InBrowser {
            what: self.asked(step, &user, key),
            address: self.origin().to_owned(),
            key: touched.map(str::to_owned),
        };
        let last = self.site.last_event()?;
        self.keys.in_browser(&ask).await?;
        self.hear_keys();
        let key = touched.unwrap_or(key);
        if self.elsewhere.is_none()
            && let Some(outcome) = self.by_log(step, &user, key, last)?
        {
            return Ok(outcome);
        }
        let outcome = by_keys(&step.verb, &Transcript::new(self.of_step.clone()).exchanges());
        Ok(match outcome {
            Outcome { refused: None, .. } if self.elsewhere.is_none() => {
                Outcome::problem("a key answered the browser, and the site heard nothing of it: its page was left")
            }
            outcome => outcome,
        })
    }

    /// What a person is to do, and by which password.
    fn asked(&self, step: &StepPlan, user: &str, key: &str) -> String {
        let password = step.with.password.as_ref().map_or_else(|| self.site.password(user), |text| text.value.clone());
        let who = match self.elsewhere {
            // How one logs in there the person knows.
            Some(_) => format!("as {user}"),
            None => format!("as {user}, password \"{password}\""),
        };
        match &step.verb {
            Verb::Register(_) => {
                let is_passkey = step.with.kind.as_ref().is_some_and(|kind| kind.value == CredentialKind::Passkey);
                let what = if is_passkey { "passkey" } else { "security key" };
                let description = step.with.description.as_ref().map_or(key, |text| &text.value);
                format!("log in {who}, and add a {what} called \"{description}\"")
            }
            Verb::Passkey(_) => format!("log in with the passkey of {user}"),
            _ => format!("log in {who}, with a security key"),
        }
    }

    /// What our site says that it came to, if it heard of it.
    fn by_log(&mut self, step: &StepPlan, user: &str, key: &str, last: i64) -> Result<Option<Outcome>, RunError> {
        let wanted: &[EventKind] = match &step.verb {
            Verb::Register(_) => &[EventKind::FactorAdded, EventKind::EnrolmentRefused],
            _ => &[EventKind::LoggedIn, EventKind::LoginRefused, EventKind::LoginBlocked],
        };
        let events = self.site.events_since(last)?;
        // A passkey may be of another user, who is in the log then.
        let decides = events.iter().rfind(|event| {
            wanted.contains(&event.kind)
                && (matches!(step.verb, Verb::Passkey(_)) || event.user.as_deref() == Some(user))
        });
        let Some(event) = decides else { return Ok(None) };
        Ok(Some(match event.kind {
            EventKind::FactorAdded => {
                let description = self.site.factors(user)?.pop().map(|(_, description, _)| description);
                self.descriptions.extend(description.map(|description| (key.to_owned(), description)));
                Outcome::default()
            }
            EventKind::LoggedIn if event.user.as_deref() != Some(user) => {
                let who = event.user.as_deref().unwrap_or("nobody");
                Outcome::problem(format!("it logged in {who}, not {user}"))
            }
            EventKind::LoggedIn => {
                let factors = self.site.factors(user)?;
                let is_it = |description: &str| event.detail.ends_with(&format!(" {description:?}"));
                let used = factors.into_iter().map(|(_, description, _)| description).find(|text| is_it(text));
                let exchanges = Transcript::new(self.of_step.clone()).exchanges();
                let counter = exchanges.iter().rev().filter(|exchange| exchange.is_ok()).find_map(counter);
                Outcome { key: used, counter, ..Outcome::default() }
            }
            _ => Outcome::refused(self.refusal(event)?),
        }))
    }

    fn refusal(&self, event: &Event) -> Result<SiteRefusal, RunError> {
        let code = match event.kind {
            EventKind::EnrolmentRefused => "enrolment_refused",
            EventKind::LoginBlocked => "login_blocked",
            _ => "authentication_failed",
        };
        Ok(SiteRefusal {
            status: 0,
            code: code.to_owned(),
            reason: event.detail.clone(),
            report_id: event.report_id.clone(),
            report: self.site.report(event)?,
        })
    }
}

/// What it came to, as far as keys tell.
fn by_keys(verb: &Verb, exchanges: &[Exchange]) -> Outcome {
    let makes = matches!(verb, Verb::Register(_));
    let is_of_it = |exchange: &&Exchange| match exchange.command.as_str() {
        "authenticatorMakeCredential" | "U2F_REGISTER" => makes,
        "authenticatorGetAssertion" | "U2F_AUTHENTICATE" => !makes,
        _ => false,
    };
    let of_it: Vec<_> = exchanges.iter().filter(is_of_it).filter(|exchange| exchange.status.is_some()).collect();
    if of_it.iter().any(|exchange| exchange.is_ok() && !is_looked_for(exchange)) {
        return Outcome::told("a key answered; what the site made of it is not told here");
    }
    // A key that asks to be touched by U2F refuses until it is.
    let refuses =
        |exchange: &&&Exchange| !exchange.is_ok() && exchange.status.as_deref() != Some("SW_CONDITIONS_NOT_SATISFIED");
    // What was refused to who asked for a touch comes before what was said to who only looked.
    let asked = of_it.iter().rev().find(|exchange| refuses(exchange) && !is_looked_for(exchange));
    let refused = asked.or_else(|| of_it.iter().rev().find(refuses));
    Outcome::refused(match refused {
        Some(exchange) => {
            let status = exchange.status.clone().unwrap_or_default();
            let reason = format!("key {:?}: it answered {} with {status}", exchange.key, exchange.command);
            refused_by(Party::Authenticator, &code(&status), reason)
        }
        None => {
            let reason = match of_it.is_empty() {
                true => "it asked no key; in which words it refused, its page and its console say",
                false => "it asked keys what they have, and none for a touch",
            };
            refused_by(Party::Client, NO_KEY_ASKED, reason.to_owned())
        }
    })
}

fn refused_by(by: Party, code: &str, reason: String) -> Refused {
    Refused { by, code: code.to_owned(), cause: None, checks: Vec::new(), reason, report: None }
}

/// The code of a status, as `keyrig explain` has it.
fn code(status: &str) -> String {
    match status {
        // A key of U2F does not know the key handle (FIDO U2F Raw Message Formats 1.2 §5.1).
        "SW_WRONG_DATA" => return "no-credentials".to_owned(),
        word if word.starts_with("SW_") => return "u2f-refused".to_owned(),
        _ => {}
    }
    let status = status.strip_prefix("CTAP1_ERR_").or_else(|| status.strip_prefix("CTAP2_ERR_")).unwrap_or(status);
    status.to_lowercase().replace('_', "-")
}

/// Whether a browser only looked what a key has: it asked for no touch (CTAP 2.3 §6.2.1, `up`).
fn is_looked_for(exchange: &Exchange) -> bool {
    exchange.request.get("options").and_then(|options| options.get("up")) == Some(&Value::Boolean(false))
}

/// The signature counter of an assertion.
fn counter(exchange: &Exchange) -> Option<u32> {
    let of_ctap2 = exchange.response.get("authData").and_then(|data| data.get("signCount"));
    let counter = of_ctap2.or_else(|| exchange.response.get("counter"))?.as_integer()?;
    u32::try_from(counter).ok()
}

#[cfg(test)]
mod tests {
    use keyrig_faults::transcript::Members;

    use super::*;
    use crate::language::At;

    fn exchange(command: &str, up: Option<bool>, status: &str) -> Exchange {
        let options =
            up.map(|up| ("options".to_owned(), Value::Map(Members(vec![("up".to_owned(), Value::Boolean(up))]))));
        Exchange {
            number: 1,
            at_us: 0,
            key: "primary".to_owned(),
            peer: "usb".to_owned(),
            channel: "00000001".to_owned(),
            command: command.to_owned(),
            subcommand: None,
            touch_asked: false,
            touch: None,
            status: Some(status.to_owned()),
            took_us: None,
            request: Members(options.into_iter().collect()),
            response: Members::default(),
            malformed: None,
        }
    }

    /// Who refused, and with which code; nobody if it was accepted.
    fn judged(is_registration: bool, exchanges: &[Exchange]) -> Option<(Party, String)> {
        let key = At { value: "primary".to_owned(), at: 0..0 };
        let verb = if is_registration { Verb::Register(key) } else { Verb::Login(key) };
        by_keys(&verb, exchanges).refused.map(|refused| (refused.by, refused.code))
    }

    /// What Chromium sends: it looks without a touch which key has a credential, and asks that key, or has another one blink by a credential
    /// that it makes for nobody and throws away (chromium, device/fido/get_assertion_task.cc).
    #[test]
    fn a_browser_that_only_looks_what_a_key_has_decides_nothing_if_it_asks_for_a_touch() {
        let (get, make) = ("authenticatorGetAssertion", "authenticatorMakeCredential");
        let by_key = |code: &str| Some((Party::Authenticator, code.to_owned()));
        let looked = |status| exchange(get, Some(false), status);
        let dummy = || exchange(make, None, "CTAP2_OK");
        assert_eq!(judged(false, &[looked("CTAP2_OK"), exchange(get, None, "CTAP2_OK")]), None);
        assert_eq!(judged(false, &[looked("CTAP2_ERR_NO_CREDENTIALS"), dummy()]), by_key("no-credentials"));
        let timed_out = exchange(get, Some(true), "CTAP2_ERR_USER_ACTION_TIMEOUT");
        assert_eq!(judged(false, &[looked("CTAP2_OK"), timed_out]), by_key("user-action-timeout"));
        let excluded = exchange(make, None, "CTAP2_ERR_CREDENTIAL_EXCLUDED");
        assert_eq!(judged(true, &[looked("CTAP2_OK"), excluded]), by_key("credential-excluded"));
        let asked_nothing = Some((Party::Client, NO_KEY_ASKED.to_owned()));
        assert_eq!(judged(true, &[]), asked_nothing);
        assert_eq!(judged(false, &[looked("CTAP2_OK")]), asked_nothing);
        assert_eq!(judged(false, &[exchange("authenticatorGetInfo", None, "CTAP2_OK")]), asked_nothing);
    }

    #[test]
    fn a_key_of_u2f_that_waits_refuses_nothing() {
        let waits = || exchange("U2F_AUTHENTICATE", None, "SW_CONDITIONS_NOT_SATISFIED");
        assert_eq!(judged(false, &[waits(), waits(), exchange("U2F_AUTHENTICATE", None, "SW_NO_ERROR")]), None);
        let unknown = exchange("U2F_AUTHENTICATE", None, "SW_WRONG_DATA");
        assert_eq!(judged(false, &[unknown]), Some((Party::Authenticator, "no-credentials".to_owned())));
    }
}
