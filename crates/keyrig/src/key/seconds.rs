//! Times on the command line.

use std::str::FromStr;
use std::time::Duration;

/// A time in seconds, a fraction perhaps.
#[derive(Clone, Copy)]
pub(super) struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(Self).ok_or_else(|| "write a number of seconds, such as 5 or 0.5".to_owned())
    }
}

impl Seconds {
    pub(super) fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}
