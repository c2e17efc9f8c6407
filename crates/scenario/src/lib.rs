//! Runs of keys, client and relying party that are judged: who refused, and why.
//!
//! Everything meets here: [`site`] speaks to the relying party over HTTP, a [`report`] is what a run leaves behind, and [`demo`]
//! is the main job.

pub mod demo;
pub mod report;
pub mod site;
