//! authenticatorGetInfo (CTAP 2.3 §6.4) of every profile, and that what it says is so.

use aes::cipher::{Array, BlockModeDecrypt, KeyIvInit};
use sk_cbor::Value;

use crate::credential_management::{of_credential, request as management, user, with_user};
use crate::support::codec::{
    EDDSA, ES256, ES384, GET_INFO, Parameters, RESET, algorithms, array, body, boolean, bytes, cose, int, map, status,
    text,
};
use crate::support::platform::{Platform, Token, hkdf, permission};
use crate::support::{Driver, Event, built_in, ctap2_profiles};

/// What a profile's getInfo has to be, by number.
fn expected(name: &str) -> Vec<(i64, Value)> {
    // CTAP 2.0 knows six members.
    let of_ctap_2_0 = match name {
        "security-key-5.1" => Some(("f8a011f38c0a4d15800617111f9edc7d", ["U2F_V2", "FIDO_2_0"], 1200)),
        "ctap-2.0" => Some(("6b657972696740008000000000000020", ["FIDO_2_0", "U2F_V2"], 1024)),
        _ => None,
    };
    if let Some((aaguid, versions, size)) = of_ctap_2_0 {
        let options = [("rk", true), ("up", true), ("plat", false), ("clientPin", false)];
        return vec![
            (0x01, array(versions.map(text))),
            (0x02, array([text("hmac-secret")])),
            (0x03, bytes(&hex::decode(aaguid).unwrap())),
            (0x04, map(options.map(|(name, value)| (name, boolean(value))))),
            (0x05, int(size)),
            (0x06, array([int(1)])),
        ];
    }
    let (aaguid, size, offered, firmware) = match name {
        "keyrig" => ("6b657972696740008000000000000001", 1280, &[ES256, EDDSA, ES384][..], 1),
        "ctap-2.1" => ("6b657972696740008000000000000021", 1280, &[ES256, EDDSA, ES384][..], 1),
        "yubikey-5.7" => ("a25342c03cdc44148e46f4807fca511c", 1280, &[ES256, EDDSA, ES384][..], 0x50701),
        "yubikey-5.4" => ("2fc0579f811347eab116bb5a8db9202a", 1200, &[ES256, EDDSA][..], 0x50403),
        other => panic!("a profile without a case: {other}"),
    };
    // In canonical order: by length, then by bytes (CTAP 2.3 §8).
    let options = [
        ("rk", true),
        ("up", true),
        ("plat", false),
        ("alwaysUv", false),
        ("credMgmt", true),
        ("authnrCfg", true),
        ("clientPin", false),
        ("largeBlobs", true),
        ("perCredMgmtRO", true),
        ("pinUvAuthToken", true),
        ("setMinPINLength", true),
        ("makeCredUvNotRqd", true),
        ("credentialMgmtPreview", true),
    ];
    let has = |option: &str| match name {
        "keyrig" => true,
        "yubikey-5.7" => option != "perCredMgmtRO",
        "ctap-2.1" => !["perCredMgmtRO", "credentialMgmtPreview"].contains(&option),
        _ => ["rk", "up", "plat", "clientPin", "credentialMgmtPreview"].contains(&option),
    };
    let options = options
        .into_iter()
        .filter(|(option, _)| has(option))
        .map(|(name, value)| (text(name), boolean(value)))
        .collect();
    let versions = match name {
        "keyrig" => &["FIDO_2_3", "FIDO_2_1", "FIDO_2_0", "U2F_V2"][..],
        "ctap-2.1" => &["FIDO_2_1", "FIDO_2_0", "U2F_V2"],
        "yubikey-5.7" => &["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
        _ => &["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"],
    };
    let mut members = vec![
        (0x01, array(versions.iter().map(|version| text(version)))),
        (0x03, bytes(&hex::decode(aaguid).unwrap())),
        (0x04, Value::map(options)),
        (0x05, int(size)),
        (0x06, array([int(2), int(1)])),
        (0x07, int(8)),
        (0x08, int(128)),
        (0x09, array([text("usb")])),
        (0x0A, algorithms(offered)),
        (0x0D, int(4)),
        (0x0E, int(firmware)),
    ];
    if name != "yubikey-5.4" {
        let rp_ids = if name == "keyrig" { 8 } else { 1 };
        members.extend([
            (0x0B, int(if name == "ctap-2.1" { 1024 } else { 4096 })),
            (0x0C, boolean(false)),
            (0x10, int(rp_ids)),
        ]);
    }
    let extensions = match name {
        "keyrig" => &[
            "credBlob",
            "credProtect",
            "hmac-secret",
            "hmac-secret-mc",
            "largeBlobKey",
            "minPinLength",
            "pinComplexityPolicy",
            "thirdPartyPayment",
        ][..],
        "ctap-2.1" => &["credBlob", "credProtect", "hmac-secret", "largeBlobKey", "minPinLength"],
        "yubikey-5.7" => &["credProtect", "hmac-secret", "largeBlobKey", "credBlob", "minPinLength"],
        _ => &["credProtect", "hmac-secret"],
    };
    members.push((0x02, array(extensions.iter().map(|extension| text(extension)))));
    if name != "yubikey-5.4" {
        members.push((0x0F, int(32)));
    }
    if name == "ctap-2.1" {
        members.push((0x14, int(50)));
    }
    if name == "keyrig" {
        members.extend([
            (0x14, int(1000)),
            (0x16, array([text("packed")])),
            (0x18, boolean(false)),
            (0x1A, array([text("usb")])),
            (0x1B, boolean(false)),
            (0x1D, int(63)),
            (0x1F, array([int(2), int(3), int(4)])),
        ]);
    }
    members.sort_by_key(|(number, _)| *number);
    members
}

#[test]
fn every_profile_says_what_it_is_and_no_more_than_works() {
    for name in ctap2_profiles() {
        let mut key = Driver::of(built_in(name));
        let mut members = body(&key.send(&[GET_INFO]));
        // Encrypted with a new initialization vector each time; seen in a recorded YubiKey 5.8.0 in factory state.
        for number in [0x19, 0x1E] {
            let length = members.remove(&number).map(|member| member.extract_byte_string().unwrap().len());
            assert_eq!(length, (name == "keyrig").then_some(32), "{name}: {number:#x}");
        }
        assert_eq!(members.into_iter().collect::<Vec<_>>(), expected(name), "{name}");
        assert_eq!(key.seen, [], "needs neither a touch nor the disk");
    }
}

#[test]
fn a_key_that_knows_u2f_alone_has_no_command_of_ctap2() {
    let mut key = Driver::of(built_in("u2f-only"));
    assert_eq!(built_in("u2f-only").capabilities(), 0x01, "WINK, and neither CBOR nor NMSG");
    for command in [0x01, 0x02, 0x04, 0x06, 0x07, 0x08, 0x0B] {
        assert_eq!(key.send(&[command]), [status::INVALID_COMMAND]);
    }
}

/// authenticatorSelection came with CTAP 2.1.
#[test]
fn a_key_of_ctap_2_0_is_not_selected() {
    let mut key = Driver::of(built_in("security-key-5.1"));
    assert_eq!(key.send(&[0x0B]), [status::INVALID_COMMAND]);
}

#[test]
fn parameters_of_get_info_are_of_no_consequence() {
    let mut key = Driver::of(built_in("yubikey-5.7"));
    let answer = key.send(&[GET_INFO]);
    assert_eq!(key.send(&[GET_INFO, 0xA0]), answer);
}

#[test]
fn every_algorithm_that_is_announced_makes_credentials() {
    for name in ctap2_profiles() {
        let mut key = Driver::of(built_in(name));
        let announced = body(&key.send(&[GET_INFO])).remove(&0x0A).map(|list| list.extract_array().unwrap());
        for parameters in announced.unwrap_or_default() {
            let request = Parameters::make_credential("example.com", "u").with(4, array([parameters.clone()]));
            let created = key.create(&request);
            let algorithm = parameters.extract_map().unwrap().remove(0).1;
            assert_eq!(cose(&created.public_key, 3), algorithm, "{name}");
        }
    }
}

#[test]
fn get_info_counts_what_still_fits_and_is_that_of_a_new_key_after_a_reset() {
    // Of those that count, this one has no members that are random.
    let mut key = Driver::of(built_in("ctap-2.1"));
    let new = key.send(&[GET_INFO]);
    key.create(&Parameters::make_credential("example.com", "u"));
    assert_eq!(key.send(&[GET_INFO]), new, "what lives in its id takes no room");
    key.create(&Parameters::discoverable("example.com", "u"));
    let mut counted = body(&new);
    counted.insert(0x14, int(49));
    assert_eq!(body(&key.send(&[GET_INFO])), counted);
    key.power_up();
    assert_eq!(key.status(&[0x07]), status::OK);
    assert_eq!(key.send(&[GET_INFO]), new);
}

/// A member that only the holder of the persistent token can read (§6.4): an initialization vector and a block under AES-128-CBC.
fn decrypted(key: &mut Driver, token: &Token, number: i64, label: &str) -> Vec<u8> {
    let member = body(&key.send(&[GET_INFO]))[&number].clone().extract_byte_string().unwrap();
    assert_eq!(member.len(), 32);
    let (iv, block) = member.split_at(16);
    let mut block = Array::try_from(block).unwrap();
    let secret = hkdf(&token.bytes, label);
    let mut decryptor = cbc::Decryptor::<aes::Aes128>::new(secret[..16].try_into().unwrap(), iv.try_into().unwrap());
    decryptor.decrypt_block(&mut block);
    block.to_vec()
}

/// encIdentifier and encCredStoreState (§6.4).
#[test]
fn who_has_the_persistent_token_recognizes_the_key_and_sees_that_credentials_changed() {
    const PIN: &str = "1357";
    const SITE: &str = "example.com";
    fn identifier(key: &mut Driver, token: &Token) -> Vec<u8> {
        decrypted(key, token, 0x19, "encIdentifier")
    }
    fn state(key: &mut Driver, token: &Token) -> Vec<u8> {
        decrypted(key, token, 0x1E, "encCredStoreState")
    }
    let mut key = Driver::new();
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::PCMR, None).unwrap();
    let (who, empty) = (identifier(&mut key, &token), state(&mut key, &token));
    assert_ne!(who, empty);
    assert_ne!(key.send(&[GET_INFO]), key.send(&[GET_INFO]), "who cannot read them cannot recognize the key by them");
    key.create(&Parameters::make_credential(SITE, "u"));
    assert_eq!(state(&mut key, &token), empty, "nothing was stored");
    let mc = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let created = key.create(&Parameters::discoverable(SITE, "u").created_by(&mc));
    let filled = state(&mut key, &token);
    assert_ne!(filled, empty);
    key.assertion(&Parameters::get_assertion(SITE), &created.public_key);
    let mut key = key.restarted();
    assert_eq!((identifier(&mut key, &token), state(&mut key, &token)), (who.clone(), filled));
    // Create and delete do not lead back: the state is another after every change.
    let mut seen = vec![empty, state(&mut key, &token)];
    let changes: [(u8, Value); 2] =
        [(0x07, with_user(&created.id, user("u", "renamed", "renamed"))), (0x06, of_credential(&created.id))];
    for (subcommand, parameters) in changes {
        let cm = key.token(2, PIN, permission::CM, None).unwrap();
        assert_eq!(key.status(&management(subcommand, Some(parameters), Some(&cm)).message(0x0A)), status::OK);
        let now = state(&mut key, &token);
        assert!(!seen.contains(&now), "{subcommand}");
        seen.push(now);
    }
    let change = Platform::agree(&mut key, 2).change_pin(PIN, b"2468");
    assert_eq!(key.client_pin(&change), status::OK);
    assert_ne!(identifier(&mut key, &token), who, "the token has ended with the PIN");
    let token = key.token(2, "2468", permission::PCMR, None).unwrap();
    assert_eq!((identifier(&mut key, &token), state(&mut key, &token)), (who.clone(), seen.pop().unwrap()));
    assert_eq!(key.status(&[RESET]), status::OK);
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::PCMR, None).unwrap();
    assert_ne!(identifier(&mut key, &token), who, "a reset makes another key of it");
}

/// A store from before encIdentifier and encCredStoreState had what they need from the start.
#[test]
fn a_store_of_an_earlier_version_gets_what_it_lacks_with_the_first_get_info() {
    let mut records = Driver::new().disk.as_map().clone();
    for name in ["persistent token", "credential store state"] {
        records.remove(name.as_bytes()).unwrap();
    }
    let mut key = Driver::on(records.clone().into(), built_in("keyrig"), 7);
    let info = body(&key.send(&[GET_INFO]));
    assert!(info.contains_key(&0x19) && info.contains_key(&0x1E));
    assert_eq!(key.seen, [Event::Commit]);
    let mut key = key.restarted();
    key.send(&[GET_INFO]);
    assert_eq!(key.seen, [], "once");
    let mut other = Driver::on(records.into(), built_in("yubikey-5.7"), 7);
    other.send(&[GET_INFO]);
    assert_eq!(other.seen, [], "a key without these members needs nothing");
}
