//! A site of others: requests are made of what the scenario says, and its browsers keep cookies.

use std::collections::BTreeMap;

use keyrig_client::json::InvalidJson;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, redirect};
use serde_json::Value;

use super::error::RunError;
use super::outcome::Outcome;
use crate::language::{CeremonyTable, ElsewherePlan};
use crate::report::Party;
use crate::results::Refused;
use crate::site::{Begun, Call};

/// The longest answer that is read, bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// How much is shown of an answer that is no JSON, characters.
const SHOWN: usize = 120;

/// What is known of a browser there: its cookies, and what it was to keep of answers.
#[derive(Clone, Debug, Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
    kept: BTreeMap<String, String>,
}

/// A site of others.
pub(super) struct Elsewhere {
    pub(super) plan: ElsewherePlan,
    http: Client,
    /// Each user's.
    browsers: BTreeMap<String, Browser>,
    calls: Vec<Call>,
    /// What is being asked, as it is written.
    asking: Option<String>,
}

/// What it answered.
struct Answered {
    status: u16,
    /// As JSON; the beginning of what is none, as text.
    body: Value,
    is_empty: bool,
    /// Where a redirect leads.
    location: Option<String>,
}

/// What stands for what in a request.
struct Known<'k> {
    user: &'k str,
    browser: &'k Browser,
    begun: &'k Value,
    credential: &'k Value,
}

impl Elsewhere {
    pub(super) fn new(plan: &ElsewherePlan) -> Result<Self, RunError> {
        // A redirect is an answer: to a page for people, after which nothing more is to come.
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).build();
        let http = http.map_err(crate::site::SiteError::Http)?;
        Ok(Self { plan: plan.clone(), http, browsers: BTreeMap::new(), calls: Vec::new(), asking: None })
    }

    pub(super) fn take_calls(&mut self) -> Vec<Call> {
        self.asking = None;
        core::mem::take(&mut self.calls)
    }

    /// The request that is not answered yet.
    pub(super) fn asking(&self) -> Option<&str> {
        self.asking.as_deref()
    }

    /// The first request of a ceremony: its options, and all of the answer.
    pub(super) async fn begin<O>(
        &mut self,
        user: &str,
        ceremony: &CeremonyTable,
        parse: impl FnOnce(&str) -> Result<O, InvalidJson>,
    ) -> Result<Result<(Begun<O>, Value), Box<Outcome>>, RunError> {
        let body = ceremony.begin_body.as_ref().map(json);
        let answered = self.ask(user, &ceremony.begin.value, body, &Value::Null, &Value::Null).await?;
        if let Some(refused) = self.refused(answered.status, &answered.body, false) {
            return Ok(Err(Box::new(Outcome::refused(refused))));
        }
        let Some(options) = answered.body.pointer(&ceremony.options).filter(|options| options.is_object()) else {
            return Err(RunError::Cannot(no_options(&ceremony.begin.value, &ceremony.options, &answered)));
        };
        // Some have them as they are for the browser, in publicKey.
        let json = options.get("publicKey").unwrap_or(options).clone();
        Ok(match parse(&json.to_string()) {
            Ok(options) => Ok((Begun { challenge: String::new(), options, json }, answered.body)),
            Err(error) => Err(Box::new(Outcome::refused(&keyrig_client::ClientError::from(error)))),
        })
    }

    /// The second, with what the key made.
    pub(super) async fn finish(
        &mut self,
        user: &str,
        ceremony: &CeremonyTable,
        begun: &Value,
        credential: &Value,
    ) -> Result<Option<Refused>, RunError> {
        let body = ceremony.finish_body.as_ref().map_or_else(|| credential.clone(), json);
        let answered = self.ask(user, &ceremony.finish.value, Some(body), begun, credential).await?;
        Ok(self.refused(answered.status, &answered.body, true))
    }

    /// Any other request.
    pub(super) async fn call(&mut self, user: &str, call: &str, body: Option<Value>) -> Result<(u16, Value), RunError> {
        let answered = self.ask(user, call, body, &Value::Null, &Value::Null).await?;
        Ok((answered.status, answered.body))
    }

    /// Keeps what is at a pointer of an answer, for later requests of a user.
    pub(super) fn keep(&mut self, user: &str, name: &str, pointer: &str, answer: &Value) -> Result<(), RunError> {
        let found = answer.pointer(pointer);
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => return Err(RunError::Cannot(format!("the answer has nothing at {pointer:?} to be kept"))),
        };
        self.browsers.entry(user.to_owned()).or_default().kept.insert(name.to_owned(), text);
        Ok(())
    }

    async fn ask(
        &mut self,
        user: &str,
        call: &str,
        mut body: Option<Value>,
        begun: &Value,
        credential: &Value,
    ) -> Result<Answered, RunError> {
        let (method, path) = call.split_once(' ').unwrap_or(("GET", call));
        let browser = self.browsers.entry(user.to_owned()).or_default().clone();
        let known = Known { user, browser: &browser, begun, credential };
        let url = format!("{}{}", self.plan.url, known.text(path)?);
        let parsed = method.parse::<Method>().map_err(|error| RunError::Cannot(error.to_string()))?;
        let mut request = self.http.request(parsed, url).header(ORIGIN, &self.plan.origin);
        if !browser.cookies.is_empty() {
            let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.plan.headers {
            let value = known.text(value)?;
            // Of a cookie that is not there yet.
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        if let Some(body) = &mut body {
            known.put(body)?;
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.asking = Some(call.to_owned());
        let mut response = request.send().await.map_err(crate::site::SiteError::Http)?;
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).filter(|_| (300..400).contains(&status));
        let location =
            location.map(|location| String::from_utf8_lossy(location.as_bytes()).chars().take(SHOWN).collect());
        let set: Vec<_> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(crate::site::SiteError::Http)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(RunError::Cannot(format!(
                    "the site's answer to {call} is longer than {MAX_ANSWER_BYTES} bytes"
                )));
            }
        }
        let kept = &mut self.browsers.entry(user.to_owned()).or_default().cookies;
        for cookie in set.iter().filter_map(|header| header.to_str().ok()).filter_map(|text| text.split(';').next()) {
            let Some((name, value)) = cookie.split_once('=') else { continue };
            match value {
                "" | "\"\"" => drop(kept.remove(name)),
                value => drop(kept.insert(name.trim().to_owned(), value.to_owned())),
            }
        }
        let text = || Value::String(String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect());
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) };
        let code = (status >= 400).then(|| code_of(&body));
        self.calls.push(Call { method: method.to_owned(), path: path.to_owned(), status, code });
        Ok(Answered { status, body, is_empty: bytes.is_empty(), location })
    }

    /// A refusal, if an answer is one.
    pub(super) fn refused(&self, status: u16, answer: &Value, is_last: bool) -> Option<Refused> {
        let accepts = |(pointer, wanted): (&String, &toml::Value)| {
            answer.pointer(pointer) == Some(&serde_json::to_value(wanted).unwrap_or_default())
        };
        if status < 400 && (!is_last || self.plan.accepts.iter().all(accepts)) {
            return None;
        }
        let words = ["reason", "errorMessage", "message", "detail", "error", "msg"];
        let said = words.iter().find_map(|name| answer.get(name)).map(|said| match said {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let reason = said.unwrap_or_else(|| match answer {
            Value::String(text) => format!("HTTP status {status}: {text}"),
            Value::Null => format!("HTTP status {status}"),
            other => format!("HTTP status {status}: {}", other.to_string().chars().take(SHOWN).collect::<String>()),
        });
        let (cause, checks, report) = (None, Vec::new(), None);
        Some(Refused { by: Party::RelyingParty, code: code_of(answer), cause, checks, reason, report })
    }
}

/// Why there are no options in an answer, where they are looked for at a pointer.
fn no_options(call: &str, pointer: &str, answered: &Answered) -> String {
    let Answered { status, body, is_empty, location } = answered;
    let shown = || body.to_string().chars().take(SHOWN).collect::<String>();
    match (location, body) {
        (Some(location), _) => format!(
            "the site answered {call} with a redirect to {location:?} (HTTP {status}): if that is where people log in, something is to be \
             called before that does"
        ),
        (None, _) if *is_empty => format!("the site answered {call} with nothing (HTTP {status})"),
        (None, Value::String(text)) => format!("the site answered {call} with what is not JSON: {text:?}"),
        (None, _) if pointer.is_empty() => {
            format!("the site's answer to {call} is no options, which are an object: {}", shown())
        }
        (None, _) => format!("the site's answer to {call} has no options at {pointer:?}: {}", shown()),
    }
}

fn code_of(answer: &Value) -> String {
    answer.get("code").and_then(Value::as_str).unwrap_or("refused").to_owned()
}

fn json(table: &toml::Table) -> Value {
    serde_json::to_value(table).unwrap_or_default()
}

impl Known<'_> {
    /// Puts what is known in its places.
    fn put(&self, value: &mut Value) -> Result<(), RunError> {
        match value {
            Value::String(text) if text == "{credential}" => *value = self.credential.clone(),
            Value::String(text) => *text = self.text(text)?,
            Value::Array(values) => values.iter_mut().try_for_each(|value| self.put(value))?,
            Value::Object(members) => members.values_mut().try_for_each(|value| self.put(value))?,
            _ => {}
        }
        Ok(())
    }

    fn text(&self, text: &str) -> Result<String, RunError> {
        let mut put = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            put.push_str(before);
            let Some((name, behind)) = behind.split_once('}') else {
                put.push('{');
                rest = behind;
                continue;
            };
            match name.split_once(':') {
                None if name == "user" => put.push_str(self.user),
                Some(("cookie", name)) => put.push_str(self.browser.cookies.get(name).map_or("", String::as_str)),
                Some(("kept", name)) => {
                    let kept = self.browser.kept.get(name);
                    put.push_str(kept.ok_or_else(|| RunError::Cannot(format!("nothing was kept as {name:?}")))?);
                }
                Some(("begun", pointer)) => match self.begun.pointer(pointer) {
                    Some(Value::String(text)) => put.push_str(text),
                    Some(other) => put.push_str(&other.to_string()),
                    None => return Err(RunError::Cannot(format!("the first answer has nothing at {pointer:?}"))),
                },
                _ => put.push_str(&format!("{{{name}}}")),
            }
            rest = behind;
        }
        put.push_str(rest);
        Ok(put)
    }
}
