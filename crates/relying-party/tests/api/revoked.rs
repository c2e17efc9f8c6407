//! A right that is lost while a request is under way. The head of a request comes long before its body, and whatever it was
//! good for when it came, the body does nothing that its sender may not do any more.

use std::net::SocketAddr;

use keyrig_relying_party::{
    By, CONFIRMATION_FAILURES, CONFIRMATION_LIFETIME, CSRF_HEADER, EventFilter, EventKind, PasswordCost, PasswordHash,
    ROUTES, Requirement, Role, SESSION_LIFETIME, Server, Settings, SystemRandomness, Totp, UserChange, serve,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Browser, HOST, Key, ORIGIN, PASSWORD, RP_ID, Rig, login, registration, text};

const ROOT: &str = "root@pam";
const ANOTHER_PASSWORD: &str = "another password";

/// What a route asks of who calls it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Nothing,
    /// The password.
    Password,
    /// A login under way.
    Login,
    /// A login by a passkey.
    Passkey,
    Session,
    /// A session that was confirmed.
    Confirmation,
    /// An auditor's or an administrator's session.
    Role,
    /// The same, confirmed.
    ConfirmedRole,
}

/// How a right is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    None,
    SessionsEnded,
    SessionExpired,
    ConfirmationExpired,
    Demoted,
    Disabled,
    Deleted,
    PasswordSet,
}

fn asks(method: &str, path: &str) -> Option<Asks> {
    Some(match (method, path) {
        ("POST", "/api/login") => Asks::Password,
        ("POST", "/api/login/totp" | "/api/login/recovery" | "/api/login/webauthn/begin" | "/api/login/webauthn") => {
            Asks::Login
        }
        ("POST", "/api/login/passkey/begin") | ("GET", "/api/openapi.json" | "/api/site" | "/api/realms") => {
            Asks::Nothing
        }
        ("POST", "/api/login/passkey") => Asks::Passkey,
        ("GET" | "DELETE", "/api/session")
        | ("POST", "/api/session/confirm")
        | ("GET" | "DELETE", "/api/sessions")
        | ("DELETE", "/api/sessions/{id}")
        | ("PUT", "/api/password")
        | ("GET", "/api/factors" | "/api/groups" | "/api/roles") => Asks::Session,
        ("POST", "/api/factors/webauthn/begin" | "/api/factors/webauthn")
        | ("POST", "/api/factors/totp/begin" | "/api/factors/totp" | "/api/factors/recovery")
        | ("PATCH" | "DELETE", "/api/factors/{id}") => Asks::Confirmation,
        ("GET", "/api/users" | "/api/users/{user}/factors" | "/api/users/{user}/tokens")
        | ("GET", "/api/audit" | "/api/events" | "/api/reports/{id}")
        | ("POST", "/api/users/{user}/unlock")
        | ("GET" | "DELETE", "/api/users/{user}/sessions")
        | ("DELETE", "/api/users/{user}/sessions/{id}") => Asks::Role,
        ("POST", "/api/users")
        | ("PATCH" | "DELETE", "/api/users/{user}")
        | ("PUT", "/api/users/{user}/password")
        | ("DELETE", "/api/users/{user}/factors")
        | ("PATCH" | "DELETE", "/api/users/{user}/factors/{id}")
        | ("POST", "/api/users/{user}/tokens" | "/api/groups")
        | ("DELETE", "/api/users/{user}/tokens/{token}")
        | ("PATCH" | "DELETE", "/api/groups/{group}")
        | ("PUT", "/api/realms/{realm}") => Asks::ConfirmedRole,
        _ => return None,
    })
}

/// The code of the refusal, or none where the loss takes nothing away that the route asks for.
fn refused(asks: Asks, loss: Loss) -> Option<&'static str> {
    use Loss::{ConfirmationExpired, Deleted, Demoted, Disabled, PasswordSet, SessionExpired, SessionsEnded};
    match (asks, loss) {
        (Asks::Password, Disabled | Deleted | PasswordSet) | (Asks::Passkey, Disabled | Deleted) => {
            Some("authentication_failed")
        }
        (Asks::Login, SessionsEnded | SessionExpired | Disabled | Deleted | PasswordSet)
        | (Asks::Passkey, SessionExpired) => Some("unknown_login"),
        (Asks::Nothing | Asks::Password | Asks::Login | Asks::Passkey, _) => None,
        (_, SessionsEnded | SessionExpired | Disabled | Deleted | PasswordSet) => Some("not_logged_in"),
        (Asks::Role | Asks::ConfirmedRole, Demoted) => Some("forbidden"),
        (Asks::Confirmation | Asks::ConfirmedRole, ConfirmationExpired) => Some("confirmation_required"),
        _ => None,
    }
}

/// A request whose body is held back.
pub(crate) struct Held {
    stream: TcpStream,
    body: String,
}

impl Held {
    /// Sends the head, and waits until the server asks for the body: it has looked at the head then.
    async fn begin(address: SocketAddr, browser: &Browser, method: &str, path: &str, body: &Value) -> Self {
        let headers = match (&browser.cookie, &browser.csrf_token) {
            (Some(cookie), Some(token)) => format!("Cookie: {cookie}\r\n{CSRF_HEADER}: {token}\r\n"),
            _ => String::new(),
        };
        Self::begin_with(address, &headers, method, path, body).await
    }

    /// The same with these headers, each ended by a line's end.
    pub(crate) async fn begin_with(address: SocketAddr, headers: &str, method: &str, path: &str, body: &Value) -> Self {
        let body = body.to_string();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n",
            body.len()
        );
        head.push_str(headers);
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer.escape_ascii().to_string(), "HTTP/1.1 100 Continue\\r\\n\\r\\n", "{method} {path}");
        Self { stream, body }
    }

    /// Sends the body; the answer's status, whether it has a cookie, and its body.
    pub(crate) async fn end(mut self) -> (u16, bool, Value) {
        self.stream.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase().contains("set-cookie"), serde_json::from_str(body).unwrap())
    }
}

/// Two administrators, one of whom is logged in and has confirmed it, and a user; all of them have what routes are about.
struct World {
    rig: Rig,
    server: Server,
    root: Browser,
    totp: Totp,
    passkey: Key,
    recovery_keys: Vec<String>,
    report: String,
}

impl World {
    async fn new() -> Self {
        let rig = Rig::with_settings(Settings { passkey_login: true, ..Settings::new(RP_ID, ORIGIN) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve(listener, rig.relying_party.clone()).unwrap();
        rig.add_user("other@pam", Role::Administrator);
        rig.new_user("alice@pve").await.enrol_totp(&rig).await;
        let body = json!({ "user": "alice@pve", "password": "wrong password" });
        let answer = rig.browser().refused("POST", "/api/login", Some(body)).await;
        rig.add_user(ROOT, Role::Administrator);
        let mut root = rig.browser();
        root.log_in(ROOT).await;
        root.confirm().await;
        let totp = root.enrol_totp(&rig).await;
        let recovery_keys = root.add_recovery_keys().await;
        let mut passkey = Key::verifying_user();
        let begun = root.post("/api/factors/webauthn/begin", json!({ "passkey": true })).await;
        let credential = passkey.create(&begun).await.unwrap();
        root.post("/api/factors/webauthn", registration(&begun, "passkey", &credential)).await;
        root.confirm().await;
        root.post("/api/groups", json!({ "name": "ops" })).await;
        root.post("/api/users/alice@pve/tokens", json!({ "name": "ci" })).await;
        Self { rig, server, root, totp, passkey, recovery_keys, report: text(&answer["report_id"]) }
    }

    fn factor(&self, user: &str) -> String {
        self.rig.store().factors(&user.parse().unwrap()).unwrap()[0].id.clone()
    }

    /// The path and the body of a request that succeeds as things are.
    async fn request(&mut self, method: &str, route: &str) -> (String, Option<Value>) {
        let user = if route.starts_with("/api/users") { "alice@pve" } else { ROOT };
        let id = match route {
            _ if route.starts_with("/api/reports") => self.report.clone(),
            _ if route.ends_with("/sessions/{id}") => {
                self.rig.store().sessions(&user.parse().unwrap(), self.rig.now()).unwrap()[0].id.clone()
            }
            _ => self.factor(user),
        };
        let path = route.replace("{user}", user).replace("{id}", &id).replace("{realm}", "pve");
        let path = path.replace("{group}", "ops").replace("{token}", "ci");
        let now = self.rig.now();
        let body = match (method, route) {
            ("POST", "/api/login") => json!({ "user": ROOT, "password": PASSWORD }),
            ("POST", "/api/login/totp") => {
                let offered = self.rig.browser().log_in(ROOT).await;
                json!({ "login": offered["login"], "code": self.totp.code(now) })
            }
            ("POST", "/api/login/recovery") => {
                let offered = self.rig.browser().log_in(ROOT).await;
                let factor = self.rig.store().factors(&ROOT.parse().unwrap()).unwrap();
                assert!(factor.iter().any(|factor| factor.kind() == "recovery"));
                json!({ "login": offered["login"], "key": self.recovery_keys[0] })
            }
            ("POST", "/api/login/webauthn/begin") => json!({ "login": self.rig.browser().log_in(ROOT).await["login"] }),
            ("POST", "/api/login/webauthn") => {
                let offered = self.rig.browser().log_in(ROOT).await;
                let credential = self.passkey.get(&offered["factors"]["webauthn"]).await.unwrap();
                login(&offered, &credential)
            }
            ("POST", "/api/login/passkey") => {
                let begun = self.rig.browser().post("/api/login/passkey/begin", json!({})).await;
                let mut credential = self.passkey.get(&begun).await.unwrap();
                let handle = self.rig.store().user(&ROOT.parse().unwrap()).unwrap().handle;
                credential["response"]["userHandle"] = crate::rig::encode(&handle);
                json!({ "login": begun["login"], "challenge": begun["challenge"], "credential": credential })
            }
            ("POST", "/api/login/passkey/begin" | "/api/factors/webauthn/begin" | "/api/factors/totp/begin") => {
                json!({})
            }
            ("POST", "/api/session/confirm") => json!({ "password": PASSWORD }),
            ("PUT", "/api/password") => json!({ "password": PASSWORD, "new_password": ANOTHER_PASSWORD }),
            ("POST", "/api/factors/webauthn") => {
                let begun = self.root.begin_registration().await;
                let credential = Key::default().create(&begun).await.unwrap();
                registration(&begun, "new", &credential)
            }
            ("POST", "/api/factors/totp") => {
                let begun = self.root.post("/api/factors/totp/begin", json!({})).await;
                let totp = Totp::from_uri(begun["uri"].as_str().unwrap()).unwrap();
                json!({ "challenge": begun["challenge"], "description": "new", "code": totp.code(now) })
            }
            ("POST", "/api/factors/recovery") => {
                // There is one set at a time.
                let factors = self.root.factors().await;
                let set = factors.iter().find(|factor| factor["type"] == "recovery").unwrap();
                self.root.accepted("DELETE", &format!("/api/factors/{}", text(&set["id"])), None).await;
                json!({ "description": "paper" })
            }
            ("PATCH", "/api/factors/{id}" | "/api/users/{user}/factors/{id}") => json!({ "description": "new" }),
            ("POST", "/api/users") => json!({ "user": "new@pve", "role": "administrator", "password": PASSWORD }),
            ("PATCH", "/api/users/{user}") => json!({ "role": "administrator" }),
            ("PUT", "/api/users/{user}/password") => json!({ "password": ANOTHER_PASSWORD }),
            ("POST", "/api/groups" | "/api/users/{user}/tokens") => json!({ "name": "new" }),
            ("PATCH", "/api/groups/{group}") => json!({ "comment": "new", "roles": ["PVEAuditor"] }),
            ("PUT", "/api/realms/{realm}") => json!({ "requirement": { "type": "any" } }),
            ("GET" | "DELETE", _) | ("POST", "/api/users/{user}/unlock") => return (path, None),
            _ => panic!("{method} {route} has no request here"),
        };
        (path, Some(body))
    }

    fn lose(&self, loss: Loss) {
        let (store, name, by) = (self.rig.store(), ROOT.parse().unwrap(), By::command_line(self.rig.now()));
        let change = |change: UserChange| drop(store.change_user(&name, &change, &by).unwrap());
        match loss {
            Loss::None => {}
            Loss::SessionsEnded => {
                store.end_sessions(&name, &by).unwrap();
            }
            Loss::SessionExpired => self.rig.clock.advance(SESSION_LIFETIME),
            Loss::ConfirmationExpired => self.rig.clock.advance(CONFIRMATION_LIFETIME),
            Loss::Demoted => change(UserChange { role: Some(Role::User), ..UserChange::default() }),
            Loss::Disabled => change(UserChange { enabled: Some(false), ..UserChange::default() }),
            Loss::Deleted => store.delete_user(&name, &by).unwrap(),
            Loss::PasswordSet => {
                let hash = PasswordHash::new(ANOTHER_PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
                store.set_password(&name, &hash, &by).unwrap();
            }
        }
    }

    /// Everything that is stored and can be seen.
    fn stored(&self, with_events: bool) -> String {
        let store = self.rig.store();
        let events = with_events.then(|| store.events(&EventFilter::default()).unwrap());
        let access = (store.groups().unwrap(), store.acl().unwrap());
        format!("{:?} {:?} {access:?} {events:?}", store.users_with_factors().unwrap(), store.realms().unwrap())
    }
}

/// Sends a request to every route, and loses a right before the body comes.
async fn walk(loss: Loss) {
    for (method, route) in ROUTES {
        let asks = asks(method, route).unwrap_or_else(|| panic!("{method} {route} has no row here"));
        // Codes and challenges do not last as long as a confirmation.
        if loss == Loss::ConfirmationExpired && matches!(asks, Asks::Login | Asks::Passkey) {
            continue;
        }
        let mut world = World::new().await;
        let (path, body) = world.request(method, route).await;
        let expected = refused(asks, loss);
        let of_a_session = !matches!(asks, Asks::Nothing | Asks::Password | Asks::Login | Asks::Passkey);
        let nobody = world.rig.browser();
        let (status, sets_cookie, answer, before) = match body {
            Some(body) => {
                let browser = if of_a_session { &world.root } else { &nobody };
                let held = Held::begin(world.server.local_addr(), browser, method, &path, &body).await;
                world.lose(loss);
                let before = world.stored(of_a_session);
                let (status, sets_cookie, answer) = held.end().await;
                (status, sets_cookie, answer, before)
            }
            None => {
                world.lose(loss);
                let before = world.stored(of_a_session);
                let mut browser = if of_a_session { world.root.clone() } else { nobody };
                let (status, answer) = browser.send(method, &path, None).await;
                (status.as_u16(), browser.cookie != world.root.cookie && of_a_session, answer, before)
            }
        };
        match expected {
            Some(code) => {
                assert_eq!(answer["code"], code, "{method} {route} after {loss:?}: {answer}");
                assert!(!sets_cookie, "{method} {route} after {loss:?}");
                assert_eq!(world.stored(of_a_session), before, "{method} {route} after {loss:?}");
            }
            None => assert_eq!(status, 200, "{method} {route} after {loss:?}: {answer}"),
        }
    }
}

#[tokio::test]
async fn every_route_does_its_work_while_nothing_is_lost() {
    walk(Loss::None).await;
}

#[tokio::test]
async fn a_session_that_was_ended_does_nothing_more() {
    walk(Loss::SessionsEnded).await;
}

#[tokio::test]
async fn a_session_that_has_expired_does_nothing_more() {
    walk(Loss::SessionExpired).await;
}

#[tokio::test]
async fn a_confirmation_that_has_expired_changes_nothing_more() {
    walk(Loss::ConfirmationExpired).await;
}

#[tokio::test]
async fn an_administrator_who_was_demoted_administers_nothing_more() {
    walk(Loss::Demoted).await;
}

#[tokio::test]
async fn a_user_who_was_disabled_does_nothing_more() {
    walk(Loss::Disabled).await;
}

#[tokio::test]
async fn a_user_who_was_deleted_does_nothing_more() {
    walk(Loss::Deleted).await;
}

#[tokio::test]
async fn a_session_from_before_a_new_password_does_nothing_more() {
    walk(Loss::PasswordSet).await;
}

/// The rows are those of the API's documentation, too.
#[test]
fn the_documentation_has_every_route() {
    let documentation = include_str!("../../src/lib.rs");
    for (method, path) in ROUTES {
        let row =
            |line: &&str| line.starts_with("//! |") && line.contains(method) && line.contains(&format!("{path}`"));
        assert!(documentation.lines().any(|line| row(&line)), "{method} {path}");
    }
}

#[tokio::test]
async fn one_enrolment_gives_one_session_however_many_registrations_end_at_once() {
    let rig = Rig::new();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    rig.add_user("alice@pve", Role::User);
    rig.require("pve", Requirement::Webauthn);
    let mut browser = rig.browser();
    assert_eq!(browser.log_in("alice@pve").await["state"], "enrolment_required");
    let mut held = Vec::new();
    for number in 0..6 {
        let begun = browser.begin_registration().await;
        let credential = Key::default().create(&begun).await.unwrap();
        let body = registration(&begun, &format!("key {number}"), &credential);
        held.push(Held::begin(server.local_addr(), &browser, "POST", "/api/factors/webauthn", &body).await);
    }
    let answers: Vec<_> = held.into_iter().map(|held| tokio::spawn(held.end())).collect();
    let mut sessions = 0;
    for answer in answers {
        let (status, sets_cookie, answer) = answer.await.unwrap();
        assert_eq!(sets_cookie, status == 200);
        if status == 200 {
            sessions += 1;
            assert_eq!(answer["session"]["kind"], "full");
        } else {
            assert_eq!(answer["code"], "not_logged_in");
        }
    }
    assert_eq!(sessions, 1);
    assert_eq!(rig.store().factors(&"alice@pve".parse().unwrap()).unwrap().len(), 1);
    assert_eq!(rig.events(EventKind::FactorAdded).len(), 1);
}

/// It began with the password alone: were it good for anything after that, it would be a way around the second factor.
#[tokio::test]
async fn a_session_for_enrolment_is_over_once_its_user_has_what_the_realm_requires() {
    let rig = Rig::new();
    rig.add_user("alice@pve", Role::User);
    rig.require("pve", Requirement::Webauthn);
    let [mut thief, mut alice] = [rig.browser(), rig.browser()];
    for browser in [&mut thief, &mut alice] {
        assert_eq!(browser.log_in("alice@pve").await["state"], "enrolment_required");
    }
    let begun = thief.begin_registration().await;
    let credential = Key::default().create(&begun).await.unwrap();
    alice.register(&mut Key::default(), "alice's key").await;
    let body = registration(&begun, "thief's key", &credential);
    assert_eq!(thief.refused_code("POST", "/api/factors/webauthn", Some(body)).await, "not_logged_in");
    assert_eq!(thief.refused_code("GET", "/api/session", None).await, "not_logged_in");
    assert_eq!(alice.factors().await.len(), 1);
}

#[tokio::test]
async fn passwords_that_are_tried_all_at_once_are_no_more_than_those_tried_in_turn() {
    let rig = Rig::new();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    let browser = rig.new_user("alice@pve").await;
    let begin = async |password: &str| {
        let body = json!({ "password": password, "new_password": ANOTHER_PASSWORD });
        Held::begin(server.local_addr(), &browser, "PUT", "/api/password", &body).await
    };
    let mut wrong = Vec::new();
    for number in 0..40 {
        wrong.push(begin(&format!("wrong password {number}")).await);
    }
    let right = begin(PASSWORD).await;
    let answers: Vec<_> = wrong.into_iter().map(|held| tokio::spawn(held.end())).collect();
    let (mut counted, mut ended) = (0, 0);
    for answer in answers {
        let (_, _, answer) = answer.await.unwrap();
        if answer["code"] == "confirmation_failed" {
            counted += 1;
            ended += u32::from(text(&answer["reason"]).contains("the session was ended"));
        } else {
            assert_eq!(answer["code"], "not_logged_in");
        }
    }
    assert_eq!((counted, ended), (CONFIRMATION_FAILURES, 1));
    assert_eq!(right.end().await.2["code"], "not_logged_in");
    let failed = rig.events(EventKind::ConfirmationFailed);
    assert_eq!(failed.len(), usize::try_from(CONFIRMATION_FAILURES).unwrap());
    assert!(rig.events(EventKind::PasswordChanged).is_empty());
    rig.browser().log_in("alice@pve").await;
}

#[tokio::test]
async fn a_session_that_is_over_does_not_tell_a_right_password_from_a_wrong_one() {
    let rig = Rig::new();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    let browser = rig.new_user("alice@pve").await;
    let mut held = Vec::new();
    for password in [PASSWORD, "wrong password"] {
        let body = json!({ "password": password });
        held.push(Held::begin(server.local_addr(), &browser, "POST", "/api/session/confirm", &body).await);
    }
    rig.store().end_sessions(&"alice@pve".parse().unwrap(), &By::command_line(rig.now())).unwrap();
    let mut answers = Vec::new();
    for held in held {
        answers.push(held.end().await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0, &answers[0].2["code"]), (401, &json!("not_logged_in")));
    assert!(rig.events(EventKind::ConfirmationFailed).is_empty());
}
