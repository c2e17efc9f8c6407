//! The public key as `getPublicKey()` gives it: SubjectPublicKeyInfo, DER (WebAuthn Level 3 §5.2.1.1; RFC 5480, RFC 8410, RFC 9881).

use keyrig_ctap::cbor::Item;
use keyrig_ctap::cose::PublicKey;

/// SEQUENCE { SEQUENCE { id-ecPublicKey, secp256r1 }, BIT STRING } up to the point.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// SEQUENCE { SEQUENCE { id-ecPublicKey, secp384r1 }, BIT STRING } up to the point.
const P384_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];
/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING } up to the key.
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SEC 1 §2.3.3: both coordinates follow.
const UNCOMPRESSED: [u8; 1] = [0x04];

/// The COSE algorithm identifier in a COSE_Key (RFC 9052 §7.1, label 3), if there is one.
pub(crate) fn algorithm(cose_key: &[u8]) -> Option<i64> {
    let mut entries = Item::parse(cose_key).ok()?.map().ok()?;
    entries.find(|(label, _)| label.integer() == Ok(3))?.1.integer().ok()
}

/// SubjectPublicKeyInfo for the keys that are known here.
pub(crate) fn subject_public_key_info(cose_key: &[u8]) -> Option<Vec<u8>> {
    Some(match PublicKey::from_cose(cose_key).ok()? {
        PublicKey::Es256 { x, y } => [&P256_PREFIX[..], &UNCOMPRESSED, &x, &y].concat(),
        PublicKey::Es384 { x, y } => [&P384_PREFIX[..], &UNCOMPRESSED, &x, &y].concat(),
        PublicKey::EdDsa(point) => [&ED25519_PREFIX[..], &point].concat(),
        PublicKey::MlDsa44(key) => ml_dsa(0x11, &key[..])?,
        PublicKey::MlDsa65(key) => ml_dsa(0x12, &key[..])?,
        PublicKey::MlDsa87(key) => ml_dsa(0x13, &key[..])?,
    })
}

/// SEQUENCE { SEQUENCE { id-ml-dsa-* }, BIT STRING }, of which the last byte of the identifier says which, with lengths in two bytes.
fn ml_dsa(parameters: u8, key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = [0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, parameters];
    let bits = u16::try_from(key.len() + 1).ok()?.to_be_bytes();
    let bit_string = [&[0x03, 0x82], &bits[..], &[0], key].concat();
    let length = u16::try_from(algorithm.len() + bit_string.len()).ok()?.to_be_bytes();
    Some([&[0x30, 0x82], &length[..], &algorithm, &bit_string].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410 §10.1 gives this key and its encoding.
    #[test]
    fn ed25519_is_encoded_as_in_rfc_8410() {
        let key = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let cose = hex::decode(format!("a4010103272006215820{key}")).unwrap();
        assert_eq!(algorithm(&cose), Some(-8));
        assert_eq!(hex::encode(subject_public_key_info(&cose).unwrap()), format!("302a300506032b6570032100{key}"));
    }

    /// The shape that `openssl ec -pubout -outform DER` writes.
    #[test]
    fn ecdsa_keys_are_encoded_as_by_openssl() {
        for (algorithm_label, curve, size, prefix) in [
            ("26", "01", 32, "3059301306072a8648ce3d020106082a8648ce3d030107034200"),
            ("3822", "02", 48, "3076301006072a8648ce3d020106052b81040022036200"),
        ] {
            let (x, y) = ("11".repeat(size), "22".repeat(size));
            let cose = format!("a5010203{algorithm_label}20{curve}2158{size:02x}{x}2258{size:02x}{y}");
            let encoded = subject_public_key_info(&hex::decode(cose).unwrap()).unwrap();
            assert_eq!(hex::encode(encoded), format!("{prefix}04{x}{y}"));
        }
    }

    /// The heads of RFC 9881 appendix C.2, and the lengths that Chromium 156 gives.
    #[test]
    fn ml_dsa_is_encoded_as_in_rfc_9881() {
        for (label, size, head, length) in [
            ("382f", 1312, "30820532300b06096086480165030403110382052100", 1334),
            ("3830", 1952, "308207b2300b0609608648016503040312038207a100", 1974),
            ("3831", 2592, "30820a32300b060960864801650304031303820a2100", 2614),
        ] {
            let cose = format!("a3010703{label}2059{size:04x}{}", "a5".repeat(size));
            let encoded = subject_public_key_info(&hex::decode(cose).unwrap()).unwrap();
            assert_eq!(encoded.len(), length);
            assert_eq!(hex::encode(encoded), format!("{head}{}", "a5".repeat(size)));
        }
    }

    #[test]
    fn an_unknown_algorithm_has_a_number_but_no_encoding() {
        // {1: 3, 3: -257}, an RSA key without its numbers.
        let cose = hex::decode("a20103033901 00".replace(' ', "")).unwrap();
        assert_eq!(algorithm(&cose), Some(-257));
        assert_eq!(subject_public_key_info(&cose), None);
        assert_eq!(algorithm(&hex::decode("a10103").unwrap()), None);
    }
}
