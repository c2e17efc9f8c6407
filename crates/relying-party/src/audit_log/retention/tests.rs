//! What is deleted of the log, and what stays whatever comes after it.

use std::time::Duration;

use super::*;
use crate::audit_log::{Actor, By, Event, EventFilter, EventKind, record};
use crate::password::{PasswordCost, PasswordHash};
use crate::random::SystemRandomness;
use crate::store::Store;
use crate::user_name::UserName;
use crate::users::Role;

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn store(retention: EventRetention) -> Store {
    let store = Store::in_memory().unwrap();
    store.keep_events(retention);
    store
}

fn add_user(store: &Store, name: &str) {
    let hash = PasswordHash::new("correct horse", PasswordCost::DangerNone, &SystemRandomness).unwrap();
    store.add_user(&name.parse().unwrap(), Role::User, &hash, &By::command_line(START)).unwrap();
}

/// Has an event written down so often, each by a change of its own.
fn happens(store: &Store, times: usize, user: &str, actor: &Actor, at: SystemTime) {
    let by = By { actor: actor.clone(), now: at, address: None };
    for _ in 0..times {
        let changed = store.write(|transaction| record(transaction, &by, EventKind::LoginRefused, user, ""));
        changed.unwrap();
    }
}

fn of(store: &Store, user: &str) -> Vec<Event> {
    store.events(&EventFilter { user: Some(user.to_owned()), ..EventFilter::default() }).unwrap()
}

/// What is there beyond a count before the next sweep.
const SLACK: usize = 128;

#[test]
fn what_anybody_can_cause_does_not_grow_without_a_bound() {
    let retention = EventRetention { count: 300, ..EventRetention::default() };
    let store = store(retention);
    add_user(&store, "alice@pve");
    let mut most = 0;
    for number in 0..40 {
        happens(&store, 100, &format!("nobody{number}@pve"), &Actor::Nobody, START);
        most = most.max(store.events(&EventFilter::default()).unwrap().len());
    }
    assert!(most <= 300 + SLACK + 1, "{most}");
    assert!(most >= 300, "{most}");
    // Noise has pushed out noise only.
    assert_eq!(of(&store, "alice@pve").len(), 1);
    // The latest are there.
    assert_eq!(of(&store, "nobody39@pve").len(), 100);
}

#[test]
fn the_latest_of_an_account_stay_whatever_is_tried_on_others_and_on_itself() {
    let retention = EventRetention { count: 200, of_account: 5, ..EventRetention::default() };
    let store = store(retention);
    add_user(&store, "alice@pve");
    let alice = Actor::User("alice@pve".parse::<UserName>().unwrap());
    happens(&store, 20, "alice@pve", &alice, START);
    happens(&store, 20, "alice@pve", &Actor::Nobody, START);
    // Two accounts that are never touched, and one that is attacked.
    add_user(&store, "quiet@pve");
    happens(&store, 3_000, "alice@pve", &Actor::Nobody, START);
    happens(&store, 3_000, "bob@pve", &Actor::CommandLine, START);
    assert_eq!(of(&store, "quiet@pve").len(), 1);
    let alices: Vec<_> = of(&store, "alice@pve").into_iter().filter(|event| event.actor == "alice@pve").collect();
    assert_eq!(alices.len(), 5);
    // They are the latest five: the first event of all was her being added.
    assert_eq!(alices.last().unwrap().id, 1 + 16);
}

#[test]
fn what_is_old_goes_unless_it_is_of_the_latest_of_an_account() {
    let day = Duration::from_secs(24 * 3600);
    let retention = EventRetention { age: 7 * day, of_account: 2, ..EventRetention::default() };
    let store = store(retention);
    add_user(&store, "alice@pve");
    happens(&store, 10, "alice@pve", &Actor::CommandLine, START + day);
    happens(&store, 10, "nobody@pve", &Actor::Nobody, START + day);
    happens(&store, SLACK, "other@pve", &Actor::Nobody, START + 8 * day);
    assert_eq!(of(&store, "nobody@pve").len(), 10, "seven days old, and no more");
    happens(&store, SLACK, "other@pve", &Actor::Nobody, START + 9 * day);
    assert_eq!(of(&store, "nobody@pve").len(), 0);
    assert_eq!(of(&store, "alice@pve").len(), 2);
}

/// The oldest events are those that stay: they must not be all that is ever looked at.
#[test]
fn many_that_stay_do_not_keep_the_others() {
    let retention = EventRetention { count: 100, of_account: 1, ..EventRetention::default() };
    let store = store(retention);
    let accounts = LOOKED_AT + 200;
    for number in 0..accounts {
        add_user(&store, &format!("user{number}@pve"));
    }
    happens(&store, 2_000, "bob@pve", &Actor::CommandLine, START);
    let all = store.events(&EventFilter::default()).unwrap().len();
    assert!(all < accounts + 100 + 1_000, "{all}");
    assert!((0..accounts).all(|number| of(&store, &format!("user{number}@pve")).len() == 1));
}

#[test]
fn a_log_that_was_long_before_gets_shorter_bit_by_bit() {
    let store = Store::in_memory().unwrap();
    happens(&store, 5_000, "bob@pve", &Actor::Nobody, START);
    store.keep_events(EventRetention { count: 10, ..EventRetention::default() });
    happens(&store, 1, "bob@pve", &Actor::Nobody, START);
    let all = store.events(&EventFilter::default()).unwrap().len();
    assert_eq!(all, 5_001 - LOOKED_AT, "one sweep looks at so many");
    happens(&store, 5 * SLACK, "bob@pve", &Actor::Nobody, START);
    assert!(store.events(&EventFilter::default()).unwrap().len() <= 10 + SLACK);
}
