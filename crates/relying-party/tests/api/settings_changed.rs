//! Settings that changed after keys were enrolled: what is said of it, and that nothing gets weaker by it.

use keyrig_relying_party::{EventKind, Finding, Requirement, Settings};
use serde_json::{Value, json};

use crate::rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig, login, text};

/// The site as it is served with another RP ID.
fn moved(rig: &Rig) -> Rig {
    rig.served_with(Settings::new("example.com", ORIGIN))
}

fn findings(rig: &Rig, user: &str) -> Vec<Finding> {
    let report = rig.store().audit(rig.now()).unwrap();
    report.users.into_iter().find(|audited| audited.user.name.to_string() == user).unwrap().findings
}

/// Subdomains have to be allowed, which Proxmox VE's file does by itself; another port is another origin, always.
#[tokio::test]
async fn subdomains_are_up_to_the_settings_and_another_port_is_another_origin() {
    assert!(!Settings::new(RP_ID, ORIGIN).allow_subdomains, "nobody asked for them");
    for allow_subdomains in [false, true] {
        let settings = Settings { allow_subdomains, ..Settings::new(RP_ID, ORIGIN) };
        let rig = Rig::with_settings(settings);
        let mut key = Key::default();
        rig.new_user("alice@pve").await.register(&mut key, "key").await;
        for (origin, is_taken) in [
            ("https://pve.example.com:8006", true),
            ("https://node1.pve.example.com:8006", allow_subdomains),
            ("https://pve.example.com:8007", false),
            ("https://pve.example.com", false),
            ("https://node1.pve.example.com:8007", false),
            ("https://notpve.example.com:8006", false),
            ("https://example.com:8006", false),
            ("http://pve.example.com:8006", false),
        ] {
            let offered = rig.browser().log_in("alice@pve").await;
            let begun = &offered["factors"]["webauthn"];
            let credential = key.get_with_members(begun, &[("origin", json!(origin))]).await;
            let body = login(&offered, &credential);
            let (status, answer) = rig.browser().send("POST", "/api/login/webauthn", Some(&body)).await;
            assert_eq!(status.is_success(), is_taken, "{origin}, {allow_subdomains}: {answer}");
            if !is_taken {
                assert_eq!(answer["report"]["verification"]["refused_by"], json!(["origin"]), "{origin}");
            }
        }
    }
}

#[tokio::test]
async fn keys_for_another_rp_id_are_counted_marked_and_not_offered() {
    let rig = Rig::new();
    assert_eq!(rig.relying_party.settle_in().unwrap(), [""; 0]);
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut Key::default(), "one").await;
    alice.register(&mut Key::default(), "two").await;
    assert_eq!(rig.relying_party.settle_in().unwrap(), [""; 0], "they are for this site");
    assert!(!findings(&rig, "alice@pve").contains(&Finding::KeysUnusable));

    let moved = moved(&rig);
    let sentence = "all 2 keys are for pve.example.com: no browser will use them here, at example.com";
    assert_eq!(moved.relying_party.settle_in().unwrap(), [sentence]);
    assert!(findings(&moved, "alice@pve").contains(&Finding::KeysUnusable));
    let factors = moved.store().factors(&"alice@pve".parse().unwrap()).unwrap();
    assert!(factors.iter().all(|factor| serde_json::to_value(factor).unwrap()["usable"] == false));
    assert!(factors[0].text().contains("for pve.example.com, where no browser uses it: this site has another RP ID"));

    // Nothing else would do: blocked, and the user is told why, explained or not.
    let answer = moved.browser().refused("POST", "/api/login", Some(password())).await;
    assert_eq!(answer["code"], "keys_unusable");
    assert_eq!(text(&answer["reason"]), format!("{sentence}; ask an administrator and name the report"));
    assert_eq!(answer["report"]["cause"], "keys_unusable");
    assert_eq!(moved.events(EventKind::LoginBlocked).len(), 1);
    // Who does not know the password learns nothing.
    let wrong = json!({ "user": "alice@pve", "password": "not the password" });
    assert_eq!(moved.browser().refused_code("POST", "/api/login", Some(wrong)).await, "authentication_failed");
}

fn password() -> Value {
    json!({ "user": "alice@pve", "password": PASSWORD })
}

#[tokio::test]
async fn what_else_the_user_has_is_offered_with_a_word_on_the_keys() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut Key::default(), "key").await;
    let keys = alice.add_recovery_keys().await;
    let moved = moved(&rig);
    moved.relying_party.settle_in().unwrap();
    let offered = moved.browser().log_in("alice@pve").await;
    let sentence = "the only key is for pve.example.com: no browser will use it here, at example.com";
    assert_eq!(offered["factors"]["webauthn"], Value::Null, "{offered}");
    assert_eq!(offered["factors"]["unusable_keys"], sentence);
    // Nor by asking again.
    let begin = json!({ "login": offered["login"] });
    let answer = moved.browser().refused("POST", "/api/login/webauthn/begin", Some(begin)).await;
    assert_eq!(answer["code"], "keys_unusable", "{answer}");
    let mut browser = moved.browser();
    let entered = browser.post("/api/login/recovery", json!({ "login": offered["login"], "key": keys[0] })).await;
    assert_eq!(entered["state"], "logged_in");
    let notices = entered["session"]["notices"].as_array().unwrap();
    let notice = notices.iter().find(|notice| notice["code"] == "keys_unusable").unwrap();
    assert_eq!(notice["text"], format!("{sentence}; add your keys anew, and delete what they were"));
    assert_eq!(browser.factors().await[0]["usable"], false);
}

/// A key that cannot be used is still a factor that was enrolled: codes that the realm would not have taken beside it are not
/// taken in its place.
#[tokio::test]
async fn nothing_weaker_takes_the_place_of_an_unusable_key() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut Key::default(), "key").await;
    alice.enrol_totp(&rig).await;
    rig.require("pve", Requirement::Webauthn);
    let moved = moved(&rig);
    let answer = moved.browser().refused("POST", "/api/login", Some(password())).await;
    assert_eq!(answer["code"], "keys_unusable", "{answer}");
}

#[tokio::test]
async fn of_several_keys_those_of_the_site_are_offered() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    alice.register(&mut Key::default(), "key").await;
    let moved = moved(&rig);
    let mut key = Key::default();
    alice.at(&moved).register(&mut key, "the same, added again").await;
    assert_eq!(
        moved.relying_party.settle_in().unwrap(),
        ["1 of 2 keys is for pve.example.com: no browser will use it here, at example.com"]
    );
    let offered = moved.browser().log_in("alice@pve").await;
    let options = &offered["factors"]["webauthn"]["options"]["publicKey"];
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1, "{offered}");
    assert_eq!(moved.browser().log_in_with("alice@pve", &mut key).await["state"], "logged_in");
}

/// `oath` with keys alone, by the policy of the server that offers them all the same.
#[tokio::test]
async fn keys_that_the_realm_does_not_accept_are_said_at_the_start_and_in_the_audit() {
    for (policy, is_said) in [("proxmox-9", true), ("strict-l3", false)] {
        let rig = Rig::with_policy(policy);
        rig.new_user("alice@pve").await.register(&mut Key::default(), "key").await;
        let mut bob = rig.new_user("bob@pve").await;
        bob.register(&mut Key::default(), "key").await;
        bob.enrol_totp(&rig).await;
        assert_eq!(rig.relying_party.settle_in().unwrap(), [""; 0], "no realm asks for codes yet");
        rig.require("pve", Requirement::Oath { digits: 6, step: 30 });
        let notes = rig.relying_party.settle_in().unwrap();
        let expected = "the realm pve requires codes, and the policy proxmox-9 lets no security key pass there: alice@pve cannot log in";
        assert_eq!(notes, if is_said { vec![expected.to_owned()] } else { vec![] });
        assert_eq!(findings(&rig, "alice@pve").contains(&Finding::KeysNotAccepted), is_said);
        assert!(!findings(&rig, "bob@pve").contains(&Finding::KeysNotAccepted));
        let lacking = rig.store().audit(rig.now()).unwrap().lacking("pve");
        assert_eq!(lacking, if is_said { vec!["alice@pve".to_owned()] } else { vec![] });
    }
}

#[test]
fn settings_that_cannot_work_change_nothing_of_what_is_known() {
    let rig = Rig::new();
    rig.relying_party.settle_in().unwrap();
    let broken = rig.served_with(Settings::new("Not A Domain", ORIGIN));
    assert!(broken.relying_party.webauthn_problem().is_some());
    assert_eq!(broken.relying_party.settle_in().unwrap(), [""; 0]);
}
