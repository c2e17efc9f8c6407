//! A rack from outside: over its control socket, over USB/IP, and in this process.

#![cfg(test)]

mod control_socket;
mod in_process;
mod many;
#[path = "../support/requests.rs"]
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod touch;
