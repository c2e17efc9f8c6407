//! Authenticator data (WebAuthn Level 3 §6.1).

use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData, Flags, Invalid};
use keyrig_ctap::cbor::{Malformed, Reason};

use crate::hex;

const RP_ID_HASH: &str = "0021f5fc0b85cd22e60623bcd7d1ca48948909249b4776eb515154e57b66ae12";
const CREDENTIAL_ID: &str = "fe3aac036d14c1e1c65518b698dd1da8f596bc33e11072813466c6bf38456915
                             09b80fb76d59309b8d39e0a93452688f6ca3a39a76f3fc52744fb73948b15783";
const PUBLIC_KEY: &str = "a5 01 02 03 26 20 01
                          21 5820 643566c206dd00227005fa5de69320616ca268043a38f08bde2e9dc45a5cafaf
                          22 5820 171353b2932434703726aae579fa6542432861fe591e481ea22d63997e1a5290";

/// What a Security Key by Yubico made at registration.
fn registration() -> Vec<u8> {
    hex(&format!("{RP_ID_HASH} 41 0000001c f8a011f38c0a4d15800617111f9edc7d 0040 {CREDENTIAL_ID} {PUBLIC_KEY}"))
}

fn parsed(flags: u8, attested: bool, extensions: Option<&str>) -> AuthenticatorData {
    AuthenticatorData {
        rp_id_hash: hex(RP_ID_HASH).try_into().unwrap(),
        flags: Flags(flags),
        counter: 0x1C,
        attested_credential_data: attested.then(|| AttestedCredentialData {
            aaguid: "f8a011f3-8c0a-4d15-8006-17111f9edc7d".parse().unwrap(),
            credential_id: hex(CREDENTIAL_ID),
            public_key: hex(PUBLIC_KEY),
        }),
        extensions: extensions.map(hex),
    }
}

const OUTPUTS: &str = "a1 6b6372656450726f74656374 02";

#[test]
fn data_of_a_real_key_and_all_combinations_are_read_and_written() {
    let outputs = hex(OUTPUTS);
    let assertion = hex(&format!("{RP_ID_HASH} 01 0000001c"));
    for (bytes, data) in [
        (registration(), parsed(0x41, true, None)),
        (assertion, parsed(0x01, false, None)),
        ([registration(), outputs.clone()].concat(), parsed(0xC5, true, Some(OUTPUTS))),
        ([hex(&format!("{RP_ID_HASH} 85 0000001c")), outputs].concat(), parsed(0x85, false, Some(OUTPUTS))),
        ([hex(&format!("{RP_ID_HASH} 80 0000001c")), vec![0xA0]].concat(), parsed(0x80, false, Some("a0"))),
    ] {
        let mut bytes = bytes;
        bytes[32] = data.flags.0;
        assert_eq!(AuthenticatorData::decode(&bytes), Ok(data.clone()));
        assert_eq!(data.encode(), bytes);
    }
}

/// The offsets are those of WebAuthn Level 3 §6.1 and §6.5.1.
#[test]
fn every_truncation_is_named_by_the_part_that_it_falls_into() {
    let mut bytes = [registration(), hex(OUTPUTS)].concat();
    bytes[32] = 0xC1;
    let (key, outputs) = (55 + 64, registration().len());
    for length in 0..bytes.len() {
        let malformed =
            |part, start| Invalid::Malformed(part, Malformed { offset: length - start, reason: Reason::Truncated });
        let expected = match length {
            0..32 => Invalid::Truncated("RP ID hash"),
            32 => Invalid::Truncated("flags"),
            33..37 => Invalid::Truncated("signature counter"),
            37..53 => Invalid::Truncated("AAGUID"),
            53..55 => Invalid::Truncated("credential id's length"),
            55..119 => Invalid::Truncated("credential id"),
            _ if length < outputs => malformed("credential public key", key),
            _ => malformed("extension outputs", outputs),
        };
        assert_eq!(AuthenticatorData::decode(&bytes[..length]), Err(expected), "{length} bytes");
    }
}

#[test]
fn what_the_flags_announce_and_what_is_there_must_agree() {
    let plain = |flags: u8| hex(&format!("{RP_ID_HASH} {flags:02x} 0000001c"));
    let with_flags = |flags: u8| {
        let mut bytes = registration();
        bytes[32] = flags;
        bytes
    };
    let ends = |part| Invalid::Malformed(part, Malformed { offset: 0, reason: Reason::Truncated });
    for (bytes, expected) in [
        (plain(0x41), Invalid::Truncated("AAGUID")),
        (plain(0x81), ends("extension outputs")),
        (plain(0xC1), Invalid::Truncated("AAGUID")),
        (with_flags(0xC1), ends("extension outputs")),
        (with_flags(0x01), Invalid::TrailingBytes(registration().len() - 37)),
        ([plain(0x01), vec![0]].concat(), Invalid::TrailingBytes(1)),
        ([registration(), vec![0, 0]].concat(), Invalid::TrailingBytes(2)),
        ([plain(0x81), hex("a000")].concat(), Invalid::TrailingBytes(1)),
        ([plain(0x81), hex("80")].concat(), Invalid::NotAMap("extension outputs")),
        ([plain(0x41), vec![0; 16], hex("0001 ff 4100")].concat(), Invalid::NotAMap("credential public key")),
        (
            [plain(0x81), hex("a2 02 00 01 00")].concat(),
            Invalid::Malformed("extension outputs", Malformed { offset: 3, reason: Reason::UnsortedKeys }),
        ),
    ] {
        assert_eq!(AuthenticatorData::decode(&bytes), Err(expected), "{}", hex::encode(bytes));
    }
}

/// A rig has to be able to send what is not allowed.
#[test]
fn nonsense_can_be_written() {
    let announced = AuthenticatorData { attested_credential_data: None, ..parsed(0xC1, false, None) };
    assert_eq!(announced.encode(), hex(&format!("{RP_ID_HASH} c1 0000001c")));
    let hidden = AuthenticatorData { flags: Flags(0), ..parsed(0, true, Some(OUTPUTS)) };
    assert_eq!(hidden.encode().len(), registration().len() + hex(OUTPUTS).len());
}

#[test]
fn flags_have_the_bits_of_the_specification() {
    for (flag, bit) in [(Flags::UP, 0), (Flags::UV, 2), (Flags::BE, 3), (Flags::BS, 4), (Flags::AT, 6), (Flags::ED, 7)]
    {
        assert_eq!(flag, Flags(1 << bit));
        assert!(Flags(0xFF).contains(flag) && !Flags(!flag.0).contains(flag));
        assert_eq!(Flags(0).with_if(flag, true), flag);
        assert_eq!(Flags(0).with_if(flag, false), Flags(0));
    }
}
