//! The schemas of what is a text in JSON, for descriptions of interfaces.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::feedback::{FEEDBACK, Feedback};
use crate::finger::{MAX_DIGITS, TouchPolicy};
use crate::key_name::KeyName;
use crate::verification::{MAX_SCRIPT, UvPolicy};

fn text(pattern: &str, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(description)).into()
}

impl PartialSchema for KeyName {
    fn schema() -> RefOr<Schema> {
        text("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$", "The name of a key.")
    }
}

impl ToSchema for KeyName {
    fn name() -> Cow<'static, str> {
        "KeyName".into()
    }
}

impl PartialSchema for TouchPolicy {
    fn schema() -> RefOr<Schema> {
        let pattern = format!("^(auto|every|manual|deny|after=[0-9]{{1,{MAX_DIGITS}}})$");
        text(&pattern, "What the finger does: auto, every, manual, deny or after=MILLISECONDS.")
    }
}

impl ToSchema for TouchPolicy {
    fn name() -> Cow<'static, str> {
        "TouchPolicy".into()
    }
}

impl PartialSchema for Feedback {
    fn schema() -> RefOr<Schema> {
        let pattern = format!("^({})$", FEEDBACK.map(|(name, _)| name).join("|"));
        text(
            &pattern,
            "What a sensor makes of a sample of a fingerprint: lastEnrollSampleStatus of CTAP 2.3 §6.7, by its name.",
        )
    }
}

impl ToSchema for Feedback {
    fn name() -> Cow<'static, str> {
        "Feedback".into()
    }
}

impl PartialSchema for UvPolicy {
    fn schema() -> RefOr<Schema> {
        let finding = format!("(miss|{})", FEEDBACK.map(|(name, _)| name).join("|"));
        let script = format!("script={finding}(,{finding}){{0,{}}}", MAX_SCRIPT.saturating_sub(1));
        let pattern = format!("^(always|never|manual|miss=[0-9]{{1,{MAX_DIGITS}}}|{script})$");
        text(
            &pattern,
            "Whom a key finds when it verifies its user: always, never, manual, miss=N or script=A,B, one a touch, each miss or what a \
             sensor makes of a sample.",
        )
    }
}

impl ToSchema for UvPolicy {
    fn name() -> Cow<'static, str> {
        "UvPolicy".into()
    }
}
