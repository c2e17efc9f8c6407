//! What the authenticator adds to bare cryptography: CTAP bytes in, CTAP bytes out, for both cryptographic libraries; and what a
//! commit costs on the disk.
//!
//! Register is packed attestation with a certificate: one key generated, one signature. Login is one signature. A token for a PIN is
//! one key agreement.

mod requests;

use core::hint::black_box;
use core::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_authenticator::attestation::Root;
use keyrig_authenticator::credential::{Discoverable, Properties, StoredCredential};
use keyrig_authenticator::driver::{Disk, Driver};
use keyrig_authenticator::environment::{Crypto, Environment};
use keyrig_authenticator::portable_crypto::Portable;
use keyrig_authenticator::private_key::PrivateKey;
use keyrig_authenticator::store::{Change, Records, Store};
use keyrig_authenticator::{Authenticator, Profile};
use keyrig_ctap::client_pin::Permissions;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::entities::{Options as RequestOptions, PinUvAuth, User};
use keyrig_ctap::{Request, get_assertion};
use keyrig_rack::crypto::{Graviola, System};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_test_platform::{Platform, get_key_agreement, key_agreement_key};
use tokio::runtime::Builder;

use crate::requests::{credential_id, login, register};

fn libraries() -> Vec<fn() -> Box<dyn Crypto>> {
    let mut libraries: Vec<fn() -> Box<dyn Crypto>> = vec![|| Box::new(Portable)];
    if Graviola::new().is_some() {
        libraries.push(|| Box::new(Graviola::new().expect("found above")));
    }
    libraries
}

/// A disk that keeps nothing.
struct Nowhere;

impl Disk for Nowhere {
    fn commit(&mut self, _: &[Change]) -> bool {
        true
    }
}

/// Drives a command to its end, with a touch and nothing durable.
fn carry_out(key: &mut Driver<Nowhere>, request: &[u8]) -> Vec<u8> {
    key.send(request).expect("an answer")
}

fn authenticator(library: Box<dyn Crypto>) -> Driver<Nowhere> {
    let mut environment = System::with(library);
    let (store, _) = Store::create(&mut environment);
    authenticator_with(environment, store)
}

fn authenticator_with(environment: System, store: Store) -> Driver<Nowhere> {
    let profile = Profile::built_in("keyrig").expect("it comes with keyrig");
    let attestation = Root::new([1; 32]).and_then(|root| root.issue(&profile, 1)).expect("a certificate");
    let key = Authenticator::new(profile, attestation, Box::new(environment), store, Duration::ZERO);
    Driver::with(key, Nowhere)
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

/// A PIN is entered: one key agreement, and two commits that cost nothing here.
fn entering_a_pin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("getPinUvAuthTokenUsingPinWithPermissions");
    for library in libraries() {
        let (name, crypto) = (library().name(), library());
        let mut key = authenticator(library());
        let answer = carry_out(&mut key, &Request::ClientPin(get_key_agreement()).encode());
        let (theirs, platform) = (key_agreement_key(&answer), Platform::agree(&answer));
        let ours = PrivateKey::from_bytes(Algorithm::Es256, &[7; 32]).expect("a scalar");
        assert_eq!(carry_out(&mut key, &Request::ClientPin(platform.set_pin("2468")).encode()), [0]);
        let request = platform.get_token("2468", Permissions::GA, Some("example.com"));
        let request = Request::ClientPin(request).encode();
        assert_eq!(carry_out(&mut key, &request).first(), Some(&0));
        group.bench_function(format!("{name}/bare key agreement"), |bencher| {
            bencher.iter(|| crypto.diffie_hellman(&ours, black_box(&theirs)).expect("a point on the curve"));
        });
        group.bench_function(format!("{name}/authenticator"), |bencher| {
            bencher.iter(|| carry_out(&mut key, black_box(&request)));
        });
    }
    group.finish();
}

/// A login without a list, among more and more discoverable credentials of as many relying parties: the same for all.
fn looking_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("login without a list, by discoverable credentials");
    for count in [1_u64, 1_000, 100_000] {
        let mut environment = System::new();
        let (_, changes) = Store::create(&mut environment);
        let stored = (1..=count).map(|number| Change::Put(credential(number)));
        let mut records = Records::default();
        records.apply(&changes.into_iter().chain(stored).collect::<Vec<_>>());
        let store = records.load().expect("records of a store");
        let mut key = authenticator_with(environment, store);
        let request = login_without_a_list(format!("site{}.example", count / 2 + 1));
        assert_eq!(carry_out(&mut key, &request).first(), Some(&0));
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| carry_out(&mut key, black_box(&request)));
        });
    }
    group.finish();
}

/// A login without a list of credentials, and without a touch.
fn login_without_a_list(rp_id: String) -> Vec<u8> {
    Request::GetAssertion(get_assertion::Request {
        relying_party_id: rp_id,
        client_data_hash: [2; 32],
        allow_list: Vec::new(),
        extensions: None,
        options: RequestOptions { up: Some(false), ..RequestOptions::default() },
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

fn credential(number: u64) -> StoredCredential {
    StoredCredential {
        id: [&[1; 40][..], &number.to_be_bytes()].concat(),
        relying_party_id: format!("site{number}.example"),
        private_key: PrivateKey::from_bytes(Algorithm::Es256, &[1; 32]).expect("a scalar"),
        discoverable: Some(Discoverable {
            user: User { id: vec![1; 16], name: Some("root@pam".into()), display_name: None },
            creation: number,
        }),
        properties: Properties::default(),
        has_large_blob_key: false,
        cred_blob: Vec::new(),
        own: None,
    }
}

fn committing(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("login without a touch, through the key's task");
    for (name, state) in [("in memory", None), ("durable", Some(directory.path().to_owned()))] {
        let (rack, key) = runtime.block_on(async {
            let specification = KeySpecification::built_in("keyrig", "a").expect("it comes with keyrig");
            let options = Options { state, ..Options::default() };
            let rack = Rack::start(options, vec![specification]).await.expect("a rack");
            let key = rack.key(&"a".parse().expect("a name")).expect("it is there");
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
    targets = computing, entering_a_pin, looking_up, committing
}
criterion_main!(benches);
