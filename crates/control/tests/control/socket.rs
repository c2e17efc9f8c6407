//! The control socket: who may open it, what it answers to what, and whose place it does not take.

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use keyrig_control::request::{List, Touch, Transact, Wait};
use keyrig_control::socket::{ControlError, ControlSocket, send, send_until};
use keyrig_ctap::Request;
use keyrig_rack::Rack;
use keyrig_rack::command::{Command, WaitFor};
use keyrig_rack::finger::TouchPolicy;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::requests::make_credential;
use crate::support::{handle, name, rack};

pub(crate) struct Served {
    _directory: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) rack: Rack,
    task: JoinHandle<core::convert::Infallible>,
}

pub(crate) async fn served(policy: &str, names: &[&str]) -> Served {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let rack = rack(policy, names).await;
    let socket = ControlSocket::bind(&path).await.unwrap();
    let serving = rack.clone();
    let task = tokio::spawn(async move { socket.serve(serving).await });
    Served { _directory: directory, path, rack, task }
}

/// Sends bytes, closes the way there, and reads the answers until the rack closes the way back.
pub(crate) async fn exchange(path: &Path, bytes: &[u8]) -> Vec<Value> {
    let (read, mut write) = UnixStream::connect(path).await.unwrap().into_split();
    write.write_all(bytes).await.unwrap();
    drop(write);
    let mut answers = String::new();
    BufReader::new(read).read_to_string(&mut answers).await.unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) async fn ask(path: &Path, request: Value) -> Value {
    let mut line = request.to_string();
    line.push('\n');
    let mut answers = exchange(path, line.as_bytes()).await;
    assert_eq!(answers.len(), 1, "{request}");
    answers.remove(0)
}

pub(crate) fn refused(code: &str, message: &str) -> Value {
    json!({"ok": false, "error": {"code": code, "message": message}})
}

#[track_caller]
fn assert_refused(answer: &Value, beginning: &str) {
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["error"]["code"], "bad-request", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(beginning), "{message}");
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
}

fn touch(key: &str) -> Touch {
    Touch { key: name(key), wait: false, timeout_ms: 0 }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn it_is_open_to_its_owner_alone_and_leaves_nothing_beside_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("new/control");
    let socket = ControlSocket::bind(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700, "a directory that it makes");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(socket.path(), path);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn it_is_never_at_its_path_with_a_wider_mode() {
    // While sockets come and go, a look finds the owner's or none.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let (done, looking) = (AtomicBool::new(false), path.clone());
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut modes = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                modes.extend(fs::symlink_metadata(&looking).map(|metadata| metadata.permissions().mode() & 0o7777));
            }
            modes
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bound = runtime.block_on(async {
            for _ in 0..300 {
                drop(ControlSocket::bind(&path).await?);
            }
            ControlSocket::bind(&path).await
        });
        done.store(true, Ordering::Relaxed);
        bound.unwrap();
        assert!(looker.join().unwrap().into_iter().all(|mode| mode == 0o600));
    });
}

#[tokio::test]
async fn a_path_as_long_as_a_socket_may_have_is_taken() {
    // sockaddr_un has 108 bytes for it with the zero at its end (unix(7)).
    let directory = TempDir::new().unwrap();
    let room = 107 - directory.path().as_os_str().len() - 1;
    let path = directory.path().join("c".repeat(room));
    let socket = ControlSocket::bind(&path).await.unwrap();
    assert_eq!(socket.path().as_os_str().len(), 107);
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_short_name_in_a_directory_with_a_long_one_is_taken_and_a_longer_path_refused() {
    let directory = TempDir::new().unwrap();
    let room = 107 - directory.path().as_os_str().len() - 3;
    let parent = directory.path().join("d".repeat(room));
    let socket = ControlSocket::bind(&parent.join("c")).await.unwrap();
    assert_eq!(socket.path().as_os_str().len(), 107);
    UnixStream::connect(socket.path()).await.unwrap();
    let error = ControlSocket::bind(&parent.join("cc")).await.unwrap_err();
    assert!(matches!(error, ControlError::TooLong(_)), "{error}");
    assert!(!parent.join("cc").exists());
}

#[tokio::test]
async fn the_socket_of_a_running_rack_is_not_taken() {
    let served = served("manual", &["a"]).await;
    assert!(
        matches!(ControlSocket::bind(&served.path).await, Err(ControlError::InUse { path }) if path == served.path)
    );
    assert_eq!(ask(&served.path, json!({"command": "list"})).await["ok"], true);
}

#[tokio::test]
async fn a_socket_that_a_killed_rack_left_is_replaced() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    // What a process that was killed while it bound would leave, had it our process id.
    fs::create_dir(directory.path().join(format!(".keyrig-{}", std::process::id()))).unwrap();
    let _socket = ControlSocket::bind(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let (file, link, folder) =
        (directory.path().join("file"), directory.path().join("link"), directory.path().join("folder"));
    fs::write(&file, "mine").unwrap();
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    fs::create_dir(&folder).unwrap();
    for path in [&file, &link, &folder] {
        assert!(
            matches!(ControlSocket::bind(path).await, Err(ControlError::NotASocket { path: named }) if named == *path)
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("elsewhere"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn going_it_leaves_the_socket_of_its_successor() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let first = ControlSocket::bind(&path).await.unwrap();
    fs::remove_file(&path).unwrap();
    let _second = ControlSocket::bind(&path).await.unwrap();
    drop(first);
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn sockets_of_one_directory_can_be_bound_at_once() {
    let directory = TempDir::new().unwrap();
    let mut binding = JoinSet::new();
    for number in 0..20 {
        let path = directory.path().join(number.to_string());
        binding.spawn(async move { ControlSocket::bind(&path).await });
    }
    let sockets = binding.join_all().await;
    assert!(sockets.iter().all(Result::is_ok), "{sockets:?}");
}

fn key(name: &str, port: u32, under_finger: bool) -> Value {
    json!({
        "name": name, "profile": "keyrig", "busid": format!("1-{port}"), "plugged": true, "attached": false, "programs": 0,
        "programs_over_udp": 0,
        "under_finger": under_finger, "waiting_for": null, "quirks": [], "discoverable_credentials": 0,
    })
}

fn changed(mut key: Value, member: &str, value: impl Into<Value>) -> Value {
    key[member] = value.into();
    key
}

#[tokio::test]
async fn every_command_has_its_answer() {
    let served = served("manual", &["a", "b"]).await;
    let path = &served.path;
    let (a, b) = (key("a", 1, true), key("b", 2, false));
    let done = |keys: &[&Value], touch: &str| json!({"ok": true, "keys": keys, "touch": touch});

    assert_eq!(ask(path, json!({"command": "list"})).await, done(&[&a, &b], "manual"));

    let mut wait_a = handle(&served.rack, "a").transact(make_credential("user", true));
    while wait_a.parts().1.recv().await.unwrap() != keyrig_rack::key::Progress::UpNeeded {}
    let waiting = changed(a.clone(), "waiting_for", "authenticatorMakeCredential");
    assert_eq!(ask(path, json!({"command": "list"})).await, done(&[&waiting, &b], "manual"));
    assert_eq!(ask(path, json!({"command": "touch", "key": "a"})).await, done(&[&a], "manual"));
    assert_eq!(wait_a.answer().await.unwrap()[0], 0);
    let a = changed(a, "discoverable_credentials", 1);
    assert_eq!(ask(path, json!({"command": "list"})).await, done(&[&a, &b], "manual"));

    let mut wait_b = handle(&served.rack, "b").transact(Request::Selection.encode());
    while wait_b.parts().1.recv().await.unwrap() != keyrig_rack::key::Progress::UpNeeded {}
    assert_eq!(ask(path, json!({"command": "deny", "key": "b"})).await, done(&[&b], "manual"));
    assert_eq!(wait_b.answer().await.unwrap(), [0x27], "CTAP2_ERR_OPERATION_DENIED");

    let gone = changed(changed(a.clone(), "plugged", false), "under_finger", false);
    assert_eq!(ask(path, json!({"command": "unplug", "key": "a"})).await, done(&[&gone], "manual"));
    assert_eq!(ask(path, json!({"command": "plug", "key": "a"})).await, done(&[&a], "manual"));
    assert_eq!(ask(path, json!({"command": "power-cycle", "key": "a"})).await, done(&[&a], "manual"));

    let over_b = [changed(a.clone(), "under_finger", false), changed(b.clone(), "under_finger", true)];
    assert_eq!(ask(path, json!({"command": "finger", "key": "b"})).await, done(&[&over_b[0], &over_b[1]], "manual"));
    assert_eq!(ask(path, json!({"command": "finger", "key": null})).await, done(&[&a, &b], "manual"));
    assert_eq!(ask(path, json!({"command": "finger"})).await, done(&[&a, &b], "manual"));
    for policy in ["every", "deny", "after=250", "manual", "auto"] {
        let answer = ask(path, json!({"command": "touch-policy", "policy": policy})).await;
        assert_eq!(answer, done(&[&a, &b], policy));
    }
}

#[tokio::test]
async fn a_message_goes_to_a_key_and_its_answer_comes_back() {
    let served = served("auto", &["a", "b"]).await;
    // getKeyAgreement: the same key until power is lost, or a PIN is wrong.
    let message = "06a201010202";
    let answer = ask_and_listen(&served.path, json!({"command": "transact", "key": "b", "message": message})).await;
    let expected = handle(&served.rack, "b").transact(hex::decode(message).unwrap()).answer().await.unwrap();
    assert_eq!(expected[0], 0, "CTAP2_OK");
    let b = key("b", 2, false);
    let untouched = json!({
        "ok": true, "keys": [b], "touch": "auto", "asked_for_touch": false, "message": hex::encode(expected),
    });
    assert_eq!(answer, untouched);
    // authenticatorSelection (CTAP 2.3 §6.9).
    let answer = ask_and_listen(&served.path, json!({"command": "transact", "key": "a", "message": "0b"})).await;
    assert_eq!((&answer["message"], &answer["asked_for_touch"]), (&json!("00"), &json!(true)));
    // U2F_VERSION (FIDO U2F Raw Message Formats §6): SW_NO_ERROR behind the text.
    let version = json!({"command": "transact-u2f", "key": "a", "message": "00030000000000"});
    assert_eq!(ask_and_listen(&served.path, version).await["message"], hex::encode(b"U2F_V2\x90\x00"));
    let longest = "00".repeat(7609);
    let answer = ask_and_listen(&served.path, json!({"command": "transact", "key": "a", "message": longest})).await;
    assert_eq!(answer["message"], "39", "CTAP2_ERR_REQUEST_TOO_LARGE");
    let selection = json!({"command": "transact", "key": "a", "message": "0b"});
    assert_eq!(ask_and_listen(&served.path, selection.clone()).await["message"], "00", "touched by the finger");

    let refused_messages = [
        json!({"command": "transact", "key": "a", "message": "0"}),
        json!({"command": "transact", "key": "a", "message": "zz"}),
        json!({"command": "transact", "key": "a"}),
    ];
    for request in refused_messages {
        assert_refused(&ask_and_listen(&served.path, request).await, "this is not a command: ");
    }
    let to_c = json!({"command": "transact", "key": "c", "message": "04"});
    let unknown = refused("unknown-key", "no key is called c: the keys are a, b");
    assert_eq!(ask_and_listen(&served.path, to_c).await, unknown);
    let too_long = json!({"command": "transact", "key": "a", "message": "00".repeat(7610)});
    let reason = "the message has 7610 bytes: CTAPHID carries at most 7609";
    assert_eq!(ask_and_listen(&served.path, too_long).await, refused("message-too-long", reason));
    ask(&served.path, json!({"command": "unplug", "key": "a"})).await;
    assert_eq!(ask_and_listen(&served.path, selection).await, refused("not-plugged-in", "key a is not plugged in"));
}

/// As [`ask`], but with the way to the rack open until the answer is there.
async fn ask_and_listen(path: &Path, request: Value) -> Value {
    let mut stream = BufReader::new(UnixStream::connect(path).await.unwrap());
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn closing_the_way_there_cancels_what_a_key_waits_with() {
    let served = served("manual", &["a"]).await;
    let (read, mut write) = UnixStream::connect(&served.path).await.unwrap().into_split();
    write.write_all(b"{\"command\":\"transact\",\"key\":\"a\",\"message\":\"0b\"}\n").await.unwrap();
    waits(&served.rack).await;
    drop(write);
    let mut answer = String::new();
    BufReader::new(read).read_line(&mut answer).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["message"], "2d", "CTAP2_ERR_KEEPALIVE_CANCEL");
    assert_eq!(answer["keys"], json!([key("a", 1, true)]), "it waits no more");
}

#[tokio::test]
async fn a_client_that_goes_takes_its_message_with_it() {
    let served = served("manual", &["a"]).await;
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    stream.write_all(b"{\"command\":\"transact\",\"key\":\"a\",\"message\":\"0b\"}\n").await.unwrap();
    waits(&served.rack).await;
    drop(stream);
    while served.rack.command(Command::List).await.unwrap().keys[0].waiting_for.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_behind_another_request_takes_its_message_with_it_too() {
    let served = served("manual", &["a"]).await;
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    stream.write_all(b"{\"command\":\"transact\",\"key\":\"a\",\"message\":\"0b\"}\n").await.unwrap();
    stream.write_all(b"{\"command\":\"touch-policy\",\"policy\":\"deny\"}\n").await.unwrap();
    waits(&served.rack).await;
    drop(stream);
    let done = async {
        while served.rack.command(Command::List).await.unwrap().touch != TouchPolicy::Deny {
            tokio::task::yield_now().await;
        }
    };
    // A key waits for 30 s; what came behind is done because the wait has ended.
    timeout(Duration::from_secs(20), done).await.unwrap();
    assert_eq!(served.rack.command(Command::List).await.unwrap().keys[0].waiting_for, None);
}

#[tokio::test]
async fn what_a_client_asked_for_before_it_went_is_done() {
    let served = served("manual", &["a", "b"]).await;
    for round in 0..20 {
        let over = ["b", "a"][round % 2];
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        let requests = format!("{{\"command\":\"list\"}}\n{{\"command\":\"finger\",\"key\":\"{over}\"}}\n");
        stream.write_all(requests.as_bytes()).await.unwrap();
        drop(stream);
        let done = async {
            while !crate::support::state(&served.rack, over).await.under_finger {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), done).await.unwrap();
    }
}

#[tokio::test]
async fn send_until_brings_the_answer_of_a_key_that_was_told_to_cancel() {
    let served = served("manual", &["a"]).await;
    let command = Transact { key: name("a"), message: Request::Selection.encode() };
    let answer = send_until(&served.path, command, waits(&served.rack)).await.unwrap();
    assert_eq!(answer.message, [0x2d]);
}

async fn waits(rack: &Rack) {
    while rack.command(Command::List).await.unwrap().keys[0].waiting_for.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refusal_says_why() {
    let served = served("manual", &["a", "b"]).await;
    let path = &served.path;
    let unknown = "no key is called c: the keys are a, b";
    for command in ["touch", "deny", "unplug", "plug", "power-cycle", "finger"] {
        assert_eq!(
            ask(path, json!({"command": command, "key": "c"})).await,
            refused("unknown-key", unknown),
            "{command}"
        );
    }
    for command in ["touch", "deny"] {
        let answer = ask(path, json!({"command": command, "key": "a"})).await;
        assert_eq!(answer, refused("not-waiting", "key a does not wait for a touch"), "{command}");
    }
    assert_eq!(
        ask(path, json!({"command": "plug", "key": "a"})).await,
        refused("plugged-in-already", "key a is plugged in already")
    );
    ask(path, json!({"command": "unplug", "key": "a"})).await;
    for command in ["unplug", "power-cycle"] {
        let answer = ask(path, json!({"command": command, "key": "a"})).await;
        assert_eq!(answer, refused("not-plugged-in", "key a is not plugged in"), "{command}");
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused_and_the_connection_goes_on() {
    let served = served("manual", &["a"]).await;
    let mut requests: Vec<Vec<u8>> = [
        r#"{"command":"explode"}"#,
        r#"{"command":"list","key":"a"}"#,
        r#"{"command":"touch","key":"a","twice":true}"#,
        r#"{"command":"touch"}"#,
        r#"{"command":"touch","key":"../a"}"#,
        r#"{"command":"touch","key":7}"#,
        r#"{"command":"finger","kye":"a"}"#,
        r#"{"command":"touch-policy","policy":"sometimes"}"#,
        r#"{"key":"a"}"#,
        r#"{"command":"list"} {"command":"list"}"#,
        r#"["list"]"#,
        "null",
        "{",
        "",
        "touch a",
    ]
    .map(Vec::from)
    .to_vec();
    requests.push(b"{\"command\":\"touch\",\"key\":\"\xff\xfe\"}".to_vec());
    requests.push(b"\xff\x00\x80".to_vec());
    requests.push("[".repeat(4000).into_bytes());
    for request in requests {
        let bytes = [&request[..], b"\n{\"command\":\"list\"}\n"].concat();
        let answers = exchange(&served.path, &bytes).await;
        assert_eq!(answers.len(), 2, "{}", String::from_utf8_lossy(&request));
        assert_refused(&answers[0], "this is not a command: ");
        assert_eq!(answers[1]["ok"], true);
    }
}

#[tokio::test]
async fn a_request_is_one_whole_line_of_24_mebibytes_at_most() {
    let served = served("manual", &["a"]).await;
    let of_length = |length: usize| {
        let mut request = br#"{"command":"list"}"#.to_vec();
        request.resize(length - 1, b' ');
        request.push(b'\n');
        request
    };
    // Around where one is long, and where it is too long.
    for length in [16383, 16384, 16385, 16386, 25_165_824] {
        assert_eq!(exchange(&served.path, &of_length(length)).await[0]["ok"], true, "{length} bytes");
    }
    for request in [of_length(25_165_825), of_length(30_000_000), vec![b'{'; 25_165_824]] {
        let longer = refused("bad-request", "a request is one line of at most 25165824 bytes, and this one is longer");
        assert_eq!(exchange(&served.path, &request).await, [longer], "{} bytes", request.len());
    }
    let endless = refused("bad-request", "a request ends with a newline, and this one does not");
    assert_eq!(exchange(&served.path, br#"{"command":"list"}"#).await, [endless]);
    assert!(exchange(&served.path, b"").await.is_empty(), "a client that says nothing");
    assert_eq!(ask(&served.path, json!({"command": "list"})).await["ok"], true);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_answer_disturbs_nobody() {
    let served = served("manual", &["a"]).await;
    for _ in 0..50 {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(b"{\"command\":\"list\"}\n{\"comm").await.unwrap();
    }
    assert_eq!(ask(&served.path, json!({"command": "list"})).await["ok"], true);
}

#[tokio::test]
async fn a_hundred_connections_are_served() {
    let served = served("manual", &["a"]).await;
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let path = served.path.clone();
        clients.spawn(async move {
            let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
            for _ in 0..3 {
                stream.write_all(b"{\"command\":\"list\"}\n").await.unwrap();
                let mut answer = String::new();
                stream.read_line(&mut answer).await.unwrap();
                assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["ok"], true);
            }
        });
    }
    clients.join_all().await;
}

#[tokio::test]
async fn what_waits_for_a_touch_takes_no_place_from_commands() {
    let names: Vec<_> = (0..100).map(|number| format!("k{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let served = served("manual", &names).await;
    let mut waiting = Vec::new();
    for name in &names {
        let mut stream = BufReader::new(UnixStream::connect(&served.path).await.unwrap());
        let request = json!({"command": "transact", "key": name, "message": "0b"});
        stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    let waits = |key: &keyrig_rack::command::KeyState| key.waiting_for.is_some();
    while !served.rack.command(Command::List).await.unwrap().keys.iter().all(waits) {
        tokio::task::yield_now().await;
    }
    // More idle clients than there may be send none of them away.
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(UnixStream::connect(&served.path).await.unwrap());
    }
    for (name, stream) in names.iter().zip(&mut waiting) {
        assert_eq!(ask(&served.path, json!({"command": "touch", "key": name})).await["ok"], true);
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["message"], "00");
    }
}

#[tokio::test]
async fn of_too_many_idle_clients_the_one_that_was_idle_longest_goes() {
    let served = served("manual", &["a"]).await;
    let mut clients = Vec::new();
    for _ in 0..256 {
        clients.push(BufReader::new(UnixStream::connect(&served.path).await.unwrap()));
    }
    list_on(&mut clients[0]).await;
    let mut late = BufReader::new(UnixStream::connect(&served.path).await.unwrap());
    list_on(&mut late).await;
    assert_eq!(clients[1].read(&mut [0; 8]).await.unwrap(), 0, "its connection is closed");
    list_on(&mut clients[0]).await;
    list_on(&mut clients[255]).await;
}

async fn list_on(client: &mut BufReader<UnixStream>) {
    client.write_all(b"{\"command\":\"list\"}\n").await.unwrap();
    let mut answer = String::new();
    client.read_line(&mut answer).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["ok"], true);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_or_takes_nothing_is_let_go_after_five_minutes() {
    let served = served("manual", &["a"]).await;
    let start = tokio::time::Instant::now();
    for beginning in [&b""[..], b"{\"command\":"] {
        let before = start.elapsed();
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!((start.elapsed() - before).as_secs(), 300);
    }
}

/// Long requests take turns, and one that does not come to its end has its turn for ten seconds.
#[tokio::test(start_paused = true)]
async fn long_requests_that_do_not_end_hold_up_others_for_ten_seconds() {
    let served = served("manual", &["a"]).await;
    let start = tokio::time::Instant::now();
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(&[b' '; 20_000]).await.unwrap();
        stalled.push(stream);
    }
    let mut whole = BufReader::new(UnixStream::connect(&served.path).await.unwrap());
    whole.write_all(&[b' '; 20_000]).await.unwrap();
    list_on(&mut whole).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    for mut stream in stalled {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "its connection is closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rack_that_does_not_answer_is_waited_for_only_so_long() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let _suspended = tokio::net::UnixListener::bind(&path).unwrap();
    let start = tokio::time::Instant::now();
    let answer = send(&path, List {}).await;
    assert!(matches!(answer, Err(ControlError::NoAnswer { .. })), "{answer:?}");
    assert_eq!(start.elapsed().as_secs(), 10);
    // A key is given the time for a touch.
    let command = Transact { key: name("a"), message: vec![4] };
    let answer = send(&path, command).await;
    assert!(matches!(answer, Err(ControlError::NoAnswer { .. })), "{answer:?}");
    assert_eq!(start.elapsed().as_secs(), 80);
}

#[tokio::test]
async fn a_rack_that_accepts_nobody_is_not_waited_for() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let _only = UnixStream::connect(&path).await.unwrap();
    let answer = send(&path, List {}).await;
    assert!(matches!(answer, Err(ControlError::NoAnswer { .. })), "{answer:?}");
    // Nor for its start: it has started.
    #[cfg(target_os = "linux")]
    keyrig_control::starting::wait_for_rack(&path, Duration::from_secs(3600)).await;
}

#[tokio::test]
async fn send_gives_the_answer_or_the_refusal() {
    let served = served("manual", &["a"]).await;
    let answer = send(&served.path, List {}).await.unwrap();
    assert_eq!(answer, served.rack.command(Command::List).await.unwrap());
    match send(&served.path, touch("a")).await {
        Err(ControlError::Refused { code, message }) => {
            assert_eq!((code.as_str(), message.as_str()), ("not-waiting", "key a does not wait for a touch"));
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until the rack has taken a request, which comes behind others that it is asked for.
async fn taken(rack: &Rack) {
    for _ in 0..100 {
        rack.command(Command::List).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_touch_may_wait_until_the_key_does() {
    let served = served("manual", &["a"]).await;
    let touch = ask_and_listen(&served.path, json!({"command": "touch", "key": "a", "wait": true}));
    let selection = async {
        taken(&served.rack).await;
        handle(&served.rack, "a").transact(Request::Selection.encode()).answer().await.unwrap()
    };
    let (touched, selected) = tokio::join!(touch, selection);
    assert_eq!(touched, json!({"ok": true, "keys": [key("a", 1, true)], "touch": "manual"}));
    assert_eq!(selected, [0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_in_vain_is_refused_in_time() {
    let served = served("manual", &["a"]).await;
    for (request, limit, reason) in [
        (
            json!({"command": "touch", "key": "a", "wait": true, "timeout_ms": 1500}),
            1500,
            "wait for a touch within 1.5 s",
        ),
        (json!({"command": "deny", "key": "a", "wait": true}), 30_000, "wait for a touch within 30 s"),
        (json!({"command": "wait", "key": "a", "for": "touch", "timeout_ms": 0}), 0, "wait for a touch within 0 s"),
        (
            json!({"command": "wait", "key": "a", "for": "attached", "timeout_ms": 5}),
            5,
            "get attached to a host within 0.005 s",
        ),
    ] {
        let asked = tokio::time::Instant::now();
        let answer = ask_and_listen(&served.path, request).await;
        assert_eq!(answer, refused("timed-out", &format!("key a did not {reason}")));
        assert!((limit..limit + 50).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    }
    // The client waits for longer than the rack does.
    let command = Wait { key: name("a"), r#for: WaitFor::Touch, timeout_ms: 3_600_000 };
    match send(&served.path, command).await {
        Err(ControlError::Refused { code, .. }) => assert_eq!(code, "timed-out"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closing_the_way_there_gives_a_wait_up() {
    let served = served("manual", &["a"]).await;
    let given_up = refused("given-up", "the wait for key a was given up");
    for request in
        [json!({"command": "touch", "key": "a", "wait": true}), json!({"command": "wait", "key": "a", "for": "touch"})]
    {
        assert_eq!(exchange(&served.path, format!("{request}\n").as_bytes()).await, core::slice::from_ref(&given_up));
    }
    let mut selection = handle(&served.rack, "a").transact(Request::Selection.encode());
    waits(&served.rack).await;
    served.rack.command(Command::Deny { key: name("a"), wait: false }).await.unwrap();
    assert_eq!(selection.answer().await.unwrap(), [0x27], "who has hung up touches nothing");
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_from_where_a_client_left_off() {
    let served = served("manual", &["a"]).await;
    let answer = ask(&served.path, json!({"command": "events"})).await;
    assert_eq!(answer["events"].as_array().unwrap().len(), 1, "{answer}");
    let first = &answer["events"][0];
    assert_eq!((&first["id"], &first["event"], &first["key"]), (&json!(1), &json!("plugged"), &json!("a")));
    assert!(first["time_ms"].as_u64().unwrap() > 1_700_000_000_000, "{first}");
    assert_eq!(ask(&served.path, json!({"command": "events", "after": 1})).await, json!({"ok": true, "events": []}));

    let next = ask_and_listen(&served.path, json!({"command": "events", "after": 1, "timeout_ms": 60_000}));
    let act = async {
        taken(&served.rack).await;
        served.rack.command(Command::Unplug { key: name("a") }).await.unwrap();
    };
    let (next, ()) = tokio::join!(next, act);
    assert_eq!((&next["events"][0]["id"], &next["events"][0]["event"]), (&json!(2), &json!("unplugged")));
}

#[tokio::test]
async fn send_to_nobody_says_so() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("control");
    assert!(matches!(send(&path, List {}).await, Err(ControlError::NotRunning { .. })), "no file");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(send(&path, List {}).await, Err(ControlError::NotRunning { .. })), "nobody listens");
    let too_long = directory.path().join("c".repeat(108));
    assert!(matches!(send(&too_long, List {}).await, Err(ControlError::TooLong(_))), "and nobody can");
}

#[tokio::test]
async fn send_to_what_is_no_rack_says_so() {
    let answers: [&[u8]; 6] = [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"{\"ok\":true}\n",
        b"{\"ok\":true,\"error\":\"x\"}\n",
        b"{\"ok\":false,\"keys\":[],\"touch\":\"auto\"}\n",
        &[b'['; 1_000_000],
    ];
    for bytes in answers {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("control");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let other = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            // The client may have heard enough before it is all said.
            let _ = stream.write_all(bytes).await;
        });
        let told = send(&path, List {}).await;
        match bytes {
            b"" => assert!(matches!(told, Err(ControlError::Ended { .. }))),
            _ => assert!(matches!(told, Err(ControlError::NotARack { .. }))),
        }
        other.await.unwrap();
    }
}

#[tokio::test]
async fn the_socket_goes_with_its_server() {
    let served = served("manual", &["a"]).await;
    served.task.abort();
    assert!(served.task.await.unwrap_err().is_cancelled());
    assert!(!served.path.exists());
}
