use super::*;

const ORIGIN: &str = "https://shop.example.net";

fn answer(content_type: &str, body: &str) -> Fetched {
    Fetched::Answer { status: 200, content_type: Some(content_type.to_owned()), body: body.as_bytes().to_vec() }
}

fn json(body: &str) -> Fetched {
    answer("application/json", body)
}

fn judged(fetched: Fetched) -> Result<(), Unrelated> {
    judge(&ORIGIN.parse().unwrap(), "example.com", &move |address| {
        assert_eq!(address, "https://example.com/.well-known/webauthn");
        fetched.clone()
    })
}

fn problem(fetched: Fetched) -> String {
    judged(fetched).unwrap_err().to_string()
}

/// What Chromium 156 takes: as observed.
#[test]
fn a_page_that_is_listed_is_related() {
    for good in [
        json(r#"{"origins":["https://shop.example.net"]}"#),
        json(r#"{"origins":["https://shop.example.net/"]}"#),
        json(r#"{"origins":["https://shop.example.net:443"],"more":1}"#),
        json(r#"{"origins":["not an origin","https://com","https://shop.example.net"]}"#),
        answer("application/json; charset=utf-8", r#"{"origins":["https://shop.example.net"]}"#),
        answer("Application/JSON", r#"{"origins":["https://shop.example.net"]}"#),
    ] {
        assert_eq!(judged(good.clone()), Ok(()), "{good:?}");
    }
}

/// What it refuses, and as what: as observed.
#[test]
fn a_file_that_is_not_as_it_has_to_be_relates_nobody() {
    for bad in
        [answer("text/json", "{}"), answer("application/ld+json", "{}"), answer("text/html", "{}"), answer("", "{}")]
    {
        assert!(problem(bad.clone()).contains("the type has to be application/json"), "{bad:?}");
    }
    let untyped = Fetched::Answer { status: 200, content_type: None, body: b"{}".to_vec() };
    assert!(problem(untyped).contains("no type at all"));
    for (bad, said) in [
        ("", "EOF"),
        ("[]", "it is no object"),
        ("{}", "it has no member \"origins\""),
        (r#"{"origins":"https://shop.example.net"}"#, "\"origins\" is no list"),
        (r#"{"origins":[1]}"#, "no text"),
    ] {
        let problem = judged(json(bad)).unwrap_err();
        assert!(matches!(problem, Unrelated::Malformed { .. }), "{bad}: {problem}");
        assert!(problem.to_string().contains(said), "{bad}: {problem}");
    }
    for bad in [
        r#"{"origins":[]}"#,
        r#"{"origins":["https://shop.example.net:8443"]}"#,
        r#"{"origins":["http://shop.example.net"]}"#,
        r#"{"origins":["https://example.net"]}"#,
    ] {
        assert!(matches!(judged(json(bad)).unwrap_err(), Unrelated::NotListed { .. }), "{bad}");
    }
    for status in [201, 204, 404, 500] {
        let answer = Fetched::Answer { status, content_type: None, body: Vec::new() };
        assert!(problem(answer).contains(&format!("the status is {status}")));
    }
    let long = format!(r#"{{"origins":["https://shop.example.net"],"x":"{}"}}"#, " ".repeat(300 * 1024));
    assert!(problem(json(&long)).contains("more than 262144 bytes"));
    assert!(problem(Fetched::Unreachable("connection refused".to_owned())).contains("connection refused"));
}

/// The limit is on names before public suffixes (§5.11.1 step 4.6): many hosts and suffixes of one name count once.
#[test]
fn names_are_counted_and_not_origins() {
    let file = |origins: &[&str]| json(&serde_json::json!({ "origins": origins }).to_string());
    let one_name = ["https://a.co.uk", "https://a.com", "https://x.a.com", "https://y.a.com", "https://z.a.com:8443"];
    let mut all = one_name.to_vec();
    all.push(ORIGIN);
    assert_eq!(judged(file(&all)), Ok(()));
    let five = ["https://a.com", "https://b.com", "https://c.com", "https://d.com", "https://e.com"];
    let mut all = five.to_vec();
    all.push(ORIGIN);
    assert!(matches!(judged(file(&all)).unwrap_err(), Unrelated::TooManyLabels { .. }));
    // A name that was counted is looked at also further down.
    let all = [
        "https://example.org",
        "https://b.com",
        "https://c.com",
        "https://d.com",
        "https://e.com",
        "https://f.com",
        ORIGIN,
    ];
    assert_eq!(judged(file(&all)), Ok(()));
    // One that is not there is not said to be too far down.
    let mut all = five.to_vec();
    all.push("https://f.com");
    assert!(matches!(judged(file(&all)).unwrap_err(), Unrelated::NotListed { .. }));
}

#[test]
fn redirects_are_followed_over_https_and_not_for_ever() {
    let origin = ORIGIN.parse().unwrap();
    let good = |address: &str| match address {
        "https://example.com/.well-known/webauthn" => Fetched::Redirect("/moved".to_owned()),
        "https://example.com/moved" => Fetched::Redirect("https://www.example.com/file".to_owned()),
        "https://www.example.com/file" => json(r#"{"origins":["https://shop.example.net"]}"#),
        other => panic!("{other}"),
    };
    assert_eq!(judge(&origin, "example.com", &good), Ok(()));
    for (location, said) in [
        ("http://example.com/file", "which is not https"),
        ("https://exa mple", "it redirects to"),
        ("/.well-known/webauthn", "more than 20 times"),
    ] {
        let problem = problem(Fetched::Redirect(location.to_owned()));
        assert!(problem.contains(said), "{location}: {problem}");
    }
}
