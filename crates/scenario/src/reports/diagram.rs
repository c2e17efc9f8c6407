//! Who said what to whom in a run, drawn: an SVG with a column for each, and time downwards.

use super::escaping::escaped;
use crate::results::{Message, RunResult, StepResult, Who};

const COLUMN: usize = 215;
const LEFT: usize = 20;
const HEAD: usize = 44;
const ROW: usize = 24;
const STEP: usize = 34;

/// The most characters of a text between neighbouring columns.
const SHOWN: usize = 27;

/// A run's steps, drawn.
pub(super) fn diagram(run: &RunResult) -> String {
    let mut columns = vec![Who::User, Who::Browser];
    columns.extend(run.keys.iter().map(|key| Who::Key(key.name.clone())));
    for message in run.steps.iter().flat_map(|step| &step.messages) {
        for who in [&message.from, &message.to] {
            if matches!(who, Who::Key(_)) && !columns.contains(who) {
                columns.push(who.clone());
            }
        }
    }
    columns.push(Who::Site);
    let mut drawing = String::new();
    let mut y = HEAD;
    for step in &run.steps {
        y = of_step(&mut drawing, step, &columns, y);
    }
    let (width, height) = (LEFT * 2 + columns.len() * COLUMN, y + 16);
    let mut heads = String::new();
    for (place, who) in columns.iter().enumerate() {
        let x = middle(place);
        heads.push_str(&format!(
            "<line class=\"life\" x1=\"{x}\" y1=\"{HEAD}\" x2=\"{x}\" y2=\"{height}\"/><text class=\"who\" x=\"{x}\" y=\"26\">{}</text>",
            escaped(&shortened(&name(who), 1))
        ));
    }
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"who said what to whom\">{heads}{drawing}</svg>"
    )
}

fn middle(place: usize) -> usize {
    LEFT + place * COLUMN + COLUMN / 2
}

fn name(who: &Who) -> String {
    match who {
        Who::User => "user".to_owned(),
        Who::Browser => "browser".to_owned(),
        Who::Key(name) => format!("key {name}"),
        Who::Site => "site".to_owned(),
    }
}

/// A text that fits between two columns which are so far from each other.
fn shortened(text: &str, columns: usize) -> String {
    let shown = SHOWN * columns;
    if text.chars().count() <= shown {
        return text.to_owned();
    }
    text.chars().take(shown - 1).chain(['…']).collect()
}

/// Draws a step from a height on, and returns how far down it goes.
fn of_step(drawing: &mut String, step: &StepResult, columns: &[Who], from: usize) -> usize {
    let width = columns.len() * COLUMN;
    let class = if step.ok { "step" } else { "step wrong" };
    let (top, text) = (from + 6, from + 22);
    drawing.push_str(&format!(
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"22\" rx=\"4\"/><text class=\"title\" x=\"{}\" y=\"{text}\">{}</text>",
        LEFT + 8,
        escaped(&step.name)
    ));
    let mut y = from + STEP;
    for message in &step.messages {
        y += ROW;
        of_message(drawing, message, columns, y);
    }
    y + 10
}

fn of_message(drawing: &mut String, message: &Message, columns: &[Who], y: usize) {
    let place = |who: &Who| columns.iter().position(|column| column == who);
    let (Some(from), Some(to)) = (place(&message.from), place(&message.to)) else { return };
    let (x1, x2) = (middle(from), middle(to));
    let class = if message.refuses { "message no" } else { "message" };
    let whole = escaped(&message.text);
    let text = escaped(&shortened(&message.text, from.abs_diff(to).max(1)));
    if from == to {
        drawing.push_str(&format!(
            "<g class=\"{class}\"><title>{whole}</title><rect x=\"{}\" y=\"{}\" width=\"{COLUMN}\" height=\"18\" rx=\"3\"/><text text-anchor=\"middle\" x=\"{x1}\" y=\"{}\">{text}</text></g>",
            x1 - COLUMN / 2,
            y - 14,
            y - 1
        ));
        return;
    }
    // The text stands beside who speaks.
    let (tip, at, anchor) = if x2 > x1 { (x2 - 7, x1 + 8, "start") } else { (x2 + 7, x1 - 8, "end") };
    drawing.push_str(&format!(
        "<g class=\"{class}\"><title>{whole}</title><line x1=\"{x1}\" y1=\"{y}\" x2=\"{x2}\" y2=\"{y}\"/><path d=\"M{tip} {} L{x2} {y} L{tip} {}\"/><text text-anchor=\"{anchor}\" x=\"{at}\" y=\"{}\">{text}</text></g>",
        y - 4,
        y + 4,
        y - 4
    ));
}
