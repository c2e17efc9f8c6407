//! The application and challenge parameters, the public key and the key handle are those of the example in U2F Raw Message
//! Formats 1.2 §8; the certificate is the shortest SEQUENCE, as nobody here looks into it.

use keyrig_ctap::u2f::{StatusWord, success};
use keyrig_ctap::{Command, Request as Ctap2, Response, Status};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::error::{DomException, KeyFailure, Refusal, RefusedBy, Unsuitable};
use crate::json::{CreationOptions, RequestOptions};
use crate::pin::Pin;
use crate::testing::*;
use crate::{AppIdRefusal, Protocol};

const POINT_X: &str = "b174bc49c7ca254b70d2e5c207cee9cf174820ebd77ea3c65508c26da51b657c";
const POINT_Y: &str = "1cc6b952f8621697936482da0a6d3d3826a59095daf6cd7c03e2e60385d2f6d9";
const KEY_HANDLE: &str = "2a552dfdb7477ed65fd84133f86196010b2215b57da75d315b7b9e8fe2e3925a6019551bab61d16591659cbaf00b4950f7abfe6660e2e006\
                          f76868b772d70c25";
/// SHA-256 of "example.org" and of "https://example.org" by `sha256sum`.
const RP_ID_HASH: &str = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5";
const APP_ID_HASH: &str = "50d7a905e3046b88638362cc34a31a1ae534766ca55e3aa397951efe653b062b";

fn registration() -> Vec<u8> {
    success(unhex(&format!("0504{POINT_X}{POINT_Y}40{KEY_HANDLE}30003006020101020102")))
}

fn authentication() -> Vec<u8> {
    success(unhex("01000000073006020101020102"))
}

fn untouched() -> Vec<u8> {
    StatusWord::ConditionsNotSatisfied.response()
}

fn creation(user_verification: &str, change: impl Fn(&mut Value)) -> CreationOptions {
    let mut options = json!({
        "rp": {"name": "Example"}, "user": {"id": "AQ", "name": "root@pam", "displayName": "root"}, "challenge": "_w",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "attestation": "direct", "extensions": {},
        "authenticatorSelection": {"userVerification": user_verification, "residentKey": "preferred"},
    });
    change(&mut options);
    CreationOptions::from_json(&options.to_string()).unwrap()
}

fn request(user_verification: &str, extensions: Value) -> RequestOptions {
    let id = crate::json::Base64Url(unhex(KEY_HANDLE)).to_string();
    let options = json!({
        "challenge": "_w", "userVerification": user_verification, "extensions": extensions,
        "allowCredentials": [{"type": "public-key", "id": "AQ"}, {"type": "public-key", "id": id}],
    });
    RequestOptions::from_json(&options.to_string()).unwrap()
}

/// A key that has the key handle for one application, and is touched when it is asked for the third time.
fn u2f_key(application: &'static str) -> impl FnMut(&Request) -> Vec<u8> + Send {
    let mut asked = 0;
    move |request| match request {
        Request::Version => success(b"U2F_V2".to_vec()),
        Request::Authenticate { control: Control::CheckOnly, application: given, key_handle, .. } => {
            if hex::encode(key_handle) == KEY_HANDLE && hex::encode(given) == application {
                untouched()
            } else {
                StatusWord::WrongData.response()
            }
        }
        _ if asked < 2 => {
            asked += 1;
            untouched()
        }
        Request::Register { .. } => registration(),
        Request::Authenticate { .. } => authentication(),
    }
}

/// WebAuthn Level 3 §8.6 and §6.1.2: what a registration becomes, byte by byte.
#[tokio::test(start_paused = true)]
async fn a_registration_becomes_a_fido_u2f_attestation() {
    let mut keys = [u2f_only("old", u2f_key(""))];
    let begun = Instant::now();
    let options = creation("preferred", |options| {
        options["extensions"] = json!({"credProps": true, "prf": {}, "largeBlob": {"support": "preferred"}});
    });
    let made = client().create(&options, &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(400), "asked again every 200 ms, not oftener");
    let public_key = format!("a5010203262001215820{POINT_X}225820{POINT_Y}");
    let data = format!("{RP_ID_HASH}4100000000{}0040{KEY_HANDLE}{public_key}", "00".repeat(16));
    let statement = "a26373696748300602010102010263783563814230 00".replace(' ', "");
    let expected = format!(
        "a363666d74686669646f2d7532666761747453746d74{statement}68617574684461746158{:02x}{data}",
        data.len() / 2
    );
    assert_eq!(hex::encode(&made.response.attestation_object.0), expected);
    assert_eq!(hex::encode(&made.id.0), KEY_HANDLE);
    assert_eq!(made.response.transports, ["usb"]);
    assert_eq!(
        Value::Object(made.client_extension_results),
        json!({"credProps": {"rk": false}, "prf": {"enabled": false}, "largeBlob": {"supported": false}})
    );
    let told: Vec<_> =
        keys[0].exchanges().iter().map(|exchange| (exchange.protocol, exchange.touch_prompts())).collect();
    assert_eq!(told, [(Protocol::Ctap2, 0), (Protocol::U2f, 0), (Protocol::U2f, 1)], "three askings are one exchange");
}

#[tokio::test(start_paused = true)]
async fn an_authentication_becomes_an_assertion() {
    let mut keys = [u2f_only("old", u2f_key(RP_ID_HASH))];
    let signed = client().get(&request("preferred", json!({})), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(hex::encode(&signed.response.authenticator_data.0), format!("{RP_ID_HASH}0100000007"));
    assert_eq!(hex::encode(&signed.response.signature.0), "3006020101020102");
    assert_eq!(hex::encode(&signed.id.0), KEY_HANDLE);
    assert_eq!(signed.response.user_handle, None);
}

/// U2F has no status for it: a key that knows an excluded handle is touched, and the page learns.
#[tokio::test(start_paused = true)]
async fn an_excluded_key_handle_is_an_invalid_state_after_a_touch() {
    let excluding = |options: &mut Value| {
        let id = crate::json::Base64Url(unhex(KEY_HANDLE)).to_string();
        options["excludeCredentials"] = json!([{"type": "public-key", "id": id}]);
    };
    for (known_for, app_id_exclude) in [(RP_ID_HASH, None), (APP_ID_HASH, Some("https://example.org"))] {
        let options = creation("discouraged", |options| {
            excluding(options);
            if let Some(app_id) = app_id_exclude {
                options["extensions"] = json!({"appidExclude": app_id});
            }
        });
        let mut keys = [u2f_only("old", u2f_key(known_for))];
        let error = client().create(&options, &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (DomException::InvalidStateError, RefusedBy::Authenticator));
        assert_eq!(keys[0].exchanges().last().unwrap().touch_prompts(), 1);
    }
    // Registered for the AppID, and the page does not say appidExclude.
    let mut keys = [u2f_only("old", u2f_key(APP_ID_HASH))];
    client().create(&creation("discouraged", excluding), &mut keys, Cancel::never()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_u2f_cannot_do_is_said_after_a_touch() {
    let resident = |options: &mut Value| options["authenticatorSelection"]["residentKey"] = json!("required");
    let rs256 = |options: &mut Value| options["pubKeyCredParams"] = json!([{"type": "public-key", "alg": -257}]);
    let blob = |options: &mut Value| options["extensions"] = json!({"largeBlob": {"support": "required"}});
    for (options, expected) in [
        (creation("required", |_| {}), Unsuitable::UserVerification),
        (creation("discouraged", resident), Unsuitable::ResidentKey),
        (creation("discouraged", rs256), Unsuitable::Algorithm),
        (creation("discouraged", blob), Unsuitable::LargeBlob),
    ] {
        let mut keys = [u2f_only("old", u2f_key(""))];
        let error = client().create(&options, &mut keys, Cancel::never()).await.unwrap_err();
        let failure = KeyFailure { key: "old".to_owned(), cause: expected.into() };
        assert_eq!(error, Refusal::Key(failure).named(DomException::NotAllowedError));
        assert_eq!(keys[0].exchanges().last().unwrap().touch_prompts(), 1, "it blinked");
    }
    for (options, expected) in [
        (request("required", json!({})), Unsuitable::UserVerification),
        (request("preferred", json!({})), Unsuitable::Credential),
    ] {
        let mut keys = [u2f_only("old", u2f_key(""))];
        let error = client().get(&options, &mut keys, Cancel::never()).await.unwrap_err();
        let failure = KeyFailure { key: "old".to_owned(), cause: expected.into() };
        assert_eq!(error.reason, Refusal::Key(failure));
    }
}

/// A credential from U2F's time on a key that has learned CTAP2 since.
#[tokio::test(start_paused = true)]
async fn an_app_id_leads_to_credentials_from_before() {
    let app_id = || json!({"appid": "https://example.org"});
    let both = |known_for: &'static str| {
        let mut info = info();
        info.versions.push("U2F_V2".to_owned());
        let (key, finger) = key("both", info, |_| {
            Reply::AfterTouch(ok(Response::GetAssertion(Box::new(get_assertion::Response {
                credential: Some(CredentialDescriptor::public_key(vec![1])),
                ..signed()
            }))))
        });
        finger.notify_one();
        [and_u2f(key, u2f_key(known_for))]
    };
    let mut keys = both(APP_ID_HASH);
    let old = client().get(&request("preferred", app_id()), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(hex::encode(&old.response.authenticator_data.0), format!("{APP_ID_HASH}0100000007"));
    assert_eq!(Value::Object(old.client_extension_results), json!({"appid": true}));

    let mut keys = both(RP_ID_HASH);
    let new = client().get(&request("preferred", app_id()), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(new.id.0, [1], "by CTAP2");
    assert_eq!(Value::Object(new.client_extension_results), json!({"appid": false}));

    let foreign = request("preferred", json!({"appid": "https://example.com"}));
    let error = client().get(&foreign, &mut both(APP_ID_HASH), Cancel::never()).await.unwrap_err();
    assert_eq!(error.name, DomException::SecurityError);
    assert!(matches!(error.reason, Refusal::AppId(AppIdRefusal::Foreign { .. })));
}

/// CTAP 2.0 makes no credential without the PIN once there is one; a page that does not care gets one by U2F.
#[tokio::test(start_paused = true)]
async fn a_pin_is_gone_around_where_the_page_can_do_without() {
    let guarded = || {
        let mut info = pin_info();
        info.versions.push("U2F_V2".to_owned());
        let (key, finger, state) = with_pin("both", info, PinState::of(Some("1234")), |request| match request {
            Ctap2::MakeCredential(_) => Reply::AfterTouch(ok(Response::MakeCredential(Box::new(made())))),
            other => panic!("it was asked {other:?}"),
        });
        finger.notify_one();
        (and_u2f(key, u2f_key("")), state)
    };
    let bare = |options: &mut Value| options["authenticatorSelection"]["residentKey"] = json!("discouraged");
    let with_prf = |options: &mut Value| {
        bare(options);
        options["extensions"] = json!({"prf": {}});
    };
    for (options, by_u2f) in [
        (creation("discouraged", bare), true),
        (creation("preferred", bare), false),
        (creation("discouraged", with_prf), false),
        // Preferred, and the key stores it: no matter for U2F.
        (creation("discouraged", |_| {}), false),
    ] {
        let (key, state) = guarded();
        let mut keys = [key];
        let client = client().with_pin(Pin::new("1234"));
        client.create(&options, &mut keys, Cancel::never()).await.unwrap();
        assert_eq!(state.lock().unwrap().tokens.is_empty(), by_u2f);
        let last = keys[0].exchanges().last().unwrap();
        assert_eq!(
            (last.protocol == Protocol::U2f, last.command() == Some(Command::MakeCredential)),
            (by_u2f, !by_u2f)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_no_key_should_give() {
    let compressed = success(unhex(&format!("0502{POINT_X}{POINT_Y}40{KEY_HANDLE}30003006020101020102")));
    for (answer, by) in [
        (StatusWord::WrongLength.response(), RefusedBy::Authenticator),
        (success(vec![5]), RefusedBy::Client),
        (compressed, RefusedBy::Client),
        (Vec::new(), RefusedBy::Authenticator),
    ] {
        let mut keys = [u2f_only("old", move |request| match request {
            Request::Version => success(b"U2F_V2".to_vec()),
            _ => answer.clone(),
        })];
        let error = client().create(&creation("discouraged", |_| {}), &mut keys, Cancel::never()).await.unwrap_err();
        assert_eq!((error.name, error.refused_by()), (DomException::NotAllowedError, by), "{error}");
    }
    let mut neither = [u2f_only("neither", |_| StatusWord::InsNotSupported.response())];
    let error = client().create(&creation("discouraged", |_| {}), &mut neither, Cancel::never()).await.unwrap_err();
    let refused = ChannelError::Refused(keyrig_ctap::hid::ErrorCode::InvalidCmd);
    assert_eq!(error.reason, Refusal::Key(KeyFailure { key: "neither".to_owned(), cause: refused.into() }));
}

/// Another key wins: a U2F key is asked no more, as there is nothing in it to cancel.
#[tokio::test(start_paused = true)]
async fn a_key_of_u2f_loses_to_one_that_is_touched() {
    let patient = u2f_only("old", |request| match request {
        Request::Version => success(b"U2F_V2".to_vec()),
        _ => untouched(),
    });
    let (new, finger) = willing("new");
    finger.notify_one();
    let mut keys = [patient, new];
    let made = client().create(&creation("discouraged", |_| {}), &mut keys, Cancel::never()).await.unwrap();
    assert_eq!(made.id.0, unhex(CREDENTIAL_ID));
    assert_eq!(keys[1].exchanges().last().unwrap().status(), Some(Status::Ok));
}
