//! The options of a realm whose users are in a directory, as `pveum realm add` and `modify` name them.

use std::time::SystemTime;

use clap::Args;
use keyrig_relying_party::{By, DirectoryKind, DirectorySettings, Realm, Store};

use super::super::password::PasswordSource;
use super::super::values::one_or_zero;
use crate::failure::Failure;

#[derive(Args)]
#[command(next_help_heading = "Options of ldap and ad")]
pub(super) struct DirectoryOptions {
    /// The server: a name, which its certificate has to have, or an address
    #[arg(long, value_name = "HOST")]
    server1: Option<String>,
    /// A server that is asked if the first cannot be reached
    #[arg(long, value_name = "HOST")]
    server2: Option<String>,
    /// Its port: 389, or 636 with --mode ldaps, unless another one is named
    #[arg(long)]
    port: Option<String>,
    /// How it is spoken to: ldap, ldap+starttls or ldaps. ldap sends passwords in clear text
    #[arg(long)]
    mode: Option<String>,
    /// ldaps, as it was written before there was --mode: 1 or 0
    #[arg(long, value_name = "1|0", conflicts_with = "mode")]
    secure: Option<String>,
    /// Whether its certificate is verified: 1 unless 0 is written, which lets anybody in between read passwords
    #[arg(long, value_name = "1|0")]
    verify: Option<String>,
    /// The CAs that are trusted: a file in PEM or a directory of such; /etc/ssl/certs unless another one is named
    #[arg(long, value_name = "PATH")]
    capath: Option<String>,
    /// The certificate that is shown to a server that asks for one: a file in PEM
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// The key of --cert: a file in PEM
    #[arg(long, value_name = "FILE")]
    certkey: Option<String>,
    /// Whether the directory is connected to, and --bind_dn tried, before anything is changed: 1 or 0
    #[arg(long, value_name = "1|0", num_args = 0..=1, default_missing_value = "1", value_parser = one_or_zero)]
    check_connection: Option<bool>,
    /// Below which entry users are
    #[arg(long = "base_dn", value_name = "DN")]
    base_dn: Option<String>,
    /// The attribute that is a user's name, such as uid
    #[arg(long = "user_attr", value_name = "ATTRIBUTE")]
    user_attr: Option<String>,
    /// The domain of Active Directory
    #[arg(long)]
    domain: Option<String>,
    /// As whom the directory is searched; without it as nobody, or at ad as who logs in
    #[arg(long = "bind_dn", value_name = "DN")]
    bind_dn: Option<String>,
    /// The password of --bind_dn: the first line of a file, or - for standard input. It is kept in the state directory
    #[arg(long, value_name = "FILE|-")]
    password: Option<PasswordSource>,
    /// Whether Alice is another user than alice: 1 unless 0 is written
    #[arg(long = "case-sensitive", value_name = "1|0")]
    case_sensitive: Option<String>,
    /// Which users there are (RFC 4515), at a login too
    #[arg(long)]
    filter: Option<String>,
    /// The object classes of users
    #[arg(long = "user_classes", value_name = "LIST")]
    user_classes: Option<String>,
    /// Below which entry groups are; --base_dn unless another one is named
    #[arg(long = "group_dn", value_name = "DN")]
    group_dn: Option<String>,
    /// Which groups there are
    #[arg(long = "group_filter", value_name = "FILTER")]
    group_filter: Option<String>,
    /// The object classes of groups
    #[arg(long = "group_classes", value_name = "LIST")]
    group_classes: Option<String>,
    /// The attribute that is a group's name; the first value of its DN unless one is named
    #[arg(long = "group_name_attr", value_name = "ATTRIBUTE")]
    group_name_attr: Option<String>,
    /// Which attribute is which property of a user: email=mail,firstname=givenName
    #[arg(long = "sync_attributes", value_name = "LIST")]
    sync_attributes: Option<String>,
    /// What 'realm sync' does unless told otherwise: scope=both,remove-vanished=acl;entry,enable-new=1
    #[arg(long = "sync-defaults-options", value_name = "OPTIONS")]
    sync_defaults_options: Option<String>,
}

impl DirectoryOptions {
    fn given(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("server1", &self.server1),
            ("server2", &self.server2),
            ("port", &self.port),
            ("mode", &self.mode),
            ("secure", &self.secure),
            ("verify", &self.verify),
            ("capath", &self.capath),
            ("cert", &self.cert),
            ("certkey", &self.certkey),
            ("base_dn", &self.base_dn),
            ("user_attr", &self.user_attr),
            ("domain", &self.domain),
            ("bind_dn", &self.bind_dn),
            ("case-sensitive", &self.case_sensitive),
            ("filter", &self.filter),
            ("user_classes", &self.user_classes),
            ("group_dn", &self.group_dn),
            ("group_filter", &self.group_filter),
            ("group_classes", &self.group_classes),
            ("group_name_attr", &self.group_name_attr),
            ("sync_attributes", &self.sync_attributes),
            ("sync-defaults-options", &self.sync_defaults_options),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// Whether the passwords of a directory of this kind go in clear text.
    pub(super) fn is_in_clear(&self, kind: Option<DirectoryKind>) -> bool {
        let secure = self.secure.as_deref() == Some("1");
        kind.is_some() && !secure && self.mode.as_deref().unwrap_or("ldap") == "ldap"
    }

    /// Whether it is said whether the directory is to be tried first, which is of directories alone.
    pub(super) fn says_whether_to_check(&self) -> bool {
        self.check_connection.is_some()
    }

    /// Whether any is given.
    pub(super) fn is_any(&self) -> bool {
        self.password.is_some() || !self.given().is_empty()
    }

    fn set(&self, settings: &mut DirectorySettings) -> Result<(), Failure> {
        let set = self.given().into_iter().try_for_each(|(name, value)| settings.set(name, value));
        set.map_err(|error| Failure::Realm(error.into()))
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        let password = self.password.as_ref().map(PasswordSource::read).transpose()?;
        if password.as_deref() == Some("") {
            return Err(Failure::Usage("the password of --bind_dn is empty".to_owned()));
        }
        Ok(password)
    }

    /// Tries the directory, if that is asked for.
    async fn check(
        &self,
        store: &Store,
        realm: &str,
        settings: &DirectorySettings,
        password: Option<&str>,
    ) -> Result<(), Failure> {
        if self.check_connection == Some(true) {
            store.check_directory(realm, settings, password).await?;
        }
        Ok(())
    }

    /// Adds a realm of a directory.
    pub(super) async fn add(
        &self,
        store: &Store,
        realm: &str,
        kind: DirectoryKind,
        comment: &str,
    ) -> Result<Realm, Failure> {
        let mut settings = DirectorySettings::new(kind);
        self.set(&mut settings)?;
        let password = self.password()?;
        match (&settings.bind_dn, &password) {
            (Some(_), None) => return Err(Failure::Usage("--bind_dn needs its --password FILE".to_owned())),
            (None, Some(_)) => {
                return Err(Failure::Usage("--password is that of --bind_dn, which is missing".to_owned()));
            }
            _ => {}
        }
        self.check(store, realm, &settings, password.as_deref()).await?;
        let by = By::command_line(SystemTime::now());
        Ok(store.add_directory_realm(realm, &settings, comment, password.as_deref(), &by)?)
    }

    /// Changes what the directory of a realm is asked by, and sets the options back that are named.
    pub(super) async fn change(
        &self,
        store: &Store,
        realm: &str,
        deleted: &[String],
        comment: Option<&str>,
    ) -> Result<Realm, Failure> {
        let mut settings = store.directory_of(realm)?;
        let unset = deleted.iter().try_for_each(|name| settings.unset(name));
        unset.map_err(|error| Failure::Realm(error.into()))?;
        self.set(&mut settings)?;
        let password = self.password()?;
        if settings.bind_dn.is_none() && password.is_some() {
            return Err(Failure::Usage("--password is that of --bind_dn, which is missing".to_owned()));
        }
        self.check(store, realm, &settings, password.as_deref()).await?;
        let by = By::command_line(SystemTime::now());
        Ok(store.change_directory_realm(realm, &settings, comment, password.as_deref(), &by)?)
    }
}
