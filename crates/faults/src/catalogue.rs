//! What there is to say of each fault: one table, `catalogue.toml`, which tests go through as well.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::kind::Kind;

static CATALOGUE: LazyLock<BTreeMap<String, Description>> = LazyLock::new(|| {
    // A test reads it.
    toml::from_str(include_str!("catalogue.toml")).unwrap_or_default()
});

/// What there is to say of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What goes wrong, in a line.
    pub summary: String,
    /// What its parameter says, if it has one.
    pub parameter: Option<String>,
    /// What passes then, for who looks closely.
    pub wire: String,
    /// Who notices, and how: each of these is a test.
    pub noticed: Vec<Noticed>,
}

/// A client that notices a fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// The client, as `libfido2`, or `verifier`, which is keyrig's own.
    pub by: String,
    /// What it does meanwhile.
    pub doing: String,
    /// The fault with its parameters, if these are not the usual ones.
    pub fault: Option<String>,
    /// How it says so: a part of its words, or the checks of WebAuthn that fail.
    pub says: String,
}

/// What there is to say of a fault.
#[must_use]
pub fn of(kind: Kind) -> Option<&'static Description> {
    CATALOGUE.get(kind.name())
}

#[cfg(test)]
mod tests {
    use keyrig_authenticator::profile::Quirk;

    use super::*;
    use crate::fault::Fault;

    #[test]
    fn the_catalogue_is_of_the_faults_that_there_are() {
        let catalogue: BTreeMap<String, Description> = toml::from_str(include_str!("catalogue.toml")).unwrap();
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        assert_eq!(catalogue.keys().collect::<Vec<_>>(), names);
        assert!(names.len() >= 45);
        // One command explains both.
        assert!(names.iter().all(|name| Quirk::named(name).is_err()));
        for kind in Kind::ALL {
            let description = of(*kind).unwrap();
            assert_eq!(description.parameter.is_some(), kind.parameter().is_some(), "{kind}");
            assert!(!description.noticed.is_empty(), "{kind}: nobody notices");
            for noticed in &description.noticed {
                let fault = noticed.fault.as_deref().unwrap_or(kind.name());
                assert_eq!(fault.parse::<Fault>().map(|fault| fault.kind()), Ok(*kind), "{fault}");
            }
        }
    }
}
