//! What the ids of CTAPHID channels are made of: randomness, or what some keys count.

use keyrig_authenticator::profile::ChannelIds;
use keyrig_authenticator::{Authenticator, Profile};

/// How a key comes to the ids of channels.
#[derive(Debug)]
pub(super) struct ChannelIdSource {
    kind: ChannelIds,
    /// How many there were.
    count: u16,
}

impl ChannelIdSource {
    pub(super) fn of(profile: &Profile) -> Self {
        Self { kind: profile.behaviour.channel_ids, count: 0 }
    }

    /// Fills the four bytes of the next id.
    pub(super) fn fill(&mut self, authenticator: &mut Authenticator, bytes: &mut [u8]) {
        if self.kind == ChannelIds::Random {
            return authenticator.fill_random(bytes);
        }
        self.count = self.count.checked_add(1).unwrap_or(1);
        let [high, low] = self.count.to_be_bytes();
        let first = match self.kind {
            ChannelIds::TwoCounters => [high, low],
            ChannelIds::Random | ChannelIds::Counted => [0, 0],
        };
        for (to, from) in bytes.iter_mut().zip(first.into_iter().chain([high, low])) {
            *to = from;
        }
    }
}
