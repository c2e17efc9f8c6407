//! What a browser asks of a page before it asks any key: whether there is WebAuthn in it at all, whether the page may use it where
//! it is, and which RP ID it gets (WebAuthn Level 3 §5.1.3 steps 1 to 8, §5.1.4.1 steps 1 to 7, §5.10).

use core::time::Duration;

use crate::app_id;
use crate::browser::Browser;
use crate::client::{Client, Rules};
use crate::client_data;
use crate::error::{ClientError, DomException, Refusal};
use crate::origin::Origin;
use crate::rp_id::{self, RpIdRefusal};
use crate::weight::Ceremony;

/// The list of get(), which is `excludeCredentials` at create().
pub(crate) const ALLOW: &str = "allowCredentials";

impl Client {
    /// What the browser says of the page before it looks at anything else: whether the page has WebAuthn, and the RP ID that it
    /// gets for what it claims. No key is asked; permissions and frames are not looked at, as they differ by ceremony.
    ///
    /// # Errors
    /// [`ClientError`], as from [`create`](Self::create) and [`get`](Self::get).
    pub fn check_page(&self, claimed: Option<&str>) -> Result<String, ClientError> {
        self.check_secure_context(None)?;
        self.rp_id(claimed)
    }

    pub(crate) fn timeout(&self, wanted: Option<Duration>) -> Duration {
        let (without, longest) = self.browser.timeouts();
        wanted.map_or(without, |timeout| timeout.min(longest))
    }

    /// The application parameter of an AppID (WebAuthn Level 3 §10.1.1).
    pub(crate) fn app_id(&self, app_id: Option<&str>) -> Result<Option<[u8; 32]>, ClientError> {
        let Some(app_id) = app_id else { return Ok(None) };
        let forced = client_data::hash(app_id.as_bytes());
        let application = app_id::application_parameter(self.browser, &self.origin, app_id);
        let application = self.unless_forced(application, forced);
        application.map(Some).map_err(|refused| {
            let name = match refused {
                app_id::AppIdRefusal::Empty => DomException::NotAllowedError,
                _ => DomException::SecurityError,
            };
            Refusal::AppId(refused).named(name)
        })
    }

    /// What the rules say, or what is done instead if the page is forced past them.
    pub(crate) fn unless_forced<T, E>(&self, verdict: Result<T, E>, instead: T) -> Result<T, E> {
        match self.rules {
            Rules::Enforced => verdict,
            Rules::ForcedPast => Ok(verdict.unwrap_or(instead)),
        }
    }

    /// Chromium, but on localhost, and Firefox have no WebAuthn behind a bad certificate. WebKit's source does not look.
    fn check_certificate(&self) -> Result<(), ClientError> {
        let name = match self.browser {
            _ if !self.certificate_error || self.rules == Rules::ForcedPast => return Ok(()),
            Browser::Chromium if self.origin.is_loopback() => return Ok(()),
            Browser::Chromium => DomException::NotAllowedError,
            Browser::Firefox => DomException::SecurityError,
            Browser::Safari => return Ok(()),
        };
        Err(Refusal::CertificateError { browser: self.browser }.named(name))
    }

    /// Outside of a secure context there is nothing that a script could call. One is made by all pages that a frame is in (Secure
    /// Contexts §3.1).
    pub(crate) fn check_secure_context(&self, called: Option<&'static str>) -> Result<(), ClientError> {
        let insecure = [&self.origin].into_iter().chain(&self.ancestors).find(|origin| !origin.is_secure_context());
        match insecure.filter(|_| self.rules == Rules::Enforced) {
            Some(origin) => {
                let origin = origin.to_string();
                Err(Refusal::InsecureContext { origin, called }.named(DomException::TypeError))
            }
            None => Ok(()),
        }
    }

    /// Whether the page may do this where it is: as its permissions say, and in a frame of another origin.
    pub(crate) fn check_permission(&self, ceremony: Ceremony) -> Result<(), ClientError> {
        let framed = !self.is_same_origin_with_ancestors();
        let (permitted, feature) = match ceremony {
            Ceremony::Create => (self.permissions.create, "publickey-credentials-create"),
            Ceremony::Get => (self.permissions.get, "publickey-credentials-get"),
        };
        let refusal = match (self.browser, ceremony) {
            _ if self.rules == Rules::ForcedPast => return Ok(()),
            (Browser::Safari, Ceremony::Create) if framed => Refusal::InFrameOfAnotherOrigin { browser: self.browser },
            // WebKit asks for the feature in frames of another origin alone.
            (Browser::Safari, _) if !framed => return Ok(()),
            _ if !permitted => Refusal::NotPermitted { feature },
            (Browser::Chromium | Browser::Firefox, Ceremony::Create) if framed && !self.user_activation => {
                Refusal::NoUserActivation
            }
            _ => return Ok(()),
        };
        Err(refusal.named(DomException::NotAllowedError))
    }

    /// Whether the page and all pages that it is in have one origin. An opaque one is the same as no other.
    pub(crate) fn is_same_origin_with_ancestors(&self) -> bool {
        self.ancestors.iter().all(|ancestor| *ancestor == self.origin && *ancestor != Origin::Opaque)
    }

    /// Not every browser takes lists of any length.
    pub(crate) fn check_length(&self, list: &'static str, length: usize) -> Result<(), ClientError> {
        let browser = self.browser;
        let (most, name) = match (browser, list) {
            (Browser::Chromium, _) => (64, DomException::RangeError),
            (Browser::Firefox, ALLOW) => (20, DomException::SecurityError),
            _ => return Ok(()),
        };
        if self.rules == Rules::Enforced && length > most {
            return Err(Refusal::ListTooLong { list, length, browser, most }.named(name));
        }
        Ok(())
    }

    /// The RP ID of a ceremony (WebAuthn Level 3 §5.1.3 steps 6 to 8, §5.1.4.1 steps 5 to 7).
    pub(crate) fn rp_id(&self, claimed: Option<&str>) -> Result<String, ClientError> {
        let rp_id = self.determine_rp_id(claimed)?;
        self.check_certificate()?;
        Ok(rp_id)
    }

    fn determine_rp_id(&self, claimed: Option<&str>) -> Result<String, ClientError> {
        let determined = match &self.fetch {
            Some(fetch) => rp_id::determine_related(self.browser, &self.origin, claimed, fetch),
            None => rp_id::determine(self.browser, &self.origin, claimed),
        };
        let refused = match determined {
            Ok(rp_id) => return Ok(rp_id),
            Err(refused) => refused,
        };
        let forced = match self.rules {
            Rules::Enforced => None,
            Rules::ForcedPast => claimed.map(str::to_owned).or_else(|| self.origin.host()),
        };
        forced.ok_or_else(|| {
            let name = match (&refused, self.browser) {
                (RpIdRefusal::OpaqueOrigin, Browser::Chromium) => DomException::NotAllowedError,
                _ => DomException::SecurityError,
            };
            Refusal::RpId(refused).named(name)
        })
    }
}

#[cfg(test)]
mod tests;
