//! What a browser's exception can mean, which is more than it says.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What exceptions can mean, from what was observed of browsers and is in their sources.
const EXCEPTIONS: &str = include_str!("exceptions.toml");

/// An exception, and what it can mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// Its name.
    pub name: String,
    /// Its message, as it was given.
    pub message: Option<String>,
    /// Whose words these are; `None` if nobody's are known.
    pub browser: Option<String>,
    /// What it can mean, the likeliest first.
    pub meanings: Vec<Meaning>,
}

/// Something that an exception can mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// Who refuses then: `client`, `authenticator`, `user` or `page`.
    pub by: String,
    /// What it is.
    pub cause: String,
    /// What to try.
    #[serde(rename = "try")]
    pub attempt: String,
    /// The row of the catalogue of misconfigurations, if it is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    exception: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// What the message has in it; without it, any message and none.
    message: Option<String>,
    browser: Option<String>,
    meaning: Vec<Meaning>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let file: File = toml::from_str(EXCEPTIONS).expect("a test reads the file that comes with keyrig");
    file.exception
});

/// Finds an exception in a text, as a console prints it or as JSON, and says what it can mean; `None` if there is none.
#[must_use]
pub fn exception(text: &str) -> Option<Exception> {
    let (name, message) = from_json(text).or_else(|| from_console(text))?;
    let of_name = || ENTRIES.iter().filter(|entry| entry.name == name);
    let is_said = |entry: &&Entry| {
        entry.message.as_deref().is_some_and(|words| message.as_deref().is_some_and(|message| message.contains(words)))
    };
    // The last one: some messages begin as others do, and go on.
    let said = of_name().rfind(is_said);
    let entry = said.or_else(|| of_name().find(|entry| entry.message.is_none()))?;
    Some(Exception {
        meanings: entry.meaning.clone(),
        browser: said.and_then(|entry| entry.browser.clone()),
        name,
        message,
    })
}

fn from_json(text: &str) -> Option<(String, Option<String>)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let object = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
    let member = |name: &str| object.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let name = member("name")?;
    ENTRIES.iter().any(|entry| entry.name == name).then(|| (name, member("message")))
}

/// `NotAllowedError: The operation …`, wherever it stands in a line; a name alone only if there is nothing else.
fn from_console(text: &str) -> Option<(String, Option<String>)> {
    for line in text.lines() {
        for entry in ENTRIES.iter() {
            if let Some((_, rest)) = line.split_once(&format!("{}:", entry.name)) {
                let message = rest.trim();
                return Some((entry.name.clone(), (!message.is_empty()).then(|| message.to_owned())));
            }
        }
    }
    let text = text.trim();
    ENTRIES.iter().find(|entry| entry.name == text).map(|entry| (entry.name.clone(), None))
}
