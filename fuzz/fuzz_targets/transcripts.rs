//! A transcript or a capture, whatever is in it.
//!
//! What must hold: no panic; what is read can be written in every format; what was written as lines of JSON is read back as the same
//! events; and a message of a capture that nothing is missing from is what its reports say.

#![no_main]

use std::io::Cursor;

use keyrig_faults::transcript::{Event, Format, Output, Reader, Secrets, Transcript};
use libfuzzer_sys::fuzz_target;

fn events(data: &[u8], secrets: Secrets) -> Vec<Event> {
    Reader::new(Cursor::new(data), secrets).map(|reader| reader.map_while(Result::ok).collect()).unwrap_or_default()
}

fn written(events: &[Event], format: Format) -> Vec<u8> {
    let mut output = Output::new(format);
    let mut bytes = Vec::new();
    for event in events {
        output.write(event, &mut bytes);
    }
    output.end(&mut bytes);
    bytes
}

fuzz_target!(|data: &[u8]| {
    for secrets in [Secrets::Masked, Secrets::Shown] {
        let read = events(data, secrets);
        let lines = written(&read, Format::Jsonl);
        let again = events(&lines, secrets);
        // Byte strings come back as text: written once more they are the same.
        assert_eq!(again.len(), read.len());
        assert_eq!(written(&again, Format::Jsonl), lines);
        let _ = written(&read, Format::Text);
        let capture = written(&read, Format::Pcapng);
        let _ = events(&capture, secrets);
        let transcript = Transcript::new(read);
        let _ = (transcript.exchanges(), transcript.touches_asked(), transcript.pin_retries_spent("a"));
    }
    let _ = Reader::of_usbmon(Cursor::new(data), Secrets::Masked).map_while(Result::ok).count();
});
