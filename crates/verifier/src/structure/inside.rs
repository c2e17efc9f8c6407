//! What byte strings of attestation statements hold: what a TPM says of a key (TPM 2.0 Library, Part 2), and certificates (RFC 5280).

use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

use crate::attestation::der::{self, Element};
use crate::shown::hex;

/// A part of a byte string.
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// Where and why a byte string ends to be what it should.
pub(super) struct Broken<'a> {
    pub(super) at: &'a [u8],
    pub(super) reason: String,
}

/// The parts of a structure of TPM's, read one after the other.
struct Reader<'a> {
    rest: &'a [u8],
    parts: Vec<Part<'a>>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, name: &str) -> Result<&'a [u8], Broken<'a>> {
        let Some((part, rest)) = self.rest.split_at_checked(length) else {
            let reason = format!("{name} has {length} bytes, and the data ends after {} of them", self.rest.len());
            return Err(Broken { at: self.rest.get(self.rest.len()..).unwrap_or_default(), reason });
        };
        self.rest = rest;
        Ok(part)
    }

    fn push(&mut self, bytes: &'a [u8], name: &str, value: String) {
        self.parts.push(Part { bytes, depth: 0, name: name.to_owned(), value });
    }

    /// A number, as `show` has it.
    fn number(&mut self, length: usize, name: &str, show: fn(u64) -> String) -> Result<u64, Broken<'a>> {
        let bytes = self.take(length, name)?;
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        self.push(bytes, name, show(number));
        Ok(number)
    }

    /// A `TPM2B`: a length and bytes.
    fn sized(&mut self, name: &str) -> Result<(), Broken<'a>> {
        let length = self.take(2, name)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let bytes = self.take(length, name)?;
        let value = if bytes.is_empty() { "empty".to_owned() } else { hex(bytes) };
        self.push(bytes, name, value);
        Ok(())
    }

    fn end(self, read: Result<(), Broken<'a>>) -> (Vec<Part<'a>>, Option<Broken<'a>>) {
        let left = (!self.rest.is_empty()).then(|| Broken {
            at: self.rest,
            reason: format!("{} bytes follow that nothing announces", self.rest.len()),
        });
        (self.parts, read.err().or(left))
    }
}

fn decimal(number: u64) -> String {
    number.to_string()
}

fn hexadecimal(number: u64) -> String {
    format!("{number:#x}")
}

/// Part 2, §6.3.
fn algorithm(id: u64) -> String {
    let name = match id {
        0x0001 => "RSA",
        0x0004 => "SHA1",
        0x0006 => "AES",
        0x000b => "SHA256",
        0x000c => "SHA384",
        0x000d => "SHA512",
        0x0010 => "NULL",
        0x0014 => "RSASSA",
        0x0016 => "RSAPSS",
        0x0018 => "ECDSA",
        0x0023 => "ECC",
        0x0043 => "CFB",
        _ => return format!("{id:#06x}"),
    };
    format!("{id:#06x} TPM_ALG_{name}")
}

/// Part 2, §6.4.
fn curve(id: u64) -> String {
    let name = match id {
        3 => "P256",
        4 => "P384",
        5 => "P521",
        _ => return format!("{id:#06x}"),
    };
    format!("{id:#06x} TPM_ECC_NIST_{name}")
}

/// Part 2, §8.3.2.
fn attributes(set: u64) -> String {
    let names = [
        (1, "fixedTPM"),
        (2, "stClear"),
        (4, "fixedParent"),
        (5, "sensitiveDataOrigin"),
        (6, "userWithAuth"),
        (7, "adminWithPolicy"),
        (10, "noDA"),
        (11, "encryptedDuplication"),
        (16, "restricted"),
        (17, "decrypt"),
        (18, "sign"),
    ];
    let set_ones = names.iter().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, name)| format!(" {name}"));
    format!("{set:#010x}{}", set_ones.collect::<String>())
}

/// `TPMT_PUBLIC` (Part 2, §12.2.4).
pub(super) fn public_area(bytes: &[u8]) -> (Vec<Part<'_>>, Option<Broken<'_>>) {
    const NULL: u64 = 0x0010;
    let mut reader = Reader { rest: bytes, parts: Vec::new() };
    let mut read = || {
        let kind = reader.number(2, "type", algorithm)?;
        reader.number(2, "nameAlg", algorithm)?;
        reader.number(4, "objectAttributes", attributes)?;
        reader.sized("authPolicy")?;
        if reader.number(2, "symmetric", algorithm)? != NULL {
            reader.number(2, "keyBits of symmetric", decimal)?;
            reader.number(2, "mode of symmetric", algorithm)?;
        }
        if reader.number(2, "scheme", algorithm)? != NULL {
            reader.number(2, "hash of scheme", algorithm)?;
        }
        match kind {
            0x0001 => {
                reader.number(2, "keyBits", decimal)?;
                reader.number(4, "exponent", |exponent| match exponent {
                    0 => "0, which is 65537".to_owned(),
                    other => other.to_string(),
                })?;
                reader.sized("unique")
            }
            0x0023 => {
                reader.number(2, "curveID", curve)?;
                if reader.number(2, "kdf", algorithm)? != NULL {
                    reader.number(2, "hash of kdf", algorithm)?;
                }
                reader.sized("unique.x")?;
                reader.sized("unique.y")
            }
            other => Err(Broken { at: bytes, reason: format!("a key of the type {other:#06x} is not known here") }),
        }
    };
    let read = read();
    reader.end(read)
}

/// `TPMS_ATTEST` (Part 2, §10.12.12), of a certified key.
pub(super) fn attested(bytes: &[u8]) -> (Vec<Part<'_>>, Option<Broken<'_>>) {
    let mut reader = Reader { rest: bytes, parts: Vec::new() };
    let mut read = || {
        reader.number(4, "magic", |magic| match magic {
            0xff54_4347 => "0xff544347 TPM_GENERATED_VALUE".to_owned(),
            other => format!("{other:#010x}"),
        })?;
        reader.number(2, "type", |kind| match kind {
            0x8017 => "0x8017 TPM_ST_ATTEST_CERTIFY".to_owned(),
            other => format!("{other:#06x}"),
        })?;
        reader.sized("qualifiedSigner")?;
        reader.sized("extraData")?;
        reader.number(8, "clock", decimal)?;
        reader.number(4, "resetCount", decimal)?;
        reader.number(4, "restartCount", decimal)?;
        reader.number(1, "safe", decimal)?;
        reader.number(8, "firmwareVersion", hexadecimal)?;
        reader.sized("attested.name")?;
        reader.sized("attested.qualifiedName")
    };
    let read = read();
    reader.end(read)
}

/// What a certificate says of itself in one line, and its parts (RFC 5280, §4.1). `None` if bytes are none.
pub(super) fn certificate(bytes: &[u8]) -> Option<(String, Vec<Part<'_>>)> {
    let certificate = CertificateInner::<Raw>::from_der(bytes).ok()?;
    let tbs = certificate.tbs_certificate();
    let name = |name: String| if name.is_empty() { "nobody who is named".to_owned() } else { name };
    let (subject, issuer) = (name(tbs.subject().to_string()), name(tbs.issuer().to_string()));
    let told = format!("a certificate of {subject}, issued by {issuer}");
    let mut parts = Vec::new();
    let mut push = |bytes, depth, name: &str, value: String| {
        parts.push(Part { bytes, depth, name: name.to_owned(), value });
    };
    let whole = der::whole(bytes)?;
    let mut outer = whole.children();
    let mut fields: Vec<_> = outer.next()?.children().collect();
    if fields.first().is_some_and(|first| first.class == der::CONTEXT && first.number == 0) {
        push(fields.remove(0).content, 0, "version", format!("{:?}", tbs.version()));
    }
    let key = tbs.subject_public_key_info();
    let validity = tbs.validity();
    let values = [
        ("serialNumber", hex(tbs.serial_number().as_bytes())),
        ("signature", named(&tbs.signature().oid.to_string())),
        ("issuer", issuer),
        ("validity", format!("{} to {}", validity.not_before, validity.not_after)),
        ("subject", subject),
        (
            "subjectPublicKeyInfo",
            format!("{}, {}", named(&key.algorithm.oid.to_string()), hex(key.subject_public_key.raw_bytes())),
        ),
    ];
    for (field, (name, value)) in fields.iter().zip(values) {
        push(field.content, 0, name, value);
    }
    let is_list = |field: &&Element<'_>| field.class == der::CONTEXT && field.number == 3;
    if let Some(list) = fields.iter().find(is_list).and_then(|field| field.children().next()) {
        let extensions = tbs.extensions().map(Vec::as_slice).unwrap_or_default();
        push(list.content, 0, "extensions", extensions.len().to_string());
        for (element, extension) in list.children().zip(extensions) {
            let critical = if extension.critical { ", critical" } else { "" };
            let value = extension.extn_value.as_bytes();
            let place = element.children().last().map_or(element.content, |last| last.content);
            push(place, 1, &named(&extension.extn_id.to_string()), format!("{}{critical}", hex(value)));
        }
    }
    let signature = outer.nth(1).map(|signature| signature.content);
    if let Some(signature) = signature {
        push(signature, 0, "signatureValue", hex(certificate.signature().raw_bytes()));
    }
    Some((told, parts))
}

/// What an object identifier is called in RFC 5280, RFC 5758, RFC 8410, and by FIDO, Apple and Android.
fn named(oid: &str) -> String {
    let name = match oid {
        "1.2.840.10045.2.1" => "ecPublicKey",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.3.101.112" => "Ed25519",
        "2.5.29.14" => "subjectKeyIdentifier",
        "2.5.29.15" => "keyUsage",
        "2.5.29.17" => "subjectAltName",
        "2.5.29.19" => "basicConstraints",
        "2.5.29.31" => "cRLDistributionPoints",
        "2.5.29.32" => "certificatePolicies",
        "2.5.29.35" => "authorityKeyIdentifier",
        "2.5.29.37" => "extKeyUsage",
        "1.3.6.1.5.5.7.1.1" => "authorityInfoAccess",
        "1.3.6.1.4.1.45724.1.1.2" => "id-fido-gen-ce-sernum",
        "1.3.6.1.4.1.45724.1.1.4" => "id-fido-gen-ce-aaguid",
        "1.3.6.1.4.1.45724.2.1.1" => "id-fido-u2f-ce-transports",
        "1.2.840.113635.100.8.2" => "Apple's nonce",
        "1.3.6.1.4.1.11129.2.1.17" => "Android's key description",
        other => return other.to_owned(),
    };
    name.to_owned()
}
