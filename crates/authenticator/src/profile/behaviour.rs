//! What keys do differently where getInfo says nothing of it. The default is what the specification says.

use keyrig_ctap::Status;
use serde::{Deserialize, Deserializer};

/// How a key behaves, as a profile's table `behaviour` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// When a key says that it has no credential for a login.
    pub no_credentials: NoCredentials,
    /// How it says so: `CTAP2_ERR_NO_CREDENTIALS`, or `CTAP2_ERR_INVALID_CREDENTIAL` as the first FIDO2 keys did.
    #[serde(deserialize_with = "unknown_credential_status")]
    pub unknown_credential_status: Status,
    /// What ends an enumeration of credential management.
    pub enumeration: Enumeration,
    /// Whether makeCredential refuses an empty user handle, with `CTAP1_ERR_INVALID_PARAMETER`: CTAP says nothing of one.
    pub refuses_empty_user_id: bool,
    /// What is answered to a `pinUvAuthParam` of makeCredential or getAssertion if no PIN is set: `CTAP2_ERR_PIN_AUTH_INVALID`,
    /// as it verifies under no token (CTAP 2.3 §6.1.2 step 11), or `CTAP2_ERR_PIN_NOT_SET`.
    #[serde(deserialize_with = "without_pin_status")]
    pub without_pin_status: Status,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            no_credentials: NoCredentials::default(),
            unknown_credential_status: Status::NoCredentials,
            enumeration: Enumeration::default(),
            refuses_empty_user_id: false,
            without_pin_status: Status::PinAuthInvalid,
        }
    }
}

/// When a key says that it has no credential for a login. Without user presence (`up` is false) it is always said at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoCredentials {
    /// Before anybody is asked (CTAP 2.1 §6.2.2 step 7, CTAP 2.3 §6.2.2 step 7).
    #[default]
    AtOnce,
    /// After the touch (CTAP 2.0 §5.2, authenticatorGetAssertion).
    AfterTouch,
    /// After the touch if there is an allow list, at once if there is none.
    AfterTouchIfListed,
}

impl NoCredentials {
    /// Whether the user is asked for a touch first.
    pub(crate) fn asks(self, listed: bool) -> bool {
        match self {
            Self::AtOnce => false,
            Self::AfterTouch => true,
            Self::AfterTouchIfListed => listed,
        }
    }
}

/// What ends an enumeration of credential management, beside time, power, and other commands than credential management.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enumeration {
    /// Any other subcommand (CTAP 2.3 §6, stateful commands).
    #[default]
    Strict,
    /// No other subcommand: relying parties and the credentials of one have a cursor each, which a host that interleaves them
    /// needs.
    TwoCursors,
}

fn without_pin_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    match u8::deserialize(deserializer)? {
        0x33 => Ok(Status::PinAuthInvalid),
        0x35 => Ok(Status::PinNotSet),
        other => Err(serde::de::Error::custom(format!("{other:#04x} is neither 0x33 nor 0x35"))),
    }
}

fn unknown_credential_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    match u8::deserialize(deserializer)? {
        0x2E => Ok(Status::NoCredentials),
        0x22 => Ok(Status::InvalidCredential),
        other => Err(serde::de::Error::custom(format!("{other:#04x} is neither 0x2E nor 0x22"))),
    }
}
