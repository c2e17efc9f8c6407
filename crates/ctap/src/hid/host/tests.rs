//! Bytes are written out by hand from CTAP 2.3 §11.2.

use super::{Host, HostEvent, HostMisuse, Misbehaviour, TransactionError};
use crate::hid::tests::report;
use crate::hid::{
    Capabilities, ChannelId, Command, ErrorCode, InitResponse, InitResponseTooShort, KeepaliveStatus, MessageTooLong,
    Report, WrongSequence,
};
use core::time::Duration;

const NONCE: [u8; 8] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7];
const CHANNEL: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const BROADCAST: [u8; 4] = [0xff; 4];
const PATIENCE: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(1000);
const NOTHING: [Report; 0] = [];

const INIT: u8 = 0x86;
const MSG: u8 = 0x83;
const CBOR: u8 = 0x90;
const KEEPALIVE: u8 = 0xbb;
const ERROR: u8 = 0xbf;

fn first(channel: [u8; 4], command: u8, length: u16, data: &[u8]) -> Report {
    report(&[&channel, &[command][..], &length.to_be_bytes(), data].concat())
}

fn next(channel: [u8; 4], sequence: u8, data: &[u8]) -> Report {
    report(&[&channel, &[sequence][..], data].concat())
}

fn init_response(on: [u8; 4], nonce: [u8; 8], channel: [u8; 4]) -> Report {
    first(on, INIT, 17, &[&nonce[..], &channel, &[2, 5, 4, 3, 0x05]].concat())
}

fn opened() -> HostEvent {
    HostEvent::Opened(InitResponse {
        nonce: NONCE,
        channel: ChannelId(0x1122_3344),
        protocol_version: 2,
        device_version: [5, 4, 3],
        capabilities: Capabilities(0x05),
    })
}

fn opening() -> Host {
    let mut host = Host::new();
    host.open(NONCE, PATIENCE, START).unwrap();
    assert_eq!(reports(&mut host), [first(BROADCAST, INIT, 8, &NONCE)]);
    host
}

fn open() -> Host {
    let mut host = opening();
    host.receive(&init_response(BROADCAST, NONCE, CHANNEL), START);
    assert_eq!(events(&mut host), [opened()]);
    host
}

/// A host whose request has gone out whole.
fn waiting(command: Command) -> Host {
    let mut host = open();
    host.request(command, vec![0x04], PATIENCE, START).unwrap();
    assert_eq!(reports(&mut host), [first(CHANNEL, u8::from(command) | 0x80, 1, &[0x04])]);
    host
}

fn reports(host: &mut Host) -> Vec<Report> {
    std::iter::from_fn(|| host.poll_report()).collect()
}

fn events(host: &mut Host) -> Vec<HostEvent> {
    std::iter::from_fn(|| host.poll_event()).collect()
}

fn receive(host: &mut Host, report: Report) -> Vec<HostEvent> {
    host.receive(&report, START);
    events(host)
}

fn failed(error: impl Into<TransactionError>) -> Vec<HostEvent> {
    vec![HostEvent::Failed(error.into())]
}

#[test]
fn a_channel_is_opened_by_init_on_broadcast() {
    let mut host = opening();
    assert_eq!(host.channel(), None);
    assert_eq!(receive(&mut host, init_response(BROADCAST, NONCE, CHANNEL)), [opened()]);
    assert_eq!(host.channel(), Some(ChannelId(0x1122_3344)));
    assert_eq!(host.poll_timeout(), None);
}

#[test]
fn answers_to_other_nonces_and_on_other_channels_are_passed_over_while_opening() {
    let mut host = opening();
    for foreign in [
        init_response(BROADCAST, [1; 8], [0, 0, 0, 9]),
        init_response(CHANNEL, NONCE, CHANNEL),
        first(BROADCAST, ERROR, 1, &[0x03]),
        first(CHANNEL, KEEPALIVE, 1, &[2]),
        next(BROADCAST, 0, &[1]),
    ] {
        assert_eq!(receive(&mut host, foreign), []);
    }
    assert_eq!(receive(&mut host, init_response(BROADCAST, NONCE, CHANNEL)), [opened()]);
}

#[test]
fn an_init_response_may_be_longer_than_17_bytes_but_not_shorter() {
    let mut longer = init_response(BROADCAST, NONCE, CHANNEL);
    longer[6] = 20;
    assert_eq!(receive(&mut opening(), longer), [opened()]);
    let mut shorter = init_response(BROADCAST, NONCE, CHANNEL);
    shorter[6] = 16;
    let error = Misbehaviour::InitResponseTooShort(InitResponseTooShort { length: 16 });
    assert_eq!(receive(&mut opening(), shorter), failed(error));
}

#[test]
fn a_channel_that_can_not_be_given_is_refused() {
    for (bytes, channel) in [([0; 4], ChannelId::RESERVED), ([0xff; 4], ChannelId::BROADCAST)] {
        let events = receive(&mut opening(), init_response(BROADCAST, NONCE, bytes));
        assert_eq!(events, failed(Misbehaviour::ImpossibleChannel(channel)));
    }
    let mut host = open();
    host.resynchronize([7; 8], PATIENCE, START).unwrap();
    assert_eq!(
        receive(&mut host, init_response(CHANNEL, [7; 8], [0, 0, 0, 9])),
        failed(Misbehaviour::ImpossibleChannel(ChannelId(9)))
    );
}

#[test]
fn a_busy_device_may_refuse_to_open_a_channel() {
    let events = receive(&mut opening(), first(BROADCAST, ERROR, 1, &[0x06]));
    assert_eq!(events, failed(TransactionError::Refused(ErrorCode::ChannelBusy)));
}

#[test]
fn a_request_is_cut_and_its_response_put_together() {
    let mut host = open();
    host.request(Command::Msg, vec![3; 60], PATIENCE, START).unwrap();
    assert_eq!(reports(&mut host), [first(CHANNEL, MSG, 60, &[3; 57]), next(CHANNEL, 0, &[3; 3])]);
    assert_eq!(receive(&mut host, first(CHANNEL, MSG, 59, &[4; 57])), []);
    let whole = [vec![4; 57], vec![5; 2]].concat();
    assert_eq!(receive(&mut host, next(CHANNEL, 0, &[5; 59])), [HostEvent::Response(whole)]);
    host.request(Command::Cbor, vec![1], PATIENCE, START).unwrap();
}

#[test]
fn reports_of_other_channels_are_passed_over_also_in_the_middle_of_a_response() {
    let mut host = waiting(Command::Cbor);
    let other = [0, 0, 0, 9];
    let foreign = [
        first(other, KEEPALIVE, 1, &[99]),
        first(other, ERROR, 1, &[0x06]),
        first(BROADCAST, INIT, 17, &NONCE),
        first(other, CBOR, 1, &[1]),
        next(other, 5, &[]),
    ];
    for report in foreign {
        assert_eq!(receive(&mut host, report), []);
    }
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 58, &[4; 57])), []);
    for report in foreign {
        assert_eq!(receive(&mut host, report), []);
    }
    assert_eq!(receive(&mut host, next(CHANNEL, 0, &[4])), [HostEvent::Response(vec![4; 58])]);
}

#[test]
fn what_is_left_of_an_earlier_transaction_is_passed_over() {
    let mut host = open();
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 1, &[0])), []);
    assert_eq!(receive(&mut host, first(CHANNEL, ERROR, 1, &[0x05])), []);
    host.request(Command::Cbor, vec![4], PATIENCE, START).unwrap();
    assert_eq!(receive(&mut host, next(CHANNEL, 7, &[])), []);
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 1, &[0])), [HostEvent::Response(vec![0])]);
}

#[test]
fn keepalives_of_a_ctap2_request_are_told() {
    let mut host = waiting(Command::Cbor);
    for (byte, status) in [(1, KeepaliveStatus::Processing), (2, KeepaliveStatus::UpNeeded)] {
        assert_eq!(receive(&mut host, first(CHANNEL, KEEPALIVE, 1, &[byte])), [HostEvent::Keepalive(status)]);
    }
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 1, &[0])), [HostEvent::Response(vec![0])]);
}

#[test]
fn a_refusal_is_told_with_its_code_and_nothing_more_is_sent() {
    for (byte, code) in [
        (0x01, ErrorCode::InvalidCmd),
        (0x02, ErrorCode::InvalidPar),
        (0x03, ErrorCode::InvalidLen),
        (0x04, ErrorCode::InvalidSeq),
        (0x05, ErrorCode::MsgTimeout),
        (0x06, ErrorCode::ChannelBusy),
        (0x0a, ErrorCode::LockRequired),
        (0x0b, ErrorCode::InvalidChannel),
        (0x7f, ErrorCode::Other),
        (0x33, ErrorCode::Undefined(0x33)),
    ] {
        let mut host = open();
        host.request(Command::Cbor, vec![4; 200], PATIENCE, START).unwrap();
        assert!(host.poll_report().is_some());
        assert_eq!(receive(&mut host, first(CHANNEL, ERROR, 1, &[byte])), failed(TransactionError::Refused(code)));
        assert_eq!(reports(&mut host), NOTHING);
        assert_eq!(host.poll_timeout(), None);
        host.request(Command::Cbor, vec![4], PATIENCE, START).unwrap();
    }
}

#[test]
fn each_breach_of_the_protocol_has_its_name() {
    let unexpected = |expected, found| Misbehaviour::UnexpectedCommand { expected, found };
    let wrong_length = |command, length| Misbehaviour::WrongLength { command, length };
    let cases = [
        (Command::Cbor, first(CHANNEL, MSG, 1, &[0]), unexpected(Command::Cbor, Command::Msg)),
        (Command::Msg, first(CHANNEL, KEEPALIVE, 1, &[1]), unexpected(Command::Msg, Command::Keepalive)),
        (Command::Cbor, first(CHANNEL, KEEPALIVE, 1, &[0]), Misbehaviour::UndefinedStatus(0)),
        (Command::Cbor, first(CHANNEL, KEEPALIVE, 1, &[3]), Misbehaviour::UndefinedStatus(3)),
        (Command::Cbor, first(CHANNEL, KEEPALIVE, 0, &[]), wrong_length(Command::Keepalive, 0)),
        (Command::Cbor, first(CHANNEL, ERROR, 2, &[1, 1]), wrong_length(Command::Error, 2)),
        (Command::Cbor, first(CHANNEL, CBOR, 7610, &[]), Misbehaviour::TooLong(MessageTooLong { length: 7610 })),
    ];
    for (command, report, misbehaviour) in cases {
        let mut host = waiting(command);
        assert_eq!(receive(&mut host, report), failed(misbehaviour));
        assert_eq!(host.poll_timeout(), None);
    }

    let half_way = || {
        let mut host = waiting(Command::Cbor);
        assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 99, &[])), []);
        host
    };
    let wrong = Misbehaviour::WrongSequence(WrongSequence { expected: 0, found: 1 });
    assert_eq!(receive(&mut half_way(), next(CHANNEL, 1, &[])), failed(wrong));
    let interrupted = Misbehaviour::Interrupted(Command::Keepalive);
    assert_eq!(receive(&mut half_way(), first(CHANNEL, KEEPALIVE, 1, &[1])), failed(interrupted));
}

#[test]
fn a_silent_device_times_out() {
    let mut host = waiting(Command::Cbor);
    assert_eq!(host.poll_timeout(), Some(START + PATIENCE));
    host.handle_timeout(START + PATIENCE - Duration::from_nanos(1));
    assert_eq!(events(&mut host), []);
    host.handle_timeout(START + PATIENCE);
    assert_eq!(events(&mut host), failed(TransactionError::TimedOut));
    assert_eq!(host.poll_timeout(), None);

    let mut host = opening();
    host.handle_timeout(START + PATIENCE);
    assert_eq!(events(&mut host), failed(TransactionError::TimedOut));
}

#[test]
fn patience_begins_anew_with_every_report_of_the_transaction_and_only_with_those() {
    let mut host = waiting(Command::Cbor);
    let second = START + Duration::from_secs(15);
    host.receive(&first(CHANNEL, KEEPALIVE, 1, &[2]), second);
    assert_eq!(host.poll_timeout(), Some(second + PATIENCE));
    let third = second + Duration::from_secs(15);
    host.receive(&first([0, 0, 0, 9], KEEPALIVE, 1, &[2]), third);
    host.receive(&next(CHANNEL, 0, &[]), third);
    assert_eq!(host.poll_timeout(), Some(second + PATIENCE));
    host.receive(&first(CHANNEL, CBOR, 99, &[]), third);
    assert_eq!(host.poll_timeout(), Some(third + PATIENCE));
}

#[test]
fn an_answer_after_the_deadline_comes_too_late_even_if_the_timer_does_too() {
    let mut host = waiting(Command::Cbor);
    host.receive(&first(CHANNEL, CBOR, 1, &[0]), START + PATIENCE);
    assert_eq!(events(&mut host), failed(TransactionError::TimedOut));
}

#[test]
fn cancel_is_sent_once_and_the_request_still_ends_by_its_response() {
    let mut host = waiting(Command::Cbor);
    host.cancel().unwrap();
    host.cancel().unwrap();
    assert_eq!(reports(&mut host), [first(CHANNEL, 0x91, 0, &[])]);
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 1, &[0x2d])), [HostEvent::Response(vec![0x2d])]);
    assert_eq!(host.cancel(), Err(HostMisuse::NothingToCancel));
}

#[test]
fn cancel_comes_after_the_last_packet_of_its_request() {
    let mut host = open();
    host.request(Command::Cbor, vec![1; 58], PATIENCE, START).unwrap();
    assert_eq!(host.poll_report(), Some(first(CHANNEL, CBOR, 58, &[1; 57])));
    host.cancel().unwrap();
    assert_eq!(reports(&mut host), [next(CHANNEL, 0, &[1]), first(CHANNEL, 0x91, 0, &[])]);
}

#[test]
fn a_cancel_that_was_overtaken_by_the_response_is_not_sent() {
    let mut host = waiting(Command::Cbor);
    host.cancel().unwrap();
    assert_eq!(receive(&mut host, first(CHANNEL, CBOR, 1, &[0])), [HostEvent::Response(vec![0])]);
    assert_eq!(reports(&mut host), NOTHING);
}

#[test]
fn only_a_ctap2_request_can_be_cancelled() {
    assert_eq!(open().cancel(), Err(HostMisuse::NothingToCancel));
    assert_eq!(opening().cancel(), Err(HostMisuse::NothingToCancel));
    assert_eq!(waiting(Command::Msg).cancel(), Err(HostMisuse::NothingToCancel));
}

#[test]
fn resynchronising_aborts_the_request_and_passes_over_what_was_on_its_way() {
    let mut host = waiting(Command::Cbor);
    host.resynchronize([7; 8], PATIENCE, START).unwrap();
    assert_eq!(reports(&mut host), [first(CHANNEL, INIT, 8, &[7; 8])]);
    for late in [first(CHANNEL, KEEPALIVE, 1, &[2]), first(CHANNEL, CBOR, 1, &[0]), first(CHANNEL, ERROR, 1, &[0x05])] {
        assert_eq!(receive(&mut host, late), []);
    }
    match receive(&mut host, init_response(CHANNEL, [7; 8], CHANNEL)).as_slice() {
        [HostEvent::Opened(response)] => assert_eq!(response.channel, ChannelId(0x1122_3344)),
        other => panic!("{other:?}"),
    }
    host.request(Command::Cbor, vec![4], PATIENCE, START).unwrap();
}

#[test]
fn a_device_that_has_forgotten_the_channel_says_so_when_resynchronised() {
    let mut host = open();
    host.resynchronize([7; 8], PATIENCE, START).unwrap();
    let events = receive(&mut host, first(CHANNEL, ERROR, 1, &[0x0b]));
    assert_eq!(events, failed(TransactionError::Refused(ErrorCode::InvalidChannel)));
    host.open(NONCE, PATIENCE, START).unwrap();
}

#[test]
fn one_transaction_at_a_time_on_an_open_channel() {
    let request = |host: &mut Host, length| host.request(Command::Cbor, vec![0; length], PATIENCE, START);
    assert_eq!(request(&mut Host::new(), 1), Err(HostMisuse::NoChannel));
    assert_eq!(Host::new().resynchronize(NONCE, PATIENCE, START), Err(HostMisuse::NoChannel));
    assert_eq!(request(&mut opening(), 1), Err(HostMisuse::Busy));
    assert_eq!(request(&mut waiting(Command::Msg), 1), Err(HostMisuse::Busy));
    assert_eq!(waiting(Command::Msg).open(NONCE, PATIENCE, START), Err(HostMisuse::Busy));
    let mut host = open();
    assert_eq!(request(&mut host, 7610), Err(HostMisuse::TooLong(MessageTooLong { length: 7610 })));
    assert_eq!(request(&mut host, 7609), Ok(()));
    assert_eq!(reports(&mut host).len(), 129);
}
