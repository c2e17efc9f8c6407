//! The service as programs, and those who should not, meet it: over TCP, by a client that nobody here wrote.

#![cfg(test)]

mod access;
mod ceremonies;
mod commands;
mod described;
mod hostile;
mod notes;
mod page_tokens;
mod panel;
mod signals;
mod support;
