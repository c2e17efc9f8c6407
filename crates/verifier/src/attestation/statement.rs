//! The members of attestation statements, as their formats define them (WebAuthn Level 3, §8.2, §8.6, §8.7).

use keyrig_ctap::cbor::Item;

/// How many certificates of a chain are looked at: longer ones are refused.
const MAX_CERTIFICATES: usize = 8;

pub(super) enum Statement<'a> {
    None,
    Packed {
        algorithm: i64,
        signature: &'a [u8],
        /// Empty in self attestation.
        certificates: Vec<&'a [u8]>,
    },
    FidoU2f {
        signature: &'a [u8],
        certificate: &'a [u8],
    },
}

/// Reads a statement of one of the known formats.
pub(super) fn parse<'a>(format: &str, statement: Item<'a>) -> Result<Statement<'a>, String> {
    let (mut algorithm, mut signature, mut certificates) = (None, None, None);
    for (key, value) in statement.map().map_err(|_| "a statement that is not a map")? {
        let wanted = match format {
            "packed" => ["alg", "sig", "x5c"].as_slice(),
            "fido-u2f" => ["sig", "x5c"].as_slice(),
            _ => [].as_slice(),
        };
        let name = key.text().map_err(|_| "a member whose name is not text")?;
        if !wanted.contains(&name) {
            return Err(format!("a member {name:?}, which {format} does not have"));
        }
        match name {
            "alg" => algorithm = Some(value.integer().map_err(|_| "an alg that is not an integer")?),
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
