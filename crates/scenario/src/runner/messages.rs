//! Who said what to whom, from what passed at keys and what was asked of the site.

use keyrig_faults::transcript::{Direction, Event, Explainer, Touch, What};

use crate::results::{Message, Who};
use crate::site::Call;

/// The messages of what passed at keys.
pub(super) fn of_events(events: &[Event]) -> Vec<Message> {
    events.iter().filter_map(of_event).collect()
}

fn of_event(event: &Event) -> Option<Message> {
    let key = Who::Key(event.key.clone()?);
    let say = |from: Who, to: Who, text: String, refuses: bool| Some(Message { from, to, text, refuses });
    match &event.what {
        What::Request { command, subcommand, .. } => {
            let text = match subcommand {
                Some(subcommand) => format!("{command} {subcommand}"),
                None => command.clone(),
            };
            say(Who::Browser, key, text, false)
        }
        What::Response { status, .. } => {
            // A U2F key that waits for its touch says so by a refusal.
            let refuses = !matches!(status.as_str(), "CTAP2_OK" | "SW_NO_ERROR" | "CTAP2_ERR_KEEPALIVE_CANCEL")
                && status != "SW_CONDITIONS_NOT_SATISFIED";
            say(key, Who::Browser, status.clone(), refuses)
        }
        What::Waiting { for_verification: true, .. } => say(key, Who::User, "asks who you are".to_owned(), false),
        What::Waiting { .. } => say(key, Who::User, "blinks".to_owned(), false),
        What::WaitEnded { touch } => match touch {
            Touch::Touched | Touch::Verified | Touch::Missed | Touch::Denied => {
                let refuses = matches!(touch, Touch::Missed | Touch::Denied);
                say(Who::User, key, touch.to_string(), refuses)
            }
            Touch::Sampled(feedback) => say(Who::User, key, format!("a sample: {feedback}"), true),
            Touch::Cancelled => say(Who::Browser, key, "cancels".to_owned(), false),
            Touch::TimedOut => say(key, Who::User, "waits no more".to_owned(), true),
        },
        What::Message { command, members, .. } if command == "CTAPHID_ERROR" => {
            let code = members.get("code").map(ToString::to_string).unwrap_or_default();
            say(key, Who::Browser, format!("{command} {code}"), true)
        }
        What::BrokenMessage { direction: Direction::In, reason, .. } => {
            say(key, Who::Browser, format!("a broken message: {reason}"), true)
        }
        What::BrokenMessage { direction: Direction::Out, reason, .. } => {
            say(Who::Browser, key, format!("a broken message: {reason}"), true)
        }
        What::Plugged => say(Who::User, key, "plugs it in".to_owned(), false),
        What::Unplugged => say(Who::User, key, "pulls it out".to_owned(), false),
        What::Fault { fault } => say(key.clone(), key, format!("fault: {fault}"), true),
        _ => None,
    }
}

/// The messages of requests to the site.
pub(super) fn of_calls(calls: &[Call]) -> Vec<Message> {
    let both = |call: &Call| {
        let asked = Message {
            from: Who::Browser,
            to: Who::Site,
            text: format!("{} {}", call.method, call.path),
            refuses: false,
        };
        let text = match &call.code {
            Some(code) => format!("{} {code}", call.status),
            None => call.status.to_string(),
        };
        // A page asks for the password then, and goes on.
        let refuses = call.code.as_ref().is_some_and(|code| code != "confirmation_required");
        let answered = Message { from: Who::Site, to: Who::Browser, text, refuses };
        [asked, answered]
    };
    calls.iter().flat_map(both).collect()
}

/// The keys that asked for a touch, and those that were touched, each once and in this order.
pub(super) fn gestures(events: &[Event]) -> (Vec<String>, Vec<String>) {
    let (mut blinked, mut touched) = (Vec::new(), Vec::new());
    let add = |list: &mut Vec<String>, key: &str| {
        if !list.iter().any(|known| known == key) {
            list.push(key.to_owned());
        }
    };
    for event in events {
        let Some(key) = &event.key else { continue };
        match event.what {
            What::Waiting { .. } => add(&mut blinked, key),
            What::WaitEnded { touch: Touch::Touched | Touch::Verified | Touch::Missed | Touch::Sampled(_) } => {
                add(&mut touched, key);
            }
            _ => {}
        }
    }
    (blinked, touched)
}

/// What became of a ceremony on each key, for people; `away` are those that are pulled out.
pub(super) fn what_keys_did(events: &[Event], away: &[String]) -> Option<String> {
    let (blinked, _) = gestures(events);
    let did = |key: &String| {
        let ended =
            events.iter().filter(|event| event.key.as_ref() == Some(key)).filter_map(|event| match event.what {
                What::WaitEnded { touch } => Some(touch),
                _ => None,
            });
        let ended: Vec<_> = ended.collect();
        let touches = ended.iter().filter(|touch| matches!(touch, Touch::Touched | Touch::Verified)).count();
        let what = match (touches, ended.last()) {
            (0, Some(Touch::Cancelled)) => "blinked and was cancelled".to_owned(),
            (0, Some(touch)) => format!("blinked, and that ended so: {touch}"),
            (0, None) => "blinks".to_owned(),
            (1, _) => "touched once".to_owned(),
            (2, _) => "touched twice".to_owned(),
            (count, _) => format!("touched {count} times"),
        };
        format!("{key} {what}")
    };
    let away = away.iter().filter(|key| !blinked.contains(key)).map(|key| format!("{key} unplugged"));
    let all: Vec<_> = away.chain(blinked.iter().map(did)).collect();
    (!blinked.is_empty()).then(|| all.join(", "))
}

/// What of it explains a refusal.
pub(super) fn explained(events: &[Event]) -> Option<String> {
    let mut explainer = Explainer::default();
    let mut told: Vec<Event> = events.iter().flat_map(|event| explainer.take(event)).collect();
    told.extend(explainer.end_of_transcript());
    let texts = told.into_iter().filter_map(|event| match event.what {
        What::Explained(explanation) => Some(explanation.text),
        _ => None,
    });
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}
