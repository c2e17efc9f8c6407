//! Realms whose users and passwords are in a directory: LDAP, or Active Directory.
//!
//! What a realm is asked by is in the store, by the names that `pveum realm add` has for it ([`settings`]), and can change under a running
//! server. A login asks the directory ([`ask`]) outside of any transaction; `realm sync` fetches users and groups ([`fetch`]) and
//! compares them with what is stored ([`sync`]), in one transaction. Factors, locks and roles are here.
//!
//! **Nothing a directory does or leaves undone lets anybody in.** A bind alone says that a password is right, of the one entry that was
//! found; whatever else happens is a refusal.

mod answer;
mod ask;
mod bind_password;
mod fetch;
mod files;
mod realm;
mod settings;
mod stored;
mod sync;

pub use self::answer::{Directory, DirectoryUnavailable};
pub use self::fetch::{Fetched, FetchedGroup, FetchedUser};
pub use self::settings::{
    DIRECTORY_OPTIONS, DirectoryKind, DirectoryOptionError, DirectorySettings, Mode, RemoveVanished, SyncScope,
};
pub use self::sync::{SyncChange, SyncOptions, SyncReport, SyncWish};

pub(crate) use self::answer::DirectoryAnswer;
pub(crate) use self::ask::ask;
pub(crate) use self::fetch::fetch;
pub(crate) use self::realm::{Trial, add, change, check_kept_password, delete, find, find_user, to_sync};
pub(crate) use self::stored::StoredDirectory;
pub(crate) use self::sync::sync;
