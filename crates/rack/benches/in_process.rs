//! What the authenticator adds to bare cryptography: CTAP bytes in, CTAP bytes out, for both cryptographic libraries; and what a
//! commit costs on the disk.
//!
//! Register is packed attestation with a certificate: one key generated, one signature. Login is one signature.

mod requests;

use core::hint::black_box;
use core::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::environment::{Crypto, Environment};
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::Store;
use keyrig_authenticator::{Authenticator, Profile, Step};
use keyrig_ctap::cose::Algorithm;
use keyrig_rack::crypto::{Graviola, System};
use keyrig_rack::{KeySpecification, Options, Rack};
use tokio::runtime::Builder;

use crate::requests::{credential_id, login, register};

fn libraries() -> Vec<fn() -> Box<dyn Crypto>> {
    let mut libraries: Vec<fn() -> Box<dyn Crypto>> = vec![|| Box::new(Portable)];
    if Graviola::new().is_some() {
        libraries.push(|| Box::new(Graviola::new().expect("found above")));
    }
    libraries
}

/// Drives a command to its end, with a touch and nothing durable.
fn carry_out(key: &mut Authenticator, request: &[u8]) -> Vec<u8> {
    let now = Duration::ZERO;
    let mut step = key.start(request, now);
    loop {
        step = match step {
            Step::Commit(commit) => commit.committed(key, now),
            Step::Gesture(gesture) => gesture.touched(key, now),
            Step::Respond(response) => return response,
        };
    }
}

fn authenticator(library: Box<dyn Crypto>) -> Authenticator {
    let mut environment = System::with(library);
    let profile = Profile::built_in("keyrig").expect("it comes with keyrig");
    let attestation = Root::new([1; 32]).and_then(|root| root.issue(&profile)).expect("a certificate");
    let (store, _) = Store::create(&mut environment);
    Authenticator::new(profile, attestation, Box::new(environment), store, Duration::ZERO)
}

fn computing(criterion: &mut Criterion) {
    for library in libraries() {
        let name = library().name();
        let crypto = library();
        let mut environment = System::with(library());
        let mut generate = move || PrivateKey::from_candidates(Algorithm::Es256, |bytes| environment.random(bytes));
        let message = [3; 132];

        let mut group = criterion.benchmark_group("register");
        group.bench_function(format!("{name}/bare keygen and sign"), |bencher| {
            let signer = generate();
            bencher.iter(|| {
                let public = crypto.public_key(&generate()).expect("a key");
                (public, crypto.sign(&signer, &[black_box(&message)]).expect("a signature"))
            });
        });
        let mut key = authenticator(library());
        let request = register();
        group.bench_function(format!("{name}/authenticator"), |bencher| {
            bencher.iter(|| carry_out(&mut key, black_box(&request)));
        });
        group.finish();

        let mut group = criterion.benchmark_group("login");
        group.bench_function(format!("{name}/bare sign"), |bencher| {
            let signer = generate();
            bencher.iter(|| crypto.sign(&signer, &[black_box(&message)]).expect("a signature"));
        });
        let id = credential_id(&carry_out(&mut key, &request));
        let request = login(id, true);
        group.bench_function(format!("{name}/authenticator"), |bencher| {
            bencher.iter(|| carry_out(&mut key, black_box(&request)));
        });
        group.finish();
    }
}

fn committing(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("login without a touch, through the key's task");
    for (name, state) in [("in memory", None), ("durable", Some(directory.path().to_owned()))] {
        let (rack, key) = runtime.block_on(async {
            let profile = Profile::built_in("keyrig").expect("it comes with keyrig");
            let specification = KeySpecification { name: "a".parse().expect("a name"), profile };
            let options = Options { state, ..Options::default() };
            let rack = Rack::start(options, vec![specification]).await.expect("a rack");
            let key = rack.key(&"a".parse().expect("a name")).expect("it is there").clone();
            (rack, key)
        });
        let id = credential_id(&runtime.block_on(key.transact(register()).answer()).expect("plugged in"));
        let request = login(id, false);
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(key.transact(request.clone()).answer()).expect("plugged in"));
        });
        drop(rack);
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = computing, committing
}
criterion_main!(benches);
