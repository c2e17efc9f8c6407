//! authenticatorConfig (CTAP 2.3 §6.11).

use keyrig_ctap::config::{Parameters, Request, Subcommand};
use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::{Request as Message, Status};

use crate::{hex, text};

#[test]
fn subcommands_have_the_numbers_of_the_specification() {
    for (number, subcommand) in [
        (0x01, Subcommand::EnableEnterpriseAttestation),
        (0x02, Subcommand::ToggleAlwaysUv),
        (0x03, Subcommand::SetMinPinLength),
        (0x04, Subcommand::EnableLongTouchForReset),
        (0xFF, Subcommand::VendorPrototype),
        (0x05, Subcommand::Other(5)),
    ] {
        assert_eq!((Subcommand::from(number), u64::from(subcommand)), (subcommand, number));
    }
}

#[test]
fn every_member_has_its_number() {
    let parameters = format!("a4 01 08 02 82 {} {} 03 f5 04 f4", text("a.example"), text("b.example"));
    let mut request = Request::new(
        Subcommand::SetMinPinLength,
        Parameters {
            new_min_pin_length: Some(8),
            min_pin_length_rp_ids: Some(vec!["a.example".into(), "b.example".into()]),
            force_change_pin: Some(true),
            pin_complexity_policy: Some(false),
        },
    );
    // §6.11: 32×0xff || 0x0d || uint8(subCommand) || subCommandParams.
    assert_eq!(request.authenticated_message(), hex(&format!("{} 0d 03 {parameters}", "ff".repeat(32))));
    request.pin_uv_auth = PinUvAuth { param: Some(vec![3, 4]), protocol: Some(2) };
    let bytes = hex(&format!("0d a4 01 03 02 {parameters} 03 02 04 42 0304"));
    assert_eq!(Message::Config(request.clone()).encode(), bytes);
    assert_eq!(Message::decode(&bytes), Ok(Message::Config(request)));
}

/// The vectors of a published migration guide (WebauthnWorks, authenticatorConfig): what its pinUvAuthParam is over.
#[test]
fn a_subcommand_without_parameters_is_authenticated_alone() {
    let request = Request::new(Subcommand::ToggleAlwaysUv, Parameters::default());
    assert_eq!(request.authenticated_message(), hex(&format!("{} 0d 02", "ff".repeat(32))));
    assert_eq!(Message::Config(request).encode(), hex("0d a1 01 02"));
}

#[test]
fn what_is_authenticated_are_the_bytes_that_were_sent() {
    let request = Request::decode(&hex("a2 01 03 02 a2 01 06 18ff 80")).unwrap();
    assert_eq!(request.parameters().new_min_pin_length, Some(6));
    assert_eq!(request.authenticated_message(), hex(&format!("{} 0d 03 a2 01 06 18ff 80", "ff".repeat(32))));
    let request = Request::decode(&hex("a2 01 18ff 02 a1 01 60")).unwrap();
    assert_eq!(request.parameters(), &Parameters::default(), "a vendor's parameters are the vendor's");
    assert_eq!(request.authenticated_message(), hex(&format!("{} 0d ff a1 01 60", "ff".repeat(32))));
}

#[test]
fn a_request_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a0", Status::MissingParameter),
        ("a1 01 20", Status::CborUnexpectedType),
        ("a2 01 03 02 80", Status::CborUnexpectedType),
        ("a2 01 03 02 a1 01 f5", Status::CborUnexpectedType),
        ("a2 01 03 02 a1 02 60", Status::CborUnexpectedType),
        ("a2 01 03 02 a1 02 81 00", Status::CborUnexpectedType),
        ("a2 01 03 02 a1 03 01", Status::CborUnexpectedType),
        ("a2 01 03 02 a1 04 01", Status::CborUnexpectedType),
        ("a2 01 02 04 01", Status::CborUnexpectedType),
        ("a2 03 01 01 02", Status::InvalidCbor),
    ] {
        assert_eq!(Request::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
}
