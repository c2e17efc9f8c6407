//! The whole catalogue of misconfigurations, each row carried out in one browser: keys, relying parties, ceremonies. It has to stay
//! under a second.
//!
//! Most of it is what a row needs before anything happens, a relying party with a database of its own and a rack with a key, which
//! is measured beside. One row after another, time stands still where nobody computes; all at once, it goes: a key of U2F is asked
//! again every 200 ms, as browsers do, and the rows with such a key wait for that.

use core::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_client::Browser;
use keyrig_rack::{KeySpecification, Options as RackOptions, Rack};
use keyrig_relying_party::{Options, PasswordCost, RelyingParty, Settings, Store, SystemClock, router};
use keyrig_scenario::catalogue::{Row, execute, rows};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Time goes on by itself to whatever is waited for.
fn without_waiting() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

async fn one_after_another(rows: &[Row]) {
    for row in rows {
        execute(row, Browser::Chromium).await.expect("a test carries them all out");
    }
}

async fn at_once(rows: Vec<Row>) {
    let mut tasks = JoinSet::new();
    for row in rows {
        tasks.spawn(async move { execute(&row, Browser::Chromium).await.expect("a test carries them all out") });
    }
    tasks.join_all().await;
}

/// What every row begins with.
async fn made() -> (Rack, axum::Router) {
    let key = KeySpecification::built_in("keyrig", "key").expect("built in");
    let rack = Rack::start(RackOptions::default(), vec![key]).await.expect("a rack");
    let store = Store::in_memory().expect("a database");
    let options = Options { password_cost: PasswordCost::DangerNone, ..Options::new(store) };
    let settings = Settings::new("login.example.com", "https://login.example.com");
    (rack, router(Arc::new(RelyingParty::new(Ok(settings), options, Arc::new(SystemClock)))))
}

fn whole(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10);
    group.bench_function("as many relying parties and keys as rows, and nothing done", |bencher| {
        let runtime = without_waiting();
        bencher.iter(|| {
            runtime.block_on(async {
                for _ in &rows {
                    drop(black_box(made().await));
                }
            });
        });
    });
    group.bench_function("whole, one row after another, without waiting", |bencher| {
        let runtime = without_waiting();
        bencher.iter(|| runtime.block_on(one_after_another(&rows)));
    });
    group.bench_function("whole, all rows at once, as time goes", |bencher| {
        let runtime = Runtime::new().expect("a runtime");
        bencher.iter(|| runtime.block_on(at_once(rows.clone())));
    });
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
