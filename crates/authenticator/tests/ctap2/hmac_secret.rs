//! hmac-secret and hmac-secret-mc (CTAP 2.3 §12.7, §12.8).

use std::collections::BTreeMap;

use sk_cbor::Value;

use crate::support::codec::{
    Assertion, Created, GET_NEXT_ASSERTION, Parameters, boolean, bytes, int, map, status, text,
};
use crate::support::platform::{Platform, permission};
use crate::support::{Driver, built_in};

const PIN: &str = "1234";
const SITE: &str = "example.com";
const SALT: [u8; 32] = [0x11; 32];
const OTHER_SALT: [u8; 32] = [0x22; 32];

fn numbered(members: BTreeMap<i64, Value>) -> Value {
    Value::map(members.into_iter().map(|(number, value)| (int(number), value)).collect())
}

fn with_pin() -> Driver {
    let mut key = Driver::new();
    key.set_pin(PIN);
    key
}

fn make(key: &mut Driver, user: &str, rk: bool) -> Created {
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let request = Parameters::make_credential(SITE, user)
        .with(6, map([("hmac-secret", boolean(true))]))
        .with(7, map([("rk", boolean(rk))]));
    let created = key.create(&request.created_by(&token));
    assert_eq!(created.data.extension("hmac-secret"), Some(boolean(true)));
    created
}

/// The outputs of getAssertion for salts, decrypted.
fn outputs(key: &mut Driver, protocol: i64, created: &Created, salts: &[u8], verified: bool) -> Vec<u8> {
    let token = verified.then(|| key.token(2, PIN, permission::GA, Some(SITE)).unwrap());
    let platform = Platform::agree(key, protocol);
    let mut request =
        Parameters::allow(SITE, &[&created.id]).with(4, map([("hmac-secret", numbered(platform.salts(salts)))]));
    if let Some(token) = &token {
        request = request.got_by(token);
    }
    let asserted = key.assertion(&request, &created.public_key);
    platform.decrypt(&asserted.data.extension("hmac-secret").unwrap().extract_byte_string().unwrap())
}

#[test]
fn a_salt_gives_the_same_secret_again_under_either_protocol_and_after_a_restart() {
    for rk in [true, false] {
        let mut key = with_pin();
        let created = make(&mut key, "root", rk);
        let secret = outputs(&mut key, 1, &created, &SALT, false);
        assert_eq!(secret.len(), 32);
        assert_eq!(outputs(&mut key, 2, &created, &SALT, false), secret);
        let both = outputs(&mut key, 2, &created, &[SALT, OTHER_SALT].concat(), false);
        assert_eq!(both[..32], secret);
        assert_ne!(both[32..], secret);
        assert_eq!(outputs(&mut key, 1, &created, &OTHER_SALT, false), both[32..]);
        let mut key = key.restarted();
        assert_eq!(outputs(&mut key, 2, &created, &SALT, false), secret);
    }
}

/// `CredRandomWithUV` and `CredRandomWithoutUV`.
#[test]
fn a_verified_user_has_another_secret_and_so_has_every_credential() {
    let mut key = with_pin();
    let (one, two) = (make(&mut key, "one", true), make(&mut key, "two", false));
    let mut all = Vec::new();
    for created in [&one, &two] {
        for verified in [false, true] {
            all.push(outputs(&mut key, 2, created, &SALT, verified));
            assert_eq!(all.last(), Some(&outputs(&mut key, 2, created, &SALT, verified)));
        }
    }
    for (index, secret) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| other != secret));
    }
}

#[test]
fn every_credential_of_a_request_has_its_own_output() {
    let mut key = with_pin();
    let (older, newer) = (make(&mut key, "older", true), make(&mut key, "newer", true));
    let expected = [&newer, &older].map(|created| outputs(&mut key, 2, created, &SALT, false));
    let platform = Platform::agree(&mut key, 2);
    let request = Parameters::get_assertion(SITE).with(4, map([("hmac-secret", numbered(platform.salts(&SALT)))]));
    let first = Assertion::read(&key.send(&request.get()));
    let second = Assertion::read(&key.send(&[GET_NEXT_ASSERTION]));
    let found = [first, second].map(|asserted| {
        platform.decrypt(&asserted.data.extension("hmac-secret").unwrap().extract_byte_string().unwrap())
    });
    assert_eq!(found, expected);
}

/// Before CTAP 2.1 the member was not there, and protocol one the only one.
#[test]
fn an_input_without_a_protocol_is_of_protocol_one() {
    for profile in ["keyrig", "yubikey-5.4"] {
        let mut key = Driver::of(built_in(profile));
        let created =
            key.create(&Parameters::make_credential(SITE, "u").with(6, map([("hmac-secret", boolean(true))])));
        let platform = Platform::agree(&mut key, 1);
        let mut input = platform.salts(&SALT);
        input.remove(&4);
        let request = Parameters::allow(SITE, &[&created.id]).with(4, map([("hmac-secret", numbered(input))]));
        let asserted = key.assertion(&request, &created.public_key);
        let encrypted = asserted.data.extension("hmac-secret").unwrap().extract_byte_string().unwrap();
        assert_eq!(platform.decrypt(&encrypted).len(), 32, "{profile}");
    }
}

#[test]
fn an_input_that_is_wrong_has_the_status_of_what_is_wrong() {
    let mut key = Driver::new();
    let created = key.create(&Parameters::make_credential(SITE, "u"));
    for protocol in [1, 2] {
        let platform = Platform::agree(&mut key, protocol);
        let good = platform.salts(&SALT);
        let with = |number: i64, value: Value| {
            let mut input = good.clone();
            input.insert(number, value);
            input
        };
        let without = |number: i64| {
            let mut input = good.clone();
            input.remove(&number);
            input
        };
        let signature = good[&3].clone().extract_byte_string().unwrap();
        let mut altered = signature.clone();
        altered[0] ^= 1;
        for (what, input, expected) in [
            ("saltAuth altered", with(3, bytes(&altered)), status::PIN_AUTH_INVALID),
            ("saltAuth cut", with(3, bytes(&signature[1..])), status::PIN_AUTH_INVALID),
            ("saltEnc altered", with(2, bytes(&[7; 32])), status::PIN_AUTH_INVALID),
            ("a salt of 16 bytes", platform.salts(&[1; 16]), status::INVALID_PARAMETER),
            ("three salts", platform.salts(&[1; 96]), status::INVALID_PARAMETER),
            ("no salt", platform.salts(&[]), status::INVALID_PARAMETER),
            ("protocol 3", with(4, int(3)), status::INVALID_PARAMETER),
            ("no keyAgreement", without(1), status::MISSING_PARAMETER),
            ("no saltEnc", without(2), status::MISSING_PARAMETER),
            ("no saltAuth", without(3), status::MISSING_PARAMETER),
            ("saltEnc a text", with(2, text("x")), status::CBOR_UNEXPECTED_TYPE),
        ] {
            let request = Parameters::allow(SITE, &[&created.id]).with(4, map([("hmac-secret", numbered(input))]));
            assert_eq!(key.status(&request.get()), expected, "{what}, protocol {protocol}");
            assert_eq!(key.seen, [], "{what}: no touch is asked for");
        }
        let request = Parameters::allow(SITE, &[&created.id]).with(4, map([("hmac-secret", numbered(good.clone()))]));
        let silent = request.clone().with(5, map([("up", boolean(false))]));
        assert_eq!(key.status(&silent.get()), status::UNSUPPORTED_OPTION, "secrets are for a user who is there");
        let nobody = Parameters::get_assertion("example.org")
            .with(4, map([("hmac-secret", numbered(with(3, bytes(&altered))))]));
        assert_eq!(key.status(&nobody.get()), status::NO_CREDENTIALS, "that comes first");
        assert_eq!(key.status(&request.get()), status::OK);
    }
}

/// §12.8: at registration the output is what getAssertion gives later.
#[test]
fn a_secret_at_registration_is_that_of_logging_in() {
    for (protocol, rk, verified) in [(1, false, false), (2, false, false), (2, true, true), (1, true, true)] {
        let mut key = Driver::new();
        let token = verified.then(|| {
            key.set_pin(PIN);
            key.token(2, PIN, permission::MC, Some(SITE)).unwrap()
        });
        let platform = Platform::agree(&mut key, protocol);
        let salts = [SALT, OTHER_SALT].concat();
        let mut request = Parameters::make_credential(SITE, "u")
            .with(6, map([("hmac-secret", boolean(true)), ("hmac-secret-mc", numbered(platform.salts(&salts)))]))
            .with(7, map([("rk", boolean(rk))]));
        if let Some(token) = &token {
            request = request.created_by(token);
        }
        let created = key.create(&request);
        assert_eq!(created.data.extension("hmac-secret"), Some(boolean(true)));
        let encrypted = created.data.extension("hmac-secret-mc").unwrap().extract_byte_string().unwrap();
        assert_eq!(platform.decrypt(&encrypted), outputs(&mut key, 2, &created, &salts, verified));
    }
}

#[test]
fn hmac_secret_mc_needs_hmac_secret_and_is_judged_alike() {
    let mut key = Driver::new();
    let platform = Platform::agree(&mut key, 2);
    let good = platform.salts(&SALT);
    for inputs in [
        map([("hmac-secret-mc", numbered(good.clone()))]),
        map([("hmac-secret", boolean(false)), ("hmac-secret-mc", numbered(good.clone()))]),
    ] {
        let created = key.create(&Parameters::make_credential(SITE, "u").with(6, inputs));
        assert_eq!(created.data.extensions, None);
    }
    let mut bad = good;
    bad.insert(3, bytes(&[0; 32]));
    let inputs = map([("hmac-secret", boolean(true)), ("hmac-secret-mc", numbered(bad))]);
    assert_eq!(key.status(&Parameters::make_credential(SITE, "u").with(6, inputs).create()), status::PIN_AUTH_INVALID);
    // A key that does not have it ignores it.
    let mut key = Driver::of(built_in("yubikey-5.7"));
    let inputs = map([("hmac-secret", boolean(true)), ("hmac-secret-mc", int(1))]);
    let created = key.create(&Parameters::make_credential(SITE, "u").with(6, inputs));
    assert_eq!(created.data.extensions.unwrap().into_keys().collect::<Vec<_>>(), ["hmac-secret"]);
}
