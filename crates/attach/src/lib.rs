//! How software keys meet a host.
//!
//! - [`exec`] plugs keys into one tree of processes, without privileges and without a kernel module.

pub mod exec;
