//! What stands at a key's seams costs: getAssertion over USB/IP on loopback with nothing there, with faults of which none is on, with one
//! on that never happens, and with a transcript in each format.
//!
//! Client, server and key share one thread; whoever writes has one of its own. On one core (`taskset -c 0`) decoding and writing is
//! part of what is measured.

use core::hint::black_box;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use keyrig_client::channel::{Cancel, Channel};
use keyrig_ctap::authenticator_data::AuthenticatorData;
use keyrig_ctap::entities::{
    CredentialDescriptor, CredentialParameters, Options as CtapOptions, PinUvAuth, RelyingParty, User,
};
use keyrig_ctap::{Request, get_assertion, make_credential, parse_response};
use keyrig_faults::transcript::{Format, Output, Recorder, Secrets};
use keyrig_faults::{Absent, Faults};
use keyrig_rack::{KeySpecification, Options, Rack};
use keyrig_usb::Limits;
use keyrig_ways::usb_ip;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn registration() -> Vec<u8> {
    Request::MakeCredential(make_credential::Request {
        client_data_hash: [1; 32],
        relying_party: RelyingParty { id: "example.com".into(), name: Some("Example".into()) },
        user: User { id: vec![1; 16], name: Some("root@pam".into()), display_name: Some("root".into()) },
        parameters: vec![CredentialParameters::public_key(-7)],
        exclude_list: Vec::new(),
        extensions: None,
        options: CtapOptions::default(),
        pin_uv_auth: PinUvAuth::default(),
        enterprise_attestation: None,
        attestation_formats_preference: None,
    })
    .encode()
}

/// A login with the credential that a registration answered with.
fn login(registered: &[u8]) -> Vec<u8> {
    let registered =
        make_credential::Response::decode(parse_response(registered).expect("made")).expect("a credential");
    let data = AuthenticatorData::decode(&registered.authenticator_data).expect("authenticator data");
    let id = data.attested_credential_data.expect("a credential").credential_id;
    Request::GetAssertion(get_assertion::Request {
        relying_party_id: "example.com".into(),
        client_data_hash: [2; 32],
        allow_list: vec![CredentialDescriptor::public_key(id)],
        extensions: None,
        options: CtapOptions::default(),
        pin_uv_auth: PinUvAuth::default(),
    })
    .encode()
}

/// What stands there, and how it is written down.
#[derive(Clone, Copy)]
enum Trace {
    Nothing,
    /// Faults, of which these are on.
    Faults(&'static [&'static str]),
    Jsonl,
    Text,
    Pcapng,
}

fn bench(criterion: &mut Criterion, name: &str, trace: Trace) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let keys = vec![KeySpecification::built_in("keyrig", "a").expect("built in")];
    let format = match trace {
        Trace::Nothing | Trace::Faults(_) => None,
        Trace::Jsonl => Some(Format::Jsonl),
        Trace::Text => Some(Format::Text),
        Trace::Pcapng => Some(Format::Pcapng),
    };
    let recorder = format.map(|format| {
        let recorder = Recorder::new(&keys, Secrets::Masked);
        let file = std::fs::File::create("/dev/null").expect("it is there");
        recorder.write_to(Output::new(format), file).expect("a thread");
        recorder
    });
    let mut options = Options::default();
    if let Some(recorder) = &recorder {
        options.seams = vec![Arc::new(recorder.clone())];
    }
    if let Trace::Faults(on) = trace {
        let faults = Faults::new(Some(1), Absent::nothing());
        let a = "a".parse().expect("a name");
        for fault in on {
            faults.switch_on(&a, fault.parse().expect("a fault")).expect("few");
        }
        options.seams = vec![Arc::new(faults)];
    }
    let (rack, mut channel) = runtime.block_on(async {
        let rack = Rack::start(options, keys).await.expect("a rack");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = listener.local_addr().expect("bound");
        tokio::spawn(keyrig_usb::serve(listener, rack.exports().clone(), Limits::default()));
        (rack, usb_ip(server, "1-1").await.expect("exported"))
    });
    let mut ignore = |_| {};
    let registered = runtime.block_on(channel.transact(&registration(), Cancel::never(), &mut ignore)).expect("made");
    let login = login(&registered);
    criterion.bench_function(&format!("getAssertion over USB/IP/{name}"), |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..iterations {
                    let answer = channel.transact(&login, Cancel::never(), &mut |_| {}).await;
                    black_box(answer.expect("an answer"));
                }
                began.elapsed()
            })
        });
    });
    if let Some(recorder) = recorder {
        recorder.finish().expect("written");
    }
    drop(rack);
}

/// Each is looked at, and none happens.
const NEVER: [&str; 4] = [
    "ctaphid-wrong-channel,command=reset",
    "ctap-empty,command=reset",
    "bad-signature,command=reset",
    "usb-short-read,nth=4294967295",
];

fn traces(criterion: &mut Criterion) {
    bench(criterion, "without a transcript", Trace::Nothing);
    bench(criterion, "faults, none on", Trace::Faults(&[]));
    bench(criterion, "a fault on at each layer of answers, of another command", Trace::Faults(&NEVER));
    bench(criterion, "lines of JSON", Trace::Jsonl);
    bench(criterion, "text", Trace::Text);
    bench(criterion, "pcapng", Trace::Pcapng);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = traces
}
criterion_main!(benches);
