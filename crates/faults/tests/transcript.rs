//! What is written down of keys that a browser's client uses: over USB/IP, and in this process.

#![cfg(test)]

mod support;

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use keyrig_client::channel::Cancel;
use keyrig_client::json::{CreationOptions, RequestOptions};
use keyrig_client::{Client, Key};
use keyrig_faults::transcript::{Direction, Event, Format, Output, Reader, Recorder, Secrets, Touch, Transcript, What};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_test::Rig;
use keyrig_usb::Limits;
use keyrig_ways::usb_ip;
use tokio::net::TcpListener;

use crate::support::File;

const CREATION: &str = r#"{"rp": {"id": "example.org", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
    "challenge": "_w", "attestation": "direct", "pubKeyCredParams": [{"type": "public-key", "alg": -7}]}"#;

const LOGIN_OF_ANOTHER_KEY: &str =
    r#"{"rpId": "example.org", "challenge": "_w", "allowCredentials": [{"type": "public-key", "id": "AAAA"}]}"#;

fn keys(names: &[&str]) -> Vec<KeySpecification> {
    names.iter().map(|name| KeySpecification::built_in("keyrig", name).unwrap()).collect()
}

/// A rig of two keys, in this process, and what listens at them.
async fn rig() -> (Rig, Recorder) {
    let recorder = Recorder::new(&keys(&["a", "b"]), Secrets::Masked);
    let options = Options { seams: vec![Arc::new(recorder.clone())], ..Options::default() };
    (Rig::start_with(options, ["a=keyrig", "b=keyrig"]).await.unwrap(), recorder)
}

/// Registers over USB/IP, and is refused at a login with another key's credential; written down in this format.
async fn over_usb_ip(format: Format, secrets: Secrets) -> File {
    let keys = keys(&["a"]);
    let recorder = Recorder::new(&keys, secrets);
    let file = File::default();
    recorder.write_to(Output::new(format), file.clone()).unwrap();
    let options = Options { seams: vec![Arc::new(recorder.clone())], ..Options::default() };
    let rack = Rack::start(options, keys).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
    let mut browser = [Key::new("a", usb_ip(server, "1-1").await.unwrap())];
    let page = Client::new("https://example.org".parse().unwrap());
    page.create(&CreationOptions::from_json(CREATION).unwrap(), &mut browser, Cancel::never()).await.unwrap();
    let login = RequestOptions::from_json(LOGIN_OF_ANOTHER_KEY).unwrap();
    page.get(&login, &mut browser, Cancel::never()).await.unwrap_err();
    serving.abort();
    recorder.finish().unwrap();
    file
}

fn read(file: &File) -> Vec<Event> {
    let bytes = file.0.lock().unwrap().clone();
    Reader::new(Cursor::new(bytes), Secrets::Masked).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_test_asserts_which_key_was_asked_for_a_touch_and_how_often() {
    let (rig, recorder) = rig().await;
    rig.touch_next("b").await.unwrap();
    rig.unplug("a").await.unwrap();
    rig.client("https://example.org").unwrap().create(CREATION).await.unwrap();
    let transcript = recorder.transcript();
    transcript.assert_touch_asked_once("b");
    transcript.assert_no_pin_retry_spent();
    let registered: Vec<_> =
        transcript.exchanges().into_iter().filter(|it| it.command == "authenticatorMakeCredential").collect();
    let [registered] = registered.as_slice() else { panic!("{registered:?}") };
    assert_eq!((registered.key.as_str(), registered.peer.as_str()), ("b", "direct"));
    assert_eq!(registered.rp_id(), Some("example.org"));
    assert_eq!(registered.status.as_deref(), Some("CTAP2_OK"));
    assert_eq!((registered.touch_asked, registered.touch), (true, Some(Touch::Touched)));
    assert_eq!(registered.response.get("fmt").unwrap().to_string(), "packed");
    let data = registered.response.get("authData").unwrap();
    assert_eq!(data.get("flags").unwrap().to_string(), "[UP, AT]");
    let certificate = registered.response.get("attStmt").unwrap().get("x5c").unwrap().to_string();
    assert!(certificate.contains("OU=Authenticator Attestation"), "{certificate}");
    // Plugs are among it, in their place.
    let became: Vec<_> = transcript
        .events()
        .iter()
        .filter(|event| matches!(event.what, What::Plugged | What::Unplugged))
        .map(|event| (event.key.as_deref().unwrap(), event.what == What::Plugged))
        .collect();
    assert_eq!(became, [("a", true), ("b", true), ("a", false)]);
}

#[tokio::test]
#[should_panic(expected = "a touch was to be asked for once, on a: it was asked for 1 times on a, 1 times on b")]
async fn a_touch_that_two_keys_asked_for_is_not_one() {
    let (rig, recorder) = rig().await;
    rig.client("https://example.org").unwrap().create(CREATION).await.unwrap();
    recorder.transcript().assert_touch_asked_once("a");
}

#[tokio::test]
async fn a_spent_pin_retry_is_counted_and_an_attempt_that_is_not_looked_at_is_not() {
    let (rig, recorder) = rig().await;
    rig.unplug("b").await.unwrap();
    rig.pin("a", "1234").await.unwrap();
    recorder.transcript().assert_no_pin_retry_spent();
    let discoverable = CREATION.replace(
        "\"challenge\"",
        r#""authenticatorSelection": {"residentKey": "required", "userVerification": "required"}, "challenge""#,
    );
    let page = rig.client("https://example.org").unwrap().typing("0000");
    for attempts in [1, 2, 3, 3, 3] {
        page.create(&discoverable).await.unwrap_err();
        assert_eq!(recorder.transcript().pin_retries_spent("a"), attempts);
    }
    // What went over the wire for it is not in there.
    let events = recorder.transcript();
    let asked = events.exchanges().into_iter().find(|it| it.request.get("pinHashEnc").is_some()).unwrap();
    assert_eq!(asked.request.get("pinHashEnc").unwrap().to_string(), "(32 bytes, masked)");
}

#[tokio::test]
async fn what_the_user_did_is_in_it() {
    for (policy, touch, status) in [
        (TouchPolicy::Deny, Touch::Denied, "CTAP2_ERR_OPERATION_DENIED"),
        (TouchPolicy::Auto, Touch::Touched, "CTAP2_OK"),
    ] {
        let (rig, recorder) = rig().await;
        rig.unplug("b").await.unwrap();
        rig.touch_policy(policy).await.unwrap();
        let _ = rig.client("https://example.org").unwrap().create(CREATION).await;
        let exchanges = recorder.transcript().exchanges();
        let asked = exchanges.iter().find(|it| it.touch_asked).unwrap();
        assert_eq!((asked.touch, asked.status.as_deref()), (Some(touch), Some(status)));
    }
}

#[tokio::test]
async fn text_has_a_line_for_each_exchange_and_says_why() {
    let text = over_usb_ip(Format::Text, Secrets::Masked).await.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("authenticatorMakeCredential")).collect();
    let [line] = lines.as_slice() else { panic!("{text}") };
    let words: Vec<_> = line.split_whitespace().collect();
    let expected = ["a", "authenticatorMakeCredential", "example.org", "CTAP2_OK", "touched"];
    assert_eq!(words[1..6], expected, "{line}");
    assert!(words[0].parse::<f64>().is_ok() && words[6].parse::<f64>().is_ok(), "{line}");
    let refused = text.lines().find(|line| line.contains("CTAP2_ERR_NO_CREDENTIALS")).unwrap();
    let why =
        "the credential in allowList is not on this key for this RP ID, unless it wants a PIN first (credProtect)";
    assert!(refused.ends_with(why), "{refused}");
}

#[tokio::test]
async fn lines_of_json_are_read_back_as_they_were_written() {
    let file = over_usb_ip(Format::Jsonl, Secrets::Masked).await;
    let events = read(&file);
    let What::Trace(header) = &events[0].what else { panic!("{:?}", events[0]) };
    assert_eq!((header.format, header.masked, header.keys[0].name.as_str()), (1, true, "a"));
    let mut again = Vec::new();
    let mut output = Output::new(Format::Jsonl);
    for event in &events {
        output.write(event, &mut again);
    }
    assert_eq!(String::from_utf8(again).unwrap(), file.text());
    // A line that is cut off is named.
    let cut = &file.text()[..file.text().len() - 9];
    let error = Transcript::read(Cursor::new(cut)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("line {}: the line does not end", events.len())), "{error}");
}

/// Reports by direction, as a capture has them.
fn reports(events: &[Event]) -> Vec<(Direction, Vec<u8>)> {
    let report = |event: &Event| match &event.what {
        What::Report { direction, bytes, .. } => Some((*direction, bytes.clone())),
        _ => None,
    };
    events.iter().filter_map(report).collect()
}

#[tokio::test]
async fn a_capture_has_the_reports_and_from_them_all_the_rest() {
    let events = read(&over_usb_ip(Format::Jsonl, Secrets::Shown).await);
    let mut capture = Vec::new();
    let mut output = Output::new(Format::Pcapng);
    for event in &events {
        output.write(event, &mut capture);
    }
    let back = read(&File(Arc::new(Mutex::new(capture))));
    assert_eq!(reports(&back), reports(&events));
    let of = |events: &[Event]| {
        let exchanges = Transcript::new(events.to_vec()).exchanges();
        exchanges
            .into_iter()
            .map(|it| (it.key, it.command, it.subcommand, it.status, it.touch, it.request, it.channel))
            .map(|(key, command, subcommand, status, touch, request, channel)| {
                (key, command, subcommand, status, touch, request.to_string(), channel)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&back), of(&events));
    // What the host asked of the device itself is in it.
    assert!(events.iter().any(|event| {
        matches!(&event.what, What::Control { request, status: 0, .. } if request == "SET_CONFIGURATION")
    }));
    assert!(
        back.iter().any(|event| matches!(&event.what, What::Control { request, .. } if request == "GET_DESCRIPTOR"))
    );
}

#[tokio::test]
async fn what_came_without_ctaphid_is_in_a_capture_too() {
    let recorder = Recorder::new(&keys(&["a"]), Secrets::Masked);
    let file = File::default();
    recorder.write_to(Output::new(Format::Pcapng), file.clone()).unwrap();
    let options = Options { seams: vec![Arc::new(recorder.clone())], ..Options::default() };
    let rig = Rig::start_with(options, ["a=keyrig"]).await.unwrap();
    rig.client("https://example.org").unwrap().create(CREATION).await.unwrap();
    recorder.finish().unwrap();
    let exchanges = Transcript::new(read(&file)).exchanges();
    let made = exchanges.iter().find(|it| it.command == "authenticatorMakeCredential").unwrap();
    assert_eq!((made.key.as_str(), made.rp_id(), made.is_ok()), ("a", Some("example.org"), true));
}

#[test]
fn what_is_no_transcript_is_refused_with_words() {
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"# text", "it is a transcript as text"),
        (b"GIF89a", "it is neither a transcript of keyrig"),
        (b"\x0A\x0D\x0D\x0A\x1C", "byte 5 of the capture: "),
        (b"{\"at_us\": 0}\n", "line 1: missing field `event`"),
    ] {
        let error = Transcript::read(Cursor::new(bytes)).unwrap_err().to_string();
        assert!(error.contains(words), "{bytes:?}: {error}");
    }
    let later =
        r#"{"at_us":0,"event":"trace","format":9,"recorded_by":"","started_unix_us":0,"masked":true,"keys":[]}"#;
    let error = Transcript::read(Cursor::new(format!("{later}\n"))).unwrap_err();
    assert_eq!(error.to_string(), "it has form 9, and this keyrig reads form 1");
    // Ethernet.
    let pcap = [&[0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0][..], &[0; 12], &[1, 0, 0, 0]].concat();
    let error = Transcript::read(Cursor::new(pcap)).unwrap_err();
    assert_eq!(error.to_string(), "the capture has link type 1: captures of usbmon have 189 or 220");
}

/// A disk that is not ready until it is told to be.
struct Slow(std::sync::mpsc::Receiver<()>, File);

impl std::io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Nothing is sent: the sender goes.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_hundred_keys_under_load_wait_for_no_disk_and_what_is_lost_is_counted() {
    let names: Vec<_> = (0..100).map(|index| format!("k{index}")).collect();
    let keys = keys(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let recorder = Recorder::new(&keys, Secrets::Masked);
    let (ready, wait) = std::sync::mpsc::channel();
    let file = File::default();
    recorder.write_to(Output::new(Format::Jsonl), Slow(wait, file.clone())).unwrap();
    let options = Options { seams: vec![Arc::new(recorder.clone())], ..Options::default() };
    let rack = Rack::start(options, keys).await.unwrap();
    let mut exchanges = 0_u64;
    for _ in 0..20 {
        for name in &names {
            // Too long for the key, and much to keep.
            let message = vec![0x3F; 7000];
            let answer = rack.key(&name.parse().unwrap()).unwrap().transact(message).answer().await.unwrap();
            assert_eq!(answer, [0x39], "CTAP2_ERR_REQUEST_TOO_LARGE: a key waits for no disk");
            exchanges += 1;
        }
    }
    drop(ready);
    recorder.finish().unwrap();
    let events = read(&file);
    let missed = |event: &Event| if let What::Gap { missed } = event.what { missed } else { 0 };
    let missed: u64 = events.iter().map(missed).sum();
    let passed = |event: &&Event| matches!(event.what, What::Request { .. } | What::Response { .. });
    let heard = u64::try_from(events.iter().filter(passed).count()).unwrap();
    assert!(missed > 0, "it was more than is kept");
    assert_eq!(heard + missed, 2 * exchanges);
    let size = events.iter().filter(passed).map(|event| format!("{event:?}").len()).sum::<usize>();
    assert!(size > 1024 * 1024, "much of it was kept: {size}");
}
