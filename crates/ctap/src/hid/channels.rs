//! The channels that a device has given out.
//!
//! Hosts never give a channel back, so a device that has given out as many as it remembers forgets one: of the peer that has
//! most of them, the one that has been silent longest. Its owner gets `ERR_INVALID_CHANNEL` and opens another.
//! CTAP 2.3 §11.2.3.

use super::{ChannelId, Peer};

/// Channels remembered at a time.
pub(super) const CAPACITY: usize = 256;

/// Open channels and whose they are, the one that has been silent longest first.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<(ChannelId, Peer)>);

impl Channels {
    /// Gives out a channel, forgetting another if there are too many, but never one that is in use.
    pub(super) fn allocate(
        &mut self,
        peer: Peer,
        random: &mut dyn FnMut(&mut [u8]),
        in_use: impl Fn(ChannelId) -> bool,
    ) -> ChannelId {
        let mut bytes = [0; 4];
        random(&mut bytes);
        let mut channel = ChannelId(u32::from_be_bytes(bytes));
        // Counting on from a number that is taken ends soon, even if the randomness is broken.
        while channel == ChannelId::RESERVED || channel == ChannelId::BROADCAST || self.owner(channel).is_some() {
            channel = ChannelId(channel.0.wrapping_add(1));
        }
        self.0.push((channel, peer));
        if self.0.len() > CAPACITY {
            self.forget_one(|candidate| candidate != channel && !in_use(candidate));
        }
        channel
    }

    fn forget_one(&mut self, may_go: impl Fn(ChannelId) -> bool) {
        let count = |peer: Peer| self.0.iter().filter(|(_, owner)| *owner == peer).count();
        let candidates = self.0.iter().enumerate().filter(|(_, (channel, _))| may_go(*channel));
        // The last of the greatest: reversed, the one that has been silent longest.
        if let Some((position, _)) = candidates.rev().max_by_key(|(_, (_, owner))| count(*owner)) {
            self.0.remove(position);
        }
    }

    /// Whether the channel is open for this peer; if so, it has just been heard of.
    pub(super) fn hear(&mut self, channel: ChannelId, peer: Peer) -> bool {
        let Some(position) = self.0.iter().position(|open| *open == (channel, peer)) else {
            return false;
        };
        self.0.remove(position);
        self.0.push((channel, peer));
        true
    }

    /// Who opened the channel, if it is open.
    pub(super) fn owner(&self, channel: ChannelId) -> Option<Peer> {
        self.0.iter().find(|(open, _)| *open == channel).map(|(_, peer)| *peer)
    }

    /// Forgets those of one peer.
    pub(super) fn close(&mut self, peer: Peer) {
        self.0.retain(|(_, owner)| *owner != peer);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
