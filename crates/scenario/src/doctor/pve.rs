//! A node's `/etc/pve`, or a copy of it: who is in the cluster, and who has which second factor. Nothing is written, and no secret
//! leaves this module.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest file that is read, bytes: a cluster file system keeps shorter ones.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What there is beside `datacenter.cfg`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pve {
    /// The names of the nodes; none if there is no cluster.
    pub nodes: Vec<String>,
    /// The users, by name.
    pub users: Vec<PveUser>,
    /// What was not looked at, and why.
    pub unseen: Vec<String>,
}

/// A user of Proxmox VE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PveUser {
    /// `name@realm`.
    pub user: String,
    /// Whether the account is enabled.
    pub enabled: bool,
    /// How many factors of each kind are enabled: `totp`, `webauthn`, `u2f`, `yubico`; of `recovery`, how many keys are left. `None` if
    /// nobody's are known.
    pub factors: Option<BTreeMap<&'static str, usize>>,
    /// What is wrong or risky, for people.
    pub findings: Vec<String>,
}

/// What stands in the files of a directory; `None` where one is not there.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `corosync.conf`.
    pub corosync_conf: Option<String>,
    /// `domains.cfg`.
    pub domains_cfg: Option<String>,
    /// `user.cfg`.
    pub user_cfg: Option<String>,
    /// `priv/tfa.cfg`.
    pub tfa_cfg: Option<String>,
}

/// Why a directory cannot be examined.
#[derive(Debug, Error)]
pub enum PveError {
    /// A file cannot be read.
    #[error("{}: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// A file is longer than any that Proxmox VE keeps.
    #[error("{}: it is longer than {} MiB", .0.display(), MAX_FILE_BYTES >> 20)]
    TooLong(PathBuf),
    /// A line is not of the form that the file has.
    #[error("{}:{line}: {problem}", .file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Tfa {
    #[serde(default)]
    users: BTreeMap<String, Factors>,
}

/// What is read of a user's factors: never the entries themselves.
#[derive(Default, Deserialize)]
struct Factors {
    #[serde(default)]
    totp: Vec<Entry>,
    #[serde(default)]
    webauthn: Vec<Entry>,
    #[serde(default)]
    u2f: Vec<Entry>,
    #[serde(default)]
    yubico: Vec<Entry>,
    recovery: Option<Recovery>,
    #[serde(default, alias = "totp-locked", alias = "totp_locked")]
    totp_is_locked: bool,
}

#[derive(Deserialize)]
struct Entry {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default = "yes")]
    enable: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Recovery {
    /// A key that was used leaves null behind.
    #[serde(default)]
    entries: Vec<Option<serde::de::IgnoredAny>>,
}

impl Pve {
    /// Reads what is in a directory: `corosync.conf`, `domains.cfg`, `user.cfg` and `priv/tfa.cfg`.
    ///
    /// # Errors
    /// [`PveError`], if a file that is there is not what it should be. One that is not there, or that we may not read, is named in
    /// [`Self::unseen`].
    pub fn read(directory: &Path) -> Result<Self, PveError> {
        let mut unseen = Vec::new();
        let mut text = |name: &str, without: &str| -> Result<Option<String>, PveError> {
            let file = directory.join(name);
            match read(&file) {
                Ok(text) => Ok(Some(text)),
                Err(PveError::Unreadable { error, .. })
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
                {
                    unseen.push(format!("{}: {error}; {without}", file.display()));
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let files = Files {
            corosync_conf: text("corosync.conf", "no node is known but by --node")?,
            domains_cfg: text("domains.cfg", "no realm's second factor is known")?,
            user_cfg: text("user.cfg", "no user is known")?,
            tfa_cfg: text("priv/tfa.cfg", "nobody's factors are known")?,
        };
        let parsed = Self::parse(&files).map_err(|(name, line, problem)| PveError::Line {
            file: directory.join(name),
            line,
            problem,
        })?;
        unseen.extend(parsed.unseen);
        Ok(Self { unseen, ..parsed })
    }

    /// The same from what stands in the files.
    ///
    /// # Errors
    /// The file, the line and what is wrong there.
    pub fn parse(files: &Files) -> Result<Self, (&'static str, usize, String)> {
        let mut unseen = Vec::new();
        let mut plain = |name: &str, file: &Option<String>| {
            let (text, odd) = plain(file.as_deref()?);
            unseen.extend(odd.map(|odd| passed_over(name, odd)));
            Some(text)
        };
        let corosync_conf = plain("corosync.conf", &files.corosync_conf);
        let domains_cfg = plain("domains.cfg", &files.domains_cfg);
        let user_cfg = plain("user.cfg", &files.user_cfg);
        let tfa_cfg = plain("priv/tfa.cfg", &files.tfa_cfg);
        let realms = domains_cfg.as_deref().map(realms).unwrap_or_default();
        let factors = tfa_cfg.as_deref().map(factors).transpose();
        let factors = factors.map_err(|(line, problem)| ("priv/tfa.cfg", line, problem))?;
        let users = users(user_cfg.as_deref().unwrap_or_default(), &realms, factors.as_ref());
        let (users, unknown) = users.map_err(|(line, problem)| ("user.cfg", line, problem))?;
        unseen.extend(unknown.iter().map(|line| format!("user.cfg:{line}: the line is of no kind that is known")));
        Ok(Self { nodes: corosync_conf.as_deref().map(nodes).unwrap_or_default(), users, unseen })
    }

    /// How many WebAuthn keys of whom no browser uses any more if the RP ID changes.
    #[must_use]
    pub fn keys(&self) -> Vec<(&str, usize)> {
        let keys =
            self.users.iter().filter_map(|user| Some((user.user.as_str(), *user.factors.as_ref()?.get("webauthn")?)));
        keys.filter(|(_, count)| *count > 0).collect()
    }
}

fn read(file: &Path) -> Result<String, PveError> {
    let unreadable = |error| PveError::Unreadable { file: file.to_owned(), error };
    let mut read = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    let length = opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut read).map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(PveError::TooLong(file.to_owned()));
    }
    String::from_utf8(read).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        let column = good.rsplit(|byte| *byte == b'\n').next().map_or(1, |begun| begun.len() + 1);
        PveError::Line { file: file.to_owned(), line, problem: format!("byte {column} of the line is no UTF-8") }
    })
}

/// A text without what copies made elsewhere have: a byte order mark, and lines that CR alone ends; and which of these it had.
#[must_use]
pub fn plain(text: &str) -> (String, Option<&'static str>) {
    let without_mark = text.strip_prefix('\u{feff}');
    let text = without_mark.unwrap_or(text).replace("\r\n", "\n");
    let odd = match without_mark {
        Some(_) => Some("a byte order mark stands at its beginning"),
        None => text.contains('\r').then_some("CR alone ends its lines"),
    };
    (text.replace('\r', "\n"), odd)
}

/// What is said of a file that had such a thing.
#[must_use]
pub fn passed_over(file: &str, odd: &str) -> String {
    format!("{file}: {odd}, which Proxmox VE does not read: it was passed over")
}

/// `name:` of each `node { … }` (corosync.conf(5)).
fn nodes(text: &str) -> Vec<String> {
    let mut sections: Vec<&str> = Vec::new();
    let mut nodes = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_suffix('{') {
            sections.push(name.trim());
        } else if line == "}" {
            sections.pop();
        } else if sections.last() == Some(&"node")
            && let Some((key, name)) = line.split_once(':')
            && key.trim() == "name"
        {
            nodes.push(name.trim().to_owned());
        }
    }
    nodes
}

/// The type of each realm's `tfa` property: `TYPE: REALM`, and lines that are indented.
fn realms(text: &str) -> BTreeMap<String, String> {
    let mut realm = None;
    let mut realms = BTreeMap::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let (key, value) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
            if let Some(realm) = &realm
                && key == "tfa"
            {
                let properties = value.split(',').filter_map(|property| property.split_once('='));
                let kind = properties.into_iter().find(|(key, _)| key.trim() == "type").map(|(_, kind)| kind.trim());
                realms.insert(String::clone(realm), kind.unwrap_or(value.trim()).to_owned());
            }
        } else if let Some((_, name)) = line.split_once(':') {
            realm = Some(name.trim().to_owned());
        }
    }
    realms
}

/// A line, from 1, and what is wrong there.
type Wrong = (usize, String);

fn factors(text: &str) -> Result<BTreeMap<String, Factors>, Wrong> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    // Not the parser's words, which can have a value in them.
    let wrong = |error: serde_json::Error| {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "it ends before what was begun in it is over".to_owned(),
            _ => format!("column {} is not as Proxmox VE writes it", error.column()),
        };
        (error.line().min(text.lines().count()), problem)
    };
    let tfa: Tfa = serde_json::from_str(text).map_err(wrong)?;
    Ok(tfa.users)
}

/// `user:NAME@REALM:ENABLE:…` of each line; groups, pools and rights are others. Beside them, the lines that are of no kind.
fn users(
    text: &str,
    realms: &BTreeMap<String, String>,
    factors: Option<&BTreeMap<String, Factors>>,
) -> Result<(Vec<PveUser>, Vec<usize>), Wrong> {
    const OTHERS: [&str; 5] = ["group", "role", "acl", "pool", "token"];

    let (mut users, mut unknown) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let mut fields = line.split(':');
        match fields.next() {
            Some("user") => {}
            Some(kind) if line.is_empty() || line.starts_with('#') || OTHERS.contains(&kind) => continue,
            _ => {
                unknown.push(index + 1);
                continue;
            }
        }
        let wrong = |problem: &str| (index + 1, problem.to_owned());
        let name = fields.next().unwrap_or_default();
        let (_, realm) = name.rsplit_once('@').ok_or_else(|| wrong("a user is NAME@REALM"))?;
        let enabled = match fields.next() {
            Some("1") => true,
            Some("0" | "") => false,
            _ => return Err(wrong("1 or 0 follows a user's name")),
        };
        let of_user = factors.map(|factors| factors.get(name));
        users.push(user(name, enabled, realms.get(realm).map(String::as_str), of_user));
    }
    users.sort_by(|left, right| left.user.cmp(&right.user));
    Ok((users, unknown))
}

/// `factors` is `None` if nobody's are known.
fn user(name: &str, enabled: bool, realm: Option<&str>, factors: Option<Option<&Factors>>) -> PveUser {
    let mut findings = Vec::new();
    let counts = factors.map(|factors| {
        let none = Factors::default();
        let factors = factors.unwrap_or(&none);
        let enabled_of = |entries: &[Entry]| entries.iter().filter(|entry| entry.info.enable).count();
        let kinds = [
            ("totp", enabled_of(&factors.totp)),
            ("webauthn", enabled_of(&factors.webauthn)),
            ("u2f", enabled_of(&factors.u2f)),
            ("yubico", enabled_of(&factors.yubico)),
            ("recovery", factors.recovery.as_ref().map_or(0, |it| it.entries.iter().flatten().count())),
        ];
        let counts: BTreeMap<_, _> = kinds.into_iter().filter(|(_, count)| *count > 0).collect();
        if enabled {
            findings = find(&counts, realm, factors.totp_is_locked);
        }
        counts
    });
    PveUser { user: name.to_owned(), enabled, factors: counts, findings }
}

fn find(counts: &BTreeMap<&'static str, usize>, realm: Option<&str>, totp_is_locked: bool) -> Vec<String> {
    let count = |kind| counts.get(kind).copied().unwrap_or_default();
    let (keys, recovery) = (count("webauthn") + count("u2f"), count("recovery"));
    let devices = keys + count("totp") + count("yubico");
    let mut findings = Vec::new();
    match devices {
        0 if recovery > 0 => findings.push("has nothing but recovery keys"),
        0 if realm.is_some() => findings.push("has no second factor, and the realm requires one: cannot log in"),
        0 => findings.push("has no second factor"),
        1 if recovery == 0 => findings.push("has one factor and no recovery keys: is locked out when it is lost"),
        _ => {}
    }
    if realm == Some("oath") && keys > 0 {
        findings.push(if count("totp") == 0 {
            "has security keys only, and the realm takes codes only: cannot log in (row 55)"
        } else {
            "has security keys, and the realm takes codes only: they are offered, touched and refused (row 55)"
        });
    }
    if totp_is_locked {
        findings.push("TOTP is locked after wrong codes: pveum user tfa unlock");
    }
    findings.into_iter().map(str::to_owned).collect()
}
