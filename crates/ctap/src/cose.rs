//! COSE public keys and algorithms (RFC 9052 §7, RFC 9053, RFC 9964; WebAuthn Level 3 §5.8.5), by way of `coset`.

use coset::iana::{self, EnumI64};
use coset::{CborSerializable, CoseError, CoseKey, CoseKeyBuilder, Label, MlDsaVariant, RegisteredLabelWithPrivate};
use thiserror::Error;

use crate::cbor::{Item, Writer};
use crate::entities::{integer_entries, owned_bytes};
use crate::status::Status;

/// A signature algorithm that keyrig's authenticator can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, −7.
    Es256,
    /// EdDSA on Curve25519, −8.
    EdDsa,
    /// ECDSA on P-384 with SHA-384, −35.
    Es384,
    /// ML-DSA-44, −48.
    MlDsa44,
    /// ML-DSA-65, −49.
    MlDsa65,
    /// ML-DSA-87, −50.
    MlDsa87,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Es256, Self::EdDsa, Self::Es384, Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    /// The COSE algorithm identifier.
    #[must_use]
    pub fn identifier(self) -> i64 {
        self.registered().to_i64()
    }

    /// The algorithm with this COSE identifier.
    #[must_use]
    pub fn from_identifier(identifier: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.identifier() == identifier)
    }

    /// The name that specifications and configuration files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Es384 => "ES384",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        }
    }

    fn registered(self) -> iana::Algorithm {
        match self {
            Self::Es256 => iana::Algorithm::ES256,
            Self::EdDsa => iana::Algorithm::EdDSA,
            Self::Es384 => iana::Algorithm::ES384,
            Self::MlDsa44 => iana::Algorithm::ML_DSA_44,
            Self::MlDsa65 => iana::Algorithm::ML_DSA_65,
            Self::MlDsa87 => iana::Algorithm::ML_DSA_87,
        }
    }
}

/// A credential public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point on P-256.
    Es256 {
        /// The x coordinate, big-endian.
        x: [u8; 32],
        /// The y coordinate, big-endian.
        y: [u8; 32],
    },
    /// A point on Ed25519, compressed (RFC 8032).
    EdDsa([u8; 32]),
    /// A point on P-384.
    Es384 {
        /// The x coordinate, big-endian.
        x: [u8; 48],
        /// The y coordinate, big-endian.
        y: [u8; 48],
    },
    /// A key of ML-DSA-44, as FIPS 204 §7.2 encodes it; so are the two below.
    MlDsa44(Box<[u8; 1312]>),
    /// A key of ML-DSA-65.
    MlDsa65(Box<[u8; 1952]>),
    /// A key of ML-DSA-87.
    MlDsa87(Box<[u8; 2592]>),
}

/// Why bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// They are not a COSE_Key.
    #[error("this is not a COSE_Key")]
    NotACoseKey,
    /// The algorithm is none of [`Algorithm`], or missing.
    #[error("the COSE_Key names no known algorithm")]
    UnknownAlgorithm,
    /// Key type, curve, coordinates or length do not belong to the algorithm.
    #[error("the COSE_Key's parameters do not belong to its algorithm")]
    WrongParameters,
}

impl PublicKey {
    /// The algorithm the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256 { .. } => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es384 { .. } => Algorithm::Es384,
            Self::MlDsa44(_) => Algorithm::MlDsa44,
            Self::MlDsa65(_) => Algorithm::MlDsa65,
            Self::MlDsa87(_) => Algorithm::MlDsa87,
        }
    }

    /// The COSE_Key, in canonical CBOR.
    #[must_use]
    pub fn to_cose(&self) -> Vec<u8> {
        let ml_dsa = |variant, key: &[u8]| CoseKeyBuilder::new_mldsa_pub_key(variant, key.to_vec());
        let builder = match self {
            Self::Es256 { x, y } => CoseKeyBuilder::new_ec2_pub_key(iana::EllipticCurve::P_256, x.to_vec(), y.to_vec()),
            Self::Es384 { x, y } => CoseKeyBuilder::new_ec2_pub_key(iana::EllipticCurve::P_384, x.to_vec(), y.to_vec()),
            Self::EdDsa(point) => CoseKeyBuilder::new_okp_key()
                .param(iana::OkpKeyParameter::Crv.to_i64(), iana::EllipticCurve::Ed25519.to_i64().into())
                .param(iana::OkpKeyParameter::X.to_i64(), point.to_vec().into()),
            Self::MlDsa44(key) => ml_dsa(MlDsaVariant::MlDsa44, &key[..]),
            Self::MlDsa65(key) => ml_dsa(MlDsaVariant::MlDsa65, &key[..]),
            Self::MlDsa87(key) => ml_dsa(MlDsaVariant::MlDsa87, &key[..]),
        };
        let key = builder.algorithm(self.algorithm().registered()).build();
        // Integers and byte strings in a map: nothing in it can fail to encode.
        key.to_vec().unwrap_or_default()
    }

    /// Reads a COSE_Key.
    ///
    /// # Errors
    /// [`InvalidKey`]. That the point lies on its curve is for the cryptography to find out.
    pub fn from_cose(encoded: &[u8]) -> Result<Self, InvalidKey> {
        let key = CoseKey::from_slice(encoded).map_err(|error| match error {
            // Only the algorithm has values for private use; the key type has none.
            CoseError::UnregisteredIanaNonPrivateValue => InvalidKey::UnknownAlgorithm,
            CoseError::UnregisteredIanaValue => InvalidKey::WrongParameters,
            _ => InvalidKey::NotACoseKey,
        })?;
        let Some(RegisteredLabelWithPrivate::Assigned(algorithm)) = key.alg else {
            return Err(InvalidKey::UnknownAlgorithm);
        };
        let algorithm = Algorithm::from_identifier(algorithm.to_i64()).ok_or(InvalidKey::UnknownAlgorithm)?;
        let parameter =
            |label: i64| key.params.iter().find(|(key, _)| *key == Label::Int(label)).map(|(_, value)| value);
        let coordinate = |label| parameter(label).and_then(|value| value.as_bytes()).ok_or(InvalidKey::WrongParameters);
        let expect = |kind: iana::KeyType, curve: iana::EllipticCurve| {
            // The curve has label −1 in both key types.
            let found = parameter(iana::Ec2KeyParameter::Crv.to_i64()).and_then(|value| value.as_integer());
            let fits = key.kty == coset::KeyType::Assigned(kind) && found == Some(curve.to_i64().into());
            if fits { Ok(()) } else { Err(InvalidKey::WrongParameters) }
        };
        let public = || {
            let fits = key.kty == coset::KeyType::Assigned(iana::KeyType::AKP) && key.params.len() == 1;
            let found = parameter(iana::AkpKeyParameter::Pub.to_i64()).and_then(|value| value.as_bytes());
            found.filter(|_| fits).ok_or(InvalidKey::WrongParameters)
        };
        let (x, y) = (iana::Ec2KeyParameter::X.to_i64(), iana::Ec2KeyParameter::Y.to_i64());
        match algorithm {
            Algorithm::Es256 => {
                expect(iana::KeyType::EC2, iana::EllipticCurve::P_256)?;
                Ok(Self::Es256 { x: sized(coordinate(x)?)?, y: sized(coordinate(y)?)? })
            }
            Algorithm::Es384 => {
                expect(iana::KeyType::EC2, iana::EllipticCurve::P_384)?;
                Ok(Self::Es384 { x: sized(coordinate(x)?)?, y: sized(coordinate(y)?)? })
            }
            Algorithm::MlDsa44 => Ok(Self::MlDsa44(Box::new(sized(public()?)?))),
            Algorithm::MlDsa65 => Ok(Self::MlDsa65(Box::new(sized(public()?)?))),
            Algorithm::MlDsa87 => Ok(Self::MlDsa87(Box::new(sized(public()?)?))),
            Algorithm::EdDsa => {
                expect(iana::KeyType::OKP, iana::EllipticCurve::Ed25519)?;
                Ok(Self::EdDsa(sized(coordinate(iana::OkpKeyParameter::X.to_i64())?)?))
            }
        }
    }
}

/// A key-agreement key of a PIN/UV auth protocol: a point on P-256 (CTAP 2.3 §6.5.6).
///
/// As a COSE_Key its algorithm is −25, ECDH-ES+HKDF-256, although no protocol derives its secrets that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAgreementKey {
    /// The x coordinate, big-endian.
    pub x: [u8; 32],
    /// The y coordinate, big-endian.
    pub y: [u8; 32],
}

impl KeyAgreementKey {
    /// The COSE algorithm identifier of ECDH-ES+HKDF-256.
    pub const ALGORITHM: i64 = -25;

    /// Reads a COSE_Key. That the point lies on its curve is for the cryptography to find out.
    ///
    /// # Errors
    /// [`Status::CborUnexpectedType`] if it is not a map, or a member has another type than it must;
    /// [`Status::InvalidParameter`] if it is no key for this (CTAP 2.3 §6.5.5.5: what `decapsulate` refuses).
    pub(crate) fn decode(item: Item<'_>) -> Result<Self, Status> {
        let (mut kind, mut algorithm, mut curve, mut x, mut y) = (None, None, None, None, None);
        for (label, value) in integer_entries(item)? {
            match label {
                1 => kind = Some(value.integer()?),
                3 => algorithm = Some(value.integer()?),
                -1 => curve = Some(value.integer()?),
                -2 => x = Some(owned_bytes(value)?),
                -3 => y = Some(owned_bytes(value)?),
                _ => {}
            }
        }
        let (kty, crv) = (iana::KeyType::EC2.to_i64(), iana::EllipticCurve::P_256.to_i64());
        if (kind, algorithm, curve) != (Some(kty), Some(Self::ALGORITHM), Some(crv)) {
            return Err(Status::InvalidParameter);
        }
        let coordinate = |bytes: Option<Vec<u8>>| {
            bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or(Status::InvalidParameter)
        };
        Ok(Self { x: coordinate(x)?, y: coordinate(y)? })
    }

    /// Appends the COSE_Key.
    pub(crate) fn encode<'w>(&self, writer: &'w mut Writer) -> &'w mut Writer {
        writer.map(|map| {
            map.entry(1, |w| w.integer(iana::KeyType::EC2.to_i64()));
            map.entry(3, |w| w.integer(Self::ALGORITHM));
            map.entry(-1, |w| w.integer(iana::EllipticCurve::P_256.to_i64()));
            map.entry(-2, |w| w.bytes(&self.x));
            map.entry(-3, |w| w.bytes(&self.y));
        })
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], InvalidKey> {
    bytes.try_into().map_err(|_| InvalidKey::WrongParameters)
}
