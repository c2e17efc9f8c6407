//! Which AppIDs a page may use: `appid` and `appidExclude` (WebAuthn Level 3 §10.1.1, FIDO AppID and Facet Specification 1.2).
//!
//! As in all browsers, an AppID has to be an address under the page's registrable domain; a list of trusted facets is never
//! fetched. Chromium and Firefox want https; WebKit wants the page's scheme, and no empty AppID.

use thiserror::Error;
use url::{Host, Url};

use crate::browser::Browser;
use crate::client_data;
use crate::origin::Origin;

/// Why a page may not use an AppID. Chromium's word for all of it: "This is an invalid domain."
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppIdRefusal {
    /// The AppID is empty, which Safari refuses.
    #[error("the AppID is empty: Safari does not take that for the page's origin")]
    Empty,
    /// The AppID is not an https address, or in Safari not one of the page's scheme.
    #[error("the AppID {0:?} is not an https address")]
    NotHttps(String),
    /// The AppID is under another domain.
    #[error("the AppID {app_id:?} is not under the same registrable domain as the page's address {origin}")]
    Foreign {
        /// The AppID.
        app_id: String,
        /// The page's origin.
        origin: String,
    },
}

/// The application parameter of an AppID: its SHA-256. An empty AppID stands for the page's origin.
pub(crate) fn application_parameter(browser: Browser, origin: &Origin, app_id: &str) -> Result<[u8; 32], AppIdRefusal> {
    let facet = origin.to_string();
    if app_id.is_empty() && browser == Browser::Safari {
        return Err(AppIdRefusal::Empty);
    }
    if app_id.is_empty() || app_id == facet {
        return Ok(client_data::hash(facet.as_bytes()));
    }
    let url = Url::parse(app_id).ok().filter(|url| match (browser, origin) {
        (Browser::Safari, Origin::Tuple { scheme, .. }) => url.scheme() == scheme,
        _ => url.scheme() == "https",
    });
    let Some(Host::Domain(host)) = url.as_ref().and_then(Url::host) else {
        return Err(AppIdRefusal::NotHttps(app_id.to_owned()));
    };
    if origin.domain().is_some_and(|domain| same_site(domain, host)) {
        Ok(client_data::hash(app_id.as_bytes()))
    } else {
        Err(AppIdRefusal::Foreign { app_id: app_id.to_owned(), origin: facet })
    }
}

fn same_site(left: &str, right: &str) -> bool {
    left == right || psl::domain_str(left).is_some_and(|site| psl::domain_str(right) == Some(site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_belongs_to_the_pages_site() {
        for (origin, app_id, allowed) in [
            ("https://login.example.com", "https://example.com/app-id.json", true),
            ("https://example.com", "https://u2f.example.com", true),
            ("https://example.com:8443", "https://example.com", true),
            ("https://example.com", "", true),
            ("https://localhost:8006", "https://localhost/app-id.json", true),
            ("http://localhost:8006", "http://localhost:8006", true),
            ("https://example.com", "http://example.com", false),
            ("https://example.com", "https://example.org", false),
            ("https://a.github.io", "https://b.github.io", false),
            ("https://evilexample.com", "https://example.com", false),
            ("https://example.com", "example.com", false),
            ("https://example.com", "https://192.0.2.1", false),
        ] {
            let origin: Origin = origin.parse().unwrap();
            let outcome = application_parameter(Browser::Chromium, &origin, app_id);
            assert_eq!(outcome.is_ok(), allowed, "{origin} {app_id}: {outcome:?}");
        }
    }

    #[test]
    fn webkit_wants_the_pages_scheme_and_no_empty_app_id() {
        for (origin, app_id, allowed) in [
            ("https://example.com", "", false),
            ("https://example.com", "https://u2f.example.com", true),
            ("https://example.com", "http://example.com", false),
            ("http://localhost:8006", "http://localhost/app-id.json", true),
            ("https://example.com", "https://example.org", false),
        ] {
            let outcome = application_parameter(Browser::Safari, &origin.parse().unwrap(), app_id);
            assert_eq!(outcome.is_ok(), allowed, "{origin} {app_id}: {outcome:?}");
        }
    }

    /// SHA-256 of "https://example.com" by `sha256sum`.
    #[test]
    fn an_empty_app_id_is_the_origin() {
        let origin: Origin = "https://example.com".parse().unwrap();
        let hash = "100680ad546ce6a577f42f52df33b4cfdca756859e664b8d7de329b150d09ce9";
        assert_eq!(hex::encode(application_parameter(Browser::Chromium, &origin, "").unwrap()), hash);
    }
}
