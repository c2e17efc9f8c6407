//! A pipe in a state directory. By itself, because starting a process hands on the locks of whatever else runs in this one.

#![cfg(test)]

use std::fs;
use std::process::Command;

use keyrig_authenticator::Profile;
use keyrig_authenticator::environment::Seeded;
use keyrig_rack::state_directory::{StateDirectory, StateError};
use tempfile::TempDir;

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_not_waited_for() {
    let profile = Profile::built_in("keyrig").unwrap();
    let open = |directory: &TempDir| {
        let state = StateDirectory::open(directory.path())?;
        state.attestation_root(&mut Seeded::new([1; 32]))?;
        state.open_key(&"a".parse().unwrap(), &profile, &mut Seeded::new([2; 32])).map(drop)
    };
    for file in ["format", "attestation-root", "keys/a/format", "keys/a/profile"] {
        let directory = TempDir::new().unwrap();
        open(&directory).unwrap();
        let path = directory.path().join(file);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = open(&directory).unwrap_err();
        assert!(matches!(&error, StateError::Damaged { path: named, .. } if *named == path), "{file}: {error}");
    }
}
