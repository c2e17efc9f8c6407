//! The vocabulary of commands: what each is in JSON, `{"command":"touch","key":"a"}`, and the type of its answer.

use core::time::Duration;

use keyrig_rack::command::{Command, KeyState, RackState, Refusal, WaitFor};
use keyrig_rack::events::Event;
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{Answered, KeyName, Rack};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// A command to a running rack, with its answer.
pub trait Ask: Into<Request> {
    /// What a rack answers if it has carried it out.
    type Answer: DeserializeOwned;
}

/// List the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// How long is waited, unless a command says so, milliseconds: as long as a key waits for a touch.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;

fn default_timeout_ms() -> u64 {
    DEFAULT_TIMEOUT_MS
}

/// Touch a key that waits for it. With `wait` it need not do so yet: the answer comes when it did, and took the touch. Of several that
/// wait, each is one touch, in the order in which they came. Whoever asked and has gone touches nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Touch {
    /// The key.
    pub key: KeyName,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

/// Refuse for a key that waits for a touch. With `wait` as [`Touch`], and in one row with these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// The key.
    pub key: KeyName,
    /// Whether to wait until the key does.
    #[serde(default)]
    pub wait: bool,
    /// For how long, milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

/// Wait until a key waits for a touch, is plugged in, or is attached; answered at once if it is. All who wait for it are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The key.
    pub key: KeyName,
    /// What for.
    pub r#for: WaitFor,
    /// For how long, milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

/// Tell what happened behind an event; if nothing has, wait until something does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The number of the event; 0 is before the first.
    #[serde(default)]
    pub after: u64,
    /// For how long to wait, milliseconds.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// The most events in one answer.
pub const MAX_EVENTS: usize = 256;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList {
    /// The events, oldest first, at most [`MAX_EVENTS`]; none if nothing happened in the time. Ask again behind the last.
    pub events: Vec<Event>,
}

/// Pull a key out. Its host sees it go at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unplug {
    /// The key.
    pub key: KeyName,
}

/// Put a key back in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plug {
    /// The key.
    pub key: KeyName,
}

/// Pull a key out and put it back in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerCycle {
    /// The key.
    pub key: KeyName,
}

/// Put the finger over a key; without one, over the first that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finger {
    /// The key.
    pub key: Option<KeyName>,
}

/// Change what the finger does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTouchPolicy {
    /// The policy.
    pub policy: TouchPolicy,
}

/// Send a CTAP message to a key and await its answer, without CTAPHID and USB. A key that carries out a command for a host
/// answers `CTAP1_ERR_CHANNEL_BUSY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transact {
    /// The key.
    pub key: KeyName,
    /// The message: command byte and parameters, at most as long as CTAPHID carries; in hexadecimal.
    #[serde(with = "hex::serde")]
    pub message: Vec<u8>,
}

/// Send a CTAP1/U2F message (an APDU) to a key and await its answer, without CTAPHID and USB. A key never waits for a touch before it
/// answers one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactU2f {
    /// The key.
    pub key: KeyName,
    /// The message; in hexadecimal.
    #[serde(with = "hex::serde")]
    pub message: Vec<u8>,
}

/// What a key answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transacted {
    /// The key, after its answer.
    #[serde(flatten)]
    pub state: RackState,
    /// Whether it asked for a touch before it answered.
    #[serde(default)]
    pub asked_for_touch: bool,
    /// Status byte and what follows, or of U2F data and status word; in hexadecimal.
    #[serde(with = "hex::serde")]
    pub message: Vec<u8>,
}

/// Any command, as it comes over a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// [`List`].
    List(List),
    /// [`Touch`].
    Touch(Touch),
    /// [`Deny`].
    Deny(Deny),
    /// [`Wait`].
    Wait(Wait),
    /// [`Events`].
    Events(Events),
    /// [`Unplug`].
    Unplug(Unplug),
    /// [`Plug`].
    Plug(Plug),
    /// [`PowerCycle`].
    PowerCycle(PowerCycle),
    /// [`Finger`].
    Finger(Finger),
    /// [`SetTouchPolicy`].
    #[serde(rename = "touch-policy")]
    SetTouchPolicy(SetTouchPolicy),
    /// [`Transact`].
    Transact(Transact),
    /// [`TransactU2f`].
    TransactU2f(TransactU2f),
}

/// The answer to any command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a command that names a key that key, else all of them.
    State(RackState),
    /// To [`Transact`] and [`TransactU2f`].
    Transacted(Transacted),
    /// To [`Events`].
    Events(EventList),
}

macro_rules! answers {
    ($($command:ident => $answer:ty,)*) => {
        $(
            impl From<$command> for Request {
                fn from(command: $command) -> Self {
                    Self::$command(command)
                }
            }

            impl Ask for $command {
                type Answer = $answer;
            }
        )*
    };
}

answers! {
    List => RackState,
    Touch => RackState,
    Deny => RackState,
    Wait => RackState,
    Events => EventList,
    Unplug => RackState,
    Plug => RackState,
    PowerCycle => RackState,
    Finger => RackState,
    SetTouchPolicy => RackState,
    Transact => Transacted,
    TransactU2f => Transacted,
}

impl Request {
    /// How long the answer may take because it waits for something, and not for the rack.
    #[must_use]
    pub fn waits(&self) -> Duration {
        match self {
            Self::Touch(Touch { wait: true, timeout_ms, .. })
            | Self::Deny(Deny { wait: true, timeout_ms, .. })
            | Self::Wait(Wait { timeout_ms, .. })
            | Self::Events(Events { timeout_ms, .. }) => Duration::from_millis(*timeout_ms),
            // Twice as long as a key waits for a touch.
            Self::Transact(_) => Duration::from_secs(60),
            _ => Duration::ZERO,
        }
    }

    /// Carries it out. If `cancelled` completes while it waits, it is given up; while a key has a message of [`Transact`], the key is
    /// told to cancel as CTAPHID_CANCEL would, and its answer is awaited all the same. What waits for nothing is done. Dropped, it waits
    /// no more.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or the key was pulled out meanwhile.
    pub async fn carry_out(self, rack: &Rack, cancelled: impl Future<Output = ()>) -> Result<Answer, Refusal> {
        let within = self.waits();
        let command = match self {
            Self::List(List {}) => Command::List,
            Self::Touch(Touch { key, wait, .. }) => Command::Touch { key, wait },
            Self::Deny(Deny { key, wait, .. }) => Command::Deny { key, wait },
            Self::Wait(Wait { key, r#for: what, .. }) => Command::Wait { key, what },
            Self::Unplug(Unplug { key }) => Command::Unplug { key },
            Self::Plug(Plug { key }) => Command::Plug { key },
            Self::PowerCycle(PowerCycle { key }) => Command::PowerCycle { key },
            Self::Finger(Finger { key }) => Command::Finger { key },
            Self::SetTouchPolicy(SetTouchPolicy { policy }) => Command::TouchPolicy { policy },
            Self::Transact(Transact { key, message }) => {
                let answered = rack.transact(&key, message, cancelled).await?;
                return transacted(rack, &key, answered).await;
            }
            Self::TransactU2f(TransactU2f { key, message }) => {
                let answered = rack.transact_u2f(&key, message).await?;
                return transacted(rack, &key, answered).await;
            }
            Self::Events(Events { after, .. }) => {
                let events = tokio::select! {
                    biased;
                    events = rack.events().behind(after, MAX_EVENTS) => events,
                    () = cancelled => Vec::new(),
                    () = sleep(within) => Vec::new(),
                };
                return Ok(Answer::Events(EventList { events }));
            }
        };
        match waiting(&command) {
            Some((key, what)) => tokio::select! {
                biased;
                answer = rack.command(command) => answer,
                () = cancelled => Err(Refusal::GivenUp(key)),
                () = sleep(within) => Err(Refusal::TimedOut { key, what, within }),
            },
            None => rack.command(command).await,
        }
        .map(Answer::State)
    }
}

/// The answer, with the key after it.
async fn transacted(rack: &Rack, key: &KeyName, answered: Answered) -> Result<Answer, Refusal> {
    let mut state = rack.command(Command::List).await?;
    state.keys.retain(|KeyState { name, .. }| name == key);
    let Answered { message, asked_for_touch } = answered;
    Ok(Answer::Transacted(Transacted { state, asked_for_touch, message }))
}

/// What a command waits for, if it waits.
fn waiting(command: &Command) -> Option<(KeyName, WaitFor)> {
    match command {
        Command::Touch { key, wait: true } | Command::Deny { key, wait: true } => Some((key.clone(), WaitFor::Touch)),
        Command::Wait { key, what } => Some((key.clone(), *what)),
        _ => None,
    }
}
