//! The exclude list of authenticatorMakeCredential (CTAP 2.3 §6.1.2 step 12).

use keyrig_authenticator::credential::{Properties, StoredCredential};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::Change;
use keyrig_authenticator::{Authenticator, Reason, Step};
use keyrig_ctap::cose::Algorithm;

use crate::support::codec::{Parameters, array, bytes, descriptor, descriptors, map, status, text};
use crate::support::{Driver, Event, User, altered, built_in, profiles_that_want_a_touch};

const SITE: &str = "example.com";
const IMPORTED: &[u8] = b"an imported credential's id";

/// A key with a credential of each kind: the ids are of a stored, a derived and an imported one.
fn key() -> (Driver, [Vec<u8>; 3]) {
    let mut key = Driver::new();
    let imported = StoredCredential {
        id: IMPORTED.to_vec(),
        relying_party_id: SITE.to_owned(),
        private_key: PrivateKey::from_bytes(Algorithm::Es256, &[7; 32]).unwrap(),
        discoverable: None,
        properties: Properties::default(),
        has_large_blob_key: false,
        cred_blob: Vec::new(),
        own: None,
    };
    key.disk.apply(&[Change::Put(imported)]);
    let mut key = key.restarted();
    let discoverable = key.create(&Parameters::discoverable(SITE, "root")).id;
    let derived = key.create(&Parameters::make_credential(SITE, "root")).id;
    (key, [discoverable, derived, IMPORTED.to_vec()])
}

fn excluding(ids: &[&[u8]]) -> Parameters {
    Parameters::make_credential(SITE, "guest").with(5, descriptors(ids))
}

#[test]
fn own_credentials_of_every_kind_are_excluded_after_a_touch() {
    let (mut key, ids) = key();
    for id in &ids {
        for list in [vec![&id[..]], vec![b"unknown", id], vec![id, b"unknown"]] {
            assert_eq!(key.status(&excluding(&list).create()), status::CREDENTIAL_EXCLUDED);
            assert_eq!(key.seen, [Event::Gesture(Reason::MakeCredential)], "asked once, and nothing is stored");
        }
    }
}

/// CTAP 2.3 §6.1.2 step 12: user presence is asked for, and whatever comes of that the answer is the same; but for a cancel,
/// which is the platform's own.
#[test]
fn an_excluded_credential_is_named_whether_the_user_touches_refuses_or_stays_away() {
    let (mut key, ids) = key();
    for (user, expected) in [
        (User::Denies, status::CREDENTIAL_EXCLUDED),
        (User::StaysAway, status::CREDENTIAL_EXCLUDED),
        (User::Cancels, status::KEEPALIVE_CANCEL),
    ] {
        key.user = user;
        for id in &ids {
            assert_eq!(key.status(&excluding(&[id]).create()), expected);
            assert_eq!(key.seen, [Event::Gesture(Reason::MakeCredential)]);
        }
    }
}

/// A platform that does not wait for the user learns nothing: the same gesture and deadline whether excluded or not.
#[test]
fn what_happens_before_the_touch_does_not_tell_who_is_excluded() {
    let (mut key, ids) = key();
    let mut asked = |parameters: &Parameters| match key.start(&parameters.create()) {
        Step::Gesture(gesture) => (gesture.reason(), gesture.deadline()),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&excluding(&[&ids[0]])), asked(&excluding(&[b"unknown"])));
}

#[test]
fn credentials_of_another_relying_party_are_not_excluded() {
    let (mut key, ids) = key();
    for id in &ids {
        let parameters = Parameters::make_credential("example.org", "guest").with(5, descriptors(&[id]));
        key.create(&parameters);
    }
}

#[test]
fn credentials_of_another_authenticator_are_not_excluded() {
    let (_, ids) = key();
    let mut other = Driver::seeded(built_in("keyrig"), 9);
    let ids: Vec<_> = ids.iter().map(Vec::as_slice).collect();
    other.create(&excluding(&ids));
}

#[test]
fn descriptors_of_an_unknown_type_are_ignored() {
    let (mut key, ids) = key();
    let unknown = |id: &[u8]| map([("id", bytes(id)), ("type", text("password"))]);
    key.create(&excluding(&[]).with(5, array(ids.iter().map(|id| unknown(id)))));
    let mixed = array([unknown(&ids[0]), descriptor(&ids[1])]);
    assert_eq!(key.status(&excluding(&[]).with(5, mixed).create()), status::CREDENTIAL_EXCLUDED);
}

#[test]
fn transports_of_a_descriptor_are_hints_of_no_consequence() {
    let (mut key, ids) = key();
    let transports = array([text("ble"), text("smoke signals")]);
    let list = array([map([("id", bytes(&ids[0])), ("type", text("public-key")), ("transports", transports)])]);
    assert_eq!(key.status(&excluding(&[]).with(5, list).create()), status::CREDENTIAL_EXCLUDED);
}

#[test]
fn an_empty_list_counts_as_absent() {
    let (mut key, _) = key();
    key.create(&excluding(&[]));
}

#[test]
fn a_list_is_as_long_as_get_info_says_at_most() {
    for name in profiles_that_want_a_touch().filter(|name| built_in(name).max_credential_count_in_list.is_some()) {
        let longest = usize::from(built_in(name).max_credential_count_in_list.unwrap());
        let unknown = vec![&b"unknown"[..]; longest + 1];
        let mut key = Driver::of(built_in(name));
        key.create(&excluding(&unknown[..longest]));
        assert_eq!(key.status(&excluding(&unknown).create()), status::LIMIT_EXCEEDED, "{name}");
        assert_eq!(key.seen, [], "refused before a touch is asked for");
    }
    let unlimited = altered(&[("max_credential_count_in_list = 8\n", "")]);
    Driver::of(unlimited).create(&excluding(&vec![&b"unknown"[..]; 20]));
}

#[test]
fn what_was_excluded_before_a_reset_is_not_after_it() {
    let (mut key, ids) = key();
    key.power_up();
    assert_eq!(key.status(&[0x07]), status::OK);
    for id in &ids {
        key.create(&excluding(&[id]));
    }
}

/// Ids that are close to one's own: cut, extended, empty, and as long as the specification lets them be.
#[test]
fn only_the_exact_id_is_excluded() {
    let (mut key, ids) = key();
    for id in &ids {
        let extended = [id, &b"x"[..]].concat();
        for other in [&id[..id.len() - 1], &id[1..], &extended, b"", &[0; 1023]] {
            let step = key.start(&excluding(&[other]).create());
            let answer = touched(step, &mut key.authenticator);
            assert_eq!(answer, None, "goes on to make a credential");
        }
    }
}

/// The answer after a touch, or nothing if the command goes on.
fn touched(step: Step, authenticator: &mut Authenticator) -> Option<Vec<u8>> {
    let Step::Gesture(gesture) = step else { panic!("{step:?}") };
    let now = gesture.deadline();
    match gesture.touched(authenticator, now) {
        Step::Respond(answer) => Some(answer),
        Step::Commit(_) => None,
        other @ (Step::Gesture(_) | Step::Silence) => panic!("{other:?}"),
    }
}
