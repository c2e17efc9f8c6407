//! What a user gives: a BLOB in one of its forms, or one statement.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use thiserror::Error;

use crate::blob::{Blob, Entry};
use crate::date::Date;
use crate::jwt::{Jwt, NotAJwt};
use crate::limits::{MAX_DEPTH, MAX_SIZE, depth};
use crate::statement::Statement;

/// A document of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it says. A lone statement is the entry of a BLOB that has no other.
    pub blob: Blob,
    /// Its envelope, if it has one.
    pub jwt: Option<Jwt>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is too long.
    #[error("it has {bytes} bytes, and may have {MAX_SIZE}")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// It is too deep.
    #[error("lists and objects are {depth} deep in it, and may be {MAX_DEPTH}")]
    TooDeep {
        /// How deep.
        depth: usize,
    },
    /// It is no text.
    #[error("it is neither JSON nor a JWT: the bytes from {at} on are not UTF-8")]
    NotText {
        /// The first such byte, from 0.
        at: usize,
    },
    /// It is no JWT.
    #[error("it is neither JSON, which begins with '{{', nor a JWT: {0}")]
    Jwt(#[from] NotAJwt),
    /// Its JSON is not what it should be.
    #[error("at {path}, line {line}, column {column}: {problem}")]
    Json {
        /// Where, such as `entries[3].metadataStatement.upv`.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// It is JSON of something else.
    #[error("it is neither a BLOB, which has entries, nor a metadata statement, which has attestationRootCertificates")]
    SomethingElse,
}

impl Document {
    /// Reads the JWT of a BLOB, the JSON of a BLOB, or the JSON of a metadata statement.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        if bytes.len() > MAX_SIZE {
            return Err(ReadError::TooLong { bytes: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|error| ReadError::NotText { at: error.valid_up_to() })?;
        let text = text.trim_start_matches('\u{FEFF}').trim_ascii();
        if text.starts_with('{') {
            return Ok(Self { blob: blob(text.as_bytes())?, jwt: None });
        }
        let jwt = Jwt::read(text)?;
        Ok(Self { blob: json(&jwt.payload)?, jwt: Some(jwt) })
    }
}

/// What tells the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    entries: Option<IgnoredAny>,
    attestation_root_certificates: Option<IgnoredAny>,
}

fn blob(text: &[u8]) -> Result<Blob, ReadError> {
    match json(text)? {
        Kind { entries: Some(_), .. } => json(text),
        Kind { attestation_root_certificates: Some(_), .. } => json(text).map(alone),
        Kind { .. } => Err(ReadError::SomethingElse),
    }
}

/// A BLOB of one statement, which no service has published: it says nothing of its status, and never ends.
fn alone(statement: Statement) -> Blob {
    let entry = Entry {
        aaid: statement.aaid.clone(),
        aaguid: statement.aaguid,
        attestation_certificate_key_identifiers: statement.attestation_certificate_key_identifiers.clone(),
        metadata_statement: Some(statement),
        status_reports: Vec::new(),
        time_of_last_status_change: Date::of(core::time::Duration::ZERO),
    };
    Blob { legal_header: None, no: 0, next_update: Date::LAST, entries: vec![entry] }
}

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    let depth = depth(text);
    if depth > MAX_DEPTH {
        return Err(ReadError::TooDeep { depth });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let failed = |path: String, error: &serde_json::Error| ReadError::Json {
        path,
        line: error.line(),
        column: error.column(),
        problem: shortened(&error.to_string()),
    };
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| failed(error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| failed("the end".to_owned(), &error))?;
    Ok(value)
}

/// Without the place, which is told apart, and not as long as what somebody has put there.
fn shortened(problem: &str) -> String {
    let problem = problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem);
    problem.chars().take(200).collect()
}
