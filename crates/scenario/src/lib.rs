//! Runs of keys, client and relying party that are judged: who refused, and why.
//!
//! Everything meets here: [`site`] speaks to the relying party over HTTP, a [`report`] is what a run leaves behind, [`demo`]
//! is the main job, and [`doctor`] says before anybody runs anything what settings and addresses come to, and [`explain`] afterwards what a recording has. [`catalogue`] is what people get wrong.

pub mod catalogue;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod report;
pub mod site;

pub use keyrig_verifier as verifier;
