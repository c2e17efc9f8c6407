use p256::ecdsa::signature::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::*;

fn leaf() -> (Certificate, Certificate, Profile) {
    let profile = Profile::built_in("keyrig").unwrap();
    let root = Root::new([3; 32]).unwrap();
    let leaf = root.issue(&profile, 1).unwrap();
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

/// RFC 5280 appendix A.1: ub-common-name is 64.
#[test]
fn common_names_have_at_most_64_characters() {
    let root = Root::new([3; 32]).unwrap();
    let attestation = root.issue(&Profile::built_in("yubikey-enterprise").unwrap(), u32::MAX).unwrap();
    let own = attestation.enterprise().unwrap().1.remove(0);
    for der in [attestation.certificate(), attestation.u2f_certificate(), &own] {
        let subject = Certificate::from_der(der).unwrap().tbs_certificate().subject().to_string();
        let name = subject.split(',').find_map(|part| part.strip_prefix("CN=")).unwrap();
        assert!(name.len() <= 64, "{name}");
    }
}

/// WebAuthn Level 3 §8.6: P-256, and U2F has no AAGUID. The bits are those of the transports extension: USB is bit 2.
#[test]
fn the_leaf_of_u2f_says_usb_and_no_aaguid() {
    let root = Root::new([3; 32]).unwrap();
    let attestation = root.issue(&Profile::built_in("keyrig").unwrap(), 1).unwrap();
    let packed = Certificate::from_der(attestation.certificate()).unwrap();
    let leaf = Certificate::from_der(attestation.u2f_certificate()).unwrap();
    let key = |certificate: &Certificate| certificate.tbs_certificate().subject_public_key_info().clone();
    assert_eq!(key(&leaf), key(&packed));
    assert!(extension(&leaf, "1.3.6.1.4.1.45724.1.1.4").is_none());
    let transports = extension(&leaf, "1.3.6.1.4.1.45724.2.1.1").unwrap();
    assert!(!transports.critical);
    assert_eq!(transports.extn_value.as_bytes(), [0x03, 0x02, 0x05, 0x20]);
    assert_ne!(leaf.tbs_certificate().serial_number(), packed.tbs_certificate().serial_number());
    assert!(leaf.tbs_certificate().subject().to_string().contains("TEST"));
}

#[test]
fn the_leaf_is_signed_by_the_root_and_the_root_by_itself() {
    let (root, leaf, profile) = leaf();
    let u2f = Root::new([3; 32]).unwrap().issue(&profile, 1).unwrap();
    let u2f = Certificate::from_der(u2f.u2f_certificate()).unwrap();
    let key = root.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
    for certificate in [&root, &leaf, &u2f] {
        let signature = DerSignature::try_from(certificate.signature().raw_bytes()).unwrap();
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
        (root.certificate().to_vec(), root.issue(&profile, 1).unwrap().certificate().to_vec())
    };
    assert_eq!(certificates(1), certificates(1));
    assert_ne!(certificates(1), certificates(2));
}
