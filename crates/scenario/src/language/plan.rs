//! What the tables of a file come to, once everything in them was found.

use core::fmt;
use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use keyrig_authenticator::Profile;
use keyrig_client::{Browser, Origin, Rules};
use keyrig_ctap::Aaguid;
use keyrig_faults::Fault;
use keyrig_faults::timeline::Delay;
use keyrig_rack::KeySpecification;
use keyrig_rack::verification::UvPolicy;
use keyrig_relying_party::{DirectorySettings, Policy, Requirement, Role};

use super::admin::AdminCommand;
use super::at::At;
use super::elsewhere::ElsewherePlan;
use super::expectation::Expected;
use super::matrix::{self, Cell};
use super::on::On;
use super::problem::{Problem, line_and_column};
use super::site::{AcceptedAttestation, AttestationRoot, AttestationTable};
use super::step::{StepTable, Verb};

/// A scenario in one cell of its matrix: checked, and ready to run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its file.
    pub file: PathBuf,
    /// What is in the file, for places in it.
    pub text: Arc<str>,
    /// Its name: that of the file, without `.toml`.
    pub name: String,
    /// What it is about, for people.
    pub description: Option<String>,
    /// Which cell of the matrix it is.
    pub cell: Cell,
    /// The variables that it has from outside of its file, by their names: what they are may be secret.
    pub given: Vec<String>,
    /// On what it can run; without any, on everything.
    pub on: Vec<On>,
    /// The seed from which everything random follows, if the file has one.
    pub seed: Option<u64>,
    /// Its keys.
    pub keys: Vec<KeyPlan>,
    /// The site at the start.
    pub site: SitePlan,
    /// The site of others, if it is about one.
    pub elsewhere: Option<ElsewherePlan>,
    /// Who has an account there: at least one.
    pub users: Vec<UserPlan>,
    /// The pages: at least one.
    pub clients: Vec<ClientPlan>,
    /// What is done: at least one step.
    pub steps: Vec<StepPlan>,
}

impl Scenario {
    /// Its name, and what it is there of its matrix: `two-keys [browser=firefox]`.
    #[must_use]
    pub fn title(&self) -> String {
        if self.cell.is_empty() {
            return self.name.clone();
        }
        let cell: Vec<_> = self.cell.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} [{}]", self.name, cell.join(" "))
    }

    /// The names of what `${…}` stands for in its file.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<&str> {
        matrix::names(&self.text).collect()
    }

    /// Line and column of a place in its file.
    #[must_use]
    pub fn place(&self, at: &Range<usize>) -> (usize, usize) {
        line_and_column(&self.text, at.start)
    }
}

/// A key, as it is at the start.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    /// Name and profile.
    pub specification: KeySpecification,
    /// Its PIN.
    pub pin: Option<String>,
    /// Whether RP IDs are listed in it for enterprise attestations, beside those of its profile.
    pub lists_rp_ids: bool,
    /// What goes wrong with it.
    pub faults: Vec<Fault>,
    /// Whether it is plugged in.
    pub plugged: bool,
    /// How many discoverable credentials of sites elsewhere it holds.
    pub stored: usize,
    /// Whom it finds when it verifies its user.
    pub uv: Option<UvPolicy>,
}

/// A page in a browser.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// What it is called.
    pub name: String,
    /// Whose ways it has.
    pub browser: Browser,
    /// Where it is; without it, at the site's first origin.
    pub origin: Option<Origin>,
    /// The pages that it is a frame in.
    pub ancestors: Vec<Origin>,
    /// Whether it is held to a browser's rules.
    pub rules: Rules,
    /// Whether somebody sits there who types PINs.
    pub types_pins: bool,
}

/// Who has an account.
#[derive(Clone, Debug)]
pub struct UserPlan {
    /// The name; of a user of ours it is NAME@REALM.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// The password.
    pub password: String,
    /// Whether a directory has the user: the account comes with a sync.
    pub is_of_directory: bool,
}

/// A site of ours.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// How it behaves where relying parties differ.
    pub policy: Policy,
    /// The RP ID.
    pub rp_id: String,
    /// The origins of its pages; without any that were written, `https://` and the RP ID, or where it listens.
    pub origins: Option<Vec<String>>,
    /// Origins that are no pages.
    pub app_origins: Vec<String>,
    /// Origins elsewhere whose pages may use the RP ID.
    pub related_origins: Vec<String>,
    /// The AppID under which keys were registered by U2F.
    pub app_id: Option<String>,
    /// Whether pages below its hosts are its own.
    pub allow_subdomains: bool,
    /// Whether a passkey alone logs in.
    pub passkey_login: bool,
    /// Which attestation a registration must have.
    pub attestation: AttestationPlan,
    /// What is asked for the users of realms that are not kept here.
    pub directories: BTreeMap<String, DirectorySettings>,
    /// What realms require.
    pub realms: BTreeMap<String, Requirement>,
    /// Whether it listens on a port.
    pub listens: bool,
}

impl SitePlan {
    /// Whether it has a realm of this name.
    pub(super) fn has_realm(&self, realm: &str) -> bool {
        ["pam", "pve"].contains(&realm) || self.directories.contains_key(realm)
    }

    /// That it has none.
    pub(super) fn no_realm(&self, realm: &str, at: &Range<usize>) -> Problem {
        let known = ["pam", "pve"].into_iter().chain(self.directories.keys().map(String::as_str));
        let known: Vec<_> = known.collect();
        Problem::new(at.clone(), format!("there is no realm {realm:?}"))
            .with_help(format!("the realms are {}", known.join(", ")))
    }
}

/// Which attestation a registration must have.
#[derive(Clone, Debug)]
pub struct AttestationPlan {
    /// What is accepted.
    pub accept: AcceptedAttestation,
    /// Which models.
    pub models: Vec<Aaguid>,
    /// Whose root is trusted.
    pub root: AttestationRoot,
    /// Whether browsers are asked for enterprise attestation.
    pub enterprise: bool,
}

impl AttestationPlan {
    /// What a table says.
    pub(crate) fn of(At { value: table, at }: &At<AttestationTable>) -> Result<Self, Problem> {
        let model = |written: &At<String>| match Profile::built_in(&written.value) {
            Some(profile) => Ok(profile.aaguid),
            None => written.value.parse::<Aaguid>().map_err(|_| {
                Problem::new(written.at.clone(), format!("{:?} is neither a profile nor an AAGUID", written.value))
                    .with_nearest(&written.value, Profile::built_in_names())
            }),
        };
        let models = table.models.0.iter().map(model).collect::<Result<Vec<_>, _>>()?;
        if (table.accept == AcceptedAttestation::Model) == models.is_empty() {
            let problem = Problem::new(at.clone(), "models and accept = \"model\" belong together");
            return Err(problem.with_help("write both, or neither"));
        }
        let asking = table.enterprise.as_ref().filter(|enterprise| enterprise.value);
        if let Some(enterprise) = asking.filter(|_| table.accept == AcceptedAttestation::None) {
            let problem = Problem::new(enterprise.at.clone(), "who accepts no attestation asks for none");
            return Err(problem.with_help("write accept = \"any\", \"root\" or \"model\""));
        }
        Ok(Self { accept: table.accept, models, root: table.root, enterprise: asking.is_some() })
    }
}

/// A step.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// What it is called.
    pub name: String,
    /// What is done.
    pub verb: Verb,
    /// Where it stands in the file: its verb.
    pub at: Range<usize>,
    /// What belongs to the verb.
    pub with: StepTable,
    /// The verb of an administrator, of `admin`.
    pub admin: Option<AdminCommand>,
    /// The site from here on, of `set`.
    pub site: Option<Box<SitePlan>>,
    /// What is done while keys wait.
    pub meanwhile: Vec<Act>,
    /// What it is to come to.
    pub expected: Expected,
    /// Where that stands.
    pub expected_at: Option<Range<usize>>,
    /// How often it is done.
    pub times: u32,
}

/// Something that is done while keys wait.
#[derive(Clone, Debug)]
pub enum Act {
    /// Touch a key.
    Touch(String),
    /// Refuse for it.
    Deny(String),
    /// Touch it as somebody else.
    Miss(String),
    /// Pull it out.
    Unplug(String),
    /// Pull it out and put it back in.
    PowerCycle(String),
    /// Put a key in.
    Plug(String),
    /// Let time pass.
    Advance(Delay),
}

impl Act {
    /// The key that has to wait before it is done, if it is one of its own.
    #[must_use]
    pub fn waits_for(&self) -> Option<&str> {
        match self {
            Self::Touch(key) | Self::Deny(key) | Self::Miss(key) | Self::Unplug(key) | Self::PowerCycle(key) => {
                Some(key)
            }
            Self::Plug(_) | Self::Advance(_) => None,
        }
    }
}

/// As a scenario has it, such as `unplug = "primary"`.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Touch(key) => write!(f, "touch = \"{key}\""),
            Self::Deny(key) => write!(f, "deny = \"{key}\""),
            Self::Miss(key) => write!(f, "miss = \"{key}\""),
            Self::Unplug(key) => write!(f, "unplug = \"{key}\""),
            Self::PowerCycle(key) => write!(f, "power-cycle = \"{key}\""),
            Self::Plug(key) => write!(f, "plug = \"{key}\""),
            Self::Advance(delay) => write!(f, "advance = \"{delay}\""),
        }
    }
}
