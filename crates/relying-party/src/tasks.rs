//! What goes on after the call that began it was answered, and what became of it: as Proxmox VE's tasks, by a UPID.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::printable::printable;
use crate::store::{StoreError, seconds};
use crate::user_name::UserName;

/// How many tasks are remembered.
const MAX_TASKS: u32 = 100;

/// How many bytes of a task's log are kept.
const MAX_LOG_BYTES: usize = 1024 * 1024;

/// A task that has not ended by now never will: the process that did it is gone. A sync takes a quarter of an hour at most.
const MAX_TIME: Duration = Duration::from_secs(20 * 60);

/// What a task is called: `UPID:NODE:PROCESS:NUMBER:BEGUN:KIND:ABOUT:USER:`, with eight hexadecimal digits for each number. What Proxmox VE
/// tells its processes apart by is here the task's own number, as one process does many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upid {
    pub(crate) node: String,
    pub(crate) process: u32,
    pub(crate) number: u32,
    /// Seconds since 1970.
    pub(crate) begun: u32,
    pub(crate) kind: String,
    pub(crate) about: String,
    /// `NAME@REALM`, or `NAME@REALM!TOKEN`.
    pub(crate) user: String,
}

/// A text is no UPID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUpid;

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, process, number, begun, kind, about, user } = self;
        write!(f, "UPID:{node}:{process:08X}:{number:08X}:{begun:08X}:{kind}:{about}:{user}:")
    }
}

impl FromStr for Upid {
    type Err = InvalidUpid;

    fn from_str(text: &str) -> Result<Self, InvalidUpid> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["UPID", node, process, number, begun, kind, about, user, ""] = *parts else { return Err(InvalidUpid) };
        let read = |digits: &str| {
            let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or(InvalidUpid)
        };
        let is_part = |part: &str| !part.contains(|character: char| character.is_whitespace() || character == '/');
        if !is_node(node) || kind.is_empty() || user.is_empty() || ![kind, about, user].into_iter().all(is_part) {
            return Err(InvalidUpid);
        }
        Ok(Self {
            node: node.to_owned(),
            process: read(process)?,
            number: read(number)?,
            begun: read(begun)?,
            kind: kind.to_owned(),
            about: about.to_owned(),
            user: user.to_owned(),
        })
    }
}

/// Whether a node can have this name: letters, digits, and dashes within.
pub(crate) fn is_node(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_of_name) && !name.starts_with('-') && !name.ends_with('-')
}

impl Upid {
    /// Whose task it is, and the token that it was begun by.
    pub(crate) fn owner(&self) -> (&str, Option<&str>) {
        self.user.split_once('!').map_or((&self.user, None), |(user, token)| (user, Some(token)))
    }

    /// Whether it is this user's.
    pub(crate) fn is_of(&self, user: &UserName) -> bool {
        self.owner().0 == user.to_string()
    }
}

/// What is to be begun.
#[derive(Clone, Debug)]
pub(crate) struct NewTask {
    /// The node that was asked.
    pub(crate) node: String,
    /// What it does, as Proxmox VE calls it.
    pub(crate) kind: &'static str,
    /// What it does it to.
    pub(crate) about: String,
    /// As in [`Upid::user`].
    pub(crate) user: String,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// `OK`, or what went wrong; `None` while it goes on.
    pub(crate) outcome: Option<String>,
    /// A line each.
    pub(crate) log: Vec<String>,
}

/// Begins a task, whose log has one line as yet. The oldest of too many is forgotten.
pub(crate) fn begin(
    connection: &Connection,
    task: NewTask,
    first_line: &str,
    now: SystemTime,
) -> Result<Upid, StoreError> {
    let NewTask { node, kind, about, user } = task;
    let (process, begun) = (std::process::id(), u32::try_from(seconds(now)).unwrap_or(u32::MAX));
    let number: u32 = connection
        .prepare_cached(
            "INSERT INTO tasks (node, process, begun, kind, about, user, log) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
        )?
        .query_row(params![node, process, begun, kind, about, user, printable(first_line)], |row| row.get(0))?;
    let is_over = number.saturating_sub(MAX_TASKS);
    connection.prepare_cached("DELETE FROM tasks WHERE number <= ?")?.execute([is_over])?;
    Ok(Upid { node, process, number, begun, kind: kind.to_owned(), about, user })
}

/// Ends a task: `Err` says what went wrong. More lines than are kept are counted.
pub(crate) fn end(
    connection: &Connection,
    number: u32,
    lines: impl Iterator<Item = String>,
    outcome: Result<(), &str>,
) -> Result<(), StoreError> {
    let (mut log, mut left_out) = (String::new(), 0_usize);
    for line in lines {
        let line = printable(&line);
        if log.len() + line.len() < MAX_LOG_BYTES {
            log.push('\n');
            log.push_str(&line);
        } else {
            left_out += 1;
        }
    }
    // Writing to a string does not fail.
    if left_out > 0 {
        let _ = write!(log, "\n{left_out} more lines");
    }
    let outcome = outcome.map_err(printable);
    let _ = match &outcome {
        Ok(()) => write!(log, "\nTASK OK"),
        Err(error) => write!(log, "\nTASK ERROR: {error}"),
    };
    let outcome = outcome.map_or_else(|error| error.into_owned(), |()| "OK".to_owned());
    connection
        .prepare_cached("UPDATE tasks SET outcome = ?, log = log || ? WHERE number = ?")?
        .execute(params![outcome, log, number])?;
    Ok(())
}

/// The task of that name, if it is remembered.
pub(crate) fn find(connection: &Connection, upid: &Upid, now: SystemTime) -> Result<Option<Task>, StoreError> {
    let read = |row: &Row<'_>| {
        let found = Upid {
            node: row.get(0)?,
            process: row.get(1)?,
            number: upid.number,
            begun: row.get(2)?,
            kind: row.get(3)?,
            about: row.get(4)?,
            user: row.get(5)?,
        };
        Ok((found, row.get::<_, Option<String>>(6)?, row.get::<_, String>(7)?))
    };
    let mut statement = connection
        .prepare_cached("SELECT node, process, begun, kind, about, user, outcome, log FROM tasks WHERE number = ?")?;
    let Some((_, outcome, log)) = statement.query_row([upid.number], read).optional()?.filter(|found| found.0 == *upid)
    else {
        return Ok(None);
    };
    let is_late = seconds(now).saturating_sub(upid.begun.into()) > MAX_TIME.as_secs();
    // Proxmox VE's words for a task without a last line.
    let outcome = outcome.or_else(|| is_late.then(|| "unexpected status".to_owned()));
    Ok(Some(Task { outcome, log: log.lines().map(str::to_owned).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn new_task() -> NewTask {
        let (node, about, user) = ("pve1".to_owned(), "corp".to_owned(), "root@pam!ci".to_owned());
        NewTask { node, kind: "auth-realm-sync", about, user }
    }

    /// The UPID of Proxmox VE's own documentation of its API, and what is none by its rule.
    #[test]
    fn a_upid_is_read_and_written_as_proxmox_ve_does() {
        let text = "UPID:pve4:00002F9D:000DC5EA:57500527:vzcreate:602:root@pam:";
        let upid: Upid = text.parse().unwrap();
        assert_eq!((upid.node.as_str(), upid.process, upid.number), ("pve4", 0x2F9D, 0xDC5EA));
        assert_eq!((upid.begun, upid.kind.as_str(), upid.about.as_str()), (0x5750_0527, "vzcreate", "602"));
        assert_eq!(upid.owner(), ("root@pam", None));
        assert_eq!(upid.to_string(), text);
        for wrong in [
            "",
            "UPID:pve4:00002F9D:000DC5EA:57500527:vzcreate:602:root@pam",
            "UPID:-pve4:00002F9D:000DC5EA:57500527:vzcreate:602:root@pam:",
            "UPID:pve4:2F9D:000DC5EA:57500527:vzcreate:602:root@pam:",
            "UPID:pve4:+0002F9D:000DC5EA:57500527:vzcreate:602:root@pam:",
            "UPID:pve4:00002F9D:000DC5EA:57500527::602:root@pam:",
            "UPID:pve4:00002F9D:000DC5EA:57500527:vzcreate:6/2:root@pam:",
            "UPID:pve4:00002F9D:000DC5EA:57500527:vzcreate:602:root @pam:",
            "UPID:pve4:00002F9D:000DC5EA:57500527:vzcreate:602:root@pam:more:",
        ] {
            assert_eq!(wrong.parse::<Upid>(), Err(InvalidUpid), "{wrong}");
        }
    }

    #[test]
    fn a_task_whose_process_is_gone_ends_and_the_oldest_are_forgotten() {
        let (store, now) = (Store::in_memory().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let begun = |now| store.write(|transaction| begin(transaction, new_task(), "begun", now)).unwrap();
        let found = |upid: &Upid, now| store.read(|transaction| find(transaction, upid, now)).unwrap();
        let first = begun(now);
        assert_eq!(first.owner(), ("root@pam", Some("ci")));
        assert_eq!(found(&first, now + MAX_TIME).unwrap().outcome, None);
        let late = now + MAX_TIME + Duration::from_secs(1);
        assert_eq!(found(&first, late).unwrap().outcome.as_deref(), Some("unexpected status"));
        // Another one of this number is not this one.
        assert_eq!(found(&Upid { user: "alice@pve".to_owned(), ..first.clone() }, now), None);
        for _ in 1..MAX_TASKS {
            begun(now);
        }
        assert!(found(&first, now).is_some());
        begun(now);
        assert_eq!(found(&first, now), None);
    }

    #[test]
    fn a_log_is_bounded_and_each_of_its_lines_is_one() {
        let (store, now) = (Store::in_memory().unwrap(), SystemTime::UNIX_EPOCH);
        let upid = store.write(|transaction| begin(transaction, new_task(), "begun", now)).unwrap();
        let lines = ["a\nTASK OK".to_owned()].into_iter().chain((0..40).map(|_| "x".repeat(MAX_LOG_BYTES / 32)));
        store.write(|transaction| end(transaction, upid.number, lines, Err("b\nc"))).unwrap();
        let Task { outcome, log } = store.read(|transaction| find(transaction, &upid, now)).unwrap().unwrap();
        assert_eq!(outcome.as_deref(), Some(r"b\u{a}c"));
        assert_eq!((log[0].as_str(), log[1].as_str()), ("begun", r"a\u{a}TASK OK"));
        assert_eq!(log[log.len() - 2..], ["9 more lines".to_owned(), r"TASK ERROR: b\u{a}c".to_owned()]);
    }
}
