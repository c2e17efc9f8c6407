//! Settings for a node of Proxmox VE that has none: the `webauthn:` line that its addresses would need.

use keyrig_client::Origin;
use keyrig_relying_party::Settings;

use super::address::{self, Passed};
use super::mend;
use super::site::{Kind, RelatedOrigins, Site};
use super::verdict;

/// What could be written.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The settings.
    pub settings: Settings,
    /// The whole `webauthn:` line.
    pub line: String,
    /// The nodes, in the domain of the address that one was known by.
    pub nodes: Vec<String>,
}

/// A line for these addresses: the RP ID is the domain of the first one, or one above it that all share; `None` if none of them says
/// what domain the nodes are in.
#[must_use]
pub fn proposed(opened: &[Origin], nodes: &[String], passed: &Passed) -> Option<Proposed> {
    let pages = opened.iter().filter_map(Origin::domain);
    let first = pages.chain(nodes.iter().map(String::as_str)).find(|name| name.contains('.'))?;
    let (_, above) = first.split_once('.')?;
    let is_site = psl::domain_str(above).is_some();
    let is_known = psl::suffix(above.as_bytes()).is_some_and(|suffix| suffix.is_known());
    // A page can be at a site's own domain, above which there is nothing of its own.
    let domain = if is_site || !is_known { above } else { first };
    let in_domain = |node: &String| if node.contains('.') { node.clone() } else { format!("{node}.{domain}") };
    let nodes: Vec<_> = nodes.iter().map(in_domain).collect();
    let above_first = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, above)| above));
    let rp_ids = above_first.filter(|name| psl::domain_str(name).is_some()).chain([first]);
    let sites: Vec<_> = rp_ids
        .map(|rp_id| Site {
            settings: Settings { origins: Vec::new(), allow_subdomains: true, ..Settings::new(rp_id, "") },
            kind: Kind::ProxmoxVe,
            related_origins: RelatedOrigins::OfSettings,
        })
        .collect();
    let all_work = |site: &&Site| {
        let addresses = address::addresses(site, opened, &nodes, passed).unwrap_or_default();
        addresses.iter().all(|address| verdict::of(&site.settings, &site.related_origins, address).works)
    };
    let settings = sites.iter().find(all_work).or(sites.first())?.settings.clone();
    Some(Proposed { line: mend::line(&settings), settings, nodes })
}
