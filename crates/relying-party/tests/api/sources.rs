//! Where requests come from: what the log of events says of it, and whom is believed to say so.

use axum::body::Body;
use axum::http::{Request, header};
use keyrig_relying_party::{
    Event, EventFilter, EventKind, Options, PasswordCost, Requirement, Role, Settings, Store, Transport, UserError,
};
use serde_json::json;

use crate::rig::{HOST, Key, ORIGIN, PASSWORD, RP_ID, Rig};

fn served(over_tls: bool, trusted: &[&str]) -> Rig {
    let options = Options {
        password_cost: PasswordCost::DangerNone,
        transport: if over_tls { Transport::BehindTls } else { Transport::Plain },
        trusted_proxies: trusted.iter().map(|address| address.parse().unwrap()).collect(),
        ..Options::new(Store::in_memory().unwrap())
    };
    let rig = Rig::with_options(Ok(Settings::new(RP_ID, ORIGIN)), options);
    rig.add_user("alice@pve", Role::User);
    rig
}

fn latest(rig: &Rig) -> Event {
    rig.store().events(&EventFilter { limit: Some(1), ..EventFilter::default() }).unwrap().remove(0)
}

#[tokio::test]
async fn an_event_has_the_address_of_its_request_as_far_as_it_is_known() {
    for (over_tls, trusted, peer, said, expected) in [
        (false, &[][..], "192.0.2.1", None, Some("192.0.2.1")),
        (false, &[], "192.0.2.1", Some("198.51.100.9"), Some("192.0.2.1")),
        (false, &[], "::ffff:192.0.2.1", None, Some("192.0.2.1")),
        // Behind a proxy that nobody vouches for.
        (true, &[], "192.0.2.1", Some("198.51.100.9"), None),
        (true, &["192.0.2.1"], "192.0.2.1", Some("198.51.100.9"), Some("198.51.100.9")),
        (true, &["192.0.2.1"], "192.0.2.1", Some("203.0.113.1, 198.51.100.9"), Some("198.51.100.9")),
        (true, &["192.0.2.1"], "192.0.2.1", Some("what"), None),
        // Somebody else, who came past the proxy.
        (true, &["192.0.2.1"], "192.0.2.2", Some("198.51.100.9"), Some("192.0.2.2")),
        (false, &["2001:db8::1"], "2001:db8::1", Some("2001:db8::9"), Some("2001:db8::9")),
    ] {
        let rig = served(over_tls, trusted);
        let mut browser = rig.browser_at(peer);
        let body = json!({ "user": "alice@pve", "password": "wrong password" }).to_string();
        let mut request =
            Request::post("/api/login").header(header::HOST, HOST).header(header::CONTENT_TYPE, "application/json");
        if let Some(said) = said {
            request = request.header("X-Forwarded-For", said);
        }
        browser.raw(request.body(Body::from(body)).unwrap()).await;
        let event = latest(&rig);
        assert_eq!((event.kind, event.address.as_deref()), (EventKind::LoginRefused, expected), "{peer} {said:?}");
    }
}

#[tokio::test]
async fn every_event_of_a_request_has_its_address() {
    let rig = served(false, &[]);
    rig.add_user("root@pam", Role::Administrator);
    let mut alice = rig.browser_at("192.0.2.7");
    alice.log_in("alice@pve").await;
    alice.confirm().await;
    let mut key = Key::default();
    alice.register(&mut key, "key").await;
    alice.log_in_with("alice@pve", &mut key).await;
    let offered = alice.log_in("alice@pve").await;
    alice.refused("POST", "/api/login/totp", Some(json!({ "login": offered["login"], "code": "000000" }))).await;
    alice.accepted("DELETE", "/api/session", None).await;
    for event in rig.store().events(&EventFilter::default()).unwrap() {
        let expected = (event.actor != "command line").then_some("192.0.2.7");
        assert_eq!(event.address.as_deref(), expected, "{event:?}");
    }
    let kinds = [EventKind::LoggedIn, EventKind::FactorAdded, EventKind::LoginRefused, EventKind::LoggedOut];
    assert!(kinds.into_iter().all(|kind| !rig.events(kind).is_empty()));
}

#[tokio::test]
async fn events_are_found_by_user_kind_and_time() {
    let rig = served(false, &[]);
    rig.add_user("root@pam", Role::Administrator);
    for user in ["alice@pve", "root@pam"] {
        let body = json!({ "user": user, "password": "wrong password" });
        rig.browser().refused("POST", "/api/login", Some(body)).await;
        rig.clock.advance(std::time::Duration::from_secs(100));
    }
    let mut root = rig.browser();
    root.log_in("root@pam").await;
    let now = rig.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut found = async |query: String| {
        let events = root.get(&format!("/api/events?{query}")).await;
        let events = events.as_array().unwrap().clone();
        events.iter().map(|event| format!("{} {}", event["kind"], event["user"]).replace('"', "")).collect::<Vec<_>>()
    };
    let refused = ["login_refused root@pam", "login_refused alice@pve"];
    assert_eq!(found("kind=login_refused".to_owned()).await, refused);
    assert_eq!(found("kind=login_refused&user=alice@pve".to_owned()).await, refused[1..]);
    assert_eq!(found(format!("kind=login_refused&since={}", now - 100)).await, refused[..1]);
    assert_eq!(found(format!("kind=login_refused&until={}", now - 100)).await, refused[1..]);
    assert_eq!(found(format!("since={now}")).await, ["logged_in root@pam"]);
    assert_eq!(found(format!("since={}&until={now}", now - 100)).await, refused[..1]);
    assert_eq!(root.refused_code("GET", "/api/events?kind=party", None).await, "bad_request");
}

/// `type=any` and `type=webauthn` are not Proxmox VE's: under its policies no realm has them.
#[tokio::test]
async fn a_realm_requires_only_what_the_policy_knows() {
    for (policy, knows) in [("proxmox-9", false), ("pve-8.0.3", false), ("strict-l3", true)] {
        let rig = Rig::with_policy(policy);
        rig.relying_party.settle_in().unwrap();
        rig.add_user("root@pam", Role::Administrator);
        let mut root = rig.browser();
        root.log_in("root@pam").await;
        root.confirm().await;
        for (kind, is_known) in [("any", knows), ("webauthn", knows), ("none", true), ("oath", true)] {
            let requirement = match kind {
                "oath" => json!({ "type": "oath", "digits": 6, "step": 30 }),
                kind => json!({ "type": kind }),
            };
            let body = json!({ "requirement": requirement });
            let (status, answer) = root.send("PUT", "/api/realms/pve", Some(&body)).await;
            assert_eq!(status.is_success(), is_known, "{policy} {kind}: {answer}");
            assert!(is_known || answer["code"] == "not_of_policy");
        }
        // The command line reads what the site was last served as.
        let set =
            rig.store().set_requirement("pam", Requirement::Any, &keyrig_relying_party::By::command_line(rig.now()));
        assert_eq!(set.is_ok(), knows, "{policy}: {set:?}");
    }
}

/// What a realm required before the policy was changed is not dropped: that is said.
#[tokio::test]
async fn a_requirement_of_before_stays_and_is_said() {
    let rig = Rig::new();
    rig.require("pve", Requirement::Webauthn);
    rig.add_user("alice@pve", Role::User);
    let policy = keyrig_relying_party::Policy::built_in("proxmox-9").unwrap();
    let changed = rig.served_with(Settings { policy, ..Settings::new(RP_ID, ORIGIN) });
    let notes = changed.relying_party.settle_in().unwrap();
    assert!(
        notes.iter().any(|note| note.starts_with("the realm pve requires WebAuthn, which no realm can")),
        "{notes:?}"
    );
    let body = json!({ "user": "alice@pve", "password": PASSWORD });
    assert_eq!(changed.browser().refused_code("POST", "/api/login", Some(body)).await, "factor_required");
    let unknown = rig.store().sessions(&"nobody@pve".parse().unwrap(), rig.now());
    assert!(matches!(unknown, Err(UserError::Unknown(_))));
}

/// A browser that was told to insist on TLS does so for other servers of that name too, and nobody can tell it otherwise.
#[tokio::test]
async fn browsers_are_told_to_insist_on_tls_for_real_names_over_real_tls_alone() {
    use keyrig_relying_party::Transport::{BehindTls, Plain, TestTls, Tls};
    for (transport, host, insists) in [
        (Tls, "pve.example.com:8006", true),
        (BehindTls, "pve.example.com", true),
        (TestTls, "pve.example.com:8006", false),
        (Plain, "pve.example.com:8006", false),
        (Tls, "localhost:8006", false),
        (Tls, "pve1.localhost", false),
        (Tls, "pve.lan", false),
        (Tls, "pve", false),
        (Tls, "com", false),
        (Tls, "192.0.2.1:8006", false),
        (Tls, "[2001:db8::1]:8006", false),
        (Tls, "", false),
    ] {
        let options =
            Options { password_cost: PasswordCost::DangerNone, transport, ..Options::new(Store::in_memory().unwrap()) };
        let rig = Rig::with_options(Ok(Settings::new(RP_ID, ORIGIN)), options);
        let request = Request::get("/api/realms").header(header::HOST, host).body(Body::empty()).unwrap();
        let (_, headers, _) = rig.browser().raw(request).await;
        let found = headers.get(header::STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap());
        assert_eq!(found, insists.then_some("max-age=86400"), "{transport:?} {host}");
    }
}
