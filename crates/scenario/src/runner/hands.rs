//! Who does to keys what a user does: the finger and the hands of a rack, or a person's.

use core::time::Duration;

use keyrig_rack::command::{Command, Refusal, WaitFor};
use keyrig_rack::finger::TouchPolicy;
use keyrig_rack::{KeyName, Rack};
use tokio::time::timeout;

use super::error::RunError;
#[cfg(target_os = "linux")]
use super::hid::{Finger, Hid};
use super::time::RunTime;
use crate::language::Act;

/// How long the finger waits for keys that are to blink.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who does it.
#[derive(Clone)]
pub(super) enum Hands {
    Rack(Rack),
    #[cfg(target_os = "linux")]
    Person(Hid),
}

impl Hands {
    /// Puts the finger over a key, which it touches at once or not yet; over none of those that wait if it is `None`, where `gives_up` says
    /// whether they are left alone for good.
    pub(super) async fn put_finger(&self, over: Option<&str>, at_once: bool, gives_up: bool) -> Result<(), RunError> {
        match self {
            Self::Rack(rack) => {
                let _ = gives_up;
                let policy = if over.is_some() && at_once { TouchPolicy::Auto } else { TouchPolicy::Manual };
                rack.command(Command::TouchPolicy { policy }).await?;
                if let Some(name) = over {
                    rack.command(Command::Finger { key: Some(named(name)?) }).await?;
                }
            }
            #[cfg(target_os = "linux")]
            Self::Person(hid) => hid.put_finger(match over {
                Some(name) if at_once => Finger::Over(name.to_owned()),
                None if gives_up => Finger::Away,
                _ => Finger::AsAsked,
            }),
        }
        Ok(())
    }

    /// Waits until all of these keys wait for a touch: where several blink, which of them is asked first, and how much later the others
    /// are, is a matter of what carries the messages.
    ///
    /// One that never waits holds up nobody for long: it is told by what blinked.
    pub(super) async fn wait_for_all(&self, keys: &[&str]) -> Result<(), RunError> {
        let all = async {
            for key in keys {
                self.wait_for(key).await?;
            }
            Ok(())
        };
        timeout(PATIENCE, all).await.unwrap_or(Ok(()))
    }

    /// Waits until a key waits for a touch.
    pub(super) async fn wait_for(&self, key: &str) -> Result<(), RunError> {
        match self {
            Self::Rack(rack) => {
                rack.command(Command::Wait { key: named(key)?, what: WaitFor::Touch }).await?;
            }
            #[cfg(target_os = "linux")]
            Self::Person(hid) => hid.wait_for(key).await,
        }
        Ok(())
    }

    /// Does something while keys wait.
    pub(super) async fn perform(&self, time: &RunTime, act: &Act) -> Result<(), RunError> {
        if let Act::Advance(delay) = act {
            time.advance(Duration::from(*delay));
            return Ok(());
        }
        match self {
            Self::Rack(rack) => by_rack(rack, act).await,
            #[cfg(target_os = "linux")]
            Self::Person(hid) => by_person(hid, act).await,
        }
    }
}

async fn by_rack(rack: &Rack, act: &Act) -> Result<(), RunError> {
    let command = match act {
        Act::Touch(key) => Command::Touch { key: named(key)?, wait: false },
        Act::Deny(key) => Command::Deny { key: named(key)?, wait: false },
        Act::Miss(key) => Command::Verify { key: named(key)?, miss: true, wait: false },
        Act::Unplug(key) => Command::Unplug { key: named(key)? },
        Act::PowerCycle(key) => Command::PowerCycle { key: named(key)? },
        Act::Plug(key) => Command::Plug { key: named(key)? },
        Act::Advance(_) => return Ok(()),
    };
    rack.command(command).await.map(drop).map_err(|refusal: Refusal| refusal.into())
}

#[cfg(target_os = "linux")]
async fn by_person(hid: &Hid, act: &Act) -> Result<(), RunError> {
    match act {
        Act::Touch(key) => hid.touch(key),
        Act::Miss(key) => hid.touch_as_somebody_else(key),
        Act::Unplug(key) => hid.take_out(key).await?,
        Act::Plug(key) => hid.insert(key).await?,
        Act::PowerCycle(key) => {
            hid.take_out(key).await?;
            hid.insert(key).await?;
        }
        Act::Deny(key) => return Err(RunError::Cannot(format!("key {key} has no way to refuse"))),
        Act::Advance(_) => {}
    }
    Ok(())
}

/// The name of a key, which was looked at when the file was read.
pub(super) fn named(name: &str) -> Result<KeyName, RunError> {
    name.parse::<KeyName>().map_err(|error| RunError::Cannot(error.to_string()))
}
