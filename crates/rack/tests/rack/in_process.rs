//! Keys spoken to in this process, without CTAPHID and USB; and what becomes of commits that are under way.

use keyrig_ctap::Request;
use keyrig_rack::key::Progress;
use keyrig_rack::{KeyGone, KeyHandle, Options, Rack};
use tempfile::TempDir;

use crate::requests::{asserted, get_assertion, made, make_credential, silent_assertion};
use crate::support::{Channel, handle, on_key, plug, rack, specifications, state, touch_key, transact, unplug};

fn selection() -> Vec<u8> {
    Request::Selection.encode()
}

async fn wait_for(transaction: &mut keyrig_rack::key::Transaction, wanted: Progress) {
    while transaction.parts().1.recv().await.unwrap() != wanted {}
}

#[tokio::test]
async fn a_key_at_work_answers_a_second_command_that_it_is_busy() {
    let rack = rack("manual", &["a"]).await;
    let key = handle(&rack, "a");
    let mut first = key.transact(selection());
    wait_for(&mut first, Progress::UpNeeded).await;
    assert_eq!(key.transact(Request::GetInfo.encode()).answer().await.unwrap(), [0x06], "CTAP1_ERR_CHANNEL_BUSY");
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(first.answer().await.unwrap(), [0]);
    assert_eq!(key.transact(Request::GetInfo.encode()).answer().await.unwrap()[0], 0);
}

#[tokio::test]
async fn a_host_on_usb_and_a_caller_in_this_process_do_not_get_each_others_commands() {
    let rack = rack("manual", &["a"]).await;
    let mut host = Channel::open_in_memory(&rack, "1-1").await;
    let mut here = handle(&rack, "a").transact(selection());
    wait_for(&mut here, Progress::UpNeeded).await;
    assert_eq!(host.transact(selection()).await, [0x06]);
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(here.answer().await.unwrap(), [0]);
    host.request_until_up_needed(selection()).await;
    assert_eq!(transact(&rack, "a", selection()).await, [0x06]);
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(host.answer().await.unwrap(), [0]);
}

#[tokio::test]
async fn cancelling_a_command_that_waits_answers_that() {
    let rack = rack("manual", &["a"]).await;
    let mut transaction = handle(&rack, "a").transact(make_credential("user", true));
    wait_for(&mut transaction, Progress::UpNeeded).await;
    transaction.cancel();
    transaction.cancel();
    assert_eq!(transaction.answer().await.unwrap(), [0x2D], "CTAP2_ERR_KEEPALIVE_CANCEL");
    assert_eq!(state(&rack, "a").await.waiting_for, None);
}

#[tokio::test]
async fn a_cancel_before_the_touch_is_asked_for_counts_too() {
    let rack = rack("manual", &["a"]).await;
    let mut transaction = handle(&rack, "a").transact(selection());
    transaction.cancel();
    assert_eq!(transaction.answer().await.unwrap(), [0x2D]);
}

#[tokio::test]
async fn dropping_a_transaction_abandons_its_command() {
    let rack = rack("manual", &["a"]).await;
    let mut transaction = handle(&rack, "a").transact(make_credential("user", true));
    wait_for(&mut transaction, Progress::UpNeeded).await;
    for _ in 0..40 {
        // The key hears of the end before it hears of what comes after.
        drop(transaction);
        transaction = handle(&rack, "a").transact(selection());
        wait_for(&mut transaction, Progress::UpNeeded).await;
        transaction.cancel();
        drop(transaction);
        transaction = handle(&rack, "a").transact(selection());
        wait_for(&mut transaction, Progress::UpNeeded).await;
    }
    on_key(&rack, touch_key, "a").await.unwrap();
    assert_eq!(transaction.answer().await.unwrap(), [0]);
    assert_eq!(state(&rack, "a").await.discoverable_credentials, 0);
}

#[tokio::test]
async fn an_unplugged_key_is_gone() {
    let rack = rack("manual", &["a"]).await;
    let mut pending = handle(&rack, "a").transact(selection());
    wait_for(&mut pending, Progress::UpNeeded).await;
    on_key(&rack, unplug, "a").await.unwrap();
    assert_eq!(pending.answer().await, Err(KeyGone), "pulled out meanwhile");
    assert_eq!(handle(&rack, "a").transact(selection()).answer().await, Err(KeyGone), "not plugged in");
    on_key(&rack, plug, "a").await.unwrap();
    assert_eq!(transact(&rack, "a", Request::GetInfo.encode()).await[0], 0);
}

#[tokio::test]
async fn nonsense_is_answered_with_a_status() {
    let rack = rack("auto", &["a"]).await;
    for message in [vec![], vec![0xFF], vec![0x01], vec![0x02, 0xA0], vec![0x01; 1281], vec![0; 100_000]] {
        let answer = transact(&rack, "a", message).await;
        assert_eq!(answer.len(), 1);
        assert_ne!(answer, [0]);
    }
}

async fn kept(directory: &TempDir, policy: &str, names: &[&str]) -> Rack {
    let options = Options { state: Some(directory.path().to_owned()), ..crate::support::touch(policy) };
    Rack::start(options, specifications(names)).await.unwrap()
}

/// Lets a rack go, and waits until its keys have.
async fn end(rack: Rack) {
    let ended = rack.ended();
    drop(rack);
    ended.await;
}

#[tokio::test]
async fn what_a_rack_kept_is_there_in_the_next() {
    let directory = TempDir::new().unwrap();
    let first = kept(&directory, "auto", &["a", "b"]).await;
    let (id, counter) = made(&transact(&first, "a", make_credential("user", true)).await);
    let root = first.root_certificate().to_vec();
    end(first).await;
    let second = kept(&directory, "every", &["b", "a"]).await;
    assert_eq!(second.root_certificate(), root);
    assert_eq!(state(&second, "a").await.discoverable_credentials, 1);
    assert_eq!(state(&second, "b").await.discoverable_credentials, 0);
    assert_eq!(asserted(&transact(&second, "a", get_assertion(&[])).await), (id, counter + 1));
}

#[tokio::test]
async fn a_key_that_writes_says_so_and_no_longer_that_it_wants_a_touch() {
    let directory = TempDir::new().unwrap();
    let rack = kept(&directory, "manual", &["a"]).await;
    let mut transaction = handle(&rack, "a").transact(make_credential("user", true));
    wait_for(&mut transaction, Progress::UpNeeded).await;
    on_key(&rack, touch_key, "a").await.unwrap();
    wait_for(&mut transaction, Progress::Processing).await;
    made(&transaction.answer().await.unwrap());
}

/// What takes a command away while its commit is on its way to the disk.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    Unplug,
    Drop,
    Cancel,
    End,
}

#[tokio::test]
async fn a_commit_under_way_is_not_lost() {
    for interruption in [Interruption::Unplug, Interruption::Drop, Interruption::Cancel, Interruption::End] {
        let directory = TempDir::new().unwrap();
        for round in 1..=3 {
            let rack = kept(&directory, "manual", &["a"]).await;
            let mut transaction = handle(&rack, "a").transact(make_credential(&format!("user {round}"), true));
            wait_for(&mut transaction, Progress::UpNeeded).await;
            on_key(&rack, touch_key, "a").await.unwrap();
            wait_for(&mut transaction, Progress::Processing).await;
            match interruption {
                Interruption::Unplug => {}
                Interruption::Drop => drop(transaction),
                Interruption::Cancel => {
                    transaction.cancel();
                    assert_eq!(transaction.answer().await.unwrap()[0], 0, "too late for that");
                }
                Interruption::End => {
                    end(rack).await;
                    continue;
                }
            }
            // Waits for the disk, if it was not waited for yet.
            on_key(&rack, unplug, "a").await.unwrap();
            on_key(&rack, plug, "a").await.unwrap();
            assert_eq!(state(&rack, "a").await.discoverable_credentials, round, "{interruption:?}: in memory");
            end(rack).await;
        }
        let rack = kept(&directory, "auto", &["a"]).await;
        assert_eq!(state(&rack, "a").await.discoverable_credentials, 3, "{interruption:?}: on the disk");
        let (_, counter) = asserted(&transact(&rack, "a", silent_assertion(&[])).await);
        assert_eq!(counter, 4, "{interruption:?}: one count each");
    }
}

#[tokio::test]
async fn init_while_a_commit_is_under_way_loses_neither_it_nor_the_next_command() {
    let directory = TempDir::new().unwrap();
    let rack = kept(&directory, "auto", &["a"]).await;
    let mut host = Channel::open_in_memory(&rack, "1-1").await;
    for round in 1..=10 {
        host.request(make_credential(&format!("user {round}"), true)).await;
        host.processing_after_touch().await;
        host.resynchronize().await;
        assert_eq!(host.transact(selection()).await, [0], "a client has no reason to expect that it is busy");
        assert_eq!(state(&rack, "a").await.discoverable_credentials, round);
    }
}

async fn bytes(rack: &Rack) -> Vec<Vec<u8>> {
    let mut all = vec![rack.root_certificate().to_vec()];
    for key in ["a", "b"] {
        let messages = [
            Request::GetInfo.encode(),
            make_credential("user", true),
            make_credential("other", true),
            make_credential("user", false),
            get_assertion(&[]),
            Request::GetNextAssertion.encode(),
            Request::Reset.encode(),
            make_credential("user", false),
        ];
        for message in messages {
            let answer = transact(rack, key, message).await;
            assert_eq!(answer[0], 0);
            all.push(answer);
        }
    }
    all
}

async fn seeded(seed: u64) -> Vec<Vec<u8>> {
    let options = Options { seed: Some(seed), ..crate::support::touch("every") };
    bytes(&Rack::start(options, specifications(&["a", "b"])).await.unwrap()).await
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let (first, again, other) = (seeded(7).await, seeded(7).await, seeded(8).await);
    assert_eq!(first, again);
    let unseeded = bytes(&rack("every", &["a", "b"]).await).await;
    // What the seed is not in: a reset's empty answer.
    let same = [7, 15];
    for index in 0..first.len() {
        assert_eq!(first[index] == other[index], same.contains(&index), "answer {index} under another seed");
        assert_eq!(first[index] == unseeded[index], same.contains(&index), "answer {index} without a seed");
    }
    assert_ne!(first[2], first[10], "two keys of one seed are two keys");
}

#[tokio::test]
async fn a_handle_outlives_no_rack_that_has_ended() {
    let rack = rack("auto", &["a"]).await;
    let key: KeyHandle = handle(&rack, "a");
    let ended = rack.ended();
    drop(rack);
    drop(key);
    ended.await;
}
