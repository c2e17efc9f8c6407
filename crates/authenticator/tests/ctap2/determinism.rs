//! The same seed, requests and times give the same bytes.

use crate::support::codec::{EDDSA, ES384, GET_INFO, GET_NEXT_ASSERTION, Parameters, RESET, SELECTION, algorithms};
use crate::support::{Driver, Records, built_in};

const SITE: &str = "example.com";

/// All answers and all that is stored after each, of a session with every command.
fn session(seed: u8) -> (Vec<Vec<u8>>, Vec<Records>) {
    let mut key = Driver::seeded(built_in("keyrig"), seed);
    let (mut answers, mut disks) = (Vec::new(), Vec::new());
    for message in [
        vec![GET_INFO],
        Parameters::make_credential(SITE, "one").create(),
        Parameters::make_credential(SITE, "one").with(4, algorithms(&[EDDSA])).create(),
        Parameters::discoverable(SITE, "two").with(4, algorithms(&[ES384])).create(),
        Parameters::discoverable(SITE, "three").create(),
        Parameters::get_assertion(SITE).get(),
        vec![GET_NEXT_ASSERTION],
        Parameters::allow(SITE, &[b"unknown"]).get(),
        vec![SELECTION],
    ] {
        answers.push(key.send(&message));
        disks.push(key.disk.clone());
    }
    key.power_up();
    answers.push(key.send(&[RESET]));
    answers.push(key.send(&Parameters::discoverable(SITE, "two").create()));
    disks.push(key.disk.clone());
    (answers, disks)
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(session(1), session(1));
}

#[test]
fn another_seed_gives_other_credentials() {
    let ((one, _), (other, _)) = (session(1), session(2));
    // getInfo has members that are encrypted with randomness.
    for index in [0, 1, 2, 3, 4, 5, 6, 10] {
        assert_ne!(one[index], other[index], "answer {index}");
    }
}
