//! A realm whose passwords are kept elsewhere: the directory is asked, and what it says while something else changes here
//! changes nothing of what that decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use keyrig_relying_party::{
    By, CONFIRMATION_FAILURES, Directory, DirectoryUnavailable, EventKind, Options, PasswordCost, Role, Settings,
    Store, UserChange, UserName,
};
use serde_json::{Value, json};

use crate::rig::{Key, ORIGIN, PASSWORD, RP_ID, Rig, text};

/// What alice's password is in the directory; here it is [`PASSWORD`].
const THERE: &str = "known to the directory alone";

type Meanwhile = Box<dyn FnMut() + Send>;

/// A directory that knows one password, and what happens while it is asked.
#[derive(Default)]
struct Company {
    is_down: Mutex<bool>,
    asked: Mutex<Vec<String>>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl fmt::Debug for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Company")
    }
}

impl Directory for Company {
    fn is_password(&self, user: &UserName, password: &str) -> Result<bool, DirectoryUnavailable> {
        self.asked.lock().unwrap().push(user.to_string());
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().as_mut() {
            meanwhile();
        }
        if *self.is_down.lock().unwrap() {
            return Err(DirectoryUnavailable { reason: "connection refused".to_owned() });
        }
        Ok(user.to_string() == "alice@pve" && password == THERE)
    }
}

struct World {
    rig: Rig,
    company: Arc<Company>,
    store: Arc<Store>,
}

impl World {
    fn new() -> Self {
        let company = Arc::new(Company::default());
        let store = Arc::new(Store::in_memory().unwrap());
        let asked: Arc<dyn Directory> = company.clone();
        let options = Options {
            password_cost: PasswordCost::DangerNone,
            explain: true,
            directories: BTreeMap::from([("pve".to_owned(), asked)]),
            ..Options::new(store.clone())
        };
        let rig = Rig::with_options(Ok(Settings::new(RP_ID, ORIGIN)), options);
        rig.add_user("alice@pve", Role::User);
        Self { rig, company, store }
    }

    /// Does something each time the directory is asked.
    fn meanwhile(&self, change: impl Fn(&Store, &UserName, &By) + Send + 'static) {
        let (store, by) = (self.store.clone(), By::command_line(self.rig.now()));
        let alice = "alice@pve".parse().unwrap();
        *self.company.meanwhile.lock().unwrap() = Some(Box::new(move || change(&store, &alice, &by)));
    }

    fn body(password: &str) -> Value {
        json!({ "user": "alice@pve", "password": password })
    }
}

#[tokio::test]
async fn the_directory_knows_the_password_and_factors_are_here() {
    let world = World::new();
    let mut alice = world.rig.browser();
    assert_eq!(alice.post("/api/login", World::body(THERE)).await["state"], "logged_in");
    alice.post("/api/session/confirm", json!({ "password": THERE })).await;
    alice.register(&mut Key::default(), "key").await;
    assert_eq!(world.rig.browser().post("/api/login", World::body(THERE)).await["state"], "second_factor");
    // The password that is stored here is nobody's.
    let refused = world.rig.browser().refused("POST", "/api/login", Some(World::body(PASSWORD))).await;
    assert_eq!(refused["report"]["cause"], "wrong_password");
    // Another realm's users are not asked for there; who is not known here is.
    world.rig.new_user("root@pam").await;
    let nobody = json!({ "user": "nobody@pve", "password": THERE });
    let refused = world.rig.browser().refused("POST", "/api/login", Some(nobody)).await;
    assert_eq!(refused["report"]["cause"], "unknown_user");
    let asked = world.company.asked.lock().unwrap();
    assert_eq!(*asked, ["alice@pve", "alice@pve", "alice@pve", "alice@pve", "nobody@pve"]);
}

#[tokio::test]
async fn wrong_passwords_of_a_directory_end_the_session_too() {
    let world = World::new();
    let mut alice = world.rig.browser();
    alice.post("/api/login", World::body(THERE)).await;
    for _ in 0..CONFIRMATION_FAILURES {
        let wrong = Some(json!({ "password": PASSWORD }));
        assert_eq!(alice.refused_code("POST", "/api/session/confirm", wrong).await, "confirmation_failed");
    }
    assert_eq!(alice.refused_code("GET", "/api/session", None).await, "not_logged_in");
}

#[tokio::test]
async fn a_directory_that_gives_no_answer_lets_nobody_in_and_counts_as_nothing() {
    let world = World::new();
    let mut alice = world.rig.browser();
    alice.post("/api/login", World::body(THERE)).await;
    *world.company.is_down.lock().unwrap() = true;
    let blocked = world.rig.browser().refused("POST", "/api/login", Some(World::body(THERE))).await;
    assert_eq!(
        (&blocked["code"], &blocked["report"]["cause"]),
        (&json!("login_blocked"), &json!("directory_unavailable"))
    );
    assert!(text(&blocked["report"]["explanation"]).contains("connection refused"), "{blocked}");
    assert_eq!(world.rig.events(EventKind::LoginBlocked).len(), 1);
    for _ in 0..2 * CONFIRMATION_FAILURES {
        let body = Some(json!({ "password": THERE }));
        assert_eq!(alice.refused_code("POST", "/api/session/confirm", body).await, "directory_unavailable");
    }
    *world.company.is_down.lock().unwrap() = false;
    alice.post("/api/session/confirm", json!({ "password": THERE })).await;
}

#[tokio::test]
async fn passwords_of_a_directory_are_not_set_here() {
    let world = World::new();
    let mut alice = world.rig.browser();
    alice.post("/api/login", World::body(THERE)).await;
    let own = json!({ "password": THERE, "new_password": "another password" });
    assert_eq!(alice.refused_code("PUT", "/api/password", Some(own)).await, "password_elsewhere");
    world.rig.add_user("root@pam", Role::Administrator);
    let mut root = world.rig.browser();
    root.log_in("root@pam").await;
    root.confirm().await;
    let body = Some(json!({ "password": "another password" }));
    assert_eq!(root.refused_code("PUT", "/api/users/alice@pve/password", body).await, "password_elsewhere");
    assert!(world.rig.events(EventKind::PasswordChanged).is_empty());
}

/// What the directory said was right when it was asked.
#[tokio::test]
async fn what_changes_while_a_directory_is_asked_counts() {
    let world = World::new();
    let mut alice = world.rig.browser();
    alice.post("/api/login", World::body(THERE)).await;
    world.meanwhile(|store, alice, by| {
        store.end_sessions(alice, by).unwrap();
    });
    for password in [THERE, PASSWORD] {
        let body = Some(json!({ "password": password }));
        assert_eq!(alice.refused_code("POST", "/api/session/confirm", body).await, "not_logged_in");
    }
    assert!(world.rig.events(EventKind::ConfirmationFailed).is_empty());
    world.meanwhile(|store, alice, by| {
        let change = UserChange { enabled: Some(false), ..UserChange::default() };
        store.change_user(alice, &change, by).unwrap();
    });
    let refused = world.rig.browser().refused("POST", "/api/login", Some(World::body(THERE))).await;
    assert_eq!(refused["report"]["cause"], "user_disabled");
    world.meanwhile(|store, alice, by| drop(store.delete_user(alice, by)));
    let refused = world.rig.browser().refused("POST", "/api/login", Some(World::body(THERE))).await;
    assert_eq!(refused["report"]["cause"], "unknown_user");
}
