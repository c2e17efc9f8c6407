//! What a directory sends, and the names and filters that are typed for it.
//!
//! What must hold: no panic; what is kept of a message takes no more room than the message has; a filter stays within its bounds.

#![no_main]

use keyrig_ldap::{Answer, Dn, Filter, MAX_FILTER_BYTES, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((_, Answer::Entry(entry))) = read(data) {
        let attributes = entry.attributes.iter();
        let kept = attributes.map(|(name, values)| name.len() + values.iter().map(Vec::len).sum::<usize>());
        assert!(entry.dn.len() + kept.sum::<usize>() <= data.len(), "{entry:?}");
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    let filter = text.parse::<Filter>();
    assert!(filter.is_err() || text.len() <= MAX_FILTER_BYTES);
    if let Some(name) = Dn::new(text) {
        assert_eq!(Dn::new(text), Some(name), "a name equals itself");
    }
    let _ = Dn::first_value(text);
});
