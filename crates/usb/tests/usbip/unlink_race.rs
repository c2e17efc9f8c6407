//! Unlink against completion. The kernel tears a device down when a USBIP_RET_SUBMIT comes for a
//! URB that it has given back, and hangs when none comes for one that it has not: whatever the
//! order of events, each URB ends once, and each unlink says truly how.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use tokio::task::yield_now;

use crate::support::{Imported, Returned, imported, report};

#[derive(Clone, Copy, Debug)]
enum Step {
    SubmitIn,
    SubmitOut,
    /// Unlink one of the URBs so far.
    Unlink(usize),
    /// The key hands over a report, if there is room.
    KeySends,
    /// The key takes a report, if there is one.
    KeyTakes,
    /// The server gets this many turns.
    Turns(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::SubmitIn),
        2 => Just(Step::SubmitOut),
        3 => any::<usize>().prop_map(Step::Unlink),
        3 => Just(Step::KeySends),
        2 => Just(Step::KeyTakes),
        3 => (1_u8..4).prop_map(Step::Turns),
    ]
}

async fn play(steps: Vec<Step>) {
    let Imported { mut host, mut key, plugged: _plugged, .. } = imported().await;
    let mut next = 1_u32;
    let mut submitted = Vec::new();
    let mut ins = BTreeSet::new();
    let mut unlinks = BTreeMap::new();
    let mut handed_over = Vec::new();
    let mut sent = BTreeMap::new();
    let mut taken = Vec::new();
    for step in steps {
        let number = u8::try_from(next % 251).unwrap();
        match step {
            Step::SubmitIn => {
                host.submit_in(next, 64).await;
                submitted.push(next);
                ins.insert(next);
                next += 1;
            }
            Step::SubmitOut => {
                host.submit_out(next, &report(number)).await;
                submitted.push(next);
                sent.insert(next, report(number));
                next += 1;
            }
            Step::Unlink(which) if !submitted.is_empty() => {
                let target = submitted[which % submitted.len()];
                host.unlink(next, target).await;
                unlinks.insert(next, target);
                next += 1;
            }
            Step::Unlink(_) => {}
            Step::KeySends => {
                let report = report(u8::try_from(handed_over.len()).unwrap());
                if key.to_host.try_send(report).is_ok() {
                    handed_over.push(report);
                }
            }
            Step::KeyTakes => taken.extend(key.from_host.try_recv()),
            Step::Turns(turns) => {
                for _ in 0..turns {
                    yield_now().await;
                }
            }
        }
    }
    // An unlink of all that was ever submitted ends the rest; its last answer ends the run.
    for target in submitted.clone() {
        host.unlink(next, target).await;
        unlinks.insert(next, target);
        next += 1;
    }
    let last = next;
    host.unlink(last, 0).await;

    let mut completed = BTreeSet::new();
    let mut unlinked = BTreeSet::new();
    let mut received = Vec::new();
    let mut out_completed = Vec::new();
    loop {
        match host.reply().await {
            Returned::Submit { seqnum, status, actual_length, data } => {
                assert_eq!((status, actual_length), (0, 64));
                assert!(!unlinked.contains(&seqnum), "{seqnum} was unlinked before");
                assert!(completed.insert(seqnum), "{seqnum} completed twice");
                if ins.contains(&seqnum) {
                    received.push(data);
                } else {
                    out_completed.push(seqnum);
                }
            }
            Returned::Unlink { seqnum, status } if seqnum == last => {
                assert_eq!(status, 0);
                break;
            }
            Returned::Unlink { seqnum, status } => {
                let target = unlinks.remove(&seqnum).expect("an unlink that was asked for");
                if status == -104 {
                    assert!(!completed.contains(&target), "{target} had completed");
                    assert!(unlinked.insert(target), "{target} was unlinked twice");
                } else {
                    assert_eq!(status, 0);
                    assert!(completed.contains(&target) || unlinked.contains(&target));
                }
            }
        }
    }
    assert_eq!(unlinks, BTreeMap::new(), "every unlink is answered");
    assert_eq!(completed.len() + unlinked.len(), submitted.len(), "every URB has ended");
    // Reports arrive in order, none twice, none made up; an OUT URB completed if and only if the
    // key has its report.
    assert!(handed_over.iter().map(|report| report.to_vec()).take(received.len()).eq(received));
    while let Ok(report) = key.from_host.try_recv() {
        taken.push(report);
    }
    let expected: Vec<_> = out_completed.iter().map(|seqnum| sent[seqnum]).collect();
    assert_eq!(taken, expected);
}

proptest::proptest! {
    #[test]
    fn every_urb_ends_once_and_every_unlink_says_how(steps in vec(step(), 0..60)) {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(play(steps));
    }
}
