//! Two runs of one scenario, command by command: where one key does otherwise than the other, and what a profile would have to say of it.
//!
//! The first run is of a key's profile, the second of the key itself. What is another each time (signatures, ids, keys) is compared by its
//! length, and what is the TEST root's by how many certificates there are.

use core::fmt;
use std::collections::BTreeMap;

use keyrig_ctap::Status;
use keyrig_ctap::cose::Algorithm;
use keyrig_faults::transcript::{Exchange, Touch, Transcript, Value};

use crate::results::{RunResult, StepResult};

/// Something that the second key does otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The line of the step in its file.
    pub line: usize,
    /// The step's name.
    pub step: String,
    /// The key.
    pub key: String,
    /// What it was asked.
    pub command: String,
    /// What is otherwise: `status`, `asks for a touch`, or a member of the answer, as `options.clientPin`.
    pub what: String,
    /// What the first said.
    pub first: String,
    /// What the second said.
    pub second: String,
    /// The line of a profile that would say it, if there is a field for it.
    pub proposal: Option<String>,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, command, what, first, second, .. } = self;
        write!(f, "{key} {command}: {what}: {first}, and the real key {second}")
    }
}

/// What is for nobody to compare: the names in certificates, which are TEST ones.
const OF_CERTIFICATES: [&str; 4] = ["subject", "issuer", "notBefore", "notAfter"];

/// What is of another length each time: signatures in DER.
const SIGNATURES: [&str; 2] = ["sig", "signature"];

/// What a guard of real keys asks beside.
const ASKED_BESIDE: &str = "getPINRetries";

/// The longest that is told of a value, characters.
const LONGEST: usize = 200;

/// All in which the second run's keys do otherwise. Steps of which one was not done say nothing.
#[must_use]
pub fn compare(first: &RunResult, second: &RunResult) -> Vec<Deviation> {
    let done = |step: &&StepResult| step.skipped.is_none();
    let mut deviations = Vec::new();
    for (one, other) in first.steps.iter().zip(&second.steps).filter(|(one, other)| done(one) && done(other)) {
        of_step(one, other, &mut deviations);
    }
    deviations
}

/// The lines that a profile would have, each once.
#[must_use]
pub fn proposals(deviations: &[Deviation]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in deviations.iter().filter_map(|deviation| deviation.proposal.as_ref()) {
        if !lines.contains(line) {
            lines.push(line.clone());
        }
    }
    lines
}

type Asked = BTreeMap<(String, String), Vec<Exchange>>;

fn asked(step: &StepResult) -> Asked {
    let mut asked = Asked::new();
    for exchange in Transcript::new(step.events.clone()).exchanges() {
        let command = match &exchange.subcommand {
            Some(subcommand) if subcommand == ASKED_BESIDE => continue,
            Some(subcommand) => format!("{} {subcommand}", exchange.command),
            None => exchange.command.clone(),
        };
        asked.entry((exchange.key.clone(), command)).or_default().push(exchange);
    }
    asked
}

fn of_step(one: &StepResult, other: &StepResult, deviations: &mut Vec<Deviation>) {
    let (first, mut second) = (asked(one), asked(other));
    let mut tell = |key: &str, command: &str, what: &str, first: &str, second: &str, proposal| {
        let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
        let deviation = Deviation {
            line: other.line,
            step: other.name.clone(),
            key: key.to_owned(),
            command: command.to_owned(),
            what: what.to_owned(),
            first: short(first),
            second: short(second),
            proposal,
        };
        // What is asked several times is told once.
        let is_told = deviations.iter().any(|told: &Deviation| {
            (&told.key, &told.command, &told.what, &told.second)
                == (&deviation.key, &deviation.command, &deviation.what, &deviation.second)
        });
        if !is_told {
            deviations.push(deviation);
        }
    };
    for ((key, command), exchanges) in first {
        let others = second.remove(&(key.clone(), command.clone())).unwrap_or_default();
        // U2F repeats itself until it is touched.
        if exchanges.len() != others.len() && !command.starts_with("U2F_") {
            let times = |all: &[Exchange]| format!("asked {} times", all.len());
            tell(&key, &command, "how often", &times(&exchanges), &times(&others), None);
        }
        let last = |all: &[Exchange]| all.last().cloned().into_iter().collect::<Vec<_>>();
        let (exchanges, others) =
            if command.starts_with("U2F_") { (last(&exchanges), last(&others)) } else { (exchanges, others) };
        for (one, other) in exchanges.iter().zip(&others) {
            for (what, first, second, proposal) in of_exchange(one, other) {
                tell(&key, &command, &what, &first, &second, proposal);
            }
        }
    }
    for ((key, command), others) in second {
        tell(&key, &command, "how often", "never asked", &format!("asked {} times", others.len()), None);
    }
}

type Found = (String, String, String, Option<String>);

fn of_exchange(one: &Exchange, other: &Exchange) -> Vec<Found> {
    let mut found = Vec::new();
    let status = |exchange: &Exchange| exchange.status.clone().unwrap_or_else(|| "no answer".to_owned());
    if one.touch_asked != other.touch_asked {
        let shown = |asks: bool| if asks { "yes" } else { "no" }.to_owned();
        let proposal = no_credentials(other);
        found.push(("asks for a touch".to_owned(), shown(one.touch_asked), shown(other.touch_asked), proposal));
    }
    if one.status != other.status {
        found.push(("status".to_owned(), status(one), status(other), of_status(other)));
        return found;
    }
    let flat = |exchange: &Exchange| {
        let mut members = BTreeMap::new();
        for (name, value) in &exchange.response.0 {
            flatten(name, name, value, &mut members);
        }
        members
    };
    let (first, mut second) = (flat(one), flat(other));
    for (path, value) in first {
        let there = second.remove(&path);
        if there.as_ref() != Some(&value) {
            let proposal = match &there {
                Some(there) => of_member(other, &path, there),
                None => absent(other, &path),
            };
            found.push((path, value, there.unwrap_or_else(|| "absent".to_owned()), proposal));
        }
    }
    for (path, value) in second {
        let proposal = of_member(other, &path, &value);
        found.push((path, "absent".to_owned(), value, proposal));
    }
    found
}

/// The members of a value, each by its path.
fn flatten(path: &str, name: &str, value: &Value, members: &mut BTreeMap<String, String>) {
    let shown = match value {
        _ if OF_CERTIFICATES.contains(&name) => return,
        Value::Map(map) => {
            for (inner, value) in &map.0 {
                flatten(&format!("{path}.{inner}"), inner, value, members);
            }
            return;
        }
        Value::Bytes(_) if SIGNATURES.contains(&name) => "bytes".to_owned(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        // How much a counter is says when a key was made.
        Value::Integer(number) if name == "signCount" => if *number == 0 { "0" } else { "it counts" }.to_owned(),
        Value::Integer(_) if name == "remainingDiscoverableCredentials" => "told".to_owned(),
        Value::List(list) if list.iter().any(|one| matches!(one, Value::Map(_) | Value::Bytes(_))) && name == "x5c" => {
            format!("{} certificates", list.len())
        }
        other => other.to_string(),
    };
    members.insert(path.to_owned(), shown);
}

fn recorded(field: &str, is: &str) -> String {
    format!("behaviour.{field} = {{ is = {is}, known = \"recorded\", from = \"keyrig run --compare\" }}")
}

/// When it is said that there is no credential.
fn no_credentials(real: &Exchange) -> Option<String> {
    let says_none = matches!(real.status.as_deref(), Some("CTAP2_ERR_NO_CREDENTIALS" | "CTAP2_ERR_INVALID_CREDENTIAL"));
    let when = if real.touch_asked { "\"after-touch\"" } else { "\"at-once\"" };
    (real.command == "authenticatorGetAssertion" && says_none).then(|| recorded("no_credentials", when))
}

fn of_status(real: &Exchange) -> Option<String> {
    let status = real.status.as_deref()?;
    let byte = (0..=u8::MAX).find(|byte| Status::from(*byte).to_string() == status)?;
    let is = format!("0x{byte:02X}");
    match (real.command.as_str(), real.touch) {
        ("authenticatorMakeCredential" | "authenticatorGetAssertion", Some(Touch::TimedOut)) => {
            Some(recorded("touch_timeout_status", &is))
        }
        ("authenticatorSelection" | "authenticatorReset", Some(Touch::TimedOut)) => {
            Some(recorded("choice_timeout_status", &is))
        }
        ("authenticatorGetAssertion", _)
            if matches!(status, "CTAP2_ERR_NO_CREDENTIALS" | "CTAP2_ERR_INVALID_CREDENTIAL") =>
        {
            Some(recorded("unknown_credential_status", &is))
        }
        _ => None,
    }
}

/// The members of getInfo that a profile has as they are, and its fields.
const INFO: [(&str, &str); 20] = [
    ("versions", "versions"),
    ("extensions", "extensions"),
    ("aaguid", "aaguid"),
    ("maxMsgSize", "max_msg_size"),
    ("pinUvAuthProtocols", "pin_uv_auth_protocols"),
    ("maxCredentialCountInList", "max_credential_count_in_list"),
    ("maxCredentialIdLength", "max_credential_id_length"),
    ("transports", "transports"),
    ("maxSerializedLargeBlobArray", "max_serialized_large_blob_array"),
    ("forcePINChange", "force_pin_change"),
    ("minPINLength", "min_pin_length"),
    ("firmwareVersion", "firmware_version"),
    ("maxCredBlobLength", "max_cred_blob_length"),
    ("maxRPIDsForSetMinPINLength", "max_rp_ids_for_set_min_pin_length"),
    ("preferredPlatformUvAttempts", "preferred_platform_uv_attempts"),
    ("attestationFormats", "attestation_formats"),
    ("longTouchForReset", "long_touch_for_reset"),
    ("transportsForReset", "transports_for_reset"),
    ("maxPINLength", "max_pin_length"),
    ("authenticatorConfigCommands", "authenticator_config_commands"),
];

fn of_member(real: &Exchange, path: &str, value: &str) -> Option<String> {
    let length = || value.strip_suffix(" bytes").map(str::to_owned);
    match real.command.as_str() {
        "authenticatorGetInfo" => of_info(real, path),
        "authenticatorMakeCredential" if path.ends_with("attestedCredentialData.credentialId") => {
            let is_stored =
                real.request.get("options").and_then(|options| options.get("rk")) == Some(&Value::Boolean(true));
            let field = if is_stored { "discoverable_id_length" } else { "credential_id_length" };
            length().map(|length| recorded(field, &length))
        }
        "U2F_REGISTER" if path == "keyHandle" => length().map(|length| recorded("key_handle_length", &length)),
        _ => None,
    }
}

/// What a profile would not have: as a comment, which is no field of it.
fn absent(real: &Exchange, path: &str) -> Option<String> {
    if real.command != "authenticatorGetInfo" {
        return None;
    }
    let field = INFO.iter().find(|(member, _)| *member == path).map(|(_, field)| *field);
    let field = field.or_else(|| path.starts_with("options.").then_some(path));
    let told = path == "remainingDiscoverableCredentials";
    let field = field.or(told.then_some("remaining_discoverable_credentials"))?;
    Some(format!("# no {field}"))
}

fn of_info(real: &Exchange, path: &str) -> Option<String> {
    if let Some(option) = path.strip_prefix("options.") {
        // Whether it is set up is its owner's.
        let is_state = ["clientPin", "uv", "bioEnroll", "userVerificationMgmtPreview"].contains(&option);
        let value = real.response.get("options")?.get(option)?;
        return Some(format!("options.{option} = {}", if is_state { "false".to_owned() } else { value.to_string() }));
    }
    if path == "remainingDiscoverableCredentials" {
        return Some("remaining_discoverable_credentials = true".to_owned());
    }
    let value = real.response.get(path)?;
    if path == "algorithms" {
        let name = |one: &Value| {
            let identifier = i64::try_from(one.get("alg")?.as_integer()?).ok()?;
            Algorithm::from_identifier(identifier).map(|algorithm| format!("\"{}\"", algorithm.name()))
        };
        let names: Vec<_> = value.as_list()?.iter().filter_map(name).collect();
        return Some(format!("algorithms = [{}]", names.join(", ")));
    }
    let (_, field) = INFO.iter().find(|(member, _)| *member == path)?;
    Some(format!("{field} = {}", toml_of(value)?))
}

fn toml_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::Text(text) => toml::Value::String(text.clone()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(toml_of).collect::<Option<Vec<_>>>()?.join(", ")),
        _ => return None,
    })
}
