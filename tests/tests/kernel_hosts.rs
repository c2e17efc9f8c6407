//! What a host's own programs see of keys, by each way that they come to its kernel.

use keyrig_tests::kernel_case;

/// What the book says of keys that are on no USB: who sees what of them.
#[test]
fn a_key_over_uhid_is_a_hid_device_and_nothing_of_usb() {
    let Some(output) = kernel_case::run(
        "how=--uhid
        ! \"$keyrig\" attach --uhid --key keyrig=a --fault a=usb-stall-in 2>&1 || fail 'a fault of USB was taken'
        attach_a
        fido2-token -L
        udevadm info --query=property --property=ID_FIDO_TOKEN,CURRENT_TAGS $node
        readlink -f /sys/class/hidraw/${node##*/}/device
        udevadm info --attribute-walk $node | grep -c idVendor || true
        lsusb
        ! usbreset 1209:0001 || fail 'usbreset found it'
        stop
        # And by vhci, to compare.
        how=
        attach_a
        echo by vhci
        fido2-token -L
        udevadm info --attribute-walk $node | grep idVendor
        lsusb
        stop",
    ) else {
        return;
    };
    let text = output.text();
    let (uhid, vhci) = text.split_once("by vhci\n").unwrap_or_else(|| panic!("{text}"));
    assert!(uhid.contains("can never happen here"), "{text}");
    let listed = |text: &str| {
        let line = text.lines().find(|line| line.contains("vendor=0x1209, product=0x0001"));
        line.unwrap_or_else(|| panic!("{text}")).split_once(" (").unwrap_or_else(|| panic!("{text}")).1.to_owned()
    };
    // In parentheses are manufacturer and product.
    assert_eq!(listed(uhid).trim_matches(|c: char| c == ')' || c == ' '), "", "{text}");
    assert!(listed(vhci).contains("keyrig"), "{text}");
    assert!(uhid.contains("ID_FIDO_TOKEN=1") && uhid.contains(":uaccess:"), "{text}");
    assert!(uhid.contains("/devices/virtual/misc/uhid/0003:1209:0001."), "{text}");
    // How many parents have an idVendor.
    assert!(uhid.lines().any(|line| line == "0") && vhci.contains("ATTRS{idVendor}==\"1209\""), "{text}");
    // Debian's lsusb.
    assert!(!uhid.contains("ID 1209:0001") && vhci.contains("ID 1209:0001"), "{text}");
}

/// Debian's `usbip`, of which no line was written here, in front of more keys than a bus has.
#[test]
fn usbip_lists_the_keys_of_several_buses_and_attaches_one_of_the_second() {
    let Some(output) = kernel_case::run(
        "start serve --touch every --key 'k[1-130]=keyrig' --usbip 127.0.0.1:3240
        await 'Ctrl-C ends it.'
        usbip list -r 127.0.0.1 | grep '(1209:0001)' | sed 's/^ *//; s/: .*//' | tr '\\n' ' '
        echo
        usbip attach -r 127.0.0.1 -b 2-3
        udevadm wait --timeout=20 --settle /dev/hidraw0
        \"$keyrig\" key list | grep 'attached to a host'
        make_credential /dev/hidraw0 es256 c
        usbip detach -p 0 2>/dev/null
        nodes=/dev/hidraw0; gone
        stop",
    ) else {
        return;
    };
    let text = output.text();
    // The 129th is the third of the second bus.
    assert!(text.lines().nth(1).is_some_and(|line| line.contains("k129")) && text.lines().count() == 2, "{text}");
    let mut listed: Vec<_> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    let mut all: Vec<_> =
        (1..=126).map(|port| format!("1-{port}")).chain((1..=4).map(|port| format!("2-{port}"))).collect();
    listed.sort_unstable();
    all.sort_unstable();
    assert_eq!(listed, all);
}
