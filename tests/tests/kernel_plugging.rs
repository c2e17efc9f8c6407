//! Keys that come and go: what a real kernel sees of plugging, unplugging, power and the end of programs.

use keyrig_tests::kernel_case;

#[test]
fn a_key_unplugged_during_a_pending_touch_comes_back_with_its_credential() {
    kernel_case::run_by_vhci_and_uhid(
        "attach_a
        make_credential $node es256 c
        make_credential $node es256 d -r
        key touch-policy manual
        { random 32; echo example.com; cat c.id; } >challenge
        fido2-assert -G -i challenge -o assertion $node 2>error &
        program=$!
        await '*waits for a touch*'
        key unplug a
        ! wait $program || fail 'the program did not notice'
        await 'key *a is unplugged*'
        gone
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"
        key touch-policy auto
        key plug a
        node_of a
        assert $node es256 c
        assert $node es256 d
        stop",
    );
}

#[test]
fn a_key_created_while_others_are_attached_gets_a_node_and_leaves_it_when_removed() {
    kernel_case::run_by_vhci_and_uhid(
        "attach_a --touch every
        before=$nodes
        nodes=
        key create b
        node_of b
        make_credential $node es256 c
        key remove b
        gone
        test \"$(ports_taken | grep -c .)\" = 1 || fail \"$(ports_taken)\"
        key create b
        node_of b
        ! assert $node es256 c || fail 'a new key knows a credential of another'
        nodes=\"$before $nodes\"
        stop
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
    );
}

#[test]
fn a_power_cycle_is_a_disconnect_and_a_new_device_with_the_same_credentials() {
    let Some(output) = kernel_case::run(
        "attach_a
        make_credential $node es256 c
        key power-cycle a
        nodes=
        node_of a
        assert $node es256 c
        stop",
    ) else {
        return;
    };
    let count = |text: &str| output.kernel_log.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("new full-speed USB device"), count("USB disconnect")), (2, 2), "{:#?}", output.kernel_log);
}

#[test]
fn over_uhid_a_power_cycle_is_a_new_device_with_the_same_credentials() {
    let Some(output) = kernel_case::run(
        "how=--uhid
        attach_a
        make_credential $node es256 c
        key power-cycle a
        nodes=
        node_of a
        assert $node es256 c
        # What programs see without USB beneath.
        fido2-token -L
        udevadm info --query=property --property=ID_FIDO_TOKEN,ID_BUS,ID_VENDOR_ID $node
        readlink -f /sys/class/hidraw/${node##*/}/device
        stop",
    ) else {
        return;
    };
    let text = output.text();
    println!("{text}");
    assert!(text.contains("vendor=0x1209, product=0x0001") && text.contains("ID_FIDO_TOKEN=1"), "{text}");
    assert!(!text.contains("ID_BUS=usb") && text.contains("/devices/virtual/misc/uhid/0003:1209:0001."), "{text}");
}

#[test]
fn as_many_keys_are_attached_as_the_kernel_has_nodes_for() {
    let Some(output) = kernel_case::run(
        "\"$keyrig\" attach --key 'k[1-65]=keyrig' 2>&1 || echo \"status $?\"
        start attach --uhid --touch every --key 'k[1-64]=keyrig'
        for key in $(seq 64); do await 'key * is /dev/*'; done
        test $(ls -d /dev/hidraw* | wc -l) = 64 || fail \"nodes: $(ls -d /dev/hidraw*)\"
        make_credential ${line##* } es256 c
        nodes=$(ls -d /dev/hidraw*)
        stop",
    ) else {
        return;
    };
    let text = output.text();
    assert!(text.contains("65 keys do not fit: Linux has 64 hidraw nodes") && text.ends_with("status 1\n"), "{text}");
}

#[test]
fn a_usb_port_reset_is_no_power_cycle() {
    let program = env!("CARGO_BIN_EXE_ctaphid");
    let Some(output) = kernel_case::run(&format!(
        "attach_a
        mkfifo question answer
        '{program}' channel $node <question >answer &
        program=$!
        exec 6>question 7<answer
        read -r said <&7 && test \"$said\" = open
        usbreset 1209:0001
        echo >&6
        read -r said <&7 && echo \"$said\"
        wait $program
        stop"
    )) else {
        return;
    };
    assert!(output.text().ends_with("the channel is as it was\n"), "{output:?}");
    let reset = output.kernel_log.iter().any(|line| line.contains("reset full-speed USB device"));
    assert!(reset, "{:#?}", output.kernel_log);
}

#[test]
fn usbip_attach_gets_a_key_from_keyrig_serve_and_detach_lets_it_go() {
    kernel_case::run(
        "start serve --key keyrig=a --usbip 127.0.0.1:3240
        await 'Ctrl-C ends it.'
        for round in 1 2; do
            usbip attach -r 127.0.0.1 -b 1-1
            udevadm wait --timeout=20 --settle /dev/hidraw0
            test $round = 2 || make_credential /dev/hidraw0 es256 c
            assert /dev/hidraw0 es256 c
            usbip detach -p 0 2>/dev/null
            nodes=/dev/hidraw0; gone
        done
        stop",
    );
}

#[test]
fn a_server_killed_while_attached_leaves_no_node_and_no_port() {
    kernel_case::run(
        "start serve --key keyrig=a --usbip 127.0.0.1:3240
        await 'Ctrl-C ends it.'
        usbip attach -r 127.0.0.1 -b 1-1
        udevadm wait --timeout=20 --settle /dev/hidraw0
        kill -KILL $rack
        nodes=/dev/hidraw0; gone
        rack=
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
    );
}

#[test]
fn keyrig_attach_killed_leaves_no_node_and_no_port() {
    kernel_case::run_by_vhci_and_uhid(
        "start attach $how --key keyrig=a --key keyrig=b
        nodes_of a b
        kill -KILL $rack
        wait $rack || true
        rack=
        gone
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
    );
}

#[test]
fn ctrl_c_and_sigterm_detach_before_the_program_ends() {
    kernel_case::run_by_vhci_and_uhid(
        "for signal in INT TERM; do
            attach_a
            kill -$signal $rack
            wait $rack || fail \"keyrig ended with $?\"
            rack=
            gone
            test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"
        done",
    );
}

#[test]
fn a_key_that_the_kernel_detaches_says_so_and_comes_back_by_a_power_cycle() {
    kernel_case::run(
        "start attach --key keyrig=a
        await 'key *a, a keyrig, is on port *'
        port=${line##*port }
        node_of a
        make_credential $node es256 c
        usbip detach -p ${port%% *} 2>/dev/null
        await '*key a was detached by the kernel*'
        gone
        test \"$(\"$keyrig\" key list | grep -c 'plugged in, no host')\" = 1
        key power-cycle a
        node_of a
        assert $node es256 c
        stop",
    );
}

#[test]
fn a_hundred_times_attached_and_detached_nothing_is_left() {
    kernel_case::run_by_vhci_and_uhid(
        "# Four times 25: one after another, the kernel's own pauses alone would take a minute.
        keys=$(seq -f k%.0f 25)
        start attach $how --touch every $(for key in $keys; do echo --key keyrig=$key; done)
        for key in $keys; do await 'key * is /dev/*'; done
        descriptors=$(ls /proc/$rack/fd | wc -l)
        # By one program: 25 that start at once keep an emulated machine busy for a minute.
        for key in $keys; do
            printf '[[events]]\\nat = \"0s\"\\ndo = \"power-cycle\"\\nkey = \"%s\"\\n' $key
        done >cycles.toml
        round=1
        while [ $round -lt 4 ]; do
            key timeline cycles.toml
            # In whatever order.
            for key in $keys; do await 'key * is /dev/*'; done
            round=$((round + 1))
        done
        test $(ls /proc/$rack/fd | wc -l) -le $descriptors || fail \"descriptors: $(ls -l /proc/$rack/fd)\"
        test $(ports_taken | wc -l) = 25 || fail \"ports: $(ports_taken)\"
        test $(ls -d /dev/hidraw* | wc -l) = 25 || fail \"nodes: $(ls -d /dev/hidraw*)\"
        nodes=$(ls -d /dev/hidraw*)
        make_credential ${line##* } es256 c
        stop
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
    );
}

#[test]
fn eight_keys_at_once_are_eight_nodes_that_work_at_once() {
    kernel_case::run_by_vhci_and_uhid(
        "start attach $how --touch every $(for key in a b c d e f g h; do echo --key keyrig=$key; done)
        nodes_of a b c d e f g h
        test $(fido2-token -L | wc -l) = 8
        programs=
        for key in a b c d e f g h; do
            eval node=\\$node_$key
            (make_credential $node es256 $key && assert $node es256 $key) &
            programs=\"$programs $!\"
        done
        for program in $programs; do
            wait $program
        done
        stop",
    );
}

#[test]
fn without_the_module_the_command_that_loads_it_is_named() {
    let Some(output) = kernel_case::run(
        "unshare --mount sh -c \"mount -t tmpfs none /sys/devices/platform && '$keyrig' attach\" 2>&1 || echo \"status $?\"",
    ) else {
        return;
    };
    assert!(output.text().contains("sudo modprobe vhci-hcd\nstatus 1\n"), "{output:?}");
}

#[test]
fn without_the_rights_the_command_that_has_them_is_named() {
    let Some(output) =
        kernel_case::run("setpriv --reuid=65534 --clear-groups \"$keyrig\" attach 2>&1 || echo \"status $?\"")
    else {
        return;
    };
    assert!(output.text().contains("sudo keyrig attach\nstatus 1\n"), "{output:?}");
}

#[test]
fn without_a_free_port_the_commands_that_free_one_are_named() {
    let Some(output) = kernel_case::run(
        "for file in /sys/devices/platform/vhci_hcd.0/status*; do
            sed 's/ 004 000 / 006 002 /' $file >${file##*/}
        done
        unshare --mount sh -c \"
            for file in status*; do mount --bind \\$file /sys/devices/platform/vhci_hcd.0/\\$file; done
            '$keyrig' attach\" 2>&1 || echo \"status $?\"",
    ) else {
        return;
    };
    let text = output.text();
    assert!(text.contains("all 120 ports") && text.contains("sudo usbip detach -p PORT\nstatus 1\n"), "{text}");
}
