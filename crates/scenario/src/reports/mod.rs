//! Reports of runs, in forms that people and programs already read.

mod diagram;
mod escaping;
mod html;
mod junit;
mod summary;
mod transcript;

pub use self::html::html;
pub use self::junit::{ProgramResult, junit, junit_of_program};
pub use self::summary::summary;
pub use self::transcript::{file_name, transcript};
