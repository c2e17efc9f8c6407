//! The bounds of a site as its settings write them.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::limits::{EventRetention, Limits};

/// What is left out is as in [`Limits::default`]; nothing can be 0.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    header_s: Option<NonZeroU32>,
    body_s: Option<NonZeroU32>,
    idle_s: Option<NonZeroU32>,
    answer_s: Option<NonZeroU32>,
    connections: Option<NonZeroU32>,
    waiting: Option<NonZeroU32>,
    waiting_per_client: Option<NonZeroU32>,
    waiting_per_account: Option<NonZeroU32>,
    ceremonies: Option<NonZeroU32>,
    ceremonies_per_client: Option<NonZeroU32>,
}

/// The same of [`EventRetention`].
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventsTable {
    keep_days: Option<NonZeroU32>,
    keep: Option<NonZeroU32>,
    keep_of_account: Option<NonZeroU32>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn limits(limits: &LimitsTable, events: &EventsTable) -> Limits {
    let usual = Limits::default();
    let seconds =
        |field: Option<NonZeroU32>, usual| field.map_or(usual, |field| Duration::from_secs(field.get().into()));
    let number = |field: Option<NonZeroU32>, usual| {
        field.map_or(usual, |field| usize::try_from(field.get()).unwrap_or(usize::MAX))
    };
    Limits {
        header: seconds(limits.header_s, usual.header),
        body: seconds(limits.body_s, usual.body),
        idle: seconds(limits.idle_s, usual.idle),
        answer: seconds(limits.answer_s, usual.answer),
        connections: number(limits.connections, usual.connections),
        waiting: number(limits.waiting, usual.waiting),
        waiting_per_client: number(limits.waiting_per_client, usual.waiting_per_client),
        waiting_per_account: number(limits.waiting_per_account, usual.waiting_per_account),
        ceremonies: number(limits.ceremonies, usual.ceremonies),
        ceremonies_per_client: number(limits.ceremonies_per_client, usual.ceremonies_per_client),
        events: EventRetention {
            age: events.keep_days.map_or(usual.events.age, |days| DAY * days.get()),
            count: number(events.keep, usual.events.count),
            of_account: number(events.keep_of_account, usual.events.of_account),
        },
    }
}
