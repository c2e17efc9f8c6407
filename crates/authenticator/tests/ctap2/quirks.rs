//! Known bugs of real keys, and other behaviour that is no recorded key's alone: what each looks like on the wire, and that the same
//! key without it does what the specification says.

use core::time::Duration;

use keyrig_authenticator::profile::Quirk;
use keyrig_authenticator::{Profile, Step};
use sk_cbor::Value;

use crate::credential_management::request as management;
use crate::support::codec::{
    AT, Assertion, CLIENT_PIN, Created, ED, Parameters, SELECTION, algorithms, body, boolean, bytes, fields, int, map,
    status, text,
};
use crate::support::platform::{Platform, Token, permission, subcommand};
use crate::support::{Driver, Event, User, altered, built_in, signature, with_quirks};

const PIN: &str = "1357";
const SITE: &str = "example.com";
const OTHER_SITE: &str = "example.org";

/// keyrig's own key with a bug, and without.
fn pair(quirk: &str) -> [Driver; 2] {
    [Driver::of(with_quirks("keyrig", &[quirk])), Driver::new()]
}

/// The same with a PIN.
fn pair_with_pin(quirk: &str) -> [Driver; 2] {
    pair(quirk).map(|mut key| {
        key.set_pin(PIN);
        key
    })
}

/// The statuses of both for a request.
fn statuses(keys: &mut [Driver; 2], message: &[u8]) -> [u8; 2] {
    keys.each_mut().map(|key| key.status(message))
}

fn probe(protocol: bool) -> Vec<u8> {
    let request = Parameters::make_credential(SITE, "root").with(8, bytes(&[]));
    if protocol { request.with(9, int(1)).create() } else { request.create() }
}

fn create() -> Parameters {
    Parameters::make_credential(SITE, "root")
}

#[test]
fn every_quirk_has_a_test_here() {
    let tests = [include_str!("quirks.rs"), include_str!("passkeys.rs")].concat();
    for name in Quirk::names() {
        assert!(tests.matches(&format!("\"{name}\"")).count() > 0, "{name}");
    }
}

/// The ids and strings of YubiKeys with all applications enabled, and with FIDO alone: Yubico's list of USB ids.
#[test]
fn all_applications() {
    for profile in ["yubikey-5.2", "yubikey-5.4", "yubikey-5.7", "yubikey-5.7.4", "yubikey-5.8", "yubikey-fips"] {
        let shown = |profile: Profile| profile.usb.map(|usb| (usb.product_id, usb.product));
        assert_eq!(shown(built_in(profile)), Some((0x0402, "YubiKey FIDO".to_owned())), "{profile}");
        let all = with_quirks(profile, &["all-applications"]);
        assert_eq!(shown(all), Some((0x0407, "YubiKey OTP+FIDO+CCID".to_owned())), "{profile}");
    }
    for profile in ["keyrig", "security-key-nfc-5.7", "nitrokey-3"] {
        let refused = built_in(profile).add(Quirk::named("all-applications").unwrap()).unwrap_err().to_string();
        assert_eq!(refused, format!("all-applications is for YubiKeys with more than FIDO, and {profile} is none"));
    }
}

/// YSA-2025-02. A token's `pinUvAuthParam` under protocol two has 32 bytes (CTAP 2.3 §6.5.7).
#[test]
fn short_pin_uv_auth() {
    let altered = |token: &Token, alter: &dyn Fn(&mut Vec<u8>)| {
        let mut param = token.authenticate(&create().hash(1));
        alter(&mut param);
        create().with(8, bytes(&param)).with(9, int(token.protocol)).create()
    };
    for (protocol, rest) in [(2, 16), (1, 8)] {
        for (index, mut key) in pair_with_pin("short-pin-uv-auth").into_iter().enumerate() {
            let mut status_of = |alter: &dyn Fn(&mut Vec<u8>)| {
                let token = key.token(protocol, PIN, permission::MC, Some(SITE)).unwrap();
                key.status(&altered(&token, alter))
            };
            let half = if index == 0 && protocol == 2 { status::OK } else { status::PIN_AUTH_INVALID };
            assert_eq!(status_of(&|_| ()), status::OK);
            assert_eq!(status_of(&|param| param.truncate(rest)), half, "protocol {protocol}");
            assert_eq!(status_of(&|param| *param.last_mut().unwrap() ^= 1), half, "protocol {protocol}");
            assert_eq!(status_of(&|param| param[0] ^= 1), status::PIN_AUTH_INVALID);
            assert_eq!(status_of(&|param| param.truncate(rest - 1)), status::PIN_AUTH_INVALID);
        }
    }
    // The keys that had it, and the first without.
    for (name, expected) in [("yubikey-5.7", status::OK), ("yubikey-5.7.4", status::PIN_AUTH_INVALID)] {
        let mut key = Driver::of(built_in(name));
        key.set_pin(PIN);
        let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
        assert_eq!(key.status(&altered(&token, &|param| param.truncate(16))), expected, "{name}");
    }
}

#[test]
fn no_touch_probe() {
    let mut keys = pair("no-touch-probe");
    assert_eq!(statuses(&mut keys, &probe(false)), [status::MISSING_PARAMETER, status::PIN_NOT_SET]);
    assert_eq!(keys.each_ref().map(|key| key.seen.len()), [0, 1], "one blinks");
    let mut titan = Driver::of(built_in("titan-v2"));
    assert_eq!(titan.status(&probe(false)), status::MISSING_PARAMETER);
    assert_eq!(titan.seen, []);
    assert_eq!(titan.status(&probe(true)), status::PIN_NOT_SET, "with a protocol it behaves");
    assert_eq!(titan.seen.len(), 1);
}

#[test]
fn probe_missing_parameter() {
    let mut keys = pair("probe-missing-parameter");
    assert_eq!(statuses(&mut keys, &probe(true)), [status::MISSING_PARAMETER, status::PIN_NOT_SET]);
    assert_eq!(keys.each_ref().map(|key| key.seen.len()), [1, 1], "both blink");
    let mut keys = pair_with_pin("probe-missing-parameter");
    assert_eq!(statuses(&mut keys, &probe(true)), [status::MISSING_PARAMETER, status::PIN_INVALID]);
}

#[test]
fn broken_protocol_two() {
    for (index, mut key) in pair_with_pin("broken-protocol-two").into_iter().enumerate() {
        for protocol in [1, 2] {
            let token = key.token(protocol, PIN, permission::MC, Some(SITE)).unwrap();
            let broken = index == 0 && protocol == 2;
            let expected = if broken { status::PIN_AUTH_INVALID } else { status::OK };
            assert_eq!(key.status(&create().created_by(&token).create()), expected, "protocol {protocol}");
        }
        assert_eq!(key.pin_retries(), (8, false));
    }
}

#[test]
fn invalid_credential() {
    let mut keys = pair("invalid-credential");
    let get = Parameters::allow(SITE, &[b"unknown"]).get();
    assert_eq!(statuses(&mut keys, &get), [status::INVALID_CREDENTIAL, status::NO_CREDENTIALS]);
    assert_eq!(keys.each_ref().map(|key| key.seen.len()), [0, 1]);
}

#[test]
fn pin_required_on_timeout() {
    let mut keys = pair("pin-required-on-timeout");
    keys.iter_mut().for_each(|key| key.user = User::StaysAway);
    assert_eq!(statuses(&mut keys, &create().create()), [status::PUAT_REQUIRED, status::OPERATION_DENIED]);
    let mut keys = pair_with_pin("pin-required-on-timeout");
    keys.iter_mut().for_each(|key| key.user = User::StaysAway);
    assert_eq!(statuses(&mut keys, &create().create()), [status::OPERATION_DENIED; 2], "with a PIN as others");
}

/// WebAuthn Level 3 §6.4.1 cuts on a code point's boundary: U+20AC has three bytes, and 64 is no multiple of that.
#[test]
fn truncate_utf8() {
    let name = "€".repeat(30);
    let user = |name: &str| map([("id", bytes(b"u")), ("name", text(name)), ("displayName", text("shorter"))]);
    let cut_at = |answer: &[u8], bytes: &[u8]| answer.windows(bytes.len()).any(|window| window == bytes);
    let [in_the_middle, at_the_boundary] = [64, 63].map(|length| {
        let head = [&[0x64][..], b"name", &[0x78, u8::try_from(length).unwrap()]].concat();
        [head, name.as_bytes()[..length].to_vec()].concat()
    });
    for (index, mut key) in pair_with_pin("truncate-utf8").into_iter().enumerate() {
        let mc = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
        let made = key.create(&Parameters::discoverable(SITE, "u").with(3, user(&name)).created_by(&mc));
        let cm = key.token(2, PIN, permission::CM, None).unwrap();
        let parameters = Value::map(vec![(int(1), bytes(&made.data.rp_id_hash))]);
        let answer = key.send(&management(0x04, Some(parameters), Some(&cm)).message(0x0A));
        assert_eq!(answer[0], status::OK);
        assert_eq!(cut_at(&answer, &in_the_middle), index == 0);
        assert_eq!(cut_at(&answer, &at_the_boundary), index == 1);
        assert_eq!(sk_cbor::reader::read(&answer[1..]).is_err(), index == 0, "no UTF-8, no CBOR");
    }
}

#[test]
fn no_descriptor() {
    for (index, mut key) in pair("no-descriptor").into_iter().enumerate() {
        let made = key.create(&create());
        let one = body(&key.send(&Parameters::allow(SITE, &[&made.id]).get()));
        assert_eq!(one.contains_key(&1), index == 1);
        let two = body(&key.send(&Parameters::allow(SITE, &[b"unknown", &made.id]).get()));
        assert!(two.contains_key(&1), "of two, one has to be named");
    }
}

#[test]
fn names_without_uv() {
    for (index, mut key) in pair("names-without-uv").into_iter().enumerate() {
        let made = key.create(&Parameters::discoverable(SITE, "root"));
        let user = key.assertion(&Parameters::get_assertion(SITE), &made.public_key).user.unwrap();
        let told: Vec<_> = user.keys().map(String::as_str).collect();
        assert_eq!(told, if index == 0 { vec!["displayName", "id", "name"] } else { vec!["id"] });
    }
}

#[test]
fn touch_latch() {
    let [mut latching, mut other] = pair("touch-latch");
    assert!(!other.authenticator.touch_unasked(Duration::ZERO), "it means nothing");
    assert_eq!(latching.touched_before(Duration::from_secs(2), &[SELECTION]), [], "two seconds before");
    assert_eq!(latching.status(&[SELECTION]), status::OK);
    assert_eq!(latching.seen.len(), 1, "once");
    assert_eq!(latching.touched_before(Duration::from_millis(2001), &[SELECTION]).len(), 1, "too long before");
    assert_eq!(other.touched_before(Duration::ZERO, &[SELECTION]).len(), 1);
    latching.power_up();
    assert_eq!(latching.touched_before(Duration::ZERO, &[0x07]).len(), 1, "a reset is asked for");
}

#[test]
fn timeout_status() {
    let mut keys = pair("timeout-status");
    keys.iter_mut().for_each(|key| key.user = User::StaysAway);
    assert_eq!(statuses(&mut keys, &create().create()), [status::ACTION_TIMEOUT, status::OPERATION_DENIED]);
    assert_eq!(statuses(&mut keys, &[SELECTION]), [status::ACTION_TIMEOUT, status::USER_ACTION_TIMEOUT]);
}

#[test]
fn excludes_any_rp() {
    for (index, mut key) in pair("excludes-any-rp").into_iter().enumerate() {
        let made = key.create(&Parameters::discoverable(OTHER_SITE, "root"));
        let excluding = create().with(5, crate::support::codec::descriptors(&[&made.id]));
        let expected = if index == 0 { status::CREDENTIAL_EXCLUDED } else { status::OK };
        assert_eq!(key.status(&excluding.create()), expected);
    }
}

#[test]
fn strict_algorithms() {
    let mut keys = pair("strict-algorithms");
    let request = create().with(4, algorithms(&[-7, -257])).create();
    assert_eq!(statuses(&mut keys, &request), [status::UNSUPPORTED_ALGORITHM, status::OK]);
    assert_eq!(statuses(&mut keys, &create().create()), [status::OK; 2]);
}

#[test]
fn strict_extensions() {
    let mut keys = pair("strict-extensions");
    let request = create().with(6, map([("unheardOf", boolean(true))])).create();
    assert_eq!(statuses(&mut keys, &request), [status::UNSUPPORTED_OPTION, status::OK]);
    let request = create().with(6, map([("credProtect", int(1))])).create();
    assert_eq!(statuses(&mut keys, &request), [status::OK; 2]);
    let request = Parameters::get_assertion(SITE).with(4, map([("unheardOf", boolean(true))])).get();
    assert_eq!(statuses(&mut keys, &request), [status::UNSUPPORTED_OPTION, status::NO_CREDENTIALS]);
}

#[test]
fn strict_options() {
    let mut keys = pair("strict-options");
    let request = create().with(7, map([("unheardOf", boolean(false))])).create();
    assert_eq!(statuses(&mut keys, &request), [status::LIMIT_EXCEEDED, status::OK]);
    let request = create().with(7, map([("rk", boolean(true))])).create();
    assert_eq!(statuses(&mut keys, &request), [status::OK; 2]);
}

#[test]
fn display_names() {
    let user = |name: Option<&str>| {
        let mut fields = vec![(text("id"), bytes(b"u")), (text("name"), text("root"))];
        fields.extend(name.map(|name| (text("displayName"), text(name))));
        create().with(3, Value::map(fields)).create()
    };
    let mut keys = pair("empty-display-name");
    assert_eq!(statuses(&mut keys, &user(Some(""))), [status::INVALID_LENGTH, status::OK]);
    assert_eq!(statuses(&mut keys, &user(None)), [status::OK; 2]);
    let mut keys = pair("absent-display-name");
    assert_eq!(statuses(&mut keys, &user(None)), [status::INVALID_CBOR, status::OK]);
    assert_eq!(statuses(&mut keys, &user(Some(""))), [status::OK; 2]);
}

/// Three answers for the same: that of the specification, Feitian's and a YubiKey's.
#[test]
fn empty_rp_list() {
    let yubikey = built_in("yubikey-5.8");
    for (profile, expected) in [
        (with_quirks("keyrig", &["empty-rp-list"]), vec![status::OK]),
        (yubikey, vec![status::OK, 0xA1, 0x05, 0x00]),
        (built_in("keyrig"), vec![status::NO_CREDENTIALS]),
    ] {
        let mut key = Driver::of(profile);
        key.set_pin(PIN);
        let token = key.token(2, PIN, permission::CM, None).unwrap();
        assert_eq!(key.send(&management(0x02, None, Some(&token)).message(0x0A)), expected);
    }
}

#[test]
fn list_limit_one() {
    for (index, mut key) in pair("list-limit-one").into_iter().enumerate() {
        let made = key.create(&create());
        let info = body(&key.send(&[0x04]));
        assert_eq!(info.contains_key(&7), index == 1, "no limit is announced");
        let two = Parameters::allow(SITE, &[b"unknown", &made.id]).get();
        assert_eq!(key.status(&two), if index == 0 { status::LIMIT_EXCEEDED } else { status::OK });
        assert_eq!(key.status(&Parameters::allow(SITE, &[&made.id]).get()), status::OK);
    }
}

fn silent(id: &[u8]) -> Vec<u8> {
    Parameters::allow(SITE, &[id]).with(5, map([("up", boolean(false))])).get()
}

#[test]
fn rejects_silent() {
    for (index, mut key) in pair("rejects-silent").into_iter().enumerate() {
        let made = key.create(&create());
        assert_eq!(key.status(&silent(&made.id)), if index == 0 { status::UNSUPPORTED_OPTION } else { status::OK });
        assert_eq!(key.status(&Parameters::allow(SITE, &[&made.id]).get()), status::OK);
    }
}

fn always_uv(quirk: Option<&str>) -> (Driver, Vec<u8>) {
    let mut key = Driver::new();
    let made = key.create(&create());
    let mut profile = altered(&[("alwaysUv = false", "alwaysUv = true")]);
    if let Some(quirk) = quirk {
        profile.add(Quirk::named(quirk).unwrap()).unwrap();
    }
    (Driver::on(key.disk.clone(), profile, 9), made.id)
}

#[test]
fn always_uv_silent() {
    for (quirk, expected) in [(Some("always-uv-silent"), status::PUAT_REQUIRED), (None, status::OK)] {
        let (mut key, id) = always_uv(quirk);
        assert_eq!(key.status(&silent(&id)), expected, "{quirk:?}");
    }
}

#[test]
fn missing_parameter_for_uv() {
    for (quirk, expected) in
        [(Some("missing-parameter-for-uv"), status::MISSING_PARAMETER), (None, status::PUAT_REQUIRED)]
    {
        let (mut key, id) = always_uv(quirk);
        assert_eq!(key.status(&Parameters::allow(SITE, &[&id]).get()), expected, "{quirk:?}");
        assert_eq!(key.status(&create().create()), status::PUAT_REQUIRED, "makeCredential says what it should");
    }
    let mut fips = Driver::of(built_in("yubikey-fips"));
    assert_eq!(fips.status(&Parameters::get_assertion(SITE).get()), status::MISSING_PARAMETER);
}

#[test]
fn extra_extension() {
    for (index, mut key) in pair("extra-extension").into_iter().enumerate() {
        let made = key.create(&Parameters::discoverable(SITE, "u").with(6, map([("credProtect", int(2))])));
        let mut outputs = vec!["credProtect"];
        outputs.extend(Some("unsolicited").filter(|_| index == 0));
        assert_eq!(made.data.extensions.unwrap().into_keys().collect::<Vec<_>>(), outputs);
        let got = key.assertion(&Parameters::allow(SITE, &[&made.id]), &made.public_key);
        assert_eq!(got.data.flags & ED != 0, index == 0);
    }
}

#[test]
fn attested_data_in_assertion() {
    for (index, mut key) in pair("attested-data-in-assertion").into_iter().enumerate() {
        let made = key.create(&create());
        let got = key.assertion(&Parameters::allow(SITE, &[&made.id]), &made.public_key);
        assert_eq!(got.data.flags & AT != 0, index == 0);
        assert_eq!(got.data.attested.map(|attested| attested.id), (index == 0).then_some(made.id));
    }
}

#[test]
fn hmac_secret_bad_signature() {
    for (index, mut key) in pair("hmac-secret-bad-signature").into_iter().enumerate() {
        let made = key.create(&create().with(6, map([("hmac-secret", boolean(true))])));
        let plain = Parameters::allow(SITE, &[&made.id]);
        key.assertion(&plain, &made.public_key);
        let salts = Platform::agree(&mut key, 2).salts(&[5; 32]);
        let input = Value::map(salts.into_iter().map(|(number, value)| (int(number), value)).collect());
        let asked = plain.with(4, map([("hmac-secret", input)]));
        let got = Assertion::read(&key.send(&asked.get()));
        assert!(got.data.extension("hmac-secret").is_some());
        assert_eq!(signature::is_right(&got, &asked.hash(2), &made.public_key), index == 1);
    }
}

#[test]
fn hangs_without_pin() {
    let [mut hanging, mut other] = pair("hangs-without-pin");
    let retries = Parameters::client_pin(subcommand::GET_PIN_RETRIES).message(CLIENT_PIN);
    assert!(matches!(hanging.start(&retries), Step::Silence));
    assert_eq!(hanging.try_send(&retries), None);
    assert_eq!(hanging.status(&[SELECTION]), status::OK, "another command ends it");
    assert_eq!(other.status(&retries), status::PIN_NOT_SET);
    hanging.set_pin(PIN);
    assert_eq!(hanging.pin_retries(), (8, false));
}

#[test]
fn long_key_handle() {
    let mut key = Driver::of(with_quirks("keyrig", &["long-key-handle"]));
    for request in [create(), Parameters::discoverable(SITE, "root")] {
        let made = key.create(&request);
        assert_eq!(made.id.len(), 300);
        key.assertion(&Parameters::allow(SITE, &[&made.id]), &made.public_key);
    }
}

/// Nitrokey FIDO2 within two seconds of plugging in (docs.nitrokey.com), and MIRkey, which asks never (google/CTAP2-test-tool).
#[test]
fn touches_that_are_not_asked_for() {
    let mut key = Driver::of(behaving("touch", "\"first-free\""));
    key.create(&create());
    assert_eq!(key.seen, [Event::Commit], "the first is free");
    key.create(&create());
    assert_eq!(key.seen.len(), 2, "the second is not");
    key.wait(Duration::from_secs(60));
    key.power_up();
    key.wait(Duration::from_secs(3));
    key.create(&create());
    assert_eq!(key.seen.len(), 2, "nor one that comes late");
    let mut key = Driver::of(behaving("touch", "\"never\""));
    for _ in 0..2 {
        key.create(&create());
        assert_eq!(key.seen, [Event::Commit]);
    }
    assert_eq!(key.status(&[0x07]), status::OK);
    assert_eq!(key.seen.len(), 2, "a reset is asked for");
}

/// The certificates of an attestation: extensions by FIDO U2F Authenticator Transports Extension 1.2, and the root behind the leaf.
#[test]
fn attestation_shape() {
    let certificates = |profile: Profile| -> Vec<Vec<u8>> {
        let made = Created::read(&Driver::of(profile).send(&create().create()));
        let chain = made.statement["x5c"].clone().extract_array().unwrap();
        chain.into_iter().map(|certificate| certificate.extract_byte_string().unwrap()).collect()
    };
    // OBJECT IDENTIFIER 1.3.6.1.4.1.45724.2.1.1 in DER.
    let transports = hex::decode("060b2b0601040182e51c020101").unwrap();
    let tells = |der: &[u8]| der.windows(transports.len()).any(|window| window == transports);
    let plain = certificates(built_in("keyrig"));
    assert_eq!((plain.len(), tells(&plain[0])), (1, false));
    assert!(tells(&certificates(behaving("attestation_tells_transports", "true"))[0]));
    let chain = certificates(behaving("attestation_sends_root", "true"));
    assert_eq!(chain, [plain[0].clone(), crate::support::ROOT.certificate().to_vec()]);
}

/// A Feitian ePass answers a getAssertion of this kind at once (google/CTAP2-test-tool), and takes a `pinUvAuthParam` without its
/// protocol.
#[test]
fn a_feitian_epass() {
    let mut key = Driver::of(built_in("feitian-epass"));
    let probe_of_get = Parameters::get_assertion(SITE).with(6, bytes(&[])).with(7, int(1)).get();
    assert_eq!(key.status(&probe_of_get), status::PIN_NOT_SET);
    assert_eq!(key.seen, []);
    assert_eq!(key.status(&probe(true)), status::PIN_NOT_SET);
    assert_eq!(key.seen.len(), 1);
    assert_eq!(key.status(&Parameters::get_assertion(SITE).get()), status::NO_CREDENTIALS);
    assert_eq!(key.seen, [], "without a list at once");
    assert_eq!(key.status(&Parameters::allow(SITE, &[b"unknown"]).get()), status::NO_CREDENTIALS);
    assert_eq!(key.seen.len(), 1, "with one after a touch");
    let uv = create().with(7, map([("uv", boolean(true))])).create();
    assert_eq!(key.status(&uv), status::UNSUPPORTED_OPTION);
    let request = Platform::agree(&mut key, 1).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&request), status::OK);
    let token = key.pin_token(1, PIN).unwrap();
    assert_eq!(key.status(&create().created_by(&token).without(9).create()), status::OK);
}

/// A Solo 1 (google/CTAP2-test-tool: Solo 3.0.0): an empty user handle is told, which platforms fail on.
#[test]
fn a_solo_1() {
    let mut key = Driver::of(built_in("solo-1"));
    let made = key.create(&Parameters::discoverable(SITE, ""));
    let got = key.assertion(&Parameters::get_assertion(SITE), &made.public_key);
    assert_eq!(got.user_id(), Some(vec![]));
    let param = create().with(8, bytes(&[7; 16])).with(9, int(1)).create();
    assert_eq!(key.status(&param), status::PIN_AUTH_INVALID);
    assert_eq!(key.status(&create().with(4, algorithms(&[-7, -257])).create()), status::OTHER);
    let mut stranger = Driver::new();
    assert_eq!(stranger.status(&Parameters::discoverable(SITE, "").create()), status::OK);
    assert!(!body(&stranger.send(&Parameters::get_assertion(SITE).get())).contains_key(&4));
}

/// CTAP 2.3 §6.5.5.7.3 step 6: UV_INVALID while there are retries, UV_BLOCKED without, and a PIN makes them full.
#[test]
fn uv_blocked_sticky() {
    for (profile, third) in [
        (with_quirks("keyrig-uv", &["uv-blocked-sticky"]), status::UV_BLOCKED),
        (built_in("keyrig-uv"), status::UV_INVALID),
    ] {
        let mut key = Driver::of(profile);
        key.set_pin(PIN);
        key.user = User::IsAnother;
        let by_uv = |key: &mut Driver| crate::user_verification::token_by_uv(key, permission::CM, None).map(drop);
        assert_eq!([by_uv(&mut key), by_uv(&mut key)], [Err(status::UV_INVALID); 2]);
        assert_eq!(by_uv(&mut key), Err(third));
        key.user = User::Touches;
        let own_finger = if third == status::UV_BLOCKED { Err(status::UV_BLOCKED) } else { Ok(()) };
        assert_eq!(by_uv(&mut key), own_finger);
        key.power_up();
        assert_eq!(by_uv(&mut key), own_finger);
        key.token(2, PIN, permission::CM, None).unwrap();
        assert_eq!(by_uv(&mut key), Ok(()));
    }
}

/// A YubiKey 5 takes no `uv` beside a `pinUvAuthParam` (linux-credentials/libwebauthn pull request 265).
#[test]
fn a_yubikey_5() {
    let mut key = Driver::of(built_in("yubikey-5.8"));
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let request = create().with(7, map([("uv", boolean(true))])).created_by(&token);
    assert_eq!(key.status(&request.create()), status::INVALID_OPTION);
    assert_eq!(key.status(&create().created_by(&token).create()), status::OK);
    let cm = key.token(2, PIN, permission::ACFG, None).unwrap();
    let enable = Parameters(std::collections::BTreeMap::from([(1, int(4))]));
    let param = cm.authenticate(&[&[0xFF; 32][..], &[0x0D, 0x04]].concat());
    let enable = enable.with(3, int(2)).with(4, bytes(&param));
    assert_eq!(key.status(&enable.message(0x0D)), status::INVALID_PARAMETER, "no long touch for reset");
    assert!(fields(&body(&key.send(&[0x04]))[&4]).contains_key("perCredMgmtRO"));
}

/// keyrig's own key that behaves otherwise in one field.
fn behaving(field: &str, value: &str) -> Profile {
    let line = format!("[behaviour]\n{field} = {{ is = {value}, known = \"decided\", from = \"a test\" }}");
    altered(&[("[behaviour]", &line)])
}

impl Driver {
    /// Touches the key, lets time pass, and sends a message: what it asks for then.
    fn touched_before(&mut self, time: Duration, message: &[u8]) -> Vec<Event> {
        let now = self.now;
        self.authenticator.touch_unasked(now);
        self.wait(time);
        assert_eq!(self.status(message), status::OK);
        self.seen.iter().filter(|event| matches!(event, Event::Gesture(_))).copied().collect()
    }
}
