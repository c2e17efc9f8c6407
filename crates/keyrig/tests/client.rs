//! `keyrig client`: what a test in any language does with it.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};

use crate::program::{keyrig, run};
use crate::support::schema::assert_is;

/// The credential; standard error may have notes.
fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one value of JSON")
}

/// A refusal: one line of JSON on standard error, nothing on standard output, exit status 1.
fn refused(output: &Output) -> Value {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let mut members: Vec<_> = told["error"].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_is("error", &told);
    members.retain(|member| *member != "what_to_do");
    members.sort_unstable();
    assert_eq!(members, ["code", "message", "name", "reason", "refused_by"]);
    told["error"].clone()
}

fn wrongly_called(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn creation() -> Value {
    json!({
        "rp": {"id": "example.com", "name": "Example"}, "user": {"id": "AQ", "name": "root", "displayName": "Root"},
        "challenge": "AAAA", "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    })
}

#[test]
fn keys_of_its_own_may_have_quirks() {
    let client = |more: &[&str]| {
        run(&mut keyrig(&[&["client", "create", "--origin", ORIGIN][..], more].concat()), &creation().to_string())
    };
    let error = refused(&client(&["--with", "a=keyrig", "--quirk", "a=extra-extension"]));
    assert!(error["reason"].as_str().expect("text").contains("unsolicited"), "{error}");
    assert!(wrongly_called(&client(&["--quirk", "a=extra-extension"])).contains("'keyrig key create'"));
    let nothing = wrongly_called(&client(&["--with", "a=u2f-only", "--quirk", "a=extra-extension"]));
    assert!(nothing.contains("extra-extension is about CTAP2, which u2f-only has not"), "{nothing}");
}

fn login(id: &Value) -> Value {
    json!({"rpId": "example.com", "challenge": "AAAA", "allowCredentials": [{"type": "public-key", "id": id}]})
}

const ORIGIN: &str = "https://login.example.com";

#[test]
fn keys_of_its_own_register_and_log_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("keys");
    let state = state.to_str().expect("text");
    let client = |ceremony: &str, more: &[&str], options: &Value| {
        let with = ["client", ceremony, "--origin", ORIGIN, "--with", "a=keyrig", "--state", state];
        run(&mut keyrig(&[&with, more].concat()), &options.to_string())
    };
    let made = done(&client("create", &[], &creation()));
    assert_eq!((&made["type"], made["response"]["attestationObject"].is_string()), (&json!("public-key"), true));
    let signed = done(&client("get", &[], &login(&made["id"])));
    assert_eq!(signed["id"], made["id"]);
    let signed = done(&client("get", &[], &json!({"publicKey": login(&made["id"])})));
    assert_eq!(signed["id"], made["id"], "as a page wraps them");

    let mut again = creation();
    again["excludeCredentials"] = json!([{"type": "public-key", "id": made["id"]}]);
    for (browser, message) in
        [("chromium", "The user attempted to register"), ("firefox", "An attempt was made to use")]
    {
        let error = refused(&client("create", &["--browser", browser], &again));
        assert_eq!(error["code"], "credential-excluded");
        assert_eq!((&error["name"], &error["refused_by"]), (&json!("InvalidStateError"), &json!("authenticator")));
        assert!(error["message"].as_str().expect("text").starts_with(message), "{error}");
        assert!(error["reason"].as_str().expect("text").contains("CTAP2_ERR_CREDENTIAL_EXCLUDED"), "{error}");
    }
    let error = refused(&client("get", &[], &login(&json!("AAAA"))));
    assert_eq!((&error["code"], &error["name"]), (&json!("no-credentials"), &json!("NotAllowedError")));
}

#[test]
fn a_page_from_elsewhere_gets_nothing() {
    let elsewhere = ["client", "create", "--origin", "https://example.net", "--with", "keyrig"];
    let error = refused(&run(&mut keyrig(&elsewhere), &creation().to_string()));
    assert_eq!((&error["code"], &error["name"]), (&json!("rp-id-foreign"), &json!("SecurityError")));
    assert_eq!(error["refused_by"], "client");
    assert!(error["message"].as_str().expect("text").starts_with("The relying party ID is not a registrable"));
    let framed = ["client", "create", "--origin", ORIGIN, "--top-origin", "https://shop.example", "--with", "keyrig"];
    assert!(done(&run(&mut keyrig(&framed), &creation().to_string()))["id"].is_string());
}

#[test]
fn a_passkey_wants_its_pin_from_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let (state, pin, wrong) =
        (directory.path().join("keys"), directory.path().join("pin"), directory.path().join("wrong"));
    std::fs::write(&pin, "1234\n").expect("written");
    std::fs::write(&wrong, "0000\n").expect("written");
    let client = |ceremony: &str, pin: Option<&Path>, options: &Value| {
        let state = state.to_str().expect("text");
        let mut arguments = vec!["client", ceremony, "--origin", ORIGIN, "--with", "a=keyrig", "--state", state];
        arguments.extend(pin.iter().flat_map(|pin| ["--pin-file", pin.to_str().expect("text")]));
        run(&mut keyrig(&arguments), &options.to_string())
    };
    let mut passkey = creation();
    passkey["authenticatorSelection"] = json!({"residentKey": "required", "userVerification": "required"});
    let error = refused(&client("create", None, &passkey));
    assert_eq!((&error["code"], &error["refused_by"]), (&json!("pin-not-given"), &json!("client")));
    assert_eq!(error["what_to_do"], "give the key's PIN: a key that has none is given it (--pin-file FILE)");
    let made = done(&client("create", Some(&pin), &passkey));
    let find = json!({"rpId": "example.com", "challenge": "AAAA", "userVerification": "required"});
    assert_eq!(done(&client("get", Some(&pin), &find))["id"], made["id"]);
    assert_eq!(refused(&client("get", Some(&wrong), &find))["code"], "pin-invalid", "typed once");
}

/// A directory that others could read is closed, of which other commands warn.
#[test]
fn a_refusal_is_alone_on_standard_error_unless_the_log_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("keys");
    let client = |log: &str| {
        let path = state.to_str().expect("text");
        let page = ["client", "create", "--origin", "https://example.net", "--with", "a=keyrig", "--state", path];
        run(keyrig(&page).env("KEYRIG_LOG", log), &creation().to_string())
    };
    refused(&client(""));
    let open = || std::fs::set_permissions(&state, Permissions::from_mode(0o755)).expect("it is ours");
    open();
    refused(&client(""));
    open();
    let logged = String::from_utf8(client("warn").stderr).expect("text");
    assert!(logged.contains("others could read what private keys are in"), "{logged}");
}

/// A `keyrig serve`. Ended by its process id.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
    }
}

#[test]
fn keys_of_a_running_rack_are_chosen_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = format!("unix:{}/control", directory.path().display());
    let mut child =
        keyrig(&["serve", "--json", "--usbip", "127.0.0.1:0", "--key", "a=keyrig", "--key", "b=yubikey-5.7"])
            .args(["--control", &control, "--touch", "every"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("keyrig runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it is up");
    let _serving = Serving(child);
    let client = |ceremony: &str, on: &[&str], options: &Value| {
        let page = ["client", ceremony, "--origin", ORIGIN, "--control", &control];
        run(&mut keyrig(&[&page, on].concat()), &options.to_string())
    };
    let made = done(&client("create", &["--on", "b"], &creation()));
    assert_eq!(done(&client("get", &["--on", "b"], &login(&made["id"])))["id"], made["id"]);
    let error = refused(&client("get", &["--on", "a"], &login(&made["id"])));
    assert_eq!((&error["code"], &error["refused_by"]), (&json!("no-credentials"), &json!("authenticator")));
    let unknown = wrongly_called(&client("get", &["--on", "c"], &login(&made["id"])));
    assert!(unknown.contains("no key is called c: the keys are a, b"), "{unknown}");
    assert!(run(&mut keyrig(&["key", "unplug", "b", "--control", &control]), "").status.success());
    let error = refused(&client("get", &["--on", "b"], &login(&made["id"])));
    assert_eq!(error["code"], "no-key-plugged-in");
}

#[test]
fn what_is_wrong_with_the_call_or_the_options_is_said() {
    let client = |more: &[&str], options: &str| {
        run(&mut keyrig(&[&["client", "create", "--origin", ORIGIN, "--with", "keyrig"], more].concat()), options)
    };
    for (options, code, name) in [
        ("", "options-no-json", "SyntaxError"),
        ("{}", "options-incomplete", "TypeError"),
        (r#"{"publicKey": 1}"#, "options-wrong-type", "TypeError"),
    ] {
        let error = refused(&client(&[], options));
        assert_eq!((&error["code"], &error["name"]), (&json!(code), &json!(name)), "{options}");
    }
    for (arguments, words) in [
        (&["client", "create", "--origin", "localhost:5077"][..], "it has no scheme: write http://localhost:5077"),
        (&["client", "create", "--origin", ORIGIN, "--with", "yubikey-9"], "the profiles are keyrig"),
        (&["client", "create", "--origin", ORIGIN, "--with", "keyrig", "--on", "a"], "cannot be used with"),
        (&["client", "create", "--origin", ORIGIN, "--state", "keys"], "--with"),
        (
            &["client", "create", "--origin", ORIGIN, "--with", "keyrig", "--pin-file", "-"],
            "name a file with --pin-file",
        ),
        (&["client", "create"], "--origin"),
    ] {
        let told = wrongly_called(&run(&mut keyrig(arguments), "{}"));
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    let long = wrongly_called(&client(&[], &" ".repeat(1_048_577)));
    assert!(long.contains("standard input has more than 1048576 bytes"), "{long}");
}

#[test]
fn of_several_accounts_the_one_that_is_named_signs_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let (state, pin) = (directory.path().join("keys"), directory.path().join("pin"));
    std::fs::write(&pin, "1234\n").expect("written");
    let client = |ceremony: &str, more: &[&str], options: &Value| {
        let with = ["client", ceremony, "--origin", ORIGIN, "--with", "a=keyrig", "--state"];
        let files = [state.to_str().expect("text"), "--pin-file", pin.to_str().expect("text")];
        run(&mut keyrig(&[&with[..], &files, more].concat()), &options.to_string())
    };
    let mut passkey = creation();
    passkey["authenticatorSelection"] = json!({"residentKey": "required"});
    let mut ids = Vec::new();
    for (handle, name) in [("AQ", "alice"), ("Ag", "bob")] {
        passkey["user"] = json!({"id": handle, "name": name, "displayName": name});
        ids.push(done(&client("create", &[], &passkey))["id"].clone());
    }
    let login = json!({"rpId": "example.com", "challenge": "AAAA"});
    for (more, id) in [
        (["--user-name", "alice"], &ids[0]),
        (["--user-name", "bob"], &ids[1]),
        (["--user-id", "AQ"], &ids[0]),
        (["--user-id", "Ag"], &ids[1]),
    ] {
        assert_eq!(done(&client("get", &more, &login))["id"], *id, "{more:?}");
    }
    let nobody = refused(&client("get", &["--user-name", "eve"], &login));
    assert_eq!((&nobody["code"], &nobody["name"]), (&json!("no-such-account"), &json!("NotAllowedError")));
    assert!(wrongly_called(&client("get", &["--user-id", "A"], &login)).contains("base64url without padding"));
    assert!(
        wrongly_called(&client("get", &["--user-id", "AQ", "--user-name", "a"], &login)).contains("cannot be used")
    );
}
