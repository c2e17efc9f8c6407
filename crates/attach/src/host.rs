//! What this machine can do for software keys, and what would let it do more.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::exec::{self, ExecError, View};
use crate::uhid::{Uhid, UhidError};
use crate::vhci::{Vhci, VhciError};

/// Where rules for device nodes are.
const UDEV_RULES: [&str; 4] = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];

/// Rules that give security keys to the user at the seat: systemd's, libfido2's, ours.
const FIDO_RULES: [&str; 4] = ["60-fido-id.rules", "70-u2f.rules", "70-keyrig.rules", "60-libfido2-1.rules"];

/// Browsers, as packages call their programs.
const BROWSERS: [&str; 9] = [
    "chromium",
    "chromium-browser",
    "chromium-headless-shell",
    "google-chrome",
    "chrome",
    "microsoft-edge",
    "brave-browser",
    "firefox-esr",
    "firefox",
];

/// Files of a Firefox profile that set preferences, the one that is read last first.
const PREFERENCES: [&str; 2] = ["user.js", "prefs.js"];

/// The preference without which Firefox looks at no key.
const USB_PREFERENCE: &str = "security.webauth.webauthn_enable_usbtoken";

/// How much of a program's file is looked at, bytes.
const START: usize = 4096;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `exec-namespace`, `exec-paths`, `user-namespaces`, `vhci`, `uhid`, `udev-rule`, `hidraw`, `browser` or `qemu`.
    pub name: &'static str,
    /// Whether it serves.
    pub works: bool,
    /// What was found.
    pub found: String,
    /// What would mend it, where something would.
    pub mend: Option<String>,
}

impl Check {
    fn works(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, works: true, found: found.into(), mend: None }
    }

    fn fails(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, works: false, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Looks at everything. Keys are plugged in nowhere.
///
/// # Errors
/// [`ExecError::Files`] if a view could not be tried.
pub fn checks() -> Result<Vec<Check>, ExecError> {
    let mut checks = Vec::new();
    for (view, refused) in exec::views()? {
        let name = match view {
            View::Namespace => "exec-namespace",
            View::Paths => "exec-paths",
        };
        checks.push(match refused {
            None => Check::works(name, format!("'keyrig exec' can show keys to a program by {view}")),
            Some(refused) => Check::fails(name, refused.to_string(), refused.what_to_do()),
        });
    }
    let no_user_namespaces = exec::user_namespaces()?;
    let sandbox = no_user_namespaces.is_none();
    checks.push(match no_user_namespaces {
        None => {
            Check::works("user-namespaces", "programs may make user namespaces, as browsers do for their sandboxes")
        }
        Some(refused) => Check::fails("user-namespaces", refused.to_string(), refused.what_to_do()),
    });
    checks.push(match Vhci::open() {
        Ok(_) => Check::works("vhci", "'keyrig attach' can plug keys into this kernel"),
        Err(VhciError::NoModule) => {
            let found = "this kernel has no virtual USB host controller; 'keyrig exec' needs none";
            Check::fails("vhci", found, "sudo modprobe vhci-hcd && sudo keyrig attach")
        }
        Err(error) => Check::fails("vhci", error.to_string(), "sudo keyrig attach"),
    });
    checks.push(uhid());
    checks.push(hidraw());
    checks.push(udev_rule());
    checks.extend(BROWSERS.into_iter().filter_map(|name| in_path(name).map(|path| browser(&path, sandbox))));
    if !checks.iter().any(|check| check.name == "browser") {
        checks.push(Check::fails("browser", "no Chromium, Chrome or Firefox is in PATH", "sudo apt install chromium"));
    }
    checks.push(qemu());
    Ok(checks)
}

fn uhid() -> Check {
    match Uhid::open() {
        Ok(_) => Check::works("uhid", "'keyrig attach --uhid' can plug keys into this kernel, without USB"),
        Err(UhidError::NoModule) => {
            let found = "this kernel lets no program make HID devices; 'keyrig exec' and vhci need none";
            Check::fails("uhid", found, "sudo modprobe uhid && sudo keyrig attach --uhid")
        }
        Err(error) => Check::fails("uhid", error.to_string(), "sudo keyrig attach --uhid"),
    }
}

fn hidraw() -> Check {
    let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
    if !devices.lines().any(|line| line.trim().ends_with(" hidraw")) {
        let mend = "'keyrig exec' needs none; 'keyrig attach' does: sudo modprobe hid";
        return Check::fails("hidraw", "this kernel gives HID devices no nodes", mend);
    }
    let nodes = fs::read_dir("/dev").into_iter().flatten().flatten();
    let nodes: Vec<_> = nodes.map(|entry| entry.path()).filter(|path| is_hidraw(path)).collect();
    let closed: Vec<_> = nodes
        .iter()
        .filter(|path| File::options().read(true).write(true).open(path).is_err())
        .map(|path| path.display().to_string())
        .collect();
    if closed.is_empty() {
        return Check::works("hidraw", format!("this kernel has hidraw; nodes that are there now: {}", nodes.len()));
    }
    let found = format!("this user may not open {}", closed.join(", "));
    Check::fails("hidraw", found, "sudo cp scripts/70-keyrig.rules /etc/udev/rules.d/ && sudo udevadm control --reload")
}

fn is_hidraw(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("hidraw"))
}

fn udev_rule() -> Check {
    let found = UDEV_RULES.iter().flat_map(|directory| FIDO_RULES.map(|rule| Path::new(directory).join(rule)));
    match found.into_iter().find(|rule| rule.exists()) {
        Some(rule) => Check::works("udev-rule", format!("{} gives keys to the user at the seat", rule.display())),
        None => Check::fails(
            "udev-rule",
            "no rule gives security keys to the user at the seat, which 'keyrig exec' does not need",
            "sudo cp scripts/70-keyrig.rules /etc/udev/rules.d/ && sudo udevadm control --reload",
        ),
    }
}

/// `sandbox`: it may make the namespaces of which its sandbox consists.
fn browser(path: &Path, sandbox: bool) -> Check {
    let shown = path.display();
    if is_snap(path) {
        let found = format!("{shown} is a snap, in which no key is at /dev/hidraw*");
        return Check::fails("browser", found, "install a package of the distribution or of the browser's maker");
    }
    let is_firefox = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("firefox"));
    if is_firefox && let Some(profile) = profiles().into_iter().find(|profile| looks_at_no_key(profile)) {
        let found = format!("{shown} looks at no key in the profile {}", profile.display());
        return Check::fails("browser", found, format!("in about:config, set {USB_PREFERENCE} to true"));
    }
    let but = if is_firefox {
        ""
    } else if rustix::process::geteuid().is_root() {
        "; as root it starts with --no-sandbox only"
    } else if !sandbox {
        "; without user namespaces it starts with --no-sandbox only"
    } else {
        ""
    };
    Check::works("browser", format!("{shown} finds keys under 'keyrig exec'{but}"))
}

/// Firefox's profiles of this user.
fn profiles() -> Vec<PathBuf> {
    let Some(home) = env::var_os("HOME") else { return Vec::new() };
    let entries = fs::read_dir(Path::new(&home).join(".mozilla/firefox")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Whether a profile of Firefox switches security keys on USB off.
fn looks_at_no_key(profile: &Path) -> bool {
    let value = PREFERENCES.into_iter().find_map(|file| {
        let text = fs::read_to_string(profile.join(file)).ok()?;
        let set = text.lines().rev().find(|line| line.starts_with("user_pref(") && line.contains(USB_PREFERENCE))?;
        Some(set.trim_end().trim_end_matches([')', ';', ' ']).ends_with("false"))
    });
    value.unwrap_or(false)
}

/// A program of a snap, or a script that starts one, as Ubuntu's packages of browsers are.
fn is_snap(path: &Path) -> bool {
    let mut start = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(u64::try_from(START).unwrap_or(u64::MAX)).read_to_end(&mut start));
    let is_script = read.is_ok() && start.starts_with(b"#!");
    let names_snap = start.windows(6).any(|text| text == b"/snap/");
    path.canonicalize().is_ok_and(|target| target.starts_with("/snap") || target.ends_with("usr/bin/snap"))
        || is_script && names_snap
}

fn qemu() -> Check {
    match (in_path("qemu-system-x86_64"), File::options().write(true).open("/dev/kvm")) {
        (None, _) => Check::fails("qemu", "qemu-system-x86_64 is not in PATH", "sudo apt install qemu-system-x86"),
        (Some(path), Ok(_)) => Check::works("qemu", format!("{}, with KVM", path.display())),
        (Some(path), Err(error)) => {
            let found = format!("{}, slow without KVM (/dev/kvm: {error})", path.display());
            Check { mend: Some("sudo adduser $USER kvm".to_owned()), ..Check::works("qemu", found) }
        }
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_firefox_that_switches_keys_off_is_known() {
        let profile = tempfile::tempdir().unwrap();
        let set = |file: &str, text: &str| fs::write(profile.path().join(file), text).unwrap();
        assert!(!looks_at_no_key(profile.path()));
        set("prefs.js", "user_pref(\"a\", false);\nuser_pref(\"security.webauth.webauthn_enable_usbtoken\", false);\n");
        assert!(looks_at_no_key(profile.path()));
        // What the user has written counts more.
        set("user.js", "user_pref(\"security.webauth.webauthn_enable_usbtoken\", true);\n");
        assert!(!looks_at_no_key(profile.path()));
    }

    #[test]
    fn a_browser_of_a_snap_is_told_from_one_of_a_package() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        // As Ubuntu's firefox is.
        let script = file("firefox", b"#!/bin/sh\nexec /snap/bin/firefox \"$@\"\n");
        let package = file("chromium", b"#!/bin/sh\nexec /usr/lib/chromium/chromium \"$@\"\n");
        let binary = file("firefox-esr", b"\x7fELF with the text /snap/ in it");
        assert!(!browser(&script, true).works);
        assert!(browser(&package, true).works);
        assert!(browser(&binary, true).works);
        assert!(browser(&script, true).mend.is_some());
    }
}
