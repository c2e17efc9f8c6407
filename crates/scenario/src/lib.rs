//! Runs of keys, client and relying party that are judged: who refused, and why.
//!
//! Everything meets here: [`language`] is how scenarios are written, [`runner`] runs them, [`results`] are what is left, and [`reports`] the forms of that. [`site`] speaks to
//! the relying party, [`demo`] is the main job with a [`report`] of its own, [`doctor`] says before anybody runs anything what settings and
//! addresses come to, and [`explain`] afterwards what a recording has. `hardware` is about keys that people have in their hands, and [`compare`] about where they are otherwise than their profiles. [`catalogue`] is what people get wrong.

pub mod catalogue;
pub mod compare;
pub mod demo;
pub mod doctor;
pub mod explain;
#[cfg(target_os = "linux")]
pub mod hardware;
pub mod language;
mod nearest;
pub mod report;
pub mod reports;
pub mod results;
pub mod runner;
pub mod site;

pub use keyrig_verifier as verifier;
