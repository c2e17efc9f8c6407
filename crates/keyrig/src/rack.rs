//! The options that set up a rack.

mod row;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use clap::Args;
use keyrig_authenticator::Profile;
use keyrig_control::socket::ControlSocket;
use keyrig_ctap::Aaguid;
use keyrig_faults::{Absent, Faults};
use keyrig_metadata::Blob;
use keyrig_rack::certified;
use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::finger::{Finger, TouchPolicy};
use keyrig_rack::verification::UvPolicy;
use keyrig_rack::{KeyName, KeySpecification, Options, Rack, RootOrigin};
use tokio::task::JoinSet;

pub(crate) use self::row::Named;
use self::row::Row;
use crate::failure::Failure;
use crate::fault::FaultArguments;
use crate::key::ControlArgument;
use crate::key::{PinFile, first_line};
use crate::mds::MdsArguments;
use crate::quirk::QuirkArguments;
use crate::starter::StarterArguments;
use crate::timeline::TimelineArguments;
use crate::trace::{TraceArguments, Tracing};

/// What every command takes that runs a rack.
#[derive(Args)]
pub(crate) struct RunningArguments {
    /// A name for this rack: 'keyrig key --control NAME' finds it, and it shares no socket and no port with others
    #[arg(long, value_name = "RACK", value_parser = rack_name, conflicts_with = "control")]
    name: Option<KeyName>,

    /// The socket by which 'keyrig key' controls this rack
    #[arg(long, value_name = "unix:PATH", value_parser = control_socket)]
    control: Option<ControlArgument>,

    #[command(flatten)]
    pub(crate) starter: StarterArguments,

    /// Print JSON, an object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) rack: RackArguments,
}

/// A rack's name is made of what a key's is.
fn rack_name(text: &str) -> Result<KeyName, String> {
    let rule = "use 1 to 32 letters, digits, '-', '_' and '.', and do not begin with '.'";
    text.parse().map_err(|_| format!("that is not a name for a rack: {rule}"))
}

/// A name alone says which rack is meant, and is given with --name.
pub(crate) fn control_socket(text: &str) -> Result<ControlArgument, String> {
    if text.starts_with("unix:") || text.contains('/') {
        text.parse()
    } else {
        Err("write a control socket as unix:PATH, and a rack's name with --name".to_owned())
    }
}

impl RunningArguments {
    pub(crate) async fn bind_control(&self) -> Result<ControlSocket, Failure> {
        let path = match (&self.control, &self.name) {
            (None, Some(name)) => ControlArgument::path_of_rack(name)?,
            (control, _) => ControlArgument::path_or_default(control.as_ref())?,
        };
        ControlSocket::bind(&path).await.map_err(|error| Failure::from(error).at_rack(self.name.clone()))
    }

    /// Whether it is one of several on this machine.
    pub(crate) fn has_name(&self) -> bool {
        self.name.is_some()
    }
}

/// The rack: which keys there are, and who touches them.
#[derive(Args)]
#[command(next_help_heading = "Rack")]
pub(crate) struct RackArguments {
    /// A key: a name of your choice and its profile ('keyrig profiles' lists them), or NAME=mds:AAGUID for a certified key of
    /// --mds. 'NAME[FIRST-LAST]=PROFILE' is a row of keys: 'k[1-1000]=keyrig' has k1 to k1000, 'k[001-100]=keyrig' k001 to k100.
    /// Repeat for more; none is a rack without keys, until some are created
    #[arg(long = "key", value_name = "[NAME=]PROFILE|none", default_value = "keyrig")]
    keys: Vec<Keys>,

    #[command(flatten)]
    mds: MdsArguments,

    /// Keep the keys in this directory; without it, they are gone when the program ends
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Who touches a key that waits: with auto the finger does, at once; after=MILLISECONDS is auto, so much later; every
    /// touches all that wait; deny refuses at all of them; manual leaves it to 'keyrig key touch'
    #[arg(long, value_name = "POLICY", default_value = "auto")]
    touch: TouchPolicy,

    /// The key under the finger; without it, the first one plugged in
    #[arg(long, value_name = "NAME")]
    finger: Option<KeyName>,

    /// Derive everything random from this number: same requests, same bytes. Such keys are not secret
    #[arg(long, value_name = "N", conflicts_with = "state")]
    pub(crate) seed: Option<u64>,

    /// A key's PIN, from the start: the first line of a file. A key that is kept and has another one is refused. Here and at what
    /// follows NAME may be a row, 'k[1-1000]'. Repeat for more
    #[arg(long = "pin", value_name = "NAME=FILE")]
    pins: Vec<PinArgument>,

    #[command(flatten)]
    quirks: QuirkArguments,

    /// Whom a key finds that verifies its user itself: with always the one whom it knows, with never somebody else, with miss=N so
    /// often somebody else and then the user; script=A,B,… is one a touch, each miss or what 'keyrig key sample' takes; manual leaves it to 'keyrig key verify'. Repeat for more
    #[arg(long = "uv", value_name = "NAME=POLICY")]
    uv: Vec<UvArgument>,

    #[command(flatten)]
    faults: FaultArguments,

    #[command(flatten)]
    pub(crate) trace: TraceArguments,

    #[command(flatten)]
    timeline: TimelineArguments,

    /// What one should know of the keys, as they were made.
    #[arg(skip)]
    imitations: OnceLock<Vec<String>>,
}

/// `NAME=POLICY`.
#[derive(Clone)]
struct UvArgument {
    keys: Named,
    policy: UvPolicy,
}

impl FromStr for UvArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keys, policy) = Named::split(text, "write NAME=POLICY, such as a=never")?;
        Ok(Self { keys, policy: policy.parse()? })
    }
}

/// `NAME=FILE`.
#[derive(Clone)]
struct PinArgument {
    keys: Named,
    file: PinFile,
}

impl FromStr for PinArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keys, file) = Named::split(text, "write NAME=FILE, such as a=pin.txt")?;
        Ok(Self { keys, file: file.parse()? })
    }
}

/// `[NAME=]PROFILE`.
#[derive(Clone)]
pub(crate) enum KeyArgument {
    BuiltIn(Box<KeySpecification>),
    /// Of a profile `mds:AAGUID`.
    Certified {
        name: KeyName,
        profile: String,
    },
}

impl KeyArgument {
    pub(crate) fn name(&self) -> &KeyName {
        match self {
            Self::BuiltIn(specification) => &specification.name,
            Self::Certified { name, .. } => name,
        }
    }

    pub(crate) fn specification(&self, metadata: Option<&Blob>) -> Result<KeySpecification, Failure> {
        match self {
            Self::BuiltIn(specification) => Ok((**specification).clone()),
            Self::Certified { name, profile } => Ok(KeySpecification::named(profile, name.as_str(), metadata)?),
        }
    }
}

impl FromStr for KeyArgument {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, profile) = match text.split_once('=') {
            None if text.starts_with(certified::PREFIX) => {
                return Err(format!("name the key: write NAME=mds:AAGUID, such as a={text}").into());
            }
            None => (text, text),
            // The other way round, as it was written before.
            Some((profile, name)) if Profile::built_in(profile).is_some() && Profile::built_in(name).is_none() => {
                (name, profile)
            }
            Some((name, profile)) if Profile::built_in(name).is_none() => (name, profile),
            Some((name, _)) => {
                return Err(format!(
                    "{name:?} is a profile, and no name for another key: write NAME=PROFILE, such as a={name}"
                )
                .into());
            }
        };
        if let Some(aaguid) = profile.strip_prefix(certified::PREFIX) {
            // As it is written in the BLOB, and in a state directory.
            let aaguid = aaguid.to_ascii_lowercase().parse::<Aaguid>()?;
            return Ok(Self::Certified { name: name.parse()?, profile: format!("{}{aaguid}", certified::PREFIX) });
        }
        Ok(Self::BuiltIn(Box::new(KeySpecification::built_in(profile, name)?)))
    }
}

/// What one `--key` says: a key, a row of them that are alike, or none.
#[derive(Clone)]
struct Keys {
    /// The first.
    key: Option<KeyArgument>,
    names: Vec<KeyName>,
}

impl FromStr for Keys {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self { key: None, names: Vec::new() });
        }
        let (name, profile) = text.split_once('=').unwrap_or((text, ""));
        let row = Row::in_name(name)?;
        let key: KeyArgument = match &row {
            Some(row) => format!("{}={profile}", row.first()).parse()?,
            None => text.parse()?,
        };
        let names = match &row {
            Some(row) => row.names().map(|name| name.parse()).collect::<Result<_, _>>()?,
            None => vec![key.name().clone()],
        };
        Ok(Self { key: Some(key), names })
    }
}

impl Keys {
    fn specifications(&self, metadata: Option<&Blob>) -> Result<Vec<KeySpecification>, Failure> {
        let Some(key) = &self.key else { return Ok(Vec::new()) };
        let KeySpecification { profile, .. } = key.specification(metadata)?;
        let named = |name: &KeyName| KeySpecification { name: name.clone(), profile: profile.clone() };
        Ok(self.names.iter().map(named).collect())
    }
}

/// Sets the PIN of each of these, all at once: where they are kept, most of that is waiting for the disk.
async fn set_pins(rack: &Rack, keys: &Named, pin: &str) -> Result<(), Failure> {
    let mut setting = JoinSet::new();
    for key in keys.names() {
        let (handle, key, pin) = (rack.known(key)?, key.clone(), pin.to_owned());
        setting.spawn(async move { handle.set_pin(pin).await.map_err(Refusal::of(&key)) });
    }
    while let Some(set) = setting.join_next().await {
        set.map_err(|error| Failure::Runtime(io::Error::other(error)))??;
    }
    Ok(())
}

impl RackArguments {
    /// The keys, with the bugs that were asked for.
    fn specifications(&self) -> Result<Vec<KeySpecification>, Failure> {
        let metadata = self.mds.metadata()?;
        let mut keys = Vec::new();
        for some in &self.keys {
            keys.append(&mut some.specifications(metadata.as_deref())?);
        }
        if !keys.is_empty() && self.keys.iter().any(|some| some.names.is_empty()) {
            return Err(Failure::Usage("--key none is a rack without keys: name keys, or none".to_owned()));
        }
        self.quirks.give(&mut keys)?;
        Ok(keys)
    }

    /// That they can be what a rack is set up by.
    #[cfg(target_os = "linux")]
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.faults.check(&self.specifications()?, &Absent::usb())
    }

    /// Starts the rack, and what writes down what passes. `absent` is what hosts of its keys do without; `followed` says whether somebody
    /// may come to look.
    pub(crate) async fn start(&self, absent: Absent, followed: bool) -> Result<(Rack, Tracing), Failure> {
        let keys = self.specifications()?;
        self.imitations.get_or_init(|| imitations(&keys));
        self.faults.check(&keys, &absent)?;
        let mut tracing = self.trace.start(&keys)?.followed_if(followed, &keys);
        let faults = Faults::new(self.seed, absent);
        let options = Options {
            finger: Finger { policy: self.touch, over: self.finger.clone() },
            seed: self.seed,
            state: self.state.clone(),
            seams: tracing.seams(&faults),
            metadata: self.mds.metadata()?,
        };
        // Before a key is made: a file that cannot be read changes nothing.
        let mut pins = Vec::new();
        for PinArgument { keys, file } in &self.pins {
            pins.push((keys, first_line(file)?));
        }
        let rack = Rack::start(options, keys).await?;
        for (keys, pin) in pins {
            set_pins(&rack, keys, &pin).await?;
        }
        for UvArgument { keys, policy } in &self.uv {
            for key in keys.names() {
                rack.command(Command::UvPolicy { key: key.clone(), policy: policy.clone() }).await?;
            }
        }
        // A PIN that is there from the start was set before anything goes wrong.
        self.faults.switch_on(&faults)?;
        if let Some(seed) = self.seed {
            tracing.starts_from(seed, &rack).await?;
        }
        tracing.begin()?;
        tracing.beside(self.timeline.start(&rack)?);
        Ok((rack, tracing))
    }

    /// Refuses keys that are no devices, where all are to be.
    pub(crate) fn all_on_usb(&self) -> Result<(), Failure> {
        let aside = self.specifications()?.into_iter().find(|key| key.profile.usb.is_none());
        aside.map_or(Ok(()), |key| Err(Failure::Refused(Refusal::NotOnUsb(key.name))))
    }

    /// What one should know of these keys, a line each.
    pub(crate) fn notes(&self, rack: &Rack) -> Vec<String> {
        let mut notes = self.imitations.get().cloned().unwrap_or_default();
        notes.extend(self.quirks.notes());
        notes.push(match rack.root_origin() {
            RootOrigin::Seed => "the TEST attestation root follows from the seed".to_owned(),
            RootOrigin::State => "the TEST attestation root is kept in the state directory".to_owned(),
            RootOrigin::Process => {
                "the TEST attestation root lives as long as this process: --state DIR keeps it".to_owned()
            }
        });
        notes
    }
}

/// Whose identities keys carry, and what of certified ones is withheld, a line each.
fn imitations(keys: &[KeySpecification]) -> Vec<String> {
    let mut makers: Vec<_> = keys.iter().filter_map(|key| key.profile.imitates.as_deref()).collect();
    makers.sort_unstable();
    makers.dedup();
    let imitation = |maker| format!("imitation: a key here carries {maker}'s identity, attested by keyrig's TEST root");
    let certified = |key: &&KeySpecification| key.profile.name.starts_with(certified::PREFIX);
    let withheld = |key: &KeySpecification| {
        let withheld = key.profile.withheld();
        let withheld = if withheld.is_empty() { "nothing".to_owned() } else { withheld.join("; ") };
        format!("certified: {}: {}; withheld: {withheld}", key.name, key.profile.description)
    };
    makers.into_iter().map(imitation).chain(keys.iter().filter(certified).map(withheld)).collect()
}
