use super::*;

#[test]
fn every_profile_that_comes_with_keyrig_is_valid() {
    for name in Profile::built_in_names() {
        let profile = Profile::built_in(name).unwrap();
        assert_eq!(profile.name, name);
        assert!(!profile.info().versions.is_empty(), "{name} works as something");
        for field in profile.unproven.keys() {
            let table: toml::Table =
                toml::from_str(BUILT_IN.iter().find(|(known, _)| *known == name).unwrap().1).unwrap();
            let found = match field.split_once('.') {
                Some((outer, inner)) => table.get(outer).and_then(|value| value.get(inner)),
                None => table.get(field),
            };
            assert!(found.is_some(), "{name}: {field} is marked unproven, but is not a field");
        }
    }
    assert_eq!(Profile::built_in("yubikey-9"), None);
}

#[test]
fn only_profiles_that_imitate_carry_another_makers_vendor_id() {
    for name in Profile::built_in_names() {
        let profile = Profile::built_in(name).unwrap();
        assert_eq!(profile.usb.vendor_id == 0x1209, profile.imitates.is_none(), "{name}");
    }
}

#[test]
fn get_info_says_only_what_is_built_and_the_rest_is_named() {
    let profile = Profile::built_in("yubikey-5.7").unwrap();
    let info = profile.info();
    assert_eq!(info.versions, ["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"]);
    assert_eq!(info.extensions, ["credProtect", "hmac-secret", "largeBlobKey", "credBlob", "minPinLength"]);
    assert_eq!((info.option(OptionId::CredMgmt), info.option(OptionId::PerCredMgmtRo)), (Some(true), None));
    assert_eq!(
        (info.option(OptionId::Rk), info.option(OptionId::Up), info.option(OptionId::Plat)),
        (Some(true), Some(true), Some(false))
    );
    assert_eq!(info.firmware_version, Some(0x50701));
    assert_eq!(profile.withheld(), ["transports: nfc"]);
}

/// The INIT answer of a YubiKey 5.4 says 0x05; NMSG (0x08) is for a key without U2F.
#[test]
fn the_capabilities_say_whether_there_is_u2f() {
    assert_eq!(Profile::built_in("yubikey-5.4").unwrap().capabilities(), 0x05);
    let (_, text) = BUILT_IN[0];
    let without = Profile::parse("mine", &text.replace(", \"U2F_V2\"", "")).unwrap();
    assert_eq!(without.capabilities(), 0x01 | 0x04 | 0x08);
}

#[test]
fn a_field_that_is_unknown_missing_or_out_of_range_is_named() {
    let (_, text) = BUILT_IN[0];
    for (change, expected) in [
        (text.replace("max_msg_size", "max_message_size"), "max_message_size"),
        (text.replace("algorithms = [\"ES256\", \"EdDSA\", \"ES384\"]\n", ""), "algorithms"),
        (text.replace("\"ES384\"", "\"ES512\""), "ES512"),
        (text.replace("clientPin = false", "clientPIN = false"), "clientPIN"),
        (text.replace("credential_id_length = 64", "credential_id_length = 16"), "32 to 1023"),
        (text.replace("6b657972-", "6b65797-"), "AAGUID"),
        (text.replace("max_msg_size = 1280", "max_msg_size = 70000"), "max_msg_size"),
        (text.replace("\"after-touch\"", "\"never\""), "after-touch-if-listed"),
        (text.replace("\"after-touch\"", "\"at-once\"\nunknown_credential_status = 0x30"), "neither 0x2E nor 0x22"),
        (text.replace("no_credentials =", "no_credential ="), "no_credential"),
        (text.replace("[behaviour]", "[behaviour]\nwithout_pin_status = 0x36"), "neither 0x33 nor 0x35"),
    ] {
        let error = Profile::parse("mine", &change).unwrap_err().to_string();
        assert!(error.starts_with("profile mine: ") && error.contains(expected), "{expected}: {error}");
    }
}
