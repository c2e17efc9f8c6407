//! Both sides together in virtual time, and both against nonsense.

use super::Report;

/// The bytes, and zeros up to the size of a report.
pub(super) fn report(bytes: &[u8]) -> Report {
    let mut report = [0; 64];
    report[..bytes.len()].copy_from_slice(bytes);
    report
}
