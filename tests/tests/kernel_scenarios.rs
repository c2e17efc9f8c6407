//! Scenarios over a real kernel: the same files, and each key at the hidraw node that it has there.

use keyrig_tests::{judge, kernel_case};

#[test]
fn scenarios_that_come_with_keyrig_pass_on_keys_that_a_kernel_has() {
    let Some(output) = kernel_case::run(&format!(
        "\"$keyrig\" run '{}/../fixtures/scenarios' --on kernel || fail 'see above'
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
        env!("CARGO_MANIFEST_DIR")
    )) else {
        return;
    };
    // That of the demonstration is for USB/IP alone.
    assert!(output.text().contains(" passed, 1 not run in "), "{}", output.text());
}

/// A person's part is done by a script that reads what is asked on a terminal: it plugs the key in, touches it and pulls it out.
#[test]
fn scenarios_run_on_keys_that_a_kernel_has_as_if_they_were_hardware() {
    let Some(output) = kernel_case::run(&format!(
        "log=error
        export keyrig
        start attach --touch manual --key primary=yubikey-5.7 --key backup=yubikey-5.7 --key replacement=yubikey-5.7
        for name in primary backup replacement; do node_of $name; done
        for name in primary backup replacement; do key unplug $name; done
        gone
        set --
        for name in primary backup replacement; do
            set -- \"$@\" --each \"insert key \\\"$name\\\"\" \"\\\"\\$keyrig\\\" key plug $name\"
            set -- \"$@\" --each \"take key \\\"$name\\\" out\" \"\\\"\\$keyrig\\\" key unplug $name\"
            set -- \"$@\" --each \"touch key \\\"$name\\\" now\" \"\\\"\\$keyrig\\\" key touch $name\"
        done
        cd '{}/../fixtures/scenarios'
        '{}' \"$@\" -- \"$keyrig\" run first-key.toml lost-key.toml unplug-while-touching.toml --on hid
        cd \"$work\"
        nodes=$(echo /dev/hidraw*)
        stop
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_BIN_EXE_terminal"),
    )) else {
        return;
    };
    let text = output.text();
    for asked in ["insert key \"replacement\" (yubikey-5.7)", "touch key \"backup\" now", "take key \"primary\" out"] {
        assert!(text.contains(asked), "{asked}: {text}");
    }
    assert!(text.contains("3 passed in "), "{text}");
}

/// The person's browser is Chromium's headless shell. What it asked of the key is in the transcript of usbmon, and what came of it in the
/// site's log.
#[test]
fn what_a_person_does_in_a_real_browser_is_judged_by_what_usb_and_the_site_hear() {
    let programs = judge::tree("tests/browsers");
    let Some(output) = kernel_case::run(&format!(
        "log=error
        export keyrig
        start attach --touch manual --key primary=yubikey-5.7
        node_of primary
        key unplug primary
        gone
        chmod 711 .
        chmod 666 $KEYRIG_CONTROL
        cp -r --no-preserve=mode '{browsers}' browsers
        chmod -R a+rX browsers
        cat >person <<'END'
url=http://${{LINE#*http://}}
url=${{url%%: *}}
chown nobody /dev/hidraw*
exec 9<\"$keyrig\"
setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/python3 -B browsers/person.py /proc/self/fd/9 \"$url\" root@pam primary $1 >person.$1 2>&1
END
        '{terminal}' --each 'insert key \"primary\"' '\"$keyrig\" key plug primary' \
            --each 'and add a' 'sh person register' --each 'staple\", with' 'sh person log_in' \
            'key called \"primary\"; touch key \"primary\"' '' 'a security key; touch key \"primary\"' '' \
            -- \"$keyrig\" run '{scenarios}/in-a-browser.toml' --on hid || fail \"$(cat person.*)\"
        nodes=$(echo /dev/hidraw*)
        stop
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
        browsers = programs.display(),
        scenarios = judge::tree("fixtures/scenarios").display(),
        terminal = env!("CARGO_BIN_EXE_terminal"),
    )) else {
        return;
    };
    assert!(output.text().contains("1 passed in "), "{}", output.text());
}
