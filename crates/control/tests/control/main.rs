//! A rack as its controls have it.

#![cfg(test)]

mod owner;
mod pico_controller;
#[allow(dead_code, reason = "tests of the rack use the rest")]
#[path = "../../../rack/tests/support/requests.rs"]
mod requests;
mod socket;
mod starting;
#[allow(dead_code, reason = "tests of the rack use the rest")]
#[path = "../../../rack/tests/support/mod.rs"]
mod support;
