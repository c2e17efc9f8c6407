//! PING, WINK, LOCK, and commands that are not there.

use super::*;

#[test]
fn ping_sends_0_1_57_58_1024_and_7609_bytes_back() {
    let mut bench = Bench::new();
    for length in [0, 1, 57, 58, 1024, 7609_u16] {
        let payload: Vec<u8> = (0..=255).cycle().take(usize::from(length)).collect();
        let mut request = vec![first(A, PING, length, &payload[..payload.len().min(57)])];
        if let Some(rest) = payload.get(57..) {
            request.extend((0..).zip(rest.chunks(59)).map(|(sequence, data)| next(A, sequence, data)));
        }
        for report in &request {
            assert_eq!(bench.device.poll_report(), None, "no answer before the last packet");
            bench.send(*report);
        }
        assert_eq!(bench.reports(), request, "{length} bytes");
    }
    bench.assert_idle();
}

#[test]
fn wink_is_answered_empty_and_reported() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, WINK, 0, &[])), [first(A, WINK, 0, &[])]);
    assert_eq!(bench.events(), [DeviceEvent::Wink]);
    assert_eq!(bench.exchange(first(A, WINK, 1, &[1])), [error(A, INVALID_LEN)]);
    bench.assert_idle();
}

#[test]
fn commands_without_their_capability_are_invalid_cmd() {
    let nothing = Capabilities::NMSG;
    let cases = [
        (WINK, nothing, false),
        (CBOR, nothing, false),
        (MSG, nothing, false),
        (WINK, nothing.with(Capabilities::WINK), true),
        (CBOR, nothing.with(Capabilities::CBOR), true),
        (MSG, Capabilities::default(), true),
    ];
    for (command, capabilities, known) in cases {
        let mut bench = Bench::with_capabilities(capabilities);
        bench.random = vec![A];
        bench.send(first(BROADCAST, INIT, 8, &NONCE));
        assert_eq!(bench.reports(), [init_response(BROADCAST, A, capabilities.0)]);
        let length = u16::from(command != WINK);
        let refused = bench.exchange(first(A, command, length, &[1])) == [error(A, INVALID_CMD)];
        assert_eq!(refused, !known, "command {command:#04x}, capabilities {capabilities:?}");
        assert_eq!(bench.events().len(), usize::from(known));
    }
}

#[test]
fn any_other_command_is_invalid_cmd_also_keepalive_error_and_vendor_commands() {
    let known = [PING, MSG, LOCK, INIT, WINK, CBOR, CANCEL];
    let mut bench = Bench::new();
    for command in (0x80..=0xff).filter(|command| !known.contains(command)) {
        for length in [0, 1, 100] {
            assert_eq!(bench.exchange(first(A, command, length, &[1])), [error(A, INVALID_CMD)], "{command:#04x}");
        }
    }
    bench.assert_idle();
}

/// CTAP 2.3 §11.2.9.3: 0x40 to 0x7F belong to vendors.
#[test]
fn vendor_commands_that_the_device_has_are_answered_or_refused() {
    let mut bench = Bench::new();
    bench.device.config.vendor_commands = &[0x42];
    for length in [0, 1, 57, 58, 7609_u16] {
        let payload = vec![7; usize::from(length)];
        bench.send(first(A, 0xC2, length, &payload[..payload.len().min(57)]));
        for (sequence, data) in (0..).zip(payload.get(57..).unwrap_or_default().chunks(59)) {
            bench.send(next(A, sequence, data));
        }
        let events = bench.events();
        let [DeviceEvent::Vendor { id, command: 0x42, payload: found }] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(*found, payload);
        // It is a transaction like others, but for keepalives, which are of CTAP2, and CANCEL.
        assert_eq!(bench.exchange(first(B, PING, 0, &[])), [error(B, CHANNEL_BUSY)]);
        assert_eq!(bench.exchange(first(A, CANCEL, 0, &[])), NOTHING);
        assert_eq!((bench.events(), bench.pass(1000)), (vec![], vec![]));
        if length == 1 {
            bench.device.refuse(*id, crate::hid::ErrorCode::InvalidPar).unwrap();
            assert_eq!(bench.reports(), [error(A, INVALID_PAR)]);
        } else {
            bench.device.respond(*id, vec![1, 2]).unwrap();
            assert_eq!(bench.reports(), [first(A, 0xC2, 2, &[1, 2])]);
        }
        assert_eq!(bench.device.refuse(*id, crate::hid::ErrorCode::Other), Err(RespondError::NotPending));
        assert_eq!(bench.exchange(first(A, 0xC3, 0, &[])), [error(A, INVALID_CMD)]);
        bench.assert_idle();
    }
    bench.send(first(A, 0xC2, 0, &[]));
    let events = bench.events();
    let [DeviceEvent::Vendor { id, .. }] = events.as_slice() else { panic!("{events:?}") };
    bench.device.power_cycle();
    assert_eq!(bench.events(), [DeviceEvent::Abort(*id)]);
    assert_eq!(bench.device.refuse(*id, crate::hid::ErrorCode::Other), Err(RespondError::NotPending));
    assert_eq!(bench.reports(), NOTHING);
}

#[test]
fn a_request_without_a_byte_is_invalid_len() {
    let mut bench = Bench::new();
    for command in [CBOR, MSG] {
        assert_eq!(bench.exchange(first(A, command, 0, &[])), [error(A, INVALID_LEN)]);
    }
    bench.assert_idle();
}

#[test]
fn a_length_of_7610_is_invalid_len_at_once() {
    let mut bench = Bench::new();
    for command in [PING, CBOR, MSG] {
        for length in [7610, 0xffff] {
            assert_eq!(bench.exchange(first(A, command, length, &[1; 57])), [error(A, INVALID_LEN)]);
        }
    }
    assert_eq!(bench.exchange(next(A, 0, &[1; 59])), NOTHING);
    bench.assert_idle();
}

#[test]
fn lock_keeps_other_channels_out_until_it_expires() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[3])), [first(A, LOCK, 0, &[])]);
    let ping_a = first(A, PING, 1, &[1]);
    let ping_b = first(B, PING, 1, &[2]);
    assert_eq!(bench.exchange(ping_b), [error(B, CHANNEL_BUSY)]);
    assert_eq!(bench.exchange(ping_a), [ping_a]);
    assert_eq!(bench.exchange(first(B, LOCK, 1, &[0])), [error(B, CHANNEL_BUSY)], "only its holder releases it");
    bench.pass(2999);
    assert_eq!(bench.exchange(ping_b), [error(B, CHANNEL_BUSY)]);
    bench.pass(1);
    assert_eq!(bench.exchange(ping_b), [ping_b]);
}

#[test]
fn lock_is_prolonged_by_another_lock_and_released_by_0_seconds() {
    let mut bench = Bench::new();
    let ping_b = first(B, PING, 1, &[2]);
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[1])), [first(A, LOCK, 0, &[])]);
    bench.pass(900);
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[10])), [first(A, LOCK, 0, &[])]);
    bench.pass(9999);
    assert_eq!(bench.exchange(ping_b), [error(B, CHANNEL_BUSY)]);
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[0])), [first(A, LOCK, 0, &[])]);
    assert_eq!(bench.exchange(ping_b), [ping_b]);
}

#[test]
fn lock_takes_0_to_10_seconds_in_one_byte() {
    let mut bench = Bench::new();
    for seconds in 0..=10 {
        assert_eq!(bench.exchange(first(A, LOCK, 1, &[seconds])), [first(A, LOCK, 0, &[])]);
    }
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[0])), [first(A, LOCK, 0, &[])]);
    for seconds in 11..=255 {
        assert_eq!(bench.exchange(first(A, LOCK, 1, &[seconds])), [error(A, INVALID_PAR)]);
    }
    for length in [0, 2, 58] {
        assert_eq!(bench.exchange(first(A, LOCK, length, &[5; 57])), [error(A, INVALID_LEN)]);
    }
    let ping_b = first(B, PING, 1, &[2]);
    assert_eq!(bench.exchange(ping_b), [ping_b], "none of these locked");
}

#[test]
fn init_works_while_another_channel_holds_the_lock() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[3])), [first(A, LOCK, 0, &[])]);
    bench.random = vec![UNKNOWN];
    assert_eq!(bench.exchange(first(BROADCAST, INIT, 8, &NONCE)), [init_response(BROADCAST, UNKNOWN, 5)]);
    assert_eq!(bench.exchange(first(B, INIT, 8, &NONCE)), [init_response(B, B, 5)]);
    assert_eq!(bench.exchange(first(B, PING, 0, &[])), [error(B, CHANNEL_BUSY)]);
}

#[test]
fn init_on_the_channel_that_holds_the_lock_keeps_the_lock() {
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(first(A, LOCK, 1, &[3])), [first(A, LOCK, 0, &[])]);
    assert_eq!(bench.exchange(first(A, INIT, 8, &NONCE)), [init_response(A, A, 5)]);
    assert_eq!(bench.exchange(first(B, PING, 0, &[])), [error(B, CHANNEL_BUSY)]);
}
