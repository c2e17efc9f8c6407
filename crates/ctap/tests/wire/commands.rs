//! Command bytes and the frames around parameters (CTAP 2.3 §6, §8).

use keyrig_ctap::{Command, Request, Response, Status, parse_response};

#[test]
fn every_command_has_the_byte_of_the_specification() {
    for (byte, command) in [
        (0x01, Command::MakeCredential),
        (0x02, Command::GetAssertion),
        (0x04, Command::GetInfo),
        (0x06, Command::ClientPin),
        (0x07, Command::Reset),
        (0x08, Command::GetNextAssertion),
        (0x09, Command::BioEnrollment),
        (0x0A, Command::CredentialManagement),
        (0x0B, Command::Selection),
        (0x0C, Command::LargeBlobs),
        (0x0D, Command::Config),
        (0x40, Command::BioEnrollmentPreview),
        (0x41, Command::CredentialManagementPreview),
        (0x42, Command::Other(0x42)),
    ] {
        assert_eq!(Command::from(byte), command);
    }
    for byte in 0..=u8::MAX {
        assert_eq!(u8::from(Command::from(byte)), byte);
    }
}

#[test]
fn commands_without_parameters_are_one_byte() {
    for (byte, request) in [
        (0x04, Request::GetInfo),
        (0x07, Request::Reset),
        (0x08, Request::GetNextAssertion),
        (0x0B, Request::Selection),
    ] {
        assert_eq!(request.encode(), [byte]);
        assert_eq!(Request::decode(&[byte]), Ok(request));
    }
}

#[test]
fn an_empty_message_and_commands_that_are_not_built_have_their_status() {
    assert_eq!(Request::decode(&[]), Err(Status::InvalidLength));
    for byte in [0x00, 0x03, 0x05, 0x0E, 0x42, 0xBF, 0xFF] {
        assert_eq!(Request::decode(&[byte, 0xA0]), Err(Status::InvalidCommand), "0x{byte:02X}");
    }
}

#[test]
fn a_response_is_a_status_and_what_follows_success() {
    assert_eq!(Response::Done.encode(), [0x00]);
    assert_eq!(parse_response(&[0x00]), Ok(&[][..]));
    assert_eq!(parse_response(&[0x00, 0xA0]), Ok(&[0xA0][..]));
    assert_eq!(parse_response(&[0x2E]), Err(Status::NoCredentials));
    assert_eq!(parse_response(&[0x2E, 0xA0]), Err(Status::NoCredentials), "whatever follows a refusal");
    assert_eq!(parse_response(&[]), Err(Status::InvalidLength));
    assert_eq!(parse_response(&[0xF3]).unwrap_err().to_string(), "status 0xF3");
}
