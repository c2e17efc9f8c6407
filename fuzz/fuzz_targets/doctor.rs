//! What `keyrig doctor` reads, and what it makes of it: the files of a node, options, a file of related origins, addresses.
//!
//! What must hold: no panic; a site that is well works at every address; a line that mends all is read, and mends all.

#![no_main]

use keyrig_client::Origin;
use keyrig_client::related_origins::{self, Fetched};
use keyrig_relying_party::Settings;
use keyrig_scenario::doctor::{
    Address, Files, Kind, Passed, Pve, RelatedOrigins, Site, addresses, examine, of_options,
};
use keyrig_scenario::verifier::Recording;
use libfuzzer_sys::fuzz_target;

/// Addresses that are examined, at most.
const MAX_ADDRESSES: usize = 4;

fn settings(site: &Site, opened: &[Origin], nodes: &[String]) {
    let Ok(mut found) = addresses(site, opened, nodes, &Passed::default()) else { return };
    found.truncate(MAX_ADDRESSES);
    let diagnosis = examine(site, &found);
    assert_eq!(diagnosis.ok, diagnosis.addresses.iter().all(|verdict| verdict.works));
    let Some(mend) = diagnosis.mend.filter(|mend| mend.mends_all && mend.moved.is_empty()) else { return };
    let Some(line) = mend.line else { return };
    let line = line.strip_prefix("webauthn: ").expect("a line of a datacenter.cfg");
    let read = Settings::read_webauthn_line("proposed", line);
    let written = read.unwrap_or_else(|error| panic!("{line:?} is proposed: {error}"));
    let mended = Site { settings: written.settings, ..site.clone() };
    let found: Vec<Address> = found;
    assert!(examine(&mended, &found).ok, "{line:?} is proposed");
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut parts = text.splitn(8, '\0').map(str::to_owned);
    let datacenter = parts.next().unwrap_or_default();
    let files =
        Files { corosync_conf: parts.next(), domains_cfg: parts.next(), user_cfg: parts.next(), tfa_cfg: parts.next() };
    let pve = Pve::parse(&files).unwrap_or_default();
    let opened: Vec<Origin> = parts.next().unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect();
    if let Ok(written) = Settings::read_datacenter_cfg("datacenter.cfg", &datacenter) {
        let site =
            Site { settings: written.settings, kind: Kind::ProxmoxVe, related_origins: RelatedOrigins::OfSettings };
        settings(&site, opened.get(..MAX_ADDRESSES).unwrap_or(&opened), &pve.nodes);
    }
    if let Ok(options) = Recording::read(parts.next().unwrap_or_default().as_bytes()) {
        let told = of_options(&options);
        assert!(told.iter().all(|warning| !warning.text.is_empty()));
    }
    let (file, page) = (parts.next().unwrap_or_default(), Origin::Opaque);
    let answer = |_: &str| Fetched::Answer {
        status: 200,
        content_type: Some("application/json".to_owned()),
        body: file.clone().into_bytes(),
    };
    for origin in opened.iter().chain([&page]) {
        let _verdict = related_origins::judge(origin, "example.com", &answer);
    }
});
