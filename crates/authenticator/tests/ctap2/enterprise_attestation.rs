//! Enterprise attestation (CTAP 2.3 §6.1.2 step 9, §6.11.1, §7.1; WebAuthn Level 3 §8.2.2).

use keyrig_authenticator::profile::EnterpriseRefused;
use sk_cbor::Value;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;

use crate::config::request as config_request;
use crate::support::codec::{Created, GET_INFO, Parameters, RESET, array, body, boolean, fields, int, status, text};
use crate::support::platform::permission;
use crate::support::signature::verify_attestation;
use crate::support::{Driver, SERIAL_NUMBER, altered_from, built_in};

const CONFIG: u8 = 0x0D;
const ENABLE: u8 = 0x01;
const PIN: &str = "1357";

/// Of the profile's list, and not.
const LISTED: &str = "enterprise.example.com";
const OTHER: &str = "example.com";

fn asked(rp_id: &str, value: i64) -> Parameters {
    Parameters::make_credential(rp_id, "root").with(10, int(value))
}

fn enabled() -> Driver {
    let mut key = Driver::of(built_in("yubikey-enterprise"));
    assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::OK);
    key
}

fn ep(key: &mut Driver) -> Value {
    fields(&body(&key.send(&[GET_INFO]))[&4])["ep"].clone()
}

/// `epAtt`, and the serial number in the certificate: id-fido-gen-ce-sernum, an octet string in the extension's own.
fn told(key: &mut Driver, parameters: &Parameters) -> (Option<Value>, Option<Vec<u8>>) {
    let answer = key.send(&parameters.create());
    let created = Created::read(&answer);
    verify_attestation(&created, parameters);
    let chain = created.statement["x5c"].clone().extract_array().unwrap();
    let leaf = Certificate::from_der(&chain[0].clone().extract_byte_string().unwrap()).unwrap();
    let sernum = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.2");
    let extension = leaf.tbs_certificate().extensions().unwrap().iter().find(|extension| extension.extn_id == sernum);
    assert!(extension.is_none_or(|extension| !extension.critical));
    let number = extension.map(|extension| extension.extn_value.as_bytes().strip_prefix(&[4, 4]).unwrap().to_vec());
    let subject = leaf.tbs_certificate().subject().to_string();
    assert_eq!(subject.contains(&SERIAL_NUMBER.to_string()), number.is_some(), "{subject}");
    (body(&answer).get(&4).cloned(), number)
}

#[test]
fn a_key_that_has_it_disabled_refuses_it_as_one_without() {
    for value in [0, 1, 2, 3] {
        let mut key = Driver::of(built_in("yubikey-enterprise"));
        assert_eq!(key.status(&asked(LISTED, value).create()), status::INVALID_PARAMETER, "{value}");
        assert_eq!(key.seen, []);
    }
}

/// §6.11.1: enabled by whoever may configure the key, and twice as well as once; only a reset disables it (§6.6).
#[test]
fn it_is_enabled_for_good_until_a_reset() {
    let mut key = Driver::of(built_in("yubikey-enterprise"));
    assert_eq!(ep(&mut key), boolean(false));
    key.set_pin(PIN);
    assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::PUAT_REQUIRED);
    let other = key.token(2, PIN, permission::CM, None).unwrap();
    assert_eq!(key.status(&config_request(ENABLE, None, Some(&other)).message(CONFIG)), status::PIN_AUTH_INVALID);
    let token = key.token(2, PIN, permission::ACFG, None).unwrap();
    for _ in 0..2 {
        assert_eq!(key.status(&config_request(ENABLE, None, Some(&token)).message(CONFIG)), status::OK);
        assert_eq!(ep(&mut key), boolean(true));
    }
    let mut key = key.restarted();
    assert_eq!(ep(&mut key), boolean(true));
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(ep(&mut key), boolean(false));
    assert_eq!(key.status(&asked(LISTED, 1).create()), status::INVALID_PARAMETER);
}

/// Where it is enabled from the factory on, too.
#[test]
fn a_reset_disables_what_the_maker_enabled() {
    let written = include_str!("../../profiles/yubikey-enterprise.toml");
    let mut key = Driver::of(altered_from(written, &[("ep = false", "ep = true")]));
    assert_eq!(ep(&mut key), boolean(true));
    assert_eq!(key.status(&[RESET]), status::OK);
    assert_eq!(ep(&mut key), boolean(false));
    let mut key = key.restarted();
    assert_eq!(ep(&mut key), boolean(false));
    assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::OK);
    assert_eq!(ep(&mut key), boolean(true));
}

/// §7.1.1 and §7.1.2: by 1 the key decides, by its list, and by 2 the platform has decided.
#[test]
fn the_key_decides_by_its_list_and_the_platform_by_asking() {
    let serial_number = Some(SERIAL_NUMBER.to_be_bytes().to_vec());
    for (rp_id, value, given) in [(LISTED, 1, true), (OTHER, 1, false), (LISTED, 2, true), (OTHER, 2, true)] {
        let (ep_att, number) = told(&mut enabled(), &asked(rp_id, value));
        assert_eq!(ep_att, given.then(|| boolean(true)), "{rp_id}, {value}");
        assert_eq!(number, serial_number.clone().filter(|_| given), "{rp_id}, {value}");
    }
    // Who asks for none gets the model's.
    let (ep_att, number) = told(&mut enabled(), &Parameters::make_credential(LISTED, "root"));
    assert_eq!((ep_att, number), (None, None));
}

/// RP IDs that are added to the list have it as those of the profile do.
#[test]
fn a_list_takes_further_rp_ids_of_a_key_that_is_capable_of_it() {
    let mut profile = built_in("yubikey-enterprise");
    for _ in 0..2 {
        profile.list_for_enterprise(OTHER).unwrap();
    }
    assert_eq!(profile.enterprise_attestation.rp_ids, [LISTED, OTHER]);
    for rp_id in ["", "https://example.com", "example.com:8443", "bücher.example", &"a".repeat(254)] {
        assert_eq!(
            profile.list_for_enterprise(rp_id),
            Err(EnterpriseRefused::NoRpId(rp_id.chars().take(253).collect()))
        );
    }
    let refused = built_in("keyrig").list_for_enterprise(OTHER);
    assert_eq!(refused, Err(EnterpriseRefused::NotCapable { profile: "keyrig".to_owned() }));
    let mut key = Driver::of(profile);
    assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::OK);
    for (rp_id, given) in [(LISTED, true), (OTHER, true), ("another.example.com", false)] {
        let (ep_att, number) = told(&mut key, &asked(rp_id, 1));
        assert_eq!((ep_att.is_some(), number.is_some()), (given, given), "{rp_id}");
    }
}

/// §7.1.2, note: a key without platform-managed attestation takes 2 for 1.
#[test]
fn without_platform_managed_attestation_the_list_decides_whatever_is_asked() {
    let written = include_str!("../../profiles/yubikey-enterprise.toml");
    let profile = altered_from(written, &[("platform_managed = true", "platform_managed = false")]);
    for (rp_id, given) in [(LISTED, true), (OTHER, false)] {
        let mut key = Driver::of(profile.clone());
        assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::OK);
        let (ep_att, number) = told(&mut key, &asked(rp_id, 2));
        assert_eq!((ep_att.is_some(), number.is_some()), (given, given), "{rp_id}");
    }
}

#[test]
fn another_value_is_an_invalid_option_before_any_touch() {
    for value in [0, 3, 255] {
        let mut key = enabled();
        key.seen.clear();
        assert_eq!(key.status(&asked(LISTED, value).create()), status::INVALID_OPTION, "{value}");
        assert_eq!(key.seen, []);
    }
}

/// §6.4: the subcommand is there if the option is.
#[test]
fn a_key_that_tells_its_subcommands_tells_this_one() {
    let written = include_str!("../../profiles/keyrig.toml");
    let commands = ("authenticator_config_commands = [2, 3, 4]", "authenticator_config_commands = [1, 2, 3, 4]");
    let mut key = Driver::of(altered_from(written, &[commands, ("[options]", "[options]\nep = false")]));
    assert_eq!(body(&key.send(&[GET_INFO]))[&0x1F], array([1, 2, 3, 4].map(int)));
    // No list: nobody by 1, and whom the platform asks for by 2. `none` is what was preferred.
    assert_eq!(key.status(&config_request(ENABLE, None, None).message(CONFIG)), status::OK);
    assert_eq!(told(&mut key, &asked(LISTED, 1)).0, None);
    assert_eq!(told(&mut key, &asked(OTHER, 2)).0, Some(boolean(true)));
    let answer = key.send(&asked(OTHER, 2).with(11, array([text("none")])).create());
    assert_eq!((Created::read(&answer).format.as_str(), body(&answer).get(&4)), ("none", None));
}
