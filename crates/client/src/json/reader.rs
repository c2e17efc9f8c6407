//! Reading the members of a dictionary as Web IDL converts them (§3.2), for values that come out of JSON.
//!
//! Where a script would turn an object or an array into a text such as `[object Object]`, this is a type error: it never
//! is what anybody meant.

use core::cell::OnceCell;
use core::fmt;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::invalid::{InvalidJson, NoBase64Url, Parser};
use crate::base64url::Base64Url;
use crate::browser::Browser;

/// What a text in JSON holds.
pub(super) fn parsed(text: &str) -> Result<Value, InvalidJson> {
    serde_json::from_str(text).map_err(|error| InvalidJson::Syntax(error.to_string()))
}

/// Who reads, and what was found so far.
#[derive(Clone)]
pub(super) struct Reading {
    browser: Browser,
    parser: Parser,
    /// The first member that is not base64url. As observed in Chromium and Firefox, what is missing or of another type counts before.
    undecoded: Rc<OnceCell<InvalidJson>>,
}

impl Reading {
    pub(super) fn new(browser: Browser, parser: Parser) -> Self {
        Self { browser, parser, undecoded: Rc::default() }
    }
}

/// A dictionary and the way to it.
pub(super) struct Members<'a> {
    path: String,
    members: &'a Map<String, Value>,
    reading: Reading,
}

impl<'a> Members<'a> {
    pub(super) fn of_the_whole<T>(
        value: &Value,
        reading: Reading,
        read: impl FnOnce(&Members<'_>) -> Result<T, InvalidJson>,
    ) -> Result<T, InvalidJson> {
        let undecoded = reading.undecoded.clone();
        let members = Members::of("the whole", value, reading.clone())?.at_the_top();
        let found = match members.publicly_keyed() {
            Some(options) => read(&Members::of("publicKey", options, reading)?),
            None => read(&members),
        }?;
        undecoded.get().cloned().map_or(Ok(found), Err)
    }

    /// What is around the options, if they are in the form in which a page hands them over; otherwise nothing is there.
    pub(super) fn around_options<T>(
        value: &Value,
        read: impl FnOnce(&Members<'_>) -> Result<T, InvalidJson>,
    ) -> Result<T, InvalidJson> {
        // There are no bytes in it, which browsers would read each in its way.
        let reading = Reading::new(Browser::default(), Parser::RequestOptions);
        let members = Members::of("the whole", value, reading.clone())?.at_the_top();
        let nothing = Map::new();
        match members.publicly_keyed() {
            Some(_) => read(&members),
            None => read(&Members { path: String::new(), members: &nothing, reading }),
        }
    }

    /// What a page passes to create() and get() itself: it cannot be meant otherwise, as options have a challenge.
    fn publicly_keyed(&self) -> Option<&'a Value> {
        self.members.get("publicKey").filter(|_| !self.members.contains_key("challenge"))
    }

    fn of(path: impl fmt::Display, value: &'a Value, reading: Reading) -> Result<Self, InvalidJson> {
        let path = path.to_string();
        match value {
            Value::Object(members) => Ok(Self { path, members, reading }),
            _ => Err(InvalidJson::WrongType { member: path, expected: "a dictionary" }),
        }
    }

    fn at_the_top(self) -> Self {
        Self { path: String::new(), ..self }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn wrong_type(&self, name: &str, expected: &'static str) -> InvalidJson {
        InvalidJson::WrongType { member: self.path(name), expected }
    }

    fn missing(&self, name: &str) -> InvalidJson {
        InvalidJson::Missing { member: self.path(name) }
    }

    /// A `DOMString`: `null` is the text "null", as for every script that passes it on.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>, InvalidJson> {
        self.members.get(name).map(|value| text(value).ok_or_else(|| self.wrong_type(name, "a string"))).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<String, InvalidJson> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, InvalidJson> {
        self.optional_bytes(name)?.ok_or_else(|| self.missing(name))
    }

    /// A `Base64URLString` that stands for bytes. What is none is noted, and read on.
    pub(super) fn optional_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, InvalidJson> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        let Reading { browser, parser, undecoded } = &self.reading;
        let decoded = Base64Url::decode_in(&text, *browser).map(|bytes| bytes.0);
        Ok(Some(decoded.unwrap_or_else(|| {
            let (member, wrong, parser) = (self.path(name), wrong(&text), *parser);
            undecoded.get_or_init(|| InvalidJson::Base64Url { member, wrong, parser });
            Vec::new()
        })))
    }

    /// A `long`.
    pub(super) fn integer(&self, name: &str) -> Result<i64, InvalidJson> {
        let value = self.members.get(name).ok_or_else(|| self.missing(name))?;
        let number = wrapped(value).ok_or_else(|| self.wrong_type(name, "a number"))?;
        Ok(i64::from(number.cast_signed()))
    }

    /// An `unsigned long`.
    pub(super) fn optional_unsigned(&self, name: &str) -> Result<Option<u64>, InvalidJson> {
        let wrong_type = || self.wrong_type(name, "a number");
        let number = self.members.get(name).map(|value| wrapped(value).ok_or_else(wrong_type)).transpose()?;
        Ok(number.map(u64::from))
    }

    pub(super) fn optional_boolean(&self, name: &str) -> Result<Option<bool>, InvalidJson> {
        let wrong_type = || self.wrong_type(name, "a boolean");
        self.members.get(name).map(|value| value.as_bool().ok_or_else(wrong_type)).transpose()
    }

    pub(super) fn optional_dictionary(&self, name: &str) -> Result<Option<Members<'a>>, InvalidJson> {
        // To Web IDL, null is an empty dictionary, and so is a member that is not there.
        let value = self.members.get(name).filter(|value| !value.is_null());
        value.map(|value| Members::of(self.path(name), value, self.reading.clone())).transpose()
    }

    pub(super) fn dictionary(&self, name: &str) -> Result<Members<'a>, InvalidJson> {
        self.optional_dictionary(name)?.ok_or_else(|| self.missing(name))
    }

    fn optional_array(&self, name: &str) -> Result<Option<&'a Vec<Value>>, InvalidJson> {
        let wrong_type = || self.wrong_type(name, "a sequence");
        self.members.get(name).map(|value| value.as_array().ok_or_else(wrong_type)).transpose()
    }

    pub(super) fn optional_dictionaries<T>(
        &self,
        name: &str,
        read: impl Fn(&Members<'_>) -> Result<T, InvalidJson>,
    ) -> Result<Option<Vec<T>>, InvalidJson> {
        let Some(elements) = self.optional_array(name)? else { return Ok(None) };
        let path = self.path(name);
        let elements = elements.iter().enumerate();
        elements
            .map(|(index, value)| read(&Members::of(format_args!("{path}[{index}]"), value, self.reading.clone())?))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A `record<DOMString, …>` of dictionaries.
    pub(super) fn optional_record<T>(
        &self,
        name: &str,
        read: impl Fn(&Members<'_>) -> Result<T, InvalidJson>,
    ) -> Result<Option<BTreeMap<String, T>>, InvalidJson> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let path = self.path(name);
        let record = Members::of(&path, value, self.reading.clone())?;
        let entries = record.members.iter();
        entries
            .map(|(key, value)| {
                let members = Members::of(format_args!("{path}[{key:?}]"), value, self.reading.clone())?;
                Ok((key.clone(), read(&members)?))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn dictionaries<T>(
        &self,
        name: &str,
        read: impl Fn(&Members<'_>) -> Result<T, InvalidJson>,
    ) -> Result<Vec<T>, InvalidJson> {
        self.optional_dictionaries(name, read)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn optional_texts(&self, name: &str) -> Result<Option<Vec<String>>, InvalidJson> {
        let Some(elements) = self.optional_array(name)? else { return Ok(None) };
        let texts = elements.iter().map(text).collect::<Option<_>>();
        texts.map(Some).ok_or_else(|| self.wrong_type(name, "a sequence of strings"))
    }
}

/// What is wrong with a text that is not base64url.
fn wrong(text: &str) -> NoBase64Url {
    if text.contains(['+', '/']) {
        NoBase64Url::OtherAlphabet
    } else if Base64Url::decode_in(text, Browser::Firefox).is_some() {
        NoBase64Url::Padded
    } else {
        NoBase64Url::Other
    }
}

/// A number as Web IDL converts it to 32 bits (§3.2.4.9): what is behind the point is cut, and what does not fit wraps.
fn wrapped(value: &Value) -> Option<u32> {
    const MODULUS: f64 = 4_294_967_296.0;
    let Value::Number(number) = value else { return None };
    let bits = match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => integer.cast_unsigned(),
        (None, Some(integer)) => integer,
        (None, None) => format!("{:.0}", number.as_f64()?.trunc().rem_euclid(MODULUS).abs()).parse().ok()?,
    };
    u32::try_from(bits & u64::from(u32::MAX)).ok()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
