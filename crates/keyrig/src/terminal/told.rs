//! What happens in a rack, a line each, with the site that a key is asked for.

use std::collections::HashMap;

use keyrig_faults::transcript::{Event, Followed, Follower, Recorder, Touch, What as Traced};
use keyrig_rack::Rack;
use keyrig_rack::events::What;

use crate::failure::Failure;
use crate::key::event_text;
use crate::output::{Lines, YELLOW};

/// How many events are taken at a time.
const AT_A_TIME: usize = 64;

/// Tells what happens from now on, until the rack ends. `mark` stands before what somebody has to do something about.
pub(crate) async fn tell(rack: &Rack, out: &Lines, mark: &str) -> Result<(), Failure> {
    let trace = rack.at_seams::<Recorder>().map(Recorder::follow).transpose().map_err(Failure::Runtime)?;
    let mut traced = trace.as_ref().map_or(0, Follower::last);
    let mut after = rack.events().last();
    let mut sites = Sites::default();
    loop {
        tokio::select! {
            happened = rack.events().behind(after, AT_A_TIME) => {
                let Some(last) = happened.last() else { return Ok(()) };
                after = last.id;
                let is_traced = trace.is_some();
                for event in happened.iter().filter(|event| !(is_traced && is_in_trace(&event.what))) {
                    out.print(format!("{mark} {}", event_text(&event.what)));
                }
            }
            followed = behind(trace.as_ref(), traced) => {
                for Followed { id, event, .. } in followed {
                    traced = id;
                    match sites.text(&event) {
                        Some((text, true)) => out.print_marked(YELLOW, mark, format!(" {text}")),
                        Some((text, false)) => out.print(format!("{mark} {text}")),
                        None => {}
                    }
                }
            }
        }
    }
}

async fn behind(trace: Option<&Follower>, after: u64) -> Vec<Followed> {
    match trace {
        Some(trace) => trace.behind(after, AT_A_TIME).await,
        None => core::future::pending().await,
    }
}

/// Whether the transcript tells this as well, in order with what is told there alone.
fn is_in_trace(what: &What) -> bool {
    matches!(
        what,
        What::Waiting { .. }
            | What::Touched { .. }
            | What::Verified { .. }
            | What::Missed { .. }
            | What::Sampled { .. }
            | What::Denied { .. }
            | What::Cancelled { .. }
            | What::TimedOut { .. }
            | What::Plugged { .. }
            | What::Unplugged { .. }
            | What::Attached { .. }
            | What::Detached { .. }
            | What::Stored { .. }
            | What::Programs { .. }
            | What::Winked { .. }
    )
}

/// For which site each key was asked last.
#[derive(Default)]
struct Sites(HashMap<String, String>);

impl Sites {
    /// A line, and whether somebody has to do something about it.
    fn text(&mut self, event: &Event) -> Option<(String, bool)> {
        let key = event.key.as_deref().unwrap_or_default();
        let plain = |text: String| Some((format!("{key} {text}"), false));
        match &event.what {
            Traced::Request { members, .. } => {
                let site = members.get("rpId").or_else(|| members.get("rp")?.get("id"));
                match site.and_then(|site| site.as_text()) {
                    Some(site) => self.0.insert(key.to_owned(), site.to_owned()),
                    None => self.0.remove(key),
                };
                None
            }
            Traced::Waiting { command, for_verification } => {
                let site = self.0.get(key).map(|site| format!(" for {}", site.escape_debug())).unwrap_or_default();
                let wanted = if *for_verification { "its user" } else { "a touch" };
                Some((format!("{key} blinks: it waits for {wanted} ({command}{site})"), true))
            }
            Traced::WaitEnded { touch } => plain(match touch {
                Touch::Touched => "was touched".to_owned(),
                Touch::Verified => "has verified its user".to_owned(),
                Touch::Missed => "was touched by somebody else than its user".to_owned(),
                Touch::Denied => "was denied".to_owned(),
                Touch::Cancelled => "waits no more: the touch is not wanted any more".to_owned(),
                Touch::TimedOut => "waits no more: no touch came in time".to_owned(),
                Touch::Sampled(feedback) => format!("got a sample of a fingerprint: {feedback}"),
            }),
            Traced::Plugged => plain("was plugged in".to_owned()),
            Traced::Unplugged => plain("was unplugged".to_owned()),
            Traced::Attached => plain("was attached to a host".to_owned()),
            Traced::Detached => plain("was detached from its host".to_owned()),
            Traced::Winked => plain("winked".to_owned()),
            Traced::Stored { discoverable_credentials: count } => {
                plain(format!("holds {count} discoverable credential{}", if *count == 1 { "" } else { "s" }))
            }
            Traced::Programs { programs: count } => {
                plain(format!("is used by {count} program{}", if *count == 1 { "" } else { "s" }))
            }
            Traced::FaultOn { fault } => plain(format!("has a fault on: {}", fault.escape_debug())),
            Traced::FaultOff { fault } => {
                plain(format!("has off: {}", fault.as_deref().unwrap_or("all faults").escape_debug()))
            }
            Traced::Fault { fault } => plain(format!("did something wrong on purpose: {}", fault.escape_debug())),
            Traced::Explained(explanation) => Some((explanation.text.clone(), true)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_line_says_for_which_site_a_key_blinks_and_nothing_hidden_is_in_it() {
        let mut sites = Sites::default();
        let asked = r#"{"at_us": 1, "key": "a", "event": "request", "exchange": 1, "peer": "usb", "channel": "00000001",
            "command": "authenticatorGetAssertion", "members": {"rpId": "example\u001b[2J.com"}}"#;
        assert_eq!(sites.text(&event(asked)), None);
        let waits = r#"{"at_us": 2, "key": "a", "event": "waiting", "command": "authenticatorGetAssertion"}"#;
        let (text, is_urgent) = sites.text(&event(waits)).unwrap();
        assert_eq!(text, "a blinks: it waits for a touch (authenticatorGetAssertion for example\\u{1b}[2J.com)");
        assert!(is_urgent);
        let ended = r#"{"at_us": 3, "key": "a", "event": "wait-ended", "touch": "denied"}"#;
        assert_eq!(sites.text(&event(ended)), Some(("a was denied".to_owned(), false)));
        let other = r#"{"at_us": 4, "key": "a", "event": "request", "exchange": 2, "peer": "usb", "channel": "00000001",
            "command": "authenticatorReset"}"#;
        assert_eq!(sites.text(&event(other)), None);
        let waits = r#"{"at_us": 5, "key": "a", "event": "waiting", "command": "authenticatorReset"}"#;
        assert_eq!(sites.text(&event(waits)).unwrap().0, "a blinks: it waits for a touch (authenticatorReset)");
    }
}
