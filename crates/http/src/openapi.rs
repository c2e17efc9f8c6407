//! The service described in OpenAPI 3.1, from the types of its commands.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::error::ErrorBody;

/// What a route takes and answers.
#[derive(Debug)]
pub(crate) struct Operation {
    description: Value,
    /// The schemas that it refers to, by name.
    schemas: Vec<(String, Value)>,
}

impl Operation {
    /// One that answers with a value, in words.
    pub(crate) fn answering<Answer: ToSchema>(id: &str, summary: &str) -> Self {
        let mut schemas = referred::<Answer>();
        schemas.push((Answer::name().into_owned(), value(&Answer::schema())));
        let answer = json!({"$ref": format!("#/components/schemas/{}", Answer::name())});
        let description = json!({
            "operationId": id,
            "summary": summary,
            "responses": {
                "200": {"description": "Done.", "content": {"application/json": {"schema": answer}}},
                "default": {"$ref": "#/components/responses/Error"},
            },
        });
        Self { description, schemas }
    }

    /// One whose request is a value: of its members some are parts of the path or of the query, and all others are in the body. It is
    /// described by the first sentence of the type's documentation.
    pub(crate) fn asking<Request: ToSchema, Answer: ToSchema>(id: &str, path: &str, in_query: bool) -> Self {
        let mut schema = value(&Request::schema());
        let documented = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let documented = documented.as_ref().and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let summary = documented.split_inclusive(". ").next().unwrap_or_default().trim().to_owned();
        let mut operation = Self::answering::<Answer>(id, &summary);
        operation.schemas.extend(referred::<Request>());
        let mut parameters = Vec::new();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let (member, _) = take(&mut schema, name);
            parameters.push(json!({"name": name, "in": "path", "required": true, "schema": member}));
        }
        if in_query {
            for name in members(&schema) {
                let (mut member, required) = take(&mut schema, &name);
                without_null(&mut member);
                parameters.push(json!({"name": name, "in": "query", "required": required, "schema": member}));
            }
        }
        if !members(&schema).is_empty() {
            let required = schema.get("required").is_some();
            let body = json!({"required": required, "content": {"application/json": {"schema": schema}}});
            operation.set("requestBody", body);
        }
        if !parameters.is_empty() {
            operation.set("parameters", parameters.into());
        }
        if documented.len() > summary.len() {
            operation.set("description", documented.into());
        }
        operation
    }

    /// The same, answered to anybody.
    pub(crate) fn for_anybody(mut self) -> Self {
        self.set("security", json!([]));
        self
    }

    /// The same with a part of the path that names one of these files.
    pub(crate) fn with_file(mut self, files: Vec<String>, description: String) -> Self {
        let file = json!({
            "name": "file",
            "in": "path",
            "required": true,
            "description": description,
            "schema": {"type": "string", "enum": files},
        });
        self.set("parameters", json!([file]));
        self
    }

    /// The same with another answer than a value in JSON.
    pub(crate) fn with_success(mut self, success: Value) -> Self {
        if let Some(responses) = self.description.get_mut("responses").and_then(Value::as_object_mut) {
            responses.insert("200".to_owned(), success);
        }
        self
    }

    fn set(&mut self, member: &str, value: Value) {
        if let Some(members) = self.description.as_object_mut() {
            members.insert(member.to_owned(), value);
        }
    }
}

/// The document, of all routes: method, path and what is there.
pub(crate) fn document(routes: impl Iterator<Item = (&'static str, &'static str, Operation)>) -> Value {
    let mut schemas: Map<String, Value> = referred::<ErrorBody>().into_iter().collect();
    schemas.insert(ErrorBody::name().into_owned(), value(&ErrorBody::schema()));
    let mut paths = Map::new();
    for (method, path, operation) in routes {
        schemas.extend(operation.schemas);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_ascii_lowercase(), operation.description);
        }
    }
    let error = json!({"schema": {"$ref": format!("#/components/schemas/{}", ErrorBody::name())}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "keyrig",
            "description": "A rack of software security keys, and a browser's client over them.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "Nothing was done, and why.",
                    "content": {"application/json": error},
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn referred<T: ToSchema>() -> Vec<(String, Value)> {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    schemas.into_iter().map(|(name, schema)| (name, value(&schema))).collect()
}

fn value(schema: &impl serde::Serialize) -> Value {
    // Texts, numbers and maps with text keys: nothing in it can fail to be written.
    serde_json::to_value(schema).unwrap_or_default()
}

/// A query has texts, and none of them is null.
fn without_null(schema: &mut Value) {
    let is_null = |value: &Value| value == "null" || value == &json!({"type": "null"});
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|of| !is_null(of));
        if let [only] = &types[..] {
            let only = only.clone();
            schema["type"] = only;
        }
    }
    if let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        choices.retain(|of| !is_null(of));
        if let [only] = &choices[..] {
            *schema = only.clone();
        }
    }
}

/// The names of a schema's members.
fn members(schema: &Value) -> Vec<String> {
    let members = schema.get("properties").and_then(Value::as_object);
    members.map(|members| members.keys().cloned().collect()).unwrap_or_default()
}

/// Takes a member out of a schema, and says whether it was required.
fn take(schema: &mut Value, name: &str) -> (Value, bool) {
    let Some(schema) = schema.as_object_mut() else { return (Value::Null, false) };
    let member = schema.get_mut("properties").and_then(|members| members.as_object_mut()?.remove(name));
    let required = schema.get_mut("required").and_then(Value::as_array_mut);
    let was_required = required.is_some_and(|required| {
        let before = required.len();
        required.retain(|member| member != name);
        required.len() < before
    });
    if schema.get("required").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        schema.remove("required");
    }
    (member.unwrap_or_default(), was_required)
}
