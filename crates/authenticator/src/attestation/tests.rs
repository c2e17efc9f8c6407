use p256::ecdsa::signature::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::*;

fn leaf() -> (Certificate, Certificate, Profile) {
    let profile = Profile::built_in("keyrig").unwrap();
    let root = Root::new([3; 32]).unwrap();
    let leaf = root.issue(&profile).unwrap();
    (Certificate::from_der(root.certificate()).unwrap(), Certificate::from_der(leaf.certificate()).unwrap(), profile)
}

fn extension<'a>(certificate: &'a Certificate, oid: &str) -> Option<&'a Extension> {
    let oid = ObjectIdentifier::new_unwrap(oid);
    certificate.tbs_certificate().extensions()?.iter().find(|extension| extension.extn_id == oid)
}

/// WebAuthn Level 3 §8.2.1.
#[test]
fn the_leaf_meets_the_requirements_for_packed_attestation_certificates() {
    let (_, leaf, profile) = leaf();
    let certificate = leaf.tbs_certificate();
    assert_eq!(certificate.version(), x509_cert::Version::V3);
    let subject = certificate.subject().to_string();
    assert!(subject.contains("OU=Authenticator Attestation") && subject.contains("C=XX"), "{subject}");
    let constraints = extension(&leaf, "2.5.29.19").unwrap();
    assert!(!BasicConstraints::from_der(constraints.extn_value.as_bytes()).unwrap().ca);
    let aaguid = extension(&leaf, "1.3.6.1.4.1.45724.1.1.4").unwrap();
    assert!(!aaguid.critical);
    assert_eq!(aaguid.extn_value.as_bytes(), [&[0x04, 0x10][..], &profile.aaguid.0].concat());
}

#[test]
fn the_leaf_is_signed_by_the_root_and_the_root_by_itself() {
    let (root, leaf, _) = leaf();
    let key = root.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
    for certificate in [&root, &leaf] {
        let signature = p256::ecdsa::DerSignature::try_from(certificate.signature().raw_bytes()).unwrap();
        key.verify(&certificate.tbs_certificate().to_der().unwrap(), &signature).unwrap();
        assert_eq!(certificate.tbs_certificate().issuer(), root.tbs_certificate().subject());
    }
    assert!(root.tbs_certificate().subject().to_string().contains("TEST"));
}

#[test]
fn certificates_follow_from_the_secret() {
    let profile = Profile::built_in("keyrig").unwrap();
    let certificates = |secret| {
        let root = Root::new([secret; 32]).unwrap();
        (root.certificate().to_vec(), root.issue(&profile).unwrap().certificate().to_vec())
    };
    assert_eq!(certificates(1), certificates(1));
    assert_ne!(certificates(1), certificates(2));
}
