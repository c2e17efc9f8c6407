//! Who may ask, and who may not.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};

use crate::support::{Rig, TOKEN, sent};

#[tokio::test]
async fn with_the_token_any_host_is_served_and_without_it_nobody() {
    let rig = Rig::two().await;
    for host in ["127.0.0.1", "keyrig:8100", "example.com"] {
        let keys = || rig.request(Method::GET, "/v1/keys").header(HOST, host);
        assert_eq!(sent(keys().bearer_auth(TOKEN)).await.status, 200, "{host}");
        let nobody = sent(keys()).await;
        assert_eq!((nobody.status.as_u16(), nobody.code()), (401, "token-missing"), "{host}");
        assert_eq!(nobody.head["www-authenticate"], "Bearer");
        for wrong in ["Bearer another", "Bearer ", "Bearer", "Basic YTpi", &TOKEN[1..], TOKEN] {
            let somebody = sent(keys().header(AUTHORIZATION, wrong)).await;
            assert_eq!((somebody.status.as_u16(), somebody.code()), (401, "token-wrong"), "{host} {wrong}");
            assert_eq!(somebody.head["www-authenticate"], "Bearer error=\"invalid_token\"");
        }
    }
}

#[tokio::test]
async fn whether_there_is_a_service_anybody_may_know_and_nothing_else() {
    let rig = Rig::two().await;
    for host in ["localhost:8100", "keyrig:8100"] {
        let ready = sent(rig.request(Method::GET, "/v1/ready").header(HOST, host)).await;
        assert_eq!((ready.status.as_u16(), &ready.body["ready"]), (200, &true.into()));
    }
    assert_eq!(sent(rig.request(Method::GET, "/v1/ready").bearer_auth("x")).await.code(), "token-wrong");
    for (method, path) in [
        (Method::POST, "/v1/ready"),
        (Method::POST, "/"),
        (Method::GET, "/panel/"),
        (Method::GET, "/v1/version"),
        (Method::GET, "/v1/nothing"),
        (Method::POST, "/v1/client/create"),
        (Method::PUT, "/v1/finger"),
    ] {
        assert_eq!(sent(rig.request(method, path)).await.code(), "token-missing", "{path}");
    }
}

/// What a page of another site can send without asking (Fetch §3.3.1), what it asks first, and what it would need to read an answer.
#[tokio::test]
async fn a_page_gets_nothing_done_and_nothing_told() {
    let rig = Rig::two().await;
    let simple = rig.request(Method::POST, "/v1/keys/a/unplug").header(ORIGIN, "https://example.com");
    let simple = sent(simple.header("content-type", "text/plain").body("{}")).await;
    assert_eq!(simple.code(), "token-missing");
    let preflight = rig.request(Method::OPTIONS, "/v1/keys/a/unplug").header(ORIGIN, "https://example.com");
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let preflight = sent(preflight).await;
    assert_eq!(preflight.status, 401, "a preflight has no token, and needs a success");
    let socket = rig.request(Method::GET, "/v1/events").header(ORIGIN, "https://example.com");
    let socket = sent(socket.header("connection", "upgrade").header("upgrade", "websocket")).await;
    assert_eq!(socket.status, 401);
    let with_token =
        sent(rig.request(Method::GET, "/v1/keys").bearer_auth(TOKEN).header(ORIGIN, "https://a.test")).await;
    for answer in [simple, preflight, socket, with_token] {
        let told = answer.head.keys().find(|name| name.as_str().starts_with("access-control"));
        assert_eq!((told, answer.head.get("set-cookie")), (None, None));
    }
    assert!(rig.keys().await.iter().all(|key| key.plugged), "no key was pulled out");
}

/// Nothing in it is a secret, and who fetches it are servers, by whatever name they know this one.
#[tokio::test]
async fn metadata_of_the_keys_is_for_anybody_by_any_name() {
    let rig = Rig::two().await;
    for (file, kind) in [
        ("good.jwt", "application/jose"),
        ("missing-entry.jwt", "application/jose"),
        ("root.crl", "application/pkix-crl"),
        ("root.pem", "application/x-pem-file"),
    ] {
        let request = rig.request(Method::GET, &format!("/v1/mds/{file}")).header(HOST, "keyrig.example:8100");
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &kind.parse().unwrap()),
            "{file}"
        );
        assert!(!answer.bytes().await.expect("a body").is_empty(), "{file}");
    }
    for other in ["best.jwt", "good", "root.der", "..%2Fkeys"] {
        let answer = sent(rig.request(Method::GET, &format!("/v1/mds/{other}"))).await;
        assert_eq!(answer.status, 404, "{other}");
    }
    assert_eq!(sent(rig.request(Method::POST, "/v1/mds/good.jwt")).await.code(), "token-missing");
}
