//! Authenticator configurations: what Add Virtual Authenticator is given (WebAuthn Level 3 §11.3).

use keyrig_authenticator::profile::{VirtualAuthenticator, VirtualProtocol, VirtualTransport};
use serde_json::{Map, Value};

use crate::error::{Code, WebDriverError};
use crate::mode::Mode;

/// A configuration that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// What the key is.
    pub authenticator: VirtualAuthenticator,
    /// Whether it is touched.
    pub is_user_consenting: bool,
    /// Whether it knows whoever touches it.
    pub is_user_verified: bool,
}

/// What it was called before, and Selenium has it.
const CABLE: &str = "cable";

fn transport(parameters: &Map<String, Value>) -> Result<VirtualTransport, WebDriverError> {
    let mut known = VirtualTransport::ALL.map(VirtualTransport::name).to_vec();
    known.push(CABLE);
    let named = one_of(parameters, "transport", &known)?;
    let found = VirtualTransport::ALL.into_iter().find(|transport| transport.name() == named);
    Ok(found.unwrap_or(VirtualTransport::Hybrid))
}

impl Configuration {
    /// Reads one.
    ///
    /// # Errors
    /// *invalid argument* if it is none, and *unsupported operation* for what cannot be had in this mode.
    pub fn read(parameters: &Map<String, Value>, mode: Mode) -> Result<Self, WebDriverError> {
        const KNOWN: [&str; 10] = [
            "protocol",
            "transport",
            "hasResidentKey",
            "hasUserVerification",
            "isUserConsenting",
            "isUserVerified",
            "extensions",
            "uvm",
            "defaultBackupEligibility",
            "defaultBackupState",
        ];
        if let Some(unknown) = parameters.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            let unknown: String = unknown.chars().take(64).collect();
            return Err(WebDriverError::argument(format!("{unknown:?} is no property of a virtual authenticator")));
        }
        let protocol = match one_of(parameters, "protocol", &["ctap1/u2f", "ctap2", "ctap2_1"])? {
            "ctap1/u2f" => VirtualProtocol::U2f,
            "ctap2" => VirtualProtocol::Ctap2,
            _ => VirtualProtocol::Ctap2_1,
        };
        let transport = transport(parameters)?;
        let flag = |name: &str, default: bool| match parameters.get(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(WebDriverError::argument(format!("{name} is true or false"))),
        };
        let extensions = texts(parameters, "extensions")?;
        check_uvm(parameters.get("uvm"))?;
        let (resident_keys, user_verification) = (flag("hasResidentKey", false)?, flag("hasUserVerification", false)?);
        let (is_user_consenting, is_user_verified) = (flag("isUserConsenting", true)?, flag("isUserVerified", false)?);
        let (backup_eligible, backup_state) =
            (flag("defaultBackupEligibility", false)?, flag("defaultBackupState", false)?);
        if backup_state && !backup_eligible {
            return Err(WebDriverError::argument(
                "defaultBackupState without defaultBackupEligibility: what is backed up is eligible for it",
            ));
        }
        if protocol == VirtualProtocol::U2f {
            let beyond = [
                ("hasResidentKey", resident_keys),
                ("hasUserVerification", user_verification),
                ("extensions", !extensions.is_empty()),
            ];
            if let Some((name, _)) = beyond.into_iter().find(|(_, is_set)| *is_set) {
                return Err(WebDriverError::argument(format!("{name}: ctap1/u2f has none of that")));
            }
        }
        if mode == Mode::Page && transport == VirtualTransport::Internal && protocol == VirtualProtocol::U2f {
            return Err(WebDriverError::argument("transport \"internal\": no platform has ctap1/u2f"));
        }
        if mode == Mode::Hid && transport != VirtualTransport::Usb && transport != VirtualTransport::Nfc {
            let name = transport.name();
            return Err(WebDriverError::new(
                Code::UnsupportedOperation,
                format!("transport {name:?}: in hid mode the browser sees keys on USB; use --webauthn page for {name}"),
            ));
        }
        let authenticator = VirtualAuthenticator {
            protocol,
            resident_keys,
            user_verification,
            extensions,
            backup_eligible,
            backup_state,
            transport,
        };
        authenticator.profile().map_err(|error| WebDriverError::new(Code::UnsupportedOperation, error.to_string()))?;
        Ok(Self { authenticator, is_user_consenting, is_user_verified })
    }
}

fn one_of<'a>(parameters: &'a Map<String, Value>, name: &str, known: &[&str]) -> Result<&'a str, WebDriverError> {
    match parameters.get(name) {
        Some(Value::String(text)) if known.contains(&text.as_str()) => Ok(text),
        Some(_) => Err(WebDriverError::argument(format!("{name} is one of {}", known.join(", ")))),
        None => Err(WebDriverError::argument(format!("{name} is missing: it is one of {}", known.join(", ")))),
    }
}

fn texts(parameters: &Map<String, Value>, name: &str) -> Result<Vec<String>, WebDriverError> {
    let Some(value) = parameters.get(name) else { return Ok(Vec::new()) };
    let texts = value.as_array().and_then(|items| items.iter().map(|item| Some(item.as_str()?.to_owned())).collect());
    texts.ok_or_else(|| WebDriverError::argument(format!("{name} is a list of texts")))
}

/// The extension uvm is not built in any browser. Its entries are read, and have no effect, as the note at the property has it.
fn check_uvm(value: Option<&Value>) -> Result<(), WebDriverError> {
    let Some(value) = value else { return Ok(()) };
    let is_entry = |entry: &Value| {
        entry.as_array().is_some_and(|numbers| {
            let is_long = |number: &Value| number.as_u64().is_some_and(|number| u32::try_from(number).is_ok());
            numbers.len() == 3 && numbers.iter().all(is_long)
        })
    };
    match value.as_array() {
        Some(entries) if entries.len() <= 3 && entries.iter().all(is_entry) => Ok(()),
        _ => Err(WebDriverError::argument("uvm is a list of up to 3 entries of 3 numbers")),
    }
}

#[cfg(test)]
mod tests;
