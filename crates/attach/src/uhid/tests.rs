//! A device in front of a socket in place of the kernel's file: one event at a time, as there.

use keyrig_rack::{KeySpecification, Options, Rack};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;

/// A device and its kernel.
fn device() -> (Device, UnixDatagram) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, kernels) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Device::on(File::from(ours)).unwrap(), UnixDatagram::from_std(kernels.into()).unwrap())
}

async fn rack() -> Rack {
    let key = KeySpecification::built_in("keyrig", "a").unwrap();
    Rack::start(Options::default(), vec![key]).await.unwrap()
}

/// What the device has written next, once it has.
async fn written(kernel: &UnixDatagram) -> Vec<u8> {
    let mut bytes = [0; EVENT_SIZE];
    let length = kernel.recv(&mut bytes).await.unwrap();
    bytes[..length].to_vec()
}

/// UHID_OUTPUT with CTAPHID_INIT on the broadcast channel (CTAP 2.3 §11.2.9.1.3).
fn init(nonce: [u8; 8]) -> Vec<u8> {
    let mut event = vec![0; EVENT_SIZE];
    event[..4].copy_from_slice(&6_u32.to_ne_bytes());
    event[5..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x86, 0, 8]);
    event[12..20].copy_from_slice(&nonce);
    event[4100..4102].copy_from_slice(&65_u16.to_ne_bytes());
    event[4102] = 1;
    event
}

#[tokio::test]
async fn reports_go_both_ways_and_control_requests_are_answered_until_the_key_is_pulled_out() {
    let rack = rack().await;
    let name = "a".parse().unwrap();
    let connection = rack.key(&name).unwrap().connect().await.unwrap();
    let (device, kernel) = device();
    let served = tokio::spawn(async move { device.serve(connection).await });

    // What is no report, or nothing that is known, ends nothing.
    for bytes in [&6_u32.to_ne_bytes()[..], &[0xff; 4376], &2_u32.to_ne_bytes()] {
        kernel.send(bytes).await.unwrap();
    }
    kernel.send(&init(*b"12345678")).await.unwrap();
    let answer = written(&kernel).await;
    assert_eq!(answer[..6], [12_u32.to_ne_bytes().as_slice(), &64_u16.to_ne_bytes()].concat());
    assert_eq!(answer[6..21], *b"\xff\xff\xff\xff\x86\x00\x1112345678");

    let mut get = 9_u32.to_ne_bytes().to_vec();
    get.extend(5_u32.to_ne_bytes());
    get.extend([0, 2]);
    kernel.send(&get).await.unwrap();
    assert_eq!(written(&kernel).await, event::get_report_reply(5, true));

    rack.command(keyrig_rack::command::Command::Unplug { key: name }).await.unwrap();
    served.await.unwrap().unwrap();
}

#[test]
fn without_a_node_the_command_that_loads_the_module_of_uhid_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let uhid = Uhid { node: directory.path().join("uhid") };
    let error = uhid.file().unwrap_err();
    assert!(matches!(error, UhidError::NoModule), "{error}");
    assert!(error.to_string().ends_with("sudo modprobe uhid"), "{error}");
}
