//! DER as far as extensions of attestation certificates need it: tags of any number, lengths, contents (X.690, §8.1). Nothing here
//! allocates, and whatever is not DER is `None`.

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The tag: class and form in the upper three bits of the first octet.
    pub(crate) class: u8,
    pub(crate) number: u32,
    pub(crate) content: &'a [u8],
}

/// Context-specific and constructed.
pub(crate) const CONTEXT: u8 = 0xa0;

impl<'a> Element<'a> {
    pub(crate) fn is_universal(&self, number: u32) -> bool {
        matches!(self.class, 0x00 | 0x20) && self.number == number
    }

    /// What is in a constructed element, until something is no element.
    pub(crate) fn children(&self) -> Elements<'a> {
        Elements(self.content)
    }

    /// A small number, of INTEGER or ENUMERATED.
    pub(crate) fn number(&self) -> Option<u32> {
        if !self.is_universal(2) && !self.is_universal(10) {
            return None;
        }
        match self.content {
            [only] if *only < 0x80 => Some(u32::from(*only)),
            [0, low] if *low >= 0x80 => Some(u32::from(*low)),
            [high, low] if (1..0x80).contains(high) => Some(u32::from(*high) << 8 | u32::from(*low)),
            _ => None,
        }
    }
}

/// Elements one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// Whether all was read.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = read(self.0)?;
        self.0 = rest;
        Some(element)
    }
}

/// The one element that bytes are.
pub(crate) fn whole(bytes: &[u8]) -> Option<Element<'_>> {
    read(bytes).and_then(|(element, rest)| rest.is_empty().then_some(element))
}

fn read(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut number = u32::from(first & 0x1f);
    if number == 0x1f {
        number = 0;
        loop {
            let (byte, more) = rest.split_first()?;
            rest = more;
            if number == 0 && *byte == 0x80 {
                return None;
            }
            number = number.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let (length, rest) = read_length(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Element { class: first & 0xe0, number, content }, rest))
}

fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short, rest @ ..] if *short < 0x80 => Some((usize::from(*short), rest)),
        [0x81, length, rest @ ..] if *length >= 0x80 => Some((usize::from(*length), rest)),
        [0x82, high, low, rest @ ..] if *high > 0 => Some((usize::from(*high) << 8 | usize::from(*low), rest)),
        // Certificates have nothing longer than 64 KiB.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X.690, §8.1.2.4 and §8.1.3: short and long tags, short and long lengths.
    #[test]
    fn elements_are_taken_apart() {
        let long = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        for (bytes, class, number, length) in [
            (&[0x02, 0x01, 0x05][..], 0x00, 2, 1),
            (&[0x30, 0x00], 0x20, 16, 0),
            (&[0xa1, 0x02, 0x05, 0x00], CONTEXT, 1, 2),
            (&[0xbf, 0x84, 0x58, 0x02, 0x05, 0x00], CONTEXT, 600, 2),
            (&[0xbf, 0x85, 0x3e, 0x03, 0x02, 0x01, 0x00], CONTEXT, 702, 3),
            (&[&[0x04, 0x81, 0x80][..], &[1; 128]].concat(), 0x00, 4, 128),
            (&long, 0x00, 4, 256),
        ] {
            let element = whole(bytes).unwrap();
            assert_eq!((element.class, element.number, element.content.len()), (class, number, length), "{bytes:x?}");
            assert_eq!(whole(&[bytes, &[0]].concat()), None, "something behind it");
            for end in 0..bytes.len() {
                assert_eq!(whole(&bytes[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn what_is_not_der_is_nothing() {
        for bytes in [
            &[][..],
            &[0x02],
            &[0x02, 0x80],
            &[0x02, 0x81, 0x05, 0, 0, 0, 0, 0],
            &[0x02, 0x82, 0x00, 0x80],
            &[0x02, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0xbf, 0x80, 0x01, 0x00],
            &[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00],
        ] {
            assert_eq!(whole(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn small_numbers_are_read_in_their_shortest_form() {
        for (bytes, number) in [
            (&[0x02, 0x01, 0x00][..], Some(0)),
            (&[0x0a, 0x01, 0x02], Some(2)),
            (&[0x02, 0x02, 0x01, 0x2c], Some(300)),
            (&[0x02, 0x02, 0x00, 0x80], Some(128)),
            (&[0x02, 0x02, 0x00, 0x01], None),
            (&[0x02, 0x01, 0xff], None),
            (&[0x04, 0x01, 0x01], None),
        ] {
            assert_eq!(whole(bytes).unwrap().number(), number, "{bytes:x?}");
        }
    }
}
