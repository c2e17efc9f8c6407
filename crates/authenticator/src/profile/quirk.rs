//! Known bugs of real keys, to be switched on at any key; and one setting of YubiKeys.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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
    fields: Vec<(&'static str, toml::Value)>,
    /// Not a bug: the key shows itself as a YubiKey with all applications enabled.
    all_applications: bool,
}

/// There is no such quirk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no quirk is called {0:?}: the quirks are {known}", known = Quirk::names().collect::<Vec<_>>().join(", "))]
pub struct UnknownQuirk(pub String);

/// A quirk is for other keys.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{quirk} is for YubiKeys with more than FIDO, and {profile} is none")]
pub struct NotForThisKey {
    quirk: String,
    profile: String,
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
        let Written { what, keys, known, from, noticed_by, behaviour, all_applications } = written;
        let source = Source { known, from };
        let mut fields = Vec::new();
        for (field, value) in behaviour {
            let field = behaviour::field(&field).ok_or_else(|| format!("{name}: {field} is no field of behaviour"))?;
            Behaviour::default()
                .set(field, &value, source.clone())
                .map_err(|error| format!("{name}: {field}: {error}"))?;
            fields.push((field, value));
        }
        Ok(Quirk { name, what, keys, source, noticed_by, fields, all_applications })
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
}

impl Profile {
    /// The same key with a known bug.
    ///
    /// # Errors
    /// [`NotForThisKey`]: the quirk is about something that the key has not.
    pub fn add(&mut self, quirk: &Quirk) -> Result<(), NotForThisKey> {
        if quirk.all_applications {
            if !self.device_info.as_mut().is_some_and(DeviceInfo::tell_all_applications) {
                return Err(NotForThisKey { quirk: quirk.name.clone(), profile: self.name.clone() });
            }
            let (product_id, product) = ALL_APPLICATIONS;
            self.usb.product_id = product_id;
            product.clone_into(&mut self.usb.product);
        }
        for (field, value) in &quirk.fields {
            let set = self.behaviour.set(field, value, quirk.source.clone());
            set.expect("it was set once, when it was read");
        }
        self.quirks.push(quirk.name.clone());
        Ok(())
    }
}
