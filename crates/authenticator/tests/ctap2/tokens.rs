//! pinUvAuthToken: permissions, RP ID, usage timer, and what makeCredential and getAssertion make of it
//! (CTAP 2.3 §6.5.2.1, §6.5.5.7, §6.1.2, §6.2.2).

use core::time::Duration;

use keyrig_authenticator::Reason;
use keyrig_authenticator::store::{Change, Configuration};

use crate::support::codec::{
    AT, Assertion, Created, GET_NEXT_ASSERTION, Parameters, RESET, UP, UV, boolean, bytes, int, map, status, text,
};
use crate::support::platform::{Platform, Token, permission};
use crate::support::{Driver, Event, User, altered, built_in};

const PIN: &str = "1234";
const SITE: &str = "example.com";
const OTHER_SITE: &str = "example.org";

fn with_pin() -> Driver {
    let mut key = Driver::new();
    key.set_pin(PIN);
    key
}

fn mc(key: &mut Driver) -> Token {
    key.token(2, PIN, permission::MC, Some(SITE)).unwrap()
}

fn ga(key: &mut Driver) -> Token {
    key.token(2, PIN, permission::GA, Some(SITE)).unwrap()
}

fn discoverable(key: &mut Driver, user: &str) -> Created {
    let token = mc(key);
    key.create(&Parameters::discoverable(SITE, user).created_by(&token))
}

#[test]
fn a_token_verifies_the_user_in_both_ceremonies_under_both_protocols() {
    for protocol in [1, 2] {
        let mut key = with_pin();
        let token = key.token(protocol, PIN, permission::MC | permission::GA, Some(SITE)).unwrap();
        let created = key.create(&Parameters::discoverable(SITE, "root").created_by(&token));
        assert_eq!(created.data.flags, UP | UV | AT);
        let token = key.token(protocol, PIN, permission::GA, Some(SITE)).unwrap();
        let asserted = key.assertion(&Parameters::get_assertion(SITE).got_by(&token), &created.public_key);
        assert_eq!(asserted.data.flags, UP | UV);
        // Without, the same key answers, and says so.
        let asserted = key.assertion(&Parameters::get_assertion(SITE), &created.public_key);
        assert_eq!(asserted.data.flags, UP);
    }
}

/// CTAP 2.3 §6.2, member 0x04: a name is for who has to choose among accounts, and was verified.
#[test]
fn names_are_told_only_to_a_verified_user_who_has_a_choice() {
    let mut key = with_pin();
    let created = discoverable(&mut key, "root");
    let told = |key: &mut Driver, request: Parameters, verified: bool| {
        let request = if verified { request.got_by(&ga(key)) } else { request };
        let first = Assertion::read(&key.send(&request.get()));
        let next = key.send(&[GET_NEXT_ASSERTION]);
        let next = if next == [status::NOT_ALLOWED] { None } else { Some(Assertion::read(&next)) };
        let users = [Some(first), next].into_iter().flatten().map(|assertion| assertion.user.unwrap());
        users.map(|user| user.into_keys().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let (id, all) = (vec!["id"], vec!["displayName", "id", "name"]);
    let unlisted = || Parameters::get_assertion(SITE);
    let alone = vec![id.clone()];
    for verified in [false, true] {
        assert_eq!(told(&mut key, unlisted(), verified), alone, "one account, verified: {verified}");
    }
    let another = discoverable(&mut key, "another");
    assert_eq!(told(&mut key, unlisted(), false), [id.clone(), id]);
    assert_eq!(told(&mut key, unlisted(), true), [all.clone(), all]);
    // A list is no choice of the user's: its first match answers.
    let listed = Parameters::allow(SITE, &[&another.id, &created.id]);
    assert_eq!(told(&mut key, listed, true), alone);
}

/// CTAP 2.3 §6.1.2 step 14 and §6.2.2 step 9: a touch ends mc and ga, as it ends cm and acfg.
#[test]
fn a_token_is_good_for_one_touch() {
    let mut key = with_pin();
    let token = key.token(2, PIN, permission::MC | permission::GA, Some(SITE)).unwrap();
    let created = key.create(&Parameters::make_credential(SITE, "root").created_by(&token));
    let again = Parameters::make_credential(SITE, "root").created_by(&token);
    assert_eq!(key.status(&again.create()), status::PIN_AUTH_INVALID);
    let get = Parameters::allow(SITE, &[&created.id]).got_by(&token);
    assert_eq!(key.status(&get.get()), status::PIN_AUTH_INVALID);
}

/// The specification ends the permissions at every touch, whether the request was by the token or not.
#[test]
fn a_touch_for_a_request_without_a_token_ends_its_permissions_too() {
    let mut key = with_pin();
    let token = mc(&mut key);
    key.create(&Parameters::make_credential(SITE, "root"));
    let request = Parameters::make_credential(SITE, "root").created_by(&token);
    assert_eq!(key.status(&request.create()), status::PIN_AUTH_INVALID);
}

/// What a platform does with long lists: it looks for the credential first, and the token survives.
#[test]
fn a_pre_flight_costs_no_permission() {
    let mut key = with_pin();
    let created = discoverable(&mut key, "root");
    let token = ga(&mut key);
    let pre_flight = Parameters::allow(SITE, &[&created.id]).with(5, map([("up", boolean(false))])).got_by(&token);
    for _ in 0..2 {
        assert_eq!(key.assertion(&pre_flight, &created.public_key).data.flags, UV);
        assert_eq!(key.seen, [Event::Commit]);
    }
    let get = Parameters::allow(SITE, &[&created.id]).got_by(&token);
    assert_eq!(key.assertion(&get, &created.public_key).data.flags, UP | UV);
}

#[test]
fn a_ceremony_that_was_not_touched_for_costs_no_permission() {
    let mut key = with_pin();
    let token = mc(&mut key);
    key.user = User::Cancels;
    let request = Parameters::make_credential(SITE, "root").created_by(&token);
    assert_eq!(key.status(&request.create()), status::KEEPALIVE_CANCEL);
    key.user = User::Touches;
    key.create(&request);
}

#[test]
fn a_token_without_the_permission_or_for_another_site_is_refused() {
    let mut key = with_pin();
    let created = discoverable(&mut key, "root");
    let make = |site| Parameters::make_credential(site, "root");
    let get = || Parameters::allow(SITE, &[&created.id]);
    let token = ga(&mut key);
    assert_eq!(key.status(&make(SITE).created_by(&token).create()), status::PIN_AUTH_INVALID, "ga is not mc");
    let token = mc(&mut key);
    assert_eq!(key.status(&get().got_by(&token).get()), status::PIN_AUTH_INVALID, "mc is not ga");
    assert_eq!(key.seen, [], "no touch is asked for");
    assert_eq!(key.status(&make(OTHER_SITE).created_by(&token).create()), status::PIN_AUTH_INVALID);
    key.create(&make(SITE).created_by(&token));
    for other in [permission::CM, permission::LBW, permission::ACFG] {
        if let Ok(token) = key.token(2, PIN, other, None) {
            assert_eq!(key.status(&get().got_by(&token).get()), status::PIN_AUTH_INVALID);
        }
    }
}

/// getPinToken binds no RP ID, so the first use does (CTAP 2.3 §6.1.2 step 11).
#[test]
fn the_superseded_token_is_bound_by_its_first_use() {
    let mut key = with_pin();
    let created = discoverable(&mut key, "root");
    for protocol in [1, 2] {
        let token = key.pin_token(protocol, PIN).unwrap();
        let pre_flight = Parameters::allow(SITE, &[&created.id]).with(5, map([("up", boolean(false))])).got_by(&token);
        assert_eq!(key.assertion(&pre_flight, &created.public_key).data.flags, UV);
        let elsewhere = Parameters::make_credential(OTHER_SITE, "root").created_by(&token);
        assert_eq!(key.status(&elsewhere.create()), status::PIN_AUTH_INVALID);
        let here = Parameters::make_credential(SITE, "root").created_by(&token);
        assert_eq!(key.create(&here).data.flags, UP | UV | AT);
    }
    let token = Platform::agree(&mut key, 2);
    for (member, value) in [(9, int(1)), (10, text(SITE))] {
        let request = token.get_pin_token(PIN).with(member, value);
        assert_eq!(key.client_pin(&request), status::INVALID_PARAMETER, "{member}");
    }
}

#[test]
fn a_wrong_param_protocol_or_hash_is_refused() {
    let mut key = with_pin();
    let token = mc(&mut key);
    let request = Parameters::make_credential(SITE, "root").created_by(&token);
    let param = request.hash(8);
    for (what, altered, expected) in [
        ("a bit", [&param[..31], &[param[31] ^ 1]].concat(), status::PIN_AUTH_INVALID),
        ("half of it", param[..16].to_vec(), status::PIN_AUTH_INVALID),
        ("more than it", [&param[..], &[0]].concat(), status::PIN_AUTH_INVALID),
    ] {
        assert_eq!(key.status(&request.clone().with(8, bytes(&altered)).create()), expected, "{what}");
    }
    let one = Token { protocol: 1, ..token.clone() };
    let under_one = Parameters::make_credential(SITE, "root").created_by(&one);
    assert_eq!(key.status(&under_one.create()), status::PIN_AUTH_INVALID, "it was issued under two");
    assert_eq!(key.status(&request.clone().with(9, int(3)).create()), status::INVALID_PARAMETER);
    assert_eq!(key.status(&request.clone().without(9).create()), status::MISSING_PARAMETER);
    let another_hash = request.clone().with(1, bytes(&[9; 32]));
    assert_eq!(key.status(&another_hash.create()), status::PIN_AUTH_INVALID);
    key.create(&request);
}

/// CTAP 2.3 §6.5.2.1: 30 s to the first use, 10 minutes in all.
#[test]
fn the_usage_timer_ends_a_token() {
    let unused = |wait: Duration| {
        let mut key = with_pin();
        let token = mc(&mut key);
        key.wait(wait);
        key.status(&Parameters::make_credential(SITE, "root").created_by(&token).create())
    };
    assert_eq!(unused(Duration::from_millis(29_999)), status::OK);
    assert_eq!(unused(Duration::from_secs(30)), status::PIN_AUTH_INVALID);

    let used = |wait: Duration| {
        let mut key = with_pin();
        let created = discoverable(&mut key, "root");
        let token = ga(&mut key);
        let silent = Parameters::allow(SITE, &[&created.id]).with(5, map([("up", boolean(false))])).got_by(&token);
        key.wait(Duration::from_secs(1));
        assert_eq!(key.status(&silent.get()), status::OK);
        key.wait(wait);
        key.status(&silent.get())
    };
    assert_eq!(used(Duration::from_secs(598)), status::OK);
    assert_eq!(used(Duration::from_secs(599)), status::PIN_AUTH_INVALID);
}

#[test]
fn a_token_dies_of_power_up_of_reset_of_a_changed_pin_and_of_the_next_token() {
    type End = fn(&mut Driver);
    let end: [(&str, End); 4] = [
        ("power-up", |key| key.power_up()),
        ("reset", |key| {
            assert_eq!(key.status(&[RESET]), status::OK);
            key.set_pin(PIN);
        }),
        ("changePIN", |key| {
            let change = Platform::agree(key, 2).change_pin(PIN, b"5678");
            assert_eq!(key.client_pin(&change), status::OK);
        }),
        ("another token", |key| drop(ga(key))),
    ];
    for (what, end) in end {
        let mut key = with_pin();
        let token = mc(&mut key);
        end(&mut key);
        let request = Parameters::make_credential(SITE, "root").created_by(&token);
        assert_eq!(key.status(&request.create()), status::PIN_AUTH_INVALID, "{what}");
    }
    let mut key = with_pin();
    let token = mc(&mut key);
    assert_eq!(key.pin_token(2, "0000"), Err(status::PIN_INVALID));
    key.create(&Parameters::make_credential(SITE, "root").created_by(&token));
}

#[test]
fn permissions_that_the_key_cannot_honour_are_not_given() {
    let mut key = with_pin();
    assert_eq!(key.token(2, PIN, 0, Some(SITE)), Err(status::INVALID_PARAMETER));
    assert_eq!(key.token(2, PIN, permission::BE, None), Err(status::UNAUTHORIZED_PERMISSION));
    assert_eq!(key.token(2, PIN, permission::PCMR | permission::GA, Some(SITE)), Err(status::UNAUTHORIZED_PERMISSION));
    for permissions in [permission::MC, permission::GA, permission::MC | permission::CM] {
        let refused = key.token(2, PIN, permissions, None);
        assert!(matches!(refused, Err(status::MISSING_PARAMETER | status::UNAUTHORIZED_PERMISSION)));
    }
    assert_eq!(key.pin_retries(), (8, false), "refused before the PIN is looked at");
    // A bit without a meaning is ignored.
    let token = key.token(2, PIN, permission::MC | 0x80, Some(SITE)).unwrap();
    key.create(&Parameters::make_credential(SITE, "root").created_by(&token));
}

/// CTAP 2.3 §6.1.2 steps 7 and 8.
#[test]
fn a_key_with_a_pin_wants_it_for_what_its_profile_says() {
    // makeCredUvNotRqd: for discoverable credentials only.
    let mut key = with_pin();
    assert_eq!(key.status(&Parameters::discoverable(SITE, "u").create()), status::PUAT_REQUIRED);
    assert_eq!(key.create(&Parameters::make_credential(SITE, "u")).data.flags, UP | AT);
    // Without makeCredUvNotRqd: for both.
    for profile in [built_in("yubikey-5.4"), altered(&[("makeCredUvNotRqd = true", "makeCredUvNotRqd = false")])] {
        let mut key = Driver::of(profile);
        key.create(&Parameters::discoverable(SITE, "u"));
        key.set_pin(PIN);
        assert_eq!(key.status(&Parameters::discoverable(SITE, "u").create()), status::PUAT_REQUIRED);
        assert_eq!(key.status(&Parameters::make_credential(SITE, "u").create()), status::PUAT_REQUIRED);
        assert_eq!(key.seen, [], "before a touch is asked for");
        let token = key.pin_token(2, PIN).unwrap();
        key.create(&Parameters::make_credential(SITE, "u").created_by(&token));
        // getAssertion never wants it.
        assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::OK);
    }
}

/// CTAP 2.0: the pinToken stays the same until power-up.
#[test]
fn the_token_of_a_key_before_permissions_lives_until_power_up() {
    let mut key = Driver::of(built_in("yubikey-5.4"));
    key.set_pin(PIN);
    let token = key.pin_token(2, PIN).unwrap();
    assert_eq!(key.pin_token(2, PIN).unwrap(), token);
    for site in [SITE, OTHER_SITE, SITE] {
        key.wait(Duration::from_secs(3600));
        key.create(&Parameters::make_credential(site, "u").created_by(&token));
    }
    key.power_up();
    let request = Parameters::make_credential(SITE, "u").created_by(&token);
    assert_eq!(key.status(&request.create()), status::PIN_AUTH_INVALID);
    assert_ne!(key.pin_token(2, PIN).unwrap(), token);
}

/// CTAP 2.3 §6.1.2 step 1 and §6.2.2 step 1.
#[test]
fn an_empty_param_asks_for_a_touch_and_says_whether_there_is_a_pin() {
    let make = Parameters::make_credential(SITE, "u").with(8, bytes(&[])).create();
    let get = Parameters::get_assertion(SITE).with(6, bytes(&[])).get();
    for (mut key, expected) in [(Driver::new(), status::PIN_NOT_SET), (with_pin(), status::PIN_INVALID)] {
        for (message, reason) in [(&make, Reason::MakeCredential), (&get, Reason::GetAssertion)] {
            assert_eq!(key.status(message), expected);
            assert_eq!(key.seen, [Event::Gesture(reason)]);
            key.user = User::Denies;
            assert_eq!(key.status(message), status::OPERATION_DENIED);
            key.user = User::StaysAway;
            assert_eq!(key.status(message), status::OPERATION_DENIED);
            key.user = User::Touches;
        }
    }
}

/// CTAP 2.3 §6.1.2 step 6, §6.2.2 step 5: first a PIN has to be set.
#[test]
fn always_uv_wants_a_pin_and_a_token_but_not_of_a_pre_flight() {
    let mut key = Driver::new();
    let created = key.create(&Parameters::discoverable(SITE, "u"));
    key.disk.apply(&[Change::Configuration(Configuration { always_uv: Some(true), ..Configuration::default() })]);
    let mut key = key.restarted();
    let forged = Token { protocol: 2, bytes: vec![0; 32] };
    let make = || Parameters::make_credential(SITE, "u");
    let get = || Parameters::allow(SITE, &[&created.id]);
    for message in [make().create(), make().created_by(&forged).create(), get().get(), get().got_by(&forged).get()] {
        assert_eq!(key.status(&message), status::PUAT_REQUIRED);
        assert_eq!(key.seen, []);
    }
    let pre_flight = get().with(5, map([("up", boolean(false))]));
    assert_eq!(key.assertion(&pre_flight, &created.public_key).data.flags, 0);
    key.set_pin(PIN);
    assert_eq!(key.status(&make().create()), status::PUAT_REQUIRED, "makeCredUvNotRqd is false now");
    assert_eq!(key.status(&get().get()), status::PUAT_REQUIRED);
    assert_eq!(key.status(&make().created_by(&forged).create()), status::PIN_AUTH_INVALID);
    let token = mc(&mut key);
    key.create(&make().created_by(&token));
    let token = ga(&mut key);
    assert_eq!(key.assertion(&get().got_by(&token), &created.public_key).data.flags, UP | UV);
}

/// The specification is silent: no token is in use, so nothing verifies.
#[test]
fn a_param_without_a_pin_or_a_token_is_refused() {
    for mut key in [Driver::new(), with_pin()] {
        let token = Token { protocol: 2, bytes: vec![0; 32] };
        let make = Parameters::make_credential(SITE, "u").created_by(&token);
        assert_eq!(key.status(&make.create()), status::PIN_AUTH_INVALID);
        assert_eq!(key.status(&Parameters::get_assertion(SITE).got_by(&token).get()), status::PIN_AUTH_INVALID);
        assert_eq!(key.seen, []);
    }
}

#[test]
fn the_uv_option_is_for_built_in_verification_and_a_param_outweighs_it() {
    let mut key = with_pin();
    let uv = || map([("uv", boolean(true))]);
    assert_eq!(key.status(&Parameters::make_credential(SITE, "u").with(7, uv()).create()), status::INVALID_OPTION);
    assert_eq!(key.status(&Parameters::get_assertion(SITE).with(5, uv()).get()), status::INVALID_OPTION);
    let token = mc(&mut key);
    let created = key.create(&Parameters::make_credential(SITE, "u").with(7, uv()).created_by(&token));
    let token = ga(&mut key);
    let get = Parameters::allow(SITE, &[&created.id]).with(5, uv()).got_by(&token);
    assert_eq!(key.assertion(&get, &created.public_key).data.flags, UP | UV);
}

/// CTAP 2.3 §6.5.5.7.2 step 12, §6.5.5.6 step 20.
#[test]
fn the_persistent_token_stays_until_the_pin_changes_and_beside_it_others_live() {
    let mut key = with_pin();
    let created = key.create(&Parameters::make_credential(SITE, "u"));
    let session = ga(&mut key);
    let persistent = key.token(2, PIN, permission::PCMR, None).unwrap();
    assert_eq!(key.token(1, PIN, permission::PCMR, None).unwrap().bytes, persistent.bytes, "there is one");
    // No other token was issued, so the one in use stays.
    let get = Parameters::allow(SITE, &[&created.id]);
    assert_eq!(key.assertion(&get.clone().got_by(&session), &created.public_key).data.flags, UP | UV);
    assert_eq!(key.status(&get.got_by(&persistent).get()), status::PIN_AUTH_INVALID, "it only reads");
    let mut key = key.restarted();
    assert_eq!(key.token(2, PIN, permission::PCMR, None).unwrap(), persistent);
    let change = Platform::agree(&mut key, 2).change_pin(PIN, b"5678");
    assert_eq!(key.client_pin(&change), status::OK);
    assert_ne!(key.token(2, "5678", permission::PCMR, None).unwrap(), persistent);
}
