//! The options of a realm whose users are in a directory, as `pveum realm add` and `modify` name them.

use clap::Args;
use keyrig_relying_party::RealmChange;

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
    /// What they say of a realm.
    pub(super) fn change(&self) -> Result<RealmChange, Failure> {
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
        let options = all.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        let bind_password = self.password.as_ref().map(PasswordSource::read).transpose()?.map(Into::into);
        Ok(RealmChange { options, bind_password, check_connection: self.check_connection, ..RealmChange::default() })
    }

    /// Whether the passwords of a directory go in clear text.
    pub(super) fn is_in_clear(&self) -> bool {
        let secure = self.secure.as_deref() == Some("1");
        !secure && self.mode.as_deref().unwrap_or("ldap") == "ldap"
    }
}
