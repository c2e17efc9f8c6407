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
fn a_peer_without_room_keeps_nobody_from_theirs() {
    let mut bench = shared();
    bench.send_from(ALICE, first(A, PING, 1, &[1]));
    bench.send_from(BOB, first(B, PING, 1, &[2]));
    assert_eq!(bench.device.poll_report_to(|peer| peer == BOB), Some((BOB, error(B, CHANNEL_BUSY))));
    assert_eq!(bench.device.poll_report_to(|peer| peer == BOB), None);
    // Until Alice has taken her answer the device is hers.
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[2]))[0], (ALICE, first(A, PING, 1, &[1])));
    assert_eq!(bench.exchange_from(BOB, first(B, PING, 1, &[2])), [(BOB, first(B, PING, 1, &[2]))]);
}
