//! `--http`: where a rack is served, and to whom.

#![cfg(test)]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};

use crate::program::{keyrig, run};

/// A `keyrig serve --http`. Ended by its process id.
struct Serving {
    child: Child,
    line: Value,
    _directory: tempfile::TempDir,
}

impl Serving {
    fn start(http: &[&str], token: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let control = format!("unix:{}/rack.sock", directory.path().display());
        let mut command = keyrig(&["serve", "--json", "--usbip", "127.0.0.1:0", "--control", &control]);
        command.args(http).envs(token.map(|token| ("KEYRIG_TOKEN", token)));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("keyrig runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it is up");
        Self { child, line: serde_json::from_str(&line).expect("JSON"), _directory: directory }
    }

    fn url(&self) -> &str {
        self.line["http"]["url"].as_str().expect("a URL")
    }

    fn token_file(&self) -> Option<PathBuf> {
        self.line["http"]["token_file"].as_str().map(PathBuf::from)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("it is ours");
    }
}

/// The names of the keys that are served there.
fn keys(url: &str, token: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listed: Value = runtime.block_on(async {
        let asked = reqwest::Client::new().get(format!("{url}/v1/keys")).bearer_auth(token).send().await;
        asked.expect("an answer").error_for_status().expect("a success").json().await.expect("JSON")
    });
    let keys = listed["keys"].as_array().expect("a list").iter();
    keys.map(|key| key["name"].as_str().expect("a name").to_owned()).collect()
}

fn wrongly_called(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn a_token_is_given_or_is_in_a_file_of_its_owner() {
    let serving = Serving::start(&["--http", "0", "--key", "a=keyrig"], None);
    let file = serving.token_file().expect("nobody gave a token");
    assert_eq!(file.file_name().expect("a name"), "rack.sock.token", "beside the control socket");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).expect("text");
    assert_eq!(keys(serving.url(), token.trim_end()), ["a"]);

    let given = Serving::start(&["--http", "127.0.0.1:0"], Some("mine"));
    assert_eq!((given.token_file(), keys(given.url(), "mine")), (None, vec!["keyrig".to_owned()]));

    let secret = file.with_file_name("secret");
    std::fs::write(&secret, "from-a-file\n").expect("written");
    let secret_path = secret.to_str().expect("text");
    let refused = run(&mut keyrig(&["serve", "--json", "--http", "0", "--token-file", secret_path]), "");
    let error: Value = serde_json::from_slice(&refused.stderr).expect("JSON");
    assert_eq!((refused.status.code(), &error["error"]["code"]), (Some(1), &json!("token-others-may-read")));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let from_file = Serving::start(&["--http", "0", "--token-file", secret_path], Some("not this one"));
    assert_eq!(keys(from_file.url(), "from-a-file"), ["keyrig"]);
}

#[test]
fn others_reach_it_only_if_that_is_meant_and_their_token_was_told_to_them() {
    // A rack of its own, whatever else this user serves.
    let directory = tempfile::tempdir().expect("a directory");
    let control = format!("unix:{}/rack.sock", directory.path().display());
    let serve = |more: &[&str], token: Option<&str>| {
        let own = ["serve", "--usbip", "127.0.0.1:0", "--http", "0.0.0.0:0", "--control", &control];
        let mut command = keyrig(&[&own, more].concat());
        wrongly_called(&run(command.envs(token.map(|token| ("KEYRIG_TOKEN", token))), ""))
    };
    assert!(serve(&[], Some("mine")).contains("--open-to-network"));
    assert!(serve(&["--open-to-network"], None).contains("KEYRIG_TOKEN"));
    assert!(serve(&["--open-to-network"], Some("")).contains("KEYRIG_TOKEN"), "an empty one is none");
    assert!(serve(&["--open-to-network"], Some("a b")).contains("no header carries"));
    let serving = Serving::start(&["--http", "0.0.0.0:0", "--open-to-network"], Some("mine"));
    assert_eq!(keys(serving.url(), "mine"), ["keyrig"]);
}

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let control = format!("unix:{}/rack.sock", directory.path().display());
    let arguments = ["serve", "--json", "--usbip", "127.0.0.1:0", "--control", &control, "--http", &port];
    let output = run(&mut keyrig(&arguments), "");
    let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!((output.status.code(), &error["error"]["code"]), (Some(1), &json!("port-in-use")));
    assert!(error["error"]["what_to_do"].as_str().expect("advice").contains("--http"), "{error}");
    assert!(!Path::new(directory.path()).join("rack.sock.token").exists());
    assert!(wrongly_called(&run(&mut keyrig(&["serve", "--http", "here"]), "")).contains("PORT"));
}

#[test]
fn what_is_beside_the_socket_is_replaced_only_if_it_was_a_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let control = format!("unix:{}", at("my.sock").display());
    let arguments = ["serve", "--json", "--usbip", "none", "--control", &control, "--http", "0"];
    let write = |name: &str, text: &str, mode| {
        std::fs::write(at(name), text).expect("written");
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    write("my.token", "mine\n", 0o600);
    let token = format!("{}\n", "0a".repeat(32));
    for (text, mode) in [("mine\n", 0o600), (&*token, 0o644), (&*format!("{token}more\n"), 0o600)] {
        write("my.sock.token", text, mode);
        let output = run(&mut keyrig(&arguments), "");
        let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
        assert_eq!((output.status.code(), &error["error"]["code"]), (Some(1), &json!("cannot-write")), "{error}");
        assert_eq!(std::fs::read_to_string(at("my.sock.token")).expect("it is there"), text);
    }
    write("my.sock.token", &token, 0o600);
    let mut child = keyrig(&arguments).stdout(Stdio::piped()).spawn().expect("keyrig runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it is up");
    let replaced = std::fs::read_to_string(at("my.sock.token")).expect("it is there");
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    assert!(replaced != token && replaced.len() == token.len(), "left behind by one that was killed");
    assert_eq!(std::fs::read_to_string(at("my.token")).expect("it is there"), "mine\n");
}

/// `exec` gives its program both, and serves it as long as it runs.
#[test]
fn a_program_under_exec_finds_where_and_with_which_token() {
    let script = r#"printf '%s %s' "$KEYRIG_URL" "$KEYRIG_TOKEN""#;
    let run = |more: &[&str], token: Option<&str>| {
        let arguments = [&["exec", "--plug", "none"], more, &["--", "sh", "-c", script]].concat();
        let output = run(keyrig(&arguments).envs(token.map(|token| ("KEYRIG_TOKEN", token))), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let found = run(&[], None);
    let (url, token) = found.split_once(' ').expect("both");
    assert!(url.starts_with("http://127.0.0.1:") && token.len() == 64, "{found}");
    assert!(run(&[], Some("mine")).ends_with(" mine"));
    assert_eq!(run(&["--http", "none"], None), " ");
}
