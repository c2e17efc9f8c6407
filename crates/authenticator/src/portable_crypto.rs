//! Cryptography in portable Rust: deterministic (RFC 6979, RFC 8032, FIPS 204 §3.4), and the oracle for faster libraries.

use ecdsa::hazmat::sign_prehashed_rfc6979;
use ed25519_dalek::Signer;
use keyrig_ctap::cose::{Algorithm, KeyAgreementKey, PublicKey};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256, Sha384};
use zeroize::Zeroizing;

use crate::crypto::{Crypto, CryptoFailed};
use crate::private_key::PrivateKey;

/// RustCrypto's p256, p384 and ml-dsa, and ed25519-dalek.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Crypto for Portable {
    fn name(&self) -> &'static str {
        "p256"
    }

    fn public_key(&self, key: &PrivateKey) -> Result<PublicKey, CryptoFailed> {
        match key.algorithm() {
            Algorithm::Es256 => {
                let secret = p256::SecretKey::from_slice(key.expose()).map_err(|_| CryptoFailed)?;
                let (x, y) = coordinates(secret.public_key().to_sec1_point(false).as_bytes())?;
                Ok(PublicKey::Es256 { x, y })
            }
            Algorithm::Es384 => {
                let secret = p384::SecretKey::from_slice(key.expose()).map_err(|_| CryptoFailed)?;
                let (x, y) = coordinates(secret.public_key().to_sec1_point(false).as_bytes())?;
                Ok(PublicKey::Es384 { x, y })
            }
            Algorithm::EdDsa => Ok(PublicKey::EdDsa(ed25519(key)?.verifying_key().to_bytes())),
            Algorithm::MlDsa44 => Ok(PublicKey::MlDsa44(ml_dsa_public_key::<MlDsa44, _>(key)?)),
            Algorithm::MlDsa65 => Ok(PublicKey::MlDsa65(ml_dsa_public_key::<MlDsa65, _>(key)?)),
            Algorithm::MlDsa87 => Ok(PublicKey::MlDsa87(ml_dsa_public_key::<MlDsa87, _>(key)?)),
        }
    }

    fn sign(&self, key: &PrivateKey, message: &[&[u8]]) -> Result<Vec<u8>, CryptoFailed> {
        // The low-level calls: a SigningKey would compute its public key first, which costs as much as the signature.
        match key.algorithm() {
            Algorithm::Es256 => {
                let scalar = p256::NonZeroScalar::try_from(key.expose()).map_err(|_| CryptoFailed)?;
                let (signature, _) =
                    sign_prehashed_rfc6979::<p256::NistP256, Sha256>(&scalar, &hash::<Sha256>(message), &[]);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Algorithm::Es384 => {
                let scalar = p384::NonZeroScalar::try_from(key.expose()).map_err(|_| CryptoFailed)?;
                let (signature, _) =
                    sign_prehashed_rfc6979::<p384::NistP384, Sha384>(&scalar, &hash::<Sha384>(message), &[]);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Algorithm::EdDsa => Ok(ed25519(key)?.sign(&message.concat()).to_bytes().to_vec()),
            Algorithm::MlDsa44 => ml_dsa_sign::<MlDsa44>(key, message),
            Algorithm::MlDsa65 => ml_dsa_sign::<MlDsa65>(key, message),
            Algorithm::MlDsa87 => ml_dsa_sign::<MlDsa87>(key, message),
        }
    }

    fn diffie_hellman(&self, key: &PrivateKey, peer: &KeyAgreementKey) -> Result<Zeroizing<[u8; 32]>, CryptoFailed> {
        if key.algorithm() != Algorithm::Es256 {
            return Err(CryptoFailed);
        }
        let scalar = p256::NonZeroScalar::try_from(key.expose()).map_err(|_| CryptoFailed)?;
        let peer = p256::PublicKey::from_sec1_bytes(&uncompressed(peer)).map_err(|_| CryptoFailed)?;
        let shared = p256::ecdh::diffie_hellman(&scalar, peer.as_affine());
        Ok(Zeroizing::new((*shared.raw_secret_bytes()).into()))
    }
}

/// A key as an uncompressed point (SEC 1 §2.3.3).
#[must_use]
pub fn uncompressed(key: &KeyAgreementKey) -> [u8; 65] {
    let mut point = [4; 65];
    for (to, from) in point.iter_mut().skip(1).zip(key.x.iter().chain(&key.y)) {
        *to = *from;
    }
    point
}

fn ed25519(key: &PrivateKey) -> Result<ed25519_dalek::SigningKey, CryptoFailed> {
    Ok(ed25519_dalek::SigningKey::from_bytes(key.expose().try_into().map_err(|_| CryptoFailed)?))
}

fn ml_dsa<P: MlDsaParams>(key: &PrivateKey) -> Result<ml_dsa::SigningKey<P>, CryptoFailed> {
    Ok(ml_dsa::SigningKey::from_seed(key.expose().try_into().map_err(|_| CryptoFailed)?))
}

fn ml_dsa_public_key<P: MlDsaParams, const N: usize>(key: &PrivateKey) -> Result<Box<[u8; N]>, CryptoFailed> {
    let encoded = ml_dsa::<P>(key)?.expanded_key().verifying_key().encode();
    Ok(Box::new(encoded.as_slice().try_into().map_err(|_| CryptoFailed)?))
}

/// The deterministic variant: replay wants the same bytes of the same key and message.
fn ml_dsa_sign<P: MlDsaParams>(key: &PrivateKey, message: &[&[u8]]) -> Result<Vec<u8>, CryptoFailed> {
    let signature = ml_dsa::<P>(key)?.expanded_key().sign_deterministic(&message.concat(), &[]);
    Ok(signature.map_err(|_| CryptoFailed)?.encode().to_vec())
}

fn hash<D: Digest>(message: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut digest = D::new();
    for part in message {
        digest.update(part);
    }
    digest.finalize()
}

/// The coordinates of an uncompressed point (SEC 1 §2.3.3).
pub fn coordinates<const N: usize>(point: &[u8]) -> Result<([u8; N], [u8; N]), CryptoFailed> {
    let ([4], rest) = point.split_first_chunk().ok_or(CryptoFailed)? else { return Err(CryptoFailed) };
    let (x, y) = rest.split_first_chunk().ok_or(CryptoFailed)?;
    Ok((*x, y.try_into().map_err(|_| CryptoFailed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm, hex: &str) -> PrivateKey {
        PrivateKey::from_bytes(algorithm, &hex::decode(hex).unwrap()).unwrap()
    }

    fn integer(bytes: &[u8]) -> Vec<u8> {
        let mut der = vec![2, u8::try_from(bytes.len()).unwrap()];
        if bytes[0] >= 0x80 {
            der[1] += 1;
            der.push(0);
        }
        der.extend_from_slice(bytes);
        der
    }

    fn ecdsa_der(r: &str, s: &str) -> Vec<u8> {
        let content = [integer(&hex::decode(r).unwrap()), integer(&hex::decode(s).unwrap())].concat();
        [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// RFC 6979 appendix A.2.5, message "sample" with SHA-256.
    #[test]
    fn es256_is_that_of_rfc_6979() {
        let key = key(Algorithm::Es256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let PublicKey::Es256 { x, y } = Portable.public_key(&key).unwrap() else { panic!() };
        assert_eq!(hex::encode(x), "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        assert_eq!(hex::encode(y), "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
        let signature = ecdsa_der(
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        );
        assert_eq!(Portable.sign(&key, &[b"sam", b"ple"]).unwrap(), signature);
    }

    /// RFC 6979 appendix A.2.6, message "sample" with SHA-384.
    #[test]
    fn es384_is_that_of_rfc_6979() {
        let key = key(
            Algorithm::Es384,
            "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        );
        let PublicKey::Es384 { x, y } = Portable.public_key(&key).unwrap() else { panic!() };
        assert_eq!(hex::encode(&x[..8]), "ec3a4e415b4e19a4");
        assert_eq!(hex::encode(&y[..8]), "8015d9b72d7d5724");
        let signature = ecdsa_der(
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
            "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        );
        assert_eq!(Portable.sign(&key, &[b"sample"]).unwrap(), signature);
    }

    /// RFC 5903 §8.1: 256-bit random ECP group.
    #[test]
    fn diffie_hellman_is_that_of_rfc_5903() {
        let x = |hex: &str| <[u8; 32]>::try_from(hex::decode(hex).unwrap()).unwrap();
        let initiator = key(Algorithm::Es256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
        let responder = KeyAgreementKey {
            x: x("d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"),
            y: x("56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"),
        };
        let shared = x("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
        assert_eq!(*Portable.diffie_hellman(&initiator, &responder).unwrap(), shared);
    }

    #[test]
    fn diffie_hellman_takes_no_point_off_the_curve_and_no_key_of_another_curve() {
        let secret = PrivateKey::from_bytes(Algorithm::Es256, &[1; 32]).unwrap();
        let PublicKey::Es256 { x, y } = Portable.public_key(&secret).unwrap() else { panic!() };
        let peer = KeyAgreementKey { x, y };
        assert!(Portable.diffie_hellman(&secret, &peer).is_ok());
        let mut off = peer;
        off.y[31] ^= 1;
        assert_eq!(Portable.diffie_hellman(&secret, &off), Err(CryptoFailed));
        let zero = KeyAgreementKey { x: [0; 32], y: [0; 32] };
        assert_eq!(Portable.diffie_hellman(&secret, &zero), Err(CryptoFailed));
        for algorithm in [Algorithm::EdDsa, Algorithm::Es384] {
            let other = PrivateKey::from_bytes(algorithm, &vec![1; PrivateKey::length(algorithm)]).unwrap();
            assert_eq!(Portable.diffie_hellman(&other, &peer), Err(CryptoFailed));
        }
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn eddsa_is_that_of_rfc_8032() {
        let key = key(Algorithm::EdDsa, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let PublicKey::EdDsa(point) = Portable.public_key(&key).unwrap() else { panic!() };
        assert_eq!(hex::encode(point), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(
            hex::encode(Portable.sign(&key, &[&[0x72]]).unwrap()),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb430\
             2aeeb00d291612bb0c00",
        );
    }
}
