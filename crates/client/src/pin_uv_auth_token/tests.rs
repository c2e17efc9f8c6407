use std::sync::{Arc, Mutex};

use keyrig_ctap::client_pin::{self, Permissions, Subcommand};
use keyrig_ctap::{Command, Request, Response};

use super::*;
use crate::testing::*;

const PURPOSE: Purpose<'_> = Purpose { permissions: Permissions::GA, rp_id: Some("example.org") };

/// What was asked: which PIN, after which mistake, with how many tries left.
type Asked = (PinReason, Option<PinMistake>, Option<u64>);

/// Answers by a list, and remembers what it was asked.
struct User {
    answers: Mutex<Vec<Option<&'static str>>>,
    asked: Mutex<Vec<Asked>>,
}

impl User {
    fn typing(answers: &[Option<&'static str>]) -> Self {
        Self { answers: Mutex::new(answers.to_vec()), asked: Mutex::default() }
    }

    fn ask(&self, request: &PinRequest) -> Option<Pin> {
        assert_eq!(request.key, "A");
        self.asked.lock().unwrap().push((request.reason, request.mistake, request.retries));
        self.answers.lock().unwrap().remove(0).map(Pin::new)
    }
}

struct Told {
    outcome: Result<PinUvAuthToken, Cause>,
    asked: Vec<Asked>,
    state: Arc<Mutex<PinState>>,
}

async fn told_with(info: get_info::Response, state: PinState, answers: &[Option<&'static str>]) -> Told {
    let (mut key, _, state) = with_pin("A", info, state, |request| panic!("it was asked {request:?}"));
    let user = Arc::new(User::typing(answers));
    let asking = Arc::clone(&user);
    let outcome = by_pin(&mut key, &move |request| asking.ask(request), PURPOSE, &Cancel::never()).await;
    assert!(user.answers.lock().unwrap().is_empty(), "every answer was asked for");
    Told { outcome, asked: std::mem::take(&mut user.asked.lock().unwrap()), state }
}

async fn told(state: PinState, answers: &[Option<&'static str>]) -> Told {
    told_with(pin_info(), state, answers).await
}

#[tokio::test]
async fn the_right_pin_yields_a_token() {
    let told = told(PinState::of(Some("1234")), &[Some("1234")]).await;
    assert_eq!(told.outcome.unwrap().secret[..], TOKEN);
    assert_eq!(told.asked, [(PinReason::Verify, None, Some(8))]);
}

/// As browsers do: what was wrong, how many tries are left, once more.
#[tokio::test]
async fn a_wrong_pin_is_asked_for_again_with_the_tries_that_are_left() {
    let told = told(PinState::of(Some("1234")), &[Some("0000"), Some("12"), Some("1111"), Some("1234")]).await;
    told.outcome.unwrap();
    let (verify, wrong) = (PinReason::Verify, Some(PinMistake::Wrong));
    assert_eq!(
        told.asked,
        [
            (verify, None, Some(8)),
            (verify, wrong, Some(7)),
            // This one was never sent.
            (verify, Some(PinMistake::TooShort { minimum: 4 }), Some(7)),
            (verify, wrong, Some(6)),
        ]
    );
}

#[tokio::test]
async fn three_wrong_pins_end_it_until_the_key_is_plugged_in_anew() {
    let end = told(PinState::of(Some("1234")), &[Some("0000"), Some("1111"), Some("2222")]).await;
    let blocked = Cause::Status { command: Command::ClientPin, status: Status::PinAuthBlocked };
    assert_eq!(end.outcome.err(), Some(blocked));
    let state = PinState { wrong_in_a_row: 3, retries: 5, ..PinState::of(Some("1234")) };
    let end = told(state, &[]).await;
    assert_eq!(end.outcome.err(), Some(PinProblem::PowerCycleNeeded.into()));
}

#[tokio::test]
async fn the_last_wrong_pin_blocks_it() {
    let state = PinState { retries: 1, ..PinState::of(Some("1234")) };
    let end = told(state, &[Some("0000")]).await;
    assert_eq!(end.asked, [(PinReason::Verify, None, Some(1))]);
    let blocked = Cause::Status { command: Command::ClientPin, status: Status::PinBlocked };
    assert_eq!(end.outcome.err(), Some(blocked));
    let state = PinState { retries: 0, ..PinState::of(Some("1234")) };
    let end = told(state, &[]).await;
    assert_eq!(end.outcome.err(), Some(PinProblem::Blocked.into()));
}

#[tokio::test]
async fn a_user_may_give_none() {
    let told = told(PinState::of(Some("1234")), &[Some("0000"), None]).await;
    assert_eq!(told.outcome.err(), Some(PinProblem::Mistake(PinMistake::Wrong).into()), "why there is no going on");
    assert_eq!(told.state.lock().unwrap().retries, 7);
}

#[tokio::test]
async fn whoever_gives_impossible_pins_for_ever_is_not_asked_for_ever() {
    let told = told(PinState::of(Some("1234")), &[Some("1"); 8]).await;
    assert_eq!(told.outcome.err(), Some(PinProblem::Mistake(PinMistake::TooShort { minimum: 4 }).into()));
    assert_eq!(told.state.lock().unwrap().retries, 8, "none of them was sent");
}

#[tokio::test]
async fn a_first_pin_is_set_on_the_way() {
    let mut info = pin_info();
    info.min_pin_length = Some(6);
    let state = PinState { refuses: vec!["123456"], ..PinState::of(None) };
    let told = told_with(info, state, &[Some("1234"), Some("123456"), Some("582046")]).await;
    told.outcome.unwrap();
    assert_eq!(
        told.asked,
        [
            (PinReason::Set, None, None),
            (PinReason::Set, Some(PinMistake::TooShort { minimum: 6 }), None),
            (PinReason::Set, Some(PinMistake::Policy), None),
        ]
    );
    let state = told.state.lock().unwrap();
    assert_eq!(state.pin.as_deref(), Some(&b"582046"[..]));
    assert_eq!(state.tokens.len(), 1);
}

#[tokio::test]
async fn a_pin_that_has_to_be_changed_is_changed_on_the_way() {
    let state = PinState { force_change: true, ..PinState::of(Some("1234")) };
    let told = told(state, &[Some("0000"), Some("5678"), Some("1234"), Some("1234"), Some("5678")]).await;
    told.outcome.unwrap();
    let wrong = Some(PinMistake::Wrong);
    assert_eq!(
        told.asked,
        [
            (PinReason::Verify, None, Some(8)),
            (PinReason::Change, None, None),
            // Only changing it shows that the first was wrong.
            (PinReason::Verify, wrong, Some(7)),
            (PinReason::Change, None, None),
            (PinReason::Change, Some(PinMistake::SameAsCurrent), None),
        ]
    );
    assert_eq!(told.state.lock().unwrap().pin.as_deref(), Some(&b"5678"[..]));
}

/// The minimum length was raised after the key was asked what it is: the right PIN is refused by policy.
#[tokio::test]
async fn a_change_that_is_demanded_unannounced_is_made_too() {
    let (mut key, _, state) = with_pin("A", pin_info(), PinState::of(Some("1234")), |request| panic!("{request:?}"));
    key.get_info(&Cancel::never()).await.unwrap();
    state.lock().unwrap().force_change = true;
    let user = User::typing(&[Some("1234"), Some("5678")]);
    by_pin(&mut key, &move |request| user.ask(request), PURPOSE, &Cancel::never()).await.unwrap();
    assert_eq!(state.lock().unwrap().pin.as_deref(), Some(&b"5678"[..]));
}

/// A key with a fingerprint reader that answers by a list.
fn with_finger(retries: u64, mut answers: Vec<Status>) -> Key<Scripted> {
    let own = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
    let mut state = PinState::of(Some("1234"));
    key("A", pin_info(), move |request| {
        let Request::ClientPin(request) = request else { panic!("it was asked {request:?}") };
        match request.subcommand {
            Subcommand::GetUvRetries => {
                let response = client_pin::Response { uv_retries: Some(retries), ..client_pin::Response::default() };
                Reply::Now(ok(Response::ClientPin(Box::new(response))))
            }
            Subcommand::GetPinUvAuthTokenUsingUvWithPermissions => match answers.remove(0) {
                Status::Ok => {
                    assert_eq!(
                        (request.permissions, request.rp_id.as_deref()),
                        (Some(Permissions::GA), Some("example.org"))
                    );
                    Reply::Now(state.token(&own, request))
                }
                refused => Reply::Now(status(refused)),
            },
            _ => Reply::Now(state.answer(&own, request)),
        }
    })
    .0
}

#[tokio::test]
async fn a_finger_is_tried_as_often_as_the_key_lets_it() {
    let by = |retries, answers| async move {
        by_built_in_uv(&mut with_finger(retries, answers), PURPOSE, &Cancel::never(), || Ok(())).await
    };
    let token = by(3, vec![Status::UvInvalid, Status::UvInvalid, Status::Ok]).await.unwrap();
    assert_eq!(token.unwrap().secret[..], TOKEN);
    assert!(by(2, vec![Status::UvInvalid, Status::UvInvalid]).await.unwrap().is_none());
    assert!(by(3, vec![Status::UvInvalid, Status::UvBlocked]).await.unwrap().is_none());
    assert!(by(0, vec![]).await.unwrap().is_none());
    let denied = by(3, vec![Status::OperationDenied]).await.unwrap_err();
    assert_eq!(denied, Cause::Status { command: Command::ClientPin, status: Status::OperationDenied });
}

/// CTAP 2.3 §6.4: `uvBioEnroll` and `uvAcfg`; without them the PIN is asked for, and the finger is not.
#[tokio::test]
async fn a_finger_enrols_and_configures_only_where_the_key_says_so() {
    for (permission, option) in [(Permissions::BE, "uvBioEnroll"), (Permissions::ACFG, "uvAcfg")] {
        for (says, by_finger) in [(None, false), (Some(false), false), (Some(true), true)] {
            let mut info = pin_info();
            info.options.push(("uv".to_owned(), true));
            info.options.extend(says.map(|value| (option.to_owned(), value)));
            let own = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
            let mut answered = PinState::of(Some("1234"));
            info.options.retain(|(name, _)| name != "clientPin");
            info.options.push(("clientPin".to_owned(), true));
            let (mut key, _) = key("A", info, move |request| {
                let Request::ClientPin(request) = request else { panic!("it was asked {request:?}") };
                Reply::Now(match request.subcommand {
                    Subcommand::GetUvRetries => ok(Response::ClientPin(Box::new(client_pin::Response {
                        uv_retries: Some(3),
                        ..client_pin::Response::default()
                    }))),
                    Subcommand::GetPinUvAuthTokenUsingUvWithPermissions => answered.token(&own, request),
                    _ => answered.answer(&own, request),
                })
            });
            let user = User::typing(&[Some("1234")]);
            let ask = |request: &PinRequest| user.ask(request);
            key.pin_uv_auth_token(permission, None, &ask, &Cancel::never()).await.unwrap();
            let asked = requests(&key).iter().any(|request| {
                matches!(request, Request::ClientPin(request)
                    if request.subcommand == Subcommand::GetPinUvAuthTokenUsingUvWithPermissions)
            });
            assert_eq!(asked, by_finger, "{option}: {says:?}");
        }
    }
}
