//! `keyrig doctor` in front of sites that run, good ones and others: over TLS on loopback, under a CA of the test's own.

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::program::{keyrig, run};

/// Every host that is answered for. `evil.example` is asked by nobody.
const HOSTS: [&str; 12] = [
    "example.com",
    "www.example.com",
    "around.example",
    "html.example",
    "huge.example",
    "plain.example",
    "away.example",
    "evil.example",
    "unlisted.example",
    "far.example",
    "far1.example",
    "far2.example",
];

const FILE: &str = "/.well-known/webauthn";

const LISTS: &str = r#"{"origins":["https://shop.example"]}"#;

const OPTIONS: &str = r#"{"success":true,"data":{"publicKey":"{\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"rpId\":\"example.com\",\"allowCredentials\":[]}"}}"#;

/// Sites on one port, which it is that a host is asked for by its name.
struct Sites {
    directory: tempfile::TempDir,
    address: SocketAddr,
    /// Host and path of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sites {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(directory.path().join("ca.pem"), ca.self_signed(&ca_key).expect("a certificate").pem())
            .expect("a file");
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().expect("a key");
        let names = HOSTS.map(str::to_owned).to_vec();
        let leaf = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("a key");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, told) = (config.clone(), told.clone());
                std::thread::spawn(move || answer(stream, config, &told));
            }
        });
        Self { directory, address, asked }
    }

    /// What the doctor says that trusts the CA, for whom every host is here.
    fn doctor(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let ca = self.directory.path().join("ca.pem");
        let trusts = ["doctor", "--ca", ca.to_str().expect("text")];
        let places: Vec<_> = HOSTS.iter().map(|host| format!("--resolve={host}:443:{}", self.address)).collect();
        let places: Vec<_> = places.iter().map(String::as_str).collect();
        told(run(&mut keyrig(&[&trusts[..], &places, arguments].concat()), ""))
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panics"))
    }
}

fn told(output: Output) -> (Option<i32>, String) {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    // As it would be on one line.
    (output.status.code(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, told: &Mutex<Vec<String>>) {
    let connection = ServerConnection::new(config).expect("a connection");
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let (mut path, mut host, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        // A client that trusts nobody hangs up.
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        if path.is_empty() {
            path = line.strip_suffix(" HTTP/1.1").expect("HTTP/1.1").to_owned();
        } else if let Some(name) = line.strip_prefix("host: ") {
            host = name.to_owned();
        } else if let Some(written) = line.strip_prefix("content-length: ") {
            length = written.parse().expect("a length");
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    told.lock()
        .expect("nobody panics")
        .push(format!("{path} {host} {}", String::from_utf8_lossy(&body)).trim().to_owned());
    let (method, path) = path.split_once(' ').expect("a method");
    let json = |body: &str| with_type("application/json", body);
    let to = |location: &str| format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let answer = match (method, host.as_str(), path) {
        (_, "huge.example", _) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000000000\r\n\r\n[";
            let mut sent = stream.get_mut().write_all(head.as_bytes());
            // Until the client hangs up.
            while sent.is_ok() {
                sent = stream.get_mut().write_all(&[b' '; 4096]);
            }
            return;
        }
        (_, "around.example", _) => to(path),
        (_, "html.example", _) => with_type("text/html", "<!doctype html>\n<title>Log in</title>"),
        (_, "plain.example", _) => to("http://plain.example/other"),
        (_, "away.example", _) => to("https://evil.example/x"),
        (_, "unlisted.example", _) => json(r#"{"origins":["https://other.example"]}"#),
        (_, "far.example", FILE) => to("//far1.example/a"),
        (_, "far1.example", "/a") => to("https://far2.example/b"),
        (_, "far2.example", "/b") => to("/c?d=e"),
        (_, "far2.example", "/c?d=e") | (_, "example.com", FILE) => json(LISTS),
        ("POST", "example.com", "/options") => json(if body == b"{\"user\":\"a\"}" { OPTIONS } else { "{}" }),
        ("GET", "example.com", "/options") => json(OPTIONS),
        ("GET", "example.com", "/page") => {
            with_type("text/html; charset=utf-8", "<!doctype html>\n<title>Log in</title>")
        }
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnone\n".to_owned(),
    };
    stream.get_mut().write_all(answer.as_bytes()).expect("it is read");
    stream.get_mut().conn.send_close_notify();
    stream.get_mut().flush().expect("it is read");
}

fn with_type(content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn options_of_a_running_site_are_asked_for_once_and_judged() {
    let sites = Sites::start();
    let url = ["--options-url", "https://example.com/options"];
    for arguments in [&[][..], &["--json-path", "data.publicKey"], &["--json-path", "/data/publicKey"]] {
        let (status, text) = sites.doctor(&[&url, arguments].concat());
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("works https://example.com"), "{text}");
        assert_eq!(sites.asked(), ["GET /options example.com"]);
    }
    let (status, text) = sites.doctor(&[&url[..], &["--options-body", "{\"user\":\"a\"}"]].concat());
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(sites.asked(), ["POST /options example.com {\"user\":\"a\"}"]);
    // Another page of the same site, and one that the site knows nothing of.
    let (status, text) =
        sites.doctor(&[&url[..], &["--from", "https://www.example.com", "--from", "https://other.example"]].concat());
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("works https://www.example.com"), "{text}");
    assert!(text.contains("lists https://shop.example and not https://other.example"), "{text}");
    assert_eq!(sites.asked(), ["GET /options example.com", "GET /.well-known/webauthn example.com"]);
}

#[test]
fn a_site_s_own_file_of_related_origins_decides() {
    let sites = Sites::start();
    let arguments = ["--options-url", "https://example.com/options", "--from", "https://shop.example"];
    let (status, text) = sites.doctor(&arguments);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("works https://shop.example"), "{text}");
    assert!(text.contains("whether the site takes answers from there is not seen"), "{text}");
    assert!(
        text.contains("asked https://example.com/.well-known/webauthn: status 200, application/json, 36 bytes"),
        "{text}"
    );
    let (_, json) = sites.doctor(&[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["asked"][0]["address"], "https://example.com/.well-known/webauthn");
    assert_eq!(json["addresses"][0]["works"], true);
    sites.asked();
    // Settings are judged as they are written, unless somebody names the host. What the site lists it has to expect as well.
    let settings = ["--rp-id", "far.example", "--from", "https://shop.example"];
    let (status, text) = sites.doctor(&settings);
    assert_eq!((status, sites.asked()), (Some(1), Vec::new()), "{text}");
    // Three redirects to hosts that were named are well.
    let far = ["--fetch", "far.example", "--fetch", "far1.example", "--fetch", "far2.example"];
    let (status, text) = sites.doctor(&[&settings[..], &far].concat());
    assert_eq!(status, Some(1), "{text}");
    assert!(!text.contains("browser the RP ID") && text.contains("site the origin is https://shop.example"), "{text}");
    assert!(text.contains("(row 35)"), "{text}");
    let asked = [
        "GET /.well-known/webauthn far.example",
        "GET /a far1.example",
        "GET /b far2.example",
        "GET /c?d=e far2.example",
    ];
    assert_eq!(sites.asked(), asked);
}

#[test]
fn a_host_that_nobody_named_is_not_asked_whoever_says_so() {
    let sites = Sites::start();
    let options = sites.directory.path().join("options.json");
    let text = r#"{"rpId":"evil.example","challenge":"AAAAAAAAAAAAAAAAAAAAAA","allowCredentials":[]}"#;
    std::fs::write(&options, text).expect("a file");
    let options = options.to_str().expect("text");
    let (status, text) = sites.doctor(&["--options", options, "--from", "https://shop.example"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("evil.example/.well-known/webauthn was not fetched, as nobody named evil.example"), "{text}");
    assert!(text.contains("--fetch evil.example"), "{text}");
    let (status, text) =
        sites.doctor(&["--rp-id", "away.example", "--from", "https://shop.example", "--fetch", "away.example"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains(
            "evil.example was not named, so nothing was asked of it; if it may be asked, say --fetch evil.example"
        ),
        "{text}"
    );
    let (status, text) = sites.doctor(&["--options-url", "https://away.example/options"]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("evil.example was not named"), "{text}");
    let asked = sites.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.ends_with(" away.example")), "{asked:?}");
}

#[test]
fn a_file_of_related_origins_that_no_browser_takes_is_told_as_it_is() {
    let sites = Sites::start();
    for (rp_id, expected) in [
        ("around.example", "https://around.example/.well-known/webauthn redirects more than 3 times"),
        ("html.example", "served as text/html: the type has to be application/json"),
        ("huge.example", "huge.example answers with more than 256 KiB"),
        ("plain.example", "it redirects to http://plain.example/other, which is not https"),
        ("unlisted.example", "lists https://other.example and not https://shop.example"),
        ("www.example.com", "the status is 404"),
    ] {
        let (status, text) = sites.doctor(&["--rp-id", rp_id, "--from", "https://shop.example", "--fetch", rp_id]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("(row 34)"), "{text}");
        assert!(text.contains(&format!("asked https://{rp_id}/.well-known/webauthn:")), "{text}");
    }
    let asked = sites.asked();
    let around = asked.iter().filter(|asked| asked.ends_with("around.example"));
    assert_eq!((around.count(), asked.len()), (4, 9), "{asked:?}");
}

#[test]
fn a_site_without_options_is_told_what_it_answered() {
    let sites = Sites::start();
    for (path, more, expected) in [
        (
            "https://example.com/page",
            &[][..],
            "https://example.com/page is text/html; charset=utf-8 and no JSON (line 1, column 1): <!doctype html> <title>Log in</title>",
        ),
        ("https://example.com/none", &[], "https://example.com/none answers with status 404: none"),
        (
            "https://example.com/options",
            &["--json-path", "data.options"],
            "there is no options in data, which has publicKey",
        ),
        (
            "https://example.com/options",
            &["--json-path", "0"],
            "there is no 0 in what it sends, which has data, success",
        ),
        ("https://example.com/options", &["--json-path", "success"], "neither options nor a credential in it"),
        ("https://example.com/options", &["--options-body", "{}"], "neither options nor a credential in it"),
        ("https://around.example/", &[], "https://around.example/ redirects more than 3 times"),
        ("https://huge.example/", &[], "huge.example answers with more than 256 KiB"),
        ("https://plain.example/", &[], "http://plain.example/other is not https"),
        ("http://example.com/options", &[], "http://example.com/options is not https"),
    ] {
        let (status, text) = sites.doctor(&[&["--options-url", path], more].concat());
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains(expected), "{path} {more:?}: {text}");
    }
}

#[test]
fn a_certificate_of_a_ca_that_nobody_trusts_is_not_taken() {
    let sites = Sites::start();
    let place = format!("example.com:443:{}", sites.address);
    let arguments = ["doctor", "--options-url", "https://example.com/options", "--resolve", &place];
    let (status, text) = told(run(&mut keyrig(&arguments), ""));
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("example.com speaks no TLS that is trusted here") && text.contains("--ca FILE"), "{text}");
    // A good CA, and another name than the certificate has.
    let place = format!("--resolve=other.example:443:{}", sites.address);
    let (status, text) = sites.doctor(&["--options-url", "https://other.example/options", &place]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("other.example speaks no TLS that is trusted here"), "{text}");
    assert_eq!(sites.asked(), Vec::<String>::new());
}

#[test]
fn what_is_no_host_or_place_is_refused_on_the_command_line() {
    for (option, value, expected) in [
        ("--fetch", "https://example.com/", "write a host, as example.com"),
        ("--resolve", "example.com", "write HOST:PORT:ADDR"),
        ("--options-url", "example.com", "relative URL without a base"),
    ] {
        let (status, text) = told(run(&mut keyrig(&["doctor", "--rp-id", "example.com", option, value]), ""));
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let (status, text) = told(run(&mut keyrig(&["doctor", "--rp-id", "example.com", "--json-path", "a"]), ""));
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("--options-url"), "{text}");
}
