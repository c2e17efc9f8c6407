//! What is examined.

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
}
