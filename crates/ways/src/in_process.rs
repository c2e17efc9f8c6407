//! A key of a rack in the same process.

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_ctap::hid::KeepaliveStatus;
use keyrig_rack::key::{KeyHandle, Progress};

/// CTAP messages to a key of a rack in the same process: no CTAPHID, no USB.
#[derive(Clone, Debug)]
pub struct InProcess(pub KeyHandle);

impl Channel for InProcess {
    async fn transact(
        &mut self,
        request: &[u8],
        mut cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        let mut transaction = self.0.transact(request.to_vec());
        let mut watching = true;
        let mut cancelled = false;
        loop {
            let (answer, progress) = transaction.parts();
            tokio::select! {
                biased;
                changed = progress.recv(), if watching => match changed {
                    Some(Progress::Processing) => on_status(KeepaliveStatus::Processing),
                    Some(Progress::UpNeeded) => on_status(KeepaliveStatus::UpNeeded),
                    // The command is over: only its answer is to come.
                    None => watching = false,
                },
                answer = answer => return answer.map_err(|_| gone(&self.0)),
                () = cancel.requested(), if !cancelled => {
                    cancelled = true;
                    transaction.cancel();
                }
            }
        }
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        self.0.transact_u2f(apdu.to_vec()).answer().await.map_err(|_| gone(&self.0))
    }
}

/// Why a key does not answer.
fn gone(key: &KeyHandle) -> ChannelError {
    if key.is_gone() { ChannelError::Removed } else { ChannelError::Unplugged }
}
