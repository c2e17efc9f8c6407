use super::*;
use crate::channel::{Cancel, Channel};
use crate::json::{CreationOptions, RequestOptions};
use crate::key::Key;
use crate::permissions::Permissions;
use crate::related_origins::Fetched;
use crate::testing::Scripted;

const ORIGIN: &str = "https://login.example.com";
const ELSEWHERE: &str = "https://shop.example.net";

fn page(browser: Browser) -> Client {
    Client::new(ORIGIN.parse().unwrap()).in_browser(browser)
}

fn framed(browser: Browser) -> Client {
    page(browser).in_a_frame_of(ELSEWHERE.parse().unwrap())
}

/// What a page is refused before any key is asked: there is none. `None` if nothing was refused before keys were looked for.
async fn refused(client: &Client, ceremony: Ceremony, options: &str) -> Option<ClientError> {
    let keys: &mut [Key<Scripted>] = &mut [];
    let error = ask(client, ceremony, options, keys).await.unwrap_err();
    (error.reason != Refusal::NoKeys).then_some(error)
}

async fn ask<C: Channel>(
    client: &Client,
    ceremony: Ceremony,
    options: &str,
    keys: &mut [Key<C>],
) -> Result<(), ClientError> {
    match ceremony {
        Ceremony::Create => {
            let options = CreationOptions::from_json(options).unwrap();
            client.create(&options, keys, Cancel::never()).await.map(|_| ())
        }
        Ceremony::Get => {
            let options = RequestOptions::from_json(options).unwrap();
            client.get(&options, keys, Cancel::never()).await.map(|_| ())
        }
    }
}

const CREATE: &str = r#"{"rp":{"name":"x"},"user":{"id":"AA","name":"a","displayName":"a"},"challenge":"AAAA",
    "pubKeyCredParams":[{"type":"public-key","alg":-7}]}"#;
const DESCRIPTOR: &str = r#"{"type":"public-key","id":"AQ"}"#;
const GET: &str = r#"{"challenge":"AAAA"}"#;

/// Texts: of Chromium and Firefox as observed, of Safari as WebKit's source has them.
#[tokio::test]
async fn frames_of_another_origin_need_a_permission_and_a_click() {
    use Browser::{Chromium, Firefox, Safari};
    use Ceremony::{Create, Get};
    let (all, none) = (Permissions::ALL, Permissions::NONE);
    let policy = "The 'publickey-credentials-create' feature is not enabled in this document. Permissions Policy may be \
                  used to delegate Web Authentication capabilities to cross-origin child frames.";
    let policy_of_get = "The 'publickey-credentials-get' feature is not enabled in this document. Permissions Policy may \
                         be used to delegate Web Authentication capabilities to cross-origin child frames.";
    let click = "A user activation is required to create a credential in a cross-origin iframe.";
    let ancestors = "The origin of the document is not the same as its ancestors.";
    let not_allowed = "CredentialsContainer request is not allowed.";
    for (browser, ceremony, permissions, clicked, expected) in [
        (Chromium, Create, none, true, Some(("not-permitted", policy))),
        (Chromium, Create, all, false, Some(("no-user-activation", click))),
        (Chromium, Create, all, true, None),
        (Chromium, Get, none, true, Some(("not-permitted", policy_of_get))),
        (Chromium, Get, all, false, None),
        (Chromium, Get, Permissions { create: true, get: false }, true, Some(("not-permitted", policy_of_get))),
        (Firefox, Create, none, true, Some(("not-permitted", not_allowed))),
        (Firefox, Create, all, false, Some(("no-user-activation", not_allowed))),
        (Firefox, Create, all, true, None),
        (Firefox, Get, none, true, Some(("not-permitted", not_allowed))),
        (Firefox, Get, all, false, None),
        (Safari, Create, all, true, Some(("in-frame-of-another-origin", ancestors))),
        (Safari, Get, none, true, Some(("not-permitted", ancestors))),
        (Safari, Get, all, false, None),
    ] {
        let client = framed(browser).permitted(permissions);
        let client = if clicked { client } else { client.without_user_activation() };
        let options = if ceremony == Create { CREATE } else { GET };
        let found = refused(&client, ceremony, options).await;
        let told = found.as_ref().map(|error| (error.code(), error.observed_message(browser).unwrap().into_owned()));
        assert_eq!(
            told,
            expected.map(|(code, text)| (code.to_owned(), text.to_owned())),
            "{browser} {ceremony:?} {permissions:?}"
        );
        assert!(found.is_none_or(|error| error.name == DomException::NotAllowedError));
        // A frame of the page's own origin is as good as the page, and needs no click.
        let client = page(browser).in_a_frame_of(ORIGIN.parse().unwrap()).without_user_activation();
        assert_eq!(refused(&client, ceremony, options).await, None, "{browser}");
    }
    // A page at the top can have lost the feature by its own header; WebKit does not look there.
    for (browser, expected) in [(Chromium, true), (Firefox, true), (Safari, false)] {
        let client = page(browser).permitted(none);
        assert_eq!(refused(&client, Create, CREATE).await.is_some(), expected, "{browser}");
    }
}

#[tokio::test]
async fn browsers_differ_in_what_they_take_of_options() {
    use Browser::{Chromium, Firefox, Safari};
    let create = |member: &str| CREATE.replacen("\"challenge\"", &format!("{member},\"challenge\""), 1);
    let get = |member: &str| GET.replacen("\"challenge\"", &format!("{member},\"challenge\""), 1);
    let empty_user = CREATE.replace(r#""id":"AA""#, r#""id":"""#);
    let long_user = CREATE.replace(r#""id":"AA""#, &format!(r#""id":"{}""#, "A".repeat(88)));
    let unknown = CREATE.replace(r#"[{"type":"#, r#"[{"type":"password","alg":-7},{"type":"#);
    let blob_read = create(r#""extensions":{"largeBlob":{"read":true}}"#);
    let app_id = create(r#""extensions":{"appid":"https://login.example.com"}"#);
    let empty_app_id = get(r#""extensions":{"appid":""}"#);
    let app_id_exclude = create(r#""extensions":{"appidExclude":"https://example.org"}"#);
    let long_exclude = create(&format!(r#""excludeCredentials":[{}]"#, [DESCRIPTOR; 21].join(",")));
    let longer_exclude = create(&format!(r#""excludeCredentials":[{}]"#, [DESCRIPTOR; 65].join(",")));
    let allow = get(&format!(r#""allowCredentials":[{}]"#, [DESCRIPTOR; 20].join(",")));
    let long_allow = get(&format!(r#""allowCredentials":[{}]"#, [DESCRIPTOR; 21].join(",")));
    let foreign_app_id = get(r#""extensions":{"appid":"https://example.org"}"#);
    let empty_rp_id = get(r#""rpId":"""#);
    let not_allowed = "NotAllowedError";
    for (options, chromium, firefox, safari) in [
        (&empty_user, "", "", "TypeError"),
        (&long_user, "TypeError", "TypeError", "TypeError"),
        (&unknown, "", "", "NotSupportedError"),
        (&blob_read, "NotSupportedError", "NotSupportedError", not_allowed),
        (&app_id, "NotSupportedError", "NotSupportedError", ""),
        (&empty_app_id, "", "", not_allowed),
        (&foreign_app_id, "SecurityError", "SecurityError", "SecurityError"),
        (&empty_rp_id, "SecurityError", "SecurityError", ""),
        (&app_id_exclude, "SecurityError", "", ""),
        (&long_exclude, "", "", ""),
        (&longer_exclude, "RangeError", "", ""),
        (&allow, "", "", ""),
        (&long_allow, "", "SecurityError", ""),
    ] {
        let ceremony = if options.contains("\"user\"") { Ceremony::Create } else { Ceremony::Get };
        for (browser, expected) in [(Chromium, chromium), (Firefox, firefox), (Safari, safari)] {
            let found = refused(&page(browser), ceremony, options).await;
            let name = found.as_ref().map(|error| error.name.to_string()).unwrap_or_default();
            assert_eq!(name, expected, "{browser}: {options}: {found:?}");
            let is_told = found.is_none_or(|error| error.observed_message(browser).is_some());
            assert!(is_told || options == &blob_read, "{browser}: {options}");
        }
    }
}

/// Chromium and Firefox as observed: behind a warning that was clicked away.
#[test]
fn a_bad_certificate_is_as_bad_as_a_foreign_page() {
    let behind = |address: &str, browser| {
        let page = Client::new(address.parse().unwrap()).in_browser(browser).with_certificate_error();
        page.check_page(None).err().map(|error| (error.name, error.observed_message(browser).map(|it| it.to_string())))
    };
    let chromium = "WebAuthn is not supported on sites with TLS certificate errors.";
    assert_eq!(behind(ORIGIN, Browser::Chromium), Some((DomException::NotAllowedError, Some(chromium.to_owned()))));
    assert_eq!(behind("https://localhost:8006", Browser::Chromium), None);
    let firefox = (DomException::SecurityError, Some("The operation is insecure.".to_owned()));
    assert_eq!(behind(ORIGIN, Browser::Firefox), Some(firefox));
    assert_eq!(behind(ORIGIN, Browser::Safari), None);
}

/// Chromium and Firefox as observed, in a sandboxed frame that has the permission.
#[test]
fn an_opaque_origin_has_no_rp_id() {
    for (browser, name) in [
        (Browser::Chromium, DomException::NotAllowedError),
        (Browser::Firefox, DomException::SecurityError),
        (Browser::Safari, DomException::SecurityError),
    ] {
        let error = Client::new(Origin::Opaque).in_browser(browser).check_page(Some("example.com")).unwrap_err();
        assert_eq!((error.name, error.code().as_str()), (name, "origin-opaque"), "{browser}");
        assert!(error.observed_message(browser).is_some());
    }
}

/// An app's origin is written as it is, and the platform has decided over the RP ID.
#[test]
fn an_app_claims_what_its_platform_lets_it() {
    let origin = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck";
    let app = Client::new(origin.parse().unwrap());
    assert_eq!(app.check_page(Some("example.com")), Ok("example.com".to_owned()));
    assert!(app.check_page(None).is_err());
    let json = String::from_utf8(app.client_data_json("webauthn.get", &[1])).unwrap();
    assert!(json.contains(&format!("\"origin\":\"{origin}\",\"crossOrigin\":false")), "{json}");
}

#[test]
fn the_longest_wait_is_the_browsers() {
    let wait = |browser, wanted: Option<u64>| page(browser).timeout(wanted.map(Duration::from_secs)).as_secs();
    for (browser, without, hour) in
        [(Browser::Chromium, 600, 600), (Browser::Firefox, 30, 120), (Browser::Safari, 120, 120)]
    {
        assert_eq!((wait(browser, None), wait(browser, Some(3600)), wait(browser, Some(1))), (without, hour, 1));
    }
}

/// Chromium's texts as observed.
#[test]
fn a_page_elsewhere_claims_an_rp_id_that_lists_it() {
    let claim = |browser, fetched: Fetched| {
        let page = Client::new(ELSEWHERE.parse().unwrap()).in_browser(browser).fetching(move |_| fetched.clone());
        page.check_page(Some("example.com"))
    };
    let json = |text: &str| Fetched::Answer {
        status: 200,
        content_type: Some("application/json".to_owned()),
        body: text.as_bytes().to_vec(),
    };
    let good = || json(r#"{"origins":["https://shop.example.net"]}"#);
    assert_eq!(claim(Browser::Chromium, good()), Ok("example.com".to_owned()));
    assert_eq!(claim(Browser::Firefox, good()), Ok("example.com".to_owned()));
    assert_eq!(claim(Browser::Safari, good()), Ok("example.com".to_owned()));
    for (fetched, ends) in [
        (
            Fetched::Unreachable("no".to_owned()),
            "an attempt to fetch the .well-known/webauthn resource of the claimed RP ID failed.",
        ),
        (json("{"), "resulted in a JSON parse error."),
        (json(r#"{"origins":[]}"#), "was successful, but no listed origin matched the caller."),
        (
            json(
                r#"{"origins":["https://a.com","https://b.com","https://c.com","https://d.com","https://e.com","https://shop.example.net"]}"#,
            ),
            "the limit on the number of eTLD+1 labels was reached, causing some entries to be ignored.",
        ),
        (
            Fetched::Answer { status: 200, content_type: None, body: Vec::new() },
            "had the wrong content-type. (It should be application/json.)",
        ),
    ] {
        let error = claim(Browser::Chromium, fetched).unwrap_err();
        assert_eq!((error.name, error.code().as_str()), (DomException::SecurityError, "rp-id-unrelated"));
        let message = error.observed_message(Browser::Chromium).unwrap();
        assert!(message.starts_with("The relying party ID is not a registrable domain suffix of, nor equal to the current domain. Subsequently, "));
        assert!(message.ends_with(ends), "{message}");
    }
}
