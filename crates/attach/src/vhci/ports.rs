//! The ports of the kernel's virtual host controllers, as the `status` files list them.
//!
//! The format is that of Linux 4.13 and later (`drivers/usb/usbip/vhci_sysfs.c`, `status_show_vhci`): a heading, then a line
//! for each port of a controller's two hubs. Older ones lack the first column.

const HEADING: [&str; 7] = ["hub", "port", "sta", "spd", "dev", "sockfd", "local_busid"];

/// A hub of a virtual host controller: each has one for the speeds up to high speed, and one for SuperSpeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hub {
    High,
    Super,
}

/// What a port does (`drivers/usb/usbip/usbip_common.h`, `enum usbip_device_status`, the values of vhci).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is attached to it.
    Free,
    /// Something is attached to it and has no address yet; or its controller is not ready.
    NotAssigned,
    /// Its device has an address.
    Used,
    /// Its connection failed, and it is about to be reset.
    Failed,
}

/// A line of a status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    /// Which controller it belongs to, from 0.
    pub(super) controller: u32,
    pub(super) hub: Hub,
    /// Which port of that hub it is, from 1.
    pub(super) hub_port: u32,
    /// The number that `attach` takes: it counts through all controllers.
    pub(super) number: u32,
    pub(super) state: State,
    /// What the kernel calls the device; `0-0` where there is none.
    pub(super) local_busid: String,
}

/// Where a USB device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsbPlace<'a> {
    /// Which virtual host controller it is on, from 0.
    controller: u32,
    /// What the kernel calls it.
    local_busid: &'a str,
}

impl<'a> UsbPlace<'a> {
    /// Where the USB device is that a device with this path belongs to: a virtual host controller, its root hub, the device.
    pub(super) fn of(device_path: &'a str) -> Option<Self> {
        let mut folders = device_path.split('/');
        let controller = folders.find_map(|folder| folder.strip_prefix("vhci_hcd."))?.parse().ok()?;
        folders.next().filter(|folder| folder.starts_with("usb"))?;
        Some(Self { controller, local_busid: folders.next()? })
    }

    /// Whether it is attached to this port.
    pub(super) fn is_at(self, port: &Port) -> bool {
        let hub_port = || self.local_busid.rsplit_once('-').and_then(|(_, hub_port)| hub_port.parse().ok());
        match port.state {
            State::Used => port.local_busid == self.local_busid,
            // A device that comes while the one before it is given its address has that address: vhci_hcd.c sees no request for one,
            // and its port never says that it is used, nor by what.
            State::NotAssigned => {
                port.hub == Hub::High && port.controller == self.controller && Some(port.hub_port) == hub_port()
            }
            State::Free | State::Failed => false,
        }
    }
}

/// The ports in the status file of a controller, or the line that is not understood.
pub(super) fn parse(controller: u32, status: &str) -> Result<Vec<Port>, &str> {
    let mut lines = status.lines();
    let heading = lines.next().unwrap_or_default();
    if !heading.split_ascii_whitespace().eq(HEADING) {
        return Err(heading);
    }
    let (mut high, mut superspeed) = (0, 0);
    let mut next = |hub| {
        let hub_port = if hub == Hub::High { &mut high } else { &mut superspeed };
        *hub_port += 1;
        *hub_port
    };
    lines.map(|line| port(controller, line, &mut next).ok_or(line)).collect()
}

fn port(controller: u32, line: &str, next: &mut impl FnMut(Hub) -> u32) -> Option<Port> {
    let mut words = line.split_ascii_whitespace();
    let hub = match words.next()? {
        "hs" => Hub::High,
        "ss" => Hub::Super,
        _ => return None,
    };
    let number = decimal(words.next()?)?;
    let state = match decimal(words.next()?)? {
        4 => State::Free,
        5 => State::NotAssigned,
        6 => State::Used,
        7 => State::Failed,
        _ => return None,
    };
    decimal(words.next()?)?;
    let device_id = words.next()?;
    u32::from_str_radix(device_id, 16).ok().filter(|_| !device_id.starts_with('+'))?;
    // A file descriptor; sixteen zeros where the controller is not ready.
    decimal(words.next()?)?;
    let local_busid = words.next()?.to_owned();
    words.next().is_none().then(|| Port { controller, hub, hub_port: next(hub), number, state, local_busid })
}

fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.1 prints it, with a full-speed device on the first port and one without an address on the second.
    const STATUS: &str = "\
hub port sta spd dev      sockfd local_busid
hs  0000 006 002 00010002 000003 1-1
hs  0001 005 002 00010003 000004 0-0
hs  0002 004 000 00000000 000000 0-0
ss  0003 004 000 00000000 000000 0-0
ss  0004 007 000 00000000 000000 0-0
";

    /// A second controller that is not ready (`status_show_not_ready`).
    const NOT_READY: &str = "\
hub port sta spd dev      sockfd local_busid
hs  0030 005 000 00000000 0000000000000000 0-0
ss  0045 005 000 00000000 0000000000000000 0-0
";

    fn port(hub: Hub, hub_port: u32, number: u32, state: State, local_busid: &str) -> Port {
        Port { controller: number / 30, hub, hub_port, number, state, local_busid: local_busid.to_owned() }
    }

    #[test]
    fn ports_are_read_as_the_kernel_prints_them() {
        assert_eq!(
            parse(0, STATUS).unwrap(),
            [
                port(Hub::High, 1, 0, State::Used, "1-1"),
                port(Hub::High, 2, 1, State::NotAssigned, "0-0"),
                port(Hub::High, 3, 2, State::Free, "0-0"),
                port(Hub::Super, 1, 3, State::Free, "0-0"),
                port(Hub::Super, 2, 4, State::Failed, "0-0"),
            ]
        );
        assert_eq!(
            parse(1, NOT_READY).unwrap(),
            [port(Hub::High, 1, 30, State::NotAssigned, "0-0"), port(Hub::Super, 1, 45, State::NotAssigned, "0-0")]
        );
    }

    #[test]
    fn what_the_kernel_does_not_print_is_refused_with_its_line() {
        for line in [
            "",
            "xs  0000 004 000 00000000 000000 0-0",
            "hs  -001 004 000 00000000 000000 0-0",
            "hs  +001 004 000 00000000 000000 0-0",
            "hs  4294967296 004 000 00000000 000000 0-0",
            "hs  0000 003 000 00000000 000000 0-0",
            "hs  0000 004 x 00000000 000000 0-0",
            "hs  0000 004 000 g0000000 000000 0-0",
            "hs  0000 004 000 +0000000 000000 0-0",
            "hs  0000 004 000 00000000 -1 0-0",
            "hs  0000 004 000 00000000 000000",
            "hs  0000 004 000 00000000 000000 0-0 more",
        ] {
            let status = format!("hub port sta spd dev      sockfd local_busid\n{line}\n");
            assert_eq!(parse(0, &status), Err(line));
        }
    }

    #[test]
    fn other_headings_are_refused() {
        // The second is Linux 4.12's: it had no SuperSpeed hub.
        for heading in ["", "prt sta spd bus dev socket           local_busid", "hub port sta"] {
            assert_eq!(parse(0, &format!("{heading}\n")), Err(heading));
        }
        assert_eq!(parse(0, ""), Err(""));
    }

    /// A port without an address as Linux 6.1 printed it while its device had a node: it had come while another was given an address.
    #[test]
    fn a_device_is_at_its_port_also_if_the_kernel_has_not_seen_it_get_an_address() {
        let place = UsbPlace::of("/devices/platform/vhci_hcd.0/usb1/1-2/1-2:1.0/0003:1209:0001.0002").unwrap();
        let status = "hub port sta spd dev      sockfd local_busid\n\
            hs  0000 005 002 00010002 000019 0-0\n\
            hs  0001 005 002 00010003 000020 0-0\n\
            hs  0002 004 000 00000000 000000 0-0\n\
            ss  0003 004 000 00000000 000000 0-0\n\
            ss  0004 005 000 00000000 000021 0-0\n";
        let is_at = |place: UsbPlace<'_>, controller: u32| -> Vec<u32> {
            let ports = parse(controller, status).unwrap();
            ports.iter().filter(|port| place.is_at(port)).map(|port| port.number).collect()
        };
        assert_eq!(is_at(place, 0), [1]);
        assert!(is_at(place, 1).is_empty(), "of another controller");
        assert!(is_at(UsbPlace { local_busid: "1-3", ..place }, 0).is_empty(), "nothing is attached there");
        for path in [
            "/devices/virtual/misc/uhid/0003:1209:0001.0001",
            "/devices/pci0000:00/usb1/1-2/1-2:1.0/0003:1209:0001.0002",
            "/devices/platform/vhci_hcd.0/usb1",
        ] {
            assert_eq!(UsbPlace::of(path), None, "{path}");
        }
    }
}
