//! Requests from USB 2.0 §9.4 and HID 1.11 §7, each as the eight bytes on the wire.

use super::*;

fn identity() -> Identity {
    Identity { serial: Some("42".to_owned()), ..Identity::default() }
}

fn device() -> ControlEndpoint {
    ControlEndpoint::new(identity())
}

fn data(hex: &str) -> ControlReply {
    ControlReply::Data(hex::decode(hex).unwrap())
}

#[test]
fn every_request_that_hosts_make_is_answered_and_every_other_stalls() {
    use ControlReply::{Done, Stall};
    let cases = [
        // GET_STATUS: device, interface, endpoints, endpoint 0, one that is not there.
        ("8000000000000200", data("0000")),
        ("8100000000000200", data("0000")),
        ("8100000001000200", Stall),
        ("8200000084000200", data("0000")),
        ("8200000004000200", data("0000")),
        ("8200000000000200", data("0000")),
        ("8200000081000200", Stall),
        // GET_DESCRIPTOR(device), as Linux asks for it first.
        ("8006000100004000", data("120100020000004009120100000101020301")),
        ("8006000100000800", data("1201000200000040")),
        ("8006000100000000", data("")),
        // The configuration: its first 9 bytes, then all.
        ("8006000200000900", data("09022900010100800f")),
        ("8006010200000900", Stall),
        // Strings: languages, serial number, an index that is not there, Microsoft's 0xee.
        ("800600030000ff00", data("04030904")),
        ("800603030904ff00", data("060334003200")),
        ("800604030904ff00", Stall),
        ("8006ee0300001200", Stall),
        // Device qualifier, other speed, BOS: not at full speed, not in USB 2.00.
        ("8006000600000a00", Stall),
        ("8006000700000900", Stall),
        ("8006000f00000500", Stall),
        // HID and report descriptor, of the interface.
        ("8106002100000900", data("092110010001222200")),
        ("8106002200006200", data("06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0")),
        ("8106002201006200", Stall),
        ("8106002300006200", Stall),
        // GET_CONFIGURATION, SET_CONFIGURATION.
        ("8008000000000100", data("01")),
        ("0009010000000000", Done),
        ("0009020000000000", Stall),
        // GET_INTERFACE, SET_INTERFACE.
        ("810a000000000100", data("00")),
        ("010b000000000000", Done),
        ("010b010000000000", Stall),
        ("010b000001000000", Stall),
        // CLEAR_FEATURE(ENDPOINT_HALT); remote wakeup is not offered; test mode neither.
        ("0201000084000000", Done),
        ("0201000004000000", Done),
        ("0201000082000000", Stall),
        ("0201010084000000", Stall),
        ("0003010000000000", Stall),
        ("0003020000000000", Stall),
        // SET_IDLE, GET_IDLE; a report id there is none of.
        ("210a000000000000", Done),
        ("210a010000000000", Stall),
        ("210a000001000000", Stall),
        ("a102000000000100", data("00")),
        // GET_REPORT(input): mandatory, and empty. Output and feature reports cannot be read.
        ("a101000100000800", data("0000000000000000")),
        ("a101000200004000", Stall),
        ("a101000300004000", Stall),
        // GET_PROTOCOL and SET_PROTOCOL are for boot devices (HID 1.11 §7.2.5).
        ("a103000000000100", Stall),
        ("210b000000000000", Stall),
        // SET_ADDRESS and SET_DESCRIPTOR do not come over USB/IP.
        ("0005070000000000", Stall),
        ("0007000100000000", Stall),
        // A vendor's request.
        ("c000000000000100", Stall),
        ("4000000000000000", Stall),
        // A reset of the hub's port.
        ("2303040001000000", Done),
    ];
    for (setup, expected) in cases {
        let bytes: [u8; 8] = hex::decode(setup).unwrap().try_into().unwrap();
        let setup_packet = Setup::decode(bytes);
        assert_eq!(setup_packet.encode(), bytes);
        assert_eq!(device().request(setup_packet, &[]), expected, "{setup}");
    }
}

fn request(device: &mut ControlEndpoint, setup: &str, data: &[u8]) -> ControlReply {
    let setup = hex::decode(setup).unwrap().try_into().unwrap();
    device.request(Setup::decode(setup), data)
}

#[test]
fn an_idle_rate_is_kept_and_a_port_reset_forgets_it() {
    let mut device = device();
    assert_eq!(request(&mut device, "210a007d00000000", &[]), ControlReply::Done);
    assert_eq!(request(&mut device, "a102000000000100", &[]), data("7d"));
    request(&mut device, "2303040001000000", &[]);
    assert_eq!(request(&mut device, "a102000000000100", &[]), data("00"));
}

#[test]
fn a_halt_is_of_one_endpoint_and_ends_by_clear_feature_configuration_interface_or_reset() {
    let ways_out = ["0201000084000000", "0009010000000000", "010b000000000000", "2303040001000000"];
    for way_out in ways_out {
        let mut device = device();
        assert_eq!(request(&mut device, "0203000084000000", &[]), ControlReply::Done);
        assert!(!device.is_open(Endpoint::In));
        assert!(device.is_open(Endpoint::Out));
        assert_eq!(request(&mut device, "8200000084000200", &[]), data("0100"));
        assert_eq!(request(&mut device, "8200000004000200", &[]), data("0000"));
        assert_eq!(request(&mut device, way_out, &[]), ControlReply::Done);
        assert!(device.is_open(Endpoint::In), "{way_out}");
    }
}

#[test]
fn without_a_configuration_there_is_no_interface_and_no_endpoint_but_0() {
    let mut device = device();
    assert_eq!(request(&mut device, "0009000000000000", &[]), ControlReply::Done);
    assert!(!device.is_open(Endpoint::In) && !device.is_open(Endpoint::Out));
    for stalled in ["8100000000000200", "8200000084000200", "810a000000000100", "010b000000000000", "0203000084000000"]
    {
        assert_eq!(request(&mut device, stalled, &[]), ControlReply::Stall, "{stalled}");
    }
    assert_eq!(request(&mut device, "8008000000000100", &[]), data("00"));
    request(&mut device, "0009010000000000", &[]);
    assert!(device.is_open(Endpoint::In) && device.is_open(Endpoint::Out));
}

#[test]
fn set_report_takes_an_output_report_of_1_to_64_bytes() {
    let mut short = [0; 64];
    short[..2].copy_from_slice(&[1, 2]);
    let cases = [
        ("2109000200004000", vec![5; 64], ControlReply::Output([5; 64])),
        ("2109000200000200", vec![1, 2], ControlReply::Output(short)),
        ("2109000200000000", vec![], ControlReply::Stall),
        ("2109000200004100", vec![5; 65], ControlReply::Stall),
        // wLength and the data disagree.
        ("2109000200004000", vec![5; 63], ControlReply::Stall),
        // A report id, an input report, a feature report, another interface.
        ("2109010200004000", vec![5; 64], ControlReply::Stall),
        ("2109000100004000", vec![5; 64], ControlReply::Stall),
        ("2109000300004000", vec![5; 64], ControlReply::Stall),
        ("2109000201004000", vec![5; 64], ControlReply::Stall),
        // Data where none belongs.
        ("0009010000000100", vec![5], ControlReply::Stall),
    ];
    for (setup, data, expected) in cases {
        assert_eq!(request(&mut device(), setup, &data), expected, "{setup}");
    }
}
