//! Behaviour that is seen below CTAP: channels, WINK, and commands that are never answered.

use keyrig_authenticator::profile::Quirk;
use keyrig_ctap::client_pin;
use keyrig_ctap::hid::ErrorCode;

use super::*;

fn with_quirk(quirk: &str) -> Profile {
    let mut profile = Profile::built_in("keyrig").unwrap();
    profile.add(Quirk::named(quirk).unwrap()).unwrap();
    profile
}

/// getPINRetries without a PIN on a pico-fido (issue 288 there): the host hears that it is being processed, for ever.
#[test]
fn a_key_that_hangs_is_processing_until_its_channel_asks_anew() {
    let mut pair = Pair::of(with_quirk("hangs-without-pin"));
    let (host, other) = (pair.usb_host(), pair.program());
    let retries = Ctap::ClientPin(client_pin::Request::new(client_pin::Subcommand::GetPinRetries)).encode();
    pair.request(host, retries.clone());
    pair.pass(Duration::from_secs(10));
    let keepalives = core::iter::from_fn(|| pair.event(host)).collect::<Vec<_>>();
    assert!(keepalives.len() > 100, "{}", keepalives.len());
    assert!(
        keepalives.iter().all(|event| *event == HostEvent::Keepalive(KeepaliveStatus::Processing)),
        "{keepalives:?}"
    );
    pair.assert_busy(other);
    // A cancellation is no answer either; INIT on the same channel ends it.
    pair.host(host).cancel().unwrap();
    pair.settle();
    pair.assert_busy(other);
    let now = pair.now;
    pair.host(host).resynchronize([9; 8], PATIENCE, now).unwrap();
    pair.settle();
    assert!(matches!(pair.event(host), Some(HostEvent::Opened(_))));
    pair.request(host, selection());
    pair.gesture(Gesture::Touch);
    assert_eq!(pair.answer(host).0, [0]);
    // So does the end of the program, and the power.
    pair.request(other, retries.clone());
    pair.disconnect(other);
    pair.request(host, retries);
    pair.power_cycle();
    let program = pair.program();
    pair.request(program, selection());
    assert_eq!(pair.waits_for(), Some(Reason::Selection));
}

/// The ids of channels of YubiKeys up to 5.2 are two small numbers (Yubico/libfido2 issues 157 and 192), those of Feitian's are
/// counted (issue 695).
#[test]
fn channels_of_some_keys_are_counted() {
    for (profile, expected) in
        [("yubikey-5.2", [0x0001_0001, 0x0002_0002]), ("feitian-epass", [0x0000_0001, 0x0000_0002])]
    {
        let mut pair = Pair::of(Profile::built_in(profile).unwrap());
        let mut opened = || {
            let mut host = Host::new();
            host.open([7; 8], PATIENCE, pair.now).unwrap();
            pair.hosts.insert(USB_HOST, host);
            pair.settle();
            match pair.event(USB_HOST) {
                Some(HostEvent::Opened(response)) => response.channel.0,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([opened(), opened()], expected, "{profile}");
    }
}

/// "The reported WINK capability did not match the observed response" (google/CTAP2-test-tool, Security Key by Yubico).
#[test]
fn a_security_key_5_1_says_that_it_winks_and_does_not() {
    let mut pair = Pair::of(Profile::built_in("security-key-5.1").unwrap());
    let mut host = Host::new();
    host.open([7; 8], PATIENCE, pair.now).unwrap();
    pair.hosts.insert(USB_HOST, host);
    pair.settle();
    let Some(HostEvent::Opened(response)) = pair.event(USB_HOST) else { panic!("no channel") };
    assert!(response.capabilities.contains(Capabilities::WINK));
    pair.request_as(USB_HOST, HidCommand::Wink, vec![]);
    let refused = HostEvent::Failed(TransactionError::Refused(ErrorCode::InvalidCmd));
    assert_eq!(pair.event(USB_HOST), Some(refused));
}

/// CTAPHID vendor commands of YubiKeys: 0x40 sets the USB mode, 0x42 reads a page of device information, 0x43 writes it
/// (Yubico/yubikey-manager, yubikit/management.py).
#[test]
fn a_yubikey_tells_its_device_information_and_refuses_to_change_it() {
    let mut pair = Pair::of(Profile::built_in("yubikey-5.7.4").unwrap());
    let host = pair.usb_host();
    let mut ask = |command, payload: &[u8]| {
        pair.request_as(host, HidCommand::Other(command), payload.to_vec());
        match pair.event(host) {
            Some(HostEvent::Response(page)) => Ok(page),
            Some(HostEvent::Failed(TransactionError::Refused(code))) => Err(code),
            other => panic!("{other:?}"),
        }
    };
    let first = ask(0x42, &[0]).unwrap();
    assert_eq!(ask(0x42, &[]), Ok(first.clone()), "the first page, if none is named");
    // SHA-256 of "a" begins with ca978112, which is 3,398,926,610.
    let told = [&[0x02, 0x04][..], &998_926_610_u32.to_be_bytes()].concat();
    assert!(first.windows(6).any(|entry| *entry == told), "{first:02x?}");
    let second = ask(0x42, &[1]).unwrap();
    assert!(second.windows(14).any(|entry| entry == b"\x13\x0c78CLUFX5000P"), "{second:02x?}");
    for (command, payload, code) in [
        (0x42, &[2][..], ErrorCode::InvalidPar),
        (0x42, &[255], ErrorCode::InvalidPar),
        (0x42, &[0, 0], ErrorCode::InvalidLen),
        (0x42, &[7; 7609], ErrorCode::InvalidLen),
        (0x43, &[], ErrorCode::InvalidPar),
        // Enable all over USB, with a lock code.
        (0x43, &[22, 0x0B, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 2, 3, 0x3F], ErrorCode::InvalidPar),
        (0x40, &[6, 0, 0, 0], ErrorCode::InvalidPar),
        (0x41, &[0], ErrorCode::InvalidCmd),
        (0x44, &[0], ErrorCode::InvalidCmd),
    ] {
        assert_eq!(ask(command, payload), Err(code), "{command:#04x} {payload:02x?}");
    }
    assert_eq!(ask(0x42, &[0]), Ok(first));
}

#[test]
fn a_key_that_is_no_yubikey_has_no_vendor_commands() {
    for profile in ["keyrig", "nitrokey-3"] {
        let mut pair = Pair::of(Profile::built_in(profile).unwrap());
        let host = pair.usb_host();
        for command in 0x40..=0x7F {
            pair.request_as(host, HidCommand::Other(command), vec![0]);
            let refused = HostEvent::Failed(TransactionError::Refused(ErrorCode::InvalidCmd));
            assert_eq!(pair.event(host), Some(refused), "{profile}: {command:#04x}");
        }
    }
}
