//! The vocabulary of commands: what each is in JSON, `{"command":"touch","key":"a"}`, and the type of its answer.

use keyrig_rack::command::{Command, KeyState, RackState, Refusal};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{KeyName, Rack};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A command to a running rack, with its answer.
pub trait Ask: Into<Request> {
    /// What a rack answers if it has carried it out.
    type Answer: DeserializeOwned;
}

/// List the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {}

/// Touch a key that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Touch {
    /// The key.
    pub key: KeyName,
}

/// Refuse for a key that waits for a touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// The key.
    pub key: KeyName,
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

/// What a key answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transacted {
    /// The key, after its answer.
    #[serde(flatten)]
    pub state: RackState,
    /// Status byte and what follows; in hexadecimal.
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
}

/// The answer to any command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a command that names a key that key, else all of them.
    State(RackState),
    /// To [`Transact`].
    Transacted(Transacted),
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
    Unplug => RackState,
    Plug => RackState,
    PowerCycle => RackState,
    Finger => RackState,
    SetTouchPolicy => RackState,
    Transact => Transacted,
}

impl Request {
    /// Carries it out; if `cancelled` completes while a key still has a message of [`Transact`], the key is told to cancel as
    /// CTAPHID_CANCEL would, and its answer is awaited all the same.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done, or the key was pulled out meanwhile.
    pub async fn carry_out(self, rack: &Rack, cancelled: impl Future<Output = ()>) -> Result<Answer, Refusal> {
        let command = match self {
            Self::List(List {}) => Command::List,
            Self::Touch(Touch { key }) => Command::Touch { key },
            Self::Deny(Deny { key }) => Command::Deny { key },
            Self::Unplug(Unplug { key }) => Command::Unplug { key },
            Self::Plug(Plug { key }) => Command::Plug { key },
            Self::PowerCycle(PowerCycle { key }) => Command::PowerCycle { key },
            Self::Finger(Finger { key }) => Command::Finger { key },
            Self::SetTouchPolicy(SetTouchPolicy { policy }) => Command::TouchPolicy { policy },
            Self::Transact(Transact { key, message }) => {
                let message = rack.transact(&key, message, cancelled).await?;
                let mut state = rack.command(Command::List).await?;
                state.keys.retain(|KeyState { name, .. }| *name == key);
                return Ok(Answer::Transacted(Transacted { state, message }));
            }
        };
        rack.command(command).await.map(Answer::State)
    }
}
