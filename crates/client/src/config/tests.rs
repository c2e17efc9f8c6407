use keyrig_ctap::{Command, Response, Status};

use super::*;
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::testing::*;

fn configurable(script: impl FnMut(&Message) -> Reply + Send + 'static) -> Key<Scripted> {
    let mut info = info();
    info.options.push(("authnrCfg".to_owned(), true));
    key("A", info, script).0
}

fn token() -> PinUvAuthToken {
    PinUvAuthToken::new(PinUvAuthProtocol::Two, zeroize::Zeroizing::new(TOKEN.to_vec()))
}

/// CTAP 2.3 §6.11: the messages by hand, authenticated over 32 bytes of 0xFF, 0x0D, the subcommand and its parameters.
#[tokio::test]
async fn messages_and_what_authenticates_them_are_the_specifications() {
    let never = Cancel::never();
    let mut key = configurable(|_| Reply::Now(ok(Response::Done)));
    let rules = PinRules {
        minimum_length: Some(6),
        rp_ids: Some(vec!["a.b".to_owned()]),
        force_change: true,
        complexity_policy: None,
    };
    key.enable_enterprise_attestation(Some(&token()), &never).await.unwrap();
    key.toggle_always_uv(Some(&token()), &never).await.unwrap();
    key.set_pin_rules(&rules, Some(&token()), &never).await.unwrap();
    key.enable_long_touch_for_reset(Some(&token()), &never).await.unwrap();
    key.toggle_always_uv(None, &never).await.unwrap();
    let sent: Vec<_> = key
        .exchanges()
        .iter()
        .filter(|exchange| exchange.command() == Some(Command::Config))
        .map(|exchange| hex::encode(&exchange.request))
        .collect();
    let signed = |subcommand: &str, parameters: &str| {
        let message = unhex(&format!("{}0d{subcommand}{parameters}", "ff".repeat(32)));
        hex::encode(PinUvAuthProtocol::Two.authenticate(&TOKEN, &message))
    };
    let parameters = "a30106028163612e6203f5";
    assert_eq!(
        sent,
        [
            format!("0da30101030204 5820{}", signed("01", "")),
            format!("0da30102030204 5820{}", signed("02", "")),
            format!("0da4010302{parameters}0302045820{}", signed("03", parameters)),
            format!("0da30104030204 5820{}", signed("04", "")),
            "0da10102".to_owned(),
        ]
        .map(|text| text.replace(' ', ""))
    );
}

#[tokio::test]
async fn a_key_that_cannot_be_configured_is_not_asked() {
    let (mut key, _) = key("A", info(), |request| panic!("it was asked {request:?}"));
    assert_eq!(key.toggle_always_uv(None, &Cancel::never()).await, Err(Unsuitable::Configuration.into()));
}

#[tokio::test(start_paused = true)]
async fn a_reset_takes_a_touch_and_what_the_key_said_of_itself_is_old_then() {
    let (mut fresh, finger) = key("A", info(), |_| Reply::AfterTouch(ok(Response::Done)));
    fresh.get_info(&Cancel::never()).await.unwrap();
    finger.notify_one();
    fresh.reset(&Cancel::never()).await.unwrap();
    assert_eq!(fresh.info(), None);
    let (mut late, _) = key("A", info(), |_| Reply::Now(status(Status::NotAllowed)));
    let refused = Cause::Status { command: Command::Reset, status: Status::NotAllowed };
    assert_eq!(late.reset(&Cancel::never()).await, Err(refused));
}
