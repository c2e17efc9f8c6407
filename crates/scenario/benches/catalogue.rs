//! The whole catalogue of misconfigurations, each row carried out in one browser: keys, relying parties, ceremonies. It has to stay
//! under a second.

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_client::Browser;
use keyrig_scenario::catalogue::{execute, rows};
use tokio::runtime::Runtime;

fn whole(criterion: &mut Criterion) {
    let (runtime, rows) = (Runtime::new().expect("a runtime"), rows());
    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10);
    group.bench_function("whole, in Chromium", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                for row in &rows {
                    execute(row, Browser::Chromium).await.expect("a test carries them all out");
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
