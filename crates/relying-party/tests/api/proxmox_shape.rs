//! Whatever goes wrong with a call of Proxmox VE's API, the answer has the shape that is written for: JSON with `data`, and the cause in the
//! status line or, in the other format, in a success.

use keyrig_relying_party::serve;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::{site, ticket};
use crate::smuggling::answered;

/// Status and reason phrase, and the body, of an answer that has Proxmox VE's type to the letter.
#[track_caller]
fn read(answer: &str) -> (String, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let told = |header: &str| headers.lines().any(|line| line.eq_ignore_ascii_case(header));
    assert!(told("content-type: application/json;charset=UTF-8"), "{answer}");
    assert!(told("cache-control: no-store") && told("x-content-type-options: nosniff"), "{answer}");
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    (line.strip_prefix("HTTP/1.1 ").unwrap().to_owned(), body)
}

#[tokio::test]
async fn each_error_has_the_shape_of_its_format() {
    let rig = site();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    let root = ticket(&rig, "root@pam").await;
    let csrf = root.csrf.unwrap();
    let in_ = format!("Cookie: PVEAuthCookie={}\r\nCSRFPreventionToken: {csrf}\r\n", root.ticket.unwrap());
    let length = |of: usize| format!("Content-Length: {of}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json_type = "Content-Type: application/json\r\n";
    let twice = |name: &str| format!("400 the request cannot be read: the header {name} is there twice");
    let not_implemented = |method: &str, path: &str| format!("501 Method '{method} {path}' not implemented");
    let mut cases: Vec<(&str, &str, String, Vec<u8>, String)> = vec![
        ("GET", "/version", format!("{in_}Host: other\r\n"), vec![], twice("host")),
        ("GET", "/version", format!("{in_}Authorization: x\r\nAuthorization: y\r\n"), vec![], twice("authorization")),
        ("PUT", "/access/acl", format!("{in_}CSRFPreventionToken: {csrf}\r\n"), vec![], twice("csrfpreventiontoken")),
        ("PUT", "/access/acl", format!("{in_}X-CSRF-Token: a\r\nX-CSRF-Token: b\r\n"), vec![], twice("x-csrf-token")),
        ("PUT", "/access/acl", format!("{in_}{form}{json_type}"), vec![], twice("content-type")),
        // What is nowhere is refused for the same before.
        ("GET", "/nodes", format!("{in_}Host: other\r\n"), vec![], twice("host")),
        ("GET", "/version", String::new(), vec![], "401 No ticket".to_owned()),
        (
            "GET",
            "/access/users/%ff",
            in_.clone(),
            vec![],
            "400 the request cannot be read: Invalid URL: Invalid UTF-8 in `userid`".to_owned(),
        ),
        ("POST", "/access/users", format!("{in_}Content-Type: text/plain\r\n{}", length(1)), b"x".to_vec(), {
            "415 the body is no form and no JSON".to_owned()
        }),
        ("POST", "/access/users", format!("{in_}{json_type}{}", length(3)), b"\"\xff\"".to_vec(), {
            "400 the body is not an object in JSON (line 1, column 2)".to_owned()
        }),
    ];
    for method in ["OPTIONS", "PATCH", "TRACE", "BREW"] {
        for path in ["/version", "/access/users/root@pam", "/nodes", "/"] {
            cases.push((method, path, in_.clone(), vec![], not_implemented(method, path)));
        }
    }
    for path in ["", "/", "/nodes", "/version/", "//version", "/access/users/a/b/c"] {
        let path_told = if path.is_empty() {
            "/"
        } else {
            path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path)
        };
        cases.push(("GET", path, in_.clone(), vec![], not_implemented("GET", path_told)));
    }
    for (method, path, head, body, expected) in &cases {
        for format in ["json", "extjs"] {
            let head =
                format!("{method} /api2/{format}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n");
            let answer = answered(server.local_addr(), &[head.as_bytes(), body].concat()).await;
            let (line, found) = read(&answer);
            let (status, reason) = expected.split_once(' ').unwrap();
            if format == "json" || status == "401" {
                assert!(line.starts_with(&format!("{status} {reason}")), "{method} {path}: {line}");
                assert_eq!(found["data"], Value::Null, "{method} {path}");
            } else {
                assert_eq!(line, "200 OK", "{method} {path}");
                let status: u16 = status.parse().unwrap();
                let told = (&found["data"], &found["success"], &found["status"]);
                assert_eq!(told, (&Value::Null, &json!(0), &json!(status)), "{method} {path}");
                assert!(found["message"].as_str().unwrap().starts_with(reason), "{method} {path}: {found}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_in_the_shape_of_its_format() {
    let rig = site();
    let root = ticket(&rig, "root@pam").await;
    for format in ["json", "extjs"] {
        let (path, form) = (format!("/api2/{format}/access/users"), Some("application/x-www-form-urlencoded"));
        let answer = root.raw(&rig, "POST", &path, form, "a".repeat(1 << 20)).await;
        let status =
            if format == "json" { u64::from(answer.status.as_u16()) } else { answer.body["status"].as_u64().unwrap() };
        assert_eq!((status, &answer.body["data"]), (413, &Value::Null), "{answer:?}");
    }
}

/// pve-http-server: an address that names no format is "no such uri".
#[tokio::test]
async fn a_format_that_is_not_there_is_refused_in_the_same_shape() {
    let rig = site();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    for path in ["/api2", "/api2/", "/api2/html/version", "/api2/png", "/api2//json/version"] {
        for method in ["GET", "POST", "BREW"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = answered(server.local_addr(), request.as_bytes()).await;
            assert_eq!(
                read(&answer),
                ("501 no such uri".to_owned(), json!({ "data": null, "message": "no such uri\n" })),
                "{method} {path}"
            );
        }
    }
}
