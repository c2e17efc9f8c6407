use core::time::Duration;

use keyrig_ctap::{Request, Response, Status};

use super::*;
use crate::error::{KeyFailure, RefusedBy};
use crate::testing::*;

fn options() -> RequestOptions {
    RequestOptions {
        challenge: unhex(ASSERTION_CHALLENGE),
        timeout: Some(Duration::from_secs(60)),
        rp_id: None,
        allow_credentials: vec![CredentialDescriptor::public_key(unhex(CREDENTIAL_ID))],
        user_verification: Requirement::Discouraged,
        extensions: crate::json::RequestExtensions::default(),
    }
}

fn discoverable() -> RequestOptions {
    RequestOptions { allow_credentials: Vec::new(), ..options() }
}

/// What a key with a finger enrolled says of itself.
fn verifying() -> get_info::Response {
    let mut info = info();
    info.options.push(("uv".to_owned(), true));
    info
}

fn assertion(response: get_assertion::Response) -> Vec<u8> {
    ok(Response::GetAssertion(Box::new(response)))
}

/// How a key says that it has not got the credential.
#[derive(Clone, Copy, Debug)]
enum Says {
    AtOnce(Status),
    AfterTouch(Status),
}

/// A key without the credential.
fn stranger(name: &str, says: Says) -> (Key<Scripted>, std::sync::Arc<tokio::sync::Notify>) {
    key(name, info(), move |request| match (request, says) {
        (Request::GetAssertion(request), Says::AtOnce(with) | Says::AfterTouch(with))
            if request.options.up == Some(false) =>
        {
            Reply::Now(status(with))
        }
        (Request::GetAssertion(_), Says::AtOnce(with)) => Reply::Now(status(with)),
        (Request::GetAssertion(_), Says::AfterTouch(with)) => Reply::AfterTouch(status(with)),
        (Request::MakeCredential(request), _) => {
            assert_eq!(request.relying_party.id, ".dummy");
            Reply::AfterTouch(status(Status::PinNotSet))
        }
        _ => Reply::AfterTouch(ok(Response::Done)),
    })
}

fn refused_with(key: &str, status: Status) -> Refusal {
    let cause = Cause::Status { command: Command::GetAssertion, status };
    Refusal::Key(KeyFailure { key: key.to_owned(), cause })
}

/// The assertion of WebAuthn Level 3 §16.2, from the key's bytes to the page's JSON.
#[tokio::test(start_paused = true)]
async fn gives_the_page_what_the_specifications_vector_has() {
    let (key, finger) = willing("A");
    finger.notify_one();
    let mut keys = [key];
    let credential = client().get(&options(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(credential.id.0, unhex(CREDENTIAL_ID));
    assert_eq!(credential.response.client_data_json.0, ASSERTION_CLIENT_DATA_JSON.as_bytes());
    assert_eq!(credential.response.authenticator_data.0, unhex(ASSERTION_AUTHENTICATOR_DATA));
    assert_eq!(credential.response.signature.0, unhex(ASSERTION_SIGNATURE));
    assert_eq!(credential.response.user_handle, None);
    let Request::GetAssertion(request) = requests(&keys[0]).remove(1) else { panic!("not asked") };
    assert_eq!(request.relying_party_id, "example.org");
    // sha256sum of that clientDataJSON.
    let expected = "676a6e380fd31ea5710705c7be1ac4889b037895d0a25291f51251b7d7b1df02";
    assert_eq!(hex::encode(request.client_data_hash), expected);
    assert_eq!(request.allow_list, options().allow_credentials);
    assert_eq!(request.options, Options::default());
    assert_eq!(keys[0].exchanges()[1].touch_prompts(), 1, "touch asked for exactly once");
}

const CTAP_2_1: Says = Says::AtOnce(Status::NoCredentials);
const CTAP_2_0: Says = Says::AfterTouch(Status::NoCredentials);
const SECURITY_KEY_5_1: Says = Says::AtOnce(Status::InvalidCredential);

/// Two keys are plugged in, one of them is registered, and that one is touched: whether the page is logged in. As observed in
/// both browsers.
#[tokio::test(start_paused = true)]
async fn of_two_keys_one_is_registered() {
    for (browser, says, works) in [
        (Browser::Chromium, CTAP_2_1, false),
        (Browser::Chromium, CTAP_2_0, true),
        (Browser::Chromium, SECURITY_KEY_5_1, true),
        (Browser::Firefox, CTAP_2_1, true),
        (Browser::Firefox, CTAP_2_0, true),
        (Browser::Firefox, SECURITY_KEY_5_1, true),
    ] {
        let (good, finger) = key("good", info(), |request| match request {
            Request::GetAssertion(request) if request.options.up == Some(false) => Reply::Now(assertion(signed())),
            Request::GetAssertion(_) => Reply::AfterTouch(assertion(signed())),
            _ => Reply::AfterTouch(ok(Response::Done)),
        });
        let mut keys = [stranger("stranger", says).0, good];
        let (client, options) = (client().in_browser(browser), options());
        let (outcome, ()) = tokio::join!(client.get(&options, &mut keys, Cancel::never()), async {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                finger.notify_one();
            }
        });
        let touches = keys[1].exchanges().iter().map(crate::Exchange::touch_prompts).sum::<usize>();
        match outcome {
            Ok(signed) => {
                assert!(works, "{browser} {says:?}");
                assert_eq!(signed.id.0, unhex(CREDENTIAL_ID));
                let expected = if browser == Browser::Firefox { 2 } else { 1 };
                assert_eq!(touches, expected, "{browser}: to choose, and to log in");
            }
            Err(error) => {
                assert!(!works, "{browser} {says:?}: {error}");
                let expected = refused_with("stranger", Status::NoCredentials);
                assert_eq!(error, expected.named(DomException::NotAllowedError));
                let told = story(&keys[1]);
                assert_eq!(told.last(), Some(&(Command::GetAssertion, Some(Status::KeepaliveCancel))));
            }
        }
    }
}

/// The other one is touched: whatever it says and when, that ends it.
#[tokio::test(start_paused = true)]
async fn the_wrong_key_says_so_when_it_is_touched() {
    for browser in [Browser::Chromium, Browser::Firefox] {
        for says in [CTAP_2_1, CTAP_2_0, SECURITY_KEY_5_1] {
            let (wrong, finger) = stranger("wrong", says);
            let mut keys = [wrong, willing("right").0];
            let (client, options) = (client().in_browser(browser), options());
            let (outcome, ()) = tokio::join!(client.get(&options, &mut keys, Cancel::never()), async {
                for _ in 0..2 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    finger.notify_one();
                }
            });
            let error = outcome.unwrap_err();
            let expected = match (browser, says) {
                (Browser::Chromium, Says::AtOnce(status) | Says::AfterTouch(status)) => refused_with("wrong", status),
                (Browser::Firefox | Browser::Safari, _) => {
                    Refusal::Key(KeyFailure { key: "wrong".to_owned(), cause: Unsuitable::Credential.into() })
                }
            };
            assert_eq!(error, expected.named(DomException::NotAllowedError), "{browser} {says:?}");
            assert_eq!(story(&keys[1]).last().unwrap().1, Some(Status::KeepaliveCancel));
        }
    }
}

/// A touch is simulated by a credential that nobody wants; what the key makes of it is no matter.
#[tokio::test(start_paused = true)]
async fn a_simulated_touch_is_one_whatever_the_key_answers() {
    for to_the_dummy in [Status::PinNotSet, Status::UnsupportedAlgorithm, Status::OtherError] {
        let (key, finger) = key("A", info(), move |request| match request {
            Request::GetAssertion(_) => Reply::Now(status(Status::InvalidCredential)),
            _ => Reply::AfterTouch(status(to_the_dummy)),
        });
        finger.notify_one();
        let mut keys = [key, willing("other").0];
        let error = client().get(&options(), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!(error.reason, refused_with("A", Status::InvalidCredential), "{to_the_dummy}");
        let Some(Request::MakeCredential(dummy)) = requests(&keys[0]).pop() else { panic!("no touch was simulated") };
        assert_eq!(dummy.pin_uv_auth.param, Some(Vec::new()));
    }
}

/// deny on one of two keys, as observed: in Chromium that is the end, in Firefox the other goes on.
#[tokio::test(start_paused = true)]
async fn denied_on_one_of_two_keys() {
    for browser in [Browser::Chromium, Browser::Firefox] {
        let (denying, _) = key("denying", info(), |_| Reply::Now(status(Status::OperationDenied)));
        let (good, finger) = key("good", info(), |request| match request {
            Request::GetAssertion(request) if request.options.up == Some(false) => Reply::Now(assertion(signed())),
            Request::GetAssertion(_) => Reply::AfterTouch(assertion(signed())),
            _ => Reply::AfterTouch(ok(Response::Done)),
        });
        let mut keys = [denying, good];
        let (client, options) = (client().in_browser(browser), options());
        let (outcome, ()) = tokio::join!(client.get(&options, &mut keys, Cancel::never()), async {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                finger.notify_one();
            }
        });
        match browser {
            Browser::Chromium => {
                assert_eq!(outcome.unwrap_err().reason, refused_with("denying", Status::OperationDenied));
            }
            Browser::Firefox | Browser::Safari => assert_eq!(outcome.unwrap().id.0, unhex(CREDENTIAL_ID)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_unplugged_in_the_middle_leaves_the_other() {
    let (unplugged, pulled) = key("unplugged", info(), |_| Reply::Unplugged);
    let (good, finger) = willing("good");
    let mut keys = [unplugged, good];
    let (outcome, ()) = tokio::join!(async { client().get(&options(), &mut keys, Cancel::never()).await }, async {
        pulled.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        finger.notify_one();
    });
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_allow_list_that_does_not_fit_is_asked_for_in_parts_and_the_found_entry_is_sent() {
    let (key, finger) = key("A", info(), |request| match request {
        Request::GetAssertion(request) => {
            let silent = request.options.up == Some(false);
            let present = request.allow_list.iter().any(|entry| entry.id == unhex(CREDENTIAL_ID));
            match (present, silent) {
                (false, _) => Reply::Now(status(Status::NoCredentials)),
                (true, true) => Reply::Now(assertion(signed())),
                (true, false) => Reply::AfterTouch(assertion(signed())),
            }
        }
        _ => Reply::AfterTouch(ok(Response::Done)),
    });
    finger.notify_one();
    let mut keys = [key];
    let mut options = options();
    options.allow_credentials.splice(0..0, (0..12).map(|id| CredentialDescriptor::public_key(vec![id; 32])));
    client().get(&options, &mut keys, Cancel::never()).await.unwrap();
    let Some(Request::GetAssertion(last)) = requests(&keys[0]).pop() else { panic!("not asked") };
    assert_eq!(last.allow_list, [CredentialDescriptor::public_key(unhex(CREDENTIAL_ID))]);
    assert_eq!(keys[0].exchanges().len(), 4, "getInfo, two parts, the assertion");
}

/// An empty allow list asks for any credential: a list of which nothing is left must not become one.
#[tokio::test(start_paused = true)]
async fn a_list_of_which_nothing_is_left_is_never_sent_as_an_empty_one() {
    let too_long = CredentialDescriptor::public_key(vec![1; 65]);
    let other_type = CredentialDescriptor { kind: "password".to_owned(), ..CredentialDescriptor::public_key(vec![1]) };
    for entry in [too_long, other_type] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let mut keys = [key];
        let options = RequestOptions { allow_credentials: vec![entry], ..options() };
        let error = client().get(&options, &mut keys, Cancel::never()).await.unwrap_err();
        let failure = KeyFailure { key: "A".to_owned(), cause: Unsuitable::Credential.into() };
        assert_eq!(error, Refusal::Key(failure).named(DomException::NotAllowedError));
        let Some(Request::MakeCredential(dummy)) = requests(&keys[0]).pop() else { panic!("no touch was simulated") };
        assert_eq!(dummy.relying_party.id, ".dummy");
        assert_eq!(keys[0].exchanges().len(), 2);
    }
}

/// Chromium: transports leave out keys, not entries.
#[tokio::test(start_paused = true)]
async fn a_key_that_no_entry_can_be_on_is_not_asked() {
    for (transports, asked) in [
        (vec![None], true),
        (vec![Some(vec![])], true),
        (vec![Some(vec!["usb"])], true),
        (vec![Some(vec!["internal"]), Some(vec!["nfc", "usb"])], true),
        (vec![Some(vec!["internal"]), None], true),
        (vec![Some(vec!["internal"]), Some(vec!["hybrid"])], false),
    ] {
        let (key, finger) = willing("A");
        finger.notify_one();
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let entry = |transports: Option<Vec<&str>>| CredentialDescriptor {
            transports: transports.map(owned),
            ..CredentialDescriptor::public_key(unhex(CREDENTIAL_ID))
        };
        let allow_credentials = transports.clone().into_iter().map(entry).collect();
        let mut keys = [key];
        let options = RequestOptions { allow_credentials, ..options() };
        let outcome = client().get(&options, &mut keys, Cancel::never()).await;
        assert_eq!(outcome.is_ok(), asked, "{transports:?}");
        assert_eq!(keys[0].exchanges().len(), if asked { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_accounts_one_is_chosen() {
    let key_with_three = || {
        let mut next = 1;
        let (key, finger) = key("A", verifying(), move |request| match request {
            Request::GetAssertion(_) => {
                Reply::AfterTouch(assertion(get_assertion::Response { number_of_credentials: Some(3), ..account(1) }))
            }
            _ => {
                next += 1;
                Reply::Now(assertion(account(next)))
            }
        });
        finger.notify_one();
        key
    };
    let first = client().get(&discoverable(), &mut [key_with_three()], Cancel::never()).await.unwrap();
    assert_eq!(first.response.user_handle, Some(Base64Url(vec![1])));

    let last = client().choosing_accounts(|accounts| accounts.iter().position(|account| account.credential_id == [3]));
    let chosen = last.get(&discoverable(), &mut [key_with_three()], Cancel::never()).await.unwrap();
    assert_eq!((chosen.id.0, chosen.response.user_handle), (vec![3], Some(Base64Url(vec![3]))));

    for nothing in [None, Some(3)] {
        let undecided = client().choosing_accounts(move |_| nothing);
        let error = undecided.get(&discoverable(), &mut [key_with_three()], Cancel::never()).await.unwrap_err();
        assert_eq!(error, Refusal::NoAccountChosen.named(DomException::NotAllowedError));
    }
}

#[tokio::test(start_paused = true)]
async fn a_choice_made_on_the_key_is_not_asked_for_again() {
    let chosen = get_assertion::Response { number_of_credentials: Some(3), user_selected: Some(true), ..account(2) };
    let (key, finger) = key("A", verifying(), move |_| Reply::AfterTouch(assertion(chosen.clone())));
    finger.notify_one();
    let mut keys = [key];
    let client = client().choosing_accounts(|_| None);
    let credential = client.get(&discoverable(), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(credential.id.0, [2]);
    assert_eq!(keys[0].exchanges().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_a_browser_refuses() {
    let other = CredentialDescriptor::public_key(vec![9]);
    let mut other_rp = signed();
    other_rp.authenticator_data[0] ^= 1;
    let two =
        RequestOptions { allow_credentials: vec![other.clone(), options().allow_credentials.remove(0)], ..options() };
    let truncated = keyrig_ctap::authenticator_data::Invalid::Truncated("RP ID hash");
    for (response, options, refused, forced_passes) in [
        (other_rp, &options(), InvalidResponse::RpIdHash, true),
        (signed(), &discoverable(), InvalidResponse::NoUser, true),
        (
            get_assertion::Response { credential: Some(other), ..signed() },
            &options(),
            InvalidResponse::Credential,
            true,
        ),
        (get_assertion::Response { credential: None, ..signed() }, &two, InvalidResponse::Credential, false),
        (get_assertion::Response { credential: None, ..signed() }, &discoverable(), InvalidResponse::Credential, false),
        (
            get_assertion::Response { number_of_credentials: Some(u64::MAX), ..signed() },
            &discoverable(),
            InvalidResponse::TooManyCredentials(u64::MAX),
            false,
        ),
        (
            get_assertion::Response { authenticator_data: vec![0; 31], ..signed() },
            &options(),
            InvalidResponse::AuthenticatorData(truncated),
            false,
        ),
    ] {
        for rules in [Rules::Enforced, Rules::ForcedPast] {
            let answer = assertion(response.clone());
            let (key, finger) = key("A", verifying(), move |_| Reply::AfterTouch(answer.clone()));
            finger.notify_one();
            let outcome = client().with_rules(rules).get(options, &mut [key], Cancel::never()).await;
            if rules == Rules::ForcedPast && forced_passes {
                assert!(outcome.is_ok(), "{refused:?}: {outcome:?}");
            } else {
                let error = refused.clone();
                let cause = Cause::InvalidResponse { command: Command::GetAssertion, error };
                let failure = KeyFailure { key: "A".to_owned(), cause };
                assert_eq!(outcome.unwrap_err(), Refusal::Key(failure).named(DomException::NotAllowedError));
            }
        }
    }
}

/// CTAP 2.0 lets a key leave out which credential signed if only one was allowed.
#[tokio::test(start_paused = true)]
async fn the_only_credential_allowed_need_not_be_named() {
    let (key, finger) =
        key("old", info(), |_| Reply::AfterTouch(assertion(get_assertion::Response { credential: None, ..signed() })));
    finger.notify_one();
    let credential = client().get(&options(), &mut [key], Cancel::never()).await.unwrap();
    assert_eq!(credential.id.0, unhex(CREDENTIAL_ID));
}

#[tokio::test(start_paused = true)]
async fn the_client_refuses_before_any_key_is_asked() {
    for (address, rp_id, name) in [
        ("http://example.org", None, DomException::TypeError),
        ("null", Some("example.org"), DomException::NotAllowedError),
        ("https://192.0.2.1", None, DomException::SecurityError),
        ("https://example.com", Some("example.org"), DomException::SecurityError),
        ("https://example.org", Some("org"), DomException::SecurityError),
    ] {
        let mut keys = [willing("A").0];
        let client = Client::new(address.parse().unwrap());
        let options = RequestOptions { rp_id: rp_id.map(str::to_owned), ..options() };
        let error = client.get(&options, &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (name, RefusedBy::Client), "{address}: {error}");
        assert_eq!(story(&keys[0]), []);
    }
}
