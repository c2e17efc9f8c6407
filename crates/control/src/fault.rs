//! The commands that switch faults, and their answer.

use keyrig_faults::{Fault, Kind};
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

/// Switch off the faults of one name at a key, or all. The answer is about those that are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SwitchFaultsOff {
    /// The key.
    pub key: KeyName,
    /// The name; without it, all.
    #[serde(default)]
    pub fault: Option<Kind>,
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
}

/// A fault that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaultState {
    /// The fault, as it was switched on.
    pub fault: Fault,
    /// How often it has happened.
    pub happened: u64,
}
