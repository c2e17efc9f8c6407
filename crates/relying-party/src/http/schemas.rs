//! The schemas of what is a text in JSON, and of what others specify.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::audit_log::EventKind;
use crate::sessions::SessionKind;
use crate::user_name::UserName;

/// As [`UserName`] is read, but for some characters beyond U+FFFF that cannot be seen either.
const USER_NAME: &str = "^[^\\s:/\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufe00-\\ufe0f\\ufeff\\ufff9-\\ufffb]{1,64}@[A-Za-z0-9._-]{1,32}$";

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn or_null(of: Type) -> SchemaType {
    SchemaType::from_iter([of, Type::Null])
}

fn one_of(names: impl IntoIterator<Item = &'static str>, description: &str) -> RefOr<Schema> {
    text(description).enum_values(Some(names)).into()
}

impl PartialSchema for UserName {
    fn schema() -> RefOr<Schema> {
        text("A user and the realm, such as root@pam.").pattern(Some(USER_NAME)).into()
    }
}

impl ToSchema for UserName {
    fn name() -> Cow<'static, str> {
        "UserName".into()
    }
}

impl PartialSchema for SessionKind {
    fn schema() -> RefOr<Schema> {
        one_of(
            [Self::Full, Self::Enrolment].map(Self::name),
            "What a session is good for: everything that its user may do, or adding the factor that the realm requires.",
        )
    }
}

impl ToSchema for SessionKind {
    fn name() -> Cow<'static, str> {
        "SessionKind".into()
    }
}

impl PartialSchema for EventKind {
    fn schema() -> RefOr<Schema> {
        one_of(Self::ALL.iter().map(|kind| kind.name()), "What happened.")
    }
}

impl ToSchema for EventKind {
    fn name() -> Cow<'static, str> {
        "EventKind".into()
    }
}

/// The hash under the codes of an app.
pub(crate) fn totp_algorithm() -> Object {
    let names = [json!("SHA1"), json!("SHA256"), json!("SHA512"), Value::Null];
    text("The hash under the codes; without it SHA1, which every app computes.")
        .schema_type(or_null(Type::String))
        .enum_values(Some(names))
        .build()
}

/// Whole groups of four, and at the end what two bytes or one leave, without bits that stand for nothing (RFC 4648 §3.5).
fn base64url() -> ObjectBuilder {
    let pattern = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$";
    text("base64url without padding.").pattern(Some(pattern))
}

fn credential(description: &str, response: ObjectBuilder) -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new()
        .description(Some(description))
        .property("id", text())
        .required("id")
        .property("rawId", base64url())
        .required("rawId")
        .property("type", text())
        .required("type")
        .property("response", response)
        .required("response")
        .property("clientExtensionResults", ObjectBuilder::new().schema_type(or_null(Type::Object)))
        .build()
}

/// WebAuthn Level 3, §5.1.8.1.
pub(super) fn registration_response() -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let response = ObjectBuilder::new()
        .property("clientDataJSON", base64url())
        .required("clientDataJSON")
        .property("attestationObject", base64url())
        .required("attestationObject")
        .property("transports", ArrayBuilder::new().schema_type(or_null(Type::Array)).items(text));
    credential("WebAuthn's RegistrationResponseJSON: what the page gets of navigator.credentials.create().", response)
}

/// WebAuthn Level 3, §5.1.8.2.
pub(super) fn authentication_response() -> Object {
    let response = ObjectBuilder::new()
        .property("clientDataJSON", base64url())
        .required("clientDataJSON")
        .property("authenticatorData", base64url())
        .required("authenticatorData")
        .property("signature", base64url())
        .required("signature")
        .property("userHandle", base64url().schema_type(or_null(Type::String)));
    credential("WebAuthn's AuthenticationResponseJSON: what the page gets of navigator.credentials.get().", response)
}

/// What a part of a path is, by its name.
pub(super) fn part_of_path(name: &str) -> Value {
    match name {
        "user" => {
            json!({"type": "string", "pattern": USER_NAME, "description": "A user and the realm, such as root@pam."})
        }
        "realm" => json!({"type": "string", "description": "The name of a realm."}),
        _ => json!({"type": "string", "description": "What it is called, in the list that it is in."}),
    }
}
