//! Who the relying party says it is, and the mistakes people make when they say it.
//!
//! The checks come before webauthn-rs sees anything: it answers most of these mistakes with one word, `Configuration`,
//! and accepts some that no browser can ever match. Public suffixes (`com`, `github.io`) are not looked at here.

use std::time::Duration;

use url::{Host, Url};

/// How long a challenge can be answered unless the settings say otherwise: what Proxmox VE gives its users.
pub const DEFAULT_CHALLENGE_LIFETIME: Duration = Duration::from_secs(120);

/// The longest challenge lifetime that is accepted: the upper end of what WebAuthn Level 3 recommends for a timeout is
/// ten minutes.
pub const MAX_CHALLENGE_LIFETIME: Duration = Duration::from_secs(600);

const MAX_NAME_BYTES: usize = 64;

/// RFC 1035, section 2.3.4, without the length byte in front and the root's behind.
const MAX_DOMAIN_BYTES: usize = 253;

/// What a relying party is: its identity and its one policy.
///
/// Nothing is checked until [`RelyingParty::new`](crate::RelyingParty::new).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The RP ID (WebAuthn Level 3, §4): a domain, such as `pve.example.com`. Credentials are bound to it for good.
    pub rp_id: String,
    /// The origins that ceremonies may come from, each as a browser writes it: scheme, host, and port unless it is the
    /// default.
    pub origins: Vec<String>,
    /// The name an authenticator or a browser may show, 1 to 64 bytes.
    pub name: String,
    /// How long a challenge can be answered: 1 s to [`MAX_CHALLENGE_LIFETIME`]. Browsers are told the same as
    /// `timeout`.
    pub challenge_lifetime: Duration,
}

impl Settings {
    /// Settings with one origin, the RP ID as the name, and [`DEFAULT_CHALLENGE_LIFETIME`].
    pub fn new(rp_id: impl Into<String>, origin: impl Into<String>) -> Self {
        let rp_id = rp_id.into();
        Self {
            name: rp_id.clone(),
            rp_id,
            origins: vec![origin.into()],
            challenge_lifetime: DEFAULT_CHALLENGE_LIFETIME,
        }
    }

    /// The origins as URLs, once everything in the settings has been found sound.
    pub(crate) fn check(&self) -> Result<Vec<Url>, SettingsError> {
        check_rp_id(&self.rp_id).map_err(|problem| SettingsError::RpId { rp_id: self.rp_id.clone(), problem })?;
        if self.origins.is_empty() {
            return Err(SettingsError::NoOrigin);
        }
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || self.name.chars().any(char::is_control) {
            return Err(SettingsError::Name { name: self.name.clone() });
        }
        if self.challenge_lifetime < Duration::from_secs(1) || self.challenge_lifetime > MAX_CHALLENGE_LIFETIME {
            return Err(SettingsError::ChallengeLifetime { found: self.challenge_lifetime });
        }
        self.origins
            .iter()
            .map(|origin| {
                check_origin(origin, &self.rp_id)
                    .map_err(|problem| SettingsError::Origin { origin: origin.clone(), problem })
            })
            .collect()
    }
}

/// Why settings cannot work. All of these are mistakes of whoever wrote the settings, except
/// [`SettingsError::Verifier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The RP ID is not a domain as browsers compare them.
    #[error("the RP ID {rp_id:?} cannot work: {problem}")]
    RpId {
        /// The RP ID as it was written.
        rp_id: String,
        /// What is wrong with it.
        problem: RpIdProblem,
    },
    /// No origin is allowed, so no ceremony could succeed.
    #[error("no origin is given: add the address that users open, such as https://pve.example.com:8006")]
    NoOrigin,
    /// An origin is not one that a browser sends, or one that cannot use the RP ID.
    #[error("the origin {origin:?} cannot work: {problem}")]
    Origin {
        /// The origin as it was written.
        origin: String,
        /// What is wrong with it.
        problem: OriginProblem,
    },
    /// The name is empty, longer than 64 bytes, or has control characters.
    #[error("the name {name:?} cannot be shown: it has to be 1 to 64 bytes without control characters")]
    Name {
        /// The name as it was written.
        name: String,
    },
    /// The challenge lifetime is out of bounds.
    #[error("a challenge lifetime of {found:?} is out of bounds: it has to be 1 to 600 seconds")]
    ChallengeLifetime {
        /// The lifetime as it was given.
        found: Duration,
    },
    /// The settings passed every check here, yet the verifier does not take them: a gap in the checks, so our bug.
    #[error(
        "the settings were found sound but the verifier refuses them ({reason}): this is a bug in keyrig, please report it"
    )]
    Verifier {
        /// The verifier's own words.
        reason: String,
    },
}

/// What is wrong with an RP ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RpIdProblem {
    /// It is empty.
    #[error("it is empty; write the domain that users open, such as pve.example.com")]
    Empty,
    /// It starts with `https://` or another scheme.
    #[error("it has a scheme; write the domain alone, without https://")]
    Scheme,
    /// It ends in `:8006` or another port.
    #[error("it has a port; an RP ID never has one: write the port in the origin only")]
    Port,
    /// It has a `/`, `?` or `#`.
    #[error("it has a path; write the domain alone")]
    Path,
    /// It is an IPv4 or IPv6 address, in any notation that a browser reads as one.
    #[error("it is an IP address, and WebAuthn works with domains only; give the machine a name (localhost is one)")]
    IpAddress,
    /// It has upper-case letters.
    #[error("it has upper-case letters, which browsers compare exactly; write it in lower case")]
    UpperCase,
    /// It has characters outside ASCII.
    #[error("it has characters outside ASCII; write the domain in its xn-- form")]
    NotAscii,
    /// It starts or ends with a dot.
    #[error("it starts or ends with a dot; remove the dot")]
    OuterDot,
    /// It is not a domain for another reason: an empty label, a space, an underscore at the wrong place.
    #[error("it is not a domain; write one such as pve.example.com")]
    NotADomain,
}

/// What is wrong with an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginProblem {
    /// It does not start with `https://`.
    #[error("it has no scheme; write it as https://HOST or https://HOST:PORT")]
    NoScheme,
    /// It has a scheme other than https and http.
    #[error("its scheme is {scheme}; pages that can use WebAuthn have https, or http on localhost")]
    UnsupportedScheme {
        /// The scheme found.
        scheme: String,
    },
    /// It has plain http on a host that is not localhost.
    #[error("it is plain http, where browsers have no WebAuthn except on localhost; serve https")]
    InsecureScheme,
    /// Several origins stand in one string.
    #[error("it looks like several origins in one; give each as an entry of its own")]
    Several,
    /// It is not a URL.
    #[error("it is not a URL ({reason}); write it as https://HOST or https://HOST:PORT")]
    NotAUrl {
        /// The parser's words.
        reason: String,
    },
    /// It has a user name or a password.
    #[error("it has a user name or password before the host; remove it")]
    UserInfo,
    /// It has a path, a query or a fragment.
    #[error("it has a path, query or fragment, which an origin never has; write {should_be}")]
    Path {
        /// The origin without it.
        should_be: String,
    },
    /// It means the right thing but not in the form that browsers send: a trailing slash, upper case, a default port,
    /// Unicode.
    #[error("browsers write it differently; write {should_be}")]
    NotAsBrowsersWriteIt {
        /// The origin as browsers write it.
        should_be: String,
    },
    /// Its host is an IP address.
    #[error(
        "its host is an IP address, where browsers have no WebAuthn; open the machine by a name (localhost is one)"
    )]
    IpAddress,
    /// Its host is a parent of the RP ID.
    #[error(
        "its host {host} is a parent of the RP ID {rp_id}; an RP ID is the host itself or a parent of it, so {host} would do"
    )]
    HostAboveRpId {
        /// The origin's host.
        host: String,
        /// The RP ID.
        rp_id: String,
    },
    /// Its host is neither the RP ID nor a subdomain of it.
    #[error("its host {host} is neither the RP ID {rp_id} nor a subdomain of it; make one of the two match the other")]
    OutsideRpId {
        /// The origin's host.
        host: String,
        /// The RP ID.
        rp_id: String,
    },
}

/// A valid domain string in the sense of WebAuthn Level 3, §4 "RP ID", in the one form that all browsers take.
fn check_rp_id(rp_id: &str) -> Result<(), RpIdProblem> {
    let has_port = rp_id.rsplit_once(':').is_some_and(|(_, port)| port.chars().all(|digit| digit.is_ascii_digit()));
    let is_ip = |text: &str| {
        text.parse::<std::net::Ipv6Addr>().is_ok() || matches!(Host::parse(text), Ok(Host::Ipv4(_) | Host::Ipv6(_)))
    };
    if rp_id.is_empty() {
        Err(RpIdProblem::Empty)
    } else if rp_id.contains("://") {
        Err(RpIdProblem::Scheme)
    } else if is_ip(rp_id) {
        Err(RpIdProblem::IpAddress)
    } else if rp_id.contains(['/', '?', '#']) {
        Err(RpIdProblem::Path)
    } else if has_port {
        Err(RpIdProblem::Port)
    } else if !rp_id.is_ascii() {
        Err(RpIdProblem::NotAscii)
    } else if rp_id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Err(RpIdProblem::UpperCase)
    } else if rp_id.starts_with('.') || rp_id.ends_with('.') {
        Err(RpIdProblem::OuterDot)
    } else if rp_id.len() > MAX_DOMAIN_BYTES || !rp_id.split('.').all(is_label) || Host::parse(rp_id).is_err() {
        Err(RpIdProblem::NotADomain)
    } else {
        Ok(())
    }
}

/// A label of RFC 1123, section 2.1, and the underscore that intranets use against it.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// An origin as a browser serialises it (HTML, "ASCII serialisation of an origin") whose host may use the RP ID.
fn check_origin(origin: &str, rp_id: &str) -> Result<Url, OriginProblem> {
    if origin.contains([',', ';', ' ']) {
        return Err(OriginProblem::Several);
    }
    if !origin.contains("://") {
        return Err(match origin.split_once(':') {
            Some((scheme @ ("android" | "ios"), _)) => OriginProblem::UnsupportedScheme { scheme: scheme.to_owned() },
            _ => OriginProblem::NoScheme,
        });
    }
    let url = Url::parse(origin).map_err(|error| OriginProblem::NotAUrl { reason: error.to_string() })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(OriginProblem::UnsupportedScheme { scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OriginProblem::UserInfo);
    }
    let should_be = url.origin().ascii_serialization();
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(OriginProblem::Path { should_be });
    }
    let Some(Host::Domain(host)) = url.host() else {
        return Err(OriginProblem::IpAddress);
    };
    if should_be != origin {
        return Err(OriginProblem::NotAsBrowsersWriteIt { should_be });
    }
    if url.scheme() == "http" && host != "localhost" && !host.ends_with(".localhost") {
        return Err(OriginProblem::InsecureScheme);
    }
    let names = || (host.to_owned(), rp_id.to_owned());
    if host == rp_id || is_below(host, rp_id) {
        Ok(url)
    } else if is_below(rp_id, host) {
        let (host, rp_id) = names();
        Err(OriginProblem::HostAboveRpId { host, rp_id })
    } else {
        let (host, rp_id) = names();
        Err(OriginProblem::OutsideRpId { host, rp_id })
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
