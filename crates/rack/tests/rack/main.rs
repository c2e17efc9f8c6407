//! A rack from outside: over its control socket, over USB/IP, and in this process.

#![cfg(test)]

mod control_socket;
#[path = "../support/requests.rs"]
mod requests;
#[path = "../support/mod.rs"]
mod support;
