//! The smallest change after which all addresses work: candidates, each tried as the settings themselves were.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use keyrig_client::Origin;
use keyrig_relying_party::Settings;
use serde::Serialize;

use super::address::{self, Address};
use super::related;
use super::site::{Kind, Site};
use super::verdict::{self, Verdict};

/// What mends the addresses that do not work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mend {
    /// The settings to change, together.
    pub changes: Vec<Change>,
    /// The addresses that no settings mend, and what to open in their place.
    pub moved: Vec<Moved>,
    /// Whether every address works then, those that were moved at their new place, and nothing breaks that the settings name.
    pub mends_all: bool,
    /// The addresses that do not work even then, and why.
    pub left: Vec<Verdict>,
    /// Whether the RP ID changes: no browser uses a key that was enrolled before.
    pub enrolled_keys_become_useless: bool,
    /// What has to be known of the change, or why there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The whole `webauthn:` line of Proxmox VE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// A setting to change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name, as it is written in the settings.
    pub setting: &'static str,
    /// What it is.
    pub from: String,
    /// What it is to be; `None` if it is to be left out.
    pub to: Option<String>,
}

/// An address that no settings mend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// The address.
    pub from: String,
    /// What to open instead; `None` if there is no telling.
    pub to: Option<String>,
    /// Why.
    pub why: &'static str,
}

/// How much a candidate costs, what weighs most first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// How many of the addresses fail then.
    fails: usize,
    /// How many of those that the settings name, nobody asked about and that work today.
    breaks: usize,
    /// Whether another RP ID makes enrolled keys useless.
    changes_rp_id: bool,
    /// How many of those that the settings name and nobody asked about.
    drops: usize,
    /// Whether it takes a file for browsers.
    needs_file: bool,
    changes: usize,
    preference: usize,
    /// Whether the RP ID is another than what was meant.
    is_other: bool,
    length: Reverse<usize>,
    rp_id: String,
}

/// The smallest change; `None` if nothing that can be changed here mends anything.
pub(super) fn smallest(site: &Site, addresses: &[Address]) -> Option<Mend> {
    let mut moved = Vec::new();
    let mut reachable = Vec::new();
    for address in addresses {
        match elsewhere(&address.origin) {
            None => reachable.push(address.clone()),
            Some((to, why)) => {
                let from = address.origin.to_string();
                moved.push(Moved { from, to: to.as_ref().map(ToString::to_string), why });
                reachable.extend(to.map(|origin| address.at(origin)));
            }
        }
    }
    let listed = related::listed(site);
    let failing_of = |settings: &Settings, addresses: &[Address]| {
        let file = related::file_under(site, &listed, settings);
        let verdicts = addresses.iter().map(|address| verdict::of(settings, &file, address));
        verdicts.filter(|verdict| !verdict.works).collect::<Vec<_>>()
    };
    let failing = |settings: &Settings| failing_of(settings, &reachable);
    let named = named(site, &reachable);
    let works_today = |address: &&Address| verdict::of(&site.settings, &site.related_origins, address).works;
    let working: Vec<_> = named.iter().filter(works_today).cloned().collect();
    let home = home(site, &named, &reachable);
    let all: Vec<_> = reachable.iter().chain(&named).cloned().collect();
    let meant = address::meant(&site.settings.rp_id);
    let mut best: Option<(Cost, Settings)> = None;
    for rp_id in rp_ids(site, meant.as_ref(), &all) {
        let base = Settings { rp_id: rp_id.clone(), ..site.settings.clone() };
        let with_file = related::added(site, &base, &listed, &reachable, &home);
        for (needs_file, base) in [(false, Some(base)), (true, with_file)] {
            let Some(base) = base else { continue };
            for (preference, settings) in origins(site, &base, &reachable).into_iter().enumerate() {
                let cost = Cost {
                    fails: failing(&settings).len(),
                    breaks: failing_of(&settings, &working).len(),
                    changes_rp_id: rp_id != site.settings.rp_id,
                    drops: failing_of(&settings, &named).len(),
                    needs_file,
                    changes: changes(site, &listed, &settings).len(),
                    preference,
                    is_other: meant.as_ref() != Some(&rp_id),
                    length: Reverse(rp_id.len()),
                    rp_id: rp_id.clone(),
                };
                if best.as_ref().is_none_or(|(cheapest, _)| cost < *cheapest) {
                    best = Some((cost, settings));
                }
            }
        }
    }
    let (_, settings) = best?;
    let left = failing(&settings);
    let changes = changes(site, &listed, &settings);
    let was_failing = failing(&site.settings).len();
    // A change that mends nothing is none.
    let changes = if left.len() < was_failing { changes } else { Vec::new() };
    let is_listed = changes.iter().any(|change| change.setting == related::SETTING);
    let mut notes = related::notes(site, is_listed, &settings, &reachable, &left);
    let broken = if changes.is_empty() { Vec::new() } else { failing_of(&settings, &working) };
    if !changes.is_empty() {
        notes.extend(broken.iter().map(|verdict| {
            format!("{} works today, and would not then: name it with --from if people open it", verdict.address)
        }));
    }
    if changes.is_empty() && moved.is_empty() && notes.is_empty() {
        return None;
    }
    Some(Mend {
        mends_all: left.is_empty() && broken.is_empty() && moved.iter().all(|moved| moved.to.is_some()),
        enrolled_keys_become_useless: !changes.is_empty() && settings.rp_id != site.settings.rp_id,
        line: (site.kind == Kind::ProxmoxVe && !changes.is_empty())
            .then(|| line(&named_after(&site.settings, settings))),
        changes,
        moved,
        left,
        notes,
    })
}

/// The addresses that the settings name, beside those that are asked about.
fn named(site: &Site, asked: &[Address]) -> Vec<Address> {
    let is_new = |origin: &Origin| asked.iter().all(|address| address.origin != *origin);
    let passed = asked.first().map(|address| address.passed.clone()).unwrap_or_default();
    let address = |origin| Address { origin, node: None, passed: passed.clone() };
    address::origins_of(site).filter(is_new).map(address).collect()
}

/// Where the site is, beside the addresses that are asked about: as the settings name it, or at its RP ID, and not if that is the
/// name of what is behind a proxy.
fn home(site: &Site, named: &[Address], asked: &[Address]) -> Vec<Address> {
    let Some(first) = asked.first().filter(|first| !first.is_passed_to(&site.settings.rp_id)) else {
        return Vec::new();
    };
    let of_rp_id = || format!("https://{}", site.settings.rp_id).parse().ok().map(|origin| first.at(origin));
    if site.settings.origins.is_empty() { of_rp_id().into_iter().collect() } else { named.to_vec() }
}

/// Where to open a page instead that has no WebAuthn whatever the settings are, and why.
fn elsewhere(origin: &Origin) -> Option<(Option<Origin>, &'static str)> {
    if matches!(origin, Origin::App(_)) {
        return None;
    }
    let Origin::Tuple { scheme, host, port } = origin else {
        return Some((None, "an opaque origin has no RP ID: open the page from an address of the site"));
    };
    let at = |url: String| url.parse::<Origin>().ok();
    if origin.domain().is_none() {
        return Some(if origin.is_loopback() {
            (
                at(format!("{scheme}://localhost:{port}")),
                "browsers have no WebAuthn at an IP address, and localhost is a name",
            )
        } else {
            (None, "browsers have no WebAuthn at an IP address: give the machine a name, and open that")
        });
    }
    if let Some(name) = origin.domain().and_then(|name| name.strip_suffix('.')) {
        let port = *port;
        let scheme = if origin.is_secure_context() { scheme } else { "https" };
        return Some((
            at(format!("{scheme}://{name}:{port}")),
            "with a dot at its end the name is another one to browsers and sites",
        ));
    }
    if !origin.is_secure_context() {
        let port = if *port == 80 { 443 } else { *port };
        return Some((at(format!("https://{host}:{port}")), "browsers have no WebAuthn over plain http"));
    }
    None
}

/// The RP IDs that any of the addresses may claim, the one that is set, and what that is meant to be.
fn rp_ids(site: &Site, meant: Option<&String>, addresses: &[Address]) -> BTreeSet<String> {
    let mut rp_ids = BTreeSet::from([site.settings.rp_id.clone()]);
    rp_ids.extend(meant.cloned());
    for address in addresses {
        let mut name = address.origin.domain().map(str::to_owned);
        while let Some(rp_id) = name {
            let settings = Settings { rp_id: rp_id.clone(), ..site.settings.clone() };
            if verdict::of_client(&settings, &site.related_origins, address).is_none() {
                rp_ids.insert(rp_id.clone());
            }
            name = rp_id.split_once('.').map(|(_, parent)| parent.to_owned());
        }
    }
    rp_ids
}

/// Settings that differ in origins and subdomains, the preferred first.
fn origins(site: &Site, base: &Settings, addresses: &[Address]) -> Vec<Settings> {
    let with = |origins: Vec<String>, allow_subdomains: bool| Settings { origins, allow_subdomains, ..base.clone() };
    let kept = base.allow_subdomains;
    let mut candidates = vec![base.clone()];
    // Whoever needs the file is in another list.
    let used: Vec<_> = addresses.iter().filter(|address| verdict::is_let_by_domain(base, address)).collect();
    let mut listed: Vec<String> = Vec::new();
    for origin in used.iter().map(|address| address.origin.to_string()) {
        if !listed.contains(&origin) {
            listed.push(origin);
        }
    }
    if site.kind == Kind::Other {
        let is_sound = |origin: &String| Settings::new(&base.rp_id, origin).judge_origin(origin, "", true).is_ok();
        let mut added: Vec<_> = base.origins.iter().filter(|origin| is_sound(origin)).cloned().collect();
        let missing: Vec<_> = listed.iter().filter(|origin| !added.contains(origin)).cloned().collect();
        added.extend(missing);
        candidates.push(with(added, kept));
    }
    candidates.push(with(Vec::new(), kept));
    if let [only] = &listed[..] {
        candidates.push(with(vec![only.clone()], kept));
    }
    if let Some(Origin::Tuple { scheme, port, .. }) = used.first().map(|address| &address.origin)
        && let Ok(origin) = format!("{scheme}://{}:{port}", base.rp_id).parse::<Origin>()
    {
        candidates.push(with(vec![origin.to_string()], true));
    }
    candidates.push(with(base.origins.clone(), true));
    candidates
}

fn changes(site: &Site, related: &[String], to: &Settings) -> Vec<Change> {
    let from = &site.settings;
    let (rp_id, origins, subdomains) = match site.kind {
        Kind::ProxmoxVe => ("id", "origin", "allow-subdomains"),
        Kind::Other => ("rp_id", "origins", "allow_subdomains"),
    };
    let listed = |origins: &[String]| (!origins.is_empty()).then(|| origins.join(", "));
    let is = |allowed: bool| match site.kind {
        Kind::ProxmoxVe => u8::from(allowed).to_string(),
        Kind::Other => allowed.to_string(),
    };
    let mut changes = Vec::new();
    if from.rp_id != to.rp_id {
        changes.push(Change { setting: rp_id, from: from.rp_id.clone(), to: Some(to.rp_id.clone()) });
    }
    if from.origins != to.origins {
        let was = listed(&from.origins).unwrap_or_default();
        changes.push(Change { setting: origins, from: was, to: listed(&to.origins) });
    }
    if from.allow_subdomains != to.allow_subdomains {
        let to = Some(is(to.allow_subdomains));
        changes.push(Change { setting: subdomains, from: is(from.allow_subdomains), to });
    }
    if from.related_origins != to.related_origins {
        // Where only the site's own list changes, that is what it was.
        let was = if to.related_origins == related { &from.related_origins[..] } else { related };
        let was = listed(was).unwrap_or_default();
        changes.push(Change { setting: related::SETTING, from: was, to: listed(&to.related_origins) });
    }
    changes
}

/// A name that was only the RP ID follows it.
fn named_after(from: &Settings, to: Settings) -> Settings {
    let name = if from.name == from.rp_id { to.rp_id.clone() } else { to.name.clone() };
    Settings { name, ..to }
}

/// The line of a `datacenter.cfg`.
pub(super) fn line(settings: &Settings) -> String {
    let origin = settings.origins.first().map(|origin| format!(",origin={origin}")).unwrap_or_default();
    let subdomains = if settings.allow_subdomains { "" } else { ",allow-subdomains=0" };
    format!("webauthn: rp={},id={}{origin}{subdomains}", settings.name, settings.rp_id)
}
