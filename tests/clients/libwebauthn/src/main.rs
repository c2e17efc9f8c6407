//! libwebauthn registers, signs, is refused by an exclude list, sets a PIN and uses it by both protocols, with the key at the
//! address that is the first argument. What not every key can do is done if it is among the others: `u2f`, `extensions`,
//! `management`. The key is new, has no PIN, and is touched at once. Each step is a line on standard output; the first that goes
//! wrong ends the program with a panic.

mod pipe;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use libwebauthn::UvUpdate;
use libwebauthn::management::{AuthenticatorConfig, CredentialManagement};
use libwebauthn::ops::u2f::{RegisterRequest, SignRequest};
use libwebauthn::ops::webauthn::{
    GetAssertionRequest, JsonFormat, MakeCredentialRequest, OriginValidation, RequestOrigin, RequestSettings,
    WebAuthnIDLResponse,
};
use libwebauthn::pin::PinManagement;
use libwebauthn::proto::ctap2::Ctap2PinUvAuthProtocol;
use libwebauthn::transport::hid::HidError;
use libwebauthn::transport::hid::channel::HidChannel;
use libwebauthn::transport::hid::virtual_device;
use libwebauthn::transport::{Channel, ChannelSettings, Ctap2AuthTokenStore, Device};
use libwebauthn::u2f::U2F;
use libwebauthn::webauthn::{CtapError, WebAuthn, WebAuthnError};
use serde_json::{Value, json};

use pipe::Pipe;

const SITE: &str = "example.org";
const LIMIT: Duration = Duration::from_secs(10);
const CHALLENGE: &str = "qqqqqqqqqqqqqqqqqqqqqg";
const PIN: &str = "Zürich 8001";

type Outcome = Result<Value, WebAuthnError<HidError>>;

/// What the user is asked for. The first PIN that is asked for is typed wrong.
#[derive(Default)]
struct Asked {
    pins: Vec<Option<u32>>,
}

struct Client<'d> {
    channel: HidChannel<'d>,
    asked: Arc<Mutex<Asked>>,
}

fn origin() -> RequestOrigin {
    format!("https://{SITE}").as_str().try_into().expect("an origin")
}

const SETTINGS: RequestSettings<'static> = RequestSettings { origin: OriginValidation::Trust };

impl Client<'_> {
    async fn create(&mut self, user: &str, changes: Value) -> Outcome {
        let mut options = json!({
            "rp": {"id": SITE, "name": "Example"},
            "user": {"id": user, "name": user, "displayName": user},
            "challenge": CHALLENGE,
            "pubKeyCredParams": [{"type": "public-key", "alg": -257}, {"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"residentKey": "discouraged", "userVerification": "discouraged"},
            "attestation": "direct",
        });
        merge(&mut options, changes);
        let request =
            MakeCredentialRequest::prepare(&origin(), &options.to_string(), &SETTINGS).await.expect("options");
        let made = self.channel.webauthn_make_credential(&request).await?;
        Ok(read(&made.to_json_string(&request, JsonFormat::Minified).expect("JSON")))
    }

    async fn get(&mut self, changes: Value) -> Outcome {
        let mut options = json!({"challenge": CHALLENGE, "rpId": SITE, "userVerification": "discouraged"});
        merge(&mut options, changes);
        let request = GetAssertionRequest::prepare(&origin(), &options.to_string(), &SETTINGS).await.expect("options");
        let signed = self.channel.webauthn_get_assertion(&request).await?;
        let all = signed.assertions.iter();
        let all = all.map(|one| read(&one.to_json_string(&request, JsonFormat::Minified).expect("JSON")));
        Ok(Value::Array(all.collect()))
    }
}

fn merge(options: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("an object") };
    options.as_object_mut().expect("an object").extend(changes);
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn list(ids: &[&Value]) -> Value {
    ids.iter().map(|id| json!({"type": "public-key", "id": id})).collect()
}

/// The flags of authenticator data in base64url: byte 32 (WebAuthn Level 3 §6.1), of which base64url has the upper six bits in
/// character 42 and the lower two in the next.
fn flags(credential: &Value) -> u8 {
    let text = credential["response"]["authenticatorData"].as_str().expect("authenticator data").as_bytes();
    let digit = |at: usize| {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        letters.iter().position(|letter| *letter == text[at]).expect("base64url")
    };
    // 32 bytes are 256 bits: 42 characters and four bits of the 43rd, whose last two begin byte 32.
    u8::try_from((digit(42) & 0b11) << 6 | digit(43)).expect("eight bits")
}

fn is_status(outcome: &Outcome, wanted: CtapError) -> bool {
    matches!(outcome, Err(WebAuthnError::Ctap(status)) if *status == wanted)
}

fn ok(step: &str) {
    println!("ok {step}");
}

/// The level of credProtect that hides a credential from who does not name it. At the next one this client would not find it
/// itself: it looks for credentials without user verification.
const LISTED: &str = "userVerificationOptionalWithCredentialIDList";

const UP: u8 = 0x01;
const UV: u8 = 0x04;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let address = std::env::args().nth(1).expect("the address of a key");
    let mut device = virtual_device(Pipe::connect(&address));
    let channel = device.channel(ChannelSettings::default()).await.expect("a channel");
    let asked = Arc::new(Mutex::new(Asked::default()));
    let mut updates = channel.get_ux_update_receiver();
    let user = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok(update) = updates.recv().await {
            match update {
                UvUpdate::PresenceRequired => {}
                UvUpdate::PinRequired(request) => {
                    let first = {
                        let mut asked = user.lock().expect("unpoisoned");
                        asked.pins.push(request.attempts_left);
                        asked.pins.len() == 1
                    };
                    request.send_pin(if first { "wrong" } else { PIN }).expect("it waits");
                }
                other => panic!("the user is told {other:?}"),
            }
        }
    });
    let mut client = Client { channel, asked };
    let wanted = |group: &str| std::env::args().skip(2).any(|argument| argument == group);
    let one = without_pin(&mut client).await;
    if wanted("u2f") {
        u2f(&mut client).await;
    }
    with_pin(&mut client, &one).await;
    if wanted("extensions") {
        extensions(&mut client).await;
    }
    if wanted("management") {
        manage(&mut client).await;
    }
}

async fn without_pin(client: &mut Client<'_>) -> Value {
    let made = client.create("b25l", json!({})).await.expect("registered");
    let one = made["id"].clone();
    assert_eq!(flags(&made) & (UP | UV), UP);
    ok("register");

    let signed = client.get(json!({"allowCredentials": list(&[&one])})).await.expect("signed");
    assert_eq!((signed[0]["id"].clone(), flags(&signed[0])), (one.clone(), UP));
    ok("sign");

    let refused = client.create("dHdv", json!({"excludeCredentials": list(&[&one])})).await;
    assert!(is_status(&refused, CtapError::CredentialExcluded), "{refused:?}");
    let strangers: Vec<Value> = (0..20).map(|number| json!(format!("{number:04}").repeat(16))).collect();
    let mut many: Vec<&Value> = strangers.iter().collect();
    client.create("dHdv", json!({"excludeCredentials": list(&many)})).await.expect("strangers exclude nothing");
    many.push(&one);
    let refused = client.create("dHdv", json!({"excludeCredentials": list(&many)})).await;
    assert!(is_status(&refused, CtapError::CredentialExcluded), "{refused:?}");
    ok("exclude list");

    let signed = client.get(json!({"allowCredentials": list(&many)})).await.expect("signed");
    assert_eq!(signed[0]["id"], one);
    let stranger = client.get(json!({"allowCredentials": list(&[&strangers[0]])})).await;
    assert!(is_status(&stranger, CtapError::NoCredentials), "{stranger:?}");
    ok("long allow list");

    let discoverable =
        json!({"authenticatorSelection": {"residentKey": "required", "userVerification": "discouraged"}});
    client.create("Zmlyc3Q", discoverable.clone()).await.expect("registered");
    client.create("c2Vjb25k", discoverable).await.expect("registered");
    let signed = client.get(json!({})).await.expect("signed");
    let users: Vec<_> = signed.as_array().expect("a list").iter().map(|one| &one["response"]["userHandle"]).collect();
    assert_eq!(users, ["c2Vjb25k", "Zmlyc3Q"], "newest first");
    ok("two accounts");
    one
}

async fn u2f(client: &mut Client<'_>) {
    let application = "https://old.example.org";
    let challenge = [7; 32];
    let request = RegisterRequest::new_u2f_v2(application, &challenge, vec![], LIMIT, false);
    let registered = client.channel.u2f_register(&request).await.expect("registered");
    let key = registered.as_registered_key().expect("a registered key");
    let request = SignRequest::new(application, &challenge, &key.key_handle, LIMIT, true);
    client.channel.u2f_sign(&request).await.expect("signed");
    let request = RegisterRequest::new_u2f_v2(application, &challenge, vec![key], LIMIT, false);
    let refused = client.channel.u2f_register(&request).await;
    assert!(matches!(refused, Err(WebAuthnError::Ctap(CtapError::CredentialExcluded))), "{refused:?}");
    ok("U2F: register, sign, exclude list");
}

async fn with_pin(client: &mut Client<'_>, one: &Value) {
    client.channel.change_pin(PIN.to_owned(), LIMIT).await.expect("a PIN");
    ok("set a PIN");

    let required = json!({"authenticatorSelection": {"residentKey": "discouraged", "userVerification": "required"}});
    let refused = client.create("dGhyZWU", required.clone()).await;
    assert!(is_status(&refused, CtapError::PINInvalid), "{refused:?}");
    let made = client.create("dGhyZWU", required.clone()).await.expect("registered");
    assert_eq!(flags(&made) & (UP | UV), UP | UV);
    let attempts = client.asked.lock().expect("unpoisoned").pins.clone();
    assert_eq!(attempts, [Some(8), Some(7)], "a wrong PIN costs an attempt");
    ok("register with the PIN, after a wrong one");

    for protocol in [Ctap2PinUvAuthProtocol::One, Ctap2PinUvAuthProtocol::Two] {
        client.channel.set_forced_pin_protocol(protocol);
        client.channel.clear_uv_auth_token_store();
        client.create("Zm91cg", required.clone()).await.expect("registered");
        let login = json!({"allowCredentials": list(&[one]), "userVerification": "required"});
        let signed = client.get(login).await.expect("signed");
        assert_eq!(flags(&signed[0]), UP | UV);
    }
    ok("sign with the PIN by both protocols");
}

async fn extensions(client: &mut Client<'_>) {
    let prf = json!({
        "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
        "extensions": {"prf": {}, "credProtect": {"policy": LISTED, "enforcePolicy": true}},
    });
    let made = client.create("cHJm", prf).await.expect("registered");
    assert_eq!(made["clientExtensionResults"]["prf"]["enabled"], true, "{made}");
    let mut secrets = Vec::new();
    for salt in ["AAAA", "AAAA", "BBBB"] {
        let login = json!({
            "allowCredentials": list(&[&made["id"]]),
            "userVerification": "required",
            "extensions": {"prf": {"eval": {"first": salt}}},
        });
        let signed = client.get(login).await.expect("signed");
        secrets.push(signed[0]["clientExtensionResults"]["prf"]["results"]["first"].clone());
    }
    assert!(secrets[0].is_string() && secrets[0] == secrets[1] && secrets[1] != secrets[2], "{secrets:?}");
    // It has kept its last token, which the touch has used up.
    client.channel.clear_uv_auth_token_store();
    let shown = client.get(json!({})).await.expect("signed");
    let users: Vec<_> = shown.as_array().expect("a list").iter().map(|one| &one["response"]["userHandle"]).collect();
    assert_eq!(users, ["c2Vjb25k", "Zmlyc3Q"], "credProtect hides the third without a list");
    ok("prf and credProtect");
}

async fn manage(client: &mut Client<'_>) {
    let channel = &mut client.channel;
    let metadata = channel.get_credential_metadata(LIMIT).await.expect("metadata");
    assert_eq!(metadata.existing_resident_credentials_count, 3);
    let (site, sites) = channel.enumerate_rps_begin(LIMIT).await.expect("a site");
    assert_eq!((site.rp.id.as_str(), sites), (SITE, 1));
    let (first, count) = channel.enumerate_credentials_begin(&site.rp_id_hash, LIMIT).await.expect("a credential");
    let mut credentials = vec![first];
    while u64::try_from(credentials.len()).expect("few") < count {
        credentials.push(channel.enumerate_credentials_next(LIMIT).await.expect("another"));
    }
    let protected: Vec<u64> = credentials.iter().map(|credential| credential.cred_protect).collect();
    assert_eq!(
        protected.iter().filter(|level| **level == 2).count(),
        1,
        "one has credProtect at level 2: {protected:?}"
    );
    channel.delete_credential(&credentials[0].credential_id, LIMIT).await.expect("deleted");
    let metadata = channel.get_credential_metadata(LIMIT).await.expect("metadata");
    assert_eq!(metadata.existing_resident_credentials_count, 2);
    ok("credential management");

    channel.set_min_pin_length(6, LIMIT).await.expect("a minimum");
    ok("authenticator configuration");
}
