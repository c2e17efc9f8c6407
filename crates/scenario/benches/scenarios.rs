//! A scenario of two keys, straight into the rack and over USB/IP: each is registered, and each logs in. Passwords cost nothing in scenarios.
//! It has to stay under 10 ms in process; the throughput is scenarios per second on one core.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keyrig_scenario::language::{On, parse};
use keyrig_scenario::results::Verdict;
use keyrig_scenario::runner::{Settings, run};
use tokio::runtime::Builder;

const TWO_KEYS: &str = r#"
[[key]]
name = "primary"

[[key]]
name = "backup"
profile = "yubikey-5.7"

[[step]]
register = "primary"

[[step]]
register = "backup"

[[step]]
login = "primary"

[[step]]
login = "backup"
"#;

fn two_keys(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let file = Path::new("two-keys.toml");
    let mut group = criterion.benchmark_group("scenario");
    group.throughput(Throughput::Elements(1)).sample_size(30);
    group.bench_function("read", |bencher| bencher.iter(|| parse(file, TWO_KEYS, &[]).expect("a scenario")));
    let scenario = parse(file, TWO_KEYS, &[]).expect("a scenario").remove(0);
    for on in [On::InProcess, On::Usbip] {
        group.bench_function(format!("two keys, {on}"), |bencher| {
            bencher.iter(|| {
                let settings = Settings { on, ..Settings::default() };
                let result = runtime.block_on(run(&scenario, &settings, &mut ()));
                assert_eq!(result.verdict, Verdict::Passed, "{:?}", result.steps);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, two_keys);
criterion_main!(benches);
