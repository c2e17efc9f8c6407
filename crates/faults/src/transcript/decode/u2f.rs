//! Messages of CTAP1/U2F (FIDO U2F Raw Message Formats 1.2).

use keyrig_ctap::hid::RequestKind;
use keyrig_ctap::u2f::{Apdu, Authentication, Control, Instruction, Registration, Request, StatusWord};

use super::authenticator_data::certificate;
use super::{Asked, Decoded};
use crate::transcript::value::{Members, Value};

pub(super) fn command(instruction: Option<u8>) -> String {
    instruction.map_or_else(|| "(unknown)".to_owned(), |byte| Instruction::from(byte).to_string())
}

pub(super) fn request(message: &[u8]) -> (Decoded, Asked) {
    let code = message.get(1).copied();
    let asked = Asked { code, ..Asked::unknown(RequestKind::Msg) };
    let mut decoded = Decoded { command: command(code), ..Decoded::default() };
    let members = &mut decoded.members;
    match Request::decode(message) {
        Ok(Request::Register { challenge, application }) => {
            members.push("challenge", Value::bytes(&challenge));
            members.push("application", Value::bytes(&application));
        }
        Ok(Request::Authenticate { control, challenge, application, key_handle }) => {
            members.push(
                "control",
                Value::text(match control {
                    Control::CheckOnly => "check-only",
                    Control::EnforceUserPresenceAndSign => "enforce-user-presence-and-sign",
                    Control::DontEnforceUserPresenceAndSign => "dont-enforce-user-presence-and-sign",
                }),
            );
            members.push("challenge", Value::bytes(&challenge));
            members.push("application", Value::bytes(&application));
            members.push("keyHandle", Value::bytes(&key_handle));
        }
        Ok(Request::Version) => {}
        Err(word) => {
            decoded.malformed = Some(format!("a key answers {word} to it"));
            if let Ok(apdu) = Apdu::decode(message) {
                members.push("CLA", Value::Integer(apdu.class.into()));
                members.push("INS", Value::Integer(apdu.instruction.into()));
                members.push("P1", Value::Integer(apdu.p1.into()));
                members.push("P2", Value::Integer(apdu.p2.into()));
                members.push("data", Value::Bytes(apdu.data));
            }
        }
    }
    (decoded, asked)
}

pub(super) fn response(code: Option<u8>, message: &[u8]) -> Decoded {
    let mut decoded = Decoded { command: command(code), ..Decoded::default() };
    let Some((data, word)) = message.split_last_chunk() else {
        decoded.malformed = Some("the message has no status word".to_owned());
        return decoded;
    };
    let word = u16::from_be_bytes(*word);
    decoded.status = Some((StatusWord::from(word).to_string(), word));
    if !data.is_empty() {
        match members(code, data) {
            Ok(members) => decoded.members = members,
            Err(malformed) => decoded.malformed = Some(malformed),
        }
    }
    decoded
}

fn members(code: Option<u8>, data: &[u8]) -> Result<Members, String> {
    let mut members = Members::default();
    match code.map(Instruction::from) {
        Some(Instruction::Register) => {
            let registration = Registration::decode(data).map_err(|error| error.to_string())?;
            members.push("userPublicKey", Value::bytes(&registration.public_key));
            members.push("keyHandle", Value::Bytes(registration.key_handle));
            members.push("attestationCertificate", certificate(&registration.certificate));
            members.push("signature", Value::Bytes(registration.signature));
        }
        Some(Instruction::Authenticate) => {
            let authentication = Authentication::decode(data).map_err(|error| error.to_string())?;
            members.push("userPresence", Value::Integer(authentication.user_presence.into()));
            members.push("counter", Value::Integer(authentication.counter.into()));
            members.push("signature", Value::Bytes(authentication.signature));
        }
        Some(Instruction::Version) => members.push("version", Value::text(String::from_utf8_lossy(data))),
        _ => members.push("data", Value::bytes(data)),
    }
    Ok(members)
}
