//! Several hosts that share a device: each hears of its own channels only.

use super::*;
use crate::hid::Peer;

const ALICE: Peer = Peer(1);
const BOB: Peer = Peer(2);

/// A device on which Alice has opened A and Bob B.
fn shared() -> Bench {
    let mut bench = Bench::with_capabilities(Capabilities::WINK.with(Capabilities::CBOR));
    bench.random = vec![B, A];
    bench.send_from(ALICE, first(BROADCAST, INIT, 8, &NONCE));
    bench.send_from(BOB, first(BROADCAST, INIT, 8, &NONCE));
    // The same nonce twice: who asked decides, not what was asked.
    assert_eq!(
        bench.reports_to_all(),
        [(ALICE, init_response(BROADCAST, A, 5)), (BOB, init_response(BROADCAST, B, 5))]
    );
    bench
}

impl Bench {
    fn send_from(&mut self, peer: Peer, report: Report) {
        let random = &mut self.random;
        self.device.receive_from(peer, &report, self.now, &mut |bytes: &mut [u8]| {
            bytes.copy_from_slice(&random.pop().expect("an unexpected call for randomness"));
        });
    }

    fn reports_to_all(&mut self) -> Vec<(Peer, Report)> {
        std::iter::from_fn(|| self.device.poll_report_to(|_| true)).collect()
    }

    fn exchange_from(&mut self, peer: Peer, report: Report) -> Vec<(Peer, Report)> {
        self.send_from(peer, report);
        self.reports_to_all()
    }

    fn request_from(&mut self, peer: Peer, channel: [u8; 4]) -> RequestId {
        self.send_from(peer, first(channel, CBOR, 1, &[0x04]));
        match self.events().as_slice() {
            [DeviceEvent::Request { id, .. }] => *id,
            other => panic!("{other:?} where one request was sent"),
        }
    }
}

#[test]
fn answers_keepalives_and_errors_go_to_whose_the_channel_is() {
    let mut bench = shared();
    let ping = first(B, PING, 60, &[7; 57]);
    assert_eq!(bench.exchange_from(BOB, ping), []);
    let rest = next(B, 0, &[7; 3]);
    assert_eq!(bench.exchange_from(BOB, rest), [(BOB, ping), (BOB, rest)]);

    let id = bench.request_from(ALICE, A);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.reports_to_all(), [(ALICE, first(A, KEEPALIVE, 1, &[2]))]);
    assert_eq!(bench.exchange_from(BOB, first(B, CBOR, 1, &[4])), [(BOB, error(B, CHANNEL_BUSY))]);
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports_to_all(), [(ALICE, first(A, CBOR, 1, &[0]))]);

    bench.send_from(ALICE, first(A, PING, 99, &[]));
    bench.now += Duration::from_millis(500);
    bench.device.handle_timeout(bench.now);
    assert_eq!(bench.reports_to_all(), [(ALICE, error(A, MSG_TIMEOUT))]);
    assert_eq!(bench.exchange_from(BOB, first(B, LOCK, 1, &[11])), [(BOB, error(B, INVALID_PAR))]);
}

#[test]
fn errors_on_channels_that_are_nobody_s_go_to_whoever_caused_them() {
    let mut bench = shared();
    for peer in [ALICE, BOB] {
        for (report, expected) in [
            (first(BROADCAST, INIT, 7, &NONCE), error(BROADCAST, INVALID_LEN)),
            (first(BROADCAST, PING, 0, &[]), error(BROADCAST, INVALID_CHANNEL)),
            (first(UNKNOWN, PING, 0, &[]), error(UNKNOWN, INVALID_CHANNEL)),
            (first([0; 4], INIT, 8, &NONCE), error([0; 4], INVALID_CHANNEL)),
        ] {
            assert_eq!(bench.exchange_from(peer, report), [(peer, expected)]);
        }
    }
}

#[test]
fn a_channel_is_open_for_the_peer_that_opened_it_alone() {
    let mut bench = shared();
    let refused = [(BOB, error(A, INVALID_CHANNEL))];
    for report in [first(A, PING, 0, &[]), first(A, INIT, 8, &NONCE), first(A, LOCK, 1, &[10])] {
        assert_eq!(bench.exchange_from(BOB, report), refused);
    }

    // Bob's packets neither complete nor spoil Alice's message.
    let ping = first(A, PING, 60, &[7; 57]);
    bench.send_from(ALICE, ping);
    assert_eq!(bench.exchange_from(BOB, next(A, 0, &[6; 3])), []);
    assert_eq!(bench.exchange_from(BOB, next(A, 9, &[])), []);
    assert_eq!(bench.exchange_from(ALICE, next(A, 0, &[7; 3])), [(ALICE, ping), (ALICE, next(A, 0, &[7; 3]))]);

    // Nor do they cancel or abort her request.
    let id = bench.request_from(ALICE, A);
    assert_eq!(bench.exchange_from(BOB, first(A, CANCEL, 0, &[])), []);
    assert_eq!(bench.exchange_from(BOB, first(A, INIT, 8, &NONCE)), refused);
    assert_eq!(bench.events(), []);
    bench.send_from(ALICE, first(A, CANCEL, 0, &[]));
    assert_eq!(bench.events(), [DeviceEvent::Cancel(id)]);
    bench.device.respond(id, vec![0x2d]).unwrap();
    assert_eq!(bench.reports_to_all(), [(ALICE, first(A, CBOR, 1, &[0x2d]))]);
}

#[test]
fn a_peer_that_leaves_its_answer_unread_keeps_nobody_but_itself_from_theirs() {
    let mut bench = shared();
    let id = bench.request_from(ALICE, A);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    bench.device.respond(id, vec![9; 60]).unwrap();
    let for_bob = |bench: &mut Bench| std::iter::from_fn(|| bench.device.poll_report_to(|peer| peer == BOB)).collect();

    // Bob is served, and told every 80 ms that he is, whatever of Alice's waits.
    for answer in 1..=3 {
        let id = bench.request_from(BOB, B);
        bench.now += Duration::from_millis(80);
        bench.device.handle_timeout(bench.now);
        bench.device.respond(id, vec![answer]).unwrap();
        let reports: Vec<_> = for_bob(&mut bench);
        assert_eq!(reports, [(BOB, first(B, KEEPALIVE, 1, &[1])), (BOB, first(B, CBOR, 1, &[answer]))]);
    }
    // She has to read before she asks again, on any channel.
    bench.random = vec![UNKNOWN];
    bench.send_from(ALICE, first(BROADCAST, INIT, 8, &NONCE));
    for channel in [A, UNKNOWN] {
        bench.send_from(ALICE, first(channel, PING, 1, &[1]));
    }
    assert_eq!(
        bench.reports_to_all(),
        [
            (ALICE, first(A, KEEPALIVE, 1, &[2])),
            (ALICE, first(A, CBOR, 60, &[9; 57])),
            (ALICE, next(A, 0, &[9; 3])),
            (ALICE, init_response(BROADCAST, UNKNOWN, 5)),
            (ALICE, error(A, CHANNEL_BUSY)),
            (ALICE, error(UNKNOWN, CHANNEL_BUSY)),
        ]
    );
    assert_eq!(bench.exchange_from(ALICE, first(A, PING, 1, &[1])), [(ALICE, first(A, PING, 1, &[1]))]);
}

#[test]
fn what_a_peer_leaves_unread_is_forgotten_before_what_another_does() {
    let mut bench = shared();
    bench.send_from(BOB, first(B, PING, 1, &[1]));
    bench.send_from(BOB, first(B, PING, 2, &[2]));
    for _ in 0..1000 {
        bench.send_from(ALICE, first(UNKNOWN, PING, 0, &[]));
    }
    let (alice, bob): (Vec<_>, Vec<_>) = bench.reports_to_all().into_iter().partition(|(peer, _)| *peer == ALICE);
    assert_eq!(bob, [(BOB, first(B, PING, 1, &[1])), (BOB, error(B, CHANNEL_BUSY))]);
    assert_eq!(alice, vec![(ALICE, error(UNKNOWN, INVALID_CHANNEL)); 32]);
}

#[test]
fn a_peer_that_leaves_takes_its_request_and_its_lock_with_it() {
    let mut bench = shared();
    assert_eq!(bench.exchange_from(ALICE, first(A, LOCK, 1, &[10])), [(ALICE, first(A, LOCK, 0, &[]))]);
    let id = bench.request_from(ALICE, A);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert!(bench.device.is_in_use_by(ALICE, bench.now) && !bench.device.is_in_use_by(BOB, bench.now));

    bench.device.disconnect(BOB);
    assert_eq!(bench.events(), [], "Bob's leaving is not Alice's");
    bench.random = vec![B];
    assert_eq!(
        bench.exchange_from(BOB, first(BROADCAST, INIT, 8, &NONCE)),
        [(ALICE, first(A, KEEPALIVE, 1, &[2])), (BOB, init_response(BROADCAST, B, 5))]
    );

    bench.device.disconnect(ALICE);
    assert_eq!(bench.events(), [DeviceEvent::Abort(id)]);
    assert!(!bench.device.is_in_use_by(ALICE, bench.now));
    assert_eq!(bench.device.respond(id, vec![0]), Err(RespondError::NotPending));
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[1])), [(BOB, first(B, PING, 1, &[1]))]);
    assert_eq!(bench.exchange_from(ALICE, first(A, PING, 1, &[1])), [(ALICE, error(A, INVALID_CHANNEL))]);
}

#[test]
fn a_peer_that_leaves_in_the_middle_of_a_message_or_an_answer_frees_the_device() {
    let mut bench = shared();
    bench.send_from(ALICE, first(A, PING, 99, &[]));
    bench.device.disconnect(ALICE);
    assert_eq!(bench.device.poll_timeout(), None);
    bench.random = vec![A];
    bench.send_from(ALICE, first(BROADCAST, INIT, 8, &NONCE));
    bench.send_from(ALICE, first(A, PING, 200, &[5; 57]));
    for sequence in 0..3 {
        bench.send_from(ALICE, next(A, sequence, &[5; 59]));
    }
    bench.device.disconnect(ALICE);
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[1])), [(BOB, first(B, PING, 1, &[1]))]);
}

#[test]
fn the_channels_of_a_peer_that_opens_many_make_room_first() {
    let mut bench = shared();
    let open = |bench: &mut Bench, number: u32| {
        bench.random = vec![number.to_be_bytes()];
        bench.send_from(ALICE, first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports_to_all().len(), 1);
    };
    for number in 1..=300 {
        open(&mut bench, number);
    }
    // Bob has been silent the whole time.
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[1])), [(BOB, first(B, PING, 1, &[1]))]);
    assert_eq!(bench.exchange_from(ALICE, first(A, PING, 0, &[])), [(ALICE, error(A, INVALID_CHANNEL))]);

    // A third one finds room, and it is Alice's, until she has no more than the others.
    let carol = Peer(3);
    for number in 1000..1300_u32 {
        bench.random = vec![number.to_be_bytes()];
        bench.send_from(carol, first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports_to_all().len(), 1);
    }
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[1])), [(BOB, first(B, PING, 1, &[1]))]);
    let has = |bench: &mut Bench, peer: Peer, number: u32| {
        let ping = first(number.to_be_bytes(), PING, 0, &[]);
        bench.exchange_from(peer, ping) == [(peer, ping)]
    };
    let alices = (1..=300).filter(|number| has(&mut bench, ALICE, *number)).count();
    let carols = (1000..1300).filter(|number| has(&mut bench, carol, *number)).count();
    assert_eq!(alices + carols, 255);
    assert!(alices.abs_diff(carols) <= 1, "{alices} and {carols}");
}
