//! What the authenticator adds to bare cryptography: CTAP bytes in, CTAP bytes out, for both cryptographic libraries; and what a
//! commit costs on the disk.
//!
//! Register is packed attestation with a certificate: one key generated, one signature. Login is one signature.

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
use keyrig_ctap::entities::{CredentialDescriptor, CredentialParameters, Options, PinUvAuth, RelyingParty, User};
use keyrig_ctap::{Request, get_assertion, make_credential};
use keyrig_rack::crypto::{Graviola, System};
use keyrig_rack::{KeySpecification, Options as RackOptions, Rack};
use tokio::runtime::Builder;

fn libraries() -> Vec<fn() -> Box<dyn Crypto>> {
    let mut libraries: Vec<fn() -> Box<dyn Crypto>> = vec![|| Box::new(Portable)];
    if Graviola::new().is_some() {
        libraries.push(|| Box::new(Graviola::new().expect("found above")));
    }
    libraries
}

fn register() -> Vec<u8> {
    Request::MakeCredential(make_credential::Request {
        client_data_hash: [1; 32],
        relying_party: RelyingParty { id: "example.com".into(), name: Some("Example".into()) },
        user: User { id: vec![1; 16], name: Some("root@pam".into()), display_name: Some("root".into()) },
        parameters: vec![CredentialParameters::public_key(-7), CredentialParameters::public_key(-257)],
        exclude_list: Vec::new(),
        extensions: None,
        options: Options::default(),
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    })
    .encode()
}

fn login(credential_id: Vec<u8>, up: bool) -> Vec<u8> {
    Request::GetAssertion(get_assertion::Request {
        relying_party_id: "example.com".into(),
        client_data_hash: [2; 32],
        allow_list: vec![CredentialDescriptor::public_key(credential_id)],
        extensions: None,
        options: Options { up: (!up).then_some(false), ..Options::default() },
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

fn credential_id(response: &[u8]) -> Vec<u8> {
    let response = make_credential::Response::decode(response.get(1..).expect("a status")).expect("a credential");
    let data = keyrig_ctap::authenticator_data::AuthenticatorData::decode(&response.authenticator_data);
    data.expect("authenticator data").attested_credential_data.expect("a credential").credential_id
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
            let options = RackOptions { state, ..RackOptions::default() };
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
