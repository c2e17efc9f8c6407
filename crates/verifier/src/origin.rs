//! Which origins a relying party expects, and why another one is not among them (WebAuthn Level 3, §13.4.9).
//!
//! Origins are compared as browsers serialise them (HTML, "ASCII serialisation of an origin"): what is not written in
//! that form did not come from a browser, so nothing is normalised before it is compared.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

use crate::report::Text;

/// An origin that a relying party expects, and how far others may differ from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OriginRuleText", into = "OriginRuleText")]
pub struct OriginRule {
    origin: String,
    /// `None` for the origins of apps and extensions, which are compared as a whole.
    web: Option<WebOrigin>,
    subdomains: bool,
    any_port: bool,
}

/// How [`OriginRule`] is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginRuleText {
    origin: String,
    #[serde(default)]
    subdomains: bool,
    #[serde(default)]
    any_port: bool,
}

/// Why a text is not an origin that can be expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidOrigin {
    /// It is not an origin in any form.
    #[error(
        "{origin:?} is not an origin; write https://HOST or https://HOST:PORT, or an app's origin such as android:apk-key-hash:HASH"
    )]
    NotAnOrigin {
        /// The text.
        origin: String,
    },
    /// It is an origin, but browsers write it differently.
    #[error("browsers write the origin {origin:?} as {should_be}; write it like that")]
    NotAsBrowsersWriteIt {
        /// The text.
        origin: String,
        /// The serialisation of the same origin.
        should_be: String,
    },
    /// Subdomains or ports of something that has none.
    #[error("{origin:?} has no subdomains or ports that could be allowed beside it")]
    NothingBeside {
        /// The text.
        origin: String,
    },
}

impl OriginRule {
    /// Exactly this origin: of a web page, such as `https://example.com:8443`; of an app, such as
    /// `android:apk-key-hash:HASH`; or of an extension, such as `chrome-extension://ID`.
    ///
    /// # Errors
    /// If the text is not an origin, or not in the form that browsers send.
    pub fn exact(origin: impl Into<String>) -> Result<Self, InvalidOrigin> {
        let origin = origin.into();
        let web = match origin.split_once(':') {
            Some(("http" | "https", _)) => match WebOrigin::parse(&origin) {
                Ok(web) => Some(web),
                Err(Problem::NotSerialised(should_be)) => {
                    return Err(InvalidOrigin::NotAsBrowsersWriteIt { origin, should_be });
                }
                Err(Problem::NotAWebOrigin) => return Err(InvalidOrigin::NotAnOrigin { origin }),
            },
            Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() && rest.bytes().all(is_visible) => None,
            _ => return Err(InvalidOrigin::NotAnOrigin { origin }),
        };
        Ok(Self { origin, web, subdomains: false, any_port: false })
    }

    /// The same, and every subdomain of its host.
    ///
    /// # Errors
    /// If the host is not a domain.
    pub fn with_subdomains(mut self) -> Result<Self, InvalidOrigin> {
        if !self.web.as_ref().is_some_and(|web| web.is_domain) {
            return Err(InvalidOrigin::NothingBeside { origin: self.origin });
        }
        self.subdomains = true;
        Ok(self)
    }

    /// The same with every port.
    ///
    /// # Errors
    /// If it is not the origin of a web page.
    pub fn with_any_port(mut self) -> Result<Self, InvalidOrigin> {
        if self.web.is_none() {
            return Err(InvalidOrigin::NothingBeside { origin: self.origin });
        }
        self.any_port = true;
        Ok(self)
    }

    /// The origin itself.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether subdomains are allowed.
    #[must_use]
    pub fn allows_subdomains(&self) -> bool {
        self.subdomains
    }

    /// Whether every port is.
    #[must_use]
    pub fn allows_any_port(&self) -> bool {
        self.any_port
    }

    /// Whether the rule allows an origin.
    #[must_use]
    pub fn matches(&self, found: &str) -> bool {
        if found == self.origin {
            return true;
        }
        let Some(web) = self.web.as_ref().filter(|_| self.subdomains || self.any_port) else { return false };
        let Ok(found) = WebOrigin::parse(found) else { return false };
        found.scheme == web.scheme
            && (self.any_port || found.port == web.port)
            && (found.host == web.host || (self.subdomains && found.is_below(web)))
    }
}

impl TryFrom<OriginRuleText> for OriginRule {
    type Error = InvalidOrigin;

    fn try_from(text: OriginRuleText) -> Result<Self, InvalidOrigin> {
        let mut rule = Self::exact(text.origin)?;
        if text.subdomains {
            rule = rule.with_subdomains()?;
        }
        if text.any_port {
            rule = rule.with_any_port()?;
        }
        Ok(rule)
    }
}

impl From<OriginRule> for OriginRuleText {
    fn from(rule: OriginRule) -> Self {
        Self { origin: rule.origin, subdomains: rule.subdomains, any_port: rule.any_port }
    }
}

impl std::fmt::Display for OriginRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)?;
        match (self.subdomains, self.any_port) {
            (true, true) => f.write_str(" with subdomains and any port"),
            (true, false) => f.write_str(" with subdomains"),
            (false, true) => f.write_str(" with any port"),
            (false, false) => Ok(()),
        }
    }
}

/// Why no rule allows an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginMismatch {
    /// What is expected, for people.
    pub expected: Text,
    /// How the origin differs from that, for people.
    pub explanation: Text,
}

/// Whether one of the rules allows the origin that a client states: what [`Check::Origin`](crate::Check::Origin) decides by.
///
/// # Errors
/// [`OriginMismatch`], if none does.
pub fn judge_origin(found: &str, rules: &[OriginRule]) -> Result<(), OriginMismatch> {
    if rules.iter().any(|rule| rule.matches(found)) {
        return Ok(());
    }
    Err(OriginMismatch { expected: describe(rules), explanation: explain(found, rules) })
}

/// What is expected, as a report says it.
pub(crate) fn describe(rules: &[OriginRule]) -> Text {
    match rules {
        [] => "no origin at all".into(),
        [rule] if !rule.subdomains && !rule.any_port => rule.origin.clone().into(),
        rules => rules.iter().map(OriginRule::to_string).collect::<Vec<_>>().join(", or ").into(),
    }
}

/// How an origin that no rule allows differs from what is expected.
pub(crate) fn explain(found: &str, rules: &[OriginRule]) -> Text {
    if found == "null" {
        return "an opaque origin: the page is in a sandboxed frame, or was loaded from data: or a file".into();
    }
    let found = match WebOrigin::parse(found) {
        Ok(found) => found,
        Err(Problem::NotSerialised(should_be)) => {
            return format!("no browser sends an origin in this form; it would be {should_be}").into();
        }
        Err(Problem::NotAWebOrigin) => {
            return "not the origin of a web page; an app or an extension has to be allowed by its own origin".into();
        }
    };
    let nearest = rules.iter().filter_map(|rule| rule.web.as_ref()).max_by_key(|web| found.likeness(web));
    nearest.map_or_else(|| "a web page, where only apps or extensions are allowed".into(), |web| found.compared_to(web))
}

/// The serialisation of a web origin that is written in another form; `None` if it is in that form, or is none.
pub(crate) fn serialised(found: &str) -> Option<String> {
    match WebOrigin::parse(found) {
        Err(Problem::NotSerialised(should_be)) => Some(should_be),
        _ => None,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct WebOrigin {
    scheme: String,
    host: String,
    is_domain: bool,
    port: Option<u16>,
}

enum Problem {
    NotAWebOrigin,
    /// It means an origin, whose serialisation this is.
    NotSerialised(String),
}

impl WebOrigin {
    /// An origin in the one form that browsers send.
    fn parse(text: &str) -> Result<Self, Problem> {
        let url = Url::parse(text).map_err(|_| Problem::NotAWebOrigin)?;
        let (true, Some(host)) = (matches!(url.scheme(), "http" | "https"), url.host()) else {
            return Err(Problem::NotAWebOrigin);
        };
        let serialised = url.origin().ascii_serialization();
        if serialised != text {
            return Err(Problem::NotSerialised(serialised));
        }
        Ok(Self {
            scheme: url.scheme().to_owned(),
            is_domain: matches!(host, Host::Domain(_)),
            host: host.to_string(),
            port: url.port_or_known_default(),
        })
    }

    /// The label boundary is what keeps `evil-example.com` out of `example.com`.
    fn is_below(&self, parent: &Self) -> bool {
        self.is_domain && self.host.strip_suffix(&parent.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    fn likeness(&self, other: &Self) -> (bool, bool, bool, bool) {
        let related = self.is_below(other) || other.is_below(self);
        (self.host == other.host, related, self.port == other.port, self.scheme == other.scheme)
    }

    fn compared_to(&self, expected: &Self) -> Text {
        let port = |origin: &Self| origin.port.map_or_else(String::new, |port| port.to_string());
        if self.host == expected.host {
            if self.scheme != expected.scheme {
                let behind =
                    if self.scheme == "https" { "; if a proxy ends TLS, expect https behind it too" } else { "" };
                return format!("the scheme is {} instead of {}{behind}", self.scheme, expected.scheme).into();
            }
            return format!("the port is {} instead of {}; the port is part of an origin", port(self), port(expected))
                .into();
        }
        if self.host.strip_suffix('.') == Some(&expected.host) {
            return "the host has a dot at the end, which makes it another host".into();
        }
        if self.is_below(expected) {
            return format!(
                "{} is a subdomain of {}, and subdomains are not allowed or differ in more",
                self.host, expected.host
            )
            .into();
        }
        if expected.is_below(self) {
            return format!("{} is above {}", self.host, expected.host).into();
        }
        if self.host.ends_with(&expected.host) {
            return format!("{} only ends like {}: it is another domain", self.host, expected.host).into();
        }
        format!("{} is another host than {}", self.host, expected.host).into()
    }
}
