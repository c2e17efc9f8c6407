//! Programs that people use, with keys that a real kernel has: libfido2's tools, OpenSSH, PAM, Chromium, udev.
//!
//! Every case is a script in the guest; what it checks, it checks with the tools themselves.

use keyrig_tests::{judge, kernel_case};

/// The lines of the book that a user is to run.
#[cfg(test)]
fn lines_of_the_book() -> &'static str {
    include_str!("../../docs/src/how-to/attach.md").split("```\n").nth(1).unwrap()
}

#[test]
fn the_lines_of_the_book_attach_a_key_that_programs_find() {
    let lines = lines_of_the_book();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    kernel_case::run(&format!(
        "# What the guest has no need of: it is root, has the module, and the program is built.
        mkdir -p bin
        printf '#!/bin/sh\nexec \"$@\"\n' >bin/sudo
        printf '#!/bin/sh\ntest \"$*\" = vhci-hcd && test -d /sys/module/vhci_hcd\n' >bin/modprobe
        chmod 755 bin/*
        ln -s \"$keyrig\" bin/keyrig
        cat >book <<'END'\n{lines}END
        mkfifo lines
        PATH=$work/bin:$PATH sh -e book >lines 2>&1 &
        shell=$!
        exec 5<lines
        node_of keyrig
        rack=$(pgrep -P $shell keyrig)
        make_credential $node es256 c
        assert $node es256 c
        kill -INT $rack
        wait $shell
        rack=
        gone"
    ));
}

#[test]
fn fido2_token_lists_the_key_and_shows_what_it_is() {
    let Some(output) = kernel_case::run(
        "attach_a
        fido2-token -L
        fido2-token -I $node
        stop",
    ) else {
        return;
    };
    let text = output.text();
    for line in [
        "vendor=0x1209, product=0x0001 (keyrig keyrig software security key)",
        "proto: 0x02\n",
        "(wink, cbor",
        "aaguid: 6b657972696740008000000000000001\n",
        "algorithms: es256 (public-key), eddsa (public-key), es384 (public-key)\n",
        "maxmsgsiz: 1280\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(text.matches("/dev/hidraw").count(), 1, "{text}");
}

/// What a transcript says of a USB bus: control requests and reports, each with what was moved.
#[cfg(test)]
fn on_the_bus(lines: &str) -> Vec<String> {
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let told = events.filter_map(|event| match event["event"].as_str()? {
        "report" => Some(format!("{} {}", event["direction"], event["bytes"])),
        "control" => Some(format!("{} {} {} {}", event["request"], event["setup"], event["status"], event["bytes"])),
        _ => None,
    });
    told.collect()
}

/// usbmon is the kernel's own ear (Documentation/usb/usbmon.rst).
#[test]
fn a_capture_of_the_kernels_usbmon_and_ours_of_the_same_session_agree() {
    let Some(output) = kernel_case::run(
        "mkfifo captured
        \"$keyrig\" trace --usbmon 0 --json >captured 2>capturing &
        capturing=$!
        exec 6<captured
        attach_a --trace ours.pcapng
        make_credential $node es256 c
        assert $node es256 c
        stop
        \"$keyrig\" trace ours.pcapng --json >ours
        # As many reports as we have, and then the reader is ended: what it waits for next never comes.
        reports=$(grep -c '\"event\":\"report\"' ours)
        seen=0
        while test $seen -lt $reports && read -r line <&6; do
            printf '%s\n' \"$line\"
            case \"$line\" in *'\"event\":\"report\"'*) seen=$((seen + 1));; esac
        done >theirs
        kill -TERM $capturing
        exec 6<&-
        wait $capturing || true
        cat capturing >&2
        cat theirs
        echo ----
        cat ours",
    ) else {
        return;
    };
    let text = output.text();
    let (theirs, ours) = text.split_once("----\n").expect("both");
    let (theirs, ours) = (on_the_bus(theirs), on_the_bus(ours));
    let reports = |all: &[String]| {
        all.iter().filter(|line| line.starts_with("\"in\"") || line.starts_with("\"out\"")).cloned().collect::<Vec<_>>()
    };
    assert!(reports(&ours).len() > 20, "{ours:#?}");
    assert_eq!(reports(&theirs), reports(&ours));
}

/// Its ring has room for 300 KiB (Linux, drivers/usb/mon/mon_bin.c, `BUFF_DFL`). A PING is four packets of 64 bytes there, and twice its report of
/// 64 bytes: 1,500 come to 562 KiB.
#[test]
fn what_usbmon_has_dropped_is_told_where_it_is_missing() {
    let program = env!("CARGO_BIN_EXE_ctaphid");
    kernel_case::run(&format!(
        "mkfifo captured
        \"$keyrig\" trace --usbmon 0 --json >captured 2>capturing &
        capturing=$!
        exec 6<captured
        attach_a
        # It listens, and is held up.
        '{program}' ping 1 $node >pinged
        read -r line <&6
        kill -STOP $capturing
        '{program}' ping 1500 $node >pinged
        kill -CONT $capturing
        gap=
        while test -z \"$gap\" && read -r line <&6; do
            case \"$line\" in *'\"event\":\"gap\"'*) gap=$line;; esac
        done
        kill -TERM $capturing
        exec 6<&-
        wait $capturing || true
        stop
        case \"$gap\" in *'\"missed\":0'*|'') fail \"$gap\";; esac"
    ));
}

/// A credential whose id the relying party keeps.
fn non_discoverable(algorithm: &str) {
    kernel_case::run(&format!(
        "attach_a
        make_credential $node {algorithm} c
        assert $node {algorithm} c
        # Verification can fail: another challenge was not signed.
        random 32 >other && tail -n +2 c.assertion >>other
        ! fido2-assert -V -p -i other c.pem {algorithm} 2>/dev/null || fail 'another client data hash was verified'
        stop"
    ));
}

/// A credential that the key finds by the RP ID alone.
fn discoverable(algorithm: &str) {
    kernel_case::run(&format!(
        "attach_a
        make_credential $node {algorithm} c -r
        {{ random 32; echo example.com; }} >challenge
        fido2-assert -G -r -i challenge -o assertion $node
        fido2-assert -V -p -i assertion c.pem {algorithm}
        # The fifth line is the user handle, as it was given.
        test \"$(sed -n 5p assertion)\" = \"$(sed -n 4p c.request)\" || fail 'another user handle'
        stop"
    ));
}

#[test]
fn fido2_cred_and_assert_es256() {
    non_discoverable("es256");
}

#[test]
fn fido2_cred_and_assert_eddsa() {
    non_discoverable("eddsa");
}

#[test]
fn fido2_cred_and_assert_es384() {
    non_discoverable("es384");
}

#[test]
fn fido2_cred_and_assert_es256_discoverable() {
    discoverable("es256");
}

#[test]
fn fido2_cred_and_assert_eddsa_discoverable() {
    discoverable("eddsa");
}

#[test]
fn fido2_cred_and_assert_es384_discoverable() {
    discoverable("es384");
}

/// A case in which programs ask for a PIN: `$terminal` types it.
fn with_terminal(script: &str) {
    kernel_case::run(&format!("terminal='{}'\n{script}", env!("CARGO_BIN_EXE_terminal")));
}

#[test]
fn fido2_token_sets_and_changes_a_pin() {
    with_terminal("attach_a; pin_case; stop");
}

#[test]
fn pam_u2f_lets_in_who_has_the_key() {
    with_terminal(
        "attach_a
        pam_service >/etc/pam.d/keyrig-test
        pam_case env
        rm /etc/pam.d/keyrig-test
        stop",
    );
}

/// Chromium's headless shell, which starts soonest: with its sandbox, and so as an ordinary user, to whom udev gives the node at
/// a seat.
#[test]
fn a_browser_registers_the_key_and_logs_in_with_it() {
    let programs = judge::tree("tests/browsers");
    let Some(output) = kernel_case::run(&format!(
        "# Nothing is read of what keyrig says meanwhile.
        log=error
        attach_a
        chown nobody $node
        chmod 711 .
        chmod 666 $KEYRIG_CONTROL
        cp -r --no-preserve=mode '{}' browsers
        chmod -R a+rX browsers
        # A program that lies in a directory of another user is run all the same.
        exec 9<\"$keyrig\"
        setpriv --reuid=65534 --regid=65534 --clear-groups \\
            /usr/bin/python3 -B browsers/guest.py /proc/self/fd/9
        exec 9<&-
        stop",
        programs.display()
    )) else {
        return;
    };
    assert_eq!(output.text(), "in\nAdded a.\na: in\n", "{output:?}");
}

fn ssh(key_type: &str) {
    kernel_case::run(&format!("attach_a; ssh-keygen -q -t {key_type} -N '' -f id; ssh_sign_and_verify id; stop"));
}

#[test]
fn ssh_keygen_ed25519_sk_signs_and_verifies() {
    ssh("ed25519-sk");
}

#[test]
fn ssh_keygen_ecdsa_sk_signs_and_verifies() {
    ssh("ecdsa-sk");
}

#[test]
fn ssh_keygen_ed25519_sk_resident_and_verify_required() {
    with_terminal("attach_a; ssh_resident_case ed25519-sk; stop");
}

#[test]
fn two_keys_are_two_nodes_and_the_finger_is_on_one() {
    kernel_case::run(
        "start attach --key keyrig=a --key keyrig=b --finger b
        nodes_of a b; a=$node_a b=$node_b
        test $a != $b
        credential_request >request
        fido2-cred -M -i request -o credential $a &
        program=$!
        await '*waits for a touch*key=a*'
        # Nobody touches a: b is served, a goes on waiting until the finger is over it.
        make_credential $b es256 b
        test ! -s credential
        key finger a
        wait $program
        fido2-cred -V -i credential >/dev/null
        stop",
    );
}

#[test]
fn a_program_killed_while_the_key_waits_for_a_touch_leaves_it_to_the_next() {
    kernel_case::run(
        "attach_a --touch manual
        credential_request >request
        fido2-cred -M -i request -o credential $node &
        program=$!
        await '*waits for a touch*'
        kill -KILL $program
        wait $program || true
        # As with any key, it goes on blinking until it is touched or gives up.
        key touch a
        key touch-policy auto
        make_credential $node es256 next
        assert $node es256 next
        stop",
    );
}

#[test]
fn a_program_that_ends_within_a_message_leaves_the_key_to_the_next() {
    let program = env!("CARGO_BIN_EXE_ctaphid");
    kernel_case::run(&format!(
        "attach_a
        '{program}' abandon $node
        make_credential $node es256 next
        stop"
    ));
}

#[test]
fn udev_tags_the_node_as_a_security_token_of_the_user_at_the_seat() {
    let Some(output) = kernel_case::run(
        "attach_a
        udevadm wait --timeout=20 --settle $node
        udevadm info --query=property --property=ID_FIDO_TOKEN,ID_SECURITY_TOKEN,CURRENT_TAGS $node
        stop",
    ) else {
        return;
    };
    let text = output.text();
    assert!(text.contains("ID_FIDO_TOKEN=1\nID_SECURITY_TOKEN=1\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("CURRENT_TAGS=") && line.contains(":uaccess:")), "{text}");
}

#[test]
fn the_udev_rule_of_this_project_does_it_where_systemd_s_does_not() {
    let rule = include_str!("../../scripts/70-keyrig.rules");
    let Some(output) = kernel_case::run(&format!(
        "mkdir -p /run/udev/rules.d
        ln -s /dev/null /run/udev/rules.d/60-fido-id.rules
        # By itself udevd looks for changed rules every three seconds at most.
        udevadm control --reload
        attach_a
        udevadm wait --timeout=20 --settle $node
        udevadm info --query=property --property=ID_FIDO_TOKEN,CURRENT_TAGS $node
        echo now with the rule
        cat >/run/udev/rules.d/70-keyrig.rules <<'END'\n{rule}\nEND
        udevadm control --reload
        key power-cycle a
        node_of a
        udevadm wait --timeout=20 --settle $node
        udevadm info --query=property --property=ID_FIDO_TOKEN,CURRENT_TAGS $node
        rm /run/udev/rules.d/60-fido-id.rules /run/udev/rules.d/70-keyrig.rules
        udevadm control --reload
        stop"
    )) else {
        return;
    };
    let text = output.text();
    let (without, with) = text.split_once("now with the rule\n").unwrap();
    assert!(!without.contains("ID_FIDO_TOKEN") && !without.contains("uaccess"), "{text}");
    assert!(with.contains("ID_FIDO_TOKEN=1\n") && with.contains(":uaccess:"), "{text}");
}
