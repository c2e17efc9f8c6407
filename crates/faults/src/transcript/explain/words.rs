//! A ceremony that failed, in a paragraph: what each key was asked and did, what browsers do then, and what cannot be known.

use core::time::Duration;

use super::ceremony::{Heard, Part, Role};
use super::page::Page;
use super::verdict::Verdict;
use super::{browsers, programs};
use crate::transcript::event::Touch;
use crate::transcript::explanation::{Explanation, KeyInCeremony, ObservedPage, Program, RefusedBy};
use crate::transcript::note::{Answered, Ceremony, Exception, is_of_client};
use crate::transcript::text::why;

/// How much of what a site says is told, characters.
const MAX_SAID: usize = 400;

pub(super) fn explain(heard: &Heard) -> Explanation {
    let keys: Vec<_> = heard.keys_asked().into_iter().map(|key| of_key(heard, key)).collect();
    let said: Vec<_> = keys.iter().map(|key| format!("key {} {}", key.key.escape_debug(), key.text)).collect();
    let asked_by = programs::who(heard);
    let (page, verdict) = match (&heard.page, asked_by) {
        (Some(page), _) => (Some(observed(page)), of_page(heard, page)),
        (None, Some(program)) => (None, programs::verdict(program, heard)),
        (None, None) => (None, of_keys_alone(heard)),
    };
    let said = if said.is_empty() { " before any key was asked".to_owned() } else { format!(": {}", said.join("; ")) };
    Explanation {
        ceremony: heard.ceremony().or_else(|| heard.page.as_ref().map(|page| page.began.ceremony)),
        rp_id: heard.rp_id.clone().or_else(|| heard.page.as_ref().map(|page| page.rp_id().to_owned())),
        asked_by,
        client_data_hash: heard.hash.clone(),
        began_at_us: heard.began_at_us,
        refused_by: verdict.refused_by,
        keys,
        page,
        text: format!("{}{said}. {}", head(heard, asked_by), verdict.text),
    }
}

fn observed(page: &Page) -> ObservedPage {
    ObservedPage {
        origin: page.began.origin.clone(),
        exception: page.ended.as_ref().and_then(|ended| ended.exception.clone()),
        site_status: page.answered.as_ref().map(|answered| answered.status),
        joined_by: page.joined_by,
    }
}

fn of_keys_alone(heard: &Heard) -> Verdict {
    let Verdict { refused_by, text } = browsers::verdict(heard);
    Verdict { refused_by, text: format!("{text} What the page was told, keys do not hear.") }
}

fn of_page(heard: &Heard, page: &Page) -> Verdict {
    if let Some(answered) = &page.answered {
        return of_site(answered);
    }
    let Some(ended) = &page.ended else { return of_keys_alone(heard) };
    let Some(Exception { name, message }) = &ended.exception else { return of_keys_alone(heard) };
    let took_ms = ended.at_unix_ms.saturating_sub(page.began.at_unix_ms);
    let is_own = is_of_client(&page.began.id);
    // A browser keeps the reason to itself; keyrig's own client does not.
    let reason = if is_own { format!(": the client's reason is {message:?}") } else { format!(": {message:?}") };
    let got = format!("After {} the page got {}{reason}.", duration(took_ms), name.escape_debug());
    let is_late = page.began.options.timeout_ms.is_some_and(|timeout| at_least(took_ms, timeout));
    let told = |refused_by, more: &str| Verdict { refused_by, text: format!("{got}{more}") };
    let verdict = browsers::verdict(heard);
    if name == "AbortError" {
        // It may have been decided before: a browser keeps its page waiting behind a window.
        return match verdict.refused_by {
            RefusedBy::Unknown => told(RefusedBy::Page, " The page aborted it."),
            before => told(before, &format!(" The page aborted what had failed already. {}", verdict.text)),
        };
    }
    if is_late && verdict.refused_by == RefusedBy::Unknown {
        return told(RefusedBy::User, " That is the time that the page gave: nobody touched a key that could help.");
    }
    if heard.has_succeeded() {
        return told(RefusedBy::Browser, " The key did what it was asked, and the browser was not content with it.");
    }
    if !heard.parts.iter().any(|part| part.role != Role::Info) {
        let why = match (page.rp_id_fits(), name.as_str()) {
            (false, _) => format!(
                " The RP ID {} is neither {} nor a domain above it.",
                page.rp_id().escape_debug(),
                page.host().escape_debug()
            ),
            (true, "NotAllowedError") if !is_own => {
                " There was no key to ask, its user closed a window, or the page lacks what it takes: focus, a click, a policy.".to_owned()
            }
            (true, _) => String::new(),
        };
        return told(RefusedBy::Browser, &format!(" The browser refused by itself.{why}"));
    }
    told(verdict.refused_by, &format!(" {}", verdict.text))
}

/// A text of an object in JSON that may be cut off: the first of this name.
fn member(json: &str, name: &str) -> Option<String> {
    let (_, value) = json.split_once(&format!("\"{name}\":"))?;
    serde_json::Deserializer::from_str(value).into_iter().next()?.ok()
}

/// What a site said, which may say why.
fn of_site(answered: &Answered) -> Verdict {
    let body = answered.body.as_deref().unwrap_or_default();
    let said = ["reason", "message", "error", "detail"].iter().find_map(|name| member(body, name));
    let said: String = said.as_deref().unwrap_or(body).chars().take(MAX_SAID).collect();
    let said = if said.is_empty() { "nothing more".to_owned() } else { said.escape_debug().to_string() };
    let to = answered.url.as_deref().unwrap_or("somewhere").escape_debug();
    let text = format!(
        "Key and browser were content, and the page got its credential; the site answered {} at {to}: {said}",
        answered.status
    );
    Verdict { refused_by: RefusedBy::Site, text: if text.ends_with('.') { text } else { format!("{text}.") } }
}

fn head(heard: &Heard, asked_by: Option<Program>) -> String {
    if let Some(page) = &heard.page {
        let (rp_id, origin) = (page.rp_id().escape_debug(), page.began.origin.escape_debug());
        return format!("{} for {rp_id} at {origin} failed", page.began.ceremony);
    }
    if let Some(program) = asked_by {
        let what = match heard.ceremony() {
            Some(Ceremony::Create) => "registration",
            Some(Ceremony::Get) => "assertion",
            None if heard.parts.iter().any(|part| part.role == Role::Probe) => "assertion",
            None => "ceremony",
        };
        let rp_id = heard.rp_id.as_ref().map(|rp_id| format!(" for {}", rp_id.escape_debug())).unwrap_or_default();
        return format!("{program}'s {what}{rp_id} failed");
    }
    let ceremony = heard.ceremony().map_or_else(|| "A ceremony".to_owned(), |ceremony| ceremony.to_string());
    let is_u2f = heard.parts.iter().any(|part| part.exchange.command.starts_with("U2F_"));
    match &heard.rp_id {
        Some(rp_id) => format!("{ceremony} for {} failed", rp_id.escape_debug()),
        None if is_u2f => format!("{ceremony} failed, for an RP ID of which CTAP1/U2F tells the hash alone"),
        None => format!("{ceremony} failed before a key was told its RP ID"),
    }
}

fn of_key(heard: &Heard, key: &str) -> KeyInCeremony {
    let asked: Vec<_> = heard.of(key).collect();
    let told: Vec<_> = asked.iter().enumerate().filter_map(|(at, part)| clause(part, at + 1 == asked.len())).collect();
    let last = asked.iter().rfind(|part| part.role != Role::Info).or_else(|| asked.last());
    KeyInCeremony {
        key: key.to_owned(),
        command: last.map(|part| part.exchange.command.clone()).unwrap_or_default(),
        status: last.and_then(|part| part.exchange.status.clone()),
        text: match told.as_slice() {
            [] => "was asked what it is, and nothing more".to_owned(),
            [told @ .., last] if !told.is_empty() => format!("{}, and {last}", told.join(", ")),
            [only, ..] => only.clone(),
        },
    }
}

/// What a key was asked and did, if it is worth telling.
fn clause(part: &Part, is_last: bool) -> Option<String> {
    let exchange = &part.exchange;
    let command = exchange.subcommand.as_deref().unwrap_or(&exchange.command);
    let was_pulled_out =
        if part.has_gone { "it was pulled out, or lost its power" } else { "nothing more was heard of it" };
    let ended = |what: &str| match (exchange.touch, part.exchange.status.is_some()) {
        (Some(Touch::Cancelled), true) => format!("blinked {what} and was cancelled after {}", took(part)),
        (Some(Touch::Denied), _) => format!("blinked {what}, and its user refused"),
        (Some(Touch::TimedOut), _) => format!("blinked {what}, and nobody touched it within {}", took(part)),
        (_, true) => format!("answered {command} with {}{}", part.status(), reason(part)),
        (_, false) => format!("blinked {what} until {was_pulled_out}"),
    };
    match &part.role {
        Role::Info => None,
        Role::Selection if exchange.is_ok() || exchange.touch == Some(Touch::Touched) => {
            Some("was chosen by a touch".to_owned())
        }
        Role::Selection => Some(ended("to be chosen")),
        Role::Dummy if exchange.touch == Some(Touch::Touched) => {
            Some("was touched once more, which is all that was wanted then".to_owned())
        }
        Role::Dummy => Some(match part.status() {
            "SW_CONDITIONS_NOT_SATISFIED" => "blinked for a touch and got none".to_owned(),
            _ => ended("for a touch, which is all that was wanted then,"),
        }),
        Role::Probe if exchange.is_ok() || part.status() == "SW_CONDITIONS_NOT_SATISFIED" => {
            Some("has a credential that it was asked for".to_owned())
        }
        Role::Probe if exchange.status.is_none() => Some(format!("did not answer {command}: {was_pulled_out}")),
        Role::Probe => Some(format!("answered {command} with {} without a touch{}", part.status(), reason(part))),
        Role::Pin if exchange.is_ok() && !is_last => None,
        Role::Pin if exchange.is_ok() => Some(format!("answered {command}, and was asked nothing more")),
        Role::Pin | Role::Real(..) => Some(match (exchange.touch, exchange.status.is_some()) {
            (Some(Touch::Touched), true) => {
                format!("answered {command} with {} after a touch{}", part.status(), reason(part))
            }
            (None, true) if part.status() == "SW_CONDITIONS_NOT_SATISFIED" => {
                format!("was asked {command} again and again, and nobody touched it for that")
            }
            (None, true) => format!("answered {command} with {} without a touch{}", part.status(), reason(part)),
            (None, false) if !exchange.touch_asked => format!("did not answer {command}: {was_pulled_out}"),
            _ => ended(&format!("for {command}")),
        }),
    }
}

fn reason(part: &Part) -> String {
    why(&part.exchange).map_or_else(String::new, |why| format!(" ({why})"))
}

/// Whether a time was over, but for what timers are late or early by.
fn at_least(took_ms: u64, timeout_ms: f64) -> bool {
    const TOLERANCE: Duration = Duration::from_millis(500);
    let timeout = Duration::try_from_secs_f64(timeout_ms / 1_000.0);
    timeout.is_ok_and(|timeout| Duration::from_millis(took_ms) + TOLERANCE >= timeout)
}

fn took(part: &Part) -> String {
    duration(part.exchange.took_us.unwrap_or_default() / 1_000)
}

/// As people say it.
fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        _ => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
    }
}
