//! How the keys of a rack meet a host, beside USB/IP over TCP.
//!
//! - [`vhci`] plugs keys into this machine's kernel.
//! - [`ctaphid_endpoint`] gives a key to programs that speak CTAPHID over a datagram socket, without USB.
//! - [`exec`] plugs keys into one tree of processes, without privileges and without a kernel module.
//! - [`host`] says which of them this machine can do.

pub mod ctaphid_endpoint;
pub mod exec;
pub mod host;
pub mod vhci;
