//! What the owner does with a key beside CTAP, and what CTAP then shows of it.

use std::collections::BTreeMap;

use keyrig_authenticator::administration::{Act, ImportRefused, LargeBlobsRefused, PinRefused, RestoreRefused};
use keyrig_authenticator::credential::{CredRandom, CredentialSource, Properties};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::{Records, Store};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;

use crate::support::codec::{
    Assertion, GET_INFO, Parameters, UP, array, body, boolean, descriptors, encode, int, map, status, text,
};
use crate::support::platform::permission;
use crate::support::signature::verify_assertion;
use crate::support::{Driver, built_in};
use crate::{credential_management, large_blobs, u2f};

const SITE: &str = "example.com";
const PIN: &str = "1357";

/// WebAuthn Level 3 §6.1: bits 3 and 4.
const BE: u8 = 0x08;
const BS: u8 = 0x10;

/// The private key 1: its public key is P-256's base point (SEC 2 §2.4.2).
fn private_key() -> PrivateKey {
    let mut one = [0; 32];
    one[31] = 1;
    PrivateKey::from_bytes(Algorithm::Es256, &one).unwrap()
}

fn public_key() -> sk_cbor::Value {
    let x = hex::decode("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296").unwrap();
    let y = hex::decode("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5").unwrap();
    sk_cbor::Value::map(vec![
        (int(1), int(2)),
        (int(3), int(-7)),
        (int(-1), int(1)),
        (int(-2), sk_cbor::Value::byte_string(x)),
        (int(-3), sk_cbor::Value::byte_string(y)),
    ])
}

/// A credential of another maker, that is not discoverable.
fn source(id: &[u8]) -> CredentialSource {
    CredentialSource {
        id: id.to_vec(),
        relying_party_id: SITE.to_owned(),
        private_key: private_key(),
        user: None,
        properties: Properties::default(),
        cred_blob: Vec::new(),
        counter: Some(41),
        backup_eligible: false,
        backup_state: false,
        cred_random: None,
        large_blob_key: None,
    }
}

fn discoverable(id: &[u8], user: &str) -> CredentialSource {
    let user = User { id: user.as_bytes().to_vec(), name: Some(user.to_owned()), display_name: None };
    CredentialSource { user: Some(user), ..source(id) }
}

/// Makes an act durable and tells it so, as its driving contract says.
pub(crate) fn commit<T>(key: &mut Driver, act: Act<T>) -> T {
    assert!(key.memory_equals_disk());
    let changes = act.changes().to_vec();
    key.disk.apply(&changes);
    let done = act.committed(&mut key.authenticator);
    assert!(key.memory_equals_disk());
    done
}

fn import(key: &mut Driver, source: CredentialSource) -> Result<(), ImportRefused> {
    let act = key.authenticator.import(vec![source]).map_err(|(_, refused)| refused)?;
    commit(key, act);
    Ok(())
}

/// Imports a credential of [`SITE`] that counts.
pub(crate) fn import_counted(key: &mut Driver, id: &[u8]) {
    import(key, source(id)).unwrap();
}

fn asserted(key: &mut Driver, parameters: &Parameters) -> Assertion {
    let assertion = Assertion::read(&key.send(&parameters.get()));
    verify_assertion(&assertion, &parameters.hash(2), &public_key());
    assertion
}

#[test]
fn an_imported_credential_logs_in_by_its_id_with_a_counter_and_flags_of_its_own() {
    for (profile, id) in [
        ("keyrig", &[7][..]),
        ("keyrig", &[7; 16]),
        // maxCredentialIdLength of these.
        ("keyrig", &[7; 128]),
        ("nitrokey-3", &[7; 255]),
    ] {
        let mut key = Driver::of(built_in(profile));
        key.create(&Parameters::make_credential(SITE, "guest"));
        let of_the_key = key.authenticator.store().counter();
        import(&mut key, CredentialSource { backup_eligible: true, backup_state: true, ..source(id) }).unwrap();
        let allow = Parameters::allow(SITE, &[id]);
        for counter in [42, 43] {
            let assertion = asserted(&mut key, &allow);
            assert_eq!((assertion.id.as_slice(), assertion.data.counter), (id, counter));
            assert_eq!(assertion.data.flags, UP | BE | BS);
            assert_eq!(assertion.user, None);
        }
        assert_eq!(key.authenticator.store().counter(), of_the_key, "the key's own does not move");
        let mut key = key.restarted();
        assert_eq!(asserted(&mut key, &allow).data.counter, 44, "it is durable");
    }
}

#[test]
fn a_credential_without_a_counter_says_zero_always_and_writes_nothing_for_it() {
    let mut key = Driver::new();
    import(&mut key, CredentialSource { counter: None, backup_eligible: true, ..source(b"synchronised") }).unwrap();
    let disk = key.disk.clone();
    for _ in 0..3 {
        let assertion = asserted(&mut key, &Parameters::allow(SITE, &[b"synchronised"]));
        assert_eq!((assertion.data.counter, assertion.data.flags), (0, UP | BE));
    }
    assert_eq!(key.disk, disk);
}

#[test]
fn a_counter_at_its_end_does_not_begin_again() {
    let mut key = Driver::new();
    assert_eq!(
        import(&mut key, CredentialSource { counter: Some(u32::MAX), ..source(b"worn") }),
        Err(ImportRefused::Counter)
    );
    import(&mut key, CredentialSource { counter: Some(u32::MAX - 1), ..source(b"worn") }).unwrap();
    assert_eq!(asserted(&mut key, &Parameters::allow(SITE, &[b"worn"])).data.counter, u32::MAX);
    assert_eq!(key.status(&Parameters::allow(SITE, &[b"worn"]).get()), status::OTHER);
}

#[test]
fn an_imported_discoverable_credential_is_found_listed_and_deleted_as_others_are() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    import(&mut key, discoverable(b"an id of nineteen b", "alice")).unwrap();
    let token = key.token(2, PIN, permission::GA, Some(SITE)).unwrap();
    let assertion = asserted(&mut key, &Parameters::get_assertion(SITE).got_by(&token));
    assert_eq!((assertion.user_id().unwrap(), assertion.data.counter), (b"alice".to_vec(), 42));
    let token = key.token(2, PIN, permission::CM, None).unwrap();
    let metadata = key.send(&credential_management::request(0x01, None, Some(&token)).message(0x0A));
    assert_eq!(body(&metadata)[&1], int(1), "existingResidentCredentialsCount");
    let of_it = credential_management::of_credential(b"an id of nineteen b");
    assert_eq!(key.status(&credential_management::request(0x06, Some(of_it), Some(&token)).message(0x0A)), status::OK);
    assert_eq!(key.authenticator.store().credentials().count(), 0);
}

#[test]
fn getting_the_next_assertion_goes_on_while_imported_credentials_count() {
    let mut key = Driver::new();
    for (id, user) in [(b"first", "alice"), (b"other", "bob"), (b"third", "carol")] {
        import(&mut key, discoverable(id, user)).unwrap();
    }
    let first = asserted(&mut key, &Parameters::get_assertion(SITE));
    assert_eq!((first.number_of_credentials, first.user_id().unwrap()), (Some(3), b"carol".to_vec()));
    for user in ["bob", "alice"] {
        let next = Assertion::read(&key.send(&[0x08]));
        assert_eq!((next.user_id().unwrap(), next.data.counter), (user.as_bytes().to_vec(), 42));
    }
}

#[test]
fn an_imported_credential_is_excluded_and_a_u2f_key_handle() {
    let mut key = Driver::new();
    import(&mut key, source(&[3; 64])).unwrap();
    let excluding = Parameters::make_credential(SITE, "guest").with(5, descriptors(&[&[3; 64]]));
    assert_eq!(key.status(&excluding.create()), status::CREDENTIAL_EXCLUDED);
    let message = u2f::authenticate(u2f::ENFORCE, SITE, &[3; 64]);
    key.send_u2f(&message);
    key.touch_u2f();
    let answer = key.send_u2f(&message);
    assert!(answer.ends_with(&[0x90, 0x00]));
    assert_eq!(answer[..5], [1, 0, 0, 0, 42], "user presence and the credential's counter");
}

#[test]
fn cred_protect_holds_for_an_imported_credential() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    let protection = CredentialProtection::UserVerificationRequired;
    let properties = Properties { protection, third_party_payment: false };
    import(&mut key, CredentialSource { properties, ..source(b"guarded") }).unwrap();
    let allow = Parameters::allow(SITE, &[b"guarded"]);
    assert_eq!(key.status(&allow.get()), status::NO_CREDENTIALS);
    let token = key.token(2, PIN, permission::GA, Some(SITE)).unwrap();
    asserted(&mut key, &allow.got_by(&token));
}

#[test]
fn an_import_that_cannot_be_is_refused_by_its_reason_and_changes_nothing() {
    let mut key = Driver::new();
    let own = key.create(&Parameters::make_credential(SITE, "guest")).id;
    import(&mut key, discoverable(b"alice's", "alice")).unwrap();
    let disk = key.disk.clone();
    let long = |length: usize| vec![b'x'; length];
    let user = |id: Vec<u8>| Some(User { id, name: None, display_name: None });
    let site = |relying_party_id: String| CredentialSource { relying_party_id, ..source(b"b") };
    for (wrong, refused) in [
        // maxCredentialIdLength of keyrig is 128.
        (source(b""), ImportRefused::Id { length: 0, longest: 128 }),
        (source(&long(129)), ImportRefused::Id { length: 129, longest: 128 }),
        // maxMsgSize of keyrig is 1280.
        (site("x".repeat(1281)), ImportRefused::RpId { length: 1281, longest: 1280 }),
        (CredentialSource { user: user(long(65)), ..source(b"b") }, ImportRefused::UserId { length: 65, shortest: 0 }),
        (source(b"alice's"), ImportRefused::Exists),
        (source(&own), ImportRefused::Exists),
        (discoverable(b"b", "alice"), ImportRefused::SameUser(SITE.to_owned())),
        (CredentialSource { backup_state: true, ..source(b"b") }, ImportRefused::BackupState),
        (CredentialSource { cred_blob: long(1), ..source(b"b") }, ImportRefused::CredBlob(1, 0)),
        (CredentialSource { cred_blob: long(33), ..discoverable(b"b", "bob") }, ImportRefused::CredBlob(33, 32)),
    ] {
        assert_eq!(import(&mut key, wrong), Err(refused));
        assert_eq!(key.disk, disk);
    }
    let mut old = Driver::of(built_in("ctap-2.0"));
    let ed25519 = PrivateKey::from_bytes(Algorithm::EdDsa, &[1; 32]).unwrap();
    let refused = import(&mut old, CredentialSource { private_key: ed25519, ..source(b"b") });
    assert!(matches!(refused, Err(ImportRefused::Algorithm { algorithm: Algorithm::EdDsa, .. })), "{refused:?}");
    let mut u2f = Driver::of(built_in("u2f-only"));
    import(&mut u2f, source(b"b")).unwrap();
    assert!(matches!(import(&mut u2f, discoverable(b"c", "carol")), Err(ImportRefused::NotDiscoverable(_))));
}

#[test]
fn what_an_extension_left_is_imported_only_where_the_key_has_the_extension() {
    let secrets = || Some(CredRandom { with_uv: [1; 32], without_uv: [2; 32] });
    let properties = |protection, third_party_payment| Properties { protection, third_party_payment };
    let guarded = CredentialProtection::UserVerificationOptionalWithCredentialIdList;
    let cases = [
        ("credProtect", CredentialSource { properties: properties(guarded, false), ..source(b"a") }),
        ("thirdPartyPayment", CredentialSource { properties: properties(Default::default(), true), ..source(b"b") }),
        ("hmac-secret", CredentialSource { cred_random: secrets(), ..source(b"c") }),
        ("largeBlobKey", CredentialSource { large_blob_key: Some([3; 32]), ..source(b"d") }),
    ];
    // The extensions that getInfo of each names.
    for (profile, has) in [
        ("keyrig", &["credProtect", "thirdPartyPayment", "hmac-secret", "largeBlobKey"][..]),
        ("yubikey-5.7", &["credProtect", "hmac-secret", "largeBlobKey"]),
        ("ctap-2.0", &["hmac-secret"]),
        ("u2f-only", &[]),
    ] {
        for (extension, source) in &cases {
            let mut key = Driver::of(built_in(profile));
            let kept = import(&mut key, source.clone());
            let refused = ImportRefused::Extension { profile: profile.to_owned(), extension };
            assert_eq!(kept, if has.contains(extension) { Ok(()) } else { Err(refused) }, "{extension} on {profile}");
        }
        // A key with flags knows of CTAP 2.1 (WebAuthn Level 1 §6.1 reserves the bits).
        let flagged = import(
            &mut Driver::of(built_in(profile)),
            CredentialSource { backup_eligible: true, backup_state: true, ..source(b"e") },
        );
        let is_old = ["ctap-2.0", "u2f-only"].contains(&profile);
        let refused = ImportRefused::BackupFlags(profile.to_owned());
        assert_eq!(flagged, if is_old { Err(refused) } else { Ok(()) }, "{profile}");
    }
    // What keys without hmac-secret export has none of its secrets.
    let mut key = Driver::of(built_in("u2f-only"));
    import(&mut key, source(b"f")).unwrap();
    let exported = key.authenticator.export(b"f", None).unwrap();
    import(&mut Driver::of(built_in("u2f-only")), exported).unwrap();
}

#[test]
fn an_id_that_no_request_brings_to_the_key_is_refused() {
    // A key handle's length is one byte (FIDO U2F Raw Message Formats §5.1).
    let mut u2f = Driver::of(built_in("u2f-only"));
    import(&mut u2f, source(&[1; 255])).unwrap();
    assert_eq!(import(&mut u2f, source(&[1; 256])), Err(ImportRefused::Id { length: 256, longest: 255 }));
    // maxMsgSize of ctap-2.0 is 1024, and it announces no longest id. The largest request that fits reaches it whole.
    let id = |length| vec![1_u8; length];
    let request = |length| Parameters::allow(SITE, &[&id(length)]).get().len();
    let longest = (1..1024).rev().find(|length| request(*length) <= 1024).unwrap();
    let mut key = Driver::of(built_in("ctap-2.0"));
    import(&mut key, source(&id(longest))).unwrap();
    asserted(&mut key, &Parameters::allow(SITE, &[&id(longest)]));
    assert_eq!(import(&mut key, source(&id(longest + 1))), Err(ImportRefused::Request { length: 1025, longest: 1024 }));
    // A discoverable credential is found without a list.
    import(&mut key, discoverable(&id(longest + 1), "alice")).unwrap();
    asserted(&mut key, &Parameters::get_assertion(SITE));
}

#[test]
fn an_empty_user_handle_beside_another_account_is_imported_only_where_the_key_tells_it() {
    let refused = || Err(ImportRefused::EmptyUserId(SITE.to_owned()));
    let mut key = Driver::new();
    import(&mut key, discoverable(b"alone", "")).unwrap();
    assert_eq!(import(&mut key, discoverable(b"second", "bob")), refused());
    let mut key = Driver::new();
    import(&mut key, discoverable(b"bob's", "bob")).unwrap();
    assert_eq!(import(&mut key, discoverable(b"nobody's", "")), refused());
    let elsewhere = CredentialSource { relying_party_id: "example.org".to_owned(), ..discoverable(b"nobody's", "") };
    import(&mut key, elsewhere).unwrap();
    // Recorded of a Solo 1: it tells an empty handle.
    let mut solo = Driver::of(built_in("solo-1"));
    import(&mut solo, discoverable(b"bob's", "bob")).unwrap();
    import(&mut solo, discoverable(b"nobody's", "")).unwrap();
    let first = asserted(&mut solo, &Parameters::get_assertion(SITE));
    assert_eq!((first.number_of_credentials, first.user_id().unwrap()), (Some(2), Vec::new()));
}

/// CTAP 2.3 §6.1.2 names no longest RP ID, and step 9 no shortest user handle: what a key makes, another takes.
#[test]
fn whatever_a_key_makes_another_of_its_profile_imports() {
    for (profile, takes_empty) in [("keyrig", true), ("yubikey-5.7", false)] {
        let (mut key, mut other) = (Driver::of(built_in(profile)), Driver::seeded(built_in(profile), 9));
        let longest = "x".repeat(900);
        for (site, user) in [(longest.as_str(), "alice"), ("", "alice"), (SITE, "")] {
            let made = key.send(&Parameters::discoverable(site, user).create());
            if user.is_empty() && !takes_empty {
                assert_eq!(made, [status::INVALID_PARAMETER], "recorded of a Security Key");
                let empty = Some(User { id: Vec::new(), name: None, display_name: None });
                let refused = import(&mut other, CredentialSource { user: empty, ..source(b"b") });
                assert_eq!(refused, Err(ImportRefused::UserId { length: 0, shortest: 1 }));
            } else {
                assert_eq!(made[0], 0, "{profile}: {user:?} of {site:?}");
            }
        }
        let all = key.authenticator.export_all();
        assert_eq!(all.len(), 2 + usize::from(takes_empty));
        let act = other.authenticator.import(all.clone()).unwrap();
        commit(&mut other, act);
        assert_eq!(other.authenticator.export_all(), all);
    }
}

#[test]
fn of_several_credentials_all_are_imported_or_none() {
    let mut key = Driver::of(built_in("security-key-5.1"));
    import(&mut key, discoverable(b"alice's", "alice")).unwrap();
    let before = key.authenticator.store().clone();
    let good = || discoverable(b"bob's", "bob");
    for (list, refused) in [
        (vec![good(), source(b"alice's")], (1, ImportRefused::Exists)),
        (vec![good(), source(b"bob's")], (1, ImportRefused::Exists)),
        (vec![good(), source(b"c"), discoverable(b"d", "bob")], (2, ImportRefused::SameUser(SITE.to_owned()))),
        ((0..25_u8).map(|n| discoverable(&[n], &n.to_string())).collect(), (24, ImportRefused::Full)),
    ] {
        assert_eq!(key.authenticator.import(list).map(drop), Err(refused));
        assert_eq!(*key.authenticator.store(), before);
    }
    let act = key.authenticator.import(vec![good(), source(b"c"), discoverable(b"d", "dave")]).unwrap();
    commit(&mut key, act);
    assert_eq!(key.authenticator.store().discoverable_count(), 3);
    // The newest is the last of the list (CTAP 2.3 §6.2.2 step 12).
    assert_eq!(asserted(&mut key, &Parameters::get_assertion(SITE)).id, b"d");
}

#[test]
fn a_full_key_imports_no_more() {
    let mut key = Driver::of(built_in("security-key-5.1"));
    let room = u64::from(key.authenticator.profile().discoverable_credentials);
    for number in 0..room {
        import(&mut key, discoverable(&number.to_be_bytes(), &number.to_string())).unwrap();
    }
    assert_eq!(import(&mut key, discoverable(b"more", "more")), Err(ImportRefused::Full));
    for number in 0..1000_u64 {
        // Without looking at memory and disk each time.
        let act = key.authenticator.import(vec![source(&[&b"other"[..], &number.to_be_bytes()].concat())]).unwrap();
        act.committed(&mut key.authenticator);
    }
    let changes = key.authenticator.store().changes();
    key.disk.apply(&changes);
    assert_eq!(import(&mut key, source(b"more")), Err(ImportRefused::Full));
}

#[test]
fn an_export_is_what_another_key_imports_and_computes_the_same_with() {
    let mut key = Driver::new();
    let parameters = Parameters::discoverable(SITE, "alice")
        .with(6, map([("credBlob", sk_cbor::Value::byte_string(b"blob".to_vec())), ("largeBlobKey", boolean(true))]));
    let created = key.create(&parameters);
    let in_its_id = key.create(&Parameters::make_credential(SITE, "guest"));
    assert_eq!(key.authenticator.export_all().len(), 1, "what lives in its id is stored nowhere");
    assert_eq!(key.authenticator.export(&in_its_id.id, None), None);
    assert_eq!(key.authenticator.export(&in_its_id.id, Some("example.org")), None);
    let exported = [
        key.authenticator.export(&created.id, None).unwrap(),
        key.authenticator.export(&in_its_id.id, Some(SITE)).unwrap(),
    ];
    assert_eq!(exported[0].counter, Some(key.authenticator.store().counter()));

    let mut other = Driver::seeded(built_in("keyrig"), 9);
    for source in exported.clone() {
        import(&mut other, source).unwrap();
    }
    assert_eq!(other.authenticator.export(&created.id, None).unwrap(), exported[0]);
    for created in [&created, &in_its_id] {
        other.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
    }
    // The large-blob key and the blob came along.
    let wanted = map([("credBlob", boolean(true)), ("largeBlobKey", boolean(true))]);
    let assertion = other.assertion(&Parameters::allow(SITE, &[&created.id]).with(4, wanted), &created.public_key);
    assert_eq!(assertion.large_blob_key, created.large_blob_key);
    assert_eq!(assertion.data.extension("credBlob").unwrap(), sk_cbor::Value::byte_string(b"blob".to_vec()));
}

#[test]
fn an_act_that_is_dropped_has_not_happened() {
    let mut key = Driver::new();
    let before = key.authenticator.store().clone();
    drop(key.authenticator.import(vec![source(b"dropped")]).unwrap());
    drop(key.authenticator.erase());
    drop(key.authenticator.set_pin(PIN).unwrap());
    assert_eq!(*key.authenticator.store(), before);
}

#[test]
fn an_owner_s_pin_is_what_a_platform_makes_of_the_same_keys() {
    // CTAP 2.3 §6.5.1: in Normalization Form C, and without a zero at its end, as it comes padded with them.
    let mut key = Driver::new();
    for unusable in ["1234\0", "123\0", "\0\0\0\0"] {
        assert!(matches!(key.authenticator.set_pin(unusable), Err(PinRefused::Policy { .. })), "{unusable:?}");
    }
    let (composed, decomposed) = ("\u{e9}\u{e9}\u{e9}\u{e9}", "e\u{301}e\u{301}e\u{301}e\u{301}");
    let act = key.authenticator.set_pin(decomposed).unwrap();
    commit(&mut key, act);
    assert!(key.token(2, composed, permission::GA, Some(SITE)).is_ok());
    let act = key.authenticator.change_pin(decomposed, "2468").unwrap();
    assert_eq!(commit(&mut key, act), Ok(()));
    assert!(key.token(2, "2468", permission::GA, Some(SITE)).is_ok());
}

#[test]
fn an_erased_key_is_as_after_a_reset_but_its_counter_goes_on() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    key.create(&Parameters::discoverable(SITE, "alice").created_by(&token));
    import(&mut key, source(b"imported")).unwrap();
    let counter = key.authenticator.store().counter();
    let step = key.start(&[0x0B]);
    let act = key.authenticator.erase();
    assert!(act.replaces_all());
    commit(&mut key, act);
    assert_eq!(key.drive(step), Some(vec![status::OTHER]), "what was pending belonged to the key before");
    assert_eq!(key.authenticator.store().credentials().count(), 0);
    assert_eq!(key.authenticator.store().counter(), counter);
    assert_eq!(key.status(&Parameters::allow(SITE, &[b"imported"]).get()), status::NO_CREDENTIALS);
    key.create(&Parameters::discoverable(SITE, "bob"));
}

#[test]
fn a_restored_key_is_as_it_was_and_its_counters_go_back() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    import(&mut key, discoverable(b"alice's", "alice")).unwrap();
    import(
        &mut key,
        CredentialSource {
            cred_random: Some(CredRandom { with_uv: [1; 32], without_uv: [2; 32] }),
            large_blob_key: Some([3; 32]),
            ..source(b"bob's")
        },
    )
    .unwrap();
    let kept = key.authenticator.store().clone();
    let allow = Parameters::allow(SITE, &[b"bob's"]);
    assert_eq!(asserted(&mut key, &allow).data.counter, 42);
    let act = key.authenticator.erase();
    commit(&mut key, act);
    let act = key.authenticator.restore(&kept).unwrap();
    commit(&mut key, act);
    assert_eq!(*key.authenticator.store(), kept);
    assert_eq!(asserted(&mut key, &allow).data.counter, 42, "a clone would say the same");
    key.token(2, PIN, permission::CM, None).unwrap();
}

/// A store with other records than it had.
fn altered(store: &Store, alter: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) -> Store {
    let mut records = Records::default();
    records.apply(&store.changes());
    let mut records = records.as_map().clone();
    alter(&mut records);
    Store::load(records).unwrap()
}

#[test]
fn a_key_becomes_nothing_that_no_key_of_its_profile_is() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    import(&mut key, discoverable(b"alice's", "alice")).unwrap();
    let kept = key.authenticator.store().clone();
    let with = |name: &str, value: &[u8]| {
        altered(&kept, |records| drop(records.insert(name.as_bytes().to_vec(), value.to_vec())))
    };
    // Copied under another id, with another relying party, user and count if it is discoverable.
    let credential = |id: &[u8], replaced: &[(&str, &str)]| {
        altered(&kept, |records| {
            let mut value = hex::encode(&records[&b"credential/alice's"[..]]);
            for (old, new) in replaced {
                assert!(value.contains(old), "{old} in {value}");
                value = value.replace(old, new);
            }
            records.insert([b"credential/", id].concat(), hex::decode(value).unwrap());
        })
    };
    let of = |id: &str, refused| RestoreRefused::Credential { id: id.to_owned(), refused };
    let (bob, carol) = (("45616c696365", "43626f62"), ("45616c696365", "456361726f6c"));
    let second = ("a30101", "a30102");
    let mut wrong = vec![
        // CTAP 2.3 §6.5.2.2: at most 8.
        (with("pin retries", &[255]), RestoreRefused::PinRetries(255)),
        (with("pin retries", &[9]), RestoreRefused::PinRetries(9)),
        // §6.5.1: 4 code points at least, 63 bytes at most.
        (with("pin", &[&[3][..], &[0; 16]].concat()), RestoreRefused::PinLength { length: 3, longest: 63 }),
        (with("pin", &[&[64][..], &[0; 16]].concat()), RestoreRefused::PinLength { length: 64, longest: 63 }),
        // maxCredentialIdLength of keyrig: 128 bytes.
        (
            credential(&[7; 60_000], &[bob, second]),
            of("0707070707070707…", ImportRefused::Id { length: 60_000, longest: 128 }),
        ),
        (credential(b"", &[bob, second]), of("", ImportRefused::Id { length: 0, longest: 128 })),
        (credential(b"bob's", &[second]), of("626f622773", ImportRefused::SameUser(SITE.to_owned()))),
        (credential(b"bob's", &[bob]), RestoreRefused::Creation { id: "626f622773".to_owned() }),
        (
            credential(b"bob's", &[carol, ("a30101", "a3011bffffffffffffffff")]),
            RestoreRefused::Creation { id: "626f622773".to_owned() },
        ),
        (with("large blobs", &[0x80; 17]), RestoreRefused::LargeBlobs(LargeBlobsRefused::Hash)),
        (
            with("large blobs", &[0; 4097]),
            RestoreRefused::LargeBlobs(LargeBlobsRefused::TooLong { length: 4097, room: 4096 }),
        ),
    ];
    let configuration = |member: i64, value: sk_cbor::Value| {
        let mut members =
            BTreeMap::from([(3, boolean(false)), (4, array([])), (5, boolean(false)), (6, boolean(false))]);
        members.insert(member, value);
        let members = members.into_iter().map(|(member, value)| (int(member), value)).collect();
        with("configuration", &encode(sk_cbor::Value::map(members)))
    };
    for (name, member, value) in [
        ("minPINLength", 2, int(3)),
        ("minPINLength", 2, int(64)),
        // getInfo of keyrig: maxRPIDsForSetMinPINLength 8, maxMsgSize 1280.
        ("minPinLengthRPIDs", 4, array((0..9).map(|_| text(SITE)))),
        ("minPinLengthRPIDs", 4, array([text(&"x".repeat(1281))])),
    ] {
        wrong.push((configuration(member, value), RestoreRefused::Configuration(name)));
    }
    let without_pin = altered(&configuration(3, boolean(true)), |records| drop(records.remove(&b"pin"[..])));
    wrong.push((without_pin, RestoreRefused::Configuration("forcePINChange")));
    for (store, refused) in wrong {
        assert_eq!(key.authenticator.restore(&store).map(drop), Err(refused));
    }
    let act = key.authenticator.restore(&credential(b"bob's", &[bob, second])).unwrap();
    commit(&mut key, act);
    assert_eq!(key.authenticator.store().discoverable_count(), 2);
    // A key of CTAP 2.0 has no authenticatorConfig, and a U2F key no PIN.
    let mut old = Driver::of(built_in("ctap-2.0"));
    for (name, member) in [("alwaysUv", 1), ("pinComplexityPolicy", 5), ("longTouchForReset", 6)] {
        let store = configuration(member, boolean(true));
        assert_eq!(old.authenticator.restore(&store).map(drop), Err(RestoreRefused::Configuration(name)));
    }
    let mut u2f = Driver::of(built_in("u2f-only"));
    let refused = u2f.authenticator.restore(&kept).map(drop);
    assert_eq!(refused, Err(RestoreRefused::NoPins("u2f-only".to_owned())));
}

#[test]
fn a_pin_is_set_and_changed_as_a_platform_would_and_a_wrong_one_costs_a_try() {
    let mut key = Driver::new();
    let state = |key: &Driver| key.authenticator.pin_state().unwrap();
    assert!(!state(&key).set);
    assert!(matches!(key.authenticator.set_pin("123"), Err(PinRefused::Policy { minimum: 4, complexity: false })));
    assert!(matches!(key.authenticator.change_pin(PIN, "2468"), Err(PinRefused::NotSet)));
    let act = key.authenticator.set_pin(PIN).unwrap();
    commit(&mut key, act);
    key.token(2, PIN, permission::CM, None).unwrap();
    assert_eq!(key.authenticator.set_pin(PIN).unwrap().changes(), [], "it is set already");
    assert!(matches!(key.authenticator.set_pin("2468"), Err(PinRefused::AlreadySet)));
    for left in [7, 6, 5] {
        let act = key.authenticator.change_pin("0000", "2468").unwrap();
        assert_eq!(commit(&mut key, act), Err(PinRefused::Wrong { left }));
        assert_eq!(key.pin_retries().0, u64::from(left));
    }
    assert!(matches!(key.authenticator.change_pin(PIN, "2468"), Err(PinRefused::PowerCycleNeeded)));
    key.power_up();
    let act = key.authenticator.change_pin(PIN, "2468").unwrap();
    assert_eq!(commit(&mut key, act), Ok(()));
    assert_eq!(key.pin_retries().0, 8);
    key.token(2, "2468", permission::CM, None).unwrap();
    assert_eq!(Driver::of(built_in("u2f-only")).authenticator.pin_state(), None);
}

#[test]
fn large_blobs_are_written_whole_and_read_back_over_ctap() {
    let mut key = Driver::new();
    let array = large_blobs::array(50);
    let act = key.authenticator.write_large_blobs(array.clone()).unwrap();
    commit(&mut key, act);
    let read = Parameters(BTreeMap::from([(1, int(200)), (3, int(0))]));
    assert_eq!(body(&key.send(&read.message(0x0C)))[&1], sk_cbor::Value::byte_string(array.clone()));
    let mut damaged = array;
    damaged[0] ^= 1;
    assert!(matches!(key.authenticator.write_large_blobs(damaged), Err(LargeBlobsRefused::Hash)));
    let refused = key.authenticator.write_large_blobs(large_blobs::array(5000));
    assert!(matches!(refused, Err(LargeBlobsRefused::TooLong { length: 5000, room: 4096 })));
    let old = Driver::of(built_in("ctap-2.0"));
    assert!(matches!(old.authenticator.large_blobs(), Err(LargeBlobsRefused::NotSupported)));
    assert_eq!(key.status(&[GET_INFO]), status::OK);
}

#[test]
fn what_is_deleted_while_the_user_is_waited_for_logs_in_no_more() {
    let mut key = Driver::new();
    import(&mut key, source(b"deleted")).unwrap();
    let step = key.start(&Parameters::allow(SITE, &[b"deleted"]).get());
    let act = key.authenticator.delete(b"deleted").unwrap();
    commit(&mut key, act);
    assert_eq!(key.drive(step), Some(vec![status::NO_CREDENTIALS]));
    assert!(key.authenticator.delete(b"deleted").is_none());
}
