//! The key pairs, the shared secret of protocol one, its encrypted PIN hash and its token are python-fido2's test vectors;
//! everything else was computed from them by Python's `cryptography`.

use super::*;
use crate::testing::{system, unhex};

const OWN: &str = "7452e599fee739d8a653f6a507343d12d382249108a651402520b72f24fe7684";
const OWN_X: &str = "44d78d7989b97e62ea993496c9ef6e8fd58b8b00715f9a89153ddd9c4657e47f";
const OWN_Y: &str = "ec802ee7d22bd4e100f12e48537eb4e7e96ed3a47a0a3bd5f5eeab65001664f9";
const OTHER_X: &str = "0501d5bc78da9252560a26cb08fcc60cbe0b6d3b8e1d1fcee514fac0af675168";
const OTHER_Y: &str = "d551b3ed46f665731f95b4532939c25d91db7eb844bd96d4abd4083785f8df47";

fn coordinates(x: &str, y: &str) -> KeyAgreementKey {
    let sized = |text| unhex(text).try_into().unwrap();
    KeyAgreementKey { x: sized(x), y: sized(y) }
}

fn agreed(protocol: PinUvAuthProtocol) -> SharedSecret {
    let own = SecretKey::from_slice(&unhex(OWN)).unwrap();
    let (public, secret) = protocol.agree(&own, &coordinates(OTHER_X, OTHER_Y), &system()).unwrap();
    assert_eq!(public, coordinates(OWN_X, OWN_Y));
    secret
}

fn padded_pin() -> Vec<u8> {
    let mut pin = b"1234".to_vec();
    pin.resize(64, 0);
    pin
}

#[test]
fn protocol_one_is_as_others_compute_it() {
    let secret = agreed(PinUvAuthProtocol::One);
    assert_eq!(hex::encode(*secret.aes_key), "c42a039d548100dfba521e487debcbbb8b66bb7496f8b1862a7a395ed83e1a1c");
    assert_eq!(secret.hmac_key, secret.aes_key);
    let pin_hash = &Sha256::digest(b"1234")[..16];
    assert_eq!(hex::encode(secret.encrypt(pin_hash).unwrap()), "afe8327ce416da8ee3d057589c2ce1a9");
    let token = secret.decrypt(&unhex("7a9f98e31b77be90f9c64d12e9635040")).unwrap();
    assert_eq!(hex::encode(&*token), "aff12c6dcfbf9df52f7a09211e8865cd");
    let new_pin = secret.encrypt(&padded_pin()).unwrap();
    assert_eq!(
        hex::encode(&new_pin),
        "0222fc42c6dd76a274a7057858b9b29d98e8a722ec2dc6668476168c5320473cec9907b4cd76ce7943c96ba5683943211d84471e64d9c51e\
         54763488cd66526a"
    );
    assert_eq!(hex::encode(secret.authenticate(&new_pin)), "7b40c084ccc5794194189ab57836475f");
    let param = PinUvAuthProtocol::One.authenticate(&token, b"abc");
    assert_eq!(hex::encode(param), "10ea439f7565c015267717a65c71c650");
}

#[test]
fn protocol_two_is_as_others_compute_it() {
    let secret = agreed(PinUvAuthProtocol::Two);
    assert_eq!(hex::encode(*secret.hmac_key), "65ef955dd8cfcacab489ad582d64b872299cec1970aeffb10c90b9d9f4b4f1a7");
    assert_eq!(hex::encode(*secret.aes_key), "46cc03964825ccbaf159fde1958b2063871bd5b66ecf28972eaac583214a22d8");
    let iv = core::array::from_fn(|index| u8::try_from(index).unwrap());
    let new_pin = secret.encrypt_under(iv, &padded_pin());
    assert_eq!(
        hex::encode(&new_pin),
        "000102030405060708090a0b0c0d0e0f76f442d0c109cfc29362cfdea56c2dd2a64f2a11b02e40df972a71df1011cf8426ff2f3887edf477a73\
         a518467f90ff76adf360c00e8cd95e2eef66012267ec2"
    );
    assert_eq!(
        hex::encode(secret.authenticate(&new_pin)),
        "cbd8ce828e9847125882660c6f7ffd3b71e5dbb13039a2b37dbae9d50f7c34cb"
    );
    let token = secret
        .decrypt(&unhex(
            "000102030405060708090a0b0c0d0e0f25d38170e84a14410d23a37ca10d175b112c2c1663fd172f26fff2f6f2910121",
        ))
        .unwrap();
    assert_eq!(*token, (0..32).collect::<Vec<u8>>());
    let param = PinUvAuthProtocol::Two.authenticate(&token, b"abc");
    assert_eq!(hex::encode(param), "f0133729c4163dede81e21cd47839256da58171238c8a0d874397c73b14e1e47");
}

/// CTAP 2.3 §6.5.7: the IV is random and goes before the ciphertext.
#[test]
fn protocol_two_never_encrypts_the_same_way_twice() {
    let secret = agreed(PinUvAuthProtocol::Two);
    let (first, second) = (secret.encrypt(&[7; 32]).unwrap(), secret.encrypt(&[7; 32]).unwrap());
    assert_ne!(first, second);
    assert_eq!((first.len(), secret.decrypt(&first).unwrap().as_slice()), (48, &[7; 32][..]));
    let one = agreed(PinUvAuthProtocol::One);
    assert_eq!(one.encrypt(&[7; 32]).unwrap(), one.encrypt(&[7; 32]).unwrap());
}

#[test]
fn both_ends_of_an_agreement_share_the_secret() {
    for protocol in [PinUvAuthProtocol::One, PinUvAuthProtocol::Two] {
        let own = SecretKey::from_slice(&unhex(OWN)).unwrap();
        let (public, ours) = protocol.encapsulate(&coordinates(OWN_X, OWN_Y), &system()).unwrap();
        let (_, theirs) = protocol.agree(&own, &public, &system()).unwrap();
        assert_eq!((ours.aes_key, ours.hmac_key), (theirs.aes_key, theirs.hmac_key));
    }
}

#[test]
fn ciphertexts_that_no_authenticator_should_send() {
    for protocol in [PinUvAuthProtocol::One, PinUvAuthProtocol::Two] {
        let secret = agreed(protocol);
        for length in [1, 15, 17, 33] {
            assert!(secret.decrypt(&vec![0; length]).is_none(), "{protocol:?} {length}");
        }
    }
    assert!(agreed(PinUvAuthProtocol::Two).decrypt(&[]).is_none());
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let other = KeyAgreementKey { x: [1; 32], y: [2; 32] };
    assert_eq!(PinUvAuthProtocol::Two.encapsulate(&other, &system()).err(), Some(AgreementError::NotOnTheCurve));
}

/// CTAP 2.3 §6.5.5.4: the platform takes the first of the list that it knows.
#[test]
fn the_keys_order_of_preference_is_followed() {
    let info = |protocols: &[u64], client_pin: bool| get_info::Response {
        pin_uv_auth_protocols: protocols.to_vec(),
        options: if client_pin { vec![("clientPin".to_owned(), true)] } else { Vec::new() },
        ..get_info::Response::default()
    };
    for (protocols, client_pin, expected) in [
        (&[2, 1][..], true, Some(PinUvAuthProtocol::Two)),
        (&[1, 2], true, Some(PinUvAuthProtocol::One)),
        (&[3, 1], true, Some(PinUvAuthProtocol::One)),
        (&[3], true, None),
        (&[], true, Some(PinUvAuthProtocol::One)),
        (&[], false, None),
    ] {
        assert_eq!(PinUvAuthProtocol::of(&info(protocols, client_pin)), expected, "{protocols:?}");
    }
}

/// CTAP 2.3 §6.5.6 and §6.5.7.
#[test]
fn tokens_have_the_lengths_that_their_protocol_says() {
    let of =
        |protocol: PinUvAuthProtocol| (0..=64).filter(|length| protocol.is_token_length(*length)).collect::<Vec<_>>();
    assert_eq!(of(PinUvAuthProtocol::One), [16, 32]);
    assert_eq!(of(PinUvAuthProtocol::Two), [32]);
}
