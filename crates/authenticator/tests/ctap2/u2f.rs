//! CTAP1/U2F (FIDO U2F Raw Message Formats 1.2), by messages written out by hand.

use core::time::Duration;

use keyrig_authenticator::{Channel, Reason};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::support::codec::{AT, EDDSA, ES256, GET_INFO, Parameters, RESET, UP, algorithms, boolean, int, map, status};
use crate::support::{Driver, Event, Fate, ROOT, User, altered, other_channels};

const NO_ERROR: [u8; 2] = [0x90, 0x00];
const CONDITIONS_NOT_SATISFIED: [u8; 2] = [0x69, 0x85];
const WRONG_DATA: [u8; 2] = [0x6A, 0x80];
const INCORRECT_P1P2: [u8; 2] = [0x6A, 0x86];
const WRONG_LENGTH: [u8; 2] = [0x67, 0x00];
const CLA_NOT_SUPPORTED: [u8; 2] = [0x6E, 0x00];
const INS_NOT_SUPPORTED: [u8; 2] = [0x6D, 0x00];
const UNKNOWN: [u8; 2] = [0x6F, 0x00];

pub(crate) const ENFORCE: u8 = 0x03;
const CHECK_ONLY: u8 = 0x07;
pub(crate) const DONT_ENFORCE: u8 = 0x08;

const SITE: &str = "example.com";
const CHALLENGE: [u8; 32] = [0xC1; 32];

fn application(site: &str) -> [u8; 32] {
    Sha256::digest(site).into()
}

/// An APDU in extended length encoding.
fn apdu(instruction: u8, p1: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&[0, instruction, p1, 0, 0, length[0], length[1]], data, &[0, 0]].concat()
}

pub(crate) fn register(site: &str) -> Vec<u8> {
    apdu(0x01, 0, &[CHALLENGE, application(site)].concat())
}

pub(crate) fn authenticate(control: u8, site: &str, key_handle: &[u8]) -> Vec<u8> {
    let length = u8::try_from(key_handle.len()).unwrap();
    apdu(0x02, control, &[&CHALLENGE[..], &application(site), &[length], key_handle].concat())
}

pub(crate) struct Registered {
    pub(crate) public_key: Vec<u8>,
    pub(crate) key_handle: Vec<u8>,
}

/// Reads and verifies a registration (§4.3).
fn registered(answer: &[u8], site: &str) -> Registered {
    let data = answer.strip_suffix(&NO_ERROR).expect("a success");
    assert_eq!(data[0], 0x05);
    let (public_key, rest) = data[1..].split_at(65);
    let (key_handle, rest) = rest[1..].split_at(usize::from(rest[0]));
    let certificate = &rest[..4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]))];
    let signature = DerSignature::try_from(&rest[certificate.len()..]).unwrap();
    let leaf = Certificate::from_der(certificate).unwrap();
    let key = |certificate: &Certificate| {
        let key = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
        VerifyingKey::from_sec1_bytes(key).unwrap()
    };
    let signed = [&[0x00], &application(site)[..], &CHALLENGE, key_handle, public_key].concat();
    key(&leaf).verify(&signed, &signature).unwrap();
    let root = Certificate::from_der(ROOT.certificate()).unwrap();
    let signature = DerSignature::try_from(leaf.signature().raw_bytes()).unwrap();
    key(&root).verify(&leaf.tbs_certificate().to_der().unwrap(), &signature).unwrap();
    Registered { public_key: public_key.to_vec(), key_handle: key_handle.to_vec() }
}

/// Reads and verifies an authentication (§5.4): user presence byte and counter.
fn authenticated(answer: &[u8], site: &str, public_key: &[u8]) -> (u8, u32) {
    let data = answer.strip_suffix(&NO_ERROR).expect("a success");
    let signed = [&application(site)[..], &data[..5], &CHALLENGE].concat();
    let key = VerifyingKey::from_sec1_bytes(public_key).unwrap();
    key.verify(&signed, &DerSignature::try_from(&data[5..]).unwrap()).unwrap();
    (data[0], u32::from_be_bytes(data[1..5].try_into().unwrap()))
}

impl Driver {
    /// Asks, is touched, and asks again, as a client and its user do.
    fn touched_u2f(&mut self, message: &[u8]) -> Vec<u8> {
        assert_eq!(self.send_u2f(message), CONDITIONS_NOT_SATISFIED);
        self.touch_u2f();
        self.send_u2f(message)
    }

    pub(crate) fn register(&mut self, site: &str) -> Registered {
        registered(&self.touched_u2f(&register(site)), site)
    }

    fn waiting(&self) -> Option<Reason> {
        self.authenticator.u2f_waiting(self.now).map(|waiting| waiting.reason)
    }
}

#[test]
fn version_is_answered_without_a_touch() {
    for message in [&[0, 3, 0, 0][..], &[0, 3, 0, 0, 0], &[0, 3, 0, 0, 0, 0, 0], &apdu(0x03, 0, &[])] {
        let mut key = Driver::new();
        assert_eq!(key.send_u2f(message), b"U2F_V2\x90\x00");
        assert_eq!(key.waiting(), None);
    }
}

#[test]
fn a_key_registers_and_logs_in_by_a_touch_each() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    assert_eq!(key.seen, [], "what lives in its key handle costs no storage");
    assert_eq!(made.key_handle.len(), 64);
    let message = authenticate(ENFORCE, SITE, &made.key_handle);
    let (presence, counter) = authenticated(&key.touched_u2f(&message), SITE, &made.public_key);
    assert_eq!(presence, UP);
    assert_eq!(key.seen, [Event::Commit], "the count is durable before it is told");
    let mut key = key.restarted();
    let (_, next) = authenticated(&key.touched_u2f(&message), SITE, &made.public_key);
    assert!(next > counter);
    assert_ne!(key.register(SITE).key_handle, made.key_handle);
}

/// The touch is a latch: set by a touch while the key was asked, kept for 10 s, taken by what succeeds.
#[test]
fn a_touch_counts_while_the_key_waits_for_a_while_and_once() {
    let mut key = Driver::new();
    key.touch_u2f();
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED, "nobody waited for that touch");
    assert_eq!(key.waiting(), Some(Reason::U2fRegister));
    key.wait(Duration::from_millis(1999));
    assert_eq!(key.waiting(), Some(Reason::U2fRegister));
    key.wait(Duration::from_millis(1));
    assert_eq!(key.waiting(), None, "the client went away");
    key.touch_u2f();
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    assert_eq!(key.waiting(), None);
    key.wait(Duration::from_millis(9999));
    let made = registered(&key.send_u2f(&register(SITE)), SITE);
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED, "one touch is one touch");
    key.touch_u2f();
    key.wait(Duration::from_secs(10));
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED, "a touch does not last for ever");

    // Asked for something else, it waits for that.
    assert_eq!(key.send_u2f(&authenticate(ENFORCE, SITE, &made.key_handle)), CONDITIONS_NOT_SATISFIED);
    assert_eq!(key.waiting(), Some(Reason::U2fAuthenticate));
    key.authenticator.deny_u2f();
    assert_eq!(key.waiting(), None);
    assert_eq!(key.send_u2f(&authenticate(ENFORCE, SITE, &made.key_handle)), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    key.power_up();
    assert_eq!(key.send_u2f(&authenticate(ENFORCE, SITE, &made.key_handle)), CONDITIONS_NOT_SATISFIED);
}

#[test]
fn a_touch_that_ctap2_asks_for_is_not_meant_for_u2f() {
    let mut key = Driver::new();
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
    assert_eq!(key.status(&[GET_INFO]), status::OK);
    assert_eq!(key.waiting(), Some(Reason::U2fRegister), "asking who it is changes nothing");
    key.touch_u2f();
    key.create(&Parameters::make_credential(SITE, "u"));
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
}

/// Raw Message Formats §5.1.
#[test]
fn check_only_says_whether_a_key_handle_is_known_and_signs_nothing() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    let check = authenticate(CHECK_ONLY, SITE, &made.key_handle);
    let counter = key.authenticator.store().counter();
    assert_eq!(key.send_u2f(&check), CONDITIONS_NOT_SATISFIED);
    assert_eq!(key.waiting(), None, "no touch is wanted");
    // Not even with a touch.
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    assert_eq!(key.send_u2f(&check), CONDITIONS_NOT_SATISFIED);
    assert_eq!(key.authenticator.store().counter(), counter);

    let mut altered = made.key_handle.clone();
    altered[0] ^= 1;
    for control in [CHECK_ONLY, ENFORCE, DONT_ENFORCE] {
        for (site, handle) in
            [("example.org", &made.key_handle[..]), (SITE, &altered), (SITE, &made.key_handle[1..]), (SITE, &[])]
        {
            assert_eq!(key.send_u2f(&authenticate(control, site, handle)), WRONG_DATA);
            assert_eq!(key.waiting(), None, "an unknown handle asks for no touch");
        }
    }
}

#[test]
fn dont_enforce_signs_at_once_and_says_truly_whether_there_was_a_touch() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    let message = authenticate(DONT_ENFORCE, SITE, &made.key_handle);
    let (presence, counter) = authenticated(&key.send_u2f(&message), SITE, &made.public_key);
    assert_eq!((presence, key.waiting()), (0, None));
    assert_eq!(key.send_u2f(&authenticate(ENFORCE, SITE, &made.key_handle)), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    let (presence, next) = authenticated(&key.send_u2f(&message), SITE, &made.public_key);
    assert_eq!((presence, next), (UP, counter + 1));
    assert_eq!(authenticated(&key.send_u2f(&message), SITE, &made.public_key).0, 0, "one touch is one touch");
}

#[test]
fn a_message_that_is_wrong_has_the_status_word_for_it_and_changes_nothing() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    let parameters = [CHALLENGE, application(SITE)].concat();
    for (message, expected) in [
        (vec![], WRONG_LENGTH),
        (vec![0, 3, 0], WRONG_LENGTH),
        (apdu(0x03, 0, b"abc"), WRONG_LENGTH),
        (apdu(0x01, 0, &parameters[1..]), WRONG_LENGTH),
        (apdu(0x01, 0, &[&parameters[..], &[0]].concat()), WRONG_LENGTH),
        (apdu(0x02, ENFORCE, &parameters), WRONG_LENGTH),
        (apdu(0x02, ENFORCE, &[&parameters[..], &[2, 1]].concat()), WRONG_LENGTH),
        (authenticate(0x00, SITE, &made.key_handle), INCORRECT_P1P2),
        (apdu(0x00, 0, &[]), INS_NOT_SUPPORTED),
        (apdu(0x04, 0, &[]), INS_NOT_SUPPORTED),
        (apdu(0xBF, 0, &parameters), INS_NOT_SUPPORTED),
        (vec![1, 3, 0, 0, 0, 0, 0], CLA_NOT_SUPPORTED),
        (vec![0x80, 1, 0, 0], CLA_NOT_SUPPORTED),
    ] {
        assert_eq!(key.send_u2f(&message), expected, "{message:02x?}");
        assert_eq!(key.waiting(), None);
    }
    let (presence, _) =
        authenticated(&key.touched_u2f(&authenticate(ENFORCE, SITE, &made.key_handle)), SITE, &made.public_key);
    assert_eq!(presence, UP);
}

/// CTAP 2.3 §10: what U2F registered logs in over CTAP2 under the RP ID whose hash is the application parameter, and the other
/// way round.
#[test]
fn credentials_go_from_one_protocol_to_the_other() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    let answer = key.send(&Parameters::allow(SITE, &[&made.key_handle]).get());
    let assertion = crate::support::codec::Assertion::read(&answer);
    let signed = [assertion.data.raw, Parameters::get_assertion(SITE).hash(2)].concat();
    let public_key = VerifyingKey::from_sec1_bytes(&made.public_key).unwrap();
    public_key.verify(&signed, &DerSignature::try_from(&assertion.signature[..]).unwrap()).unwrap();
    assert_eq!(
        key.status(
            &Parameters::make_credential(SITE, "u")
                .with(5, crate::support::codec::descriptors(&[&made.key_handle]))
                .create()
        ),
        status::CREDENTIAL_EXCLUDED
    );

    for parameters in [Parameters::make_credential(SITE, "u"), Parameters::discoverable(SITE, "u")] {
        let created = key.create(&parameters);
        assert_eq!(created.data.flags & AT, AT);
        let coordinate = |label| crate::support::codec::cose(&created.public_key, label).extract_byte_string().unwrap();
        let point = [vec![4], coordinate(-2), coordinate(-3)].concat();
        let message = authenticate(ENFORCE, SITE, &created.id);
        let (presence, counter) = authenticated(&key.touched_u2f(&message), SITE, &point);
        assert_eq!(presence, UP);
        assert!(counter > created.data.counter, "there is one counter");
    }
}

/// U2F has ES256 alone (Raw Message Formats §4.3).
#[test]
fn a_credential_of_another_algorithm_is_no_key_handle() {
    let mut key = Driver::new();
    let created = key.create(&Parameters::make_credential(SITE, "u").with(4, algorithms(&[EDDSA])));
    assert_eq!(key.send_u2f(&authenticate(CHECK_ONLY, SITE, &created.id)), WRONG_DATA);
    let created = key.create(&Parameters::make_credential(SITE, "u").with(4, algorithms(&[ES256])));
    assert_eq!(key.send_u2f(&authenticate(CHECK_ONLY, SITE, &created.id)), CONDITIONS_NOT_SATISFIED);
}

/// CTAP 2.3 §12.1: U2F verifies nobody, and a key handle is an allow list of one.
#[test]
fn a_credential_that_wants_user_verification_is_no_key_handle() {
    for rk in [true, false] {
        for (level, expected) in [(1, CONDITIONS_NOT_SATISFIED), (2, CONDITIONS_NOT_SATISFIED), (3, WRONG_DATA)] {
            let mut key = Driver::new();
            let request = Parameters::make_credential(SITE, "u")
                .with(6, map([("credProtect", int(level))]))
                .with(7, map([("rk", boolean(rk))]));
            let created = key.create(&request);
            for control in [CHECK_ONLY, ENFORCE] {
                assert_eq!(key.send_u2f(&authenticate(control, SITE, &created.id)), expected, "rk {rk}, level {level}");
            }
        }
    }
}

#[test]
fn a_reset_ends_every_key_handle() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(key.send_u2f(&authenticate(CHECK_ONLY, SITE, &made.key_handle)), WRONG_DATA);
}

#[test]
fn a_key_handle_has_the_profiles_length_as_far_as_one_byte_can_say() {
    for (length, expected) in [("48", 48), ("255", 255), ("1000", 255)] {
        let field =
            format!("[behaviour]\ncredential_id_length = {{ is = {length}, known = \"decided\", from = \"a test\" }}");
        let mut key = Driver::of(altered(&[("[behaviour]", &field)]));
        let made = key.register(SITE);
        assert_eq!(made.key_handle.len(), expected);
        assert_eq!(key.send_u2f(&authenticate(CHECK_ONLY, SITE, &made.key_handle)), CONDITIONS_NOT_SATISFIED);
    }
}

#[test]
fn a_profile_without_u2f_knows_no_instruction() {
    let mut key = Driver::of(altered(&[(", \"U2F_V2\"", "")]));
    assert_eq!(key.send_u2f(&register(SITE)), INS_NOT_SUPPORTED);
    assert_eq!(key.send_u2f(&apdu(0x03, 0, &[])), INS_NOT_SUPPORTED);
}

/// The one commit of the one message that has any.
#[test]
fn a_count_that_was_not_made_durable_is_never_told() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    let message = authenticate(ENFORCE, SITE, &made.key_handle);
    assert_eq!(key.send_u2f(&message), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    let before = key.disk.clone();
    key.fate = Fate::FailsAt(0);
    assert_eq!(key.send_u2f(&message), UNKNOWN);
    assert_eq!(key.disk, before);
    assert_eq!(key.seen, [Event::Commit]);

    for (fate, gone_on) in [(Fate::KilledBefore(0), false), (Fate::KilledAfter(0), true)] {
        let mut key = Driver::new();
        let made = key.register(SITE);
        let message = authenticate(DONT_ENFORCE, SITE, &made.key_handle);
        let before = key.authenticator.store().counter();
        key.fate = fate;
        assert_eq!(key.try_send_u2f(&message), None);
        let mut key = key.restarted();
        assert_eq!(key.authenticator.store().counter(), before + u32::from(gone_on));
        let (_, counter) = authenticated(&key.send_u2f(&message), SITE, &made.public_key);
        assert_eq!(counter, before + u32::from(gone_on) + 1);
    }
}

#[test]
fn a_message_of_u2f_ends_what_ctap2_had_begun() {
    let mut key = Driver::new();
    for user in ["one", "two"] {
        key.create(&Parameters::discoverable(SITE, user));
    }
    assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::OK);
    assert_eq!(key.send_u2f(&apdu(0x03, 0, &[])), b"U2F_V2\x90\x00");
    assert_eq!(key.status(&[0x08]), status::NOT_ALLOWED);
    key.user = User::Touches;
}

#[test]
fn every_truncation_and_every_flipped_bit_is_answered() {
    let mut key = Driver::new();
    let made = key.register(SITE);
    for message in [register(SITE), authenticate(CHECK_ONLY, SITE, &made.key_handle), apdu(0x03, 0, &[])] {
        for index in 0..message.len() {
            key.send_u2f(&message[..index]);
            for bit in 0..8 {
                let mut altered = message.clone();
                altered[index] ^= 1 << bit;
                key.send_u2f(&altered);
            }
        }
    }
}

/// A touch is for who was waited for when it came: another program gets nothing by it, and waits for its turn.
#[test]
fn a_touch_is_for_the_channel_that_asked() {
    for other in other_channels() {
        let mut key = Driver::new();
        assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
        let theirs = register("example.org");
        assert_eq!(key.elsewhere(other, |key| key.send_u2f(&theirs)), CONDITIONS_NOT_SATISFIED);
        key.touch_u2f();
        assert_eq!(key.elsewhere(other, |key| key.send_u2f(&theirs)), CONDITIONS_NOT_SATISFIED, "{other:?}");
        assert_eq!(key.waiting(), Some(Reason::U2fRegister), "now it is their turn");
        registered(&key.send_u2f(&register(SITE)), SITE);
        key.touch_u2f();
        assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED, "{other:?}");
        registered(&key.elsewhere(other, |key| key.send_u2f(&theirs)), "example.org");
    }
}

#[test]
fn a_host_that_has_gone_is_not_waited_for() {
    let [other, _] = other_channels();
    let mut key = Driver::new();
    assert_eq!(key.elsewhere(other, |key| key.send_u2f(&register(SITE))), CONDITIONS_NOT_SATISFIED);
    key.authenticator.forget(Channel::default().peer);
    assert_eq!(key.waiting(), Some(Reason::U2fRegister), "that was another");
    key.authenticator.forget(other.peer);
    assert_eq!(key.waiting(), None);
    assert_eq!(key.elsewhere(other, |key| key.send_u2f(&register(SITE))), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    key.authenticator.forget(other.peer);
    assert_eq!(key.elsewhere(other, |key| key.send_u2f(&register(SITE))), CONDITIONS_NOT_SATISFIED);
}

/// A channel that has asked no more for 2 s is not waited for.
#[test]
fn who_asks_no_more_gives_way() {
    let [other, _] = other_channels();
    let mut key = Driver::new();
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
    key.wait(Duration::from_secs(2));
    assert_eq!(key.elsewhere(other, |key| key.send_u2f(&register(SITE))), CONDITIONS_NOT_SATISFIED);
    key.touch_u2f();
    assert_eq!(key.send_u2f(&register(SITE)), CONDITIONS_NOT_SATISFIED);
    registered(&key.elsewhere(other, |key| key.send_u2f(&register(SITE))), SITE);
}
