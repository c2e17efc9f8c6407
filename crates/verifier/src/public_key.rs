//! Public keys and the verification of signatures (WebAuthn Level 3, §5.8.5 and §6.5.5).
//!
//! graviola verifies where the CPU has what it needs: its P-256 is within a tenth of the fastest library that was
//! measured, and it needs no C compiler. Elsewhere RustCrypto's libraries do, of the generation that webauthn-rs uses.
//! Both get the same keys and signatures, and the tests hold them to the same answers.

use ed25519_dalek::Verifier;
use keyrig_ctap::cbor::Item;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1::der::asn1::UintRef;
use rsa::pkcs1::der::{Decode, Encode};
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey, pkcs1};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::cbor;
use crate::check::Check;
use crate::report::Findings;
use crate::strictness::{Deviation, Strictness};

mod given;

pub use self::given::{GivenPublicKey, InvalidPublicKey};

pub(crate) const ES256: i64 = -7;
pub(crate) const EDDSA: i64 = -8;
pub(crate) const ES384: i64 = -35;
pub(crate) const ES512: i64 = -36;
pub(crate) const PS256: i64 = -37;
pub(crate) const PS384: i64 = -38;
pub(crate) const PS512: i64 = -39;
pub(crate) const ML_DSA_44: i64 = -48;
pub(crate) const ML_DSA_65: i64 = -49;
pub(crate) const ML_DSA_87: i64 = -50;
pub(crate) const RS256: i64 = -257;
const RS1: i64 = -65_535;

/// The COSE algorithms that signatures are verified for here: ES256, EdDSA with Ed25519, ES384, RS256; ES512, PS256, PS384, PS512;
/// ML-DSA-44, ML-DSA-65, ML-DSA-87. Ed448 is refused by name: no library of it is kept as those of the others are.
pub const SUPPORTED_ALGORITHMS: [i64; 11] =
    [ES256, EDDSA, ES384, RS256, ES512, PS256, PS384, PS512, ML_DSA_44, ML_DSA_65, ML_DSA_87];

/// RSA moduli that both libraries verify with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A public key: of a credential or of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// SEC 1, uncompressed.
    P256([u8; 65]),
    /// SEC 1, uncompressed.
    P384([u8; 97]),
    /// SEC 1, uncompressed.
    P521(Box<[u8; 133]>),
    Ed25519([u8; 32]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// FIPS 204, as it is encoded there.
    MlDsa(Set, Vec<u8>),
}

/// A parameter set of ML-DSA (FIPS 204, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl Set {
    /// Bytes of a public key (FIPS 204, §4, table 2).
    fn key_length(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
        }
    }
}

/// How a signature is made, apart from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ecdsa(Hash),
    EdDsa,
    RsaPkcs1(Hash),
    RsaPss(Hash),
    MlDsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// Of what TPMs say alone: nothing else is taken for signed by it.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Which library verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Graviola,
    RustCrypto,
}

impl Library {
    pub(crate) fn fastest() -> Self {
        if graviola::util::is_cpu_supported() { Self::Graviola } else { Self::RustCrypto }
    }
}

impl Scheme {
    /// What a COSE algorithm identifier means.
    pub(crate) fn from_cose(algorithm: i64) -> Option<Self> {
        match algorithm {
            ES256 => Some(Self::Ecdsa(Hash::Sha256)),
            ES384 => Some(Self::Ecdsa(Hash::Sha384)),
            ES512 => Some(Self::Ecdsa(Hash::Sha512)),
            EDDSA => Some(Self::EdDsa),
            PS256 => Some(Self::RsaPss(Hash::Sha256)),
            PS384 => Some(Self::RsaPss(Hash::Sha384)),
            PS512 => Some(Self::RsaPss(Hash::Sha512)),
            ML_DSA_44 | ML_DSA_65 | ML_DSA_87 => Some(Self::MlDsa),
            RS256 => Some(Self::RsaPkcs1(Hash::Sha256)),
            _ => None,
        }
    }

    /// The same where a TPM signs, whose keys for attestation may know nothing but RS1: those of Windows Hello do.
    pub(crate) fn of_tpm(algorithm: i64) -> Option<Self> {
        if algorithm == RS1 { Some(Self::RsaPkcs1(Hash::Sha1)) } else { Self::from_cose(algorithm) }
    }
}

/// The name of a COSE algorithm identifier, as far as it is known here.
pub(crate) fn algorithm_name(algorithm: i64) -> String {
    match algorithm {
        ES256 => "ES256 (-7)".to_owned(),
        EDDSA => "EdDSA (-8)".to_owned(),
        ES384 => "ES384 (-35)".to_owned(),
        RS256 => "RS256 (-257)".to_owned(),
        ES512 => "ES512 (-36)".to_owned(),
        PS256 => "PS256 (-37)".to_owned(),
        PS384 => "PS384 (-38)".to_owned(),
        PS512 => "PS512 (-39)".to_owned(),
        ML_DSA_44 => "ML-DSA-44 (-48)".to_owned(),
        ML_DSA_65 => "ML-DSA-65 (-49)".to_owned(),
        ML_DSA_87 => "ML-DSA-87 (-50)".to_owned(),
        -47 => "ES256K (-47), which is not supported here".to_owned(),
        -53 => "Ed448 (-53), which is not supported here".to_owned(),
        RS1 => "RS1 (-65535), which is by SHA-1, and taken of TPMs alone".to_owned(),
        other => format!("algorithm {other}, which is not supported here"),
    }
}

/// A credential public key: the algorithm that it names, and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialKey {
    pub(crate) algorithm: i64,
    pub(crate) key: PublicKey,
    /// In what its encoding deviates from the specification, where that refuses nothing.
    pub(crate) deviations: Vec<String>,
}

impl CredentialKey {
    pub(crate) const EXPECTED: &'static str = "a COSE_Key of a known algorithm";

    /// Reads a key; one that cannot be read fails [`Check::PublicKey`].
    pub(crate) fn check(findings: &mut Findings, encoded: &[u8], strictness: &Strictness) -> Option<Self> {
        match Self::from_cose(encoded, strictness) {
            Ok(key) => Some(key),
            Err(problem) => {
                findings.decide(Check::PublicKey, false, Self::EXPECTED, problem);
                None
            }
        }
    }

    /// That it is there, and how its encoding deviates.
    pub(crate) fn report(&self, findings: &mut Findings) {
        if self.deviations.is_empty() {
            let found = format!("a key for {}", algorithm_name(self.algorithm));
            findings.decide(Check::PublicKey, true, Self::EXPECTED, found);
        } else {
            findings.deviates(Check::PublicKey, Deviation::Report, Self::EXPECTED, self.deviations.join("; "));
        }
    }

    /// Reads a COSE_Key, which must have the parameters of its algorithm and no others (WebAuthn Level 3, §6.5.1).
    pub(crate) fn from_cose(encoded: &[u8], strictness: &Strictness) -> Result<Self, String> {
        let read = cbor::read(encoded, strictness.cbor_form)?;
        let item = Item::parse(&read.canonical).map_err(|error| format!("not canonical CBOR: {error}"))?;
        let mut deviations: Vec<String> = read.deviation.into_iter().collect();
        let mut parameters = Parameters::default();
        for (label, value) in item.map().map_err(|_| "a CBOR item that is not a map")? {
            match label.integer() {
                Ok(1) => parameters.key_type = value.integer().ok(),
                Ok(3) => parameters.algorithm = value.integer().ok(),
                Ok(-1) => parameters.first = Some(value),
                Ok(-2) => parameters.second = value.bytes().ok(),
                Ok(-3) => parameters.third = value.bytes().ok(),
                other => {
                    let what = other.map_or_else(
                        |_| "a parameter whose label is not an integer".to_owned(),
                        |label| format!("a parameter with the label {label}, which does not belong there"),
                    );
                    if strictness.key_parameters.refuses() {
                        return Err(what);
                    }
                    deviations.push(what);
                }
            }
        }
        let algorithm = parameters.algorithm.ok_or("no alg")?;
        let key = parameters.key(algorithm)?;
        Ok(Self { algorithm, key, deviations })
    }
}

/// What a COSE_Key has: the meaning of -1 to -3 depends on the key type (RFC 9053, §7; RFC 8230, §4).
#[derive(Default)]
struct Parameters<'a> {
    key_type: Option<i64>,
    algorithm: Option<i64>,
    first: Option<Item<'a>>,
    second: Option<&'a [u8]>,
    third: Option<&'a [u8]>,
}

impl Parameters<'_> {
    fn key(&self, algorithm: i64) -> Result<PublicKey, String> {
        const OKP: i64 = 1;
        const EC2: i64 = 2;
        const RSA: i64 = 3;
        const AKP: i64 = 7;
        match algorithm {
            ES256 => {
                self.expect(EC2, Some((1, "P-256")))?;
                Ok(PublicKey::P256(self.point()?))
            }
            ES384 => {
                self.expect(EC2, Some((2, "P-384")))?;
                Ok(PublicKey::P384(self.point()?))
            }
            EDDSA => {
                self.expect(OKP, Some((6, "Ed25519")))?;
                if self.third.is_some() {
                    return Err("a parameter -3, which an Ed25519 key does not have".to_owned());
                }
                let x = self.second.and_then(|x| x.try_into().ok()).ok_or("an x that does not have 32 bytes")?;
                Ok(PublicKey::Ed25519(x))
            }
            ES512 => {
                self.expect(EC2, Some((3, "P-521")))?;
                Ok(PublicKey::P521(Box::new(self.point()?)))
            }
            ML_DSA_44 => self.ml_dsa(AKP, Set::MlDsa44),
            ML_DSA_65 => self.ml_dsa(AKP, Set::MlDsa65),
            ML_DSA_87 => self.ml_dsa(AKP, Set::MlDsa87),
            RS256 | PS256 | PS384 | PS512 => {
                self.expect(RSA, None)?;
                if self.third.is_some() {
                    return Err("a parameter -3, which an RSA public key does not have".to_owned());
                }
                let modulus = self.first.and_then(|n| n.bytes().ok()).ok_or("no n")?;
                rsa(modulus, self.second.ok_or("no e")?)
            }
            other => Err(algorithm_name(other)),
        }
    }

    fn expect(&self, key_type: i64, curve: Option<(i64, &str)>) -> Result<(), String> {
        if self.key_type != Some(key_type) {
            return Err(format!("a kty that does not belong to alg: {:?} instead of {key_type}", self.key_type));
        }
        if let Some((curve, name)) = curve {
            let found = self.first.and_then(|crv| crv.integer().ok());
            if found != Some(curve) {
                return Err(format!("a crv that does not belong to alg: {found:?} instead of {curve} ({name})"));
            }
        }
        Ok(())
    }

    /// The parameter -1 is the key, and there is no other (RFC 9964, §3).
    fn ml_dsa(&self, key_type: i64, set: Set) -> Result<PublicKey, String> {
        self.expect(key_type, None)?;
        if self.second.is_some() || self.third.is_some() {
            return Err("a parameter -2 or -3, which an ML-DSA public key does not have".to_owned());
        }
        let key = self.first.and_then(|key| key.bytes().ok()).ok_or("no pub as bytes")?;
        if key.len() != set.key_length() {
            return Err(format!("a pub of {} bytes instead of {}", key.len(), set.key_length()));
        }
        Ok(PublicKey::MlDsa(set, key.to_vec()))
    }

    /// x and y as an uncompressed point; the compressed form, where y is a boolean, is not allowed.
    fn point<const N: usize>(&self) -> Result<[u8; N], String> {
        let (x, y) = self.second.zip(self.third).ok_or("no x, or no y as bytes")?;
        if x.len() != N / 2 || y.len() != N / 2 {
            return Err(format!("coordinates of {} and {} bytes instead of {}", x.len(), y.len(), N / 2));
        }
        [&[4], x, y].concat().try_into().map_err(|_| "coordinates of the wrong length".to_owned())
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, String> {
    let leading = modulus.first().ok_or("an empty n")?.leading_zeros();
    let bits = (modulus.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0));
    if leading == 8 {
        return Err("an n with zeros in front (RFC 8230, §4 wants none)".to_owned());
    }
    if !RSA_BITS.contains(&bits) {
        return Err(format!("an RSA modulus of {bits} bits; 2048 to 4096 are supported here"));
    }
    if exponent.is_empty() || exponent.len() > 4 {
        return Err(format!("an RSA exponent of {} bytes; 1 to 4 are supported here", exponent.len()));
    }
    Ok(PublicKey::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}

impl PublicKey {
    /// The key of a certificate.
    pub(crate) fn from_certificate(info: &SubjectPublicKeyInfoOwned) -> Result<Self, String> {
        let bits = info.subject_public_key.as_bytes().ok_or("a key that is not a whole number of bytes")?;
        let sized = |name: &str| format!("a {name} key that is not an uncompressed point");
        match info.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(SECP256R1) => Ok(Self::P256(bits.try_into().map_err(|_| sized("P-256"))?)),
                    Some(SECP384R1) => Ok(Self::P384(bits.try_into().map_err(|_| sized("P-384"))?)),
                    Some(SECP521R1) => Ok(Self::P521(Box::new(bits.try_into().map_err(|_| sized("P-521"))?))),
                    Some(other) => Err(format!("a key on the curve {other}, which is not supported here")),
                    None => Err("an elliptic-curve key without a named curve".to_owned()),
                }
            }
            ID_ED25519 => Ok(Self::Ed25519(bits.try_into().map_err(|_| "an Ed25519 key that does not have 32 bytes")?)),
            RSA_ENCRYPTION => {
                let key = pkcs1::RsaPublicKey::<UintRef<'_>>::from_der(bits)
                    .map_err(|error| format!("an RSA key that is not DER: {error}"))?;
                rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes())
            }
            other => Err(format!("a key of the type {other}, which is not supported here")),
        }
    }

    /// Whether the key is one at all: its point lies on its curve.
    pub(crate) fn is_sound(&self, library: Library) -> bool {
        use graviola::signing::{ecdsa, eddsa};
        match (library, self) {
            (Library::Graviola, Self::P256(point)) => {
                ecdsa::VerifyingKey::<ecdsa::P256>::from_x962_uncompressed(point).is_ok()
            }
            (Library::Graviola, Self::P384(point)) => {
                ecdsa::VerifyingKey::<ecdsa::P384>::from_x962_uncompressed(point).is_ok()
            }
            (Library::Graviola, Self::Ed25519(point)) => eddsa::Ed25519VerifyingKey::from_bytes(point).is_ok(),
            (Library::RustCrypto, Self::P256(point)) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
            (Library::RustCrypto, Self::P384(point)) => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
            (Library::RustCrypto, Self::Ed25519(point)) => ed25519_dalek::VerifyingKey::from_bytes(point).is_ok(),
            (_, Self::P521(point)) => p521::ecdsa::VerifyingKey::from_sec1_bytes(&point[..]).is_ok(),
            (_, Self::Rsa { modulus, exponent }) => rsa_key(modulus, exponent).is_some(),
            // Any bytes of the right length are a key.
            (_, Self::MlDsa(set, key)) => key.len() == set.key_length(),
        }
    }

    /// Whether a signature over the message (its parts, one after the other) is valid. A scheme that is not the key's
    /// verifies nothing.
    pub(crate) fn verify(&self, library: Library, scheme: Scheme, message: &[&[u8]], signature: &[u8]) -> bool {
        match library {
            Library::Graviola if self.suits_graviola(scheme) => self.verify_with_graviola(scheme, message, signature),
            _ => self.verify_with_rustcrypto(scheme, message, signature),
        }
    }

    /// graviola takes RSA moduli of whole 64-bit words only, and no SHA-1. Nearly all are, but not the specification's test vector.
    fn suits_graviola(&self, scheme: Scheme) -> bool {
        match self {
            Self::Rsa { modulus, .. } => {
                modulus.len() % 8 == 0 && matches!(scheme, Scheme::RsaPkcs1(hash) if hash != Hash::Sha1)
            }
            // It knows neither.
            Self::P521(_) | Self::MlDsa(..) => false,
            _ => true,
        }
    }

    fn verify_with_graviola(&self, scheme: Scheme, message: &[&[u8]], signature: &[u8]) -> bool {
        use graviola::hashing;
        use graviola::signing::ecdsa::{Curve, P256, P384, VerifyingKey};
        use graviola::signing::{eddsa, rsa};
        fn ecdsa<C: Curve>(point: &[u8], hash: Hash, message: &[&[u8]], signature: &[u8]) -> bool {
            VerifyingKey::<C>::from_x962_uncompressed(point).is_ok_and(|key| {
                match hash {
                    Hash::Sha1 => return false,
                    Hash::Sha256 => key.verify_asn1::<hashing::Sha256>(message, signature),
                    Hash::Sha384 => key.verify_asn1::<hashing::Sha384>(message, signature),
                    Hash::Sha512 => key.verify_asn1::<hashing::Sha512>(message, signature),
                }
                .is_ok()
            })
        }
        match (self, scheme) {
            (Self::P256(point), Scheme::Ecdsa(hash)) => ecdsa::<P256>(point, hash, message, signature),
            (Self::P384(point), Scheme::Ecdsa(hash)) => ecdsa::<P384>(point, hash, message, signature),
            (Self::Ed25519(point), Scheme::EdDsa) => eddsa::Ed25519VerifyingKey::from_bytes(point)
                .is_ok_and(|key| key.verify(signature, &message.concat()).is_ok()),
            (Self::Rsa { modulus, exponent }, Scheme::RsaPkcs1(hash)) => {
                let Some(key) =
                    pkcs1_der(modulus, exponent).and_then(|der| rsa::VerifyingKey::from_pkcs1_der(&der).ok())
                else {
                    return false;
                };
                let message = message.concat();
                match hash {
                    Hash::Sha1 => return false,
                    Hash::Sha256 => key.verify_pkcs1_sha256(signature, &message),
                    Hash::Sha384 => key.verify_pkcs1_sha384(signature, &message),
                    Hash::Sha512 => key.verify_pkcs1_sha512(signature, &message),
                }
                .is_ok()
            }
            _ => false,
        }
    }

    fn verify_with_rustcrypto(&self, scheme: Scheme, message: &[&[u8]], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::P256(point), Scheme::Ecdsa(hash)) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                let signature = p256::ecdsa::Signature::from_der(signature);
                key.is_ok_and(|key| signature.is_ok_and(|it| key.verify_prehash(&hash.of(message), &it).is_ok()))
            }
            (Self::P384(point), Scheme::Ecdsa(hash)) => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point);
                let signature = p384::ecdsa::Signature::from_der(signature);
                key.is_ok_and(|key| signature.is_ok_and(|it| key.verify_prehash(&hash.of(message), &it).is_ok()))
            }
            (Self::Ed25519(point), Scheme::EdDsa) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(point);
                let signature = ed25519_dalek::Signature::from_slice(signature);
                key.is_ok_and(|key| signature.is_ok_and(|it| key.verify(&message.concat(), &it).is_ok()))
            }
            (Self::Rsa { modulus, exponent }, Scheme::RsaPkcs1(hash)) => {
                let padding = match hash {
                    Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
                    Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                    Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                    Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                };
                rsa_key(modulus, exponent).is_some_and(|key| key.verify(padding, &hash.of(message), signature).is_ok())
            }
            (Self::Rsa { modulus, exponent }, Scheme::RsaPss(hash)) => {
                let Some(key) = rsa_key(modulus, exponent) else { return false };
                let hashed = hash.of(message);
                // The salt is as long as the hash (RFC 8230, §2).
                match hash {
                    Hash::Sha1 => return false,
                    Hash::Sha256 => key.verify(Pss::<Sha256>::new(), &hashed, signature),
                    Hash::Sha384 => key.verify(Pss::<Sha384>::new(), &hashed, signature),
                    Hash::Sha512 => key.verify(Pss::<Sha512>::new(), &hashed, signature),
                }
                .is_ok()
            }
            (Self::P521(point), Scheme::Ecdsa(hash)) => {
                let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point[..]);
                let signature = p521::ecdsa::Signature::from_der(signature);
                key.is_ok_and(|key| signature.is_ok_and(|it| key.verify_prehash(&hash.of(message), &it).is_ok()))
            }
            (Self::MlDsa(set, key), Scheme::MlDsa) => {
                let message = message.concat();
                match set {
                    Set::MlDsa44 => ml_dsa::<ml_dsa::MlDsa44>(key, &message, signature),
                    Set::MlDsa65 => ml_dsa::<ml_dsa::MlDsa65>(key, &message, signature),
                    Set::MlDsa87 => ml_dsa::<ml_dsa::MlDsa87>(key, &message, signature),
                }
            }
            _ => false,
        }
    }
}

/// FIPS 204, §5.3, with an empty context, as COSE has it (RFC 9964, §2).
fn ml_dsa<P: ml_dsa::MlDsaParams>(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = ml_dsa::EncodedVerifyingKey::<P>::try_from(key) else { return false };
    let Ok(signature) = ml_dsa::Signature::<P>::try_from(signature) else { return false };
    ml_dsa::VerifyingKey::<P>::decode(&key).verify_with_context(message, &[], &signature)
}

impl Hash {
    pub(crate) fn of(self, message: &[&[u8]]) -> Vec<u8> {
        fn digest<D: Digest>(message: &[&[u8]]) -> Vec<u8> {
            message.iter().fold(D::new(), |hash, part| hash.chain_update(part)).finalize().to_vec()
        }
        match self {
            Self::Sha1 => digest::<Sha1>(message),
            Self::Sha256 => digest::<Sha256>(message),
            Self::Sha384 => digest::<Sha384>(message),
            Self::Sha512 => digest::<Sha512>(message),
        }
    }
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Option<RsaPublicKey> {
    RsaPublicKey::new(BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from_be_slice_vartime(exponent)).ok()
}

fn pkcs1_der(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key =
        pkcs1::RsaPublicKey { modulus: UintRef::new(modulus).ok()?, public_exponent: UintRef::new(exponent).ok()? };
    key.to_der().ok()
}

#[cfg(test)]
mod tests;
