//! The ways by which a client reaches a key.
//!
//! | way | carries | to |
//! |---|---|---|
//! | [`InProcess`] | CTAP messages | a key of a rack in this process: no CTAPHID, no USB |
//! | [`usb_ip`] | reports, in CTAPHID | what any USB/IP server exports, without a kernel |
//! | [`Datagrams`] | reports, in CTAPHID | a key at a datagram endpoint (`keyrig serve --ctaphid`) |
//! | [`Hidraw`] | reports, in CTAPHID | a key that Linux has, by its `/dev/hidraw` node, which [`HidKey`] finds |
//! | [`ControlChannel`] | CTAP messages | a key of a rack in another process, by its control socket (feature `control`) |
//!
//! What carries messages is a [`Channel`](keyrig_client::channel::Channel) already; what carries reports becomes one in a
//! [`CtapHidChannel`](keyrig_client::ctap_hid::CtapHidChannel). A [`Key`](keyrig_client::Key) takes any.

#[cfg(target_os = "linux")]
mod arrivals;
#[cfg(feature = "control")]
mod control;
mod datagrams;
#[cfg(target_os = "linux")]
mod hid;
#[cfg(target_os = "linux")]
mod hidraw;
mod in_process;
mod usb_ip;

#[cfg(target_os = "linux")]
pub use arrivals::Arrivals;
#[cfg(feature = "control")]
pub use control::ControlChannel;
pub use datagrams::Datagrams;
#[cfg(target_os = "linux")]
pub use hid::{CannotFind, HidKey, is_port};
#[cfg(target_os = "linux")]
pub use hidraw::Hidraw;
pub use in_process::InProcess;
pub use usb_ip::{UsbIp, usb_ip};
