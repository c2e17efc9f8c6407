//! One case of the kernel tier: a script in the guest, with a rack at hand, after which the kernel has nothing to complain about.

use std::time::Duration;

use crate::guest::{self, Output};
use crate::program;

/// How long a case may take under software emulation.
const LIMIT: Duration = Duration::from_secs(480);

const PRELUDE: &str = concat!(include_str!("../tools.sh"), include_str!("prelude.sh"));

/// What the kernel says of a key that is attached, used and detached, and of nothing that went wrong. `*` stands for any text.
const USUAL: [&str; 24] = [
    // drivers/usb/usbip/vhci_sysfs.c, attach_store
    "vhci_hcd vhci_hcd.*: pdev(*) rhport(*) sockfd(*)",
    "vhci_hcd vhci_hcd.*: devid(*) speed(2) speed_str(full-speed)",
    "vhci_hcd vhci_hcd.*: Device attached",
    // vhci_hcd.c, twice for each device: the hub's port is asked for its speed before its reset is over.
    "vhci_hcd: vhci_device speed not set",
    "usb *-*: SetAddress Request (*) to port *",
    // A program closes the node: usbhid takes back the IN URB that was pending.
    "vhci_hcd: unlink->seqnum *",
    "vhci_hcd: urb->status -104",
    // vhci_tx.c: a program closes the node as its key is pulled out, and the UNLINK finds no connection any more.
    "vhci_hcd: sendmsg failed!, ret=-32 for 48",
    // vhci_rx.c and vhci_hcd.c, when the connection ends
    "vhci_hcd: connection closed",
    "vhci_hcd: stop threads",
    "vhci_hcd: release socket",
    "vhci_hcd: disconnect device",
    // drivers/usb/usbip/vhci_rx.c, vhci_recv_ret_unlink: an URB was answered while its UNLINK was on the way.
    "vhci_hcd: the urb (seqnum *) was already given back",
    // drivers/usb/core/hub.c
    "usb *-*: new full-speed USB device number * using vhci_hcd",
    "usb *-*: reset full-speed USB device number * using vhci_hcd",
    "usb *-*: USB disconnect, device number *",
    // drivers/usb/core/sysfs.c, warn_level: whoever looks for keys with hidapi reads all that a device has there.
    "WARNING! power/level is deprecated; use power/control instead",
    // Of every profile.
    "usb *-*: New USB device found, idVendor=*, idProduct=*, bcdDevice=*",
    "usb *-*: New USB device strings: Mfr=*, Product=*, SerialNumber=*",
    "usb *-*: Product: *",
    "usb *-*: Manufacturer: *",
    "usb *-*: SerialNumber: *",
    // drivers/hid/hid-core.c, hid_connect
    "hid-generic 0003:*:*.*: hiddev*,hidraw*: USB HID v1.10 Device [*] on usb-vhci_hcd.*/input0",
    // The same of uhid.
    "hid-generic 0003:*:*.*: hidraw*: USB HID v1.10 Device [*] on usb-keyrig.*/input0",
];

/// Runs a case in this test binary's guest, or says that it is skipped and returns `None`.
///
/// The script is POSIX shell, after `tools.sh` and `prelude.sh` beside this file, with `$keyrig` the program under test.
///
/// # Panics
///
/// If the script fails, takes too long, or if the kernel says something unusual meanwhile.
pub fn run(script: &str) -> Option<Output> {
    let keyrig = program::keyrig();
    let mut guest = guest::required_or_skip()?;
    let output = match guest.run(&format!("keyrig='{keyrig}'\n{PRELUDE}\n{script}"), LIMIT) {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    };
    drop(guest);
    let log = output.kernel_log.join("\n");
    let text = || format!("{}\n{}\n{log}", output.text(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status, 0, "{}", text());
    let complaints = complaints(&output.kernel_log);
    assert!(complaints.is_empty(), "the kernel said {complaints:#?}\n{}", text());
    Some(output)
}

/// The same by vhci, and then by uhid: `$how` says which to 'keyrig attach'.
pub fn run_by_vhci_and_uhid(script: &str) {
    for how in ["", "--uhid"] {
        run(&format!("how={how}\n{script}"));
    }
}

/// The lines of a kernel log that concern USB, HID or a fault of the kernel, and are not usual.
fn complaints(log: &[String]) -> Vec<&str> {
    let about_us = |line: &str| {
        let line = line.to_lowercase();
        ["usb", "hid", "vhci", "warning", "bug:", "call trace", "hung task"].iter().any(|word| line.contains(word))
    };
    log.iter()
        .map(|line| line.split_once("] ").map_or(line.as_str(), |(_time, text)| text))
        .filter(|line| about_us(line) && !USUAL.iter().any(|pattern| matches(pattern, line)))
        .collect()
}

/// Whether a text is what a pattern says, `*` being any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    loop {
        if matches(rest, text) {
            return true;
        }
        let mut chars = text.chars();
        if chars.next().is_none() {
            return false;
        }
        text = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_lines() {
        for (pattern, text, expected) in [
            ("usb *-*: USB disconnect, device number *", "usb 1-1: USB disconnect, device number 2", true),
            ("usb *-*: USB disconnect, device number *", "xusb 1-1: USB disconnect, device number 2", false),
            ("vhci_hcd: stop threads", "vhci_hcd: stop threads", true),
            ("vhci_hcd: stop threads", "vhci_hcd: stop threads?", false),
            ("a*b", "ab", true),
            ("a*b", "aXbXb", true),
            ("a*b", "aXbX", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_the_kernel_says_of_a_device_that_misbehaves_is_a_complaint() {
        // Lines of drivers/usb/core/hub.c, drivers/hid/usbhid/hid-core.c and drivers/usb/usbip/vhci_rx.c.
        let log = [
            "[   10.461573] usb 1-1: new full-speed USB device number 2 using vhci_hcd",
            "[   10.461574] usb 1-1: device descriptor read/64, error -71",
            "[   10.461575] usbhid 1-1:1.0: can't add hid device: -71",
            "[   10.461576] vhci_hcd: cannot find a urb of seqnum 12 max seqnum 14",
            "[   10.461577] WARNING: CPU: 0 PID: 1 at drivers/base/core.c:1",
            "[   10.461578] clocksource: timekeeping watchdog on CPU0",
        ];
        let log = log.map(str::to_owned);
        let found = complaints(&log);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].ends_with("error -71") && found[3].starts_with("WARNING"), "{found:?}");
    }
}
