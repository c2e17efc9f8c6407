//! authenticatorBioEnrollment (CTAP 2.3 §6.7), its prototype, and what fingerprints make of a key.

use core::time::Duration;
use std::collections::BTreeMap;

use keyrig_authenticator::Reason;
use keyrig_ctap::bio_enrollment::Sample;
use sk_cbor::Value;

use crate::support::codec::{
    AT, Created, GET_INFO, Parameters, RESET, UP, UV, body, boolean, bytes, encode, fields, int, map, status, text,
};
use crate::support::platform::{Token, permission};
use crate::support::{Driver, Event, Fate, User, built_in};
use crate::user_verification::token_by_uv;

const PIN: &str = "123456";
const SITE: &str = "example.com";
pub(crate) const FINAL: u8 = 0x09;
pub(crate) const PROTOTYPE: u8 = 0x40;
/// As the profiles of both have it.
const SAMPLES: u64 = 5;
const TEMPLATES: usize = 5;

pub(crate) mod subcommand {
    pub(crate) const BEGIN: u8 = 1;
    pub(crate) const NEXT: u8 = 2;
    pub(crate) const CANCEL: u8 = 3;
    pub(crate) const ENUMERATE: u8 = 4;
    pub(crate) const NAME: u8 = 5;
    pub(crate) const REMOVE: u8 = 6;
    pub(crate) const SENSOR: u8 = 7;
}
use subcommand::{BEGIN, CANCEL, ENUMERATE, NAME, NEXT, REMOVE, SENSOR};

/// A subcommand about fingerprints, whose pinUvAuthParam is over modality, subcommand and parameters.
pub(crate) fn request(subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> Parameters {
    let mut message = vec![1, subcommand];
    let mut request = Parameters(BTreeMap::from([(1, int(1)), (2, int(subcommand.into()))]));
    if let Some(parameters) = parameters {
        message.extend(encode(parameters.clone()));
        request = request.with(3, parameters);
    }
    match token {
        Some(token) => request.with(4, int(token.protocol)).with(5, bytes(&token.authenticate(&message))),
        None => request,
    }
}

fn parameters<const N: usize>(entries: [(i64, Value); N]) -> Option<Value> {
    Some(Value::map(entries.into_iter().map(|(key, value)| (int(key), value)).collect()))
}

pub(crate) fn of(id: &[u8]) -> Option<Value> {
    parameters([(1, bytes(id))])
}

/// A Bio with a PIN, and a token that may enrol.
fn bio() -> (Driver, Token) {
    let mut key = Driver::of(built_in("yubikey-bio-5.7"));
    key.set_pin(PIN);
    let token = be(&mut key);
    (key, token)
}

fn be(key: &mut Driver) -> Token {
    key.token(2, PIN, permission::BE, None).unwrap()
}

fn number(answer: &BTreeMap<i64, Value>, member: i64) -> u64 {
    answer[&member].clone().extract_unsigned().unwrap()
}

/// Enrols a finger: its templateId.
pub(crate) fn enroll(key: &mut Driver, token: &Token, command: u8) -> Vec<u8> {
    let first = body(&key.send(&request(BEGIN, None, Some(token)).message(command)));
    assert_eq!(
        first.keys().copied().collect::<Vec<_>>(),
        [4, 5, 6],
        "templateId, lastEnrollSampleStatus, remainingSamples"
    );
    let id = first[&4].clone().extract_byte_string().unwrap();
    let mut left = number(&first, 6);
    assert_eq!((number(&first, 5), left), (0, SAMPLES - 1));
    while left > 0 {
        let next = body(&key.send(&request(NEXT, of(&id), Some(token)).message(command)));
        assert_eq!(next.keys().copied().collect::<Vec<_>>(), [5, 6]);
        assert_eq!((number(&next, 5), number(&next, 6)), (0, left - 1));
        left -= 1;
    }
    id
}

/// A templateId, and templateFriendlyName if there is one.
type Named = (Vec<u8>, Option<String>);

/// The templates, or the status of the refusal.
fn enumerate(key: &mut Driver, token: &Token) -> Result<Vec<Named>, u8> {
    let answer = key.send(&request(ENUMERATE, None, Some(token)).message(FINAL));
    if answer[0] != status::OK {
        return Err(answer[0]);
    }
    let infos = body(&answer)[&7].clone().extract_array().unwrap();
    Ok(infos
        .into_iter()
        .map(|info| {
            let mut info: BTreeMap<i64, Value> =
                info.extract_map().unwrap().into_iter().map(|(k, v)| (k.extract_integer().unwrap(), v)).collect();
            let name = info.remove(&2).map(|name| name.extract_text_string().unwrap());
            (info.remove(&1).unwrap().extract_byte_string().unwrap(), name)
        })
        .collect())
}

fn option(key: &mut Driver, name: &str) -> Option<bool> {
    let options = fields(&body(&key.send(&[GET_INFO]))[&4]);
    options.get(name).map(|value| value.clone().extract_bool().unwrap())
}

/// `uv`, `bioEnroll`, `userVerificationMgmtPreview` and `clientPin`.
fn options(key: &mut Driver) -> [Option<bool>; 4] {
    ["uv", "bioEnroll", "userVerificationMgmtPreview", "clientPin"].map(|name| option(key, name))
}

/// A Bio from its box to the last finger removed: what getInfo says, and what it does for a user.
#[test]
fn the_states_of_a_bio_in_order() {
    let (yes, no) = (Some(true), Some(false));
    let mut key = Driver::of(built_in("yubikey-bio-5.7"));
    assert_eq!(options(&mut key), [no, no, no, no], "fresh");
    assert_eq!(key.status(&request(BEGIN, None, None).message(FINAL)), status::PUAT_REQUIRED, "a PIN comes first");
    let make = || Parameters::discoverable(SITE, "root");
    assert_eq!(key.status(&make().create()), status::PUAT_REQUIRED, "alwaysUv");
    key.set_pin(PIN);
    assert_eq!(options(&mut key), [no, no, no, yes], "PIN set");
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::NOT_ALLOWED));
    let token = key.token(2, PIN, permission::BE, None).unwrap();
    assert_eq!(enumerate(&mut key, &token), Err(status::INVALID_OPTION));
    let id = enroll(&mut key, &token, FINAL);
    assert_eq!(options(&mut key), [yes, yes, yes, yes], "finger enrolled");
    let mut key = key.restarted();
    assert_eq!(options(&mut key), [yes, yes, yes, yes], "it is kept");
    let by_uv = token_by_uv(&mut key, permission::MC | permission::GA, Some(SITE)).unwrap();
    let created = key.create(&make().created_by(&by_uv));
    assert_eq!(created.data.flags, UP | UV | AT);
    // alwaysUv, and a finger that it knows: it asks for that by itself (§6.1.2 step 6.3).
    let answer = key.send(&Parameters::discoverable(SITE, "other").create());
    assert_eq!(Created::read(&answer).data.flags, UP | UV | AT);
    let token = be(&mut key);
    assert_eq!(key.status(&request(REMOVE, of(&id), Some(&token)).message(FINAL)), status::OK);
    assert_eq!(options(&mut key), [no, no, no, yes], "last removed");
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::NOT_ALLOWED));
    assert_eq!(key.status(&make().create()), status::PUAT_REQUIRED);
}

/// §6.7.2 and §6.7.3: neither needs a token.
#[test]
fn modality_and_sensor_are_told_to_anybody() {
    for (profile, command, tells_length) in [("yubikey-bio-5.7", FINAL, true), ("feitian-biopass", PROTOTYPE, false)] {
        let mut key = Driver::of(built_in(profile));
        let modality = Parameters(BTreeMap::from([(6, boolean(true))]));
        assert_eq!(body(&key.send(&modality.message(command))), BTreeMap::from([(1, int(1))]));
        let sensor = body(&key.send(&request(SENSOR, None, None).message(command)));
        assert_eq!((number(&sensor, 1), number(&sensor, 2), number(&sensor, 3)), (1, 1, SAMPLES), "{profile}");
        assert_eq!(sensor.contains_key(&8), tells_length, "{profile}: maxTemplateFriendlyName");
    }
}

#[test]
fn a_sample_is_told_as_what_it_was_and_only_good_ones_count() {
    let (mut key, token) = bio();
    let first = body(&key.send(&request(BEGIN, None, Some(&token)).message(FINAL)));
    let id = first[&4].clone().extract_byte_string().unwrap();
    let next = request(NEXT, parameters([(1, bytes(&id)), (3, int(5000))]), Some(&token)).message(FINAL);
    let told = |key: &mut Driver, user| {
        key.user = user;
        let answer = body(&key.send(&next));
        (number(&answer, 5), number(&answer, 6))
    };
    let before = key.now;
    // CTAP2_ENROLL_FEEDBACK_NO_USER_ACTIVITY, after timeoutMilliseconds.
    assert_eq!(told(&mut key, User::StaysAway), (0x0D, SAMPLES - 1));
    assert_eq!(key.now - before, Duration::from_secs(5));
    // CTAP2_ENROLL_FEEDBACK_FP_POOR_QUALITY.
    assert_eq!(told(&mut key, User::IsAnother), (0x07, SAMPLES - 1));
    // Every other number of §6.7, from CTAP2_ENROLL_FEEDBACK_FP_TOO_HIGH to CTAP2_ENROLL_FEEDBACK_NO_USER_PRESENCE_TRANSITION, and one
    // that it does not have.
    for number in [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0D, 0x0E, 0x42] {
        assert_eq!(told(&mut key, User::IsSampled(Sample::from(number))), (number, SAMPLES - 1));
    }
    for left in (0..SAMPLES - 1).rev() {
        assert_eq!(told(&mut key, User::Touches), (0, left));
        assert_eq!(key.seen[0], Event::Gesture(Reason::Enrollment));
    }
    assert_eq!(enumerate(&mut key, &token), Ok(vec![(id, Some(String::new()))]));
    assert_eq!(key.status(&next), status::INVALID_PARAMETER, "it is enrolled, and being enrolled no more");
}

#[test]
fn an_enrolment_is_cancelled_by_a_command_another_one_and_the_loss_of_power() {
    for ends in ["cancelCurrentEnrollment", "enrollBegin", "power", "none"] {
        let (mut key, token) = bio();
        let first = body(&key.send(&request(BEGIN, None, Some(&token)).message(FINAL)));
        let id = first[&4].clone().extract_byte_string().unwrap();
        let mut token = token;
        match ends {
            // It needs no token.
            "cancelCurrentEnrollment" => {
                assert_eq!(key.status(&request(CANCEL, None, None).message(FINAL)), status::OK)
            }
            "enrollBegin" => assert_eq!(key.status(&request(BEGIN, None, Some(&token)).message(FINAL)), status::OK),
            "power" => {
                key.power_up();
                token = be(&mut key);
            }
            _ => {}
        }
        let next = key.status(&request(NEXT, of(&id), Some(&token)).message(FINAL));
        assert_eq!(next, if ends == "none" { status::OK } else { status::INVALID_PARAMETER }, "{ends}");
    }
}

#[test]
fn whoever_refuses_or_cancels_a_sample_may_go_on() {
    let (mut key, token) = bio();
    let first = body(&key.send(&request(BEGIN, None, Some(&token)).message(FINAL)));
    let id = first[&4].clone().extract_byte_string().unwrap();
    let next = request(NEXT, of(&id), Some(&token)).message(FINAL);
    for (user, expected) in [(User::Denies, status::OPERATION_DENIED), (User::Cancels, status::KEEPALIVE_CANCEL)] {
        key.user = user;
        assert_eq!(key.status(&next), expected);
    }
    key.user = User::Touches;
    assert_eq!(number(&body(&key.send(&next)), 6), SAMPLES - 2);
}

#[test]
fn as_many_fingers_are_known_as_there_is_room_for() {
    let (mut key, token) = bio();
    let ids: Vec<_> = (0..TEMPLATES).map(|_| enroll(&mut key, &token, FINAL)).collect();
    // CTAP2_ERR_FP_DATABASE_FULL.
    assert_eq!(key.status(&request(BEGIN, None, Some(&token)).message(FINAL)), 0x17);
    assert_eq!(enumerate(&mut key, &token).unwrap().len(), TEMPLATES);
    assert_eq!(key.status(&request(REMOVE, of(&ids[0]), Some(&token)).message(FINAL)), status::OK);
    enroll(&mut key, &token, FINAL);
}

#[test]
fn a_finger_is_named_and_the_name_is_kept() {
    let (mut key, token) = bio();
    let id = enroll(&mut key, &token, FINAL);
    let named = |id: &[u8], name: &str| parameters([(1, bytes(id)), (2, text(name))]);
    let status = |key: &mut Driver, parameters| key.status(&request(NAME, parameters, Some(&token)).message(FINAL));
    assert_eq!(status(&mut key, named(&id, "left thumb")), status::OK);
    assert_eq!(status(&mut key, named(&id, &"x".repeat(15))), status::OK);
    assert_eq!(status(&mut key, named(&id, &"x".repeat(16))), status::INVALID_LENGTH);
    assert_eq!(status(&mut key, named(b"nobody", "x")), status::INVALID_OPTION);
    assert_eq!(status(&mut key, of(&id)), status::MISSING_PARAMETER);
    assert_eq!(status(&mut key, parameters([(2, text("x"))])), status::MISSING_PARAMETER);
    assert_eq!(status(&mut key, named(&id, "right thumb")), status::OK);
    assert_eq!(enumerate(&mut key, &token), Ok(vec![(id.clone(), Some("right thumb".to_owned()))]));
    let mut key = key.restarted();
    let token = be(&mut key);
    assert_eq!(enumerate(&mut key, &token), Ok(vec![(id, Some("right thumb".to_owned()))]));
}

#[test]
fn what_changes_or_tells_needs_the_permission() {
    let (mut key, token) = bio();
    let id = enroll(&mut key, &token, FINAL);
    let cm = key.token(2, PIN, permission::CM, None).unwrap();
    let named = parameters([(1, bytes(&id)), (2, text("x"))]);
    for (number, given) in [(BEGIN, None), (NEXT, of(&id)), (ENUMERATE, None), (NAME, named), (REMOVE, of(&id))] {
        let without = request(number, given.clone(), None).message(FINAL);
        assert_eq!(key.status(&without), status::PUAT_REQUIRED, "{number}");
        let other = request(number, given.clone(), Some(&cm)).message(FINAL);
        assert_eq!(key.status(&other), status::PIN_AUTH_INVALID, "{number}");
        let no_protocol = request(number, given, Some(&cm)).without(4).message(FINAL);
        assert_eq!(key.status(&no_protocol), status::MISSING_PARAMETER, "{number}");
    }
    assert_eq!(
        token_by_uv(&mut key, permission::BE, None).err(),
        Some(status::UNAUTHORIZED_PERMISSION),
        "no uvBioEnroll"
    );
}

#[test]
fn a_request_that_is_none_is_refused() {
    let (mut key, token) = bio();
    let whole = || request(BEGIN, None, Some(&token));
    for (refused, expected) in [
        (whole().without(2), status::MISSING_PARAMETER),
        (whole().without(1), status::MISSING_PARAMETER),
        (whole().with(1, int(2)), status::INVALID_PARAMETER),
        (request(9, None, Some(&token)), status::INVALID_SUBCOMMAND),
        (request(NEXT, None, Some(&token)), status::MISSING_PARAMETER),
        (request(NEXT, of(b"nobody"), Some(&token)), status::INVALID_PARAMETER),
        (request(REMOVE, None, Some(&token)), status::MISSING_PARAMETER),
        (request(REMOVE, of(b"nobody"), Some(&token)), status::INVALID_OPTION),
        (whole().with(3, map([])).with(2, text("one")), status::CBOR_UNEXPECTED_TYPE),
    ] {
        assert_eq!(key.status(&refused.message(FINAL)), expected, "{refused:?}");
    }
    for command in [FINAL, PROTOTYPE] {
        assert_eq!(Driver::new().status(&whole().message(command)), status::INVALID_COMMAND, "no sensor");
    }
    assert_eq!(Driver::of(built_in("feitian-biopass")).status(&whole().message(FINAL)), status::INVALID_COMMAND);
}

/// A key of the preview: its token is getPinToken's, and its fingers verify by the option `uv` alone.
#[test]
fn a_biopass_enrols_by_the_prototype_and_verifies_in_the_ceremony() {
    let mut key = Driver::of(built_in("feitian-biopass"));
    let request = crate::support::platform::Platform::agree(&mut key, 1).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&request), status::OK);
    let token = key.pin_token(1, PIN).unwrap();
    enroll(&mut key, &token, PROTOTYPE);
    assert_eq!(option(&mut key, "uv"), Some(true));
    let options = map([("rk", boolean(true)), ("uv", boolean(true))]);
    let created = key.create(&Parameters::make_credential(SITE, "root").with(7, options));
    assert_eq!(created.data.flags, UP | UV | AT);
    assert_eq!(token_by_uv_on_protocol_one(&mut key), status::INVALID_SUBCOMMAND);
}

fn token_by_uv_on_protocol_one(key: &mut Driver) -> u8 {
    let request = crate::support::platform::Platform::agree(key, 1).get_token_by_uv(permission::GA, Some(SITE));
    key.client_pin(&request)
}

#[test]
fn three_wrong_fingers_block_a_bio_until_its_pin() {
    let (mut key, token) = bio();
    enroll(&mut key, &token, FINAL);
    key.user = User::IsAnother;
    let failures = [(); 3].map(|()| token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap_err());
    // As seen of a Bio by Yubico's SDK.
    assert_eq!(failures, [status::UV_INVALID, status::UV_INVALID, status::UV_BLOCKED]);
    key.user = User::Touches;
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_BLOCKED));
    key.token(2, PIN, permission::GA, Some(SITE)).unwrap();
    token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
}

#[test]
fn a_reset_forgets_fingers_too() {
    let (mut key, token) = bio();
    enroll(&mut key, &token, FINAL);
    key.power_up();
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(options(&mut key), [Some(false); 4]);
}

/// A key that is killed as a finger becomes known knows it or not, and is being asked for no more samples.
#[test]
fn at_the_last_sample_a_killed_key_knows_the_finger_or_does_not() {
    for (fate, knows) in [(Fate::KilledBefore(0), false), (Fate::KilledAfter(0), true), (Fate::FailsAt(0), false)] {
        let (mut key, token) = bio();
        let first = body(&key.send(&request(BEGIN, None, Some(&token)).message(FINAL)));
        let next = request(NEXT, of(&first[&4].clone().extract_byte_string().unwrap()), Some(&token)).message(FINAL);
        for _ in 0..SAMPLES - 2 {
            assert_eq!(key.status(&next), status::OK);
        }
        key.fate = fate;
        drop(key.try_send(&next));
        let mut key = key.restarted();
        assert_eq!(option(&mut key, "bioEnroll"), Some(knows), "{fate:?}");
    }
}
