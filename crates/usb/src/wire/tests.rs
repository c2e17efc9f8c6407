//! The codec against bytes of the kernel's documentation, and against the `usbip` crate.

use proptest::prelude::any;
use proptest::{prop_assert, prop_assert_eq};
use usbip::{UsbDevice, usbip_protocol as peer};

use super::WireError;
use super::operations::{
    Busid, DeviceListHeader, DeviceRecord, ImportReply, ListedDevice, Request, encode_device_list,
};
use super::transfers::{Command, Direction, Reply, Submit};

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

fn submit(seqnum: u32, direction: Direction, flags: u32) -> Command {
    Command::Submit(Submit {
        seqnum,
        device_id: 0x0001_000f,
        direction,
        endpoint: 1,
        flags,
        length: 64,
        interval: 4,
        setup: [0; 8],
    })
}

/// The headers of the example in usbip_protocol.rst.
const CMD_INTR_IN: &str = "0000000100000d050001000f000000010000000100000200\
     00000040ffffffff00000000000000040000000000000000";
const CMD_INTR_OUT: &str = "0000000100000d060001000f000000000000000100000000\
     00000040ffffffff00000000000000040000000000000000";
const RET_INTR_OUT: &str = "0000000300000d0600000000000000000000000000000000\
     00000040ffffffff00000000000000000000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

#[test]
fn the_example_of_the_kernel_documentation_is_read_right() {
    assert_eq!(Command::decode(&bytes(CMD_INTR_IN)), Ok(Some((submit(0xd05, Direction::In, 0x200), 48))));
    assert_eq!(Command::decode(&bytes(CMD_INTR_OUT)), Ok(Some((submit(0xd06, Direction::Out, 0), 48))));
    let reply = Reply::Submit { seqnum: 0xd06, status: 0, actual_length: 64 };
    assert_eq!(Reply::decode(&bytes(RET_INTR_OUT)), Ok(Some((reply, 48))));
}

#[test]
fn the_example_is_written_with_the_start_frame_that_the_text_wants() {
    let without_start_frame = |hex: &str| hex.replace("ffffffff", "00000000");
    for (command, expected) in
        [(submit(0xd05, Direction::In, 0x200), CMD_INTR_IN), (submit(0xd06, Direction::Out, 0), CMD_INTR_OUT)]
    {
        assert_eq!(hex::encode(encoded(|out| command.encode(out))), without_start_frame(expected));
    }
    let reply = Reply::Submit { seqnum: 0xd06, status: 0, actual_length: 64 };
    assert_eq!(hex::encode(encoded(|out| reply.encode(out))), without_start_frame(RET_INTR_OUT));
}

#[test]
fn an_unlink_and_its_reply_are_48_bytes_with_padding() {
    let unlink = Command::Unlink { seqnum: 0xd07, device_id: 0x0001_000f, unlink_seqnum: 0xd05 };
    let reply = Reply::Unlink { seqnum: 0xd07, status: -104 };
    let unlink_bytes = "0000000200000d070001000f000000000000000000000d05\
                        000000000000000000000000000000000000000000000000";
    let reply_bytes = "0000000400000d07000000000000000000000000ffffff98\
                       000000000000000000000000000000000000000000000000";
    assert_eq!(hex::encode(encoded(|out| unlink.encode(out))), unlink_bytes);
    assert_eq!(hex::encode(encoded(|out| reply.encode(out))), reply_bytes);
    assert_eq!(Command::decode(&bytes(unlink_bytes)), Ok(Some((unlink, 48))));
    assert_eq!(Reply::decode(&bytes(reply_bytes)), Ok(Some((reply, 48))));
}

#[test]
fn every_true_prefix_of_a_message_asks_for_more() {
    let import = encoded(|out| Request::Import(Busid::new("1-1").unwrap()).encode(out));
    for end in 0..import.len() {
        assert_eq!(Request::decode(&import[..end]), Ok(None));
    }
    let reply = encoded(|out| ImportReply::Imported(record("1-1")).encode(out));
    for end in 0..reply.len() {
        assert_eq!(ImportReply::decode(&reply[..end]), Ok(None));
    }
    let listed = [listed("1-1")];
    let list = encoded(|out| encode_device_list(&listed, out));
    for end in 0..12 {
        assert_eq!(DeviceListHeader::decode(&list[..end]), Ok(None));
    }
    for end in 12..list.len() {
        assert_eq!(ListedDevice::decode(&list[12..end]), Ok(None));
    }
    let command = bytes(CMD_INTR_IN);
    for end in 0..48 {
        assert_eq!(Command::decode(&command[..end]), Ok(None));
        assert_eq!(Reply::decode(&command[..end]), Ok(None));
    }
}

#[test]
fn texts_end_with_a_zero_byte_and_are_printable() {
    let reply = encoded(|out| ImportReply::Imported(record("1-1")).encode(out));
    let busid = 8 + 256;
    let cases: [(usize, &[u8], &str); 6] = [
        (8, &[b'/'; 256], "path"),
        (8, b"\0", "path"),
        (8, b"/\x1b[2J\0", "path"),
        (busid, &[b'1'; 32], "busid"),
        (busid, b"\0", "busid"),
        (busid, b"1 1\0", "busid"),
    ];
    for (at, text, field) in cases {
        let mut wrong = reply.clone();
        wrong[at..at + text.len()].copy_from_slice(text);
        assert_eq!(ImportReply::decode(&wrong), Err(WireError::Text { field }), "{text:?}");
    }
}

#[test]
fn a_refusal_ends_with_its_status() {
    for status in [1, 2, 4, 0xffff_ffff] {
        let refused = ImportReply::Refused(status);
        let bytes = encoded(|out| refused.encode(out));
        assert_eq!(bytes.len(), 8);
        assert_eq!(ImportReply::decode(&bytes), Ok(Some((refused, 8))));
    }
    assert_eq!(
        DeviceListHeader::decode(&bytes("0111000500000001")),
        Ok(Some((DeviceListHeader { status: 1, devices: 0 }, 8)))
    );
}

fn record(busid: &str) -> DeviceRecord {
    DeviceRecord {
        path: "/sys/devices/pci0000:00/0000:00:1d.1/usb3/3-2".to_owned(),
        busid: Busid::new(busid).unwrap(),
        bus_number: 3,
        device_number: 7,
        speed: 2,
        vendor_id: 0x1209,
        product_id: 0x0001,
        bcd_device: 0x0543,
        class: [1, 2, 3],
        configuration_value: 1,
        configurations: 1,
        interfaces: 1,
    }
}

fn listed(busid: &str) -> ListedDevice {
    ListedDevice { device: record(busid), interfaces: vec![[3, 0, 0]] }
}

/// The peer's view of [`record`].
fn peer_device() -> UsbDevice {
    let hid = usbip::hid::UsbHidKeyboardHandler::new_keyboard();
    let handler: Box<dyn usbip::UsbInterfaceHandler + Send> = Box::new(hid);
    let mut device =
        UsbDevice::new(7).with_interface(3, 0, 0, None, vec![], std::sync::Arc::new(std::sync::Mutex::new(handler)));
    device.path = "/sys/devices/pci0000:00/0000:00:1d.1/usb3/3-2".to_owned();
    device.bus_id = "3-2".to_owned();
    device.bus_num = 3;
    device.speed = 2;
    device.vendor_id = 0x1209;
    device.product_id = 0x0001;
    device.device_bcd.major = 0x05;
    device.device_bcd.minor = 0x43;
    device.device_class = 1;
    device.device_subclass = 2;
    device.device_protocol = 3;
    device.configuration_value = 1;
    device
}

#[test]
fn a_list_and_an_import_are_the_same_bytes_as_the_usbip_crates() {
    let peer_list = peer::UsbIpResponse::op_rep_devlist(&[peer_device()]).to_bytes();
    assert_eq!(encoded(|out| encode_device_list(&[listed("3-2")], out)), peer_list);
    assert_eq!(ListedDevice::decode(&peer_list[12..]), Ok(Some((listed("3-2"), 316))));
    let peer_import = peer::UsbIpResponse::op_rep_import_success(&peer_device()).to_bytes();
    let imported = ImportReply::Imported(record("3-2"));
    assert_eq!(encoded(|out| imported.encode(out)), peer_import);
    assert_eq!(ImportReply::decode(&peer_import), Ok(Some((imported, 320))));
}

#[test]
fn requests_are_the_same_bytes_as_the_usbip_crates() {
    let list = peer::UsbIpCommand::OpReqDevlist { status: 0 }.to_bytes();
    assert_eq!(encoded(|out| Request::DeviceList.encode(out)), list);
    assert_eq!(Request::decode(&list), Ok(Some((Request::DeviceList, 8))));
    let mut busid = [0; 32];
    busid[..3].copy_from_slice(b"3-2");
    let import = peer::UsbIpCommand::OpReqImport { status: 0, busid }.to_bytes();
    let request = Request::Import(Busid::new("3-2").unwrap());
    assert_eq!(encoded(|out| request.encode(out)), import);
    assert_eq!(Request::decode(&import), Ok(Some((request, 40))));
}

fn peer_header(command: u16, seqnum: u32, devid: u32, direction: u32, ep: u32) -> peer::UsbIpHeaderBasic {
    peer::UsbIpHeaderBasic { command: command.into(), seqnum, devid, direction, ep }
}

proptest::proptest! {
    #[test]
    fn submits_are_the_same_bytes_as_the_usbip_crates(
        seqnum: u32, device_id: u32, is_in: bool, endpoint in 0_u8..16, flags: u32,
        length in 0_u32..256, interval: u32, setup: [u8; 8],
    ) {
        let data = if is_in { Vec::new() } else { vec![9; usize::try_from(length).unwrap()] };
        let expected = peer::UsbIpCommand::UsbIpCmdSubmit {
            header: peer_header(1, seqnum, device_id, u32::from(is_in), u32::from(endpoint)),
            transfer_flags: flags,
            transfer_buffer_length: length,
            start_frame: 0,
            number_of_packets: 0,
            interval,
            setup,
            data: data.clone(),
            iso_packet_descriptor: Vec::new(),
        }
        .to_bytes();
        let direction = if is_in { Direction::In } else { Direction::Out };
        let command = Command::Submit(Submit {
            seqnum, device_id, direction, endpoint, flags, length, interval, setup,
        });
        let mut bytes = encoded(|out| command.encode(out));
        bytes.extend(data);
        prop_assert_eq!(&bytes, &expected);
        prop_assert_eq!(Command::decode(&bytes), Ok(Some((command, 48))));
    }

    #[test]
    fn replies_and_unlinks_are_the_same_bytes_as_the_usbip_crates(
        seqnum: u32, device_id: u32, unlink_seqnum: u32, status: i32, actual_length: u32,
    ) {
        let unlink = Command::Unlink { seqnum, device_id, unlink_seqnum };
        let expected = peer::UsbIpCommand::UsbIpCmdUnlink {
            header: peer_header(2, seqnum, device_id, 0, 0),
            unlink_seqnum,
        };
        prop_assert_eq!(encoded(|out| unlink.encode(out)), expected.to_bytes());
        let wire_status = u32::from_be_bytes(status.to_be_bytes());
        let reply = Reply::Submit { seqnum, status, actual_length };
        let expected = peer::UsbIpResponse::UsbIpRetSubmit {
            header: peer_header(3, seqnum, 0, 0, 0),
            status: wire_status,
            actual_length,
            start_frame: 0,
            number_of_packets: 0,
            error_count: 0,
            transfer_buffer: Vec::new(),
            iso_packet_descriptor: Vec::new(),
        };
        prop_assert_eq!(encoded(|out| reply.encode(out)), expected.to_bytes());
        let reply = Reply::Unlink { seqnum, status };
        let expected = peer::UsbIpResponse::UsbIpRetUnlink {
            header: peer_header(4, seqnum, 0, 0, 0),
            status: wire_status,
        };
        prop_assert_eq!(encoded(|out| reply.encode(out)), expected.to_bytes());
    }

    #[test]
    fn what_the_decoders_accept_they_took_no_more_than_was_there(
        start in proptest::sample::select(vec![
            "", "01118005", "01118003", "01110005", "01110003", "0111000500000000", "0111000300000000",
            "00000001", "00000002", "00000003", "00000004",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = bytes(start);
        bytes.extend(rest);
        let taken = [
            Request::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
            ImportReply::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
            DeviceListHeader::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
            ListedDevice::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
            Command::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
            Reply::decode(&bytes).ok().flatten().map(|(_, taken)| taken),
        ];
        for taken in taken.into_iter().flatten() {
            prop_assert!(0 < taken && taken <= bytes.len());
        }
    }
}
