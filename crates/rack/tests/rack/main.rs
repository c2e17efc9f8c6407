//! A rack from outside: over USB/IP, and in this process.

#![cfg(test)]

mod aside;
mod in_process;
mod many;
mod owner;
#[path = "../support/requests.rs"]
mod requests;
mod seams;
#[path = "../support/mod.rs"]
mod support;
mod touch;
mod u2f;
mod verification;
mod waits;
