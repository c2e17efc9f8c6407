//! FIDO metadata: that which the user gives (`--mds FILE`), and `keyrig mds`, which writes that of the keys here.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use keyrig_metadata::{Blob, Document, MAX_SIZE};
use keyrig_rack::published::{Publication, UnknownVariant, Variant, built_in, pem};
use keyrig_rack::{Options, attestation_root, certified};

use crate::failure::Failure;
use crate::identity;

/// Where certified keys are looked up.
#[derive(Args)]
pub(crate) struct MdsArguments {
    /// FIDO metadata for keys of the profile mds:AAGUID: the BLOB as it is downloaded, its payload as JSON, or one metadata
    /// statement. Its signature is not looked at
    #[arg(long, value_name = "FILE")]
    mds: Option<PathBuf>,

    #[arg(skip)]
    read: OnceLock<Arc<Blob>>,
}

impl MdsArguments {
    pub(crate) fn is_given(&self) -> bool {
        self.mds.is_some()
    }

    /// Whether it is read from this file.
    fn is_from(&self, file: &Path) -> bool {
        self.mds.as_deref().is_some_and(|read| identity::are_one(read, file))
    }

    /// The metadata, if it was given: read once.
    pub(crate) fn metadata(&self) -> Result<Option<Arc<Blob>>, Failure> {
        let Some(path) = &self.mds else { return Ok(None) };
        if let Some(read) = self.read.get() {
            return Ok(Some(Arc::clone(read)));
        }
        let blob = Arc::new(read(path)?.blob);
        Ok(Some(Arc::clone(self.read.get_or_init(|| blob))))
    }
}

/// Reads a document of metadata, but no further than one may be long.
fn read(path: &Path) -> Result<Document, Failure> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX) + 1;
    let limited = File::open(path).and_then(|file| file.take(longest).read_to_end(&mut bytes));
    limited.map_err(|error| Failure::Read(path.to_owned(), error))?;
    Document::read(&bytes).map_err(|error| Failure::NotMetadata(path.to_owned(), Box::new(error)))
}

#[derive(Args)]
#[command(after_help = "\
A relying party that wants metadata of the keys that it accepts can be given this
in place of the BLOB of the FIDO Metadata Service, with the TEST root of the
keys: from the directory that keeps them, or their seed.

  keyrig mds --state DIR --root --out root.pem
  keyrig mds --state DIR --out blob.jwt

A rack that serves HTTP has the same at /v1/mds/good.jwt, /v1/mds/root.pem and
/v1/mds/root.crl, for anybody.")]
pub(crate) struct Arguments {
    /// What is to be the matter with it
    #[arg(value_parser = variants(), default_value = "good")]
    variant: Variant,

    /// The directory that keeps the keys, and the TEST root
    #[arg(long, value_name = "DIR", required_unless_present = "seed")]
    state: Option<PathBuf>,

    /// The seed of the keys, from which the TEST root follows
    #[arg(long, value_name = "N", conflicts_with = "state")]
    seed: Option<u64>,

    /// Write the certificate of the TEST root, PEM, and no BLOB
    #[arg(long, conflicts_with_all = ["variant", "revocations"])]
    root: bool,

    /// Write the list of certificates that the root has revoked, DER, and no BLOB
    #[arg(long, conflicts_with = "variant")]
    revocations: bool,

    /// Where that list will be, for the certificate of the BLOB's signer to name
    #[arg(long, value_name = "URL", value_parser = address)]
    revocations_url: Option<String>,

    /// The certified keys in this metadata have entries, too
    #[command(flatten)]
    mds: MdsArguments,

    /// The file to write; without one it goes to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn variants() -> impl TypedValueParser<Value = Variant> {
    let values = Variant::ALL.iter().map(|variant| PossibleValue::new(variant.name()).help(variant.what()));
    PossibleValuesParser::new(values).try_map(|name| -> Result<_, UnknownVariant> { name.parse() })
}

fn address(text: &str) -> Result<String, String> {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let is_plain = text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_address && is_plain { Ok(text.to_owned()) } else { Err("write an address, http://…".to_owned()) }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = Options { seed: arguments.seed, state: arguments.state.clone(), ..Options::default() };
    let root = attestation_root(&options)?;
    let mut profiles = built_in();
    if let Some(metadata) = arguments.mds.metadata()? {
        // What yields no key has none that anybody could meet.
        profiles.extend(metadata.entries.iter().filter_map(|entry| certified::of_entry(entry).ok()));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let crl = arguments.revocations_url.as_deref();
    let publication = Publication { root: &root, profiles: &profiles, now, crl };
    let made = if arguments.root {
        Ok(pem(root.certificate()).into_bytes())
    } else if arguments.revocations {
        publication.crl()
    } else {
        publication.jwt(arguments.variant).map(|jwt| format!("{jwt}\n").into_bytes())
    };
    let made = made.map_err(keyrig_rack::RackError::from)?;
    match &arguments.out {
        Some(path) if arguments.mds.is_from(path) => {
            return Err(Failure::Usage(format!("{} is what is read: name another file with --out", path.display())));
        }
        Some(path) => fs::write(path, made).map_err(|error| Failure::Write(path.clone(), error))?,
        None => {
            let mut out = io::stdout().lock();
            if arguments.revocations && out.is_terminal() {
                return Err(Failure::Usage(
                    "the list of revocations is no text: name a file for it with --out".to_owned(),
                ));
            }
            out.write_all(&made).and_then(|()| out.flush()).map_err(Failure::Print)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
