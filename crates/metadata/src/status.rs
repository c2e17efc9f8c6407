//! What the service says of an authenticator (FIDO Metadata Service 3.1 §3.1.3, §3.1.4).

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::date::Date;
use crate::limits;

/// One report of an authenticator's status. The current status is that of the last one in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The status.
    pub status: Status,
    /// From when on it is in force; from the first on, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_date: Option<Date>,
    /// The firmware that it concerns; any, if absent. For [`Status::UpdateAvailable`], the firmware that is meant to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_version: Option<u64>,
    /// The certificate that it concerns, DER in Base64: for a compromised attestation key, which.
    #[serde(default, alias = "batchCertificate", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Where more is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What was certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certification_descriptor: Option<String>,
    /// The number of the certification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_number: Option<String>,
    /// The version of the certification's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certification_policy_version: Option<String>,
    /// The version of the certification's requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certification_requirements_version: Option<String>,
    /// By which profiles it was certified.
    #[serde(default, deserialize_with = "limits::list", skip_serializing_if = "Vec::is_empty")]
    pub certification_profiles: Vec<String>,
}

impl StatusReport {
    /// A report that says this alone.
    #[must_use]
    pub fn new(status: Status, effective_date: Date) -> Self {
        Self {
            status,
            effective_date: Some(effective_date),
            authenticator_version: None,
            certificate: None,
            url: None,
            certification_descriptor: None,
            certificate_number: None,
            certification_policy_version: None,
            certification_requirements_version: None,
            certification_profiles: Vec::new(),
        }
    }

    /// Whether it is in force on a day.
    #[must_use]
    pub fn in_force(&self, on: Date) -> bool {
        self.effective_date.is_none_or(|date| date <= on)
    }
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $case:ident = $name:literal,)*) => {
        /// `AuthenticatorStatus`.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status {
            $($(#[$doc])* $case,)*
            /// One that is not known here.
            Other(String),
        }

        impl Status {
            /// As it is written.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$case => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<String> for Status {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($name => Self::$case,)*
                    _ => Self::Other(name),
                }
            }
        }
    };
}

statuses! {
    /// It is not certified.
    NotFidoCertified = "NOT_FIDO_CERTIFIED",
    /// It is certified, without a level.
    FidoCertified = "FIDO_CERTIFIED",
    /// User verification can be passed by.
    UserVerificationBypass = "USER_VERIFICATION_BYPASS",
    /// An attestation key is known to others.
    AttestationKeyCompromise = "ATTESTATION_KEY_COMPROMISE",
    /// Users' keys can be had from afar.
    UserKeyRemoteCompromise = "USER_KEY_REMOTE_COMPROMISE",
    /// Users' keys can be had by whoever has the device.
    UserKeyPhysicalCompromise = "USER_KEY_PHYSICAL_COMPROMISE",
    /// There is newer firmware.
    UpdateAvailable = "UPDATE_AVAILABLE",
    /// It is not sold any more.
    Retired = "RETIRED",
    /// The service does not trust it any more.
    Revoked = "REVOKED",
    /// Its maker's own assertion was handed in.
    SelfAssertionSubmitted = "SELF_ASSERTION_SUBMITTED",
    /// Certified at level 1.
    FidoCertifiedL1 = "FIDO_CERTIFIED_L1",
    /// Certified at level 1+.
    FidoCertifiedL1Plus = "FIDO_CERTIFIED_L1plus",
    /// Certified at level 2.
    FidoCertifiedL2 = "FIDO_CERTIFIED_L2",
    /// Certified at level 2+.
    FidoCertifiedL2Plus = "FIDO_CERTIFIED_L2plus",
    /// Certified at level 3.
    FidoCertifiedL3 = "FIDO_CERTIFIED_L3",
    /// Certified at level 3+.
    FidoCertifiedL3Plus = "FIDO_CERTIFIED_L3plus",
}

impl Status {
    /// Whether it says that the authenticator, or its attestation, can not be relied on: what relying parties refuse if they look at
    /// statuses at all (FIDO Metadata Service 3.1 §3.1.4).
    #[must_use]
    pub fn is_undesired(&self) -> bool {
        matches!(
            self,
            Self::UserVerificationBypass
                | Self::AttestationKeyCompromise
                | Self::UserKeyRemoteCompromise
                | Self::UserKeyPhysicalCompromise
                | Self::Revoked
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
