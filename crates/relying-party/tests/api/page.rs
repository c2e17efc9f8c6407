//! The page: what it is allowed to load, and that it loads nothing else.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use keyrig_relying_party::{EventKind, Settings, Store};
use serde_json::json;
use tower::ServiceExt;

use crate::rig::Rig;

async fn get(path: &str) -> (axum::http::response::Parts, String) {
    get_of(Rig::new(), path).await
}

async fn get_of(rig: Rig, path: &str) -> (axum::http::response::Parts, String) {
    let request = Request::get(path).header(header::HOST, crate::rig::HOST).body(Body::empty()).unwrap();
    let (parts, body) = rig.router.oneshot(request).await.unwrap().into_parts();
    (parts, String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap())
}

const SCRIPTS: [&str; 8] = [
    "/page.js",
    "/core.js",
    "/ceremony.js",
    "/account.js",
    "/administration.js",
    "/groups.js",
    "/tokens.js",
    "/records.js",
];

async fn scripts() -> Vec<(&'static str, String)> {
    let mut scripts = Vec::new();
    for path in SCRIPTS {
        scripts.push((path, get(path).await.1));
    }
    scripts
}

#[tokio::test]
async fn the_pages_are_files_of_their_own() {
    let others = [("/", "text/html; charset=utf-8"), ("/page.css", "text/css; charset=utf-8")];
    let scripts = SCRIPTS.map(|path| (path, "text/javascript; charset=utf-8"));
    for (path, media_type) in others.into_iter().chain(scripts) {
        let (parts, text) = get(path).await;
        assert_eq!(parts.status, 200, "{path}");
        assert_eq!(parts.headers[header::CONTENT_TYPE], media_type);
        assert_eq!(parts.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
        for elsewhere in ["http://", "https://", "//cdn", "@import", "url("] {
            let found = text.matches(elsewhere).count();
            // What the page says about where WebAuthn is there.
            let said = text.matches("https, or http://localhost").count();
            assert!(found == 0 || elsewhere == "http://" && found == said, "{elsewhere} in {path}");
        }
    }
}

/// Every script that one loads is there: none is missing until somebody opens the page.
#[tokio::test]
async fn the_scripts_import_each_other_alone() {
    for (path, script) in scripts().await {
        for line in script.lines().filter(|line| line.starts_with("import ")) {
            let from = line.split('\'').nth(1).unwrap_or_else(|| panic!("{path}: {line}"));
            assert!(SCRIPTS.contains(&from), "{path}: {line}");
        }
    }
}

/// CSP Level 3: scripts, styles and requests of this origin only, nothing inline, and no page around it.
#[tokio::test]
async fn the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let (parts, html) = get("/").await;
    let policy = parts.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    let directives: Vec<_> = policy.split("; ").collect();
    for expected in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(directives.contains(&expected), "{expected} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let is_handler = |word: &str| word.starts_with("on") && word.contains('=');
    assert!(!html.contains("<style") && !html.contains("style="), "no style inline");
    assert!(!html.split_whitespace().any(is_handler), "no script inline");
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.contains("<script src=\"/page.js\" type=\"module\"></script>"));
}

/// WebAuthn Level 3, §5.11: status 200, application/json, an object with `origins`; and no file where no origin is related.
#[tokio::test]
async fn related_origins_are_served_where_browsers_look_for_them() {
    let settings = Settings::new(crate::rig::RP_ID, crate::rig::ORIGIN);
    let related_origins = vec!["https://example.net".to_owned(), "https://shop.example.net:8443".to_owned()];
    let rig = Rig::with_settings(Settings { related_origins, ..settings });
    let (parts, text) = get_of(rig, "/.well-known/webauthn").await;
    assert_eq!(parts.status, 200);
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file, json!({ "origins": ["https://example.net", "https://shop.example.net:8443"] }));
    assert_eq!(get("/.well-known/webauthn").await.0.status, 404);
}

/// Pages that the settings name may have it in a frame.
#[tokio::test]
async fn who_may_have_the_page_in_a_frame_is_in_the_settings() {
    let settings = Settings::new(crate::rig::RP_ID, crate::rig::ORIGIN);
    let top_origins = vec!["https://portal.example.net".to_owned()];
    let (parts, _) = get_of(Rig::with_settings(Settings { top_origins, ..settings }), "/").await;
    let policy = parts.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.ends_with("; frame-ancestors https://portal.example.net"), "{policy}");
}

/// Whatever the server says is put into the page as text.
#[tokio::test]
async fn the_script_makes_no_markup_of_text() {
    for (path, script) in scripts().await {
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!script.contains(sink), "{sink} in {path}");
        }
    }
}

/// Every route that the scripts call is one of the API's: none is answered as unknown.
#[tokio::test]
async fn the_scripts_call_routes_that_are_there() {
    let scripts = scripts().await;
    let quoted = scripts.iter().flat_map(|(_, script)| script.split(['\'', '`']));
    let mut routes: Vec<&str> = quoted.filter(|text| text.starts_with("/api/") && !text.contains("${")).collect();
    routes.sort_unstable();
    routes.dedup();
    assert!(routes.len() > 18, "{routes:?}");
    for route in routes {
        let (parts, text) = get(route).await;
        assert!(parts.status != 404 && !text.contains("not_found"), "{route}: {} {text}", parts.status);
    }
}

/// What can be chosen as the kind of events is every kind that there is.
#[tokio::test]
async fn events_can_be_chosen_by_every_kind() {
    let (_, script) = get("/records.js").await;
    let list = script.split_once("const KINDS = [").and_then(|(_, rest)| rest.split_once("];")).unwrap().0;
    let listed: Vec<_> = list.split('\'').skip(1).step_by(2).collect();
    let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(listed, kinds);
}

/// What the settings allow, and what a page at this or that origin would meet.
#[tokio::test]
async fn the_site_says_what_its_settings_allow() {
    let settings = Settings { passkey_login: true, ..Settings::new(crate::rig::RP_ID, crate::rig::ORIGIN) };
    let mut browser = Rig::with_settings(settings).browser();
    let site = browser.get("/api/site?origin=https://pve.example.com:8006").await;
    assert_eq!(site["origin_refusal"], json!(null));
    assert_eq!(
        (&site["rp_id"], &site["origins"]),
        (&json!("pve.example.com"), &json!(["https://pve.example.com:8006"]))
    );
    assert_eq!((&site["passkey_login"], &site["policy"]), (&json!(true), &json!("strict-l3")));
    assert_eq!(browser.get("/api/site").await["origin_refusal"], json!(null));
    let site = browser.get("/api/site?origin=https://pve.example.com").await;
    assert!(site["origin_refusal"]["expected"].as_str().unwrap().contains("https://pve.example.com:8006"), "{site}");
    let broken = Rig::on(Store::in_memory().unwrap(), Err("no".to_owned()), true);
    assert_eq!(broken.browser().refused_code("GET", "/api/site", None).await, "webauthn_unavailable");
}
