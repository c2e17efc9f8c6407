//! authenticatorConfig (CTAP 2.3 §6.11), and what other commands make of what it sets.

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_authenticator::Reason;
use sk_cbor::Value;

use crate::support::codec::{
    GET_INFO, Parameters, RESET, array, body, boolean, bytes, encode, fields, int, map, status, text,
};
use crate::support::platform::{Platform, Token, permission};
use crate::support::{Driver, Event, Fate, User, altered, built_in};

const CONFIG: u8 = 0x0D;

const ENABLE_ENTERPRISE_ATTESTATION: u8 = 0x01;
const TOGGLE_ALWAYS_UV: u8 = 0x02;
const SET_MIN_PIN_LENGTH: u8 = 0x03;
const ENABLE_LONG_TOUCH_FOR_RESET: u8 = 0x04;
const VENDOR_PROTOTYPE: u8 = 0xFF;

const PIN: &str = "1357";
const SITE: &str = "example.com";

/// A request; §6.11: 32×0xff || 0x0d || uint8(subCommand) || subCommandParams.
pub(crate) fn request(subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> Parameters {
    let mut message = [&[0xFF; 32][..], &[CONFIG, subcommand]].concat();
    let mut request = Parameters(BTreeMap::from([(1, int(subcommand.into()))]));
    if let Some(parameters) = parameters {
        message.extend(encode(parameters.clone()));
        request = request.with(2, parameters);
    }
    match token {
        Some(token) => request.with(3, int(token.protocol)).with(4, bytes(&token.authenticate(&message))),
        None => request,
    }
}

pub(crate) fn parameters<const N: usize>(entries: [(i64, Value); N]) -> Option<Value> {
    Some(Value::map(entries.into_iter().map(|(key, value)| (int(key), value)).collect()))
}

fn min_length(length: i64) -> Option<Value> {
    parameters([(1, int(length))])
}

impl Driver {
    fn configure(&mut self, subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> u8 {
        self.status(&request(subcommand, parameters, token).message(CONFIG))
    }

    fn acfg(&mut self) -> Token {
        self.token(2, PIN, permission::ACFG, None).unwrap()
    }

    /// Without encIdentifier and encCredStoreState, which are encrypted with other randomness each time.
    fn info(&mut self) -> BTreeMap<i64, Value> {
        let mut info = body(&self.send(&[GET_INFO]));
        info.retain(|number, _| ![0x19, 0x1E].contains(number));
        info
    }

    fn option(&mut self, name: &str) -> Option<Value> {
        fields(&self.info()[&4]).remove(name)
    }

    fn has_u2f(&mut self) -> bool {
        self.info()[&1].clone().extract_array().unwrap().contains(&text("U2F_V2"))
    }
}

fn with_pin() -> Driver {
    let mut key = Driver::new();
    key.set_pin(PIN);
    key
}

#[test]
fn a_key_without_a_pin_is_configured_by_anybody_and_one_with_a_pin_by_a_token_with_acfg() {
    for (subcommand, params) in
        [(TOGGLE_ALWAYS_UV, None), (SET_MIN_PIN_LENGTH, min_length(6)), (ENABLE_LONG_TOUCH_FOR_RESET, None)]
    {
        let mut key = Driver::new();
        assert_eq!(key.configure(subcommand, params.clone(), None), status::OK);
        assert_eq!(key.seen, [Event::Commit], "no touch");

        for protocol in [1, 2] {
            let mut key = with_pin();
            let before = key.disk.clone();
            let token = key.token(protocol, PIN, permission::ACFG, None).unwrap();
            let good = request(subcommand, params.clone(), Some(&token));
            assert_eq!(key.configure(subcommand, params.clone(), None), status::PUAT_REQUIRED);
            assert_eq!(key.status(&good.clone().without(3).message(CONFIG)), status::MISSING_PARAMETER);
            assert_eq!(key.status(&good.clone().with(3, int(3)).message(CONFIG)), status::INVALID_PARAMETER);
            assert_eq!(key.status(&good.clone().with(4, bytes(&[])).message(CONFIG)), status::PIN_AUTH_INVALID);
            let altered = parameters([(1, int(7))]).unwrap();
            assert_eq!(key.status(&good.clone().with(2, altered).message(CONFIG)), status::PIN_AUTH_INVALID);
            assert_eq!(key.disk, before);
            assert_eq!(key.status(&good.message(CONFIG)), status::OK);
            let wrong = key.token(protocol, PIN, permission::CM | permission::LBW, None);
            // A minimum length that the PIN does not have wants it changed first.
            if let Ok(wrong) = wrong {
                assert_eq!(key.configure(subcommand, params.clone(), Some(&wrong)), status::PIN_AUTH_INVALID);
            }
        }
    }
}

/// Step 2: what is not supported is an invalid parameter, whatever the token.
#[test]
fn a_subcommand_that_the_key_does_not_have_is_an_invalid_parameter() {
    let mut key = Driver::new();
    for subcommand in [0x00, ENABLE_ENTERPRISE_ATTESTATION, 0x05, VENDOR_PROTOTYPE] {
        assert_eq!(key.configure(subcommand, None, None), status::INVALID_PARAMETER);
    }
    assert_eq!(key.send(&[CONFIG, 0xA0]), [status::MISSING_PARAMETER]);
    assert_eq!(key.info()[&0x1F], array([int(2), int(3), int(4)]), "getInfo names those that it has");

    let mut yubikey = Driver::of(built_in("yubikey-5.7"));
    assert_eq!(yubikey.configure(ENABLE_LONG_TOUCH_FOR_RESET, None, None), status::INVALID_PARAMETER);
    assert_eq!(yubikey.configure(TOGGLE_ALWAYS_UV, None, None), status::OK);
    let mut key = Driver::of(altered(&[("alwaysUv = false", ""), ("setMinPINLength = true", "")]));
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, None), status::INVALID_PARAMETER);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(6), None), status::INVALID_PARAMETER);

    for profile in [built_in("yubikey-5.4"), altered(&[("authnrCfg = true", "")])] {
        let mut key = Driver::of(profile);
        assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, None), status::INVALID_COMMAND);
        assert_eq!(key.send(&[CONFIG]), [status::INVALID_COMMAND], "whatever follows");
    }
}

/// §7.2: alwaysUv is true, makeCredUvNotRqd false, U2F gone and disabled; both ceremonies want a token.
#[test]
fn always_uv_is_toggled_and_takes_what_cannot_verify_a_user() {
    let mut key = with_pin();
    let token = key.acfg();
    assert_eq!(key.option("alwaysUv"), Some(boolean(false)));
    assert_eq!(key.option("makeCredUvNotRqd"), Some(boolean(true)));
    assert!(key.has_u2f());
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, Some(&token)), status::OK);
    let mut key = key.restarted();
    assert_eq!(key.option("alwaysUv"), Some(boolean(true)));
    assert_eq!(key.option("makeCredUvNotRqd"), Some(boolean(false)));
    assert!(!key.has_u2f());
    let register = [&[0, 1, 0, 0, 0, 0, 64][..], &[7; 64], &[0, 0]].concat();
    assert_eq!(key.send_u2f(&register), [0x69, 0x86], "SW_COMMAND_NOT_ALLOWED");
    let create = Parameters::make_credential(SITE, "u");
    assert_eq!(key.status(&create.create()), status::PUAT_REQUIRED);
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let created = key.create(&create.created_by(&token));
    let get = Parameters::allow(SITE, &[&created.id]);
    assert_eq!(key.status(&get.get()), status::PUAT_REQUIRED);
    assert_eq!(
        key.status(&get.with(5, map([("up", boolean(false))])).get()),
        status::OK,
        "a pre-flight stays possible"
    );

    let token = key.acfg();
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, Some(&token)), status::OK);
    assert_eq!(key.option("alwaysUv"), Some(boolean(false)));
    assert!(key.has_u2f());
    assert_eq!(key.send_u2f(&register), [0x69, 0x85]);
}

#[test]
fn on_a_key_without_a_pin_always_uv_cannot_be_taken_back_before_there_is_one() {
    let mut key = Driver::new();
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, None), status::OK);
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, None), status::PUAT_REQUIRED);
    key.set_pin(PIN);
    let token = key.acfg();
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, Some(&token)), status::OK);
    assert_eq!(key.option("alwaysUv"), Some(boolean(false)));
}

#[test]
fn the_minimum_length_only_grows_and_a_pin_that_is_too_short_has_to_be_changed() {
    let mut key = Driver::new();
    for (length, expected) in [
        (3, status::PIN_POLICY_VIOLATION),
        (4, status::OK),
        (6, status::OK),
        (6, status::OK),
        (5, status::PIN_POLICY_VIOLATION),
        (64, status::PIN_POLICY_VIOLATION),
        (300, status::PIN_POLICY_VIOLATION),
        (i64::MAX, status::PIN_POLICY_VIOLATION),
    ] {
        assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(length), None), expected, "{length}");
    }
    assert_eq!((&key.info()[&0x0D], &key.info()[&0x0C]), (&int(6), &boolean(false)));
    let refused = Platform::agree(&mut key, 2).set_pin(b"12345");
    assert_eq!(key.client_pin(&refused), status::PIN_POLICY_VIOLATION);
    key.set_pin("246810");
    let token = key.token(2, "246810", permission::ACFG, None).unwrap();
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(6), Some(&token)), status::OK);
    assert_eq!(key.info()[&0x0C], boolean(false), "the PIN is long enough");
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(7), Some(&token)), status::OK);
    let mut key = key.restarted();
    assert_eq!((&key.info()[&0x0D], &key.info()[&0x0C]), (&int(7), &boolean(true)));
    assert_eq!(key.token(2, "246810", permission::ACFG, None), Err(status::PIN_POLICY_VIOLATION));
    let change = Platform::agree(&mut key, 2).change_pin("246810", b"2468101");
    assert_eq!(key.client_pin(&change), status::OK);
    assert_eq!(key.info()[&0x0C], boolean(false));
    key.token(2, "2468101", permission::ACFG, None).unwrap();
}

#[test]
fn a_change_of_the_pin_is_forced_where_there_is_one() {
    let force = || parameters([(3, boolean(true))]);
    let mut key = Driver::new();
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, force(), None), status::PIN_NOT_SET);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, parameters([(3, boolean(false))]), None), status::OK);
    key.set_pin(PIN);
    let token = key.acfg();
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, force(), Some(&token)), status::OK);
    assert_eq!((&key.info()[&0x0D], &key.info()[&0x0C]), (&int(4), &boolean(true)));
    assert_eq!(key.pin_token(2, PIN), Err(status::PIN_INVALID));
    // What is forced is not taken back by another request.
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, parameters([(3, boolean(false))]), Some(&token)), status::OK);
    assert_eq!(key.info()[&0x0C], boolean(true));
    let same = Platform::agree(&mut key, 2).change_pin(PIN, PIN.as_bytes());
    assert_eq!(key.client_pin(&same), status::PIN_POLICY_VIOLATION);
    let other = Platform::agree(&mut key, 2).change_pin(PIN, b"9753");
    assert_eq!(key.client_pin(&other), status::OK);
    assert_eq!(key.info()[&0x0C], boolean(false));
}

#[test]
fn rp_ids_for_the_minimum_length_are_replaced_and_bounded() {
    let ids = |ids: &[&str]| parameters([(2, array(ids.iter().map(|id| text(id))))]);
    let mut key = Driver::new();
    assert_eq!(key.info()[&0x10], int(8));
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, ids(&["a", "b", "c", "d", "e", "f", "g", "h"]), None), status::OK);
    let before = key.disk.clone();
    let too_many = ids(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, too_many, None), status::KEY_STORE_FULL);
    assert_eq!(key.disk, before);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, ids(&["example.com"]), None), status::OK);
    assert_eq!(key.authenticator.store().configuration().min_pin_length_rp_ids, ["example.com"]);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(5), None), status::OK);
    assert_eq!(key.authenticator.store().configuration().min_pin_length_rp_ids, ["example.com"], "absent is not empty");
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, ids(&[]), None), status::OK);
    assert!(key.authenticator.store().configuration().min_pin_length_rp_ids.is_empty());

    let mut key = Driver::of(altered(&[("max_rp_ids_for_set_min_pin_length = 8", "")]));
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, ids(&["a"]), None), status::INVALID_PARAMETER);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(5), None), status::OK);
}

#[test]
fn a_complexity_policy_is_set_for_good_and_wants_another_pin() {
    let policy = |value| parameters([(4, boolean(value))]);
    let mut key = Driver::new();
    assert_eq!(key.info()[&0x1B], boolean(false));
    key.set_pin("1111");
    let token = key.token(2, "1111", permission::ACFG, None).unwrap();
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, policy(true), Some(&token)), status::OK);
    assert_eq!((&key.info()[&0x1B], &key.info()[&0x0C]), (&boolean(true), &boolean(true)));
    let simple = Platform::agree(&mut key, 2).change_pin("1111", b"2222");
    assert_eq!(key.client_pin(&simple), status::PIN_POLICY_VIOLATION);
    let fine = Platform::agree(&mut key, 2).change_pin("1111", b"2749");
    assert_eq!(key.client_pin(&fine), status::OK);
    let token = key.token(2, "2749", permission::ACFG, None).unwrap();
    for value in [true, false] {
        assert_eq!(key.configure(SET_MIN_PIN_LENGTH, policy(value), Some(&token)), status::OK);
        assert_eq!((&key.info()[&0x1B], &key.info()[&0x0C]), (&boolean(true), &boolean(false)));
    }
    // A key that has no such policy ignores it.
    let mut yubikey = Driver::of(built_in("yubikey-5.7"));
    assert_eq!(yubikey.configure(SET_MIN_PIN_LENGTH, policy(true), None), status::OK);
    assert!(!yubikey.info().contains_key(&0x1B));
}

/// CTAP 2.3 §6.4, §6.6: at least five seconds.
#[test]
fn a_long_touch_for_a_reset_is_asked_for_until_it() {
    let mut key = Driver::new();
    assert_eq!(key.info()[&0x18], boolean(false));
    assert_eq!(key.configure(ENABLE_LONG_TOUCH_FOR_RESET, None, None), status::OK);
    assert_eq!(key.configure(ENABLE_LONG_TOUCH_FOR_RESET, None, None), status::OK);
    let mut key = key.restarted();
    assert_eq!(key.info()[&0x18], boolean(true));
    assert_eq!(key.send(&[RESET]), [status::OK]);
    assert_eq!(key.seen, [Event::Gesture(Reason::ResetByLongTouch), Event::Commit]);
    assert_eq!(Reason::ResetByLongTouch.touch(), Duration::from_secs(5));
    assert_eq!(Reason::Reset.touch(), Duration::ZERO);
    assert_eq!(key.info()[&0x18], boolean(false));
    assert_eq!(key.send(&[RESET]), [status::OK]);
    assert_eq!(key.seen, [Event::Gesture(Reason::Reset), Event::Commit]);
}

#[test]
fn a_reset_takes_back_all_that_was_configured() {
    let mut key = with_pin();
    let new = Driver::new().info();
    let token = key.acfg();
    let all = parameters([(1, int(8)), (2, array([text(SITE)])), (3, boolean(true)), (4, boolean(true))]);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, all, Some(&token)), status::OK);
    assert_eq!(key.configure(TOGGLE_ALWAYS_UV, None, Some(&token)), status::OK);
    assert_eq!(key.configure(ENABLE_LONG_TOUCH_FOR_RESET, None, Some(&token)), status::OK);
    assert_ne!(key.info(), new);
    key.power_up();
    key.user = User::Denies;
    assert_eq!(key.status(&[RESET]), status::OPERATION_DENIED);
    assert_ne!(key.info(), new);
    key.user = User::Touches;
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(key.info(), new);
    assert_eq!(key.configure(SET_MIN_PIN_LENGTH, min_length(4), None), status::OK);
}

#[test]
fn what_could_not_be_made_durable_is_not_configured() {
    for (subcommand, params) in
        [(TOGGLE_ALWAYS_UV, None), (SET_MIN_PIN_LENGTH, min_length(6)), (ENABLE_LONG_TOUCH_FOR_RESET, None)]
    {
        let mut key = Driver::new();
        let before = key.info();
        key.fate = Fate::FailsAt(0);
        assert_eq!(key.configure(subcommand, params, None), status::OTHER);
        assert_eq!(key.info(), before);
    }
}
