//! What is kept of built-in user verification (CTAP 2.3 §6.4, 0x17; §6.5.2.3).

/// How built-in user verification was tried. A right PIN takes both counts back, a reset too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UvAttempts {
    /// How many attempts have failed since one succeeded: `uvRetries` is what is left of the most that there may be.
    pub failed: u8,
    /// How many there were since the PIN was entered: `uvCountSinceLastPinEntry`.
    pub since_pin_entry: u32,
}
