//! Known mistakes of keys in what they answer, as far as they are not part of what a command does.

use keyrig_ctap::Response;
use keyrig_ctap::cbor::{Item, Writer, canonical_order};
use keyrig_ctap::entities::User;

use crate::authenticator::Authenticator;
use crate::credential::{MAX_NAME, truncated};
use crate::profile::Behaviour;

/// An extension output that nobody asks for.
const UNSOLICITED: &str = "unsolicited";

impl Behaviour {
    /// A name as far as it is kept: what is cut within a character when it is told is kept to the end of that.
    pub(crate) fn kept(&self, mut name: String) -> String {
        if !self.cuts_within_characters {
            return truncated(name);
        }
        name.truncate(name.ceil_char_boundary(MAX_NAME));
        name
    }

    /// Extension outputs with one that nobody asked for, if that is this key's way.
    pub(crate) fn with_extra(&self, outputs: Option<Vec<u8>>) -> Option<Vec<u8>> {
        if !self.extra_extension {
            return outputs;
        }
        let (mut identifier, mut output) = (Writer::new(), Writer::new());
        identifier.text(UNSOLICITED);
        output.boolean(true);
        let mut entries = vec![(identifier.finish(), output.finish())];
        let known = outputs.as_deref().and_then(|outputs| Item::parse(outputs).ok()?.map().ok());
        entries
            .extend(known.into_iter().flatten().map(|(key, value)| (key.encoded().to_vec(), value.encoded().to_vec())));
        entries.sort_by(|(left, _), (right, _)| canonical_order(left, right));
        let mut writer = Writer::new();
        writer.head(5, u64::try_from(entries.len()).unwrap_or(u64::MAX));
        for (key, value) in entries {
            writer.raw(&key).raw(&value);
        }
        Some(writer.finish())
    }
}

impl Authenticator {
    /// An answer as it leaves.
    pub(crate) fn encode(&self, response: &Response) -> Vec<u8> {
        let mut answer = response.encode();
        if self.profile.behaviour.cuts_within_characters {
            let user = match response {
                Response::GetAssertion(response) => response.user.as_ref(),
                Response::CredentialManagement(response) => response.user.as_ref(),
                _ => None,
            };
            for name in user.iter().flat_map(|User { name, display_name, .. }| [name, display_name]).flatten() {
                cut(&mut answer, name);
            }
        }
        answer
    }
}

/// Cuts a text in an encoded answer to 64 bytes, whatever character that is in the middle of.
fn cut(answer: &mut Vec<u8>, name: &str) {
    let Some(kept) = name.as_bytes().get(..MAX_NAME).filter(|_| name.len() > MAX_NAME) else { return };
    let mut whole = Writer::new();
    whole.text(name);
    let whole = whole.finish();
    let mut short = Writer::new();
    short.head(3, u64::try_from(MAX_NAME).unwrap_or_default()).raw(kept);
    if let Some(start) = answer.windows(whole.len()).position(|window| window == whole) {
        answer.splice(start..start + whole.len(), short.finish());
    }
}
