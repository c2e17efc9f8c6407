//! Security Key by Yubico 5.1 as a conformance tool of Google's recorded it: google/CTAP2-test-tool, `results/Security Key by
//! Yubico_.json` of 2020-11-12, made at commit 6b72e2b. Each test names the entry of the record that it holds, of those in which
//! the key does not do what the tool expects. What the tool expects and the key does is in the case tables.
//!
//! Not imitated: `delete_credential`, where a key that the tool had worn out answers CTAP1_ERR_OTHER to a new credential.

use core::time::Duration;
use std::collections::BTreeSet;

use sk_cbor::Value;

use crate::support::codec::{
    CLIENT_PIN, Created, GET_ASSERTION, MAKE_CREDENTIAL, Parameters, algorithms, array, boolean, bytes, descriptors,
    encode, int, map, status, text,
};
use crate::support::platform::{Platform, subcommand};
use crate::support::{Driver, Event, User, built_in};

const SITE: &str = "example.com";
const PIN: &str = "1234";

fn key() -> Driver {
    Driver::of(built_in("security-key-5.1"))
}

fn with_pin() -> Driver {
    let mut key = key();
    let request = Platform::agree(&mut key, 1).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&request), status::OK);
    key
}

/// A value of each type that the tool tries.
fn examples() -> [Value; 7] {
    [
        int(42),
        int(-42),
        bytes(&[0x42]),
        text("42"),
        array([int(42)]),
        Value::map(vec![(int(42), int(42))]),
        boolean(true),
    ]
}

/// What is answered where a member has another type than the good request has it, one after the other, and where the whole is
/// no map.
fn mistyped(key: &mut Driver, command: u8, good: &Parameters) -> BTreeSet<u8> {
    let kind = |value: &Value| encode(value.clone())[0] >> 5;
    let mut had = BTreeSet::new();
    for example in examples() {
        if kind(&example) != 5 {
            had.insert(key.status(&[vec![command], encode(example.clone())].concat()));
        }
        for (number, value) in &good.0 {
            let integers = kind(value) < 2 && kind(&example) < 2;
            if kind(value) != kind(&example) && !integers {
                had.insert(key.status(&good.clone().with(*number, example.clone()).message(command)));
                assert!(
                    !key.seen.iter().any(|event| matches!(event, Event::Gesture(_))),
                    "{command} {number}: no prompt"
                );
            }
        }
    }
    had
}

/// What is answered without a member, one after the other.
fn missing(key: &mut Driver, command: u8, good: &Parameters) -> Vec<(i64, u8)> {
    good.0.keys().map(|number| (*number, key.status(&good.clone().without(*number).message(command)))).collect()
}

/// A request of makeCredential with all members; its pinUvAuthParam is not empty, and no PIN is set.
fn full() -> Parameters {
    Parameters::make_credential(SITE, "John Doe")
        .with(5, descriptors(&[b""]))
        .with(6, Value::map(vec![]))
        .with(7, map([("rk", boolean(false)), ("uv", boolean(false))]))
        .with(8, bytes(&[7; 16]))
        .with(9, int(1))
}

/// `make_credential_bad_parameter_types`: CTAP2_ERR_PIN_NOT_SET, CTAP2_ERR_UNSUPPORTED_ALGORITHM and CTAP1_ERR_INVALID_PARAMETER
/// where CTAP2_ERR_CBOR_UNEXPECTED_TYPE is expected.
#[test]
fn make_credential_bad_parameter_types() {
    let had = mistyped(&mut key(), MAKE_CREDENTIAL, &full());
    assert_eq!(had, [status::INVALID_PARAMETER, status::UNSUPPORTED_ALGORITHM, status::PIN_NOT_SET].into());
}

/// `make_credential_missing_parameter`: without `user` (key 3) it is CTAP2_OK. Without the list of algorithms it is
/// CTAP2_ERR_UNSUPPORTED_ALGORITHM, as a comment in the tool says of "the Yubikey".
#[test]
fn make_credential_missing_parameter() {
    let had = missing(&mut key(), MAKE_CREDENTIAL, &Parameters::make_credential(SITE, "root"));
    let (missing, algorithm) = (status::MISSING_PARAMETER, status::UNSUPPORTED_ALGORITHM);
    assert_eq!(had, [(1, missing), (2, missing), (3, status::OK), (4, algorithm)]);
    let discoverable = Parameters::discoverable(SITE, "root").without(3);
    assert_eq!(key().status(&discoverable.create()), status::MISSING_PARAMETER, "whose would it be");
}

/// `make_credential_user_entity`: a user with an icon and no name is CTAP2_ERR_MISSING_PARAMETER, without a prompt.
#[test]
fn make_credential_user_entity() {
    let user = |fields: &[(&str, Value)]| {
        let fields = [&[("id", bytes(&[0x1D; 32]))], fields].concat();
        Value::map(fields.into_iter().map(|(name, value)| (text(name), value)).collect())
    };
    let request = |user| Parameters::make_credential(SITE, "").with(3, user);
    let mut key = key();
    key.create(&request(user(&[("name", text("Adam"))])));
    assert_eq!(key.status(&request(user(&[("icon", text("http://icon.png"))])).create()), status::MISSING_PARAMETER);
    assert_eq!(key.seen, []);
}

/// A credential descriptor with an array inside its transports.
fn nested(id: &[u8]) -> Value {
    let transports = array([array([text("usb")])]);
    array([map([("id", bytes(id)), ("type", text("public-key")), ("transports", transports)])])
}

/// `make_credential_exclude_list_depth`: CTAP2_OK after a prompt, for what nests too deep.
#[test]
fn make_credential_exclude_list_depth() {
    let mut key = key();
    key.create(&Parameters::make_credential(SITE, "root").with(5, nested(b"unknown")));
    // By the specification that is CTAP2_ERR_INVALID_CBOR (CTAP 2.3 §8), as other keys say.
    let request = Parameters::make_credential(SITE, "root").with(5, nested(b"unknown"));
    assert_eq!(Driver::of(built_in("ctap-2.0")).status(&request.create()), status::INVALID_CBOR);
}

/// `make_credential_pin_auth_protocol` and `get_assertion_pin_auth_protocol`: a protocol that is not supported is
/// CTAP1_ERR_INVALID_PARAMETER.
#[test]
fn pin_auth_protocol() {
    let mut key = key();
    let create = Parameters::make_credential(SITE, "root").with(8, bytes(&[7; 16])).with(9, int(123));
    assert_eq!(key.status(&create.create()), status::INVALID_PARAMETER);
    let get = Parameters::get_assertion(SITE).with(6, bytes(&[7; 16])).with(7, int(123));
    assert_eq!(key.status(&get.get()), status::INVALID_PARAMETER);
}

/// `make_credential_pin_auth_empty_with_pin` and `get_assertion_pin_auth_empty_with_pin`: CTAP2_ERR_PIN_AUTH_INVALID behind the
/// touch. `…_pin_auth_empty`, without a PIN: as expected, CTAP2_ERR_PIN_NOT_SET.
#[test]
fn pin_auth_empty() {
    for (mut key, expected) in [(key(), status::PIN_NOT_SET), (with_pin(), status::PIN_AUTH_INVALID)] {
        let create = Parameters::make_credential(SITE, "root").with(8, bytes(&[])).with(9, int(1));
        assert_eq!(key.status(&create.create()), expected);
        assert_eq!(key.seen.len(), 1, "behind a touch");
        let get = Parameters::get_assertion(SITE).with(6, bytes(&[])).with(7, int(1));
        assert_eq!(key.status(&get.get()), expected);
        assert_eq!(key.seen.len(), 1, "behind a touch");
    }
}

/// `make_credential_pin_auth_missing_parameter`: a protocol without a pinUvAuthParam is CTAP2_ERR_MISSING_PARAMETER while a PIN is
/// set, where CTAP2_ERR_PIN_REQUIRED is expected. getAssertion does as expected: it goes on without user verification.
#[test]
fn pin_auth_missing_parameter() {
    let mut key = key();
    let made = key.create(&Parameters::make_credential(SITE, "root"));
    let request = Platform::agree(&mut key, 1).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&request), status::OK);
    let create = Parameters::make_credential(SITE, "root");
    assert_eq!(key.status(&create.clone().with(9, int(1)).create()), status::MISSING_PARAMETER);
    assert_eq!(key.status(&create.clone().with(8, bytes(&[7; 16])).create()), status::MISSING_PARAMETER);
    assert_eq!(key.status(&create.create()), status::PUAT_REQUIRED);
    let get = Parameters::allow(SITE, &[&made.id]).with(7, int(1));
    assert_eq!(key.status(&get.get()), status::OK);
}

/// `make_credential_full_store`: no prompt where the store is full.
#[test]
fn make_credential_full_store() {
    let mut key = key();
    for user in 0..25 {
        key.create(&Parameters::discoverable(SITE, &user.to_string()));
    }
    assert_eq!(key.status(&Parameters::discoverable(SITE, "one more").create()), status::KEY_STORE_FULL);
    assert_eq!(key.seen, []);
    key.create(&Parameters::discoverable(SITE, "7"));
}

/// `make_credential_physical_presence` and `get_assertion_physical_presence`: CTAP2_ERR_ACTION_TIMEOUT where
/// CTAP2_ERR_USER_ACTION_TIMEOUT is expected.
#[test]
fn physical_presence() {
    let mut key = key();
    key.create(&Parameters::discoverable(SITE, "root"));
    key.user = User::StaysAway;
    assert_eq!(key.status(&Parameters::make_credential(SITE, "root").create()), status::ACTION_TIMEOUT);
    assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::ACTION_TIMEOUT);
}

/// `get_assertion_bad_parameter_types`: CTAP2_ERR_PIN_NOT_SET and CTAP1_ERR_INVALID_PARAMETER.
#[test]
fn get_assertion_bad_parameter_types() {
    let mut key = key();
    let made = key.create(&Parameters::make_credential(SITE, "root"));
    let good = Parameters::allow(SITE, &[&made.id])
        .with(4, Value::map(vec![]))
        .with(5, map([("up", boolean(false)), ("uv", boolean(false))]))
        .with(6, bytes(&[7; 16]))
        .with(7, int(1));
    let had = mistyped(&mut key, GET_ASSERTION, &good);
    assert_eq!(had, [status::INVALID_PARAMETER, status::PIN_NOT_SET].into());
}

/// `get_assertion_allow_list_depth`, `get_assertion_resident_key`, `get_assertion_non_resident_key`:
/// CTAP2_ERR_INVALID_CREDENTIAL, without a prompt.
#[test]
fn an_unknown_credential() {
    let mut key = key();
    let made = key.create(&Parameters::make_credential(SITE, "root"));
    for get in [
        Parameters::get_assertion(SITE),
        Parameters::get_assertion(SITE).with(3, nested(b"unknown")),
        Parameters::allow(SITE, &[&vec![0xFA; made.id.len()]]),
    ] {
        assert_eq!(key.status(&get.get()), status::INVALID_CREDENTIAL);
        assert_eq!(key.seen, []);
    }
    assert_eq!(key.status(&Parameters::get_assertion(SITE).with(3, nested(&made.id)).get()), status::OK);
}

/// `get_assertion_option_rk`: `rk` = false is CTAP2_OK, after a prompt.
#[test]
fn get_assertion_option_rk() {
    let mut key = key();
    let made = key.create(&Parameters::discoverable(SITE, "root"));
    key.assertion(&Parameters::get_assertion(SITE).with(5, map([("rk", boolean(false))])), &made.public_key);
}

/// `make_credential_option_uv_true`: as expected, it is ignored.
#[test]
fn make_credential_option_uv_true() {
    let uv = |parameters: Parameters| parameters.with(7, map([("uv", boolean(true))]));
    assert_eq!(key().status(&uv(Parameters::make_credential(SITE, "root")).create()), status::OK);
}

/// `get_assertion_empty_user_id`: such a credential cannot be made: CTAP1_ERR_INVALID_PARAMETER, without a prompt.
#[test]
fn get_assertion_empty_user_id() {
    let mut key = key();
    assert_eq!(key.status(&Parameters::discoverable(SITE, "").create()), status::INVALID_PARAMETER);
    assert_eq!(key.seen, []);
}

fn retries() -> Parameters {
    Parameters::client_pin(subcommand::GET_PIN_RETRIES).with(1, int(1))
}

/// `client_pin_get_pin_retries_…`: a member of another type is CTAP1_ERR_INVALID_PARAMETER or CTAP1_ERR_INVALID_COMMAND; without
/// the protocol it is CTAP2_ERR_PIN_NOT_SET, without the subcommand CTAP1_ERR_INVALID_COMMAND.
#[test]
fn client_pin_get_pin_retries() {
    let had = mistyped(&mut key(), CLIENT_PIN, &retries());
    assert_eq!(had, [status::INVALID_PARAMETER, status::INVALID_COMMAND].into());
    let had = missing(&mut key(), CLIENT_PIN, &retries());
    assert_eq!(had, [(1, status::PIN_NOT_SET), (2, status::INVALID_COMMAND)]);
}

/// `client_pin_get_key_agreement_…`: the same, and without the protocol as expected.
#[test]
fn client_pin_get_key_agreement() {
    let good = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(1));
    let had = mistyped(&mut key(), CLIENT_PIN, &good);
    assert_eq!(had, [status::INVALID_PARAMETER, status::INVALID_COMMAND].into());
    let had = missing(&mut key(), CLIENT_PIN, &good);
    assert_eq!(had, [(1, status::MISSING_PARAMETER), (2, status::INVALID_COMMAND)]);
}

/// A request with a key-agreement key and with members of no bytes, as the tool's are.
fn of_no_bytes(number: i64, members: &[i64]) -> Parameters {
    let platform = Platform::agree(&mut key(), 1);
    let request = Parameters::client_pin(number).with(1, int(1)).with(3, platform.key);
    members.iter().fold(request, |request, member| request.with(*member, bytes(&[])))
}

/// `client_pin_set_pin_…`, `client_pin_change_pin_…`: CTAP1_ERR_INVALID_PARAMETER and CTAP1_ERR_INVALID_LENGTH for other types;
/// CTAP1_ERR_INVALID_LENGTH without a member.
#[test]
fn client_pin_set_and_change_pin() {
    for good in [of_no_bytes(subcommand::SET_PIN, &[4, 5]), of_no_bytes(subcommand::CHANGE_PIN, &[4, 5, 6])] {
        let had = mistyped(&mut key(), CLIENT_PIN, &good);
        assert_eq!(had, [status::INVALID_PARAMETER, status::INVALID_LENGTH].into());
        let had: BTreeSet<u8> = missing(&mut key(), CLIENT_PIN, &good).into_iter().map(|(_, status)| status).collect();
        assert_eq!(had, [status::INVALID_LENGTH].into());
    }
}

/// `client_pin_get_pin_uv_auth_token_using_pin_…`: CTAP1_ERR_INVALID_PARAMETER alone for other types; for what is missing that or
/// what is expected.
#[test]
fn client_pin_get_pin_token() {
    let good = of_no_bytes(subcommand::GET_PIN_TOKEN, &[6]);
    assert_eq!(mistyped(&mut key(), CLIENT_PIN, &good), [status::INVALID_PARAMETER].into());
    let had: BTreeSet<u8> = missing(&mut key(), CLIENT_PIN, &good).into_iter().map(|(_, status)| status).collect();
    assert_eq!(had, [status::INVALID_PARAMETER, status::MISSING_PARAMETER].into());
}

/// `client_pin_requirements_set_pin`, `client_pin_requirements_change_pin`: a PIN of 64 bytes is accepted, one of 3 is not.
#[test]
fn client_pin_requirements() {
    let mut fresh = key();
    let platform = Platform::agree(&mut fresh, 1);
    assert_eq!(fresh.client_pin(&platform.set_pin(b"123")), status::PIN_POLICY_VIOLATION);
    assert_eq!(fresh.client_pin(&platform.set_pin(&[0x30; 64])), status::OK);
    assert!(fresh.pin_token(1, &"0".repeat(64)).is_ok());
    let mut changed = with_pin();
    let platform = Platform::agree(&mut changed, 1);
    assert_eq!(changed.client_pin(&platform.change_pin(PIN, &[0x30; 64])), status::OK);
}

/// `client_pin_block_pin_retries`: "GetKeyAgreement failed", and GetPinRetries is CTAP2_ERR_PIN_BLOCKED.
#[test]
fn client_pin_block_pin_retries() {
    let mut key = with_pin();
    for _ in 0..3 {
        for _ in 0..3 {
            let request = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(1));
            if key.client_pin(&request) == status::OK {
                let request = Platform::agree(&mut key, 1).get_pin_token("9999");
                assert_ne!(key.client_pin(&request), status::OK);
            }
        }
        key.power_up();
    }
    assert_eq!(key.client_pin(&retries()), status::PIN_BLOCKED);
    let request = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(1));
    assert_eq!(key.client_pin(&request), status::PIN_BLOCKED);
}

/// "All counters were strictly increasing, but not necessarily incremented by 1."
#[test]
fn signature_counter() {
    let mut key = key();
    let made = key.create(&Parameters::discoverable(SITE, "root"));
    let got = key.assertion(&Parameters::get_assertion(SITE), &made.public_key);
    assert!(got.data.counter > made.data.counter + 1);
}

/// Discoverable ids have 16 bytes, others 64 (Yubico/libfido2 issue 42); a reset is taken for 5 seconds, as its maker's manual says
/// of firmware before 5.5.4.
#[test]
fn ids_and_reset_window() {
    let mut key = key();
    assert_eq!(key.create(&Parameters::make_credential(SITE, "root")).id.len(), 64);
    assert_eq!(key.create(&Parameters::discoverable(SITE, "root")).id.len(), 16);
    key.power_up();
    key.wait(Duration::from_secs(6));
    assert_eq!(key.status(&[0x07]), status::NOT_ALLOWED);
}

/// Nobody's answer is longer than what it was made of: what is read leniently is still read as CBOR.
#[test]
fn what_is_no_cbor_stays_invalid() {
    for command in [MAKE_CREDENTIAL, GET_ASSERTION, CLIENT_PIN] {
        for nonsense in [&[][..], &[0xFF], &[0xA1, 0x01], &[0xBF, 0xFF], &[0x81; 100]] {
            let answer = key().send(&[&[command], nonsense].concat());
            assert_eq!(answer, [status::INVALID_CBOR], "{command} {nonsense:?}");
        }
    }
    let nobody = Parameters::make_credential(SITE, "root").without(3).with(4, algorithms(&[-7]));
    assert_eq!(Created::read(&key().send(&nobody.create())).id.len(), 64);
}
