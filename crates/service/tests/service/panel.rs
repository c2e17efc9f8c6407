//! The panel: who gets in, what its files are, and what it is told.

use std::sync::Arc;
use std::time::Duration;

use keyrig_faults::transcript::Recorder;
use keyrig_rack::Options;
use keyrig_rack::finger::{Finger, TouchPolicy};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Rig, TOKEN, creation, login, on_page, sent};

async fn followed(keys: &[&str], policy: TouchPolicy) -> Rig {
    let recorder = Recorder::for_followers(&[]);
    let finger = Finger { policy, over: None };
    Rig::start_with(keys, Options { seams: vec![Arc::new(recorder)], finger, ..Options::default() }).await
}

/// Server-sent events, as HTML §9.2 has them.
struct Stream {
    response: Response,
    rest: String,
}

impl Stream {
    async fn of(rig: &Rig, path: &str) -> Self {
        let response = rig.request(Method::GET, path).bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// The next event: its name and its data.
    async fn next(&mut self) -> (String, Value) {
        let next = async {
            loop {
                if let Some((event, rest)) = self.rest.split_once("\n\n") {
                    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                    let (name, data) = (field("event: "), field("data: "));
                    self.rest = rest.to_owned();
                    if let Some(data) = data {
                        return (name.unwrap_or_default(), serde_json::from_str(&data).expect("JSON"));
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.expect("more").expect("it goes on");
                self.rest.push_str(core::str::from_utf8(&chunk).expect("UTF-8"));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("an event")
    }

    /// The first event that is so; what came before is passed over.
    async fn until(&mut self, is: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().await;
            if is(&name, &data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn a_code_opens_the_panel_once() {
    let rig = Rig::two().await;
    let made = rig.post("/v1/panel/codes", json!({})).await;
    let code = made.body["code"].as_str().expect("a code");
    assert_eq!(made.body["path"], format!("/#code={code}"));
    assert_eq!(made.body["expires_in_s"], 900);
    let exchange = |code: &str| rig.request(Method::POST, "/v1/panel/tokens").json(&json!({"code": code}));
    let first = sent(exchange(code)).await;
    let token = first.body["token"].as_str().expect("a token").to_owned();
    assert_ne!((token.as_str(), code), (TOKEN, token.as_str()));
    let asked = sent(rig.request(Method::GET, "/v1/keys").bearer_auth(&token)).await;
    assert_eq!(asked.body["keys"][0]["name"], "a");
    for used in [code, "", "abc", TOKEN] {
        assert_eq!(sent(exchange(used)).await.code(), "code-not-good", "{used}");
    }
    assert_eq!(sent(rig.request(Method::GET, "/v1/keys").bearer_auth(code)).await.code(), "token-wrong");
    assert_eq!(sent(rig.request(Method::POST, "/v1/panel/codes").json(&json!({}))).await.code(), "token-missing");
    assert_eq!(sent(rig.request(Method::GET, "/v1/panel/stream")).await.code(), "token-missing");
}

#[tokio::test]
async fn the_panels_files_are_for_anybody_and_load_nothing_from_elsewhere() {
    let rig = Rig::two().await;
    let get = |path: String| rig.request(Method::GET, &path).header("host", "lab.example:8100").send();
    let page = get("/".to_owned()).await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = page.text().await.expect("text");
    assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("<style"), "nothing is inline");
    // What it loads, and what that imports, is there too.
    let mut wanted: Vec<String> =
        page.split('"').filter(|part| part.starts_with("/panel/")).map(str::to_owned).collect();
    let mut seen = Vec::new();
    while let Some(path) = wanted.pop() {
        if seen.contains(&path) {
            continue;
        }
        let file = get(path.clone()).await.expect("an answer");
        assert_eq!(file.status(), 200, "{path}");
        let kind = if path.ends_with(".js") { "text/javascript" } else { "text/css" };
        assert!(file.headers()["content-type"].to_str().expect("text").starts_with(kind), "{path}");
        let text = file.text().await.expect("text");
        assert!(!text.contains("innerHTML") && !text.contains("eval("), "{path}");
        let imports = text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next());
        wanted.extend(imports.map(|name| format!("/panel/{name}")));
        seen.push(path);
    }
    assert!(seen.len() >= 8, "{seen:?}");
}

#[tokio::test]
async fn the_panel_is_told_who_blinks_for_what_and_why_a_ceremony_failed() {
    let rig = followed(&["a=keyrig", "b=keyrig"], TouchPolicy::Manual).await;
    let mut panel = Stream::of(&rig, "/v1/panel/stream").await;
    let (name, rack) = panel.next().await;
    assert_eq!(
        (name.as_str(), rack["keys"].as_array().map(Vec::len), &rack["touch"]),
        ("rack", Some(2), &json!("manual"))
    );
    let asked = on_page(creation());
    let ceremony = async { rig.post("/v1/client/create", asked.clone()).await };
    let seen = async {
        let told = panel.until(|name, event| name == "key" && event["event"] == "waiting").await;
        assert_eq!(told["state"]["waiting_for"], "authenticatorMakeCredential");
        let request =
            panel.until(|name, event| name == "trace" && event["command"] == "authenticatorMakeCredential").await;
        assert_eq!(request["members"]["rp"]["id"], "example.com");
        assert_eq!(rig.post("/v1/keys/a/deny", json!({})).await.status, 200);
        panel.until(|name, event| name == "trace" && event["event"] == "explained").await
    };
    let (refused, explained) = tokio::join!(ceremony, seen);
    assert_eq!(refused.body["error"]["name"], "NotAllowedError");
    assert_eq!((&explained["rp_id"], &explained["refused_by"]), (&json!("example.com"), &json!("user")));
}

#[tokio::test]
async fn what_the_client_refuses_before_a_key_is_asked_is_explained_too() {
    let rig = followed(&["a=keyrig"], TouchPolicy::Auto).await;
    let mut trace = Stream::of(&rig, "/v1/trace/stream").await;
    let elsewhere = json!({"origin": "https://login.example.net", "options": creation()});
    assert_eq!(rig.post("/v1/client/create", elsewhere).await.body["error"]["name"], "SecurityError");
    let explained = trace.until(|_, event| event["event"] == "explained").await;
    assert_eq!((&explained["refused_by"], &explained["keys"]), (&json!("browser"), &json!([])));
    let text = explained["text"].as_str().expect("text");
    assert!(text.contains("RP ID example.com is neither login.example.net nor a domain above it"), "{text}");
    // What succeeds is not.
    assert_eq!(rig.post("/v1/client/create", on_page(creation())).await.status, 200);
    let next = trace.until(|_, event| event["event"] == "explained" || event["note"] == "ended").await;
    assert_eq!(next["exception"], Value::Null, "{next}");
}

#[tokio::test]
async fn a_change_of_one_key_is_told_as_that_one_and_what_moves_the_finger_as_all() {
    let rig = followed(&["a=keyrig", "b=keyrig"], TouchPolicy::Auto).await;
    let mut panel = Stream::of(&rig, "/v1/panel/stream").await;
    panel.next().await;
    rig.post("/v1/keys/a/unplug", json!({})).await;
    let told = panel.until(|name, _| name == "key").await;
    assert_eq!((&told["event"], &told["state"]["plugged"]), (&json!("unplugged"), &json!(false)));
    let rack = panel.until(|name, _| name == "rack").await;
    assert_eq!(rack["keys"][1]["under_finger"], true, "it is over the first that is plugged in");
    rig.delete("/v1/keys/a").await;
    let told = panel.until(|name, event| name == "key" && event["event"] == "removed").await;
    assert_eq!(told["state"], Value::Null);
}

#[tokio::test]
async fn a_transcript_is_followed_from_before_somebody_came_and_again_from_where_they_were() {
    let rig = followed(&["a=keyrig"], TouchPolicy::Auto).await;
    let made = rig.post("/v1/client/create", on_page(creation())).await;
    let id = made.body["id"].clone();
    let is_response = |command: &'static str| {
        move |_: &str, event: &Value| event["event"] == "response" && event["command"] == command
    };
    let mut trace = Stream::of(&rig, "/v1/trace/stream").await;
    let made = trace.until(is_response("authenticatorMakeCredential")).await;
    assert_eq!(made["status"], "CTAP2_OK");
    assert_eq!(rig.post("/v1/client/get", on_page(login(&id))).await.status, 200);
    assert_eq!(trace.until(is_response("authenticatorGetAssertion")).await["key"], "a");
    let mut again = Stream::of(&rig, "/v1/trace/stream?after=1").await;
    assert_ne!(again.next().await.1["event"], "trace");
    assert_eq!(rig.get("/v1/trace/stream?after=x").await.code(), "bad-request");
    let two = Rig::two().await;
    assert_eq!(two.get("/v1/trace/stream").await.code(), "not-observed");
}

#[tokio::test]
async fn a_hundred_keys_that_blink_take_the_panel_few_events_each() {
    let names: Vec<_> = (0..100).map(|number| format!("k{number}=keyrig")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let rig = followed(&names, TouchPolicy::Manual).await;
    let mut panel = Stream::of(&rig, "/v1/panel/stream").await;
    panel.next().await;
    let asked = on_page(creation());
    let ceremony = rig.request(Method::POST, "/v1/client/create").bearer_auth(TOKEN).json(&asked).send();
    let counted = async {
        let (mut count, mut waiting) = (0, 0);
        while waiting < 100 {
            let (name, event) = panel.next().await;
            count += 1;
            assert_ne!(name, "rack", "nothing that moves the finger happens");
            waiting += usize::from(event["state"]["waiting_for"].is_string());
        }
        count
    };
    let count = tokio::select! {
        count = counted => count,
        _ = ceremony => panic!("it waits for a touch"),
    };
    // getInfo and its answer, the request, and the wait, twice: as an event of the rack and of the transcript. And what the page asked for.
    assert!(count <= 100 * 6 + 1, "{count} events");
}

#[tokio::test]
async fn what_a_rack_can_be_asked_for_by_name_is_listed() {
    let rig = Rig::two().await;
    let catalogue = rig.get("/v1/catalogue").await.body;
    let named = |list: &str, name: &str| {
        catalogue[list].as_array().expect("a list").iter().find(|one| one["name"] == name).expect(name).clone()
    };
    assert_eq!(named("profiles", "yubikey-5.7")["imitates"], "Yubico");
    assert_eq!(named("profiles", "u2f-only")["ctap2"], false);
    assert_eq!(named("profiles", "synced-passkey")["usb"], false);
    assert_eq!(named("profiles", "yubikey-bio-5.7")["built_in_uv"], true);
    let slow = named("faults", "ctap-slow");
    assert_eq!((&slow["layer"], &slow["parameter"]["name"]), (&json!("ctap"), &json!("ms")));
    let on = rig.post("/v1/keys/a/faults", json!({"fault": "ctap-slow,ms=1"})).await;
    assert_eq!(on.code(), "fault-refused", "this rack has none: but the name is one");
}
