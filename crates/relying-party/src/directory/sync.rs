//! Having the store be what a directory has: users, their standing, and groups.
//!
//! A user whom the directory has no more, or has disabled, is out at once, whatever else is asked for: sessions end, and tokens for programs
//! are none. Nothing that is taken away can come back with less: who is deleted and comes back is another user, without factors, and
//! is asked to enrol where the realm requires it.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::fetch::{Fetched, FetchedGroup, FetchedUser};
use super::realm;
use super::settings::{DirectorySettings, RemoveVanished, SyncScope};
use crate::audit_log::{self, By, EventKind};
use crate::groups;
use crate::random;
use crate::realms::RealmError;
use crate::sessions;
use crate::store::{Store, StoreError, Transaction, milliseconds, part};
use crate::user_name::{UserId, UserName};
use crate::users::{self, Role, Standing, User, UserError};

/// What somebody wants of a sync; what is not said is as the realm has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncWish {
    /// Users, groups, or both.
    pub scope: Option<SyncScope>,
    /// What is taken away.
    pub remove_vanished: Option<RemoveVanished>,
    /// Whether new users can log in.
    pub enable_new: Option<bool>,
    /// Whether nothing is done, but said what would be.
    pub dry_run: bool,
}

impl SyncWish {
    /// The whole of it.
    ///
    /// # Errors
    /// [`RealmError::ScopeMissing`] if neither says what is synced: there is no default.
    pub fn completed_by(self, settings: &DirectorySettings) -> Result<SyncOptions, RealmError> {
        Ok(SyncOptions {
            scope: self.scope.or(settings.sync_scope).ok_or(RealmError::ScopeMissing)?,
            remove_vanished: self.remove_vanished.unwrap_or(settings.sync_remove_vanished),
            enable_new: self.enable_new.unwrap_or(settings.sync_enable_new),
            dry_run: self.dry_run,
        })
    }
}

/// What is to be done of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// Users, groups, or both.
    pub scope: SyncScope,
    /// What is taken away.
    pub remove_vanished: RemoveVanished,
    /// Whether new users can log in.
    pub enable_new: bool,
    /// Whether nothing is done, but said what would be.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncChange {
    /// A user is new.
    UserAdded,
    /// What is known of a user has changed.
    UserChanged,
    /// The directory has disabled a user: out.
    UserDisabled,
    /// The directory has a user no more: out.
    UserVanished,
    /// A user who was out is back.
    UserReturned,
    /// A user was deleted, with all factors.
    UserDeleted,
    /// A role of a user's own was taken away.
    UserRoleRemoved,
    /// A group is new.
    GroupAdded,
    /// A group has other members.
    GroupChanged,
    /// The directory has a group no more: it has no members of this realm.
    GroupVanished,
    /// A group was deleted.
    GroupDeleted,
    /// A group's role was taken away.
    GroupRoleRemoved,
}

impl SyncChange {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::UserAdded => "added the user",
            Self::UserChanged => "changed the user",
            Self::UserDisabled => "disabled in the directory, out at once: the user",
            Self::UserVanished => "gone from the directory, out at once: the user",
            Self::UserReturned => "back in the directory: the user",
            Self::UserDeleted => "deleted the user",
            Self::UserRoleRemoved => "took the role of the user",
            Self::GroupAdded => "added the group",
            Self::GroupChanged => "changed the members of the group",
            Self::GroupVanished => "gone from the directory: the group",
            Self::GroupDeleted => "deleted the group",
            Self::GroupRoleRemoved => "took the role of the group",
        }
    }
}

/// What a sync came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// What was done, and to which user or group.
    pub changes: Vec<(SyncChange, String)>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// How many users the directory has.
    pub users: usize,
    /// How many groups it has.
    pub groups: usize,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

impl SyncReport {
    /// All of it for people, a line each.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let some = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let would = if self.dry_run { "; this was a dry run, nothing was changed" } else { "" };
        let whole = format!(
            "the directory has {} and {}; {}{would}",
            some(self.users, "user"),
            some(self.groups, "group"),
            some(self.changes.len(), "change")
        );
        let changes = self.changes.iter().map(|(change, name)| format!("{} {name}", change.words()));
        changes.chain(self.notes.iter().map(|note| format!("note: {note}"))).chain([whole])
    }
}

enum Undone {
    DryRun(SyncReport),
    Failed(RealmError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Store {
    /// Has the store be what was fetched of a realm's directory: all of it or, if it fails, nothing.
    ///
    /// # Errors
    /// [`RealmError`] if the realm is none of a directory, or the directory has nobody, which nobody can have meant.
    pub fn sync_realm(
        &self,
        realm: &str,
        fetched: &Fetched,
        options: SyncOptions,
        by: &By,
    ) -> Result<SyncReport, RealmError> {
        self.write(|transaction| sync(transaction, realm, fetched, options, by))
    }
}

/// The same within a transaction, of which a dry run leaves nothing.
pub(crate) fn sync(
    transaction: &Transaction<'_>,
    realm: &str,
    fetched: &Fetched,
    options: SyncOptions,
    by: &By,
) -> Result<SyncReport, RealmError> {
    let synced = part(transaction, || {
        let report = sync_all(transaction, realm, fetched, options, by).map_err(Undone::Failed)?;
        if options.dry_run { Err(Undone::DryRun(report)) } else { Ok(report) }
    });
    match synced {
        Ok(report) | Err(Undone::DryRun(report)) => Ok(report),
        Err(Undone::Failed(error)) => Err(error),
    }
}

fn sync_all(
    transaction: &Transaction<'_>,
    realm: &str,
    fetched: &Fetched,
    options: SyncOptions,
    by: &By,
) -> Result<SyncReport, RealmError> {
    realm::find(transaction, realm)?.ok_or_else(|| RealmError::NotADirectory(realm.to_owned()))?;
    let mut report = SyncReport {
        notes: fetched.notes.clone(),
        users: fetched.users.len(),
        groups: fetched.groups.len(),
        dry_run: options.dry_run,
        ..SyncReport::default()
    };
    let had = groups::administered(transaction, by.now)?;
    if options.scope != SyncScope::Groups {
        sync_users(transaction, realm, &fetched.users, options, by, &mut report)?;
    }
    if options.scope != SyncScope::Users {
        sync_groups(transaction, realm, &fetched.groups, options.remove_vanished, &mut report)?;
    }
    if groups::administered(transaction, by.now)? < had {
        report.notes.push("there is no administrator left who can log in: 'keyrig rp user add NAME@pam --role administrator' makes one".to_owned());
    }
    let mut counts = HashMap::<SyncChange, usize>::new();
    for (change, _) in &report.changes {
        *counts.entry(*change).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort();
    let counts: Vec<_> = counts.iter().map(|(change, count)| format!("{} {count}", change.words())).collect();
    let done = if counts.is_empty() { "nothing changed".to_owned() } else { counts.join(", ") };
    audit_log::record(transaction, by, EventKind::RealmSynced, "", &format!("realm {realm}: {done}"))?;
    Ok(report)
}

fn sync_users(
    transaction: &Transaction<'_>,
    realm: &str,
    fetched: &[FetchedUser],
    options: SyncOptions,
    by: &By,
    report: &mut SyncReport,
) -> Result<(), RealmError> {
    let mut stored: HashMap<UserName, User> =
        users::of_realm(transaction, realm)?.into_iter().map(|user| (user.name.clone(), user)).collect();
    if fetched.is_empty() && !stored.is_empty() {
        // A mistake in base_dn or filter, or a right that was taken away: it would throw everybody out.
        return Err(RealmError::NobodyFound { realm: realm.to_owned(), users: stored.len() });
    }
    for FetchedUser { name, is_disabled, properties } in fetched {
        let standing = is_disabled.then_some(Standing::Disabled);
        let Some(user) = stored.remove(name) else {
            add(transaction, name, options.enable_new, standing, properties, by)?;
            report.changes.push((SyncChange::UserAdded, name.to_string()));
            continue;
        };
        if change_properties(transaction, &user, properties, options.remove_vanished.properties)? {
            report.changes.push((SyncChange::UserChanged, name.to_string()));
        }
        if user.standing != standing {
            let change = if *is_disabled { SyncChange::UserDisabled } else { SyncChange::UserReturned };
            change_standing(transaction, &user, standing, change, by)?;
            report.changes.push((change, name.to_string()));
        }
    }
    let mut vanished: Vec<User> = stored.into_values().collect();
    vanished.sort_by(|one, other| one.name.cmp(&other.name));
    for user in vanished {
        let name = user.name.to_string();
        if user.standing != Some(Standing::Vanished) {
            change_standing(transaction, &user, Some(Standing::Vanished), SyncChange::UserVanished, by)?;
            report.changes.push((SyncChange::UserVanished, name.clone()));
        }
        if options.remove_vanished.properties && change_properties(transaction, &user, &[const { None }; 4], true)? {
            report.changes.push((SyncChange::UserChanged, name.clone()));
        }
        if options.remove_vanished.acl && take_roles(transaction, &user)? {
            report.changes.push((SyncChange::UserRoleRemoved, name.clone()));
        }
        if options.remove_vanished.entry {
            match part(transaction, || users::delete(transaction, &user.name, by)) {
                Ok(()) => report.changes.push((SyncChange::UserDeleted, name)),
                Err(UserError::Store(error)) => return Err(error.into()),
                Err(error) => report.notes.push(format!("{name} was not deleted: {error}")),
            }
        }
    }
    Ok(())
}

fn add(
    transaction: &Transaction<'_>,
    name: &UserName,
    is_enabled: bool,
    standing: Option<Standing>,
    [comment, email, firstname, lastname]: &[Option<String>; 4],
    by: &By,
) -> Result<(), StoreError> {
    let text = |property: &Option<String>| property.clone().unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT INTO users (name, realm, handle, role, enabled, created, comment, email, firstname, lastname, standing)
             VALUES (?, ?, ?, 'user', ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            name.name(),
            name.realm(),
            random::bytes::<16>(transaction.random),
            is_enabled,
            milliseconds(by.now),
            text(comment),
            text(email),
            text(firstname),
            text(lastname),
            standing
        ])?;
    Ok(())
}

/// Whether anything changed. What the directory has not stays, unless it is to be taken away.
fn change_properties(
    connection: &Connection,
    user: &User,
    properties: &[Option<String>; 4],
    takes_away: bool,
) -> Result<bool, StoreError> {
    let stored = [&user.comment, &user.email, &user.firstname, &user.lastname];
    let mut new = properties.iter().zip(stored).map(|(property, stored)| match property {
        Some(property) => property.clone(),
        None if takes_away => String::new(),
        None => stored.clone(),
    });
    let new: [String; 4] = std::array::from_fn(|_| new.next().unwrap_or_default());
    if new.iter().zip(stored).all(|(new, stored)| new == stored) {
        return Ok(false);
    }
    let [comment, email, firstname, lastname] = new;
    connection
        .prepare_cached("UPDATE users SET comment = ?, email = ?, firstname = ?, lastname = ? WHERE id = ?")?
        .execute(params![comment, email, firstname, lastname, user.id])?;
    Ok(true)
}

fn change_standing(
    connection: &Connection,
    user: &User,
    standing: Option<Standing>,
    change: SyncChange,
    by: &By,
) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE users SET standing = ? WHERE id = ?")?.execute(params![standing, user.id])?;
    let mut detail = change.words().trim_end_matches("the user").trim_end_matches([' ', ':']).to_owned();
    if standing.is_some() {
        let ended = sessions::end_all(connection, user.id)?;
        detail = format!("{detail} ({ended} sessions)");
    }
    audit_log::record(connection, by, EventKind::UserChanged, &user.name.to_string(), &detail)
}

fn sync_groups(
    transaction: &Transaction<'_>,
    realm: &str,
    fetched: &[FetchedGroup],
    remove_vanished: RemoveVanished,
    report: &mut SyncReport,
) -> Result<(), RealmError> {
    let mut ids: HashMap<UserName, UserId> = HashMap::new();
    for user in users::of_realm(transaction, realm)? {
        ids.insert(user.name, user.id);
    }
    let mut stored: BTreeSet<String> = of_realm(transaction, realm)?;
    for FetchedGroup { name, members } in fetched {
        if !stored.remove(name) {
            if !insert(transaction, name, realm)? {
                // A directory is not to choose who has its role.
                report.notes.push(format!("the group {name} was made by hand, and is left as it is"));
                continue;
            }
            report.changes.push((SyncChange::GroupAdded, name.clone()));
        }
        let members = members.iter().filter_map(|member| ids.get(member).copied()).collect();
        if set_members(transaction, name, realm, &members, remove_vanished.properties)? {
            report.changes.push((SyncChange::GroupChanged, name.clone()));
        }
    }
    for name in stored {
        // Whoever was in it is in it no more.
        if set_members(transaction, &name, realm, &BTreeSet::new(), false)? {
            report.changes.push((SyncChange::GroupVanished, name.clone()));
        }
        if remove_vanished.acl && execute(transaction, "DELETE FROM acl WHERE group_name = ?", &name)? {
            report.changes.push((SyncChange::GroupRoleRemoved, name.clone()));
        }
        if remove_vanished.entry {
            execute(transaction, "DELETE FROM user_groups WHERE name = ?", &name)?;
            report.changes.push((SyncChange::GroupDeleted, name));
        }
    }
    Ok(())
}

/// The groups that come from a realm's directory.
fn of_realm(connection: &Connection, realm: &str) -> Result<BTreeSet<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM user_groups WHERE realm = ?")?;
    Ok(statement.query_map([realm], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Adds a group. Whether there was none of that name.
fn insert(connection: &Connection, name: &str, realm: &str) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO user_groups (name, comment, realm) VALUES (?, '', ?)")?;
    Ok(statement.execute([name, realm])? > 0)
}

/// Does something to what has this name. Whether there was anything to do.
fn execute(connection: &Connection, sql: &str, name: &str) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute([name])? > 0)
}

/// Takes all roles of a user's own. Whether there was one.
fn take_roles(connection: &Connection, user: &User) -> Result<bool, StoreError> {
    let taken = connection.prepare_cached("DELETE FROM acl WHERE user = ?")?.execute([user.id])?;
    connection.prepare_cached("DELETE FROM token_roles WHERE user = ?")?.execute([user.id])?;
    connection.prepare_cached("UPDATE users SET role = ? WHERE id = ?")?.execute(params![Role::User, user.id])?;
    Ok(taken > 0 || user.own_role != Role::User)
}

/// Has these users of a realm be in a group, and no other ones of that realm; with `alone` none of another realm either. Whether
/// anything changed.
fn set_members(
    connection: &Connection,
    group: &str,
    realm: &str,
    members: &BTreeSet<UserId>,
    alone: bool,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user FROM group_members JOIN users ON users.id = user WHERE group_name = ? AND (realm = ? OR ?)",
    )?;
    let before: BTreeSet<UserId> =
        statement.query_map(params![group, realm, alone], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut take = connection.prepare_cached("DELETE FROM group_members WHERE group_name = ? AND user = ?")?;
    for gone in before.difference(members) {
        take.execute(params![group, gone])?;
    }
    let mut give = connection.prepare_cached("INSERT INTO group_members (group_name, user) VALUES (?, ?)")?;
    for new in members.difference(&before) {
        give.execute(params![group, new])?;
    }
    Ok(before != *members)
}
