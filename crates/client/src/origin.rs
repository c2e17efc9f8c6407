//! Where a page is: its origin (HTML, "Origin"), and whether a browser gives such a page WebAuthn at all.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;
use url::{Host, Url};

/// An origin: scheme, host and port, or an opaque one (HTML §7.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Of a page with an address.
    Tuple {
        /// The scheme, lower case, such as `https`.
        scheme: String,
        /// The host, normalised: lower case, `xn--` for what is not ASCII.
        host: Host,
        /// The port, also if it is the scheme's default one.
        port: u16,
    },
    /// Of an app or of an extension's page, as they are written: `android:apk-key-hash:…`, `chrome-extension://…`. Which RP IDs it may
    /// claim the platform decides, by what the site's asset links or the extension's permissions say: here it may claim any.
    App(String),
    /// Of a sandboxed frame, a `data:` or `file:` address, and whatever else serialises as `null`.
    Opaque,
}

/// A text is not a URL, so no page can have it as its address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a URL that a page could have: {cause}")]
pub struct InvalidUrl {
    /// The text.
    pub text: String,
    /// Why it is none.
    pub cause: UrlMistake,
}

/// What is wrong with a text that should be a page's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlMistake {
    /// It has no scheme, or a host's name stands where one belongs.
    #[error("it has no scheme: write {meant}")]
    NoScheme {
        /// The same with one.
        meant: String,
    },
    /// It is not a URL.
    #[error(transparent)]
    Url(#[from] url::ParseError),
}

impl Origin {
    /// The host as text, if there is one.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Tuple { host, .. } => Some(host.to_string()),
            Self::App(_) | Self::Opaque => None,
        }
    }

    /// The effective domain, if it is a domain: an opaque origin has none, and an IP address is none (HTML §7.1.1;
    /// WebAuthn Level 3 §5.1.3 step 7).
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::Tuple { host: Host::Domain(domain), .. } => Some(domain),
            _ => None,
        }
    }

    /// Whether the host is a loopback address, or `localhost` or a name under it, which browsers take for one.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::App(_) | Self::Opaque => false,
            Self::Tuple { host, .. } => match host {
                Host::Ipv4(address) => address.is_loopback(),
                Host::Ipv6(address) => address.is_loopback(),
                Host::Domain(domain) => {
                    let domain = domain.strip_suffix('.').unwrap_or(domain);
                    domain == "localhost" || domain.ends_with(".localhost")
                }
            },
        }
    }

    /// Whether a page from here is in a secure context (Secure Contexts §3.1): https, or http on a loopback address,
    /// `localhost` or a name under it. Elsewhere a page has no `navigator.credentials`.
    ///
    /// An opaque origin counts as secure: it is a sandboxed frame in a secure page that can have WebAuthn refused in a
    /// way of its own.
    #[must_use]
    pub fn is_secure_context(&self) -> bool {
        match self {
            Self::App(_) | Self::Opaque => true,
            Self::Tuple { scheme, .. } => scheme == "https" || self.is_loopback(),
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidUrl;

    /// The origin of the page at an address, or of an app. Schemes other than http and https have opaque origins here; the text
    /// `null` is the serialisation of those.
    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text == "null" {
            return Ok(Self::Opaque);
        }
        if APPS
            .iter()
            .any(|app| text.strip_prefix(app).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain)))
        {
            return Ok(Self::App(text.to_owned()));
        }
        let invalid = |cause| InvalidUrl { text: text.to_owned(), cause };
        let url = match Url::parse(text) {
            Ok(url) if is_host_and_port(&url) => return Err(invalid(missing_scheme(text))),
            Err(url::ParseError::RelativeUrlWithoutBase) => return Err(invalid(missing_scheme(text))),
            parsed => parsed.map_err(|error| invalid(error.into()))?,
        };
        Ok(match url.origin() {
            url::Origin::Tuple(scheme, host, port) if matches!(scheme.as_str(), "http" | "https") => {
                Self::Tuple { scheme, host, port }
            }
            _ => Self::Opaque,
        })
    }
}

/// How the origins of apps and extensions begin.
const APPS: [&str; 2] = ["android:apk-key-hash:", "chrome-extension://"];

/// What stands in a hash in base64url and in an extension's id.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether a URL's scheme is a host's name, since its path is a port: `localhost:5077`.
fn is_host_and_port(url: &Url) -> bool {
    let port = url.path().split('/').next().unwrap_or_default();
    url.cannot_be_a_base() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn missing_scheme(text: &str) -> UrlMistake {
    let with = |scheme: &str| format!("{scheme}://{}", text.trim_start_matches('/'));
    let secure = with("http").parse().is_ok_and(|origin: Origin| origin.is_secure_context());
    let meant = with(if secure { "http" } else { "https" });
    match Url::parse(&meant) {
        Ok(_) => UrlMistake::NoScheme { meant },
        Err(error) => error.into(),
    }
}

/// The ASCII serialisation (HTML §7.1.1), which clientDataJSON carries.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque => f.write_str("null"),
            Self::App(origin) => f.write_str(origin),
            Self::Tuple { scheme, host, port } => {
                write!(f, "{scheme}://{host}")?;
                match (scheme.as_str(), port) {
                    ("http", 80) | ("https", 443) => Ok(()),
                    _ => write!(f, ":{port}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serialises_as_html_defines() {
        for (address, origin) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com/", "https://example.com"),
            ("https://example.com:443/login?next=/#top", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://EXAMPLE.com", "https://example.com"),
            ("https://user:password@example.com/", "https://example.com"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://[2001:DB8:0::1]:8006/", "https://[2001:db8::1]:8006"),
            ("https://0x7f.1/", "https://127.0.0.1"),
            ("https://example.com./", "https://example.com."),
            ("blob:https://example.com/6b2b3a18", "https://example.com"),
            ("data:text/html,hello", "null"),
            ("file:///etc/hosts", "null"),
            ("about:blank", "null"),
            ("null", "null"),
            (
                "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck",
                "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck",
            ),
            (
                "chrome-extension://nngceckbapebfimnlniiiahkandclblb",
                "chrome-extension://nngceckbapebfimnlniiiahkandclblb",
            ),
            ("chrome-extension://nngceckbapebfimnlniiiahkandclblb/page.html", "null"),
        ] {
            assert_eq!(address.parse::<Origin>().unwrap().to_string(), origin, "{address}");
        }
    }

    #[test]
    fn a_text_without_a_scheme_is_no_address() {
        for text in
            ["", "example.com", "//example.com", "https://", "https://exa mple.com", "https://example.com:99999"]
        {
            assert!(matches!(text.parse::<Origin>(), Err(InvalidUrl { .. })), "{text}");
        }
    }

    /// What looks like a scheme may be a host: nobody means an opaque origin by it.
    #[test]
    fn an_address_without_a_scheme_is_told_the_right_form() {
        for (text, meant) in [
            ("localhost:5077", "http://localhost:5077"),
            ("app.localhost:5077/login", "http://app.localhost:5077/login"),
            ("127.0.0.1:8006", "http://127.0.0.1:8006"),
            ("pve.example.com:8006", "https://pve.example.com:8006"),
            ("example.com", "https://example.com"),
            ("//example.com/a", "https://example.com/a"),
        ] {
            let expected = UrlMistake::NoScheme { meant: meant.to_owned() };
            let error = text.parse::<Origin>().unwrap_err();
            assert_eq!(error.cause, expected, "{text}");
            assert!(error.to_string().ends_with(&format!("it has no scheme: write {meant}")), "{error}");
        }
        for opaque in ["data:1234,hello", "about:blank", "tel:+1234", "null"] {
            assert_eq!(opaque.parse(), Ok(Origin::Opaque), "{opaque}");
        }
    }

    #[test]
    fn only_https_and_loopback_are_secure() {
        for (address, secure) in [
            ("https://example.com", true),
            ("https://192.0.2.1", true),
            ("http://example.com", false),
            ("http://192.168.1.10:8006", false),
            ("http://localhost", true),
            ("http://localhost:8080", true),
            ("http://localhost.", true),
            ("http://app.localhost:8080", true),
            ("http://127.0.0.1", true),
            ("http://127.1.2.3", true),
            ("http://[::1]", true),
            ("http://[::2]", false),
            ("http://notlocalhost", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(address.parse::<Origin>().unwrap().is_secure_context(), secure, "{address}");
        }
    }

    #[test]
    fn an_ip_address_is_no_domain() {
        for address in ["https://192.0.2.1", "https://[2001:db8::1]", "http://127.0.0.1", "null"] {
            assert_eq!(address.parse::<Origin>().unwrap().domain(), None, "{address}");
        }
        assert_eq!("https://EXAMPLE.com".parse::<Origin>().unwrap().domain(), Some("example.com"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_text_is_an_origin_or_an_error(text in "(https?://)?[a-zA-Z0-9.:\\[\\]/%ü\\PC-]{0,40}") {
            if let Ok(origin) = text.parse::<Origin>() {
                let again: Origin = origin.to_string().parse().unwrap();
                prop_assert_eq!(again, origin);
            }
        }
    }
}
