//! Where people open a site, and what a proxy before it makes of that.

use keyrig_client::Origin;
use keyrig_client::origin::InvalidUrl;

use super::site::{Kind, Site};

/// Where somebody opens a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The page's origin.
    pub origin: Origin,
    /// The name of the node, if the address was made of one.
    pub node: Option<String>,
    /// What a proxy passes on instead of what the browser sent.
    pub passed: Passed,
}

/// What a proxy passes on to the site: what it leaves as it is, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The `Host` header.
    pub host: Option<String>,
    /// Whether the site takes a request for one that came over TLS.
    pub over_tls: Option<bool>,
}

impl Address {
    /// The `Host` that the site gets with a request from the page.
    pub(super) fn host(&self) -> String {
        let sent = self.origin.to_string();
        let sent = sent.split_once("://").map_or(sent.as_str(), |(_, host)| host);
        self.passed.host.clone().unwrap_or_else(|| sent.to_owned())
    }

    pub(super) fn over_tls(&self) -> bool {
        // An app, an extension or a sandboxed frame asks a site over TLS, as its own pages do.
        let is_tls = match &self.origin {
            Origin::Tuple { scheme, .. } => scheme == "https",
            Origin::App(_) | Origin::Opaque => true,
        };
        self.passed.over_tls.unwrap_or(is_tls)
    }

    /// Whether a proxy passes requests on as ones to a host of this name.
    pub(super) fn is_passed_to(&self, name: &str) -> bool {
        self.passed.host.as_ref().is_some_and(|host| host.split(':').next() == Some(name))
    }

    /// The same address at another origin.
    pub(super) fn at(&self, origin: Origin) -> Self {
        Self { origin, node: None, passed: self.passed.clone() }
    }
}

/// The addresses of a site: those that people open, and one for each node. Without any, those that the settings name.
///
/// A node's name without a dot is completed by the domain of the others: what the first origin's host is in, or the RP ID; where
/// these are an IP address or one label it stays as it is.
///
/// # Errors
/// [`InvalidUrl`], if a node's name is not one that a host could have.
pub fn addresses(
    site: &Site,
    opened: &[Origin],
    nodes: &[String],
    passed: &Passed,
) -> Result<Vec<Address>, InvalidUrl> {
    let address = |origin: Origin| Address { origin, node: None, passed: passed.clone() };
    let mut all: Vec<_> = opened.iter().cloned().map(address).collect();
    let domain = domain_of_nodes(site, nodes);
    for node in nodes {
        let host = match &domain {
            Some(domain) if !node.contains('.') => format!("{node}.{domain}"),
            _ => node.clone(),
        };
        let origin: Origin = format!("https://{host}{}", port(site)).parse()?;
        match all.iter_mut().find(|known| known.origin == origin) {
            Some(known) => known.node = Some(node.clone()),
            None => all.push(Address { node: Some(node.clone()), ..address(origin) }),
        }
    }
    if all.is_empty() {
        all.extend(origins_of(site).map(address));
    }
    if all.is_empty() {
        all.extend(format!("https://{}{}", site.settings.rp_id, port(site)).parse().ok().map(address));
    }
    Ok(all)
}

/// The origins that the settings name; of a text that has several, each.
pub(super) fn origins_of(site: &Site) -> impl Iterator<Item = Origin> {
    let parts = site.settings.origins.iter().flat_map(|text| match text.matches("://").count() {
        0 | 1 => vec![text.as_str()],
        _ => text.split([',', ';', ' ']).map(str::trim).filter(|part| !part.is_empty()).collect(),
    });
    parts.filter_map(|origin| origin.parse().ok())
}

/// `:PORT` of the first origin; without one, of Proxmox VE's pages.
fn port(site: &Site) -> String {
    let first = origins_of(site).next();
    match (first, site.kind) {
        (Some(Origin::Tuple { port: 443, .. }), _) | (None | Some(Origin::App(_) | Origin::Opaque), Kind::Other) => {
            String::new()
        }
        (Some(Origin::Tuple { port, .. }), _) => format!(":{port}"),
        (None | Some(Origin::App(_) | Origin::Opaque), Kind::ProxmoxVe) => ":8006".to_owned(),
    }
}

/// The domain that nodes are in; `None` if an address or a name of one label says nothing of it.
fn domain_of_nodes(site: &Site, nodes: &[String]) -> Option<String> {
    let rp_id = meant(&site.settings.rp_id)?;
    let of_page = origins_of(site).find_map(|origin| origin.domain().map(str::to_owned));
    let host = of_page.as_ref().unwrap_or(&rp_id);
    match host.split_once('.') {
        Some((label, domain)) if nodes.iter().any(|node| node == label) => Some(domain.to_owned()),
        // The host of one machine, if what is above it is still a site's.
        Some((_, domain)) if *host == rp_id && psl::domain_str(domain).is_some() => Some(domain.to_owned()),
        None if of_page.is_some() || nodes.contains(&rp_id) => None,
        _ => Some(rp_id),
    }
}

/// What an RP ID is meant to be that is written as none: without scheme, port, path and dots around it, in lower case and ASCII.
pub(super) fn meant(rp_id: &str) -> Option<String> {
    let text = rp_id.trim();
    let text = text.split_once("://").map_or(text, |(_, host)| host).trim_start_matches('/');
    let host = text.split(['/', ':']).next().unwrap_or_default().trim_start_matches("*.").trim_matches('.');
    format!("https://{host}").parse::<Origin>().ok()?.domain().map(str::to_owned)
}
