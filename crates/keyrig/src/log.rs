//! The log, on standard error: it never holds up whoever has something to say, and does not say the same over and over.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyrig_relying_party::REFUSED_LOGINS;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::failure::Failure;
use crate::output::Lines;

/// What says how much is logged.
const VARIABLE: &str = "KEYRIG_LOG";

/// Of a kind, one warning is shown in so long a time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts the log, with what is at least so grave unless the environment says otherwise.
pub(crate) fn start(default: LevelFilter) -> Result<Lines, Failure> {
    let filter = match std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        None => Targets::new().with_default(default),
        Some(text) => text.to_str().and_then(filter).ok_or_else(|| {
            let text = text.display();
            Failure::Usage(format!("{VARIABLE}={text} says no level: write error, warn, info, debug or trace"))
        })?,
    };
    let lines = Lines::start(io::stderr(), |count| format!("{count} lines of the log were lost: nobody read them"))
        .map_err(Failure::Runtime)?;
    let writer = Arc::new(lines.clone());
    let sparing = Sparing { shown: Mutex::default(), lines: lines.clone() };
    let logins = filter.would_enable(REFUSED_LOGINS, &Level::WARN).then(|| {
        RefusedLogins(lines.clone()).with_filter(Targets::new().with_target(REFUSED_LOGINS, LevelFilter::WARN))
    });
    let filter = filter.with_target(REFUSED_LOGINS, LevelFilter::OFF);
    let layer = fmt::layer().with_writer(writer).without_time().with_filter(filter.and(sparing));
    tracing_subscriber::registry().with(layer).with(logins).init();
    Ok(lines)
}

/// A level, or levels by module: `warn,keyrig_usb=debug`.
fn filter(text: &str) -> Option<Targets> {
    // By itself a word that is no level is taken for a module's name, and what it would log is all that is logged.
    let understood = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    text.split(',').all(|part| understood(part.trim())).then(|| text.parse().ok()).flatten()
}

/// Writes each refused login as Proxmox VE's daemon does, with time, name and process in front: what watches for these counts all of them.
struct RefusedLogins(Lines);

impl<S: Subscriber> Layer<S> for RefusedLogins {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = String::new();
        // Writing to a string does not fail.
        let _ = fmt::time::SystemTime.format_time(&mut fmt::format::Writer::new(&mut line));
        line.push_str(&format!(" {REFUSED_LOGINS}[{}]: ", std::process::id()));
        event.record(&mut Message(&mut line));
        self.0.print(line);
    }
}

/// What is said in an event.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.push_str(&format!("{value:?}"));
        }
    }
}

/// Shows one warning a kind and interval, and with it how many it did not show before.
struct Sparing {
    shown: Mutex<Shown>,
    lines: Lines,
}

impl<S> Filter<S> for Sparing {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return true;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match shown.admit(metadata.callsite(), Instant::now()) {
            None => false,
            Some(0) => true,
            Some(left_out) => {
                self.lines.print(format!("{left_out} more like the next one were left out"));
                true
            }
        }
    }
}

#[derive(Default)]
struct Shown(HashMap<Identifier, (Instant, u64)>);

impl Shown {
    /// Whether an event of this kind is shown now, and how many were not since the last.
    fn admit(&mut self, kind: Identifier, now: Instant) -> Option<u64> {
        match self.0.get_mut(&kind) {
            Some((last, left_out)) if now.duration_since(*last) < INTERVAL => {
                *left_out += 1;
                None
            }
            Some((last, left_out)) => {
                *last = now;
                Some(core::mem::take(left_out))
            }
            None => {
                self.0.insert(kind, (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kind;

    impl tracing::Callsite for Kind {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("nobody asks")
        }
    }

    /// Not of size zero, so that each has an address of its own.
    static KINDS: [(Kind, u8); 2] = [(Kind, 0), (Kind, 1)];

    #[test]
    fn a_level_is_said_by_its_name_or_by_module() {
        for text in ["warn", "off", "DEBUG", "warn,keyrig_usb=debug"] {
            assert!(filter(text).is_some(), "{text}");
        }
        for text in ["lots", "warning!", "warn,lots", "keyrig_usb=lots", "keyrig_rack[{key=a}]=trace"] {
            assert!(filter(text).is_none(), "{text}");
        }
    }

    #[test]
    fn one_warning_a_kind_and_second_is_shown_and_the_others_are_counted() {
        let [one, other] = [0, 1].map(|index: usize| Identifier(&KINDS[index].0));
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut shown = Shown::default();
        assert_eq!(shown.admit(one.clone(), at(0)), Some(0));
        for time in [0, 1, 500, 999] {
            assert_eq!(shown.admit(one.clone(), at(time)), None, "{time}");
        }
        assert_eq!(shown.admit(other, at(999)), Some(0), "of another kind");
        assert_eq!(shown.admit(one.clone(), at(1000)), Some(4));
        assert_eq!(shown.admit(one.clone(), at(1999)), None);
        assert_eq!(shown.admit(one, at(2000)), Some(1));
    }
}
