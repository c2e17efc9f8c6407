//! Related origins as a change: for an address on another registrable domain, which cannot share an RP ID otherwise.

use keyrig_client::Origin;
use keyrig_client::related_origins::{self, Fetched, MAX_LABELS};
use keyrig_relying_party::Settings;

use super::address::Address;
use super::site::{Kind, RelatedOrigins, Site};
use super::verdict::{self, Verdict};

/// The setting.
pub(super) const SETTING: &str = "related_origins";

/// What is listed today: by the file that was found, or else by the settings.
pub(super) fn listed(site: &Site) -> Vec<String> {
    let of_settings = || site.settings.related_origins.clone();
    match &site.related_origins {
        RelatedOrigins::OfSettings => of_settings(),
        RelatedOrigins::Fetched(found) => {
            let none = || Fetched::Unreachable(String::new());
            let fetch = |address: &str| found.get(address).cloned().unwrap_or_else(none);
            related_origins::listed(&site.settings.rp_id, &fetch).unwrap_or_else(|_| of_settings())
        }
    }
}

/// What browsers find under other settings: what they find today, unless that is changed.
pub(super) fn file_under(site: &Site, listed: &[String], settings: &Settings) -> RelatedOrigins {
    let is_as_found = settings.rp_id == site.settings.rp_id
        && (settings.related_origins == site.settings.related_origins || settings.related_origins == listed);
    if is_as_found { site.related_origins.clone() } else { RelatedOrigins::OfSettings }
}

/// Settings that list the addresses on other registrable domains, too; `None` if all are listed, if the site is nowhere on the
/// RP ID's own domain, where the file is, or if there is no such setting.
pub(super) fn added(
    site: &Site,
    base: &Settings,
    listed: &[String],
    addresses: &[Address],
    home: &[Address],
) -> Option<Settings> {
    let is_home = |address: &Address| verdict::is_let_by_domain(base, address);
    if site.kind == Kind::ProxmoxVe || !addresses.iter().chain(home).any(is_home) {
        return None;
    }
    let mut related_origins: Vec<_> =
        listed.iter().filter(|origin| is_elsewhere(&base.rp_id, origin)).cloned().collect();
    let related = addresses.iter().filter(|address| is_related(&base.rp_id, &address.origin));
    let related: Vec<_> = related.map(|address| address.origin.to_string()).collect();
    // Of what browsers find listed, the site need not know.
    let is_new = |origin: &String| !listed.contains(origin) || !base.related_origins.contains(origin);
    if !related.iter().any(is_new) {
        return None;
    }
    for origin in related {
        if !related_origins.contains(&origin) {
            related_origins.push(origin);
        }
    }
    Some(Settings { related_origins, ..base.clone() })
}

/// Whether an origin is good where only what is outside of the RP ID is.
fn is_elsewhere(rp_id: &str, origin: &str) -> bool {
    origin.parse::<Origin>().is_ok_and(|origin| is_related(rp_id, &origin))
}

/// Whether a page could be related to an RP ID and could not claim one together with its pages.
fn is_related(rp_id: &str, origin: &Origin) -> bool {
    let of = |domain: &str| psl::domain_str(domain).map(str::to_owned);
    let is_https = matches!(origin, Origin::Tuple { scheme, .. } if scheme == "https");
    match (of(rp_id), origin.domain().and_then(of)) {
        (Some(of_rp_id), Some(of_page)) => is_https && of_rp_id != of_page,
        _ => false,
    }
}

/// What has to be known of such a change, or that there is none where it would help.
pub(super) fn notes(
    site: &Site,
    is_changed: bool,
    settings: &Settings,
    addresses: &[Address],
    left: &[Verdict],
) -> Vec<String> {
    if is_changed {
        let mut notes = of_file(site, settings);
        if !addresses.iter().any(|address| verdict::is_let_by_domain(settings, address)) {
            notes.push(format!(
                "another RP ID needs no such file and makes every enrolled key useless: take one that these addresses share \
                 only if nobody enrolled a key with {} yet",
                settings.rp_id
            ));
        }
        return notes;
    }
    let is_left = |address: &&Address| left.iter().any(|verdict| verdict.address == address.origin.to_string());
    let is_related = |address: &&Address| is_related(&settings.rp_id, &address.origin);
    let elsewhere: Vec<_> =
        addresses.iter().filter(is_left).filter(is_related).map(|address| address.origin.to_string()).collect();
    if site.kind == Kind::ProxmoxVe && !elsewhere.is_empty() {
        let (elsewhere, rp_id) = (elsewhere.join(" and "), &settings.rp_id);
        return vec![format!(
            "browsers would let {elsewhere} use the RP ID {rp_id} by a file of related origins, and Proxmox VE has no setting \
             for that: open it by a name in one domain with the others"
        )];
    }
    Vec::new()
}

fn of_file(site: &Site, settings: &Settings) -> Vec<String> {
    let mut labels: Vec<_> = settings
        .related_origins
        .iter()
        .filter_map(|origin| related_origins::label(origin.parse::<Origin>().ok()?.domain()?))
        .collect();
    labels.sort();
    labels.dedup();
    let address = related_origins::address(&settings.rp_id);
    if settings.rp_id == site.settings.rp_id && listed(site) == settings.related_origins {
        return vec![format!("{address} lists them: what is missing is that the site takes answers from there, too")];
    }
    let file = settings.related_origins_file().unwrap_or_default();
    vec![
        format!(
            "browsers look for the file at {address}, on port 443, as application/json: 'keyrig rp serve' answers with it \
             there; another server has to have {file}, and to take answers from these origins"
        ),
        format!(
            "they look at the first {MAX_LABELS} names in it that stand before a public suffix, and pass over the rest: this \
             one has {} ({})",
            labels.len(),
            labels.join(", ")
        ),
        "Chromium reads it from version 128 on, and Firefox 153 does; nobody has looked at Safari. A browser that does not \
         read it refuses such a page"
            .to_owned(),
    ]
}
