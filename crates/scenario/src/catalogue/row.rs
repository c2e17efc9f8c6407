//! What a row has: the files' form, and the rows.

use keyrig_client::Browser;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::texts::TEXTS;

/// One way to get it wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its number, a name that stays the same.
    #[serde(skip)]
    pub number: u8,
    /// What is wrong; of a variant, what is otherwise in it.
    pub title: String,
    /// Where it is known from.
    pub evidence: String,
    /// Why it is wrong.
    pub why: String,
    /// What to do about it.
    pub mend: String,
    /// Who notices, where there is one who does.
    pub detector: Detector,
    /// What stands in for something that is not here.
    pub stands_in: Option<String>,
    /// The relying party's settings, as its TOML file has them.
    pub(super) site: Table,
    /// How the user came by a key before.
    pub(super) before: Option<Before>,
    /// Where the user opens the site.
    pub(super) visit: Visit,
    /// What a proxy makes of requests.
    #[serde(default)]
    pub(super) proxy: Proxy,
    /// The key.
    #[serde(default)]
    pub(super) key: KeyOf,
    /// What the user does there.
    pub(super) ceremony: Ceremony,
    /// What is otherwise in the options than the relying party would have it: a merge patch (RFC 7396).
    #[serde(default)]
    pub(super) options: Table,
    /// How many ids of nobody are in `allowCredentials` beside.
    #[serde(default)]
    pub(super) allow_more: u8,
    /// Whether the id of the credential from before is in `allowCredentials`, whatever the relying party thinks of it.
    #[serde(default)]
    pub(super) allow_enrolled: bool,
    /// The file of related origins, if it is not the relying party's.
    pub(super) well_known: Option<String>,
    /// How long the answer takes, in seconds; for TOTP, how much the user's clock is behind.
    #[serde(default)]
    pub(super) wait_s: u64,
    /// What becomes of the answer.
    pub(super) act: Option<Act>,
    /// What the user's realm requires, from before the ceremony on.
    pub(super) realm: Option<RealmOf>,
    /// What was expected.
    pub expected: Expected,
    /// Who notices where nobody has to.
    pub caught: Option<Caught>,
    /// Other ways to the same, each carried out as the row is.
    #[serde(skip)]
    pub variants: Vec<Row>,
}

/// Who notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The relying party, when it reads its settings.
    Settings,
    /// The browser.
    Browser,
    /// The key.
    Key,
    /// The relying party, when it gets the answer.
    Site,
    /// Nobody has to: it works, and is wrong.
    Nobody,
}

impl Detector {
    /// As people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "site, by its settings",
            Self::Browser => "browser",
            Self::Key => "key",
            Self::Site => "site",
            Self::Nobody => "nobody",
        }
    }
}

/// What a ceremony comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Who refused, or nobody.
    pub by: Detector,
    /// The cause as a word that stays the same.
    pub code: Option<String>,
    /// The exception's name, if the page sees one.
    pub name: Option<String>,
    /// Its message in that browser; `None` where nobody has looked.
    pub message: Option<String>,
}

/// What was expected, of settings, doctor and browsers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Whether the relying party takes the settings.
    pub settings: Taken,
    /// The row that the doctor names.
    pub doctor: Option<u8>,
    /// What it warns of, though it works.
    pub warned: Option<String>,
    pub(super) chromium: Outcome,
    pub(super) firefox: Outcome,
    pub(super) safari: Outcome,
    /// The browsers in which the test of real browsers has the same.
    #[serde(default)]
    pub real: Vec<String>,
    /// Those in which it has the same with a key in front of them.
    #[serde(default)]
    pub real_with_key: Vec<String>,
}

impl Expected {
    /// The browsers in which it was seen, with a key or without.
    #[must_use]
    pub fn observed(&self) -> Vec<&str> {
        self.real.iter().chain(&self.real_with_key).map(String::as_str).collect()
    }

    /// In a browser.
    #[must_use]
    pub fn in_browser(&self, browser: Browser) -> &Outcome {
        match browser {
            Browser::Chromium => &self.chromium,
            Browser::Firefox => &self.firefox,
            Browser::Safari => &self.safari,
        }
    }
}

/// Whether settings are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// They are.
    Sound,
    /// They are refused.
    Refused,
}

/// Who notices where nobody has to, and what has to be otherwise for that.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caught {
    /// Who.
    pub by: Detector,
    /// The cause.
    pub code: String,
    /// Settings that are otherwise.
    #[serde(default)]
    pub(super) site: Table,
    /// The options in their place.
    pub(super) options: Option<Table>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    pub(super) address: String,
    /// Settings that were otherwise.
    #[serde(default)]
    pub(super) site: Table,
    #[serde(default)]
    pub(super) passkey: bool,
    #[serde(default)]
    pub(super) logins: u8,
    /// Whether somebody copied the key right after it was enrolled, and it is the copy that is used.
    #[serde(default)]
    pub(super) cloned: bool,
    /// The AppID under which U2F registered the key.
    pub(super) app_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Visit {
    pub(super) address: String,
    #[serde(default)]
    pub(super) frame_of: Vec<String>,
    #[serde(default = "yes")]
    pub(super) permitted: bool,
    #[serde(default)]
    pub(super) bad_certificate: bool,
    /// Whether the relying party is where the RP ID says, and a browser finds its file of related origins.
    #[serde(default)]
    pub(super) fetches: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    pub(super) host: Option<String>,
    pub(super) over_tls: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeyOf {
    pub(super) profile: String,
    pub(super) pin: Option<String>,
    /// From the ceremony on.
    pub(super) faults: Vec<String>,
}

impl Default for KeyOf {
    fn default() -> Self {
        Self { profile: "keyrig".to_owned(), pin: None, faults: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ceremony {
    Register,
    LogIn,
    Passkey,
    Totp,
    Password,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    FinishTwice,
    FinishElsewhere,
    /// There is none: the page logs in at a server that drops factors.
    DropUnservable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RealmOf {
    Oath,
}

impl Row {
    /// Where the user opens the site.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.visit.address
    }

    /// The RP ID of the settings.
    #[must_use]
    pub fn rp_id(&self) -> &str {
        self.site.get("rp_id").and_then(toml::Value::as_str).unwrap_or_default()
    }
}

/// All rows, by number.
#[must_use]
pub fn rows() -> Vec<Row> {
    (1..).zip(TEXTS).map(|(number, text)| read(number, text)).collect()
}

/// The row of a number, if there is one.
#[must_use]
pub fn row(number: u8) -> Option<Row> {
    let text = usize::from(number).checked_sub(1).and_then(|index| TEXTS.get(index));
    text.map(|text| read(number, text))
}

fn read(number: u8, text: &str) -> Row {
    parse(number, text).expect("a row that comes with keyrig is valid: a test reads them all")
}

fn parse(number: u8, text: &str) -> Result<Row, toml::de::Error> {
    let mut table: Table = toml::from_str(text)?;
    let differing = table.remove("variants").map_or_else(|| Ok(Vec::new()), Vec::<Table>::deserialize)?;
    let row = |table: Table| Ok(Row { number, ..Row::deserialize(table)? });
    let variants = differing.into_iter().map(|differs| {
        let mut variant = table.clone();
        merge(&mut variant, differs);
        row(variant)
    });
    let variants = variants.collect::<Result<_, _>>()?;
    Ok(Row { variants, ..row(table)? })
}

/// Puts what differs into a table, and into the tables in it. An outcome is another one as a whole.
fn merge(table: &mut Table, differs: Table) {
    for (name, value) in differs {
        match (table.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(differs)) if !differs.contains_key("by") => {
                merge(inner, differs);
            }
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}
