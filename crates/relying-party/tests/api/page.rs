//! The page: what it is allowed to load, and that it loads nothing else.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use tower::ServiceExt;

use keyrig_relying_party::Settings;

use crate::rig::Rig;

async fn get(path: &str) -> (axum::http::response::Parts, String) {
    get_of(Rig::new(), path).await
}

async fn get_of(rig: Rig, path: &str) -> (axum::http::response::Parts, String) {
    let request = Request::get(path).header(header::HOST, crate::rig::HOST).body(Body::empty()).unwrap();
    let (parts, body) = rig.router.oneshot(request).await.unwrap().into_parts();
    (parts, String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn the_page_is_three_files_of_its_own() {
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
    ] {
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
    assert!(html.contains("<script src=\"/page.js\" defer></script>"));
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
    assert_eq!(file, serde_json::json!({ "origins": ["https://example.net", "https://shop.example.net:8443"] }));
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
    let (_, script) = get("/page.js").await;
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
        assert!(!script.contains(sink), "{sink}");
    }
}

/// Every route that the script calls is one of the API's: none is answered as unknown.
#[tokio::test]
async fn the_script_calls_routes_that_are_there() {
    let (_, script) = get("/page.js").await;
    let mut routes: Vec<&str> = script.split('\'').filter(|text| text.starts_with("/api/")).collect();
    routes.sort_unstable();
    routes.dedup();
    assert!(routes.len() > 12, "{routes:?}");
    for route in routes {
        let (parts, text) = get(route).await;
        assert!(parts.status != 404 && !text.contains("not_found"), "{route}: {} {text}", parts.status);
    }
}
