use super::*;

#[test]
fn every_profile_that_comes_with_keyrig_is_valid() {
    for name in Profile::built_in_names() {
        let profile = Profile::built_in(name).unwrap();
        assert_eq!(profile.name, name);
        assert!(!profile.info().versions.is_empty(), "{name} works as something");
        for field in profile.unproven().keys() {
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
    let withheld = Profile::built_in("yubikey-fips").unwrap().withheld();
    assert!(withheld.contains(&"certifications: FIPS-CMVP-3 2".to_owned()), "{withheld:?}");
}

/// The INIT answer of a YubiKey 5.4 says 0x05; NMSG (0x08) is for a key without U2F.
#[test]
fn the_capabilities_say_whether_there_is_u2f() {
    assert_eq!(Profile::built_in("yubikey-5.4").unwrap().capabilities(), 0x05);
    let (_, text) = BUILT_IN[0];
    let without = Profile::parse("mine", &text.replace(", \"U2F_V2\"", "")).unwrap();
    assert_eq!(without.capabilities(), 0x01 | 0x04 | 0x08);
}

/// What is wrong has its line.
#[test]
fn a_field_that_is_unknown_missing_or_out_of_range_is_named() {
    let (_, text) = BUILT_IN[0];
    let with = |behaviour: &str| text.replace("[behaviour]", &format!("[behaviour]\n{behaviour}"));
    for (change, expected, line) in [
        (text.replace("max_msg_size", "max_message_size"), "max_message_size", "max_message_size = 1280"),
        (text.replace("algorithms = [\"ES256\", \"EdDSA\", \"ES384\"]\n", ""), "algorithms", ""),
        (text.replace("\"ES384\"", "\"ES512\""), "ES512", "algorithms = "),
        (text.replace("clientPin = false", "clientPIN = false"), "clientPIN", ""),
        (text.replace("6b657972-", "6b65797-"), "AAGUID", "aaguid = "),
        (text.replace("max_msg_size = 1280", "max_msg_size = 70000"), "max_msg_size", ""),
        (text.replace("\"after-touch\"", "\"never\""), "after-touch-if-listed", "no_credentials = "),
        (
            with("unknown_credential_status = { is = 0x00, known = \"guessed\", from = \"\" }"),
            "refusal",
            "unknown_cred",
        ),
        (
            with("unknown_credential_status = { is = 0x2E, known = \"hearsay\", from = \"\" }"),
            "reported",
            "unknown_cred",
        ),
        (with("unknown_credential_status = 0x2E"), "invalid type", "unknown_cred"),
        (with("credential_id_length = { is = 16, known = \"guessed\", from = \"\" }"), "32 to 1023", "credential_id_l"),
        (with("answers_wink = { is = 1, known = \"guessed\", from = \"\" }"), "neither true nor false", "answers_wink"),
        (with("reset_window = { is = 256, known = \"guessed\", from = \"\" }"), "0 to 255", "reset_window"),
        (
            with("reset_windows = { is = 1, known = \"guessed\", from = \"\" }"),
            "unknown field `reset_windows`",
            "reset_windows",
        ),
    ] {
        let error = Profile::parse("mine", &change).unwrap_err().to_string();
        assert!(error.starts_with("profile mine: ") && error.contains(expected), "{expected}: {error}");
        assert!(error.contains("line ") && error.contains(line), "{line}: {error}");
    }
}

#[test]
fn every_imitation_says_where_its_behaviour_is_known_from_and_decides_nothing() {
    for name in Profile::built_in_names() {
        let profile = Profile::built_in(name).unwrap();
        for stated in profile.behaviour.stated() {
            assert!(!stated.source.from.is_empty(), "{name}: {}", stated.field.name);
            let never = if profile.imitates.is_some() { Known::Decided } else { Known::Guessed };
            assert_ne!(stated.source.known, never, "{name}: {}", stated.field.name);
        }
    }
}

#[test]
fn what_is_guessed_of_behaviour_is_unproven() {
    let profile = Profile::built_in("yubikey-5.8").unwrap();
    assert!(profile.unproven().contains_key("behaviour.no_credentials"));
    assert!(!profile.unproven().contains_key("behaviour.empty_rp_list"));
}

/// The fields with which nothing is stated are those of the specification.
#[test]
fn a_profile_without_behaviour_goes_by_the_specification() {
    let profile = Profile::built_in("ctap-2.1").unwrap();
    assert_eq!(profile.behaviour, Behaviour::default());
    assert_eq!(profile.behaviour.stated().count(), 0);
}

#[test]
fn every_quirk_changes_something_and_says_whose_it_is() {
    assert_eq!(Quirk::all().len(), 27);
    for quirk in Quirk::all() {
        let mut profile = Profile::built_in("ctap-2.1").unwrap();
        profile.add(quirk);
        let deviations: Vec<_> = profile.behaviour.stated().filter(Stated::deviates).collect();
        assert!(!deviations.is_empty(), "{}", quirk.name);
        assert!(deviations.iter().all(|stated| *stated.source == quirk.source), "{}", quirk.name);
        for text in [&quirk.what, &quirk.keys, &quirk.source.from, &quirk.noticed_by] {
            assert!(!text.is_empty(), "{}", quirk.name);
        }
    }
    assert!(Quirk::named("no-bug").unwrap_err().to_string().contains("the quirks are absent-display-name, always-uv"));
}

#[test]
fn a_quirk_of_an_unknown_field_or_value_is_refused() {
    let quirk = |behaviour| {
        format!(
            "[mine]\nwhat = \"\"\nkeys = \"\"\nknown = \"guessed\"\nfrom = \"\"\nnoticed_by = \"\"\nbehaviour = {behaviour}"
        )
    };
    assert_eq!(quirk::read(&quirk("{ touch = \"never\" }")).unwrap().len(), 1);
    assert!(quirk::read(&quirk("{ touches = true }")).unwrap_err().contains("touches is no field"));
    assert!(quirk::read(&quirk("{ touch = true }")).unwrap_err().contains("first-free"));
}
