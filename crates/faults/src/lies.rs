//! Certificates that lie: the key's own, changed in one respect, and signed again.

use keyrig_authenticator::environment::Crypto;
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_ctap::cose::Algorithm;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{Decode, Encode};

use crate::kind::Kind;

/// A private key that belongs to nobody.
pub(crate) fn stranger() -> Option<PrivateKey> {
    PrivateKey::from_bytes(Algorithm::Es256, &[0x5A; 32])
}

/// Where the issuer and the subject are in a TBSCertificate that has a version (RFC 5280 §4.1).
const ISSUER: usize = 3;
const SUBJECT: usize = 5;

/// A certificate as a fault has it: `root` has issued it, and its own key is `own`. Nothing if the fault is of something else, or the
/// certificate has nothing there to lie about.
pub(crate) fn certificate(kind: Kind, certificate: &[u8], root: &PrivateKey, own: &PrivateKey) -> Option<Vec<u8>> {
    let stranger = stranger()?;
    let replaced = |old: &[u8], new: &[u8]| replaced(certificate, old, new);
    match kind {
        Kind::AttestationUnknownRoot => sign(&replaced(b"TEST attestation root", b"TEST attestation boot")?, &stranger),
        Kind::AttestationWrongChain => sign(certificate, &stranger),
        // From 2020 to 2021, and from 2049 to 2049.
        Kind::AttestationExpired => sign(&replaced(b"491231235959Z", b"210101000000Z")?, root),
        Kind::AttestationNotYetValid => sign(&replaced(b"200101000000Z", b"490101000000Z")?, root),
        Kind::AttestationWrongUnit => {
            sign(&replaced(b"Authenticator Attestation", b"Authenticator Altercation")?, root)
        }
        Kind::AttestationWrongAaguid => {
            // id-fido-gen-ce-aaguid, and its value: an OCTET STRING in another (WebAuthn Level 3 §8.2.1).
            let identifier = [0x06, 0x0B, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0xE5, 0x1C, 0x01, 0x01, 0x04];
            let before = [&identifier[..], &[0x04, 0x12, 0x04, 0x10]].concat();
            let place = position(certificate, &before)? + before.len();
            let mut other = certificate.to_vec();
            other.get_mut(place..place + 16)?.iter_mut().for_each(|byte| *byte ^= 0xFF);
            sign(&other, root)
        }
        Kind::AttestationSelfAsFull => {
            let [tbs, ..] = <[Any; 3]>::try_from(parts(certificate)?).ok()?;
            let mut tbs = parts(&tbs.to_der().ok()?)?;
            let subject = tbs.get(SUBJECT)?.clone();
            *tbs.get_mut(ISSUER)? = subject;
            signed(&tbs.to_der().ok()?, certificate, own)
        }
        _ => None,
    }
}

fn parts(sequence: &[u8]) -> Option<Vec<Any>> {
    Vec::from_der(sequence).ok()
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// The bytes with one part replaced by another of the same length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let place = position(bytes, old)?;
    let mut bytes = bytes.to_vec();
    bytes.get_mut(place..place + old.len())?.copy_from_slice(new);
    Some(bytes)
}

/// The certificate with another signature.
fn sign(certificate: &[u8], key: &PrivateKey) -> Option<Vec<u8>> {
    let tbs = parts(certificate)?.first()?.to_der().ok()?;
    signed(&tbs, certificate, key)
}

/// A certificate of what is to be signed, by the algorithm of another one.
fn signed(tbs: &[u8], like: &[u8], key: &PrivateKey) -> Option<Vec<u8>> {
    let mut parts = parts(like)?;
    let signature = Portable.sign(key, &[tbs]).ok()?;
    *parts.first_mut()? = Any::from_der(tbs).ok()?;
    *parts.last_mut()? = Any::encode_from(&BitString::from_bytes(&signature).ok()?).ok()?;
    parts.to_der().ok()
}
