//! What settings and addresses come to, before anybody tries: for each address whether keys register and log in there, who
//! would refuse and in which words, and the smallest change after which all addresses work.
//!
//! Nothing is decided here. What a browser says is asked of [`keyrig_client`], what a relying party says of
//! [`keyrig_relying_party`], which has its verifier decide; a change is proposed only if both then say yes.

mod address;
#[cfg(feature = "tls")]
mod fetch;
mod mend;
mod proposed;
mod pve;
mod related;
#[cfg(feature = "tls")]
mod running;
mod site;
mod verdict;
mod warning;

use serde::Serialize;

pub use self::address::{Address, Passed, addresses};
#[cfg(feature = "tls")]
pub use self::fetch::{Answer, FetchError, Fetcher, InvalidPinned, MAX_REDIRECTS, Pinned, Resolve, TIME, TrustError};
pub use self::mend::{Change, Mend, Moved};
pub use self::proposed::{Proposed, proposed};
pub use self::pve::{Files, Pve, PveError, PveUser, passed_over, plain};
#[cfg(feature = "tls")]
pub use self::running::{FoundFile, OptionsError};
pub use self::site::{Kind, RelatedOrigins, Site};
pub use self::verdict::{Refusal, Seen, Verdict, is_let, needs_related_origins};
pub use self::warning::{Warning, of_options};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Whether every address works, and nothing is wrong with the settings at sight.
    pub ok: bool,
    /// The RP ID.
    pub rp_id: String,
    /// The origins; if there is none, the host of each request decides.
    pub origins: Vec<String>,
    /// Whether subdomains of the origins are allowed.
    pub allow_subdomains: bool,
    /// Each address, in the order in which they were given.
    pub addresses: Vec<Verdict>,
    /// What mends the addresses that do not work, as far as anything does.
    pub mend: Option<Mend>,
    /// What works today, and may not be what somebody wants.
    pub warnings: Vec<Warning>,
}

/// Examines a site at these addresses.
#[must_use]
pub fn examine(site: &Site, addresses: &[Address]) -> Diagnosis {
    let verdicts: Vec<_> =
        addresses.iter().map(|address| verdict::of(&site.settings, &site.related_origins, address)).collect();
    let works = addresses.iter().zip(&verdicts).filter(|(_, verdict)| verdict.works).map(|(address, _)| address);
    let mut warnings = warning::of(site, &works.collect::<Vec<_>>());
    // Who was refused for it knows.
    let is_told = verdicts.iter().flat_map(|verdict| &verdict.refusals).any(|refusal| refusal.row == Some(20));
    if let Some(known) = site.settings.warning_of_public_suffix().filter(|_| is_told) {
        warnings.retain(|warning| warning.text != known);
    }
    let ok = verdicts.iter().all(|verdict| verdict.works);
    Diagnosis {
        ok,
        rp_id: site.settings.rp_id.clone(),
        origins: site.settings.origins.clone(),
        allow_subdomains: site.settings.allow_subdomains,
        mend: if ok { None } else { mend::smallest(site, addresses) },
        warnings,
        addresses: verdicts,
    }
}
