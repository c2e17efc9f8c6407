//! Passwords: what can be set, what is right, and that a user who does not exist costs as much as one who does.

use super::*;
use crate::random::SystemRandomness;

const PASSWORD: &str = "correct horse";

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

const PLACES: Places = Places { all: 512, per_client: 512, per_account: 512 };

fn passwords() -> Passwords {
    Passwords::new(PasswordCost::DangerNone, PLACES, Arc::default(), Arc::new(SystemRandomness))
}

#[test]
fn a_password_has_bounds() {
    for (length, is_valid) in [(0, false), (7, false), (8, true), (512, true), (513, false)] {
        assert_eq!(
            PasswordHash::new(&"x".repeat(length), PasswordCost::DangerNone, &SystemRandomness).is_ok(),
            is_valid,
            "{length}"
        );
    }
}

#[tokio::test]
async fn only_the_right_password_of_a_user_who_exists_is_right() {
    let passwords = passwords();
    let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
    let cases = [
        (PASSWORD, Some(hash.clone()), Verified::Right),
        ("correct hors", Some(hash.clone()), Verified::Wrong),
        ("", Some(hash.clone()), Verified::Wrong),
        (&format!("{PASSWORD}{}", "x".repeat(10_000)), Some(hash), Verified::Wrong),
        (PASSWORD, None, Verified::Wrong),
        (PASSWORD, Some(PasswordHash::from_store("$argon2id$".to_owned())), Verified::Unreadable),
    ];
    for (password, hash, expected) in cases {
        assert_eq!(passwords.verify(&Asker::default(), secret(password), hash).await, Ok(expected), "{password:.20}");
    }
}

/// What is beyond the bounds is cut before it is hashed: it is not to become another password's equal by that.
#[tokio::test]
async fn a_longer_password_is_not_the_longest_that_can_be_set() {
    let passwords = passwords();
    let longest = "x".repeat(MAX_PASSWORD_BYTES);
    let hash = PasswordHash::new(&longest, PasswordCost::DangerNone, &SystemRandomness).unwrap();
    assert_eq!(passwords.verify(&Asker::default(), secret(&longest), Some(hash.clone())).await, Ok(Verified::Right));
    assert_eq!(
        passwords.verify(&Asker::default(), secret(&format!("{longest}x")), Some(hash)).await,
        Ok(Verified::Wrong)
    );
}

/// The same algorithm, memory, passes and length of salt and hash: all that the time depends on.
#[test]
fn the_dummy_costs_what_a_users_hash_costs() {
    for (cost, parameters) in [
        (PasswordCost::Full, "$argon2id$v=19$m=19456,t=2,p=1$"),
        (PasswordCost::DangerNone, "$argon2id$v=19$m=8,t=1,p=1$"),
    ] {
        let (dummy, user) = (
            Passwords::new(cost, PLACES, Arc::default(), Arc::new(SystemRandomness)).dummy,
            PasswordHash::new(PASSWORD, cost, &SystemRandomness).unwrap(),
        );
        for hash in [&dummy, &user] {
            assert!(hash.as_str().starts_with(parameters), "{}", hash.as_str());
        }
        assert_eq!(dummy.as_str().len(), user.as_str().len());
        assert_ne!(dummy.as_str(), user.as_str());
    }
}

#[tokio::test]
async fn when_too_many_wait_others_are_turned_away() {
    let passwords = Passwords::new(
        PasswordCost::DangerNone,
        Places { all: 0, ..PLACES },
        Arc::default(),
        Arc::new(SystemRandomness),
    );
    let mut turns = Vec::new();
    while let Ok(turn) = passwords.turns.take(&Asker::default()).await {
        turns.push(turn);
    }
    assert_eq!(turns.len(), available_parallelism().unwrap().get());
    assert_eq!(passwords.verify(&Asker::default(), secret(PASSWORD), None).await, Err(Busy));
    assert_eq!(passwords.hash(secret(PASSWORD), PasswordCost::DangerNone).await.unwrap_err(), Busy);
    drop(turns);
    assert_eq!(passwords.verify(&Asker::default(), secret(PASSWORD), None).await, Ok(Verified::Wrong));
}

/// However many ask, and whatever for: the memory is that of as many as compute at once, and is used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_is_that_of_as_many_as_compute_at_once() {
    let passwords = Arc::new(passwords());
    let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone, &SystemRandomness).unwrap();
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let (passwords, hash) = (passwords.clone(), hash.clone());
            tokio::spawn(async move {
                match number % 4 {
                    0 => drop(passwords.hash(secret(PASSWORD), PasswordCost::DangerNone).await.unwrap()),
                    1 => assert_eq!(
                        passwords.verify(&Asker::default(), secret(PASSWORD), Some(hash)).await,
                        Ok(Verified::Right)
                    ),
                    2 => assert_eq!(
                        passwords.verify(&Asker::default(), secret("wrong"), Some(hash)).await,
                        Ok(Verified::Wrong)
                    ),
                    _ => assert_eq!(
                        passwords.verify(&Asker::default(), secret(PASSWORD), None).await,
                        Ok(Verified::Wrong)
                    ),
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let idle = passwords.memory.idle.lock().unwrap();
    let cores = available_parallelism().unwrap().get();
    assert!((1..=cores).contains(&idle.len()), "{}", idle.len());
    assert!(idle.iter().all(|memory| memory.len() == 8), "blocks of 1 KiB, as many as a hash takes");
}

/// A test vector of the reference implementation (`src/test.c`), in memory that another computation has left.
#[test]
fn memory_that_was_used_before_computes_the_same() {
    let vector = PasswordHash::from_store(
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned(),
    );
    let mut memory = Vec::new();
    for _ in 0..3 {
        assert_eq!(is_right(&mut memory, "password", &vector), Some(true));
        assert_eq!(is_right(&mut memory, "passwort", &vector), Some(false));
        // With more blocks and with fewer in between.
        for cost in [PasswordCost::DangerNone, PasswordCost::Full] {
            hash(&mut memory, PASSWORD, cost, &SystemRandomness).unwrap();
        }
    }
}

/// What stands in the database decides neither how much memory is taken nor for how long it is computed.
#[test]
fn a_hash_that_costs_more_than_any_made_here_is_unreadable() {
    let rest = "p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    for (parameters, is_readable) in [
        ("m=19456,t=2", true),
        ("m=7168,t=5", true),
        ("m=19457,t=1", false),
        ("m=4294967295,t=1", false),
        ("m=19456,t=3", false),
        ("m=8,t=4294967295", false),
    ] {
        let stored = PasswordHash::from_store(format!("$argon2id$v=19${parameters},{rest}"));
        assert_eq!(is_right(&mut Vec::new(), "password", &stored).is_some(), is_readable, "{parameters}");
    }
    for other in ["$argon2i$v=19$m=256,t=2,", "$argon2id$v=99$m=256,t=2,", "$scrypt$v=19$m=256,t=2,"] {
        assert_eq!(is_right(&mut Vec::new(), "password", &PasswordHash::from_store(format!("{other}{rest}"))), None);
    }
}
