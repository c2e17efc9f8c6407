//! `keyrig rp realm sync`: users and groups as a realm's directory has them, as `pveum realm sync` does it.

use std::time::SystemTime;

use clap::Args;
use keyrig_relying_party::{By, RealmError, RemoveVanished, SyncScope, SyncWish};

use super::super::state::State;
use super::super::values::one_or_zero;
use crate::failure::Failure;
use crate::output::print;

#[derive(Args)]
#[command(after_help = "\
Users whom the directory has no more, or has disabled, are out at once, and
their sessions are over, whatever is asked for. What is not said is taken from
the realm's --sync-defaults-options.

Examples:
  keyrig rp realm sync corp --scope both --dry-run 1       says what it would do
  keyrig rp realm sync corp --scope both --remove-vanished \"acl;entry\"
                                       deletes who is gone, with all factors")]
pub(super) struct Sync {
    /// The realm
    realm: String,
    /// What is synced: users, groups or both
    #[arg(long, value_parser = scope)]
    scope: Option<SyncScope>,
    /// What is taken away of who is gone: none, or a list of acl, entry and properties with semicolons between them
    #[arg(long, value_name = "LIST", value_parser = remove_vanished)]
    remove_vanished: Option<RemoveVanished>,
    /// Whether new users can log in: 1 or 0
    #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = one_or_zero)]
    enable_new: Option<bool>,
    /// Whether to change nothing, and say what would be: 1 or 0
    #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = one_or_zero)]
    dry_run: Option<bool>,
    #[command(flatten)]
    state: State,
}

fn scope(text: &str) -> Result<SyncScope, &'static str> {
    text.parse()
}

fn remove_vanished(text: &str) -> Result<RemoveVanished, &'static str> {
    text.parse()
}

pub(super) async fn run(sync: Sync) -> Result<(), Failure> {
    let store = sync.state.open()?;
    let settings = store.directory_of(&sync.realm)?;
    let wish = SyncWish {
        scope: sync.scope,
        remove_vanished: sync.remove_vanished,
        enable_new: sync.enable_new,
        dry_run: sync.dry_run.unwrap_or(false),
    };
    let options = wish.completed_by(&settings).map_err(|error| match error {
        RealmError::ScopeMissing => Failure::Usage(
            "say what is synced: --scope users, groups or both, or in --sync-defaults-options".to_owned(),
        ),
        other => other.into(),
    })?;
    let fetched = store.fetch_directory(&sync.realm).await?;
    let report = store.sync_realm(&sync.realm, &fetched, options, &By::command_line(SystemTime::now()))?;
    report.lines().try_for_each(print)
}
