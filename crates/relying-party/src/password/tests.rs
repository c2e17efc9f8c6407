//! Passwords: what can be set, what is right, and that a user who does not exist costs as much as one who does.

use super::*;

const PASSWORD: &str = "correct horse";

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

#[test]
fn a_password_has_bounds() {
    for (length, is_valid) in [(0, false), (7, false), (8, true), (512, true), (513, false)] {
        assert_eq!(PasswordHash::new(&"x".repeat(length), PasswordCost::DangerNone).is_ok(), is_valid, "{length}");
    }
}

#[tokio::test]
async fn only_the_right_password_of_a_user_who_exists_is_right() {
    let passwords = Passwords::new(PasswordCost::DangerNone);
    let hash = PasswordHash::new(PASSWORD, PasswordCost::DangerNone).unwrap();
    let cases = [
        (PASSWORD, Some(hash.clone()), Verified::Right),
        ("correct hors", Some(hash.clone()), Verified::Wrong),
        ("", Some(hash.clone()), Verified::Wrong),
        (&format!("{PASSWORD}{}", "x".repeat(10_000)), Some(hash), Verified::Wrong),
        (PASSWORD, None, Verified::Wrong),
        (PASSWORD, Some(PasswordHash::from_store("$argon2id$".to_owned())), Verified::Unreadable),
    ];
    for (password, hash, expected) in cases {
        assert_eq!(passwords.verify(secret(password), hash).await, Ok(expected), "{password:.20}");
    }
}

/// What is beyond the bounds is cut before it is hashed: it is not to become another password's equal by that.
#[tokio::test]
async fn a_longer_password_is_not_the_longest_that_can_be_set() {
    let passwords = Passwords::new(PasswordCost::DangerNone);
    let longest = "x".repeat(MAX_PASSWORD_BYTES);
    let hash = PasswordHash::new(&longest, PasswordCost::DangerNone).unwrap();
    assert_eq!(passwords.verify(secret(&longest), Some(hash.clone())).await, Ok(Verified::Right));
    assert_eq!(passwords.verify(secret(&format!("{longest}x")), Some(hash)).await, Ok(Verified::Wrong));
}

/// The same algorithm, memory, passes and length of salt and hash: all that the time depends on.
#[test]
fn the_dummy_costs_what_a_users_hash_costs() {
    for (cost, parameters) in [
        (PasswordCost::Full, "$argon2id$v=19$m=19456,t=2,p=1$"),
        (PasswordCost::DangerNone, "$argon2id$v=19$m=8,t=1,p=1$"),
    ] {
        let (dummy, user) = (Passwords::new(cost).dummy, PasswordHash::new(PASSWORD, cost).unwrap());
        for hash in [&dummy, &user] {
            assert!(hash.as_str().starts_with(parameters), "{}", hash.as_str());
        }
        assert_eq!(dummy.as_str().len(), user.as_str().len());
        assert_ne!(dummy.as_str(), user.as_str());
    }
}

#[tokio::test]
async fn when_too_many_wait_others_are_turned_away() {
    let passwords = Passwords::new(PasswordCost::DangerNone);
    let all = u32::try_from(passwords.waiting.available_permits()).unwrap();
    let waiting = passwords.waiting.clone().try_acquire_many_owned(all).unwrap();
    assert_eq!(passwords.verify(secret(PASSWORD), None).await, Err(Busy));
    assert_eq!(passwords.hash(secret(PASSWORD), PasswordCost::DangerNone).await.unwrap_err(), Busy);
    drop(waiting);
    assert_eq!(passwords.verify(secret(PASSWORD), None).await, Ok(Verified::Wrong));
}
