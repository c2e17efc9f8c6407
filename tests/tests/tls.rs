//! `keyrig rp serve --tls`: curl, openssl and Chromium, which nobody here wrote, trust what they are told to, and nothing more.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use keyrig_relying_party::Totp;
use keyrig_tests::site::{PASSWORD, Site};
use keyrig_tests::{judge, program};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

/// Whether a program is there; if not, the test says so.
fn has(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().copied().filter(|name| !Path::new("/usr/bin").join(name).exists()).collect();
    if !missing.is_empty() {
        judge::skip(&format!("not installed: {} (scripts/packages/judges.txt)", missing.join(", ")));
    }
    missing.is_empty()
}

async fn run(program: &str, arguments: &[&str]) -> judge::Output {
    judge::run(Command::new(program).args(arguments), b"", LIMIT).await
}

fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// What curl gets that trusts a CA alone: `data` of the answer.
async fn asked(ca: &str, url: &str, arguments: &[&str]) -> Value {
    let output = run("curl", &[&["--silent", "--show-error", "--cacert", ca, url], arguments].concat()).await;
    assert!(output.success, "{output}");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    answer["data"].clone()
}

/// A cluster on one machine: what began on one node ends on another, in another process, by one CA.
#[tokio::test]
async fn a_login_begins_on_one_node_and_ends_on_another() {
    if !has(&["curl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let nodes = ["--tls", "self", "--node", "pve1.localhost=127.0.0.1:0", "--node", "pve2.localhost=127.0.0.1:0"];
    let first = Site::start(&directory, &nodes, Stdio::inherit()).await;
    let ca = member(&first.listening, "ca").to_owned();
    let other = ["--tls", "self", "--node", "pve3.localhost=127.0.0.1:0"];
    let second = Site::start(&directory, &other, Stdio::inherit()).await;
    assert_eq!(member(&second.listening, "ca"), ca);
    let [one, two, three] = [(&first, 0), (&first, 1), (&second, 0)]
        .map(|(site, node)| format!("{}/api2/json", member(&site.listening["nodes"][node], "url")));
    let password = format!("password={PASSWORD}");
    let log_in = async |api: &str, more: &[&str]| {
        let form = ["-d", "username=root@pam"];
        asked(&ca, &format!("{api}/access/ticket"), &[&form, more].concat()).await
    };
    let ticket = log_in(&one, &["--data-urlencode", &password]).await;
    let cookie = format!("PVEAuthCookie={}", member(&ticket, "ticket"));
    for api in [&two, &three] {
        assert_eq!(asked(&ca, &format!("{api}/version"), &["--cookie", &cookie]).await["release"], "9.0");
    }
    let uri = "otpauth://totp/c:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=c";
    let totp = Totp::from_uri(uri).expect("an address");
    let (now, step) = (SystemTime::now(), Duration::from_secs(30));
    let sent = [format!("totp={uri}"), format!("value={}", totp.code(now)), password.clone()];
    let csrf = format!("CSRFPreventionToken: {}", member(&ticket, "CSRFPreventionToken"));
    let mut arguments = vec!["--cookie", &cookie, "-H", &csrf, "-d", "type=totp"];
    sent.iter().for_each(|text| arguments.extend(["--data-urlencode", text]));
    assert!(asked(&ca, &format!("{two}/access/tfa/root@pam"), &arguments).await["id"].is_string());
    let half = log_in(&one, &["--data-urlencode", &password]).await;
    assert_eq!(half["NeedTFA"], 1);
    let challenge = format!("tfa-challenge={}", member(&half, "ticket"));
    let answer = format!("password=totp:{}", totp.code(now + step));
    let whole = log_in(&three, &["--data-urlencode", &challenge, "--data-urlencode", &answer]).await;
    assert!(whole["ticket"].is_string() && whole.get("NeedTFA").is_none(), "{whole}");
    // Whoever forgets the s.
    let plain = one.replace("https://", "http://");
    let output = run("curl", &["--silent", "--include", &format!("{plain}/version")]).await;
    assert!(output.stdout.starts_with("HTTP/1.1 426 ") && output.stdout.contains("tls_required"), "{output}");
    // Whoever trusts nobody.
    assert!(!run("curl", &["--silent", &format!("{one}/version")]).await.success);
    // The same CA after a new start, and one for other names where the settings have others.
    let before = std::fs::read(&ca).expect("a file");
    first.stop().await;
    let again = Site::start(&directory, &nodes, Stdio::inherit()).await;
    assert_eq!(std::fs::read(member(&again.listening, "ca")).expect("a file"), before);
    again.stop().await;
    second.stop().await;
}

/// Whoever gets at the CA's key can be no other site than this one.
#[tokio::test]
async fn the_test_ca_vouches_for_the_site_s_names_alone_and_its_key_is_its_owner_s() {
    if !has(&["openssl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let settings = directory.path().join("site.toml");
    let text = "rp_id = \"example.com\"\norigins = [\"https://login.example.com:8006\"]\n";
    std::fs::write(&settings, text).expect("a file");
    let arguments = ["--tls", "self", "--listen", "127.0.0.1:0", "--config", settings.to_str().expect("text")];
    let site = Site::start(&directory, &arguments, Stdio::inherit()).await;
    let ca = member(&site.listening, "ca").to_owned();
    let place = directory.path().join("state/tls");
    let key = place.join("ca-key.pem");
    for (path, mode) in [(&place, 0o700), (&key, 0o600)] {
        assert_eq!(std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777, mode);
    }
    let shown = run("openssl", &["x509", "-in", &ca, "-noout", "-checkend", "7689600"]).await;
    assert!(shown.success, "it lasts 89 days: {shown}");
    assert!(!run("openssl", &["x509", "-in", &ca, "-noout", "-checkend", "7862400"]).await.success, "and not 91");
    let file = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    for (name, vouched) in [
        ("DNS:example.com", true),
        ("DNS:login.example.com", true),
        ("DNS:localhost", true),
        ("IP:127.0.0.9", true),
        ("DNS:evil.example", false),
        ("DNS:notexample.com", false),
        ("DNS:com", false),
        ("IP:192.0.2.1", false),
        ("IP:2001:db8::1", false),
    ] {
        std::fs::write(file("extensions"), format!("subjectAltName={name}\n")).expect("a file");
        let (request, leaf, own) = (file("request"), file("leaf"), file("own"));
        let asks =
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"];
        let made = run("openssl", &[&asks[..], &["-keyout", &own, "-out", &request]].concat()).await;
        assert!(made.success, "{made}");
        let (signer, extensions) = (key.to_str().expect("text"), file("extensions"));
        let signs = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", signer, "-days", "1"];
        let signed = run("openssl", &[&signs[..], &["-extfile", &extensions, "-out", &leaf]].concat()).await;
        assert!(signed.success, "{signed}");
        let verified = run("openssl", &["verify", "-CAfile", &ca, &leaf]).await;
        assert_eq!(verified.success, vouched, "{name}: {verified}");
        assert!(vouched || verified.stderr.contains("permitted subtree violation"), "{name}: {verified}");
    }
    site.stop().await;
}

/// Two processes that begin on one empty directory at the same moment are one site.
#[tokio::test]
async fn two_processes_that_make_the_test_ca_at_once_end_with_one() {
    if !has(&["curl"]) {
        return;
    }
    for _ in 0..4 {
        let directory = tempfile::tempdir().expect("a directory");
        let arguments = ["--tls", "self", "--listen", "127.0.0.1:0"];
        let start = || Site::start(&directory, &arguments, Stdio::inherit());
        let (one, other, third) = tokio::join!(start(), start(), start());
        for site in [&one, &other, &third] {
            let url = format!("{}/api2/json/access/domains", member(&site.listening, "url"));
            for trusted in [&one, &other, &third] {
                let realms = asked(member(&trusted.listening, "ca"), &url, &[]).await;
                assert_eq!(realms.as_array().expect("a list").len(), 2);
            }
        }
        let place = directory.path().join("state");
        let left = std::fs::read_dir(&place).expect("a directory").map(|entry| entry.expect("a file").file_name());
        assert!(!left.into_iter().any(|name| name == "tls.new"), "nothing is left half made");
        for site in [one, other, third] {
            site.stop().await;
        }
    }
}

/// By the commands that are printed, in a browser that has not heard of the CA before.
#[tokio::test]
async fn chromium_trusts_the_site_as_it_is_told_to_and_forgets_it() {
    if !has(&["chromium", "certutil"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let site = Site::start(&directory, &["--tls", "self", "--listen", "localhost:0"], Stdio::inherit()).await;
    let url = member(&site.listening, "url").to_owned();
    let home = directory.path().join("home");
    let store = home.join(".pki/nssdb");
    std::fs::create_dir_all(&store).expect("a directory");
    let database = format!("sql:{}", store.display());
    let made = run("certutil", &["-d", &database, "-N", "--empty-password"]).await;
    assert!(made.success, "{made}");
    let page = async || {
        let arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--timeout=20000"];
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let mut chromium = Command::new("chromium");
        judge::run(chromium.args(arguments).arg(profile).arg(&url).env("HOME", &home), b"", LIMIT).await.stdout
    };
    let is_shown = |page: &str| page.contains("<form");
    assert!(!is_shown(&page().await), "nobody has told it yet");
    let state = directory.path().join("state");
    let told = async |verb: &str| {
        let mut keyrig = Command::new(program::keyrig());
        let printed = judge::run(keyrig.args(["rp", "tls", verb, "--state"]).arg(&state), b"", LIMIT).await;
        assert!(printed.success, "{printed}");
        let line = printed.stdout.lines().find_map(|line| line.strip_prefix("Chromium ")).expect("a line").to_owned();
        let done = judge::run(Command::new("sh").args(["-c", &line]).env("HOME", &home), b"", LIMIT).await;
        assert!(done.success, "{line}: {done}");
    };
    told("trust").await;
    let shown = page().await;
    assert!(is_shown(&shown), "{shown}");
    told("forget").await;
    assert!(!state.join("tls").exists());
    assert!(!is_shown(&page().await), "it is forgotten");
    site.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_there_is_served_and_one_that_is_not_is_named() {
    if !has(&["openssl", "curl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    for name in ["one", "two"] {
        let (key, chain) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let asks = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
        let names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", &key, "-out", &chain];
        let made = run("openssl", &[&asks[..], &names].concat()).await;
        assert!(made.success, "{made}");
    }
    let pair = format!("{},{}", file("one.pem"), file("one.key"));
    let site = Site::start(&directory, &["--tls", &pair, "--listen", "localhost:0"], Stdio::inherit()).await;
    let url = format!("{}/api2/json/access/domains", member(&site.listening, "url"));
    assert_eq!(asked(&file("one.pem"), &url, &[]).await.as_array().expect("a list").len(), 2);
    site.stop().await;
    std::fs::write(file("empty"), "").expect("a file");
    for (pair, words) in [
        (format!("{},{}", file("one.pem"), file("two.key")), "certificate and key cannot be used"),
        (format!("{},{}", file("one.pem"), file("none")), "cannot read"),
        (format!("{},{}", file("empty"), file("one.key")), "there is no certificate in PEM"),
        (format!("{},{}", file("one.pem"), file("one.pem")), "there is no private key in PEM"),
        ("yes".to_owned(), "write self, mkcert, or the files"),
        (",".to_owned(), "write self, mkcert, or the files"),
    ] {
        let state = file("state");
        let arguments = ["rp", "serve", "--tls", &pair, "--listen", "localhost:0", "--state", &state];
        let refused = judge::run(Command::new(program::keyrig()).args(arguments), b"", LIMIT).await;
        assert!(!refused.success && refused.stderr.contains(words), "{pair}: {refused}");
    }
}

/// Browsers are told to insist on TLS (RFC 6797) at a name below a public suffix, by a certificate that somebody brought: at no address and
/// no name of one machine or network, and by no CA that was made for trying it out.
#[tokio::test]
async fn browsers_are_told_to_insist_on_tls_at_a_real_name_alone() {
    if !has(&["openssl", "curl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let (key, chain) = (file("key.pem"), file("chain.pem"));
    let asks = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pve.example.com"];
    let names = "subjectAltName=DNS:pve.example.com,DNS:example.co.uk,DNS:co.uk,DNS:localhost,DNS:a.localhost,DNS:pve.internal,DNS:pve,IP:127.0.0.1";
    let made = run("openssl", &[&asks[..], &["-addext", names, "-keyout", &key, "-out", &chain]].concat()).await;
    assert!(made.success, "{made}");
    let pair = format!("{chain},{key}");
    let brought = Site::start(&directory, &["--tls", &pair, "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let own = Site::start(&directory, &["--tls", "self", "--listen", "127.0.0.1:0"], Stdio::inherit()).await;
    let told = async |site: &Site, trusted: &[&str], name: &str| {
        let port = site.address().rsplit(':').next().expect("a port");
        let there = format!("{name}:{port}:127.0.0.1");
        let url = format!("https://{name}:{port}/api/realms");
        let asks = ["--silent", "--show-error", "--include", "--noproxy", "*", "--resolve", &there, &url];
        let output = run("curl", &[&asks, trusted].concat()).await;
        assert!(output.stdout.starts_with("HTTP/1.1 200 "), "{name}: {output}");
        let headers = output.stdout.lines().filter(|line| line.to_lowercase().starts_with("strict-transport-security"));
        headers.map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, expected) in [
        ("pve.example.com", &["strict-transport-security: max-age=86400"][..]),
        ("example.co.uk", &["strict-transport-security: max-age=86400"]),
        ("co.uk", &[]),
        ("localhost", &[]),
        ("a.localhost", &[]),
        ("pve.internal", &[]),
        ("pve", &[]),
        ("127.0.0.1", &[]),
    ] {
        assert_eq!(told(&brought, &["--cacert", &chain], name).await, expected, "{name}");
    }
    // Whatever name it is asked by.
    for name in ["pve.example.com", "localhost", "127.0.0.1"] {
        assert_eq!(told(&own, &["--insecure"], name).await, [""; 0], "{name}");
    }
    brought.stop().await;
    own.stop().await;
}

#[tokio::test]
async fn mkcert_makes_the_certificate_where_it_is_asked_to() {
    if !has(&["mkcert", "curl"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root").to_str().expect("text").to_owned();
    let arguments = ["--tls", "mkcert", "--listen", "localhost:0"];
    let site = Site::start_with(&directory, &arguments, &[("CAROOT", &root)], Stdio::inherit()).await;
    let url = format!("{}/api2/json/access/domains", member(&site.listening, "url"));
    let realms = asked(&format!("{root}/rootCA.pem"), &url, &[]).await;
    assert_eq!(realms.as_array().expect("a list").len(), 2);
    // Nobody but this machine trusts its CA: no browser is told to insist on TLS, whatever name it asks for.
    for host in ["localhost", "pve.example.com"] {
        let (root, host) = (format!("{root}/rootCA.pem"), format!("Host: {host}"));
        let output = run("curl", &["--silent", "--include", "--cacert", &root, "-H", &host, &url]).await;
        assert!(output.stdout.starts_with("HTTP/1.1 200 "), "{output}");
        assert!(!output.stdout.to_lowercase().contains("strict-transport-security"), "{output}");
    }
    // Nothing is left of it but with the site that has it.
    let left: Vec<_> = std::fs::read_dir(directory.path().join("state"))
        .expect("a directory")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
        .filter(|name| !name.starts_with("relying-party.sqlite"))
        .collect();
    assert_eq!(left, [""; 0]);
    site.stop().await;

    let state = directory.path().join("state");
    let mut keyrig = Command::new(program::keyrig());
    keyrig.args(["rp", "serve"]).args(arguments).arg("--state").arg(&state).env("CAROOT", &root);
    let mut serving = keyrig.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("keyrig runs");
    let mut lines = BufReader::new(serving.stdout.take().expect("a pipe")).lines();
    let tls = loop {
        let line = lines.next_line().await.expect("text").expect("a line on TLS");
        if line.starts_with("TLS ") {
            break line;
        }
    };
    assert!(tls.contains("by mkcert's CA") && tls.contains("mkcert -install"), "nothing here trusts that CA: {tls}");
    serving.kill().await.expect("it is ours");

    let mut keyrig = Command::new(program::keyrig());
    keyrig.args(["rp", "serve"]).args(arguments).arg("--state").arg(state).env("PATH", directory.path());
    let refused = judge::run(&mut keyrig, b"", LIMIT).await;
    assert!(!refused.success && refused.stderr.contains("mkcert is not on the PATH"), "{refused}");
}
