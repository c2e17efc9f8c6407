//! credProtect, credBlob, minPinLength, pinComplexityPolicy and thirdPartyPayment (CTAP 2.3 §12).

use keyrig_authenticator::store::{Change, Configuration};
use sk_cbor::Value;

use crate::support::codec::{
    AT, Assertion, Created, ED, GET_INFO, GET_NEXT_ASSERTION, Parameters, UP, UV, array, body, boolean, bytes, int,
    map, status, text,
};
use crate::support::platform::permission;
use crate::support::{Driver, Event, altered, built_in, profiles_that_want_a_touch};

const PIN: &str = "1234";
const SITE: &str = "example.com";

fn with_pin() -> Driver {
    let mut key = Driver::new();
    key.set_pin(PIN);
    key
}

/// makeCredential with extensions, by a verified user.
fn make(key: &mut Driver, user: &str, rk: bool, extensions: Value) -> Created {
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let request = Parameters::make_credential(SITE, user).with(6, extensions).with(7, map([("rk", boolean(rk))]));
    key.create(&request.created_by(&token))
}

fn verified(key: &mut Driver, request: Parameters) -> Parameters {
    let token = key.token(2, PIN, permission::GA, Some(SITE)).unwrap();
    request.got_by(&token)
}

fn protected(key: &mut Driver, user: &str, rk: bool, level: i64) -> Created {
    make(key, user, rk, map([("credProtect", int(level))]))
}

/// §12.1: which level answers to what.
#[test]
fn a_protected_credential_answers_only_to_what_its_level_allows() {
    for rk in [true, false] {
        for level in 1..=3 {
            let mut key = with_pin();
            let created = protected(&mut key, "root", rk, level);
            assert_eq!(created.data.extension("credProtect"), Some(int(level)));
            assert_eq!(created.data.flags, UP | UV | AT | ED);
            let listed = || Parameters::allow(SITE, &[&created.id]);
            let silent = || listed().with(5, map([("up", boolean(false))]));
            let expected = |allowed: bool| if allowed { status::OK } else { status::NO_CREDENTIALS };
            let unlisted = key.status(&Parameters::get_assertion(SITE).get());
            assert_eq!(unlisted, expected(rk && level == 1), "unlisted, unverified, rk {rk}, level {level}");
            assert_eq!(key.status(&listed().get()), expected(level < 3), "listed, rk {rk}, level {level}");
            assert_eq!(key.status(&silent().get()), expected(level < 3), "pre-flight, rk {rk}, level {level}");
            let request = verified(&mut key, listed());
            assert_eq!(key.assertion(&request, &created.public_key).data.flags, UP | UV);
            let request = verified(&mut key, Parameters::get_assertion(SITE));
            assert_eq!(key.status(&request.get()), expected(rk), "unlisted, verified, rk {rk}, level {level}");
            // It is the same after a power cycle.
            let mut key = key.restarted();
            assert_eq!(key.status(&listed().get()), expected(level < 3), "restarted, rk {rk}, level {level}");
        }
    }
}

/// §6.1.2 step 12.
#[test]
fn what_wants_verification_is_excluded_only_for_a_verified_user() {
    for rk in [true, false] {
        for level in 1..=3 {
            let mut key = with_pin();
            let id = protected(&mut key, "root", rk, level).id;
            let request =
                Parameters::make_credential(SITE, "other").with(5, crate::support::codec::descriptors(&[&id]));
            let expected = if level == 3 { status::OK } else { status::CREDENTIAL_EXCLUDED };
            assert_eq!(key.status(&request.create()), expected, "rk {rk}, level {level}");
            let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
            let request = request.created_by(&token);
            assert_eq!(key.status(&request.create()), status::CREDENTIAL_EXCLUDED, "rk {rk}, level {level}");
            // Step 12 ends no permission.
            assert_eq!(key.status(&request.create()), status::CREDENTIAL_EXCLUDED);
        }
    }
}

#[test]
fn what_is_hidden_is_not_counted_and_the_next_shown_one_answers() {
    let mut key = with_pin();
    let open = protected(&mut key, "open", true, 1);
    let listed = protected(&mut key, "listed", true, 2);
    let closed = protected(&mut key, "closed", true, 3);
    let first = key.assertion(&Parameters::get_assertion(SITE), &open.public_key);
    assert_eq!((first.id, first.number_of_credentials), (open.id.clone(), None));
    assert_eq!(key.status(&[GET_NEXT_ASSERTION]), status::NOT_ALLOWED);
    let request = verified(&mut key, Parameters::get_assertion(SITE));
    let first = key.assertion(&request, &closed.public_key);
    assert_eq!((first.id, first.number_of_credentials), (closed.id.clone(), Some(3)));
    for expected in [&listed, &open] {
        assert_eq!(Assertion::read(&key.send(&[GET_NEXT_ASSERTION])).id, expected.id);
    }
    // In an allow list too.
    let both = Parameters::allow(SITE, &[&closed.id, &listed.id]);
    assert_eq!(key.assertion(&both, &listed.public_key).id, listed.id);
}

#[test]
fn a_level_that_is_none_is_an_invalid_option_and_another_type_has_its_status() {
    let request = |input| Parameters::make_credential(SITE, "u").with(6, map([("credProtect", input)]));
    let mut key = Driver::new();
    for level in [0, 4, 1000] {
        assert_eq!(key.status(&request(int(level)).create()), status::INVALID_OPTION);
    }
    for input in [text("1"), boolean(true), int(-1)] {
        assert_eq!(key.status(&request(input).create()), status::CBOR_UNEXPECTED_TYPE);
    }
    assert_eq!(key.seen, [], "no touch is asked for");
}

/// §12.2.
#[test]
fn a_blob_is_stored_with_a_discoverable_credential_if_it_fits() {
    for (rk, length, stored) in [(true, 0, true), (true, 32, true), (true, 33, false), (false, 1, false)] {
        let mut key = with_pin();
        let blob: Vec<u8> = (0..length).collect();
        let created = make(&mut key, "root", rk, map([("credBlob", bytes(&blob))]));
        assert_eq!(created.data.extension("credBlob"), Some(boolean(stored)), "{length} bytes, rk {rk}");
        let mut key = key.restarted();
        let get = || Parameters::allow(SITE, &[&created.id]).with(4, map([("credBlob", boolean(true))]));
        let expected = if stored { blob } else { Vec::new() };
        let asserted = key.assertion(&get(), &created.public_key);
        assert_eq!(asserted.data.extension("credBlob"), Some(bytes(&expected)));
        assert_eq!(asserted.data.flags, UP | ED);
        let silent = get().with(4, map([("credBlob", boolean(false))]));
        assert_eq!(key.assertion(&silent, &created.public_key).data.extensions, None);
    }
}

fn configured(configuration: Configuration) -> Driver {
    let mut key = Driver::new();
    key.disk.apply(&[Change::Configuration(configuration)]);
    key.restarted()
}

/// §12.5, §12.6.
#[test]
fn policies_are_told_to_relying_parties_that_were_named() {
    let inputs = || map([("minPinLength", boolean(true)), ("pinComplexityPolicy", boolean(true))]);
    let named = || Configuration { min_pin_length_rp_ids: vec![SITE.to_owned()], ..Configuration::default() };
    let outputs = |mut key: Driver, site: &str, inputs: Value| {
        let created = key.create(&Parameters::make_credential(site, "u").with(6, inputs));
        (created.data.extension("minPinLength"), created.data.extension("pinComplexityPolicy"))
    };
    assert_eq!(outputs(Driver::new(), SITE, inputs()), (None, None));
    assert_eq!(outputs(configured(named()), SITE, inputs()), (Some(int(4)), Some(boolean(false))));
    assert_eq!(outputs(configured(named()), "example.org", inputs()), (None, None));
    let strict = Configuration { min_pin_length: Some(8), pin_complexity_policy: true, ..named() };
    assert_eq!(outputs(configured(strict), SITE, inputs()), (Some(int(8)), Some(boolean(true))));
    let unasked = map([("minPinLength", boolean(false)), ("pinComplexityPolicy", boolean(false))]);
    assert_eq!(outputs(configured(named()), SITE, unasked), (None, None));
}

/// §12.9.
#[test]
fn a_credential_remembers_whether_it_is_for_third_party_payment() {
    for rk in [true, false] {
        for (input, expected) in [(Some(true), true), (Some(false), false), (None, false)] {
            let mut key = with_pin();
            let extensions = input.map_or(map([]), |input| map([("thirdPartyPayment", boolean(input))]));
            let created = make(&mut key, "root", rk, extensions);
            assert_eq!(created.data.extension("thirdPartyPayment"), None);
            let mut key = key.restarted();
            let get = Parameters::allow(SITE, &[&created.id]).with(4, map([("thirdPartyPayment", boolean(true))]));
            let asserted = key.assertion(&get, &created.public_key);
            assert_eq!(asserted.data.extension("thirdPartyPayment"), Some(boolean(expected)));
        }
    }
}

#[test]
fn extensions_that_a_key_does_not_have_are_ignored_whatever_is_said_of_them() {
    let mut key = Driver::of(built_in("yubikey-5.4"));
    let request = Parameters::make_credential(SITE, "u")
        .with(6, map([("credBlob", int(7)), ("minPinLength", text("x")), ("thirdPartyPayment", array([]))]));
    let created = key.create(&request);
    assert_eq!(created.data.flags, UP | AT);
    let get = Parameters::allow(SITE, &[&created.id]).with(4, map([("credBlob", int(7))]));
    assert_eq!(key.assertion(&get, &created.public_key).data.flags, UP);
}

#[test]
fn all_extensions_together_keep_their_outputs_in_canonical_order() {
    let mut key = with_pin();
    let created = make(
        &mut key,
        "root",
        true,
        map([
            ("credBlob", bytes(b"blob")),
            ("credProtect", int(2)),
            ("hmac-secret", boolean(true)),
            ("thirdPartyPayment", boolean(true)),
        ]),
    );
    // The reader takes canonical CBOR only.
    let outputs: Vec<_> = created.data.extensions.unwrap().into_keys().collect();
    assert_eq!(outputs, ["credBlob", "credProtect", "hmac-secret"]);
    assert_eq!(created.large_blob_key, None, "it was not asked for");
    let get = Parameters::allow(SITE, &[&created.id])
        .with(4, map([("credBlob", boolean(true)), ("thirdPartyPayment", boolean(true))]));
    let asserted = key.assertion(&get, &created.public_key);
    assert_eq!(asserted.data.extensions.unwrap().into_keys().collect::<Vec<_>>(), ["credBlob", "thirdPartyPayment"]);
    assert_eq!(asserted.large_blob_key, None);
}

#[test]
fn get_info_names_the_extensions_of_the_profile_and_each_works() {
    for name in profiles_that_want_a_touch() {
        let info = body(&Driver::of(built_in(name)).send(&[GET_INFO]));
        let Some(extensions) = info.get(&2) else { continue };
        for extension in extensions.clone().extract_array().unwrap() {
            let extension = extension.extract_text_string().unwrap();
            let input = match extension.as_str() {
                "credBlob" => bytes(b"blob"),
                "credProtect" => int(2),
                "hmac-secret" => boolean(true),
                // Told to those that were named alone, or as an answer to getAssertion, or inside another input.
                "minPinLength" | "pinComplexityPolicy" | "thirdPartyPayment" | "hmac-secret-mc" | "largeBlobKey" => {
                    continue;
                }
                other => panic!("an extension without a case: {other}"),
            };
            let mut key = Driver::of(built_in(name));
            let request = Parameters::discoverable(SITE, "u").with(6, map([(extension.as_str(), input)]));
            assert!(key.create(&request).data.extension(&extension).is_some(), "{name}: {extension}");
        }
    }
}

#[test]
fn a_credential_stays_as_it_was_made_when_another_replaces_one_of_the_same_user() {
    let mut key = with_pin();
    let first = protected(&mut key, "root", true, 3);
    let second = protected(&mut key, "root", true, 1);
    assert_eq!(key.seen.last(), Some(&Event::Commit));
    let request = verified(&mut key, Parameters::allow(SITE, &[&first.id]));
    assert_eq!(key.status(&request.get()), status::NO_CREDENTIALS);
    assert_eq!(key.assertion(&Parameters::get_assertion(SITE), &second.public_key).id, second.id);
}

/// CTAP 2.3 §6.1.2: what is preferred among what can be done.
#[test]
fn a_preference_for_none_is_followed_by_a_key_that_names_its_formats() {
    let request = |formats: &[&str]| {
        Parameters::make_credential(SITE, "u").with(11, array(formats.iter().map(|format| text(format))))
    };
    let format = |key: &mut Driver, formats: &[&str]| {
        let request = request(formats);
        let created = Created::read(&key.send(&request.create()));
        if created.format == "none" {
            assert_eq!(created.statement.len(), 0);
        }
        created.format
    };
    let mut key = Driver::new();
    for (formats, expected) in [
        (&["none"][..], "none"),
        (&["none", "packed"], "none"),
        (&["tpm", "none", "packed"], "none"),
        (&["packed", "none"], "packed"),
        (&["tpm"], "packed"),
        (&[], "packed"),
    ] {
        assert_eq!(format(&mut key, formats), expected, "{formats:?}");
    }
    // It does not know the parameter.
    assert_eq!(format(&mut Driver::of(built_in("yubikey-5.7")), &["none"]), "packed");
    assert_eq!(
        key.status(&Parameters::make_credential(SITE, "u").with(11, text("none")).create()),
        status::CBOR_UNEXPECTED_TYPE
    );
}

#[test]
fn a_profile_without_a_limit_stores_no_blob() {
    let mut key = Driver::of(altered(&[("max_cred_blob_length = 32\n", "")]));
    let request = Parameters::discoverable(SITE, "u").with(6, map([("credBlob", bytes(b"x"))]));
    assert_eq!(key.create(&request).data.extension("credBlob"), Some(boolean(false)));
}
