//! The schemas of what is written another way than it is kept, for descriptions of interfaces.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use keyrig_rack::KeyName;
use keyrig_rack::finger::TouchPolicy;

use crate::timeline::{Condition, Delay, MOMENTS, TimelineEvent};

fn text(pattern: &str, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(description)).into()
}

impl PartialSchema for Delay {
    fn schema() -> RefOr<Schema> {
        text(r"^([0-9]{1,8}ms|[0-9]{1,5}(\.[0-9]{1,3})?s|[0-9]{1,4}min)$", "How long: 500ms, 2s, 1.5s or 10min.")
    }
}

impl ToSchema for Delay {
    fn name() -> Cow<'static, str> {
        "Delay".into()
    }
}

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        let moments = MOMENTS.map(|(name, _)| name).join("|");
        let pattern = format!("^([A-Za-z0-9_-][A-Za-z0-9._-]{{0,31}} )?({moments})$");
        text(&pattern, "That a key, or without a name any, comes to something: b waiting.")
    }
}

impl ToSchema for Condition {
    fn name() -> Cow<'static, str> {
        "Condition".into()
    }
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

/// What is done, by a name of some, and when: at a time, or upon a condition.
fn event(upon_a_condition: bool, deeds: &[&str]) -> ObjectBuilder {
    let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(deeds.iter().copied()));
    let event = ObjectBuilder::new()
        .property("do", names.description(Some("What is done.")))
        .required("do")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    if !upon_a_condition {
        return event.property("at", reference::<Delay>()).required("at");
    }
    let nth = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_usize)).maximum(Some(4_294_967_295_usize));
    event
        .property("when", reference::<Condition>())
        .required("when")
        .property("nth", nth.description(Some("For which time it has to come to pass; without it the first.")))
        .property("after", reference::<Delay>())
}

impl PartialSchema for TimelineEvent {
    fn schema() -> RefOr<Schema> {
        let mut any = OneOfBuilder::new().description(Some("What is done once, at a time or upon a condition."));
        for upon_a_condition in [false, true] {
            let of_key = event(upon_a_condition, &["touch", "deny", "unplug", "plug", "power-cycle"]);
            let finger = event(upon_a_condition, &["finger"]);
            let policy = event(upon_a_condition, &["touch-policy"]);
            any = any
                .item(of_key.property("key", reference::<KeyName>()).required("key"))
                .item(finger.property("key", reference::<KeyName>()))
                .item(policy.property("policy", reference::<TouchPolicy>()).required("policy"));
        }
        any.into()
    }
}

impl ToSchema for TimelineEvent {
    fn name() -> Cow<'static, str> {
        "TimelineEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Delay::name().into_owned(), Delay::schema()));
        schemas.push((Condition::name().into_owned(), Condition::schema()));
        schemas.push((KeyName::name().into_owned(), KeyName::schema()));
        schemas.push((TouchPolicy::name().into_owned(), TouchPolicy::schema()));
    }
}
