//! The members of attestation statements, as their formats define them (WebAuthn Level 3, §8.2 to §8.9).

use keyrig_ctap::cbor::Item;

/// How many certificates of a chain are looked at: longer ones are refused.
const MAX_CERTIFICATES: usize = 8;

/// How many statements of a compound one are looked at: longer ones are refused.
const MAX_STATEMENTS: usize = 8;

/// The formats that are known here.
pub(super) const KNOWN: &str = "none, packed, tpm, android-key, apple, fido-u2f or compound";

pub(super) enum Statement<'a> {
    None,
    Packed {
        algorithm: i64,
        signature: &'a [u8],
        /// Empty in self attestation.
        certificates: Vec<&'a [u8]>,
    },
    Tpm {
        algorithm: i64,
        signature: &'a [u8],
        certificates: Vec<&'a [u8]>,
        cert_info: &'a [u8],
        pub_area: &'a [u8],
    },
    AndroidKey {
        algorithm: i64,
        signature: &'a [u8],
        certificates: Vec<&'a [u8]>,
    },
    Apple {
        certificates: Vec<&'a [u8]>,
    },
    FidoU2f {
        signature: &'a [u8],
        certificate: &'a [u8],
    },
}

/// Whether a format is one of a statement that is read here.
pub(super) fn is_known(format: &str) -> bool {
    matches!(format, "none" | "packed" | "tpm" | "android-key" | "apple" | "fido-u2f")
}

/// Reads a statement of one of the known formats.
pub(super) fn parse<'a>(format: &str, statement: Item<'a>) -> Result<Statement<'a>, String> {
    let (mut algorithm, mut signature, mut certificates) = (None, None, None);
    let (mut version, mut cert_info, mut pub_area) = (None, None, None);
    for (key, value) in statement.map().map_err(|_| "a statement that is not a map")? {
        let wanted = match format {
            "packed" | "android-key" => ["alg", "sig", "x5c"].as_slice(),
            "tpm" => ["ver", "alg", "x5c", "sig", "certInfo", "pubArea"].as_slice(),
            "apple" => ["x5c"].as_slice(),
            "fido-u2f" => ["sig", "x5c"].as_slice(),
            _ => [].as_slice(),
        };
        let name = key.text().map_err(|_| "a member whose name is not text")?;
        if !wanted.contains(&name) {
            return Err(format!("a member {name:?}, which {format} does not have"));
        }
        match name {
            "alg" => algorithm = Some(value.integer().map_err(|_| "an alg that is not an integer")?),
            "ver" => version = Some(value.text().map_err(|_| "a ver that is not text")?),
            "certInfo" => cert_info = Some(value.bytes().map_err(|_| "a certInfo that is not a byte string")?),
            "pubArea" => pub_area = Some(value.bytes().map_err(|_| "a pubArea that is not a byte string")?),
            "sig" => signature = Some(value.bytes().map_err(|_| "a sig that is not a byte string")?),
            _ => certificates = Some(chain(value)?),
        }
    }
    match format {
        "packed" => Ok(Statement::Packed {
            algorithm: algorithm.ok_or("no alg")?,
            signature: signature.ok_or("no sig")?,
            certificates: certificates.unwrap_or_default(),
        }),
        "tpm" => {
            match version {
                Some("2.0") => {}
                Some(other) => return Err(format!("a ver of {other:?} and not \"2.0\"")),
                None => return Err("no ver".to_owned()),
            }
            Ok(Statement::Tpm {
                algorithm: algorithm.ok_or("no alg")?,
                signature: signature.ok_or("no sig")?,
                certificates: certificates.ok_or("no x5c")?,
                cert_info: cert_info.ok_or("no certInfo")?,
                pub_area: pub_area.ok_or("no pubArea")?,
            })
        }
        "android-key" => Ok(Statement::AndroidKey {
            algorithm: algorithm.ok_or("no alg")?,
            signature: signature.ok_or("no sig")?,
            certificates: certificates.ok_or("no x5c")?,
        }),
        "apple" => Ok(Statement::Apple { certificates: certificates.ok_or("no x5c")? }),
        "fido-u2f" => {
            let certificates = certificates.ok_or("no x5c")?;
            let [certificate] = certificates[..] else {
                return Err(format!("{} certificates where fido-u2f has exactly one", certificates.len()));
            };
            Ok(Statement::FidoU2f { signature: signature.ok_or("no sig")?, certificate })
        }
        _ => Ok(Statement::None),
    }
}

/// The statements of a compound one: at least two, each with its format (§8.9).
pub(super) fn compound(statement: Item<'_>) -> Result<Vec<(&str, Item<'_>)>, String> {
    let statements: Vec<_> =
        statement.array().map_err(|_| "a statement that is not an array")?.take(MAX_STATEMENTS + 1).collect();
    if !(2..=MAX_STATEMENTS).contains(&statements.len()) {
        return Err(format!("{} statements where 2 to {MAX_STATEMENTS} are expected", statements.len()));
    }
    statements.into_iter().map(one).collect()
}

/// One of them: its format, and its statement.
fn one(item: Item<'_>) -> Result<(&str, Item<'_>), String> {
    let (mut format, mut statement) = (None, None);
    for (key, value) in item.map().map_err(|_| "an entry that is not a map")? {
        match key.text() {
            Ok("fmt") => format = value.text().ok(),
            Ok("attStmt") => statement = Some(value),
            _ => return Err("an entry with a member that is neither fmt nor attStmt".to_owned()),
        }
    }
    Ok((format.ok_or("an entry without fmt")?, statement.ok_or("an entry without attStmt")?))
}

fn chain(value: Item<'_>) -> Result<Vec<&[u8]>, String> {
    let wrong = "an x5c that is not an array of byte strings";
    let certificates: Vec<_> = value.array().map_err(|_| wrong)?.take(MAX_CERTIFICATES + 1).collect();
    match certificates.len() {
        0 => Err("an x5c without certificates".to_owned()),
        1..=MAX_CERTIFICATES => {
            certificates.into_iter().map(|item| item.bytes().map_err(|_| wrong.to_owned())).collect()
        }
        _ => Err(format!("an x5c of more than {MAX_CERTIFICATES} certificates")),
    }
}
