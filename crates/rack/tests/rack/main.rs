//! A rack from outside: over its control socket, over USB/IP, and in this process.

#![cfg(test)]

mod control_socket;
mod ctaphid_endpoint;
mod in_process;
mod many;
mod pico_controller;
#[path = "../support/requests.rs"]
mod requests;
mod seams;
#[path = "../support/mod.rs"]
mod support;
mod touch;
mod u2f;
