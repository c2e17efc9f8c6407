//! The schemas of what is written another way than it is kept, for descriptions of interfaces.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{Feedback, KeyName};

use crate::fault::{COMMANDS, Fault};
use crate::kind::{Kind, Parameter, Unit};
use crate::scope::can_happen;
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
            let of_key = event(upon_a_condition, &["touch", "verify", "miss", "deny", "unplug", "plug", "power-cycle"]);
            let sample = event(upon_a_condition, &["sample"]).property("key", reference::<KeyName>()).required("key");
            let finger = event(upon_a_condition, &["finger"]);
            let policy = event(upon_a_condition, &["touch-policy"]);
            let pin = || ObjectBuilder::new().schema_type(Type::String);
            let set_pin = event(upon_a_condition, &["set-pin"]).property("key", reference::<KeyName>()).required("key");
            let change_pin =
                event(upon_a_condition, &["change-pin"]).property("key", reference::<KeyName>()).required("key");
            let fault = event(upon_a_condition, &["fault"]).property("key", reference::<KeyName>()).required("key");
            let off = event(upon_a_condition, &["fault-off"]).property("key", reference::<KeyName>()).required("key");
            any = any
                .item(of_key.property("key", reference::<KeyName>()).required("key"))
                .item(sample.property("sample", reference::<Feedback>()).required("sample"))
                .item(finger.property("key", reference::<KeyName>()))
                .item(policy.property("policy", reference::<TouchPolicy>()).required("policy"))
                .item(set_pin.property("pin", pin()).required("pin"))
                .item(
                    change_pin
                        .property("pin", pin())
                        .required("pin")
                        .property("new_pin", pin().description(Some("The PIN that is to be.")))
                        .required("new_pin"),
                )
                .item(fault.property("fault", reference::<Fault>()).required("fault"))
                .item(off.property("fault", reference::<Fault>()));
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
        schemas.push((Feedback::name().into_owned(), Feedback::schema()));
        schemas.push((TouchPolicy::name().into_owned(), TouchPolicy::schema()));
        schemas.push((Fault::name().into_owned(), Fault::schema()));
    }
}

/// A parameter as every value is read that this lets pass: some numbers are longer, up to the parameter's most.
fn parameter(Parameter { name, unit, least, most, .. }: Parameter) -> String {
    let digits = most.to_string().len().saturating_sub(1);
    let value = match unit {
        Unit::Code | Unit::Status if most < 0x80 => "0x[0-7][0-9A-F]".to_owned(),
        Unit::Code | Unit::Status => "0x[0-9A-F]{2}".to_owned(),
        Unit::Number if least == 0 => format!("[0-9]{{1,{digits}}}"),
        Unit::Number => format!("[1-9][0-9]{{0,{}}}", digits.saturating_sub(1)),
    };
    format!("(,{name}={value})?")
}

impl PartialSchema for Fault {
    fn schema() -> RefOr<Schema> {
        let of = |kind: &Kind| {
            let own = kind.parameter().map(parameter).unwrap_or_default();
            let commands: Vec<_> = COMMANDS.into_iter().filter(|command| can_happen(*kind, command)).collect();
            let command = match commands.as_slice() {
                [] => String::new(),
                commands => format!("(,command=({}))?", commands.join("|")),
            };
            format!("{kind}{own}{command}")
        };
        let kinds = Kind::ALL.iter().map(of).collect::<Vec<_>>().join("|");
        let when = r"(,(nth|times)=[1-9][0-9]{0,8})?(,probability=(1|0\.[0-9]{0,5}[1-9]))?";
        text(
            &format!("^({kinds}){when}$"),
            "A fault: its name, and behind commas parameters and when it happens, as ctap-status,status=0x2E,nth=2. What there is \
             'keyrig faults' lists.",
        )
    }
}

impl ToSchema for Fault {
    fn name() -> Cow<'static, str> {
        "Fault".into()
    }
}
