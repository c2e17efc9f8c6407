//! A rack and a relying party for a given time under all that a day brings: keys pulled and plugged, programs killed and started
//! again, disks that take nothing more, pipes that nobody reads, logins that fail, peers that vanish.
//!
//! What was acknowledged has to be there afterwards (users, their security keys, credentials on keys); memory and descriptors
//! have a bound while it lasts, and descriptors are given back when it is over; and whatever was disturbed works again without
//! being started again. `KEYRIG_SOAK_SECONDS` is the time, a minute without it; `scripts/soak 1800` runs half an hour.
//!
//! **A full disk** is the limit to the size of files (`RLIMIT_FSIZE`, which takes no privileges), set to nothing while the program
//! runs and taken back: every write to a file then fails, as on a disk without room, in whatever the program is doing. The signal
//! that comes with it is ignored, as it does not come from a disk.

#![cfg(test)]

mod peers;
mod program;
mod rack;
mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::program::Program;
use crate::rack::RackWork;
use crate::site::SiteWork;

/// How long whatever was disturbed may take until it works again.
const RECOVERY: Duration = Duration::from_secs(30);

/// How long it is left in peace between disturbances.
const PEACE: Duration = Duration::from_secs(2);

/// The most memory that either program may have, MiB. A relying party has 19 MiB for each core; a rack has its keys.
const MAX_MEMORY: u64 = 128;

/// The most descriptors: half of the usual 1,024, and what is not a connection.
const MAX_DESCRIPTORS: usize = 640;

/// How many descriptors more than after its start a program may have when all peers are gone: connections of the database.
const MAX_KEPT_DESCRIPTORS: usize = 40;

/// What is counted, for the report.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) logins: AtomicU64,
    pub(crate) slowest_login_ms: AtomicU64,
    pub(crate) refused_logins: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) ceremonies: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) keys_failed: AtomicU64,
    pub(crate) vanished: AtomicU64,
    pub(crate) pulled: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What disturbs, in turn.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    SiteDisk,
    RackDisk,
    SiteKilled,
    RackKilled,
}

const DISTURBANCES: [Disturbance; 4] =
    [Disturbance::SiteDisk, Disturbance::RackDisk, Disturbance::SiteKilled, Disturbance::RackKilled];

fn seconds() -> u64 {
    match std::env::var("KEYRIG_SOAK_SECONDS") {
        Ok(text) => text.parse().expect("KEYRIG_SOAK_SECONDS is a number of seconds"),
        Err(_) => 60,
    }
}

#[tokio::test]
async fn what_is_acknowledged_lasts_and_nothing_grows() {
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds());
    let directory = tempfile::tempdir().expect("a directory");
    let counts = Arc::new(Counts::default());
    let rack_program = Arc::new(Program::rack(directory.path()));
    let site_program = Arc::new(Program::site(directory.path()));
    rack_program.start().await;
    site_program.start().await;
    let rack = Arc::new(RackWork::new(rack_program.clone(), directory.path(), counts.clone()));
    let site = Arc::new(SiteWork::new(site_program.clone(), rack.clone(), counts.clone()).await);
    let at_rest = [rack_program.sample(), site_program.sample()];

    let mut work = JoinSet::new();
    work.spawn(site.clone().add_users());
    work.spawn(site.clone().log_in());
    for number in 0..6 {
        work.spawn(site.clone().fail_to_log_in(number));
    }
    work.spawn(site.clone().begin_passkeys());
    work.spawn(rack.clone().make_credentials());
    work.spawn(rack.clone().pull_and_plug());
    work.spawn(peers::vanish(rack_program.clone(), site_program.clone(), directory.path().to_owned(), counts.clone()));
    for program in [&rack_program, &site_program] {
        let program = program.clone();
        work.spawn(async move {
            loop {
                program.sample();
                sleep(Duration::from_millis(500)).await;
            }
        });
    }

    let mut disturbed = 0_u64;
    for disturbance in DISTURBANCES.iter().cycle() {
        if Instant::now() + PEACE > end {
            break;
        }
        sleep(PEACE).await;
        disturb(*disturbance, &rack_program, &site_program).await;
        disturbed += 1;
        // It works again, and has what it had.
        let told = format!("after {disturbance:?}, disturbance {disturbed}");
        match disturbance {
            Disturbance::SiteDisk | Disturbance::SiteKilled => {
                timeout(RECOVERY, site.works()).await.unwrap_or_else(|_| panic!("the site does not recover {told}"));
                site.check_some(&told).await;
            }
            Disturbance::RackDisk | Disturbance::RackKilled => {
                timeout(RECOVERY, rack.works()).await.unwrap_or_else(|_| panic!("the rack does not recover {told}"));
                rack.check_some(&told).await;
            }
        }
        // Nobody has panicked meanwhile.
        while let Some(ended) = work.try_join_next() {
            ended.expect("work goes on until it is told to end");
        }
    }
    work.shutdown().await;

    // In peace again, with nobody there.
    timeout(RECOVERY, site.works()).await.expect("the site works at the end");
    timeout(RECOVERY, rack.works()).await.expect("the rack works at the end");
    let kept = site.check_all().await + rack.check_all().await;
    // Connections that are idle at the site are closed after a minute: those of this test end with it, now.
    drop(site);
    drop(rack);
    sleep(Duration::from_secs(2)).await;
    let mut report = vec![
        format!("{disturbed} disturbances in {} s", began.elapsed().as_secs()),
        format!("{kept} acknowledged, none lost"),
        format!("{counts:?}"),
    ];
    let mut faults = Vec::new();
    for (program, at_rest) in [&rack_program, &site_program].into_iter().zip(at_rest) {
        let last = program.sample();
        report.push(program.report(&last));
        let (memory, descriptors) = program.most();
        if memory > MAX_MEMORY {
            faults.push(format!("{}: {memory} MiB", program.name));
        }
        if descriptors > MAX_DESCRIPTORS {
            faults.push(format!("{}: {descriptors} descriptors", program.name));
        }
        if last.descriptors > at_rest.descriptors + MAX_KEPT_DESCRIPTORS {
            faults.push(format!("{}: {} descriptors are kept", program.name, last.descriptors));
        }
    }
    for line in &report {
        println!("soak: {line}");
    }
    assert!(faults.is_empty(), "{faults:?}");
    assert!(kept > 0, "something was acknowledged");
}

async fn disturb(disturbance: Disturbance, rack: &Program, site: &Program) {
    match disturbance {
        Disturbance::SiteDisk => fill_disk(site).await,
        Disturbance::RackDisk => fill_disk(rack).await,
        Disturbance::SiteKilled => kill(site).await,
        Disturbance::RackKilled => kill(rack).await,
    }
}

async fn fill_disk(program: &Program) {
    program.limit_files(Some(0));
    sleep(Duration::from_secs(1)).await;
    program.limit_files(None);
}

async fn kill(program: &Program) {
    program.kill().await;
    program.start().await;
}
