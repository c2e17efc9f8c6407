//! What one address comes to under settings.

use std::borrow::Cow;

use keyrig_client::error::Refusal as ClientRefusal;
use keyrig_client::related_origins::Fetched;
use keyrig_client::rp_id::RpIdRefusal;
use keyrig_client::{Browser, Client, ClientError, Origin};
use keyrig_relying_party::{OriginProblem, RpIdProblem, Settings, SettingsError};
use serde::Serialize;

use super::address::{Address, Passed};
use super::site::{RelatedOrigins, Site};
use crate::report::Party;

/// What an address comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The address, as an origin.
    pub address: String,
    /// The name of the node, if the address was made of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether keys can be registered there, and can log in.
    pub works: bool,
    /// Who refuses: the first is whom somebody meets, the others are met when that is mended.
    pub refusals: Vec<Refusal>,
}

/// Who refuses, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// Who it is.
    pub by: Party,
    /// The cause as a word that stays the same.
    pub code: String,
    /// The row of the catalogue of misconfigurations, if it is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u8>,
    /// The cause for people.
    pub reason: String,
    /// What browsers show, if it is the browser.
    pub seen: Vec<Seen>,
}

/// What a script sees in a browser.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The browser.
    pub browser: String,
    /// The exception's name.
    pub name: String,
    /// Its message; `None` where nobody has looked.
    pub message: Option<Cow<'static, str>>,
}

/// Judges an address under settings.
pub(super) fn of(settings: &Settings, file: &RelatedOrigins, address: &Address) -> Verdict {
    let refusals = refusals(settings, file, address);
    Verdict { address: address.origin.to_string(), node: address.node.clone(), works: refusals.is_empty(), refusals }
}

/// Who refuses, in the order in which they are met.
fn refusals(settings: &Settings, file: &RelatedOrigins, address: &Address) -> Vec<Refusal> {
    let origin = address.origin.to_string();
    // The origin of an app or of a sandboxed frame is no host's: it asks the site by the site's.
    let host = match address.origin {
        Origin::App(_) | Origin::Opaque => address.passed.host.clone().unwrap_or_else(|| settings.rp_id.clone()),
        _ => address.host(),
    };
    let judged = settings.judge_origin(&origin, &host, address.over_tls());
    let of_settings = judged.as_ref().err().map(|error| Refusal {
        by: Party::RelyingParty,
        code: "settings-refused".to_owned(),
        row: row_of_settings(error),
        reason: error.to_string(),
        seen: Vec::new(),
    });
    let of_client = of_client(settings, file, address);
    let is_related = of_client.is_none() && needs_file(settings, address);
    let of_origin = judged.ok().and_then(Result::err).map(|refused| Refusal {
        by: Party::RelyingParty,
        code: "origin".to_owned(),
        row: if is_related { Some(35) } else { row_of_origin(settings, address) },
        reason: match address.origin {
            Origin::App(_) => format!(
                "the origin is {origin}, and {} is expected: an app's or an extension's origin has to be among those that the \
                 site lists",
                refused.expected
            ),
            _ => format!("the origin is {origin}, and {} is expected: {}", refused.expected, refused.explanation),
        },
        seen: Vec::new(),
    });
    [of_settings, of_client, of_origin].into_iter().flatten().collect()
}

/// What browsers say of the page, if they refuse it.
pub(super) fn of_client(settings: &Settings, file: &RelatedOrigins, address: &Address) -> Option<Refusal> {
    let origin = &address.origin;
    let ask = |browser| page(settings, file, origin, browser).check_page(Some(&settings.rp_id)).err();
    let refused: Vec<_> = Browser::ALL.into_iter().filter_map(|browser| Some((browser, ask(browser)?))).collect();
    let (_, first) = refused.first()?;
    let seen = |(browser, error): &(Browser, ClientError)| Seen {
        browser: browser.to_string(),
        name: error.name.to_string(),
        message: error.observed_message(*browser),
    };
    Some(Refusal {
        by: Party::Client,
        code: first.code(),
        row: row_of_client(first, &settings.rp_id, address),
        reason: first.reason.to_string(),
        seen: refused.iter().map(seen).collect(),
    })
}

/// A page at an origin, which finds a file of related origins.
fn page(settings: &Settings, file: &RelatedOrigins, origin: &Origin, browser: Browser) -> Client {
    let page = Client::new(origin.clone()).in_browser(browser);
    match file {
        RelatedOrigins::Fetched(found) => {
            let found = found.clone();
            page.fetching(move |address| {
                let none = || Fetched::Unreachable("it was not asked for".to_owned());
                found.get(address).cloned().unwrap_or_else(none)
            })
        }
        RelatedOrigins::OfSettings => {
            let Some(file) = settings.related_origins_file() else { return page };
            page.fetching(move |_| Fetched::Answer {
                status: 200,
                content_type: Some("application/json".to_owned()),
                body: file.clone().into_bytes(),
            })
        }
    }
}

/// Whether browsers ask for the RP ID's file of related origins before they let a page at an address have the RP ID.
#[must_use]
pub fn needs_related_origins(site: &Site, address: &Address) -> bool {
    needs_file(&site.settings, address)
}

fn needs_file(settings: &Settings, address: &Address) -> bool {
    let refused =
        page(settings, &RelatedOrigins::none(), &address.origin, Browser::Chromium).check_page(Some(&settings.rp_id));
    refused.is_err_and(|error| matches!(error.reason, ClientRefusal::RpId(RpIdRefusal::Unrelated { .. })))
}

/// Whether browsers let a page have the RP ID without a file of related origins.
pub(super) fn is_let_by_domain(settings: &Settings, address: &Address) -> bool {
    of_client(settings, &RelatedOrigins::none(), address).is_none()
}

/// Whether browsers let a page at an address have the RP ID.
#[must_use]
pub fn is_let(site: &Site, address: &Address) -> bool {
    of_client(&site.settings, &site.related_origins, address).is_none()
}

fn row_of_client(error: &ClientError, rp_id: &str, address: &Address) -> Option<u8> {
    let origin = &address.origin;
    Some(match &error.reason {
        ClientRefusal::InsecureContext { .. } => 10,
        ClientRefusal::RpId(RpIdRefusal::OpaqueOrigin) => 28,
        ClientRefusal::RpId(RpIdRefusal::IpAddress(_)) if origin.is_loopback() => 12,
        ClientRefusal::RpId(RpIdRefusal::IpAddress(_)) => 11,
        ClientRefusal::RpId(RpIdRefusal::PublicSuffix { .. }) if rp_id.contains('.') => 20,
        ClientRefusal::RpId(RpIdRefusal::PublicSuffix { .. }) => {
            if psl::suffix(rp_id.as_bytes()).is_some_and(|suffix| suffix.is_known()) { 20 } else { 21 }
        }
        ClientRefusal::RpId(RpIdRefusal::NotADomain(_)) if rp_id.contains("://") => 14,
        ClientRefusal::RpId(RpIdRefusal::NotADomain(_)) if rp_id.contains(':') => 13,
        ClientRefusal::RpId(RpIdRefusal::NotADomain(_)) => 14,
        ClientRefusal::RpId(RpIdRefusal::Unrelated { .. }) => 34,
        ClientRefusal::RpId(RpIdRefusal::Foreign { .. }) if address.is_passed_to(rp_id) => 5,
        ClientRefusal::RpId(RpIdRefusal::Foreign { domain, .. }) => return row_of_foreign(rp_id, domain),
        _ => return None,
    })
}

fn row_of_foreign(rp_id: &str, domain: &str) -> Option<u8> {
    let is_below = |name: &str, parent: &str| name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    if rp_id.starts_with('.') || rp_id.ends_with('.') || rp_id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(22)
    } else if !rp_id.is_ascii() {
        Some(23)
    } else if rp_id.strip_prefix("www.") == Some(domain) {
        Some(19)
    } else if is_below(rp_id, domain) {
        Some(15)
    } else if domain.ends_with(rp_id) {
        Some(24)
    } else if psl::domain_str(rp_id).is_some_and(|registrable| psl::domain_str(domain) == Some(registrable)) {
        Some(18)
    } else {
        None
    }
}

fn row_of_settings(error: &SettingsError) -> Option<u8> {
    Some(match error {
        SettingsError::RpId { problem, .. } => match problem {
            RpIdProblem::Scheme | RpIdProblem::Path | RpIdProblem::NotADomain => 14,
            RpIdProblem::Port => 13,
            RpIdProblem::IpAddress => 11,
            RpIdProblem::UpperCase | RpIdProblem::OuterDot => 22,
            RpIdProblem::NotAscii => 23,
            RpIdProblem::Empty => return None,
        },
        SettingsError::Origin { problem, .. } => match problem {
            OriginProblem::NoScheme => 8,
            OriginProblem::Several => 9,
            OriginProblem::InsecureScheme => 10,
            OriginProblem::IpAddress => 11,
            OriginProblem::Path { .. } => 7,
            OriginProblem::HostAboveRpId { .. } => 15,
            OriginProblem::NotAsBrowsersWriteIt { .. } => 6,
            _ => return None,
        },
        _ => return None,
    })
}

fn row_of_origin(settings: &Settings, address: &Address) -> Option<u8> {
    let (scheme, host, port) = match &address.origin {
        Origin::Tuple { scheme, host, port } => (scheme, host, port),
        Origin::App(origin) if origin.starts_with("android:") => return Some(37),
        Origin::App(_) => return Some(38),
        Origin::Opaque => return Some(28),
    };
    let expected: Vec<Origin> = settings.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let is_of = |wanted: &Origin, same_host: bool, same_scheme: bool| {
        let Origin::Tuple { scheme: other_scheme, host: other_host, .. } = wanted else { return false };
        (other_host == host) == same_host && (other_scheme == scheme) == same_scheme
    };
    if settings.origins.is_empty() {
        // What a proxy passes on decides, if it changes anything.
        return match &address.passed {
            Passed { over_tls: Some(false), .. } if scheme == "https" => Some(4),
            Passed { host: Some(_), .. } => Some(3),
            _ => None,
        };
    }
    if expected.iter().any(|wanted| is_of(wanted, true, false)) {
        return Some(4);
    }
    if expected.iter().any(|wanted| is_of(wanted, true, true)) {
        return Some(if *port == 443 { 2 } else { 1 });
    }
    let host = host.to_string();
    let is_www = |wanted: &Origin| {
        wanted.host().is_some_and(|wanted| {
            host.strip_prefix("www.") == Some(wanted.as_str()) || wanted.strip_prefix("www.") == Some(host.as_str())
        })
    };
    Some(if expected.iter().any(is_www) { 19 } else { 17 })
}
