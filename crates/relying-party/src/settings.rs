//! Who the relying party says it is, and the mistakes people make when they say it.
//!
//! The checks come before any verifier sees them: webauthn-rs answers most of these mistakes with one word,
//! `Configuration`, and accepts some that no browser can ever match. A public suffix (`com`, `github.io`) is warned of only.

mod config_file;
mod datacenter_cfg;
mod error;
mod limits;

use std::collections::BTreeSet;
use std::sync::Arc;

use keyrig_ctap::Aaguid;
use keyrig_verifier::TrustedMetadata;
use thiserror::Error;
use url::{Host, Url};

pub use self::config_file::{MAX_CONFIG_BYTES, Written};
pub use self::error::{ConfigError, ConfigProblem};
use crate::limits::Limits;
use crate::policy::Policy;

const MAX_NAME_BYTES: usize = 64;

/// How many names before public suffixes browsers look at among related origins (WebAuthn Level 3, §5.11.1).
const MAX_RELATED_NAMES: usize = 5;

/// RFC 1035, section 2.3.4, without the length byte in front and the root's behind.
const MAX_DOMAIN_BYTES: usize = 253;

/// What a relying party is, and how it behaves.
///
/// Nothing is checked until [`RelyingParty::new`](crate::RelyingParty::new), except in settings that were read from a
/// file: these are sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The RP ID (WebAuthn Level 3, §4): a domain, such as `pve.example.com`. Credentials are bound to it for good.
    pub rp_id: String,
    /// The origins that ceremonies may come from, each as a browser writes it: scheme, host, and port unless it is the
    /// default. If there is none, it is that of the request: [`Settings::origin_of_host`].
    pub origins: Vec<String>,
    /// Origins that are not pages: `android:apk-key-hash:HASH` of an app, `chrome-extension://ID` of an extension. They
    /// are compared to the letter.
    pub app_origins: Vec<String>,
    /// Origins outside of the RP ID that may use it: each https, as a browser writes it. They are served as
    /// `/.well-known/webauthn`, where browsers look for them (WebAuthn Level 3, §5.11), and accepted to the letter.
    pub related_origins: Vec<String>,
    /// The origins of pages in whose frames ceremonies may run, each as a browser writes it. If there is none, the policy's
    /// [`framed_login`](Policy::framed_login) decides over logins, and no registration may.
    pub top_origins: Vec<String>,
    /// The AppID under which keys were registered by U2F, before the site had WebAuthn: an https address under the RP ID's registrable
    /// domain. Logins ask keys for credentials of it too, and keys that have one are not registered again (WebAuthn Level 3, §10.1.1 and
    /// §10.1.2). The policy in which webauthn-rs decides refuses what is of it.
    pub app_id: Option<String>,
    /// Whether the hosts below those of `origins` are allowed too, with the same scheme and port.
    pub allow_subdomains: bool,
    /// The name an authenticator or a browser may show, 1 to 64 bytes.
    pub name: String,
    /// Whether users can log in by a passkey alone, without a name and a password.
    pub passkey_login: bool,
    /// Which attestation a registration must have.
    pub attestation: Attestation,
    /// Whether browsers are asked for enterprise attestation, which names the one key; it needs [`Attestation`] of some kind.
    pub enterprise_attestation: bool,
    /// How it behaves where relying parties differ.
    pub policy: Policy,
    /// How much it takes on, and for how long things are kept.
    pub limits: Limits,
    /// What was read otherwise than it is written in the file, for people.
    pub notes: Vec<String>,
}

/// Which attestation a registration must have. A statement that does not verify is never accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attestation {
    /// None: browsers are not asked for any.
    #[default]
    None,
    /// Some, from anybody: self attestation will do.
    Any,
    /// A certificate that leads to one of these roots.
    Root {
        /// Certificates, DER.
        roots: Vec<Vec<u8>>,
    },
    /// One of these models, proven by a certificate that leads to one of these roots.
    Aaguid {
        /// The models.
        aaguids: Vec<Aaguid>,
        /// Certificates, DER.
        roots: Vec<Vec<u8>>,
    },
    /// A certificate of a model that this metadata has, and has nothing against.
    Metadata {
        /// The metadata, whose signature was verified.
        metadata: Arc<TrustedMetadata>,
    },
}

impl Settings {
    /// Settings with one origin, the RP ID as the name, and the default policy.
    pub fn new(rp_id: impl Into<String>, origin: impl Into<String>) -> Self {
        let rp_id = rp_id.into();
        Self {
            name: rp_id.clone(),
            rp_id,
            origins: vec![origin.into()],
            app_origins: Vec::new(),
            related_origins: Vec::new(),
            top_origins: Vec::new(),
            app_id: None,
            allow_subdomains: false,
            passkey_login: false,
            attestation: Attestation::None,
            enterprise_attestation: false,
            policy: Policy::strict(),
            limits: Limits::default(),
            notes: Vec::new(),
        }
    }

    /// What will not work as somebody may have meant it, though nothing here refuses it: to be said at the start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.notes.clone();
        if self.name.contains("://") {
            warnings.push(format!("the name {:?} is what users are shown, not an origin", self.name));
        }
        warnings.extend(self.warning_of_public_suffix());
        let hosts =
            self.related_origins.iter().filter_map(|origin| Some(Url::parse(origin).ok()?.host_str()?.to_owned()));
        let names: BTreeSet<_> =
            hosts.filter_map(|host| psl::domain_str(&host)?.split('.').next().map(str::to_owned)).collect();
        if let Some(app_id) = self.app_id.as_ref().filter(|_| !self.related_origins.is_empty()) {
            warnings.push(format!(
                "pages at related origins may not use the AppID {app_id}, and it is sent to all: browsers refuse their logins"
            ));
        }
        if names.len() > MAX_RELATED_NAMES {
            warnings.push(format!(
                "the related origins have {} names ({}): browsers look at the first {MAX_RELATED_NAMES} and pass over the rest",
                names.len(),
                names.into_iter().collect::<Vec<_>>().join(", ")
            ));
        }
        warnings
    }

    /// The one of [`Self::warnings`] that says that the RP ID is a public suffix.
    #[must_use]
    pub fn warning_of_public_suffix(&self) -> Option<String> {
        let rp_id = &self.rp_id;
        let is_known = psl::suffix(rp_id.as_bytes()).is_some_and(|suffix| suffix.is_known());
        (is_known && psl::suffix_str(rp_id) == Some(rp_id)).then(|| {
            format!(
                "the RP ID {rp_id} is a public suffix, below which anybody can have a domain: browsers refuse it to pages \
                 there; use a domain below it"
            )
        })
    }

    /// What is served as `/.well-known/webauthn` (WebAuthn Level 3, §5.11): JSON, as a page at a related origin finds it; `None`
    /// if there is no such origin.
    #[must_use]
    pub fn related_origins_file(&self) -> Option<String> {
        (!self.related_origins.is_empty()).then(|| serde_json::json!({ "origins": self.related_origins }).to_string())
    }

    /// The origins as URLs, once everything in the settings has been found sound.
    pub(crate) fn check(&self) -> Result<Vec<Url>, SettingsError> {
        check_rp_id(&self.rp_id).map_err(|problem| SettingsError::RpId { rp_id: self.rp_id.clone(), problem })?;
        check_name(&self.name)?;
        if let Some(app_id) = &self.app_id {
            check_app_id(app_id, &self.rp_id)
                .map_err(|problem| SettingsError::AppId { app_id: app_id.clone(), problem })?;
        }
        for origin in &self.app_origins {
            check_app_origin(origin).map_err(|problem| SettingsError::Origin { origin: origin.clone(), problem })?;
        }
        for origin in &self.related_origins {
            check_related_origin(origin, &self.rp_id)
                .map_err(|problem| SettingsError::Origin { origin: origin.clone(), problem })?;
        }
        for origin in &self.top_origins {
            check_web_origin(origin)
                .map(drop)
                .map_err(|problem| SettingsError::Origin { origin: origin.clone(), problem })?;
        }
        self.origins
            .iter()
            .map(|origin| {
                check_origin(origin, &self.rp_id)
                    .map_err(|problem| SettingsError::Origin { origin: origin.clone(), problem })
            })
            .collect()
    }

    /// The origin of a page that was asked for by this `Host` header: what is allowed if the settings name none.
    ///
    /// `over_tls` is whether the request came over TLS, to us or to the proxy before us. A client that sends another `Host`
    /// wins nothing: the host has to be the RP ID or below it.
    ///
    /// # Errors
    /// When no page of that host could use the RP ID.
    pub fn origin_of_host(&self, host: &str, over_tls: bool) -> Result<String, SettingsError> {
        let scheme = if over_tls { "https" } else { "http" };
        let origin = format!("{scheme}://{host}");
        let in_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let written = match Url::parse(&origin) {
            // As the browser writes it that sent the header.
            Ok(url) if host.bytes().all(in_a_host) => url.origin().ascii_serialization(),
            _ => origin.clone(),
        };
        match check_origin(&written, &self.rp_id) {
            Ok(_) => Ok(written),
            Err(problem) => Err(SettingsError::Origin { origin, problem }),
        }
    }
}

/// Why settings cannot work. All of these are mistakes in the settings, except
/// [`SettingsError::Verifier`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The RP ID is not a domain as browsers compare them.
    #[error("the RP ID {rp_id:?} cannot work: {problem}")]
    RpId {
        /// The RP ID as it was written.
        rp_id: String,
        /// What is wrong with it.
        problem: RpIdProblem,
    },
    /// An origin is not one that a browser sends, or one that cannot use the RP ID.
    #[error("the origin {origin:?} cannot work: {problem}")]
    Origin {
        /// The origin as it was written.
        origin: String,
        /// What is wrong with it.
        problem: OriginProblem,
    },
    /// The AppID is not one that browsers let the site's pages use.
    #[error("the AppID {app_id:?} cannot work: {problem}")]
    AppId {
        /// The AppID as it was written.
        app_id: String,
        /// What is wrong with it.
        problem: AppIdProblem,
    },
    /// The name is empty, longer than 64 bytes, or has control characters.
    #[error("the name {name:?} cannot be shown: it must be 1 to 64 bytes without control characters")]
    Name {
        /// The name as it was written.
        name: String,
    },
    /// The settings passed every check here, yet the verifier does not take them: a gap in the checks, so our bug.
    #[error(
        "the verifier refuses settings that passed all checks ({reason}): this is a bug in keyrig, please report it"
    )]
    Verifier {
        /// The verifier's own words.
        reason: String,
    },
}

/// What is wrong with an RP ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
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

/// What is wrong with an AppID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppIdProblem {
    /// It is not an https address.
    #[error(
        "it is not an https address; write it as it was when keys were registered, such as https://HOST/app-id.json"
    )]
    NotHttps,
    /// Its host belongs to another site than the RP ID.
    #[error(
        "its host {host} is not of the same registrable domain as the RP ID {rp_id}: no browser lets a page use it"
    )]
    Foreign {
        /// The AppID's host.
        host: String,
        /// The RP ID.
        rp_id: String,
    },
}

/// What is wrong with an origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
    /// It looks like an app's or an extension's, and is none.
    #[error("it is neither android:apk-key-hash: with 43 characters of base64url, nor chrome-extension:// with an id")]
    NotAnAppOrigin,
    /// Several origins stand in one string.
    #[error("it looks like several origins in one; give each as an entry of its own")]
    Several,
    /// It is not a URL.
    #[error("it is not a URL ({0}); write it as https://HOST or https://HOST:PORT")]
    NotAUrl(#[source] url::ParseError),
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
    /// It is given as a related origin, and its host may use the RP ID anyway.
    #[error(
        "its host {host} may use the RP ID {rp_id} anyway; write it into origins, and into related_origins only what is elsewhere"
    )]
    WithinRpId {
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

/// An origin as a browser serialises it that may use the RP ID by being related to it.
fn check_related_origin(origin: &str, rp_id: &str) -> Result<(), OriginProblem> {
    let (url, host) = check_web_origin(origin)?;
    if url.scheme() != "https" {
        return Err(OriginProblem::InsecureScheme);
    }
    if host == rp_id || is_below(&host, rp_id) {
        return Err(OriginProblem::WithinRpId { host, rp_id: rp_id.to_owned() });
    }
    Ok(())
}

/// An origin as a browser serialises it (HTML, "ASCII serialisation of an origin") whose host may use the RP ID.
fn check_origin(origin: &str, rp_id: &str) -> Result<Url, OriginProblem> {
    let (url, host) = check_web_origin(origin)?;
    if host == rp_id || is_below(&host, rp_id) {
        return Ok(url);
    }
    let rp_id = rp_id.to_owned();
    Err(if is_below(&rp_id, &host) {
        OriginProblem::HostAboveRpId { host, rp_id }
    } else {
        OriginProblem::OutsideRpId { host, rp_id }
    })
}

/// An origin as a browser serialises it, of a page that has WebAuthn, and its host.
fn check_web_origin(origin: &str) -> Result<(Url, String), OriginProblem> {
    if origin.contains([',', ';', ' ']) {
        return Err(OriginProblem::Several);
    }
    if !origin.contains("://") {
        return Err(match origin.split_once(':') {
            Some((scheme @ ("android" | "ios"), _)) => OriginProblem::UnsupportedScheme { scheme: scheme.to_owned() },
            _ => OriginProblem::NoScheme,
        });
    }
    let url = Url::parse(origin).map_err(OriginProblem::NotAUrl)?;
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
    let host = host.to_owned();
    Ok((url, host))
}

/// The origins that Android and Chromium write for apps and extensions.
fn check_app_origin(origin: &str) -> Result<(), OriginProblem> {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let hash = origin.strip_prefix("android:apk-key-hash:");
    let extension = origin.strip_prefix("chrome-extension://");
    if hash.is_some_and(|hash| hash.len() == 43 && hash.bytes().all(base64url))
        || extension.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'a'..=b'p')))
    {
        Ok(())
    } else {
        Err(OriginProblem::NotAnAppOrigin)
    }
}

/// An AppID that browsers let pages use that can use the RP ID: they fetch no list of trusted facets (WebAuthn Level 3, §10.1.1).
fn check_app_id(app_id: &str, rp_id: &str) -> Result<(), AppIdProblem> {
    let url = Url::parse(app_id).ok().filter(|url| url.scheme() == "https");
    let Some(Host::Domain(host)) = url.as_ref().and_then(Url::host) else { return Err(AppIdProblem::NotHttps) };
    if host == rp_id || psl::domain_str(host).is_some_and(|site| psl::domain_str(rp_id) == Some(site)) {
        Ok(())
    } else {
        Err(AppIdProblem::Foreign { host: host.to_owned(), rp_id: rp_id.to_owned() })
    }
}

fn check_name(name: &str) -> Result<(), SettingsError> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(SettingsError::Name { name: name.to_owned() })
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
