//! Outputs against the JSON schemas in `crates/keyrig/schemas`.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Asserts that a value is what a schema says, and that the schema would notice a member that is not in it.
pub(crate) fn assert_is(schema: &str, value: &Value) {
    let path = format!("{}/schemas/{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let mut schemas = Schemas::new();
    let index = Compiler::new().compile(&path, &mut schemas).unwrap_or_else(|error| panic!("{schema}: {error:#}"));
    if let Err(error) = schemas.validate(value, index) {
        panic!("{schema}: {error:#}\n{value:#}");
    }
    for changed in with_one_member_more(value) {
        assert!(schemas.validate(&changed, index).is_err(), "{schema} lets pass what it does not know: {changed:#}");
    }
}

/// The value with a member more in one of its objects, for each of them; but for those whose members have no fixed names.
fn with_one_member_more(value: &Value) -> Vec<Value> {
    const FREE: [&str; 20] = [
        "accepts",
        "asked",
        "begin-body",
        "body",
        "finish-body",
        "headers",
        "json",
        "keep",
        "matrix",
        "members",
        "never-asked",
        "options",
        "pin-retries",
        "policy-fields",
        "realm",
        "report",
        "stored",
        "touches",
        "unproven",
        "variables",
    ];
    let mut changed = Vec::new();
    match value {
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert("unknown".to_owned(), Value::Null);
            changed.push(Value::Object(more));
            for (name, member) in members.iter().filter(|(name, _)| !FREE.contains(&name.as_str())) {
                changed.extend(with_one_member_more(member).into_iter().map(|member| {
                    let mut members = members.clone();
                    members.insert(name.clone(), member);
                    Value::Object(members)
                }));
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                changed.extend(with_one_member_more(element).into_iter().map(|element| {
                    let others = elements.iter().enumerate();
                    others.map(|(other, it)| if other == index { &element } else { it }).cloned().collect()
                }));
            }
        }
        _ => {}
    }
    changed
}
