//! Ceremonies that a person does in a real browser: judged by what the kernel heard of the keys, and by the log of our site.

use keyrig_client::{Browser, Origin, rp_id};
use keyrig_faults::transcript::{Ceremony, Exchange, Role, Transcript, Value};
use keyrig_relying_party::{Event, EventKind};
use serde_json::Value as Json;

use super::Run;
use super::error::RunError;
use super::outcome::Outcome;
use crate::explain;
use crate::hardware::person::Ask;
use crate::language::{CredentialKind, StepPlan, Verb};
use crate::report::Party;
use crate::results::Refused;
use crate::site::SiteRefusal;

/// The code of a browser that asked no key.
const NO_KEY_ASKED: &str = "no-key-asked";

/// The cause of a login that was refused before a key came into it.
const WRONG_PASSWORD: &str = "wrong_password";

/// An event of the site's log, and the report that it names.
type Logged = (Event, Option<Json>);

impl Run<'_> {
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
        let origin = self.origin().parse::<Origin>().map_err(|error| RunError::Cannot(error.to_string()))?;
        let for_site = |exchange: &Exchange| exchange.rp_id().is_none_or(|rp_id| may_claim(&origin, rp_id));
        let exchanges = Transcript::new(self.of_step.clone()).exchanges();
        let exchanges: Vec<_> = exchanges.into_iter().filter(for_site).collect();
        if let Some(hid) = self.keys.hid() {
            exchanges.iter().filter(|exchange| is_stored(exchange)).for_each(|exchange| hid.stored(&exchange.key));
        }
        let outcome = by_keys(&step.verb, &exchanges);
        if self.elsewhere.is_some() {
            return Ok(outcome);
        }
        let logged = self.site.events_since(last)?;
        let with_report = |event: Event| Ok((self.site.report(&event)?, event)).map(|(report, event)| (event, report));
        let logged = logged.into_iter().map(with_report).collect::<Result<Vec<Logged>, RunError>>()?;
        match decisive(&step.verb, &user, &logged, is_asked(&exchanges)) {
            Some(logged) => self.by_log(&user, key, logged, &exchanges),
            None if outcome.refused.is_some() => Ok(outcome),
            None => {
                Ok(Outcome::problem("a key answered the browser, and the site heard nothing of it: its page was left"))
            }
        }
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

    /// What our site says that it came to.
    fn by_log(
        &mut self,
        user: &str,
        key: &str,
        (event, report): &Logged,
        exchanges: &[Exchange],
    ) -> Result<Outcome, RunError> {
        let by_a_key = event.detail.strip_prefix("by webauthn ");
        Ok(match event.kind {
            EventKind::FactorAdded => {
                let id = event.detail.split(' ').nth(1).unwrap_or_default();
                let added = self.site.factors(user)?.into_iter().find(|(known, ..)| known == id);
                self.descriptions.extend(added.map(|(_, description, _)| (key.to_owned(), description)));
                Outcome::default()
            }
            EventKind::LoggedIn if event.user.as_deref() != Some(user) => {
                let who = event.user.as_deref().unwrap_or("nobody");
                Outcome::problem(format!("it logged in {who}, not {user}"))
            }
            EventKind::LoggedIn => match by_a_key {
                None => Outcome::problem(format!("{user} logged in {}, and not by a security key", event.detail)),
                Some(quoted) => {
                    let described = |description: &String| format!("{description:?}") == quoted;
                    let factors = self.site.factors(user)?;
                    let used = factors.into_iter().map(|(_, description, _)| description).find(described);
                    let counter = exchanges.iter().rev().filter(|exchange| exchange.is_ok()).find_map(counter);
                    Outcome { key: used, counter, ..Outcome::default() }
                }
            },
            _ => Outcome::refused(refusal(event, report.clone())),
        })
    }
}

fn refusal(event: &Event, report: Option<Json>) -> SiteRefusal {
    let code = match event.kind {
        EventKind::EnrolmentRefused => "enrolment_refused",
        EventKind::LoginBlocked => "login_blocked",
        _ => "authentication_failed",
    };
    SiteRefusal {
        status: 0,
        code: code.to_owned(),
        reason: event.detail.clone(),
        report_id: event.report_id.clone(),
        report,
    }
}

/// The event that says what the site made of it: the last, of those that are about keys. A password that was mistyped is none once a key was
/// asked.
fn decisive<'l>(verb: &Verb, user: &str, logged: &'l [Logged], was_asked: bool) -> Option<&'l Logged> {
    logged.iter().rfind(|(event, report)| match (event.kind, verb) {
        (EventKind::FactorAdded, Verb::Register(_)) => {
            event.user.as_deref() == Some(user) && event.detail.starts_with("webauthn ")
        }
        (EventKind::EnrolmentRefused, Verb::Register(_)) => event.user.as_deref() == Some(user),
        // A passkey may be of another user, who is in the log then.
        (EventKind::LoggedIn, Verb::Passkey(_)) => true,
        (EventKind::LoggedIn, Verb::Login(_)) => event.user.as_deref() == Some(user),
        (EventKind::LoginRefused | EventKind::LoginBlocked, Verb::Login(_) | Verb::Passkey(_)) => {
            let cause = report.as_ref().and_then(|report| report.get("cause")).and_then(Json::as_str);
            !was_asked || cause != Some(WRONG_PASSWORD)
        }
        _ => false,
    })
}

/// Whether pages of a site may claim an RP ID or, of keys from U2F, an AppID, which is a URL (WebAuthn Level 3 §10.1.1).
fn may_claim(origin: &Origin, rp_id: &str) -> bool {
    let host = rp_id.split_once("://").and_then(|(_, rest)| rest.split(['/', ':']).next());
    rp_id::determine(Browser::default(), origin, Some(host.unwrap_or(rp_id))).is_ok()
}

/// Whether a key was asked more than what it is.
fn is_asked(exchanges: &[Exchange]) -> bool {
    exchanges.iter().filter_map(Role::of_exchange).any(|role| role != Role::Info)
}

/// Whether a discoverable credential was made, and is on the key.
fn is_stored(exchange: &Exchange) -> bool {
    let rk = exchange.request.get("options").and_then(|options| options.get("rk"));
    let is_made = matches!(Role::of_exchange(exchange), Some(Role::Real(Ceremony::Create, _)));
    is_made && exchange.is_ok() && rk == Some(&Value::Boolean(true))
}

/// What it came to, as far as keys tell.
fn by_keys(verb: &Verb, exchanges: &[Exchange]) -> Outcome {
    let wanted = if matches!(verb, Verb::Register(_)) { Ceremony::Create } else { Ceremony::Get };
    let of_it = exchanges.iter().filter(|exchange| exchange.status.is_some());
    let of_it: Vec<_> = of_it.filter_map(|exchange| Some((Role::of_exchange(exchange)?, exchange))).collect();
    let is_real = |role: &Role| matches!(role, Role::Real(ceremony, _) if *ceremony == wanted);
    if of_it.iter().any(|(role, exchange)| is_real(role) && exchange.is_ok()) {
        return Outcome::told("a key answered; what the site made of it is not told here");
    }
    // A key of U2F refuses until it is touched.
    let refuses =
        |exchange: &Exchange| !exchange.is_ok() && exchange.status.as_deref() != Some("SW_CONDITIONS_NOT_SATISFIED");
    let last = |wanted: &dyn Fn(&Role) -> bool| {
        of_it.iter().rfind(|(role, exchange)| wanted(role) && refuses(exchange)).map(|(_, exchange)| *exchange)
    };
    // What was refused to who asked for it comes before what was said to who only looked. A touch that chooses a key, or is for a credential
    // that nobody wants, refuses nothing.
    let refused = last(&|role| is_real(role) || *role == Role::Pin);
    let refused = refused.or_else(|| last(&|role| wanted == Ceremony::Get && *role == Role::Probe));
    Outcome::refused(match refused {
        Some(exchange) => {
            let status = exchange.status.clone().unwrap_or_default();
            // Who cancels is whoever asked.
            let is_cancelled = status == "CTAP2_ERR_KEEPALIVE_CANCEL";
            let by = if is_cancelled { Party::Client } else { Party::Authenticator };
            let reason = match is_cancelled {
                true => format!("it cancelled {} at key {:?}", exchange.command, exchange.key),
                false => format!("key {:?}: it answered {} with {status}", exchange.key, exchange.command),
            };
            refused_by(by, &code(&status), reason)
        }
        None => {
            let is_touched = of_it.iter().any(|(role, _)| matches!(role, Role::Selection | Role::Dummy));
            let reason = match (is_asked(exchanges), is_touched) {
                (_, true) => "it had a key touched, to be chosen or for nothing, and asked it nothing else",
                (true, false) => "it asked keys what they have, and none for a touch",
                (false, false) => "it asked no key; in which words it refused, its page and its console say",
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
    explain::of_status(status).unwrap_or_else(|| status.to_lowercase())
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

    const CLIENT_DATA_HASH: [u8; 32] = [7; 32];

    fn exchange(command: &str, up: Option<bool>, status: &str) -> Exchange {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut request = vec![
            ("clientDataHash".to_owned(), Value::Bytes(CLIENT_DATA_HASH.to_vec())),
            ("challenge".to_owned(), Value::Bytes(CLIENT_DATA_HASH.to_vec())),
            ("rpId".to_owned(), text("example.com")),
        ];
        request.extend(
            up.map(|up| ("options".to_owned(), Value::Map(Members(vec![("up".to_owned(), Value::Boolean(up))])))),
        );
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
            request: Members(request),
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

    /// With another member of the request.
    fn with(mut exchange: Exchange, name: &str, value: Value) -> Exchange {
        exchange.request.0.retain(|(known, _)| known != name);
        exchange.request.0.push((name.to_owned(), value));
        exchange
    }

    /// A credential that Chromium makes for nobody, for a touch.
    fn dummy(status: &str) -> Exchange {
        let id = Value::Text(".dummy".to_owned());
        let rp = Value::Map(Members(vec![("id".to_owned(), id)]));
        with(exchange("authenticatorMakeCredential", None, status), "rp", rp)
    }

    fn by_key(code: &str) -> Option<(Party, String)> {
        Some((Party::Authenticator, code.to_owned()))
    }

    fn asked_nothing() -> Option<(Party, String)> {
        Some((Party::Client, NO_KEY_ASKED.to_owned()))
    }

    /// What Chromium sends: it looks without a touch which key has a credential, and asks that key, or has another one blink by a credential
    /// that it makes for nobody and throws away (chromium, device/fido/get_assertion_task.cc).
    #[test]
    fn a_browser_that_only_looks_what_a_key_has_decides_nothing_if_it_asks_for_a_touch() {
        let (get, make) = ("authenticatorGetAssertion", "authenticatorMakeCredential");
        let looked = |status| exchange(get, Some(false), status);
        assert_eq!(judged(false, &[looked("CTAP2_OK"), exchange(get, None, "CTAP2_OK")]), None);
        assert_eq!(judged(false, &[looked("CTAP2_ERR_NO_CREDENTIALS"), dummy("CTAP2_OK")]), by_key("no-credentials"));
        let timed_out = exchange(get, Some(true), "CTAP2_ERR_USER_ACTION_TIMEOUT");
        assert_eq!(judged(false, &[looked("CTAP2_OK"), timed_out]), by_key("user-action-timeout"));
        let excluded = exchange(make, None, "CTAP2_ERR_CREDENTIAL_EXCLUDED");
        assert_eq!(judged(true, &[looked("CTAP2_OK"), excluded]), by_key("credential-excluded"));
        assert_eq!(judged(true, &[]), asked_nothing());
        assert_eq!(judged(false, &[looked("CTAP2_OK")]), asked_nothing());
        assert_eq!(judged(true, &[looked("CTAP2_ERR_NO_CREDENTIALS")]), asked_nothing());
        assert_eq!(judged(false, &[exchange("authenticatorGetInfo", None, "CTAP2_OK")]), asked_nothing());
    }

    /// A touch that is wanted for nothing else neither accepts nor refuses (CTAP 2.0 §5.1, an empty pinUvAuthParam; CTAP 2.3 §6.9).
    #[test]
    fn a_touch_that_chooses_a_key_decides_nothing() {
        let make = |status| exchange("authenticatorMakeCredential", None, status);
        let chosen = |status| with(make(status), "pinUvAuthParam", Value::Bytes(Vec::new()));
        assert_eq!(judged(true, &[chosen("CTAP2_ERR_PIN_NOT_SET")]), asked_nothing());
        assert_eq!(judged(false, &[chosen("CTAP2_ERR_PIN_NOT_SET")]), asked_nothing());
        assert_eq!(judged(true, &[dummy("CTAP2_OK")]), asked_nothing());
        assert_eq!(judged(true, &[exchange("authenticatorSelection", None, "CTAP2_OK")]), asked_nothing());
        assert_eq!(judged(true, &[chosen("CTAP2_ERR_PIN_INVALID"), make("CTAP2_OK")]), None);
    }

    #[test]
    fn a_key_that_takes_no_pin_refuses_and_who_cancels_is_the_browser() {
        let blocked = Exchange {
            subcommand: Some("getPinUvAuthTokenUsingPinWithPermissions".to_owned()),
            ..exchange("authenticatorClientPIN", None, "CTAP2_ERR_PIN_BLOCKED")
        };
        assert_eq!(judged(false, &[blocked]), by_key("pin-blocked"));
        let cancelled = exchange("authenticatorGetAssertion", None, "CTAP2_ERR_KEEPALIVE_CANCEL");
        assert_eq!(judged(false, &[cancelled]), Some((Party::Client, "keepalive-cancel".to_owned())));
    }

    #[test]
    fn a_key_of_u2f_that_waits_refuses_nothing() {
        let waits = || exchange("U2F_AUTHENTICATE", None, "SW_CONDITIONS_NOT_SATISFIED");
        assert_eq!(judged(false, &[waits(), waits(), exchange("U2F_AUTHENTICATE", None, "SW_NO_ERROR")]), None);
        let unknown = exchange("U2F_AUTHENTICATE", None, "SW_WRONG_DATA");
        assert_eq!(judged(false, &[unknown]), by_key("no-credentials"));
    }

    /// Other tabs ask keys too.
    #[test]
    fn what_is_asked_for_other_sites_is_none_of_this_one() {
        let origin: Origin = "https://login.example.com:8443".parse().unwrap();
        for own in ["login.example.com", "example.com", "https://login.example.com/app-id.json"] {
            assert!(may_claim(&origin, own), "{own}");
        }
        for other in ["evil.example", "evil-login.example.com", "com", "https://evil.example/app-id.json", ""] {
            assert!(!may_claim(&origin, other), "{other}");
        }
        assert!(may_claim(&"http://localhost:8006".parse().unwrap(), "localhost"));
    }

    fn logged(kind: EventKind, user: &str, detail: &str, cause: Option<&str>) -> Logged {
        let event = Event {
            id: 1,
            time: std::time::UNIX_EPOCH,
            kind,
            user: Some(user.to_owned()),
            actor: user.to_owned(),
            address: None,
            detail: detail.to_owned(),
            report_id: None,
        };
        (event, cause.map(|cause| serde_json::json!({ "cause": cause })))
    }

    #[test]
    fn the_site_decides_by_what_it_heard_of_keys_and_by_nothing_else() {
        let key = || At { value: "primary".to_owned(), at: 0..0 };
        let decides = |verb: &Verb, all: &[Logged], was_asked| {
            decisive(verb, "a@pve", all, was_asked).map(|(event, _)| event.detail.clone())
        };
        let mistyped = || logged(EventKind::LoginRefused, "a@pve", "the password is wrong", Some(WRONG_PASSWORD));
        let (login, register) = (Verb::Login(key()), Verb::Register(key()));
        assert_eq!(decides(&login, &[mistyped()], false).as_deref(), Some("the password is wrong"));
        assert_eq!(decides(&login, &[mistyped()], true), None, "it is the key that refused");
        let of_key = logged(EventKind::LoginRefused, "a@pve", "signature", Some("verification"));
        assert_eq!(decides(&login, &[mistyped(), of_key], true).as_deref(), Some("signature"));
        let paper = || logged(EventKind::FactorAdded, "a@pve", "recovery 22 \"paper\"", None);
        let added = logged(EventKind::FactorAdded, "a@pve", "webauthn 11 \"primary\"", None);
        assert_eq!(decides(&register, &[paper()], true), None);
        assert_eq!(decides(&register, &[added, paper()], true).as_deref(), Some("webauthn 11 \"primary\""));
        let other = [logged(EventKind::LoggedIn, "b@pve", "by webauthn \"primary\"", None)];
        assert_eq!(decides(&login, &other, true), None);
        assert!(decides(&Verb::Passkey(key()), &other, true).is_some());
    }
}
