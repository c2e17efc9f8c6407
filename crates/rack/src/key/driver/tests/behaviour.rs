//! Behaviour that is seen below CTAP: channels, WINK, and commands that are never answered.

use keyrig_authenticator::profile::Quirk;
use keyrig_ctap::client_pin;
use keyrig_ctap::hid::ErrorCode;

use super::*;

fn with_quirk(quirk: &str) -> Profile {
    let mut profile = Profile::built_in("keyrig").unwrap();
    profile.add(Quirk::named(quirk).unwrap());
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
