//! Timelines: what is done to the keys of a rack, at times and upon conditions, as TOML, as JSON, or in Rust.
//!
//! ```toml
//! [[events]]
//! when = "b waiting"       # as soon as b waits for a touch
//! after = "500ms"          # and so much later
//! do = "touch"
//! key = "b"
//!
//! [[events]]
//! when = "a cancelled"     # a wait of a was cancelled
//! nth = 2                  # for the second time
//! do = "unplug"
//! key = "a"
//!
//! [[events]]
//! at = "10s"               # since the timeline's start
//! do = "plug"
//! key = "a"
//!
//! [[events]]
//! when = "a touched"
//! do = "fault"             # and fault-off
//! key = "a"
//! fault = "ctap-slow,ms=3000"
//! ```
//!
//! Each event has a trigger of its own, which counts from the timeline's start; of those that are due at the same time, the first goes
//! first. A key that waits for a touch when the timeline starts has begun to by then. Time is the runtime's.
//!
//! Where a host asks for a PIN, entering it is a client's part; `set-pin` and `change-pin` are what the key's owner does beside that:
//!
//! ```toml
//! [[events]]
//! when = "a waiting"
//! do = "change-pin"        # with a wrong pin, a try less
//! key = "a"
//! pin = "1234"
//! new_pin = "5678"
//! ```
//!
//! What waits for a key that is removed is told then, and not done.

mod delay;
mod language;
mod moment;
mod run;

#[cfg(feature = "openapi")]
pub(crate) use self::moment::MOMENTS;

pub use self::delay::{Delay, InvalidDelay};
pub use self::language::{
    Condition, Deed, DeedKind, InvalidTimeline, NotOfTheLanguage, Pin, Timeline, TimelineEvent, Trigger,
};
pub use self::moment::Moment;
pub use self::run::{Done, Outcome};
