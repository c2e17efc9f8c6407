use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn fetcher(named: &[&str]) -> Fetcher {
    Fetcher::new(named.iter().map(|name| (*name).to_owned()).collect(), Vec::new(), None).unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// RFC 6890 and the registries that it makes: what is "globally reachable" there, and what is not.
#[test]
fn addresses_of_special_purposes_are_not_of_the_internet() {
    for (address, expected) in [
        ("93.184.216.34", true),
        ("1.1.1.1", true),
        ("192.0.1.1", true),
        ("100.63.255.255", true),
        ("100.128.0.0", true),
        ("172.32.0.1", true),
        ("198.20.0.1", true),
        ("223.255.255.255", true),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("100.64.0.1", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
        ("172.16.0.1", false),
        ("172.31.255.255", false),
        ("192.0.0.8", false),
        ("192.0.2.1", false),
        ("192.168.1.1", false),
        ("198.18.0.1", false),
        ("198.51.100.1", false),
        ("203.0.113.1", false),
        ("224.0.0.1", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("2606:4700:4700::1111", true),
        ("2a00:1450:4001::1", true),
        ("64:ff9b::101:101", true),
        ("64:ff9b::a00:1", false),
        ("::", false),
        ("::1", false),
        ("::ffff:10.0.0.1", false),
        ("::ffff:93.184.216.34", false),
        ("64:ff9b:1::1", false),
        ("100::1", false),
        ("2001::1", false),
        ("2001:db8::1", false),
        ("2002:a00:1::", false),
        ("3fff::1", false),
        ("fc00::1", false),
        ("fd12:3456::1", false),
        ("fe80::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_of_the_internet(address.parse().unwrap()), expected, "{address}");
    }
}

#[test]
fn a_host_may_be_asked_that_was_named_or_is_above_one() {
    let fetcher = fetcher(&["www.Example.co.uk", "pve.lan", "192.0.2.1"]);
    for (host, expected) in [
        ("www.example.co.uk", true),
        ("WWW.example.co.uk.", true),
        ("example.co.uk", true),
        ("co.uk", false),
        ("uk", false),
        ("ample.co.uk", false),
        ("other.example.co.uk", false),
        ("a.www.example.co.uk", false),
        ("pve.lan", true),
        ("lan", false),
        ("192.0.2.1", true),
        ("0.2.1", false),
        ("2.1", false),
        ("localhost", false),
        ("", false),
    ] {
        assert_eq!(fetcher.may_ask(host), expected, "{host}");
    }
}

#[test]
fn a_place_is_written_as_curl_has_it() {
    for (text, host, address) in [
        ("example.com:443:192.0.2.1", "example.com", "192.0.2.1:443"),
        ("Example.COM.:443:[2001:db8::1]", "example.com", "[2001:db8::1]:443"),
        ("example.com:443:2001:db8::1", "example.com", "[2001:db8::1]:443"),
        ("example.com:443:127.0.0.1:9443", "example.com", "127.0.0.1:9443"),
        ("example.com:443:[::1]:9443", "example.com", "[::1]:9443"),
    ] {
        let expected = Pinned { host: host.to_owned(), port: 443, address: address.parse().unwrap() };
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
    for text in [
        "",
        "example.com",
        "example.com:443",
        "example.com:443:",
        "example.com:x:192.0.2.1",
        ":443:192.0.2.1",
        "example.com:70000:192.0.2.1",
        "example.com:443:host",
        "example.com:443:192.0.2.1:x",
        "example.com:443:[::1]:",
    ] {
        assert_eq!(text.parse::<Pinned>(), Err(InvalidPinned), "{text}");
    }
}

/// DNS rebinding: a name that leads inside, at once, beside a good address, or the second time that it is looked up.
#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_not_asked() {
    for answer in [&["10.0.0.1:443"][..], &["93.184.216.34:443", "127.0.0.1:443"], &["[::ffff:10.0.0.1]:443"]] {
        let answer: Vec<SocketAddr> = answer.iter().map(|text| text.parse().unwrap()).collect();
        let mut fetcher = fetcher(&["example.com"]).resolving(Arc::new(move |_, _| Ok(answer.clone())));
        let refused = fetcher.fetch(&url("https://example.com/"), None).await.unwrap_err();
        assert!(matches!(&refused, FetchError::NotPublic { host, .. } if host == "example.com"), "{refused}");
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let mut fetcher = fetcher(&["example.com"]).resolving(Arc::new(move |_, _| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![if first { "93.184.216.34:443" } else { "127.0.0.1:443" }.parse().unwrap()])
    }));
    for _ in 0..3 {
        let addresses = fetcher.addresses(&Host::Domain("example.com"), 443).await.unwrap();
        assert_eq!(addresses, ["93.184.216.34:443".parse().unwrap()]);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_resolver_is_asked_where_this_machine_or_a_pinned_address_is() {
    let none: Resolve = Arc::new(|host, _| panic!("{host} was looked up"));
    let pinned = "example.com:443:192.0.2.1:1".parse().unwrap();
    let mut fetcher = Fetcher::new(Vec::new(), vec![pinned], None).unwrap().resolving(none);
    for (host, port, first) in [
        (Host::Domain("localhost"), 443, "127.0.0.1:443"),
        (Host::Domain("a.LOCALHOST."), 443, "127.0.0.1:443"),
        (Host::Domain("EXAMPLE.com"), 443, "192.0.2.1:1"),
        (Host::Ipv4(Ipv4Addr::LOCALHOST), 80, "127.0.0.1:80"),
        (Host::Ipv6(Ipv6Addr::LOCALHOST), 80, "[::1]:80"),
    ] {
        let addresses = fetcher.addresses(&host, port).await.unwrap();
        assert_eq!(addresses.first(), Some(&first.parse().unwrap()), "{host}");
    }
}

#[tokio::test]
async fn what_was_not_named_or_is_not_https_is_not_asked() {
    let none: Resolve = Arc::new(|host, _| panic!("{host} was looked up"));
    let mut fetcher = fetcher(&["example.com", "192.0.2.1"]).resolving(none);
    for (address, expected) in [
        ("https://example.net/", "example.net was not named, so nothing was asked of it"),
        ("https://localhost/", "localhost was not named, so nothing was asked of it"),
        ("http://localhost/", "localhost was not named, so nothing was asked of it"),
        ("https://127.0.0.1/", "127.0.0.1 was not named, so nothing was asked of it"),
        ("http://example.com/", "http://example.com/ is not https: over plain http only this machine is asked"),
        ("http://192.0.2.1/", "http://192.0.2.1/ is not https: over plain http only this machine is asked"),
        ("ftp://example.com/", "ftp://example.com/ is not https: over plain http only this machine is asked"),
        ("data:,x", "data:,x has no host"),
    ] {
        let refused = fetcher.fetch(&url(address), None).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told_with_the_resolver_s_words() {
    let fails: Resolve = Arc::new(|_, _| Err(io::Error::other("no such name")));
    let mut fetcher = fetcher(&["example.com"]).resolving(fails);
    let refused = fetcher.fetch(&url("https://example.com/"), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "example.com does not resolve: no such name");
}

/// The clock is paused, and goes on when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_resolver_that_never_answers_is_given_up_on() {
    let (tell, never) = std::sync::mpsc::channel::<()>();
    let never = std::sync::Mutex::new(never);
    let waits: Resolve = Arc::new(move |_, _| {
        let _ended = never.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let mut fetcher = fetcher(&["example.com"]).resolving(waits);
    let refused = fetcher.fetch(&url("https://example.com/"), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "example.com has not answered within 5 seconds");
    drop(tell);
}

/// The clock is paused, and goes on when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_host_that_takes_a_connection_and_says_nothing_is_given_up_on() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pinned = format!("example.com:443:{}", silent.local_addr().unwrap()).parse().unwrap();
    let mut fetcher = Fetcher::new(vec!["example.com".to_owned()], vec![pinned], None).unwrap();
    let refused = fetcher.fetch(&url("https://example.com/"), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "example.com has not answered within 5 seconds");
    let found = fetcher.related_origins("example.com").await;
    assert!(matches!(found.failed, Some(FetchError::TooSlow { .. })), "{found:?}");
}

#[test]
fn a_file_without_a_certificate_is_trusted_for_nothing() {
    for (pem, expected) in [
        (&b""[..], "there is no certificate in PEM: the file has none"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "there is no certificate in PEM: "),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate can be no root: "),
    ] {
        let refused = Fetcher::new(Vec::new(), Vec::new(), Some(pem)).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
}
