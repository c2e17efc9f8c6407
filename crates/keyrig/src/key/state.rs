//! A rack's keys and its finger, for people.

use keyrig_rack::command::{KeyState, RackState};

use crate::failure::Failure;
use crate::output::print;

pub(super) fn print_state(state: &RackState) -> Result<(), Failure> {
    let width = state.keys.iter().map(|key| key.name.as_str().len()).max().unwrap_or_default();
    for key in &state.keys {
        let finger = if key.under_finger { "finger" } else { "" };
        print(format!(
            "{:<width$}  {:<14} {:<6} {:<6}  {}",
            key.name.as_str(),
            key.profile,
            key.busid.as_deref().unwrap_or_default(),
            finger,
            described(key)
        ))?;
    }
    print(format!("touch policy: {}", state.touch))
}

fn described(key: &KeyState) -> String {
    let place = match (key.plugged, key.attached) {
        (false, _) => "unplugged".to_owned(),
        (true, _) if key.busid.is_none() => "on no USB".to_owned(),
        (true, false) if key.programs > 0 => format!("used by {}", programs(key)),
        (true, false) => "plugged in, no host".to_owned(),
        (true, true) if key.programs > 0 => format!("attached to a host, used by {}", programs(key)),
        (true, true) => "attached to a host".to_owned(),
    };
    let place = key.uv.as_ref().map_or(place.clone(), |policy| format!("{place}, user verification: {policy}"));
    let quirks = if key.quirks.is_empty() { String::new() } else { format!(", with {}", key.quirks.join(", ")) };
    match &key.waiting_for {
        Some(command) if key.for_verification => format!("{place}, waits for its user ({command}){quirks}"),
        Some(command) => format!("{place}, waits for a touch ({command}){quirks}"),
        None => format!("{place}{quirks}"),
    }
}

/// Those that have gone over UDP are still counted.
fn programs(key: &KeyState) -> String {
    let bound = if key.programs_over_udp > 0 { "at most " } else { "" };
    let plural = if key.programs == 1 { "" } else { "s" };
    format!("{bound}{} program{plural}", key.programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_over_udp_may_have_gone_and_the_text_says_so() {
        let used_by = |programs, programs_over_udp| {
            described(&KeyState {
                name: "a".parse().unwrap(),
                profile: "keyrig".to_owned(),
                quirks: Vec::new(),
                enterprise_rps: Vec::new(),
                busid: Some("1-1".to_owned()),
                plugged: true,
                attached: false,
                programs,
                programs_over_udp,
                under_finger: false,
                waiting_for: None,
                for_verification: false,
                uv: None,
                discoverable_credentials: 0,
            })
        };
        assert_eq!(used_by(0, 0), "plugged in, no host");
        assert_eq!(used_by(1, 0), "used by 1 program");
        assert_eq!(used_by(2, 0), "used by 2 programs");
        assert_eq!(used_by(1, 1), "used by at most 1 program");
        assert_eq!(used_by(3, 1), "used by at most 3 programs");
    }
}
