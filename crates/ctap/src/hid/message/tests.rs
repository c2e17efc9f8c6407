//! Packets are written out by hand from CTAP 2.3 §11.2.4.

use super::{Message, MessageTooLong, Reassembly, WrongSequence};
use crate::hid::tests::report;
use crate::hid::{ChannelId, Command, Continuation, Initialization, MAX_MESSAGE_SIZE, Packet};

const CHANNEL: ChannelId = ChannelId(0x1122_3344);

fn payload(length: usize) -> Vec<u8> {
    (0..251_u8).cycle().take(length).collect()
}

fn start(command: Command, length: u16, data: &[u8]) -> Reassembly {
    Reassembly::start(&Initialization::new(CHANNEL, command, length, data)).unwrap()
}

#[test]
fn a_report_is_an_initialisation_packet_if_the_top_bit_of_byte_4_is_set() {
    let initialization = report(&[0x11, 0x22, 0x33, 0x44, 0x90, 0x01, 0x02, 0xaa, 0xbb]);
    let mut data = [0; 57];
    data[..2].copy_from_slice(&[0xaa, 0xbb]);
    assert_eq!(
        Packet::parse(&initialization),
        Packet::Initialization(Initialization { channel: CHANNEL, command: Command::Cbor, length: 0x0102, data })
    );

    let continuation = report(&[0x11, 0x22, 0x33, 0x44, 0x7f, 0xaa, 0xbb]);
    let mut data = [0; 59];
    data[..2].copy_from_slice(&[0xaa, 0xbb]);
    assert_eq!(
        Packet::parse(&continuation),
        Packet::Continuation(Continuation { channel: CHANNEL, sequence: 0x7f, data })
    );
}

#[test]
fn nonsense_can_be_built() {
    let unknown = Initialization::new(CHANNEL, Command::Other(0x7e), 0xffff, &[1; 100]).to_report();
    assert_eq!(unknown[..7], [0x11, 0x22, 0x33, 0x44, 0xfe, 0xff, 0xff]);
    assert_eq!(unknown[7..], [1; 57]);

    let stray = Continuation::new(ChannelId::RESERVED, 99, &[2; 100]).to_report();
    assert_eq!(stray[..5], [0, 0, 0, 0, 99]);
    assert_eq!(stray[5..], [2; 59]);
}

#[test]
fn every_command_byte_comes_back_as_itself() {
    for byte in 0..=0x7f {
        assert_eq!(u8::from(Command::from(byte)), byte);
        assert_eq!(Command::from(byte | 0x80), Command::from(byte));
    }
}

#[test]
fn a_message_takes_as_many_packets_as_the_sizes_57_and_59_say() {
    let cases =
        [(0, 1), (1, 1), (57, 1), (58, 2), (116, 2), (117, 3), (1024, 18), (7550, 128), (7551, 129), (7609, 129)];
    for (length, packets) in cases {
        let message = Message::new(CHANNEL, Command::Ping, payload(length)).unwrap();
        assert_eq!(message.reports().count(), packets, "{length} bytes");
    }
}

#[test]
fn a_message_of_117_bytes_on_the_wire() {
    let bytes = payload(117);
    let reports: Vec<_> = Message::new(CHANNEL, Command::Msg, bytes.clone()).unwrap().reports().collect();
    let expected = [
        report(&[&[0x11, 0x22, 0x33, 0x44, 0x83, 0x00, 0x75], &bytes[..57]].concat()),
        report(&[&[0x11, 0x22, 0x33, 0x44, 0x00], &bytes[57..116]].concat()),
        report(&[0x11, 0x22, 0x33, 0x44, 0x01, bytes[116]]),
    ];
    assert_eq!(reports, expected);
}

#[test]
fn the_last_packet_of_the_longest_message_has_sequence_127() {
    let message = Message::new(CHANNEL, Command::Ping, payload(MAX_MESSAGE_SIZE)).unwrap();
    let last = message.reports().last().unwrap();
    assert_eq!(last[4], 127);
    assert_ne!(last[63], 0, "the longest message fills its last packet");
}

#[test]
fn a_message_of_7610_bytes_is_refused_both_ways() {
    let too_long = MessageTooLong { length: 7610 };
    assert_eq!(Message::new(CHANNEL, Command::Ping, payload(7610)), Err(too_long));
    let claim = Initialization::new(CHANNEL, Command::Ping, 7610, &[]);
    assert_eq!(Reassembly::start(&claim), Err(too_long));
    assert_eq!(Message::new(CHANNEL, Command::Ping, payload(0x1_0000)), Err(MessageTooLong { length: 0x1_0000 }));
}

#[test]
fn every_length_survives_being_cut_and_put_together() {
    let all = payload(MAX_MESSAGE_SIZE);
    for length in 0..=MAX_MESSAGE_SIZE {
        let message = Message::new(CHANNEL, Command::Cbor, all[..length].to_vec()).unwrap();
        let mut state: Option<Reassembly> = None;
        let mut whole = None;
        for report in message.reports() {
            assert_eq!(whole, None, "{length} bytes: complete before the last packet");
            let reassembly = match (Packet::parse(&report), state.take()) {
                (Packet::Initialization(packet), None) => Reassembly::start(&packet).unwrap(),
                (Packet::Continuation(packet), Some(mut reassembly)) => {
                    reassembly.push(&packet).unwrap();
                    reassembly
                }
                (packet, _) => panic!("{length} bytes: {packet:?} out of place"),
            };
            match reassembly.finish() {
                Ok(message) => whole = Some(message),
                Err(unfinished) => state = Some(unfinished),
            }
        }
        assert_eq!(whole, Some(message));
    }
}

#[test]
fn padding_is_no_part_of_the_message() {
    let whole = start(Command::Ping, 2, &[0xff; 57]).finish().unwrap();
    assert_eq!(whole.payload(), [0xff, 0xff]);

    let mut two = start(Command::Ping, 58, &[1; 57]);
    two.push(&Continuation::new(CHANNEL, 0, &[0xff; 59])).unwrap();
    assert_eq!(two.finish().unwrap().payload()[56..], [1, 0xff]);
}

#[test]
fn packets_have_to_come_in_ascending_order() {
    let mut message = start(Command::Ping, 200, &[1; 57]);
    assert_eq!(message.push(&Continuation::new(CHANNEL, 1, &[])), Err(WrongSequence { expected: 0, found: 1 }));
    message.push(&Continuation::new(CHANNEL, 0, &[])).unwrap();
    assert_eq!(message.push(&Continuation::new(CHANNEL, 0, &[])), Err(WrongSequence { expected: 1, found: 0 }));
}

#[test]
fn memory_follows_what_has_come_and_not_what_is_claimed() {
    let message = start(Command::Ping, 7609, &[1; 57]);
    assert_eq!(message.payload.len(), 57);
    assert!(message.payload.capacity() < 1024, "{} bytes allocated for 57", message.payload.capacity());
}
