//! Which events are deleted: those that are too old or too many, a few at a time, so that no change waits long for it.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use crate::limits::EventRetention;
use crate::store::{StoreError, milliseconds};

/// One in so many changes of the store deletes events.
const CHANGES: u32 = 128;

/// How many events it looks at.
const LOOKED_AT: usize = 1024;

/// The events of either sort: those that requests of nobody caused, and all others.
const SORTS: [bool; 2] = [true, false];

/// How far it has come.
#[derive(Debug)]
pub(crate) struct Sweep {
    retention: EventRetention,
    changes: u32,
    /// Of each sort, the event that was looked at last. What stays because it is of the latest of its account is not to be
    /// looked at for ever while others wait.
    reached: [i64; 2],
}

impl Sweep {
    pub(crate) fn new(retention: EventRetention) -> Self {
        Self { retention, changes: 0, reached: [0; 2] }
    }

    /// Whether it is time. The first time is at once.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.changes.is_multiple_of(CHANGES);
        self.changes = self.changes.wrapping_add(1);
        is_due
    }

    /// Deletes some of what need not be kept.
    pub(crate) fn run(&mut self, connection: &Connection, now: SystemTime) -> Result<(), StoreError> {
        let oldest = milliseconds(now.checked_sub(self.retention.age).unwrap_or(SystemTime::UNIX_EPOCH));
        connection.prepare_cached("INSERT INTO event_retention VALUES (1)")?.execute([])?;
        for (of_nobody, reached) in SORTS.into_iter().zip(&mut self.reached) {
            // The latest that is one too many.
            let excess: Option<i64> = connection
                .prepare_cached("SELECT id FROM events WHERE (actor = 'nobody') = ? ORDER BY id DESC LIMIT 1 OFFSET ?")?
                .query_row(params![of_nobody, self.retention.count], |row| row.get(0))
                .optional()?;
            let mut candidates = connection.prepare_cached(
                "SELECT id, time, user FROM events WHERE (actor = 'nobody') = ? AND id > ? ORDER BY id LIMIT ?",
            )?;
            let candidates = candidates.query_map(params![of_nobody, *reached, LOOKED_AT], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            let candidates: Vec<(i64, i64, Option<String>)> = candidates.collect::<Result<_, _>>()?;
            // Events are in the order of their time.
            let is_one = |(id, time, _): &(i64, i64, _)| excess.is_some_and(|excess| *id <= excess) || *time < oldest;
            let candidates: Vec<_> = candidates.into_iter().take_while(is_one).collect();
            *reached = match candidates.last() {
                Some((id, ..)) if candidates.len() == LOOKED_AT => *id,
                _ => 0,
            };
            for (id, _, user) in candidates {
                if !self.retention.is_of_the_latest(connection, of_nobody, id, user.as_deref())? {
                    connection.prepare_cached("DELETE FROM events WHERE id = ?")?.execute([id])?;
                }
            }
        }
        connection.prepare_cached("DELETE FROM event_retention")?.execute([])?;
        Ok(())
    }
}

impl EventRetention {
    fn is_of_the_latest(
        &self,
        connection: &Connection,
        of_nobody: bool,
        event: i64,
        user: Option<&str>,
    ) -> Result<bool, StoreError> {
        // Anybody can have events written down for names that nobody has.
        let Some((name, realm)) = user.and_then(|user| user.rsplit_once('@')) else {
            return Ok(false);
        };
        let mut is_account = connection.prepare_cached("SELECT 1 FROM users WHERE realm = ? AND name = ?")?;
        if !is_account.exists([realm, name])? {
            return Ok(false);
        }
        let later: usize = connection
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM events
                 WHERE user = ? AND (actor = 'nobody') = ? AND id > ? LIMIT ?)",
            )?
            .query_row(params![user, of_nobody, event, self.of_account], |row| row.get(0))?;
        Ok(later < self.of_account)
    }
}

#[cfg(test)]
mod tests;
