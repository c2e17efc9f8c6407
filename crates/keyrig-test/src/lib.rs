#![doc = include_str!("../README.md")]

mod client;
mod refused;
mod rig;

pub use client::Client;
pub use keyrig_client::{Browser, RefusedBy, UserChoice};
pub use keyrig_faults::timeline;
pub use keyrig_rack::Options;
pub use keyrig_rack::finger::TouchPolicy;
pub use refused::Refused;
pub use rig::{Rig, RigError};
