//! The lab file: which key is where, and what switches and touches it.
//!
//! ```toml
//! [key.primary]
//! topology = "1-1.4.2"
//! aaguid = "a25342c0-3cdc-4414-8e46-f4807fca511c"
//! serial = "12345678"
//! power = "uhubctl -l 1-1.4 -p 2 -a {}"
//! touch = "finger 1"
//! pin-file = "primary.pin"
//! ```
//!
//! A key is known by its port, which survives its being plugged in again. What was written down of the key there has to be so still: another
//! key at a port is refused, and so is the key at another port.

use core::ops::Range;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use keyrig_ctap::Aaguid;
use keyrig_ways::{HidKey, is_port};
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use toml::Spanned;

use super::identity::Identity;

/// The longest lab file that is read, bytes.
pub const MAX_LAB_BYTES: u64 = 1 << 20;

/// What stands for `on` and `off` in a command that switches power.
pub const SWITCH: &str = "{}";

/// A lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// Its keys, by name.
    #[serde(default)]
    pub key: BTreeMap<String, LabKey>,
}

/// A key of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabKey {
    /// Its port, such as `1-1.4.2`.
    #[serde(deserialize_with = "port")]
    pub topology: String,
    /// Its AAGUID: a key of another model there is refused.
    #[serde(default, deserialize_with = "aaguid")]
    pub aaguid: Option<Aaguid>,
    /// Its serial number: another key there is refused. Of a key that tells none, nothing.
    pub serial: Option<String>,
    /// A command for a shell that switches its port's power: `{}` in it is `on` or `off`.
    #[serde(default, deserialize_with = "switches")]
    pub power: Option<String>,
    /// A command for a shell that touches it. It has the key's name in `KEYRIG_KEY`.
    pub touch: Option<String>,
    /// A file whose first line is its PIN; beside the lab's, unless its path is whole.
    pub pin_file: Option<PathBuf>,
}

/// A lab file that cannot be had.
#[derive(Debug, Error)]
pub enum LabError {
    /// It cannot be read or written.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It is longer than [`MAX_LAB_BYTES`].
    #[error("{} is longer than {MAX_LAB_BYTES} bytes: no lab is", .0.display())]
    TooLong(PathBuf),
    /// It is no lab.
    #[error("{}: {error}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        error: Box<toml::de::Error>,
    },
    /// No key has this name.
    #[error("{} has no key {name:?}: 'keyrig hid name {name} TOPOLOGY' writes one", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Another key of the lab has this port.
    #[error("{} has {other:?} at {topology}: a port has one key", file.display())]
    PortTaken {
        /// The file.
        file: PathBuf,
        /// Who has it.
        other: String,
        /// The port.
        topology: String,
    },
}

/// A key is not the one that a lab has under a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotTheKey {
    /// It is at another port.
    #[error(
        "key {name:?} belongs at {expected}, and was found at {found}: plug it in there, or 'keyrig hid name {name} {found}'"
    )]
    Elsewhere {
        /// Its name.
        name: String,
        /// The port that the lab has.
        expected: String,
        /// Where it was found.
        found: String,
    },
    /// What is at its port is another model.
    #[error("at {topology} is no key {name:?}: that has the AAGUID {expected}, and this one has {found}")]
    OtherModel {
        /// The name.
        name: String,
        /// The port.
        topology: String,
        /// The AAGUID that the lab has.
        expected: Aaguid,
        /// The AAGUID that was found; none of a key of U2F.
        found: String,
    },
    /// What is at its port is another key.
    #[error("at {topology} is no key {name:?}: that has the serial number {expected}, and this one has {found}")]
    OtherSerial {
        /// The name.
        name: String,
        /// The port.
        topology: String,
        /// The serial number that the lab has.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl NotTheKey {
    /// The name of the key that it is not.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Elsewhere { name, .. } | Self::OtherModel { name, .. } | Self::OtherSerial { name, .. } => name,
        }
    }
}

impl Lab {
    /// Reads a lab file.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn read(file: &Path) -> Result<Self, LabError> {
        Self::parse(file, &text_of(file)?)
    }

    /// The same of a text; `file` is what it is called.
    ///
    /// # Errors
    /// [`LabError::Invalid`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, LabError> {
        toml::from_str(text).map_err(|error| invalid(file, error))
    }

    /// A key by its name.
    ///
    /// # Errors
    /// [`LabError::Unknown`]; `file` is what the lab is called.
    pub fn named(&self, file: &Path, name: &str) -> Result<&LabKey, LabError> {
        self.key.get(name).ok_or_else(|| LabError::Unknown { file: file.to_owned(), name: name.to_owned() })
    }

    /// The key whose serial number this one has, if it belongs at another port.
    #[must_use]
    pub fn strayed(&self, found: &HidKey, identity: &Identity) -> Option<NotTheKey> {
        let serial = identity.serial(found)?;
        let at = found.place();
        let (name, key) = self.key.iter().find(|(_, key)| key.serial.as_deref() == Some(&serial))?;
        (key.topology != at).then(|| NotTheKey::Elsewhere {
            name: name.clone(),
            expected: key.topology.clone(),
            found: at,
        })
    }
}

impl LabKey {
    /// Whether this is it.
    ///
    /// # Errors
    /// [`NotTheKey`]: why it is not.
    pub fn check(&self, name: &str, found: &HidKey, identity: &Identity) -> Result<(), NotTheKey> {
        let (name, place) = (name.to_owned(), found.place());
        if place != self.topology {
            return Err(NotTheKey::Elsewhere { name, expected: self.topology.clone(), found: place });
        }
        if let Some(expected) = self.aaguid
            && identity.aaguid() != Some(expected)
        {
            let found = identity.aaguid().map_or_else(|| "none".to_owned(), |aaguid| aaguid.to_string());
            return Err(NotTheKey::OtherModel { name, topology: place, expected, found });
        }
        let serial = identity.serial(found);
        match &self.serial {
            Some(expected) if serial.as_ref() != Some(expected) => {
                let found = serial.unwrap_or_else(|| "none".to_owned());
                Err(NotTheKey::OtherSerial { name, topology: place, expected: expected.clone(), found })
            }
            _ => Ok(()),
        }
    }

    /// The command that switches its power on or off, if there is one.
    #[must_use]
    pub fn power_command(&self, on: bool) -> Option<String> {
        self.power.as_ref().map(|command| command.replace(SWITCH, if on { "on" } else { "off" }))
    }
}

/// Gives a port a name in a lab file, which is made if there is none; what else is in the file stays as it is written.
///
/// # Errors
/// [`LabError`].
pub fn name(file: &Path, name: &str, found: &HidKey, identity: &Identity) -> Result<(), LabError> {
    let text = match text_of(file) {
        Err(LabError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let lab = Lab::parse(file, &text)?;
    let topology = found.place();
    if let Some((other, _)) = lab.key.iter().find(|(known, key)| *known != name && key.topology == topology) {
        return Err(LabError::PortTaken { file: file.to_owned(), other: other.clone(), topology });
    }
    let mut values = vec![("topology", topology)];
    values.extend(identity.aaguid().map(|aaguid| ("aaguid", aaguid.to_string())));
    values.extend(identity.serial(found).map(|serial| ("serial", serial)));
    let written = changed(&text, name, &values).map_err(|error| invalid(file, error))?;
    // What is written is read first.
    Lab::parse(file, &written)?;
    fs::write(file, written).map_err(|error| LabError::File { file: file.to_owned(), error })
}

/// The places of what is known of a key.
#[derive(Deserialize)]
struct Places {
    #[serde(default)]
    key: BTreeMap<String, BTreeMap<String, Spanned<toml::Value>>>,
}

/// The text with these values of a key; those that are not among them it has no more, as they were another's.
fn changed(text: &str, name: &str, values: &[(&str, String)]) -> Result<String, toml::de::Error> {
    let places: Places = toml::from_str(text)?;
    let Some(known) = places.key.get(name) else {
        let lines: String = values.iter().map(|(member, value)| format!("{member} = {}\n", quoted(value))).collect();
        let between = if text.is_empty() { "" } else { "\n" };
        return Ok(format!("{text}{between}[key.{}]\n{lines}", quoted_key(name)));
    };
    let new = |member: &str| values.iter().find(|(known, _)| *known == member).map(|(_, value)| quoted(value));
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for member in ["topology", "aaguid", "serial"] {
        match (known.get(member).map(Spanned::span), new(member)) {
            (Some(place), Some(value)) => edits.push((place, value)),
            // An empty text of a serial number that is not looked for would be one: the line goes.
            (Some(place), None) => edits.push((line(text, &place), String::new())),
            (None, Some(value)) => {
                let behind = known.get("topology").map_or(text.len(), |place| place.span().end);
                edits.push((behind..behind, format!("\n{member} = {value}")));
            }
            (None, None) => {}
        }
    }
    // From the end, so that places stay where they are.
    edits.sort_by_key(|(place, _)| core::cmp::Reverse((place.start, place.end)));
    let mut text = text.to_owned();
    for (place, value) in edits {
        text.replace_range(place, &value);
    }
    Ok(text)
}

/// The whole line of a place.
fn line(text: &str, place: &Range<usize>) -> Range<usize> {
    let before = text.get(..place.start).unwrap_or_default();
    let behind = text.get(place.end..).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    start..behind.find('\n').map_or(text.len(), |end| place.end + end + 1)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn quoted_key(name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') && !name.is_empty();
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn text_of(file: &Path) -> Result<String, LabError> {
    let unreadable = |error| LabError::File { file: file.to_owned(), error };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    let read = opened.take(MAX_LAB_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_LAB_BYTES) {
        return Err(LabError::TooLong(file.to_owned()));
    }
    Ok(text)
}

fn invalid(file: &Path, error: toml::de::Error) -> LabError {
    LabError::Invalid { file: file.to_owned(), error: Box::new(error) }
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom(format!("{text:?} is no port: write it as 1-1.4.2"));
    if is_port(&text) { Ok(text) } else { Err(wrong()) }
}

fn aaguid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Aaguid>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

fn switches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let command = String::deserialize(deserializer)?;
    if !command.contains(SWITCH) {
        return Err(serde::de::Error::custom("write {} where the command wants on or off"));
    }
    Ok(Some(command))
}

#[cfg(test)]
mod tests {
    use keyrig_ctap::hid::{Capabilities, ChannelId, InitResponse};

    use super::*;

    fn key(topology: &str) -> HidKey {
        HidKey {
            topology: Some(topology.to_owned()),
            path: "/dev/hidraw0".into(),
            instance: None,
            address: None,
            vendor_id: 0x1050,
            product_id: 0x0407,
            release: 0x0543,
            manufacturer: None,
            product: None,
            serial: None,
        }
    }

    /// A YubiKey of U2F whose serial number is this.
    fn identity(serial_number: Option<u32>) -> Identity {
        let init = InitResponse {
            nonce: [0; 8],
            channel: ChannelId(1),
            protocol_version: 2,
            device_version: [4, 3, 7],
            capabilities: Capabilities(1),
        };
        Identity { init, info: None, serial_number, firmware: None }
    }

    const WRITTEN: &str = "# our lab\n[key.a]\ntopology = \"1-1\" # left\nserial = \"7\"\npower = \"uhubctl -p 1 -a {}\"\n\n[key.\"b\"]\ntopology = \"1-2\"\n";

    #[test]
    fn a_name_is_written_into_a_file_and_the_rest_of_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.toml");
        name(&file, "a", &key("1-1"), &identity(Some(7))).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "[key.a]\ntopology = \"1-1\"\nserial = \"7\"\n");
        fs::write(&file, WRITTEN).unwrap();
        name(&file, "a", &key("1-4.2"), &identity(None)).unwrap();
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, WRITTEN.replace("\"1-1\"", "\"1-4.2\"").replace("serial = \"7\"\n", ""));
        name(&file, "b", &key("1-3"), &identity(Some(9))).unwrap();
        let lab = Lab::read(&file).unwrap();
        assert_eq!((lab.key["b"].topology.as_str(), lab.key["b"].serial.as_deref()), ("1-3", Some("9")));
        assert_eq!(lab.key["a"].power_command(true).as_deref(), Some("uhubctl -p 1 -a on"));
        let taken = name(&file, "c", &key("1-3"), &identity(None)).unwrap_err();
        assert!(matches!(taken, LabError::PortTaken { other, .. } if other == "b"));
    }

    #[test]
    fn another_key_at_a_port_and_a_key_at_another_port_are_refused() {
        let lab: Lab = toml::from_str(WRITTEN).unwrap();
        let a = &lab.key["a"];
        assert_eq!(a.check("a", &key("1-1"), &identity(Some(7))), Ok(()));
        let refused = |found: &HidKey, serial| a.check("a", found, &identity(serial)).unwrap_err();
        assert!(matches!(refused(&key("1-3"), Some(7)), NotTheKey::Elsewhere { found, .. } if found == "1-3"));
        assert!(matches!(refused(&key("1-1"), Some(8)), NotTheKey::OtherSerial { found, .. } if found == "8"));
        assert!(matches!(refused(&key("1-1"), None), NotTheKey::OtherSerial { found, .. } if found == "none"));
        let strayed = lab.strayed(&key("1-2"), &identity(Some(7)));
        assert!(matches!(strayed, Some(NotTheKey::Elsewhere { name, .. }) if name == "a"));
        assert_eq!(lab.strayed(&key("1-1"), &identity(Some(7))), None);
        let with_model = LabKey { aaguid: Some(Aaguid([1; 16])), ..a.clone() };
        let other = with_model.check("a", &key("1-1"), &identity(Some(7))).unwrap_err();
        assert!(matches!(other, NotTheKey::OtherModel { found, .. } if found == "none"));
    }

    #[test]
    fn what_is_no_lab_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.toml");
        for (text, said) in [
            ("[key.a]\ntopology = \"left\"\n", "write it as 1-1.4.2"),
            ("[key.a]\ntopology = \"1-1\"\npower = \"uhubctl\"\n", "write {} where"),
            ("[key.a]\ntopology = \"1-1\"\ncolour = \"blue\"\n", "unknown field `colour`"),
            ("[keys]\n", "unknown field `keys`"),
        ] {
            fs::write(&file, text).unwrap();
            let error = Lab::read(&file).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("line"), "{error}");
        }
    }
}
