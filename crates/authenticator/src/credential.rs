//! Credentials: those that are stored, and those that live in their own id.
//!
//! A credential that lives in its own id costs the authenticator no storage: the id is a nonce, a byte that says which
//! algorithm and what its extensions left, and an authentication tag over both and the relying party; the private key is
//! derived from the id under a secret of the device. So ids can have whatever length a profile wants, and a reset, which
//! replaces the secret, ends all of them at once.
//!
//! What hmac-secret and largeBlobKey need is derived from the id of either kind in the same way, and takes no place.

use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use keyrig_ctap::extensions::CredentialProtection;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::environment::Environment;
use crate::private_key::PrivateKey;

/// A credential that the authenticator stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// The credential id.
    pub id: Vec<u8>,
    /// The RP ID it is scoped to.
    pub relying_party_id: String,
    /// The private key.
    pub private_key: PrivateKey,
    /// The account, if the credential is discoverable.
    pub discoverable: Option<Discoverable>,
    /// What the extensions of its creation left.
    pub properties: Properties,
    /// `largeBlobKey`: whether it has a key for the large-blob array.
    pub has_large_blob_key: bool,
    /// `credBlob`: what was stored with it; empty if nothing was.
    pub cred_blob: Vec<u8>,
    /// What it has of its own, if it was made elsewhere, or is one of those that are on several devices.
    pub own: Option<Own>,
}

/// What a credential has of its own where others have the key's: an imported one, or one that is on several devices.
#[derive(Clone, PartialEq, Eq)]
pub struct Own {
    /// The signature counter: the value in the last assertion. Without one it is always 0, as those of synchronised passkeys are.
    pub counter: Option<u32>,
    /// Whether it is said to be eligible for backup (BE; WebAuthn Level 3 §6.1.3).
    pub backup_eligible: bool,
    /// Whether it is said to be backed up (BS).
    pub backup_state: bool,
    /// `CredRandomWithUV` and `CredRandomWithoutUV`; otherwise they are derived as those of others are.
    pub cred_random: Option<CredRandom>,
    /// `largeBlobKey`.
    pub large_blob_key: Option<[u8; 32]>,
}

impl Own {
    /// What a credential has that had nothing of its own, and was counted for by the key so far.
    pub(crate) fn counting_from(counter: u32) -> Self {
        Self {
            counter: Some(counter),
            backup_eligible: false,
            backup_state: false,
            cred_random: None,
            large_blob_key: None,
        }
    }
}

impl core::fmt::Debug for Own {
    /// Secrets are in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Own").field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// `CredRandomWithUV` and `CredRandomWithoutUV` (CTAP 2.3 §12.7).
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct CredRandom {
    /// With user verification.
    pub with_uv: [u8; 32],
    /// Without.
    pub without_uv: [u8; 32],
}

impl core::fmt::Debug for CredRandom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CredRandom")
    }
}

/// A public key credential source (WebAuthn Level 3 §4) outside of any key: what an export gives, and an import takes.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSource {
    /// The credential id.
    pub id: Vec<u8>,
    /// The RP ID it is scoped to; for CTAP1/U2F the AppID.
    pub relying_party_id: String,
    /// The private key.
    pub private_key: PrivateKey,
    /// The account, if the credential is discoverable.
    pub user: Option<User>,
    /// What the extensions of its creation left.
    pub properties: Properties,
    /// `credBlob`; empty if there is none.
    pub cred_blob: Vec<u8>,
    /// The signature counter; see [`Own::counter`].
    pub counter: Option<u32>,
    /// BE.
    pub backup_eligible: bool,
    /// BS.
    pub backup_state: bool,
    /// What hmac-secret computes with; without it, the key that imports the credential has its own.
    pub cred_random: Option<CredRandom>,
    /// `largeBlobKey`, if it has one.
    pub large_blob_key: Option<[u8; 32]>,
}

impl core::fmt::Debug for CredentialSource {
    /// Secrets are in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CredentialSource").field("relying_party_id", &self.relying_party_id).finish_non_exhaustive()
    }
}

/// What extensions leave with a credential of either kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// `credProtect`.
    pub protection: CredentialProtection,
    /// `thirdPartyPayment`.
    pub third_party_payment: bool,
}

/// A credential that lives in its own id, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedCredential {
    /// The private key.
    pub private_key: PrivateKey,
    /// What the extensions of its creation left.
    pub properties: Properties,
}

/// What makes a stored credential discoverable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discoverable {
    /// The account it belongs to.
    pub user: User,
    /// When it was made, as a count: later ones are larger.
    pub creation: u64,
}

/// SHA-256 of an RP ID.
#[must_use]
pub fn rp_id_hash(relying_party_id: &str) -> [u8; 32] {
    Sha256::digest(relying_party_id).into()
}

/// The longest user handle, bytes (WebAuthn Level 3 §5.4.3).
pub const MAX_USER_ID: usize = 64;

/// How much of a name is kept, bytes (CTAP 2.3 §6.1.2; WebAuthn Level 3 §6.4.1).
pub(crate) const MAX_NAME: usize = 64;

/// A name as far as it is kept: cut on a code point's boundary.
pub(crate) fn truncated(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name
}

/// The secret that credentials which live in their own id are made under. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct CredentialSecret(pub(crate) [u8; 32]);

impl core::fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CredentialSecret")
    }
}

const TAG_LENGTH: usize = 16;

/// The shortest id that holds a credential: a nonce of 15 bytes, a byte of parameters, and the tag.
pub const SHORTEST_ID: usize = 15 + 1 + TAG_LENGTH;

impl CredentialSecret {
    pub(crate) fn generate(environment: &mut dyn Environment) -> Self {
        let mut secret = Self([0; 32]);
        environment.random(&mut secret.0);
        secret
    }

    /// Makes a credential of `length` bytes of id, at least [`SHORTEST_ID`].
    pub(crate) fn make(
        &self,
        environment: &mut dyn Environment,
        rp_id_hash: &[u8; 32],
        algorithm: Algorithm,
        properties: Properties,
        length: usize,
    ) -> (Vec<u8>, PrivateKey) {
        let mut id = vec![0; length.max(SHORTEST_ID) - TAG_LENGTH];
        if let Some((parameters, nonce)) = id.split_last_mut() {
            environment.random(nonce);
            *parameters = parameter(algorithm, properties);
        }
        let tag = self.tag(rp_id_hash, &id);
        id.extend_from_slice(&tag);
        let key = self.derive(rp_id_hash, &id, algorithm);
        (id, key)
    }

    /// The credential that lives in `id`, if `id` was made here and for this relying party.
    pub(crate) fn open(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Option<OpenedCredential> {
        if id.len() < SHORTEST_ID {
            return None;
        }
        let (body, tag) = id.split_last_chunk::<TAG_LENGTH>()?;
        if !bool::from(self.tag(rp_id_hash, body).ct_eq(tag)) {
            return None;
        }
        let (algorithm, properties) = parameters(*body.last()?)?;
        Some(OpenedCredential { private_key: self.derive(rp_id_hash, id, algorithm), properties })
    }

    /// `CredRandomWithUV` or `CredRandomWithoutUV` of a credential (CTAP 2.3 §12.7).
    pub(crate) fn cred_random(&self, id: &[u8], user_verified: bool) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.mac(&[b"CredRandom", &[user_verified.into()], id]))
    }

    /// What `encIdentifier` says: the same until a reset (CTAP 2.3 §6.4).
    pub(crate) fn device_identifier(&self) -> [u8; 16] {
        first_half(self.mac(&[b"device identifier"]))
    }

    /// `largeBlobKey` of a credential (CTAP 2.3 §12.3).
    pub(crate) fn large_blob_key(&self, id: &[u8]) -> [u8; 32] {
        self.mac(&[b"largeBlobKey", id])
    }

    fn tag(&self, rp_id_hash: &[u8; 32], body: &[u8]) -> [u8; TAG_LENGTH] {
        let whole: [u8; 32] = self.mac(&[b"credential id", rp_id_hash, body]);
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(whole.first_chunk::<TAG_LENGTH>().unwrap_or(&[0; TAG_LENGTH]));
        tag
    }

    /// HMAC in counter mode (NIST SP 800-108r1 §4.1), with candidates that are not a scalar left out.
    fn derive(&self, rp_id_hash: &[u8; 32], id: &[u8], algorithm: Algorithm) -> PrivateKey {
        let mut counter = 0_u32;
        PrivateKey::from_candidates(algorithm, |bytes| {
            for chunk in bytes.chunks_mut(32) {
                counter += 1;
                let block: [u8; 32] = self.mac(&[&counter.to_be_bytes(), b"credential key", rp_id_hash, id]);
                chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
            }
        })
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn first_half(whole: [u8; 32]) -> [u8; 16] {
    *whole.first_chunk().unwrap_or(&[0; 16])
}

/// The algorithm in bits 0 to 2, the protection in bits 3 and 4, payment in bit 5.
fn parameter(algorithm: Algorithm, properties: Properties) -> u8 {
    let algorithm = match algorithm {
        Algorithm::Es256 => 0,
        Algorithm::EdDsa => 1,
        Algorithm::Es384 => 2,
        Algorithm::MlDsa44 => 3,
        Algorithm::MlDsa65 => 4,
        Algorithm::MlDsa87 => 5,
    };
    let protection = match properties.protection {
        CredentialProtection::UserVerificationOptional => 0,
        CredentialProtection::UserVerificationOptionalWithCredentialIdList => 1,
        CredentialProtection::UserVerificationRequired => 2,
    };
    algorithm | protection << 3 | u8::from(properties.third_party_payment) << 5
}

fn parameters(byte: u8) -> Option<(Algorithm, Properties)> {
    let algorithm = match byte & 0b111 {
        0 => Algorithm::Es256,
        1 => Algorithm::EdDsa,
        2 => Algorithm::Es384,
        3 => Algorithm::MlDsa44,
        4 => Algorithm::MlDsa65,
        5 => Algorithm::MlDsa87,
        _ => return None,
    };
    let protection = match byte >> 3 & 0b11 {
        0 => CredentialProtection::UserVerificationOptional,
        1 => CredentialProtection::UserVerificationOptionalWithCredentialIdList,
        2 => CredentialProtection::UserVerificationRequired,
        _ => return None,
    };
    let third_party_payment = match byte >> 5 {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some((algorithm, Properties { protection, third_party_payment }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Seeded;

    #[test]
    fn names_are_cut_at_64_bytes_on_a_code_points_boundary() {
        assert_eq!(truncated("a".repeat(64)).len(), 64);
        assert_eq!(truncated("a".repeat(65)).len(), 64);
        // U+20AC is three bytes: 21 of them are 63 bytes, and the 22nd does not fit.
        assert_eq!(truncated("€".repeat(30)), "€".repeat(21));
        assert_eq!(truncated(String::new()), "");
    }

    fn every_properties() -> impl Iterator<Item = Properties> {
        (1..=3).filter_map(CredentialProtection::from_number).flat_map(|protection| {
            [false, true].map(|third_party_payment| Properties { protection, third_party_payment })
        })
    }

    #[test]
    fn a_credential_lives_in_an_id_of_the_wanted_length() {
        let mut environment = Seeded::new([7; 32]);
        let secret = CredentialSecret::generate(&mut environment);
        let site = rp_id_hash("example.com");
        for algorithm in Algorithm::ALL {
            for length in [SHORTEST_ID, 48, 64, 128] {
                for properties in every_properties() {
                    let (id, private_key) = secret.make(&mut environment, &site, algorithm, properties, length);
                    assert_eq!(id.len(), length);
                    assert_eq!(private_key.algorithm(), algorithm);
                    assert_eq!(secret.open(&site, &id), Some(OpenedCredential { private_key, properties }));
                }
            }
        }
    }

    #[test]
    fn an_id_of_another_site_another_key_or_altered_opens_nothing() {
        let mut environment = Seeded::new([7; 32]);
        let secret = CredentialSecret::generate(&mut environment);
        let site = rp_id_hash("example.com");
        let (id, _) = secret.make(&mut environment, &site, Algorithm::Es256, Properties::default(), 48);
        assert_eq!(secret.open(&rp_id_hash("example.org"), &id), None);
        assert_eq!(CredentialSecret::generate(&mut environment).open(&site, &id), None);
        for position in 0..id.len() {
            let mut altered = id.clone();
            altered[position] ^= 1;
            assert_eq!(secret.open(&site, &altered), None, "byte {position}");
        }
        for length in 0..id.len() {
            assert_eq!(secret.open(&site, &id[..length]), None);
        }
    }

    /// Ids that earlier versions made had the algorithm alone in the byte.
    #[test]
    fn every_parameter_byte_says_one_thing_or_nothing() {
        for (byte, algorithm) in [(0, Algorithm::Es256), (1, Algorithm::EdDsa), (2, Algorithm::Es384)] {
            assert_eq!(parameters(byte), Some((algorithm, Properties::default())));
        }
        let mut known = 0;
        for byte in 0..=u8::MAX {
            if let Some((algorithm, properties)) = parameters(byte) {
                assert_eq!(parameter(algorithm, properties), byte);
                known += 1;
            }
        }
        assert_eq!(known, Algorithm::ALL.len() * 3 * 2);
    }

    #[test]
    fn secrets_of_a_credential_differ_by_credential_and_by_use() {
        let mut environment = Seeded::new([7; 32]);
        let secret = CredentialSecret::generate(&mut environment);
        let all = [
            *secret.cred_random(b"one", true),
            *secret.cred_random(b"one", false),
            *secret.cred_random(b"two", true),
            secret.large_blob_key(b"one"),
            secret.large_blob_key(b"two"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one));
        }
    }
}
