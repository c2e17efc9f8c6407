//! What a key says of itself without being touched: CTAPHID_INIT, getInfo, and of a YubiKey the pages of its device information.

use core::time::Duration;

use keyrig_client::channel::{Cancel, Channel, ChannelError};
use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_client::{Info, Key};
use keyrig_ctap::Aaguid;
use keyrig_ctap::hid::{Command, InitResponse};
use keyrig_ways::HidKey;
use thiserror::Error;
use tokio::time::timeout;

/// How long a key may take to say all of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The vendor whose keys have device information under [`READ_CONFIGURATION`].
const YUBICO: u16 = 0x1050;

/// CTAPHID vendor command 0x42 of a YubiKey, and its pages.
const READ_CONFIGURATION: Command = Command::Other(0x42);

/// Tags of the first page.
const SERIAL_NUMBER: u8 = 0x02;
const FIRMWARE: u8 = 0x05;

/// What a key says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it answered to CTAPHID_INIT.
    pub init: InitResponse,
    /// What it answered to getInfo; none of a key of U2F alone.
    pub info: Option<Info>,
    /// The serial number that its maker's tools read, if it tells one.
    pub serial_number: Option<u32>,
    /// The firmware's version that these read.
    pub firmware: Option<[u8; 3]>,
}

/// A key does not say what it is.
#[derive(Debug, Error)]
pub enum CannotIdentify {
    /// It cannot be opened.
    #[error("cannot open {path}: {error}{}", if error.kind() == std::io::ErrorKind::PermissionDenied { ": install the udev rule for security keys, or run it as root" } else { "" })]
    Open {
        /// Its node.
        path: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It does not answer as a key does.
    #[error("the key at {place} does not say what it is: {reason}")]
    Silent {
        /// Where it is.
        place: String,
        /// Why.
        reason: String,
    },
}

impl Identity {
    /// Asks a key that is plugged in.
    ///
    /// # Errors
    /// [`CannotIdentify`].
    pub async fn of(key: &HidKey) -> Result<Self, CannotIdentify> {
        let path = key.path.display().to_string();
        let pipe = key.open().await.map_err(|error| CannotIdentify::Open { path, error })?;
        let silent = |reason: String| CannotIdentify::Silent { place: key.place(), reason };
        let asked = timeout(PATIENCE, Self::ask(key.vendor_id, pipe)).await;
        let asked = asked.map_err(|_| silent(format!("it took more than {} s", PATIENCE.as_secs())))?;
        asked.map_err(|error| silent(error.to_string()))
    }

    async fn ask(vendor_id: u16, pipe: impl ReportPipe) -> Result<Self, ChannelError> {
        let mut channel = CtapHidChannel::new(pipe);
        let init = channel.open().await?;
        let mut identity = Self { init, info: None, serial_number: None, firmware: None };
        if vendor_id == YUBICO {
            // A key that refuses has no such pages.
            match channel.command(READ_CONFIGURATION, &[0]).await {
                Ok(page) => (identity.serial_number, identity.firmware) = of_page(&page),
                Err(ChannelError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if has_ctap2(&init) {
            identity.info = info(channel).await;
        }
        Ok(identity)
    }

    /// Its AAGUID, if it knows CTAP2.
    #[must_use]
    pub fn aaguid(&self) -> Option<Aaguid> {
        self.info.as_ref().map(|info| info.aaguid)
    }

    /// Its serial number, if it tells one: to its maker's tools, or in its USB descriptor.
    #[must_use]
    pub fn serial(&self, key: &HidKey) -> Option<String> {
        self.serial_number.map(|number| number.to_string()).or_else(|| key.serial.clone())
    }

    /// The version of its firmware: what its maker's tools read, or else what it says to CTAPHID_INIT.
    #[must_use]
    pub fn version(&self) -> String {
        let [major, minor, build] = self.firmware.unwrap_or(self.init.device_version);
        format!("{major}.{minor}.{build}")
    }
}

/// Whether a key says that it takes CTAPHID_CBOR (CTAP 2.3 §11.2.9.1.3).
pub(super) fn has_ctap2(init: &InitResponse) -> bool {
    init.capabilities.0 & 0x04 != 0
}

async fn info(channel: impl Channel) -> Option<Info> {
    Key::new("", channel).get_info(&Cancel::never()).await.ok()
}

/// Serial number and version of the first page: its length, and entries of tag, length and value.
fn of_page(page: &[u8]) -> (Option<u32>, Option<[u8; 3]>) {
    let (mut serial, mut firmware) = (None, None);
    let mut rest = page.get(1..).unwrap_or_default();
    while let [tag, length, behind @ ..] = rest {
        let Some((value, behind)) = behind.split_at_checked(usize::from(*length)) else { break };
        match *tag {
            // Zero is that it tells none.
            SERIAL_NUMBER => serial = value.try_into().ok().map(u32::from_be_bytes).filter(|number| *number != 0),
            FIRMWARE => firmware = value.try_into().ok(),
            _ => {}
        }
        rest = behind;
    }
    (serial, firmware)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first page of a YubiKey 5 NFC with firmware 5.7.4, as its profile has it from a record.
    #[test]
    fn serial_number_and_firmware_are_read_from_the_first_page() {
        let page = hex::decode(
            "2E0102033F0302033F0204007B000104010105030507040602000007010F0801000D02033F0E02033F0A01000F0100",
        )
        .unwrap();
        assert_eq!(of_page(&page), (Some(0x007b_0001), Some([5, 7, 4])));
        // One that tells no serial number; cut off; nothing.
        assert_eq!(of_page(&[0x06, 0x02, 0x04, 0, 0, 0, 0]), (None, None));
        assert_eq!(of_page(&[0x06, 0x05, 0x03, 5]), (None, None));
        assert_eq!(of_page(&[]), (None, None));
    }
}
