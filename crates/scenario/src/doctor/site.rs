//! What is examined.

use std::collections::BTreeMap;

use keyrig_client::related_origins::Fetched;
use keyrig_relying_party::Settings;

/// Whose settings they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Proxmox VE's: one origin or none, at port 8006 as a rule, over TLS.
    ProxmoxVe,
    /// Any relying party's: as many origins as there are.
    Other,
}

/// What is examined.
#[derive(Clone, Debug)]
pub struct Site {
    /// The settings, which may be unable to work.
    pub settings: Settings,
    /// Whose they are.
    pub kind: Kind,
    /// What browsers find at `/.well-known/webauthn`.
    pub related_origins: RelatedOrigins,
}

/// What browsers get that ask for the RP ID's file of related origins (WebAuthn Level 3 §5.11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RelatedOrigins {
    /// What the settings make of it.
    #[default]
    OfSettings,
    /// What a site was seen to serve: each redirect and the answer, by address.
    Fetched(BTreeMap<String, Fetched>),
}

impl RelatedOrigins {
    /// No file.
    pub(super) fn none() -> Self {
        Self::Fetched(BTreeMap::new())
    }
}
