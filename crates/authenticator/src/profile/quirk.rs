//! Known bugs of real keys, to be switched on at any key; and one setting of YubiKeys.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyrig_ctap::get_info::OptionId;
use serde::Deserialize;
use thiserror::Error;

use super::Profile;
use super::behaviour::{self, Behaviour};
use super::device_info::DeviceInfo;
use super::source::{Known, Source};

/// A known bug: fields of behaviour, and who had it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quirk {
    /// The name by which it is switched on.
    pub name: String,
    /// What it looks like on the wire.
    pub what: String,
    /// Which keys had it.
    pub keys: String,
    /// Where it is known from.
    pub source: Source,
    /// The client that notices, or what comes of it.
    pub noticed_by: String,
    /// Who notices in a test, and how.
    pub noticed: Vec<Noticed>,
    /// What a key has to have for it to come to anything.
    pub needs: Option<Need>,
    fields: Vec<(&'static str, toml::Value)>,
    /// Not a bug: the key shows itself as a YubiKey with all applications enabled.
    all_applications: bool,
}

/// A client that notices a quirk: it does something with a key that has it, and says what it does not of the same key without.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// The client, as `libfido2`; `a raw host` is one that does what others do not.
    pub by: String,
    /// What it does.
    pub doing: String,
    /// The profile of the key, `keyrig` if none is named.
    #[serde(default = "keyrig")]
    pub profile: String,
    /// A part of what it says.
    pub says: String,
}

fn keyrig() -> String {
    "keyrig".to_owned()
}

/// There is no such quirk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no quirk is called {0:?}: the quirks are {known}", known = Quirk::names().collect::<Vec<_>>().join(", "))]
pub struct UnknownQuirk(pub String);

/// Something of a key without which a quirk comes to nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Need {
    /// CTAP2.
    #[serde(rename = "CTAP2")]
    Ctap2,
    /// Discoverable credentials.
    #[serde(rename = "rk")]
    Discoverable,
    /// PINs.
    #[serde(rename = "clientPin")]
    ClientPin,
    /// PIN/UV auth protocol two.
    #[serde(rename = "PIN/UV auth protocol two")]
    ProtocolTwo,
    /// authenticatorCredentialManagement.
    #[serde(rename = "credMgmt")]
    CredentialManagement,
    /// Built-in user verification.
    #[serde(rename = "uv")]
    BuiltInUv,
    /// BE and BS, bits that are reserved before CTAP 2.1.
    #[serde(rename = "CTAP 2.1")]
    BackupFlags,
    /// User verification for whatever is asked.
    #[serde(rename = "alwaysUv")]
    AlwaysUv,
    /// The extension hmac-secret.
    #[serde(rename = "hmac-secret")]
    HmacSecret,
}

impl Need {
    /// What the specifications call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ctap2 => "CTAP2",
            Self::Discoverable => "rk",
            Self::ClientPin => "clientPin",
            Self::ProtocolTwo => "PIN/UV auth protocol two",
            Self::CredentialManagement => "credMgmt",
            Self::BuiltInUv => "uv",
            Self::BackupFlags => "CTAP 2.1",
            Self::AlwaysUv => "alwaysUv",
            Self::HmacSecret => "hmac-secret",
        }
    }

    fn is_met_by(self, profile: &Profile) -> bool {
        let has = |option| profile.option(option).is_some();
        match self {
            Self::Ctap2 => profile.has_ctap2(),
            Self::Discoverable => profile.option(OptionId::Rk) == Some(true),
            Self::ClientPin => has(OptionId::ClientPin),
            Self::ProtocolTwo => profile.pin_uv_auth_protocols().contains(&2),
            Self::CredentialManagement => has(OptionId::CredMgmt) || has(OptionId::CredentialMgmtPreview),
            Self::BuiltInUv => profile.has_built_in_uv(),
            Self::BackupFlags => profile.knows_ctap_2_1(),
            Self::AlwaysUv => has(OptionId::AlwaysUv),
            Self::HmacSecret => profile.has_extension("hmac-secret"),
        }
    }
}

/// A key does not get a quirk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuirkRefused {
    /// It is a setting of other keys.
    #[error("{quirk} is for YubiKeys with more than FIDO, and {profile} is none")]
    NotAYubiKey {
        /// The quirk.
        quirk: String,
        /// The profile.
        profile: String,
    },
    /// It is about something that the key has not.
    #[error("{quirk} is about {}, which {profile} has not", needs.name())]
    Needs {
        /// The quirk.
        quirk: String,
        /// The profile.
        profile: String,
        /// What the key has not.
        needs: Need,
    },
    /// The key does it without, or has it already.
    #[error("{quirk} changes nothing: {profile} does that already")]
    NoEffect {
        /// The quirk.
        quirk: String,
        /// The profile.
        profile: String,
    },
    /// The key has a quirk by which it does something else.
    #[error("{quirk} and {other} contradict each other in {field}: leave one out")]
    Contradicts {
        /// The quirk.
        quirk: String,
        /// The one that the key has.
        other: String,
        /// The field of behaviour.
        field: &'static str,
    },
}

/// The product id and string of a YubiKey 5 with all applications enabled.
const ALL_APPLICATIONS: (u16, &str) = (0x0407, "YubiKey OTP+FIDO+CCID");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    what: String,
    keys: String,
    known: Known,
    from: String,
    noticed_by: String,
    noticed: Vec<Noticed>,
    needs: Option<Need>,
    #[serde(default)]
    behaviour: BTreeMap<String, toml::Value>,
    #[serde(default)]
    all_applications: bool,
}

static QUIRKS: LazyLock<Vec<Quirk>> = LazyLock::new(|| {
    read(include_str!("../../quirks.toml")).expect("the quirks that come with keyrig are valid: a test reads them")
});

/// Reads quirks.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read(text: &str) -> Result<Vec<Quirk>, String> {
    let written: BTreeMap<String, Written> = toml::from_str(text).map_err(|error| error.to_string())?;
    let quirk = |(name, written): (String, Written)| {
        let Written { what, keys, known, from, noticed_by, noticed, needs, behaviour, all_applications } = written;
        let source = Source { known, from };
        let mut fields = Vec::new();
        for (field, value) in behaviour {
            let field = behaviour::field(&field).ok_or_else(|| format!("{name}: {field} is no field of behaviour"))?;
            Behaviour::default()
                .set(field, &value, source.clone())
                .map_err(|error| format!("{name}: {field}: {error}"))?;
            fields.push((field, value));
        }
        Ok(Quirk { name, what, keys, source, noticed_by, noticed, needs, fields, all_applications })
    };
    written.into_iter().map(quirk).collect()
}

impl Quirk {
    /// All of them, by name.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &QUIRKS
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::all().iter().map(|quirk| quirk.name.as_str())
    }

    /// The quirk with this name.
    ///
    /// # Errors
    /// [`UnknownQuirk`].
    pub fn named(name: &str) -> Result<&'static Self, UnknownQuirk> {
        let found = Self::all().iter().find(|quirk| quirk.name == name);
        found.ok_or_else(|| UnknownQuirk(name.chars().take(64).collect()))
    }

    /// The first field of which another quirk says something else.
    fn contradiction(&self, other: &Self) -> Option<&'static str> {
        let differs = |(field, value): &&(&str, toml::Value)| {
            other.fields.iter().any(|(known, other)| known == field && other != value)
        };
        self.fields.iter().find(differs).map(|(field, _)| *field)
    }
}

impl Profile {
    /// The same key with a known bug.
    ///
    /// # Errors
    /// [`QuirkRefused`]: the key would be none that has it. It is as it was, then.
    pub fn add(&mut self, quirk: &Quirk) -> Result<(), QuirkRefused> {
        let (name, profile) = (quirk.name.clone(), self.name.clone());
        if let Some(needs) = quirk.needs.filter(|needs| !needs.is_met_by(self)) {
            return Err(QuirkRefused::Needs { quirk: name, profile, needs });
        }
        for other in Quirk::all().iter().filter(|other| self.quirks.contains(&other.name)) {
            if let Some(field) = quirk.contradiction(other) {
                return Err(QuirkRefused::Contradicts { quirk: name, other: other.name.clone(), field });
            }
        }
        let mut behaviour = self.behaviour.clone();
        for (field, value) in &quirk.fields {
            let set = behaviour.set(field, value, quirk.source.clone());
            set.expect("it was set once, when it was read");
        }
        let changes = behaviour.differs_from(&self.behaviour) || quirk.all_applications;
        if !changes || self.quirks.contains(&name) {
            return Err(QuirkRefused::NoEffect { quirk: name, profile });
        }
        if quirk.all_applications {
            if !self.device_info.as_mut().is_some_and(DeviceInfo::tell_all_applications) {
                return Err(QuirkRefused::NotAYubiKey { quirk: name, profile });
            }
            if let Some(usb) = &mut self.usb {
                let (product_id, product) = ALL_APPLICATIONS;
                usb.product_id = product_id;
                product.clone_into(&mut usb.product);
            }
        }
        self.behaviour = behaviour;
        self.quirks.push(name);
        Ok(())
    }
}
