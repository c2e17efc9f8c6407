//! A CA for trying out: it can vouch for a site's own names and for loopback addresses and for nothing else, and lasts 90 days. It is for
//! browsers and programs that are told to trust it; it is never real.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use keyrig_http::{Tls, TlsError};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::store::{milliseconds, moment};

/// How long it lasts.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How much before its end there is a new one.
const RENEWED_BEFORE: Duration = Duration::from_secs(24 * 3600);

/// Clocks differ.
const BEFORE: Duration = Duration::from_secs(3600);

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
const ABOUT: &str = "ca.json";

/// A CA that is kept in a directory of its own.
#[derive(Debug)]
pub struct TestAuthority {
    directory: PathBuf,
    about: About,
    /// Whether it has just been made: nobody trusts it yet.
    pub is_new: bool,
}

/// What is kept beside certificate and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// Its common name.
    name: String,
    /// What it can vouch for, beside loopback addresses: names with all below them, and addresses.
    names: Vec<String>,
    /// Milliseconds since 1970.
    not_before: i64,
    not_after: i64,
}

/// Why there is no CA.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file cannot be read, written or deleted.
    #[error("the test CA's {}: {error}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
    /// What is there is not what was written.
    #[error("the test CA in {} is damaged: {reason}. 'keyrig rp tls forget' removes it", .path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A name cannot be in a certificate.
    #[error("the test CA cannot vouch for these names: {0}")]
    Names(String),
    /// What it signed cannot be served with.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Names(error.to_string())
    }
}

impl TestAuthority {
    /// The CA that is kept in this directory, if there is one.
    ///
    /// # Errors
    /// [`AuthorityError`] if it cannot be read.
    pub fn find(directory: &Path) -> Result<Option<Self>, AuthorityError> {
        let path = directory.join(ABOUT);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuthorityError::File { path, error }),
        };
        let about = serde_json::from_slice(&text)
            .map_err(|error| AuthorityError::Damaged { path, reason: error.to_string() })?;
        Ok(Some(Self { directory: directory.to_owned(), about, is_new: false }))
    }

    /// The CA of this directory for these names, and all below them, and addresses. A new one is made if there is none, or it is for other
    /// names, or about to be over.
    ///
    /// # Errors
    /// [`AuthorityError`] if it can be neither read nor made.
    pub fn open_or_make(directory: &Path, names: &[String], now: SystemTime) -> Result<Self, AuthorityError> {
        // What is below another name need not be named: whoever serves the same site, as whichever node, has the same CA.
        let is_below = |name: &String, other: &String| {
            name.strip_suffix(other.as_str()).is_some_and(|rest| rest.ends_with('.'))
                && other.parse::<IpAddr>().is_err()
        };
        let mut names: Vec<String> =
            names.iter().filter(|name| !names.iter().any(|other| is_below(name, other))).cloned().collect();
        names.sort();
        names.dedup();
        // One process at a time: whoever comes second finds what the first made.
        let _alone = lock(directory)?;
        if let Some(found) = Self::find(directory)?
            && found.about.names == names
            && now + RENEWED_BEFORE < found.expires()
        {
            return Ok(found);
        }
        Self::make(directory, names, now)
    }

    fn make(directory: &Path, names: Vec<String>, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let number: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
        let about = About {
            name: format!("keyrig TEST CA {number}"),
            names,
            not_before: milliseconds(now - BEFORE),
            not_after: milliseconds(now + LIFETIME),
        };
        let certificate = about.params()?.self_signed(&key)?;
        let file = |error| AuthorityError::File { path: directory.to_owned(), error };
        // Whole or not there.
        let beside = directory.with_extension("new");
        let removed = |path: &Path| match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        removed(&beside).map_err(file)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&beside).map_err(file)?;
        write(&beside.join(KEY), Zeroizing::new(key.serialize_pem()).as_bytes())?;
        write(&beside.join(CERTIFICATE), certificate.pem().as_bytes())?;
        let json = serde_json::to_vec(&about)
            .map_err(|error| AuthorityError::Damaged { path: beside.clone(), reason: error.to_string() })?;
        write(&beside.join(ABOUT), &json)?;
        removed(directory).map_err(file)?;
        fs::rename(&beside, directory).map_err(file)?;
        Ok(Self { directory: directory.to_owned(), about, is_new: true })
    }

    /// A certificate for these names and addresses, with a key that nobody keeps.
    ///
    /// # Errors
    /// [`AuthorityError`] if the CA's key cannot be read, or a name cannot be in a certificate.
    pub fn certify(&self, names: &[String]) -> Result<Tls, AuthorityError> {
        let path = self.directory.join(KEY);
        let damaged = |reason: String| AuthorityError::Damaged { path: path.clone(), reason };
        let text = fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(|error| AuthorityError::File { path: path.clone(), error })?;
        let key = KeyPair::from_pem(&text).map_err(|error| damaged(error.to_string()))?;
        let issuer = Issuer::new(self.about.params()?, key);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "keyrig TEST site");
        (params.not_before, params.not_after) = self.about.validity();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let own = KeyPair::generate()?;
        let certificate = params.signed_by(&own, &issuer)?;
        let key = Zeroizing::new(own.serialize_pem());
        Ok(Tls::from_pem(certificate.pem().as_bytes(), key.as_bytes())?)
    }

    /// Its certificate's file, in PEM: what is to be trusted.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join(CERTIFICATE)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// What it can vouch for, beside loopback addresses.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.about.names
    }

    /// When it is over.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        moment(self.about.not_after)
    }

    /// Deletes it, with its key.
    ///
    /// # Errors
    /// [`AuthorityError`] if it cannot be deleted.
    pub fn forget(self) -> Result<(), AuthorityError> {
        fs::remove_dir_all(&self.directory).map_err(|error| AuthorityError::File { path: self.directory, error })
    }
}

impl About {
    fn validity<T: From<SystemTime>>(&self) -> (T, T) {
        (moment(self.not_before).into(), moment(self.not_after).into())
    }

    fn params(&self) -> Result<CertificateParams, AuthorityError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, &self.name);
        (params.not_before, params.not_after) = self.validity();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let loopback = [
            CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8),
            CidrSubnet::from_v6_prefix(std::net::Ipv6Addr::LOCALHOST.octets(), 128),
        ];
        let named = self.names.iter().map(|name| match name.parse() {
            Ok(IpAddr::V4(address)) => GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(address.octets(), 32)),
            Ok(IpAddr::V6(address)) => GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(address.octets(), 128)),
            Err(_) => GeneralSubtree::DnsName(name.clone()),
        });
        let permitted_subtrees = named.chain(loopback.map(GeneralSubtree::IpAddress)).collect();
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        Ok(params)
    }
}

/// Holds off others who would make a CA here, until it is dropped or this process ends.
fn lock(directory: &Path) -> Result<fs::File, AuthorityError> {
    let path = directory.with_extension("lock");
    let locked = || {
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|error| AuthorityError::File { path: path.clone(), error })
}

fn write(path: &Path, content: &[u8]) -> Result<(), AuthorityError> {
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    written().map_err(|error| AuthorityError::File { path: path.to_owned(), error })
}
