//! Which browser the page is in, where browsers differ.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// The browser whose ways a [`Client`](crate::Client) has where browsers differ in what they ask of keys, and in what they
/// make of the answers. As observed of Chromium 156 and Firefox 153 on Linux, and as their public sources have it
/// (Chromium's `device/fido`, Mozilla's authenticator-rs).
///
/// | | Chromium | Firefox |
/// |---|---|---|
/// | several keys | all are asked for the credential at once; one touch | all blink until one is touched, which is then asked; two touches |
/// | a key says that it cannot help | see `weight`: it ends the ceremony, blinks for a touch, or is out | the touched key alone decides |
/// | discoverable credential | always with user verification: a key without a PIN gets one | as any other credential |
/// | get() without `allowCredentials` | always with user verification | as the page says |
/// | `userVerification: "required"`, key without a PIN | create(): it gets one; get(): refused after a touch | done without: the relying party has to look at the UV flag |
/// | key of CTAP 2.0 with a PIN, credential that U2F can make | by U2F, without the PIN | with the PIN |
/// | `residentKey: "preferred"`, key full | not discoverable, then | CTAP2_ERR_KEY_STORE_FULL |
/// | exclude and allow lists | asked for silently if they do not fit | asked for silently in any case |
/// | `allowCredentials`, `excludeCredentials` | at most 64 entries: RangeError | at most 20: SecurityError |
/// | `credProtect`, where the page asks for none | by what is asked of the credential | none |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Browser {
    /// Chromium, and what is built from it.
    #[default]
    Chromium,
    /// Firefox.
    Firefox,
}

impl Browser {
    const ALL: [Self; 2] = [Self::Chromium, Self::Firefox];

    fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
        }
    }
}

impl fmt::Display for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such browser here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no browser {0:?}: choose chromium or firefox")]
pub struct UnknownBrowser(String);

impl FromStr for Browser {
    type Err = UnknownBrowser;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|browser| browser.name() == name).ok_or_else(|| UnknownBrowser(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_by_its_name() {
        for browser in Browser::ALL {
            assert_eq!(browser.to_string().parse(), Ok(browser));
        }
        let error = "safari".parse::<Browser>().unwrap_err();
        assert_eq!(error.to_string(), "there is no browser \"safari\": choose chromium or firefox");
    }
}
