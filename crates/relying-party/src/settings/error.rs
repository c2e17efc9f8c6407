//! What is wrong in a file of settings, and at which character.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

use super::{AppIdProblem, OriginProblem, RpIdProblem};
use crate::place::Place;
use crate::policy::{InvalidPolicy, UnknownPolicy};
use crate::property_string::PropertyProblem;

/// Why a file of settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Where in it, if it could be read at all.
    pub place: Option<Box<Place>>,
    /// What is wrong there.
    pub problem: ConfigProblem,
}

impl std::error::Error for ConfigError {}

/// `FILE:LINE:COLUMN: what is wrong`, and the line with a mark under it.
impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        match &self.place {
            Some(place) => write!(formatter, ":{}:{}: {}\n{place}", place.line, place.column, self.problem),
            None => write!(formatter, ": {}", self.problem),
        }
    }
}

/// What is wrong in a file of settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigProblem {
    /// The file cannot be read.
    #[error("it cannot be read: {reason}")]
    Unreadable {
        /// The operating system's words.
        reason: String,
    },
    /// The file is longer than what is read: of settings [`MAX_CONFIG_BYTES`](super::MAX_CONFIG_BYTES).
    #[error("it is longer than {longest} bytes")]
    TooLong {
        /// How long it may be.
        longest: u64,
    },
    /// It is not TOML, or a field is unknown or of another type.
    #[error("{reason}")]
    Toml {
        /// The parser's words.
        reason: String,
    },
    /// A line begins as the `webauthn:` line does, and is not one.
    #[error("this looks like the webauthn line, and is none; write webauthn: rp=NAME,id=DOMAIN,origin=URL")]
    NotTheWebauthnLine,
    /// There are two `webauthn:` lines.
    #[error("line {first} is a webauthn line already; remove one")]
    SecondWebauthnLine {
        /// The line of the first one.
        first: usize,
    },
    /// There is no `webauthn:` line.
    #[error("the webauthn line is missing; write webauthn: rp=NAME,id=DOMAIN,origin=URL")]
    NoWebauthnLine,
    /// The line is not `key=value,key=value`.
    #[error(transparent)]
    Properties(#[from] PropertyProblem),
    /// A property that the line has not.
    #[error("{found:?} is unknown here; the properties are rp, id, origin and allow-subdomains")]
    UnknownProperty {
        /// What stands there.
        found: String,
    },
    /// A second origin behind a comma.
    #[error("this line takes one origin; give several as a list in a TOML file: origins = [\"https://…\", …]")]
    SecondOrigin,
    /// Something that has to be there is not.
    #[error("{what} is missing; {how}")]
    Missing {
        /// What.
        what: &'static str,
        /// How it is written.
        how: &'static str,
    },
    /// Neither yes nor no.
    #[error("{found:?} is neither yes nor no; write 1 or 0")]
    NotABoolean {
        /// What stands there.
        found: String,
    },
    /// The RP ID cannot work.
    #[error("the RP ID cannot work: {0}")]
    RpId(RpIdProblem),
    /// An origin cannot work.
    #[error("the origin cannot work: {0}")]
    Origin(OriginProblem),
    /// The AppID cannot work.
    #[error("the AppID cannot work: {0}")]
    AppId(AppIdProblem),
    /// The name cannot be shown.
    #[error("the name must be 1 to 64 bytes without control characters")]
    Name,
    /// There is no such policy.
    #[error(transparent)]
    UnknownPolicy(#[from] UnknownPolicy),
    /// A policy of one's own that is none.
    #[error(transparent)]
    InvalidPolicy(#[from] InvalidPolicy),
    /// The challenge lifetime is out of bounds.
    #[error("{found} s is out of bounds: a challenge can be answered for 1 to 600 s")]
    ChallengeLifetime {
        /// What stands there.
        found: i64,
    },
    /// A file of certificates that is none.
    #[error("the certificates cannot be read: {reason}")]
    Certificates {
        /// Why.
        reason: String,
    },
    /// Metadata that cannot be trusted.
    #[error("the metadata cannot be trusted: {reason}")]
    Metadata {
        /// Why.
        reason: String,
    },
    /// What stands there is not an AAGUID.
    #[error("this is not an AAGUID: 32 hexadecimal digits in groups of 8-4-4-4-12")]
    Aaguid,
}

/// Which part of an RP ID a problem is about.
pub(super) fn part_of_rp_id(rp_id: &str, problem: RpIdProblem) -> Range<usize> {
    let from = |start: Option<usize>| start.map(|start| start..rp_id.len());
    let one = |start: Option<usize>| {
        start.map(|start| {
            start..start + rp_id.get(start..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        })
    };
    match problem {
        RpIdProblem::Scheme => rp_id.find("://").map(|at| 0..at + 3),
        RpIdProblem::Port => from(rp_id.rfind(':')),
        RpIdProblem::Path => from(rp_id.find(['/', '?', '#'])),
        RpIdProblem::UpperCase => one(rp_id.find(|character: char| character.is_ascii_uppercase())),
        RpIdProblem::NotAscii => one(rp_id.find(|character: char| !character.is_ascii())),
        RpIdProblem::OuterDot if !rp_id.starts_with('.') => one(rp_id.rfind('.')),
        RpIdProblem::OuterDot => one(Some(0)),
        RpIdProblem::Empty | RpIdProblem::IpAddress | RpIdProblem::NotADomain => None,
    }
    .unwrap_or(0..rp_id.len())
}

/// Which part of an origin a problem is about.
pub(super) fn part_of_origin(origin: &str, problem: &OriginProblem) -> Range<usize> {
    let scheme = origin.find("://");
    let authority = scheme.map_or(0, |at| at + 3);
    let rest = origin.get(authority..).unwrap_or_default();
    let path = rest.find(['/', '?', '#']).map_or(origin.len(), |at| authority + at);
    let user = rest.find('@').map(|at| authority + at + 1).filter(|at| *at < path);
    let host = user.unwrap_or(authority);
    match problem {
        OriginProblem::UnsupportedScheme { scheme } => 0..scheme.len(),
        OriginProblem::InsecureScheme => 0..scheme.unwrap_or(origin.len()),
        OriginProblem::UserInfo => authority..host,
        OriginProblem::Path { .. } => path..origin.len(),
        OriginProblem::IpAddress
        | OriginProblem::HostAboveRpId { .. }
        | OriginProblem::WithinRpId { .. }
        | OriginProblem::OutsideRpId { .. } => {
            let host_and_port = origin.get(host..path).unwrap_or_default();
            let end = if host_and_port.starts_with('[') {
                host_and_port.find(']').map(|at| at + 1)
            } else {
                host_and_port.find(':')
            };
            host..end.map_or(path, |end| host + end)
        }
        OriginProblem::Several => {
            let at = origin.find([',', ' ', ';']).unwrap_or(0);
            at..origin.len()
        }
        OriginProblem::NotAsBrowsersWriteIt { should_be } => {
            // From the first character that differs.
            let same = origin.bytes().zip(should_be.bytes()).take_while(|(found, expected)| found == expected).count();
            origin.floor_char_boundary(same)..origin.len()
        }
        OriginProblem::NoScheme | OriginProblem::NotAUrl(_) | OriginProblem::NotAnAppOrigin => 0..origin.len(),
    }
}
