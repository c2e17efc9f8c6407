//! Asking a directory whether a password is a user's.

#[cfg(feature = "tls")]
use std::path::Path;
use std::time::Duration;

use keyrig_ldap::{Connection, Entry, Error, Filter, Found, Limits, Scope, Search, Security, Server, code};
#[cfg(feature = "tls")]
use keyrig_ldap::{OwnCertificate, TlsClient, TlsClientError};
#[cfg(feature = "tls")]
use rustix::fs::OFlags;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer::{DirectoryAnswer, DirectoryUnavailable};
use super::bind_password;
#[cfg(feature = "tls")]
use super::files;
use super::settings::{DirectoryKind, DirectorySettings, Mode};
use super::stored::StoredDirectory;
use crate::random::{self, SystemRandomness};
use crate::user_name::UserName;

/// For how long somebody at a login, or who has a directory tried, waits for it, and how long each part may take: the second server has its time if the first
/// is away.
const PATIENCE: Duration = Duration::from_secs(10);
const OF_LOGIN: Limits =
    Limits { connect: Duration::from_secs(3), answer: Duration::from_secs(5), message_bytes: 256 * 1024, entries: 2 };

/// A chain of certificates, or a key.
#[cfg(feature = "tls")]
const MAX_CERTIFICATE_BYTES: usize = 256 * 1024;

/// What is trusted, of all files together. Mozilla's list, which distributions have, is below 256 KiB.
#[cfg(feature = "tls")]
const MAX_ROOTS_BYTES: usize = 16 * 1024 * 1024;

/// How many entries a directory of them may have: Mozilla's list comes to some 300, as each file has a link by its hash.
#[cfg(feature = "tls")]
const MAX_ROOTS_FILES: usize = 4096;

/// MS-ADTS, section 2.2.16: `UF_ACCOUNTDISABLE`.
const ACCOUNT_DISABLED: i64 = 2;

/// What says of an account of Active Directory whether it is disabled.
pub(super) const ACCOUNT_CONTROL: &str = "userAccountControl";

/// What no `sAMAccountName` has (MS-SAMR, section 3.1.1.8.4): it could make another name of one in `NAME@DOMAIN`.
const NOT_IN_ACCOUNT_NAMES: &[char] =
    &['"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@'];

impl From<Error> for DirectoryUnavailable {
    fn from(error: Error) -> Self {
        Self { reason: error.to_string() }
    }
}

/// What a connection is made with, read from files.
pub(super) struct Prepared {
    security: Security,
    bind_password: Option<Zeroizing<String>>,
}

impl Prepared {
    /// Reads them: it blocks.
    pub(super) fn read(directory: &StoredDirectory) -> Result<Self, DirectoryUnavailable> {
        let bind_password = match (&directory.settings.bind_dn, &directory.bind_password_file) {
            (None, _) => None,
            (Some(_), Some(file)) => Some(bind_password::read(file)?),
            (Some(_), None) => {
                let reason = "the realm has a bind_dn, and no state directory that its password could be in".to_owned();
                return Err(DirectoryUnavailable { reason });
            }
        };
        Self::with(&directory.settings, bind_password)
    }

    /// The same with a password that is kept nowhere yet.
    pub(super) fn with(
        settings: &DirectorySettings,
        bind_password: Option<Zeroizing<String>>,
    ) -> Result<Self, DirectoryUnavailable> {
        Ok(Self { security: security(settings)?, bind_password })
    }
}

#[cfg(feature = "tls")]
fn security(settings: &DirectorySettings) -> Result<Security, DirectoryUnavailable> {
    if settings.mode == Mode::Ldap {
        return Ok(Security::Plain);
    }
    let capath = settings.capath.display();
    let tls = if settings.verify {
        let roots = roots(&settings.capath)
            .map_err(|error| DirectoryUnavailable { reason: format!("capath {capath} cannot be read: {error}") })?;
        TlsClient::trusting(&roots, own_certificate(settings)?)
    } else {
        TlsClient::danger_trusting_anybody()
    };
    let tls = tls.map_err(|error| {
        let from = match (&error, &settings.cert) {
            (TlsClientError::Unusable(_), Some(cert)) => format!("cert {}", cert.display()),
            _ => format!("capath {capath}"),
        };
        DirectoryUnavailable { reason: format!("{from}: {error}") }
    })?;
    Ok(if settings.mode == Mode::Ldaps { Security::Ldaps(tls) } else { Security::StartTls(tls) })
}

/// What is shown to a server that asks who this is.
#[cfg(feature = "tls")]
fn own_certificate(settings: &DirectorySettings) -> Result<Option<OwnCertificate>, DirectoryUnavailable> {
    let (Some(cert), Some(key)) = (&settings.cert, &settings.certkey) else { return Ok(None) };
    let read = |option: &str, file: &Path| {
        let mut read = Zeroizing::new(Vec::new());
        read_some(file, MAX_CERTIFICATE_BYTES, &mut read).map_err(|error| DirectoryUnavailable {
            reason: format!("{option} {} cannot be read: {error}", file.display()),
        })?;
        Ok::<_, DirectoryUnavailable>(read)
    };
    let own = OwnCertificate::from_pem(&read("cert", cert)?, &read("certkey", key)?);
    let own = own.map_err(|error| {
        let (option, file) = if matches!(error, TlsClientError::Key(_)) { ("certkey", key) } else { ("cert", cert) };
        DirectoryUnavailable { reason: format!("{option} {}: {error}", file.display()) }
    })?;
    Ok(Some(own))
}

/// Reads a file of so many bytes at most, behind what was read before.
#[cfg(feature = "tls")]
fn read_some(file: &Path, limit: usize, read: &mut Vec<u8>) -> std::io::Result<()> {
    use std::io::Read;

    let left = u64::try_from(limit.saturating_sub(read.len())).unwrap_or(u64::MAX);
    let more = files::open(file, OFlags::empty())?.take(left.saturating_add(1)).read_to_end(read)?;
    if u64::try_from(more).unwrap_or(u64::MAX) > left {
        return Err(std::io::Error::other(format!("there are more than {limit} bytes in all")));
    }
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn security(settings: &DirectorySettings) -> Result<Security, DirectoryUnavailable> {
    match settings.mode {
        Mode::Ldap => Ok(Security::Plain),
        Mode::Ldaps | Mode::StartTls => {
            Err(DirectoryUnavailable { reason: "this program was built without the feature tls".to_owned() })
        }
    }
}

/// What is trusted: of a directory the bundle in it, as Debian makes one, or else all files.
#[cfg(feature = "tls")]
fn roots(path: &Path) -> std::io::Result<Vec<u8>> {
    let bundle = path.join("ca-certificates.crt");
    let mut pem = Vec::new();
    if !path.is_dir() {
        read_some(path, MAX_ROOTS_BYTES, &mut pem)?;
    } else if bundle.is_file() {
        read_some(&bundle, MAX_ROOTS_BYTES, &mut pem)?;
    } else {
        for file in files::in_directory(path, MAX_ROOTS_FILES)? {
            let read = read_some(&file, MAX_ROOTS_BYTES, &mut pem);
            read.map_err(|error| std::io::Error::other(format!("{}: {error}", file.display())))?;
            pem.push(b'\n');
        }
    }
    Ok(pem)
}

/// Connects to the first server, or if it cannot be reached to the second. TLS that fails is no reason to ask another.
pub(super) async fn open(
    settings: &DirectorySettings,
    prepared: &Prepared,
    limits: Limits,
) -> Result<Connection, Error> {
    let server = |host: &String| Server { host: host.clone(), port: settings.port() };
    let first = Connection::open(&server(&settings.server1), &prepared.security, limits).await;
    match (first, &settings.server2) {
        (Err(Error::Unreachable { .. } | Error::TooSlow { .. }), Some(second)) => {
            Connection::open(&server(second), &prepared.security, limits).await
        }
        (first, _) => first,
    }
}

/// Binds as whom the directory is searched, if there is anybody.
pub(super) async fn bind_to_search(
    connection: &mut Connection,
    settings: &DirectorySettings,
    prepared: &Prepared,
) -> Result<(), DirectoryUnavailable> {
    let (Some(name), Some(password)) = (&settings.bind_dn, &prepared.bind_password) else { return Ok(()) };
    let result = connection.bind(name, password).await?;
    if result.code == code::SUCCESS {
        return Ok(());
    }
    let message = if result.message.is_empty() { String::new() } else { format!(", {}", result.message) };
    let reason = format!("the bind as {name} was refused: result {}{message}", result.code);
    Err(DirectoryUnavailable { reason })
}

/// Below which entry users are.
pub(super) async fn base(
    connection: &mut Connection,
    settings: &DirectorySettings,
) -> Result<String, DirectoryUnavailable> {
    if !settings.base_dn.is_empty() {
        return Ok(settings.base_dn.clone());
    }
    let attribute = "defaultNamingContext";
    let found = root(connection, &[attribute]).await?;
    let base = found.entries.first().and_then(|root| root.texts(attribute).next().map(str::to_owned));
    base.ok_or_else(|| DirectoryUnavailable {
        reason: "the directory has no defaultNamingContext: give the realm a base_dn".to_owned(),
    })
}

/// What the server says of itself (RFC 4512, section 5.1), which everybody may ask.
async fn root(connection: &mut Connection, attributes: &[&str]) -> Result<Found, Error> {
    let filter = Filter::Present("objectClass".to_owned());
    connection.search(&Search { base: "", scope: Scope::Base, filter: &filter, attributes, size_limit: Some(1) }).await
}

/// Which users the realm has: of its classes, and as its filter says.
pub(super) fn users_of(settings: &DirectorySettings) -> Result<Vec<Filter>, DirectoryUnavailable> {
    with_filter(&settings.user_classes, settings.filter.as_deref())
}

pub(super) fn with_filter(classes: &[String], filter: Option<&str>) -> Result<Vec<Filter>, DirectoryUnavailable> {
    let classes = classes.iter().map(|class| Filter::equal("objectClass", class)).collect();
    let mut all = vec![Filter::Or(classes)];
    if let Some(filter) = filter {
        let parsed = filter.parse();
        all.push(
            parsed.map_err(|error: keyrig_ldap::InvalidFilter| DirectoryUnavailable { reason: error.to_string() })?,
        );
    }
    Ok(all)
}

/// Whether Active Directory has the account disabled. What it says and cannot be read is a yes.
pub(super) fn is_disabled(entry: &Entry) -> bool {
    entry.values(ACCOUNT_CONTROL).iter().any(|value| {
        let control = str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
        control.is_none_or(|control| control & ACCOUNT_DISABLED != 0)
    })
}

/// Whether a password is a user's, by a bind of the one entry that has the user's name.
pub(crate) async fn ask(
    directory: StoredDirectory,
    user: &UserName,
    password: &str,
) -> Result<DirectoryAnswer, DirectoryUnavailable> {
    if password.is_empty() {
        // The directory would say yes.
        return Ok(DirectoryAnswer::Wrong);
    }
    in_time(PATIENCE, ask_in_time(directory, user, password)).await
}

/// What comes of asking a directory, which is given up after some time.
pub(super) async fn in_time<T>(
    patience: Duration,
    asking: impl Future<Output = Result<T, DirectoryUnavailable>>,
) -> Result<T, DirectoryUnavailable> {
    let asked = timeout(patience, asking).await;
    asked.unwrap_or_else(|_| {
        Err(DirectoryUnavailable { reason: format!("there was no whole answer within {} s", patience.as_secs()) })
    })
}

async fn ask_in_time(
    directory: StoredDirectory,
    user: &UserName,
    password: &str,
) -> Result<DirectoryAnswer, DirectoryUnavailable> {
    let read = tokio::task::spawn_blocking(move || Prepared::read(&directory).map(|prepared| (directory, prepared)));
    let read = read.await.unwrap_or_else(|error| Err(DirectoryUnavailable { reason: error.to_string() }));
    let (StoredDirectory { settings, .. }, prepared) = read?;
    let mut connection = open(&settings, &prepared, OF_LOGIN).await?;
    let answer = match (settings.kind, &settings.bind_dn, &settings.domain) {
        (DirectoryKind::Ad, None, Some(domain)) => {
            ask_as_user(&mut connection, &settings, domain, user, password).await
        }
        _ => {
            bind_to_search(&mut connection, &settings, &prepared).await?;
            ask_by_search(&mut connection, &settings, user, password).await
        }
    };
    connection.close().await;
    answer
}

/// Whether there is a server that is what it should be, and takes the password by which it will be searched. It has to answer something
/// if there is none.
pub(super) async fn check(
    settings: DirectorySettings,
    bind_password: Option<Zeroizing<String>>,
) -> Result<(), DirectoryUnavailable> {
    in_time(PATIENCE, check_in_time(settings, bind_password)).await
}

async fn check_in_time(
    settings: DirectorySettings,
    bind_password: Option<Zeroizing<String>>,
) -> Result<(), DirectoryUnavailable> {
    let read = move || Prepared::with(&settings, bind_password).map(|prepared| (settings, prepared));
    let read = tokio::task::spawn_blocking(read).await;
    let (settings, prepared) = read.unwrap_or_else(|error| Err(DirectoryUnavailable { reason: error.to_string() }))?;
    let mut connection = open(&settings, &prepared, OF_LOGIN).await?;
    match settings.bind_dn {
        Some(_) => bind_to_search(&mut connection, &settings, &prepared).await?,
        None => drop(root(&mut connection, &[]).await?),
    }
    connection.close().await;
    Ok(())
}

/// Looks for the user's entry, and binds as it.
async fn ask_by_search(
    connection: &mut Connection,
    settings: &DirectorySettings,
    user: &UserName,
    password: &str,
) -> Result<DirectoryAnswer, DirectoryUnavailable> {
    let entry = match entry_of(connection, settings, user).await? {
        Ok(entry) => entry,
        Err(answer) => {
            // As many questions as for somebody who is there: the time of an answer is not to tell who is.
            let base = if settings.base_dn.is_empty() { "dc=invalid" } else { &settings.base_dn };
            let nobody = format!("cn={},{base}", random::name(&SystemRandomness));
            connection.bind(&nobody, password).await?;
            return Ok(answer);
        }
    };
    bind_as_user(connection, &entry.dn, password).await
}

/// Binds as `NAME@DOMAIN`, which Active Directory takes, and looks for the entry then.
async fn ask_as_user(
    connection: &mut Connection,
    settings: &DirectorySettings,
    domain: &str,
    user: &UserName,
    password: &str,
) -> Result<DirectoryAnswer, DirectoryUnavailable> {
    if user.name().contains(NOT_IN_ACCOUNT_NAMES) {
        return Ok(DirectoryAnswer::Unknown);
    }
    match bind_as_user(connection, &format!("{}@{domain}", user.name()), password).await? {
        DirectoryAnswer::Right => {
            Ok(entry_of(connection, settings, user).await?.map_or_else(|answer| answer, |_| DirectoryAnswer::Right))
        }
        answer => Ok(answer),
    }
}

async fn bind_as_user(
    connection: &mut Connection,
    name: &str,
    password: &str,
) -> Result<DirectoryAnswer, DirectoryUnavailable> {
    /// RFC 4511, appendix A: the entry has no password.
    const INAPPROPRIATE_AUTHENTICATION: u32 = 48;

    let result = connection.bind(name, password).await?;
    match result.code {
        code::SUCCESS => Ok(DirectoryAnswer::Right),
        code::INVALID_CREDENTIALS | INAPPROPRIATE_AUTHENTICATION => Ok(DirectoryAnswer::Wrong),
        // Such as 8 and 13, where it takes no password in clear text, or 53.
        other => {
            let message = if result.message.is_empty() { String::new() } else { format!(", {}", result.message) };
            Err(DirectoryUnavailable { reason: format!("it would not look at the password: result {other}{message}") })
        }
    }
}

/// The one entry that has the user's name and may be a user of this realm.
async fn entry_of(
    connection: &mut Connection,
    settings: &DirectorySettings,
    user: &UserName,
) -> Result<Result<Entry, DirectoryAnswer>, DirectoryUnavailable> {
    let base = base(connection, settings).await?;
    let name_attribute = settings.user_attr.as_str();
    let mut filters = vec![Filter::equal(name_attribute, user.name())];
    filters.extend(users_of(settings)?);
    let search = Search {
        base: &base,
        scope: Scope::Subtree,
        filter: &Filter::And(filters),
        attributes: &[name_attribute, ACCOUNT_CONTROL],
        size_limit: Some(2),
    };
    let mut entries = connection.search(&search).await?.entries;
    let entry = match (entries.pop(), entries.pop()) {
        (Some(entry), None) => entry,
        (None, _) => return Ok(Err(DirectoryAnswer::Unknown)),
        (Some(_), Some(_)) => return Ok(Err(DirectoryAnswer::Ambiguous)),
    };
    // A directory compares more loosely than names are told apart here: by it, several users could be one entry.
    let is_name = |value: &str| match settings.case_sensitive {
        true => value == user.name(),
        false => value.to_lowercase() == user.name().to_lowercase(),
    };
    if entry.dn.is_empty() || !entry.texts(name_attribute).any(is_name) {
        return Ok(Err(DirectoryAnswer::Unknown));
    }
    Ok(if is_disabled(&entry) { Err(DirectoryAnswer::Disabled) } else { Ok(entry) })
}

#[cfg(feature = "tls")]
#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_is_trusted_has_a_bound_in_bytes_and_in_files() {
        // They take no room.
        let zeros =
            |file: &Path, bytes: usize| File::create(file).unwrap().set_len(u64::try_from(bytes).unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (first, second) = (path.join("a.pem"), path.join("b.pem"));
        zeros(&first, MAX_ROOTS_BYTES - 1);
        assert_eq!(roots(path).unwrap().len(), MAX_ROOTS_BYTES);
        zeros(&second, 1);
        let too_many = format!("there are more than {MAX_ROOTS_BYTES} bytes in all");
        assert_eq!(roots(path).unwrap_err().to_string(), format!("{}: {too_many}", second.display()));
        zeros(&first, MAX_ROOTS_BYTES + 1);
        assert_eq!(roots(&first).unwrap_err().to_string(), too_many);
        // Where there is a bundle, it alone is read.
        let bundle = path.join("ca-certificates.crt");
        zeros(&bundle, 2);
        assert_eq!(roots(path).unwrap(), [0, 0]);
        fs::remove_file(bundle).unwrap();
        for file in [first, second] {
            fs::remove_file(file).unwrap();
        }
        for number in 0..MAX_ROOTS_FILES {
            zeros(&path.join(number.to_string()), 0);
        }
        roots(path).unwrap();
        zeros(&path.join("another"), 0);
        let too_many = format!("there are more than {MAX_ROOTS_FILES} entries in the directory");
        assert_eq!(roots(path).unwrap_err().to_string(), too_many);
    }
}
