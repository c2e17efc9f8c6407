//! Words that are looked up, or read by what they are for.

use core::fmt::Display;
use core::str::FromStr;

use super::at::At;
use super::problem::Problem;

/// Reads a word.
pub(super) fn word<T: FromStr<Err: Display>>(written: &At<String>) -> Result<T, Problem> {
    written.value.parse().map_err(|error: T::Err| Problem::new(written.at.clone(), error.to_string()))
}

/// One of a few words.
pub(super) fn one_of<'w, T>(
    written: &At<String>,
    what: &str,
    known: impl IntoIterator<Item = &'w str>,
    find: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Problem> {
    find(&written.value).ok_or_else(|| {
        Problem::new(written.at.clone(), format!("no {what} is called {:?}", written.value))
            .with_nearest(&written.value, known)
    })
}
