//! authenticatorGetAssertion (CTAP 2.3 §6.2).

use keyrig_authenticator::Reason;
use keyrig_authenticator::credential::{Properties, StoredCredential};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::Change;
use keyrig_ctap::cose::Algorithm;
use sha2::{Digest, Sha256};
use sk_cbor::Value;

use crate::support::codec::{
    Assertion, Created, Parameters, UP, array, boolean, bytes, descriptor, descriptors, int, map, status, text,
};
use crate::support::{Driver, Event, User, altered, built_in};

const SITE: &str = "example.com";

/// A key with a discoverable and a non-discoverable credential.
fn key() -> (Driver, Created, Created) {
    let mut key = Driver::new();
    let discoverable = key.create(&Parameters::discoverable(SITE, "root"));
    let derived = key.create(&Parameters::make_credential(SITE, "root"));
    (key, discoverable, derived)
}

#[test]
fn a_listed_credential_signs_with_user_presence() {
    let (mut key, discoverable, derived) = key();
    for created in [&discoverable, &derived] {
        let assertion = key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
        assert_eq!(assertion.id, created.id);
        assert_eq!(assertion.data.rp_id_hash, Sha256::digest(SITE)[..]);
        assert_eq!(assertion.data.flags, UP);
        assert_eq!(assertion.data.raw.len(), 37, "no attested credential data, no extensions");
        assert_eq!(assertion.number_of_credentials, None);
        assert_eq!(key.seen, [Event::Gesture(Reason::GetAssertion), Event::Commit]);
    }
}

#[test]
fn the_first_match_of_the_list_signs() {
    let (mut key, discoverable, derived) = key();
    for (list, expected) in [
        ([&discoverable.id[..], &derived.id], &discoverable),
        ([&derived.id, &discoverable.id], &derived),
        ([b"unknown", &derived.id], &derived),
        ([&discoverable.id, b"unknown"], &discoverable),
    ] {
        let assertion = key.assertion(&Parameters::allow(SITE, &list), &expected.public_key);
        assert_eq!(assertion.id, expected.id);
        assert_eq!(assertion.number_of_credentials, None, "never with a list");
        assert_eq!(key.status(&[0x08]), status::NOT_ALLOWED, "and nothing to go on with");
    }
}

/// The key pair of RFC 6979 appendix A.2.5.
#[test]
fn an_imported_credential_signs_if_it_is_listed_but_is_not_discovered() {
    let private = hex::decode("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721").unwrap();
    let x = hex::decode("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6").unwrap();
    let y = hex::decode("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299").unwrap();
    let imported = StoredCredential {
        id: b"imported".to_vec(),
        relying_party_id: SITE.to_owned(),
        private_key: PrivateKey::from_bytes(Algorithm::Es256, &private).unwrap(),
        discoverable: None,
        properties: Properties::default(),
        has_large_blob_key: false,
        cred_blob: Vec::new(),
        own: None,
    };
    let mut key = Driver::new();
    key.disk.apply(&[Change::Put(imported)]);
    let mut key = key.restarted();
    let public_key = Value::map(vec![
        (int(1), int(2)),
        (int(3), int(-7)),
        (int(-1), int(1)),
        (int(-2), bytes(&x)),
        (int(-3), bytes(&y)),
    ]);
    let assertion = key.assertion(&Parameters::allow(SITE, &[b"imported"]), &public_key);
    assert_eq!(assertion.user, None);
    assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::NO_CREDENTIALS);
}

#[test]
fn without_a_list_or_with_an_empty_one_the_discoverable_credential_signs() {
    let (mut key, discoverable, _) = key();
    for parameters in [Parameters::get_assertion(SITE), Parameters::allow(SITE, &[])] {
        let assertion = key.assertion(&parameters, &discoverable.public_key);
        assert_eq!(assertion.id, discoverable.id);
        assert_eq!(assertion.number_of_credentials, None, "one is no choice");
    }
}

/// CTAP 2.3 §6.2.2: without user verification nothing but the handle, and none for a credential that has no account.
#[test]
fn of_the_user_only_the_handle_is_told() {
    let (mut key, discoverable, derived) = key();
    for parameters in [Parameters::get_assertion(SITE), Parameters::allow(SITE, &[&discoverable.id])] {
        let assertion = key.assertion(&parameters, &discoverable.public_key);
        assert_eq!(assertion.user_id(), Some(b"root".to_vec()));
        assert_eq!(assertion.user.unwrap().len(), 1);
        assert_eq!(assertion.members, [1, 2, 3, 4]);
    }
    let assertion = key.assertion(&Parameters::allow(SITE, &[&derived.id]), &derived.public_key);
    assert_eq!(assertion.members, [1, 2, 3]);
}

/// A platform finds out without a touch whether the key holds a credential.
#[test]
fn a_pre_flight_asks_for_no_gesture_and_says_so_in_its_flags() {
    let (mut key, discoverable, derived) = key();
    key.user = User::Denies;
    for created in [&discoverable, &derived] {
        let parameters = Parameters::allow(SITE, &[b"unknown", &created.id]).with(5, map([("up", boolean(false))]));
        let assertion = key.assertion(&parameters, &created.public_key);
        assert_eq!(assertion.data.flags, 0);
        assert_eq!(key.seen, [Event::Commit]);
    }
}

#[test]
fn a_key_without_a_credential_says_so_after_a_touch_or_in_a_pre_flight_at_once() {
    let (mut key, discoverable, derived) = key();
    let asked = [Event::Gesture(Reason::GetAssertion)];
    for (name, parameters) in [
        ("another relying party", Parameters::allow("example.org", &[&discoverable.id, &derived.id])),
        ("another relying party, no list", Parameters::get_assertion("example.org")),
        ("unknown id", Parameters::allow(SITE, &[b"unknown"])),
        ("empty id", Parameters::allow(SITE, &[b""])),
        ("longest id", Parameters::allow(SITE, &[&[7; 1023]])),
    ] {
        assert_eq!(key.status(&parameters.get()), status::NO_CREDENTIALS, "{name}");
        assert_eq!(key.seen, asked, "{name}");
        assert_eq!(key.status(&parameters.with(5, map([("up", boolean(false))])).get()), status::NO_CREDENTIALS);
        assert_eq!(key.seen, [], "{name}, pre-flight");
    }
    for (user, expected) in [
        (User::Denies, status::OPERATION_DENIED),
        (User::StaysAway, status::OPERATION_DENIED),
        (User::Cancels, status::KEEPALIVE_CANCEL),
    ] {
        key.user = user;
        assert_eq!(key.status(&Parameters::get_assertion("example.org").get()), expected, "{user:?}");
    }
    let mut other = Driver::seeded(built_in("keyrig"), 9);
    let ids = [&discoverable.id[..], &derived.id];
    assert_eq!(other.status(&Parameters::allow(SITE, &ids).get()), status::NO_CREDENTIALS, "another authenticator");
}

/// Which key is asked for a touch first, with an allow list and without; nobody is in a pre-flight.
#[test]
fn profiles_say_in_which_order_a_key_asks_and_says_that_it_has_no_credential() {
    let if_listed = altered(&[("\"after-touch\"", "\"after-touch-if-listed\"")]);
    for (profile, listed, unlisted, expected) in [
        (built_in("keyrig"), true, true, status::NO_CREDENTIALS),
        (built_in("yubikey-5.7"), true, true, status::NO_CREDENTIALS),
        (built_in("yubikey-5.4"), true, true, status::NO_CREDENTIALS),
        // CTAP 2.0 §5.2, authenticatorGetAssertion: step 7 collects consent, step 8 says that nothing was located.
        (built_in("ctap-2.0"), true, true, status::NO_CREDENTIALS),
        // CTAP 2.1 §6.2.2 step 7 says it, step 9 collects consent.
        (built_in("ctap-2.1"), false, false, status::NO_CREDENTIALS),
        // Recorded with a Security Key of firmware 5.1, by google/CTAP2-test-tool.
        (built_in("security-key-5.1"), false, false, status::INVALID_CREDENTIAL),
        // Recorded with keys of Feitian.
        (if_listed, true, false, status::NO_CREDENTIALS),
    ] {
        let name = profile.name.clone();
        let mut key = Driver::of(profile);
        for (request, asks) in [(Parameters::allow(SITE, &[b"x"]), listed), (Parameters::get_assertion(SITE), unlisted)]
        {
            assert_eq!(key.status(&request.clone().get()), expected, "{name}");
            let gestures: &[_] = if asks { &[Event::Gesture(Reason::GetAssertion)] } else { &[] };
            assert_eq!(key.seen, gestures, "{name}");
            assert_eq!(key.status(&request.with(5, map([("up", boolean(false))])).get()), expected, "{name}");
            assert_eq!(key.seen, [], "{name}");
        }
    }
}

#[test]
fn descriptors_of_an_unknown_type_are_ignored() {
    let (mut key, discoverable, derived) = key();
    let unknown = map([("id", bytes(&discoverable.id)), ("type", text("password"))]);
    let only = Parameters::get_assertion(SITE).with(3, array([unknown.clone()]));
    assert_eq!(key.status(&only.get()), status::NO_CREDENTIALS, "a list that matches nothing is not an absent one");
    let mixed = Parameters::get_assertion(SITE).with(3, array([unknown, descriptor(&derived.id)]));
    assert_eq!(key.assertion(&mixed, &derived.public_key).id, derived.id);
}

#[test]
fn the_counter_increases_with_every_signature() {
    let mut key = Driver::new();
    let mut last = 0;
    let mut larger = |counter: u32| {
        assert!(counter > last, "{counter} after {last}");
        last = counter;
    };
    let one = key.create(&Parameters::discoverable(SITE, "one"));
    larger(one.data.counter);
    let two = key.create(&Parameters::discoverable(SITE, "two"));
    larger(two.data.counter);
    larger(key.create(&Parameters::make_credential("example.org", "root")).data.counter);
    larger(key.assertion(&Parameters::allow(SITE, &[&one.id]), &one.public_key).data.counter);
    let silent = Parameters::allow(SITE, &[&one.id]).with(5, map([("up", boolean(false))]));
    larger(key.assertion(&silent, &one.public_key).data.counter);
    larger(key.assertion(&Parameters::get_assertion(SITE), &two.public_key).data.counter);
    larger(Assertion::read(&key.send(&[0x08])).data.counter);
    key.power_up();
    larger(key.assertion(&Parameters::allow(SITE, &[&one.id]), &one.public_key).data.counter);
    let mut key = key.restarted();
    larger(key.assertion(&Parameters::allow(SITE, &[&one.id]), &one.public_key).data.counter);
}

/// A counter that came round would make an old signature look new.
#[test]
fn a_counter_at_its_end_signs_no_more() {
    let (key, discoverable, _) = key();
    let mut disk = key.disk.clone();
    disk.apply(&[Change::Counter(u32::MAX - 1)]);
    let mut key = Driver::on(disk, built_in("keyrig"), 2);
    let parameters = Parameters::allow(SITE, &[&discoverable.id]);
    assert_eq!(key.assertion(&parameters, &discoverable.public_key).data.counter, u32::MAX);
    for message in [parameters.get(), Parameters::make_credential(SITE, "root").create()] {
        assert_eq!(key.status(&message), status::OTHER);
    }
}

/// CTAP 2.3 §6.2.2 step 4.
#[test]
fn options_are_judged_as_step_4_says() {
    let (mut key, discoverable, _) = key();
    let with = |name, value| Parameters::allow(SITE, &[&discoverable.id]).with(5, map([(name, value)])).get();
    for (option, value, expected) in [
        ("up", true, status::OK),
        ("up", false, status::OK),
        ("uv", true, status::INVALID_OPTION),
        ("uv", false, status::OK),
        ("rk", true, status::UNSUPPORTED_OPTION),
        ("rk", false, status::UNSUPPORTED_OPTION),
        ("unheard of", true, status::OK),
    ] {
        assert_eq!(key.status(&with(option, boolean(value))), expected, "{option}={value}");
    }
    for option in ["up", "uv", "rk"] {
        assert_eq!(key.status(&with(option, int(1))), status::CBOR_UNEXPECTED_TYPE, "{option}");
    }
}

#[test]
fn members_are_missed_or_of_the_wrong_type() {
    let (mut key, discoverable, _) = key();
    let request = || Parameters::allow(SITE, &[&discoverable.id]);
    for (name, parameters, expected) in [
        ("no rpId", request().without(1), status::MISSING_PARAMETER),
        ("no clientDataHash", request().without(2), status::MISSING_PARAMETER),
        ("rpId", request().with(1, bytes(b"example.com")), status::CBOR_UNEXPECTED_TYPE),
        ("clientDataHash", request().with(2, text("hash")), status::CBOR_UNEXPECTED_TYPE),
        ("clientDataHash of 31 bytes", request().with(2, bytes(&[0; 31])), status::INVALID_LENGTH),
        ("allowList", request().with(3, map([])), status::CBOR_UNEXPECTED_TYPE),
        ("allowList element", request().with(3, array([text("id")])), status::CBOR_UNEXPECTED_TYPE),
        ("allowList id", request().with(3, array([map([("type", text("public-key"))])])), status::MISSING_PARAMETER),
        ("allowList type", request().with(3, array([map([("id", bytes(b"x"))])])), status::MISSING_PARAMETER),
        ("extensions", request().with(4, array([])), status::CBOR_UNEXPECTED_TYPE),
        ("options", request().with(5, array([])), status::CBOR_UNEXPECTED_TYPE),
        ("pinUvAuthParam", request().with(6, int(1)), status::CBOR_UNEXPECTED_TYPE),
        ("pinUvAuthProtocol", request().with(7, text("1")), status::CBOR_UNEXPECTED_TYPE),
        ("param without protocol", request().with(6, bytes(&[1; 16])), status::MISSING_PARAMETER),
        ("param with protocol 3", request().with(6, bytes(&[1; 16])).with(7, int(3)), status::INVALID_PARAMETER),
        ("unknown members", request().with(8, int(1)).with(-1, array([])), status::OK),
        ("unknown extension", request().with(4, map([("appid", text("x"))])), status::OK),
    ] {
        assert_eq!(key.status(&parameters.get()), expected, "{name}");
    }
    assert_eq!(key.status(&[0x02]), status::INVALID_CBOR, "no parameters");
    let mut trailing = request().get();
    trailing.push(0);
    assert_eq!(key.status(&trailing), status::INVALID_CBOR, "trailing byte");
}

#[test]
fn a_list_is_as_long_as_get_info_says_at_most() {
    let (mut key, discoverable, _) = key();
    let mut ids = vec![&b"unknown"[..]; 8];
    ids[7] = &discoverable.id;
    key.assertion(&Parameters::allow(SITE, &ids), &discoverable.public_key);
    ids.push(b"unknown");
    assert_eq!(key.status(&Parameters::allow(SITE, &[]).with(3, descriptors(&ids)).get()), status::LIMIT_EXCEEDED);
    assert_eq!(key.seen, []);
}

#[test]
fn credentials_survive_power_cycles_and_restarts() {
    let (mut key, discoverable, derived) = key();
    key.power_up();
    let mut key = key.restarted();
    for created in [&discoverable, &derived] {
        key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
    }
}
