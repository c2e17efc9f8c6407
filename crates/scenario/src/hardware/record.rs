//! What a key says and how it behaves, asked without a PIN and without storing anything on it.
//!
//! Each question is told before it is asked, with what a person has to do. What would tell one key from another of its model (serial
//! number, encrypted identifiers) and certificates are left out unless they are wanted.

mod ask;
mod form;
mod questions;

pub(super) use self::form::bytes as bytes_of;
pub use self::form::{
    Answer, CannotReadRecord, Channels, CtapHid, Including, KeyRecord, MAX_RECORD_BYTES, Question, Usb, read,
};

use keyrig_client::channel::ChannelError;
use keyrig_client::ctap_hid::{CtapHidChannel, ReportPipe};
use keyrig_ctap::hid::Command;
use keyrig_ctap::{Request, get_info, parse_response};
use keyrig_ways::HidKey;
use thiserror::Error;

use self::ask::Asking;
use super::identity::has_ctap2;
use super::person::Person;

/// The vendor whose keys have pages of device information.
const YUBICO: &str = "1050";

/// The most pages that are asked for.
const MAX_PAGES: u8 = 8;

/// The tag of the serial number in these pages, and in how many channels ids show how they come about.
const SERIAL_NUMBER: u8 = 0x02;
const CHANNELS: usize = 4;

/// A key cannot be recorded.
#[derive(Debug, Error)]
pub enum CannotRecord {
    /// It cannot be opened.
    #[error("cannot open {path}: {error}")]
    Open {
        /// Its node.
        path: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It does not answer as a key does.
    #[error("the key does not answer: {0}")]
    Silent(#[from] ChannelError),
    /// It answers getInfo with what cannot be read.
    #[error("its answer to getInfo cannot be read: {0:?}")]
    Info(keyrig_ctap::Status),
}

/// Records a key that is plugged in.
///
/// # Errors
/// [`CannotRecord`]. What the key refuses is an answer, and no error.
pub async fn record(key: &HidKey, including: Including, person: &dyn Person) -> Result<KeyRecord, CannotRecord> {
    let path = key.path.display().to_string();
    let pipe = key.open().await.map_err(|error| CannotRecord::Open { path, error })?;
    let usb = Usb {
        vendor_id: format!("{:04x}", key.vendor_id),
        product_id: format!("{:04x}", key.product_id),
        release: format!("{:04x}", key.release),
        manufacturer: key.manufacturer.clone(),
        product: key.product.clone(),
        serial: key.serial.clone().filter(|_| including.serial),
    };
    record_over(pipe, usb, including, person).await
}

/// The same over any pipe of reports.
///
/// # Errors
/// [`CannotRecord`].
pub async fn record_over(
    pipe: impl ReportPipe,
    usb: Usb,
    including: Including,
    person: &dyn Person,
) -> Result<KeyRecord, CannotRecord> {
    let mut channel = CtapHidChannel::new(pipe);
    person.tell("CTAPHID: opening channels");
    let (ctaphid, has_ctap2) = opened(&mut channel).await?;
    let mut left_out = Vec::new();
    let device_info = if usb.vendor_id == YUBICO {
        person.tell("its device information, as its maker's tools read it");
        pages(&mut channel, including, &mut left_out).await?
    } else {
        Vec::new()
    };
    let mut get_info = None;
    let mut questions = Vec::new();
    let mut asking = Asking { channel, person };
    let mut info = None;
    if has_ctap2 {
        person.tell("authenticatorGetInfo");
        let answer = asking.transact(&Request::GetInfo.encode(), None).await?;
        let parameters = parse_response(&answer.response).map_err(CannotRecord::Info)?;
        let said = get_info::Response::decode(parameters).map_err(CannotRecord::Info)?;
        get_info = Some(form::hexadecimal(&without_identifiers(parameters, &said, including, &mut left_out)));
        info = Some(said);
    }
    questions::ask_all(&mut asking, info.as_ref(), including, &mut left_out, &mut questions).await?;
    left_out.sort();
    left_out.dedup();
    Ok(KeyRecord {
        format: 1,
        recorded_by: concat!("keyrig ", env!("CARGO_PKG_VERSION")).to_owned(),
        usb,
        ctaphid,
        get_info,
        device_info,
        questions,
        left_out,
    })
}

/// What INIT is answered, several times: ids show how they come about.
async fn opened<P: ReportPipe>(channel: &mut CtapHidChannel<P>) -> Result<(CtapHid, bool), CannotRecord> {
    let first = channel.open().await?;
    let mut ids = vec![first.channel.0];
    while ids.len() < CHANNELS {
        ids.push(channel.open().await?.channel.0);
    }
    let wink = channel.command(Command::Wink, &[]).await;
    let wink = match wink {
        Ok(_) => "answered".to_owned(),
        Err(ChannelError::Refused(code)) => code.to_string(),
        Err(error) => return Err(error.into()),
    };
    let ctaphid = CtapHid {
        protocol_version: first.protocol_version,
        device_version: first.device_version,
        capabilities: first.capabilities.0,
        wink,
        channels: Channels::of(&ids),
        channel_ids: ids.iter().map(|id| format!("{id:08x}")).collect(),
    };
    Ok((ctaphid, has_ctap2(&first)))
}

/// The pages of a YubiKey's device information: entries of tag, length and value.
async fn pages<P: ReportPipe>(
    channel: &mut CtapHidChannel<P>,
    including: Including,
    left_out: &mut Vec<String>,
) -> Result<Vec<String>, CannotRecord> {
    let mut pages = Vec::new();
    for number in 0..MAX_PAGES {
        let page = match channel.command(Command::Other(0x42), &[number]).await {
            Ok(page) => page,
            Err(ChannelError::Refused(_)) => break,
            Err(error) => return Err(error.into()),
        };
        let entries = entries(page.get(1..).unwrap_or_default());
        // Behind the last page some keys say it again.
        let text: Vec<u8> = entries
            .iter()
            .filter(|(tag, _)| {
                let stays = *tag != SERIAL_NUMBER || including.serial;
                if !stays {
                    left_out.push("serial number".to_owned());
                }
                stays
            })
            .flat_map(|(tag, value)| {
                let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
                [*tag, length].into_iter().chain(value.iter().copied()).collect::<Vec<_>>()
            })
            .collect();
        let text = form::hexadecimal(&text);
        if text.is_empty() || pages.contains(&text) {
            break;
        }
        pages.push(text);
    }
    Ok(pages)
}

fn entries(mut rest: &[u8]) -> Vec<(u8, &[u8])> {
    let mut entries = Vec::new();
    while let [tag, length, behind @ ..] = rest {
        let Some((value, behind)) = behind.split_at_checked(usize::from(*length)) else { break };
        entries.push((*tag, value));
        rest = behind;
    }
    entries
}

/// getInfo without what only this key says: its encrypted identifiers, of which is left that they are there.
fn without_identifiers(
    parameters: &[u8],
    said: &get_info::Response,
    including: Including,
    left_out: &mut Vec<String>,
) -> Vec<u8> {
    if including.serial || (said.enc_identifier.is_none() && said.enc_cred_store_state.is_none()) {
        return parameters.to_vec();
    }
    left_out.push("encIdentifier and encCredStoreState".to_owned());
    let empty = |member: &Option<Vec<u8>>| member.as_ref().map(|_| Vec::new());
    let told = get_info::Response {
        enc_identifier: empty(&said.enc_identifier),
        enc_cred_store_state: empty(&said.enc_cred_store_state),
        ..said.clone()
    };
    let mut writer = keyrig_ctap::cbor::Writer::after(Vec::new());
    told.encode(&mut writer);
    writer.finish()
}
