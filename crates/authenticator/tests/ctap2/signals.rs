//! What a relying party signals of its credentials (WebAuthn Level 3 §5.1.10).

use keyrig_authenticator::administration::Signal;

use crate::administration::commit;
use crate::support::codec::{Parameters, boolean, map, status};
use crate::support::{Driver, built_in};

const SITE: &str = "example.com";
const OTHER_SITE: &str = "example.net";

/// A key that stores each credential, as those of virtual authenticators and password managers are.
fn key() -> Driver {
    let mut profile = built_in("keyrig");
    profile.behaviour.stores_all = true;
    Driver::of(profile)
}

fn create(key: &mut Driver, site: &str, user: &str, discoverable: bool) -> Vec<u8> {
    let request = Parameters::make_credential(site, user).with(7, map([("rk", boolean(discoverable))]));
    key.create(&request).id.clone()
}

fn signal(key: &mut Driver, site: &str, signal: &Signal) {
    let act = key.authenticator.signal(site, signal);
    commit(key, act);
}

/// Of these credentials of the site those that are still there, by asking for each, after a power cycle too.
fn left(key: &mut Driver, site: &str, ids: &[&Vec<u8>]) -> Vec<bool> {
    ids.iter()
        .map(|id| match key.status(&Parameters::allow(site, &[id]).get()) {
            status::OK => true,
            other => {
                assert_eq!(other, status::NO_CREDENTIALS);
                false
            }
        })
        .collect()
}

#[test]
fn a_credential_that_a_site_does_not_know_goes_and_no_other_sites_nor_another_one() {
    let mut key = key();
    let (alice, bob) = (create(&mut key, SITE, "alice", true), create(&mut key, SITE, "bob", false));
    let elsewhere = create(&mut key, OTHER_SITE, "alice", true);
    for (site, id) in [(OTHER_SITE, &alice), (SITE, &elsewhere), (SITE, &b"nobody's".to_vec())] {
        signal(&mut key, site, &Signal::UnknownCredential(id.clone()));
    }
    assert_eq!(left(&mut key, SITE, &[&alice, &bob]), [true, true]);
    for (id, expected) in [(&bob, [true, false]), (&alice, [false, false])] {
        signal(&mut key, SITE, &Signal::UnknownCredential(id.clone()));
        assert_eq!(left(&mut key, SITE, &[&alice, &bob]), expected);
    }
    key = key.restarted();
    assert_eq!(left(&mut key, SITE, &[&alice, &bob]), [false, false]);
    assert_eq!(left(&mut key, OTHER_SITE, &[&elsewhere]), [true]);
}

#[test]
fn a_site_that_says_what_it_accepts_of_a_user_ends_that_users_other_discoverable_ones_alone() {
    let mut key = key();
    let (alice, plain) = (create(&mut key, SITE, "alice", true), create(&mut key, SITE, "alice", false));
    let (bob, elsewhere) = (create(&mut key, SITE, "bob", true), create(&mut key, OTHER_SITE, "alice", true));
    let accepts = |ids: &[&Vec<u8>]| Signal::AllAcceptedCredentials {
        user_id: b"alice".to_vec(),
        accepted: ids.iter().map(|id| (*id).clone()).collect(),
    };
    signal(&mut key, SITE, &accepts(&[&b"nobody's".to_vec(), &alice]));
    assert_eq!(left(&mut key, SITE, &[&alice, &plain, &bob]), [true, true, true]);
    signal(&mut key, SITE, &accepts(&[&bob]));
    assert_eq!(left(&mut key, SITE, &[&alice, &plain, &bob]), [false, true, true]);
    assert_eq!(left(&mut key, OTHER_SITE, &[&elsewhere]), [true]);
}

/// CTAP 2.3 §6.1.2: names may be cut to 64 bytes.
#[test]
fn what_a_user_is_called_now_is_told_from_then_on_and_cut_as_at_creation() {
    let mut key = key();
    let alice = create(&mut key, SITE, "alice", true);
    let bob = create(&mut key, SITE, "bob", true);
    let details = |name: &str| Signal::CurrentUserDetails {
        user_id: b"alice".to_vec(),
        name: name.to_owned(),
        display_name: "Alice Now".to_owned(),
    };
    signal(&mut key, OTHER_SITE, &details("elsewhere"));
    let names = |key: &Driver| {
        let user = |id: &Vec<u8>| key.authenticator.export(id, None).unwrap().user.unwrap();
        [user(&alice).name.unwrap(), user(&alice).display_name.unwrap(), user(&bob).name.unwrap()]
    };
    assert_eq!(names(&key), ["alice", "A User", "bob"]);
    signal(&mut key, SITE, &details("alice.now"));
    assert_eq!(names(&key), ["alice.now", "Alice Now", "bob"]);
    signal(&mut key, SITE, &details(&"x".repeat(65)));
    key = key.restarted();
    assert_eq!(names(&key), [&"x".repeat(64), "Alice Now", "bob"]);
    assert_eq!(left(&mut key, SITE, &[&alice, &bob]), [true, true]);
}
