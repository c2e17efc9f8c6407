//! The commands that switch faults, and their answer.

use keyrig_faults::Fault;
use keyrig_rack::KeyName;
use serde::{Deserialize, Serialize};

/// Switch a fault on at a key, beside those that are on: something that goes wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SwitchFaultOn {
    /// The key.
    pub key: KeyName,
    /// The fault: its name, and behind commas parameters and when it happens, as `ctap-status,status=0x2E,nth=2`.
    pub fault: Fault,
}

/// Switch off faults at a key: all of one name, those that are written in one way, or all. That none was on is no error; the answer says
/// which were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SwitchFaultsOff {
    /// The key.
    pub key: KeyName,
    /// Which: a name alone is of all that have it, and with parameters of those that were switched on so; without it, all.
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// List the faults that are on at a key, and how often each has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ListFaults {
    /// The key.
    pub key: KeyName,
}

/// The faults that are on at a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaultList {
    /// The key.
    pub key: KeyName,
    /// The faults, in the order in which they were switched on.
    pub faults: Vec<FaultState>,
    /// Of switching off: those that were on, and are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<Vec<FaultState>>,
}

/// A fault that is on, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaultState {
    /// The fault, as it was switched on.
    pub fault: Fault,
    /// How often it has happened.
    pub happened: u64,
}
