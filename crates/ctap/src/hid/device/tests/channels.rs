//! Opening, resynchronising and forgetting channels.

use super::*;

#[test]
fn init_on_broadcast_answers_17_bytes_on_broadcast() {
    let mut bench = Bench::with_capabilities(Capabilities(0x05));
    bench.random = vec![A];
    let reports = bench.exchange(first(BROADCAST, INIT, 8, &NONCE));
    let expected = report(&[
        0xff, 0xff, 0xff, 0xff, 0x86, 0x00, 0x11, // broadcast, INIT, 17 bytes
        0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, // the nonce
        0x11, 0x22, 0x33, 0x44, // the channel
        0x02, 0x05, 0x04, 0x03, 0x05, // protocol 2, device 5.4.3, WINK and CBOR
    ]);
    assert_eq!(reports, [expected]);
}

#[test]
fn a_channel_is_never_0_broadcast_or_one_already_open() {
    let mut bench = Bench::new();
    let cases = [
        ([0, 0, 0, 0], [0, 0, 0, 1]),
        ([0, 0, 0, 0], [0, 0, 0, 2]),
        ([0xff; 4], [0, 0, 0, 3]),
        (A, [0x11, 0x22, 0x33, 0x45]),
    ];
    for (random, channel) in cases {
        bench.random = vec![random];
        assert_eq!(bench.exchange(first(BROADCAST, INIT, 8, &NONCE)), [init_response(BROADCAST, channel, 5)]);
    }
}

#[test]
fn init_of_another_length_than_8_is_invalid_len() {
    let mut bench = Bench::new();
    for channel in [BROADCAST, A] {
        for length in [0, 7, 9, 57, 58, 7609, 0xffff] {
            assert_eq!(bench.exchange(first(channel, INIT, length, &NONCE)), [error(channel, INVALID_LEN)]);
            assert_eq!(bench.exchange(next(channel, 0, &[])), NOTHING, "no message has begun");
        }
    }
    bench.assert_idle();
}

#[test]
fn init_on_an_open_channel_answers_with_that_channel() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)]);
    bench.assert_idle();
}

#[test]
fn init_on_a_channel_that_is_not_open_is_invalid_channel() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(UNKNOWN, INIT, 8, &NONCE)), [error(UNKNOWN, INVALID_CHANNEL)]);
    bench.request(A, CBOR);
    assert_eq!(bench.exchange(first(UNKNOWN, INIT, 8, &NONCE)), [error(UNKNOWN, INVALID_CHANNEL)]);
}

#[test]
fn channel_0_is_invalid_channel() {
    let mut bench = Bench::new();
    for command in [INIT, PING, CBOR, WINK, 0xc0] {
        assert_eq!(bench.exchange(first([0; 4], command, 8, &NONCE)), [error([0; 4], INVALID_CHANNEL)]);
    }
}

#[test]
fn broadcast_is_for_init_only() {
    let mut bench = Bench::new();
    for command in [PING, MSG, LOCK, WINK, CBOR, 0xc0] {
        assert_eq!(bench.exchange(first(BROADCAST, command, 8, &NONCE)), [error(BROADCAST, INVALID_CHANNEL)]);
    }
}

#[test]
fn a_channel_that_was_never_given_out_is_invalid_channel() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(UNKNOWN, PING, 1, &[1])), [error(UNKNOWN, INVALID_CHANNEL)]);
}

#[test]
fn init_on_broadcast_works_while_another_channel_is_busy() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    bench.random = vec![UNKNOWN];
    assert_eq!(bench.exchange(first(BROADCAST, INIT, 8, &NONCE)), [init_response(BROADCAST, UNKNOWN, 5)]);
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
}

#[test]
fn init_on_an_open_channel_leaves_the_transaction_of_another_alone() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    assert_eq!(bench.exchange(first(B, INIT, 8, &NONCE)), [init_response(B, B, 5)]);
    assert_eq!(bench.events(), []);
    bench.device.respond(id, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
}

#[test]
fn init_aborts_a_message_that_is_still_coming() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)]);
    assert_eq!(bench.exchange(next(A, 0, &[])), NOTHING, "the rest of it is stray");
    assert_eq!(bench.pass(1000), [], "and it does not time out");
    bench.assert_idle();
}

#[test]
fn init_aborts_a_request_and_its_late_response_answers_nothing() {
    let mut bench = Bench::new();
    let aborted = bench.request(A, CBOR);
    bench.device.set_status(aborted, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)], "no keepalive any more");
    assert_eq!(bench.events(), [DeviceEvent::Abort(aborted)]);

    let second = bench.request(A, CBOR);
    assert_eq!(bench.device.respond(aborted, vec![0x2d]), Err(RespondError::NotPending));
    assert_eq!(bench.device.set_status(aborted, KeepaliveStatus::UpNeeded, bench.now), Err(RespondError::NotPending));
    assert_eq!(bench.reports(), NOTHING);
    bench.device.respond(second, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(A, CBOR, 1, &[0])]);
}

#[test]
fn init_drops_what_is_left_of_a_response() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    bench.device.respond(id, vec![9; 200]).unwrap();
    assert_eq!(bench.device.poll_report(), Some(first(A, CBOR, 200, &[9; 57])));
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)]);
    assert_eq!(bench.events(), [], "the request was answered");
    bench.assert_idle();
}

#[test]
fn a_channel_that_speaks_outlives_a_younger_one_that_does_not() {
    let mut bench = Bench::new();
    let ping_a = first(A, PING, 1, &[1]);
    assert_eq!(bench.exchange(ping_a), [ping_a]);
    for number in 1..=255_u32 {
        bench.random = vec![number.to_be_bytes()];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports().len(), 1);
    }
    assert_eq!(bench.exchange(first(B, PING, 1, &[1])), [error(B, INVALID_CHANNEL)]);
    assert_eq!(bench.exchange(ping_a), [ping_a]);
}

#[test]
fn the_channel_that_was_silent_longest_makes_room_but_never_a_busy_or_locking_one() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(B, LOCK, 1, &[10])), [first(B, LOCK, 0, &[])]);
    let busy = bench.request(B, CBOR);
    // A was given out first and has not spoken since, B second.
    for number in 1..=254_u32 {
        bench.random = vec![number.to_be_bytes()];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports().len(), 1);
    }
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)], "256 are remembered");
    for number in 1000..1300_u32 {
        bench.random = vec![number.to_be_bytes()];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports().len(), 1);
    }
    bench.device.respond(busy, vec![0]).unwrap();
    assert_eq!(bench.reports(), [first(B, CBOR, 1, &[0])]);
    assert_eq!(bench.exchange(first(B, PING, 0, &[])), [first(B, PING, 0, &[])]);
    assert_eq!(bench.exchange(first(B, LOCK, 1, &[0])), [first(B, LOCK, 0, &[])]);
    assert_eq!(bench.exchange(first(A, PING, 0, &[])), [error(A, INVALID_CHANNEL)]);
    let newest = 1299_u32.to_be_bytes();
    assert_eq!(bench.exchange(first(newest, PING, 0, &[])), [first(newest, PING, 0, &[])]);
}

#[test]
fn power_loss_closes_channels_releases_the_lock_and_aborts() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[10])), [first(A, LOCK, 0, &[])]);
    let id = bench.request(A, CBOR);
    bench.device.set_status(id, KeepaliveStatus::UpNeeded, bench.now).unwrap();
    bench.device.power_cycle();
    assert_eq!(bench.events(), [DeviceEvent::Abort(id)]);
    assert_eq!(bench.reports(), NOTHING);
    assert_eq!(bench.device.poll_timeout(), None);
    assert_eq!(bench.device.respond(id, vec![0]), Err(RespondError::NotPending));
    assert_eq!(bench.exchange(first(A, PING, 0, &[])), [error(A, INVALID_CHANNEL)]);
    bench.random = vec![B];
    assert_eq!(bench.exchange(first(BROADCAST, INIT, 8, &NONCE)), [init_response(BROADCAST, B, 5)]);
    assert_eq!(bench.exchange(first(B, PING, 0, &[])), [first(B, PING, 0, &[])]);
}
