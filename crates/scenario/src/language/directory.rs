//! `[site.directory.REALM]`: realms whose users are in LDAP or Active Directory.

use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeMap;

use keyrig_relying_party::{DIRECTORY_OPTIONS, DirectoryKind, DirectorySettings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::at::At;
use super::problem::Problem;

/// What a realm's directory is asked by: `type`, which is `ldap` unless it is `ad`, and options by the names of `keyrig rp realm add`.
pub type DirectoryTable = BTreeMap<String, At<OptionText>>;

/// An option, which may be written as a text, a number or a boolean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionText(pub String);

impl<'de> Deserialize<'de> for OptionText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = OptionText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OptionText, E> {
                Ok(OptionText(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<OptionText, E> {
                Ok(OptionText(number.to_string()))
            }

            fn visit_bool<E: Error>(self, is: bool) -> Result<OptionText, E> {
                Ok(OptionText(u8::from(is).to_string()))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for OptionText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OptionText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

/// What these say.
pub(super) fn settings(realm: &str, table: &DirectoryTable) -> Result<DirectorySettings, Problem> {
    let place = || table.values().next().map_or(0..0, |option| option.at.clone());
    let kind = match table.get("type") {
        None => DirectoryKind::Ldap,
        Some(written) => match written.value.0.as_str() {
            "ldap" => DirectoryKind::Ldap,
            "ad" => DirectoryKind::Ad,
            other => {
                let problem = Problem::new(written.at.clone(), format!("a directory is none of the type {other:?}"));
                return Err(problem.with_help("its type is ldap or ad"));
            }
        },
    };
    if ["pam", "pve"].contains(&realm) {
        return Err(Problem::new(
            place(),
            format!("the users of the realm {realm} are kept here, and in no directory"),
        ));
    }
    let mut settings = DirectorySettings::new(kind);
    for (option, At { value: OptionText(value), at }) in table.iter().filter(|(option, _)| *option != "type") {
        if option == "bind_dn" {
            let problem = Problem::new(at.clone(), "a scenario has nowhere to keep the password of a bind_dn");
            return Err(problem.with_help("have the directory let anybody search"));
        }
        settings.set(option, value).map_err(|error| {
            let problem = Problem::new(at.clone(), error.to_string());
            if DIRECTORY_OPTIONS.contains(&option.as_str()) {
                problem
            } else {
                problem.with_nearest(option, DIRECTORY_OPTIONS.iter().copied())
            }
        })?;
    }
    settings.check().map_err(|error| Problem::new(place(), format!("of the directory of {realm}, {error}")))?;
    Ok(settings)
}
