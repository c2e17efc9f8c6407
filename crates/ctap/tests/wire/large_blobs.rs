//! authenticatorLargeBlobs (CTAP 2.3 §6.10).

use keyrig_ctap::entities::PinUvAuth;
use keyrig_ctap::large_blobs::{Request, Response, authenticated_message};
use keyrig_ctap::{Request as Message, Response as Answer, Status};

use crate::hex;

#[test]
fn every_member_has_its_number() {
    let read = Request { get: Some(960), offset: Some(0), ..Request::default() };
    let write = Request {
        set: Some(vec![1, 2, 3]),
        offset: Some(256),
        length: Some(17),
        pin_uv_auth: PinUvAuth { param: Some(vec![3, 4]), protocol: Some(2) },
        ..Request::default()
    };
    for (bytes, request) in [
        ("0c a2 01 1903c0 03 00", read),
        ("0c a5 02 43 010203 03 190100 04 11 05 42 0304 06 02", write),
        ("0c a0", Request::default()),
    ] {
        assert_eq!(Message::decode(&hex(bytes)), Ok(Message::LargeBlobs(request.clone())));
        assert_eq!(Message::LargeBlobs(request).encode(), hex(bytes));
    }
}

/// §6.10.2: 32×0xff || h'0c00' || uint32LittleEndian(offset) || SHA-256(contents of set byte string).
#[test]
fn what_is_authenticated_is_laid_out_as_the_specification_says() {
    let expected = hex(&format!("{} 0c00 04030201 {}", "ff".repeat(32), "22".repeat(32)));
    assert_eq!(authenticated_message(0x0102_0304, &[0x22; 32]), expected);
}

#[test]
fn a_request_or_an_answer_that_is_wrong_says_how() {
    for (bytes, expected) in [
        ("a1 01 20", Status::CborUnexpectedType),
        ("a1 02 01", Status::CborUnexpectedType),
        ("a1 03 f5", Status::CborUnexpectedType),
        ("a1 05 01", Status::CborUnexpectedType),
        ("a2 03 00 01 00", Status::InvalidCbor),
        ("00", Status::CborUnexpectedType),
    ] {
        assert_eq!(Request::decode(&hex(bytes)), Err(expected), "{bytes}");
    }
    for (bytes, expected) in [
        ("a1 01 42 0102", Ok(Response { config: vec![1, 2] })),
        ("a2 01 40 02 00", Ok(Response { config: vec![] })),
        ("a0", Err(Status::MissingParameter)),
        ("a1 01 80", Err(Status::CborUnexpectedType)),
    ] {
        assert_eq!(Response::decode(&hex(bytes)), expected, "{bytes}");
    }
    assert_eq!(Answer::LargeBlobs(Response { config: vec![1, 2] }).encode(), hex("00 a1 01 42 0102"));
}
