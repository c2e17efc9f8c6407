//! Fetching the users and groups of a directory.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use keyrig_ldap::{Connection, Dn, Entry, Filter, Limits, Scope, Search};

use super::answer::DirectoryUnavailable;
use super::ask::{ACCOUNT_CONTROL, Prepared, base, bind_to_search, in_time, is_disabled, open, users_of, with_filter};
use super::settings::{DirectoryKind, DirectorySettings, PROPERTIES};
use super::stored::StoredDirectory;
use crate::groups;
use crate::realms::RealmError;
use crate::user_name::UserName;

/// For how long all of a directory may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A group of a hundred thousand has some megabytes of members.
const OF_SYNC: Limits = Limits {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(30),
    message_bytes: 64 * 1024 * 1024,
    entries: 1_000_000,
};

/// Active Directory gives the values of an attribute in parts where there are many (MS-ADTS, section 3.1.1.3.1.3.3).
const MAX_RANGES: usize = 10_000;

/// A user of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedUser {
    /// The user's name here.
    pub name: UserName,
    /// Whether the directory has the account disabled.
    pub is_disabled: bool,
    /// Comment, email address, first and last name; `None` where the directory has none.
    pub properties: [Option<String>; 4],
}

/// A group of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedGroup {
    /// `NAME-REALM`.
    pub name: String,
    /// Which of the users are in it. Groups in it are not looked into.
    pub members: Vec<UserName>,
}

/// What a directory has, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Users whose names can be told apart.
    pub users: Vec<FetchedUser>,
    /// Groups whose names can be told apart.
    pub groups: Vec<FetchedGroup>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Fetches all of it. Nothing comes of a part.
///
/// # Errors
/// [`RealmError::Unavailable`] if there is no whole answer.
pub(crate) async fn fetch(directory: StoredDirectory) -> Result<Fetched, RealmError> {
    let realm = directory.realm.clone();
    let fetched = in_time(PATIENCE, fetch_in_time(directory)).await;
    fetched.map_err(|DirectoryUnavailable { reason }| RealmError::Unavailable { realm, reason })
}

async fn fetch_in_time(directory: StoredDirectory) -> Result<Fetched, DirectoryUnavailable> {
    let read = tokio::task::spawn_blocking(move || Prepared::read(&directory).map(|prepared| (directory, prepared)));
    let read = read.await.unwrap_or_else(|error| Err(DirectoryUnavailable { reason: error.to_string() }));
    let (StoredDirectory { realm, settings, .. }, prepared) = read?;
    if settings.kind == DirectoryKind::Ad && settings.bind_dn.is_none() {
        let reason = "Active Directory lets nobody search who is not bound: give the realm a bind_dn and its password";
        return Err(DirectoryUnavailable { reason: reason.to_owned() });
    }
    let mut connection = open(&settings, &prepared, OF_SYNC).await?;
    bind_to_search(&mut connection, &settings, &prepared).await?;
    let base = base(&mut connection, &settings).await?;
    let mut fetched = Fetched::default();
    let people = fetch_users(&mut connection, &settings, &base, &realm, &mut fetched).await?;
    fetch_groups(&mut connection, &settings, &base, &realm, &people, &mut fetched).await?;
    connection.close().await;
    Ok(fetched)
}

/// Which entry is which user, and which groups it says that it is in.
struct People {
    by_dn: HashMap<Dn, UserName>,
    by_group: HashMap<Dn, Vec<UserName>>,
}

async fn fetch_users(
    connection: &mut Connection,
    settings: &DirectorySettings,
    base: &str,
    realm: &str,
    fetched: &mut Fetched,
) -> Result<People, DirectoryUnavailable> {
    let name_attribute = settings.user_attr.as_str();
    let mut filters = vec![Filter::Present(name_attribute.to_owned())];
    filters.extend(users_of(settings)?);
    let mut attributes = vec![name_attribute, ACCOUNT_CONTROL, "memberOf"];
    attributes.extend(PROPERTIES.iter().map(|property| settings.attribute_of(property)));
    let filter = Filter::And(filters);
    let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, size_limit: None };
    let found = connection.search(&search).await?;
    if found.references > 0 {
        fetched.notes.push(format!("{} references to other servers were not followed", found.references));
    }
    let mut people = People { by_dn: HashMap::new(), by_group: HashMap::new() };
    let twice = twice(found.entries.iter().filter_map(|entry| entry.texts(name_attribute).next()));
    for entry in &found.entries {
        let Some(text) = entry.texts(name_attribute).next() else {
            fetched.notes.push(format!("{}: {name_attribute} is no text", entry.dn));
            continue;
        };
        let name = format!("{text}@{realm}").parse::<UserName>();
        let Ok(name) = name.map_err(|_| ()).and_then(|name| if name.realm() == realm { Ok(name) } else { Err(()) })
        else {
            fetched.notes.push(format!("{}: {text:?} can be no user's name here", entry.dn));
            continue;
        };
        if twice.contains(&text.to_lowercase()) {
            fetched
                .notes
                .push(format!("{}: {text:?} is the name of another entry too: nobody can log in by it", entry.dn));
            continue;
        }
        if let Some(dn) = Dn::new(&entry.dn) {
            people.by_dn.insert(dn, name.clone());
        }
        for group in entry.texts("memberOf").filter_map(Dn::new) {
            people.by_group.entry(group).or_default().push(name.clone());
        }
        let properties = PROPERTIES.map(|property| property_of(entry, settings.attribute_of(property)));
        fetched.users.push(FetchedUser { name, is_disabled: is_disabled(entry), properties });
    }
    Ok(people)
}

/// Names that are there more than once, in lower case: a directory does not tell them apart.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> HashSet<String> {
    let (mut once, mut twice) = (HashSet::new(), HashSet::new());
    for name in names.map(str::to_lowercase) {
        if !once.insert(name.clone()) {
            twice.insert(name);
        }
    }
    twice
}

/// A property, as it can be kept here.
fn property_of(entry: &Entry, attribute: &str) -> Option<String> {
    const MAX_BYTES: usize = 256;

    let text = entry.texts(attribute).next()?;
    let plain: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let kept = plain.get(..plain.floor_char_boundary(MAX_BYTES)).unwrap_or_default().trim().to_owned();
    (!kept.is_empty()).then_some(kept)
}

async fn fetch_groups(
    connection: &mut Connection,
    settings: &DirectorySettings,
    base: &str,
    realm: &str,
    people: &People,
    fetched: &mut Fetched,
) -> Result<(), DirectoryUnavailable> {
    let filter = Filter::And(with_filter(&settings.group_classes, settings.group_filter.as_deref())?);
    let base = settings.group_dn.as_deref().unwrap_or(base);
    let mut attributes = vec!["member", "uniqueMember"];
    attributes.extend(settings.group_name_attr.as_deref());
    let search = Search { base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, size_limit: None };
    let found = connection.search(&search).await?.entries;
    let name_of = |entry: &Entry| {
        let named = settings.group_name_attr.as_deref().and_then(|name| entry.texts(name).next().map(str::to_owned));
        named.or_else(|| Dn::first_value(&entry.dn))
    };
    let names: Vec<_> = found.iter().filter_map(name_of).collect();
    let twice = twice(names.iter().map(String::as_str));
    for entry in &found {
        let Some(name) = name_of(entry) else {
            fetched.notes.push(format!("{}: the group has no name", entry.dn));
            continue;
        };
        let full = format!("{name}-{realm}");
        if !groups::is_name(&full) {
            fetched.notes.push(format!("{}: {full:?} can be no group's name", entry.dn));
            continue;
        }
        if twice.contains(&name.to_lowercase()) {
            fetched.notes.push(format!("{}: {name:?} is the name of another group too", entry.dn));
            continue;
        }
        let mut members: Vec<String> =
            entry.texts("member").chain(entry.texts("uniqueMember")).map(str::to_owned).collect();
        members.extend(further_members(connection, entry).await?);
        let by_group = Dn::new(&entry.dn).and_then(|dn| people.by_group.get(&dn)).into_iter().flatten();
        let by_member = members.iter().filter_map(|member| people.by_dn.get(&Dn::new(member)?));
        let mut members: Vec<UserName> = by_member.chain(by_group).cloned().collect();
        members.sort();
        members.dedup();
        fetched.groups.push(FetchedGroup { name: full, members });
    }
    Ok(())
}

/// Members that Active Directory gives in parts: `member;range=0-1499`, and `-*` in the last one.
async fn further_members(connection: &mut Connection, group: &Entry) -> Result<Vec<String>, DirectoryUnavailable> {
    let part_of = |entry: &Entry| {
        entry.attributes.iter().find_map(|(name, values)| {
            let range = name.to_ascii_lowercase().strip_prefix("member;range=")?.to_owned();
            let texts: Vec<String> = values.iter().filter_map(|value| String::from_utf8(value.clone()).ok()).collect();
            Some((range, texts))
        })
    };
    let mut members = Vec::new();
    let mut part = part_of(group);
    for _ in 0..MAX_RANGES {
        let Some((range, texts)) = part else { return Ok(members) };
        members.extend(texts);
        let Some(next) = range.split_once('-').and_then(|(_, last)| last.parse::<u32>().ok()) else {
            return Ok(members);
        };
        let attribute = format!("member;range={}-*", next.saturating_add(1));
        let filter = Filter::Present("objectClass".to_owned());
        let search = Search {
            base: &group.dn,
            scope: Scope::Base,
            filter: &filter,
            attributes: &[&attribute],
            size_limit: Some(1),
        };
        part = connection.search(&search).await?.entries.first().and_then(part_of);
    }
    Err(DirectoryUnavailable { reason: format!("{} has its members in more than {MAX_RANGES} parts", group.dn) })
}
