//! How timelines are written.

use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;
use core::str::FromStr;

use keyrig_rack::command::Refusal;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{Feedback, KeyName};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use toml::Spanned;

use super::delay::Delay;
use super::moment::{MOMENTS, Moment};
use crate::fault::Fault;
use crate::plainly::plainly;

/// The most events of a timeline.
const MAX_EVENTS: usize = 1024;

/// What is done, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The events, at most 1024.
    #[serde(deserialize_with = "few")]
    #[cfg_attr(feature = "openapi", schema(max_items = 1024))]
    pub events: Vec<TimelineEvent>,
}

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TimelineEvent>, D::Error> {
    let events = Vec::deserialize(deserializer)?;
    if events.len() > MAX_EVENTS {
        let many = events.len();
        return Err(serde::de::Error::custom(format_args!("{many} events are more than {MAX_EVENTS}")));
    }
    Ok(events)
}

/// One thing that is done once, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct TimelineEvent {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub deed: Deed,
}

/// When something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At this time since the timeline's start.
    At(Delay),
    /// Upon a condition.
    When {
        /// What comes to pass.
        condition: Condition,
        /// For which time it has to.
        nth: NonZeroU32,
        /// How long after it did.
        after: Delay,
    },
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deed {
    /// Touch a key that waits for it.
    Touch(KeyName),
    /// Touch a key that verifies its user, as the one whom it knows.
    Verify(KeyName),
    /// The same as somebody else.
    Miss(KeyName),
    /// Give a key a sample of a fingerprint, and say what its sensor makes of it.
    Sample(KeyName, Feedback),
    /// Refuse for a key that waits for a touch.
    Deny(KeyName),
    /// Pull a key out.
    Unplug(KeyName),
    /// Put it back in.
    Plug(KeyName),
    /// Pull it out and put it back in.
    PowerCycle(KeyName),
    /// Put the finger over a key; without one, over the first that is plugged in.
    Finger(Option<KeyName>),
    /// Change what the finger does.
    TouchPolicy(TouchPolicy),
    /// Set a key's first PIN.
    SetPin(KeyName, Pin),
    /// Change a key's PIN, from the first to the second. A wrong one costs a try.
    ChangePin(KeyName, Pin, Pin),
    /// Have something go wrong with a key.
    Fault(KeyName, Fault),
    /// Have it go wrong no more, what [`Fault::names`]; without one, nothing at all.
    FaultOff(KeyName, Option<Fault>),
}

/// A PIN, which is shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pin(pub String);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl Deed {
    /// What it is called.
    #[must_use]
    pub fn kind(&self) -> DeedKind {
        match self {
            Self::Touch(_) => DeedKind::Touch,
            Self::Verify(_) => DeedKind::Verify,
            Self::Miss(_) => DeedKind::Miss,
            Self::Sample(..) => DeedKind::Sample,
            Self::Deny(_) => DeedKind::Deny,
            Self::Unplug(_) => DeedKind::Unplug,
            Self::Plug(_) => DeedKind::Plug,
            Self::PowerCycle(_) => DeedKind::PowerCycle,
            Self::Finger(_) => DeedKind::Finger,
            Self::TouchPolicy(_) => DeedKind::TouchPolicy,
            Self::SetPin(..) => DeedKind::SetPin,
            Self::ChangePin(..) => DeedKind::ChangePin,
            Self::Fault(..) => DeedKind::Fault,
            Self::FaultOff(..) => DeedKind::FaultOff,
        }
    }

    /// The key that it is done to.
    #[must_use]
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::Touch(key)
            | Self::Verify(key)
            | Self::Miss(key)
            | Self::Sample(key, _)
            | Self::Deny(key)
            | Self::Unplug(key)
            | Self::Plug(key)
            | Self::PowerCycle(key)
            | Self::SetPin(key, _)
            | Self::ChangePin(key, ..)
            | Self::Fault(key, _)
            | Self::FaultOff(key, _) => Some(key),
            Self::Finger(key) => key.as_ref(),
            Self::TouchPolicy(_) => None,
        }
    }
}

/// An event as it is written: what is done once, `at` a time, or upon a condition, `when`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// At this time since the timeline's start.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    at: Option<Delay>,
    /// When this comes to pass.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
    /// For which time it has to; without it the first.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    nth: Option<NonZeroU32>,
    /// How long after it did; without it at once.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    after: Option<Delay>,
    /// What is done.
    r#do: DeedKind,
    /// To which key; a finger without a key goes back over the first that is plugged in.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    key: Option<KeyName>,
    /// The policy of a touch-policy.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    policy: Option<TouchPolicy>,
    /// What the sensor makes of a sample.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    sample: Option<Feedback>,
    /// The PIN of a set-pin, or that of a change-pin that is set.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
    /// The PIN of a change-pin that is to be.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    new_pin: Option<Pin>,
    /// What goes wrong, of a fault; of a fault-off which, all of a name or one as it was written, and without it all that is on at the key
    /// goes off.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
}

/// What is there, and is not null.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What is done, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeedKind {
    /// [`Deed::Touch`].
    Touch,
    /// [`Deed::Verify`].
    Verify,
    /// [`Deed::Miss`].
    Miss,
    /// [`Deed::Sample`].
    Sample,
    /// [`Deed::Deny`].
    Deny,
    /// [`Deed::Unplug`].
    Unplug,
    /// [`Deed::Plug`].
    Plug,
    /// [`Deed::PowerCycle`].
    PowerCycle,
    /// [`Deed::Finger`].
    Finger,
    /// [`Deed::TouchPolicy`].
    TouchPolicy,
    /// [`Deed::SetPin`].
    SetPin,
    /// [`Deed::ChangePin`].
    ChangePin,
    /// [`Deed::Fault`].
    Fault,
    /// [`Deed::FaultOff`].
    FaultOff,
}

impl fmt::Display for DeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Touch => "touch",
            Self::Verify => "verify",
            Self::Miss => "miss",
            Self::Sample => "sample",
            Self::Deny => "deny",
            Self::Unplug => "unplug",
            Self::Plug => "plug",
            Self::PowerCycle => "power-cycle",
            Self::Finger => "finger",
            Self::TouchPolicy => "touch-policy",
            Self::SetPin => "set-pin",
            Self::ChangePin => "change-pin",
            Self::Fault => "fault",
            Self::FaultOff => "fault-off",
        })
    }
}

/// That a key, or any, comes to something: `b waiting`, `cancelled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key; without it, any.
    pub key: Option<KeyName>,
    /// What it comes to.
    pub moment: Moment,
}

/// A text is not what it is written as.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotOfTheLanguage {
    /// It is no condition.
    #[error("{0:?} is no condition: write a key and what it comes to, such as \"b waiting\", or that alone, of any key; it comes to {moments}", moments = moments())]
    Condition(String),
    /// It has both `at` and `when`, or neither.
    #[error("an event has either at, a time since the start, or when, a condition")]
    Trigger,
    /// It has `nth` or `after` without `when`.
    #[error("{0} belongs to when, which is not here")]
    WithoutWhen(&'static str),
    /// It has no key.
    #[error("{0} is done to a key: say which, as key = \"a\"")]
    NoKey(DeedKind),
    /// It has a key, and needs none.
    #[error("{0} is of no key: leave it out")]
    Key(DeedKind),
    /// It has no policy.
    #[error("touch-policy wants policy = \"manual\" or another")]
    NoPolicy,
    /// It has a policy, and needs none.
    #[error("{0} has no policy")]
    Policy(DeedKind),
    /// It says nothing of the sample.
    #[error("sample wants sample = \"too-fast\" or another")]
    NoSample,
    /// It says something of a sample, and is none.
    #[error("{0} has no sample")]
    Sample(DeedKind),
    /// It has no PIN.
    #[error("{0} wants {1} = \"1234\" or another")]
    NoPin(DeedKind, &'static str),
    /// It has a PIN, and needs none.
    #[error("{0} has no {1}")]
    Pin(DeedKind, &'static str),
    /// It has no fault.
    #[error("fault wants fault = \"ctap-slow,ms=3000\" or another")]
    NoFault,
    /// It has a fault, and needs none.
    #[error("{0} has no fault")]
    Fault(DeedKind),
}

fn moments() -> String {
    MOMENTS.map(|(name, _)| name).join(", ")
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

impl FromStr for Condition {
    type Err = NotOfTheLanguage;

    fn from_str(text: &str) -> Result<Self, NotOfTheLanguage> {
        let (key, moment) = text.split_once(' ').map_or((None, text), |(key, moment)| (Some(key), moment));
        let key = key.map(str::parse).transpose().ok();
        let moment = MOMENTS.iter().find(|(name, _)| *name == moment);
        match (key, moment) {
            (Some(key), Some((_, moment))) => Ok(Self { key, moment: *moment }),
            _ => Err(NotOfTheLanguage::Condition(short(text))),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key} {}", self.moment),
            None => write!(f, "{}", self.moment),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Written> for TimelineEvent {
    type Error = NotOfTheLanguage;

    fn try_from(written: Written) -> Result<Self, NotOfTheLanguage> {
        let Written { at, when, nth, after, r#do, key, policy, sample, pin: given, new_pin, fault } = written;
        let trigger = match (at, when) {
            (None, Some(condition)) => {
                let (nth, after) = (nth.unwrap_or(NonZeroU32::MIN), after.unwrap_or(Delay::NONE));
                Trigger::When { condition, nth, after }
            }
            (Some(_), None) if nth.is_some() => return Err(NotOfTheLanguage::WithoutWhen("nth")),
            (Some(_), None) if after.is_some() => return Err(NotOfTheLanguage::WithoutWhen("after")),
            (Some(at), None) => Trigger::At(at),
            _ => return Err(NotOfTheLanguage::Trigger),
        };
        match (r#do, policy) {
            (DeedKind::TouchPolicy, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(NotOfTheLanguage::Policy(r#do)),
        }
        if sample.is_some() && r#do != DeedKind::Sample {
            return Err(NotOfTheLanguage::Sample(r#do));
        }
        match (r#do, &fault) {
            (DeedKind::Fault | DeedKind::FaultOff, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(NotOfTheLanguage::Fault(r#do)),
        }
        if given.is_some() && !matches!(r#do, DeedKind::SetPin | DeedKind::ChangePin) {
            return Err(NotOfTheLanguage::Pin(r#do, "pin"));
        }
        if new_pin.is_some() && r#do != DeedKind::ChangePin {
            return Err(NotOfTheLanguage::Pin(r#do, "new_pin"));
        }
        let pin = |name: &'static str, pin: Option<Pin>| pin.ok_or(NotOfTheLanguage::NoPin(r#do, name));
        let of_key = |key: Option<KeyName>| key.ok_or(NotOfTheLanguage::NoKey(r#do));
        let deed = match r#do {
            DeedKind::Touch => Deed::Touch(of_key(key)?),
            DeedKind::Verify => Deed::Verify(of_key(key)?),
            DeedKind::Miss => Deed::Miss(of_key(key)?),
            DeedKind::Sample => Deed::Sample(of_key(key)?, sample.ok_or(NotOfTheLanguage::NoSample)?),
            DeedKind::Deny => Deed::Deny(of_key(key)?),
            DeedKind::Unplug => Deed::Unplug(of_key(key)?),
            DeedKind::Plug => Deed::Plug(of_key(key)?),
            DeedKind::PowerCycle => Deed::PowerCycle(of_key(key)?),
            DeedKind::Finger => Deed::Finger(key),
            DeedKind::TouchPolicy if key.is_some() => return Err(NotOfTheLanguage::Key(r#do)),
            DeedKind::TouchPolicy => Deed::TouchPolicy(policy.ok_or(NotOfTheLanguage::NoPolicy)?),
            DeedKind::SetPin => Deed::SetPin(of_key(key)?, pin("pin", given)?),
            DeedKind::ChangePin => Deed::ChangePin(of_key(key)?, pin("pin", given)?, pin("new_pin", new_pin)?),
            DeedKind::Fault => Deed::Fault(of_key(key)?, fault.ok_or(NotOfTheLanguage::NoFault)?),
            DeedKind::FaultOff => Deed::FaultOff(of_key(key)?, fault),
        };
        Ok(Self { trigger, deed })
    }
}

impl From<TimelineEvent> for Written {
    fn from(TimelineEvent { trigger, deed }: TimelineEvent) -> Self {
        let (at, when, nth, after) = match trigger {
            Trigger::At(at) => (Some(at), None, None, None),
            Trigger::When { condition, nth, after } => (
                None,
                Some(condition),
                (nth != NonZeroU32::MIN).then_some(nth),
                (after != Delay::NONE).then_some(after),
            ),
        };
        let policy = if let Deed::TouchPolicy(policy) = &deed { Some(*policy) } else { None };
        let sample = if let Deed::Sample(_, sample) = &deed { Some(*sample) } else { None };
        let fault = match &deed {
            Deed::Fault(_, fault) => Some(fault.clone()),
            Deed::FaultOff(_, fault) => fault.clone(),
            _ => None,
        };
        let (pin, new_pin) = match &deed {
            Deed::SetPin(_, pin) => (Some(pin.clone()), None),
            Deed::ChangePin(_, pin, new) => (Some(pin.clone()), Some(new.clone())),
            _ => (None, None),
        };
        Self { at, when, nth, after, r#do: deed.kind(), key: deed.key().cloned(), policy, sample, pin, new_pin, fault }
    }
}

impl TimelineEvent {
    /// The keys that it names: that of what is done, and that of the condition.
    pub(super) fn keys(&self) -> [Option<&KeyName>; 2] {
        let of_condition = match &self.trigger {
            Trigger::When { condition, .. } => condition.key.as_ref(),
            Trigger::At(_) => None,
        };
        [self.deed.key(), of_condition]
    }
}

/// A text is no timeline: where in it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{line}:{column}: {problem}")]
pub struct InvalidTimeline {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

impl InvalidTimeline {
    fn at(text: &str, place: Option<Range<usize>>, problem: &str) -> Self {
        let start = text.floor_char_boundary(place.map_or(0, |place| place.start).min(text.len()));
        let before = text.get(..start).unwrap_or_default();
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let (line, column) = (before.matches('\n').count().saturating_add(1), line_before.chars().count());
        Self { line, column: column.saturating_add(1), problem: problem.trim_end().to_owned() }
    }
}

/// Where an event names keys.
#[derive(Deserialize)]
struct Places {
    events: Vec<PlacesOfEvent>,
}

#[derive(Deserialize)]
struct PlacesOfEvent {
    key: Option<Spanned<String>>,
    when: Option<Spanned<String>>,
}

impl Timeline {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`InvalidTimeline`]: which line and character, and what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, InvalidTimeline> {
        let wrong = |error: toml::de::Error| InvalidTimeline::at(text, error.span(), &plainly(error.message()));
        let timeline: Self = toml::from_str(text).map_err(wrong)?;
        if timeline.events.len() > MAX_EVENTS {
            let problem =
                format!("a timeline has {MAX_EVENTS} events at most, and these are {}", timeline.events.len());
            return Err(InvalidTimeline::at(text, None, &problem));
        }
        Ok(timeline)
    }

    /// The same for a rack, whose keys it may name.
    ///
    /// # Errors
    /// [`InvalidTimeline`]; a key that the rack does not have is one too.
    pub fn from_toml_for(text: &str, known: impl Fn(&KeyName) -> Result<(), Refusal>) -> Result<Self, InvalidTimeline> {
        let timeline = Self::from_toml(text)?;
        let Ok(places) = toml::from_str::<Places>(text) else { return Ok(timeline) };
        for (event, place) in timeline.events.iter().zip(&places.events) {
            for (key, place) in event.keys().into_iter().zip([&place.key, &place.when]) {
                if let Some(Err(unknown)) = key.map(&known) {
                    let place = place.as_ref().map(Spanned::span);
                    return Err(InvalidTimeline::at(text, place, &unknown.to_string()));
                }
            }
        }
        Ok(timeline)
    }
}
