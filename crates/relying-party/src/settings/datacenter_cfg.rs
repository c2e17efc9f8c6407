//! The `webauthn:` line of Proxmox VE's `datacenter.cfg`, read as it is: `webauthn: rp=NAME,id=DOMAIN,origin=URL`. The policy is Proxmox
//! VE's too.
//!
//! Other lines are none of our business. One that was meant to be this one and is not would leave a relying party
//! without its settings, so it is an error.

use std::ops::Range;

use super::error::{ConfigProblem, part_of_origin, part_of_rp_id};
use super::{OriginProblem, Settings, check_name, check_origin, check_rp_id};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::property_string::{self, Property, PropertyProblem};
use crate::settings::Attestation;

/// The name of the line.
const KEY: &str = "webauthn";

/// What is wrong, and at which bytes.
pub(super) type Wrong = (Range<usize>, ConfigProblem);

/// The settings of a whole `datacenter.cfg` as they are written, and what cannot work in them; or why they cannot be read.
pub(super) fn read(text: &str) -> Result<(Settings, Vec<Wrong>), Wrong> {
    let mut found: Option<(usize, Range<usize>)> = None;
    let mut start = 0;
    for (index, line) in text.split('\n').enumerate() {
        let at = start..start + line.trim_end().len();
        start += line.len() + 1;
        let Some(value_at) = value(text, at)? else { continue };
        match found {
            Some((first, _)) => {
                let at = start - line.len() - 1;
                return Err((at..at + KEY.len(), ConfigProblem::SecondWebauthnLine { first }));
            }
            None => found = Some((index + 1, value_at)),
        }
    }
    let (_, at) = found.ok_or((text.len()..text.len(), ConfigProblem::NoWebauthnLine))?;
    let in_file = |(part, problem): Wrong| (at.start + part.start..at.start + part.end, problem);
    let (settings, problems) = read_line(text.get(at.clone()).unwrap_or_default()).map_err(in_file)?;
    Ok((settings, problems.into_iter().map(in_file).collect()))
}

/// Where the value of a line is, if it is the `webauthn:` line.
fn value(text: &str, line: Range<usize>) -> Result<Option<Range<usize>>, Wrong> {
    let content = text.get(line.clone()).unwrap_or_default();
    let trimmed = content.trim_start();
    let indent = content.len() - trimmed.len();
    let name = trimmed.split([':', '=', ' ', '\t']).next().unwrap_or_default();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if name.starts_with('#') || !plain.eq_ignore_ascii_case(KEY) {
        return Ok(None);
    }
    let whole =
        |range: Range<usize>| (line.start + range.start..line.start + range.end, ConfigProblem::NotTheWebauthnLine);
    if indent > 0 {
        return Err(whole(0..indent));
    }
    if name != KEY {
        return Err(whole(0..name.len()));
    }
    let behind = content.get(KEY.len()..).unwrap_or_default();
    let Some(value) = behind.strip_prefix(':') else {
        return Err(whole(KEY.len()..(KEY.len() + 1).min(content.len())));
    };
    let start = KEY.len() + 1 + (value.len() - value.trim_start().len());
    Ok(Some(line.start + start..line.end))
}

/// The same of what stands behind `webauthn:`.
pub(super) fn read_line(line: &str) -> Result<(Settings, Vec<Wrong>), Wrong> {
    let properties = property_string::parse(line).map_err(|(at, problem)| match problem {
        // `origin=https://a,https://b`
        PropertyProblem::NoValue { found } if found.contains("://") => (at, ConfigProblem::SecondOrigin),
        problem => (at, problem.into()),
    })?;
    let end = line.len()..line.len();
    let (mut rp, mut id, mut origin, mut allow_subdomains) = (None, None, None, true);
    for property in &properties {
        match property.key {
            "rp" => rp = Some(property),
            "id" => id = Some(property),
            "origin" => origin = Some(property),
            // As every boolean of Proxmox VE is written.
            "allow-subdomains" => match property.value.to_ascii_lowercase().as_str() {
                "1" | "on" | "yes" | "true" => allow_subdomains = true,
                "0" | "off" | "no" | "false" => allow_subdomains = false,
                found => {
                    let found = found.to_owned();
                    return Err((property.value_at.clone(), ConfigProblem::NotABoolean { found }));
                }
            },
            found => {
                let found = found.to_owned();
                return Err((property.key_at.clone(), ConfigProblem::UnknownProperty { found }));
            }
        }
    }
    // Proxmox VE reads a line without them, and then has no WebAuthn at all.
    let missing = |what, how| (end.clone(), ConfigProblem::Missing { what, how });
    let id = id.ok_or_else(|| missing("id", "write id=DOMAIN, the RP ID, such as id=pve.example.com"))?;
    let mut problems = Vec::new();
    match rp {
        None => problems.push(missing("rp", "write rp=NAME, what users are shown")),
        Some(rp) if check_name(rp.value).is_err() => problems.push((rp.value_at.clone(), ConfigProblem::Name)),
        Some(_) => {}
    }
    if let Err(problem) = check_rp_id(id.value) {
        problems.push((within(id, part_of_rp_id(id.value, problem)), ConfigProblem::RpId(problem)));
    }
    let mut notes = Vec::new();
    let mut origins = Vec::new();
    if let Some(origin) = origin {
        let mut read = origin.value.to_owned();
        let mut verdict = check_origin(&read, id.value);
        // Proxmox VE reads a URL, and takes its origin.
        if let Err(OriginProblem::NotAsBrowsersWriteIt { should_be }) = verdict {
            notes.push(format!("the origin {read:?} is read as {should_be}, as browsers write it"));
            verdict = check_origin(&should_be, id.value);
            read = should_be;
        }
        if let Err(problem) = verdict {
            let at = within(origin, part_of_origin(origin.value, &problem));
            problems.push((at, ConfigProblem::Origin(problem)));
        }
        origins.push(read);
    }
    let settings = Settings {
        rp_id: id.value.to_owned(),
        origins,
        app_origins: Vec::new(),
        related_origins: Vec::new(),
        top_origins: Vec::new(),
        app_id: None,
        allow_subdomains,
        name: rp.map_or(id.value, |rp| rp.value).to_owned(),
        passkey_login: false,
        attestation: Attestation::None,
        enterprise_attestation: false,
        policy: Policy::proxmox_ve(),
        limits: Limits::default(),
        notes,
    };
    Ok((settings, problems))
}

fn within(property: &Property<'_>, part: Range<usize>) -> Range<usize> {
    property.value_at.start + part.start..property.value_at.start + part.end
}

#[cfg(test)]
mod tests;
