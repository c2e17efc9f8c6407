//! What is served, and its bounds.

use std::sync::Arc;

use keyrig_rack::Rack;

use crate::conditional::Conditionals;
use crate::token::Token;

/// The longest body that is read, bytes: the longest snapshot of a key fits in base64url.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// What is served, and to whom.
#[derive(Debug)]
pub struct Service {
    pub(crate) rack: Rack,
    pub(crate) token: Token,
    pub(crate) conditionals: Conditionals,
}

impl Service {
    /// The rack, for those who have the token.
    #[must_use]
    pub fn new(rack: Rack, token: Token) -> Arc<Self> {
        Arc::new(Self { rack, token, conditionals: Conditionals::default() })
    }
}
