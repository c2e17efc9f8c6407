//! What a directory can do wrong, by a server that does it: bytes after RFC 4511, by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use keyrig_relying_party::{
    By, DirectoryKind, Options, PasswordCost, RealmChange, RealmError, RemoveVanished, Role, Settings, Store,
    SyncOptions, SyncScope, UserChange,
};
use serde_json::json;

use crate::rig::{Key, ORIGIN, RP_ID, Rig, registration};

pub(crate) const BASE: &str = "dc=example,dc=com";
const ALICE: &str = "cn=alice,dc=example,dc=com";

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], contents].concat()
}

fn message(id: u8, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id], operation, controls].concat())
}

/// Section 4.1.9: a result, of a bind (0x61), a search (0x65) or an extended request (0x78).
pub(crate) fn result(id: u8, tag: u8, code: u8) -> Vec<u8> {
    message(id, &element(tag, &[10, 1, code, 4, 0, 4, 0]), &[])
}

/// Section 4.5.2.
pub(crate) fn entry(id: u8, dn: &str, attributes: &[(&str, &[&str])]) -> Vec<u8> {
    let of = |(name, values): &(&str, &[&str])| {
        let values: Vec<u8> = values.iter().flat_map(|value| element(4, value.as_bytes())).collect();
        element(0x30, &[element(4, name.as_bytes()), element(0x31, &values)].concat())
    };
    let attributes: Vec<u8> = attributes.iter().flat_map(of).collect();
    message(id, &element(0x64, &[element(4, dn.as_bytes()), element(0x30, &attributes)].concat()), &[])
}

/// Section 4.5.3: a reference to another server.
pub(crate) fn reference(id: u8) -> Vec<u8> {
    message(id, &element(0x73, &element(4, b"ldap://other.example.com/")), &[])
}

/// A request, as far as it is looked at: its number, its operation, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: u8,
    pub(crate) operation: u8,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

const BIND: u8 = 0x60;
pub(crate) const SEARCH: u8 = 0x63;
const EXTENDED: u8 = 0x77;

/// Reads one element; `None` at the end.
fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut length = vec![head[1]];
    if head[1] & 0x80 != 0 {
        length = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut length).ok()?;
    }
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let mut contents = vec![0; length];
    stream.read_exact(&mut contents).ok()?;
    Some((head[0], contents))
}

/// A server that answers as it is told, and tells what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: mpsc::Receiver<Request>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                while let Some((_, message)) = read(&mut stream) {
                    let [2, 1, id, operation, ..] = *message.as_slice() else { break };
                    let request = Request { id, operation, body: message[4..].to_vec() };
                    let bytes = answer(&request);
                    // Nobody may look any more.
                    if tell.send(request).is_err() || stream.write_all(&bytes).is_err() {
                        break;
                    }
                }
            }
        });
        Self { address, asked }
    }

    /// All that it was asked until now, but for the ends of connections.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.try_iter().filter(|request| request.operation != 0x42).collect()
    }
}

/// alice is there, and her password is "right".
fn sound(request: &Request) -> Vec<u8> {
    match request.operation {
        BIND => result(request.id, 0x61, if request.has("right") { 0 } else { 49 }),
        SEARCH if request.has("alice") => {
            [entry(request.id, ALICE, &[("uid", &["alice"])]), result(request.id, 0x65, 0)].concat()
        }
        _ => result(request.id, 0x65, 0),
    }
}

struct World {
    rig: Rig,
    _directory: tempfile::TempDir,
}

impl World {
    /// A realm `corp` of this directory, with alice in it.
    async fn of(server: &Server, kind: DirectoryKind, options: &[(&'static str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let options_of_site = Options { password_cost: PasswordCost::DangerNone, explain: true, ..Options::new(store) };
        let settings = Settings { passkey_login: true, ..Settings::new(RP_ID, ORIGIN) };
        let rig = Rig::with_options(Ok(settings), options_of_site);
        let port = server.address.port().to_string();
        let all = [("server1", "127.0.0.1"), ("port", &port), ("base_dn", BASE), ("user_attr", "uid")];
        let is_bound = options.iter().any(|(name, _)| *name == "bind_dn");
        let new = RealmChange {
            options: all.iter().chain(options).map(|(name, value)| (*name, (*value).to_owned())).collect(),
            bind_password: is_bound.then(|| "right of the reader".to_owned().into()),
            ..RealmChange::default()
        };
        rig.store().add_realm("corp", kind.name(), &new, &By::command_line(rig.now())).await.unwrap();
        let world = Self { rig, _directory: directory };
        world.add("alice");
        world
    }

    fn add(&self, name: &str) {
        let (name, by) = (format!("{name}@corp").parse().unwrap(), By::command_line(self.rig.now()));
        self.rig.store().add_user_of_directory(&name, Role::User, &UserChange::default(), &by).unwrap();
    }

    /// The cause by which a login is refused, `logged_in` if it is not.
    async fn log_in(&self, name: &str, password: &str) -> String {
        let body = json!({ "user": format!("{name}@corp"), "password": password });
        let (_, answer) = self.rig.browser().send("POST", "/api/login", Some(&body)).await;
        let found = answer.pointer("/report/cause").or_else(|| answer.get("state"));
        found.and_then(|found| found.as_str()).unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn sync(&self) -> Result<keyrig_relying_party::SyncReport, RealmError> {
        let fetched = self.rig.store().fetch_directory("corp").await?;
        let options = SyncOptions {
            scope: SyncScope::Both,
            remove_vanished: RemoveVanished { acl: true, entry: true, properties: true },
            enable_new: true,
            dry_run: false,
        };
        self.rig.store().sync_realm("corp", &fetched, options, &By::command_line(self.rig.now()))
    }
}

/// RFC 4513, section 5.1.2.
#[tokio::test]
async fn no_directory_hears_of_a_login_without_a_password() {
    // Such a one says yes to everybody who gives none.
    let server = Server::start(|request| match request.operation {
        BIND => result(request.id, 0x61, 0),
        _ => sound(request),
    });
    let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
    assert_eq!(world.log_in("alice", "").await, "wrong_password");
    assert_eq!(server.asked(), []);
    assert_eq!(world.log_in("alice", "right").await, "logged_in");
    assert!(!server.asked().is_empty());
}

#[tokio::test]
async fn a_directory_is_asked_for_one_entry_and_the_password_by_its_name_alone() {
    let server = Server::start(sound);
    let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
    assert_eq!(world.log_in("alice", "right").await, "logged_in");
    let [search, bind] = <[Request; 2]>::try_from(server.asked()).unwrap();
    assert_eq!((search.operation, bind.operation), (SEARCH, BIND));
    assert!(bind.has(ALICE) && bind.has("right"));
    assert_eq!(world.log_in("alice", "wrong").await, "wrong_password");
    server.asked();
    // Of whom there is none the password is asked for all the same, of a name that nobody has.
    world.add("bob");
    assert_eq!(world.log_in("bob", "right").await, "not_in_directory");
    let [_, bind] = <[Request; 2]>::try_from(server.asked()).unwrap();
    assert!(bind.operation == BIND && !bind.has("bob") && bind.has(BASE));
}

#[tokio::test]
async fn whatever_else_a_directory_answers_lets_nobody_in() {
    type Answer = fn(&Request) -> Vec<u8>;
    type Scripted = Box<dyn Fn(&Request) -> Vec<u8> + Send>;
    let two = |request: &Request| match request.operation {
        SEARCH => [
            entry(request.id, ALICE, &[("uid", &["alice"])]),
            entry(request.id, "cn=alice,ou=b,dc=example,dc=com", &[("uid", &["alice"])]),
            result(request.id, 0x65, 0),
        ]
        .concat(),
        _ => sound(request),
    };
    let instead_of = |operation: u8, answer: Answer| {
        move |request: &Request| if request.operation == operation { answer(request) } else { sound(request) }
    };
    let one_of = |attributes: &'static [(&'static str, &'static [&'static str])], dn: &'static str| {
        move |request: &Request| match request.operation {
            SEARCH => [entry(request.id, dn, attributes), result(request.id, 0x65, 0)].concat(),
            _ => sound(request),
        }
    };
    let cases: Vec<(&str, Scripted)> = vec![
        ("ambiguous_in_directory", Box::new(two)),
        // Another entry than was asked for, an anonymous one, and disabled ones.
        ("not_in_directory", Box::new(one_of(&[("uid", &["alice2"])], ALICE))),
        ("not_in_directory", Box::new(one_of(&[], ALICE))),
        ("not_in_directory", Box::new(one_of(&[("uid", &["alice"])], ""))),
        ("disabled_in_directory", Box::new(one_of(&[("uid", &["alice"]), ("userAccountControl", &["66050"])], ALICE))),
        ("disabled_in_directory", Box::new(one_of(&[("uid", &["alice"]), ("userAccountControl", &["?"])], ALICE))),
        // Results: operationsError, referral, noSuchObject, strongerAuthRequired, and what is none.
        ("directory_unavailable", Box::new(instead_of(SEARCH, |request| result(request.id, 0x65, 1)))),
        ("directory_unavailable", Box::new(instead_of(SEARCH, |request| result(request.id, 0x65, 10)))),
        ("directory_unavailable", Box::new(instead_of(SEARCH, |request| result(request.id, 0x65, 32)))),
        ("directory_unavailable", Box::new(instead_of(BIND, |request| result(request.id, 0x61, 10)))),
        ("directory_unavailable", Box::new(instead_of(BIND, |request| result(request.id, 0x61, 8)))),
        ("directory_unavailable", Box::new(instead_of(BIND, |request| result(request.id, 0x61, 14)))),
        ("directory_unavailable", Box::new(instead_of(BIND, |request| result(request.id + 1, 0x61, 0)))),
        ("directory_unavailable", Box::new(instead_of(BIND, |request| result(request.id, 0x65, 0)))),
        (
            "directory_unavailable",
            Box::new(instead_of(BIND, |request| result(0, 0x78, 52).repeat(usize::from(request.id)))),
        ),
        ("directory_unavailable", Box::new(instead_of(BIND, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()))),
        // Four gigabytes, announced.
        ("directory_unavailable", Box::new(instead_of(BIND, |_| vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]))),
        ("directory_unavailable", Box::new(instead_of(SEARCH, |_| vec![0x30, 0x80, 2, 1, 1]))),
        ("wrong_password", Box::new(instead_of(BIND, |request| result(request.id, 0x61, 48)))),
    ];
    for (number, (cause, answer)) in cases.into_iter().enumerate() {
        let server = Server::start(answer);
        let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
        assert_eq!(world.log_in("alice", "right").await, cause, "case {number}");
    }
}

/// The clock goes on by itself when there is nothing else to wait for.
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_silent_is_waited_for_no_longer_than_is_said() {
    let server = Server::start(|_| Vec::new());
    let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
    let began = tokio::time::Instant::now();
    assert_eq!(world.log_in("alice", "right").await, "directory_unavailable");
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    // Whose password is here is let in meanwhile.
    world.rig.new_user("root@pam").await;
}

#[tokio::test]
async fn the_second_server_is_asked_where_the_first_is_away() {
    let server = Server::start(sound);
    let world = World::of(&server, DirectoryKind::Ldap, &[("server1", "127.0.0.2"), ("server2", "127.0.0.1")]).await;
    assert_eq!(world.log_in("alice", "right").await, "logged_in");
    let none = World::of(&server, DirectoryKind::Ldap, &[("server1", "127.0.0.2")]).await;
    assert_eq!(none.log_in("alice", "right").await, "directory_unavailable");
}

/// RFC 4511, section 4.14: what comes in clear text after the answer to StartTLS is nobody's word.
#[cfg(feature = "tls")]
#[tokio::test]
async fn what_is_said_between_starttls_and_tls_counts_as_an_attack() {
    let answers: [fn(&Request) -> Vec<u8>; 3] = [
        // Refused, and refused in other words.
        |request| result(request.id, 0x78, 2),
        |request| result(request.id, 0x78, 53),
        // Success, with the answer to a bind that is still to come.
        |request| [result(request.id, 0x78, 0), result(request.id + 1, 0x61, 0)].concat(),
    ];
    for answer in answers {
        let server = Server::start(answer);
        let options = [("mode", "ldap+starttls"), ("verify", "0")];
        let world = World::of(&server, DirectoryKind::Ldap, &options).await;
        assert_eq!(world.log_in("alice", "right").await, "directory_unavailable");
        let asked: Vec<_> = server.asked().iter().map(|request| request.operation).collect();
        assert_eq!(asked, [EXTENDED]);
    }
}

/// Active Directory takes `NAME@DOMAIN`; what would make another name of it is not sent.
#[tokio::test]
async fn users_of_active_directory_bind_as_themselves_where_nobody_searches() {
    let server = Server::start(sound);
    let world = World::of(&server, DirectoryKind::Ad, &[("domain", "corp.example.com")]).await;
    assert_eq!(world.log_in("alice", "right").await, "logged_in");
    let [bind, search] = <[Request; 2]>::try_from(server.asked()).unwrap();
    assert_eq!((bind.operation, search.operation), (BIND, SEARCH));
    assert!(bind.has("alice@corp.example.com"));
    assert_eq!(world.log_in("alice", "wrong").await, "wrong_password");
    server.asked();
    for name in ["bob@other", r"CORP\bob", "cn=bob,dc=example"] {
        world.add(name);
        assert_eq!(world.log_in(name, "right").await, "not_in_directory", "{name}");
    }
    assert_eq!(server.asked(), []);
    // Nobody searches a domain who is nobody.
    assert!(world.sync().await.unwrap_err().to_string().contains("bind_dn"));
}

/// MS-ADTS, section 3.1.1.3.1.3.3: of many values Active Directory gives some at once.
#[tokio::test]
async fn groups_whose_members_come_in_parts_are_put_together() {
    let server = Server::start(|request| {
        let id = request.id;
        let entries = match request.operation {
            BIND => return result(id, 0x61, 0),
            SEARCH if request.has("member;range=2-*") => {
                entry(id, "cn=all,dc=example,dc=com", &[("member;range=2-*", &["CN=carol,DC=example,DC=com"])])
            }
            SEARCH if request.has("groupOfNames") => {
                let first = ["CN=alice,DC=example,DC=com", "CN=bob,DC=example,DC=com"];
                entry(id, "cn=all,dc=example,dc=com", &[("member", &[]), ("member;range=0-1", &first)])
            }
            _ => ["alice", "bob", "carol"]
                .iter()
                .flat_map(|name| entry(id, &format!("cn={name},{BASE}"), &[("uid", &[*name])]))
                .collect(),
        };
        [entries, result(id, 0x65, 0)].concat()
    });
    let options = [("domain", "corp.example.com"), ("bind_dn", "reader@corp.example.com")];
    let world = World::of(&server, DirectoryKind::Ad, &options).await;
    world.sync().await.unwrap();
    let groups = world.rig.store().groups().unwrap();
    let members: Vec<_> = groups.iter().flat_map(|group| &group.members).map(ToString::to_string).collect();
    assert_eq!(members, ["alice@corp", "bob@corp", "carol@corp"]);
    assert_eq!((groups[0].name.as_str(), groups[0].realm.as_deref()), ("all-corp", Some("corp")));
}

/// RFC 2696: a page that has nothing and is not the last, again and again.
#[tokio::test]
async fn a_search_without_an_end_has_one() {
    let server = Server::start(|request| {
        let value = element(0x30, &[&[2, 1, 0][..], &element(4, b"more")].concat());
        let control = [element(4, b"1.2.840.113556.1.4.319"), element(4, &value)].concat();
        let controls = element(0xa0, &element(0x30, &control));
        message(request.id, &element(0x65, &[10, 1, 0, 4, 0, 4, 0]), &controls)
    });
    let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
    assert!(matches!(world.sync().await, Err(RealmError::Unavailable { .. })));
    assert_eq!(server.asked().len(), 1);
}

/// A passkey would let in whom the directory has thrown out since the last sync.
#[tokio::test]
async fn a_passkey_alone_does_not_stand_for_the_directory() {
    let server = Server::start(sound);
    let world = World::of(&server, DirectoryKind::Ldap, &[]).await;
    let mut alice = world.rig.browser();
    alice.post("/api/login", json!({ "user": "alice@corp", "password": "right" })).await;
    alice.post("/api/session/confirm", json!({ "password": "right" })).await;
    let mut key = Key::verifying_user();
    let begun = alice.post("/api/factors/webauthn/begin", json!({ "passkey": true })).await;
    let credential = key.create(&begun).await.unwrap();
    alice.post("/api/factors/webauthn", registration(&begun, "passkey", &credential)).await;
    let mut browser = world.rig.browser();
    let begun = browser.post("/api/login/passkey/begin", json!({})).await;
    let credential = key.get(&begun).await.unwrap();
    let body = json!({ "login": begun["login"], "challenge": begun["challenge"], "credential": credential });
    let refused = browser.refused("POST", "/api/login/passkey", Some(body)).await;
    assert_eq!(refused["report"]["cause"], "passkey_alone");
}
