//! How much is taken on: the time for a body, shares of those who fail, and lists in parts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, Request, StatusCode, header};
use keyrig_relying_party::{Limits, Options, PasswordCost, Role, Settings, Store};
use serde_json::{Value, json};

use crate::rig::{Browser, HOST, ORIGIN, PASSWORD, RP_ID, Rig};

/// A body that sends a byte a second, for ever.
struct Dribble(tokio::time::Interval);

impl HttpBody for Dribble {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        self.0.poll_tick(context).map(|_| Some(Ok(hyper::body::Frame::data(Bytes::from_static(b" ")))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_has_thirty_seconds_however_it_dribbles() {
    let rig = Rig::new();
    for path in ["/api/login", "/api/login/totp", "/api/login/passkey/begin"] {
        let began = tokio::time::Instant::now();
        let body = Body::new(Dribble(tokio::time::interval(Duration::from_secs(1))));
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let (status, _, answer) = rig.browser().raw(request).await;
        assert_eq!((status, &answer["code"]), (StatusCode::REQUEST_TIMEOUT, &json!("body_too_slow")));
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}

/// A site where nobody's password can wait, and that works in as few turns as there are cores.
fn without_places() -> Rig {
    let limits = Limits { waiting: 0, ..Limits::default() };
    let settings = Settings { limits, ..Settings::new(RP_ID, ORIGIN) };
    let options = Options { password_cost: PasswordCost::Full, ..Options::new(Store::in_memory().unwrap()) };
    Rig::with_options(Ok(settings), options)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_passwords_at_once_than_there_are_places_are_refused_as_busy() {
    let rig = without_places();
    rig.add_user("alice@pve", Role::User);
    let body = json!({ "user": "alice@pve", "password": "wrong password" });
    let attempts: Vec<_> = (0..64)
        .map(|_| {
            let (mut browser, body) = (rig.browser(), body.clone());
            tokio::spawn(async move { browser.refused_code("POST", "/api/login", Some(body)).await })
        })
        .collect();
    let mut busy = 0;
    for attempt in attempts {
        let code = attempt.await.unwrap();
        assert!(code == "busy" || code == "authentication_failed", "{code}");
        busy += u32::from(code == "busy");
    }
    assert!(busy > 0);
    rig.browser().post("/api/login", json!({ "user": "alice@pve", "password": PASSWORD })).await;
}

/// An attacker keeps all cores busy. A request that comes later from elsewhere, or for another account, does not wait behind all of that.
#[tokio::test(flavor = "multi_thread")]
async fn who_fails_holds_up_himself_before_others() {
    const ATTEMPTS: usize = 60;
    let options = Options { password_cost: PasswordCost::Full, ..Options::new(Store::in_memory().unwrap()) };
    let limits = Limits { waiting_per_client: ATTEMPTS, waiting_per_account: ATTEMPTS, ..Limits::default() };
    let rig = Rig::with_options(Ok(Settings { limits, ..Settings::new(RP_ID, ORIGIN) }), options);
    rig.add_user("alice@pve", Role::User);
    let over = Arc::new(AtomicUsize::new(0));
    let attacks: Vec<_> = (0..ATTEMPTS)
        .map(|number| {
            let (mut browser, over) = (rig.browser_at("192.0.2.1"), over.clone());
            let body = json!({ "user": format!("user{number}@pve"), "password": "wrong password" });
            tokio::spawn(async move {
                let code = browser.refused_code("POST", "/api/login", Some(body)).await;
                over.fetch_add(1, Ordering::SeqCst);
                code
            })
        })
        .collect();
    while over.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    rig.browser_at("198.51.100.7").log_in("alice@pve").await;
    assert!(over.load(Ordering::SeqCst) < ATTEMPTS / 2);
    for attack in attacks {
        assert_eq!(attack.await.unwrap(), "authentication_failed");
    }
}

/// What a list has in all its parts, each asked for where the one before says.
async fn all_parts(browser: &mut Browser, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let mut request = Request::get(&path).header(header::HOST, HOST);
        if let Some(cookie) = &browser.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let (status, headers, answer) = browser.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        all.push(answer);
        assert!(all.len() < 100);
        next = next_part(&headers);
    }
    all
}

/// RFC 8288, section 3.
fn next_part(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().unwrap();
    let (target, relation) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"");
    Some(target.to_owned())
}

async fn administrator(rig: &Rig) -> Browser {
    rig.add_user("root@pam", Role::Administrator);
    let mut root = rig.browser();
    root.log_in("root@pam").await;
    root
}

#[tokio::test]
async fn users_come_in_parts_each_once_and_in_order() {
    let rig = Rig::new();
    let mut root = administrator(&rig).await;
    for number in 0..7 {
        // A plus sign is a space in a query unless it is escaped.
        rig.add_user(&format!("user+{number}@pve"), Role::User);
    }
    for limit in [1, 3, 4, 8, 200] {
        let parts = all_parts(&mut root, &format!("/api/users?limit={limit}")).await;
        assert_eq!(parts.len(), 8_usize.div_ceil(limit.min(8)), "{limit}");
        let names: Vec<_> = parts
            .iter()
            .flat_map(|part| part.as_array().unwrap())
            .map(|user| user["name"].as_str().unwrap().to_owned())
            .collect();
        let expected: Vec<_> =
            std::iter::once("root@pam".to_owned()).chain((0..7).map(|number| format!("user+{number}@pve"))).collect();
        assert_eq!(names, expected);
    }
    assert_eq!(root.refused_code("GET", "/api/users?after=nobody", None).await, "bad_user_name");
    assert_eq!(root.refused_code("GET", "/api/users?limit=many", None).await, "bad_request");
}

#[tokio::test]
async fn a_list_of_users_has_a_bound_that_nobody_asked_for() {
    let rig = Rig::new();
    let mut root = administrator(&rig).await;
    for number in 0..250 {
        rig.add_user(&format!("user{number}@pve"), Role::User);
    }
    for path in ["/api/users", "/api/users?limit=4000000000"] {
        let sizes: Vec<_> =
            all_parts(&mut root, path).await.iter().map(|part| part.as_array().unwrap().len()).collect();
        assert_eq!(sizes, [200, 51]);
    }
}

#[tokio::test]
async fn events_come_in_parts_each_once() {
    let rig = Rig::new();
    let mut root = administrator(&rig).await;
    for number in 0..5 {
        rig.add_user(&format!("user{number}@pve"), Role::User);
    }
    rig.add_user("a+b@pve", Role::User);
    let all = root.get("/api/events").await.as_array().unwrap().clone();
    assert_eq!(all.len(), 8);
    for limit in [1, 3, 8] {
        let parts = all_parts(&mut root, &format!("/api/events?limit={limit}")).await;
        let found: Vec<_> = parts.iter().flat_map(|part| part.as_array().unwrap()).cloned().collect();
        assert_eq!(found, all);
    }
    // The filter is the next part's too.
    for _ in 0..3 {
        rig.browser().refused("POST", "/api/login", Some(json!({ "user": "a+b@pve", "password": "wrong" }))).await;
    }
    let parts = all_parts(&mut root, "/api/events?user=a%2Bb@pve&limit=2").await;
    assert_eq!(parts.iter().map(|part| part.as_array().unwrap().len()).collect::<Vec<_>>(), [2, 2]);
}

/// What somebody sends is written down, and not at whatever length.
#[tokio::test]
async fn an_event_has_a_bound_whatever_was_sent() {
    let rig = Rig::new();
    let mut key = crate::rig::Key::default();
    rig.new_user("alice@pve").await.register(&mut key, "key").await;
    let offered = rig.browser().log_in("alice@pve").await;
    let origin = format!("https://{}.example", "x".repeat(20_000));
    let credential = key.get_with_members(&offered["factors"]["webauthn"], &[("origin", json!(origin))]).await;
    let body = crate::rig::login(&offered, &credential);
    let refused = rig.browser().refused("POST", "/api/login/webauthn", Some(body)).await;
    let (event, report) = rig.store().report(refused["report_id"].as_str().unwrap()).unwrap().unwrap();
    assert!(event.detail.len() < 4_200, "{}", event.detail.len());
    let report = report.to_string();
    assert!(report.len() < 40_000, "{}", report.len());
    assert!(report.contains("https://xxxxx"));
}
