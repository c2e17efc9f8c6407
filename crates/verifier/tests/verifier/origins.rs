//! Which origins are expected, and what a report says of others (WebAuthn Level 3, §13.4.9).

use keyrig_verifier::{InvalidOrigin, OriginRule};

fn exact(origin: &str) -> OriginRule {
    OriginRule::exact(origin).unwrap()
}

#[test]
fn exact_means_exact() {
    let rule = exact("https://example.com");
    assert!(rule.matches("https://example.com"));
    for other in [
        "https://example.com:8443",
        "https://example.com:443",
        "http://example.com",
        "https://example.com/",
        "https://example.com/login",
        "https://example.com?",
        "https://EXAMPLE.com",
        "HTTPS://example.com",
        "https://example.com.",
        "https://www.example.com",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://example.com.evil.net",
        "https://example.com@evil.net",
        "https://user@example.com",
        "https://com",
        " https://example.com",
        "https://example.com\n",
        "example.com",
        "null",
        "",
        "file://",
        "android:apk-key-hash:abc",
    ] {
        assert!(!rule.matches(other), "{other}");
    }
}

#[test]
fn subdomains_begin_at_a_label() {
    let rule = exact("https://example.com:8443").with_subdomains().unwrap();
    for allowed in ["https://example.com:8443", "https://a.example.com:8443", "https://a.b.example.com:8443"] {
        assert!(rule.matches(allowed), "{allowed}");
    }
    for refused in [
        // What a library let through until April 2026.
        "https://evil-example.com:8443",
        "https://evilexample.com:8443",
        "https://.example.com:8443",
        "https://a.example.com",
        "http://a.example.com:8443",
        "https://a.example.com.:8443",
        "https://a.example.com:8443/",
        "https://A.example.com:8443",
        "https://a.example.com.evil.net:8443",
        "https://com:8443",
    ] {
        assert!(!rule.matches(refused), "{refused}");
    }
}

#[test]
fn any_port_is_any_port_of_the_same_scheme_and_host() {
    let rule = exact("https://pve.example.com:8006").with_any_port().unwrap();
    for allowed in ["https://pve.example.com:8006", "https://pve.example.com", "https://pve.example.com:1"] {
        assert!(rule.matches(allowed), "{allowed}");
    }
    for refused in ["http://pve.example.com:8006", "https://a.pve.example.com", "https://pve.example.com:443"] {
        assert!(!rule.matches(refused), "{refused}");
    }
    let both = rule.with_subdomains().unwrap();
    assert!(both.matches("https://a.pve.example.com:9"));
    assert!(!both.matches("https://evil-pve.example.com:9"));
}

#[test]
fn addresses_and_single_labels_have_ports_but_no_subdomains() {
    for origin in ["https://[::1]:8443", "https://127.0.0.1:8443"] {
        assert!(exact(origin).with_any_port().unwrap().matches(&origin.replace(":8443", "")));
        let refused = exact(origin).with_subdomains().unwrap_err();
        assert_eq!(refused, InvalidOrigin::NothingBeside { origin: origin.to_owned() });
    }
    let rule = exact("http://localhost:8006").with_subdomains().unwrap();
    assert!(rule.matches("http://a.localhost:8006"));
    assert!(!rule.matches("http://127.0.0.1:8006"));
    assert!(!rule.matches("http://[::1]:8006"));
}

#[test]
fn internationalised_names_are_compared_in_the_form_that_browsers_send() {
    let rule = exact("https://xn--bcher-kva.example");
    assert!(rule.matches("https://xn--bcher-kva.example"));
    assert!(!rule.matches("https://bücher.example"));
    assert_eq!(
        OriginRule::exact("https://bücher.example").unwrap_err(),
        InvalidOrigin::NotAsBrowsersWriteIt {
            origin: "https://bücher.example".to_owned(),
            should_be: "https://xn--bcher-kva.example".to_owned()
        }
    );
}

#[test]
fn apps_and_extensions_are_compared_as_a_whole() {
    for origin in [
        "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck",
        "ios:bundle-id:com.example.app",
        "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
    ] {
        let rule = exact(origin);
        assert!(rule.matches(origin));
        assert!(!rule.matches(&origin.to_uppercase()));
        assert!(!rule.matches(&format!("{origin}x")));
        assert!(rule.clone().with_any_port().is_err());
        assert!(rule.with_subdomains().is_err());
    }
}

#[test]
fn what_browsers_never_send_cannot_be_expected() {
    for (origin, should_be) in [
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://Example.com", "https://example.com"),
        ("https://example.com/path?query", "https://example.com"),
    ] {
        let refused = OriginRule::exact(origin).unwrap_err();
        assert_eq!(
            refused,
            InvalidOrigin::NotAsBrowsersWriteIt { origin: origin.to_owned(), should_be: should_be.to_owned() }
        );
    }
    for origin in ["", "null", "example.com", "https://", "https:", "a b:c", "android:", "https://exa mple.com", "1:2"]
    {
        assert_eq!(
            OriginRule::exact(origin).unwrap_err(),
            InvalidOrigin::NotAnOrigin { origin: origin.to_owned() },
            "{origin}"
        );
    }
}

#[test]
fn rules_are_stored_as_json_and_checked_when_they_are_read() {
    let rule = exact("https://example.com").with_subdomains().unwrap();
    let stored = serde_json::to_string(&rule).unwrap();
    assert_eq!(stored, r#"{"origin":"https://example.com","subdomains":true,"any_port":false}"#);
    assert_eq!(serde_json::from_str::<OriginRule>(&stored).unwrap(), rule);
    assert!(serde_json::from_str::<OriginRule>(r#"{"origin":"example.com"}"#).is_err());
    assert!(serde_json::from_str::<OriginRule>(r#"{"origin":"https://example.com","subdomain":true}"#).is_err());
}
