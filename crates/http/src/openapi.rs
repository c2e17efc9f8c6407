//! What is served, described in OpenAPI 3.1, from the types of requests and answers.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// What a route takes and answers.
#[derive(Debug)]
pub struct Operation {
    description: Value,
    /// The schemas that it refers to, by name.
    schemas: Vec<(String, Value)>,
}

impl Operation {
    /// One that answers with a value, in words. What it refuses is `components/responses/Error`.
    #[must_use]
    pub fn answering<Answer: ToSchema>(id: &str, summary: &str) -> Self {
        Self::described(id, summary, referred_with_itself::<Answer>(), reference::<Answer>())
    }

    /// One that answers with a list of values.
    #[must_use]
    pub fn listing<Item: ToSchema>(id: &str, summary: &str) -> Self {
        let list = json!({"type": "array", "items": reference::<Item>()});
        Self::described(id, summary, referred_with_itself::<Item>(), list)
    }

    fn described(id: &str, summary: &str, schemas: Vec<(String, Value)>, answer: Value) -> Self {
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
    #[must_use]
    pub fn asking<Request: ToSchema, Answer: ToSchema>(id: &str, path: &str, in_query: bool) -> Self {
        let mut schema = value(&Request::schema());
        let documented = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let documented = documented.as_ref().and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let summary = documented.split_inclusive(". ").next().unwrap_or_default().trim().to_owned();
        let mut operation = Self::answering::<Answer>(id, &summary);
        operation.schemas.extend(referred::<Request>());
        for name in in_path(path) {
            let (member, _) = take(&mut schema, name);
            operation = operation.with_part_of_path(name, member);
        }
        if in_query {
            operation = operation.with_members_in_query(&mut schema);
        }
        if !members(&schema).is_empty() {
            let required = schema.get("required").is_some();
            operation = operation.with_body_of(schema, required);
        }
        if documented.len() > summary.len() {
            operation.set("description", documented.into());
        }
        operation
    }

    /// The same with a part of the path.
    #[must_use]
    pub fn with_part_of_path(mut self, name: &str, schema: Value) -> Self {
        self.add("parameters", json!({"name": name, "in": "path", "required": true, "schema": schema}));
        self
    }

    /// The same with a query that has these members.
    #[must_use]
    pub fn with_query<Query: ToSchema>(mut self) -> Self {
        self.schemas.extend(referred::<Query>());
        self.with_members_in_query(&mut value(&Query::schema()))
    }

    fn with_members_in_query(mut self, schema: &mut Value) -> Self {
        for name in members(schema) {
            let (mut member, required) = take(schema, &name);
            without_null(&mut member);
            self.add("parameters", json!({"name": name, "in": "query", "required": required, "schema": member}));
        }
        self
    }

    /// The same with a body, without which there is no request.
    #[must_use]
    pub fn with_body<Body: ToSchema>(mut self) -> Self {
        self.schemas.extend(referred_with_itself::<Body>());
        self.with_body_of(reference::<Body>(), true)
    }

    fn with_body_of(mut self, schema: Value, required: bool) -> Self {
        self.set("requestBody", json!({"required": required, "content": {"application/json": {"schema": schema}}}));
        self
    }

    /// The same for whoever has proved what these of [`Interface::security_schemes`] say, all of them.
    #[must_use]
    pub fn for_who_has(mut self, schemes: &[&str]) -> Self {
        let needed: Map<String, Value> = schemes.iter().map(|scheme| ((*scheme).to_owned(), json!([]))).collect();
        self.set("security", json!([needed]));
        self
    }

    /// The same, refusing with these of [`Interface::refusals`] and no others.
    #[must_use]
    pub fn refusing(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        if let Some(responses) = self.description.get_mut("responses").and_then(Value::as_object_mut) {
            responses.remove("default");
            for status in statuses {
                let response = json!({"$ref": format!("#/components/responses/{}", refusal_name(status))});
                responses.insert(status.to_string(), response);
            }
        }
        self
    }

    /// The same, answered to anybody.
    #[must_use]
    pub fn for_anybody(mut self) -> Self {
        self.set("security", json!([]));
        self
    }

    /// The same with a part of the path that names one of these files.
    #[must_use]
    pub fn with_file(mut self, files: Vec<String>, description: String) -> Self {
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
    #[must_use]
    pub fn with_success(mut self, success: Value) -> Self {
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

    fn add(&mut self, list: &str, value: Value) {
        let Some(members) = self.description.as_object_mut() else { return };
        if let Some(list) = members.entry(list).or_insert_with(|| json!([])).as_array_mut() {
            list.push(value);
        }
    }
}

/// What a document says of the whole.
#[derive(Clone, Debug)]
pub struct Interface<'a> {
    /// What it is called.
    pub title: &'a str,
    /// What it is, in a sentence.
    pub description: &'a str,
    /// The version of the program that serves it.
    pub version: &'a str,
    /// How one says who asks, by name: OpenAPI's `securitySchemes`.
    pub security_schemes: Value,
    /// Which of these every route needs that does not say otherwise.
    pub security: &'a [&'a str],
    /// The statuses of what is refused, and what each means, in words. There is `Error` for any of them.
    pub refusals: &'a [(u16, &'a str)],
}

/// The document, of all routes: method, path and what is there. Whatever is refused has a body of one type.
pub fn document<'a, Refusal: ToSchema>(
    interface: &Interface<'_>,
    routes: impl IntoIterator<Item = (&'a str, &'a str, Operation)>,
) -> Value {
    let mut schemas: Map<String, Value> = referred_with_itself::<Refusal>().into_iter().collect();
    let mut paths = Map::new();
    for (method, path, operation) in routes {
        schemas.extend(operation.schemas);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_ascii_lowercase(), operation.description);
        }
    }
    let refusal = |description: &str| json!({"description": description, "content": {"application/json": {"schema": reference::<Refusal>()}}});
    let mut refusals = Map::from_iter([("Error".to_owned(), refusal("Nothing was done, and why."))]);
    refusals.extend(interface.refusals.iter().map(|(status, words)| (refusal_name(*status), refusal(words))));
    let security: Map<String, Value> =
        interface.security.iter().map(|scheme| ((*scheme).to_owned(), json!([]))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": interface.title,
            "description": interface.description,
            "version": interface.version,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [security],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": interface.security_schemes,
        },
    })
}

/// `get_keys_touch`, of GET /v1/keys/{key}/touch.
#[must_use]
pub fn operation_id(method: &str, path: &str) -> String {
    let words = path.split('/').skip(2).filter(|part| !part.starts_with('{'));
    let words: Vec<_> = words.map(|part| part.replace(['-', '.'], "_")).collect();
    format!("{}_{}", method.to_ascii_lowercase(), words.join("_"))
}

/// The names of the parts of a path that are in braces.
pub fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn refusal_name(status: u16) -> String {
    format!("Error{status}")
}

fn reference<T: ToSchema>() -> Value {
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}

fn referred_with_itself<T: ToSchema>() -> Vec<(String, Value)> {
    let mut schemas = referred::<T>();
    schemas.push((T::name().into_owned(), value(&T::schema())));
    schemas
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
