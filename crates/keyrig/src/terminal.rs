//! A terminal in front of a running rack: a line for what happens, and keys of the keyboard that touch.

mod keyboard;
mod told;

use keyrig_rack::Rack;
use keyrig_rack::command::{Command, KeyState, Refusal};

pub(crate) use self::keyboard::Keyboard;
pub(crate) use self::told::tell;
use crate::failure::Failure;
use crate::http::Http;
use crate::output::Lines;

/// What is said at the beginning, and behind `?`.
pub(crate) const HELP: &str = "\
Enter touches the key that blinks, 1 to 9 the first to the ninth key; d denies; o opens the panel again; ? tells this.";

/// Does what is typed, until nobody can type any more.
pub(crate) async fn obey(mut keyboard: Keyboard, rack: &Rack, http: Option<&Http>, out: &Lines) {
    while let Some(pressed) = keyboard.pressed().await {
        let done = match pressed {
            b'\r' | b'\n' | b' ' => of_one_that_waits(rack, "touches", touch).await,
            b'd' => of_one_that_waits(rack, "denies", |key| Command::Deny { key: key.name, wait: false }).await,
            digit @ b'1'..=b'9' => of_number(rack, usize::from(digit - b'1')).await,
            b'o' => open_panel(http, out),
            b'?' => help(rack, out).await,
            _ => continue,
        };
        if let Err(refused) = done {
            out.note(refused);
        }
    }
}

fn touch(key: KeyState) -> Command {
    match key.for_verification {
        true => Command::Verify { key: key.name, miss: false, wait: false },
        false => Command::Touch { key: key.name, wait: false },
    }
}

async fn keys(rack: &Rack) -> Result<Vec<KeyState>, String> {
    rack.command(Command::List).await.map(|state| state.keys).map_err(|refused| refused.to_string())
}

async fn carry_out(rack: &Rack, command: Command) -> Result<(), String> {
    rack.command(command).await.map(drop).map_err(|refused: Refusal| refused.to_string())
}

/// Of several that wait, nobody guesses which is meant.
async fn of_one_that_waits(rack: &Rack, does: &str, command: impl Fn(KeyState) -> Command) -> Result<(), String> {
    let keys = keys(rack).await?;
    let mut waiting = keys.iter().enumerate().filter(|(_, key)| key.waiting_for.is_some());
    match (waiting.next(), waiting.next()) {
        (None, _) => Err("no key waits".to_owned()),
        (Some((_, key)), None) => carry_out(rack, command(key.clone())).await,
        (Some(_), Some(_)) => {
            let waiting = keys.iter().enumerate().filter(|(_, key)| key.waiting_for.is_some());
            let listed: Vec<_> = waiting.map(|(at, key)| format!("{} {}", at + 1, key.name)).collect();
            let how = if does == "touches" { "press its number" } else { "say which with 'keyrig key deny NAME'" };
            Err(format!("several keys wait ({}): {how}", listed.join(", ")))
        }
    }
}

async fn of_number(rack: &Rack, at: usize) -> Result<(), String> {
    let keys = keys(rack).await?;
    let key = keys.into_iter().nth(at).ok_or_else(|| format!("there is no key {}: ? lists them", at + 1))?;
    carry_out(rack, touch(key)).await
}

fn open_panel(http: Option<&Http>, out: &Lines) -> Result<(), String> {
    let http = http.ok_or("there is no panel without --http")?;
    let url = http.panel().map_err(|error: Failure| error.to_string())?;
    out.print(format!("panel    {url}"));
    Ok(())
}

async fn help(rack: &Rack, out: &Lines) -> Result<(), String> {
    for (at, key) in keys(rack).await?.iter().enumerate() {
        let state = match &key.waiting_for {
            Some(command) => format!("waits ({command})"),
            None if key.plugged => "waits for nothing".to_owned(),
            None => "unplugged".to_owned(),
        };
        out.print(format!("{:>3}      {}, a {}: {state}", at + 1, key.name, key.profile));
    }
    out.print(HELP);
    Ok(())
}
