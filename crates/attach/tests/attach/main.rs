//! Keys without USB.

#![cfg(test)]

mod ctaphid_endpoint;
mod ctaphid_endpoints;
#[allow(dead_code, reason = "tests of the rack use the rest")]
#[path = "../../../rack/tests/support/requests.rs"]
mod requests;
#[allow(dead_code, reason = "tests of the rack use the rest")]
#[path = "../../../rack/tests/support/mod.rs"]
mod support;
