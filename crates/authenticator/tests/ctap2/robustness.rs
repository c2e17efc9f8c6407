//! Whatever is sent, a status comes back, nothing panics, and what is refused changes nothing (the driver asserts that).

use proptest::prelude::*;
use sk_cbor::Value;

use crate::support::codec::{
    CLIENT_PIN, GET_ASSERTION, GET_INFO, GET_NEXT_ASSERTION, MAKE_CREDENTIAL, Parameters, RESET, SELECTION, array,
    boolean, bytes, int, map, status, text,
};
use crate::support::platform::{Platform, permission};
use crate::support::{Driver, User};
use crate::{config, credential_management, large_blobs};

const SITE: &str = "example.com";
const PIN: &str = "1357";
const CREDENTIAL_MANAGEMENT: u8 = 0x0A;
const LARGE_BLOBS: u8 = 0x0C;
const CONFIG: u8 = 0x0D;

/// CBOR that can be wrong: maps keep what order and repetition they are given.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Value),
    Array(Vec<Node>),
    Map(Entries),
}

type Entries = Vec<(Value, Node)>;

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        if let Some(elements) = value.clone().extract_array() {
            return Self::Array(elements.into_iter().map(Self::from).collect());
        }
        match value.clone().extract_map() {
            Some(entries) => Self::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect()),
            None => Self::Leaf(value),
        }
    }
}

impl Node {
    fn write(&self, out: &mut Vec<u8>) {
        // Fewer than 24 elements: the length is in the initial byte (RFC 8949 §3).
        let head = |major: u8, length: usize| major << 5 | u8::try_from(length).ok().filter(|n| *n < 24).unwrap();
        let leaf = |value: &Value, out: &mut Vec<u8>| sk_cbor::writer::write(value.clone(), out).unwrap();
        match self {
            Self::Leaf(value) => leaf(value, out),
            Self::Array(elements) => {
                out.push(head(4, elements.len()));
                elements.iter().for_each(|element| element.write(out));
            }
            Self::Map(entries) => {
                out.push(head(5, entries.len()));
                for (key, value) in entries {
                    leaf(key, out);
                    value.write(out);
                }
            }
        }
    }

    /// Every version of this in which one map, here or further in, is another.
    fn with_each_map(&self, change: &dyn Fn(&Entries) -> Vec<Entries>) -> Vec<Self> {
        let mut versions = Vec::new();
        match self {
            Self::Leaf(_) => {}
            Self::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    for version in element.with_each_map(change) {
                        let mut elements = elements.clone();
                        elements[index] = version;
                        versions.push(Self::Array(elements));
                    }
                }
            }
            Self::Map(entries) => {
                versions.extend(change(entries).into_iter().map(Self::Map));
                for (index, (_, value)) in entries.iter().enumerate() {
                    for version in value.with_each_map(change) {
                        let mut entries = entries.clone();
                        entries[index].1 = version;
                        versions.push(Self::Map(entries));
                    }
                }
            }
        }
        versions
    }
}

/// Requests that use every member that is known.
fn full_requests(key: &mut Driver) -> [(u8, Value); 2] {
    let id = key.create(&Parameters::discoverable(SITE, "root")).id;
    let descriptor =
        |id: &[u8]| map([("id", bytes(id)), ("type", text("public-key")), ("transports", array([text("usb")]))]);
    let make = Parameters::make_credential(SITE, "guest")
        .with(5, array([descriptor(b"unknown")]))
        .with(6, map([("credProtect", int(1))]))
        .with(7, map([("rk", boolean(true)), ("up", boolean(true)), ("uv", boolean(false))]))
        .with(11, array([text("packed")]));
    let get = Parameters::get_assertion(SITE)
        .with(3, array([descriptor(b"unknown"), descriptor(&id)]))
        .with(4, map([("appid", text("x"))]))
        .with(5, map([("up", boolean(true)), ("uv", boolean(false))]));
    [(MAKE_CREDENTIAL, make.value()), (GET_ASSERTION, get.value())]
}

/// Valid requests of the other commands that have parameters, authenticated where they are to be.
fn other_requests(key: &mut Driver) -> Vec<(u8, Value)> {
    let created = key.create(&Parameters::discoverable(SITE, "one"));
    key.set_pin(PIN);
    let wanted = permission::CM | permission::LBW | permission::ACFG;
    let token = key.token(2, PIN, wanted, None).unwrap();
    let user = credential_management::user("one", "Uno", "Numero Uno");
    let update = credential_management::with_user(&created.id, user);
    let blobs = large_blobs::set(0, &large_blobs::array(40), Some(40));
    let settings = config::parameters([(1, int(4)), (2, array([text(SITE)])), (3, boolean(false))]);
    let platform = Platform::agree(key, 2);
    vec![
        (CREDENTIAL_MANAGEMENT, credential_management::request(0x07, Some(update), Some(&token)).value()),
        (LARGE_BLOBS, large_blobs::written_by(blobs, &token).value()),
        (CONFIG, config::request(0x03, settings, Some(&token)).value()),
        (CLIENT_PIN, platform.change_pin(PIN, b"24680").value()),
        (CLIENT_PIN, platform.get_token(PIN, permission::MC, Some(SITE)).value()),
    ]
}

/// Sends every version of the requests of every command and hands the status to `judge` with what was sent.
fn each(change: impl Fn(&Entries) -> Vec<Entries>, judge: impl Fn(u8, &Node)) {
    let (mut one, mut another) = (Driver::new(), Driver::new());
    let ceremonies = full_requests(&mut one).to_vec();
    each_of(&mut one, ceremonies, &change, &judge);
    let others = other_requests(&mut another);
    each_of(&mut another, others, &change, &judge);
}

fn each_of(
    key: &mut Driver,
    requests: Vec<(u8, Value)>,
    change: &impl Fn(&Entries) -> Vec<Entries>,
    judge: &impl Fn(u8, &Node),
) {
    for (command, request) in requests {
        let request = Node::from(request);
        let versions = request.with_each_map(change);
        assert!(versions.len() >= 4);
        for version in versions {
            let mut message = vec![command];
            version.write(&mut message);
            judge(key.status(&message), &version);
        }
    }
}

#[test]
fn the_full_requests_succeed_as_they_are() {
    let mut key = Driver::new();
    for (command, request) in full_requests(&mut key) {
        let mut message = vec![command];
        Node::from(request).write(&mut message);
        assert_eq!(key.status(&message), status::OK);
    }
}

#[test]
fn a_dropped_entry_is_missed_or_was_optional() {
    each(
        |entries| {
            (0..entries.len())
                .map(|index| {
                    let mut entries = entries.clone();
                    entries.remove(index);
                    entries
                })
                .collect()
        },
        |code, sent| {
            let statuses = [
                status::OK,
                status::MISSING_PARAMETER,
                // pinUvAuthParam is what is missing, or what it was made over is another.
                status::PUAT_REQUIRED,
                status::PIN_AUTH_INVALID,
                // A COSE_Key that is none any more.
                status::INVALID_PARAMETER,
            ];
            assert!(statuses.contains(&code), "0x{code:02X}: {sent:?}");
        },
    );
}

#[test]
fn a_duplicated_entry_is_invalid_cbor() {
    each(
        |entries| {
            (0..entries.len())
                .map(|index| {
                    let mut entries = entries.clone();
                    entries.insert(index, entries[index].clone());
                    entries
                })
                .collect()
        },
        |code, sent| assert_eq!(code, status::INVALID_CBOR, "{sent:?}"),
    );
}

#[test]
fn entries_in_another_order_are_invalid_cbor() {
    each(
        |entries| {
            (1..entries.len())
                .map(|index| {
                    let mut entries = entries.clone();
                    entries.swap(index - 1, index);
                    entries
                })
                .collect()
        },
        |code, sent| assert_eq!(code, status::INVALID_CBOR, "{sent:?}"),
    );
}

/// A value is replaced by one of every other type. What is in `extensions` belongs to extensions that are not known.
#[test]
fn a_retyped_entry_is_an_unexpected_type() {
    let others = || [int(7), int(-7), bytes(b"x"), text("x"), array([]), map([]), boolean(true), Value::null_value()];
    let kind = |node: &Node| {
        let mut encoded = Vec::new();
        node.write(&mut encoded);
        // Major type; booleans and null share one.
        if encoded[0] == 0xF6 { 8 } else { encoded[0] >> 5 }
    };
    let is_algorithm = |key: &Value| *key == text("alg");
    let of_an_extension = |key: &Value| *key == text("credProtect") || *key == text("appid");
    each(
        |entries| {
            let mut versions = Vec::new();
            for (index, (key, value)) in entries.iter().enumerate().filter(|(_, (key, _))| !of_an_extension(key)) {
                for other in others().map(Node::from) {
                    // An algorithm is an integer of either sign, and so is what a COSE_Key has.
                    let of_either_sign = is_algorithm(key) || entries.iter().any(|(key, _)| *key == int(-1));
                    let both_integers = kind(&other) < 2 && kind(value) < 2;
                    if kind(&other) == kind(value) || of_either_sign && both_integers {
                        continue;
                    }
                    let mut entries = entries.clone();
                    entries[index].1 = other;
                    versions.push(entries);
                }
            }
            versions
        },
        |code, sent| assert_eq!(code, status::CBOR_UNEXPECTED_TYPE, "{sent:?}"),
    );
}

#[test]
fn every_truncation_of_a_valid_request_is_invalid_cbor() {
    let mut key = Driver::new();
    for (command, request) in full_requests(&mut key) {
        let mut message = vec![command];
        Node::from(request).write(&mut message);
        for length in 1..message.len() {
            assert_eq!(key.status(&message[..length]), status::INVALID_CBOR, "{length} bytes");
        }
    }
}

/// Every bit of every byte: the driver asserts that an answer comes and that a refusal changes nothing. The user refuses, so
/// that thousands of altered requests cost no signature.
#[test]
fn every_flipped_bit_of_a_valid_request_is_answered() {
    let mut key = Driver::new();
    for (command, request) in full_requests(&mut key) {
        let mut message = vec![command];
        Node::from(request).write(&mut message);
        key.user = User::Denies;
        for index in 0..message.len() {
            for bit in 0..8 {
                message[index] ^= 1 << bit;
                key.send(&message);
                message[index] ^= 1 << bit;
            }
        }
        key.user = User::Touches;
        assert_eq!(key.status(&message), status::OK, "the key still works");
    }
}

/// What a token has authorized is done, and nothing else: no bit of it can be another.
#[test]
fn no_flipped_bit_of_an_authorized_request_changes_anything() {
    let mut key = Driver::new();
    let created = key.create(&Parameters::discoverable(SITE, "one"));
    key.set_pin(PIN);
    let wanted = permission::CM | permission::LBW | permission::ACFG;
    let token = key.token(2, PIN, wanted, None).unwrap();
    let user = credential_management::user("one", "Uno", "Numero Uno");
    let update = credential_management::with_user(&created.id, user);
    let blobs = large_blobs::array(40);
    let settings = config::parameters([(1, int(4)), (2, array([text(SITE)]))]);
    // Each of them can be repeated, and leaves the disk as it is.
    for message in [
        credential_management::request(0x07, Some(update), Some(&token)).message(0x0A),
        large_blobs::written_by(large_blobs::set(0, &blobs, Some(40)), &token).message(0x0C),
        config::request(0x03, settings, Some(&token)).message(0x0D),
    ] {
        assert_eq!(key.send(&message), [status::OK]);
        let disk = key.disk.clone();
        key.user = User::Denies;
        let mut altered = message.clone();
        for index in 0..message.len() {
            for bit in 0..8 {
                altered[index] ^= 1 << bit;
                key.send(&altered);
                assert_eq!(key.disk, disk, "byte {index}, bit {bit} of {message:02x?}");
                altered[index] ^= 1 << bit;
            }
        }
        assert_eq!(key.send(&message), [status::OK], "the key still works");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_messages_are_answered(
        messages in proptest::collection::vec(
            (prop_oneof![
                Just(MAKE_CREDENTIAL), Just(GET_ASSERTION), Just(GET_INFO), Just(GET_NEXT_ASSERTION), Just(SELECTION),
                Just(RESET), any::<u8>(),
            ], proptest::collection::vec(any::<u8>(), 0..80)),
            1..8,
        ),
        touched in any::<bool>(),
    ) {
        let mut key = Driver::new();
        key.user = if touched { User::Touches } else { User::StaysAway };
        for (command, parameters) in messages {
            key.send(&[vec![command], parameters].concat());
        }
    }

    /// A session of valid commands in any order, each with any user and any fate of its commits.
    #[test]
    fn sessions_keep_memory_and_disk_together(steps in proptest::collection::vec((0..7_u8, 0..4_u8, any::<bool>()), 1..12)) {
        let mut key = Driver::new();
        for (command, user, fails) in steps {
            key.user = [User::Touches, User::Denies, User::Cancels, User::StaysAway][usize::from(user)];
            key.fate = if fails { crate::support::Fate::FailsAt(0) } else { crate::support::Fate::Durable };
            match command {
                0 => drop(key.send(&Parameters::discoverable(SITE, "one").create())),
                1 => drop(key.send(&Parameters::discoverable(SITE, "two").create())),
                2 => drop(key.send(&Parameters::make_credential(SITE, "one").create())),
                3 => drop(key.send(&Parameters::get_assertion(SITE).get())),
                4 => drop(key.send(&[GET_NEXT_ASSERTION])),
                5 => drop(key.send(&[RESET])),
                _ => key.power_up(),
            }
        }
        prop_assert!(key.authenticator.store().discoverable_count() <= 2);
    }
}
