//! Credentials: those that are stored, and those that live in their own id.
//!
//! A credential that lives in its own id costs the authenticator no storage: the id is a nonce, a byte that says which
//! algorithm, and an authentication tag over both and the relying party; the private key is derived from the id under a
//! secret of the device. So ids can have whatever length a profile wants, and a reset, which replaces the secret, ends all of
//! them at once.

use hmac::{Hmac, KeyInit, Mac};
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::User;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

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
    /// The account, if the credential is discoverable. An import or a U2F handle is stored without.
    pub discoverable: Option<Discoverable>,
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
        length: usize,
    ) -> (Vec<u8>, PrivateKey) {
        let mut id = vec![0; length.max(SHORTEST_ID) - TAG_LENGTH];
        if let Some((parameters, nonce)) = id.split_last_mut() {
            environment.random(nonce);
            *parameters = parameter(algorithm);
        }
        let tag = self.tag(rp_id_hash, &id);
        id.extend_from_slice(&tag);
        let key = self.derive(rp_id_hash, &id, algorithm);
        (id, key)
    }

    /// The private key of the credential that lives in `id`, if `id` was made here and for this relying party.
    pub(crate) fn open(&self, rp_id_hash: &[u8; 32], id: &[u8]) -> Option<PrivateKey> {
        if id.len() < SHORTEST_ID {
            return None;
        }
        let (body, tag) = id.split_last_chunk::<TAG_LENGTH>()?;
        if !bool::from(self.tag(rp_id_hash, body).ct_eq(tag)) {
            return None;
        }
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| body.last() == Some(&parameter(*algorithm)))?;
        Some(self.derive(rp_id_hash, id, algorithm))
    }

    fn tag(&self, rp_id_hash: &[u8; 32], body: &[u8]) -> [u8; TAG_LENGTH] {
        let whole: [u8; 32] = self.mac(&[b"credential id", rp_id_hash, body]);
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(whole.first_chunk::<TAG_LENGTH>().unwrap_or(&[0; TAG_LENGTH]));
        tag
    }

    /// HMAC in counter mode (NIST SP 800-108r1 §4.1), with candidates that are no scalar left out.
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

fn parameter(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Es256 => 0,
        Algorithm::EdDsa => 1,
        Algorithm::Es384 => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Seeded;

    #[test]
    fn a_credential_lives_in_an_id_of_the_wanted_length() {
        let mut environment = Seeded::new([7; 32]);
        let secret = CredentialSecret::generate(&mut environment);
        let site = rp_id_hash("example.com");
        for algorithm in Algorithm::ALL {
            for length in [SHORTEST_ID, 48, 64, 128] {
                let (id, key) = secret.make(&mut environment, &site, algorithm, length);
                assert_eq!(id.len(), length);
                assert_eq!(key.algorithm(), algorithm);
                assert_eq!(secret.open(&site, &id), Some(key));
            }
        }
    }

    #[test]
    fn an_id_of_another_site_another_key_or_altered_opens_nothing() {
        let mut environment = Seeded::new([7; 32]);
        let secret = CredentialSecret::generate(&mut environment);
        let site = rp_id_hash("example.com");
        let (id, _) = secret.make(&mut environment, &site, Algorithm::Es256, 48);
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
}
