use serde_json::{Value, json};

use super::*;
use crate::transcript::{Ceremony, RefusedBy, Transcript};

/// What Chromium 156 and Firefox 153 asked of two keys, a and b, and one that knows U2F alone; and of b nothing but what Firefox asks
/// to have one of them chosen. The page asked for the same things in both, and took notes of what it got.
const CHROMIUM: &[u8] = include_bytes!("../../../tests/recorded/chromium.jsonl");
const FIREFOX: &[u8] = include_bytes!("../../../tests/recorded/firefox.jsonl");

fn explain(events: &[Event]) -> Vec<Explanation> {
    let mut explainer = Explainer::default();
    let mut explained: Vec<_> = events.iter().flat_map(|event| explainer.take(event)).collect();
    explained.extend(explainer.end_of_transcript());
    explained.into_iter().map(explanation).collect()
}

fn explanation(event: Event) -> Explanation {
    match event.what {
        What::Explained(explanation) => explanation,
        other => panic!("{other:?}"),
    }
}

fn recorded(bytes: &[u8]) -> Vec<Explanation> {
    explain(Transcript::read(bytes).unwrap().events())
}

/// Of each ceremony: which, for whom, who refused, and what each key answered last.
type Told<'a> = (Option<Ceremony>, Option<&'a str>, RefusedBy, Vec<(&'a str, &'a str)>);

fn told(explained: &[Explanation]) -> Vec<Told<'_>> {
    let answer = |key: &'_ crate::transcript::KeyInCeremony| key.status.is_some();
    explained
        .iter()
        .map(|explanation| {
            let keys = explanation.keys.iter().filter(|key| answer(key));
            let keys = keys.map(|key| (key.key.as_str(), key.status.as_deref().unwrap_or_default()));
            (explanation.ceremony, explanation.rp_id.as_deref(), explanation.refused_by, keys.collect())
        })
        .collect()
}

const CANCELLED: &str = "CTAP2_ERR_KEEPALIVE_CANCEL";

#[test]
fn what_chromium_asked_is_explained_where_the_page_got_nothing() {
    let (create, get, host) = (Some(Ceremony::Create), Some(Ceremony::Get), Some("localhost"));
    let explained = recorded(CHROMIUM);
    let expected = [
        // Two registrations and a login before these succeeded.
        (get, host, RefusedBy::Key, vec![("a", "CTAP2_ERR_NO_CREDENTIALS"), ("b", CANCELLED)]),
        (create, host, RefusedBy::Key, vec![("a", "CTAP2_ERR_CREDENTIAL_EXCLUDED"), ("b", CANCELLED)]),
        // Of a page with a wrong RP ID no key heard. Then the page aborted, ...
        (get, host, RefusedBy::Unknown, vec![("a", CANCELLED), ("b", CANCELLED)]),
        // ... the user refused, ...
        (get, host, RefusedBy::User, vec![("a", "CTAP2_ERR_OPERATION_DENIED"), ("b", CANCELLED)]),
        // ... a PIN had to be set, twice, and nobody did, ...
        (None, None, RefusedBy::Unknown, vec![("a", "CTAP2_OK"), ("b", CANCELLED)]),
        (None, None, RefusedBy::Unknown, vec![("a", "CTAP2_OK"), ("b", CANCELLED)]),
        // ... and a key of U2F had not the credential.
        (get, None, RefusedBy::Key, vec![("u", "SW_CONDITIONS_NOT_SATISFIED")]),
    ];
    assert_eq!(told(&explained), expected);
    for (at, name) in
        [(0, "NotAllowedError"), (1, "InvalidStateError"), (2, "aborted"), (3, "NotAllowedError"), (4, "PIN")]
    {
        let text = &explained[at].text;
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_firefox_asked_is_explained_where_the_page_got_nothing() {
    let (create, get, host) = (Some(Ceremony::Create), Some(Ceremony::Get), Some("localhost"));
    let explained = recorded(FIREFOX);
    let expected = [
        // No key heard the hash of this ceremony's client data: Firefox asks without a touch first, and with another one.
        (get, host, RefusedBy::Key, vec![("a", "CTAP2_ERR_PIN_NOT_SET"), ("b", CANCELLED)]),
        (create, host, RefusedBy::Key, vec![("a", "CTAP2_ERR_CREDENTIAL_EXCLUDED"), ("b", CANCELLED)]),
        (None, None, RefusedBy::Unknown, vec![("a", CANCELLED), ("b", CANCELLED)]),
        (None, None, RefusedBy::User, vec![("a", "CTAP2_ERR_OPERATION_DENIED"), ("b", "CTAP2_ERR_OPERATION_DENIED")]),
        (get, None, RefusedBy::Key, vec![("u", "SW_CONDITIONS_NOT_SATISFIED")]),
    ];
    let mut of_keys = told(&explained);
    of_keys.iter_mut().for_each(|(.., keys)| keys.sort_unstable());
    assert_eq!(of_keys, expected);
    assert_eq!(explained[0].client_data_hash, None);
    for (at, name) in [(0, "NotAllowedError"), (1, "InvalidStateError"), (2, "aborted"), (3, "waits")] {
        let text = &explained[at].text;
        assert!(text.contains(name), "{name}: {text}");
    }
}

/// A transcript that a test writes.
#[derive(Default)]
struct Script {
    events: Vec<Event>,
    exchanges: u64,
}

impl Script {
    fn push(&mut self, at_ms: u64, key: &str, mut event: Value) {
        event["at_us"] = json!(at_ms * 1_000);
        event["key"] = json!(key);
        self.events.push(serde_json::from_value(event).unwrap());
    }

    /// A key is asked; its channel is its own.
    fn ask(&mut self, at_ms: u64, key: &str, command: &str, members: Value) -> u64 {
        self.exchanges += 1;
        let exchange = self.exchanges;
        self.push(
            at_ms,
            key,
            json!({"event": "request", "exchange": exchange, "peer": "usb", "channel": "00000001", "command": command,
                "members": members}),
        );
        exchange
    }

    fn answer(&mut self, at_ms: u64, key: &str, exchange: u64, command: &str, status: &str) {
        self.push(
            at_ms,
            key,
            json!({"event": "response", "exchange": exchange, "peer": "usb", "channel": "00000001", "command": command,
                "status": status, "status_code": 0, "took_us": 1_000}),
        );
    }

    /// A key is asked and answers at once.
    fn exchange(&mut self, at_ms: u64, key: &str, command: &str, members: Value, status: &str) {
        let exchange = self.ask(at_ms, key, command, members);
        self.answer(at_ms, key, exchange, command, status);
    }

    fn info(&mut self, at_ms: u64, key: &str) {
        self.exchange(at_ms, key, "authenticatorGetInfo", json!({}), "CTAP2_OK");
    }
}

const GET: &str = "authenticatorGetAssertion";

fn assertion(rp_id: &str, hash: &str) -> Value {
    json!({"rpId": rp_id, "clientDataHash": hash, "allowList": [{"id": "01", "type": "public-key"}]})
}

#[test]
fn ceremonies_at_the_same_time_are_told_apart_by_their_client_data() {
    let mut script = Script::default();
    // Two browsers, each with two keys, begin at once.
    for key in ["a", "b", "c", "d"] {
        script.info(1, key);
    }
    let asked: Vec<_> = [("a", "01"), ("c", "02"), ("b", "01"), ("d", "02")]
        .map(|(key, hash)| {
            (key, script.ask(2, key, GET, assertion(if hash == "01" { "one.example" } else { "two.example" }, hash)))
        })
        .into();
    for (key, exchange) in asked {
        let status = if key == "a" { "CTAP2_OK" } else { "CTAP2_ERR_NO_CREDENTIALS" };
        script.answer(3, key, exchange, GET, status);
    }
    let explained = explain(&script.events);
    let [only] = explained.as_slice() else { panic!("{explained:?}") };
    assert_eq!((only.rp_id.as_deref(), only.client_data_hash.as_deref()), (Some("two.example"), Some("02")));
    assert!(only.keys.iter().map(|key| key.key.as_str()).all(|key| key == "c" || key == "d"), "{:?}", only.keys);
}

#[test]
fn a_key_that_is_pulled_out_while_it_waits_has_said_nothing() {
    let mut script = Script::default();
    script.info(1, "a");
    script.ask(2, "a", GET, assertion("example.com", "01"));
    script.push(3, "a", json!({"event": "waiting", "command": GET}));
    script.push(500, "a", json!({"event": "unplugged"}));
    let explained = explain(&script.events);
    let [only] = explained.as_slice() else { panic!("{explained:?}") };
    assert!(only.keys[0].text.contains("pulled out") && only.keys[0].status.is_none(), "{only:?}");
    assert_eq!(only.refused_by, RefusedBy::User);
}

#[test]
fn silence_ends_a_ceremony_unless_its_user_may_be_typing() {
    let mut script = Script::default();
    script.info(1, "a");
    script.exchange(2, "a", GET, assertion("example.com", "01"), "CTAP2_ERR_NO_CREDENTIALS");
    let mut explainer = Explainer::default();
    assert!(script.events.iter().all(|event| explainer.take(event).is_empty()), "a second key may have it");
    assert!(explainer.waits_for_silence());
    let told: Vec<_> = explainer.fall_silent().into_iter().map(explanation).collect();
    assert_eq!(told.len(), 1);
    assert!(!explainer.waits_for_silence(), "it is told once");
    // Plugged in later, another key is asked for the same: that is told anew.
    let before = script.events.len();
    script.info(9_000, "b");
    script.exchange(9_001, "b", GET, assertion("example.com", "01"), "CTAP2_ERR_NO_CREDENTIALS");
    script.events.iter().skip(before).for_each(|event| assert_eq!(explainer.take(event), []));
    let again: Vec<_> = explainer.fall_silent().into_iter().map(explanation).collect();
    assert_eq!(again.iter().map(|explanation| explanation.keys.len()).collect::<Vec<_>>(), [2], "{again:?}");

    for (command, subcommand, status) in [
        (GET, None, "CTAP2_ERR_PUAT_REQUIRED"),
        ("authenticatorClientPIN", Some("getPinToken"), "CTAP2_ERR_PIN_INVALID"),
        ("authenticatorSelection", None, "CTAP2_OK"),
    ] {
        let mut script = Script::default();
        script.info(1, "a");
        let members = if command == GET { assertion("example.com", "01") } else { json!({}) };
        script.exchange(2, "a", command, members, status);
        if let (Some(subcommand), Some(What::Request { subcommand: said, .. })) =
            (subcommand, script.events.get_mut(2).map(|event| &mut event.what))
        {
            *said = Some(subcommand.to_owned());
        }
        let mut explainer = Explainer::default();
        assert!(script.events.iter().all(|event| explainer.take(event).is_empty()), "{command}");
        assert_eq!((explainer.waits_for_silence(), explainer.fall_silent()), (false, vec![]), "{command}");
        // The user gave up, and began anew.
        let before = script.events.len();
        script.info(60_000, "a");
        let told: Vec<_> = script.events.iter().skip(before).flat_map(|event| explainer.take(event)).collect();
        assert_eq!(told.len(), 1, "{command}");
    }
}

#[test]
fn what_was_asked_and_never_answered_is_told_at_the_end() {
    let mut script = Script::default();
    script.ask(1, "a", GET, assertion("example.com", "01"));
    let explained = explain(&script.events);
    let [only] = explained.as_slice() else { panic!("{explained:?}") };
    assert!(only.text.contains("nothing more was heard of it"), "{}", only.text);
}

#[test]
fn what_is_no_ceremony_is_not_explained() {
    let mut script = Script::default();
    script.info(1, "a");
    script.exchange(2, "a", "authenticatorClientPIN", json!({}), "CTAP2_OK");
    script.exchange(3, "a", "authenticatorCredentialManagement", json!({}), "CTAP2_ERR_NO_CREDENTIALS");
    // Asked without a touch for a credential, and it is there.
    script.exchange(
        4,
        "a",
        GET,
        json!({"rpId": "example.com", "clientDataHash": "01", "options": {"up": false}}),
        "CTAP2_OK",
    );
    assert_eq!(explain(&script.events), []);
}

/// A transcript that others wrote says what it likes.
#[test]
fn what_others_wrote_is_bounded_and_does_not_move_a_cursor() {
    let mut script = Script::default();
    for number in 0..2_000 {
        script.exchange(1, "a", GET, assertion("\u{1b}[2J", &format!("{number:04x}")), "CTAP2_ERR_NO_CREDENTIALS");
    }
    let mut explainer = Explainer::default();
    let told: Vec<_> = script.events.iter().flat_map(|event| explainer.take(event)).map(explanation).collect();
    assert_eq!(told.len(), 1_999, "each but the last, with which nothing began yet");
    assert!(told.iter().all(|explanation| !explanation.text.contains('\u{1b}')));
    assert!(explainer.ceremonies.len() <= MAX_CEREMONIES);

    let mut script = Script::default();
    for _ in 0..2_000 {
        script.exchange(1, "a", GET, assertion("example.com", "01"), "CTAP2_ERR_NO_CREDENTIALS");
    }
    let mut explainer = Explainer::default();
    assert!(script.events.iter().all(|event| explainer.take(event).is_empty()));
    assert!(explainer.ceremonies.iter().all(|heard| heard.parts.len() <= 256));
}
