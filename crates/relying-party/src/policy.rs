//! Policies: how a relying party behaves where relying parties differ, as data.
//!
//! The default is [`strict-l3`](Policy::strict). Each of the others says in its text what it does that the default does
//! not, and why that is a risk.

use std::time::Duration;

use keyrig_verifier::{
    AuthenticationExpectations, Deviation, Framing, RegistrationExpectations, SUPPORTED_ALGORITHMS, Strictness,
    UserVerification,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The policies that come with keyrig: name and text. The first is the default.
const BUILT_IN: [(&str, &str); 5] = [
    ("strict-l3", include_str!("../policies/strict-l3.toml")),
    ("proxmox-9", include_str!("../policies/proxmox-9.toml")),
    ("pve-8.0.3", include_str!("../policies/pve-8.0.3.toml")),
    ("webauthn-rs", include_str!("../policies/webauthn-rs.toml")),
    ("post-quantum", include_str!("../policies/post-quantum.toml")),
];

/// The types of second factors that a realm can ask for.
const REALM_TYPES: [&str; 3] = ["oath", "any", "webauthn"];

/// What a relying party does where relying parties differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The name by which it is chosen.
    #[serde(skip_deserializing)]
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// How long a challenge can be answered: 1 s to ten minutes.
    #[serde(rename = "challenge_lifetime_s", deserialize_with = "seconds", serialize_with = "as_seconds")]
    pub challenge_lifetime: Duration,
    /// What browsers are told as `timeout`, in milliseconds.
    pub timeout_ms: u32,
    /// What is offered as `pubKeyCredParams`: COSE identifiers, the preferred first.
    #[serde(deserialize_with = "algorithms")]
    pub algorithms: Vec<i64>,
    /// What is sent as `hints` (WebAuthn Level 3, §5.8.7).
    pub hints: Vec<String>,
    /// User verification where the key is a second factor. A passkey login, without a password, always requires it.
    pub user_verification: Preference,
    /// `residentKey` in registrations.
    pub resident_key: Preference,
    /// What is sent as `user.id`.
    pub user_handle: UserHandle,
    /// What becomes of the signature counter.
    pub signature_counter: SignatureCounter,
    /// Whether a login may run in a frame on another site's page. A registration never may.
    pub framed_login: FramedLogin,
    /// Whose verdict decides.
    pub decided_by: DecidedBy,
    /// Whether a realm that asks for `oath` refuses security keys.
    pub oath_realm_excludes_webauthn: bool,
    /// Which types of second factors a realm can ask for, of `oath`, `any` and `webauthn`.
    #[serde(deserialize_with = "realm_types")]
    pub realm_types: Vec<String>,
    /// Whether a user who has no factor, where the realm asks for one, is led through enrolment after the password,
    /// rather than refused.
    pub enrol_at_login: bool,
    /// Whether a ticket of Proxmox VE's form is good until its two hours are over, also when the session was ended that it is of.
    pub ticket_outlives_session: bool,
    /// Whether a second step of Proxmox VE's form is taken whatever its ticket, so that nobody has to know a password: the hole of
    /// CVE-2023-54391.
    pub second_step_without_ticket: bool,
    /// What takes a session in which the password was given again.
    pub confirmation: Confirmation,
    /// How much of WebAuthn's letter is insisted on.
    pub strictness: Strictness,
    /// What it does that the default does not.
    #[serde(default)]
    pub differences: Vec<Difference>,
}

/// Something that a policy does and the default does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The field of the policy that makes it so, such as `algorithms` or `strictness.cbor_form`.
    pub field: String,
    /// What it does: a sentence that begins with a verb.
    pub does: String,
    /// Why that is a risk.
    pub risk: String,
}

/// How much something is wanted (WebAuthn Level 3, §5.4.4 and §5.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// It has to be.
    Required,
    /// If it can be.
    Preferred,
    /// Rather not.
    Discouraged,
}

impl Preference {
    /// The word that WebAuthn has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
            Self::Discouraged => "discouraged",
        }
    }
}

/// What is sent as `user.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserHandle {
    /// The same for all registrations of a user (WebAuthn Level 3, §14.6.1).
    PerUser,
    /// A new one for every registration.
    PerRegistration,
}

/// What becomes of the signature counter (WebAuthn Level 3, §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureCounter {
    /// It is saved; one that did not grow refuses the login.
    Refuse,
    /// It is saved; one that did not grow is reported and refuses nothing.
    Report,
    /// It is compared with the one at registration, and never saved.
    Unsaved,
}

/// Whether a login may run in a frame on another site's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FramedLogin {
    /// It may not.
    Refused,
    /// It may, in any page.
    Accepted,
}

/// Whose verdict decides over a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// This crate's verifier.
    Keyrig,
    /// webauthn-rs.
    WebauthnRs,
}

/// What takes a session in which the password was given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Changing factors, users and realms.
    EveryChange,
    /// Changing factors, unless `root@pam` does it.
    FactorsExceptByRoot,
    /// Changing factors and setting others' passwords, unless `root@pam` does it.
    FactorsAndPasswordsExceptByRoot,
}

impl Confirmation {
    /// Whether `root@pam` never has to.
    #[must_use]
    pub fn is_not_of_root(self) -> bool {
        self != Self::EveryChange
    }
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("policy {name}: {reason}")]
pub struct InvalidPolicy {
    /// The name under which it was read.
    pub name: String,
    /// What is wrong and where, over several lines.
    pub reason: String,
}

/// No policy that comes with keyrig has that name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no policy {name:?}; the policies are {}", Policy::built_in_names().collect::<Vec<_>>().join(", "))]
pub struct UnknownPolicy {
    /// The name asked for.
    pub name: String,
}

impl Policy {
    /// The default: WebAuthn Level 3 as it is written.
    #[must_use]
    pub fn strict() -> Self {
        let [(name, text), ..] = BUILT_IN;
        Self::parse(name, text).expect("a policy that comes with keyrig is valid: a test reads them all")
    }

    /// What a server with a `datacenter.cfg` is.
    #[must_use]
    pub fn proxmox_ve() -> Self {
        let [_, (name, text), ..] = BUILT_IN;
        Self::parse(name, text).expect("a policy that comes with keyrig is valid: a test reads them all")
    }

    /// The policy that comes with keyrig under this name.
    ///
    /// # Errors
    /// When there is none; the error names them all.
    pub fn built_in(name: &str) -> Result<Self, UnknownPolicy> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (name, text) = found.ok_or_else(|| UnknownPolicy { name: name.to_owned() })?;
        Ok(Self::parse(name, text).expect("a policy that comes with keyrig is valid: a test reads them all"))
    }

    /// The names of the policies that come with keyrig, the default first.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Its fields as its file has them, a field of a table by both names (`strictness.cbor_form`): name, and value in JSON.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let whole = serde_json::to_value(self).unwrap_or_default();
        let members = whole.as_object().into_iter().flatten();
        let members = members.filter(|(name, _)| !["name", "description", "differences"].contains(&name.as_str()));
        let flat = members.flat_map(|(name, value)| match value {
            Value::Object(inner) => {
                inner.iter().map(|(member, value)| (format!("{name}.{member}"), value.clone())).collect()
            }
            value => vec![(name.clone(), value.clone())],
        });
        flat.collect()
    }

    /// Holds a registration to the policy, beside what it is held to: user verification, algorithms, the letter.
    pub fn hold_registration<'a>(&'a self, expected: &mut RegistrationExpectations<'a>) {
        expected.user_verification |= self.user_verification == Preference::Required;
        expected.algorithms = &self.algorithms;
        expected.strictness = self.strictness;
    }

    /// Holds a login to the policy, beside what it is held to: user verification, frames, the counter, the letter.
    pub fn hold_authentication(&self, expected: &mut AuthenticationExpectations<'_>) {
        expected.user_verification |= self.user_verification == Preference::Required;
        expected.framing = match self.framed_login {
            FramedLogin::Refused => Framing::Refused,
            FramedLogin::Accepted => Framing::AllowedAnywhere,
        };
        expected.counter = match self.signature_counter {
            SignatureCounter::Refuse | SignatureCounter::Unsaved => Deviation::Refuse,
            SignatureCounter::Report => Deviation::Report,
        };
        expected.strictness = self.strictness;
    }

    /// What webauthn-rs is asked for, in the policy in which it decides.
    #[must_use]
    pub fn for_webauthn_rs(&self) -> UserVerification {
        match self.user_verification {
            Preference::Required => UserVerification::Required,
            Preference::Preferred => UserVerification::Preferred,
            Preference::Discouraged => UserVerification::Discouraged,
        }
    }

    /// Reads a policy.
    ///
    /// # Errors
    /// When the text is not TOML, or a field is missing, unknown or out of range.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidPolicy> {
        let invalid = |reason: String| InvalidPolicy { name: name.to_owned(), reason };
        let policy: Self = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { name: name.to_owned(), ..policy })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::strict()
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let found = u64::deserialize(deserializer)?;
    if (1..=600).contains(&found) {
        Ok(Duration::from_secs(found))
    } else {
        Err(serde::de::Error::custom(format!("{found} s is out of bounds: it has to be 1 to 600")))
    }
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    let found = Vec::<i64>::deserialize(deserializer)?;
    match found.iter().find(|algorithm| !SUPPORTED_ALGORITHMS.contains(algorithm)) {
        Some(unknown) => {
            let known = SUPPORTED_ALGORITHMS.map(|algorithm| algorithm.to_string()).join(", ");
            Err(serde::de::Error::custom(format!(
                "{unknown} is not an algorithm that can be verified: these are {known}"
            )))
        }
        None if found.is_empty() => Err(serde::de::Error::custom("no algorithm is named")),
        None => Ok(found),
    }
}

fn realm_types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let found = Vec::<String>::deserialize(deserializer)?;
    match found.iter().find(|found| !REALM_TYPES.contains(&found.as_str())) {
        Some(unknown) => Err(serde::de::Error::custom(format!(
            "{unknown:?} is not a type of a realm's second factor: these are oath, any and webauthn"
        ))),
        None if found.is_empty() => Err(serde::de::Error::custom("no type is named")),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests;
