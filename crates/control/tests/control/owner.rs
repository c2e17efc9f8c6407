//! The commands of a rack's owner: what each is in JSON, and what it answers. What one prints, another accepts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_authenticator::credential::{CredRandom, CredentialSource, Properties};
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_control::request::{
    Create, ExportCredentials, ImportCredentials, ListCredentials, ReadLargeBlobs, Restore, TakeSnapshot,
};
use keyrig_control::socket::send;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use serde_json::{Value, json};

use crate::requests::{SITE, asserted, get_assertion, made, make_credential};
use crate::socket::{Served, ask, refused, served};
use crate::support::{handle, name, transact};

/// The private key 1 of P-256 as PKCS#8, by hand (RFC 5958, RFC 5915): its public key is left out, as it may be.
fn private_key() -> String {
    let der =
        format!("{}{}01", "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420", "00".repeat(31));
    URL_SAFE_NO_PAD.encode(hex::decode(der).unwrap())
}

fn credential() -> Value {
    json!({
        "credential_id": URL_SAFE_NO_PAD.encode(b"imported"), "rp_id": SITE, "private_key": private_key(),
        "user_id": URL_SAFE_NO_PAD.encode(b"alice"), "user_name": "alice", "sign_count": 41,
        "backup_eligible": true, "backup_state": true,
    })
}

async fn done(served: &Served, request: Value) -> Value {
    let answer = ask(&served.path, request).await;
    assert_eq!(answer["ok"], true, "{answer}");
    answer
}

#[tokio::test]
async fn keys_come_and_go() {
    let served = served("auto", &["a"]).await;
    let created =
        done(&served, json!({"command": "create", "name": "b", "profile": "yubikey-5.7", "pin": "1357"})).await;
    let (key, profile) = (&created["keys"][0], json!("yubikey-5.7"));
    assert_eq!((&key["name"], &key["profile"], &key["plugged"]), (&json!("b"), &profile, &json!(true)));
    let pin = json!({"ok": true, "key": "b", "pin_set": true, "retries": 8, "power_cycle_needed": false});
    assert_eq!(done(&served, json!({"command": "pin-retries", "key": "b"})).await, pin);
    let plain = done(&served, json!({"command": "create", "name": "c", "plugged": false})).await;
    assert_eq!((&plain["keys"][0]["profile"], &plain["keys"][0]["plugged"]), (&json!("keyrig"), &json!(false)));
    let left = done(&served, json!({"command": "remove", "key": "b"})).await;
    let names: Vec<_> = left["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "c"]);

    for (request, code) in [
        (json!({"command": "create", "name": "a"}), "key-exists"),
        (json!({"command": "create", "name": "d", "profile": "yubikey-9"}), "unknown-profile"),
        (json!({"command": "create", "name": "d", "quirks": ["no-such"]}), "unknown-quirk"),
        (json!({"command": "create", "name": "d", "quirks": ["all-applications"]}), "quirk-refused"),
        (json!({"command": "create", "name": "d", "quirks": ["touch-latch", "touch-latch"]}), "quirk-refused"),
        (json!({"command": "create", "name": "d", "quirks": "touch-latch"}), "bad-request"),
        (json!({"command": "create", "name": "d", "enterprise_rps": ["example.com"]}), "enterprise-rp-refused"),
        (json!({"command": "create", "name": "d", "pin": "1"}), "pin-policy"),
        (json!({"command": "create", "name": "d", "snapshot": "AAAA"}), "bad-snapshot"),
        (json!({"command": "create", "name": "d", "snapshot": "****"}), "bad-request"),
        (json!({"command": "create"}), "bad-request"),
        (json!({"command": "remove", "key": "b"}), "unknown-key"),
        (json!({"command": "reset", "key": "b"}), "unknown-key"),
        (json!({"command": "take-snapshot", "key": "b"}), "unknown-key"),
        (json!({"command": "clone", "key": "b", "name": "d"}), "unknown-key"),
        (json!({"command": "clone", "key": "a", "name": "a"}), "key-exists"),
    ] {
        assert_eq!(ask(&served.path, request.clone()).await["error"]["code"], code, "{request}");
    }
}

/// Whom a key lists gets its enterprise attestation (CTAP 2.3 §7.1.1), of another key made of it too.
#[tokio::test]
async fn a_key_lists_rp_ids_for_enterprise_attestation_and_so_does_its_clone() {
    let served = served("every", &["a"]).await;
    let create =
        json!({"command": "create", "name": "e", "profile": "yubikey-enterprise", "enterprise_rps": [SITE, SITE]});
    let listed = json!(["enterprise.example.com", SITE]);
    assert_eq!(done(&served, create).await["keys"][0]["enterprise_rps"], listed);
    // authenticatorConfig (0x0D), enableEnterpriseAttestation: {1: 1}.
    let enabled = transact(&served.rack, "e", vec![0x0D, 0xA1, 0x01, 0x01]).await;
    assert_eq!(enabled, [0x00]);
    let cloned = done(&served, json!({"command": "clone", "key": "e", "name": "f"})).await;
    assert_eq!(cloned["keys"][0]["enterprise_rps"], listed);
    for key in ["e", "f"] {
        // enterpriseAttestation, 0x0A: 1, behind what the request has; a map of one more.
        let mut request = make_credential(key, false);
        assert_eq!(request[1] & 0xF0, 0xA0);
        request[1] += 1;
        request.extend([0x0A, 0x01]);
        let answer = transact(&served.rack, key, request).await;
        assert_eq!((answer[0], &answer[answer.len() - 2..]), (0x00, &[0x04, 0xF5][..]), "{key}: epAtt, 0x04: true");
    }
}

#[tokio::test]
async fn pins_are_set_and_changed() {
    let served = served("auto", &["a"]).await;
    let state =
        |retries: u8| json!({"ok": true, "key": "a", "pin_set": true, "retries": retries, "power_cycle_needed": false});
    let none = done(&served, json!({"command": "pin-retries", "key": "a"})).await;
    assert_eq!(none, json!({"ok": true, "key": "a", "pin_set": false}));
    for _ in 0..2 {
        assert_eq!(done(&served, json!({"command": "set-pin", "key": "a", "pin": "1357"})).await, state(8));
    }
    let other = ask(&served.path, json!({"command": "set-pin", "key": "a", "pin": "2468"})).await;
    assert_eq!(other, refused("pin-already-set", "key a: another PIN is set already"));
    let change = |pin: &str| json!({"command": "change-pin", "key": "a", "pin": pin, "new_pin": "2468"});
    assert_eq!(
        ask(&served.path, change("0000")).await,
        refused("pin-wrong", "key a: the PIN is wrong: 7 tries are left")
    );
    assert_eq!(done(&served, json!({"command": "pin-retries", "key": "a"})).await, state(7));
    assert_eq!(done(&served, change("1357")).await, state(8));
}

#[tokio::test]
async fn a_credential_is_imported_listed_exported_and_deleted() {
    let served = served("auto", &["a", "b"]).await;
    let import =
        |key: &str, credential: &Value| json!({"command": "import-credential", "key": key, "credential": credential});
    let imported = done(&served, import("a", &credential())).await;
    assert_eq!(imported["keys"][0]["discoverable_credentials"], 1);
    assert_eq!(asserted(&transact(&served.rack, "a", get_assertion(&[])).await), (b"imported".to_vec(), 42));

    let listed = done(&served, json!({"command": "list-credentials", "key": "a"})).await;
    let expected = json!([{
        "credential_id": credential()["credential_id"], "rp_id": SITE, "user_id": credential()["user_id"],
        "user_name": "alice", "user_display_name": null, "discoverable": true, "algorithm": "ES256", "sign_count": 42,
        "backup_eligible": true, "backup_state": true, "cred_protect": 1, "large_blob": false,
    }]);
    assert_eq!(listed, json!({"ok": true, "key": "a", "credentials": expected}));

    let exported = done(&served, json!({"command": "export-credentials", "key": "a"})).await;
    let one = &exported["credentials"][0];
    assert_eq!(one["sign_count"], 42);
    done(&served, import("b", one)).await;
    let again = done(&served, json!({"command": "export-credentials", "key": "b"})).await;
    assert_eq!(again, exported, "what one prints, another accepts");
    let exists = ask(&served.path, import("b", one)).await;
    assert_eq!(exists["error"]["code"], "credential-exists");

    let id = &one["credential_id"];
    let backup = |eligible, state| json!({"command": "set-backup", "key": "b", "credential_id": id, "backup_eligible": eligible, "backup_state": state});
    for (eligible, state) in [(true, false), (false, false), (true, true)] {
        done(&served, backup(eligible, state)).await;
        let listed = done(&served, json!({"command": "list-credentials", "key": "b"})).await;
        let listed = &listed["credentials"][0];
        assert_eq!((&listed["backup_eligible"], &listed["backup_state"]), (&json!(eligible), &json!(state)));
        assert_eq!(listed["sign_count"], 42);
    }
    let never = refused("backup-refused", "key b: what is not backup eligible cannot be backed up");
    assert_eq!(ask(&served.path, backup(false, true)).await, never);
    let unknown = json!({"command": "set-backup", "key": "a", "credential_id": "AAAA", "backup_eligible": true, "backup_state": true});
    let unknown = ask(&served.path, unknown).await;
    assert_eq!(unknown, refused("no-such-credential", "key a: the key stores no credential with this id"));
    done(&served, json!({"command": "delete-credential", "key": "b", "credential_id": id})).await;
    let gone = ask(&served.path, json!({"command": "delete-credential", "key": "b", "credential_id": id})).await;
    assert_eq!(gone, refused("no-such-credential", "key b: the key has no credential with this id"));
}

#[tokio::test]
async fn a_credential_that_lives_in_its_id_is_exported_by_its_site() {
    let served = served("every", &["a", "b"]).await;
    let (id, _) = made(&transact(&served.rack, "a", make_credential("user", false)).await);
    let id = URL_SAFE_NO_PAD.encode(id);
    let export = json!({"command": "export-credentials", "key": "a", "credential_id": id, "rp_id": SITE});
    let exported = done(&served, export).await;
    let import = json!({"command": "import-credential", "key": "b", "credential": exported["credentials"][0]});
    done(&served, import).await;
    let without_site = json!({"command": "export-credentials", "key": "a", "credential_id": id});
    assert_eq!(ask(&served.path, without_site).await["error"]["code"], "no-such-credential");
}

#[tokio::test]
async fn what_is_no_credential_is_refused_and_no_secret_is_repeated() {
    let served = served("auto", &["a"]).await;
    let with = |member: &str, value: Value| {
        let mut credential = credential();
        credential[member] = value;
        credential
    };
    for (credential, code, said) in [
        (with("private_key", json!("c2VjcmV0")), "bad-credential", "private_key is no PKCS#8 key"),
        (with("private_key", json!("c2VjcmV0=")), "bad-request", "base64url"),
        (with("user_id", Value::Null), "bad-credential", "user_id"),
        (with("cred_protect", json!(4)), "bad-credential", "1, 2 or 3"),
        (with("cred_random", json!("AAAA")), "bad-credential", "64 bytes"),
        (with("large_blob_key", json!("AAAA")), "bad-credential", "32 bytes"),
        (with("backup_eligible", json!(false)), "credential-refused", "backed up"),
        (with("credential_id", json!("")), "credential-refused", "1 to 128"),
        (with("sign_count", json!(-1)), "bad-request", "this is not a command"),
        (with("unknown", json!(1)), "bad-request", "unknown"),
    ] {
        let answer =
            ask(&served.path, json!({"command": "import-credential", "key": "a", "credential": credential})).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(said) && !message.contains("c2VjcmV0"), "{message}");
    }
}

#[tokio::test]
async fn a_snapshot_makes_the_same_key_again() {
    let served = served("every", &["a"]).await;
    let (id, _) = made(&transact(&served.rack, "a", make_credential("user", true)).await);
    // Longer than a short request: a snapshot of a key with many credentials.
    for number in 0..150 {
        made(&transact(&served.rack, "a", make_credential(&format!("user {number}"), true)).await);
    }
    let taken = done(&served, json!({"command": "take-snapshot", "key": "a"})).await;
    assert_eq!((&taken["key"], &taken["profile"]), (&json!("a"), &json!("keyrig")));
    assert!(taken["snapshot"].as_str().unwrap().len() > 16 * 1024);
    done(&served, json!({"command": "create", "name": "b", "snapshot": taken["snapshot"]})).await;
    done(&served, json!({"command": "reset", "key": "a"})).await;
    done(&served, json!({"command": "restore", "key": "a", "snapshot": taken["snapshot"]})).await;
    done(&served, json!({"command": "clone", "key": "b", "name": "c"})).await;
    for key in ["a", "b", "c"] {
        assert_eq!(asserted(&transact(&served.rack, key, get_assertion(&[&id])).await).1, 152, "{key}");
    }
}

#[tokio::test]
async fn large_blobs_are_written_and_read() {
    let served = served("auto", &["a"]).await;
    // The initial array (CTAP 2.3 §6.10.1), and one with an element of one byte, with its hash by sha256sum.
    let initial = URL_SAFE_NO_PAD.encode(hex::decode("8076be8b528d0075f7aae98d6fa57a6d3c").unwrap());
    let read = json!({"command": "read-large-blobs", "key": "a"});
    assert_eq!(done(&served, read.clone()).await, json!({"ok": true, "key": "a", "array": initial}));
    let array = URL_SAFE_NO_PAD.encode(hex::decode("810100000000000000000000000000000000").unwrap());
    let damaged = json!({"command": "write-large-blobs", "key": "a", "array": array});
    assert_eq!(ask(&served.path, damaged).await["error"]["code"], "large-blobs-damaged");
    let array = URL_SAFE_NO_PAD.encode(hex::decode("8101ac38783f6a3b2fe3b579718d6ba8493a").unwrap());
    done(&served, json!({"command": "write-large-blobs", "key": "a", "array": array})).await;
    assert_eq!(done(&served, read).await["array"], array);
}

/// As many credentials as a key has room for, with the longest of everything, in characters that JSON writes as six.
fn full() -> Vec<CredentialSource> {
    let text = |length: usize| "\u{1}".repeat(length);
    let source = |number: usize| {
        let id = [&number.to_be_bytes()[..], &[7; 120]].concat();
        let user = User {
            id: [&number.to_be_bytes()[..], &[7; 56]].concat(),
            name: Some(text(64)),
            display_name: Some(text(64)),
        };
        let is_discoverable = number < 1000;
        CredentialSource {
            id,
            // With an id in a list it has to fit into a message of 1280 bytes.
            relying_party_id: text(if is_discoverable { 1280 } else { 1080 }),
            private_key: PrivateKey::from_bytes(Algorithm::EdDsa, &[7; 32]).unwrap(),
            user: is_discoverable.then_some(user),
            properties: Properties::default(),
            cred_blob: if is_discoverable { vec![7; 32] } else { Vec::new() },
            counter: Some(u32::MAX - 1),
            backup_eligible: true,
            backup_state: true,
            cred_random: Some(CredRandom { with_uv: [1; 32], without_uv: [2; 32] }),
            large_blob_key: is_discoverable.then_some([3; 32]),
        }
    };
    (0..2000).map(source).collect()
}

#[tokio::test]
async fn a_full_key_is_exported_imported_put_aside_and_restored() {
    let served = served("auto", &["a", "b", "c"]).await;
    let (a, b, c) = (name("a"), name("b"), name("c"));
    handle(&served.rack, "a").import(full()).await.unwrap();
    // maxSerializedLargeBlobArray of keyrig is 4096: zeros, and the first half of their SHA-256 by sha256sum.
    let array = [&[0; 4080][..], &hex::decode("9d4e9038bfe86a9c97688e56ccd91c84").unwrap()].concat();
    handle(&served.rack, "a").write_large_blobs(array.clone()).await.unwrap();
    let path = &served.path;

    let exported = send(path, ExportCredentials { key: a.clone(), credential_id: None, rp_id: None }).await.unwrap();
    assert_eq!(exported.credentials.len(), 2000);
    let import = ImportCredentials { key: b.clone(), credentials: exported.credentials.clone() };
    assert_eq!(send(path, import).await.unwrap().keys[0].discoverable_credentials, 1000);
    let again = send(path, ExportCredentials { key: b, credential_id: None, rp_id: None }).await.unwrap();
    assert!(again == exported);
    assert_eq!(send(path, ListCredentials { key: a.clone() }).await.unwrap().credentials.len(), 2000);

    let taken = send(path, TakeSnapshot { key: a }).await.unwrap();
    send(path, Restore { key: c.clone(), snapshot: taken.snapshot.clone() }).await.unwrap();
    let create = Create {
        name: name("d"),
        profile: None,
        virtual_authenticator: None,
        quirks: Vec::new(),
        enterprise_rps: Vec::new(),
        snapshot: Some(taken.snapshot.clone()),
        pin: None,
        uv: None,
        plugged: true,
    };
    send(path, create).await.unwrap();
    for key in [c, name("d")] {
        assert!(send(path, TakeSnapshot { key: key.clone() }).await.unwrap().snapshot == taken.snapshot, "{key}");
        assert_eq!(send(path, ReadLargeBlobs { key }).await.unwrap().array.0, array);
    }
}

#[tokio::test]
async fn of_several_credentials_all_are_imported_or_none_and_an_error_says_which_it_is() {
    let served = served("auto", &["a"]).await;
    let import =
        |credentials: &[Value]| json!({"command": "import-credentials", "key": "a", "credentials": credentials});
    let with = |member: &str, value: Value| {
        let mut credential = credential();
        credential[member] = value;
        credential
    };
    let other = with("user_id", json!("Ym9i"));
    for (second, code, said) in [
        (other.clone(), "credential-exists", "key a: none was imported, because of number 2 of 2: "),
        (with("private_key", json!("AAAA")), "bad-credential", "key a: credential 2 of 2: private_key"),
    ] {
        let answer = ask(&served.path, import(&[credential(), second])).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with(said), "{answer}");
        let listed = done(&served, json!({"command": "list-credentials", "key": "a"})).await;
        assert_eq!(listed["credentials"], json!([]));
    }
    let mut other = other;
    other["credential_id"] = json!("Ym9i");
    let done_both = done(&served, import(&[credential(), other])).await;
    assert_eq!(done_both["keys"][0]["discoverable_credentials"], 2);
}
