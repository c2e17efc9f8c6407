//! Passkeys that are on several devices: BE and BS, and the signature counter (WebAuthn Level 3 §6.1.1, §6.1.3).

use keyrig_authenticator::administration::BackupRefused;
use keyrig_authenticator::profile::Usb;

use crate::administration::commit;
use crate::support::codec::{AT, GET_INFO, Parameters, UP, UV, body, boolean, fields, map, status, text};
use crate::support::{Driver, built_in, with_quirks};

const SITE: &str = "example.com";

/// WebAuthn Level 3 §6.1: bits 3 and 4.
const BE: u8 = 0x08;
const BS: u8 = 0x10;

/// A request for a credential that is discoverable, or is not.
fn request(user: &str, discoverable: bool) -> Parameters {
    let request = Parameters::make_credential(SITE, user);
    if discoverable { request.with(7, map([("rk", boolean(true))])) } else { request }
}

#[test]
fn a_synchronised_passkey_is_eligible_backed_up_never_counted_and_attested_by_nobody() {
    let mut key = Driver::of(built_in("synced-passkey"));
    for (user, options, flags) in [
        ("alice", map([("rk", boolean(true)), ("uv", boolean(true))]), UP | UV),
        ("bob", map([("rk", boolean(false))]), UP),
        ("carol", map([("rk", boolean(true)), ("uv", boolean(true))]), UP | UV),
    ] {
        let created = key.create(&Parameters::make_credential(SITE, user).with(7, options));
        assert_eq!(created.format, "none");
        assert_eq!((created.data.flags, created.data.counter), (flags | AT | BE | BS, 0));
        let key_of_it = created.public_key.clone();
        for _ in 0..2 {
            let allow = Parameters::allow(SITE, &[&created.id]);
            let assertion = key.assertion(&allow, &key_of_it);
            assert_eq!((assertion.data.flags, assertion.data.counter), (UP | BE | BS, 0));
        }
    }
    let stored: Vec<_> = key.authenticator.store().credentials().map(|stored| stored.discoverable.is_some()).collect();
    assert_eq!(stored.iter().filter(|discoverable| **discoverable).count(), 2);
    assert_eq!(stored.len(), 3, "what is not discoverable is stored, too: another device has it");
    assert_eq!(key.authenticator.store().counter(), 0);
}

/// `internal`, and `hybrid` for whoever has it on a phone (WebAuthn Level 3 §5.8.4); `plat` (CTAP 2.3 §6.4).
#[test]
fn a_synchronised_passkey_is_of_a_platform_and_on_no_usb() {
    let profile = built_in("synced-passkey");
    assert_eq!(profile.usb, None::<Usb>);
    let mut key = Driver::of(profile);
    let info = body(&key.send(&[GET_INFO]));
    assert_eq!(info[&0x09].clone().extract_array().unwrap(), [text("internal"), text("hybrid")]);
    assert_eq!(info[&0x16].clone().extract_array().unwrap(), [text("none")]);
    assert_eq!(fields(&info[&0x04])["plat"], boolean(true));
}

/// What a credential says of its backup stays with it, whatever the key says of new ones.
#[test]
fn a_key_with_a_setting_says_of_new_credentials_that_they_are_eligible_or_backed_up() {
    for (quirk, flags) in [("backup-eligible", BE), ("backed-up", BE | BS)] {
        let mut key = Driver::of(with_quirks("keyrig", &[quirk]));
        let before = key.create(&request("before", false)).data.counter;
        let mut made = Vec::new();
        for (user, is_discoverable) in [("alice", true), ("bob", false)] {
            let created = key.create(&request(user, is_discoverable));
            assert_eq!(created.data.flags, UP | AT | flags, "{quirk}");
            assert!(created.data.counter > before, "it counts as the key does: {quirk}");
            made.push((created.id.clone(), created.public_key.clone(), created.data.counter));
        }
        // The same key without the setting, from the same disk.
        let mut key = Driver::on(key.disk.clone(), built_in("keyrig"), 9);
        for (id, public_key, counter) in made {
            let assertion = key.assertion(&Parameters::allow(SITE, &[&id]), &public_key);
            assert_eq!((assertion.data.flags, assertion.data.counter), (UP | flags, counter + 1), "{quirk}");
        }
        assert_eq!(key.create(&request("carol", true)).data.flags, UP | AT, "{quirk}");
    }
}

#[test]
fn an_owner_changes_what_a_stored_credential_says_of_its_backup_and_its_counter_goes_on() {
    let mut key = Driver::new();
    let created = key.create(&request("alice", true));
    let (id, public_key) = (created.id.clone(), created.public_key.clone());
    let allow = Parameters::allow(SITE, &[&id]);
    let mut counter = created.data.counter;
    for (eligible, backed_up, flags) in [(true, false, BE), (true, true, BE | BS), (true, false, BE), (false, false, 0)]
    {
        let act = key.authenticator.set_backup(&id, eligible, backed_up).unwrap();
        commit(&mut key, act);
        key = key.restarted();
        let assertion = key.assertion(&allow, &public_key);
        counter += 1;
        assert_eq!((assertion.data.flags, assertion.data.counter), (UP | flags, counter));
    }
    let state = key.disk.clone();
    let refused = |key: &Driver, id: &[u8], eligible, backed_up| {
        key.authenticator.set_backup(id, eligible, backed_up).unwrap_err()
    };
    assert_eq!(refused(&key, &id, false, true), BackupRefused::State);
    assert_eq!(refused(&key, b"another", true, true), BackupRefused::NoCredential);
    // It lives in its id.
    let other = key.create(&request("bob", false)).id;
    assert_eq!(refused(&key, &other, true, true), BackupRefused::NoCredential);
    // For CTAP 2.0 the bits are reserved (WebAuthn Level 1 §6.1).
    let old = Driver::on(state, built_in("ctap-2.0"), 3);
    assert_eq!(refused(&old, &id, true, true), BackupRefused::Flags("ctap-2.0".to_owned()));
}

#[test]
fn what_is_stored_though_it_is_not_discoverable_has_its_end_and_is_deleted() {
    let mut profile = built_in("keyrig");
    profile.behaviour.stores_all = true;
    let mut key = Driver::of(profile);
    let first = key.create(&request("0", false));
    assert_eq!(first.data.flags, UP | AT);
    for user in 1..1000 {
        assert_eq!(key.status(&request(&user.to_string(), false).create()), status::OK, "{user}");
    }
    assert_eq!(key.status(&request("one more", false).create()), status::KEY_STORE_FULL);
    let id = first.id;
    let act = key.authenticator.delete(&id).unwrap();
    commit(&mut key, act);
    assert_eq!(key.status(&Parameters::allow(SITE, &[&id]).get()), status::NO_CREDENTIALS);
    assert_eq!(key.status(&request("one more", false).create()), status::OK);
}
