//! How the keys of a rack meet a host, beside USB/IP over TCP.
//!
//! - [`vhci`] plugs keys into this machine's kernel.
//! - [`ctaphid_endpoint`] gives a key to programs that speak CTAPHID over a datagram socket, without USB.
//! - [`exec`] plugs keys into one tree of processes, without privileges and without a kernel module.
//! - [`host`] says which of them this machine can do.
//!
//! All but [`ctaphid_endpoint`] is for Linux alone.

pub mod ctaphid_endpoint;
#[cfg(target_os = "linux")]
pub mod exec;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod vhci;
