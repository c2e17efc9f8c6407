//! `navigator.credentials` over HTTP.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_rack::finger::TouchPolicy;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Answer, ORIGIN, Rig, creation, login, on_page};

#[tokio::test]
async fn two_keys_register_and_log_in_and_the_answer_says_which_was_touched() {
    let rig = Rig::two().await;
    let mut ids = Vec::new();
    for (finger, other) in [("a", "b"), ("b", "a")] {
        rig.put("/v1/finger", json!({"key": finger})).await;
        let made = rig.post("/v1/client/create", on_page(json!({"publicKey": creation()}))).await;
        assert_eq!((made.status.as_u16(), &made.body["type"]), (200, &json!("public-key")), "{}", made.body);
        assert!(made.body["response"]["attestationObject"].is_string());
        assert_eq!((made.names("keyrig-blinked"), made.names("keyrig-touched")), (vec!["a", "b"], vec![finger]));
        let signed = rig.post("/v1/client/get", on_page(login(&made.body["id"]))).await;
        assert_eq!(signed.body["id"], made.body["id"]);
        assert!(signed.body["response"]["signature"].is_string());
        assert_eq!(signed.names("keyrig-touched"), [finger]);
        rig.put("/v1/finger", json!({"key": other})).await;
        let only = json!({"origin": ORIGIN, "on": [other], "options": login(&made.body["id"])});
        let refused = rig.post("/v1/client/get", only).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "no-credentials"));
        assert_eq!((refused.names("keyrig-blinked"), refused.names("keyrig-touched")), (vec![other], vec![other]));
        ids.push(made.body["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    rig.post("/v1/keys/b/unplug", json!({})).await;
    rig.put("/v1/finger", json!({"key": null})).await;
    let lost = rig.post("/v1/client/get", on_page(login(&ids[1]))).await;
    assert_eq!((lost.code(), &lost.body["error"]["name"]), ("no-credentials", &json!("NotAllowedError")));
}

#[tokio::test]
async fn a_page_from_elsewhere_is_refused_in_the_words_of_its_browser() {
    let rig = Rig::two().await;
    for (browser, message) in [("chromium", "The relying party ID is not"), ("firefox", "The operation is insecure.")] {
        let page = json!({"origin": "https://example.net", "browser": browser, "options": creation()});
        let refused = rig.post("/v1/client/create", page).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "rp-id-foreign"));
        let error = &refused.body["error"];
        assert_eq!((&error["name"], &error["refused_by"]), (&json!("SecurityError"), &json!("client")));
        assert!(error["message"].as_str().expect("text").starts_with(message), "{error}");
        assert!(error["reason"].as_str().expect("text").contains("example.net"), "{error}");
        assert_eq!((refused.names("keyrig-blinked"), refused.names("keyrig-touched")), (vec![], vec![]));
    }
    let mut again = creation();
    let made = rig.post("/v1/client/create", on_page(creation())).await;
    again["excludeCredentials"] = json!([{"type": "public-key", "id": made.body["id"]}]);
    let refused = rig.post("/v1/client/create", on_page(again)).await;
    assert_eq!(refused.code(), "credential-excluded");
    assert_eq!(refused.body["error"]["refused_by"], "authenticator");
}

#[tokio::test]
async fn a_passkey_wants_its_pin() {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Auto).await;
    let mut passkey = creation();
    passkey["authenticatorSelection"] = json!({"residentKey": "required", "userVerification": "required"});
    let page = |pin: Option<&str>, options: &Value| json!({"origin": ORIGIN, "pin": pin, "options": options});
    assert_eq!(rig.post("/v1/client/create", page(None, &passkey)).await.code(), "pin-not-given");
    let made = rig.post("/v1/client/create", page(Some("1234"), &passkey)).await;
    assert_eq!(made.status, 200, "the PIN is set when a browser would ask for a new one: {}", made.body);
    let login = json!({"rpId": "example.com", "challenge": "AAAA", "userVerification": "required"});
    assert_eq!(rig.post("/v1/client/get", page(Some("4321"), &login)).await.code(), "pin-invalid");
    let signed = rig.post("/v1/client/get", page(Some("1234"), &login)).await;
    assert_eq!((&signed.body["id"], &signed.body["response"]["userHandle"]), (&made.body["id"], &json!("AQ")));
}

/// Beside a security key; the page chooses by `authenticatorAttachment`.
#[tokio::test]
async fn a_synchronised_passkey_is_of_the_platform_backed_up_and_on_no_usb() {
    let rig = Rig::start(&["a=keyrig", "p=synced-passkey"], TouchPolicy::Every).await;
    let keys = rig.keys().await;
    assert_eq!(keys.iter().map(|key| key.busid.as_deref()).collect::<Vec<_>>(), [Some("1-1"), None]);
    let mut creation = creation();
    creation["authenticatorSelection"] =
        json!({"authenticatorAttachment": "platform", "residentKey": "required", "userVerification": "required"});
    let made = rig.post("/v1/client/create", on_page(creation)).await;
    assert_eq!((made.status.as_u16(), made.names("keyrig-touched")), (200, vec!["p"]), "{}", made.body);
    assert_eq!(made.body["authenticatorAttachment"], "platform");
    assert_eq!(made.body["response"]["transports"], json!(["hybrid", "internal"]));
    // WebAuthn Level 3 §6.1: RP ID hash, flags and counter.
    let said = |data: &Value| {
        let data = URL_SAFE_NO_PAD.decode(data.as_str().expect("text")).expect("base64url");
        (data[32], u32::from_be_bytes(data[33..37].try_into().expect("four bytes")))
    };
    assert_eq!(
        said(&made.body["response"]["authenticatorData"]),
        (0x01 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80, 0),
        "credProtect too"
    );
    let id = &made.body["id"];
    let mut only = login(id);
    only["allowCredentials"][0]["transports"] = json!(["internal"]);
    let signed = rig.post("/v1/client/get", on_page(only.clone())).await;
    assert_eq!(signed.names("keyrig-blinked"), ["p"], "{}", signed.body);
    assert_eq!(said(&signed.body["response"]["authenticatorData"]), (0x01 | 0x04 | 0x08 | 0x10, 0));

    let path = format!("/v1/keys/p/credentials/{}/backup", id.as_str().expect("text"));
    let changed = rig.put(&path, json!({"backup_eligible": true, "backup_state": false})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let signed = rig.post("/v1/client/get", on_page(only)).await;
    assert_eq!(said(&signed.body["response"]["authenticatorData"]), (0x01 | 0x04 | 0x08, 0));
    let waited = rig.post("/v1/keys/p/wait", json!({"for": "attached"})).await;
    assert_eq!((waited.status.as_u16(), waited.code()), (409, "not-on-usb"));
}

/// CTAP 2.3 §6.2.2: a key with several credentials for a site tells the names of their users to who is verified, and user handles to
/// anybody.
#[tokio::test]
async fn of_several_accounts_the_one_that_is_named_signs_in() {
    let rig = Rig::start(&["a=ctap-2.1"], TouchPolicy::Auto).await;
    assert_eq!(rig.post("/v1/keys/a/pin", json!({"pin": "1234"})).await.status, 200);
    let mut ids = Vec::new();
    let login = json!({"rpId": "example.com", "challenge": "AAAA", "userVerification": "discouraged"});
    let sign_in = |more: Value| {
        let mut page = json!({"origin": ORIGIN, "options": login, "browser": "firefox"});
        page.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        rig.post("/v1/client/get", page)
    };
    for (handle, name) in [("AQ", "alice"), ("Ag", "bob")] {
        let mut passkey = creation();
        passkey["user"] = json!({"id": handle, "name": name, "displayName": name});
        passkey["authenticatorSelection"] = json!({"residentKey": "required"});
        // Chromium asks for a credProtect by which nobody finds it who is not verified.
        let page = json!({"origin": ORIGIN, "browser": "firefox", "pin": "1234", "options": passkey});
        let made = rig.post("/v1/client/create", page).await;
        assert_eq!(made.status, 200, "{}", made.body);
        ids.push(made.body["id"].clone());
        if ids.len() == 1 {
            // §6.2, member 0x04: of a single account the name is told to nobody.
            for more in [json!({"user_name": "eve"}), json!({"user_name": "eve", "pin": "1234", "browser": "chromium"})]
            {
                assert_eq!(sign_in(more.clone()).await.code(), "account-names-untold", "{more}");
            }
            assert_eq!(sign_in(json!({"user_id": "AQ"})).await.body["id"], ids[0]);
        }
    }
    for (more, id) in [
        (json!({"user_id": "AQ"}), &ids[0]),
        (json!({"user_id": "Ag"}), &ids[1]),
        (json!({"user_name": "alice", "pin": "1234", "browser": "chromium"}), &ids[0]),
        (json!({"user_name": "bob", "pin": "1234", "browser": "chromium"}), &ids[1]),
    ] {
        assert_eq!(sign_in(more.clone()).await.body["id"], *id, "{more}");
    }
    for (more, code, reason) in [
        (json!({"user_id": "Aw"}), "no-such-account", "user handle Aw"),
        (json!({"user_name": "eve", "pin": "1234", "browser": "chromium"}), "no-such-account", "\"bob\" (Ag)"),
        (json!({"user_name": "bob"}), "account-names-untold", "2 accounts"),
    ] {
        let refused = sign_in(more.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, code), "{more}: {}", refused.body);
        assert!(refused.body["error"]["reason"].as_str().expect("text").contains(reason), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_no_page_could_ask_is_said() {
    let rig = Rig::two().await;
    for (body, status, code) in [
        (json!({}), 400, "bad-request"),
        (json!({"origin": "nowhere", "options": creation()}), 422, "bad-ceremony"),
        (json!({"origin": ORIGIN, "ancestors": ["x"], "options": creation()}), 422, "bad-ceremony"),
        (json!({"origin": ORIGIN, "user_id": "AQ", "user_name": "a", "options": creation()}), 422, "bad-ceremony"),
        (json!({"origin": ORIGIN, "user_id": "A", "options": creation()}), 400, "bad-request"),
        (json!({"origin": ORIGIN}), 400, "bad-request"),
        (json!({"origin": ORIGIN, "options": creation(), "browser": "lynx"}), 400, "bad-request"),
        (json!({"origin": ORIGIN, "options": creation(), "speed": 1}), 400, "bad-request"),
        (json!({"origin": ORIGIN, "options": creation(), "on": ["zz"]}), 404, "unknown-key"),
        (json!({"origin": ORIGIN, "options": {}}), 422, "options-incomplete"),
        (json!({"origin": ORIGIN, "options": []}), 400, "bad-request"),
        (json!({"origin": "http://example.com", "options": creation()}), 422, "insecure-context"),
    ] {
        let answer = rig.post("/v1/client/create", body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}: {}", answer.body);
    }
}

fn in_the_background(rig: &std::sync::Arc<Rig>, path: &'static str, body: Value) -> JoinHandle<Answer> {
    let rig = rig.clone();
    tokio::spawn(async move { rig.post(path, body).await })
}

#[tokio::test]
async fn a_touch_by_hand_ends_the_wait_and_so_does_a_client_that_hangs_up() {
    let rig = std::sync::Arc::new(Rig::start(&["a=keyrig", "b=u2f-only"], TouchPolicy::Manual).await);
    let asked = in_the_background(&rig, "/v1/client/create", on_page(creation()));
    rig.until_waiting(&["a", "b"]).await;
    assert_eq!(rig.post("/v1/keys/b/touch", json!({})).await.status, 200);
    let made = asked.await.expect("an answer");
    assert_eq!(
        (made.names("keyrig-blinked"), made.names("keyrig-touched")),
        (vec!["a", "b"], vec!["b"]),
        "{}",
        made.body
    );
    rig.until_waiting(&[]).await;

    let asked = in_the_background(&rig, "/v1/client/get", on_page(login(&made.body["id"])));
    rig.until_waiting(&["a", "b"]).await;
    assert_eq!(rig.post("/v1/keys/a/deny", json!({})).await.status, 200);
    let denied = asked.await.expect("an answer");
    assert_eq!(denied.names("keyrig-touched"), [""; 0], "{}", denied.body);

    let asked = in_the_background(&rig, "/v1/client/create", on_page(creation()));
    rig.until_waiting(&["a", "b"]).await;
    asked.abort();
    rig.until_waiting(&[]).await;
    let asked = in_the_background(&rig, "/v1/client/create", on_page(creation()));
    rig.until_waiting(&["a", "b"]).await;
    rig.post("/v1/keys/a/touch", json!({})).await;
    assert_eq!(asked.await.expect("an answer").names("keyrig-touched"), ["a"], "the keys can be used again");
}

/// A rack of one key with a passkey, for which the PIN is 1234, touched by hand.
async fn with_a_passkey() -> (std::sync::Arc<Rig>, Value) {
    let rig = Rig::start(&["a=keyrig"], TouchPolicy::Auto).await;
    let mut passkey = creation();
    passkey["authenticatorSelection"] = json!({"residentKey": "required", "userVerification": "required"});
    let made = rig.post("/v1/client/create", json!({"origin": ORIGIN, "pin": "1234", "options": passkey})).await;
    rig.put("/v1/touch-policy", json!({"policy": "manual"})).await;
    (std::sync::Arc::new(rig), made.body["id"].clone())
}

fn conditional(allowed: &[&Value]) -> Value {
    let allowed: Vec<_> = allowed.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let login = json!({"rpId": "example.com", "challenge": "AAAA", "timeout": 1, "allowCredentials": allowed});
    json!({"origin": ORIGIN, "pin": "1234", "options": {"publicKey": login, "mediation": "conditional"}})
}

/// WebAuthn Level 3 §5.1.4.1 step 6: no timeout, and `allowCredentials` says which of the discoverable ones may be chosen.
#[tokio::test]
async fn a_conditional_ceremony_waits_for_a_touch_whatever_its_timeout_is() {
    let (rig, passkey) = with_a_passkey().await;
    for allowed in [&[][..], &[&passkey]] {
        let asked = in_the_background(&rig, "/v1/client/get", conditional(allowed));
        rig.until_waiting(&["a"]).await;
        assert_eq!(rig.post("/v1/keys/a/touch", json!({})).await.status, 200);
        let signed = asked.await.expect("an answer");
        assert_eq!((&signed.body["id"], signed.names("keyrig-touched")), (&passkey, vec!["a"]), "{}", signed.body);
    }
}

#[tokio::test]
async fn a_conditional_ceremony_gives_way_to_another_and_ends_with_its_connection() {
    let (rig, passkey) = with_a_passkey().await;
    let first = in_the_background(&rig, "/v1/client/get", conditional(&[]));
    rig.until_waiting(&["a"]).await;
    let modal = json!({"origin": ORIGIN, "pin": "1234", "options": login(&passkey)});
    let modal = in_the_background(&rig, "/v1/client/get", modal);
    let replaced = first.await.expect("an answer");
    assert_eq!((replaced.status.as_u16(), replaced.code()), (422, "replaced"));
    assert_eq!(replaced.body["error"]["name"], "AbortError");
    rig.until_waiting(&["a"]).await;
    rig.post("/v1/keys/a/touch", json!({})).await;
    assert_eq!(modal.await.expect("an answer").body["id"], passkey);

    let hung_up = in_the_background(&rig, "/v1/client/get", conditional(&[]));
    rig.until_waiting(&["a"]).await;
    hung_up.abort();
    rig.until_waiting(&[]).await;
}

#[tokio::test]
async fn of_conditional_ceremonies_that_come_at_once_all_but_one_are_replaced() {
    let (rig, passkey) = with_a_passkey().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let rig = rig.clone();
        asked.spawn(async move { rig.post("/v1/client/get", conditional(&[])).await });
    }
    for _ in 0..7 {
        let replaced = tokio::time::timeout(std::time::Duration::from_secs(20), asked.join_next()).await;
        assert_eq!(replaced.expect("in time").expect("one").expect("an answer").code(), "replaced");
    }
    rig.until_waiting(&["a"]).await;
    assert_eq!(rig.post("/v1/keys/a/touch", json!({})).await.status, 200);
    assert_eq!(asked.join_next().await.expect("one").expect("an answer").body["id"], passkey);
}

/// What asks no key takes no key from anybody.
#[tokio::test]
async fn a_ceremony_that_the_client_refuses_replaces_none() {
    let (rig, passkey) = with_a_passkey().await;
    let pending = in_the_background(&rig, "/v1/client/get", conditional(&[]));
    rig.until_waiting(&["a"]).await;
    let elsewhere = json!({"origin": "https://example.net", "options": login(&passkey)});
    assert_eq!(rig.post("/v1/client/get", elsewhere).await.code(), "rp-id-foreign");
    assert_eq!(rig.post("/v1/client/get", on_page(json!({"challenge": 1}))).await.status, 422);
    assert_eq!(rig.post("/v1/keys/a/touch", json!({})).await.status, 200);
    assert_eq!(pending.await.expect("an answer").body["id"], passkey);
}

/// Each holds a connection, and there have to be some for others.
#[tokio::test]
async fn there_is_an_end_to_how_many_ceremonies_wait() {
    let (rig, _) = with_a_passkey().await;
    rig.post("/v1/keys/a/unplug", json!({})).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let rig = rig.clone();
        asked.spawn(async move { rig.post("/v1/client/get", conditional(&[])).await });
    }
    for _ in 0..72 {
        let refused = tokio::time::timeout(std::time::Duration::from_secs(20), asked.join_next()).await;
        let refused = refused.expect("in time").expect("one").expect("an answer");
        assert_eq!((refused.status.as_u16(), refused.code()), (429, "too-many-ceremonies"));
    }
    assert_eq!(rig.get("/v1/ready").await.status, 200);
}

/// WebAuthn Level 3 §5.1.4.1 step 19: an authenticator that becomes available while the ceremony is under way is asked, and one that
/// ceases to be is asked no more.
#[tokio::test]
async fn a_conditional_ceremony_asks_a_key_again_that_is_back() {
    let (rig, passkey) = with_a_passkey().await;
    let snapshot = json!({"snapshot": rig.get("/v1/keys/a/snapshot").await.body["snapshot"]});
    let on_a = |allowed: &[&Value]| {
        let mut page = conditional(allowed);
        page["on"] = json!(["a"]);
        page
    };
    for page in [conditional(&[]), conditional(&[&passkey]), on_a(&[])] {
        let asked = in_the_background(&rig, "/v1/client/get", page);
        rig.until_waiting(&["a"]).await;
        assert_eq!(rig.post("/v1/keys/a/unplug", json!({})).await.status, 200);
        rig.until_waiting(&[]).await;
        assert_eq!(rig.post("/v1/keys/a/plug", json!({})).await.status, 200);
        rig.until_waiting(&["a"]).await;
        assert_eq!(rig.post("/v1/keys/a/power-cycle", json!({})).await.status, 200);
        rig.until_waiting(&["a"]).await;
        assert_eq!(rig.post("/v1/keys/a/reset", json!({})).await.status, 200);
        rig.until_waiting(&[]).await;
        assert_eq!(rig.put("/v1/keys/a/snapshot", snapshot.clone()).await.status, 200);
        rig.until_waiting(&["a"]).await;
        assert_eq!(rig.post("/v1/keys/a/touch", json!({})).await.status, 200);
        let signed = asked.await.expect("an answer");
        assert_eq!(
            (&signed.body["id"], signed.names("keyrig-blinked"), signed.names("keyrig-touched")),
            (&passkey, vec!["a"], vec!["a"]),
            "{}",
            signed.body
        );
    }
}

/// Likewise; and a key whose user has refused is left alone until it is plugged in again.
#[tokio::test]
async fn a_conditional_ceremony_over_all_keys_takes_up_one_that_comes() {
    let (rig, passkey) = with_a_passkey().await;
    let asked = in_the_background(&rig, "/v1/client/get", conditional(&[]));
    rig.until_waiting(&["a"]).await;
    assert_eq!(rig.post("/v1/keys/a/deny", json!({})).await.status, 200);
    rig.until_waiting(&[]).await;
    assert_eq!(rig.post("/v1/keys/a/clone", json!({"name": "b"})).await.status, 200);
    rig.until_waiting(&["b"]).await;
    assert_eq!(rig.post("/v1/keys/a/power-cycle", json!({})).await.status, 200);
    rig.until_waiting(&["a", "b"]).await;
    assert_eq!(rig.delete("/v1/keys/a").await.status, 200);
    rig.until_waiting(&["b"]).await;
    assert_eq!(rig.delete("/v1/keys/b").await.status, 200);
    rig.until_waiting(&[]).await;
    assert_eq!(rig.post("/v1/keys", json!({"name": "c", "profile": "keyrig"})).await.status, 200);
    assert!(!asked.is_finished(), "over all keys there may always come one");
    drop((asked, passkey));
}

#[tokio::test]
async fn a_conditional_ceremony_ends_when_none_of_the_keys_that_it_names_is_left() {
    let (rig, _) = with_a_passkey().await;
    assert_eq!(rig.post("/v1/keys/a/clone", json!({"name": "b"})).await.status, 200);
    let mut page = conditional(&[]);
    page["on"] = json!(["a", "b"]);
    let asked = in_the_background(&rig, "/v1/client/get", page);
    rig.until_waiting(&["a", "b"]).await;
    assert_eq!(rig.delete("/v1/keys/a").await.status, 200);
    rig.until_waiting(&["b"]).await;
    assert_eq!(rig.delete("/v1/keys/b").await.status, 200);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await.expect("in time");
    let ended = ended.expect("an answer");
    assert_eq!((ended.status.as_u16(), ended.code()), (422, "no-key-left"), "{}", ended.body);
    assert_eq!(
        (ended.names("keyrig-blinked"), &ended.body["error"]["name"]),
        (vec!["a", "b"], &json!("NotAllowedError"))
    );
}

/// Nothing is offered where nothing is, and nothing but another ceremony or the end of the connection tells the page so.
#[tokio::test]
async fn a_conditional_ceremony_without_a_credential_makes_no_key_blink() {
    let rig = std::sync::Arc::new(Rig::start(&["a=keyrig", "b=u2f-only"], TouchPolicy::Auto).await);
    for _ in 0..2 {
        let asked = in_the_background(&rig, "/v1/client/get", conditional(&[]));
        while !asked.is_finished() && rig.post("/v1/client/create", on_page(creation())).await.status != 422 {
            // Until the other has come: it is told to give way by one of these.
            tokio::task::yield_now().await;
            if asked.is_finished() {
                break;
            }
        }
        let replaced = asked.await.expect("an answer");
        assert_eq!((replaced.code(), replaced.names("keyrig-blinked")), ("replaced", vec![]), "{}", replaced.body);
    }
}

#[tokio::test]
async fn what_no_key_does_without_a_touch_is_refused() {
    let rig = Rig::two().await;
    let page = |browser: &str, mediation: &str| json!({"origin": ORIGIN, "browser": browser, "mediation": mediation, "options": creation()});
    let refused = rig.post("/v1/client/create", page("chromium", "conditional")).await;
    assert_eq!((refused.code(), &refused.body["error"]["name"]), ("conditional-creation", &json!("NotAllowedError")));
    assert_eq!(
        rig.post("/v1/client/create", page("firefox", "conditional")).await.status,
        200,
        "it knows no mediation"
    );
    assert_eq!(rig.post("/v1/client/create", page("chromium", "silent")).await.code(), "silent-mediation");
    assert_eq!(rig.post("/v1/client/create", page("chromium", "loud")).await.code(), "bad-request");
    let beside = on_page(json!({"publicKey": creation(), "mediation": "loud"}));
    assert_eq!(rig.post("/v1/client/create", beside).await.code(), "options-wrong-type");
}

/// WebAuthn Level 3 §5.8.1: crossOrigin tells of any page around the frame, topOrigin of the one at the top.
#[tokio::test]
async fn frames_are_told_in_client_data() {
    use base64::Engine;
    let rig = Rig::two().await;
    for (ancestors, top, cross_origin, top_origin) in [
        (json!([]), Value::Null, false, Value::Null),
        (json!([]), json!(ORIGIN), false, Value::Null),
        (json!([]), json!("https://shop.example"), true, json!("https://shop.example")),
        (json!(["https://shop.example"]), json!(ORIGIN), true, json!(ORIGIN)),
        (json!(["https://shop.example"]), Value::Null, true, json!("https://shop.example")),
    ] {
        let page = json!({"origin": ORIGIN, "ancestors": ancestors, "top_origin": top, "options": creation()});
        let made = rig.post("/v1/client/create", page).await;
        let data = made.body["response"]["clientDataJSON"].as_str().expect("text");
        let data = URL_SAFE_NO_PAD.decode(data).expect("base64url");
        let data: Value = serde_json::from_slice(&data).expect("JSON");
        assert_eq!(
            (&data["crossOrigin"], &data["topOrigin"]),
            (&json!(cross_origin), &top_origin),
            "{ancestors} {top}"
        );
    }
    let page =
        json!({"origin": ORIGIN, "ancestors": ["http://shop.example"], "top_origin": ORIGIN, "options": creation()});
    assert_eq!(rig.post("/v1/client/create", page).await.code(), "insecure-context", "all pages make the context");
}
