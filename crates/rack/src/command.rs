//! What a running rack is told: commands, and the state of its keys after them.

use core::time::Duration;

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::{EnterpriseRefused, QuirkRefused, UnknownQuirk};
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_usb::PlugError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::certified::NoProfile;
use crate::feedback::Feedback;
use crate::finger::TouchPolicy;
use crate::key::administration::ActRefused;
use crate::key_name::KeyName;
use crate::snapshot::InvalidSnapshot;
use crate::verification::UvPolicy;

/// The most keys in a rack: it has eight buses.
pub const MAX_KEYS: usize = 8 * KEYS_OF_BUS;

/// How many keys are on a bus: its devices have addresses up to 127 (USB 2.0 §9.4.6), of which the root hub has one.
pub(crate) const KEYS_OF_BUS: usize = 126;

/// How many names of keys an error lists.
const NAMES: usize = 20;

/// A command to a running rack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// List the keys.
    List,
    /// Show one key.
    Show {
        /// The key.
        key: KeyName,
    },
    /// Touch a key that waits for it. Answered when the key has taken it.
    Touch {
        /// The key.
        key: KeyName,
        /// Whether to wait until the key does. Of several who wait, each touches once, in the order in which they came.
        wait: bool,
    },
    /// Touch a key that waits for a verification of its user, as the one whom it knows or as somebody else, whatever its policy. Answered
    /// when the key has taken it.
    Verify {
        /// The key.
        key: KeyName,
        /// Whether it is somebody else.
        miss: bool,
        /// Whether to wait until the key does, in one row with those who wait to touch it.
        wait: bool,
    },
    /// Give a key that waits for it a sample of a fingerprint, and say what its sensor makes of it. Answered when the key has taken it.
    Sample {
        /// The key.
        key: KeyName,
        /// What it makes of it.
        sample: Feedback,
        /// Whether to wait until the key does: until then others touch it.
        wait: bool,
    },
    /// Refuse for a key that waits for a touch. Answered when the key has taken it.
    Deny {
        /// The key.
        key: KeyName,
        /// Whether to wait until the key does, in one row with those who wait to touch it.
        wait: bool,
    },
    /// Wait until a key has come to something. Of several who wait for it all are answered.
    Wait {
        /// The key.
        key: KeyName,
        /// What is waited for.
        what: WaitFor,
    },
    /// Pull a key out. Its host sees it go at once.
    Unplug {
        /// The key.
        key: KeyName,
    },
    /// Put a key back in.
    Plug {
        /// The key.
        key: KeyName,
    },
    /// Pull a key out and put it back in.
    PowerCycle {
        /// The key.
        key: KeyName,
    },
    /// Put the finger over a key; without one, over the first that is plugged in.
    Finger {
        /// The key.
        key: Option<KeyName>,
    },
    /// Change what the finger does.
    TouchPolicy {
        /// The policy.
        policy: TouchPolicy,
    },
    /// Change whom a key finds when it verifies its user.
    UvPolicy {
        /// The key.
        key: KeyName,
        /// The policy.
        policy: UvPolicy,
    },
}

/// What a key may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WaitFor {
    /// It waits for a touch.
    Touch,
    /// It is plugged in.
    Plugged,
    /// A USB host has it.
    Attached,
}

/// A rack's keys and its finger, after a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RackState {
    /// The keys, in the order in which they came to the rack: after a command that names a key that one, else all of them.
    pub keys: Vec<KeyState>,
    /// What the finger does.
    pub touch: TouchPolicy,
}

/// A key as a rack lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyState {
    /// Its name.
    pub name: KeyName,
    /// Its profile's name.
    pub profile: String,
    /// The known bugs that it has beside what its profile says.
    #[serde(default)]
    pub quirks: Vec<String>,
    /// The RP IDs that it gives enterprise attestations to, once that is enabled, those of its profile among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enterprise_rps: Vec<String>,
    /// Its USB/IP bus id, if it is on USB: other keys are for clients that send them messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busid: Option<String>,
    /// Whether it is plugged in.
    pub plugged: bool,
    /// Whether a USB host has it.
    pub attached: bool,
    /// How many programs use it without USB, at a datagram endpoint: exactly, but for those that came over UDP.
    pub programs: usize,
    /// How many of these came over UDP. Nobody says goodbye there, so those that have gone are among them, until the key loses
    /// power or others take their places.
    #[serde(default)]
    pub programs_over_udp: usize,
    /// Whether the finger is over it.
    pub under_finger: bool,
    /// The CTAP command for which it waits for a gesture.
    pub waiting_for: Option<String>,
    /// Whether it verifies its user by that.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub for_verification: bool,
    /// Whom it finds when it verifies its user, if it has built-in user verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uv: Option<UvPolicy>,
    /// How many discoverable credentials it holds.
    pub discoverable_credentials: usize,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No key has this name.
    #[error("no key is called {key}: {}", if .known.is_empty() { "there is none".to_owned() } else { format!("the keys are {known}") })]
    UnknownKey {
        /// The name.
        key: KeyName,
        /// The names of those that there are.
        known: String,
    },
    /// A key has this name already.
    #[error("a key is called {0} already")]
    KeyExists(KeyName),
    /// The state directory keeps a key of this name, which would be lost.
    #[error("the state directory keeps a key that is called {0}: choose another name")]
    KeyKept(KeyName),
    /// The rack is full.
    #[error("the rack is full: it holds {MAX_KEYS} keys")]
    TooManyKeys,
    /// The key could not be made.
    #[error("key {key} cannot be made: {reason}")]
    CannotCreate {
        /// The key.
        key: KeyName,
        /// Why.
        reason: String,
    },
    /// No profile has this name.
    #[error("no profile is called {0:?}: the profiles are {known}", known = known_profiles())]
    UnknownProfile(String),
    /// There is no such profile of a certified key.
    #[error(transparent)]
    NoProfile(#[from] NoProfile),
    /// No quirk has this name.
    #[error(transparent)]
    UnknownQuirk(#[from] UnknownQuirk),
    /// The key does not get a quirk.
    #[error("key {key}: {refused}")]
    Quirk {
        /// The key.
        key: KeyName,
        /// Why.
        #[source]
        refused: QuirkRefused,
    },
    /// The key does not list an RP ID for enterprise attestations.
    #[error("key {key}: {refused}")]
    Enterprise {
        /// The key.
        key: KeyName,
        /// Why.
        #[source]
        refused: EnterpriseRefused,
    },
    /// The snapshot is of a key of another profile.
    #[error("key {key} is a {profile}, and the snapshot is of a {found}")]
    OtherProfile {
        /// The key.
        key: KeyName,
        /// Its profile.
        profile: String,
        /// That of the snapshot.
        found: String,
    },
    /// A credential that is to be imported is none.
    #[error("key {key}: {reason}")]
    BadCredential {
        /// The key.
        key: KeyName,
        /// Why.
        reason: String,
    },
    /// Bytes are no snapshot.
    #[error(transparent)]
    Snapshot(#[from] InvalidSnapshot),
    /// The key does not do what its owner wants.
    #[error("key {key}: {refused}")]
    Act {
        /// The key.
        key: KeyName,
        /// Why.
        #[source]
        refused: ActRefused,
    },
    /// The key does not verify its user itself.
    #[error("key {0} has no built-in user verification")]
    NoVerification(KeyName),
    /// The key knows no fingers.
    #[error("key {0} has no sensor for fingerprints")]
    NoSensor(KeyName),
    /// The key waits for a gesture, and not for a sample.
    #[error(
        "key {0} does not wait for a sample of a fingerprint: 'keyrig key touch' and 'verify' do what it waits for"
    )]
    NotSampling(KeyName),
    /// The key is no device.
    #[error("key {0} is on no USB, so no host gets it: it is for 'keyrig client', /v1/client and keyrig-test")]
    NotOnUsb(KeyName),
    /// The key does not wait for a gesture.
    #[error("key {0} does not wait for a touch")]
    NotWaiting(KeyName),
    /// What was waited for did not come in time.
    #[error("key {key} did not {} within {} s", match what {
        WaitFor::Touch => "wait for a touch",
        WaitFor::Plugged => "get plugged in",
        WaitFor::Attached => "get attached to a host",
    }, within.as_secs_f64())]
    TimedOut {
        /// The key.
        key: KeyName,
        /// What was waited for.
        what: WaitFor,
        /// For how long.
        within: Duration,
    },
    /// The wait was given up by whoever asked for it.
    #[error("the wait for key {0} was given up")]
    GivenUp(KeyName),
    /// As many wait for the key as may.
    #[error("too many wait for key {0} already")]
    TooManyWaits(KeyName),
    /// The key is already plugged in.
    #[error("key {0} is plugged in already")]
    Plugged(KeyName),
    /// The key is already unplugged.
    #[error("key {0} is not plugged in")]
    Unplugged(KeyName),
    /// The key cannot be plugged in.
    #[error("key {key} cannot be plugged in: {error}")]
    CannotPlug {
        /// The key.
        key: KeyName,
        /// Why.
        #[source]
        error: PlugError,
    },
    /// The message is longer than any key takes.
    #[error("the message has {0} bytes: CTAPHID carries at most {MAX_MESSAGE_SIZE}")]
    MessageTooLong(usize),
    /// What stands at the seams of the key does not do that.
    #[error("key {key}: {reason}")]
    AtSeam {
        /// The key.
        key: KeyName,
        /// Why.
        reason: String,
    },
    /// The rack or the key has stopped.
    #[error("the rack has stopped")]
    Stopped,
}

impl Refusal {
    /// That an act of the owner did not happen at a key.
    pub fn of(key: &KeyName) -> impl Fn(ActRefused) -> Self {
        move |refused| Self::Act { key: key.clone(), refused }
    }

    /// That no key has this name, where these have others.
    pub fn unknown<'a>(key: &KeyName, known: impl ExactSizeIterator<Item = &'a KeyName>) -> Self {
        Self::UnknownKey { key: key.clone(), known: listed(known.map(KeyName::as_str)) }
    }
}

/// Where the key with this number, from 1, is on USB.
pub(crate) fn busid(number: usize) -> String {
    let before = number.saturating_sub(1);
    format!("{}-{}", before / KEYS_OF_BUS + 1, before % KEYS_OF_BUS + 1)
}

/// Names of keys for an error: the first 20, and how many more there are.
pub fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let mut listed = names.take(NAMES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}

/// The names of the profiles, for errors.
pub(crate) fn known_profiles() -> String {
    Profile::built_in_names().collect::<Vec<_>>().join(", ")
}
