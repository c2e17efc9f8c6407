//! Keys that people have in their hands: which there are, what they are called, what they say when they are asked.
//!
//! | file | what |
//! |---|---|
//! | [`mod@bench`] | what it takes to run scenarios on them |
//! | [`identity`] | what a key says of itself without being touched |
//! | [`record`] | all that a key can be asked without a PIN and without storing anything on it |
//! | [`import`] | a profile out of such a record |
//! | [`lab`] | names of keys by where they are plugged in, and what switches and touches them |
//! | [`power`] | the power of a key's port, switched by a lab's command |
//! | [`person`] | who inserts and touches where no command does |
//! | `usbmon` | keys that a browser asks, heard by the kernel |

pub mod bench;
pub mod identity;
pub mod import;
pub mod lab;
pub mod person;
pub mod power;
pub mod record;
pub(crate) mod usbmon;
