//! A `datacenter.cfg` as the doctor takes it: one that turns WebAuthn on for nobody, or whose line cannot be read, is no reason to say
//! nothing of the rest.

use std::fs;
use std::path::Path;

use keyrig_client::Origin;
use keyrig_relying_party::{ConfigError, ConfigProblem, Settings, Written};
use keyrig_scenario::doctor;

use crate::failure::Failure;

/// What is in the file.
pub(super) struct Read {
    pub(super) settings: Result<Written, NoSettings>,
    /// What is odd about the file, and was passed over.
    pub(super) odd: Option<String>,
}

/// Why there are no settings.
pub(super) struct NoSettings {
    pub(super) problem: String,
    /// The origins that the line names, as far as it can be read.
    pub(super) origins: Vec<Origin>,
}

/// Reads the file. Without any of its data center a node has none, which is as good as an empty one.
pub(super) fn read(file: &Path, is_in_a_node: bool) -> Result<Read, Failure> {
    let (settings, odd) = settings(file);
    let odd = odd.map(|odd| doctor::passed_over(&file.display().to_string(), odd));
    let error = match settings {
        Ok(written) => return Ok(Read { settings: Ok(written), odd }),
        Err(error) => error,
    };
    let is_absent = is_in_a_node && matches!(file.try_exists(), Ok(false));
    let is_none = error.problem == ConfigProblem::NoWebauthnLine && (is_in_a_node || is_datacenter_cfg(file));
    let no_settings = match &error.place {
        Some(place) if error.problem != ConfigProblem::NoWebauthnLine => {
            NoSettings { problem: error.to_string(), origins: origins(&place.text) }
        }
        _ if is_absent || is_none => {
            let file = file.display();
            let problem =
                format!("{file} has no webauthn line: WebAuthn is off, and no key can be registered or log in");
            NoSettings { problem, origins: Vec::new() }
        }
        _ => return Err(Failure::Unreadable(error)),
    };
    Ok(Read { settings: Err(no_settings), odd })
}

/// The settings, from what a copy is without that Proxmox VE would stumble over.
fn settings(file: &Path) -> (Result<Written, ConfigError>, Option<&'static str>) {
    let read = Settings::read(file);
    // What is longer than settings are, or cannot be read, has no place.
    let is_read = read.as_ref().map_or_else(|error| error.place.is_some(), |_| true);
    let text = is_read.then(|| again(file)).flatten().unwrap_or_default();
    match doctor::plain(&text) {
        (text, Some(odd)) => (Settings::read_datacenter_cfg(&file.display().to_string(), &text), Some(odd)),
        _ => (read, None),
    }
}

/// The text of a file that was read before, as a pipe is read once only.
fn again(file: &Path) -> Option<String> {
    let is_file = fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| fs::read_to_string(file).ok()).flatten()
}

/// Whether every line is one that a `datacenter.cfg` can have: `name: value`, a comment, or nothing.
fn is_datacenter_cfg(file: &Path) -> bool {
    let Some(text) = again(file) else { return false };
    let (text, _) = doctor::plain(&text);
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).all(|line| {
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        };
        line.split_once(':')
            .is_some_and(|(name, value)| is_name(name) && (value.is_empty() || value.starts_with([' ', '\t'])))
    })
}

/// The origins of sites in a line that is no `webauthn:` line.
fn origins(line: &str) -> Vec<Origin> {
    let words = line.split([',', ' ', '\t', ';']);
    let addresses = words.filter_map(|word| word.find("https://").and_then(|at| word.get(at..)));
    addresses.filter_map(|address| address.parse().ok()).filter(|origin: &Origin| origin.domain().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_none_names_its_origins_all_the_same() {
        for (line, expected) in [
            ("webauthn: rp=x,origin=https://pve1.example.com:8006,id", &["https://pve1.example.com:8006"][..]),
            ("webauthn id=example.com origin=https://pve1.example.com:8006/", &["https://pve1.example.com:8006"]),
            ("webauthn: origin=https://a.example,https://b.example", &["https://a.example", "https://b.example"]),
            ("webauthn: origin=https://192.0.2.1:8006,id", &[]),
            ("webauthn: id=example.com,origin=http", &[]),
            ("webauthn: origin=https://", &[]),
        ] {
            let found: Vec<_> = origins(line).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_no_datacenter_cfg() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        for (text, expected) in [
            ("", true),
            ("# nothing\n\n", true),
            ("keyboard: de\r\nu2f:\nmac_prefix: BC:24:11\n", true),
            ("keyboard: de\rmac_prefix: BC:24:11\r", true),
            ("user:root@pam:1:0:::::x:\n", false),
            ("{\"users\": {}}", false),
            ("nodelist {\n  node {\n", false),
            ("keyboard: de\nKeyboard: de\n", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(is_datacenter_cfg(&file), expected, "{text:?}");
        }
    }
}
