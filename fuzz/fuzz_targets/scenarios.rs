//! What `keyrig run` and `keyrig hid` read: scenarios, lab files, records of keys.
//!
//! What must hold: no panic; what is wrong with a scenario is within its text, and one that is right has something to do in each cell of
//! its matrix; a record that can be imported makes a profile that is read again.

#![no_main]

use std::path::Path;

use keyrig_authenticator::Profile;
use keyrig_scenario::hardware::import;
use keyrig_scenario::hardware::lab::Lab;
use keyrig_scenario::hardware::record::KeyRecord;
use keyrig_scenario::language::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let file = Path::new("fuzzed.toml");
    match parse(file, text, &[("given".to_owned(), "1".to_owned())]) {
        Ok(scenarios) => {
            assert!(!scenarios.is_empty());
            for scenario in &scenarios {
                assert!(!scenario.steps.is_empty() && !scenario.users.is_empty() && !scenario.clients.is_empty());
                assert!(scenario.steps.iter().all(|step| step.at.end <= text.len()), "{}", scenario.title());
            }
        }
        Err(invalid) => {
            assert!(!invalid.problems.is_empty() && !invalid.to_string().is_empty());
            assert!(invalid.problems.iter().all(|problem| problem.at.end <= text.len()), "{invalid}");
        }
    }
    if let Ok(lab) = Lab::parse(file, text) {
        let _commands: Vec<_> = lab.key.values().filter_map(|key| key.power_command(true)).collect();
    }
    let Ok(record) = serde_json::from_str::<KeyRecord>(text) else { return };
    if let Ok((made, profile)) = import::profile(&record, "fuzzed") {
        assert_eq!(Profile::parse("fuzzed", &made).expect("what was made").aaguid, profile.aaguid);
    }
});
