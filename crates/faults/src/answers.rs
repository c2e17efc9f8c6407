//! What goes wrong with a whole answer of the authenticator: its status, its CBOR, its members.

use keyrig_ctap::cbor::{Item, Writer};
use keyrig_ctap::hid::{MAX_MESSAGE_SIZE, RequestKind};

use crate::fault::Fault;
use crate::kind::Kind;

/// A map of an answer: keys and values as they are encoded.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The answer as a fault has it; nothing if the fault has nothing there to go wrong, or it is of time.
pub(crate) fn altered(fault: &Fault, kind: RequestKind, answer: &[u8]) -> Option<Vec<u8>> {
    let count = usize::try_from(fault.value()).ok()?;
    match fault.kind() {
        Kind::CtapEmpty => return Some(Vec::new()),
        Kind::CtapTrailingBytes if answer.len() + count <= MAX_MESSAGE_SIZE => {
            return Some([answer, &vec![0; count]].concat());
        }
        Kind::CtapTruncated if answer.len() > count => {
            return answer.get(..answer.len() - count).map(<[u8]>::to_vec);
        }
        _ if kind == RequestKind::Msg => return None,
        Kind::CtapStatus => return u8::try_from(fault.value()).ok().map(|status| vec![status]),
        Kind::CtapCutText => return cut_text(answer),
        _ => {}
    }
    let (status, parameters) = answer.split_first()?;
    let entries: Entries = Item::parse(parameters)
        .ok()?
        .map()
        .ok()?
        .map(|(key, value)| (key.encoded().to_vec(), value.encoded().to_vec()))
        .collect();
    let mut member = Writer::new();
    member.unsigned(fault.value());
    let member = member.finish();
    let has_member = entries.iter().any(|(key, _)| *key == member);
    let map = match fault.kind() {
        Kind::CtapUnsorted if entries.len() > 1 => canonical(entries.into_iter().rev().collect()),
        // A byte more than the count needs: the first byte says so.
        Kind::CtapLongNumber => {
            let count = u8::try_from(entries.len()).ok()?;
            let head = if count < 24 { vec![0xB8, count] } else { vec![0xB9, 0, count] };
            [head, joined(entries)].concat()
        }
        Kind::CtapIndefiniteLength => [vec![0xBF], joined(entries), vec![0xFF]].concat(),
        Kind::CtapRepeatedMember => {
            let first = entries.first()?.clone();
            canonical([vec![first], entries].concat())
        }
        Kind::CtapMissingMember if has_member => {
            canonical(entries.into_iter().filter(|(key, _)| *key != member).collect())
        }
        Kind::CtapExtraMember if !has_member => canonical(with(entries, (member, text("nobody asked for this")))),
        Kind::CtapRetypedMember if has_member => {
            let retype = |(key, value): (Vec<u8>, Vec<u8>)| {
                // A text becomes a number, and anything else a text.
                let is_text = value.first().is_some_and(|head| head >> 5 == 3);
                let other = if is_text { vec![0] } else { text("another type") };
                let value = if key == member { other } else { value };
                (key, value)
            };
            canonical(entries.into_iter().map(retype).collect())
        }
        Kind::CtapOversized => oversized(&entries, count)?,
        _ => return None,
    };
    Some([&[*status], &map[..]].concat())
}

/// In which order faults of one answer are applied: what wants to read it comes before what makes it unreadable.
pub(crate) fn order(fault: &Fault) -> u8 {
    match fault.kind() {
        Kind::CtapMissingMember | Kind::CtapExtraMember | Kind::CtapRetypedMember => 0,
        Kind::CtapOversized => 1,
        Kind::CtapUnsorted | Kind::CtapLongNumber | Kind::CtapIndefiniteLength | Kind::CtapRepeatedMember => 2,
        Kind::CtapCutText => 3,
        Kind::CtapTrailingBytes | Kind::CtapTruncated => 4,
        _ => 5,
    }
}

/// A map with these entries in this order.
fn canonical(entries: Entries) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.head(5, u64::try_from(entries.len()).unwrap_or(u64::MAX));
    writer.raw(&joined(entries));
    writer.finish()
}

fn joined(entries: Entries) -> Vec<u8> {
    entries.into_iter().flat_map(|(key, value)| [key, value].concat()).collect()
}

/// The entries with another one in its place (CTAP 2.3 §8: by major type, then length, then bytes).
fn with(mut entries: Entries, entry: (Vec<u8>, Vec<u8>)) -> Entries {
    entries.push(entry);
    entries.sort_by_key(|(key, _)| (key.first().map(|head| head >> 5), key.len(), key.clone()));
    entries
}

fn text(text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.text(text);
    writer.finish()
}

/// The map with a member that makes the whole answer so long.
fn oversized(entries: &Entries, length: usize) -> Option<Vec<u8>> {
    let filled = |filling: usize| {
        let (mut key, mut value) = (Writer::new(), Writer::new());
        key.unsigned(0x7FFF);
        value.bytes(&vec![0; filling]);
        canonical(with(entries.clone(), (key.finish(), value.finish())))
    };
    // The status is before it. A longer string may have a longer head.
    let missing = length.checked_sub(1 + filled(0).len())?;
    (missing.saturating_sub(8)..=missing).map(filled).find(|map| 1 + map.len() == length)
}

/// The answer with its first text ended by the first byte of a character that has two.
fn cut_text(answer: &[u8]) -> Option<Vec<u8>> {
    let parameters = answer.get(1..)?;
    Item::parse(parameters).ok()?;
    let mut place = 0;
    let last = loop {
        let head = *parameters.get(place)?;
        let (argument, size) = argument(parameters.get(place..)?)?;
        place += size;
        match head >> 5 {
            3 if argument > 0 => break place + argument - 1,
            2 | 3 => place += argument,
            _ => {}
        }
    };
    let mut cut = answer.to_vec();
    *cut.get_mut(1 + last)? = 0xC3;
    Some(cut)
}

/// The argument of an item's head, and how long the head is (RFC 8949 §3).
fn argument(item: &[u8]) -> Option<(usize, usize)> {
    let (first, rest) = item.split_first()?;
    let length = match first & 0x1F {
        information @ 0..=23 => return Some((usize::from(information), 1)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let argument = rest.get(..length)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Some((usize::try_from(argument).ok()?, 1 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fault makes of an answer, in hexadecimal.
    fn of(fault: &str, answer: &str) -> Option<String> {
        altered(&fault.parse().unwrap(), RequestKind::Cbor, &hex::decode(answer).unwrap()).map(hex::encode)
    }

    /// By CTAP 2.3 §8 and RFC 8949 appendix A.
    #[test]
    fn each_fault_breaks_one_rule() {
        // {1: "a", 2: h'01', 3: true}
        let map = "00a30161610241010 3f5".replace(' ', "");
        for (fault, expected) in [
            ("ctap-status,status=0x2E", "2e"),
            ("ctap-unsorted", "00a303f502410101 6161"),
            ("ctap-long-number", "00b8030161610241 0103f5"),
            ("ctap-indefinite-length", "00bf016161024101 03f5ff"),
            ("ctap-repeated-member", "00a4016161016161024101 03f5"),
            ("ctap-missing-member,member=2", "00a201616103f5"),
            ("ctap-retyped-member,member=1", "00a301000241 0103f5"),
            ("ctap-retyped-member,member=3", "00a3016161024101036c616e6f746865722074797065"),
            ("ctap-extra-member,member=4", "00a401616102410103f504756e6f626f64792061736b656420666f722074686973"),
            ("ctap-cut-text", "00a30161c302410103f5"),
            ("ctap-trailing-bytes,bytes=2", "00a301616102410103f50000"),
            ("ctap-truncated", "00a301616102410103"),
            ("ctap-empty", ""),
        ] {
            assert_eq!(of(fault, &map), Some(expected.replace(' ', "")), "{fault}");
        }
        for fault in ["ctap-missing-member,member=9", "ctap-retyped-member,member=9", "ctap-extra-member,member=1"] {
            assert_eq!(of(fault, &map), None, "{fault}");
        }
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::CtapEmpty && **kind != Kind::CtapStatus) {
            let trailing = *kind == Kind::CtapTrailingBytes;
            assert_eq!(of(kind.name(), "2e").is_some(), trailing, "{kind}: nothing but a status");
        }
    }

    #[test]
    fn an_oversized_answer_has_the_size_that_was_asked_for() {
        for size in [40, 100, 300, 1201, 7_609] {
            let big = of(&format!("ctap-oversized,bytes={size}"), "00a1016161").unwrap();
            assert_eq!(big.len(), 2 * size);
            Item::parse(&hex::decode(&big[2..]).unwrap()).unwrap();
        }
        assert_eq!(of("ctap-oversized,bytes=3", "00a1016161"), None);
    }
}
