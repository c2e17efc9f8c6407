//! What a directory is asked by, as `pveum realm add` and `modify` name it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use keyrig_ldap::{Dn, Filter, InvalidFilter, is_attribute};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::property_string::{self, PropertyProblem};

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryKind {
    /// LDAP (RFC 4511).
    Ldap,
    /// Active Directory.
    Ad,
}

impl DirectoryKind {
    /// The type of its realm, as Proxmox VE calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Ad => "ad",
        }
    }
}

/// How the directory is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In clear text, passwords too.
    #[serde(rename = "ldap")]
    Ldap,
    /// TLS, begun by StartTLS.
    #[serde(rename = "ldap+starttls")]
    StartTls,
    /// TLS from the first byte.
    #[serde(rename = "ldaps")]
    Ldaps,
}

/// What is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncScope {
    /// Users alone.
    Users,
    /// Groups and their members alone.
    Groups,
    /// Both.
    Both,
}

/// What is taken away when the directory has it no more. Sessions of users whom it has no more end in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveVanished {
    /// The roles of users and groups.
    pub acl: bool,
    /// The users and groups themselves, with all factors.
    pub entry: bool,
    /// What is known of users beside their names.
    pub properties: bool,
}

/// What a directory is asked by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySettings {
    /// What it is.
    pub kind: DirectoryKind,
    /// A server: a name, which its certificate has to have, or an address.
    pub server1: String,
    /// One that is asked if the first cannot be reached.
    pub server2: Option<String>,
    /// The port; `None` is 636 with [`Mode::Ldaps`] and 389 otherwise.
    pub port: Option<u16>,
    /// Below which entry users are; empty for Active Directory's own (`defaultNamingContext`).
    pub base_dn: String,
    /// The attribute that is a user's name.
    pub user_attr: String,
    /// The domain of Active Directory: without [`bind_dn`](Self::bind_dn) users bind as `NAME@DOMAIN`.
    pub domain: Option<String>,
    /// As whom the directory is searched; the password is in a file of its own.
    pub bind_dn: Option<String>,
    /// Which users there are, beside [`user_classes`](Self::user_classes): for logins too.
    pub filter: Option<String>,
    /// Which object classes users have.
    pub user_classes: Vec<String>,
    /// Below which entry groups are; `None` is [`base_dn`](Self::base_dn).
    pub group_dn: Option<String>,
    /// Which groups there are, beside [`group_classes`](Self::group_classes).
    pub group_filter: Option<String>,
    /// Which object classes groups have.
    pub group_classes: Vec<String>,
    /// The attribute that is a group's name; `None` is the first value of its DN.
    pub group_name_attr: Option<String>,
    /// Which attribute is which property of a user.
    pub sync_attributes: BTreeMap<String, String>,
    /// What is synced unless told otherwise.
    pub sync_scope: Option<SyncScope>,
    /// What is taken away unless told otherwise.
    pub sync_remove_vanished: RemoveVanished,
    /// Whether new users can log in unless told otherwise.
    pub sync_enable_new: bool,
    /// How it is spoken to.
    pub mode: Mode,
    /// Whether its certificate has to be one of a CA that is trusted, and of its name.
    pub verify: bool,
    /// What is trusted: a file in PEM, or a directory of such.
    pub capath: PathBuf,
    /// The certificate that is shown to a server that asks for one: a file in PEM.
    pub cert: Option<PathBuf>,
    /// Its key: a file in PEM.
    pub certkey: Option<PathBuf>,
    /// Whether `Alice` is another user than `alice`; letters other than A to Z are told apart in every case.
    pub case_sensitive: bool,
}

/// The properties of a user that an attribute can be.
pub(crate) const PROPERTIES: [&str; 4] = ["comment", "email", "firstname", "lastname"];

/// The options, by the names that `pveum realm add` has for them.
pub const DIRECTORY_OPTIONS: &[&str] = &[
    "base_dn",
    "bind_dn",
    "capath",
    "case-sensitive",
    "cert",
    "certkey",
    "domain",
    "filter",
    "group_classes",
    "group_dn",
    "group_filter",
    "group_name_attr",
    "mode",
    "port",
    "secure",
    "server1",
    "server2",
    "sync-defaults-options",
    "sync_attributes",
    "user_attr",
    "user_classes",
    "verify",
];

/// Why an option cannot be as it is given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DirectoryOptionError {
    /// It is none.
    #[error("there is no option {found:?}; the options are {}", DIRECTORY_OPTIONS.join(", "))]
    Unknown {
        /// What was given.
        found: String,
    },
    /// It has to be given.
    #[error("--{0} has to be given")]
    Missing(&'static str),
    /// It would never be shown.
    #[error("--cert is for --mode ldaps and ldap+starttls with --verify 1: otherwise nobody is shown it")]
    CertificateUnused,
    /// It is not for this kind of a directory.
    #[error("--{option} is for realms of the type {kind}")]
    NotForKind {
        /// Which option.
        option: &'static str,
        /// Of which type.
        kind: &'static str,
    },
    /// The value is none for it.
    #[error("--{option} cannot be {found:?}: {expected}")]
    Value {
        /// Which option.
        option: String,
        /// What was given.
        found: String,
        /// What it can be.
        expected: &'static str,
    },
    /// It is no filter.
    #[error("--{option}: {problem}")]
    Filter {
        /// Which option.
        option: String,
        /// What is wrong.
        problem: InvalidFilter,
    },
    /// It is no list of properties.
    #[error("--{option}: {problem}")]
    Properties {
        /// Which option.
        option: String,
        /// What is wrong.
        problem: PropertyProblem,
    },
}

type Set = Result<(), DirectoryOptionError>;

impl DirectorySettings {
    /// What Proxmox VE has if nothing is said, but for `verify`, which is on here.
    #[must_use]
    pub fn new(kind: DirectoryKind) -> Self {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            kind,
            server1: String::new(),
            server2: None,
            port: None,
            base_dn: String::new(),
            user_attr: match kind {
                DirectoryKind::Ldap => String::new(),
                DirectoryKind::Ad => "sAMAccountName".to_owned(),
            },
            domain: None,
            bind_dn: None,
            filter: None,
            user_classes: list(&["inetorgperson", "posixaccount", "person", "user"]),
            group_dn: None,
            group_filter: None,
            group_classes: list(&["groupOfNames", "group", "univentionGroup", "ipausergroup"]),
            group_name_attr: None,
            sync_attributes: BTreeMap::new(),
            sync_scope: None,
            sync_remove_vanished: RemoveVanished::default(),
            sync_enable_new: true,
            mode: Mode::Ldap,
            verify: true,
            capath: PathBuf::from("/etc/ssl/certs"),
            cert: None,
            certkey: None,
            case_sensitive: true,
        }
    }

    /// Sets an option, by its name of [`DIRECTORY_OPTIONS`].
    ///
    /// # Errors
    /// [`DirectoryOptionError`] if there is no such option, or it cannot have that value.
    pub fn set(&mut self, option: &str, value: &str) -> Set {
        let wrong = |expected| {
            Err(DirectoryOptionError::Value { option: option.to_owned(), found: value.to_owned(), expected })
        };
        if value.len() > 4096 || value.contains(char::is_control) {
            return wrong("it is at most 4096 bytes without control characters");
        }
        let is_host = |text: &str| {
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
            (1..=253).contains(&text.len()) && text.bytes().all(is_of_name) && !text.starts_with('-')
        };
        let host = "it is the name of a server, or its address";
        let dn = "it is a distinguished name such as ou=people,dc=example,dc=com";
        let is_dn = |text: &str| Dn::new(text).is_some();
        let attribute = "it is the name of an attribute, such as uid";
        match option {
            "server1" if is_host(value) => value.clone_into(&mut self.server1),
            "server2" if is_host(value) => self.server2 = Some(value.to_owned()),
            "server1" | "server2" => return wrong(host),
            "port" => match value.parse::<u16>() {
                Ok(port @ 1..) => self.port = Some(port),
                _ => return wrong("it is 1 to 65535"),
            },
            "base_dn" if is_dn(value) => value.clone_into(&mut self.base_dn),
            "group_dn" if is_dn(value) => self.group_dn = Some(value.to_owned()),
            // Active Directory takes NAME@DOMAIN and DOMAIN\NAME as well.
            "bind_dn" if is_dn(value) || (self.kind == DirectoryKind::Ad && value.contains(['@', '\\'])) => {
                self.bind_dn = Some(value.to_owned());
            }
            "base_dn" | "group_dn" | "bind_dn" => return wrong(dn),
            "user_attr" if is_attribute(value) => value.clone_into(&mut self.user_attr),
            "group_name_attr" if is_attribute(value) => self.group_name_attr = Some(value.to_owned()),
            "user_attr" | "group_name_attr" => return wrong(attribute),
            "domain" if self.kind != DirectoryKind::Ad => {
                return Err(DirectoryOptionError::NotForKind { option: "domain", kind: "ad" });
            }
            "domain" if is_host(value) => self.domain = Some(value.to_owned()),
            "domain" => return wrong("it is the domain's name in DNS, such as corp.example.com"),
            "filter" => self.filter = Some(checked_filter(option, value)?),
            "group_filter" => self.group_filter = Some(checked_filter(option, value)?),
            "user_classes" | "group_classes" => {
                let classes: Vec<String> =
                    value.split([',', ';', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
                if classes.is_empty() || !classes.iter().all(|class| is_attribute(class)) {
                    return wrong("it is a list of object classes with commas between them");
                }
                *(if option == "user_classes" { &mut self.user_classes } else { &mut self.group_classes }) = classes;
            }
            "sync_attributes" => self.sync_attributes = attributes(option, value)?,
            "sync-defaults-options" => self.set_sync_defaults(option, value)?,
            "mode" => {
                self.mode = match value {
                    "ldap" => Mode::Ldap,
                    "ldap+starttls" => Mode::StartTls,
                    "ldaps" => Mode::Ldaps,
                    _ => return wrong("it is ldap, ldap+starttls or ldaps"),
                }
            }
            "secure" => match value {
                "1" => self.mode = Mode::Ldaps,
                "0" => self.mode = Mode::Ldap,
                _ => return wrong("it is 1 or 0; write --mode ldaps instead"),
            },
            "verify" | "case-sensitive" => {
                let is_on = match value {
                    "1" => true,
                    "0" => false,
                    _ => return wrong("it is 1 or 0"),
                };
                *(if option == "verify" { &mut self.verify } else { &mut self.case_sensitive }) = is_on;
            }
            "capath" if value.starts_with('/') => self.capath = PathBuf::from(value),
            "cert" if value.starts_with('/') => self.cert = Some(PathBuf::from(value)),
            "certkey" if value.starts_with('/') => self.certkey = Some(PathBuf::from(value)),
            "cert" | "certkey" => return wrong("it is the whole path of a file in PEM"),
            "capath" => return wrong("it is the whole path of a file in PEM, or of a directory of such"),
            _ => return Err(DirectoryOptionError::Unknown { found: option.to_owned() }),
        }
        Ok(())
    }

    /// Sets an option back to what it is if nothing is said.
    ///
    /// # Errors
    /// [`DirectoryOptionError::Unknown`] if there is no such option.
    pub fn unset(&mut self, option: &str) -> Set {
        let new = Self::new(self.kind);
        match option {
            "server1" => self.server1 = new.server1,
            "server2" => self.server2 = new.server2,
            "port" => self.port = new.port,
            "base_dn" => self.base_dn = new.base_dn,
            "group_dn" => self.group_dn = new.group_dn,
            "bind_dn" => self.bind_dn = new.bind_dn,
            "user_attr" => self.user_attr = new.user_attr,
            "group_name_attr" => self.group_name_attr = new.group_name_attr,
            "domain" => self.domain = new.domain,
            "filter" => self.filter = new.filter,
            "group_filter" => self.group_filter = new.group_filter,
            "user_classes" => self.user_classes = new.user_classes,
            "group_classes" => self.group_classes = new.group_classes,
            "sync_attributes" => self.sync_attributes = new.sync_attributes,
            "sync-defaults-options" => {
                self.sync_scope = new.sync_scope;
                self.sync_remove_vanished = new.sync_remove_vanished;
                self.sync_enable_new = new.sync_enable_new;
            }
            "mode" | "secure" => self.mode = new.mode,
            "verify" => self.verify = new.verify,
            "case-sensitive" => self.case_sensitive = new.case_sensitive,
            "capath" => self.capath = new.capath,
            "cert" => self.cert = new.cert,
            "certkey" => self.certkey = new.certkey,
            _ => return Err(DirectoryOptionError::Unknown { found: option.to_owned() }),
        }
        Ok(())
    }

    /// The options that have a value, also one that nobody said, each with what [`set`](Self::set) takes for it. `mode` stands for `secure`
    /// too.
    #[must_use]
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let flag = |is_on: bool| Some(u8::from(is_on).to_string());
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let path = |path: &PathBuf| path.display().to_string();
        let attributes: Vec<_> =
            self.sync_attributes.iter().map(|(property, attribute)| format!("{property}={attribute}")).collect();
        let mode = match self.mode {
            Mode::Ldap => "ldap",
            Mode::StartTls => "ldap+starttls",
            Mode::Ldaps => "ldaps",
        };
        let all = [
            ("base_dn", text(&self.base_dn)),
            ("bind_dn", self.bind_dn.clone()),
            ("capath", Some(path(&self.capath))),
            ("case-sensitive", flag(self.case_sensitive)),
            ("cert", self.cert.as_ref().map(path)),
            ("certkey", self.certkey.as_ref().map(path)),
            ("domain", self.domain.clone()),
            ("filter", self.filter.clone()),
            ("group_classes", text(&self.group_classes.join(","))),
            ("group_dn", self.group_dn.clone()),
            ("group_filter", self.group_filter.clone()),
            ("group_name_attr", self.group_name_attr.clone()),
            ("mode", text(mode)),
            ("port", self.port.map(|port| port.to_string())),
            ("server1", text(&self.server1)),
            ("server2", self.server2.clone()),
            ("sync-defaults-options", self.sync_defaults()),
            ("sync_attributes", text(&attributes.join(","))),
            ("user_attr", text(&self.user_attr)),
            ("user_classes", text(&self.user_classes.join(","))),
            ("verify", flag(self.verify)),
        ];
        all.into_iter().filter_map(|(option, value)| Some((option, value?))).collect()
    }

    /// Whether all is there that is needed, and nothing for nothing.
    ///
    /// # Errors
    /// [`DirectoryOptionError::Missing`], which says what is not, or [`DirectoryOptionError::CertificateUnused`].
    pub fn check(&self) -> Set {
        let missing = match self.kind {
            _ if self.server1.is_empty() => "server1",
            DirectoryKind::Ldap if self.base_dn.is_empty() => "base_dn",
            DirectoryKind::Ldap if self.user_attr.is_empty() => "user_attr",
            DirectoryKind::Ad if self.domain.is_none() => "domain",
            _ if self.cert.is_some() && self.certkey.is_none() => "certkey",
            _ if self.certkey.is_some() && self.cert.is_none() => "cert",
            _ if self.cert.is_some() && (self.mode == Mode::Ldap || !self.verify) => {
                return Err(DirectoryOptionError::CertificateUnused);
            }
            _ => return Ok(()),
        };
        Err(DirectoryOptionError::Missing(missing))
    }

    fn set_sync_defaults(&mut self, option: &str, value: &str) -> Set {
        let properties = property_string::parse(value)
            .map_err(|(_, problem)| DirectoryOptionError::Properties { option: option.to_owned(), problem })?;
        let wrong = |found: &str, expected| {
            Err(DirectoryOptionError::Value { option: option.to_owned(), found: found.to_owned(), expected })
        };
        let (mut scope, mut remove, mut enable_new) = (None, RemoveVanished::default(), true);
        for property in properties {
            match (property.key, property.value) {
                ("scope", found) => match found.parse() {
                    Ok(found) => scope = Some(found),
                    Err(expected) => return wrong(found, expected),
                },
                ("remove-vanished", found) => match found.parse() {
                    Ok(found) => remove = found,
                    Err(expected) => return wrong(found, expected),
                },
                ("enable-new", "1") => enable_new = true,
                ("enable-new", "0") => enable_new = false,
                (key, _) => {
                    return wrong(key, "it is scope=, remove-vanished= and enable-new= with commas between them");
                }
            }
        }
        self.sync_scope = scope;
        self.sync_remove_vanished = remove;
        self.sync_enable_new = enable_new;
        Ok(())
    }

    fn sync_defaults(&self) -> Option<String> {
        let RemoveVanished { acl, entry, properties } = self.sync_remove_vanished;
        let removed = [(acl, "acl"), (entry, "entry"), (properties, "properties")];
        let removed: Vec<_> = removed.into_iter().filter_map(|(is_removed, what)| is_removed.then_some(what)).collect();
        let scope = self.sync_scope.map(|scope| match scope {
            SyncScope::Users => "scope=users",
            SyncScope::Groups => "scope=groups",
            SyncScope::Both => "scope=both",
        });
        let parts = [
            (!self.sync_enable_new).then(|| "enable-new=0".to_owned()),
            (!removed.is_empty()).then(|| format!("remove-vanished={}", removed.join(";"))),
            scope.map(str::to_owned),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }

    /// The port that is asked.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.mode == Mode::Ldaps { 636 } else { 389 })
    }

    /// The attribute that is this property of a user: one of the same name, unless another one is named.
    pub(crate) fn attribute_of<'a>(&'a self, property: &'a str) -> &'a str {
        self.sync_attributes.get(property).map_or(property, String::as_str)
    }
}

/// Parentheses around the whole may be missing, as in Proxmox VE.
fn checked_filter(option: &str, value: &str) -> Result<String, DirectoryOptionError> {
    let text = if value.starts_with('(') { value.to_owned() } else { format!("({value})") };
    match text.parse::<Filter>() {
        Ok(_) => Ok(text),
        Err(problem) => Err(DirectoryOptionError::Filter { option: option.to_owned(), problem }),
    }
}

fn attributes(option: &str, value: &str) -> Result<BTreeMap<String, String>, DirectoryOptionError> {
    let wrong = |found: &str, expected| {
        Err(DirectoryOptionError::Value { option: option.to_owned(), found: found.to_owned(), expected })
    };
    let mut attributes = BTreeMap::new();
    for pair in value.split(',') {
        match pair.trim().split_once('=') {
            Some((property, attribute)) if PROPERTIES.contains(&property) && is_attribute(attribute) => {
                attributes.insert(property.to_owned(), attribute.to_owned());
            }
            Some(("keys" | "enable" | "expire", _)) => {
                return wrong(pair, "keys, enable and expire are not synced here");
            }
            _ => {
                return wrong(
                    pair,
                    "it is such as email=mail,firstname=givenName; the properties are comment, email, firstname and lastname",
                );
            }
        }
    }
    Ok(attributes)
}

impl std::str::FromStr for SyncScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "users" => Ok(Self::Users),
            "groups" => Ok(Self::Groups),
            "both" => Ok(Self::Both),
            _ => Err("it is users, groups or both"),
        }
    }
}

impl std::str::FromStr for RemoveVanished {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut remove = Self::default();
        if text == "none" {
            return Ok(remove);
        }
        for part in text.split(';') {
            match part {
                "acl" => remove.acl = true,
                "entry" => remove.entry = true,
                "properties" => remove.properties = true,
                _ => return Err("it is none, or a list of acl, entry and properties with semicolons between them"),
            }
        }
        Ok(remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_as_pveum_names_them_and_wrong_ones_refused() {
        let mut settings = DirectorySettings::new(DirectoryKind::Ldap);
        assert_eq!(settings.check(), Err(DirectoryOptionError::Missing("server1")));
        for (option, value) in [
            ("server1", "ldap.example.com"),
            ("server2", "192.0.2.1"),
            ("port", "1389"),
            ("base_dn", "ou=people,dc=example,dc=com"),
            ("user_attr", "uid"),
            ("bind_dn", "cn=keyrig,dc=example,dc=com"),
            ("filter", "memberOf=cn=pve,dc=example,dc=com"),
            ("user_classes", "inetorgperson, person"),
            ("group_filter", "(cn=pve-*)"),
            ("sync_attributes", "email=mail, firstname=givenName"),
            ("sync-defaults-options", "scope=both,remove-vanished=acl;entry,enable-new=0"),
            ("mode", "ldap+starttls"),
            ("verify", "0"),
            ("capath", "/etc/ssl/ca.pem"),
            ("case-sensitive", "0"),
        ] {
            settings.set(option, value).unwrap_or_else(|error| panic!("{option}: {error}"));
        }
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.filter.as_deref(), Some("(memberOf=cn=pve,dc=example,dc=com)"));
        assert_eq!(settings.sync_scope, Some(SyncScope::Both));
        assert_eq!(settings.sync_remove_vanished, RemoveVanished { acl: true, entry: true, properties: false });
        assert!(!settings.sync_enable_new && !settings.verify && !settings.case_sensitive);
        assert_eq!((settings.attribute_of("email"), settings.attribute_of("lastname")), ("mail", "lastname"));
        for (option, value) in [
            ("server1", "-x"),
            ("server1", "ldap://a"),
            ("port", "0"),
            ("base_dn", "example.com"),
            ("user_attr", "uid)(cn=*"),
            ("filter", "(a=b"),
            ("user_classes", ""),
            ("sync_attributes", "keys=x"),
            ("sync_attributes", "enable=nsAccountLock"),
            ("sync-defaults-options", "full=1"),
            ("mode", "tls"),
            ("verify", "yes"),
            ("domain", "corp.example.com"),
            ("capath", "ca.pem"),
            ("base_dn", "dc=a\ndc=b"),
            ("cert", "cert.pem"),
            ("certkey", ""),
            ("sslversion", "tlsv1_2"),
        ] {
            assert!(settings.set(option, value).is_err(), "{option} {value}");
        }
        settings.unset("verify").unwrap();
        assert!(settings.verify, "certificates are verified unless told otherwise");
        let stored = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<DirectorySettings>(&stored).unwrap(), settings);
    }

    /// A certificate alone, or where nobody asks for it, is somebody's mistake.
    #[test]
    fn a_client_certificate_is_taken_with_its_key_and_where_it_is_shown() {
        let mut settings = DirectorySettings::new(DirectoryKind::Ldap);
        let options = [("server1", "a"), ("base_dn", "dc=a"), ("user_attr", "uid"), ("mode", "ldaps")];
        for (option, value) in options.into_iter().chain([("cert", "/a.pem"), ("certkey", "/a.key")]) {
            settings.set(option, value).unwrap();
        }
        assert_eq!(settings.check(), Ok(()));
        for (option, value) in [("mode", "ldap"), ("verify", "0")] {
            let mut settings = settings.clone();
            settings.set(option, value).unwrap();
            assert_eq!(settings.check(), Err(DirectoryOptionError::CertificateUnused));
        }
        for (option, missing) in [("cert", "cert"), ("certkey", "certkey")] {
            let mut settings = settings.clone();
            settings.unset(option).unwrap();
            assert_eq!(settings.check(), Err(DirectoryOptionError::Missing(missing)));
        }
    }

    /// What is told of a directory is what it is asked by.
    #[test]
    fn options_that_are_told_and_set_again_are_the_same() {
        let all = [
            ("base_dn", "ou=people,dc=example,dc=com"),
            ("bind_dn", "cn=keyrig,dc=example,dc=com"),
            ("capath", "/etc/ssl/ca.pem"),
            ("case-sensitive", "0"),
            ("cert", "/a.pem"),
            ("certkey", "/a.key"),
            ("domain", "example.com"),
            ("filter", "(memberOf=cn=pve,dc=example,dc=com)"),
            ("group_classes", "group,groupOfNames"),
            ("group_dn", "ou=groups,dc=example,dc=com"),
            ("group_filter", "(cn=pve-*)"),
            ("group_name_attr", "cn"),
            ("mode", "ldap+starttls"),
            ("port", "1389"),
            ("server1", "ldap.example.com"),
            ("server2", "192.0.2.1"),
            ("sync-defaults-options", "enable-new=0,remove-vanished=acl;entry;properties,scope=both"),
            ("sync_attributes", "email=mail,firstname=givenName"),
            ("user_attr", "uid"),
            ("user_classes", "inetorgperson,person"),
            ("verify", "0"),
        ];
        let mut settings = DirectorySettings::new(DirectoryKind::Ad);
        for (option, value) in all {
            settings.set(option, value).unwrap();
        }
        assert_eq!(settings.options(), all.map(|(option, value)| (option, value.to_owned())));
        // All that there are, but for what `mode` says.
        assert_eq!(all.len() + 1, DIRECTORY_OPTIONS.len());
        for kind in [DirectoryKind::Ldap, DirectoryKind::Ad] {
            let mut again = DirectorySettings::new(kind);
            for (option, value) in again.options() {
                again.set(option, &value).unwrap();
            }
            assert_eq!(again, DirectorySettings::new(kind));
        }
    }

    #[test]
    fn every_option_can_be_set_back() {
        let mut settings = DirectorySettings::new(DirectoryKind::Ad);
        for option in DIRECTORY_OPTIONS {
            settings.unset(option).unwrap();
        }
        assert_eq!(settings, DirectorySettings::new(DirectoryKind::Ad));
    }
}
