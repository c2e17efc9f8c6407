//! authenticatorGetInfo (CTAP 2.3 §6.4).

use keyrig_ctap::entities::CredentialParameters;
use keyrig_ctap::get_info::{OptionId, Response};
use keyrig_ctap::{Response as Answer, Status};

use crate::{hex, text};

fn written(response: &Response) -> Vec<u8> {
    Answer::GetInfo(Box::new(response.clone())).encode()[1..].to_vec()
}

/// What a Security Key by Yubico says, which the specification's example was taken from.
#[test]
fn the_answer_of_a_real_key_is_read_and_written() {
    let bytes = hex("a6
        01 82 665532465f5632 684649444f5f325f30
        02 82 6375766d 6b686d61632d736563726574
        03 50 f8a011f38c0a4d15800617111f9edc7d
        04 a4 62726b f5 627570 f5 64706c6174 f4 69636c69656e7450696e f4
        05 1904b0
        06 81 01");
    let info = Response {
        versions: vec!["U2F_V2".into(), "FIDO_2_0".into()],
        extensions: vec!["uvm".into(), "hmac-secret".into()],
        aaguid: "f8a011f3-8c0a-4d15-8006-17111f9edc7d".parse().unwrap(),
        options: vec![("rk".into(), true), ("up".into(), true), ("plat".into(), false), ("clientPin".into(), false)],
        max_msg_size: Some(1200),
        pin_uv_auth_protocols: vec![1],
        ..Response::default()
    };
    assert_eq!(Response::decode(&bytes), Ok(info.clone()));
    assert_eq!(written(&info), bytes);
    assert_eq!(
        (info.option(OptionId::Rk), info.option(OptionId::Plat), info.option(OptionId::Uv)),
        (Some(true), Some(false), None)
    );
}

#[test]
fn every_member_has_its_number() {
    let bytes = hex(&format!(
        "b8 1f
         01 81 684649444f5f325f31
         02 81 {}
         03 50 000102030405060708090a0b0c0d0e0f
         04 a1 62726b f5
         05 190500
         06 82 02 01
         07 08
         08 1880
         09 82 636e6663 63757362
         0a 82 a2 63616c67 26 6474797065 6a7075626c69632d6b6579 a2 63616c67 27 6474797065 6a7075626c69632d6b6579
         0b 191000
         0c f4
         0d 04
         0e 1a00050701
         0f 1820
         10 01
         11 03
         12 02
         13 a2 644649444f 01 68464950532d464950 02
         14 1864
         15 81 00
         16 82 667061636b6564 646e6f6e65
         17 05
         1818 f4
         1819 42 0102
         181a 81 63757362
         181b f5
         181c 4161
         181d 183f
         181e 4103
         181f 82 02 03",
        text("credBlob"),
    ));
    let info = Response {
        versions: vec!["FIDO_2_1".into()],
        extensions: vec!["credBlob".into()],
        aaguid: "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().unwrap(),
        options: vec![("rk".into(), true)],
        max_msg_size: Some(1280),
        pin_uv_auth_protocols: vec![2, 1],
        max_credential_count_in_list: Some(8),
        max_credential_id_length: Some(128),
        transports: vec!["nfc".into(), "usb".into()],
        algorithms: vec![CredentialParameters::public_key(-7), CredentialParameters::public_key(-8)],
        max_serialized_large_blob_array: Some(4096),
        force_pin_change: Some(false),
        min_pin_length: Some(4),
        firmware_version: Some(0x50701),
        max_cred_blob_length: Some(32),
        max_rp_ids_for_set_min_pin_length: Some(1),
        preferred_platform_uv_attempts: Some(3),
        uv_modality: Some(2),
        certifications: vec![("FIDO".into(), 1), ("FIPS-FIP".into(), 2)],
        remaining_discoverable_credentials: Some(100),
        vendor_prototype_config_commands: vec![0],
        attestation_formats: vec!["packed".into(), "none".into()],
        uv_count_since_last_pin_entry: Some(5),
        long_touch_for_reset: Some(false),
        enc_identifier: Some(vec![1, 2]),
        transports_for_reset: vec!["usb".into()],
        pin_complexity_policy: Some(true),
        pin_complexity_policy_url: Some(b"a".to_vec()),
        max_pin_length: Some(63),
        enc_cred_store_state: Some(vec![3]),
        authenticator_config_commands: vec![2, 3],
    };
    assert_eq!(Response::decode(&bytes), Ok(info.clone()));
    assert_eq!(written(&info), bytes);
}

/// CTAP 2.3 §8: by length, then by bytes.
#[test]
fn options_are_written_in_canonical_order_whatever_order_they_were_given_in() {
    let names = ["setMinPINLength", "uv", "alwaysUv", "rk", "plat", "credMgmt", "up", "authnrCfg", "clientPin", "ep"];
    let info = Response { options: names.map(|name| (name.to_owned(), true)).to_vec(), ..Response::default() };
    let sorted = ["ep", "rk", "up", "uv", "plat", "alwaysUv", "credMgmt", "authnrCfg", "clientPin", "setMinPINLength"];
    let options: String = sorted.iter().map(|name| format!("{}f5", text(name))).collect();
    let bytes = hex(&format!("a3 01 80 03 50 {} 04 aa {options}", "00".repeat(16)));
    assert_eq!(written(&info), bytes);
}

#[test]
fn unknown_members_are_ignored_and_wrong_ones_named() {
    let aaguid = format!("03 50 {}", "00".repeat(16));
    for (bytes, expected) in [
        (format!("a4 01 80 {aaguid} 12 00 1863 1904d2"), Ok(())),
        (format!("a3 01 80 {aaguid} 20 00"), Ok(())),
        (format!("a1 {aaguid}"), Err(Status::MissingParameter)),
        ("a1 01 80".to_owned(), Err(Status::MissingParameter)),
        ("a2 01 80 03 4100".to_owned(), Err(Status::InvalidLength)),
        (format!("a2 01 6161 {aaguid}"), Err(Status::CborUnexpectedType)),
        (format!("a2 01 81 00 {aaguid}"), Err(Status::CborUnexpectedType)),
        (format!("a3 01 80 {aaguid} 04 a1 62726b 01"), Err(Status::CborUnexpectedType)),
        (format!("a3 01 80 {aaguid} 05 20"), Err(Status::CborUnexpectedType)),
        (format!("a2 {aaguid} 01 80"), Err(Status::InvalidCbor)),
    ] {
        assert_eq!(Response::decode(&hex(&bytes)).map(drop), expected, "{bytes}");
    }
}

/// CTAP 2.3 §6.4, 0x04.
#[test]
fn every_option_has_the_name_that_the_specification_gives_it() {
    let names: Vec<_> = OptionId::ALL.into_iter().map(OptionId::name).collect();
    assert_eq!(
        names,
        [
            "plat",
            "rk",
            "clientPin",
            "up",
            "uv",
            "pinUvAuthToken",
            "noMcGaPermissionsWithClientPin",
            "largeBlobs",
            "ep",
            "bioEnroll",
            "userVerificationMgmtPreview",
            "uvBioEnroll",
            "authnrCfg",
            "uvAcfg",
            "credMgmt",
            "perCredMgmtRO",
            "credentialMgmtPreview",
            "setMinPINLength",
            "makeCredUvNotRqd",
            "alwaysUv",
        ]
    );
    for id in OptionId::ALL {
        assert_eq!(OptionId::from_name(id.name()), Some(id));
    }
    assert_eq!(OptionId::from_name("clientPIN"), None);
}
