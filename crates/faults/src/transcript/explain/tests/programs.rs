//! What is said where no page asked. The requests are as OpenSSH 9.2, pam_u2f 1.1.0 and libfido2 1.12 made them.

use serde_json::json;

use super::*;
use crate::transcript::Program;

const MAKE: &str = "authenticatorMakeCredential";

fn probe(rp_id: &str) -> Value {
    json!({"rpId": rp_id, "clientDataHash": "00", "allowList": [{"id": "01"}], "options": {"up": false}})
}

fn creation(rp_id: &str) -> Value {
    json!({"rp": {"id": rp_id}, "clientDataHash": "01"})
}

impl Script {
    /// A key blinks and its user refuses.
    fn refused(&mut self, at_ms: u64, key: &str, command: &str, members: Value) {
        let exchange = self.ask(at_ms, key, command, members);
        self.push(at_ms, key, json!({"event": "waiting", "command": command}));
        self.push(at_ms + 1, key, json!({"event": "wait-ended", "touch": "denied"}));
        self.answer(at_ms + 1, key, exchange, command, "CTAP2_ERR_OPERATION_DENIED");
    }
}

/// What is said where nobody has a browser.
fn of_program(script: &Script) -> Explanation {
    let told = only(script);
    for word in ["browser", "Chromium", "Firefox", "page", "NotAllowedError", "()"] {
        assert!(!told.text.contains(word), "{word}: {}", told.text);
    }
    told
}

#[test]
fn who_asks_is_told_by_the_rp_id() {
    for (rp_id, program) in [
        ("ssh:", Some(Program::OpenSsh)),
        ("ssh:work", Some(Program::OpenSsh)),
        ("SSH:", Some(Program::OpenSsh)),
        ("pam://laptop", Some(Program::PamU2f)),
        ("io.systemd.cryptsetup", Some(Program::Systemd)),
        ("io.systemd.home", Some(Program::Systemd)),
        ("urn:mine", Some(Program::Other)),
        ("example.com", None),
        ("ssh", None),
        ("ssh.example.com", None),
        // An AppID.
        ("https://example.com/app-id.json", None),
        ("", None),
        ("ß", None),
    ] {
        assert_eq!(Program::of_rp_id(rp_id), program, "{rp_id}");
    }
}

#[test]
fn a_key_without_the_credential_is_told_with_what_to_plug_in() {
    for (rp_id, program, says) in [
        ("ssh:", Program::OpenSsh, "\"device not found\""),
        ("pam://laptop", Program::PamU2f, "pamu2fcfg -o"),
        ("io.systemd.cryptsetup", Program::Systemd, "systemd-cryptenroll"),
        ("urn:mine", Program::Other, "Plug in the key that was enrolled"),
    ] {
        let mut script = Script::default();
        for key in ["a", "b"] {
            script.info(1, key);
            script.exchange(2, key, GET, probe(rp_id), "CTAP2_ERR_NO_CREDENTIALS");
        }
        let told = of_program(&script);
        assert_eq!((told.asked_by, told.refused_by, told.keys.len()), (Some(program), RefusedBy::Key, 2), "{rp_id}");
        assert!(told.text.starts_with(&format!("{program}'s assertion for {rp_id} failed: key a")), "{}", told.text);
        assert!(told.text.contains(says), "{}", told.text);
    }
}

#[test]
fn a_touch_that_was_refused_is_told_with_what_the_program_makes_of_it() {
    for (rp_id, says) in [("ssh:", "incorrect passphrase"), ("pam://laptop", "authentication failed")] {
        let mut script = Script::default();
        script.info(1, "a");
        script.exchange(2, "a", GET, probe(rp_id), "CTAP2_OK");
        script.refused(3, "a", GET, assertion(rp_id, "01"));
        let told = of_program(&script);
        assert_eq!(told.refused_by, RefusedBy::User);
        assert!(told.text.contains("its user refused") && told.text.contains(says), "{}", told.text);
    }
    let mut script = Script::default();
    script.info(1, "a");
    script.refused(2, "a", MAKE, creation("ssh:"));
    let told = of_program(&script);
    assert!(told.text.starts_with("OpenSSH's registration for ssh: failed"), "{}", told.text);
}

/// Whether there is such a credential already is asked before, and there is none.
#[test]
fn what_was_asked_before_a_registration_does_not_count() {
    let mut script = Script::default();
    script.info(1, "a");
    script.exchange(2, "a", GET, probe("ssh:"), "CTAP2_ERR_NO_CREDENTIALS");
    script.exchange(3, "a", MAKE, creation("ssh:"), "CTAP2_ERR_PUAT_REQUIRED");
    let told = of_program(&script);
    assert!(told.text.contains("SSH_ASKPASS"), "{}", told.text);

    // A browser's likewise: it refuses at a key, and not for what the key has not.
    let mut script = Script::default();
    script.info(1, "a");
    script.exchange(2, "a", GET, probe("example.com"), "CTAP2_ERR_NO_CREDENTIALS");
    script.refused(3, "a", MAKE, creation("example.com"));
    assert_eq!(only(&script).refused_by, RefusedBy::User);
    assert_eq!(only(&script).asked_by, None);
}

#[test]
fn a_login_that_is_given_up_at_one_key_is_not_refused_by_the_other_that_has_no_credential() {
    for rp_id in ["example.com", "pam://laptop"] {
        let mut script = Script::default();
        for (key, status) in [("a", "CTAP2_ERR_NO_CREDENTIALS"), ("b", "CTAP2_OK")] {
            script.info(1, key);
            script.exchange(2, key, GET, probe(rp_id), status);
        }
        script.exchange(3, "b", GET, assertion(rp_id, "01"), CANCELLED);
        assert_eq!(only(&script).refused_by, RefusedBy::Unknown, "{}", only(&script).text);
    }
}

/// libfido2 has one of several keys chosen by a credential for localhost that nobody wants.
#[test]
fn a_key_that_is_chosen_for_another_rp_id_is_of_the_same_ceremony() {
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let choice =
        json!({"clientDataHash": nothing, "rp": {"id": "localhost"}, "pinUvAuthParam": "", "pinUvAuthProtocol": 2});
    let mut script = Script::default();
    for key in ["a", "b"] {
        script.info(1, key);
    }
    let at_a = script.ask(2, "a", MAKE, choice.clone());
    script.push(2, "a", json!({"event": "waiting", "command": MAKE}));
    script.push(3, "a", json!({"event": "wait-ended", "touch": "touched"}));
    script.answer(3, "a", at_a, MAKE, "CTAP2_ERR_PIN_NOT_SET");
    // It is never answered.
    script.ask(4, "b", MAKE, choice);
    let mut succeeded = Script { events: script.events.clone(), exchanges: script.exchanges };
    succeeded.exchange(6, "a", MAKE, creation("ssh:"), "CTAP2_OK");
    assert_eq!(explain(&succeeded.events), []);
    script.refused(6, "a", MAKE, creation("ssh:"));
    let told = of_program(&script);
    assert_eq!((told.asked_by, told.rp_id.as_deref()), (Some(Program::OpenSsh), Some("ssh:")));

    // By CTAP1/U2F, which hears hashes alone: then that of ssh: is known.
    let localhost = "49960de5880e8c687434170f6476605b8fe4aeb9a28632c7995cf3ba831d9763";
    let ssh = "e30610e8a162115960fe1ec223e6529c9f4b6e80200dcb5e5c321c8af1e2b1bf";
    let mut script = Script::default();
    let choice = json!({"challenge": nothing, "application": localhost});
    script.exchange(1, "u", "U2F_REGISTER", choice, "SW_NO_ERROR");
    let authenticate = json!({"control": "check-only", "challenge": "01", "application": ssh});
    script.exchange(2, "u", "U2F_AUTHENTICATE", authenticate, "SW_WRONG_DATA");
    let told = of_program(&script);
    assert_eq!((told.asked_by, told.rp_id.as_deref()), (Some(Program::OpenSsh), None));
    assert!(told.text.starts_with("OpenSSH's assertion failed"), "{}", told.text);
}
