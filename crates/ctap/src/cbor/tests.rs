use proptest::prelude::*;
use sk_cbor::reader::DecoderError;

use super::*;

fn reason(hex: &str) -> (usize, Reason) {
    let error = Item::parse(&hex::decode(hex).unwrap()).unwrap_err();
    (error.offset, error.reason)
}

/// The examples of RFC 8949 appendix A that are CTAP2 canonical.
#[test]
fn examples_of_rfc_8949_are_read() {
    for (encoded, value) in [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("20", -1),
        ("3863", -100),
        ("3903e7", -1000),
    ] {
        let bytes = hex::decode(encoded).unwrap();
        assert_eq!(Item::parse(&bytes).unwrap().integer(), Ok(value), "{encoded}");
        assert_eq!(Writer::new().integer(value).clone().finish(), bytes, "{encoded}");
    }
    let text = hex::decode("62c3bc").unwrap();
    assert_eq!(Item::parse(&text).unwrap().text(), Ok("ü"));
    let nested = hex::decode("8301820203820405").unwrap();
    let lengths: Vec<_> = Item::parse(&nested).unwrap().array().unwrap().map(|item| item.encoded().len()).collect();
    assert_eq!(lengths, [1, 3, 3]);
    for other in ["f4", "f5", "f6", "f7", "f0", "f8ff", "f90000", "fa47c35000", "fbc010666666666666"] {
        assert!(Item::parse(&hex::decode(other).unwrap()).is_ok(), "{other}");
    }
}

#[test]
fn what_is_not_canonical_is_named_with_its_byte() {
    for (encoded, expected) in [
        ("", (0, Reason::Truncated)),
        ("1817", (0, Reason::NotMinimal)),
        ("8219000100", (1, Reason::NotMinimal)),
        ("1a0000ffff", (0, Reason::NotMinimal)),
        ("1b00000000ffffffff", (0, Reason::NotMinimal)),
        ("5803010203", (0, Reason::NotMinimal)),
        ("5f42010243030405ff", (0, Reason::IndefiniteLength)),
        ("9fff", (0, Reason::IndefiniteLength)),
        ("bfff", (0, Reason::IndefiniteLength)),
        ("ff", (0, Reason::IndefiniteLength)),
        ("1c", (0, Reason::Reserved)),
        ("f814", (0, Reason::Reserved)),
        ("c000", (0, Reason::Tag)),
        ("81d82500", (1, Reason::Tag)),
        ("0000", (1, Reason::TrailingBytes)),
        ("62ff41", (1, Reason::NotUtf8)),
        ("6241ff", (2, Reason::NotUtf8)),
        ("a201000100", (3, Reason::DuplicateKey)),
        ("a202000100", (3, Reason::UnsortedKeys)),
        // Text keys sort by length before bytes, and after integers.
        ("a262616100616200", (5, Reason::UnsortedKeys)),
        ("a26161000100", (4, Reason::UnsortedKeys)),
        ("818181818100", (4, Reason::TooDeep)),
        ("a1", (1, Reason::Truncated)),
        ("4200", (2, Reason::Truncated)),
    ] {
        assert_eq!(reason(encoded), expected, "{encoded}");
    }
}

#[test]
fn four_levels_of_nesting_are_allowed() {
    assert!(Item::parse(&[0x81, 0xA1, 0x00, 0x81, 0xA1, 0x00, 0x00]).is_ok());
}

#[test]
fn lengths_up_to_four_gibibytes_and_beyond_are_truncated_not_allocated() {
    for encoded in ["5affffffff", "7affffffff", "9affffffff", "baffffffff", "5bffffffffffffffff", "9bffffffffffffffff"]
    {
        assert_eq!(reason(encoded).1, Reason::Truncated, "{encoded}");
    }
}

#[test]
fn items_of_another_type_say_so() {
    let item = |hex: &str| hex::decode(hex).unwrap();
    assert_eq!(Item::parse(&item("20")).unwrap().unsigned(), Err(UnexpectedType));
    assert_eq!(Item::parse(&item("1bffffffffffffffff")).unwrap().integer(), Err(UnexpectedType));
    assert_eq!(Item::parse(&item("6161")).unwrap().bytes(), Err(UnexpectedType));
    assert_eq!(Item::parse(&item("4161")).unwrap().text(), Err(UnexpectedType));
    assert_eq!(Item::parse(&item("f6")).unwrap().boolean(), Err(UnexpectedType));
    assert!(Item::parse(&item("a0")).unwrap().array().is_err());
    assert!(Item::parse(&item("80")).unwrap().map().is_err());
}

#[test]
fn a_map_of_more_than_23_entries_has_its_head_widened() {
    let mut writer = Writer::new();
    writer.map(|map| {
        for key in 0..30 {
            map.entry(key, |w| w.boolean(true));
        }
    });
    let bytes = writer.finish();
    assert_eq!(bytes[..4], [0xb8, 30, 0x00, 0xf5]);
    assert_eq!(Item::parse(&bytes).unwrap().map().unwrap().count(), 30);
}

#[test]
#[should_panic(expected = "canonical order")]
#[cfg(debug_assertions)]
fn a_map_written_out_of_order_is_our_bug() {
    Writer::new().map(|map| {
        map.text_entry("a", |w| w.unsigned(0)).entry(1, |w| w.unsigned(0));
    });
}

/// Values that the independent implementation writes in canonical form, at most four levels deep.
fn canonical() -> impl Strategy<Value = sk_cbor::Value> {
    use sk_cbor::Value;
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::unsigned),
        any::<i64>().prop_map(Value::integer),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::byte_string),
        ".{0,12}".prop_map(Value::text_string),
        any::<bool>().prop_map(Value::bool_value),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::array),
            proptest::collection::vec(("[a-z]{0,4}".prop_map(Value::text_string), inner), 0..6).prop_map(
                |mut entries| {
                    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
                    entries.dedup_by(|(left, _), (right, _)| left == right);
                    Value::map(entries)
                }
            ),
        ]
    })
}

fn rewrite(item: Item<'_>, writer: &mut Writer) {
    if let Ok(elements) = item.array() {
        writer.array(elements.clone().count());
        elements.for_each(|element| rewrite(element, writer));
    } else if let Ok(entries) = item.map() {
        writer.head(5, entries.clone().count().try_into().unwrap());
        entries.for_each(|(key, value)| {
            rewrite(key, writer);
            rewrite(value, writer);
        });
    } else if let Ok(bytes) = item.bytes() {
        writer.bytes(bytes);
    } else if let Ok(text) = item.text() {
        writer.text(text);
    } else if let Ok(value) = item.integer() {
        writer.integer(value);
    } else {
        writer.raw(item.encoded());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_independent_writer_writes_is_read_and_rewritten_the_same(value in canonical()) {
        let mut encoded = Vec::new();
        if sk_cbor::writer::write_nested(value, &mut encoded, Some(4)).is_ok() {
            let item = Item::parse(&encoded).unwrap();
            let mut writer = Writer::new();
            rewrite(item, &mut writer);
            prop_assert_eq!(writer.finish(), encoded);
        }
    }

    #[test]
    fn mutated_items_are_judged_as_the_independent_reader_judges_them(
        value in canonical(), position in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut encoded = Vec::new();
        if sk_cbor::writer::write_nested(value, &mut encoded, Some(4)).is_ok() {
            let position = position.index(encoded.len());
            encoded[position] = byte;
            let ours = Item::parse(&encoded);
            let theirs = sk_cbor::reader::read_nested(&encoded, Some(4));
            // What the other reader leaves out, though CTAP2 allows it.
            let unsupported = matches!(
                theirs,
                Err(DecoderError::UnsupportedFloatingPointValue
                    | DecoderError::UnsupportedSimpleValue
                    | DecoderError::OutOfRangeIntegerValue)
            );
            match ours {
                Ok(_) if unsupported => {}
                Ok(_) => prop_assert!(theirs.is_ok(), "{}: {:?}", hex::encode(&encoded), theirs),
                // The other reader accepts tags, and simple values that RFC 8949 §3.3 does not allow in one byte.
                Err(Malformed { reason: Reason::Tag, .. }) => {}
                Err(error) => prop_assert!(theirs.is_err(), "{}: {error}", hex::encode(&encoded)),
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(item) = Item::parse(&bytes) {
            prop_assert_eq!(item.encoded(), &bytes[..]);
        }
    }
}

#[test]
fn maps_are_brought_into_order_and_nothing_else_is_mended() {
    let sorted = |encoded: &str| hex::encode(in_order(&hex::decode(encoded).unwrap()));
    // As Firefox writes the options of a login, in a request and behind what is in order.
    assert_eq!(sorted("a2627576f5627570f5"), "a2627570f5627576f5");
    assert_eq!(sorted("a20118180581a2627576f5627570f5"), "a20118180581a2627570f5627576f5");
    assert_eq!(sorted("a2020001a1616200"), "a201a16162000200");
    for other in ["", "a1", "a2627576f5", "81818181818100", "bbffffffffffffffff", "a201000100", "1800", "a0ff"] {
        assert_eq!(sorted(other), other);
    }
}
