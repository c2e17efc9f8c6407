use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Opaque,
    Ip,
    NotADomain,
    PublicSuffix,
    Foreign,
}

fn verdict(address: &str, claimed: Option<&str>) -> Verdict {
    match determine(Browser::Chromium, &address.parse().unwrap(), claimed) {
        Ok(rp_id) => {
            if let Some(claimed) = claimed {
                assert_eq!(rp_id, claimed, "what is claimed is what is hashed");
            }
            Verdict::Allowed
        }
        Err(RpIdRefusal::OpaqueOrigin) => Verdict::Opaque,
        Err(RpIdRefusal::IpAddress(_)) => Verdict::Ip,
        Err(RpIdRefusal::NotADomain(_)) => Verdict::NotADomain,
        Err(RpIdRefusal::PublicSuffix { .. }) => Verdict::PublicSuffix,
        Err(RpIdRefusal::Foreign { .. } | RpIdRefusal::Unrelated { .. }) => Verdict::Foreign,
    }
}

fn check(cases: &[(&str, &str, Verdict)]) {
    for (address, claimed, expected) in cases {
        assert_eq!(verdict(address, Some(claimed)), *expected, "{address} claims {claimed:?}");
    }
}

/// From the table under "is a registrable domain suffix of or is equal to" in HTML; what differs in Chromium says so.
#[test]
fn htmls_own_examples() {
    use Verdict::{Allowed, Foreign, Ip, PublicSuffix};
    check(&[
        // HTML says that these are equal. WebAuthn asks for a domain first.
        ("https://0.0.0.0", "0.0.0.0", Ip),
        ("https://0x10203", "0.1.2.3", Ip),
        ("https://[0::1]", "::1", Ip),
        ("https://example.com", "example.com", Allowed),
        ("https://example.com", "example.com.", Foreign),
        // HTML says no: the dot makes it another host. Chromium says yes.
        ("https://example.com.", "example.com", Allowed),
        ("https://www.example.com", "example.com", Allowed),
        ("https://example.com", "com", PublicSuffix),
        ("https://example", "example", Allowed),
    ]);
}

/// The rows of the misconfiguration catalogue that a browser notices.
#[test]
fn misconfigurations_that_a_browser_notices() {
    use Verdict::{Allowed, Foreign, Ip, NotADomain, Opaque, PublicSuffix};
    check(&[
        // 11: an IP address in the address bar, whatever is claimed.
        ("https://192.0.2.10:8006", "192.0.2.10", Ip),
        ("https://192.0.2.10:8006", "example.com", Ip),
        ("https://[2001:db8::1]", "example.com", Ip),
        // 12: 127.0.0.1 is not localhost.
        ("http://127.0.0.1:8080", "localhost", Ip),
        ("http://localhost:8080", "127.0.0.1", NotADomain),
        ("http://localhost:8080", "localhost", Allowed),
        // 13, 14: a port, a scheme, a path, a wildcard, nothing.
        ("https://example.com:8006", "example.com:8006", NotADomain),
        ("https://example.com", "https://example.com", NotADomain),
        ("https://example.com", "example.com/", NotADomain),
        ("https://example.com", "*.example.com", NotADomain),
        ("https://example.com", "example com", NotADomain),
        ("https://example.com", "", NotADomain),
        ("https://example.com", ".", NotADomain),
        ("https://example.com", "null", Foreign),
        // 15, 16: a child's RP ID, used on the parent or on another child.
        ("https://example.com", "login.example.com", Foreign),
        ("https://www.example.com", "login.example.com", Foreign),
        // 18: one node's name, used on another node of the cluster.
        ("https://pve2.example.com:8006", "pve1.example.com", Foreign),
        ("https://pve2.example.com:8006", "example.com", Allowed),
        // 19: www against the apex.
        ("https://example.com", "www.example.com", Foreign),
        ("https://www.example.com", "example.com", Allowed),
        // 20: public suffixes, also those that companies registered.
        ("https://example.com", "com", PublicSuffix),
        ("https://example.co.uk", "co.uk", PublicSuffix),
        ("https://example.co.uk", "uk", PublicSuffix),
        ("https://octocat.github.io", "github.io", PublicSuffix),
        ("https://octocat.github.io", "octocat.github.io", Allowed),
        ("https://www.example.ck", "ck", PublicSuffix),
        // 21: a label of the intranet as the parent; the name itself is fine.
        ("https://pve.lan", "lan", PublicSuffix),
        ("https://pve", "pve", Allowed),
        ("http://app.localhost", "localhost", PublicSuffix),
        ("https://pve.home.lan", "home.lan", Allowed),
        ("https://login.example.test", "test", PublicSuffix),
        // 22, 23: upper case, and Unicode instead of xn--; a trailing dot.
        ("https://example.com", "Example.com", Foreign),
        ("https://bücher.example", "bücher.example", Foreign),
        ("https://bücher.example", "xn--bcher-kva.example", Allowed),
        ("https://example.com", "example.com.", Foreign),
        // 24: a name that only looks like a parent.
        ("https://evilexample.com", "example.com", Foreign),
        ("https://evil-example.com", "example.com", Foreign),
        ("https://example.com.evil.net", "example.com", Foreign),
        ("https://example.com", "evilexample.com", Foreign),
        // 28: a sandboxed frame.
        ("null", "example.com", Opaque),
    ]);
}

/// Observed in Chromium 156: the leading dot passes, and is hashed with the rest.
#[test]
fn chromium_accepts_a_leading_dot() {
    assert_eq!(verdict("https://www.example.test", Some(".example.test")), Verdict::Allowed);
    assert_eq!(verdict("https://www.example.com", Some(".com")), Verdict::PublicSuffix);
}

/// Firefox as observed (153), Safari by WebKit's source.
#[test]
fn other_browsers_differ() {
    for (address, claimed, chromium, firefox, safari) in [
        ("https://www.example.test", ".example.test", true, false, false),
        ("https://example.com", "Example.com", false, false, true),
        ("https://www.example.com", "EXAMPLE.COM", false, false, true),
        ("https://example.com", "example.com.", false, false, false),
        ("https://pve.lan", "lan", false, false, true),
        ("https://pve.lan", "pve.lan", true, true, true),
        ("https://example.com", "com", false, false, false),
        ("https://octocat.github.io", "github.io", false, false, false),
        ("https://example.com", "", false, false, false),
        ("https://example.com", "example.com:8006", false, false, false),
        ("https://evilexample.com", "example.com", false, false, false),
        ("https://pve2.example.com", "example.com", true, true, true),
        ("https://pve2.example.com", "pve1.example.com", false, false, false),
        ("https://192.0.2.1", "192.0.2.1", false, false, false),
    ] {
        let origin: Origin = address.parse().unwrap();
        for (browser, allowed) in
            [(Browser::Chromium, chromium), (Browser::Firefox, firefox), (Browser::Safari, safari)]
        {
            let found = determine(browser, &origin, Some(claimed));
            assert_eq!(found.is_ok(), allowed, "{browser}: {address} claims {claimed:?}: {found:?}");
        }
    }
}

/// For what cannot be a domain nothing is fetched, and nothing for what needs no file.
#[test]
fn a_file_is_fetched_only_for_a_domain_that_is_not_the_pages() {
    let fetched = std::cell::RefCell::new(Vec::new());
    let fetch = |address: &str| {
        fetched.borrow_mut().push(address.to_owned());
        Fetched::Answer {
            status: 200,
            content_type: Some("application/json".to_owned()),
            body: br#"{"origins":["https://example.net:8443"]}"#.to_vec(),
        }
    };
    let origin: Origin = "https://example.net:8443".parse().unwrap();
    let ask = |claimed| determine_related(Browser::Chromium, &origin, Some(claimed), &fetch);
    for claimed in ["example.net", "example.com:1", "https://example.com", "", "a b", "*.example.com", "192.0.2.1"] {
        assert_eq!(ask(claimed).is_ok(), claimed == "example.net", "{claimed}");
    }
    assert!(fetched.borrow().is_empty());
    assert_eq!(ask("example.com"), Ok("example.com".to_owned()));
    assert_eq!(*fetched.borrow(), ["https://example.com/.well-known/webauthn"]);
    let other: Origin = "https://example.net".parse().unwrap();
    let refused = determine_related(Browser::Chromium, &other, Some("example.com"), &fetch).unwrap_err();
    assert!(refused.to_string().contains("scheme, host and port have to be equal"), "{refused}");
}

#[test]
fn the_port_never_matters() {
    for address in ["https://example.com", "https://example.com:8443", "https://example.com:80"] {
        assert_eq!(verdict(address, Some("example.com")), Verdict::Allowed, "{address}");
    }
}

#[test]
fn without_a_claim_the_rp_id_is_the_pages_domain() {
    assert_eq!(
        determine(Browser::Chromium, &"https://www.example.com:8443".parse().unwrap(), None),
        Ok("www.example.com".to_owned())
    );
    assert_eq!(verdict("https://192.0.2.1", None), Verdict::Ip);
    assert_eq!(verdict("null", None), Verdict::Opaque);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_allowed_ends_the_pages_domain(
        labels in proptest::collection::vec("[a-z]{1,5}", 1..5),
        claimed in "[a-zA-Z.:/ü-]{0,20}|\\PC{0,20}",
    ) {
        let domain = labels.join(".");
        let Ok(origin) = format!("https://{domain}").parse::<Origin>() else { return Ok(()) };
        if let Ok(rp_id) = determine(Browser::Chromium, &origin, Some(&claimed)) {
            let dotted = format!(".{domain}");
            prop_assert!(dotted.ends_with(&rp_id), "{} for {}", rp_id, domain);
        }
    }

    #[test]
    fn every_parent_that_has_a_registrable_domain_is_allowed(labels in proptest::collection::vec("[a-z]{2,5}", 0..4)) {
        let domain = labels.iter().map(|label| format!("{label}.")).collect::<String>() + "example.com";
        let origin: Origin = format!("https://{domain}").parse().unwrap();
        prop_assert!(determine(Browser::Chromium, &origin, Some("example.com")).is_ok());
        prop_assert!(determine(Browser::Chromium, &origin, Some("com")).is_err());
    }
}
