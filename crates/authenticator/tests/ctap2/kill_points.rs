//! A key that is killed: at every commit of every command, before it is durable and after.
//!
//! The points are enumerated by the driver: they go on until the command answers before it comes to the next one. At each the
//! disk is as before the command or as after it, but for a PIN retry that was spent; and none is ever gained.

use crate::support::codec::{
    CLIENT_PIN, Created, GET_INFO, GET_NEXT_ASSERTION, Parameters, RESET, array, boolean, bytes, int, map, status, text,
};
use crate::support::platform::{Platform, permission};
use crate::support::{Driver, Event, Fate, Records, User, built_in};
use crate::{config, credential_management, large_blobs, u2f};

const PIN: &str = "1357";
const OTHER_PIN: &str = "2468";
const SITE: &str = "example.com";

/// What is sent.
enum Message {
    Ctap2(Vec<u8>),
    U2f(Vec<u8>),
}

/// A command, with what it answers if nobody is killed: it is prepared anew for each point, and the same each time.
struct Case {
    name: &'static str,
    profile: &'static str,
    /// Prepares the key, and says what to send.
    prepare: fn(&mut Driver) -> Message,
    answers: fn(&[u8]) -> bool,
}

fn ok(answer: &[u8]) -> bool {
    answer[0] == status::OK
}

/// A PIN, of which one retry has been spent: a retry that is given back would be seen.
fn with_pin(key: &mut Driver) {
    key.set_pin(PIN);
    assert_eq!(key.token(2, OTHER_PIN, permission::CM, None), Err(status::PIN_INVALID));
    assert_eq!(key.pin_retries().0, 7);
}

/// One attempt at built-in user verification has failed, and the next would.
fn missed(key: &mut Driver) {
    key.user = User::IsAnother;
    let request = Platform::agree(key, 2).get_token_by_uv(permission::CM, None);
    assert_eq!(key.client_pin(&request), status::UV_INVALID);
}

fn discoverable(key: &mut Driver, user: &str) -> Created {
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    key.create(&Parameters::discoverable(SITE, user).created_by(&token))
}

fn client_pin(parameters: &Parameters) -> Message {
    Message::Ctap2(parameters.message(CLIENT_PIN))
}

fn managed(key: &mut Driver, subcommand: u8) -> Message {
    key.set_pin(PIN);
    let created = discoverable(key, "one");
    discoverable(key, "two");
    let token = key.token(2, PIN, permission::CM, None).unwrap();
    let parameters = if subcommand == 0x06 {
        credential_management::of_credential(&created.id)
    } else {
        credential_management::with_user(&created.id, credential_management::user("one", "Uno", "Uno"))
    };
    Message::Ctap2(credential_management::request(subcommand, Some(parameters), Some(&token)).message(0x0A))
}

fn configured(key: &mut Driver, subcommand: u8, parameters: Option<sk_cbor::Value>) -> Message {
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::ACFG, None).unwrap();
    Message::Ctap2(config::request(subcommand, parameters, Some(&token)).message(0x0D))
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "setPIN",
            profile: "keyrig",
            prepare: |key| client_pin(&Platform::agree(key, 2).set_pin(PIN.as_bytes())),
            answers: ok,
        },
        Case {
            name: "changePIN",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 1).change_pin(PIN, OTHER_PIN.as_bytes()))
            },
            answers: ok,
        },
        Case {
            name: "changePIN to a PIN that is too short",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 2).change_pin(PIN, b"1"))
            },
            answers: |answer| answer == [status::PIN_POLICY_VIOLATION],
        },
        Case {
            name: "changePIN with a wrong PIN",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 2).change_pin(OTHER_PIN, PIN.as_bytes()))
            },
            answers: |answer| answer == [status::PIN_INVALID],
        },
        Case {
            name: "getPinToken",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 1).get_pin_token(PIN))
            },
            answers: ok,
        },
        Case {
            name: "a token with permissions",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 2).get_token(PIN, permission::CM, None))
            },
            answers: ok,
        },
        Case {
            name: "a persistent token",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 2).get_token(PIN, permission::PCMR, None))
            },
            answers: ok,
        },
        Case {
            name: "a token by a wrong PIN",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                client_pin(&Platform::agree(key, 2).get_token(OTHER_PIN, permission::CM, None))
            },
            answers: |answer| answer == [status::PIN_INVALID],
        },
        Case {
            name: "a token by built-in user verification, after one that failed",
            profile: "keyrig-uv",
            prepare: |key| {
                missed(key);
                key.user = User::Touches;
                client_pin(&Platform::agree(key, 2).get_token_by_uv(permission::CM, None))
            },
            answers: ok,
        },
        Case {
            name: "a token by built-in user verification of somebody else",
            profile: "keyrig-uv",
            prepare: |key| {
                missed(key);
                client_pin(&Platform::agree(key, 2).get_token_by_uv(permission::CM, None))
            },
            answers: |answer| answer == [status::UV_INVALID],
        },
        Case {
            name: "a PIN that makes the retries of built-in user verification full",
            profile: "keyrig-uv",
            prepare: |key| {
                with_pin(key);
                missed(key);
                client_pin(&Platform::agree(key, 2).get_token(PIN, permission::CM, None))
            },
            answers: ok,
        },
        Case {
            name: "makeCredential by built-in user verification",
            profile: "keyrig-uv",
            prepare: |_| {
                let options = map([("rk", boolean(true)), ("uv", boolean(true))]);
                Message::Ctap2(Parameters::make_credential(SITE, "root").with(7, options).create())
            },
            answers: ok,
        },
        Case {
            name: "makeCredential with all that is stored",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                discoverable(key, "root");
                let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
                let extensions = map([("credBlob", bytes(b"blob")), ("largeBlobKey", boolean(true))]);
                let request = Parameters::discoverable(SITE, "root").with(6, extensions).created_by(&token);
                Message::Ctap2(request.create())
            },
            answers: ok,
        },
        Case {
            name: "getAssertion with a token",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                discoverable(key, "root");
                let token = key.token(2, PIN, permission::GA, Some(SITE)).unwrap();
                Message::Ctap2(Parameters::get_assertion(SITE).got_by(&token).get())
            },
            answers: ok,
        },
        Case {
            name: "getNextAssertion",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                discoverable(key, "one");
                discoverable(key, "two");
                assert!(ok(&key.send(&Parameters::get_assertion(SITE).get())));
                Message::Ctap2(vec![GET_NEXT_ASSERTION])
            },
            answers: ok,
        },
        Case { name: "deleteCredential", profile: "keyrig", prepare: |key| managed(key, 0x06), answers: ok },
        Case { name: "updateUserInformation", profile: "keyrig", prepare: |key| managed(key, 0x07), answers: ok },
        Case {
            name: "the last fragment of a large-blob array",
            profile: "keyrig",
            prepare: |key| {
                let array = large_blobs::array(100);
                assert!(ok(&key.send(&large_blobs::set(0, &array[..60], Some(100)).message(0x0C))));
                Message::Ctap2(large_blobs::set(60, &array[60..], None).message(0x0C))
            },
            answers: ok,
        },
        Case { name: "toggleAlwaysUv", profile: "keyrig", prepare: |key| configured(key, 0x02, None), answers: ok },
        Case {
            name: "setMinPINLength",
            profile: "keyrig",
            prepare: |key| configured(key, 0x03, config::parameters([(1, int(8))])),
            answers: ok,
        },
        Case {
            name: "enableLongTouchForReset",
            profile: "keyrig",
            prepare: |key| configured(key, 0x04, None),
            answers: ok,
        },
        Case {
            name: "reset",
            profile: "keyrig",
            prepare: |key| {
                with_pin(key);
                discoverable(key, "root");
                let token = key.token(2, PIN, permission::ACFG | permission::LBW, None).unwrap();
                let all = config::parameters([(2, array([text(SITE)]))]);
                assert!(ok(&key.send(&config::request(0x03, all, Some(&token)).message(0x0D))));
                let blobs = large_blobs::array(50);
                let whole = large_blobs::written_by(large_blobs::set(0, &blobs, Some(50)), &token);
                assert!(ok(&key.send(&whole.message(0x0C))));
                key.power_up();
                Message::Ctap2(vec![RESET])
            },
            answers: ok,
        },
        Case {
            name: "getAssertion of an imported credential",
            profile: "keyrig",
            prepare: |key| {
                crate::administration::import_counted(key, b"imported");
                Message::Ctap2(Parameters::allow(SITE, &[b"imported"]).get())
            },
            answers: ok,
        },
        Case {
            name: "U2F_AUTHENTICATE",
            profile: "keyrig",
            prepare: |key| {
                let registered = key.register(SITE);
                let message = u2f::authenticate(u2f::ENFORCE, SITE, &registered.key_handle);
                key.send_u2f(&message);
                key.touch_u2f();
                Message::U2f(message)
            },
            answers: |answer| answer.ends_with(&[0x90, 0x00]),
        },
    ]
}

fn send(key: &mut Driver, message: &Message) -> Option<Vec<u8>> {
    match message {
        Message::Ctap2(message) => key.try_send(message),
        Message::U2f(message) => key.try_send_u2f(message),
    }
}

/// What is on the disk beside retries, and how many there are: of the PIN, and of built-in user verification.
fn split(disk: &Records) -> (Records, [u8; 2]) {
    let mut rest = disk.as_map().clone();
    // A record that is not there has its default (CTAP 2.3 §6.5.2.2).
    let retries = rest.remove(&b"pin retries"[..]).map_or(8, |retries| retries[0]);
    let failed = rest.remove(&b"uv attempts"[..]).map_or(0, |attempts| attempts[0]);
    (rest.into(), [retries, u8::MAX - failed])
}

#[test]
fn at_every_commit_a_killed_key_is_as_before_or_as_after_and_no_retry_is_gained() {
    for case in cases() {
        let mut key = Driver::of(built_in(case.profile));
        let message = (case.prepare)(&mut key);
        let before = key.disk.clone();
        let answer = send(&mut key, &message).unwrap();
        assert!((case.answers)(&answer), "{}: {answer:02x?}", case.name);
        let commits = key.seen.iter().filter(|event| **event == Event::Commit).count();
        let after = key.disk.clone();
        assert_ne!(before, after, "{}: a command that changes nothing tests nothing", case.name);

        let mut points = 0;
        'points: for number in 0.. {
            for fate in [Fate::KilledBefore(number), Fate::KilledAfter(number)] {
                let mut key = Driver::of(built_in(case.profile));
                let message = (case.prepare)(&mut key);
                assert_eq!(key.disk, before, "{}: prepared the same", case.name);
                key.fate = fate;
                if let Some(given) = send(&mut key, &message) {
                    assert_eq!((given, &key.disk), (answer.clone(), &after), "{}", case.name);
                    break 'points;
                }
                points += 1;
                let what = format!("{}, {fate:?}", case.name);
                let (rest, retries) = split(&key.disk);
                let unchanged = rest == split(&before).0;
                assert!(unchanged || key.disk == after, "{what}: between");
                let gained = retries.iter().zip(split(&before).1).any(|(now, before)| *now > before);
                assert!(key.disk == after || !gained, "{what}: a retry was gained");
                match fate {
                    Fate::KilledBefore(0) => assert_eq!(key.disk, before, "{what}"),
                    Fate::KilledAfter(last) if last + 1 == commits => assert_eq!(key.disk, after, "{what}"),
                    _ => {}
                }
                let mut key = key.restarted();
                assert_eq!(key.status(&[GET_INFO]), status::OK, "{what}: the key comes back");
            }
        }
        assert_eq!(points, 2 * commits, "{}: before and after each commit", case.name);
    }
}
