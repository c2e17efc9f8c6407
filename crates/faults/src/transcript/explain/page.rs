//! What a page noted of a ceremony, beside what keys heard of it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::ceremony::Heard;
use crate::transcript::explanation::JoinedBy;
use crate::transcript::note::{Answered, Began, Ceremony, Ended, is_of_client};

/// What Chromium adds to some client data, so that nobody compares it with a template.
const CHROMIUMS_ADDITION: &str = concat!(
    r#","other_keys_can_be_added_here":"#,
    r#""do not compare clientDataJSON against a template. See https://goo.gl/yabPex""#
);

/// How long before a note a key may have been asked: notes are carried by whoever drives the browser, microseconds.
const LATE_US: u64 = 1_000_000;

/// A ceremony as its page noted it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) began: Began,
    pub(super) began_at_us: u64,
    pub(super) ended: Option<Ended>,
    pub(super) answered: Option<Answered>,
    /// By what it was found what keys heard of it.
    pub(super) joined_by: Option<JoinedBy>,
    /// The id of its other notes: where a page asks keyrig's client, both note it.
    pub(super) also: Option<String>,
}

impl Page {
    pub(super) fn new(began: Began, at_us: u64) -> Self {
        Self { began, began_at_us: at_us, ended: None, answered: None, joined_by: None, also: None }
    }

    /// Whether notes of this id are of it.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.began.id == id || self.also.as_deref() == Some(id)
    }

    /// Whether this is the same, noted by the other one of a page and keyrig's client.
    pub(super) fn is_also(&self, began: &Began) -> bool {
        let ours = &self.began;
        self.also.is_none()
            && is_of_client(&ours.id) != is_of_client(&began.id)
            && ours.options.challenge.is_some()
            && ours.options.challenge == began.options.challenge
            && (ours.ceremony, &ours.origin) == (began.ceremony, &began.origin)
    }

    /// Whether the page got nothing, or the site did not like what it got.
    pub(super) fn has_failed(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.exception.is_some()) || self.answered.is_some()
    }

    /// The RP ID that was asked for: the host of the origin, if none was said (WebAuthn Level 3 §5.1.3 step 7).
    pub(super) fn rp_id(&self) -> &str {
        self.began.options.rp_id.as_deref().unwrap_or_else(|| self.host())
    }

    /// The host of its origin.
    pub(super) fn host(&self) -> &str {
        let origin = &self.began.origin;
        let authority = origin.split_once("://").map_or(origin.as_str(), |(_, authority)| authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Whether the RP ID is that host or a domain above it.
    pub(super) fn rp_id_fits(&self) -> bool {
        let (host, rp_id) = (self.host(), self.rp_id());
        host == rp_id || host.strip_suffix(rp_id).is_some_and(|before| before.ends_with('.'))
    }

    /// Whether what keys heard is of this ceremony, and by what.
    pub(super) fn joins(&self, heard: &Heard, until_us: u64) -> Option<JoinedBy> {
        if heard.page.is_some() {
            return None;
        }
        if heard.hash.as_ref().is_some_and(|hash| self.hashes().contains(hash)) {
            return Some(JoinedBy::ClientDataHash);
        }
        let fits = !heard.has_succeeded()
            && heard.ceremony().is_none_or(|ceremony| ceremony == self.began.ceremony)
            && heard.rp_id.as_ref().is_none_or(|rp_id| rp_id == self.rp_id())
            && heard.last_at_us.saturating_add(LATE_US) >= self.began_at_us
            && heard.began_at_us <= until_us;
        fits.then_some(JoinedBy::Time)
    }

    /// The hashes that its client data may have (WebAuthn Level 3 §5.8.1.1): that of what the page got, or of what browsers write.
    fn hashes(&self) -> Vec<String> {
        if let Some(json) = self.ended.as_ref().and_then(|ended| ended.client_data_json.as_deref()) {
            return BASE64_URL_SAFE_NO_PAD.decode(json).into_iter().map(|json| hash(&json)).collect();
        }
        let Began { ceremony, origin, top, ancestors, options, .. } = &self.began;
        let Some(challenge) = &options.challenge else { return Vec::new() };
        let ceremony = match ceremony {
            Ceremony::Create => "webauthn.create",
            Ceremony::Get => "webauthn.get",
        };
        let of_ancestors = ancestors.iter().flatten();
        let is_cross_origin = !top && of_ancestors.clone().any(|ancestor| ancestor != origin);
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let plain = format!(
            r#"{{"type":"{ceremony}","challenge":{},"origin":{},"crossOrigin":{is_cross_origin}"#,
            quoted(challenge),
            quoted(origin)
        );
        let mut forms = vec![plain.clone()];
        if let Some(top) = of_ancestors.last().filter(|_| is_cross_origin) {
            forms.push(format!(r#"{plain},"topOrigin":{}"#, quoted(top)));
        }
        let added = forms.iter().map(|form| format!("{form}{CHROMIUMS_ADDITION}")).collect::<Vec<_>>();
        forms.extend(added);
        forms.iter().map(|form| hash(format!("{form}}}").as_bytes())).collect()
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
