//! Values of options as `pveum` takes them.

/// A boolean as `pveum` takes it.
pub(super) fn one_or_zero(text: &str) -> Result<bool, String> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err("write 1 or 0".to_owned()),
    }
}

/// The parts of a list as `pveum` takes one.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split([',', ';', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
