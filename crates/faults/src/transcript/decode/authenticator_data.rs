//! Authenticator data and certificates.

use keyrig_ctap::authenticator_data::{AuthenticatorData, Flags};
use keyrig_ctap::cbor::Item;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::Reading;
use super::names::{EXTENSION_OUTPUTS, of_cose_key};
use crate::transcript::value::{Members, Value};

const FLAGS: [(Flags, &str); 6] =
    [(Flags::UP, "UP"), (Flags::UV, "UV"), (Flags::BE, "BE"), (Flags::BS, "BS"), (Flags::AT, "AT"), (Flags::ED, "ED")];

impl Reading {
    /// Authenticator data (WebAuthn Level 3 §6.1), or its bytes and what is wrong with them.
    pub(super) fn authenticator_data(&mut self, bytes: &[u8]) -> Value {
        let mut members = Members::default();
        let data = match AuthenticatorData::decode(bytes) {
            Ok(data) => data,
            Err(error) => {
                members.push("malformed", Value::Text(error.to_string()));
                members.push("bytes", Value::bytes(bytes));
                return Value::Map(members);
            }
        };
        members.push("rpIdHash", Value::bytes(&data.rp_id_hash));
        members.push("flags", flags(data.flags));
        members.push("signCount", Value::Integer(data.counter.into()));
        if let Some(attested) = &data.attested_credential_data {
            let mut credential = Members::default();
            credential.push("aaguid", Value::Text(attested.aaguid.to_string()));
            credential.push("credentialId", Value::bytes(&attested.credential_id));
            credential.push("credentialPublicKey", self.encoded(&attested.public_key, of_cose_key));
            members.push("attestedCredentialData", Value::Map(credential));
        }
        if let Some(extensions) = &data.extensions {
            members.push("extensions", self.encoded(extensions, |_| EXTENSION_OUTPUTS));
        }
        Value::Map(members)
    }

    fn encoded(&mut self, bytes: &[u8], names: fn(Item<'_>) -> super::Names) -> Value {
        match Item::parse(bytes) {
            Ok(item) => self.map(item, names(item)),
            Err(_) => Value::bytes(bytes),
        }
    }
}

fn flags(flags: Flags) -> Value {
    let mut names: Vec<_> =
        FLAGS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| Value::text(*name)).collect();
    let reserved = FLAGS.iter().fold(flags.0, |rest, (flag, _)| rest & !flag.0);
    if reserved != 0 {
        names.push(Value::Text(format!("0x{reserved:02X}")));
    }
    Value::List(names)
}

/// Who says it of whom, in an X.509 certificate; and its bytes.
pub(super) fn certificate(bytes: &[u8]) -> Value {
    let mut members = Members::default();
    match Certificate::from_der(bytes) {
        Ok(certificate) => {
            let tbs = certificate.tbs_certificate();
            members.push("subject", Value::Text(tbs.subject().to_string()));
            members.push("issuer", Value::Text(tbs.issuer().to_string()));
            members.push("notBefore", Value::Text(tbs.validity().not_before.to_string()));
            members.push("notAfter", Value::Text(tbs.validity().not_after.to_string()));
        }
        Err(error) => members.push("malformed", Value::Text(error.to_string())),
    }
    members.push("bytes", Value::bytes(bytes));
    Value::Map(members)
}
