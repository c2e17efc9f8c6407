//! authenticatorMakeCredential (CTAP 2.3 §6.1), but for the exclude list.

use sha2::{Digest, Sha256};

use crate::support::codec::{
    AT, Assertion, Created, EDDSA, ES256, ES384, ML_DSA_44, ML_DSA_65, ML_DSA_87, Parameters, UP, algorithms, array,
    boolean, bytes, cose, int, map, status, text,
};
use crate::support::{Driver, Event, altered, altered_from, built_in, profiles_that_want_a_touch};
use keyrig_authenticator::Reason;

const SITE: &str = "example.com";

fn request() -> Parameters {
    Parameters::make_credential(SITE, "root")
}

/// The statuses that a new key gives to each of the requests, which name themselves.
fn assert_statuses<'a>(cases: impl IntoIterator<Item = (&'a str, Parameters, u8)>) {
    for (name, parameters, expected) in cases {
        assert_eq!(Driver::new().status(&parameters.create()), expected, "{name}");
    }
}

#[test]
fn the_answer_is_a_packed_statement_over_data_with_up_and_at() {
    for name in profiles_that_want_a_touch() {
        for parameters in [request(), Parameters::discoverable(SITE, "root")] {
            let profile = built_in(name);
            let mut key = Driver::of(profile.clone());
            let created = key.create(&parameters);
            assert_eq!(created.members, [1, 2, 3], "no epAtt and no largeBlobKey");
            assert_eq!(created.data.rp_id_hash, Sha256::digest(SITE)[..]);
            assert_eq!(created.data.flags, UP | AT);
            let step = u32::from(profile.behaviour.counter_step);
            assert_eq!(created.data.counter, step);
            assert_eq!(created.data.attested.unwrap().aaguid, profile.aaguid.0);
            let behaviour = &profile.behaviour;
            let length = match behaviour.discoverable_id_length {
                Some(length) if parameters.0.contains_key(&7) => length.bytes(),
                _ => behaviour.credential_id_length.bytes(),
            };
            assert_eq!(created.id.len(), length, "{name}");
            assert_eq!(key.seen, [Event::Gesture(Reason::MakeCredential), Event::Commit]);
        }
    }
}

/// CTAP 2.3 §6.4 does not say that maxMsgSize is of requests alone. A Crescendo's metadata statement (FIDO MDS3 no. 291) has 510 bytes, and
/// basic_full attestation: its certificate goes beyond, as it has to at the original, and all else fits.
#[test]
fn an_answer_fits_the_maximum_message_size() {
    for name in profiles_that_want_a_touch() {
        let mut key = Driver::of(built_in(name));
        let answer = key.send(&Parameters::discoverable(SITE, "root").create());
        let certificates = Created::read(&answer).statement["x5c"].clone().extract_array().unwrap();
        let certificates = certificates.into_iter().map(|certificate| certificate.extract_byte_string().unwrap().len());
        let beyond = if name == "crescendo" { certificates.sum() } else { 0 };
        let longest = usize::from(built_in(name).max_msg_size) + beyond;
        assert!(answer.len() <= longest, "{name}: {}", answer.len());
    }
}

/// CTAPHID carries 7609 bytes (CTAP 2.3 §11.2.4): the largest answers of the largest algorithm, with ids as long as WebAuthn has them (Level
/// 3 §6.5.1), names as long as they are kept, and both certificates.
#[test]
fn the_largest_answers_fit_a_message() {
    let from = r#"known = "decided", from = "the longest""#;
    let longest = format!(
        "[behaviour]\ncredential_id_length = {{ is = 1023, {from} }}\ndiscoverable_id_length = {{ is = 1023, {from} }}\n\
         attestation_sends_root = {{ is = true, {from} }}\nnames_without_uv = {{ is = true, {from} }}\n\
         extra_extension = {{ is = true, {from} }}"
    );
    let profile = altered_from(include_str!("../../profiles/keyrig-ml-dsa.toml"), &[("[behaviour]", longest.as_str())]);
    let mut key = Driver::of(profile);
    let user = map([("id", bytes(&[7; 64])), ("name", text(&"n".repeat(64))), ("displayName", text(&"d".repeat(64)))]);
    let extensions = map([
        ("credProtect", int(1)),
        ("hmac-secret", boolean(true)),
        ("largeBlobKey", boolean(true)),
        ("credBlob", bytes(&[7; 32])),
    ]);
    let parameters = Parameters::discoverable(SITE, "u").with(3, user).with(4, algorithms(&[ML_DSA_87]));
    let answer = key.send(&parameters.with(6, extensions).create());
    let created = Created::read(&answer);
    assert_eq!(created.id.len(), 1023);
    // The public key, the id, and all else.
    assert!((2592 + 1023 + 1000..=7609).contains(&answer.len()), "{}", answer.len());

    let wanted = map([("credBlob", boolean(true)), ("largeBlobKey", boolean(true))]);
    let answer = key.send(&Parameters::allow(SITE, &[&created.id]).with(4, wanted).get());
    assert_eq!(answer[0], status::OK);
    // FIPS 204 §4, table 2: a signature of 4627 bytes.
    assert!((4627 + 1023 + 200..=7609).contains(&answer.len()), "{}", answer.len());
}

#[test]
fn every_credential_has_its_own_id_and_key() {
    let mut key = Driver::new();
    let (one, other) = (key.create(&request()), key.create(&request()));
    assert_ne!(one.id, other.id);
    assert_ne!(one.public_key, other.public_key);
}

#[test]
fn the_first_supported_algorithm_in_the_order_offered_wins() {
    const RS256: i64 = -257;
    const UNKNOWN: i64 = -65_000;
    for (profile, offered, chosen) in [
        ("keyrig", &[ES256][..], ES256),
        ("keyrig", &[EDDSA], EDDSA),
        ("keyrig", &[ES384], ES384),
        ("keyrig", &[ES384, EDDSA, ES256], ES384),
        ("keyrig", &[ML_DSA_87, ML_DSA_65, ML_DSA_44, ES256], ES256),
        ("keyrig-ml-dsa", &[ML_DSA_44, ES256], ML_DSA_44),
        ("keyrig-ml-dsa", &[ML_DSA_65], ML_DSA_65),
        ("keyrig-ml-dsa", &[ML_DSA_87, ML_DSA_44], ML_DSA_87),
        ("keyrig-ml-dsa", &[ES256, ML_DSA_87], ES256),
        ("keyrig", &[EDDSA, ES256], EDDSA),
        ("keyrig", &[RS256, UNKNOWN, 7, ES256, EDDSA], ES256),
        ("yubikey-5.7", &[ES384, ES256], ES384),
        ("yubikey-5.4", &[ES384, EDDSA, ES256], EDDSA),
    ] {
        for rk in [false, true] {
            let parameters = request().with(4, algorithms(offered)).with(7, map([("rk", boolean(rk))]));
            let mut key = Driver::of(built_in(profile));
            let created = key.create(&parameters);
            assert_eq!(cose(&created.public_key, 3), int(chosen), "{profile} {offered:?}");
            key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
        }
    }
}

#[test]
fn parameters_of_another_type_are_passed_over() {
    let offered = array([
        map([("alg", int(ES256)), ("type", text("private-key"))]),
        map([("alg", int(EDDSA)), ("type", text("public-key"))]),
    ]);
    let created = Driver::new().create(&request().with(4, offered));
    assert_eq!(cose(&created.public_key, 3), int(EDDSA));
}

#[test]
fn without_a_supported_algorithm_the_request_is_refused_before_any_touch() {
    let unknown_type = array([map([("alg", int(ES256)), ("type", text("private-key"))])]);
    for (profile, offered) in [
        ("keyrig", algorithms(&[-257, -65_000])),
        ("keyrig", algorithms(&[])),
        ("keyrig", unknown_type),
        ("yubikey-5.4", algorithms(&[ES384])),
    ] {
        let mut key = Driver::of(built_in(profile));
        assert_eq!(key.status(&request().with(4, offered).create()), status::UNSUPPORTED_ALGORITHM);
        assert_eq!(key.seen, []);
    }
}

#[test]
fn every_member_that_must_be_there_is_missed() {
    assert_statuses([
        ("clientDataHash", request().without(1), status::MISSING_PARAMETER),
        ("rp", request().without(2), status::MISSING_PARAMETER),
        ("user", request().without(3), status::MISSING_PARAMETER),
        ("pubKeyCredParams", request().without(4), status::MISSING_PARAMETER),
        ("rp.id", request().with(2, map([("name", text("x"))])), status::MISSING_PARAMETER),
        ("user.id", request().with(3, map([("name", text("x"))])), status::MISSING_PARAMETER),
        ("alg", request().with(4, array([map([("type", text("public-key"))])])), status::MISSING_PARAMETER),
        ("type", request().with(4, array([map([("alg", int(ES256))])])), status::MISSING_PARAMETER),
        ("excludeList id", request().with(5, array([map([("type", text("public-key"))])])), status::MISSING_PARAMETER),
        ("excludeList type", request().with(5, array([map([("id", bytes(b"x"))])])), status::MISSING_PARAMETER),
    ]);
}

#[test]
fn every_member_of_the_wrong_type_is_an_unexpected_type() {
    let rp = |id, name| request().with(2, map([("id", id), ("name", name)]));
    let user = |id, name, display| request().with(3, map([("id", id), ("name", name), ("displayName", display)]));
    let parameters = |alg, kind| request().with(4, array([map([("alg", alg), ("type", kind)])]));
    let excluded = |id, kind, transports| {
        request().with(5, array([map([("id", id), ("type", kind), ("transports", transports)])]))
    };
    let option = |name, value| request().with(7, map([(name, value)]));
    let (word, data) = (|| text("public-key"), || bytes(b"id"));
    assert_statuses(
        [
            ("clientDataHash", request().with(1, text("text"))),
            ("rp", request().with(2, text(SITE))),
            ("rp.id", rp(data(), word())),
            ("rp.name", rp(word(), data())),
            ("user", request().with(3, array([]))),
            ("user.id", user(word(), word(), word())),
            ("user.name", user(data(), int(1), word())),
            ("user.displayName", user(data(), word(), boolean(true))),
            ("pubKeyCredParams", request().with(4, map([]))),
            ("pubKeyCredParams element", request().with(4, array([int(ES256)]))),
            ("alg", parameters(text("ES256"), word())),
            ("type", parameters(int(ES256), data())),
            ("excludeList", request().with(5, bytes(b"id"))),
            ("excludeList element", request().with(5, array([bytes(b"id")]))),
            ("excludeList id", excluded(word(), word(), array([]))),
            ("excludeList type", excluded(data(), data(), array([]))),
            ("excludeList transports", excluded(data(), word(), word())),
            ("excludeList transport", excluded(data(), word(), array([int(1)]))),
            ("extensions", request().with(6, array([]))),
            ("options", request().with(7, boolean(true))),
            ("rk", option("rk", int(1))),
            ("up", option("up", text("true"))),
            ("uv", option("uv", bytes(&[1]))),
            ("pinUvAuthParam", request().with(8, text("param"))),
            ("pinUvAuthProtocol", request().with(9, int(-1))),
            ("enterpriseAttestation", request().with(10, boolean(true))),
            ("attestationFormatsPreference", request().with(11, text("packed"))),
        ]
        .map(|(name, parameters)| (name, parameters, status::CBOR_UNEXPECTED_TYPE)),
    );
    assert_eq!(
        Driver::new().status(&[0x01, 0x80]),
        status::CBOR_UNEXPECTED_TYPE,
        "an array in place of the parameters"
    );
}

#[test]
fn a_client_data_hash_has_32_bytes() {
    for length in [0, 31, 33, 64] {
        let parameters = request().with(1, bytes(&vec![7; length]));
        assert_eq!(Driver::new().status(&parameters.create()), status::INVALID_LENGTH, "{length}");
    }
}

#[test]
fn unknown_members_are_ignored_everywhere() {
    let rp = map([("id", text(SITE)), ("icon", int(1))]);
    let user = map([("id", bytes(b"u")), ("icon", text("https://example.com/u.png")), ("zzz", array([]))]);
    let algorithm = array([map([("alg", int(ES256)), ("type", text("public-key")), ("zzz", int(1))])]);
    let parameters = request()
        .with(2, rp)
        .with(3, user)
        .with(4, algorithm)
        .with(7, map([("zzz", int(1)), ("plat", boolean(true))]))
        .with(12, text("?"))
        .with(99, map([]))
        .with(-1, array([]));
    Driver::new().create(&parameters);
}

/// An extension that the authenticator does not have is ignored: no output, and ED is clear.
#[test]
fn extensions_that_are_not_supported_have_no_output() {
    let parameters = request().with(6, map([("appid", text("x")), ("previewSign", boolean(true))]));
    let created = Driver::new().create(&parameters);
    assert_eq!(created.data.flags, UP | AT);
}

#[test]
fn messages_that_are_not_canonical_cbor_are_refused_whole() {
    let valid = request().create();
    let mut trailing = valid.clone();
    trailing.push(0);
    let indefinite = [&[0x01, 0xBF][..], &valid[2..], &[0xFF]].concat();
    let long_head = [&[0x01, 0xB8, 0x04][..], &valid[2..]].concat();
    for (name, message) in [
        ("trailing byte", trailing),
        ("no parameters", vec![0x01]),
        ("indefinite length", indefinite),
        ("length not minimal", long_head),
        ("cut short", valid[..valid.len() - 1].to_vec()),
        ("keys unsorted", vec![0x01, 0xA2, 0x02, 0xA0, 0x01, 0x40]),
        ("key twice", vec![0x01, 0xA2, 0x01, 0x40, 0x01, 0x40]),
        ("tag", vec![0x01, 0xC0, 0xA0]),
        ("too deep", vec![0x01, 0xA1, 0x18, 0x63, 0x81, 0x81, 0x81, 0x80]),
    ] {
        assert_eq!(Driver::new().status(&message), status::INVALID_CBOR, "{name}");
    }
}

#[test]
fn an_empty_message_and_unknown_commands_are_refused() {
    let mut key = Driver::new();
    assert_eq!(key.status(&[]), status::INVALID_LENGTH);
    for command in [0x00, 0x03, 0x05, 0x0E, 0x40, 0xBF, 0xFF] {
        assert_eq!(key.status(&[command]), status::INVALID_COMMAND, "0x{command:02X}");
        assert_eq!(key.status(&[command, 0xA0]), status::INVALID_COMMAND, "0x{command:02X}");
    }
}

#[test]
fn a_message_may_be_as_long_as_get_info_says_and_no_longer() {
    for (profile, size) in [("yubikey-5.4", 1200), ("yubikey-5.7", 1280), ("keyrig", 1280), ("crescendo", 510)] {
        let padded = |length| request().with(99, bytes(&vec![0; length])).create();
        let padding = size - (padded(256).len() - 256);
        let mut key = Driver::of(built_in(profile));
        assert_eq!(padded(padding).len(), size);
        assert_eq!(key.status(&padded(padding)), status::OK, "{profile}");
        assert_eq!(key.status(&padded(padding + 1)), status::REQUEST_TOO_LARGE, "{profile}");
    }
}

/// CTAP 2.3 §6.1.2 step 5.
#[test]
fn options_are_judged_as_step_5_says() {
    let without_rk = altered(&[("rk = true", "rk = false")]);
    for (profile, option, value, expected) in [
        (built_in("keyrig"), "up", true, status::OK),
        (built_in("keyrig"), "up", false, status::INVALID_OPTION),
        (built_in("keyrig"), "uv", true, status::INVALID_OPTION),
        (built_in("keyrig"), "uv", false, status::OK),
        (built_in("keyrig"), "rk", true, status::OK),
        (built_in("keyrig"), "rk", false, status::OK),
        (without_rk.clone(), "rk", true, status::UNSUPPORTED_OPTION),
        (without_rk, "rk", false, status::OK),
        (built_in("keyrig"), "unheard of", true, status::OK),
    ] {
        let mut key = Driver::of(profile);
        assert_eq!(
            key.status(&request().with(7, map([(option, boolean(value))])).create()),
            expected,
            "{option}={value}"
        );
        assert_eq!(key.seen.is_empty(), expected != status::OK, "refused before a touch is asked for");
    }
    assert_eq!(Driver::new().status(&request().with(7, map([])).create()), status::OK);
}

/// CTAP 2.3 §6.1.2 step 2.
#[test]
fn pin_uv_auth_param_needs_a_supported_protocol() {
    assert_statuses([
        ("without protocol", request().with(8, bytes(&[1; 16])), status::MISSING_PARAMETER),
        ("protocol 0", request().with(8, bytes(&[1; 16])).with(9, int(0)), status::INVALID_PARAMETER),
        ("protocol 3", request().with(8, bytes(&[1; 32])).with(9, int(3)), status::INVALID_PARAMETER),
        ("protocol alone", request().with(9, int(1)), status::OK),
    ]);
}

/// CTAP 2.3 §6.1.2 step 9: this authenticator is not enterprise attestation capable.
#[test]
fn enterprise_attestation_is_refused() {
    for value in [0, 1, 2, 3] {
        assert_eq!(
            Driver::new().status(&request().with(10, int(value)).create()),
            status::INVALID_PARAMETER,
            "{value}"
        );
    }
}

/// WebAuthn Level 3 §5.4.3: at most 64 bytes.
#[test]
fn a_user_handle_has_at_most_64_bytes() {
    for (length, expected) in [(1, status::OK), (64, status::OK), (65, status::INVALID_LENGTH)] {
        for rk in [false, true] {
            let parameters =
                request().with(3, map([("id", bytes(&vec![7; length]))])).with(7, map([("rk", boolean(rk))]));
            assert_eq!(Driver::new().status(&parameters.create()), expected, "{length} bytes, rk={rk}");
        }
    }
}

/// Recorded with a Security Key of firmware 5.1: CTAP1_ERR_INVALID_PARAMETER. CTAP says nothing of it, and WebAuthn has none.
#[test]
fn an_empty_user_handle_is_refused_by_keys_that_did_and_told_by_none() {
    for (name, expected) in [
        ("keyrig", status::OK),
        ("yubikey-5.7", status::INVALID_PARAMETER),
        ("yubikey-5.4", status::INVALID_PARAMETER),
        ("security-key-5.1", status::INVALID_PARAMETER),
        ("ctap-2.1", status::OK),
        ("ctap-2.0", status::OK),
    ] {
        let mut key = Driver::of(built_in(name));
        for rk in [false, true] {
            let user = map([("id", bytes(b"")), ("name", text("nobody"))]);
            let parameters = request().with(3, user).with(7, map([("rk", boolean(rk))]));
            assert_eq!(key.status(&parameters.create()), expected, "{name}, rk={rk}");
            assert_eq!(key.seen.is_empty(), expected != status::OK, "{name}: before a touch");
        }
        if expected == status::OK {
            let answer = key.send(&Parameters::get_assertion(SITE).get());
            assert_eq!(Assertion::read(&answer).user, None, "{name}: Windows 10 fails on an empty handle");
        }
    }
}

/// WebAuthn Level 3 §6.4.1: an authenticator keeps at least 64 bytes, and cuts between code points.
#[test]
fn names_are_kept_to_64_bytes() {
    let user = map([("id", bytes(b"u")), ("name", text(&"n".repeat(65))), ("displayName", text(&"€".repeat(22)))]);
    let mut key = Driver::new();
    key.create(&Parameters::discoverable(SITE, "u").with(3, user));
    let stored = key.authenticator.store().credentials().next().unwrap();
    let user = &stored.discoverable.as_ref().unwrap().user;
    assert_eq!(user.name, Some("n".repeat(64)));
    assert_eq!(user.display_name, Some("€".repeat(21)));
}

#[test]
fn only_discoverable_credentials_take_storage() {
    let mut key = Driver::new();
    key.create(&request());
    assert_eq!(key.authenticator.store().credentials().count(), 0);
    key.create(&Parameters::discoverable(SITE, "root"));
    assert_eq!(key.authenticator.store().credentials().count(), 1);
}

/// CTAP 2.3 §6.1.2 step 17.2: the same rp.id and account id overwrite.
#[test]
fn a_discoverable_credential_replaces_that_of_the_same_account() {
    let mut key = Driver::new();
    let old = key.create(&Parameters::discoverable(SITE, "root"));
    let other_user = key.create(&Parameters::discoverable(SITE, "guest"));
    let other_site = key.create(&Parameters::discoverable("example.org", "root"));
    let new = key.create(&Parameters::discoverable(SITE, "root"));
    assert_eq!(key.authenticator.store().discoverable_count(), 3);
    assert_eq!(key.status(&Parameters::allow(SITE, &[&old.id]).get()), status::NO_CREDENTIALS);
    for (site, created) in [(SITE, &other_user), ("example.org", &other_site), (SITE, &new)] {
        key.assertion(&Parameters::allow(site, &[&created.id]), &created.public_key);
    }
}

#[test]
fn a_non_discoverable_credential_replaces_nothing() {
    let mut key = Driver::new();
    let stored = key.create(&Parameters::discoverable(SITE, "root"));
    let first = key.create(&request());
    key.create(&request());
    for created in [stored, first] {
        key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
    }
}

#[test]
fn the_key_store_is_full_exactly_at_its_capacity() {
    let profile = altered(&[("discoverable_credentials = 1000", "discoverable_credentials = 2")]);
    let mut key = Driver::of(profile);
    for user in ["one", "two"] {
        key.create(&Parameters::discoverable(SITE, user));
    }
    assert_eq!(key.status(&Parameters::discoverable(SITE, "three").create()), status::KEY_STORE_FULL);
    assert_eq!(key.seen, [Event::Gesture(Reason::MakeCredential)], "after the touch, before any change");
    assert_eq!(key.status(&Parameters::discoverable("example.org", "one").create()), status::KEY_STORE_FULL);

    let replaced = key.create(&Parameters::discoverable(SITE, "two"));
    assert_eq!(key.authenticator.store().discoverable_count(), 2, "replacing needs no room");
    let free = key.create(&request());
    for created in [replaced, free] {
        key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
    }
}

/// An RP ID is compared byte by byte: no case folding, no trailing dot, no suffix matching (CTAP knows no domains).
#[test]
fn credentials_are_bound_to_the_exact_rp_id() {
    let mut key = Driver::new();
    let created = key.create(&Parameters::discoverable(SITE, "root"));
    for other in ["Example.com", "example.com.", "sub.example.com", "com", ""] {
        assert_eq!(key.status(&Parameters::allow(other, &[&created.id]).get()), status::NO_CREDENTIALS, "{other:?}");
        assert_eq!(key.status(&Parameters::get_assertion(other).get()), status::NO_CREDENTIALS, "{other:?}");
    }
    assert_eq!(key.assertion(&Parameters::get_assertion(SITE), &created.public_key).id, created.id);
}
