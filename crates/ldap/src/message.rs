//! Requests as they are sent, and answers as they are read (RFC 4511, section 4).

use zeroize::Zeroizing;

use crate::ber::{self, BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, element};
use crate::filter::Filter;

/// Result codes (RFC 4511, appendix A) that tell a client something of its own.
pub mod code {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// There is more than the client or the server has a limit to.
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    /// Another server is to be asked.
    pub const REFERRAL: u32 = 10;
    /// There is no such entry.
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// The password is wrong, or there is nobody of that name.
    pub const INVALID_CREDENTIALS: u32 = 49;
}

/// RFC 4511, section 4.14.1.
#[cfg(feature = "tls")]
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// RFC 2696.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapResult {
    /// One of [`code`], or another one.
    pub code: u32,
    /// What the server says of it: for people.
    pub message: String,
}

/// An entry that was found, with the attributes that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub dn: String,
    /// Attributes with their values, as the server names them.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values)
    }

    /// Those of them that are texts.
    pub fn texts<'a>(&'a self, attribute: &str) -> impl Iterator<Item = &'a str> {
        self.values(attribute).iter().filter_map(|value| str::from_utf8(value).ok())
    }
}

/// What a search came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The entries.
    pub entries: Vec<Entry>,
    /// How many other servers were named that have more: none is asked.
    pub references: usize,
    /// Whether there is more than the size limit that was asked for.
    pub has_more: bool,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a bind.
    Bind(LdapResult),
    /// An entry of a search.
    Entry(Entry),
    /// Other servers that a search could go on at.
    Reference,
    /// The end of a search, with what the next page is asked for by.
    Done(LdapResult, Option<Vec<u8>>),
    /// To an extended request.
    Extended(LdapResult),
}

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// All below it, and itself.
    Subtree,
}

fn message(id: u32, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&ber::number(INTEGER, id), operation, controls].concat())
}

/// Section 4.2: version 3, simple.
pub(crate) fn bind(id: u32, name: &str, password: &str) -> Zeroizing<Vec<u8>> {
    let parts = [ber::number(INTEGER, 3), element(OCTETS, name.as_bytes()), element(0x80, password.as_bytes())];
    let parts = Zeroizing::new(parts.concat());
    let operation = Zeroizing::new(element(0x60, &parts));
    Zeroizing::new(message(id, &operation, &[]))
}

/// Section 4.3.
pub(crate) fn unbind(id: u32) -> Vec<u8> {
    message(id, &element(0x42, &[]), &[])
}

/// Section 4.14.
#[cfg(feature = "tls")]
pub(crate) fn start_tls(id: u32) -> Vec<u8> {
    message(id, &element(0x77, &element(0x80, START_TLS.as_bytes())), &[])
}

/// What is searched for.
pub(crate) struct Request<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) size_limit: u32,
    pub(crate) filter: &'a Filter,
    pub(crate) attributes: &'a [&'a str],
    /// How many entries a page has, and where it begins.
    pub(crate) page: Option<(u32, &'a [u8])>,
}

/// Section 4.5.1. Aliases are not followed.
pub(crate) fn search(id: u32, request: &Request<'_>) -> Vec<u8> {
    let scope = match request.scope {
        Scope::Base => 0,
        Scope::Subtree => 2,
    };
    let attributes: Vec<u8> = request.attributes.iter().flat_map(|name| element(OCTETS, name.as_bytes())).collect();
    let operation = [
        element(OCTETS, request.base.as_bytes()),
        ber::number(ENUMERATED, scope),
        ber::number(ENUMERATED, 0),
        ber::number(INTEGER, request.size_limit),
        ber::number(INTEGER, 0),
        ber::boolean(false),
        request.filter.encode(),
        element(SEQUENCE, &attributes),
    ];
    let controls = request.page.map_or(Vec::new(), |(size, cookie)| {
        let value = element(SEQUENCE, &[ber::number(INTEGER, size), element(OCTETS, cookie)].concat());
        let control = [element(OCTETS, PAGED_RESULTS.as_bytes()), element(OCTETS, &value)].concat();
        element(0xa0, &element(SEQUENCE, &control))
    });
    message(id, &element(0x63, &operation.concat()), &controls)
}

/// Reads one message: its number and what it says.
///
/// # Errors
/// [`Malformed`] if it is none that answers something that is asked here.
pub fn read(bytes: &[u8]) -> Result<(u32, Answer), Malformed> {
    let mut message = Reader::new(bytes).inside(SEQUENCE)?;
    let id = message.number(INTEGER)?;
    let tag = message.tag().ok_or(Malformed("a message without an operation"))?;
    let mut operation = message.inside(tag)?;
    let answer = match tag {
        0x61 => Answer::Bind(result(&mut operation)?),
        0x64 => Answer::Entry(entry(&mut operation)?),
        0x65 => Answer::Done(result(&mut operation)?, cookie(message)?),
        0x73 => Answer::Reference,
        0x78 => Answer::Extended(result(&mut operation)?),
        _ => return Err(Malformed("an operation that is no answer to anything that was asked")),
    };
    Ok((id, answer))
}

/// Section 4.1.9.
fn result(operation: &mut Reader<'_>) -> Result<LdapResult, Malformed> {
    let code = operation.number(ENUMERATED)?;
    operation.octets(OCTETS)?;
    let message = String::from_utf8_lossy(operation.octets(OCTETS)?);
    // For people, at most a line.
    let message = message.trim_end_matches('\0').chars().take(300);
    let message = message.map(|character| if character.is_control() { ' ' } else { character }).collect();
    Ok(LdapResult { code, message })
}

fn entry(operation: &mut Reader<'_>) -> Result<Entry, Malformed> {
    let dn = operation.text(OCTETS)?.to_owned();
    let mut list = operation.inside(SEQUENCE)?;
    let mut attributes = Vec::new();
    while list.tag().is_some() {
        let mut attribute = list.inside(SEQUENCE)?;
        let name = attribute.text(OCTETS)?.to_owned();
        let mut of = attribute.inside(SET)?;
        let mut values = Vec::new();
        while of.tag().is_some() {
            values.push(of.octets(OCTETS)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

/// What the next page is asked for by, if there is one.
fn cookie(mut message: Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    if message.tag() != Some(0xa0) {
        return Ok(None);
    }
    let mut controls = message.inside(0xa0)?;
    while controls.tag().is_some() {
        let mut control = controls.inside(SEQUENCE)?;
        let kind = control.octets(OCTETS)?;
        if control.tag() == Some(BOOLEAN) {
            control.octets(BOOLEAN)?;
        }
        if kind == PAGED_RESULTS.as_bytes() {
            let mut value = Reader::new(control.octets(OCTETS)?).inside(SEQUENCE)?;
            value.octets(INTEGER)?;
            let cookie = value.octets(OCTETS)?;
            return Ok((!cookie.is_empty()).then(|| cookie.to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Read by hand from RFC 4511, sections 4.2 and 4.5, and RFC 2696, section 2.
    #[test]
    fn requests_are_in_the_form_of_rfc_4511() {
        assert_eq!(
            bind(1, "cn=a", "pw").as_slice(),
            [0x30, 0x12, 2, 1, 1, 0x60, 0x0d, 2, 1, 3, 4, 4, b'c', b'n', b'=', b'a', 0x80, 2, b'p', b'w']
        );
        assert_eq!(unbind(2), [0x30, 5, 2, 1, 2, 0x42, 0]);
        let request = Request {
            base: "dc=a",
            scope: Scope::Subtree,
            size_limit: 2,
            filter: &Filter::Present("b".to_owned()),
            attributes: &["c"],
            page: Some((500, b"xy")),
        };
        let operation = [
            0x63, 0x1d, 4, 4, b'd', b'c', b'=', b'a', 10, 1, 2, 10, 1, 0, 2, 1, 2, 2, 1, 0, 1, 1, 0, 0x87, 1, b'b',
            0x30, 3, 4, 1, b'c',
        ];
        let mut control = vec![4, 22];
        control.extend(b"1.2.840.113556.1.4.319");
        control.extend([4, 10, 0x30, 8, 2, 2, 1, 0xf4, 4, 2, b'x', b'y']);
        let mut expected = vec![0x30, 0x4a, 2, 1, 3];
        expected.extend(operation);
        expected.extend([0xa0, 0x26, 0x30, 0x24]);
        expected.extend(control);
        assert_eq!(search(3, &request), expected);
    }

    /// Active Directory's answer to a search, with long lengths throughout, and the end of a page.
    #[test]
    fn answers_are_read_with_their_entries_and_cookies() {
        let entry = [
            0x30, 0x84, 0, 0, 0, 31, 2, 1, 7, 0x64, 0x84, 0, 0, 0, 22, 4, 4, b'c', b'n', b'=', b'a', 0x30, 0x84, 0, 0,
            0, 10, 0x30, 8, 4, 1, b'x', 0x31, 3, 4, 1, b'y',
        ];
        let expected = Entry { dn: "cn=a".to_owned(), attributes: vec![("x".to_owned(), vec![b"y".to_vec()])] };
        assert_eq!(read(&entry), Ok((7, Answer::Entry(expected.clone()))));
        assert_eq!(expected.texts("X").collect::<Vec<_>>(), ["y"]);
        let mut done = vec![0x30, 0x33, 2, 1, 7, 0x65, 7, 10, 1, 0, 4, 0, 4, 0, 0xa0, 0x25, 0x30, 0x23, 4, 22];
        done.extend(b"1.2.840.113556.1.4.319");
        done.extend([4, 9, 0x30, 7, 2, 1, 0, 4, 2, b'q', b'r']);
        let success = LdapResult { code: code::SUCCESS, message: String::new() };
        assert_eq!(read(&done), Ok((7, Answer::Done(success, Some(b"qr".to_vec())))));
    }

    proptest! {
        #[test]
        fn whatever_comes_as_an_answer_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = read(&element(SEQUENCE, &[&[2, 1, 1][..], &element(0x64, &bytes)].concat()));
        }
    }
}
