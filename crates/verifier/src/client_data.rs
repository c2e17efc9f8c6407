//! The checks of the client data, which both ceremonies share (WebAuthn Level 3, §5.8.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::check::Check;
use crate::expectations::Framing;
use crate::origin::{self, OriginRule};
use crate::report::{Ceremony, Findings, Outcome, Text};
use crate::shown::{json_problem, shown};
use crate::strictness::{ClientDataDecoding, Deviation, Strictness};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(crate) struct Expected<'a> {
    pub(crate) ceremony: Ceremony,
    pub(crate) challenge: &'a [u8],
    pub(crate) origins: &'a [OriginRule],
    pub(crate) framing: Framing<'a>,
    pub(crate) strictness: Strictness,
}

/// Checks the client data, from [`Check::ClientDataJson`] to [`Check::TopOrigin`].
pub(crate) fn check(findings: &mut Findings, client_data_json: &[u8], expected: &Expected<'_>) {
    let strictness = &expected.strictness;
    match parse(client_data_json, strictness.client_data_decoding) {
        Ok(client_data) => {
            findings.add(Check::ClientDataJson, Outcome::Pass, "a JSON object", "a JSON object");
            check_type(findings, &client_data, expected.ceremony);
            check_challenge(findings, &client_data, expected.challenge, strictness.base64_padding);
            check_origin(findings, &client_data, expected.origins, strictness.origin_form);
            check_framing(findings, &client_data, expected.framing, strictness.top_origin);
        }
        Err(reason) => {
            findings.decide(Check::ClientDataJson, false, "a JSON object", reason);
            for check in [Check::ClientDataType, Check::Challenge, Check::Origin, Check::CrossOrigin, Check::TopOrigin]
            {
                findings.not_evaluated(check, Check::ClientDataJson);
            }
        }
    }
}

/// UTF-8 decode (Encoding Standard, §6) strips a byte-order mark and replaces what is not UTF-8; then JSON, where the last
/// of several members of one name counts, as in a browser's `JSON.parse`.
fn parse(client_data_json: &[u8], decoding: ClientDataDecoding) -> Result<Map<String, Value>, String> {
    let json = client_data_json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(client_data_json);
    let parsed = match decoding {
        ClientDataDecoding::Utf8Decode => serde_json::from_str(&String::from_utf8_lossy(json)),
        ClientDataDecoding::Json if client_data_json.starts_with(BYTE_ORDER_MARK) => {
            return Err("a byte-order mark before the JSON, which UTF-8 decode would strip".to_owned());
        }
        ClientDataDecoding::Json => serde_json::from_slice::<Once>(client_data_json).map(|Once(members)| members),
    };
    parsed.map_err(|error| {
        let (offset, reason) = json_problem(json, &error);
        format!("not a JSON object: {reason} at byte {}", client_data_json.len() - json.len() + offset)
    })
}

/// An object with each of its members once.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Once;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Once, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Once(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member that has to be a string.
fn text<'a>(client_data: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match client_data.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{}, which is not a string", shown(&other.to_string()))),
        None => Err(format!("no {name}")),
    }
}

fn check_type(findings: &mut Findings, client_data: &Map<String, Value>, ceremony: Ceremony) {
    let expected = match ceremony {
        Ceremony::Registration => "webauthn.create",
        Ceremony::Authentication => "webauthn.get",
    };
    match text(client_data, "type") {
        Ok(found) if found == expected => {
            findings.decide(Check::ClientDataType, true, expected, expected);
        }
        Ok(found) => {
            let finding = findings.decide(Check::ClientDataType, false, expected, shown(found));
            if matches!(found, "webauthn.create" | "webauthn.get") {
                finding.explanation = Some("it is the client data of the other ceremony".into());
            }
        }
        Err(found) => {
            findings.decide(Check::ClientDataType, false, expected, found);
        }
    }
}

fn check_challenge(findings: &mut Findings, client_data: &Map<String, Value>, challenge: &[u8], form: Deviation) {
    let expected = URL_SAFE_NO_PAD.encode(challenge);
    match text(client_data, "challenge") {
        Ok(found) if found != expected && is_in_other_form(found, challenge) => {
            let deviation = if found.trim_end_matches('=') == expected { form } else { Deviation::Refuse };
            let finding = findings.deviates(Check::Challenge, deviation, expected, shown(found));
            finding.explanation = Some("the same bytes, in another base64 than base64url without padding".into());
        }
        Ok(found) => {
            findings.decide(Check::Challenge, found == expected, expected, shown(found));
        }
        Err(found) => {
            findings.decide(Check::Challenge, false, expected, found);
        }
    }
}

fn is_in_other_form(base64: &str, challenge: &[u8]) -> bool {
    let normalised = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(normalised).is_ok_and(|found| found == challenge)
}

fn check_origin(findings: &mut Findings, client_data: &Map<String, Value>, rules: &[OriginRule], form: Deviation) {
    match text(client_data, "origin") {
        Ok(found) => {
            let Err(mismatch) = origin::judge_origin(found, rules) else {
                findings.decide(Check::Origin, true, origin::describe(rules), shown(found));
                return;
            };
            let means = origin::serialised(found);
            let is_other_form = means.is_some_and(|means| rules.iter().any(|rule| rule.matches(&means)));
            let deviation = if is_other_form { form } else { Deviation::Refuse };
            let finding = findings.deviates(Check::Origin, deviation, mismatch.expected, shown(found));
            finding.explanation = Some(mismatch.explanation);
        }
        Err(found) => {
            findings.decide(Check::Origin, false, origin::describe(rules), found);
        }
    }
}

fn check_framing(
    findings: &mut Findings,
    client_data: &Map<String, Value>,
    framing: Framing<'_>,
    top_origin: Deviation,
) {
    let (allowed, anywhere) = match framing {
        Framing::Refused => (None, false),
        Framing::AllowedIn(rules) => (Some(rules), false),
        Framing::AllowedAnywhere => (Some(&[][..]), true),
    };
    let expected = if allowed.is_some() { "true or false" } else { "false" };
    match client_data.get("crossOrigin") {
        Some(Value::Bool(true)) => {
            let finding = findings.decide(Check::CrossOrigin, allowed.is_some(), expected, "true");
            if allowed.is_none() {
                finding.explanation = Some(
                    "the page is in a frame of a page on another origin, which this relying party does not expect"
                        .into(),
                );
            }
        }
        Some(Value::Bool(false)) => {
            findings.decide(Check::CrossOrigin, true, expected, "false");
        }
        // The member came with Level 2: older clients leave it out, and a page that is not framed may.
        None => {
            findings.decide(Check::CrossOrigin, true, expected, "no crossOrigin");
        }
        Some(other) => {
            let found = format!("{}, which is not a boolean", shown(&other.to_string()));
            findings.decide(Check::CrossOrigin, false, expected, found);
        }
    }
    let expected = allowed.map_or(Text::from("no topOrigin"), |rules| match rules {
        [] if anywhere => "any, in a frame of another origin".into(),
        [] => "no topOrigin".into(),
        rules => format!("{}, in a frame of another origin", origin::describe(rules)).into(),
    });
    match text(client_data, "topOrigin") {
        Ok(found) => {
            let framed = client_data.get("crossOrigin") == Some(&Value::Bool(true));
            let rules = allowed.unwrap_or_default();
            let pass = framed && (anywhere || rules.iter().any(|rule| rule.matches(found)));
            let finding = findings.decide(Check::TopOrigin, pass, expected, shown(found));
            finding.enforced = pass || top_origin.refuses();
            if !framed {
                finding.explanation = Some("topOrigin is there only if crossOrigin is true".into());
            } else if !pass && !rules.is_empty() {
                finding.explanation = Some(origin::explain(found, rules));
            }
        }
        Err(_) if !client_data.contains_key("topOrigin") => findings.not_applicable(Check::TopOrigin, "no topOrigin"),
        Err(found) => {
            findings.decide(Check::TopOrigin, false, expected, found);
        }
    }
}
