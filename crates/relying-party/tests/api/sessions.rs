//! Sessions: the cookie, the token against cross-site requests, the end, and the password that is asked for again.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use keyrig_relying_party::{
    By, CONFIRMATION_FAILURES, CONFIRMATION_LIFETIME, CSRF_HEADER, EventKind, Options, PasswordCost, Role,
    SESSION_LIFETIME, Settings, Store, Transport, UserChange,
};
use serde_json::{Value, json};

use crate::rig::{Browser, HOST, Key, ORIGIN, PASSWORD, RP_ID, Rig};

async fn cookie_of_a_login(rig: &Rig) -> String {
    rig.add_user("alice@pve", Role::User);
    let body = json!({ "user": "alice@pve", "password": PASSWORD }).to_string();
    let request =
        Request::post("/api/login").header(header::CONTENT_TYPE, "application/json").header(header::HOST, HOST);
    let (_, headers, _) = rig.browser().raw(request.body(Body::from(body)).unwrap()).await;
    headers[header::SET_COOKIE].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_cookie_is_for_this_site_alone_and_for_no_script() {
    // Pages at https: the cookie never goes out in the clear.
    let cookie = cookie_of_a_login(&Rig::new()).await;
    assert!(cookie.starts_with("__Host-keyrig_session_8006="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=7200; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    // Plain http, as on localhost.
    let cookie = cookie_of_a_login(&Rig::with_settings(Settings::new("localhost", "http://localhost:8006"))).await;
    assert!(cookie.starts_with("keyrig_session_8006="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=7200; HttpOnly; SameSite=Strict"), "{cookie}");
}

/// Browsers keep cookies by host: those of another port are sent along, and set over.
#[tokio::test]
async fn two_sites_on_two_ports_of_one_host_do_not_log_each_other_out() {
    let sites = [8006, 8007].map(|port| {
        let rig = Rig::with_settings(Settings::new("localhost", format!("http://localhost:{port}")));
        rig.add_user("alice@pve", Role::User);
        (port, rig)
    });
    // One jar for both, as a browser's is, without what is not looked at here: paths and lifetimes.
    let mut jar = std::collections::BTreeMap::new();
    let mut sent = async |(port, rig): &(u16, Rig), method: &str, path: &str, body: Option<Value>, token: &str| {
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("localhost:{port}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, cookies.join("; "))
            .header(CSRF_HEADER, token);
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (status, headers, answer) = rig.browser().raw(request.body(body).unwrap()).await;
        if let Some(cookie) = headers.get(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            jar.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        (status, answer)
    };
    let mut tokens = Vec::new();
    for site in &sites {
        let body = json!({ "user": "alice@pve", "password": PASSWORD });
        let (_, answer) = sent(site, "POST", "/api/login", Some(body), "").await;
        tokens.push(answer["session"]["csrf_token"].as_str().unwrap().to_owned());
    }
    for site in &sites {
        assert_eq!(sent(site, "GET", "/api/session", None, "").await.0, StatusCode::OK, "{}", site.0);
    }
    assert_eq!(sent(&sites[0], "DELETE", "/api/session", None, &tokens[0]).await.0, StatusCode::OK);
    assert_eq!(sent(&sites[0], "GET", "/api/session", None, "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(sent(&sites[1], "GET", "/api/session", None, "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    rig.clock.advance(SESSION_LIFETIME - std::time::Duration::from_millis(1));
    browser.get("/api/session").await;
    rig.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
}

#[tokio::test]
async fn who_logs_out_is_out_here_or_everywhere() {
    let rig = Rig::new();
    let mut browsers = vec![rig.new_user("alice@pve").await];
    for _ in 0..2 {
        let mut browser = rig.browser();
        browser.log_in("alice@pve").await;
        browsers.push(browser);
    }
    let stolen = browsers[0].clone();
    browsers[0].accepted("DELETE", "/api/session", None).await;
    assert_eq!(browsers[0].cookie, None);
    assert_eq!(stolen.clone().refused_code("GET", "/api/session", None).await, "not_logged_in");
    browsers[1].get("/api/session").await;
    let mut last = browsers[2].clone();
    assert_eq!(browsers[1].accepted("DELETE", "/api/sessions", None).await["sessions"], 2);
    assert_eq!(last.refused_code("GET", "/api/session", None).await, "not_logged_in");
}

#[tokio::test]
async fn what_ends_an_account_ends_its_sessions() {
    let rig = Rig::new();
    let name = "alice@pve".parse().unwrap();
    let mut browser = rig.new_user("alice@pve").await;
    let change = UserChange { enabled: Some(false), ..UserChange::default() };
    rig.store().change_user(&name, &change, &By::command_line(rig.now())).unwrap();
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
    let change = UserChange { enabled: Some(true), ..UserChange::default() };
    rig.store().change_user(&name, &change, &By::command_line(rig.now())).unwrap();
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
    // A new password, too.
    browser.log_in("alice@pve").await;
    let mut other = rig.browser();
    other.log_in("alice@pve").await;
    let body = json!({ "password": PASSWORD, "new_password": "another password" });
    other.accepted("PUT", "/api/password", Some(body)).await;
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    assert_eq!(rig.browser().refused_code("POST", "/api/login", Some(body)).await, "authentication_failed");
    let body = json!({ "user": "alice@pve", "password": "another password" });
    rig.browser().post("/api/login", body).await;
    // And deletion, even if a user of the same name comes after.
    browser.post("/api/login", json!({ "user": "alice@pve", "password": "another password" })).await;
    rig.store().delete_user(&name, &By::command_line(rig.now())).unwrap();
    rig.add_user("alice@pve", Role::User);
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
}

#[tokio::test]
async fn forged_cookies_are_no_sessions() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let good = browser.cookie.clone().unwrap();
    let (name, token) = good.split_once('=').unwrap();
    let cases = [
        format!("{name}="),
        format!("{name}=x"),
        format!("{name}={}", "A".repeat(token.len())),
        format!("{name}={token}A"),
        format!("{name}=' OR 1=1 --"),
        format!("keyrig_session={token}"),
        name.to_owned(),
        format!("{name}={}", "x".repeat(5000)),
    ];
    for cookie in cases {
        browser.cookie = Some(cookie.clone());
        assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in", "{cookie}");
    }
    browser.cookie = Some(format!("theme=dark; {good}; other=1"));
    browser.get("/api/session").await;
}

#[tokio::test]
async fn what_changes_something_needs_the_token_of_the_session() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let of_another = {
        let mut other = rig.browser();
        other.log_in("alice@pve").await;
        other.csrf_token
    };
    let good = browser.csrf_token.clone();
    for token in [None, Some(String::new()), Some("x".to_owned()), of_another] {
        browser.csrf_token = token;
        for (method, path, body) in [
            ("POST", "/api/factors/webauthn/begin", Some(json!({}))),
            ("POST", "/api/factors/recovery", Some(json!({ "description": "paper" }))),
            ("POST", "/api/session/confirm", Some(json!({ "password": PASSWORD }))),
            ("DELETE", "/api/session", None),
            ("DELETE", "/api/sessions", None),
        ] {
            assert_eq!(browser.refused_code(method, path, body).await, "bad_csrf_token", "{method} {path}");
        }
    }
    browser.csrf_token = good;
    browser.begin_registration().await;
    // Reading does not.
    browser.csrf_token = None;
    browser.factors().await;
}

async fn may_change_factors(browser: &mut Browser) -> bool {
    let (status, answer) = browser.send("POST", "/api/factors/webauthn/begin", Some(&json!({}))).await;
    if !status.is_success() {
        assert_eq!(answer["code"], "confirmation_required");
    }
    status.is_success()
}

#[tokio::test]
async fn the_password_is_asked_for_again_before_factors_change() {
    let rig = Rig::new();
    rig.new_user("alice@pve").await.register(&mut Key::default(), "key").await;
    let mut browser = rig.new_user("bob@pve").await;
    let id = browser.register(&mut Key::default(), "key").await["id"].as_str().unwrap().to_owned();
    assert!(may_change_factors(&mut browser).await);
    rig.clock.advance(CONFIRMATION_LIFETIME);
    assert!(!may_change_factors(&mut browser).await);
    for (method, path, body) in [
        ("DELETE", format!("/api/factors/{id}"), None),
        ("PATCH", format!("/api/factors/{id}"), Some(json!({ "enabled": false }))),
        ("POST", "/api/factors/recovery".to_owned(), Some(json!({ "description": "paper" }))),
        ("POST", "/api/factors/totp/begin".to_owned(), Some(json!({}))),
    ] {
        assert_eq!(browser.refused_code(method, &path, body).await, "confirmation_required", "{method} {path}");
    }
    browser.confirm().await;
    assert!(may_change_factors(&mut browser).await);
    // Another session of the same user has to do so for itself.
    rig.add_user("carol@pve", Role::User);
    let mut first = rig.browser();
    first.log_in("carol@pve").await;
    assert!(!may_change_factors(&mut first).await, "the password of the login is not given again");
}

#[tokio::test]
async fn wrong_passwords_end_the_session_that_asks_for_it_again() {
    let rig = Rig::new();
    let mut browser = rig.new_user("alice@pve").await;
    let wrong = json!({ "password": "wrong password" });
    for attempt in 1..=CONFIRMATION_FAILURES {
        let answer = browser.refused("POST", "/api/session/confirm", Some(wrong.clone())).await;
        assert_eq!(answer["code"], "confirmation_failed");
        let ended = answer["reason"].as_str().unwrap().contains("session was ended");
        assert_eq!(ended, attempt == CONFIRMATION_FAILURES);
    }
    assert_eq!(browser.refused_code("GET", "/api/session", None).await, "not_logged_in");
    assert_eq!(rig.events(EventKind::ConfirmationFailed).len(), usize::try_from(CONFIRMATION_FAILURES).unwrap());
    rig.browser().log_in("alice@pve").await;
}

#[tokio::test]
async fn behind_tls_the_cookie_is_secure_without_settings_that_say_so() {
    let options = Options {
        transport: Transport::BehindTls,
        password_cost: PasswordCost::DangerNone,
        ..Options::new(Store::in_memory().unwrap())
    };
    let settings = Settings { origins: Vec::new(), ..Settings::new(RP_ID, ORIGIN) };
    assert!(cookie_of_a_login(&Rig::with_options(Ok(settings), options)).await.ends_with("; Secure"));
}
