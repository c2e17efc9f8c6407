//! Known bugs of real keys in front of a client: who notices, and in which words.

use keyrig_authenticator::profile::Quirk;
use keyrig_client::error::{Cause, KeyFailure, Refusal};
use keyrig_client::pin::Pin;
use keyrig_client::{Key, Status};
use keyrig_ctap::entities::CredentialDescriptor;
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_ways::InProcess;
use serde_json::json;

use crate::{creation, name, never, page, request};

/// Two keys: a with a bug, b without.
async fn pair(quirk: &str) -> (Rack, [Key<InProcess>; 2]) {
    let mut keys = ["a", "b"].map(|key| KeySpecification::built_in("keyrig", key).expect("built in"));
    keys[0].profile.add(Quirk::named(quirk).expect("it is known")).expect("it is for every key");
    let finger = Finger { policy: TouchPolicy::Every, over: None };
    let rack = Rack::start(Options { finger, ..Options::default() }, keys.into()).await.expect("a rack");
    let keys = ["a", "b"].map(|key| Key::new(key, InProcess(rack.key(&name(key)).expect("a key"))));
    (rack, keys)
}

fn status_of(refusal: &Refusal) -> Option<Status> {
    match refusal {
        Refusal::Key(KeyFailure { cause: Cause::Status { status, .. }, .. }) => Some(*status),
        _ => None,
    }
}

fn plain() -> keyrig_client::json::CreationOptions {
    creation(json!({"userVerification": "discouraged"}), json!({}))
}

/// Registers and logs in with the key that has the bug.
async fn with_bug(quirk: &str) -> Result<(), Refusal> {
    let (_rack, [key, _]) = pair(quirk).await;
    let mut keys = [key];
    let made = page().create(&plain(), &mut keys, never()).await.map_err(|error| error.reason)?;
    let login = request(&[&made.id.to_string()], "discouraged", json!({}));
    page().get(&login, &mut keys, never()).await.map(drop).map_err(|error| error.reason)
}

#[tokio::test]
async fn bugs_that_a_client_does_not_notice() {
    for quirk in [
        "short-pin-uv-auth",
        "no-touch-probe",
        "probe-missing-parameter",
        "no-descriptor",
        "names-without-uv",
        "strict-options",
        "empty-rp-list",
        "always-uv-silent",
        "excludes-any-rp",
        "pin-required-on-timeout",
    ] {
        with_bug(quirk).await.unwrap_or_else(|refusal| panic!("{quirk}: {refusal}"));
    }
}

/// An output that nobody asked for, and an id that is longer than the key says: the client says which key it was.
#[tokio::test]
async fn bugs_that_a_client_notices() {
    for (quirk, expected) in
        [("extra-extension", "unsolicited"), ("long-key-handle", "it has none of the credentials that are allowed")]
    {
        let refusal = with_bug(quirk).await.expect_err(quirk).to_string();
        assert!(refusal.contains("key \"a\"") && refusal.contains(expected), "{quirk}: {refusal}");
    }
}

/// A page that wants more than ES256 is refused by a key that takes no unknown algorithm.
#[tokio::test]
async fn strict_algorithms_are_noticed_by_every_page_that_offers_more_than_the_key_has() {
    let (_rack, [key, _]) = pair("strict-algorithms").await;
    let mut options = plain();
    options.parameters.push(keyrig_ctap::entities::CredentialParameters::public_key(-257));
    let error = page().create(&options, &mut [key], never()).await.expect_err("RS256 is none of its algorithms");
    assert_eq!(status_of(&error.reason), Some(Status::UnsupportedAlgorithm), "{}", error.reason);
}

/// The client takes the first protocol that the key announces, and has nothing but the key's word for what is wrong.
#[tokio::test]
async fn a_broken_protocol_two_is_noticed_with_a_pin() {
    let (_rack, [mut key, _]) = pair("broken-protocol-two").await;
    key.set_pin(&Pin::new("1234"), &never()).await.expect("a first PIN");
    let page = page().with_pin(Pin::new("1234"));
    let options = creation(json!({"userVerification": "required"}), json!({}));
    let error = page.create(&options, &mut [key], never()).await.expect_err("no pinUvAuthParam verifies");
    assert_eq!(status_of(&error.reason), Some(Status::PinAuthInvalid), "{}", error.reason);
}

/// A list of two is too long for a key that announces no limit: the client asks for one at a time then, as Chromium does.
#[tokio::test]
async fn a_limit_of_one_that_is_not_announced_is_lived_with() {
    let (_rack, [key, other]) = pair("list-limit-one").await;
    let (mut key, mut other) = ([key], [other]);
    let made = page().create(&plain(), &mut key, never()).await.expect("a credential");
    let stranger = page().create(&plain(), &mut other, never()).await.expect("a credential");
    let mut login = request(&[], "discouraged", json!({}));
    login.allow_credentials = [&stranger, &made].map(|made| CredentialDescriptor::public_key(made.id.0.clone())).into();
    let signed = page().get(&login, &mut key, never()).await.expect("an assertion");
    assert_eq!(signed.id, made.id);
}

/// With two keys plugged in, one that says CTAP2_ERR_INVALID_CREDENTIAL at once leaves the login to the other.
#[tokio::test]
async fn an_invalid_credential_does_not_end_the_login_at_the_other_key() {
    let (_rack, [first, second]) = pair("invalid-credential").await;
    let mut second = [second];
    let made = page().create(&plain(), &mut second, never()).await.expect("a credential");
    let [second] = second;
    let login = request(&[&made.id.to_string()], "discouraged", json!({}));
    let signed = page().get(&login, &mut [first, second], never()).await.expect("the other key has it");
    assert_eq!(signed.id, made.id);
}
