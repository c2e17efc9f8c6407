//! COSE keys (RFC 9052 §7, RFC 9053 §7; WebAuthn Level 3 §6.5.1.1).

use keyrig_ctap::cose::{Algorithm, InvalidKey, PublicKey};

use crate::hex;

const X: &str = "a5fd5ce1b1c458c530a54fa61b31bf6b04be8b97afde54dd8cbb69275a8a1be1";
const Y: &str = "fa3a3231dd9deed9d1897be5a6228c59501e4bcd12975d3dff730f01278ea61c";
const ED25519: &str = "ee9b21803405d3cf45601e58b6f4c06ea93862de87d3af903c5870a5016e86f5";
/// The public key of RFC 6979 appendix A.2.6.
const X384: &str = "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13";
const Y384: &str = "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720";

/// Labels in canonical order: 1, 3, −1, −2, −3.
#[test]
fn keys_are_written_canonically_and_read() {
    for (encoded, key, algorithm) in [
        (
            format!("a5 0102 0326 2001 215820{X} 225820{Y}"),
            PublicKey::Es256 { x: hex(X).try_into().unwrap(), y: hex(Y).try_into().unwrap() },
            Algorithm::Es256,
        ),
        (
            format!("a4 0101 0327 2006 215820{ED25519}"),
            PublicKey::EdDsa(hex(ED25519).try_into().unwrap()),
            Algorithm::EdDsa,
        ),
        (
            format!("a5 0102 033822 2002 215830{X384} 225830{Y384}"),
            PublicKey::Es384 { x: hex(X384).try_into().unwrap(), y: hex(Y384).try_into().unwrap() },
            Algorithm::Es384,
        ),
    ] {
        assert_eq!(key.to_cose(), hex(&encoded));
        assert_eq!(PublicKey::from_cose(&hex(&encoded)), Ok(key.clone()));
        assert_eq!(key.algorithm(), algorithm);
    }
}

#[test]
fn a_key_whose_parts_do_not_belong_together_is_refused() {
    for (name, encoded, expected) in [
        ("key type OKP", format!("a5 0101 0326 2001 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("key type unassigned", format!("a5 011863 0326 2001 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("curve P-384", format!("a5 0102 0326 2002 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("curve secp256k1", format!("a5 0102 0326 2008 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("no curve", format!("a4 0102 0326 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("no x", format!("a4 0102 0326 2001 225820{Y}"), InvalidKey::WrongParameters),
        ("no y", format!("a4 0102 0326 2001 215820{X}"), InvalidKey::WrongParameters),
        ("compressed", format!("a5 0102 0326 2001 215820{X} 22f5"), InvalidKey::WrongParameters),
        ("short x", format!("a5 0102 0326 2001 21581f{} 225820{Y}", &X[2..]), InvalidKey::WrongParameters),
        ("long y", format!("a5 0102 0326 2001 215820{X} 22582100{Y}"), InvalidKey::WrongParameters),
        ("P-384 sizes", format!("a5 0102 0326 2001 215830{X384} 225830{Y384}"), InvalidKey::WrongParameters),
        ("P-256 as ES384", format!("a5 0102 033822 2001 215820{X} 225820{Y}"), InvalidKey::WrongParameters),
        ("Ed448", format!("a4 0101 0327 2007 215820{ED25519}"), InvalidKey::WrongParameters),
        ("X25519", format!("a4 0101 0327 2004 215820{ED25519}"), InvalidKey::WrongParameters),
        ("EdDSA as EC2", format!("a4 0102 0327 2006 215820{ED25519}"), InvalidKey::WrongParameters),
        ("no algorithm", format!("a4 0102 2001 215820{X} 225820{Y}"), InvalidKey::UnknownAlgorithm),
        ("RS256", "a4 0103 03390100 20420102 2143010001".to_owned(), InvalidKey::UnknownAlgorithm),
        ("ES512", format!("a5 0102 033823 2003 215820{X} 225820{Y}"), InvalidKey::UnknownAlgorithm),
        ("ESP256, −9 of RFC 9864", format!("a5 0102 0328 2001 215820{X} 225820{Y}"), InvalidKey::UnknownAlgorithm),
        ("unassigned, −1000", format!("a5 0102 033903e7 2001 215820{X} 225820{Y}"), InvalidKey::UnknownAlgorithm),
        ("private use, −70000", format!("a5 0102 033a0001116f 2001 215820{X} 225820{Y}"), InvalidKey::UnknownAlgorithm),
        (
            "algorithm in words",
            format!("a5 0102 03654553323536 2001 215820{X} 225820{Y}"),
            InvalidKey::UnknownAlgorithm,
        ),
        ("no key type", format!("a4 0326 2001 215820{X} 225820{Y}"), InvalidKey::NotACoseKey),
        ("label twice", format!("a5 0102 0326 2001 2001 215820{X}"), InvalidKey::NotACoseKey),
        ("trailing byte", format!("a5 0102 0326 2001 215820{X} 225820{Y} 00"), InvalidKey::NotACoseKey),
        ("an array", "80".to_owned(), InvalidKey::NotACoseKey),
        ("nothing", String::new(), InvalidKey::NotACoseKey),
    ] {
        assert_eq!(PublicKey::from_cose(&hex(&encoded)), Err(expected), "{name}");
    }
}

/// RFC 9964 §3: key type 7, and the parameter −1 alone. The lengths are those of FIPS 204 §4, table 2.
#[test]
fn keys_of_ml_dsa_are_written_canonically_and_read_at_their_length_alone() {
    let key = |length: usize| vec![0xA5; length];
    for (number, length, public) in [
        (0x2F, 1312, PublicKey::MlDsa44(Box::new([0xA5; 1312]))),
        (0x30, 1952, PublicKey::MlDsa65(Box::new([0xA5; 1952]))),
        (0x31, 2592, PublicKey::MlDsa87(Box::new([0xA5; 2592]))),
    ] {
        let encoded = |kind: u8, length: u16| {
            [&[0xA3, 1, kind, 3, 0x38, number, 0x20, 0x59][..], &length.to_be_bytes(), &key(length.into())].concat()
        };
        assert_eq!(public.to_cose(), encoded(7, length));
        assert_eq!(PublicKey::from_cose(&encoded(7, length)), Ok(public.clone()));
        assert_eq!(public.algorithm().identifier(), -1 - i64::from(number));
        for (kind, length) in [(7, length - 1), (7, length + 1), (7, 1312 + 1952 - length), (2, length)] {
            assert_eq!(PublicKey::from_cose(&encoded(kind, length)), Err(InvalidKey::WrongParameters));
        }
        // A private key, −2, is no part of a public one.
        let mut private = encoded(7, length);
        private[0] = 0xA4;
        private.extend([0x21, 0x41, 0x00]);
        assert_eq!(PublicKey::from_cose(&private), Err(InvalidKey::WrongParameters));
    }
}

/// IANA COSE Algorithms.
#[test]
fn algorithms_have_their_registered_identifiers_and_names() {
    for (algorithm, identifier, name) in [
        (Algorithm::Es256, -7, "ES256"),
        (Algorithm::EdDsa, -8, "EdDSA"),
        (Algorithm::Es384, -35, "ES384"),
        (Algorithm::MlDsa44, -48, "ML-DSA-44"),
        (Algorithm::MlDsa65, -49, "ML-DSA-65"),
        (Algorithm::MlDsa87, -50, "ML-DSA-87"),
    ] {
        assert_eq!((algorithm.identifier(), algorithm.name()), (identifier, name));
        assert_eq!(Algorithm::from_identifier(identifier), Some(algorithm));
    }
    for other in [0, 7, -9, -36, -257, i64::MIN, i64::MAX] {
        assert_eq!(Algorithm::from_identifier(other), None);
    }
}
