//! A credential public key as people keep it, made a COSE_Key of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyrig_ctap::cbor::Writer;
use serde_json::Value;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::{
    CredentialKey, EDDSA, ES256, ES384, ES512, Library, ML_DSA_44, ML_DSA_65, ML_DSA_87, PS256, PS384, PS512,
    PublicKey, RS256, Set,
};
use crate::recording::decode_text;
use crate::strictness::Strictness;

/// The longest text of a public key that is read, bytes: one of ML-DSA-87 has 2592 bytes.
const MAX_BYTES: usize = 16 << 10;

/// A public key that somebody has beside a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenPublicKey {
    /// The COSE_Key (RFC 9052, §7), as a credential record keeps it.
    pub cose: Vec<u8>,
    /// The form that it was given in.
    pub form: &'static str,
    /// What that form does not say, and what was taken for it.
    pub assumed: Option<&'static str>,
}

/// Why a text is no public key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidPublicKey {
    /// It is too long for one.
    #[error("a public key has at most {} KiB", MAX_BYTES >> 10)]
    TooLong,
    /// It is none of the forms.
    #[error(
        "a public key is a COSE_Key or SubjectPublicKeyInfo in hexadecimal, base64 or base64url, or as bytes; PEM; or a JWK"
    )]
    NoForm,
    /// It is the other half.
    #[error("this is a private key: it is not read; give the public one")]
    Private,
    /// It is in PEM, and no key.
    #[error("PEM of {0:?} has no public key")]
    OtherPem(String),
    /// It has a form, and is not what that has.
    #[error("as a {form} it has {problem}")]
    Malformed {
        /// The form.
        form: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl GivenPublicKey {
    /// Reads a public key: a COSE_Key, SubjectPublicKeyInfo (RFC 5280, §4.1.2.7) or an uncompressed point on P-256, as bytes, in
    /// hexadecimal, base64 or base64url; SubjectPublicKeyInfo or a certificate in PEM (RFC 7468); a JWK (RFC 7517).
    ///
    /// # Errors
    /// [`InvalidPublicKey`].
    pub fn read(given: &[u8]) -> Result<Self, InvalidPublicKey> {
        if given.len() > MAX_BYTES {
            return Err(InvalidPublicKey::TooLong);
        }
        let key = match str::from_utf8(given).map(str::trim) {
            Ok(text) if text.starts_with("-----BEGIN ") => of_pem(text)?,
            Ok(text) if text.starts_with('{') => of_jwk(text)?,
            Ok(text) => {
                let (bytes, _) = decode_text(text).ok_or(InvalidPublicKey::NoForm)?;
                of_bytes(&bytes)?
            }
            Err(_) => of_bytes(given)?,
        };
        // What no login could be verified with is told here, and not as a login that fails.
        let malformed = |problem| InvalidPublicKey::Malformed { form: key.form, problem };
        let read = CredentialKey::from_cose(&key.cose, &Strictness::by_the_letter()).map_err(malformed)?;
        if !read.key.is_sound(Library::fastest()) {
            return Err(malformed("a point that is not on its curve".to_owned()));
        }
        Ok(key)
    }
}

fn of_bytes(bytes: &[u8]) -> Result<GivenPublicKey, InvalidPublicKey> {
    match bytes {
        [0x30, ..] => of_spki(bytes),
        [0xa1..=0xbf, ..] => Ok(GivenPublicKey { cose: bytes.to_vec(), form: "COSE_Key", assumed: None }),
        [4, ..] => {
            let form = "point on P-256";
            let wrong =
                |_| InvalidPublicKey::Malformed { form, problem: format!("{} bytes instead of 65", bytes.len()) };
            let point = bytes.try_into().map_err(wrong)?;
            Ok(GivenPublicKey { cose: cose(ES256, &PublicKey::P256(point)), form, assumed: None })
        }
        _ => Err(InvalidPublicKey::NoForm),
    }
}

fn of_pem(text: &str) -> Result<GivenPublicKey, InvalidPublicKey> {
    let (label, rest) =
        text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----")).ok_or(InvalidPublicKey::NoForm)?;
    if label.ends_with("PRIVATE KEY") {
        return Err(InvalidPublicKey::Private);
    }
    let malformed = |problem: String| InvalidPublicKey::Malformed { form: "PEM text", problem };
    let (body, _) = rest.split_once("-----END ").ok_or_else(|| malformed("no end".to_owned()))?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|error| malformed(format!("other characters than base64's: {error}")))?;
    match label {
        "PUBLIC KEY" => of_spki(&der),
        "CERTIFICATE" => {
            let form = "certificate";
            let malformed = |problem| InvalidPublicKey::Malformed { form, problem };
            let certificate =
                Certificate::from_der(&der).map_err(|error| malformed(format!("no DER of one: {error}")))?;
            of_info(certificate.tbs_certificate().subject_public_key_info(), form)
        }
        other => Err(InvalidPublicKey::OtherPem(other.chars().take(40).collect())),
    }
}

fn of_spki(der: &[u8]) -> Result<GivenPublicKey, InvalidPublicKey> {
    let form = "SubjectPublicKeyInfo";
    let malformed = |error| InvalidPublicKey::Malformed { form, problem: format!("no DER of one: {error}") };
    of_info(&SubjectPublicKeyInfoOwned::from_der(der).map_err(malformed)?, form)
}

fn of_info(info: &SubjectPublicKeyInfoOwned, form: &'static str) -> Result<GivenPublicKey, InvalidPublicKey> {
    let malformed = |problem| InvalidPublicKey::Malformed { form, problem };
    let key = PublicKey::from_certificate(info).map_err(malformed)?;
    let (algorithm, assumed) = match &key {
        PublicKey::Rsa { .. } => (RS256, Some("the public key does not say its algorithm: RS256 is taken for it")),
        other => (usual(other), None),
    };
    Ok(GivenPublicKey { cose: cose(algorithm, &key), form, assumed })
}

/// The algorithm of a key that has one in WebAuthn (Level 3, §6.5.1.1).
fn usual(key: &PublicKey) -> i64 {
    match key {
        PublicKey::P256(_) => ES256,
        PublicKey::P384(_) => ES384,
        PublicKey::P521(_) => ES512,
        PublicKey::Ed25519(_) => EDDSA,
        PublicKey::Rsa { .. } => RS256,
        PublicKey::MlDsa(Set::MlDsa44, _) => ML_DSA_44,
        PublicKey::MlDsa(Set::MlDsa65, _) => ML_DSA_65,
        PublicKey::MlDsa(Set::MlDsa87, _) => ML_DSA_87,
    }
}

/// RFC 7518, §6; RFC 8037, §2; RFC 9964, §3.
fn of_jwk(text: &str) -> Result<GivenPublicKey, InvalidPublicKey> {
    let form = "JWK";
    let malformed = |problem: String| InvalidPublicKey::Malformed { form, problem };
    let jwk: Value = serde_json::from_str(text).map_err(|error| malformed(format!("no JSON: {error}")))?;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("d").is_some() || jwk.get("priv").is_some() {
        return Err(InvalidPublicKey::Private);
    }
    let bytes = |name: &str| {
        let decoded = text(name).and_then(decode_base64url);
        decoded.ok_or_else(|| malformed(format!("no {name} in base64url")))
    };
    let point = || Ok::<_, InvalidPublicKey>([vec![4], bytes("x")?, bytes("y")?].concat());
    let sized = |name: &'static str| malformed(format!("coordinates that are not those of {name}"));
    let key = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-256")) => PublicKey::P256(point()?.try_into().map_err(|_| sized("P-256"))?),
        (Some("EC"), Some("P-384")) => PublicKey::P384(point()?.try_into().map_err(|_| sized("P-384"))?),
        (Some("EC"), Some("P-521")) => PublicKey::P521(Box::new(point()?.try_into().map_err(|_| sized("P-521"))?)),
        (Some("OKP"), Some("Ed25519")) => PublicKey::Ed25519(bytes("x")?.try_into().map_err(|_| sized("Ed25519"))?),
        (Some("RSA"), _) => PublicKey::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
        (Some("AKP"), _) => {
            let set = match text("alg") {
                Some("ML-DSA-44") => Set::MlDsa44,
                Some("ML-DSA-65") => Set::MlDsa65,
                Some("ML-DSA-87") => Set::MlDsa87,
                other => return Err(malformed(format!("an alg that is not supported here: {other:?}"))),
            };
            PublicKey::MlDsa(set, bytes("pub")?)
        }
        (kty, crv) => return Err(malformed(format!("a kty and crv that are not supported here: {kty:?}, {crv:?}"))),
    };
    let (algorithm, assumed) = match (&key, text("alg")) {
        (PublicKey::Rsa { .. }, Some("PS256")) => (PS256, None),
        (PublicKey::Rsa { .. }, Some("PS384")) => (PS384, None),
        (PublicKey::Rsa { .. }, Some("PS512")) => (PS512, None),
        (PublicKey::Rsa { .. }, Some("RS256")) => (RS256, None),
        (PublicKey::Rsa { .. }, Some(other)) => {
            return Err(malformed(format!("an alg that is not supported here: {other:?}")));
        }
        (PublicKey::Rsa { .. }, None) => {
            (RS256, Some("the public key does not say its algorithm: RS256 is taken for it"))
        }
        (other, _) => (usual(other), None),
    };
    Ok(GivenPublicKey { cose: cose(algorithm, &key), form, assumed })
}

fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// A COSE_Key in CTAP2's canonical form (RFC 9053, §7; RFC 8230, §4; RFC 9964, §3).
fn cose(algorithm: i64, key: &PublicKey) -> Vec<u8> {
    let mut writer = Writer::new();
    let on_curve = |writer: &mut Writer, key_type: i64, curve: i64, coordinates: &[&[u8]]| {
        writer.map(|map| {
            map.entry(1, |it| it.integer(key_type)).entry(3, |it| it.integer(algorithm));
            map.entry(-1, |it| it.integer(curve));
            for (label, coordinate) in [-2, -3].into_iter().zip(coordinates) {
                map.entry(label, |it| it.bytes(coordinate));
            }
        });
    };
    match key {
        PublicKey::P256(point) => on_curve(&mut writer, 2, 1, &halves(point)),
        PublicKey::P384(point) => on_curve(&mut writer, 2, 2, &halves(point)),
        PublicKey::P521(point) => on_curve(&mut writer, 2, 3, &halves(&point[..])),
        PublicKey::Ed25519(x) => on_curve(&mut writer, 1, 6, &[x]),
        PublicKey::Rsa { modulus, exponent } => {
            writer.map(|map| {
                map.entry(1, |it| it.integer(3)).entry(3, |it| it.integer(algorithm));
                map.entry(-1, |it| it.bytes(modulus)).entry(-2, |it| it.bytes(exponent));
            });
        }
        PublicKey::MlDsa(_, public) => {
            writer.map(|map| {
                map.entry(1, |it| it.integer(7)).entry(3, |it| it.integer(algorithm));
                map.entry(-1, |it| it.bytes(public));
            });
        }
    }
    writer.finish()
}

/// x and y of an uncompressed point (SEC 1, §2.3.3).
fn halves(point: &[u8]) -> [&[u8]; 2] {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    [x, y]
}
