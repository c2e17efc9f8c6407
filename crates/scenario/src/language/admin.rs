//! An administrator's commands, in the words of `keyrig rp`.

use std::str::FromStr;

use keyrig_relying_party::{InvalidUserName, Requirement, Role, Subject, SyncWish, UserName};

/// A command to a site's database.
#[derive(Clone, Debug)]
pub enum AdminCommand {
    /// `user add NAME [--role ROLE]`: its password is the one that users have who were given none.
    AddUser(UserName, Role),
    /// `user modify NAME [--role ROLE] [--enable 1|0]`.
    ModifyUser(UserName, Option<Role>, Option<bool>),
    /// `user delete NAME`.
    DeleteUser(UserName),
    /// `user tfa delete NAME [--id ID] [--force]`: a factor by its identifier or its description, or all.
    DeleteFactors(UserName, Option<String>, bool),
    /// `user tfa unlock NAME`.
    Unlock(UserName),
    /// `realm modify REALM --tfa OPTION`, or `--delete tfa`.
    Require(String, Requirement),
    /// `realm sync REALM [--scope users|groups|both] [--remove-vanished LIST] [--enable-new 1|0] [--dry-run 1|0]`.
    Sync(String, SyncWish),
    /// `acl modify / [--users USER] [--groups GROUP] --roles ROLE`, each several with commas between them.
    Grant(Vec<Subject>, Vec<String>),
}

/// What a command may be, for who wrote another.
const KNOWN: &str = "known are user add, user modify, user delete, user tfa delete, user tfa unlock, realm modify, realm sync and \
                     acl modify";

impl AdminCommand {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let known: [(&[&str], &[&str]); 8] = [
            (&["user", "add"], &["--role"]),
            (&["user", "modify"], &["--role", "--enable"]),
            (&["user", "delete"], &["--yes"]),
            (&["user", "tfa", "delete"], &["--id", "--force", "--yes"]),
            (&["user", "tfa", "unlock"], &[]),
            (&["realm", "modify"], &["--tfa", "--delete"]),
            (&["realm", "sync"], &["--scope", "--remove-vanished", "--enable-new", "--dry-run"]),
            (&["acl", "modify"], &["--users", "--groups", "--roles"]),
        ];
        let found = known.into_iter().find_map(|(verb, options)| Some((verb, words.strip_prefix(verb)?, options)));
        let Some((verb, rest, options)) = found else {
            return Err(format!("{text:?} is no command here: {KNOWN}"));
        };
        let given = Given::of(rest, options)?;
        let user = || given.name.parse::<UserName>().map_err(|error| error.to_string());
        let role =
            || given.value("--role").map(|role| role.parse::<Role>().map_err(|error| error.to_string())).transpose();
        Ok(match verb {
            ["user", "add"] => Self::AddUser(user()?, role()?.unwrap_or(Role::User)),
            ["user", "modify"] => Self::ModifyUser(user()?, role()?, given.boolean("--enable")?),
            ["user", "delete"] => Self::DeleteUser(user()?),
            ["user", "tfa", "delete"] => {
                let id = given.value("--id").map(str::to_owned);
                Self::DeleteFactors(user()?, id, given.has("--force"))
            }
            ["user", "tfa", "unlock"] => Self::Unlock(user()?),
            ["realm", "sync"] => {
                let wish = SyncWish {
                    scope: given.parsed("--scope")?,
                    remove_vanished: given.parsed("--remove-vanished")?,
                    enable_new: given.boolean("--enable-new")?,
                    dry_run: given.boolean("--dry-run")?.unwrap_or(false),
                };
                Self::Sync(given.name.to_owned(), wish)
            }
            ["acl", "modify"] => {
                if given.name != "/" {
                    return Err(format!("roles are given for /, and not for {:?}", given.name));
                }
                let list = |option| given.value(option).into_iter().flat_map(|list| list.split(','));
                let groups = list("--groups").map(|group| Subject::Group(group.to_owned()));
                let mut subjects: Vec<Subject> = groups.collect();
                for user in list("--users") {
                    subjects.push(Subject::User(user.parse().map_err(|error: InvalidUserName| error.to_string())?));
                }
                let roles: Vec<_> = list("--roles").map(str::to_owned).collect();
                if subjects.is_empty() || roles.is_empty() {
                    return Err("acl modify wants --users or --groups, and --roles".to_owned());
                }
                Self::Grant(subjects, roles)
            }
            _ => {
                let requirement = match (given.value("--tfa"), given.value("--delete")) {
                    (Some(option), None) => option.parse().map_err(|error| format!("--tfa {option}: {error}"))?,
                    (None, Some("tfa")) => Requirement::None,
                    _ => return Err("realm modify wants --tfa OPTION, or --delete tfa".to_owned()),
                };
                Self::Require(given.name.to_owned(), requirement)
            }
        })
    }
}

/// What stands behind a command's verb: whom it is about, and options.
struct Given<'t> {
    name: &'t str,
    options: Vec<(&'t str, Option<&'t str>)>,
}

impl<'t> Given<'t> {
    fn of(words: &[&'t str], known: &[&str]) -> Result<Self, String> {
        let (mut name, mut options) = (None, Vec::new());
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                if name.replace(word).is_some() {
                    return Err(format!("{word:?} is one name too many"));
                }
                continue;
            }
            if !known.contains(&word) {
                return Err(format!(
                    "there is no option {word} here: {}",
                    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
                ));
            }
            let is_flag = ["--yes", "--force"].contains(&word);
            let value = if is_flag { None } else { words.next() };
            if !is_flag && value.is_none() {
                return Err(format!("{word} wants a value"));
            }
            options.push((word, value));
        }
        let name = name.ok_or("it does not say whom it is about")?;
        Ok(Self { name, options })
    }

    fn value(&self, option: &str) -> Option<&'t str> {
        self.options.iter().find(|(name, _)| *name == option).and_then(|(_, value)| *value)
    }

    fn parsed<T: FromStr<Err = &'static str>>(&self, option: &str) -> Result<Option<T>, String> {
        let value =
            self.value(option).map(|text| text.parse().map_err(|expected| format!("{option} {text}: {expected}")));
        value.transpose()
    }

    fn boolean(&self, option: &str) -> Result<Option<bool>, String> {
        match self.value(option) {
            None => Ok(None),
            Some("1") => Ok(Some(true)),
            Some("0") => Ok(Some(false)),
            Some(other) => Err(format!("{option} is 1 or 0, not {other:?}")),
        }
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == option)
    }
}
