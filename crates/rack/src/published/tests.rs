//! Metadata as others will read it: by libraries that nobody here wrote, and by what the specification says of its members.

use keyrig_metadata::Document;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

use super::*;

const NOW: Duration = Duration::from_secs(1_793_491_200 + 3_600); // 2026-11-01T01:00:00Z

fn root() -> Root {
    Root::new([7; 32]).unwrap()
}

fn read(root: &Root, variant: Variant) -> Document {
    let profiles = built_in();
    let publication = Publication { root, profiles: &profiles, now: NOW, crl: Some("http://localhost/root.crl") };
    Document::read(publication.jwt(variant).unwrap().as_bytes()).unwrap()
}

/// Whether the key in the first certificate of a token has signed it. The key is the last 65 bytes of the certificate's public key, which
/// begin with 04: it is looked for by the head of a SubjectPublicKeyInfo on P-256 (RFC 5480).
fn is_signed(document: &Document) -> bool {
    const HEAD: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
        0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let jwt = document.jwt.as_ref().unwrap();
    let der = &jwt.header.x5c[0].0;
    let at = der.windows(HEAD.len()).position(|window| window == HEAD).unwrap() + HEAD.len();
    let key = VerifyingKey::from_sec1_bytes(&der[at..at + 65]).unwrap();
    key.verify(jwt.signed.as_bytes(), &Signature::from_slice(&jwt.signature).unwrap()).is_ok()
}

#[test]
fn a_blob_has_every_key_and_the_root_that_vouches_for_it() {
    let root = root();
    let document = read(&root, Variant::Good);
    assert!(is_signed(&document));
    let blob = &document.blob;
    assert_eq!((blob.no, blob.next_update.to_string().as_str()), (1_793_491_200 / 86_400, "2026-12-01"));
    for profile in built_in().iter().filter(|profile| profile.has_ctap2()) {
        let entry = blob.entry(profile.aaguid).unwrap_or_else(|| panic!("{}", profile.name));
        let statement = entry.metadata_statement.as_ref().unwrap();
        assert_eq!(statement.aaguid, Some(profile.aaguid), "{}", profile.name);
        assert_eq!(statement.attestation_root_certificates, [Certificate(root.certificate().to_vec())]);
        assert!(statement.description.starts_with("keyrig TEST: "), "{}", statement.description);
    }
    let u2f: Vec<_> = blob.entries.iter().filter(|entry| entry.aaguid.is_none()).collect();
    assert_eq!(u2f.len(), 1, "u2f-only is known by the key in its certificate");
    assert_eq!(u2f[0].attestation_certificate_key_identifiers[0].len(), 40);
}

/// What is published of a profile makes a key that says the same of itself.
#[test]
fn a_statement_of_a_profile_makes_a_key_that_announces_the_same() {
    let root = root();
    for name in ["keyrig", "keyrig-uv", "yubikey-5.8", "yubikey-bio-5.7", "crescendo"] {
        let profile = Profile::built_in(name).unwrap();
        let profiles = [profile.clone()];
        let publication = Publication { root: &root, profiles: &profiles, now: NOW, crl: None };
        let entry = publication.blob(Variant::Good).unwrap().entries.remove(0);
        let made = crate::certified::of_entry(&entry).unwrap();
        assert_eq!(made.info(), profile.info(), "{name}");
    }
}

#[test]
fn each_variant_has_one_thing_the_matter() {
    let root = root();
    let good = read(&root, Variant::Good);
    let keyrig = Profile::built_in("keyrig").unwrap().aaguid;
    for variant in Variant::ALL.iter().copied() {
        assert_eq!(variant.name().parse(), Ok(variant));
        let document = read(&root, variant);
        assert_eq!(is_signed(&document), variant != Variant::BadSignature, "{variant}");
        let statuses: Vec<_> = document
            .blob
            .entry(keyrig)
            .map(|entry| entry.status_reports.iter().map(|report| report.status.name().to_owned()).collect())
            .unwrap_or_default();
        let (expected, same_payload): (&[&str], bool) = match variant {
            Variant::Good | Variant::BadSignature | Variant::WrongChain | Variant::RevokedCertificate => {
                (&["NOT_FIDO_CERTIFIED"], true)
            }
            Variant::Expired | Variant::WrongAaguid => (&["NOT_FIDO_CERTIFIED"], false),
            Variant::Revoked => (&["NOT_FIDO_CERTIFIED", "REVOKED"], false),
            Variant::Compromised => (&["NOT_FIDO_CERTIFIED", "ATTESTATION_KEY_COMPROMISE"], false),
            Variant::UpdateAvailable => (&["NOT_FIDO_CERTIFIED", "UPDATE_AVAILABLE"], false),
            Variant::MissingEntry => (&[], false),
        };
        assert_eq!(statuses, expected, "{variant}");
        assert_eq!(document.blob == good.blob, same_payload, "{variant}");
    }
    assert_eq!(read(&root, Variant::Expired).blob.next_update.to_string(), "2026-10-31");
    assert!("best".parse::<Variant>().unwrap_err().to_string().contains("good, expired"));
}

#[test]
fn a_certificate_in_pem_has_lines_of_64_characters() {
    let pem = pem(&[0; 100]);
    let lines: Vec<_> = pem.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"));
    assert!(lines[1..lines.len() - 2].iter().all(|line| line.len() == 64) && pem.ends_with("-----\n"), "{pem}");
}
