//! Requests that a proxy and a server could read differently, on a socket: who writes one must not have a second one carried with it, nor be
//! taken for two. What has to happen is RFC 9112's and RFC 9110's.

use std::net::SocketAddr;

use keyrig_relying_party::{Role, Server, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{Program, site, ticket};
use crate::rig::{PASSWORD, Rig};

/// Sends bytes, and nothing after them; gives what is answered until the server ends the connection.
pub(crate) async fn answered(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The statuses of all answers.
fn statuses(answer: &str) -> Vec<&str> {
    let heads = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at..]);
    heads.map(|head| head.split(' ').nth(1).unwrap()).collect()
}

async fn started() -> (Rig, Server, Program) {
    let rig = site();
    let server = serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), rig.relying_party.clone()).unwrap();
    let root = ticket(&rig, "root@pam").await;
    (rig, server, root)
}

/// RFC 9112, section 6.3: two lengths that differ are an error that nothing can mend.
#[tokio::test]
async fn two_lengths_of_a_body_are_no_request() {
    let (_rig, server, _) = started().await;
    let second = "GET /api/realms HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for lengths in [
        format!("Content-Length: 0\r\nContent-Length: {}", second.len()),
        format!("Content-Length: {}\r\nContent-Length: 0", second.len()),
        "Content-Length: 0, 1".to_owned(),
        "Content-Length: +0".to_owned(),
        "Content-Length: -1".to_owned(),
        "Content-Length: 0x10".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        "Content-Length:".to_owned(),
    ] {
        let request = format!("GET /api/realms HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n{second}");
        let answer = answered(server.local_addr(), request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{lengths}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
}

/// RFC 9112, section 6.1: with both, the coding counts, and the connection is closed after the answer.
#[tokio::test]
async fn a_coding_beside_a_length_carries_no_second_request() {
    let (_rig, server, _) = started().await;
    let second = "GET /api/realms HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (length, coding) = ("Content-Length: 5", "Transfer-Encoding: chunked");
    for (headers, allowed) in [
        (format!("{length}\r\n{coding}"), ["200", "400"]),
        (format!("{coding}\r\n{length}"), ["200", "400"]),
        (format!("{coding}\r\nContent-Length: {}", 5 + second.len()), ["200", "400"]),
        // Not the last one, unknown, or not a word of the list: an error (section 6.3).
        ("Transfer-Encoding: chunked, identity".to_owned(), ["400"; 2]),
        ("Transfer-Encoding: xchunked".to_owned(), ["400"; 2]),
        ("Transfer-Encoding : chunked".to_owned(), ["400"; 2]),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(), ["400"; 2]),
    ] {
        let request = format!("GET /api/realms HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\n{second}");
        let answer = answered(server.local_addr(), request.as_bytes()).await;
        let found = statuses(&answer);
        assert!(found.len() == 1 && allowed.contains(&found[0]), "{headers}: {answer}");
    }
    // HTTP/1.0 has no codings.
    let request = format!("GET /api/realms HTTP/1.0\r\nHost: localhost\r\n{coding}\r\n\r\n0\r\n\r\n");
    let answer = answered(server.local_addr(), request.as_bytes()).await;
    assert!(answer.contains(" 400 "), "{answer}");
}

/// RFC 9112, sections 2.2, 5.1 and 5.2.
#[tokio::test]
async fn a_header_over_two_lines_or_with_what_ends_one_is_no_request() {
    let (_rig, server, _) = started().await;
    for header in [
        &b"Cookie: PVEAuthCookie=x\r\n y"[..],
        b"Cookie: PVEAuthCookie=x\r\n\ty",
        b" Cookie: PVEAuthCookie=x",
        b"Cookie: a\rX-Forwarded-For: 192.0.2.1",
        b"Cookie: a\0b",
        b"Cookie : a",
        b"Coo kie: a",
        b"Cookie",
        b": a",
    ] {
        let request = [b"GET /api/realms HTTP/1.1\r\nHost: localhost\r\n", header, b"\r\n\r\n"].concat();
        let answer = answered(server.local_addr(), &request).await;
        assert_eq!(statuses(&answer), ["400"], "{}: {answer}", header.escape_ascii());
    }
    // A line that ends with LF alone ends: what follows is a header of its own, and no part of the one before.
    let request = "GET /api2/json/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: a\nCookie: PVEAuthCookie=x\r\n\r\n";
    let answer = answered(server.local_addr(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 permission denied - invalid PVE ticket\r\n"), "{answer}");
}

/// What somebody sends is never a header of the answer.
#[tokio::test]
async fn a_line_end_in_what_is_sent_back_ends_no_line() {
    let (_rig, server, root) = started().await;
    let headers = format!("Cookie: PVEAuthCookie={}\r\n", root.ticket.unwrap());
    for path in ["a%0d%0aSet-Cookie:%20x=y@pve", "a%0aSet-Cookie:%20x=y@pve", "%E5%98%8A%E5%98%8DSet-Cookie:x@pve"] {
        let request = format!(
            "GET /api2/json/access/users/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        let answer = answered(server.local_addr(), request.as_bytes()).await;
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("set-cookie")), "{answer}");
        assert_eq!(statuses(&answer).len(), 1, "{answer}");
    }
}

/// RFC 9110, section 5.3: a field that is no list is not sent twice. A proxy may look at one, the site at the other.
#[tokio::test]
async fn a_header_that_is_no_list_and_is_there_twice_is_refused() {
    let (rig, server, root) = started().await;
    rig.add_user("eve@pve", Role::User);
    let (text, csrf) = (root.ticket.unwrap(), root.csrf.unwrap());
    let form = format!("username=root%40pam&password={}", PASSWORD.replace(' ', "+"));
    for (header, other) in [
        ("Host: localhost", "Host: pve.example.com:8006"),
        ("Authorization: PVEAPIToken=root@pam!a=b", "Authorization: PVEAPIToken=eve@pve!a=b"),
        ("Content-Type: application/x-www-form-urlencoded", "Content-Type: application/json"),
        ("CSRFPreventionToken: x", "CSRFPreventionToken: y"),
        ("X-CSRF-Token: x", "X-CSRF-Token: y"),
    ] {
        for (first, second) in [(header, other), (other, header), (header, header)] {
            let host = if header.starts_with("Host") { "" } else { "Host: localhost\r\n" };
            let head = format!("POST /api2/json/access/ticket HTTP/1.1\r\n{host}{first}\r\n{second}\r\n");
            let request = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{form}", form.len());
            let answer = answered(server.local_addr(), request.as_bytes()).await;
            assert_eq!(statuses(&answer), ["400"], "{first}, {second}: {answer}");
            let name = header.split(':').next().unwrap().to_lowercase();
            assert!(answer.contains(&format!("the header {name} is there twice")), "{answer}");
        }
    }
    // Cookies are a list: of two with the name the first counts, in one header or in two, and it alone.
    let eve = ticket(&rig, "eve@pve").await.ticket.unwrap();
    for (first, second, sees_others) in [(&text, &eve, true), (&eve, &text, false)] {
        for between in ["; ", "\r\nCookie: "] {
            let cookies = format!("Cookie: PVEAuthCookie={first}{between}PVEAuthCookie={second}\r\n");
            let head = "GET /api2/json/access/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
            let answer = answered(server.local_addr(), format!("{head}{cookies}\r\n").as_bytes()).await;
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let users: Value = serde_json::from_str(body).unwrap();
            assert_eq!(users["data"].as_array().unwrap().len() > 1, sees_others, "{answer}");
            // The token is of that ticket too: of the other one it changes nothing.
            let head = "PUT /api2/json/access/users/alice@pve HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
            let change = "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"comment\":\"x\"}";
            let request = format!("{head}{cookies}CSRFPreventionToken: {csrf}\r\n{change}");
            let answer = answered(server.local_addr(), request.as_bytes()).await;
            assert_eq!(statuses(&answer), [if sees_others { "200" } else { "401" }], "{answer}");
        }
    }
}

#[tokio::test]
async fn a_form_that_says_it_is_json_and_the_other_way_round_is_refused() {
    let (rig, server, _) = started().await;
    let form = format!("username=root%40pam&password={}", PASSWORD.replace(' ', "+"));
    let json = format!("{{\"username\":\"root@pam\",\"password\":\"{PASSWORD}\"}}");
    let (is_form, is_json) = ("application/x-www-form-urlencoded", "application/json");
    for (media_type, query, body, status) in [
        (is_form, "", &form, "200"),
        (is_json, "", &json, "200"),
        (is_json, "", &form, "400"),
        (is_form, "", &json, "400"),
        ("multipart/form-data; boundary=x", "", &form, "415"),
        ("text/plain", "", &json, "415"),
        // Half in the query, or twice.
        (is_json, "?username=root%40pam", &json, "400"),
        (is_form, "?password=x", &form, "400"),
        (is_form, "?username=eve%40pve", &format!("{form}&username=root%40pam"), "400"),
    ] {
        let head = format!("POST /api2/json/access/ticket{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let head = format!("{head}Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = answered(server.local_addr(), format!("{head}{body}").as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{media_type} {query}: {answer}");
    }
    drop(rig);
}
