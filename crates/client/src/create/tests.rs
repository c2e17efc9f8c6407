use core::time::Duration;

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::{Request, Response, Status};
use tokio::time::Instant;

use super::*;
use crate::channel::{Canceller, ChannelError};
use crate::error::{KeyFailure, RefusedBy};
use crate::json::{AuthenticatorSelection, RelyingPartyEntity, UserEntity};
use crate::rp_id::RpIdRefusal;
use crate::testing::*;

fn options() -> CreationOptions {
    CreationOptions {
        rp: RelyingPartyEntity { id: Some("example.org".to_owned()), name: "Example".to_owned() },
        user: UserEntity { id: vec![1, 2, 3], name: "root@pam".to_owned(), display_name: "root".to_owned() },
        challenge: vec![0xff],
        parameters: vec![CredentialParameters::public_key(-7)],
        timeout: Some(Duration::from_secs(60)),
        exclude_credentials: Vec::new(),
        authenticator_selection: AuthenticatorSelection {
            user_verification: Requirement::Discouraged,
            ..AuthenticatorSelection::default()
        },
        attestation: Attestation::None,
        attestation_formats: Vec::new(),
        extensions: crate::json::CreationExtensions::default(),
    }
}

fn excluding(ids: impl IntoIterator<Item = u8>) -> CreationOptions {
    let exclude_credentials = ids.into_iter().map(|id| CredentialDescriptor::public_key(vec![id; 16])).collect();
    CreationOptions { exclude_credentials, ..options() }
}

fn selecting(change: impl Fn(&mut AuthenticatorSelection)) -> CreationOptions {
    let mut options = options();
    change(&mut options.authenticator_selection);
    options
}

fn made_response(response: make_credential::Response) -> Vec<u8> {
    ok(Response::MakeCredential(Box::new(response)))
}

fn refusing(name: &str, with: Status) -> Key<Scripted> {
    key(name, info(), move |request| match request {
        Request::MakeCredential(_) => Reply::Now(status(with)),
        _ => Reply::AfterTouch(ok(Response::Done)),
    })
    .0
}

fn status_of(error: &ClientError) -> Option<(&str, Status)> {
    match &error.reason {
        Refusal::Key(KeyFailure { key, cause: Cause::Status { status, .. } }) => Some((key, *status)),
        _ => None,
    }
}

/// The credential of WebAuthn Level 3 §16.2, from the key's bytes to the page's JSON.
#[tokio::test(start_paused = true)]
async fn gives_the_page_what_the_specifications_vector_has() {
    let (key, finger) = willing("A");
    finger.notify_one();
    let mut keys = [key];
    let credential = client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(credential.id.0, unhex(CREDENTIAL_ID));
    assert_eq!(credential.raw_id, credential.id);
    assert_eq!(credential.response.attestation_object.0, unhex(ATTESTATION_OBJECT));
    assert_eq!(
        credential.response.client_data_json.0,
        br#"{"type":"webauthn.create","challenge":"_w","origin":"https://example.org","crossOrigin":false}"#
    );
    assert_eq!(credential.response.public_key_algorithm, -7);
    let point = unhex(&format!("04{PUBLIC_KEY_X}{PUBLIC_KEY_Y}"));
    assert!(credential.response.public_key.unwrap().0.ends_with(&point));
    assert_eq!(credential.response.transports, ["usb"]);
    assert_eq!(credential.authenticator_attachment.as_deref(), Some("cross-platform"));
    assert_eq!(keys[0].exchanges()[1].touch_prompts(), 1, "touch asked for exactly once");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_told_what_the_page_asked_for() {
    let (key, finger) = willing("A");
    finger.notify_one();
    let mut keys = [key];
    let options = CreationOptions { parameters: Vec::new(), ..options() };
    client().create(&options, &mut keys, Cancel::never()).await.unwrap();
    let Request::MakeCredential(request) = requests(&keys[0]).remove(1) else { panic!("no makeCredential") };
    assert_eq!(request.relying_party.id, "example.org");
    assert_eq!(request.user.id, [1, 2, 3]);
    assert_eq!(request.parameters, [CredentialParameters::public_key(-7), CredentialParameters::public_key(-257)]);
    assert_eq!(request.options, Options::default());
    // sha256sum of the clientDataJSON in the test above.
    let expected = "86b77b2108b0b1183f7d88ba1ab4d28895414972bd1edd20e6c455058ada33e0";
    assert_eq!(hex::encode(request.client_data_hash), expected);
}

#[tokio::test(start_paused = true)]
async fn the_first_key_that_is_touched_wins_and_the_others_are_cancelled() {
    let (first, _) = willing("first");
    let (second, finger) = willing("second");
    finger.notify_one();
    let mut keys = [first, second];
    client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(
        story(&keys[0]),
        [(Command::GetInfo, Some(Status::Ok)), (Command::MakeCredential, Some(Status::KeepaliveCancel))]
    );
    assert_eq!(story(&keys[1]), [(Command::GetInfo, Some(Status::Ok)), (Command::MakeCredential, Some(Status::Ok))]);
}

#[tokio::test(start_paused = true)]
async fn keys_can_be_used_again_whatever_came_of_it() {
    let (first, first_finger) = willing("first");
    let (second, second_finger) = willing("second");
    let mut keys = [first, second];
    let hurried = CreationOptions { timeout: Some(Duration::from_millis(50)), ..options() };
    client().create(&hurried, &mut keys, Cancel::never()).await.unwrap_err();
    second_finger.notify_one();
    client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
    first_finger.notify_one();
    client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(story(&keys[0]).last(), Some(&(Command::MakeCredential, Some(Status::Ok))));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_asked_who_it_is_only_once_until_it_has_a_new_credential() {
    let (key, finger) = willing("A");
    let mut keys = [key];
    let hurried = CreationOptions { timeout: Some(Duration::from_millis(50)), ..options() };
    for _ in 0..2 {
        client().create(&hurried, &mut keys, Cancel::never()).await.unwrap_err();
    }
    assert_eq!(story(&keys[0]), [(Command::MakeCredential, Some(Status::KeepaliveCancel))]);
    finger.notify_one();
    client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(keys[0].info(), None, "it may have no room left");
}

#[tokio::test(start_paused = true)]
async fn an_excluded_credential_is_an_invalid_state() {
    let (other, _) = willing("other");
    let mut keys = [refusing("registered", Status::CredentialExcluded), other];
    let error = client().create(&excluding([1]), &mut keys, Cancel::never()).await.unwrap_err();
    assert_eq!(error.name, DomException::InvalidStateError);
    assert_eq!(error.refused_by(), RefusedBy::Authenticator);
    assert_eq!(status_of(&error), Some(("registered", Status::CredentialExcluded)));
    assert_eq!(story(&keys[1])[1], (Command::MakeCredential, Some(Status::KeepaliveCancel)));
}

/// What a page sees, and whose no it was, for each thing that a key may say to makeCredential.
#[tokio::test(start_paused = true)]
async fn statuses_become_exceptions() {
    for (with, name) in [
        (Status::CredentialExcluded, DomException::InvalidStateError),
        (Status::OperationDenied, DomException::NotAllowedError),
        (Status::KeyStoreFull, DomException::NotAllowedError),
        (Status::UserActionTimeout, DomException::NotAllowedError),
        (Status::InvalidCbor, DomException::NotAllowedError),
        (Status::from(0xf3), DomException::NotAllowedError),
    ] {
        let mut keys = [refusing("A", with)];
        let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (name, RefusedBy::Authenticator), "{with}");
        assert_eq!(status_of(&error), Some(("A", with)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_leaves_the_ceremony_to_the_others() {
    let (unplugged, pulled) = key("unplugged", info(), |_| Reply::Unplugged);
    let (garbled, _) = key("garbled", info(), |_| Reply::Now(Vec::new()));
    let (good, finger) = willing("good");
    let mut keys = [unplugged, garbled, good];
    pulled.notify_one();
    let (credential, ()) =
        tokio::join!(async { client().create(&options(), &mut keys, Cancel::never()).await }, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            finger.notify_one();
        });
    assert_eq!(credential.unwrap().id.0, unhex(CREDENTIAL_ID));
    assert_eq!(keys[0].exchanges()[1].response, Some(Err(ChannelError::Unplugged)));
}

#[tokio::test(start_paused = true)]
async fn the_last_key_that_drops_out_ends_it() {
    let (unplugged, pulled) = key("one", info(), |_| Reply::Unplugged);
    pulled.notify_one();
    let mut keys = [unplugged, refusing("two", Status::OtherError)];
    let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
    assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Authenticator));
    let Refusal::EveryKey(failures) = &error.reason else { panic!("{error}") };
    assert_eq!(failures.len(), 2);
    assert!(failures.contains(&KeyFailure { key: "one".to_owned(), cause: ChannelError::Unplugged.into() }));
    let nobody: &mut [Key<Scripted>] = &mut [];
    let error = client().create(&options(), nobody, Cancel::never()).await.unwrap_err();
    assert_eq!(error, Refusal::NoKeys.named(DomException::NotAllowedError));
}

#[tokio::test(start_paused = true)]
async fn nobody_touching_is_a_timeout_and_the_client_says_no() {
    let mut keys = [willing("A").0];
    let begin = Instant::now();
    let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
    assert_eq!(begin.elapsed(), Duration::from_secs(60));
    assert_eq!(error, Refusal::TimedOut(Duration::from_secs(60)).named(DomException::NotAllowedError));
    assert_eq!(error.refused_by(), RefusedBy::Client);
    assert_eq!(story(&keys[0])[1], (Command::MakeCredential, Some(Status::KeepaliveCancel)));
}

/// Chromium's longest, and what it takes if the page says nothing.
#[tokio::test(start_paused = true)]
async fn no_ceremony_is_longer_than_ten_minutes() {
    for timeout in [None, Some(Duration::from_secs(86_400))] {
        let mut keys = [willing("A").0];
        let options = CreationOptions { timeout, ..options() };
        let error = client().create(&options, &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!(error.reason, Refusal::TimedOut(Duration::from_secs(600)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_its_own_exception() {
    let mut keys = [willing("A").0];
    let controller = Canceller::new();
    let (outcome, ()) =
        tokio::join!(async { client().create(&options(), &mut keys, controller.token()).await }, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            controller.cancel();
        });
    assert_eq!(outcome.unwrap_err(), Refusal::Aborted.named(DomException::AbortError));
    assert_eq!(story(&keys[0])[1], (Command::MakeCredential, Some(Status::KeepaliveCancel)));

    let mut unasked = [willing("B").0];
    let error = client().create(&options(), &mut unasked, controller.token()).await.unwrap_err();
    assert_eq!(error.name, DomException::AbortError);
    assert_eq!(story(&unasked[0]), [], "a signal that is aborted before: no key is asked");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ignores_the_cancel_is_waited_for_only_so_long() {
    let (deaf, _) = key("deaf", info(), |_| Reply::Silence);
    let mut keys = [deaf];
    let begin = Instant::now();
    let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
    assert_eq!(error.reason, Refusal::TimedOut(Duration::from_secs(60)));
    assert_eq!(begin.elapsed(), Duration::from_secs(65));
    assert_eq!(keys[0].exchanges()[1].response, None);
}

/// A key that cannot help blinks, and says why only if it is the one that is touched.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_help_does_not_end_it_for_one_that_can() {
    for cannot in [Status::UnsupportedAlgorithm] {
        let (good, finger) = willing("good");
        finger.notify_one();
        let mut keys = [refusing("bad", cannot), good];
        client().create(&options(), &mut keys, Cancel::never()).await.unwrap();
        assert_eq!(story(&keys[0]).last(), Some(&(Command::Selection, Some(Status::KeepaliveCancel))), "{cannot}");

        let (bad, finger) = key("bad", info(), move |request| match request {
            Request::MakeCredential(_) => Reply::Now(status(cannot)),
            _ => Reply::AfterTouch(ok(Response::Done)),
        });
        finger.notify_one();
        let mut keys = [bad, willing("good").0];
        let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!(status_of(&error), Some(("bad", cannot)));
    }
}

/// CTAP 2.0 has no authenticatorSelection; with a PIN set, an empty pinUvAuthParam asks for a touch and no more.
#[tokio::test(start_paused = true)]
async fn an_old_key_blinks_for_a_credential_that_nobody_wants() {
    for pin in [false, true] {
        let mut old = info();
        old.versions = vec!["FIDO_2_0".to_owned()];
        // It is asked without its PIN, so that it comes to the algorithm.
        old.options = vec![("clientPin".to_owned(), pin), ("makeCredUvNotRqd".to_owned(), true)];
        let (key, finger) = key("old", old, move |request| match request {
            Request::MakeCredential(request) if request.relying_party.id != ".dummy" => {
                Reply::Now(status(Status::UnsupportedAlgorithm))
            }
            Request::MakeCredential(request) if request.pin_uv_auth.param.is_some() => {
                Reply::AfterTouch(status(if pin { Status::PinInvalid } else { Status::PinNotSet }))
            }
            _ => Reply::AfterTouch(made_response(made())),
        });
        finger.notify_one();
        let mut keys = [key];
        let error = client().create(&options(), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!(status_of(&error), Some(("old", Status::UnsupportedAlgorithm)));
        let Request::MakeCredential(unwanted) = requests(&keys[0]).remove(2) else { panic!("it did not blink") };
        assert_eq!(unwanted.pin_uv_auth, PinUvAuth { param: Some(Vec::new()), protocol: Some(1) }, "PIN {pin}");
    }
}

/// residentKey and userVerification against what the key has: the options that are sent, or why it is not asked.
#[tokio::test(start_paused = true)]
async fn resident_key_and_user_verification_decide_the_options() {
    use Requirement::{Discouraged, Preferred, Required};
    // rk and uv as the key has them, what the page wants of each, the options.
    for (rk, uv, resident_key, user_verification, expected) in [
        (Some(true), None, Discouraged, Discouraged, Ok((None, None))),
        // Nobody to ask for a PIN, and no finger: nothing discoverable.
        (Some(true), None, Preferred, Preferred, Ok((None, None))),
        (Some(true), None, Required, Preferred, Err(Unsuitable::UserVerification)),
        (Some(true), Some(true), Preferred, Discouraged, Ok((Some(true), Some(true)))),
        (Some(true), Some(true), Required, Required, Ok((Some(true), Some(true)))),
        (Some(true), Some(true), Discouraged, Preferred, Ok((None, Some(true)))),
        (Some(true), Some(true), Discouraged, Discouraged, Ok((None, None))),
        (Some(true), Some(false), Discouraged, Preferred, Ok((None, None))),
        (Some(false), None, Preferred, Discouraged, Ok((None, None))),
        (None, None, Preferred, Discouraged, Ok((None, None))),
        (Some(false), None, Required, Discouraged, Err(Unsuitable::ResidentKey)),
        (None, None, Required, Discouraged, Err(Unsuitable::ResidentKey)),
        (Some(true), None, Discouraged, Required, Err(Unsuitable::UserVerification)),
        (Some(true), Some(false), Discouraged, Required, Err(Unsuitable::UserVerification)),
    ] {
        let mut info = info();
        info.options = [("rk", rk), ("uv", uv)].iter().filter_map(|(n, v)| Some(((*n).to_owned(), (*v)?))).collect();
        let (key, finger) = key("A", info, |request| {
            Reply::AfterTouch(match request {
                Request::MakeCredential(request) => {
                    let flags = if request.options.uv == Some(true) { 0x45 } else { 0x41 };
                    let hash = hex::encode(client_data::hash(b"example.org"));
                    made_response(make_credential::Response {
                        authenticator_data: attested_data(&hash, flags, &"00".repeat(16)),
                        ..made()
                    })
                }
                _ => ok(Response::Done),
            })
        });
        finger.notify_one();
        let options = selecting(|selection| {
            selection.resident_key = Some(resident_key);
            selection.user_verification = user_verification;
        });
        let mut keys = [key];
        let outcome = client().create(&options, &mut keys, Cancel::never()).await;
        match (expected, outcome) {
            (Ok((rk, uv)), Ok(_)) => {
                let Request::MakeCredential(request) = requests(&keys[0]).remove(1) else { panic!("not asked") };
                assert_eq!(request.options, Options { rk, up: None, uv });
            }
            (Err(unsuitable), Err(error)) => {
                assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Client));
                let failure = KeyFailure { key: "A".to_owned(), cause: unsuitable.into() };
                assert_eq!(error.reason, Refusal::Key(failure));
            }
            (expected, outcome) => panic!("{expected:?}, and it was {outcome:?}"),
        }
    }
}

/// Chromium looks at what the key says is left, and tries again without if it was wrong; Firefox does not.
#[tokio::test(start_paused = true)]
async fn what_a_full_key_is_asked_for() {
    let (preferred, required) = (Requirement::Preferred, Requirement::Required);
    for (browser, says_so, resident_key, expected) in [
        (Browser::Chromium, true, preferred, &[None][..]),
        (Browser::Chromium, false, preferred, &[Some(true), None]),
        (Browser::Chromium, false, required, &[Some(true)]),
        (Browser::Firefox, true, preferred, &[Some(true)]),
        (Browser::Firefox, false, preferred, &[Some(true)]),
    ] {
        let mut full = info();
        full.options.push(("uv".to_owned(), true));
        full.remaining_discoverable_credentials = says_so.then_some(0);
        let (key, finger) = key("full", full, |request| match request {
            Request::MakeCredential(request) if request.options.rk == Some(true) => {
                Reply::Now(status(Status::KeyStoreFull))
            }
            _ => Reply::AfterTouch(made_response(made())),
        });
        finger.notify_one();
        let mut keys = [key];
        let mut options = selecting(|selection| selection.resident_key = Some(resident_key));
        options.extensions.cred_props = true;
        let outcome = client().in_browser(browser).create(&options, &mut keys, Cancel::never()).await;
        let rk = requests(&keys[0]).into_iter().filter_map(|request| match request {
            Request::MakeCredential(request) => Some(request.options.rk),
            _ => None,
        });
        assert_eq!(rk.collect::<Vec<_>>(), expected, "{browser} {says_so} {resident_key:?}");
        match outcome {
            Ok(made) if expected.last() == Some(&None) => {
                assert_eq!(made.client_extension_results["credProps"], serde_json::json!({"rk": false}));
            }
            Err(error) => assert_eq!(status_of(&error), Some(("full", Status::KeyStoreFull))),
            Ok(_) => panic!("{browser} {says_so} {resident_key:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn algorithms_that_a_key_lists_are_believed_by_chromium() {
    for (browser, listed, asked) in [
        (Browser::Chromium, &[-8][..], false),
        (Browser::Chromium, &[-8, -7], true),
        (Browser::Chromium, &[], true),
        (Browser::Firefox, &[-8], true),
    ] {
        let info = get_info::Response {
            algorithms: listed.iter().copied().map(CredentialParameters::public_key).collect(),
            ..info()
        };
        let (key, finger) = key("A", info, |request| {
            Reply::AfterTouch(match request {
                Request::MakeCredential(_) => made_response(made()),
                _ => ok(Response::Done),
            })
        });
        finger.notify_one();
        let mut keys = [key];
        let outcome = client().in_browser(browser).create(&options(), &mut keys, Cancel::never()).await;
        assert_eq!(outcome.is_ok(), asked, "{browser} {listed:?}");
        if let Err(error) = outcome {
            let failure = KeyFailure { key: "A".to_owned(), cause: Unsuitable::Algorithms.into() };
            assert_eq!(error, Refusal::Key(failure).named(DomException::NotAllowedError));
            assert_eq!(story(&keys[0]).last(), Some(&(Command::Selection, Some(Status::Ok))), "it blinked");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_with_the_other_attachment_is_not_asked() {
    let mut keys = [willing("A").0];
    let options = selecting(|selection| selection.attachment = Some(Attachment::Platform));
    let error = client().create(&options, &mut keys, Cancel::never()).await.unwrap_err();
    let failure = KeyFailure { key: "A".to_owned(), cause: Unsuitable::Attachment.into() };
    assert_eq!(error, Refusal::Key(failure).named(DomException::NotAllowedError));
    assert_eq!(story(&keys[0]), [(Command::GetInfo, Some(Status::Ok))]);
}

#[tokio::test(start_paused = true)]
async fn an_exclude_list_that_fits_is_sent_as_it_is_without_what_is_not_the_keys() {
    let (key, finger) = willing("A");
    finger.notify_one();
    let mut keys = [key];
    let mut options = excluding(1..=7);
    options.exclude_credentials.push(CredentialDescriptor::public_key(vec![9; 65]));
    options
        .exclude_credentials
        .push(CredentialDescriptor { kind: "password".to_owned(), ..excluding([8]).exclude_credentials.remove(0) });
    options.exclude_credentials[0].transports = Some(vec!["nfc".to_owned()]);
    client().create(&options, &mut keys, Cancel::never()).await.unwrap();
    let Request::MakeCredential(request) = requests(&keys[0]).remove(1) else { panic!("preflight without need") };
    assert_eq!(request.exclude_list, excluding(1..=7).exclude_credentials);
}

/// authenticator-rs, `preflight.rs`: whether or not the list fits, and whatever the key answers.
#[tokio::test(start_paused = true)]
async fn firefox_finds_out_silently_in_any_case() {
    for (to_the_question, excluded) in
        [(Status::Ok, true), (Status::NoCredentials, false), (Status::OperationDenied, false)]
    {
        let (key, finger) = key("A", info(), move |request| match request {
            Request::GetAssertion(request) if to_the_question == Status::Ok => {
                let credential = request.allow_list.first().cloned();
                let response = keyrig_ctap::get_assertion::Response { credential, ..signed() };
                Reply::Now(ok(Response::GetAssertion(Box::new(response))))
            }
            Request::GetAssertion(_) => Reply::Now(status(to_the_question)),
            Request::MakeCredential(request) if request.exclude_list.is_empty() => {
                Reply::AfterTouch(made_response(made()))
            }
            _ => Reply::AfterTouch(status(Status::CredentialExcluded)),
        });
        finger.notify_one();
        let mut keys = [key];
        let firefox = client().in_browser(Browser::Firefox);
        let outcome = firefox.create(&excluding([1, 2]), &mut keys, Cancel::never()).await;
        assert_eq!(outcome.err().map(|error| error.name), excluded.then_some(DomException::InvalidStateError));
        let commands: Vec<_> = story(&keys[0]).into_iter().map(|(command, _)| command).collect();
        assert_eq!(commands, [Command::GetInfo, Command::GetAssertion, Command::MakeCredential]);
    }
}

/// `make_credential_task.cc`: a key that answers the silent question with anything else is out, but not before a touch.
#[tokio::test(start_paused = true)]
async fn in_chromium_an_odd_answer_to_the_silent_question_is_a_touch_for_nothing() {
    for (to_the_question, goes_on) in [
        (Status::NoCredentials, true),
        (Status::InvalidCredential, true),
        (Status::LimitExceeded, true),
        (Status::RequestTooLarge, true),
        (Status::PuatRequired, true),
        (Status::InvalidCbor, false),
        (Status::OperationDenied, false),
    ] {
        let (odd, finger) = key("odd", info(), move |request| match request {
            Request::GetAssertion(_) => Reply::Now(status(to_the_question)),
            _ => Reply::AfterTouch(made_response(made())),
        });
        finger.notify_one();
        let mut keys = [odd];
        let outcome = client().create(&excluding(1..=9), &mut keys, Cancel::never()).await;
        let Some(Request::MakeCredential(last)) = requests(&keys[0]).pop() else { panic!("it was not touched") };
        assert_eq!(last.relying_party.id, if goes_on { "example.org" } else { ".dummy" }, "{to_the_question}");
        match outcome {
            Ok(_) => assert!(goes_on),
            Err(error) => assert_eq!(status_of(&error), Some(("odd", to_the_question))),
        }
    }
}

/// CTAP 2.3 §6.1.1: with more than fits, the platform finds out silently which part counts.
#[tokio::test(start_paused = true)]
async fn an_exclude_list_that_does_not_fit_is_asked_for_in_parts() {
    for (present, expected_parts) in [(None, 3), (Some(12), 2)] {
        let (key, finger) = key("A", info(), move |request| match request {
            Request::GetAssertion(request) => {
                assert_eq!(request.options.up, Some(false), "nobody is bothered");
                assert!(request.allow_list.len() <= 8);
                let found = request.allow_list.iter().find(|entry| present.is_some_and(|id| entry.id == [id; 16]));
                Reply::Now(match found {
                    Some(found) => ok(Response::GetAssertion(Box::new(keyrig_ctap::get_assertion::Response {
                        credential: Some(found.clone()),
                        ..signed()
                    }))),
                    None => status(Status::NoCredentials),
                })
            }
            Request::MakeCredential(request) if request.exclude_list.is_empty() => {
                Reply::AfterTouch(made_response(made()))
            }
            _ => Reply::AfterTouch(status(Status::CredentialExcluded)),
        });
        finger.notify_one();
        let mut keys = [key];
        let outcome = client().create(&excluding(1..=20), &mut keys, Cancel::never()).await;
        let requests = requests(&keys[0]);
        assert_eq!(requests.len(), 1 + expected_parts + 1);
        let Some(Request::MakeCredential(request)) = requests.last() else { panic!("not asked") };
        match present {
            None => assert!(outcome.is_ok()),
            Some(id) => {
                assert_eq!(outcome.unwrap_err().name, DomException::InvalidStateError);
                assert_eq!(request.exclude_list, excluding([id]).exclude_credentials);
            }
        }
    }
}

/// A key without limits of its own has one entry at a time, to Chromium, and messages of 1024 bytes. An entry with an id of
/// 64 bytes takes 86, the silent question without entries 58: with 11 of them it has 1004.
#[test]
fn lists_are_cut_by_count_length_and_message_size() {
    let list: Vec<_> = (0..20).map(|id| CredentialDescriptor::public_key(vec![id; 64])).collect();
    let size = |part: &[CredentialDescriptor]| credential_list::silent_size("example.org", part, None);
    for (count, msg_size, expected_first) in
        [(None, None, 1), (Some(0), None, 1), (Some(8), None, 8), (Some(100), Some(1024), 11)]
    {
        let info = get_info::Response {
            max_credential_count_in_list: count,
            max_msg_size: msg_size,
            max_credential_id_length: Some(64),
            ..get_info::Response::default()
        };
        let parts = credential_list::parts(&list, &info, size);
        assert_eq!(parts.concat(), list, "nothing is lost");
        assert!(parts.iter().all(|part| !part.is_empty() && size(part) <= 1024));
        assert_eq!(parts[0].len(), expected_first, "{count:?} {msg_size:?}");
    }
    let longer = get_info::Response { max_credential_id_length: Some(63), ..get_info::Response::default() };
    assert_eq!(credential_list::parts(&list, &longer, size), Vec::<Vec<_>>::new());
    let without_limit = get_info::Response { max_credential_id_length: Some(0), ..get_info::Response::default() };
    assert_eq!(credential_list::parts(&list, &without_limit, size).concat(), list);
}

/// WebAuthn Level 3 §5.1.3: what becomes of the statement. The AAGUID stays in any case.
#[test]
fn attestation_is_conveyed_as_it_is_wanted() {
    let packed = |certificates| Statement::Packed { algorithm: -7, signature: vec![1], certificates };
    let (basic, own) = (packed(vec![vec![0x30]]), packed(Vec::new()));
    let (model, unknown) = (Aaguid([7; 16]), Aaguid::default());
    for (statement, aaguid, wanted, expected) in [
        (&basic, model, Attestation::None, &Statement::None),
        (&basic, unknown, Attestation::None, &Statement::None),
        (&own, model, Attestation::None, &Statement::None),
        (&own, unknown, Attestation::None, &own),
        (&basic, model, Attestation::Indirect, &basic),
        (&basic, model, Attestation::Direct, &basic),
        (&basic, model, Attestation::Enterprise, &basic),
        (&own, model, Attestation::Direct, &own),
    ] {
        assert_eq!(&conveyed(statement.clone(), aaguid, wanted), expected, "{statement:?} {aaguid} {wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_a_browser_refuses() {
    let example_org = hex::encode(client_data::hash(b"example.org"));
    let other = hex::encode(client_data::hash(b"other.example"));
    let zeros = "00".repeat(16);
    let with = |authenticator_data| make_credential::Response { authenticator_data, ..made() };
    // {"credBlob": true}
    let mut extended = attested_data(&example_org, 0xc1, &zeros);
    extended.extend(unhex("a16863726564426c6f62f5"));
    let unsolicited = InvalidResponse::UnsolicitedExtension("credBlob".to_owned());
    for (response, refused, forced_passes) in [
        (with(attested_data(&other, 0x41, &zeros)), InvalidResponse::RpIdHash, true),
        (with(extended), unsolicited, true),
        (with(unhex(ASSERTION_AUTHENTICATOR_DATA)), InvalidResponse::NoAttestedCredentialData, false),
    ] {
        for rules in [Rules::Enforced, Rules::ForcedPast] {
            let answer = made_response(response.clone());
            let (key, finger) = key("A", info(), move |_| Reply::AfterTouch(answer.clone()));
            finger.notify_one();
            let outcome = client().with_rules(rules).create(&options(), &mut [key], Cancel::never()).await;
            if rules == Rules::ForcedPast && forced_passes {
                assert!(outcome.is_ok(), "{refused:?}: {outcome:?}");
            } else {
                let error = outcome.unwrap_err();
                let refused = refused.clone();
                let cause = Cause::InvalidResponse { command: Command::MakeCredential, error: refused };
                assert_eq!(error.reason, Refusal::Key(KeyFailure { key: "A".to_owned(), cause }));
                assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, RefusedBy::Client));
            }
        }
    }
}

/// No browser looks at them: it is for the relying party to find out.
#[tokio::test(start_paused = true)]
async fn the_uv_flag_and_the_algorithm_are_for_the_relying_party() {
    let required = selecting(|selection| selection.user_verification = Requirement::Required);
    let other_algorithm = CreationOptions { parameters: vec![CredentialParameters::public_key(-8)], ..options() };
    let example_org = hex::encode(client_data::hash(b"example.org"));
    for options in [required, other_algorithm] {
        let authenticator_data = attested_data(&example_org, 0x41, &"00".repeat(16));
        let answer = made_response(make_credential::Response { authenticator_data, ..made() });
        let mut verifying = info();
        verifying.options.push(("uv".to_owned(), true));
        let (key, finger) = key("A", verifying, move |_| Reply::AfterTouch(answer.clone()));
        finger.notify_one();
        client().create(&options, &mut [key], Cancel::never()).await.unwrap();
    }
}

/// What no key is asked for, in the browser's order.
#[tokio::test(start_paused = true)]
async fn the_client_refuses_before_any_key_is_asked() {
    let long_handle = || {
        let mut options = options();
        options.user.id = vec![0; 65];
        options
    };
    let foreign = || {
        let mut options = options();
        options.rp.id = Some("com".to_owned());
        options
    };
    let unknown_type = || {
        let parameters = CredentialParameters { kind: "password".to_owned(), algorithm: -7 };
        CreationOptions { parameters: vec![parameters], ..options() }
    };
    for (address, options, name) in [
        ("http://example.org", options(), DomException::TypeError),
        ("http://example.org", foreign(), DomException::TypeError),
        (ORIGIN, long_handle(), DomException::TypeError),
        ("null", options(), DomException::NotAllowedError),
        ("https://192.0.2.1:8006", options(), DomException::SecurityError),
        ("http://127.0.0.1:8006", options(), DomException::SecurityError),
        ("https://example.com", foreign(), DomException::SecurityError),
        ("https://example.com", options(), DomException::SecurityError),
        (ORIGIN, unknown_type(), DomException::NotSupportedError),
    ] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let mut keys = [key];
        let client = Client::new(address.parse().unwrap());
        let error = client.create(&options, &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (name, RefusedBy::Client), "{address}: {error}");
        assert_eq!(story(&keys[0]), []);
    }
}

#[tokio::test(start_paused = true)]
async fn lists_have_an_end() {
    // Firefox (153) takes any number of credentials to exclude.
    for (browser, most, name, excluded) in [
        (Browser::Chromium, 64, DomException::RangeError, true),
        (Browser::Firefox, 20, DomException::SecurityError, false),
    ] {
        let client = client().in_browser(browser);
        for length in [most, most + 1] {
            let ids = || (0..length).map(|id| CredentialDescriptor::public_key(vec![u8::try_from(id).unwrap(); 16]));
            let creation = CreationOptions { exclude_credentials: ids().collect(), ..options() };
            let request = crate::json::RequestOptions::from_json(r#"{"challenge": "_w"}"#).unwrap();
            let request = crate::json::RequestOptions { allow_credentials: ids().collect(), ..request };
            let nobody: &mut [Key<Scripted>] = &mut [];
            let creating = client.create(&creation, nobody, Cancel::never()).await.unwrap_err();
            let getting = client.get(&request, nobody, Cancel::never()).await.unwrap_err();
            for (error, list, ends) in [(creating, "excludeCredentials", excluded), (getting, "allowCredentials", true)]
            {
                let expected = if length > most && ends {
                    Refusal::ListTooLong { list, length, browser, most }.named(name)
                } else {
                    Refusal::NoKeys.named(DomException::NotAllowedError)
                };
                assert_eq!(error, expected);
            }
        }
    }
}

/// Chromium lets an empty user handle pass; 64 bytes are the most that anyone does.
#[tokio::test(start_paused = true)]
async fn user_handles_have_up_to_64_bytes() {
    for length in [0, 64] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let mut options = options();
        options.user.id = vec![7; length];
        client().create(&options, &mut [key], Cancel::never()).await.unwrap();
    }
}

/// A rig sends what no browser would, and clientDataJSON still says where the page is.
#[tokio::test(start_paused = true)]
async fn forced_past_the_rules_the_client_data_still_tells_the_truth() {
    for address in ["https://evil.example", "http://example.org", "https://192.0.2.1:8006", "null"] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let mut keys = [key];
        let client = Client::new(address.parse().unwrap()).with_rules(Rules::ForcedPast);
        let credential = client.create(&options(), &mut keys, Cancel::never()).await.unwrap();
        let json = String::from_utf8(credential.response.client_data_json.0).unwrap();
        assert!(json.contains(&format!(r#""origin":"{address}""#)), "{json}");
        let Request::MakeCredential(request) = requests(&keys[0]).remove(1) else { panic!("not asked") };
        assert_eq!(request.relying_party.id, "example.org");
    }
    // An opaque origin that claims nothing has no RP ID that could be forced.
    let mut options = options();
    options.rp.id = None;
    let client = Client::new("null".parse().unwrap()).with_rules(Rules::ForcedPast);
    let error = client.create(&options, &mut [willing("A").0], Cancel::never()).await.unwrap_err();
    assert_eq!(error.reason, Refusal::RpId(RpIdRefusal::OpaqueOrigin));
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_another_origin_is_told_of_and_one_of_the_same_is_not() {
    for (top, expected) in [
        ("https://top.example", r#""crossOrigin":true,"topOrigin":"https://top.example"}"#),
        (ORIGIN, r#""crossOrigin":false}"#),
    ] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let client = client().in_a_frame_of(top.parse().unwrap());
        let credential = client.create(&options(), &mut [key], Cancel::never()).await.unwrap();
        let json = String::from_utf8(credential.response.client_data_json.0).unwrap();
        assert!(json.ends_with(expected), "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn formats_and_enterprise_attestation_are_asked_for_only_of_keys_that_know_them() {
    for (knows, wanted, formats, expected_formats, expected_enterprise) in [
        (false, Attestation::None, &[][..], None, None),
        (false, Attestation::Enterprise, &["packed"][..], None, None),
        (true, Attestation::None, &["packed"][..], Some(vec!["none".to_owned()]), None),
        (true, Attestation::Direct, &[][..], None, None),
        (true, Attestation::Direct, &["packed"][..], Some(vec!["packed".to_owned()]), None),
        (true, Attestation::Enterprise, &[][..], None, Some(1)),
    ] {
        let mut info = info();
        if knows {
            info.attestation_formats = vec!["packed".to_owned()];
            info.options.push(("ep".to_owned(), true));
        }
        let (key, finger) = key("A", info, |_| Reply::AfterTouch(made_response(made())));
        finger.notify_one();
        let attestation_formats = formats.iter().map(|format| (*format).to_owned()).collect();
        let options = CreationOptions { attestation: wanted, attestation_formats, ..options() };
        let mut keys = [key];
        client().create(&options, &mut keys, Cancel::never()).await.unwrap();
        let Request::MakeCredential(request) = requests(&keys[0]).remove(1) else { panic!("not asked") };
        assert_eq!(request.attestation_formats_preference, expected_formats);
        assert_eq!(request.enterprise_attestation, expected_enterprise);
    }
}
