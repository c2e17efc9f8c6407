use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::{Response as Answer, Status};

use super::*;
use crate::pin::PinMistake;
use crate::testing::*;

fn silent(state: PinState, info: get_info::Response) -> (Key<Scripted>, std::sync::Arc<std::sync::Mutex<PinState>>) {
    let (key, _, state) = with_pin("A", info, state, |request| panic!("it was asked {request:?}"));
    (key, state)
}

#[tokio::test]
async fn a_first_pin_is_set_and_then_changed() {
    for protocols in [vec![1], vec![2, 1]] {
        let info = get_info::Response { pin_uv_auth_protocols: protocols, ..pin_info() };
        let (mut key, state) = silent(PinState::of(None), info);
        let cancel = Cancel::never();
        key.set_pin(&Pin::new("1234"), &cancel).await.unwrap();
        assert_eq!(state.lock().unwrap().pin.as_deref(), Some(&b"1234"[..]));
        assert_eq!(key.set_pin(&Pin::new("5678"), &cancel).await, Err(PinProblem::AlreadySet.into()));
        key.change_pin(&Pin::new("1234"), &Pin::new("567890"), &cancel).await.unwrap();
        assert_eq!(state.lock().unwrap().pin.as_deref(), Some(&b"567890"[..]));
        assert_eq!(key.pin_retries(&cancel).await, Ok(PinRetries { left: 8, power_cycle_needed: false }));
    }
}

#[tokio::test]
async fn a_wrong_pin_is_the_keys_to_refuse() {
    let (mut key, _) = silent(PinState::of(Some("1234")), pin_info());
    let cancel = Cancel::never();
    for (expected, left, power_cycle_needed) in
        [(Status::PinInvalid, 7, false), (Status::PinInvalid, 6, false), (Status::PinAuthBlocked, 5, true)]
    {
        let error = key.change_pin(&Pin::new("0000"), &Pin::new("5678"), &cancel).await;
        assert_eq!(error, Err(Cause::Status { command: Command::ClientPin, status: expected }));
        assert_eq!(key.pin_retries(&cancel).await, Ok(PinRetries { left, power_cycle_needed }));
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_the_key_is_asked() {
    let cancel = Cancel::never();
    let (mut key, _) = silent(PinState::of(None), pin_info());
    let too_short = PinProblem::Mistake(PinMistake::TooShort { minimum: 4 });
    assert_eq!(key.set_pin(&Pin::new("123"), &cancel).await, Err(too_short.into()));
    assert_eq!(key.change_pin(&Pin::new("1234"), &Pin::new("5678"), &cancel).await, Err(PinProblem::NotSet.into()));
    let mut without = info();
    without.options.retain(|(option, _)| option != "clientPin");
    let (mut key, _) = crate::testing::key("A", without, |request| panic!("it was asked {request:?}"));
    for outcome in [
        key.set_pin(&Pin::new("1234"), &cancel).await,
        key.change_pin(&Pin::new("1234"), &Pin::new("5678"), &cancel).await,
    ] {
        assert_eq!(outcome, Err(PinProblem::NotSupported.into()));
    }
}

/// CTAP 2.3 §6.5.5.7: with permissions where `pinUvAuthToken` is there, by getPinToken in keys that are older.
#[tokio::test]
async fn tokens_have_permissions_in_keys_that_know_them() {
    let purpose = Purpose { permissions: Permissions::MC | Permissions::GA, rp_id: Some("example.org") };
    let mut old = pin_info();
    old.options.retain(|(option, _)| option != "pinUvAuthToken");
    old.pin_uv_auth_protocols = vec![1];
    for (info, expected) in [
        (
            pin_info(),
            (
                Subcommand::GetPinUvAuthTokenUsingPinWithPermissions,
                Some(Permissions(3)),
                Some("example.org".to_owned()),
            ),
        ),
        (old, (Subcommand::GetPinToken, None, None)),
    ] {
        let protocol = PinUvAuthProtocol::of(&info).unwrap();
        let (mut key, state) = silent(PinState::of(Some("1234")), info);
        let token = key.token_by_pin(&Pin::new("1234"), purpose, &Cancel::never()).await.unwrap();
        assert_eq!(state.lock().unwrap().tokens, [expected]);
        let auth = token.authenticate(b"abc");
        assert_eq!(auth.protocol, Some(protocol.number()));
        assert_eq!(auth.param, Some(protocol.authenticate(&TOKEN, b"abc")));
    }
}

#[tokio::test]
async fn answers_that_no_key_should_give() {
    use keyrig_ctap::cose::KeyAgreementKey;
    let answering = |response: Response| {
        key("A", pin_info_with_pin(), move |_| Reply::Now(ok(Answer::ClientPin(Box::new(response.clone()))))).0
    };
    let off_the_curve = KeyAgreementKey { x: [1; 32], y: [2; 32] };
    for (response, expected) in [
        (Response::default(), InvalidResponse::Missing("keyAgreement")),
        (Response { key_agreement: Some(off_the_curve), ..Response::default() }, InvalidResponse::KeyAgreement),
    ] {
        let outcome = answering(response).change_pin(&Pin::new("1234"), &Pin::new("5678"), &Cancel::never()).await;
        assert_eq!(outcome, Err(refused(expected)));
    }
    let outcome = answering(Response::default()).pin_retries(&Cancel::never()).await;
    assert_eq!(outcome, Err(refused(InvalidResponse::Missing("pinRetries"))));
}

/// Half a token, encrypted under whatever secret: it decrypts to 16 bytes, of which protocol two makes no token.
#[tokio::test]
async fn a_token_of_a_length_that_it_may_not_have_is_refused() {
    let agreement = p256::SecretKey::from_slice(&[0x42; 32]).unwrap();
    let (public, _) = PinUvAuthProtocol::Two
        .agree(&agreement, &keyrig_ctap::cose::KeyAgreementKey { x: generator().0, y: generator().1 }, &system())
        .unwrap();
    let (mut key, _) = key("A", pin_info_with_pin(), move |request| {
        let Message::ClientPin(request) = request else { panic!("it was asked {request:?}") };
        let response = match request.subcommand {
            Subcommand::GetKeyAgreement => Response { key_agreement: Some(public), ..Response::default() },
            _ => Response { pin_uv_auth_token: Some(vec![0; 32]), ..Response::default() },
        };
        Reply::Now(ok(Answer::ClientPin(Box::new(response))))
    });
    let purpose = Purpose { permissions: Permissions::GA, rp_id: None };
    let outcome = key.token_by_pin(&Pin::new("1234"), purpose, &Cancel::never()).await;
    assert_eq!(outcome.err(), Some(refused(InvalidResponse::TokenLength)));
}

/// The base point of P-256 (SEC 2 §2.4.2).
fn generator() -> ([u8; 32], [u8; 32]) {
    let sized = |text: &str| unhex(text).try_into().unwrap();
    (
        sized("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        sized("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    )
}

fn pin_info_with_pin() -> get_info::Response {
    let mut info = pin_info();
    info.options.retain(|(option, _)| option != "clientPin");
    info.options.push(("clientPin".to_owned(), true));
    info
}
