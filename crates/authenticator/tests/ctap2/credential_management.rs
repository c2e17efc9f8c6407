//! authenticatorCredentialManagement (CTAP 2.3 §6.8) and its prototype.

use core::time::Duration;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sk_cbor::Value;

use crate::support::codec::{
    Created, GET_INFO, Parameters, RESET, body, boolean, bytes, descriptor, encode, fields, int, map, status, text,
};
use crate::support::platform::{Token, permission};
use crate::support::{Driver, Event, Fate, altered, built_in, other_channels};

const FINAL: u8 = 0x0A;
const PROTOTYPE: u8 = 0x41;

const GET_CREDS_METADATA: u8 = 0x01;
const ENUMERATE_RPS_BEGIN: u8 = 0x02;
const ENUMERATE_RPS_GET_NEXT_RP: u8 = 0x03;
const ENUMERATE_CREDENTIALS_BEGIN: u8 = 0x04;
const ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL: u8 = 0x05;
const DELETE_CREDENTIAL: u8 = 0x06;
const UPDATE_USER_INFORMATION: u8 = 0x07;

const PIN: &str = "1234";
const SITE: &str = "example.com";
const OTHER_SITE: &str = "example.org";

fn hash(site: &str) -> Vec<u8> {
    Sha256::digest(site).to_vec()
}

fn parameters(entries: impl IntoIterator<Item = (i64, Value)>) -> Value {
    Value::map(entries.into_iter().map(|(key, value)| (int(key), value)).collect())
}

fn of_site(site: &str) -> Value {
    parameters([(1, bytes(&hash(site)))])
}

pub(crate) fn of_credential(id: &[u8]) -> Value {
    parameters([(2, descriptor(id))])
}

pub(crate) fn with_user(id: &[u8], user: Value) -> Value {
    parameters([(2, descriptor(id)), (3, user)])
}

pub(crate) fn user(id: &str, name: &str, display_name: &str) -> Value {
    map([("id", bytes(id.as_bytes())), ("name", text(name)), ("displayName", text(display_name))])
}

/// A request, and what `pinUvAuthParam` is over: the subcommand and, but for the first two, its parameters.
pub(crate) fn request(subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> Parameters {
    let mut message = vec![subcommand];
    let mut request = Parameters(BTreeMap::from([(1, int(subcommand.into()))]));
    if let Some(parameters) = parameters {
        if subcommand > ENUMERATE_RPS_BEGIN {
            message.extend(encode(parameters.clone()));
        }
        request = request.with(2, parameters);
    }
    match token {
        Some(token) => request.with(3, int(token.protocol)).with(4, bytes(&token.authenticate(&message))),
        None => request,
    }
}

impl Driver {
    fn manage(&mut self, subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> Vec<u8> {
        self.send(&request(subcommand, parameters, token).message(FINAL))
    }

    fn managed(&mut self, subcommand: u8, parameters: Option<Value>, token: Option<&Token>) -> BTreeMap<i64, Value> {
        body(&self.manage(subcommand, parameters, token))
    }

    fn cm(&mut self) -> Token {
        self.token(2, PIN, permission::CM, None).unwrap()
    }

    /// (existing, remaining)
    fn metadata(&mut self) -> (u64, u64) {
        let token = self.cm();
        let body = self.managed(GET_CREDS_METADATA, None, Some(&token));
        assert_eq!(body.keys().collect::<Vec<_>>(), [&1, &2]);
        (body[&1].clone().extract_unsigned().unwrap(), body[&2].clone().extract_unsigned().unwrap())
    }

    fn delete(&mut self, created: &Created) {
        let token = self.cm();
        assert_eq!(self.manage(DELETE_CREDENTIAL, Some(of_credential(&created.id)), Some(&token)), [status::OK]);
    }

    /// A discoverable credential on a key that has a PIN.
    fn discoverable(&mut self, site: &str, user: &str) -> Created {
        let token = self.token(2, PIN, permission::MC, Some(site)).unwrap();
        self.create(&Parameters::discoverable(site, user).created_by(&token))
    }
}

/// A key with a PIN and three discoverable credentials of two sites, the oldest first.
fn filled() -> (Driver, [Created; 3]) {
    filled_of("keyrig")
}

fn filled_of(profile: &str) -> (Driver, [Created; 3]) {
    let mut key = Driver::of(built_in(profile));
    key.set_pin(PIN);
    let made = [(SITE, "one"), (OTHER_SITE, "other"), (SITE, "two")].map(|(site, user)| key.discoverable(site, user));
    // It lives in its id and is no business of this command.
    key.create(&Parameters::make_credential(SITE, "three"));
    (key, made)
}

fn id(body: &BTreeMap<i64, Value>) -> Vec<u8> {
    let mut credential = fields(&body[&7]);
    assert_eq!(credential.remove("type").unwrap(), text("public-key"));
    credential.remove("id").unwrap().extract_byte_string().unwrap()
}

#[test]
fn metadata_counts_what_is_stored_and_what_still_fits() {
    let (mut key, _) = filled();
    assert_eq!(key.metadata(), (3, 997));
    let mut small = Driver::of(altered(&[("discoverable_credentials = 1000", "discoverable_credentials = 1")]));
    small.set_pin(PIN);
    assert_eq!(small.metadata(), (0, 1));
    small.discoverable(SITE, "one");
    assert_eq!(small.metadata(), (1, 0));
}

#[test]
fn relying_parties_are_enumerated_once_each() {
    let (mut key, _) = filled();
    for protocol in [1, 2] {
        let token = key.token(protocol, PIN, permission::CM, None).unwrap();
        let first = key.managed(ENUMERATE_RPS_BEGIN, None, Some(&token));
        assert_eq!(first.keys().collect::<Vec<_>>(), [&3, &4, &5]);
        assert_eq!(first[&5], int(2));
        let second = key.managed(ENUMERATE_RPS_GET_NEXT_RP, None, None);
        assert_eq!(second.keys().collect::<Vec<_>>(), [&3, &4], "the total is told once");
        let mut found: Vec<_> = [first, second]
            .iter()
            .map(|body| {
                let id = fields(&body[&3])["id"].clone().extract_text_string().unwrap();
                assert_eq!(body[&4], bytes(&hash(&id)));
                id
            })
            .collect();
        found.sort();
        assert_eq!(found, [SITE, OTHER_SITE]);
        assert_eq!(key.manage(ENUMERATE_RPS_GET_NEXT_RP, None, None), [status::NOT_ALLOWED]);
    }
}

#[test]
fn credentials_of_a_relying_party_are_enumerated_with_all_that_is_known_of_them() {
    let (mut key, made) = filled();
    let token = key.cm();
    let first = key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token));
    let second = key.managed(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None);
    assert_eq!(first[&9], int(2));
    assert!(!second.contains_key(&9), "the total is told once");
    for (found, (expected, name)) in [(&first, (&made[2], "two")), (&second, (&made[0], "one"))] {
        assert_eq!(fields(&found[&6]), fields(&user(name, name, "A User")));
        assert_eq!(id(found), expected.id);
        assert_eq!(found[&8], expected.public_key);
    }
    assert_eq!(key.manage(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None), [status::NOT_ALLOWED]);
    let only = key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(OTHER_SITE)), Some(&token));
    assert_eq!((id(&only), &only[&9]), (made[1].id.clone(), &int(1)));
    assert_eq!(key.manage(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None), [status::NOT_ALLOWED]);
    assert_eq!(
        key.manage(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site("example.net")), Some(&token)),
        [status::NO_CREDENTIALS]
    );
}

/// §6.8.4: credProtect, largeBlobKey and thirdPartyPayment as they were at creation.
#[test]
fn what_extensions_left_with_a_credential_is_told() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    for (level, payment, large_blob) in [(1, false, false), (2, true, false), (3, false, true)] {
        let mut extensions = vec![(text("credProtect"), int(level)), (text("thirdPartyPayment"), boolean(payment))];
        if large_blob {
            extensions.push((text("largeBlobKey"), boolean(true)));
        }
        let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
        let request = Parameters::discoverable(SITE, "root").with(6, Value::map(extensions)).created_by(&token);
        let created = key.create(&request);
        assert_eq!(created.large_blob_key.is_some(), large_blob);
        let token = key.cm();
        let found = key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token));
        assert_eq!((&found[&10], &found[&12]), (&int(level), &boolean(payment)));
        assert_eq!(found.get(&11).cloned(), created.large_blob_key.as_deref().map(bytes));
        // Updating the user leaves them as they are.
        let parameters = with_user(&created.id, user("root", "Root", "Root"));
        assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(parameters), Some(&token)), [status::OK]);
        let again = key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token));
        assert_eq!((&again[&10], again.get(&11), &again[&12]), (&found[&10], found.get(&11), &found[&12]));
    }
    // A profile without thirdPartyPayment has no such member.
    let mut yubikey = Driver::of(built_in("yubikey-5.7"));
    yubikey.set_pin(PIN);
    yubikey.discoverable(SITE, "root");
    let token = yubikey.cm();
    let found = yubikey.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token));
    assert_eq!(found.keys().collect::<Vec<_>>(), [&6, &7, &8, &9, &10]);
}

#[test]
fn an_empty_key_has_no_credentials_to_enumerate() {
    let mut key = Driver::new();
    key.set_pin(PIN);
    let token = key.cm();
    assert_eq!(key.manage(ENUMERATE_RPS_BEGIN, None, Some(&token)), [status::NO_CREDENTIALS]);
    assert_eq!(key.manage(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token)), [status::NO_CREDENTIALS]);
    assert_eq!(key.metadata(), (0, 1000));
}

/// The two enumerations: how each begins and goes on.
fn enumerations() -> [(u8, u8, Option<Value>); 2] {
    [
        (ENUMERATE_RPS_BEGIN, ENUMERATE_RPS_GET_NEXT_RP, None),
        (ENUMERATE_CREDENTIALS_BEGIN, ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, Some(of_site(SITE))),
    ]
}

type Interruption = fn(&mut Driver);

/// CTAP 2.3 §6, stateful commands: 30 s, and not beyond another command or a power-up. Whether another subcommand of credential
/// management is another command is the profile's: recorded with YubiKeys, it is.
#[test]
fn an_enumeration_dies_by_time_by_power_and_by_any_other_command() {
    let commands: [(&str, Interruption); 5] = [
        ("30 s", |key| key.wait(Duration::from_secs(30) + Duration::from_nanos(1))),
        ("power", |key| key.power_up()),
        ("getInfo", |key| drop(key.send(&[GET_INFO]))),
        ("a message that is none", |key| drop(key.send(&[0xFF]))),
        ("U2F", |key| drop(key.send_u2f(&[0, 3, 0, 0]))),
    ];
    let subcommands: [(&str, Interruption); 3] = [
        ("the other enumeration", |key| {
            for (_, next, _) in enumerations() {
                key.manage(next, None, None);
            }
        }),
        ("getCredsMetadata, refused", |key| drop(key.manage(GET_CREDS_METADATA, None, None))),
        ("none that there is", |key| drop(key.manage(0x80, None, None))),
    ];
    for (profile, deaths) in [
        ("keyrig", commands.to_vec()),
        ("yubikey-5.7", [&commands[..], &subcommands].concat()),
        ("ctap-2.1", [&commands[..], &subcommands].concat()),
    ] {
        for (begin, next, parameters) in enumerations() {
            let (mut key, _) = filled_of(profile);
            assert_eq!(key.manage(next, None, None), [status::NOT_ALLOWED], "nothing was begun");
            for (name, interrupt) in &deaths {
                let token = key.cm();
                assert_eq!(key.manage(begin, parameters.clone(), Some(&token))[0], status::OK, "{name}");
                interrupt(&mut key);
                assert_eq!(key.manage(next, None, None), [status::NOT_ALLOWED], "{profile}: {name}");
            }
            let token = key.cm();
            assert_eq!(key.manage(begin, parameters, Some(&token))[0], status::OK);
            key.wait(Duration::from_secs(30));
            assert_eq!(key.manage(next, None, None)[0], status::OK, "30 s are not over");
        }
    }
}

/// Hosts walk through the relying parties and, of each, through its credentials, before they ask for the next.
#[test]
fn a_key_with_two_cursors_is_enumerated_interleaved() {
    let (mut key, made) = filled();
    let token = key.cm();
    let mut found = Vec::new();
    let mut relying_party = key.managed(ENUMERATE_RPS_BEGIN, None, Some(&token));
    loop {
        let hash = relying_party[&4].clone();
        let begin = parameters([(1, hash)]);
        let first = key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(begin), Some(&token));
        let count = first[&9].clone().extract_unsigned().unwrap();
        found.push(id(&first));
        for _ in 1..count {
            assert_eq!(key.manage(GET_CREDS_METADATA, None, Some(&token))[0], status::OK, "nor does this end either");
            found.push(id(&key.managed(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None)));
        }
        assert_eq!(key.manage(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None), [status::NOT_ALLOWED]);
        if found.len() == made.len() {
            break;
        }
        relying_party = key.managed(ENUMERATE_RPS_GET_NEXT_RP, None, None);
    }
    found.sort();
    let mut expected = made.map(|created| created.id);
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(key.manage(ENUMERATE_RPS_GET_NEXT_RP, None, None), [status::NOT_ALLOWED]);
    // One that is refused begins nothing, and ends the one of its kind.
    assert_eq!(key.manage(ENUMERATE_RPS_BEGIN, None, Some(&token))[0], status::OK);
    assert_eq!(key.manage(ENUMERATE_RPS_BEGIN, None, None), [status::PUAT_REQUIRED]);
    assert_eq!(key.manage(ENUMERATE_RPS_GET_NEXT_RP, None, None), [status::NOT_ALLOWED]);
}

/// Names of sites and users are for the program that has the token.
#[test]
fn an_enumeration_belongs_to_the_channel_that_began_it() {
    for profile in ["keyrig", "yubikey-5.7"] {
        for other in other_channels() {
            for (begin, next, parameters) in enumerations() {
                let (mut key, _) = filled_of(profile);
                let token = key.cm();
                assert_eq!(key.manage(begin, parameters, Some(&token))[0], status::OK);
                key.elsewhere(other, |key| {
                    for (_, next, _) in enumerations() {
                        assert_eq!(key.manage(next, None, None), [status::NOT_ALLOWED], "{profile}, {other:?}");
                    }
                    key.send(&[GET_INFO]);
                    key.send_u2f(&[0, 3, 0, 0]);
                });
                assert_eq!(key.manage(next, None, None)[0], status::OK, "{profile}, {other:?}");
            }
        }
    }
}

/// By any channel: what goes through something ends when that changes, and not when something else does.
#[test]
fn what_changes_what_is_enumerated_ends_the_enumeration() {
    let [other, _] = other_channels();
    type Change = fn(&mut Driver, &[Created; 3]);
    let ended = [status::NOT_ALLOWED, status::NOT_ALLOWED];
    let changes: [(&str, Change, [u8; 2]); 6] = [
        ("another account", |key, _| drop(key.discoverable(SITE, "four")), [status::OK, status::NOT_ALLOWED]),
        ("another site", |key, _| drop(key.discoverable("example.net", "four")), [status::NOT_ALLOWED, status::OK]),
        ("another account elsewhere", |key, _| drop(key.discoverable(OTHER_SITE, "four")), [status::OK; 2]),
        ("the last account elsewhere deleted", |key, made| key.delete(&made[1]), [status::NOT_ALLOWED, status::OK]),
        ("one of two accounts deleted", |key, made| key.delete(&made[0]), [status::OK, status::NOT_ALLOWED]),
        (
            "a user renamed",
            |key, made| {
                let token = key.cm();
                let user = with_user(&made[0].id, user("one", "a", "b"));
                assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(user), Some(&token)), [status::OK]);
            },
            [status::OK, status::NOT_ALLOWED],
        ),
    ];
    for (name, change, expected) in changes {
        for ((begin, next, parameters), expected) in enumerations().into_iter().zip(expected) {
            let (mut key, made) = filled();
            let token = key.cm();
            assert_eq!(key.manage(begin, parameters, Some(&token))[0], status::OK);
            key.elsewhere(other, |key| change(key, &made));
            assert_eq!(key.manage(next, None, None)[0], expected, "{name}: {next}");
        }
    }
    for ((begin, next, parameters), expected) in enumerations().into_iter().zip(ended) {
        let (mut key, _) = filled();
        key.power_up();
        let token = key.cm();
        assert_eq!(key.manage(begin, parameters, Some(&token))[0], status::OK);
        assert_eq!(key.elsewhere(other, |key| key.status(&[RESET])), status::OK);
        assert_eq!(key.manage(next, None, None)[0], expected, "a reset: {next}");
    }
}

#[test]
fn a_deleted_credential_is_gone_and_the_others_are_not() {
    let (mut key, made) = filled();
    let token = key.cm();
    assert_eq!(key.manage(DELETE_CREDENTIAL, Some(of_credential(&made[0].id)), Some(&token)), [status::OK]);
    assert_eq!(key.seen, [Event::Commit], "no touch");
    assert_eq!(key.manage(DELETE_CREDENTIAL, Some(of_credential(&made[0].id)), Some(&token)), [status::NO_CREDENTIALS]);
    let mut key = key.restarted();
    assert_eq!(key.metadata(), (2, 998));
    assert_eq!(key.status(&Parameters::allow(SITE, &[&made[0].id]).get()), status::NO_CREDENTIALS);
    key.assertion(&Parameters::allow(SITE, &[&made[2].id]), &made[2].public_key);
    key.assertion(&Parameters::get_assertion(OTHER_SITE), &made[1].public_key);
    let token = key.cm();
    assert_eq!(key.manage(DELETE_CREDENTIAL, Some(of_credential(&made[1].id)), Some(&token)), [status::OK]);
    let rps = key.managed(ENUMERATE_RPS_BEGIN, None, Some(&token));
    assert_eq!(rps[&5], int(1), "a relying party without credentials is none");
}

/// §6.8.6: what is absent or empty is removed; the handle stays what it is.
#[test]
fn user_information_is_replaced_and_names_that_are_absent_or_empty_removed() {
    let (mut key, made) = filled();
    let token = key.cm();
    for (new, expected) in [
        (user("one", "Uno", "Numero Uno"), user("one", "Uno", "Numero Uno")),
        (user("one", "Uno", ""), map([("id", bytes(b"one")), ("name", text("Uno"))])),
        (
            map([("id", bytes(b"one")), ("displayName", text("Number One"))]),
            map([("id", bytes(b"one")), ("displayName", text("Number One"))]),
        ),
        (map([("id", bytes(b"one"))]), map([("id", bytes(b"one"))])),
        (user("one", &"é".repeat(40), "x"), user("one", &"é".repeat(32), "x")),
    ] {
        let parameters = with_user(&made[0].id, new);
        assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(parameters), Some(&token)), [status::OK]);
        assert_eq!(key.seen, [Event::Commit]);
        key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token));
        let found = key.managed(ENUMERATE_CREDENTIALS_GET_NEXT_CREDENTIAL, None, None);
        assert_eq!((id(&found), fields(&found[&6])), (made[0].id.clone(), fields(&expected)));
    }
    let parameters = with_user(&made[0].id, user("two", "Uno", "Uno"));
    assert_eq!(
        key.manage(UPDATE_USER_INFORMATION, Some(parameters), Some(&token)),
        [status::INVALID_PARAMETER],
        "another user's handle"
    );
    // It still logs in, is the older of the two, and its site knows it as before.
    key.assertion(&Parameters::allow(SITE, &[&made[0].id]), &made[0].public_key);
    assert_eq!(key.assertion(&Parameters::get_assertion(SITE), &made[2].public_key).user_id(), Some(b"two".to_vec()));
}

/// The subcommands with what they need, and without what they cannot do.
#[test]
fn every_subcommand_wants_its_parameters_and_a_token_with_cm() {
    let (mut key, made) = filled();
    let needs: [(u8, Option<Value>); 5] = [
        (GET_CREDS_METADATA, None),
        (ENUMERATE_RPS_BEGIN, None),
        (ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE))),
        (DELETE_CREDENTIAL, Some(of_credential(&made[0].id))),
        (UPDATE_USER_INFORMATION, Some(with_user(&made[0].id, user("one", "a", "b")))),
    ];
    for (subcommand, parameters) in needs {
        let good = key.cm();
        let message = request(subcommand, parameters.clone(), Some(&good));
        assert_eq!(key.manage(subcommand, parameters.clone(), None), [status::PUAT_REQUIRED], "{subcommand}");
        assert_eq!(key.status(&message.clone().without(3).message(FINAL)), status::MISSING_PARAMETER, "{subcommand}");
        for protocol in [0, 3] {
            let message = message.clone().with(3, int(protocol));
            assert_eq!(key.status(&message.message(FINAL)), status::INVALID_PARAMETER, "{subcommand}");
        }
        let mut param = message.0[&4].clone().extract_byte_string().unwrap();
        param[31] ^= 1;
        for wrong in [&param[..], &param[..16], &[]] {
            let message = message.clone().with(4, bytes(wrong));
            assert_eq!(key.status(&message.message(FINAL)), status::PIN_AUTH_INVALID, "{subcommand}");
        }
        let none = permission::LBW | permission::ACFG;
        let wrong = key.token(2, PIN, none, None).unwrap();
        assert_eq!(key.manage(subcommand, parameters.clone(), Some(&wrong)), [status::PIN_AUTH_INVALID]);
        // The token of getPinToken has mc and ga.
        let old = key.pin_token(2, PIN).unwrap();
        assert_eq!(key.manage(subcommand, parameters.clone(), Some(&old)), [status::PIN_AUTH_INVALID]);
        if parameters.is_some() {
            let good = key.cm();
            assert_eq!(key.manage(subcommand, None, Some(&good)), [status::MISSING_PARAMETER], "{subcommand}");
            let empty = Some(Value::map(vec![]));
            assert_eq!(key.manage(subcommand, empty, Some(&good)), [status::MISSING_PARAMETER], "{subcommand}");
        }
        assert_eq!(key.metadata(), (3, 997), "{subcommand}: nothing was changed");
    }
    let good = key.cm();
    let lacking = Some(of_credential(&made[0].id));
    assert_eq!(key.manage(UPDATE_USER_INFORMATION, lacking, Some(&good)), [status::MISSING_PARAMETER]);
    for subcommand in [0x00, 0x08, 0x80] {
        assert_eq!(key.manage(subcommand, None, Some(&good)), [status::INVALID_SUBCOMMAND]);
    }
    assert_eq!(key.send(&[FINAL, 0xA0]), [status::MISSING_PARAMETER]);
}

#[test]
fn only_a_discoverable_credential_of_this_key_can_be_managed() {
    let (mut key, _) = filled();
    let in_its_id = key.create(&Parameters::make_credential(SITE, "three"));
    let token = key.cm();
    for id in [&in_its_id.id[..], &[7; 64], &[]] {
        let delete = Some(of_credential(id));
        assert_eq!(key.manage(DELETE_CREDENTIAL, delete, Some(&token)), [status::NO_CREDENTIALS]);
        let update = Some(with_user(id, user("three", "a", "b")));
        assert_eq!(key.manage(UPDATE_USER_INFORMATION, update, Some(&token)), [status::NO_CREDENTIALS]);
    }
}

/// §6.8: a token that is bound to an RP ID touches nothing of another.
#[test]
fn a_bound_token_reaches_its_own_relying_party_and_no_other() {
    let (mut key, made) = filled();
    let bound = key.token(2, PIN, permission::CM, Some(SITE)).unwrap();
    for subcommand in [GET_CREDS_METADATA, ENUMERATE_RPS_BEGIN] {
        assert_eq!(key.manage(subcommand, None, Some(&bound)), [status::PIN_AUTH_INVALID]);
    }
    let begin = |site| Some(of_site(site));
    assert_eq!(key.manage(ENUMERATE_CREDENTIALS_BEGIN, begin(OTHER_SITE), Some(&bound)), [status::PIN_AUTH_INVALID]);
    assert_eq!(key.managed(ENUMERATE_CREDENTIALS_BEGIN, begin(SITE), Some(&bound))[&9], int(2));
    let other = with_user(&made[1].id, user("other", "a", "b"));
    assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(other), Some(&bound)), [status::PIN_AUTH_INVALID]);
    assert_eq!(
        key.manage(DELETE_CREDENTIAL, Some(of_credential(&made[1].id)), Some(&bound)),
        [status::PIN_AUTH_INVALID]
    );
    let own = with_user(&made[0].id, user("one", "a", "b"));
    assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(own), Some(&bound)), [status::OK]);
    assert_eq!(key.manage(DELETE_CREDENTIAL, Some(of_credential(&made[0].id)), Some(&bound)), [status::OK]);
    assert_eq!(key.metadata(), (2, 998));
}

/// pcmr (§6.5.5.7): it reads, whichever key it is and after every power-up, and it changes nothing.
#[test]
fn the_persistent_token_reads_and_does_not_write() {
    let (mut key, made) = filled();
    let token = key.token(2, PIN, permission::PCMR, None).unwrap();
    key.power_up();
    let mut key = key.restarted();
    assert_eq!(key.managed(GET_CREDS_METADATA, None, Some(&token))[&1], int(3));
    assert_eq!(key.managed(ENUMERATE_RPS_BEGIN, None, Some(&token))[&5], int(2));
    assert_eq!(key.manage(ENUMERATE_RPS_GET_NEXT_RP, None, None)[0], status::OK);
    assert_eq!(key.managed(ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE)), Some(&token))[&9], int(2));
    let update = with_user(&made[0].id, user("one", "a", "b"));
    assert_eq!(key.manage(UPDATE_USER_INFORMATION, Some(update), Some(&token)), [status::PIN_AUTH_INVALID]);
    let delete = of_credential(&made[0].id);
    assert_eq!(key.manage(DELETE_CREDENTIAL, Some(delete), Some(&token)), [status::PIN_AUTH_INVALID]);
    assert_eq!(key.metadata(), (3, 997));
}

#[test]
fn the_prototype_does_the_same_but_for_updating() {
    let (mut key, made) = filled();
    let token = key.cm();
    let send = |key: &mut Driver, subcommand, parameters| {
        key.send(&request(subcommand, parameters, Some(&token)).message(PROTOTYPE))
    };
    assert_eq!(body(&send(&mut key, GET_CREDS_METADATA, None))[&1], int(3));
    assert_eq!(body(&send(&mut key, ENUMERATE_RPS_BEGIN, None))[&5], int(2));
    assert_eq!(key.send(&request(ENUMERATE_RPS_GET_NEXT_RP, None, None).message(PROTOTYPE))[0], status::OK);
    assert_eq!(id(&body(&send(&mut key, ENUMERATE_CREDENTIALS_BEGIN, Some(of_site(SITE))))), made[2].id);
    assert_eq!(send(&mut key, DELETE_CREDENTIAL, Some(of_credential(&made[0].id))), [status::OK]);
    let update = with_user(&made[2].id, user("two", "a", "b"));
    assert_eq!(send(&mut key, UPDATE_USER_INFORMATION, Some(update)), [status::INVALID_SUBCOMMAND]);
}

/// Platforms that know the prototype and no permissions ask getPinToken: what it gives has mc and ga (§6.5.5.7.1), and does for the
/// prototype, and for the prototype alone, until a touch has ended it.
#[test]
fn the_prototype_takes_the_token_of_platforms_that_know_no_other() {
    for profile in ["keyrig", "yubikey-5.7"] {
        let (mut key, made) = filled_of(profile);
        let token = key.pin_token(2, PIN).unwrap();
        let send = |key: &mut Driver, command, subcommand, parameters| {
            key.send(&request(subcommand, parameters, Some(&token)).message(command))
        };
        assert_eq!(body(&send(&mut key, PROTOTYPE, GET_CREDS_METADATA, None))[&1], int(3), "{profile}");
        assert_eq!(body(&send(&mut key, PROTOTYPE, ENUMERATE_RPS_BEGIN, None))[&5], int(2));
        let delete = || Some(of_credential(&made[0].id));
        assert_eq!(send(&mut key, FINAL, DELETE_CREDENTIAL, delete()), [status::PIN_AUTH_INVALID], "{profile}");
        assert_eq!(send(&mut key, PROTOTYPE, DELETE_CREDENTIAL, delete()), [status::OK]);
        key.assertion(&Parameters::get_assertion(OTHER_SITE).got_by(&token), &made[1].public_key);
        assert_eq!(send(&mut key, PROTOTYPE, GET_CREDS_METADATA, None), [status::PIN_AUTH_INVALID]);
        // A token that was asked for with permissions has these and no more.
        let other = key.token(2, PIN, permission::MC | permission::GA, Some(SITE)).unwrap();
        let message = request(GET_CREDS_METADATA, None, Some(&other)).message(PROTOTYPE);
        assert_eq!(key.send(&message), [status::PIN_AUTH_INVALID]);
    }
    // The persistent token reads beside it.
    let (mut key, _) = filled();
    let persistent = key.token(2, PIN, permission::PCMR, None).unwrap();
    key.pin_token(2, PIN).unwrap();
    let message = request(GET_CREDS_METADATA, None, Some(&persistent)).message(PROTOTYPE);
    assert_eq!(body(&key.send(&message))[&1], int(3));
}

/// A key of CTAP 2.0 times has the prototype alone, and its pinToken will do.
#[test]
fn a_key_has_the_commands_that_its_options_say() {
    let mut old = Driver::of(built_in("yubikey-5.4"));
    old.set_pin(PIN);
    let token = old.pin_token(1, PIN).unwrap();
    let message = request(GET_CREDS_METADATA, None, Some(&token));
    assert_eq!(body(&old.send(&message.message(PROTOTYPE)))[&2], int(25));
    assert_eq!(old.send(&message.message(FINAL)), [status::INVALID_COMMAND]);
    assert_eq!(old.send(&[FINAL]), [status::INVALID_COMMAND], "whatever follows");

    let neither = altered(&[("credMgmt = true", ""), ("credentialMgmtPreview = true", "")]);
    let mut key = Driver::of(neither);
    for command in [FINAL, PROTOTYPE] {
        assert_eq!(key.send(&message.message(command)), [status::INVALID_COMMAND]);
    }
}

#[test]
fn a_reset_leaves_nothing_to_manage() {
    let (mut key, _) = filled();
    let token = key.cm();
    key.power_up();
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(key.manage(GET_CREDS_METADATA, None, Some(&token)), [status::PIN_AUTH_INVALID]);
    key.set_pin(PIN);
    assert_eq!(key.metadata(), (0, 1000));
}

#[test]
fn what_could_not_be_made_durable_has_not_happened() {
    for subcommand in [DELETE_CREDENTIAL, UPDATE_USER_INFORMATION] {
        let (mut key, made) = filled();
        let token = key.cm();
        let parameters = if subcommand == DELETE_CREDENTIAL {
            of_credential(&made[0].id)
        } else {
            with_user(&made[0].id, user("one", "a", "b"))
        };
        let before = key.disk.clone();
        key.fate = Fate::FailsAt(0);
        assert_eq!(key.manage(subcommand, Some(parameters.clone()), Some(&token)), [status::OTHER]);
        assert_eq!(key.disk, before);
        key.fate = Fate::Durable;
        assert_eq!(key.manage(subcommand, Some(parameters), Some(&token)), [status::OK]);
    }
}
