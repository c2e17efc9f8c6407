//! What `keyrig explain` makes of a recording: the report, under each policy; of an exception; of a public key.
//!
//! What must hold: no panic; each ceremony has every check of its kind, in order.

#![no_main]

use std::time::{Duration, SystemTime};

use keyrig_relying_party::Policy;
use keyrig_scenario::explain::{Known, code, exception, explain};
use keyrig_scenario::verifier::GivenPublicKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let text = String::from_utf8_lossy(input);
    // A public key before the recording, if there is one.
    let (key, recorded) = text.split_once('\0').map_or((None, &*text), |(key, rest)| (Some(key), rest));
    let public_key = key.and_then(|key| GivenPublicKey::read(key.as_bytes()).ok());
    let _as_bytes = GivenPublicKey::read(input);
    let _said = exception(recorded);
    let _known = code(recorded);
    let first = input.first().copied().unwrap_or_default();
    let policies = [None, Some("strict-l3"), Some("proxmox-9")];
    let policy = policies.into_iter().cycle().nth(usize::from(first)).flatten();
    let policy = policy.map(|name| Policy::built_in(name).expect("it comes with keyrig"));
    let known = Known { public_key, policy, ..Known::default() };
    let Ok(explained) = explain(recorded.as_bytes(), &known, now) else { return };
    for it in &explained.ceremonies {
        let checks: Vec<_> = it.report.findings.iter().map(|finding| finding.check).collect();
        assert_eq!(checks, it.report.ceremony.checks());
    }
});
