//! Adding factors: the options, the rules for challenges and owners, and what is refused.

use keyrig_relying_party::{Attestation, EventKind, MAX_FACTORS_PER_USER, Policy, Preference, Role, Settings, Totp};
use passkey::client::WebauthnError;
use passkey::types::ctap2::{Ctap2Error, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Key, ORIGIN, RP_ID, Rig, decode, registration, text, with_client_data_member};

const FINISH: &str = "/api/factors/webauthn";

fn failed(answer: &Value) -> Vec<String> {
    assert_eq!(answer["code"], "enrolment_refused", "{answer}");
    answer["report"]["verification"]["refused_by"].as_array().unwrap().iter().map(text).collect()
}

/// What Proxmox VE emits, by its policy; facts read in its source.
#[tokio::test]
async fn options_are_those_of_the_policy() {
    let rig = Rig::with_policy("proxmox-9");
    let options = &rig.new_user("root@pam").await.begin_registration().await["options"]["publicKey"];
    assert_eq!(options["rp"], json!({ "id": RP_ID, "name": RP_ID }));
    assert_eq!(options["user"]["name"], "root@pam");
    assert_eq!(decode(&options["user"]["id"]).len(), 16);
    assert!(decode(&options["challenge"]).len() >= 16, "WebAuthn Level 3, 13.4.3");
    let algorithms: Vec<_> =
        options["pubKeyCredParams"].as_array().unwrap().iter().map(|entry| entry["alg"].as_i64().unwrap()).collect();
    assert_eq!(algorithms, [-7, -257]);
    assert_eq!(options["authenticatorSelection"]["userVerification"], "discouraged");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "discouraged");
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["hints"], json!(["security-key"]));
    assert_eq!(options["timeout"], 300_000);
    // Without a policy: what a relying party decides that goes by the letter.
    let options = &Rig::new().new_user("root@pam").await.begin_registration().await["options"]["publicKey"];
    let algorithms: Vec<_> =
        options["pubKeyCredParams"].as_array().unwrap().iter().map(|entry| entry["alg"].as_i64().unwrap()).collect();
    assert_eq!(algorithms, [-7, -8, -35, -257], "ES256, EdDSA, ES384, RS256");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "preferred");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "discouraged");
    assert_eq!((&options["attestation"], &options["hints"]), (&json!("none"), &json!(["security-key"])));
}

#[tokio::test]
async fn a_users_handle_is_the_users_or_a_new_one_by_policy() {
    for (policy, is_the_users) in [("strict-l3", true), ("proxmox-9", false)] {
        let rig = Rig::with_policy(policy);
        let mut alice = rig.new_user("alice@pve").await;
        let handle = |begun: &Value| begun["options"]["publicKey"]["user"]["id"].clone();
        let (first, second) = (alice.begin_registration().await, alice.begin_registration().await);
        assert_eq!(handle(&first) == handle(&second), is_the_users, "{policy}");
        assert_ne!(first["options"]["publicKey"]["challenge"], second["options"]["publicKey"]["challenge"]);
        assert_ne!(handle(&rig.new_user("bob@pve").await.begin_registration().await), handle(&first));
        // The key remembers the handle of its registration, and says it at logins.
        let mut key = Key::default();
        alice.register(&mut key, "key").await;
        rig.browser().log_in_with("alice@pve", &mut key).await;
    }
}

#[tokio::test]
async fn the_factor_shows_what_was_registered() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let begun = browser.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    let added = browser.post(FINISH, registration(&begun, "Blaue Karte Nº 1", &credential)).await;
    let factor = &added["factor"];
    assert_eq!((&factor["type"], &factor["description"]), (&json!("webauthn"), &json!("Blaue Karte Nº 1")));
    assert_eq!((&factor["credential_id"], &factor["rp_id"]), (&credential["id"], &json!(RP_ID)));
    assert_eq!((&factor["created"], &factor["last_used"]), (&json!(1_795_305_600), &Value::Null));
    assert_eq!((&factor["counter"], &factor["enabled"]), (&json!(0), &json!(true)));
    assert_eq!(factor["attestation_format"], "none");
    assert_eq!(&browser.factors().await[0], factor);
    assert!(added["notices"].as_array().unwrap().iter().any(|notice| notice["code"] == "no_recovery_keys"));
}

#[tokio::test]
async fn exclude_credentials_lists_all_of_the_users_and_nobody_elses() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    let mut keys = [Key::default(), Key::default()];
    let mut ids = Vec::new();
    for key in &mut keys {
        ids.push(alice.register(key, "key").await["credential_id"].clone());
    }
    rig.new_user("bob@pve").await.register(&mut Key::default(), "key").await;
    // A disabled one is excluded too.
    let id = text(&alice.factors().await[0]["id"]);
    alice.accepted("PATCH", &format!("/api/factors/{id}"), Some(json!({ "enabled": false }))).await;
    let begun = alice.begin_registration().await;
    let excluded = begun["options"]["publicKey"]["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids);
    for key in &mut keys {
        let expected = WebauthnError::AuthenticatorError(StatusCode::from(Ctap2Error::CredentialExcluded).into());
        assert_eq!(key.create(&begun).await.unwrap_err(), expected);
    }
    // But not asked for at logins.
    let offered = rig.browser().log_in("alice@pve").await;
    let allowed = offered["factors"]["webauthn"]["options"]["publicKey"]["allowCredentials"].as_array().unwrap();
    assert_eq!(allowed.iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids[1..]);
}

/// Without attestation nothing signs a registration: the same credential can be sent again under another challenge.
#[tokio::test]
async fn a_credential_is_registered_once_over_all_users() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    let begun = alice.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    alice.post(FINISH, registration(&begun, "key", &credential)).await;
    for browser in [&mut alice, &mut rig.new_user("bob@pve").await] {
        let begun = browser.begin_registration().await;
        let challenge = begun["options"]["publicKey"]["challenge"].clone();
        let again = with_client_data_member(&credential, "challenge", challenge);
        let answer = browser.refused("POST", FINISH, Some(registration(&begun, "key", &again))).await;
        assert_eq!(failed(&answer), ["credential-id-unregistered"]);
    }
    assert_eq!(rig.events(EventKind::EnrolmentRefused).len(), 2);
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer_in_its_session() {
    let rig = Rig::new();
    let (mut alice, mut bob) = (rig.new_user("alice@pve").await, rig.new_user("bob@pve").await);
    let begun = alice.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    let body = registration(&begun, "key", &credential);
    // Not of another user, nor of another session of the same.
    assert_eq!(bob.refused_code("POST", FINISH, Some(body.clone())).await, "challenge_gone");
    let mut elsewhere = rig.browser();
    elsewhere.log_in("alice@pve").await;
    elsewhere.confirm().await;
    assert_eq!(elsewhere.refused_code("POST", FINISH, Some(body.clone())).await, "challenge_gone");
    alice.post(FINISH, body.clone()).await;
    assert_eq!(alice.refused_code("POST", FINISH, Some(body)).await, "challenge_gone");
    // An expired one.
    let begun = alice.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    rig.clock.advance(Policy::strict().challenge_lifetime);
    alice.confirm().await;
    let answer = alice.refused("POST", FINISH, Some(registration(&begun, "key", &credential))).await;
    assert_eq!(answer["code"], "challenge_gone");
    assert!(text(&answer["reason"]).contains("expired"), "{answer}");
}

#[tokio::test]
async fn a_wrong_answer_adds_nothing_and_uses_up_its_challenge() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let cases = [
        ("origin", json!("https://pve.example.com"), &["origin"][..]),
        ("type", json!("webauthn.get"), &["client-data-type"]),
        ("challenge", json!("AAAA"), &["challenge"]),
        ("crossOrigin", json!(true), &["cross-origin"]),
    ];
    for (member, value, expected) in cases {
        let begun = browser.begin_registration().await;
        let credential = Key::default().create(&begun).await.unwrap();
        let wrong = with_client_data_member(&credential, member, value);
        let answer = browser.refused("POST", FINISH, Some(registration(&begun, "key", &wrong))).await;
        assert_eq!(failed(&answer), expected);
        let right = registration(&begun, "key", &credential);
        assert_eq!(browser.refused_code("POST", FINISH, Some(right)).await, "challenge_gone");
    }
    assert!(browser.factors().await.is_empty());
}

#[tokio::test]
async fn attestation_and_user_verification_are_policy() {
    // passkey's authenticator gives no attestation that verifies to a root, and verifies nobody.
    let with = |attestation, user_verification| Settings {
        attestation,
        policy: Policy { user_verification, ..Policy::strict() },
        ..Settings::new(RP_ID, ORIGIN)
    };
    let cases = [
        (with(Attestation::Any, Preference::Discouraged), "direct", &["attestation-type"][..]),
        (with(Attestation::Root { roots: Vec::new() }, Preference::Discouraged), "direct", &["attestation-type"]),
        (with(Attestation::None, Preference::Required), "none", &["user-verified"]),
    ];
    for (settings, attestation, expected) in cases {
        let rig = Rig::with_settings(settings);
        let mut browser = rig.new_user("alice@pve").await;
        let mut begun = browser.begin_registration().await;
        assert_eq!(begun["options"]["publicKey"]["attestation"], attestation);
        begun["options"]["publicKey"]["authenticatorSelection"]["userVerification"] = json!("discouraged");
        let credential = Key::default().create(&begun).await.unwrap();
        let answer = browser.refused("POST", FINISH, Some(registration(&begun, "key", &credential))).await;
        assert_eq!(failed(&answer), expected);
    }
}

#[tokio::test]
async fn totp_is_added_by_a_code_of_the_app_which_is_used_up() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let wish = json!({ "algorithm": "SHA256", "digits": 8, "step": 60 });
    let begun = browser.post("/api/factors/totp/begin", wish).await;
    assert!(text(&begun["qr_svg"]).starts_with("<svg"));
    let totp = Totp::from_uri(begun["uri"].as_str().unwrap()).unwrap();
    assert_eq!((totp.digits(), totp.step(), totp.secret_base32()), (8, 60, text(&begun["secret"])));
    let finish = |code: &str, description: &str| json!({ "challenge": begun["challenge"], "description": description, "code": code });
    let code = totp.code(rig.now());
    // A wrong code can be corrected; so can a wrong description.
    let wrong = if code == "00000000" { "11111111" } else { "00000000" };
    let path = "/api/factors/totp";
    assert_eq!(browser.refused_code("POST", path, Some(finish(wrong, "app"))).await, "confirmation_code_wrong");
    assert_eq!(browser.refused_code("POST", path, Some(finish(&code, ""))).await, "bad_description");
    let factor = browser.post(path, finish(&code, "app")).await["factor"].clone();
    assert_eq!((&factor["algorithm"], &factor["digits"], &factor["step"]), (&json!("SHA256"), &json!(8), &json!(60)));
    assert_eq!(browser.refused_code("POST", path, Some(finish(&code, "app"))).await, "challenge_gone");
    let offered = rig.browser().log_in("alice@pve").await;
    let body = json!({ "login": offered["login"], "code": code });
    let answer = rig.browser().refused("POST", "/api/login/totp", Some(body)).await;
    assert_eq!(answer["report"]["cause"], "code_reused");
    rig.clock.advance(std::time::Duration::from_secs(60));
    let body = json!({ "login": offered["login"], "code": totp.code(rig.now()) });
    rig.browser().post("/api/login/totp", body).await;
}

#[tokio::test]
async fn totp_has_bounds() {
    let mut browser = Rig::new().new_user("alice@pve").await;
    for wish in [json!({ "digits": 5 }), json!({ "digits": 9 }), json!({ "step": 9 }), json!({ "step": 3601 })] {
        assert_eq!(browser.refused_code("POST", "/api/factors/totp/begin", Some(wish)).await, "bad_totp");
    }
    for wish in [json!({ "algorithm": "MD5" }), json!({ "digits": -1 }), json!({ "secret": "AAAA" })] {
        assert_eq!(browser.refused_code("POST", "/api/factors/totp/begin", Some(wish)).await, "bad_request");
    }
}

#[tokio::test]
async fn there_is_one_set_of_recovery_keys() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let keys = browser.add_recovery_keys().await;
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), 10);
    for key in &keys {
        let groups: Vec<_> = key.split('-').map(str::len).collect();
        assert_eq!(groups, [4; 4], "{key}");
    }
    let paper = json!({ "description": "paper" });
    assert_eq!(browser.refused_code("POST", "/api/factors/recovery", Some(paper)).await, "recovery_keys_exist");
    // Nowhere else are they to be seen, nor in the log.
    let seen = format!("{:?} {:?}", browser.factors().await, rig.store().events(&Default::default()).unwrap());
    assert!(keys.iter().all(|key| !seen.contains(key)));
    let id = text(&browser.factors().await[0]["id"]);
    browser.accepted("DELETE", &format!("/api/factors/{id}"), None).await;
    let new = browser.add_recovery_keys().await;
    let offered = rig.browser().log_in("alice@pve").await;
    let body = |key: &str| json!({ "login": offered["login"], "key": key });
    rig.browser().refused("POST", "/api/login/recovery", Some(body(&keys[0]))).await;
    rig.browser().post("/api/login/recovery", body(&new[0])).await;
}

#[tokio::test]
async fn a_disabled_factor_is_not_taken_and_a_deleted_one_is_gone() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let totp = browser.enrol_totp(&rig).await;
    let mut key = Key::default();
    browser.register(&mut key, "key").await;
    let ids: Vec<String> = browser.factors().await.iter().map(|factor| text(&factor["id"])).collect();
    let disable = |enabled: bool| Some(json!({ "enabled": enabled }));
    browser.accepted("PATCH", &format!("/api/factors/{}", ids[0]), disable(false)).await;
    let offered = rig.browser().log_in("alice@pve").await;
    assert_eq!(offered["factors"]["totp"], false);
    let body = json!({ "login": offered["login"], "code": totp.code(rig.now()) });
    let answer = rig.browser().refused("POST", "/api/login/totp", Some(body.clone())).await;
    assert_eq!(answer["report"]["cause"], "no_totp");
    browser.accepted("PATCH", &format!("/api/factors/{}", ids[0]), disable(true)).await;
    rig.browser().post("/api/login/totp", body).await;
    // Deleted while a login with it is under way.
    let offered = rig.browser().log_in("alice@pve").await;
    let credential = key.get(&offered["factors"]["webauthn"]).await.unwrap();
    browser.accepted("DELETE", &format!("/api/factors/{}", ids[1]), None).await;
    let body = crate::rig::login(&offered, &credential);
    let answer = rig.browser().refused("POST", "/api/login/webauthn", Some(body)).await;
    assert_eq!(answer["report"]["verification"]["refused_by"], json!(["credential-record"]));
}

#[tokio::test]
async fn the_number_of_factors_is_bounded() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    for number in 0..MAX_FACTORS_PER_USER {
        browser.register(&mut Key::default(), &format!("key {number}")).await;
    }
    let paper = json!({ "description": "paper" });
    assert_eq!(browser.refused_code("POST", "/api/factors/recovery", Some(paper)).await, "too_many_factors");
}

#[tokio::test]
async fn an_administrator_with_a_single_key_is_told_to_add_a_backup() {
    let rig = Rig::new();
    rig.add_user("root@pam", Role::Administrator);
    let mut browser = rig.browser();
    browser.log_in("root@pam").await;
    browser.confirm().await;
    let is_told = |notices: &Value| notices.as_array().unwrap().iter().any(|it| it["code"] == "backup_key_missing");
    for (name, expected) in [("primary", true), ("backup", false)] {
        browser.register(&mut Key::default(), name).await;
        assert_eq!(is_told(&browser.get("/api/session").await["notices"]), expected, "{name}");
    }
}

/// The options of a registration that makes a passkey of a second factor.
async fn begin_upgrade(browser: &mut crate::rig::Browser, id: &Value) -> Value {
    browser.post("/api/factors/webauthn/begin", json!({ "passkey": true, "replaces": id })).await
}

#[tokio::test]
async fn a_second_factor_becomes_a_passkey_by_registering_its_key_again() {
    let rig = Rig::with_settings(Settings { passkey_login: true, ..Settings::new(RP_ID, ORIGIN) });
    let mut alice = rig.new_user("alice@pve").await;
    let (mut key, mut other) = (Key::verifying_user(), Key::verifying_user());
    let factor = alice.register(&mut key, "blue").await;
    let backup = alice.register(&mut other, "backup").await;
    assert_eq!((&factor["type"], &factor["passkey"]), (&json!("webauthn"), &json!(false)));
    // A passkey beside it is shut out.
    let begun = alice.post("/api/factors/webauthn/begin", json!({ "passkey": true })).await;
    let excluded = WebauthnError::AuthenticatorError(StatusCode::from(Ctap2Error::CredentialExcluded).into());
    assert_eq!(key.create(&begun).await.unwrap_err(), excluded);
    // In its place it is not; the other key still is.
    let begun = begin_upgrade(&mut alice, &factor["id"]).await;
    let options = &begun["options"]["publicKey"];
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    let ids: Vec<_> = options["excludeCredentials"].as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
    assert_eq!(ids, [&backup["credential_id"]]);
    assert_eq!(other.create(&begun).await.unwrap_err(), excluded);
    let credential = key.create(&begun).await.unwrap();
    let added = alice.post(FINISH, registration(&begun, "blue", &credential)).await;
    assert_eq!(added["factor"]["passkey"], true);
    let factors = alice.factors().await;
    let left: Vec<_> = factors.iter().map(|factor| (&factor["id"], &factor["passkey"])).collect();
    assert_eq!(left, [(&backup["id"], &json!(false)), (&added["factor"]["id"], &json!(true))]);
    let deleted = &rig.events(EventKind::FactorDeleted)[0].detail;
    assert!(deleted.contains(&text(&factor["id"])), "{deleted}");
    // It is asked for after the password as before.
    rig.browser().log_in_with("alice@pve", &mut key).await;
    // There is nothing to upgrade any more.
    let again = json!({ "passkey": true, "replaces": added["factor"]["id"] });
    let refused = alice.refused("POST", "/api/factors/webauthn/begin", Some(again)).await;
    assert_eq!(refused["code"], "no_passkey_of_factor");
    assert!(text(&refused["reason"]).ends_with("it is one already"), "{refused}");
}

#[tokio::test]
async fn only_a_security_key_of_the_user_becomes_a_passkey() {
    let rig = Rig::new();
    let of_bob = rig.new_user("bob@pve").await.register(&mut Key::default(), "key").await["id"].clone();
    let mut alice = rig.new_user("alice@pve").await;
    let key = alice.register(&mut Key::default(), "key").await["id"].clone();
    alice.enrol_totp(&rig).await;
    let app = alice.factors().await[1]["id"].clone();
    alice.accepted("PATCH", &format!("/api/factors/{}", text(&key)), Some(json!({ "enabled": false }))).await;
    let cases = [
        (json!({ "passkey": true, "replaces": of_bob }), "unknown_factor"),
        (json!({ "passkey": true, "replaces": "x" }), "unknown_factor"),
        (json!({ "passkey": true, "replaces": app }), "no_passkey_of_factor"),
        // It may be disabled because it is lost.
        (json!({ "passkey": true, "replaces": key }), "no_passkey_of_factor"),
        (json!({ "replaces": key }), "bad_request"),
        (json!({ "passkey": true, "replaces": 7 }), "bad_request"),
    ];
    for (wish, code) in cases {
        let refused = alice.refused_code("POST", "/api/factors/webauthn/begin", Some(wish.clone())).await;
        assert_eq!(refused, code, "{wish}");
    }
}

/// What was there when it began may have gone or changed when it ends.
#[tokio::test]
async fn a_passkey_takes_no_place_that_is_not_there_any_more() {
    let rig = Rig::new();
    let mut alice = rig.new_user("alice@pve").await;
    let mut key = Key::verifying_user();
    let factor = alice.register(&mut key, "key").await;
    for (change, code) in [("PATCH", "no_passkey_of_factor"), ("DELETE", "unknown_factor")] {
        let begun = begin_upgrade(&mut alice, &factor["id"]).await;
        let credential = key.create(&begun).await.unwrap();
        let path = format!("/api/factors/{}", text(&factor["id"]));
        let body = (change == "PATCH").then(|| json!({ "enabled": false }));
        alice.accepted(change, &path, body).await;
        let body = registration(&begun, "key", &credential);
        assert_eq!(alice.refused_code("POST", FINISH, Some(body.clone())).await, code);
        assert_eq!(alice.factors().await.len(), usize::from(change == "PATCH"), "nothing was added");
        assert_eq!(alice.refused_code("POST", FINISH, Some(body)).await, "challenge_gone");
        if change == "PATCH" {
            alice.accepted("PATCH", &path, Some(json!({ "enabled": true }))).await;
        }
    }
    assert_eq!(rig.events(EventKind::FactorAdded).len(), 1);
}
