//! A transcript or a capture, whatever is in it.
//!
//! What must hold: no panic; what is read can be written in every format; what was written as lines of JSON is read back as the same
//! events; and what is read can be replayed to a key, or not, with words.

#![no_main]

use std::io::Cursor;

use keyrig_authenticator::environment::Seeded;
use keyrig_authenticator::store::Store;
use keyrig_faults::replay::replay;
use keyrig_faults::transcript::{Event, Format, Output, Reader, Recorder, Secrets, Transcript};
use keyrig_rack::KeySpecification;
use keyrig_rack::key::StartingPoint;
use keyrig_rack::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;

/// The header of a session with key a, whose seed is known.
fn header() -> Event {
    let key = KeySpecification::built_in("keyrig", "a").expect("built in");
    let (store, _) = Store::create(&mut Seeded::new([7; 32]));
    let start = StartingPoint { snapshot: Snapshot { profile: key.profile.name.clone(), store }, position: 0 };
    let name = key.name.clone();
    let recorder = Recorder::new(&[key], Secrets::Masked);
    recorder.starts_from(7, &[(name, start)]);
    recorder.transcript().events().first().cloned().expect("it has a header")
}

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
        let _ = replay(core::iter::once(header()).chain(read.clone()).map(Ok), None);
        let transcript = Transcript::new(read);
        let _ = (transcript.exchanges(), transcript.touches_asked(), transcript.pin_retries_spent("a"));
    }
    let _ = Reader::of_usbmon(Cursor::new(data), Secrets::Masked).map_while(Result::ok).count();
});
