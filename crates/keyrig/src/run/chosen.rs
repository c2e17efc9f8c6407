//! Which scenarios are to run.

use core::fmt;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use keyrig_scenario::language::{Given, LoadError, Scenario, load};

use super::drawing;
use crate::failure::Failure;
use crate::output::say;

/// How deep folders are looked through.
const MAX_DEPTH: usize = 16;

/// A cell of matrices: what has to be there under a name.
#[derive(Clone)]
pub(super) struct Cell {
    name: String,
    value: String,
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as browser=firefox")?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

/// A variable, as it is given on the command line.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as url=http://127.0.0.1:8000")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// One of several equal parts.
#[derive(Clone, Copy)]
pub(super) struct Shard {
    /// From 1.
    part: usize,
    parts: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write PART/PARTS, such as 1/4: the first of four".to_owned();
        let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
        let (part, parts) = (part.parse().map_err(|_| wrong())?, parts.parse().map_err(|_| wrong())?);
        if !(1..=parts).contains(&part) {
            return Err(wrong());
        }
        Ok(Self { part, parts })
    }
}

impl Shard {
    /// Every so many-th of all: parts of one length, but for one.
    pub(super) fn of<T>(&self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.part - 1).step_by(self.parts).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

/// Reads all scenarios that paths name, each once; nothing if one is wrong, which is told with its place.
pub(super) fn load_all(paths: &[PathBuf], given: &Given) -> Result<Option<Vec<Scenario>>, Failure> {
    let mut seen = Seen::default();
    let mut files = Vec::new();
    for path in paths {
        let before = (files.len(), seen.again);
        seen.files_of(path, MAX_DEPTH, &mut files)?;
        if before == (files.len(), seen.again) {
            return Err(Failure::Usage(format!(
                "{} has no scenario: those are files that end in .toml",
                path.display()
            )));
        }
    }
    let (mut scenarios, mut is_wrong) = (Vec::new(), false);
    for file in files {
        match load(&file, given) {
            Ok(loaded) => scenarios.extend(loaded),
            Err(LoadError::Invalid(invalid)) => {
                is_wrong = true;
                say(drawing::problems(&invalid));
            }
            Err(error) => return Err(Failure::Usage(error.to_string())),
        }
    }
    Ok((!is_wrong).then_some(scenarios))
}

/// What was found, by whichever path and link.
#[derive(Default)]
struct Seen {
    /// Device and number there.
    known: BTreeSet<(u64, u64)>,
    /// How many files and folders were found again.
    again: usize,
}

impl Seen {
    /// A file itself; of a folder, the files that end in `.toml`, by name.
    fn files_of(&mut self, path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
        let unreadable = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !self.known.insert((metadata.dev(), metadata.ino())) {
            self.again += 1;
            return Ok(());
        }
        if !metadata.is_dir() {
            files.push(path.to_owned());
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
        paths.sort();
        for path in paths {
            let is_scenario = path.extension().is_some_and(|extension| extension == "toml");
            if is_scenario || (depth > 0 && path.is_dir()) {
                self.files_of(&path, depth.saturating_sub(1), files)?;
            }
        }
        Ok(())
    }
}

/// Whether each variable that is given stands for something in a scenario.
pub(super) fn are_used(scenarios: &[Scenario], given: &Given) -> Result<(), Failure> {
    let is_used = |name: &String| scenarios.iter().any(|scenario| scenario.given.contains(name));
    let Some((name, value)) = given.iter().find(|(name, _)| !is_used(name)) else { return Ok(()) };
    let is_axis = |name: &str| scenarios.iter().flat_map(|scenario| &scenario.cell).any(|(axis, _)| axis == name);
    if is_axis(name) {
        let why = format!(
            "--variable {name}=…: a matrix goes through {name}: --matrix {name}={value} keeps one of its cells"
        );
        return Err(Failure::Usage(why));
    }
    let known: BTreeSet<_> = scenarios.iter().flat_map(Scenario::variables).filter(|name| !is_axis(name)).collect();
    let known: Vec<_> = known.into_iter().map(|name| format!("${{{name}}}")).collect();
    let but = if known.is_empty() { String::new() } else { format!(", but {}", known.join(", ")) };
    Err(Failure::Usage(format!("--variable {name}=…: no scenario there has ${{{name}}}{but}")))
}

/// Keeps those that have all of this in their cell.
pub(super) fn only_cells(scenarios: &mut Vec<Scenario>, wanted: &[Cell]) -> Result<(), Failure> {
    for Cell { name, value } in wanted {
        let has = |scenario: &Scenario| scenario.cell.iter().any(|(known, found)| known == name && found == value);
        if !scenarios.iter().any(has) {
            let cells = scenarios.iter().flat_map(|scenario| &scenario.cell);
            let values: BTreeSet<_> =
                cells.clone().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
            let names: BTreeSet<_> = cells.map(|(name, _)| name.as_str()).collect();
            let known = |what: BTreeSet<&str>| what.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(match (values.is_empty(), names.is_empty()) {
                (false, _) => format!("--matrix {name}={value}: there {name} is {}", known(values)),
                (true, false) => {
                    format!("--matrix {name}={value}: no matrix goes through {name}, but through {}", known(names))
                }
                (true, true) => format!("--matrix {name}={value}: there is no matrix"),
            }));
        }
        scenarios.retain(has);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_all_and_nothing_twice() {
        for count in [0, 1, 3, 4, 10, 11] {
            let all: Vec<usize> = (0..count).collect();
            let mut found: Vec<usize> = (1..=4).flat_map(|part| Shard { part, parts: 4 }.of(all.clone())).collect();
            found.sort_unstable();
            assert_eq!(found, all);
        }
        for wrong in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
