//! What the text of a path tells by itself: whether it can lead to a key, and to which node.

use super::view::View;

/// `hidrawN`, without leading zeros.
pub(super) fn node_number(name: &[u8]) -> Option<u32> {
    let digits = core::str::from_utf8(name.strip_prefix(b"hidraw")?).ok()?;
    let plain = digits == "0" || !digits.starts_with('0');
    (plain && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

pub(super) fn goes_up(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|component| component == b"..")
}

/// Whether a path can lead into the view at all, as far as its text tells. Most paths do not, and that is to cost little.
pub(super) fn may_lead_into_view(path: &[u8]) -> bool {
    let first = |path: &[u8]| path.split(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
    // A way up may lead anywhere.
    if goes_up(path) {
        return true;
    }
    let mut path = path;
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    if let Some(below) = path.strip_prefix(b"/") {
        return matches!(first(below).as_slice(), b"sys" | b"dev" | b"run" | b"" | b".");
    }
    // The directories from which ours are reached, seen from those that every system has.
    let first = first(path);
    matches!(
        first.as_slice(),
        b"" | b"."
            | b"sys"
            | b"dev"
            | b"run"
            | b"class"
            | b"bus"
            | b"devices"
            | b"char"
            | b"udev"
            | b"data"
            | b"tags"
            | b"control"
            | b"hid"
            | b"keyrig"
    ) || first.starts_with(b"hidraw")
        || first.contains(&b':')
}

/// Whether a call by this path is the kernel's alone. `listed`: a program has our copy of a directory of the system, and may open
/// what is in it by names alone.
pub(super) fn concerns_no_key(view: View, listed: bool, path: &[u8]) -> bool {
    match view {
        View::Paths => !may_lead_into_view(path) && (!listed || path.starts_with(b"/")),
        View::Namespace => {
            let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            last != b"ptmx" && node_number(last).is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_those_that_the_kernel_would_name_so() {
        for (name, number) in
            [("hidraw0", Some(0)), ("hidraw12", Some(12)), ("hidraw", None), ("hidraw00", None), ("hidraw1a", None)]
        {
            assert_eq!(node_number(name.as_bytes()), number, "{name}");
        }
    }

    #[test]
    fn a_path_of_a_project_costs_nothing_and_none_of_ours_is_missed() {
        for path in [
            "src/main.rs",
            "./src/main.rs",
            "/usr/lib/libc.so.6",
            "lib.rs",
            "/home/u/dev/x",
            "Makefile",
            "/system",
            "/devel/x",
        ] {
            assert!(!may_lead_into_view(path.as_bytes()), "{path}");
        }
        for path in [
            "/dev/hidraw0",
            "//dev/hidraw0",
            "/./sys/class/hidraw",
            "/usr/../dev/hidraw0",
            "hidraw1",
            "class/hidraw",
            "dev",
            "245:64",
            "./hidraw0",
            "././sys",
            ".",
            "./",
            "",
            "../dev/hidraw0",
            "/sys/bus",
            "/run/udev/data/c245:64",
        ] {
            assert!(may_lead_into_view(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_name_alone_may_lead_there_from_a_directory_that_was_listed() {
        assert!(concerns_no_key(View::Paths, false, b"uevent"));
        assert!(!concerns_no_key(View::Paths, true, b"uevent"));
        assert!(concerns_no_key(View::Paths, true, b"/usr/lib"));
    }

    #[test]
    fn a_namespace_shows_all_but_the_nodes() {
        for (path, expected) in [
            ("/sys/class/hidraw", true),
            ("/dev/hidraw0", false),
            ("hidraw12", false),
            ("/dev/ptmx", false),
            ("", true),
        ] {
            assert_eq!(concerns_no_key(View::Namespace, false, path.as_bytes()), expected, "{path}");
        }
    }
}
