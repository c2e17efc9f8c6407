//! What a browser's exception can mean, which is more than it says.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What exceptions can mean, from what was observed of browsers and is in their sources.
const EXCEPTIONS: &str = include_str!("exceptions.toml");

/// What all of them are, as far as nothing else is said.
const UNNAMED: &str = "DOMException";

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

/// Finds an exception in a text, as a console prints it or as JSON, and says what it can mean; `None` if there is none. Words of a browser
/// are known without the exception's name, which some consoles leave out.
#[must_use]
pub fn exception(text: &str) -> Option<Exception> {
    let unnamed = || text.contains(UNNAMED).then(|| (UNNAMED.to_owned(), None));
    let said = from_json(text).or_else(|| from_console(text)).or_else(|| from_words(text));
    let (name, message) = said.or_else(unnamed)?;
    let of_name = || ENTRIES.iter().filter(|entry| entry.name == name);
    let is_in = |entry: &&Entry, text: &str| entry.message.as_deref().is_some_and(|words| text.contains(words));
    // The last one: some messages begin as others do, and go on. Some consoles have it on another line.
    let said = of_name().rfind(|entry| message.as_deref().is_some_and(|message| is_in(entry, message)));
    let said = said.or_else(|| of_name().rfind(|entry| is_in(entry, text)));
    let entry = said.or_else(|| of_name().find(|entry| entry.message.is_none()))?;
    Some(Exception {
        meanings: entry.meaning.clone(),
        browser: said.and_then(|entry| entry.browser.clone()),
        name,
        message,
    })
}

/// A name, and a message if there is one.
type Said = (String, Option<String>);

fn from_json(text: &str) -> Option<Said> {
    said_in(&serde_json::from_str(text).ok()?)
}

/// An object with a name, wherever it is, or a text that has one. serde_json bounds how deep that is.
fn said_in(value: &Value) -> Option<Said> {
    match value {
        Value::Object(members) => {
            let texts = |names: &[&str]| {
                let found = names.iter().filter_map(|name| members.get(*name)?.as_str());
                found.map(str::to_owned).collect::<Vec<_>>()
            };
            let mut names = texts(&["name", "type", "error"]).into_iter();
            match names.find(|name| ENTRIES.iter().any(|entry| entry.name == *name)) {
                Some(name) => Some((name, texts(&["message", "value", "description", "reason"]).into_iter().next())),
                None => members.values().find_map(said_in),
            }
        }
        Value::Array(elements) => elements.iter().find_map(said_in),
        Value::String(text) => from_console(text),
        _ => None,
    }
}

/// `NotAllowedError: The operation …`, wherever it stands in a line; without that, a name that something else stands behind.
fn from_console(text: &str) -> Option<Said> {
    let named = |is_end: fn(&str) -> bool| {
        text.lines().find_map(|line| {
            ENTRIES
                .iter()
                .filter(|entry| entry.name != UNNAMED)
                .find_map(|entry| Some((entry.name.clone(), behind(line, &entry.name, is_end)?)))
        })
    };
    let (name, message) = named(|rest| rest.starts_with(':')).or_else(|| named(|_| true))?;
    Some((name, Some(message).filter(|message| !message.is_empty())))
}

/// What stands behind a name in a line, if that is a word of its own.
fn behind(line: &str, name: &str, is_end: fn(&str) -> bool) -> Option<String> {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(name).find_map(|(at, _)| {
        let (before, rest) = (line.get(..at)?, line.get(at + name.len()..)?);
        let is_word = !before.ends_with(is_of_word) && !rest.starts_with(is_of_word);
        (is_word && is_end(rest)).then(|| {
            rest.trim_matches(|character: char| character.is_whitespace() || ":]\"',;-–(".contains(character))
                .to_owned()
        })
    })
}

/// A message that is known, without a name.
fn from_words(text: &str) -> Option<Said> {
    let is_in = |line: &&str, words: &str| line.contains(words);
    let known = ENTRIES.iter().rev().find_map(|entry| {
        let words = entry.message.as_deref()?;
        let line = text.lines().find(|line| is_in(line, words))?;
        Some((entry.name.clone(), line.get(line.find(words)?..)?.trim().to_owned()))
    });
    known.map(|(name, message)| (name, Some(message)))
}
