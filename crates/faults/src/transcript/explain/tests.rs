mod programs;

use serde_json::{Value, json};

use super::*;
use crate::transcript::{Ceremony, JoinedBy, RefusedBy, Transcript};

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
fn a_key_that_is_asked_late_belongs_to_what_has_succeeded_already() {
    let mut script = Script::default();
    script.info(1, "a");
    script.info(1, "b");
    script.exchange(2, "a", GET, assertion("example.com", "01"), "CTAP2_OK");
    script.exchange(3, "b", "authenticatorSelection", json!({}), CANCELLED);
    assert_eq!(explain(&script.events), []);
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

/// As Chromium 156 asks a key with a PIN before it opens its window for that, and libfido2's `fido2-token -I` one that it looks at.
#[test]
fn who_asks_before_a_pin_and_then_nothing_waits_for_somebody_to_type_it_if_it_stays() {
    let asked = |peer: &str, and_then: &dyn Fn(&mut Script)| {
        let mut script = Script::default();
        script.info(1, "a");
        script.exchange(2, "a", "authenticatorClientPIN", json!({}), "CTAP2_OK");
        for event in &mut script.events {
            if let What::Request { peer: asks, subcommand, command, .. } = &mut event.what {
                peer.clone_into(asks);
                *subcommand = (command == "authenticatorClientPIN").then(|| "getPINRetries".to_owned());
            }
        }
        and_then(&mut script);
        explain(&script.events)
    };
    let gone = |at_ms| move |script: &mut Script| script.push(at_ms, "a", json!({"event": "unplugged"}));
    let closed = |at_ms| {
        move |script: &mut Script| script.push(at_ms, "a", json!({"event": "disconnected", "peer": "program-1"}))
    };
    let another = |script: &mut Script| script.info(5_000, "a");
    // A script's end, of which something later tells how long it was.
    let noted = |script: &mut Script| script.began(5_000, "1", "other.example", json!({}));
    for (how, explained) in [
        ("gone", asked("program-1", &gone(5_000))),
        ("closed", asked("program-1", &closed(5_000))),
        ("another", asked("program-1", &another)),
        ("the end", asked("program-1", &noted)),
    ] {
        let [only] = explained.as_slice() else { panic!("{how}: {explained:?}") };
        assert_eq!(only.refused_by, RefusedBy::Unknown, "{how}");
        assert!(only.text.contains("answered getPINRetries, and was asked nothing more. "), "{}", only.text);
        assert!(only.text.contains("A headless browser has no such window"), "{}", only.text);
    }
    assert_eq!(asked("program-1", &gone(500)), []);
    assert_eq!(
        asked("program-1", &|script| {
            closed(3)(script);
            gone(5_000)(script);
        }),
        [],
        "it has only looked"
    );
    assert_eq!(asked("usb", &gone(5_000)), [], "whether it stays nobody knows");
    assert_eq!(
        asked("program-1", &|script| {
            script.exchange(4_000, "a", GET, assertion("example.com", "01"), "CTAP2_OK");
            gone(5_000)(script);
        }),
        []
    );
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

#[test]
fn as_many_ceremonies_as_are_kept_stay_while_none_begins() {
    let mut script = Script::default();
    for number in 0..MAX_CEREMONIES {
        script.ask(1, &format!("k{number}"), GET, assertion("example.com", &format!("{number:04x}")));
    }
    // Another key is asked in the first of them.
    script.ask(2, "b", GET, assertion("example.com", "0000"));
    let explained = explain(&script.events);
    assert_eq!(explained.len(), MAX_CEREMONIES);
    let keys = explained.iter().map(|told| told.keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>());
    assert_eq!(keys.filter(|keys| keys.contains(&"b")).collect::<Vec<_>>(), [["k0", "b"]]);
}

impl Script {
    /// A page asks for a login.
    fn began(&mut self, at_ms: u64, id: &str, rp_id: &str, options: Value) {
        let mut asked = json!({"rp_id": rp_id, "challenge": "AAAA"});
        asked.as_object_mut().unwrap().extend(options.as_object().cloned().unwrap());
        self.note(
            at_ms,
            json!({"note": "began", "id": id, "at_unix_ms": at_ms, "ceremony": "get", "origin": "https://login.example.com:8443",
                "top": true, "options": asked}),
        );
    }

    fn ended(&mut self, at_ms: u64, id: &str, exception: &str) {
        let exception = json!({"name": exception, "message": "as the browser says"});
        self.note(at_ms, json!({"note": "ended", "id": id, "at_unix_ms": at_ms, "exception": exception}));
    }

    fn note(&mut self, at_ms: u64, mut note: Value) {
        note["event"] = json!("observed");
        note["at_us"] = json!(at_ms * 1_000);
        self.events.push(serde_json::from_value(note).unwrap());
    }
}

fn only(script: &Script) -> Explanation {
    let explained = explain(&script.events);
    let [only] = explained.as_slice() else { panic!("{explained:#?}") };
    only.clone()
}

#[test]
fn what_no_key_was_asked_the_browser_refused() {
    for (rp_id, says) in
        [("example.com", "The browser refused by itself."), ("example.net", "is neither login.example.com nor")]
    {
        let mut script = Script::default();
        script.began(1, "1", rp_id, json!({}));
        script.ended(5, "1", "SecurityError");
        let told = only(&script);
        assert_eq!((told.refused_by, told.rp_id.as_deref()), (RefusedBy::Browser, Some(rp_id)));
        assert!(told.text.contains("before any key was asked") && told.text.contains("SecurityError"), "{}", told.text);
        assert!(told.text.contains(says), "{}", told.text);
    }
}

/// SHA-256 of the client data that WebAuthn Level 3 §5.8.1.1 serializes, by `sha256sum`:
/// {"type":"webauthn.get","challenge":"AAAA","origin":"https://login.example.com:8443","crossOrigin":false}
const HASH: &str = "288941dbbc210ea43920beec8f3ab8e602937d00d8d5709271cf34f166d6cf71";

#[test]
fn a_page_and_keys_are_joined_by_the_hash_of_client_data() {
    let mut script = Script::default();
    // Another page asks other keys for the same at the same time, and nobody notes that.
    for (key, hash) in [("c", "01"), ("a", HASH)] {
        script.info(1, key);
        script.exchange(3, key, GET, assertion("example.com", hash), "CTAP2_ERR_NO_CREDENTIALS");
    }
    // The notes are late.
    script.began(4, "1", "example.com", json!({}));
    script.ended(900, "1", "NotAllowedError");
    let explained = explain(&script.events);
    let pages: Vec<_> = explained.iter().filter_map(|told| Some((told.page.as_ref()?, &told.keys))).collect();
    let [(page, keys)] = pages.as_slice() else { panic!("{explained:#?}") };
    assert_eq!(page.joined_by, Some(JoinedBy::ClientDataHash));
    assert_eq!(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(explained.len(), 2, "that of the others too");
}

/// Two pages of different sites at once, each with a key of its own; the second begins while the first one's key waits, and asks for a PIN
/// before its key hears any client data.
#[test]
fn pages_that_wait_at_once_are_told_each_with_its_own_key() {
    for with_pages in [true, false] {
        let mut script = Script::default();
        let page = |script: &mut Script, at_ms, id: &str, rp_id: &str, ends: bool| match (with_pages, ends) {
            (true, true) => script.ended(at_ms, id, "NotAllowedError"),
            (true, false) => script.began(at_ms, id, rp_id, json!({"challenge": id})),
            (false, _) => {}
        };
        page(&mut script, 1, "AAAB", "one.example", false);
        script.info(2, "a");
        let waits = script.ask(3, "a", GET, assertion("one.example", "01"));
        script.push(3, "a", json!({"event": "waiting", "command": GET}));
        page(&mut script, 1_500, "AAAC", "two.example", false);
        script.info(1_501, "b");
        script.exchange(1_502, "b", "authenticatorClientPIN", json!({"rpId": "two.example"}), "CTAP2_OK");
        script.exchange(1_503, "b", GET, assertion("two.example", "02"), "CTAP2_ERR_NO_CREDENTIALS");
        page(&mut script, 1_510, "AAAC", "two.example", true);
        script.push(8_999, "a", json!({"event": "wait-ended", "touch": "denied"}));
        script.answer(9_000, "a", waits, GET, "CTAP2_ERR_OPERATION_DENIED");
        page(&mut script, 9_001, "AAAB", "one.example", true);
        let explained = explain(&script.events);
        let get = Some(Ceremony::Get);
        let expected = [
            (get, Some("two.example"), RefusedBy::Key, vec![("b", "CTAP2_ERR_NO_CREDENTIALS")]),
            (get, Some("one.example"), RefusedBy::User, vec![("a", "CTAP2_ERR_OPERATION_DENIED")]),
        ];
        assert_eq!(told(&explained), expected, "with pages: {with_pages}");
        let asked = explained.iter().map(|told| told.keys.len());
        assert_eq!(asked.collect::<Vec<_>>(), [1, 1], "with pages: {with_pages}");
        assert!(explained.iter().all(|told| told.page.is_some() == with_pages));
    }
}

/// One of two tabs at the same site is refused by the browser, with no key asked, while the other one's key waits.
#[test]
fn what_a_key_is_known_to_be_asked_for_is_not_told_of_another_page() {
    let mut script = Script::default();
    script.began(1, "1", "example.com", json!({}));
    script.info(2, "a");
    let waits = script.ask(3, "a", GET, assertion("example.com", HASH));
    script.began(10, "2", "example.com", json!({"challenge": "BBBB"}));
    script.ended(11, "2", "InvalidStateError");
    script.answer(500, "a", waits, GET, "CTAP2_ERR_NO_CREDENTIALS");
    script.ended(501, "1", "NotAllowedError");
    let explained = explain(&script.events);
    let pages: Vec<_> = explained
        .iter()
        .map(|told| {
            let page = told.page.as_ref().unwrap();
            (page.exception.as_ref().unwrap().name.as_str(), page.joined_by, told.keys.len())
        })
        .collect();
    assert_eq!(pages, [("InvalidStateError", None, 0), ("NotAllowedError", Some(JoinedBy::ClientDataHash), 1)]);
}

#[test]
fn a_page_that_waits_has_its_keys_wait_to_be_explained() {
    let mut script = Script::default();
    script.began(1, "1", "example.com", json!({"timeout_ms": 60_000}));
    script.info(2, "a");
    script.exchange(3, "a", GET, assertion("example.com", "01"), "CTAP2_ERR_NO_CREDENTIALS");
    let mut explainer = Explainer::default();
    assert!(script.events.iter().all(|event| explainer.take(event).is_empty()));
    assert_eq!((explainer.waits_for_silence(), explainer.fall_silent()), (false, vec![]), "its window is open");
    script.ended(30_001, "1", "NotAllowedError");
    let told = explainer.take(script.events.last().unwrap()).into_iter().map(explanation).collect::<Vec<_>>();
    let [told] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!((told.refused_by, told.page.as_ref().unwrap().joined_by), (RefusedBy::Key, Some(JoinedBy::Time)));
    assert!(told.text.contains("After 30.0 s the page got NotAllowedError"), "{}", told.text);
}

#[test]
fn who_aborted_and_whose_time_was_over_is_told_apart() {
    for (exception, at_ms, refused_by) in [
        ("AbortError", 3_000, RefusedBy::Page),
        ("NotAllowedError", 10_003, RefusedBy::User),
        ("NotAllowedError", 3_000, RefusedBy::Unknown),
    ] {
        let mut script = Script::default();
        script.began(1, "1", "example.com", json!({"timeout_ms": 10_000}));
        let asked = script.ask(3, "a", GET, assertion("example.com", "01"));
        script.push(4, "a", json!({"event": "waiting", "command": GET}));
        // The page hears it before the key does.
        script.ended(at_ms, "1", exception);
        script.push(at_ms + 1, "a", json!({"event": "wait-ended", "touch": "cancelled"}));
        script.answer(at_ms + 2, "a", asked, GET, CANCELLED);
        assert_eq!(only(&script).refused_by, refused_by, "{exception} after {at_ms} ms: {}", only(&script).text);
    }
}

#[test]
fn a_site_that_refuses_what_browser_and_key_gave_is_told_with_what_it_said() {
    let mut script = Script::default();
    script.began(1, "1", "example.com", json!({}));
    script.info(2, "a");
    script.exchange(3, "a", GET, assertion("example.com", HASH), "CTAP2_OK");
    script.note(
        4,
        json!({"note": "ended", "id": "1", "at_unix_ms": 4, "credential": "AQ", "client_data_json": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiQUFBQSIsIm9yaWdpbiI6Imh0dHBzOi8vbG9naW4uZXhhbXBsZS5jb206ODQ0MyIsImNyb3NzT3JpZ2luIjpmYWxzZX0"}),
    );
    let body = json!({"code": "refused", "reason": "the origin has port 8443"}).to_string();
    script.note(
        9,
        json!({"note": "answered", "id": "1", "at_unix_ms": 9, "status": 400, "url": "https://login.example.com:8443/in", "body": body}),
    );
    let told = only(&script);
    let page = told.page.as_ref().unwrap();
    assert_eq!(
        (told.refused_by, page.site_status, page.joined_by),
        (RefusedBy::Site, Some(400), Some(JoinedBy::ClientDataHash))
    );
    assert!(
        told.text.contains("the site answered 400") && told.text.ends_with("the origin has port 8443."),
        "{}",
        told.text
    );
    assert!(told.text.contains("key a answered authenticatorGetAssertion with CTAP2_OK"), "{}", told.text);
    // A site that is content is nobody's failure.
    script.events.pop();
    script.note(9, json!({"note": "answered", "id": "1", "at_unix_ms": 9, "status": 200}));
    assert_eq!(explain(&script.events), []);
}

/// Where a page asks keyrig's client, the page's script and the client note the same ceremony: it is told once, whoever is first.
#[test]
fn a_ceremony_that_page_and_client_both_noted_is_told_once() {
    let began = |id: &str, challenge: &str| {
        json!({"event": "observed", "at_us": 1, "note": "began", "id": id, "at_unix_ms": 1, "ceremony": "get",
            "origin": "https://login.example.net", "top": true, "options": {"rp_id": "example.com", "challenge": challenge}})
    };
    let ended = |id: &str| {
        json!({"event": "observed", "at_us": 2, "note": "ended", "id": id, "at_unix_ms": 2,
            "exception": {"name": "SecurityError", "message": "no"}})
    };
    let told = |events: &[Value]| {
        let events: Vec<Event> = events.iter().map(|event| serde_json::from_value(event.clone()).unwrap()).collect();
        explain(&events).len()
    };
    assert_eq!(told(&[began("client-1", "AA"), began("1-1", "AA"), ended("client-1"), ended("1-1")]), 1);
    assert_eq!(told(&[began("1-1", "AA"), began("client-1", "AA"), ended("client-1"), ended("1-1")]), 1);
    assert_eq!(
        told(&[began("client-1", "AA"), ended("client-1"), began("1-1", "AA"), ended("1-1")]),
        1,
        "notes come late"
    );
    // And what is not the same is not taken for it.
    assert_eq!(told(&[began("client-1", "AA"), began("1-1", "BB"), ended("client-1"), ended("1-1")]), 2);
    assert_eq!(
        told(&[began("1-1", "AA"), ended("1-1"), began("1-2", "AA"), ended("1-2")]),
        2,
        "a site's challenge may stay"
    );
}
