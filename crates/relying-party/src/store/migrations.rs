//! The tables, as a sequence of steps from an empty database to today's. Steps are only ever added.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// `krrp`: marks the file as ours (SQLite's `application_id`).
const APPLICATION_ID: i32 = 0x6b72_7270;

const STEPS: [&str; 11] = [
    include_str!("001_accounts.sql"),
    include_str!("002_passkeys.sql"),
    include_str!("003_limits.sql"),
    include_str!("004_site.sql"),
    include_str!("005_proxmox.sql"),
    include_str!("006_sources.sql"),
    include_str!("007_administration.sql"),
    include_str!("008_directories.sql"),
    include_str!("009_tasks.sql"),
    include_str!("010_roles.sql"),
    include_str!("011_privileges.sql"),
];

/// The format of a database of ours.
fn format(connection: &Connection, file: &Path) -> Result<u32, StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = (found, application, tables) == (0, 0, 0);
    if !is_new && application != APPLICATION_ID {
        return Err(StoreError::NotOurs { file: file.to_owned() });
    }
    let known = known();
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(found) }
}

fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// Whether a database has today's format.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    match format(connection, file)? {
        found if found == known() => Ok(()),
        found => Err(StoreError::OlderReadOnly { found, known: known() }),
    }
}

/// Brings a database to today's format. Several processes may do so at once: the first does it, the others find it done. One
/// that has it waits for nobody who writes.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), StoreError> {
    if format(connection, file)? == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&transaction, file)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known())?;
    transaction.commit()?;
    Ok(())
}
