//! What the kernel tells of a HID device by uhid, whatever it is.
//!
//! What must hold: no panic; who asks by a control request is answered with the id that was sent; a report is what the event has, and
//! of one only that is unnumbered and whole.

#![no_main]

use keyrig_attach::uhid::event::{Event, get_report_reply, set_report_reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let at = |place: usize| bytes.get(place).copied().unwrap_or_default();
    let id = || u32::from_ne_bytes([at(4), at(5), at(6), at(7)]);
    match Event::decode(bytes) {
        Event::Output(report) => {
            assert_eq!(at(4) == 0 && (at(4100), at(4101), at(4102)) == (65, 0, 1), report.is_some());
            assert!(report.is_none_or(|report| (0..64).all(|place| report[place] == at(5 + place))));
        }
        Event::GetReport { id: told, is_input } => {
            assert_eq!(told, id());
            assert_eq!(get_report_reply(told, is_input)[4..8], id().to_ne_bytes());
        }
        Event::SetReport { id: told, report } => {
            assert_eq!(told, id());
            assert!(report.is_none_or(|report| (0..64).all(|place| report[place] == at(13 + place))));
            assert_eq!(set_report_reply(told, report.is_some())[4..8], id().to_ne_bytes());
        }
        Event::Other(kind) => assert_eq!(kind, u32::from_ne_bytes([at(0), at(1), at(2), at(3)])),
    }
});
