//! CBOR and MSG: keepalive, cancellation, response.

use super::*;

fn keepalive(status: u8) -> Report {
    first(A, KEEPALIVE, 1, &[status])
}

#[test]
fn a_request_is_reported_whole() {
    for (command, kind) in [(CBOR, RequestKind::Cbor), (MSG, RequestKind::Msg)] {
        let mut bench = Bench::new();
        bench.send(first(A, command, 60, &[1; 57]));
        assert_eq!(bench.events(), []);
        bench.send(next(A, 0, &[2; 3]));
        match bench.events().as_slice() {
            [DeviceEvent::Request { channel, kind: found, payload, .. }] => {
                assert_eq!(channel.0.to_be_bytes(), A);
                assert_eq!(*found, kind);
                assert_eq!(*payload, [vec![1; 57], vec![2; 3]].concat());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_response_goes_out_under_the_command_of_its_request() {
    for command in [CBOR, MSG] {
        let mut bench = Bench::new();
        let id = bench.request(A, command);
        bench.device.respond(id, vec![9; 60]).unwrap();
        assert_eq!(bench.reports(), [first(A, command, 60, &[9; 57]), next(A, 0, &[9; 3])]);
        assert_eq!(bench.device.respond(id, vec![9]), Err(RespondError::NotPending), "once only");
        bench.assert_idle();
    }
}

#[test]
fn a_response_that_does_not_fit_leaves_the_request_pending() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    let too_long = RespondError::TooLong(MessageTooLong { length: 7610 });
    assert_eq!(bench.device.respond(id, vec![0; 7610]), Err(too_long));
    assert_eq!(bench.reports(), NOTHING);
    bench.device.respond(id, vec![0; 7609]).unwrap();
    assert_eq!(bench.reports().len(), 129);
}

#[test]
fn keepalive_says_processing_at_least_every_100_ms() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    let keepalives = bench.pass(10_000);
    assert!(keepalives.iter().all(|(_, report)| *report == keepalive(1)));
    let times: Vec<u64> = keepalives.iter().map(|(after, _)| *after).collect();
    assert!(times[0] <= 100);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 100), "{times:?}");
    assert!((100..=150).contains(&times.len()), "enough, and no flood: {}", times.len());
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
    assert_eq!(bench.pass(1000), [], "none after the response");
}

#[test]
fn keepalive_says_up_needed_at_once_and_goes_on_saying_it() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    bench.pass(30);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.reports(), [keepalive(2)]);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.reports(), NOTHING, "that is no change");
    assert_eq!(bench.pass(50), [], "a change begins the interval anew");
    let keepalives = bench.pass(100);
    assert_eq!(keepalives.iter().map(|(_, report)| *report).collect::<Vec<_>>(), [keepalive(2)]);
    bench.device.set_status(id, KeepaliveStatus::Processing, bench.now).unwrap();
    assert_eq!(bench.reports(), [keepalive(1)]);
}

#[test]
fn a_quick_answer_has_no_keepalive() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    assert_eq!(bench.pass(10), []);
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
}

#[test]
fn up_needed_reaches_the_host_before_a_response_however_quick_the_touch() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    bench.device.set_status(id, KeepaliveStatus::Processing, bench.now).unwrap();
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports(), [keepalive(2), keepalive(1), first(A, CBOR, 1, &[0])]);
}

#[test]
fn a_host_that_does_not_read_finds_one_keepalive_and_causes_no_timer() {
    let mut bench = Bench::new();
    bench.request(A, CBOR);
    for _ in 0..100 {
        bench.now += Duration::from_millis(80);
        bench.device.handle_timeout(bench.now);
    }
    assert_eq!(bench.device.poll_timeout(), None);
    assert_eq!(bench.reports(), [keepalive(1)]);
    assert!(bench.device.poll_timeout().is_some(), "it goes on once the host reads");
}

#[test]
fn msg_has_no_keepalive() {
    let mut bench = Bench::new();
    let id = bench.request(A, MSG);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.device.poll_timeout(), None);
    assert_eq!(bench.pass(1000), []);
    bench.device.handle_timeout(bench.now);
    assert_eq!(bench.reports(), NOTHING);
    bench.device.respond(id, vec![0x69, 0x85]).unwrap();
    assert_eq!(bench.reports(), [first(A, MSG, 2, &[0x69, 0x85])]);
}

#[test]
fn cancel_is_reported_once_and_never_answered() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.reports(), [keepalive(2)]);
    assert_eq!(bench.exchange(first(A, CANCEL, 0, &[])), NOTHING);
    assert_eq!(bench.events(), [DeviceEvent::Cancel(id)]);
    assert_eq!(bench.exchange(first(A, CANCEL, 0, &[])), NOTHING);
    assert_eq!(bench.events(), [], "a second one is silent");
    bench.device.respond(id, vec![0x2d]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0x2d])], "CTAP2_ERR_KEEPALIVE_CANCEL");
    bench.assert_idle();
}

#[test]
fn cancel_without_a_request_that_can_be_cancelled_is_silent() {
    let cancel_everywhere = |bench: &mut Bench| {
        for channel in [A, B, UNKNOWN, BROADCAST, [0; 4]] {
            assert_eq!(bench.exchange(first(channel, CANCEL, 0, &[])), NOTHING);
        }
        assert_eq!(bench.events(), []);
    };
    let mut bench = Bench::new();
    cancel_everywhere(&mut bench);

    let id = bench.request(A, MSG);
    cancel_everywhere(&mut bench);
    bench.device.respond(id, vec![0x90, 0x00]).unwrap();
    assert_eq!(bench.reports(), [first(A, MSG, 2, &[0x90, 0x00])]);

    bench.send(first(A, PING, 58, &[6; 57]));
    cancel_everywhere(&mut bench);
    assert_eq!(bench.exchange(next(A, 0, &[6])).len(), 2, "the message goes on");

    let id = bench.request(A, CBOR);
    bench.device.respond(id, vec![0]).unwrap();
    bench.send(first(A, CANCEL, 0, &[]));
    assert_eq!(bench.events(), [], "too late");
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
}

#[test]
fn cancel_of_another_channel_or_with_a_payload_cancels_nothing() {
    let mut bench = Bench::new();
    bench.request(A, CBOR);
    for report in [first(B, CANCEL, 0, &[]), first(A, CANCEL, 1, &[1]), first(A, CANCEL, 7610, &[])] {
        assert_eq!(bench.exchange(report), NOTHING);
        assert_eq!(bench.events(), []);
    }
}
