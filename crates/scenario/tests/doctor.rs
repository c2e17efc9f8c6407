//! Who refuses is what the catalogue of misconfigurations says, which was written down before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use keyrig_client::Origin;
use keyrig_client::related_origins::Fetched;

use keyrig_relying_party::Settings;
use keyrig_scenario::doctor::{
    Address, Diagnosis, Files, Kind, Passed, Pve, RelatedOrigins, Site, Verdict, addresses, examine, proposed,
};
use keyrig_scenario::report::Party::{self, Client, RelyingParty};

fn proxmox(line: &str) -> Site {
    let settings = Settings::read_webauthn_line("test", line).unwrap().settings;
    Site { settings, kind: Kind::ProxmoxVe, related_origins: RelatedOrigins::OfSettings }
}

fn other(rp_id: &str, origins: &[&str]) -> Site {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    Site {
        settings: Settings { origins, ..Settings::new(rp_id, "") },
        kind: Kind::Other,
        related_origins: RelatedOrigins::OfSettings,
    }
}

/// A site that was seen to serve a file of related origins.
fn with_file(body: &str, origins: &[&str]) -> Site {
    let content_type = Some("application/json".to_owned());
    let answer = Fetched::Answer { status: 200, content_type, body: body.as_bytes().to_vec() };
    let address = "https://example.com/.well-known/webauthn".to_owned();
    Site { related_origins: RelatedOrigins::Fetched([(address, answer)].into()), ..other("example.com", origins) }
}

fn opened(site: &Site, urls: &[&str]) -> Vec<Address> {
    let urls: Vec<Origin> = urls.iter().map(|url| url.parse().unwrap()).collect();
    addresses(site, &urls, &[], &Passed::default()).unwrap()
}

fn nodes(site: &Site, names: &[&str]) -> Vec<Address> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    addresses(site, &[], &names, &Passed::default()).unwrap()
}

/// Who is met first at each address, and the row.
fn met(diagnosis: &Diagnosis) -> Vec<Option<(Party, Option<u8>)>> {
    let first = |verdict: &Verdict| verdict.refusals.first().map(|refusal| (refusal.by, refusal.row));
    diagnosis.addresses.iter().map(first).collect()
}

const THREE: [&str; 3] = ["pve1", "pve2", "pve3"];

#[test]
fn a_cluster_whose_rp_id_is_one_node_is_mended_by_both_settings_together() {
    let site = proxmox("rp=Cluster,origin=https://pve1.example.com:8006,id=pve1.example.com");
    let diagnosis = examine(&site, &nodes(&site, &THREE));
    let addresses: Vec<_> = diagnosis.addresses.iter().map(|verdict| verdict.address.as_str()).collect();
    assert_eq!(
        addresses,
        ["https://pve1.example.com:8006", "https://pve2.example.com:8006", "https://pve3.example.com:8006"]
    );
    let by_browser = Some((Client, Some(18)));
    assert_eq!(met(&diagnosis), [None, by_browser, by_browser]);
    let refusals = &diagnosis.addresses[1].refusals;
    assert_eq!(
        refusals.iter().map(|refusal| (refusal.by, refusal.row)).collect::<Vec<_>>(),
        [(Client, Some(18)), (RelyingParty, Some(17))]
    );
    assert!(diagnosis.warnings.iter().any(|warning| warning.code == "rp-id-narrow"), "{:?}", diagnosis.warnings);

    // The RP ID alone moves the refusal.
    let half = proxmox("rp=Cluster,origin=https://pve1.example.com:8006,id=example.com");
    let by_site = Some((RelyingParty, Some(17)));
    assert_eq!(met(&examine(&half, &nodes(&half, &THREE))), [None, by_site, by_site]);

    let mend = diagnosis.mend.unwrap();
    assert!(mend.mends_all && mend.enrolled_keys_become_useless, "{mend:?}");
    let changed: Vec<_> = mend.changes.iter().map(|change| (change.setting, change.to.as_deref())).collect();
    assert_eq!(changed, [("id", Some("example.com")), ("origin", None)]);
    let line = mend.line.unwrap();
    assert_eq!(line, "webauthn: rp=Cluster,id=example.com");
    let mended = proxmox(line.strip_prefix("webauthn: ").unwrap());
    assert!(examine(&mended, &nodes(&mended, &THREE)).addresses.iter().all(|verdict| verdict.works));
}

#[test]
fn a_public_suffix_is_refused_by_browsers_wherever_it_is() {
    let site = proxmox("rp=Cluster,origin=https://pve1.example.co.uk:8006,id=co.uk");
    let diagnosis = examine(&site, &nodes(&site, &["pve1", "pve2"]));
    let by_browser = Some((Client, Some(20)));
    assert_eq!(met(&diagnosis), [by_browser, by_browser]);
    let mend = diagnosis.mend.unwrap();
    assert!(mend.mends_all);
    assert_eq!(mend.changes[0].to.as_deref(), Some("example.co.uk"));
}

/// Settings, an address, and the row that is met there first.
#[test]
fn rows_of_the_catalogue_are_met_by_whom_they_say() {
    for (rp_id, origin, address, by, row) in [
        ("example.com", "https://example.com:8006", "https://example.com:8007", RelyingParty, 1),
        ("example.com", "https://example.com:8443", "https://example.com", RelyingParty, 2),
        ("localhost", "https://localhost:8006", "http://localhost:8006", RelyingParty, 4),
        ("example.com", "https://example.com/", "https://example.com", RelyingParty, 6),
        ("example.com", "https://example.com/login", "https://example.com", RelyingParty, 7),
        ("example.com", "example.com:8006", "https://example.com:8006", RelyingParty, 8),
        ("example.com", "https://a.example.com,https://b.example.com", "https://a.example.com", RelyingParty, 9),
        ("example.com", "https://example.com", "http://example.com", Client, 10),
        ("example.com", "https://example.com", "https://192.0.2.1", Client, 11),
        ("localhost", "http://localhost:8006", "http://127.0.0.1:8006", Client, 12),
        ("example.com:8006", "https://example.com:8006", "https://example.com:8006", RelyingParty, 13),
        ("https://example.com", "https://example.com", "https://example.com", RelyingParty, 14),
        ("pve.example.com", "https://pve.example.com", "https://example.com", Client, 15),
        ("example.com", "https://pve1.example.com", "https://pve2.example.com", RelyingParty, 17),
        ("pve1.example.com", "https://pve1.example.com", "https://pve2.example.com", Client, 18),
        ("www.example.com", "https://www.example.com", "https://example.com", Client, 19),
        ("example.com", "https://example.com", "https://www.example.com", RelyingParty, 19),
        ("github.io", "https://us.github.io", "https://us.github.io", Client, 20),
        ("lan", "https://pve.lan", "https://pve.lan", Client, 21),
        ("Example.com", "https://example.com", "https://example.com", RelyingParty, 22),
        ("bücher.example", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example", RelyingParty, 23),
        ("example.com", "https://example.com", "https://evilexample.com", Client, 24),
        ("example.com", "https://example.com", "null", Client, 28),
    ] {
        let site = other(rp_id, &[origin]);
        let diagnosis = examine(&site, &opened(&site, &[address]));
        assert_eq!(met(&diagnosis), [Some((by, Some(row)))], "{rp_id} {origin} {address}");
    }
}

/// Rows 3 and 4: without an origin in the settings the host of the request decides, and a proxy can change that.
#[test]
fn a_proxy_that_passes_on_another_host_has_the_site_refuse() {
    let site = proxmox("rp=x,id=example.com");
    let at = |passed: Passed| {
        let origin = "https://pve.example.com:8006".parse().unwrap();
        examine(&site, &addresses(&site, &[origin], &[], &passed).unwrap())
    };
    assert!(at(Passed::default()).ok);
    for (passed, row) in [
        (Passed { host: Some("pve.example.com".to_owned()), over_tls: None }, 3),
        (Passed { host: Some("10.0.0.7:8006".to_owned()), over_tls: None }, 3),
        (Passed { host: None, over_tls: Some(false) }, 4),
    ] {
        let diagnosis = at(passed.clone());
        assert_eq!(met(&diagnosis), [Some((RelyingParty, Some(row)))], "{passed:?}");
        let mend = diagnosis.mend.unwrap();
        assert!(mend.mends_all && !mend.enrolled_keys_become_useless);
        assert_eq!(mend.line.as_deref(), Some("webauthn: rp=x,id=example.com,origin=https://pve.example.com:8006"));
    }
}

#[test]
fn what_no_setting_mends_is_opened_elsewhere() {
    let site = other("localhost", &["http://localhost:8006"]);
    let diagnosis = examine(&site, &opened(&site, &["http://localhost:8006", "http://127.0.0.1:8006"]));
    let mend = diagnosis.mend.unwrap();
    assert!(mend.mends_all && mend.changes.is_empty());
    assert_eq!(mend.moved[0].to.as_deref(), Some("http://localhost:8006"));

    let site = other("example.com", &["https://example.com"]);
    let mend = examine(&site, &opened(&site, &["http://example.com", "https://192.0.2.1"])).mend.unwrap();
    assert_eq!(mend.moved[0].to.as_deref(), Some("https://example.com"));
    assert_eq!((mend.moved[1].to.as_deref(), mend.mends_all), (None, false));
}

fn changed(diagnosis: &Diagnosis) -> Vec<(&str, Option<&str>)> {
    let mend = diagnosis.mend.as_ref().unwrap();
    mend.changes.iter().map(|change| (change.setting, change.to.as_deref())).collect()
}

/// WebAuthn Level 3 §5.11: what no RP ID is shared by, a file relates.
#[test]
fn another_domain_shares_the_rp_id_by_related_origins() {
    let site = other("example.com", &["https://example.com"]);
    let addresses = opened(&site, &["https://example.com", "https://example.net:8443", "https://shop.example.org"]);
    let diagnosis = examine(&site, &addresses);
    assert_eq!(changed(&diagnosis), [("related_origins", Some("https://example.net:8443, https://shop.example.org"))]);
    let mend = diagnosis.mend.unwrap();
    assert!(mend.mends_all && !mend.enrolled_keys_become_useless);
    let file = r#"{"origins":["https://example.net:8443","https://shop.example.org"]}"#;
    assert!(mend.notes[0].contains("https://example.com/.well-known/webauthn") && mend.notes[0].contains(file));
    assert!(mend.notes[1].contains("first 5 names"), "{:?}", mend.notes);

    // What it proposes works.
    let mut mended = site;
    mended.settings.related_origins =
        vec!["https://example.net:8443".to_owned(), "https://shop.example.org".to_owned()];
    assert!(examine(&mended, &addresses).ok);
}

/// One domain needs no file: the RP ID that its pages share is the change, though it is the greater one.
#[test]
fn one_domain_is_mended_without_a_file() {
    let site = other("pve1.example.com", &["https://pve1.example.com"]);
    let diagnosis = examine(&site, &opened(&site, &["https://pve1.example.com", "https://pve2.example.com"]));
    assert_eq!(changed(&diagnosis)[0], ("rp_id", Some("example.com")));
    // Nobody opens the RP ID's own domain, which is what is behind a proxy.
    let site = other("backend.example.org", &["https://backend.example.org"]);
    let passed = Passed { host: Some("backend.example.org".to_owned()), over_tls: None };
    let behind = addresses(&site, &["https://app.example.com".parse().unwrap()], &[], &passed).unwrap();
    let diagnosis = examine(&site, &behind);
    assert_eq!(
        (met(&diagnosis), changed(&diagnosis)[0]),
        (vec![Some((Client, Some(5)))], ("rp_id", Some("app.example.com")))
    );
    // What is not https is in no such file.
    let site = other("example.com", &["https://example.com"]);
    let mend = examine(&site, &opened(&site, &["https://example.com", "http://localhost:8080"])).mend;
    assert_eq!(mend, None);
}

/// What is not asked about and works today is kept if that costs nothing, and told otherwise.
#[test]
fn an_address_of_the_settings_that_works_is_not_broken_unsaid() {
    let site = proxmox("rp=x,id=pve1.example.com,origin=https://pve1.example.com:8006");
    let diagnosis = examine(&site, &opened(&site, &["https://pve2.example.com:8006"]));
    assert_eq!(changed(&diagnosis), [("id", Some("example.com")), ("origin", None)]);
    assert_eq!(diagnosis.mend.unwrap().notes, [""; 0]);
    // No setting relates another domain to it.
    let site = proxmox("rp=x,id=example.com,origin=https://example.com");
    let mend = examine(&site, &opened(&site, &["https://example.org"])).mend.unwrap();
    assert!(!mend.mends_all, "{mend:?}");
    assert!(mend.notes.iter().any(|note| note.starts_with("https://example.com works today")), "{:?}", mend.notes);
}

/// WebAuthn Level 3 §5.11: keys stay with their RP ID, and pages elsewhere are related to it.
#[test]
fn an_rp_id_with_enrolled_keys_is_kept() {
    for origins in [&["https://login.example.com"][..], &[]] {
        let mut site = other("example.com", origins);
        let diagnosis = examine(&site, &opened(&site, &["https://other.test"]));
        assert_eq!(changed(&diagnosis), [("related_origins", Some("https://other.test"))], "{origins:?}");
        let mend = diagnosis.mend.unwrap();
        assert!(mend.mends_all && !mend.enrolled_keys_become_useless, "{mend:?}");
        site.settings.related_origins = vec!["https://other.test".to_owned()];
        assert!(examine(&site, &opened(&site, &["https://other.test", "https://login.example.com"])).ok);
    }
    // Below a label of an intranet nothing is shared: the machine that the settings name keeps its name, and the other is related.
    let site = other("lan", &["https://pve1.lan:8006"]);
    let diagnosis = examine(&site, &nodes(&site, &["pve2"]));
    assert_eq!(changed(&diagnosis), [("rp_id", Some("pve1.lan")), ("related_origins", Some("https://pve2.lan:8006"))]);
}

/// Row 35: what the RP ID's own file lists, the site need not take.
#[test]
fn a_list_of_the_site_s_own_is_added_to() {
    let site = with_file(r#"{"origins":["https://other.test"]}"#, &["https://login.example.com"]);
    let diagnosis = examine(&site, &opened(&site, &["https://other.test"]));
    assert_eq!(met(&diagnosis), [Some((RelyingParty, Some(35)))]);
    assert_eq!(changed(&diagnosis), [("related_origins", Some("https://other.test"))]);
    let mend = diagnosis.mend.unwrap();
    assert!(mend.mends_all && mend.changes[0].from.is_empty(), "{mend:?}");
    assert!(mend.notes[0].contains("lists them: what is missing"), "{:?}", mend.notes);
}

/// Rows 3 and 4 are of proxies: where the site gets the host that the browser sent there is none to blame.
#[test]
fn a_proxy_is_not_blamed_where_none_changes_anything() {
    let site = other("example.com", &[]);
    let diagnosis = examine(&site, &opened(&site, &["https://other.test"]));
    let [_, of_site] = &diagnosis.addresses[0].refusals[..] else { panic!("{diagnosis:?}") };
    assert_eq!((of_site.by, of_site.row), (RelyingParty, None));
    assert!(!of_site.reason.contains("proxy") && of_site.reason.contains("other.test"), "{}", of_site.reason);
    // A sandboxed frame asks the site by its own name, and over TLS.
    let diagnosis = examine(&site, &opened(&site, &["null"]));
    let reasons: Vec<_> = diagnosis.addresses[0].refusals.iter().map(|refusal| &refusal.reason).collect();
    assert!(reasons.iter().all(|reason| !reason.contains("plain http")), "{reasons:?}");
}

/// Row 11: addresses of nodes that are known by their IP address, or by names of one label.
#[test]
fn nodes_without_a_domain_keep_their_names() {
    let site = proxmox("rp=x,id=10.0.0.1,origin=https://10.0.0.1:8006");
    let diagnosis = examine(&site, &nodes(&site, &["pve1", "pve2"]));
    assert_eq!(diagnosis.addresses[0].address, "https://pve1:8006");
    assert_eq!(met(&diagnosis), [Some((RelyingParty, Some(11))); 2]);
    for (rp_id, origin, expected) in [
        ("pve1", "https://pve1:8006", "https://pve2:8006"),
        ("lan", "https://pve1.lan:8006", "https://pve2.lan:8006"),
        ("https://pve1.example.com:8006", "https://pve1.example.com:8006", "https://pve2.example.com:8006"),
    ] {
        let site = other(rp_id, &[origin]);
        assert_eq!(nodes(&site, &["pve2"])[0].origin.to_string(), expected);
    }
}

/// The name that is missing is no second mistake, and a mistake that browsers tell of is told once.
#[test]
fn a_name_that_is_missing_becomes_no_public_suffix() {
    let settings = Settings::read_webauthn_line("test", "id=co.uk,origin=https://pve1.example.co.uk:8006").unwrap();
    let site = Site { settings: settings.settings, ..proxmox("rp=x,id=co.uk") };
    let diagnosis = examine(&site, &opened(&site, &["https://pve1.example.co.uk:8006"]));
    let line = diagnosis.mend.unwrap().line.unwrap();
    assert_eq!(line, "webauthn: rp=pve1.example.co.uk,id=pve1.example.co.uk,origin=https://pve1.example.co.uk:8006");
    assert!(diagnosis.warnings.iter().all(|warning| !warning.text.contains("public suffix")));
}

/// A node without WebAuthn: the widest RP ID that is no public suffix is not needed where a narrower one does.
#[test]
fn a_line_is_proposed_that_all_addresses_share() {
    for (opened, nodes, expected, last) in [
        (&["https://pve1.dc.example.com:8006"][..], &["pve1", "pve2"][..], "dc.example.com", "pve2.dc.example.com"),
        (&["https://example.com"], &["pve1"], "example.com", "pve1.example.com"),
        (&[], &["pve1.a.example.com", "pve2.b.example.com"], "example.com", "pve2.b.example.com"),
        (&["https://pve1.example.co.uk:8006"], &["pve1"], "example.co.uk", "pve1.example.co.uk"),
        (&["https://pve1.lan:8006"], &["pve2"], "pve1.lan", "pve2.lan"),
    ] {
        let opened: Vec<Origin> = opened.iter().map(|url| url.parse().unwrap()).collect();
        let nodes: Vec<_> = nodes.iter().map(|name| (*name).to_owned()).collect();
        let found = proposed(&opened, &nodes, &Passed::default()).unwrap();
        assert_eq!((&found.settings.rp_id[..], found.nodes.last().map(String::as_str)), (expected, Some(last)));
        assert_eq!(found.line, format!("webauthn: rp={expected},id={expected}"));
    }
    assert!(proposed(&["https://10.0.0.1:8006".parse().unwrap()], &["pve1".to_owned()], &Passed::default()).is_none());
}

/// The RP ID that somebody meant, as far as what is written shows it.
#[test]
fn an_rp_id_that_is_none_is_mended_to_what_was_meant() {
    for rp_id in [
        "EXAMPLE.com",
        "example.com.",
        ".example.com",
        "*.example.com",
        " example.com ",
        "example.com:8443",
        "https://example.com",
        "https://example.com:8443/login",
        "example.com/",
        "//example.com",
    ] {
        let site = other(rp_id, &[]);
        let diagnosis = examine(&site, &opened(&site, &["https://login.example.com:8443"]));
        assert_eq!(changed(&diagnosis), [("rp_id", Some("example.com"))], "{rp_id}");
        assert!(diagnosis.mend.unwrap().mends_all, "{rp_id}");
    }
    let site = other("bücher.example", &[]);
    let diagnosis = examine(&site, &opened(&site, &["https://login.bücher.example"]));
    assert_eq!(changed(&diagnosis), [("rp_id", Some("xn--bcher-kva.example"))]);
}

#[test]
fn several_origins_in_one_text_are_told_apart() {
    for between in [",", " ", ", ", ";"] {
        let both = format!("https://a.example.com{between}https://b.example.com");
        let site = other("example.com", &[&both]);
        let diagnosis = examine(&site, &addresses(&site, &[], &[], &Passed::default()).unwrap());
        assert_eq!(met(&diagnosis), [Some((RelyingParty, Some(9))); 2], "{between:?}");
        let told: Vec<_> = diagnosis.addresses.iter().map(|it| it.address.as_str()).collect();
        assert_eq!(told, ["https://a.example.com", "https://b.example.com"]);
        assert_eq!(changed(&diagnosis), [("origins", Some("https://a.example.com, https://b.example.com"))]);
    }
}

#[test]
fn a_page_whose_name_ends_with_a_dot_is_opened_without() {
    let site = other("example.com", &[]);
    let diagnosis = examine(&site, &opened(&site, &["https://login.example.com.:8443"]));
    let [refusal, ..] = &diagnosis.addresses[0].refusals[..] else { panic!("{diagnosis:?}") };
    assert!(refusal.reason.contains("without the dot"), "{}", refusal.reason);
    let mend = diagnosis.mend.unwrap();
    assert_eq!(mend.moved[0].to.as_deref(), Some("https://login.example.com:8443"));
    assert!(mend.mends_all && mend.changes.is_empty());
}

#[test]
fn an_rp_id_of_a_program_is_no_site_s() {
    let of = |rp_id| {
        let site = other(rp_id, &[]);
        let diagnosis = examine(&site, &opened(&site, &["https://login.example.com"]));
        diagnosis.warnings.iter().any(|warning| warning.code == "rp-id-of-a-program")
    };
    assert_eq!(["ssh:", "pam://host", "io.systemd.home"].map(of), [true; 3]);
    assert_eq!(["example.com", "example.com:8443", "https://example.com"].map(of), [false; 3]);
}

#[test]
fn two_domains_with_several_names_need_both_changes() {
    let site = other("login.example.com", &["https://login.example.com"]);
    let opened = opened(&site, &["https://www.example.com", "https://login.example.com", "https://example.org"]);
    let diagnosis = examine(&site, &opened);
    let origins = Some("https://login.example.com, https://www.example.com");
    let related = Some("https://example.org");
    assert_eq!(
        changed(&diagnosis),
        [("rp_id", Some("example.com")), ("origins", origins), ("related_origins", related)]
    );
    assert!(diagnosis.mend.unwrap().mends_all);
}

/// §5.11.1 step 4: the sixth name is passed over, whatever is changed.
#[test]
fn more_names_than_browsers_look_at_are_left() {
    let site = other("example.com", &["https://example.com"]);
    let urls = ["com", "one.net", "two.net", "three.net", "four.net", "five.net", "six.net"];
    let urls = urls.map(|name| if name == "com" { "https://example.com".into() } else { format!("https://{name}") });
    let diagnosis = examine(&site, &opened(&site, &urls.each_ref().map(String::as_str)));
    let mend = diagnosis.mend.unwrap();
    let left: Vec<_> = mend.left.iter().map(|verdict| verdict.address.as_str()).collect();
    assert_eq!((mend.mends_all, &left[..]), (false, &["https://six.net"][..]));
    assert!(mend.left[0].refusals[0].reason.contains("5 other names"), "{:?}", mend.left);
}

/// What a site serves already is kept, and what it serves wrongly counts as nothing.
#[test]
fn a_file_that_was_found_is_added_to() {
    for (body, from, to) in [
        (r#"{"origins":["https://example.org"]}"#, "https://example.org", "https://example.org, https://example.net"),
        ("<html>", "", "https://example.net"),
    ] {
        let site = with_file(body, &["https://example.com"]);
        let diagnosis = examine(&site, &opened(&site, &["https://example.com", "https://example.net"]));
        let mend = diagnosis.mend.unwrap();
        assert!(mend.mends_all, "{mend:?}");
        assert_eq!((&mend.changes[0].from[..], mend.changes[0].to.as_deref()), (from, Some(to)));
    }
}

/// A datacenter.cfg has no place for it.
#[test]
fn proxmox_ve_has_no_related_origins() {
    let site = proxmox("id=example.com");
    let diagnosis = examine(&site, &nodes(&site, &["pve1", "pve2.example.org"]));
    let mend = diagnosis.mend.unwrap();
    assert!(mend.changes.is_empty() && !mend.mends_all);
    assert!(mend.notes[0].contains("Proxmox VE has no setting"), "{:?}", mend.notes);
    assert!(mend.notes[0].contains("https://pve2.example.org:8006"), "{:?}", mend.notes);
}

/// A name without a dot is of the domain that the others are of.
#[test]
fn names_of_nodes_are_completed() {
    for (line, names, expected) in [
        ("id=pve1.example.com,origin=https://pve1.example.com:8006", &["pve1"][..], "https://pve1.example.com:8006"),
        ("id=pve1.example.com", &["pve2"], "https://pve2.example.com:8006"),
        ("id=example.com,origin=https://example.com", &["pve2"], "https://pve2.example.com"),
        (
            "id=example.com,origin=https://pve1.dc.example.com:8006",
            &["pve2", "pve1"],
            "https://pve2.dc.example.com:8006",
        ),
        ("id=example.com", &["pve2.example.org"], "https://pve2.example.org:8006"),
    ] {
        let site = proxmox(line);
        assert_eq!(nodes(&site, names)[0].origin.to_string(), expected, "{line}");
    }
    let site = proxmox("id=example.com");
    assert!(addresses(&site, &[], &["a b".to_owned()], &Passed::default()).is_err());
}

/// Rows 27, 41 and 52: nothing fails, so that only somebody who looks can say it.
#[test]
fn a_policy_with_risks_is_warned_of() {
    let mut site = proxmox("rp=x,id=example.com");
    site.settings.policy = keyrig_relying_party::Policy::built_in("proxmox-9").unwrap();
    let rows: Vec<_> = examine(&site, &nodes(&site, &["pve1"])).warnings.iter().map(|warning| warning.row).collect();
    assert_eq!(rows, [Some(41), Some(52), Some(27)]);
}

/// Chromium waits 10 s and Firefox 15 s at least, Firefox 120 s at most, whatever the options say.
#[test]
fn a_challenge_has_to_live_as_long_as_browsers_wait() {
    let warned = |lives: u64, timeout_ms: u32| {
        let mut site = other("example.com", &["https://example.com"]);
        site.settings.policy.challenge_lifetime = std::time::Duration::from_secs(lives);
        site.settings.policy.timeout_ms = timeout_ms;
        let warnings = examine(&site, &opened(&site, &["https://example.com"])).warnings;
        warnings.into_iter().find(|warning| warning.code == "challenge-lifetime").map(|warning| warning.text)
    };
    let says = |lives, timeout_ms, text: &str| {
        let warned = warned(lives, timeout_ms).unwrap();
        assert!(warned.contains(text), "{warned}");
    };
    says(5, 5_000, "Chromium waits 10 s, Firefox waits 15 s");
    says(12, 5_000, "and Firefox waits 15 s");
    says(120, 300_000, "and Chromium waits 300 s:");
    assert_eq!(warned(15, 5_000), None);
}

/// Copies of a node's files that other systems made.
#[test]
fn line_ends_and_a_mark_at_the_beginning_hide_nobody() {
    let text = |name: &str| {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../keyrig/tests/printed/pve");
        std::fs::read_to_string(directory.join(name)).unwrap()
    };
    let read = |change: fn(String) -> String| {
        let of = |name| Some(change(text(name)));
        let (corosync_conf, domains_cfg) = (of("corosync.conf"), of("domains.cfg"));
        Pve::parse(&Files { corosync_conf, domains_cfg, user_cfg: of("user.cfg"), tfa_cfg: of("priv/tfa.cfg") })
            .unwrap()
    };
    let plain = read(|text| text);
    assert!(plain.users.len() == 5 && plain.nodes.len() > 1 && plain.unseen.is_empty(), "{plain:?}");
    let plain_but_for_lines: fn(String) -> String = |text| text.replace('\n', "\r\n");
    let odd: [fn(String) -> String; 3] = [
        |text| text.replace('\n', "\r"),
        |text| format!("\u{feff}{text}"),
        |text| format!("\u{feff}{}", text.replace('\n', "\r\n")),
    ];
    for (change, notes) in [(plain_but_for_lines, 0)].into_iter().chain(odd.map(|change| (change, 4))) {
        let found = read(change);
        assert_eq!((&found.users, &found.nodes, found.unseen.len()), (&plain.users, &plain.nodes, notes));
    }
    // Nobody's factors are known without the file.
    let found = Pve::parse(&Files { user_cfg: Some(text("user.cfg")), ..Files::default() }).unwrap();
    assert!(
        found.users.len() == 5 && found.users.iter().all(|user| user.factors.is_none() && user.findings.is_empty())
    );
    let tfa_cfg = Some("{\"users\":{\n".to_owned());
    let (file, line, problem) = Pve::parse(&Files { tfa_cfg, ..Files::default() }).unwrap_err();
    assert_eq!((file, line), ("priv/tfa.cfg", 1));
    assert!(problem.contains("it ends before"), "{problem}");
    // What is no line of the file's is told, and not what stands there.
    let user_cfg = Some("user:root@pam:1:0:::::\n# a\n\ntoken:root@pam!x:0:0:\nUser:secret@pam:1\n".to_owned());
    let found = Pve::parse(&Files { user_cfg, ..Files::default() }).unwrap();
    assert_eq!(
        (found.users.len(), found.unseen),
        (1, vec!["user.cfg:5: the line is of no kind that is known".to_owned()])
    );
}
