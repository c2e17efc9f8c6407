//! The USB/IP server and the userland client, from outside: over TCP and over in-memory streams.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod client;
#[cfg(test)]
mod ear;
#[cfg(test)]
mod fates;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod support;
#[cfg(test)]
mod unlink_race;
