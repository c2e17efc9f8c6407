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
        let Some(usb) = &profile.usb else {
            assert_eq!((name, &profile.imitates), ("synced-passkey", &None));
            continue;
        };
        assert_eq!(usb.vendor_id == 0x1209, profile.imitates.is_none(), "{name}");
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
    assert_eq!(Quirk::all().len(), 31);
    for quirk in Quirk::all() {
        let has_uv = quirk.needs == Some(Need::BuiltInUv);
        let mut profile = Profile::built_in(if has_uv { "keyrig-uv" } else { "ctap-2.1" }).unwrap();
        let own: Vec<_> = profile.behaviour.stated().map(|stated| stated.field).collect();
        // It is of another identity, and does nothing differently.
        let is_setting = quirk.name == "all-applications";
        assert_eq!(profile.add(quirk).is_err(), is_setting, "{}", quirk.name);
        let deviations: Vec<_> =
            profile.behaviour.stated().filter(|stated| stated.deviates() && !own.contains(&stated.field)).collect();
        assert_eq!(deviations.is_empty(), is_setting, "{}", quirk.name);
        assert!(deviations.iter().all(|stated| *stated.source == quirk.source), "{}", quirk.name);
        for text in [&quirk.what, &quirk.keys, &quirk.source.from, &quirk.noticed_by] {
            assert!(!text.is_empty(), "{}", quirk.name);
        }
        assert!(!quirk.noticed.is_empty(), "{}: nobody notices", quirk.name);
        for noticed in &quirk.noticed {
            let mut profile = Profile::built_in(&noticed.profile).unwrap();
            assert_eq!(profile.add(quirk), Ok(()), "{}", quirk.name);
        }
    }
    assert!(
        Quirk::named("no-bug")
            .unwrap_err()
            .to_string()
            .contains("the quirks are absent-display-name, all-applications")
    );
}

/// What the key has not, does already, or does otherwise by another quirk; the key is as it was, then.
#[test]
fn a_quirk_that_would_come_to_nothing_is_refused_by_name() {
    for (profile, had, quirk, expected) in [
        ("u2f-only", None, "invalid-credential", "invalid-credential is about CTAP2, which u2f-only has not"),
        ("u2f-only", None, "no-touch-probe", "no-touch-probe is about clientPin, which u2f-only has not"),
        ("ctap-2.0", None, "broken-protocol-two", "is about PIN/UV auth protocol two, which ctap-2.0 has not"),
        ("ctap-2.0", None, "empty-rp-list", "is about credMgmt, which ctap-2.0 has not"),
        ("yubikey-5.4", None, "always-uv-silent", "is about alwaysUv, which yubikey-5.4 has not"),
        ("u2f-only", None, "hmac-secret-bad-signature", "is about hmac-secret, which u2f-only has not"),
        ("ctap-2.0", None, "backed-up", "backed-up is about CTAP 2.1, which ctap-2.0 has not"),
        ("synced-passkey", None, "backed-up", "changes nothing: synced-passkey does that already"),
        ("keyrig", Some("backed-up"), "backup-eligible", "contradict each other in backup_state"),
        ("keyrig", None, "uv-blocked-sticky", "uv-blocked-sticky is about uv, which keyrig has not"),
        ("yubikey-bio-5.7", None, "uv-blocked-sticky", "changes nothing: yubikey-bio-5.7 does that already"),
        ("u2f-only", None, "names-without-uv", "is about rk, which u2f-only has not"),
        ("yubikey-fips", None, "missing-parameter-for-uv", "changes nothing: yubikey-fips does that already"),
        ("security-key-5.1", None, "invalid-credential", "changes nothing: security-key-5.1 does that already"),
        ("yubikey-5.7", None, "short-pin-uv-auth", "changes nothing: yubikey-5.7 does that already"),
        ("keyrig", Some("touch-latch"), "touch-latch", "touch-latch changes nothing: keyrig does that already"),
        ("yubikey-5.8", Some("all-applications"), "all-applications", "changes nothing: yubikey-5.8 does that"),
        (
            "keyrig",
            Some("no-touch-probe"),
            "probe-missing-parameter",
            "and no-touch-probe contradict each other in probe",
        ),
        (
            "keyrig",
            Some("probe-missing-parameter"),
            "no-touch-probe",
            "no-touch-probe and probe-missing-parameter contra",
        ),
        ("keyrig", Some("broken-protocol-two"), "short-pin-uv-auth", "contradict each other in compares_half_of_param"),
        ("keyrig", Some("rejects-silent"), "always-uv-silent", "contradict each other in always_uv_covers_silent"),
    ] {
        let mut profile = Profile::built_in(profile).unwrap();
        if let Some(had) = had {
            profile.add(Quirk::named(had).unwrap()).unwrap();
        }
        let before = profile.clone();
        let refused = profile.add(Quirk::named(quirk).unwrap()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
        assert_eq!(profile, before);
    }
    let mut both = Profile::built_in("keyrig").unwrap();
    for quirk in ["pin-required-on-timeout", "timeout-status"] {
        both.add(Quirk::named(quirk).unwrap()).unwrap();
    }
    assert_eq!(both.quirks, ["pin-required-on-timeout", "timeout-status"]);
}

#[test]
fn what_a_quirk_needs_is_called_as_it_is_written() {
    for needs in Quirk::all().iter().filter_map(|quirk| quirk.needs) {
        assert_eq!(Need::deserialize(toml::Value::from(needs.name())), Ok(needs));
    }
}

#[test]
fn a_quirk_of_an_unknown_field_or_value_is_refused() {
    let quirk = |behaviour| {
        format!(
            "[mine]\nwhat = \"\"\nkeys = \"\"\nknown = \"guessed\"\nfrom = \"\"\nnoticed_by = \"\"\nnoticed = []\nbehaviour = {behaviour}"
        )
    };
    assert_eq!(quirk::read(&quirk("{ touch = \"never\" }")).unwrap().len(), 1);
    assert!(quirk::read(&quirk("{ touches = true }")).unwrap_err().contains("touches is no field"));
    assert!(quirk::read(&quirk("{ touch = true }")).unwrap_err().contains("first-free"));
}

/// The applications FIDO2 and U2F, and the tags of what is told: Yubico/yubikey-manager, yubikit/management.py.
#[test]
fn device_information_is_as_recorded_but_for_what_is_the_keys_own() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let page = |profile: &Profile, number| {
        let info = profile.device_info.as_ref().expect("a YubiKey");
        info.page(number, 0x0102_0304).map(|page| hex(&page))
    };
    let told = |name| Profile::built_in(name).map(|profile| page(&profile, 0).unwrap()).unwrap();
    // Recorded of a 5.4.3: 2e 0102033f 0302033f 0204… 040103 0503050403 06020000 07010f 080100 0d02033f 0e02033f 0a0100 0f0100.
    assert_eq!(
        told("yubikey-5.4"),
        "2e0102033f0302020202040102030404010105030504030602000007010f0801000d02033f0e0200000a01010f0100"
    );
    // FIDO alone, no serial number, no NFC.
    assert_eq!(told("security-key-5.1"), "1d010202020302020204010105030501020602000007010f0801000a0101");
    let mut all = Profile::built_in("yubikey-5.7.4").unwrap();
    all.add(Quirk::named("all-applications").unwrap()).unwrap();
    assert_eq!(
        page(&all, 0).unwrap(),
        "3b0102033f0302033f02040102030404010105030507040602000007010f0801000d02033f0e02033f0a01010f0100\
         20030000002103000000100101"
    );
    assert_eq!(
        page(&all, 1).unwrap(),
        "29110400000000120100130c3738434c5546583530303050140200001502000016010017010018020000"
    );
    assert_eq!(page(&all, 2), None);
    assert_eq!(page(&all, 255), None);
}

#[test]
fn every_yubikey_tells_of_more_pages_than_it_has_told_and_no_other_key_does() {
    for name in Profile::built_in_names() {
        let profile = Profile::built_in(name).unwrap();
        assert_eq!(profile.device_info.is_some(), profile.imitates.as_deref() == Some("Yubico"), "{name}");
        let Some(info) = profile.device_info else { continue };
        let version = profile.ctaphid.version;
        let first = info.page(0, 0).unwrap();
        assert!(first.windows(5).any(|entry| entry == [&[5, 3][..], &version].concat()), "{name}: {version:?}");
        assert_eq!(first.ends_with(&[0x10, 1, 1]), info.page(1, 0).is_some(), "{name}");
        for page in (0..=255).map_while(|number| info.page(number, u32::MAX)) {
            assert_eq!(usize::from(page[0]), page.len() - 1, "{name}");
        }
    }
}

#[test]
fn device_information_that_is_none_is_refused_with_its_line() {
    let (_, text) = BUILT_IN[0];
    let whole = "01020202 03020202";
    for (pages, expected) in [
        (vec!["0102020"], "not hexadecimal"),
        (vec!["0102020g"], "not hexadecimal"),
        (vec!["01020202 030202"], "not made of tags"),
        (vec!["01020202 0302"], "not made of tags"),
        (vec!["01020202 03"], "not made of tags"),
        (vec!["0101 02 03020202"], "tag 01 has 2 bytes, and this has 1"),
        (vec![whole, "0203000000"], "tag 02 has 4 bytes, and this has 3"),
        (vec!["01020202"], "the first page has tags 01 and 03"),
        (vec![], "the first page has tags 01 and 03"),
        (vec!["", whole], "the first page has tags 01 and 03"),
        (vec![whole, &"110100".repeat(86)], "at most 255 bytes, and this has 258"),
    ] {
        let table = format!("\n[device_info]\nknown = \"decided\"\nfrom = \"a test\"\npages = {pages:?}\n");
        let error = Profile::parse("mine", &format!("{text}{table}")).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("pages = "), "{expected}: {error}");
    }
    let table = format!("\n[device_info]\nknown = \"decided\"\nfrom = \"\"\npages = [{whole:?}, \"\"]\n");
    let profile = Profile::parse("mine", &format!("{text}{table}")).unwrap();
    let info = profile.device_info.unwrap();
    assert_eq!((info.page(0, 0), info.page(1, 0)), (Some(vec![8, 1, 2, 2, 2, 3, 2, 2, 2]), Some(vec![0])));
}
