//! The state directory: what makes keys last.
//!
//! ```text
//! DIR/format              "keyrig state 1"
//! DIR/lock                held while something is created in DIR
//! DIR/attestation-root    the secret of the TEST attestation root, 32 bytes
//! DIR/attestation-root.sha256    its checksum, as sha256sum(1) writes it
//! DIR/keys/NAME/format    "keyrig key 2"; of format 1, which had no imported credentials, it is made when it is opened
//! DIR/keys/NAME/profile   the name of its profile
//! DIR/keys/NAME/lock      held while the key is in a rack
//! DIR/keys/NAME/store     its database
//! ```
//!
//! A key's directory is whole: it can be copied, kept and put elsewhere. What is created is created under another name and
//! renamed, so that a process killed at any moment leaves it whole or not there. What is not understood is refused, and nothing
//! in it is overwritten. Everything is readable by its owner alone, because private keys are in it: what others may read is closed
//! when it is opened, and what others may write, is another user's, or is a link, is refused.

mod making;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use keyrig_authenticator::Profile;
use keyrig_authenticator::administration::{RestoreRefused, check_store};
use keyrig_authenticator::environment::Environment;
use keyrig_authenticator::store::{Change, LoadError, Store};
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use self::making::{Made, Making};
use crate::database::{Database, DatabaseError};
use crate::key_name::KeyName;

const STATE_FORMAT: &str = "keyrig state 1\n";
const KEY_FORMAT: &str = "keyrig key 2\n";
/// What earlier versions wrote, and this one reads as it reads its own.
const KEY_FORMAT_BEFORE: &str = "keyrig key 1\n";
/// The beginnings of what other versions write.
const STATE_FORMAT_FAMILY: &str = "keyrig state ";
const KEY_FORMAT_FAMILY: &str = "keyrig key ";

/// A file of one line is read no further than this.
const MAX_LINE: u64 = 256;

/// Why a state directory cannot be used. Nothing in it was changed.
#[derive(Debug, Error)]
pub enum StateError {
    /// The directory holds something else.
    #[error("{path} is not a state directory of keyrig: it has no file \"format\". Name an empty or a new directory")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error("{path} was written by another version of keyrig ({found:?}): this one reads {expected:?}")]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// Another process has it.
    #[error("{path} is locked: another keyrig uses it. Stop it, or use another name or directory")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A key that is to be made is there already.
    #[error("a key is kept in {path} already")]
    KeyExists {
        /// The key's directory.
        path: PathBuf,
    },
    /// The key is of another profile.
    #[error("the key in {path} is a {found}, not a {wanted}")]
    OtherProfile {
        /// The key's directory.
        path: PathBuf,
        /// Its profile.
        found: String,
        /// The profile that was asked for.
        wanted: String,
    },
    /// Something in it is damaged or missing.
    #[error("{path} is damaged: {damage}. Restore it from a copy, or move it away")]
    Damaged {
        /// What is damaged.
        path: PathBuf,
        /// In which way.
        #[source]
        damage: Damage,
    },
    /// It is another user's, who could put anything there.
    #[error("{path} belongs to another user ({user}): name a directory of your own")]
    OtherUser {
        /// What belongs to another.
        path: PathBuf,
        /// Whose it is, by number.
        user: u32,
    },
    /// Others may write there.
    #[error("others may write to {path}, which holds private keys: if nobody did, close it with chmod -R go-rwx")]
    OthersMayWrite {
        /// What others may write.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path}: {error}")]
    FileSystem {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
}

/// In which way something in a state directory is damaged.
#[derive(Debug, Error)]
pub enum Damage {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It is a pipe, a directory, a device.
    #[error("it is not a file")]
    NoFile,
    /// What a link names may be anybody's.
    #[error("it is a link")]
    Link,
    /// The attestation root has another length.
    #[error("it has {0} bytes instead of 32")]
    Length(usize),
    /// The attestation root is not what its checksum says.
    #[error("attestation-root.sha256 has another checksum")]
    Checksum,
    /// A key's profile is not one line with a name.
    #[error("it names no profile")]
    NoProfile,
    /// It is none of the formats of keyrig.
    #[error("it names no format of keyrig")]
    NoFormat,
    /// The database is broken, in its own words.
    #[error("{0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database holds what no key of this profile can come to keep.
    #[error("a key cannot keep what it holds: {0}")]
    Bounds(#[source] Box<RestoreRefused>),
    /// The database does not hold a key's records.
    #[error(transparent)]
    Records(#[from] LoadError),
}

trait At<T> {
    fn at(self, path: &Path) -> Result<T, StateError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StateError> {
        self.map_err(|error| StateError::FileSystem { path: path.to_owned(), error })
    }
}

/// A state directory that this version understands.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
    making: Making,
}

impl StateDirectory {
    /// Opens a state directory, and makes it if it is not there or empty.
    ///
    /// # Errors
    /// [`StateError`]: nothing that was there has been changed.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let state = Self { path: path.to_owned(), making: Making::default() };
        let format = path.join("format");
        if path.is_dir() {
            check_owner(path, Link::Followed)?;
        }
        if read_line(&format)?.is_none() {
            make_directory(path)?;
            check_owner(path, Link::Followed)?;
            // Before the lock, which is not to be left in a directory of others. What looks foreign may be what another maker
            // has done meanwhile, who then has written the format.
            if let Err(error) = refuse_foreign(path)
                && read_line(&format)?.is_none()
            {
                return Err(error);
            }
            // The first to come makes it, and the others wait for that short time.
            let _lock = lock(&path.join("lock"), Wait::Yes)?;
            if read_line(&format)?.is_none() {
                refuse_foreign(path)?;
                make_directory(&path.join("keys"))?;
                write_new(&format, STATE_FORMAT.as_bytes())?;
                synchronise_parent(path)?;
            }
        }
        check_format(&format, STATE_FORMAT, STATE_FORMAT_FAMILY)?;
        // Made before the format: without it, keys that there were would be made anew, and blank.
        let keys = path.join("keys");
        if !keys.is_dir() && !is_link(&keys) {
            return Err(damaged(&keys, Damage::Missing));
        }
        for (directory, link) in [(path, Link::Followed), (&keys, Link::Refused)] {
            check_owner(directory, link)?;
            close(directory, link)?;
        }
        Ok(state)
    }

    /// The secret of the TEST attestation root; made from `environment` if there is none yet, and no key either that one vouches
    /// for.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn attestation_root(&self, environment: &mut dyn Environment) -> Result<Zeroizing<[u8; 32]>, StateError> {
        let path = self.path.join("attestation-root");
        let checksum_path = self.path.join("attestation-root.sha256");
        let _lock = lock(&self.path.join("lock"), Wait::Yes)?;
        let mut secret = Zeroizing::new([0; 32]);
        match read_limited(&path)?.map(Zeroizing::new) {
            Some(bytes) => {
                check_owner(&path, Link::Refused)?;
                close(&path, Link::Refused)?;
                *secret = bytes.as_slice().try_into().map_err(|_| damaged(&path, Damage::Length(bytes.len())))?;
            }
            None if entries(&self.path.join("keys"))?.any(|name| !name.starts_with('.')) => {
                return Err(damaged(&path, Damage::Missing));
            }
            None => {
                environment.random(secret.as_mut());
                write_new(&path, secret.as_ref())?;
            }
        }
        let checksum = checksum(&secret);
        match read_line(&checksum_path)? {
            Some(known) if known == checksum => {}
            Some(_) => return Err(damaged(&path, Damage::Checksum)),
            // Made by a version that wrote none, or killed before it did.
            None => write_new(&checksum_path, checksum.as_bytes())?,
        }
        Ok(secret)
    }

    /// Whether there is a key of this name.
    #[must_use]
    pub fn has_key(&self, name: &KeyName) -> bool {
        // What cannot be looked at is there, for all that is known.
        is_there(&self.key_path(name)).unwrap_or(true)
    }

    /// Opens the key with this name for a driver of its own, as a rack does: what the key keeps, and the database that makes its
    /// commits durable. Makes the key from `environment` if it is not there.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_key(
        &self,
        name: &KeyName,
        profile: &Profile,
        environment: &mut dyn Environment,
    ) -> Result<(Database, Store), StateError> {
        let path = self.key_path(name);
        if !is_there(&path)? {
            let made = self.make(name)?;
            if !is_there(&path)? {
                if made.had_others {
                    tracing::warn!(key = %name, path = %path.display(), "there was no such key where others are: it is new, and blank");
                }
                make_key(&path, profile, &Store::create(environment).1)?;
            }
        }
        open_key(path, name, profile)
    }

    /// Makes a key that keeps what these changes leave of nothing, and opens it. Killed at any moment, it is there with all of that or
    /// is not there.
    ///
    /// # Errors
    /// [`StateError`], [`StateError::KeyExists`] among them.
    pub fn create_key(&self, name: &KeyName, profile: &Profile, changes: &[Change]) -> Result<Database, StateError> {
        let path = self.key_path(name);
        {
            let _made = self.make(name)?;
            if is_there(&path)? {
                return Err(StateError::KeyExists { path });
            }
            make_key(&path, profile, changes)?;
        }
        open_key(path, name, profile).map(|(database, _)| database)
    }

    fn make(&self, name: &KeyName) -> Result<Made, StateError> {
        let others = || Ok(entries(&self.path.join("keys"))?.any(|other| !other.starts_with('.')));
        let made = self.making.begin(name, || lock(&self.path.join("lock"), Wait::Yes), others)?;
        made.ok_or_else(|| StateError::Locked { path: self.key_path(name) })
    }

    fn key_path(&self, name: &KeyName) -> PathBuf {
        self.path.join("keys").join(name.as_str())
    }
}

/// Opens the key in a directory.
fn open_key(path: PathBuf, name: &KeyName, profile: &Profile) -> Result<(Database, Store), StateError> {
    check_owner(&path, Link::Refused)?;
    close(&path, Link::Refused)?;
    let format = path.join("format");
    let is_older = read_line(&format)?.as_deref() == Some(KEY_FORMAT_BEFORE);
    if !is_older {
        check_format(&format, KEY_FORMAT, KEY_FORMAT_FAMILY)?;
    }
    let found = profile_name(&path.join("profile"))?;
    if found != profile.name {
        return Err(StateError::OtherProfile { path, found, wanted: profile.name.clone() });
    }
    let lock = lock(&path.join("lock"), Wait::No)?;
    let store_path = path.join("store");
    if !is_there(&store_path)? {
        return Err(damaged(&store_path, Damage::Missing));
    }
    let store = open_file(&store_path, OpenOptions::new().read(true).write(true))?;
    check_owner(&store_path, Link::Refused)?;
    close(&store_path, Link::Refused)?;
    let opened = Database::open(store, lock).map_err(|error| database_error(&store_path, error))?;
    // As a snapshot is held to it.
    let bounds = check_store(profile, &opened.1);
    bounds.map_err(|refused| damaged(&store_path, Damage::Bounds(Box::new(refused))))?;
    if is_older {
        // Before anything is written that the version before would not understand.
        write_new(&format, KEY_FORMAT.as_bytes())?;
        tracing::info!(key = %name, "the key was kept by an earlier version of keyrig, which cannot read it any more");
    }
    Ok(opened)
}

/// Makes a key's directory under another name and renames it.
fn make_key(path: &Path, profile: &Profile, changes: &[Change]) -> Result<(), StateError> {
    let temporary = temporary(path);
    // Left by a process that was killed in here; the directory's lock is held, so nobody is in it now.
    if is_there(&temporary)? {
        fs::remove_dir_all(&temporary).at(&temporary)?;
    }
    let made = || {
        make_directory(&temporary)?;
        let store = temporary.join("store");
        Database::create(&store, changes).map_err(|error| database_error(&store, error))?;
        write(&temporary.join("profile"), format!("{}\n", profile.name).as_bytes())?;
        write(&temporary.join("format"), KEY_FORMAT.as_bytes())?;
        synchronise_parent(&store)?;
        fs::rename(&temporary, path).at(path)
    };
    if let Err(error) = made() {
        // Why it is not made is to be told, and not that what is left of it stays as well: the next one takes that away.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    synchronise_parent(path)
}

fn database_error(path: &Path, error: DatabaseError) -> StateError {
    match error {
        DatabaseError::Redb(error) => match *error {
            redb::Error::DatabaseAlreadyOpen => StateError::Locked { path: path.to_owned() },
            // These two kinds are what the database makes of a file that is none of its own, or is too short.
            redb::Error::Io(error)
                if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                StateError::FileSystem { path: path.to_owned(), error }
            }
            error => damaged(path, Damage::Database(Box::new(error))),
        },
        DatabaseError::Load(error) => damaged(path, Damage::Records(error)),
    }
}

fn damaged(path: &Path, damage: Damage) -> StateError {
    StateError::Damaged { path: path.to_owned(), damage }
}

/// As sha256sum(1) writes it.
fn checksum(root: &[u8; 32]) -> String {
    let digest = Sha256::digest(root);
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hexadecimal}  attestation-root\n")
}

/// What becomes of a symbolic link.
#[derive(Clone, Copy)]
enum Link {
    /// The directory that the user names may be one.
    Followed,
    /// Within it, what a link names may be anybody's.
    Refused,
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Whether there is anything of this name: a link, too, that leads nowhere.
fn is_there(path: &Path) -> Result<bool, StateError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true).at(path),
    }
}

fn metadata(path: &Path, link: Link) -> Result<Metadata, StateError> {
    match link {
        Link::Followed => fs::metadata(path).at(path),
        Link::Refused => match fs::symlink_metadata(path).at(path)? {
            metadata if metadata.is_symlink() => Err(damaged(path, Damage::Link)),
            metadata => Ok(metadata),
        },
    }
}

/// Refuses what others could put anything into.
fn check_owner(path: &Path, link: Link) -> Result<(), StateError> {
    let metadata = metadata(path, link)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(StateError::OtherUser { path: path.to_owned(), user: metadata.uid() });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(StateError::OthersMayWrite { path: path.to_owned() });
    }
    Ok(())
}

/// Lets nobody else read what private keys are in.
fn close(path: &Path, link: Link) -> Result<(), StateError> {
    if metadata(path, link)?.mode() & 0o055 == 0 {
        return Ok(());
    }
    let flags = match link {
        Link::Followed => OFlags::NONBLOCK,
        Link::Refused => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).at(path)?;
    let mode = opened.metadata().at(path)?.mode() & 0o700;
    opened.set_permissions(Permissions::from_mode(mode)).at(path)?;
    tracing::warn!(path = %path.display(), "others could read what private keys are in: it was closed");
    Ok(())
}

/// The name in a key's file `profile`: one whole line.
fn profile_name(path: &Path) -> Result<String, StateError> {
    let line = read_line(path)?.ok_or_else(|| damaged(path, Damage::Missing))?;
    match line.strip_suffix('\n') {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()) => Ok(name.to_owned()),
        _ => Err(damaged(path, Damage::NoProfile)),
    }
}

fn make_directory(path: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).at(path)
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Writes a file that is not there, whole or not at all.
fn write_new(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let temporary = temporary(path);
    // Left by a process that was killed in here: whatever it is, nothing is written to it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at(&temporary),
        _ => {}
    }
    write(&temporary, content)?;
    fs::rename(&temporary, path).at(path)?;
    synchronise_parent(path)
}

/// Writes a file that is not there, and has it on the disk when this returns, but for its name.
fn write(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    file.write_all(content).at(path)?;
    file.sync_all().at(path)
}

fn synchronise_parent(path: &Path) -> Result<(), StateError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    // A path of one name is in the working directory.
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    File::open(parent).and_then(|directory| directory.sync_all()).at(parent)
}

/// Refuses a directory with anything in it that the making of a state directory does not leave when it is killed: a lock of no
/// bytes, no keys yet, a format under its other name.
fn refuse_foreign(path: &Path) -> Result<(), StateError> {
    for name in entries(path)? {
        let entry = path.join(&name);
        let metadata = fs::symlink_metadata(&entry).at(&entry)?;
        let ours = match name.as_str() {
            "lock" => metadata.is_file() && metadata.len() == 0,
            "keys" => metadata.is_dir() && entries(&entry)?.next().is_none(),
            ".format.new" => metadata.is_file() && STATE_FORMAT.starts_with(&read_line(&entry)?.unwrap_or_default()),
            _ => false,
        };
        if !ours {
            return Err(StateError::Foreign { path: path.to_owned() });
        }
    }
    Ok(())
}

fn entries(path: &Path) -> Result<impl Iterator<Item = String>, StateError> {
    let entries: Result<Vec<_>, _> = fs::read_dir(path).at(path)?.collect();
    Ok(entries.at(path)?.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

fn read_limited(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match open_file(path, OpenOptions::new().read(true)) {
        Ok(file) => {
            let mut content = Vec::new();
            file.take(MAX_LINE).read_to_end(&mut content).at(path)?;
            Ok(Some(content))
        }
        Err(StateError::FileSystem { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file, and nothing else: what a link names may be anybody's, and a pipe would be waited for.
fn open_file(path: &Path, options: &mut OpenOptions) -> Result<File, StateError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match options.custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(damaged(path, Damage::Link));
        }
        opened => opened.at(path)?,
    };
    if file.metadata().at(path)?.is_file() { Ok(file) } else { Err(damaged(path, Damage::NoFile)) }
}

fn read_line(path: &Path) -> Result<Option<String>, StateError> {
    Ok(read_limited(path)?.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

fn check_format(path: &Path, expected: &'static str, family: &str) -> Result<(), StateError> {
    match read_line(path)? {
        Some(found) if found == expected => Ok(()),
        Some(found) if found.starts_with(family) && found.ends_with('\n') => Err(StateError::Version {
            path: path.to_owned(),
            found: found.trim_end().to_owned(),
            expected: expected.trim_end(),
        }),
        Some(_) => Err(damaged(path, Damage::NoFormat)),
        None => Err(damaged(path, Damage::Missing)),
    }
}

enum Wait {
    Yes,
    No,
}

fn lock(path: &Path, wait: Wait) -> Result<File, StateError> {
    let file = open_file(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))?;
    match (file.try_lock(), wait) {
        (Ok(()), _) => {}
        (Err(TryLockError::WouldBlock), Wait::Yes) => {
            tracing::warn!(path = %path.display(), "another keyrig makes something here: waiting for it");
            file.lock().at(path)?;
        }
        (Err(TryLockError::WouldBlock), Wait::No) => return Err(StateError::Locked { path: path.to_owned() }),
        (Err(TryLockError::Error(error)), _) => {
            return Err(StateError::FileSystem { path: path.to_owned(), error });
        }
    }
    Ok(file)
}
