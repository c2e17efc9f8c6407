//! Who said no.

use crate::transcript::explanation::RefusedBy;

/// Who said no, and what whoever asked does then.
pub(super) struct Verdict {
    pub(super) refused_by: RefusedBy,
    pub(super) text: String,
}

impl Verdict {
    pub(super) fn new(refused_by: RefusedBy, text: impl Into<String>) -> Self {
        Self { refused_by, text: text.into() }
    }
}
