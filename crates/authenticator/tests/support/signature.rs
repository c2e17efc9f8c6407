//! Verifies what an authenticator signs, as a relying party does (WebAuthn Level 3 §6.5.5, §8.2).

use ed25519_dalek::Verifier;
use sk_cbor::Value;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::ROOT;
use super::codec::{Assertion, Created, EDDSA, ES256, ES384, ML_DSA_44, ML_DSA_65, ML_DSA_87, Parameters, cose};

fn verify(public_key: &Value, message: &[u8], signature: &[u8]) {
    let integer = |label| cose(public_key, label).extract_integer().unwrap();
    // RFC 9964 §3: key type 7, and the key as -1.
    if integer(1) == 7 {
        let key = cose(public_key, -1).extract_byte_string().unwrap();
        return match integer(3) {
            ML_DSA_44 => verify_ml_dsa::<ml_dsa::MlDsa44>(&key, message, signature),
            ML_DSA_65 => verify_ml_dsa::<ml_dsa::MlDsa65>(&key, message, signature),
            ML_DSA_87 => verify_ml_dsa::<ml_dsa::MlDsa87>(&key, message, signature),
            other => panic!("no algorithm of key type 7: {other}"),
        };
    }
    let coordinate = |label| cose(public_key, label).extract_byte_string().unwrap();
    let point = || [vec![4], coordinate(-2), coordinate(-3)].concat();
    // Key type and curve by RFC 9053 §7.1: 2 is EC2 with P-256 as 1 and P-384 as 2, 1 is OKP with Ed25519 as 6.
    match (integer(3), integer(1), integer(-1)) {
        (ES256, 2, 1) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point()).unwrap();
            key.verify(message, &p256::ecdsa::DerSignature::try_from(signature).unwrap()).unwrap();
        }
        (ES384, 2, 2) => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point()).unwrap();
            key.verify(message, &p384::ecdsa::DerSignature::try_from(signature).unwrap()).unwrap();
        }
        (EDDSA, 1, 6) => {
            let key = coordinate(-2).try_into().unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
            key.verify_strict(message, &signature.try_into().unwrap()).unwrap();
        }
        other => panic!("algorithm, key type and curve do not belong together: {other:?}"),
    }
}

fn verify_ml_dsa<P: ml_dsa::MlDsaParams>(key: &[u8], message: &[u8], signature: &[u8]) {
    let key = ml_dsa::VerifyingKey::<P>::decode(&key.try_into().unwrap());
    key.verify(message, &ml_dsa::Signature::<P>::try_from(signature).unwrap()).unwrap();
}

fn certified_key(certificate: &Certificate) -> p256::ecdsa::VerifyingKey {
    let key = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    p256::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap()
}

/// The attestation signature under the leaf, and the leaf under the root.
pub(crate) fn verify_attestation(created: &Created, request: &Parameters) {
    assert_eq!(created.format, "packed");
    assert_eq!(created.statement.keys().collect::<Vec<_>>(), ["alg", "sig", "x5c"]);
    assert_eq!(created.statement["alg"], super::codec::int(ES256));
    let chain = created.statement["x5c"].clone().extract_array().unwrap();
    assert_eq!(chain.len(), 1, "the root is not sent along");
    let leaf = Certificate::from_der(&chain[0].clone().extract_byte_string().unwrap()).unwrap();
    let signature = created.statement["sig"].clone().extract_byte_string().unwrap();
    let message = [created.data.raw.clone(), request.hash(1)].concat();
    certified_key(&leaf).verify(&message, &p256::ecdsa::DerSignature::try_from(&signature[..]).unwrap()).unwrap();

    let root = certified_key(&Certificate::from_der(ROOT.certificate()).unwrap());
    let signature = p256::ecdsa::DerSignature::try_from(leaf.signature().raw_bytes()).unwrap();
    root.verify(&leaf.tbs_certificate().to_der().unwrap(), &signature).unwrap();
}

/// Whether an assertion by ES256 is signed with the key.
pub(crate) fn is_right(assertion: &Assertion, client_data_hash: &[u8], public_key: &Value) -> bool {
    let coordinate = |label| cose(public_key, label).extract_byte_string().unwrap();
    let point = [vec![4], coordinate(-2), coordinate(-3)].concat();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
    let message = [&assertion.data.raw, client_data_hash].concat();
    p256::ecdsa::DerSignature::try_from(&assertion.signature[..])
        .is_ok_and(|signature| key.verify(&message, &signature).is_ok())
}

pub(crate) fn verify_assertion(assertion: &Assertion, client_data_hash: &[u8], public_key: &Value) {
    assert_eq!(assertion.kind, "public-key");
    verify(public_key, &[&assertion.data.raw, client_data_hash].concat(), &assertion.signature);
}
