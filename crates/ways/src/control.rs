//! A key of a rack in another process.

use std::path::PathBuf;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_control::request::Transact;
use keyrig_control::socket::{ControlError, send_until};
use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_rack::KeyName;

/// CTAP messages to a key of a running rack by its control socket: no CTAPHID, no USB, and nothing said of what the key does
/// before it answers. A connection for each message, so that it holds nothing while it is not used.
#[derive(Clone, Debug)]
pub struct ControlChannel {
    /// Where the rack listens.
    pub path: PathBuf,
    /// The key.
    pub key: KeyName,
}

impl Channel for ControlChannel {
    async fn transact(
        &mut self,
        request: &[u8],
        mut cancel: Cancel,
        _on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let message = Transact { key: self.key.clone(), message: request.to_vec() };
        let answer = send_until(&self.path, message, cancel.requested()).await.map_err(|error| match error {
            // The rack has ended since.
            ControlError::NotRunning { .. } => ChannelError::Unplugged,
            other => ChannelError::Carrier(other.to_string()),
        })?;
        Ok(answer.message)
    }
}
