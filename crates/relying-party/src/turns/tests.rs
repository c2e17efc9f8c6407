//! Who waits for whom, and who is turned away.

use super::*;

const PLACES: Places = Places { all: 4, per_client: 2, per_account: 3 };

fn asker(client: &str, account: &str) -> Asker {
    Asker { address: Some(client.parse().unwrap()), account: Some(account.to_owned()) }
}

fn turns(places: Places) -> (Arc<Turns>, Arc<Failures>) {
    let failures = Arc::new(Failures::default());
    (Turns::new(1, places, failures.clone()), failures)
}

/// Asks in a task of its own, which has run until it waits.
async fn waits(turns: &Arc<Turns>, asker: &Asker) -> tokio::task::JoinHandle<Result<Turn, Busy>> {
    let (turns, asker) = (turns.clone(), asker.clone());
    let waiting = tokio::spawn(async move { turns.take(&asker).await });
    // There is one thread: this lets all others run.
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test]
async fn those_who_have_not_failed_are_served_in_the_order_in_which_they_came() {
    let (turns, _) = turns(PLACES);
    let first = turns.take(&asker("192.0.2.1", "alice")).await.unwrap();
    let second = waits(&turns, &asker("192.0.2.1", "bob")).await;
    let third = waits(&turns, &asker("192.0.2.2", "carol")).await;
    drop(first);
    let second = second.await.unwrap().unwrap();
    assert!(!third.is_finished());
    drop(second);
    drop(third.await.unwrap().unwrap());
    assert!(turns.take(&Asker::default()).await.is_ok());
}

/// An attacker at an address, on an account: who is elsewhere, or somebody else, goes first.
#[tokio::test]
async fn who_has_failed_lately_waits_behind_those_who_have_not() {
    let attacker = asker("192.0.2.1", "alice");
    let others = [
        ("another account at the same address", asker("192.0.2.1", "bob")),
        ("the attacked user from elsewhere", asker("198.51.100.7", "alice")),
        ("somebody else from elsewhere", asker("198.51.100.8", "carol")),
        ("a session", Asker::default()),
    ];
    for (who, other) in others {
        let (turns, failures) = turns(PLACES);
        failures.add(&attacker);
        let turn = turns.take(&Asker::default()).await.unwrap();
        let attack = waits(&turns, &attacker).await;
        let waiting = waits(&turns, &other).await;
        drop(turn);
        let theirs = waiting.await.unwrap().unwrap();
        assert!(!attack.is_finished(), "{who}");
        drop(theirs);
        attack.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_has_failed_lately_has_a_share_of_the_places_only() {
    let (turns, failures) = turns(Places { all: 100, ..PLACES });
    let _turn = turns.take(&Asker::default()).await.unwrap();
    // A load test that logs in correctly has no share.
    for _ in 0..20 {
        waits(&turns, &asker("192.0.2.9", "load")).await;
    }
    assert_eq!(turns.waiting(), 20);
    failures.add(&Asker { account: None, ..asker("192.0.2.1", "") });
    for number in 0..10 {
        let waiting = waits(&turns, &asker("192.0.2.1", &format!("user{number}"))).await;
        assert_eq!(waiting.is_finished(), number >= PLACES.per_client, "{number}");
    }
    failures.add(&Asker { address: None, ..asker("192.0.2.1", "alice") });
    for number in 0..10 {
        let waiting = waits(&turns, &asker(&format!("198.51.100.{number}"), "alice")).await;
        assert_eq!(waiting.is_finished(), number >= PLACES.per_account, "{number}");
    }
}

#[tokio::test]
async fn when_there_is_no_place_whoever_has_failed_most_is_turned_away() {
    let (turns, failures) = turns(Places { all: 2, per_client: 2, per_account: 2 });
    let _turn = turns.take(&Asker::default()).await.unwrap();
    let (one, other) = (asker("192.0.2.1", "alice"), asker("192.0.2.2", "bob"));
    failures.add(&one);
    failures.add(&other);
    failures.add(&other);
    let first = waits(&turns, &one).await;
    let second = waits(&turns, &other).await;
    let third = waits(&turns, &asker("192.0.2.3", "carol")).await;
    assert_eq!(second.await.unwrap().unwrap_err(), Busy);
    assert!(!first.is_finished() && !third.is_finished());
    // Nobody there has failed more than the newcomer.
    assert_eq!(turns.take(&other).await.unwrap_err(), Busy);
    assert_eq!(turns.take(&one).await.unwrap_err(), Busy);
    assert_eq!(turns.waiting(), 2);
}

#[tokio::test]
async fn who_waits_no_more_takes_no_place_and_no_turn() {
    let (turns, _) = turns(PLACES);
    let turn = turns.take(&Asker::default()).await.unwrap();
    let gone = waits(&turns, &Asker::default()).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(turns.waiting(), 0);
    drop(turn);
    drop(turns.take(&Asker::default()).await.unwrap());
    // One that goes while it is handed the turn passes it on.
    let turn = turns.take(&Asker::default()).await.unwrap();
    let going = waits(&turns, &Asker::default()).await;
    drop(turn);
    going.abort();
    let _ = going.await;
    assert!(turns.take(&Asker::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_and_forgiven() {
    let failures = Failures::default();
    let alice = asker("192.0.2.1", "alice");
    let times = |asker: &Asker| failures.of(asker, Instant::now());
    failures.add(&alice);
    assert_eq!(times(&alice), 2, "of the address and of the account");
    assert_eq!(times(&asker("192.0.2.1", "bob")), 1);
    tokio::time::advance(FORGOTTEN_AFTER - Duration::from_secs(1)).await;
    assert_eq!(times(&alice), 2);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(times(&alice), 0);
    for _ in 0..MAX_FAILURES * 3 {
        failures.add(&alice);
    }
    assert_eq!(times(&alice), 2 * MAX_FAILURES);
    failures.forgive(&alice);
    assert_eq!(times(&alice), 2 * MAX_FAILURES - 2);
    tokio::time::advance(FORGOTTEN_AFTER * MAX_FAILURES).await;
    assert_eq!(times(&alice), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_a_bound_and_forgets_the_least_first() {
    let failures = Failures::default();
    let worst = asker("192.0.2.1", "alice");
    failures.add(&worst);
    failures.add(&worst);
    for number in 0..MAX_REMEMBERED + 100 {
        failures.add(&Asker { address: None, account: Some(number.to_string()) });
    }
    assert!(failures.of.lock().unwrap().len() <= MAX_REMEMBERED);
    assert_eq!(failures.of(&worst, Instant::now()), 4);
}

#[test]
fn one_client_is_an_address_or_a_network() {
    let client = |text: &str| Client::new(text.parse().unwrap());
    assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
    assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::1"));
    assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    assert_eq!(client("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    assert_eq!(client("127.0.0.1").to_string(), "127.0.0.1");
}
