//! Which browser the page is in, where browsers differ.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;

/// The browser whose ways a [`Client`](crate::Client) has where browsers differ in what they ask of keys, and in what they
/// make of the answers. As observed of Chromium 156 and Firefox 153 on Linux, and as their public sources have it
/// (Chromium's `device/fido`, Mozilla's authenticator-rs).
///
/// Of Safari there is what WebKit's source says of pages (`AuthenticatorCoordinator`), which rules and words are from. What it
/// asks of keys is Apple's and nobody has recorded it: there it does as Chromium does.
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
/// | `allowCredentials` | at most 64 entries: RangeError | at most 20: SecurityError |
/// | `excludeCredentials` | at most 64 entries: RangeError | any number |
/// | `attestation: "enterprise"` | a key that has it enabled is asked for it, and decides by its list of RP IDs; with a policy, the browser decides | no key is asked for it |
/// | `credProtect`, where the page asks for none | by what is asked of the credential | none |
///
/// And what a page meets before any key is asked:
///
/// | | Chromium | Firefox | Safari |
/// |---|---|---|---|
/// | padding in the base64url of options | EncodingError | passes | nobody has looked: EncodingError, as WebAuthn has it |
/// | RP ID with a leading dot | passes, and is hashed with it | SecurityError | SecurityError |
/// | RP ID in upper case | SecurityError | SecurityError | passes, and is hashed as it is |
/// | single label above the page's domain (`lan`) | SecurityError | SecurityError | passes, as it is in no list of public suffixes |
/// | empty `rpId` of get() | SecurityError | SecurityError | the page's domain |
/// | opaque origin | NotAllowedError | SecurityError | SecurityError |
/// | create() in a frame of another origin | with the permission and a user activation | likewise | never |
/// | get() in a frame of another origin | with the permission | likewise | likewise |
/// | empty `user.id` | passes | passes | TypeError |
/// | `pubKeyCredParams` with types that are unknown | are left out | are left out | NotSupportedError |
/// | `appid` | https, of the page's site | likewise | the page's scheme, of its site; not empty |
/// | `appidExclude` that is not the page's to use | SecurityError | is left out | is not known |
/// | `largeBlob` as it cannot be asked for | NotSupportedError | NotSupportedError | NotAllowedError |
/// | shortest timeout, longest; without one | 10 s, 10 min; the same | 15 s, 2 min; 30 s | nobody has looked, 2 min; the same |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Browser {
    /// Chromium, and what is built from it.
    #[default]
    Chromium,
    /// Firefox.
    Firefox,
    /// Safari, and what else is WebKit's.
    Safari,
}

/// Whose ways keys meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtKeys {
    Chromium,
    Firefox,
}

impl Browser {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::Safari];

    fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Safari => "safari",
        }
    }

    /// Its name as its makers spell it, for texts. In options and JSON it is what it displays as.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::Safari => "Safari",
        }
    }

    pub(crate) fn at_keys(self) -> AtKeys {
        match self {
            Self::Chromium | Self::Safari => AtKeys::Chromium,
            Self::Firefox => AtKeys::Firefox,
        }
    }

    /// How long a ceremony lasts that has no timeout, and the longest that any lasts.
    pub(crate) fn timeouts(self) -> (Duration, Duration) {
        let seconds = Duration::from_secs;
        match self {
            Self::Chromium => (seconds(600), seconds(600)),
            Self::Firefox => (seconds(30), seconds(120)),
            Self::Safari => (seconds(120), seconds(120)),
        }
    }
}

impl Browser {
    /// How long the browser waits for the user of a ceremony that has this timeout, or none. The shortest is what a page meets, and a
    /// [`Client`](crate::Client) is not held to it, as a test of a timeout would take that long.
    #[must_use]
    pub fn waits(self, timeout: Option<Duration>) -> Duration {
        let (without, longest) = self.timeouts();
        let shortest = match self {
            Self::Chromium => Duration::from_secs(10),
            Self::Firefox => Duration::from_secs(15),
            Self::Safari => Duration::ZERO,
        };
        timeout.map_or(without, |timeout| timeout.clamp(shortest, longest))
    }
}

/// As in options and JSON: for texts there is [`Browser::title`].
impl fmt::Display for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such browser here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no browser {0:?}: choose chromium, firefox or safari")]
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

    /// Chromium's and Firefox's as observed.
    #[test]
    fn a_browser_waits_neither_less_nor_longer_than_it_does() {
        let waits = |browser: Browser, seconds: Option<u64>| browser.waits(seconds.map(Duration::from_secs)).as_secs();
        for (seconds, chromium, firefox, safari) in
            [(None, 600, 30, 120), (Some(1), 10, 15, 1), (Some(60), 60, 60, 60), (Some(3600), 600, 120, 120)]
        {
            let found = Browser::ALL.map(|browser| waits(browser, seconds));
            assert_eq!(found, [chromium, firefox, safari], "{seconds:?}");
        }
    }

    #[test]
    fn a_browser_is_called_by_its_name() {
        for browser in Browser::ALL {
            assert_eq!(browser.to_string().parse(), Ok(browser));
        }
        let error = "lynx".parse::<Browser>().unwrap_err();
        assert_eq!(error.to_string(), "there is no browser \"lynx\": choose chromium, firefox or safari");
    }
}
