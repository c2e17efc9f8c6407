//! The binary structures of WebAuthn for people: each field with where it is, and where one that is broken breaks.

mod inside;

use std::collections::BTreeMap;
use std::fmt::Write;

use keyrig_ctap::Aaguid;
use keyrig_ctap::cbor::{Item, Malformed};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cbor::OBJECT_DEPTH;
use crate::shown::{hex, json_problem, shown};

/// A structure, read as far as it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Its fields, in the order of the bytes; those of a field follow it, one level deeper.
    pub fields: Vec<Field>,
    /// Where reading ended, if that is before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Where it begins, in bytes from the structure's beginning.
    pub offset: usize,
    /// How many bytes it has.
    pub length: usize,
    /// How deep it is: 0 for the structure's own.
    pub depth: usize,
    /// Its name in the specification, or its key.
    pub name: String,
    /// What it says, for people.
    pub value: String,
}

/// Where a structure breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The first byte that is wrong, from the structure's beginning.
    pub offset: usize,
    /// What is wrong there.
    pub reason: String,
}

/// What an integer key of a map is called.
type Names = fn(i64) -> Option<&'static str>;

impl Structure {
    /// Authenticator data (WebAuthn Level 3, §6.1).
    #[must_use]
    pub fn of_authenticator_data(bytes: &[u8]) -> Self {
        let mut reading = Reading::of(bytes);
        reading.authenticator_data(bytes, 0);
        reading.structure
    }

    /// An attestation object (WebAuthn Level 3, §6.5.4), with the authenticator data in it.
    #[must_use]
    pub fn of_attestation_object(bytes: &[u8]) -> Self {
        let mut reading = Reading::of(bytes);
        match Item::parse_within(bytes, OBJECT_DEPTH) {
            Ok(item) => reading.attestation_object(item),
            Err(error) => reading.malformed(0, error),
        }
        reading.structure
    }

    /// clientDataJSON (WebAuthn Level 3, §5.8.1): the values of its members; one that is not JSON has where it breaks.
    #[must_use]
    pub fn of_client_data_json(bytes: &[u8]) -> Self {
        let mut reading = Reading::of(bytes);
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json) {
            Ok(members) => {
                let places: BTreeMap<String, &RawValue> = serde_json::from_slice(json).unwrap_or_default();
                for (name, value) in members {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let place = places.get(&name).map_or(bytes, |place| place.get().as_bytes());
                    reading.push(place, 0, &name, shown(&text));
                }
                reading.structure.fields.sort_by_key(|field| field.offset);
            }
            Err(error) => {
                let (offset, reason) = json_problem(json, &error);
                reading.broken(bytes.len() - json.len() + offset, format!("not a JSON object: {reason}"));
            }
        }
        reading.structure
    }
}

struct Reading<'a> {
    whole: &'a [u8],
    structure: Structure,
}

impl<'a> Reading<'a> {
    fn of(whole: &'a [u8]) -> Self {
        Self { whole, structure: Structure::default() }
    }

    /// Where a part of the structure is in it.
    fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr().addr().saturating_sub(self.whole.as_ptr().addr())
    }

    fn push(&mut self, part: &[u8], depth: usize, name: &str, value: impl Into<String>) {
        let (offset, length) = (self.offset(part), part.len());
        self.structure.fields.push(Field { offset, length, depth, name: name.to_owned(), value: value.into() });
    }

    fn broken(&mut self, offset: usize, reason: impl Into<String>) {
        self.structure.broken.get_or_insert(Broken { offset, reason: reason.into() });
    }

    fn malformed(&mut self, base: usize, error: Malformed) {
        self.broken(base + error.offset, format!("not CBOR in CTAP2's canonical form: {}", error.reason));
    }

    fn attestation_object(&mut self, object: Item<'a>) {
        let Ok(members) = object.map() else {
            self.broken(0, "an attestation object is a map");
            return;
        };
        for (key, value) in members {
            match (key.text().unwrap_or_default(), value.bytes()) {
                ("authData", Ok(bytes)) => {
                    self.push(bytes, 0, "authData", format!("{} bytes", bytes.len()));
                    self.authenticator_data(bytes, 1);
                }
                (name, _) => self.item(value, 0, &name_of(key, name, |_| None), |_| None),
            }
        }
    }

    fn authenticator_data(&mut self, bytes: &'a [u8], depth: usize) {
        let base = self.offset(bytes);
        let mut rest = bytes;
        let Some(rp_id_hash) = self.take(&mut rest, 32, "rpIdHash") else { return };
        self.push(rp_id_hash, depth, "rpIdHash", hex(rp_id_hash));
        let Some(flags @ [set]) = self.take(&mut rest, 1, "flags") else { return };
        let set = *set;
        self.push(flags, depth, "flags", format!("{set:#04x} {}", names_of_flags(set)));
        let Some(counter) = self.take(&mut rest, 4, "signCount") else { return };
        let count = counter.iter().fold(0_u32, |count, byte| count << 8 | u32::from(*byte));
        self.push(counter, depth, "signCount", count.to_string());
        if set & 0x40 != 0 {
            let Some(aaguid) = self.take(&mut rest, 16, "aaguid") else { return };
            let model = <[u8; 16]>::try_from(aaguid).map(|bytes| Aaguid(bytes).to_string()).unwrap_or_default();
            self.push(aaguid, depth, "aaguid", model);
            let Some(length) = self.take(&mut rest, 2, "credentialIdLength") else { return };
            let count = length.iter().fold(0_usize, |count, byte| count << 8 | usize::from(*byte));
            self.push(length, depth, "credentialIdLength", count.to_string());
            let Some(id) = self.take(&mut rest, count, "credentialId") else { return };
            self.push(id, depth, "credentialId", hex(id));
            match Item::parse_prefix(rest) {
                Ok((key, after)) => {
                    self.item(key, depth, "credentialPublicKey", names_in_cose_key(key));
                    rest = after;
                }
                Err(error) => return self.malformed(self.offset(rest), error),
            }
        }
        if set & 0x80 != 0 {
            match Item::parse_prefix(rest) {
                Ok((extensions, after)) => {
                    self.item(extensions, depth, "extensions", |_| None);
                    rest = after;
                }
                Err(error) => return self.malformed(self.offset(rest), error),
            }
        }
        if !rest.is_empty() {
            let flag = if set & 0x80 == 0 { ", and the ED flag is not set" } else { "" };
            self.broken(
                base + bytes.len() - rest.len(),
                format!("{} bytes follow that nothing announces{flag}", rest.len()),
            );
        }
    }

    fn take(&mut self, rest: &mut &'a [u8], length: usize, name: &str) -> Option<&'a [u8]> {
        let Some((part, after)) = rest.split_at_checked(length) else {
            let end = self.offset(rest) + rest.len();
            self.broken(end, format!("{name} has {length} bytes, and the data ends after {} of them", rest.len()));
            return None;
        };
        *rest = after;
        Some(part)
    }

    fn item(&mut self, item: Item<'a>, depth: usize, name: &str, names: Names) {
        let whole = item.encoded();
        if let Ok(entries) = item.map() {
            let entries: Vec<_> = entries.collect();
            self.push(whole, depth, name, format!("a map of {}", entries.len()));
            for (key, value) in entries {
                let text = key.text().unwrap_or_default();
                self.item(value, depth + 1, &name_of(key, text, names), |_| None);
            }
        } else if let Ok(elements) = item.array() {
            let elements: Vec<_> = elements.collect();
            self.push(whole, depth, name, format!("an array of {}", elements.len()));
            for (index, element) in elements.into_iter().enumerate() {
                self.item(element, depth + 1, &format!("[{index}]"), |_| None);
            }
        } else if let Ok(bytes) = item.bytes() {
            self.byte_string(bytes, depth, name);
        } else {
            self.push(whole, depth, name, value_of(item, name));
        }
    }

    /// The bytes without the head that says how many there are, and what they hold if that is known.
    fn byte_string(&mut self, bytes: &'a [u8], depth: usize, name: &str) {
        let length = bytes.len();
        let (value, (parts, broken)) = match name {
            "pubArea" => (format!("{length} bytes"), inside::public_area(bytes)),
            "certInfo" => (format!("{length} bytes"), inside::attested(bytes)),
            _ => match inside::certificate(bytes) {
                Some((told, parts)) => (format!("{length} bytes: {told}"), (parts, None)),
                None => (hex(bytes), (Vec::new(), None)),
            },
        };
        self.push(bytes, depth, name, value);
        for part in parts {
            self.push(part.bytes, depth + 1 + part.depth, &part.name, part.value);
        }
        if let Some(broken) = broken {
            self.broken(self.offset(broken.at), format!("{name}: {}", broken.reason));
        }
    }
}

fn name_of(key: Item<'_>, text: &str, names: Names) -> String {
    match key.integer() {
        Ok(number) => names(number).map_or_else(|| number.to_string(), |name| format!("{name} ({number})")),
        Err(_) if text.is_empty() => hex(key.encoded()),
        Err(_) => shown(text).into_owned(),
    }
}

fn value_of(item: Item<'_>, name: &str) -> String {
    if let Ok(number) = item.integer() {
        let algorithm = if name.starts_with("alg") { name_of_algorithm(number) } else { None };
        return algorithm.map_or_else(|| number.to_string(), |algorithm| format!("{number}, {algorithm}"));
    }
    if let Ok(text) = item.text() {
        return shown(text).into_owned();
    }
    item.boolean().map_or_else(|_| hex(item.encoded()), |value| value.to_string())
}

/// WebAuthn Level 3, §6.1: bits 1 and 5 are reserved.
fn names_of_flags(flags: u8) -> String {
    let names = [(0x01, "UP"), (0x04, "UV"), (0x08, "BE"), (0x10, "BS"), (0x40, "AT"), (0x80, "ED")];
    let mut text: Vec<String> =
        names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    let mut reserved = String::new();
    for bit in [0x02, 0x20].into_iter().filter(|bit| flags & bit != 0) {
        // Writing to a string does not fail.
        let _ = write!(reserved, "reserved {bit:#04x}");
    }
    text.extend(Some(reserved).filter(|reserved| !reserved.is_empty()));
    if text.is_empty() { "none".to_owned() } else { text.join(" ") }
}

/// RFC 9964, §3, for the key type AKP, and RFC 9053, §7, for others.
fn names_in_cose_key(key: Item<'_>) -> Names {
    const AKP: i64 = 7;
    let kind = key.map().ok().and_then(|mut entries| entries.find(|(label, _)| label.integer() == Ok(1)));
    if !kind.is_some_and(|(_, kind)| kind.integer() == Ok(AKP)) {
        return name_in_cose_key;
    }
    |label| if label == -1 { Some("pub") } else { name_in_cose_key(label).filter(|_| label > 0) }
}

/// RFC 9053, §7, for keys with two coordinates, and what all have.
fn name_in_cose_key(label: i64) -> Option<&'static str> {
    Some(match label {
        1 => "kty",
        3 => "alg",
        -1 => "crv",
        -2 => "x",
        -3 => "y",
        _ => return None,
    })
}

/// IANA, COSE Algorithms.
fn name_of_algorithm(algorithm: i64) -> Option<&'static str> {
    Some(match algorithm {
        -7 => "ES256",
        -8 => "EdDSA",
        -35 => "ES384",
        -36 => "ES512",
        -37 => "PS256",
        -38 => "PS384",
        -39 => "PS512",
        -47 => "ES256K",
        -48 => "ML-DSA-44",
        -49 => "ML-DSA-65",
        -50 => "ML-DSA-87",
        -53 => "Ed448",
        -257 => "RS256",
        -258 => "RS384",
        -259 => "RS512",
        -65535 => "RS1",
        _ => return None,
    })
}
