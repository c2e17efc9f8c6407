//! Private keys, independent of the library that uses them.

use core::fmt;

use keyrig_ctap::cose::Algorithm;
use p256::pkcs8::der::asn1::OctetStringRef;
use p256::pkcs8::der::{Decode, Encode};
use p256::pkcs8::{AlgorithmIdentifierRef, EncodePrivateKey, ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// id-Ed25519 (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// id-ml-dsa-44, id-ml-dsa-65 and id-ml-dsa-87 (RFC 9881 §2).
const ML_DSA: [(Algorithm, ObjectIdentifier); 3] = [
    (Algorithm::MlDsa44, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17")),
    (Algorithm::MlDsa65, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18")),
    (Algorithm::MlDsa87, ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19")),
];

/// The head of `seed [0] IMPLICIT OCTET STRING (SIZE (32))` (RFC 9881 §6).
const ML_DSA_SEED: [u8; 2] = [0x80, 32];

/// The order of P-256's base point (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA,
    0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

/// The order of P-384's base point (SEC 2 §2.5.1).
const P384_ORDER: [u8; 48] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC7, 0x63, 0x4D, 0x81, 0xF4, 0x37, 0x2D, 0xDF, 0x58, 0x1A, 0x0D, 0xB2, 0x48, 0xB0,
    0xA7, 0x7A, 0xEC, 0xEC, 0x19, 0x6A, 0xCC, 0xC5, 0x29, 0x73,
];

/// A private key of one of the algorithms: a scalar, big-endian, or the seed of Ed25519 or ML-DSA. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct PrivateKey {
    #[zeroize(skip)]
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm.name())
    }
}

impl PrivateKey {
    /// How many bytes a key of the algorithm has: 32, or 48 for [`Algorithm::Es384`].
    #[must_use]
    pub fn length(algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Es384 => 48,
            Algorithm::Es256 | Algorithm::EdDsa | Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => 32,
        }
    }

    /// Takes the bytes of a key. `None` unless they have the algorithm's length and, for the curves with a prime order,
    /// lie between 1 and that order.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let in_range = |order: &[u8]| bytes < order && bytes.iter().any(|byte| *byte != 0);
        let valid = bytes.len() == Self::length(algorithm)
            && match algorithm {
                Algorithm::Es256 => in_range(&P256_ORDER),
                Algorithm::Es384 => in_range(&P384_ORDER),
                Algorithm::EdDsa | Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => true,
            };
        valid.then(|| Self { algorithm, bytes: bytes.to_vec() })
    }

    /// A key from candidates: `candidate` fills the bytes, and is asked again in the rare case that they are not a scalar
    /// (rejection sampling; NIST SP 800-186 §4.2.2).
    pub fn from_candidates(algorithm: Algorithm, mut candidate: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 48];
        loop {
            let bytes = bytes.get_mut(..Self::length(algorithm)).unwrap_or_default();
            candidate(bytes);
            let key = Self::from_bytes(algorithm, bytes);
            bytes.zeroize();
            if let Some(key) = key {
                return key;
            }
        }
    }

    /// Reads a PKCS#8 private key, DER (RFC 5958; RFC 5915 for P-256 and P-384, RFC 8410 for Ed25519, RFC 9881 for ML-DSA, of which the
    /// form with the seed alone is read): what WebDriver's `addCredential` takes. `None` if it is none, or of another algorithm.
    #[must_use]
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let info = PrivateKeyInfoRef::try_from(der).ok()?;
        if info.algorithm.oid == ED25519 {
            let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes()).ok()?;
            return Self::from_bytes(Algorithm::EdDsa, seed.as_bytes());
        }
        if let Some((algorithm, _)) = ML_DSA.into_iter().find(|(_, oid)| info.algorithm.oid == *oid) {
            let seed = info.private_key.as_bytes().strip_prefix(&ML_DSA_SEED)?;
            let seed = Some(seed).filter(|_| info.algorithm.parameters.is_none())?;
            return Self::from_bytes(algorithm, seed);
        }
        if let Ok(key) = p256::SecretKey::try_from(info.clone()) {
            return Self::from_bytes(Algorithm::Es256, &key.to_bytes());
        }
        let key = p384::SecretKey::try_from(info).ok()?;
        Self::from_bytes(Algorithm::Es384, &key.to_bytes())
    }

    /// Writes it as PKCS#8, DER, as [`from_pkcs8`](Self::from_pkcs8) reads it.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let written = match self.algorithm {
            Algorithm::Es256 => p256::SecretKey::from_slice(&self.bytes)
                .ok()
                .and_then(|key| key.to_pkcs8_der().ok().map(|der| der.to_bytes())),
            Algorithm::Es384 => p384::SecretKey::from_slice(&self.bytes)
                .ok()
                .and_then(|key| key.to_pkcs8_der().ok().map(|der| der.to_bytes())),
            Algorithm::EdDsa => {
                let seed = OctetStringRef::new(&self.bytes).and_then(|seed| seed.to_der());
                seed.ok().and_then(|seed| to_pkcs8(ED25519, &Zeroizing::new(seed)))
            }
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
                let seed = Zeroizing::new([&ML_DSA_SEED, &self.bytes[..]].concat());
                let known = ML_DSA.into_iter().find(|(algorithm, _)| *algorithm == self.algorithm);
                known.and_then(|(_, oid)| to_pkcs8(oid, &seed))
            }
        };
        written.expect("bytes that were checked are a key, and have a length that DER writes")
    }

    /// The algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

/// A key whose algorithm has no parameters.
fn to_pkcs8(oid: ObjectIdentifier, private_key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters: None };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(private_key).ok()?);
    info.to_der().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_lie_between_one_and_the_order() {
        for (algorithm, order) in [(Algorithm::Es256, &P256_ORDER[..]), (Algorithm::Es384, &P384_ORDER[..])] {
            assert_eq!(PrivateKey::from_bytes(algorithm, order), None);
            assert_eq!(PrivateKey::from_bytes(algorithm, &vec![0; order.len()]), None);
            assert_eq!(PrivateKey::from_bytes(algorithm, &order[1..]), None);
            let mut largest = order.to_vec();
            *largest.last_mut().unwrap() -= 1;
            assert!(PrivateKey::from_bytes(algorithm, &largest).is_some());
        }
    }

    #[test]
    fn a_candidate_out_of_range_is_asked_for_again() {
        let mut candidates = [[0xFF; 32], [0x00; 32], [0x01; 32]].into_iter();
        let key = PrivateKey::from_candidates(Algorithm::Es256, |bytes| {
            bytes.copy_from_slice(&candidates.next().unwrap());
        });
        assert_eq!(key.expose(), [0x01; 32]);
    }

    /// The example keys of RFC 8410 §10.3, the second with attributes and a public key.
    #[test]
    fn a_key_of_another_maker_is_read_from_pkcs8() {
        let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
        for der in [
            format!("302e020100300506032b657004220420{seed}"),
            format!(
                "3072020101300506032b657004220420{seed}a01f301d060a2a864886f70d01090914310f0c0d437572646c65204368616972738121\
                 00{}",
                "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
            ),
        ] {
            let Some(key) = PrivateKey::from_pkcs8(&hex::decode(&der).unwrap()) else { panic!("{der}") };
            assert_eq!((key.algorithm(), hex::encode(key.expose())), (Algorithm::EdDsa, seed.to_owned()));
        }
    }

    /// Written by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkcs8 -topk8 -nocrypt -outform DER` and its like for
    /// P-384 and Ed25519.
    #[test]
    fn what_openssl_writes_is_read_and_written_again_byte_for_byte() {
        for (algorithm, der) in [
            (
                Algorithm::Es256,
                "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b02010104209182d7490608e0f0ac618eb344313f4a956d36\
                 e89a379758846d9ad14e2f3282a144034200041fa9bcaa2d900bf316fa02d70c9045107a86866426b34970aedfc1d558d420d09c724a69\
                 2a6fd260cec373c6e74ca47f31a9196474b4606eab3e08007666f423",
            ),
            (
                Algorithm::Es384,
                "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430cb657f04eaa97fa49ffbf1c7468d248d47f4cdcd\
                 a12c0f560a32ce7d7ae1f119c04af1ac955ca4c89c5814a2cd97c248a16403620004445572e917f91feef98798950b32e59200d84ac041\
                 3fb7429144398419bbab20de50820f0f88135a8cb6e8fcc0697eb9545974dde84272f312027ae397fa1ff60c4338d1b4406a272dee3104\
                 ed69e240a1d3d15ae560d46f117c3022d61fb1dd",
            ),
            (
                Algorithm::EdDsa,
                "302e020100300506032b657004220420c7f810dfe2dca8278961c5f3d34e1487be39a7592a17e216a6f31ca184e635fa",
            ),
        ] {
            let der = hex::decode(der).unwrap();
            let key = PrivateKey::from_pkcs8(&der).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(hex::encode(&*key.to_pkcs8()), hex::encode(&der));
            for length in 0..der.len() {
                assert_eq!(PrivateKey::from_pkcs8(&der[..length]), None, "{length}");
            }
        }
        // id-ecPublicKey with secp256k1, and no key at all.
        let secp256k1 = "308184020100301006072a8648ce3d020106052b8104000a046d306b0201010420ff75898f36f9bea4e0008182dba668739f\
                         87e28bfb4c05d752ba7b428f907370a144034200041eb2dbbb80f2714482ae6b301df2247aea52f4015ea65fcb20b0cc97cc\
                         3d20d52f1e2826d6b37f02f9d899ad0725ed4b8908b5792e2b17b4b4e67eaba0206f7f";
        assert_eq!(PrivateKey::from_pkcs8(&hex::decode(secp256k1).unwrap()), None);
        assert_eq!(PrivateKey::from_pkcs8(b"-----BEGIN PRIVATE KEY-----"), None);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = PrivateKey::from_bytes(Algorithm::EdDsa, &[0xA5; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(EdDSA)");
    }
}
