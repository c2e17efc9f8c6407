//! The policy in which webauthn-rs decides, and our report is beside it.

use serde_json::json;

use crate::rig::{Key, ORIGIN, Rig, login};

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
