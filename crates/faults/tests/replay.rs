//! Recorded sessions again: over USB/IP, without USB, and without CTAPHID; what was altered in them is found.

#![cfg(test)]

mod support;

use core::ops::ControlFlow;
use std::io::Cursor;
use std::sync::Arc;

use keyrig_authenticator::profile::Quirk;
use keyrig_client::channel::Cancel;
use keyrig_client::fingerprints::Captured;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::pin::{Pin, PinRequest};
use keyrig_client::{Client, Key, Permissions};
use keyrig_ctap::hid::{ChannelId, Command as HidCommand, Message};
use keyrig_ctap::u2f;
use keyrig_faults::replay::{NotReplayable, Replayed, replay};
use keyrig_faults::timeline::Timeline;
use keyrig_faults::transcript::{Format, Output, Recorder, Secrets, read};
use keyrig_faults::{Absent, Faults};
use keyrig_rack::command::{Command, WaitFor};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::seams::Seams;
use keyrig_rack::{KeyName, KeySpecification, Options, Rack};
use keyrig_usb::Limits;
use keyrig_ways::{InProcess, usb_ip};
use tokio::net::TcpListener;

use crate::support::File;

const CREATION: &str = r#"{"rp": {"id": "example.org", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
    "challenge": "_w", "attestation": "direct", "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    "authenticatorSelection": {"residentKey": "required", "userVerification": "required"}}"#;

const LOGIN: &str = r#"{"rpId": "example.org", "challenge": "_w", "userVerification": "required"}"#;

fn name(name: &str) -> KeyName {
    name.parse().unwrap()
}

struct Recorded {
    rack: Rack,
    faults: Faults,
    recorder: Recorder,
    file: File,
}

impl Recorded {
    /// Three keys, of which a and f have the PIN 1234.
    async fn start() -> Self {
        let mut keys = vec![
            KeySpecification::built_in("keyrig", "a").unwrap(),
            KeySpecification::built_in("yubikey-5.7", "b").unwrap(),
            KeySpecification::built_in("yubikey-bio-5.7", "f").unwrap(),
        ];
        keys[0].profile.add(Quirk::named("long-key-handle").unwrap()).unwrap();
        keys[1].profile.add(Quirk::named("touch-latch").unwrap()).unwrap();
        Self::of(keys, &["a", "f"]).await
    }

    /// Keys with a seed, of which these have the PIN 1234.
    async fn of(keys: Vec<KeySpecification>, with_pin: &[&str]) -> Self {
        let names: Vec<_> = keys.iter().map(|key| key.name.clone()).collect();
        let recorder = Recorder::new(&keys, Secrets::Masked);
        let faults = Faults::new(Some(7), Absent::nothing());
        recorder.listen_to(&faults);
        let seams: Vec<Arc<dyn Seams>> = vec![Arc::new(faults.clone()), Arc::new(recorder.clone())];
        let options = Options { seams, seed: Some(7), ..Options::default() };
        let rack = Rack::start(options, keys).await.unwrap();
        for key in with_pin {
            rack.known(&name(key)).unwrap().set_pin("1234".to_owned()).await.unwrap();
        }
        let mut starts = Vec::new();
        for key in names {
            let start = rack.known(&key).unwrap().starting_point().await.unwrap().expect("it has a seed");
            starts.push((key, start));
        }
        recorder.starts_from(7, &starts);
        let file = File::default();
        recorder.write_to(Output::new(Format::Jsonl), file.clone()).unwrap();
        Self { rack, faults, recorder, file }
    }

    /// What was written.
    fn end(self) -> String {
        self.recorder.finish().unwrap();
        self.file.text()
    }
}

/// All ways to a key, and all that its user may do.
async fn session() -> String {
    let recorded = Recorded::start().await;
    let rack = &recorded.rack;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
    let mut browser =
        [Key::new("a", usb_ip(server, "1-1").await.unwrap()), Key::new("b", usb_ip(server, "1-2").await.unwrap())];
    let page = Client::new("https://example.org".parse().unwrap()).with_pin(Pin::new("1234"));
    // Both blink, a is touched, and b is cancelled.
    let creation = CreationOptions::from_json(CREATION).unwrap();
    page.create(&creation, &mut browser, Cancel::never()).await.unwrap();
    let login = RequestOptions::from_json(LOGIN).unwrap();
    page.get(&login, &mut browser[..1], Cancel::never()).await.unwrap();
    // Without USB: nobody touches, then somebody refuses.
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.unwrap();
    let selection = || vec![0x0B];
    let cancelled = rack.transact(&name("a"), selection(), async {}).await.unwrap();
    assert_eq!(cancelled.message, [0x2D], "CTAP2_ERR_KEEPALIVE_CANCEL");
    let gone = rack.known(&name("a")).unwrap().transact(selection());
    rack.command(Command::Wait { key: name("a"), what: WaitFor::Touch }).await.unwrap();
    drop(gone);
    let mut denied = rack.known(&name("b")).unwrap().transact(selection());
    rack.command(Command::Deny { key: name("b"), wait: true }).await.unwrap();
    assert_eq!(denied.answer().await.unwrap(), [0x27], "CTAP2_ERR_OPERATION_DENIED");
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Every }).await.unwrap();
    let register = u2f::Request::Register { challenge: [1; 32], application: [2; 32] }.encode(u2f::Encoding::Extended);
    for _ in 0..2 {
        rack.transact_u2f(&name("b"), register.clone()).await.unwrap();
    }
    let mut keys = [Key::new("b", InProcess(rack.key(&name("b")).unwrap()))];
    page.create(&creation, &mut keys, Cancel::never()).await.unwrap();
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.unwrap();
    // A program that goes in the middle of a message, and the power.
    let program = rack.known(&name("a")).unwrap().connect().await.unwrap();
    let ping = Message::new(ChannelId(5), HidCommand::Ping, vec![7; 100]).unwrap();
    program.send(ping.reports().next().unwrap()).await.unwrap();
    drop(program);
    let waits = rack.known(&name("b")).unwrap().transact(selection());
    rack.command(Command::PowerCycle { key: name("b") }).await.unwrap();
    drop(waits);
    rack.command(Command::Unplug { key: name("a") }).await.unwrap();
    serving.abort();
    recorded.end()
}

/// Faults of every layer, switched by hand and by a timeline, beside what else that does: what a host meets of them over USB/IP, in
/// process, and without CTAPHID.
async fn session_with_faults() -> String {
    let recorded = Recorded::start().await;
    let (rack, faults) = (&recorded.rack, &recorded.faults);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
    let mut browser = [Key::new("a", usb_ip(server, "1-1").await.unwrap())];
    let page = Client::new("https://example.org".parse().unwrap()).with_pin(Pin::new("1234"));
    let creation = CreationOptions::from_json(CREATION).unwrap();
    let login = RequestOptions::from_json(LOGIN).unwrap();
    let on = |key: &str, fault: &str| faults.switch_on(&name(key), fault.parse().unwrap()).unwrap();
    on("a", "usb-delay,ms=1,times=3");
    on("a", "be-set,probability=0.5");
    on("a", "clock-jump,ms=5000,command=makeCredential,nth=1");
    on("a", "attestation-expired");
    page.create(&creation, &mut browser, Cancel::never()).await.unwrap();
    faults.switch_off(&name("a"), Some(&"attestation-expired".parse().unwrap()));
    on("a", "bad-signature,probability=0.4");
    on("a", "ctap-slow,ms=120,command=getAssertion,nth=1");
    for _ in 0..4 {
        page.get(&login, &mut browser, Cancel::never()).await.unwrap();
    }
    faults.switch_off(&name("a"), None);
    // The disk fails after the touch.
    on("a", "storage-failing,command=makeCredential");
    page.create(&creation, &mut browser, Cancel::never()).await.unwrap_err();
    on("a", "ctaphid-repeated-continuation,command=getAssertion,nth=1");
    page.get(&login, &mut browser, Cancel::never()).await.unwrap_err();
    faults.switch_off(&name("a"), None);
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.unwrap();
    let timeline = Timeline::from_toml(
        r#"
        events = [
            { at = "0s", do = "fault", key = "b", fault = "ctap-status,status=0x2E,command=getInfo" },
            { when = "b waiting", do = "deny", key = "b" },
            { when = "b denied", do = "fault-off", key = "b" },
            { when = "b denied", do = "power-cycle", key = "b" },
            { when = "b plugged", do = "touch", key = "b" },
        ]
        "#,
    )
    .unwrap();
    // The last touch is before anything is asked.
    let asked = async {
        let key = rack.known(&name("b")).unwrap();
        while rack.command(Command::Show { key: name("b") }).await.is_ok() && faults.on(&name("b")).is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(key.transact(vec![0x04]).answer().await.unwrap(), [0x2E], "CTAP2_ERR_NO_CREDENTIALS");
        assert_eq!(key.transact(vec![0x0B]).answer().await.unwrap(), [0x27], "CTAP2_ERR_OPERATION_DENIED");
    };
    let (outcome, ()) = tokio::join!(timeline.run(rack, core::future::pending(), |_| {}), asked);
    let outcome = outcome.unwrap();
    assert!(outcome.done.iter().all(|done| done.refused.is_none()), "{outcome:?}");
    let taken = rack.transact(&name("b"), vec![0x0B], core::future::pending()).await.unwrap();
    assert_eq!((taken.message, taken.asked_for_touch), (vec![0x00], false), "the touch before was taken for it");
    serving.abort();
    recorded.end()
}

/// A finger is enrolled, of which the sensor does not like every sample, as a timeline has it.
async fn session_with_samples() -> String {
    let recorded = Recorded::start().await;
    let rack = &recorded.rack;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
    let mut key = Key::new("f", usb_ip(server, "1-3").await.unwrap());
    rack.command(Command::TouchPolicy { policy: TouchPolicy::Manual }).await.unwrap();
    let timeline = Timeline::from_toml(
        r#"
        events = [
            { when = "f waiting", do = "sample", key = "f", sample = "too-fast" },
            { when = "f sampled", after = "0ms", do = "finger", key = "f" },
            { when = "f waiting", nth = 2, do = "sample", key = "f", sample = "exists" },
            { when = "f waiting", nth = 3, do = "miss", key = "f" },
            { when = "f waiting", nth = 4, do = "sample", key = "f", sample = "good" },
            { when = "f waiting", nth = 5, do = "touch-policy", policy = "auto" },
        ]
        "#,
    )
    .unwrap();
    let mut seen = Vec::new();
    let never = Cancel::never();
    let enrolled = async {
        let ask = |_: &PinRequest| Some(Pin::new("1234"));
        let token = key.pin_uv_auth_token(Permissions::BE, None, &ask, &never).await.unwrap();
        let on_sample = |captured: Captured| {
            seen.push(u64::from(captured.sample));
            ControlFlow::Continue(())
        };
        key.enroll_fingerprint(&token, None, on_sample, &never).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(timeline.run(rack, core::future::pending(), |_| {}), enrolled);
    let outcome = outcome.unwrap();
    assert!(outcome.done.iter().all(|done| done.refused.is_none()), "{outcome:?}");
    // CTAP 2.3 §6.7: CTAP2_ENROLL_FEEDBACK_FP_TOO_FAST, _EXISTS, _POOR_QUALITY, and five that are good.
    assert_eq!(seen, [0x05, 0x0B, 0x07, 0, 0, 0, 0, 0]);
    serving.abort();
    recorded.end()
}

#[tokio::test]
async fn a_session_with_samples_comes_to_the_same() {
    let session = session_with_samples().await;
    for touch in ["too-fast", "exists", "missed", "touched"] {
        assert!(session.contains(&format!(r#""event":"wait-ended","touch":"{touch}""#)), "{touch}");
    }
    let again = replayed(&session).unwrap();
    assert_eq!(again.difference.map(|difference| difference.to_string()), None);
    let other = session.replace(r#""touch":"too-fast""#, r#""touch":"too-slow""#);
    assert!(replayed(&other).unwrap().difference.is_some());
}

#[tokio::test]
async fn a_session_with_faults_and_a_timeline_comes_to_the_same() {
    let session = session_with_faults().await;
    for part in [
        r#""event":"fault-on","fault":"be-set,probability=0.5""#,
        r#""event":"fault-off","fault":"attestation-expired""#,
        r#""key":"a","event":"fault-off"}"#,
        r#""event":"fault","fault":"bad-signature,probability=0.4""#,
        r#""event":"fault","fault":"usb-delay,ms=1,times=3""#,
        r#""event":"fault","fault":"storage-failing,command=authenticatorMakeCredential""#,
        r#""event":"fault","fault":"ctaphid-repeated-continuation,command=authenticatorGetAssertion,nth=1""#,
        r#""key":"b","event":"touched-unasked""#,
    ] {
        assert!(session.contains(part), "{part} is in it");
    }
    let again = replayed(&session).unwrap();
    assert_eq!(again.difference.map(|difference| difference.to_string()), None);
    // Without what was switched, without the touch, with another probability: not the same.
    let without = |part: &str| -> String {
        session.lines().filter(|line| !line.contains(part)).map(|line| format!("{line}\n")).collect()
    };
    let latched = replayed(&without("touched-unasked")).unwrap().difference.unwrap().to_string();
    assert!(latched.contains("key b") && latched.contains("waits for a touch"), "{latched}");
    let probable = session.replace("be-set,probability=0.5", "be-set,probability=0.000001");
    assert!(replayed(&probable).unwrap().difference.is_some());
    let unswitched = replayed(&without("fault-on")).unwrap_err().to_string();
    assert!(unswitched.contains("happened, and that it was switched on is not written down"), "{unswitched}");
}

fn replayed(transcript: &str) -> Result<Replayed, NotReplayable> {
    replay(read(Cursor::new(transcript.as_bytes().to_vec()))?, None)
}

#[tokio::test]
async fn what_was_recorded_is_done_again_and_comes_to_the_same() {
    let session = session().await;
    let first = session.lines().next().unwrap();
    assert!(first.contains(r#""quirks":["long-key-handle"]"#), "{first}");
    assert!(first.contains("with this seed all PINs and private keys in here can be computed"), "{first}");
    let again = replayed(&session).unwrap();
    assert_eq!(again.difference.map(|difference| difference.to_string()), None);
    assert!(!again.cut_short);
    // What was cut off at the end of a line is no less right, as far as it goes.
    let without_its_end = session.strip_suffix("\n").unwrap().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    let again_without = replayed(&without_its_end).unwrap();
    assert!(again_without.cut_short && again_without.difference.is_none());
    let count = |kind: &str| session.lines().filter(|line| line.contains(kind)).count();
    assert_eq!(again.keys, 3);
    assert_eq!(again.exchanges, u64::try_from(count(r#""event":"request""#)).unwrap());
    assert!(again.exchanges > 15 && again.reports > 50, "{again:?}", again = (again.exchanges, again.reports));
    for kind in
        ["cancel-asked", "abandoned", "connected", "disconnected", "denied", "touched", "cancelled", "unplugged"]
    {
        assert!(session.contains(kind), "{kind} is in it");
    }
}

/// A key lists the RP IDs again to which it gave enterprise attestations.
#[tokio::test]
async fn an_enterprise_attestation_comes_to_the_same() {
    let mut keys = vec![KeySpecification::built_in("yubikey-enterprise", "e").unwrap()];
    keys[0].profile.list_for_enterprise("example.org").unwrap();
    let recorded = Recorded::of(keys, &[]).await;
    let mut keys = [Key::new("e", InProcess(recorded.rack.key(&name("e")).unwrap()))];
    keys[0].enable_enterprise_attestation(None, &Cancel::never()).await.unwrap();
    let creation = CREATION.replace("direct", "enterprise").replace("required", "discouraged");
    let page = Client::new("https://example.org".parse().unwrap());
    page.create(&CreationOptions::from_json(&creation).unwrap(), &mut keys, Cancel::never()).await.unwrap();
    let session = recorded.end();
    assert!(session.contains(r#""epAtt":true"#), "{session}");
    assert_eq!(replayed(&session).unwrap().difference.map(|difference| difference.to_string()), None);
    let listed = r#""enterprise_rps":["enterprise.example.com","example.org"]"#;
    let otherwise = altered(&session, &[], listed, r#""enterprise_rps":["enterprise.example.com"]"#);
    let difference = replayed(&otherwise).unwrap().difference.expect("the key does not list it").to_string();
    assert!(difference.contains("authenticatorMakeCredential"), "{difference}");
    let incapable = altered(&session, &[], r#""profile":"yubikey-enterprise""#, r#""profile":"yubikey-5.7""#);
    let refused = replayed(&incapable).unwrap_err().to_string();
    assert!(refused.contains("knows no enterprise attestation"), "{refused}");
}

/// Recorded of libfido2's tools by keyrig 0.1.0, with a PIN at key a: `keyrig exec --seed 7 --key a=keyrig --key b=yubikey-5.7 --pin a=FILE
/// --touch every --trace libfido2.jsonl -- sh`, in which `fido2-token -L` and `-I`, `fido2-cred -M`, and `fido2-assert -G` for another RP ID, for
/// that one, and at b.
#[test]
fn what_another_build_recorded_comes_to_the_same_bytes() {
    let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/libfido2.jsonl");
    let again = replayed(&std::fs::read_to_string(recorded).unwrap()).unwrap();
    assert_eq!(again.difference.map(|difference| difference.to_string()), None);
    assert_eq!((again.keys, again.exchanges), (2, 13));
}

/// A line with this in it, altered.
fn altered(session: &str, with: &[&str], from: &str, to: &str) -> String {
    let is_it = |line: &&str| with.iter().all(|part| line.contains(part)) && line.contains(from);
    let line = session.lines().find(is_it).unwrap_or_else(|| panic!("{with:?} {from}"));
    session.replacen(line, &line.replacen(from, to, 1), 1)
}

#[tokio::test]
async fn the_first_thing_that_is_otherwise_is_shown_by_its_name() {
    let session = session().await;
    let difference = |altered: &str| replayed(altered).unwrap().difference.expect("it was altered").to_string();
    let counted =
        altered(&session, &["authenticatorGetAssertion", "\"response\""], r#""signCount":2"#, r#""signCount":9"#);
    let told = difference(&counted);
    let lines: Vec<_> = told.lines().map(str::trim).collect();
    let said = "authenticatorGetAssertion answered CTAP2_OK";
    assert!(lines[0].starts_with("at ") && lines[0].ends_with(", key a"), "{told}");
    assert_eq!(lines[1..3], [format!("recorded  {said}"), format!("replayed  {said}")]);
    assert_eq!(lines[3..], ["members.authData.signCount", "recorded  9", "replayed  2"]);

    // Of long values the part around the first character that differs is shown.
    let long = altered(&session, &["authenticatorMakeCredential", "\"response\""], r#""sig":""#, r#""sig":"ff"#);
    let told = difference(&long);
    assert!(told.lines().all(|line| line.chars().count() <= 100) && told.contains("characters, from 0 on)"), "{told}");

    let status =
        altered(&session, &["authenticatorGetAssertion", "\"response\""], "CTAP2_OK", "CTAP2_ERR_NO_CREDENTIALS");
    assert!(difference(&status).contains("recorded  authenticatorGetAssertion answered CTAP2_ERR_NO_CREDENTIALS"));
    // The host asks for something else: a PING on the broadcast channel, where its INIT was.
    let asked = altered(&session, &[r#""direction":"out""#, r#""peer":"usb""#], "ffffffff86", "ffffffff81");
    let told = difference(&asked);
    // CTAPHID_ERROR, ERR_INVALID_CHANNEL (CTAP 2.3, 11.2.9.1.6).
    assert!(told.contains("recorded  ffffffff860011") && told.contains("replayed  ffffffffbf00010b"), "{told}");
    // The user did something else.
    let touched = altered(&session, &["wait-ended"], "touched", "denied");
    let told = difference(&touched);
    assert!(told.contains("answered CTAP2_ERR_OPERATION_DENIED"), "{told}");
    // Another seed.
    let seed = altered(&session, &["\"trace\""], r#""seed":7"#, r#""seed":8"#);
    assert!(replayed(&seed).unwrap().difference.is_some());
    // It ends too early: the key went on.
    let cut = session.lines().position(|line| line.contains("authenticatorMakeCredential")).unwrap();
    let cut: String = session.lines().take(cut + 1).map(|line| format!("{line}\n")).collect();
    assert!(difference(&cut).contains("recorded  nothing"));
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_with_words() {
    let session = session().await;
    let header = session.lines().next().unwrap();
    let refused = |transcript: &str| replayed(transcript).unwrap_err().to_string();
    let with = |line: &str| format!("{header}\n{line}\n");
    let event = |at_us: u64, key: &str, rest: &str| format!(r#"{{"at_us":{at_us},"key":"{key}",{rest}}}"#);
    let no_seed = header.replace(r#""seed":7,"#, "") + "\n";
    assert_eq!(refused(&no_seed), "it was recorded without a seed, so what was random in it cannot be had again");
    let mut other: serde_json::Value = serde_json::from_str(header).unwrap();
    let snapshot = other["keys"][0]["start"]["snapshot"].as_str().unwrap().to_owned();
    other["keys"][0]["start"]["snapshot"] = snapshot[..snapshot.len() - 2].into();
    let damaged = refused(&format!("{other}\n"));
    assert_eq!(damaged, "key \"a\" of its header cannot be made: the snapshot is damaged: it has another checksum");
    other["keys"][0]["start"]["snapshot"] = snapshot.into();
    other["keys"][0]["profile"] = "nothing".into();
    assert!(refused(&format!("{other}\n")).contains("no profile is called \"nothing\""));
    for (line, words) in [
        (event(5, "a", r#""event":"administered""#), "at 0.000005 s, key \"a\": its owner changed what it keeps"),
        (event(5, "c", r#""event":"plugged""#), "key \"c\": the header does not have it"),
        (r#"{"at_us":5,"event":"gap","missed":3}"#.to_owned(), "at 0.000005 s: 3 events are missing"),
        (
            event(5, "a", r#""event":"report","direction":"out","peer":"usb","bytes":"00""#),
            "a report of 1 bytes: reports have 64",
        ),
        (
            event(5, "a", r#""event":"request","exchange":1,"peer":"direct","channel":"ffffffff","command":"x""#),
            "a request whose bytes are not written down",
        ),
        (
            event(5, "a", r#""event":"fault-on","fault":"ctaphid-slow,ms=5""#),
            "at 0.000005 s, key \"a\": ctaphid-slow was switched on, and when and how often that happens is a matter of the machine",
        ),
        (event(5, "a", r#""event":"fault-on","fault":"tarpit""#), "no fault is called \"tarpit\""),
        (event(5, "c", r#""event":"fault-off""#), "key \"c\": the header does not have it"),
        (
            event(5, "a", r#""event":"fault","fault":"ctap-slow""#),
            "\"ctap-slow\" happened, and that it was switched on",
        ),
        (header.to_owned(), "this has two"),
        ("{".to_owned(), "line 2: "),
    ] {
        let told = refused(&with(&line));
        assert!(told.contains(words), "{line}: {told}");
    }
    let back = with(&[event(5, "a", r#""event":"plugged""#), event(4, "a", r#""event":"winked""#)].join("\n"));
    assert!(refused(&back).contains("time goes back"));
    let cut = &session[..session.len() - 9];
    assert!(refused(cut).contains("the line does not end"));
    assert_eq!(
        refused(&session.lines().nth(1).map(|line| format!("{line}\n")).unwrap()),
        "a transcript has one header, which is its first line: this has none"
    );
}
