//! The mistakes people make (each one seen in the field), and what they are told.

use super::*;

fn problem(settings: Settings) -> Option<SettingsError> {
    settings.check().err()
}

#[test]
fn settings_that_browsers_can_match_are_accepted() {
    let cases = [
        ("pve.example.com", "https://pve.example.com:8006"),
        ("example.com", "https://pve.example.com"),
        ("localhost", "http://localhost:8080"),
        ("localhost", "http://app.localhost"),
        ("xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("pve", "https://pve:8006"),
        ("node_1.lan", "https://node_1.lan"),
    ];
    for (rp_id, origin) in cases {
        assert_eq!(problem(Settings::new(rp_id, origin)), None, "{rp_id} {origin}");
    }
}

#[test]
fn a_wrong_rp_id_is_named_by_its_mistake() {
    let cases = [
        ("", RpIdProblem::Empty),
        ("https://pve.example.com", RpIdProblem::Scheme),
        ("https://pve.example.com:8006/", RpIdProblem::Scheme),
        ("pve.example.com:8006", RpIdProblem::Port),
        ("pve.example.com/", RpIdProblem::Path),
        ("192.0.2.7", RpIdProblem::IpAddress),
        ("127.1", RpIdProblem::IpAddress),
        ("0x7f000001", RpIdProblem::IpAddress),
        ("::1", RpIdProblem::IpAddress),
        ("[2001:db8::1]", RpIdProblem::IpAddress),
        ("PVE.example.com", RpIdProblem::UpperCase),
        ("münchen.example", RpIdProblem::NotAscii),
        ("pve.example.com.", RpIdProblem::OuterDot),
        (".example.com", RpIdProblem::OuterDot),
        ("pve..example.com", RpIdProblem::NotADomain),
        ("pve example", RpIdProblem::NotADomain),
        ("*.example.com", RpIdProblem::NotADomain),
        ("-pve.example.com", RpIdProblem::NotADomain),
        (&format!("{}.example", "x".repeat(64)), RpIdProblem::NotADomain),
        (&format!("{}com", "example.".repeat(32)), RpIdProblem::NotADomain),
    ];
    for (rp_id, expected) in cases {
        let error = problem(Settings::new(rp_id, "https://pve.example.com")).unwrap();
        assert_eq!(error, SettingsError::RpId { rp_id: rp_id.to_owned(), problem: expected });
        assert!(error.to_string().contains(&format!("{rp_id:?}")), "{error}");
    }
}

#[test]
fn a_wrong_origin_is_named_by_its_mistake() {
    let names = |host: &str| (host.to_owned(), "pve.example.com".to_owned());
    let outside = |host| {
        let (host, rp_id) = names(host);
        OriginProblem::OutsideRpId { host, rp_id }
    };
    let above = |host| {
        let (host, rp_id) = names(host);
        OriginProblem::HostAboveRpId { host, rp_id }
    };
    let path = |should_be: &str| OriginProblem::Path { should_be: should_be.to_owned() };
    let as_browsers = |should_be: &str| OriginProblem::NotAsBrowsersWriteIt { should_be: should_be.to_owned() };
    let scheme = |scheme: &str| OriginProblem::UnsupportedScheme { scheme: scheme.to_owned() };
    let cases = [
        ("pve.example.com", OriginProblem::NoScheme),
        ("pve.example.com:8006", OriginProblem::NoScheme),
        ("", OriginProblem::NoScheme),
        ("ftp://pve.example.com", scheme("ftp")),
        ("chrome-extension://abcdefgh", scheme("chrome-extension")),
        ("android:apk-key-hash:AAAA", scheme("android")),
        ("http://pve.example.com:8006", OriginProblem::InsecureScheme),
        ("https://pve.example.com,https://pve2.example.com", OriginProblem::Several),
        ("https://pve.example.com https://pve2.example.com", OriginProblem::Several),
        ("https://root:x@pve.example.com", OriginProblem::UserInfo),
        ("https://pve.example.com/login", path("https://pve.example.com")),
        ("https://pve.example.com:8006/?v=1", path("https://pve.example.com:8006")),
        ("https://pve.example.com/#v1", path("https://pve.example.com")),
        ("https://pve.example.com/", as_browsers("https://pve.example.com")),
        ("https://PVE.example.com", as_browsers("https://pve.example.com")),
        ("https://pve.example.com:443", as_browsers("https://pve.example.com")),
        ("https://192.0.2.7:8006", OriginProblem::IpAddress),
        ("https://[::1]:8006", OriginProblem::IpAddress),
        ("https://example.com", above("example.com")),
        ("https://other.example.com", outside("other.example.com")),
        ("https://evilpve.example.com", outside("evilpve.example.com")),
        ("https://pve.example.com.evil.example", outside("pve.example.com.evil.example")),
    ];
    for (origin, expected) in cases {
        // The second origin is checked as the first one is.
        let mut settings = Settings::new("pve.example.com", "https://pve.example.com");
        settings.origins.push(origin.to_owned());
        let error = problem(settings).unwrap();
        assert_eq!(error, SettingsError::Origin { origin: origin.to_owned(), problem: expected });
    }
    for origin in ["https://", "https://pve.example.com:port", "https://pve.example.com:99999"] {
        let error = problem(Settings::new("pve.example.com", origin)).unwrap();
        assert!(matches!(error, SettingsError::Origin { problem: OriginProblem::NotAUrl(_), .. }), "{error}");
    }
}

#[test]
fn everything_else_is_bounded() {
    let good = || Settings::new("pve.example.com", "https://pve.example.com");
    assert_eq!(problem(Settings { origins: Vec::new(), ..good() }), None, "the request's host is the origin");
    for name in [String::new(), "x".repeat(65), "a\tb".to_owned()] {
        assert_eq!(problem(Settings { name: name.clone(), ..good() }), Some(SettingsError::Name { name }));
    }
}

/// As browsers decide it, which fetch no list of facets (WebAuthn Level 3, §10.1.1).
#[test]
fn an_app_id_is_of_the_site_that_the_rp_id_is_of() {
    let with = |app_id: &str| {
        let good = Settings::new("pve.example.com", "https://pve.example.com");
        problem(Settings { app_id: Some(app_id.to_owned()), ..good })
    };
    for app_id in ["https://pve.example.com", "https://pve.example.com:8006/app-id.json", "https://u2f.example.com/a"] {
        assert_eq!(with(app_id), None, "{app_id}");
    }
    let host = "example.net".to_owned();
    let foreign = AppIdProblem::Foreign { host, rp_id: "pve.example.com".to_owned() };
    for (app_id, expected) in [
        ("https://example.net/app-id.json", foreign),
        ("http://pve.example.com", AppIdProblem::NotHttps),
        ("pve.example.com", AppIdProblem::NotHttps),
        ("https://192.0.2.1", AppIdProblem::NotHttps),
        ("", AppIdProblem::NotHttps),
    ] {
        assert_eq!(with(app_id), Some(SettingsError::AppId { app_id: app_id.to_owned(), problem: expected }));
    }
}

#[test]
fn origins_of_apps_are_accepted_to_the_letter() {
    let with = |origin: &str| {
        let good = Settings::new("pve.example.com", "https://pve.example.com");
        problem(Settings { app_origins: vec![origin.to_owned()], ..good })
    };
    let hash = "kw5b3MqhXtyZIrwLl0kIT2hPzvjS2rRKJ4rGoVvvu2c";
    assert_eq!(with(&format!("android:apk-key-hash:{hash}")), None);
    assert_eq!(with("chrome-extension://nngceckbapebfimnlniiiahkandclblb"), None);
    for origin in [
        &format!("android:apk-key-hash:{hash}="),
        &format!("android:apk-key-hash-sha256:{hash}"),
        "chrome-extension://nngceckbapebfimnlniiiahkandclblb/",
        "https://pve.example.com",
        "",
    ] {
        let expected = SettingsError::Origin { origin: origin.to_owned(), problem: OriginProblem::NotAnAppOrigin };
        assert_eq!(with(origin), Some(expected));
    }
}

/// What is elsewhere may be related, over https and written as browsers do; a page around another may be any.
#[test]
fn related_origins_and_pages_around_are_origins_of_pages() {
    let good = || Settings::new("example.com", "https://pve.example.com");
    let related = |origin: &str| problem(Settings { related_origins: vec![origin.to_owned()], ..good() });
    let around = |origin: &str| problem(Settings { top_origins: vec![origin.to_owned()], ..good() });
    for origin in ["https://example.net", "https://shop.example.net:8443"] {
        assert_eq!((related(origin), around(origin)), (None, None), "{origin}");
    }
    assert_eq!(around("https://example.com"), None);
    for (origin, said) in [
        ("https://example.com", "may use the RP ID example.com anyway"),
        ("https://pve2.example.com:8006", "may use the RP ID example.com anyway"),
        ("http://localhost:8006", "plain http"),
    ] {
        let refused = related(origin).unwrap().to_string();
        assert!(refused.contains(said), "{origin}: {refused}");
    }
    for origin in ["example.net", "https://example.net/", "https://192.0.2.1", "https://a.net,https://b.net", "null"] {
        assert!(related(origin).is_some() && around(origin).is_some(), "{origin}");
    }
    assert_eq!(good().related_origins_file(), None);
    let listed = vec!["https://example.net".to_owned()];
    let file = Settings { related_origins: listed, ..good() }.related_origins_file();
    assert_eq!(file.as_deref(), Some(r#"{"origins":["https://example.net"]}"#));
}

/// WebAuthn Level 3, §5.11.1: a browser looks at five names at least, and none looks at more.
#[test]
fn more_related_names_than_browsers_look_at_are_warned_of() {
    let with = |hosts: &[&str]| {
        let related_origins = hosts.iter().map(|host| format!("https://{host}")).collect();
        Settings { related_origins, ..Settings::new("example.com", "https://example.com") }.warnings()
    };
    let five = ["a.com", "b.com", "c.com", "d.com", "e.com", "www.a.com", "a.co.uk"];
    assert_eq!(with(&five), Vec::<String>::new());
    let six = with(&[&five[..], &["f.com"]].concat());
    assert!(six[0].contains("6 names (a, b, c, d, e, f)"), "{six:?}");
}

/// What Proxmox VE does where the origin is unset, but for the scheme, which it takes to be https.
#[test]
fn without_origins_the_requests_host_is_the_origin() {
    let settings = Settings { origins: Vec::new(), ..Settings::new("example.com", "") };
    assert_eq!(settings.check(), Ok(Vec::new()));
    for (host, over_tls, expected) in [
        ("pve.example.com:8006", true, "https://pve.example.com:8006"),
        ("PVE.example.com", true, "https://pve.example.com"),
        ("example.com:443", true, "https://example.com"),
    ] {
        assert_eq!(settings.origin_of_host(host, over_tls), Ok(expected.to_owned()));
    }
    let local = Settings { origins: Vec::new(), ..Settings::new("localhost", "") };
    assert_eq!(local.origin_of_host("localhost:8006", false), Ok("http://localhost:8006".to_owned()));
    for (host, over_tls) in [
        ("pve.example.com", false),
        ("evil-example.com", true),
        ("example.com.evil.example", true),
        ("192.0.2.7:8006", true),
        ("[::1]:8006", true),
        ("com", true),
        ("", true),
        ("example.com/", true),
        ("user@evil.example", true),
        ("evil.example@example.com", true),
        ("example.com:99999", true),
    ] {
        assert!(settings.origin_of_host(host, over_tls).is_err(), "{host:?}");
    }
}

/// Public suffixes of the list (publicsuffix.org): of a registry, of a company; and what is none.
#[test]
fn what_browsers_will_refuse_is_warned_of() {
    for (rp_id, is_suffix) in [
        ("com", true),
        ("co.uk", true),
        ("github.io", true),
        ("example.com", false),
        ("pve.example.co.uk", false),
        ("localhost", false),
        ("pve.internal.invalid", false),
    ] {
        let warnings = Settings::new(rp_id, format!("https://{rp_id}")).warnings();
        assert_eq!(
            warnings.iter().any(|warning| warning.contains("public suffix")),
            is_suffix,
            "{rp_id}: {warnings:?}"
        );
    }
    let settings = Settings { name: "https://pve.example.com".to_owned(), ..Settings::new("example.com", "https://x") };
    assert!(settings.warnings()[0].contains("not an origin"), "{:?}", settings.warnings());
}
