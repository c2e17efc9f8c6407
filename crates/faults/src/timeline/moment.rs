//! What a key comes to, by its name in timelines.

use core::fmt;

use keyrig_rack::KeyName;
use keyrig_rack::events::What;

/// What a key comes to: an event of its [rack](keyrig_rack::events).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// It waits for a gesture.
    Waiting,
    /// It was touched.
    Touched,
    /// It has verified its user.
    Verified,
    /// It was touched by somebody else than its user.
    Missed,
    /// It was given a sample of a fingerprint that was not good.
    Sampled,
    /// The user refused.
    Denied,
    /// Whoever asked for a gesture wants it no more, as after CTAPHID_CANCEL.
    Cancelled,
    /// No gesture came in time.
    TimedOut,
    /// It was plugged in.
    Plugged,
    /// It was pulled out.
    Unplugged,
    /// A USB host has taken it.
    Attached,
    /// A USB host has let it go.
    Detached,
    /// Its discoverable credentials are more or fewer.
    Stored,
    /// A host had it wink.
    Winked,
}

pub(crate) const MOMENTS: [(&str, Moment); 14] = [
    ("waiting", Moment::Waiting),
    ("touched", Moment::Touched),
    ("verified", Moment::Verified),
    ("missed", Moment::Missed),
    ("sampled", Moment::Sampled),
    ("denied", Moment::Denied),
    ("cancelled", Moment::Cancelled),
    ("timed-out", Moment::TimedOut),
    ("plugged", Moment::Plugged),
    ("unplugged", Moment::Unplugged),
    ("attached", Moment::Attached),
    ("detached", Moment::Detached),
    ("stored", Moment::Stored),
    ("winked", Moment::Winked),
];

impl Moment {
    /// The key that comes to something by an event, and to what.
    pub(super) fn of(what: &What) -> Option<(&KeyName, Self)> {
        match what {
            What::Waiting { key, .. } => Some((key, Self::Waiting)),
            What::Touched { key } => Some((key, Self::Touched)),
            What::Verified { key } => Some((key, Self::Verified)),
            What::Missed { key } => Some((key, Self::Missed)),
            What::Sampled { key, .. } => Some((key, Self::Sampled)),
            What::Denied { key } => Some((key, Self::Denied)),
            What::Cancelled { key } => Some((key, Self::Cancelled)),
            What::TimedOut { key } => Some((key, Self::TimedOut)),
            What::Plugged { key } => Some((key, Self::Plugged)),
            What::Unplugged { key } => Some((key, Self::Unplugged)),
            What::Attached { key } => Some((key, Self::Attached)),
            What::Detached { key } => Some((key, Self::Detached)),
            What::Stored { key, .. } => Some((key, Self::Stored)),
            What::Winked { key } => Some((key, Self::Winked)),
            _ => None,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = MOMENTS.iter().find(|(_, moment)| moment == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}
