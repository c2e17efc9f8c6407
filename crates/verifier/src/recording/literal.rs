//! Objects as consoles and logs print them: JavaScript's (`{ rpId: 'example.com' }`, `Uint8Array(2) [ 1, 2 ]`, `<Buffer 01 02>`) and Python's
//! (`{'rpId': None}`, `b'\x01'`, `Options(rp_id='example.com')`). What was left out of them (`[Object]`, `...`) is null.

use serde_json::{Map, Value};

/// How deep a literal may be: as deep as serde_json reads, so that it reads no further than this in vain.
const MAX_DEPTH: usize = 128;

/// Reads the literal that a text begins with; the value, and how many bytes it takes. An error is how many were read until it was none.
pub(super) fn read(text: &str) -> Result<(Value, usize), usize> {
    let mut reading = Reading { text, at: 0 };
    match reading.value(0) {
        Some(value) => Ok((value, reading.at)),
        None => Err(reading.at),
    }
}

struct Reading<'a> {
    text: &'a str,
    at: usize,
}

impl Reading<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Whether this comes next, behind any space; then it is taken.
    fn takes(&mut self, what: &str) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(what);
        self.at += if is_next { what.len() } else { 0 };
        is_next
    }

    fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        let length = self.rest().find(|character| !is_wanted(character)).unwrap_or(self.rest().len());
        self.at += length;
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match self.peek()? {
            '{' => self.members('{', '}', depth),
            '[' => self.elements(']', depth),
            '(' => self.elements(')', depth),
            '<' => self.in_angles(depth),
            '"' | '\'' | '`' => self.text().map(Value::String),
            '-' | '0'..='9' => self.number(),
            character if is_of_name(character) => self.named(depth),
            _ => None,
        }
    }

    /// `{ name: value, … }`, or `(name=value, …)`.
    fn members(&mut self, open: char, close: char, depth: usize) -> Option<Value> {
        self.at += open.len_utf8();
        let mut members = Map::new();
        while !self.takes(close.encode_utf8(&mut [0; 4])) {
            if self.takes("...") {
                self.take_while(|character| character != ',' && character != close && character != '\n');
            } else {
                let name = match self.peek()? {
                    '"' | '\'' => self.text()?,
                    '[' => {
                        // What node calls by no name, such as [Uint8Contents].
                        self.take_while(|character| character != ':').to_owned()
                    }
                    _ => self.take_while(is_of_name).to_owned(),
                };
                if name.is_empty() || !(self.takes(":") || self.takes("=")) {
                    return None;
                }
                let value = self.value(depth + 1)?;
                members.insert(name, value);
            }
            if !self.takes(",") {
                self.skip_space();
            }
        }
        match members.remove("[Uint8Contents]") {
            Some(bytes) => Some(bytes),
            None => Some(Value::Object(members)),
        }
    }

    fn elements(&mut self, close: char, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut elements = Vec::new();
        while !self.takes(close.encode_utf8(&mut [0; 4])) {
            if self.takes("...") {
                self.take_while(|character| character != close && character != '\n');
                continue;
            }
            elements.push(self.value(depth + 1)?);
            self.takes(",");
        }
        Some(Value::Array(elements))
    }

    /// `<Buffer 01 02>`, `<01 02>`, or an enum of Python's: `<Name.MEMBER: value>`.
    fn in_angles(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let start = self.at;
        self.takes("Buffer");
        let digits = self.take_while(|character| character.is_ascii_hexdigit() || character == ' ').to_owned();
        if self.takes(">") {
            let bytes = digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok().map(Value::from));
            return bytes.collect::<Option<_>>().map(Value::Array);
        }
        if self.takes("...") {
            // There were more bytes, and nobody knows which.
            self.take_while(|character| character != '>' && character != '\n');
            return self.takes(">").then_some(Value::Null);
        }
        self.at = start;
        self.take_while(|character| is_of_name(character) || character == '.');
        if !self.takes(":") {
            return None;
        }
        let value = self.value(depth + 1)?;
        self.takes(">").then_some(value)
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.peek()?;
        self.at += 1;
        let mut text = String::new();
        loop {
            let character = self.peek()?;
            self.at += character.len_utf8();
            if character == quote {
                return Some(text);
            }
            text.push(if character == '\\' { self.escaped()? } else { character });
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        let digits = match character {
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'x' => 2,
            'u' => 4,
            other => return Some(other),
        };
        let number = self.hexadecimal(digits)?;
        // Half of a pair (RFC 8259, section 7).
        if (0xD800..0xDC00).contains(&number) && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hexadecimal(4)?;
            return Some(char::decode_utf16([number, low]).next()?.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Some(char::from_u32(number.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u16> {
        let number = u16::from_str_radix(self.rest().get(..digits)?, 16).ok()?;
        self.at += digits;
        Some(number)
    }

    fn number(&mut self) -> Option<Value> {
        let digits = self.take_while(|character| character.is_ascii_alphanumeric() || "-+.".contains(character));
        serde_json::from_str(digits).ok()
    }

    /// A word, or what has a word before it: bytes of Python's, an array or object of a class.
    fn named(&mut self, depth: usize) -> Option<Value> {
        let word = self.take_while(|character| is_of_name(character) || character == '.').to_owned();
        if word == "b" && matches!(self.peek(), Some('"' | '\'')) {
            // Each character of it is a byte.
            let bytes = self.text()?.chars().map(|byte| u8::try_from(u32::from(byte)).ok().map(Value::from)).collect();
            return Option::<Vec<_>>::map(bytes, Value::Array);
        }
        match word.as_str() {
            "true" | "True" => return Some(Value::Bool(true)),
            "false" | "False" => return Some(Value::Bool(false)),
            "null" | "None" | "undefined" => return Some(Value::Null),
            _ => {}
        }
        let value = if self.rest().starts_with('(') { self.in_parentheses(depth)? } else { Value::Null };
        self.skip_space();
        match self.peek() {
            Some('{') => self.members('{', '}', depth),
            Some('[') => self.elements(']', depth),
            _ => Some(value),
        }
    }

    /// How long an array is, what a class was made with, or its only value.
    fn in_parentheses(&mut self, depth: usize) -> Option<Value> {
        let start = self.at;
        if let Some(members) = self.members('(', ')', depth) {
            return Some(members);
        }
        self.at = start;
        match self.elements(')', depth)? {
            Value::Array(mut only) if only.len() == 1 => only.pop(),
            several => Some(several),
        }
    }
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}
