//! Yubico's ykman, under `keyrig exec`: it takes the keys for what they imitate, and manages them.
//!
//! What it is to print is written down from what the keys are: facts of their makers' documents and records, as the profiles cite them.

#![cfg(test)]

use keyrig_tests::{judge, program_case};

/// The serial number of a key called a: 900,000,000, and the first 4 bytes of SHA-256 of "a", 0xca978112, modulo 100,000,000.
const SERIAL: &str = "998926610";

/// Runs a script in one view, and returns what it prints. `ykman` asks the key a, `$ykman` is the program itself.
async fn run(view: &str, profile: &str, options: &[&str], script: &str) -> Option<String> {
    let ykman = judge::tree(".cache/ykman/venv/bin/ykman").display().to_string();
    let script = format!(
        "ykman='{ykman}' serial={SERIAL}
        export HOME=$work
        # It warns that there is no service for smart cards.
        ykman() {{ \"$ykman\" --device $serial \"$@\" 2>warnings || {{ cat warnings >&2; return 1; }}; }}
        {script}"
    );
    let needs = [&ykman, "/usr/bin/fido2-cred"];
    Some(program_case::run_in(view, options, env!("CARGO_BIN_EXE_terminal"), &needs, profile, &script).await?.stdout)
}

/// What a script has printed after `== NAME`.
fn part<'a>(printed: &'a str, name: &str) -> &'a str {
    let (_, rest) = printed.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("{name} in {printed}"));
    rest.split_once("== ").map_or(rest, |(part, _)| part)
}

/// What every key is asked. The PIN is 23456789 then, and there is one credential.
const SESSION: &str = r#"
echo '== list'
"$ykman" list | sort
echo '== info'
ykman info
echo '== new'
ykman fido info
echo '== PIN'
ykman fido access change-pin --new-pin 12345678
refused PIN_INVALID ykman fido access verify-pin --pin 23456789
ykman fido info | grep PIN:
ykman fido access change-pin --pin 12345678 --new-pin 23456789
ykman fido access verify-pin --pin 23456789
for rp in example.com example.net; do
    credential_request $rp >request
    with_pin 23456789 fido2-cred -M -r -i request -o credential $node >/dev/null
done
echo '== credentials'
ykman fido credentials list --pin 23456789 --csv | tee listed | cut -d , -f 2-3 | sort
echo '== deleted'
ykman fido credentials delete --force --pin 23456789 "$(grep example.com listed | cut -d , -f 1)"
ykman fido credentials list --pin 23456789 | grep -o 'example.*'
"#;

/// With authenticatorConfig.
const CONFIGURED: &str = r#"
echo '== toggled'
ykman fido config toggle-always-uv --pin 23456789
ykman fido info | grep Always
ykman fido config toggle-always-uv --pin 23456789
echo '== length'
ykman fido access set-min-length --pin 23456789 6
ykman fido info | grep Minimum
echo '== forced'
ykman fido access force-change --pin 23456789
ykman fido info | grep NOTE
refused 'Change the PIN first' ykman fido access verify-pin --pin 23456789
refused 'at least 6' ykman fido access change-pin --pin 23456789 --new-pin 12345
ykman fido access change-pin --pin 23456789 --new-pin 123456
ykman fido access verify-pin --pin 123456
"#;

/// Without.
const NOT_CONFIGURED: &str = "
refused 'not supported' ykman fido config toggle-always-uv --pin 23456789
refused 'not supported' ykman fido access set-min-length --pin 23456789 6
refused 'not supported' ykman fido access force-change --pin 23456789
";

/// ykman waits for the key to be pulled out and put in again. Without that it is too late for a reset.
const RESET: &str = r#"
mkfifo said
echo y | "$ykman" --device $serial fido reset >said 2>warnings &
exec 6<said
echo '== reset'
read -r line <&6
echo "$line"
key unplug a
read -r line <&6
echo "$line"
key plug a
cat <&6
wait $! || fail "$(cat warnings)"
echo '== fresh'
ykman fido info
"#;

/// Of a key with the Enterprise Profile, and of one without.
#[tokio::test]
async fn enterprise_attestation_is_enabled_by_ykman() {
    let script = r#"
echo '== new'
ykman fido info | grep Enterprise
ykman fido access change-pin --new-pin 23456789
echo '== enabled'
ykman fido config enable-ep-attestation --pin 23456789
ykman fido info | grep Enterprise
"#;
    let Some(printed) = run("paths", "yubikey-enterprise", &[], &[script, RESET].concat()).await else { return };
    assert_eq!(
        narrow(part(&printed, "new")),
        narrow("Enterprise Attestation: Disabled\nFIDO PIN updated.\n"),
        "{printed}"
    );
    let enabled = "Enterprise Attestation enabled.\nEnterprise Attestation: Enabled\n";
    assert_eq!(narrow(part(&printed, "enabled")), narrow(enabled), "{printed}");
    let fresh = narrow(part(&printed, "fresh"));
    assert!(fresh.iter().any(|line| line == "Enterprise Attestation: Disabled"), "{printed}");
    let script = "refused 'not supported' ykman fido config enable-ep-attestation";
    run("paths", "yubikey-5.7", &[], script).await;
}

/// A key with 100 places for credentials and authenticatorConfig, or without both.
async fn session(view: &str, profile: &str, version: &str, aaguid: &str, configurable: bool) {
    let script = [SESSION, if configurable { CONFIGURED } else { NOT_CONFIGURED }, RESET].concat();
    let Some(printed) = run(view, profile, &[], &script).await else { return };
    let list = format!("Security Key by Yubico (5.1.2) [FIDO]\nYubiKey 5 NFC ({version}) [FIDO] Serial: {SERIAL}\n");
    assert_eq!(part(&printed, "list"), list, "{printed}");
    let info = format!(
        "Device type: YubiKey 5 NFC\nSerial number: {SERIAL}\nFirmware version: {version}\nForm factor: Keychain (USB-A)\n\
         Enabled USB interfaces: FIDO\nNFC transport is disabled\nConfigured capabilities are protected by a lock code\n\n\
         Applications USB NFC\nYubico OTP Disabled Disabled\nFIDO U2F Enabled Disabled\nFIDO2 Enabled Disabled\n\
         OATH Disabled Disabled\nPIV Disabled Disabled\nOpenPGP Disabled Disabled\nYubiHSM Auth Disabled Disabled\n\n"
    );
    assert_eq!(narrow(part(&printed, "info")), narrow(&info), "{printed}");
    let mut new = format!("AAGUID: {aaguid}\nPIN: Not set\nMinimum PIN length: 4\n");
    if configurable {
        new.push_str("Always Require UV: Off\nCredential storage remaining: 100\n");
    }
    assert_eq!(narrow(part(&printed, "new")), narrow(&new), "{printed}");
    let pin = "FIDO PIN updated.\nPIN: 7 attempt(s) remaining\nFIDO PIN updated.\nPIN verified.\n";
    assert_eq!(narrow(part(&printed, "PIN")), narrow(pin), "{printed}");
    let credentials = "\nexample.com,alice\nexample.net,alice\nrp_id,user_name\n";
    assert_eq!(part(&printed, "credentials"), credentials, "{printed}");
    assert!(part(&printed, "deleted").contains("\nCredential deleted.\nexample.net  alice"), "{printed}");
    if configurable {
        let toggled = "Always Require UV is on.\nAlways Require UV: On\nAlways Require UV is off.\n";
        assert_eq!(narrow(part(&printed, "toggled")), narrow(toggled), "{printed}");
        let length = "Minimum PIN length set.\nMinimum PIN length: 6\n";
        assert_eq!(narrow(part(&printed, "length")), narrow(length), "{printed}");
        let forced = "Force PIN change set.\n\
                      NOTE: The FIDO PIN is disabled and must be changed before it can be used!\n\
                      FIDO PIN updated.\nPIN verified.\n";
        assert_eq!(part(&printed, "forced"), forced, "{printed}");
    }
    let reset = "Remove your YubiKey from the USB port.\nRe-insert your YubiKey now...\nFIDO application data reset.\n";
    assert_eq!(part(&printed, "reset"), reset, "{printed}");
    assert_eq!(part(&printed, "fresh"), part(&printed, "new"), "{printed}");
}

/// Lines, with one space where columns are filled up.
fn narrow(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test]
async fn a_yubikey_5_4_is_managed() {
    session("paths", "yubikey-5.4", "5.4.3", "2fc0579f-8113-47ea-b116-bb5a8db9202a", false).await;
}

#[tokio::test]
async fn a_yubikey_5_7_is_managed() {
    session("namespace", "yubikey-5.7", "5.7.1", "a25342c0-3cdc-4414-8e46-f4807fca511c", true).await;
}

#[tokio::test]
async fn a_yubikey_5_8_is_managed() {
    session("paths", "yubikey-5.8", "5.8.0", "f4ce5fc0-57d3-46f5-a736-efb7d5bc63b5", true).await;
}

/// Serial numbers as that of a key called a. Security Keys have none.
#[tokio::test]
async fn every_key_of_yubico_is_taken_for_what_it_imitates_and_its_configuration_is_locked() {
    let keys = [
        "c=security-key-nfc-5.7",
        "d=yubikey-fips",
        "e=yubikey-5.2",
        "f=yubikey-5.8",
        "g=yubikey-5.7",
        "h=keyrig",
        "i=nitrokey-3",
    ];
    let mut options: Vec<_> = keys.iter().flat_map(|key| ["--key", key]).collect();
    options.extend(["--quirk", "a=all-applications"]);
    let script = r#"
        echo '== list'
        "$ykman" list | sort
        echo '== info'
        ykman info
        lock=00000000000000000000000000000000
        refused 'Failed to configure' ykman config usb --force --lock-code $lock --disable OTP
        refused 'Configuration is locked' ykman config nfc --force --disable OTP
        refused 'Wrong current code' ykman config set-lock-code --force --lock-code $lock --clear
        echo '== after'
        ykman info
        # The other applications are not there, whatever the key tells.
        refused 'Failed connecting' ykman piv info"#;
    let Some(printed) = run("namespace", "yubikey-5.7.4", &options, script).await else { return };
    let list = "Security Key NFC (5.7.1) [FIDO]\n\
                Security Key by Yubico (5.1.2) [FIDO]\n\
                YubiKey 5 NFC (5.2.6) [FIDO] Serial: 964942459\n\
                YubiKey 5 NFC (5.7.1) [FIDO] Serial: 940028037\n\
                YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 998926610\n\
                YubiKey 5 NFC (5.8.0) [FIDO] Serial: 923841480\n\
                YubiKey 5 NFC FIPS (5.7.4) [FIDO] Serial: 913941363\n";
    let mut listed: Vec<_> = part(&printed, "list").lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, list.lines().collect::<Vec<_>>(), "{printed}");
    let info = part(&printed, "info");
    for line in ["Enabled USB interfaces: OTP, FIDO, CCID", "NFC transport is enabled"] {
        assert!(info.contains(line), "{line} in {info}");
    }
    let applications = ["Yubico OTP", "FIDO U2F", "FIDO2", "OATH", "PIV", "OpenPGP", "YubiHSM Auth"];
    let enabled: Vec<_> = applications.iter().map(|name| format!("{name} Enabled Enabled")).collect();
    assert_eq!(narrow(info).into_iter().filter(|line| line.contains("Enabled ")).skip(1).collect::<Vec<_>>(), enabled);
    assert_eq!(part(&printed, "after"), info);
}
