//! Built-in user verification (CTAP 2.3 §6.5.2.3, §6.5.3.1, §6.5.5.3, §6.5.5.7.3, and the `uv` option of §6.1.2 and §6.2.2).

use core::time::Duration;

use keyrig_authenticator::driver::Turn;
use keyrig_authenticator::{Profile, Reason};
use keyrig_ctap::bio_enrollment::Sample;

use crate::support::codec::{
    AT, Assertion, CLIENT_PIN, Created, GET_INFO, Parameters, UP, UV, body, boolean, fields, int, map, status,
};
use crate::support::platform::{Platform, Token, permission, subcommand};
use crate::support::{Driver, Event, User, altered_from};

const PIN: &str = "1234";
const WRONG: &str = "4321";
const SITE: &str = "example.com";

/// As the profile has it, which the specification leaves open (§6.5.2.3).
const RETRIES: u64 = 5;
const ATTEMPTS: usize = 3;

/// keyrig's key with built-in user verification, with some lines of its profile replaced.
fn profile(changes: &[(&str, &str)]) -> Profile {
    altered_from(include_str!("../../profiles/keyrig-uv.toml"), changes)
}

fn key() -> Driver {
    Driver::of(profile(&[]))
}

fn with_pin() -> Driver {
    let mut key = key();
    key.set_pin(PIN);
    key
}

/// A request for a token by built-in user verification.
fn request(platform: &Platform, permissions: i64, rp_id: Option<&str>) -> Parameters {
    platform.get_token_by_uv(permissions, rp_id)
}

/// A token by built-in user verification, or the status of the refusal.
pub(crate) fn token_by_uv(key: &mut Driver, permissions: i64, rp_id: Option<&str>) -> Result<Token, u8> {
    let platform = Platform::agree(key, 2);
    let answer = key.send(&request(&platform, permissions, rp_id).message(CLIENT_PIN));
    if answer[0] == status::OK { Ok(platform.token(&answer)) } else { Err(answer[0]) }
}

fn retries(key: &mut Driver) -> u64 {
    let answer = key.send(&Parameters::client_pin(subcommand::GET_UV_RETRIES).message(CLIENT_PIN));
    let body = body(&answer);
    assert_eq!(body.keys().copied().collect::<Vec<_>>(), [5], "uvRetries and nothing else");
    body[&5].clone().extract_unsigned().unwrap()
}

/// `uvCountSinceLastPinEntry`.
fn count(key: &mut Driver) -> u64 {
    body(&key.send(&[GET_INFO]))[&0x17].clone().extract_unsigned().unwrap()
}

fn option(key: &mut Driver, name: &str) -> Option<bool> {
    let options = fields(&body(&key.send(&[GET_INFO]))[&4]);
    options.get(name).map(|value| value.clone().extract_bool().unwrap())
}

fn uv(value: bool) -> sk_cbor::Value {
    map([("uv", boolean(value))])
}

fn both(rk: bool) -> sk_cbor::Value {
    map([("rk", boolean(rk)), ("uv", boolean(true))])
}

/// Sends a message to a key whose users come one after the other, and returns the answer.
fn by_turns(key: &mut Driver, message: &[u8], users: &[User]) -> Vec<u8> {
    let mut users = users.iter();
    let mut step = key.start(message);
    loop {
        if matches!(step, keyrig_authenticator::Step::Gesture(_)) {
            key.user = *users.next().expect("another gesture was asked for");
        }
        step = match key.turn(step) {
            Turn::Next(step) => step,
            Turn::Answer(answer) => {
                assert_eq!(users.next(), None, "one gesture less was asked for");
                key.user = User::Touches;
                return answer;
            }
            other => panic!("{other:?}"),
        };
    }
}

/// What there is before a ceremony.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Whether built-in user verification is set up, not set up, or not there.
    pub(crate) uv: Option<bool>,
    /// Whether the key has PINs, and one is set.
    pub(crate) pin: Option<bool>,
    pub(crate) always_uv: bool,
    pub(crate) no_mc_ga: bool,
    pub(crate) discoverable: bool,
    /// Whether the request has the option.
    pub(crate) asks: bool,
    /// Whether it has a pinUvAuthParam, which can only be by a user whom the key can verify.
    pub(crate) param: bool,
    pub(crate) user: User,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let sampled = User::IsSampled(Sample::TooFast);
        let users = [User::Touches, User::IsAnother, sampled, User::Denies, User::StaysAway, User::Cancels];
        let three = [None, Some(false), Some(true)];
        (0..3 * 3 * 6 * 32_usize).map(move |number| {
            let (user, number) = (users[number % 6], number / 6);
            let (uv, number) = (three[number % 3], number / 3);
            let (pin, bits) = (three[number % 3], number / 3);
            let bit = |at: usize| bits >> at & 1 == 1;
            let (always_uv, no_mc_ga, discoverable, asks, param) = (bit(0), bit(1), bit(2), bit(3), bit(4));
            Self { uv, pin, always_uv, no_mc_ga, discoverable, asks, param, user }
        })
    }

    /// Whether a token for the ceremony can be had.
    fn can_have_token(&self) -> bool {
        self.uv == Some(true) || self.pin == Some(true) && !self.no_mc_ga
    }

    /// Step 5 to 11 of §6.1.2, and 4 to 6 of §6.2.2: whether built-in user verification is performed, or the refusal.
    pub(crate) fn performs(&self, touch_is_enough: bool) -> Result<bool, u8> {
        let enabled = self.uv == Some(true);
        let protected = enabled || self.pin == Some(true);
        let required =
            if self.pin.is_some() && !self.no_mc_ga { status::PUAT_REQUIRED } else { status::OPERATION_DENIED };
        let mut effective = self.asks && !self.param;
        if effective && !enabled {
            return Err(status::INVALID_OPTION);
        }
        if self.always_uv {
            effective |= enabled && !self.param;
            if !protected || !self.param && !effective {
                return Err(required);
            }
        }
        if protected && !self.param && !effective && !touch_is_enough {
            return Err(required);
        }
        Ok(effective)
    }

    /// What comes of the gesture.
    pub(crate) fn expected(&self, performs: Result<bool, u8>) -> u8 {
        match (performs, self.user) {
            (Err(status), _) => status,
            (Ok(_), User::Touches | User::IsSampled(Sample::Good))
            | (Ok(false), User::IsAnother | User::IsSampled(_)) => status::OK,
            (Ok(_), User::Denies) | (Ok(false), User::StaysAway) => status::OPERATION_DENIED,
            (Ok(_), User::Cancels) => status::KEEPALIVE_CANCEL,
            (Ok(true), User::StaysAway) => status::USER_ACTION_TIMEOUT,
            (Ok(true), User::IsAnother | User::IsSampled(_)) if self.pin == Some(true) && !self.no_mc_ga => {
                status::PUAT_REQUIRED
            }
            (Ok(true), User::IsAnother | User::IsSampled(_)) => status::OPERATION_DENIED,
        }
    }

    fn key(&self) -> Driver {
        let line =
            |name: &str, value: Option<bool>| value.map_or_else(String::new, |value| format!("{name} = {value}"));
        let always = format!("alwaysUv = {}", self.always_uv);
        let others = format!("setMinPINLength = true\nnoMcGaPermissionsWithClientPin = {}", self.no_mc_ga);
        let changes = [
            ("uv = true", line("uv", self.uv)),
            ("clientPin = false", line("clientPin", self.pin.map(|_| false))),
            ("alwaysUv = false", always),
            ("setMinPINLength = true", others),
            ("firmware_version = 1", "firmware_version = 2".to_owned()),
        ];
        let changes: Vec<_> = changes.iter().map(|(from, to)| (*from, to.as_str())).collect();
        let mut key = Driver::of(profile(&changes));
        if self.pin == Some(true) {
            key.set_pin(PIN);
        }
        key
    }

    /// The token that a platform would have, if it has one: by built-in user verification first. A minute later, so that a touch is asked
    /// for.
    fn token(&self, key: &mut Driver, permission: i64) -> Option<Token> {
        if !self.param {
            return None;
        }
        let token = match self.uv {
            Some(true) => token_by_uv(key, permission, Some(SITE)),
            _ => key.token(2, PIN, permission, Some(SITE)),
        };
        Some(token.unwrap_or_else(|status| panic!("{self:?}: {status:#04x}")))
    }
}

/// Every key and every request: the status is that of the specification's steps, and the flags say what was done.
#[test]
fn ceremonies_are_as_the_steps_of_the_specification_have_them() {
    for case in Case::all().filter(|case| !case.param || case.can_have_token()) {
        let mut key = case.key();
        let token = case.token(&mut key, permission::MC);
        let options = map([("rk", boolean(case.discoverable)), ("uv", boolean(case.asks))]);
        let mut request = Parameters::make_credential(SITE, "root").with(7, options);
        if let Some(token) = &token {
            request = request.created_by(token);
        }
        key.user = case.user;
        // makeCredUvNotRqd is true unless alwaysUv is.
        let performs = case.performs(!case.discoverable);
        let present = case.param && case.uv == Some(true);
        let expected = if present { status::OK } else { case.expected(performs) };
        let answer = key.send(&request.create());
        assert_eq!(answer[0], expected, "{case:?}");
        let asked = key.seen.iter().filter(|event| matches!(event, Event::Gesture(_))).count();
        let once = usize::from(performs.is_ok() && !present);
        let is_another = matches!(case.user, User::IsAnother | User::IsSampled(_));
        let asks = if is_another && performs == Ok(true) { ATTEMPTS } else { once };
        assert_eq!(asked, asks, "{case:?}");
        if expected == status::OK {
            let verified = case.param || performs == Ok(true);
            assert_eq!(Created::read(&answer).data.flags, UP | AT | if verified { UV } else { 0 }, "{case:?}");
        }
    }
}

#[test]
fn a_login_is_as_the_steps_of_the_specification_have_it() {
    // getAssertion has no rk.
    for case in Case::all().filter(|case| !case.discoverable && (!case.param || case.can_have_token())) {
        let mut key = Case { always_uv: false, ..case }.key();
        let created = key.create(&Parameters::make_credential(SITE, "root"));
        let mut key = Driver::on(key.disk.clone(), case.key().authenticator.profile().clone(), 7);
        let token = case.token(&mut key, permission::GA);
        let mut request = Parameters::allow(SITE, &[&created.id]).with(5, uv(case.asks));
        if let Some(token) = &token {
            request = request.got_by(token);
        }
        key.user = case.user;
        let performs = case.performs(true);
        let present = case.param && case.uv == Some(true);
        let expected = if present { status::OK } else { case.expected(performs) };
        let answer = key.send(&request.get());
        assert_eq!(answer[0], expected, "{case:?}");
        if expected == status::OK {
            let verified = case.param || performs == Ok(true);
            assert_eq!(Assertion::read(&answer).data.flags, UP | if verified { UV } else { 0 }, "{case:?}");
        }
    }
}

/// §6.5.5.7.3 step 11: the user was there, so that neither ceremony asks for a touch (§6.1.2 step 14.2, §6.2.2 step 9.2).
#[test]
fn whoever_was_verified_for_a_token_is_asked_for_no_touch() {
    let mut key = key();
    let token = token_by_uv(&mut key, permission::MC | permission::GA, Some(SITE)).unwrap();
    assert_eq!(key.seen, [Event::Commit, Event::Gesture(Reason::PinUvAuthToken), Event::Commit]);
    let created = key.create(&Parameters::discoverable(SITE, "root").created_by(&token));
    assert_eq!((created.data.flags, &key.seen[..]), (UP | UV | AT, &[Event::Commit][..]));
    let again = Parameters::get_assertion(SITE).got_by(&token);
    assert_eq!(key.status(&again.get()), status::PIN_AUTH_INVALID, "a touch ends the permissions");
    let token = token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
    let asserted = key.assertion(&Parameters::get_assertion(SITE).got_by(&token), &created.public_key);
    assert_eq!((asserted.data.flags, &key.seen[..]), (UP | UV, &[Event::Commit][..]));
}

/// The user present time limit is the initial usage time limit (§6.5.2.1); the token lives on, as it was used.
#[test]
fn after_thirty_seconds_a_token_shows_nobodys_presence_any_more() {
    for (waits, asks) in [(29, false), (30, true)] {
        let mut key = key();
        let created = key.create(&Parameters::make_credential(SITE, "root").with(7, both(false)));
        let token = token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
        // Used, so that it does not end.
        let silent = Parameters::allow(SITE, &[&created.id]).with(5, map([("up", boolean(false))])).got_by(&token);
        assert_eq!(key.assertion(&silent, &created.public_key).data.flags, UV, "nobody's presence is told");
        key.wait(Duration::from_secs(waits));
        let get = Parameters::allow(SITE, &[&created.id]).got_by(&token);
        assert_eq!(key.assertion(&get, &created.public_key).data.flags, UP | UV);
        let asked = key.seen.contains(&Event::Gesture(Reason::GetAssertion));
        assert_eq!(asked, asks, "after {waits} s");
    }
}

/// §6.5.3.1 step 9 and §6.5.2.3.
#[test]
fn each_failure_costs_a_retry_and_a_success_makes_them_full_again() {
    let mut key = with_pin();
    key.user = User::IsAnother;
    for left in (1..RETRIES).rev() {
        assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_INVALID));
        assert_eq!(retries(&mut key), left);
    }
    key.user = User::Touches;
    token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
    assert_eq!((retries(&mut key), count(&mut key)), (RETRIES, RETRIES));
}

#[test]
fn without_retries_it_is_blocked_whoever_comes_until_the_right_pin_is_entered() {
    let mut key = with_pin();
    key.user = User::IsAnother;
    let failures: Vec<_> =
        (0..RETRIES).map(|_| token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap_err()).collect();
    assert_eq!(failures[..4], [status::UV_INVALID; 4]);
    assert_eq!(failures[4], status::UV_BLOCKED);
    key.user = User::Touches;
    let mut key = key.restarted();
    key.power_up();
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_BLOCKED), "it is kept");
    assert_eq!(key.seen, [], "nobody is asked");
    assert_eq!(retries(&mut key), 0);
    let make = Parameters::discoverable(SITE, "root").with(7, both(true));
    assert_eq!(key.status(&make.create()), status::PUAT_REQUIRED, "the PIN is left");
    assert_eq!(option(&mut key, "uv"), Some(true));
    assert_eq!(key.token(2, WRONG, permission::MC, Some(SITE)), Err(status::PIN_INVALID));
    assert_eq!(retries(&mut key), 0, "a wrong PIN is none");
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    assert_eq!((retries(&mut key), count(&mut key)), (RETRIES, 0));
    key.create(&Parameters::discoverable(SITE, "root").created_by(&token));
    token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
}

/// Every way to enter the PIN, and none that does not.
#[test]
fn whatever_takes_the_right_pin_makes_the_retries_full() {
    type Enter = fn(&mut Driver) -> u8;
    let ways: [(&str, Enter, bool); 5] = [
        ("getPinToken", |key| key.pin_token(1, PIN).err().unwrap_or(0), true),
        ("a token with permissions", |key| key.token(2, PIN, permission::CM, None).err().unwrap_or(0), true),
        ("a persistent token", |key| key.token(2, PIN, permission::PCMR, None).err().unwrap_or(0), true),
        (
            "changePIN",
            |key| {
                let request = Platform::agree(key, 2).change_pin(PIN, b"9876");
                key.client_pin(&request)
            },
            true,
        ),
        ("getPINRetries", |key| u8::from(key.pin_retries().0 != 8), false),
    ];
    for (name, enter, fills) in ways {
        let mut key = with_pin();
        key.user = User::IsAnother;
        assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_INVALID));
        assert_eq!(enter(&mut key), status::OK, "{name}");
        let expected = if fills { (RETRIES, 0) } else { (RETRIES - 1, 1) };
        assert_eq!((retries(&mut key), count(&mut key)), expected, "{name}");
    }
}

/// §6.5.2.3: once the PIN is blocked, both are disabled until a reset.
#[test]
fn a_blocked_pin_blocks_built_in_user_verification_too() {
    let mut key = with_pin();
    for _ in 0..3 {
        for _ in 0..3 {
            // Of nine the last says that it is blocked, and counts for nothing.
            drop(key.token(2, WRONG, permission::GA, Some(SITE)));
        }
        key.power_up();
    }
    assert_eq!(key.pin_retries().0, 0);
    assert_eq!(retries(&mut key), 0);
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_BLOCKED));
}

/// A ceremony has attempts of its own before it says that they failed (§6.5.3.1, internalRetry).
#[test]
fn within_a_ceremony_the_user_is_asked_again() {
    let make = Parameters::make_credential(SITE, "root").with(7, both(true)).create();
    let mut key = key();
    let answer = by_turns(&mut key, &make, &[User::IsAnother, User::IsAnother, User::Touches]);
    assert_eq!(Created::read(&answer).data.flags, UP | UV | AT);
    assert_eq!((retries(&mut key), count(&mut key)), (RETRIES, 3));
    assert_eq!(by_turns(&mut key, &make, &[User::IsAnother; ATTEMPTS]), [status::OPERATION_DENIED]);
    assert_eq!(retries(&mut key), RETRIES - 3);
    // Two are left, and no PIN that would help (§6.1.2 step 11.2.3).
    assert_eq!(by_turns(&mut key, &make, &[User::IsAnother; 2]), [status::PIN_BLOCKED]);
    assert_eq!(by_turns(&mut key, &make, &[]), [status::PIN_BLOCKED]);
}

/// `preferredPlatformUvAttempts` of 1, or none: then all attempts are the key's own (§6.5.5.7.3 step 6).
#[test]
fn a_platform_that_is_not_to_ask_again_has_the_key_ask() {
    for (told, asked) in [("preferred_platform_uv_attempts = 1", ATTEMPTS), ("", ATTEMPTS)] {
        let mut key = Driver::of(profile(&[("preferred_platform_uv_attempts = 3", told)]));
        key.user = User::IsAnother;
        assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_INVALID));
        let gestures = key.seen.iter().filter(|event| **event == Event::Gesture(Reason::PinUvAuthToken)).count();
        assert_eq!(gestures, asked, "{told:?}");
    }
}

/// An attempt that nobody makes is given back, but for one that nobody comes to: it is spent before anybody is asked, and a time-out gives
/// none back (CTAP 2.3 §6.5.3.1).
#[test]
fn what_is_cancelled_or_refused_costs_nothing() {
    for (user, status, costs) in [
        (User::Cancels, status::KEEPALIVE_CANCEL, 0),
        (User::Denies, status::OPERATION_DENIED, 0),
        (User::StaysAway, status::USER_ACTION_TIMEOUT, 1),
    ] {
        let mut key = key();
        key.user = user;
        assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status), "{user:?}");
        assert_eq!((retries(&mut key), count(&mut key)), (RETRIES - costs, costs), "{user:?}");
    }
}

/// §6.5.5.7.2 and §6.5.5.7.3: what a permission needs, by PIN and by built-in user verification.
#[test]
fn permissions_are_given_where_the_options_allow_them() {
    let cases = [
        ("", permission::MC | permission::GA, true, true),
        ("noMcGaPermissionsWithClientPin = true", permission::MC, false, true),
        ("noMcGaPermissionsWithClientPin = true", permission::GA, false, true),
        ("noMcGaPermissionsWithClientPin = true", permission::CM, true, true),
        ("", permission::CM, true, true),
        ("", permission::LBW, true, true),
        ("", permission::PCMR, true, true),
        ("uvAcfg = true", permission::ACFG, true, true),
        ("", permission::ACFG, true, false),
        ("uvAcfg = false", permission::ACFG, true, false),
        // It has no fingerprints.
        ("", permission::BE, false, false),
    ];
    for (line, permissions, by_pin, by_uv) in cases {
        let mut key = Driver::of(profile(&[("uvAcfg = true", line)]));
        key.set_pin(PIN);
        let expected = |allowed| if allowed { Ok(()) } else { Err(status::UNAUTHORIZED_PERMISSION) };
        let rp_id = Some(SITE).filter(|_| permissions & (permission::MC | permission::GA) != 0);
        let found = key.token(2, PIN, permissions, rp_id).map(drop);
        assert_eq!(found, expected(by_pin), "by PIN, {line:?}: {permissions:#04x}");
        let found = token_by_uv(&mut key, permissions, rp_id).map(drop);
        assert_eq!(found, expected(by_uv), "by UV, {line:?}: {permissions:#04x}");
    }
}

#[test]
fn a_request_that_lacks_something_is_refused_before_anybody_is_asked() {
    let mut key = key();
    let whole = request(&Platform::agree(&mut key, 2), permission::GA, Some(SITE));
    for (refused, expected) in [
        (whole.clone().without(1), status::MISSING_PARAMETER),
        (whole.clone().without(3), status::MISSING_PARAMETER),
        (whole.clone().without(9), status::MISSING_PARAMETER),
        (whole.clone().without(10), status::MISSING_PARAMETER),
        (whole.clone().with(1, int(3)), status::INVALID_PARAMETER),
        (whole.clone().with(9, int(0)), status::INVALID_PARAMETER),
    ] {
        assert_eq!((key.client_pin(&refused), &key.seen[..]), (expected, &[][..]), "{refused:?}");
    }
    assert_eq!(key.client_pin(&whole), status::OK);
}

#[test]
fn a_key_without_it_has_none_of_its_subcommands() {
    let mut key = Driver::new();
    let whole = request(&Platform::agree(&mut key, 2), permission::GA, Some(SITE));
    assert_eq!(key.client_pin(&whole), status::INVALID_SUBCOMMAND);
    let retries = Parameters::client_pin(subcommand::GET_UV_RETRIES);
    assert_eq!(key.client_pin(&retries), status::INVALID_SUBCOMMAND);
}

/// Its tokens are by built-in user verification alone.
#[test]
fn a_key_that_has_no_pins_has_none_of_their_subcommands() {
    let mut key = Driver::of(profile(&[("clientPin = false\n", "")]));
    let platform = Platform::agree(&mut key, 2);
    for refused in [
        Parameters::client_pin(subcommand::GET_PIN_RETRIES),
        platform.set_pin(PIN.as_bytes()),
        platform.change_pin(PIN, PIN.as_bytes()),
        platform.get_pin_token(PIN),
        platform.get_token(PIN, permission::GA, Some(SITE)),
    ] {
        assert_eq!(key.client_pin(&refused), status::INVALID_SUBCOMMAND, "{refused:?}");
    }
    token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
}

/// CTAP 2.3 §6.5.5.7.1 step 14: then the token of getPinToken is not given the default permissions, and there are no others to have.
#[test]
fn where_a_pin_gives_no_mc_and_no_ga_a_pin_token_is_good_for_nothing() {
    for (no_mc_ga, works) in [(false, status::OK), (true, status::PIN_AUTH_INVALID)] {
        let option = format!("noMcGaPermissionsWithClientPin = {no_mc_ga}");
        let mut key = Driver::of(profile(&[("uvAcfg = true", &option)]));
        key.set_pin(PIN);
        let made = key.create(&Parameters::make_credential(SITE, "root"));
        for asked in [
            |token: &Token, _: &[u8]| Parameters::make_credential(SITE, "root").created_by(token).create(),
            |token: &Token, id: &[u8]| Parameters::allow(SITE, &[id]).got_by(token).get(),
        ] {
            let token = key.pin_token(1, PIN).unwrap();
            assert_eq!(key.status(&asked(&token, &made.id)), works, "{option}");
        }
        assert_eq!(key.pin_token(1, WRONG).map(drop), Err(status::PIN_INVALID), "a wrong one costs a try");
        assert_eq!(key.pin_retries().0, 7);
    }
}

#[test]
fn a_key_on_which_it_is_not_set_up_does_not_allow_it() {
    let mut key = Driver::of(profile(&[("uv = true", "uv = false")]));
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::NOT_ALLOWED));
    assert_eq!(retries(&mut key), RETRIES);
}

/// §6.1.2 step 12 and §6.2.2 step 7, whose user has been there.
#[test]
fn what_is_excluded_or_not_there_is_said_without_another_touch() {
    let mut key = key();
    let created = key.create(&Parameters::make_credential(SITE, "root").with(7, uv(true)));
    let token = token_by_uv(&mut key, permission::MC | permission::GA, Some(SITE)).unwrap();
    let exclude = crate::support::codec::descriptors(&[&created.id]);
    let again = Parameters::make_credential(SITE, "root").with(5, exclude).created_by(&token);
    assert_eq!(key.status(&again.create()), status::CREDENTIAL_EXCLUDED);
    assert_eq!(key.seen, []);
    let token = token_by_uv(&mut key, permission::GA, Some(SITE)).unwrap();
    let other = Parameters::allow(SITE, &[b"another"]).got_by(&token);
    assert_eq!(key.status(&other.get()), status::NO_CREDENTIALS);
    assert_eq!(key.seen, []);
}

/// §6.2.2 step 8: whoever was verified was there, whatever `up` says.
#[test]
fn a_login_with_uv_and_without_up_has_both_flags() {
    let mut key = key();
    let created = key.create(&Parameters::make_credential(SITE, "root").with(7, uv(true)));
    let options = map([("up", boolean(false)), ("uv", boolean(true))]);
    let get = Parameters::allow(SITE, &[&created.id]).with(5, options);
    assert_eq!(key.assertion(&get, &created.public_key).data.flags, UP | UV);
    assert_eq!(key.seen, [Event::Commit, Event::Gesture(Reason::GetAssertion), Event::Commit, Event::Commit]);
}

#[test]
fn a_reset_makes_everything_full() {
    let mut key = key();
    key.user = User::IsAnother;
    assert_eq!(token_by_uv(&mut key, permission::GA, Some(SITE)), Err(status::UV_INVALID));
    key.user = User::Touches;
    key.power_up();
    assert_eq!(key.status(&[crate::support::codec::RESET]), status::OK);
    assert_eq!((retries(&mut key), count(&mut key)), (RETRIES, 0));
}
