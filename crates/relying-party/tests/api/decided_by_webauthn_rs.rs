//! The policy in which webauthn-rs decides, and our report is beside it.

use serde_json::json;

use crate::rig::{Key, ORIGIN, Rig, login, registration, with_client_data_member};

const FINISH: &str = "/api/login/webauthn";

#[tokio::test]
async fn webauthn_rs_lets_in_and_keeps_out() {
    let rig = Rig::with_policy("webauthn-rs");
    let mut key = Key::default();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    let answer = rig.browser().log_in_with("alice@pve", &mut key).await;
    assert_eq!(answer["state"], "logged_in", "{answer}");

    // What it does not look at: a frame, and an origin in a form that no browser sends.
    for members in [vec![("crossOrigin", json!(true))], vec![("origin", json!(format!("{ORIGIN}/")))]] {
        let offered = rig.browser().log_in("alice@pve").await;
        let credential = key.get_with_members(&offered["factors"]["webauthn"], &members).await;
        let answer = rig.browser().post(FINISH, login(&offered, &credential)).await;
        assert_eq!(answer["state"], "logged_in", "{members:?}: {answer}");
    }
    // What it refuses, in its own words.
    for (members, refusal) in [
        (vec![("origin", json!("https://evil.example"))], "InvalidRPOrigin"),
        (vec![("type", json!("webauthn.create"))], "InvalidClientDataType"),
    ] {
        let offered = rig.browser().log_in("alice@pve").await;
        let credential = key.get_with_members(&offered["factors"]["webauthn"], &members).await;
        let answer = rig.browser().refused("POST", FINISH, Some(login(&offered, &credential))).await;
        let decision = &answer["report"]["verification"]["decided_by"];
        assert_eq!(*decision, json!({ "verifier": "webauthn-rs", "refusal": refusal }), "{answer}");
    }
    // The counter that it compares with is the one that was stored last.
    let mut clone = key.clone();
    rig.browser().log_in_with("alice@pve", &mut key).await;
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = clone.get(&offered["factors"]["webauthn"]).await.unwrap();
    let answer = rig.browser().refused("POST", FINISH, Some(login(&offered, &credential))).await;
    assert_eq!(answer["report"]["verification"]["decided_by"]["refusal"], "CredentialPossibleCompromise", "{answer}");
}

/// Whose refusal it is, in a sentence.
#[tokio::test]
async fn what_webauthn_rs_accepts_and_we_refuse_is_not_said_to_be_its_refusal() {
    let rig = Rig::with_policy("webauthn-rs");
    let mut alice = rig.new_user("alice@pve").await;
    let begun = alice.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    alice.post("/api/factors/webauthn", registration(&begun, "key", &credential)).await;
    let begun = alice.begin_registration().await;
    let challenge = begun["options"]["publicKey"]["challenge"].clone();
    let again = registration(&begun, "key", &with_client_data_member(&credential, "challenge", challenge));
    let answer = alice.refused("POST", "/api/factors/webauthn", Some(again)).await;
    assert_eq!(
        answer["report"]["explanation"],
        "webauthn-rs, whose verdict the policy follows, accepts it; keyrig refuses it: webauthn-rs leaves \
         credential-id-unregistered to its caller"
    );
}
