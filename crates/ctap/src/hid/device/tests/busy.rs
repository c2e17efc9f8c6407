//! Sequence, time, and who is told to wait.

use super::*;

#[test]
fn a_stray_continuation_is_ignored() {
    let mut bench = Bench::new();
    for channel in [A, UNKNOWN, BROADCAST, [0; 4]] {
        assert_eq!(bench.exchange(next(channel, 0, &[1])), NOTHING);
    }
    bench.assert_idle();
}

#[test]
fn a_wrong_sequence_number_is_invalid_seq_and_ends_the_message() {
    for wrong in [1, 2, 127] {
        let mut bench = Bench::new();
        bench.send(first(A, PING, 99, &[]));
        assert_eq!(bench.exchange(next(A, wrong, &[])), [error(A, INVALID_SEQ)]);
        assert_eq!(bench.exchange(next(A, 0, &[])), NOTHING);
        assert_eq!(bench.pass(1000), []);
        bench.assert_idle();
    }
}

#[test]
fn a_repeated_packet_is_invalid_seq() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 200, &[]));
    bench.send(next(A, 0, &[]));
    assert_eq!(bench.exchange(next(A, 0, &[])), [error(A, INVALID_SEQ)]);
}

#[test]
fn a_message_that_begins_inside_another_on_its_channel_is_invalid_seq() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    assert_eq!(bench.exchange(first(A, PING, 99, &[])), [error(A, INVALID_SEQ)]);
    assert_eq!(bench.exchange(next(A, 0, &[])), NOTHING);
    assert_eq!(bench.pass(1000), []);
    bench.assert_idle();
}

#[test]
fn another_channel_in_the_middle_of_a_message_is_channel_busy_and_disturbs_nothing() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 116, &[3; 57]));
    assert_eq!(bench.exchange(first(B, PING, 116, &[4; 57])), [error(B, CHANNEL_BUSY)]);
    assert_eq!(bench.exchange(next(B, 0, &[4; 59])), NOTHING, "only initialisation packets are answered");
    assert_eq!(bench.exchange(next(A, 0, &[3; 59])), [first(A, PING, 116, &[3; 57]), next(A, 0, &[3; 59])]);
}

#[test]
fn busy_is_said_even_to_a_channel_that_is_not_open() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    assert_eq!(bench.exchange(first(UNKNOWN, PING, 1, &[])), [error(UNKNOWN, CHANNEL_BUSY)]);
}

#[test]
fn a_message_that_does_not_go_on_times_out_after_500_ms() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    assert_eq!(bench.pass(499), []);
    assert_eq!(bench.pass(1), [(1, error(A, MSG_TIMEOUT))]);
    assert_eq!(bench.exchange(next(A, 0, &[])), NOTHING);
    bench.assert_idle();
}

#[test]
fn every_packet_has_500_ms() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 58 + 59, &[]));
    assert_eq!(bench.pass(499), []);
    bench.send(next(A, 0, &[]));
    assert_eq!(bench.pass(499), []);
    assert_eq!(bench.exchange(next(A, 1, &[])).len(), 3);
}

#[test]
fn a_packet_after_the_deadline_comes_too_late_even_if_the_timer_does_too() {
    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    bench.now += Duration::from_millis(500);
    assert_eq!(bench.exchange(next(A, 0, &[])), [error(A, MSG_TIMEOUT)]);
}

#[test]
fn a_device_that_had_no_processor_at_the_deadline_takes_what_came_meanwhile() {
    for (late, more) in [(100, 100), (5_000, 500)] {
        for comes in [true, false] {
            let mut bench = Bench::new();
            bench.send(first(A, PING, 60, &[]));
            bench.now += Duration::from_millis(500 + late);
            bench.device.handle_timeout(bench.now);
            assert_eq!(bench.pass(more - 1), []);
            if comes {
                assert_eq!(bench.exchange(next(A, 0, &[])).len(), 2);
            } else {
                assert_eq!(bench.pass(1), [(1, error(A, MSG_TIMEOUT))]);
            }
            bench.assert_idle();
        }
    }

    let mut bench = Bench::new();
    bench.send(first(A, PING, 99, &[]));
    bench.now += Duration::from_secs(1);
    bench.device.handle_timeout(bench.now);
    bench.now += Duration::from_secs(1);
    bench.device.handle_timeout(bench.now);
    assert_eq!(bench.reports(), [error(A, MSG_TIMEOUT)], "once");
}

#[test]
fn other_channels_are_busy_until_the_last_packet_of_the_response_is_taken() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    assert_eq!(bench.exchange(first(B, CBOR, 1, &[4])), [error(B, CHANNEL_BUSY)]);
    bench.device.respond(id, vec![5; 58]).unwrap();
    assert_eq!(bench.device.poll_report(), Some(first(A, CBOR, 58, &[5; 57])));
    bench.send(first(B, CBOR, 1, &[4]));
    assert_eq!(bench.reports(), [next(A, 0, &[5]), error(B, CHANNEL_BUSY)]);
    assert_eq!(bench.events(), []);
    bench.request(B, CBOR);
}

#[test]
fn a_second_request_on_the_channel_of_the_first_is_channel_busy() {
    let mut bench = Bench::new();
    for command in [CBOR, MSG] {
        let id = bench.request(A, command);
        assert_eq!(bench.exchange(first(A, CBOR, 1, &[4])), [error(A, CHANNEL_BUSY)]);
        assert_eq!(bench.exchange(first(A, PING, 1, &[4])), [error(A, CHANNEL_BUSY)]);
        assert_eq!(bench.events(), []);
        bench.device.respond(id, vec![1]).unwrap();
        assert_eq!(bench.reports(), [first(A, command, 1, &[1])]);
    }
}

#[test]
fn a_host_that_writes_and_never_reads_costs_bounded_memory() {
    let mut bench = Bench::new();
    let id = bench.request(A, CBOR);
    for number in 0..1000_u32 {
        bench.random = vec![number.to_be_bytes()];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        bench.send(first(B, PING, 1, &[1]));
        let status = if number % 2 == 0 { KeepaliveStatus::UpNeeded } else { KeepaliveStatus::Processing };
        bench.device.set_status(id, status, bench.now).unwrap();
        bench.now += Duration::from_millis(100);
        bench.device.handle_timeout(bench.now);
        assert!(bench.device.outgoing.len() <= 34, "{} reports wait", bench.device.outgoing.len());
    }
    bench.device.respond(id, vec![0; 7609]).unwrap();
    for _ in 0..1000 {
        bench.send(first(A, PING, 1, &[1]));
        bench.send(first(B, PING, 1, &[1]));
    }
    let reports = bench.reports();
    assert!(reports.len() <= 34 + 129, "{} reports wait", reports.len());
    let response = reports.iter().filter(|report| report[..4] == A && (report[4] == CBOR || report[4] < 0x80));
    assert_eq!(response.count(), 129, "nothing of the response is missing");
    bench.assert_idle();
}
