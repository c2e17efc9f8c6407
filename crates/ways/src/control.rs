//! A key of a rack in another process.

use std::path::PathBuf;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_control::error_code;
use keyrig_control::request::{Transact, TransactU2f};
use keyrig_control::socket::{ControlError, send, send_until};
use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_rack::KeyName;

/// CTAP messages to a key of a running rack by its control socket: no CTAPHID, no USB, and whether the key asked for a touch is said
/// when it answers. A connection for each message, so that it holds nothing while it is not used.
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
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let message = Transact { key: self.key.clone(), message: request.to_vec() };
        let answer = send_until(&self.path, message, cancel.requested()).await.map_err(failed)?;
        if answer.asked_for_touch {
            on_status(KeepaliveStatus::UpNeeded);
        }
        Ok(answer.message)
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let message = TransactU2f { key: self.key.clone(), message: apdu.to_vec() };
        Ok(send(&self.path, message).await.map_err(failed)?.message)
    }
}

fn failed(error: ControlError) -> ChannelError {
    match error {
        // The rack has ended since, or the key was pulled out.
        ControlError::NotRunning { .. } => ChannelError::Unplugged,
        ControlError::Refused { code, .. } if code == error_code::NOT_PLUGGED_IN => ChannelError::Unplugged,
        ControlError::Refused { code, .. } if code == error_code::UNKNOWN_KEY => ChannelError::Removed,
        other => ChannelError::Carrier(other.to_string()),
    }
}
