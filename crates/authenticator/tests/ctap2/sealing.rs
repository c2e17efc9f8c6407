//! The one sealing step: what passes it, and which answers do not.

use std::collections::BTreeSet;

use keyrig_authenticator::environment::{Crypto, Environment, Seeded, Unsealed};
use keyrig_ctap::hid::{ChannelId, Peer};
use sha2::{Digest, Sha256};

use crate::bio_enrollment::{
    FINAL, PROTOTYPE, enroll, of as of_template, request as bio_request, subcommand as bio_subcommand,
};
use crate::credential_management::{of_credential, request as management, user, with_user};
use crate::support::codec::{
    CLIENT_PIN, GET_INFO, GET_NEXT_ASSERTION, Parameters, RESET, SELECTION, array, boolean, bytes, int, map, status,
    text,
};
use crate::support::platform::{Platform, permission, subcommand};
use crate::support::{Driver, built_in};
use crate::u2f::{DONT_ENFORCE, ENFORCE, authenticate, register};

/// The counter of every statement, which nothing else in an answer is like.
const MARK: u32 = 0x4D41_524B;

/// An environment in which whatever is sealed is marked.
struct Marking(Seeded);

impl Environment for Marking {
    fn random(&mut self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }

    fn crypto(&self) -> &dyn Crypto {
        self.0.crypto()
    }

    fn before_sealing(&mut self, unsealed: Unsealed<'_>) {
        match unsealed {
            Unsealed::AuthenticatorData(data) => data.counter = MARK,
            Unsealed::U2fRegistration(registration) => registration.key_handle = MARK.to_be_bytes().to_vec(),
            other => panic!("a statement without a case: {other:?}"),
        }
    }
}

const SITE: &str = "example.com";
const PIN: &str = "1234";
const CREDENTIAL_MANAGEMENT: u8 = 0x0A;
const LARGE_BLOBS: u8 = 0x0C;
const CONFIG: u8 = 0x0D;

/// A key with a PIN and two accounts, and the id of one of them.
fn key() -> (Driver, Vec<u8>) {
    let mut key = Driver::new();
    let id = key.create(&Parameters::discoverable(SITE, "one")).id;
    key.create(&Parameters::discoverable(SITE, "two"));
    key.create(&Parameters::discoverable("example.org", "one"));
    key.set_pin(PIN);
    let environment = Box::new(Marking(Seeded::new([5; 32])));
    (Driver::within(environment, key.disk.clone(), built_in("keyrig")), id)
}

/// A key that learns fingerprints, with a PIN.
fn bio_key() -> Driver {
    let mut key = Driver::of(built_in("yubikey-bio-5.7"));
    key.set_pin(PIN);
    let environment = Box::new(Marking(Seeded::new([6; 32])));
    Driver::within(environment, key.disk.clone(), built_in("yubikey-bio-5.7"))
}

/// Has it know a finger.
fn enrolled(key: &mut Driver) -> Vec<u8> {
    let token = key.token(2, PIN, permission::BE, None).unwrap();
    enroll(key, &token, FINAL)
}

/// Every answer of every command: its name, and whether it is one that says something of a credential to a relying party.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let mut ctap2 = |name, prepare: &dyn Fn(&mut Driver, &[u8]) -> Vec<u8>| {
        let (mut key, id) = key();
        let message = prepare(&mut key, &id);
        let answer = key.send(&message);
        assert_eq!(answer[0], status::OK, "{name}");
        all.push((name, message[0], answer));
    };
    let mc = |key: &mut Driver, parameters: Parameters| {
        let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
        parameters.created_by(&token).create()
    };
    ctap2("makeCredential, packed", &|key, _| mc(key, Parameters::discoverable(SITE, "three")));
    ctap2("makeCredential, none", &|key, _| {
        mc(key, Parameters::make_credential(SITE, "three").with(11, array([text("none")])))
    });
    ctap2("getAssertion", &|_, id| Parameters::allow(SITE, &[id]).get());
    ctap2("getAssertion, pre-flight", &|_, id| {
        Parameters::allow(SITE, &[id]).with(5, map([("up", boolean(false))])).get()
    });
    ctap2("getNextAssertion", &|key, _| {
        key.send(&Parameters::get_assertion(SITE).get());
        vec![GET_NEXT_ASSERTION]
    });
    ctap2("getInfo", &|_, _| vec![GET_INFO]);
    ctap2("selection", &|_, _| vec![SELECTION]);
    ctap2("reset", &|_, _| vec![RESET]);
    let pin = |parameters: Parameters| parameters.message(CLIENT_PIN);
    ctap2("getPINRetries", &|_, _| pin(Parameters::client_pin(subcommand::GET_PIN_RETRIES)));
    ctap2("getKeyAgreement", &|_, _| pin(Parameters::client_pin(subcommand::GET_KEY_AGREEMENT).with(1, int(2))));
    ctap2("setPIN", &|key, _| {
        key.status(&[RESET]);
        pin(Platform::agree(key, 2).set_pin(b"2468"))
    });
    ctap2("changePIN", &|key, _| pin(Platform::agree(key, 2).change_pin(PIN, b"2468")));
    ctap2("getPinToken", &|key, _| pin(Platform::agree(key, 2).get_pin_token(PIN)));
    ctap2("getPinUvAuthTokenUsingPinWithPermissions", &|key, _| {
        pin(Platform::agree(key, 2).get_token(PIN, permission::CM, None))
    });
    let manage = |key: &mut Driver, number, parameters| {
        let token = key.token(2, PIN, permission::CM, None).unwrap();
        management(number, parameters, Some(&token)).message(CREDENTIAL_MANAGEMENT)
    };
    let site = || Some(sk_cbor::Value::map(vec![(int(1), bytes(&Sha256::digest(SITE)))]));
    ctap2("getCredsMetadata", &|key, _| manage(key, 1, None));
    ctap2("enumerateRPsBegin", &|key, _| manage(key, 2, None));
    ctap2("enumerateRPsGetNextRP", &|key, _| {
        let begin = manage(key, 2, None);
        key.send(&begin);
        management(3, None, None).message(CREDENTIAL_MANAGEMENT)
    });
    ctap2("enumerateCredentialsBegin", &|key, _| manage(key, 4, site()));
    ctap2("enumerateCredentialsGetNextCredential", &|key, _| {
        let begin = manage(key, 4, site());
        key.send(&begin);
        management(5, None, None).message(CREDENTIAL_MANAGEMENT)
    });
    ctap2("deleteCredential", &|key, id| manage(key, 6, Some(of_credential(id))));
    ctap2("updateUserInformation", &|key, id| manage(key, 7, Some(with_user(id, user("one", "a", "b")))));
    ctap2("credentialManagementPreview", &|key, _| {
        let mut message = manage(key, 1, None);
        message[0] = 0x41;
        message
    });
    ctap2("largeBlobs", &|_, _| {
        Parameters(std::collections::BTreeMap::from([(1, int(17)), (3, int(0))])).message(LARGE_BLOBS)
    });
    ctap2("config", &|key, _| {
        key.status(&[RESET]);
        Parameters(std::collections::BTreeMap::from([(1, int(2))])).message(CONFIG)
    });
    let mut bio = |name, prepare: &dyn Fn(&mut Driver) -> Vec<u8>| {
        let mut key = bio_key();
        let message = prepare(&mut key);
        let answer = key.send(&message);
        assert_eq!(answer[0], status::OK, "{name}");
        all.push((name, message[0], answer));
    };
    bio("getUVRetries", &|_| pin(Parameters::client_pin(subcommand::GET_UV_RETRIES)));
    bio("getPinUvAuthTokenUsingUvWithPermissions", &|key| {
        enrolled(key);
        pin(Platform::agree(key, 2).get_token_by_uv(permission::CM, None))
    });
    let be = |key: &mut Driver, number, parameters| {
        let token = key.token(2, PIN, permission::BE, None).unwrap();
        bio_request(number, parameters, Some(&token)).message(FINAL)
    };
    bio("getFingerprintSensorInfo", &|_| bio_request(bio_subcommand::SENSOR, None, None).message(FINAL));
    bio("enrollBegin", &|key| be(key, bio_subcommand::BEGIN, None));
    bio("cancelCurrentEnrollment", &|_| bio_request(bio_subcommand::CANCEL, None, None).message(FINAL));
    bio("enumerateEnrollments", &|key| {
        enrolled(key);
        be(key, bio_subcommand::ENUMERATE, None)
    });
    bio("removeEnrollment", &|key| {
        let id = enrolled(key);
        be(key, bio_subcommand::REMOVE, of_template(&id))
    });
    bio("bioEnrollmentPreview", &|_| bio_request(bio_subcommand::SENSOR, None, None).message(PROTOTYPE));
    // Whatever command the keys have is among them.
    let asked: BTreeSet<u8> = all.iter().map(|(_, command, _)| *command).collect();
    let has = |key: &mut Driver, command: u8| key.send(&[command]) != [status::INVALID_COMMAND];
    let known = (0..=u8::MAX).filter(|command| has(&mut key().0, *command) || has(&mut bio_key(), *command));
    assert_eq!(known.collect::<BTreeSet<_>>(), asked);

    let mut all: Vec<_> = all.into_iter().map(|(name, _, answer)| (name, answer)).collect();
    let mut u2f = |name, message: &dyn Fn(&mut Driver) -> Vec<u8>| {
        let (mut key, _) = key();
        let message = message(&mut key);
        key.send_u2f(&message);
        key.touch_u2f();
        let answer = key.send_u2f(&message);
        assert!(answer.ends_with(&[0x90, 0x00]), "{name}: {answer:02x?}");
        all.push((name, answer));
    };
    u2f("U2F_REGISTER", &|_| register(SITE));
    u2f("U2F_AUTHENTICATE", &|key| authenticate(ENFORCE, SITE, &not_discoverable(key)));
    u2f("U2F_AUTHENTICATE, without user presence", &|key| authenticate(DONT_ENFORCE, SITE, &not_discoverable(key)));
    u2f("U2F_VERSION", &|_| vec![0, 3, 0, 0]);
    all
}

fn not_discoverable(key: &mut Driver) -> Vec<u8> {
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    key.create(&Parameters::make_credential(SITE, "two").created_by(&token)).id
}

/// A fault that is placed there would silently not happen in an answer of this list.
#[test]
fn only_answers_that_say_nothing_of_a_credential_to_a_relying_party_do_not_pass() {
    let passes = |answer: &[u8]| answer.windows(4).any(|bytes| bytes == MARK.to_be_bytes());
    let (passing, others): (Vec<_>, Vec<_>) = answers().into_iter().partition(|(_, answer)| passes(answer));
    let names = |answers: Vec<(&'static str, Vec<u8>)>| answers.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        names(passing),
        [
            "makeCredential, packed",
            "makeCredential, none",
            "getAssertion",
            "getAssertion, pre-flight",
            "getNextAssertion",
            "U2F_REGISTER",
            "U2F_AUTHENTICATE",
            "U2F_AUTHENTICATE, without user presence",
        ]
    );
    assert_eq!(
        names(others),
        [
            "getInfo",
            "selection",
            "reset",
            "getPINRetries",
            "getKeyAgreement",
            "setPIN",
            "changePIN",
            "getPinToken",
            "getPinUvAuthTokenUsingPinWithPermissions",
            "getCredsMetadata",
            "enumerateRPsBegin",
            "enumerateRPsGetNextRP",
            "enumerateCredentialsBegin",
            "enumerateCredentialsGetNextCredential",
            "deleteCredential",
            "updateUserInformation",
            "credentialManagementPreview",
            "largeBlobs",
            "config",
            "getUVRetries",
            "getPinUvAuthTokenUsingUvWithPermissions",
            "getFingerprintSensorInfo",
            "enrollBegin",
            "cancelCurrentEnrollment",
            "enumerateEnrollments",
            "removeEnrollment",
            "bioEnrollmentPreview",
            "U2F_VERSION",
        ]
    );
}

/// `create` and `assertion` verify the signature: what is changed before it is signed.
#[test]
fn a_signature_is_over_what_sealing_was_left_with() {
    let (mut key, _) = key();
    key.status(&[RESET]);
    let created = key.create(&Parameters::make_credential(SITE, "one"));
    assert_eq!(created.data.counter, MARK);
    let assertion = key.assertion(&Parameters::allow(SITE, &[&created.id]), &created.public_key);
    assert_eq!(assertion.data.counter, MARK);
    let made =
        key.elsewhere(keyrig_authenticator::Channel { peer: Peer(0), id: ChannelId(9) }, |key| key.register(SITE));
    assert_eq!(made.key_handle, MARK.to_be_bytes(), "and its signature was verified too");
}
