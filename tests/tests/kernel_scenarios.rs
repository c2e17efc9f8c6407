//! Scenarios over a real kernel: the same files, and each key at the hidraw node that it has there.

use keyrig_tests::kernel_case;

#[test]
fn scenarios_that_come_with_keyrig_pass_on_keys_that_a_kernel_has() {
    let Some(output) = kernel_case::run(&format!(
        "\"$keyrig\" run '{}/../fixtures/scenarios' --on kernel || fail 'see above'
        test -z \"$(ports_taken)\" || fail \"$(ports_taken)\"",
        env!("CARGO_MANIFEST_DIR")
    )) else {
        return;
    };
    // That of the demonstration is for USB/IP alone.
    assert!(output.text().contains(" passed, 1 not run in "), "{}", output.text());
}
