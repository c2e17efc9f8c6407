//! authenticatorClientPIN (CTAP 2.3 §6.5.5): setting, changing and entering PINs.

use sk_cbor::Value;

use crate::support::codec::{CLIENT_PIN, GET_INFO, Parameters, RESET, body, bytes, fields, int, status};
use crate::support::platform::{Platform, permission, subcommand};
use crate::support::{Driver, Event, Fate, altered, built_in};

const PIN: &str = "1234";
const SITE: &str = "example.com";

fn with_pin() -> Driver {
    let mut key = Driver::new();
    key.set_pin(PIN);
    key
}

fn client_pin_option(key: &mut Driver) -> Value {
    fields(&body(&key.send(&[GET_INFO]))[&4])["clientPin"].clone()
}

#[test]
fn a_pin_is_set_once_under_either_protocol() {
    for protocol in [1, 2] {
        let mut key = Driver::new();
        assert_eq!(client_pin_option(&mut key), Value::bool_value(false));
        let request = Platform::agree(&mut key, protocol).set_pin(PIN.as_bytes());
        assert_eq!(key.send(&request.message(CLIENT_PIN)), [status::OK]);
        assert_eq!(key.seen, [Event::Commit]);
        assert_eq!(client_pin_option(&mut key), Value::bool_value(true));
        assert_eq!(key.pin_retries(), (8, false));
        let again = Platform::agree(&mut key, protocol).set_pin(b"5678");
        assert_eq!(key.client_pin(&again), status::PIN_AUTH_INVALID, "a PIN that is set is changed, not set");
        let mut key = key.restarted();
        for protocol in [1, 2] {
            key.token(protocol, PIN, permission::MC, Some(SITE)).unwrap();
            assert_eq!(key.token(protocol, "5678", permission::MC, Some(SITE)), Err(status::PIN_INVALID));
        }
    }
}

#[test]
fn without_a_pin_there_is_nothing_to_enter() {
    let mut key = Driver::new();
    let retries = Parameters::client_pin(subcommand::GET_PIN_RETRIES);
    assert_eq!(key.client_pin(&retries), status::PIN_NOT_SET);
    assert_eq!(key.token(2, PIN, permission::MC, Some(SITE)), Err(status::PIN_NOT_SET));
    assert_eq!(key.pin_token(1, PIN), Err(status::PIN_NOT_SET));
    let change = Platform::agree(&mut key, 2).change_pin(PIN, b"5678");
    assert_eq!(key.client_pin(&change), status::PIN_NOT_SET);
}

#[test]
fn a_changed_pin_takes_the_place_of_the_old_one() {
    for protocol in [1, 2] {
        let mut key = with_pin();
        let request = Platform::agree(&mut key, protocol).change_pin(PIN, b"567890");
        assert_eq!(key.send(&request.message(CLIENT_PIN)), [status::OK]);
        let mut key = key.restarted();
        assert_eq!(key.token(2, PIN, permission::MC, Some(SITE)), Err(status::PIN_INVALID));
        key.token(2, "567890", permission::MC, Some(SITE)).unwrap();
        assert_eq!(key.pin_retries(), (8, false));
    }
}

/// Every way to enter a PIN counts alike.
#[test]
fn a_wrong_pin_costs_a_retry_which_is_durable_before_the_answer() {
    let enter = |key: &mut Driver, way: usize, pin: &str| {
        let platform = Platform::agree(key, 2);
        let request = match way {
            0 => platform.get_pin_token(pin),
            1 => platform.get_token(pin, permission::GA, Some(SITE)),
            _ => platform.change_pin(pin, PIN.as_bytes()),
        };
        key.client_pin(&request)
    };
    for way in 0..3 {
        let mut key = with_pin();
        assert_eq!(enter(&mut key, way, "0000"), status::PIN_INVALID);
        assert_eq!(key.seen, [Event::Commit], "the retry, and no second commit");
        assert_eq!(key.pin_retries(), (7, false));
        let mut key = key.restarted();
        assert_eq!(key.pin_retries(), (7, false));
        assert_eq!(enter(&mut key, way, PIN), status::OK);
        assert_eq!(key.pin_retries(), (8, false), "a right PIN makes them full");
    }
}

#[test]
fn three_wrong_pins_in_a_row_block_until_power_up_and_eight_until_reset() {
    let mut key = with_pin();
    let mut left = 8;
    for round in 0..3 {
        for attempt in 1..=3 {
            left -= 1;
            let expected = match (left, attempt) {
                (0, _) => status::PIN_BLOCKED,
                (_, 3) => status::PIN_AUTH_BLOCKED,
                _ => status::PIN_INVALID,
            };
            assert_eq!(key.pin_token(2, "0000"), Err(expected), "round {round}, attempt {attempt}");
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            assert_eq!(key.pin_retries(), (left, true));
            assert_eq!(key.pin_token(2, PIN), Err(status::PIN_AUTH_BLOCKED), "the right one neither");
            assert_eq!(key.pin_retries(), (left, true), "and nothing is spent");
            key.power_up();
            assert_eq!(key.pin_retries(), (left, false));
        }
    }
    assert_eq!(key.pin_retries().0, 0);
    for _ in 0..2 {
        assert_eq!(key.pin_token(2, PIN), Err(status::PIN_BLOCKED));
        let change = Platform::agree(&mut key, 2).change_pin(PIN, b"5678");
        assert_eq!(key.client_pin(&change), status::PIN_BLOCKED);
        key.power_up();
    }
    let mut key = key.restarted();
    assert_eq!(key.pin_token(2, PIN), Err(status::PIN_BLOCKED));
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(client_pin_option(&mut key), Value::bool_value(false));
    key.set_pin(PIN);
    assert_eq!(key.pin_retries(), (8, false));
    key.pin_token(2, PIN).unwrap();
}

#[test]
fn a_right_pin_in_between_starts_the_three_again() {
    let mut key = with_pin();
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(key.pin_token(2, "0000"), Err(status::PIN_INVALID));
        }
        key.pin_token(2, PIN).unwrap();
    }
    assert_eq!(key.pin_retries(), (8, false));
}

/// CTAP 2.3 §6.5.5.6: `regenerate`, for the protocol that was used.
#[test]
fn after_a_wrong_pin_the_old_key_agreement_is_void() {
    let mut key = with_pin();
    let (one, two) = (Platform::agree(&mut key, 1), Platform::agree(&mut key, 2));
    assert_eq!(Platform::agree(&mut key, 2).decrypt(&two.encrypt(&[7; 16])), [7; 16], "until then it stays");
    assert_eq!(key.client_pin(&two.get_pin_token("0000")), status::PIN_INVALID);
    assert_eq!(key.client_pin(&two.get_pin_token(PIN)), status::PIN_INVALID, "decrypts to something else");
    assert_eq!(key.client_pin(&one.get_pin_token(PIN)), status::OK, "the other protocol has its own key");
    key.power_up();
    assert_eq!(key.client_pin(&one.get_pin_token(PIN)), status::PIN_INVALID, "a power-up ends all of them");
}

#[test]
fn the_length_of_a_pin_is_judged_in_code_points_and_in_bytes() {
    for (pin, expected) in [
        (&b"123"[..], status::PIN_POLICY_VIOLATION),
        ("€€€".as_bytes(), status::PIN_POLICY_VIOLATION),
        ("🔑🔑🔑🔑".as_bytes(), status::OK),
        (&[b'1'; 63], status::OK),
        (&[b'1'; 64], status::PIN_POLICY_VIOLATION),
        // Not 64 bytes after decryption.
        (&[b'1'; 80], status::INVALID_PARAMETER),
        (&[0xFF; 4], status::PIN_POLICY_VIOLATION),
        (&[], status::PIN_POLICY_VIOLATION),
    ] {
        for protocol in [1, 2] {
            let mut key = Driver::new();
            let set = Platform::agree(&mut key, protocol).set_pin(pin);
            assert_eq!(key.client_pin(&set), expected, "setPIN {pin:x?}");
            let mut key = with_pin();
            let change = Platform::agree(&mut key, protocol).change_pin(PIN, pin);
            assert_eq!(key.client_pin(&change), expected, "changePIN {pin:x?}");
            assert_eq!(key.pin_retries(), (8, false), "the old one was right");
            if expected != status::OK {
                key.pin_token(2, PIN).unwrap();
            }
        }
    }
}

#[test]
fn a_profiles_minimum_length_and_complexity_policy_are_held() {
    let mut key = Driver::of(altered(&[
        ("min_pin_length = 4", "min_pin_length = 6"),
        ("pin_complexity_policy = false", "pin_complexity_policy = true"),
    ]));
    assert_eq!(body(&key.send(&[GET_INFO]))[&0x0D], int(6));
    for (pin, expected) in [
        ("24680", status::PIN_POLICY_VIOLATION),
        ("123456", status::PIN_POLICY_VIOLATION),
        ("777777", status::PIN_POLICY_VIOLATION),
        ("246801", status::OK),
    ] {
        let set = Platform::agree(&mut key, 2).set_pin(pin.as_bytes());
        assert_eq!(key.client_pin(&set), expected, "{pin}");
    }
}

#[test]
fn what_is_not_authenticated_is_refused_and_costs_nothing() {
    for protocol in [1, 2] {
        let mut key = Driver::new();
        let platform = Platform::agree(&mut key, protocol);
        let good = platform.set_pin(PIN.as_bytes());
        for number in [4, 5] {
            let mut altered = good.hash(number);
            *altered.last_mut().unwrap() ^= 1;
            assert_eq!(key.client_pin(&good.clone().with(number, bytes(&altered))), status::PIN_AUTH_INVALID);
        }
        assert_eq!(key.client_pin(&good.clone().with(4, bytes(&[]))), status::PIN_AUTH_INVALID);
        // Under protocol two all 32 bytes count.
        assert_eq!(key.client_pin(&good.clone().with(4, bytes(&good.hash(4)[..15]))), status::PIN_AUTH_INVALID);
        assert_eq!(key.client_pin(&good), status::OK);

        let change = platform.change_pin(PIN, b"5678");
        for number in [4, 5, 6] {
            let mut altered = change.hash(number);
            *altered.last_mut().unwrap() ^= 1;
            assert_eq!(key.client_pin(&change.clone().with(number, bytes(&altered))), status::PIN_AUTH_INVALID);
            assert_eq!(key.pin_retries(), (8, false));
        }
        assert_eq!(key.client_pin(&change), status::OK);
    }
}

#[test]
fn under_protocol_two_sixteen_of_the_thirty_two_bytes_are_not_enough() {
    let mut key = Driver::new();
    let good = Platform::agree(&mut key, 2).set_pin(PIN.as_bytes());
    let half = good.hash(4)[..16].to_vec();
    assert_eq!(key.client_pin(&good.clone().with(4, bytes(&half))), status::PIN_AUTH_INVALID);
    let mut altered = good.hash(4);
    altered[31] ^= 1;
    assert_eq!(key.client_pin(&good.with(4, bytes(&altered))), status::PIN_AUTH_INVALID);
}

#[test]
fn every_mandatory_parameter_is_missed() {
    let mut key = with_pin();
    let platform = Platform::agree(&mut key, 2);
    let mut blank = Driver::new();
    let other = Platform::agree(&mut blank, 2);
    for (key, request, members) in [
        (&mut key, platform.get_pin_token(PIN), &[1, 3, 6][..]),
        (&mut blank, other.set_pin(PIN.as_bytes()), &[1, 3, 4, 5]),
    ] {
        for member in members {
            let request = request.clone().without(*member);
            assert_eq!(key.client_pin(&request), status::MISSING_PARAMETER, "{member}");
        }
        assert_eq!(key.client_pin(&request), status::OK);
    }
    for member in [1, 3, 6, 9, 10] {
        let request = platform.get_token(PIN, permission::MC, Some(SITE)).without(member);
        assert_eq!(key.client_pin(&request), status::MISSING_PARAMETER, "{member}");
    }
    for member in [1, 3, 4, 5, 6] {
        let request = platform.change_pin(PIN, b"5678").without(member);
        assert_eq!(key.client_pin(&request), status::MISSING_PARAMETER, "{member}");
    }
    // It is said before what is wrong with others (step 1 of each subcommand).
    let request = platform.get_pin_token(PIN).without(6).with(1, int(3));
    assert_eq!(key.client_pin(&request), status::MISSING_PARAMETER);
    let agreement = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT);
    assert_eq!(key.client_pin(&agreement), status::MISSING_PARAMETER);
    assert_eq!(key.client_pin(&agreement.without(2).with(1, int(2))), status::MISSING_PARAMETER);
    assert_eq!(key.pin_retries(), (8, false));
}

#[test]
fn protocols_subcommands_and_keys_that_are_none_have_their_status() {
    let mut key = with_pin();
    let platform = Platform::agree(&mut key, 2);
    for protocol in [0, 3, 255] {
        let agreement = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(protocol));
        assert_eq!(key.client_pin(&agreement), status::INVALID_PARAMETER);
        assert_eq!(key.client_pin(&platform.get_pin_token(PIN).with(1, int(protocol))), status::INVALID_PARAMETER);
    }
    // getPinUvAuthTokenUsingUvWithPermissions and getUVRetries are for built-in user verification.
    for number in [0x00, 0x06, 0x07, 0x08, 0x0A, 0xFF] {
        assert_eq!(key.client_pin(&platform.get_pin_token(PIN).with(2, int(number))), status::INVALID_SUBCOMMAND);
    }
    let off_curve = Value::map(vec![
        (int(1), int(2)),
        (int(3), int(-25)),
        (int(-1), int(1)),
        (int(-2), bytes(&[1; 32])),
        (int(-3), bytes(&[1; 32])),
    ]);
    assert_eq!(key.client_pin(&platform.get_pin_token(PIN).with(3, off_curve)), status::INVALID_PARAMETER);
    assert_eq!(key.pin_retries(), (8, false), "nothing was spent");
    // Decryption fails: a PIN that is not right.
    assert_eq!(key.client_pin(&platform.get_pin_token(PIN).with(6, bytes(&[0; 15]))), status::PIN_INVALID);
    assert_eq!(key.pin_retries(), (7, false));
}

#[test]
fn a_profile_with_protocol_one_alone_refuses_two() {
    let mut key = Driver::of(altered(&[("pin_uv_auth_protocols = [2, 1]", "pin_uv_auth_protocols = [1]")]));
    let agreement = Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(2));
    assert_eq!(key.client_pin(&agreement), status::INVALID_PARAMETER);
    let set = Platform::agree(&mut key, 1).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&set), status::OK);
    key.pin_token(1, PIN).unwrap();
}

#[test]
fn a_key_without_permissions_does_not_know_the_subcommand_for_them() {
    let mut key = Driver::of(built_in("yubikey-5.4"));
    key.set_pin(PIN);
    assert_eq!(key.token(2, PIN, permission::MC, Some(SITE)), Err(status::INVALID_SUBCOMMAND));
    key.pin_token(2, PIN).unwrap();
}

/// Whatever happens at a commit: only a right PIN whose last commit is durable makes the retries full.
#[test]
fn no_retry_is_gained_by_killing_the_key_or_failing_its_disk() {
    const NEW_PIN: &str = "864200";
    let request = |key: &mut Driver, way: usize, pin: &str| {
        let platform = Platform::agree(key, 2);
        match way {
            0 => platform.get_pin_token(pin),
            1 => platform.get_token(pin, permission::GA, Some(SITE)),
            2 => platform.get_token(pin, permission::PCMR, None),
            _ => platform.change_pin(pin, NEW_PIN.as_bytes()),
        }
        .message(CLIENT_PIN)
    };
    for way in 0..4 {
        for (pin, commits) in [(PIN, 2), ("0000", 1)] {
            for number in 0..commits {
                for fate in [Fate::KilledBefore(number), Fate::KilledAfter(number), Fate::FailsAt(number)] {
                    let mut key = with_pin();
                    let message = request(&mut key, way, pin);
                    key.fate = fate;
                    let answer = key.try_send(&message);
                    let mut key = if let Fate::FailsAt(_) = fate {
                        assert_eq!(answer, Some(vec![status::OTHER]));
                        key.fate = Fate::Durable;
                        key
                    } else {
                        assert_eq!(answer, None);
                        key.restarted()
                    };
                    let last_is_durable = fate == Fate::KilledAfter(commits - 1);
                    let expected = match number {
                        0 if fate != Fate::KilledAfter(0) => 8,
                        _ if pin == PIN && last_is_durable => 8,
                        _ => 7,
                    };
                    assert_eq!(key.pin_retries(), (expected, false), "way {way}, PIN {pin}, {fate:?}");
                    let changed = way == 3 && pin == PIN && last_is_durable;
                    key.pin_token(2, if changed { NEW_PIN } else { PIN }).unwrap();
                }
            }
        }
    }
}
