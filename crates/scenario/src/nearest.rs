//! What somebody may have meant.

/// How alike two names have to be for one to be proposed for the other, of 1.
const ALIKE: f64 = 0.7;

/// The name that is most like another one, if any is like it.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let found = plain(found);
    let likeness = |name: &str| strsim::jaro_winkler(&found, &plain(name));
    let nearest = known.iter().map(|name| (likeness(name), *name)).max_by(|(one, _), (other, _)| one.total_cmp(other));
    nearest.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed_if_it_is_near() {
        assert_eq!(nearest("profil", &["name", "profile", "pin"]), Some("profile"));
        assert_eq!(nearest("rp_id", &["rp-id", "origins"]), Some("rp-id"));
        assert_eq!(nearest("recovery-keys", &["rekeyed-over", "recovery_keys"]), Some("recovery_keys"));
        assert_eq!(nearest("zzz", &["name", "profile"]), None);
        assert_eq!(nearest("a", &[]), None);
    }
}
