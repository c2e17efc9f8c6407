//! authenticatorBioEnrollment (CTAP 2.3 §6.7).

use keyrig_ctap::bio_enrollment::{Parameters, Request, Response, Sample, Subcommand, TemplateInfo};
use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::{Request as Message, Status};

use crate::{hex, text};

#[test]
fn subcommands_have_the_numbers_of_the_specification() {
    for (number, subcommand) in [
        (0x01, Subcommand::EnrollBegin),
        (0x02, Subcommand::EnrollCaptureNextSample),
        (0x03, Subcommand::CancelCurrentEnrollment),
        (0x04, Subcommand::EnumerateEnrollments),
        (0x05, Subcommand::SetFriendlyName),
        (0x06, Subcommand::RemoveEnrollment),
        (0x07, Subcommand::GetFingerprintSensorInfo),
        (0x08, Subcommand::Other(8)),
    ] {
        assert_eq!((Subcommand::from(number), u64::from(subcommand)), (subcommand, number));
    }
    // As libfido2's fido/bio.h has them; 0x0C is of earlier drafts.
    for (number, sample) in [
        (0x00, Sample::Good),
        (0x01, Sample::TooHigh),
        (0x02, Sample::TooLow),
        (0x03, Sample::TooLeft),
        (0x04, Sample::TooRight),
        (0x05, Sample::TooFast),
        (0x06, Sample::TooSlow),
        (0x07, Sample::PoorQuality),
        (0x08, Sample::TooSkewed),
        (0x09, Sample::TooShort),
        (0x0A, Sample::MergeFailure),
        (0x0B, Sample::Exists),
        (0x0C, Sample::Other(0x0C)),
        (0x0D, Sample::NoUserActivity),
        (0x0E, Sample::NoUserPresenceTransition),
        (0x0F, Sample::Other(0x0F)),
    ] {
        assert_eq!((Sample::from(number), u64::from(sample)), (sample, number));
    }
}

#[test]
fn every_member_has_its_number_in_both_commands() {
    let parameters = format!("a3 01 42 0102 02 {} 03 19 2710", text("thumb"));
    let mut request = Request::new(
        Subcommand::SetFriendlyName,
        Parameters {
            template_id: Some(vec![1, 2]),
            template_friendly_name: Some("thumb".into()),
            timeout_milliseconds: Some(10_000),
        },
    );
    // §6.7.4: fingerprint (0x01) || uint8(subCommand) || subCommandParams.
    assert_eq!(request.authenticated_message(), hex(&format!("01 05 {parameters}")));
    request.pin_uv_auth = PinUvAuth { param: Some(vec![3, 4]), protocol: Some(2) };
    for (byte, message) in
        [("09", Message::BioEnrollment(request.clone())), ("40", Message::BioEnrollmentPreview(request.clone()))]
    {
        let bytes = hex(&format!("{byte} a5 01 01 02 05 03 {parameters} 04 02 05 42 0304"));
        assert_eq!(message.encode(), bytes);
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
    let modality = Request::decode(&hex("a1 06 f5")).unwrap();
    assert_eq!((modality.get_modality, modality.subcommand(), modality.modality), (Some(true), None, None));
}

#[test]
fn what_is_authenticated_are_the_bytes_that_were_sent() {
    let request = Request::decode(&hex("a3 01 01 02 06 03 a2 01 41 07 08 80")).unwrap();
    assert_eq!(request.parameters().template_id, Some(vec![7]));
    assert_eq!(request.authenticated_message(), hex("01 06 a2 01 41 07 08 80"));
}

#[test]
fn answers_have_the_members_of_the_specification() {
    let response = Response {
        modality: Some(1),
        fingerprint_kind: Some(1),
        max_capture_samples_required_for_enroll: Some(5),
        template_id: Some(vec![9]),
        last_enroll_sample_status: Some(13),
        remaining_samples: Some(4),
        template_infos: vec![
            TemplateInfo { id: vec![1], friendly_name: None },
            TemplateInfo { id: vec![2], friendly_name: Some("b".into()) },
        ],
        max_template_friendly_name: Some(15),
    };
    let bytes = "a8 01 01 02 01 03 05 04 41 09 05 0d 06 04 07 82 a1 01 41 01 a2 01 41 02 02 61 62 08 0f";
    let mut writer = keyrig_ctap::cbor::Writer::new();
    response.encode(&mut writer);
    assert_eq!(writer.finish(), hex(bytes));
    assert_eq!(Response::decode(&hex(bytes)), Ok(response));
}

#[test]
fn a_request_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a1 01 20", Status::CborUnexpectedType),
        ("a1 02 60", Status::CborUnexpectedType),
        ("a1 03 80", Status::CborUnexpectedType),
        ("a1 03 a1 01 60", Status::CborUnexpectedType),
        ("a1 06 01", Status::CborUnexpectedType),
        ("a2 02 01 01 01", Status::InvalidCbor),
        ("", Status::InvalidCbor),
    ] {
        assert_eq!(Request::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
    assert_eq!(Response::decode(&hex("a1 07 81 a0")), Err(Status::MissingParameter), "a template has an id");
}
