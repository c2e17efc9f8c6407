//! CBOR that may have another form than CTAP2's canonical one, where a relying party lets that pass.

use std::borrow::Cow;

use ciborium::Value;
use keyrig_ctap::cbor::{Item, canonical_order};

use crate::strictness::Deviation;

/// What bytes begin with: one item of CBOR in canonical form.
pub(crate) struct Read<'a> {
    /// As it was written, where that is canonical or what is signed.
    pub(crate) written: &'a [u8],
    /// In canonical form.
    pub(crate) canonical: Cow<'a, [u8]>,
    /// What follows.
    pub(crate) rest: &'a [u8],
    /// What is not canonical in what was written.
    pub(crate) deviation: Option<String>,
}

/// Reads the first item. In another form than the canonical one only if that refuses nothing.
pub(crate) fn read_prefix(bytes: &[u8], form: Deviation) -> Result<Read<'_>, String> {
    let problem = match Item::parse_prefix(bytes) {
        Ok((item, rest)) => {
            let written = item.encoded();
            return Ok(Read { written, canonical: written.into(), rest, deviation: None });
        }
        Err(problem) => problem,
    };
    let problem = format!("not canonical CBOR: {problem}");
    if form.refuses() {
        return Err(problem);
    }
    let mut rest = bytes;
    let value: Value =
        ciborium::from_reader(&mut rest).map_err(|error| format!("not CBOR: {}", without_lines(&error)))?;
    let canonical = encode(canonical(value)?)?;
    Item::parse(&canonical).map_err(|error| format!("CBOR that is not read here: {error}"))?;
    let written = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
    Ok(Read { written, canonical: canonical.into(), rest, deviation: Some(problem) })
}

/// How deep an attestation object is: a chain of certificates, in a statement, in an entry, in a compound statement, in the object
/// (WebAuthn Level 3, §8.9). CTAP's messages are less deep.
pub(crate) const OBJECT_DEPTH: usize = 5;

/// Reads exactly one item.
pub(crate) fn read(bytes: &[u8], form: Deviation) -> Result<Read<'_>, String> {
    let problem = match Item::parse_within(bytes, OBJECT_DEPTH) {
        Ok(item) => {
            let written = item.encoded();
            return Ok(Read { written, canonical: written.into(), rest: &[], deviation: None });
        }
        Err(problem) => problem,
    };
    if form.refuses() && Item::parse_prefix(bytes).is_err() {
        return Err(format!("not canonical CBOR: {problem}"));
    }
    let read = read_prefix(bytes, form)?;
    if read.rest.is_empty() { Ok(read) } else { Err(format!("{} bytes follow the item", read.rest.len())) }
}

/// Without tags, and with the keys of maps in canonical order (CTAP 2.3 §8). Numbers and lengths become canonical when they are
/// written.
fn canonical(value: Value) -> Result<Value, String> {
    Ok(match value {
        Value::Tag(_, inner) => canonical(*inner)?,
        Value::Array(elements) => Value::Array(elements.into_iter().map(canonical).collect::<Result<_, _>>()?),
        Value::Map(entries) => {
            let mut sorted = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = canonical(key)?;
                sorted.push((encode(key.clone())?, (key, canonical(value)?)));
            }
            sorted.sort_by(|(left, _), (right, _)| canonical_order(left, right));
            Value::Map(sorted.into_iter().map(|(_, entry)| entry).collect())
        }
        other => other,
    })
}

fn encode(value: Value) -> Result<Vec<u8>, String> {
    let mut encoded = Vec::new();
    ciborium::into_writer(&value, &mut encoded).map_err(|error| format!("not CBOR: {error}"))?;
    Ok(encoded)
}

fn without_lines(error: &ciborium::de::Error<std::io::Error>) -> String {
    match error {
        ciborium::de::Error::Io(_) => "the input ends inside an item".to_owned(),
        ciborium::de::Error::Syntax(offset) => format!("byte {offset} begins no item"),
        ciborium::de::Error::Semantic(_, reason) => reason.clone(),
        ciborium::de::Error::RecursionLimitExceeded => "it nests too deep".to_owned(),
    }
}
