use keyrig_ctap::cose::{Algorithm, KeyAgreementKey};

use super::*;
use crate::environment::{Crypto, Seeded};
use crate::portable_crypto::Portable;
use crate::private_key::PrivateKey;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn array(text: &str) -> [u8; 32] {
    bytes(text).try_into().unwrap()
}

/// The key agreement that the tests of Yubico's libraries use. What follows from it for protocol two was computed with
/// OpenSSL 3.0.
fn shared_secret(protocol: PinUvAuthProtocol) -> SharedSecret {
    let private = bytes("7452e599fee739d8a653f6a507343d12d382249108a651402520b72f24fe7684");
    let private = PrivateKey::from_bytes(Algorithm::Es256, &private).unwrap();
    let peer = KeyAgreementKey {
        x: array("0501d5bc78da9252560a26cb08fcc60cbe0b6d3b8e1d1fcee514fac0af675168"),
        y: array("d551b3ed46f665731f95b4532939c25d91db7eb844bd96d4abd4083785f8df47"),
    };
    let z = Portable.diffie_hellman(&private, &peer).unwrap();
    assert_eq!(hex::encode(*z), "001bc4b24d2372ce13715cbf731e660586bb713408f0d1f5ad79cb1088f9e53c");
    protocol.shared_secret(&z)
}

#[test]
fn shared_secrets_are_those_of_the_vectors() {
    let one = shared_secret(PinUvAuthProtocol::One);
    assert_eq!(hex::encode(one.aes_key), "c42a039d548100dfba521e487debcbbb8b66bb7496f8b1862a7a395ed83e1a1c");
    assert_eq!(one.hmac_key, one.aes_key);
    let two = shared_secret(PinUvAuthProtocol::Two);
    assert_eq!(hex::encode(two.hmac_key), "65ef955dd8cfcacab489ad582d64b872299cec1970aeffb10c90b9d9f4b4f1a7");
    assert_eq!(hex::encode(two.aes_key), "46cc03964825ccbaf159fde1958b2063871bd5b66ecf28972eaac583214a22d8");
}

#[test]
fn protocol_one_decrypts_what_yubicos_libraries_encrypted() {
    let secret = shared_secret(PinUvAuthProtocol::One);
    let pin_hash = secret.decrypt(&bytes("afe8327ce416da8ee3d057589c2ce1a9")).unwrap();
    assert_eq!(*pin_hash, Sha256::digest("1234")[..16]);
    let token = secret.decrypt(&bytes("7a9f98e31b77be90f9c64d12e9635040")).unwrap();
    assert_eq!(hex::encode(&*token), "aff12c6dcfbf9df52f7a09211e8865cd");
}

#[test]
fn both_protocols_encrypt_and_decrypt_as_openssl_does() {
    let plaintext: Vec<u8> = (0x20..0x40).collect();
    let one = shared_secret(PinUvAuthProtocol::One);
    let ciphertext = bytes("b20d559e9919c92a13d64450642872db8eb5c53ba5ce372f8073bc26343b47f4");
    assert_eq!(one.encrypt(&mut Seeded::new([0; 32]), &plaintext), ciphertext);
    assert_eq!(*one.decrypt(&ciphertext).unwrap(), plaintext);

    let two = shared_secret(PinUvAuthProtocol::Two);
    let ciphertext =
        bytes("000102030405060708090a0b0c0d0e0fcb0b6231c125b55416f2c79373b61ac1d590f9bfddf1078fe0e9a3271623d3bf");
    assert_eq!(*two.decrypt(&ciphertext).unwrap(), plaintext);
    // Its initialization vector is random, so only the way back can be compared.
    let mut environment = Seeded::new([0; 32]);
    let (first, second) = (two.encrypt(&mut environment, &plaintext), two.encrypt(&mut environment, &plaintext));
    assert_eq!((first.len(), second.len()), (48, 48));
    assert_ne!(first, second);
    assert_eq!(*two.decrypt(&first).unwrap(), plaintext);
}

#[test]
fn a_ciphertext_of_no_whole_number_of_blocks_is_refused() {
    for length in 0..=64 {
        let (one, two) = (shared_secret(PinUvAuthProtocol::One), shared_secret(PinUvAuthProtocol::Two));
        assert_eq!(one.decrypt(&vec![0; length]).is_some(), length % 16 == 0, "{length}");
        assert_eq!(two.decrypt(&vec![0; length]).is_some(), length % 16 == 0 && length >= 16, "{length}");
    }
}

#[test]
fn signatures_are_those_of_hmac_whole_or_the_first_half_and_nothing_shorter_or_longer() {
    for (protocol, signature) in [
        (PinUvAuthProtocol::One, "96a179a02ad66fdfb529bb582ed5617c"),
        (PinUvAuthProtocol::Two, "455be5ded7cc07560ff3fb590cb53ddc8a6bfd4350337e4eb479c5373be59161"),
    ] {
        let secret = shared_secret(protocol);
        let signature = bytes(signature);
        assert!(secret.verify(&[b"mess", b"age"], &signature));
        assert!(!secret.verify(&[b"massage"], &signature));
        for length in 0..signature.len() {
            assert!(!secret.verify(&[b"message"], &signature[..length]), "{protocol:?}: {length} bytes");
        }
        assert!(!secret.verify(&[b"message"], &[&signature[..], &[0]].concat()));
        for index in 0..signature.len() {
            let mut altered = signature.clone();
            altered[index] ^= 0x80;
            assert!(!secret.verify(&[b"message"], &altered), "{protocol:?}: byte {index}");
        }
    }
}

/// WebAuthn Level 3, §16.17.2 "CTAP2 hmac-secret extension": what the platform there sends, the key's secret, and what comes of it.
#[test]
fn hmac_secret_yields_the_results_of_the_test_vectors_of_webauthn() {
    use keyrig_ctap::extensions::HmacSecretInput;

    use crate::hmac_secret::Salts;

    // SHA-256 of the vectors' seed and 05, as the section says.
    let private = Sha256::digest(b"WebAuthn PRF test vectors\x05");
    let private = PrivateKey::from_bytes(Algorithm::Es256, &private).unwrap();
    let cred_random = array("437e065e723a98b2f08f39d8baf7c53ecb3c363c5e5104bdaaf5d5ca2e028154");
    // The public key of the platform's private one, by Python's `cryptography`.
    let platform = KeyAgreementKey {
        x: array("a6ad249c9c2558e03e4ffbef60255d942b0166f5446cef916ab5f4ec4335a1c5"),
        y: array("67315207e09ce082c31b052c7e2bcb700e79f1c53bd3bb4e3bb6fef89d227bc1"),
    };
    let results = [
        "3c33e07d202c3b029cc21f1722767021bf27d595933b3d2b6a1b9d5dddc77fae",
        "a62a8773b19cda90d7ed4ef72a80a804320dbd3997e2f663805ad1fd3293d50b",
    ];
    let secrets = [
        (PinUvAuthProtocol::One, "23e5ed7157c25892b77732fb9c8a107e3518800db2af4142f9f4adfacb771d39"),
        (PinUvAuthProtocol::Two, "0c63083de8170101d38bcf8bd72309568ddb4550867e23404b35d85712f7c20d"),
    ];
    for (protocol, salt_enc, count) in [
        (PinUvAuthProtocol::One, "ab8c878bb05d04700f077ed91845ec9c503c925cb12b327ddbeb4243c397f913", 1),
        (
            PinUvAuthProtocol::Two,
            "23dde5e3462daf36559b85c4ac5f9656aa9bfd81c1dc2bf8533c8b9f3882854786b4f500e25b4e3d81f7fc7c74236229",
            1,
        ),
        (
            PinUvAuthProtocol::Two,
            "d9f4236403e0fe843a8e4e5be764d120904c198ad6e77b089876a3391961f183b0008b4ca66b91cd72aa35b6151ff981f6e5649f3c040e6615\
             ad7dd8ae96ef23b229a5c97c3f0dcd8605eee166ce163a",
            2,
        ),
    ] {
        let z = Portable.diffie_hellman(&private, &platform).unwrap();
        let secret = protocol.shared_secret(&z);
        let (_, expected) = secrets.iter().find(|(known, _)| *known == protocol).unwrap();
        assert_eq!(hex::encode(secret.hmac_key), *expected);
        let salt_enc = bytes(salt_enc);
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.hmac_key).unwrap();
        mac.update(&salt_enc);
        let authenticated = mac.finalize().into_bytes();
        let length = if protocol == PinUvAuthProtocol::One { 16 } else { 32 };
        let input = HmacSecretInput {
            key_agreement: platform,
            salt_enc: salt_enc.clone(),
            salt_auth: authenticated[..length].to_vec(),
            pin_uv_auth_protocol: (protocol == PinUvAuthProtocol::Two).then_some(2),
        };
        let again = protocol.shared_secret(&z);
        let outputs = Salts::open(secret, &input).unwrap().outputs(&cred_random, &mut Seeded::new([0; 32]));
        assert_eq!(hex::encode(&*again.decrypt(&outputs).unwrap()), results[..count].concat());
    }
}
