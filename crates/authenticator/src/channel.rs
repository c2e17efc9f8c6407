//! Who sends a message.

use keyrig_ctap::hid::{ChannelId, Peer};

/// The channel that a message came on: what is begun on one is gone on with on it alone.
///
/// A driver that has one channel only takes the [`Default`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// Which of the hosts that share the key.
    pub peer: Peer,
    /// Which of its channels.
    pub id: ChannelId,
}

impl Default for Channel {
    fn default() -> Self {
        Self { peer: Peer::default(), id: ChannelId(1) }
    }
}
