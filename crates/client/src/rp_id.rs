//! Which RP IDs a page may claim: "is a registrable domain suffix of or is equal to" (HTML §7.1.1.2; WebAuthn Level 3
//! §5.1.3 step 8), as each browser decides it.
//!
//! The public suffix list is the one that the `psl` crate carries; its version is pinned, so that verdicts do not change
//! from one build to the next. Chromium departs from HTML in three ways:
//! - a single label is not a parent: `https://pve.lan` may not claim `lan`, although it is in no list;
//! - a leading dot is allowed: `.example.com` passes where `example.com` does, as another RP ID with another hash;
//! - nothing is normalised: an RP ID in upper case or with a trailing dot is another text, hence foreign.
//!
//! Firefox does so but for the leading dot, which it refuses. WebKit compares in lower case, refuses a leading dot, and knows
//! public suffixes by its list alone, so that `lan` is none. The port never matters.

use thiserror::Error;

use crate::browser::Browser;
use crate::origin::Origin;
use crate::related_origins::{self, Fetched, Unrelated};

/// Why a page may not use WebAuthn with an RP ID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpIdRefusal {
    /// The page's origin is opaque.
    #[error(
        "the page has an opaque origin (a sandboxed frame, a file), which has no RP ID: open it from an https address"
    )]
    OpaqueOrigin,
    /// The page's address is an IP address.
    #[error("the page's address {0} is an IP address, and an RP ID is a domain: open the page by a name")]
    IpAddress(String),
    /// The RP ID contains what no domain does: a port, a scheme, a space, or nothing at all.
    #[error("the RP ID {0:?} is not a domain: write it without scheme, port and path")]
    NotADomain(String),
    /// The RP ID is a public suffix, or a single label, above the page's domain: everybody could claim it.
    #[error("the RP ID {rp_id:?} is a public suffix or a single label above {domain}: no single site may claim it")]
    PublicSuffix {
        /// The RP ID that was claimed.
        rp_id: String,
        /// The page's domain.
        domain: String,
    },
    /// The RP ID is neither the page's domain nor above it.
    #[error("the RP ID {rp_id:?} is neither {domain} nor a domain above it: {}", of_foreign(.domain))]
    Foreign {
        /// The RP ID that was claimed.
        rp_id: String,
        /// The page's domain.
        domain: String,
    },
    /// The same, and the RP ID's file of related origins does not help.
    #[error("the RP ID {rp_id:?} is neither {domain} nor a domain above it, and not related: {unrelated}")]
    Unrelated {
        /// The RP ID that was claimed.
        rp_id: String,
        /// The page's domain.
        domain: String,
        /// Why the file does not help.
        unrelated: Box<Unrelated>,
    },
}

fn of_foreign(domain: &str) -> String {
    if domain.ends_with('.') {
        return "open the page without the dot at the end of its name".to_owned();
    }
    format!("set the RP ID to {domain} or to a domain above it that all addresses of the site share")
}

/// The RP ID of a request: what the page claims, or the page's own domain if it claims nothing.
///
/// # Errors
/// [`RpIdRefusal`], if a browser would not let the page have it.
pub fn determine(browser: Browser, origin: &Origin, claimed: Option<&str>) -> Result<String, RpIdRefusal> {
    let domain = match origin {
        Origin::Opaque => return Err(RpIdRefusal::OpaqueOrigin),
        Origin::App(_) => return claimed.map(str::to_owned).ok_or_else(|| RpIdRefusal::NotADomain(String::new())),
        Origin::Tuple { host, .. } => origin.domain().ok_or_else(|| RpIdRefusal::IpAddress(host.to_string()))?,
    };
    let Some(claimed) = claimed else {
        return Ok(domain.to_owned());
    };
    let may_be_claimed = match browser {
        Browser::Chromium => claimed == domain || is_registrable_suffix(claimed, domain),
        Browser::Firefox => claimed == domain || !claimed.starts_with('.') && is_registrable_suffix(claimed, domain),
        Browser::Safari => is_suffix_in_webkit(&claimed.to_ascii_lowercase(), domain),
    };
    if may_be_claimed {
        return Ok(claimed.to_owned());
    }
    let (rp_id, domain) = (claimed.to_owned(), domain.to_owned());
    Err(if !may_be_a_domain(claimed) {
        RpIdRefusal::NotADomain(rp_id)
    } else if is_above(claimed, &domain) && !is_registrable_suffix(claimed, &domain) {
        RpIdRefusal::PublicSuffix { rp_id, domain }
    } else {
        RpIdRefusal::Foreign { rp_id, domain }
    })
}

/// The same, where a page that may not claim an RP ID by its own domain may be related to it: `fetch` says what comes of
/// fetching an address. Nothing is fetched for what cannot be a domain.
///
/// # Errors
/// [`RpIdRefusal`], if a browser would not let the page have it.
pub fn determine_related(
    browser: Browser,
    origin: &Origin,
    claimed: Option<&str>,
    fetch: &dyn Fn(&str) -> Fetched,
) -> Result<String, RpIdRefusal> {
    match determine(browser, origin, claimed) {
        Err(RpIdRefusal::Foreign { rp_id, domain } | RpIdRefusal::PublicSuffix { rp_id, domain }) => {
            match related_origins::judge(origin, &rp_id, fetch) {
                Ok(()) => Ok(rp_id),
                Err(unrelated) => Err(RpIdRefusal::Unrelated { rp_id, domain, unrelated: Box::new(unrelated) }),
            }
        }
        determined => determined,
    }
}

/// `SecurityOrigin::isMatchingRegistrableDomainSuffix`.
fn is_suffix_in_webkit(claimed: &str, domain: &str) -> bool {
    let is_listed = || {
        psl::suffix(claimed.as_bytes())
            .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == claimed.as_bytes())
    };
    let above = domain.strip_suffix(claimed).is_some_and(|rest| rest.ends_with('.'));
    !claimed.is_empty() && (claimed == domain || above && !is_listed())
}

fn is_registrable_suffix(claimed: &str, domain: &str) -> bool {
    is_above(claimed, domain) && has_registrable_domain(domain) && has_registrable_domain(claimed)
}

/// Whether `claimed` is `domain` or ends it at a label's boundary. A trailing dot of the page's domain counts only if the
/// claim has one too.
fn is_above(claimed: &str, domain: &str) -> bool {
    let domain = if claimed.ends_with('.') { domain } else { domain.strip_suffix('.').unwrap_or(domain) };
    let (claimed, optional_dot) = match claimed.strip_prefix('.') {
        Some(rest) => (rest, false),
        None => (claimed, true),
    };
    match domain.strip_suffix(claimed) {
        _ if claimed.is_empty() => false,
        Some("") => optional_dot,
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

/// Whether a public suffix ends the name and is not all of it. A suffix that no rule names is its last label.
fn has_registrable_domain(name: &str) -> bool {
    let name = name.trim_start_matches('.');
    psl::domain_str(name.strip_suffix('.').unwrap_or(name)).is_some()
}

fn may_be_a_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let text = text.strip_prefix('.').unwrap_or(text);
    let labels = |label: &str| !label.is_empty() && !label.contains(|c: char| c.is_ascii() && !is_label_character(c));
    text.split('.').all(labels) && text.parse::<core::net::Ipv4Addr>().is_err()
}

fn is_label_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests;
