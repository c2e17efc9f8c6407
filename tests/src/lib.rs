//! The end-to-end suites live in `tests/tests/`; here is what they share.

pub mod clients;
pub mod exec_case;
pub mod guest;
pub mod judge;
pub mod kernel_case;
pub mod program;
pub mod program_case;
pub mod serving;
pub mod site;
pub mod slapd;
