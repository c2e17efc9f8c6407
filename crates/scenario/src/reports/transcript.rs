//! The transcript of a run, as programs read it: a line of JSON for each event.

use keyrig_faults::transcript::{Event, Format, Output};

use crate::results::RunResult;

/// The name of a run's transcript: what a file may be called everywhere.
#[must_use]
pub fn file_name(run: &RunResult, place: usize) -> String {
    let plain =
        |character: char| if character.is_ascii_alphanumeric() || "-_.=".contains(character) { character } else { '-' };
    let title: String = run.title.chars().take(100).map(plain).collect();
    format!("{:03}-{}.jsonl", place + 1, title.trim_matches('-'))
}

/// What passed at the keys of a run.
#[must_use]
pub fn transcript(run: &RunResult) -> Vec<u8> {
    of_events(Format::Jsonl, run.before.iter().chain(run.steps.iter().flat_map(|step| &step.events)))
}

/// Events in a form.
pub(super) fn of_events<'e>(format: Format, events: impl IntoIterator<Item = &'e Event> + Clone) -> Vec<u8> {
    let mut output = Output::new(format);
    output.expect(events.clone().into_iter().filter_map(|event| event.key.as_deref()));
    let mut bytes = Vec::new();
    for event in events {
        output.write(event, &mut bytes);
    }
    output.end(&mut bytes);
    bytes
}
