//! The channels that a device has given out.
//!
//! Hosts never give a channel back, so a device that has given out as many as it remembers forgets the one that has
//! been silent longest. Its owner gets `ERR_INVALID_CHANNEL` and opens another. CTAP 2.1 §11.2.3.

use super::ChannelId;

/// Channels remembered at a time.
pub(super) const CAPACITY: usize = 256;

/// Open channels, the one that has been silent longest first.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<ChannelId>);

impl Channels {
    /// Gives out a channel, forgetting another if there are too many, but never one of those in use.
    pub(super) fn allocate(&mut self, random: &mut dyn FnMut(&mut [u8]), in_use: [Option<ChannelId>; 2]) -> ChannelId {
        if self.0.len() >= CAPACITY
            && let Some(silent) = self.0.iter().position(|channel| !in_use.contains(&Some(*channel)))
        {
            self.0.remove(silent);
        }
        let mut bytes = [0; 4];
        random(&mut bytes);
        let mut channel = ChannelId(u32::from_be_bytes(bytes));
        // Counting on from a number that is taken ends soon, even if the randomness is broken.
        while channel == ChannelId::RESERVED || channel == ChannelId::BROADCAST || self.0.contains(&channel) {
            channel = ChannelId(channel.0.wrapping_add(1));
        }
        self.0.push(channel);
        channel
    }

    /// Whether the channel is open; if so, it has just been heard of.
    pub(super) fn hear(&mut self, channel: ChannelId) -> bool {
        let Some(position) = self.0.iter().position(|open| *open == channel) else {
            return false;
        };
        self.0.remove(position);
        self.0.push(channel);
        true
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
