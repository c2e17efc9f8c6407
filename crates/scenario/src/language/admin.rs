//! An administrator's commands, in the words of `keyrig rp`.

use keyrig_relying_party::{Requirement, Role, UserName};

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
}

/// What a command may be, for who wrote another.
const KNOWN: &str = "known are user add, user modify, user delete, user tfa delete, user tfa unlock and realm modify";

impl AdminCommand {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let known: [(&[&str], &[&str]); 6] = [
            (&["user", "add"], &["--role"]),
            (&["user", "modify"], &["--role", "--enable"]),
            (&["user", "delete"], &["--yes"]),
            (&["user", "tfa", "delete"], &["--id", "--force", "--yes"]),
            (&["user", "tfa", "unlock"], &[]),
            (&["realm", "modify"], &["--tfa", "--delete"]),
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
            ["user", "modify"] => {
                let enabled = match given.value("--enable") {
                    None => None,
                    Some("1") => Some(true),
                    Some("0") => Some(false),
                    Some(other) => return Err(format!("--enable is 1 or 0, not {other:?}")),
                };
                Self::ModifyUser(user()?, role()?, enabled)
            }
            ["user", "delete"] => Self::DeleteUser(user()?),
            ["user", "tfa", "delete"] => {
                let id = given.value("--id").map(str::to_owned);
                Self::DeleteFactors(user()?, id, given.has("--force"))
            }
            ["user", "tfa", "unlock"] => Self::Unlock(user()?),
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

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == option)
    }
}
