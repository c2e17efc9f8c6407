//! Ceremonies in which a PIN is asked for: which key, in which order, and what ends them.

use std::sync::Mutex;

use keyrig_ctap::{Command, Response};

use super::*;
use crate::json::{CreationOptions, RequestOptions};
use crate::pin::{Pin, PinProblem, PinReason, PinRequest};
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::testing::*;
use crate::{Client, Rules};

fn creation(user_verification: &str) -> CreationOptions {
    let options = serde_json::json!({
        "rp": {"name": "Example"}, "user": {"id": "AQ", "name": "root@pam", "displayName": "root"}, "challenge": "_w",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"userVerification": user_verification},
    });
    CreationOptions::from_json(&options.to_string()).unwrap()
}

fn request(user_verification: &str) -> RequestOptions {
    let options = serde_json::json!({"challenge": "_w", "userVerification": user_verification});
    RequestOptions::from_json(&options.to_string()).unwrap()
}

fn allowing(user_verification: &str) -> RequestOptions {
    let credential = keyrig_ctap::entities::CredentialDescriptor::public_key(unhex(CREDENTIAL_ID));
    RequestOptions { allow_credentials: vec![credential], ..request(user_verification) }
}

/// A key with the PIN 1234 that checks pinUvAuthParam, sets UV for it, and does the rest after a touch.
fn guarded(name: &str, info: get_info::Response) -> (Key<Scripted>, Arc<tokio::sync::Notify>, Arc<Mutex<PinState>>) {
    with_pin(name, info, PinState::of(Some("1234")), |request| {
        let verified = |auth: &PinUvAuth, hash: &[u8]| {
            let Some(param) = &auth.param else { return false };
            let protocol = PinUvAuthProtocol::Two;
            assert_eq!((param, auth.protocol), (&protocol.authenticate(&TOKEN, hash), Some(2)));
            true
        };
        let flags = |verified: bool| if verified { 0x05 } else { 0x01 };
        let hash = hex::encode(crate::client_data::hash(b"example.org"));
        Reply::AfterTouch(match request {
            Request::MakeCredential(request) if request.pin_uv_auth.param == Some(Vec::new()) => {
                status(Status::PinInvalid)
            }
            Request::MakeCredential(request) => {
                let flags = 0x40 | flags(verified(&request.pin_uv_auth, &request.client_data_hash));
                let authenticator_data = attested_data(&hash, flags, &"00".repeat(16));
                ok(Response::MakeCredential(Box::new(make_credential::Response { authenticator_data, ..made() })))
            }
            Request::GetAssertion(request) => {
                let flags = flags(verified(&request.pin_uv_auth, &request.client_data_hash));
                let authenticator_data = unhex(&format!("{hash}{flags:02x}00000000"));
                let response = keyrig_ctap::get_assertion::Response { authenticator_data, ..signed() };
                ok(Response::GetAssertion(Box::new(response)))
            }
            _ => ok(Response::Done),
        })
    })
}

fn client_with_pin() -> Client {
    client().with_pin(Pin::new("1234"))
}

fn commands(key: &Key<Scripted>) -> Vec<Command> {
    story(key).into_iter().map(|(command, _)| command).collect()
}

#[tokio::test(start_paused = true)]
async fn a_single_key_is_asked_for_its_pin_and_touched_once() {
    let (key, finger, state) = guarded("A", pin_info());
    let mut keys = [key];
    finger.notify_one();
    client_with_pin().create(&creation("required"), &mut keys, Cancel::never()).await.unwrap();
    let pin = Command::ClientPin;
    assert_eq!(commands(&keys[0]), [Command::GetInfo, pin, pin, pin, Command::MakeCredential]);
    let token = state.lock().unwrap().tokens[0].clone();
    assert_eq!((token.1.unwrap().0, token.2.as_deref()), (3, Some("example.org")), "mc and ga, for this RP ID");

    finger.notify_one();
    client_with_pin().get(&allowing("required"), &mut keys, Cancel::never()).await.unwrap();
    let token = state.lock().unwrap().tokens[1].clone();
    assert_eq!((token.1.unwrap().0, token.2.as_deref()), (2, Some("example.org")), "ga, for this RP ID");
}

/// With several keys the touch comes first: the PIN is one key's, and the user has to know whose.
#[tokio::test(start_paused = true)]
async fn of_several_keys_the_touched_one_is_asked_for_its_pin() {
    for old in [false, true] {
        let mut info = pin_info();
        if old {
            info.versions = vec!["FIDO_2_0".to_owned()];
        }
        let (first, _, untouched) = guarded("first", info.clone());
        let (second, finger, _) = guarded("second", info);
        let mut keys = [first, second];
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        let client = client().asking_for_pin(move |request: &PinRequest| {
            remembered.lock().unwrap().push((request.key.clone(), request.reason));
            Some(Pin::new("1234"))
        });
        let options = creation("required");
        let (made, ()) = tokio::join!(client.create(&options, &mut keys, Cancel::never()), async {
            for _ in 0..2 {
                sleep(Duration::from_secs(1)).await;
                finger.notify_one();
            }
        });
        made.unwrap();
        assert_eq!(*asked.lock().unwrap(), [("second".to_owned(), PinReason::Verify)]);
        let blinking = if old { Command::MakeCredential } else { Command::Selection };
        assert_eq!(story(&keys[0]).last(), Some(&(blinking, Some(Status::KeepaliveCancel))));
        assert_eq!(untouched.lock().unwrap().tokens.len(), 0);
        assert_eq!(keys[1].exchanges().iter().map(crate::Exchange::touch_prompts).sum::<usize>(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_needs_no_pin_may_still_win_by_its_touch() {
    let (guarded, _, _) = guarded("guarded", pin_info());
    let (open, finger) = willing("open");
    let mut keys = [guarded, open];
    finger.notify_one();
    client_with_pin().get(&allowing("preferred"), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(story(&keys[0]).last(), Some(&(Command::Selection, Some(Status::KeepaliveCancel))));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_with_the_pin_ends_the_ceremony() {
    let blocked = Cause::Status { command: Command::ClientPin, status: Status::PinAuthBlocked };
    for (answers, expected, by) in [
        (&["0000", "1111", "2222"][..], blocked, crate::RefusedBy::Authenticator),
        (&[], PinProblem::NotGiven.into(), crate::RefusedBy::Client),
    ] {
        let (first, finger, _) = guarded("A", pin_info());
        let mut keys = [first, guarded("other", pin_info()).0];
        finger.notify_one();
        let answers = Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>());
        let client = client().asking_for_pin(move |_| answers.lock().unwrap().pop().map(Pin::new));
        let error = client.create(&creation("required"), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, by));
        assert_eq!(error.reason, Refusal::Key(KeyFailure { key: "A".to_owned(), cause: expected }));
    }
}

/// Firefox has the user choose whether or not there is a PIN, and asks for the PIN of what was chosen.
#[tokio::test(start_paused = true)]
async fn in_firefox_the_touched_key_is_asked_with_or_without_a_pin() {
    let (first, _, untouched) = guarded("first", pin_info());
    let (second, finger) = willing("second");
    let mut keys = [first, second];
    let (client, options) = (client_with_pin().in_browser(Browser::Firefox), creation("discouraged"));
    let (made, ()) = tokio::join!(client.create(&options, &mut keys, Cancel::never()), async {
        for _ in 0..2 {
            sleep(Duration::from_secs(1)).await;
            finger.notify_one();
        }
    });
    made.unwrap();
    assert_eq!(commands(&keys[1]), [Command::GetInfo, Command::Selection, Command::MakeCredential]);
    assert_eq!(story(&keys[0]).last(), Some(&(Command::Selection, Some(Status::KeepaliveCancel))));
    assert_eq!(untouched.lock().unwrap().tokens.len(), 0);
}

/// The page requires it, the key cannot: a browser refuses, a page that is forced past it gets what the key does without.
#[tokio::test(start_paused = true)]
async fn forced_past_the_rules_a_key_that_cannot_verify_is_asked_without() {
    let (key, finger) = willing("A");
    let mut keys = [key];
    finger.notify_one();
    let forced = client().with_rules(Rules::ForcedPast);
    forced.get(&request("required"), &mut keys, Cancel::never()).await.unwrap();
    let Request::GetAssertion(sent) = requests(&keys[0]).remove(1) else { panic!("not asked") };
    assert_eq!((sent.options.uv, sent.pin_uv_auth), (None, PinUvAuth::default()));
}

#[tokio::test(start_paused = true)]
async fn an_exclude_list_in_parts_is_asked_for_under_the_token() {
    let (key, finger, state) = guarded("A", get_info::Response { max_credential_count_in_list: Some(1), ..pin_info() });
    let mut keys = [key];
    let mut options = creation("required");
    options.exclude_credentials =
        (1..=2).map(|id| keyrig_ctap::entities::CredentialDescriptor::public_key(vec![id; 16])).collect();
    finger.notify_one();
    // The silent question is answered after a touch here: the script knows no better.
    let (made, ()) =
        tokio::join!(async { client_with_pin().create(&options, &mut keys, Cancel::never()).await }, async {
            sleep(Duration::from_secs(1)).await;
            finger.notify_one();
        });
    made.unwrap();
    assert_eq!(state.lock().unwrap().tokens[0].1.unwrap().0, 3, "mc and ga");
    let asked = requests(&keys[0]).into_iter().find_map(|request| match request {
        Request::GetAssertion(request) => Some(request),
        _ => None,
    });
    assert!(asked.unwrap().pin_uv_auth.param.is_some());
}
