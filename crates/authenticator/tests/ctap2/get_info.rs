//! authenticatorGetInfo (CTAP 2.3 §6.4) of every profile, and that what it says is so.

use aes::cipher::{Array, BlockModeDecrypt, KeyIvInit};
use sk_cbor::Value;

use crate::credential_management::{of_credential, request as management, user, with_user};
use crate::support::codec::{
    EDDSA, ES256, ES384, GET_INFO, Parameters, RESET, algorithms, array, body, boolean, bytes, cose, int, status, text,
};
use crate::support::platform::{Platform, Token, hkdf, permission};
use crate::support::{Driver, Event, built_in, ctap2_profiles, profiles_that_want_a_touch};

/// What getInfo of a key has to say, as it is stated or recorded of the real one; but for what is withheld.
struct Info {
    aaguid: &'static str,
    versions: &'static [&'static str],
    extensions: &'static [&'static str],
    /// In canonical order: by length, then by bytes (CTAP 2.3 §8).
    options: &'static [(&'static str, bool)],
    size: i64,
    protocols: &'static [i64],
    /// `maxCredentialCountInList` and `maxCredentialIdLength`.
    lists: Option<(i64, i64)>,
    transports: &'static [&'static str],
    algorithms: &'static [i64],
    /// Members that are numbers or booleans, by number.
    others: &'static [(i64, Other)],
}

#[derive(Clone, Copy)]
enum Other {
    Number(i64),
    Boolean(bool),
}

use Other::{Boolean, Number};

const OPTIONS_2_0: &[(&str, bool)] = &[("rk", true), ("up", true), ("plat", false), ("clientPin", false)];
const OPTIONS_PRE: &[(&str, bool)] =
    &[("rk", true), ("up", true), ("plat", false), ("clientPin", false), ("credentialMgmtPreview", true)];
const OPTIONS_2_1: &[(&str, bool)] = &[
    ("rk", true),
    ("up", true),
    ("plat", false),
    ("alwaysUv", false),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("largeBlobs", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", true),
    ("credentialMgmtPreview", true),
];
const OPTIONS_ENTERPRISE: &[(&str, bool)] = &[
    ("ep", false),
    ("rk", true),
    ("up", true),
    ("plat", false),
    ("alwaysUv", false),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("largeBlobs", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", true),
    ("credentialMgmtPreview", true),
];
const OPTIONS_CARD: &[(&str, bool)] = &[
    ("rk", true),
    ("alwaysUv", false),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", true),
];
const YUBIKEY_5_7: &[(i64, Other)] = &[
    (0x0B, Number(4096)),
    (0x0C, Boolean(false)),
    (0x0D, Number(4)),
    (0x0E, Number(0x50701)),
    (0x0F, Number(32)),
    (0x10, Number(1)),
    (0x14, Number(100)),
];
const YUBIKEY_5_7_4: &[(i64, Other)] = &[
    (0x0B, Number(4096)),
    (0x0C, Boolean(false)),
    (0x0D, Number(4)),
    (0x0E, Number(0x50704)),
    (0x0F, Number(32)),
    (0x10, Number(1)),
    (0x14, Number(100)),
];
const U2F_2_0_PRE: &[&str] = &["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"];
const U2F_2_0_PRE_2_1: &[&str] = &["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"];
const PROTECTED: &[&str] = &["credProtect", "hmac-secret"];
const YUBICO_2_1: &[&str] = &["credProtect", "hmac-secret", "largeBlobKey", "credBlob", "minPinLength"];

/// A YubiKey 5 of the preview.
const YUBIKEY: Info = Info {
    aaguid: "2fc0579f811347eab116bb5a8db9202a",
    versions: U2F_2_0_PRE,
    extensions: PROTECTED,
    options: OPTIONS_PRE,
    size: 1200,
    protocols: &[2, 1],
    lists: Some((8, 128)),
    transports: &["usb"],
    algorithms: &[ES256, EDDSA],
    others: &[(0x0D, Number(4)), (0x0E, Number(0x50403))],
};

/// A key of CTAP 2.0, which knows six members.
const OLD: Info = Info {
    aaguid: "6b657972696740008000000000000020",
    versions: &["FIDO_2_0", "U2F_V2"],
    extensions: &["hmac-secret"],
    options: OPTIONS_2_0,
    size: 1024,
    protocols: &[1],
    lists: None,
    transports: &[],
    algorithms: &[],
    others: &[],
};

fn info(name: &str) -> Info {
    let yubikey_5_7 = || Info {
        aaguid: "a25342c03cdc44148e46f4807fca511c",
        versions: U2F_2_0_PRE_2_1,
        extensions: YUBICO_2_1,
        options: OPTIONS_2_1,
        size: 1280,
        algorithms: &[ES256, EDDSA, ES384],
        others: YUBIKEY_5_7,
        ..YUBIKEY
    };
    match name {
        "keyrig" => Info {
            aaguid: "6b657972696740008000000000000001",
            versions: &["FIDO_2_3", "FIDO_2_1", "FIDO_2_0", "U2F_V2"],
            extensions: &[
                "credBlob",
                "credProtect",
                "hmac-secret",
                "hmac-secret-mc",
                "largeBlobKey",
                "minPinLength",
                "pinComplexityPolicy",
                "thirdPartyPayment",
            ],
            options: OPTIONS_5_8,
            others: &[
                (0x0B, Number(4096)),
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x10, Number(8)),
                (0x14, Number(1000)),
                (0x18, Boolean(false)),
                (0x1B, Boolean(false)),
                (0x1D, Number(63)),
            ],
            ..yubikey_5_7()
        },
        // IANA COSE Algorithms; CTAP 2.3 §11.2.4 has 7609 bytes in a message.
        "keyrig-ml-dsa" => Info {
            aaguid: "6b657972696740008000000000000007",
            size: 7609,
            algorithms: &[-50, -49, -48, ES256, EDDSA, ES384],
            ..info("keyrig")
        },
        "yubikey-bio-5.7" => Info {
            aaguid: "dd86a2da86a04cbeb4624bd31f57bc6f",
            versions: &["FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
            options: OPTIONS_BIO,
            others: &[
                (0x0B, Number(4096)),
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(0x50702)),
                (0x0F, Number(32)),
                (0x10, Number(1)),
                (0x11, Number(3)),
                (0x12, Number(2)),
                (0x14, Number(100)),
            ],
            ..yubikey_5_7()
        },
        "feitian-biopass" => Info {
            aaguid: "77010bd7212a4fc9b236d2ca5e9d4084",
            options: &[
                ("rk", true),
                ("up", true),
                ("uv", false),
                ("plat", false),
                ("clientPin", false),
                ("credentialMgmtPreview", true),
                ("userVerificationMgmtPreview", false),
            ],
            ..info("feitian-epass")
        },
        "keyrig-uv" => Info {
            aaguid: "6b657972696740008000000000000005",
            options: OPTIONS_UV,
            others: &[
                (0x0B, Number(4096)),
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x10, Number(8)),
                (0x11, Number(3)),
                (0x12, Number(2)),
                (0x14, Number(1000)),
                (0x17, Number(0)),
                (0x18, Boolean(false)),
                (0x1B, Boolean(false)),
                (0x1D, Number(63)),
            ],
            ..info("keyrig")
        },
        "synced-passkey" => Info {
            aaguid: "6b657972696740008000000000000006",
            versions: &["FIDO_2_3", "FIDO_2_1", "FIDO_2_0"],
            extensions: &["credBlob", "credProtect", "hmac-secret", "hmac-secret-mc", "largeBlobKey"],
            options: &[
                ("rk", true),
                ("up", true),
                ("uv", true),
                ("plat", true),
                ("alwaysUv", false),
                ("largeBlobs", true),
                ("pinUvAuthToken", true),
                ("makeCredUvNotRqd", true),
            ],
            transports: &["internal", "hybrid"],
            others: &[
                (0x0B, Number(4096)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x11, Number(3)),
                (0x12, Number(2)),
                (0x14, Number(1000)),
            ],
            ..info("keyrig")
        },
        "ctap-2.1" => Info {
            aaguid: "6b657972696740008000000000000021",
            versions: &["FIDO_2_1", "FIDO_2_0", "U2F_V2"],
            extensions: &["credBlob", "credProtect", "hmac-secret", "largeBlobKey", "minPinLength"],
            options: OPTIONS_2_1.split_last().unwrap().1,
            others: &[
                (0x0B, Number(1024)),
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x10, Number(1)),
                (0x14, Number(50)),
            ],
            ..yubikey_5_7()
        },
        "ctap-2.1-pre" => Info {
            aaguid: "6b657972696740008000000000000022",
            versions: &["FIDO_2_1_PRE", "FIDO_2_0", "U2F_V2"],
            protocols: &[1],
            others: &[],
            ..YUBIKEY
        },
        "ctap-2.0" => OLD,
        "security-key-5.1" => {
            Info { aaguid: "f8a011f38c0a4d15800617111f9edc7d", versions: &["U2F_V2", "FIDO_2_0"], size: 1200, ..OLD }
        }
        "yubikey-5.2" => Info { protocols: &[1], others: &[], ..YUBIKEY },
        "yubikey-5.4" => YUBIKEY,
        "yubikey-5.7" => yubikey_5_7(),
        "security-key-nfc-5.7" => Info { aaguid: "e77e3c6405e3428b88240cbeb04b829d", ..yubikey_5_7() },
        // Its metadata statement: `ep` is false on a new key, and all else is as without the profile.
        "yubikey-enterprise" => {
            Info { aaguid: "6ab56fad881f4a43acb20be065924522", options: OPTIONS_ENTERPRISE, ..info("yubikey-5.7.4") }
        }
        "yubikey-5.7.4" => {
            Info { aaguid: "d7781e5de35346aaafe23ca49f13332a", size: 1536, others: YUBIKEY_5_7_4, ..yubikey_5_7() }
        }
        "yubikey-fips" => Info {
            aaguid: "fcc0118fcd45435b8da19782b2da0715",
            versions: U2F_2_0_PRE_2_1.split_first().unwrap().1,
            options: OPTIONS_FIPS,
            size: 1536,
            others: &[
                (0x0B, Number(4096)),
                (0x0C, Boolean(false)),
                (0x0D, Number(8)),
                (0x0E, Number(0x50704)),
                (0x0F, Number(32)),
                (0x10, Number(1)),
                (0x14, Number(100)),
            ],
            ..yubikey_5_7()
        },
        "yubikey-5.8" => Info {
            aaguid: "f4ce5fc057d346f5a736efb7d5bc63b5",
            versions: &["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1", "FIDO_2_3"],
            extensions: &[
                "credProtect",
                "hmac-secret",
                "largeBlobKey",
                "credBlob",
                "minPinLength",
                "hmac-secret-mc",
                "thirdPartyPayment",
            ],
            options: OPTIONS_5_8,
            size: 1536,
            others: &[
                (0x0B, Number(4096)),
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(329_728)),
                (0x0F, Number(32)),
                (0x10, Number(1)),
                (0x14, Number(100)),
                (0x18, Boolean(false)),
                (0x1B, Boolean(false)),
                (0x1D, Number(63)),
            ],
            ..yubikey_5_7()
        },
        "nitrokey-3" => Info {
            aaguid: "2cd2f727f6ca44da8f485c2e5da000a2",
            versions: &["U2F_V2", "FIDO_2_0", "FIDO_2_1"],
            options: &[
                ("rk", true),
                ("up", true),
                ("plat", false),
                ("credMgmt", true),
                ("clientPin", false),
                ("largeBlobs", false),
                ("pinUvAuthToken", true),
            ],
            size: 3072,
            lists: Some((10, 255)),
            algorithms: &[],
            others: &[],
            ..YUBIKEY
        },
        "solo-1" => {
            Info { aaguid: "8876631bd4a0427f57730ec71c9e0279", versions: &["U2F_V2", "FIDO_2_0"], size: 1200, ..OLD }
        }
        "titan-v2" => Info {
            aaguid: "42b4fb4a286643b29bf76c6669c2e5d3",
            extensions: PROTECTED,
            options: &[("rk", true), ("clientPin", false)],
            size: 2200,
            ..OLD
        },
        "feitian-epass" => Info {
            aaguid: "833b721aff5f4d00bb2ebdda3ec01e29",
            size: 2048,
            protocols: &[1],
            lists: Some((10, 96)),
            algorithms: &[ES256],
            others: &[],
            ..YUBIKEY
        },
        "token2-pin-plus" => Info {
            aaguid: "eabb46cce24180bfae9e96fa6d2975cf",
            versions: &["FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
            extensions: &["credBlob", "credProtect", "hmac-secret", "largeBlobKey", "minPinLength"],
            options: OPTIONS_2_1,
            size: 1536,
            lists: Some((8, 96)),
            others: &[
                (0x0B, Number(2048)),
                (0x0C, Boolean(false)),
                (0x0D, Number(6)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x10, Number(6)),
                (0x14, Number(50)),
            ],
            ..YUBIKEY
        },
        "swissbit-ishield-2" => Info {
            aaguid: "7787a48213e847848a06c7ed49a7aaf4",
            versions: &["U2F_V2", "FIDO_2_0", "FIDO_2_1"],
            extensions: &["credProtect", "credBlob", "minPinLength", "hmac-secret"],
            options: OPTIONS_CARD,
            size: 896,
            protocols: &[1, 2],
            lists: None,
            algorithms: &[ES256],
            others: &[
                (0x0C, Boolean(false)),
                (0x0D, Number(4)),
                (0x0E, Number(1)),
                (0x0F, Number(32)),
                (0x10, Number(8)),
                (0x14, Number(300)),
            ],
            ..YUBIKEY
        },
        "crescendo" => Info {
            aaguid: "87c1317785d640ac8c61fe7ab3de9dfb",
            versions: &["U2F_V2", "FIDO_2_0", "FIDO_2_1"],
            options: OPTIONS_CARD,
            size: 510,
            lists: Some((1, 94)),
            algorithms: &[],
            others: &[(0x0C, Boolean(false)), (0x0D, Number(4)), (0x0E, Number(262_656)), (0x14, Number(30))],
            ..YUBIKEY
        },
        other => panic!("a profile without a case: {other}"),
    }
}

const OPTIONS_FIPS: &[(&str, bool)] = &[
    ("rk", true),
    ("up", true),
    ("plat", false),
    ("alwaysUv", true),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("largeBlobs", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", false),
    ("credentialMgmtPreview", true),
];
const OPTIONS_BIO: &[(&str, bool)] = &[
    ("rk", true),
    ("up", true),
    ("uv", false),
    ("plat", false),
    ("alwaysUv", true),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("bioEnroll", false),
    ("clientPin", false),
    ("largeBlobs", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", false),
    ("credentialMgmtPreview", true),
    ("userVerificationMgmtPreview", false),
];
const OPTIONS_UV: &[(&str, bool)] = &[
    ("rk", true),
    ("up", true),
    ("uv", true),
    ("plat", false),
    ("uvAcfg", true),
    ("alwaysUv", false),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("largeBlobs", true),
    ("perCredMgmtRO", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", true),
    ("credentialMgmtPreview", true),
];
const OPTIONS_5_8: &[(&str, bool)] = &[
    ("rk", true),
    ("up", true),
    ("plat", false),
    ("alwaysUv", false),
    ("credMgmt", true),
    ("authnrCfg", true),
    ("clientPin", false),
    ("largeBlobs", true),
    ("perCredMgmtRO", true),
    ("pinUvAuthToken", true),
    ("setMinPINLength", true),
    ("makeCredUvNotRqd", true),
    ("credentialMgmtPreview", true),
];

/// What a profile's getInfo has to be, by number.
fn expected(name: &str) -> Vec<(i64, Value)> {
    let texts = |values: &[&str]| array(values.iter().map(|value| text(value)));
    let info = info(name);
    let options = info.options.iter().map(|(name, value)| (text(name), boolean(*value))).collect();
    let mut members = vec![
        (0x01, texts(info.versions)),
        (0x02, texts(info.extensions)),
        (0x03, bytes(&hex::decode(info.aaguid).unwrap())),
        (0x04, Value::map(options)),
        (0x05, int(info.size)),
        (0x06, array(info.protocols.iter().map(|protocol| int(*protocol)))),
    ];
    if let Some((count, length)) = info.lists {
        members.extend([(0x07, int(count)), (0x08, int(length))]);
    }
    if !info.transports.is_empty() {
        members.push((0x09, texts(info.transports)));
    }
    if name == "synced-passkey" {
        members.push((0x16, texts(&["none"])));
    }
    if !info.algorithms.is_empty() {
        members.push((0x0A, algorithms(info.algorithms)));
    }
    members.extend(info.others.iter().map(|(number, value)| match value {
        Number(value) => (*number, int(*value)),
        Boolean(value) => (*number, boolean(*value)),
    }));
    if ["keyrig", "keyrig-ml-dsa", "keyrig-uv", "yubikey-5.8"].contains(&name) {
        members.extend([(0x16, texts(&["packed"])), (0x1A, texts(&["usb"]))]);
        // A 5.8 tells whether a reset wants a long touch, and cannot be made to want one.
        let commands: &[i64] = if name == "yubikey-5.8" { &[2, 3] } else { &[2, 3, 4] };
        members.push((0x1F, array(commands.iter().map(|command| int(*command)))));
    }
    members.sort_by_key(|(number, _)| *number);
    members
}

#[test]
fn every_profile_says_what_it_is_and_no_more_than_works() {
    for name in ctap2_profiles() {
        let mut key = Driver::of(built_in(name));
        let mut members = body(&key.send(&[GET_INFO]));
        // Encrypted with a new initialization vector each time; seen in a recorded YubiKey 5.8.0 in factory state.
        for number in [0x19, 0x1E] {
            let length = members.remove(&number).map(|member| member.extract_byte_string().unwrap().len());
            assert_eq!(
                length,
                ["keyrig", "keyrig-ml-dsa", "keyrig-uv", "yubikey-5.8"].contains(&name).then_some(32),
                "{name}: {number:#x}"
            );
        }
        assert_eq!(members.into_iter().collect::<Vec<_>>(), expected(name), "{name}");
        assert_eq!(key.seen, [], "needs neither a touch nor the disk");
    }
}

/// A YubiKey 5.7.1 without NFC, with a PIN and 8 discoverable credentials: what libfido2 received of it (Yubico/pam-u2f issue 373).
#[test]
fn a_yubikey_5_7_says_byte_for_byte_what_one_was_recorded_to_say() {
    let record = hex::decode(RECORDED_5_7_1).unwrap();
    assert_eq!(record.len(), 375);
    let mut key = Driver::of(built_in("yubikey-5.7"));
    for user in 0..8 {
        key.create(&Parameters::discoverable("example.com", &user.to_string()));
    }
    key.set_pin("1357");
    assert_eq!(hex::encode(with_aaguid_of(key.send(&[GET_INFO]), &record)), hex::encode(record));
}

/// The beginning of what a YubiKey 5.4.3 without NFC said, of 200 bytes (Yubico/libfido2 issue 800).
#[test]
fn a_yubikey_5_4_says_byte_for_byte_what_one_was_recorded_to_say() {
    let record = hex::decode(RECORDED_5_4_3).unwrap();
    let answer = with_aaguid_of(Driver::of(built_in("yubikey-5.4")).send(&[GET_INFO]), &record);
    assert_eq!(answer.len(), 200);
    assert_eq!(hex::encode(&answer[..record.len()]), hex::encode(record));
}

/// The answer with the AAGUID of the recorded key, which is another model.
fn with_aaguid_of(mut answer: Vec<u8>, record: &[u8]) -> Vec<u8> {
    // Member 0x03, of 16 bytes, behind the extensions.
    let place = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == [0x03, 0x50]).unwrap() + 2;
    let (to, from) = (place(&answer), place(record));
    assert_eq!(to, from);
    answer[to..to + 16].copy_from_slice(&record[from..from + 16]);
    answer
}

/// The middle, 38 bytes of the record that are not to be had (from "makeCredUvNotR" to `maxCredentialIdLength`), is as the metadata
/// statement of the key has it.
const RECORDED_5_7_1: &str = concat!(
    "00b10184665532465f5632684649444f5f325f306c4649444f5f325f315f505245684649444f5f325f3102856b6372656450726f74656374",
    "6b686d61632d7365637265746c6c61726765426c6f624b65796863726564426c6f626c6d696e50696e4c656e677468035019083c3d83834b",
    "18bc038f1c9ab2fd1b04ac62726bf5627570f564706c6174f468616c776179735576f468637265644d676d74f569617574686e72436667f5",
    "69636c69656e7450696ef56a6c61726765426c6f6273f56e70696e557641757468546f6b656ef56f7365744d696e50494e4c656e677468f5",
    "706d616b654372656455764e6f74527164f57563726564656e7469616c4d676d7450726576696577f5051905000682020107080818800981",
    "637573620a83a263616c672664747970656a7075626c69632d6b6579a263616c672764747970656a7075626c69632d6b6579a263616c6738",
    "2264747970656a7075626c69632d6b65790b1910000cf40d040e1a000507010f1820100114185c",
);

const RECORDED_5_4_3: &str = concat!(
    "00ac0183665532465f5632684649444f5f325f306c4649444f5f325f315f50524502826b6372656450726f746563746b686d61632d736563",
    "7265740350ee882879721c491397753dfcce97072a04a562726bf5627570f564706c6174f469636c69",
);

#[test]
fn a_key_that_knows_u2f_alone_has_no_command_of_ctap2() {
    let mut key = Driver::of(built_in("u2f-only"));
    assert_eq!(built_in("u2f-only").capabilities(), 0x01, "WINK, and neither CBOR nor NMSG");
    for command in [0x01, 0x02, 0x04, 0x06, 0x07, 0x08, 0x0B] {
        assert_eq!(key.send(&[command]), [status::INVALID_COMMAND]);
    }
}

/// authenticatorSelection came with CTAP 2.1.
#[test]
fn a_key_of_ctap_2_0_is_not_selected() {
    let mut key = Driver::of(built_in("security-key-5.1"));
    assert_eq!(key.send(&[0x0B]), [status::INVALID_COMMAND]);
}

#[test]
fn parameters_of_get_info_are_of_no_consequence() {
    let mut key = Driver::of(built_in("yubikey-5.7"));
    let answer = key.send(&[GET_INFO]);
    assert_eq!(key.send(&[GET_INFO, 0xA0]), answer);
}

#[test]
fn every_algorithm_that_is_announced_makes_credentials() {
    for name in profiles_that_want_a_touch() {
        let mut key = Driver::of(built_in(name));
        let announced = body(&key.send(&[GET_INFO])).remove(&0x0A).map(|list| list.extract_array().unwrap());
        for parameters in announced.unwrap_or_default() {
            let request = Parameters::make_credential("example.com", "u").with(4, array([parameters.clone()]));
            let created = key.create(&request);
            let algorithm = parameters.extract_map().unwrap().remove(0).1;
            assert_eq!(cose(&created.public_key, 3), algorithm, "{name}");
        }
    }
}

#[test]
fn get_info_counts_what_still_fits_and_is_that_of_a_new_key_after_a_reset() {
    // Of those that count, this one has no members that are random.
    let mut key = Driver::of(built_in("ctap-2.1"));
    let new = key.send(&[GET_INFO]);
    key.create(&Parameters::make_credential("example.com", "u"));
    assert_eq!(key.send(&[GET_INFO]), new, "what lives in its id takes no room");
    key.create(&Parameters::discoverable("example.com", "u"));
    let mut counted = body(&new);
    counted.insert(0x14, int(49));
    assert_eq!(body(&key.send(&[GET_INFO])), counted);
    key.power_up();
    assert_eq!(key.status(&[0x07]), status::OK);
    assert_eq!(key.send(&[GET_INFO]), new);
}

/// A member that only the holder of the persistent token can read (§6.4): an initialization vector and a block under AES-128-CBC.
fn decrypted(key: &mut Driver, token: &Token, number: i64, label: &str) -> Vec<u8> {
    let member = body(&key.send(&[GET_INFO]))[&number].clone().extract_byte_string().unwrap();
    assert_eq!(member.len(), 32);
    let (iv, block) = member.split_at(16);
    let mut block = Array::try_from(block).unwrap();
    let secret = hkdf(&token.bytes, label);
    let mut decryptor = cbc::Decryptor::<aes::Aes128>::new(secret[..16].try_into().unwrap(), iv.try_into().unwrap());
    decryptor.decrypt_block(&mut block);
    block.to_vec()
}

/// encIdentifier and encCredStoreState (§6.4).
#[test]
fn who_has_the_persistent_token_recognizes_the_key_and_sees_that_credentials_changed() {
    const PIN: &str = "1357";
    const SITE: &str = "example.com";
    fn identifier(key: &mut Driver, token: &Token) -> Vec<u8> {
        decrypted(key, token, 0x19, "encIdentifier")
    }
    fn state(key: &mut Driver, token: &Token) -> Vec<u8> {
        decrypted(key, token, 0x1E, "encCredStoreState")
    }
    let mut key = Driver::new();
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::PCMR, None).unwrap();
    let (who, empty) = (identifier(&mut key, &token), state(&mut key, &token));
    assert_ne!(who, empty);
    assert_ne!(key.send(&[GET_INFO]), key.send(&[GET_INFO]), "who cannot read them cannot recognize the key by them");
    key.create(&Parameters::make_credential(SITE, "u"));
    assert_eq!(state(&mut key, &token), empty, "nothing was stored");
    let mc = key.token(2, PIN, permission::MC, Some(SITE)).unwrap();
    let created = key.create(&Parameters::discoverable(SITE, "u").created_by(&mc));
    let filled = state(&mut key, &token);
    assert_ne!(filled, empty);
    key.assertion(&Parameters::get_assertion(SITE), &created.public_key);
    let mut key = key.restarted();
    assert_eq!((identifier(&mut key, &token), state(&mut key, &token)), (who.clone(), filled));
    // Create and delete do not lead back: the state is another after every change.
    let mut seen = vec![empty, state(&mut key, &token)];
    let changes: [(u8, Value); 2] =
        [(0x07, with_user(&created.id, user("u", "renamed", "renamed"))), (0x06, of_credential(&created.id))];
    for (subcommand, parameters) in changes {
        let cm = key.token(2, PIN, permission::CM, None).unwrap();
        assert_eq!(key.status(&management(subcommand, Some(parameters), Some(&cm)).message(0x0A)), status::OK);
        let now = state(&mut key, &token);
        assert!(!seen.contains(&now), "{subcommand}");
        seen.push(now);
    }
    let change = Platform::agree(&mut key, 2).change_pin(PIN, b"2468");
    assert_eq!(key.client_pin(&change), status::OK);
    assert_ne!(identifier(&mut key, &token), who, "the token has ended with the PIN");
    let token = key.token(2, "2468", permission::PCMR, None).unwrap();
    assert_eq!((identifier(&mut key, &token), state(&mut key, &token)), (who.clone(), seen.pop().unwrap()));
    assert_eq!(key.status(&[RESET]), status::OK);
    key.set_pin(PIN);
    let token = key.token(2, PIN, permission::PCMR, None).unwrap();
    assert_ne!(identifier(&mut key, &token), who, "a reset makes another key of it");
}

/// A store from before encIdentifier and encCredStoreState had what they need from the start.
#[test]
fn a_store_of_an_earlier_version_gets_what_it_lacks_with_the_first_get_info() {
    let mut records = Driver::new().disk.as_map().clone();
    for name in ["persistent token", "credential store state"] {
        records.remove(name.as_bytes()).unwrap();
    }
    let mut key = Driver::on(records.clone().into(), built_in("keyrig"), 7);
    let info = body(&key.send(&[GET_INFO]));
    assert!(info.contains_key(&0x19) && info.contains_key(&0x1E));
    assert_eq!(key.seen, [Event::Commit]);
    let mut key = key.restarted();
    key.send(&[GET_INFO]);
    assert_eq!(key.seen, [], "once");
    let mut other = Driver::on(records.into(), built_in("yubikey-5.7"), 7);
    other.send(&[GET_INFO]);
    assert_eq!(other.seen, [], "a key without these members needs nothing");
}
