//! A ceremony as somebody recorded it, in whatever form: options and responses are looked for wherever they are in JSON, in a
//! HAR file, or between lines of a console.
//!
//! The shapes that libraries have are read (WebAuthn's own JSON, SimpleWebAuthn, py_webauthn, java-webauthn-server, webauthn-rs),
//! and bytes in base64url, base64, hexadecimal, and as arrays of numbers. What was written otherwise than `toJSON()` has it is told
//! in [`Recording::notes`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use self::bytes::decode;
pub(crate) use self::bytes::decode_text;
use crate::credential::{AuthenticationResponse, RegistrationResponse};

mod bytes;
mod form;
mod har;
mod literal;

/// The longest recording that is read, bytes, unless it is a HAR file.
pub const MAX_RECORDING_BYTES: usize = 16 << 20;

/// The longest HAR file that is read, bytes: entry by entry, each of which may have [`MAX_RECORDING_BYTES`].
pub const MAX_HAR_BYTES: usize = 256 << 20;

/// How often JSON may be in a string of JSON: Proxmox VE has options so, HAR files have bodies.
const MAX_NESTED_TEXTS: usize = 3;

/// How many options and responses are taken of one recording.
const MAX_FOUND: usize = 256;

/// What was found in a recording, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// Options of registrations.
    pub creations: Vec<RecordedCreation>,
    /// Options of authentications.
    pub requests: Vec<RecordedRequest>,
    /// Responses of registrations.
    pub registrations: Vec<RegistrationResponse>,
    /// Responses of authentications.
    pub authentications: Vec<AuthenticationResponse>,
    /// A structure alone: clientDataJSON, an attestation object, or authenticator data.
    pub scraps: Vec<Scrap>,
    /// What is written otherwise than WebAuthn's JSON has it, and options that cannot be read.
    pub notes: Vec<String>,
    /// Why responses are not read that are there beside: a server could not either.
    pub unreadable: Vec<InvalidRecording>,
}

/// `PublicKeyCredentialCreationOptions` (WebAuthn Level 3, §5.4), as far as a relying party checks against them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedCreation {
    /// `challenge`.
    pub challenge: Vec<u8>,
    /// `rp.id`; without it, the page's domain counts.
    pub rp_id: Option<String>,
    /// `user.id`.
    pub user_id: Vec<u8>,
    /// `pubKeyCredParams`: the algorithms.
    pub algorithms: Vec<i64>,
    /// Whether user verification is required.
    pub user_verification: bool,
}

/// `PublicKeyCredentialRequestOptions` (WebAuthn Level 3, §5.5), as far as a relying party checks against them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `challenge`.
    pub challenge: Vec<u8>,
    /// `rpId`; without it, the page's domain counts.
    pub rp_id: Option<String>,
    /// `allowCredentials`: the ids.
    pub allow_credentials: Vec<Vec<u8>>,
    /// Whether user verification is required.
    pub user_verification: bool,
}

/// A structure alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scrap {
    /// clientDataJSON.
    ClientDataJson(Vec<u8>),
    /// An attestation object.
    AttestationObject(Vec<u8>),
    /// Authenticator data.
    AuthenticatorData(Vec<u8>),
}

/// Why there is nothing in a recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRecording {
    /// It is too long.
    #[error("it has more than {} MiB and is no HAR file with entries: keep what belongs to one ceremony", MAX_RECORDING_BYTES >> 20)]
    TooLong,
    /// It is too long even for a HAR file.
    #[error("it has more than {} MiB: keep the entries of one ceremony", MAX_HAR_BYTES >> 20)]
    HarTooLong,
    /// It is not text.
    #[error("byte {offset} is no UTF-8: a recording is text")]
    NotText {
        /// The first byte that is none.
        offset: usize,
    },
    /// It begins as JSON does, is none, and nothing in it is.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// There is nothing of WebAuthn in it.
    #[error("there are neither options nor a credential in it, nor a structure of one")]
    Nothing,
    /// A member that options or a response cannot be without is missing.
    #[error("{0} is not there")]
    Missing(&'static str),
    /// Such a member cannot be read.
    #[error("{member} is no {expected}")]
    Member {
        /// The member.
        member: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl InvalidRecording {
    fn of_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let words = error.to_string();
        let reason = words.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Json { line, column, reason }
    }
}

impl Recording {
    /// Finds what there is in a recording.
    ///
    /// # Errors
    /// [`InvalidRecording`], if nothing of WebAuthn can be read in it.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidRecording> {
        if bytes.len() > MAX_HAR_BYTES {
            return Err(InvalidRecording::HarTooLong);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let of_utf16 = utf16(bytes);
        let bytes = of_utf16.as_deref().map_or(bytes, str::as_bytes);
        let text =
            str::from_utf8(bytes).map_err(|error| InvalidRecording::NotText { offset: error.valid_up_to() })?.trim();
        let mut finding = Finding::default();
        let mut problem = None;
        if bytes.len() > MAX_RECORDING_BYTES {
            problem = finding.look_at_entries(text).err();
        } else {
            match serde_json::from_str::<Value>(text) {
                Ok(value) => finding.look(&value, 0),
                Err(error) => {
                    if text.starts_with(['{', '[']) {
                        problem = Some(InvalidRecording::of_json(&error));
                    }
                    finding.look_between_lines(text);
                }
            }
        }
        let Finding { mut recording, failed } = finding;
        if !recording.is_empty() {
            for (what, error) in failed {
                match what {
                    What::Response if recording.unreadable.len() < MAX_FOUND => recording.unreadable.push(error),
                    What::Response => {}
                    What::Options => {
                        add(&mut recording.notes, format!("options are there too that cannot be read: {error}"));
                    }
                }
            }
            return Ok(recording);
        }
        match failed.into_iter().map(|(_, error)| error).next().or(problem) {
            Some(error) => Err(error),
            None => Err(InvalidRecording::Nothing),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { creations, requests, registrations, authentications, scraps, notes: _, unreadable: _ } = self;
        creations.is_empty()
            && requests.is_empty()
            && registrations.is_empty()
            && authentications.is_empty()
            && scraps.is_empty()
    }
}

/// Text in UTF-16 that says so by a byte order mark, as Windows' PowerShell writes it.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (unit, bytes): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xFF, 0xFE, rest @ ..] => (u16::from_le_bytes, rest),
        [0xFE, 0xFF, rest @ ..] => (u16::from_be_bytes, rest),
        _ => return None,
    };
    let units: Vec<_> = bytes.chunks_exact(2).filter_map(|pair| Some(unit(*pair.first_chunk()?))).collect();
    String::from_utf16(&units).ok()
}

#[derive(Default)]
struct Finding {
    recording: Recording,
    /// What is meant to be something and is not.
    failed: Vec<(What, InvalidRecording)>,
}

/// What something is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Options,
    Response,
}

impl Finding {
    /// The entries of a HAR file; whatever is found before it breaks counts.
    fn look_at_entries(&mut self, text: &str) -> Result<(), InvalidRecording> {
        let mut number = 0_usize;
        let read = har::entries(text, |entry| {
            number += 1;
            if entry.len() > MAX_RECORDING_BYTES {
                self.note(&format!(
                    "entry {number} of the HAR file has more than {} MiB: it was passed over",
                    MAX_RECORDING_BYTES >> 20
                ));
            } else if let Ok(value) = serde_json::from_str::<Value>(entry) {
                self.look(&value, 0);
            }
        });
        match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(InvalidRecording::TooLong),
            // What is no JSON at all is no HAR file; one that breaks is told where.
            Err(_) if !text.starts_with('{') => Err(InvalidRecording::TooLong),
            Err(error) => Err(InvalidRecording::of_json(&error)),
        }
    }

    /// JSON between other text, or a structure alone.
    fn look_between_lines(&mut self, text: &str) {
        let mut rest = text;
        // Literals that break are read in vain, some of them within others: no more of that than the text is long.
        let mut in_vain = 0;
        while let Some(start) = rest.find(['{', '[']) {
            let candidate = rest.get(start..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_str(candidate).into_iter::<Value>();
            let next = match values.next() {
                Some(Ok(value)) if value.as_object().is_none_or(|members| !members.is_empty()) => {
                    self.look(&value, 0);
                    values.byte_offset()
                }
                _ if in_vain <= text.len() => match literal::read(candidate) {
                    Ok((value, length)) => {
                        let before = self.count();
                        self.look(&value, 0);
                        if self.count() > before {
                            self.note("it is no JSON: it was read as JavaScript and Python print objects");
                        }
                        length
                    }
                    Err(length) => {
                        in_vain += length;
                        1
                    }
                },
                // The rest of its line begins nothing either: otherwise a text of brackets would be read over and over.
                _ => candidate.find('\n').unwrap_or(candidate.len()),
            };
            rest = candidate.get(next.max(1)..).unwrap_or_default();
        }
        if self.recording.is_empty() {
            text.lines().flat_map(form::values).for_each(|value| self.look(&Value::String(value), 0));
        }
        if self.recording.is_empty() {
            for line in text.lines() {
                self.scrap(line.trim().trim_matches(['"', '\'', ',']));
            }
        }
    }

    /// How many options and responses there are by now.
    fn count(&self) -> usize {
        let found = &self.recording;
        found.creations.len() + found.requests.len() + found.registrations.len() + found.authentications.len()
    }

    fn scrap(&mut self, text: &str) {
        let Some((bytes, _)) = decode_text(text).filter(|_| self.recording.scraps.len() < MAX_FOUND) else { return };
        if is_client_data(&bytes) {
            self.recording.scraps.push(Scrap::ClientDataJson(bytes));
        } else if is_attestation_object(&bytes) {
            self.recording.scraps.push(Scrap::AttestationObject(bytes));
        } else if bytes.len() >= 37 {
            self.recording.scraps.push(Scrap::AuthenticatorData(bytes));
        }
    }

    /// Looks at a value and all that is in it. serde_json bounds how deep that is.
    fn look(&mut self, value: &Value, texts: usize) {
        match value {
            Value::Object(members) => self.look_at(&Members(members), texts),
            Value::Array(elements) => elements.iter().for_each(|element| self.look(element, texts)),
            Value::String(text) if texts < MAX_NESTED_TEXTS => {
                // As Proxmox VE has an answer in the place of a password.
                let text = text.trim();
                let text = text.strip_prefix("webauthn:").unwrap_or(text);
                if text.starts_with('{') {
                    if let Ok(inner) = serde_json::from_str::<Value>(text) {
                        self.look(&inner, texts + 1);
                    }
                } else if text.starts_with("--") {
                    // multipart/form-data (RFC 7578): fields between boundaries.
                    let fields = text.lines().filter(|line| line.starts_with('{'));
                    fields.for_each(|field| self.look(&Value::from(field), texts + 1));
                } else {
                    form::values(text).for_each(|value| self.look(&Value::String(value), texts + 1));
                }
            }
            _ => {}
        }
    }

    fn look_at(&mut self, members: &Members<'_>, texts: usize) {
        if self.count() >= MAX_FOUND {
            return;
        }
        let (what, read) = if members.get("rp").is_some() && members.get("challenge").is_some() {
            (What::Options, self.creation(members))
        } else if members.get("challenge").is_some() && is_request(members) {
            (What::Options, self.request(members))
        } else if let Some(response) = response_of(members) {
            (What::Response, self.response(members, &response))
        } else {
            let before = self.count();
            for (_, value) in members.0.iter().filter(|(name, _)| *name != "params") {
                self.look(value, texts);
            }
            // The fields of a form in a HAR file, whose text may have been it already.
            if self.count() == before
                && let Some(fields) = members.get("params")
            {
                self.look(fields, texts);
            }
            // A body in a HAR file that is in base64.
            if let (Some("base64"), Some(text)) = (members.text("encoding"), members.text("text"))
                && let Some((body, _)) = decode_text(text)
                && texts < MAX_NESTED_TEXTS
            {
                match serde_json::from_slice::<Value>(&body) {
                    Ok(value) => self.look(&value, texts + 1),
                    Err(_) => self.look(&Value::from(String::from_utf8_lossy(&body)), texts + 1),
                }
            }
            return;
        };
        if let Err(error) = read
            && self.failed.len() < MAX_FOUND
            && !self.failed.contains(&(what, error.clone()))
        {
            self.failed.push((what, error));
        }
    }

    fn creation(&mut self, members: &Members<'_>) -> Result<(), InvalidRecording> {
        let object = |name: &str| members.get(name).and_then(Value::as_object);
        let parameters = members.get("pubKeyCredParams").and_then(Value::as_array);
        let algorithms = parameters.into_iter().flatten().filter_map(|entry| entry.get("alg")?.as_i64()).collect();
        let user_id = match object("user").and_then(|user| user.get("id")) {
            Some(id) => self.bytes(id, "user.id")?,
            None => Vec::new(),
        };
        // No check asks for them, and pages are refused all the same.
        for entry in members.get("excludeCredentials").and_then(Value::as_array).into_iter().flatten() {
            if let Some((_, Some(form))) = entry.get("id").and_then(decode) {
                self.note(&told("excludeCredentials[].id", form));
            }
        }
        let selection = object("authenticatorSelection");
        let creation = RecordedCreation {
            challenge: self.required(members, "challenge")?,
            rp_id: object("rp").and_then(|rp| rp.get("id")?.as_str()).map(str::to_owned),
            user_id,
            algorithms,
            user_verification: selection.is_some_and(|it| Members(it).text("userVerification") == Some("required")),
        };
        self.recording.creations.push(creation);
        Ok(())
    }

    fn request(&mut self, members: &Members<'_>) -> Result<(), InvalidRecording> {
        let mut allow_credentials = Vec::new();
        for entry in members.get("allowCredentials").and_then(Value::as_array).into_iter().flatten() {
            let id = entry.get("id").unwrap_or(entry);
            allow_credentials.push(self.bytes(id, "allowCredentials[].id")?);
        }
        let request = RecordedRequest {
            challenge: self.required(members, "challenge")?,
            rp_id: members.text("rpId").map(str::to_owned),
            allow_credentials,
            user_verification: members.text("userVerification") == Some("required"),
        };
        self.recording.requests.push(request);
        Ok(())
    }

    fn response(&mut self, credential: &Members<'_>, response: &Members<'_>) -> Result<(), InvalidRecording> {
        let client_data_json = self.required(response, "clientDataJSON")?;
        let id = self.id(credential)?;
        let raw_id = match (credential.get("rawId"), &id) {
            (Some(raw_id), _) => self.bytes(raw_id, "rawId")?,
            (None, Some(id)) => {
                self.note("rawId is not there: id is taken for it");
                decode_text(id).map(|(bytes, _)| bytes).unwrap_or_default()
            }
            (None, None) => Vec::new(),
        };
        let results = credential.get("clientExtensionResults").and_then(Value::as_object).cloned().unwrap_or_default();
        let credential_type = match credential.text("type") {
            Some(text) => text.to_owned(),
            None => {
                self.note("type is not there: \"public-key\" is taken for it");
                "public-key".to_owned()
            }
        };
        let id = id.unwrap_or_default();
        if response.get("attestationObject").is_some() {
            let transports = response.get("transports").and_then(Value::as_array);
            let transports = transports.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned));
            let attestation_object = self.required(response, "attestationObject")?;
            self.recording.registrations.push(RegistrationResponse {
                id,
                raw_id,
                credential_type,
                client_data_json,
                attestation_object,
                transports: transports.collect(),
                client_extension_results: results,
            });
            return Ok(());
        }
        if client_data_json.windows(15).any(|window| window == b"webauthn.create") {
            return Err(InvalidRecording::Missing("attestationObject"));
        }
        let user_handle = match response.get("userHandle") {
            Some(handle) => Some(self.bytes(handle, "userHandle")?),
            None => None,
        };
        let authentication = AuthenticationResponse {
            id,
            raw_id,
            credential_type,
            client_data_json,
            authenticator_data: self.required(response, "authenticatorData")?,
            signature: self.required(response, "signature")?,
            user_handle,
            client_extension_results: results,
        };
        self.recording.authentications.push(authentication);
        Ok(())
    }

    /// `id`, which is text in base64url. That one who printed the bytes wrote others is told, and no mistake of the page.
    fn id(&mut self, credential: &Members<'_>) -> Result<Option<String>, InvalidRecording> {
        match credential.get("id") {
            Some(Value::String(text)) if !matches!(decode_text(text), Some((_, Some("hexadecimal")))) => {
                Ok(Some(text.clone()))
            }
            Some(other) => Ok(Some(URL_SAFE_NO_PAD.encode(self.bytes(other, "id")?))),
            None => Ok(None),
        }
    }

    fn required(&mut self, members: &Members<'_>, name: &'static str) -> Result<Vec<u8>, InvalidRecording> {
        let value = members.get(name).ok_or(InvalidRecording::Missing(name))?;
        self.bytes(value, name)
    }

    fn bytes(&mut self, value: &Value, member: &str) -> Result<Vec<u8>, InvalidRecording> {
        bytes(&mut self.recording.notes, value, member)
    }

    fn note(&mut self, note: &str) {
        add(&mut self.recording.notes, note.to_owned());
    }
}

fn add(notes: &mut Vec<String>, note: String) {
    if !notes.contains(&note) && notes.len() < MAX_FOUND {
        notes.push(note);
    }
}

fn bytes(notes: &mut Vec<String>, value: &Value, member: &str) -> Result<Vec<u8>, InvalidRecording> {
    let wrong = || InvalidRecording::Member {
        member: member.to_owned(),
        expected: "base64url, base64, hexadecimal or array of bytes",
    };
    let (bytes, form) = decode(value).ok_or_else(wrong)?;
    if let Some(form) = form {
        add(notes, told(member, form));
    }
    Ok(bytes)
}

/// What is said of bytes that are written otherwise: of those of options, what becomes of them in pages (as observed).
fn told(member: &str, form: &str) -> String {
    let is_of_options = ["challenge", "user.id"].contains(&member) || member.ends_with("[].id");
    let parsers = "parseCreationOptionsFromJSON() and parseRequestOptionsFromJSON()";
    match form {
        "base64url with padding" if is_of_options => {
            format!(
                "{member} is written in {form}, where options have it without: Firefox's {parsers} take that, other browsers' refuse it"
            )
        }
        "base64" if is_of_options => {
            format!(
                "{member} is written in {form}, where options have base64url without padding: browsers' {parsers} refuse that"
            )
        }
        _ => format!("{member} is written in {form}, where toJSON() has base64url without padding"),
    }
}

/// Members of an object, under the names that WebAuthn has for them or in snake case.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        let found = self.0.get(name).or_else(|| self.0.get(&snake_case(name)));
        found.filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }
}

/// `clientDataJSON` is `client_data_json`, `rpId` is `rp_id`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut previous_is_upper = true;
    for character in name.chars() {
        if character.is_ascii_uppercase() && !previous_is_upper {
            snake.push('_');
        }
        previous_is_upper = character.is_ascii_uppercase();
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// A challenge alone is anything; what stands beside it says that it is WebAuthn's.
fn is_request(members: &Members<'_>) -> bool {
    ["rpId", "allowCredentials", "userVerification", "timeout"].iter().any(|name| members.get(name).is_some())
        && members.get("type").is_none()
}

/// The response in a credential, or the credential itself if the response alone was recorded. One that lacks a member is one too.
fn response_of<'a>(members: &Members<'a>) -> Option<Members<'a>> {
    let has = |it: &Members<'_>| {
        let names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature"];
        names.into_iter().filter(|name| it.get(name).is_some()).count() >= 2
    };
    if let Some(response) = members.get("response").and_then(Value::as_object).map(Members)
        && has(&response)
    {
        return Some(response);
    }
    Some(Members(members.0)).filter(has)
}

fn is_client_data(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.starts_with(b"{\"")
}

fn is_attestation_object(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0xa0..=0xb7)) && bytes.windows(9).take(4096).any(|window| window == b"\x68authData")
}
