//! How the keys of a rack meet a host, beside USB/IP over TCP.
//!
//! - [`kernel`] plugs keys into this machine's kernel: by [`vhci`], its virtual USB, or by [`uhid`], without USB.
//! - [`ctaphid_endpoint`] gives a key to programs that speak CTAPHID over a datagram socket, without USB; [`ctaphid_endpoints`] gives all
//!   keys of a rack, as they come and go.
//! - [`exec`] plugs keys into one tree of processes, without privileges and without a kernel module.
//! - [`host`] says which of them this machine can do.
//! - [`usbmon`] hears keys on this machine's USB, real ones too.
//!
//! All but the endpoints is for Linux alone.

pub mod ctaphid_endpoint;
pub mod ctaphid_endpoints;
#[cfg(target_os = "linux")]
pub mod exec;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod kernel;
#[cfg(target_os = "linux")]
mod nodes;
#[cfg(target_os = "linux")]
pub mod uhid;
#[cfg(target_os = "linux")]
pub mod usbmon;
#[cfg(target_os = "linux")]
pub mod vhci;
