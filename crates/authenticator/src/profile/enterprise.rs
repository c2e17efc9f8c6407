//! For whom a key gives enterprise attestations.

use serde::Deserialize;
use thiserror::Error;

/// For whom a key gives enterprise attestations, once that is enabled (CTAP 2.3 §7.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnterpriseAttestation {
    /// Vendor-facilitated: the RP IDs that have them, as its maker has written them into the key.
    pub rp_ids: Vec<String>,
    /// Platform-managed: whether whoever is asked for by a managed platform has them.
    pub platform_managed: bool,
}

impl Default for EnterpriseAttestation {
    /// Nobody is known, and the platform is to decide.
    fn default() -> Self {
        Self { rp_ids: Vec::new(), platform_managed: true }
    }
}

impl EnterpriseAttestation {
    /// The most characters of an RP ID that a key lists: those of a host's name (RFC 1035 §2.3.4).
    pub const MAX_RP_ID: usize = 253;

    /// Lists an RP ID, beside those that are listed.
    pub(super) fn list(&mut self, rp_id: &str) -> Result<(), EnterpriseRefused> {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if rp_id.is_empty() || rp_id.len() > Self::MAX_RP_ID || !rp_id.bytes().all(is_host) {
            return Err(EnterpriseRefused::NoRpId(rp_id.chars().take(Self::MAX_RP_ID).collect()));
        }
        if !self.rp_ids.iter().any(|known| known == rp_id) {
            self.rp_ids.push(rp_id.to_owned());
        }
        Ok(())
    }

    /// Whether an RP ID has them by `enterpriseAttestation`: 1, or 2, which a key without platform-managed ones takes for 1 (§7.1.2).
    pub(crate) fn is_for(&self, rp_id: &str, requested: u64) -> bool {
        requested == 2 && self.platform_managed || self.rp_ids.iter().any(|known| known == rp_id)
    }
}

/// A key does not list an RP ID for enterprise attestations.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnterpriseRefused {
    /// It is not capable of them.
    #[error("{profile} knows no enterprise attestation: yubikey-enterprise is a profile that does")]
    NotCapable {
        /// The profile.
        profile: String,
    },
    /// It is no RP ID.
    #[error("{0:?} is no RP ID, which is a host's name, without scheme and port")]
    NoRpId(String),
}
