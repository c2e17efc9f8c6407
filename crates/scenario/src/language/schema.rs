//! The language, described to editors: JSON Schema.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::file::File;

/// The JSON Schema (2020-12) of a scenario's file.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<File>().to_value();
    or_variable(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("A scenario of keyrig"));
        root.insert(
            "description".to_owned(),
            json!("What keys, pages and a site do, and what must come of it: keyrig run FILE"),
        );
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("matrix".to_owned(), matrix());
            properties.insert("variables".to_owned(), variables());
        }
    }
    schema
}

fn matrix() -> Value {
    json!({
        "description": "What the scenario goes through: it runs once for each combination. ${name} stands for what it is there.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": { "type": "array", "minItems": 1 },
    })
}

fn variables() -> Value {
    json!({
        "description": "What ${name} stands for, everywhere in the file.",
        "type": "object",
    })
}

/// Wherever something else than a text is wanted, a variable may stand for it.
fn or_variable(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(or_variable);
            if is_no_text(members) {
                let kept = ["description", "default"].map(|name| (name, members.remove(name)));
                let plain = Value::Object(core::mem::take(members));
                members.insert("anyOf".to_owned(), json!([plain, { "type": "string", "pattern": "^\\$\\{[^}]+\\}$" }]));
                members.extend(kept.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            }
        }
        Value::Array(members) => members.iter_mut().for_each(or_variable),
        _ => {}
    }
}

/// Whether a schema is of numbers or of yes and no.
fn is_no_text(schema: &Map<String, Value>) -> bool {
    let is = |name: &Value| ["integer", "number", "boolean"].iter().any(|kind| name == kind);
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is),
        Some(kind) => is(kind),
        None => false,
    }
}
